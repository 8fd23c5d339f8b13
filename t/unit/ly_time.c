/* instants, dates, zones */

#include <stdlib.h>
#include <time.h>

#include "tap.h"
#include "fail_alloc.h"
#include "vectors.h"
#include "ly_time.h"


#define SECOND  1000000LL


static void
parsing(void)
{
    size_t         i;
    int64_t        us;
    ly_err_t       rc;
    unsigned char  text[LY_TIME_TEXT];

    static const struct {
        const char  *text;
        ly_err_t     rc;
        const char  *again;
    } cases[] = {
        { "1970-01-01T00:00:00Z", LY_OK, "1970-01-01T00:00:00.000000Z" },
        { "2010-12-01T08:26:00Z", LY_OK, "2010-12-01T08:26:00.000000Z" },
        { "2010-12-01T08:26:00.1Z", LY_OK, "2010-12-01T08:26:00.100000Z" },
        { "2010-12-01T08:26:00.123456Z", LY_OK,
          "2010-12-01T08:26:00.123456Z" },
        { "2010-12-01T08:26:00+05:30", LY_OK, "2010-12-01T02:56:00.000000Z" },
        { "2010-12-01T08:26:00.5-08:00", LY_OK,
          "2010-12-01T16:26:00.500000Z" },
        { "2010-12-01T08:26:00-00:00", LY_OK, "2010-12-01T08:26:00.000000Z" },
        { "2000-02-29T23:59:59+23:59", LY_OK, "2000-02-29T00:00:59.000000Z" },
        { "2024-02-29T00:00:00Z", LY_OK, "2024-02-29T00:00:00.000000Z" },
        { "0001-01-01T00:00:00Z", LY_OK, "0001-01-01T00:00:00.000000Z" },
        { "9999-12-31T23:59:59.999999Z", LY_OK,
          "9999-12-31T23:59:59.999999Z" },
        { "1969-12-31T23:59:59.999999Z", LY_OK,
          "1969-12-31T23:59:59.999999Z" },
        { "0001-01-01T00:00:00+00:01", LY_OVERFLOW, NULL },
        { "9999-12-31T23:59:59-00:01", LY_OVERFLOW, NULL },
        { "0000-01-01T00:00:00Z", LY_PARSE, NULL },
        { "2023-02-29T00:00:00Z", LY_PARSE, NULL },
        { "1900-02-29T00:00:00Z", LY_PARSE, NULL },
        { "2023-04-31T00:00:00Z", LY_PARSE, NULL },
        { "2023-00-01T00:00:00Z", LY_PARSE, NULL },
        { "2023-13-01T00:00:00Z", LY_PARSE, NULL },
        { "2023-01-00T00:00:00Z", LY_PARSE, NULL },
        { "2023-01-32T00:00:00Z", LY_PARSE, NULL },
        { "2023-01-01T24:00:00Z", LY_PARSE, NULL },
        { "2023-01-01T00:60:00Z", LY_PARSE, NULL },
        { "2016-12-31T23:59:60Z", LY_PARSE, NULL },
        { "2023-01-01t00:00:00Z", LY_PARSE, NULL },
        { "2023-01-01T00:00:00z", LY_PARSE, NULL },
        { "2023-01-01 00:00:00Z", LY_PARSE, NULL },
        { "2023-01-01T00:00:00", LY_PARSE, NULL },
        { "2023-01-01T00:00:00.Z", LY_PARSE, NULL },
        { "2023-01-01T00:00:00.1234567Z", LY_PARSE, NULL },
        { "2023-01-01T00:00:00,5Z", LY_PARSE, NULL },
        { "2023-01-01T00:00:00+24:00", LY_PARSE, NULL },
        { "2023-01-01T00:00:00+01:60", LY_PARSE, NULL },
        { "2023-01-01T00:00:00+0100", LY_PARSE, NULL },
        { "2023-01-01T00:00:00+01", LY_PARSE, NULL },
        { "2023-01-01T00:00:00*01:00", LY_PARSE, NULL },
        { "2023-01-01T00:00:00+01:00x", LY_PARSE, NULL },
        { "2023-01-01T00:00:00+0x:00", LY_PARSE, NULL },
        { "2023-01-01T00:00:00+01:0x", LY_PARSE, NULL },
        { "2023-01-01T00:00:00+01.00", LY_PARSE, NULL },
        { "2023-01-01T00:00:00.123", LY_PARSE, NULL },
        { "2023/01/01T00:00:00Z", LY_PARSE, NULL },
        { "2023-01/01T00:00:00Z", LY_PARSE, NULL },
        { "2023-01-01T00-00:00Z", LY_PARSE, NULL },
        { "2023-01-01T00:00-00Z", LY_PARSE, NULL },
        { "2023-01-01T0x:00:00Z", LY_PARSE, NULL },
        { "2023-01-01T00:0x:00Z", LY_PARSE, NULL },
        { "2023-01-01T00:00:0xZ", LY_PARSE, NULL },
        { "+023-01-01T00:00:00Z", LY_PARSE, NULL },
        { "12023-01-01T00:00:00Z", LY_PARSE, NULL },
        { "2023-1-1T00:00:00.00Z", LY_PARSE, NULL },
        { "", LY_PARSE, NULL }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        rc = ly_time_parse(ly_str_c(cases[i].text), &us);
        is_int(rc, cases[i].rc, cases[i].text);

        if (rc == LY_OK) {
            ly_time_print(us, text);
            is_str(ly_str_of(text, sizeof(text)), ly_str_c(cases[i].again),
                   "printed in UTC");
        }
    }

    ly_time_print(INT64_MAX, text);
    is_str(ly_str_of(text, sizeof(text)),
           ly_str("9999-12-31T23:59:59.999999Z"), "the end is the end");
    ly_time_print(INT64_MIN, text);
    is_str(ly_str_of(text, sizeof(text)),
           ly_str("0001-01-01T00:00:00.000000Z"), "so is the beginning");
}


static void
dates(void)
{
    int            year, month, day;
    int32_t        d, days, wrong, weekday;
    unsigned char  text[LY_DATE_TEXT];

    wrong = 0;
    weekday = ly_weekday(-719162);

    /* every day there is, one after the other */
    for (d = -719162, year = 1, month = 1, day = 1; d <= 2932896; d++) {
        int  y, m, dd;

        ly_civil_from_days(d, &y, &m, &dd);
        wrong += y != year || m != month || dd != day
                 || ly_days_from_civil(year, month, day) != d
                 || ly_weekday(d) != weekday;

        weekday = weekday % 7 + 1;

        if (++day > ly_month_days(year, month)) {
            day = 1;

            if (++month > 12) {
                month = 1;
                year++;
            }
        }
    }

    is_int(wrong, 0, "3,652,059 days in a row");
    is_int(ly_weekday(0), 4, "the epoch was a Thursday");
    is_int(ly_month_days(2023, 0), 0, "no month 0");
    is_int(ly_month_days(2023, 13), 0, "no month 13");

    is_int(ly_date_parse(ly_str("2024-02-29"), &days), LY_OK, "a date");
    ly_date_print(days, text);
    is_str(ly_str_of(text, sizeof(text)), ly_str("2024-02-29"), "and back");
    is_int(ly_date_parse(ly_str("2023-02-29"), &days), LY_PARSE, "no date");
    is_int(ly_date_parse(ly_str("2023-02-2"), &days), LY_PARSE, "short");
    is_int(ly_date_parse(ly_str("2023-02:20"), &days), LY_PARSE, "no hyphen");
    ly_date_print(INT32_MAX, text);
    is_str(ly_str_of(text, sizeof(text)), ly_str("9999-12-31"), "clamped");
    ly_date_print(INT32_MIN, text);
    is_str(ly_str_of(text, sizeof(text)), ly_str("0001-01-01"), "both ways");

    d = ly_days_from_civil(2024, 1, 31);
    is_int(ly_date_add_months(d, 1, &days), LY_OK, "a month later");
    is_int(days, ly_days_from_civil(2024, 2, 29), "is the last of February");
    is_int(ly_date_add_months(d, -11, &days), LY_OK, "eleven before");
    is_int(days, ly_days_from_civil(2023, 2, 28), "is that of another year");
    is_int(ly_date_add_months(d, -2024 * 12, &days), LY_OVERFLOW,
           "before year 1");
    is_int(ly_date_add_months(d, 7976 * 12, &days), LY_OVERFLOW,
           "after year 9999");
    is_int(ly_date_add_months(d, 24, &days), LY_OK, "two years later");
    is_int(days, ly_days_from_civil(2026, 1, 31), "the same day");
}


static void
civil(void)
{
    size_t      i;
    int64_t     us;
    ly_civil_t  c, bad;

    ly_civil_utc(-1, &c);
    ok(c.year == 1969 && c.month == 12 && c.day == 31 && c.hour == 23
       && c.minute == 59 && c.second == 59 && c.usec == 999999
       && c.weekday == 3 && c.yday == 365 && c.offset == 0,
       "the microsecond before the epoch");
    is_int(ly_civil_instant(&c, &us), LY_OK, "and back");
    is_int(us, -1, "again");

    for (i = 0; i < 14; i++) {
        bad = c;

        switch (i) {
        case 0: bad.year = 0; break;
        case 1: bad.year = 10000; break;
        case 2: bad.month = 0; break;
        case 3: bad.month = 13; break;
        case 4: bad.day = 0; break;
        case 5: bad.day = 32; break;
        case 6: bad.hour = -1; break;
        case 7: bad.hour = 24; break;
        case 8: bad.minute = -1; break;
        case 9: bad.minute = 60; break;
        case 10: bad.second = -1; break;
        case 11: bad.second = 60; break;
        case 12: bad.usec = -1; break;
        default: bad.usec = 1000000;
        }

        ok(ly_civil_check(&bad) == LY_PARSE
           && ly_civil_instant(&bad, &us) == LY_PARSE
           && ly_zone_instant(ly_zone_utc(), &bad, &us) == LY_PARSE,
           "field out of range %zu", i);
    }
}


/* a TZif file made by hand */
typedef struct {
    unsigned char  bytes[4096];
    size_t         len;
} tzif_t;


static void
tzif_head(tzif_t *t, unsigned char version, uint32_t times, uint32_t types,
    uint32_t chars, uint32_t leaps)
{
    memset(t->bytes + t->len, 0, 44);
    memcpy(t->bytes + t->len, "TZif", 4);
    t->bytes[t->len + 4] = version;
    ly_be32_put(t->bytes + t->len + 28, leaps);
    ly_be32_put(t->bytes + t->len + 32, times);
    ly_be32_put(t->bytes + t->len + 36, types);
    ly_be32_put(t->bytes + t->len + 40, chars);
    t->len += 44;
}


static void
tzif_put(tzif_t *t, const void *data, size_t len)
{
    memcpy(t->bytes + t->len, data, len);
    t->len += len;
}


static void
tzif_type(tzif_t *t, int32_t offset)
{
    unsigned char  b[6];

    ly_be32_put(b, (uint32_t) offset);
    b[4] = 0;
    b[5] = 0;
    tzif_put(t, b, 6);
}


/* version 2 with n transitions to the second type, and a footer */
static void
tzif_make(tzif_t *t, const int64_t *at, uint32_t n, const char *footer)
{
    uint32_t       i;
    unsigned char  b[8];

    t->len = 0;
    tzif_head(t, '2', 0, 1, 1, 0);
    tzif_type(t, 0);
    tzif_put(t, "", 1);

    tzif_head(t, '2', n, 2, 4, 0);

    for (i = 0; i < n; i++) {
        ly_be64_put(b, (uint64_t) at[i]);
        tzif_put(t, b, 8);
    }

    for (i = 0; i < n; i++) {
        tzif_put(t, i % 2 == 0 ? "\1" : "\0", 1);
    }

    tzif_type(t, -3600);
    tzif_type(t, 7200);
    tzif_put(t, "ABC", 4);
    tzif_put(t, "\n", 1);
    tzif_put(t, footer, strlen(footer));
    tzif_put(t, "\n", 1);
}


static ly_err_t
tzif_parse(ly_arena_t *a, const tzif_t *t, ly_zone_t **zone)
{
    ly_err_t        rc;
    unsigned char  *exact;

    /* exactly as long as it is, for the sanitizer */
    exact = malloc(t->len);
    memcpy(exact, t->bytes, t->len);
    rc = ly_zone_parse(a, ly_str_of(exact, t->len), zone);
    free(exact);

    return rc;
}


static void
footers(void)
{
    size_t       i;
    tzif_t       t;
    ly_arena_t  *a;
    ly_zone_t   *zone;

    static const struct {
        const char  *text;
        ly_err_t     rc;
    } cases[] = {
        { "", LY_OK },
        { "UTC0", LY_OK },
        { "<+0330>-3:30", LY_OK },
        { "CET-1CEST,M3.5.0,M10.5.0/3", LY_OK },
        { "EST5EDT,M3.2.0,M11.1.0", LY_OK },
        { "AAA3BBB2,J1/0,J365/25", LY_OK },
        { "AAA3BBB2:30:15,0/-1,365/167:59:59", LY_OK },
        { "AAA+3BBB+2,M1.1.1/+2,M2.2.2", LY_OK },
        { "AAA24", LY_OK },
        { "AAA", LY_PARSE },
        { "AA0", LY_PARSE },
        { "<AB>0", LY_PARSE },
        { "<ABC0", LY_PARSE },
        { "1234", LY_PARSE },
        { "AAA25", LY_PARSE },
        { "AAA1:60", LY_PARSE },
        { "AAA1:2:60", LY_PARSE },
        { "AAA1:", LY_PARSE },
        { "AAA0BB", LY_PARSE },
        { "AAA0BBB", LY_PARSE },
        { "AAA0BBB99,M1.1.1,M2.2.2", LY_PARSE },
        { "AAA0BBB,M1.1.1", LY_PARSE },
        { "AAA0BBB,M0.1.1,M2.2.2", LY_PARSE },
        { "AAA0BBB,M13.1.1,M2.2.2", LY_PARSE },
        { "AAA0BBB,M1.0.1,M2.2.2", LY_PARSE },
        { "AAA0BBB,M1.6.1,M2.2.2", LY_PARSE },
        { "AAA0BBB,M1.1.7,M2.2.2", LY_PARSE },
        { "AAA0BBB,M1-1.1,M2.2.2", LY_PARSE },
        { "AAA0BBB,M1.1-1,M2.2.2", LY_PARSE },
        { "AAA0BBB,J0,M2.2.2", LY_PARSE },
        { "AAA0BBB,J366,M2.2.2", LY_PARSE },
        { "AAA0BBB,366,M2.2.2", LY_PARSE },
        { "AAA0BBB,x,M2.2.2", LY_PARSE },
        { "AA{0", LY_PARSE },
        { "AAA0BBB,J10,J300", LY_OK },
        { "AAA0BBB,M1.1.1/168,M2.2.2", LY_PARSE },
        { "AAA0BBB,M1.1.1,M2.2.2x", LY_PARSE },
        { "AAA0BBB,M1.1.1,M2.2.2,", LY_PARSE }
    };

    a = ly_arena_create(1 << 16, NULL);

    for (i = 0; i < ly_countof(cases); i++) {
        tzif_make(&t, NULL, 0, cases[i].text);
        is_int(tzif_parse(a, &t, &zone), cases[i].rc, cases[i].text);
        ly_arena_reset(a);
    }

    ly_arena_destroy(a);
}


static void
zones(void)
{
    tzif_t       t;
    int64_t      us, at[4];
    ly_civil_t   c;
    ly_arena_t  *a;
    ly_zone_t   *zone;

    a = ly_arena_create(1 << 16, NULL);

    /* transitions: -1 h before 1000 s, then +2 h, then -1 h from 500,000 s */
    at[0] = 1000;
    at[1] = 500000;
    tzif_make(&t, at, 2, "");
    is_int(tzif_parse(a, &t, &zone), LY_OK, "two transitions");
    is_int(ly_zone_offset(zone, 999 * SECOND), -3600, "before the first");
    is_int(ly_zone_offset(zone, 1000 * SECOND), 7200, "at it");
    is_int(ly_zone_offset(zone, 500000 * SECOND - 1), 7200, "before the next");
    is_int(ly_zone_offset(zone, 500000 * SECOND), -3600, "at the last");
    is_int(ly_zone_offset(zone, LY_TIME_MAX), -3600, "for ever");
    is_int(ly_zone_offset(zone, INT64_MIN), -3600, "and from ever");

    /* local -2600..8199 s are skipped by the first change */
    ly_civil_utc(3000 * SECOND + 7, &c);
    is_int(ly_zone_instant(zone, &c, &us), LY_OK, "a time that is skipped");
    is_int(us, 6600 * SECOND + 7, "has the offset before");
    ly_zone_civil(zone, us, &c);
    is_int(c.offset, 7200, "and is shown with the one behind");
    is_int(c.hour, 3, "three hours later");

    /* local 496400..507199 s come twice */
    ly_civil_utc(500000 * SECOND, &c);
    is_int(ly_zone_instant(zone, &c, &us), LY_OK, "a time that comes twice");
    is_int(us, 492800 * SECOND, "is the first");

    ly_civil_utc(510000 * SECOND, &c);
    is_int(ly_zone_instant(zone, &c, &us), LY_OK, "a time behind");
    is_int(us, 513600 * SECOND, "has the later offset");

    is_int(ly_zone_day_start(zone, 2, &us), LY_OK, "a day");
    is_int(us, (2 * 86400 - 7200) * SECOND, "begins at its midnight");

    ly_civil_utc(LY_TIME_MAX, &c);
    is_int(ly_zone_instant(zone, &c, &us), LY_OVERFLOW, "past the end");
    ly_zone_civil(zone, LY_TIME_MIN, &c);
    is_int(c.year, 1, "clamped at the beginning");

    /* all the year summer time, as RFC 8536 writes it */
    tzif_make(&t, NULL, 0, "XXX3EDT4,0/0,J365/23");
    is_int(tzif_parse(a, &t, &zone), LY_OK, "summer time all the year");
    is_int(ly_zone_offset(zone, 0), -14400, "on new year's day");
    is_int(ly_zone_offset(zone, 15000000LL * SECOND), -14400, "in summer");
    is_int(ly_zone_offset(zone, 1483228800LL * SECOND), -14400,
           "at the end of a leap year");

    tzif_make(&t, NULL, 0, "AAA0BBB,J60/0,J61/0");
    is_int(tzif_parse(a, &t, &zone), LY_OK, "one day of summer");
    is_int(ly_zone_offset(zone, (ly_days_from_civil(2024, 3, 1) * 86400LL
                                 + 3600) * SECOND), 3600,
           "the 60th without a leap day");
    is_int(ly_zone_offset(zone, (ly_days_from_civil(2024, 2, 29) * 86400LL
                                 + 3600) * SECOND), 0, "not the leap day");

    is_int(ly_zone_offset(ly_zone_utc(), 12345), 0, "UTC");
    ly_zone_civil(ly_zone_utc(), 0, &c);
    is_int(c.year, 1970, "needs no file");

    ly_arena_destroy(a);
}


static void
refused(void)
{
    size_t        i, cut;
    tzif_t        t, whole;
    int64_t       at[2];
    ly_arena_t   *a;
    ly_zone_t    *zone;

    static unsigned char  large[LY_ZONE_MAX + 1];

    a = ly_arena_create(1 << 18, NULL);
    at[0] = 1;
    at[1] = 2;
    tzif_make(&whole, at, 2, "UTC0");
    is_int(tzif_parse(a, &whole, &zone), LY_OK, "whole");

    cut = 0;

    for (i = 0; i < whole.len; i++) {
        t = whole;
        t.len = i;
        ly_arena_reset(a);
        cut += tzif_parse(a, &t, &zone) == LY_PARSE;
    }

    is_int(cut, whole.len, "refused at every cut");

    t = whole;
    t.bytes[4] = '5';
    is_int(tzif_parse(a, &t, &zone), LY_PARSE, "an unknown version");
    t = whole;
    t.bytes[0] = 'X';
    is_int(tzif_parse(a, &t, &zone), LY_PARSE, "other magic");
    t = whole;
    t.bytes[51 + 4] = 0;
    is_int(tzif_parse(a, &t, &zone), LY_PARSE, "version 1 in the second");

    at[1] = 1;
    tzif_make(&t, at, 2, "UTC0");
    is_int(tzif_parse(a, &t, &zone), LY_PARSE, "transitions not in order");
    at[1] = 2;

    for (i = 20; i <= 40; i += 4) {
        t = whole;
        ly_be32_put(t.bytes + i, 0x00ffffff);
        is_int(tzif_parse(a, &t, &zone), LY_PARSE, "a count past all bounds");
    }

    /* a type that does not exist: behind two times of eight bytes */
    t = whole;
    t.bytes[51 + 44 + 16] = 2;
    is_int(tzif_parse(a, &t, &zone), LY_PARSE, "a type past the last");

    t.len = 0;
    tzif_head(&t, 0, 0, 1, 1, 0);
    tzif_type(&t, 200000);
    tzif_put(&t, "", 1);
    is_int(tzif_parse(a, &t, &zone), LY_PARSE, "an offset of two days");

    t.len = 0;
    tzif_head(&t, 0, 0, 1, 1, 0);
    tzif_type(&t, -200000);
    tzif_put(&t, "", 1);
    is_int(tzif_parse(a, &t, &zone), LY_PARSE, "westward too");

    t.len = 0;
    tzif_head(&t, 0, 0, 1, 1, 1);
    tzif_type(&t, 0);
    tzif_put(&t, "\0\0\0\0\0\0\0\0\0", 9);
    is_int(tzif_parse(a, &t, &zone), LY_PARSE, "leap seconds");

    t.len = 0;
    tzif_head(&t, 0, 0, 0, 1, 0);
    tzif_put(&t, "", 1);
    is_int(tzif_parse(a, &t, &zone), LY_PARSE, "no type");

    t.len = 0;
    tzif_head(&t, 0, 0, 1, 0, 0);
    tzif_type(&t, 0);
    is_int(tzif_parse(a, &t, &zone), LY_PARSE, "no name");

    t.len = 0;
    tzif_head(&t, 0, 1, 1, 1, 0);
    tzif_put(&t, "\xff\xff\xff\xff\0", 5);
    tzif_type(&t, 3600);
    tzif_put(&t, "", 1);
    is_int(tzif_parse(a, &t, &zone), LY_OK, "version 1");
    is_int(ly_zone_offset(zone, 0), 3600, "its offset");
    t.bytes[4] = '1';
    is_int(tzif_parse(a, &t, &zone), LY_PARSE, "a version that is none");
    t.bytes[4] = '\0';
    tzif_put(&t, "x", 1);
    is_int(tzif_parse(a, &t, &zone), LY_PARSE, "and something behind");

    tzif_make(&t, NULL, 0, "AAA0BBB,J10,J300");
    is_int(tzif_parse(a, &t, &zone), LY_OK, "days of a year without the 29th");
    is_int(ly_zone_offset(zone, 5 * 86400 * SECOND), 0, "before the first");
    is_int(ly_zone_offset(zone, 100 * 86400 * SECOND), 3600, "behind it");

    tzif_make(&t, NULL, 0, "");
    is_int(tzif_parse(a, &t, &zone), LY_OK, "no change at all");
    is_int(ly_zone_offset(zone, 0), -3600, "has one offset");

    is_int(ly_zone_parse(a, ly_str_of(large, sizeof(large)), &zone), LY_LIMIT,
           "too large");

    ly_arena_destroy(a);
}


/* memory: the cap met at every step */
static void
memory(void)
{
    size_t       cap, refusals;
    tzif_t       t;
    int64_t      at[100];
    ly_err_t     rc;
    ly_arena_t  *a;
    ly_zone_t   *zone;

    for (cap = 0; cap < 100; cap++) {
        at[cap] = (int64_t) cap * 1000;
    }

    tzif_make(&t, at, 100, "UTC0");
    refusals = 0;

    for (cap = LY_ARENA_MIN; cap < 3000; cap += 16) {
        a = ly_arena_create(cap, NULL);
        rc = tzif_parse(a, &t, &zone);
        refusals += rc == LY_NOMEM;

        if (rc != LY_OK && rc != LY_NOMEM) {
            ok(false, "cap %zu", cap);
        }

        ly_arena_destroy(a);
    }

    ok(refusals > 10 && refusals < 120, "%zu caps were too small", refusals);
}


/*
 * Two centuries of a zone, read from the same file by the C library: what will
 * be law some day is known to neither, so no answer is kept in a file.
 */
static void
library(const ly_zone_t *zone, const char *name)
{
    time_t     t;
    unsigned   wrong;
    struct tm  tm;

    (void) setenv("TZ", name, 1);
    tzset();

    wrong = 0;

    /* a prime step meets every month, weekday and hour */
    for (t = 0; t < 7258118400; t += 1000003) {
        if (localtime_r(&t, &tm) == NULL) {
            abort();
        }

        if (ly_zone_offset(zone, (int64_t) t * SECOND) != tm.tm_gmtoff) {
            if (wrong++ == 0) {
                printf("#   at %lld\n", (long long) t);
            }
        }
    }

    ok(wrong == 0, "as the C library until 2200");

    (void) unsetenv("TZ");
    tzset();
}


/*
 * The system's own zones against another implementation's answers.  These end
 * with 2024: a release of the tz database changes what lies ahead.
 */
static void
tzdata(void)
{
    char                   path[256];
    size_t                 n, wrong;
    int64_t                us, want, got;
    ly_str_t               bytes;
    ly_zone_t             *zone;
    ly_arena_t            *a;
    ly_civil_t             c;
    const ly_json_node_t  *root, *row, *pair;

    a = ly_arena_create(8 << 20, NULL);
    root = vec_ours(a, "zones.json");

    for (row = root == NULL ? NULL : root->first; row != NULL;
         row = row->next)
    {
        (void) snprintf(path, sizeof(path), "/usr/share/zoneinfo/%.*s",
                        (int) row->first->text.len, row->first->text.data);

        if (!vec_file(a, path, &bytes)) {
            tap_skip("the tz database is not installed");
            continue;
        }

        if (!ok(ly_zone_parse(a, bytes, &zone) == LY_OK, "%s", path + 20)) {
            continue;
        }

        n = 0;
        wrong = 0;

        for (pair = ly_json_at(row, 1)->first; pair != NULL;
             pair = pair->next)
        {
            if (ly_json_int64(pair->first, &us) != LY_OK
                || ly_json_int64(pair->first->next, &want) != LY_OK)
            {
                abort();
            }

            n++;
            wrong += ly_zone_offset(zone, us * SECOND) != want;
        }

        ok(n == 40 && wrong == 0, "offsets of %zu instants", n);

        n = 0;
        wrong = 0;

        for (pair = ly_json_at(row, 2)->first; pair != NULL;
             pair = pair->next)
        {
            if (ly_time_parse(pair->first->text, &us) != LY_OK
                || ly_json_int64(pair->first->next, &want) != LY_OK)
            {
                abort();
            }

            ly_civil_utc(us, &c);
            n++;

            if (ly_zone_instant(zone, &c, &got) != LY_OK
                || got != want * SECOND)
            {
                wrong++;
                tap_show("local", pair->first->text);
                printf("#   got %lld want %lld\n", (long long) got,
                       (long long) (want * SECOND));
            }
        }

        ok(n == 30 && wrong == 0, "instants of %zu local times", n);

        library(zone, path + 20);
    }

    ly_arena_destroy(a);
}


int
main(void)
{
    parsing();
    dates();
    civil();
    footers();
    zones();
    refused();
    memory();
    tzdata();

    return tap_done();
}
