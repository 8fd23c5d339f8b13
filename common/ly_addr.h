/*
 * Network addresses as data: which ones the worker may connect to on behalf of
 * a tenant.  No resolver and no socket here.
 */

#ifndef LY_ADDR_H_INCLUDED_
#define LY_ADDR_H_INCLUDED_

#include "ly_base.h"


typedef struct {
    unsigned       family;          /* 4 or 6 */
    unsigned char  b[16];           /* network order; 4 of them for family 4 */
} ly_addr_t;

typedef struct {
    ly_addr_t  addr;
    unsigned   bits;
    uint16_t   port;                /* 0: any */
} ly_cidr_t;

#define LY_ADDR_TEXT  39


/*
 * Strict text: four decimal numbers without leading zeros, or RFC 4291 forms
 * of IPv6 without zone and brackets.  LY_PARSE.
 */
ly_must_check ly_err_t ly_addr_parse(ly_str_t s, ly_addr_t *out);

/* from the bytes of a sockaddr: family 4 or 6; else LY_PARSE */
ly_must_check ly_err_t ly_addr_bytes(unsigned family, const void *bytes,
    ly_addr_t *out);

/* RFC 5952 text into out (LY_ADDR_TEXT bytes); its length */
size_t ly_addr_print(const ly_addr_t *a, unsigned char *out);

/*
 * NULL for an address of the public internet; else why it is refused:
 * "private", "loopback", "link_local", "shared", "multicast", "reserved",
 * "documentation", "benchmark", "tunnel", "unspecified".  IPv4-mapped IPv6 is
 * judged as IPv4; of IPv6 only 2000::/3 without its special blocks is public.
 */
const char *ly_addr_denied(const ly_addr_t *a);

/*
 * "10.1.0.0/16", "127.0.0.1" (a host), "[::1]/128:8443", "127.0.0.1/32:8443":
 * network, optional bits, optional port.  Bits behind the mask must be zero.
 */
ly_must_check ly_err_t ly_cidr_parse(ly_str_t s, ly_cidr_t *out);

bool ly_cidr_match(const ly_cidr_t *cidr, const ly_addr_t *a, uint16_t port);

/* public, or in the operator's list */
bool ly_addr_allowed(const ly_addr_t *a, uint16_t port, const ly_cidr_t *list,
    size_t n);


#endif /* LY_ADDR_H_INCLUDED_ */
