/*
 * The vectors of t/vectors/rules, each in every way it can go: compiled with
 * and without folding, saved and loaded, with and without a trace, and from
 * the trace back.
 */

#include "rule_lib.h"


static ly_arena_t        *arena;
static rule_catalogue_t  *cat;


static ly_json_node_t *
load(const char *path)
{
    ly_str_t         text;
    ly_json_node_t  *root;

    if (!vec_file(arena, path, &text)) {
        return NULL;
    }

    root = vec_parse(arena, text);

    return root;
}


/* the same outcome in all ways; the message of the first difference */
static const char *
all_ways(ly_arena_t *a, ly_str_t json, const ly_json_node_t *data,
    rule_result_t *r)
{
    size_t           i, ways;
    ly_buf_t         b;
    rl_case_t        k;
    rule_result_t    other;
    rule_verify_t    v;
    rule_program_t  *p[4];

    p[0] = rl_compile(a, cat, json, 0);
    p[1] = rl_compile(a, cat, json, RULE_NO_FOLD);

    if (p[0] == NULL || p[1] == NULL) {
        return "does not compile";
    }

    if (memcmp(rule_program_digest(p[0]), rule_program_digest(p[1]),
               RULE_DIGEST_LEN) != 0)
    {
        return "folding changes the digest";
    }

    for (ways = 2; ways < 4; ways++) {
        ly_buf_init_arena(&b, a, (size_t) 8 << 20);

        if (rule_program_save(p[ways - 2], &b) != LY_OK
            || rule_program_load(a, ly_buf_view(&b), cat, &p[ways]) != LY_OK)
        {
            return "is not saved and loaded";
        }
    }

    if (!rl_case(a, cat, data, &k) || rl_eval(a, &k, p[0], true, r) != LY_OK) {
        return "is not evaluated";
    }

    if (rule_trace_verify(a, r->trace, p[0], cat, k.zone, &v) != LY_OK
        || !v.same || v.points != r->points)
    {
        printf("# %.*s\n# %.*s\n", (int) r->trace.len,
               (const char *) r->trace.data, (int) v.trace.len,
               (const char *) v.trace.data);
        return "the trace is not recomputed";
    }

    for (i = 1; i < 4; i++) {
        if (!rl_case(a, cat, data, &k)
            || rl_eval(a, &k, p[i], true, &other) != LY_OK
            || !ly_str_eq(other.trace, r->trace))
        {
            return "another way gives another trace";
        }
    }

    if (!rl_case(a, cat, data, &k)
        || rl_eval(a, &k, p[2], false, &other) != LY_OK
        || other.outcome != r->outcome || other.points != r->points)
    {
        return "without a trace it is another outcome";
    }

    return NULL;
}


static bool
shares_are(const rule_result_t *r, const ly_json_node_t *shares)
{
    size_t                 i, n;
    int64_t                v, sum;
    const ly_json_node_t  *e, *s;

    for (i = 0, e = shares->first; e != NULL; e = e->next, i++) {
        if (i >= r->n_effects || e->count != r->effects[i].n_shares) {
            return false;
        }

        for (n = 0, sum = 0, s = e->first; s != NULL; s = s->next, n++) {
            if (ly_json_int64(s, &v) != LY_OK
                || r->effects[i].shares[n] != v)
            {
                return false;
            }

            sum += v;
        }

        if (n > 0 && sum != r->effects[i].points) {
            return false;
        }
    }

    return i == r->n_effects;
}


static void
cookbook_case(ly_arena_t *a, const ly_json_node_t *recipe,
    const ly_json_node_t *c, unsigned at)
{
    bool                   good, clipped;
    size_t                 i;
    int64_t                points;
    const char            *why;
    rule_result_t          r;
    const ly_json_node_t  *name, *n;

    name = ly_json_member(recipe, ly_str("name"));
    why = all_ways(a, rl_text(a, ly_json_member(recipe, ly_str("rule"))),
                   ly_json_member(c, ly_str("data")), &r);
    ok(why == NULL, "%.*s %u: %s", (int) name->text.len,
       (const char *) name->text.data, at, why == NULL ? "all ways" : why);

    if (why != NULL) {
        return;
    }

    good = ly_str_eq(ly_json_member(c, ly_str("outcome"))->text,
                     ly_str_c(rule_outcome_name(r.outcome)))
           && ly_json_int64(ly_json_member(c, ly_str("points")), &points)
           == LY_OK && points == r.points;

    n = ly_json_member(c, ly_str("reason"));
    good = good && (n == NULL || ly_str_eq(n->text, ly_str_c(r.reason)));
    n = ly_json_member(c, ly_str("error"));
    good = good && (n == NULL || ly_str_eq(n->text, ly_str_c(r.code)));
    n = ly_json_member(c, ly_str("shares"));
    good = good && (n == NULL || shares_are(&r, n));
    n = ly_json_member(c, ly_str("clipped_by"));
    clipped = n == NULL;

    for (i = 0; !clipped && i < r.n_effects; i++) {
        clipped = ly_str_eq(n->text, r.effects[i].clipped_by);
    }

    ok(good && clipped, "%.*s %u: %s, %lld points", (int) name->text.len,
       (const char *) name->text.data, at, rule_outcome_name(r.outcome),
       (long long) r.points);
}


/* recipes with their cases, as many as there should be */
static void
recipes(const char *path, unsigned want)
{
    unsigned               n, at;
    ly_arena_t            *a;
    ly_json_node_t        *root;
    const ly_json_node_t  *recipe, *c;

    root = load(path);
    ok(root != NULL, "%s is there", path);
    a = ly_arena_create((size_t) 256 << 20, NULL);
    n = 0;

    for (recipe = root == NULL ? NULL : root->first; recipe != NULL;
         recipe = recipe->next)
    {
        n++;
        at = 0;

        for (c = ly_json_member(recipe, ly_str("cases"))->first; c != NULL;
             c = c->next)
        {
            ly_arena_reset(a);
            cookbook_case(a, recipe, c, ++at);
        }
    }

    is_int(n, want, "as many as there should be");
    ly_arena_destroy(a);
}


static void
strict(void)
{
    bool                   good;
    const char            *why;
    ly_arena_t            *a;
    rule_result_t          r;
    ly_json_node_t        *root;
    const ly_json_node_t  *c, *n;

    root = load("t/vectors/rules/strict.json");
    ok(root != NULL, "the vectors of operators are there");
    a = ly_arena_create((size_t) 256 << 20, NULL);

    for (c = root == NULL ? NULL : root->first; c != NULL; c = c->next) {
        ly_arena_reset(a);
        n = ly_json_member(c, ly_str("rule"));
        why = all_ways(a, rl_condition(a, rl_text(a, n)),
                       ly_json_member(c, ly_str("data")), &r);
        good = why == NULL;

        if (good && ly_json_member(c, ly_str("error")) != NULL) {
            good = r.outcome == RULE_ERROR
                   && ly_str_eq(ly_json_member(c, ly_str("error"))->text,
                                ly_str_c(r.code));

        } else if (good) {
            good = (r.outcome == RULE_MATCHED)
                   == (ly_json_member(c, ly_str("result"))->type
                       == LY_JSON_TRUE)
                   && r.outcome != RULE_ERROR;
        }

        ok(good, "%.*s %s", (int) rl_text(a, n).len,
           (const char *) rl_text(a, n).data, why == NULL ? "" : why);
    }

    ly_arena_destroy(a);
}


static void
faults(void)
{
    bool                   good;
    size_t                 i, want;
    ly_str_t               json;
    ly_arena_t            *a;
    rule_faults_t          f;
    rule_program_t        *p;
    ly_json_node_t        *root;
    const ly_json_node_t  *c, *e;

    root = load("t/vectors/rules/faults.json");
    ok(root != NULL, "the vectors of faults are there");
    a = ly_arena_create((size_t) 64 << 20, NULL);

    for (c = root == NULL ? NULL : root->first; c != NULL; c = c->next) {
        ly_arena_reset(a);
        json = rl_text(a, ly_json_member(c, ly_str("rule")));
        good = rule_compile(a, json, cat, 0, &p, &f) != LY_OK;
        want = 0;

        for (e = ly_json_member(c, ly_str("faults"))->first; e != NULL;
             e = e->next)
        {
            want++;

            for (i = 0; i < f.n; i++) {
                if (ly_str_eq(ly_json_member(e, ly_str("pointer"))->text,
                              f.fault[i].pointer)
                    && ly_str_eq(ly_json_member(e, ly_str("code"))->text,
                                 ly_str_c(f.fault[i].code)))
                {
                    break;
                }
            }

            good = good && i < f.n;
        }

        ok(good && want == f.n, "%.*s", (int) json.len,
           (const char *) json.data);
    }

    ly_arena_destroy(a);
}


int
main(void)
{
    arena = ly_arena_create((size_t) 256 << 20, NULL);

    if (arena == NULL || rule_catalogue_default(arena, &cat) != LY_OK) {
        return 1;
    }

    recipes("t/vectors/rules/cookbook.json", 20);
    recipes("t/vectors/rules/lines.json", 4);
    strict();
    faults();
    ly_arena_destroy(arena);

    return tap_done();
}
