/*
 * Room that ends: every call of the engine in arenas of every size, and with
 * an allocator that fails its n-th call.  What has no room is said, nothing is
 * half done, and with a little more room the answer is the usual one.
 */

#include "rule_lib.h"
#include "fail_alloc.h"
#include "ly_share.h"


static ly_arena_t        *arena;
static rule_catalogue_t  *cat;
static ly_str_t           tzif;
static ly_str_t           rule, event, state, broken, facts, line;
static rule_program_t    *program;
static ly_str_t           saved, traced;

#define SHARES  300

/* the whole of one call in such an arena; LY_OK: it did what it should */
typedef ly_err_t (*step_pt)(ly_arena_t *a);


static ly_err_t
compile(ly_arena_t *a)
{
    rule_faults_t    f;
    rule_program_t  *p;

    return rule_compile(a, rule, cat, 0, &p, &f);
}


static ly_err_t
refuse(ly_arena_t *a)
{
    ly_err_t         err;
    rule_faults_t    f;
    rule_program_t  *p;

    err = rule_compile(a, broken, cat, 0, &p, &f);

    return err == LY_PARSE && f.n == 5 ? LY_OK
                                       : err == LY_PARSE ? LY_FATAL : err;
}


/* large parts that find no room where small ones still do */
static ly_str_t       document;
static unsigned char  digest[RULE_DIGEST_LEN];

/* what there was room for is the whole of it */
static ly_err_t
whole(const unsigned char *is)
{
    return memcmp(is, digest, sizeof(digest)) == 0 ? LY_OK : LY_FATAL;
}


/* a pattern whose % stands for n times one, a number and end */
typedef struct {
    const char  *pattern;
    const char  *one;
    const char  *end;
    size_t       n;
} large_t;


static ly_str_t
filled(const large_t *l)
{
    size_t       i;
    ly_buf_t     b;
    const char  *at;

    ly_buf_init_arena(&b, arena, 1 << 20);
    at = strchr(l->pattern, '%');
    ly_buf_put(&b, l->pattern, (size_t) (at - l->pattern));

    for (i = 1; i <= l->n; i++) {
        ly_buf_cstr(&b, i > 1 ? "," : "");
        ly_buf_cstr(&b, l->one);
        ly_buf_uint(&b, i);
        ly_buf_cstr(&b, l->end);
    }

    ly_buf_cstr(&b, at + 1);
    ly_buf_byte(&b, '\0');

    return rl_quoted(arena, (const char *) b.data);
}


static ly_err_t
compile_document(ly_arena_t *a)
{
    ly_err_t         err;
    rule_faults_t    f;
    rule_program_t  *p;

    err = rule_compile(a, document, cat, 0, &p, &f);

    return err == LY_OK ? whole(rule_program_digest(p)) : err;
}


static ly_err_t
read_catalogue(ly_arena_t *a)
{
    ly_err_t           err;
    rule_faults_t      f;
    rule_catalogue_t  *c;

    err = rule_catalogue_parse(a, document, &c, &f);

    return err == LY_OK ? whole(rule_catalogue_digest(c)) : err;
}


static ly_err_t
malformed(ly_arena_t *a)
{
    ly_err_t         err;
    rule_faults_t    f;
    rule_program_t  *p;

    err = rule_compile(a, ly_str("{\"a\":{\"b\":[1,}}"), cat, 0, &p, &f);

    return err == LY_PARSE && f.n == 1 ? LY_OK
                                       : err == LY_PARSE ? LY_FATAL : err;
}


static ly_err_t
catalogue(ly_arena_t *a)
{
    rule_faults_t      f;
    rule_catalogue_t  *c;

    return rule_catalogue_parse(a, facts, &c, &f);
}


static ly_err_t
catalogue_default(ly_arena_t *a)
{
    rule_catalogue_t  *c;

    return rule_catalogue_default(a, &c);
}


static ly_err_t
normalise(ly_arena_t *a)
{
    ly_buf_t       b;
    rule_faults_t  f;

    ly_buf_init_arena(&b, a, 1 << 20);

    return rule_normalise(a, rule, cat, &b, &f);
}


static ly_err_t
english(ly_arena_t *a)
{
    ly_buf_t       b;
    rule_faults_t  f;

    ly_buf_init_arena(&b, a, 1 << 20);

    return rule_english(a, rule, cat, &b, &f);
}


static ly_err_t
load(ly_arena_t *a)
{
    ly_err_t         err;
    rule_program_t  *p;

    err = rule_program_load(a, saved, cat, &p);

    return err == LY_DENIED ? LY_NOMEM : err;
}


static ly_err_t
read_both(ly_arena_t *a, rule_input_t **in)
{
    ly_err_t  err;

    err = rule_input_create(a, cat, NULL, ly_str(""), in);

    if (err == LY_OK) {
        err = rule_input_event(*in, event);
    }

    return err == LY_OK ? rule_input_state(*in, state) : err;
}


static ly_err_t
read_event(ly_arena_t *a)
{
    rule_input_t  *in;

    return read_both(a, &in);
}


static size_t  n_runs = 2;      /* and as many caps for each */


static ly_err_t
evaluate(ly_arena_t *a)
{
    size_t           i;
    ly_err_t         err;
    rule_cap_t       cap = { ly_str_init("budget"), 30 };
    rule_cap_t       own[2] = { { ly_str_init("own"), 900 },
                                { ly_str_init("own"), 900 } };
    rule_cap_t      *caps[2][2] = { { &cap, &own[0] }, { &cap, &own[1] } };
    rule_run_t       runs[2];
    rule_input_t    *in;
    rule_result_t    r[2];
    rule_options_t   options;

    err = read_both(a, &in);

    if (err != LY_OK) {
        return err;
    }

    memset(runs, 0, sizeof(runs));
    memset(&options, 0, sizeof(options));
    options.trace = true;

    memset(r, 0, sizeof(r));

    for (i = 0; i < n_runs; i++) {
        runs[i].program = program;
        runs[i].caps = caps[i];
        runs[i].n_caps = n_runs;
    }

    err = rule_evaluate(a, in, runs, n_runs, &options, r);

    if (err != LY_OK) {
        return err == LY_NOMEM && cap.remaining == 30
               && own[0].remaining == 900 && own[1].remaining == 900
               ? err : LY_FATAL;
    }

    if (cap.remaining != 30 - r[0].points - r[1].points
        || (n_runs > 1 && (own[0].remaining != 900 - r[0].points
                           || own[1].remaining != 900 - r[1].points)))
    {
        return LY_FATAL;
    }

    for (i = 0; i < 2; i++) {
        if (r[i].outcome == RULE_ERROR) {
            return strcmp(r[i].code, "memory.exhausted") == 0
                   && r[i].points == 0 ? LY_NOMEM : LY_FATAL;
        }
    }

    return r[0].points + r[1].points == 30 ? LY_OK : LY_FATAL;
}


static ly_err_t
verify(ly_arena_t *a)
{
    ly_err_t       err;
    rule_verify_t  v;

    err = rule_trace_verify(a, traced, program, cat, NULL, &v);

    return err != LY_OK ? err : v.same ? LY_OK : LY_NOMEM;
}


static ly_err_t
compatible(ly_arena_t *a)
{
    ly_err_t  err;
    ly_buf_t  b;

    ly_buf_init(&b, 4096, NULL);
    err = rule_compat_line(a, line, &b);

    if (err == LY_OK
        && memmem(b.data, b.len, "memory.exhausted", 16) != NULL)
    {
        err = LY_NOMEM;

    } else if (err == LY_OK && memmem(b.data, b.len, "result", 6) == NULL) {
        err = LY_FATAL;
    }

    ly_buf_free(&b);

    return err;
}


/* shares of more lines than the short way takes */
static ly_err_t
shares(ly_arena_t *a)
{
    size_t     i;
    int64_t    out[SHARES], sum;
    ly_err_t   err;
    ly_dec_t   weights[SHARES];

    for (i = 0; i < SHARES; i++) {
        weights[i] = ly_dec_int((int64_t) i);
    }

    err = ly_share_split(1000, weights, SHARES, out, a);

    for (i = 0, sum = 0; i < SHARES && err == LY_OK; i++) {
        sum += out[i];
    }

    return err == LY_OK && sum != 1000 ? LY_FATAL : err;
}


static ly_err_t
zone(ly_arena_t *a)
{
    ly_zone_t  *z;

    return ly_zone_parse(a, tzif, &z);
}


/* what is nearly full when a call begins, with less room each time */
static void
behind(const char *name, step_pt step)
{
    size_t       n, wrong, refused;
    ly_err_t     err;
    ly_arena_t  *a;

    wrong = refused = 0;

    for (n = 0; n < 8000; n += 16) {
        a = ly_arena_create(LY_ARENA_BLOCK, NULL);

        if (a == NULL || ly_arena_alloc(a, 8000 - n) == NULL) {
            abort();
        }

        err = step(a);
        refused += err == LY_NOMEM;
        wrong += err != LY_OK && err != LY_NOMEM && err != LY_LIMIT;
        ly_arena_destroy(a);
    }

    ok(wrong == 0 && refused > 0, "%s: refused %zu times of 500", name,
       refused);
}


static void
each(const char *name, step_pt step)
{
    size_t         n, wrong, kept;
    ly_err_t       err;
    ly_arena_t    *a;
    ly_alloc_t     alloc;
    fail_alloc_t   f;

    err = LY_NOMEM;

    for (n = LY_ARENA_MIN, wrong = 0; err != LY_OK && n < ((size_t) 8 << 20);
         n += n < 98304 ? 16 : n / 64)
    {
        a = ly_arena_create(n, NULL);
        err = step(a);
        wrong += err != LY_OK && err != LY_NOMEM && err != LY_LIMIT;
        ly_arena_destroy(a);
    }

    ok(err == LY_OK && wrong == 0, "%s: %zu bytes are enough, less is refused",
       name, n);

    for (n = 1, wrong = 0, kept = 0; n < 200; n++) {
        alloc = fail_alloc(&f, n);
        a = ly_arena_create((size_t) 64 << 20, &alloc);
        err = a == NULL ? LY_NOMEM : step(a);
        ly_arena_destroy(a);
        kept += f.live != 0;

        if (!f.failed) {
            break;
        }

        wrong += err != LY_NOMEM;
    }

    ok(err == LY_OK && wrong == 0 && kept == 0,
       "%s: refused at each of %zu blocks, nothing kept", name, n - 1);
}


static bool
prepare(void)
{
    ly_buf_t         b;
    rule_run_t       run;
    rule_input_t    *in;
    rule_result_t    r;
    rule_options_t   options;

    rule = rl_quoted(arena, "{'trigger':{'event':'order.paid','sources':['shop"
                     "']},'condition':{'and':[{'some':[{'filter':[{'var':'orde"
                     "r.lines'},{'>':[{'var':'quantity'},{'+':[0,0.5]}]}]},{'c"
                     "ontains_fold':[{'var':'sku'},'a']}]},{'>':[{'distinct_co"
                     "unt':[{'var':'order.lines'},{'var':'sku'}]},1]},{'if':[{"
                     "'has':['member.tier']},{'in':[{'var':'member.tier'},['go"
                     "ld','red']]},true]},{'or':[{'<':[{'count_in_window':['or"
                     "der.paid','P1D']},2]},{'missing':['member.birthday']}]},"
                     "{'===':[{'plus':['2026-01-31','P1M']},'2026-02-28']},{'="
                     "==':[{'fold':{'var':'event.external_id'}},'ab']}]},'effe"
                     "cts':[{'type':'rate','wallet':'points','points':1,'per':"
                     "{'amount':'1'},'where':{'>':[{'var':'total'},1]}},{'type"
                     "':'line_bonus','wallet':'points','points':2,'per':'unit'"
                     "},{'type':'table','wallet':'x','of':'order.quantity','st"
                     "eps':[{'from':1,'points':5}]},{'type':'multiplier','wall"
                     "et':'points','factor':2}],'limits':{'per_event':900},'se"
                     "gments':['vip'],'schedule':{'starts_at':'2026-01-01T00:0"
                     "0:00Z'}}");
    event = rl_quoted(arena, "{'type':'order.paid','source':'shop','external_i"
                      "d':'A\\u0062','occurred_at':'2026-03-10T12:00:00Z','ord"
                      "er':{'currency':'GBP','lines':[{'line_id':'1','sku':'A'"
                      ",'quantity':2,'unit_price':'10.00','categories':['home'"
                      "]},{'line_id':'2','sku':'B','quantity':1,'unit_price':'"
                      "30.00','discount':'0.50'}]}}");
    state = rl_quoted(arena, "{'member':{'tier':'gold','segments':['vip','x']}"
                      "}");
    broken = rl_quoted(arena, "{'trigger':{'event':'A'},'condition':{'and':[{'"
                       "var':'a.b'},{'>':[{'var':'now'},'x']}]},'effects':[],'"
                       "y':1}");
    facts = rl_quoted(arena, "{'extends':'default','facts':[{'name':'a.b','typ"
                      "e':'enum','values':['x','y']},{'name':'a.c','type':'lis"
                      "t','of':{'fields':[{'name':'d','type':'int'}]}}]}");
    line = rl_quoted(arena, "{'rule':{'if':[{'some':[{'var':'a'},{'>':[{'var':"
                     "''},1]}]},{'cat':[{'substr':['hello',1,3]},{'merge':[1,["
                     "2,3]]},{'reduce':[{'map':[{'filter':[{'var':'a'},true]},"
                     "{'*':[{'var':''},2]}]},{'+':[{'var':'current'},{'var':'a"
                     "ccumulator'}]},0]}]},{'missing_some':[1,['q','r']]},{'mi"
                     "ssing':['a','z']},{'in':['a','bca']},{'==':['1',{'var':'"
                     "o.k'}]}]},'data':{'a':[1,2,3],'o':{'k':1,'2':'\\u00e9'}}"
                     "}");

    program = rl_compile(arena, cat, rule, 0);
    ly_buf_init_arena(&b, arena, 1 << 20);
    memset(&run, 0, sizeof(run));
    memset(&options, 0, sizeof(options));
    options.trace = true;
    run.program = program;

    if (program == NULL || rule_program_save(program, &b) != LY_OK
        || read_both(arena, &in) != LY_OK
        || rule_evaluate(arena, in, &run, 1, &options, &r) != LY_OK)
    {
        return false;
    }

    saved = ly_buf_view(&b);
    traced = r.trace;
    printf("# %s, %lld points\n", rule_outcome_name(r.outcome),
           (long long) r.points);

    return r.outcome == RULE_MATCHED;
}


int
main(void)
{
    size_t             i;
    rule_faults_t      f;
    rule_program_t    *p;
    rule_catalogue_t  *c;

#define WITH(rest)                                                            \
    "{'trigger':{'event':'a'},'effects':[{'type':'fixed','wallet':'p',"       \
    "'points':1}]," rest "}"

    static const large_t  documents[] = {
        { "{'trigger':{'event':'a','sources':[%]},'effects':[{'type':'fixed',"
          "'wallet':'p','points':1}]}", "'s", "'", 100 },
        { "{'trigger':{'event':'a'},'effects':[{'type':'table','wallet':'p',"
          "'of':'order.total','steps':[%]}]}", "{'points':1,'from':", "}",
          100 },
        { "{'trigger':{'event':'a'},'effects':[{'type':'rate','wallet':'p',"
          "'points':1,'per':{'amount':1}},{'type':'line_bonus','wallet':'p',"
          "'points':1}],'segments':[%]}", "'s", "'", 1 },
        { WITH("'condition':{'some':[[%],true]}"), "'s", "'", 300 },
        { WITH("'condition':{'tier':[%]}"), "'s", "'", 400 },
        { WITH("'condition':{'===':[{'if':[%,'z']},'x']}"), "true,'s", "'",
          200 },
        { WITH("'condition':{'>':[{'count_in_window':['a',%]},1]}"), "'P",
          "D'", 1 },
        { WITH("'condition':{'===':[{'fold':'%'},'x']}"), "ABCDEFG", "", 300 },
        { WITH("'condition':{'in':['a',[%]]}"), "{'var':'member.tier'},'b",
          "'", 60 },
        { WITH("'condition':{'and':[%,true]}"), "{'!=':[{'var':'member.tier'},"
          "null]},{'===':['b','", "']}", 100 }
    };

    /* much is made of little: a list whose elements are asked one by one */
    static const large_t  lines[] = {
        { "{'rule':{'map':[{'var':'a'},{'missing':'x'}]},'data':{'a':[%]}}",
          "", "", 400 },
        { "{'rule':{'map':[{'var':'a'},{'missing_some':[1,['x','y']]}]},'data'"
          ":{'a':[%]}}", "", "", 400 },
        { "{'rule':{'map':[{'var':'a'},{'missing_some':[1,'xy']}]},'data'"
          ":{'a':[%]}}", "", "", 400 },
        { "{'rule':{'map':[{'var':'a'},{'var':'0.length'}]},'data':{'a':[%]}}",
          "'ab", "'", 400 },
        { "{'rule':{'map':[{'var':'a'},{'+':[{'var':''},'1.5']}]},'data':{'a':"
          "[%]}}", "'", "'", 400 }
    };
    static const large_t  catalogues[] = {
        { "{'extends':'default','facts':[{'name':'a.x','type':'enum',"
          "'values':[%]}]}", "'v", "'", 900 },
        { "{'extends':'default','facts':[{'name':'a.x','type':'list','of':{"
          "'fields':[%]}}]}", "{'type':'int','name':'x", "'}", 64 }
    };

    arena = ly_arena_create((size_t) 64 << 20, NULL);

    if (arena == NULL || rule_catalogue_default(arena, &cat) != LY_OK
        || !prepare())
    {
        return 1;
    }

    each("compile", compile);
    each("refuse", refuse);

    for (i = 0; i < ly_countof(documents); i++) {
        document = filled(&documents[i]);

        if (rule_compile(arena, document, cat, 0, &p, &f) != LY_OK) {
            return 1;
        }

        memcpy(digest, rule_program_digest(p), sizeof(digest));
        each("a large document", compile_document);
    }

    for (i = 0; i < ly_countof(catalogues); i++) {
        document = filled(&catalogues[i]);

        if (rule_catalogue_parse(arena, document, &c, &f) != LY_OK) {
            return 1;
        }

        memcpy(digest, rule_catalogue_digest(c), sizeof(digest));
        each("a large catalogue", read_catalogue);
    }

    each("not JSON", malformed);
    each("a catalogue", catalogue);
    each("the default catalogue", catalogue_default);
    each("normalise", normalise);
    each("English", english);
    each("load", load);
    each("read", read_event);
    each("evaluate", evaluate);
    n_runs = 1;
    each("evaluate one rule with one cap", evaluate);
    each("verify", verify);
    each("compatible", compatible);

    for (i = 0; i < ly_countof(lines); i++) {
        line = filled(&lines[i]);
        each("an element after the other", compatible);
    }

    each("shares", shares);

    if (!vec_file(arena, "/usr/share/zoneinfo/America/New_York", &tzif)) {
        return 1;
    }

    each("a zone", zone);
    behind("a zone", zone);
    behind("not JSON", malformed);
    behind("compile", compile);
    behind("compatible", compatible);
    ly_arena_destroy(arena);

    return tap_done();
}
