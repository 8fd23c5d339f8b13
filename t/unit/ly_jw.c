/* JSON out */

#include "tap.h"
#include "fail_alloc.h"
#include "ly_jw.h"


static unsigned char  memory[4096];
static ly_buf_t       buf;
static ly_jw_t        w;


static void
begin(void)
{
    ly_buf_init_fixed(&buf, memory, sizeof(memory));
    ly_jw_init(&w, &buf);
}


static void
ends(ly_err_t rc, const char *text, const char *name)
{
    is_int(ly_jw_done(&w), rc, name);

    if (rc == LY_OK) {
        is_str(ly_buf_view(&buf), ly_str_c(text), "and its text");
    }
}


static void
values(void)
{
    begin();
    ly_jw_object(&w);
    ly_jw_kstr(&w, "s", ly_str("x"));
    ly_jw_kcstr(&w, "c", "y");
    ly_jw_kcstr(&w, "n", NULL);
    ly_jw_kint(&w, "i", INT64_MIN);
    ly_jw_k(&w, "u");
    ly_jw_uint(&w, UINT64_MAX);
    ly_jw_kbool(&w, "t", true);
    ly_jw_kbool(&w, "f", false);
    ly_jw_knull(&w, "z");
    ly_jw_ktime(&w, "at", 0);
    ly_jw_k(&w, "d");
    ly_jw_number(&w, ly_str("-1.50e-3"));
    ly_jw_k(&w, "r");
    ly_jw_raw(&w, ly_str("[1]"));
    ly_jw_k(&w, "h");
    ly_jw_hex(&w, ly_str("\x01\xff"));
    ly_jw_k(&w, "b");
    ly_jw_base64url(&w, ly_str("\xfb\xff"));
    ly_jw_key(&w, ly_str("k\"\n\xc3\xa9"));
    ly_jw_array(&w);
    ly_jw_int(&w, 1);
    ly_jw_str(&w, ly_str(""));
    ly_jw_object(&w);
    ly_jw_object_end(&w);
    ly_jw_array(&w);
    ly_jw_array_end(&w);
    ly_jw_uint(&w, 2);
    ly_jw_bool(&w, true);
    ly_jw_null(&w);
    ly_jw_time(&w, 1);
    ly_jw_hex(&w, ly_str(""));
    ly_jw_base64url(&w, ly_str(""));
    ly_jw_str(&w, ly_str("\x01"));
    ly_jw_array_end(&w);
    ly_jw_object_end(&w);

    ends(LY_OK,
         "{\"s\":\"x\",\"c\":\"y\",\"n\":null,\"i\":-9223372036854775808,"
         "\"u\":18446744073709551615,\"t\":true,\"f\":false,\"z\":null,"
         "\"at\":\"1970-01-01T00:00:00.000000Z\",\"d\":-1.50e-3,\"r\":[1],"
         "\"h\":\"01ff\",\"b\":\"-_8\",\"k\\\"\\n\xc3\xa9\":[1,\"\",{},[],2,"
         "true,null,\"1970-01-01T00:00:00.000001Z\",\"\",\"\",\"\\u0001\"]}",
         "every kind of value");
}


static void
escapes(void)
{
    int            i;
    ly_str_t       all;
    unsigned char  bytes[128];

    for (i = 0; i < 128; i++) {
        bytes[i] = (unsigned char) i;
    }

    all = ly_str_of(bytes, sizeof(bytes));

    begin();
    ly_jw_str(&w, all);
    ends(LY_OK,
         "\"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n"
         "\\u000b\\f\\r\\u000e\\u000f\\u0010\\u0011\\u0012\\u0013\\u0014"
         "\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d"
         "\\u001e\\u001f !\\\"#$%&'()*+,-./0123456789:;<=>?@"
         "ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
         "\x7f\"", "all of ASCII");

    begin();
    ly_jw_text(&w, ly_str("a\xff\"b\xe2\x82z\xf0\x9f\x98\x80\xc3"));
    ends(LY_OK, "\"a\xef\xbf\xbd\\\"b\xef\xbf\xbd\xef\xbf\xbdz"
         "\xf0\x9f\x98\x80\xef\xbf\xbd\"", "bytes that are not UTF-8");

    begin();
    ly_jw_text(&w, ly_str("fine"));
    ends(LY_OK, "\"fine\"", "text that is");

    begin();
    ly_jw_array(&w);
    ly_jw_text(&w, ly_str("\xff\xfe"));
    ly_jw_array_end(&w);
    ends(LY_OK, "[\"\xef\xbf\xbd\xef\xbf\xbd\"]", "nothing but bad bytes");
}


static void
misuse(void)
{
    int  i;

    begin();
    ends(LY_FATAL, NULL, "nothing written");

    begin();
    ly_jw_object(&w);
    ends(LY_FATAL, NULL, "not closed");

    begin();
    ly_jw_object(&w);
    ly_jw_int(&w, 1);
    ends(LY_FATAL, NULL, "a value without a key");

    begin();
    ly_jw_object(&w);
    ly_jw_array(&w);
    ends(LY_FATAL, NULL, "a container without a key");

    begin();
    ly_jw_object(&w);
    ly_jw_k(&w, "a");
    ly_jw_k(&w, "b");
    ends(LY_FATAL, NULL, "a key behind a key");

    begin();
    ly_jw_object(&w);
    ly_jw_k(&w, "a");
    ly_jw_object_end(&w);
    ends(LY_FATAL, NULL, "a key without a value");

    begin();
    ly_jw_array(&w);
    ly_jw_key(&w, ly_str("a"));
    ends(LY_FATAL, NULL, "a key in an array");

    begin();
    ly_jw_k(&w, "a");
    ends(LY_FATAL, NULL, "a key at the top");

    begin();
    ly_jw_array(&w);
    ly_jw_object_end(&w);
    ends(LY_FATAL, NULL, "closed as the other kind");

    begin();
    ly_jw_object_end(&w);
    ends(LY_FATAL, NULL, "closed without an opening");

    begin();
    ly_jw_int(&w, 1);
    ly_jw_int(&w, 2);
    ends(LY_FATAL, NULL, "two values");

    begin();
    ly_jw_raw(&w, ly_str(""));
    ends(LY_PARSE, NULL, "an empty raw value");

    begin();
    ly_jw_str(&w, ly_str("\xff"));
    ends(LY_PARSE, NULL, "a string that is not UTF-8");

    begin();
    ly_jw_object(&w);
    ly_jw_key(&w, ly_str("\xff"));
    ends(LY_PARSE, NULL, "a key that is not UTF-8");

    begin();

    for (i = 0; i < LY_JW_DEPTH + 1; i++) {
        ly_jw_array(&w);
    }

    ends(LY_LIMIT, NULL, "too deep");

    begin();

    for (i = 0; i < LY_JW_DEPTH; i++) {
        ly_jw_array(&w);
    }

    for (i = 0; i < LY_JW_DEPTH; i++) {
        ly_jw_array_end(&w);
    }

    is_int(ly_jw_done(&w), LY_OK, "as deep as can be");
}


static void
numbers(void)
{
    size_t  i;

    static const char *const  good[] = {
        "0", "-0", "10", "1.5", "-1.50", "1e5", "1E+5", "1.0e-5", "0.0"
    };
    static const char *const  bad[] = {
        "", "-", "+1", "01", ".5", "1.", "1e", "1e+", "1x", "0x1", "NaN",
        "1 ", " 1", "--1", "1.5.5", "1e5e5"
    };

    for (i = 0; i < ly_countof(good); i++) {
        begin();
        ly_jw_number(&w, ly_str_c(good[i]));
        ends(LY_OK, good[i], "a number");
    }

    for (i = 0; i < ly_countof(bad); i++) {
        begin();
        ly_jw_number(&w, ly_str_c(bad[i]));
        is_int(ly_jw_done(&w), LY_PARSE, "no number");
    }
}


/* the same document at every size of the buffer: whole or LY_LIMIT */
static void
sizes(void)
{
    size_t          size, whole;
    ly_arena_t     *a;
    ly_json_node_t *root;

    static const char  text[] =
        "{\"a\":[1,\"x\\ny\",true,null,{\"k\":-5}],\"b\":\"\xc3\xa9\"}";

    a = ly_arena_create(1 << 16, NULL);

    if (ly_json_parse(a, ly_str_c(text), NULL, &root, NULL) != LY_OK) {
        abort();
    }

    whole = 0;

    for (size = 0; size < 120; size++) {
        ly_buf_init_fixed(&buf, memory, size);
        ly_jw_init(&w, &buf);
        ly_jw_node(&w, root);

        if (ly_jw_done(&w) == LY_OK) {
            whole += ly_str_eq(ly_buf_view(&buf), ly_str_c(text));

        } else if (ly_jw_done(&w) != LY_LIMIT) {
            ok(false, "size %zu gives %s", size,
               ly_err_name(ly_jw_done(&w)));
        }
    }

    ok(whole > 40 && whole < 120, "%zu of 120 sizes were enough", whole);

    /* one node out of a tree */
    begin();
    ly_jw_node(&w, ly_json_member(root, ly_str("a")));
    ends(LY_OK, "[1,\"x\\ny\",true,null,{\"k\":-5}]", "a part of a tree");

    ly_arena_destroy(a);
}


/* what writes several members or bytes at once gives what one by one gives */
static void
together(void)
{
    size_t         i, at;
    ly_str_t       s;
    unsigned char  text[40];

    static const ly_str_t  keys[] = {
        ly_str_init("a"), ly_str_init("b"), ly_str_init("c")
    };
    static const int64_t  some[] = { 0, -10, INT64_MAX };

    begin();
    ly_jw_object(&w);
    ly_jw_ints(&w, keys, some, 3);
    ly_jw_ints(&w, keys, some, 0);
    ly_jw_members(&w, "\"d\":null,\"e\":[]");
    ly_jw_ints(&w, keys, some, 1);
    ly_jw_pair(&w, ly_str("f"), ly_str("g"));
    ly_jw_pair(&w, ly_str("h"), ly_str("\"\xc3\xa9"));
    ly_jw_pair(&w, ly_str("i"), ly_str(""));
    ly_jw_pair_text(&w, ly_str("j"), ly_str("\xff"));
    ly_jw_object_end(&w);
    ends(LY_OK, "{\"a\":0,\"b\":-10,\"c\":9223372036854775807,"
         "\"d\":null,\"e\":[],\"a\":0,\"f\":\"g\","
         "\"h\":\"\\\"\xc3\xa9\",\"i\":\"\",\"j\":\"\xef\xbf\xbd\"}",
         "members at once");

    begin();
    ly_jw_array(&w);
    ly_jw_ints(&w, keys, some, 1);
    ends(LY_FATAL, NULL, "members of an array");

    begin();
    ly_jw_object(&w);
    ly_jw_k(&w, "k");
    ly_jw_pair(&w, ly_str("f"), ly_str("g"));
    ends(LY_FATAL, NULL, "a pair where a value is due");

    begin();
    ly_jw_members(&w, "\"d\":null");
    ends(LY_FATAL, NULL, "members of nothing");

    begin();
    ly_jw_object(&w);
    ly_jw_pair(&w, ly_str("f"), ly_str("\xff"));
    ends(LY_PARSE, NULL, "a pair that is not UTF-8");

    begin();
    ly_jw_object(&w);
    ly_jw_pair_text(&w, ly_str("a"), ly_str("b"));
    ly_jw_k(&w, "c");
    ly_jw_text(&w, ly_str("\"\xc3\xa9"));
    ly_jw_object_end(&w);
    ends(LY_OK, "{\"a\":\"b\",\"c\":\"\\\"\xc3\xa9\"}", "text as it is");

    /* a value where a name is due writes nothing */
    for (i = 0; i < 5; i++) {
        begin();
        ly_jw_object(&w);

        switch (i) {
        case 0: ly_jw_uint(&w, 1); break;
        case 1: ly_jw_time(&w, 1); break;
        case 2: ly_jw_hex(&w, ly_str("a")); break;
        case 3: ly_jw_base64url(&w, ly_str("a")); break;
        default: ly_jw_text(&w, ly_str("\"")); break;
        }

        is_int(ly_buf_view(&buf).len, 1, "nothing is written");
        ends(LY_FATAL, NULL, "a value without its name");
    }

    /* a byte that must be escaped is found wherever it stands */

    for (i = 1; i <= sizeof(text); i++) {
        for (at = 0; at < i; at++) {
            memset(text, 'x', i);
            text[at] = at % 2 ? '"' : '\x1f';
            s = ly_str_of(text, i);

            begin();
            ly_jw_str(&w, s);

            if (ly_jw_done(&w) != LY_OK
                || ly_buf_view(&buf).len != i + 2 + (at % 2 ? 1 : 5))
            {
                ok(false, "byte %zu of %zu is not escaped", at, i);
            }
        }

        memset(text, 0x7f, i);
        begin();
        ly_jw_str(&w, ly_str_of(text, i));

        if (ly_jw_done(&w) != LY_OK || ly_buf_view(&buf).len != i + 2) {
            ok(false, "%zu bytes that need no escape", i);
        }
    }

    ok(true, "escapes at every place of strings up to 40 bytes");
}


int
main(void)
{
    values();
    together();
    escapes();
    misuse();
    numbers();
    sizes();

    return tap_done();
}
