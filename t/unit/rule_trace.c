/*
 * Traces that were touched: each part of a trace that says something else is
 * found, and what is no trace at all is refused with its reason.
 */

#include "rule_lib.h"


static ly_arena_t        *arena;
static rule_catalogue_t  *cat;
static rule_program_t    *program;
static ly_str_t           trace;

static const char  rule[] =
    "{'trigger':{'event':'order.paid'},'condition':{'and':[{'>':[{'var':'order"
    ".total'},1]},{'some':[{'var':'order.lines'},{'===':[{'var':'sku'},'A']}]}"
    ",{'segment':['vip']},{'>':[{'count_in_window':['order.paid','P1D']},1]},{"
    "'===':[{'var':'member.birthday'},'1990-01-02']},{'<':[{'var':'order.quant"
    "ity'},9]},{'missing':['member.tier']}]},'effects':[{'type':'rate','wallet"
    "':'p','points':1,'per':{'amount':'1'}},{'type':'multiplier','wallet':'p',"
    "'factor':2}],'limits':{'per_event':900,'per_member':500}}";

static const char  event[] =
    "{'type':'order.paid','source':'shop','external_id':'1','occurred_at':'202"
    "6-03-10T12:00:00Z','order':{'currency':'GBP','lines':[{'line_id':'1','sku"
    "':'A','quantity':2,'unit_price':'10.5'},{'line_id':'2','quantity':1,'unit"
    "_price':'3','discount':'1'}]}}";

static const char  member[] =
    "{'member':{'segments':['vip','x'],'birthday':'1990-01-02'}}";


/* the trace with the first such text replaced */
static void
touched(const char *was, const char *then, const char *why)
{
    size_t         n;
    ly_buf_t       b;
    ly_str_t       from, to;
    ly_arena_t    *a;
    rule_verify_t  v;
    const unsigned char  *at;

    from = rl_quoted(arena, was);
    to = rl_quoted(arena, then);
    at = memmem(trace.data, trace.len, from.data, from.len);

    if (at == NULL) {
        ok(false, "%s stands in the trace", was);
        return;
    }

    n = (size_t) (at - trace.data);
    ly_buf_init_arena(&b, arena, 1 << 16);
    ly_buf_put(&b, trace.data, n);
    ly_buf_str(&b, to);
    ly_buf_put(&b, at + from.len, trace.len - n - from.len);
    a = ly_arena_create((size_t) 8 << 20, NULL);
    ok(rule_trace_verify(a, ly_buf_view(&b), program, cat, NULL, &v) == LY_OK
       && !v.same && v.why != NULL && strcmp(v.why, why) == 0,
       "%s -> %s: %s", was, then, why);

    if (v.why == NULL || strcmp(v.why, why) != 0) {
        printf("# %s\n", v.why == NULL ? "the same" : v.why);
    }

    ly_arena_destroy(a);
}


static void
many(const char *key, const char *one, size_t n, const char *why)
{
    size_t    i;
    ly_buf_t  b;

    ly_buf_init_arena(&b, arena, 1 << 16);
    ly_buf_cstr(&b, key);

    for (i = 0; i < n; i++) {
        ly_buf_cstr(&b, one);
    }

    ly_buf_byte(&b, '\0');
    touched(key, (const char *) b.data, why);
}


static void
whole(const char *text, const char *why)
{
    ly_arena_t    *a;
    rule_verify_t  v;

    a = ly_arena_create((size_t) 8 << 20, NULL);
    ok(rule_trace_verify(a, rl_quoted(arena, text), program, cat, NULL, &v)
       == LY_OK && !v.same && strcmp(v.why, why) == 0, "'%s': %s", text, why);
    ly_arena_destroy(a);
}


/* a rule of another catalogue, facts of other types, as many effects as go */
typedef struct {
    const char  *facts;         /* NULL: the default */
    const char  *rule;
    const char  *event;
    const char  *was;           /* in the trace, and in place of it */
    const char  *then;
    const char  *why;
} other_t;

#define FIXED  "{'type':'fixed','wallet':'p','points':1},"
#define FIVE   FIXED FIXED FIXED FIXED FIXED

static const other_t  others[] = {
    { "{'extends':'default','facts':[{'name':'x.b','type':'bool'}]}",
      "{'trigger':{'event':'a'},'condition':{'var':'x.b'},'effects':[{'type':'"
      "fixed','wallet':'p','points':1}]}",
      "{'type':'a','x':{'b':true}}", "'x.b':true", "'x.b':1", "trace.form" },
    { "{'extends':'default','facts':[{'name':'x.b','type':'bool'}]}",
      "{'trigger':{'event':'a'},'condition':{'!':{'var':'x.b'}},'effects':[{'t"
      "ype':'fixed','wallet':'p','points':1}]}",
      "{'type':'a','x':{'b':false}}", "'x.b':false", "'x.b':true",
      "trace.result" },

    { NULL, "{'trigger':{'event':'a'},'effects':[" FIVE FIVE FIVE "{'type':'mu"
      "ltiplier','wallet':'p','factor':2}]}",
      "{'type':'a'}", ",15]", ",14]", "trace.result" }
};


static void
of_others(void)
{
    size_t             i;
    rule_run_t         run;
    rule_input_t      *in;
    rule_verify_t      v;
    rule_faults_t      f;
    rule_result_t      r;
    rule_options_t     options;
    rule_catalogue_t  *kept;

    kept = cat;
    memset(&run, 0, sizeof(run));
    memset(&options, 0, sizeof(options));
    options.trace = true;

    for (i = 0; i < ly_countof(others); i++) {
        cat = kept;

        if (others[i].facts != NULL
            && rule_catalogue_parse(arena, rl_quoted(arena, others[i].facts),
                                    &cat, &f) != LY_OK)
        {
            ok(false, "%s", others[i].facts);
            continue;
        }

        program = rl_compile(arena, cat, rl_quoted(arena, others[i].rule), 0);
        run.program = program;

        if (program == NULL
            || rule_input_create(arena, cat, NULL, ly_str(""), &in) != LY_OK
            || rule_input_event(in, rl_quoted(arena, others[i].event))
            != LY_OK
            || rule_evaluate(arena, in, &run, 1, &options, &r) != LY_OK)
        {
            ok(false, "%s", others[i].rule);
            continue;
        }

        trace = r.trace;
        ok(r.outcome == RULE_MATCHED
           && rule_trace_verify(arena, trace, program, cat, NULL, &v) == LY_OK
           && v.same, "%s recomputes", others[i].rule);
        touched(others[i].was, others[i].then, others[i].why);
    }

    /* rule and trace name what is asked, but the program is another's */
    cat = kept;
    program = rl_compile(arena, cat, rl_quoted(arena, others[2].rule), 0);

    if (rule_catalogue_parse(arena, rl_quoted(arena, others[0].facts), &cat,
                             &f) != LY_OK
        || (run.program = rl_compile(arena, cat, rl_quoted(
                                         arena, others[2].rule), 0)) == NULL
        || rule_input_create(arena, cat, NULL, ly_str(""), &in) != LY_OK
        || rule_input_event(in, rl_quoted(arena, others[2].event)) != LY_OK
        || rule_evaluate(arena, in, &run, 1, &options, &r) != LY_OK)
    {
        ok(false, "a trace of another catalogue");
        return;
    }

    ok(rule_trace_verify(arena, r.trace, program, cat, NULL, &v) == LY_OK
       && !v.same && strcmp(v.why, "trace.catalogue") == 0,
       "a program of another catalogue than the trace's");
    ok(rule_trace_verify(arena, r.trace, run.program, cat, NULL, &v) == LY_OK
       && v.same, "and one of the trace's");
}


int
main(void)
{
    size_t           i, bad;
    ly_err_t         err;
    rule_cap_t       cap = { ly_str_init("per_member"), 400 };
    rule_cap_t      *caps[1];
    rule_run_t       run;
    ly_arena_t      *a;
    rule_input_t    *in;
    rule_verify_t    v;
    rule_result_t    r;
    rule_counter_t   counter;
    rule_options_t   options;
    unsigned char   *copy;

    arena = ly_arena_create((size_t) 64 << 20, NULL);

    if (arena == NULL || rule_catalogue_default(arena, &cat) != LY_OK) {
        return 1;
    }

    program = rl_compile(arena, cat, rl_quoted(arena, rule), 0);
    memset(&run, 0, sizeof(run));
    memset(&options, 0, sizeof(options));
    options.trace = true;
    counter.key = ly_str("count_in_window:order.paid:P1D");
    counter.value = ly_dec_int(3);
    caps[0] = &cap;
    run.program = program;
    run.caps = caps;
    run.n_caps = 1;

    if (program == NULL
        || rule_input_create(arena, cat, NULL, ly_str(""), &in) != LY_OK
        || rule_input_event(in, rl_quoted(arena, event)) != LY_OK
        || rule_input_state(in, rl_quoted(arena, member)) != LY_OK)
    {
        return 1;
    }

    rule_input_counters(in, &counter, 1);

    if (rule_evaluate(arena, in, &run, 1, &options, &r) != LY_OK) {
        return 1;
    }

    trace = r.trace;
    is_int(r.points, 46, "23 for the pounds, and as many again");
    ok(rule_trace_verify(arena, trace, program, cat, NULL, &v) == LY_OK
       && v.same && v.points == 46 && v.why == NULL
       && ly_str_eq(v.trace, trace), "the trace recomputes to itself");
    printf("# %.*s\n", (int) trace.len, (const char *) trace.data);

    whole("", "trace.form");
    whole("[1,2", "trace.form");
    whole("[]", "trace.rule");
    whole("{}", "trace.rule");
    whole("{'rule':'ab'}", "trace.rule");
    touched("'rule':'", "'rule':'0", "trace.rule");
    touched("'catalogue':'", "'catalogue':'0", "trace.catalogue");
    touched("'catalogue':", "'catalog':", "trace.catalogue");

    touched("'order.total':'23", "'order.total':'24", "trace.result");
    touched("'order.total':'23 GBP'", "'order.total':'22 GB'", "trace.form");
    touched("'order.total':'23 GBP'", "'order.total':'22_GBP'", "trace.form");
    touched("'order.total':'23 GBP'", "'order.total':' GBP'", "trace.form");
    touched("'order.total':'23 GBP'", "'order.total':'x GBP'", "trace.form");
    touched("'order.total':'23 GBP'", "'order.total':'22 gbp'", "trace.form");
    touched("'order.total':'23 GBP'", "'order.total':22", "trace.form");
    touched("'order.total':'23 GBP'", "'order.total':'0'", "trace.form");
    touched("'order.total':'23 GBP'", "'order.total':'23e0 GBP'",
            "trace.form");
    touched("'order.quantity':3", "'order.quantity':4", "trace.result");
    touched("'order.quantity':3", "'order.quantity':3e0", "trace.form");
    touched("'order.quantity':3", "'order.quantity':'3'", "trace.result");
    touched("'order.quantity':3", "'order.quantity':'x'", "trace.form");
    touched("'order.quantity':3", "'order.quantity':true", "trace.form");
    touched("'order.quantity'", "'order.quantum'", "trace.form");
    touched("'1990-01-02'", "'1990-01-03'", "trace.result");
    touched("'1990-01-02'", "'1990-01-32'", "trace.form");
    touched("'1990-01-02'", "19900102", "trace.form");
    touched("['vip','x']", "['new','x']", "trace.result");
    touched("['vip','x']", "['vip',1]", "trace.form");
    touched("['vip','x']", "'vip'", "trace.form");
    touched("'sku':'A'", "'sku':'B'", "trace.result");
    touched("'sku':'A'", "'sku':null", "trace.result");
    touched("'sku':'A'", "'skp':'A'", "trace.form");
    touched("'sku':'A'", "'sku':1", "trace.form");
    touched("'order.lines':[", "'order.lines':[1,", "trace.form");
    touched("'order.lines':[", "'order.lines':[{},", "trace.result");
    touched("'event':{'occurred_at':'2026", "'event':{'occurred_at':'x026",
            "trace.form");
    touched("'type':'order.paid'", "'type':'order.made'", "trace.result");
    touched("'type':'order.paid'", "'type':7", "trace.form");
    touched("'source':'shop'", "'source':false", "trace.form");
    touched("'counters':{", "'counters':{'x':1,", "trace.result");
    touched("'count_in_window:order.paid:P1D':3",
            "'count_in_window:order.paid:P1D':'x'", "trace.form");
    touched("'count_in_window:order.paid:P1D':3",
            "'count_in_window:order.paid:P1D':4", "trace.result");
    touched("'counters'", "'kounters'", "trace.result");
    touched("'missing':[", "'invalid':['order.total'],'missing':[",
            "trace.result");
    touched("'missing':[", "'invalid':['nope.x'],'missing':[", "trace.form");
    touched("'missing':[", "'invalid':['event.type'],'missing':[",
            "trace.result");
    touched("'count_in_window:order.paid:P1D':3",
            "'count_in_window:order.paid:P1D':3e0", "trace.form");
    touched("'group':[0,", "'group':[0e0,", "trace.form");
    many("'order.lines':[", "{},", 1998, "trace.result");
    many("'order.lines':[", "{},", 1999, "trace.form");
    touched("'caps':[", "'caps':[[],", "trace.form");
    touched("'caps':[", "'caps':[[1,2],", "trace.form");
    touched("'caps':[", "'caps':[['x'],", "trace.form");
    touched("'caps':[", "'caps':[['x','y'],", "trace.form");
    touched("'caps':[", "'caps':[['x',1.5],", "trace.form");
    touched("'caps':[", "'caps':[['x','5'],", "trace.result");
    touched("'caps':[", "'caps':[['x',5],", "trace.result");
    touched("['per_member',400]", "['per_member',10]", "trace.result");
    touched("['per_member',400]", "['per_year',400]", "trace.result");
    many("'caps':[", "['x',5],", 16, "trace.form");
    touched("'caps_then':[", "'caps_then':['x',", "trace.form");
    many("'caps_then':[", "1,", 16, "trace.form");
    many("'caps_then':[", "1,", 17, "trace.form");
    many("'group':[", "1,", 16, "trace.form");
    touched("'group':[0,23]", "'group':[0,24]", "trace.result");
    touched("'group':[0,23]", "'group':[0,-23]", "trace.form");
    touched("'group':[0,23]", "'group':[0,'23.5']", "trace.form");
    touched("'group':[0,23]", "'group':[0,'x']", "trace.form");
    touched("'kept':true", "'kept':false", "trace.result");
    touched("'kept':true", "'kept':1", "trace.result");
    touched("'points':", "'points':1", "trace.result");
    touched("'v':1", "'v':2", "trace.result");
    touched("{", "{ ", "trace.result");

    /* any byte: what stays the same trace is what no answer hangs on */
    copy = ly_arena_alloc(arena, trace.len);
    memcpy(copy, trace.data, trace.len);
    a = ly_arena_create((size_t) 8 << 20, NULL);

    for (i = 0, bad = 0; i < trace.len; i++) {
        ly_arena_reset(a);
        copy[i] ^= 1;
        err = rule_trace_verify(a, ly_str_of(copy, trace.len), program, cat,
                                NULL, &v);
        bad += err != LY_OK || (v.same && v.points != 46);
        copy[i] ^= 1;
    }

    is_int(bad, 0, "no altered byte gives other points");

    /* wherever room ends: said, and never the same by mistake */
    err = LY_NOMEM;

    for (i = LY_ARENA_MIN, bad = 0; i < (1 << 20); i += 16) {
        ly_arena_destroy(a);
        a = ly_arena_create(i, NULL);
        err = rule_trace_verify(a, trace, program, cat, NULL, &v);
        bad += (err != LY_OK && err != LY_NOMEM)
               || (v.same && !ly_str_eq(v.trace, trace));

        if (err == LY_OK && v.same) {
            break;
        }
    }

    ok(err == LY_OK && v.same && bad == 0, "%zu bytes are enough", i);
    ly_arena_destroy(a);
    of_others();
    ly_arena_destroy(arena);

    return tap_done();
}
