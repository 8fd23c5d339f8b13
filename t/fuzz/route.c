/*
 * A path is an operation or is refused, whatever its bytes are.  What is
 * percent-encoded can be encoded whole and finds the same; a query changes
 * nothing; methods of a path are those of its Allow.
 */

#include "fuzz.h"
#include "lib/nginx.h"


static const ngx_uint_t  methods[] = {
    NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_HTTP_POST, NGX_HTTP_PUT, NGX_HTTP_PATCH,
    NGX_HTTP_DELETE, NGX_HTTP_OPTIONS, NGX_HTTP_TRACE
};


static void
same(ngx_loyalty_ctx_t *a, ngx_loyalty_ctx_t *b)
{
    ngx_uint_t  i;

    must(a->route == b->route);
    must(a->route_status == b->route_status);
    must(a->route_allow == b->route_allow);
    must(a->ncaptures == b->ncaptures);

    for (i = 0; i < a->ncaptures; i++) {
        must(ly_str_eq(ly_str_of(a->captures[i].data, a->captures[i].len),
                       ly_str_of(b->captures[i].data, b->captures[i].len)));
    }
}


/* segments that have an escape, every byte of them escaped */
static ngx_str_t
escape(ngx_http_request_t *r)
{
    u_char     *p, *end, *seg, *out, c;
    ngx_int_t   n;
    ngx_str_t   text;
    ngx_uint_t  any;

    p = r->unparsed_uri.data;
    end = p + r->unparsed_uri.len;
    text.data = ngx_pnalloc(r->pool, 3 * r->unparsed_uri.len + 8);
    out = text.data;

    while (p < end) {

        if (*p == '/') {
            *out++ = *p++;
            continue;
        }

        any = 0;

        for (seg = p; seg < end && *seg != '/' && *seg != '?'; seg++) {
            any |= *seg == '%';
        }

        if (*p == '?') {
            break;
        }

        while (p < seg) {
            c = *p;

            if (any && c == '%' && seg - p >= 3
                && (n = ngx_hextoi(p + 1, 2)) != NGX_ERROR)
            {
                c = (u_char) n;
                p += 2;

            } else if (any && c == '%') {
                /* no escape: stays one that is none */
                *out++ = *p++;
                continue;
            }

            p++;

            if (!any) {
                *out++ = c;
                continue;
            }

            *out++ = '%';
            *out++ = "0123456789abcdef"[c >> 4];
            *out++ = "0123456789ABCDEF"[c & 15];
        }
    }

    memcpy(out, "?a=/%2", 6);
    text.len = (size_t) (out - text.data) + 6;

    return text;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_uint_t           i, allow;
    ngx_loyalty_ctx_t    ctx, other;
    ngx_http_request_t  *r;

    /* nginx itself refuses a NUL */
    if (size < 1 || memchr(data + 1, 0, size - 1) != NULL) {
        return 0;
    }

    r = fuzz_request();
    r->method = methods[data[0] % 8];
    r->unparsed_uri.data = (u_char *) data + 1;
    r->unparsed_uri.len = size - 1;

    memset(&ctx, 0, sizeof(ctx));
    must(ngx_loyalty_route_resolve(r, &ctx) == NGX_OK);
    must(ctx.ncaptures <= NGX_LOYALTY_CAPTURES_MAX);
    must((ctx.route != NULL) == (ctx.route_status == NGX_HTTP_OK));

    for (i = 0; i < ctx.ncaptures; i++) {
        must(ctx.captures[i].len > 0);
        must(ly_utf8_valid(ly_str_of(ctx.captures[i].data,
                                     ctx.captures[i].len)));
    }

    allow = ctx.route_allow;

    for (i = 0; i < 8; i++) {
        r->method = methods[i];
        memset(&other, 0, sizeof(other));
        must(ngx_loyalty_route_resolve(r, &other) == NGX_OK);
        must(other.route_allow == allow);
        must((other.route != NULL) == ((allow & methods[i]) != 0));
    }

    r->method = methods[data[0] % 8];
    r->unparsed_uri = escape(r);
    memset(&other, 0, sizeof(other));
    must(ngx_loyalty_route_resolve(r, &other) == NGX_OK);
    same(&ctx, &other);

    fuzz_request_end(r);

    return 0;
}
