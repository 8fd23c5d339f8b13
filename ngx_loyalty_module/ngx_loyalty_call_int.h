/*
 * Inside the call: what its files ask of each other.  What the other steps of
 * a request ask of it stands in ngx_loyalty_api.h.
 */

#ifndef NGX_LOYALTY_CALL_INT_H_INCLUDED_
#define NGX_LOYALTY_CALL_INT_H_INCLUDED_

#include "ngx_loyalty_api.h"


/*
 * What must be there before the parameters can be written: the nonce, the
 * blind index, the digest of the body, ids and keys, the body's parameter.
 * NGX_OK; NGX_DECLINED with the problem set; NGX_ERROR.
 */
ngx_int_t ngx_loyalty_call_prepare(ngx_loyalty_api_t *api);

/*
 * api->values from what is prepared; again after each reseal.  They live as
 * long as the request.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_loyalty_call_values(ngx_loyalty_api_t *api);

/* the call parameter by itself, NUL terminated, in the request's arena */
ngx_int_t ngx_loyalty_call_json(ngx_loyalty_api_t *api, ly_str_t *out);

/* the wait is for something that an earlier call had begun */
ngx_uint_t ngx_loyalty_call_again(ngx_loyalty_api_t *api);

/*
 * Does what the reply's changes ask for, under api->stamp, and keeps the
 * balances for the answer.  *ids gets *n of what Prefer: wait waits for, as
 * long as the request; both are the caller's zeros before.  Changes that
 * cannot be read are logged and NGX_OK: they are committed.  NGX_ERROR without
 * memory.
 */
ngx_int_t ngx_loyalty_call_changes(ngx_loyalty_api_t *api,
    ngx_loyalty_reply_t *reply, ly_uuid_t **ids, ngx_uint_t *n);


#endif /* NGX_LOYALTY_CALL_INT_H_INCLUDED_ */
