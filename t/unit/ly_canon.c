/* canonical JSON */

#include "tap.h"
#include "fail_alloc.h"
#include "vectors.h"
#include "ly_canon.h"


static ly_err_t
canon(ly_arena_t *a, ly_str_t text, ly_buf_t *b)
{
    ly_err_t         rc;
    ly_json_node_t  *root;

    ly_buf_init_arena(b, a, 1 << 20);
    rc = ly_json_parse(a, text, NULL, &root, NULL);

    return rc == LY_OK ? ly_canon_print(root, a, b) : rc;
}


static void
documents(void)
{
    size_t       i;
    ly_buf_t     b;
    ly_arena_t  *a;

    static const struct {
        const char  *in;
        const char  *out;
    } cases[] = {
        { "{ }", "{}" },
        { "[ ]", "[]" },
        { " \"a\" ", "\"a\"" },
        { "{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}" },
        { "{\"aa\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"aa\":1}" },
        { "[true,false,null,{\"z\":[{\"y\":1,\"x\":2}],\"a\":{}}]",
          "[true,false,null,{\"a\":{},\"z\":[{\"x\":2,\"y\":1}]}]" },
        { "\"\\u0041\\/\\u000a\\u001F\"", "\"A/\\n\\u001f\"" },
        { "{\"\xef\xbf\xbd\":1,\"\xf0\x9f\x98\x80\":2,\"\xc3\xa9\":3}",
          "{\"\xc3\xa9\":3,\"\xf0\x9f\x98\x80\":2,\"\xef\xbf\xbd\":1}" },
        { "[1.0,1e2,-0,0.0,100]", "[1,100,0,0,100]" },
        { "[9223372036854775807,-9223372036854775808]",
          "[9223372036854775807,-9223372036854775808]" },
        { "[9223372036854775808]", "[9223372036854776000]" },
        { "{\"c\":1,\"b\":1,\"a\":1,\"f\":1,\"e\":1,\"d\":1,\"i\":1,\"h\":1,"
          "\"g\":1,\"l\":1,\"k\":1,\"j\":1,\"o\":1,\"n\":1,\"m\":1}",
          "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,"
          "\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1}" }
    };

    a = ly_arena_create(1 << 20, NULL);

    for (i = 0; i < ly_countof(cases); i++) {
        is_int(canon(a, ly_str_c(cases[i].in), &b), LY_OK, cases[i].in);
        is_str(ly_buf_view(&b), ly_str_c(cases[i].out), "its one form");
        ly_arena_reset(a);
    }

    is_int(canon(a, ly_str("[1e309]"), &b), LY_OVERFLOW, "past a double");
    is_int(canon(a, ly_str("{\"a\":[-1e400]}"), &b), LY_OVERFLOW,
           "far past it");

    ly_arena_destroy(a);
}


static void
keys(void)
{
    ok(ly_canon_key_cmp(ly_str("a"), ly_str("b")) < 0, "a before b");
    ok(ly_canon_key_cmp(ly_str("b"), ly_str("a")) > 0, "b behind a");
    is_int(ly_canon_key_cmp(ly_str("a"), ly_str("a")), 0, "the same");
    ok(ly_canon_key_cmp(ly_str("a"), ly_str("aa")) < 0, "a prefix first");
    ok(ly_canon_key_cmp(ly_str("aa"), ly_str("a")) > 0, "and the other way");
    ok(ly_canon_key_cmp(ly_str("\xf0\x90\x80\x80"), ly_str("\xee\x80\x80"))
       < 0, "U+10000 before U+E000");
    ok(ly_canon_key_cmp(ly_str("\xef\xbf\xbd"), ly_str("\xf0\x9f\x98\x80"))
       > 0, "U+FFFD behind U+1F600");
    ok(ly_canon_key_cmp(ly_str("\xee\x80\x80"), ly_str("\xef\xbf\xbd")) < 0,
       "U+E000 before U+FFFD");
    ok(ly_canon_key_cmp(ly_str("\xed\x9f\xbf"), ly_str("\xf0\x90\x80\x80"))
       < 0, "U+D7FF before U+10000");
    ok(ly_canon_key_cmp(ly_str("\xf0\x90\x80\x80"),
                        ly_str("\xf0\x90\x80\x81")) < 0,
       "both above the plane");
}


static void
numbers(void)
{
    size_t                 n, wrong;
    char                   big[900];
    ly_buf_t               b;
    ly_arena_t            *a;
    const ly_json_node_t  *root, *row;

    a = ly_arena_create(16 << 20, NULL);
    root = vec_ours(a, "numbers.json");
    n = 0;
    wrong = 0;

    for (row = root == NULL ? NULL : root->first; row != NULL;
         row = row->next)
    {
        ly_buf_init_arena(&b, a, 64);
        n++;

        if (ly_canon_number(row->first->text, &b) != LY_OK
            || !ly_str_eq(ly_buf_view(&b), row->first->next->text))
        {
            wrong++;
            tap_show("in  ", row->first->text);
            tap_show("got ", ly_buf_view(&b));
            tap_show("want", row->first->next->text);
        }
    }

    ok(n > 1000 && wrong == 0, "%zu numbers as ECMAScript prints them", n);

    ly_buf_init_arena(&b, a, 64);
    is_int(ly_canon_number(ly_str("1x"), &b), LY_PARSE, "no number");
    is_int(ly_canon_number(ly_str("1e99999999999999999999"), &b), LY_OVERFLOW,
           "an exponent past 64 bits");
    is_int(ly_canon_number(ly_str("0e5"), &b), LY_OK, "zero");
    is_int(ly_canon_number(ly_str("1e-999999999999999"), &b), LY_OK,
           "less than any double");
    is_int(ly_canon_number(ly_str("1e999999999999999"), &b), LY_OVERFLOW,
           "more than any");
    is_int(ly_canon_number(ly_str("1e000000000000000000000000002"), &b),
           LY_OK, "zeros in an exponent");
    is_str(ly_buf_view(&b), ly_str("00100"), "all of them");

    memset(big, '1', sizeof(big));
    is_int(ly_canon_number(ly_str_of(big, 801), &b), LY_OVERFLOW,
           "too many digits");
    is_int(ly_canon_number(ly_str_of(big, 309), &b), LY_OK, "309 digits");

    ly_buf_init_fixed(&b, big, 2);
    is_int(ly_canon_number(ly_str("1234"), &b), LY_LIMIT, "no room");
    ly_buf_init_fixed(&b, big, 2);
    is_int(ly_canon_number(ly_str("1.25"), &b), LY_LIMIT, "no room either");
    ly_buf_init_fixed(&b, big, 0);
    is_int(ly_canon_number(ly_str("0.0"), &b), LY_LIMIT, "none for a zero");

    ly_arena_destroy(a);
}


static void
public_pairs(void)
{
    char         path[64];
    size_t       i;
    ly_buf_t     b;
    ly_str_t     in, out;
    ly_arena_t  *a;

    static const char *const  names[] = {
        "arrays", "french", "structures", "unicode", "values", "weird"
    };

    a = ly_arena_create(1 << 20, NULL);

    for (i = 0; i < ly_countof(names); i++) {
        (void) snprintf(path, sizeof(path), "jcs/input/%s.json", names[i]);

        if (!vec_data(a, path, &in)) {
            tap_skip("jcs is not in LOYALTY_DATA");
            break;
        }

        (void) snprintf(path, sizeof(path), "jcs/output/%s.json", names[i]);

        if (!vec_data(a, path, &out)) {
            abort();
        }

        is_int(canon(a, in, &b), LY_OK, names[i]);
        is_str(ly_buf_view(&b), out, "RFC 8785's own bytes");
    }

    ly_arena_destroy(a);
}


/* every allocation fails once, every size of the buffer is met */
static void
failures(void)
{
    int              i;
    size_t           n, cap;
    ly_err_t         rc;
    ly_buf_t         b;
    ly_alloc_t       alloc;
    ly_arena_t      *a, *scratch;
    fail_alloc_t     f;
    ly_json_node_t  *root;
    unsigned char    out[4096];

    static char  text[4096];

    n = 0;

    for (i = 0; i < 60; i++) {
        n += (size_t) snprintf(text + n, sizeof(text) - n,
                               "%s{\"b%d\":1.5,\"a\":[{},\"x\"]}",
                               i == 0 ? "[" : ",", i);
    }

    (void) snprintf(text + n, sizeof(text) - n, "]");

    a = ly_arena_create(1 << 20, NULL);

    if (ly_json_parse(a, ly_str_c(text), NULL, &root, NULL) != LY_OK) {
        abort();
    }

    for (n = 1; ; n++) {
        alloc = fail_alloc(&f, n);
        scratch = ly_arena_create(1 << 20, &alloc);

        if (scratch != NULL) {
            ly_buf_init_fixed(&b, out, sizeof(out));
            rc = ly_canon_print(root, scratch, &b);

            if (f.failed != (rc == LY_NOMEM)) {
                ok(false, "failure %zu gives %s", n, ly_err_name(rc));
            }
        }

        ly_arena_destroy(scratch);

        if (!f.failed) {
            break;
        }
    }

    ok(n > 2, "each of %zu allocations failed once", n - 1);

    n = 0;

    for (cap = LY_ARENA_MIN; cap < 8000; cap += 16) {
        scratch = ly_arena_create(cap, NULL);
        ly_buf_init_fixed(&b, out, sizeof(out));
        n += ly_canon_print(root, scratch, &b) == LY_NOMEM;
        ly_arena_destroy(scratch);
    }

    ok(n > 50, "%zu caps were too small", n);

    n = b.len;
    scratch = ly_arena_create(1 << 20, NULL);

    for (cap = 0; cap < n; cap += 7) {
        ly_buf_init_fixed(&b, out, cap);

        if (ly_canon_print(root, scratch, &b) != LY_LIMIT) {
            ok(false, "%zu bytes are enough?", cap);
        }

        ly_arena_reset(scratch);
    }

    ok(n > 1000, "no room for %zu bytes is always seen", n);

    ly_arena_destroy(scratch);
    ly_arena_destroy(a);
}


int
main(void)
{
    documents();
    keys();
    numbers();
    public_pairs();
    failures();

    return tap_done();
}
