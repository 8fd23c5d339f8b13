
/*
 * PostgreSQL from nginx's event loop: pools of pipelined connections that
 * never wait.  One pool lives in one process, from init_process to
 * exit_process.
 *
 * A call is one prepared statement and one Sync.  Its handler runs once, and
 * only after the Sync came back: what it reports as done is committed.  No
 * type of libpq passes this header.
 */


#ifndef _NGX_LOYALTY_PG_H_INCLUDED_
#define _NGX_LOYALTY_PG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/* ids of the statements of one pool are below this */
#define NGX_LOYALTY_PG_STATEMENTS    256

#define NGX_LOYALTY_PG_PARAMS        32

#define NGX_LOYALTY_PG_CONNECTIONS   64


typedef struct ngx_loyalty_pg_s         ngx_loyalty_pg_t;
typedef struct ngx_loyalty_pg_call_s    ngx_loyalty_pg_call_t;
typedef struct ngx_loyalty_pg_slot_s    ngx_loyalty_pg_slot_t;
typedef struct ngx_loyalty_pg_result_s  ngx_loyalty_pg_result_t;


typedef enum {

    /* committed; the rows can be read */
    NGX_LOYALTY_PG_OK = 0,

    /* the server refused: sqlstate says why, nothing is committed */
    NGX_LOYALTY_PG_REFUSED,

    /* never sent: the queue is full, or its time ran out */
    NGX_LOYALTY_PG_BUSY,

    /* never sent: there is no database */
    NGX_LOYALTY_PG_DOWN,

    /*
     * Sent, and the connection was lost or the timer ran out before the
     * answer.  A call marked "write" was sent a second time if that was
     * possible, and that had no answer either: it may be committed or not.
     */
    NGX_LOYALTY_PG_UNKNOWN

} ngx_loyalty_pg_outcome_e;


struct ngx_loyalty_pg_result_s {
    ngx_loyalty_pg_outcome_e       outcome;
    char                           sqlstate[6];   /* REFUSED only, else "" */
    ngx_uint_t                     rows;
    ngx_uint_t                     columns;
    ngx_msec_t                     elapsed;       /* ms since the call */
    void                          *native;        /* private */
};


/* static: prepared on a connection when it is first used there */
typedef struct {
    ngx_uint_t                     id;     /* distinct within one pool,
                                              < NGX_LOYALTY_PG_STATEMENTS */
    const char                    *name;   /* of the prepared statement */
    const char                    *sql;
    ngx_uint_t                     params; /* <= NGX_LOYALTY_PG_PARAMS */
} ngx_loyalty_pg_statement_t;


typedef void (*ngx_loyalty_pg_handler_pt)(ngx_loyalty_pg_call_t *call,
    ngx_loyalty_pg_result_t *res);


/*
 * Zero it, fill the public part, keep it (and the values) alive until the
 * handler has run or ngx_loyalty_pg_cancel() was called.
 */
struct ngx_loyalty_pg_call_s {
    const ngx_loyalty_pg_statement_t  *statement;

    /* NUL terminated text each; a NULL is SQL's null */
    const char                       **values;

    ngx_loyalty_pg_handler_pt          handler;
    void                              *data;
    ngx_log_t                         *log;

    /*
     * Places in a pool of writes.  Two calls with the same member are never
     * in flight at once (0: no member), nor more than limit of the same group
     * (0: no group, no limit): a group is a hash of tenant and class of call.
     */
    uint64_t                           member;
    uint64_t                           group;
    ngx_uint_t                         limit;

    unsigned                           write : 1;

    /* private */
    ngx_loyalty_pg_slot_t             *slot;
};


/*
 * What a pool counts since the start of its process, and behind FIRST_GAUGE
 * its state now.  X(id, name, kind, help): loyalty_database_<name>{pool}.
 */
#define NGX_LOYALTY_PG_STATS(X)                                               \
    X(CALLS, "calls_total", "counter",                                        \
      "Calls that the database answered.")                                    \
    X(REFUSED, "errors_total", "counter",                                     \
      "Calls that ended with an error of the database.")                      \
    X(REPEATED, "retries_total", "counter",                                   \
      "Calls sent once more.")                                                \
    X(BUSY, "queue_refused_total", "counter",                                 \
      "Calls never sent: the queue was full, or their time in it ran out.")   \
    X(DOWN, "unavailable_total", "counter",                                   \
      "Calls never sent: there was no database.")                             \
    X(UNKNOWN, "outcome_unknown_total", "counter",                            \
      "Calls sent whose answer never came.")                                  \
    X(CONNECTS, "connects_total", "counter",                                  \
      "Attempts to connect.")                                                 \
    X(CONNECT_ERRORS, "connect_errors_total", "counter",                      \
      "Attempts to connect that failed.")                                     \
    X(LOST, "lost_total", "counter",                                          \
      "Connections lost.")                                                    \
    X(TIMEOUTS, "timeouts_total", "counter",                                  \
      "Connections given up because an answer did not come in time.")         \
    X(QUEUE_MS, "queue_milliseconds_total", "counter",                        \
      "Time that calls waited before they were sent.")                        \
    X(OPEN, "connections", "gauge",                                           \
      "Connections that are open.")                                           \
    X(IN_FLIGHT, "in_flight", "gauge",                                        \
      "Calls sent and not yet answered.")                                     \
    X(QUEUED, "queued", "gauge",                                              \
      "Calls that wait to be sent.")

#define NGX_LOYALTY_PG_STAT_ID(id, name, kind, help)  NGX_LOYALTY_PG_N_ ## id,
typedef enum {
    NGX_LOYALTY_PG_STATS(NGX_LOYALTY_PG_STAT_ID)
    NGX_LOYALTY_PG_STAT_COUNT
} ngx_loyalty_pg_stat_e;
#undef NGX_LOYALTY_PG_STAT_ID

#define NGX_LOYALTY_PG_FIRST_GAUGE  NGX_LOYALTY_PG_N_OPEN
#define NGX_LOYALTY_PG_GAUGES                                                 \
    (NGX_LOYALTY_PG_STAT_COUNT - NGX_LOYALTY_PG_FIRST_GAUGE)


typedef struct {
    ngx_str_t                      name;          /* in logs and metrics */
    ngx_str_t                      conninfo;
    ngx_uint_t                     connections;   /* at most */
    ngx_uint_t                     depth;         /* calls in flight on one
                                                     connection */
    ngx_uint_t                     queue;         /* calls that may wait */
    ngx_msec_t                     timeout;       /* of a call, queue and
                                                     answer each */
    ngx_msec_t                     statement_timeout;  /* < timeout; 0: the
                                                          role's own */

    /*
     * NULL, or where the pool counts for all to see: FIRST_GAUGE words shared
     * by the processes, and GAUGES words of this process alone.
     */
    ngx_atomic_t                  *counters;
    ngx_atomic_t                  *gauges;
} ngx_loyalty_pg_conf_t;


/*
 * For a configuration directive: makes *conninfo (as written) complete and
 * NUL terminated.  Refused, with a sentence in the error log: what libpq
 * cannot parse, and a host name without hostaddr, because resolving it would
 * block.  NGX_CONF_OK or NGX_CONF_ERROR.
 */
char *ngx_loyalty_pg_conninfo(ngx_conf_t *cf, ngx_str_t *conninfo);

/*
 * In init_process.  conf must live as long as the cycle.  Begins to connect
 * (the first connection at once, others when there is work); NULL only
 * without memory.
 */
ngx_loyalty_pg_t *ngx_loyalty_pg_create(ngx_cycle_t *cycle,
    ngx_loyalty_pg_conf_t *conf);

/* in exit_process: closes what is left; handlers are not called any more */
void ngx_loyalty_pg_destroy(ngx_loyalty_pg_t *pg);

/*
 * NGX_OK: accepted, the handler will run later, never from within this call.
 * NGX_BUSY: the queue is full.  NGX_DECLINED: no database, and the last
 * attempt to connect failed.  NGX_ERROR: no memory.  But for NGX_OK the
 * handler will not run.  Calls are sent in order, except where a place must
 * be waited for.
 */
ngx_int_t ngx_loyalty_pg_call(ngx_loyalty_pg_t *pg,
    ngx_loyalty_pg_call_t *call);

/*
 * The caller goes away: the handler will not run.  What was sent is drained
 * and may still be committed; what waits is not sent.  Fine after the handler
 * and on a zeroed call.
 */
void ngx_loyalty_pg_cancel(ngx_loyalty_pg_call_t *call);

/* a value, valid within the handler; data NULL is SQL's null */
ngx_str_t ngx_loyalty_pg_value(ngx_loyalty_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t column);

/* is at least one connection up? */
ngx_uint_t ngx_loyalty_pg_ready(ngx_loyalty_pg_t *pg);


#endif /* _NGX_LOYALTY_PG_H_INCLUDED_ */
