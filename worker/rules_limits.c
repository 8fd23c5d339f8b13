/*
 * What limits a rule for one member: points given so far, and counters over
 * his earlier events.  Asked of the database only for rules that need it.
 */

#include "rules_batch.h"

#include <string.h>

#include "../common/ly_banned.h"


#define LIMITS_CAPS  2          /* per member, per period */


static const db_call_t  call_used = { "work.rules_used", 5 };
static const db_call_t  call_counter = { "work.rules_counter", 7 };


/* the day, week, month or year of an instant in the zone: [from, to) */
static ly_err_t
limits_period(const batch_program_t *program, rule_period_e period,
    int64_t at_us, int64_t *from, int64_t *to)
{
    int               year, month;
    int32_t           first, next;
    ly_err_t          err;
    ly_civil_t        c;
    const ly_zone_t  *zone;

    zone = program->zone == NULL ? ly_zone_utc() : program->zone;
    ly_zone_civil(zone, at_us, &c);

    first = ly_days_from_civil(c.year, c.month, c.day);
    next = first + 1;
    year = c.year;
    month = c.month;

    switch (period) {

    case RULE_PERIOD_WEEK:
        first -= ly_weekday(first) - 1;
        next = first + 7;
        break;

    case RULE_PERIOD_MONTH:
        first = ly_days_from_civil(year, month, 1);
        next = month == 12 ? ly_days_from_civil(year + 1, 1, 1)
                           : ly_days_from_civil(year, month + 1, 1);
        break;

    case RULE_PERIOD_YEAR:
        first = ly_days_from_civil(year, 1, 1);
        next = ly_days_from_civil(year + 1, 1, 1);
        break;

    case RULE_PERIOD_NONE:
    case RULE_PERIOD_DAY:
    default:
        break;
    }

    err = ly_zone_day_start(zone, first, from);
    if (err != LY_OK) {
        return err;
    }

    return ly_zone_day_start(zone, next, to);
}


static ly_str_t
limits_time(int64_t us, unsigned char *text)
{
    ly_time_print(us, text);

    return ly_str_of(text, LY_TIME_TEXT);
}


static ly_err_t
limits_used(batch_t *batch, const batch_event_t *event,
    const rules_version_t *version, int64_t from, int64_t to, int64_t *used)
{
    ly_err_t       err;
    ly_str_t       params[5];
    db_rows_t      rows;
    unsigned char  from_text[LY_TIME_TEXT], to_text[LY_TIME_TEXT];

    params[0] = event->tenant->id;
    params[1] = event->member;
    params[2] = ly_str_of(version->rule_text, LY_UUID_TEXT);
    params[3] = limits_time(from, from_text);
    params[4] = limits_time(to, to_text);

    err = db_call(batch->db, batch->arena, &call_used, params, &rows);
    if (err != LY_OK) {
        batch->broken = true;
        return err;
    }

    *used = db_int(&rows, 0, 0);

    return LY_OK;
}


/* the member's cap of this rule, shared by all his events in the batch */
static ly_err_t
limits_cap(batch_t *batch, const batch_event_t *event, batch_member_t *member,
    const batch_program_t *program, const rules_version_t *version,
    bool period, int64_t at_us, rule_cap_t **out)
{
    int64_t       from, to, used, limit;
    ly_err_t      err;
    batch_cap_t  *cap;

    from = LY_TIME_MIN;
    to = LY_TIME_MAX;
    limit = period ? version->head.per_period : version->head.per_member;

    if (period) {
        err = limits_period(program, version->head.period, at_us, &from, &to);
        if (err != LY_OK) {
            return err;
        }
    }

    for (cap = member->caps; cap != NULL; cap = cap->next) {
        if (cap->version == version && cap->period == period
            && cap->start_us == from)
        {
            *out = &cap->cap;
            return LY_OK;
        }
    }

    err = limits_used(batch, event, version, from, to, &used);
    if (err != LY_OK) {
        return err;
    }

    cap = ly_arena_zalloc(batch->arena, sizeof(batch_cap_t));
    if (cap == NULL) {
        return LY_NOMEM;
    }

    cap->version = version;
    cap->period = period;
    cap->start_us = from;
    cap->cap.name = period ? ly_str("per_period") : ly_str("per_member");
    cap->cap.remaining = used < limit ? limit - used : 0;
    cap->next = member->caps;
    member->caps = cap;
    *out = &cap->cap;

    return LY_OK;
}


static ly_err_t
limits_caps(batch_t *batch, const batch_event_t *event, batch_member_t *member,
    const batch_program_t *program, const rules_version_t *version,
    rule_run_t *run, int64_t at_us)
{
    ly_err_t  err;

    if (version->head.per_member < 0 && version->head.per_period < 0) {
        return LY_OK;
    }

    run->caps = ly_arena_array(batch->arena, LIMITS_CAPS,
                               sizeof(rule_cap_t *));
    if (run->caps == NULL) {
        return LY_NOMEM;
    }

    if (version->head.per_member >= 0) {
        err = limits_cap(batch, event, member, program, version, false, at_us,
                         &run->caps[run->n_caps++]);
        if (err != LY_OK) {
            return err;
        }
    }

    if (version->head.per_period >= 0) {
        return limits_cap(batch, event, member, program, version, true, at_us,
                          &run->caps[run->n_caps++]);
    }

    return LY_OK;
}


static ly_err_t
limits_counter(batch_t *batch, const batch_event_t *event,
    const rule_counter_need_t *need, int64_t at_us, rule_counter_t *counter)
{
    ly_err_t       err;
    ly_str_t       params[7];
    db_rows_t      rows;
    unsigned char  from[LY_TIME_TEXT], to[LY_TIME_TEXT];

    params[0] = event->tenant->id;
    params[1] = event->member;
    params[2] = event->id;
    params[3] = need->event;
    params[4] = need->fact;
    params[5] = limits_time(at_us - need->window_us, from);
    params[6] = limits_time(at_us, to);

    if (params[4].data == NULL) {
        params[4] = ly_str("");
    }

    err = db_call(batch->db, batch->arena, &call_counter, params, &rows);
    if (err != LY_OK) {
        batch->broken = true;
        return err;
    }

    counter->key = need->key;

    return ly_dec_parse(db_text(&rows, 0, 0), LY_DEC_SCALE_MAX,
                        &counter->value);
}


static ly_err_t
limits_counters(batch_t *batch, const batch_event_t *event,
    rules_version_t **versions, size_t n, int64_t at_us, rule_input_t *input)
{
    size_t               i, k, all;
    uint32_t             c;
    ly_err_t             err;
    rule_counter_t      *counters;
    rule_counter_need_t  need;

    all = 0;

    for (i = 0; i < n; i++) {
        all += versions[i]->head.n_counters;
    }

    counters = ly_arena_array(batch->arena, all + 1, sizeof(rule_counter_t));
    if (counters == NULL) {
        return LY_NOMEM;
    }

    all = 0;

    for (i = 0; i < n; i++) {
        for (c = 0; c < versions[i]->head.n_counters; c++) {

            rule_program_counter(versions[i]->program, c, &need);

            for (k = 0; k < all; k++) {
                if (ly_str_eq(counters[k].key, need.key)) {
                    break;
                }
            }

            if (k < all) {
                continue;
            }

            err = limits_counter(batch, event, &need, at_us, &counters[all]);
            if (err != LY_OK) {
                return err;
            }

            all++;
        }
    }

    rule_input_counters(input, counters, all);

    return LY_OK;
}


ly_err_t
batch_limits(batch_t *batch, const batch_event_t *event,
    batch_member_t *member, const batch_program_t *program,
    rules_version_t **versions, rule_run_t *runs, size_t n, int64_t at_us,
    rule_input_t *input)
{
    size_t    i;
    ly_err_t  err;

    for (i = 0; i < n; i++) {
        err = limits_caps(batch, event, member, program, versions[i], &runs[i],
                          at_us);
        if (err != LY_OK) {
            return err;
        }
    }

    return limits_counters(batch, event, versions, n, at_us, input);
}
