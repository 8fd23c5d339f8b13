/*
 * What the phases of the edge hand each other: tenant, principal, route, the
 * request's context, and the counters.  Everything here is process memory but
 * where it says zone.
 */

#ifndef NGX_LOYALTY_H_INCLUDED_
#define NGX_LOYALTY_H_INCLUDED_

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ly_base.h"
#include "ly_id.h"


#define NGX_LOYALTY_WALLETS_MAX   64    /* of one tenant, in the cache */
#define NGX_LOYALTY_CAPTURES_MAX  4     /* {…} segments of one route */
#define NGX_LOYALTY_LIMITS_MAX    3     /* policies of one request */


/*
 * One bit per scope: the permission of an operation, and the set that a
 * credential carries.  The names are those of the contract; the route
 * generator writes NGX_LOYALTY_SCOPE_MEMBERS_READ for "members:read".
 */
#define NGX_LOYALTY_SCOPES(X)                                                 \
    X(KEYS_READ, "keys:read")                                                 \
    X(KEYS_WRITE, "keys:write")                                               \
    X(USERS_READ, "users:read")                                               \
    X(USERS_WRITE, "users:write")                                             \
    X(ROLES_READ, "roles:read")                                               \
    X(ROLES_WRITE, "roles:write")                                             \
    X(PROGRAMS_READ, "programs:read")                                         \
    X(PROGRAMS_WRITE, "programs:write")                                       \
    X(MEMBERS_READ, "members:read")                                           \
    X(MEMBERS_WRITE, "members:write")                                         \
    X(MEMBERS_MERGE, "members:merge")                                         \
    X(MEMBERS_ERASE, "members:erase")                                         \
    X(LEDGER_READ, "ledger:read")                                             \
    X(LEDGER_ADJUST, "ledger:adjust")                                         \
    X(LEDGER_TRANSFER, "ledger:transfer")                                     \
    X(EVENTS_READ, "events:read")                                             \
    X(EVENTS_WRITE, "events:write")                                           \
    X(EVENTS_SIMULATE, "events:simulate")                                     \
    X(REDEMPTIONS_READ, "redemptions:read")                                   \
    X(REDEMPTIONS_WRITE, "redemptions:write")                                 \
    X(REWARDS_READ, "rewards:read")                                           \
    X(REWARDS_WRITE, "rewards:write")                                         \
    X(RULES_READ, "rules:read")                                               \
    X(RULES_WRITE, "rules:write")                                             \
    X(RULES_PUBLISH, "rules:publish")                                         \
    X(RULES_SIMULATE, "rules:simulate")                                       \
    X(TIERS_READ, "tiers:read")                                               \
    X(TIERS_WRITE, "tiers:write")                                             \
    X(CAMPAIGNS_READ, "campaigns:read")                                       \
    X(CAMPAIGNS_WRITE, "campaigns:write")                                     \
    X(SEGMENTS_READ, "segments:read")                                         \
    X(SEGMENTS_WRITE, "segments:write")                                       \
    X(REFERRALS_READ, "referrals:read")                                       \
    X(REFERRALS_WRITE, "referrals:write")                                     \
    X(WEBHOOKS_READ, "webhooks:read")                                         \
    X(WEBHOOKS_WRITE, "webhooks:write")                                       \
    X(IMPORTS_READ, "imports:read")                                           \
    X(IMPORTS_WRITE, "imports:write")                                         \
    X(EXPORTS_READ, "exports:read")                                           \
    X(EXPORTS_WRITE, "exports:write")                                         \
    X(REPORTS_READ, "reports:read")                                           \
    X(AUDIT_READ, "audit:read")                                               \
    X(INTEGRATIONS_READ, "integrations:read")                                 \
    X(INTEGRATIONS_WRITE, "integrations:write")                               \
    X(SESSIONS_WRITE, "sessions:write")                                       \
    X(OPS_READ, "ops:read")                                                   \
    X(OPS_WRITE, "ops:write")

#define NGX_LOYALTY_SCOPE_N(id, name)  NGX_LOYALTY_SCOPE_N_ ## id,
enum {
    NGX_LOYALTY_SCOPES(NGX_LOYALTY_SCOPE_N)
    NGX_LOYALTY_SCOPE_COUNT             /* at most 64 */
};
#undef NGX_LOYALTY_SCOPE_N

#define NGX_LOYALTY_SCOPE_B(id, name)                                         \
    static const uint64_t  NGX_LOYALTY_SCOPE_ ## id                           \
    __attribute__((unused)) = 1ULL << NGX_LOYALTY_SCOPE_N_ ## id;
NGX_LOYALTY_SCOPES(NGX_LOYALTY_SCOPE_B)
#undef NGX_LOYALTY_SCOPE_B

/*
 * Adds the bits of "name:verb", "name:*" or "*" to *bits.  NGX_DECLINED when
 * no scope is called so (a credential of a newer contract: the rest holds).
 */
ngx_int_t ngx_loyalty_scope_parse(u_char *name, size_t len, uint64_t *bits);

/* name of scope n, 0 <= n < NGX_LOYALTY_SCOPE_COUNT */
ngx_str_t *ngx_loyalty_scope_name(ngx_uint_t n);

/* bits of all scopes named *:read: what may go on with an old directory */
uint64_t ngx_loyalty_scope_reads(void);


typedef struct {
    u_char     code[64];        /* as the API says it */
    uint16_t   code_len;
    uint16_t   ordinal;         /* dense from 0 within the tenant */
} ngx_loyalty_wallet_t;


/* rates per second, burst in requests; 0 means no limit */
typedef struct {
    uint32_t   request_rate;    /* of the whole tenant */
    uint32_t   request_burst;
    uint32_t   key_rate;        /* of one principal */
    uint32_t   key_burst;
    uint32_t   inflight_writes; /* of the tenant in one process */
    uint32_t   inflight_batches;
} ngx_loyalty_plan_t;


typedef enum {
    NGX_LOYALTY_TENANT_PROVISIONING = 0,
    NGX_LOYALTY_TENANT_ACTIVE,
    NGX_LOYALTY_TENANT_SUSPENDED,
    NGX_LOYALTY_TENANT_CLOSED
} ngx_loyalty_tenant_status_e;


/*
 * This process's copy of a tenant, never changed once made (but for the
 * fields of the api half below); a newer directory gives a new copy.  A
 * request's own stays until the request ends.
 */
typedef struct {
    ly_uuid_t                     id;
    ngx_str_t                     slug;
    ngx_loyalty_tenant_status_e   status;
    ngx_str_t                     plan_code;
    ngx_loyalty_plan_t            plan;
    ngx_str_t                     timezone;
    ngx_str_t                    *origins;      /* CORS, exact */
    ngx_uint_t                    norigins;
    ngx_loyalty_wallet_t         *wallets;      /* in order of the ordinal */
    ngx_uint_t                    nwallets;
    ngx_str_t                     wrapped_key;  /* bytes, not base64 */
    int64_t                       generation;
    uint32_t                      epoch;        /* unique per tenant and state
                                                   of it; leads cache keys */
    unsigned                      live : 1;       /* mode live, else test */

    /*
     * Of the api half: what it made of the wrapped key (key_state 0 not tried,
     * 1 there, 2 failed).  It adds a cleanup to the pool that wipes it.
     */
    void                         *sealing;
    unsigned                      key_state : 2;

    /* of the limit module: key of the tenant's bucket, for this plan */
    u_char                        bucket[16];
    unsigned                      bucket_known : 1;

    /* counted per process over all copies of the tenant */
    struct ngx_loyalty_load_s    *load;

    ngx_uint_t                    refs;
    uint64_t                      version;
    ngx_pool_t                   *pool;
} ngx_loyalty_tenant_t;


/* what a tenant has in flight in this process; kept while a copy lives */
typedef struct ngx_loyalty_load_s {
    ngx_uint_t  writes;
    ngx_uint_t  batches;
    ngx_uint_t  refs;
    ly_uuid_t   id;
    struct ngx_loyalty_load_s  *next;
} ngx_loyalty_load_t;


typedef enum {
    NGX_LOYALTY_PRINCIPAL_NONE = 0,
    NGX_LOYALTY_PRINCIPAL_KEY,
    NGX_LOYALTY_PRINCIPAL_USER,
    NGX_LOYALTY_PRINCIPAL_MEMBER
} ngx_loyalty_principal_e;


typedef struct {
    ngx_loyalty_principal_e  kind;
    ly_uuid_t                id;            /* of the key, user or member */
    uint64_t                 scopes;
    int64_t                  expires_at;    /* us since the epoch, 0 never */
    u_char                   api_version[10];   /* YYYY-MM-DD, or zeros */
    unsigned                 publishable : 1;
    unsigned                 live : 1;
} ngx_loyalty_principal_t;

/* "key", "user", "member" or "none" */
ngx_str_t *ngx_loyalty_principal_kind(ngx_loyalty_principal_e kind);


/*
 * The head of a row of the route table; the api half's row begins with it.
 */
typedef enum {
    NGX_LOYALTY_ACCESS_SCOPE = 0,       /* one bit in scope */
    NGX_LOYALTY_ACCESS_ANY,             /* any valid credential */
    NGX_LOYALTY_ACCESS_PUBLIC           /* none needed, one sent is ignored */
} ngx_loyalty_access_e;

typedef struct {
    ngx_str_t             name;         /* "member_get": log and metrics */
    ngx_uint_t            index;        /* 0 .. NGX_LOYALTY_ROUTES_MAX - 1 */
    uint64_t              scope;
    ngx_loyalty_access_e  access;
    unsigned              write : 1;      /* x-loyalty pool: write */
    unsigned              batch : 1;      /* a batch of events */
} ngx_loyalty_route_t;

#define NGX_LOYALTY_ROUTES_MAX  128


typedef struct {
    ngx_str_t   name;                   /* "address", "tenant", "principal" */
    uint64_t    rate;                   /* per second */
    uint64_t    burst;
    uint64_t    remaining;
    uint64_t    reset;                  /* seconds until full */
    uint64_t    retry;                  /* seconds until one passes; 0 does */
} ngx_loyalty_limit_state_t;


/*
 * One per client request; subrequests and internal redirects see the same.
 * Made by the first phase handler that asks.
 */
typedef struct {
    ngx_http_request_t         *request;        /* r->main */

    u_char                      request_id_data[64];
    ngx_str_t                   request_id;     /* X-Request-Id, or made */

    ngx_loyalty_tenant_t       *tenant;         /* NULL: none resolved */
    ngx_loyalty_principal_t     principal;

    /* set by ngx_loyalty_route_resolve(), of the api half */
    const ngx_loyalty_route_t  *route;
    ngx_str_t                   captures[NGX_LOYALTY_CAPTURES_MAX];
    ngx_uint_t                  ncaptures;
    ngx_uint_t                  route_status;   /* 404, 405 without a route */
    uint32_t                    route_allow;    /* methods, for Allow */

    ngx_loyalty_limit_state_t   limits[NGX_LOYALTY_LIMITS_MAX];
    ngx_uint_t                  nlimits;
    ngx_str_t                   violated;       /* name of the policy */

    /* for the log and the metrics; set by whoever knows; static or pooled */
    ngx_str_t                   code;           /* problem code */
    ngx_str_t                   cache;          /* HIT, MISS, BYPASS */
    ngx_msec_t                  db_ms;          /* waited for the database */
    unsigned                    db : 1;           /* db_ms is meant */

    /* charge marks: an internal redirect charges nothing twice */
    unsigned                    routed : 1;
    unsigned                    address_charged : 1;
    unsigned                    principal_charged : 1;
    unsigned                    authenticated : 1;
    unsigned                    checked : 1;      /* by the database */
    unsigned                    inflight_write : 1;
    unsigned                    inflight_batch : 1;
    unsigned                    counted : 1;      /* in the metrics */
    unsigned                    limited : 1;      /* limit headers are set */

    void                       *wait;           /* of the auth module */
    void                       *api;            /* the api half's own state */
} ngx_loyalty_ctx_t;

/* the request's context, made at need; NULL: no memory */
ngx_loyalty_ctx_t *ngx_loyalty_ctx(ngx_http_request_t *r);

/* the same, NULL if none was made: for variables and the log phase */
ngx_loyalty_ctx_t *ngx_loyalty_ctx_find(ngx_http_request_t *r);


typedef struct {
    ngx_str_t   conninfo;               /* NUL terminated */
    ngx_uint_t  connections;            /* per process */
} ngx_loyalty_pool_conf_t;


typedef struct {
    ngx_shm_zone_t           *zone;     /* loyalty_zone */
    ngx_str_t                 domain;   /* lower case */
    ngx_str_t                 issuer;   /* "https://" domain */
    ngx_str_t                 keyring_file;
    void                     *keyring;  /* ly_keyring_t, NULL without a file */
    ngx_loyalty_pool_conf_t   read;
    ngx_loyalty_pool_conf_t   write;
    ngx_loyalty_pool_conf_t   directory;
    ngx_addr_t               *redis;    /* NULL: none */
    ngx_str_t                 worker_socket;
    ngx_str_t                 hint_socket;
    ngx_uint_t                address_rate;     /* per second, 0: off */
    ngx_uint_t                address_burst;
    ngx_flag_t                limits;
    size_t                    body_budget;      /* bytes, per process */
    ngx_uint_t                write_queue;      /* calls, per process */
    ngx_uint_t                wait_max;         /* waiters, per process */
    ngx_msec_t                start_wait;       /* for the directory */
    unsigned                  used : 1;   /* a location needs the zone */

    struct ngx_loyalty_local_s  *local; /* of this process, since its start */
} ngx_loyalty_main_conf_t;


#define NGX_LOYALTY_AUTH_OFF       0
#define NGX_LOYALTY_AUTH_ON        1
#define NGX_LOYALTY_AUTH_OPTIONAL  2

typedef struct {
    ngx_flag_t  api;                    /* loyalty_api */
    ngx_uint_t  auth;                   /* loyalty_auth, for other locations */
    uint64_t    scope;                  /* its scope=, 0: any */
    ngx_str_t   file;                   /* where one of them stands */
    ngx_uint_t  line;
} ngx_loyalty_loc_conf_t;

extern ngx_module_t  ngx_loyalty_module;

/* of the cycle in force; NULL before init_process and without http */
ngx_loyalty_main_conf_t *ngx_loyalty_main_conf(void);


/*
 * Refuses the request and ends it: to be returned from a handler of the
 * preaccess or access phase.  Where loyalty_api is on, with the problem of the
 * code; elsewhere with the plain status.  detail may be NULL.
 */
ngx_int_t ngx_loyalty_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, ngx_str_t *detail);

/* in preconfiguration: all variables of the module */
ngx_int_t ngx_loyalty_add_variables(ngx_conf_t *cf);

/* $loyalty_log */
ngx_int_t ngx_loyalty_log_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

/* adds an output header; static or pooled strings */
#define ngx_loyalty_header(r, name, value)                                    \
    ngx_loyalty_header_add(r, name, ngx_strlen(name), value)

ngx_int_t ngx_loyalty_header_add(ngx_http_request_t *r, const char *name,
    size_t len, ngx_str_t *value);

/*
 * RateLimit-Policy, RateLimit, and Retry-After where a policy is violated; the
 * api half calls it once for every answer it makes.
 */
ngx_int_t ngx_loyalty_limit_headers(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx);


/*
 * Promised by the api half.
 *
 * Matches method and the unparsed URI; sets ctx->route and its captures, or
 * route_status and route_allow.  No allocation but from r->pool.  NGX_OK, or
 * NGX_ERROR out of memory.  Called once, in the access phase, and it must not
 * read the body.
 */
ngx_int_t ngx_loyalty_route_resolve(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx);

/* content handler of a location with loyalty_api */
ngx_int_t ngx_loyalty_api_handler(ngx_http_request_t *r);

/*
 * Sends application/problem+json with the status and title of the code in
 * docs/errors.yaml, X-Request-Id, and the limit headers; sets ctx->code.
 * Returns what ngx_http_finalize_request() takes.  Codes of the edge:
 * tenant.unknown 404, tenant.suspended 403, credential.invalid 401 (with
 * WWW-Authenticate, set by the edge), scope.missing 403, rate.limited 429,
 * inflight.limited 429, edge.starting 503, database.unavailable 503.
 */
ngx_int_t ngx_loyalty_answer_problem(ngx_http_request_t *r, const char *code,
    ngx_str_t *detail);

/* a hint that outcomes may be there: poll for the waiters now */
void ngx_loyalty_wait_poke(void);

/* name of route n for the metrics, NULL past the last */
ngx_str_t *ngx_loyalty_route_name(ngx_uint_t n);


/*
 * Counters in the zone, added to without a lock.  X(id, name, kind, help):
 * the metric is called loyalty_<name>.
 */
#define NGX_LOYALTY_METRICS(X)                                                \
    X(TENANT_UNKNOWN, "tenant_unknown_total", "counter",                      \
      "Requests to a host that belongs to no tenant.")                        \
    X(AUTH_OK, "auth_accepted_total", "counter",                              \
      "Requests whose credential was accepted.")                              \
    X(AUTH_REFUSED, "auth_refused_total", "counter",                          \
      "Requests refused with 401.")                                           \
    X(AUTH_SCOPE, "auth_scope_refused_total", "counter",                      \
      "Requests refused for a missing scope.")                                \
    X(AUTH_CHECKED, "auth_database_checks_total", "counter",                  \
      "Credentials checked in the database.")                                 \
    X(TOKEN_HIT, "token_cache_hits_total", "counter",                         \
      "Tokens found among the verified ones.")                                \
    X(TOKEN_MISS, "token_cache_misses_total", "counter",                      \
      "Tokens whose signature was computed.")                                 \
    X(LIMIT_ADDRESS, "limit_address_total", "counter",                        \
      "Requests refused by the limit per address.")                           \
    X(LIMIT_TENANT, "limit_tenant_total", "counter",                          \
      "Requests refused by the limit per tenant.")                            \
    X(LIMIT_PRINCIPAL, "limit_principal_total", "counter",                    \
      "Requests refused by the limit per principal.")                         \
    X(LIMIT_INFLIGHT, "limit_inflight_total", "counter",                      \
      "Requests refused by the cap of calls in flight.")                      \
    X(CACHE_HIT, "cache_hits_total", "counter",                               \
      "Balances answered from shared memory.")                                \
    X(CACHE_MISS, "cache_misses_total", "counter",                            \
      "Balances asked of the database.")                                      \
    X(CACHE_FILL, "cache_fills_total", "counter",                             \
      "Balances put into shared memory.")                                     \
    X(CACHE_STALE, "cache_fills_refused_total", "counter",                    \
      "Fills refused because a change was newer.")                            \
    X(CACHE_VOID, "cache_voids_total", "counter",                             \
      "Members whose cached balances were dropped.")                          \
    X(CACHE_EVICT, "cache_evictions_total", "counter",                        \
      "Balances dropped for room.")                                           \
    X(FEED_READS, "feed_reads_total", "counter",                              \
      "Reads of the change feed.")                                            \
    X(FEED_CHANGES, "feed_changes_total", "counter",                          \
      "Changes applied from the feed.")                                       \
    X(FEED_RESYNCS, "feed_resyncs_total", "counter",                          \
      "Full reads of the directory.")                                         \
    X(FEED_ERRORS, "feed_errors_total", "counter",                            \
      "Reads of the feed that failed.")                                       \
    X(FEED_HINTS, "feed_hints_total", "counter",                              \
      "Hints received from the worker or Redis.")                             \
    X(FEED_OWNERS, "feed_takeovers_total", "counter",                         \
      "Times a process took the feed over.")                                  \
    X(ZONE_FULL, "zone_full_total", "counter",                                \
      "Records that found no room in shared memory.")                         \
    X(REDIS_SENT, "redis_hints_sent_total", "counter",                        \
      "Hints published to other hosts.")                                      \
    X(REDIS_ERRORS, "redis_errors_total", "counter",                          \
      "Redis connections lost or refused.")                                   \
    X(WAITS, "waits_total", "counter",                                        \
      "Requests that waited for the worker.")                                 \
    X(WAITS_ELAPSED, "waits_elapsed_total", "counter",                        \
      "Waits that ended without the outcome.")                                \
    X(WAITS_REFUSED, "waits_refused_total", "counter",                        \
      "Waits refused because too many wait.")                                 \
    X(SEAL_ERRORS, "seal_errors_total", "counter",                            \
      "Values that could not be sealed or opened.")                           \
    X(BODY_REFUSED, "body_budget_refused_total", "counter",                   \
      "Requests refused because the body budget was spent.")                  \
    X(BUGS, "internal_errors_total", "counter",                               \
      "Answers 500: the error log says why.")         \
    X(G_WAITERS, "waiters", "gauge",                                          \
      "Requests that wait for the worker.")                                   \
    X(G_BODY_BYTES, "body_bytes", "gauge",                                    \
      "Bytes of request bodies in memory.")

#define NGX_LOYALTY_METRIC_ID(id, name, kind, help)  NGX_LOYALTY_M_ ## id,
typedef enum {
    NGX_LOYALTY_METRICS(NGX_LOYALTY_METRIC_ID)
    NGX_LOYALTY_METRIC_COUNT
} ngx_loyalty_metric_e;
#undef NGX_LOYALTY_METRIC_ID

/*
 * Counters live in the zone.  A gauge is kept per process (its slot is zeroed
 * when a process that died is replaced) and shown as the sum: add +n, -n.
 */
void ngx_loyalty_metric_add(ngx_loyalty_metric_e metric, ngx_atomic_int_t n);
#define ngx_loyalty_metric(id)  ngx_loyalty_metric_add(NGX_LOYALTY_M_ ## id, 1)


/* the pools of connections, in the metrics */
enum {
    NGX_LOYALTY_POOL_READ = 0,
    NGX_LOYALTY_POOL_WRITE,
    NGX_LOYALTY_POOL_DIRECTORY,
    NGX_LOYALTY_POOL_COUNT
};


#endif /* NGX_LOYALTY_H_INCLUDED_ */
