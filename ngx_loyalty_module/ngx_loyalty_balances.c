/*
 * The balances of a member out of shared memory, or out of the changes of an
 * answer: the same bytes either way.
 */

#include "ngx_loyalty_api.h"
#include "ly_hex.h"


/* of one balance without its wallet's code; a longest number has 20 digits */
#define NGX_LOYALTY_BALANCE_TEXT  640

#define NGX_LOYALTY_ETAG_TEXT     18


static ngx_int_t ngx_loyalty_balances_send(ngx_loyalty_api_t *api,
    ngx_loyalty_balance_t *balances, ly_str_t *codes, ngx_uint_t n,
    ngx_int_t *rc);
static void ngx_loyalty_balances_write(ly_jw_t *w,
    ngx_loyalty_balance_t *balance, ly_str_t code);
static uint64_t ngx_loyalty_balances_hash(ngx_loyalty_balance_t *balances,
    ngx_uint_t n);


/* in the order of ngx_loyalty_balance_t */
static const ly_str_t  ngx_loyalty_buckets[] = {
    ly_str_init("available"),
    ly_str_init("pending"),
    ly_str_init("held"),
    ly_str_init("debt"),
    ly_str_init("earned"),
    ly_str_init("spent"),
    ly_str_init("expired"),
    ly_str_init("reversed")
};


ngx_int_t
ngx_loyalty_balances_cached(ngx_loyalty_api_t *api, ngx_int_t *rc)
{
    ngx_int_t               n;
    ngx_str_t              *ref;
    ngx_uint_t              i;
    ly_uuid_t               member;
    ly_str_t                codes[NGX_LOYALTY_WALLETS_MAX];
    ngx_loyalty_wallet_t   *wallet;
    ngx_loyalty_balance_t   balances[NGX_LOYALTY_WALLETS_MAX];

    ref = &api->ctx->captures[0];

    if (ref->len > 4 && ngx_memcmp(ref->data, "mem_", 4) == 0) {

        if (ly_id_parse(ly_str_of(ref->data, ref->len), ly_str("mem"),
                        &member) != LY_OK)
        {
            return NGX_DECLINED;
        }

        n = ngx_loyalty_cache_balances(api->tenant, &member, balances);

    } else {
        n = ngx_loyalty_cache_balances_of(api->tenant, ref, balances);
    }

    if (n <= 0 || (ngx_uint_t) n > api->tenant->nwallets) {
        ngx_str_set(&api->ctx->cache, "MISS");
        return NGX_DECLINED;
    }

    for (i = 0; i < (ngx_uint_t) n; i++) {
        wallet = &api->tenant->wallets[i];
        codes[i] = ly_str_of(wallet->code, wallet->code_len);
    }

    ngx_str_set(&api->ctx->cache, "HIT");

    return ngx_loyalty_balances_send(api, balances, codes, (ngx_uint_t) n, rc);
}


ngx_int_t
ngx_loyalty_balances_answer(ngx_loyalty_api_t *api, ngx_int_t *rc)
{
    ngx_uint_t  i;

    /* one of every wallet, in the wallets' order */

    if (api->nbalances == 0) {
        return NGX_DECLINED;
    }

    for (i = 0; i < api->nbalances; i++) {
        if (api->balances[i].ordinal != i
            || api->balances[i].wallets != api->nbalances)
        {
            return NGX_DECLINED;
        }
    }

    return ngx_loyalty_balances_send(api, api->balances, api->balance_codes,
                                     api->nbalances, rc);
}


static ngx_int_t
ngx_loyalty_balances_send(ngx_loyalty_api_t *api,
    ngx_loyalty_balance_t *balances, ly_str_t *codes, ngx_uint_t n,
    ngx_int_t *rc)
{
    size_t               size;
    u_char              *p, digest[8];
    ly_jw_t              w;
    uint64_t             hash;
    ly_buf_t             b;
    ngx_str_t            etag;
    ngx_uint_t           i;
    ngx_http_request_t  *r;

    r = api->request;
    size = NGX_LOYALTY_ETAG_TEXT + 128 + n * (NGX_LOYALTY_BALANCE_TEXT + 64);

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_OK;
    }

    /* the same content has the same tag, whichever way it came */

    hash = ngx_loyalty_balances_hash(balances, n);

    ly_be64_put(digest, hash);

    etag.data = p;
    etag.len = NGX_LOYALTY_ETAG_TEXT;

    p[0] = '"';
    p[etag.len - 1] = '"';
    (void) ly_hex_encode(ly_str_of(digest, sizeof(digest)), p + 1);

    if (ngx_loyalty_header(r, "ETag", &etag) != NGX_OK) {
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_OK;
    }

    if (api->if_none_match.len
        && ngx_loyalty_answer_match(&api->if_none_match, &etag))
    {
        *rc = ngx_loyalty_answer_send(r, NGX_HTTP_NOT_MODIFIED, NULL, 0);
        return NGX_OK;
    }

    ly_buf_init_fixed(&b, p + NGX_LOYALTY_ETAG_TEXT,
                      size - NGX_LOYALTY_ETAG_TEXT);

    ly_jw_init(&w, &b);
    ly_jw_object(&w);
    ly_jw_members(&w, "\"object\":\"list\"");
    ly_jw_k(&w, "data");
    ly_jw_array(&w);

    for (i = 0; i < n; i++) {
        ngx_loyalty_balances_write(&w, &balances[i], codes[i]);
    }

    ly_jw_array_end(&w);
    ly_jw_members(&w, "\"has_more\":false,\"next_cursor\":null");
    ly_jw_object_end(&w);

    if (ly_jw_done(&w) != LY_OK) {
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_OK;
    }

    *rc = ngx_loyalty_answer_send(r, NGX_HTTP_OK,
                                  (u_char *) ly_buf_view(&b).data,
                                  ly_buf_view(&b).len);
    return NGX_OK;
}


static void
ngx_loyalty_balances_write(ly_jw_t *w, ngx_loyalty_balance_t *balance,
    ly_str_t code)
{
    ly_jw_object(w);
    ly_jw_members(w, "\"object\":\"balance\"");
    ly_jw_kstr(w, "wallet", code);
    ly_jw_ints(w, ngx_loyalty_buckets, balance->bucket, 4);
    ly_jw_k(w, "lifetime");
    ly_jw_object(w);
    ly_jw_ints(w, ngx_loyalty_buckets + 4, balance->bucket + 4, 4);
    ly_jw_object_end(w);

    if (balance->expiry_at) {
        ly_jw_k(w, "next_expiry");
        ly_jw_object(w);
        ly_jw_kint(w, "points", balance->expiry_points);
        ly_jw_ktime(w, "expires_at", balance->expiry_at);
        ly_jw_object_end(w);

    } else {
        ly_jw_members(w, "\"next_expiry\":null");
    }

    ly_jw_kint(w, "version", balance->version);
    ly_jw_object_end(w);
}


/* FNV-1a over 64-bit words, mixed at the end */
static uint64_t
ngx_loyalty_balances_hash(ngx_loyalty_balance_t *balances, ngx_uint_t n)
{
    uint64_t    h;
    ngx_uint_t  i, k;

    h = 0xcbf29ce484222325ULL ^ n;

#define ngx_loyalty_mix(v)                                                    \
    h = (h ^ (uint64_t) (v)) * 0x100000001b3ULL;                              \
    h ^= h >> 29

    for (i = 0; i < n; i++) {
        for (k = 0; k < 8; k++) {
            ngx_loyalty_mix(balances[i].bucket[k]);
        }

        ngx_loyalty_mix(balances[i].version);
        ngx_loyalty_mix(balances[i].expiry_at);
        ngx_loyalty_mix(balances[i].expiry_points);
    }

#undef ngx_loyalty_mix

    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;

    return h ^ h >> 33;
}
