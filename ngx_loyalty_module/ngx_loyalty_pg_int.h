/*
 * What the three files of the pool share: the pool and what waits
 * (ngx_loyalty_pg.c), one connection's life (_conn.c), and calls and replies
 * on it (_pipe.c).  Nobody else includes this.
 */

#ifndef NGX_LOYALTY_PG_INT_H_INCLUDED_
#define NGX_LOYALTY_PG_INT_H_INCLUDED_

#include "ngx_loyalty_pg.h"

#include <libpq-fe.h>


#define NGX_LOYALTY_PG_CONNECT_TIMEOUT  5000            /* ms */
#define NGX_LOYALTY_PG_BACKOFF_MIN      100
#define NGX_LOYALTY_PG_BACKOFF_MAX      800
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


/* -- the pool -- */

/* counts here and, where conf says, for all to see; a gauge is set anew */
void ngx_loyalty_pg_count(ngx_loyalty_pg_t *pg, ngx_loyalty_pg_stat_e i,
    ngx_atomic_int_t n);

/* puts a call among those that wait, in front or at the end */
void ngx_loyalty_pg_wait(ngx_loyalty_pg_t *pg, ngx_loyalty_pg_slot_t *slot,
    ngx_uint_t first);

/* sends what waits as far as there are places; runs no handler */
void ngx_loyalty_pg_dispatch(ngx_loyalty_pg_t *pg);

/* ends a call: runs its handler, frees its slot and result */
void ngx_loyalty_pg_answer(ngx_loyalty_pg_t *pg, ngx_loyalty_pg_slot_t *slot,
    ngx_loyalty_pg_outcome_e outcome);

/* has the pool look at broken connections and what waits, from the loop */
void ngx_loyalty_pg_post(ngx_loyalty_pg_t *pg);


/* -- a connection -- */

/* keywords and values for libpq out of conf; NGX_ERROR is logged */
ngx_int_t ngx_loyalty_pg_options(ngx_loyalty_pg_t *pg);

/* begins to connect; a failure is told to the pool, not to the caller */
void ngx_loyalty_pg_connect(ngx_loyalty_pg_conn_t *conn);

/* timers, events, connection, library; what was sent stays in its queue */
void ngx_loyalty_pg_close(ngx_loyalty_pg_conn_t *conn);

/* closes, and sends what was in flight once more by another connection */
void ngx_loyalty_pg_lost(ngx_loyalty_pg_conn_t *conn);

/* one more connection, one at a time, unless connecting fails */
void ngx_loyalty_pg_grow(ngx_loyalty_pg_t *pg);

/* of conn->timer: while connecting, and of what is in flight */
void ngx_loyalty_pg_timer_handler(ngx_event_t *ev);

/* of pg->retry */
void ngx_loyalty_pg_retry_handler(ngx_event_t *ev);

/* the first line of a text of libpq; NULL gives the empty string */
ngx_str_t ngx_loyalty_pg_message(const char *text);


/* -- calls and replies -- */

/* NGX_ERROR: the connection is broken, the call is among those sent */
ngx_int_t ngx_loyalty_pg_send(ngx_loyalty_pg_conn_t *conn,
    ngx_loyalty_pg_slot_t *slot);

/* as much as the socket takes; NGX_ERROR: the connection is broken */
ngx_int_t ngx_loyalty_pg_flush(ngx_loyalty_pg_conn_t *conn);

/* takes what has come; handlers run, and the connection may be closed */
void ngx_loyalty_pg_read(ngx_loyalty_pg_conn_t *conn);


#endif /* NGX_LOYALTY_PG_INT_H_INCLUDED_ */
