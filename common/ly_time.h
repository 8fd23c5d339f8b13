/*
 * Instants are int64 microseconds since 1970-01-01T00:00:00Z without leap
 * seconds, from year 0001 to 9999.  Nobody here reads a clock, the
 * environment, or a file: a zone is parsed from bytes the caller hands in.
 */

#ifndef LY_TIME_H_INCLUDED_
#define LY_TIME_H_INCLUDED_

#include "ly_base.h"
#include "ly_arena.h"


#define LY_TIME_MIN   (-62135596800LL * 1000000)            /* 0001-01-01 */
#define LY_TIME_MAX   (253402300799LL * 1000000 + 999999)   /* 9999-12-31 */
#define LY_TIME_DAY   (86400LL * 1000000)

/* "2010-12-01T08:26:00.000000Z" */
#define LY_TIME_TEXT  27


typedef struct {
    int      year;          /* 1..9999 */
    int      month;         /* 1..12 */
    int      day;           /* 1..31 */
    int      hour;          /* 0..23 */
    int      minute;        /* 0..59 */
    int      second;        /* 0..59 */
    int      usec;          /* 0..999999 */
    int      weekday;       /* ISO: Monday 1 .. Sunday 7; set, not read */
    int      yday;          /* 1..366; set, not read */
    int32_t  offset;        /* seconds east of UTC; set, not read */
} ly_civil_t;


/*
 * RFC 3339 date-time, strict: four-digit year, upper-case T and Z, an offset
 * is required (Z, +hh:mm or -hh:mm up to 23:59), 1 to 6 places of seconds.  A
 * leap second (:60) is refused, not folded; more than six places as well.
 * LY_PARSE for the form and for dates that do not exist, LY_OVERFLOW when the
 * offset moves it out of LY_TIME_MIN..MAX.
 */
ly_must_check ly_err_t ly_time_parse(ly_str_t s, int64_t *us);

/* YYYY-MM-DD, strict, to days since 1970-01-01 */
ly_must_check ly_err_t ly_date_parse(ly_str_t s, int32_t *days);

/* LY_TIME_TEXT bytes, six places and Z; us is clamped to LY_TIME_MIN..MAX */
void ly_time_print(int64_t us, unsigned char *out);

/* 10 bytes YYYY-MM-DD; days within year 1..9999, clamped */
#define LY_DATE_TEXT  10
void ly_date_print(int32_t days, unsigned char *out);


/* days since 1970-01-01 of a proleptic Gregorian date; any day of month */
int32_t ly_days_from_civil(int year, int month, int day);
void ly_civil_from_days(int32_t days, int *year, int *month, int *day);

/* ISO weekday of days since the epoch: Monday 1 .. Sunday 7 */
int ly_weekday(int32_t days);

int ly_month_days(int year, int month);
bool ly_leap_year(int year);

/* LY_PARSE unless every field it reads is in range and the date exists */
ly_must_check ly_err_t ly_civil_check(const ly_civil_t *c);

/* the fields of an instant in UTC; us within LY_TIME_MIN..MAX, clamped */
void ly_civil_utc(int64_t us, ly_civil_t *c);

/* the instant of fields read as UTC; LY_PARSE */
ly_must_check ly_err_t ly_civil_instant(const ly_civil_t *c, int64_t *us);

/*
 * Adds calendar months to a date; a day the target month lacks becomes its
 * last.  LY_OVERFLOW outside of year 1..9999.
 */
ly_must_check ly_err_t ly_date_add_months(int32_t days, int months,
    int32_t *out);


/* a time zone, never changed after it is parsed; may be shared and kept */
typedef struct ly_zone_s  ly_zone_t;

#define LY_ZONE_MAX  65536          /* bytes of a TZif file; the largest of
                                       the tz database has about 4 KiB */

/*
 * From the bytes of a TZif file (RFC 8536, versions 1 to 4, with the footer's
 * POSIX TZ rule), into the arena.  A file with leap seconds ("right/") is
 * refused.  LY_PARSE, LY_LIMIT, LY_NOMEM.
 */
ly_must_check ly_err_t ly_zone_parse(ly_arena_t *a, ly_str_t tzif,
    ly_zone_t **zone);

/* UTC without a file; static */
const ly_zone_t *ly_zone_utc(void);

/* seconds east of UTC in force at an instant */
int32_t ly_zone_offset(const ly_zone_t *zone, int64_t us);

/* the local fields of an instant; clamped where year 1..9999 would be left */
void ly_zone_civil(const ly_zone_t *zone, int64_t us, ly_civil_t *c);

/*
 * The instant of local fields.  A time that a change of the clocks skips is
 * read with the offset before it (02:30 becomes 03:30); one that happens twice
 * is the first of the two.  LY_PARSE for fields out of range.
 */
ly_must_check ly_err_t ly_zone_instant(const ly_zone_t *zone,
    const ly_civil_t *c, int64_t *us);

/* the instant when the local day (days since epoch) begins */
ly_must_check ly_err_t ly_zone_day_start(const ly_zone_t *zone, int32_t days,
    int64_t *us);


#endif /* LY_TIME_H_INCLUDED_ */
