#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "ly_crypto.h"
#include "ly_banned.h"


#define LY_GCM_NONCE      12
#define LY_GCM_TAG        16
#define LY_SEAL_VERSION   0x01


struct ly_crypto_s {
    EVP_MD          *sha256;
    EVP_MD_CTX      *md;
    EVP_MAC         *hmac;
    EVP_CIPHER      *gcm;
    EVP_CIPHER_CTX  *cipher;
    EVP_KDF         *hkdf;
};

struct ly_hmac_s {
    EVP_MAC_CTX     *keyed;
};

struct ly_sha256_s {
    EVP_MD          *sha256;        /* the owner's */
    EVP_MD_CTX      *md;
};


ly_crypto_t *
ly_crypto_create(void)
{
    ly_crypto_t  *c;

    c = calloc(1, sizeof(ly_crypto_t));
    if (c == NULL) {
        return NULL;
    }

    c->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    c->md = EVP_MD_CTX_new();
    c->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    c->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    c->cipher = EVP_CIPHER_CTX_new();
    c->hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);

    if (c->sha256 == NULL || c->md == NULL || c->hmac == NULL
        || c->gcm == NULL || c->cipher == NULL || c->hkdf == NULL)
    {
        ly_crypto_destroy(c);
        return NULL;
    }

    return c;
}


void
ly_crypto_destroy(ly_crypto_t *c)
{
    if (c == NULL) {
        return;
    }

    EVP_KDF_free(c->hkdf);
    EVP_CIPHER_CTX_free(c->cipher);
    EVP_CIPHER_free(c->gcm);
    EVP_MAC_free(c->hmac);
    EVP_MD_CTX_free(c->md);
    EVP_MD_free(c->sha256);
    free(c);
}


ly_err_t
ly_sha256(ly_crypto_t *c, ly_str_t data, unsigned char *out)
{
    return ly_sha256_parts(c, &data, 1, out);
}


ly_err_t
ly_sha256_parts(ly_crypto_t *c, const ly_str_t *parts, size_t n,
    unsigned char *out)
{
    size_t  i;

    if (EVP_DigestInit_ex2(c->md, c->sha256, NULL) != 1) {
        return LY_FATAL;
    }

    for (i = 0; i < n; i++) {
        if (EVP_DigestUpdate(c->md, parts[i].data, parts[i].len) != 1) {
            return LY_FATAL;
        }
    }

    return EVP_DigestFinal_ex(c->md, out, NULL) == 1 ? LY_OK : LY_FATAL;
}


ly_sha256_t *
ly_sha256_begin(ly_crypto_t *c)
{
    ly_sha256_t  *s;

    s = calloc(1, sizeof(ly_sha256_t));
    if (s == NULL) {
        return NULL;
    }

    s->sha256 = c->sha256;
    s->md = EVP_MD_CTX_new();

    if (s->md == NULL || EVP_DigestInit_ex2(s->md, s->sha256, NULL) != 1) {
        ly_sha256_free(s);
        return NULL;
    }

    return s;
}


ly_err_t
ly_sha256_add(ly_sha256_t *s, ly_str_t data)
{
    return EVP_DigestUpdate(s->md, data.data, data.len) == 1 ? LY_OK
                                                             : LY_FATAL;
}


ly_err_t
ly_sha256_end(ly_sha256_t *s, unsigned char *out)
{
    if (EVP_DigestFinal_ex(s->md, out, NULL) != 1) {
        return LY_FATAL;
    }

    return EVP_DigestInit_ex2(s->md, s->sha256, NULL) == 1 ? LY_OK : LY_FATAL;
}


void
ly_sha256_free(ly_sha256_t *s)
{
    if (s != NULL) {
        EVP_MD_CTX_free(s->md);
        free(s);
    }
}


ly_hmac_t *
ly_hmac_create(ly_crypto_t *c, ly_str_t key)
{
    ly_hmac_t   *h;
    OSSL_PARAM   params[2];

    static char  digest[] = "SHA256";

    h = calloc(1, sizeof(ly_hmac_t));
    if (h == NULL) {
        return NULL;
    }

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
                                                 0);
    params[1] = OSSL_PARAM_construct_end();

    h->keyed = EVP_MAC_CTX_new(c->hmac);

    if (h->keyed == NULL || key.len == 0
        || EVP_MAC_init(h->keyed, key.data, key.len, params) != 1)
    {
        ly_hmac_destroy(h);
        return NULL;
    }

    return h;
}


void
ly_hmac_destroy(ly_hmac_t *h)
{
    if (h != NULL) {
        EVP_MAC_CTX_free(h->keyed);
        free(h);
    }
}


ly_err_t
ly_hmac_begin(ly_hmac_t *h)
{
    /* without a key: the one that was set is used again */
    return EVP_MAC_init(h->keyed, NULL, 0, NULL) == 1 ? LY_OK : LY_FATAL;
}


ly_err_t
ly_hmac_add(ly_hmac_t *h, ly_str_t data)
{
    return EVP_MAC_update(h->keyed, data.data, data.len) == 1 ? LY_OK
                                                              : LY_FATAL;
}


ly_err_t
ly_hmac_end(ly_hmac_t *h, unsigned char *out)
{
    size_t  len;

    if (EVP_MAC_final(h->keyed, out, &len, LY_SHA256_LEN) != 1
        || len != LY_SHA256_LEN)
    {
        return LY_FATAL;
    }

    return LY_OK;
}


ly_err_t
ly_hmac(ly_hmac_t *h, ly_str_t data, unsigned char *out)
{
    return ly_hmac_parts(h, &data, 1, out);
}


ly_err_t
ly_hmac_parts(ly_hmac_t *h, const ly_str_t *parts, size_t n,
    unsigned char *out)
{
    size_t    i;
    ly_err_t  rc;

    rc = ly_hmac_begin(h);

    for (i = 0; rc == LY_OK && i < n; i++) {
        rc = ly_hmac_add(h, parts[i]);
    }

    return rc == LY_OK ? ly_hmac_end(h, out) : rc;
}


ly_err_t
ly_hkdf(ly_crypto_t *c, ly_str_t key, ly_str_t salt, ly_str_t info,
    unsigned char *out, size_t len)
{
    int           rc;
    size_t        n;
    OSSL_PARAM    params[5];
    EVP_KDF_CTX  *ctx;

    static char   digest[] = "SHA256";

    ctx = EVP_KDF_CTX_new(c->hkdf);
    if (ctx == NULL) {
        return LY_NOMEM;
    }

    n = 0;
    params[n++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                                   digest, 0);
    params[n++] = OSSL_PARAM_construct_octet_string(
        OSSL_KDF_PARAM_KEY, (void *) (uintptr_t) key.data, key.len);

    if (salt.len != 0) {
        params[n++] = OSSL_PARAM_construct_octet_string(
            OSSL_KDF_PARAM_SALT, (void *) (uintptr_t) salt.data, salt.len);
    }

    if (info.len != 0) {
        params[n++] = OSSL_PARAM_construct_octet_string(
            OSSL_KDF_PARAM_INFO, (void *) (uintptr_t) info.data, info.len);
    }

    params[n] = OSSL_PARAM_construct_end();

    rc = EVP_KDF_derive(ctx, out, len, params);
    EVP_KDF_CTX_free(ctx);

    return rc == 1 ? LY_OK : LY_FATAL;
}


ly_err_t
ly_random(void *out, size_t len)
{
    if (len > INT_MAX) {
        return LY_LIMIT;
    }

    return RAND_bytes(out, (int) len) == 1 ? LY_OK : LY_TEMP;
}


ly_err_t
ly_key_make(ly_key_t *key)
{
    ly_err_t  rc;

    rc = ly_random(key->id, LY_KEY_ID_LEN);

    return rc == LY_OK ? ly_random(key->key, LY_AES_KEY_LEN) : rc;
}


void
ly_key_wipe(ly_key_t *key)
{
    ly_secret_wipe(key, sizeof(ly_key_t));
}


static bool
ly_gcm_aad(ly_crypto_t *c, const ly_str_t *aad, size_t n)
{
    int     len;
    size_t  i;

    for (i = 0; i < n; i++) {
        if (aad[i].len == 0) {
            continue;
        }

        if (aad[i].len > INT_MAX
            || EVP_CipherUpdate(c->cipher, NULL, &len, aad[i].data,
                                (int) aad[i].len) != 1)
        {
            return false;
        }
    }

    return true;
}


static ly_err_t
ly_gcm(ly_crypto_t *c, bool encrypt,
    const unsigned char *key, const unsigned char *nonce,
    const ly_str_t *aad, size_t n, ly_str_t in, unsigned char *out,
    unsigned char *tag)
{
    int            len;
    unsigned char  none[EVP_MAX_BLOCK_LENGTH];

    if (in.len > LY_SEAL_MAX) {
        return LY_LIMIT;
    }

    if (EVP_CipherInit_ex2(c->cipher, c->gcm, key, nonce, encrypt, NULL) != 1
        || !ly_gcm_aad(c, aad, n))
    {
        return LY_FATAL;
    }

    if (!encrypt
        && EVP_CIPHER_CTX_ctrl(c->cipher, EVP_CTRL_AEAD_SET_TAG, LY_GCM_TAG,
                               tag) != 1)
    {
        return LY_FATAL;
    }

    if (in.len != 0
        && EVP_CipherUpdate(c->cipher, out, &len, in.data, (int) in.len) != 1)
    {
        return LY_FATAL;
    }

    /* GCM has nothing left to write here */
    if (EVP_CipherFinal_ex(c->cipher, none, &len) != 1) {
        return encrypt ? LY_FATAL : LY_DENIED;
    }

    if (encrypt
        && EVP_CIPHER_CTX_ctrl(c->cipher, EVP_CTRL_AEAD_GET_TAG, LY_GCM_TAG,
                               tag) != 1)
    {
        return LY_FATAL;
    }

    return LY_OK;
}


ly_err_t
ly_gcm_encrypt(ly_crypto_t *c, const unsigned char *key,
    const unsigned char *nonce, const ly_str_t *aad, size_t n,
    ly_str_t plain, unsigned char *out, unsigned char *tag)
{
    return ly_gcm(c, true, key, nonce, aad, n, plain, out, tag);
}


ly_err_t
ly_gcm_decrypt(ly_crypto_t *c, const unsigned char *key,
    const unsigned char *nonce, const ly_str_t *aad, size_t n,
    ly_str_t sealed, unsigned char *out, const unsigned char *tag)
{
    ly_err_t       rc;
    unsigned char  copy[LY_GCM_TAG];

    /* OpenSSL takes it without const */
    memcpy(copy, tag, LY_GCM_TAG);

    rc = ly_gcm(c, false, key, nonce, aad, n, sealed, out, copy);

    if (rc != LY_OK && rc != LY_LIMIT) {
        ly_secret_wipe(out, sealed.len);
    }

    return rc;
}


ly_err_t
ly_aead_seal(ly_crypto_t *c, const ly_key_t *key, const ly_str_t *aad,
    size_t n, ly_str_t plain, ly_buf_t *out)
{
    ly_err_t        rc;
    unsigned char  *p, *text;

    if (plain.len > LY_SEAL_MAX) {
        return LY_LIMIT;
    }

    p = ly_buf_reserve(out, plain.len + LY_SEAL_OVERHEAD);
    if (p == NULL) {
        return ly_buf_err(out);
    }

    p[0] = LY_SEAL_VERSION;
    memcpy(p + 1, key->id, LY_KEY_ID_LEN);

    rc = ly_random(p + 1 + LY_KEY_ID_LEN, LY_GCM_NONCE);
    if (rc != LY_OK) {
        return rc;
    }

    text = p + 1 + LY_KEY_ID_LEN + LY_GCM_NONCE;

    rc = ly_gcm_encrypt(c, key->key, p + 1 + LY_KEY_ID_LEN, aad, n, plain,
                        text, text + plain.len);
    if (rc == LY_OK) {
        ly_buf_commit(out, plain.len + LY_SEAL_OVERHEAD);
    }

    return rc;
}


ly_err_t
ly_aead_key_id(ly_str_t sealed, unsigned char *id)
{
    if (sealed.len < LY_SEAL_OVERHEAD || sealed.data[0] != LY_SEAL_VERSION) {
        return LY_PARSE;
    }

    memcpy(id, sealed.data + 1, LY_KEY_ID_LEN);

    return LY_OK;
}


ly_err_t
ly_aead_open(ly_crypto_t *c, const ly_key_t *key, const ly_str_t *aad,
    size_t n, ly_str_t sealed, ly_buf_t *out)
{
    size_t                len;
    ly_err_t              rc;
    unsigned char        *p, id[LY_KEY_ID_LEN];
    const unsigned char  *nonce, *text;

    rc = ly_aead_key_id(sealed, id);
    if (rc != LY_OK) {
        return rc;
    }

    if (memcmp(id, key->id, LY_KEY_ID_LEN) != 0) {
        return LY_NOTFOUND;
    }

    len = sealed.len - LY_SEAL_OVERHEAD;
    nonce = sealed.data + 1 + LY_KEY_ID_LEN;
    text = nonce + LY_GCM_NONCE;

    p = ly_buf_reserve(out, len);
    if (p == NULL) {
        return ly_buf_err(out);
    }

    rc = ly_gcm_decrypt(c, key->key, nonce, aad, n, ly_str_of(text, len), p,
                        text + len);
    if (rc == LY_OK) {
        ly_buf_commit(out, len);
    }

    return rc;
}
