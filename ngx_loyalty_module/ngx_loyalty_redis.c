#include "ngx_loyalty_redis.h"
#include "ngx_loyalty_feed.h"
#include "ngx_loyalty_local.h"
#include "ngx_loyalty_zone.h"

#include <hiredis/hiredis.h>
#include <hiredis/async.h>


#define NGX_LOYALTY_REDIS_TICK     250      /* ms between looks at the links */
#define NGX_LOYALTY_REDIS_RETRY    1000     /* ms between attempts */
#define NGX_LOYALTY_REDIS_TIMEOUT  2000     /* ms to connect and to answer */
#define NGX_LOYALTY_REDIS_SPACING  20       /* ms between hints of a process */
#define NGX_LOYALTY_REDIS_CHANNEL  "loyalty:change"


typedef struct ngx_loyalty_redis_s  ngx_loyalty_redis_t;

/* one connection; every process may have one to publish, the feed's owner has
   one more that listens */
typedef struct {
    ngx_loyalty_redis_t  *redis;
    redisAsyncContext    *ac;
    ngx_connection_t     *c;
    ngx_msec_t            tried;
    ngx_uint_t            pending;      /* answers that are due */
    unsigned              listens : 1;
    unsigned              up : 1;
} ngx_loyalty_link_t;

struct ngx_loyalty_redis_s {
    ngx_loyalty_main_conf_t  *lmcf;
    ngx_log_t                *log;
    ngx_event_t               timer;
    ngx_loyalty_link_t        publish;
    ngx_loyalty_link_t        listen;
    ngx_msec_t                sent;
    ngx_msec_t                complained;
    unsigned                  due : 1;    /* a hint waits for the spacing */
};


static void ngx_loyalty_redis_tick(ngx_event_t *ev);
static void ngx_loyalty_redis_send(ngx_loyalty_redis_t *redis);
static void ngx_loyalty_redis_connect(ngx_loyalty_link_t *link);
static redisAsyncContext *ngx_loyalty_redis_open(ngx_loyalty_redis_t *redis);
static void ngx_loyalty_redis_close(ngx_loyalty_link_t *link);
static void ngx_loyalty_redis_connected(const redisAsyncContext *ac,
    int status);
static void ngx_loyalty_redis_disconnected(const redisAsyncContext *ac,
    int status);
static void ngx_loyalty_redis_published(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_loyalty_redis_message(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_loyalty_redis_lost(ngx_loyalty_link_t *link, const char *what);
static void ngx_loyalty_redis_read_handler(ngx_event_t *ev);
static void ngx_loyalty_redis_write_handler(ngx_event_t *ev);
static void ngx_loyalty_redis_add_read(void *data);
static void ngx_loyalty_redis_del_read(void *data);
static void ngx_loyalty_redis_add_write(void *data);
static void ngx_loyalty_redis_del_write(void *data);
static void ngx_loyalty_redis_cleanup(void *data);


ngx_int_t
ngx_loyalty_redis_init_process(ngx_cycle_t *cycle,
    ngx_loyalty_main_conf_t *lmcf)
{
    ngx_loyalty_redis_t      *redis;


    if (lmcf->redis == NULL) {
        return NGX_OK;
    }

    redis = ngx_pcalloc(cycle->pool, sizeof(ngx_loyalty_redis_t));
    if (redis == NULL) {
        return NGX_ERROR;
    }

    redis->lmcf = lmcf;
    redis->log = cycle->log;
    redis->publish.redis = redis;
    redis->listen.redis = redis;
    redis->listen.listens = 1;

    redis->timer.handler = ngx_loyalty_redis_tick;
    redis->timer.data = redis;
    redis->timer.log = cycle->log;
    redis->timer.cancelable = 1;

    lmcf->local->redis = redis;

    ngx_add_timer(&redis->timer, 1);

    return NGX_OK;
}


void
ngx_loyalty_redis_exit_process(ngx_loyalty_main_conf_t *lmcf)
{
    ngx_loyalty_redis_t      *redis;

    redis = lmcf->local->redis;

    if (redis == NULL) {
        return;
    }

    if (redis->timer.timer_set) {
        ngx_del_timer(&redis->timer);
    }

    ngx_loyalty_redis_close(&redis->publish);
    ngx_loyalty_redis_close(&redis->listen);

    lmcf->local->redis = NULL;
}


static void
ngx_loyalty_redis_tick(ngx_event_t *ev)
{
    ngx_msec_t            now;
    ngx_uint_t            i;
    ngx_loyalty_link_t   *links[2], *link;
    ngx_loyalty_redis_t  *redis;

    redis = ev->data;
    now = ngx_current_msec;

    if (ngx_exiting || ngx_quit || ngx_terminate) {
        ngx_loyalty_redis_close(&redis->publish);
        ngx_loyalty_redis_close(&redis->listen);
        return;
    }

    if (redis->due && now - redis->sent >= NGX_LOYALTY_REDIS_SPACING) {
        ngx_loyalty_redis_send(redis);
    }

    if (redis->listen.ac && !ngx_loyalty_feed_owner()) {
        ngx_loyalty_redis_close(&redis->listen);
    }

    links[0] = &redis->publish;
    links[1] = &redis->listen;

    for (i = 0; i < 2; i++) {
        link = links[i];

        if (link->ac == NULL) {
            if ((!link->listens || ngx_loyalty_feed_owner())
                && (link->tried == 0
                    || now - link->tried >= NGX_LOYALTY_REDIS_RETRY))
            {
                ngx_loyalty_redis_connect(link);
            }

            continue;
        }

        /* hiredis has no timers: one that is silent for too long is closed */

        if ((!link->up || link->pending)
            && now - link->tried >= NGX_LOYALTY_REDIS_TIMEOUT)
        {
            ngx_loyalty_redis_lost(link, "timed out");
            ngx_loyalty_redis_close(link);
        }
    }

    ngx_add_timer(ev, NGX_LOYALTY_REDIS_TICK);
}


void
ngx_loyalty_redis_publish(void)
{
    ngx_loyalty_local_t  *local;
    ngx_loyalty_redis_t  *redis;

    local = ngx_loyalty_local();

    if (local == NULL || local->redis == NULL) {
        return;
    }

    redis = local->redis;

    if (ngx_current_msec - redis->sent < NGX_LOYALTY_REDIS_SPACING) {
        redis->due = 1;
        return;
    }

    ngx_loyalty_redis_send(redis);
}


static void
ngx_loyalty_redis_send(ngx_loyalty_redis_t *redis)
{
    ngx_loyalty_link_t  *link;
    ngx_loyalty_zone_t  *zone;

    link = &redis->publish;
    zone = redis->lmcf->zone->data;

    redis->due = 0;

    if (!link->up) {
        /* the other nodes read within their interval anyway */
        return;
    }

    redis->sent = ngx_current_msec;

    if (link->pending == 0) {
        link->tried = ngx_current_msec;
    }

    if (redisAsyncCommand(link->ac, ngx_loyalty_redis_published, link,
                          "PUBLISH " NGX_LOYALTY_REDIS_CHANNEL " %b",
                          zone->node, sizeof(zone->node))
        == REDIS_OK)
    {
        link->pending++;
        ngx_loyalty_metric(REDIS_SENT);
    }
}


static void
ngx_loyalty_redis_connect(ngx_loyalty_link_t *link)
{
    ngx_connection_t     *c;
    redisAsyncContext    *ac;
    ngx_loyalty_redis_t  *redis;

    redis = link->redis;

    link->tried = ngx_current_msec;
    link->up = 0;
    link->pending = 0;

    ac = ngx_loyalty_redis_open(redis);

    if (ac == NULL) {
        return;
    }

    if (ac->err) {
        ngx_loyalty_redis_lost(link, ac->errstr);
        redisAsyncFree(ac);
        return;
    }

    c = ngx_get_connection(ac->c.fd, redis->log);

    if (c == NULL) {
        redisAsyncFree(ac);
        return;
    }

    c->data = link;
    c->log = redis->log;
    c->pool = NULL;
    c->idle = 1;

    c->read->log = c->log;
    c->read->handler = ngx_loyalty_redis_read_handler;
    c->write->log = c->log;
    c->write->handler = ngx_loyalty_redis_write_handler;

    link->ac = ac;
    link->c = c;

    ac->data = link;
    ac->ev.data = link;
    ac->ev.addRead = ngx_loyalty_redis_add_read;
    ac->ev.delRead = ngx_loyalty_redis_del_read;
    ac->ev.addWrite = ngx_loyalty_redis_add_write;
    ac->ev.delWrite = ngx_loyalty_redis_del_write;
    ac->ev.cleanup = ngx_loyalty_redis_cleanup;

    /* from here on hiredis tells of the end by the callbacks */

    (void) redisAsyncSetDisconnectCallback(ac, ngx_loyalty_redis_disconnected);
    (void) redisAsyncSetConnectCallback(ac, ngx_loyalty_redis_connected);
}


static redisAsyncContext *
ngx_loyalty_redis_open(ngx_loyalty_redis_t *redis)
{
    char                  text[NGX_SOCKADDR_STRLEN + 1];
    size_t                len;
    struct sockaddr      *sa;
    struct sockaddr_un   *sun;

    sa = redis->lmcf->redis->sockaddr;

    if (sa->sa_family == AF_UNIX) {
        sun = (struct sockaddr_un *) sa;
        return redisAsyncConnectUnix(sun->sun_path);
    }

    /* numbers only: hiredis resolves names by a blocking call */

    len = ngx_sock_ntop(sa, redis->lmcf->redis->socklen, (u_char *) text,
                        NGX_SOCKADDR_STRLEN, 0);

    if (sa->sa_family == AF_INET6) {
        /* without the brackets */
        ngx_memmove(text, text + 1, len - 2);
        len -= 2;
    }

    text[len] = '\0';

    return redisAsyncConnect(text, ngx_inet_get_port(sa));
}


static void
ngx_loyalty_redis_close(ngx_loyalty_link_t *link)
{
    redisAsyncContext  *ac;

    ac = link->ac;

    if (ac == NULL) {
        return;
    }

    /* calls the callbacks that are due with a NULL reply, then cleanup */

    link->ac = NULL;
    link->up = 0;

    redisAsyncFree(ac);
}


static void
ngx_loyalty_redis_connected(const redisAsyncContext *ac, int status)
{
    ngx_loyalty_link_t  *link;

    link = ac->data;

    if (status != REDIS_OK) {
        /* hiredis frees the context after this */
        link->ac = NULL;
        ngx_loyalty_redis_lost(link, ac->errstr);
        return;
    }

    link->up = 1;

    if (link->listens
        && redisAsyncCommand(link->ac, ngx_loyalty_redis_message, link,
                             "SUBSCRIBE " NGX_LOYALTY_REDIS_CHANNEL)
        == REDIS_OK)
    {
        /* what happened before is not told: look once */
        ngx_loyalty_feed_wake();
    }
}


static void
ngx_loyalty_redis_disconnected(const redisAsyncContext *ac, int status)
{
    ngx_loyalty_link_t  *link;

    link = ac->data;

    if (link->ac == NULL) {
        /* closed by us */
        return;
    }

    link->ac = NULL;
    link->up = 0;

    ngx_loyalty_redis_lost(link, status == REDIS_OK ? "closed" : ac->errstr);
}


static void
ngx_loyalty_redis_published(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply          *r = reply;
    ngx_loyalty_link_t  *link = data;

    if (link->pending) {
        link->pending--;
    }

    link->tried = ngx_current_msec;

    if (r && r->type == REDIS_REPLY_ERROR) {
        ngx_loyalty_redis_lost(link, r->str);
    }
}


static void
ngx_loyalty_redis_message(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply          *r = reply, *text;
    ngx_loyalty_link_t  *link = data;
    ngx_loyalty_zone_t  *zone;

    if (r == NULL || r->type != REDIS_REPLY_ARRAY || r->elements != 3) {
        return;
    }

    text = r->element[2];

    /* the answer to SUBSCRIBE has a number there; our own hints say nothing */

    zone = link->redis->lmcf->zone->data;

    if (text->type != REDIS_REPLY_STRING
        || ((size_t) text->len == sizeof(zone->node)
            && ngx_memcmp(text->str, zone->node, sizeof(zone->node)) == 0))
    {
        return;
    }

    ngx_loyalty_metric(FEED_HINTS);
    ngx_loyalty_feed_wake();
}


static void
ngx_loyalty_redis_lost(ngx_loyalty_link_t *link, const char *what)
{
    ngx_loyalty_redis_t  *redis;

    redis = link->redis;
    link->up = 0;

    ngx_loyalty_metric(REDIS_ERRORS);

    /* it is harmless: once a minute is enough */

    if (redis->complained == 0
        || ngx_current_msec - redis->complained > 60000)
    {
        redis->complained = ngx_current_msec;
        ngx_log_error(NGX_LOG_WARN, redis->log, 0,
                      "loyalty: no hints to other nodes, redis: %s", what);
    }
}


static void
ngx_loyalty_redis_read_handler(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_loyalty_link_t  *link;

    c = ev->data;
    link = c->data;

    if (c->close) {
        ngx_loyalty_redis_close(link);
        return;
    }

    redisAsyncHandleRead(link->ac);
}


static void
ngx_loyalty_redis_write_handler(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_loyalty_link_t  *link;

    c = ev->data;
    link = c->data;

    redisAsyncHandleWrite(link->ac);
}


static void
ngx_loyalty_redis_add_read(void *data)
{
    ngx_loyalty_link_t *link = data;

    if (link->c && !link->c->read->active) {
        (void) ngx_add_event(link->c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_loyalty_redis_del_read(void *data)
{
    ngx_loyalty_link_t *link = data;

    if (link->c && link->c->read->active) {
        (void) ngx_del_event(link->c->read, NGX_READ_EVENT, 0);
    }
}


static void
ngx_loyalty_redis_add_write(void *data)
{
    ngx_loyalty_link_t *link = data;

    if (link->c && !link->c->write->active) {
        (void) ngx_add_event(link->c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_loyalty_redis_del_write(void *data)
{
    ngx_loyalty_link_t *link = data;

    if (link->c && link->c->write->active) {
        (void) ngx_del_event(link->c->write, NGX_WRITE_EVENT, 0);
    }
}


/* before hiredis closes the descriptor: events first, then the connection */

static void
ngx_loyalty_redis_cleanup(void *data)
{
    ngx_connection_t    *c;
    ngx_loyalty_link_t  *link = data;

    c = link->c;

    if (c == NULL) {
        return;
    }

    ngx_loyalty_redis_del_write(link);
    ngx_loyalty_redis_del_read(link);

    link->c = NULL;

    /* shared: the descriptor is not ours to close */

    c->shared = 1;
    ngx_close_connection(c);
}
