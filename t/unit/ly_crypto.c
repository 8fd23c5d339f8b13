/* primitives, the key hierarchy, API keys, cursors, the chain */

#include "tap.h"
#include "vectors.h"
#include "ly_apikey.h"
#include "ly_base64.h"
#include "ly_chain.h"
#include "ly_crypto.h"
#include "ly_cursor.h"
#include "ly_hex.h"
#include "ly_seal.h"


static ly_crypto_t  *crypto;


static ly_str_t
unhex(const char *text, unsigned char *out)
{
    size_t  n;

    n = strlen(text) / 2;

    if (ly_hex_decode(ly_str_c(text), out, n) != LY_OK) {
        abort();
    }

    return ly_str_of(out, n);
}


static bool
same(const unsigned char *bytes, size_t n, const char *hex)
{
    unsigned char  want[256];

    return ly_str_eq(ly_str_of(bytes, n), unhex(hex, want));
}


/* FIPS 180, RFC 4231, RFC 5869 */
static void
digests(void)
{
    ly_str_t       parts[3];
    ly_hmac_t     *h;
    ly_sha256_t   *s;
    unsigned char  out[64], key[80], salt[32], info[32];

    is_int(ly_sha256(crypto, ly_str("abc"), out), LY_OK, "SHA-256");
    ok(same(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff"
            "61f20015ad"), "of abc");
    is_int(ly_sha256(crypto, ly_str(""), out), LY_OK, "of nothing");
    ok(same(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca49599"
            "1b7852b855"), "as known");

    parts[0] = ly_str("a");
    parts[1] = ly_str("");
    parts[2] = ly_str("bc");
    is_int(ly_sha256_parts(crypto, parts, 3, out), LY_OK, "in parts");
    ok(same(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff"
            "61f20015ad"), "the same");

    s = ly_sha256_begin(crypto);
    ok(s != NULL && ly_sha256_add(s, ly_str("ab")) == LY_OK
       && ly_sha256_add(s, ly_str("c")) == LY_OK
       && ly_sha256_end(s, out) == LY_OK
       && same(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb4"
               "10ff61f20015ad"), "piecewise");
    ok(ly_sha256_end(s, out) == LY_OK
       && same(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca4"
               "95991b7852b855"), "begins anew");
    ly_sha256_free(s);
    ly_sha256_free(NULL);

    h = ly_hmac_create(crypto, ly_str("Jefe"));
    is_int(ly_hmac(h, ly_str("what do ya want for nothing?"), out), LY_OK,
           "HMAC");
    ok(same(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58"
            "b964ec3843"), "RFC 4231, case 2");
    parts[0] = ly_str("what do ya want ");
    parts[1] = ly_str("for nothing?");
    is_int(ly_hmac_parts(h, parts, 2, out), LY_OK, "again, in parts");
    ok(same(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58"
            "b964ec3843"), "on the kept key");
    ly_hmac_destroy(h);
    ly_hmac_destroy(NULL);
    ok(ly_hmac_create(crypto, ly_str("")) == NULL, "no key");

    is_int(ly_hkdf(crypto,
                   unhex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", key),
                   unhex("000102030405060708090a0b0c", salt),
                   unhex("f0f1f2f3f4f5f6f7f8f9", info), out, 42), LY_OK,
           "HKDF");
    ok(same(out, 42, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d"
            "56ecc4c5bf34007208d5b887185865"), "RFC 5869, case 1");
    is_int(ly_hkdf(crypto,
                   unhex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", key),
                   ly_str(""), ly_str(""), out, 42), LY_OK, "without salt");
    ok(same(out, 42, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e"
            "5f3c738d2d9d201395faa4b61a96c8"), "RFC 5869, case 3");

    is_int(ly_random(out, 0), LY_OK, "no random bytes");
    is_int(ly_random(out, SIZE_MAX), LY_LIMIT, "too many");
}


static void
envelope(void)
{
    size_t         i, changed;
    ly_buf_t       b, p;
    ly_key_t       key, other;
    ly_str_t       aad[2], sealed;
    unsigned char  id[8], copy[256];

    is_int(ly_key_make(&key), LY_OK, "a key");
    is_int(ly_key_make(&other), LY_OK, "another");

    ly_buf_init(&b, 1000, NULL);
    ly_buf_init(&p, 1000, NULL);
    aad[0] = ly_str("one");
    aad[1] = ly_str("two");

    is_int(ly_aead_seal(crypto, &key, aad, 2, ly_str("a text"), &b), LY_OK,
           "sealed");
    sealed = ly_buf_view(&b);
    is_int(sealed.len, 6 + LY_SEAL_OVERHEAD, "its length");
    is_int(sealed.data[0], 1, "its version");
    is_int(ly_aead_key_id(sealed, id), LY_OK, "its key's id");
    ok(memcmp(id, key.id, 8) == 0, "is that");

    is_int(ly_aead_open(crypto, &key, aad, 2, sealed, &p), LY_OK, "opened");
    is_str(ly_buf_view(&p), ly_str("a text"), "the text");
    ly_buf_reset(&p);

    is_int(ly_aead_open(crypto, &other, aad, 2, sealed, &p), LY_NOTFOUND,
           "another key's id");
    memcpy(other.id, key.id, 8);
    is_int(ly_aead_open(crypto, &other, aad, 2, sealed, &p), LY_DENIED,
           "another key under that id");
    is_int(ly_aead_open(crypto, &key, aad, 1, sealed, &p), LY_DENIED,
           "other additional data");
    is_int(ly_aead_open(crypto, &key, aad, 2, ly_str("short"), &p), LY_PARSE,
           "no envelope");

    changed = 0;

    for (i = 0; i < sealed.len * 8; i++) {
        memcpy(copy, sealed.data, sealed.len);
        copy[i / 8] ^= (unsigned char) (1 << i % 8);
        changed += ly_aead_open(crypto, &key, aad, 2,
                                ly_str_of(copy, sealed.len), &p) != LY_OK;
    }

    is_int(changed, sealed.len * 8, "every changed bit is refused");

    for (i = 0; i < sealed.len; i++) {
        changed -= ly_aead_open(crypto, &key, aad, 2,
                                ly_str_of(sealed.data, i), &p) != LY_OK;
    }

    is_int(changed, sealed.len * 7, "every cut too");
    is_int(ly_buf_view(&p).len, 0, "nothing is left behind");

    ly_buf_reset(&b);
    is_int(ly_aead_seal(crypto, &key, NULL, 0, ly_str(""), &b), LY_OK,
           "nothing, sealed");
    is_int(ly_aead_open(crypto, &key, NULL, 0, ly_buf_view(&b), &p), LY_OK,
           "and opened");
    is_int(ly_aead_seal(crypto, &key, NULL, 0,
                        ly_str_of("", LY_SEAL_MAX + 1), &b), LY_LIMIT,
           "too much");

    ly_buf_free(&p);
    ly_buf_init_fixed(&p, copy, 3);
    ly_buf_reset(&b);
    (void) !ly_aead_seal(crypto, &key, aad, 2, ly_str("a text"), &b);
    is_int(ly_aead_open(crypto, &key, aad, 2, ly_buf_view(&b), &p), LY_LIMIT,
           "no room to open it");
    is_int(ly_aead_seal(crypto, &key, aad, 2, ly_str("a text"), &p), LY_LIMIT,
           "nor to seal");

    ly_key_wipe(&key);
    is_int(key.key[0] | key.key[31] | key.id[0], 0, "wiped");
    ly_buf_free(&b);
}


static void
keyring(void)
{
    size_t         i;
    unsigned       line;
    ly_buf_t       b;
    ly_key_t       key;
    ly_keyring_t  *ring;
    unsigned char  id[8];

#define K1  "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define K2  "/////////////////////////////////////////wA="

    static const struct {
        const char  *text;
        ly_err_t     rc;
        unsigned     line;
        size_t       count;
    } cases[] = {
        { "key 0102030405060708 " K1 "\n", LY_OK, 0, 1 },
        { "key 0102030405060708 " K1, LY_OK, 0, 1 },
        { "# one\n\nkey 0102030405060708 " K1 "\n"
          "key 0a02030405060708 " K2 "\ncurrent 0a02030405060708\n", LY_OK, 0,
          2 },
        { "current 0102030405060708\nkey 0102030405060708 " K1 "\n", LY_OK, 0,
          1 },
        { "", LY_PARSE, 0, 0 },
        { "# nothing\n", LY_PARSE, 0, 0 },
        { "key 0102030405060708 " K1 "\nkey 0a02030405060708 " K2 "\n",
          LY_PARSE, 0, 0 },
        { "key 0102030405060708 " K1 "\nkey 0102030405060708 " K2 "\n",
          LY_DENIED, 2, 0 },
        { "key 0102030405060708 " K1 "\ncurrent 0a02030405060708\n",
          LY_NOTFOUND, 0, 0 },
        { "key 0102030405060708 " K1 "\ncurrent 0102030405060708\n"
          "current 0102030405060708\n", LY_PARSE, 3, 0 },
        { "key 0102030405060708 AAECAw==\n", LY_PARSE, 1, 0 },
        { "key 0102030405060708 " K1 "AA==\n", LY_PARSE, 1, 0 },
        { "key 0102030405060708 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
          "\n", LY_PARSE, 1, 0 },
        { "key 010203040506070 " K1 "\n", LY_PARSE, 1, 0 },
        { "key 010203040506070x " K1 "\n", LY_PARSE, 1, 0 },
        { "key 0102030405060708  " K1 "\n", LY_PARSE, 1, 0 },
        { "key 0102030405060708 " K1 " \n", LY_PARSE, 1, 0 },
        { "key 0102030405060708 " K1 "\r\n", LY_PARSE, 1, 0 },
        { "key 0102030405060708\n", LY_PARSE, 1, 0 },
        { "KEY 0102030405060708 " K1 "\n", LY_PARSE, 1, 0 },
        { "\nfoo\n", LY_PARSE, 2, 0 },
        { "current 01\n", LY_PARSE, 1, 0 }
    };

    static char  many[LY_KEYRING_MAX + 1];

    for (i = 0; i < ly_countof(cases); i++) {
        ring = NULL;
        line = 99;
        is_int(ly_keyring_parse(ly_str_c(cases[i].text), &ring, &line),
               cases[i].rc, "keyring");
        is_int(line, cases[i].line, "and its line");

        if (ring != NULL) {
            is_int(ly_keyring_count(ring), cases[i].count, "keys");
        }

        ly_keyring_destroy(ring);
    }

    if (ly_keyring_parse(ly_str_c(cases[2].text), &ring, NULL) != LY_OK) {
        abort();
    }

    unhex("0a02030405060708", id);
    ok(memcmp(ly_keyring_current(ring), id, 8) == 0, "the current one");
    ok(ly_keyring_has(ring, id), "it has that");
    id[0]++;
    ok(!ly_keyring_has(ring, id), "and not another");
    ly_keyring_destroy(ring);

    /* a line of ours is a keyring */
    ly_buf_init(&b, 1000, NULL);

    if (ly_key_make(&key) != LY_OK || ly_keyring_line(&key, &b) != LY_OK) {
        abort();
    }

    is_int(ly_keyring_parse(ly_buf_view(&b), &ring, NULL), LY_OK,
           "a line that was made");
    ok(ly_keyring_has(ring, key.id), "holds that key");
    ly_keyring_destroy(ring);
    ly_buf_free(&b);

    ly_buf_init_fixed(&b, many, sizeof(many));

    for (i = 0; i <= LY_KEYRING_KEYS; i++) {
        (void) !ly_key_make(&key);
        (void) !ly_keyring_line(&key, &b);
    }

    is_int(ly_keyring_parse(ly_buf_view(&b), &ring, &line), LY_LIMIT,
           "too many keys");
    is_int(line, LY_KEYRING_KEYS + 1, "at that line");
    is_int(ly_keyring_parse(ly_str_of(many, sizeof(many)), &ring, &line),
           LY_LIMIT, "too long");
}


static void
hierarchy(void)
{
    ly_buf_t           wrapped, data, sealed, plain;
    ly_key_t           tenant_key, data_key, key;
    ly_uuid_t          tenant, member, other;
    ly_keyring_t      *ring, *foreign;
    unsigned char      a[32], b[32];
    ly_tenant_macs_t   macs, macs2;

    ly_buf_init(&wrapped, 1000, NULL);
    ly_buf_init(&data, 1000, NULL);
    ly_buf_init(&sealed, 1000, NULL);
    ly_buf_init(&plain, 1000, NULL);

    if (ly_keyring_parse(ly_str("key 0102030405060708 " K1 "\n"), &ring, NULL)
        != LY_OK
        || ly_keyring_parse(ly_str("key 0a02030405060708 " K2 "\n"), &foreign,
                            NULL) != LY_OK
        || ly_uuid7_new(1, &tenant) != LY_OK
        || ly_uuid7_new(1, &member) != LY_OK
        || ly_uuid7_new(1, &other) != LY_OK
        || ly_key_make(&tenant_key) != LY_OK
        || ly_key_make(&data_key) != LY_OK)
    {
        abort();
    }

    is_int(ly_tenant_key_wrap(crypto, ring, &tenant, &tenant_key, &wrapped),
           LY_OK, "a tenant's key wrapped");
    is_int(wrapped.len, LY_WRAPPED_LEN, "its length");
    is_int(ly_tenant_key_unwrap(crypto, ring, &tenant, ly_buf_view(&wrapped),
                                &key), LY_OK, "unwrapped");
    ok(memcmp(&key, &tenant_key, sizeof(key)) == 0, "the same");
    is_int(ly_tenant_key_unwrap(crypto, ring, &other, ly_buf_view(&wrapped),
                                &key), LY_DENIED, "for another tenant");
    is_int(ly_tenant_key_unwrap(crypto, foreign, &tenant,
                                ly_buf_view(&wrapped), &key), LY_NOTFOUND,
           "by another keyring");
    is_int(ly_tenant_key_unwrap(crypto, ring, &tenant, ly_str("x"), &key),
           LY_PARSE, "no wrapped key");

    is_int(ly_data_key_wrap(crypto, &tenant_key, &tenant, &member, &data_key,
                            &data), LY_OK, "a member's key wrapped");
    is_int(ly_data_key_unwrap(crypto, &tenant_key, &tenant, &member,
                              ly_buf_view(&data), &key), LY_OK, "unwrapped");
    ok(memcmp(&key, &data_key, sizeof(key)) == 0, "the same");
    is_int(ly_data_key_unwrap(crypto, &tenant_key, &tenant, &other,
                              ly_buf_view(&data), &key), LY_DENIED,
           "for another member");
    is_int(ly_data_key_unwrap(crypto, &tenant_key, &other, &member,
                              ly_buf_view(&data), &key), LY_DENIED,
           "of another tenant");
    is_int(ly_data_key_unwrap(crypto, &tenant_key, &tenant, &member,
                              ly_str_of(data.data, data.len - 1), &key),
           LY_PARSE, "cut");

    is_int(ly_field_seal(crypto, &data_key, &tenant, &member, ly_str("email"),
                         ly_str("a@example.com"), &sealed), LY_OK,
           "a field sealed");
    is_int(ly_field_open(crypto, &data_key, &tenant, &member, ly_str("email"),
                         ly_buf_view(&sealed), &plain), LY_OK, "opened");
    is_str(ly_buf_view(&plain), ly_str("a@example.com"), "the text");
    is_int(ly_field_open(crypto, &data_key, &tenant, &member, ly_str("name"),
                         ly_buf_view(&sealed), &plain), LY_DENIED,
           "as another field");
    is_int(ly_field_open(crypto, &data_key, &tenant, &other, ly_str("email"),
                         ly_buf_view(&sealed), &plain), LY_DENIED,
           "as another member's");

    is_int(ly_tenant_macs_create(crypto, &tenant_key, &tenant, &macs), LY_OK,
           "keyed digests");
    is_int(ly_tenant_macs_create(crypto, &tenant_key, &other, &macs2), LY_OK,
           "of another tenant");
    ok(ly_blind_index(&macs, ly_str("email"), ly_str("a"), a) == LY_OK
       && ly_blind_index(&macs, ly_str("email"), ly_str("a"), b) == LY_OK
       && memcmp(a, b, 32) == 0, "a blind index is stable");
    ok(ly_blind_index(&macs, ly_str("emai"), ly_str("la"), b) == LY_OK
       && memcmp(a, b, 32) != 0, "field and value do not run together");
    ok(ly_blind_index(&macs2, ly_str("email"), ly_str("a"), b) == LY_OK
       && memcmp(a, b, 32) != 0, "tenants differ");
    ok(ly_hmac(macs.content, ly_str("x"), a) == LY_OK
       && ly_hmac(macs.cursor, ly_str("x"), b) == LY_OK
       && memcmp(a, b, 32) != 0, "purposes differ");
    ly_tenant_macs_destroy(&macs);
    ly_tenant_macs_destroy(&macs2);

    ly_keyring_destroy(ring);
    ly_keyring_destroy(foreign);
    ly_keyring_destroy(NULL);
    ly_buf_free_secret(&wrapped);
    ly_buf_free_secret(&data);
    ly_buf_free_secret(&sealed);
    ly_buf_free_secret(&plain);
}


static void
emails(void)
{
    size_t         i, len;
    ly_err_t       rc;
    ly_str_t       s;
    unsigned char  out[LY_EMAIL_MAX], big[300];

    static const struct {
        const char  *in;
        const char  *out;
    } cases[] = {
        { "a@b", "a@b" },
        { "  Some.One@Example.COM ", "some.one@example.com" },
        { "\xc3\x84@example.com", "\xc3\x84@example.com" },
        { "", NULL },
        { "   ", NULL },
        { "@b", NULL },
        { "a@", NULL },
        { "ab", NULL },
        { "a@b@c", NULL },
        { "a b@c", NULL },
        { "a\t@c", NULL },
        { "a\x7f@c", NULL },
        { "a@\xff", NULL }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        rc = ly_email_normalise(ly_str_c(cases[i].in), out, &len);

        if (cases[i].out == NULL) {
            is_int(rc, LY_PARSE, "no address");

        } else {
            is_str(rc == LY_OK ? ly_str_of(out, len) : ly_str("refused"),
                   ly_str_c(cases[i].out), "normalised");
        }
    }

    memset(big, 'a', sizeof(big));
    big[1] = '@';
    s = ly_str_of(big, 254);
    is_int(ly_email_normalise(s, out, &len), LY_OK, "254 bytes");
    s.len++;
    is_int(ly_email_normalise(s, out, &len), LY_PARSE, "255");
}


static void
apikeys(void)
{
    size_t         i, j, refused;
    ly_apikey_t    kind, got;
    unsigned char  text[LY_APIKEY_TEXT], copy[LY_APIKEY_TEXT + 1];
    unsigned char  digest[32];

    static const char *const  prefixes[] = {
        "lpk_test_", "lpk_live_", "lsk_test_", "lsk_live_"
    };

    for (i = 0; i < 4; i++) {
        kind.secret = i / 2 == 1;
        kind.live = i % 2 == 1;

        is_int(ly_apikey_make(kind, text), LY_OK, prefixes[i]);
        ok(memcmp(text, prefixes[i], 9) == 0, "its prefix");
        is_int(ly_apikey_parse(ly_str_of(text, sizeof(text)), &got), LY_OK,
               "its checksum");
        ok(got.secret == kind.secret && got.live == kind.live, "its kind");
    }

    refused = 0;

    for (i = 0; i < LY_APIKEY_TEXT; i++) {
        for (j = 0; j < 256; j++) {
            memcpy(copy, text, LY_APIKEY_TEXT);
            copy[i] = (unsigned char) j;
            refused += copy[i] != text[i]
                       && ly_apikey_parse(ly_str_of(copy, LY_APIKEY_TEXT),
                                          &got) == LY_PARSE;
        }
    }

    is_int(refused, LY_APIKEY_TEXT * 255, "every changed byte is refused");
    is_int(ly_apikey_parse(ly_str_of(text, LY_APIKEY_TEXT - 1), &got),
           LY_PARSE, "one short");
    memcpy(copy, text, LY_APIKEY_TEXT);
    copy[LY_APIKEY_TEXT] = 'x';
    is_int(ly_apikey_parse(ly_str_of(copy, LY_APIKEY_TEXT + 1), &got),
           LY_PARSE, "one long");
    is_int(ly_apikey_parse(ly_str(""), &got), LY_PARSE, "nothing");

    /* CRC-32 as zip and Ethernet have it: 0xcb9970f5 of the 39 bytes */
    is_int(ly_apikey_parse(ly_str("lsk_test_"
                                  "0000000000000000000000000000003jATcj"),
                           &got), LY_OK, "a checksum computed elsewhere");

    is_int(ly_apikey_digest(crypto, ly_str("abc"), digest), LY_OK, "digest");
    ok(same(digest, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb41"
            "0ff61f20015ad"), "is SHA-256");
}


static void
cursors(void)
{
    size_t         i, len, refused;
    ly_buf_t       b;
    ly_str_t       text;
    ly_hmac_t     *mac, *other;
    unsigned char  out[LY_CURSOR_PAYLOAD], copy[LY_CURSOR_TEXT + 8];

    mac = ly_hmac_create(crypto, ly_str("one tenant"));
    other = ly_hmac_create(crypto, ly_str("another"));
    ly_buf_init(&b, 4096, NULL);

    is_int(ly_cursor_make(mac, ly_str("entries?type=earn"),
                          ly_str("{\"after\":7}"), &b), LY_OK, "made");
    text = ly_buf_view(&b);
    is_int(ly_cursor_open(mac, ly_str("entries?type=earn"), text, out, &len),
           LY_OK, "opened");
    is_str(ly_str_of(out, len), ly_str("{\"after\":7}"), "its payload");
    is_int(ly_cursor_open(mac, ly_str("entries?type=spend"), text, out, &len),
           LY_DENIED, "under other filters");
    is_int(ly_cursor_open(other, ly_str("entries?type=earn"), text, out,
                          &len), LY_DENIED, "of another tenant");

    refused = 0;

    for (i = 0; i < text.len; i++) {
        memcpy(copy, text.data, text.len);
        copy[i] = copy[i] == 'A' ? 'B' : 'A';
        refused += ly_cursor_open(mac, ly_str("entries?type=earn"),
                                  ly_str_of(copy, text.len), out, &len)
                   != LY_OK;
    }

    is_int(refused, text.len, "every changed character is refused");

    refused = 0;

    for (i = 0; i < text.len; i++) {
        refused += ly_cursor_open(mac, ly_str("entries?type=earn"),
                                  ly_str_of(text.data, i), out, &len)
                   != LY_OK;
    }

    is_int(refused, text.len, "every cut");

    ly_buf_reset(&b);
    is_int(ly_cursor_make(mac, ly_str(""), ly_str(""), &b), LY_OK, "empty");
    is_int(ly_cursor_open(mac, ly_str(""), ly_buf_view(&b), out, &len), LY_OK,
           "opened");
    is_int(len, 0, "holds nothing");

    ly_buf_reset(&b);
    memset(copy, 'x', sizeof(copy));
    is_int(ly_cursor_make(mac, ly_str(""), ly_str_of(copy, LY_CURSOR_PAYLOAD),
                          &b), LY_OK, "the longest");
    ok(b.len <= LY_CURSOR_TEXT, "fits its text");
    is_int(ly_cursor_open(mac, ly_str(""), ly_buf_view(&b), out, &len), LY_OK,
           "opened");
    is_int(len, LY_CURSOR_PAYLOAD, "whole");
    is_int(ly_cursor_make(mac, ly_str(""),
                          ly_str_of(copy, LY_CURSOR_PAYLOAD + 1), &b),
           LY_LIMIT, "too long");
    is_int(ly_cursor_open(mac, ly_str(""), ly_str_of(copy, sizeof(copy)),
                          out, &len), LY_PARSE, "a text too long");

    ly_buf_free(&b);
    ly_hmac_destroy(mac);
    ly_hmac_destroy(other);
}


static ly_uuid_t
uuid_of(const ly_json_node_t *row, const char *key)
{
    ly_str_t   s;
    ly_uuid_t  u;

    memset(&u, 0, sizeof(u));
    s = vec_text(row, key);

    if (s.len != 0 && ly_uuid_parse(s, &u) != LY_OK) {
        abort();
    }

    return u;
}


/* chain.json: fields at random; chain_books.json: entries as SQL books them */
static void
chain(const char *file, size_t count)
{
    size_t                 n, wrong;
    ly_str_t               reason;
    ly_arena_t            *a;
    unsigned char          previous[32], hash[32], want[32];
    ly_chain_entry_t       e;
    const ly_json_node_t  *root, *row;

    a = ly_arena_create(4 << 20, NULL);
    root = vec_ours(a, file);
    n = 0;
    wrong = 0;

    for (row = root == NULL ? NULL : root->first; row != NULL;
         row = row->next)
    {
        memset(&e, 0, sizeof(e));
        e.tenant = uuid_of(row, "tenant");
        e.wallet = uuid_of(row, "wallet");
        e.member = uuid_of(row, "member");
        e.entry = uuid_of(row, "entry");
        e.seq = (uint64_t) vec_int(row, "seq", 0);
        e.points = vec_int(row, "points", 0);
        e.effective_at = vec_int(row, "effective_at", 0);
        e.recorded_at = vec_int(row, "recorded_at", 0);
        e.available = vec_int(row, "available", 0);
        e.pending = vec_int(row, "pending", 0);
        e.held = vec_int(row, "held", 0);
        e.debt = vec_int(row, "debt", 0);
        e.event = uuid_of(row, "event");
        e.rule_version = uuid_of(row, "rule_version");
        e.hold = uuid_of(row, "hold");
        e.redemption = uuid_of(row, "redemption");
        e.reverses = uuid_of(row, "reverses");
        e.has_reason = ly_json_string(ly_json_member(row, ly_str("reason")),
                                      &reason) == LY_OK;
        e.reason = e.has_reason ? reason : ly_str("");

        if (ly_entry_type_parse(vec_text(row, "type"), &e.type) != LY_OK
            || ly_hex_decode(vec_text(row, "previous"), previous, 32) != LY_OK
            || ly_hex_decode(vec_text(row, "hash"), want, 32) != LY_OK)
        {
            abort();
        }

        n++;
        wrong += ly_chain_hash(crypto, previous, &e, hash) != LY_OK
                 || memcmp(hash, want, 32) != 0
                 || !ly_str_eq(ly_str_c(ly_entry_type_name(e.type)),
                               vec_text(row, "type"));
    }

    ok(n == count && wrong == 0, "%zu golden hashes of %s", n, file);

    ly_arena_destroy(a);
}


static void
chain_types(void)
{
    unsigned char     previous[32], hash[32];
    ly_chain_entry_t  e;

    memset(&e, 0, sizeof(e));
    memset(previous, 0, sizeof(previous));

    e.type = (ly_entry_type_e) 17;
    is_int(ly_chain_hash(crypto, previous, &e, hash), LY_PARSE, "no type");
    e.type = (ly_entry_type_e) 0;
    is_int(ly_chain_hash(crypto, previous, &e, hash), LY_PARSE, "nor this");
    is_int(ly_entry_type_parse(ly_str("earned"), &e.type), LY_PARSE,
           "no name of a type");
}


int
main(void)
{
    crypto = ly_crypto_create();

    digests();
    envelope();
    keyring();
    hierarchy();
    emails();
    apikeys();
    cursors();
    chain("chain.json", 16);
    chain("chain_books.json", 7);
    chain_types();

    ly_crypto_destroy(crypto);
    ly_crypto_destroy(NULL);

    return tap_done();
}
