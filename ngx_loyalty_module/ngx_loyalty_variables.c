/* Variables of a request, for logs and other modules. */

#include "ngx_loyalty.h"


static ngx_int_t ngx_loyalty_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_loyalty_variable_text(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, ngx_str_t *s);
static ngx_int_t ngx_loyalty_variable_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, const char *prefix, ly_uuid_t *id);


enum {
    NGX_LOYALTY_V_TENANT = 0,
    NGX_LOYALTY_V_PRINCIPAL,
    NGX_LOYALTY_V_ROUTE,
    NGX_LOYALTY_V_CACHE,
    NGX_LOYALTY_V_REQUEST_ID,
    NGX_LOYALTY_V_CODE,
    NGX_LOYALTY_V_LIMIT,
    NGX_LOYALTY_V_DB_MS
};

static ngx_http_variable_t  ngx_loyalty_variables[] = {

    { ngx_string("loyalty_tenant"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_TENANT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_principal"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_PRINCIPAL, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_route"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_ROUTE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_cache"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_CACHE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_request_id"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_REQUEST_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_code"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_CODE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_limit"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_LIMIT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_db_ms"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_DB_MS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_log"), NULL, ngx_loyalty_log_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    ngx_http_null_variable
};


ngx_int_t
ngx_loyalty_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_loyalty_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char             *p;
    ngx_loyalty_ctx_t  *ctx;

    static const char  *prefixes[] = { "", "key", "usr", "mem" };

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 1;

    ctx = ngx_loyalty_ctx_find(r);

    if (ctx == NULL) {
        return NGX_OK;
    }

    switch (data) {

    case NGX_LOYALTY_V_TENANT:
        return ctx->tenant
               ? ngx_loyalty_variable_text(r, v, &ctx->tenant->slug) : NGX_OK;

    case NGX_LOYALTY_V_PRINCIPAL:
        if (ctx->principal.kind == NGX_LOYALTY_PRINCIPAL_NONE) {
            return NGX_OK;
        }

        return ngx_loyalty_variable_id(r, v, prefixes[ctx->principal.kind],
                                       &ctx->principal.id);

    case NGX_LOYALTY_V_ROUTE:
        return ctx->route
               ? ngx_loyalty_variable_text(r, v,
                                           (ngx_str_t *) &ctx->route->name)
               : NGX_OK;

    case NGX_LOYALTY_V_CACHE:
        return ngx_loyalty_variable_text(r, v, &ctx->cache);

    case NGX_LOYALTY_V_REQUEST_ID:
        return ngx_loyalty_variable_text(r, v, &ctx->request_id);

    case NGX_LOYALTY_V_CODE:
        return ngx_loyalty_variable_text(r, v, &ctx->code);

    case NGX_LOYALTY_V_LIMIT:
        return ngx_loyalty_variable_text(r, v, &ctx->violated);

    default: /* NGX_LOYALTY_V_DB_MS */

        if (!ctx->db) {
            return NGX_OK;
        }

        p = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        v->data = p;
        v->len = ngx_sprintf(p, "%M", ctx->db_ms) - p;
        v->not_found = 0;

        return NGX_OK;
    }
}


/* the value is copied: the tenant may be freed before a log line is written */

static ngx_int_t
ngx_loyalty_variable_text(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    ngx_str_t *s)
{
    if (s->len == 0) {
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, s->len);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(v->data, s->data, s->len);
    v->len = s->len;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_variable_id(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    const char *prefix, ly_uuid_t *id)
{
    v->data = ngx_pnalloc(r->pool, LY_ID_TEXT);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = ly_id_print(ly_str_c(prefix), id, v->data);
    v->not_found = 0;

    return NGX_OK;
}
