/* time zones from TZif bytes (RFC 8536); see ly_time.h */

#include <string.h>

#include "ly_time.h"
#include "ly_banned.h"


#define LY_ZONE_HEADER      44
#define LY_ZONE_OFFSET_MAX  100000      /* seconds; RFC 8536 has 93,599 */
#define LY_ZONE_TYPES       256         /* an index is one byte */
#define LY_ZONE_HOURS       167         /* of a rule's time, version 3 */

#define LY_ZONE_SECOND      1000000LL


typedef enum {
    LY_ZONE_JULIAN = 0,                 /* Jn: 1..365, no 29th of February */
    LY_ZONE_DAY,                        /* n: 0..365 */
    LY_ZONE_WEEK                        /* Mm.w.d */
} ly_zone_rule_e;

typedef struct {
    ly_zone_rule_e   kind;
    int              month;
    int              week;              /* 5 is the last */
    int              day;               /* of the year, or weekday: Sunday 0 */
    int32_t          time;              /* seconds after local midnight */
} ly_zone_rule_t;

struct ly_zone_s {
    size_t           count;             /* transitions */
    int64_t         *at;                /* seconds since the epoch */
    int32_t         *offset;            /* from at[i] on */
    int32_t          before;            /* the first transition */

    bool             footer;
    bool             dst;
    int32_t          std_offset;
    int32_t          dst_offset;
    ly_zone_rule_t   start;
    ly_zone_rule_t   end;
};

/* the counts of a TZif header */
typedef struct {
    uint32_t         isutcnt;
    uint32_t         isstdcnt;
    uint32_t         leapcnt;
    uint32_t         timecnt;
    uint32_t         typecnt;
    uint32_t         charcnt;
} ly_zone_counts_t;

typedef struct {
    const unsigned char  *p;
    const unsigned char  *last;
} ly_zone_text_t;


static const ly_zone_t  ly_zone_utc_zone = { .footer = true };


const ly_zone_t *
ly_zone_utc(void)
{
    return &ly_zone_utc_zone;
}


/* POSIX TZ: the text of the footer */

static bool
ly_zone_is(ly_zone_text_t *t, unsigned char c)
{
    if (t->p < t->last && *t->p == c) {
        t->p++;
        return true;
    }

    return false;
}


static ly_err_t
ly_zone_number(ly_zone_text_t *t, int max, int *out)
{
    int                   v;
    const unsigned char  *start;

    v = 0;

    for (start = t->p; t->p < t->last; t->p++) {
        if (*t->p < '0' || *t->p > '9') {
            break;
        }

        v = v * 10 + (*t->p - '0');

        if (v > max) {
            return LY_PARSE;
        }
    }

    if (t->p == start) {
        return LY_PARSE;
    }

    *out = v;

    return LY_OK;
}


/* three or more letters, or anything of +-, letters, digits in <> */
static ly_err_t
ly_zone_name(ly_zone_text_t *t)
{
    bool                  quoted;
    unsigned char         c;
    const unsigned char  *start;

    quoted = ly_zone_is(t, '<');

    for (start = t->p; t->p < t->last; t->p++) {
        c = *t->p | 0x20;

        if (c >= 'a' && c <= 'z') {
            continue;
        }

        c = *t->p;

        if (!quoted || ((c < '0' || c > '9') && c != '+' && c != '-')) {
            break;
        }
    }

    if (t->p - start < 3 || (quoted && !ly_zone_is(t, '>'))) {
        return LY_PARSE;
    }

    return LY_OK;
}


/* [+-]h[hhh][:mm[:ss]] in seconds */
static ly_err_t
ly_zone_clock(ly_zone_text_t *t, int max_hours, int32_t *out)
{
    int       v[3];
    bool      negative;
    size_t    i;
    ly_err_t  rc;

    negative = ly_zone_is(t, '-');

    if (!negative) {
        (void) ly_zone_is(t, '+');
    }

    memset(v, 0, sizeof(v));

    for (i = 0; i < ly_countof(v); i++) {
        if (i != 0 && !ly_zone_is(t, ':')) {
            break;
        }

        rc = ly_zone_number(t, i == 0 ? max_hours : 59, &v[i]);
        if (rc != LY_OK) {
            return rc;
        }
    }

    *out = v[0] * 3600 + v[1] * 60 + v[2];
    *out = negative ? -*out : *out;

    return LY_OK;
}


static ly_err_t
ly_zone_rule_week(ly_zone_text_t *t, ly_zone_rule_t *r)
{
    ly_err_t  rc;

    r->kind = LY_ZONE_WEEK;

    rc = ly_zone_number(t, 12, &r->month);
    if (rc != LY_OK || !ly_zone_is(t, '.')) {
        return LY_PARSE;
    }

    rc = ly_zone_number(t, 5, &r->week);
    if (rc != LY_OK || !ly_zone_is(t, '.')) {
        return LY_PARSE;
    }

    rc = ly_zone_number(t, 6, &r->day);
    if (rc != LY_OK || r->month == 0 || r->week == 0) {
        return LY_PARSE;
    }

    return LY_OK;
}


static ly_err_t
ly_zone_rule(ly_zone_text_t *t, ly_zone_rule_t *r)
{
    ly_err_t  rc;

    memset(r, 0, sizeof(ly_zone_rule_t));

    if (!ly_zone_is(t, ',')) {
        return LY_PARSE;
    }

    if (ly_zone_is(t, 'M')) {
        rc = ly_zone_rule_week(t, r);

    } else if (ly_zone_is(t, 'J')) {
        r->kind = LY_ZONE_JULIAN;
        rc = ly_zone_number(t, 365, &r->day);
        rc = r->day == 0 ? LY_PARSE : rc;

    } else {
        r->kind = LY_ZONE_DAY;
        rc = ly_zone_number(t, 365, &r->day);
    }

    if (rc != LY_OK) {
        return rc;
    }

    r->time = 2 * 3600;

    return ly_zone_is(t, '/') ? ly_zone_clock(t, LY_ZONE_HOURS, &r->time)
                              : LY_OK;
}


static ly_err_t
ly_zone_footer(ly_zone_t *z, ly_str_t s)
{
    ly_err_t        rc;
    ly_zone_text_t  t;

    t.p = s.data;
    t.last = s.data + s.len;

    rc = ly_zone_name(&t);
    if (rc != LY_OK) {
        return rc;
    }

    rc = ly_zone_clock(&t, 24, &z->std_offset);
    if (rc != LY_OK) {
        return rc;
    }

    /* POSIX counts west of Greenwich */
    z->std_offset = -z->std_offset;
    z->footer = true;

    if (t.p == t.last) {
        return LY_OK;
    }

    rc = ly_zone_name(&t);
    if (rc != LY_OK) {
        return rc;
    }

    z->dst = true;
    z->dst_offset = z->std_offset + 3600;

    if (t.p < t.last && *t.p != ',') {
        rc = ly_zone_clock(&t, 24, &z->dst_offset);
        if (rc != LY_OK) {
            return rc;
        }

        z->dst_offset = -z->dst_offset;
    }

    rc = ly_zone_rule(&t, &z->start);
    if (rc != LY_OK) {
        return rc;
    }

    rc = ly_zone_rule(&t, &z->end);
    if (rc != LY_OK) {
        return rc;
    }

    return t.p == t.last ? LY_OK : LY_PARSE;
}


/* the second, counted as if local time were UTC, when a rule strikes */
static int64_t
ly_zone_strike(const ly_zone_rule_t *r, int year)
{
    int      weekday, day;
    int32_t  days;

    days = ly_days_from_civil(year, 1, 1);

    if (r->kind == LY_ZONE_JULIAN) {
        days += r->day - 1 + (r->day >= 60 && ly_leap_year(year));

    } else if (r->kind == LY_ZONE_DAY) {
        days += r->day;

    } else {
        days = ly_days_from_civil(year, r->month, 1);
        weekday = ly_weekday(days) % 7;
        day = (r->day - weekday + 7) % 7 + (r->week - 1) * 7;

        if (day >= ly_month_days(year, r->month)) {
            day -= 7;
        }

        days += day;
    }

    return (int64_t) days * 86400 + r->time;
}


/*
 * Around a second, by the rule: the offset in force, and the next strike.  The
 * strikes of the years beside are looked at too, a rule's time may be a week
 * off.  When both strike at once it is summer time all the year.
 */
static int32_t
ly_zone_by_rule(const ly_zone_t *z, int64_t s, int64_t *next)
{
    int         year;
    int32_t     offset;
    int64_t     at, latest;
    unsigned    i;
    ly_civil_t  c;

    *next = INT64_MAX;

    if (!z->dst) {
        return z->std_offset;
    }

    ly_civil_utc((s + z->std_offset) * LY_ZONE_SECOND, &c);

    latest = INT64_MIN;
    offset = z->std_offset;

    for (i = 0; i < 6; i++) {
        year = c.year - 1 + (int) (i / 2);

        if (i % 2 == 0) {
            at = ly_zone_strike(&z->end, year) - z->dst_offset;

        } else {
            at = ly_zone_strike(&z->start, year) - z->std_offset;
        }

        if (at > s) {
            *next = at < *next ? at : *next;

        } else if (at > latest || (at == latest && i % 2 == 1)) {
            latest = at;
            offset = i % 2 == 0 ? z->std_offset : z->dst_offset;
        }
    }

    return offset;
}


/* the offset in force at a second, and when the next change may come */
static int32_t
ly_zone_find(const ly_zone_t *z, int64_t s, int64_t *next)
{
    size_t  lo, hi, mid;

    if (z->count == 0 || s >= z->at[z->count - 1]) {

        if (z->footer) {
            return ly_zone_by_rule(z, s, next);
        }

        *next = INT64_MAX;

        return z->count == 0 ? z->before : z->offset[z->count - 1];
    }

    /* the first transition behind s */
    lo = 0;
    hi = z->count - 1;

    while (lo < hi) {
        mid = lo + (hi - lo) / 2;

        if (z->at[mid] > s) {
            hi = mid;

        } else {
            lo = mid + 1;
        }
    }

    *next = z->at[lo];

    return lo == 0 ? z->before : z->offset[lo - 1];
}


static int64_t
ly_zone_seconds(int64_t us)
{
    us = us < LY_TIME_MIN ? LY_TIME_MIN : us;
    us = us > LY_TIME_MAX ? LY_TIME_MAX : us;

    return us / LY_ZONE_SECOND - (us % LY_ZONE_SECOND < 0);
}


int32_t
ly_zone_offset(const ly_zone_t *zone, int64_t us)
{
    int64_t  next;

    return ly_zone_find(zone, ly_zone_seconds(us), &next);
}


void
ly_zone_civil(const ly_zone_t *zone, int64_t us, ly_civil_t *c)
{
    int32_t  offset;

    us = us < LY_TIME_MIN ? LY_TIME_MIN : us;
    us = us > LY_TIME_MAX ? LY_TIME_MAX : us;

    offset = ly_zone_offset(zone, us);
    ly_civil_utc(us + offset * LY_ZONE_SECOND, c);
    c->offset = offset;
}


ly_err_t
ly_zone_instant(const ly_zone_t *zone, const ly_civil_t *c, int64_t *us)
{
    bool      skipped;
    int32_t   offset, earlier;
    int64_t   local, segment, next, s, gap, v;
    ly_err_t  rc;

    rc = ly_civil_instant(c, &v);
    if (rc != LY_OK) {
        return rc;
    }

    /*
     * Span by span of one offset, from before any that could hold it: the
     * first span that does is the answer.  A span that is already past it
     * means that the clocks skipped it, and the offset before is taken, unless
     * they are soon set back to it.
     */

    local = ly_zone_seconds(v);
    segment = local - LY_ZONE_OFFSET_MAX;
    offset = ly_zone_find(zone, segment, &next);
    earlier = offset;
    s = local - offset;
    gap = s;
    skipped = false;

    while (s < segment || s >= next) {

        if (s < segment && !skipped) {
            gap = local - earlier;
            skipped = true;
        }

        if (next > local + LY_ZONE_OFFSET_MAX) {
            s = gap;
            break;
        }

        earlier = offset;
        segment = next;
        offset = ly_zone_find(zone, segment, &next);
        s = local - offset;
    }

    v = s * LY_ZONE_SECOND + c->usec;

    if (v < LY_TIME_MIN || v > LY_TIME_MAX) {
        return LY_OVERFLOW;
    }

    *us = v;

    return LY_OK;
}


ly_err_t
ly_zone_day_start(const ly_zone_t *zone, int32_t days, int64_t *us)
{
    ly_civil_t  c;

    memset(&c, 0, sizeof(ly_civil_t));
    ly_civil_from_days(days, &c.year, &c.month, &c.day);

    return ly_zone_instant(zone, &c, us);
}


/* TZif */

static ly_err_t
ly_zone_header(ly_str_t s, unsigned *version, ly_zone_counts_t *n)
{
    unsigned char  v;

    if (s.len < LY_ZONE_HEADER || memcmp(s.data, "TZif", 4) != 0) {
        return LY_PARSE;
    }

    v = s.data[4];

    if (v != '\0' && (v < '2' || v > '4')) {
        return LY_PARSE;
    }

    *version = v == '\0' ? 1 : (unsigned) (v - '0');

    n->isutcnt = ly_be32_get(s.data + 20);
    n->isstdcnt = ly_be32_get(s.data + 24);
    n->leapcnt = ly_be32_get(s.data + 28);
    n->timecnt = ly_be32_get(s.data + 32);
    n->typecnt = ly_be32_get(s.data + 36);
    n->charcnt = ly_be32_get(s.data + 40);

    /* bounds that keep the sums below small */
    if (n->timecnt > LY_ZONE_MAX || n->typecnt > LY_ZONE_TYPES
        || n->charcnt > LY_ZONE_MAX || n->leapcnt > LY_ZONE_MAX
        || n->isutcnt > LY_ZONE_TYPES || n->isstdcnt > LY_ZONE_TYPES)
    {
        return LY_PARSE;
    }

    return LY_OK;
}


static size_t
ly_zone_block(const ly_zone_counts_t *n, size_t width)
{
    return n->timecnt * (width + 1) + (size_t) n->typecnt * 6 + n->charcnt
           + n->leapcnt * (width + 4) + n->isstdcnt + n->isutcnt;
}


static ly_err_t
ly_zone_body(ly_arena_t *a, ly_zone_t *z, const unsigned char *p,
    const ly_zone_counts_t *n, size_t width)
{
    size_t                i, type;
    int32_t               offset[LY_ZONE_TYPES];
    const unsigned char  *types, *infos;

    if (n->typecnt == 0 || n->charcnt == 0 || n->leapcnt != 0) {
        return LY_PARSE;
    }

    types = p + n->timecnt * width;
    infos = types + n->timecnt;

    for (i = 0; i < n->typecnt; i++) {
        offset[i] = (int32_t) ly_be32_get(infos + i * 6);

        if (offset[i] <= -LY_ZONE_OFFSET_MAX
            || offset[i] >= LY_ZONE_OFFSET_MAX)
        {
            return LY_PARSE;
        }
    }

    z->at = ly_arena_alloc(a, (size_t) n->timecnt * sizeof(int64_t));
    z->offset = ly_arena_alloc(a, (size_t) n->timecnt * sizeof(int32_t));

    if (z->at == NULL || z->offset == NULL) {
        return LY_NOMEM;
    }

    for (i = 0; i < n->timecnt; i++) {
        z->at[i] = width == 8 ? (int64_t) ly_be64_get(p + i * 8)
                              : (int32_t) ly_be32_get(p + i * 4);
        type = types[i];

        if (type >= n->typecnt || (i > 0 && z->at[i] <= z->at[i - 1])) {
            return LY_PARSE;
        }

        z->offset[i] = offset[type];
    }

    z->count = n->timecnt;
    z->before = offset[0];

    return LY_OK;
}


/* the second block of a file of version 2 or later, and the footer */
static ly_err_t
ly_zone_second(ly_arena_t *a, ly_zone_t *z, ly_str_t s)
{
    size_t            size;
    ly_err_t          rc;
    unsigned          version;
    ly_zone_counts_t  n;

    rc = ly_zone_header(s, &version, &n);
    if (rc != LY_OK) {
        return rc;
    }

    size = LY_ZONE_HEADER + ly_zone_block(&n, 8);

    if (version < 2 || s.len < size + 2 || s.data[size] != '\n'
        || s.data[s.len - 1] != '\n')
    {
        return LY_PARSE;
    }

    rc = ly_zone_body(a, z, s.data + LY_ZONE_HEADER, &n, 8);
    if (rc != LY_OK) {
        return rc;
    }

    /* an empty footer: the last offset goes on */
    if (s.len == size + 2) {
        return LY_OK;
    }

    return ly_zone_footer(z, ly_str_of(s.data + size + 1, s.len - size - 2));
}


ly_err_t
ly_zone_parse(ly_arena_t *a, ly_str_t tzif, ly_zone_t **zone)
{
    size_t            size;
    ly_err_t          rc;
    unsigned          version;
    ly_zone_t        *z;
    ly_zone_counts_t  n;

    if (tzif.len > LY_ZONE_MAX) {
        return LY_LIMIT;
    }

    rc = ly_zone_header(tzif, &version, &n);
    if (rc != LY_OK) {
        return rc;
    }

    size = LY_ZONE_HEADER + ly_zone_block(&n, 4);

    if (tzif.len < size || (version == 1 && tzif.len != size)) {
        return LY_PARSE;
    }

    z = ly_arena_zalloc(a, sizeof(ly_zone_t));
    if (z == NULL) {
        return LY_NOMEM;
    }

    if (version == 1) {
        rc = ly_zone_body(a, z, tzif.data + LY_ZONE_HEADER, &n, 4);

    } else {
        rc = ly_zone_second(a, z, ly_str_of(tzif.data + size,
                                            tzif.len - size));
    }

    if (rc == LY_OK) {
        *zone = z;
    }

    return rc;
}
