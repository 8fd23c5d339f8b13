/*
 * Hints: datagrams that something was committed, between the worker, the
 * process that reads the feed, and the processes whose requests wait.
 */

#include "ngx_loyalty_feed_int.h"
#include "ngx_loyalty_redis.h"


static ngx_uint_t ngx_loyalty_feed_drain(ngx_connection_t *c);
static void ngx_loyalty_feed_tell(ngx_loyalty_feed_t *feed, ngx_str_t *path);
static void ngx_loyalty_feed_tell_all(ngx_loyalty_feed_t *feed);


void
ngx_loyalty_feed_wake(void)
{
    ngx_loyalty_feed_t   *feed;
    ngx_loyalty_local_t  *local;

    local = ngx_loyalty_local();

    if (local == NULL || local->feed == NULL) {
        return;
    }

    feed = local->feed;

    (void) ngx_atomic_fetch_add(&feed->zone->owner_wanted, 1);

    if (feed->owner) {
        if (!feed->in_flight
            && ngx_loyalty_now_ms() - feed->sent >= NGX_LOYALTY_FEED_SPACING)
        {
            ngx_loyalty_feed_read(feed);
        }

        return;
    }

    /* the owner looks at owner_wanted at its next tick; this wakes it now */

    if (feed->lmcf->hint_socket.len) {
        ngx_loyalty_feed_tell(feed, &feed->lmcf->hint_socket);
    }
}


void
ngx_loyalty_feed_hint(void)
{
    ngx_loyalty_feed_wake();
    ngx_loyalty_redis_publish();
}


ngx_connection_t *
ngx_loyalty_feed_bind(ngx_loyalty_feed_t *feed, ngx_str_t *path,
    ngx_event_handler_pt handler)
{
    ngx_socket_t         s;
    ngx_event_t         *rev;
    ngx_connection_t    *c;
    struct sockaddr_un   sun;

    s = ngx_socket(AF_UNIX, SOCK_DGRAM, 0);

    if (s == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_ALERT, feed->log, ngx_socket_errno,
                      ngx_socket_n " failed");
        return NULL;
    }

    ngx_memzero(&sun, sizeof(sun));
    sun.sun_family = AF_UNIX;
    ngx_memcpy(sun.sun_path, path->data, path->len);

    (void) ngx_delete_file(sun.sun_path);

    if (ngx_nonblocking(s) == -1
        || bind(s, (struct sockaddr *) &sun, sizeof(sun)) == -1
        || chmod(sun.sun_path, 0666) == -1)
    {
        ngx_log_error(NGX_LOG_WARN, feed->log, ngx_socket_errno,
                      "loyalty: no hints: bind() to %V failed", path);
        ngx_close_socket(s);
        return NULL;
    }

    c = ngx_get_connection(s, feed->log);

    if (c == NULL) {
        ngx_close_socket(s);
        return NULL;
    }

    c->data = feed;
    c->log = feed->log;

    rev = c->read;
    rev->log = feed->log;
    rev->handler = handler;

    /* a worker that exits closes idle connections by their read handler */
    c->idle = 1;

    if (ngx_add_event(rev, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_loyalty_feed_close(c);
        return NULL;
    }

    return c;
}


/*
 * The new master of an upgrade takes the name of the socket; where it was told
 * to leave again, nobody listens there: the next tick binds anew.
 */

void
ngx_loyalty_feed_heard(ngx_loyalty_feed_t *feed)
{
    int                  rc;
    ngx_err_t            err;
    ngx_str_t           *path;
    ngx_socket_t         s;
    struct sockaddr_un   sun;

    path = &feed->lmcf->hint_socket;

    if (feed->hint == NULL) {
        return;
    }

    s = ngx_socket(AF_UNIX, SOCK_DGRAM, 0);

    if (s == (ngx_socket_t) -1) {
        return;
    }

    ngx_memzero(&sun, sizeof(sun));
    sun.sun_family = AF_UNIX;
    ngx_memcpy(sun.sun_path, path->data, path->len);

    /* connects to who has the name, and sends nothing */

    rc = connect(s, (struct sockaddr *) &sun, sizeof(sun));
    err = ngx_socket_errno;

    ngx_close_socket(s);

    if (rc == -1 && (err == NGX_ECONNREFUSED || err == NGX_ENOENT)) {
        ngx_loyalty_feed_close(feed->hint);
        feed->hint = NULL;
    }
}


void
ngx_loyalty_feed_close(ngx_connection_t *c)
{
    ngx_close_connection(c);
}


/* reads what is there; the content means nothing.  0: the process exits */

static ngx_uint_t
ngx_loyalty_feed_drain(ngx_connection_t *c)
{
    u_char  buf[256];

    if (c->close) {
        return 0;
    }

    while (recv(c->fd, buf, sizeof(buf), 0) >= 0) {
        /* void */
    }

    return 1;
}


void
ngx_loyalty_feed_hint_handler(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_loyalty_feed_t  *feed;

    c = ev->data;
    feed = c->data;

    if (!ngx_loyalty_feed_drain(c)) {
        ngx_loyalty_feed_resign(feed);
        return;
    }

    ngx_loyalty_metric(FEED_HINTS);

    /* the worker of this node has settled something: other nodes cache too */

    ngx_loyalty_feed_hint();
    ngx_loyalty_wait_poke();
    ngx_loyalty_feed_tell_all(feed);
}


void
ngx_loyalty_feed_own_handler(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_loyalty_feed_t  *feed;

    c = ev->data;
    feed = c->data;

    if (!ngx_loyalty_feed_drain(c)) {
        ngx_loyalty_feed_close(c);
        feed->own = NULL;
        return;
    }

    ngx_loyalty_wait_poke();
}


static void
ngx_loyalty_feed_tell(ngx_loyalty_feed_t *feed, ngx_str_t *path)
{
    int                  fd;
    struct sockaddr_un   sun;

    fd = feed->own ? feed->own->fd : feed->hint ? feed->hint->fd : -1;

    if (fd == -1) {
        return;
    }

    ngx_memzero(&sun, sizeof(sun));
    sun.sun_family = AF_UNIX;
    ngx_memcpy(sun.sun_path, path->data, path->len);

    /* non-blocking; a hint lost costs one interval */

    if (sendto(fd, "", 1, MSG_DONTWAIT|MSG_NOSIGNAL,
               (struct sockaddr *) &sun, sizeof(sun))
        == -1)
    {
        ngx_log_debug1(NGX_LOG_DEBUG_EVENT, feed->log, ngx_socket_errno,
                       "loyalty hint to %V not sent", path);
    }
}


static void
ngx_loyalty_feed_tell_all(ngx_loyalty_feed_t *feed)
{
    u_char             buf[sizeof(struct sockaddr_un)];
    ngx_str_t          path;
    ngx_uint_t         i;
    ngx_atomic_uint_t  pid;

    for (i = 0; i < NGX_LOYALTY_PROCESSES; i++) {
        pid = feed->zone->processes[i].pid;

        if (pid != 0 && pid != (ngx_atomic_uint_t) ngx_pid
            && ngx_loyalty_feed_path(feed, pid, &path, buf))
        {
            ngx_loyalty_feed_tell(feed, &path);
        }
    }
}


ngx_uint_t
ngx_loyalty_feed_path(ngx_loyalty_feed_t *feed, ngx_atomic_uint_t pid,
    ngx_str_t *path, u_char *buf)
{
    if (feed->lmcf->hint_socket.len == 0) {
        return 0;
    }

    path->data = buf;
    path->len = ngx_sprintf(buf, "%V.%P%Z", &feed->lmcf->hint_socket,
                            (ngx_pid_t) pid)
                - buf - 1;
    return 1;
}
