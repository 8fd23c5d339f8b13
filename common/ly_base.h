/*
 * What every file of common/ starts from: the byte string, the error code,
 * and a few macros.  Nothing here allocates, logs, or keeps state.
 */

#ifndef LY_BASE_H_INCLUDED_
#define LY_BASE_H_INCLUDED_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/* before the return type, so that uncrustify leaves the prototype alone */
#define ly_must_check  __attribute__((warn_unused_result))

#define ly_countof(a)  (sizeof(a) / sizeof((a)[0]))


/*
 * Bytes with a length.  Never NUL terminated unless a contract says so; data
 * may be NULL only when len is 0.
 */
typedef struct {
    size_t                len;
    const unsigned char  *data;
} ly_str_t;

/* an expression; in a static initialiser use ly_str_init() */
#define ly_str(lit)                                                           \
    ((ly_str_t) { sizeof("" lit) - 1, (const unsigned char *) "" lit })

#define ly_str_init(lit)                                                      \
    { sizeof("" lit) - 1, (const unsigned char *) "" lit }


/*
 * The class of a failure tells the caller what to do with it.  LY_TEMP may be
 * tried again, everything else gives the same result for the same input.
 */
typedef enum {
    LY_OK = 0,
    LY_NOMEM,           /* an allocation failed, or the arena's cap is hit */
    LY_LIMIT,           /* a stated bound of size, depth or number is passed */
    LY_PARSE,           /* the input is not of the form asked for */
    LY_DENIED,          /* well formed, but refused: signature, key, policy */
    LY_NOTFOUND,
    LY_TEMP,            /* outside trouble that may pass */
    LY_FATAL,           /* a broken promise of ours, or of a library */
    LY_OVERFLOW         /* the exact result does not fit */
} ly_err_t;


/* "ok", "nomem", "limit", ...; static text, never NULL */
const char *ly_err_name(ly_err_t err);

/* a string over len bytes at data */
static inline ly_str_t
ly_str_of(const void *data, size_t len)
{
    ly_str_t  s;

    s.len = len;
    s.data = (const unsigned char *) data;

    return s;
}


/* over a NUL terminated text, without the NUL; NULL gives the empty string */
ly_str_t ly_str_c(const char *text);

/* equality of public bytes; not for secrets */
bool ly_str_eq(ly_str_t a, ly_str_t b);

/* order by bytes, shorter first when one is a prefix: < 0, 0, > 0 */
int ly_str_cmp(ly_str_t a, ly_str_t b);

bool ly_str_starts(ly_str_t s, ly_str_t prefix);

/*
 * Equality in time that depends on the lengths only (the lengths are public).
 * For digests, signatures, tokens.
 */
bool ly_secret_eq(const void *a, size_t alen, const void *b, size_t blen);

/* overwrites; never optimised away; data may be NULL when len is 0 */
void ly_secret_wipe(void *data, size_t len);

/*
 * Strict decimal integers: the whole input, optional '-' for int64, no '+',
 * no leading zero, no space.  LY_PARSE, or LY_OVERFLOW out of range.
 */
ly_must_check ly_err_t ly_int64_parse(ly_str_t s, int64_t *out);
ly_must_check ly_err_t ly_uint64_parse(ly_str_t s, uint64_t *out);

/* text of v into out, which holds LY_INT64_TEXT bytes; returns its length */
#define LY_INT64_TEXT  20
size_t ly_int64_print(int64_t v, unsigned char *out);
size_t ly_uint64_print(uint64_t v, unsigned char *out);

/* strict UTF-8 (RFC 3629): no overlong form, no surrogate, <= U+10FFFF */
bool ly_utf8_valid(ly_str_t s);

/* number of code points of valid UTF-8 */
size_t ly_utf8_count(ly_str_t s);

/* big-endian fixed-width integers */
void ly_be16_put(unsigned char *p, uint16_t v);
void ly_be32_put(unsigned char *p, uint32_t v);
void ly_be64_put(unsigned char *p, uint64_t v);

static inline uint16_t
ly_be16_get(const unsigned char *p)
{
    return (uint16_t) (((unsigned) p[0] << 8) | p[1]);
}


static inline uint32_t
ly_be32_get(const unsigned char *p)
{
    return ((uint32_t) ly_be16_get(p) << 16) | ly_be16_get(p + 2);
}


static inline uint64_t
ly_be64_get(const unsigned char *p)
{
    return ((uint64_t) ly_be32_get(p) << 32) | ly_be32_get(p + 4);
}


#endif /* LY_BASE_H_INCLUDED_ */
