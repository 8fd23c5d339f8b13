/*
 * The few primitives used, over OpenSSL 3, with the algorithms fetched once
 * and the contexts kept.  One ly_crypto_t per process and thread: its contexts
 * are reused by each call.  A process that forks makes its own.
 */

#ifndef LY_CRYPTO_H_INCLUDED_
#define LY_CRYPTO_H_INCLUDED_

#include "ly_base.h"
#include "ly_buf.h"


#define LY_SHA256_LEN   32
#define LY_AES_KEY_LEN  32
#define LY_KEY_ID_LEN   8

typedef struct ly_crypto_s  ly_crypto_t;
typedef struct ly_hmac_s    ly_hmac_t;


/* NULL if OpenSSL lacks an algorithm or memory */
ly_must_check ly_crypto_t *ly_crypto_create(void);
void ly_crypto_destroy(ly_crypto_t *c);

/*
 * A digest is LY_SHA256_LEN bytes, into out.  LY_FATAL when the library fails,
 * here and below.
 */
ly_must_check ly_err_t ly_sha256(ly_crypto_t *c, ly_str_t data,
    unsigned char *out);

/* of the concatenation of n strings */
ly_must_check ly_err_t ly_sha256_parts(ly_crypto_t *c, const ly_str_t *parts,
    size_t n, unsigned char *out);

/*
 * Piecewise, so that a large body yields to the event loop between its parts;
 * one digest at a time per object, free with NULL is fine.
 */
typedef struct ly_sha256_s  ly_sha256_t;
ly_must_check ly_sha256_t *ly_sha256_begin(ly_crypto_t *c);
ly_must_check ly_err_t ly_sha256_add(ly_sha256_t *s, ly_str_t data);
ly_must_check ly_err_t ly_sha256_end(ly_sha256_t *s,
    unsigned char *out);                        /* then begins anew */
void ly_sha256_free(ly_sha256_t *s);

/* HMAC-SHA-256 with its key set up once; any key length >= 1 */
ly_must_check ly_hmac_t *ly_hmac_create(ly_crypto_t *c, ly_str_t key);
void ly_hmac_destroy(ly_hmac_t *h);
ly_must_check ly_err_t ly_hmac(ly_hmac_t *h, ly_str_t data,
    unsigned char *out);
ly_must_check ly_err_t ly_hmac_parts(ly_hmac_t *h, const ly_str_t *parts,
    size_t n, unsigned char *out);

/* piecewise on the kept key: begin, add as often as needed, end */
ly_must_check ly_err_t ly_hmac_begin(ly_hmac_t *h);
ly_must_check ly_err_t ly_hmac_add(ly_hmac_t *h, ly_str_t data);
ly_must_check ly_err_t ly_hmac_end(ly_hmac_t *h,
    unsigned char *out);

/* HKDF-SHA-256 (RFC 5869), len <= 8160; salt and info may be empty */
ly_must_check ly_err_t ly_hkdf(ly_crypto_t *c, ly_str_t key, ly_str_t salt,
    ly_str_t info, unsigned char *out, size_t len);

/* LY_TEMP when the generator has nothing to give */
ly_must_check ly_err_t ly_random(void *out, size_t len);


typedef struct {
    unsigned char  id[LY_KEY_ID_LEN];
    unsigned char  key[LY_AES_KEY_LEN];
} ly_key_t;

/* a random id and key */
ly_must_check ly_err_t ly_key_make(ly_key_t *key);
void ly_key_wipe(ly_key_t *key);

/*
 * AES-256-GCM in an envelope of ours:
 *     0x01 | key id (8) | nonce (12, random) | ciphertext | tag (16)
 * The additional data is the concatenation of n parts; with variable lengths
 * the caller keeps it unambiguous.  A plaintext is at most LY_SEAL_MAX bytes.
 * open: LY_PARSE for no envelope of ours, LY_NOTFOUND for another key's id,
 * LY_DENIED for anything changed (then nothing is left in out).
 */
#define LY_SEAL_MAX       (4 * 1024 * 1024)
#define LY_SEAL_OVERHEAD  (1 + LY_KEY_ID_LEN + 12 + 16)

ly_must_check ly_err_t ly_aead_seal(ly_crypto_t *c, const ly_key_t *key,
    const ly_str_t *aad, size_t n, ly_str_t plain, ly_buf_t *out);
ly_must_check ly_err_t ly_aead_open(ly_crypto_t *c, const ly_key_t *key,
    const ly_str_t *aad, size_t n, ly_str_t sealed, ly_buf_t *out);

/* the key id (LY_KEY_ID_LEN bytes) that an envelope names; LY_PARSE */
ly_must_check ly_err_t ly_aead_key_id(ly_str_t sealed,
    unsigned char *id);

/* AES-256-GCM itself: key 32 bytes, nonce 12, tag 16 */
ly_must_check ly_err_t ly_gcm_encrypt(ly_crypto_t *c,
    const unsigned char *key, const unsigned char *nonce,
    const ly_str_t *aad, size_t n, ly_str_t plain, unsigned char *out,
    unsigned char *tag);
ly_must_check ly_err_t ly_gcm_decrypt(ly_crypto_t *c,
    const unsigned char *key, const unsigned char *nonce,
    const ly_str_t *aad, size_t n, ly_str_t sealed, unsigned char *out,
    const unsigned char *tag);


#endif /* LY_CRYPTO_H_INCLUDED_ */
