/*
 * The credential that a connection presented last, with its digest: a client
 * that keeps its connection sends the same one with every request, and neither
 * its form nor its SHA-256 changes.  Only that is kept.  Whether the
 * credential is known, revoked, expired or used from another address is asked
 * of the directory for every request.
 */

#include "ngx_loyalty_auth.h"


#define NGX_LOYALTY_MEMO_MAX  2048      /* bytes of a credential */


typedef struct {
    size_t   len;                       /* 0: none */
    size_t   size;
    u_char   digest[32];
    unsigned key : 1;                   /* an API key, else a token */
    u_char   text[1];
} ngx_loyalty_memo_t;


static ngx_loyalty_memo_t *ngx_loyalty_memo_find(ngx_connection_t *c);
static void ngx_loyalty_memo_cleanup(void *data);


/* of the connection's pool, which all streams of HTTP/2 share */

static ngx_loyalty_memo_t *
ngx_loyalty_memo_find(ngx_connection_t *c)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = c->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_loyalty_memo_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


ngx_int_t
ngx_loyalty_memo_get(ngx_connection_t *c, ngx_str_t *token, u_char digest[32],
    ngx_uint_t *key)
{
    ngx_loyalty_memo_t  *memo;

    memo = ngx_loyalty_memo_find(c);

    if (memo == NULL
        || !ly_secret_eq(memo->text, memo->len, token->data, token->len))
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(digest, memo->digest, 32);
    *key = memo->key;

    return NGX_OK;
}


void
ngx_loyalty_memo_put(ngx_connection_t *c, ngx_str_t *token,
    const u_char digest[32], ngx_uint_t key)
{
    size_t               size;
    ngx_loyalty_memo_t  *memo;
    ngx_pool_cleanup_t  *cln;

    if (token->len == 0 || token->len > NGX_LOYALTY_MEMO_MAX) {
        return;
    }

    memo = ngx_loyalty_memo_find(c);

    if (memo == NULL) {
        size = offsetof(ngx_loyalty_memo_t, text) + token->len;

        cln = ngx_pool_cleanup_add(c->pool, size);
        if (cln == NULL) {
            return;
        }

        memo = cln->data;
        memo->size = token->len;
        cln->handler = ngx_loyalty_memo_cleanup;
    }

    memo->len = 0;

    /* the pool frees nothing before its end: no room is asked for twice */

    if (token->len > memo->size) {
        return;
    }

    ngx_memcpy(memo->text, token->data, token->len);
    ngx_memcpy(memo->digest, digest, 32);
    memo->key = key ? 1 : 0;
    memo->len = token->len;
}


static void
ngx_loyalty_memo_cleanup(void *data)
{
    ngx_loyalty_memo_t  *memo = data;

    ly_secret_wipe(memo->text, memo->size);
}
