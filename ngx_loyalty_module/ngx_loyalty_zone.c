#include "ngx_loyalty_zone.h"
#include "ly_crypto.h"


static ngx_int_t ngx_loyalty_zone_layout(ngx_loyalty_zone_t *zone,
    ngx_slab_pool_t *shpool, size_t size);
static void *ngx_loyalty_zone_slots(ngx_slab_pool_t *shpool, size_t bytes,
    size_t slot, uint64_t *sets);
static ngx_slab_pool_t *ngx_loyalty_zone_pool(ngx_loyalty_zone_t *zone);
static void ngx_loyalty_sip(const u_char secret[16], const u_char *data,
    size_t len, ngx_uint_t wide, uint64_t out[2]);
static void ngx_loyalty_sip_known(const u_char secret[16],
    const u_char *data, size_t len, ngx_uint_t wide, uint64_t out[2]);
static ngx_loyalty_record_t **ngx_loyalty_table_link(ngx_loyalty_zone_t *zone,
    ngx_loyalty_table_t *table, const void *key, size_t klen, uint64_t hash);


/* what this process has hashed: keys and addresses come again and again */

#define NGX_LOYALTY_KNOWN_BITS  6


typedef struct {
    u_char    secret[16];
    uint64_t  out[2];
    uint32_t  len;
    uint32_t  wide;
    u_char    data[40];
} ngx_loyalty_known_t;


static ngx_loyalty_known_t  ngx_loyalty_known[1 << NGX_LOYALTY_KNOWN_BITS];


ngx_int_t
ngx_loyalty_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_slab_pool_t     *shpool;
    ngx_loyalty_zone_t  *old, *zone;

    old = data;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old == NULL && shm_zone->shm.exists) {
        old = shpool->data;
    }

    if (old) {

        /* the same memory, by its name, size and tag */

        if (old->layout != NGX_LOYALTY_ZONE_LAYOUT || !old->ready
            || old->size != shm_zone->shm.size)
        {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "the loyalty zone in use has layout %uD, this "
                          "module has %d: load it by a binary upgrade",
                          old->layout, NGX_LOYALTY_ZONE_LAYOUT);
            return NGX_ERROR;
        }

        shm_zone->data = old;

        return NGX_OK;
    }

    zone = ngx_slab_calloc(shpool, sizeof(ngx_loyalty_zone_t));
    if (zone == NULL) {
        return NGX_ERROR;
    }

    /* a full zone is our own business: counted, and said once in a while */
    shpool->log_nomem = 0;

    zone->size = shm_zone->shm.size;

    if (ngx_loyalty_zone_layout(zone, shpool, shm_zone->shm.size) != NGX_OK) {
        return NGX_ERROR;
    }

    zone->layout = NGX_LOYALTY_ZONE_LAYOUT;
    zone->ready = 1;

    shpool->data = zone;
    shm_zone->data = zone;

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_zone_layout(ngx_loyalty_zone_t *zone, ngx_slab_pool_t *shpool,
    size_t size)
{
    size_t      rest;
    uint64_t    mask;
    ngx_uint_t  i;

    if (ly_random(zone->node, sizeof(zone->node)) != LY_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < sizeof(zone->node); i++) {
        zone->node[i] = "abcdefghijklmnop"[zone->node[i] % 16];
    }

    if (ly_random(zone->secret, sizeof(zone->secret)) != LY_OK) {
        return NGX_ERROR;
    }

    rest = size - sizeof(ngx_loyalty_zone_t);

    /* of the rest: balances 45 %, aliases 8, buckets 8, tokens 8 */

    zone->cslots = ngx_loyalty_zone_slots(shpool, rest / 100 * 45,
                                          sizeof(ngx_loyalty_cslot_t),
                                          &zone->csets);
    zone->aslots = ngx_loyalty_zone_slots(shpool, rest / 100 * 8,
                                          sizeof(ngx_loyalty_aslot_t),
                                          &zone->asets);
    zone->bslots = ngx_loyalty_zone_slots(shpool, rest / 100 * 8,
                                          sizeof(ngx_loyalty_bslot_t),
                                          &zone->bsets);
    zone->tslots = ngx_loyalty_zone_slots(shpool, rest / 100 * 8,
                                          sizeof(ngx_loyalty_tslot_t),
                                          &zone->tsets);

    if (zone->cslots == NULL || zone->aslots == NULL || zone->bslots == NULL
        || zone->tslots == NULL)
    {
        return NGX_ERROR;
    }

    /* what is left is the directory's, about 1 KiB a chain */

    for (mask = 256; mask * 4096 < size / 4 && mask < 1 << 20; mask *= 2) {
        /* void */
    }

    mask--;
    size = (mask + 1) * sizeof(ngx_loyalty_record_t *);

    for (i = 0; i < NGX_LOYALTY_TABLES; i++) {
        zone->tables[i].mask = mask;
        zone->tables[i].buckets = ngx_slab_calloc(shpool, size);
        if (zone->tables[i].buckets == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void *
ngx_loyalty_zone_slots(ngx_slab_pool_t *shpool, size_t bytes, size_t slot,
    uint64_t *sets)
{
    *sets = bytes / (slot * NGX_LOYALTY_WAYS);

    if (*sets == 0) {
        return NULL;
    }

    return ngx_slab_calloc(shpool, *sets * slot * NGX_LOYALTY_WAYS);
}


ngx_loyalty_zone_t *
ngx_loyalty_zone(void)
{
    ngx_loyalty_main_conf_t  *lmcf;

    lmcf = ngx_loyalty_main_conf();

    return (lmcf == NULL || lmcf->zone == NULL) ? NULL : lmcf->zone->data;
}


static ngx_slab_pool_t *
ngx_loyalty_zone_pool(ngx_loyalty_zone_t *zone)
{
    return (ngx_slab_pool_t *) ngx_loyalty_main_conf()->zone->shm.addr;
}


void
ngx_loyalty_zone_lock(ngx_loyalty_zone_t *zone)
{
    ngx_shmtx_lock(&ngx_loyalty_zone_pool(zone)->mutex);
}


void
ngx_loyalty_zone_unlock(ngx_loyalty_zone_t *zone)
{
    ngx_shmtx_unlock(&ngx_loyalty_zone_pool(zone)->mutex);
}


/* J.-P. Aumasson, D. J. Bernstein: SipHash-2-4, and its 128-bit output */

#define ngx_loyalty_rotl(x, b)  (((x) << (b)) | ((x) >> (64 - (b))))

#define ngx_loyalty_sip_round(v)                                              \
    (v)[0] += (v)[1]; (v)[1] = ngx_loyalty_rotl((v)[1], 13);                  \
    (v)[1] ^= (v)[0]; (v)[0] = ngx_loyalty_rotl((v)[0], 32);                  \
    (v)[2] += (v)[3]; (v)[3] = ngx_loyalty_rotl((v)[3], 16);                  \
    (v)[3] ^= (v)[2];                                                         \
    (v)[0] += (v)[3]; (v)[3] = ngx_loyalty_rotl((v)[3], 21);                  \
    (v)[3] ^= (v)[0];                                                         \
    (v)[2] += (v)[1]; (v)[1] = ngx_loyalty_rotl((v)[1], 17);                  \
    (v)[1] ^= (v)[2]; (v)[2] = ngx_loyalty_rotl((v)[2], 32)


static void
ngx_loyalty_sip(const u_char secret[16], const u_char *data, size_t len,
    ngx_uint_t wide, uint64_t out[2])
{
    size_t      left;
    uint64_t    k[2], m, v[4];
    ngx_uint_t  i;

    ngx_memcpy(k, secret, 16);

    v[0] = k[0] ^ 0x736f6d6570736575ULL;
    v[1] = k[1] ^ 0x646f72616e646f6dULL ^ (wide ? 0xee : 0);
    v[2] = k[0] ^ 0x6c7967656e657261ULL;
    v[3] = k[1] ^ 0x7465646279746573ULL;

    for (left = len; left >= 8; left -= 8, data += 8) {
        ngx_memcpy(&m, data, 8);
        v[3] ^= m;
        ngx_loyalty_sip_round(v);
        ngx_loyalty_sip_round(v);
        v[0] ^= m;
    }

    m = (uint64_t) len << 56;

    for (i = 0; i < left; i++) {
        m |= (uint64_t) data[i] << (8 * i);
    }

    v[3] ^= m;
    ngx_loyalty_sip_round(v);
    ngx_loyalty_sip_round(v);
    v[0] ^= m;

    v[2] ^= wide ? 0xee : 0xff;

    for (i = 0; i < 4; i++) {
        ngx_loyalty_sip_round(v);
    }

    out[0] = v[0] ^ v[1] ^ v[2] ^ v[3];

    if (!wide) {
        return;
    }

    v[1] ^= 0xdd;

    for (i = 0; i < 4; i++) {
        ngx_loyalty_sip_round(v);
    }

    out[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}


/* whoever chooses the data to meet in one place makes it no worse than sip */

static void
ngx_loyalty_sip_known(const u_char secret[16], const u_char *data, size_t len,
    ngx_uint_t wide, uint64_t out[2])
{
    uint64_t              n;
    ngx_loyalty_known_t  *k;

    if (len < sizeof(n) || len > sizeof(k->data)) {
        ngx_loyalty_sip(secret, data, len, wide, out);
        return;
    }

    ngx_memcpy(&n, data + len - sizeof(n), sizeof(n));

    k = &ngx_loyalty_known[n * 0x9e3779b97f4a7c15ULL
                           >> (64 - NGX_LOYALTY_KNOWN_BITS)];

    if (k->len != len || k->wide != wide
        || ngx_memcmp(k->secret, secret, 16) != 0
        || ngx_memcmp(k->data, data, len) != 0)
    {
        k->out[1] = 0;
        ngx_loyalty_sip(secret, data, len, wide, k->out);

        ngx_memcpy(k->secret, secret, 16);
        ngx_memcpy(k->data, data, len);
        k->len = (uint32_t) len;
        k->wide = (uint32_t) wide;
    }

    out[0] = k->out[0];
    out[1] = k->out[1];
}


uint64_t
ngx_loyalty_hash(ngx_loyalty_zone_t *zone, const void *data, size_t len)
{
    uint64_t  out[2];

    ngx_loyalty_sip(zone->secret, data, len, 0, out);

    return out[0];
}


void
ngx_loyalty_hash16(ngx_loyalty_zone_t *zone, const void *data, size_t len,
    u_char out[16])
{
    uint64_t  hash[2];

    ngx_loyalty_sip(zone->secret, data, len, 1, hash);
    ngx_memcpy(out, hash, 16);
}


void
ngx_loyalty_hash16_known(ngx_loyalty_zone_t *zone, const void *data,
    size_t len, u_char out[16])
{
    uint64_t  hash[2];

    ngx_loyalty_sip_known(zone->secret, data, len, 1, hash);
    ngx_memcpy(out, hash, 16);
}


/* the word that points to the record, or the one it would be put into */

static ngx_loyalty_record_t **
ngx_loyalty_table_link(ngx_loyalty_zone_t *zone, ngx_loyalty_table_t *table,
    const void *key, size_t klen, uint64_t hash)
{
    ngx_loyalty_record_t  *node, **link;

    link = &table->buckets[hash & table->mask];

    for ( ;; ) {
        node = *link;

        if (node == NULL
            || (node->hash == hash && node->klen == klen
                && ngx_memcmp(ngx_loyalty_record_key(node), key, klen) == 0))
        {
            return link;
        }

        link = &node->next;
    }
}


ngx_loyalty_record_t *
ngx_loyalty_table_find(ngx_loyalty_zone_t *zone, ngx_uint_t table,
    const void *key, size_t klen)
{
    return *ngx_loyalty_table_link(zone, &zone->tables[table], key, klen,
                                   ngx_loyalty_hash(zone, key, klen));
}


ngx_loyalty_record_t *
ngx_loyalty_table_find_known(ngx_loyalty_zone_t *zone, ngx_uint_t table,
    const void *key, size_t klen)
{
    uint64_t  hash[2];

    ngx_loyalty_sip_known(zone->secret, key, klen, 0, hash);

    return *ngx_loyalty_table_link(zone, &zone->tables[table], key, klen,
                                   hash[0]);
}


ngx_int_t
ngx_loyalty_table_put(ngx_loyalty_zone_t *zone, ngx_uint_t table,
    const void *key, size_t klen, const ngx_str_t *parts, ngx_uint_t n)
{
    size_t                size;
    u_char               *p;
    uint64_t              hash;
    ngx_uint_t            i;
    ngx_loyalty_record_t   *node, *old, **link;
    ngx_loyalty_table_t  *t;

    size = 0;

    for (i = 0; i < n; i++) {
        size += parts[i].len;
    }

    t = &zone->tables[table];
    hash = ngx_loyalty_hash(zone, key, klen);

    node = ngx_slab_alloc_locked(ngx_loyalty_zone_pool(zone),
                                 sizeof(ngx_loyalty_record_t)
                                 + ngx_align(klen, 8) + size);
    if (node == NULL) {
        ngx_loyalty_metric(ZONE_FULL);
        ngx_loyalty_table_delete(zone, table, key, klen);
        return NGX_ERROR;
    }

    node->hash = hash;
    node->mark = zone->mark;
    node->size = (uint32_t) size;
    node->klen = (uint32_t) klen;
    node->spare = 0;

    ngx_memcpy(ngx_loyalty_record_key(node), key, klen);

    p = ngx_loyalty_record_data(node);

    for (i = 0; i < n; i++) {
        p = ngx_cpymem(p, parts[i].data, parts[i].len);
    }

    link = ngx_loyalty_table_link(zone, t, key, klen, hash);
    old = *link;

    node->next = old ? old->next : NULL;

    ngx_memory_barrier();

    *link = node;

    if (old) {
        ngx_slab_free_locked(ngx_loyalty_zone_pool(zone), old);

    } else {
        t->count++;
    }

    return NGX_OK;
}


void
ngx_loyalty_table_delete(ngx_loyalty_zone_t *zone, ngx_uint_t table,
    const void *key, size_t klen)
{
    ngx_loyalty_record_t   *node, **link;
    ngx_loyalty_table_t  *t;

    t = &zone->tables[table];
    link = ngx_loyalty_table_link(zone, t, key, klen,
                                  ngx_loyalty_hash(zone, key, klen));
    node = *link;

    if (node) {
        *link = node->next;
        t->count--;
        ngx_slab_free_locked(ngx_loyalty_zone_pool(zone), node);
    }
}


void
ngx_loyalty_tables_sweep(ngx_loyalty_zone_t *zone)
{
    uint64_t              b;
    ngx_uint_t            i, n;
    ngx_loyalty_record_t   *node, **link;
    ngx_loyalty_table_t  *t;

    for (i = 0; i < NGX_LOYALTY_TABLES; i++) {
        t = &zone->tables[i];

        for (n = 0, b = 0; b <= t->mask; b++) {
            link = &t->buckets[b];

            while ((node = *link) != NULL) {
                if (node->mark == zone->mark) {
                    link = &node->next;
                    n++;
                    continue;
                }

                *link = node->next;
                ngx_slab_free_locked(ngx_loyalty_zone_pool(zone), node);
            }
        }

        /* counted anew: a process that died may have left it off by one */

        t->count = n;
    }
}


ngx_loyalty_pslot_t *
ngx_loyalty_zone_process(ngx_loyalty_zone_t *zone)
{
    ngx_uint_t            i, n;
    ngx_loyalty_pslot_t  *slot;

    for (i = 0; i < NGX_LOYALTY_PROCESSES; i++) {
        if (zone->processes[i].pid == (ngx_atomic_uint_t) ngx_pid) {
            return &zone->processes[i];
        }
    }

    /* free ones first: of those that a process left, its socket is to reap */

    for (i = 0; i < 2 * NGX_LOYALTY_PROCESSES; i++) {
        slot = &zone->processes[i % NGX_LOYALTY_PROCESSES];
        n = slot->pid;

        /* 10 s without a beat: its process is gone */

        if (n != 0
            && (i < NGX_LOYALTY_PROCESSES
                || ngx_loyalty_now_ms() - slot->beat < 10000))
        {
            continue;
        }

        if (ngx_atomic_cmp_set(&slot->pid, n, (ngx_atomic_uint_t) ngx_pid)) {
            ngx_memzero((void *) slot->gauges, sizeof(slot->gauges));
            ngx_memzero((void *) slot->pools, sizeof(slot->pools));
            slot->beat = ngx_loyalty_now_ms();
            return slot;
        }
    }

    return NULL;
}


void
ngx_loyalty_zone_leave(ngx_loyalty_zone_t *zone)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_LOYALTY_PROCESSES; i++) {
        if (zone->processes[i].pid == (ngx_atomic_uint_t) ngx_pid) {
            ngx_memzero((void *) zone->processes[i].gauges,
                        sizeof(zone->processes[i].gauges));
            ngx_memzero((void *) zone->processes[i].pools,
                        sizeof(zone->processes[i].pools));
            zone->processes[i].pid = 0;
        }
    }
}


void
ngx_loyalty_zone_pool_conf(ngx_loyalty_zone_t *zone,
    ngx_loyalty_pslot_t *slot, ngx_uint_t pool, ngx_loyalty_pg_conf_t *conf)
{
    conf->counters = zone->pools[pool];
    conf->gauges = slot ? slot->pools[pool] : NULL;
}


ngx_atomic_uint_t
ngx_loyalty_now_ms(void)
{
    return ngx_current_msec ? ngx_current_msec : 1;
}


int64_t
ngx_loyalty_now_us(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000000 + (int64_t) tp->msec * 1000;
}
