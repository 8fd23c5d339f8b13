/*
 * A document: parse, check, normal form, English, evaluation, the trace back.
 * What compiles must have a normal form that is its own normal form.
 */

#include <stdlib.h>

#include "worker/rule/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const char  event[] = "{\"type\":\"order.paid\",\"source\":\"shop\","
                             "\"external_id\":\"1\",\"occurred_at\":\"2026-03"
                             "-10T12:00:00Z\",\"order\":"
                             "{\"currency\":\"GBP\",\"lines\":[{\"line_id\":"
                             "\"1\",\"sku\":\"A\","
                             "\"quantity\":2,\"unit_price\":\"10.00\",\"categ"
                             "ories\":[\"home\"]},{"
                             "\"line_id\":\"2\",\"sku\":\"B\",\"quantity\":1,"
                             "\"unit_price\":\"30.00\"}"
                             "]}}";


static void
must(bool good)
{
    if (!good) {
        abort();
    }
}


static void
evaluate(ly_arena_t *a, const rule_catalogue_t *c, const rule_program_t *p)
{
    ly_err_t        err;
    rule_run_t      run = { p, NULL, 0 };
    rule_input_t   *in;
    rule_verify_t   v;
    rule_result_t   r;
    rule_options_t  options = { .trace = true, .steps = 20000 };

    if (rule_input_create(a, c, ly_zone_utc(), ly_str("UTC"), &in) != LY_OK
        || rule_input_event(in, ly_str_of(event, sizeof(event) - 1)) != LY_OK)
    {
        return;
    }

    err = rule_evaluate(a, in, &run, 1, &options, &r);

    if (err != LY_OK || r.outcome == RULE_ERROR) {
        return;
    }

    if (rule_trace_verify(a, r.trace, p, c, ly_zone_utc(), &v) == LY_OK
        && ly_arena_used(a) < (size_t) 100 << 20)
    {
        must(v.same && v.points == r.points);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ly_buf_t           b, again;
    ly_arena_t        *a;
    rule_faults_t      f;
    rule_program_t    *p;
    rule_catalogue_t  *c;

    a = ly_arena_create((size_t) 256 << 20, NULL);

    if (a == NULL || rule_catalogue_default(a, &c) != LY_OK) {
        return 0;
    }

    if (rule_compile(a, ly_str_of(data, size), c, 0, &p, &f) == LY_OK) {
        evaluate(a, c, p);
        ly_buf_init_arena(&b, a, 8 << 20);
        ly_buf_init_arena(&again, a, 8 << 20);
        must(rule_normalise(a, ly_str_of(data, size), c, &b, &f) == LY_OK);

        /* a normal form may outgrow the bound of documents */
        if (b.len <= RULE_DOCUMENT_MAX) {
            must(rule_normalise(a, ly_buf_view(&b), c, &again, &f) == LY_OK);
            must(ly_str_eq(ly_buf_view(&b), ly_buf_view(&again)));
        }

        ly_buf_init_arena(&b, a, 8 << 20);
        must(rule_english(a, ly_str_of(data, size), c, &b, &f) == LY_OK);
    }

    ly_arena_destroy(a);

    return 0;
}
