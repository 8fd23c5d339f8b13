/*
 * The compatible mode: the public suite, cases of our own with what the
 * reference implementation says of them, and lines that are no cases.  Beside
 * it what reads documents for people: English for every vector, catalogues.
 */

#include "rule_lib.h"
#include "ly_canon.h"


static ly_arena_t        *arena;
static rule_catalogue_t  *cat;


/* does the case's line give its result, number by number as JavaScript's */
static bool
gives(ly_arena_t *a, const ly_json_node_t *c, ly_buf_t *out)
{
    ly_jw_t                w;
    ly_buf_t               line, want, got;
    ly_json_node_t        *root;
    const ly_json_node_t  *n, *result;

    ly_buf_init_arena(&line, a, 1 << 20);
    ly_jw_init(&w, &line);
    ly_jw_object(&w);
    n = ly_json_member(c, ly_str("rule"));
    ly_jw_k(&w, "rule");
    ly_jw_node(&w, n);
    n = ly_json_member(c, ly_str("data"));

    if (n != NULL) {
        ly_jw_k(&w, "data");
        ly_jw_node(&w, n);
    }

    ly_jw_object_end(&w);
    ly_buf_init_arena(out, a, 1 << 20);
    ly_buf_init_arena(&want, a, 1 << 20);
    ly_buf_init_arena(&got, a, 1 << 20);

    if (ly_jw_done(&w) != LY_OK
        || rule_compat_line(a, ly_buf_view(&line), out) != LY_OK
        || ly_json_parse(a, ly_buf_view(out), NULL, &root, NULL) != LY_OK)
    {
        return false;
    }

    if (ly_json_member(c, ly_str("error")) != NULL) {
        return ly_json_member(root, ly_str("error")) != NULL;
    }

    n = ly_json_member(c, ly_str("result"));
    result = ly_json_member(root, ly_str("result"));

    return result != NULL && ly_canon_print(n, a, &want) == LY_OK
           && ly_canon_print(result, a, &got) == LY_OK
           && ly_str_eq(ly_buf_view(&want), ly_buf_view(&got));
}


/* how many of a file's cases are right; the wrong ones are told */
static void
cases(ly_str_t text, unsigned want, const char *name)
{
    unsigned               good, all;
    ly_buf_t               out;
    ly_str_t               rule;
    ly_arena_t            *a;
    ly_json_node_t        *root;
    const ly_json_node_t  *c;

    root = vec_parse(arena, text);
    a = ly_arena_create((size_t) 64 << 20, NULL);
    good = 0;
    all = 0;

    for (c = root == NULL ? NULL : root->first; c != NULL; c = c->next) {
        if (c->type != LY_JSON_OBJECT) {
            continue;
        }

        all++;
        ly_arena_reset(a);

        if (gives(a, c, &out)) {
            good++;
            continue;
        }

        rule = rl_text(a, ly_json_member(c, ly_str("rule")));
        printf("# %.*s: %.*s\n", (int) rule.len, (const char *) rule.data,
               (int) out.len, (const char *) out.data);
    }

    is_int(good, all, name);
    is_int(all, want, "as many as there should be");
    ly_arena_destroy(a);
}


static void
line_is_in(ly_arena_t *a, ly_str_t line, ly_str_t want)
{
    ly_buf_t  b;

    ly_buf_init(&b, 1 << 20, NULL);
    is_int(rule_compat_line(a, line, &b), LY_OK, "a long line");
    is_str(ly_buf_view(&b), want, "gives all of it");
    ly_buf_free(&b);
}


static void
line_is(const char *line, const char *want)
{
    ly_buf_t    b;
    ly_arena_t *a;

    a = ly_arena_create((size_t) 16 << 20, NULL);
    ly_buf_init(&b, 1 << 20, NULL);

    if (rule_compat_line(a, ly_str_c(line), &b) != LY_OK) {
        ok(false, "%s", line);
    } else {
        is_str(ly_buf_view(&b), ly_str_c(want), line);
    }

    ly_buf_free(&b);
    ly_arena_destroy(a);
}


static void
lines(void)
{
    line_is("{\"rule\":{\"var\":\"\"}}", "{\"result\":null}");
    line_is("{\"rule\":1,\"data\":2,\"other\":3}", "{\"result\":1}");
    line_is("{\"rule\":{\"/\":[1,0]}}", "{\"result\":null}");
    line_is("{\"rule\":{\"/\":[0,0]}}", "{\"result\":null}");
    line_is("{\"rule\":1e999}", "{\"result\":null}");
    line_is("{\"rule\":[1e21,1e-7,-0,0.1,123456789012345680000]}",
            "{\"result\":[1e+21,1e-7,0,0.1,123456789012345680000]}");
    line_is("{\"rule\":{\"and\":[]}}", "{\"result\":null}");
    line_is("{\"rule\":{\"b\":1,\"1\":2,\"0\":3}}",
            "{\"result\":{\"0\":3,\"1\":2,\"b\":1}}");
    line_is("{\"rule\":{\"substr\":[\"\\ud83d\\ude00\",1]}}",
            "{\"result\":\"\\ude00\"}");
    line_is("{\"rule\":{\"cat\":[{\"substr\":[\"\\ud83d\\ude00\",0,1]},"
            "{\"substr\":[\"\\ud83d\\ude00\",1]}]}}",
            "{\"result\":\"\xf0\x9f\x98\x80\"}");
    line_is("{\"rule\":{\"cat\":[\"\\u0001\\n\\\"\",\"\\u00e9\\u20ac\"]}}",
            "{\"result\":\"\\u0001\\n\\\"\xc3\xa9\xe2\x82\xac\"}");
    line_is("{\"rule\":{\"log\":\"x\"}}", "{\"result\":\"x\"}");
    line_is("{\"rule\":{\"nope\":[1]}}", "{\"error\":{\"code\":"
            "\"op.unknown\",\"detail\":\"\\\"nope\\\"\"}}");
    line_is("{\"rule\":{\"*\":[]}}",
            "{\"error\":{\"code\":\"type.error\",\"detail\":\"a product of "
            "nothing\"}}");
    line_is("{\"rule\":{\"+\":[{\"var\":\"\"},1]},\"data\":{\"toString\":1}}",
            "{\"error\":{\"code\":\"type.error\",\"detail\":\"an object that "
            "has no text\"}}");
    line_is("{\"data\":1}",
            "{\"error\":{\"code\":\"member.required\",\"detail\":\"rule\"}}");
    line_is("{", "{\"error\":{\"code\":\"json.malformed\",\"detail\":\"\"}}");
    line_is("{\"rule\":{\"reduce\":[[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
            "1,1,1,1,1,1,1,1,1,1,1],{\"cat\":[{\"var\":\"accumulator\"},{\"va"
            "r\":"
            "\"accumulator\"}]},\"x\"]}}",
            "{\"error\":{\"code\":\"memory.exhausted\",\"detail\":\"\"}}");
}


/* the order of members, each kind of unit, what JSON has no word for */
static void
printed(void)
{
    line_is("{\"rule\":{\"b\":1,\"99\":2}}",
            "{\"result\":{\"99\":2,\"b\":1}}");
    line_is("{\"rule\":{\"1\":1,\"2\":2}}",
            "{\"result\":{\"1\":1,\"2\":2}}");
    line_is("{\"rule\":{\"a\":1,\"\":2}}",
            "{\"result\":{\"a\":1,\"\":2}}");
    line_is("{\"rule\":{\"b\":1,\"9\":2,\"10\":3}}",
            "{\"result\":{\"9\":2,\"10\":3,\"b\":1}}");
    line_is("{\"rule\":{\"b\":1,\"4294967294\":2}}",
            "{\"result\":{\"4294967294\":2,\"b\":1}}");
    line_is("{\"rule\":{\"b\":1,\"4294967295\":2}}",
            "{\"result\":{\"b\":1,\"4294967295\":2}}");
    line_is("{\"rule\":{\"b\":1,\"18446744073709551617\":2}}",
            "{\"result\":{\"b\":1,\"18446744073709551617\":2}}");
    line_is("{\"rule\":{\"b\":1,\"01\":2}}",
            "{\"result\":{\"b\":1,\"01\":2}}");
    line_is("{\"rule\":{\"b\":1,\"0\":2}}",
            "{\"result\":{\"0\":2,\"b\":1}}");
    line_is("{\"rule\":{\"b\":1,\"/\":2}}",
            "{\"result\":{\"b\":1,\"/\":2}}");
    line_is("{\"rule\":{\"b\":1,\":\":2}}",
            "{\"result\":{\"b\":1,\":\":2}}");
    line_is("{\"rule\":{\"2\":1,\"a\":0,\"1\":1,\"3\":1}}",
            "{\"result\":{\"1\":1,\"2\":1,\"3\":1,\"a\":0}}");
    line_is("{\"rule\":[72057594037927936,-72057594037927936,9007199254740992"
            "]}",
            "{\"result\":[72057594037927940,-72057594037927940,90071992547409"
            "92]}");
    line_is("{\"rule\":\"\\b\\t\\n\\u000b\\f\\r\\u000e\\u001f !\\\"\\\\/\"}",
            "{\"result\":\"\\b\\t\\n\\u000b\\f\\r\\u000e\\u001f "
            "!\\\"\\\\/\"}");
    line_is("{\"rule\":\"\\u0007\\u0008\\u000c\"}",
            "{\"result\":\"\\u0007\\b\\f\"}");
    line_is("{\"rule\":\"\\u007f\\u0080\\u07ff\\u0800\\ud7ff\"}",
            "{\"result\":\"\177\302\200\337\277\340\240\200\355\237\277\"}");
    line_is("{\"rule\":\"\\ue000\\uffff\\ud800\\udc00\\udbff\\udfff\"}",
            "{\"result\":\"\356\200\200\357\277\277\360\220\200\200\364\217"
            "\277\277\"}");
    line_is("{\"rule\":{\"substr\":[\"\\ud83d\\ude00\",0,1]}}",
            "{\"result\":\"\\ud83d\"}");
    line_is("{\"rule\":{\"substr\":[\"\\ud800\\udc00\",0,1]}}",
            "{\"result\":\"\\ud800\"}");
    line_is("{\"rule\":{\"substr\":[\"\\udbff\\udfff\",1]}}",
            "{\"result\":\"\\udfff\"}");
    line_is("{\"rule\":{\"cat\":[\"x\",{\"substr\":[\"\\ud83d\\ude00\",1]}]}}",
            "{\"result\":\"x\\ude00\"}");
    line_is("{\"rule\":{\"cat\":[{\"substr\":[\"\\ud83d\\ude00\",0,1]},\"\\ue"
            "000\"]}}",
            "{\"result\":\"\\ud83d\356\200\200\"}");
    line_is("{\"rule\":{\"cat\":[{\"substr\":[\"\\ud83d\\ude00\",0,1]},\"x\"]"
            "}}",
            "{\"result\":\"\\ud83dx\"}");
    line_is("{\"rule\":{\"map\":[[\"\\ud800\\udc00\",\"\\udbff\\udfff\"],{\"c"
            "at\":[{\"substr\":[{\"var\":\"\"},0,1]},{\"substr\":[{\"var\":\""
            "\"},0,1]}]}]}}",
            "{\"result\":[\"\\ud800\\ud800\",\"\\udbff\\udbff\"]}");
    line_is("{\"rule\":{\"map\":[[\"\\ud800\\udc00\",\"\\udbff\\udfff\"],{\"c"
            "at\":[{\"substr\":[{\"var\":\"\"},1]},{\"substr\":[{\"var\":\"\""
            "},1]}]}]}}",
            "{\"result\":[\"\\udc00\\udc00\",\"\\udfff\\udfff\"]}");
    line_is("{\"rule\":{\"reduce\":[[1],{\"var\":\"\"},{\"and\":[]}]}}",
            "{\"result\":{\"current\":1}}");
    line_is("{\"rule\":{\"reduce\":[[1],{\"var\":\"\"},2]}}",
            "{\"result\":{\"current\":1,\"accumulator\":2}}");
    line_is("{\"rule\":[{\"and\":[]},{\"/\":[1,0]}]}",
            "{\"result\":[null,null]}");
    line_is("{\"rule\":{\"cat\":[{\"/\":[1,0]},{\"/\":[-1,0]},{\"/\":[0,0]}]}"
            "}",
            "{\"result\":\"Infinity-InfinityNaN\"}");
}


/* the last step that is allowed, and the first that is not */
static void
steps(void)
{
    unsigned      i, pad;
    ly_buf_t      b, out;
    ly_arena_t   *a;

    static const char  spent[] = "{\"error\":{\"code\":\"steps.exhausted\","
                                 "\"detail\":\"\"}}";

    for (pad = 57; pad <= 58; pad++) {
        a = ly_arena_create((size_t) 64 << 20, NULL);
        ly_buf_init(&b, 1 << 20, NULL);
        ly_buf_init(&out, 1 << 20, NULL);

        /* 1 for the list, 1 for each number in it, 4 to get at the data, 102
           for each of its 49019 elements: an if, 100 conditions, the rest */
        ly_buf_cstr(&b, "{\"rule\":[{\"map\":[{\"var\":\"\"},{\"if\":[");

        for (i = 0; i < 100; i++) {
            ly_buf_cstr(&b, "0,1,");
        }

        ly_buf_cstr(&b, "7]}]}");

        for (i = 0; i < pad; i++) {
            ly_buf_cstr(&b, ",0");
        }

        ly_buf_cstr(&b, "],\"data\":[0");

        for (i = 1; i < 49019; i++) {
            ly_buf_cstr(&b, ",0");
        }

        ly_buf_cstr(&b, "]}");

        ok(rule_compat_line(a, ly_buf_view(&b), &out) == LY_OK
           && (pad == 57 ? ly_str_starts(ly_buf_view(&out),
                                         ly_str("{\"result\":[[7,7,"))
                         : ly_str_eq(ly_buf_view(&out), ly_str_c(spent))),
           "%u steps", 4999943 + pad);
        ly_buf_free(&b);
        ly_buf_free(&out);
        ly_arena_destroy(a);
    }
}


/* a result that the buffer does not hold leaves what stood there */
static void
room(void)
{
    char         name[9001];
    ly_buf_t     b, want;
    ly_arena_t  *a;

    static const char  line[] = "{\"rule\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,"
                                "15,16,17,18,19,20,21,22,23,24,25,26]}";

    a = ly_arena_create((size_t) 1 << 20, NULL);
    ly_buf_init(&b, 70, NULL);
    ly_buf_cstr(&b, "before:");
    is_int(rule_compat_line(a, ly_str_c(line), &b), LY_OK, "too long");
    is_str(ly_buf_view(&b), ly_str("before:{\"error\":{\"code\":\"result.too_"
                                   "large\",\"detail\":\"\"}}"),
           "a result that is too large");
    ly_buf_free(&b);
    ly_buf_init(&b, 30, NULL);
    is_int(rule_compat_line(a, ly_str_c(line), &b), LY_LIMIT,
           "no room to say so");
    ly_buf_free(&b);

    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    ly_buf_init(&b, 1 << 20, NULL);
    ly_buf_cstr(&b, "{\"rule\":{\"");
    ly_buf_cstr(&b, name);
    ly_buf_cstr(&b, "\":1}}");
    ly_buf_init(&want, 1 << 20, NULL);
    ly_buf_cstr(&want, "{\"error\":{\"code\":\"op.unknown\","
                "\"detail\":\"\\\"");
    ly_buf_cstr(&want, name);
    ly_buf_cstr(&want, "\\\"\"}}");
    line_is_in(a, ly_buf_view(&b), ly_buf_view(&want));
    ly_buf_free(&b);
    ly_buf_free(&want);
    ly_arena_destroy(a);
}


/* every rule of the vectors can be said in English */
static void
english(void)
{
    unsigned               n, said;
    ly_buf_t               b;
    ly_str_t               text, json;
    ly_arena_t            *a;
    rule_faults_t          f;
    ly_json_node_t        *root;
    const ly_json_node_t  *c;

    n = 0;
    said = 0;
    a = ly_arena_create((size_t) 64 << 20, NULL);

    if (!vec_file(arena, "t/vectors/rules/strict.json", &text)) {
        ok(false, "the vectors are there");
        return;
    }

    root = vec_parse(arena, text);

    for (c = root == NULL ? NULL : root->first; c != NULL; c = c->next, n++) {
        ly_arena_reset(a);
        json = rl_condition(a, rl_text(a, ly_json_member(c, ly_str("rule"))));
        ly_buf_init_arena(&b, a, 1 << 20);
        said += rule_english(a, json, cat, &b, &f) == LY_OK && b.len > 40
                && memchr(b.data, '%', b.len) == NULL;
    }

    is_int(said, n, "every condition has its English");
    ok(n > 150, "%u of them", n);

    if (vec_file(arena, "t/vectors/rules/cookbook.json", &text)) {
        root = vec_parse(arena, text);

        for (c = root == NULL ? NULL : root->first; c != NULL; c = c->next) {
            ly_arena_reset(a);
            ly_buf_init_arena(&b, a, 1 << 20);
            ok(rule_english(a, rl_text(a, ly_json_member(c, ly_str("rule"))),
                            cat, &b, &f) == LY_OK && b.len > 60,
               "English for a recipe");
        }
    }

    ly_arena_destroy(a);
}


#define FACT(x)  "{\"extends\":\"default\",\"facts\":[" x "]}"

static void
catalogue(const char *json, const char *code)
{
    ly_err_t           err;
    ly_arena_t        *a;
    rule_faults_t      f;
    rule_catalogue_t  *c;

    a = ly_arena_create((size_t) 16 << 20, NULL);
    err = rule_catalogue_parse(a, ly_str_c(json), &c, &f);

    if (code == NULL) {
        ok(err == LY_OK, "%s", json);
    } else {
        ok(err != LY_OK && f.n > 0 && strcmp(f.fault[0].code, code) == 0,
           "%s: %s", code, json);
    }

    ly_arena_destroy(a);
}


static void
catalogues(void)
{
    catalogue("{\"extends\":\"default\",\"facts\":[]}", NULL);
    catalogue(FACT("{\"name\":\"a.b\",\"type\":\"int\",\"unit\":\"cm\","
                   "\"nullable\":true,\"from\":\"state\",\"path\":\"x.y\"}"),
              NULL);
    catalogue(FACT("{\"name\":\"a.l\",\"type\":\"list\",\"of\":\"string\"}"),
              NULL);
    catalogue(FACT("{\"name\":\"a.l\",\"type\":\"list\",\"of\":{\"fields\":[{"
                   "\"name\":\"n\",\"type\":\"money\",\"currency\":\"EUR\"},{"
                   "\"name\":\"t\",\"type\":\"list\",\"of\":\"string\"}]}}"),
              NULL);
    catalogue("{\"facts\":[]}", "member.required");
    catalogue("[", "json.malformed");
    catalogue(FACT("1"), "member.required");
    catalogue(FACT("{\"name\":\"a\",\"type\":\"int\"}"), "member.required");
    catalogue(FACT("{\"name\":\"a..b\",\"type\":\"int\"}"), "member.required");
    catalogue(FACT("{\"name\":\"a.b!\",\"type\":\"int\"}"), "member.required");
    catalogue(FACT("{\"name\":\"a.b\",\"type\":\"float\"}"),
              "member.required");
    catalogue(FACT("{\"name\":\"a.b\",\"type\":\"enum\"}"), "member.required");
    catalogue(FACT("{\"name\":\"a.b\",\"type\":\"int\",\"values\":[\"x\"]}"),
              "member.required");
    catalogue(FACT("{\"name\":\"a.b\",\"type\":\"enum\",\"values\":[1]}"),
              "value.type");
    catalogue(FACT("{\"name\":\"a.b\",\"type\":\"enum\",\"values\":[]}"),
              "value.type");
    catalogue(FACT("{\"name\":\"a.b\",\"type\":\"list\"}"), "member.required");
    catalogue(FACT("{\"name\":\"a.b\",\"type\":\"list\",\"of\":\"int\"}"),
              "value.type");
    catalogue(FACT("{\"name\":\"a.b\",\"type\":\"int\",\"of\":\"string\"}"),
              "member.unknown");
    catalogue(FACT("{\"name\":\"a.b\",\"type\":\"money\",\"currency\":\"x\"}"),
              "value.type");
    catalogue(FACT("{\"name\":\"a.b\",\"type\":\"int\",\"nullable\":1}"),
              "member.unknown");
    catalogue(FACT("{\"name\":\"order.total\",\"type\":\"int\"}"),
              "value.unknown");
    catalogue(FACT("{\"name\":\"a.b\",\"type\":\"int\"},{\"name\":\"a.b\","
                   "\"type\":\"int\"}"), "value.unknown");
}


int
main(void)
{
    ly_str_t  text;

    arena = ly_arena_create((size_t) 256 << 20, NULL);

    if (arena == NULL || rule_catalogue_default(arena, &cat) != LY_OK) {
        return 1;
    }

    if (vec_data(arena, "jsonlogic/compatible.json", &text)) {
        cases(text, 278, "the public suite");
    } else {
        tap_skip("no jsonlogic/compatible.json in LOYALTY_DATA");
        tap_skip("no jsonlogic/compatible.json in LOYALTY_DATA");
    }

    ok(vec_file(arena, "t/vectors/rules/compat.json", &text), "our own cases");
    cases(text, 900, "our own cases");
    ok(vec_file(arena, "t/vectors/rules/compat_edges.json", &text), "edges");
    cases(text, 2324, "edges of coercion, texts and lists");
    lines();
    printed();
    steps();
    room();
    english();
    catalogues();
    ly_arena_destroy(arena);

    return tap_done();
}
