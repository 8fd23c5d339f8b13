/*
 * What one process keeps for itself: its copies of tenants, the parsed signing
 * keys, the crypto contexts, random bytes, the pool of the directory.
 */

#ifndef NGX_LOYALTY_LOCAL_H_INCLUDED_
#define NGX_LOYALTY_LOCAL_H_INCLUDED_

#include "ngx_loyalty.h"
#include "ngx_loyalty_pg.h"
#include "ngx_loyalty_zone.h"
#include "ly_arena.h"
#include "ly_crypto.h"
#include "ly_jwt.h"


#define NGX_LOYALTY_LOCAL_NAMES  1024   /* chains of known hosts */
#define NGX_LOYALTY_CHECKS       64     /* slots of recent checks */


typedef struct ngx_loyalty_name_s  ngx_loyalty_name_t;

struct ngx_loyalty_name_s {
    ngx_loyalty_name_t    *next;
    uint64_t               version;     /* the zone's when it was looked up */
    ngx_loyalty_tenant_t  *tenant;
    size_t                 len;
    u_char                 data[1];
};


typedef struct ngx_loyalty_signing_s  ngx_loyalty_signing_t;

struct ngx_loyalty_signing_s {
    ngx_loyalty_signing_t  *next;
    uint64_t                version;
    ly_jwt_key_t           *key;        /* NULL: not to be parsed */
    size_t                  len;
    u_char                  kid[LY_JWT_KID_MAX];
};


struct ngx_loyalty_local_s {
    ngx_cycle_t             *cycle;
    ly_crypto_t             *crypto;
    ly_arena_t              *scratch;   /* reset by each user */
    ngx_loyalty_pg_t        *directory; /* NULL: none configured */
    ngx_loyalty_pg_conf_t    directory_conf;
    ngx_str_t                issuer;
    uint64_t                 reads;     /* bits of the *:read scopes */
    ngx_loyalty_pslot_t     *process;

    ngx_loyalty_name_t      *names[NGX_LOYALTY_LOCAL_NAMES];
    ngx_uint_t               nnames;
    ngx_loyalty_load_t      *loads;
    ngx_loyalty_signing_t   *signing;

    u_char                   random[1024];
    ngx_uint_t               random_left;

    struct ngx_loyalty_feed_s   *feed;
    struct ngx_loyalty_auth_s   *auth;
    struct ngx_loyalty_redis_s  *redis;
};

typedef struct ngx_loyalty_local_s  ngx_loyalty_local_t;


/* of this process; NULL in processes that serve no requests */
ngx_loyalty_local_t *ngx_loyalty_local(void);

ngx_int_t ngx_loyalty_local_init(ngx_cycle_t *cycle,
    ngx_loyalty_main_conf_t *lmcf);


/*
 * The tenant of a host (lower case, no port), with a reference for the caller.
 * NGX_DECLINED: none; NGX_BUSY: the directory is not there yet; NGX_ERROR.
 */
ngx_int_t ngx_loyalty_tenant_by_host(ngx_loyalty_main_conf_t *lmcf,
    ngx_str_t *host, ngx_loyalty_tenant_t **tenant);

void ngx_loyalty_tenant_release(ngx_loyalty_tenant_t *tenant);


/* the key of a kid in this process; NULL: unknown or revoked */
ly_jwt_key_t *ngx_loyalty_signing_key(ngx_loyalty_zone_t *zone,
    ly_str_t kid);

/* len random bytes, len <= 64; NGX_ERROR */
ngx_int_t ngx_loyalty_random(u_char *out, size_t len);


#endif /* NGX_LOYALTY_LOCAL_H_INCLUDED_ */
