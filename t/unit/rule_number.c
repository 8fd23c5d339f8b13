/*
 * What the engine is made of, piece by piece: numbers read and added, rounding
 * of money, durations, folding, and how values are written.
 */

#include "rule_lib.h"
#include "worker/rule/rule_int.h"


static ly_arena_t  *arena;

#define NINES38  "99999999999999999999999999999999999999"


static void
reads(const char *text, bool json, ly_err_t err, const char *want)
{
    size_t         n;
    ly_err_t       got;
    ly_dec_t       d;
    unsigned char  out[LY_DEC_TEXT];

    got = rule_num_parse(rl_edge(ly_str_c(text)), json, &d);
    n = got == LY_OK ? ly_dec_print(d, out) : 0;
    ok(got == err && ly_str_eq(ly_str_of(out, n), ly_str_c(want)),
       "'%s' is %s", text, *want == '\0' ? "refused" : want);
}


static void
texts(void)
{
    char      text[600];
    ly_dec_t  d;

    reads("0", false, LY_OK, "0");
    reads("-0", false, LY_OK, "0");
    reads("0.0", false, LY_OK, "0");
    reads("00", false, LY_PARSE, "");
    reads("01", false, LY_PARSE, "");
    reads("-01", false, LY_PARSE, "");
    reads("", false, LY_PARSE, "");
    reads("-", false, LY_PARSE, "");
    reads("+1", false, LY_PARSE, "");
    reads(".5", false, LY_PARSE, "");
    reads("5.", false, LY_PARSE, "");
    reads("1.2.3", false, LY_PARSE, "");
    reads("1a", false, LY_PARSE, "");
    reads("1.a", false, LY_PARSE, "");
    reads("1./", false, LY_PARSE, "");
    reads("1.:", false, LY_PARSE, "");
    reads("/", false, LY_PARSE, "");
    reads(":", false, LY_PARSE, "");
    reads("12.50", false, LY_OK, "12.5");
    reads("-7.25", false, LY_OK, "-7.25");
    reads("100", false, LY_OK, "100");
    reads("999999999999999999", false, LY_OK, "999999999999999999");
    reads("1234567890123456789", false, LY_OK, "1234567890123456789");
    reads("-1234567890123456789", false, LY_OK, "-1234567890123456789");
    reads("01234567890123456789", false, LY_PARSE, "");
    reads("1234567890123456789.", false, LY_PARSE, "");
    reads("1234567890123456789.5x", false, LY_PARSE, "");
    reads(NINES38, false, LY_OK, NINES38);
    reads("-" NINES38, false, LY_OK, "-" NINES38);
    reads("1" NINES38, false, LY_OVERFLOW, "");
    reads("100000000000000000000000000000000000000", false, LY_OVERFLOW, "");
    reads("10000000000000000000000000000000000000", false, LY_OK,
          "10000000000000000000000000000000000000");
    reads("0.000000000000000001", false, LY_OK, "0.000000000000000001");
    reads("0.0000000000000000001", false, LY_OVERFLOW, "");
    reads("0.0000000000000000010", false, LY_OK, "0.000000000000000001");
    reads("1.50000000000000000000000000000000000000000000", false, LY_OK,
          "1.5");
    reads("0.00000000000000000000000000", false, LY_OK, "0");

    reads("1e2", false, LY_PARSE, "");
    reads("1e2", true, LY_OK, "100");
    reads("1E2", true, LY_OK, "100");
    reads("1e+2", true, LY_OK, "100");
    reads("15e-1", true, LY_OK, "1.5");
    reads("-1.5e1", true, LY_OK, "-15");
    reads("1.25e1", true, LY_OK, "12.5");
    reads("1e", true, LY_PARSE, "");
    reads("1e+", true, LY_PARSE, "");
    reads("1e-", true, LY_PARSE, "");
    reads("1e/", true, LY_PARSE, "");
    reads("1e:", true, LY_PARSE, "");
    reads("1e2x", true, LY_PARSE, "");
    reads("1f2", true, LY_PARSE, "");
    reads("1e0", true, LY_OK, "1");
    reads("1e00", true, LY_OK, "1");
    reads("1e10", true, LY_OK, "10000000000");
    reads("1234567890123456789", true, LY_OK, "1234567890123456789");
    reads("1e37", true, LY_OK, "10000000000000000000000000000000000000");
    reads("1e38", true, LY_OVERFLOW, "");
    reads("1e999999999999", true, LY_OVERFLOW, "");
    reads("1e-18", true, LY_OK, "0.000000000000000001");
    reads("1e-19", true, LY_OVERFLOW, "");
    reads("1e-999999999999", true, LY_OVERFLOW, "");
    reads("0e999999999999", true, LY_OK, "0");

    /* zeros that lead are no digits, however many */
    reads("0.000000000000000000000000000000000000001e30", true, LY_OK,
          "0.000000001");
    reads("00.5", false, LY_PARSE, "");
    reads("-00.5", false, LY_PARSE, "");
    reads(NINES38 "e1", true, LY_OVERFLOW, "");
    reads("5", false, LY_OK, "5");
    ok(rule_num_parse(ly_str_of(".01" + 1, 2), false, &d) == LY_PARSE,
       "what stands before a text is not of it");

    memset(text, '0', sizeof(text));
    memcpy(text, "1.", 2);
    text[512] = '\0';
    reads(text, false, LY_OK, "1");
    text[512] = '0';
    text[513] = '\0';
    reads(text, false, LY_OVERFLOW, "");
}


static ly_dec_t
dec(const char *text)
{
    ly_dec_t  d;

    if (ly_dec_parse(ly_str_c(text), 18, &d) != LY_OK) {
        ok(false, "%s is a number", text);
        d = ly_dec_int(0);
    }

    return d;
}


static void
gives(const char *a, char op, const char *b, const char *want)
{
    bool           good;
    size_t         n;
    ly_dec_t       d;
    unsigned char  out[LY_DEC_TEXT];

    good = op == '+' ? rule_num_add(dec(a), dec(b), &d)
                     : rule_num_mul(dec(a), dec(b), &d);
    n = good ? ly_dec_print(d, out) : 0;
    ok(ly_str_eq(ly_str_of(out, n), ly_str_c(want)), "%s %c %s = %s", a, op, b,
       *want == '\0' ? "too much" : want);
}


static void
arithmetic(void)
{
    size_t  i, k;

    /* around 2^62, where the short way ends, and far from each other */
    static const char *const  rising[] = {
        "-" NINES38, "-10000000000000000000", "-4611686018427387905",
        "-4611686018427387904", "-4611686018427387903.5", "-1.5", "-1.4",
        "-0.000000000000000001", "0", "0.000000000000000001", "0.1",
        "0.100000000000000001", "1", "1.000000001", "1.0000000011", "2",
        "4611686018427387903", "4611686018427387904",
        "4611686018427387904.1", "4611686018427387905", NINES38
    };

    gives("1.5", '+', "2.5", "4");
    gives("0.1", '+', "0.2", "0.3");
    gives("1.25", '+', "0.5", "1.75");
    gives("0.5", '+', "1.25", "1.75");
    gives("100", '+', "0.00000001", "100.00000001");
    gives("100", '+', "0.000000001", "100.000000001");
    gives("-1.5", '+', "1.5", "0");
    gives("4611686018427387904", '+', "4611686018427387904",
          "9223372036854775808");
    gives("4611686018427387904", '+', "0.5", "4611686018427387904.5");
    gives("0.5", '+', "-4611686018427387904", "-4611686018427387903.5");
    gives("-4611686018427387904", '+', "-4611686018427387904",
          "-9223372036854775808");
    gives("4611686018427387903", '+', "4611686018427387903",
          "9223372036854775806");
    gives(NINES38, '+', "1", "");
    gives(NINES38, '+', "0", NINES38);
    gives("-" NINES38, '+', "-1", "");
    gives(NINES38, '+', "0.1", "");

    gives("1.5", '*', "2", "3");
    gives("0.25", '*', "0.4", "0.1");
    gives("0", '*', "1.5", "0");
    gives("-3", '*', "0.5", "-1.5");
    gives(NINES38, '*', "1", NINES38);
    gives(NINES38, '*', "-1", "-" NINES38);
    gives(NINES38, '*', "2", "");
    gives(NINES38, '*', NINES38, "");
    gives("50000000000000000000000000000000000000", '*', "2", "");
    gives("-50000000000000000000000000000000000000", '*', "2", "");
    gives("0.000000001", '*', "0.000000001", "0.000000000000000001");
    gives("0.000000001", '*', "0.0000000001", "");
    gives("0.5", '*', "0.000000000000000002", "0.000000000000000001");
    gives("0.5", '*', "0.000000000000000001", "");
    gives("0", '*', "0.000000000000000001", "0");

    /* 2^37 and 5^37, whose product has 36 places of zeros, and one more */
    gives("0.000000137438953472", '*', "72759576.141834259033203125", "10");

    for (i = 0; i < ly_countof(rising); i++) {
        for (k = 0; k < ly_countof(rising); k++) {
            if (rule_num_cmp(dec(rising[i]), dec(rising[k]))
                != (i < k ? -1 : i > k))
            {
                ok(false, "%s beside %s", rising[i], rising[k]);
            }
        }
    }

    ok(true, "%zu numbers in order", i);
    is_int(rule_num_strip((ly_dec_t) { 0, 5 }).scale, 0, "0 has no places");
    is_int(rule_num_strip((ly_dec_t) { 1500, 3 }).scale, 1, "1.500 has one");
    is_int(rule_num_strip((ly_dec_t) { -1000, 3 }).coef, -1, "-1.000 is -1");
    is_int(rule_num_strip(
               (ly_dec_t) { (ly_int128_t) INT64_MAX * 1000, 3 }).scale, 0,
           "beyond the short way too");
}


static void
currencies(void)
{
    size_t         i;
    unsigned char  out[3];

    static const struct {
        const char  *code;
        unsigned     places;
    } known[] = {
        { "CLF", 4 }, { "UYW", 4 }, { "LFU", 2 }, { "GBP", 2 }, { "EUR", 2 },
        { "JPY", 0 }, { "KRW", 0 }, { "BIF", 0 }, { "XPF", 0 }, { "CLP", 0 },
        { "VND", 0 }, { "ISK", 0 }, { "BHD", 3 }, { "KWD", 3 }, { "TND", 3 },
        { "JOD", 3 }, { "IFC", 2 }, { "HDI", 2 }
    };

    for (i = 0; i < ly_countof(known); i++) {
        is_int(rule_currency_places(rule_currency(ly_str_c(known[i].code))),
               known[i].places, known[i].code);
    }

    ok(rule_currency(ly_str("GBPX")) == 0 && rule_currency(ly_str("GB")) == 0
       && rule_currency(ly_str("GbP")) == 0
       && rule_currency(ly_str("@BP")) == 0
       && rule_currency(ly_str("GB[")) == 0 && rule_currency(ly_str("")) == 0,
       "what is no currency");
    is_int(rule_currency(ly_str("AZA")), 0x415a41, "the letters' ends");
    rule_currency_text(rule_currency(ly_str("EUR")), out);
    is_str(ly_str_of(out, 3), ly_str("EUR"), "and back");
}


static void
durations(void)
{
    bool             good;
    size_t           i;
    rule_duration_t  d;

    static const struct {
        const char  *text;
        bool         good;
        int32_t      months;
        int64_t      days, us;
    } list[] = {
        { "P1Y", true, 12, 0, 0 }, { "P2M", true, 2, 0, 0 },
        { "P1Y2M3W4D", true, 14, 25, 0 }, { "P3W", true, 0, 21, 0 },
        { "P1DT1H", true, 0, 1, 3600000000 },
        { "PT1H2M3S", true, 0, 0, 3723000000 },
        { "PT5M", true, 0, 0, 300000000 }, { "PT7S", true, 0, 0, 7000000 },
        { "P0D", true, 0, 0, 0 }, { "P100000D", true, 0, 100000, 0 },
        { "P100001D", false, 0, 0, 0 }, { "P99999999999999D", false, 0, 0, 0 },
        { "", false, 0, 0, 0 }, { "P", false, 0, 0, 0 },
        { "PT", false, 0, 0, 0 }, { "P1DT", false, 0, 0, 0 },
        { "1D", false, 0, 0, 0 }, { "P1", false, 0, 0, 0 },
        { "PD", false, 0, 0, 0 }, { "P1X", false, 0, 0, 0 },
        { "P1D1D", false, 0, 0, 0 }, { "P1D1W", false, 0, 0, 0 },
        { "PT1M1H", false, 0, 0, 0 }, { "PT1HT1S", false, 0, 0, 0 },
        { "PTT1S", false, 0, 0, 0 }, { "P1H", false, 0, 0, 0 },
        { "PT1D", false, 0, 0, 0 }, { "P-1D", false, 0, 0, 0 },
        { "P1.5D", false, 0, 0, 0 }, { "p1D", false, 0, 0, 0 },
        { "P1D ", false, 0, 0, 0 }, { "P/D", false, 0, 0, 0 },
        { "P:D", false, 0, 0, 0 }
    };

    for (i = 0; i < ly_countof(list); i++) {
        good = rule_duration_parse(rl_edge(ly_str_c(list[i].text)), &d);
        ok(good == list[i].good
           && (!good || (d.months == list[i].months && d.days == list[i].days
                         && d.us == list[i].us
                         && d.has_time
                         == (strchr(list[i].text, 'T') != NULL))),
           "'%s'", list[i].text);
    }
}


static void
folding(void)
{
    size_t         n, i;
    unsigned char  out[64];

    static const struct {
        const char  *text;
        const char  *folded;
    } list[] = {
        { "ABC xyz 09@[`{", "abc xyz 09@[`{" },
        { "\xc3\x80\xc3\x96\xc3\x97\xc3\x98",
          "\xc3\xa0\xc3\xb6\xc3\x97\xc3\xb8" },
        { "\xe1\xba\x9e", "\xc3\x9f" },             /* capital sharp s */
        { "\xe2\x84\xaa", "k" },                    /* kelvin */
        { "\xf0\x90\x90\x80", "\xf0\x90\x90\xa8" },  /* Deseret */
        { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
        { "\xc4\x80\xc4\x81", "\xc4\x81\xc4\x81" },  /* every second one */
        { "\xe0\xa4\x85", "\xe0\xa4\x85" }
    };

    for (i = 0; i < ly_countof(list); i++) {
        n = rule_casefold(ly_str_c(list[i].text), out);
        is_str(ly_str_of(out, n), ly_str_c(list[i].folded), "folded");
    }

    n = rule_casefold(ly_str_of("\xe2\x84", 2), out);
    ok(n <= 6, "a character that is cut stays within its room");
}


static void
written(rule_val_t *v, const rule_fact_t *f, const char *want)
{
    ly_buf_t  b;

    ly_buf_init_arena(&b, arena, 4096);
    rule_val_print(v, f, &b);
    is_str(ly_buf_view(&b), ly_str_c(want), want);
}


static void
values(void)
{
    ly_buf_t     b;
    rule_val_t   v, cells[2];
    rule_fact_t  f;
    ly_str_t     names[2];

    memset(&v, 0, sizeof(v));
    memset(&f, 0, sizeof(f));
    written(&v, NULL, "null");
    v.kind = RULE_K_INVALID;
    written(&v, NULL, "null");
    rule_set_bool(&v, true);
    written(&v, NULL, "true");
    rule_set_bool(&v, false);
    written(&v, NULL, "false");
    rule_set_int(&v, 9007199254740991);
    written(&v, NULL, "9007199254740991");
    rule_set_int(&v, 9007199254740992);
    written(&v, NULL, "\"9007199254740992\"");
    rule_set_int(&v, -9007199254740991);
    written(&v, NULL, "-9007199254740991");
    rule_set_int(&v, -9007199254740992);
    written(&v, NULL, "\"-9007199254740992\"");
    rule_set_num(&v, dec("-0.05"));
    written(&v, NULL, "\"-0.05\"");
    rule_set_num(&v, dec("0.5"));
    written(&v, NULL, "\"0.5\"");
    rule_set_num(&v, dec(NINES38));
    written(&v, NULL, "\"" NINES38 "\"");
    rule_set_num(&v, dec("-" NINES38));
    written(&v, NULL, "\"-" NINES38 "\"");
    rule_set_num(&v, dec("12.5"));
    v.kind = RULE_K_MONEY;
    written(&v, NULL, "\"12.5\"");
    v.n = rule_currency(ly_str("GBP"));
    written(&v, NULL, "\"12.5 GBP\"");
    rule_set_str(&v, ly_str("a\b\t\n\f\r\"\\\x01\x1f\x7f\xc3\xa9"));
    written(&v, NULL, "\"a\\b\\t\\n\\f\\r\\\"\\\\\\u0001\\u001f"
            "\x7f\xc3\xa9\"");
    rule_set_str(&v, ly_str(""));
    written(&v, NULL, "\"\"");
    memset(&v, 0, sizeof(v));
    v.kind = RULE_K_INSTANT;
    written(&v, NULL, "\"1970-01-01T00:00:00.000000Z\"");
    v.kind = RULE_K_DATE;
    v.u.i = 1;
    written(&v, NULL, "\"1970-01-02\"");
    v.kind = RULE_K_ENUM;
    written(&v, NULL, "1");
    names[0] = ly_str("a");
    names[1] = ly_str("b");
    f.values = names;
    f.n_values = 2;
    written(&v, &f, "\"b\"");
    v.u.i = 2;
    written(&v, &f, "2");

    memset(cells, 0, sizeof(cells));
    rule_set_int(&cells[0], 1);
    rule_set_str(&cells[1], ly_str("x"));
    memset(&v, 0, sizeof(v));
    v.kind = RULE_K_LIST;
    v.stride = 1;
    v.n = 2;
    v.u.l.cells = cells;
    written(&v, NULL, "[1,\"x\"]");
    v.n = 0;
    written(&v, NULL, "[]");
    v.n = 1;
    v.stride = 2;
    written(&v, NULL, "[]");

    ly_buf_init_arena(&b, arena, 4096);
    rule_buf_dec(&b, (ly_dec_t) { 5, 18 });
    is_str(ly_buf_view(&b), ly_str("0.000000000000000005"), "18 places");
    ok(strcmp(rule_type_name(RULE_T_MONEY), "money") == 0
       && strcmp(rule_type_name(RULE_T_LSTR + 1), "") == 0,
       "the names of types");
}


int
main(void)
{
    arena = ly_arena_create((size_t) 1 << 20, NULL);

    if (arena == NULL) {
        return 1;
    }

    texts();
    arithmetic();
    currencies();
    durations();
    folding();
    values();
    ly_arena_destroy(arena);

    return tap_done();
}
