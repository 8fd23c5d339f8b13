/* An event's, a state's, a catalogue's and a trace's bytes. */

#include "worker/rule/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const char  document[] = "{\"trigger\":{\"event\":\"order.paid\"},"
                                "\"condition\":{\"and\":[{\"some\":[{\"var\":"
                                "\"order.lines\"},{\"in\":["
                                "\"home\",{\"var\":\"categories\"}]}]},{\"!\""
                                ":[{\"birthday\":[{\"var\":"
                                "\"member.birthday\"},{\"var\":\"now\"}]}]}]}"
                                ",\"effects\":[{\"type\":"
                                "\"rate\",\"wallet\":\"p\",\"points\":1,\"per"
                                "\":{\"amount\":\"1\"}}]}";


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ly_str_t           s;
    ly_arena_t        *a;
    rule_run_t         run = { NULL, NULL, 0 };
    rule_input_t      *in;
    rule_verify_t      v;
    rule_result_t      r;
    rule_faults_t      f;
    rule_options_t     options = { .trace = true, .steps = 20000 };
    rule_program_t    *p;
    rule_catalogue_t  *c, *other;

    a = ly_arena_create((size_t) 256 << 20, NULL);
    s = ly_str_of(data, size);

    if (a == NULL || rule_catalogue_default(a, &c) != LY_OK
        || rule_compile(a, ly_str_of(document, sizeof(document) - 1), c, 0,
                        &p, &f) != LY_OK
        || rule_input_create(a, c, ly_zone_utc(), ly_str("UTC"), &in)
        != LY_OK)
    {
        __builtin_trap();
    }

    run.program = p;
    (void) !rule_input_state(in, s);

    if (rule_input_event(in, s) == LY_OK
        && rule_evaluate(a, in, &run, 1, &options, &r) == LY_OK
        && r.outcome != RULE_ERROR
        && (rule_trace_verify(a, r.trace, p, c, ly_zone_utc(), &v) != LY_OK
            || !v.same))
    {
        __builtin_trap();
    }

    (void) !rule_catalogue_parse(a, s, &other, &f);
    (void) !rule_trace_verify(a, s, p, c, ly_zone_utc(), &v);
    ly_arena_destroy(a);

    return 0;
}
