#include "ngx_loyalty_local.h"
#include "ngx_loyalty_directory.h"
#include "ly_base64.h"


#define NGX_LOYALTY_SCRATCH  (1024 * 1024)


static void ngx_loyalty_names_flush(ngx_loyalty_local_t *local);
static ngx_int_t ngx_loyalty_tenant_find(ngx_loyalty_main_conf_t *lmcf,
    ngx_str_t *host, ngx_loyalty_tenant_t *old, ngx_loyalty_tenant_t **tenant);
static ngx_loyalty_record_t *ngx_loyalty_tenant_record(
    ngx_loyalty_main_conf_t *lmcf, ngx_loyalty_zone_t *zone, ngx_str_t *host);
static ngx_loyalty_tenant_t *ngx_loyalty_tenant_make(ngx_loyalty_zone_t *zone,
    ngx_loyalty_record_t *node);
static ngx_int_t ngx_loyalty_tenant_wallets(ngx_loyalty_zone_t *zone,
    ngx_loyalty_tenant_t *tenant);
static ngx_int_t ngx_loyalty_tenant_parse(ngx_loyalty_local_t *local,
    ngx_loyalty_tenant_t *tenant, ngx_str_t *json);
static ngx_int_t ngx_loyalty_tenant_fields(ngx_loyalty_tenant_t *tenant,
    const ly_json_node_t *root);
static ngx_int_t ngx_loyalty_tenant_origins(ngx_loyalty_tenant_t *tenant,
    const ly_json_node_t *root);
static ngx_int_t ngx_loyalty_pool_copy(ngx_pool_t *pool, ngx_str_t *dst,
    ngx_str_t src);
static ngx_int_t ngx_loyalty_plan_read(ngx_loyalty_zone_t *zone,
    ngx_str_t *code, ngx_loyalty_plan_t *plan);
static ngx_loyalty_load_t *ngx_loyalty_load_get(ngx_loyalty_local_t *local,
    ly_uuid_t *id);
static void ngx_loyalty_load_put(ngx_loyalty_local_t *local,
    ngx_loyalty_load_t *load);
static void ngx_loyalty_signing_load(ngx_loyalty_local_t *local,
    ngx_loyalty_signing_t *sk, ngx_str_t *json);


ngx_loyalty_local_t *
ngx_loyalty_local(void)
{
    ngx_loyalty_main_conf_t  *lmcf;

    lmcf = ngx_loyalty_main_conf();

    return lmcf ? lmcf->local : NULL;
}


ngx_int_t
ngx_loyalty_local_init(ngx_cycle_t *cycle, ngx_loyalty_main_conf_t *lmcf)
{
    ngx_loyalty_local_t  *local;

    local = ngx_pcalloc(cycle->pool, sizeof(ngx_loyalty_local_t));
    if (local == NULL) {
        return NGX_ERROR;
    }

    local->cycle = cycle;
    local->issuer = lmcf->issuer;
    local->reads = ngx_loyalty_scope_reads();
    local->crypto = ly_crypto_create();
    local->scratch = ly_arena_create(NGX_LOYALTY_SCRATCH, NULL);

    if (local->crypto == NULL || local->scratch == NULL) {
        return NGX_ERROR;
    }

    local->process = ngx_loyalty_zone_process(lmcf->zone->data);

    lmcf->local = local;

    return NGX_OK;
}


ngx_int_t
ngx_loyalty_random(u_char *out, size_t len)
{
    u_char               *p;
    ngx_loyalty_local_t  *local;

    local = ngx_loyalty_local();

    if (local->random_left < len) {
        if (ly_random(local->random, sizeof(local->random)) != LY_OK) {
            return NGX_ERROR;
        }

        local->random_left = sizeof(local->random);
    }

    local->random_left -= len;
    p = local->random + local->random_left;

    ngx_memcpy(out, p, len);
    ngx_memzero(p, len);

    return NGX_OK;
}


ngx_int_t
ngx_loyalty_tenant_by_host(ngx_loyalty_main_conf_t *lmcf, ngx_str_t *host,
    ngx_loyalty_tenant_t **tenant)
{
    uint64_t               version;
    ngx_int_t              rc;
    ngx_uint_t             n;
    ngx_loyalty_zone_t    *zone;
    ngx_loyalty_name_t    *name;
    ngx_loyalty_local_t   *local;
    ngx_loyalty_tenant_t  *fresh;

    zone = lmcf->zone->data;
    local = lmcf->local;
    version = zone->version;

    n = ngx_hash_key(host->data, host->len) % NGX_LOYALTY_LOCAL_NAMES;

    for (name = local->names[n]; name; name = name->next) {
        if (name->len == host->len
            && ngx_memcmp(name->data, host->data, host->len) == 0)
        {
            break;
        }
    }

    if (name && name->tenant && name->version == version) {
        name->tenant->refs++;
        *tenant = name->tenant;
        return NGX_OK;
    }

    rc = ngx_loyalty_tenant_find(lmcf, host, name ? name->tenant : NULL,
                                 &fresh);

    if (rc != NGX_OK) {
        /* an unknown host leaves nothing behind here */

        if (name && name->tenant) {
            ngx_loyalty_tenant_release(name->tenant);
            name->tenant = NULL;
        }

        if (rc == NGX_DECLINED && !ngx_loyalty_directory_whole(zone)) {
            return NGX_BUSY;
        }

        return rc;
    }

    if (name == NULL) {

        if (local->nnames >= NGX_LOYALTY_LOCAL_NAMES * 8) {
            ngx_loyalty_names_flush(local);
        }

        name = ngx_calloc(sizeof(ngx_loyalty_name_t) + host->len,
                          local->cycle->log);
        if (name == NULL) {
            ngx_loyalty_tenant_release(fresh);
            return NGX_ERROR;
        }

        name->len = host->len;
        ngx_memcpy(name->data, host->data, host->len);

        name->next = local->names[n];
        local->names[n] = name;
        local->nnames++;
    }

    if (name->tenant) {
        ngx_loyalty_tenant_release(name->tenant);
    }

    /* one reference is the table's, one the caller's */

    name->tenant = fresh;
    name->version = version;
    fresh->refs++;

    *tenant = fresh;

    return NGX_OK;
}


static void
ngx_loyalty_names_flush(ngx_loyalty_local_t *local)
{
    ngx_uint_t           i;
    ngx_loyalty_name_t  *name, *next;

    for (i = 0; i < NGX_LOYALTY_LOCAL_NAMES; i++) {
        for (name = local->names[i]; name; name = next) {
            next = name->next;

            if (name->tenant) {
                ngx_loyalty_tenant_release(name->tenant);
            }

            ngx_free(name);
        }

        local->names[i] = NULL;
    }

    local->nnames = 0;
}


/*
 * The host itself, else the slug in front of the base domain.  Under the
 * zone's lock.
 */

static ngx_loyalty_record_t *
ngx_loyalty_tenant_record(ngx_loyalty_main_conf_t *lmcf,
    ngx_loyalty_zone_t *zone, ngx_str_t *host)
{
    size_t               len;
    u_char               key[256];
    ngx_loyalty_record_t  *node;

    if (host->len == 0 || host->len >= sizeof(key)) {
        return NULL;
    }

    key[0] = 'h';
    ngx_memcpy(key + 1, host->data, host->len);

    node = ngx_loyalty_table_find(zone, NGX_LOYALTY_T_NAME, key,
                                  host->len + 1);

    if (node == NULL && lmcf->domain.len + 1 < host->len) {

        len = host->len - lmcf->domain.len - 1;

        if (lmcf->domain.len == 0
            || host->data[len] != '.'
            || ngx_memcmp(host->data + len + 1, lmcf->domain.data,
                          lmcf->domain.len)
            != 0
            || ngx_strlchr(host->data, host->data + len, '.') != NULL)
        {
            return NULL;
        }

        key[0] = 's';
        node = ngx_loyalty_table_find(zone, NGX_LOYALTY_T_NAME, key, len + 1);
    }

    if (node == NULL) {
        return NULL;
    }

    return ngx_loyalty_table_find(zone, NGX_LOYALTY_T_TENANT,
                                  ngx_loyalty_record_data(node), 16);
}


static ngx_int_t
ngx_loyalty_tenant_find(ngx_loyalty_main_conf_t *lmcf, ngx_str_t *host,
    ngx_loyalty_tenant_t *old, ngx_loyalty_tenant_t **tenant)
{
    ngx_str_t                   json;
    ngx_int_t                   rc;
    ngx_loyalty_record_t         *node;
    ngx_loyalty_zone_t         *zone;
    ngx_loyalty_plan_t          plan;
    ngx_loyalty_tenant_t       *t;
    ngx_loyalty_tenant_head_t  *head;

    zone = lmcf->zone->data;

    ngx_loyalty_zone_lock(zone);

    node = ngx_loyalty_tenant_record(lmcf, zone, host);

    if (node == NULL) {
        ngx_loyalty_zone_unlock(zone);
        return NGX_DECLINED;
    }

    head = (ngx_loyalty_tenant_head_t *) ngx_loyalty_record_data(node);

    if (old && old->version == head->version
        && ngx_memcmp(old->id.b, ngx_loyalty_record_key(node), 16) == 0
        && ngx_loyalty_plan_read(zone, &old->plan_code, &plan) == NGX_OK
        && ngx_memcmp(&plan, &old->plan, sizeof(plan)) == 0)
    {
        ngx_loyalty_zone_unlock(zone);

        old->refs++;
        *tenant = old;

        return NGX_OK;
    }

    t = ngx_loyalty_tenant_make(zone, node);

    if (t == NULL) {
        ngx_loyalty_zone_unlock(zone);
        return NGX_ERROR;
    }

    /* parsed without the lock, from a copy */

    rc = ngx_loyalty_pool_copy(t->pool, &json,
                               (ngx_str_t) { node->size - sizeof(*head),
                                             (u_char *) (head + 1) });

    ngx_loyalty_zone_unlock(zone);

    if (rc == NGX_OK) {
        rc = ngx_loyalty_tenant_parse(lmcf->local, t, &json);
    }

    if (rc == NGX_OK) {
        ngx_loyalty_zone_lock(zone);
        (void) ngx_loyalty_plan_read(zone, &t->plan_code, &t->plan);
        ngx_loyalty_zone_unlock(zone);

        t->load = ngx_loyalty_load_get(lmcf->local, &t->id);
    }

    if (rc != NGX_OK || t->load == NULL) {
        ngx_log_error(NGX_LOG_ALERT, lmcf->local->cycle->log, 0,
                      "loyalty: the record of the tenant of \"%V\" cannot be "
                      "used", host);
        ngx_loyalty_tenant_release(t);
        return NGX_ERROR;
    }

    *tenant = t;

    return NGX_OK;
}


/* what is in the zone beside the JSON; under its lock */

static ngx_loyalty_tenant_t *
ngx_loyalty_tenant_make(ngx_loyalty_zone_t *zone, ngx_loyalty_record_t *node)
{
    ngx_pool_t                 *pool;
    ngx_loyalty_tenant_t       *t;
    ngx_loyalty_tenant_head_t  *head;

    pool = ngx_create_pool(2048, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    t = ngx_pcalloc(pool, sizeof(ngx_loyalty_tenant_t));
    if (t == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    head = (ngx_loyalty_tenant_head_t *) ngx_loyalty_record_data(node);

    t->pool = pool;
    t->refs = 1;
    t->version = head->version;
    t->epoch = head->epoch;
    t->nwallets = head->nwallets;
    ngx_memcpy(t->id.b, ngx_loyalty_record_key(node), 16);

    if (ngx_loyalty_tenant_wallets(zone, t) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    return t;
}


static ngx_int_t
ngx_loyalty_tenant_wallets(ngx_loyalty_zone_t *zone,
    ngx_loyalty_tenant_t *tenant)
{
    u_char               key[18];
    ngx_uint_t           i;
    ngx_loyalty_record_t  *node;

    tenant->wallets = ngx_pcalloc(tenant->pool,
                                  (tenant->nwallets + 1)
                                  * sizeof(ngx_loyalty_wallet_t));
    if (tenant->wallets == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(key, tenant->id.b, 16);

    for (i = 0; i < tenant->nwallets; i++) {
        ly_be16_put(key + 16, (uint16_t) i);
        node = ngx_loyalty_table_find(zone, NGX_LOYALTY_T_WALLET, key, 18);

        tenant->wallets[i].ordinal = (uint16_t) i;

        if (node && node->size <= sizeof(tenant->wallets[i].code)) {
            tenant->wallets[i].code_len = (uint16_t) node->size;
            ngx_memcpy(tenant->wallets[i].code, ngx_loyalty_record_data(node),
                       node->size);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_plan_read(ngx_loyalty_zone_t *zone, ngx_str_t *code,
    ngx_loyalty_plan_t *plan)
{
    ngx_loyalty_record_t  *node;

    node = ngx_loyalty_table_find(zone, NGX_LOYALTY_T_PLAN, code->data,
                                  code->len);

    if (node == NULL) {
        ngx_memzero(plan, sizeof(ngx_loyalty_plan_t));
        return NGX_DECLINED;
    }

    ngx_memcpy(plan, ngx_loyalty_record_data(node), sizeof(*plan));

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_tenant_parse(ngx_loyalty_local_t *local, ngx_loyalty_tenant_t *t,
    ngx_str_t *json)
{
    size_t           len;
    ngx_str_t        s;
    ly_json_node_t  *root;

    ly_arena_reset(local->scratch);

    if (ly_json_parse(local->scratch, ly_str_of(json->data, json->len),
                      &ngx_loyalty_directory_limits, &root, NULL)
        != LY_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_loyalty_tenant_fields(t, root) != NGX_OK
        || ngx_loyalty_tenant_origins(t, root) != NGX_OK)
    {
        return NGX_ERROR;
    }

    s = ngx_loyalty_json_str(root, "wrapped_key");

    t->wrapped_key.data = ngx_pnalloc(t->pool, ly_base64_decoded_max(s.len));

    if (t->wrapped_key.data == NULL) {
        return NGX_ERROR;
    }

    if (ly_base64_decode(ly_str_of(s.data, s.len), t->wrapped_key.data,
                         ly_base64_decoded_max(s.len), &len)
        != LY_OK)
    {
        len = 0;
    }

    t->wrapped_key.len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_tenant_fields(ngx_loyalty_tenant_t *t, const ly_json_node_t *root)
{
    ngx_str_t   s;
    ngx_uint_t  i;

    static ngx_str_t  statuses[] = {
        ngx_string("provisioning"),
        ngx_string("active"),
        ngx_string("suspended"),
        ngx_string("closed")
    };

    s = ngx_loyalty_json_str(root, "status");

    for (i = 0; i < ly_countof(statuses); i++) {
        if (s.len == statuses[i].len
            && ngx_memcmp(s.data, statuses[i].data, s.len) == 0)
        {
            break;
        }
    }

    if (i == ly_countof(statuses)) {
        return NGX_ERROR;
    }

    t->status = (ngx_loyalty_tenant_status_e) i;

    s = ngx_loyalty_json_str(root, "mode");
    t->live = s.len == 4 && ngx_memcmp(s.data, "live", 4) == 0;

    t->generation = ngx_loyalty_json_int(root, "generation");

    if (ngx_loyalty_pool_copy(t->pool, &t->slug,
                              ngx_loyalty_json_str(root, "slug"))
        != NGX_OK
        || ngx_loyalty_pool_copy(t->pool, &t->timezone,
                                 ngx_loyalty_json_str(root, "timezone"))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_loyalty_pool_copy(t->pool, &t->plan_code,
                                 ngx_loyalty_json_str(root, "plan"));
}


static ngx_int_t
ngx_loyalty_tenant_origins(ngx_loyalty_tenant_t *t, const ly_json_node_t *root)
{
    const ly_json_node_t  *node;

    node = ly_json_member_of(root, ly_str("origins"), LY_JSON_ARRAY);

    if (node == NULL || node->count == 0) {
        return NGX_OK;
    }

    t->origins = ngx_pcalloc(t->pool, node->count * sizeof(ngx_str_t));
    if (t->origins == NULL) {
        return NGX_ERROR;
    }

    for (node = node->first; node; node = node->next) {
        if (ngx_loyalty_pool_copy(t->pool, &t->origins[t->norigins++],
                                  (ngx_str_t) { node->text.len,
                                                (u_char *) node->text.data })
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_pool_copy(ngx_pool_t *pool, ngx_str_t *dst, ngx_str_t src)
{
    dst->len = src.len;
    dst->data = ngx_pnalloc(pool, src.len + 1);

    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    if (src.len) {
        ngx_memcpy(dst->data, src.data, src.len);
    }

    dst->data[src.len] = '\0';

    return NGX_OK;
}


void
ngx_loyalty_tenant_release(ngx_loyalty_tenant_t *t)
{
    if (--t->refs) {
        return;
    }

    if (t->load) {
        ngx_loyalty_load_put(ngx_loyalty_local(), t->load);
    }

    ngx_destroy_pool(t->pool);
}


static ngx_loyalty_load_t *
ngx_loyalty_load_get(ngx_loyalty_local_t *local, ly_uuid_t *id)
{
    ngx_loyalty_load_t  *load;

    for (load = local->loads; load; load = load->next) {
        if (ly_uuid_eq(&load->id, id)) {
            load->refs++;
            return load;
        }
    }

    load = ngx_calloc(sizeof(ngx_loyalty_load_t), local->cycle->log);
    if (load == NULL) {
        return NULL;
    }

    load->id = *id;
    load->refs = 1;
    load->next = local->loads;
    local->loads = load;

    return load;
}


static void
ngx_loyalty_load_put(ngx_loyalty_local_t *local, ngx_loyalty_load_t *load)
{
    ngx_loyalty_load_t  **link;

    if (--load->refs) {
        return;
    }

    for (link = &local->loads; *link; link = &(*link)->next) {
        if (*link == load) {
            *link = load->next;
            ngx_free(load);
            return;
        }
    }
}


ly_jwt_key_t *
ngx_loyalty_signing_key(ngx_loyalty_zone_t *zone, ly_str_t kid)
{
    u_char                 *p;
    uint64_t                version;
    ngx_str_t               json;
    ngx_loyalty_record_t     *node;
    ngx_loyalty_local_t    *local;
    ngx_loyalty_signing_t  *sk;

    local = ngx_loyalty_local();

    if (kid.len == 0 || kid.len > LY_JWT_KID_MAX) {
        return NULL;
    }

    for (sk = local->signing; sk; sk = sk->next) {
        if (sk->len == kid.len && ngx_memcmp(sk->kid, kid.data, kid.len) == 0)
        {
            break;
        }
    }

    ngx_loyalty_zone_lock(zone);

    node = ngx_loyalty_table_find(zone, NGX_LOYALTY_T_SIGNING, kid.data,
                                  kid.len);

    if (node == NULL) {
        ngx_loyalty_zone_unlock(zone);
        return NULL;
    }

    p = ngx_loyalty_record_data(node);
    ngx_memcpy(&version, p, sizeof(version));

    if (sk && sk->version == version) {
        ngx_loyalty_zone_unlock(zone);
        return sk->key;
    }

    json.len = node->size - sizeof(version);
    json.data = ngx_alloc(json.len, local->cycle->log);

    if (json.data) {
        ngx_memcpy(json.data, p + sizeof(version), json.len);
    }

    ngx_loyalty_zone_unlock(zone);

    if (json.data == NULL) {
        return NULL;
    }

    if (sk == NULL) {
        sk = ngx_calloc(sizeof(ngx_loyalty_signing_t), local->cycle->log);

        if (sk == NULL) {
            ngx_free(json.data);
            return NULL;
        }

        sk->len = kid.len;
        ngx_memcpy(sk->kid, kid.data, kid.len);
        sk->next = local->signing;
        local->signing = sk;
    }

    sk->version = version;
    ngx_loyalty_signing_load(local, sk, &json);

    ngx_free(json.data);

    return sk->key;
}


static void
ngx_loyalty_signing_load(ngx_loyalty_local_t *local,
    ngx_loyalty_signing_t *sk, ngx_str_t *json)
{
    ngx_str_t        pem, alg;
    ly_json_node_t  *root;

    ly_jwt_key_destroy(sk->key);
    sk->key = NULL;

    ly_arena_reset(local->scratch);

    if (ly_json_parse(local->scratch, ly_str_of(json->data, json->len),
                      &ngx_loyalty_directory_limits, &root, NULL)
        == LY_OK)
    {
        pem = ngx_loyalty_json_str(root, "pem");
        alg = ngx_loyalty_json_str(root, "alg");

        if (ly_jwt_key_pem(ly_str_of(pem.data, pem.len), &sk->key) == LY_OK) {

            /* the algorithm is the key's; the record must agree with it */

            if (ly_str_eq(ly_str_of(alg.data, alg.len),
                          ly_str_c(ly_jwt_alg_name(ly_jwt_key_alg(sk->key)))))
            {
                return;
            }

            ly_jwt_key_destroy(sk->key);
        }

        sk->key = NULL;
    }

    ngx_log_error(NGX_LOG_ALERT, local->cycle->log, 0,
                  "loyalty: the signing key \"%*s\" cannot be used",
                  sk->len, sk->kid);
}
