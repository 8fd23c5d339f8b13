/*
 * The call of an operation's SQL function: sent, answered, sealed again where
 * SQL asks for it, and what came of it where a request waits.
 */

#include "ngx_loyalty_call_int.h"
#include "ngx_loyalty_seal.h"
#include "ngx_loyalty_wait.h"


#define NGX_LOYALTY_RESEALS     3
#define NGX_LOYALTY_WORKER_MS   10000   /* waited for the worker unasked */


static void ngx_loyalty_call_places(ngx_loyalty_api_t *api);
static uint64_t ngx_loyalty_call_hash(ngx_loyalty_api_t *api, u_char *data,
    size_t len, uint64_t seed);
static ngx_int_t ngx_loyalty_call_send(ngx_loyalty_api_t *api,
    ngx_loyalty_pg_t *pg, ngx_loyalty_pg_handler_pt handler);
static ngx_int_t ngx_loyalty_call_not_sent(ngx_loyalty_api_t *api,
    ngx_int_t rc);
static void ngx_loyalty_call_handler(ngx_loyalty_pg_call_t *call,
    ngx_loyalty_pg_result_t *res);
static void ngx_loyalty_call_failed(ngx_loyalty_api_t *api,
    ngx_loyalty_pg_result_t *res);
static ngx_int_t ngx_loyalty_call_reply(ngx_loyalty_api_t *api,
    ngx_loyalty_pg_result_t *res, ngx_loyalty_reply_t *reply);
static ngx_int_t ngx_loyalty_call_reseal(ngx_loyalty_api_t *api,
    ngx_loyalty_reply_t *reply);
static ngx_int_t ngx_loyalty_call_wait(ngx_loyalty_api_t *api,
    ngx_loyalty_reply_t *reply, ly_uuid_t *ids, ngx_uint_t n);
static void ngx_loyalty_call_result_handler(ngx_loyalty_pg_call_t *call,
    ngx_loyalty_pg_result_t *res);


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
        ngx_loyalty_api_failed(api, rc);
    }
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

    ngx_loyalty_api_failed(api, rc);
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
