#include "ngx_loyalty_directory.h"
#include "ngx_loyalty_cache.h"
#include "ly_hex.h"


/* us past its end: a clock that was ahead for hours must lose no revocation */
#define NGX_LOYALTY_REVOKED_KEEP  (86400 * 1000000LL)


typedef struct {
    ngx_loyalty_zone_t    *zone;
    ly_arena_t            *scratch;
    ngx_str_t             *ref;
    ngx_str_t             *tenant;      /* text of a uuid, or empty */
    ngx_str_t             *data;        /* NULL: gone */
    const ly_json_node_t  *json;
} ngx_loyalty_change_t;

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
static ngx_int_t ngx_loyalty_apply_key(ngx_loyalty_change_t *ch);
static ngx_int_t ngx_loyalty_apply_signing(ngx_loyalty_change_t *ch);
static ngx_int_t ngx_loyalty_apply_revocation(ngx_loyalty_change_t *ch);
static ngx_int_t ngx_loyalty_apply_nothing(ngx_loyalty_change_t *ch);
static ngx_int_t ngx_loyalty_key_parse(const ly_json_node_t *json,
    ngx_loyalty_key_rec_t *rec, ly_cidr_t *addresses);
static ngx_uint_t ngx_loyalty_key_addressed(ngx_loyalty_key_rec_t *rec,
    const u_char *addresses, struct sockaddr *sa);
static ngx_int_t ngx_loyalty_cidr(ly_str_t text, ly_cidr_t *cidr);
static ngx_int_t ngx_loyalty_revoked_kind(ngx_str_t *kind);


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
ngx_loyalty_apply_key(ngx_loyalty_change_t *ch)
{
    u_char                  digest[32];
    ngx_str_t               part[2];
    ly_cidr_t               addresses[NGX_LOYALTY_ADDRESSES_MAX];
    ngx_loyalty_key_rec_t   rec;

    if (ly_hex_decode(ly_str_of(ch->ref->data, ch->ref->len), digest, 32)
        != LY_OK)
    {
        return NGX_ERROR;
    }

    if (ch->json == NULL) {
        ngx_loyalty_table_delete(ch->zone, NGX_LOYALTY_T_KEY, digest, 32);
        return NGX_OK;
    }

    if (ngx_loyalty_key_parse(ch->json, &rec, addresses) != NGX_OK) {
        ngx_loyalty_table_delete(ch->zone, NGX_LOYALTY_T_KEY, digest, 32);
        return NGX_ERROR;
    }

    if (!rec.usable) {
        ngx_loyalty_table_delete(ch->zone, NGX_LOYALTY_T_KEY, digest, 32);
        return NGX_OK;
    }

    part[0].data = (u_char *) &rec;
    part[0].len = sizeof(rec);
    part[1].data = (u_char *) addresses;
    part[1].len = rec.addresses * sizeof(ly_cidr_t);

    return ngx_loyalty_table_put(ch->zone, NGX_LOYALTY_T_KEY, digest, 32, part,
                                 2);
}


static ngx_int_t
ngx_loyalty_key_parse(const ly_json_node_t *json, ngx_loyalty_key_rec_t *rec,
    ly_cidr_t *addresses)
{
    uint64_t               scopes;
    ngx_str_t              s;
    const ly_json_node_t  *node;

    ngx_memzero(rec, sizeof(ngx_loyalty_key_rec_t));
    ngx_memzero(addresses, NGX_LOYALTY_ADDRESSES_MAX * sizeof(ly_cidr_t));

    if (ngx_loyalty_json_uuid(json, "id", rec->id) != NGX_OK
        || ngx_loyalty_json_uuid(json, "tenant", rec->tenant) != NGX_OK)
    {
        return NGX_ERROR;
    }

    s = ngx_loyalty_json_str(json, "kind");
    rec->publishable = !(s.len == 6 && ngx_memcmp(s.data, "secret", 6) == 0);

    s = ngx_loyalty_json_str(json, "mode");
    rec->live = s.len == 4 && ngx_memcmp(s.data, "live", 4) == 0;

    s = ngx_loyalty_json_str(json, "state");
    rec->usable = (s.len == 6 && ngx_memcmp(s.data, "active", 6) == 0)
                  || (s.len == 8 && ngx_memcmp(s.data, "rotating", 8) == 0);

    s = ngx_loyalty_json_str(json, "api_version");

    if (s.len == sizeof(rec->api_version)) {
        ngx_memcpy(rec->api_version, s.data, s.len);
    }

    rec->expires_at = ngx_loyalty_json_int(json, "expires_at");

    scopes = 0;
    node = ly_json_member_of(json, ly_str("scopes"), LY_JSON_ARRAY);

    for (node = node ? node->first : NULL; node; node = node->next) {
        (void) ngx_loyalty_scope_parse((u_char *) node->text.data,
                                       node->text.len, &scopes);
    }

    rec->scopes = scopes;

    node = ly_json_member_of(json, ly_str("addresses"), LY_JSON_ARRAY);

    for (node = node ? node->first : NULL; node; node = node->next) {

        rec->restricted = 1;

        /* an address not understood lets nobody in */

        if (rec->addresses < NGX_LOYALTY_ADDRESSES_MAX
            && ngx_loyalty_cidr(node->text, &addresses[rec->addresses])
            == NGX_OK)
        {
            rec->addresses++;
        }
    }

    return NGX_OK;
}


/* the database writes IPv6 without the brackets that ly_cidr_parse() wants */

static ngx_int_t
ngx_loyalty_cidr(ly_str_t text, ly_cidr_t *cidr)
{
    u_char  *p, *slash, *end, buf[64];

    if (text.len + 2 > sizeof(buf)) {
        return NGX_ERROR;
    }

    if (memchr(text.data, ':', text.len) == NULL) {
        return ly_cidr_parse(text, cidr) == LY_OK ? NGX_OK : NGX_ERROR;
    }

    end = (u_char *) text.data + text.len;
    slash = memchr(text.data, '/', text.len);

    if (slash == NULL) {
        slash = end;
    }

    p = buf;
    *p++ = '[';
    p = ngx_cpymem(p, text.data, slash - text.data);
    *p++ = ']';
    p = ngx_cpymem(p, slash, end - slash);

    return ly_cidr_parse(ly_str_of(buf, p - buf), cidr) == LY_OK
           ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_loyalty_key_addressed(ngx_loyalty_key_rec_t *rec, const u_char *addresses,
    struct sockaddr *sa)
{
    ly_addr_t             addr;
    ly_cidr_t             cidr;
    ngx_uint_t            i;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    if (!rec->restricted) {
        return 1;
    }

    ngx_memzero(&addr, sizeof(addr));

    switch (sa->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) sa;
        addr.family = 4;
        ngx_memcpy(addr.b, &sin->sin_addr, 4);
        break;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            addr.family = 4;
            ngx_memcpy(addr.b, sin6->sin6_addr.s6_addr + 12, 4);
            break;
        }

        addr.family = 6;
        ngx_memcpy(addr.b, &sin6->sin6_addr, 16);
        break;
#endif

    default:
        return 0;
    }

    for (i = 0; i < rec->addresses; i++) {
        ngx_memcpy(&cidr, addresses + i * sizeof(ly_cidr_t), sizeof(cidr));

        if (ly_cidr_match(&cidr, &addr, 0)) {
            return 1;
        }
    }

    return 0;
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


static ngx_int_t
ngx_loyalty_revoked_kind(ngx_str_t *kind)
{
    ngx_uint_t  i;

    static const struct {
        ngx_str_t              name;
        ngx_loyalty_revoked_e  kind;
    } kinds[] = {
        { ngx_string("session"), NGX_LOYALTY_REVOKED_SESSION },
        { ngx_string("user"), NGX_LOYALTY_REVOKED_USER },
        { ngx_string("member"), NGX_LOYALTY_REVOKED_MEMBER },
        { ngx_string("tenant"), NGX_LOYALTY_REVOKED_TENANT },
        { ngx_string("api_key"), NGX_LOYALTY_REVOKED_KEY },
        { ngx_string("kid"), NGX_LOYALTY_REVOKED_KID }
    };

    for (i = 0; i < ly_countof(kinds); i++) {
        if (kinds[i].name.len == kind->len
            && ngx_memcmp(kinds[i].name.data, kind->data, kind->len) == 0)
        {
            return kinds[i].kind;
        }
    }

    return NGX_DECLINED;
}


/* ref is "kind:ref"; the record, if it is there, repeats both */

static ngx_int_t
ngx_loyalty_apply_revocation(ngx_loyalty_change_t *ch)
{
    u_char                     *colon, *last, id[16];
    uint64_t                    hash;
    ngx_int_t                   kind;
    ngx_str_t                   name, part;
    ly_uuid_t                   uuid;
    ngx_loyalty_revocation_t    rec;

    last = ch->ref->data + ch->ref->len;
    colon = ngx_strlchr(ch->ref->data, last, ':');

    if (colon == NULL) {
        return NGX_ERROR;
    }

    name.data = ch->ref->data;
    name.len = colon - name.data;
    kind = ngx_loyalty_revoked_kind(&name);

    if (kind == NGX_DECLINED) {
        return NGX_ERROR;
    }

    ngx_memzero(id, 16);

    if (ch->json) {
        (void) ngx_loyalty_json_uuid(ch->json, "tenant", id);

    } else if (ly_uuid_parse(ly_str_of(ch->tenant->data, ch->tenant->len),
                             &uuid)
               == LY_OK)
    {
        ngx_memcpy(id, uuid.b, 16);
    }

    hash = ngx_loyalty_revocation_hash(ch->zone, kind, id, colon + 1,
                                       last - colon - 1);

    if (ch->json == NULL) {
        ngx_loyalty_table_delete(ch->zone, NGX_LOYALTY_T_REVOCATION, &hash,
                                 sizeof(hash));
        return NGX_OK;
    }

    rec.not_before = ngx_loyalty_json_int(ch->json, "not_before");
    rec.expires_at = ngx_loyalty_json_int(ch->json, "expires_at");

    part.data = (u_char *) &rec;
    part.len = sizeof(rec);

    return ngx_loyalty_table_put(ch->zone, NGX_LOYALTY_T_REVOCATION, &hash,
                                 sizeof(hash), &part, 1);
}


uint64_t
ngx_loyalty_revocation_hash(ngx_loyalty_zone_t *zone,
    ngx_loyalty_revoked_e kind, const u_char *tenant, const u_char *ref,
    size_t len)
{
    u_char  buf[1 + 16 + 256];

    buf[0] = (u_char) kind;
    ngx_memzero(buf + 1, 16);

    /* signing keys are the platform's; a tenant's own ref says nothing new */

    if (tenant && kind != NGX_LOYALTY_REVOKED_KID) {
        ngx_memcpy(buf + 1, tenant, 16);
    }

    if (kind == NGX_LOYALTY_REVOKED_TENANT) {
        len = 0;
    }

    len = ngx_min(len, 256);
    ngx_memcpy(buf + 17, ref, len);

    return ngx_loyalty_hash(zone, buf, 17 + len);
}


ngx_uint_t
ngx_loyalty_directory_revoked(ngx_loyalty_zone_t *zone,
    const uint64_t *hashes, ngx_uint_t n, int64_t iat)
{
    int64_t                    now;
    ngx_uint_t                 i, revoked;
    ngx_loyalty_record_t        *node;
    ngx_loyalty_revocation_t   rec;

    if (zone->tables[NGX_LOYALTY_T_REVOCATION].count == 0) {
        return 0;
    }

    revoked = 0;
    now = ngx_loyalty_now_us();

    ngx_loyalty_zone_lock(zone);

    for (i = 0; i < n && !revoked; i++) {
        node = ngx_loyalty_table_find(zone, NGX_LOYALTY_T_REVOCATION,
                                      &hashes[i], sizeof(hashes[i]));
        if (node == NULL) {
            continue;
        }

        ngx_memcpy(&rec, ngx_loyalty_record_data(node), sizeof(rec));

        revoked = (rec.expires_at == 0 || rec.expires_at > now)
                  && (rec.not_before == 0 || iat == 0
                      || iat < rec.not_before);
    }

    ngx_loyalty_zone_unlock(zone);

    return revoked;
}


void
ngx_loyalty_directory_expire(ngx_loyalty_zone_t *zone, int64_t now)
{
    uint64_t                   b, hash;
    ngx_loyalty_record_t        *node, *next;
    ngx_loyalty_table_t       *t;
    ngx_loyalty_revocation_t   rec;

    t = &zone->tables[NGX_LOYALTY_T_REVOCATION];

    if (t->count == 0) {
        return;
    }

    ngx_loyalty_zone_lock(zone);

    for (b = 0; b <= t->mask; b++) {
        for (node = t->buckets[b]; node; node = next) {
            next = node->next;

            ngx_memcpy(&rec, ngx_loyalty_record_data(node), sizeof(rec));

            if (rec.expires_at
                && rec.expires_at < now - NGX_LOYALTY_REVOKED_KEEP)
            {
                ngx_memcpy(&hash, ngx_loyalty_record_key(node), sizeof(hash));
                ngx_loyalty_table_delete(zone, NGX_LOYALTY_T_REVOCATION,
                                         &hash, sizeof(hash));
            }
        }
    }

    ngx_loyalty_zone_unlock(zone);
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


ngx_int_t
ngx_loyalty_directory_key(ngx_loyalty_zone_t *zone, const u_char digest[32],
    struct sockaddr *sa, ngx_loyalty_key_rec_t *rec, ngx_uint_t *addressed)
{
    u_char                *list;
    ngx_loyalty_record_t  *node;

    ngx_loyalty_zone_lock(zone);

    node = ngx_loyalty_table_find_known(zone, NGX_LOYALTY_T_KEY, digest, 32);

    if (node) {
        ngx_memcpy(rec, ngx_loyalty_record_data(node), sizeof(*rec));
        list = ngx_loyalty_record_data(node) + sizeof(*rec);
        *addressed = ngx_loyalty_key_addressed(rec, list, sa);
    }

    ngx_loyalty_zone_unlock(zone);

    return node ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_loyalty_directory_key_json(ly_arena_t *scratch, ngx_str_t *json,
    struct sockaddr *sa, ngx_loyalty_key_rec_t *rec, ngx_uint_t *addressed)
{
    ly_cidr_t        addresses[NGX_LOYALTY_ADDRESSES_MAX];
    ly_json_node_t  *node;

    ly_arena_reset(scratch);

    if (ly_json_parse(scratch, ly_str_of(json->data, json->len),
                      &ngx_loyalty_directory_limits, &node, NULL)
        != LY_OK
        || ngx_loyalty_key_parse(node, rec, addresses) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    *addressed = ngx_loyalty_key_addressed(rec, (u_char *) addresses, sa);

    return NGX_OK;
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
