/*
 * /metrics in Prometheus' text format, /healthz and /readyz; and the counting
 * of requests in the log phase.
 */

#include "ngx_loyalty.h"
#include "ngx_loyalty_directory.h"
#include "ngx_loyalty_local.h"
#include "ngx_loyalty_zone.h"


typedef struct {
    ngx_uint_t  health;         /* NGX_LOYALTY_HEALTH_… */
} ngx_loyalty_metrics_loc_conf_t;

#define NGX_LOYALTY_HEALTH_LIVE   1
#define NGX_LOYALTY_HEALTH_READY  2

#define NGX_LOYALTY_G_FIRST  NGX_LOYALTY_M_G_WAITERS


static ngx_int_t ngx_loyalty_metrics_handler(ngx_http_request_t *r);
static ngx_int_t ngx_loyalty_health_handler(ngx_http_request_t *r);
static ngx_int_t ngx_loyalty_metrics_log(ngx_http_request_t *r);
static ngx_int_t ngx_loyalty_metrics_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_buf_t *b, const char *type);
static size_t ngx_loyalty_metrics_size(ngx_loyalty_zone_t *zone);
static u_char *ngx_loyalty_metrics_counters(u_char *p, u_char *last,
    ngx_loyalty_zone_t *zone);
static ngx_atomic_int_t ngx_loyalty_metrics_gauge(ngx_loyalty_zone_t *zone,
    ngx_uint_t pool, ngx_uint_t i);
static u_char *ngx_loyalty_metrics_pools(u_char *p, u_char *last,
    ngx_loyalty_zone_t *zone);
static u_char *ngx_loyalty_metrics_requests(u_char *p, u_char *last,
    ngx_loyalty_zone_t *zone);
static u_char *ngx_loyalty_metrics_histogram(u_char *p, u_char *last,
    const char *name, const char *help, ngx_atomic_t *buckets,
    ngx_atomic_uint_t sum);
static u_char *ngx_loyalty_metrics_state(u_char *p, u_char *last,
    ngx_loyalty_zone_t *zone);
static void *ngx_loyalty_metrics_create_loc_conf(ngx_conf_t *cf);
static char *ngx_loyalty_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_loyalty_health(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_loyalty_metrics_needs(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_handler_pt handler);
static ngx_int_t ngx_loyalty_metrics_init(ngx_conf_t *cf);


/* upper bounds in ms; the last bucket has none */
static const ngx_msec_t  ngx_loyalty_latencies[NGX_LOYALTY_LATENCIES] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 30000
};

#define NGX_LOYALTY_METRIC_ROW(id, name, kind, help)  { name, kind, help },
static const struct {
    const char  *name;
    const char  *kind;
    const char  *help;
} ngx_loyalty_metric_rows[] = {
    NGX_LOYALTY_METRICS(NGX_LOYALTY_METRIC_ROW)
};
#undef NGX_LOYALTY_METRIC_ROW


#define NGX_LOYALTY_METRIC_POOL(id, name, kind, help)                         \
    { "database_" name, kind, help },
static const struct {
    const char  *name;
    const char  *kind;
    const char  *help;
} ngx_loyalty_metric_pools[] = {
    NGX_LOYALTY_PG_STATS(NGX_LOYALTY_METRIC_POOL)
};
#undef NGX_LOYALTY_METRIC_POOL

static const char *const  ngx_loyalty_pool_names[NGX_LOYALTY_POOL_COUNT] = {
    "read", "write", "directory"
};


static ngx_command_t  ngx_loyalty_metrics_commands[] = {

    { ngx_string("loyalty_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_loyalty_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("loyalty_health"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_loyalty_health,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    ngx_null_command
};


static ngx_http_module_t  ngx_loyalty_metrics_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_loyalty_metrics_init,              /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_loyalty_metrics_create_loc_conf,   /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_loyalty_metrics_module = {
    NGX_MODULE_V1,
    &ngx_loyalty_metrics_module_ctx,       /* module context */
    ngx_loyalty_metrics_commands,          /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


void
ngx_loyalty_metric_add(ngx_loyalty_metric_e metric, ngx_atomic_int_t n)
{
    ngx_loyalty_zone_t       *zone;
    ngx_loyalty_local_t      *local;
    ngx_loyalty_main_conf_t  *lmcf;

    lmcf = ngx_loyalty_main_conf();

    if (lmcf == NULL) {
        return;
    }

    if (metric >= NGX_LOYALTY_G_FIRST) {

        local = lmcf->local;

        if (local && local->process) {
            (void) ngx_atomic_fetch_add(
                &local->process->gauges[metric - NGX_LOYALTY_G_FIRST],
                n);
        }

        return;
    }

    zone = lmcf->zone ? lmcf->zone->data : NULL;

    if (zone) {
        (void) ngx_atomic_fetch_add(&zone->metrics[metric], n);
    }
}


/* every request to a location of ours, once, whatever ended it */

static ngx_int_t
ngx_loyalty_metrics_log(ngx_http_request_t *r)
{
    ngx_uint_t           i, class, route;
    ngx_time_t          *tp;
    ngx_msec_int_t       ms;
    ngx_loyalty_ctx_t   *ctx;
    ngx_loyalty_zone_t  *zone;

    ctx = ngx_loyalty_ctx_find(r);

    if (ctx == NULL || ctx->counted) {
        return NGX_OK;
    }

    zone = ngx_loyalty_zone();

    if (zone == NULL) {
        return NGX_OK;
    }

    ctx->counted = 1;

    route = ctx->route ? ctx->route->index : NGX_LOYALTY_ROUTES_MAX;
    class = r->err_status ? r->err_status : r->headers_out.status;

    if (class == NGX_HTTP_INTERNAL_SERVER_ERROR) {
        ngx_loyalty_metric(BUGS);
    }

    class = class >= 100 && class < 600 ? class / 100 : 0;

    (void) ngx_atomic_fetch_add(&zone->requests[route][class], 1);

    tp = ngx_timeofday();
    ms = (ngx_msec_int_t) ((tp->sec - r->start_sec) * 1000
                           + (tp->msec - r->start_msec));
    ms = ngx_max(ms, 0);

    for (i = 0; i < NGX_LOYALTY_LATENCIES; i++) {
        if ((ngx_msec_t) ms <= ngx_loyalty_latencies[i]) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&zone->latency[i], 1);

    if (ms) {
        (void) ngx_atomic_fetch_add(&zone->latency_sum, ms);
    }

    if (ctx->db) {
        for (i = 0; i < NGX_LOYALTY_LATENCIES; i++) {
            if (ctx->db_ms <= ngx_loyalty_latencies[i]) {
                break;
            }
        }

        (void) ngx_atomic_fetch_add(&zone->latency_db[i], 1);
        (void) ngx_atomic_fetch_add(&zone->latency_db_sum, ctx->db_ms);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_metrics_handler(ngx_http_request_t *r)
{
    u_char              *last;
    ngx_buf_t           *b;
    ngx_int_t            rc;
    ngx_loyalty_zone_t  *zone;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    zone = ngx_loyalty_zone();

    b = ngx_create_temp_buf(r->pool, ngx_loyalty_metrics_size(zone));
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = b->end;

    b->last = ngx_loyalty_metrics_counters(b->last, last, zone);
    b->last = ngx_loyalty_metrics_pools(b->last, last, zone);
    b->last = ngx_loyalty_metrics_requests(b->last, last, zone);
    b->last = ngx_loyalty_metrics_histogram(b->last, last, "request",
                                            "Time of requests.",
                                            zone->latency, zone->latency_sum);
    b->last = ngx_loyalty_metrics_histogram(b->last, last, "database",
                                            "Time waited for the database.",
                                            zone->latency_db,
                                            zone->latency_db_sum);
    b->last = ngx_loyalty_metrics_state(b->last, last, zone);

    return ngx_loyalty_metrics_send(r, NGX_HTTP_OK, b,
                                    "text/plain; version=0.0.4");
}


static ngx_int_t
ngx_loyalty_metrics_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_buf_t *b, const char *type)
{
    ngx_int_t    rc;
    ngx_chain_t  out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = b->last - b->pos;
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;
    b->memory = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static size_t
ngx_loyalty_metrics_size(ngx_loyalty_zone_t *zone)
{
    size_t      size;
    ngx_uint_t  i;

    size = 8192;

    for (i = 0; i < NGX_LOYALTY_METRIC_COUNT; i++) {
        size += 64 + 3 * ngx_strlen(ngx_loyalty_metric_rows[i].name)
                + ngx_strlen(ngx_loyalty_metric_rows[i].help)
                + NGX_ATOMIC_T_LEN;
    }

    size += NGX_LOYALTY_PG_STAT_COUNT * (256 + NGX_LOYALTY_POOL_COUNT * 128);

    return size + (NGX_LOYALTY_ROUTES_MAX + 1) * 6 * 160;
}


static u_char *
ngx_loyalty_metrics_counters(u_char *p, u_char *last, ngx_loyalty_zone_t *zone)
{
    ngx_uint_t           i, n;
    ngx_atomic_int_t     v;

    for (i = 0; i < NGX_LOYALTY_METRIC_COUNT; i++) {

        v = (ngx_atomic_int_t) zone->metrics[i];

        if (i >= NGX_LOYALTY_G_FIRST) {
            v = 0;

            for (n = 0; n < NGX_LOYALTY_PROCESSES; n++) {
                if (zone->processes[n].pid) {
                    v += (ngx_atomic_int_t)
                         zone->processes[n].gauges[i - NGX_LOYALTY_G_FIRST];
                }
            }
        }

        p = ngx_slprintf(p, last,
                         "# HELP loyalty_%s %s\n"
                         "# TYPE loyalty_%s %s\n"
                         "loyalty_%s %L\n",
                         ngx_loyalty_metric_rows[i].name,
                         ngx_loyalty_metric_rows[i].help,
                         ngx_loyalty_metric_rows[i].name,
                         ngx_loyalty_metric_rows[i].kind,
                         ngx_loyalty_metric_rows[i].name, (int64_t) v);
    }

    return p;
}


static ngx_atomic_int_t
ngx_loyalty_metrics_gauge(ngx_loyalty_zone_t *zone, ngx_uint_t pool,
    ngx_uint_t i)
{
    ngx_uint_t        n;
    ngx_atomic_int_t  v;

    i -= NGX_LOYALTY_PG_FIRST_GAUGE;
    v = 0;

    for (n = 0; n < NGX_LOYALTY_PROCESSES; n++) {
        if (zone->processes[n].pid) {
            v += (ngx_atomic_int_t) zone->processes[n].pools[pool][i];
        }
    }

    return v;
}


static u_char *
ngx_loyalty_metrics_pools(u_char *p, u_char *last, ngx_loyalty_zone_t *zone)
{
    ngx_uint_t        i, pool;
    ngx_atomic_int_t  v;

    for (i = 0; i < NGX_LOYALTY_PG_STAT_COUNT; i++) {

        p = ngx_slprintf(p, last,
                         "# HELP loyalty_%s %s\n"
                         "# TYPE loyalty_%s %s\n",
                         ngx_loyalty_metric_pools[i].name,
                         ngx_loyalty_metric_pools[i].help,
                         ngx_loyalty_metric_pools[i].name,
                         ngx_loyalty_metric_pools[i].kind);

        for (pool = 0; pool < NGX_LOYALTY_POOL_COUNT; pool++) {

            v = i < NGX_LOYALTY_PG_FIRST_GAUGE
                ? (ngx_atomic_int_t) zone->pools[pool][i]
                : ngx_loyalty_metrics_gauge(zone, pool, i);

            p = ngx_slprintf(p, last, "loyalty_%s{pool=\"%s\"} %L\n",
                             ngx_loyalty_metric_pools[i].name,
                             ngx_loyalty_pool_names[pool], (int64_t) v);
        }
    }

    return p;
}


static u_char *
ngx_loyalty_metrics_requests(u_char *p, u_char *last, ngx_loyalty_zone_t *zone)
{
    ngx_str_t   *name;
    ngx_uint_t   i, class;

    static ngx_str_t  none = ngx_string("none");

    p = ngx_slprintf(p, last,
                     "# HELP loyalty_requests_total Requests by operation and "
                     "class of status.\n"
                     "# TYPE loyalty_requests_total counter\n");

    for (i = 0; i <= NGX_LOYALTY_ROUTES_MAX; i++) {

        name = i == NGX_LOYALTY_ROUTES_MAX ? &none : ngx_loyalty_route_name(i);

        if (name == NULL) {
            continue;
        }

        for (class = 0; class < 6; class++) {
            if (zone->requests[i][class] == 0) {
                continue;
            }

            p = ngx_slprintf(p, last,
                             "loyalty_requests_total{route=\"%V\","
                             "status=\"%uixx\"} %uA\n",
                             name, class, zone->requests[i][class]);
        }
    }

    return p;
}


static u_char *
ngx_loyalty_metrics_histogram(u_char *p, u_char *last, const char *name,
    const char *help, ngx_atomic_t *buckets, ngx_atomic_uint_t sum)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    p = ngx_slprintf(p, last,
                     "# HELP loyalty_%s_duration_seconds %s\n"
                     "# TYPE loyalty_%s_duration_seconds histogram\n",
                     name, help, name);

    for (i = 0; i < NGX_LOYALTY_LATENCIES; i++) {
        n += buckets[i];
        p = ngx_slprintf(p, last, "loyalty_%s_duration_seconds_bucket"
                         "{le=\"%M.%03M\"} %uL\n",
                         name, ngx_loyalty_latencies[i] / 1000,
                         ngx_loyalty_latencies[i] % 1000, n);
    }

    n += buckets[i];

    return ngx_slprintf(p, last,
                        "loyalty_%s_duration_seconds_bucket{le=\"+Inf\"} "
                        "%uL\n"
                        "loyalty_%s_duration_seconds_sum %uA.%03uA\n"
                        "loyalty_%s_duration_seconds_count %uL\n",
                        name, n, name, sum / 1000, sum % 1000, name, n);
}


static u_char *
ngx_loyalty_metrics_state(u_char *p, u_char *last, ngx_loyalty_zone_t *zone)
{
    uint64_t    age;
    ngx_uint_t  i;

    static const struct {
        const char  *name;
        ngx_uint_t   table;
    } tables[] = {
        { "tenant", NGX_LOYALTY_T_TENANT },
        { "host", NGX_LOYALTY_T_NAME },
        { "plan", NGX_LOYALTY_T_PLAN },
        { "wallet", NGX_LOYALTY_T_WALLET },
        { "api_key", NGX_LOYALTY_T_KEY },
        { "signing_key", NGX_LOYALTY_T_SIGNING },
        { "revocation", NGX_LOYALTY_T_REVOCATION }
    };

    age = zone->fed ? ngx_loyalty_now_ms() - zone->fed : 0;

    p = ngx_slprintf(p, last,
                     "# HELP loyalty_feed_age_seconds Since the last good "
                     "read of the change feed.\n"
                     "# TYPE loyalty_feed_age_seconds gauge\n"
                     "loyalty_feed_age_seconds %uL.%03uL\n"
                     "# HELP loyalty_directory_complete 1 once the directory "
                     "was read.\n"
                     "# TYPE loyalty_directory_complete gauge\n"
                     "loyalty_directory_complete %uA\n"
                     "# HELP loyalty_directory_records Records of the "
                     "directory.\n"
                     "# TYPE loyalty_directory_records gauge\n",
                     age / 1000, age % 1000, zone->complete);

    for (i = 0; i < ly_countof(tables); i++) {
        p = ngx_slprintf(p, last,
                         "loyalty_directory_records{kind=\"%s\"} %uA\n",
                         tables[i].name, zone->tables[tables[i].table].count);
    }

    return ngx_slprintf(p, last,
                        "# HELP loyalty_cache_slots Balances that the zone "
                        "has room for.\n"
                        "# TYPE loyalty_cache_slots gauge\n"
                        "loyalty_cache_slots %uL\n"
                        "# HELP loyalty_cache_slot_bytes Shared memory of a "
                        "balance and its alias.\n"
                        "# TYPE loyalty_cache_slot_bytes gauge\n"
                        "loyalty_cache_slot_bytes %uz\n",
                        zone->csets * NGX_LOYALTY_WAYS,
                        sizeof(ngx_loyalty_cslot_t)
                        + sizeof(ngx_loyalty_aslot_t));
}


static ngx_int_t
ngx_loyalty_health_handler(ngx_http_request_t *r)
{
    ngx_buf_t                       *b;
    ngx_int_t                        rc;
    ngx_str_t                       *text;
    ngx_uint_t                       status;
    ngx_loyalty_zone_t              *zone;
    ngx_loyalty_metrics_loc_conf_t  *mlcf;

    static ngx_str_t  ok = ngx_string("ok\n");
    static ngx_str_t  starting = ngx_string("starting\n");
    static ngx_str_t  stale = ngx_string("the change feed is old\n");

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    mlcf = ngx_http_get_module_loc_conf(r, ngx_loyalty_metrics_module);
    zone = ngx_loyalty_zone();

    status = NGX_HTTP_OK;
    text = &ok;

    if (mlcf->health == NGX_LOYALTY_HEALTH_READY) {

        if (!ngx_loyalty_directory_complete(zone)) {
            status = NGX_HTTP_SERVICE_UNAVAILABLE;
            text = &starting;

        } else if (!ngx_loyalty_directory_fresh(zone)) {
            status = NGX_HTTP_SERVICE_UNAVAILABLE;
            text = &stale;
        }
    }

    b = ngx_create_temp_buf(r->pool, text->len);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_cpymem(b->last, text->data, text->len);

    return ngx_loyalty_metrics_send(r, status, b, "text/plain");
}


static void *
ngx_loyalty_metrics_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_loyalty_metrics_loc_conf_t));
}


static char *
ngx_loyalty_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_loyalty_metrics_needs(cf, cmd, ngx_loyalty_metrics_handler);
}


static char *
ngx_loyalty_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_loyalty_metrics_loc_conf_t *mlcf = conf;

    ngx_str_t  *value;

    if (mlcf->health) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "live") == 0) {
        mlcf->health = NGX_LOYALTY_HEALTH_LIVE;

    } else if (ngx_strcmp(value[1].data, "ready") == 0) {
        mlcf->health = NGX_LOYALTY_HEALTH_READY;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be \"live\" or \"ready\"", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    return ngx_loyalty_metrics_needs(cf, cmd, ngx_loyalty_health_handler);
}


static char *
ngx_loyalty_metrics_needs(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_handler_pt handler)
{
    ngx_loyalty_main_conf_t   *lmcf;
    ngx_http_core_loc_conf_t  *clcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_loyalty_module);

    if (lmcf->zone == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" needs \"loyalty_zone\" before it",
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    lmcf->used = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_loyalty_metrics_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_loyalty_metrics_log;

    return NGX_OK;
}
