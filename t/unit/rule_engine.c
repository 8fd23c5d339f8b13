/*
 * The engine beyond single rules: stacking, caps, multipliers, state, saved
 * programs, hostile input, memory that fails, properties under random rules.
 */

#include "rule_lib.h"
#include "fail_alloc.h"


static ly_arena_t        *arena;
static rule_catalogue_t  *cat;

#define EVENT  "{\"type\":\"order.paid\",\"source\":\"shop\","               \
    "\"external_id\":\"1\",\"occurred_at\":\"2026-03-10T12:00:00Z\","         \
    "\"order\":{\"currency\":\"GBP\",\"lines\":["                             \
    "{\"line_id\":\"1\",\"sku\":\"A\",\"quantity\":2,"                        \
    "\"unit_price\":\"10.00\",\"categories\":[\"home\"]},"                    \
    "{\"line_id\":\"2\",\"sku\":\"B\",\"quantity\":1,"                        \
    "\"unit_price\":\"30.00\",\"discount\":\"0.50\"}]}}"

#define HEAD  "{\"trigger\":{\"event\":\"order.paid\"},"
#define FIXED(n)  "\"effects\":[{\"type\":\"fixed\",\"wallet\":\"points\","  \
    "\"points\":" #n "}]"


static rule_input_t *
input(ly_arena_t *a, const char *event)
{
    rule_input_t  *in;

    if (rule_input_create(a, cat, NULL, ly_str(""), &in) != LY_OK
        || rule_input_event(in, ly_str_c(event)) != LY_OK)
    {
        return NULL;
    }

    return in;
}


/* evaluates n documents on the event; results by document */
static ly_err_t
many(ly_arena_t *a, const char *const *docs, size_t n, rule_result_t *r)
{
    size_t          i;
    rule_run_t      runs[8];
    rule_options_t  options;

    memset(runs, 0, sizeof(runs));
    memset(&options, 0, sizeof(options));
    options.trace = true;

    for (i = 0; i < n; i++) {
        runs[i].program = rl_compile(a, cat, ly_str_c(docs[i]), 0);

        if (runs[i].program == NULL) {
            return LY_PARSE;
        }
    }

    return rule_evaluate(a, input(a, EVENT), runs, n, &options, r);
}


/* the points of each document, and every trace recomputes to itself */
static void
points_are(const char *name, const char *const *docs, size_t n,
    const int64_t *want)
{
    bool             good;
    size_t           i;
    ly_arena_t      *a;
    rule_verify_t    v;
    rule_result_t    r[8];
    rule_program_t  *p;

    a = ly_arena_create((size_t) 64 << 20, NULL);
    good = many(a, docs, n, r) == LY_OK;

    for (i = 0; good && i < n; i++) {
        if (r[i].points != want[i]) {
            printf("# %zu: %lld points, want %lld, %s\n", i,
                   (long long) r[i].points, (long long) want[i],
                   rule_outcome_name(r[i].outcome));
            good = false;
        }

        p = rl_compile(a, cat, ly_str_c(docs[i]), 0);

        if (rule_trace_verify(a, r[i].trace, p, cat, NULL, &v) != LY_OK
            || !v.same || v.points != r[i].points)
        {
            printf("# %zu: %s\n# %.*s\n# %.*s\n", i,
                   v.why == NULL ? "" : v.why, (int) r[i].trace.len,
                   (const char *) r[i].trace.data, (int) v.trace.len,
                   (const char *) v.trace.data);
            good = false;
        }
    }

    ok(good, "%s", name);
    ly_arena_destroy(a);
}


#define GROUP(g, m, p)                                                 \
    HEAD "\"stacking\":{\"group\":\"" g "\",\"mode\":\"" m                  \
    "\"},\"priority\":" #p ","
#define MULTIPLY(f)  "\"effects\":[{\"type\":\"multiplier\",\"wallet\":"     \
    "\"points\",\"factor\":\"" f "\"}]"


static void
stacking(void)
{
    static const char *const  all[] = {
        GROUP("a", "all", 1) FIXED(10) "}", GROUP("a", "all", 2) FIXED(20) "}"
    };
    static const char *const  best[] = {
        GROUP("a", "best", 9) FIXED(10) "}",
        GROUP("a", "all", 2) FIXED(20) "}",
        GROUP("b", "best", 2) FIXED(5) "}", GROUP("b", "best", 2) FIXED(5) "}"
    };
    static const char *const  first[] = {
        GROUP("a", "all", 1) FIXED(30) "}",
        GROUP("a", "first", 5) FIXED(10) "}",
        GROUP("a", "first", 5) FIXED(20) "}"
    };
    static const char *const  exclusive[] = {
        GROUP("a", "all", 9) FIXED(30) "}",
        GROUP("b", "exclusive", 1) FIXED(10) "}",
        GROUP("b", "exclusive", 2) FIXED(20) "}",
        GROUP("c", "exclusive", 99) "\"condition\":false," FIXED(7) "}"
    };
    static const char *const  multiply[] = {
        GROUP("a", "all", 1) FIXED(30) "}",
        GROUP("a", "all", 9) MULTIPLY("2") "}",
        GROUP("a", "all", 9) MULTIPLY("1.55") "}",
        GROUP("b", "all", 9) MULTIPLY("2") "}"
    };
    static const char *const  capped[] = {
        GROUP("a", "all", 1) "\"limits\":{\"per_event\":12}," FIXED(30) "}",
        GROUP("a", "all", 9) "\"limits\":{\"per_event\":5}," MULTIPLY("2") "}",
        GROUP("a", "first", 9) FIXED(0) "}"
    };
    static const char *const  error[] = {
        GROUP("a", "first", 9) "\"condition\":{\">\":[{\"%\":[5,{\"-\":[{"
        "\"var\":\"order.line_count\"},2]}]},1]}," FIXED(30) "}",
        GROUP("a", "first", 1) FIXED(4) "}"
    };

    points_are("all", all, 2, (int64_t[]) { 10, 20 });
    points_are("best: the most points, the first of equals", best, 4,
               (int64_t[]) { 0, 20, 5, 0 });
    points_are("first: by priority, then as given", first, 3,
               (int64_t[]) { 0, 10, 0 });
    points_are("exclusive: over all groups, candidates only", exclusive, 4,
               (int64_t[]) { 0, 0, 20, 0 });
    points_are("multipliers: of their group, not of each other", multiply, 4,
               (int64_t[]) { 30, 30, 16, 0 });
    points_are("multipliers: of what caps left", capped, 3,
               (int64_t[]) { 12, 5, 0 });
    points_are("an error does not compete", error, 2, (int64_t[]) { 0, 4 });
}


static void
caps(void)
{
    size_t            n, bad;
    ly_err_t          err;
    ly_arena_t       *a;
    rule_input_t     *in;
    rule_cap_t        shared = { ly_str_init("budget"), 25 };
    rule_cap_t       *list[1];
    rule_run_t        runs[2];
    rule_result_t     r[2];
    rule_program_t   *p;

    list[0] = &shared;
    memset(runs, 0, sizeof(runs));
    p = rl_compile(arena, cat, ly_str(HEAD FIXED(20) "}"), 0);
    runs[0].program = p;
    runs[0].caps = list;
    runs[0].n_caps = 1;
    runs[1] = runs[0];

    ok(rule_evaluate(arena, input(arena, EVENT), runs, 2, NULL, r) == LY_OK,
       "two rules, one budget");
    is_int(r[0].points, 20, "the first gets all");
    ok(r[0].steps > 0 && r[0].steps < 20, "which took %u steps", r[0].steps);
    is_int(r[1].points, 5, "the second what is left");
    ok(r[1].outcome == RULE_CAPPED
       && ly_str_eq(r[1].effects[0].clipped_by, ly_str("budget")),
       "and the budget is named");
    is_int(shared.remaining, 0, "nothing is left");
    is_int(r[1].effects[0].shares[0] + r[1].effects[0].shares[1], 5,
           "shares add up to what was given");

    /* a call that fails as a whole takes nothing from a cap */
    in = input(arena, EVENT);
    shared.remaining = 25;
    err = LY_NOMEM;

    for (n = 65536, bad = 0; err != LY_OK && n > 0; n -= 64) {
        a = ly_arena_create(65536, NULL);
        err = ly_arena_bytes(a, n) == NULL
              ? LY_NOMEM : rule_evaluate(a, in, runs, 1, NULL, r);
        bad += err != LY_OK && shared.remaining != 25;
        ly_arena_destroy(a);
    }

    ok(err == LY_OK && n < 65000 && bad == 0 && shared.remaining == 5,
       "without room a cap stays as it was");

    runs[1].n_caps = RULE_CAPS_MAX + 1;
    ok(rule_evaluate(arena, in, runs, 2, NULL, r) == LY_LIMIT,
       "too many caps of the second rule");
    runs[0].n_caps = RULE_CAPS_MAX + 1;
    ok(rule_evaluate(arena, input(arena, EVENT), runs, 1, NULL, r)
       == LY_LIMIT, "too many caps");
    ok(rule_evaluate(arena, input(arena, EVENT), runs, 0, NULL, r) == LY_OK,
       "no rule at all");
}


static void
refunds(void)
{
    ly_dec_t         d;
    int64_t          points;
    rule_program_t  *p, *q;

    p = rl_compile(arena, cat, ly_str(HEAD "\"base\":true,\"effects\":[{"
                                      "\"type\":\"rate\",\"wallet\":\"points"
                                      "\",\"points\":\"1.5\""
                                      ",\"per\":{\"amount\":\"2.00\"}}]}"), 0);
    q = rl_compile(arena, cat, ly_str(HEAD FIXED(1) "}"), 0);

    ok(ly_dec_parse(ly_str("27.50"), 6, &d) == LY_OK
       && rule_refund_points(p, d, &points) == LY_OK, "a refund's points");
    is_int(points, 20, "floor(27.50 * 1.5 / 2)");
    ok(rule_refund_points(p, ly_dec_neg(d), &points) == LY_OK && points == 0,
       "nothing for less than nothing");
    ok(rule_refund_points(q, d, &points) == LY_DENIED, "no base rule");
    q = rl_compile(arena, cat, ly_str(HEAD "\"base\":true,\"effects\":[{"
                                      "\"type\":\"fixed\",\"wallet\":\"p\","
                                      "\"points\":7},{\"type\":\"rate\",\"wal"
                                      "let\":\"p\",\"points\":9,\"per\":{\"amo"
                                      "unt\":1},\"where\":true},{\"type\":\"ra"
                                      "te\",\"wallet\":\"p\",\"points\":2,\"pe"
                                      "r\":{\"amount\":1}}]}"), 0);
    ok(rule_refund_points(q, d, &points) == LY_OK && points == 55,
       "the first rate without where, wherever it stands");
    ok(rule_refund_points(q, ly_dec_int(1), &points) == LY_OK && points == 2,
       "the least amount above nothing");
    d.coef = (ly_int128_t) INT64_MAX * INT64_MAX;
    d.scale = 0;
    ok(rule_refund_points(p, d, &points) == LY_OVERFLOW, "too much");
}


/* what the event before it said is not said by the next */
static void
read_twice(void)
{
    rule_input_t   *in;
    rule_run_t      run;
    rule_result_t   r;

    memset(&run, 0, sizeof(run));
    run.program = rl_compile(arena, cat,
                             ly_str(HEAD "\"condition\":{\"has\":[\"event."
                                    "type\"]}," FIXED(5) "}"), 0);
    in = input(arena, EVENT);
    ok(rule_evaluate(arena, in, &run, 1, NULL, &r) == LY_OK
       && r.outcome == RULE_MATCHED, "an event with a type");
    ok(rule_input_event(in, ly_str("{\"source\":\"shop\"}")) == LY_OK
       && rule_evaluate(arena, in, &run, 1, NULL, &r) == LY_OK
       && r.outcome == RULE_NOT_MATCHED, "and one without");
}


static void
state(void)
{
    rule_input_t         *in;
    rule_run_t            run;
    rule_result_t         r;
    rule_counter_t        c[2];
    rule_counter_need_t   need[2];
    ly_dec_t              total;

    memset(&run, 0, sizeof(run));
    run.program = rl_compile(arena, cat, ly_str(HEAD "\"condition\":{\"and\":["
                                                "{\">=\":[{\"var\":\"balance."
                                                "available\"},100]},"
                                                "{\"===\":[{\"count_in_window"
                                                "\":[\"order.paid\",\"P1DT"
                                                "1H\"]},1]},"
                                                "{\">\":[{\"sum_in_window\":["
                                                "\"order.paid\",\"order.total"
                                                "\",\"P1D\"]},"
                                                "49]}]}," FIXED(5) "}"), 0);
    in = input(arena, EVENT);
    rule_program_counter(run.program, 0, &need[0]);
    rule_program_counter(run.program, 1, &need[1]);
    is_str(need[1].key,
           ly_str("sum_in_window:order.paid:order.total:P1D"), "key");
    is_int(need[0].window_us, 90000LL * 1000000, "window");
    is_int(need[1].window_us, 86400LL * 1000000, "window");
    c[0].key = need[0].key;
    c[0].value = ly_dec_int(0);
    c[1].key = need[1].key;
    c[1].value = ly_dec_int(0);
    rule_input_counters(in, c, 2);

    ok(rule_evaluate(arena, in, &run, 1, NULL, &r) == LY_OK
       && r.outcome == RULE_NOT_MATCHED, "not yet");
    ok(rule_counters_advance(in, need, c, 2) == LY_OK, "the next state");
    is_int(c[0].value.coef, 1, "one order more");
    ok(ly_dec_cmp(c[1].value, (ly_dec_t) { 495, 1 }) == 0, "its total more");
    ok(rule_input_int(in, ly_str("balance.available"), 100) == LY_OK,
       "the balance after it");
    ok(rule_evaluate(arena, in, &run, 1, NULL, &r) == LY_OK && r.points == 5,
       "the next event sees both");
    ok(rule_input_int(in, ly_str("member.tier"), 1) == LY_NOTFOUND
       && rule_input_int(in, ly_str("order.line_count"), 1) == LY_NOTFOUND,
       "only whole numbers of the state");
    ok(rule_input_total(in, &total) == LY_OK
       && ly_dec_cmp(total, (ly_dec_t) { 495, 1 }) == 0, "the total");
    is_int(rule_input_lines(in), 2, "two lines");
    ok(rule_input_event(in, ly_str("{\"type\":\"x\"}")) == LY_OK
       && rule_input_total(in, &total) == LY_NOTFOUND
       && rule_input_lines(in) == 0, "another event leaves nothing behind");
    ok(rule_input_event(in, ly_str("{\"type\":\"order.paid\",\"order\":{"
                                   "\"lines\":[{\"line_id\":\"1\",\"quantity"
                                   "\":1,\"unit_price\":"
                                   "\"1\"}]}}"))
       == LY_OK && rule_input_total(in, &total) == LY_PARSE,
       "money without a currency is invalid");
}


/* --- saved programs --- */

static void
saved(void)
{
    size_t             i, refused;
    ly_buf_t           b;
    ly_str_t           json;
    rule_head_t        head;
    rule_faults_t      f;
    unsigned char     *copy;
    rule_program_t    *p, *q;
    rule_catalogue_t  *other;

    p = rl_compile(arena, cat, ly_str(HEAD "\"condition\":{\"in\":[{\"var\":"
                                      "\"member.tier\"},[\"gold\",\"silver\"]"
                                      "]},\"priority\":7,"
                                      "\"limits\":{\"per_period\":{\"points\""
                                      ":9,\"period\":"
                                      "\"week\"}}," FIXED(5) "}"), 0);
    ly_buf_init_arena(&b, arena, 1 << 20);
    ok(rule_program_save(p, &b) == LY_OK, "saved");
    ok(rule_program_load(arena, ly_buf_view(&b), cat, &q) == LY_OK, "loaded");
    rule_program_head(q, &head);
    ok(head.priority == 7 && head.per_period == 9 && head.per_event == -1
       && head.per_member == -1 && head.period == RULE_PERIOD_WEEK
       && head.n_effects == 1
       && ly_str_eq(head.group, ly_str("default"))
       && ly_str_eq(rule_program_wallet(q, 0), ly_str("points")), "its head");
    rule_program_head(rl_compile(arena, cat, ly_str(HEAD FIXED(5) "}"), 0),
                      &head);
    ok(head.per_event == -1 && head.per_member == -1 && head.per_period == -1,
       "without limits");
    ok(rule_program_size(q) < 2048, "a small rule is small");

    copy = ly_arena_alloc(arena, b.len);

    for (i = 0, refused = 0; i < b.len; i++) {
        memcpy(copy, b.data, b.len);
        copy[i] ^= 0x10;
        refused += rule_program_load(arena, ly_str_of(copy, b.len), cat, &q)
                   == LY_DENIED;
    }

    /* eight bytes behind the checksum mean nothing */
    is_int(refused, b.len - 8, "every altered byte is refused");
    ok(rule_program_load(arena, ly_str_of(b.data, b.len - 1), cat, &q)
       == LY_DENIED && rule_program_load(arena, ly_str("LYR1"), cat, &q)
       == LY_DENIED, "and so is a shorter one");

    json = ly_str("{\"extends\":\"default\",\"facts\":[{\"name\":"
                  "\"member.tier\",\"type\":\"enum\",\"values\":[\"basic\","
                  "\"gold\"],\"ordered\":true,\"nullable\":true}]}");
    ok(rule_catalogue_parse(arena, json, &other, &f) == LY_OK,
       "a catalogue that orders the tiers");
    ok(rule_program_load(arena, ly_buf_view(&b), other, &q) == LY_DENIED,
       "is not the one of the saved program");
    ok(rule_compile(arena, ly_str(HEAD "\"condition\":{\">=\":[{\"var\":"
                                  "\"member.tier\"},\"gold\"]}," FIXED(5) "}"),
                    other, 0, &q, &f)
       == LY_OK, "tiers in order");
    ok(rule_compile(arena, ly_str(HEAD "\"condition\":{\">=\":[{\"var\":"
                                  "\"member.tier\"},\"silver\"]},"
                                  FIXED(5) "}"),
                    other, 0, &q, &f)
       == LY_PARSE && strcmp(f.fault[0].code, "enum.unknown") == 0,
       "an unknown tier");
}


/* --- hostile --- */

static void
hostile_document(const char *name, ly_str_t json)
{
    ly_err_t         err;
    ly_arena_t      *a;
    rule_faults_t    f;
    rule_program_t  *p;

    a = ly_arena_create((size_t) 64 << 20, NULL);
    err = rule_compile(a, json, cat, 0, &p, &f);
    ok((err == LY_PARSE || err == LY_LIMIT) && f.n > 0, "%s: %s", name,
       f.n > 0 ? f.fault[0].code : "no fault");
    ly_arena_destroy(a);
}


/* condition made of n times open, middle, n times close */
static ly_str_t
nested(const char *open, size_t n, const char *middle, const char *close)
{
    size_t    i;
    ly_buf_t  b;

    ly_buf_init_arena(&b, arena, (size_t) 8 << 20);
    ly_buf_cstr(&b, HEAD FIXED(1) ",\"condition\":");

    for (i = 0; i < n; i++) {
        ly_buf_cstr(&b, open);
    }

    ly_buf_cstr(&b, middle);

    for (i = 0; i < n; i++) {
        ly_buf_cstr(&b, close);
    }

    ly_buf_byte(&b, '}');

    return ly_buf_view(&b);
}


static void
hostile(void)
{
    char           ones[2000];
    size_t         i;
    rule_input_t  *in;

    static const char *const  events[] = {
        "", "[]", "{", "{\"type\":}", "{\"type\":\"a\"}x", "{\"a\":01}",
        "{\"a\":1.}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00x\"}",
        "{\"a\":\"\xff\"}", "{\"a\":\"\\u0000\"}", "{\"a\":\"\n\"}",
        "{\"type\":\"a\",\"type\":\"b\"}", "{\"a\":tru}", "{\"a\":[1,]}",
        "{\"a\":{\"b\":1,}}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{\"a\":+1}",
        "{\"a\":1e}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"",
        "{\"order\":{\"lines\":[{\"sku\":\"a\",\"sku\":\"b\"}]}}",
        "{\"order\":{\"lines\":[{\"sku\":null,\"sku\":\"b\"}]}}",
        "{\"order\":{\"lines\":[{\"total\":1,\"total\":1}]}}",
        "{\"type\":null,\"type\":\"b\"}", "{\"order\":{},\"order\":{}}",
        "{\"order\":{\"currency\":\"GBP\"},\"a\":1,\"order\":{\"lines\":[]}}",
        "{\"order\":1,\"ord\\u0065r\":2}", "{\"refund\":{},\"refund\":null}",
        "{\"order\":{\"lines\":[{\"quantity\":1}", "{\"a\":\"\\",
        "{\"order\":{\"lines\":[{\"categories\":[\"a\"", "{\"a\":[",
        "{\"a\":\"\\u12"
    };

    for (i = 0; i < 1998; i += 2) {
        memcpy(ones + i, "1,", 2);
    }

    ones[i] = '\0';

    hostile_document("nothing", ly_str(""));
    hostile_document("not JSON", ly_str("{"));
    hostile_document("a duplicate key", ly_str(HEAD HEAD));
    hostile_document("1e999", nested("{\">\":[", 1, "1e999,1", "]}"));
    hostile_document("NaN", nested("{\">\":[", 1, "NaN,1", "]}"));
    hostile_document("a lone surrogate",
                     nested("{\"===\":[", 1, "\"\\ud800\",\"a\"", "]}"));
    hostile_document("33 deep", nested("{\"!\":[", 33, "true", "]}"));
    hostile_document("5000 deep", nested("{\"!\":[", 5000, "true", "]}"));
    hostile_document("40000 brackets", nested("[", 40000, "1", "]"));
    hostile_document("513 nodes", nested("{\"and\":[true,true,true,true,true,"
                                         "true,true,true,true,true,true,true,"
                                         "true,true,true,true,"
                                         "true,true,", 28, "true", "]}"));
    hostile_document("a list of 1001",
                     nested("{\"in\":[1,[1,", 1, ones, "1]]}"));
    hostile_document("70000 bytes", nested("          ", 7000, "true", ""));

    in = input(arena, EVENT);

    for (i = 0; i < ly_countof(events); i++) {
        ok(rule_input_event(in, ly_str_c(events[i])) != LY_OK,
           "event %zu is refused", i);
    }

    ok(rule_input_event(in, ly_str("{\"a\":\"\\ud83d\\ude00\\n\\/\","
                                   "\"b\":[1,-0.5e+3,null,true,false,{}],\"ty"
                                   "pe\":\"\\u0061\\u00e9\"}"))
       == LY_OK, "a good one is not");
}


/* 2,000 lines pass, 2,001 do not; the step budget ends what is quadratic */
static void
bounds(void)
{
    size_t           i, n;
    ly_buf_t         b;
    rule_run_t       run;
    rule_input_t    *in;
    rule_result_t    r;
    ly_arena_t      *a;

    for (n = 2000; n <= 2001; n++) {
        a = ly_arena_create((size_t) 128 << 20, NULL);
        ly_buf_init_arena(&b, a, 1 << 20);
        ly_buf_cstr(&b, "{\"type\":\"order.paid\",\"order\":{\"lines\":[");

        for (i = 0; i < n; i++) {
            ly_buf_cstr(&b, i > 0 ? ",{\"line_id\":\"" : "{\"line_id\":\"");
            ly_buf_uint(&b, i);
            ly_buf_cstr(&b, "\",\"quantity\":1,\"unit_price\":\"1.5\"}");
        }

        ly_buf_cstr(&b, "],\"currency\":\"GBP\"}}");

        if (rule_input_create(a, cat, NULL, ly_str(""), &in) != LY_OK
            || rule_input_event(in, ly_buf_view(&b)) != LY_OK)
        {
            ok(false, "%zu lines", n);
            continue;
        }

        memset(&run, 0, sizeof(run));
        run.program = rl_compile(a, cat, ly_str(HEAD "\"condition\":{\">\":[{"
                                                "\"var\":\"order.total\"},1]}"
                                                "," FIXED(7) "}"), 0);
        ok(rule_evaluate(a, in, &run, 1, NULL, &r) == LY_OK
           && (n == 2000 ? r.points == 7 && r.effects[0].n_shares == 2000
               : r.outcome == RULE_ERROR
               && strcmp(r.code, "fact.invalid") == 0), "%zu lines", n);

        run.program = rl_compile(a, cat, ly_str(HEAD "\"condition\":{\"===\":["
                                                "{\"distinct_count\":[{\"var"
                                                "\":\"order.lines\"},{\"var\":"
                                                "\"line_id\"}]},1]},"
                                                FIXED(7) "}"), 0);
        ok(rule_evaluate(a, in, &run, 1, NULL, &r) == LY_OK
           && r.outcome == RULE_ERROR
           && strcmp(r.code, n == 2000 ? "steps.exhausted" : "fact.invalid")
           == 0, "a quadratic rule ends");
        ly_arena_destroy(a);
    }
}


/* --- memory that fails --- */

static ly_err_t
whole(const ly_alloc_t *alloc, size_t cap)
{
    ly_err_t            err;
    ly_buf_t            b;
    ly_arena_t         *a;
    rule_run_t          run;
    rule_input_t       *in;
    rule_verify_t       v;
    rule_result_t       r;
    rule_faults_t       f;
    rule_options_t      options;
    rule_program_t     *p;
    rule_catalogue_t   *c;

    static const char  doc[] = HEAD "\"condition\":{\"and\":[{\"some\":[{"
                               "\"filter\":[{\"var\":\"order.lines\"},{\">\":"
                               "[{\"var\":\"quantity\"},"
                               "{\"+\":[0,0.5]}]}]},{\"contains_fold\":[{\"va"
                               "r\":\"sku\"},\"a\"]}]},"
                               "{\">\":[{\"distinct_count\":[{\"var\":\"order"
                               ".lines\"},{\"var\":"
                               "\"sku\"}]},1]}]},\"effects\":[{\"type\":\"rat"
                               "e\",\"wallet\":"
                               "\"points\",\"points\":1,\"per\":{\"amount\":"
                               "\"1\"},\"where\":true},"
                               "{\"type\":\"multiplier\",\"wallet\":\"points"
                               "\",\"factor\":2}]}";

    a = ly_arena_create(cap, alloc);
    if (a == NULL) {
        return LY_NOMEM;
    }

    memset(&run, 0, sizeof(run));
    memset(&options, 0, sizeof(options));
    options.trace = true;
    ly_buf_init_arena(&b, a, 1 << 20);
    err = rule_catalogue_default(a, &c);

    if (err == LY_OK) {
        err = rule_compile(a, ly_str_c(doc), c, 0, &p, &f);
    }

    if (err == LY_OK) {
        err = rule_program_save(p, &b);
    }

    if (err == LY_OK) {
        err = rule_program_load(a, ly_buf_view(&b), c, &p);
    }

    if (err == LY_OK) {
        err = rule_input_create(a, c, NULL, ly_str(""), &in);
    }

    if (err == LY_OK) {
        err = rule_input_event(in, ly_str(EVENT));
    }

    if (err == LY_OK) {
        run.program = p;
        err = rule_evaluate(a, in, &run, 1, &options, &r);
    }

    if (err == LY_OK && r.outcome == RULE_ERROR) {
        err = strcmp(r.code, "memory.exhausted") == 0 ? LY_NOMEM : LY_FATAL;
    }

    if (err == LY_OK) {
        err = r.points != 98 ? LY_FATAL
                             : rule_trace_verify(a, r.trace, p, c, NULL, &v);
    }

    if (err == LY_OK && !v.same) {
        err = LY_NOMEM;
    }

    ly_arena_destroy(a);

    return err;
}


static void
memory(void)
{
    size_t        n, wrong, leaked;
    ly_err_t      err;
    ly_alloc_t    alloc;
    fail_alloc_t  f;

    wrong = 0;
    leaked = 0;

    for (n = 1; n < 1000; n++) {
        alloc = fail_alloc(&f, n);
        err = whole(&alloc, (size_t) 64 << 20);
        leaked += f.live != 0;

        if (!f.failed) {
            break;
        }

        /* refused, or denied when a load's proof had no room */
        wrong += err != LY_NOMEM && err != LY_DENIED;
    }

    ok(err == LY_OK && n > 3, "memory failed at each of %zu calls", n - 1);
    is_int(wrong, 0, "and each was said");
    is_int(leaked, 0, "nothing stays behind");

    /* the arena's own refusals: wherever its room may end */
    err = LY_NOMEM;

    for (n = LY_ARENA_MIN, wrong = 0; err != LY_OK && n < (1 << 22);
         n += 136)
    {
        err = whole(NULL, n);
        wrong += err != LY_OK && err != LY_NOMEM && err != LY_DENIED
                 && err != LY_LIMIT;
    }

    ok(err == LY_OK, "%zu bytes are enough for all of it", n);
    is_int(wrong, 0, "and less is refused wherever it ends");
}


/* --- properties --- */

static uint32_t  seed = 20260310;


static uint32_t
rnd(uint32_t n)
{
    seed = seed * 1103515245 + 12345;

    return (seed >> 8) % n;
}


/* a random numeric or bool expression over the order */
static void
grow(ly_buf_t *b, unsigned depth, bool boolean)
{
    uint32_t  i, n;

    static const char *const  numbers[] = {
        "0", "1", "2", "\"49.5\"", "1.15", "{\"var\":\"order.line_count\"}",
        "{\"var\":\"order.quantity\"}", "{\"var\":[\"balance.available\",3]}",
        "{\"var\":\"balance.available\"}",
        "{\"count\":[{\"var\":\"order.lines\"}]}"
    };
    static const char *const  compare[] = {
        "===", "!==", "<", "<=", ">", ">="
    };
    static const char *const  arith[] = { "+", "*", "min", "max" };

    if (!boolean) {
        if (depth == 0 || rnd(3) == 0) {
            ly_buf_cstr(b, numbers[rnd(ly_countof(numbers))]);
            return;
        }

        ly_buf_cstr(b, "{\"");
        ly_buf_cstr(b, arith[rnd(4)]);
        ly_buf_cstr(b, "\":[");
        grow(b, depth - 1, false);
        ly_buf_byte(b, ',');
        grow(b, depth - 1, false);
        ly_buf_cstr(b, "]}");
        return;
    }

    if (depth == 0 || rnd(2) == 0) {
        ly_buf_cstr(b, "{\"");
        ly_buf_cstr(b, compare[rnd(6)]);
        ly_buf_cstr(b, "\":[");
        grow(b, depth, false);
        ly_buf_byte(b, ',');
        grow(b, depth, false);
        ly_buf_cstr(b, "]}");
        return;
    }

    if (rnd(4) == 0) {
        ly_buf_cstr(b, "{\"!\":[");
        grow(b, depth - 1, true);
        ly_buf_cstr(b, "]}");
        return;
    }

    ly_buf_cstr(b, rnd(2) ? "{\"and\":[" : "{\"or\":[");

    for (i = 0, n = 1 + rnd(3); i < n; i++) {
        if (i > 0) {
            ly_buf_byte(b, ',');
        }

        grow(b, depth - 1, true);
    }

    ly_buf_cstr(b, "]}");
}


/* 1 matched, 0 not, -1 error, -2 not compiled; the trace in *trace */
static int
outcome(ly_arena_t *a, ly_str_t condition, unsigned flags, bool save,
    const char *event, ly_str_t *trace)
{
    ly_buf_t          b;
    rule_run_t        run;
    rule_result_t     r;
    rule_options_t    options;
    rule_faults_t     f;
    rule_program_t   *p;

    memset(&run, 0, sizeof(run));
    memset(&options, 0, sizeof(options));
    options.trace = true;
    *trace = ly_str("");

    if (rule_compile(a, rl_condition(a, condition), cat, flags, &p, &f)
        != LY_OK)
    {
        return -2;
    }

    if (save) {
        ly_buf_init_arena(&b, a, 1 << 20);

        if (rule_program_save(p, &b) != LY_OK
            || rule_program_load(a, ly_buf_view(&b), cat, &p) != LY_OK)
        {
            return -3;
        }
    }

    run.program = p;

    if (rule_evaluate(a, input(a, event), &run, 1, &options, &r) != LY_OK) {
        return -4;
    }

    *trace = r.trace;

    return r.outcome == RULE_ERROR ? -1 : r.outcome != RULE_NOT_MATCHED;
}


static void
properties(void)
{
    int          x, y, wide;
    size_t       i, fold, load, order, wider, matched;
    ly_str_t     t1, t2;
    ly_buf_t     c, w;
    ly_arena_t  *a;

    static const char  turned[] = "{\"order\":{\"lines\":[{\"categories\":["
                                  "\"home\"],\"unit_price\":\"10.00\",\"quant"
                                  "ity\":2,\"sku\":\"A\","
                                  "\"line_id\":\"1\"},{\"discount\":\"0.50\","
                                  "\"unit_price\":\"30.00\","
                                  "\"quantity\":1,\"sku\":\"B\",\"line_id\":"
                                  "\"2\"}],\"currency\":"
                                  "\"GBP\"},\"occurred_at\":\"2026-03-10T12:0"
                                  "0:00Z\",\"external_id\":"
                                  "\"1\",\"source\":\"shop\",\"type\":\"order"
                                  ".paid\"}";

    fold = load = order = wider = matched = 0;
    a = ly_arena_create((size_t) 64 << 20, NULL);

    for (i = 0; i < 2000; i++) {
        ly_arena_reset(a);
        ly_buf_init_arena(&c, a, 1 << 16);
        ly_buf_init_arena(&w, a, 1 << 16);
        grow(&c, 3, true);

        x = outcome(a, ly_buf_view(&c), 0, false, EVENT, &t1);
        y = outcome(a, ly_buf_view(&c), RULE_NO_FOLD, false, EVENT, &t2);
        fold += x != y || !ly_str_eq(t1, t2);
        y = outcome(a, ly_buf_view(&c), 0, true, EVENT, &t2);
        load += x != y || !ly_str_eq(t1, t2);
        y = outcome(a, ly_buf_view(&c), 0, false, turned, &t2);
        order += x != y || !ly_str_eq(t1, t2);

        ly_buf_cstr(&w, "{\"or\":[");
        ly_buf_str(&w, ly_buf_view(&c));
        ly_buf_byte(&w, ',');
        grow(&w, 2, true);
        ly_buf_cstr(&w, "]}");
        wide = outcome(a, ly_buf_view(&w), 0, false, EVENT, &t2);
        wider += x == 1 && wide != 1 && wide != -2;
        matched += x == 1;
    }

    is_int(fold, 0, "folding changes nothing");
    is_int(load, 0, "saving and loading changes nothing");
    is_int(order, 0, "the order of keys changes nothing");
    is_int(wider, 0, "a wider condition matches at least the same");
    ok(matched > 200 && matched < 1800, "%zu of 2000 matched (seed 20260310)",
       matched);
    ly_arena_destroy(a);
}


/* what the builder exports becomes the normal form */
static void
builder(void)
{
    ly_buf_t       b;
    rule_faults_t  f;

    static const char  want[] = "{\"and\":[{\">=\":[{\"var\":"
                                "\"order.total\"},\"50\"]},{\"===\":[{\"var\""
                                ":\"order.line_count\"}"
                                ",2]},{\"!\":[{\"contains\":[{\"var\":\"membe"
                                "r.tier\"},\"x\"]}]},{"
                                "\"has\":[\"member.birthday\"]},{\"starts\":["
                                "{\"var\":"
                                "\"event.external_id\"},\"a\"]},true,{\"<=\":"
                                "[1,{\"var\":"
                                "\"order.quantity\"},9]}]}";

    ly_buf_init_arena(&b, arena, 1 << 16);
    ok(rule_normalise(arena, rl_condition(arena, ly_str("{\"and\":[{\">=\":[{"
                                                        "\"var\":\"order.tota"
                                                        "l\"},\"50\"]},{\"=="
                                                        "\":[{\"var\":\"order"
                                                        ".line_count"
                                                        "\"},\"2\"]},{\"!\":{"
                                                        "\"in\":[\"x\",{\"var"
                                                        "\":\"member.tier\"}]"
                                                        "}},{\""
                                                        "!=\":"
                                                        "[{\"var\":\"member.b"
                                                        "irthday\"},null]},{"
                                                        "\"startsWith\":[{\"v"
                                                        "ar\":"
                                                        "\"event.external_id"
                                                        "\"},\"a\"]},{\"or\":"
                                                        "[]},{\"!!\":[{\"<=\""
                                                        ":[1,{"
                                                        "\"var\""
                                                        ":\"order.quantity\"}"
                                                        ",\"9\"]}]}]}")),
                      cat, &b, &f) == LY_OK,
       "loose and quoted");
    ok(memmem(b.data, b.len, want, sizeof(want) - 1) != NULL,
       "becomes strict and typed");
    ly_buf_init_arena(&b, arena, 1 << 16);
    ok(rule_english(arena, ly_str(HEAD "\"condition\":{\">=\":[{\"var\":"
                                  "\"order.total\"},\"50\"]}," FIXED(5) "}"),
                    cat, &b, &f) == LY_OK,
       "in English");
    is_str(ly_buf_view(&b), ly_str("On order.paid, when order total is at "
                                   "least 50, give:\n- 5 in points\nPriority "
                                   "0, group default: "
                                   "all.\n"),
           "is plain");
}


int
main(void)
{
    arena = ly_arena_create((size_t) 256 << 20, NULL);

    if (arena == NULL || rule_catalogue_default(arena, &cat) != LY_OK) {
        return 1;
    }

    stacking();
    caps();
    refunds();
    read_twice();
    state();
    saved();
    hostile();
    bounds();
    memory();
    properties();
    builder();
    ly_arena_destroy(arena);

    return tap_done();
}
