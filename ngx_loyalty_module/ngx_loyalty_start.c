#include "ngx_loyalty_start.h"
#include "ngx_loyalty_zone.h"


#define NGX_LOYALTY_START_TICK  5   /* ms between looks at the zone */


static void ngx_loyalty_start_tick(ngx_event_t *ev);
static ngx_uint_t ngx_loyalty_start_ready(ngx_loyalty_zone_t *zone);
static ngx_int_t ngx_loyalty_start_pause(ngx_cycle_t *cycle);
static ngx_int_t ngx_loyalty_start_resume(ngx_cycle_t *cycle);


/* of this process */
static struct {
    ngx_event_t           timer;
    ngx_loyalty_zone_t   *zone;
    ngx_msec_t            since;
    ngx_msec_t            wait;
    ngx_uint_t            mutex;    /* accept_mutex is on */
} ngx_loyalty_start;


ngx_int_t
ngx_loyalty_start_init_process(ngx_cycle_t *cycle,
    ngx_loyalty_main_conf_t *lmcf)
{
    ngx_event_t  *timer;

    if (lmcf->start_wait == 0
        || ngx_loyalty_start_ready(lmcf->zone->data))
    {
        return NGX_OK;
    }

    ngx_loyalty_start.zone = lmcf->zone->data;
    ngx_loyalty_start.since = ngx_loyalty_now_ms();
    ngx_loyalty_start.wait = lmcf->start_wait;

    if (ngx_loyalty_start_pause(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    timer = &ngx_loyalty_start.timer;
    timer->handler = ngx_loyalty_start_tick;
    timer->data = cycle;
    timer->log = cycle->log;
    timer->cancelable = 1;

    ngx_add_timer(timer, NGX_LOYALTY_START_TICK);

    return NGX_OK;
}


static ngx_uint_t
ngx_loyalty_start_ready(ngx_loyalty_zone_t *zone)
{
    return zone->complete != 0 && zone->fed != 0;
}


static void
ngx_loyalty_start_tick(ngx_event_t *ev)
{
    ngx_msec_t    waited;
    ngx_uint_t    ready;
    ngx_cycle_t  *cycle;

    cycle = ev->data;

    /* the listening sockets are closed already */

    if (ngx_exiting || ngx_quit || ngx_terminate) {
        return;
    }

    ready = ngx_loyalty_start_ready(ngx_loyalty_start.zone);
    waited = ngx_loyalty_now_ms() - ngx_loyalty_start.since;

    if (!ready && waited < ngx_loyalty_start.wait) {
        ngx_add_timer(ev, NGX_LOYALTY_START_TICK);
        return;
    }

    if (ready) {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "loyalty: accepting after %M ms, the directory is there",
                      waited);

    } else {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "loyalty: accepting after %M ms without the directory",
                      waited);
    }

    if (ngx_loyalty_start_resume(cycle) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "loyalty: this process cannot accept connections");
    }
}


static ngx_int_t
ngx_loyalty_start_pause(ngx_cycle_t *cycle)
{
    ngx_uint_t         i;
    ngx_listening_t   *ls;
    ngx_connection_t  *c;

    /* with accept_mutex nothing is added before the mutex is held */

    ngx_loyalty_start.mutex = ngx_use_accept_mutex;
    ngx_use_accept_mutex = 0;

    ls = cycle->listening.elts;

    for (i = 0; i < cycle->listening.nelts; i++) {
        c = ls[i].connection;

        if (c == NULL || !c->read->active) {
            continue;
        }

        if (ngx_del_event(c->read, NGX_READ_EVENT, NGX_DISABLE_EVENT)
            == NGX_ERROR)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_start_resume(ngx_cycle_t *cycle)
{
    ngx_uint_t         i, flags;
    ngx_listening_t   *ls;
    ngx_connection_t  *c;

    if (ngx_loyalty_start.mutex) {
        ngx_use_accept_mutex = 1;
        return NGX_OK;
    }

    /* as ngx_event_process_init() had added them */

    flags = 0;

#if (NGX_HAVE_EPOLLEXCLUSIVE)

    if (ngx_use_exclusive_accept) {
        flags = NGX_EXCLUSIVE_EVENT;
    }

#endif

    ls = cycle->listening.elts;

    for (i = 0; i < cycle->listening.nelts; i++) {
        c = ls[i].connection;

        if (c == NULL || c->read->active) {
            continue;
        }

        if (ngx_add_event(c->read, NGX_READ_EVENT, flags) == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
