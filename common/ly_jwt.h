/*
 * Verifies compact JWS tokens (RFC 7515, 7519, 9068).  The algorithm belongs
 * to the key, never to the token.  Order: split (form and header, nothing
 * trusted but the kid, as a name to look a key up), verify (algorithm and
 * signature), claims (refuses unless verified).
 */

#ifndef LY_JWT_H_INCLUDED_
#define LY_JWT_H_INCLUDED_

#include "ly_base.h"
#include "ly_arena.h"
#include "ly_buf.h"
#include "ly_json.h"


#define LY_JWT_MAX      8192        /* bytes of a token */
#define LY_JWT_KID_MAX  64          /* of [A-Za-z0-9._-] */
#define LY_JWT_SKEW     30          /* seconds */


typedef enum {
    LY_JWT_ES256 = 1,               /* EC P-256 */
    LY_JWT_RS256                    /* RSA, 2048 to 8192 bits */
} ly_jwt_alg_e;

const char *ly_jwt_alg_name(ly_jwt_alg_e alg);


/* a public key with its one algorithm; may be used by one thread at a time */
typedef struct ly_jwt_key_s  ly_jwt_key_t;

/*
 * A PEM "PUBLIC KEY" of a supported kind and size; anything else (private key,
 * certificate, two blocks, another curve) is LY_PARSE or LY_DENIED.
 */
ly_must_check ly_err_t ly_jwt_key_pem(ly_str_t pem, ly_jwt_key_t **key);

/*
 * One JWK (RFC 7517): kty EC with crv P-256, or RSA with e an odd number of 17
 * to 64 bits and n of 2048 bits or more.  If present, "alg" must be that of
 * the kind, "use" must be "sig", "key_ops" must hold "verify".  Refused: a
 * private member (d, p, q, ...), an oct key, a point off the curve, a modulus
 * with the ROCA fingerprint, a duplicate member.  scratch holds the JSON.
 */
ly_must_check ly_err_t ly_jwt_key_jwk(ly_arena_t *scratch, ly_str_t jwk,
    ly_jwt_key_t **key);
ly_must_check ly_err_t ly_jwt_key_jwk_node(const ly_json_node_t *jwk,
    ly_jwt_key_t **key);

/*
 * A key set (RFC 7517, section 5): up to max keys into keys, *n of them.  Keys
 * of another kind, algorithm or use are passed over.  The whole set is refused
 * (LY_DENIED) if it publishes a symmetric or private key, or has two keys of
 * one kid; LY_LIMIT for more than max keys of ours, LY_PARSE.  On failure
 * nothing is left to destroy.
 */
ly_must_check ly_err_t ly_jwt_key_set(ly_arena_t *scratch, ly_str_t jwks,
    ly_jwt_key_t **keys, size_t max, size_t *n);

void ly_jwt_key_destroy(ly_jwt_key_t *key);         /* NULL is fine */
ly_jwt_alg_e ly_jwt_key_alg(const ly_jwt_key_t *key);

/* the JWK's kid; empty if it had none */
ly_str_t ly_jwt_key_kid(const ly_jwt_key_t *key);

/*
 * The public JWK of a key as JSON for /.well-known/jwks.json: kty, crv or n
 * and e, kid, use, alg.
 */
ly_must_check ly_err_t ly_jwt_key_print(const ly_jwt_key_t *key, ly_str_t kid,
    ly_buf_t *out);


/* one token on its way; set by split, for nobody else to write */
typedef struct {
    ly_str_t      kid;              /* as the token says; empty if absent */
    ly_str_t      typ;
    ly_str_t      alg;
    ly_str_t      signing;          /* bytes that are signed */
    ly_str_t      payload;          /* decoded, untrusted until verified */
    ly_str_t      signature;        /* decoded */
    const char   *why;              /* after a refusal: "size", "segments",
                                       "base64", "header", "crit", "typ",
                                       "kid", "alg", "signature", "payload",
                                       "exp", "nbf", "iat", "iss", "aud",
                                       "tid", "sub", "claim"; for counters
                                       and logs, never for the client */
    bool          verified;
} ly_jwt_t;


/*
 * Form and header.  typ is the exact value wanted ("at+jwt"); an empty typ
 * accepts "JWT" in any case or none at all (external issuers), and still
 * refuses every other.  Everything decoded lives in the arena.  LY_PARSE for
 * the form, LY_DENIED for what is well formed and not allowed, LY_NOMEM.
 */
ly_must_check ly_err_t ly_jwt_split(ly_arena_t *a, ly_str_t token,
    ly_str_t typ, ly_jwt_t *jwt);

/* LY_DENIED: another algorithm than the key's, or no signature of it */
ly_must_check ly_err_t ly_jwt_verify(ly_jwt_key_t *key, ly_jwt_t *jwt);


/* the bare signature check under the key's own algorithm; LY_DENIED */
ly_must_check ly_err_t ly_jwt_key_verify(ly_jwt_key_t *key, ly_str_t signing,
    ly_str_t signature);


/* what the claims are held against; an empty string is not checked */
typedef struct {
    ly_str_t   iss;
    ly_str_t   aud;                 /* must be, or be among, the token's */
    ly_str_t   tid;
    int64_t    now;                 /* seconds since the epoch */
    int64_t    skew;                /* seconds; LY_JWT_SKEW */
    int64_t    max_age;             /* exp - iat at most; 0: not checked */
} ly_jwt_expect_t;

/* strings that are absent are empty, numbers 0 */
typedef struct {
    ly_str_t               iss;
    ly_str_t               sub;     /* required */
    ly_str_t               tid;
    ly_str_t               sid;
    ly_str_t               scope;   /* words parted by single blanks */
    ly_str_t               jti;
    int64_t                exp;     /* required, seconds */
    int64_t                nbf;
    int64_t                iat;     /* required */
    int64_t                pv;
    const ly_json_node_t  *root;    /* all of the payload */
} ly_jwt_claims_t;

/*
 * LY_DENIED with jwt->why; LY_FATAL if the token was not verified.  A numeric
 * date is an integer.
 */
ly_must_check ly_err_t ly_jwt_claims(ly_arena_t *a, ly_jwt_t *jwt,
    const ly_jwt_expect_t *expect, ly_jwt_claims_t *claims);

/* 1 to LY_JWT_KID_MAX characters of [A-Za-z0-9._-] */
bool ly_jwt_kid_valid(ly_str_t kid);

/* is the word in a scope text */
bool ly_scope_has(ly_str_t scope, ly_str_t word);


#endif /* LY_JWT_H_INCLUDED_ */
