/*
 * The few functions of nginx that the module's parsers call: its sources come
 * in no package, only its headers.  Every allocation of a pool stands alone,
 * so that a byte too far is seen.
 */

#include "fuzz.h"
#include "nginx.h"


extern ngx_module_t  ngx_loyalty_module;

static ngx_log_t        fuzz_log;
static ngx_time_t       fuzz_time;

volatile ngx_cycle_t   *ngx_cycle;
volatile ngx_time_t    *ngx_cached_time = &fuzz_time;
volatile ngx_msec_t     ngx_current_msec;
ngx_pid_t               ngx_pid = 1;
ngx_module_t            ngx_http_module;


ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    ngx_pool_t  *pool;

    pool = calloc(1, sizeof(ngx_pool_t));
    must(pool != NULL);
    pool->log = log;

    return pool;
}


void
ngx_destroy_pool(ngx_pool_t *pool)
{
    ngx_pool_large_t  *l, *next;

    for (l = pool->large; l != NULL; l = next) {
        next = l->next;
        free(l->alloc);
        free(l);
    }

    free(pool);
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    ngx_pool_large_t  *l;

    l = malloc(sizeof(ngx_pool_large_t));
    must(l != NULL);
    l->alloc = malloc(size);
    must(l->alloc != NULL);
    l->next = pool->large;
    pool->large = l;

    return l->alloc;
}


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    return ngx_pnalloc(pool, size);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_pnalloc(pool, size);
    memset(p, 0, size);

    return p;
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size);
}


void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    return calloc(1, size);
}


/* one process: nothing to share, nobody to wait for */

void *
ngx_slab_alloc(ngx_slab_pool_t *pool, size_t size)
{
    return malloc(size);
}


void *
ngx_slab_alloc_locked(ngx_slab_pool_t *pool, size_t size)
{
    return malloc(size);
}


void *
ngx_slab_calloc(ngx_slab_pool_t *pool, size_t size)
{
    return calloc(1, size);
}


void *
ngx_slab_calloc_locked(ngx_slab_pool_t *pool, size_t size)
{
    return calloc(1, size);
}


void
ngx_slab_free(ngx_slab_pool_t *pool, void *p)
{
    free(p);
}


void
ngx_slab_free_locked(ngx_slab_pool_t *pool, void *p)
{
    free(p);
}


void
ngx_shmtx_lock(ngx_shmtx_t *mtx)
{
}


void
ngx_shmtx_unlock(ngx_shmtx_t *mtx)
{
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    /* an alert is a broken promise of ours, whatever the bytes were */
    must(level > NGX_LOG_ALERT);
}


ngx_int_t
ngx_hextoi(u_char *line, size_t n)
{
    u_char     c, ch;
    ngx_int_t  value;

    if (n == 0) {
        return NGX_ERROR;
    }

    for (value = 0; n--; line++) {
        ch = *line;

        if (ch >= '0' && ch <= '9') {
            value = value * 16 + (ch - '0');
            continue;
        }

        c = (u_char) (ch | 0x20);

        if (c < 'a' || c > 'f') {
            return NGX_ERROR;
        }

        value = value * 16 + (c - 'a' + 10);
    }

    return value;
}


ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    ngx_uint_t  c1, c2;

    while (n--) {
        c1 = ngx_tolower(*s1);
        c2 = ngx_tolower(*s2);

        if (c1 != c2 || c1 == '\0') {
            return (ngx_int_t) c1 - (ngx_int_t) c2;
        }

        s1++;
        s2++;
    }

    return 0;
}


void
ngx_strlow(u_char *dst, u_char *src, size_t n)
{
    while (n--) {
        *dst++ = ngx_tolower(*src);
        src++;
    }
}


ngx_uint_t
ngx_hash_key(u_char *data, size_t len)
{
    ngx_uint_t  i, key;

    key = 0;

    for (i = 0; i < len; i++) {
        key = ngx_hash(key, data[i]);
    }

    return key;
}


ngx_http_request_t *
fuzz_request(void)
{
    ngx_pool_t          *pool;
    ngx_http_request_t  *r;

    pool = ngx_create_pool(1, &fuzz_log);
    r = ngx_pcalloc(pool, sizeof(ngx_http_request_t));
    r->pool = pool;
    r->main = r;

    r->connection = ngx_pcalloc(pool, sizeof(ngx_connection_t));
    r->connection->log = &fuzz_log;

    return r;
}


void
fuzz_request_end(ngx_http_request_t *r)
{
    ngx_destroy_pool(r->pool);
}


ngx_loyalty_main_conf_t *
fuzz_cycle(void)
{
    static void                    *mains[1], *contexts[1];
    static ngx_cycle_t              cycle;
    static ngx_http_conf_ctx_t      http;
    static ngx_loyalty_main_conf_t  lmcf;

    if (ngx_cycle == NULL) {
        fuzz_time.sec = 1767225600;             /* 2026-01-01 */

        mains[0] = &lmcf;
        http.main_conf = mains;
        contexts[0] = &http;

        ngx_http_module.index = 0;
        ngx_loyalty_module.ctx_index = 0;

        cycle.log = &fuzz_log;
        cycle.pool = ngx_create_pool(1, &fuzz_log);
        cycle.conf_ctx = (void ****) contexts;
        ngx_cycle = &cycle;
    }

    return &lmcf;
}
