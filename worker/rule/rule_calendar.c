/* The calendar: durations, and operators on instants and dates. */

#include "rule_int.h"
#include "../../common/ly_banned.h"


#define RULE_PART_MAX  100000

/* 0001-01-01 and 9999-12-31 as days since 1970-01-01 */
#define RULE_DAY_MIN   (-719162)
#define RULE_DAY_MAX   2932896

static const char  rule_range[] = "time.range";


bool
rule_duration_parse(ly_str_t s, rule_duration_t *out)
{
    bool         time, any;
    size_t       i, digits, order;
    int64_t      n;
    const char  *units, *u;

    memset(out, 0, sizeof(*out));
    time = false;
    any = false;
    order = 0;
    units = "YMWD";

    if (s.len < 2 || s.data[0] != 'P') {
        return false;
    }

    for (i = 1; i < s.len; i++) {
        if (s.data[i] == 'T' && !time) {
            time = true;
            any = false;
            order = 0;
            units = "HMS";
            continue;
        }

        n = 0;

        for (digits = i; i < s.len && s.data[i] >= '0' && s.data[i] <= '9';
             i++)
        {
            n = n * 10 + (s.data[i] - '0');

            if (n > RULE_PART_MAX) {
                return false;
            }
        }

        if (i == digits || i == s.len) {
            return false;
        }

        u = memchr(units + order, s.data[i], strlen(units + order));

        if (u == NULL) {
            return false;
        }

        order = (size_t) (u - units) + 1;
        any = true;

        if (time) {
            out->us += n * (*u == 'H' ? 3600 : *u == 'M' ? 60 : 1) * 1000000;

        } else if (*u == 'Y' || *u == 'M') {
            out->months += (int32_t) (n * (*u == 'Y' ? 12 : 1));

        } else {
            out->days += n * (*u == 'W' ? 7 : 1);
        }
    }

    out->has_time = time;

    return any;
}


static const char *
rule_local(const ly_zone_t *zone, const rule_val_t *v, ly_civil_t *c)
{
    int64_t  us;

    if (v->kind == RULE_K_DATE) {
        memset(c, 0, sizeof(*c));
        ly_civil_from_days((int32_t) v->u.i, &c->year, &c->month, &c->day);
        c->weekday = ly_weekday((int32_t) v->u.i);
        return NULL;
    }

    if (zone == NULL) {
        return "time.zone";
    }

    us = v->u.i + (int64_t) ly_zone_offset(zone, v->u.i) * 1000000;

    if (us < LY_TIME_MIN || us > LY_TIME_MAX) {
        return rule_range;
    }

    ly_civil_utc(us, c);

    return NULL;
}


static int32_t
rule_days(const ly_civil_t *c)
{
    return ly_days_from_civil(c->year, c->month, c->day);
}


/* whole months from a to b, a not after b */
static int64_t
rule_months(const ly_civil_t *a, const ly_civil_t *b)
{
    int      day, last;
    int64_t  n;

    n = (int64_t) (b->year - a->year) * 12 + (b->month - a->month);
    last = ly_month_days(b->year, b->month);
    day = a->day < last ? a->day : last;

    return b->day < day ? n - 1 : n;
}


static bool
rule_birthday(const ly_civil_t *born, const ly_civil_t *day)
{
    int  d;

    d = born->day;

    if (born->month == 2 && d == 29 && !ly_leap_year(day->year)) {
        d = 28;
    }

    return born->month == day->month && d == day->day;
}


static const char *
rule_move(const rule_ins_t *ins, const ly_zone_t *zone, ly_civil_t *c,
    const rule_val_t *consts, rule_val_t *v)
{
    int32_t  days;
    int64_t  sign, months, move, us;

    sign = ins->op == RULE_OP_PLUS ? 1 : -1;
    months = sign * (int64_t) consts[ins->a].u.coef;
    move = sign * (int64_t) consts[ins->a + 1].u.coef;
    days = rule_days(c);

    if (ly_date_add_months(days, (int) months, &days) != LY_OK) {
        return rule_range;
    }

    move += days;

    if (move < RULE_DAY_MIN || move > RULE_DAY_MAX) {
        return rule_range;
    }

    if (v->kind == RULE_K_DATE) {
        v->u.i = move;
        return NULL;
    }

    us = v->u.i;

    /* without a part of the calendar the instant itself is moved */
    if (move != rule_days(c)) {
        ly_civil_from_days((int32_t) move, &c->year, &c->month, &c->day);

        if (ly_zone_instant(zone, c, &us) != LY_OK) {
            return rule_range;
        }
    }

    us += sign * (int64_t) consts[ins->a + 2].u.coef;

    if (us < LY_TIME_MIN || us > LY_TIME_MAX) {
        return rule_range;
    }

    v->u.i = us;

    return NULL;
}


const char *
rule_calendar(const rule_ins_t *ins, const ly_zone_t *zone,
    const rule_val_t *a, const rule_val_t *b, const rule_val_t *consts,
    rule_val_t *out)
{
    bool         backwards;
    int32_t      from, to;
    int64_t      n;
    ly_civil_t   ca, cb;
    const char  *code;

    code = rule_local(zone, a, &ca);

    if (code == NULL) {
        code = rule_local(zone, b, &cb);
    }

    if (code != NULL) {
        return code;
    }

    switch (ins->op) {

    case RULE_OP_DATE:
        out->kind = RULE_K_DATE;
        out->u.i = rule_days(&ca);
        return NULL;

    case RULE_OP_WEEKDAY:
        n = ca.weekday;
        break;

    case RULE_OP_HOUR:
        n = ca.hour;
        break;

    case RULE_OP_MINUTE:
        n = ca.minute;
        break;

    case RULE_OP_DAY:
        n = ca.day;
        break;

    case RULE_OP_MONTH:
        n = ca.month;
        break;

    case RULE_OP_YEAR:
        n = ca.year;
        break;

    case RULE_OP_BIRTHDAY:
        rule_set_bool(out, rule_birthday(&ca, &cb));
        return NULL;

    case RULE_OP_PLUS:
    case RULE_OP_MINUS:
        return rule_move(ins, zone, &ca, consts, out);

    default:
        from = rule_days(&ca);
        to = rule_days(&cb);
        backwards = to < from;

        if (ins->op == RULE_OP_DAYS_BETWEEN) {
            n = (int64_t) to - from;

        } else {
            n = backwards ? -rule_months(&cb, &ca) : rule_months(&ca, &cb);
        }
        break;
    }

    rule_set_int(out, n);

    return NULL;
}
