#include "ngx_loyalty_cache.h"
#include "ngx_loyalty_redis.h"


static ngx_loyalty_cslot_t *ngx_loyalty_cache_set(ngx_loyalty_zone_t *zone,
    uint64_t hash, ngx_uint_t ordinal);
static ngx_loyalty_cslot_t *ngx_loyalty_cache_slot(ngx_loyalty_zone_t *zone,
    uint64_t hash, uint32_t epoch, ly_uuid_t *member, ngx_uint_t ordinal);
static ngx_loyalty_cslot_t *ngx_loyalty_cache_victim(ngx_loyalty_zone_t *zone,
    uint64_t hash, ngx_uint_t ordinal);
static void ngx_loyalty_cache_put(ngx_loyalty_zone_t *zone,
    ngx_loyalty_cslot_t *slot, uint64_t hash, uint32_t epoch,
    ly_uuid_t *member, ngx_loyalty_balance_t *balance);
static ngx_loyalty_aslot_t *ngx_loyalty_alias_set(ngx_loyalty_zone_t *zone,
    ngx_loyalty_tenant_t *tenant, ngx_str_t *ref, u_char hash[16]);
static ngx_int_t ngx_loyalty_alias_read(ngx_loyalty_zone_t *zone,
    ngx_loyalty_aslot_t *set, const u_char key[16], ly_uuid_t *member,
    uint64_t *hash);
static ngx_int_t ngx_loyalty_cache_read(ngx_loyalty_zone_t *zone,
    ngx_loyalty_tenant_t *tenant, ly_uuid_t *member, uint64_t hash,
    ngx_loyalty_balance_t *out);
static ngx_int_t ngx_loyalty_cache_told(ngx_int_t n);

/* seconds, wrapping after 18 hours: for what was used longest ago */
#define ngx_loyalty_cache_clock()  ((uint16_t) ngx_time())

#define ngx_loyalty_cache_stamp_of(hash)                                      \
    (((hash) >> 32) & (NGX_LOYALTY_STAMPS - 1))


void
ngx_loyalty_cache_stamp(ngx_loyalty_stamp_t *stamp)
{
    ngx_loyalty_zone_t  *zone;

    zone = ngx_loyalty_zone();

    stamp->change = zone->change;
    stamp->own = 0;
    stamp->member = (uint32_t) zone->identity;
}


static ngx_loyalty_cslot_t *
ngx_loyalty_cache_set(ngx_loyalty_zone_t *zone, uint64_t hash,
    ngx_uint_t ordinal)
{
    return zone->cslots
           + (hash + ordinal) % zone->csets * NGX_LOYALTY_WAYS;
}


static ngx_loyalty_cslot_t *
ngx_loyalty_cache_slot(ngx_loyalty_zone_t *zone, uint64_t hash,
    uint32_t epoch, ly_uuid_t *member, ngx_uint_t ordinal)
{
    ngx_uint_t            i;
    ngx_loyalty_cslot_t  *slot;

    slot = ngx_loyalty_cache_set(zone, hash, ordinal);

    for (i = 0; i < NGX_LOYALTY_WAYS; i++, slot++) {
        if (slot->epoch == epoch && slot->ordinal == ordinal
            && ngx_memcmp(slot->member, member->b, 16) == 0)
        {
            return slot;
        }
    }

    return NULL;
}


static ngx_loyalty_cslot_t *
ngx_loyalty_cache_victim(ngx_loyalty_zone_t *zone, uint64_t hash,
    ngx_uint_t ordinal)
{
    uint16_t              now;
    ngx_uint_t            i;
    ngx_loyalty_cslot_t  *slot, *victim;

    slot = ngx_loyalty_cache_set(zone, hash, ordinal);
    victim = slot;
    now = ngx_loyalty_cache_clock();

    for (i = 0; i < NGX_LOYALTY_WAYS; i++, slot++) {
        if (slot->epoch == 0) {
            return slot;
        }

        if ((uint16_t) (now - slot->used) > (uint16_t) (now - victim->used)) {
            victim = slot;
        }
    }

    ngx_loyalty_metric(CACHE_EVICT);

    return victim;
}


static ngx_int_t
ngx_loyalty_cache_read(ngx_loyalty_zone_t *zone, ngx_loyalty_tenant_t *tenant,
    ly_uuid_t *member, uint64_t hash, ngx_loyalty_balance_t *out)
{
    int64_t               now;
    ngx_uint_t            i;
    ngx_loyalty_cslot_t  *slot;

    now = ngx_loyalty_now_us();

    for (i = 0; i < tenant->nwallets; i++) {
        slot = ngx_loyalty_cache_slot(zone, hash, tenant->epoch, member, i);

        if (slot == NULL || slot->wallets != tenant->nwallets
            || (slot->fresh_until && slot->fresh_until <= now))
        {
            return NGX_DECLINED;
        }

        slot->used = ngx_loyalty_cache_clock();

        ngx_memcpy(out[i].bucket, slot->bucket, sizeof(slot->bucket));
        out[i].version = slot->version;
        out[i].fresh_until = slot->fresh_until;
        out[i].expiry_at = slot->expiry_at;
        out[i].expiry_points = slot->expiry_points;
        out[i].ordinal = slot->ordinal;
        out[i].wallets = slot->wallets;
    }

    return (ngx_int_t) i;
}


static ngx_int_t
ngx_loyalty_cache_told(ngx_int_t n)
{
    if (n == NGX_DECLINED) {
        ngx_loyalty_metric(CACHE_MISS);

    } else {
        ngx_loyalty_metric(CACHE_HIT);
    }

    return n;
}


ngx_int_t
ngx_loyalty_cache_balances(ngx_loyalty_tenant_t *tenant, ly_uuid_t *member,
    ngx_loyalty_balance_t *out)
{
    uint64_t             hash;
    ngx_int_t            n;
    ngx_loyalty_zone_t  *zone;

    zone = ngx_loyalty_zone();

    if (tenant->nwallets == 0 || tenant->nwallets > NGX_LOYALTY_WALLETS_MAX) {
        return NGX_DECLINED;
    }

    hash = ngx_loyalty_hash(zone, member->b, 16);

    ngx_loyalty_zone_lock(zone);
    n = ngx_loyalty_cache_read(zone, tenant, member, hash, out);
    ngx_loyalty_zone_unlock(zone);

    return ngx_loyalty_cache_told(n);
}


ngx_int_t
ngx_loyalty_cache_balances_of(ngx_loyalty_tenant_t *tenant, ngx_str_t *ref,
    ngx_loyalty_balance_t *out)
{
    u_char                key[16];
    uint64_t              hash;
    ngx_int_t             rc, n;
    ly_uuid_t             member;
    ngx_loyalty_zone_t   *zone;
    ngx_loyalty_aslot_t  *set;

    zone = ngx_loyalty_zone();

    if (tenant->nwallets == 0 || tenant->nwallets > NGX_LOYALTY_WALLETS_MAX) {
        return NGX_DECLINED;
    }

    set = ngx_loyalty_alias_set(zone, tenant, ref, key);
    if (set == NULL) {
        return NGX_DECLINED;
    }

    n = NGX_DECLINED;

    ngx_loyalty_zone_lock(zone);

    rc = ngx_loyalty_alias_read(zone, set, key, &member, &hash);

    if (rc == NGX_OK) {
        n = ngx_loyalty_cache_read(zone, tenant, &member, hash, out);
    }

    ngx_loyalty_zone_unlock(zone);

    return rc == NGX_OK ? ngx_loyalty_cache_told(n) : NGX_DECLINED;
}


ngx_int_t
ngx_loyalty_cache_fill(ngx_loyalty_tenant_t *tenant, ly_uuid_t *member,
    ngx_loyalty_balance_t *balance, ngx_loyalty_stamp_t *stamp,
    ngx_uint_t write)
{
    uint64_t              hash, n;
    ngx_uint_t            stale;
    ngx_loyalty_zone_t   *zone;
    ngx_loyalty_cslot_t  *slot;

    zone = ngx_loyalty_zone();

    if (balance->ordinal >= NGX_LOYALTY_WALLETS_MAX
        || balance->wallets > NGX_LOYALTY_WALLETS_MAX)
    {
        return NGX_DECLINED;
    }

    hash = ngx_loyalty_hash(zone, member->b, 16);
    n = ngx_loyalty_cache_stamp_of(hash);

    ngx_loyalty_zone_lock(zone);

    slot = ngx_loyalty_cache_slot(zone, hash, tenant->epoch, member,
                                  balance->ordinal);

    stale = (zone->change_stamps[n] > stamp->change
             && zone->change_stamps[n] != stamp->own)
            || (slot && slot->version > balance->version);

    if (!stale) {
        ngx_loyalty_cache_put(zone, slot, hash, tenant->epoch, member,
                              balance);

    } else if (write && slot && slot->version < balance->version) {
        slot->epoch = 0;
    }

    if (write) {

        /*
         * Reads sent before this commit lose, whether it was kept or not;
         * the other balances of the same answer do not.
         */

        if (stamp->own == 0) {
            stamp->own = ++zone->change;
        }

        if (zone->change_stamps[n] < stamp->own) {
            zone->change_stamps[n] = stale ? ++zone->change : stamp->own;
        }
    }

    ngx_loyalty_zone_unlock(zone);

    if (stale) {
        ngx_loyalty_metric(CACHE_STALE);

    } else {
        ngx_loyalty_metric(CACHE_FILL);
    }

    if (write) {
        /* this node knows; the others look sooner than by their interval */
        ngx_loyalty_redis_publish();
    }

    return stale ? NGX_DECLINED : NGX_OK;
}


static void
ngx_loyalty_cache_put(ngx_loyalty_zone_t *zone, ngx_loyalty_cslot_t *slot,
    uint64_t hash, uint32_t epoch, ly_uuid_t *member,
    ngx_loyalty_balance_t *balance)
{
    if (slot == NULL) {
        slot = ngx_loyalty_cache_victim(zone, hash, balance->ordinal);
    }

    /* free while it is written: a process that dies here leaves no mixture */

    slot->epoch = 0;
    ngx_memory_barrier();

    ngx_memcpy(slot->member, member->b, 16);
    slot->ordinal = (uint8_t) balance->ordinal;
    slot->wallets = (uint8_t) balance->wallets;
    slot->used = ngx_loyalty_cache_clock();
    slot->fresh_until = balance->fresh_until;
    ngx_memcpy(slot->bucket, balance->bucket, sizeof(slot->bucket));
    slot->version = balance->version;
    slot->expiry_at = balance->expiry_at;
    slot->expiry_points = balance->expiry_points;

    ngx_memory_barrier();
    slot->epoch = epoch;
}


static ngx_loyalty_aslot_t *
ngx_loyalty_alias_set(ngx_loyalty_zone_t *zone, ngx_loyalty_tenant_t *tenant,
    ngx_str_t *ref, u_char hash[16])
{
    u_char    buf[4 + 512];
    uint64_t  n;

    if (ref->len > sizeof(buf) - 4) {
        return NULL;
    }

    ngx_memcpy(buf, &tenant->epoch, 4);
    ngx_memcpy(buf + 4, ref->data, ref->len);

    ngx_loyalty_hash16(zone, buf, 4 + ref->len, hash);

    /* the slot keeps 12 bytes of it, the last 4 and some choose the set */

    ngx_memcpy(&n, hash + 8, 8);

    return zone->aslots + n % zone->asets * NGX_LOYALTY_WAYS;
}


/* *hash is the member's */

static ngx_int_t
ngx_loyalty_alias_read(ngx_loyalty_zone_t *zone, ngx_loyalty_aslot_t *set,
    const u_char key[16], ly_uuid_t *member, uint64_t *hash)
{
    ngx_uint_t            i, n;
    ngx_loyalty_aslot_t  *slot;

    for (i = 0; i < NGX_LOYALTY_WAYS; i++) {
        slot = &set[i];

        if (ngx_memcmp(slot->hash, key, sizeof(slot->hash)) == 0) {
            ngx_memcpy(member->b, slot->member, 16);

            *hash = ngx_loyalty_hash(zone, member->b, 16);
            n = ngx_loyalty_cache_stamp_of(*hash);

            return zone->identity_stamps[n] > slot->stamp
                   || ly_uuid_is_nil(member) ? NGX_DECLINED : NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_loyalty_cache_member(ngx_loyalty_tenant_t *tenant, ngx_str_t *ref,
    ly_uuid_t *member)
{
    u_char                key[16];
    uint64_t              hash;
    ngx_int_t             rc;
    ngx_loyalty_zone_t   *zone;
    ngx_loyalty_aslot_t  *set;

    zone = ngx_loyalty_zone();

    set = ngx_loyalty_alias_set(zone, tenant, ref, key);
    if (set == NULL) {
        return NGX_DECLINED;
    }

    ngx_loyalty_zone_lock(zone);
    rc = ngx_loyalty_alias_read(zone, set, key, member, &hash);
    ngx_loyalty_zone_unlock(zone);

    return rc;
}


ngx_int_t
ngx_loyalty_cache_alias(ngx_loyalty_tenant_t *tenant, ngx_str_t *ref,
    ly_uuid_t *member, ngx_loyalty_stamp_t *stamp)
{
    u_char                hash[16];
    ngx_int_t             rc;
    ngx_uint_t            i, n;
    ngx_loyalty_zone_t   *zone;
    ngx_loyalty_aslot_t  *slot, *set;

    zone = ngx_loyalty_zone();

    set = ngx_loyalty_alias_set(zone, tenant, ref, hash);
    if (set == NULL) {
        return NGX_DECLINED;
    }

    n = ngx_loyalty_cache_stamp_of(ngx_loyalty_hash(zone, member->b, 16));
    rc = NGX_DECLINED;
    slot = NULL;

    ngx_loyalty_zone_lock(zone);

    if (zone->identity_stamps[n] <= stamp->member) {

        for (i = 0; i < NGX_LOYALTY_WAYS; i++) {
            if (ngx_memcmp(set[i].hash, hash, sizeof(set[i].hash)) == 0) {
                slot = &set[i];
                break;
            }

            if (slot == NULL && ly_uuid_is_nil((ly_uuid_t *) set[i].member)) {
                slot = &set[i];
            }
        }

        if (slot == NULL) {
            slot = &set[ngx_current_msec % NGX_LOYALTY_WAYS];
        }

        ngx_memzero(slot->member, 16);
        ngx_memory_barrier();

        ngx_memcpy(slot->hash, hash, sizeof(slot->hash));
        slot->stamp = stamp->member;
        ngx_memory_barrier();

        ngx_memcpy(slot->member, member->b, 16);

        rc = NGX_OK;
    }

    ngx_loyalty_zone_unlock(zone);

    return rc;
}


void
ngx_loyalty_cache_void(ngx_loyalty_tenant_t *tenant, ly_uuid_t *member,
    ngx_uint_t identity)
{
    ngx_loyalty_zone_t  *zone;

    zone = ngx_loyalty_zone();

    ngx_loyalty_zone_lock(zone);
    ngx_loyalty_cache_void_locked(zone, tenant->epoch, tenant->nwallets,
                                  member, identity);
    ngx_loyalty_zone_unlock(zone);
}


void
ngx_loyalty_cache_void_locked(ngx_loyalty_zone_t *zone, uint32_t epoch,
    ngx_uint_t wallets, ly_uuid_t *member, ngx_uint_t identity)
{
    uint64_t              hash;
    ngx_uint_t            i, n;
    ngx_loyalty_cslot_t  *slot;

    hash = ngx_loyalty_hash(zone, member->b, 16);
    n = ngx_loyalty_cache_stamp_of(hash);

    /* first the stamp: from here on no older query can fill */

    zone->change_stamps[n] = ++zone->change;

    if (identity) {
        zone->identity_stamps[n] = (uint32_t)++ zone->identity;
    }

    if (epoch) {
        wallets = ngx_min(wallets, NGX_LOYALTY_WALLETS_MAX);

        for (i = 0; i < wallets; i++) {
            slot = ngx_loyalty_cache_slot(zone, hash, epoch, member, i);

            if (slot) {
                slot->epoch = 0;
            }
        }
    }

    ngx_loyalty_metric(CACHE_VOID);
}
