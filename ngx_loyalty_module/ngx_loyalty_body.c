/*
 * Bodies: read into memory as they come, never into a file; parsed in slices,
 * so that a large one does not hold up the others of the process.
 */

#include "ngx_loyalty_api.h"
#include "ly_json.h"


#define NGX_LOYALTY_BODY_FIRST  4096


static void ngx_loyalty_body_handler(ngx_http_request_t *r);
static void ngx_loyalty_body_more(ngx_http_request_t *r);
static void ngx_loyalty_body_collect(ngx_loyalty_api_t *api);
static ngx_int_t ngx_loyalty_body_append(ngx_loyalty_api_t *api, u_char *data,
    size_t len);
static ngx_int_t ngx_loyalty_body_type(ngx_http_request_t *r);
static void ngx_loyalty_body_parse(ngx_loyalty_api_t *api);
static ngx_int_t ngx_loyalty_body_parsed(ngx_loyalty_api_t *api);
static ngx_int_t ngx_loyalty_body_fault(ngx_loyalty_api_t *api);


/* bytes of bodies that this process holds */
static size_t  ngx_loyalty_body_total;


ngx_int_t
ngx_loyalty_body_read(ngx_loyalty_api_t *api)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = api->request;

    if (r->headers_in.content_length_n > NGX_LOYALTY_BODY_MAX) {
        (void) ngx_loyalty_api_fault(api, "body.too_large", NULL);

    } else if (api->op->body && ngx_loyalty_body_type(r) != NGX_OK) {
        (void) ngx_loyalty_api_fault(api, "body.type", NULL);
    }

    if (api->problem) {
        rc = ngx_http_discard_request_body(r);

        return rc == NGX_OK ? ngx_loyalty_api_refuse(api) : rc;
    }

    api->async = 1;

    /* handed over as it comes: nginx itself would spill to a file */

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_loyalty_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/* with parameters (charset) or without; nothing is decompressed */
static ngx_int_t
ngx_loyalty_body_type(ngx_http_request_t *r)
{
    ngx_str_t        *type;
    ngx_table_elt_t  *h;

    if (ngx_loyalty_answer_header_in(r, "content-encoding", 16)) {
        return NGX_DECLINED;
    }

    h = r->headers_in.content_type;

    if (h == NULL) {
        return NGX_DECLINED;
    }

    type = &h->value;

    if (type->len < 16
        || ngx_strncasecmp(type->data, (u_char *) "application/json", 16) != 0)
    {
        return NGX_DECLINED;
    }

    if (type->len > 16 && type->data[16] != ';' && type->data[16] != ' ') {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
ngx_loyalty_body_handler(ngx_http_request_t *r)
{
    ngx_loyalty_ctx_t  *ctx;

    ctx = ngx_loyalty_ctx_find(r);

    r->read_event_handler = ngx_loyalty_body_more;

    ngx_loyalty_body_collect(ctx->api);
}


static void
ngx_loyalty_body_more(ngx_http_request_t *r)
{
    ngx_int_t           rc;
    ngx_loyalty_ctx_t  *ctx;

    ctx = ngx_loyalty_ctx_find(r);

    if (r->connection->read->timedout) {
        ngx_loyalty_api_done(ctx->api, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    rc = ngx_http_read_unbuffered_request_body(r);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        ngx_loyalty_api_done(ctx->api, rc);
        return;
    }

    ngx_loyalty_body_collect(ctx->api);
}


static void
ngx_loyalty_body_collect(ngx_loyalty_api_t *api)
{
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = api->request;

    for ( ;; ) {

        for (cl = r->request_body->bufs; cl; cl = cl->next) {
            b = cl->buf;

            rc = ngx_loyalty_body_append(api, b->pos,
                                         (size_t) (b->last - b->pos));
            b->pos = b->last;

            if (rc != NGX_OK) {
                ngx_loyalty_api_failed(api, rc);
                return;
            }
        }

        r->request_body->bufs = NULL;

        if (!r->reading_body) {
            break;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_loyalty_api_done(api, rc);
            return;
        }

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return;
        }
    }

    r->read_event_handler = ngx_http_block_reading;

    ngx_loyalty_body_parse(api);
}


static ngx_int_t
ngx_loyalty_body_append(ngx_loyalty_api_t *api, u_char *data, size_t len)
{
    off_t                     expected;
    size_t                    size;
    u_char                   *p;
    ngx_loyalty_main_conf_t  *lmcf;

    if (len == 0) {
        return NGX_OK;
    }

    if (len > NGX_LOYALTY_BODY_MAX - api->body_len) {
        return ngx_loyalty_api_fault(api, "body.too_large", NULL);
    }

    if (api->body_len + len > api->body_size) {

        expected = api->request->headers_in.content_length_n;

        size = ngx_max(api->body_size * 2, NGX_LOYALTY_BODY_FIRST);
        size = ngx_max(size, api->body_len + len);

        if (expected > 0) {
            size = ngx_max((size_t) expected, api->body_len + len);
        }

        size = ngx_min(size, NGX_LOYALTY_BODY_MAX);

        lmcf = ngx_loyalty_main_conf();

        if (ngx_loyalty_body_total + size - api->body_held > lmcf->body_budget)
        {
            ngx_loyalty_metric(BODY_REFUSED);
            return ngx_loyalty_api_fault(api, "overloaded",
                                         "Too many large requests at once.");
        }

        p = ngx_alloc(size, api->request->connection->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (api->body) {
            ngx_memcpy(p, api->body, api->body_len);
            ngx_free(api->body);
        }

        ngx_loyalty_metric_add(NGX_LOYALTY_M_G_BODY_BYTES,
                               (ngx_atomic_int_t) (size - api->body_held));
        ngx_loyalty_body_total += size - api->body_held;
        api->body_held = size;
        api->body = p;
        api->body_size = size;
    }

    ngx_memcpy(api->body + api->body_len, data, len);
    api->body_len += len;

    return NGX_OK;
}


void
ngx_loyalty_body_release(ngx_loyalty_api_t *api)
{
    ly_arena_destroy(api->tree);
    api->tree = NULL;
    api->root = NULL;
    api->parser = NULL;

    if (api->body) {
        ngx_free(api->body);
        api->body = NULL;
    }

    if (api->body_held) {
        ngx_loyalty_metric_add(NGX_LOYALTY_M_G_BODY_BYTES,
                               -(ngx_atomic_int_t) api->body_held);
    }

    ngx_loyalty_body_total -= api->body_held;
    api->body_held = 0;
}


static void
ngx_loyalty_body_parse(ngx_loyalty_api_t *api)
{
    size_t            n;
    ly_err_t          err;
    ngx_int_t         rc;
    ly_json_limits_t  limits;

    if (api->op->body == NULL) {

        /* an empty body, or what clients send for one */

        if (api->body_len > 16) {
            (void) ngx_loyalty_api_fault(api, "value.invalid",
                                         "This operation has no body.");
            ngx_loyalty_api_done(api, ngx_loyalty_api_refuse(api));
            return;
        }

        ngx_loyalty_api_run(api);
        return;
    }

    if (api->parser == NULL) {

        api->tree = ly_arena_create(NGX_LOYALTY_ARENA_TREE, NULL);

        limits = ly_json_limits_default;
        limits.max_bytes = NGX_LOYALTY_BODY_MAX;
        limits.max_nodes = 131072;
        limits.refuse_nul = 1;
        limits.borrow = 1;

        if (api->tree == NULL
            || ly_json_parser_init(&api->parser, api->tree, &limits,
                                   api->body_len ? api->body_len : 1) != LY_OK)
        {
            ngx_loyalty_api_done(api, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }
    }

    n = ngx_min(api->body_len - api->parsed, NGX_LOYALTY_BODY_SLICE);

    err = ly_json_parser_feed(api->parser, api->body + api->parsed, n);
    api->parsed += n;

    if (err == LY_OK && api->parsed < api->body_len) {
        ngx_loyalty_api_later(api, ngx_loyalty_body_parse);
        return;
    }

    if (err == LY_OK) {
        err = ly_json_parser_finish(api->parser, &api->root);
    }

    rc = err == LY_OK ? ngx_loyalty_body_parsed(api)
                      : ngx_loyalty_body_fault(api);

    if (rc != NGX_OK) {
        ngx_loyalty_api_failed(api, rc);
        return;
    }

    ngx_loyalty_api_run(api);
}


static ngx_int_t
ngx_loyalty_body_parsed(ngx_loyalty_api_t *api)
{
    if (ngx_loyalty_api_arena(api) != NGX_OK) {
        return NGX_ERROR;
    }

    if (api->op->events) {
        /* item by item, see ngx_loyalty_events_begin() */
        return NGX_OK;
    }

    if (ngx_loyalty_schema_check(api->op->body, api->root, &api->faults)
        != NGX_OK)
    {
        return ngx_loyalty_api_fault(api,
                                     ngx_loyalty_faults_code(&api->faults),
                                     NULL);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_body_fault(ngx_loyalty_api_t *api)
{
    const char             *code;
    const ly_json_fault_t  *fault;
    ngx_loyalty_fault_t    *elt;

    fault = ly_json_parser_fault(api->parser);

    if (fault->code == LY_JSON_NOMEM || ngx_loyalty_api_arena(api) != NGX_OK) {
        return NGX_ERROR;
    }

    if (fault->code == LY_JSON_TOO_LARGE) {
        return ngx_loyalty_api_fault(api, "body.too_large", NULL);
    }

    code = ly_json_fault_code(fault->code);

    if (fault->pointer_len) {
        elt = ly_arena_zalloc(api->arena, sizeof(ngx_loyalty_fault_t));

        if (elt) {
            elt->code = code;
            elt->place = ly_str_of(fault->pointer, fault->pointer_len);
            elt->detail = ly_str("It is here.");
            api->faults.elts = elt;
            api->faults.n = 1;
        }
    }

    return ngx_loyalty_api_fault(api, code, NULL);
}
