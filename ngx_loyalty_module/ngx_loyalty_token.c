/*
 * Access tokens of our own issuer: verified once, then known by their digest.
 */

#include "ngx_loyalty_auth.h"
#include "ngx_loyalty_local.h"


static ngx_loyalty_tslot_t *ngx_loyalty_token_set(ngx_loyalty_zone_t *zone,
    const u_char digest[32]);
static ngx_int_t ngx_loyalty_token_claims(ngx_loyalty_zone_t *zone,
    ngx_loyalty_auth_want_t *want, ly_jwt_claims_t *claims, ly_str_t kid,
    ngx_loyalty_tslot_t *slot);
static uint64_t ngx_loyalty_token_scopes(ly_str_t scope);


static ngx_loyalty_tslot_t *
ngx_loyalty_token_set(ngx_loyalty_zone_t *zone, const u_char digest[32])
{
    uint64_t  n;

    ngx_memcpy(&n, digest, sizeof(n));

    return zone->tslots + n % zone->tsets * NGX_LOYALTY_WAYS;
}


ngx_int_t
ngx_loyalty_token_find(ngx_loyalty_zone_t *zone, const u_char digest[32],
    ngx_loyalty_tslot_t *slot)
{
    int64_t               now;
    ngx_int_t             rc;
    ngx_uint_t            i;
    ngx_loyalty_tslot_t  *set;

    set = ngx_loyalty_token_set(zone, digest);
    now = ngx_loyalty_now_us();
    rc = NGX_DECLINED;

    ngx_loyalty_zone_lock(zone);

    for (i = 0; i < NGX_LOYALTY_WAYS; i++) {
        if (set[i].exp > now && set[i].epoch == zone->signing_epoch
            && ngx_memcmp(set[i].digest, digest, 32) == 0)
        {
            *slot = set[i];
            rc = NGX_OK;
            break;
        }
    }

    ngx_loyalty_zone_unlock(zone);

    return rc;
}


void
ngx_loyalty_token_keep(ngx_loyalty_zone_t *zone, ngx_loyalty_tslot_t *slot)
{
    int64_t               exp;
    ngx_uint_t            i;
    ngx_loyalty_tslot_t  *set, *victim;

    set = ngx_loyalty_token_set(zone, slot->digest);
    victim = set;

    ngx_loyalty_zone_lock(zone);

    /* the same token again, else the one that ends first */

    for (i = 0; i < NGX_LOYALTY_WAYS; i++) {
        if (ngx_memcmp(set[i].digest, slot->digest, 32) == 0) {
            victim = &set[i];
            break;
        }

        if (set[i].exp < victim->exp) {
            victim = &set[i];
        }
    }

    exp = slot->exp;

    victim->exp = 0;
    ngx_memory_barrier();

    slot->exp = 0;
    *victim = *slot;
    ngx_memory_barrier();

    victim->exp = exp;
    slot->exp = exp;

    ngx_loyalty_zone_unlock(zone);
}


ngx_int_t
ngx_loyalty_token_verify(ngx_loyalty_zone_t *zone, ngx_loyalty_ctx_t *ctx,
    ngx_loyalty_auth_want_t *want, ngx_str_t *token,
    ngx_loyalty_tslot_t *slot, ngx_log_t *log)
{
    u_char                tid[LY_ID_TEXT];
    uint32_t              epoch;
    ly_jwt_t              jwt;
    ly_arena_t           *a;
    ly_jwt_key_t         *key;
    ly_jwt_claims_t       claims;
    ly_jwt_expect_t       expect;
    ngx_loyalty_local_t  *local;

    local = ngx_loyalty_local();

    /* before the key is looked up: a change in between voids the slot */

    epoch = zone->signing_epoch;

    /* looking a key up uses the scratch arena, the token needs its own */

    a = ly_arena_create(128 * 1024, NULL);
    if (a == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&jwt, sizeof(jwt));

    if (ly_jwt_split(a, ly_str_of(token->data, token->len), ly_str("at+jwt"),
                     &jwt)
        != LY_OK)
    {
        goto refused;
    }

    key = ngx_loyalty_signing_key(zone, jwt.kid);

    if (key == NULL) {
        jwt.why = "kid";
        goto refused;
    }

    if (ly_jwt_verify(key, &jwt) != LY_OK) {
        goto refused;
    }

    ngx_memzero(&expect, sizeof(expect));

    expect.iss = ly_str_of(local->issuer.data, local->issuer.len);
    expect.aud = ly_str("loyalty");
    expect.tid = ly_str_of(tid, ly_id_print(ly_str("ten"), &ctx->tenant->id,
                                            tid));
    expect.now = ngx_time();
    expect.skew = LY_JWT_SKEW;

    if (ly_jwt_claims(a, &jwt, &expect, &claims) != LY_OK) {
        goto refused;
    }

    ngx_memzero(slot, sizeof(ngx_loyalty_tslot_t));
    ngx_memcpy(slot->digest, want->digest, 32);
    ngx_memcpy(slot->tenant, ctx->tenant->id.b, 16);
    slot->epoch = epoch;
    slot->live = ctx->tenant->live;

    if (ngx_loyalty_token_claims(zone, want, &claims, jwt.kid, slot)
        != NGX_OK)
    {
        jwt.why = "sub";
        goto refused;
    }

    ly_arena_destroy(a);

    return NGX_OK;

refused:

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, log, 0,
                   "loyalty token not accepted: %s",
                   jwt.why ? jwt.why : "form");

    ly_arena_destroy(a);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_loyalty_token_claims(ngx_loyalty_zone_t *zone,
    ngx_loyalty_auth_want_t *want, ly_jwt_claims_t *claims, ly_str_t kid,
    ngx_loyalty_tslot_t *slot)
{
    ly_uuid_t              id;
    ngx_loyalty_revoked_e  kind;

    if (ly_id_parse(claims->sub, ly_str("usr"), &id) == LY_OK) {
        slot->kind = NGX_LOYALTY_PRINCIPAL_USER;
        kind = NGX_LOYALTY_REVOKED_USER;
        want->user = 1;

    } else if (ly_id_parse(claims->sub, ly_str("mem"), &id) == LY_OK) {
        slot->kind = NGX_LOYALTY_PRINCIPAL_MEMBER;
        kind = NGX_LOYALTY_REVOKED_MEMBER;
        want->user = 0;

    } else {
        return NGX_DECLINED;
    }

    if (claims->exp > INT64_MAX / 1000000 || claims->iat < 0
        || claims->iat > INT64_MAX / 1000000
        || claims->sid.len > sizeof(want->session)
        || kid.len > sizeof(want->kid))
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(slot->id, id.b, 16);
    slot->scopes = ngx_loyalty_token_scopes(claims->scope);
    slot->exp = claims->exp * 1000000;
    slot->iat = claims->iat * 1000000;

    ly_uuid_print(&id, want->subject);
    want->iat = slot->iat;
    want->session_len = (uint16_t) claims->sid.len;
    want->kid_len = (uint16_t) kid.len;
    ngx_memcpy(want->kid, kid.data, kid.len);

    if (claims->sid.len) {
        ngx_memcpy(want->session, claims->sid.data, claims->sid.len);
    }

    slot->session = ngx_loyalty_revocation_hash(zone,
                                                NGX_LOYALTY_REVOKED_SESSION,
                                                slot->tenant, want->session,
                                                want->session_len);
    slot->subject = ngx_loyalty_revocation_hash(zone, kind, slot->tenant,
                                                want->subject, LY_UUID_TEXT);
    slot->kid = ngx_loyalty_revocation_hash(zone, NGX_LOYALTY_REVOKED_KID,
                                            NULL, want->kid, want->kid_len);

    return NGX_OK;
}


static uint64_t
ngx_loyalty_token_scopes(ly_str_t scope)
{
    u_char    *p, *last, *word;
    uint64_t   bits;

    bits = 0;
    p = (u_char *) scope.data;
    last = p + scope.len;

    while (p < last) {
        word = p;

        while (p < last && *p != ' ') {
            p++;
        }

        (void) ngx_loyalty_scope_parse(word, p - word, &bits);
        p++;
    }

    return bits;
}
