/*
 * The parameters of a call, in the order of the SQL function: tenant, call,
 * path, query, body.
 */

#include "ngx_loyalty_call_int.h"
#include "ngx_loyalty_local.h"
#include "ngx_loyalty_seal.h"
#include "ly_canon.h"
#include "ly_hex.h"


#define NGX_LOYALTY_CALL_MAX    65536   /* bytes of the call parameter */


static ngx_int_t ngx_loyalty_call_body_mac(ngx_loyalty_api_t *api);
static void ngx_loyalty_call_opt(ly_jw_t *w, ly_str_t key, ngx_str_t *value);
static void ngx_loyalty_call_scopes(ly_jw_t *w, uint64_t scopes);
static void ngx_loyalty_call_minted(ngx_loyalty_api_t *api, ly_jw_t *w);


ngx_int_t
ngx_loyalty_call_prepare(ngx_loyalty_api_t *api)
{
    u_char      random[NGX_LOYALTY_NONCE / 2];
    ngx_int_t   rc;
    ngx_uint_t  i;

    if (ngx_loyalty_api_arena(api) != NGX_OK
        || ngx_loyalty_random(random, sizeof(random)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    (void) ly_hex_encode(ly_str_of(random, sizeof(random)),
                         (u_char *) api->nonce);
    api->nonce[NGX_LOYALTY_NONCE] = '\0';

    for (i = 0; i < api->op->nquery; i++) {

        if (!api->op->query[i].sealed || api->query[i].data == NULL) {
            continue;
        }

        rc = ngx_loyalty_keys_take(api);

        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_loyalty_seal_blind(api, ly_str_of(api->query[i].data,
                                                  api->query[i].len),
                                   &api->blind) != NGX_OK)
        {
            return ngx_loyalty_api_fault(api, "query.invalid",
                                         "It is no e-mail address.");
        }
    }

    if (api->key.len) {
        rc = ngx_loyalty_call_body_mac(api);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (api->op->body == NULL || api->op->events) {
        return NGX_OK;
    }

    if (api->op->seal) {
        rc = ngx_loyalty_keys_take(api);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if ((api->op->mint || api->op->seal)
        && ngx_loyalty_seal_mint(api) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (api->op->secret == NGX_LOYALTY_SECRET_WEBHOOK
        && ngx_loyalty_seal_secret(api) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_loyalty_param_body(api);
}


/* of the canonical body as it was sent; an empty one has a digest too */
static ngx_int_t
ngx_loyalty_call_body_mac(ngx_loyalty_api_t *api)
{
    ly_buf_t    canon;
    ly_err_t    err;
    ngx_int_t   rc;
    ngx_uint_t  i;

    rc = ngx_loyalty_keys_take(api);

    if (rc != NGX_OK) {
        return rc;
    }

    ly_buf_init(&canon, NGX_LOYALTY_PARAM_MAX, NULL);

    /* the same key on another object is another request */

    for (i = 0; i < api->op->npath; i++) {
        ly_buf_be32(&canon, (uint32_t) api->ctx->captures[i].len);
        ly_buf_put(&canon, api->ctx->captures[i].data,
                   api->ctx->captures[i].len);
    }

    err = LY_OK;

    if (api->root) {
        err = ly_canon_print(api->root, api->tree, &canon);
    }

    if (err == LY_OK) {
        err = ly_buf_err(&canon);
    }

    if (err == LY_OK) {
        err = ly_hmac(api->keys->macs.content, ly_buf_view(&canon),
                      api->body_mac);
    }

    ly_buf_free_secret(&canon);

    return err == LY_OK ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_loyalty_param_body(ngx_loyalty_api_t *api)
{
    ly_jw_t  w;

    if (api->param.data == NULL) {
        ly_buf_init(&api->param, NGX_LOYALTY_PARAM_MAX, NULL);

    } else {
        ly_buf_reset(&api->param);
    }

    ly_jw_init(&w, &api->param);

    if (ngx_loyalty_schema_write(api->op->body, api->root, &w,
                                 ngx_loyalty_seal_member, api) != NGX_OK
        || ly_jw_done(&w) != LY_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* tenant, call, path, query, body: NUL terminated, a NULL is null */
ngx_int_t
ngx_loyalty_call_values(ngx_loyalty_api_t *api)
{
    u_char      *p;
    ly_str_t     text;
    ngx_str_t   *value;
    ngx_uint_t   i, n;

    p = ly_arena_bytes(api->arena, LY_UUID_TEXT + 1);

    if (p == NULL || ngx_loyalty_call_json(api, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    ly_uuid_print(&api->tenant->id, p);
    p[LY_UUID_TEXT] = '\0';

    n = 0;
    api->values[n++] = (const char *) p;
    api->values[n++] = (const char *) text.data;

    for (i = 0; i < api->op->npath; i++) {
        value = &api->ctx->captures[i];

        if (ly_arena_str(api->arena, ly_str_of(value->data, value->len), &text)
            != LY_OK)
        {
            return NGX_ERROR;
        }

        api->values[n++] = (const char *) text.data;
    }

    for (i = 0; i < api->op->nquery; i++) {
        api->values[n++] = (const char *) (api->op->query[i].sealed
                                           && api->query[i].data
                                           ? api->blind.data
                                           : api->query[i].data);
    }

    if (api->op->body) {
        ly_buf_byte(&api->param, '\0');

        if (ly_buf_err(&api->param) != LY_OK) {
            return NGX_ERROR;
        }

        api->values[n] = (const char *) ly_buf_view(&api->param).data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_loyalty_call_json(ngx_loyalty_api_t *api, ly_str_t *out)
{
    u_char               text[LY_UUID_TEXT];
    ly_jw_t              w;
    ly_buf_t             b;
    ngx_str_t           *kind;
    ngx_loyalty_ctx_t   *ctx;
    ngx_http_request_t  *r;

    r = api->request;
    ctx = api->ctx;

    ly_buf_init_arena(&b, api->arena, NGX_LOYALTY_CALL_MAX);
    ly_jw_init(&w, &b);
    ly_jw_object(&w);

    if (ctx->principal.kind == NGX_LOYALTY_PRINCIPAL_NONE) {
        ly_jw_knull(&w, "principal");

    } else {
        ly_uuid_print(&ctx->principal.id, text);
        ly_jw_kstr(&w, "principal", ly_str_of(text, sizeof(text)));
    }

    kind = ngx_loyalty_principal_kind(ctx->principal.kind);
    ly_jw_kstr(&w, "kind", ly_str_of(kind->data, kind->len));
    ngx_loyalty_call_scopes(&w, ctx->principal.scopes);

    ngx_loyalty_call_opt(&w, ly_str("request_id"), &ctx->request_id);
    ngx_loyalty_call_opt(&w, ly_str("traceparent"), &api->traceparent);
    ly_jw_kstr(&w, "nonce", ly_str_of(api->nonce, NGX_LOYALTY_NONCE));
    ngx_loyalty_call_opt(&w, ly_str("host"), r->headers_in.host
                         ? &r->headers_in.host->value : &r->headers_in.server);
    ngx_loyalty_call_opt(&w, ly_str("idempotency_key"), &api->key);

    if (api->key.len) {
        ly_jw_k(&w, "body_mac");
        ly_jw_hex(&w, ly_str_of(api->body_mac, sizeof(api->body_mac)));

    } else {
        ly_jw_knull(&w, "body_mac");
    }

    ngx_loyalty_call_opt(&w, ly_str("if_match"), &api->if_match);
    ngx_loyalty_call_opt(&w, ly_str("if_none_match"), &api->if_none_match);
    ly_jw_k(&w, "cursor");

    if (api->cursor_payload.len) {
        ly_jw_raw(&w, api->cursor_payload);

    } else {
        ly_jw_null(&w);
    }

    ngx_loyalty_call_minted(api, &w);

    if (ngx_loyalty_call_again(api)) {
        ly_jw_kbool(&w, "duplicate", 1);
    }

    if (api->blind.len) {
        ly_jw_k(&w, "blind");
        ly_jw_object(&w);
        ly_jw_kstr(&w, "email", api->blind);
        ly_jw_object_end(&w);
    }

    ly_jw_object_end(&w);

    if (ly_jw_done(&w) != LY_OK) {
        return NGX_ERROR;
    }

    ly_buf_byte(&b, '\0');
    *out = ly_buf_view(&b);

    return ly_buf_err(&b) == LY_OK ? NGX_OK : NGX_ERROR;
}


static void
ngx_loyalty_call_opt(ly_jw_t *w, ly_str_t key, ngx_str_t *value)
{
    ly_jw_key_plain(w, key);

    if (value->len) {
        ly_jw_text(w, ly_str_of(value->data, value->len));

    } else {
        ly_jw_null(w);
    }
}


static void
ngx_loyalty_call_scopes(ly_jw_t *w, uint64_t scopes)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    ly_jw_k(w, "scopes");
    ly_jw_array(w);

    for (i = 0; i < NGX_LOYALTY_SCOPE_COUNT; i++) {
        if (scopes & (uint64_t) 1 << i) {
            name = ngx_loyalty_scope_name(i);
            ly_jw_str(w, ly_str_of(name->data, name->len));
        }
    }

    ly_jw_array_end(w);
}


ngx_uint_t
ngx_loyalty_call_again(ngx_loyalty_api_t *api)
{
    return api->asked && !api->op->route.batch
           && api->first.status == NGX_HTTP_OK;
}


static void
ngx_loyalty_call_minted(ngx_loyalty_api_t *api, ly_jw_t *w)
{
    u_char  text[LY_UUID_TEXT];

    if (ly_uuid_is_nil(&api->minted)) {
        return;
    }

    ly_uuid_print(&api->minted, text);

    ly_jw_k(w, "minted");
    ly_jw_object(w);
    ly_jw_kstr(w, "id", ly_str_of(text, sizeof(text)));

    if (api->wrapped_key.len) {
        ly_jw_kstr(w, "wrapped_key", api->wrapped_key);
    }

    if (api->secret_sealed.len) {
        ly_jw_kstr(w, "secret_sealed", api->secret_sealed);
    }

    ly_jw_object_end(w);
}
