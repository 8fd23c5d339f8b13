/*
 * The jobs lane: claims with a lease, runs each handler, settles under the
 * lease's token.  What dies with the process is given out again.
 */

#include "lane.h"

#include "job.h"
#include "log.h"

#include <stdio.h>
#include <string.h>

#include "../common/ly_banned.h"


/* of one job */
#define QUEUE_ARENA_MAX  (8 * 1024 * 1024)

#define QUEUE_NAME  "default"


static const db_call_t  call_claim = { "work.job_claim", 3 };
static const db_call_t  call_finish = { "work.job_finish", 2 };
static const db_call_t  call_retry = { "work.job_retry", 3 };
static const db_call_t  call_bury = { "work.job_bury", 3 };
static const db_call_t  call_release = { "work.jobs_release", 1 };
static const db_call_t  call_expire = { "work.jobs_expire", 1 };


static ly_err_t
queue_open(lane_t *lane)
{
    lane->data = ly_arena_create(QUEUE_ARENA_MAX, NULL);

    return lane->data == NULL ? LY_NOMEM : LY_OK;
}


static ly_err_t
queue_expire(lane_t *lane)
{
    ly_str_t        ms;
    db_rows_t       rows;
    unsigned char   text[LY_INT64_TEXT];

    ms = ly_str_of(text, ly_int64_print(lane->conf->job_lease_ms, text));

    return db_call(lane->db, lane->arena, &call_expire, &ms, &rows);
}


/* the outcome goes where the handler's answer says */
static ly_err_t
queue_settle(lane_t *lane, job_t *job, ly_str_t id, ly_err_t how)
{
    ly_err_t          err;
    ly_str_t          params[3];
    db_rows_t         rows;
    const db_call_t  *call;

    params[0] = id;
    params[1] = job->token;
    params[2] = job->why[0] == '\0' ? ly_str_c(ly_err_name(how))
                                    : ly_str_c(job->why);

    if (how == LY_OK) {
        call = &call_finish;

    } else if (how == LY_TEMP || how == LY_NOMEM) {
        call = &call_retry;

    } else {
        call = &call_bury;
    }

    err = db_call(lane->db, lane->arena, call, params, &rows);

    if (err == LY_OK && !db_true(&rows, 0, 0)) {
        log_line(LY_LOG_WARN, "job was another's by then",
                 ly_log_int("job", job->id));
    }

    return err;
}


static ly_err_t
queue_job(lane_t *lane, const db_rows_t *rows, size_t i)
{
    int64_t            began;
    job_t              job;
    ly_err_t           err, how;
    const job_kind_t  *kind;

    memset(&job, 0, sizeof(job_t));
    job.id = db_int(rows, i, 0);
    job.tenant = db_text(rows, i, 1);
    job.kind = db_text(rows, i, 2);
    job.args = db_text(rows, i, 3);
    job.attempt = db_int(rows, i, 4);
    job.max_attempts = db_int(rows, i, 5);
    job.token = db_text(rows, i, 6);
    job.db = lane->db;
    job.arena = lane->data;
    job.conf = lane->conf;

    began = clock_mono_us();
    kind = job_find(job.kind);

    if (kind == NULL) {
        how = LY_NOTFOUND;
        (void) snprintf(job.why, sizeof(job.why), "kind.unknown");

    } else {
        how = kind->run(&job);
    }

    ly_arena_reset(lane->data);

    if (how != LY_OK) {
        db_rollback(lane->db);
    }

    log_line(how == LY_OK ? LY_LOG_INFO : LY_LOG_WARN, "job ended",
             ly_log_int("job", job.id),
             ly_log_str("tenant", job.tenant),
             ly_log_str("kind", job.kind),
             ly_log_int("attempt", job.attempt),
             ly_log_cstr("outcome", ly_err_name(how)),
             ly_log_cstr("why", job.why),
             ly_log_int("us", clock_mono_us() - began));

    /* without a connection the lease is given back by the next one's reaper */
    if (!db_connected(lane->db)) {
        return LY_TEMP;
    }

    err = queue_settle(lane, &job, db_text(rows, i, 0), how);

    lane->stats->items++;
    lane->stats->failures += how != LY_OK;

    return err;
}


static ly_err_t
queue_turn(lane_t *lane, int64_t *wait_ms)
{
    size_t          i;
    ly_err_t        err;
    ly_str_t        params[3];
    db_rows_t       rows;
    unsigned char   text[LY_INT64_TEXT];

    params[0] = lane->id_text;
    params[1] = ly_str(QUEUE_NAME);
    params[2] = ly_str_of(text, ly_int64_print(lane->conf->jobs_batch, text));

    err = db_call(lane->db, lane->arena, &call_claim, params, &rows);

    for (i = 0; err == LY_OK && i < rows.rows; i++) {

        lane_signals(lane);

        /* what is not begun is given back at the end */
        if (lane->stopping) {
            break;
        }

        err = queue_job(lane, &rows, i);
    }

    if (err == LY_OK && rows.rows != 0) {
        lane->stats->turns++;
    }

    *wait_ms = rows.rows == 0 ? lane->conf->poll_ms : 0;

    return err;
}


static void
queue_close(lane_t *lane)
{
    db_rows_t  rows;

    if (db_connected(lane->db)
        && db_call(lane->db, lane->arena, &call_release, &lane->id_text, &rows)
        != LY_OK)
    {
        lane_fault(lane, "jobs are left behind");
    }

    ly_arena_destroy(lane->data);
}


const lane_kind_t  lane_jobs = {
    .name = "jobs",
    .slots = offsetof(config_t, jobs_slots),
    .open = queue_open,
    .beat = queue_expire,
    .turn = queue_turn,
    .close = queue_close
};
