/*
 * Standard Webhooks: the signed text is id "." timestamp "." body, over the
 * raw bytes sent.  "v1," is HMAC-SHA-256 under a whsec_ secret, "v1a," is
 * Ed25519.  During a rotation the header carries several, parted by a blank.
 */

#ifndef LY_WEBHOOK_H_INCLUDED_
#define LY_WEBHOOK_H_INCLUDED_

#include "ly_base.h"
#include "ly_buf.h"
#include "ly_crypto.h"


#define LY_WEBHOOK_TOLERANCE   300      /* seconds, either way */
#define LY_WEBHOOK_SECRET_MIN  24       /* bytes */
#define LY_WEBHOOK_SECRET_MAX  64
#define LY_WEBHOOK_SIGNATURES  16       /* looked at in one header */
#define LY_WEBHOOK_SECRET_TEXT (6 + 88)

typedef struct ly_webhook_key_s  ly_webhook_key_t;


/*
 * "whsec_" + base64 of 24 to 64 bytes, or that base64 alone (HMAC), "whsk_" +
 * base64 of a 32-byte seed or of seed and public key (Ed25519, signs and
 * verifies), "whpk_" + base64 of 32 bytes (Ed25519, verifies only).  LY_PARSE.
 */
ly_must_check ly_err_t ly_webhook_key_parse(ly_crypto_t *c, ly_str_t text,
    ly_webhook_key_t **key);
void ly_webhook_key_destroy(ly_webhook_key_t *key);     /* NULL is fine */

/*
 * A new secret "whsec_" of 32 random bytes; out has LY_WEBHOOK_SECRET_TEXT
 * bytes, *len is what was written.
 */
ly_must_check ly_err_t ly_webhook_secret_make(
    unsigned char *out, size_t *len);

/* a new pair: "whsk_..." of the seed, "whpk_..." of the public key */
ly_must_check ly_err_t ly_webhook_pair_make(ly_buf_t *secret,
    ly_buf_t *public_key);

/*
 * Appends "v1,<base64>" or "v1a,<base64>" to out, with a blank before it if
 * out is not empty.  id must not hold a '.' and is 1..256 visible ASCII bytes;
 * timestamp is seconds since the epoch.  LY_DENIED for a key that only
 * verifies.
 */
ly_must_check ly_err_t ly_webhook_sign(ly_webhook_key_t *key, ly_str_t id,
    int64_t timestamp, ly_str_t body, ly_buf_t *out);

/*
 * The three headers as received.  LY_PARSE for a malformed id or timestamp,
 * LY_DENIED when the time is off by more than tolerance or no signature of a
 * known version fits; unknown versions are passed over.
 */
ly_must_check ly_err_t ly_webhook_verify(ly_webhook_key_t *key, ly_str_t id,
    ly_str_t timestamp, ly_str_t signatures, ly_str_t body, int64_t now,
    int64_t tolerance);


#endif /* LY_WEBHOOK_H_INCLUDED_ */
