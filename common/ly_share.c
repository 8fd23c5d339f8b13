#include "ly_share.h"
#include "ly_sort.h"
#include "ly_wide.h"
#include "ly_banned.h"


typedef struct {
    ly_uint128_t  rem;
    size_t        i;
} ly_share_t;


/* the larger remainder first, then the lower index: a total order */
static int
ly_share_cmp(const void *a, const void *b)
{
    const ly_share_t  *x = a, *y = b;

    if (x->rem != y->rem) {
        return x->rem > y->rem ? -1 : 1;
    }

    return x->i < y->i ? -1 : 1;
}


/* the weights at one scale, and their sum; all zero counts as all alike */
static ly_err_t
ly_share_weights(const ly_dec_t *weights, size_t n, ly_uint128_t *w,
    ly_uint128_t *sum)
{
    size_t     i;
    unsigned   scale;
    ly_wide_t  v;

    scale = 0;

    for (i = 0; i < n; i++) {
        if (weights[i].coef < 0) {
            return LY_DENIED;
        }

        scale = weights[i].scale > scale ? weights[i].scale : scale;
    }

    *sum = 0;

    for (i = 0; i < n; i++) {
        v = ly_wide_mul((ly_uint128_t) weights[i].coef,
                        ly_wide_pow10(scale - weights[i].scale));

        if (v.hi != 0 || __builtin_add_overflow(*sum, v.lo, sum)) {
            return LY_OVERFLOW;
        }

        w[i] = v.lo;
    }

    if (*sum == 0) {
        for (i = 0; i < n; i++) {
            w[i] = 1;
        }

        *sum = n;
    }

    return LY_OK;
}


ly_err_t
ly_share_split(int64_t total, const ly_dec_t *weights, size_t n, int64_t *out,
    ly_arena_t *scratch)
{
    size_t         i, k;
    ly_err_t       rc;
    uint64_t       left, whole;
    ly_wide_t      q, rem, divisor;
    ly_share_t    *shares;
    const void   **order;
    ly_uint128_t  *w;

    if (n == 0 || n > LY_SHARE_MAX) {
        return LY_LIMIT;
    }

    w = ly_arena_alloc(scratch, n * sizeof(ly_uint128_t));
    shares = ly_arena_alloc(scratch, n * sizeof(ly_share_t));
    order = ly_arena_alloc(scratch, n * sizeof(void *));

    if (w == NULL || shares == NULL || order == NULL) {
        return LY_NOMEM;
    }

    divisor.hi = 0;

    rc = ly_share_weights(weights, n, w, &divisor.lo);
    if (rc != LY_OK) {
        return rc;
    }

    whole = total < 0 ? 0 - (uint64_t) total : (uint64_t) total;
    left = whole;

    for (i = 0; i < n; i++) {
        q = ly_wide_div(ly_wide_mul(whole, w[i]), divisor, &rem);

        /* q <= whole, and negating its wrapped value gives INT64_MIN back */
        out[i] = (int64_t) (uint64_t) q.lo;
        left -= (uint64_t) q.lo;

        shares[i].rem = rem.lo;
        shares[i].i = i;
        order[i] = &shares[i];
    }

    if (left != 0) {
        ly_sort(order, n, ly_share_cmp);
    }

    for (i = 0; i < left; i++) {
        k = ((const ly_share_t *) order[i])->i;
        out[k] = (int64_t) ((uint64_t) out[k] + 1);
    }

    for (i = 0; total < 0 && i < n; i++) {
        out[i] = (int64_t) (0 - (uint64_t) out[i]);
    }

    return LY_OK;
}


ly_err_t
ly_share_part(int64_t total, ly_dec_t part, ly_dec_t whole, int64_t *out)
{
    unsigned   scale;
    ly_wide_t  a, b, q, rem;

    if (total < 0 || part.coef < 0 || whole.coef <= 0
        || ly_dec_cmp(part, whole) > 0)
    {
        return LY_DENIED;
    }

    scale = part.scale > whole.scale ? part.scale : whole.scale;

    /* 63 + 60 bits, then 127 more: 250 */
    a = ly_wide_mul((ly_uint128_t) total * ly_wide_pow10(scale - part.scale),
                    (ly_uint128_t) part.coef);
    b = ly_wide_mul((ly_uint128_t) whole.coef,
                    ly_wide_pow10(scale - whole.scale));

    q = ly_wide_div(a, b, &rem);
    *out = (int64_t) (uint64_t) q.lo;

    return LY_OK;
}
