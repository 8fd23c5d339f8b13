/*
 * Exact decimals: a 128-bit coefficient and a scale, value = coef / 10^scale.
 * Every result is exact, or rounded by a named mode to a named scale, or
 * LY_OVERFLOW: never a wrong number.  Zero has no sign.
 */

#ifndef LY_DECIMAL_H_INCLUDED_
#define LY_DECIMAL_H_INCLUDED_

#include "ly_base.h"


__extension__ typedef __int128           ly_int128_t;
__extension__ typedef unsigned __int128  ly_uint128_t;

#define LY_DEC_SCALE_MAX   18
#define LY_DEC_DIGITS_MAX  38       /* |coef| < 10^38 */

/* sign, 38 digits, point, and a leading zero */
#define LY_DEC_TEXT        42


typedef struct {
    ly_int128_t  coef;
    unsigned     scale;
} ly_dec_t;


/* ties of the half modes: half_up goes away from zero */
typedef enum {
    LY_ROUND_TRUNC = 0,
    LY_ROUND_FLOOR,
    LY_ROUND_CEIL,
    LY_ROUND_HALF_UP,
    LY_ROUND_HALF_EVEN
} ly_round_e;

/* "trunc", "floor", "ceil", "half_up", "half_even"; else LY_PARSE */
ly_must_check ly_err_t ly_round_parse(ly_str_t name, ly_round_e *mode);
const char *ly_round_name(ly_round_e mode);


/*
 * -?(0|[1-9][0-9]*)(\.[0-9]{1,max_scale})?, the whole input: no plus, no
 * exponent, no space, no bare point.  The scale is the number of digits
 * written behind the point ("2.50" has 2).  max_scale <= LY_DEC_SCALE_MAX; 0
 * refuses a point.  LY_PARSE, LY_OVERFLOW past 38 digits.
 */
ly_must_check ly_err_t ly_dec_parse(ly_str_t s, unsigned max_scale,
    ly_dec_t *out);

/* as orders send it: up to six places */
#define LY_DEC_MONEY_SCALE  6

ly_dec_t ly_dec_int(int64_t v);

/* v / 10^scale, as minor units of money; scale <= LY_DEC_SCALE_MAX */
ly_dec_t ly_dec_scaled(int64_t v, unsigned scale);

/*
 * Exact, at the larger of the two scales; LY_OVERFLOW if the result, or an
 * operand brought to that scale, does not fit.
 */
ly_must_check ly_err_t ly_dec_add(ly_dec_t a, ly_dec_t b, ly_dec_t *out);
ly_must_check ly_err_t ly_dec_sub(ly_dec_t a, ly_dec_t b, ly_dec_t *out);

/* the exact product or quotient, rounded once to scale */
ly_must_check ly_err_t ly_dec_mul(ly_dec_t a, ly_dec_t b, unsigned scale,
    ly_round_e mode, ly_dec_t *out);
ly_must_check ly_err_t ly_dec_div(ly_dec_t a, ly_dec_t b, unsigned scale,
    ly_round_e mode, ly_dec_t *out);        /* b zero: LY_DENIED */

/* exact; LY_OVERFLOW if the product needs more than LY_DEC_SCALE_MAX places */
ly_must_check ly_err_t ly_dec_mul_exact(ly_dec_t a, ly_dec_t b, ly_dec_t *out);

/* a - trunc(a / b) * b, exact, sign of a; b zero: LY_DENIED */
ly_must_check ly_err_t ly_dec_mod(ly_dec_t a, ly_dec_t b, ly_dec_t *out);

ly_must_check ly_err_t ly_dec_rescale(ly_dec_t a, unsigned scale,
    ly_round_e mode, ly_dec_t *out);

/* never fails: |coef| < 10^38 is symmetric */
ly_dec_t ly_dec_neg(ly_dec_t a);

/* exact order of any two: -1, 0, 1 */
int ly_dec_cmp(ly_dec_t a, ly_dec_t b);

/* -1, 0, 1 */
int ly_dec_sign(ly_dec_t a);

/* the same value in the smallest scale: 2.50 -> 2.5, 0.00 -> 0 */
ly_dec_t ly_dec_strip(ly_dec_t a);

/* rounded to an integer; LY_OVERFLOW past int64 */
ly_must_check ly_err_t ly_dec_int64(ly_dec_t a, ly_round_e mode, int64_t *out);

/* text into out (LY_DEC_TEXT bytes), all places of the scale; its length */
size_t ly_dec_print(ly_dec_t a, unsigned char *out);


#endif /* LY_DECIMAL_H_INCLUDED_ */
