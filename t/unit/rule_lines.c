/*
 * Effects over an order's lines: what is chosen, what is invalid, what is too
 * much, how it is shared; refunds; and how steps end what has no end.
 */

#include "rule_lib.h"


static ly_arena_t        *arena;
static rule_catalogue_t  *cat;

/* lines, effects, and points with shares, or a code */
typedef struct {
    const char  *lines;
    const char  *effects;
    const char  *want;
} lines_t;

#define L(n, q, p)  "{'line_id':'" n "','quantity':" q ",'unit_price':" p "}"
#define TWO         L("1", "2", "'10.00'") "," L("2", "1", "'30.00'")
#define FIXED(n)    "{'type':'fixed','wallet':'p','points':" n "}"
#define RATE        "{'type':'rate','wallet':'p','points':1,'per':{'amount':1}"
#define WHERE(w)    RATE ",'where':" w "}"
#define BONUS(m)    "{'type':'line_bonus','wallet':'p'," m "}"
#define NINES       "99999999999999999999999999999999999999"
#define ZEROS       "0000000000000000000000000000000000000"
#define HUGE_TWO    L("1", "1", "'" NINES "'") "," L("2", "1", "'" NINES "'")

static const lines_t  lines[] = {
    { TWO, FIXED("10"), "10:4,6" },
    { TWO, FIXED("7"), "7:3,4" },
    { TWO, FIXED("0"), "0:" },
    { TWO, RATE "}", "50:20,30" },
    { TWO, WHERE("{'>':[{'var':'quantity'},1]}"), "20:20,0" },
    { TWO, WHERE("{'>':[{'var':'quantity'},9]}"), "0:" },
    { TWO, WHERE("{'===':[{'var':'sku'},'A']}"), "0:" },
    { TWO, WHERE("{'>':[{'%':[1,{'-':[{'var':'quantity'},1]}]},5]}"),
      "number.division_by_zero" },
    { TWO, BONUS("'points':3"), "6:3,3" },
    { TWO, BONUS("'points':3,'per':'unit'"), "9:6,3" },
    { TWO, BONUS("'points':'1.5','rounding':'ceil'"), "4:2,2" },
    { TWO, BONUS("'points':'1.5','per':'unit'"), "4:3,1" },
    { TWO, BONUS("'points':0"), "0:" },
    { TWO, BONUS("'points':3,'where':{'>':[{'var':'total'},25]}"), "3:0,3" },
    { TWO, BONUS("'points':3,'where':{'>':[{'/':[1,{'-':[{'var':'quantity'},1]"
                 "},0,'floor']},5]}"), "number.division_by_zero" },
    { L("1", "0", "'10'") "," L("2", "-1", "'10'") "," L("3", "1", "'1'"),
      BONUS("'points':3"), "3:0,0,3" },
    { L("1", "0", "'10'") "," L("2", "-1", "'10'") "," L("3", "1", "'1'"),
      FIXED("9"), "9:0,0,9" },
    { L("1", "0", "'10'") "," L("2", "-1", "'10'"), FIXED("9"), "9:" },
    { "", FIXED("9"), "9:" }, { "", RATE "}", "0:" },
    { "", BONUS("'points':3"), "0:" }, { "", WHERE("true"), "0:" },
    { L("1", "'x'", "'10'"), FIXED("9"), "fact.invalid" },
    { L("1", "'x'", "'10'"), FIXED("0"), "0:" },
    { L("1", "'x'", "'10'"), BONUS("'points':3"), "fact.invalid" },
    { L("1", "1", "true"), WHERE("true"), "fact.invalid" },
    { L("1", "1", "true"), WHERE("false"), "0:" },
    { L("1", "1", "true"), WHERE("{'>':[{'var':'total'},1]}"),
      "fact.invalid" },
    { L("1", "1", "true") "," L("2", "1", "1"), RATE "}", "fact.invalid" },
    { "{'line_id':'1','quantity':1,'unit_price':1,'discount':true}",
      FIXED("9"), "fact.invalid" },
    { "{'line_id':'1','quantity':1,'unit_price':{'amount':100,'currency':'EUR'"
      "}}", FIXED("9"), "fact.invalid" },
    { "{'line_id':'1','quantity':1,'unit_price':1,'discount':{'amount':100,'cu"
      "rrency':'EUR'}}", FIXED("9"), "fact.invalid" },
    { "{'line_id':'1','unit_price':1}", FIXED("9"), "fact.invalid" },
    { "{'line_id':'1','quantity':1}", FIXED("9"), "fact.invalid" },
    { "{'line_id':'1','quantity':3,'unit_price':'" NINES "'}", FIXED("9"),
      "fact.invalid" },
    { "{'line_id':'1','quantity':1,'unit_price':'" NINES "','discount':-1}",
      FIXED("9"), "fact.invalid" },
    { HUGE_TWO, FIXED("9"), "number.overflow" },
    { HUGE_TWO, WHERE("true"), "number.overflow" },
    { HUGE_TWO, RATE "}", "number.overflow" },
    { L("1", "1", "'" NINES "'"), FIXED("9"), "9:9" },
    { L("1", "1", "'" NINES "'") "," L("2", "1", "'-" NINES "'"),
      FIXED("9"), "9:9,0" },
    { L("1", "1", "'5000000000000000000'") "," L("2", "1",
                                                 "'5000000000000000000'"),
      FIXED("9223372036854775807"),
      "9223372036854775807:4611686018427387904,4611686018427387903" },
    { L("1", "1", "'0.000000000000000001'") "," L("2", "1",
                                                  "'1000000000000000000'"),
      FIXED("9"), "9:0,9" },
    { L("1", "1", "'9000000000000000000'") "," L("2", "1",
                                                 "'9000000000000000000'"),
      FIXED("8"), "8:4,4" },
    { L("1", "9000000000000000000", "1") "," L("2", "9000000000000000000",
                                               "1"),
      BONUS("'points':1,'per':'unit'"), "number.overflow" },
    { L("1", "1", "1"), BONUS("'points':9223372036854775808"),
      "number.overflow" },
    { L("1", "'" NINES "'", "0"), BONUS("'points':10,'per':'unit'"),
      "number.overflow" },
    { L("1", "1", "1") "," L("2", "1", "1"),
      BONUS("'points':9223372036854775807"), "number.overflow" },
    { L("1", "1", "1") "," L("2", "1", "1") "," L("3", "1", "1"),
      FIXED("10"), "10:4,3,3" },
    { L("1", "1", "1") "," L("2", "1", "2") "," L("3", "1", "3"),
      FIXED("10"), "10:2,3,5" },

    /* weights beyond 64 bits, or 128 */
    { L("1", "1", "'9000000000000000000'") ","
      L("2", "1", "'9000000000000000000'") ","
      L("3", "1", "'9000000000000000000'"), FIXED("10"), "10:4,3,3" },
    { L("1", "1", "'90000000000000000000000000000000000000'") ","
      L("2", "1", "'0.0001'"), FIXED("9"), "number.overflow" },
    { L("1", "1", "'90000000000000000000000000000000000000'") ","
      L("2", "1", "'-50000000000000000000000000000000000000'") ","
      L("3", "1", "'50000000000000000000000000000000000000'"), WHERE("true"),
      "number.overflow" },

    { L("1", "1", "'50000000000000000000000000000000000000'") ","
      L("2", "1", "'50000000000000000000000000000000000000'"), FIXED("9"),
      "number.overflow" },
    { L("1", "1", "1"), WHERE("true"), "1:1" },
    { L("1", "1", "5"), "{'type':'rate','wallet':'p','points':1,'per':{'amount"
      "':'18446744073709551617'}}", "0:0" },
    { L("1", "1", "'0.000001'"), "{'type':'rate','wallet':'p','points':1,'per'"
      ":{'amount':'9000000000000000000'}}", "0:0" },
    { TWO, FIXED("100") ",{'type':'multiplier','wallet':'p','factor':'1" ZEROS
      "'}", "number.overflow" },
    { L("1", "'" NINES "'", "0") "," L("2", "'" NINES "'", "0"), FIXED("9"),
      "9:" },
};


static void
written(const rule_result_t *r, ly_buf_t *b)
{
    size_t  i;

    if (r->outcome == RULE_ERROR) {
        ly_buf_cstr(b, r->code);
        return;
    }

    ly_buf_int(b, r->points);
    ly_buf_byte(b, ':');

    for (i = 0; r->effects != NULL && i < r->effects[0].n_shares; i++) {
        ly_buf_cstr(b, i > 0 ? "," : "");
        ly_buf_int(b, r->effects[0].shares[i]);
    }
}


/* the same of an order and of a refund */
static void
of_lines(bool refund)
{
    bool             good;
    size_t           i;
    ly_buf_t         doc, event, got;
    ly_arena_t      *a;
    rule_run_t       run;
    rule_input_t    *in;
    rule_result_t    r, plain;
    rule_verify_t    v;
    rule_options_t   options;
    rule_program_t  *p;

    a = ly_arena_create((size_t) 16 << 20, NULL);

    for (i = 0; i < ly_countof(lines); i++) {
        ly_arena_reset(a);
        ly_buf_init_arena(&doc, a, 1 << 16);
        ly_buf_init_arena(&event, a, 1 << 16);
        ly_buf_init_arena(&got, a, 1 << 16);
        ly_buf_cstr(&doc, refund ? "{'trigger':{'event':'order.refunded'},"
                                 : "{'trigger':{'event':'order.paid'},");
        ly_buf_cstr(&doc, "'effects':[");
        ly_buf_cstr(&doc, lines[i].effects);
        ly_buf_cstr(&doc, "]}");
        ly_buf_byte(&doc, '\0');
        ly_buf_cstr(&event, refund
                    ? "{'type':'order.refunded','refund':{'lines':["
                    : "{'type':'order.paid','order':{'lines':[");
        ly_buf_cstr(&event, lines[i].lines);
        ly_buf_cstr(&event, "],'currency':'GBP'}}");
        ly_buf_byte(&event, '\0');
        memset(&run, 0, sizeof(run));
        memset(&options, 0, sizeof(options));
        options.trace = true;
        p = rl_compile(a, cat, rl_quoted(a, (const char *) doc.data), 0);
        run.program = p;
        good = p != NULL
               && rule_input_create(a, cat, NULL, ly_str(""), &in) == LY_OK
               && rule_input_event(in, rl_quoted(
                                       a, (const char *) event.data)) == LY_OK
               && rule_evaluate(a, in, &run, 1, &options, &r) == LY_OK
               && rule_evaluate(a, in, &run, 1, NULL, &plain) == LY_OK
               && plain.points == r.points
               && rule_trace_verify(a, r.trace, p, cat, NULL, &v) == LY_OK
               && v.same && v.points == r.points;

        if (good) {
            written(&r, &got);
        }

        is_str(ly_buf_view(&got), ly_str_c(lines[i].want), lines[i].effects);
    }

    ly_arena_destroy(a);
}


/* wherever the budget ends, the rule ends with it, and gives nothing */
static void
steps(void)
{
    size_t           i;
    uint32_t         n;
    unsigned         ended;
    ly_buf_t         b;
    ly_arena_t      *a;
    rule_run_t       run;
    rule_input_t    *in;
    rule_result_t    r;
    rule_options_t   options;

    static const char *const  hungry[] = {
        "{'some':[{'var':'order.lines'},{'===':[{'var':'sku'},'Z']}]}",
        "{'in':['z',{'var':'member.segments'}]}",
        "{'segment':['a','b','c','d','e','f','g','h','z']}",
        "{'in':[{'var':'member.tier'},['a','b','c','d','e','f','g','h','i']]}",
        "{'contains':[{'var':'event.external_id'},'xxxxxxxxx']}",
        "{'contains_fold':[{'var':'event.external_id'},'xxxxxxxxx']}",
        "{'===':[{'length':{'var':'event.external_id'}},1]}",
        "{'===':[{'distinct_count':[{'var':'order.lines'},{'var':'line_id'}]}"
        ",1]}",
        "{'===':[{'sum':[{'filter':[{'var':'order.lines'},true]},{'var':'quant"
        "ity'}]},-1]}"
    };

    ly_buf_init_arena(&b, arena, 1 << 20);
    ly_buf_cstr(&b, "{'type':'order.paid','external_id':'");

    for (i = 0; i < 640; i++) {
        ly_buf_byte(&b, 'a');
    }

    ly_buf_cstr(&b, "','order':{'currency':'GBP','lines':[");

    for (i = 0; i < 30; i++) {
        ly_buf_cstr(&b, i > 0 ? ",{'line_id':'" : "{'line_id':'");
        ly_buf_uint(&b, i);
        ly_buf_cstr(&b, "','sku':'A','quantity':1,'unit_price':1}");
    }

    ly_buf_cstr(&b, "]}}");
    ly_buf_byte(&b, '\0');

    if (rule_input_create(arena, cat, NULL, ly_str(""), &in) != LY_OK
        || rule_input_event(in, rl_quoted(arena, (const char *) b.data))
        != LY_OK
        || rule_input_state(in, rl_quoted(arena, "{'member':{'tier':'q','segme"
                                          "nts':['1','2','3','4','5','6','7','"
                                          "8','9','10','11','12','13','14']}}"
                                          ))
        != LY_OK)
    {
        ok(false, "an event");
        return;
    }

    a = ly_arena_create((size_t) 16 << 20, NULL);
    memset(&run, 0, sizeof(run));

    for (i = 0; i < ly_countof(hungry); i++) {
        run.program = rl_compile(arena, cat, rl_condition(
                                     arena, rl_quoted(arena, hungry[i])), 0);
        ended = 0;
        r.outcome = RULE_ERROR;

        for (n = 1; n < 100000 && run.program != NULL; n++) {
            ly_arena_reset(a);
            memset(&options, 0, sizeof(options));
            options.steps = n;
            options.trace = n % 2;

            if (rule_evaluate(a, in, &run, 1, &options, &r) != LY_OK
                || r.outcome != RULE_ERROR
                || strcmp(r.code, "steps.exhausted") != 0 || r.points != 0)
            {
                break;
            }

            ended++;
        }

        ok(ended >= 4 && r.outcome == RULE_NOT_MATCHED,
           "%s: ended %u times, then answered", hungry[i], ended);
    }

    ly_arena_destroy(a);
}


/* more nodes than a trace lists */
static void
long_trace(size_t n, bool all, const char *each, const char *more)
{
    size_t           i;
    ly_buf_t         b;
    rule_run_t       run;
    rule_input_t    *in;
    rule_result_t    r;
    rule_verify_t    v;
    rule_options_t   options;

    ly_buf_init_arena(&b, arena, 1 << 20);
    ly_buf_cstr(&b, all ? "{'and':[" : "{'or':[");

    for (i = 0; i < n; i++) {
        ly_buf_cstr(&b, i > 0 ? "," : "");
        ly_buf_cstr(&b, each);
    }

    ly_buf_cstr(&b, "]}");
    ly_buf_byte(&b, '\0');
    memset(&run, 0, sizeof(run));
    memset(&options, 0, sizeof(options));
    options.trace = true;
    run.program = rl_compile(arena, cat, rl_condition(
                                 arena, rl_quoted(arena,
                                                  (const char *) b.data)), 0);

    if (run.program == NULL
        || rule_input_create(arena, cat, NULL, ly_str(""), &in) != LY_OK
        || rule_input_event(in, rl_quoted(arena, "{'type':'order.paid','order'"
                                          ":{'currency':'GBP','lines':["
                                          TWO "]}}")) != LY_OK
        || rule_evaluate(arena, in, &run, 1, &options, &r) != LY_OK)
    {
        ok(false, "a long rule");
        return;
    }

    ok(memmem(r.trace.data, r.trace.len, more, strlen(more)) != NULL,
       "%zu of %s: 256 are listed, %s", n, each, more);
    ok(rule_trace_verify(arena, r.trace, run.program, cat, NULL, &v) == LY_OK
       && v.same, "and it recomputes");
}


int
main(void)
{
    ly_str_t       text;
    rule_faults_t  f;

    arena = ly_arena_create((size_t) 64 << 20, NULL);

    if (arena == NULL || rule_catalogue_default(arena, &cat) != LY_OK) {
        return 1;
    }

    of_lines(false);
    of_lines(true);
    steps();
    long_trace(160, true, "{'>':[{'var':'order.line_count'},0]}",
               "\"more\":65,");
    text = rl_quoted(arena, "{'extends':'default','facts':[{'name':'x.b','type"
                     "':'bool','nullable':true}]}");

    if (rule_catalogue_parse(arena, text, &cat, &f) != LY_OK) {
        return 1;
    }

    long_trace(511, false, "{'var':'x.b'}", "\"more\":256,");
    ly_arena_destroy(arena);

    return tap_done();
}
