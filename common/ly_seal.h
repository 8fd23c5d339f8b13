/*
 * Sealing of personal data: the operator's keyring wraps a key per tenant, the
 * tenant's key wraps a key per member, user or event (the data key), and the
 * data key seals fields.  The tenant's key also gives, by derivation, the keys
 * of the blind index, of content equality, and of cursors.
 */

#ifndef LY_SEAL_H_INCLUDED_
#define LY_SEAL_H_INCLUDED_

#include "ly_base.h"
#include "ly_buf.h"
#include "ly_crypto.h"
#include "ly_id.h"


/*
 * Text of a keyring, read by the caller (mode 0400):
 *     # comment
 *     key <16 hex digits: id> <base64 of 32 bytes>
 *     current <id>
 * Words are parted by single blanks, lines by "\n".  Without "current" the
 * only key is it; with several keys it must stand.  Refused: the same id
 * twice, "current" twice or unknown, a key of another length, a key of 32
 * equal bytes, an empty ring, more than LY_KEYRING_KEYS.
 */
#define LY_KEYRING_KEYS  64
#define LY_KEYRING_MAX   16384      /* bytes of text */

typedef struct ly_keyring_s  ly_keyring_t;

/* *line (may be NULL) is the faulty line from 1, or 0 for the whole */
ly_must_check ly_err_t ly_keyring_parse(ly_str_t text, ly_keyring_t **ring,
    unsigned *line);
void ly_keyring_destroy(ly_keyring_t *ring);        /* wipes; NULL is fine */

size_t ly_keyring_count(const ly_keyring_t *ring);
const unsigned char *ly_keyring_current(const ly_keyring_t *ring);
bool ly_keyring_has(const ly_keyring_t *ring,
    const unsigned char *id);

/* one line "key <id> <base64>\n" for a new key, for the command line */
ly_must_check ly_err_t ly_keyring_line(const ly_key_t *key, ly_buf_t *out);


/*
 * The tenant's key.  wrap uses the current key of the ring; unwrap the one the
 * envelope names: LY_NOTFOUND if the ring lacks it (503 and an alert, decision
 * 16), LY_DENIED if it was made for another tenant or changed, LY_PARSE.
 * Additional data: "tenant-key" | tenant.
 */
ly_must_check ly_err_t ly_tenant_key_wrap(ly_crypto_t *c,
    const ly_keyring_t *ring, const ly_uuid_t *tenant, const ly_key_t *key,
    ly_buf_t *out);
ly_must_check ly_err_t ly_tenant_key_unwrap(ly_crypto_t *c,
    const ly_keyring_t *ring, const ly_uuid_t *tenant, ly_str_t wrapped,
    ly_key_t *key);

/*
 * The data key of one object (member, user, event, endpoint, ...).
 * Additional data: "data-key" | tenant | object.  Errors as above.
 */
ly_must_check ly_err_t ly_data_key_wrap(ly_crypto_t *c,
    const ly_key_t *tenant_key, const ly_uuid_t *tenant,
    const ly_uuid_t *object, const ly_key_t *key, ly_buf_t *out);
ly_must_check ly_err_t ly_data_key_unwrap(ly_crypto_t *c,
    const ly_key_t *tenant_key, const ly_uuid_t *tenant,
    const ly_uuid_t *object, ly_str_t wrapped, ly_key_t *key);

/* bytes of a wrapped key: the envelope around id and key */
#define LY_WRAPPED_LEN  (LY_SEAL_OVERHEAD + LY_KEY_ID_LEN + LY_AES_KEY_LEN)

/* one field.  Additional data: tenant | object | field name. */
ly_must_check ly_err_t ly_field_seal(ly_crypto_t *c, const ly_key_t *key,
    const ly_uuid_t *tenant, const ly_uuid_t *object, ly_str_t field,
    ly_str_t plain, ly_buf_t *out);
ly_must_check ly_err_t ly_field_open(ly_crypto_t *c, const ly_key_t *key,
    const ly_uuid_t *tenant, const ly_uuid_t *object, ly_str_t field,
    ly_str_t sealed, ly_buf_t *out);


/* keyed digests of one tenant, each under a key of its own (HKDF label) */
typedef struct {
    ly_hmac_t  *blind;          /* "blind-index" */
    ly_hmac_t  *content;        /* "content": canonical bodies, event items */
    ly_hmac_t  *cursor;         /* "cursor" */
} ly_tenant_macs_t;

/* on failure nothing is left to destroy */
ly_must_check ly_err_t ly_tenant_macs_create(ly_crypto_t *c,
    const ly_key_t *tenant_key, const ly_uuid_t *tenant,
    ly_tenant_macs_t *macs);
void ly_tenant_macs_destroy(ly_tenant_macs_t *macs);

/*
 * Blind index of a value: HMAC(field | 0 | value).  The caller normalises the
 * value first (ly_email_normalise for e-mail); out: LY_SHA256_LEN bytes.
 */
ly_must_check ly_err_t ly_blind_index(ly_tenant_macs_t *macs, ly_str_t field,
    ly_str_t value, unsigned char *out);

/*
 * Outer blanks cut, ASCII letters lower-cased; the rest stays.  LY_PARSE
 * without exactly one '@' between two non-empty parts, with a blank or control
 * byte inside, or over 254 bytes.  out holds 254 bytes.
 */
#define LY_EMAIL_MAX  254
ly_must_check ly_err_t ly_email_normalise(ly_str_t email, unsigned char *out,
    size_t *len);


#endif /* LY_SEAL_H_INCLUDED_ */
