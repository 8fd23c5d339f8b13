#include <string.h>

#include <openssl/crypto.h>

#include "ly_base.h"
#include "ly_banned.h"


static const char *const  ly_err_names[] = {
    "ok", "nomem", "limit", "parse", "denied", "notfound", "temp", "fatal",
    "overflow"
};


const char *
ly_err_name(ly_err_t err)
{
    if ((size_t) err >= ly_countof(ly_err_names)) {
        return "unknown";
    }

    return ly_err_names[err];
}


ly_str_t
ly_str_c(const char *text)
{
    return ly_str_of(text, text == NULL ? 0 : strlen(text));
}


bool
ly_str_eq(ly_str_t a, ly_str_t b)
{
    return a.len == b.len
           && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


int
ly_str_cmp(ly_str_t a, ly_str_t b)
{
    int     rc;
    size_t  n;

    n = a.len < b.len ? a.len : b.len;
    rc = n == 0 ? 0 : memcmp(a.data, b.data, n);

    if (rc != 0) {
        return rc;
    }

    return (a.len > b.len) - (a.len < b.len);
}


bool
ly_str_starts(ly_str_t s, ly_str_t prefix)
{
    return s.len >= prefix.len
           && ly_str_eq(ly_str_of(s.data, prefix.len), prefix);
}


bool
ly_secret_eq(const void *a, size_t alen, const void *b, size_t blen)
{
    size_t    i;
    uint64_t  x, y, bad;

    if (alen != blen) {
        return false;
    }

    if (alen < sizeof(x)) {
        return alen == 0 || CRYPTO_memcmp(a, b, alen) == 0;
    }

    /* by words, the last one over bytes seen already */

    bad = 0;

    for (i = 0; i < alen; i += sizeof(x)) {
        i = i + sizeof(x) > alen ? alen - sizeof(x) : i;

        memcpy(&x, (const unsigned char *) a + i, sizeof(x));
        memcpy(&y, (const unsigned char *) b + i, sizeof(y));
        bad |= x ^ y;

        /* opaque to the compiler, which so cannot leave at a difference */
        __asm__ volatile ("" : "+r" (bad));
    }

    return bad == 0;
}


void
ly_secret_wipe(void *data, size_t len)
{
    if (len != 0) {
        OPENSSL_cleanse(data, len);
    }
}


ly_err_t
ly_uint64_parse(ly_str_t s, uint64_t *out)
{
    size_t    i;
    uint64_t  v;
    unsigned  digit;

    if (s.len == 0 || (s.len > 1 && s.data[0] == '0')) {
        return LY_PARSE;
    }

    for (i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return LY_PARSE;
        }
    }

    v = 0;

    for (i = 0; i < s.len; i++) {
        digit = (unsigned) (s.data[i] - '0');

        if (__builtin_mul_overflow(v, (uint64_t) 10, &v)
            || __builtin_add_overflow(v, (uint64_t) digit, &v))
        {
            return LY_OVERFLOW;
        }
    }

    *out = v;

    return LY_OK;
}


ly_err_t
ly_int64_parse(ly_str_t s, int64_t *out)
{
    bool      negative;
    ly_err_t  rc;
    uint64_t  v;

    negative = s.len != 0 && s.data[0] == '-';

    if (negative) {
        s.data++;
        s.len--;

        /* -0 is a second spelling of 0 */
        if (s.len != 0 && s.data[0] == '0') {
            return LY_PARSE;
        }
    }

    rc = ly_uint64_parse(s, &v);
    if (rc != LY_OK) {
        return rc;
    }

    if (negative) {
        if (v > (uint64_t) INT64_MAX + 1) {
            return LY_OVERFLOW;
        }

        *out = (int64_t) (0 - v);
        return LY_OK;
    }

    if (v > (uint64_t) INT64_MAX) {
        return LY_OVERFLOW;
    }

    *out = (int64_t) v;

    return LY_OK;
}


size_t
ly_uint64_print(uint64_t v, unsigned char *out)
{
    size_t          n;
    uint64_t        rest;
    unsigned char  *p;

    static const unsigned char  pairs[] =
        "00010203040506070809" "10111213141516171819"
        "20212223242526272829" "30313233343536373839"
        "40414243444546474849" "50515253545556575859"
        "60616263646566676869" "70717273747576777879"
        "80818283848586878889" "90919293949596979899";

    if (v < 10) {
        *out = (unsigned char) ('0' + v);
        return 1;
    }

    for (n = 0, rest = v; rest >= 10000; rest /= 10000) {
        n += 4;
    }

    n += rest < 100 ? (rest < 10 ? 1 : 2) : (rest < 1000 ? 3 : 4);

    for (p = out + n; v >= 100; v /= 100) {
        p -= 2;
        memcpy(p, pairs + v % 100 * 2, 2);
    }

    if (v >= 10) {
        memcpy(out, pairs + v * 2, 2);

    } else {
        *out = (unsigned char) ('0' + v);
    }

    return n;
}


size_t
ly_int64_print(int64_t v, unsigned char *out)
{
    if (v < 0) {
        *out = '-';
        return 1 + ly_uint64_print(0 - (uint64_t) v, out + 1);
    }

    return ly_uint64_print((uint64_t) v, out);
}


/* bytes of the sequence at p, 0 if it is none (RFC 3629, section 4) */
static size_t
ly_utf8_sequence(const unsigned char *p, const unsigned char *last)
{
    size_t         n;
    unsigned char  lo, hi;

    lo = 0x80;
    hi = 0xbf;

    if (*p >= 0xc2 && *p <= 0xdf) {
        n = 2;

    } else if (*p >= 0xe0 && *p <= 0xef) {
        n = 3;
        lo = *p == 0xe0 ? 0xa0 : 0x80;
        hi = *p == 0xed ? 0x9f : 0xbf;

    } else if (*p >= 0xf0 && *p <= 0xf4) {
        n = 4;
        lo = *p == 0xf0 ? 0x90 : 0x80;
        hi = *p == 0xf4 ? 0x8f : 0xbf;

    } else {
        return 0;
    }

    if ((size_t) (last - p) < n || p[1] < lo || p[1] > hi) {
        return 0;
    }

    if (n > 2 && (p[2] & 0xc0) != 0x80) {
        return 0;
    }

    if (n > 3 && (p[3] & 0xc0) != 0x80) {
        return 0;
    }

    return n;
}


bool
ly_utf8_valid(ly_str_t s)
{
    size_t                n;
    uint64_t              word;
    const unsigned char  *p, *last;

    if (s.len == 0) {
        return true;
    }

    p = s.data;
    last = p + s.len;

    while (p < last) {

        if ((size_t) (last - p) >= sizeof(word)) {
            memcpy(&word, p, sizeof(word));

            if ((word & 0x8080808080808080ULL) == 0) {
                p += sizeof(word);
                continue;
            }
        }

        if (*p < 0x80) {
            p++;
            continue;
        }

        n = ly_utf8_sequence(p, last);
        if (n == 0) {
            return false;
        }

        p += n;
    }

    return true;
}


size_t
ly_utf8_count(ly_str_t s)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < s.len; i++) {
        n += (s.data[i] & 0xc0) != 0x80;
    }

    return n;
}


void
ly_be16_put(unsigned char *p, uint16_t v)
{
    p[0] = (unsigned char) (v >> 8);
    p[1] = (unsigned char) v;
}


void
ly_be32_put(unsigned char *p, uint32_t v)
{
    ly_be16_put(p, (uint16_t) (v >> 16));
    ly_be16_put(p + 2, (uint16_t) v);
}


void
ly_be64_put(unsigned char *p, uint64_t v)
{
    ly_be32_put(p, (uint32_t) (v >> 32));
    ly_be32_put(p + 4, (uint32_t) v);
}
