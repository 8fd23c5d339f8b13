/*
 * $loyalty_log: the whole line of the access log as one JSON object.  Twenty
 * variables put together by log_format cost more than the look-up they tell
 * of.
 */

#include "ngx_loyalty.h"
#include "ly_jw.h"


/* what JSON makes of one byte at most: \u00xx, or U+FFFD */
#define NGX_LOYALTY_LOG_GROWTH  6

/* names, numbers, times, ids and whatever else has a known length */
#define NGX_LOYALTY_LOG_FIXED   1024


static void ngx_loyalty_log_request(ngx_http_request_t *r, ly_jw_t *w);
static void ngx_loyalty_log_end(ngx_http_request_t *r, ly_jw_t *w);
static void ngx_loyalty_log_ours(ngx_loyalty_ctx_t *ctx, ly_jw_t *w);

#define ngx_loyalty_log_text(w, key, s)                                       \
    ly_jw_pair_text(w, ly_str(key), ly_str_of((s)->data, (s)->len))

/* a name of ours, a slug, an id, a time: nothing in it is to be escaped */
#define ngx_loyalty_log_name(w, key, s)                                       \
    ly_jw_pair_plain(w, ly_str(key), ly_str_of((s)->data, (s)->len))


ngx_int_t
ngx_loyalty_log_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    size_t              size;
    u_char             *p, text[4096];
    ly_jw_t             w;
    ly_buf_t            b;
    ngx_loyalty_ctx_t  *ctx;

    ctx = ngx_loyalty_ctx_find(r);

    size = r->uri.len + r->headers_in.server.len + r->method_name.len
           + r->connection->addr_text.len;

    if (ctx) {
        size += ctx->request_id.len + (ctx->tenant ? ctx->tenant->slug.len
                                                   : 0);
    }

    size = NGX_LOYALTY_LOG_FIXED + NGX_LOYALTY_LOG_GROWTH * size;

    /* what is kept of it is short: the pool is asked for no more than that */

    p = size <= sizeof(text) ? text : ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ly_buf_init_fixed(&b, p, size);
    ly_jw_init(&w, &b);

    ly_jw_object(&w);
    ngx_loyalty_log_request(r, &w);
    ngx_loyalty_log_end(r, &w);

    if (ctx) {
        ngx_loyalty_log_ours(ctx, &w);
    }

    ly_jw_object_end(&w);

    if (ly_jw_done(&w) != LY_OK) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "loyalty: a line of the access log found no room");
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = (unsigned) ly_buf_view(&b).len;
    v->data = p;

    if (p == text) {
        v->data = ngx_pnalloc(r->pool, v->len);
        if (v->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(v->data, text, v->len);
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* what was asked; without the query string, which may name people */

static void
ngx_loyalty_log_request(ngx_http_request_t *r, ly_jw_t *w)
{
    ngx_loyalty_log_name(w, "time", &ngx_cached_http_log_iso8601);
    ngx_loyalty_log_text(w, "method", &r->method_name);
    ngx_loyalty_log_text(w, "host", &r->headers_in.server);
    ngx_loyalty_log_text(w, "uri", &r->uri);
    ngx_loyalty_log_text(w, "address", &r->connection->addr_text);
}


static void
ngx_loyalty_log_end(ngx_http_request_t *r, ly_jw_t *w)
{
    off_t            bytes;
    int64_t          values[3];
    ngx_time_t      *tp;
    ngx_msec_int_t   ms;

    static const ly_str_t  keys[] = {
        ly_str_init("status"),
        ly_str_init("bytes"),
        ly_str_init("ms")
    };

    tp = ngx_timeofday();
    ms = (ngx_msec_int_t) ((tp->sec - r->start_sec) * 1000
                           + (tp->msec - r->start_msec));
    bytes = r->connection->sent - (off_t) r->header_size;

    values[0] = (int64_t) (r->err_status ? r->err_status
                                         : r->headers_out.status);
    values[1] = ngx_max(bytes, 0);
    values[2] = ngx_max(ms, 0);

    ly_jw_ints(w, keys, values, 3);
}


static void
ngx_loyalty_log_ours(ngx_loyalty_ctx_t *ctx, ly_jw_t *w)
{
    size_t    len;
    u_char    id[LY_ID_TEXT];
    ly_str_t  prefix;

    ngx_loyalty_log_name(w, "request_id", &ctx->request_id);

    if (ctx->route) {
        ngx_loyalty_log_name(w, "route", &ctx->route->name);
    }

    if (ctx->tenant) {
        ngx_loyalty_log_name(w, "tenant", &ctx->tenant->slug);
    }

    if (ctx->principal.kind != NGX_LOYALTY_PRINCIPAL_NONE) {
        prefix = ctx->principal.kind == NGX_LOYALTY_PRINCIPAL_KEY
                 ? ly_str("key")
                 : ctx->principal.kind == NGX_LOYALTY_PRINCIPAL_USER
                   ? ly_str("usr") : ly_str("mem");

        len = ly_id_print(prefix, &ctx->principal.id, id);
        ly_jw_pair_plain(w, ly_str("principal"), ly_str_of(id, len));
    }

    if (ctx->code.len) {
        ngx_loyalty_log_name(w, "code", &ctx->code);
    }

    if (ctx->cache.len) {
        ngx_loyalty_log_name(w, "cache", &ctx->cache);
    }

    if (ctx->violated.len) {
        ngx_loyalty_log_name(w, "limit", &ctx->violated);
    }

    if (ctx->db) {
        ly_jw_kint(w, "db_ms", (int64_t) ctx->db_ms);
    }
}
