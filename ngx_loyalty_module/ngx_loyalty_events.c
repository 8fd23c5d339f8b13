/*
 * Events on their way in.  Each item is checked, gets the digest of what was
 * sent (its content, for ever), an id, and its free attributes sealed under a
 * key of its own.  An item that is refused stays in its place as a problem.
 */

#include "ngx_loyalty_api.h"
#include "ngx_loyalty_seal.h"
#include "ly_canon.h"
#include "ly_hex.h"


static ngx_int_t ngx_loyalty_events_batch(ngx_loyalty_api_t *api);
static void ngx_loyalty_events_slice(ngx_loyalty_api_t *api);
static ngx_int_t ngx_loyalty_events_next(ngx_loyalty_api_t *api);
static ngx_int_t ngx_loyalty_events_item(ngx_loyalty_api_t *api,
    const ngx_loyalty_schema_t *schema, const ly_json_node_t *node,
    ngx_loyalty_faults_t *faults);
static ngx_int_t ngx_loyalty_events_write(ngx_loyalty_api_t *api,
    const ngx_loyalty_schema_t *schema, const ly_json_node_t *node);
static const ly_json_node_t *ngx_loyalty_events_attributes(
    const ly_json_node_t *node, ngx_loyalty_faults_t *faults);


ngx_int_t
ngx_loyalty_events_begin(ngx_loyalty_api_t *api)
{
    ngx_int_t  rc;

    ly_buf_init(&api->param, NGX_LOYALTY_PARAM_MAX, NULL);
    ly_jw_init(&api->writer, &api->param);

    if (api->op->route.batch) {
        rc = ngx_loyalty_events_batch(api);

        if (rc != NGX_OK) {
            return rc;
        }

        ly_jw_object(&api->writer);
        ly_jw_k(&api->writer, "items");
        ly_jw_array(&api->writer);

        return ngx_loyalty_events_next(api);
    }

    api->faults.base = NULL;

    rc = ngx_loyalty_events_item(api, api->op->body, api->root, &api->faults);

    if (rc == NGX_DECLINED && api->faults.n) {
        return ngx_loyalty_api_fault(api,
                                     ngx_loyalty_faults_code(&api->faults),
                                     NULL);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    return ly_jw_done(&api->writer) == LY_OK ? NGX_OK : NGX_ERROR;
}


/* the envelope; its items are not looked at here */
static ngx_int_t
ngx_loyalty_events_batch(ngx_loyalty_api_t *api)
{
    const ly_json_node_t  *events, *child;

    if (api->root->type != LY_JSON_OBJECT) {
        ngx_loyalty_fault_node(&api->faults, api->root, ly_str(""),
                               "value.type",
                               ly_str("It must be an object."));
        return ngx_loyalty_api_fault(api, "value.type", NULL);
    }

    events = ly_json_member(api->root, ly_str("events"));

    for (child = api->root->first; child; child = child->next) {
        if (child != events) {
            ngx_loyalty_fault_node(&api->faults, child, ly_str(""),
                                   "member.unknown",
                                   ly_str("The contract does not know this "
                                          "member."));
        }
    }

    if (events == NULL) {
        ngx_loyalty_fault_node(&api->faults, api->root, ly_str("events"),
                               "value.required",
                               ly_str("This member is required."));

    } else if (events->type != LY_JSON_ARRAY) {
        ngx_loyalty_fault_node(&api->faults, events, ly_str(""), "value.type",
                               ly_str("It must be a list."));

    } else if (events->count == 0) {
        ngx_loyalty_fault_node(&api->faults, events, ly_str(""),
                               "value.too_short",
                               ly_str("It needs at least one item."));

    } else if (events->count > NGX_LOYALTY_BATCH_MAX) {
        ngx_loyalty_fault_node(&api->faults, events, ly_str(""),
                               "value.too_long",
                               ly_str("It can have at most 1,000 items."));
    }

    if (api->faults.n || events == NULL) {
        return ngx_loyalty_api_fault(api,
                                     ngx_loyalty_faults_code(&api->faults),
                                     NULL);
    }

    api->item = events->first;

    return NGX_OK;
}


static void
ngx_loyalty_events_slice(ngx_loyalty_api_t *api)
{
    ngx_int_t  rc;

    rc = ngx_loyalty_events_next(api);

    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc == NGX_OK) {
        ngx_loyalty_call(api);
        return;
    }

    ngx_loyalty_api_failed(api, rc);
}


static ngx_int_t
ngx_loyalty_events_next(ngx_loyalty_api_t *api)
{
    ngx_int_t                    rc;
    ly_str_t                     id;
    uint32_t                     start;
    ngx_loyalty_faults_t         faults;
    const ngx_loyalty_schema_t  *schema;

    schema = api->op->body->properties[0].schema->items;
    id = ly_str_of(api->ctx->request_id.data, api->ctx->request_id.len);
    start = api->item ? api->item->offset : 0;

    while (api->item) {

        if (api->item->offset - start > NGX_LOYALTY_BODY_SLICE) {
            ngx_loyalty_api_later(api, ngx_loyalty_events_slice);
            return NGX_AGAIN;
        }

        ngx_memzero(&faults, sizeof(faults));
        faults.arena = api->tree;
        faults.base = api->item;

        rc = ngx_loyalty_events_item(api, schema, api->item, &faults);

        if (rc == NGX_ERROR || (rc == NGX_DECLINED && api->problem)) {
            return rc;
        }

        if (rc == NGX_DECLINED) {
            ly_jw_object(&api->writer);
            ly_jw_kint(&api->writer, "status", NGX_LOYALTY_UNPROCESSABLE);
            ly_jw_k(&api->writer, "problem");
            ngx_loyalty_problem_write(&api->writer, NGX_LOYALTY_UNPROCESSABLE,
                                      ngx_loyalty_faults_code(&faults),
                                      ly_str(""), id, &faults);
            ly_jw_object_end(&api->writer);
        }

        api->item = api->item->next;
    }

    ly_jw_array_end(&api->writer);
    ly_jw_object_end(&api->writer);

    return ly_jw_done(&api->writer) == LY_OK ? NGX_OK : NGX_ERROR;
}


/* NGX_DECLINED: the faults say why, and nothing was written */
static ngx_int_t
ngx_loyalty_events_item(ngx_loyalty_api_t *api,
    const ngx_loyalty_schema_t *schema, const ly_json_node_t *node,
    ngx_loyalty_faults_t *faults)
{
    (void) ngx_loyalty_schema_check(schema, node, faults);

    if (node->type == LY_JSON_OBJECT) {
        (void) ngx_loyalty_events_attributes(node, faults);
    }

    if (faults->nomem) {
        return NGX_ERROR;
    }

    if (faults->n) {
        return NGX_DECLINED;
    }

    return ngx_loyalty_events_write(api, schema, node);
}


static const ly_json_node_t *
ngx_loyalty_events_attributes(const ly_json_node_t *node,
    ngx_loyalty_faults_t *faults)
{
    uint32_t               end;
    const ly_json_node_t  *attributes, *last;

    attributes = ly_json_member_of(node, ly_str("attributes"),
                                   LY_JSON_OBJECT);

    if (attributes == NULL || attributes->count == 0) {
        return NULL;
    }

    /* bytes of its text, as it was sent, up to its last value */

    for (last = attributes->first; last->next; last = last->next) { }

    while (last->first) {
        for (last = last->first; last->next; last = last->next) { }
    }

    end = last->offset;

    if (faults && end - attributes->offset > NGX_LOYALTY_ATTRIBUTES) {
        ngx_loyalty_fault_node(faults, attributes, ly_str(""),
                               "value.too_long",
                               ly_str("It can have at most 16,384 bytes."));
    }

    return attributes;
}


static ngx_int_t
ngx_loyalty_events_write(ngx_loyalty_api_t *api,
    const ngx_loyalty_schema_t *schema, const ly_json_node_t *node)
{
    u_char                 mac[LY_SHA256_LEN], text[LY_UUID_TEXT];
    ly_jw_t               *w;
    ly_buf_t               canon;
    ly_err_t               err;
    ly_str_t               sealed, wrapped;
    ly_uuid_t              id;
    ngx_time_t            *tp;
    const ly_json_node_t  *attributes;

    tp = ngx_timeofday();

    if (ly_uuid7_new((uint64_t) tp->sec * 1000 + tp->msec, &id) != LY_OK) {
        return NGX_ERROR;
    }

    ly_buf_init(&canon, NGX_LOYALTY_PARAM_MAX, NULL);

    err = ly_canon_print(node, api->tree, &canon);

    if (err == LY_OK) {
        err = ly_hmac(api->keys->macs.content, ly_buf_view(&canon), mac);
    }

    ly_buf_free_secret(&canon);

    if (err != LY_OK) {
        return NGX_ERROR;
    }

    attributes = ngx_loyalty_events_attributes(node, NULL);

    if (attributes
        && ngx_loyalty_seal_attributes(api, &id, attributes, &sealed, &wrapped)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    w = &api->writer;

    ly_uuid_print(&id, text);

    ly_jw_object(w);
    ly_jw_kstr(w, "id", ly_str_of(text, sizeof(text)));
    ly_jw_k(w, "mac");
    ly_jw_hex(w, ly_str_of(mac, sizeof(mac)));
    ly_jw_k(w, "event");

    if (ngx_loyalty_schema_write(schema, node, w, NULL, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    if (attributes) {
        ly_jw_kstr(w, "sealed", sealed);
        ly_jw_kstr(w, "wrapped_key", wrapped);

    } else {
        ly_jw_knull(w, "sealed");
    }

    ly_jw_object_end(w);

    return NGX_OK;
}
