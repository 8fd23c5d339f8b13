/* byte strings, integers, UTF-8 */

#include "tap.h"


static void
names(void)
{
    is_str(ly_str_c(ly_err_name(LY_OK)), ly_str("ok"), "name of LY_OK");
    is_str(ly_str_c(ly_err_name(LY_OVERFLOW)), ly_str("overflow"),
           "name of the last error");
    is_str(ly_str_c(ly_err_name((ly_err_t) 99)), ly_str("unknown"),
           "no name of ours");
}


static void
strings(void)
{
    int            differ;
    size_t         i, n;
    unsigned char  secret[4] = "abc", one[27], other[27];

    ok(ly_str_eq(ly_str(""), ly_str_c(NULL)), "empty and NULL are equal");
    ok(!ly_str_eq(ly_str("a"), ly_str("ab")), "lengths differ");
    ok(!ly_str_eq(ly_str("aa"), ly_str("ab")), "bytes differ");
    ok(ly_str_cmp(ly_str("a"), ly_str("ab")) < 0, "a prefix comes first");
    ok(ly_str_cmp(ly_str("ab"), ly_str("a")) > 0, "the longer comes later");
    ok(ly_str_cmp(ly_str("\xff"), ly_str("a")) > 0, "bytes are unsigned");
    is_int(ly_str_cmp(ly_str(""), ly_str("")), 0, "nothing equals nothing");
    ok(ly_str_starts(ly_str("abc"), ly_str("ab")), "starts");
    ok(ly_str_starts(ly_str("abc"), ly_str("")), "starts with nothing");
    ok(!ly_str_starts(ly_str("a"), ly_str("ab")), "too short to start so");
    ok(!ly_str_starts(ly_str("xb"), ly_str("ab")), "starts otherwise");

    ok(ly_secret_eq("ab", 2, "ab", 2), "equal secrets");
    ok(!ly_secret_eq("ab", 2, "ac", 2), "other secret");
    ok(!ly_secret_eq("ab", 2, "ab", 1), "other length");
    ok(ly_secret_eq(NULL, 0, NULL, 0), "two empty secrets");

    /* compared by words: every byte of every length counts */

    for (n = 1; n <= sizeof(one); n++) {
        memset(one, 'x', sizeof(one));
        memset(other, 'x', sizeof(other));
        differ = ly_secret_eq(one, n, other, n) ? 0 : 1;

        for (i = 0; i < n; i++) {
            other[i] ^= 0x80;
            differ += ly_secret_eq(one, n, other, n);
            other[i] ^= 0x80;
        }

        ok(differ == 0, "each of %zu bytes is compared", n);
    }

    ly_secret_wipe(secret, 3);
    is_int(secret[0] | secret[1] | secret[2], 0, "wiped");
    ly_secret_wipe(NULL, 0);
}


static void
integers(void)
{
    size_t         i;
    int64_t        v;
    uint64_t       u, power;
    ly_err_t       rc;
    unsigned char  text[LY_INT64_TEXT];

    static const struct {
        const char  *text;
        ly_err_t     rc;
        int64_t      v;
    } cases[] = {
        { "0", LY_OK, 0 },
        { "7", LY_OK, 7 },
        { "-7", LY_OK, -7 },
        { "9223372036854775807", LY_OK, INT64_MAX },
        { "-9223372036854775808", LY_OK, INT64_MIN },
        { "9223372036854775808", LY_OVERFLOW, 0 },
        { "-9223372036854775809", LY_OVERFLOW, 0 },
        { "99999999999999999999", LY_OVERFLOW, 0 },
        { "18446744073709551616", LY_OVERFLOW, 0 },
        { "-99999999999999999999", LY_OVERFLOW, 0 },
        { "", LY_PARSE, 0 },
        { "-", LY_PARSE, 0 },
        { "-0", LY_PARSE, 0 },
        { "00", LY_PARSE, 0 },
        { "01", LY_PARSE, 0 },
        { "+1", LY_PARSE, 0 },
        { " 1", LY_PARSE, 0 },
        { "1 ", LY_PARSE, 0 },
        { "1a", LY_PARSE, 0 },
        { "--1", LY_PARSE, 0 },
        { "99999999999999999999x", LY_PARSE, 0 },
        { "1e3", LY_PARSE, 0 },
        { "1.0", LY_PARSE, 0 }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        v = 0;
        rc = ly_int64_parse(ly_str_c(cases[i].text), &v);

        ok(rc == cases[i].rc && v == cases[i].v, "integer '%s'",
           cases[i].text);

        if (rc == LY_OK) {
            is_str(ly_str_of(text, ly_int64_print(v, text)),
                   ly_str_c(cases[i].text), "printed again");
        }
    }

    is_str(ly_str_of(text, ly_uint64_print(UINT64_MAX, text)),
           ly_str("18446744073709551615"), "the largest unsigned");

    /* every count of digits, at both ends */

    for (power = 1, i = 1; i < 20; i++) {
        rc = ly_uint64_parse(ly_str_of(text, ly_uint64_print(power, text)),
                             &u);
        ok(rc == LY_OK && u == power, "the least of %zu digits", i);

        power *= 10;
        rc = ly_uint64_parse(ly_str_of(text, ly_uint64_print(power - 1,
                                                             text)), &u);
        ok(rc == LY_OK && u == power - 1, "the most of %zu digits", i);
    }
}


static void
utf8(void)
{
    size_t  i;

    static const struct {
        const char  *text;
        bool         valid;
    } cases[] = {
        { "", true },
        { "plain ascii, longer than eight", true },
        { "\xc3\xa9", true },
        { "\xe2\x82\xac", true },
        { "\xf0\x9f\x98\x80", true },
        { "\xef\xbf\xbf", true },
        { "\xee\x80\x80", true },
        { "\xed\x9f\xbf", true },
        { "\xf4\x8f\xbf\xbf", true },
        { "abcdefg\xc3\xa9", true },
        { "\xc0\x80", false },
        { "\xc1\xbf", false },
        { "\xe0\x9f\xbf", false },
        { "\xed\xa0\x80", false },
        { "\xed\xbf\xbf", false },
        { "\xf0\x8f\xbf\xbf", false },
        { "\xf4\x90\x80\x80", false },
        { "\xf5\x80\x80\x80", false },
        { "\xff", false },
        { "\x80", false },
        { "\xc3", false },
        { "\xe2\x82", false },
        { "\xe2\x28\xa1", false },
        { "\xe2\x82\x28", false },
        { "\xf0\x9f\x98", false },
        { "\xf0\x9f\x98\x28", false },
        { "\xf0\x9f\x28\x80", false },
        { "abcdefgh\xc3", false }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        ok(ly_utf8_valid(ly_str_c(cases[i].text)) == cases[i].valid,
           "UTF-8 case %zu is %s", i, cases[i].valid ? "valid" : "refused");
    }

    is_int(ly_utf8_count(ly_str("a\xc3\xa9\xf0\x9f\x98\x80")), 3,
           "code points");
}


static void
bytes(void)
{
    unsigned char  p[8];

    ly_be64_put(p, 0x0102030405060708ULL);
    ok(memcmp(p, "\1\2\3\4\5\6\7\10", 8) == 0, "big-endian");
    ok(ly_be64_get(p) == 0x0102030405060708ULL, "64 bits back");
    is_int(ly_be32_get(p), 0x01020304, "32 bits");
    is_int(ly_be16_get(p), 0x0102, "16 bits");
    ly_be16_put(p, 0xfffe);
    is_int(ly_be16_get(p), 0xfffe, "16 bits with the high one");
}


int
main(void)
{
    names();
    strings();
    integers();
    utf8();
    bytes();

    return tap_done();
}
