/*
 * Numbers of the engine: common's decimals held in minimal form, and the
 * fast ways for what shops send.
 */

#include "rule_int.h"
#include "../../common/ly_banned.h"


#define RULE_NUM_TEXT  512      /* bytes of a number's text, at most */


const int64_t  rule_pow10[RULE_POW10_N] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
    10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000,
    1000000000000000, 10000000000000000, 100000000000000000,
    1000000000000000000
};


/* does the coefficient fit 64 bits, as all that shops send does */
static inline bool
rule_small(ly_dec_t d)
{
    return d.coef == (int64_t) d.coef;
}


uint32_t
rule_currency(ly_str_t s)
{
    size_t    i;
    uint32_t  c;

    if (s.len != 3) {
        return 0;
    }

    c = 0;

    for (i = 0; i < 3; i++) {
        if (s.data[i] < 'A' || s.data[i] > 'Z') {
            return 0;
        }

        c = c << 8 | s.data[i];
    }

    return c;
}


unsigned
rule_currency_places(uint32_t currency)
{
    size_t         i;
    unsigned char  text[3];

    static const char  none[] = "BIFCLPDJFGNFISKJPYKMFKRWPYGRWFUGXUYIVNDVUV"
                                "XAFXOFXPF";
    static const char  three[] = "BHDIQDJODKWDLYDOMRTND";
    static const char  four[] = "CLFUYW";

    rule_currency_text(currency, text);

    for (i = 0; i + 3 < sizeof(none); i += 3) {
        if (memcmp(none + i, text, 3) == 0) {
            return 0;
        }
    }

    for (i = 0; i + 3 < sizeof(three); i += 3) {
        if (memcmp(three + i, text, 3) == 0) {
            return 3;
        }
    }

    for (i = 0; i + 3 < sizeof(four); i += 3) {
        if (memcmp(four + i, text, 3) == 0) {
            return 4;
        }
    }

    return 2;
}


ly_dec_t
rule_num_zeros(ly_dec_t a)
{
    int64_t  v;

    if (rule_small(a)) {
        v = (int64_t) a.coef;

        while (a.scale > 0 && v % 10 == 0) {
            v /= 10;
            a.scale--;
        }

        a.coef = v;
        return a;
    }

    return ly_dec_strip(a);
}


/* brings the coefficients of two scales to one; false: take the long way */
static bool
rule_num_align(ly_dec_t *a, ly_dec_t *b)
{
    unsigned   n;
    ly_dec_t  *low;

    low = a->scale < b->scale ? a : b;
    n = a->scale < b->scale ? b->scale - a->scale : a->scale - b->scale;

    if (n >= RULE_POW10_N || !rule_small(*a) || !rule_small(*b)) {
        return false;
    }

    low->coef *= rule_pow10[n];

    return true;
}


/* what does not go within 64 bits */
static rule_apart bool
rule_num_sum_wide(ly_int128_t a, unsigned a_scale, ly_int128_t b,
    unsigned b_scale, ly_dec_t *out)
{
    ly_dec_t  x, y;

    x.coef = a;
    x.scale = a_scale;
    y.coef = b;
    y.scale = b_scale;

    if (ly_dec_add(x, y, out) != LY_OK) {
        return false;
    }

    *out = rule_num_strip(*out);

    return true;
}


bool
rule_num_sum(ly_int128_t a, unsigned a_scale, ly_int128_t b,
    unsigned b_scale, ly_dec_t *out)
{
    bool      wide;
    int64_t   x, y;
    unsigned  scale;

    x = (int64_t) a;
    y = (int64_t) b;
    wide = x != a || y != b;
    scale = a_scale > b_scale ? a_scale : b_scale;

    if (a_scale < b_scale) {
        wide |= __builtin_mul_overflow(x, rule_pow10[b_scale - a_scale], &x);

    } else if (b_scale < a_scale) {
        wide |= __builtin_mul_overflow(y, rule_pow10[a_scale - b_scale], &y);
    }

    if (wide || __builtin_add_overflow(x, y, &x)) {
        return rule_num_sum_wide(a, a_scale, b, b_scale, out);
    }

    while (scale > 0 && (x & 1) == 0 && x % 10 == 0) {
        x /= 10;
        scale--;
    }

    out->coef = x;
    out->scale = scale;

    return true;
}


/* the product of the coefficients is bounded before zeros are dropped */
bool
rule_num_mul(ly_dec_t a, ly_dec_t b, ly_dec_t *out)
{
    ly_dec_t     r;
    ly_int128_t  limit;

    r.scale = a.scale + b.scale;
    limit = (ly_int128_t) 10000000000000000000ULL
            * (ly_int128_t) 10000000000000000000ULL;

    if (rule_small(a) && rule_small(b)) {

        /* at most 2^126, which is below the limit of 10^38 */
        r.coef = (ly_int128_t) (int64_t) a.coef * (int64_t) b.coef;

    } else if (__builtin_mul_overflow(a.coef, b.coef, &r.coef)
               || r.coef >= limit || r.coef <= -limit)
    {
        return false;
    }

    if (r.coef == 0) {
        r.scale = 0;
    }

    if (r.scale <= LY_DEC_SCALE_MAX) {
        *out = rule_num_strip(r);
        return true;
    }

    while (r.scale > 0 && r.coef % 10 == 0) {
        r.coef /= 10;
        r.scale--;
    }

    *out = r;

    return r.scale <= LY_DEC_SCALE_MAX;
}


int
rule_num_cmp(ly_dec_t a, ly_dec_t b)
{
    if (a.scale == b.scale) {
        return a.coef < b.coef ? -1 : a.coef > b.coef;
    }

    if (rule_num_align(&a, &b)) {
        return a.coef < b.coef ? -1 : a.coef > b.coef;
    }

    return ly_dec_cmp(a, b);
}


typedef struct {
    const unsigned char  *p;
    const unsigned char  *end;
    unsigned              n;        /* digits kept, without leading zeros */
    int                   places;
    unsigned char         digit[RULE_NUM_TEXT];
} rule_digits_t;


static size_t
rule_digits(rule_digits_t *d, int places)
{
    size_t  n;

    for (n = 0; d->p < d->end && *d->p >= '0' && *d->p <= '9'; n++) {
        if (d->n > 0 || *d->p != '0') {
            d->digit[d->n++] = (unsigned char) (*d->p - '0');
        }

        d->places += places;
        d->p++;
    }

    return n;
}


static ly_err_t
rule_exponent(rule_digits_t *d, int *exp)
{
    int   sign;
    bool  any;

    sign = 1;
    *exp = 0;
    any = false;
    d->p++;

    if (d->p < d->end && (*d->p == '+' || *d->p == '-')) {
        sign = *d->p == '-' ? -1 : 1;
        d->p++;
    }

    while (d->p < d->end && *d->p >= '0' && *d->p <= '9') {
        if (*exp < 100000) {
            *exp = *exp * 10 + (*d->p - '0');
        }

        any = true;
        d->p++;
    }

    *exp *= sign;

    return any ? LY_OK : LY_PARSE;
}


static ly_err_t
rule_num_make(rule_digits_t *d, int exp, bool negative, ly_dec_t *out)
{
    int       e;
    unsigned  i;

    e = exp - d->places;
    out->coef = 0;
    out->scale = 0;

    while (d->n > 0 && d->digit[d->n - 1] == 0) {
        d->n--;
        e++;
    }

    if (d->n == 0) {
        return LY_OK;
    }

    if (d->n > LY_DEC_DIGITS_MAX || e < -LY_DEC_SCALE_MAX
        || (e > 0 && (int) d->n + e > LY_DEC_DIGITS_MAX))
    {
        return LY_OVERFLOW;
    }

    for (i = 0; i < d->n; i++) {
        out->coef = out->coef * 10 + d->digit[i];
    }

    for (/* void */; e > 0; e--) {
        out->coef *= 10;
    }

    out->scale = (unsigned) -e;

    if (negative) {
        out->coef = -out->coef;
    }

    return LY_OK;
}


/* up to 18 digits and no exponent: what all real orders hold */
static bool
rule_num_fast(ly_str_t s, ly_dec_t *out)
{
    bool      negative;
    size_t    i, digits;
    int64_t   v;
    unsigned  scale;

    negative = s.len > 0 && s.data[0] == '-';
    i = negative;

    if (s.len - i > 18 || s.len == i || s.data[i] < '0' || s.data[i] > '9'
        || (s.data[i] == '0' && s.len > i + 1 && s.data[i + 1] != '.'))
    {
        return false;
    }

    v = 0;

    for (/* void */; i < s.len && s.data[i] >= '0' && s.data[i] <= '9'; i++)
    {
        v = v * 10 + (s.data[i] - '0');
    }

    scale = 0;

    if (i < s.len) {
        if (s.data[i++] != '.') {
            return false;
        }

        digits = i;

        for (/* void */; i < s.len; i++, scale++) {
            if (s.data[i] < '0' || s.data[i] > '9') {
                return false;
            }

            v = v * 10 + (s.data[i] - '0');
        }

        if (i == digits) {
            return false;
        }
    }

    out->coef = negative ? -v : v;
    out->scale = scale;
    *out = rule_num_strip(*out);

    return true;
}


ly_err_t
rule_num_parse(ly_str_t s, bool json, ly_dec_t *out)
{
    int                   exp;
    bool                  negative;
    rule_digits_t         d;
    const unsigned char  *first;

    if (rule_num_fast(s, out)) {
        return LY_OK;
    }

    if (s.len == 0 || s.len > RULE_NUM_TEXT) {
        return s.len == 0 ? LY_PARSE : LY_OVERFLOW;
    }

    d.p = s.data;
    d.end = s.data + s.len;
    d.n = 0;
    d.places = 0;
    exp = 0;

    negative = *d.p == '-';
    d.p += negative;
    first = d.p;

    if (rule_digits(&d, 0) == 0 || (*first == '0' && d.p - first > 1)) {
        return LY_PARSE;
    }

    if (d.p < d.end && *d.p == '.') {
        d.p++;

        if (rule_digits(&d, 1) == 0) {
            return LY_PARSE;
        }
    }

    if (json && d.p < d.end && (*d.p == 'e' || *d.p == 'E')
        && rule_exponent(&d, &exp) != LY_OK)
    {
        return LY_PARSE;
    }

    if (d.p != d.end) {
        return LY_PARSE;
    }

    return rule_num_make(&d, exp, negative, out);
}
