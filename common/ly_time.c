#include <string.h>

#include "ly_time.h"
#include "ly_banned.h"


#define LY_TIME_SECOND  1000000LL

/* days from 0000-03-01, where the cycles below begin, to 1970-01-01 */
#define LY_DAYS_EPOCH   719468
#define LY_DAYS_ERA     146097      /* in 400 years */

#define LY_DATE_MIN     (-719162)   /* 0001-01-01 */
#define LY_DATE_MAX     2932896     /* 9999-12-31 */


bool
ly_leap_year(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}


int
ly_month_days(int year, int month)
{
    static const unsigned char  days[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    if (month < 1 || month > 12) {
        return 0;
    }

    return days[month - 1] + (month == 2 && ly_leap_year(year));
}


/* the year is counted from March, so that the leap day is its last */
int32_t
ly_days_from_civil(int year, int month, int day)
{
    int64_t  y, era, yoe, doy;

    y = (int64_t) year - (month <= 2);
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = y - era * 400;
    doy = (153 * ((int64_t) month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return (int32_t) (era * LY_DAYS_ERA + yoe * 365 + yoe / 4 - yoe / 100 + doy
                      - LY_DAYS_EPOCH);
}


void
ly_civil_from_days(int32_t days, int *year, int *month, int *day)
{
    int64_t  z, era, doe, yoe, doy, mp;

    z = (int64_t) days + LY_DAYS_EPOCH;
    era = (z >= 0 ? z : z - (LY_DAYS_ERA - 1)) / LY_DAYS_ERA;
    doe = z - era * LY_DAYS_ERA;
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;

    *day = (int) (doy - (153 * mp + 2) / 5 + 1);
    *month = (int) (mp < 10 ? mp + 3 : mp - 9);
    *year = (int) (yoe + era * 400 + (*month <= 2));
}


int
ly_weekday(int32_t days)
{
    int64_t  n;

    /* 1970-01-01 was a Thursday */
    n = ((int64_t) days + 3) % 7;

    return (int) (n < 0 ? n + 7 : n) + 1;
}


ly_err_t
ly_civil_check(const ly_civil_t *c)
{
    if (c->year < 1 || c->year > 9999 || c->month < 1 || c->month > 12
        || c->day < 1 || c->day > ly_month_days(c->year, c->month)
        || c->hour < 0 || c->hour > 23 || c->minute < 0 || c->minute > 59
        || c->second < 0 || c->second > 59
        || c->usec < 0 || c->usec > 999999)
    {
        return LY_PARSE;
    }

    return LY_OK;
}


static int64_t
ly_time_clamp(int64_t us)
{
    us = us < LY_TIME_MIN ? LY_TIME_MIN : us;

    return us > LY_TIME_MAX ? LY_TIME_MAX : us;
}


/* date and time of day in UTC, no more; returns the days since 1970-01-01 */
static int32_t
ly_time_split(int64_t us, ly_civil_t *c)
{
    int32_t  days;
    int64_t  rest, seconds;

    us = ly_time_clamp(us);
    rest = us % LY_TIME_DAY;
    rest = rest < 0 ? rest + LY_TIME_DAY : rest;
    days = (int32_t) ((us - rest) / LY_TIME_DAY);
    seconds = rest / LY_TIME_SECOND;

    ly_civil_from_days(days, &c->year, &c->month, &c->day);

    c->hour = (int) (seconds / 3600);
    c->minute = (int) (seconds / 60 % 60);
    c->second = (int) (seconds % 60);
    c->usec = (int) (rest % LY_TIME_SECOND);

    return days;
}


void
ly_civil_utc(int64_t us, ly_civil_t *c)
{
    int32_t  days;

    days = ly_time_split(us, c);
    c->weekday = ly_weekday(days);
    c->yday = days - ly_days_from_civil(c->year, 1, 1) + 1;
    c->offset = 0;
}


ly_err_t
ly_civil_instant(const ly_civil_t *c, int64_t *us)
{
    int64_t   seconds;
    ly_err_t  rc;

    rc = ly_civil_check(c);
    if (rc != LY_OK) {
        return rc;
    }

    seconds = (int64_t) ly_days_from_civil(c->year, c->month, c->day) * 86400
              + c->hour * 3600 + c->minute * 60 + c->second;
    *us = seconds * LY_TIME_SECOND + c->usec;

    return LY_OK;
}


/* n digits as a number, -1 if one is none */
static int
ly_time_digits(const unsigned char *p, size_t n)
{
    int     v;
    size_t  i;

    v = 0;

    for (i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return -1;
        }

        v = v * 10 + (p[i] - '0');
    }

    return v;
}


/* YYYY-MM-DD at p, which has ten bytes; ranges are checked by the caller */
static bool
ly_time_date(const unsigned char *p, ly_civil_t *c)
{
    c->year = ly_time_digits(p, 4);
    c->month = ly_time_digits(p + 5, 2);
    c->day = ly_time_digits(p + 8, 2);

    return p[4] == '-' && p[7] == '-';
}


/* Z or an offset, which is all that is left; seconds east */
static ly_err_t
ly_time_zone(ly_str_t s, int32_t *offset)
{
    int  hours, minutes;

    if (s.len == 1 && s.data[0] == 'Z') {
        *offset = 0;
        return LY_OK;
    }

    if (s.len != 6 || (s.data[0] != '+' && s.data[0] != '-')
        || s.data[3] != ':')
    {
        return LY_PARSE;
    }

    hours = ly_time_digits(s.data + 1, 2);
    minutes = ly_time_digits(s.data + 4, 2);

    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) {
        return LY_PARSE;
    }

    *offset = hours * 3600 + minutes * 60;
    *offset = s.data[0] == '-' ? -*offset : *offset;

    return LY_OK;
}


ly_err_t
ly_time_parse(ly_str_t s, int64_t *us)
{
    size_t      i, places;
    int32_t     offset;
    int64_t     v;
    ly_err_t    rc;
    ly_civil_t  c;

    /* 2010-12-01T08:26:00Z */
    if (s.len < 20 || !ly_time_date(s.data, &c) || s.data[10] != 'T'
        || s.data[13] != ':' || s.data[16] != ':')
    {
        return LY_PARSE;
    }

    c.hour = ly_time_digits(s.data + 11, 2);
    c.minute = ly_time_digits(s.data + 14, 2);
    c.second = ly_time_digits(s.data + 17, 2);
    c.usec = 0;
    i = 19;

    if (s.data[i] == '.') {
        i++;

        for (places = 0; i < s.len && places < 6; places++, i++) {
            if (s.data[i] < '0' || s.data[i] > '9') {
                break;
            }

            c.usec = c.usec * 10 + (s.data[i] - '0');
        }

        if (places == 0) {
            return LY_PARSE;
        }

        for (; places < 6; places++) {
            c.usec *= 10;
        }
    }

    rc = ly_time_zone(ly_str_of(s.data + i, s.len - i), &offset);
    if (rc != LY_OK) {
        return rc;
    }

    rc = ly_civil_instant(&c, &v);
    if (rc != LY_OK) {
        return rc;
    }

    v -= offset * LY_TIME_SECOND;

    if (v != ly_time_clamp(v)) {
        return LY_OVERFLOW;
    }

    *us = v;

    return LY_OK;
}


ly_err_t
ly_date_parse(ly_str_t s, int32_t *days)
{
    ly_err_t    rc;
    ly_civil_t  c;

    memset(&c, 0, sizeof(ly_civil_t));

    if (s.len != LY_DATE_TEXT || !ly_time_date(s.data, &c)) {
        return LY_PARSE;
    }

    rc = ly_civil_check(&c);
    if (rc != LY_OK) {
        return rc;
    }

    *days = ly_days_from_civil(c.year, c.month, c.day);

    return LY_OK;
}


/* two digits of 0..99 */
static inline void
ly_time_put(unsigned char *p, unsigned v)
{
    p[0] = (unsigned char) ('0' + v / 10);
    p[1] = (unsigned char) ('0' + v % 10);
}


static void
ly_time_put_date(const ly_civil_t *c, unsigned char *out)
{
    ly_time_put(out, (unsigned) c->year / 100);
    ly_time_put(out + 2, (unsigned) c->year % 100);
    out[4] = '-';
    ly_time_put(out + 5, (unsigned) c->month);
    out[7] = '-';
    ly_time_put(out + 8, (unsigned) c->day);
}


void
ly_time_print(int64_t us, unsigned char *out)
{
    ly_civil_t  c;

    (void) ly_time_split(us, &c);
    ly_time_put_date(&c, out);

    out[10] = 'T';
    ly_time_put(out + 11, (unsigned) c.hour);
    out[13] = ':';
    ly_time_put(out + 14, (unsigned) c.minute);
    out[16] = ':';
    ly_time_put(out + 17, (unsigned) c.second);
    out[19] = '.';
    ly_time_put(out + 20, (unsigned) c.usec / 10000);
    ly_time_put(out + 22, (unsigned) c.usec / 100 % 100);
    ly_time_put(out + 24, (unsigned) c.usec % 100);
    out[26] = 'Z';
}


void
ly_date_print(int32_t days, unsigned char *out)
{
    ly_civil_t  c;

    memset(&c, 0, sizeof(ly_civil_t));

    days = days < LY_DATE_MIN ? LY_DATE_MIN : days;
    days = days > LY_DATE_MAX ? LY_DATE_MAX : days;

    ly_civil_from_days(days, &c.year, &c.month, &c.day);
    ly_time_put_date(&c, out);
}


ly_err_t
ly_date_add_months(int32_t days, int months, int32_t *out)
{
    int      year, month, day, last;
    int64_t  n;

    ly_civil_from_days(days, &year, &month, &day);

    n = (int64_t) year * 12 + (month - 1) + months;

    if (n < 12 || n >= 10000 * 12) {
        return LY_OVERFLOW;
    }

    year = (int) (n / 12);
    month = (int) (n % 12) + 1;
    last = ly_month_days(year, month);

    *out = ly_days_from_civil(year, month, day > last ? last : day);

    return LY_OK;
}
