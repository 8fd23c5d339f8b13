/* ids, base64, hex */

#include "tap.h"
#include "ly_base64.h"
#include "ly_hex.h"
#include "ly_id.h"


static void
uuids(void)
{
    size_t         i;
    ly_str_t       s;
    ly_uuid_t      u, v;
    unsigned char  text[LY_ID_TEXT + LY_UUID_TEXT];

    static const unsigned char  ones[10] = {
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255
    };
    static const char *const  bad[] = {
        "", "0191b2c3-d4e5-7fff-bfff-fffffffffff",
        "0191b2c3-d4e5-7fff-bfff-fffffffffffff",
        "0191b2c3d4e5-7fff-bfff-ffffffffffff-",
        "0191b2c3-d4e5-7fff-bfff-fffffffffffg",
        "0191b2c3-d4e5_7fff-bfff-ffffffffffff",
        "{191b2c3-d4e5-7fff-bfff-ffffffffffff"
    };

    ly_uuid7_make(0x0191b2c3d4e5ULL, ones, &u);
    ly_uuid_print(&u, text);
    is_str(ly_str_of(text, LY_UUID_TEXT),
           ly_str("0191b2c3-d4e5-7fff-bfff-ffffffffffff"),
           "version and variant");
    ok(ly_uuid7_ms(&u) == 0x0191b2c3d4e5ULL, "its milliseconds");
    ly_uuid7_make(0xffff0191b2c3d4e5ULL, ones, &v);
    ok(ly_uuid_eq(&u, &v), "48 bits of time");

    is_int(ly_uuid_parse(ly_str("0191B2C3-d4e5-7fff-BFFF-ffffffffffff"), &v),
           LY_OK, "parsed in either case");
    ok(ly_uuid_eq(&u, &v), "the same");
    ok(!ly_uuid_is_nil(&u), "not nil");
    memset(&v, 0, sizeof(v));
    ok(ly_uuid_is_nil(&v), "nil");
    ok(!ly_uuid_eq(&u, &v), "not the same");

    for (i = 0; i < ly_countof(bad); i++) {
        is_int(ly_uuid_parse(ly_str_c(bad[i]), &v), LY_PARSE, bad[i]);
    }

    is_int(ly_uuid7_new(1234, &u), LY_OK, "a new one");
    is_int(ly_uuid7_new(1234, &v), LY_OK, "another");
    ok(!ly_uuid_eq(&u, &v) && ly_uuid7_ms(&u) == 1234, "differ");
    ok((u.b[6] >> 4) == 7 && (u.b[8] >> 6) == 2, "are of version 7");

    s = ly_str_of(text, ly_id_print(ly_str("mem"), &u, text));
    is_int(s.len, 30, "mem_ and 26");
    is_int(ly_id_parse(s, ly_str("mem"), &v), LY_OK, "parsed");
    ok(ly_uuid_eq(&u, &v), "the same");
    is_int(ly_id_parse(s, ly_str("evt"), &v), LY_PARSE, "another prefix");
    is_int(ly_id_parse(s, ly_str("me"), &v), LY_PARSE, "a part of it");
    is_int(ly_id_parse(s, ly_str("mem_"), &v), LY_PARSE, "more than it");

    is_int(ly_id_print(ly_str("toolongprefix"), &u, text), LY_ID_TEXT,
           "a prefix is cut");
}


static void
ids(void)
{
    size_t         i;
    ly_uuid_t      u;
    unsigned char  text[LY_ID_TEXT];

    static const struct {
        const char  *uuid;
        const char  *id;
    } good[] = {
        { "00000000-0000-0000-0000-000000000000",
          "evt_00000000000000000000000000" },
        { "ffffffff-ffff-ffff-ffff-ffffffffffff",
          "evt_7zzzzzzzzzzzzzzzzzzzzzzzzz" },
        { "01234567-89ab-cdef-0123-456789abcdef",
          "evt_014d2pf2dbsqqg28t5cy4tqkff" }
    };
    static const char *const  bad[] = {
        "evt_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "evt_zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "evt_0000000000000000000000000",
        "evt_000000000000000000000000000",
        "evt_0000000000000000000000000i",
        "evt_0000000000000000000000000l",
        "evt_0000000000000000000000000o",
        "evt_0000000000000000000000000u",
        "evt_0000000000000000000000000A",
        "evt-00000000000000000000000000",
        "EVT_00000000000000000000000000",
        "evt_0000000000000 000000000000",
        "evt_",
        ""
    };

    for (i = 0; i < ly_countof(good); i++) {
        if (ly_uuid_parse(ly_str_c(good[i].uuid), &u) != LY_OK) {
            abort();
        }

        is_str(ly_str_of(text, ly_id_print(ly_str("evt"), &u, text)),
               ly_str_c(good[i].id), good[i].uuid);
    }

    for (i = 0; i < ly_countof(bad); i++) {
        is_int(ly_id_parse(ly_str_c(bad[i]), ly_str("evt"), &u), LY_PARSE,
               bad[i]);
    }

    memcpy(text, "evt_0000000000000000000000000\0", 30);
    is_int(ly_id_parse(ly_str_of(text, 30), ly_str("evt"), &u), LY_PARSE,
           "a NUL");
}


/* all lengths, all bytes, both alphabets */
static void
base64(void)
{
    size_t         i, n, len, wrong;
    ly_str_t       s;
    ly_buf_t       b;
    unsigned char  in[256], text[512], out[300];

    static const struct {
        const char  *text;
        bool         url;
        ly_err_t     rc;
    } cases[] = {
        { "", false, LY_OK },
        { "Zg==", false, LY_OK },
        { "Zm8=", false, LY_OK },
        { "Zm9v", false, LY_OK },
        { "+/+/", false, LY_OK },
        { "Zg=", false, LY_PARSE },
        { "Zg", false, LY_PARSE },
        { "Zh==", false, LY_PARSE },
        { "Zm9=", false, LY_PARSE },
        { "Z===", false, LY_PARSE },
        { "====", false, LY_PARSE },
        { "Zg==Zg==", false, LY_PARSE },
        { "Zm9v\n", false, LY_PARSE },
        { "Zm 9", false, LY_PARSE },
        { "-_-_", false, LY_PARSE },
        { "Zm9v=", false, LY_PARSE },
        { "=Zm9", false, LY_PARSE },
        { "", true, LY_OK },
        { "Zg", true, LY_OK },
        { "Zm8", true, LY_OK },
        { "-_-_", true, LY_OK },
        { "Zg==", true, LY_PARSE },
        { "Zh", true, LY_PARSE },
        { "Zm9", true, LY_PARSE },
        { "Z", true, LY_PARSE },
        { "Zm9vZ", true, LY_PARSE },
        { "+/+/", true, LY_PARSE },
        { "Zm?v", true, LY_PARSE },
        { "Zm9v\r\n", true, LY_PARSE }
    };

    for (i = 0; i < sizeof(in); i++) {
        in[i] = (unsigned char) (i * 37 + 11);
    }

    wrong = 0;

    for (n = 0; n <= sizeof(in); n++) {
        s = ly_str_of(text, ly_base64_encode(ly_str_of(in, n), text));
        wrong += s.len != ly_base64_len(n)
                 || ly_base64_decode(s, out, n, &len) != LY_OK || len != n
                 || memcmp(out, in, n) != 0
                 || (n != 0
                     && ly_base64_decode(s, out, n - 1, &len) != LY_LIMIT);

        s = ly_str_of(text, ly_base64url_encode(ly_str_of(in, n), text));
        wrong += s.len != ly_base64url_len(n)
                 || ly_base64_decoded_max(s.len) < n
                 || ly_base64url_decode(s, text, n, &len) != LY_OK
                 || len != n || memcmp(text, in, n) != 0;
    }

    is_int(wrong, 0, "257 lengths there and back, in place too");

    for (i = 0; i < ly_countof(cases); i++) {
        s = ly_str_c(cases[i].text);
        is_int(cases[i].url
               ? ly_base64url_decode(s, out, sizeof(out), &len)
               : ly_base64_decode(s, out, sizeof(out), &len),
               cases[i].rc, cases[i].text);
    }

    /* one text for one value: of all last characters only one is taken */
    wrong = 0;

    for (i = 0; i < 256; i++) {
        out[0] = 'Z';
        out[1] = (unsigned char) i;
        wrong += ly_base64url_decode(ly_str_of(out, 2), text, 9, &len)
                 == LY_OK;
    }

    is_int(wrong, 4, "four second characters give a byte");

    ly_buf_init_fixed(&b, text, 16);
    ly_base64_put(&b, ly_str("f"));
    ly_base64url_put(&b, ly_str("f"));
    ly_hex_put(&b, ly_str("\xab"));
    is_str(ly_buf_view(&b), ly_str("Zg==Zgab"), "onto a buffer");
    ly_base64_put(&b, ly_str("0123456789"));
    is_int(ly_buf_err(&b), LY_LIMIT, "that is full");
    ly_base64url_put(&b, ly_str("0123456789"));
    ly_hex_put(&b, ly_str("0123456789"));
}


static void
hex(void)
{
    unsigned char  out[8];

    is_int(ly_hex_decode(ly_str("00ffAb"), out, 3), LY_OK, "hex");
    ok(out[0] == 0 && out[1] == 255 && out[2] == 0xab, "its bytes");
    is_int(ly_hex_decode(ly_str("00ffA"), out, 3), LY_PARSE, "odd");
    is_int(ly_hex_decode(ly_str("00ff"), out, 3), LY_PARSE, "short");
    is_int(ly_hex_decode(ly_str("00ffggg0"), out, 4), LY_PARSE, "no digit");
    is_int(ly_hex_decode(ly_str("0g"), out, 1), LY_PARSE, "low digit");
    is_int(ly_hex_decode(ly_str(""), out, 0), LY_OK, "nothing");
}


int
main(void)
{
    uuids();
    ids();
    base64();
    hex();

    return tap_done();
}
