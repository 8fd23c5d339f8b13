/*
 * Keys of tenants in process memory, sealing on the way in, and markers on the
 * way out.
 */

#ifndef NGX_LOYALTY_SEAL_H_INCLUDED_
#define NGX_LOYALTY_SEAL_H_INCLUDED_

#include "ngx_loyalty_api.h"


struct ngx_loyalty_keys_s {
    ngx_queue_t         queue;
    ly_uuid_t           tenant;
    ngx_str_t           wrapped;
    ly_key_t            key;
    ly_tenant_macs_t    macs;
    ngx_uint_t          refs;
};


/* in exit_process: wipes what is known */
void ngx_loyalty_keys_forget(void);

/*
 * api->keys for its tenant, unwrapped at first sight, held until the request
 * ends.  NGX_OK; NGX_DECLINED with key.unavailable; NGX_ERROR.
 */
ngx_int_t ngx_loyalty_keys_take(ngx_loyalty_api_t *api);
void ngx_loyalty_keys_release(ngx_loyalty_keys_t *keys);


/* a new id and a data key for it: api->minted, data_key, wrapped_key */
ngx_int_t ngx_loyalty_seal_mint(ngx_loyalty_api_t *api);

/* seals under what SQL named in a reseal; NGX_DECLINED with a problem */
ngx_int_t ngx_loyalty_seal_reseal(ngx_loyalty_api_t *api, ly_str_t body);

/* makes and seals the secret of a webhook endpoint */
ngx_int_t ngx_loyalty_seal_secret(ngx_loyalty_api_t *api);

/* one sealed value as base64 in quotes; a sealer of the schema's writer */
ngx_int_t ngx_loyalty_seal_member(void *data, ly_str_t name,
    const ly_json_node_t *node, ly_jw_t *w);

/*
 * Attributes of an event under a key of their own: both texts in base64, in
 * the request's tree.
 */
ngx_int_t ngx_loyalty_seal_attributes(ngx_loyalty_api_t *api,
    const ly_uuid_t *event, const ly_json_node_t *node, ly_str_t *sealed,
    ly_str_t *wrapped);

/* hex of the blind index of an e-mail address, in the request's arena */
ngx_int_t ngx_loyalty_seal_blind(ngx_loyalty_api_t *api, ly_str_t email,
    ly_str_t *hex);

/*
 * The body with its markers opened and signed: *out is body itself where there
 * is none.  next, if not NULL, gets the cursor of the next page.
 */
ngx_int_t ngx_loyalty_seal_splice(ngx_loyalty_api_t *api, ngx_str_t *body,
    ngx_str_t *out, ngx_str_t *next);


#endif /* NGX_LOYALTY_SEAL_H_INCLUDED_ */
