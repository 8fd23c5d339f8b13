
#include "ngx_loyalty_seal.h"
#include "ngx_loyalty_local.h"
#include "ly_base64.h"
#include "ly_cursor.h"
#include "ly_hex.h"
#include "ly_webhook.h"


#define NGX_LOYALTY_KEYS_MAX   256      /* tenants whose keys are kept */
#define NGX_LOYALTY_MARK       6        /* '"lys1.' */
#define NGX_LOYALTY_SPLICED    (16 * 1024 * 1024)


static ngx_int_t ngx_loyalty_keys_make(ngx_loyalty_api_t *api,
    ngx_loyalty_keys_t **out);
static void ngx_loyalty_keys_destroy(ngx_loyalty_keys_t *keys);
static ngx_int_t ngx_loyalty_seal_base64(ly_arena_t *arena, ly_buf_t *b,
    ly_str_t *out);
static u_char *ngx_loyalty_seal_find(ngx_loyalty_api_t *api, u_char *p,
    u_char *last);
static ngx_int_t ngx_loyalty_seal_open(ngx_loyalty_api_t *api, ly_str_t mark,
    ly_buf_t *b);
static ngx_int_t ngx_loyalty_seal_part(ly_str_t *rest, ly_str_t *part);
static ngx_int_t ngx_loyalty_seal_decode(ngx_loyalty_api_t *api,
    ly_str_t text, ly_str_t *out);
static ngx_int_t ngx_loyalty_seal_cursor(ngx_loyalty_api_t *api,
    ly_str_t mark, ly_buf_t *b, ngx_str_t *next);


/* most recently used first; of this process */
static ngx_queue_t  ngx_loyalty_keys = { &ngx_loyalty_keys,
                                         &ngx_loyalty_keys };
static ngx_uint_t   ngx_loyalty_keys_n;


ngx_int_t
ngx_loyalty_keys_take(ngx_loyalty_api_t *api)
{
    ngx_int_t              rc;
    ngx_queue_t           *q;
    ngx_loyalty_keys_t    *keys;
    ngx_loyalty_tenant_t  *tenant;

    if (api->keys) {
        return NGX_OK;
    }

    tenant = api->tenant;

    for (q = ngx_queue_head(&ngx_loyalty_keys);
         q != ngx_queue_sentinel(&ngx_loyalty_keys);
         q = ngx_queue_next(q))
    {
        keys = ngx_queue_data(q, ngx_loyalty_keys_t, queue);

        if (ly_uuid_eq(&keys->tenant, &tenant->id)
            && keys->wrapped.len == tenant->wrapped_key.len
            && ngx_memcmp(keys->wrapped.data, tenant->wrapped_key.data,
                          keys->wrapped.len) == 0)
        {
            goto found;
        }
    }

    keys = NULL;
    rc = ngx_loyalty_keys_make(api, &keys);

    if (rc != NGX_OK || keys == NULL) {
        return rc == NGX_OK ? NGX_ERROR : rc;
    }

    ngx_loyalty_keys_n++;
    ngx_queue_insert_head(&ngx_loyalty_keys, &keys->queue);

    if (ngx_loyalty_keys_n > NGX_LOYALTY_KEYS_MAX) {
        q = ngx_queue_last(&ngx_loyalty_keys);
        ngx_queue_remove(q);
        ngx_loyalty_keys_n--;
        ngx_loyalty_keys_release(ngx_queue_data(q, ngx_loyalty_keys_t, queue));
    }

found:

    ngx_queue_remove(&keys->queue);
    ngx_queue_insert_head(&ngx_loyalty_keys, &keys->queue);

    keys->refs++;
    api->keys = keys;

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_keys_make(ngx_loyalty_api_t *api, ngx_loyalty_keys_t **out)
{
    ly_err_t                  err;
    ngx_log_t                *log;
    ngx_loyalty_keys_t       *keys;
    ngx_loyalty_tenant_t     *tenant;
    ngx_loyalty_main_conf_t  *lmcf;

    log = api->request->connection->log;
    tenant = api->tenant;
    lmcf = ngx_loyalty_main_conf();

    keys = ngx_alloc(sizeof(ngx_loyalty_keys_t) + tenant->wrapped_key.len,
                     log);
    if (keys == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(keys, sizeof(ngx_loyalty_keys_t));
    keys->refs = 1;
    keys->tenant = tenant->id;
    keys->wrapped.len = tenant->wrapped_key.len;
    keys->wrapped.data = (u_char *) (keys + 1);
    ngx_memcpy(keys->wrapped.data, tenant->wrapped_key.data,
               tenant->wrapped_key.len);

    err = LY_NOTFOUND;

    if (lmcf->keyring) {
        err = ly_tenant_key_unwrap(ngx_loyalty_crypto(), lmcf->keyring,
                                   &tenant->id,
                                   ly_str_of(keys->wrapped.data,
                                             keys->wrapped.len),
                                   &keys->key);
    }

    if (err == LY_OK) {
        err = ly_tenant_macs_create(ngx_loyalty_crypto(), &keys->key,
                                    &tenant->id, &keys->macs);
    }

    if (err == LY_OK) {
        *out = keys;
        return NGX_OK;
    }

    ly_key_wipe(&keys->key);
    ngx_free(keys);

    ngx_loyalty_metric(SEAL_ERRORS);
    ngx_log_error(NGX_LOG_ALERT, log, 0,
                  "the key of tenant \"%V\" cannot be unwrapped: %s",
                  &tenant->slug, ly_err_name(err));

    return ngx_loyalty_api_fault(api, "key.unavailable", NULL);
}


void
ngx_loyalty_keys_release(ngx_loyalty_keys_t *keys)
{
    if (--keys->refs == 0) {
        ngx_loyalty_keys_destroy(keys);
    }
}


static void
ngx_loyalty_keys_destroy(ngx_loyalty_keys_t *keys)
{
    ly_tenant_macs_destroy(&keys->macs);
    ly_key_wipe(&keys->key);
    ngx_free(keys);
}


void
ngx_loyalty_keys_forget(void)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&ngx_loyalty_keys)) {
        q = ngx_queue_head(&ngx_loyalty_keys);
        ngx_queue_remove(q);
        ngx_loyalty_keys_release(ngx_queue_data(q, ngx_loyalty_keys_t, queue));
    }

    ngx_loyalty_keys_n = 0;
}


ngx_int_t
ngx_loyalty_seal_mint(ngx_loyalty_api_t *api)
{
    ly_buf_t     b;
    ly_err_t     err;
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    if (ly_uuid7_new((uint64_t) tp->sec * 1000 + tp->msec, &api->minted)
        != LY_OK)
    {
        return NGX_ERROR;
    }

    if (!api->op->seal) {
        return NGX_OK;
    }

    ly_buf_init_arena(&b, api->arena, 1024);

    err = ly_key_make(&api->data_key);

    if (err == LY_OK) {
        err = ly_data_key_wrap(ngx_loyalty_crypto(), &api->keys->key,
                               &api->tenant->id, &api->minted, &api->data_key,
                               &b);
    }

    if (err != LY_OK) {
        return NGX_ERROR;
    }

    return ngx_loyalty_seal_base64(api->arena, &b, &api->wrapped_key);
}


ngx_int_t
ngx_loyalty_seal_reseal(ngx_loyalty_api_t *api, ly_str_t body)
{
    ly_buf_t               b;
    ly_str_t               wrapped;
    ly_err_t               err;
    ly_json_node_t        *root;
    const ly_json_node_t  *id, *key;

    if (ly_json_parse(api->arena, body, NULL, &root, NULL) != LY_OK) {
        return NGX_ERROR;
    }

    id = ly_json_member_of(root, ly_str("object_id"), LY_JSON_STRING);
    key = ly_json_member_of(root, ly_str("wrapped_key"), LY_JSON_STRING);

    if (id == NULL || ly_uuid_parse(id->text, &api->minted) != LY_OK) {
        return NGX_ERROR;
    }

    if (key == NULL) {

        /* the object has none yet: a new one, for that object */

        ly_buf_init_arena(&b, api->arena, 1024);

        if (ly_key_make(&api->data_key) != LY_OK
            || ly_data_key_wrap(ngx_loyalty_crypto(), &api->keys->key,
                                &api->tenant->id, &api->minted,
                                &api->data_key, &b) != LY_OK)
        {
            return NGX_ERROR;
        }

        return ngx_loyalty_seal_base64(api->arena, &b, &api->wrapped_key);
    }

    api->wrapped_key = key->text;

    if (ngx_loyalty_seal_decode(api, key->text, &wrapped) != NGX_OK) {
        return NGX_ERROR;
    }

    err = ly_data_key_unwrap(ngx_loyalty_crypto(), &api->keys->key,
                             &api->tenant->id, &api->minted, wrapped,
                             &api->data_key);

    if (err == LY_OK) {
        return NGX_OK;
    }

    ngx_loyalty_metric(SEAL_ERRORS);
    ngx_log_error(NGX_LOG_ALERT, api->request->connection->log, 0,
                  "a data key of tenant \"%V\" cannot be unwrapped: %s",
                  &api->tenant->slug, ly_err_name(err));

    return ngx_loyalty_api_fault(api, "key.unavailable", NULL);
}


ngx_int_t
ngx_loyalty_seal_secret(ngx_loyalty_api_t *api)
{
    size_t     len;
    u_char    *text;
    ly_buf_t   b;

    text = ly_arena_bytes(api->arena, LY_WEBHOOK_SECRET_TEXT);

    if (text == NULL || ly_webhook_secret_make(text, &len) != LY_OK) {
        return NGX_ERROR;
    }

    api->secret = ly_str_of(text, len);

    ly_buf_init_arena(&b, api->arena, 1024);

    if (ly_field_seal(ngx_loyalty_crypto(), &api->data_key, &api->tenant->id,
                      &api->minted, ly_str("secret"), api->secret, &b)
        != LY_OK)
    {
        return NGX_ERROR;
    }

    return ngx_loyalty_seal_base64(api->arena, &b, &api->secret_sealed);
}


ngx_int_t
ngx_loyalty_seal_member(void *data, ly_str_t name, const ly_json_node_t *node,
    ly_jw_t *w)
{
    ly_buf_t            b;
    ly_str_t            text;
    ngx_loyalty_api_t  *api;

    api = data;
    text = node->text;

    /* the address stays as written; its index does not depend on case */

    if (ly_str_eq(name, ly_str("email"))
        && ngx_loyalty_seal_blind(api, text, &api->blind) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ly_buf_init_arena(&b, api->arena, LY_SEAL_OVERHEAD + text.len);

    if (ly_field_seal(ngx_loyalty_crypto(), &api->data_key, &api->tenant->id,
                      &api->minted, name, text, &b) != LY_OK
        || ngx_loyalty_seal_base64(api->arena, &b, &text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ly_jw_str(w, text);

    return NGX_OK;
}


ngx_int_t
ngx_loyalty_seal_attributes(ngx_loyalty_api_t *api, const ly_uuid_t *event,
    const ly_json_node_t *node, ly_str_t *sealed, ly_str_t *wrapped)
{
    ly_jw_t    w;
    ly_buf_t   plain, b, k;
    ly_key_t   key;
    ngx_int_t  rc;

    rc = NGX_ERROR;

    ly_buf_init(&plain, NGX_LOYALTY_PARAM_MAX, NULL);
    ly_buf_init(&b, NGX_LOYALTY_PARAM_MAX, NULL);
    ly_buf_init_arena(&k, api->tree, 1024);

    ly_jw_init(&w, &plain);
    ly_jw_node(&w, node);

    if (ly_jw_done(&w) == LY_OK
        && ly_key_make(&key) == LY_OK
        && ly_data_key_wrap(ngx_loyalty_crypto(), &api->keys->key,
                            &api->tenant->id, event, &key, &k) == LY_OK
        && ly_field_seal(ngx_loyalty_crypto(), &key, &api->tenant->id, event,
                         ly_str("attributes"), ly_buf_view(&plain), &b)
        == LY_OK
        && ngx_loyalty_seal_base64(api->tree, &b, sealed) == NGX_OK
        && ngx_loyalty_seal_base64(api->tree, &k, wrapped) == NGX_OK)
    {
        rc = NGX_OK;
    }

    ly_key_wipe(&key);
    ly_buf_free_secret(&plain);
    ly_buf_free(&b);

    return rc;
}


ngx_int_t
ngx_loyalty_seal_blind(ngx_loyalty_api_t *api, ly_str_t email, ly_str_t *hex)
{
    size_t   len;
    u_char  *p, normal[LY_EMAIL_MAX], digest[LY_SHA256_LEN];

    p = ly_arena_bytes(api->arena, 2 * LY_SHA256_LEN + 1);

    if (p == NULL || ly_email_normalise(email, normal, &len) != LY_OK
        || ly_blind_index(&api->keys->macs, ly_str("email"),
                          ly_str_of(normal, len), digest) != LY_OK)
    {
        return NGX_ERROR;
    }

    hex->data = p;
    hex->len = ly_hex_encode(ly_str_of(digest, sizeof(digest)), p);
    p[hex->len] = '\0';

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_seal_base64(ly_arena_t *arena, ly_buf_t *b, ly_str_t *out)
{
    u_char    *p;
    ly_str_t   bytes;

    bytes = ly_buf_view(b);
    p = ly_arena_bytes(arena, ly_base64_len(bytes.len));

    if (p == NULL || ly_buf_err(b) != LY_OK) {
        return NGX_ERROR;
    }

    out->data = p;
    out->len = ly_base64_encode(bytes, p);

    return NGX_OK;
}


/*
 * Only texts with this request's nonce count, and nobody could know it when
 * they wrote theirs.
 */
ngx_int_t
ngx_loyalty_seal_splice(ngx_loyalty_api_t *api, ngx_str_t *body,
    ngx_str_t *out, ngx_str_t *next)
{
    u_char     *p, *mark, *end, *last;
    ly_buf_t    b;
    ly_str_t    text;
    ngx_int_t   rc;

    *out = *body;

    p = body->data;
    last = p + body->len;
    mark = ngx_loyalty_seal_find(api, p, last);

    if (mark == NULL) {
        return NGX_OK;
    }

    rc = ngx_loyalty_api_arena(api) == NGX_OK ? ngx_loyalty_keys_take(api)
                                              : NGX_ERROR;

    if (rc != NGX_OK) {
        return rc;
    }

    ly_buf_init(&b, NGX_LOYALTY_SPLICED, NULL);

    while (mark) {
        end = ngx_strlchr(mark + 1, last, '"');

        if (end == NULL) {
            rc = NGX_ERROR;
            break;
        }

        ly_buf_put(&b, p, (size_t) (mark - p));

        text = ly_str_of(mark + 1, (size_t) (end - mark - 1));

        rc = text.data[2] == 's'
             ? ngx_loyalty_seal_open(api, text, &b)
             : ngx_loyalty_seal_cursor(api, text, &b, next);

        if (rc != NGX_OK) {
            break;
        }

        p = end + 1;
        mark = ngx_loyalty_seal_find(api, p, last);
    }

    if (rc == NGX_OK) {
        ly_buf_put(&b, p, (size_t) (last - p));

        text = ly_buf_view(&b);
        out->len = text.len;
        out->data = ngx_pnalloc(api->request->pool, text.len);

        if (out->data && ly_buf_err(&b) == LY_OK) {
            ngx_memcpy(out->data, text.data, text.len);

        } else {
            rc = NGX_ERROR;
        }
    }

    ly_buf_free_secret(&b);

    return rc;
}


/* the quote in front of the next marker */
static u_char *
ngx_loyalty_seal_find(ngx_loyalty_api_t *api, u_char *p, u_char *last)
{
    u_char  *nonce;

    while (p < last) {
        nonce = memmem(p, (size_t) (last - p), api->nonce, NGX_LOYALTY_NONCE);

        if (nonce == NULL) {
            return NULL;
        }

        if (nonce - p >= NGX_LOYALTY_MARK
            && (ngx_memcmp(nonce - NGX_LOYALTY_MARK, "\"lys1.", 6) == 0
                || ngx_memcmp(nonce - NGX_LOYALTY_MARK, "\"lyc1.", 6) == 0))
        {
            return nonce - NGX_LOYALTY_MARK;
        }

        p = nonce + NGX_LOYALTY_NONCE;
    }

    return NULL;
}


/* lys1.nonce.object.field.wrapped.sealed */
static ngx_int_t
ngx_loyalty_seal_open(ngx_loyalty_api_t *api, ly_str_t mark, ly_buf_t *b)
{
    ly_jw_t    w;
    ly_err_t   err;
    ly_key_t   key;
    ly_buf_t   plain;
    ly_str_t   rest, object, field, wrapped, sealed;
    ly_uuid_t  id;
    ngx_int_t  rc;

    rest.data = mark.data + 5 + NGX_LOYALTY_NONCE + 1;
    rest.len = mark.len > 5 + NGX_LOYALTY_NONCE
               ? mark.len - 5 - NGX_LOYALTY_NONCE - 1 : 0;

    if (ngx_loyalty_seal_part(&rest, &object) != NGX_OK
        || ngx_loyalty_seal_part(&rest, &field) != NGX_OK
        || ngx_loyalty_seal_part(&rest, &wrapped) != NGX_OK
        || ly_uuid_parse(object, &id) != LY_OK
        || ngx_loyalty_seal_decode(api, wrapped, &wrapped) != NGX_OK
        || ngx_loyalty_seal_decode(api, rest, &sealed) != NGX_OK)
    {
        ngx_loyalty_metric(SEAL_ERRORS);
        ngx_log_error(NGX_LOG_ALERT, api->request->connection->log, 0,
                      "a sealed value in an answer of \"%V\" is not well "
                      "formed", &api->op->route.name);
        return NGX_ERROR;
    }

    ly_buf_init(&plain, NGX_LOYALTY_PARAM_MAX, NULL);

    err = ly_data_key_unwrap(ngx_loyalty_crypto(), &api->keys->key,
                             &api->tenant->id, &id, wrapped, &key);

    if (err == LY_OK) {
        err = ly_field_open(ngx_loyalty_crypto(), &key, &api->tenant->id, &id,
                            field, sealed, &plain);
        ly_key_wipe(&key);
    }

    rc = NGX_OK;

    if (err == LY_OK) {

        if (ly_str_eq(field, ly_str("attributes"))) {
            /* a JSON text of our own writer */
            ly_buf_str(b, ly_buf_view(&plain));

        } else {
            ly_jw_init(&w, b);
            ly_jw_text(&w, ly_buf_view(&plain));
        }

    } else {
        ngx_loyalty_metric(SEAL_ERRORS);
        ngx_log_error(NGX_LOG_ALERT, api->request->connection->log, 0,
                      "a sealed value of tenant \"%V\" cannot be opened: %s",
                      &api->tenant->slug, ly_err_name(err));

        rc = ngx_loyalty_api_fault(api, "key.unavailable", NULL);
    }

    ly_buf_free_secret(&plain);

    return rc;
}


static ngx_int_t
ngx_loyalty_seal_part(ly_str_t *rest, ly_str_t *part)
{
    size_t  i;

    for (i = 0; i < rest->len; i++) {
        if (rest->data[i] == '.') {
            part->data = rest->data;
            part->len = i;
            rest->data += i + 1;
            rest->len -= i + 1;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_loyalty_seal_decode(ngx_loyalty_api_t *api, ly_str_t text, ly_str_t *out)
{
    size_t   size;
    u_char  *p;

    size = ly_base64_decoded_max(text.len);
    p = ly_arena_bytes(api->arena, size);

    if (p == NULL || ly_base64_decode(text, p, size, &out->len) != LY_OK) {
        return NGX_ERROR;
    }

    out->data = p;

    return NGX_OK;
}


/* lyc1.nonce.base64url of the payload */
static ngx_int_t
ngx_loyalty_seal_cursor(ngx_loyalty_api_t *api, ly_str_t mark, ly_buf_t *b,
    ngx_str_t *next)
{
    size_t    skip;
    u_char    payload[LY_CURSOR_PAYLOAD];
    ly_buf_t  text;
    ly_str_t  bytes;

    skip = 5 + NGX_LOYALTY_NONCE + 1;

    if (mark.len <= skip
        || ly_base64url_decode(ly_str_of(mark.data + skip, mark.len - skip),
                               payload, sizeof(payload), &bytes.len) != LY_OK
        || ngx_loyalty_params_context(api) != NGX_OK)
    {
        return NGX_ERROR;
    }

    bytes.data = payload;

    ly_buf_init_arena(&text, api->arena, LY_CURSOR_TEXT);

    if (ly_cursor_make(api->keys->macs.cursor, api->cursor_context, bytes,
                       &text) != LY_OK)
    {
        return NGX_ERROR;
    }

    bytes = ly_buf_view(&text);

    ly_buf_byte(b, '"');
    ly_buf_str(b, bytes);
    ly_buf_byte(b, '"');

    if (next) {
        next->data = (u_char *) bytes.data;
        next->len = bytes.len;
    }

    return NGX_OK;
}
