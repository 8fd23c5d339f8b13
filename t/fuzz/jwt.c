/* no bytes become a verified token; keys from any JSON */

#include "fuzz.h"
#include "ly_jwt.h"


static const char  pem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE04N0xi21hshyvBp7I167sbE/bXqy\n"
    "qkAPfefdklMO7wZQjx7HL4LTprsNSeMh0Q2TF4W0czj6X/jUuoTD2dWCbA==\n"
    "-----END PUBLIC KEY-----\n";


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t            n;
    ly_str_t          s;
    ly_jwt_t          jwt;
    ly_arena_t       *a;
    ly_jwt_key_t     *set[4];
    ly_jwt_claims_t   claims;
    ly_jwt_expect_t   expect;

    static ly_jwt_key_t  *key;

    if (key == NULL) {
        must(ly_jwt_key_pem(ly_str_c(pem), &key) == LY_OK);
    }

    s = ly_str_of(data, size);
    a = ly_arena_create(4 << 20, NULL);

    if (ly_jwt_split(a, s, ly_str("at+jwt"), &jwt) == LY_OK) {
        must(!jwt.verified && jwt.why == NULL);
        must(jwt.kid.len <= LY_JWT_KID_MAX);

        must(ly_jwt_verify(key, &jwt) == LY_DENIED);
        must(!jwt.verified);

        memset(&expect, 0, sizeof(expect));
        must(ly_jwt_claims(a, &jwt, &expect, &claims) == LY_FATAL);

        /* the claims themselves, as if the signature were good */
        jwt.verified = true;

        if (ly_jwt_claims(a, &jwt, &expect, &claims) == LY_OK) {
            must(claims.sub.len != 0 && claims.exp >= 0);
            (void) ly_scope_has(claims.scope, ly_str("members:read"));
        }

    } else {
        must(jwt.why != NULL);
    }

    if (ly_jwt_key_set(a, s, set, 4, &n) == LY_OK) {
        while (n > 0) {
            ly_jwt_key_destroy(set[--n]);
        }
    }

    ly_arena_destroy(a);

    return 0;
}
