/*
 * The directory: rows of a snapshot or of the change feed, put into the zone.
 */

#include "ngx_loyalty_directory_int.h"
#include "ngx_loyalty_cache.h"


typedef struct {
    ngx_str_t              name;
    ngx_int_t            (*apply)(ngx_loyalty_change_t *ch);
    unsigned               directory : 1; /* a change of it */
} ngx_loyalty_kind_t;


static ngx_int_t ngx_loyalty_apply_balance(ngx_loyalty_change_t *ch);
static ngx_int_t ngx_loyalty_apply_member(ngx_loyalty_change_t *ch);
static ngx_int_t ngx_loyalty_apply_void(ngx_loyalty_change_t *ch,
    ngx_uint_t identity);
static ngx_int_t ngx_loyalty_apply_host(ngx_loyalty_change_t *ch);
static ngx_int_t ngx_loyalty_apply_tenant(ngx_loyalty_change_t *ch);
static ngx_int_t ngx_loyalty_apply_tenant_gone(ngx_loyalty_change_t *ch,
    u_char id[16]);
static ngx_int_t ngx_loyalty_apply_wallet(ngx_loyalty_change_t *ch);
static ngx_int_t ngx_loyalty_apply_wallets(ngx_loyalty_change_t *ch,
    u_char id[16], uint16_t *n);
static ngx_int_t ngx_loyalty_put_wallet(ngx_loyalty_zone_t *zone,
    u_char id[16], int64_t ordinal, ngx_str_t *code);
static ngx_int_t ngx_loyalty_apply_plan(ngx_loyalty_change_t *ch);
static ngx_int_t ngx_loyalty_apply_signing(ngx_loyalty_change_t *ch);
static ngx_int_t ngx_loyalty_apply_nothing(ngx_loyalty_change_t *ch);


const ly_json_limits_t  ngx_loyalty_directory_limits = {
    .max_depth = 8,
    .max_nodes = 4096,
    .max_members = 2048,
    .max_bytes = 128 * 1024,
    .max_string = 32 * 1024,
    .refuse_nul = 1,
    .borrow = 1
};


static ngx_loyalty_kind_t  ngx_loyalty_kinds[] = {
    { ngx_string("balance"), ngx_loyalty_apply_balance, 0 },
    { ngx_string("member"), ngx_loyalty_apply_member, 0 },
    { ngx_string("host"), ngx_loyalty_apply_host, 1 },
    { ngx_string("tenant"), ngx_loyalty_apply_tenant, 1 },
    { ngx_string("wallet"), ngx_loyalty_apply_wallet, 1 },
    { ngx_string("plan"), ngx_loyalty_apply_plan, 1 },
    { ngx_string("api_key"), ngx_loyalty_apply_key, 1 },
    { ngx_string("signing_key"), ngx_loyalty_apply_signing, 1 },
    { ngx_string("revocation"), ngx_loyalty_apply_revocation, 1 },
    { ngx_string("program"), ngx_loyalty_apply_nothing, 0 },
    { ngx_null_string, NULL, 0 }
};


void
ngx_loyalty_directory_begin(ngx_loyalty_zone_t *zone)
{
    ngx_loyalty_zone_lock(zone);
    zone->mark++;
    ngx_loyalty_zone_unlock(zone);
}


void
ngx_loyalty_directory_end(ngx_loyalty_zone_t *zone, ngx_uint_t partial)
{
    ngx_loyalty_zone_lock(zone);

    ngx_loyalty_tables_sweep(zone);
    zone->signing_epoch++;

    ngx_loyalty_zone_unlock(zone);

    zone->partial = partial;
    zone->complete = 1;
    (void) ngx_atomic_fetch_add(&zone->version, 1);
}


void
ngx_loyalty_directory_void(ngx_loyalty_zone_t *zone)
{
    uint64_t                    b;
    ngx_loyalty_record_t         *node;
    ngx_loyalty_table_t        *t;
    ngx_loyalty_tenant_head_t  *head;

    t = &zone->tables[NGX_LOYALTY_T_TENANT];

    ngx_loyalty_zone_lock(zone);

    zone->fed = 0;
    zone->signing_epoch++;

    for (b = 0; b <= t->mask; b++) {
        for (node = t->buckets[b]; node; node = node->next) {
            head = (ngx_loyalty_tenant_head_t *) ngx_loyalty_record_data(node);
            head->epoch = ++zone->epochs;
            head->version = zone->version + 1;
        }
    }

    ngx_loyalty_zone_unlock(zone);

    (void) ngx_atomic_fetch_add(&zone->version, 1);
}


ngx_int_t
ngx_loyalty_directory_apply(ngx_loyalty_zone_t *zone, ly_arena_t *scratch,
    ngx_str_t *kind, ngx_str_t *ref, ngx_str_t *tenant, ngx_str_t *data,
    ngx_log_t *log)
{
    ngx_int_t              rc;
    ly_json_node_t        *json;
    ngx_loyalty_kind_t    *k;
    ngx_loyalty_change_t   ch;

    for (k = ngx_loyalty_kinds; k->name.len; k++) {
        if (k->name.len == kind->len
            && ngx_memcmp(k->name.data, kind->data, kind->len) == 0)
        {
            break;
        }
    }

    if (k->apply == NULL) {
        /* a newer database may name more than this module knows */
        return NGX_OK;
    }

    ch.zone = zone;
    ch.scratch = scratch;
    ch.ref = ref;
    ch.tenant = tenant;
    ch.data = data;
    ch.json = NULL;

    rc = NGX_OK;

    if (data) {
        ly_arena_reset(scratch);

        if (ly_json_parse(scratch, ly_str_of(data->data, data->len),
                          &ngx_loyalty_directory_limits, &json, NULL)
            != LY_OK)
        {
            rc = NGX_ERROR;
        }

        ch.json = json;
    }

    if (rc == NGX_OK) {
        ngx_loyalty_zone_lock(zone);
        rc = k->apply(&ch);
        ngx_loyalty_zone_unlock(zone);
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "loyalty directory: the %V record \"%V\" is not "
                      "understood or finds no room in \"loyalty_zone\"",
                      kind, ref);
    }

    if (k->directory) {
        (void) ngx_atomic_fetch_add(&zone->version, 1);
    }

    return rc;
}


static ngx_int_t
ngx_loyalty_apply_nothing(ngx_loyalty_change_t *ch)
{
    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_apply_balance(ngx_loyalty_change_t *ch)
{
    return ngx_loyalty_apply_void(ch, 0);
}


static ngx_int_t
ngx_loyalty_apply_member(ngx_loyalty_change_t *ch)
{
    return ngx_loyalty_apply_void(ch, 1);
}


static ngx_int_t
ngx_loyalty_apply_void(ngx_loyalty_change_t *ch, ngx_uint_t identity)
{
    uint32_t                    epoch;
    ly_uuid_t                   id, member;
    ngx_uint_t                  n;
    ngx_loyalty_record_t         *node;
    ngx_loyalty_tenant_head_t  *head;

    if (ly_uuid_parse(ly_str_of(ch->ref->data, ch->ref->len), &member) != LY_OK
        || ly_uuid_parse(ly_str_of(ch->tenant->data, ch->tenant->len), &id)
        != LY_OK)
    {
        return NGX_ERROR;
    }

    node = ngx_loyalty_table_find(ch->zone, NGX_LOYALTY_T_TENANT, id.b, 16);

    epoch = 0;
    n = 0;

    if (node) {
        head = (ngx_loyalty_tenant_head_t *) ngx_loyalty_record_data(node);
        epoch = head->epoch;
        n = head->nwallets;
    }

    ngx_loyalty_cache_void_locked(ch->zone, epoch, n, &member, identity);

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_apply_host(ngx_loyalty_change_t *ch)
{
    u_char      id[16], key[256];
    ngx_str_t   part;

    if (ch->ref->len == 0 || ch->ref->len >= sizeof(key)) {
        return NGX_ERROR;
    }

    key[0] = 'h';
    ngx_strlow(key + 1, ch->ref->data, ch->ref->len);

    if (ch->json == NULL) {
        ngx_loyalty_table_delete(ch->zone, NGX_LOYALTY_T_NAME, key,
                                 ch->ref->len + 1);
        return NGX_OK;
    }

    if (ngx_loyalty_json_uuid(ch->json, "tenant", id) != NGX_OK) {
        return NGX_ERROR;
    }

    part.data = id;
    part.len = 16;

    return ngx_loyalty_table_put(ch->zone, NGX_LOYALTY_T_NAME, key,
                                 ch->ref->len + 1, &part, 1);
}


static ngx_int_t
ngx_loyalty_apply_tenant(ngx_loyalty_change_t *ch)
{
    u_char                      id[16], key[1 + NGX_LOYALTY_SLUG_MAX];
    ngx_str_t                   part[2], slug, name;
    ly_uuid_t                   uuid;
    ngx_loyalty_tenant_head_t   head;

    if (ly_uuid_parse(ly_str_of(ch->ref->data, ch->ref->len), &uuid)
        != LY_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(id, uuid.b, 16);

    if (ch->json == NULL) {
        return ngx_loyalty_apply_tenant_gone(ch, id);
    }

    slug = ngx_loyalty_json_str(ch->json, "slug");

    if (slug.len == 0 || slug.len > sizeof(head.slug)) {
        return NGX_ERROR;
    }

    /* the name it had before goes, if it is another */

    (void) ngx_loyalty_apply_tenant_gone(ch, id);

    ngx_memzero(&head, sizeof(head));

    head.version = ch->zone->version + 1;
    head.epoch = ++ch->zone->epochs;
    head.slug_len = (uint16_t) slug.len;
    ngx_memcpy(head.slug, slug.data, slug.len);

    if (ngx_loyalty_apply_wallets(ch, id, &head.nwallets) != NGX_OK) {
        return NGX_ERROR;
    }

    part[0].data = (u_char *) &head;
    part[0].len = sizeof(head);
    part[1] = *ch->data;

    if (ngx_loyalty_table_put(ch->zone, NGX_LOYALTY_T_TENANT, id, 16, part, 2)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    key[0] = 's';
    ngx_memcpy(key + 1, slug.data, slug.len);

    name.data = id;
    name.len = 16;

    return ngx_loyalty_table_put(ch->zone, NGX_LOYALTY_T_NAME, key,
                                 slug.len + 1, &name, 1);
}


static ngx_int_t
ngx_loyalty_apply_tenant_gone(ngx_loyalty_change_t *ch, u_char id[16])
{
    u_char                      key[1 + NGX_LOYALTY_SLUG_MAX];
    ngx_loyalty_record_t         *node;
    ngx_loyalty_tenant_head_t  *head;

    node = ngx_loyalty_table_find(ch->zone, NGX_LOYALTY_T_TENANT, id, 16);

    if (node == NULL) {
        return NGX_OK;
    }

    head = (ngx_loyalty_tenant_head_t *) ngx_loyalty_record_data(node);

    key[0] = 's';
    ngx_memcpy(key + 1, head->slug, head->slug_len);

    ngx_loyalty_table_delete(ch->zone, NGX_LOYALTY_T_NAME, key,
                             head->slug_len + 1);
    ngx_loyalty_table_delete(ch->zone, NGX_LOYALTY_T_TENANT, id, 16);

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_apply_wallets(ngx_loyalty_change_t *ch, u_char id[16],
    uint16_t *n)
{
    int64_t                ordinal;
    ngx_str_t              code;
    const ly_json_node_t  *w;

    w = ly_json_member_of(ch->json, ly_str("wallets"), LY_JSON_ARRAY);

    *n = 0;

    for (w = w ? w->first : NULL; w; w = w->next) {
        code = ngx_loyalty_json_str(w, "code");
        ordinal = ngx_loyalty_json_int(w, "ordinal");

        if (ngx_loyalty_put_wallet(ch->zone, id, ordinal, &code) != NGX_OK) {
            return NGX_ERROR;
        }

        *n = ngx_max(*n, (uint16_t) (ordinal + 1));
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_put_wallet(ngx_loyalty_zone_t *zone, u_char id[16],
    int64_t ordinal, ngx_str_t *code)
{
    u_char  key[18];

    if (ordinal < 0 || ordinal > 32767 || code->len == 0 || code->len > 64) {
        return NGX_ERROR;
    }

    ngx_memcpy(key, id, 16);
    ly_be16_put(key + 16, (uint16_t) ordinal);

    return ngx_loyalty_table_put(zone, NGX_LOYALTY_T_WALLET, key, 18, code, 1);
}


/* one wallet of a tenant whose own record may not have changed */

static ngx_int_t
ngx_loyalty_apply_wallet(ngx_loyalty_change_t *ch)
{
    u_char                      id[16];
    int64_t                     ordinal;
    ngx_str_t                   code;
    ngx_loyalty_record_t         *node;
    ngx_loyalty_tenant_head_t  *head;

    if (ch->json == NULL) {
        /* wallets are not deleted but with their tenant */
        return NGX_OK;
    }

    if (ngx_loyalty_json_uuid(ch->json, "tenant", id) != NGX_OK) {
        return NGX_ERROR;
    }

    code = ngx_loyalty_json_str(ch->json, "code");
    ordinal = ngx_loyalty_json_int(ch->json, "ordinal");

    if (ngx_loyalty_put_wallet(ch->zone, id, ordinal, &code) != NGX_OK) {
        return NGX_ERROR;
    }

    node = ngx_loyalty_table_find(ch->zone, NGX_LOYALTY_T_TENANT, id, 16);

    if (node) {
        head = (ngx_loyalty_tenant_head_t *) ngx_loyalty_record_data(node);
        head->nwallets = ngx_max(head->nwallets, (uint16_t) (ordinal + 1));
        head->epoch = ++ch->zone->epochs;
        head->version = ch->zone->version + 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_apply_plan(ngx_loyalty_change_t *ch)
{
    ngx_str_t            part;
    ngx_uint_t           i;
    int64_t              v;
    ngx_loyalty_plan_t   plan;

    static const struct {
        const char  *key;
        size_t       offset;
    } fields[] = {
        { "request_rate", offsetof(ngx_loyalty_plan_t, request_rate) },
        { "request_burst", offsetof(ngx_loyalty_plan_t, request_burst) },
        { "key_rate", offsetof(ngx_loyalty_plan_t, key_rate) },
        { "key_burst", offsetof(ngx_loyalty_plan_t, key_burst) },
        { "inflight_writes", offsetof(ngx_loyalty_plan_t, inflight_writes) },
        { "inflight_batches", offsetof(ngx_loyalty_plan_t, inflight_batches) }
    };

    if (ch->json == NULL) {
        ngx_loyalty_table_delete(ch->zone, NGX_LOYALTY_T_PLAN, ch->ref->data,
                                 ch->ref->len);
        return NGX_OK;
    }

    ngx_memzero(&plan, sizeof(plan));

    for (i = 0; i < ly_countof(fields); i++) {
        v = ngx_loyalty_json_int(ch->json, fields[i].key);

        if (v < 0 || v > 1000000000) {
            return NGX_ERROR;
        }

        *(uint32_t *) ((u_char *) &plan + fields[i].offset) = (uint32_t) v;
    }

    part.data = (u_char *) &plan;
    part.len = sizeof(plan);

    return ngx_loyalty_table_put(ch->zone, NGX_LOYALTY_T_PLAN, ch->ref->data,
                                 ch->ref->len, &part, 1);
}


static ngx_int_t
ngx_loyalty_apply_signing(ngx_loyalty_change_t *ch)
{
    uint64_t    version;
    ngx_str_t   part[2], state;

    ch->zone->signing_epoch++;

    state = ngx_loyalty_json_str(ch->json, "state");

    if (ch->json == NULL
        || (state.len == 7 && ngx_memcmp(state.data, "revoked", 7) == 0))
    {
        ngx_loyalty_table_delete(ch->zone, NGX_LOYALTY_T_SIGNING,
                                 ch->ref->data, ch->ref->len);
        return NGX_OK;
    }

    version = ch->zone->version + 1;

    part[0].data = (u_char *) &version;
    part[0].len = sizeof(version);
    part[1] = *ch->data;

    return ngx_loyalty_table_put(ch->zone, NGX_LOYALTY_T_SIGNING,
                                 ch->ref->data, ch->ref->len, part, 2);
}


ngx_uint_t
ngx_loyalty_directory_complete(ngx_loyalty_zone_t *zone)
{
    return zone->complete != 0;
}


ngx_uint_t
ngx_loyalty_directory_whole(ngx_loyalty_zone_t *zone)
{
    return zone->complete != 0 && zone->partial == 0;
}


ngx_uint_t
ngx_loyalty_directory_fresh(ngx_loyalty_zone_t *zone)
{
    return zone->fed != 0
           && ngx_loyalty_now_ms() - zone->fed < NGX_LOYALTY_STALE;
}


ngx_str_t
ngx_loyalty_json_str(const ly_json_node_t *node, const char *key)
{
    ngx_str_t  s;

    node = ly_json_member_of(node, ly_str_c(key), LY_JSON_STRING);

    s.len = node ? node->text.len : 0;
    s.data = node ? (u_char *) node->text.data : NULL;

    return s;
}


int64_t
ngx_loyalty_json_int(const ly_json_node_t *node, const char *key)
{
    int64_t  v;

    node = ly_json_member_of(node, ly_str_c(key), LY_JSON_NUMBER);

    if (node == NULL || ly_json_int64(node, &v) != LY_OK) {
        return 0;
    }

    return v;
}


ngx_int_t
ngx_loyalty_json_uuid(const ly_json_node_t *node, const char *key,
    u_char out[16])
{
    ly_uuid_t  uuid;

    node = ly_json_member_of(node, ly_str_c(key), LY_JSON_STRING);

    if (node == NULL || ly_uuid_parse(node->text, &uuid) != LY_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(out, uuid.b, 16);

    return NGX_OK;
}
