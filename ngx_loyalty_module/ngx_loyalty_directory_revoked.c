/*
 * Revocations in the directory: what is refused though its signature is good.
 */

#include "ngx_loyalty_directory_int.h"


/* us past its end: a clock that was ahead for hours must lose no revocation */
#define NGX_LOYALTY_REVOKED_KEEP  (86400 * 1000000LL)


static ngx_int_t ngx_loyalty_revoked_kind(ngx_str_t *kind);


/* ref is "kind:ref"; the record, if it is there, repeats both */

ngx_int_t
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
