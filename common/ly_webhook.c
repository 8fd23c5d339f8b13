#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "ly_base64.h"
#include "ly_webhook.h"
#include "ly_banned.h"


#define LY_WEBHOOK_ID_MAX   256
#define LY_WEBHOOK_SEED     32
#define LY_WEBHOOK_ED25519  64
#define LY_WEBHOOK_PREFIX   6           /* of "whsec_" */


struct ly_webhook_key_s {
    ly_hmac_t   *hmac;
    EVP_PKEY    *ed25519;
    bool         signs;
};


/* the base64 behind a prefix, exactly one of the lengths */
static ly_err_t
ly_webhook_bytes(ly_str_t text, size_t prefix, unsigned char *out,
    size_t min, size_t max, size_t *len)
{
    ly_err_t  rc;

    text = ly_str_of(text.data + prefix, text.len - prefix);
    rc = ly_base64_decode(text, out, max, len);

    return rc == LY_OK && *len >= min ? LY_OK : LY_PARSE;
}


/* a pair, from the seed; a public key that stands behind it must be its own */
static ly_err_t
ly_webhook_secret_key(ly_webhook_key_t *key, const unsigned char *bytes,
    size_t len)
{
    size_t         n;
    unsigned char  pub[LY_WEBHOOK_SEED];

    if (len != LY_WEBHOOK_SEED && len != 2 * LY_WEBHOOK_SEED) {
        return LY_PARSE;
    }

    key->ed25519 = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL,
                                                   bytes, LY_WEBHOOK_SEED);
    if (key->ed25519 == NULL) {
        return LY_NOMEM;
    }

    key->signs = true;

    if (len == LY_WEBHOOK_SEED) {
        return LY_OK;
    }

    n = sizeof(pub);

    if (EVP_PKEY_get_raw_public_key(key->ed25519, pub, &n) != 1
        || memcmp(pub, bytes + LY_WEBHOOK_SEED, LY_WEBHOOK_SEED) != 0)
    {
        return LY_PARSE;
    }

    return LY_OK;
}


static ly_err_t
ly_webhook_hmac_key(ly_crypto_t *c, ly_str_t text, size_t prefix,
    ly_webhook_key_t *key)
{
    size_t         len;
    ly_err_t       rc;
    unsigned char  bytes[LY_WEBHOOK_SECRET_MAX + 2];

    rc = ly_webhook_bytes(text, prefix, bytes, LY_WEBHOOK_SECRET_MIN,
                          LY_WEBHOOK_SECRET_MAX, &len);

    if (rc == LY_OK) {
        key->signs = true;
        key->hmac = ly_hmac_create(c, ly_str_of(bytes, len));
        rc = key->hmac == NULL ? LY_NOMEM : LY_OK;
    }

    ly_secret_wipe(bytes, sizeof(bytes));

    return rc;
}


static ly_err_t
ly_webhook_ed25519_key(ly_str_t text, bool secret, ly_webhook_key_t *key)
{
    size_t         len;
    ly_err_t       rc;
    unsigned char  bytes[2 * LY_WEBHOOK_SEED];

    /* both prefixes have five bytes */
    rc = ly_webhook_bytes(text, 5, bytes, LY_WEBHOOK_SEED,
                          secret ? sizeof(bytes) : LY_WEBHOOK_SEED, &len);

    if (rc == LY_OK && secret) {
        rc = ly_webhook_secret_key(key, bytes, len);

    } else if (rc == LY_OK) {
        key->ed25519 = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL,
                                                      bytes, len);
        rc = key->ed25519 == NULL ? LY_PARSE : LY_OK;
    }

    ly_secret_wipe(bytes, sizeof(bytes));

    return rc;
}


static ly_err_t
ly_webhook_key_text(ly_crypto_t *c, ly_str_t text, ly_webhook_key_t *key)
{
    if (ly_str_starts(text, ly_str("whsk_"))) {
        return ly_webhook_ed25519_key(text, true, key);
    }

    if (ly_str_starts(text, ly_str("whpk_"))) {
        return ly_webhook_ed25519_key(text, false, key);
    }

    /* '_' is no base64, so that a bare secret cannot begin like this */
    if (ly_str_starts(text, ly_str("whsec_"))) {
        return ly_webhook_hmac_key(c, text, LY_WEBHOOK_PREFIX, key);
    }

    return ly_webhook_hmac_key(c, text, 0, key);
}


ly_err_t
ly_webhook_key_parse(ly_crypto_t *c, ly_str_t text, ly_webhook_key_t **out)
{
    ly_err_t           rc;
    ly_webhook_key_t  *key;

    key = calloc(1, sizeof(ly_webhook_key_t));
    if (key == NULL) {
        return LY_NOMEM;
    }

    rc = ly_webhook_key_text(c, text, key);

    if (rc != LY_OK) {
        ly_webhook_key_destroy(key);
        return rc;
    }

    *out = key;

    return LY_OK;
}


void
ly_webhook_key_destroy(ly_webhook_key_t *key)
{
    if (key != NULL) {
        ly_hmac_destroy(key->hmac);
        EVP_PKEY_free(key->ed25519);
        free(key);
    }
}


ly_err_t
ly_webhook_secret_make(unsigned char *out, size_t *len)
{
    ly_err_t       rc;
    unsigned char  bytes[LY_SHA256_LEN];

    rc = ly_random(bytes, sizeof(bytes));
    if (rc != LY_OK) {
        return rc;
    }

    memcpy(out, "whsec_", LY_WEBHOOK_PREFIX);
    *len = LY_WEBHOOK_PREFIX
           + ly_base64_encode(ly_str_of(bytes, sizeof(bytes)),
                              out + LY_WEBHOOK_PREFIX);
    ly_secret_wipe(bytes, sizeof(bytes));

    return LY_OK;
}


ly_err_t
ly_webhook_pair_make(ly_buf_t *secret, ly_buf_t *public_key)
{
    size_t         n;
    ly_err_t       rc;
    EVP_PKEY      *pkey;
    unsigned char  seed[LY_WEBHOOK_SEED], pub[LY_WEBHOOK_SEED];

    rc = ly_random(seed, sizeof(seed));
    if (rc != LY_OK) {
        return rc;
    }

    pkey = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, seed,
                                           sizeof(seed));
    n = sizeof(pub);

    if (pkey == NULL || EVP_PKEY_get_raw_public_key(pkey, pub, &n) != 1) {
        rc = LY_FATAL;

    } else {
        ly_buf_str(secret, ly_str("whsk_"));
        ly_base64_put(secret, ly_str_of(seed, sizeof(seed)));
        ly_buf_str(public_key, ly_str("whpk_"));
        ly_base64_put(public_key, ly_str_of(pub, n));

        rc = ly_buf_err(secret);
        rc = rc == LY_OK ? ly_buf_err(public_key) : rc;
    }

    EVP_PKEY_free(pkey);
    ly_secret_wipe(seed, sizeof(seed));

    return rc;
}


static bool
ly_webhook_id_valid(ly_str_t id)
{
    size_t  i;

    if (id.len == 0 || id.len > LY_WEBHOOK_ID_MAX) {
        return false;
    }

    /* a dot would let the id and the timestamp be parted in two ways */
    for (i = 0; i < id.len; i++) {
        if (id.data[i] <= ' ' || id.data[i] >= 0x7f || id.data[i] == '.') {
            return false;
        }
    }

    return true;
}


/* HMAC-SHA-256 over id "." timestamp "." body */
static ly_err_t
ly_webhook_mac(ly_webhook_key_t *key, ly_str_t id, ly_str_t timestamp,
    ly_str_t body, unsigned char *out)
{
    ly_str_t  parts[5];

    parts[0] = id;
    parts[1] = ly_str(".");
    parts[2] = timestamp;
    parts[3] = parts[1];
    parts[4] = body;

    return ly_hmac_parts(key->hmac, parts, ly_countof(parts), out);
}


/* the same in one piece, as Ed25519 takes it; freed by the caller */
static ly_err_t
ly_webhook_message(ly_str_t id, ly_str_t timestamp, ly_str_t body, ly_buf_t *b)
{
    ly_buf_init(b, id.len + timestamp.len + body.len + 2, NULL);

    ly_buf_str(b, id);
    ly_buf_byte(b, '.');
    ly_buf_str(b, timestamp);
    ly_buf_byte(b, '.');
    ly_buf_str(b, body);

    return ly_buf_err(b);
}


static ly_err_t
ly_webhook_ed25519_sign(ly_webhook_key_t *key, ly_str_t message,
    unsigned char *out)
{
    size_t       len;
    ly_err_t     rc;
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();
    len = LY_WEBHOOK_ED25519;
    rc = LY_OK;

    if (ctx == NULL
        || EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key->ed25519,
                                 NULL) != 1
        || EVP_DigestSign(ctx, out, &len, message.data, message.len) != 1
        || len != LY_WEBHOOK_ED25519)
    {
        rc = LY_FATAL;
    }

    EVP_MD_CTX_free(ctx);

    return rc;
}


static bool
ly_webhook_ed25519_verify(ly_webhook_key_t *key, ly_str_t message,
    ly_str_t signature)
{
    bool         good;
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();

    good = ctx != NULL
           && EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL,
                                      key->ed25519, NULL) == 1
           && EVP_DigestVerify(ctx, signature.data, signature.len,
                               message.data, message.len) == 1;

    EVP_MD_CTX_free(ctx);
    ERR_clear_error();

    return good;
}


ly_err_t
ly_webhook_sign(ly_webhook_key_t *key, ly_str_t id, int64_t timestamp,
    ly_str_t body, ly_buf_t *out)
{
    size_t         len;
    ly_buf_t       message;
    ly_err_t       rc;
    ly_str_t       when;
    unsigned char  text[LY_INT64_TEXT], sum[LY_WEBHOOK_ED25519];

    if (!key->signs) {
        return LY_DENIED;
    }

    if (!ly_webhook_id_valid(id) || timestamp < 0) {
        return LY_PARSE;
    }

    when = ly_str_of(text, ly_int64_print(timestamp, text));

    if (key->hmac != NULL) {
        len = LY_SHA256_LEN;
        rc = ly_webhook_mac(key, id, when, body, sum);

    } else {
        len = LY_WEBHOOK_ED25519;
        rc = ly_webhook_message(id, when, body, &message);

        if (rc == LY_OK) {
            rc = ly_webhook_ed25519_sign(key, ly_buf_view(&message), sum);
        }

        ly_buf_free(&message);
    }

    if (rc != LY_OK) {
        return rc;
    }

    if (out->len != 0) {
        ly_buf_byte(out, ' ');
    }

    ly_buf_cstr(out, key->hmac != NULL ? "v1," : "v1a,");
    ly_base64_put(out, ly_str_of(sum, len));

    return ly_buf_err(out);
}


/* the next word of the header; false at its end */
static bool
ly_webhook_word(ly_str_t *rest, ly_str_t *word)
{
    size_t  i;

    if (rest->len == 0) {
        return false;
    }

    for (i = 0; i < rest->len && rest->data[i] != ' '; i++) {
        /* void */
    }

    *word = ly_str_of(rest->data, i);
    i += i < rest->len;
    *rest = ly_str_of(rest->data + i, rest->len - i);

    return true;
}


/* is one of the signatures of our version ours? */
static bool
ly_webhook_match(ly_webhook_key_t *key, ly_str_t signatures, ly_str_t message,
    const unsigned char *sum)
{
    size_t         len;
    ly_str_t       word, version, text;
    unsigned       n;
    unsigned char  given[LY_WEBHOOK_ED25519 + 2];

    version = key->hmac != NULL ? ly_str("v1,") : ly_str("v1a,");

    for (n = 0; n < LY_WEBHOOK_SIGNATURES; n++) {

        if (!ly_webhook_word(&signatures, &word)) {
            return false;
        }

        if (!ly_str_starts(word, version)) {
            continue;
        }

        text = ly_str_of(word.data + version.len, word.len - version.len);

        if (ly_base64_decode(text, given, sizeof(given), &len) != LY_OK) {
            continue;
        }

        if (key->hmac != NULL) {
            if (ly_secret_eq(given, len, sum, LY_SHA256_LEN)) {
                return true;
            }

        } else if (ly_webhook_ed25519_verify(key, message,
                                             ly_str_of(given, len)))
        {
            return true;
        }
    }

    return false;
}


ly_err_t
ly_webhook_verify(ly_webhook_key_t *key, ly_str_t id, ly_str_t timestamp,
    ly_str_t signatures, ly_str_t body, int64_t now, int64_t tolerance)
{
    bool           good;
    int64_t        when;
    ly_buf_t       message;
    ly_err_t       rc;
    unsigned char  sum[LY_SHA256_LEN];

    if (!ly_webhook_id_valid(id) || ly_int64_parse(timestamp, &when) != LY_OK
        || when < 0)
    {
        return LY_PARSE;
    }

    if (when > now ? when - now > tolerance : now - when > tolerance) {
        return LY_DENIED;
    }

    memset(sum, 0, sizeof(sum));
    ly_buf_init(&message, 0, NULL);

    if (key->hmac != NULL) {
        rc = ly_webhook_mac(key, id, timestamp, body, sum);

    } else {
        rc = ly_webhook_message(id, timestamp, body, &message);
    }

    good = rc == LY_OK
           && ly_webhook_match(key, signatures, ly_buf_view(&message), sum);

    ly_buf_free(&message);

    if (rc != LY_OK) {
        return rc;
    }

    return good ? LY_OK : LY_DENIED;
}
