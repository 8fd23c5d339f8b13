/*
 * Credential to principal, and the permission for the route, in the access
 * phase.  API keys and verified tokens are answered from the zone; only where
 * the directory is not to be relied on does a request wait, for one check in
 * the database that all requests with the same credential share.
 *
 * Every 401 is the same: why a credential was refused goes to the debug log.
 */

#include "ngx_loyalty.h"
#include "ngx_loyalty_auth.h"
#include "ngx_loyalty_directory.h"
#include "ngx_loyalty_local.h"
#include "ly_apikey.h"


static ngx_int_t ngx_loyalty_auth_handler(ngx_http_request_t *r);
static ngx_int_t ngx_loyalty_auth_route(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx, ngx_loyalty_auth_want_t *want);
static ngx_int_t ngx_loyalty_auth_principal(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx, ngx_loyalty_auth_want_t *want);
static ngx_int_t ngx_loyalty_auth_bearer(ngx_http_request_t *r,
    ngx_str_t *token);
static ngx_int_t ngx_loyalty_auth_key(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx, ngx_loyalty_auth_want_t *want, ngx_str_t *token);
static ngx_int_t ngx_loyalty_auth_key_use(ngx_loyalty_ctx_t *ctx,
    ngx_loyalty_zone_t *zone, ngx_loyalty_key_rec_t *rec);
static ngx_int_t ngx_loyalty_auth_token(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx, ngx_loyalty_auth_want_t *want, ngx_str_t *token);
static ngx_int_t ngx_loyalty_auth_refuse(ngx_http_request_t *r);
static ngx_int_t ngx_loyalty_auth_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_loyalty_auth_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_loyalty_auth_init,                 /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_loyalty_auth_module = {
    NGX_MODULE_V1,
    &ngx_loyalty_auth_module_ctx,          /* module context */
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


static ngx_str_t  ngx_loyalty_challenge =
    ngx_string("Bearer realm=\"loyalty\"");


static ngx_int_t
ngx_loyalty_auth_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_loyalty_ctx_t        *ctx;
    ngx_loyalty_auth_want_t   want;

    ctx = ngx_loyalty_ctx_find(r);

    if (ctx == NULL || ctx->tenant == NULL) {
        /* not ours: the tenant module lets nothing of ours pass without one */
        return NGX_DECLINED;
    }

    rc = ngx_loyalty_auth_route(r, ctx, &want);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!ctx->authenticated) {

        rc = ngx_loyalty_auth_principal(r, ctx, &want);

        switch (rc) {

        case NGX_OK:
            ctx->authenticated = 1;
            ngx_loyalty_metric(AUTH_OK);
            break;

        case NGX_DECLINED:
            return ngx_loyalty_auth_refuse(r);

        case NGX_DONE:
            /* no credential, and none is needed */
            return NGX_DECLINED;

        default:
            /* NGX_AGAIN waits; else a status */
            return rc == NGX_BUSY
                   ? ngx_loyalty_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                        "database.unavailable", NULL)
                   : rc;
        }
    }

    if (want.scope & ~ctx->principal.scopes) {
        ngx_loyalty_metric(AUTH_SCOPE);
        return ngx_loyalty_refuse(r, NGX_HTTP_FORBIDDEN, "scope.missing",
                                  NULL);
    }

    return NGX_OK;
}


/* NGX_OK: *want must be met; else what the handler returns */

static ngx_int_t
ngx_loyalty_auth_route(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx,
    ngx_loyalty_auth_want_t *want)
{
    ngx_loyalty_loc_conf_t  *llcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_loyalty_module);

    ngx_memzero(want, sizeof(ngx_loyalty_auth_want_t));

    if (!llcf->api) {

        if (llcf->auth == NGX_LOYALTY_AUTH_OFF) {
            return NGX_DECLINED;
        }

        want->optional = llcf->auth == NGX_LOYALTY_AUTH_OPTIONAL;
        want->scope = llcf->scope;

    } else {

        if (!ctx->routed) {
            if (ngx_loyalty_route_resolve(r, ctx) != NGX_OK) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            ctx->routed = 1;
        }

        /*
         * What is no operation is told so by the content handler, and so is a
         * preflight, which carries no credential by its nature.
         */

        if (ctx->route == NULL
            || ctx->route->access == NGX_LOYALTY_ACCESS_PUBLIC
            || r->method == NGX_HTTP_OPTIONS)
        {
            return NGX_DECLINED;
        }

        if (ctx->route->access == NGX_LOYALTY_ACCESS_SCOPE) {
            want->scope = ctx->route->scope;
        }
    }

    /* reading goes on with an old directory, nothing else does */

    want->reads = want->scope != 0
                  && (want->scope & ~ngx_loyalty_local()->reads) == 0;

    return NGX_OK;
}


/*
 * NGX_OK: ctx->principal is set; NGX_DECLINED: no good credential; NGX_DONE:
 * none, and it is optional; NGX_AGAIN: wait; NGX_BUSY: cannot be checked now.
 */

static ngx_int_t
ngx_loyalty_auth_principal(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx,
    ngx_loyalty_auth_want_t *want)
{
    ngx_int_t            rc;
    ngx_str_t            token;
    ngx_uint_t           key, known;
    ly_apikey_t          kind;
    ngx_loyalty_zone_t  *zone;

    zone = ngx_loyalty_zone();

    if (r->headers_in.authorization == NULL && want->optional) {
        return NGX_DONE;
    }

    rc = ngx_loyalty_auth_bearer(r, &token);

    if (rc != NGX_OK) {
        return NGX_DECLINED;
    }

    want->check = !ngx_loyalty_directory_complete(zone)
                  || (!want->reads && !ngx_loyalty_directory_fresh(zone));

    known = ngx_loyalty_memo_get(r->connection, &token, want->digest, &key)
            == NGX_OK;

    if (!known) {

        if (ly_sha256(ngx_loyalty_local()->crypto,
                      ly_str_of(token.data, token.len), want->digest)
            != LY_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        key = token.len == LY_APIKEY_TEXT
              && ly_apikey_parse(ly_str_of(token.data, token.len), &kind)
              == LY_OK;
    }

    rc = key ? ngx_loyalty_auth_key(r, ctx, want, &token)
             : ngx_loyalty_auth_token(r, ctx, want, &token);

    if (rc == NGX_OK && !known) {
        ngx_loyalty_memo_put(r->connection, &token, want->digest, key);
    }

    return rc;
}


/* RFC 6750, 2.1: the scheme in any case, one token */

static ngx_int_t
ngx_loyalty_auth_bearer(ngx_http_request_t *r, ngx_str_t *token)
{
    ngx_str_t  *value;

    if (r->headers_in.authorization == NULL) {
        return NGX_DECLINED;
    }

    value = &r->headers_in.authorization->value;

    if (value->len <= sizeof("Bearer ") - 1
        || (ngx_memcmp(value->data, "Bearer ", sizeof("Bearer ") - 1) != 0
            && ngx_strncasecmp(value->data, (u_char *) "Bearer ",
                               sizeof("Bearer ") - 1)
            != 0))
    {
        return NGX_DECLINED;
    }

    token->data = value->data + sizeof("Bearer ") - 1;
    token->len = value->len - (sizeof("Bearer ") - 1);

    while (token->len && token->data[0] == ' ') {
        token->data++;
        token->len--;
    }

    return token->len == 0 || token->len > LY_JWT_MAX ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
ngx_loyalty_auth_key(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx,
    ngx_loyalty_auth_want_t *want, ngx_str_t *token)
{
    ngx_int_t               rc;
    ngx_uint_t              addressed;
    ngx_loyalty_zone_t     *zone;
    ngx_loyalty_key_rec_t   rec;

    zone = ngx_loyalty_zone();

    addressed = 0;
    rc = NGX_DECLINED;

    if (!want->check) {
        rc = ngx_loyalty_directory_key(zone, want->digest,
                                       r->connection->sockaddr, &rec,
                                       &addressed);

        /* what is not there may be so because it found no room */

        if (rc == NGX_DECLINED && !ngx_loyalty_directory_whole(zone)) {
            want->check = 1;
        }
    }

    if (want->check) {
        rc = ngx_loyalty_auth_check_key(r, ctx, want, &rec, &addressed);
    }

    if (rc != NGX_OK) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "loyalty key not accepted: %i", rc);
        return rc;
    }

    if (!addressed) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "loyalty key used from an address not listed");
        return NGX_DECLINED;
    }

    return ngx_loyalty_auth_key_use(ctx, zone, &rec);
}


static ngx_int_t
ngx_loyalty_auth_key_use(ngx_loyalty_ctx_t *ctx, ngx_loyalty_zone_t *zone,
    ngx_loyalty_key_rec_t *rec)
{
    u_char                    ref[LY_UUID_TEXT];
    uint64_t                  hash;
    ngx_loyalty_principal_t  *p;

    if (!rec->usable
        || ngx_memcmp(rec->tenant, ctx->tenant->id.b, 16) != 0
        || (rec->expires_at && rec->expires_at <= ngx_loyalty_now_us()))
    {
        return NGX_DECLINED;
    }

    p = &ctx->principal;

    ngx_memzero(p, sizeof(ngx_loyalty_principal_t));

    p->kind = NGX_LOYALTY_PRINCIPAL_KEY;
    ngx_memcpy(p->id.b, rec->id, 16);
    p->scopes = rec->scopes;
    p->expires_at = rec->expires_at;
    ngx_memcpy(p->api_version, rec->api_version, sizeof(p->api_version));
    p->publishable = rec->publishable;
    p->live = rec->live;

    if (zone->tables[NGX_LOYALTY_T_REVOCATION].count) {
        ly_uuid_print(&p->id, ref);
        hash = ngx_loyalty_revocation_hash(zone, NGX_LOYALTY_REVOKED_KEY,
                                           rec->tenant, ref, sizeof(ref));

        if (ngx_loyalty_directory_revoked(zone, &hash, 1, 0)) {
            ngx_memzero(p, sizeof(ngx_loyalty_principal_t));
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_auth_token(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx,
    ngx_loyalty_auth_want_t *want, ngx_str_t *token)
{
    uint64_t              hashes[4];
    ngx_int_t             rc;
    ngx_loyalty_zone_t   *zone;
    ngx_loyalty_tslot_t   slot;

    zone = ngx_loyalty_zone();

    rc = ngx_loyalty_token_find(zone, want->digest, &slot);

    if (rc == NGX_OK && !want->check) {
        ngx_loyalty_metric(TOKEN_HIT);

    } else {
        ngx_loyalty_metric(TOKEN_MISS);

        rc = ngx_loyalty_token_verify(zone, ctx, want, token, &slot,
                                      r->connection->log);
        if (rc != NGX_OK) {
            return rc;
        }

        if (want->check) {
            rc = ngx_loyalty_auth_check_token(r, ctx, want);

            if (rc != NGX_OK) {
                return rc;
            }

        } else {
            ngx_loyalty_token_keep(zone, &slot);
        }
    }

    if (ngx_memcmp(slot.tenant, ctx->tenant->id.b, 16) != 0) {
        return NGX_DECLINED;
    }

    if (zone->tables[NGX_LOYALTY_T_REVOCATION].count) {
        hashes[0] = slot.session;
        hashes[1] = slot.subject;
        hashes[2] = slot.kid;
        hashes[3] = ngx_loyalty_revocation_hash(zone,
                                                NGX_LOYALTY_REVOKED_TENANT,
                                                slot.tenant, (u_char *) "", 0);

        if (ngx_loyalty_directory_revoked(zone, hashes, 4, slot.iat)) {
            return NGX_DECLINED;
        }
    }

    ctx->principal.kind = (ngx_loyalty_principal_e) slot.kind;
    ngx_memcpy(ctx->principal.id.b, slot.id, 16);
    ctx->principal.scopes = slot.scopes;
    ctx->principal.expires_at = slot.exp;
    ctx->principal.live = ctx->tenant->live;

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_auth_refuse(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    ngx_loyalty_metric(AUTH_REFUSED);

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    ngx_str_set(&h->key, "WWW-Authenticate");
    h->value = ngx_loyalty_challenge;

    r->headers_out.www_authenticate = h;

    return ngx_loyalty_refuse(r, NGX_HTTP_UNAUTHORIZED, "credential.invalid",
                              NULL);
}


static ngx_int_t
ngx_loyalty_auth_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_loyalty_auth_handler;

    return NGX_OK;
}
