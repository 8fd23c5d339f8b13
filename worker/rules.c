/*
 * The rules lane: events of the log, in order, through the engine into the
 * books.  One transaction a batch: context, evaluation, settle, commit.
 *
 * A batch that the database refuses is halved until one event is left; that
 * one is parked and tried again later, the rest goes on.
 */

#include "lane.h"

#include "log.h"
#include "rules_batch.h"
#include "rules_cache.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../common/ly_banned.h"


#define RULES_SHARDS_TEXT  2048         /* "{0,1,...,255}" */
#define RULES_SINCE_MAX    65536        /* a snapshot lists open writers */

/* how often the cursors of quiet shards are brought up */
#define RULES_SYNC_US      (10 * 1000000LL)

/* how often parked events are looked for */
#define RULES_RETRY_US     (250 * 1000LL)

/* tries of one event that fails for a passing reason before it is parked */
#define RULES_TRIES        5


typedef struct {
    rules_cache_t  *cache;
    int64_t         token;
    ly_buf_t        shards;             /* "{...}", as the database gave it */
    size_t          nshards;
    ly_buf_t        since;              /* place in the log; empty: unknown */
    bool            moved;              /* since the last sync */
    int64_t         sync_us;
    int64_t         retry_us;
    int64_t         began_us;       /* the last turn; 0: its batch was full */
    bool            full;               /* a batch since the last beat was */
    bool            pressed;            /* as the last beat said */
    int64_t         limit;              /* of the next batch */
    int64_t         tries;              /* failures in a row at limit 1 */
    ly_uuid_t       poison;
    bool            has_poison;
    char            poison_code[8];
    unsigned char   poison_text[LY_UUID_TEXT];
} rules_t;


static const db_call_t  call_take = { "work.shards_take", 3 };
static const db_call_t  call_context = { "work.rules_context", 5 };
static const db_call_t  call_settle = { "work.rules_settle", 4 };
static const db_call_t  call_sync = { "work.cursor_sync", 3 };
static const db_call_t  call_retry = { "work.rules_retry", 3 };
static const db_call_t  call_failed = { "work.rules_retry_failed", 6 };


static ly_err_t
rules_open(lane_t *lane)
{
    ly_err_t   err;
    rules_t   *rules;

    rules = calloc(1, sizeof(rules_t));
    if (rules == NULL) {
        return LY_NOMEM;
    }

    err = rules_cache_create(&rules->cache, lane->conf->zoneinfo);
    if (err != LY_OK) {
        free(rules);
        return err;
    }

    ly_buf_init(&rules->shards, RULES_SHARDS_TEXT, NULL);
    ly_buf_init(&rules->since, RULES_SINCE_MAX, NULL);
    rules->limit = lane->conf->rules_batch;
    lane->data = rules;

    return LY_OK;
}


static void
rules_keep(ly_buf_t *b, ly_str_t text)
{
    ly_buf_reset(b);
    ly_buf_str(b, text);

    /* a place that does not fit is looked up in the database again */
    if (ly_buf_err(b) != LY_OK) {
        ly_buf_reset(b);
    }
}


static ly_err_t
rules_connected(lane_t *lane)
{
    rules_t  *rules;

    rules = lane->data;
    rules->token = -1;
    ly_buf_reset(&rules->since);
    ly_buf_reset(&rules->shards);
    rules->nshards = 0;

    return LY_OK;
}


static ly_str_t
rules_int(ly_arena_t *a, int64_t v)
{
    unsigned char  *p;

    p = ly_arena_bytes(a, LY_INT64_TEXT);
    if (p == NULL) {
        return ly_str("");
    }

    return ly_str_of(p, ly_int64_print(v, p));
}


static ly_err_t
rules_sync(lane_t *lane)
{
    ly_err_t    err;
    ly_str_t    params[3];
    rules_t    *rules;
    db_rows_t   rows;

    rules = lane->data;

    if (!rules->moved || ly_buf_view(&rules->since).len == 0) {
        return LY_OK;
    }

    params[0] = lane->id_text;
    params[1] = rules_int(lane->arena, rules->token);
    params[2] = ly_buf_view(&rules->since);

    err = db_call(lane->db, lane->arena, &call_sync, params, &rows);

    if (err == LY_OK) {
        rules->moved = false;
        rules->sync_us = clock_mono_us();
    }

    return err;
}


static ly_err_t
rules_beat(lane_t *lane)
{
    int64_t     token;
    ly_err_t    err;
    ly_str_t    params[3], shards;
    rules_t    *rules;
    db_rows_t   rows;
    size_t      i;

    rules = lane->data;

    params[0] = lane->id_text;
    params[1] = rules_int(lane->arena, lane->conf->lease_ms);
    params[2] = rules->full ? ly_str("true") : ly_str("false");

    err = db_call(lane->db, lane->arena, &call_take, params, &rows);
    if (err != LY_OK) {
        return err;
    }

    rules->pressed = rules->full;
    rules->full = false;

    token = db_int(&rows, 0, 0);
    shards = db_text(&rows, 0, 1);

    if (token != rules->token) {
        ly_buf_reset(&rules->since);
        rules->token = token;
    }

    if (!ly_str_eq(shards, ly_buf_view(&rules->shards))) {

        rules_keep(&rules->shards, shards);
        rules->nshards = shards.len > 2;

        for (i = 0; i < shards.len; i++) {
            rules->nshards += (shards.data[i] == ',');
        }

        log_line(LY_LOG_INFO, "shards", ly_log_uint("shards", rules->nshards),
                 ly_log_int("token", token));
    }

    if (clock_mono_us() - rules->sync_us > RULES_SYNC_US) {
        return rules_sync(lane);
    }

    return LY_OK;
}


/* p_cursor of work.rules_settle() */
static ly_err_t
rules_cursor(rules_t *rules, batch_t *batch, ly_str_t *out)
{
    size_t          i, k;
    ly_jw_t         w;
    ly_buf_t        b;
    ly_str_t        shards;
    batch_event_t  *last;

    ly_buf_init_arena(&b, batch->arena, BATCH_RESULT_MAX);
    ly_jw_init(&w, &b);
    ly_jw_object(&w);
    ly_jw_kstr(&w, "mode", batch->mode);
    ly_jw_kstr(&w, "now", batch->now);
    ly_jw_kbool(&w, "drained", batch->drained);

    if (ly_buf_view(&rules->since).len != 0) {
        ly_jw_k(&w, "since");
        ly_jw_raw(&w, ly_buf_view(&rules->since));
    }

    /* "{0,1}" to [0,1] */
    shards = ly_buf_view(&rules->shards);
    ly_jw_k(&w, "shards");
    ly_jw_array(&w);

    for (i = 1; i + 1 < shards.len; i = k + 1) {
        for (k = i; k + 1 < shards.len && shards.data[k] != ','; k++) {
            /* void */
        }

        ly_jw_number(&w, ly_str_of(shards.data + i, k - i));
    }

    ly_jw_array_end(&w);

    ly_jw_k(&w, "touched");
    ly_jw_array(&w);

    for (i = 0; i < batch->done; i++) {

        last = &batch->events[i];

        for (k = i + 1; k < batch->done; k++) {
            if (ly_str_eq(batch->events[k].shard, last->shard)) {
                break;
            }
        }

        if (k < batch->done) {
            continue;
        }

        ly_jw_array(&w);
        ly_jw_number(&w, last->shard);
        ly_jw_number(&w, last->log_id);
        ly_jw_array_end(&w);
    }

    ly_jw_array_end(&w);

    if (batch->done != 0) {
        last = &batch->events[batch->done - 1];
        ly_jw_kstr(&w, "xid", last->xid);
        ly_jw_kstr(&w, "log_id", last->log_id);
    }

    ly_jw_object_end(&w);
    *out = ly_buf_view(&b);

    return ly_jw_done(&w);
}


/* committed, if it is LY_OK */
static ly_err_t
rules_settle(lane_t *lane, batch_t *batch, ly_str_t cursor, db_rows_t *rows)
{
    ly_err_t   err;
    ly_str_t   params[4];
    rules_t   *rules;

    rules = lane->data;

    params[0] = lane->id_text;
    params[1] = rules_int(lane->arena, rules->token);
    params[2] = cursor;

    err = batch_result(batch, lane->conf->retry_first_ms, &params[3]);
    if (err != LY_OK) {
        return err;
    }

    return db_call_commit(lane->db, lane->arena, &call_settle, params, rows);
}


static void
rules_batch_init(lane_t *lane, batch_t *batch)
{
    rules_t  *rules;

    rules = lane->data;

    memset(batch, 0, sizeof(batch_t));
    batch->arena = lane->arena;
    batch->db = lane->db;
    batch->cache = rules->cache;
    batch->now_ms = clock_ms();

    if (rules->has_poison) {
        batch->poison = ly_str_of(rules->poison_text, LY_UUID_TEXT);
        batch->poison_code = ly_str_c(rules->poison_code);
    }
}


/* --- retries ---------------------------------------------------------- */

/*
 * The server lacks room, memory or a disk that works: no event's fault,
 * however often it fails.
 */
static bool
rules_starved(const db_fault_t *fault)
{
    return strncmp(fault->sqlstate, "53", 2) == 0
           || strncmp(fault->sqlstate, "58", 2) == 0;
}


static ly_err_t
rules_retry_failed(lane_t *lane, const batch_t *batch, ly_err_t why)
{
    ly_err_t    err;
    ly_str_t    params[6], what;
    db_rows_t   rows;
    db_fault_t  fault;

    /* the next call forgets it */
    fault = *db_fault(lane->db);

    params[0] = batch->events[0].log_id;
    params[1] = batch->events[0].id;
    params[2] = ly_str_c(fault.sqlstate[0] == '\0' ? ly_err_name(why)
                                                   : fault.sqlstate);
    params[3] = rules_int(lane->arena, lane->conf->retry_first_ms);
    params[4] = rules_int(lane->arena, lane->conf->retry_max_ms);
    params[5] = rules_int(lane->arena, lane->conf->quarantine_ms);

    lane_fault(lane, "event failed again");
    db_rollback(lane->db);

    err = db_call(lane->db, lane->arena, &call_failed, params, &rows);
    if (err != LY_OK) {
        return err;
    }

    what = db_text(&rows, 0, 0);

    if (ly_str_eq(what, ly_str("quarantined"))) {
        lane->stats->quarantined++;

        log_line(LY_LOG_ERROR, "event is quarantined",
                 ly_log_str("tenant", batch->events[0].tenant->id),
                 ly_log_str("event", batch->events[0].id),
                 ly_log_str("code", params[2]));
    }

    return LY_OK;
}


/* one event that is due for another try; *found says whether there was one */
static ly_err_t
rules_retry(lane_t *lane, bool *found)
{
    ly_err_t    err;
    ly_str_t    params[3], cursor;
    rules_t    *rules;
    batch_t     batch;
    db_rows_t   rows, done;
    ly_jw_t     w;
    ly_buf_t    b;

    rules = lane->data;
    *found = false;

    params[0] = lane->id_text;
    params[1] = rules_int(lane->arena, rules->token);
    params[2] = ly_buf_view(&rules->shards);

    db_begin(lane->db);
    err = db_call(lane->db, lane->arena, &call_retry, params, &rows);

    if (err != LY_OK) {
        return err;
    }

    if (rows.rows == 0) {
        return db_commit(lane->db);
    }

    rules_batch_init(lane, &batch);
    batch.poison = ly_str("");

    err = batch_read(&batch, &rows);
    if (err != LY_OK || batch.n == 0) {
        return err == LY_OK ? LY_FATAL : err;
    }

    *found = true;
    ly_buf_init_arena(&b, lane->arena, 256);
    ly_jw_init(&w, &b);
    ly_jw_object(&w);
    ly_jw_kcstr(&w, "mode", "retry");
    ly_jw_kstr(&w, "job", batch.events[0].log_id);
    ly_jw_object_end(&w);
    cursor = ly_buf_view(&b);

    err = ly_jw_done(&w);

    if (err == LY_OK) {
        err = batch_evaluate(&batch);
    }

    if (err == LY_OK && batch.failed != 0) {
        err = LY_PARSE;
    }

    if (err == LY_OK) {
        err = rules_settle(lane, &batch, cursor, &done);
    }

    if (err == LY_OK) {
        lane->stats->items++;
        lane_hint(lane);

        log_line(LY_LOG_INFO, "event settled after a wait",
                 ly_log_str("tenant", batch.events[0].tenant->id),
                 ly_log_str("event", batch.events[0].id));
        return LY_OK;
    }

    if (!db_connected(lane->db) || rules_starved(db_fault(lane->db))) {
        return err;
    }

    return rules_retry_failed(lane, &batch, err);
}


/* --- batches ---------------------------------------------------------- */

/* what a failed batch teaches: halve it, and park what fails alone */
static void
rules_failed(lane_t *lane, const batch_t *batch, ly_err_t err)
{
    rules_t            *rules;
    const db_fault_t   *fault;

    rules = lane->data;
    fault = db_fault(lane->db);

    if (!db_connected(lane->db) || batch->n == 0) {
        return;
    }

    /* another owner was faster: not the events' fault */
    if (strcmp(fault->constraint, "event_outcome_pk") == 0) {
        ly_buf_reset(&rules->since);
        return;
    }

    if (batch->n > 1) {
        rules->limit = (int64_t) batch->n / 2;
        rules->tries = 0;
        return;
    }

    rules->limit = 1;

    if (rules_starved(fault)) {
        return;
    }

    rules->tries++;

    if (err == LY_TEMP && rules->tries < RULES_TRIES) {
        return;
    }

    if (ly_uuid_parse(batch->events[0].id, &rules->poison) == LY_OK) {
        ly_uuid_print(&rules->poison, rules->poison_text);
        memcpy(rules->poison_code, fault->sqlstate, sizeof(fault->sqlstate));
        rules->has_poison = true;

        log_line(LY_LOG_ERROR, "event is parked",
                 ly_log_str("tenant", batch->events[0].tenant->id),
                 ly_log_str("event", batch->events[0].id),
                 ly_log_cstr("code", fault->sqlstate),
                 ly_log_cstr("constraint", fault->constraint),
                 ly_log_cstr("where", fault->where));
    }
}


static void
rules_settled(lane_t *lane, const batch_t *batch, const db_rows_t *rows,
    int64_t began_us)
{
    rules_t  *rules;

    rules = lane->data;

    rules_keep(&rules->since, db_text(rows, 0, 0));
    rules->moved = true;
    rules->tries = 0;

    if (rules->has_poison) {
        rules->has_poison = false;
        lane->stats->parked++;
    }

    if (rules->limit < lane->conf->rules_batch) {
        rules->limit *= 2;
    }

    if (rules->limit > lane->conf->rules_batch) {
        rules->limit = lane->conf->rules_batch;
    }

    if (batch->done == 0) {
        return;
    }

    lane->stats->turns++;
    lane->stats->items += (int64_t) batch->done;
    lane->stats->parked += (int64_t) batch->failed;
    lane_hint(lane);

    if (db_true(rows, 0, 1)) {
        lane_poke(lane, "webhooks");
    }

    log_line(LY_LOG_INFO, "batch settled",
             ly_log_uint("events", batch->done),
             ly_log_uint("tenants", batch->ntenants),
             ly_log_uint("failed", batch->failed),
             ly_log_cstr("mode", ly_str_eq(batch->mode, ly_str("since"))
                                 ? "since" : "sweep"),
             ly_log_int("us", clock_mono_us() - began_us));
}


/* nothing was there: the place in the log is the snapshot that saw it */
static void
rules_passed(rules_t *rules, const batch_t *batch)
{
    ly_jw_t  w;

    ly_buf_reset(&rules->since);
    ly_jw_init(&w, &rules->since);
    ly_jw_object(&w);
    ly_jw_kstr(&w, "low", batch->now);
    ly_jw_object_end(&w);

    if (ly_jw_done(&w) != LY_OK) {
        ly_buf_reset(&rules->since);
    }

    rules->moved = true;
}


/* context, evaluation, settle, commit */
static ly_err_t
rules_batch(lane_t *lane, batch_t *batch)
{
    int64_t     began;
    ly_err_t    err;
    ly_str_t    params[5], cursor;
    rules_t    *rules;
    db_rows_t   rows, done;

    rules = lane->data;
    began = clock_mono_us();

    params[0] = lane->id_text;
    params[1] = rules_int(lane->arena, rules->token);
    params[2] = ly_buf_view(&rules->shards);
    params[3] = rules_int(lane->arena, rules->limit);
    params[4] = ly_buf_view(&rules->since);

    if (params[4].len == 0) {
        params[4].data = NULL;
    }

    db_begin(lane->db);
    err = db_call(lane->db, lane->arena, &call_context, params, &rows);

    if (err == LY_OK) {
        err = batch_read(batch, &rows);
    }

    if (err == LY_OK && batch->lost) {
        db_rollback(lane->db);
        rules->token = -1;
        lane->beat_us = 0;
        return LY_OK;
    }

    if (err == LY_OK) {
        err = batch_evaluate(batch);
    }

    /* an empty turn that knows its place writes nothing */
    if (err == LY_OK && batch->n == 0
        && ly_str_eq(batch->mode, ly_str("since")))
    {
        rules_passed(rules, batch);
        return db_commit(lane->db);
    }

    if (err == LY_OK) {
        err = rules_cursor(rules, batch, &cursor);
    }

    /* a lost connection leaves it unknown: the cursors know */
    if (err == LY_OK) {
        err = rules_settle(lane, batch, cursor, &done);
    }

    if (err == LY_OK) {
        rules_settled(lane, batch, &done, began);
    }

    return err;
}


/*
 * A batch costs several times what an order in it costs.  Orders that come one
 * by one meet in a batch if it does not follow the last at once; one that
 * comes after a rest does not wait.
 */
static void
rules_pace(lane_t *lane, rules_t *rules)
{
    int64_t          left, now;
    struct timespec  ts;

    now = clock_mono_us();
    left = rules->began_us + lane->conf->rules_pace_ms * 1000 - now;

    if (rules->began_us != 0 && left > 0) {
        ts.tv_sec = left / 1000000;
        ts.tv_nsec = left % 1000000 * 1000;

        /* a signal ends it early, which is fine */
        (void) nanosleep(&ts, NULL);
        now += left;
    }

    rules->began_us = now;
}


static ly_err_t
rules_turn(lane_t *lane, int64_t *wait_ms)
{
    bool      found;
    ly_err_t  err;
    rules_t  *rules;
    batch_t   batch;

    rules = lane->data;
    *wait_ms = lane->conf->rules_poll_ms;

    if (rules->nshards == 0) {
        return LY_OK;
    }

    rules_pace(lane, rules);
    rules_cache_trim(rules->cache);

    if (clock_mono_us() - rules->retry_us > RULES_RETRY_US) {

        err = rules_retry(lane, &found);

        if (err != LY_OK && err != LY_DENIED) {
            return err;
        }

        /* what cannot even be read must not keep the log waiting */
        if (err == LY_DENIED) {
            lane_fault(lane, "retries cannot be read");
            db_rollback(lane->db);
            found = false;
        }

        /* several that are due are taken one after the other */
        if (!found) {
            rules->retry_us = clock_mono_us();
        }
    }

    rules_batch_init(lane, &batch);

    err = rules_batch(lane, &batch);

    if (err != LY_OK) {
        rules_failed(lane, &batch, err);
    }

    /* refused: a smaller batch, or without the one, is tried at once */
    if (err == LY_DENIED && db_connected(lane->db)) {
        lane->stats->failures++;
        lane_fault(lane, "batch failed");
        db_rollback(lane->db);

        /* not even putting it aside works: in no hurry */
        if (batch.poison.len != 0) {
            return LY_TEMP;
        }

        *wait_ms = 0;
        return LY_OK;
    }

    if (err != LY_OK) {
        return err;
    }

    /* what came since has poked, or is found by the next look */
    if ((batch.n != 0 && !batch.drained) || batch.lost
        || ly_buf_view(&rules->since).len == 0)
    {
        *wait_ms = 0;
    }

    if (!batch.drained) {
        rules->began_us = 0;
    }

    /* more waits than one slot takes at once: the others hear of it now */
    if (batch.done >= (size_t) lane->conf->rules_batch) {
        rules->full = true;

        if (!rules->pressed) {
            lane->beat_us = 0;
        }
    }

    return LY_OK;
}


static void
rules_close(lane_t *lane)
{
    rules_t  *rules;

    rules = lane->data;

    if (db_connected(lane->db) && rules_sync(lane) != LY_OK) {
        db_rollback(lane->db);
    }

    rules_cache_destroy(rules->cache);
    ly_buf_free(&rules->shards);
    ly_buf_free(&rules->since);
    free(rules);
}


const lane_kind_t  lane_rules = {
    .name = "rules",
    .slots = offsetof(config_t, rules_slots),
    .open = rules_open,
    .connected = rules_connected,
    .beat = rules_beat,
    .turn = rules_turn,
    .close = rules_close
};
