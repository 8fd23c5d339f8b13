/*
 * Unsigned 256-bit products and quotients, for what decimals and shares need
 * in between to stay exact.
 */

#ifndef LY_WIDE_H_INCLUDED_
#define LY_WIDE_H_INCLUDED_

#include "ly_base.h"
#include "ly_decimal.h"


typedef struct {
    ly_uint128_t  hi;
    ly_uint128_t  lo;
} ly_wide_t;


/* the whole product; never overflows */
ly_wide_t ly_wide_mul(ly_uint128_t a, ly_uint128_t b);

int ly_wide_cmp(ly_wide_t a, ly_wide_t b);

/* a = q * b + *rem; b is not zero */
ly_wide_t ly_wide_div(ly_wide_t a, ly_wide_t b, ly_wide_t *rem);

/* 10^n, n <= 38 */
ly_uint128_t ly_wide_pow10(unsigned n);


#endif /* LY_WIDE_H_INCLUDED_ */
