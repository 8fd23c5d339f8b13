/*
 * Strict http and https URLs of webhook targets.  What is refused here is
 * never handed to libcurl, whose parser is more forgiving.
 */

#ifndef LY_URL_H_INCLUDED_
#define LY_URL_H_INCLUDED_

#include "ly_base.h"
#include "ly_addr.h"


#define LY_URL_MAX   2048
#define LY_HOST_MAX  253

typedef struct {
    bool       https;
    ly_str_t   host;                /* as written, without brackets */
    bool       is_addr;             /* the host is an address literal */
    ly_addr_t  addr;
    uint16_t   port;                /* given or the scheme's own */
    ly_str_t   target;              /* path and query; may be empty */
} ly_url_t;


/*
 * Views into s.  LY_LIMIT over LY_URL_MAX; LY_PARSE for: another scheme,
 * userinfo, fragment, an empty host, a trailing dot, a label that is empty,
 * over 63 bytes, or begins or ends with '-', a host of digits and dots that is
 * no strict IPv4 address (or of hex and octal numbers that resolvers take for
 * one), a zone in an IPv6 literal, port 0 or over 65535 or empty, a byte that
 * is not visible ASCII, a backslash, a percent sign without two hex digits.
 */
ly_must_check ly_err_t ly_url_parse(ly_str_t s, ly_url_t *out);

/*
 * A host name alone (for custom domains), no port: the same rules for labels,
 * no address literal.  Lower-cased into out, LY_HOST_MAX bytes.
 */
ly_must_check ly_err_t ly_host_normalise(ly_str_t s, unsigned char *out,
    size_t *len);


#endif /* LY_URL_H_INCLUDED_ */
