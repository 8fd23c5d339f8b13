/* our verifier and primitives against Wycheproof and the JOSE cookbook */

#include "tap.h"
#include "vectors.h"
#include "ly_base64.h"
#include "ly_crypto.h"
#include "ly_hex.h"
#include "ly_jw.h"
#include "ly_jwt.h"


/*
 * What a verifier of ES256 and RS256 with pinned keys takes of the set.  Valid
 * to Wycheproof and refused here on purpose: every HMAC, RS384, RS512 and PSS
 * one; 345 and 349 (a kid with '@'); 346, 347, 350, 351 (a key whose algorithm
 * is another than the header's); 372 and 373 ('?' inside base64url).
 */
static const int64_t  taken[] = { 18, 33, 259, 260, 261, 262, 263, 378 };


static ly_arena_t   *arena;
static ly_crypto_t  *crypto;


static bool
is_taken(int64_t id)
{
    size_t  i;

    for (i = 0; i < ly_countof(taken); i++) {
        if (taken[i] == id) {
            return true;
        }
    }

    return false;
}


static const ly_json_node_t *
groups(const char *name)
{
    const ly_json_node_t  *root;

    ly_arena_reset(arena);
    root = vec_public(arena, name);

    if (root == NULL) {
        tap_skip("wycheproof is not in LOYALTY_DATA");
        return NULL;
    }

    return ly_json_member(root, ly_str("testGroups"))->first;
}


static const ly_json_node_t *
group_key(const ly_json_node_t *group)
{
    const ly_json_node_t  *key;

    key = ly_json_member(group, ly_str("public"));

    return key != NULL ? key : ly_json_member(group, ly_str("private"));
}


static void
signatures(void)
{
    size_t                 n, accepted, wrong;
    int64_t                id;
    ly_jwt_t               jwt;
    ly_err_t               rc;
    ly_arena_t            *a;
    ly_jwt_key_t          *key;
    const ly_json_node_t  *g, *t;

    a = ly_arena_create(1 << 20, NULL);
    n = 0;
    accepted = 0;
    wrong = 0;

    for (g = groups("wycheproof/json_web_signature_test.json"); g != NULL;
         g = g->next)
    {
        key = NULL;

        if (ly_jwt_key_jwk_node(group_key(g), &key) != LY_OK) {
            key = NULL;
        }

        for (t = ly_json_member(g, ly_str("tests"))->first; t != NULL;
             t = t->next)
        {
            id = vec_int(t, "tcId", 0);
            rc = LY_DENIED;
            ly_arena_reset(a);

            if (key != NULL) {
                rc = ly_jwt_split(a, vec_text(t, "jws"), ly_str(""), &jwt);

                if (rc == LY_OK) {
                    rc = ly_jwt_verify(key, &jwt);
                }
            }

            n++;
            accepted += rc == LY_OK;

            if ((rc == LY_OK) != is_taken(id)) {
                wrong++;
                printf("# case %lld: %s\n", (long long) id, ly_err_name(rc));
            }
        }

        ly_jwt_key_destroy(key);
    }

    if (n != 0) {
        ok(n == 401 && accepted == ly_countof(taken) && wrong == 0,
           "json_web_signature: %zu cases, %zu taken", n, accepted);
    }

    ly_arena_destroy(a);
}


/*
 * Sets of keys: one that is called invalid is refused or gives no key.  Of the
 * valid ones only the RSA set has a key of ours, the others are symmetric.
 */
static void
key_sets(void)
{
    size_t                 n, sets, loaded, wrong;
    ly_jw_t                w;
    ly_buf_t               b;
    ly_arena_t            *a;
    ly_jwt_key_t          *keys[4];
    const ly_json_node_t  *g, *t;

    a = ly_arena_create(1 << 20, NULL);
    sets = 0;
    loaded = 0;
    wrong = 0;

    for (g = groups("wycheproof/json_web_key_test.json"); g != NULL;
         g = g->next)
    {
        ly_arena_reset(a);
        ly_buf_init_arena(&b, a, 65536);
        ly_jw_init(&w, &b);
        ly_jw_node(&w, group_key(g));
        t = ly_json_member(g, ly_str("tests"))->first;
        sets++;

        if (ly_jwt_key_set(a, ly_buf_view(&b), keys, 4, &n) != LY_OK) {
            n = 0;
        }

        loaded += n;

        if (n != 0 && !ly_str_eq(vec_text(t, "result"), ly_str("valid"))) {
            wrong++;
            tap_show("loaded", vec_text(g, "comment"));
        }

        while (n > 0) {
            ly_jwt_key_destroy(keys[--n]);
        }
    }

    if (sets != 0) {
        ok(sets == 25 && loaded == 1 && wrong == 0,
           "json_web_key: %zu sets, %zu key loaded", sets, loaded);
    }

    ly_arena_destroy(a);
}


/* the bytes of a hex member; NULL if they are too many */
static ly_str_t
hex_of(const ly_json_node_t *t, const char *key, unsigned char *out)
{
    ly_str_t  s;

    s = vec_text(t, key);

    if (ly_hex_decode(s, out, s.len / 2) != LY_OK) {
        abort();
    }

    return ly_str_of(out, s.len / 2);
}


static void
macs(void)
{
    bool                   good;
    size_t                 n, wrong, len;
    ly_str_t               key, msg, tag;
    ly_hmac_t             *h;
    unsigned char          kb[4096], mb[4096], tb[64], out[32];
    const ly_json_node_t  *g, *t;

    n = 0;
    wrong = 0;

    for (g = groups("wycheproof/hmac_sha256_test.json"); g != NULL;
         g = g->next)
    {
        len = (size_t) vec_int(g, "tagSize", 0) / 8;

        for (t = ly_json_member(g, ly_str("tests"))->first; t != NULL;
             t = t->next)
        {
            key = hex_of(t, "key", kb);
            msg = hex_of(t, "msg", mb);
            tag = hex_of(t, "tag", tb);
            good = ly_str_eq(vec_text(t, "result"), ly_str("valid"));

            h = ly_hmac_create(crypto, key);
            n++;

            if (h == NULL || ly_hmac(h, msg, out) != LY_OK
                || ly_secret_eq(out, len, tag.data, tag.len) != good)
            {
                wrong++;
            }

            ly_hmac_destroy(h);
        }
    }

    if (n != 0) {
        ok(n == 174 && wrong == 0, "hmac_sha256: %zu cases", n);
    }
}


/* only AES-256 with 96-bit nonces and 128-bit tags is ours */
static void
gcm(void)
{
    bool                   good;
    size_t                 n, wrong;
    ly_str_t               key, iv, aad, msg, ct, tag;
    unsigned char          kb[64], ib[64], ab[4096], mb[4096], cb[4096];
    unsigned char          tb[64], out[4096], sum[16];
    const ly_json_node_t  *g, *t;

    n = 0;
    wrong = 0;

    for (g = groups("wycheproof/aes_gcm_test.json"); g != NULL; g = g->next) {

        if (vec_int(g, "keySize", 0) != 256 || vec_int(g, "ivSize", 0) != 96
            || vec_int(g, "tagSize", 0) != 128)
        {
            continue;
        }

        for (t = ly_json_member(g, ly_str("tests"))->first; t != NULL;
             t = t->next)
        {
            key = hex_of(t, "key", kb);
            iv = hex_of(t, "iv", ib);
            aad = hex_of(t, "aad", ab);
            msg = hex_of(t, "msg", mb);
            ct = hex_of(t, "ct", cb);
            tag = hex_of(t, "tag", tb);
            good = ly_str_eq(vec_text(t, "result"), ly_str("valid"));
            n++;

            if ((ly_gcm_decrypt(crypto, key.data, iv.data, &aad, 1, ct, out,
                                tag.data) == LY_OK) != good
                || (good && !ly_str_eq(ly_str_of(out, ct.len), msg)))
            {
                wrong++;
            }

            if (good
                && (ly_gcm_encrypt(crypto, key.data, iv.data, &aad, 1, msg,
                                   out, sum) != LY_OK
                    || !ly_str_eq(ly_str_of(out, msg.len), ct)
                    || memcmp(sum, tag.data, 16) != 0))
            {
                wrong++;
            }
        }
    }

    if (n != 0) {
        ok(n > 50 && wrong == 0, "aes_gcm: %zu cases of our kind", n);
    }
}


/*
 * RFC 7520, 4.1: an RS256 signature.  Its kid holds '@', which no kid of ours
 * may, so that the key is loaded without one and the signature checked alone.
 */
static void
cookbook(void)
{
    size_t                 i, dots, len;
    ly_jw_t                w;
    ly_buf_t               b;
    ly_str_t               compact, signing;
    ly_jwt_t               jwt;
    ly_jwt_key_t          *key;
    unsigned char          sig[512];
    const ly_json_node_t  *root, *jwk;

    ly_arena_reset(arena);
    root = vec_public(arena, "jose_cookbook/jws/4_1.rsa_v15_signature.json");

    if (root == NULL) {
        tap_skip("jose_cookbook is not in LOYALTY_DATA");
        return;
    }

    compact = ly_json_text(ly_json_pointer(root, ly_str("/output/compact")));
    jwk = ly_json_pointer(root, ly_str("/input/key"));

    ly_buf_init_arena(&b, arena, 4096);
    ly_jw_init(&w, &b);
    ly_jw_object(&w);
    ly_jw_kstr(&w, "kty", ly_str("RSA"));
    ly_jw_kstr(&w, "n", vec_text(jwk, "n"));
    ly_jw_kstr(&w, "e", vec_text(jwk, "e"));
    ly_jw_object_end(&w);

    is_int(ly_jw_done(&w), LY_OK, "its public half");
    is_int(ly_jwt_key_jwk(arena, ly_buf_view(&b), &key), LY_OK, "is a key");

    dots = 0;

    for (i = compact.len; i > 0 && dots == 0; i--) {
        dots += compact.data[i - 1] == '.';
    }

    signing = ly_str_of(compact.data, i);
    is_int(ly_base64url_decode(ly_str_of(compact.data + i + 1,
                                         compact.len - i - 1),
                               sig, sizeof(sig), &len), LY_OK,
           "its signature");
    is_int(ly_jwt_key_verify(key, signing, ly_str_of(sig, len)), LY_OK,
           "verifies");
    sig[7] ^= 1;
    is_int(ly_jwt_key_verify(key, signing, ly_str_of(sig, len)), LY_DENIED,
           "changed, it does not");
    is_int(ly_jwt_split(arena, compact, ly_str(""), &jwt), LY_DENIED,
           "its kid is refused");
    is_str(ly_str_c(jwt.why), ly_str("kid"), "for that reason");

    ly_jwt_key_destroy(key);
    is_int(ly_jwt_key_jwk_node(jwk, &key), LY_DENIED,
           "a private key is no verifying key");
}


int
main(void)
{
    arena = ly_arena_create(32 << 20, NULL);
    crypto = ly_crypto_create();

    signatures();
    key_sets();
    macs();
    gcm();
    cookbook();

    ly_crypto_destroy(crypto);
    ly_arena_destroy(arena);

    return tap_done();
}
