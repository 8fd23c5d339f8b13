
#include "ngx_loyalty_answer.h"
#include "ngx_loyalty_api.h"

#include "ngx_loyalty_errors.inc"


#define NGX_LOYALTY_PROBLEM_MAX  262144

#if (NGX_HTTP_SSL)
#define ngx_loyalty_answer_secure(r)  ((r)->connection->ssl != NULL)
#else
#define ngx_loyalty_answer_secure(r)  0
#endif


static ngx_int_t ngx_loyalty_answer_any(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, u_char *body, size_t len);
static ngx_int_t ngx_loyalty_answer_headers(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx);
static ngx_int_t ngx_loyalty_answer_cors(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx, ngx_uint_t preflight);
static ngx_str_t *ngx_loyalty_answer_origin(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx);
static ngx_int_t ngx_loyalty_answer_methods(ngx_http_request_t *r,
    uint32_t allow, ngx_str_t *text);


static ngx_str_t  ngx_loyalty_json_type =
    ngx_string("application/json");
static ngx_str_t  ngx_loyalty_problem_type =
    ngx_string("application/problem+json");
static ngx_str_t  ngx_loyalty_transport =
    ngx_string("max-age=31536000; includeSubDomains");
static ngx_str_t  ngx_loyalty_vary_origin = ngx_string("Origin");
static ngx_str_t  ngx_loyalty_allow_headers =
    ngx_string("Authorization, Content-Type, Idempotency-Key, If-Match, "
               "If-None-Match, Loyalty-Version, Prefer, X-Request-Id, "
               "traceparent");
static ngx_str_t  ngx_loyalty_expose_headers =
    ngx_string("ETag, Idempotent-Replayed, Link, Location, Loyalty-Version, "
               "RateLimit, RateLimit-Policy, Retry-After, X-Request-Id");
static ngx_str_t  ngx_loyalty_max_age = ngx_string("600");
static ngx_str_t  ngx_loyalty_version = ngx_string(NGX_LOYALTY_API_VERSION);


/* what every answer has beside its request id */
static struct {
    const char  *name;
    ngx_str_t    value;
} ngx_loyalty_fixed[] = {
    { "Loyalty-Version", ngx_string(NGX_LOYALTY_API_VERSION) },
    { "Cache-Control", ngx_string("no-store") },
    { "X-Content-Type-Options", ngx_string("nosniff") },
    { "Content-Security-Policy",
      ngx_string("default-src 'none'; frame-ancestors 'none'") },
    { "Referrer-Policy", ngx_string("no-referrer") }
};


ngx_str_t *
ngx_loyalty_answer_version(void)
{
    return &ngx_loyalty_version;
}


const ngx_loyalty_error_t *
ngx_loyalty_error(const char *code, size_t len)
{
    int         rc;
    ly_str_t    want;
    ngx_uint_t  low, high, mid;

    want = ly_str_of(code, len);
    low = 0;
    high = sizeof(ngx_loyalty_errors) / sizeof(ngx_loyalty_errors[0]);

    while (low < high) {
        mid = (low + high) / 2;
        rc = ly_str_cmp(ngx_loyalty_errors[mid].code, want);

        if (rc == 0) {
            return &ngx_loyalty_errors[mid];
        }

        if (rc < 0) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    return NULL;
}


ngx_int_t
ngx_loyalty_answer_send(ngx_http_request_t *r, ngx_uint_t status, u_char *body,
    size_t len)
{
    return ngx_loyalty_answer_any(r, status, &ngx_loyalty_json_type, body,
                                  len);
}


ngx_int_t
ngx_loyalty_answer_problem_body(ngx_http_request_t *r, ngx_uint_t status,
    u_char *body, size_t len)
{
    return ngx_loyalty_answer_any(r, status, &ngx_loyalty_problem_type, body,
                                  len);
}


static ngx_int_t
ngx_loyalty_answer_any(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, u_char *body, size_t len)
{
    ngx_buf_t          *b;
    ngx_int_t           rc;
    ngx_chain_t         out;
    ngx_loyalty_ctx_t  *ctx;

    ctx = ngx_loyalty_ctx(r);

    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = status;
    r->headers_out.status_line.len = 0;

    if (status == NGX_LOYALTY_UNPROCESSABLE) {
        ngx_str_set(&r->headers_out.status_line, "422 Unprocessable Content");

    } else if (status == NGX_LOYALTY_PRECONDITION_REQUIRED) {
        ngx_str_set(&r->headers_out.status_line, "428 Precondition Required");
    }

    /*
     * If-Match names what a request means to change: nginx would compare it
     * with the ETag of the answer.
     */
    r->disable_not_modified = 1;
    r->allow_ranges = 0;

    if (ngx_loyalty_answer_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (status == NGX_HTTP_NO_CONTENT || status == NGX_HTTP_NOT_MODIFIED) {
        r->header_only = 1;
        ngx_http_clear_content_length(r);
        return ngx_http_send_header(r);
    }

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_length_n = (off_t) len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body;
    b->last = body + len;
    b->memory = len ? 1 : 0;
    b->sync = len ? 0 : 1;
    b->last_buf = r == r->main ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_loyalty_answer_headers(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx)
{
    ngx_uint_t  i;

    if (ngx_loyalty_header(r, "X-Request-Id", &ctx->request_id) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < ly_countof(ngx_loyalty_fixed); i++) {
        if (ngx_loyalty_header(r, ngx_loyalty_fixed[i].name,
                               &ngx_loyalty_fixed[i].value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_loyalty_answer_secure(r)
        && ngx_loyalty_header(r, "Strict-Transport-Security",
                              &ngx_loyalty_transport) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->tenant && ctx->tenant->norigins
        && ngx_loyalty_answer_cors(r, ctx, 0) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_loyalty_limit_headers(r, ctx);
}


static ngx_int_t
ngx_loyalty_answer_cors(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx,
    ngx_uint_t preflight)
{
    ngx_int_t   rc;
    ngx_str_t  *origin, methods;

    rc = NGX_OK;

    if (!preflight) {
        rc = ngx_loyalty_header(r, "Vary", &ngx_loyalty_vary_origin);
    }

    origin = ngx_loyalty_answer_origin(r, ctx);

    if (origin == NULL || rc != NGX_OK) {
        return rc;
    }

    if (!preflight) {
        rc = ngx_loyalty_header(r, "Access-Control-Allow-Origin", origin);

        if (rc != NGX_OK) {
            return rc;
        }

        return ngx_loyalty_header(r, "Access-Control-Expose-Headers",
                                  &ngx_loyalty_expose_headers);
    }

    rc = ngx_loyalty_answer_methods(r, ctx->route_allow, &methods);

    if (rc == NGX_OK) {
        rc = ngx_loyalty_header(r, "Access-Control-Allow-Methods", &methods);
    }

    if (rc == NGX_OK) {
        rc = ngx_loyalty_header(r, "Access-Control-Allow-Headers",
                                &ngx_loyalty_allow_headers);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_loyalty_header(r, "Access-Control-Max-Age",
                              &ngx_loyalty_max_age);
}


/* the request's origin if it is one of the tenant's */
static ngx_str_t *
ngx_loyalty_answer_origin(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx)
{
    ngx_str_t        *origin;
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    h = ngx_loyalty_answer_header_in(r, "origin", sizeof("origin") - 1);

    if (h == NULL || ctx->tenant == NULL) {
        return NULL;
    }

    for (i = 0; i < ctx->tenant->norigins; i++) {
        origin = &ctx->tenant->origins[i];

        if (origin->len == h->value.len
            && ngx_memcmp(origin->data, h->value.data, origin->len) == 0)
        {
            return &h->value;
        }
    }

    return NULL;
}


ngx_table_elt_t *
ngx_loyalty_answer_header_in(ngx_http_request_t *r, const char *name,
    size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && ngx_memcmp(h[i].lowcase_key, name, len) == 0)
        {
            return &h[i];
        }
    }
}


static ngx_int_t
ngx_loyalty_answer_methods(ngx_http_request_t *r, uint32_t allow,
    ngx_str_t *text)
{
    u_char      *p;
    ngx_uint_t   i;

    static const struct {
        uint32_t     bit;
        const char  *name;
    } methods[] = {
        { NGX_HTTP_GET, "GET" },
        { NGX_HTTP_HEAD, "HEAD" },
        { NGX_HTTP_POST, "POST" },
        { NGX_HTTP_PUT, "PUT" },
        { NGX_HTTP_PATCH, "PATCH" },
        { NGX_HTTP_DELETE, "DELETE" }
    };

    text->data = ngx_pnalloc(r->pool, 64);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    p = text->data;

    for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (allow & methods[i].bit) {
            p = ngx_slprintf(p, text->data + 64, "%s, ", methods[i].name);
        }
    }

    p = ngx_slprintf(p, text->data + 64, "OPTIONS");

    text->len = (size_t) (p - text->data);

    return NGX_OK;
}


ngx_int_t
ngx_loyalty_answer_no_route(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx)
{
    ngx_str_t  allow;

    if (ctx->route_allow == 0) {
        return ngx_loyalty_answer_problem(r, "not_found", NULL);
    }

    if (ngx_loyalty_answer_methods(r, ctx->route_allow, &allow) != NGX_OK
        || ngx_loyalty_header(r, "Allow", &allow) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method != NGX_HTTP_OPTIONS) {
        return ngx_loyalty_answer_problem(r, "method.not_allowed", NULL);
    }

    if (ngx_loyalty_answer_header_in(r, "access-control-request-method", 29)
        && ngx_loyalty_answer_cors(r, ctx, 1) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_loyalty_answer_send(r, NGX_HTTP_NO_CONTENT, NULL, 0);
}


ngx_int_t
ngx_loyalty_answer_problem(ngx_http_request_t *r, const char *code,
    ngx_str_t *detail)
{
    return ngx_loyalty_answer_refuse(r, 0, code, detail, NULL, 0);
}


ngx_int_t
ngx_loyalty_answer_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, ngx_str_t *detail, const ngx_loyalty_faults_t *faults,
    ngx_uint_t retry)
{
    u_char                     *p;
    ly_jw_t                     w;
    ly_buf_t                    b;
    ly_str_t                    text;
    ngx_str_t                   value;
    ngx_loyalty_ctx_t          *ctx;
    const ngx_loyalty_error_t  *error;

    ctx = ngx_loyalty_ctx(r);
    error = ngx_loyalty_error(code, ngx_strlen(code));

    if (ctx == NULL || error == NULL) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "loyalty: no error is called \"%s\"", code);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (status == 0) {
        status = error->status;
    }

    ctx->code.data = (u_char *) error->code.data;
    ctx->code.len = error->code.len;

    if (retry == 0 && status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        retry = 1;
    }

    ly_buf_init(&b, NGX_LOYALTY_PROBLEM_MAX, NULL);
    ly_jw_init(&w, &b);

    ngx_loyalty_problem_write(&w, status, code,
                              detail ? ly_str_of(detail->data, detail->len)
                                     : ly_str(""),
                              ly_str_of(ctx->request_id.data,
                                        ctx->request_id.len),
                              faults);

    if (ly_jw_done(&w) != LY_OK) {
        ly_buf_free(&b);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text = ly_buf_view(&b);
    p = ngx_pnalloc(r->pool, text.len + NGX_INT_T_LEN);

    if (p == NULL) {
        ly_buf_free(&b);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(p, text.data, text.len);
    ly_buf_free(&b);

    if (retry) {
        value.data = p + text.len;
        value.len = (size_t) (ngx_sprintf(value.data, "%ui", retry)
                              - value.data);

        if (ngx_loyalty_header(r, "Retry-After", &value) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_loyalty_answer_problem_body(r, status, p, text.len);
}


void
ngx_loyalty_problem_write(ly_jw_t *w, ngx_uint_t status, const char *code,
    ly_str_t detail, ly_str_t request_id, const ngx_loyalty_faults_t *faults)
{
    u_char                      mem[128];
    ly_buf_t                    b;
    const ngx_loyalty_error_t  *error;

    error = ngx_loyalty_error(code, ngx_strlen(code));

    ly_buf_init_fixed(&b, mem, sizeof(mem));
    ly_buf_cstr(&b, "urn:loyalty:problem:");
    ly_buf_cstr(&b, code);

    ly_jw_object(w);
    ly_jw_kstr(w, "type", ly_buf_view(&b));
    ly_jw_kstr(w, "title", error ? error->title : ly_str_c(code));
    ly_jw_kint(w, "status", (int64_t) status);

    if (detail.len) {
        ly_jw_k(w, "detail");
        ly_jw_text(w, detail);
    }

    ly_jw_k(w, "instance");
    ly_jw_text(w, request_id);
    ly_jw_kcstr(w, "code", code);

    if (faults && faults->n) {
        ly_jw_k(w, "errors");
        ngx_loyalty_faults_write(faults, w);
    }

    ly_jw_object_end(w);
}


ngx_uint_t
ngx_loyalty_answer_match(ngx_str_t *list, ngx_str_t *etag)
{
    u_char  *p, *last, *start;

    p = list->data;
    last = p + list->len;

    while (p < last) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        if (p < last && *p == '*') {
            return 1;
        }

        /* weak or strong: a read compares weakly */

        if (last - p > 2 && p[0] == 'W' && p[1] == '/') {
            p += 2;
        }

        start = p;

        if (p < last && *p == '"') {
            p++;

            while (p < last && *p != '"') {
                p++;
            }

            if (p < last) {
                p++;
            }

        } else {
            while (p < last && *p != ',') {
                p++;
            }
        }

        if ((size_t) (p - start) == etag->len && etag->len
            && ngx_memcmp(start, etag->data, etag->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
