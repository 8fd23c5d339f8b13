/* Inside the feed: its state in one process, and the hints that hurry it. */

#ifndef NGX_LOYALTY_FEED_INT_H_INCLUDED_
#define NGX_LOYALTY_FEED_INT_H_INCLUDED_

#include "ngx_loyalty_feed.h"
#include "ngx_loyalty_local.h"


#define NGX_LOYALTY_FEED_SPACING  10    /* ms between reads with hints */


typedef struct ngx_loyalty_feed_s {
    ngx_loyalty_main_conf_t  *lmcf;
    ngx_loyalty_zone_t       *zone;
    ngx_loyalty_local_t      *local;
    ngx_log_t                *log;
    ngx_event_t               timer;

    ngx_loyalty_pg_call_t     call;
    const char               *values[1];
    char                      since[NGX_LOYALTY_MARK_MAX + 1];
    ngx_msec_t                sent;
    ngx_msec_t                expired;
    ngx_msec_t                heard;
    ngx_atomic_uint_t         wanted;       /* hints seen by the last read */
    ngx_uint_t                failures;

    ngx_connection_t         *hint;         /* loyalty_hint_socket: owner's */
    ngx_connection_t         *own;          /* "….pid": every process's */

    unsigned                  owner : 1;
    unsigned                  in_flight : 1;
    unsigned                  full : 1;       /* the next read is a full one */
} ngx_loyalty_feed_t;


/* asks for the changes since the last read, or for all; not while one asks */
void ngx_loyalty_feed_read(ngx_loyalty_feed_t *feed);

/* the owner's alone: gives the lease back and closes the hint socket */
void ngx_loyalty_feed_resign(ngx_loyalty_feed_t *feed);

/*
 * A datagram socket under that name, which is taken from whoever had it; NULL,
 * logged: there are no hints then.
 */
ngx_connection_t *ngx_loyalty_feed_bind(ngx_loyalty_feed_t *feed,
    ngx_str_t *path, ngx_event_handler_pt handler);
void ngx_loyalty_feed_close(ngx_connection_t *c);

/* lets go of the hint socket where nobody listens under its name any more */
void ngx_loyalty_feed_heard(ngx_loyalty_feed_t *feed);

/* read handlers: of the hint socket, of this process's own */
void ngx_loyalty_feed_hint_handler(ngx_event_t *ev);
void ngx_loyalty_feed_own_handler(ngx_event_t *ev);

/*
 * The name of the own socket of a process, NUL terminated in buf, which holds
 * a struct sockaddr_un; 0 without loyalty_hint_socket.
 */
ngx_uint_t ngx_loyalty_feed_path(ngx_loyalty_feed_t *feed,
    ngx_atomic_uint_t pid, ngx_str_t *path, u_char *buf);


#endif /* NGX_LOYALTY_FEED_INT_H_INCLUDED_ */
