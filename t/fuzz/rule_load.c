/*
 * A saved program with whatever bytes, under a good checksum: refused, or
 * safe to run.
 */

#include <string.h>

#include "ly_crypto.h"
#include "worker/rule/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const char  document[] = "{\"trigger\":{\"event\":\"order.paid\"},"
                                "\"condition\":{\"and\":[{\"some\":[{\"filter"
                                "\":[{\"var\":\"order.lines\"}"
                                ",{\">\":[{\"var\":\"quantity\"},1]}]},{\"in"
                                "\":[\"home\",{\"var\":"
                                "\"categories\"}]}]},{\"if\":[{\"in\":[{\"var"
                                "\":\"member.tier\"},[\"a\","
                                "\"b\"]]},true,{\">\":[{\"sum\":[{\"var\":\"o"
                                "rder.lines\"},{\"var\":"
                                "\"total\"}]},1]}]}]},\"effects\":[{\"type\":"
                                "\"rate\",\"wallet\":\"p\","
                                "\"points\":1,\"per\":{\"amount\":\"1\"}},{\""
                                "type\":\"line_bonus\","
                                "\"wallet\":\"p\",\"points\":2,\"where\":{\"s"
                                "tarts\":[{\"var\":\"sku\"},"
                                "\"A\"]}}]}";

static const char  event[] = "{\"type\":\"order.paid\",\"source\":\"shop\","
                             "\"occurred_at\":\"2026-03-10T12:00:00Z\",\"orde"
                             "r\":{\"currency\":\"GBP\","
                             "\"lines\":[{\"line_id\":\"1\",\"sku\":\"A\",\"q"
                             "uantity\":2,\"unit_price\""
                             ":\"10.00\",\"categories\":[\"home\"]}]}}";


/* the input is a list of changes: where (2 bytes), what (1 byte) */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             at;
    ly_buf_t           b;
    ly_arena_t        *a;
    rule_run_t         run;
    rule_input_t      *in;
    rule_result_t      r;
    rule_faults_t      f;
    rule_options_t     options = { .trace = true, .steps = 20000 };
    rule_program_t    *p;
    rule_catalogue_t  *c;

    static ly_crypto_t  *crypto;

    if (crypto == NULL) {
        crypto = ly_crypto_create();
    }

    a = ly_arena_create((size_t) 64 << 20, NULL);

    if (a == NULL || crypto == NULL
        || rule_catalogue_default(a, &c) != LY_OK
        || rule_compile(a, ly_str_of(document, sizeof(document) - 1), c, 0,
                        &p, &f) != LY_OK)
    {
        __builtin_trap();
    }

    ly_buf_init_arena(&b, a, 1 << 20);

    if (rule_program_save(p, &b) != LY_OK) {
        __builtin_trap();
    }

    for (/* void */; size >= 3; size -= 3, data += 3) {
        at = 48 + (size_t) (data[0] << 8 | data[1]) % (b.len - 48);
        b.data[at] ^= data[2];
    }

    if (ly_sha256(crypto, ly_str_of(b.data + 48, b.len - 48), b.data + 8)
        == LY_OK
        && rule_program_load(a, ly_buf_view(&b), c, &p) == LY_OK
        && rule_input_create(a, c, ly_zone_utc(), ly_str("UTC"), &in) == LY_OK
        && rule_input_event(in, ly_str_of(event, sizeof(event) - 1)) == LY_OK)
    {
        memset(&run, 0, sizeof(run));
        run.program = p;
        (void) !rule_evaluate(a, in, &run, 1, &options, &r);
    }

    ly_arena_destroy(a);

    return 0;
}
