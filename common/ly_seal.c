#include <stdlib.h>
#include <string.h>

#include "ly_base64.h"
#include "ly_hex.h"
#include "ly_seal.h"
#include "ly_banned.h"


#define LY_KEY_BYTES  (LY_KEY_ID_LEN + LY_AES_KEY_LEN)


struct ly_keyring_s {
    size_t         count;
    size_t         current;
    bool           chosen;          /* by a "current" line */
    unsigned char  wanted[LY_KEY_ID_LEN];
    ly_key_t       keys[LY_KEYRING_KEYS];
};


static const ly_key_t *
ly_keyring_find(const ly_keyring_t *ring,
    const unsigned char *id)
{
    size_t  i;

    for (i = 0; i < ring->count; i++) {
        if (memcmp(ring->keys[i].id, id, LY_KEY_ID_LEN) == 0) {
            return &ring->keys[i];
        }
    }

    return NULL;
}


/* 32 equal bytes come from a template, not from a generator */
static bool
ly_keyring_weak(const ly_key_t *key)
{
    size_t         i;
    unsigned char  differ;

    differ = 0;

    for (i = 1; i < LY_AES_KEY_LEN; i++) {
        differ |= key->key[i] ^ key->key[0];
    }

    return differ == 0;
}


/* behind "key ": <16 hex> <base64 of 32 bytes> */
static ly_err_t
ly_keyring_key(ly_keyring_t *ring, ly_str_t s)
{
    size_t     len;
    ly_err_t   rc;
    ly_key_t  *key;

    if (ring->count == LY_KEYRING_KEYS) {
        return LY_LIMIT;
    }

    if (s.len <= 2 * LY_KEY_ID_LEN || s.data[2 * LY_KEY_ID_LEN] != ' ') {
        return LY_PARSE;
    }

    /* beyond the count: not a key of the ring until it is a good one */
    key = &ring->keys[ring->count];

    rc = ly_hex_decode(ly_str_of(s.data, 2 * LY_KEY_ID_LEN), key->id,
                       LY_KEY_ID_LEN);
    if (rc != LY_OK) {
        return rc;
    }

    rc = ly_base64_decode(ly_str_of(s.data + 2 * LY_KEY_ID_LEN + 1,
                                    s.len - 2 * LY_KEY_ID_LEN - 1),
                          key->key, LY_AES_KEY_LEN, &len);

    if (rc != LY_OK || len != LY_AES_KEY_LEN || ly_keyring_weak(key)) {
        return LY_PARSE;
    }

    if (ly_keyring_find(ring, key->id) != NULL) {
        return LY_DENIED;
    }

    ring->count++;

    return LY_OK;
}


static ly_err_t
ly_keyring_text(ly_keyring_t *ring, ly_str_t s)
{
    if (s.len == 0 || s.data[0] == '#') {
        return LY_OK;
    }

    if (ly_str_starts(s, ly_str("key "))) {
        return ly_keyring_key(ring, ly_str_of(s.data + 4, s.len - 4));
    }

    if (!ly_str_starts(s, ly_str("current ")) || ring->chosen) {
        return LY_PARSE;
    }

    ring->chosen = true;

    return ly_hex_decode(ly_str_of(s.data + 8, s.len - 8), ring->wanted,
                         LY_KEY_ID_LEN);
}


/* the current key may be named before it stands */
static ly_err_t
ly_keyring_choose(ly_keyring_t *ring)
{
    const ly_key_t  *key;

    if (ring->count == 0) {
        return LY_PARSE;
    }

    if (!ring->chosen) {
        ring->current = 0;
        return ring->count == 1 ? LY_OK : LY_PARSE;
    }

    key = ly_keyring_find(ring, ring->wanted);
    if (key == NULL) {
        return LY_NOTFOUND;
    }

    ring->current = (size_t) (key - ring->keys);

    return LY_OK;
}


ly_err_t
ly_keyring_parse(ly_str_t text, ly_keyring_t **out, unsigned *line)
{
    size_t         start, end;
    ly_err_t       rc;
    unsigned       n;
    ly_keyring_t  *ring;

    if (text.len > LY_KEYRING_MAX) {
        return LY_LIMIT;
    }

    ring = calloc(1, sizeof(ly_keyring_t));
    if (ring == NULL) {
        return LY_NOMEM;
    }

    rc = LY_OK;
    n = 0;

    for (start = 0; start < text.len && rc == LY_OK; start = end + 1) {

        for (end = start; end < text.len && text.data[end] != '\n'; end++) {
            /* void */
        }

        n++;
        rc = ly_keyring_text(ring, ly_str_of(text.data + start, end - start));
    }

    if (rc == LY_OK) {
        n = 0;
        rc = ly_keyring_choose(ring);
    }

    if (line != NULL) {
        *line = n;
    }

    if (rc != LY_OK) {
        ly_keyring_destroy(ring);
        return rc;
    }

    *out = ring;

    return LY_OK;
}


void
ly_keyring_destroy(ly_keyring_t *ring)
{
    if (ring != NULL) {
        ly_secret_wipe(ring, sizeof(ly_keyring_t));
        free(ring);
    }
}


size_t
ly_keyring_count(const ly_keyring_t *ring)
{
    return ring->count;
}


const unsigned char *
ly_keyring_current(const ly_keyring_t *ring)
{
    return ring->keys[ring->current].id;
}


bool
ly_keyring_has(const ly_keyring_t *ring, const unsigned char *id)
{
    return ly_keyring_find(ring, id) != NULL;
}


ly_err_t
ly_keyring_line(const ly_key_t *key, ly_buf_t *out)
{
    ly_buf_str(out, ly_str("key "));
    ly_hex_put(out, ly_str_of(key->id, LY_KEY_ID_LEN));
    ly_buf_byte(out, ' ');
    ly_base64_put(out, ly_str_of(key->key, LY_AES_KEY_LEN));
    ly_buf_byte(out, '\n');

    return ly_buf_err(out);
}


static ly_err_t
ly_key_wrap(ly_crypto_t *c, const ly_key_t *with, const ly_str_t *aad,
    size_t n, const ly_key_t *key, ly_buf_t *out)
{
    ly_err_t       rc;
    unsigned char  bytes[LY_KEY_BYTES];

    memcpy(bytes, key->id, LY_KEY_ID_LEN);
    memcpy(bytes + LY_KEY_ID_LEN, key->key, LY_AES_KEY_LEN);

    rc = ly_aead_seal(c, with, aad, n, ly_str_of(bytes, sizeof(bytes)), out);
    ly_secret_wipe(bytes, sizeof(bytes));

    return rc;
}


static ly_err_t
ly_key_unwrap(ly_crypto_t *c, const ly_key_t *with, const ly_str_t *aad,
    size_t n, ly_str_t wrapped, ly_key_t *key)
{
    ly_err_t       rc;
    ly_buf_t       b;
    unsigned char  bytes[LY_KEY_BYTES];

    if (wrapped.len != LY_WRAPPED_LEN) {
        return LY_PARSE;
    }

    ly_buf_init_fixed(&b, bytes, sizeof(bytes));

    rc = ly_aead_open(c, with, aad, n, wrapped, &b);

    if (rc == LY_OK) {
        memcpy(key->id, bytes, LY_KEY_ID_LEN);
        memcpy(key->key, bytes + LY_KEY_ID_LEN, LY_AES_KEY_LEN);
    }

    ly_secret_wipe(bytes, sizeof(bytes));

    return rc;
}


static ly_str_t
ly_uuid_str(const ly_uuid_t *u)
{
    return ly_str_of(u->b, sizeof(u->b));
}


ly_err_t
ly_tenant_key_wrap(ly_crypto_t *c, const ly_keyring_t *ring,
    const ly_uuid_t *tenant, const ly_key_t *key, ly_buf_t *out)
{
    ly_str_t  aad[2];

    aad[0] = ly_str("tenant-key");
    aad[1] = ly_uuid_str(tenant);

    return ly_key_wrap(c, &ring->keys[ring->current], aad, ly_countof(aad),
                       key, out);
}


ly_err_t
ly_tenant_key_unwrap(ly_crypto_t *c, const ly_keyring_t *ring,
    const ly_uuid_t *tenant, ly_str_t wrapped, ly_key_t *key)
{
    ly_err_t         rc;
    ly_str_t         aad[2];
    unsigned char    id[LY_KEY_ID_LEN];
    const ly_key_t  *with;

    rc = ly_aead_key_id(wrapped, id);
    if (rc != LY_OK) {
        return rc;
    }

    with = ly_keyring_find(ring, id);
    if (with == NULL) {
        return LY_NOTFOUND;
    }

    aad[0] = ly_str("tenant-key");
    aad[1] = ly_uuid_str(tenant);

    return ly_key_unwrap(c, with, aad, ly_countof(aad), wrapped, key);
}


ly_err_t
ly_data_key_wrap(ly_crypto_t *c, const ly_key_t *tenant_key,
    const ly_uuid_t *tenant, const ly_uuid_t *object, const ly_key_t *key,
    ly_buf_t *out)
{
    ly_str_t  aad[3];

    aad[0] = ly_str("data-key");
    aad[1] = ly_uuid_str(tenant);
    aad[2] = ly_uuid_str(object);

    return ly_key_wrap(c, tenant_key, aad, ly_countof(aad), key, out);
}


ly_err_t
ly_data_key_unwrap(ly_crypto_t *c, const ly_key_t *tenant_key,
    const ly_uuid_t *tenant, const ly_uuid_t *object, ly_str_t wrapped,
    ly_key_t *key)
{
    ly_str_t  aad[3];

    aad[0] = ly_str("data-key");
    aad[1] = ly_uuid_str(tenant);
    aad[2] = ly_uuid_str(object);

    return ly_key_unwrap(c, tenant_key, aad, ly_countof(aad), wrapped, key);
}


ly_err_t
ly_field_seal(ly_crypto_t *c, const ly_key_t *key, const ly_uuid_t *tenant,
    const ly_uuid_t *object, ly_str_t field, ly_str_t plain, ly_buf_t *out)
{
    ly_str_t  aad[3];

    /* unambiguous: the first two have one length */
    aad[0] = ly_uuid_str(tenant);
    aad[1] = ly_uuid_str(object);
    aad[2] = field;

    return ly_aead_seal(c, key, aad, ly_countof(aad), plain, out);
}


ly_err_t
ly_field_open(ly_crypto_t *c, const ly_key_t *key, const ly_uuid_t *tenant,
    const ly_uuid_t *object, ly_str_t field, ly_str_t sealed, ly_buf_t *out)
{
    ly_str_t  aad[3];

    aad[0] = ly_uuid_str(tenant);
    aad[1] = ly_uuid_str(object);
    aad[2] = field;

    return ly_aead_open(c, key, aad, ly_countof(aad), sealed, out);
}


/* a keyed digest of its own for each purpose, bound to the tenant */
static ly_err_t
ly_tenant_mac(ly_crypto_t *c, const ly_key_t *tenant_key,
    const ly_uuid_t *tenant, const char *label, ly_hmac_t **mac)
{
    ly_err_t       rc;
    unsigned char  key[LY_SHA256_LEN];

    rc = ly_hkdf(c, ly_str_of(tenant_key->key, LY_AES_KEY_LEN),
                 ly_uuid_str(tenant), ly_str_c(label), key, sizeof(key));

    if (rc == LY_OK) {
        *mac = ly_hmac_create(c, ly_str_of(key, sizeof(key)));
        rc = *mac == NULL ? LY_NOMEM : LY_OK;
    }

    ly_secret_wipe(key, sizeof(key));

    return rc;
}


ly_err_t
ly_tenant_macs_create(ly_crypto_t *c, const ly_key_t *tenant_key,
    const ly_uuid_t *tenant, ly_tenant_macs_t *macs)
{
    ly_err_t  rc;

    memset(macs, 0, sizeof(ly_tenant_macs_t));

    rc = ly_tenant_mac(c, tenant_key, tenant, "blind-index", &macs->blind);

    if (rc == LY_OK) {
        rc = ly_tenant_mac(c, tenant_key, tenant, "content", &macs->content);
    }

    if (rc == LY_OK) {
        rc = ly_tenant_mac(c, tenant_key, tenant, "cursor", &macs->cursor);
    }

    if (rc != LY_OK) {
        ly_tenant_macs_destroy(macs);
    }

    return rc;
}


void
ly_tenant_macs_destroy(ly_tenant_macs_t *macs)
{
    ly_hmac_destroy(macs->blind);
    ly_hmac_destroy(macs->content);
    ly_hmac_destroy(macs->cursor);
    memset(macs, 0, sizeof(ly_tenant_macs_t));
}


ly_err_t
ly_blind_index(ly_tenant_macs_t *macs, ly_str_t field, ly_str_t value,
    unsigned char *out)
{
    ly_str_t  parts[3];

    parts[0] = field;
    parts[1] = ly_str("\0");
    parts[2] = value;

    return ly_hmac_parts(macs->blind, parts, ly_countof(parts), out);
}


ly_err_t
ly_email_normalise(ly_str_t email, unsigned char *out, size_t *len)
{
    size_t         i, at, signs;
    unsigned char  c;

    while (email.len != 0 && email.data[0] == ' ') {
        email = ly_str_of(email.data + 1, email.len - 1);
    }

    while (email.len != 0 && email.data[email.len - 1] == ' ') {
        email.len--;
    }

    if (email.len == 0 || email.len > LY_EMAIL_MAX || !ly_utf8_valid(email)) {
        return LY_PARSE;
    }

    at = 0;
    signs = 0;

    for (i = 0; i < email.len; i++) {
        c = email.data[i];

        if (c <= ' ' || c == 0x7f) {
            return LY_PARSE;
        }

        if (c == '@') {
            at = i;
            signs++;
        }

        out[i] = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
    }

    if (signs != 1 || at == 0 || at == email.len - 1) {
        return LY_PARSE;
    }

    *len = email.len;

    return LY_OK;
}
