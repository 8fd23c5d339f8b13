/* any text as a keyring; ids, e-mail addresses and envelopes beside it */

#include "fuzz.h"
#include "ly_seal.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          len;
    unsigned        line;
    ly_key_t        key;
    ly_str_t        s;
    ly_uuid_t       u;
    ly_keyring_t   *ring;
    unsigned char   text[LY_ID_TEXT + LY_EMAIL_MAX], again[LY_EMAIL_MAX];

    static ly_crypto_t  *crypto;

    if (crypto == NULL) {
        crypto = ly_crypto_create();
    }

    s = ly_str_of(data, size);

    if (ly_keyring_parse(s, &ring, &line) == LY_OK) {
        must(ly_keyring_count(ring) >= 1);
        must(ly_keyring_has(ring, ly_keyring_current(ring)));
        memset(&u, 0, sizeof(u));
        must(ly_tenant_key_unwrap(crypto, ring, &u, s, &key) != LY_OK);
        ly_keyring_destroy(ring);
    }

    if (ly_id_parse(s, ly_str("mem"), &u) == LY_OK) {
        must(ly_str_eq(ly_str_of(text, ly_id_print(ly_str("mem"), &u, text)),
                       s));
    }

    if (ly_uuid_parse(s, &u) == LY_OK) {
        must(size == LY_UUID_TEXT);
    }

    if (ly_email_normalise(s, text, &len) == LY_OK) {
        s = ly_str_of(text, len);
        must(ly_email_normalise(s, again, &len) == LY_OK);
        must(ly_str_eq(ly_str_of(again, len), s));
    }

    return 0;
}
