/* public keys of token signatures; see ly_jwt.h */

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "ly_base64.h"
#include "ly_jw.h"
#include "ly_jwt.h"
#include "ly_banned.h"


#define LY_JWT_PEM_MAX       8192
#define LY_JWT_RSA_BITS      2048
#define LY_JWT_RSA_BITS_MAX  8192       /* 16384 bits cost 4 ms to verify */
#define LY_JWT_RSA_BYTES     (LY_JWT_RSA_BITS_MAX / 8)
#define LY_JWT_RSA_E_BITS    17
#define LY_JWT_RSA_E_MAX     64
#define LY_JWT_EC_BYTES      32
#define LY_JWT_DER_MAX       (2 + 2 * (2 + 1 + LY_JWT_EC_BYTES))


struct ly_jwt_key_s {
    ly_jwt_alg_e    alg;
    EVP_PKEY       *pkey;
    EVP_PKEY_CTX   *verify;             /* kept, with digest and padding set */
    EVP_MD         *sha256;
    EVP_MD_CTX     *md;
    size_t          kid_len;
    unsigned char   kid[LY_JWT_KID_MAX];
};


const char *
ly_jwt_alg_name(ly_jwt_alg_e alg)
{
    return alg == LY_JWT_ES256 ? "ES256" : "RS256";
}


ly_jwt_alg_e
ly_jwt_key_alg(const ly_jwt_key_t *key)
{
    return key->alg;
}


ly_str_t
ly_jwt_key_kid(const ly_jwt_key_t *key)
{
    return ly_str_of(key->kid, key->kid_len);
}


void
ly_jwt_key_destroy(ly_jwt_key_t *key)
{
    if (key == NULL) {
        return;
    }

    EVP_MD_CTX_free(key->md);
    EVP_MD_free(key->sha256);
    EVP_PKEY_CTX_free(key->verify);
    EVP_PKEY_free(key->pkey);
    free(key);
}


/*
 * CVE-2017-15361: primes of that library are powers of 65537 modulo many small
 * primes, and so is their product.
 */
static bool
ly_jwt_roca(const BIGNUM *n)
{
    size_t    i;
    uint64_t  p, rest, power;

    static const unsigned char  primes[] = {
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151,
        157
    };

    for (i = 0; i < sizeof(primes); i++) {
        p = primes[i];
        rest = (uint64_t) BN_mod_word(n, p);
        power = 65537 % p;

        while (power != rest && power != 1) {
            power = power * 65537 % p;
        }

        if (power != rest) {
            return false;
        }
    }

    return true;
}


static ly_err_t
ly_jwt_rsa_check(EVP_PKEY *pkey)
{
    bool     good;
    int      bits;
    BIGNUM  *n, *e;

    n = NULL;
    e = NULL;
    good = false;

    if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1
        && EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1)
    {
        bits = BN_num_bits(n);
        good = bits >= LY_JWT_RSA_BITS && bits <= LY_JWT_RSA_BITS_MAX
               && BN_is_odd(n) && BN_is_odd(e)
               && BN_num_bits(e) >= LY_JWT_RSA_E_BITS
               && BN_num_bits(e) <= LY_JWT_RSA_E_MAX && !ly_jwt_roca(n);
    }

    BN_free(n);
    BN_free(e);

    return good ? LY_OK : LY_DENIED;
}


static ly_err_t
ly_jwt_ec_check(EVP_PKEY *pkey)
{
    char    group[32];
    size_t  len;

    if (EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group,
                                       sizeof(group), &len) != 1
        || !ly_str_eq(ly_str_of(group, len), ly_str("prime256v1")))
    {
        return LY_DENIED;
    }

    return LY_OK;
}


/* takes the key over: freed on failure as well */
static ly_err_t
ly_jwt_key_of(EVP_PKEY *pkey, ly_jwt_key_t **out)
{
    bool           rsa;
    ly_err_t       rc;
    ly_jwt_key_t  *key;

    rsa = EVP_PKEY_is_a(pkey, "RSA") == 1;
    rc = LY_DENIED;

    if (rsa) {
        rc = ly_jwt_rsa_check(pkey);

    } else if (EVP_PKEY_is_a(pkey, "EC") == 1) {
        rc = ly_jwt_ec_check(pkey);
    }

    key = rc == LY_OK ? calloc(1, sizeof(ly_jwt_key_t)) : NULL;

    if (key == NULL) {
        EVP_PKEY_free(pkey);
        return rc == LY_OK ? LY_NOMEM : rc;
    }

    key->alg = rsa ? LY_JWT_RS256 : LY_JWT_ES256;
    key->pkey = pkey;
    key->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    key->md = EVP_MD_CTX_new();
    key->verify = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

    if (key->sha256 == NULL || key->md == NULL || key->verify == NULL) {
        ly_jwt_key_destroy(key);
        return LY_NOMEM;
    }

    if (EVP_PKEY_public_check(key->verify) != 1
        || EVP_PKEY_verify_init(key->verify) != 1
        || EVP_PKEY_CTX_set_signature_md(key->verify, key->sha256) != 1
        || (rsa && EVP_PKEY_CTX_set_rsa_padding(key->verify,
                                                RSA_PKCS1_PADDING) != 1))
    {
        ly_jwt_key_destroy(key);
        return LY_DENIED;
    }

    *out = key;

    return LY_OK;
}


static bool
ly_jwt_blank(ly_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] != '\n' && s.data[i] != '\r' && s.data[i] != ' ') {
            return false;
        }
    }

    return true;
}


/* one block of this one kind, with nothing before and blanks behind it */
static bool
ly_jwt_pem_form(ly_str_t pem)
{
    size_t    i;
    ly_str_t  end, rest;

    if (pem.len > LY_JWT_PEM_MAX
        || !ly_str_starts(pem, ly_str("-----BEGIN PUBLIC KEY-----")))
    {
        return false;
    }

    end = ly_str("-----END PUBLIC KEY-----");

    for (i = 0; i + end.len <= pem.len; i++) {
        rest = ly_str_of(pem.data + i, pem.len - i);

        if (ly_str_starts(rest, end)) {
            return ly_jwt_blank(ly_str_of(rest.data + end.len,
                                          rest.len - end.len));
        }
    }

    return false;
}


ly_err_t
ly_jwt_key_pem(ly_str_t pem, ly_jwt_key_t **key)
{
    BIO       *bio;
    EVP_PKEY  *pkey;

    if (!ly_jwt_pem_form(pem)) {
        return LY_PARSE;
    }

    bio = BIO_new_mem_buf(pem.data, (int) pem.len);
    if (bio == NULL) {
        return LY_NOMEM;
    }

    pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);

    if (pkey == NULL) {
        ERR_clear_error();
        return LY_PARSE;
    }

    return ly_jwt_key_of(pkey, key);
}


/* a member of strict base64url, min to max bytes */
static ly_err_t
ly_jwt_member_bytes(const ly_json_node_t *jwk, ly_str_t name,
    unsigned char *out, size_t min, size_t max, size_t *len)
{
    ly_err_t               rc;
    const ly_json_node_t  *node;

    node = ly_json_member_of(jwk, name, LY_JSON_STRING);
    if (node == NULL) {
        return LY_PARSE;
    }

    rc = ly_base64url_decode(node->text, out, max, len);

    return rc == LY_OK && *len >= min ? LY_OK : LY_PARSE;
}


static ly_err_t
ly_jwt_fromdata(const char *type, OSSL_PARAM_BLD *bld, EVP_PKEY **pkey)
{
    ly_err_t       rc;
    OSSL_PARAM    *params;
    EVP_PKEY_CTX  *ctx;

    rc = LY_DENIED;
    params = OSSL_PARAM_BLD_to_param(bld);
    ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    if (params == NULL || ctx == NULL) {
        rc = LY_NOMEM;

    } else if (EVP_PKEY_fromdata_init(ctx) == 1
               && EVP_PKEY_fromdata(ctx, pkey, EVP_PKEY_PUBLIC_KEY, params)
               == 1)
    {
        rc = LY_OK;
    }

    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    ERR_clear_error();

    return rc;
}


static ly_err_t
ly_jwt_jwk_ec(const ly_json_node_t *jwk, EVP_PKEY **pkey)
{
    size_t           len;
    ly_err_t         rc;
    unsigned char    point[1 + 2 * LY_JWT_EC_BYTES];
    OSSL_PARAM_BLD  *bld;

    if (!ly_str_eq(ly_json_text(ly_json_member(jwk, ly_str("crv"))),
                   ly_str("P-256")))
    {
        return LY_DENIED;
    }

    /* both coordinates in full length, RFC 7518, section 6.2.1.2 */
    point[0] = 0x04;

    rc = ly_jwt_member_bytes(jwk, ly_str("x"), point + 1, LY_JWT_EC_BYTES,
                             LY_JWT_EC_BYTES, &len);
    if (rc != LY_OK) {
        return rc;
    }

    rc = ly_jwt_member_bytes(jwk, ly_str("y"), point + 1 + LY_JWT_EC_BYTES,
                             LY_JWT_EC_BYTES, LY_JWT_EC_BYTES, &len);
    if (rc != LY_OK) {
        return rc;
    }

    bld = OSSL_PARAM_BLD_new();
    if (bld == NULL) {
        return LY_NOMEM;
    }

    rc = LY_NOMEM;

    if (OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                                        "prime256v1", 0) == 1
        && OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
                                            point, sizeof(point)) == 1)
    {
        rc = ly_jwt_fromdata("EC", bld, pkey);
    }

    OSSL_PARAM_BLD_free(bld);

    return rc;
}


static ly_err_t
ly_jwt_jwk_rsa(const ly_json_node_t *jwk, EVP_PKEY **pkey)
{
    size_t           nlen, elen;
    BIGNUM          *bn, *be;
    ly_err_t         rc;
    unsigned char    n[LY_JWT_RSA_BYTES], e[LY_JWT_RSA_E_MAX / 8];
    OSSL_PARAM_BLD  *bld;

    rc = ly_jwt_member_bytes(jwk, ly_str("n"), n, 1, sizeof(n), &nlen);
    if (rc != LY_OK) {
        return rc;
    }

    rc = ly_jwt_member_bytes(jwk, ly_str("e"), e, 1, sizeof(e), &elen);
    if (rc != LY_OK) {
        return rc;
    }

    bn = BN_bin2bn(n, (int) nlen, NULL);
    be = BN_bin2bn(e, (int) elen, NULL);
    bld = OSSL_PARAM_BLD_new();
    rc = LY_NOMEM;

    if (bn != NULL && be != NULL && bld != NULL
        && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) == 1
        && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be) == 1)
    {
        rc = ly_jwt_fromdata("RSA", bld, pkey);
    }

    OSSL_PARAM_BLD_free(bld);
    BN_free(be);
    BN_free(bn);

    return rc;
}


/* what a JWK says of its own use must allow this one */
static ly_err_t
ly_jwt_jwk_use(const ly_json_node_t *jwk, ly_str_t alg)
{
    size_t                 i;
    const ly_json_node_t  *node;

    static const ly_str_t  private[] = {
        ly_str_init("d"), ly_str_init("p"), ly_str_init("q"),
        ly_str_init("dp"), ly_str_init("dq"), ly_str_init("qi"),
        ly_str_init("oth"), ly_str_init("k")
    };

    for (i = 0; i < ly_countof(private); i++) {
        if (ly_json_member(jwk, private[i]) != NULL) {
            return LY_DENIED;
        }
    }

    node = ly_json_member(jwk, ly_str("alg"));
    if (node != NULL && !ly_str_eq(ly_json_text(node), alg)) {
        return LY_DENIED;
    }

    node = ly_json_member(jwk, ly_str("use"));
    if (node != NULL && !ly_str_eq(ly_json_text(node), ly_str("sig"))) {
        return LY_DENIED;
    }

    node = ly_json_member(jwk, ly_str("key_ops"));
    if (node == NULL) {
        return LY_OK;
    }

    for (node = node->first; node != NULL; node = node->next) {
        if (ly_str_eq(ly_json_text(node), ly_str("verify"))) {
            return LY_OK;
        }
    }

    return LY_DENIED;
}


ly_err_t
ly_jwt_key_jwk_node(const ly_json_node_t *jwk, ly_jwt_key_t **key)
{
    bool                   rsa;
    ly_err_t               rc;
    ly_str_t               kty;
    EVP_PKEY              *pkey;
    const ly_json_node_t  *kid;

    kty = ly_json_text(ly_json_member(jwk, ly_str("kty")));
    rsa = ly_str_eq(kty, ly_str("RSA"));

    if (!rsa && !ly_str_eq(kty, ly_str("EC"))) {
        return kty.len == 0 ? LY_PARSE : LY_DENIED;
    }

    kid = ly_json_member(jwk, ly_str("kid"));

    if (kid != NULL && !ly_jwt_kid_valid(ly_json_text(kid))) {
        return LY_DENIED;
    }

    rc = ly_jwt_jwk_use(jwk, rsa ? ly_str("RS256") : ly_str("ES256"));
    if (rc != LY_OK) {
        return rc;
    }

    pkey = NULL;

    rc = rsa ? ly_jwt_jwk_rsa(jwk, &pkey) : ly_jwt_jwk_ec(jwk, &pkey);
    if (rc != LY_OK) {
        return rc;
    }

    rc = ly_jwt_key_of(pkey, key);

    if (rc == LY_OK && kid != NULL) {
        memcpy((*key)->kid, kid->text.data, kid->text.len);
        (*key)->kid_len = kid->text.len;
    }

    return rc;
}


ly_err_t
ly_jwt_key_jwk(ly_arena_t *scratch, ly_str_t jwk, ly_jwt_key_t **key)
{
    ly_err_t         rc;
    ly_json_node_t  *root;

    rc = ly_json_parse(scratch, jwk, NULL, &root, NULL);
    if (rc != LY_OK) {
        return rc;
    }

    return ly_jwt_key_jwk_node(root, key);
}


/* DER of one of the two numbers; returns its length */
static size_t
ly_jwt_der_integer(const unsigned char *v, unsigned char *out)
{
    size_t  skip, pad, n;

    for (skip = 0; skip < LY_JWT_EC_BYTES - 1 && v[skip] == 0; skip++) {
        /* void */
    }

    n = LY_JWT_EC_BYTES - skip;
    pad = v[skip] >> 7;

    out[0] = 0x02;
    out[1] = (unsigned char) (n + pad);
    out[2] = 0;
    memcpy(out + 2 + pad, v + skip, n);

    return 2 + pad + n;
}


ly_err_t
ly_jwt_key_verify(ly_jwt_key_t *key, ly_str_t signing, ly_str_t signature)
{
    int            rc;
    size_t         n;
    unsigned char  digest[EVP_MAX_MD_SIZE], der[LY_JWT_DER_MAX];

    if (key->alg == LY_JWT_ES256) {

        /* r and s, RFC 7518, section 3.4; their range is OpenSSL's to check */
        if (signature.len != 2 * LY_JWT_EC_BYTES) {
            return LY_DENIED;
        }

        n = ly_jwt_der_integer(signature.data, der + 2);
        n += ly_jwt_der_integer(signature.data + LY_JWT_EC_BYTES, der + 2 + n);
        der[0] = 0x30;
        der[1] = (unsigned char) n;
        signature = ly_str_of(der, n + 2);
    }

    if (EVP_DigestInit_ex2(key->md, key->sha256, NULL) != 1
        || EVP_DigestUpdate(key->md, signing.data, signing.len) != 1
        || EVP_DigestFinal_ex(key->md, digest, NULL) != 1)
    {
        return LY_FATAL;
    }

    rc = EVP_PKEY_verify(key->verify, signature.data, signature.len, digest,
                         32);

    if (rc != 1) {
        ERR_clear_error();
        return LY_DENIED;
    }

    return LY_OK;
}


static ly_err_t
ly_jwt_print_bn(const ly_jwt_key_t *key, const char *name, ly_jw_t *w)
{
    int            n;
    BIGNUM        *bn;
    unsigned char  bytes[LY_JWT_RSA_BYTES];

    bn = NULL;

    if (EVP_PKEY_get_bn_param(key->pkey, name, &bn) != 1) {
        return LY_FATAL;
    }

    n = BN_num_bytes(bn) <= (int) sizeof(bytes) ? BN_bn2bin(bn, bytes) : 0;
    BN_free(bn);

    ly_jw_base64url(w, ly_str_of(bytes, (size_t) n));

    return n == 0 ? LY_FATAL : LY_OK;
}


static ly_err_t
ly_jwt_print_ec(const ly_jwt_key_t *key, ly_jw_t *w)
{
    ly_err_t       rc;
    BIGNUM        *x, *y;
    unsigned char  point[2 * LY_JWT_EC_BYTES];

    x = NULL;
    y = NULL;
    rc = LY_FATAL;

    if (EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1
        && EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1
        && BN_bn2binpad(x, point, LY_JWT_EC_BYTES) > 0
        && BN_bn2binpad(y, point + LY_JWT_EC_BYTES, LY_JWT_EC_BYTES) > 0)
    {
        ly_jw_kcstr(w, "crv", "P-256");
        ly_jw_k(w, "x");
        ly_jw_base64url(w, ly_str_of(point, LY_JWT_EC_BYTES));
        ly_jw_k(w, "y");
        ly_jw_base64url(w, ly_str_of(point + LY_JWT_EC_BYTES,
                                     LY_JWT_EC_BYTES));
        rc = LY_OK;
    }

    BN_free(x);
    BN_free(y);

    return rc;
}


ly_err_t
ly_jwt_key_print(const ly_jwt_key_t *key, ly_str_t kid, ly_buf_t *out)
{
    ly_jw_t   w;
    ly_err_t  rc;

    ly_jw_init(&w, out);
    ly_jw_object(&w);

    if (key->alg == LY_JWT_ES256) {
        ly_jw_kcstr(&w, "kty", "EC");
        rc = ly_jwt_print_ec(key, &w);

    } else {
        ly_jw_kcstr(&w, "kty", "RSA");
        ly_jw_k(&w, "n");
        rc = ly_jwt_print_bn(key, OSSL_PKEY_PARAM_RSA_N, &w);

        if (rc == LY_OK) {
            ly_jw_k(&w, "e");
            rc = ly_jwt_print_bn(key, OSSL_PKEY_PARAM_RSA_E, &w);
        }
    }

    if (rc != LY_OK) {
        return rc;
    }

    if (kid.len != 0) {
        ly_jw_kstr(&w, "kid", kid);
    }

    ly_jw_kcstr(&w, "use", "sig");
    ly_jw_kcstr(&w, "alg", ly_jwt_alg_name(key->alg));
    ly_jw_object_end(&w);

    return ly_jw_done(&w);
}
