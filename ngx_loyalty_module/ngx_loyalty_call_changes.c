/*
 * What a call changed: into the caches, to the worker, to the change feed, and
 * into the ids that the request waits for.
 */

#include "ngx_loyalty_call_int.h"
#include "ngx_loyalty_feed.h"
#include "ngx_loyalty_poke.h"


static void ngx_loyalty_call_change(ngx_loyalty_api_t *api,
    const ly_json_node_t *node, ly_uuid_t *ids, ngx_uint_t *n);
static void ngx_loyalty_call_fill(ngx_loyalty_api_t *api,
    const ly_json_node_t *node);


ngx_int_t
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
