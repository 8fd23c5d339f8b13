/*
 * Connections are in pipeline mode always: a call is [Parse] Bind Execute
 * Sync, and its result counts only when the Sync has come back.
 */

#include "ngx_loyalty_pg_int.h"


static void ngx_loyalty_pg_take(ngx_loyalty_pg_conn_t *conn,
    ngx_loyalty_pg_slot_t *slot, PGresult *res);
static void ngx_loyalty_pg_synced(ngx_loyalty_pg_conn_t *conn,
    ngx_loyalty_pg_slot_t *slot);
static ngx_uint_t ngx_loyalty_pg_repeat(ngx_loyalty_pg_conn_t *conn,
    ngx_loyalty_pg_slot_t *slot);


ngx_int_t
ngx_loyalty_pg_send(ngx_loyalty_pg_conn_t *conn, ngx_loyalty_pg_slot_t *slot)
{
    int                                rc;
    u_char                             name[NGX_LOYALTY_PG_NAME], *p;
    ngx_loyalty_pg_t                  *pg;
    const ngx_loyalty_pg_statement_t  *st;

    pg = conn->pg;
    st = slot->statement;

    if (!slot->sent && ngx_current_msec != slot->start) {
        ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_QUEUE_MS,
                             (ngx_atomic_int_t)
                             (ngx_current_msec - slot->start));
    }

    slot->conn = conn;
    slot->sent = 1;
    slot->preparing = 0;

    ngx_queue_insert_tail(&conn->sent, &slot->queue);
    conn->nsent++;
    ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_IN_FLIGHT, 1);

    conn->c->idle = 0;

    if (!conn->timer.timer_set) {
        ngx_add_timer(&conn->timer, pg->conf->timeout);
    }

    p = ngx_slprintf(name, name + sizeof(name) - 1, "%s_%ui", st->name,
                     (ngx_uint_t) conn->version[st->id]);
    *p = '\0';

    if (!conn->prepared[st->id]) {
        if (!PQsendPrepare(conn->db, (char *) name, st->sql, 0, NULL)) {
            return NGX_ERROR;
        }

        conn->prepared[st->id] = 1;
        slot->preparing = 1;
    }

    rc = PQsendQueryPrepared(conn->db, (char *) name, (int) st->params,
                             (const char *const *) slot->call->values, NULL,
                             NULL, 0);

    if (!rc || !PQpipelineSync(conn->db)) {
        return NGX_ERROR;
    }

    return ngx_loyalty_pg_flush(conn);
}


ngx_int_t
ngx_loyalty_pg_flush(ngx_loyalty_pg_conn_t *conn)
{
    int           rc;
    ngx_event_t  *wev;

    rc = PQflush(conn->db);

    if (rc < 0) {
        return NGX_ERROR;
    }

    wev = conn->c->write;

    if (rc == 1 && !wev->active) {
        return ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }

    if (rc == 0 && wev->active) {
        return ngx_del_event(wev, NGX_WRITE_EVENT, 0);
    }

    return NGX_OK;
}


void
ngx_loyalty_pg_read(ngx_loyalty_pg_conn_t *conn)
{
    PGresult               *res;
    ngx_loyalty_pg_t       *pg;
    ngx_loyalty_pg_slot_t  *slot;

    pg = conn->pg;

    if (!PQconsumeInput(conn->db) || ngx_loyalty_pg_flush(conn) != NGX_OK) {

        /* libpq may have read replies before it saw the end */

        conn->broken = 1;
    }

    conn->reading = 1;

    while (conn->nsent) {

        if (PQisBusy(conn->db)) {
            break;
        }

        res = PQgetResult(conn->db);

        if (res == NULL) {
            if (++conn->nulls > 2) {
                /* replies are due and libpq knows of none */
                conn->broken = 1;
                break;
            }

            continue;
        }

        conn->nulls = 0;

        slot = ngx_queue_data(ngx_queue_head(&conn->sent),
                              ngx_loyalty_pg_slot_t, queue);

        ngx_loyalty_pg_take(conn, slot, res);
    }

    if (conn->nsent == 0) {
        conn->nulls = 0;
        (void) PQisBusy(conn->db);      /* takes in what nobody asked for */
    }

    conn->reading = 0;

    if (conn->broken || PQstatus(conn->db) == CONNECTION_BAD) {
        ngx_loyalty_pg_lost(conn);
        return;
    }

    if (conn->nsent == 0) {
        if (ngx_exiting && pg->nwaiting == 0) {
            ngx_loyalty_pg_close(conn);
            return;
        }

        conn->c->idle = 1;
    }

    if (pg->nwaiting) {
        ngx_loyalty_pg_dispatch(pg);
    }
}


static void
ngx_loyalty_pg_take(ngx_loyalty_pg_conn_t *conn, ngx_loyalty_pg_slot_t *slot,
    PGresult *res)
{
    switch (PQresultStatus(res)) {

    case PGRES_PIPELINE_SYNC:
        PQclear(res);
        ngx_loyalty_pg_synced(conn, slot);
        return;

    case PGRES_COMMAND_OK:
    case PGRES_PIPELINE_ABORTED:
        PQclear(res);
        return;

    case PGRES_TUPLES_OK:
        if (slot->result == NULL) {
            slot->result = res;
            return;
        }

        PQclear(res);
        return;

    default:

        /*
         * An error counts more than rows before it: they were sent before the
         * commit that failed.
         */

        if (slot->result
            && PQresultStatus(slot->result) != PGRES_TUPLES_OK)
        {
            PQclear(res);
            return;
        }

        PQclear(slot->result);
        slot->result = res;
    }
}


static void
ngx_loyalty_pg_synced(ngx_loyalty_pg_conn_t *conn, ngx_loyalty_pg_slot_t *slot)
{
    ngx_loyalty_pg_t          *pg;
    ngx_loyalty_pg_outcome_e   outcome;

    pg = conn->pg;

    ngx_queue_remove(&slot->queue);
    conn->nsent--;
    ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_IN_FLIGHT, -1);
    slot->conn = NULL;

    /* the timer measures progress; adding it again is lazy */

    if (conn->nsent) {
        ngx_add_timer(&conn->timer, pg->conf->timeout);

    } else if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    if (slot->result && PQresultStatus(slot->result) == PGRES_TUPLES_OK) {
        outcome = NGX_LOYALTY_PG_OK;

    } else {

        if (slot->preparing) {
            conn->prepared[slot->statement->id] = 0;
            conn->version[slot->statement->id]++;
        }

        if (ngx_loyalty_pg_repeat(conn, slot)) {
            return;
        }

        outcome = NGX_LOYALTY_PG_REFUSED;
    }

    ngx_loyalty_pg_answer(pg, slot, outcome);
}


/* nothing was committed, and sending it again may help */
static ngx_uint_t
ngx_loyalty_pg_repeat(ngx_loyalty_pg_conn_t *conn, ngx_loyalty_pg_slot_t *slot)
{
    char              *state;
    ngx_loyalty_pg_t  *pg;

    pg = conn->pg;

    state = slot->result ? PQresultErrorField(slot->result, PG_DIAG_SQLSTATE)
                         : NULL;

    if (state == NULL || slot->call == NULL) {
        return 0;
    }

    if (ngx_strcmp(state, "0A000") == 0 || ngx_strcmp(state, "26000") == 0) {
        if (slot->reprepared) {
            return 0;
        }

        /* under a name of its own: the old one may stand or not */

        slot->reprepared = 1;
        conn->prepared[slot->statement->id] = 0;
        conn->version[slot->statement->id]++;

    } else if (ngx_strcmp(state, "40001") == 0
               || ngx_strcmp(state, "40P01") == 0)
    {
        if (slot->retried) {
            return 0;
        }

        slot->retried = 1;

    } else {
        return 0;
    }

    PQclear(slot->result);
    slot->result = NULL;
    ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_REPEATED, 1);

    ngx_loyalty_pg_wait(pg, slot, 1);
    ngx_loyalty_pg_post(pg);

    return 1;
}
