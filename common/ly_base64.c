#include "ly_base64.h"
#include "ly_banned.h"


#define LY_BASE64_LETTERS                                                     \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const unsigned char  ly_base64_std[] = LY_BASE64_LETTERS "+/";
static const unsigned char  ly_base64_url[] = LY_BASE64_LETTERS "-_";


static size_t
ly_base64_text(const unsigned char *alphabet, ly_str_t data,
    unsigned char *out)
{
    size_t          i;
    uint32_t        v;
    unsigned char  *p;

    p = out;

    for (i = 0; data.len - i >= 3; i += 3) {
        v = (uint32_t) data.data[i] << 16 | (uint32_t) data.data[i + 1] << 8
            | data.data[i + 2];

        *p++ = alphabet[v >> 18];
        *p++ = alphabet[v >> 12 & 63];
        *p++ = alphabet[v >> 6 & 63];
        *p++ = alphabet[v & 63];
    }

    if (data.len - i == 1) {
        v = data.data[i];
        *p++ = alphabet[v >> 2];
        *p++ = alphabet[v << 4 & 63];

    } else if (data.len - i == 2) {
        v = (uint32_t) data.data[i] << 8 | data.data[i + 1];
        *p++ = alphabet[v >> 10];
        *p++ = alphabet[v >> 4 & 63];
        *p++ = alphabet[v << 2 & 63];
    }

    return (size_t) (p - out);
}


size_t
ly_base64_encode(ly_str_t data, unsigned char *out)
{
    size_t  n;

    n = ly_base64_text(ly_base64_std, data, out);

    while (n % 4 != 0) {
        out[n++] = '=';
    }

    return n;
}


size_t
ly_base64url_encode(ly_str_t data, unsigned char *out)
{
    return ly_base64_text(ly_base64_url, data, out);
}


/* 0..63, or above for a byte outside of the alphabet; no table look-up with
   what may be a secret */
static uint32_t
ly_base64_value(unsigned char c, unsigned char c62, unsigned char c63)
{
    uint32_t  v;

    v = 0xff;
    v = (c >= 'A' && c <= 'Z') ? (uint32_t) (c - 'A') : v;
    v = (c >= 'a' && c <= 'z') ? (uint32_t) (c - 'a' + 26) : v;
    v = (c >= '0' && c <= '9') ? (uint32_t) (c - '0' + 52) : v;
    v = c == c62 ? 62 : v;
    v = c == c63 ? 63 : v;

    return v;
}


static ly_err_t
ly_base64_bytes(const unsigned char *last2, ly_str_t data, unsigned char *out,
    size_t size, size_t *len)
{
    size_t    i, n;
    uint32_t  v, acc;
    unsigned  bits;

    if (data.len % 4 == 1) {
        return LY_PARSE;
    }

    n = data.len / 4 * 3 + (data.len % 4 == 0 ? 0 : data.len % 4 - 1);
    if (n > size) {
        return LY_LIMIT;
    }

    acc = 0;
    bits = 0;

    for (i = 0; i < data.len; i++) {
        v = ly_base64_value(data.data[i], last2[0], last2[1]);

        if (v > 63) {
            return LY_PARSE;
        }

        acc = acc << 6 | v;
        bits += 6;

        if (bits >= 8) {
            bits -= 8;
            *out++ = (unsigned char) (acc >> bits);
        }
    }

    /* bits that no byte needs must be zero: one text for one value */
    if ((acc & ((1u << bits) - 1)) != 0) {
        return LY_PARSE;
    }

    *len = n;

    return LY_OK;
}


ly_err_t
ly_base64_decode(ly_str_t data, unsigned char *out, size_t size, size_t *len)
{
    size_t  pad;

    if (data.len % 4 != 0) {
        return LY_PARSE;
    }

    pad = 0;

    while (pad < 2 && pad < data.len && data.data[data.len - pad - 1] == '=') {
        pad++;
    }

    data.len -= pad;

    return ly_base64_bytes(ly_base64_std + 62, data, out, size, len);
}


ly_err_t
ly_base64url_decode(ly_str_t data, unsigned char *out, size_t size,
    size_t *len)
{
    return ly_base64_bytes(ly_base64_url + 62, data, out, size, len);
}


void
ly_base64_put(ly_buf_t *b, ly_str_t data)
{
    unsigned char  *p;

    p = ly_buf_reserve(b, ly_base64_len(data.len));

    if (p != NULL) {
        ly_buf_commit(b, ly_base64_encode(data, p));
    }
}


void
ly_base64url_put(ly_buf_t *b, ly_str_t data)
{
    unsigned char  *p;

    p = ly_buf_reserve(b, ly_base64url_len(data.len));

    if (p != NULL) {
        ly_buf_commit(b, ly_base64url_encode(data, p));
    }
}
