/*
 * A pool of connections: what waits, which connection takes it, and how a call
 * ends.  Replies come in the order of the calls; a connection that owes one is
 * never given up without being closed.
 */

#include "ngx_loyalty_pg_int.h"


static void ngx_loyalty_pg_waits(ngx_loyalty_pg_t *pg, ngx_int_t n);
static ngx_loyalty_pg_conn_t *ngx_loyalty_pg_place(ngx_loyalty_pg_t *pg);
static ngx_uint_t ngx_loyalty_pg_admitted(ngx_loyalty_pg_t *pg,
    ngx_loyalty_pg_slot_t *slot);
static void ngx_loyalty_pg_fail_waiting(ngx_loyalty_pg_t *pg);
static void ngx_loyalty_pg_waiting_handler(ngx_event_t *ev);
static void ngx_loyalty_pg_posted_handler(ngx_event_t *ev);


ngx_loyalty_pg_t *
ngx_loyalty_pg_create(ngx_cycle_t *cycle, ngx_loyalty_pg_conf_t *conf)
{
    ngx_uint_t              i;
    ngx_loyalty_pg_t       *pg;
    ngx_loyalty_pg_conn_t  *conn;

    pg = ngx_pcalloc(cycle->pool, sizeof(ngx_loyalty_pg_t));
    if (pg == NULL) {
        return NULL;
    }

    pg->conf = conf;
    pg->cycle = cycle;
    pg->log = cycle->log;
    pg->fd = -1;
    pg->backoff = NGX_LOYALTY_PG_BACKOFF_MIN;

    if (conf->connections == 0) {
        conf->connections = 1;
    }

    if (conf->connections > NGX_LOYALTY_PG_CONNECTIONS) {
        conf->connections = NGX_LOYALTY_PG_CONNECTIONS;
    }

    if (conf->depth == 0) {
        conf->depth = 1;
    }

    ngx_queue_init(&pg->waiting);
    ngx_queue_init(&pg->free);

    pg->timer.handler = ngx_loyalty_pg_waiting_handler;
    pg->timer.data = pg;
    pg->timer.log = pg->log;

    pg->retry.handler = ngx_loyalty_pg_retry_handler;
    pg->retry.data = pg;
    pg->retry.log = pg->log;
    pg->retry.cancelable = 1;

    pg->posted.handler = ngx_loyalty_pg_posted_handler;
    pg->posted.data = pg;
    pg->posted.log = pg->log;

    for (i = 0; i < conf->connections; i++) {
        conn = &pg->conns[i];

        conn->pg = pg;
        conn->fd = -1;
        conn->timer.handler = ngx_loyalty_pg_timer_handler;
        conn->timer.data = conn;
        conn->timer.log = pg->log;

        ngx_queue_init(&conn->sent);
    }

    if (ngx_loyalty_pg_options(pg) != NGX_OK) {
        return NULL;
    }

    ngx_loyalty_pg_connect(&pg->conns[0]);

    return pg;
}


void
ngx_loyalty_pg_destroy(ngx_loyalty_pg_t *pg)
{
    ngx_uint_t              i;
    ngx_queue_t            *q;
    ngx_loyalty_pg_slot_t  *slot;
    ngx_loyalty_pg_conn_t  *conn;

    if (pg == NULL) {
        return;
    }

    pg->closing = 1;

    /* the process' place in shared memory may be another's by now */
    pg->conf->gauges = NULL;

    for (i = 0; i < pg->conf->connections; i++) {
        conn = &pg->conns[i];

        ngx_loyalty_pg_close(conn);

        for (q = ngx_queue_head(&conn->sent);
             q != ngx_queue_sentinel(&conn->sent);
             q = ngx_queue_next(q))
        {
            slot = ngx_queue_data(q, ngx_loyalty_pg_slot_t, queue);

            if (slot->call) {
                slot->call->slot = NULL;
                slot->call = NULL;
            }

            PQclear(slot->result);
            slot->result = NULL;
        }
    }

    if (pg->timer.timer_set) {
        ngx_del_timer(&pg->timer);
    }

    if (pg->retry.timer_set) {
        ngx_del_timer(&pg->retry);
    }

    if (pg->posted.posted) {
        ngx_delete_posted_event(&pg->posted);
    }
}


ngx_int_t
ngx_loyalty_pg_call(ngx_loyalty_pg_t *pg, ngx_loyalty_pg_call_t *call)
{
    ngx_queue_t            *q;
    ngx_loyalty_pg_slot_t  *slot;

    if (pg->closing) {
        return NGX_DECLINED;
    }

    if (pg->failing && pg->stat[NGX_LOYALTY_PG_N_OPEN] == 0) {
        ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_DOWN, 1);
        return NGX_DECLINED;
    }

    if (pg->nwaiting >= pg->conf->queue && pg->nwaiting > 0) {
        ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_BUSY, 1);
        return NGX_BUSY;
    }

    if (!ngx_queue_empty(&pg->free)) {
        q = ngx_queue_head(&pg->free);
        ngx_queue_remove(q);
        slot = ngx_queue_data(q, ngx_loyalty_pg_slot_t, queue);

    } else {
        slot = ngx_palloc(pg->cycle->pool, sizeof(ngx_loyalty_pg_slot_t));
        if (slot == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_memzero(slot, sizeof(ngx_loyalty_pg_slot_t));

    slot->pg = pg;
    slot->call = call;
    slot->statement = call->statement;
    slot->member = call->member;
    slot->group = call->group;
    slot->limit = call->limit;
    slot->start = ngx_current_msec;
    slot->deadline = ngx_current_msec + pg->conf->timeout;

    call->slot = slot;

    ngx_loyalty_pg_wait(pg, slot, 0);
    ngx_loyalty_pg_dispatch(pg);

    return NGX_OK;
}


void
ngx_loyalty_pg_cancel(ngx_loyalty_pg_call_t *call)
{
    ngx_loyalty_pg_t       *pg;
    ngx_loyalty_pg_slot_t  *slot;

    slot = call->slot;

    if (slot == NULL) {
        return;
    }

    call->slot = NULL;
    slot->call = NULL;

    if (slot->conn) {
        /* its reply is still due; the slot keeps the place */
        return;
    }

    pg = slot->pg;

    ngx_queue_remove(&slot->queue);
    ngx_queue_insert_head(&pg->free, &slot->queue);

    ngx_loyalty_pg_waits(pg, -1);

    if (pg->nwaiting == 0 && pg->timer.timer_set) {
        ngx_del_timer(&pg->timer);
    }
}


ngx_str_t
ngx_loyalty_pg_value(ngx_loyalty_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t column)
{
    PGresult   *native;
    ngx_str_t   value;

    native = res->native;

    if (native == NULL || row >= res->rows || column >= res->columns
        || PQgetisnull(native, (int) row, (int) column))
    {
        ngx_str_null(&value);
        return value;
    }

    value.data = (u_char *) PQgetvalue(native, (int) row, (int) column);
    value.len = (size_t) PQgetlength(native, (int) row, (int) column);

    return value;
}


ngx_uint_t
ngx_loyalty_pg_ready(ngx_loyalty_pg_t *pg)
{
    return pg && pg->stat[NGX_LOYALTY_PG_N_OPEN] > 0;
}


void
ngx_loyalty_pg_count(ngx_loyalty_pg_t *pg, ngx_loyalty_pg_stat_e i,
    ngx_atomic_int_t n)
{
    pg->stat[i] += n;

    if (i < NGX_LOYALTY_PG_FIRST_GAUGE) {
        if (pg->conf->counters) {
            (void) ngx_atomic_fetch_add(&pg->conf->counters[i], n);
        }

    } else if (pg->conf->gauges) {
        pg->conf->gauges[i - NGX_LOYALTY_PG_FIRST_GAUGE]
            = (ngx_atomic_uint_t) pg->stat[i];
    }
}


static void
ngx_loyalty_pg_waits(ngx_loyalty_pg_t *pg, ngx_int_t n)
{
    pg->nwaiting += n;
    ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_QUEUED, n);
}


void
ngx_loyalty_pg_wait(ngx_loyalty_pg_t *pg, ngx_loyalty_pg_slot_t *slot,
    ngx_uint_t first)
{
    slot->conn = NULL;

    if (first) {
        ngx_queue_insert_head(&pg->waiting, &slot->queue);

    } else {
        ngx_queue_insert_tail(&pg->waiting, &slot->queue);
    }

    ngx_loyalty_pg_waits(pg, 1);

    if (!pg->timer.timer_set) {
        ngx_add_timer(&pg->timer, pg->conf->timeout);
    }
}


void
ngx_loyalty_pg_dispatch(ngx_loyalty_pg_t *pg)
{
    ngx_queue_t            *q, *next;
    ngx_loyalty_pg_conn_t  *conn;
    ngx_loyalty_pg_slot_t  *slot;

    for (q = ngx_queue_head(&pg->waiting);
         q != ngx_queue_sentinel(&pg->waiting);
         q = next)
    {
        next = ngx_queue_next(q);
        slot = ngx_queue_data(q, ngx_loyalty_pg_slot_t, queue);

        conn = ngx_loyalty_pg_place(pg);

        if (conn == NULL) {
            ngx_loyalty_pg_grow(pg);
            break;
        }

        if (!ngx_loyalty_pg_admitted(pg, slot)) {
            continue;
        }

        ngx_queue_remove(q);
        ngx_loyalty_pg_waits(pg, -1);

        if (ngx_loyalty_pg_send(conn, slot) != NGX_OK) {

            /* closed from the event loop: no handler runs from here */

            conn->broken = 1;
            ngx_loyalty_pg_post(pg);
        }
    }

    if (pg->nwaiting == 0 && pg->timer.timer_set) {
        ngx_del_timer(&pg->timer);
    }
}


/* the connection that owes the fewest replies */
static ngx_loyalty_pg_conn_t *
ngx_loyalty_pg_place(ngx_loyalty_pg_t *pg)
{
    ngx_uint_t              i;
    ngx_loyalty_pg_conn_t  *conn, *best;

    best = NULL;

    for (i = 0; i < pg->conf->connections; i++) {
        conn = &pg->conns[i];

        if (conn->state != NGX_LOYALTY_PG_UP || conn->broken
            || conn->nsent >= pg->conf->depth)
        {
            continue;
        }

        if (conn->nsent == 0) {
            return conn;
        }

        if (best == NULL || conn->nsent < best->nsent) {
            best = conn;
        }
    }

    /* a place behind others is taken, but a connection more is asked for */

    if (best) {
        ngx_loyalty_pg_grow(pg);
    }

    return best;
}


static ngx_uint_t
ngx_loyalty_pg_admitted(ngx_loyalty_pg_t *pg, ngx_loyalty_pg_slot_t *slot)
{
    ngx_uint_t              i, n;
    ngx_queue_t            *q;
    ngx_loyalty_pg_conn_t  *conn;
    ngx_loyalty_pg_slot_t  *other;

    if (slot->member == 0 && (slot->group == 0 || slot->limit == 0)) {
        return 1;
    }

    n = 0;

    for (i = 0; i < pg->conf->connections; i++) {
        conn = &pg->conns[i];

        for (q = ngx_queue_head(&conn->sent);
             q != ngx_queue_sentinel(&conn->sent);
             q = ngx_queue_next(q))
        {
            other = ngx_queue_data(q, ngx_loyalty_pg_slot_t, queue);

            if (slot->member && other->member == slot->member) {
                return 0;
            }

            if (slot->group && other->group == slot->group) {
                n++;
            }
        }
    }

    return slot->limit == 0 || n < slot->limit;
}


void
ngx_loyalty_pg_answer(ngx_loyalty_pg_t *pg, ngx_loyalty_pg_slot_t *slot,
    ngx_loyalty_pg_outcome_e outcome)
{
    char                     *state;
    ngx_str_t                 message;
    PGresult                 *native;
    ngx_loyalty_pg_call_t    *call;
    ngx_loyalty_pg_result_t   res;

    call = slot->call;
    native = slot->result;

    ngx_memzero(&res, sizeof(ngx_loyalty_pg_result_t));

    res.outcome = outcome;
    res.elapsed = ngx_current_msec - slot->start;

    switch (outcome) {

    case NGX_LOYALTY_PG_OK:
        ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_CALLS, 1);
        res.native = native;
        res.rows = (ngx_uint_t) PQntuples(native);
        res.columns = (ngx_uint_t) PQnfields(native);
        break;

    case NGX_LOYALTY_PG_REFUSED:
        ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_REFUSED, 1);

        state = native ? PQresultErrorField(native, PG_DIAG_SQLSTATE) : NULL;
        (void) ngx_cpystrn((u_char *) res.sqlstate,
                           (u_char *) (state ? state : "XX000"),
                           sizeof(res.sqlstate));

        /* primary message only: a detail may carry values */

        message = ngx_loyalty_pg_message(native
                        ? PQresultErrorField(native, PG_DIAG_MESSAGE_PRIMARY)
                        : "no result");

        ngx_log_error(NGX_LOG_ERR, pg->log, 0,
                      "loyalty database \"%V\" refused \"%s\": %s %V",
                      &pg->conf->name, slot->statement->name, res.sqlstate,
                      &message);
        break;

    case NGX_LOYALTY_PG_BUSY:
        ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_BUSY, 1);
        break;

    case NGX_LOYALTY_PG_DOWN:
        ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_DOWN, 1);
        break;

    case NGX_LOYALTY_PG_UNKNOWN:
        ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_UNKNOWN, 1);
        break;
    }

    slot->call = NULL;
    slot->result = NULL;
    ngx_queue_insert_head(&pg->free, &slot->queue);

    if (call) {
        call->slot = NULL;
        call->handler(call, &res);
    }

    PQclear(native);
}


static void
ngx_loyalty_pg_fail_waiting(ngx_loyalty_pg_t *pg)
{
    ngx_queue_t            *q;
    ngx_loyalty_pg_slot_t  *slot;

    while (!ngx_queue_empty(&pg->waiting)) {
        q = ngx_queue_head(&pg->waiting);
        ngx_queue_remove(q);
        slot = ngx_queue_data(q, ngx_loyalty_pg_slot_t, queue);

        ngx_loyalty_pg_waits(pg, -1);

        ngx_loyalty_pg_answer(pg, slot, slot->sent ? NGX_LOYALTY_PG_UNKNOWN
                                                   : NGX_LOYALTY_PG_DOWN);
    }

    if (pg->timer.timer_set) {
        ngx_del_timer(&pg->timer);
    }
}


static void
ngx_loyalty_pg_waiting_handler(ngx_event_t *ev)
{
    ngx_msec_int_t          left;
    ngx_queue_t            *q, *next;
    ngx_loyalty_pg_t       *pg;
    ngx_loyalty_pg_slot_t  *slot;
    ngx_queue_t             late;

    pg = ev->data;
    left = (ngx_msec_int_t) pg->conf->timeout;

    ngx_queue_init(&late);

    for (q = ngx_queue_head(&pg->waiting);
         q != ngx_queue_sentinel(&pg->waiting);
         q = next)
    {
        next = ngx_queue_next(q);
        slot = ngx_queue_data(q, ngx_loyalty_pg_slot_t, queue);

        if ((ngx_msec_int_t) (slot->deadline - ngx_current_msec) > 0) {
            left = ngx_min(left, (ngx_msec_int_t)
                           (slot->deadline - ngx_current_msec));
            continue;
        }

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&late, q);
    }

    if (!ngx_queue_empty(&late)) {
        ngx_log_error(NGX_LOG_WARN, pg->log, 0,
                      "calls waited too long for loyalty database \"%V\"",
                      &pg->conf->name);
    }

    while (!ngx_queue_empty(&late)) {
        q = ngx_queue_head(&late);
        ngx_queue_remove(q);
        slot = ngx_queue_data(q, ngx_loyalty_pg_slot_t, queue);

        ngx_loyalty_pg_waits(pg, -1);

        ngx_loyalty_pg_answer(pg, slot, slot->sent ? NGX_LOYALTY_PG_UNKNOWN
                                                   : NGX_LOYALTY_PG_BUSY);
    }

    if (pg->nwaiting && !pg->timer.timer_set) {
        ngx_add_timer(&pg->timer, (ngx_msec_t) left);
    }
}


void
ngx_loyalty_pg_post(ngx_loyalty_pg_t *pg)
{
    if (!pg->posted.posted) {
        ngx_post_event(&pg->posted, &ngx_posted_events);
    }
}


static void
ngx_loyalty_pg_posted_handler(ngx_event_t *ev)
{
    ngx_uint_t              i;
    ngx_loyalty_pg_t       *pg;
    ngx_loyalty_pg_conn_t  *conn;

    pg = ev->data;

    for (i = 0; i < pg->conf->connections; i++) {
        conn = &pg->conns[i];

        if (conn->broken && conn->state == NGX_LOYALTY_PG_UP
            && !conn->reading)
        {
            ngx_loyalty_pg_lost(conn);
        }
    }

    if (pg->failing && pg->stat[NGX_LOYALTY_PG_N_OPEN] == 0) {
        ngx_loyalty_pg_fail_waiting(pg);
        return;
    }

    ngx_loyalty_pg_dispatch(pg);
}
