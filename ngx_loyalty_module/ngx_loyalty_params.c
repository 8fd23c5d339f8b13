/*
 * Headers, path, query and cursor of a request.
 */

#include "ngx_loyalty_api.h"
#include "ngx_loyalty_seal.h"
#include "ly_cursor.h"


static ngx_int_t ngx_loyalty_params_headers(ngx_loyalty_api_t *api);
static ngx_int_t ngx_loyalty_params_header(ngx_loyalty_api_t *api,
    ngx_table_elt_t *h);
static ngx_int_t ngx_loyalty_params_version(ngx_loyalty_api_t *api,
    ngx_str_t *value);
static ngx_int_t ngx_loyalty_params_key(ngx_loyalty_api_t *api,
    ngx_str_t *value);
static void ngx_loyalty_params_prefer(ngx_loyalty_api_t *api,
    ngx_str_t *value);
static ngx_uint_t ngx_loyalty_params_traceparent(ngx_str_t *value);
static ngx_int_t ngx_loyalty_params_path(ngx_loyalty_api_t *api);
static ngx_int_t ngx_loyalty_params_query(ngx_loyalty_api_t *api);
static ngx_int_t ngx_loyalty_params_argument(ngx_loyalty_api_t *api,
    ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_loyalty_params_decode(ngx_loyalty_api_t *api, u_char *p,
    u_char *end, ngx_str_t *out);
static ngx_int_t ngx_loyalty_params_cursor(ngx_loyalty_api_t *api);


ngx_int_t
ngx_loyalty_params_read(ngx_loyalty_api_t *api)
{
    ngx_int_t  rc;

    rc = ngx_loyalty_params_headers(api);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_loyalty_params_path(api);

    if (rc != NGX_OK) {
        return rc;
    }

    if (api->op->nquery || api->op->cursor || api->request->args.len) {
        rc = ngx_loyalty_params_query(api);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (api->op->cursor) {
        return ngx_loyalty_params_cursor(api);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_params_headers(ngx_loyalty_api_t *api)
{
    ngx_int_t                       rc;
    ngx_uint_t                      i;
    ngx_list_part_t                *part;
    ngx_table_elt_t                *h;
    const ngx_loyalty_operation_t  *op;

    op = api->op;
    part = &api->request->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        rc = ngx_loyalty_params_header(api, &h[i]);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (op->key == NGX_LOYALTY_KEY_REQUIRED && api->key.len == 0) {
        return ngx_loyalty_api_fault(api, "idempotency.required", NULL);
    }

    if (op->match == NGX_LOYALTY_MATCH_REQUIRED && api->if_match.len == 0) {
        return ngx_loyalty_api_fault(api, "precondition.required", NULL);
    }

    if (op->match == NGX_LOYALTY_MATCH_EITHER) {

        if (api->if_match.len == 0 && api->if_none_match.len == 0) {
            return ngx_loyalty_api_fault(api, "precondition.required", NULL);
        }

        if (api->if_none_match.len
            && (api->if_none_match.len != 1
                || api->if_none_match.data[0] != '*'))
        {
            return ngx_loyalty_api_fault(api, "header.invalid",
                                         "If-None-Match can only be *.");
        }
    }

    return NGX_OK;
}


/* told apart by the length first: most headers are not ours */
static ngx_int_t
ngx_loyalty_params_header(ngx_loyalty_api_t *api, ngx_table_elt_t *h)
{
    switch (h->key.len) {

    case sizeof("prefer") - 1:

        if (api->op->prefer
            && ngx_memcmp(h->lowcase_key, "prefer", 6) == 0)
        {
            ngx_loyalty_params_prefer(api, &h->value);
        }

        break;

    case sizeof("if-match") - 1:

        if (ngx_memcmp(h->lowcase_key, "if-match", 8) == 0) {

            if (h->value.len > 255) {
                return ngx_loyalty_api_fault(api, "header.invalid",
                                             "If-Match is too long.");
            }

            api->if_match = h->value;
        }

        break;

    case sizeof("traceparent") - 1:

        if (ngx_memcmp(h->lowcase_key, "traceparent", 11) == 0
            && ngx_loyalty_params_traceparent(&h->value))
        {
            api->traceparent = h->value;
        }

        break;

    case sizeof("if-none-match") - 1:

        if (ngx_memcmp(h->lowcase_key, "if-none-match", 13) == 0) {
            api->if_none_match = h->value;
        }

        break;

    case sizeof("loyalty-version") - 1:         /* and idempotency-key */

        if (ngx_memcmp(h->lowcase_key, "loyalty-version", 15) == 0) {
            return ngx_loyalty_params_version(api, &h->value);
        }

        if (api->op->key != NGX_LOYALTY_KEY_NONE
            && ngx_memcmp(h->lowcase_key, "idempotency-key", 15) == 0)
        {
            return ngx_loyalty_params_key(api, &h->value);
        }

        break;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_params_version(ngx_loyalty_api_t *api, ngx_str_t *value)
{
    ngx_str_t  *version;

    version = ngx_loyalty_answer_version();

    if (value->len == version->len
        && ngx_memcmp(value->data, version->data, version->len) == 0)
    {
        return NGX_OK;
    }

    return ngx_loyalty_api_fault(api, "version.unknown", NULL);
}


/* bare, or a quoted string of RFC 8941 with its escapes */
static ngx_int_t
ngx_loyalty_params_key(ngx_loyalty_api_t *api, ngx_str_t *value)
{
    size_t      i;
    u_char     *p, c;
    ngx_uint_t  quoted;

    if (api->key.len) {
        return ngx_loyalty_api_fault(api, "idempotency.invalid",
                                     "It stands twice.");
    }

    p = ngx_pnalloc(api->request->pool, value->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    api->key.data = p;
    quoted = value->len >= 2 && value->data[0] == '"'
             && value->data[value->len - 1] == '"';

    for (i = quoted; i < value->len - quoted; i++) {
        c = value->data[i];

        if (c < 0x20 || c > 0x7e) {
            return ngx_loyalty_api_fault(api, "idempotency.invalid", NULL);
        }

        if (quoted && c == '"') {
            return ngx_loyalty_api_fault(api, "idempotency.invalid", NULL);
        }

        if (quoted && c == '\\') {
            if (++i >= value->len - 1
                || (value->data[i] != '"' && value->data[i] != '\\'))
            {
                return ngx_loyalty_api_fault(api, "idempotency.invalid",
                                             NULL);
            }

            c = value->data[i];
        }

        *p++ = c;
    }

    api->key.len = (size_t) (p - api->key.data);

    if (api->key.len == 0 || api->key.len > 255) {
        return ngx_loyalty_api_fault(api, "idempotency.invalid", NULL);
    }

    return NGX_OK;
}


/*
 * RFC 7240: preferences parted by commas; of ours only wait=N, what cannot be
 * read is left alone.
 */
static void
ngx_loyalty_params_prefer(ngx_loyalty_api_t *api, ngx_str_t *value)
{
    u_char     *p, *last;
    ngx_uint_t  n, digits, quoted;

    p = value->data;
    last = p + value->len;

    while (p < last) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        if (last - p > 5 && ngx_strncasecmp(p, (u_char *) "wait", 4) == 0) {
            p += 4;

            while (p < last && (*p == ' ' || *p == '\t')) {
                p++;
            }

            if (p < last && *p == '=') {
                p++;

                while (p < last && (*p == ' ' || *p == '\t')) {
                    p++;
                }

                quoted = p < last && *p == '"';
                p += quoted;
                n = 0;

                for (digits = 0; p < last && *p >= '0' && *p <= '9'; p++) {
                    if (n < 1000) {
                        n = n * 10 + (*p - '0');
                    }

                    digits++;
                }

                if (digits) {
                    api->wait = ngx_min(n, NGX_LOYALTY_WAIT_MAX);
                }
            }
        }

        while (p < last && *p != ',') {
            p++;
        }
    }
}


/* version 00 of W3C Trace Context; what is not well formed is left alone */
static ngx_uint_t
ngx_loyalty_params_traceparent(ngx_str_t *value)
{
    u_char      c;
    ngx_uint_t  i, trace, span;

    if (value->len < 55 || (value->len > 55 && value->data[55] != '-')) {
        return 0;
    }

    trace = 0;
    span = 0;

    for (i = 0; i < 55; i++) {
        c = value->data[i];

        if (i == 2 || i == 35 || i == 52) {
            if (c != '-') {
                return 0;
            }

            continue;
        }

        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return 0;
        }

        if (i > 2 && i < 35) {
            trace |= c - '0';

        } else if (i > 35 && i < 52) {
            span |= c - '0';
        }
    }

    if (value->data[0] == 'f' && value->data[1] == 'f') {
        return 0;
    }

    if (value->data[0] == '0' && value->data[1] == '0' && value->len != 55) {
        return 0;
    }

    return trace != 0 && span != 0;
}


static ngx_int_t
ngx_loyalty_params_path(ngx_loyalty_api_t *api)
{
    ngx_str_t   *capture;
    ngx_uint_t   i;

    for (i = 0; i < api->op->npath; i++) {
        capture = &api->ctx->captures[i];

        if (ngx_loyalty_schema_text(api->op->path[i].schema,
                                    ly_str_of(capture->data, capture->len))
            != NGX_OK)
        {
            /* what is no id names nothing */
            return ngx_loyalty_api_fault(api, api->op->path[i].missing, NULL);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_params_query(ngx_loyalty_api_t *api)
{
    u_char                     *p, *last, *end, *eq;
    ngx_int_t                   rc;
    ngx_str_t                   name, value;
    ngx_uint_t                  i;
    const char                 *code;
    const ngx_loyalty_query_t  *query;

    if (ngx_loyalty_api_arena(api) != NGX_OK) {
        return NGX_ERROR;
    }

    p = api->request->args.data;
    last = p + api->request->args.len;

    while (p < last) {
        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        if (end == p) {
            p++;
            continue;
        }

        eq = ngx_strlchr(p, end, '=');

        if (eq == NULL) {
            eq = end;
        }

        if (ngx_loyalty_params_decode(api, p, eq, &name) != NGX_OK
            || ngx_loyalty_params_decode(api, eq < end ? eq + 1 : end, end,
                                         &value) != NGX_OK)
        {
            return ngx_loyalty_api_fault(api, "query.invalid",
                                         "It is not percent-encoded UTF-8.");
        }

        rc = ngx_loyalty_params_argument(api, &name, &value);

        if (rc != NGX_OK) {
            return rc;
        }

        p = end + 1;
    }

    for (i = 0; i < api->op->nquery; i++) {
        query = &api->op->query[i];

        if (api->query[i].data) {
            continue;
        }

        if (query->preset) {
            api->query[i].data = (u_char *) query->preset;
            api->query[i].len = ngx_strlen(query->preset);

        } else if (query->required) {
            ngx_loyalty_fault_parameter(&api->faults, query->name,
                                        "query.required",
                                        ly_str("This parameter is "
                                               "required."));
        }
    }

    if (api->faults.n == 0) {
        return NGX_OK;
    }

    code = ngx_loyalty_faults_code(&api->faults);

    if (ngx_strcmp(code, "value.invalid") == 0) {
        code = "query.invalid";         /* several kinds at once */
    }

    return ngx_loyalty_api_fault(api, code, NULL);
}


static ngx_int_t
ngx_loyalty_params_argument(ngx_loyalty_api_t *api, ngx_str_t *name,
    ngx_str_t *value)
{
    ly_str_t                    text;
    ngx_str_t                  *slot;
    ngx_uint_t                  i;
    const ngx_loyalty_query_t  *query;

    text = ly_str_of(name->data, name->len);
    slot = NULL;
    query = NULL;

    if (api->op->cursor && ly_str_eq(text, ly_str("cursor"))) {
        slot = &api->cursor;
    }

    for (i = 0; i < api->op->nquery; i++) {
        if (ly_str_eq(api->op->query[i].name, text)) {
            slot = &api->query[i];
            query = &api->op->query[i];
        }
    }

    if (slot == NULL) {
        ngx_loyalty_fault_parameter(&api->faults, text, "query.unknown",
                                    ly_str("This operation does not know "
                                           "this parameter."));
        return NGX_OK;
    }

    if (slot->data) {
        ngx_loyalty_fault_parameter(&api->faults, text, "query.duplicate",
                                    ly_str("It stands twice."));
        return NGX_OK;
    }

    *slot = *value;

    if (query && ngx_loyalty_schema_text(query->schema,
                                         ly_str_of(value->data, value->len))
        != NGX_OK)
    {
        ngx_loyalty_fault_parameter(&api->faults, text, "query.invalid",
                                    ly_str("Its value is not as the contract "
                                           "says."));
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_params_decode(ngx_loyalty_api_t *api, u_char *p, u_char *end,
    ngx_str_t *out)
{
    u_char     *d;
    ngx_int_t   c;

    out->data = ngx_pnalloc(api->request->pool, (size_t) (end - p) + 1);
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    d = out->data;

    while (p < end) {

        if (*p == '+') {
            *d++ = ' ';
            p++;
            continue;
        }

        if (*p != '%') {
            *d++ = *p++;
            continue;
        }

        c = end - p < 3 ? NGX_ERROR : ngx_hextoi(p + 1, 2);

        if (c == NGX_ERROR || c == 0) {
            return NGX_DECLINED;
        }

        *d++ = (u_char) c;
        p += 3;
    }

    *d = '\0';
    out->len = (size_t) (d - out->data);

    return ly_utf8_valid(ly_str_of(out->data, out->len)) ? NGX_OK
                                                         : NGX_DECLINED;
}


/* a changed cursor and a foreign one are answered alike */
static ngx_int_t
ngx_loyalty_params_cursor(ngx_loyalty_api_t *api)
{
    size_t     len;
    u_char    *payload;
    ngx_int_t  rc;

    if (api->cursor.data == NULL) {
        return NGX_OK;
    }

    rc = ngx_loyalty_keys_take(api);

    if (rc != NGX_OK) {
        return rc;
    }

    payload = ly_arena_bytes(api->arena, LY_CURSOR_PAYLOAD);

    if (payload == NULL || ngx_loyalty_params_context(api) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ly_cursor_open(api->keys->macs.cursor, api->cursor_context,
                       ly_str_of(api->cursor.data, api->cursor.len), payload,
                       &len) != LY_OK)
    {
        return ngx_loyalty_api_fault(api, "cursor.invalid", NULL);
    }

    api->cursor_payload = ly_str_of(payload, len);

    return NGX_OK;
}


/*
 * What a cursor is bound to beside its tenant: the operation, the path, and
 * every filter but the length of a page.
 */
ngx_int_t
ngx_loyalty_params_context(ngx_loyalty_api_t *api)
{
    ly_buf_t    b;
    ngx_uint_t  i;

    ly_buf_init_arena(&b, api->arena, 65536);
    ly_buf_put(&b, api->op->route.name.data, api->op->route.name.len + 1);

    for (i = 0; i < api->op->npath; i++) {
        ly_buf_be32(&b, (uint32_t) api->ctx->captures[i].len);
        ly_buf_put(&b, api->ctx->captures[i].data, api->ctx->captures[i].len);
    }

    for (i = 0; i < api->op->nquery; i++) {

        if (ly_str_eq(api->op->query[i].name, ly_str("limit"))) {
            continue;
        }

        ly_buf_byte(&b, api->query[i].data ? 1 : 0);
        ly_buf_be32(&b, (uint32_t) api->query[i].len);
        ly_buf_put(&b, api->query[i].data, api->query[i].len);
    }

    api->cursor_context = ly_buf_view(&b);

    return ly_buf_err(&b) == LY_OK ? NGX_OK : NGX_ERROR;
}
