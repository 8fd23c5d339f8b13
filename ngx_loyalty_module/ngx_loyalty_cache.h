/*
 * Balances and aliases in shared memory.  An entry is only kept if nothing it
 * stands for changed since the query that gave it was sent: take a stamp
 * before sending, hand it back with the fill.
 */

#ifndef NGX_LOYALTY_CACHE_H_INCLUDED_
#define NGX_LOYALTY_CACHE_H_INCLUDED_

#include "ngx_loyalty.h"
#include "ngx_loyalty_zone.h"


typedef struct {
    int64_t    bucket[8];       /* available, pending, held, debt, earned,
                                   spent, expired, reversed */
    int64_t    version;
    int64_t    fresh_until;     /* us since the epoch; 0: no end */
    int64_t    expiry_at;       /* us; 0: nothing expires */
    int64_t    expiry_points;
    uint16_t   ordinal;         /* of the wallet */
    uint16_t   wallets;         /* the tenant has so many */
} ngx_loyalty_balance_t;


/* to be taken before the query is sent */
typedef struct {
    uint64_t   change;
    uint64_t   own;             /* of the fills of a write's own answer */
    uint32_t   member;
} ngx_loyalty_stamp_t;

void ngx_loyalty_cache_stamp(ngx_loyalty_stamp_t *stamp);


/*
 * The member that a reference as it stands in the path, decoded ("ext:12347",
 * "ext:shop:12347"), was last seen to name.  NGX_DECLINED: not known.
 */
ngx_int_t ngx_loyalty_cache_member(ngx_loyalty_tenant_t *tenant,
    ngx_str_t *ref, ly_uuid_t *member);

/*
 * All balances of a member, in the order of the wallets' ordinals; out holds
 * NGX_LOYALTY_WALLETS_MAX.  Gives their number, or NGX_DECLINED unless every
 * one is there and fresh.  Counts hit or miss.
 */
ngx_int_t ngx_loyalty_cache_balances(ngx_loyalty_tenant_t *tenant,
    ly_uuid_t *member, ngx_loyalty_balance_t *out);

/*
 * The same of the member that a reference names, as ngx_loyalty_cache_member()
 * has it; where that is not known, neither hit nor miss is counted.
 */
ngx_int_t ngx_loyalty_cache_balances_of(ngx_loyalty_tenant_t *tenant,
    ngx_str_t *ref, ngx_loyalty_balance_t *out);

/*
 * A fill of changes.  NGX_OK kept; NGX_DECLINED a newer change or version is
 * known (no fault).  write: the answer of this node's own commit, which makes
 * every read older than it lose.
 */
ngx_int_t ngx_loyalty_cache_fill(ngx_loyalty_tenant_t *tenant,
    ly_uuid_t *member, ngx_loyalty_balance_t *balance,
    ngx_loyalty_stamp_t *stamp, ngx_uint_t write);

ngx_int_t ngx_loyalty_cache_alias(ngx_loyalty_tenant_t *tenant,
    ngx_str_t *ref, ly_uuid_t *member, ngx_loyalty_stamp_t *stamp);

/*
 * Drops what is known of a member's balances; identity: of its aliases too
 * (merged, erased).  For the feed, {"k":"member"}, and unknown outcomes.
 */
void ngx_loyalty_cache_void(ngx_loyalty_tenant_t *tenant, ly_uuid_t *member,
    ngx_uint_t identity);

/* the same for the feed, with the zone's lock held */
void ngx_loyalty_cache_void_locked(ngx_loyalty_zone_t *zone, uint32_t epoch,
    ngx_uint_t wallets, ly_uuid_t *member, ngx_uint_t identity);


#endif /* NGX_LOYALTY_CACHE_H_INCLUDED_ */
