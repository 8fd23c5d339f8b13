/*
 * Access tokens for operators and tests, as the login will issue them, made
 * with the platform's current signing key, whose private half is sealed under
 * the keyring and opened in this process only.  Signed over OpenSSL: libjwt
 * 1.10.2 writes "typ":"JWT" over whatever was set, and RFC 9068 wants at+jwt.
 */

#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "commands.h"
#include "keys.h"
#include "ly_base64.h"
#include "ly_jw.h"
#include "ly_banned.h"


#define RSA_BITS   3072
#define PEM_MAX    16384

typedef struct {
    const char  *kid;
    const char  *alg;
    ly_buf_t     pem;           /* private, in memory of its own */
} signer_t;


static int signer(cli_t *c, keys_t *k, signer_t *s);
static int signer_make(cli_t *c, keys_t *k, signer_t *s);
static int signer_open(cli_t *c, keys_t *k, const ly_json_node_t *record,
    signer_t *s);
static int seal_private(keys_t *k, const char *kid, ly_str_t pem,
    ly_buf_t *out);
static int pems(cli_t *c, const char *alg, ly_buf_t *private,
    ly_buf_t *public);
static int bio_take(BIO *bio, ly_buf_t *out);
static int mint(cli_t *c, const signer_t *s, const char *tenant);
static int sign(const signer_t *s, ly_buf_t *token);
static int fixed(const unsigned char *der, size_t len, unsigned char raw[64]);
static const char *fresh_id(cli_t *c, ly_str_t prefix);
static const char *words(cli_t *c);


int
token_mint_cmd(cli_t *c)
{
    int                    code;
    keys_t                 k;
    signer_t               s;
    const char            *slug, *subject;
    const ly_json_node_t  *tenant;
    ly_uuid_t              id;

    slug = cli_opt(c, "tenant");
    subject = cli_opt(c, "subject");

    if (slug == NULL || subject == NULL) {
        return cli_fail(c, CLI_USAGE, "--tenant and --subject are needed");
    }

    if (ly_id_parse(ly_str_c(subject), ly_str("usr"), &id) != LY_OK
        && ly_id_parse(ly_str_c(subject), ly_str("mem"), &id) != LY_OK)
    {
        return cli_fail(c, CLI_USAGE, "--subject is usr_... or mem_...");
    }

    s.alg = cli_setting(c, "alg", NULL, "ES256");

    if (strcmp(s.alg, "ES256") != 0 && strcmp(s.alg, "RS256") != 0) {
        return cli_fail(c, CLI_USAGE, "--alg is ES256 or RS256");
    }

    code = keys_open(c, &k);
    ly_buf_init(&s.pem, PEM_MAX, NULL);

    if (code == CLI_OK) {
        code = keys_tenant(&k, slug, &tenant);
    }

    if (code == CLI_OK) {
        code = signer(c, &k, &s);
    }

    if (code == CLI_OK) {
        code = mint(c, &s, keys_string(c, tenant, "ten"));
    }

    ly_buf_free_secret(&s.pem);
    keys_close(&k);

    return code;
}


/* the current signing key; the first one is made here */

static int
signer(cli_t *c, keys_t *k, signer_t *s)
{
    int                    code;
    const ly_json_node_t  *record;

    code = keys_call(k, "select ops.signing_key_get(null)", 0, NULL, &record);

    if (code != CLI_OK) {
        return code;
    }

    if (keys_string(c, record, "kid") == NULL) {
        return signer_make(c, k, s);
    }

    return signer_open(c, k, record, s);
}


static int
signer_make(cli_t *c, keys_t *k, signer_t *s)
{
    int                    code;
    ly_jw_t                w;
    ly_buf_t               public, sealed, b, text;
    ly_uuid_t              id;
    const char            *param;
    unsigned char          kid[LY_ID_TEXT];
    const ly_json_node_t  *ignored;

    if (ly_uuid7_new((uint64_t) cli_now() / 1000, &id) != LY_OK) {
        return cli_fail(c, CLI_FAILED, "no random bytes");
    }

    s->kid = cli_text(c, ly_str_of(kid, ly_id_print(ly_str("sig"), &id, kid)));

    ly_buf_init_arena(&public, c->arena, PEM_MAX);
    ly_buf_init_arena(&sealed, c->arena, 2 * PEM_MAX);

    if (s->kid == NULL || pems(c, s->alg, &s->pem, &public) != 0
        || seal_private(k, s->kid, ly_buf_view(&s->pem), &sealed) != 0)
    {
        return cli_fail(c, CLI_FAILED, "the signing key cannot be made");
    }

    ly_buf_init_arena(&text, c->arena, 4 * PEM_MAX);
    ly_base64_put(&text, ly_buf_view(&sealed));

    ly_buf_init_arena(&b, c->arena, 8 * PEM_MAX);
    ly_jw_init(&w, &b);
    ly_jw_object(&w);
    ly_jw_kcstr(&w, "kid", s->kid);
    ly_jw_kcstr(&w, "alg", s->alg);
    ly_jw_kstr(&w, "pem", ly_buf_view(&public));
    ly_jw_kstr(&w, "sealed_private", ly_buf_view(&text));
    ly_jw_kcstr(&w, "state", "current");
    ly_jw_object_end(&w);

    param = (ly_jw_done(&w) == LY_OK) ? cli_text(c, ly_buf_view(&b)) : NULL;

    if (param == NULL) {
        return cli_nomem(c);
    }

    code = keys_call(k, "select to_jsonb(ops.signing_key_put($1::jsonb)"
                     "::text)", 1, &param, &ignored);

    if (code == CLI_OK) {
        cli_note(c, "made the platform's signing key %s", s->kid);
    }

    return code;
}


/*
 * Sealed: a key of its own wrapped under the keyring (for the nil tenant, who
 * is nobody), then the PEM sealed by it, bound to its kid.
 */

static int
seal_private(keys_t *k, const char *kid, ly_str_t pem, ly_buf_t *out)
{
    ly_err_t   err;
    ly_key_t   key;
    ly_uuid_t  nil;

    memset(&nil, 0, sizeof(nil));

    if (ly_key_make(&key) != LY_OK) {
        return -1;
    }

    err = ly_tenant_key_wrap(k->crypto, k->ring, &nil, &key, out);

    if (err == LY_OK) {
        err = ly_field_seal(k->crypto, &key, &nil, &nil, ly_str_c(kid), pem,
                            out);
    }

    ly_key_wipe(&key);

    return (err == LY_OK) ? 0 : -1;
}


static int
signer_open(cli_t *c, keys_t *k, const ly_json_node_t *record, signer_t *s)
{
    size_t          len;
    ly_err_t        err;
    ly_key_t        key;
    ly_str_t        text;
    ly_uuid_t       nil;
    unsigned char  *raw;

    memset(&nil, 0, sizeof(nil));

    s->kid = keys_string(c, record, "kid");
    s->alg = keys_string(c, record, "alg");

    if (s->kid == NULL || s->alg == NULL
        || ly_json_string(ly_json_member(record, ly_str("sealed_private")),
                          &text) != LY_OK)
    {
        return cli_fail(c, CLI_FAILED, "the signing key has no private half");
    }

    raw = ly_arena_bytes(c->arena, ly_base64_decoded_max(text.len));

    if (raw == NULL
        || ly_base64_decode(text, raw, ly_base64_decoded_max(text.len), &len)
        != LY_OK
        || len <= LY_WRAPPED_LEN)
    {
        return cli_fail(c, CLI_FAILED, "the signing key cannot be read");
    }

    err = ly_tenant_key_unwrap(k->crypto, k->ring, &nil,
                               ly_str_of(raw, LY_WRAPPED_LEN), &key);

    if (err == LY_OK) {
        err = ly_field_open(k->crypto, &key, &nil, &nil, ly_str_c(s->kid),
                            ly_str_of(raw + LY_WRAPPED_LEN,
                                      len - LY_WRAPPED_LEN), &s->pem);
        ly_key_wipe(&key);
    }

    if (err != LY_OK) {
        return cli_fail(c, CLI_FAILED, err == LY_NOTFOUND
                        ? "the keyring lacks the key that sealed %s"
                        : "the signing key %s does not open", s->kid);
    }

    return CLI_OK;
}


static int
pems(cli_t *c, const char *alg, ly_buf_t *private, ly_buf_t *public)
{
    int        rc;
    BIO       *secret, *open;
    EVP_PKEY  *key;

    key = (strcmp(alg, "ES256") == 0) ? EVP_EC_gen("P-256")
                                      : EVP_RSA_gen(RSA_BITS);
    secret = BIO_new(BIO_s_mem());
    open = BIO_new(BIO_s_mem());
    rc = -1;

    if (key != NULL && secret != NULL && open != NULL
        && PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL)
        == 1
        && PEM_write_bio_PUBKEY(open, key) == 1
        && bio_take(secret, private) == 0)
    {
        rc = bio_take(open, public);
    }

    BIO_free(secret);
    BIO_free(open);
    EVP_PKEY_free(key);

    return rc;
}


static int
bio_take(BIO *bio, ly_buf_t *out)
{
    long   n;
    char  *p;

    n = BIO_get_mem_data(bio, &p);

    if (n <= 0) {
        return -1;
    }

    ly_buf_put(out, p, (size_t) n);
    ly_secret_wipe(p, (size_t) n);

    return (ly_buf_err(out) == LY_OK) ? 0 : -1;
}


static int
mint(cli_t *c, const signer_t *s, const char *tenant)
{
    int          code;
    ly_jw_t      w;
    int64_t      now, ttl;
    ly_buf_t     json, token, iss;
    const char  *scope;

    ttl = 600;

    code = cli_opt_int(c, "ttl", 60, 900, &ttl);
    if (code != CLI_OK) {
        return code;
    }

    scope = words(c);

    if (scope == NULL || tenant == NULL) {
        return cli_nomem(c);
    }

    ly_buf_init_arena(&json, c->arena, 16384);
    ly_buf_init_arena(&token, c->arena, 32768);
    ly_buf_init_arena(&iss, c->arena, 1024);
    ly_buf_cstr(&iss, "https://");
    ly_buf_cstr(&iss, cli_setting(c, "domain", "LOYALTY_DOMAIN", "localhost"));

    ly_jw_init(&w, &json);
    ly_jw_object(&w);
    ly_jw_kcstr(&w, "alg", s->alg);
    ly_jw_kcstr(&w, "kid", s->kid);
    ly_jw_kcstr(&w, "typ", "at+jwt");
    ly_jw_object_end(&w);

    code = (ly_jw_done(&w) == LY_OK) ? CLI_OK : CLI_FAILED;
    ly_base64url_put(&token, ly_buf_view(&json));
    ly_buf_byte(&token, '.');

    now = cli_now() / 1000000;
    ly_buf_reset(&json);
    ly_jw_init(&w, &json);
    ly_jw_object(&w);
    ly_jw_kstr(&w, "iss", ly_buf_view(&iss));
    ly_jw_kcstr(&w, "aud", "loyalty");
    ly_jw_kcstr(&w, "sub", cli_opt(c, "subject"));
    ly_jw_kcstr(&w, "tid", tenant);
    ly_jw_kcstr(&w, "sid", fresh_id(c, ly_str("ses")));
    ly_jw_kcstr(&w, "scope", scope);
    ly_jw_kint(&w, "pv", 1);
    ly_jw_kint(&w, "iat", now);
    ly_jw_kint(&w, "exp", now + ttl);
    ly_jw_kcstr(&w, "jti", fresh_id(c, ly_str("tok")));
    ly_jw_object_end(&w);

    if (code != CLI_OK || ly_jw_done(&w) != LY_OK) {
        return cli_nomem(c);
    }

    ly_base64url_put(&token, ly_buf_view(&json));

    if (sign(s, &token) != 0) {
        return cli_fail(c, CLI_FAILED, "the token cannot be signed");
    }

    ly_buf_byte(&token, '\n');

    return cli_write_buf(c, &token);
}


/* appends '.' and the signature of what stands in the buffer (RFC 7515 5.1) */

static int
sign(const signer_t *s, ly_buf_t *token)
{
    int             rc;
    BIO            *bio;
    size_t          len;
    EVP_PKEY       *key;
    EVP_MD_CTX     *md;
    unsigned char   der[1024], raw[64];

    bio = BIO_new_mem_buf(s->pem.data, (int) s->pem.len);
    key = (bio != NULL) ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL)
                        : NULL;
    md = EVP_MD_CTX_new();
    len = sizeof(der);
    rc = -1;

    if (key != NULL && md != NULL
        && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1
        && EVP_DigestSign(md, der, &len, token->data, token->len) == 1)
    {
        rc = 0;
        ly_buf_byte(token, '.');

        if (strcmp(s->alg, "RS256") == 0) {
            ly_base64url_put(token, ly_str_of(der, len));

        } else {
            rc = fixed(der, len, raw);
            ly_base64url_put(token, ly_str_of(raw, sizeof(raw)));
        }
    }

    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    BIO_free(bio);

    return (ly_buf_err(token) == LY_OK) ? rc : -1;
}


/* DER to R and S of 32 bytes each (RFC 7518 3.4) */

static int
fixed(const unsigned char *der, size_t len, unsigned char raw[64])
{
    int                   rc;
    ECDSA_SIG            *sig;
    const unsigned char  *p;

    p = der;
    sig = d2i_ECDSA_SIG(NULL, &p, (long) len);
    rc = -1;

    if (sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32) == 32
        && BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32) == 32)
    {
        rc = 0;
    }

    ECDSA_SIG_free(sig);

    return rc;
}


/* an id of its own; NULL without random bytes */

static const char *
fresh_id(cli_t *c, ly_str_t prefix)
{
    ly_uuid_t       id;
    unsigned char   buf[LY_ID_TEXT];

    if (ly_uuid7_new((uint64_t) cli_now() / 1000, &id) != LY_OK) {
        return NULL;
    }

    return cli_text(c, ly_str_of(buf, ly_id_print(prefix, &id, buf)));
}


/* the scopes, parted by blanks as RFC 8693 wants them */

static const char *
words(cli_t *c)
{
    char        *p;
    const char  *list;

    list = cli_setting(c, "scopes", NULL, "");
    p = cli_text(c, ly_str_c(list));

    if (p != NULL) {
        for (list = p; *p != '\0'; p++) {
            if (*p == ',') {
                *p = ' ';
            }
        }
    }

    return (p != NULL) ? list : NULL;
}
