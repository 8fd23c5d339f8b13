
/*
 * Connections are in pipeline mode always: a call is [Parse] Bind Execute
 * Sync, and its result counts only when the Sync has come back.  Replies come
 * in the order of the calls; a connection that owes one is never given up
 * without being closed.
 *
 * Sockets belong to libpq: they are registered level-triggered, because
 * libpq does not read until EAGAIN, and taken out of epoll before libpq closes
 * them.
 */


#include "ngx_loyalty_pg.h"

#include <libpq-fe.h>


#define NGX_LOYALTY_PG_CONNECT_TIMEOUT  5000            /* ms */
#define NGX_LOYALTY_PG_BACKOFF_MIN      100
#define NGX_LOYALTY_PG_BACKOFF_MAX      3200
#define NGX_LOYALTY_PG_NAME             80
#define NGX_LOYALTY_PG_KEYWORDS         64


typedef struct {
    ngx_queue_t                   sent;     /* slots in flight, in order */
    ngx_uint_t                    nsent;
    ngx_uint_t                    state;
    int                           fd;       /* as ngx_event_ident() reads it */
    ngx_loyalty_pg_t             *pg;
    PGconn                       *db;
    ngx_connection_t             *c;
    ngx_event_t                   timer;
    ngx_uint_t                    nulls;    /* in a row */
    uint8_t                       version[NGX_LOYALTY_PG_STATEMENTS];
    uint8_t                       prepared[NGX_LOYALTY_PG_STATEMENTS];
    unsigned                      broken : 1;
    unsigned                      reading : 1;
} ngx_loyalty_pg_conn_t;


/* what the pool keeps of a call, which may go away before its reply */
struct ngx_loyalty_pg_slot_s {
    ngx_queue_t                       queue;
    ngx_loyalty_pg_t                 *pg;
    ngx_loyalty_pg_call_t            *call;         /* NULL: cancelled */
    ngx_loyalty_pg_conn_t            *conn;         /* NULL: waits */
    const ngx_loyalty_pg_statement_t *statement;
    uint64_t                          member;
    uint64_t                          group;
    ngx_uint_t                        limit;
    ngx_msec_t                        start;
    ngx_msec_t                        deadline;
    PGresult                         *result;
    unsigned                          preparing : 1;
    unsigned                          sent : 1;       /* at least once */
    unsigned                          again : 1;      /* after a loss */
    unsigned                          reprepared : 1;
    unsigned                          retried : 1;    /* after a deadlock */
};


struct ngx_loyalty_pg_s {
    ngx_loyalty_pg_conf_t        *conf;
    ngx_cycle_t                  *cycle;
    ngx_log_t                    *log;
    int                           fd;       /* as ngx_event_ident() reads it */
    ngx_queue_t                   waiting;
    ngx_uint_t                    nwaiting;
    ngx_queue_t                   free;
    ngx_event_t                   timer;    /* of what waits */
    ngx_event_t                   retry;    /* of connecting */
    ngx_event_t                   posted;
    ngx_msec_t                    backoff;
    unsigned                      failing : 1;
    unsigned                      closing : 1;
    const char                   *keywords[NGX_LOYALTY_PG_KEYWORDS];
    const char                   *values[NGX_LOYALTY_PG_KEYWORDS];
    ngx_atomic_int_t              stat[NGX_LOYALTY_PG_STAT_COUNT];
    ngx_loyalty_pg_conn_t         conns[NGX_LOYALTY_PG_CONNECTIONS];
};


enum {
    NGX_LOYALTY_PG_CLOSED = 0,
    NGX_LOYALTY_PG_CONNECTING,
    NGX_LOYALTY_PG_UP
};


static ngx_int_t ngx_loyalty_pg_options(ngx_loyalty_pg_t *pg);
static void ngx_loyalty_pg_count(ngx_loyalty_pg_t *pg,
    ngx_loyalty_pg_stat_e i, ngx_atomic_int_t n);
static void ngx_loyalty_pg_waits(ngx_loyalty_pg_t *pg, ngx_int_t n);
static void ngx_loyalty_pg_connect(ngx_loyalty_pg_conn_t *conn);
static ngx_int_t ngx_loyalty_pg_register(ngx_loyalty_pg_conn_t *conn);
static void ngx_loyalty_pg_poll(ngx_loyalty_pg_conn_t *conn);
static void ngx_loyalty_pg_up(ngx_loyalty_pg_conn_t *conn);
static void ngx_loyalty_pg_failed(ngx_loyalty_pg_conn_t *conn,
    const char *what);
static void ngx_loyalty_pg_close(ngx_loyalty_pg_conn_t *conn);
static void ngx_loyalty_pg_lost(ngx_loyalty_pg_conn_t *conn);
static ngx_int_t ngx_loyalty_pg_send(ngx_loyalty_pg_conn_t *conn,
    ngx_loyalty_pg_slot_t *slot);
static ngx_int_t ngx_loyalty_pg_flush(ngx_loyalty_pg_conn_t *conn);
static void ngx_loyalty_pg_dispatch(ngx_loyalty_pg_t *pg);
static ngx_loyalty_pg_conn_t *ngx_loyalty_pg_place(ngx_loyalty_pg_t *pg);
static ngx_uint_t ngx_loyalty_pg_admitted(ngx_loyalty_pg_t *pg,
    ngx_loyalty_pg_slot_t *slot);
static void ngx_loyalty_pg_grow(ngx_loyalty_pg_t *pg);
static void ngx_loyalty_pg_read(ngx_loyalty_pg_conn_t *conn);
static void ngx_loyalty_pg_take(ngx_loyalty_pg_conn_t *conn,
    ngx_loyalty_pg_slot_t *slot, PGresult *res);
static void ngx_loyalty_pg_synced(ngx_loyalty_pg_conn_t *conn,
    ngx_loyalty_pg_slot_t *slot);
static ngx_uint_t ngx_loyalty_pg_repeat(ngx_loyalty_pg_conn_t *conn,
    ngx_loyalty_pg_slot_t *slot);
static void ngx_loyalty_pg_wait(ngx_loyalty_pg_t *pg,
    ngx_loyalty_pg_slot_t *slot, ngx_uint_t first);
static void ngx_loyalty_pg_answer(ngx_loyalty_pg_t *pg,
    ngx_loyalty_pg_slot_t *slot, ngx_loyalty_pg_outcome_e outcome);
static void ngx_loyalty_pg_fail_waiting(ngx_loyalty_pg_t *pg);
static void ngx_loyalty_pg_event_handler(ngx_event_t *ev);
static void ngx_loyalty_pg_timer_handler(ngx_event_t *ev);
static void ngx_loyalty_pg_waiting_handler(ngx_event_t *ev);
static void ngx_loyalty_pg_retry_handler(ngx_event_t *ev);
static void ngx_loyalty_pg_posted_handler(ngx_event_t *ev);
static void ngx_loyalty_pg_post(ngx_loyalty_pg_t *pg);
static void ngx_loyalty_pg_notice(void *arg, const char *message);
static ngx_str_t ngx_loyalty_pg_message(const char *text);


char *
ngx_loyalty_pg_conninfo(ngx_conf_t *cf, ngx_str_t *conninfo)
{
    char              *err, *text;
    const char        *host, *hostaddr;
    PQconninfoOption  *options, *o;

    text = (char *) ngx_pnalloc(cf->pool, conninfo->len + 1);
    if (text == NULL) {
        return NGX_CONF_ERROR;
    }

    (void) ngx_cpystrn((u_char *) text, conninfo->data, conninfo->len + 1);

    err = NULL;
    options = PQconninfoParse(text, &err);

    if (options == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid connection string \"%V\": %s", conninfo,
                           err ? err : "no memory");
        PQfreemem(err);
        return NGX_CONF_ERROR;
    }

    host = NULL;
    hostaddr = NULL;

    for (o = options; o->keyword; o++) {
        if (o->val == NULL || o->val[0] == '\0') {
            continue;
        }

        if (ngx_strcmp(o->keyword, "host") == 0) {
            host = o->val;
        }

        if (ngx_strcmp(o->keyword, "hostaddr") == 0) {
            hostaddr = o->val;
        }
    }

    if (hostaddr == NULL && host != NULL && host[0] != '/' && host[0] != '@') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"host=%s\" needs \"hostaddr\", because a name "
                           "cannot be resolved without blocking", host);
        PQconninfoFree(options);
        return NGX_CONF_ERROR;
    }

    PQconninfoFree(options);

    conninfo->data = (u_char *) text;

    return NGX_CONF_OK;
}


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


/*
 * What the operator wrote, with ours where it is silent: no attempt at
 * Kerberos, which may block, and a statement_timeout below the client's timer.
 */
static ngx_int_t
ngx_loyalty_pg_options(ngx_loyalty_pg_t *pg)
{
    char              *err;
    u_char            *p, *last;
    ngx_uint_t         n;
    PQconninfoOption  *options, *o;

    static u_char  text[512];

    err = NULL;
    options = PQconninfoParse((char *) pg->conf->conninfo.data, &err);

    if (options == NULL) {
        ngx_log_error(NGX_LOG_EMERG, pg->log, 0,
                      "loyalty database \"%V\": invalid connection string: %s",
                      &pg->conf->name, err ? err : "no memory");
        PQfreemem(err);
        return NGX_ERROR;
    }

    n = 0;

    pg->keywords[n] = "application_name";
    pg->values[n++] = "loyalty_edge";
    pg->keywords[n] = "gssencmode";
    pg->values[n++] = "disable";
    pg->keywords[n] = "client_encoding";
    pg->values[n++] = "UTF8";

    last = text + sizeof(text) - 1;
    p = text;

    for (o = options; o->keyword; o++) {
        if (o->val == NULL || n > NGX_LOYALTY_PG_KEYWORDS - 4) {
            continue;
        }

        if (ngx_strcmp(o->keyword, "options") == 0) {
            p = ngx_slprintf(p, last, "%s ", o->val);
            continue;
        }

        pg->keywords[n] = o->keyword;
        pg->values[n++] = o->val;
    }

    if (pg->conf->statement_timeout) {
        p = ngx_slprintf(p, last, "-c statement_timeout=%M",
                         pg->conf->statement_timeout);
    }

    if (p != text) {
        *p = '\0';

        pg->values[n] = (char *) ngx_pnalloc(pg->cycle->pool, p - text + 1);
        if (pg->values[n] == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_cpystrn((u_char *) pg->values[n], text, p - text + 1);
        pg->keywords[n++] = "options";
    }

    pg->keywords[n] = NULL;
    pg->values[n] = NULL;

    /* the options stay for the life of the process: the values point there */

    return NGX_OK;
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


static void
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


static void
ngx_loyalty_pg_connect(ngx_loyalty_pg_conn_t *conn)
{
    ngx_loyalty_pg_t  *pg;

    pg = conn->pg;

    ngx_memzero(conn->prepared, sizeof(conn->prepared));
    ngx_memzero(conn->version, sizeof(conn->version));

    conn->broken = 0;
    conn->nulls = 0;
    conn->state = NGX_LOYALTY_PG_CONNECTING;

    ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_CONNECTS, 1);

    conn->db = PQconnectStartParams(pg->keywords, pg->values, 0);

    if (conn->db == NULL || PQstatus(conn->db) == CONNECTION_BAD) {
        ngx_loyalty_pg_failed(conn, "cannot connect to");
        return;
    }

    (void) PQsetNoticeProcessor(conn->db, ngx_loyalty_pg_notice, conn);

    if (ngx_loyalty_pg_register(conn) != NGX_OK
        || ngx_add_event(conn->c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT)
        != NGX_OK)
    {
        ngx_loyalty_pg_failed(conn, "cannot watch the connection to");
        return;
    }

    /* somebody waiting has a timer of the pool that is not cancelable */

    conn->timer.cancelable = 1;
    ngx_add_timer(&conn->timer, NGX_LOYALTY_PG_CONNECT_TIMEOUT);
}


static ngx_int_t
ngx_loyalty_pg_register(ngx_loyalty_pg_conn_t *conn)
{
    int                fd;
    ngx_connection_t  *c;

    fd = PQsocket(conn->db);

    if (fd < 0) {
        return NGX_ERROR;
    }

    if (conn->c == NULL) {
        c = ngx_get_connection(fd, conn->pg->log);
        if (c == NULL) {
            return NGX_ERROR;
        }

        c->data = conn;
        c->log = conn->pg->log;
        c->read->log = c->log;
        c->write->log = c->log;
        c->read->handler = ngx_loyalty_pg_event_handler;
        c->write->handler = ngx_loyalty_pg_event_handler;
        c->shared = 1;          /* libpq closes it */
        c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

        conn->c = c;
    }

    conn->c->fd = fd;
    conn->fd = fd;

    return NGX_OK;
}


/*
 * libpq may close its socket and open another within PQconnectPoll(), under
 * the same number: it is taken out of epoll before and put back after.
 */
static void
ngx_loyalty_pg_poll(ngx_loyalty_pg_conn_t *conn)
{
    ngx_int_t                  rc;
    ngx_connection_t          *c;
    PostgresPollingStatusType  status;

    c = conn->c;

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
    }

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
    }

    status = PQconnectPoll(conn->db);

    if (status == PGRES_POLLING_FAILED) {
        ngx_loyalty_pg_failed(conn, "cannot connect to");
        return;
    }

    if (ngx_loyalty_pg_register(conn) != NGX_OK) {
        ngx_loyalty_pg_failed(conn, "cannot watch the connection to");
        return;
    }

    if (status == PGRES_POLLING_WRITING) {
        rc = ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);

    } else {
        rc = ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
    }

    if (rc != NGX_OK) {
        ngx_loyalty_pg_failed(conn, "cannot watch the connection to");
        return;
    }

    if (status == PGRES_POLLING_OK) {
        ngx_loyalty_pg_up(conn);
    }
}


static void
ngx_loyalty_pg_up(ngx_loyalty_pg_conn_t *conn)
{
    ngx_loyalty_pg_t  *pg;

    pg = conn->pg;

    if (PQsetnonblocking(conn->db, 1) != 0
        || PQenterPipelineMode(conn->db) != 1)
    {
        ngx_loyalty_pg_failed(conn, "cannot use the connection to");
        return;
    }

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    conn->timer.cancelable = 0;
    conn->state = NGX_LOYALTY_PG_UP;
    conn->c->idle = 1;

    if (pg->failing) {
        ngx_log_error(NGX_LOG_NOTICE, pg->log, 0,
                      "loyalty database \"%V\" is back", &pg->conf->name);
    }

    ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_OPEN, 1);
    pg->failing = 0;
    pg->backoff = NGX_LOYALTY_PG_BACKOFF_MIN;

    ngx_loyalty_pg_post(pg);
}


static void
ngx_loyalty_pg_failed(ngx_loyalty_pg_conn_t *conn, const char *what)
{
    ngx_str_t          message;
    ngx_loyalty_pg_t  *pg;

    pg = conn->pg;
    ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_CONNECT_ERRORS, 1);

    /* the first failure only: then there is silence until it is back */

    if (!pg->failing) {
        message = ngx_loyalty_pg_message(conn->db ? PQerrorMessage(conn->db)
                                                  : "no memory");

        ngx_log_error(NGX_LOG_ERR, pg->log, 0,
                      "%s loyalty database \"%V\": %V", what, &pg->conf->name,
                      &message);
    }

    ngx_loyalty_pg_close(conn);

    pg->failing = 1;

    if (!pg->retry.timer_set && !pg->closing) {
        ngx_add_timer(&pg->retry,
                      pg->backoff + (ngx_msec_t) (ngx_random() % 50));

        pg->backoff = ngx_min(pg->backoff * 2, NGX_LOYALTY_PG_BACKOFF_MAX);
    }

    if (pg->stat[NGX_LOYALTY_PG_N_OPEN] == 0) {
        ngx_loyalty_pg_post(pg);
    }
}


/* timers, events, connection, library: in this order */
static void
ngx_loyalty_pg_close(ngx_loyalty_pg_conn_t *conn)
{
    ngx_connection_t  *c;

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    c = conn->c;

    if (c) {
        if (PQsocket(conn->db) != conn->fd) {
            /* libpq closed a broken socket, which took it out of epoll */
            c->read->active = 0;
            c->write->active = 0;
        }

        if (c->read->active) {
            (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
        }

        if (c->write->active) {
            (void) ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
        }

        conn->c = NULL;
        ngx_close_connection(c);
    }

    if (conn->db) {
        PQfinish(conn->db);
        conn->db = NULL;
    }

    if (conn->state == NGX_LOYALTY_PG_UP) {
        ngx_loyalty_pg_count(conn->pg, NGX_LOYALTY_PG_N_OPEN, -1);
    }

    conn->state = NGX_LOYALTY_PG_CLOSED;
    conn->fd = -1;
}


/*
 * What was in flight is sent once more by another connection: reads have no
 * effect, writes are idempotent by key.
 */
static void
ngx_loyalty_pg_lost(ngx_loyalty_pg_conn_t *conn)
{
    ngx_str_t               message;
    ngx_queue_t            *q;
    ngx_loyalty_pg_t       *pg;
    ngx_loyalty_pg_slot_t  *slot;

    pg = conn->pg;

    if (conn->nsent || !ngx_exiting) {
        message = ngx_loyalty_pg_message(PQerrorMessage(conn->db));

        ngx_log_error(NGX_LOG_ERR, pg->log, 0,
                      "lost a connection to loyalty database \"%V\" "
                      "with %ui calls in flight: %V", &pg->conf->name,
                      conn->nsent, &message);
    }

    ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_LOST, 1);

    ngx_loyalty_pg_close(conn);

    while (!ngx_queue_empty(&conn->sent)) {

        /* from the last, so that they wait in their old order */

        q = ngx_queue_last(&conn->sent);
        ngx_queue_remove(q);
        slot = ngx_queue_data(q, ngx_loyalty_pg_slot_t, queue);

        conn->nsent--;
        ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_IN_FLIGHT, -1);
        slot->conn = NULL;

        PQclear(slot->result);
        slot->result = NULL;

        if (slot->call == NULL) {
            ngx_queue_insert_head(&pg->free, &slot->queue);
            continue;
        }

        if (slot->again) {
            ngx_loyalty_pg_answer(pg, slot, NGX_LOYALTY_PG_UNKNOWN);
            continue;
        }

        slot->again = 1;
        slot->deadline = ngx_current_msec + pg->conf->timeout;
        ngx_loyalty_pg_count(pg, NGX_LOYALTY_PG_N_REPEATED, 1);

        ngx_loyalty_pg_wait(pg, slot, 1);
    }

    ngx_loyalty_pg_post(pg);
}


static void
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


static void
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


/* one more connection, one at a time, unless connecting fails */
static void
ngx_loyalty_pg_grow(ngx_loyalty_pg_t *pg)
{
    ngx_uint_t              i;
    ngx_loyalty_pg_conn_t  *conn, *closed;

    if (pg->closing || pg->retry.timer_set) {
        return;
    }

    closed = NULL;

    for (i = 0; i < pg->conf->connections; i++) {
        conn = &pg->conns[i];

        if (conn->state == NGX_LOYALTY_PG_CONNECTING) {
            return;
        }

        /* one that was lost just now is not free before its slots are */

        if (conn->state == NGX_LOYALTY_PG_CLOSED && conn->nsent == 0
            && closed == NULL)
        {
            closed = conn;
        }
    }

    if (closed) {
        ngx_loyalty_pg_connect(closed);
    }
}


static ngx_int_t
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


static ngx_int_t
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


static void
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


static void
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
ngx_loyalty_pg_event_handler(ngx_event_t *ev)
{
    ngx_connection_t       *c;
    ngx_loyalty_pg_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    if (c->close && conn->nsent == 0) {
        /* the process exits; what still comes connects anew */
        ngx_loyalty_pg_close(conn);
        return;
    }

    if (conn->state == NGX_LOYALTY_PG_CONNECTING) {
        ngx_loyalty_pg_poll(conn);
        return;
    }

    if (ev->write) {
        if (ngx_loyalty_pg_flush(conn) != NGX_OK) {
            conn->broken = 1;
            ngx_loyalty_pg_post(conn->pg);
        }

        return;
    }

    ngx_loyalty_pg_read(conn);
}


static void
ngx_loyalty_pg_timer_handler(ngx_event_t *ev)
{
    ngx_loyalty_pg_conn_t  *conn;

    conn = ev->data;

    if (conn->state == NGX_LOYALTY_PG_CONNECTING) {
        ngx_loyalty_pg_failed(conn, "timed out connecting to");
        return;
    }

    ngx_loyalty_pg_count(conn->pg, NGX_LOYALTY_PG_N_TIMEOUTS, 1);

    ngx_loyalty_pg_lost(conn);
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


static void
ngx_loyalty_pg_retry_handler(ngx_event_t *ev)
{
    ngx_loyalty_pg_t  *pg;

    pg = ev->data;

    if (ngx_exiting && pg->nwaiting == 0) {
        return;
    }

    ngx_loyalty_pg_grow(pg);
}


static void
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


static void
ngx_loyalty_pg_notice(void *arg, const char *message)
{
    ngx_str_t               text;
    ngx_loyalty_pg_conn_t  *conn;

    conn = arg;
    text = ngx_loyalty_pg_message(message);

    ngx_log_error(NGX_LOG_INFO, conn->pg->log, 0,
                  "loyalty database \"%V\" says: %V", &conn->pg->conf->name,
                  &text);
}


/* the first line */
static ngx_str_t
ngx_loyalty_pg_message(const char *text)
{
    ngx_str_t  line;

    line.data = (u_char *) (text ? text : "");
    line.len = 0;

    while (line.data[line.len] != '\0' && line.data[line.len] != '\n') {
        line.len++;
    }

    return line;
}
