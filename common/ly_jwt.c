#include <string.h>

#include "ly_base64.h"
#include "ly_jwt.h"
#include "ly_banned.h"


/* a token's JSON is flat and small; no bound is near a real one */
static const ly_json_limits_t  ly_jwt_limits = {
    .max_depth = 8,
    .max_nodes = 512,
    .max_members = 128,
    .max_bytes = LY_JWT_MAX,
    .max_string = LY_JWT_MAX,
    .refuse_nul = 1,
    .borrow = 1
};

#define LY_JWT_DATE_MAX  253402300799LL     /* 9999-12-31T23:59:59Z */


static ly_err_t
ly_jwt_refuse(ly_jwt_t *jwt, ly_err_t err, const char *why)
{
    jwt->why = why;

    return err;
}


bool
ly_jwt_kid_valid(ly_str_t kid)
{
    size_t         i;
    unsigned char  c;

    if (kid.len == 0 || kid.len > LY_JWT_KID_MAX) {
        return false;
    }

    for (i = 0; i < kid.len; i++) {
        c = kid.data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
            || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-')
        {
            continue;
        }

        return false;
    }

    return true;
}


/* exactly three parts, none but the signature's may be empty later */
static bool
ly_jwt_segments(ly_str_t token, ly_str_t part[3])
{
    size_t  i, start, n;

    start = 0;
    n = 0;

    for (i = 0; i <= token.len; i++) {

        if (i < token.len && token.data[i] != '.') {
            continue;
        }

        if (n == 3) {
            return false;
        }

        part[n++] = ly_str_of(token.data + start, i - start);
        start = i + 1;
    }

    return n == 3;
}


static ly_err_t
ly_jwt_decode(ly_arena_t *a, ly_str_t text, ly_str_t *out)
{
    size_t          len, max;
    ly_err_t        rc;
    unsigned char  *p;

    max = ly_base64_decoded_max(text.len);

    p = ly_arena_bytes(a, max);
    if (p == NULL) {
        return LY_NOMEM;
    }

    rc = ly_base64url_decode(text, p, max, &len);
    *out = ly_str_of(p, rc == LY_OK ? len : 0);

    return rc;
}


static bool
ly_jwt_typ(ly_str_t typ, bool present, ly_str_t wanted)
{
    size_t         i;
    unsigned char  c;

    static const unsigned char  jwt[] = "jwt";

    if (wanted.len != 0) {
        return ly_str_eq(typ, wanted);
    }

    if (!present) {
        return true;
    }

    if (typ.len != 3) {
        return false;
    }

    for (i = 0; i < 3; i++) {
        c = typ.data[i];

        if ((c | 0x20) != jwt[i]) {
            return false;
        }
    }

    return true;
}


static ly_err_t
ly_jwt_header(ly_arena_t *a, ly_jwt_t *jwt, ly_str_t json, ly_str_t typ)
{
    size_t                 i;
    ly_err_t               rc;
    ly_json_node_t        *root;
    const ly_json_node_t  *node;

    /*
     * Keys that a token brings along, an extension that must be understood,
     * and a payload that is not encoded: none is supported.
     */
    static const ly_str_t  refused[] = {
        ly_str_init("jwk"), ly_str_init("jku"), ly_str_init("x5u"),
        ly_str_init("x5c"), ly_str_init("crit"), ly_str_init("b64")
    };

    rc = ly_json_parse(a, json, &ly_jwt_limits, &root, NULL);

    if (rc != LY_OK || root->type != LY_JSON_OBJECT) {
        return ly_jwt_refuse(jwt, rc == LY_NOMEM ? rc : LY_PARSE, "header");
    }

    for (i = 0; i < ly_countof(refused); i++) {
        if (ly_json_member(root, refused[i]) != NULL) {
            return ly_jwt_refuse(jwt, LY_DENIED, "crit");
        }
    }

    rc = ly_json_string(ly_json_member(root, ly_str("alg")), &jwt->alg);
    if (rc != LY_OK) {
        return ly_jwt_refuse(jwt, LY_PARSE, "alg");
    }

    node = ly_json_member(root, ly_str("typ"));
    jwt->typ = ly_json_text(node);

    if ((node != NULL && node->type != LY_JSON_STRING)
        || !ly_jwt_typ(jwt->typ, node != NULL, typ))
    {
        return ly_jwt_refuse(jwt, LY_DENIED, "typ");
    }

    node = ly_json_member(root, ly_str("kid"));
    jwt->kid = ly_json_text(node);

    if (node != NULL && !ly_jwt_kid_valid(jwt->kid)) {
        return ly_jwt_refuse(jwt, LY_DENIED, "kid");
    }

    return LY_OK;
}


ly_err_t
ly_jwt_split(ly_arena_t *a, ly_str_t token, ly_str_t typ, ly_jwt_t *jwt)
{
    size_t    i;
    ly_err_t  rc;
    ly_str_t  part[3], bytes[3];

    memset(jwt, 0, sizeof(ly_jwt_t));

    if (token.len > LY_JWT_MAX) {
        return ly_jwt_refuse(jwt, LY_PARSE, "size");
    }

    if (!ly_jwt_segments(token, part)) {
        return ly_jwt_refuse(jwt, LY_PARSE, "segments");
    }

    for (i = 0; i < 3; i++) {
        rc = ly_jwt_decode(a, part[i], &bytes[i]);

        if (rc != LY_OK) {
            return ly_jwt_refuse(jwt, rc == LY_NOMEM ? rc : LY_PARSE,
                                 "base64");
        }
    }

    jwt->payload = bytes[1];
    jwt->signature = bytes[2];
    jwt->signing = ly_str_of(token.data, part[0].len + 1 + part[1].len);

    return ly_jwt_header(a, jwt, bytes[0], typ);
}


ly_err_t
ly_jwt_verify(ly_jwt_key_t *key, ly_jwt_t *jwt)
{
    ly_err_t  rc;

    jwt->verified = false;

    if (!ly_str_eq(jwt->alg,
                   ly_str_c(ly_jwt_alg_name(ly_jwt_key_alg(key)))))
    {
        return ly_jwt_refuse(jwt, LY_DENIED, "alg");
    }

    rc = ly_jwt_key_verify(key, jwt->signing, jwt->signature);

    if (rc != LY_OK) {
        return ly_jwt_refuse(jwt, rc, "signature");
    }

    jwt->verified = true;

    return LY_OK;
}


/* a member that is absent or a string */
static bool
ly_jwt_claim_text(const ly_json_node_t *root, ly_str_t name, ly_str_t *out)
{
    const ly_json_node_t  *node;

    node = ly_json_member(root, name);
    *out = ly_json_text(node);

    return node == NULL || node->type == LY_JSON_STRING;
}


/* a member that is absent or a number of seconds */
static bool
ly_jwt_claim_int(const ly_json_node_t *root, ly_str_t name, int64_t *out)
{
    const ly_json_node_t  *node;

    *out = 0;
    node = ly_json_member(root, name);

    if (node == NULL) {
        return true;
    }

    return ly_json_int64(node, out) == LY_OK && *out >= 0
           && *out <= LY_JWT_DATE_MAX;
}


static bool
ly_jwt_audience(const ly_json_node_t *root, ly_str_t wanted)
{
    const ly_json_node_t  *node;

    node = ly_json_member(root, ly_str("aud"));

    if (wanted.len == 0) {
        return true;
    }

    if (node == NULL || node->type != LY_JSON_ARRAY) {
        return ly_str_eq(ly_json_text(node), wanted);
    }

    for (node = node->first; node != NULL; node = node->next) {
        if (node->type != LY_JSON_STRING) {
            return false;
        }

        if (ly_str_eq(node->text, wanted)) {
            return true;
        }
    }

    return false;
}


static const char *
ly_jwt_times(const ly_jwt_claims_t *c, const ly_json_node_t *root,
    const ly_jwt_expect_t *expect)
{
    if (ly_json_member(root, ly_str("exp")) == NULL
        || expect->now >= c->exp + expect->skew)
    {
        return "exp";
    }

    if (c->nbf > expect->now + expect->skew) {
        return "nbf";
    }

    if (ly_json_member(root, ly_str("iat")) == NULL
        || c->iat > expect->now + expect->skew
        || (expect->max_age != 0 && c->exp - c->iat > expect->max_age))
    {
        return "iat";
    }

    return NULL;
}


static const char *
ly_jwt_names(const ly_jwt_claims_t *c, const ly_json_node_t *root,
    const ly_jwt_expect_t *expect)
{
    if (expect->iss.len != 0 && !ly_str_eq(c->iss, expect->iss)) {
        return "iss";
    }

    if (!ly_jwt_audience(root, expect->aud)) {
        return "aud";
    }

    if (expect->tid.len != 0 && !ly_str_eq(c->tid, expect->tid)) {
        return "tid";
    }

    return c->sub.len == 0 ? "sub" : NULL;
}


ly_err_t
ly_jwt_claims(ly_arena_t *a, ly_jwt_t *jwt, const ly_jwt_expect_t *expect,
    ly_jwt_claims_t *c)
{
    ly_err_t         rc;
    const char      *why;
    ly_json_node_t  *root;

    if (!jwt->verified) {
        return LY_FATAL;
    }

    memset(c, 0, sizeof(ly_jwt_claims_t));

    rc = ly_json_parse(a, jwt->payload, &ly_jwt_limits, &root, NULL);

    if (rc != LY_OK || root->type != LY_JSON_OBJECT) {
        return ly_jwt_refuse(jwt, rc == LY_NOMEM ? rc : LY_DENIED, "payload");
    }

    if (!ly_jwt_claim_text(root, ly_str("iss"), &c->iss)
        || !ly_jwt_claim_text(root, ly_str("sub"), &c->sub)
        || !ly_jwt_claim_text(root, ly_str("tid"), &c->tid)
        || !ly_jwt_claim_text(root, ly_str("sid"), &c->sid)
        || !ly_jwt_claim_text(root, ly_str("scope"), &c->scope)
        || !ly_jwt_claim_text(root, ly_str("jti"), &c->jti)
        || !ly_jwt_claim_int(root, ly_str("exp"), &c->exp)
        || !ly_jwt_claim_int(root, ly_str("nbf"), &c->nbf)
        || !ly_jwt_claim_int(root, ly_str("iat"), &c->iat)
        || !ly_jwt_claim_int(root, ly_str("pv"), &c->pv))
    {
        return ly_jwt_refuse(jwt, LY_DENIED, "claim");
    }

    why = ly_jwt_times(c, root, expect);
    why = why == NULL ? ly_jwt_names(c, root, expect) : why;

    if (why != NULL) {
        return ly_jwt_refuse(jwt, LY_DENIED, why);
    }

    c->root = root;

    return LY_OK;
}


bool
ly_scope_has(ly_str_t scope, ly_str_t word)
{
    size_t  i, start;

    if (word.len == 0) {
        return false;
    }

    start = 0;

    for (i = 0; i <= scope.len; i++) {

        if (i < scope.len && scope.data[i] != ' ') {
            continue;
        }

        if (ly_str_eq(ly_str_of(scope.data + start, i - start), word)) {
            return true;
        }

        start = i + 1;
    }

    return false;
}
