/*
 * Corners of what a caller hands in: catalogues that are large, lists and
 * money of a state, depth, bytes that are no UTF-8, more faults than are told,
 * and what a refund takes back.
 */

#include "rule_lib.h"
#include "worker/rule/rule_int.h"


static ly_arena_t  *arena;


/* text with % for n times one, a number from 0 and end, joined by commas */
static const char *
filled(const char *text, const char *one, const char *end, size_t n)
{
    size_t       i;
    ly_buf_t     b;
    const char  *at;

    ly_buf_init_arena(&b, arena, 1 << 20);
    at = strchr(text, '%');
    ly_buf_put(&b, text, (size_t) (at - text));

    for (i = 0; i < n; i++) {
        ly_buf_cstr(&b, i > 0 ? "," : "");
        ly_buf_cstr(&b, one);
        ly_buf_uint(&b, i);
        ly_buf_cstr(&b, end);
    }

    ly_buf_cstr(&b, at + 1);
    ly_buf_byte(&b, '\0');

    return (const char *) b.data;
}


static rule_catalogue_t *
catalogue(const char *facts)
{
    rule_faults_t      f;
    rule_catalogue_t  *c;

    if (rule_catalogue_parse(arena, rl_quoted(arena, facts), &c, &f)
        != LY_OK)
    {
        printf("# %s\n", facts);
        abort();
    }

    return c;
}


/* the condition saved, loaded and evaluated: outcome, or an error's code */
static void
is(const rule_catalogue_t *c, const char *condition, const char *event,
    const char *state, const char *want)
{
    ly_buf_t         b;
    rule_run_t       run;
    const char      *got;
    rule_input_t    *in;
    rule_result_t    r;
    rule_program_t  *p;

    memset(&run, 0, sizeof(run));
    p = rl_compile(arena, c, rl_condition(arena, rl_quoted(arena, condition)),
                   0);
    ly_buf_init_arena(&b, arena, 1 << 20);

    if (p == NULL || rule_program_save(p, &b) != LY_OK
        || rule_program_load(arena, ly_buf_view(&b), c, &p) != LY_OK
        || rule_input_create(arena, c, NULL, ly_str(""), &in) != LY_OK
        || rule_input_event(in, rl_quoted(arena, event)) != LY_OK
        || rule_input_state(in, rl_quoted(arena, state)) != LY_OK)
    {
        ok(false, "%s is not evaluated", condition);
        return;
    }

    run.program = p;

    if (rule_evaluate(arena, in, &run, 1, NULL, &r) != LY_OK) {
        ok(false, "%s has no answer", condition);
        return;
    }

    got = r.outcome == RULE_ERROR ? r.code : rule_outcome_name(r.outcome);
    is_str(ly_str_c(got), ly_str_c(want), condition);
}


/* as many members of one object as facts go, each of them once */
static void
wide(void)
{
    size_t             i, taken, refused;
    ly_buf_t           b;
    rule_input_t      *in;
    rule_catalogue_t  *c;

    c = catalogue(filled("{'extends':'default','facts':[%]}",
                         "{'type':'int','nullable':true,'name':'e.x", "'}",
                         140));

    if (rule_input_create(arena, c, NULL, ly_str(""), &in) != LY_OK) {
        abort();
    }

    is(c, "{'===':[{'-':[{'var':'e.x139'},{'var':'e.x64'}]},75]}",
       "{'type':'order.paid','e':{'x64':64,'x139':139}}", "{}", "matched");

    for (i = 0, taken = 0, refused = 0; i <= 140; i++) {
        size_t  k;

        ly_buf_init_arena(&b, arena, 1 << 20);
        ly_buf_cstr(&b, "{'e':{");

        for (k = 0; k < 140; k++) {
            ly_buf_cstr(&b, k > 0 ? ",'x" : "'x");
            ly_buf_uint(&b, k);
            ly_buf_cstr(&b, "':");
            ly_buf_uint(&b, k);
        }

        if (i < 140) {
            ly_buf_cstr(&b, ",'x");
            ly_buf_uint(&b, i);
            ly_buf_cstr(&b, "':1");
        }

        ly_buf_cstr(&b, "}}");
        ly_buf_byte(&b, '\0');

        if (rule_input_event(in, rl_quoted(arena, (const char *) b.data))
            == LY_OK)
        {
            taken++;

        } else {
            refused++;
        }
    }

    ok(taken == 1 && refused == 140,
       "140 members are read, and a second one of each is refused");

    c = catalogue(filled("{'extends':'default','facts':[{'name':'e.l','type':"
                         "'list','of':{'fields':[%]}}]}",
                         "{'type':'int','nullable':true,'name':'x", "'}",
                         64));
    is(c, "{'some':[{'var':'e.l'},{'===':[{'var':'x63'},7]}]}",
       "{'type':'order.paid','e':{'l':[{'x0':7,'x63':7}]}}", "{}", "matched");
    is(c, "{'some':[{'var':'e.l'},{'===':[{'+':[{'var':'x0'},{'var':'x63'}]},8"
       "]}]}", "{'type':'order.paid','e':{'l':[{'x0':1,'x63':7}]}}", "{}",
       "matched");
}


/* a list with as many fields as lines have is none of lines */
static void
lists(void)
{
    rule_catalogue_t  *c;

    c = catalogue(filled("{'extends':'default','facts':[{'name':'e.l','type':"
                         "'list','of':{'fields':[%]}}]}",
                         "{'type':'int','nullable':true,'name':'x", "'}",
                         RULE_L_N));
    is(c, "{'all':[{'var':'e.l'},{'and':[{'===':[{'var':'x5'},7]},{'missing':["
       "'x4']},{'missing':['x6']}]}]}",
       "{'type':'order.paid','e':{'l':[{'x2':1,'x5':7}]}}", "{}", "matched");

#define MONEY(fact)  "{'>':[{'var':'" fact "'},1]}"
#define SUM(fact)    "{'>':[{'sum':[{'var':'" fact "'},{'var':'p'}]},1]}"
#define LIST(fact)                                                            \
    "{'name':'" fact "','type':'list','of':{'fields':[{'name':'n','type':"    \
    "'int','nullable':true},{'name':'p','type':'money'}]}}"

    /* a number of a state has no currency, wherever it stands */
    c = catalogue("{'extends':'default','facts':[" LIST("member.a") ","
                  LIST("member.b") "," LIST("e.a") "," LIST("e.b") ",{'name':'"
                  "member.c','type':'money'},{'name':'member.d','type':'money'"
                  "},{'name':'e.c','type':'money'},{'name':'e.d','type':'money"
                  "'},{'name':'member.e','type':'money','currency':'GBP'}]}");

#define STATE                                                                 \
    "{'member':{'a':[{'p':2}],'b':[{'p':2}],'c':2,'d':2,'e':2}}"
#define EURO                                                                  \
    "{'member':{'a':[{'p':{'amount':200,'currency':'EUR'}}],'b':[{'p':{'amou" \
    "nt':200,'currency':'EUR'}}],'c':{'amount':200,'currency':'EUR'},'d':{'a" \
    "mount':200,'currency':'EUR'},'e':2}}"
#define EVENT                                                                 \
    "{'type':'order.paid','e':{'a':[{'p':2}],'b':[{'p':2}],'c':2,'d':2}"
#define POUNDS  EVENT ",'order':{'currency':'GBP'}}"

    is(c, SUM("member.a"), POUNDS, STATE, "fact.invalid");
    is(c, SUM("member.b"), POUNDS, STATE, "fact.invalid");
    is(c, MONEY("member.c"), POUNDS, STATE, "fact.invalid");
    is(c, MONEY("member.d"), POUNDS, STATE, "fact.invalid");
    is(c, MONEY("member.e"), POUNDS, STATE, "matched");
    is(c, SUM("member.a"), POUNDS, EURO, "matched");
    is(c, SUM("member.b"), POUNDS, EURO, "matched");
    is(c, MONEY("member.c"), POUNDS, EURO, "matched");
    is(c, MONEY("member.d"), POUNDS, EURO, "matched");
    is(c, SUM("e.a"), POUNDS, STATE, "matched");
    is(c, SUM("e.b"), POUNDS, STATE, "matched");
    is(c, MONEY("e.c"), POUNDS, STATE, "matched");
    is(c, MONEY("e.d"), POUNDS, STATE, "matched");
    is(c, SUM("e.a"), EVENT "}", STATE, "fact.invalid");
    is(c, SUM("e.b"), EVENT "}", STATE, "fact.invalid");
    is(c, MONEY("e.c"), EVENT "}", STATE, "fact.invalid");
    is(c, MONEY("e.d"), EVENT "}", STATE, "fact.invalid");

    /* a key with an order of its own */
    c = catalogue("{'extends':'default','facts':[{'name':'e.l','type':'list','"
                  "of':{'fields':[{'name':'s','type':'enum','values':['z','y',"
                  "'x'],'ordered':true},{'name':'n','type':'int'}]}}]}");
    is(c, "{'===':[{'max_by':[{'var':'e.l'},{'var':'s'},{'var':'n'}]},2]}",
       "{'type':'order.paid','e':{'l':[{'s':'y','n':1},{'s':'x','n':2},{'s':'z"
       "','n':3}]}}", "{}", "matched");
}


/* a list counts as deep as an object: 32 levels, not one more */
static void
deep(void)
{
    size_t             i, k;
    ly_buf_t           facts, event;
    ly_err_t           err;
    rule_input_t      *in;
    rule_catalogue_t  *c;

    for (i = 31; i <= 32; i++) {
        ly_buf_init_arena(&facts, arena, 1 << 16);
        ly_buf_init_arena(&event, arena, 1 << 16);
        ly_buf_cstr(&facts, "{'extends':'default','facts':[{'name':'e.l','type"
                    "':'list','of':'string','path':'a");
        ly_buf_cstr(&event, "{'a':");

        for (k = 1; k < i; k++) {
            ly_buf_cstr(&facts, ".a");
            ly_buf_cstr(&event, "{'a':");
        }

        ly_buf_cstr(&facts, "'}]}");
        ly_buf_cstr(&event, "['x']");

        for (k = 0; k < i; k++) {
            ly_buf_byte(&event, '}');
        }

        ly_buf_byte(&facts, '\0');
        ly_buf_byte(&event, '\0');
        c = catalogue((const char *) facts.data);

        if (rule_input_create(arena, c, NULL, ly_str(""), &in) != LY_OK) {
            abort();
        }

        err = rule_input_event(in, rl_quoted(arena,
                                             (const char *) event.data));
        is_int(err, i == 31 ? LY_OK : LY_LIMIT, "a list at that depth");
    }
}


/* a byte that is no UTF-8 is found wherever it stands */
static void
bytes(const rule_catalogue_t *c)
{
    size_t          i, wrong;
    rule_input_t   *in;
    unsigned char   room[64 + 130], *text;

    if (rule_input_create(arena, c, NULL, ly_str(""), &in) != LY_OK) {
        abort();
    }

    /* what stands before it is plain, so that only the text itself tells */
    memset(room, 'x', sizeof(room));
    text = room + 64;
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + 128, "\"}", 2);
    is_int(rule_input_event(in, ly_str_of(text, 130)), LY_OK,
           "a text of 130 bytes");

    for (i = 6, wrong = 0; i < 128; i++) {
        text[i] = 0xff;
        wrong += rule_input_event(in, ly_str_of(text, 130)) != LY_PARSE;
        text[i] = 'x';
    }

    is_int(wrong, 0, "with one that is no UTF-8 at each place");
}


static void
totals(const rule_catalogue_t *c)
{
    ly_dec_t       d;
    rule_input_t  *in;

#define LINES(price)                                                          \
    "{'currency':'GBP','lines':[{'line_id':'1','quantity':1,'unit_price':"    \
    price "}]}"

    if (rule_input_create(arena, c, NULL, ly_str(""), &in) != LY_OK) {
        abort();
    }

    ok(rule_input_event(in, rl_quoted(arena, "{'order':" LINES("10")
                                      ",'refund':" LINES("3") "}")) == LY_OK
       && rule_input_total(in, &d) == LY_OK && d.coef == 10,
       "of an order and a refund the order's total");
    ok(rule_input_event(in, rl_quoted(arena, "{'refund':" LINES("3") "}"))
       == LY_OK && rule_input_total(in, &d) == LY_OK && d.coef == 3,
       "of a refund its own");
    ok(rule_input_event(in, rl_quoted(arena, "{}")) == LY_OK
       && rule_input_total(in, &d) == LY_NOTFOUND
       && rule_input_lines(in) == 0, "of neither none");
}


/* what a refund without an order takes back, up to what has no number */
static void
refunds(const rule_catalogue_t *c)
{
    size_t           i;
    int64_t          points;
    ly_dec_t         d;
    rule_program_t  *p;

    static const struct {
        const char  *amount;
        const char  *per;
        ly_err_t     err;
        int64_t      points;
    } cases[] = {
        { "0", "1", LY_OK, 0 },
        { "-5", "1", LY_OK, 0 },
        { "0.000001", "1", LY_OK, 0 },
        { "2.5", "1", LY_OK, 5 },
        { "2.4", "1.6", LY_OK, 3 },
        { "4611686018427387903.5", "1", LY_OK, INT64_MAX },
        { "4611686018427387904", "1", LY_OVERFLOW, 0 },
        { "60000000000000000000000000000000000000", "1", LY_OVERFLOW, 0 },
        { "10000000000000000000000000000000000000", "0.000001", LY_OVERFLOW,
          0 }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        ly_buf_t  b;

        ly_buf_init_arena(&b, arena, 1 << 12);
        ly_buf_cstr(&b, "{'trigger':{'event':'order.paid'},'base':true,'effect"
                    "s':[{'type':'rate','wallet':'p','points':2,'per':{'amount"
                    "':'");
        ly_buf_cstr(&b, cases[i].per);
        ly_buf_cstr(&b, "'}}]}");
        ly_buf_byte(&b, '\0');
        points = 0;
        p = rl_compile(arena, c, rl_quoted(arena, (const char *) b.data), 0);

        if (p == NULL
            || rule_num_parse(ly_str_c(cases[i].amount), false, &d) != LY_OK)
        {
            ok(false, "a base");
            continue;
        }

        ok(rule_refund_points(p, d, &points) == cases[i].err
           && (cases[i].err != LY_OK || points == cases[i].points),
           "%s at two for each %s: %lld", cases[i].amount, cases[i].per,
           (long long) points);
    }
}


#define DIGITS  "0123456789012345678901234567890123456789"


/* a hundred are told, each whole; what is found is told up to 80 bytes */
static void
faults(const rule_catalogue_t *c)
{
    size_t           i, good;
    char             pointer[32];
    rule_faults_t    f;
    rule_program_t  *p;

    ok(rule_compile(arena, rl_quoted(
                        arena, filled("{'trigger':{'event':'a'},'effects':[{'t"
                                      "ype':'fixed','wallet':'p','points':1}],"
                                      "%}", "'m", "':1", 120)),
                    c, 0, &p, &f) == LY_PARSE
       && f.n == RULE_FAULTS_MAX && f.more == 20, "a hundred and twenty");

    for (i = 0, good = 0; i < f.n; i++) {
        (void) snprintf(pointer, sizeof(pointer), "/m%zu", i);
        good += ly_str_eq(f.fault[i].pointer, ly_str_c(pointer))
                && ly_str_eq(ly_str_c(f.fault[i].code),
                             ly_str("member.unknown"));
    }

    is_int(good, RULE_FAULTS_MAX, "each with its place");

    ok(rule_compile(arena, rl_quoted(
                        arena, "{'trigger':{'event':'a'},'condition':{'===':[{"
                        "'var':'order.line_count'},'" DIGITS DIGITS "abc']},'e"
                        "ffects':[{'type':'fixed','wallet':'p','points':1}]}"),
                    c, 0, &p, &f) == LY_PARSE && f.n == 1,
       "a long text where a number is due");
    is_str(f.fault[0].found, ly_str(DIGITS DIGITS), "80 bytes of it");

    ok(rule_compile(arena, ly_str("{\"a\":[1,}"), c, 0, &p, &f) == LY_PARSE
       && f.n == 1 && f.fault[0].found.len == 0,
       "of what is no JSON nothing is found");
}


int
main(void)
{
    rule_catalogue_t  *c;

    arena = ly_arena_create((size_t) 256 << 20, NULL);

    if (arena == NULL || rule_catalogue_default(arena, &c) != LY_OK) {
        return 1;
    }

    wide();
    lists();
    deep();
    bytes(c);
    totals(c);
    refunds(c);
    faults(c);
    ly_arena_destroy(arena);

    return tap_done();
}
