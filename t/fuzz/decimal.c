/* two decimals parted by a blank: text there and back, and identities */

#include "fuzz.h"
#include "ly_decimal.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t         v;
    ly_dec_t        a, b, c, d;
    ly_str_t        s, t;
    unsigned        mode, scale;
    unsigned char   text[LY_DEC_TEXT];
    const uint8_t  *blank;

    if (size < 1) {
        return 0;
    }

    mode = data[0] % 5;
    scale = (data[0] / 5) % (LY_DEC_SCALE_MAX + 1);
    blank = memchr(data, ' ', size);

    if (blank == NULL) {
        return 0;
    }

    s = ly_str_of(data + 1, blank == data ? 0 : (size_t) (blank - data) - 1);
    t = ly_str_of(blank + 1, size - (size_t) (blank - data) - 1);

    if (ly_dec_parse(s, LY_DEC_SCALE_MAX, &a) != LY_OK
        || ly_dec_parse(t, LY_DEC_SCALE_MAX, &b) != LY_OK)
    {
        return 0;
    }

    /* minus zero is the one text that changes */
    if (ly_dec_sign(a) != 0) {
        must(ly_str_eq(ly_str_of(text, ly_dec_print(a, text)), s));
    }

    must(ly_dec_cmp(a, b) == -ly_dec_cmp(b, a));
    must(ly_dec_cmp(a, ly_dec_strip(a)) == 0);
    must(ly_dec_sign(a) == ly_dec_cmp(a, ly_dec_int(0)));

    if (ly_dec_add(a, b, &c) == LY_OK && ly_dec_sub(c, b, &d) == LY_OK) {
        must(ly_dec_cmp(a, d) == 0);
    }

    if (ly_dec_mul_exact(a, b, &c) == LY_OK) {
        must(ly_dec_mul_exact(b, a, &d) == LY_OK && ly_dec_cmp(c, d) == 0);

        if (ly_dec_mul(a, b, c.scale, (ly_round_e) mode, &d) == LY_OK) {
            must(ly_dec_cmp(c, d) == 0);
        }
    }

    if (ly_dec_div(a, b, scale, LY_ROUND_FLOOR, &c) == LY_OK
        && ly_dec_div(a, b, scale, LY_ROUND_CEIL, &d) == LY_OK)
    {
        must(ly_dec_cmp(c, d) <= 0);
    }

    /* a = trunc(a / b) * b + a mod b */
    if (ly_dec_mod(a, b, &c) == LY_OK
        && ly_dec_div(a, b, 0, LY_ROUND_TRUNC, &d) == LY_OK
        && ly_dec_mul_exact(d, b, &d) == LY_OK
        && ly_dec_add(c, d, &d) == LY_OK)
    {
        must(ly_dec_cmp(a, d) == 0);
    }

    if (ly_dec_rescale(a, scale, (ly_round_e) mode, &c) == LY_OK) {
        must(c.scale == scale);
    }

    if (ly_dec_int64(a, LY_ROUND_FLOOR, &v) == LY_OK) {
        must(ly_dec_cmp(ly_dec_int(v), a) <= 0);
    }

    return 0;
}
