#include <string.h>

#include "ly_crypto.h"
#include "ly_hex.h"
#include "ly_id.h"
#include "ly_banned.h"


static const unsigned char  ly_id_alphabet[] =
    "0123456789abcdefghjkmnpqrstvwxyz";


void
ly_uuid7_make(uint64_t ms, const unsigned char *noise, ly_uuid_t *out)
{
    unsigned char  time[8];

    ly_be64_put(time, ms);
    memcpy(out->b, time + 2, 6);
    memcpy(out->b + 6, noise, 10);

    out->b[6] = (unsigned char) (0x70 | (out->b[6] & 0x0f));
    out->b[8] = (unsigned char) (0x80 | (out->b[8] & 0x3f));
}


ly_err_t
ly_uuid7_new(uint64_t ms, ly_uuid_t *out)
{
    ly_err_t       rc;
    unsigned char  noise[10];

    rc = ly_random(noise, sizeof(noise));
    if (rc != LY_OK) {
        return rc;
    }

    ly_uuid7_make(ms, noise, out);

    return LY_OK;
}


uint64_t
ly_uuid7_ms(const ly_uuid_t *u)
{
    return ly_be64_get(u->b) >> 16;
}


bool
ly_uuid_eq(const ly_uuid_t *a, const ly_uuid_t *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}


bool
ly_uuid_is_nil(const ly_uuid_t *u)
{
    return (ly_be64_get(u->b) | ly_be64_get(u->b + 8)) == 0;
}


/* bytes of each group of the text form */
static const unsigned char  ly_uuid_groups[] = { 4, 2, 2, 2, 6 };


void
ly_uuid_print(const ly_uuid_t *u, unsigned char *out)
{
    size_t                g;
    const unsigned char  *p;

    p = u->b;

    for (g = 0; g < sizeof(ly_uuid_groups); g++) {
        if (g != 0) {
            *out++ = '-';
        }

        out += ly_hex_encode(ly_str_of(p, ly_uuid_groups[g]), out);
        p += ly_uuid_groups[g];
    }
}


ly_err_t
ly_uuid_parse(ly_str_t s, ly_uuid_t *out)
{
    size_t                g, n;
    ly_err_t              rc;
    const unsigned char  *p;
    unsigned char        *to;

    if (s.len != LY_UUID_TEXT) {
        return LY_PARSE;
    }

    p = s.data;
    to = out->b;

    for (g = 0; g < sizeof(ly_uuid_groups); g++) {
        n = ly_uuid_groups[g];

        if (g != 0 && *p++ != '-') {
            return LY_PARSE;
        }

        rc = ly_hex_decode(ly_str_of(p, 2 * n), to, n);
        if (rc != LY_OK) {
            return rc;
        }

        p += 2 * n;
        to += n;
    }

    return LY_OK;
}


size_t
ly_id_print(ly_str_t prefix, const ly_uuid_t *u, unsigned char *out)
{
    size_t    i, n;
    uint64_t  hi, lo;

    n = prefix.len > LY_ID_PREFIX ? LY_ID_PREFIX : prefix.len;
    memcpy(out, prefix.data, n);
    out[n++] = '_';

    out += n;
    hi = ly_be64_get(u->b);
    lo = ly_be64_get(u->b + 8);

    /*
     * The first character holds three bits, the others five: twelve of them in
     * the high half, one across, twelve in the low half.
     */
    out[0] = ly_id_alphabet[hi >> 61];
    out[13] = ly_id_alphabet[(hi << 4 | lo >> 60) & 31];

#pragma GCC unroll 12
    for (i = 0; i < 12; i++) {
        out[1 + i] = ly_id_alphabet[hi >> (56 - 5 * i) & 31];
        out[14 + i] = ly_id_alphabet[lo >> (55 - 5 * i) & 31];
    }

    return n + LY_ID_BASE32;
}


/* 0..31, or 32 for a character outside of the alphabet */
static unsigned
ly_id_value(unsigned char c)
{
    const unsigned char  *at;

    at = c == '\0' ? NULL : memchr(ly_id_alphabet, c, 32);

    return at == NULL ? 32 : (unsigned) (at - ly_id_alphabet);
}


ly_err_t
ly_id_parse(ly_str_t s, ly_str_t prefix, ly_uuid_t *out)
{
    size_t    i;
    uint64_t  hi, lo;
    unsigned  v;

    if (s.len != prefix.len + 1 + LY_ID_BASE32 || !ly_str_starts(s, prefix)
        || s.data[prefix.len] != '_')
    {
        return LY_PARSE;
    }

    s = ly_str_of(s.data + prefix.len + 1, LY_ID_BASE32);

    if (s.data[0] > '7') {
        return LY_PARSE;
    }

    hi = 0;
    lo = 0;

    for (i = 0; i < LY_ID_BASE32; i++) {
        v = ly_id_value(s.data[i]);

        if (v > 31) {
            return LY_PARSE;
        }

        hi = hi << 5 | lo >> 59;
        lo = lo << 5 | v;
    }

    ly_be64_put(out->b, hi);
    ly_be64_put(out->b + 8, lo);

    return LY_OK;
}
