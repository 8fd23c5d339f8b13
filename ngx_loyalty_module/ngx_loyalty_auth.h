/*
 * What the auth module is made of: verified tokens in the zone, and checks in
 * the database that requests wait for.
 */

#ifndef NGX_LOYALTY_AUTH_H_INCLUDED_
#define NGX_LOYALTY_AUTH_H_INCLUDED_

#include "ngx_loyalty.h"
#include "ngx_loyalty_directory.h"
#include "ngx_loyalty_zone.h"


/* what one request needs */
typedef struct {
    uint64_t   scope;                   /* 0: any credential will do */
    u_char     digest[32];              /* of the credential, SHA-256 */

    /* of a verified token, for the check; text */
    u_char     session[128];
    u_char     subject[LY_UUID_TEXT];
    u_char     kid[64];
    uint16_t   session_len;
    uint16_t   kid_len;
    int64_t    iat;                     /* us */

    unsigned   user : 1;                  /* the subject is a user */
    unsigned   optional : 1;
    unsigned   reads : 1;                 /* the scope is a *:read */
    unsigned   check : 1;                 /* by the database */
} ngx_loyalty_auth_want_t;


/* the token's slot, if it was verified and still holds; NGX_DECLINED */
ngx_int_t ngx_loyalty_token_find(ngx_loyalty_zone_t *zone,
    const u_char digest[32], ngx_loyalty_tslot_t *slot);

/*
 * Verifies signature and claims and fills the slot and want.  NGX_DECLINED:
 * not valid here and now.  Says nothing about revocations.
 */
ngx_int_t ngx_loyalty_token_verify(ngx_loyalty_zone_t *zone,
    ngx_loyalty_ctx_t *ctx, ngx_loyalty_auth_want_t *want, ngx_str_t *token,
    ngx_loyalty_tslot_t *slot, ngx_log_t *log);

void ngx_loyalty_token_keep(ngx_loyalty_zone_t *zone,
    ngx_loyalty_tslot_t *slot);


/*
 * The digest of the credential if it is the one that the connection presented
 * last, and whether it has the form of an API key; NGX_DECLINED: it is not.
 * Compared in constant time.  put keeps it, once the credential was accepted,
 * until the connection closes.
 */
ngx_int_t ngx_loyalty_memo_get(ngx_connection_t *c, ngx_str_t *token,
    u_char digest[32], ngx_uint_t *key);
void ngx_loyalty_memo_put(ngx_connection_t *c, ngx_str_t *token,
    const u_char digest[32], ngx_uint_t key);


/*
 * Asks the database.  NGX_AGAIN: the request waits and its access phase runs
 * again; NGX_OK, NGX_DECLINED: the answer; NGX_BUSY: there is none.
 */
ngx_int_t ngx_loyalty_auth_check_key(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx, ngx_loyalty_auth_want_t *want,
    ngx_loyalty_key_rec_t *rec, ngx_uint_t *addressed);
ngx_int_t ngx_loyalty_auth_check_token(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx, ngx_loyalty_auth_want_t *want);


#endif /* NGX_LOYALTY_AUTH_H_INCLUDED_ */
