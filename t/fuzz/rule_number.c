/*
 * Numbers, times and durations as rules hold them: what reads, and reads
 * alike again from its normal form.
 */

#include <string.h>

#include "worker/rule/rule_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t          us, again;
    ly_dec_t         d, e;
    ly_str_t         s;
    ly_buf_t         b;
    unsigned char    mem[64], text[LY_TIME_TEXT];
    rule_duration_t  duration;

    s = ly_str_of(data, size);

    if (rule_num_parse(s, true, &d) == LY_OK) {
        ly_buf_init_fixed(&b, mem, sizeof(mem));
        rule_buf_dec(&b, d);

        if (rule_num_parse(ly_buf_view(&b), false, &e) != LY_OK
            || e.coef != d.coef || e.scale != d.scale
            || rule_num_cmp(d, e) != 0)
        {
            __builtin_trap();
        }

        if (rule_num_add(d, ly_dec_neg(d), &e) && e.coef != 0) {
            __builtin_trap();
        }

        (void) !rule_num_mul(d, d, &e);
    }

    if (ly_time_parse(s, &us) == LY_OK) {
        ly_time_print(us, text);

        if (ly_time_parse(ly_str_of(text, LY_TIME_TEXT), &again) != LY_OK
            || again != us)
        {
            __builtin_trap();
        }
    }

    (void) rule_duration_parse(s, &duration);
    (void) rule_currency(s);

    return 0;
}
