/*
 * The shared memory of the edge: the directory in hash tables from the slab
 * allocator, the caches in arrays of fixed slots, the counters, and the state
 * of the feed.
 *
 * Rules: no function pointer and nothing outside of the zone is ever stored in
 * it.  One mutex, the slab pool's, because the master frees that one when its
 * holder dies.  Every change becomes visible by one store of a word, so that
 * one left half done is a leak at worst.
 */

#ifndef NGX_LOYALTY_ZONE_H_INCLUDED_
#define NGX_LOYALTY_ZONE_H_INCLUDED_

#include "ngx_loyalty.h"
#include "ngx_loyalty_pg.h"


#define NGX_LOYALTY_ZONE_LAYOUT   2     /* any change of a struct below */
#define NGX_LOYALTY_ZONE_MIN      (2 * 1024 * 1024)

#define NGX_LOYALTY_PROCESSES     64    /* slots of processes of a node */
#define NGX_LOYALTY_WAYS          8     /* slots that a key may stand in */
#define NGX_LOYALTY_STAMPS        32768 /* members share stamps by hash */
#define NGX_LOYALTY_MARK_MAX      8192  /* text of a snapshot */
#define NGX_LOYALTY_INC_MAX       128   /* text of an incarnation */
#define NGX_LOYALTY_LATENCIES     12


/* a record of the directory: next, hash, then klen bytes of key, then data */
typedef struct ngx_loyalty_record_s  ngx_loyalty_record_t;

struct ngx_loyalty_record_s {
    ngx_loyalty_record_t  *next;
    uint64_t             hash;
    uint32_t             mark;          /* of the last full read */
    uint32_t             size;          /* of the data */
    uint32_t             klen;
    uint32_t             spare;
};

/* data follows the key, aligned */
#define ngx_loyalty_record_key(n)                                             \
    ((u_char *) (n) + sizeof(ngx_loyalty_record_t))
#define ngx_loyalty_record_data(n)                                            \
    (ngx_loyalty_record_key(n) + ngx_align((n)->klen, 8))

typedef struct {
    ngx_loyalty_record_t **buckets;
    uint64_t             mask;
    ngx_atomic_t         count;
} ngx_loyalty_table_t;

enum {
    NGX_LOYALTY_T_NAME = 0,     /* "h" host or "s" slug -> tenant id */
    NGX_LOYALTY_T_TENANT,       /* id -> ngx_loyalty_tenant_head_t, JSON */
    NGX_LOYALTY_T_WALLET,       /* id, ordinal (2) -> code */
    NGX_LOYALTY_T_PLAN,         /* code -> ngx_loyalty_plan_t */
    NGX_LOYALTY_T_KEY,          /* digest -> ngx_loyalty_key_rec_t */
    NGX_LOYALTY_T_SIGNING,      /* kid -> version (8), JSON */
    NGX_LOYALTY_T_REVOCATION,   /* 64-bit keyed hash -> not_before, until */
    NGX_LOYALTY_TABLES
};


typedef struct {
    u_char    member[16];
    uint32_t  epoch;            /* 0: the slot is free */
    uint8_t   ordinal;
    uint8_t   wallets;
    uint16_t  used;             /* second of the last use, wrapping */
    int64_t   fresh_until;
    int64_t   bucket[8];
    int64_t   version;
    int64_t   expiry_at;
    int64_t   expiry_points;
} ngx_loyalty_cslot_t;          /* 120 bytes */

typedef struct {
    u_char    hash[12];         /* keyed, of epoch and reference */
    uint32_t  stamp;            /* of identities, when it was asked */
    u_char    member[16];
} ngx_loyalty_aslot_t;          /* 32 bytes */

typedef struct {
    u_char    key[16];          /* keyed hash of policy and id */
    uint64_t  tat;              /* ns on the monotonic clock; 0: free */
} ngx_loyalty_bslot_t;

typedef struct {
    u_char    digest[32];       /* SHA-256 of the token */
    u_char    tenant[16];
    u_char    id[16];
    uint64_t  scopes;
    int64_t   exp;              /* us; 0: the slot is free */
    int64_t   iat;              /* us */
    uint64_t  session;          /* keyed hashes, as revocations are kept */
    uint64_t  subject;
    uint64_t  kid;
    uint32_t  epoch;            /* of the signing keys */
    uint16_t  kind;
    uint16_t  live;
} ngx_loyalty_tslot_t;


typedef ngx_atomic_t  ngx_loyalty_pools_t[NGX_LOYALTY_PG_FIRST_GAUGE];

typedef struct {
    ngx_atomic_t  pid;          /* 0: free */
    ngx_atomic_t  beat;         /* ms, monotonic */
    ngx_atomic_t  gauges[4];
    ngx_atomic_t  pools[NGX_LOYALTY_POOL_COUNT][NGX_LOYALTY_PG_GAUGES];
} ngx_loyalty_pslot_t;


typedef struct {
    uint32_t              layout;
    uint32_t              ready;        /* 1 once all below stands */
    uint64_t              size;
    u_char                secret[16];   /* of the keyed hashes */

    /* the directory */
    ngx_loyalty_table_t   tables[NGX_LOYALTY_TABLES];
    ngx_atomic_t          version;      /* + 1 after each change of it */
    uint32_t              epochs;       /* the last one given to a tenant */
    uint32_t              signing_epoch;
    uint32_t              mark;         /* of the full read under way */
    ngx_atomic_t          complete;     /* the first full read is done */
    ngx_atomic_t          partial;      /* a record found no room */
    ngx_atomic_t          fed;          /* ms, monotonic: last good read */

    /* the feed */
    ngx_atomic_t          owner;        /* pid */
    ngx_atomic_t          owner_beat;   /* ms, monotonic */
    ngx_atomic_t          owner_wanted; /* hints: + 1 asks for a read */
    uint32_t              since_len;
    u_char                since[NGX_LOYALTY_MARK_MAX];
    uint32_t              incarnation_len;
    u_char                incarnation[NGX_LOYALTY_INC_MAX];
    u_char                node[16];     /* text: this node among others */

    /* caches */
    ngx_loyalty_cslot_t  *cslots;
    uint64_t              csets;        /* sets of NGX_LOYALTY_WAYS slots */
    ngx_loyalty_aslot_t  *aslots;
    uint64_t              asets;
    ngx_loyalty_bslot_t  *bslots;
    uint64_t              bsets;
    ngx_loyalty_tslot_t  *tslots;
    uint64_t              tsets;

    ngx_atomic_t          change;       /* counts changes of balances */
    ngx_atomic_t          identity;     /* counts changes of members */
    uint64_t              change_stamps[NGX_LOYALTY_STAMPS];
    uint32_t              identity_stamps[NGX_LOYALTY_STAMPS];

    /* the counters */
    ngx_atomic_t          metrics[NGX_LOYALTY_METRIC_COUNT];
    ngx_atomic_t          requests[NGX_LOYALTY_ROUTES_MAX + 1][6];
    ngx_atomic_t          latency[NGX_LOYALTY_LATENCIES + 1];
    ngx_atomic_t          latency_sum;  /* ms */
    ngx_atomic_t          latency_db[NGX_LOYALTY_LATENCIES + 1];
    ngx_atomic_t          latency_db_sum;
    ngx_loyalty_pools_t   pools[NGX_LOYALTY_POOL_COUNT];
    ngx_loyalty_pslot_t   processes[NGX_LOYALTY_PROCESSES];
} ngx_loyalty_zone_t;


/* loyalty_zone's init handler; data of the old cycle if there was one */
ngx_int_t ngx_loyalty_zone_init(ngx_shm_zone_t *shm_zone, void *data);

/* of the cycle in force; NULL without one */
ngx_loyalty_zone_t *ngx_loyalty_zone(void);

void ngx_loyalty_zone_lock(ngx_loyalty_zone_t *zone);
void ngx_loyalty_zone_unlock(ngx_loyalty_zone_t *zone);


/* SipHash-2-4 under the zone's secret; out: 8 and 16 bytes */
uint64_t ngx_loyalty_hash(ngx_loyalty_zone_t *zone, const void *data,
    size_t len);
void ngx_loyalty_hash16(ngx_loyalty_zone_t *zone, const void *data, size_t len,
    u_char out[16]);

/* as hash16; for what one process hashes often, 8 to 40 bytes of it */
void ngx_loyalty_hash16_known(ngx_loyalty_zone_t *zone, const void *data,
    size_t len, u_char out[16]);


/*
 * Tables; all with the lock held.  What find returns is valid until unlock.
 * put copies key and data; NGX_ERROR: no room (counted), the old record if any
 * is gone then, because it is known to be outdated.
 */
ngx_loyalty_record_t *ngx_loyalty_table_find(ngx_loyalty_zone_t *zone,
    ngx_uint_t table, const void *key, size_t klen);
ngx_loyalty_record_t *ngx_loyalty_table_find_known(ngx_loyalty_zone_t *zone,
    ngx_uint_t table, const void *key, size_t klen);
ngx_int_t ngx_loyalty_table_put(ngx_loyalty_zone_t *zone, ngx_uint_t table,
    const void *key, size_t klen, const ngx_str_t *parts, ngx_uint_t n);
void ngx_loyalty_table_delete(ngx_loyalty_zone_t *zone, ngx_uint_t table,
    const void *key, size_t klen);

/* drops what the full read under way did not give; all tables */
void ngx_loyalty_tables_sweep(ngx_loyalty_zone_t *zone);


/* slot of this process, taken at its first call; NULL: all are taken */
ngx_loyalty_pslot_t *ngx_loyalty_zone_process(ngx_loyalty_zone_t *zone);
void ngx_loyalty_zone_leave(ngx_loyalty_zone_t *zone);

/* where a pool of this process counts: into conf; without a slot no gauges */
void ngx_loyalty_zone_pool_conf(ngx_loyalty_zone_t *zone,
    ngx_loyalty_pslot_t *slot, ngx_uint_t pool, ngx_loyalty_pg_conf_t *conf);

/* ms on the clock that all processes of the node share; never 0 */
ngx_atomic_uint_t ngx_loyalty_now_ms(void);

/* us since the epoch, from the cached time */
int64_t ngx_loyalty_now_us(void);


#endif /* NGX_LOYALTY_ZONE_H_INCLUDED_ */
