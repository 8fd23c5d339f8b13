/*
 * Host to tenant, in the preaccess phase of every location with loyalty_api or
 * loyalty_auth.
 */

#include "ngx_loyalty.h"
#include "ngx_loyalty_local.h"


static ngx_int_t ngx_loyalty_tenant_handler(ngx_http_request_t *r);
static ngx_int_t ngx_loyalty_tenant_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_loyalty_tenant_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_loyalty_tenant_init,               /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_loyalty_tenant_module = {
    NGX_MODULE_V1,
    &ngx_loyalty_tenant_module_ctx,        /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_loyalty_tenant_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_loyalty_ctx_t        *ctx;
    ngx_loyalty_tenant_t     *tenant;
    ngx_loyalty_loc_conf_t   *llcf;
    ngx_loyalty_main_conf_t  *lmcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_loyalty_module);

    if ((!llcf->api && llcf->auth == NGX_LOYALTY_AUTH_OFF) || r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_loyalty_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->tenant) {
        return NGX_DECLINED;
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_loyalty_module);

    /* headers_in.server is lower case and has no port */

    rc = ngx_loyalty_tenant_by_host(lmcf, &r->headers_in.server, &tenant);

    if (rc == NGX_BUSY) {
        return ngx_loyalty_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                  "edge.starting", NULL);
    }

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_OK) {
        ctx->tenant = tenant;
    }

    if (rc == NGX_DECLINED || tenant->status == NGX_LOYALTY_TENANT_CLOSED) {
        ngx_loyalty_metric(TENANT_UNKNOWN);
        return ngx_loyalty_refuse(r, NGX_HTTP_NOT_FOUND, "tenant.unknown",
                                  NULL);
    }

    if (tenant->status == NGX_LOYALTY_TENANT_SUSPENDED) {
        return ngx_loyalty_refuse(r, NGX_HTTP_FORBIDDEN, "tenant.suspended",
                                  NULL);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_loyalty_tenant_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_loyalty_tenant_handler;

    return NGX_OK;
}
