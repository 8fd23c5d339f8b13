/*
 * The change feed: who reads it, when, and what a read brings.
 */

#include "ngx_loyalty_feed_int.h"
#include "ngx_loyalty_directory.h"


#define NGX_LOYALTY_FEED_TICK      50   /* ms between looks at the lease */
#define NGX_LOYALTY_FEED_INTERVAL  150  /* ms between reads without a hint */
#define NGX_LOYALTY_FEED_LEASE     1500 /* ms without a beat: take over */
#define NGX_LOYALTY_FEED_EXPIRE    60000
#define NGX_LOYALTY_FEED_HEARD     5000 /* ms between looks at the socket */
#define NGX_LOYALTY_FEED_TIMEOUT   10000


enum {
    NGX_LOYALTY_FEED_CHANGES = 0,
    NGX_LOYALTY_FEED_SNAPSHOT
};

static const ngx_loyalty_pg_statement_t  ngx_loyalty_feed_statements[] = {

    { NGX_LOYALTY_FEED_CHANGES, "dir_changes",
      "select 'incarnation'::text as kind, dir.incarnation() as ref,"
      " null::uuid as tenant, null::jsonb as data"
      " union all select c.kind, c.ref, c.tenant, c.data"
      " from dir.changes($1) c", 1 },

    { NGX_LOYALTY_FEED_SNAPSHOT, "dir_snapshot",
      "select 'incarnation'::text as kind, dir.incarnation() as ref,"
      " null::uuid as tenant, null::jsonb as data"
      " union all select s.kind, s.ref, null::uuid, s.data"
      " from dir.snapshot() s", 0 }
};


static void ngx_loyalty_feed_tick(ngx_event_t *ev);
static void ngx_loyalty_feed_elect(ngx_loyalty_feed_t *feed);
static void ngx_loyalty_feed_reap(ngx_loyalty_feed_t *feed);
static void ngx_loyalty_feed_handler(ngx_loyalty_pg_call_t *call,
    ngx_loyalty_pg_result_t *res);
static ngx_int_t ngx_loyalty_feed_apply(ngx_loyalty_feed_t *feed,
    ngx_loyalty_pg_result_t *res);
static ngx_int_t ngx_loyalty_feed_incarnation(ngx_loyalty_feed_t *feed,
    ngx_str_t *text);
static void ngx_loyalty_feed_failed(ngx_loyalty_feed_t *feed,
    ngx_loyalty_pg_result_t *res);


ngx_loyalty_pg_t *
ngx_loyalty_directory_pool(void)
{
    ngx_loyalty_local_t  *local;

    local = ngx_loyalty_local();

    return local ? local->directory : NULL;
}


ngx_int_t
ngx_loyalty_feed_init_process(ngx_cycle_t *cycle,
    ngx_loyalty_main_conf_t *lmcf)
{
    u_char                    buf[sizeof(struct sockaddr_un)];
    ngx_str_t                 path;
    ngx_loyalty_feed_t       *feed;
    ngx_loyalty_local_t      *local;
    ngx_loyalty_pg_conf_t    *conf;

    local = lmcf->local;

    if (lmcf->directory.conninfo.len == 0) {
        return NGX_OK;
    }

    conf = &local->directory_conf;

    ngx_str_set(&conf->name, "directory");
    conf->conninfo = lmcf->directory.conninfo;
    conf->connections = lmcf->directory.connections;
    conf->depth = 16;
    conf->queue = 1024;
    conf->timeout = NGX_LOYALTY_FEED_TIMEOUT;
    conf->statement_timeout = NGX_LOYALTY_FEED_TIMEOUT - 1000;

    ngx_loyalty_zone_pool_conf(lmcf->zone->data, local->process,
                               NGX_LOYALTY_POOL_DIRECTORY, conf);

    local->directory = ngx_loyalty_pg_create(cycle, conf);
    if (local->directory == NULL) {
        return NGX_ERROR;
    }

    feed = ngx_pcalloc(cycle->pool, sizeof(ngx_loyalty_feed_t));
    if (feed == NULL) {
        return NGX_ERROR;
    }

    feed->lmcf = lmcf;
    feed->zone = lmcf->zone->data;
    feed->local = local;
    feed->log = cycle->log;

    feed->timer.handler = ngx_loyalty_feed_tick;
    feed->timer.data = feed;
    feed->timer.log = cycle->log;
    feed->timer.cancelable = 1;

    local->feed = feed;

    if (ngx_loyalty_feed_path(feed, (ngx_atomic_uint_t) ngx_pid, &path, buf)) {
        feed->own = ngx_loyalty_feed_bind(feed, &path,
                                          ngx_loyalty_feed_own_handler);
    }

    ngx_add_timer(&feed->timer, 1);

    return NGX_OK;
}


void
ngx_loyalty_feed_exit_process(ngx_loyalty_main_conf_t *lmcf)
{
    u_char                    buf[sizeof(struct sockaddr_un)];
    ngx_str_t                 path;
    ngx_loyalty_feed_t       *feed;
    ngx_loyalty_local_t      *local;

    local = lmcf->local;
    feed = local->feed;

    if (feed) {
        if (feed->timer.timer_set) {
            ngx_del_timer(&feed->timer);
        }

        ngx_loyalty_feed_resign(feed);
        ngx_loyalty_pg_cancel(&feed->call);

        if (feed->own) {
            ngx_loyalty_feed_close(feed->own);
            feed->own = NULL;
        }

        if (ngx_loyalty_feed_path(feed, (ngx_atomic_uint_t) ngx_pid, &path,
                                  buf))
        {
            (void) ngx_delete_file(path.data);
        }
    }

    if (local->directory) {
        ngx_loyalty_pg_destroy(local->directory);
        local->directory = NULL;
    }
}


ngx_uint_t
ngx_loyalty_feed_owner(void)
{
    ngx_loyalty_local_t  *local;

    local = ngx_loyalty_local();

    return local && local->feed && local->feed->owner;
}


static void
ngx_loyalty_feed_tick(ngx_event_t *ev)
{
    ngx_msec_t           now;
    ngx_loyalty_feed_t  *feed;

    feed = ev->data;
    now = ngx_loyalty_now_ms();

    if (feed->local->process) {
        feed->local->process->beat = now;
    }

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        ngx_loyalty_feed_resign(feed);
        ngx_add_timer(ev, NGX_LOYALTY_FEED_TICK);
        return;
    }

    ngx_loyalty_feed_elect(feed);

    if (feed->owner) {
        if (!feed->in_flight
            && (now - feed->sent >= NGX_LOYALTY_FEED_INTERVAL
                || (feed->wanted != feed->zone->owner_wanted
                    && now - feed->sent >= NGX_LOYALTY_FEED_SPACING)))
        {
            ngx_loyalty_feed_read(feed);
        }

        if (now - feed->heard >= NGX_LOYALTY_FEED_HEARD) {
            feed->heard = now;
            ngx_loyalty_feed_heard(feed);
        }

        if (now - feed->expired >= NGX_LOYALTY_FEED_EXPIRE) {
            feed->expired = now;
            ngx_loyalty_directory_expire(feed->zone, ngx_loyalty_now_us());
            ngx_loyalty_feed_reap(feed);
        }
    }

    ngx_add_timer(ev, NGX_LOYALTY_FEED_TICK);
}


static void
ngx_loyalty_feed_elect(ngx_loyalty_feed_t *feed)
{
    ngx_pid_t           pid;
    ngx_atomic_uint_t   owner;

    owner = feed->zone->owner;

    if (owner == (ngx_atomic_uint_t) ngx_pid) {
        feed->owner = 1;
        feed->zone->owner_beat = ngx_loyalty_now_ms();

    } else {

        if (feed->owner) {
            /* it slept for longer than its lease */
            ngx_loyalty_feed_resign(feed);
        }

        pid = (ngx_pid_t) owner;

        if (owner != 0
            && ngx_loyalty_now_ms() - feed->zone->owner_beat
            < NGX_LOYALTY_FEED_LEASE
            && (kill(pid, 0) == 0 || ngx_errno != ESRCH))
        {
            return;
        }

        if (!ngx_atomic_cmp_set(&feed->zone->owner, owner,
                                (ngx_atomic_uint_t) ngx_pid))
        {
            return;
        }

        feed->zone->owner_beat = ngx_loyalty_now_ms();
        feed->owner = 1;
        feed->full = 0;

        ngx_log_error(NGX_LOG_NOTICE, feed->log, 0,
                      "loyalty: this process reads the change feed%s",
                      owner ? ", the one before it is gone" : "");

        ngx_loyalty_metric(FEED_OWNERS);
        ngx_loyalty_feed_reap(feed);
    }

    if (feed->hint == NULL && feed->lmcf->hint_socket.len) {
        feed->hint = ngx_loyalty_feed_bind(feed, &feed->lmcf->hint_socket,
                                           ngx_loyalty_feed_hint_handler);
    }
}


/* what processes that were killed left behind */

static void
ngx_loyalty_feed_reap(ngx_loyalty_feed_t *feed)
{
    u_char                buf[sizeof(struct sockaddr_un)];
    ngx_str_t             path;
    ngx_uint_t            i;
    ngx_atomic_uint_t     pid;
    ngx_loyalty_pslot_t  *slot;

    for (i = 0; i < NGX_LOYALTY_PROCESSES; i++) {
        slot = &feed->zone->processes[i];
        pid = slot->pid;

        if (pid == 0 || kill((ngx_pid_t) pid, 0) == 0 || ngx_errno != ESRCH
            || !ngx_atomic_cmp_set(&slot->pid, pid, 0))
        {
            continue;
        }

        if (ngx_loyalty_feed_path(feed, pid, &path, buf)) {
            (void) ngx_delete_file(path.data);
        }
    }
}


void
ngx_loyalty_feed_resign(ngx_loyalty_feed_t *feed)
{
    if (!feed->owner) {
        return;
    }

    feed->owner = 0;

    if (feed->hint) {
        /* the file stays: the next owner puts its own in its place */
        ngx_loyalty_feed_close(feed->hint);
        feed->hint = NULL;
    }

    (void) ngx_atomic_cmp_set(&feed->zone->owner, (ngx_atomic_uint_t) ngx_pid,
                              0);
}


void
ngx_loyalty_feed_read(ngx_loyalty_feed_t *feed)
{
    ngx_int_t             rc;
    ngx_uint_t            n;
    ngx_loyalty_zone_t   *zone;

    zone = feed->zone;

    n = feed->full || !zone->complete || zone->since_len == 0
        ? NGX_LOYALTY_FEED_SNAPSHOT : NGX_LOYALTY_FEED_CHANGES;

    ngx_memcpy(feed->since, zone->since, zone->since_len);
    feed->since[zone->since_len] = '\0';

    ngx_memzero(&feed->call, sizeof(feed->call));

    feed->values[0] = feed->since;
    feed->call.statement = &ngx_loyalty_feed_statements[n];
    feed->call.values = feed->values;
    feed->call.handler = ngx_loyalty_feed_handler;
    feed->call.data = feed;
    feed->call.log = feed->log;

    feed->sent = ngx_loyalty_now_ms();
    feed->wanted = zone->owner_wanted;

    rc = ngx_loyalty_pg_call(feed->local->directory, &feed->call);

    if (rc == NGX_OK) {
        feed->in_flight = 1;
        return;
    }

    ngx_loyalty_feed_failed(feed, NULL);
}


static void
ngx_loyalty_feed_handler(ngx_loyalty_pg_call_t *call,
    ngx_loyalty_pg_result_t *res)
{
    ngx_loyalty_feed_t  *feed;

    feed = call->data;
    feed->in_flight = 0;

    if (!feed->owner
        || feed->zone->owner != (ngx_atomic_uint_t) ngx_pid)
    {
        return;
    }

    if (res->outcome != NGX_LOYALTY_PG_OK) {
        ngx_loyalty_feed_failed(feed, res);
        return;
    }

    feed->failures = 0;
    ngx_loyalty_metric(FEED_READS);

    if (ngx_loyalty_feed_apply(feed, res) != NGX_OK) {
        /* not understood, or another incarnation: read all of it now */
        feed->full = 1;
        ngx_loyalty_feed_read(feed);
        return;
    }

    /* as old as the query: what was committed later is not in it */

    feed->zone->fed = feed->sent;

    if (feed->wanted != feed->zone->owner_wanted
        && ngx_loyalty_now_ms() - feed->sent >= NGX_LOYALTY_FEED_SPACING)
    {
        ngx_loyalty_feed_read(feed);
    }
}


static ngx_int_t
ngx_loyalty_feed_apply(ngx_loyalty_feed_t *feed, ngx_loyalty_pg_result_t *res)
{
    ngx_str_t            kind, ref, tenant, data, mark;
    ngx_uint_t           i, full, failed;
    ngx_loyalty_zone_t  *zone;

    zone = feed->zone;
    full = feed->call.statement->id == NGX_LOYALTY_FEED_SNAPSHOT;
    failed = 0;
    ngx_str_null(&mark);

    if (full) {
        ngx_loyalty_metric(FEED_RESYNCS);
        ngx_loyalty_directory_begin(zone);
    }

    for (i = 0; i < res->rows; i++) {
        kind = ngx_loyalty_pg_value(res, i, 0);
        ref = ngx_loyalty_pg_value(res, i, 1);
        tenant = ngx_loyalty_pg_value(res, i, 2);
        data = ngx_loyalty_pg_value(res, i, 3);

        if (kind.len == 11 && ngx_memcmp(kind.data, "incarnation", 11) == 0) {

            if (ngx_loyalty_feed_incarnation(feed, &ref) != NGX_OK && !full) {
                return NGX_DECLINED;
            }

            continue;
        }

        if (kind.len == 4 && ngx_memcmp(kind.data, "mark", 4) == 0) {
            mark = ref;
            continue;
        }

        if (kind.len == 6 && ngx_memcmp(kind.data, "resync", 6) == 0) {
            ngx_loyalty_directory_void(zone);
            return NGX_DECLINED;
        }

        if (ngx_loyalty_directory_apply(zone, feed->local->scratch, &kind,
                                        &ref, &tenant,
                                        data.data ? &data : NULL, feed->log)
            != NGX_OK)
        {
            failed = 1;
        }

        if (!full) {
            ngx_loyalty_metric(FEED_CHANGES);
        }
    }

    if (mark.len == 0 || mark.len > NGX_LOYALTY_MARK_MAX) {
        ngx_log_error(NGX_LOG_ALERT, feed->log, 0,
                      "loyalty: the change feed gave no usable mark");
        zone->since_len = 0;
        return full ? NGX_OK : NGX_DECLINED;
    }

    if (full) {
        ngx_loyalty_directory_end(zone, failed);
        feed->full = 0;

        ngx_log_error(NGX_LOG_NOTICE, feed->log, 0,
                      "loyalty: read the directory: %ui records%s", res->rows,
                      failed ? ", not all of them found room" : "");

    } else if (failed) {
        zone->partial = 1;
    }

    /* last: a process that dies before this applies the same changes again */

    zone->since_len = 0;
    ngx_memory_barrier();
    ngx_memcpy(zone->since, mark.data, mark.len);
    ngx_memory_barrier();
    zone->since_len = (uint32_t) mark.len;

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_feed_incarnation(ngx_loyalty_feed_t *feed, ngx_str_t *text)
{
    size_t               len;
    ngx_loyalty_zone_t  *zone;

    zone = feed->zone;
    len = ngx_min(text->len, NGX_LOYALTY_INC_MAX);

    if (zone->incarnation_len == len
        && ngx_memcmp(zone->incarnation, text->data, len) == 0)
    {
        return NGX_OK;
    }

    if (zone->incarnation_len) {
        ngx_log_error(NGX_LOG_WARN, feed->log, 0,
                      "loyalty: the database has another incarnation, the "
                      "caches are void");
        ngx_loyalty_directory_void(zone);
    }

    zone->incarnation_len = 0;
    ngx_memory_barrier();
    ngx_memcpy(zone->incarnation, text->data, len);
    ngx_memory_barrier();
    zone->incarnation_len = (uint32_t) len;

    return NGX_DECLINED;
}


static void
ngx_loyalty_feed_failed(ngx_loyalty_feed_t *feed, ngx_loyalty_pg_result_t *res)
{
    ngx_loyalty_metric(FEED_ERRORS);

    /* the first one, then about one a minute */

    if (feed->failures++ % 400 == 0) {
        ngx_log_error(NGX_LOG_ERR, feed->log, 0,
                      "loyalty: the change feed cannot be read%s%s",
                      res && res->sqlstate[0] ? ", SQLSTATE " : "",
                      res ? res->sqlstate : "");
    }
}
