/*
 * The call of an operation's SQL function: its parameters, its changes, its
 * answer.
 */

#include "ngx_loyalty_api.h"
#include "ngx_loyalty_feed.h"
#include "ngx_loyalty_local.h"
#include "ngx_loyalty_poke.h"
#include "ngx_loyalty_seal.h"
#include "ngx_loyalty_wait.h"
#include "ly_canon.h"
#include "ly_hex.h"


#define NGX_LOYALTY_RESEALS     3
#define NGX_LOYALTY_WORKER_MS   10000   /* waited for the worker unasked */
#define NGX_LOYALTY_CALL_MAX    65536   /* bytes of the call parameter */


static ngx_int_t ngx_loyalty_call_values(ngx_loyalty_api_t *api);
static ngx_int_t ngx_loyalty_call_json(ngx_loyalty_api_t *api, ly_str_t *out);
static void ngx_loyalty_call_opt(ly_jw_t *w, ly_str_t key, ngx_str_t *value);
static void ngx_loyalty_call_scopes(ly_jw_t *w, uint64_t scopes);
static ngx_uint_t ngx_loyalty_call_again(ngx_loyalty_api_t *api);
static void ngx_loyalty_call_minted(ngx_loyalty_api_t *api, ly_jw_t *w);
static ngx_int_t ngx_loyalty_call_prepare(ngx_loyalty_api_t *api);
static ngx_int_t ngx_loyalty_call_body_mac(ngx_loyalty_api_t *api);
static void ngx_loyalty_call_places(ngx_loyalty_api_t *api);
static uint64_t ngx_loyalty_call_hash(ngx_loyalty_api_t *api, u_char *data,
    size_t len, uint64_t seed);
static ngx_int_t ngx_loyalty_call_send(ngx_loyalty_api_t *api,
    ngx_loyalty_pg_t *pg, ngx_loyalty_pg_handler_pt handler);
static ngx_int_t ngx_loyalty_call_not_sent(ngx_loyalty_api_t *api,
    ngx_int_t rc);
static void ngx_loyalty_call_handler(ngx_loyalty_pg_call_t *call,
    ngx_loyalty_pg_result_t *res);
static void ngx_loyalty_call_result_handler(ngx_loyalty_pg_call_t *call,
    ngx_loyalty_pg_result_t *res);
static void ngx_loyalty_call_failed(ngx_loyalty_api_t *api,
    ngx_loyalty_pg_result_t *res);
static ngx_int_t ngx_loyalty_call_reply(ngx_loyalty_api_t *api,
    ngx_loyalty_pg_result_t *res, ngx_loyalty_reply_t *reply);
static ngx_int_t ngx_loyalty_call_reseal(ngx_loyalty_api_t *api,
    ngx_loyalty_reply_t *reply);
static ngx_int_t ngx_loyalty_call_changes(ngx_loyalty_api_t *api,
    ngx_loyalty_reply_t *reply, ly_uuid_t **ids, ngx_uint_t *n);
static void ngx_loyalty_call_change(ngx_loyalty_api_t *api,
    const ly_json_node_t *node, ly_uuid_t *ids, ngx_uint_t *n);
static void ngx_loyalty_call_fill(ngx_loyalty_api_t *api,
    const ly_json_node_t *node);
static ngx_int_t ngx_loyalty_call_wait(ngx_loyalty_api_t *api,
    ngx_loyalty_reply_t *reply, ly_uuid_t *ids, ngx_uint_t n);
static ngx_int_t ngx_loyalty_call_headers(ngx_loyalty_api_t *api,
    ngx_str_t *lines, ngx_str_t *etag);
static ngx_int_t ngx_loyalty_call_link(ngx_loyalty_api_t *api,
    ngx_str_t *next);
static void ngx_loyalty_call_code(ngx_loyalty_api_t *api, ngx_str_t *body);


void
ngx_loyalty_call(ngx_loyalty_api_t *api)
{
    ngx_int_t          rc;
    ngx_loyalty_pg_t  *pg;

    rc = ngx_loyalty_call_prepare(api);

    if (rc == NGX_OK) {
        rc = ngx_loyalty_call_values(api);
    }

    if (rc == NGX_OK) {

        ngx_loyalty_call_places(api);

        if (api->op->events) {
            /* the parameter is written: a queue holds it once */
            ngx_loyalty_body_release(api);
        }

        pg = api->op->route.write ? ngx_loyalty_write_pool()
                                  : ngx_loyalty_read_pool();

        api->call.statement = &api->op->statement;
        api->call.write = api->op->route.write;

        ngx_loyalty_cache_stamp(&api->stamp);

        rc = ngx_loyalty_call_send(api, pg, ngx_loyalty_call_handler);
    }

    if (rc != NGX_OK) {
        ngx_loyalty_api_done(api, rc == NGX_DECLINED
                             ? ngx_loyalty_api_refuse(api)
                             : NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


/* what must be there before the parameters can be written */
static ngx_int_t
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
static ngx_int_t
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


static ngx_int_t
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


/* the wait is for something that an earlier call had begun */
static ngx_uint_t
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


/* at most one write of a member, and the tenant's share of the pool */
static void
ngx_loyalty_call_places(ngx_loyalty_api_t *api)
{
    u_char                *data;
    size_t                 len;
    ly_uuid_t              id;
    ngx_str_t              ref;
    const ly_json_node_t  *node;

    if (!api->op->route.write) {
        return;
    }

    api->call.group = ngx_loyalty_call_hash(api, NULL, 0,
                                            api->op->route.batch ? 2 : 1);
    api->call.limit = api->op->route.batch
                      ? api->tenant->plan.inflight_batches
                      : api->tenant->plan.inflight_writes;

    ngx_str_null(&ref);

    if (api->op->member_path) {
        ref = api->ctx->captures[0];

    } else if (api->op->member_body && api->root) {
        node = ly_json_member_of(api->root, ly_str("member"), LY_JSON_STRING);

        if (node) {
            ref.data = (u_char *) node->text.data;
            ref.len = node->text.len;
        }
    }

    if (ref.len == 0) {
        return;
    }

    data = ref.data;
    len = ref.len;

    /* two names of one member are one, where the cache knows */

    if (ly_id_parse(ly_str_of(ref.data, ref.len), ly_str("mem"), &id) == LY_OK
        || ngx_loyalty_cache_member(api->tenant, &ref, &id) == NGX_OK)
    {
        data = id.b;
        len = sizeof(id.b);
    }

    api->call.member = ngx_loyalty_call_hash(api, data, len, 3);
}


static uint64_t
ngx_loyalty_call_hash(ngx_loyalty_api_t *api, u_char *data, size_t len,
    uint64_t seed)
{
    uint64_t  h;

    h = (uint64_t) ngx_murmur_hash2(api->tenant->id.b, 16) << 32;
    h ^= seed * 0x9e3779b97f4a7c15ULL;

    if (len) {
        h ^= (uint64_t) ngx_murmur_hash2(data, len) << 8;
        h ^= ngx_crc32_short(data, len);
    }

    return h ? h : 1;
}


static ngx_int_t
ngx_loyalty_call_send(ngx_loyalty_api_t *api, ngx_loyalty_pg_t *pg,
    ngx_loyalty_pg_handler_pt handler)
{
    ngx_int_t  rc;

    api->call.values = api->values;
    api->call.handler = handler;
    api->call.data = api;
    api->call.log = api->request->connection->log;
    api->sent = ngx_current_msec;

    if (pg == NULL) {
        return ngx_loyalty_api_fault(api, "database.unavailable", NULL);
    }

    rc = ngx_loyalty_pg_call(pg, &api->call);

    return rc == NGX_OK ? NGX_OK : ngx_loyalty_call_not_sent(api, rc);
}


static ngx_int_t
ngx_loyalty_call_not_sent(ngx_loyalty_api_t *api, ngx_int_t rc)
{
    switch (rc) {

    case NGX_BUSY:
        return ngx_loyalty_api_fault(api, "overloaded", NULL);

    case NGX_DECLINED:
        return ngx_loyalty_api_fault(api, "database.unavailable", NULL);

    default:
        return NGX_ERROR;
    }
}


static void
ngx_loyalty_call_handler(ngx_loyalty_pg_call_t *call,
    ngx_loyalty_pg_result_t *res)
{
    ngx_int_t             rc;
    ly_uuid_t            *ids;
    ngx_uint_t            n;
    ngx_loyalty_api_t    *api;
    ngx_loyalty_reply_t   reply;

    api = call->data;

    api->ctx->db = 1;
    api->ctx->db_ms += ngx_current_msec - api->sent;

    if (res->outcome != NGX_LOYALTY_PG_OK) {
        ngx_loyalty_call_failed(api, res);
        return;
    }

    rc = ngx_loyalty_call_reply(api, res, &reply);

    if (rc == NGX_OK && reply.status == 0) {
        rc = ngx_loyalty_call_reseal(api, &reply);

        if (rc == NGX_OK) {
            return;
        }
    }

    ids = NULL;
    n = 0;

    if (rc == NGX_OK) {
        rc = ngx_loyalty_call_changes(api, &reply, &ids, &n);
    }

    if (rc == NGX_OK && n && ngx_loyalty_call_wait(api, &reply, ids, n)
        == NGX_OK)
    {
        return;
    }

    if (rc == NGX_OK) {
        ngx_loyalty_call_answer(api, &reply);
        return;
    }

    ngx_loyalty_api_done(api, rc == NGX_DECLINED
                         ? ngx_loyalty_api_refuse(api)
                         : NGX_HTTP_INTERNAL_SERVER_ERROR);
}


static void
ngx_loyalty_call_failed(ngx_loyalty_api_t *api, ngx_loyalty_pg_result_t *res)
{
    ly_uuid_t    id;
    ngx_str_t   *ref;
    const char  *code, *state;

    state = res->sqlstate;

    switch (res->outcome) {

    case NGX_LOYALTY_PG_REFUSED:

        if (ngx_strncmp(state, "40", 2) == 0
            || ngx_strncmp(state, "53", 2) == 0
            || ngx_strcmp(state, "55P03") == 0
            || ngx_strcmp(state, "57014") == 0)
        {
            code = "overloaded";

        } else if (ngx_strncmp(state, "57P", 3) == 0
                   || ngx_strncmp(state, "08", 2) == 0)
        {
            code = "database.unavailable";

        } else {
            ngx_log_error(NGX_LOG_ALERT, api->request->connection->log, 0,
                          "\"%s\" failed with SQLSTATE %s",
                          api->call.statement->name, state);
            code = "internal";
        }

        break;

    case NGX_LOYALTY_PG_BUSY:
        code = "overloaded";
        break;

    case NGX_LOYALTY_PG_UNKNOWN:

        code = "database.unavailable";

        if (api->op->route.write && !api->asked) {
            code = "outcome_unknown";
            ref = &api->ctx->captures[0];

            if (api->op->member_path
                && (ly_id_parse(ly_str_of(ref->data, ref->len), ly_str("mem"),
                                &id) == LY_OK
                    || ngx_loyalty_cache_member(api->tenant, ref, &id)
                    == NGX_OK))
            {
                ngx_loyalty_cache_void(api->tenant, &id, 0);
            }
        }

        break;

    default:
        code = "database.unavailable";
    }

    (void) ngx_loyalty_api_fault(api, code, NULL);

    ngx_loyalty_api_done(api, ngx_loyalty_api_refuse(api));
}


/* copied: the result goes away with the handler, the request may wait */
static ngx_int_t
ngx_loyalty_call_reply(ngx_loyalty_api_t *api, ngx_loyalty_pg_result_t *res,
    ngx_loyalty_reply_t *reply)
{
    ngx_int_t    status;
    ngx_str_t    value, *to[3];
    ngx_uint_t   i;

    ngx_memzero(reply, sizeof(ngx_loyalty_reply_t));

    value = ngx_loyalty_pg_value(res, 0, 0);
    status = ngx_atoi(value.data, value.len);

    if (res->rows != 1 || res->columns != 4 || status == NGX_ERROR
        || (status != 0 && (status < 200 || status > 599)))
    {
        ngx_log_error(NGX_LOG_ALERT, api->request->connection->log, 0,
                      "\"%s\" gave no answer: %ui rows, %ui columns, "
                      "status \"%V\"", api->call.statement->name, res->rows,
                      res->columns, &value);

        return ngx_loyalty_api_fault(api, "internal", NULL);
    }

    reply->status = (ngx_uint_t) status;

    to[0] = &reply->headers;
    to[1] = &reply->body;
    to[2] = &reply->changes;

    for (i = 0; i < 3; i++) {
        value = ngx_loyalty_pg_value(res, 0, i + 1);

        if (value.len == 0) {
            continue;
        }

        to[i]->data = ngx_pnalloc(api->request->pool, value.len);
        if (to[i]->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(to[i]->data, value.data, value.len);
        to[i]->len = value.len;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_call_reseal(ngx_loyalty_api_t *api, ngx_loyalty_reply_t *reply)
{
    ngx_int_t  rc;

    if (!api->op->seal || api->root == NULL
        || api->reseals++ >= NGX_LOYALTY_RESEALS)
    {
        ngx_log_error(NGX_LOG_ALERT, api->request->connection->log, 0,
                      "\"%s\" asks for sealing again and again",
                      api->call.statement->name);

        return ngx_loyalty_api_fault(api, "internal", NULL);
    }

    rc = ngx_loyalty_seal_reseal(api, ly_str_of(reply->body.data,
                                                reply->body.len));

    if (rc == NGX_OK) {
        rc = ngx_loyalty_param_body(api);
    }

    if (rc == NGX_OK) {
        rc = ngx_loyalty_call_values(api);
    }

    if (rc == NGX_OK) {
        ngx_loyalty_cache_stamp(&api->stamp);
        rc = ngx_loyalty_call_send(api, api->op->route.write
                                        ? ngx_loyalty_write_pool()
                                        : ngx_loyalty_read_pool(),
                                   ngx_loyalty_call_handler);
    }

    return rc;
}


static ngx_int_t
ngx_loyalty_call_changes(ngx_loyalty_api_t *api, ngx_loyalty_reply_t *reply,
    ly_uuid_t **ids, ngx_uint_t *n)
{
    ly_json_node_t        *root;
    const ly_json_node_t  *node;

    if (reply->changes.len == 0) {
        return NGX_OK;
    }

    if (ly_json_parse(api->arena, ly_str_of(reply->changes.data,
                                            reply->changes.len),
                      NULL, &root, NULL) != LY_OK
        || root->type != LY_JSON_ARRAY)
    {
        ngx_log_error(NGX_LOG_ALERT, api->request->connection->log, 0,
                      "\"%s\" gave changes that cannot be read",
                      api->call.statement->name);

        /* it is committed: the answer stands, the feed tells the caches */
        return NGX_OK;
    }

    *ids = ly_arena_array(api->arena, root->count + 1, sizeof(ly_uuid_t));
    api->balances = ly_arena_array(api->arena, root->count + 1,
                                   sizeof(ngx_loyalty_balance_t));
    api->balance_codes = ly_arena_array(api->arena, root->count + 1,
                                        sizeof(ly_str_t));
    api->nbalances = 0;

    if (*ids == NULL || api->balances == NULL || api->balance_codes == NULL) {
        return NGX_ERROR;
    }

    for (node = root->first; node; node = node->next) {
        ngx_loyalty_call_change(api, node, *ids, n);
    }

    return NGX_OK;
}


static void
ngx_loyalty_call_change(ngx_loyalty_api_t *api, const ly_json_node_t *node,
    ly_uuid_t *ids, ngx_uint_t *n)
{
    ly_str_t               kind, lane;
    ly_uuid_t              member;
    ngx_str_t              ref;
    const ly_json_node_t  *m, *r;

    m = ly_json_member(node, ly_str("k"));

    if (ly_json_string(m, &kind) != LY_OK) {
        return;
    }

    if (ly_str_eq(kind, ly_str("balance"))) {
        ngx_loyalty_call_fill(api, node);
        return;
    }

    if (ly_str_eq(kind, ly_str("poke"))) {
        if (ly_json_string(ly_json_member(node, ly_str("l")), &lane)
            != LY_OK)
        {
            lane = ly_str("");
        }

        ngx_loyalty_poke(lane);
        return;
    }

    if (ly_str_eq(kind, ly_str("directory"))) {
        ngx_loyalty_feed_hint();
        return;
    }

    if (ly_str_eq(kind, ly_str("wait"))) {
        m = ly_json_member_of(node, ly_str("id"), LY_JSON_STRING);

        if (m && ly_uuid_parse(m->text, &ids[*n]) == LY_OK) {
            (*n)++;
        }

        return;
    }

    m = ly_json_member_of(node, ly_str("m"), LY_JSON_STRING);

    if (m == NULL || ly_uuid_parse(m->text, &member) != LY_OK) {
        return;
    }

    if (ly_str_eq(kind, ly_str("member"))) {
        ngx_loyalty_cache_void(api->tenant, &member, 1);
        return;
    }

    r = ly_json_member_of(node, ly_str("r"), LY_JSON_STRING);

    if (r && ly_str_eq(kind, ly_str("alias"))) {
        ref.data = (u_char *) r->text.data;
        ref.len = r->text.len;
        (void) ngx_loyalty_cache_alias(api->tenant, &ref, &member,
                                       &api->stamp);
    }
}


static void
ngx_loyalty_call_fill(ngx_loyalty_api_t *api, const ly_json_node_t *node)
{
    int64_t                 v;
    ly_uuid_t               member;
    ngx_uint_t              i;
    const ly_json_node_t   *m, *b, *e;
    ngx_loyalty_balance_t  *balance;

    balance = &api->balances[api->nbalances];
    ngx_memzero(balance, sizeof(ngx_loyalty_balance_t));

    m = ly_json_member_of(node, ly_str("m"), LY_JSON_STRING);
    b = ly_json_member_of(node, ly_str("b"), LY_JSON_ARRAY);

    if (m == NULL || ly_uuid_parse(m->text, &member) != LY_OK || b == NULL
        || b->count != 8)
    {
        return;
    }

    for (i = 0; i < 8; i++) {
        if (ly_json_int64(ly_json_at(b, (uint32_t) i), &balance->bucket[i])
            != LY_OK)
        {
            return;
        }
    }

    if (ly_json_int64(ly_json_member(node, ly_str("v")), &balance->version)
        != LY_OK
        || ly_json_int64(ly_json_member(node, ly_str("o")), &v) != LY_OK
        || v < 0 || v >= NGX_LOYALTY_WALLETS_MAX)
    {
        return;
    }

    balance->ordinal = (uint16_t) v;

    if (ly_json_int64(ly_json_member(node, ly_str("n")), &v) != LY_OK
        || v <= 0 || v > NGX_LOYALTY_WALLETS_MAX)
    {
        return;
    }

    balance->wallets = (uint16_t) v;

    if (ly_json_int64(ly_json_member(node, ly_str("f")), &v) == LY_OK) {
        balance->fresh_until = v;
    }

    e = ly_json_member_of(node, ly_str("e"), LY_JSON_ARRAY);

    if (e && (ly_json_int64(ly_json_at(e, 0), &balance->expiry_at) != LY_OK
              || ly_json_int64(ly_json_at(e, 1), &balance->expiry_points)
              != LY_OK))
    {
        return;
    }

    (void) ngx_loyalty_cache_fill(api->tenant, &member, balance, &api->stamp,
                                  api->op->route.write && !api->asked);

    if (ly_json_string(ly_json_member(node, ly_str("w")),
                       &api->balance_codes[api->nbalances]) == LY_OK)
    {
        api->nbalances++;
    }
}


static ngx_int_t
ngx_loyalty_call_wait(ngx_loyalty_api_t *api, ngx_loyalty_reply_t *reply,
    ly_uuid_t *ids, ngx_uint_t n)
{
    ngx_int_t            rc;
    ngx_msec_t           ms;
    ngx_http_request_t  *r;

    r = api->request;
    ms = api->wait * 1000;

    if (ms == 0 && api->op->worker) {
        ms = NGX_LOYALTY_WORKER_MS;
    }

    if (ms == 0 || api->op->wait.sql == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_loyalty_wait(api, ids, n, ms);

    if (rc != NGX_OK) {
        return rc;
    }

    api->first = *reply;

    /* what waited for is done either way: a client that leaves frees it */

    r->read_event_handler = ngx_http_test_reading;

    return NGX_OK;
}


void
ngx_loyalty_wait_done(ngx_loyalty_api_t *api, ngx_uint_t left)
{
    ly_buf_t               b;
    u_char                 text[LY_UUID_TEXT];
    ly_uuid_t              id;
    ly_json_node_t        *root;
    const ly_json_node_t  *node, *m;

    if (api->op->route.batch) {
        ngx_loyalty_call_result(api, ly_str_of(api->first.body.data,
                                               api->first.body.len));
        return;
    }

    if (left) {
        ngx_loyalty_call_answer(api, &api->first);
        return;
    }

    /* the id that was waited for */

    if (ly_json_parse(api->arena, ly_str_of(api->first.changes.data,
                                            api->first.changes.len),
                      NULL, &root, NULL) == LY_OK)
    {
        for (node = root->first; node; node = node->next) {
            m = ly_json_member_of(node, ly_str("id"), LY_JSON_STRING);

            if (m && ly_uuid_parse(m->text, &id) == LY_OK) {
                ly_uuid_print(&id, text);
                ly_buf_init_arena(&b, api->arena, sizeof(text) + 1);
                ly_buf_put(&b, text, sizeof(text));
                ngx_loyalty_call_result(api, ly_buf_view(&b));
                return;
            }
        }
    }

    ngx_loyalty_call_answer(api, &api->first);
}


void
ngx_loyalty_call_result(ngx_loyalty_api_t *api, ly_str_t what)
{
    ly_str_t   text, call;
    ngx_int_t  rc;

    api->asked = 1;

    if (ly_arena_str(api->arena, what, &text) != LY_OK
        || (ngx_loyalty_call_again(api)
            && ngx_loyalty_call_json(api, &call) != NGX_OK))
    {
        ngx_loyalty_api_done(api, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ngx_loyalty_call_again(api)) {
        api->values[1] = (const char *) call.data;
    }

    api->values[2] = (const char *) text.data;

    api->call.statement = &api->op->wait;
    api->call.write = 0;
    api->call.member = 0;
    api->call.group = 0;
    api->call.limit = 0;

    ngx_loyalty_cache_stamp(&api->stamp);

    rc = ngx_loyalty_call_send(api, ngx_loyalty_read_pool(),
                               ngx_loyalty_call_result_handler);

    if (rc != NGX_OK) {
        /* what was accepted stays so, whatever became of the wait */
        api->problem = NULL;
        ngx_loyalty_call_answer(api, &api->first);
    }
}


static void
ngx_loyalty_call_result_handler(ngx_loyalty_pg_call_t *call,
    ngx_loyalty_pg_result_t *res)
{
    ly_uuid_t            *ids;
    ngx_uint_t            n;
    ngx_loyalty_api_t    *api;
    ngx_loyalty_reply_t   reply;

    api = call->data;
    api->ctx->db_ms += ngx_current_msec - api->sent;

    ids = NULL;
    n = 0;

    if (res->outcome != NGX_LOYALTY_PG_OK
        || ngx_loyalty_call_reply(api, res, &reply) != NGX_OK
        || reply.status == 0
        || ngx_loyalty_call_changes(api, &reply, &ids, &n) != NGX_OK)
    {
        api->problem = NULL;
        ngx_loyalty_call_answer(api, &api->first);
        return;
    }

    ngx_loyalty_call_answer(api, &reply);
}


void
ngx_loyalty_call_answer(ngx_loyalty_api_t *api, ngx_loyalty_reply_t *reply)
{
    ngx_int_t            rc;
    ngx_str_t            body, etag, next;
    ngx_http_request_t  *r;

    r = api->request;

    if (api->op->balances && reply->status == NGX_HTTP_OK
        && ngx_loyalty_balances_answer(api, &rc) == NGX_OK)
    {
        ngx_loyalty_api_done(api, rc);
        return;
    }

    ngx_str_null(&etag);
    ngx_str_null(&next);
    body = reply->body;

    if (api->op->seal || api->op->cursor || api->op->events) {
        rc = ngx_loyalty_seal_splice(api, &reply->body, &body, &next);

        if (rc != NGX_OK) {
            ngx_loyalty_api_done(api, rc == NGX_DECLINED
                                 ? ngx_loyalty_api_refuse(api)
                                 : NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }
    }

    if (ngx_loyalty_call_headers(api, &reply->headers, &etag) != NGX_OK
        || (next.len && ngx_loyalty_call_link(api, &next) != NGX_OK))
    {
        ngx_loyalty_api_done(api, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (reply->status >= 400) {
        ngx_loyalty_call_code(api, &body);
        rc = ngx_loyalty_answer_problem_body(r, reply->status, body.data,
                                             body.len);

    } else if (api->op->method == NGX_HTTP_GET && etag.len
               && reply->status == NGX_HTTP_OK && api->if_none_match.len
               && ngx_loyalty_answer_match(&api->if_none_match, &etag))
    {
        rc = ngx_loyalty_answer_send(r, NGX_HTTP_NOT_MODIFIED, NULL, 0);

    } else {
        rc = ngx_loyalty_answer_send(r, reply->status, body.data, body.len);
    }

    ngx_loyalty_api_done(api, rc);
}


/* lines "Name: value\n" of our own functions */
static ngx_int_t
ngx_loyalty_call_headers(ngx_loyalty_api_t *api, ngx_str_t *lines,
    ngx_str_t *etag)
{
    u_char     *p, *last, *end, *colon;
    ngx_str_t   value;

    p = lines->data;
    last = p + lines->len;

    while (p < last) {
        end = ngx_strlchr(p, last, '\n');

        if (end == NULL) {
            end = last;
        }

        colon = ngx_strlchr(p, end, ':');

        if (colon == NULL || colon == p) {
            p = end + 1;
            continue;
        }

        *colon = '\0';

        value.data = colon + 1;

        while (value.data < end && *value.data == ' ') {
            value.data++;
        }

        value.len = (size_t) (end - value.data);

        if (ngx_strcmp(p, "ETag") == 0) {
            *etag = value;
        }

        if (ngx_loyalty_header(api->request, (const char *) p, &value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        p = end + 1;
    }

    return NGX_OK;
}


/* the same request with another cursor */
static ngx_int_t
ngx_loyalty_call_link(ngx_loyalty_api_t *api, ngx_str_t *next)
{
    u_char              *p, *arg, *last, *end;
    size_t               path;
    ngx_str_t            value, *uri;
    ngx_http_request_t  *r;

    r = api->request;
    uri = &r->unparsed_uri;

    p = ngx_strlchr(uri->data, uri->data + uri->len, '?');
    path = p ? (size_t) (p - uri->data) : uri->len;

    value.data = ngx_pnalloc(r->pool, uri->len + next->len + 64);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    p = value.data;
    *p++ = '<';
    p = ngx_cpymem(p, uri->data, path);
    *p++ = '?';

    arg = r->args.data;
    last = arg + r->args.len;

    while (arg < last) {
        end = ngx_strlchr(arg, last, '&');

        if (end == NULL) {
            end = last;
        }

        if (end > arg && (end - arg < 7
                          || ngx_strncmp(arg, "cursor=", 7) != 0))
        {
            p = ngx_cpymem(p, arg, (size_t) (end - arg));
            *p++ = '&';
        }

        arg = end + 1;
    }

    p = ngx_cpymem(p, "cursor=", 7);
    p = ngx_cpymem(p, next->data, next->len);
    p = ngx_cpymem(p, ">; rel=\"next\"", sizeof(">; rel=\"next\"") - 1);

    value.len = (size_t) (p - value.data);

    return ngx_loyalty_header(r, "Link", &value);
}


/* for the log and the metrics */
static void
ngx_loyalty_call_code(ngx_loyalty_api_t *api, ngx_str_t *body)
{
    ly_json_node_t             *root;
    const ly_json_node_t       *node;
    const ngx_loyalty_error_t  *error;

    if (ly_json_parse(api->arena, ly_str_of(body->data, body->len), NULL,
                      &root, NULL) != LY_OK)
    {
        return;
    }

    node = ly_json_member_of(root, ly_str("code"), LY_JSON_STRING);
    error = node ? ngx_loyalty_error((const char *) node->text.data,
                                     node->text.len) : NULL;

    if (error == NULL) {
        ngx_log_error(NGX_LOG_ALERT, api->request->connection->log, 0,
                      "\"%V\" gave a problem whose code is not in the list",
                      &api->op->route.name);
        return;
    }

    api->ctx->code.data = (u_char *) error->code.data;
    api->ctx->code.len = error->code.len;
}
