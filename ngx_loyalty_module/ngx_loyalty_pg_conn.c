/*
 * One connection, from connecting to its loss.
 *
 * Sockets belong to libpq: they are registered level-triggered, because
 * libpq does not read until EAGAIN, and taken out of epoll before libpq closes
 * them.
 */

#include "ngx_loyalty_pg_int.h"


static ngx_int_t ngx_loyalty_pg_register(ngx_loyalty_pg_conn_t *conn);
static void ngx_loyalty_pg_poll(ngx_loyalty_pg_conn_t *conn);
static void ngx_loyalty_pg_up(ngx_loyalty_pg_conn_t *conn);
static void ngx_loyalty_pg_failed(ngx_loyalty_pg_conn_t *conn,
    const char *what);
static void ngx_loyalty_pg_event_handler(ngx_event_t *ev);
static void ngx_loyalty_pg_notice(void *arg, const char *message);


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


/*
 * What the operator wrote, with ours where it is silent: no attempt at
 * Kerberos, which may block, and a statement_timeout below the client's timer.
 */
ngx_int_t
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
void
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
void
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


/* one more connection, one at a time, unless connecting fails */
void
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


void
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


void
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
ngx_str_t
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
