/*
 * API keys in the directory: the record as the database tells it, as the zone
 * holds it, and who may use it.
 */

#include "ngx_loyalty_directory_int.h"
#include "ly_hex.h"


static ngx_int_t ngx_loyalty_key_parse(const ly_json_node_t *json,
    ngx_loyalty_key_rec_t *rec, ly_cidr_t *addresses);
static ngx_int_t ngx_loyalty_cidr(ly_str_t text, ly_cidr_t *cidr);
static ngx_uint_t ngx_loyalty_key_addressed(ngx_loyalty_key_rec_t *rec,
    const u_char *addresses, struct sockaddr *sa);


ngx_int_t
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
