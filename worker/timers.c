/*
 * The timers lane: balances on which something is due, dead workers,
 * maintenance.  Nothing here computes; the database knows what is due.
 */

#include "lane.h"

#include "log.h"

#include <stdlib.h>

#include "../common/ly_banned.h"


#define TIMERS_MAINTAIN_ROWS  "10000"


typedef struct {
    int64_t  due_us;
    int64_t  maintain_us;
} timers_t;


static const db_call_t  call_due = { "work.due_settle", 1 };
static const db_call_t  call_reap = { "work.workers_reap", 0 };
static const db_call_t  call_maintain = { "work.maintain", 1 };


static ly_err_t
timers_open(lane_t *lane)
{
    lane->data = calloc(1, sizeof(timers_t));

    return lane->data == NULL ? LY_NOMEM : LY_OK;
}


/* dead workers' shards and jobs are free within a beat */
static ly_err_t
timers_beat(lane_t *lane)
{
    int64_t    n;
    ly_err_t   err;
    db_rows_t  rows;

    err = db_call(lane->db, lane->arena, &call_reap, NULL, &rows);
    if (err != LY_OK) {
        return err;
    }

    n = db_int(&rows, 0, 0);

    if (n != 0) {
        log_line(LY_LOG_WARN, "dead workers reaped", ly_log_int("workers", n));
        lane_poke(lane, "rules");
        lane_poke(lane, "jobs");
    }

    return LY_OK;
}


static ly_err_t
timers_due(lane_t *lane, int64_t *wait_ms)
{
    int64_t         n;
    ly_err_t        err;
    ly_str_t        limit;
    db_rows_t       rows;
    unsigned char   text[LY_INT64_TEXT];

    limit = ly_str_of(text, ly_int64_print(lane->conf->timers_batch, text));

    err = db_call(lane->db, lane->arena, &call_due, &limit, &rows);
    if (err != LY_OK) {
        return err;
    }

    n = db_int(&rows, 0, 0);

    if (n != 0) {
        lane->stats->turns++;
        lane->stats->items += n;
        lane_hint(lane);
        lane_poke(lane, "webhooks");

        log_line(LY_LOG_INFO, "due balances settled",
                 ly_log_int("balances", n));
    }

    /* more are due than one transaction takes */
    if (n >= lane->conf->timers_batch) {
        *wait_ms = 0;
    }

    return LY_OK;
}


static ly_err_t
timers_maintain(lane_t *lane)
{
    int64_t    began;
    ly_err_t   err;
    ly_str_t   limit, done;
    db_rows_t  rows;

    began = clock_mono_us();
    limit = ly_str(TIMERS_MAINTAIN_ROWS);

    err = db_call(lane->db, lane->arena, &call_maintain, &limit, &rows);
    if (err != LY_OK) {
        return err;
    }

    done = db_text(&rows, 0, 0);

    if (done.data != NULL) {
        log_line(LY_LOG_INFO, "maintained", ly_log_json("done", done),
                 ly_log_int("us", clock_mono_us() - began));
    }

    return LY_OK;
}


static ly_err_t
timers_turn(lane_t *lane, int64_t *wait_ms)
{
    int64_t    now, left;
    ly_err_t   err;
    timers_t  *timers;

    timers = lane->data;
    now = clock_mono_us();
    *wait_ms = lane->conf->timers_every_ms;

    left = timers->due_us + lane->conf->timers_every_ms * 1000 - now;

    if (timers->due_us != 0 && left > 0) {
        *wait_ms = left / 1000 + 1;

    } else {
        timers->due_us = now;

        err = timers_due(lane, wait_ms);
        if (err != LY_OK) {
            return err;
        }

        if (*wait_ms == 0) {
            timers->due_us = 0;
        }
    }

    if (timers->maintain_us == 0
        || now - timers->maintain_us > lane->conf->maintain_every_ms * 1000)
    {
        /* a failure is tried again at the next time, not at once */
        timers->maintain_us = now;
        return timers_maintain(lane);
    }

    return LY_OK;
}


static void
timers_close(lane_t *lane)
{
    free(lane->data);
}


const lane_kind_t  lane_timers = {
    .name = "timers",
    .slots = offsetof(config_t, timers_slots),
    .open = timers_open,
    .beat = timers_beat,
    .turn = timers_turn,
    .close = timers_close
};
