/*
 * The context of a request, what every phase does with it, and the names of
 * the scopes.
 */

#include "ngx_loyalty.h"
#include "ngx_loyalty_local.h"


static ngx_int_t ngx_loyalty_ctx_request_id(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx);
static ngx_table_elt_t *ngx_loyalty_header_in(ngx_http_request_t *r,
    const char *name, size_t len);
static void ngx_loyalty_ctx_cleanup(void *data);


#define NGX_LOYALTY_SCOPE_S(id, name)  ngx_string(name),
static ngx_str_t  ngx_loyalty_scope_names[] = {
    NGX_LOYALTY_SCOPES(NGX_LOYALTY_SCOPE_S)
    ngx_null_string
};
#undef NGX_LOYALTY_SCOPE_S

static ngx_str_t  ngx_loyalty_kind_names[] = {
    ngx_string("none"),
    ngx_string("key"),
    ngx_string("user"),
    ngx_string("member")
};


ngx_int_t
ngx_loyalty_scope_parse(u_char *name, size_t len, uint64_t *bits)
{
    ngx_str_t   *s;
    ngx_int_t    rc;
    ngx_uint_t   i;

    if (len == 1 && name[0] == '*') {
        *bits = ~0ULL >> (64 - NGX_LOYALTY_SCOPE_COUNT);
        return NGX_OK;
    }

    if (len < 3) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;

    for (i = 0; i < NGX_LOYALTY_SCOPE_COUNT; i++) {
        s = &ngx_loyalty_scope_names[i];

        if ((s->len == len && ngx_memcmp(s->data, name, len) == 0)
            || (name[len - 1] == '*' && name[len - 2] == ':' && s->len >= len
                && ngx_memcmp(s->data, name, len - 1) == 0))
        {
            *bits |= 1ULL << i;
            rc = NGX_OK;
        }
    }

    return rc;
}


ngx_str_t *
ngx_loyalty_scope_name(ngx_uint_t n)
{
    return &ngx_loyalty_scope_names[n];
}


uint64_t
ngx_loyalty_scope_reads(void)
{
    uint64_t     bits;
    ngx_str_t   *s;
    ngx_uint_t   i;

    bits = 0;

    for (i = 0; i < NGX_LOYALTY_SCOPE_COUNT; i++) {
        s = &ngx_loyalty_scope_names[i];

        if (ngx_memcmp(s->data + s->len - 5, ":read", 5) == 0) {
            bits |= 1ULL << i;
        }
    }

    return bits;
}


ngx_str_t *
ngx_loyalty_principal_kind(ngx_loyalty_principal_e kind)
{
    return &ngx_loyalty_kind_names[kind];
}


ngx_loyalty_ctx_t *
ngx_loyalty_ctx_find(ngx_http_request_t *r)
{
    ngx_loyalty_ctx_t   *ctx;
    ngx_pool_cleanup_t  *cln;

    r = r->main;
    ctx = ngx_http_get_module_ctx(r, ngx_loyalty_module);

    if (ctx || (!r->internal && !r->filter_finalize)) {
        return ctx;
    }

    /* an internal redirect wiped the modules' contexts */

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_loyalty_ctx_cleanup) {
            ctx = cln->data;
            ngx_http_set_ctx(r, ctx, ngx_loyalty_module);
            return ctx;
        }
    }

    return NULL;
}


ngx_loyalty_ctx_t *
ngx_loyalty_ctx(ngx_http_request_t *r)
{
    ngx_loyalty_ctx_t   *ctx;
    ngx_pool_cleanup_t  *cln;

    r = r->main;
    ctx = ngx_loyalty_ctx_find(r);

    if (ctx) {
        return ctx;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_loyalty_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_loyalty_ctx_t));
    ctx->request = r;

    if (ngx_loyalty_ctx_request_id(r, ctx) != NGX_OK) {
        return NULL;
    }

    cln->handler = ngx_loyalty_ctx_cleanup;
    ngx_http_set_ctx(r, ctx, ngx_loyalty_module);

    return ctx;
}


static void
ngx_loyalty_ctx_cleanup(void *data)
{
    ngx_loyalty_ctx_t  *ctx = data;

    if (ctx->tenant == NULL) {
        return;
    }

    if (ctx->inflight_write) {
        ctx->tenant->load->writes--;
    }

    if (ctx->inflight_batch) {
        ctx->tenant->load->batches--;
    }

    ngx_loyalty_tenant_release(ctx->tenant);
}


/* the client's if it is 1 to 64 of [A-Za-z0-9._-], else "req_" and an id */

static ngx_int_t
ngx_loyalty_ctx_request_id(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx)
{
    u_char            ch, random[10];
    ly_uuid_t         uuid;
    ngx_uint_t        i;
    ngx_time_t       *tp;
    ngx_table_elt_t  *h;

    ctx->request_id.data = ctx->request_id_data;

    h = ngx_loyalty_header_in(r, "x-request-id", sizeof("x-request-id") - 1);

    if (h && h->value.len > 0
        && h->value.len <= sizeof(ctx->request_id_data))
    {
        for (i = 0; i < h->value.len; i++) {
            ch = h->value.data[i];

            if ((ch | 0x20) < 'a' || (ch | 0x20) > 'z') {
                if ((ch < '0' || ch > '9') && ch != '.' && ch != '_'
                    && ch != '-')
                {
                    break;
                }
            }
        }

        if (i == h->value.len) {
            ngx_memcpy(ctx->request_id_data, h->value.data, h->value.len);
            ctx->request_id.len = h->value.len;
            return NGX_OK;
        }
    }

    if (ngx_loyalty_random(random, sizeof(random)) != NGX_OK) {
        return NGX_ERROR;
    }

    tp = ngx_timeofday();
    ly_uuid7_make((uint64_t) tp->sec * 1000 + tp->msec, random, &uuid);

    ctx->request_id.len = ly_id_print(ly_str("req"), &uuid,
                                      ctx->request_id_data);

    return NGX_OK;
}


static ngx_table_elt_t *
ngx_loyalty_header_in(ngx_http_request_t *r, const char *name, size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
        {
            return &h[i];
        }
    }
}


ngx_int_t
ngx_loyalty_header_add(ngx_http_request_t *r, const char *name, size_t len,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    h->key.data = (u_char *) name;
    h->key.len = len;
    h->value = *value;

    return NGX_OK;
}


ngx_int_t
ngx_loyalty_refuse(ngx_http_request_t *r, ngx_uint_t status, const char *code,
    ngx_str_t *detail)
{
    ngx_int_t                rc;
    ngx_loyalty_ctx_t       *ctx;
    ngx_loyalty_loc_conf_t  *llcf;

    ctx = ngx_loyalty_ctx_find(r);

    if (ctx) {
        ctx->code.data = (u_char *) code;
        ctx->code.len = ngx_strlen(code);
    }

    llcf = ngx_http_get_module_loc_conf(r, ngx_loyalty_module);

    if (!llcf->api) {

        /* a location of others: its error_page and "satisfy" hold */

        return status;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc == NGX_OK) {
        rc = ngx_loyalty_answer_problem(r, code, detail);
    }

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}
