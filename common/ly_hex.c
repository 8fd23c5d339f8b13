#include "ly_hex.h"
#include "ly_banned.h"


size_t
ly_hex_encode(ly_str_t data, unsigned char *out)
{
    size_t  i;

    static const unsigned char  digits[] = "0123456789abcdef";

    for (i = 0; i < data.len; i++) {
        *out++ = digits[data.data[i] >> 4];
        *out++ = digits[data.data[i] & 15];
    }

    return 2 * data.len;
}


static int
ly_hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


ly_err_t
ly_hex_decode(ly_str_t data, unsigned char *out, size_t n)
{
    int     hi, lo;
    size_t  i;

    if (data.len % 2 != 0 || data.len / 2 != n) {
        return LY_PARSE;
    }

    for (i = 0; i < n; i++) {
        hi = ly_hex_digit(data.data[2 * i]);
        lo = ly_hex_digit(data.data[2 * i + 1]);

        if (hi < 0 || lo < 0) {
            return LY_PARSE;
        }

        out[i] = (unsigned char) (hi * 16 + lo);
    }

    return LY_OK;
}


void
ly_hex_put(ly_buf_t *b, ly_str_t data)
{
    unsigned char  *p;

    p = ly_buf_reserve(b, 2 * data.len);

    if (p != NULL) {
        ly_buf_commit(b, ly_hex_encode(data, p));
    }
}
