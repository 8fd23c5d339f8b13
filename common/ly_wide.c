#include "ly_wide.h"
#include "ly_banned.h"


static const uint64_t  ly_wide_tens[] = {
    1ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL,
    100000000ULL, 1000000000ULL, 10000000000ULL, 100000000000ULL,
    1000000000000ULL, 10000000000000ULL, 100000000000000ULL,
    1000000000000000ULL, 10000000000000000ULL, 100000000000000000ULL,
    1000000000000000000ULL, 10000000000000000000ULL
};


ly_uint128_t
ly_wide_pow10(unsigned n)
{
    if (n < ly_countof(ly_wide_tens)) {
        return ly_wide_tens[n];
    }

    return (ly_uint128_t) ly_wide_tens[19] * ly_wide_tens[n - 19];
}


ly_wide_t
ly_wide_mul(ly_uint128_t a, ly_uint128_t b)
{
    uint64_t      a0, a1, b0, b1;
    ly_wide_t     r;
    ly_uint128_t  low, mid, cross;

    a0 = (uint64_t) a;
    a1 = (uint64_t) (a >> 64);
    b0 = (uint64_t) b;
    b1 = (uint64_t) (b >> 64);

    low = (ly_uint128_t) a0 * b0;
    mid = (ly_uint128_t) a1 * b0 + (low >> 64);
    cross = (ly_uint128_t) a0 * b1 + (uint64_t) mid;

    r.lo = (cross << 64) | (uint64_t) low;
    r.hi = (ly_uint128_t) a1 * b1 + (mid >> 64) + (cross >> 64);

    return r;
}


int
ly_wide_cmp(ly_wide_t a, ly_wide_t b)
{
    if (a.hi != b.hi) {
        return a.hi < b.hi ? -1 : 1;
    }

    return (a.lo > b.lo) - (a.lo < b.lo);
}


/* bit by bit: only what does not fit 128 bits comes here, and that is rare */
static ly_wide_t
ly_wide_div_slow(ly_wide_t a, ly_wide_t b, ly_wide_t *rem)
{
    bool       carry;
    unsigned   i;
    ly_wide_t  q, r;

    q.hi = 0;
    q.lo = 0;
    r.hi = 0;
    r.lo = 0;

    for (i = 0; i < 256; i++) {
        carry = (r.hi >> 127) != 0;

        r.hi = (r.hi << 1) | (r.lo >> 127);
        r.lo = (r.lo << 1) | (a.hi >> 127);
        a.hi = (a.hi << 1) | (a.lo >> 127);
        a.lo <<= 1;
        q.hi = (q.hi << 1) | (q.lo >> 127);
        q.lo <<= 1;

        if (carry || ly_wide_cmp(r, b) >= 0) {
            r.hi = r.hi - b.hi - (r.lo < b.lo);
            r.lo -= b.lo;
            q.lo |= 1;
        }
    }

    *rem = r;

    return q;
}


ly_wide_t
ly_wide_div(ly_wide_t a, ly_wide_t b, ly_wide_t *rem)
{
    ly_wide_t  q;

    if (a.hi != 0 || b.hi != 0) {
        return ly_wide_div_slow(a, b, rem);
    }

    q.hi = 0;
    rem->hi = 0;

    if ((a.lo >> 64) == 0 && (b.lo >> 64) == 0) {
        q.lo = (uint64_t) a.lo / (uint64_t) b.lo;
        rem->lo = (uint64_t) a.lo % (uint64_t) b.lo;
        return q;
    }

    q.lo = a.lo / b.lo;
    rem->lo = a.lo % b.lo;

    return q;
}
