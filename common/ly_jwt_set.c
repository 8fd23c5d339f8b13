/* sets of public keys of an external issuer; see ly_jwt.h */

#include "ly_jwt.h"
#include "ly_banned.h"


/* a secret in a published set says that nobody looked at it */
static bool
ly_jwt_set_secret(const ly_json_node_t *jwk)
{
    return ly_json_member(jwk, ly_str("d")) != NULL
           || ly_json_member(jwk, ly_str("k")) != NULL
           || ly_str_eq(ly_json_text(ly_json_member(jwk, ly_str("kty"))),
                        ly_str("oct"));
}


static bool
ly_jwt_set_twin(const ly_json_node_t *jwk)
{
    ly_str_t               kid;
    const ly_json_node_t  *other;

    kid = ly_json_text(ly_json_member(jwk, ly_str("kid")));

    for (other = jwk->next; kid.len != 0 && other != NULL;
         other = other->next)
    {
        if (ly_str_eq(kid, ly_json_text(ly_json_member(other,
                                                       ly_str("kid")))))
        {
            return true;
        }
    }

    return false;
}


static ly_err_t
ly_jwt_set_add(const ly_json_node_t *jwk, ly_jwt_key_t **keys, size_t max,
    size_t *n)
{
    ly_err_t       rc;
    ly_jwt_key_t  *key;

    if (ly_jwt_set_secret(jwk) || ly_jwt_set_twin(jwk)) {
        return LY_DENIED;
    }

    rc = ly_jwt_key_jwk_node(jwk, &key);

    if (rc == LY_DENIED) {
        return LY_OK;
    }

    if (rc != LY_OK) {
        return rc;
    }

    if (*n == max) {
        ly_jwt_key_destroy(key);
        return LY_LIMIT;
    }

    keys[(*n)++] = key;

    return LY_OK;
}


ly_err_t
ly_jwt_key_set(ly_arena_t *scratch, ly_str_t jwks, ly_jwt_key_t **keys,
    size_t max, size_t *n)
{
    ly_err_t               rc;
    ly_json_node_t        *root;
    const ly_json_node_t  *node;

    *n = 0;

    rc = ly_json_parse(scratch, jwks, NULL, &root, NULL);
    if (rc != LY_OK) {
        return rc;
    }

    node = ly_json_member_of(root, ly_str("keys"), LY_JSON_ARRAY);
    if (node == NULL) {
        return LY_PARSE;
    }

    for (node = node->first; rc == LY_OK && node != NULL; node = node->next) {
        rc = ly_jwt_set_add(node, keys, max, n);
    }

    while (rc != LY_OK && *n > 0) {
        ly_jwt_key_destroy(keys[--*n]);
    }

    return rc;
}
