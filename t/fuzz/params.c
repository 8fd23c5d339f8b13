/*
 * Query and headers of any operation: read or refused with the problem and the
 * faults, which are JSON; what is read is what the contract allows.
 *
 * Input: a byte for the operation, the query, then lines "name: value".
 */

#include "fuzz.h"
#include "lib/nginx.h"

#include "ngx_loyalty_route.c"
#include "ngx_loyalty_params.c"


/* name and value of one line, at most LINES_MAX */
#define LINES_MAX  8

static size_t
headers(ngx_http_request_t *r, const uint8_t *p, const uint8_t *end,
    ngx_table_elt_t *h)
{
    size_t          n;
    const uint8_t  *line, *colon;

    for (n = 0; n < LINES_MAX && p < end; p = line + 1) {
        line = memchr(p, '\n', (size_t) (end - p));

        if (line == NULL) {
            line = end;
        }

        colon = memchr(p, ':', (size_t) (line - p));

        if (colon == NULL || colon == p) {
            continue;
        }

        h[n].key.data = (u_char *) p;
        h[n].key.len = (size_t) (colon - p);
        h[n].lowcase_key = ngx_pnalloc(r->pool, h[n].key.len);
        ngx_strlow(h[n].lowcase_key, h[n].key.data, h[n].key.len);

        /* nginx ends a value by a NUL */
        h[n].value.len = (size_t) (line - colon - 1);
        h[n].value.data = ngx_pnalloc(r->pool, h[n].value.len + 1);
        memcpy(h[n].value.data, colon + 1, h[n].value.len);
        h[n].value.data[h[n].value.len] = '\0';
        n++;
    }

    return n;
}


static void
refused(ngx_loyalty_api_t *api)
{
    ly_jw_t          w;
    ly_buf_t         b;
    ly_arena_t      *a;
    ly_json_node_t  *root;

    must(api->problem != NULL && api->problem[0] != '\0');

    if (api->faults.n == 0) {
        return;
    }

    a = ly_arena_create(16 << 20, NULL);
    ly_buf_init_arena(&b, a, 4 << 20);
    ly_jw_init(&w, &b);
    ngx_loyalty_faults_write(&api->faults, &w);
    must(ly_jw_done(&w) == LY_OK);
    must(ly_json_parse(a, ly_buf_view(&b), &ly_json_limits_default, &root,
                       NULL) == LY_OK);
    must(root->type == LY_JSON_ARRAY && root->count > 0);
    ly_arena_destroy(a);
}


static void
query(ngx_loyalty_api_t *api)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    for (i = 0; i < api->op->nquery; i++) {
        value = &api->query[i];

        if (value->data == NULL) {
            must(!api->op->query[i].required);
            continue;
        }

        must(value->data[value->len] == '\0');
        must(ly_utf8_valid(ly_str_of(value->data, value->len)));
        must(ngx_loyalty_schema_text(api->op->query[i].schema,
                                     ly_str_of(value->data, value->len))
             == NGX_OK);
    }

    must(ngx_loyalty_params_context(api) == NGX_OK);
    must(api->cursor_context.len > 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t            rc;
    ngx_table_elt_t      h[LINES_MAX];
    const uint8_t       *end;
    ngx_loyalty_api_t    api;
    ngx_loyalty_ctx_t    ctx;
    ngx_http_request_t  *r;

    /* nginx itself refuses a NUL */
    if (size < 1 || memchr(data + 1, 0, size - 1) != NULL) {
        return 0;
    }

    memset(&api, 0, sizeof(api));
    memset(&ctx, 0, sizeof(ctx));
    memset(h, 0, sizeof(h));

    r = fuzz_request();
    api.request = r;
    api.ctx = &ctx;
    api.op = ngx_loyalty_operations[data[0]
                                    % ly_countof(ngx_loyalty_operations)];

    end = memchr(data, '\n', size);

    if (end == NULL || end == data) {
        end = data + size;
    }

    r->args.data = (u_char *) data + 1;
    r->args.len = (size_t) (end - data) - 1;

    r->headers_in.headers.part.elts = h;

    if (end < data + size) {
        r->headers_in.headers.part.nelts = headers(r, end + 1, data + size, h);
    }

    rc = ngx_loyalty_params_headers(&api);
    must(rc == NGX_OK || rc == NGX_DECLINED);

    if (rc == NGX_DECLINED) {
        refused(&api);
    }

    must(api.wait <= NGX_LOYALTY_WAIT_MAX);
    must(api.if_match.len <= 255);
    must(api.traceparent.len == 0 || api.traceparent.len >= 55);
    must(rc != NGX_OK || api.key.len <= 255);

    api.problem = NULL;
    rc = ngx_loyalty_params_query(&api);
    must(rc == NGX_OK || rc == NGX_DECLINED);

    if (rc == NGX_DECLINED) {
        refused(&api);

    } else {
        query(&api);
    }

    if (api.arena != NULL) {
        ly_arena_destroy(api.arena);
    }

    fuzz_request_end(r);

    return 0;
}
