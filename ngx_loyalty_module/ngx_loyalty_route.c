/*
 * Path to operation.  The unparsed URI is matched: nginx would merge "//" and
 * decode "%2F", and ids of shops hold both.
 */

#include "ngx_loyalty_route.h"

#include "ngx_loyalty_schemas.inc"
#include "ngx_loyalty_routes.inc"


static const ngx_loyalty_node_t *ngx_loyalty_route_walk(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx, u_char *p, u_char *end, ngx_int_t *rc);
static ngx_int_t ngx_loyalty_route_capture(ngx_http_request_t *r,
    ngx_str_t *out, u_char *p, u_char *end);
static ngx_uint_t ngx_loyalty_route_slot(ngx_uint_t method);

/* ngx_strlchr() goes byte by byte */
#define ngx_loyalty_route_chr(p, last, c)                                     \
    ((u_char *) memchr(p, c, (size_t) ((last) - (p))))


ngx_int_t
ngx_loyalty_route_resolve(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx)
{
    u_char                         *p, *last, *end;
    ngx_int_t                       rc;
    ngx_uint_t                      slot;
    const ngx_loyalty_node_t       *node;
    const ngx_loyalty_operation_t  *op;

    ctx->route = NULL;
    ctx->ncaptures = 0;
    ctx->route_allow = 0;
    ctx->route_status = NGX_HTTP_NOT_FOUND;

    p = r->unparsed_uri.data;
    last = p + r->unparsed_uri.len;

    if (p == last || *p != '/') {
        return NGX_OK;
    }

    end = ngx_loyalty_route_chr(p, last, '?');

    if (end == NULL) {
        end = last;
    }

    rc = NGX_OK;
    node = ngx_loyalty_route_walk(r, ctx, p + 1, end, &rc);

    if (node == NULL || node->allow == 0) {
        ctx->ncaptures = 0;
        return rc;
    }

    ctx->route_allow = node->allow;

    if (node->allow & NGX_HTTP_GET) {
        ctx->route_allow |= NGX_HTTP_HEAD;
    }

    slot = ngx_loyalty_route_slot(r->method);
    op = slot < 5 ? node->operations[slot] : NULL;

    if (op == NULL) {
        ctx->route_status = NGX_HTTP_NOT_ALLOWED;
        return NGX_OK;
    }

    ctx->route = &op->route;
    ctx->route_status = NGX_HTTP_OK;

    return NGX_OK;
}


static const ngx_loyalty_node_t *
ngx_loyalty_route_walk(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx,
    u_char *p, u_char *end, ngx_int_t *rc)
{
    size_t                     len;
    u_char                    *slash;
    ngx_uint_t                 i;
    const ngx_loyalty_node_t  *node, *next;

    node = ngx_loyalty_tree;

    for ( ;; ) {
        slash = ngx_loyalty_route_chr(p, end, '/');

        if (slash == NULL) {
            slash = end;
        }

        len = (size_t) (slash - p);
        next = NULL;

        for (i = 0; i < node->nchildren; i++) {
            if (node->children[i]->literal.len == len
                && ngx_memcmp(node->children[i]->literal.data, p, len) == 0)
            {
                next = node->children[i];
                break;
            }
        }

        if (next == NULL) {
            next = node->capture;

            if (next == NULL || len == 0
                || ctx->ncaptures == NGX_LOYALTY_CAPTURES_MAX)
            {
                return NULL;
            }

            *rc = ngx_loyalty_route_capture(r, &ctx->captures[ctx->ncaptures],
                                            p, slash);

            if (*rc != NGX_OK) {
                /* not to be decoded names nothing */
                *rc = *rc == NGX_DECLINED ? NGX_OK : *rc;
                return NULL;
            }

            ctx->ncaptures++;
        }

        if (slash == end) {
            return next;
        }

        node = next;
        p = slash + 1;
    }
}


/* points into the URI unless something is to be decoded */
static ngx_int_t
ngx_loyalty_route_capture(ngx_http_request_t *r, ngx_str_t *out, u_char *p,
    u_char *end)
{
    u_char     *d;
    ngx_int_t   c;

    out->data = p;
    out->len = (size_t) (end - p);

    if (ngx_loyalty_route_chr(p, end, '%') == NULL) {
        return ly_utf8_valid(ly_str_of(out->data, out->len)) ? NGX_OK
                                                             : NGX_DECLINED;
    }

    d = ngx_pnalloc(r->pool, out->len);
    if (d == NULL) {
        return NGX_ERROR;
    }

    out->data = d;

    while (p < end) {

        if (*p != '%') {
            *d++ = *p++;
            continue;
        }

        if (end - p < 3) {
            return NGX_DECLINED;
        }

        c = ngx_hextoi(p + 1, 2);

        if (c == NGX_ERROR || c == 0) {
            return NGX_DECLINED;
        }

        *d++ = (u_char) c;
        p += 3;
    }

    out->len = (size_t) (d - out->data);

    return ly_utf8_valid(ly_str_of(out->data, out->len)) ? NGX_OK
                                                         : NGX_DECLINED;
}


static ngx_uint_t
ngx_loyalty_route_slot(ngx_uint_t method)
{
    switch (method) {

    case NGX_HTTP_GET:
    case NGX_HTTP_HEAD:
        return 0;

    case NGX_HTTP_POST:
        return 1;

    case NGX_HTTP_PUT:
        return 2;

    case NGX_HTTP_PATCH:
        return 3;

    case NGX_HTTP_DELETE:
        return 4;

    default:
        return 5;
    }
}


const ngx_loyalty_operation_t *
ngx_loyalty_operation(ngx_loyalty_ctx_t *ctx)
{
    return (const ngx_loyalty_operation_t *) ctx->route;
}


ngx_str_t *
ngx_loyalty_route_name(ngx_uint_t n)
{
    if (n >= sizeof(ngx_loyalty_operations) / sizeof(void *)) {
        return NULL;
    }

    return (ngx_str_t *) &ngx_loyalty_operations[n]->route.name;
}
