/*
 * t/vectors/rules/model.jsonl: a line of `loyalty rules eval`, and on the next
 * one what t/rules/reference.mjs, written from docs/rules.md alone, answers:
 * the points and the trace of each rule, byte by byte.  Then the same rules
 * the engine's other ways: saved, not folded, not traced, from their traces.
 */

#include "rule_lib.h"
#include "../../cli/rules_eval.c"


#define RULES_MAX  6

static rule_catalogue_t  *plain;


/* saved and loaded, or without folding: the same traces */
static const char *
other_way(ly_arena_t *a, const rule_catalogue_t *cat, const ly_str_t *json,
    const rule_program_t *const *p, size_t n, const ly_json_node_t *data,
    bool fold, const rule_result_t *r)
{
    size_t           i;
    ly_buf_t         b;
    rl_case_t        k;
    rule_run_t       runs[RULES_MAX];
    rule_result_t    other[RULES_MAX];
    rule_options_t   options;
    rule_program_t  *q;

    if (!rl_case(a, cat, data, &k)) {
        return "not read again";
    }

    memset(&options, 0, sizeof(options));
    options.trace = true;

    for (i = 0; i < n; i++) {
        ly_buf_init_arena(&b, a, (size_t) 1 << 20);

        if (fold) {
            if (rule_program_save(p[i], &b) != LY_OK
                || rule_program_load(a, ly_buf_view(&b), cat, &q) != LY_OK)
            {
                return "not saved and loaded";
            }

        } else {
            q = rl_compile(a, cat, json[i], RULE_NO_FOLD);

            if (q == NULL) {
                return "not compiled without folding";
            }
        }

        runs[i] = k.run;
        runs[i].program = q;
    }

    if (rule_evaluate(a, k.in, runs, n, &options, other) != LY_OK) {
        return "not evaluated again";
    }

    for (i = 0; i < n; i++) {
        if (!ly_str_eq(other[i].trace, r[i].trace)) {
            return fold ? "loaded, it has another trace"
                        : "not folded, it has another trace";
        }
    }

    return NULL;
}


/* NULL, or what is not as it should be */
static const char *
answers(ly_arena_t *a, const rule_catalogue_t *cat, const ly_str_t *json,
    size_t n, const ly_json_node_t *data, rule_result_t *r)
{
    size_t                 i;
    rl_case_t              k;
    rule_run_t             runs[RULES_MAX];
    const char            *why;
    rule_result_t          bare[RULES_MAX];
    rule_verify_t          v;
    rule_options_t         options;
    rule_program_t        *q;
    const rule_program_t  *p[RULES_MAX];

    memset(&options, 0, sizeof(options));
    options.trace = true;

    if (!rl_case(a, cat, data, &k)) {
        return "the data are not read";
    }

    for (i = 0; i < n; i++) {
        q = rl_compile(a, cat, json[i], 0);

        if (q == NULL) {
            return "not compiled";
        }

        runs[i] = k.run;
        runs[i].program = q;
        p[i] = q;
    }

    if (rule_evaluate(a, k.in, runs, n, &options, r) != LY_OK) {
        return "not evaluated";
    }

    for (i = 0; i < n; i++) {
        if (rule_trace_verify(a, r[i].trace, p[i], cat, k.zone, &v) != LY_OK
            || !v.same || v.points != r[i].points)
        {
            return "the trace is not recomputed";
        }
    }

    if (!rl_case(a, cat, data, &k)
        || rule_evaluate(a, k.in, runs, n, NULL, bare) != LY_OK)
    {
        return "not evaluated without a trace";
    }

    for (i = 0; i < n; i++) {
        if (bare[i].outcome != r[i].outcome || bare[i].points != r[i].points) {
            return "without a trace it is another outcome";
        }
    }

    why = other_way(a, cat, json, p, n, data, true, r);

    return why != NULL ? why
                       : other_way(a, cat, json, p, n, data, false, r);
}


/* NULL, or what is not as it should be */
static const char *
one_line(ly_arena_t *a, ly_str_t line, ly_str_t want)
{
    size_t                 n;
    ly_buf_t               got;
    ly_str_t               json[RULES_MAX];
    rule_faults_t          faults;
    rule_result_t          r[RULES_MAX];
    rule_catalogue_t      *cat;
    const ly_json_node_t  *given, *rule, *w;

    ly_buf_init_arena(&got, a, (size_t) 8 << 20);

    if (!rules_eval_line(a, rl_edge(line), false, &got)
        || !ly_str_eq(ly_buf_view(&got), want))
    {
        tap_show("got  ", ly_buf_view(&got));
        return "another answer";
    }

    given = vec_parse(a, line);
    rule = ly_json_member(given, ly_str("rules"));

    if (rule == NULL || !ly_str_starts(want, ly_str("{\"result\":"))) {
        return NULL;
    }

    cat = plain;
    w = ly_json_member(given, ly_str("catalogue"));

    if (w != NULL && rule_catalogue_parse(a, rl_text(a, w), &cat, &faults)
        != LY_OK)
    {
        return "the catalogue is refused";
    }

    rule = rule->first;

    for (n = 0; rule != NULL && n < RULES_MAX; n++, rule = rule->next) {
        json[n] = rl_text(a, rule);
    }

    return answers(a, cat, json, n, ly_json_member(given, ly_str("data")), r);
}


static ly_str_t
cut_line(ly_str_t *rest)
{
    ly_str_t              line;
    const unsigned char  *end;

    end = memchr(rest->data, '\n', rest->len);

    if (end == NULL) {
        end = rest->data + rest->len;
    }

    line = ly_str_of(rest->data, (size_t) (end - rest->data));
    rest->len -= line.len + (line.len < rest->len);
    rest->data = end + 1;

    return line;
}


int
main(void)
{
    size_t           n;
    ly_str_t         rest, line, other;
    ly_arena_t      *a, *whole;
    const char      *why;

    whole = ly_arena_create((size_t) 64 << 20, NULL);
    a = ly_arena_create((size_t) 64 << 20, NULL);

    if (a == NULL || whole == NULL
        || rule_catalogue_default(whole, &plain) != LY_OK
        || !vec_file(whole, "t/vectors/rules/model.jsonl", &rest))
    {
        return 1;
    }

    for (n = 1; rest.len > 0; n += 2) {
        line = cut_line(&rest);
        other = cut_line(&rest);
        ly_arena_reset(a);
        why = one_line(a, line, other);

        if (!ok(why == NULL, "line %zu: %s", n, why == NULL ? "same" : why)) {
            tap_show("given", line);
            tap_show("want ", other);
        }
    }

    ly_arena_destroy(a);
    ly_arena_destroy(whole);

    return tap_done();
}
