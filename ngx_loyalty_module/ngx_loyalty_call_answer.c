/*
 * A reply of SQL as the answer of the request: headers, markers, the link to
 * the next page.
 */

#include "ngx_loyalty_api.h"
#include "ngx_loyalty_seal.h"


static ngx_int_t ngx_loyalty_call_headers(ngx_loyalty_api_t *api,
    ngx_str_t *lines, ngx_str_t *etag);
static ngx_int_t ngx_loyalty_call_link(ngx_loyalty_api_t *api,
    ngx_str_t *next);
static void ngx_loyalty_call_code(ngx_loyalty_api_t *api, ngx_str_t *body);


void
ngx_loyalty_call_answer(ngx_loyalty_api_t *api, ngx_loyalty_reply_t *reply)
{
    ngx_int_t            rc;
    ngx_str_t            body, etag, next;
    ngx_http_request_t  *r;

    r = api->request;

    if (api->op->balances && reply->status == NGX_HTTP_OK
        && ngx_loyalty_balances_answer(api, &rc) == NGX_OK)
    {
        ngx_loyalty_api_done(api, rc);
        return;
    }

    ngx_str_null(&etag);
    ngx_str_null(&next);
    body = reply->body;

    if (api->op->seal || api->op->cursor || api->op->events) {
        rc = ngx_loyalty_seal_splice(api, &reply->body, &body, &next);

        if (rc != NGX_OK) {
            ngx_loyalty_api_failed(api, rc);
            return;
        }
    }

    if (ngx_loyalty_call_headers(api, &reply->headers, &etag) != NGX_OK
        || (next.len && ngx_loyalty_call_link(api, &next) != NGX_OK))
    {
        ngx_loyalty_api_done(api, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (reply->status >= 400) {
        ngx_loyalty_call_code(api, &body);
        rc = ngx_loyalty_answer_problem_body(r, reply->status, body.data,
                                             body.len);

    } else if (api->op->method == NGX_HTTP_GET && etag.len
               && reply->status == NGX_HTTP_OK && api->if_none_match.len
               && ngx_loyalty_answer_match(&api->if_none_match, &etag))
    {
        rc = ngx_loyalty_answer_send(r, NGX_HTTP_NOT_MODIFIED, NULL, 0);

    } else {
        rc = ngx_loyalty_answer_send(r, reply->status, body.data, body.len);
    }

    ngx_loyalty_api_done(api, rc);
}


/* lines "Name: value\n" of our own functions */
static ngx_int_t
ngx_loyalty_call_headers(ngx_loyalty_api_t *api, ngx_str_t *lines,
    ngx_str_t *etag)
{
    u_char     *p, *last, *end, *colon;
    ngx_str_t   value;

    p = lines->data;
    last = p + lines->len;

    while (p < last) {
        end = ngx_strlchr(p, last, '\n');

        if (end == NULL) {
            end = last;
        }

        colon = ngx_strlchr(p, end, ':');

        if (colon == NULL || colon == p) {
            p = end + 1;
            continue;
        }

        *colon = '\0';

        value.data = colon + 1;

        while (value.data < end && *value.data == ' ') {
            value.data++;
        }

        value.len = (size_t) (end - value.data);

        if (ngx_strcmp(p, "ETag") == 0) {
            *etag = value;
        }

        if (ngx_loyalty_header(api->request, (const char *) p, &value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        p = end + 1;
    }

    return NGX_OK;
}


/* the same request with another cursor */
static ngx_int_t
ngx_loyalty_call_link(ngx_loyalty_api_t *api, ngx_str_t *next)
{
    u_char              *p, *arg, *last, *end;
    size_t               path;
    ngx_str_t            value, *uri;
    ngx_http_request_t  *r;

    r = api->request;
    uri = &r->unparsed_uri;

    p = ngx_strlchr(uri->data, uri->data + uri->len, '?');
    path = p ? (size_t) (p - uri->data) : uri->len;

    value.data = ngx_pnalloc(r->pool, uri->len + next->len + 64);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    p = value.data;
    *p++ = '<';
    p = ngx_cpymem(p, uri->data, path);
    *p++ = '?';

    arg = r->args.data;
    last = arg + r->args.len;

    while (arg < last) {
        end = ngx_strlchr(arg, last, '&');

        if (end == NULL) {
            end = last;
        }

        if (end > arg && (end - arg < 7
                          || ngx_strncmp(arg, "cursor=", 7) != 0))
        {
            p = ngx_cpymem(p, arg, (size_t) (end - arg));
            *p++ = '&';
        }

        arg = end + 1;
    }

    p = ngx_cpymem(p, "cursor=", 7);
    p = ngx_cpymem(p, next->data, next->len);
    p = ngx_cpymem(p, ">; rel=\"next\"", sizeof(">; rel=\"next\"") - 1);

    value.len = (size_t) (p - value.data);

    return ngx_loyalty_header(r, "Link", &value);
}


/* for the log and the metrics */
static void
ngx_loyalty_call_code(ngx_loyalty_api_t *api, ngx_str_t *body)
{
    ly_json_node_t             *root;
    const ly_json_node_t       *node;
    const ngx_loyalty_error_t  *error;

    if (ly_json_parse(api->arena, ly_str_of(body->data, body->len), NULL,
                      &root, NULL) != LY_OK)
    {
        return;
    }

    node = ly_json_member_of(root, ly_str("code"), LY_JSON_STRING);
    error = node ? ngx_loyalty_error((const char *) node->text.data,
                                     node->text.len) : NULL;

    if (error == NULL) {
        ngx_log_error(NGX_LOG_ALERT, api->request->connection->log, 0,
                      "\"%V\" gave a problem whose code is not in the list",
                      &api->op->route.name);
        return;
    }

    api->ctx->code.data = (u_char *) error->code.data;
    api->ctx->code.len = error->code.len;
}
