/*
 * The straight line of a request: route → parameters → cache → body → call →
 * answer.
 */

#include "ngx_loyalty_api.h"
#include "ngx_loyalty_local.h"
#include "ngx_loyalty_poke.h"
#include "ngx_loyalty_seal.h"
#include "ngx_loyalty_wait.h"


#define NGX_LOYALTY_READ_DEPTH         64       /* calls per connection */
#define NGX_LOYALTY_READ_QUEUE         4096
#define NGX_LOYALTY_READ_TIMEOUT       5000     /* ms */
#define NGX_LOYALTY_WRITE_TIMEOUT      12000
#define NGX_LOYALTY_STATEMENT_MARGIN   1000     /* its end, before ours */
#define NGX_LOYALTY_GUARD              60000    /* ms, of work in slices */


static ngx_int_t ngx_loyalty_api_create(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx, ngx_loyalty_api_t **out);
static ngx_int_t ngx_loyalty_api_quick(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx, ngx_int_t *rc);
static ngx_int_t ngx_loyalty_api_sync(ngx_loyalty_api_t *api);
static ngx_int_t ngx_loyalty_api_document(ngx_loyalty_api_t *api);
static void ngx_loyalty_api_cleanup(void *data);
static void ngx_loyalty_api_work_handler(ngx_event_t *ev);
static void ngx_loyalty_api_guard_handler(ngx_event_t *ev);
static ngx_int_t ngx_loyalty_api_init_process(ngx_cycle_t *cycle);
static void ngx_loyalty_api_exit_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_loyalty_api_pool(ngx_cycle_t *cycle,
    ngx_loyalty_pool_conf_t *from, ngx_loyalty_pg_conf_t *conf,
    ngx_loyalty_pg_t **pg);


static ngx_http_module_t  ngx_loyalty_api_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_loyalty_api_module = {
    NGX_MODULE_V1,
    &ngx_loyalty_api_module_ctx,           /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_loyalty_api_init_process,          /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_loyalty_api_exit_process,          /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* of this process, from init_process to exit_process */
static struct {
    ly_crypto_t            *crypto;
    ngx_loyalty_pg_conf_t   read_conf;
    ngx_loyalty_pg_conf_t   write_conf;
    ngx_loyalty_pg_t       *read;
    ngx_loyalty_pg_t       *write;
} ngx_loyalty_process;


ngx_int_t
ngx_loyalty_api_handler(ngx_http_request_t *r)
{
    ngx_int_t           rc;
    ngx_uint_t          asked;
    ngx_loyalty_ctx_t  *ctx;
    ngx_loyalty_api_t  *api;

    asked = 0;
    ctx = ngx_loyalty_ctx(r);

    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->route == NULL) {
        rc = ngx_http_discard_request_body(r);

        return rc == NGX_OK ? ngx_loyalty_answer_no_route(r, ctx) : rc;
    }

    if (ngx_loyalty_operation(ctx)->balances && ctx->tenant
        && r->args.len == 0)
    {
        if (ngx_loyalty_api_quick(r, ctx, &rc) == NGX_OK) {
            return rc;
        }

        asked = 1;
    }

    rc = ngx_loyalty_api_create(r, ctx, &api);

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_loyalty_params_read(api);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? ngx_loyalty_api_sync(api)
                                  : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (api->op->route.write) {
        return ngx_loyalty_body_read(api);
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (api->op->document) {
        return ngx_loyalty_api_document(api);
    }

    if (api->op->balances && !asked
        && ngx_loyalty_balances_cached(api, &rc) == NGX_OK)
    {
        return rc;
    }

    /* a client that leaves frees the request; its reply is drained */

    r->read_event_handler = ngx_http_test_reading;
    r->main->count++;
    api->async = 1;

    ngx_loyalty_call(api);

    return NGX_DONE;
}


/*
 * A balance in the cache: the state of the request stays on the stack.
 * NGX_DECLINED: the database has to be asked.
 */
static ngx_int_t
ngx_loyalty_api_quick(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx,
    ngx_int_t *rc)
{
    ngx_loyalty_api_t  api;

    ngx_memzero(&api, sizeof(ngx_loyalty_api_t));

    api.request = r;
    api.ctx = ctx;
    api.tenant = ctx->tenant;
    api.op = ngx_loyalty_operation(ctx);

    if (ngx_loyalty_params_read(&api) != NGX_OK) {
        return NGX_DECLINED;
    }

    *rc = ngx_http_discard_request_body(r);

    if (*rc != NGX_OK) {
        return NGX_OK;
    }

    return ngx_loyalty_balances_cached(&api, rc);
}


static ngx_int_t
ngx_loyalty_api_create(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx,
    ngx_loyalty_api_t **out)
{
    ngx_loyalty_api_t   *api;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_loyalty_api_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    api = cln->data;
    ngx_memzero(api, sizeof(ngx_loyalty_api_t));

    cln->handler = ngx_loyalty_api_cleanup;

    api->request = r;
    api->ctx = ctx;
    api->tenant = ctx->tenant;
    api->op = ngx_loyalty_operation(ctx);
    ctx->api = api;

    *out = api;

    if (api->tenant == NULL && !api->op->document) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "a request came to the API without a tenant");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* a refusal before the body was asked for */
static ngx_int_t
ngx_loyalty_api_sync(ngx_loyalty_api_t *api)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(api->request);

    return rc == NGX_OK ? ngx_loyalty_api_refuse(api) : rc;
}


static void
ngx_loyalty_api_cleanup(void *data)
{
    ngx_loyalty_api_t  *api = data;

    ngx_loyalty_pg_cancel(&api->call);
    ngx_loyalty_wait_cancel(api);

    if (api->work.posted) {
        ngx_delete_posted_event(&api->work);
    }

    if (api->guard.timer_set) {
        ngx_del_timer(&api->guard);
    }

    ngx_loyalty_body_release(api);
    ly_buf_free(&api->param);
    ly_key_wipe(&api->data_key);

    if (api->keys) {
        ngx_loyalty_keys_release(api->keys);
    }

    ly_arena_destroy(api->arena);
}


ngx_int_t
ngx_loyalty_api_arena(ngx_loyalty_api_t *api)
{
    if (api->arena == NULL) {
        api->arena = ly_arena_create(NGX_LOYALTY_ARENA_SMALL, NULL);
        api->faults.arena = api->arena;
    }

    return api->arena ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_loyalty_api_fault(ngx_loyalty_api_t *api, const char *code,
    const char *detail)
{
    api->problem = code;
    api->detail.data = (u_char *) detail;
    api->detail.len = detail ? ngx_strlen(detail) : 0;

    return NGX_DECLINED;
}


ngx_int_t
ngx_loyalty_api_refuse(ngx_loyalty_api_t *api)
{
    const char  *code;

    code = api->problem ? api->problem : "internal";

    return ngx_loyalty_answer_refuse(api->request, 0, code,
                                     api->detail.len ? &api->detail : NULL,
                                     api->faults.n ? &api->faults : NULL, 0);
}


void
ngx_loyalty_api_done(ngx_loyalty_api_t *api, ngx_int_t rc)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = api->request;
    c = r->connection;

    if (api->guard.timer_set) {
        ngx_del_timer(&api->guard);
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


void
ngx_loyalty_api_failed(ngx_loyalty_api_t *api, ngx_int_t rc)
{
    ngx_loyalty_api_done(api, rc == NGX_DECLINED
                         ? ngx_loyalty_api_refuse(api)
                         : NGX_HTTP_INTERNAL_SERVER_ERROR);
}


void
ngx_loyalty_api_run(ngx_loyalty_api_t *api)
{
    ngx_int_t  rc;

    if (!api->op->events) {
        ngx_loyalty_call(api);
        return;
    }

    rc = ngx_loyalty_keys_take(api);

    if (rc == NGX_OK) {
        rc = ngx_loyalty_events_begin(api);
    }

    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc == NGX_OK) {
        ngx_loyalty_call(api);
        return;
    }

    ngx_loyalty_api_failed(api, rc);
}


void
ngx_loyalty_api_later(ngx_loyalty_api_t *api, ngx_loyalty_work_pt handler)
{
    api->work_handler = handler;

    if (api->work.handler == NULL) {
        api->work.handler = ngx_loyalty_api_work_handler;
        api->work.data = api;
        api->work.log = api->request->connection->log;

        /* a process that exits would leave with only posted events to do */

        api->guard.handler = ngx_loyalty_api_guard_handler;
        api->guard.data = api;
        api->guard.log = api->request->connection->log;
        ngx_add_timer(&api->guard, NGX_LOYALTY_GUARD);
    }

    ngx_post_event(&api->work, &ngx_posted_next_events);
}


static void
ngx_loyalty_api_work_handler(ngx_event_t *ev)
{
    ngx_loyalty_api_t  *api = ev->data;

    api->work_handler(api);
}


static void
ngx_loyalty_api_guard_handler(ngx_event_t *ev)
{
    ngx_loyalty_api_t  *api = ev->data;

    ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                  "work on a request did not end in time");

    ngx_loyalty_api_done(api, NGX_HTTP_INTERNAL_SERVER_ERROR);
}


static ngx_int_t
ngx_loyalty_api_document(ngx_loyalty_api_t *api)
{
    u_char     *p;
    uint32_t    h;
    ly_str_t    text;
    ngx_str_t   etag;

    text = ngx_loyalty_document();
    h = ngx_murmur_hash2((u_char *) text.data, text.len);

    p = ngx_pnalloc(api->request->pool, 16);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    etag.data = p;
    etag.len = (size_t) (ngx_sprintf(p, "\"%08xD\"", h) - p);

    if (ngx_loyalty_header(api->request, "ETag", &etag) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (api->if_none_match.len
        && ngx_loyalty_answer_match(&api->if_none_match, &etag))
    {
        return ngx_loyalty_answer_send(api->request, NGX_HTTP_NOT_MODIFIED,
                                       NULL, 0);
    }

    return ngx_loyalty_answer_send(api->request, NGX_HTTP_OK,
                                   (u_char *) text.data, text.len);
}


ly_crypto_t *
ngx_loyalty_crypto(void)
{
    return ngx_loyalty_process.crypto;
}


ngx_loyalty_pg_t *
ngx_loyalty_read_pool(void)
{
    return ngx_loyalty_process.read;
}


ngx_loyalty_pg_t *
ngx_loyalty_write_pool(void)
{
    return ngx_loyalty_process.write;
}


static ngx_int_t
ngx_loyalty_api_init_process(ngx_cycle_t *cycle)
{
    ngx_loyalty_main_conf_t  *lmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    lmcf = ngx_loyalty_main_conf();

    if (lmcf == NULL || !lmcf->used) {
        return NGX_OK;
    }

    ngx_loyalty_process.crypto = ly_crypto_create();

    if (ngx_loyalty_process.crypto == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "OpenSSL lacks an algorithm the API needs");
        return NGX_ERROR;
    }

    ngx_loyalty_zone_pool_conf(lmcf->zone->data, lmcf->local->process,
                               NGX_LOYALTY_POOL_READ,
                               &ngx_loyalty_process.read_conf);
    ngx_loyalty_zone_pool_conf(lmcf->zone->data, lmcf->local->process,
                               NGX_LOYALTY_POOL_WRITE,
                               &ngx_loyalty_process.write_conf);

    ngx_str_set(&ngx_loyalty_process.read_conf.name, "read");
    ngx_loyalty_process.read_conf.depth = NGX_LOYALTY_READ_DEPTH;
    ngx_loyalty_process.read_conf.queue = NGX_LOYALTY_READ_QUEUE;
    ngx_loyalty_process.read_conf.timeout = NGX_LOYALTY_READ_TIMEOUT;

    ngx_str_set(&ngx_loyalty_process.write_conf.name, "write");
    ngx_loyalty_process.write_conf.depth = 1;
    ngx_loyalty_process.write_conf.queue = lmcf->write_queue;
    ngx_loyalty_process.write_conf.timeout = NGX_LOYALTY_WRITE_TIMEOUT;

    if (ngx_loyalty_api_pool(cycle, &lmcf->read,
                             &ngx_loyalty_process.read_conf,
                             &ngx_loyalty_process.read) != NGX_OK
        || ngx_loyalty_api_pool(cycle, &lmcf->write,
                                &ngx_loyalty_process.write_conf,
                                &ngx_loyalty_process.write) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_loyalty_poke_init(cycle, lmcf);
}


static ngx_int_t
ngx_loyalty_api_pool(ngx_cycle_t *cycle, ngx_loyalty_pool_conf_t *from,
    ngx_loyalty_pg_conf_t *conf, ngx_loyalty_pg_t **pg)
{
    if (from->conninfo.len == 0) {
        return NGX_OK;
    }

    conf->conninfo = from->conninfo;
    conf->connections = from->connections;
    conf->statement_timeout = conf->timeout - NGX_LOYALTY_STATEMENT_MARGIN;

    *pg = ngx_loyalty_pg_create(cycle, conf);

    return *pg ? NGX_OK : NGX_ERROR;
}


static void
ngx_loyalty_api_exit_process(ngx_cycle_t *cycle)
{
    ngx_loyalty_pg_destroy(ngx_loyalty_process.read);
    ngx_loyalty_pg_destroy(ngx_loyalty_process.write);

    ngx_loyalty_process.read = NULL;
    ngx_loyalty_process.write = NULL;

    ngx_loyalty_poke_exit();
    ngx_loyalty_keys_forget();

    ly_crypto_destroy(ngx_loyalty_process.crypto);
    ngx_loyalty_process.crypto = NULL;
}
