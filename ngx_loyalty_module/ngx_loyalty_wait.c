
#include "ngx_loyalty_wait.h"
#include "ngx_loyalty_feed.h"
#include "ly_buf.h"


#define NGX_LOYALTY_WAIT_BUCKETS   4096
#define NGX_LOYALTY_WAIT_FIRST     5            /* ms between polls, */
#define NGX_LOYALTY_WAIT_LAST      100          /*     growing */
#define NGX_LOYALTY_WAIT_HINTED    2            /* ms after a hint */
#define NGX_LOYALTY_WAIT_IDS       8192         /* of one poll */
#define NGX_LOYALTY_WAIT_GRACE     2000         /* ms for a process to end */
#define NGX_LOYALTY_WAIT_PARAM     (NGX_LOYALTY_WAIT_IDS * 40)


typedef struct ngx_loyalty_waiter_s  ngx_loyalty_waiter_t;


typedef struct {
    ngx_queue_t             queue;      /* of its bucket; itself: done */
    ngx_loyalty_waiter_t   *waiter;
    ly_uuid_t               id;
} ngx_loyalty_wait_id_t;


struct ngx_loyalty_waiter_s {
    ngx_queue_t             queue;
    ngx_event_t             timer;
    ngx_loyalty_api_t      *api;
    ngx_loyalty_wait_id_t  *ids;
    ngx_uint_t              n;
    ngx_uint_t              left;
};


static void ngx_loyalty_wait_init(void);
static void ngx_loyalty_wait_again(ngx_msec_t ms);
static void ngx_loyalty_wait_tick(ngx_event_t *ev);
static ngx_int_t ngx_loyalty_wait_poll(void);
static void ngx_loyalty_wait_handler(ngx_loyalty_pg_call_t *call,
    ngx_loyalty_pg_result_t *res);
static void ngx_loyalty_wait_outcome(ly_uuid_t *id, ngx_queue_t *done);
static void ngx_loyalty_wait_timeout(ngx_event_t *ev);
static void ngx_loyalty_wait_remove(ngx_loyalty_waiter_t *waiter);
static void ngx_loyalty_wait_finish(ngx_loyalty_waiter_t *waiter);


static const ngx_loyalty_pg_statement_t  ngx_loyalty_wait_statement = {
    NGX_LOYALTY_FEED_STATEMENTS + 1, "dir_outcomes",
    "select o from dir.outcomes($1, $2) o", 2
};


/* of this process */
static struct {
    ngx_queue_t             waiters;
    ngx_uint_t              n;
    ngx_queue_t             buckets[NGX_LOYALTY_WAIT_BUCKETS];
    ngx_event_t             timer;
    ngx_msec_t              interval;
    ngx_msec_t              exiting;    /* since when */
    ngx_loyalty_pg_call_t   call;
    const char             *values[2];
    ly_buf_t                tenants;
    ly_buf_t                ids;
    unsigned                ready : 1;
    unsigned                polling : 1;
    unsigned                hinted : 1;
} ngx_loyalty_waits;


static void
ngx_loyalty_wait_init(void)
{
    ngx_uint_t  i;

    if (ngx_loyalty_waits.ready) {
        return;
    }

    ngx_loyalty_waits.ready = 1;
    ngx_queue_init(&ngx_loyalty_waits.waiters);

    for (i = 0; i < NGX_LOYALTY_WAIT_BUCKETS; i++) {
        ngx_queue_init(&ngx_loyalty_waits.buckets[i]);
    }

    ngx_loyalty_waits.timer.handler = ngx_loyalty_wait_tick;
    ngx_loyalty_waits.timer.data = &ngx_loyalty_waits;
    ngx_loyalty_waits.timer.log = ngx_cycle->log;
    ngx_loyalty_waits.timer.cancelable = 1;
}


/* the last bytes of a UUIDv7 are random */
static ngx_queue_t *
ngx_loyalty_wait_bucket(const ly_uuid_t *id)
{
    return &ngx_loyalty_waits.buckets[(id->b[14] << 8 | id->b[15])
                                      % NGX_LOYALTY_WAIT_BUCKETS];
}


ngx_int_t
ngx_loyalty_wait(ngx_loyalty_api_t *api, ly_uuid_t *ids, ngx_uint_t n,
    ngx_msec_t ms)
{
    ngx_uint_t             i;
    ngx_loyalty_waiter_t  *waiter;

    if (ngx_loyalty_waits.n >= ngx_loyalty_main_conf()->wait_max
        || ngx_loyalty_directory_pool() == NULL)
    {
        ngx_loyalty_metric(WAITS_REFUSED);
        return NGX_BUSY;
    }

    ngx_loyalty_wait_init();

    waiter = ngx_pcalloc(api->request->pool, sizeof(ngx_loyalty_waiter_t));
    if (waiter == NULL) {
        return NGX_ERROR;
    }

    waiter->ids = ngx_palloc(api->request->pool,
                             n * sizeof(ngx_loyalty_wait_id_t));
    if (waiter->ids == NULL) {
        return NGX_ERROR;
    }

    waiter->api = api;
    waiter->n = n;
    waiter->left = n;

    for (i = 0; i < n; i++) {
        waiter->ids[i].waiter = waiter;
        waiter->ids[i].id = ids[i];
        ngx_queue_insert_tail(ngx_loyalty_wait_bucket(&ids[i]),
                              &waiter->ids[i].queue);
    }

    /* not cancelable: a process that exits stays for its waiters */

    waiter->timer.handler = ngx_loyalty_wait_timeout;
    waiter->timer.data = waiter;
    waiter->timer.log = api->request->connection->log;
    ngx_add_timer(&waiter->timer, ms);

    ngx_queue_insert_tail(&ngx_loyalty_waits.waiters, &waiter->queue);
    ngx_loyalty_waits.n++;
    api->waiter = waiter;

    ngx_loyalty_metric(WAITS);
    ngx_loyalty_metric(G_WAITERS);

    ngx_loyalty_waits.interval = NGX_LOYALTY_WAIT_FIRST;
    ngx_loyalty_wait_again(NGX_LOYALTY_WAIT_FIRST);

    return NGX_OK;
}


void
ngx_loyalty_wait_cancel(ngx_loyalty_api_t *api)
{
    if (api->waiter) {
        ngx_loyalty_wait_remove(api->waiter);
        api->waiter = NULL;
    }
}


void
ngx_loyalty_wait_poke(void)
{
    if (ngx_loyalty_waits.n == 0) {
        return;
    }

    ngx_loyalty_waits.hinted = 1;
    ngx_loyalty_waits.interval = NGX_LOYALTY_WAIT_FIRST;
    ngx_loyalty_wait_again(NGX_LOYALTY_WAIT_HINTED);
}


/* at the latest after that many ms */
static void
ngx_loyalty_wait_again(ngx_msec_t ms)
{
    ngx_event_t  *timer;

    timer = &ngx_loyalty_waits.timer;

    if (ngx_loyalty_waits.polling) {
        return;
    }

    if (timer->timer_set) {
        if ((ngx_msec_int_t) (timer->timer.key - ngx_current_msec)
            <= (ngx_msec_int_t) ms)
        {
            return;
        }

        /* ngx_add_timer() would take this small change for none */
        ngx_del_timer(timer);
    }

    ngx_add_timer(timer, ms);
}


static void
ngx_loyalty_wait_tick(ngx_event_t *ev)
{
    ngx_queue_t  *q;

    if (ngx_loyalty_waits.n == 0) {
        return;
    }

    if (ngx_exiting) {
        if (ngx_loyalty_waits.exiting == 0) {
            ngx_loyalty_waits.exiting = ngx_current_msec;
        }

        if (ngx_current_msec - ngx_loyalty_waits.exiting
            >= NGX_LOYALTY_WAIT_GRACE)
        {
            while (!ngx_queue_empty(&ngx_loyalty_waits.waiters)) {
                q = ngx_queue_head(&ngx_loyalty_waits.waiters);
                ngx_loyalty_wait_finish(ngx_queue_data(q, ngx_loyalty_waiter_t,
                                                       queue));
            }

            return;
        }
    }

    if (ngx_loyalty_wait_poll() != NGX_OK) {
        ngx_loyalty_wait_again(NGX_LOYALTY_WAIT_LAST);
    }
}


static ngx_int_t
ngx_loyalty_wait_poll(void)
{
    u_char                  text[LY_UUID_TEXT];
    ly_buf_t               *tenants, *ids;
    ngx_uint_t              i, n;
    ngx_queue_t            *q;
    ngx_loyalty_waiter_t   *waiter;
    ngx_loyalty_pg_call_t  *call;

    tenants = &ngx_loyalty_waits.tenants;
    ids = &ngx_loyalty_waits.ids;

    ly_buf_init(tenants, NGX_LOYALTY_WAIT_PARAM, NULL);
    ly_buf_init(ids, NGX_LOYALTY_WAIT_PARAM, NULL);

    ly_buf_byte(tenants, '{');
    ly_buf_byte(ids, '{');
    n = 0;

    for (q = ngx_queue_head(&ngx_loyalty_waits.waiters);
         q != ngx_queue_sentinel(&ngx_loyalty_waits.waiters)
         && n < NGX_LOYALTY_WAIT_IDS;
         q = ngx_queue_next(q))
    {
        waiter = ngx_queue_data(q, ngx_loyalty_waiter_t, queue);

        for (i = 0; i < waiter->n && n < NGX_LOYALTY_WAIT_IDS; i++) {

            if (ngx_queue_empty(&waiter->ids[i].queue)) {
                continue;
            }

            if (n++) {
                ly_buf_byte(tenants, ',');
                ly_buf_byte(ids, ',');
            }

            ly_uuid_print(&waiter->api->tenant->id, text);
            ly_buf_put(tenants, text, LY_UUID_TEXT);
            ly_uuid_print(&waiter->ids[i].id, text);
            ly_buf_put(ids, text, LY_UUID_TEXT);
        }
    }

    ly_buf_put(tenants, "}", 2);
    ly_buf_put(ids, "}", 2);

    call = &ngx_loyalty_waits.call;
    ngx_memzero(call, sizeof(ngx_loyalty_pg_call_t));

    ngx_loyalty_waits.values[0] = (const char *) ly_buf_view(tenants).data;
    ngx_loyalty_waits.values[1] = (const char *) ly_buf_view(ids).data;

    call->statement = &ngx_loyalty_wait_statement;
    call->values = ngx_loyalty_waits.values;
    call->handler = ngx_loyalty_wait_handler;
    call->log = ngx_cycle->log;

    ngx_loyalty_waits.hinted = 0;

    if (ly_buf_err(tenants) != LY_OK || ly_buf_err(ids) != LY_OK
        || ngx_loyalty_pg_call(ngx_loyalty_directory_pool(), call) != NGX_OK)
    {
        ly_buf_free(tenants);
        ly_buf_free(ids);
        return NGX_ERROR;
    }

    ngx_loyalty_waits.polling = 1;

    return NGX_OK;
}


static void
ngx_loyalty_wait_handler(ngx_loyalty_pg_call_t *call,
    ngx_loyalty_pg_result_t *res)
{
    ly_uuid_t     id;
    ngx_str_t     value;
    ngx_uint_t    i;
    ngx_queue_t   done, *q;

    ngx_loyalty_waits.polling = 0;

    ly_buf_free(&ngx_loyalty_waits.tenants);
    ly_buf_free(&ngx_loyalty_waits.ids);

    ngx_queue_init(&done);

    if (res->outcome == NGX_LOYALTY_PG_OK) {
        for (i = 0; i < res->rows; i++) {
            value = ngx_loyalty_pg_value(res, i, 0);

            if (ly_uuid_parse(ly_str_of(value.data, value.len), &id)
                == LY_OK)
            {
                ngx_loyalty_wait_outcome(&id, &done);
            }
        }
    }

    /* one that ends may end others: always from the head */

    while (!ngx_queue_empty(&done)) {
        q = ngx_queue_head(&done);
        ngx_loyalty_wait_finish(ngx_queue_data(q, ngx_loyalty_waiter_t,
                                               queue));
    }

    if (ngx_loyalty_waits.n == 0) {
        return;
    }

    if (ngx_loyalty_waits.hinted) {
        ngx_loyalty_wait_again(NGX_LOYALTY_WAIT_HINTED);
        return;
    }

    ngx_loyalty_wait_again(ngx_loyalty_waits.interval);

    ngx_loyalty_waits.interval = ngx_min(ngx_loyalty_waits.interval * 3 / 2,
                                         NGX_LOYALTY_WAIT_LAST);
}


/* every request that waits for this id; who has all of his moves to done */
static void
ngx_loyalty_wait_outcome(ly_uuid_t *id, ngx_queue_t *done)
{
    ngx_queue_t            *bucket, *q, *next;
    ngx_loyalty_waiter_t   *waiter;
    ngx_loyalty_wait_id_t  *wait;

    bucket = ngx_loyalty_wait_bucket(id);

    for (q = ngx_queue_head(bucket); q != ngx_queue_sentinel(bucket); q = next)
    {
        next = ngx_queue_next(q);
        wait = ngx_queue_data(q, ngx_loyalty_wait_id_t, queue);

        if (!ly_uuid_eq(&wait->id, id)) {
            continue;
        }

        ngx_queue_remove(q);
        ngx_queue_init(q);

        waiter = wait->waiter;

        if (--waiter->left == 0) {
            ngx_queue_remove(&waiter->queue);
            ngx_queue_insert_tail(done, &waiter->queue);
        }
    }
}


static void
ngx_loyalty_wait_timeout(ngx_event_t *ev)
{
    ngx_loyalty_metric(WAITS_ELAPSED);
    ngx_loyalty_wait_finish(ev->data);
}


static void
ngx_loyalty_wait_remove(ngx_loyalty_waiter_t *waiter)
{
    ngx_uint_t  i;

    for (i = 0; i < waiter->n; i++) {
        ngx_queue_remove(&waiter->ids[i].queue);
        ngx_queue_init(&waiter->ids[i].queue);
    }

    if (waiter->timer.timer_set) {
        ngx_del_timer(&waiter->timer);
    }

    ngx_queue_remove(&waiter->queue);
    ngx_loyalty_waits.n--;
    ngx_loyalty_metric_add(NGX_LOYALTY_M_G_WAITERS, -1);
}


static void
ngx_loyalty_wait_finish(ngx_loyalty_waiter_t *waiter)
{
    ngx_uint_t          left;
    ngx_loyalty_api_t  *api;

    api = waiter->api;
    left = waiter->left;

    ngx_loyalty_wait_remove(waiter);
    api->waiter = NULL;

    ngx_loyalty_wait_done(api, left);
}
