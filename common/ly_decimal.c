#include <string.h>

#include "ly_decimal.h"
#include "ly_wide.h"
#include "ly_banned.h"


static const char *const  ly_round_names[] = {
    "trunc", "floor", "ceil", "half_up", "half_even"
};


ly_err_t
ly_round_parse(ly_str_t name, ly_round_e *mode)
{
    size_t  i;

    for (i = 0; i < ly_countof(ly_round_names); i++) {
        if (ly_str_eq(name, ly_str_c(ly_round_names[i]))) {
            *mode = (ly_round_e) i;
            return LY_OK;
        }
    }

    return LY_PARSE;
}


const char *
ly_round_name(ly_round_e mode)
{
    if ((size_t) mode >= ly_countof(ly_round_names)) {
        return "unknown";
    }

    return ly_round_names[mode];
}


static ly_uint128_t
ly_dec_abs(ly_int128_t v)
{
    return v < 0 ? 0 - (ly_uint128_t) v : (ly_uint128_t) v;
}


/* the signed decimal of a magnitude, if it is below 10^38 */
static ly_err_t
ly_dec_pack(ly_wide_t v, bool negative, unsigned scale, ly_dec_t *out)
{
    if (v.hi != 0 || v.lo >= ly_wide_pow10(LY_DEC_DIGITS_MAX)) {
        return LY_OVERFLOW;
    }

    out->coef = negative ? -(ly_int128_t) v.lo : (ly_int128_t) v.lo;
    out->scale = scale;

    return LY_OK;
}


/* does the magnitude q, with what is left of the division, go up by one? */
static bool
ly_dec_round_up(ly_wide_t q, ly_wide_t rem, ly_wide_t divisor, bool negative,
    ly_round_e mode)
{
    int        half;
    ly_wide_t  rest;

    if (rem.hi == 0 && rem.lo == 0) {
        return false;
    }

    switch (mode) {

    case LY_ROUND_FLOOR:
        return negative;

    case LY_ROUND_CEIL:
        return !negative;

    case LY_ROUND_HALF_UP:
    case LY_ROUND_HALF_EVEN:
        rest.hi = divisor.hi - rem.hi - (divisor.lo < rem.lo);
        rest.lo = divisor.lo - rem.lo;
        half = ly_wide_cmp(rem, rest);

        if (half != 0 || mode == LY_ROUND_HALF_UP) {
            return half >= 0;
        }

        return (q.lo & 1) != 0;

    default: /* LY_ROUND_TRUNC */
        return false;
    }
}


/* a / b rounded to an integer coefficient of the scale */
static ly_err_t
ly_dec_quotient(ly_wide_t a, ly_wide_t b, bool negative, unsigned scale,
    ly_round_e mode, ly_dec_t *out)
{
    ly_wide_t  q, rem;

    q = ly_wide_div(a, b, &rem);

    if (ly_dec_round_up(q, rem, b, negative, mode)) {

        /* past 2^128 it is refused below in any case */
        q.lo++;
        q.hi += q.lo == 0;
    }

    return ly_dec_pack(q, negative, scale, out);
}


static ly_wide_t
ly_dec_wide(ly_uint128_t v)
{
    ly_wide_t  w;

    w.hi = 0;
    w.lo = v;

    return w;
}


ly_err_t
ly_dec_parse(ly_str_t s, unsigned max_scale, ly_dec_t *out)
{
    bool           negative, point;
    size_t         i, digits;
    unsigned       scale;
    ly_uint128_t   v;
    unsigned char  c;

    i = s.len != 0 && s.data[0] == '-';
    negative = i != 0;
    point = false;
    scale = 0;
    digits = 0;
    v = 0;

    /* one leading zero, only right before the point or the end */
    if (s.len - i > 1 && s.data[i] == '0' && s.data[i + 1] != '.') {
        return LY_PARSE;
    }

    for (; i < s.len; i++) {
        c = s.data[i];

        if (c == '.' && !point && digits != 0) {
            point = true;
            continue;
        }

        if (c < '0' || c > '9') {
            return LY_PARSE;
        }

        digits++;
        scale += point;

        if (scale > max_scale || scale > LY_DEC_SCALE_MAX) {
            return LY_PARSE;
        }

        if (v >= ly_wide_pow10(LY_DEC_DIGITS_MAX - 1)) {

            /* the rest must still be of the form to be called an overflow */
            v = ly_wide_pow10(LY_DEC_DIGITS_MAX);
            continue;
        }

        v = v * 10 + (unsigned) (c - '0');
    }

    if (digits == 0 || (point && scale == 0)) {
        return LY_PARSE;
    }

    return ly_dec_pack(ly_dec_wide(v), negative, scale, out);
}


ly_dec_t
ly_dec_int(int64_t v)
{
    return ly_dec_scaled(v, 0);
}


ly_dec_t
ly_dec_scaled(int64_t v, unsigned scale)
{
    ly_dec_t  d;

    d.coef = v;
    d.scale = scale;

    return d;
}


/* the coefficient at a scale no smaller than its own */
static ly_err_t
ly_dec_align(ly_dec_t a, unsigned scale, ly_int128_t *out)
{
    ly_err_t  rc;
    ly_dec_t  d;

    if (a.scale == scale) {
        *out = a.coef;
        return LY_OK;
    }

    rc = ly_dec_pack(ly_wide_mul(ly_dec_abs(a.coef),
                                 ly_wide_pow10(scale - a.scale)),
                     a.coef < 0, scale, &d);
    if (rc != LY_OK) {
        return rc;
    }

    *out = d.coef;

    return LY_OK;
}


ly_err_t
ly_dec_add(ly_dec_t a, ly_dec_t b, ly_dec_t *out)
{
    ly_err_t     rc;
    unsigned     scale;
    ly_int128_t  x, y;

    scale = a.scale > b.scale ? a.scale : b.scale;

    rc = ly_dec_align(a, scale, &x);
    if (rc != LY_OK) {
        return rc;
    }

    rc = ly_dec_align(b, scale, &y);
    if (rc != LY_OK) {
        return rc;
    }

    /* twice 10^38 is past int128 */
    if (__builtin_add_overflow(x, y, &x)) {
        return LY_OVERFLOW;
    }

    return ly_dec_pack(ly_dec_wide(ly_dec_abs(x)), x < 0, scale, out);
}


ly_err_t
ly_dec_sub(ly_dec_t a, ly_dec_t b, ly_dec_t *out)
{
    return ly_dec_add(a, ly_dec_neg(b), out);
}


ly_err_t
ly_dec_mul(ly_dec_t a, ly_dec_t b, unsigned scale, ly_round_e mode,
    ly_dec_t *out)
{
    bool       negative;
    unsigned   places;
    ly_wide_t  product;

    negative = (a.coef < 0) != (b.coef < 0);
    places = a.scale + b.scale;
    product = ly_wide_mul(ly_dec_abs(a.coef), ly_dec_abs(b.coef));

    if (places > scale) {
        return ly_dec_quotient(product,
                               ly_dec_wide(ly_wide_pow10(places - scale)),
                               negative, scale, mode, out);
    }

    if (product.hi != 0) {
        return LY_OVERFLOW;
    }

    product = ly_wide_mul(product.lo, ly_wide_pow10(scale - places));

    return ly_dec_pack(product, negative, scale, out);
}


ly_err_t
ly_dec_mul_exact(ly_dec_t a, ly_dec_t b, ly_dec_t *out)
{
    bool       negative;
    unsigned   scale;
    ly_wide_t  product, q, rem;

    negative = (a.coef < 0) != (b.coef < 0);
    scale = a.scale + b.scale;
    product = ly_wide_mul(ly_dec_abs(a.coef), ly_dec_abs(b.coef));

    /* zeros at the end that the scale or the digits have no room for */
    while (scale > LY_DEC_SCALE_MAX
           || (scale > 0 && ly_dec_pack(product, negative, 0, out) != LY_OK))
    {
        q = ly_wide_div(product, ly_dec_wide(10), &rem);

        if (rem.lo != 0) {
            return LY_OVERFLOW;
        }

        product = q;
        scale--;
    }

    return ly_dec_pack(product, negative, scale, out);
}


ly_err_t
ly_dec_div(ly_dec_t a, ly_dec_t b, unsigned scale, ly_round_e mode,
    ly_dec_t *out)
{
    bool       negative;
    unsigned   up;
    ly_wide_t  x, y;

    if (b.coef == 0) {
        return LY_DENIED;
    }

    negative = (a.coef < 0) != (b.coef < 0);
    up = b.scale + scale;

    if (up >= a.scale) {
        x = ly_wide_mul(ly_dec_abs(a.coef), ly_wide_pow10(up - a.scale));
        y = ly_dec_wide(ly_dec_abs(b.coef));

    } else {
        x = ly_dec_wide(ly_dec_abs(a.coef));
        y = ly_wide_mul(ly_dec_abs(b.coef), ly_wide_pow10(a.scale - up));
    }

    return ly_dec_quotient(x, y, negative, scale, mode, out);
}


/* both magnitudes at the larger of the two scales */
static unsigned
ly_dec_common(ly_dec_t a, ly_dec_t b, ly_wide_t *x, ly_wide_t *y)
{
    unsigned  scale;

    scale = a.scale > b.scale ? a.scale : b.scale;
    *x = ly_wide_mul(ly_dec_abs(a.coef), ly_wide_pow10(scale - a.scale));
    *y = ly_wide_mul(ly_dec_abs(b.coef), ly_wide_pow10(scale - b.scale));

    return scale;
}


ly_err_t
ly_dec_mod(ly_dec_t a, ly_dec_t b, ly_dec_t *out)
{
    unsigned   scale;
    ly_wide_t  x, y, rem;

    if (b.coef == 0) {
        return LY_DENIED;
    }

    scale = ly_dec_common(a, b, &x, &y);
    (void) ly_wide_div(x, y, &rem);

    return ly_dec_pack(rem, a.coef < 0, scale, out);
}


ly_err_t
ly_dec_rescale(ly_dec_t a, unsigned scale, ly_round_e mode, ly_dec_t *out)
{
    ly_dec_t  one;

    one.coef = 1;
    one.scale = 0;

    return ly_dec_mul(a, one, scale, mode, out);
}


ly_dec_t
ly_dec_neg(ly_dec_t a)
{
    a.coef = -a.coef;

    return a;
}


int
ly_dec_sign(ly_dec_t a)
{
    return (a.coef > 0) - (a.coef < 0);
}


int
ly_dec_cmp(ly_dec_t a, ly_dec_t b)
{
    int        rc;
    ly_wide_t  x, y;

    if (a.scale == b.scale) {
        return (a.coef > b.coef) - (a.coef < b.coef);
    }

    if (ly_dec_sign(a) != ly_dec_sign(b)) {
        return ly_dec_sign(a) < ly_dec_sign(b) ? -1 : 1;
    }

    (void) ly_dec_common(a, b, &x, &y);
    rc = ly_wide_cmp(x, y);

    return a.coef < 0 ? -rc : rc;
}


ly_dec_t
ly_dec_strip(ly_dec_t a)
{
    while (a.scale > 0 && a.coef % 10 == 0) {
        a.coef /= 10;
        a.scale--;
    }

    return a;
}


ly_err_t
ly_dec_int64(ly_dec_t a, ly_round_e mode, int64_t *out)
{
    ly_err_t  rc;
    ly_dec_t  d;

    rc = ly_dec_rescale(a, 0, mode, &d);
    if (rc != LY_OK) {
        return rc;
    }

    if (d.coef > INT64_MAX || d.coef < INT64_MIN) {
        return LY_OVERFLOW;
    }

    *out = (int64_t) d.coef;

    return LY_OK;
}


size_t
ly_dec_print(ly_dec_t a, unsigned char *out)
{
    size_t         n, len;
    unsigned       digits;
    ly_uint128_t   v;
    unsigned char  tmp[LY_DEC_TEXT];

    v = ly_dec_abs(a.coef);
    n = sizeof(tmp);
    digits = 0;

    do {
        if (digits == a.scale && digits != 0) {
            tmp[--n] = '.';
        }

        tmp[--n] = (unsigned char) ('0' + (unsigned) (v % 10));
        v /= 10;
        digits++;

    } while (v != 0 || digits <= a.scale);

    if (a.coef < 0) {
        tmp[--n] = '-';
    }

    len = sizeof(tmp) - n;
    memcpy(out, tmp + n, len);

    return len;
}
