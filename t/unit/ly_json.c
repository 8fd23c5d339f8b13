/* JSON in: what is taken, what is refused and why; bounds; feeding */

#include "tap.h"
#include "fail_alloc.h"
#include "vectors.h"
#include "ly_buf.h"
#include "ly_jw.h"


typedef struct {
    const char       *text;
    ly_json_fault_e   fault;
    const char       *pointer;
} json_case_t;


static const json_case_t  cases[] = {
    { "{}", LY_JSON_FAULT_NONE, "" },
    { "[]", LY_JSON_FAULT_NONE, "" },
    { "0", LY_JSON_FAULT_NONE, "" },
    { "-0", LY_JSON_FAULT_NONE, "" },
    { "12", LY_JSON_FAULT_NONE, "" },
    { "1.5e+10", LY_JSON_FAULT_NONE, "" },
    { "\"\"", LY_JSON_FAULT_NONE, "" },
    { "true", LY_JSON_FAULT_NONE, "" },
    { "false", LY_JSON_FAULT_NONE, "" },
    { "null", LY_JSON_FAULT_NONE, "" },
    { " \t\r\n[ 1 , 2 ] \n", LY_JSON_FAULT_NONE, "" },
    { "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":1}]}", LY_JSON_FAULT_NONE,
      "" },
    { "\"\\ud83d\\ude00\"", LY_JSON_FAULT_NONE, "" },
    { "\"\\ud83d\\ude00\\ud83d\\ude00\"", LY_JSON_FAULT_NONE, "" },
    { "\"\\\\ud800\"", LY_JSON_FAULT_NONE, "" },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", LY_JSON_FAULT_NONE, "" },
    { "\"\x7f\"", LY_JSON_FAULT_NONE, "" },
    { "{\"\":1}", LY_JSON_FAULT_NONE, "" },

    { "", LY_JSON_EMPTY, "" },
    { " \n ", LY_JSON_EMPTY, "" },
    { "[1,2", LY_JSON_MALFORMED, "/2" },
    { "[1,]", LY_JSON_MALFORMED, "/1" },
    { "[,1]", LY_JSON_MALFORMED, "/0" },
    { "{\"a\":1,}", LY_JSON_MALFORMED, "" },
    { "{\"a\" 1}", LY_JSON_MALFORMED, "/a" },
    { "{\"a\":}", LY_JSON_MALFORMED, "/a" },
    { "{a:1}", LY_JSON_MALFORMED, "" },
    { "{1:1}", LY_JSON_MALFORMED, "" },
    { "[1 2]", LY_JSON_MALFORMED, "/1" },
    { "[1}", LY_JSON_MALFORMED, "/1" },
    { "{\"a\":[1}", LY_JSON_MALFORMED, "/a/1" },
    { "1 2", LY_JSON_MALFORMED, "" },
    { "{} x", LY_JSON_MALFORMED, "" },
    { "[]]", LY_JSON_MALFORMED, "" },
    { "[01]", LY_JSON_MALFORMED, "/1" },
    { "[-]", LY_JSON_MALFORMED, "/0" },
    { "[1.]", LY_JSON_MALFORMED, "/0" },
    { "[.5]", LY_JSON_MALFORMED, "/0" },
    { "[1e]", LY_JSON_MALFORMED, "/0" },
    { "[+1]", LY_JSON_MALFORMED, "/0" },
    { "[0x10]", LY_JSON_MALFORMED, "/1" },
    { "[NaN]", LY_JSON_MALFORMED, "/0" },
    { "[Infinity]", LY_JSON_MALFORMED, "/0" },
    { "[True]", LY_JSON_MALFORMED, "/0" },
    { "[tru]", LY_JSON_MALFORMED, "/0" },
    { "['a']", LY_JSON_MALFORMED, "/0" },
    { "\"abc", LY_JSON_MALFORMED, "" },
    { "\"a\nb\"", LY_JSON_MALFORMED, "" },
    { "\"a\tb\"", LY_JSON_MALFORMED, "" },
    { "\"\\x41\"", LY_JSON_MALFORMED, "" },
    { "\"\\u12g4\"", LY_JSON_MALFORMED, "" },
    { "\"\\u12", LY_JSON_MALFORMED, "" },
    { "\"\\", LY_JSON_MALFORMED, "" },
    { "[1]/* c */", LY_JSON_MALFORMED, "" },
    { "// c\n[1]", LY_JSON_MALFORMED, "" },
    { "\xef\xbb\xbf{}", LY_JSON_MALFORMED, "" },
    { "[1,\v2]", LY_JSON_MALFORMED, "" },
    { "[1,\f2]", LY_JSON_MALFORMED, "" },
    { "\xc3\xa9", LY_JSON_MALFORMED, "" },

    { "{\"a\":1,\"a\":1}", LY_JSON_DUPLICATE_KEY, "/a" },
    { "{\"a\":1,\"\\u0061\":2}", LY_JSON_DUPLICATE_KEY, "/a" },
    { "{\"\":1,\"\":2}", LY_JSON_DUPLICATE_KEY, "/" },
    { "[{\"x\":{\"k/e~y\":1,\"k/e~y\":2}}]", LY_JSON_DUPLICATE_KEY,
      "/0/x/k~1e~0y" },
    { "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,"
      "\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,"
      "\"q\":1,\"c\":2}", LY_JSON_DUPLICATE_KEY, "/c" },

    { "\"\xc0\x80\"", LY_JSON_INVALID_UTF8, "" },
    { "\"\xed\xa0\x80\"", LY_JSON_INVALID_UTF8, "" },
    { "[0,\"\xff\"]", LY_JSON_INVALID_UTF8, "/1" },
    { "{\"\xff\":1}", LY_JSON_INVALID_UTF8, "" },
    { "\"\xf4\x90\x80\x80\"", LY_JSON_INVALID_UTF8, "" },
    { "\"\xe2\x82\"", LY_JSON_INVALID_UTF8, "" },

    { "\"\\ud800\"", LY_JSON_LONE_SURROGATE, "" },
    { "\"\\udc00\"", LY_JSON_LONE_SURROGATE, "" },
    { "\"\\ud800x\"", LY_JSON_LONE_SURROGATE, "" },
    { "\"\\ud800\\n\"", LY_JSON_LONE_SURROGATE, "" },
    { "\"\\ud800\\u0041\"", LY_JSON_LONE_SURROGATE, "" },
    { "\"\\ud800\\ud800\"", LY_JSON_LONE_SURROGATE, "" },
    { "\"\\ude00\\ud83d\"", LY_JSON_LONE_SURROGATE, "" },
    { "{\"a\":[\"\\uDBFF\"]}", LY_JSON_LONE_SURROGATE, "" },
    { "\"\\u0000\"", LY_JSON_NUL, "" },
    { "{\"a\\u0000\":1}", LY_JSON_NUL, "" }
};


static const ly_err_t  errors[] = {
    LY_OK, LY_PARSE, LY_PARSE, LY_PARSE, LY_LIMIT, LY_LIMIT, LY_LIMIT,
    LY_LIMIT, LY_PARSE, LY_PARSE, LY_PARSE, LY_NOMEM
};


/* whole, then in pieces of every size: always the same outcome */
static void
table(void)
{
    size_t                 i, n, at, len, piece, wrong;
    ly_err_t               rc;
    ly_str_t               text;
    ly_arena_t            *a;
    ly_json_node_t        *root;
    ly_json_fault_t        fault;
    ly_json_parser_t      *p;
    const json_case_t     *c;
    unsigned char         *copy;

    a = ly_arena_create(1 << 20, NULL);

    for (i = 0; i < ly_countof(cases); i++) {
        c = &cases[i];
        text = ly_str_c(c->text);
        rc = ly_json_parse(a, text, NULL, &root, &fault);

        if (!ok(rc == errors[c->fault] && fault.code == c->fault
                && fault.offset <= text.len + 1,
                "case %zu: %s", i, c->fault == LY_JSON_FAULT_NONE
                ? "taken" : ly_json_fault_code(c->fault)))
        {
            tap_show("text", text);
            printf("#   got %s\n", ly_json_fault_code(fault.code));
        }

        if (c->pointer[0] != '\0' || c->fault == LY_JSON_DUPLICATE_KEY) {
            is_str(ly_str_of(fault.pointer, fault.pointer_len),
                   ly_str_c(c->pointer), "and where");
        }

        wrong = 0;

        for (piece = 1; piece <= text.len; piece++) {
            ly_arena_reset(a);

            if (ly_json_parser_init(&p, a, NULL, text.len) != LY_OK) {
                abort();
            }

            rc = LY_OK;

            for (at = 0; at < text.len && rc == LY_OK; at += len) {
                len = text.len - at < piece ? text.len - at : piece;

                /* exactly as long as it is, for the sanitizer */
                copy = malloc(len);
                memcpy(copy, text.data + at, len);
                rc = ly_json_parser_feed(p, copy, len);
                free(copy);
            }

            n = ly_json_parser_feed(p, NULL, 0) == rc ? 0 : 1;
            rc = ly_json_parser_finish(p, &root);

            if (rc != errors[c->fault] || n != 0
                || ly_json_parser_fault(p)->code != c->fault)
            {
                wrong++;
                printf("# piece %zu: %s\n", piece,
                       ly_json_fault_code(ly_json_parser_fault(p)->code));
            }
        }

        ok(wrong == 0, "case %zu in pieces", i);
        ly_arena_reset(a);
    }

    is_str(ly_str_c(ly_json_fault_code((ly_json_fault_e) 99)),
           ly_str("json.malformed"), "no fault of ours");
    is_str(ly_str_c(ly_json_fault_code(LY_JSON_NOMEM)), ly_str("json.memory"),
           "the last fault");

    ly_arena_destroy(a);
}


/* a document is its own text again */
static void
round_trip(void)
{
    size_t           i;
    ly_jw_t          w;
    ly_buf_t         b;
    ly_str_t         text;
    ly_arena_t      *a;
    ly_json_node_t  *root;

    static const char  *const  texts[] = {
        "{\"a\":[1,-2.50,3e4,{}],\"b\":{\"c\":[],\"d\":\"\\\"\\\\\\n\"},"
        "\"\":null,\"t\":true,\"f\":false}",
        "[]",
        "[[[[]]],[],[{}]]",
        "\"x\"",
        "{\"o\":{\"p\":{}},\"q\":1}",
        "12345678901234567890123456789.12345678901234567890",
        "{\"e\":\"\xc3\xa9\xf0\x9f\x98\x80\"}"
    };

    a = ly_arena_create(1 << 20, NULL);

    for (i = 0; i < ly_countof(texts); i++) {
        text = ly_str_c(texts[i]);
        ly_buf_init_arena(&b, a, 4096);
        ly_jw_init(&w, &b);

        if (ly_json_parse(a, text, NULL, &root, NULL) == LY_OK) {
            ly_jw_node(&w, root);
        }

        ok(ly_jw_done(&w) == LY_OK, "written %zu", i);
        is_str(ly_buf_view(&b), text, "the same text");
    }

    ly_arena_destroy(a);
}


static ly_json_fault_e
limited(ly_arena_t *a, const ly_json_limits_t *limits, const char *text)
{
    ly_json_node_t   *root;
    ly_json_fault_t   fault;

    ly_arena_reset(a);
    (void) !ly_json_parse(a, ly_str_c(text), limits, &root, &fault);

    return fault.code;
}


static void
limits(void)
{
    size_t             i;
    char              *deep;
    ly_arena_t        *a;
    ly_json_limits_t   l;

    a = ly_arena_create(4 << 20, NULL);

    l = ly_json_limits_default;
    l.max_depth = 2;
    is_int(limited(a, &l, "[[1]]"), LY_JSON_FAULT_NONE, "depth 2");
    is_int(limited(a, &l, "[[[]]]"), LY_JSON_TOO_DEEP, "depth 3");
    is_int(limited(a, &l, "{\"a\":{\"b\":{}}}"), LY_JSON_TOO_DEEP,
           "depth 3 of objects");
    l.max_depth = 0;
    is_int(limited(a, &l, "1"), LY_JSON_FAULT_NONE, "a scalar has no depth");
    is_int(limited(a, &l, "[]"), LY_JSON_TOO_DEEP, "depth 1");

    l = ly_json_limits_default;
    l.max_nodes = 3;
    is_int(limited(a, &l, "[1,2]"), LY_JSON_FAULT_NONE, "three nodes");
    is_int(limited(a, &l, "[1,2,3]"), LY_JSON_TOO_MANY, "four nodes");
    is_int(limited(a, &l, "[1,[],[]]"), LY_JSON_TOO_MANY, "containers too");

    l = ly_json_limits_default;
    l.max_members = 2;
    is_int(limited(a, &l, "{\"a\":1,\"b\":[1,2]}"), LY_JSON_FAULT_NONE,
           "two members");
    is_int(limited(a, &l, "[1,2,3]"), LY_JSON_TOO_MANY, "three elements");

    l = ly_json_limits_default;
    l.max_string = 3;
    is_int(limited(a, &l, "[\"abc\",123]"), LY_JSON_FAULT_NONE,
           "three bytes");
    is_int(limited(a, &l, "\"\\u0061bc\""), LY_JSON_FAULT_NONE,
           "counted unescaped");
    is_int(limited(a, &l, "\"abcd\""), LY_JSON_STRING_TOO_LONG,
           "four bytes");
    is_int(limited(a, &l, "{\"abcd\":1}"), LY_JSON_STRING_TOO_LONG,
           "of a key");
    is_int(limited(a, &l, "1234"), LY_JSON_STRING_TOO_LONG, "of a number");

    l = ly_json_limits_default;
    l.max_bytes = 4;
    is_int(limited(a, &l, "[12]"), LY_JSON_FAULT_NONE, "four bytes");
    is_int(limited(a, &l, "[123]"), LY_JSON_TOO_LARGE, "five bytes");

    l = ly_json_limits_default;
    l.refuse_nul = 0;
    is_int(limited(a, &l, "\"\\u0000\""), LY_JSON_FAULT_NONE,
           "NUL where it may be");

    /* what overflows the stack of yajl's own tree */
    deep = malloc(600001);
    memset(deep, '[', 600000);
    deep[600000] = '\0';
    is_int(limited(a, NULL, deep), LY_JSON_TOO_DEEP, "600,000 brackets");

    l = ly_json_limits_default;
    l.max_depth = 100000;
    l.max_bytes = SIZE_MAX;
    is_int(limited(a, &l, deep), LY_JSON_TOO_DEEP,
           "the depth has a limit of its own");

    /* long tokens: both of yajl's buffers at their largest */
    for (i = 0; i < 600000; i += 6) {
        memcpy(deep + i, "\\u00e9", 6);
    }

    deep[0] = '"';
    memset(deep + 1, 'x', 5);
    deep[599999] = '"';
    deep[599998] = 'x';
    memset(deep + 599994, 'x', 5);
    is_int(limited(a, NULL, deep), LY_JSON_STRING_TOO_LONG,
           "a string of 600,000 bytes, all escapes");
    l = ly_json_limits_default;
    l.max_string = 1 << 20;
    is_int(limited(a, &l, deep), LY_JSON_FAULT_NONE,
           "taken where it may be so long");

    free(deep);
    ly_arena_destroy(a);
}


/* a long token over many feeds uses the buffer of the lexer */
static void
long_feed(void)
{
    int                i;
    ly_err_t           rc;
    ly_arena_t        *a;
    unsigned char      piece[1000];
    ly_json_node_t    *root;
    ly_json_limits_t   l;
    ly_json_parser_t  *p;

    a = ly_arena_create(4 << 20, NULL);
    l = ly_json_limits_default;
    l.max_string = 1 << 20;
    memset(piece, 'x', sizeof(piece));

    rc = ly_json_parser_init(&p, a, &l, 200002);

    if (rc == LY_OK) {
        rc = ly_json_parser_feed(p, (const unsigned char *) "\"", 1);
    }

    for (i = 0; i < 200 && rc == LY_OK; i++) {
        rc = ly_json_parser_feed(p, piece, sizeof(piece));
    }

    if (rc == LY_OK) {
        rc = ly_json_parser_feed(p, (const unsigned char *) "\"", 1);
    }

    is_int(rc, LY_OK, "fed 200,002 bytes as announced");
    is_int(ly_json_parser_feed(p, (const unsigned char *) " ", 1), LY_LIMIT,
           "not one more than announced");
    is_int(ly_json_parser_finish(p, &root), LY_LIMIT, "which is final");
    is_int(ly_json_parser_fault(p)->code, LY_JSON_TOO_LARGE, "and says so");

    /* never finished: the arena gives its memory back (the leak checker) */
    ly_arena_reset(a);
    rc = ly_json_parser_init(&p, a, &l, 0);
    is_int(rc, LY_OK, "without an announced size");
    is_int(ly_json_parser_feed(p, (const unsigned char *) "[1", 2), LY_OK,
           "begun");
    ly_arena_destroy(a);
}


static void
numbers(void)
{
    size_t           i;
    int64_t          v;
    ly_err_t         rc;
    ly_arena_t      *a;
    ly_json_node_t  *root;

    static const struct {
        const char  *text;
        bool         integer;
        ly_err_t     rc;
        int64_t      v;
    } list[] = {
        { "0", true, LY_OK, 0 },
        { "-1", true, LY_OK, -1 },
        { "9223372036854775807", true, LY_OK, INT64_MAX },
        { "-9223372036854775808", true, LY_OK, INT64_MIN },
        { "9223372036854775808", true, LY_OVERFLOW, 0 },
        { "-0", true, LY_PARSE, 0 },
        { "1.0", false, LY_PARSE, 0 },
        { "1e3", false, LY_PARSE, 0 },
        { "1E3", false, LY_PARSE, 0 }
    };

    a = ly_arena_create(1 << 16, NULL);

    for (i = 0; i < ly_countof(list); i++) {
        v = 0;
        rc = ly_json_parse(a, ly_str_c(list[i].text), NULL, &root, NULL);

        ok(rc == LY_OK && root->is_integer == list[i].integer
           && ly_str_eq(root->text, ly_str_c(list[i].text))
           && ly_json_int64(root, &v) == list[i].rc && v == list[i].v,
           "number %s", list[i].text);
    }

    is_int(ly_json_int64(NULL, &v), LY_PARSE, "no node is no number");
    ly_arena_destroy(a);
}


static void
tree(void)
{
    bool                   flag;
    ly_buf_t               b;
    ly_str_t               s;
    ly_arena_t            *a;
    ly_json_node_t        *root;
    ly_json_limits_t       l;
    const ly_json_node_t  *node;

    static const char  text[] =
        "{\"a/b\":{\"~\":[10,{\"\":\"deep\"}]},\"list\":[0,1,2],"
        "\"yes\":true,\"no\":false,\"s\":\"t\\u0065xt\",\"p\":\"plain\"}";

    a = ly_arena_create(1 << 16, NULL);
    l = ly_json_limits_default;
    l.borrow = 1;

    if (ly_json_parse(a, ly_str_c(text), &l, &root, NULL) != LY_OK) {
        ok(false, "parsed");
        return;
    }

    is_int(root->count, 6, "members");
    ok(root->parent == NULL && root->next == NULL, "the root is alone");

    node = ly_json_pointer(root, ly_str("/a~1b/~0/1/"));
    is_str(ly_json_text(node), ly_str("deep"), "by pointer");
    ok(node->in_object && node->key.len == 0, "under the empty key");

    ly_buf_init_arena(&b, a, 256);
    ly_json_pointer_print(node, &b);
    is_str(ly_buf_view(&b), ly_str("/a~1b/~0/1/"), "the pointer again");
    ly_buf_reset(&b);
    ly_json_pointer_print(root, &b);
    is_int(ly_buf_view(&b).len, 0, "the root's pointer is empty");
    ly_json_pointer_print(NULL, &b);
    is_int(ly_buf_view(&b).len, 0, "so is nothing's");

    ok(ly_json_pointer(root, ly_str("")) == root, "the whole");
    ok(ly_json_pointer(root, ly_str("list")) == NULL, "no slash");
    ok(ly_json_pointer(root, ly_str("/list/3")) == NULL, "past the end");
    ok(ly_json_pointer(root, ly_str("/list/01")) == NULL, "leading zero");
    ok(ly_json_pointer(root, ly_str("/list/-")) == NULL, "the dash");
    ok(ly_json_pointer(root, ly_str("/list/99999999999")) == NULL,
       "an index past 32 bits");
    ok(ly_json_pointer(root, ly_str("/yes/0")) == NULL, "into a scalar");
    ok(ly_json_pointer(root, ly_str("/a~2b")) == NULL, "bad escape");
    ok(ly_json_pointer(root, ly_str("/a~")) == NULL, "cut escape");
    ok(ly_json_pointer(root, ly_str("/lis")) == NULL, "a prefix of a key");
    ok(ly_json_pointer(root, ly_str("/listx")) == NULL, "a key and more");
    ok(ly_json_pointer(NULL, ly_str("")) == NULL, "into nothing");

    node = ly_json_member(root, ly_str("list"));
    is_int(ly_json_at(node, 2)->index, 2, "third element");
    ok(ly_json_at(node, 3) == NULL, "no fourth");
    ok(ly_json_at(NULL, 0) == NULL, "of nothing");
    ok(ly_json_member(node, ly_str("x")) == NULL, "an array has no members");
    ok(ly_json_member(NULL, ly_str("x")) == NULL, "nor has nothing");
    ok(ly_json_member_of(root, ly_str("s"), LY_JSON_STRING) != NULL,
       "of a type");
    ok(ly_json_member_of(root, ly_str("s"), LY_JSON_ARRAY) == NULL,
       "of another type");
    ok(ly_json_member_of(root, ly_str("zz"), LY_JSON_ARRAY) == NULL,
       "not there");

    is_int(ly_json_bool(ly_json_member(root, ly_str("yes")), &flag), LY_OK,
           "a bool");
    ok(flag, "that is true");
    is_int(ly_json_bool(ly_json_member(root, ly_str("no")), &flag), LY_OK,
           "another");
    ok(!flag, "that is false");
    is_int(ly_json_bool(root, &flag), LY_PARSE, "no bool");
    is_int(ly_json_bool(NULL, &flag), LY_PARSE, "nothing is no bool");

    is_int(ly_json_string(ly_json_member(root, ly_str("s")), &s), LY_OK,
           "a string");
    is_str(s, ly_str("text"), "unescaped");
    is_int(ly_json_string(root, &s), LY_PARSE, "no string");
    is_int(ly_json_string(NULL, &s), LY_PARSE, "nothing is no string");
    is_int(ly_json_text(root).len, 0, "an object has no text");
    is_int(ly_json_text(NULL).len, 0, "nor has nothing");

    s = ly_json_text(ly_json_member(root, ly_str("p")));
    ok(s.data > (const unsigned char *) text
       && s.data < (const unsigned char *) text + sizeof(text),
       "borrowed from the source");
    s = ly_json_text(ly_json_member(root, ly_str("s")));
    ok(s.data < (const unsigned char *) text
       || s.data >= (const unsigned char *) text + sizeof(text),
       "an escaped one is not");

    ly_arena_destroy(a);
}


/* members enough to be sorted, in an order that is bad for nobody */
static void
many_members(void)
{
    int              i;
    char            *text;
    size_t           len;
    ly_arena_t      *a;
    ly_json_node_t  *root;
    ly_json_fault_t  fault;

    a = ly_arena_create(16 << 20, NULL);
    text = malloc(1 << 20);

    len = (size_t) snprintf(text, 1 << 20, "{\"x\":{");

    for (i = 0; i < 20000; i++) {
        len += (size_t) snprintf(text + len, 64, "\"k%d\":%d,",
                                 (i * 7919) % 20011, i);
    }

    len--;
    len += (size_t) snprintf(text + len, 64, "},\"y\":{");

    for (i = 0; i < 20; i++) {
        len += (size_t) snprintf(text + len, 64, "\"k%d\":%d,", i, i);
    }

    len--;
    len += (size_t) snprintf(text + len, 64, "}}");

    is_int(ly_json_parse(a, ly_str_of(text, len), NULL, &root, NULL), LY_OK,
           "20,000 different keys, and twenty behind them");
    is_int(root->first->count, 20000, "all there");
    is_int(root->first->next->count, 20, "and these");

    len = (size_t) (strstr(text, "},\"y\"") - text);
    len += (size_t) snprintf(text + len, 64, ",\"k19999\":1}}");
    ly_arena_reset(a);
    is_int(ly_json_parse(a, ly_str_of(text, len), NULL, &root, &fault),
           LY_PARSE, "one of them twice");
    is_str(ly_str_of(fault.pointer, fault.pointer_len), ly_str("/x/k19999"),
           "and which");

    free(text);
    ly_arena_destroy(a);
}


static void
fault_pointer_cut(void)
{
    ly_arena_t       *a;
    ly_json_node_t   *root;
    ly_json_fault_t   fault;

    static const char  text[] =
        "{\"short\":{\"0123456789012345678901234567890123456789"
        "012345678901234567890123456789012345678901234567890123"
        "456789012345678901234567890123456789\":{\"k\":[,]}}}";

    a = ly_arena_create(1 << 16, NULL);

    (void) !ly_json_parse(a, ly_str_c(text), NULL, &root, &fault);

    ok(fault.pointer_len < sizeof(fault.pointer)
       && memcmp(fault.pointer, "/short", 6) == 0,
       "a long pointer is cut at a token");

    ly_arena_destroy(a);
}


/* every allocation of a parse fails once, small and large */
static void
failures(const char *text, size_t size, const char *name)
{
    size_t            n;
    ly_err_t          rc;
    ly_alloc_t        alloc;
    ly_arena_t       *a;
    fail_alloc_t      f;
    ly_json_node_t   *root;
    ly_json_fault_t   fault;

    for (n = 1; ; n++) {
        alloc = fail_alloc(&f, n);
        a = ly_arena_create(16 << 20, &alloc);

        if (a != NULL) {
            rc = ly_json_parse(a, ly_str_of(text, size), NULL, &root, &fault);

            if (f.failed != (rc == LY_NOMEM)
                || f.failed != (fault.code == LY_JSON_NOMEM))
            {
                ok(false, "failure %zu gives %s", n, ly_err_name(rc));
            }
        }

        ly_arena_destroy(a);

        if (f.live != 0) {
            ok(false, "failure %zu leaks", n);
            return;
        }

        if (!f.failed) {
            break;
        }
    }

    ok(n > 1, "%s: each of %zu allocations failed once", name, n - 1);
}


/* the arena's cap, met at every byte of a small document */
static void
caps(void)
{
    size_t            cap, refused;
    ly_err_t          rc;
    ly_arena_t       *a;
    ly_json_node_t   *root;
    ly_json_limits_t  l;

    static const char  text[] =
        "{\"a\":[1,\"two\",{\"b\":null}],\"c\":\"\\u00e9\",\"d\":true}";

    l = ly_json_limits_default;
    refused = 0;

    for (cap = LY_ARENA_MIN; cap < 12000; cap += 8) {
        a = ly_arena_create(cap, NULL);
        rc = ly_json_parse(a, ly_str_c(text), &l, &root, NULL);

        if (rc != LY_OK && rc != LY_NOMEM) {
            ok(false, "cap %zu gives %s", cap, ly_err_name(rc));
        }

        refused += rc == LY_NOMEM;
        ly_arena_destroy(a);
    }

    ok(refused > 100 && refused < 1300, "%zu caps were too small", refused);
}


/* an object large enough to be sorted, at many caps */
static void
caps_of_members(void)
{
    int              i;
    size_t           len, cap, refused;
    ly_err_t         rc;
    ly_arena_t      *a;
    ly_json_node_t  *root;

    static char  text[16384];

    len = (size_t) snprintf(text, sizeof(text), "{");

    for (i = 0; i < 900; i++) {
        len += (size_t) snprintf(text + len, sizeof(text) - len,
                                 "%s\"k%d\":%d", i == 0 ? "" : ",", i, i);
    }

    len += (size_t) snprintf(text + len, sizeof(text) - len, "}");
    refused = 0;

    for (cap = LY_ARENA_MIN; cap < 300000; cap += 1024) {
        a = ly_arena_create(cap, NULL);
        rc = ly_json_parse(a, ly_str_of(text, len), NULL, &root, NULL);

        if (rc != LY_OK && rc != LY_NOMEM) {
            ok(false, "cap %zu gives %s", cap, ly_err_name(rc));
        }

        refused += rc == LY_NOMEM;
        ly_arena_destroy(a);
    }

    ok(refused > 80 && refused < 290, "%zu caps were too small", refused);
}


/* public sets: the jsonchecker files, taken or refused by their name */
static void
checker(void)
{
    int          rc, taken, refused, wrong;
    char         line[512], command[2048], path[] = "/tmp/ly_json_XXXXXX";
    FILE        *list;
    ly_str_t     text;
    ly_arena_t  *a;
    const char  *name;
    bool         pass;
    ly_json_node_t   *root;

    a = ly_arena_create(4 << 20, NULL);

    if (!vec_data(a, "json_checker/jsonchecker.tar.zst", &text)) {
        tap_skip("json_checker is not in LOYALTY_DATA");
        ly_arena_destroy(a);
        return;
    }

    if (mkdtemp(path) == NULL) {
        abort();
    }

    (void) snprintf(command, sizeof(command),
                    "zstd -dc '%s/json_checker/jsonchecker.tar.zst'"
                    " | tar -C %s -xf - && find %s -name '*.json'",
                    vec_dir(), path, path);
    list = popen(command, "r");
    taken = 0;
    refused = 0;
    wrong = 0;

    while (list != NULL && fgets(line, sizeof(line), list) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        name = strrchr(line, '/') + 1;
        /* two numbers past a double: text to us, refused where used */
        pass = strncmp(name, "pass", 4) == 0
               || strcmp(name, "fail60.json") == 0
               || strcmp(name, "fail73.json") == 0;
        ly_arena_reset(a);

        if (!vec_file(a, line, &text)) {
            abort();
        }

        rc = ly_json_parse(a, text, NULL, &root, NULL);
        taken += rc == LY_OK;
        refused += rc != LY_OK;

        if ((rc == LY_OK) != pass) {
            wrong++;
            printf("# %s: %s\n", name, ly_err_name((ly_err_t) rc));
        }
    }

    if (list != NULL) {
        (void) pclose(list);
    }

    (void) snprintf(command, sizeof(command), "rm -rf %s", path);

    if (system(command) != 0) {
        abort();
    }

    ok(taken > 20 && refused > 20 && wrong == 0,
       "jsonchecker: %d taken, %d refused, %d otherwise than named", taken,
       refused, wrong);

    ly_arena_destroy(a);
}


/* naughty strings survive writing and reading */
static void
naughty(void)
{
    size_t                 n;
    ly_jw_t                w;
    ly_buf_t               b;
    ly_arena_t            *a;
    ly_json_node_t        *root, *again;
    const ly_json_node_t  *x, *y;

    a = ly_arena_create(16 << 20, NULL);
    root = vec_public(a, "blns/blns.json");

    if (root == NULL) {
        tap_skip("blns is not in LOYALTY_DATA");
        ly_arena_destroy(a);
        return;
    }

    ly_buf_init_arena(&b, a, 4 << 20);
    ly_jw_init(&w, &b);
    ly_jw_node(&w, root);
    again = vec_parse(a, ly_buf_view(&b));
    n = 0;

    if (again != NULL && again->count == root->count) {
        y = again->first;

        for (x = root->first; x != NULL; x = x->next, y = y->next) {
            n += ly_str_eq(x->text, y->text);
        }
    }

    is_int(n, root->count, "all naughty strings come back");
    ly_arena_destroy(a);
}


int
main(void)
{
    static char  big[200001];

    memset(big, ' ', sizeof(big));
    memcpy(big, "[{\"a\":\"\\u00e9\",\"b\":2}", 22);
    big[200000] = ']';

    table();
    round_trip();
    limits();
    long_feed();
    numbers();
    tree();
    many_members();
    fault_pointer_cut();
    failures("{\"a\":[1,2,{\"b\":\"c\"}]}", 21, "small");
    failures(big, sizeof(big), "large");
    caps();
    caps_of_members();
    checker();
    naughty();

    return tap_done();
}
