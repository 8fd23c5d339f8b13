/*
 * Limits by the generic cell rate algorithm, in the zone: per address in the
 * preaccess phase; per tenant and per principal in the access phase, after
 * authentication.  The two of the access phase are both looked at before
 * either is charged.  Calls in flight are counted per process.
 */

#include "ngx_loyalty.h"
#include "ngx_loyalty_zone.h"


#define NGX_LOYALTY_NS  1000000000ULL


typedef struct {
    u_char                     key[16];
    uint64_t                   rate;
    uint64_t                   burst;
    uint64_t                   next;        /* the bucket's time if charged */
    ngx_loyalty_metric_e       metric;
    ngx_str_t                  name;
} ngx_loyalty_policy_t;


static ngx_int_t ngx_loyalty_limit_address(ngx_http_request_t *r);
static ngx_int_t ngx_loyalty_limit_principal(ngx_http_request_t *r);
static ngx_int_t ngx_loyalty_limit_inflight(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx);
static ngx_uint_t ngx_loyalty_limit_wanted(ngx_http_request_t *r);
static size_t ngx_loyalty_limit_client(struct sockaddr *sa, u_char *out);
static void ngx_loyalty_limit_burst(ngx_loyalty_policy_t *policy);
static void ngx_loyalty_limit_policy(ngx_loyalty_zone_t *zone,
    ngx_loyalty_policy_t *policy, u_char kind, const u_char *id, size_t len);
static ngx_int_t ngx_loyalty_limit_charge(ngx_loyalty_zone_t *zone,
    ngx_loyalty_ctx_t *ctx, ngx_loyalty_policy_t *policies, ngx_uint_t n);
static uint64_t *ngx_loyalty_limit_bucket(ngx_loyalty_zone_t *zone,
    ngx_loyalty_policy_t *policy);
static ngx_int_t ngx_loyalty_limit_refuse(ngx_http_request_t *r,
    const char *code);
static u_char *ngx_loyalty_limit_name(u_char *p, ngx_uint_t i,
    ngx_str_t *name);
static u_char *ngx_loyalty_limit_value(u_char *p, const char key[3],
    uint64_t v);
static ngx_int_t ngx_loyalty_limit_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_loyalty_limit_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_loyalty_limit_init,                /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_loyalty_limit_module = {
    NGX_MODULE_V1,
    &ngx_loyalty_limit_module_ctx,         /* module context */
    NULL,                                  /* module directives */
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


static ngx_uint_t
ngx_loyalty_limit_wanted(ngx_http_request_t *r)
{
    ngx_loyalty_loc_conf_t  *llcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_loyalty_module);

    return r == r->main && (llcf->api || llcf->auth != NGX_LOYALTY_AUTH_OFF);
}


static ngx_int_t
ngx_loyalty_limit_address(ngx_http_request_t *r)
{
    size_t                    len;
    u_char                    addr[16];
    ngx_loyalty_ctx_t        *ctx;
    ngx_loyalty_policy_t      policy;
    ngx_loyalty_main_conf_t  *lmcf;

    if (!ngx_loyalty_limit_wanted(r)) {
        return NGX_DECLINED;
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_loyalty_module);

    if (!lmcf->limits || lmcf->address_rate == 0) {
        return NGX_DECLINED;
    }

    len = ngx_loyalty_limit_client(r->connection->sockaddr, addr);

    if (len == 0) {
        return NGX_DECLINED;
    }

    ctx = ngx_loyalty_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->address_charged) {
        return NGX_DECLINED;
    }

    policy.rate = lmcf->address_rate;
    policy.burst = lmcf->address_burst;
    policy.metric = NGX_LOYALTY_M_LIMIT_ADDRESS;
    ngx_str_set(&policy.name, "address");

    ngx_loyalty_limit_policy(lmcf->zone->data, &policy, 'a', addr, len);

    ctx->address_charged = 1;

    if (ngx_loyalty_limit_charge(lmcf->zone->data, ctx, &policy, 1) != NGX_OK)
    {
        return ngx_loyalty_limit_refuse(r, "rate.limited");
    }

    return NGX_DECLINED;
}


/* one address of IPv4, a network of 64 bits of IPv6, nothing of a socket */

static size_t
ngx_loyalty_limit_client(struct sockaddr *sa, u_char *out)
{
#if (NGX_HAVE_INET6)
    struct in6_addr  *in6;
#endif

    switch (sa->sa_family) {

    case AF_INET:
        ngx_memcpy(out, &((struct sockaddr_in *) sa)->sin_addr, 4);
        return 4;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        in6 = &((struct sockaddr_in6 *) sa)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(in6)) {
            ngx_memcpy(out, in6->s6_addr + 12, 4);
            return 4;
        }

        ngx_memcpy(out, in6->s6_addr, 8);
        return 8;
#endif

    default:
        return 0;
    }
}


static ngx_int_t
ngx_loyalty_limit_principal(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_uint_t                n;
    ngx_loyalty_ctx_t        *ctx;
    ngx_loyalty_plan_t       *plan;
    ngx_loyalty_policy_t      policies[2];
    ngx_loyalty_main_conf_t  *lmcf;

    ctx = ngx_loyalty_ctx_find(r);

    if (ctx == NULL || ctx->tenant == NULL || ctx->principal_charged
        || !ngx_loyalty_limit_wanted(r))
    {
        return NGX_DECLINED;
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_loyalty_module);

    if (!lmcf->limits) {
        return NGX_DECLINED;
    }

    ctx->principal_charged = 1;
    plan = &ctx->tenant->plan;
    n = 0;

    if (plan->request_rate) {
        policies[n].rate = plan->request_rate;
        policies[n].burst = plan->request_burst;
        policies[n].metric = NGX_LOYALTY_M_LIMIT_TENANT;
        ngx_str_set(&policies[n].name, "tenant");

        if (ctx->tenant->bucket_known) {
            ngx_memcpy(policies[n].key, ctx->tenant->bucket, 16);
            ngx_loyalty_limit_burst(&policies[n]);

        } else {
            ngx_loyalty_limit_policy(lmcf->zone->data, &policies[n], 't',
                                     ctx->tenant->id.b, 16);
            ngx_memcpy(ctx->tenant->bucket, policies[n].key, 16);
            ctx->tenant->bucket_known = 1;
        }

        n++;
    }

    if (plan->key_rate && ctx->principal.kind != NGX_LOYALTY_PRINCIPAL_NONE) {
        policies[n].rate = plan->key_rate;
        policies[n].burst = plan->key_burst;
        policies[n].metric = NGX_LOYALTY_M_LIMIT_PRINCIPAL;
        ngx_str_set(&policies[n].name, "principal");

        ngx_loyalty_limit_policy(lmcf->zone->data, &policies[n], 'p',
                                 ctx->principal.id.b, 16);
        n++;
    }

    rc = ngx_loyalty_limit_charge(lmcf->zone->data, ctx, policies, n);

    if (rc != NGX_OK) {
        return ngx_loyalty_limit_refuse(r, "rate.limited");
    }

    return ngx_loyalty_limit_inflight(r, ctx);
}


static ngx_int_t
ngx_loyalty_limit_inflight(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx)
{
    ngx_str_t              one;
    ngx_loyalty_load_t    *load;
    ngx_loyalty_plan_t    *plan;

    if (ctx->route == NULL || r->method == NGX_HTTP_OPTIONS) {
        return NGX_DECLINED;
    }

    load = ctx->tenant->load;
    plan = &ctx->tenant->plan;

    if (ctx->route->batch) {

        if (plan->inflight_batches == 0
            || load->batches < plan->inflight_batches)
        {
            load->batches++;
            ctx->inflight_batch = 1;
            return NGX_DECLINED;
        }

    } else if (ctx->route->write) {

        if (plan->inflight_writes == 0 || load->writes < plan->inflight_writes)
        {
            load->writes++;
            ctx->inflight_write = 1;
            return NGX_DECLINED;
        }

    } else {
        return NGX_DECLINED;
    }

    ngx_loyalty_metric(LIMIT_INFLIGHT);
    ngx_str_set(&ctx->violated, "inflight");

    ngx_str_set(&one, "1");

    if (ngx_loyalty_header(r, "Retry-After", &one) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_loyalty_limit_refuse(r, "inflight.limited");
}


/* where a location is not ours to answer, the headers are set here */

static ngx_int_t
ngx_loyalty_limit_refuse(ngx_http_request_t *r, const char *code)
{
    ngx_loyalty_ctx_t       *ctx;
    ngx_loyalty_loc_conf_t  *llcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_loyalty_module);
    ctx = ngx_loyalty_ctx_find(r);

    if (!llcf->api && ngx_loyalty_limit_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_loyalty_refuse(r, NGX_HTTP_TOO_MANY_REQUESTS, code, NULL);
}


static void
ngx_loyalty_limit_burst(ngx_loyalty_policy_t *policy)
{
    if (policy->burst == 0) {
        policy->burst = policy->rate;
    }
}


static void
ngx_loyalty_limit_policy(ngx_loyalty_zone_t *zone,
    ngx_loyalty_policy_t *policy, u_char kind, const u_char *id, size_t len)
{
    u_char  buf[1 + 2 * sizeof(uint64_t) + 16], *p;

    ngx_loyalty_limit_burst(policy);

    /* another plan begins with a bucket of its own: a full one */

    buf[0] = kind;
    p = ngx_cpymem(buf + 1, &policy->rate, sizeof(policy->rate));
    p = ngx_cpymem(p, &policy->burst, sizeof(policy->burst));
    p = ngx_cpymem(p, id, len);

    ngx_loyalty_hash16_known(zone, buf, p - buf, policy->key);
}


/*
 * The bucket's time, for a charge; buckets that were full long ago, and under
 * pressure the one that is nearest to full, give way.
 */

static uint64_t *
ngx_loyalty_limit_bucket(ngx_loyalty_zone_t *zone,
    ngx_loyalty_policy_t *policy)
{
    uint64_t              n;
    ngx_uint_t            i;
    ngx_loyalty_bslot_t  *set, *victim;

    ngx_memcpy(&n, policy->key, sizeof(n));

    set = zone->bslots + n % zone->bsets * NGX_LOYALTY_WAYS;
    victim = set;

    for (i = 0; i < NGX_LOYALTY_WAYS; i++) {
        if (ngx_memcmp(set[i].key, policy->key, 16) == 0) {
            return &set[i].tat;
        }

        if (set[i].tat < victim->tat) {
            victim = &set[i];
        }
    }

    victim->tat = 0;
    ngx_memcpy(victim->key, policy->key, 16);

    return &victim->tat;
}


static ngx_int_t
ngx_loyalty_limit_charge(ngx_loyalty_zone_t *zone, ngx_loyalty_ctx_t *ctx,
    ngx_loyalty_policy_t *policies, ngx_uint_t n)
{
    uint64_t                    now, tat, interval, room, used;
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_loyalty_policy_t       *p;
    ngx_loyalty_limit_state_t  *state;

    if (n == 0) {
        return NGX_OK;
    }

    rc = NGX_OK;
    now = (uint64_t) ngx_loyalty_now_ms() * 1000000;

    ngx_loyalty_zone_lock(zone);

    for (i = 0; i < n; i++) {
        p = &policies[i];

        tat = ngx_max(*ngx_loyalty_limit_bucket(zone, p), now);
        interval = NGX_LOYALTY_NS / p->rate;
        room = interval * p->burst;
        p->next = tat + interval;
        used = p->next - now;

        state = &ctx->limits[ctx->nlimits + i];
        state->name = p->name;
        state->rate = p->rate;
        state->burst = p->burst;
        state->retry = 0;

        if (used > room) {
            state->remaining = 0;
            state->retry = (used - room + NGX_LOYALTY_NS - 1) / NGX_LOYALTY_NS;
            used -= interval;
            ctx->violated = p->name;
            rc = NGX_BUSY;

        } else {
            state->remaining = (room - used) / interval;
        }

        state->reset = (used + NGX_LOYALTY_NS - 1) / NGX_LOYALTY_NS;
    }

    for (i = 0; i < n && rc == NGX_OK; i++) {
        *ngx_loyalty_limit_bucket(zone, &policies[i]) = policies[i].next;
    }

    ngx_loyalty_zone_unlock(zone);

    for (i = 0; i < n; i++) {
        if (ctx->limits[ctx->nlimits + i].retry) {
            ngx_loyalty_metric_add(policies[i].metric, 1);
        }
    }

    ctx->nlimits += n;

    return rc;
}


/* written by hand: every answer has them, and ngx_sprintf() is slow */

static u_char *
ngx_loyalty_limit_name(u_char *p, ngx_uint_t i, ngx_str_t *name)
{
    if (i) {
        *p++ = ',';
        *p++ = ' ';
    }

    *p++ = '"';
    p = ngx_cpymem(p, name->data, name->len);
    *p++ = '"';

    return p;
}


static u_char *
ngx_loyalty_limit_value(u_char *p, const char key[3], uint64_t v)
{
    p = ngx_cpymem(p, key, 3);

    return p + ly_uint64_print(v, p);
}


/*
 * draft-ietf-httpapi-ratelimit-headers: quota and window of each policy, what
 * is left of it and the seconds until it is whole again
 */

ngx_int_t
ngx_loyalty_limit_headers(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx)
{
    u_char                     *p, *q;
    uint64_t                    retry;
    ngx_str_t                   policy, limit, after;
    ngx_uint_t                  i;
    ngx_loyalty_limit_state_t  *s;

    if (ctx == NULL || ctx->nlimits == 0 || ctx->limited) {
        return NGX_OK;
    }

    ctx->limited = 1;
    retry = 0;

    policy.data = ngx_pnalloc(r->pool, ctx->nlimits * 2
                              * (sizeof("\"principal\";q=;w=, ")
                                 + 2 * NGX_INT64_LEN));
    if (policy.data == NULL) {
        return NGX_ERROR;
    }

    p = policy.data;

    for (i = 0; i < ctx->nlimits; i++) {
        s = &ctx->limits[i];
        p = ngx_loyalty_limit_name(p, i, &s->name);
        p = ngx_loyalty_limit_value(p, ";q=", s->burst);
        p = ngx_loyalty_limit_value(p, ";w=",
                                    (s->burst + s->rate - 1) / s->rate);
    }

    policy.len = p - policy.data;
    q = p;

    for (i = 0; i < ctx->nlimits; i++) {
        s = &ctx->limits[i];
        q = ngx_loyalty_limit_name(q, i, &s->name);
        q = ngx_loyalty_limit_value(q, ";r=", s->remaining);
        q = ngx_loyalty_limit_value(q, ";t=", s->retry ? s->retry : s->reset);
        retry = ngx_max(retry, s->retry);
    }

    limit.data = p;
    limit.len = q - p;

    if (ngx_loyalty_header(r, "RateLimit-Policy", &policy) != NGX_OK
        || ngx_loyalty_header(r, "RateLimit", &limit) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (retry == 0) {
        return NGX_OK;
    }

    after.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (after.data == NULL) {
        return NGX_ERROR;
    }

    after.len = ngx_sprintf(after.data, "%uL", retry) - after.data;

    return ngx_loyalty_header(r, "Retry-After", &after);
}


static ngx_int_t
ngx_loyalty_limit_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_loyalty_limit_address;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_loyalty_limit_principal;

    return NGX_OK;
}
