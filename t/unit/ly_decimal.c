/* exact decimals and shares against vectors of another implementation */

#include "tap.h"
#include "fail_alloc.h"
#include "vectors.h"
#include "ly_decimal.h"
#include "ly_share.h"
#include "ly_wide.h"


static ly_dec_t
dec(ly_str_t text)
{
    ly_dec_t  d;

    if (ly_dec_parse(text, LY_DEC_SCALE_MAX, &d) != LY_OK) {
        tap_show("no decimal", text);
        abort();
    }

    return d;
}


static ly_err_t
operate(ly_str_t op, ly_dec_t a, ly_dec_t b, unsigned scale, ly_round_e mode,
    ly_str_t *out)
{
    int64_t   v;
    ly_err_t  rc;
    ly_dec_t  d;

    static unsigned char  text[LY_DEC_TEXT];

    d.coef = 0;
    d.scale = 0;

    if (ly_str_eq(op, ly_str("cmp"))) {
        *out = ly_str_of(text, ly_int64_print(ly_dec_cmp(a, b), text));
        return LY_OK;
    }

    if (ly_str_eq(op, ly_str("int64"))) {
        rc = ly_dec_int64(a, mode, &v);

        if (rc == LY_OK) {
            *out = ly_str_of(text, ly_int64_print(v, text));
        }

        return rc;
    }

    if (ly_str_eq(op, ly_str("add"))) {
        rc = ly_dec_add(a, b, &d);

    } else if (ly_str_eq(op, ly_str("sub"))) {
        rc = ly_dec_sub(a, b, &d);

    } else if (ly_str_eq(op, ly_str("mul"))) {
        rc = ly_dec_mul(a, b, scale, mode, &d);

    } else if (ly_str_eq(op, ly_str("mul_exact"))) {
        rc = ly_dec_mul_exact(a, b, &d);

    } else if (ly_str_eq(op, ly_str("div"))) {
        rc = ly_dec_div(a, b, scale, mode, &d);

    } else if (ly_str_eq(op, ly_str("mod"))) {
        rc = ly_dec_mod(a, b, &d);

    } else {
        rc = ly_dec_rescale(a, scale, mode, &d);
    }

    *out = ly_str_of(text, ly_dec_print(d, text));

    return rc;
}


static void
vectors(void)
{
    size_t                 n, wrong;
    int64_t                scale;
    ly_err_t               rc, want;
    ly_str_t               op, got;
    ly_arena_t            *a;
    ly_round_e             mode;
    const ly_json_node_t  *root, *row, *result;

    a = ly_arena_create(32 << 20, NULL);
    root = vec_ours(a, "decimal.json");
    n = 0;
    wrong = 0;

    for (row = root == NULL ? NULL : root->first; row != NULL;
         row = row->next)
    {
        op = ly_json_at(row, 0)->text;
        result = ly_json_at(row, 5);

        if (ly_json_int64(ly_json_at(row, 3), &scale) != LY_OK
            || ly_round_parse(ly_json_at(row, 4)->text, &mode) != LY_OK)
        {
            abort();
        }

        want = result->type == LY_JSON_NULL ? LY_OVERFLOW
               : ly_str_eq(result->text, ly_str("denied")) ? LY_DENIED
               : LY_OK;

        rc = operate(op, dec(ly_json_at(row, 1)->text),
                     dec(ly_json_at(row, 2)->text), (unsigned) scale, mode,
                     &got);
        n++;

        if (rc != want || (rc == LY_OK && !ly_str_eq(got, result->text))) {
            wrong++;
            printf("# row %zu %s\n", n, ly_err_name(rc));
            tap_show("op  ", op);
            tap_show("a   ", ly_json_at(row, 1)->text);
            tap_show("b   ", ly_json_at(row, 2)->text);
            tap_show("got ", got);
            tap_show("want", result->text);
        }
    }

    ok(n > 500 && wrong == 0, "%zu operations, %zu differ", n, wrong);
    ly_arena_destroy(a);
}


static void
parsing(void)
{
    size_t         i;
    ly_err_t       rc;
    ly_dec_t       d;
    unsigned char  text[LY_DEC_TEXT];

    static const struct {
        const char  *text;
        unsigned     scale;
        ly_err_t     rc;
    } cases[] = {
        { "0", 6, LY_OK },
        { "0.0", 6, LY_OK },
        { "2.55", 6, LY_OK },
        { "-2.55", 6, LY_OK },
        { "0.000001", 6, LY_OK },
        { "10", 0, LY_OK },
        { "99999999999999999999999999999999999999", 0, LY_OK },
        { "-99999999999999999999.999999999999999999", 18, LY_OK },
        { "100000000000000000000000000000000000000", 0, LY_OVERFLOW },
        { "999999999999999999999999999999999999999999999", 6, LY_OVERFLOW },
        { "99999999999999999999999999999999999999.1", 6, LY_OVERFLOW },
        { "0.0000001", 6, LY_PARSE },
        { "0.0000000000000000001", 18, LY_PARSE },
        { "0.0000000000000000001", 99, LY_PARSE },
        { "1.5", 0, LY_PARSE },
        { "", 6, LY_PARSE },
        { "-", 6, LY_PARSE },
        { "+1", 6, LY_PARSE },
        { ".5", 6, LY_PARSE },
        { "5.", 6, LY_PARSE },
        { "-.5", 6, LY_PARSE },
        { "00", 6, LY_PARSE },
        { "01.5", 6, LY_PARSE },
        { "-01", 6, LY_PARSE },
        { "1e3", 6, LY_PARSE },
        { "1.2.3", 6, LY_PARSE },
        { "1,5", 6, LY_PARSE },
        { " 1", 6, LY_PARSE },
        { "1 ", 6, LY_PARSE },
        { "NaN", 6, LY_PARSE },
        { "1-", 6, LY_PARSE },
        { "999999999999999999999999999999999999999999999x", 6, LY_PARSE }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        rc = ly_dec_parse(ly_str_c(cases[i].text), cases[i].scale, &d);
        is_int(rc, cases[i].rc, cases[i].text);

        if (rc == LY_OK) {
            is_str(ly_str_of(text, ly_dec_print(d, text)),
                   ly_str_c(cases[i].text), "printed again");
        }
    }

    is_int(ly_dec_parse(ly_str("-0.00"), 6, &d), LY_OK, "minus zero");
    is_str(ly_str_of(text, ly_dec_print(d, text)), ly_str("0.00"),
           "has no sign");
    is_int(ly_dec_sign(d), 0, "in no way");
}


static void
small(void)
{
    int64_t        v;
    ly_dec_t       d, max;
    ly_round_e     mode;
    unsigned char  text[LY_DEC_TEXT];

    d = ly_dec_scaled(1999, 2);
    is_str(ly_str_of(text, ly_dec_print(d, text)), ly_str("19.99"),
           "minor units");
    is_str(ly_str_of(text, ly_dec_print(ly_dec_neg(d), text)),
           ly_str("-19.99"), "negated");
    is_int(ly_dec_sign(d), 1, "positive");
    is_int(ly_dec_sign(ly_dec_neg(d)), -1, "negative");

    d = ly_dec_strip(ly_dec_scaled(-2500, 3));
    is_str(ly_str_of(text, ly_dec_print(d, text)), ly_str("-2.5"),
           "stripped");
    d = ly_dec_strip(ly_dec_scaled(0, 3));
    is_int(d.scale, 0, "zero needs no place");

    is_int(ly_dec_int64(ly_dec_int(INT64_MIN), LY_ROUND_FLOOR, &v), LY_OK,
           "the least integer");
    ok(v == INT64_MIN, "exactly");
    is_int(ly_dec_int64(dec(ly_str("9223372036854775807.5")),
                        LY_ROUND_HALF_UP, &v), LY_OVERFLOW, "rounded past");
    is_int(ly_dec_int64(dec(ly_str("-9223372036854775808.5")),
                        LY_ROUND_FLOOR, &v), LY_OVERFLOW, "below");
    is_int(ly_dec_int64(dec(ly_str("-9223372036854775808.5")),
                        LY_ROUND_CEIL, &v), LY_OK, "and not");

    /* what doubles get wrong */
    is_int(ly_dec_mul(dec(ly_str("1.15")), dec(ly_str("100")), 0,
                      LY_ROUND_FLOOR, &d), LY_OK, "1.15 * 100");
    ok(d.coef == 115, "is 115");

    max = dec(ly_str("99999999999999999999999999999999999999"));
    is_int(ly_dec_add(max, max, &d), LY_OVERFLOW, "twice the largest");
    is_int(ly_dec_sub(ly_dec_neg(max), max, &d), LY_OVERFLOW,
           "twice the least");
    is_int(ly_dec_add(max, ly_dec_neg(max), &d), LY_OK, "and none of it");
    ok(d.coef == 0, "is zero");

    is_int(ly_round_parse(ly_str("half_even"), &mode), LY_OK, "a mode");
    is_str(ly_str_c(ly_round_name(mode)), ly_str("half_even"), "its name");
    is_int(ly_round_parse(ly_str("up"), &mode), LY_PARSE, "no mode");
    is_str(ly_str_c(ly_round_name((ly_round_e) 9)), ly_str("unknown"),
           "no name");
}


/* identities of 256-bit arithmetic over numbers of many shapes */
static void
wide(void)
{
    size_t        i, j, wrong;
    uint64_t      seed;
    ly_wide_t     p, q, rem, back;
    ly_uint128_t  n[24];

    seed = 7;

    for (i = 0; i < ly_countof(n); i++) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        n[i] = seed;
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        n[i] = n[i] << 64 | seed;
        n[i] >>= i * 5;
        n[i] += n[i] == 0;
    }

    n[0] = ~(ly_uint128_t) 0;
    n[1] = (ly_uint128_t) 1 << 127;
    wrong = 0;

    for (i = 0; i < ly_countof(n); i++) {
        for (j = 0; j < ly_countof(n); j++) {

            /* (a * b + r) / b = a rest r, r < b */
            p = ly_wide_mul(n[i], n[j]);
            back = p;
            back.lo += n[j] - 1;
            back.hi += back.lo < p.lo;

            q = ly_wide_div(back, (ly_wide_t) { 0, n[j] }, &rem);
            wrong += q.hi != 0 || q.lo != n[i] || rem.hi != 0
                     || rem.lo != n[j] - 1;

            /* by the product itself */
            q = ly_wide_div(p, p, &rem);
            wrong += q.hi != 0 || q.lo != 1 || rem.hi != 0 || rem.lo != 0;

            q = ly_wide_div((ly_wide_t) { 0, n[i] }, p, &rem);
            wrong += n[j] > 1 && (q.lo != 0 || rem.lo != n[i]);
        }
    }

    is_int(wrong, 0, "products divide back");
    ok(ly_wide_pow10(38) == ly_wide_pow10(19) * ly_wide_pow10(19),
       "powers of ten");
    is_int(ly_wide_cmp((ly_wide_t) { 1, 0 }, (ly_wide_t) { 0, 9 }), 1,
           "the high half counts first");
}


static void
shares(void)
{
    size_t                 n, rows, wrong;
    int64_t                total, sum, want, out[64];
    ly_dec_t               weights[64];
    ly_arena_t            *a, *scratch;
    const ly_json_node_t  *root, *row, *node;

    a = ly_arena_create(32 << 20, NULL);
    scratch = ly_arena_create(1 << 20, NULL);
    root = vec_ours(a, "share.json");
    rows = 0;
    wrong = 0;

    for (row = root == NULL ? NULL : root->first; row != NULL;
         row = row->next)
    {
        if (ly_int64_parse(row->first->text, &total) != LY_OK) {
            abort();
        }

        n = 0;

        for (node = ly_json_at(row, 1)->first; node != NULL;
             node = node->next)
        {
            weights[n++] = dec(node->text);
        }

        rows++;
        ly_arena_reset(scratch);

        if (ly_share_split(total, weights, n, out, scratch) != LY_OK) {
            wrong++;
            continue;
        }

        n = 0;
        sum = 0;

        for (node = ly_json_at(row, 2)->first; node != NULL;
             node = node->next)
        {
            if (ly_int64_parse(node->text, &want) != LY_OK) {
                abort();
            }

            wrong += want != out[n];
            sum = (int64_t) ((uint64_t) sum + (uint64_t) out[n++]);
        }

        wrong += sum != total;
    }

    ok(rows > 200 && wrong == 0, "%zu splits", rows);

    weights[0] = ly_dec_int(1);
    weights[1] = ly_dec_int(-1);
    is_int(ly_share_split(5, weights, 2, out, scratch), LY_DENIED,
           "a negative weight");
    is_int(ly_share_split(5, weights, 0, out, scratch), LY_LIMIT, "no weight");
    is_int(ly_share_split(5, weights, LY_SHARE_MAX + 1, out, scratch),
           LY_LIMIT, "too many");

    weights[0] = dec(ly_str("99999999999999999999999999999999999999"));
    weights[1] = weights[0];
    weights[2] = weights[0];
    weights[3] = weights[0];
    is_int(ly_share_split(5, weights, 4, out, scratch), LY_OVERFLOW,
           "a sum past 128 bits");
    weights[1] = dec(ly_str("0.000000000000000001"));
    is_int(ly_share_split(5, weights, 2, out, scratch), LY_OVERFLOW,
           "scales too far apart");

    weights[0] = ly_dec_int(0);
    weights[1] = ly_dec_scaled(0, 2);
    weights[2] = ly_dec_int(0);
    is_int(ly_share_split(-5, weights, 3, out, scratch), LY_OK,
           "all weights zero");
    ok(out[0] == -2 && out[1] == -2 && out[2] == -1, "count alike");

    /* INT64_MIN, where all but the last unit goes to one */
    weights[0] = dec(ly_str("9999999999999999999999999999999999999"));
    weights[1] = ly_dec_int(1);
    is_int(ly_share_split(INT64_MIN, weights, 2, out, scratch), LY_OK,
           "the least total");
    ok(out[0] == INT64_MIN && out[1] == 0, "goes to the one");

    ly_arena_destroy(scratch);
    ly_arena_destroy(a);
}


static void
share_memory(void)
{
    size_t       i, cap, refused;
    int64_t      out[32];
    ly_err_t     rc;
    ly_dec_t     weights[32];
    ly_arena_t  *a;

    for (i = 0; i < 32; i++) {
        weights[i] = ly_dec_int((int64_t) i);
    }

    refused = 0;

    for (cap = LY_ARENA_MIN; cap < 4096; cap += 32) {
        a = ly_arena_create(cap, NULL);
        rc = ly_share_split(100, weights, 32, out, a);

        if (rc != LY_OK && rc != LY_NOMEM) {
            ok(false, "cap %zu", cap);
        }

        refused += rc == LY_NOMEM;
        ly_arena_destroy(a);
    }

    ok(refused > 3 && refused < 90, "%zu caps were too small", refused);
}


static void
parts(void)
{
    int64_t   v, taken, k, points;
    ly_dec_t  d;

    is_int(ly_dec_div(ly_dec_int(1), ly_dec_int(0), 0, LY_ROUND_FLOOR, &d),
           LY_DENIED, "one by nothing");
    is_int(ly_share_part(100, dec(ly_str("1")), dec(ly_str("3")), &v), LY_OK,
           "a third");
    is_int(v, 33, "rounded down");
    is_int(ly_share_part(100, dec(ly_str("3.0")), dec(ly_str("3")), &v),
           LY_OK, "all");
    is_int(v, 100, "of it");
    is_int(ly_share_part(100, dec(ly_str("0")), dec(ly_str("3")), &v), LY_OK,
           "nothing");
    is_int(v, 0, "of it");
    is_int(ly_share_part(INT64_MAX,
                         dec(ly_str("99999999999999999999999999999999999998")),
                         dec(ly_str("99999999999999999999999999999999999999")),
                         &v), LY_OK, "largest numbers");
    ok(v == INT64_MAX - 1, "exact");
    is_int(ly_share_part(INT64_MAX, dec(ly_str("1234567890123456789")),
                         dec(ly_str("1234567890123456789.000000000000000000")),
                         &v), LY_OK, "scales apart");
    ok(v == INT64_MAX, "all of it");

    is_int(ly_share_part(-1, dec(ly_str("1")), dec(ly_str("3")), &v),
           LY_DENIED, "a negative total");
    is_int(ly_share_part(1, dec(ly_str("-1")), dec(ly_str("3")), &v),
           LY_DENIED, "a negative part");
    is_int(ly_share_part(1, dec(ly_str("4")), dec(ly_str("3")), &v),
           LY_DENIED, "more than the whole");
    is_int(ly_share_part(1, dec(ly_str("0")), dec(ly_str("0")), &v),
           LY_DENIED, "of nothing");

    /* refunding one by one takes exactly what was booked */
    points = 139;
    taken = 0;

    for (k = 1; k <= 6; k++) {
        if (ly_share_part(points, ly_dec_int(k), ly_dec_int(6), &v) != LY_OK
            || v < taken)
        {
            ok(false, "refund %d", (int) k);
        }

        taken = v;
    }

    is_int(taken, points, "any split of refunds sums to the same");
}


int
main(void)
{
    parsing();
    small();
    wide();
    vectors();
    shares();
    share_memory();
    parts();

    return tap_done();
}
