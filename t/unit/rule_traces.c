/*
 * Traces byte by byte: what the second implementation, in JavaScript, writes
 * for rules on one event stands in t/vectors/rules/traces.json.
 */

#include "rule_lib.h"


#define RULES_MAX  8


static void
say(const char *what, ly_str_t s)
{
    printf("# %s %.*s\n", what, (int) s.len, (const char *) s.data);
}


/* the rules of a case on its event; each trace as it should be */
static bool
traced(ly_arena_t *a, const rule_catalogue_t *cat, const ly_json_node_t *c)
{
    size_t                 i, n;
    rl_case_t              k;
    rule_run_t             runs[RULES_MAX];
    rule_result_t          results[RULES_MAX];
    rule_verify_t          v;
    rule_options_t         options;
    const ly_json_node_t  *rule, *want;

    if (!rl_case(a, cat, ly_json_member(c, ly_str("data")), &k)) {
        return false;
    }

    memset(&options, 0, sizeof(options));
    options.trace = true;
    rule = ly_json_member(c, ly_str("rules"))->first;

    for (n = 0; rule != NULL && n < RULES_MAX; rule = rule->next, n++) {
        runs[n] = k.run;
        runs[n].program = rl_compile(a, cat, rl_text(a, rule), 0);

        if (runs[n].program == NULL) {
            return false;
        }
    }

    if (rule_evaluate(a, k.in, runs, n, &options, results) != LY_OK) {
        return false;
    }

    want = ly_json_member(c, ly_str("traces"))->first;

    for (i = 0; i < n; i++, want = want->next) {
        if (!ly_str_eq(want->text, results[i].trace)) {
            say("got ", results[i].trace);
            say("want", want->text);
            return false;
        }

        if (rule_trace_verify(a, want->text, runs[i].program, cat, k.zone, &v)
            != LY_OK || !v.same || v.points != results[i].points)
        {
            say("not the same", v.trace);
            return false;
        }
    }

    return want == NULL;
}


int
main(void)
{
    unsigned               n;
    ly_str_t               name;
    ly_arena_t            *arena, *a;
    rule_faults_t          f;
    ly_json_node_t        *root;
    rule_catalogue_t      *cat, *own;
    const ly_json_node_t  *c, *facts;

    arena = ly_arena_create((size_t) 64 << 20, NULL);
    a = ly_arena_create((size_t) 64 << 20, NULL);

    if (arena == NULL || a == NULL
        || rule_catalogue_default(arena, &cat) != LY_OK)
    {
        return 1;
    }

    root = vec_ours(arena, "rules/traces.json");
    n = 0;

    for (c = root == NULL ? NULL : root->first; c != NULL; c = c->next, n++) {
        ly_arena_reset(a);
        name = vec_text(c, "name");
        facts = ly_json_member(c, ly_str("catalogue"));
        own = cat;
        ok((facts == NULL
            || rule_catalogue_parse(a, rl_text(a, facts), &own, &f) == LY_OK)
           && traced(a, own, c), "%.*s", (int) name.len,
           (const char *) name.data);
    }

    is_int(n, 28, "as many as there should be");
    ly_arena_destroy(a);
    ly_arena_destroy(arena);

    return tap_done();
}
