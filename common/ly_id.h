/*
 * Ids: a UUIDv7 (RFC 9562) in the database; outside a prefix, '_', and the 128
 * bits in 26 lower-case Crockford base32 characters.  Both sort by time.
 */

#ifndef LY_ID_H_INCLUDED_
#define LY_ID_H_INCLUDED_

#include "ly_base.h"


typedef struct {
    unsigned char  b[16];
} ly_uuid_t;

#define LY_UUID_TEXT    36
#define LY_ID_BASE32    26
#define LY_ID_PREFIX    8           /* longest prefix, without '_' */
#define LY_ID_TEXT      (LY_ID_PREFIX + 1 + LY_ID_BASE32)


/* ms since the epoch (48 bits kept) and ten random bytes; no state */
void ly_uuid7_make(uint64_t ms, const unsigned char *noise,
    ly_uuid_t *out);

/* the same with random bytes of OpenSSL; LY_TEMP if it has none */
ly_must_check ly_err_t ly_uuid7_new(uint64_t ms, ly_uuid_t *out);

/* ms since the epoch of a UUIDv7 */
uint64_t ly_uuid7_ms(const ly_uuid_t *u);

bool ly_uuid_eq(const ly_uuid_t *a, const ly_uuid_t *b);
bool ly_uuid_is_nil(const ly_uuid_t *u);

/* 8-4-4-4-12 lower-case hex, 36 bytes */
void ly_uuid_print(const ly_uuid_t *u, unsigned char *out);

/* either case of hex is read, the hyphens must stand; LY_PARSE */
ly_must_check ly_err_t ly_uuid_parse(ly_str_t s, ly_uuid_t *out);

/*
 * prefix is "mem", "evt", ... (1..LY_ID_PREFIX bytes, without '_'; longer is
 * cut).  Writes at most LY_ID_TEXT bytes and returns their number.
 */
size_t ly_id_print(ly_str_t prefix, const ly_uuid_t *u, unsigned char *out);

/*
 * Strict: this prefix, '_', 26 lower-case characters of
 * 0123456789abcdefghjkmnpqrstvwxyz, the first at most '7'.  LY_PARSE.
 */
ly_must_check ly_err_t ly_id_parse(ly_str_t s, ly_str_t prefix,
    ly_uuid_t *out);


#endif /* LY_ID_H_INCLUDED_ */
