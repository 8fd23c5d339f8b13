/*
 * Splitting a whole number over weights by largest remainder, and the floor of
 * a fraction of it: what a refund takes back must add up to what was booked.
 */

#ifndef LY_SHARE_H_INCLUDED_
#define LY_SHARE_H_INCLUDED_

#include "ly_base.h"
#include "ly_arena.h"
#include "ly_decimal.h"


#define LY_SHARE_MAX  10000

/*
 * out[i] gets total's part by weights[i]; the parts sum to total exactly, each
 * is within one of its exact quota, a zero weight gets 0 unless all weights
 * are zero (then all count alike), and ties of the remainder go to the lowest
 * index.  A negative total is the mirror of the positive one.  Same input,
 * same output.  n is 1..LY_SHARE_MAX, else LY_LIMIT; a negative weight is
 * LY_DENIED; LY_OVERFLOW if the weights' sum does not fit; LY_NOMEM: scratch.
 */
ly_must_check ly_err_t ly_share_split(int64_t total, const ly_dec_t *weights,
    size_t n, int64_t *out, ly_arena_t *scratch);

/*
 * floor(total * part / whole) for 0 <= part <= whole, whole > 0, total >= 0,
 * without overflow in between; otherwise LY_DENIED.
 */
ly_must_check ly_err_t ly_share_part(int64_t total, ly_dec_t part,
    ly_dec_t whole, int64_t *out);


#endif /* LY_SHARE_H_INCLUDED_ */
