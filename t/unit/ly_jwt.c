/* tokens: what is taken, and a list of attacks */

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "tap.h"
#include "fail_alloc.h"
#include "ly_base64.h"
#include "ly_jwt.h"


#define NOW   1700000000LL
#define GOOD  "{\"iss\":\"https://a.example\",\"aud\":\"loyalty\","           \
    "\"sub\":\"usr_1\",\"tid\":\"ten_1\",\"sid\":\"s1\","                     \
    "\"scope\":\"members:read events:write\",\"pv\":3,"                       \
    "\"jti\":\"j1\",\"iat\":1699999990,\"exp\":1700000600}"
#define ES    "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}"
#define RS    "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"k2\"}"


static ly_arena_t    *arena;
static EVP_PKEY      *ec, *rsa;
static ly_jwt_key_t  *ec_key, *rsa_key;
static char           ec_pem[2048], rsa_pem[2048];


static void
public_pem(EVP_PKEY *pkey, char *out, size_t size)
{
    int   n;
    BIO  *bio;

    bio = BIO_new(BIO_s_mem());

    if (PEM_write_bio_PUBKEY(bio, pkey) != 1) {
        abort();
    }

    n = BIO_read(bio, out, (int) size - 1);
    out[n] = '\0';
    BIO_free(bio);
}


static void
setup(void)
{
    ec = EVP_EC_gen("P-256");
    rsa = EVP_RSA_gen(2048);
    public_pem(ec, ec_pem, sizeof(ec_pem));
    public_pem(rsa, rsa_pem, sizeof(rsa_pem));

    if (ly_jwt_key_pem(ly_str_c(ec_pem), &ec_key) != LY_OK
        || ly_jwt_key_pem(ly_str_c(rsa_pem), &rsa_key) != LY_OK)
    {
        abort();
    }
}


static size_t
put64(char *out, const void *data, size_t len)
{
    return ly_base64url_encode(ly_str_of(data, len), (unsigned char *) out);
}


/* header "." payload "." signature; a NULL key leaves the signature out */
static ly_str_t
token(EVP_PKEY *pkey, const char *header, const char *payload)
{
    size_t             n, len;
    EVP_MD_CTX        *ctx;
    ECDSA_SIG         *sig;
    const unsigned char  *p;
    unsigned char      bytes[1024], raw[64];

    static char  out[32768];

    n = put64(out, header, strlen(header));
    out[n++] = '.';
    n += put64(out + n, payload, strlen(payload));

    if (pkey == NULL) {
        out[n++] = '.';
        return ly_str_of(out, n);
    }

    len = sizeof(bytes);
    ctx = EVP_MD_CTX_new();

    if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey) != 1
        || EVP_DigestSign(ctx, bytes, &len, (unsigned char *) out, n) != 1)
    {
        abort();
    }

    EVP_MD_CTX_free(ctx);
    out[n++] = '.';

    if (EVP_PKEY_is_a(pkey, "EC")) {
        p = bytes;
        sig = d2i_ECDSA_SIG(NULL, &p, (long) len);
        BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32);
        ECDSA_SIG_free(sig);

        return ly_str_of(out, n + put64(out + n, raw, 64));
    }

    return ly_str_of(out, n + put64(out + n, bytes, len));
}


static ly_jwt_expect_t
expected(void)
{
    ly_jwt_expect_t  e;

    memset(&e, 0, sizeof(e));
    e.iss = ly_str("https://a.example");
    e.aud = ly_str("loyalty");
    e.tid = ly_str("ten_1");
    e.now = NOW;
    e.skew = LY_JWT_SKEW;

    return e;
}


/* "" when all is well, else why not */
static const char *
outcome(ly_jwt_key_t *key, ly_str_t text, const ly_jwt_expect_t *expect,
    ly_jwt_claims_t *claims)
{
    ly_str_t         copy;
    ly_jwt_t         jwt;
    ly_jwt_claims_t  ignored;
    unsigned char   *exact;
    const char      *why;

    ly_arena_reset(arena);

    /* exactly as long as it is, for the sanitizer */
    exact = malloc(text.len + 1);
    memcpy(exact, text.data, text.len);
    copy = ly_str_of(exact, text.len);
    why = "";

    if (ly_jwt_split(arena, copy, ly_str("at+jwt"), &jwt) != LY_OK
        || ly_jwt_verify(key, &jwt) != LY_OK
        || ly_jwt_claims(arena, &jwt, expect,
                         claims == NULL ? &ignored : claims) != LY_OK)
    {
        why = jwt.why;
    }

    free(exact);

    return why;
}


static void
why(ly_jwt_key_t *key, ly_str_t text, const char *want, const char *name)
{
    ly_jwt_expect_t  e;

    e = expected();
    is_str(ly_str_c(outcome(key, text, &e, NULL)), ly_str_c(want), name);
}


static void
good(void)
{
    ly_jwt_t         jwt;
    ly_jwt_expect_t  e;
    ly_jwt_claims_t  c;

    why(ec_key, token(ec, ES, GOOD), "", "ES256");
    why(rsa_key, token(rsa, RS, GOOD), "", "RS256");
    why(ec_key, token(ec, "{\"typ\":\"at+jwt\",\"alg\":\"ES256\"}", GOOD), "",
        "without a kid");
    why(ec_key, token(ec, ES, GOOD), "", "once more on the kept context");

    e = expected();
    is_str(ly_str_c(outcome(ec_key, token(ec, ES, GOOD), &e, &c)), ly_str(""),
           "its claims");
    is_str(c.sub, ly_str("usr_1"), "sub");
    is_str(c.tid, ly_str("ten_1"), "tid");
    is_str(c.sid, ly_str("s1"), "sid");
    is_str(c.jti, ly_str("j1"), "jti");
    is_int(c.pv, 3, "pv");
    is_int(c.exp, 1700000600, "exp");
    ok(ly_scope_has(c.scope, ly_str("members:read"))
       && ly_scope_has(c.scope, ly_str("events:write"))
       && !ly_scope_has(c.scope, ly_str("events"))
       && !ly_scope_has(c.scope, ly_str(""))
       && !ly_scope_has(ly_str(""), ly_str("x")), "scopes are whole words");
    ok(c.root != NULL, "and all the rest");

    is_int(ly_jwt_split(arena, token(ec, ES, GOOD), ly_str("at+jwt"), &jwt),
           LY_OK, "split");
    is_str(jwt.kid, ly_str("k1"), "gives the kid");
    is_int(ly_jwt_claims(arena, &jwt, &e, &c), LY_FATAL,
           "and no claims before the signature");

    memset(&e, 0, sizeof(e));
    e.now = NOW;
    is_str(ly_str_c(outcome(ec_key, token(ec, ES,
                                          "{\"sub\":\"x\",\"iat\":1700000000,"
                                          "\"exp\":1700000001}"), &e, &c)),
           ly_str(""), "nothing expected, nothing checked");
    is_int(c.scope.len + c.jti.len + c.tid.len, 0, "what is absent is empty");

    e.max_age = 600;
    is_str(ly_str_c(outcome(ec_key, token(ec, ES,
                                          "{\"sub\":\"x\",\"iat\":1700000000,"
                                          "\"exp\":1700000601}"), &e, &c)),
           ly_str("iat"), "made for too long");
}


static void
attacks(void)
{
    size_t    i, n, refused;
    ly_str_t  t;
    char      text[20000], header[512];

    static const char *const  none[] = {
        "none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "HS256",
        "RS256", "ES384", "PS256", "EdDSA", "ES256K"
    };

    static const struct {
        const char  *header;
        const char  *why;
    } headers[] = {
        { "{\"typ\":\"at+jwt\"}", "alg" },
        { "{\"alg\":1,\"typ\":\"at+jwt\"}", "alg" },
        { "{\"alg\":null,\"typ\":\"at+jwt\"}", "alg" },
        { "{\"alg\":[\"ES256\"],\"typ\":\"at+jwt\"}", "alg" },
        { "{\"alg\":\"ES256\"}", "typ" },
        { "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", "typ" },
        { "{\"alg\":\"ES256\",\"typ\":\"AT+JWT\"}", "typ" },
        { "{\"alg\":\"ES256\",\"typ\":\"application/at+jwt\"}", "typ" },
        { "{\"alg\":\"ES256\",\"typ\":1}", "typ" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"\"}", "kid" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":1}", "kid" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"../../dev/null\"}",
          "kid" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"/dev/null\"}",
          "kid" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"x' or '1'='1\"}",
          "kid" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"x|sleep 10\"}",
          "kid" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"a\\u0000b\"}",
          "header" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"01234567890123456"
          "789012345678901234567890123456789012345678901234\"}", "kid" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"crit\":[\"exp\"]}",
          "crit" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"crit\":[]}", "crit" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"b64\":false}", "crit" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"jwk\":{\"kty\":\"EC\"}}",
          "crit" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"jku\":\"https://e.example"
          "/\"}", "crit" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"x5u\":\"https://e.example"
          "/\"}", "crit" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"x5c\":[\"MII\"]}",
          "crit" },
        { "{\"alg\":\"none\",\"alg\":\"ES256\",\"typ\":\"at+jwt\"}",
          "header" },
        { "[\"alg\",\"ES256\"]", "header" },
        { "\"ES256\"", "header" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"} x", "header" },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"", "header" },
        { "", "header" }
    };

    for (i = 0; i < ly_countof(none); i++) {
        (void) snprintf(header, sizeof(header),
                        "{\"alg\":\"%s\",\"typ\":\"at+jwt\"}", none[i]);
        why(ec_key, token(ec, header, GOOD), "alg", header);
    }

    why(ec_key, token(NULL, "{\"alg\":\"none\",\"typ\":\"at+jwt\"}", GOOD),
        "alg", "none, without a signature");
    why(ec_key, token(NULL, ES, GOOD), "signature", "no signature");
    why(rsa_key, token(ec, ES, GOOD), "alg", "a token for another key");
    why(rsa_key, token(ec, RS, GOOD), "signature",
        "its algorithm pretended");

    for (i = 0; i < ly_countof(headers); i++) {
        why(ec_key, token(ec, headers[i].header, GOOD), headers[i].why,
            headers[i].header);
    }

    /* the RSA public key as an HMAC secret */
    {
        unsigned      len;
        unsigned char mac[EVP_MAX_MD_SIZE];

        n = put64(text, "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", 30);
        text[n++] = '.';
        n += put64(text + n, GOOD, strlen(GOOD));
        HMAC(EVP_sha256(), rsa_pem, (int) strlen(rsa_pem),
             (unsigned char *) text, n, mac, &len);
        text[n++] = '.';
        n += put64(text + n, mac, len);
        why(rsa_key, ly_str_of(text, n), "alg", "the public key as a secret");
    }

    /* r = s = 0, and numbers past the order */
    t = token(NULL, ES, GOOD);
    memcpy(text, t.data, t.len);
    memset(header, 0, 64);
    n = t.len + put64(text + t.len, header, 64);
    why(ec_key, ly_str_of(text, n), "signature", "r and s zero");
    memset(header, 0xff, 64);
    n = t.len + put64(text + t.len, header, 64);
    why(ec_key, ly_str_of(text, n), "signature", "r and s past the order");
    n = t.len + put64(text + t.len, header, 63);
    why(ec_key, ly_str_of(text, n), "signature", "63 bytes");
    n = t.len + put64(text + t.len, header, 65);
    why(ec_key, ly_str_of(text, n), "signature", "65 bytes");

    /* any one character changed, anywhere */
    t = token(ec, ES, GOOD);
    memcpy(text, t.data, t.len);
    refused = 0;

    for (i = 0; i < t.len; i++) {
        ly_jwt_expect_t  e;
        char             was;

        e = expected();
        was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        refused += *outcome(ec_key, ly_str_of(text, t.len), &e, NULL) != '\0';
        text[i] = was;
    }

    is_int(refused, t.len, "every changed character is refused");

    refused = 0;

    for (i = 0; i < t.len; i++) {
        ly_jwt_expect_t  e;

        e = expected();
        refused += *outcome(ec_key, ly_str_of(text, i), &e, NULL) != '\0';
    }

    is_int(refused, t.len, "every cut");
    why(ec_key, ly_str(""), "segments", "nothing");
    why(ec_key, ly_str("."), "segments", "one dot");
    why(ec_key, ly_str(".."), "header", "two dots");
    why(ec_key, ly_str("a.b.c.d"), "segments", "four parts");
    why(ec_key, ly_str("a.b.c.d.e"), "segments", "five, as an encrypted one");
    why(ec_key, ly_str("e30=.e30.AA"), "base64", "padding");
    why(ec_key, ly_str("e30\n.e30.AA"), "base64", "white space");
    why(ec_key, ly_str("e31.e30.AA"), "base64", "stray bits");

    memset(text, 'A', sizeof(text));
    text[10] = '.';
    text[20] = '.';
    why(ec_key, ly_str_of(text, LY_JWT_MAX + 1), "size", "too long");
    why(ec_key, ly_str_of(text, LY_JWT_MAX), "base64", "not too long");
}


static void
claims(void)
{
    size_t  i;

    static const struct {
        const char  *payload;
        const char  *why;
    } cases[] = {
        { "{\"iss\":\"https://a.example\",\"aud\":[\"x\",\"loyalty\"],"
          "\"sub\":\"u\",\"tid\":\"ten_1\",\"iat\":1,\"exp\":1700000600}",
          "" },
        { "{\"iss\":\"https://a.example\",\"aud\":[],"
          "\"sub\":\"u\",\"tid\":\"ten_1\",\"iat\":1,\"exp\":1700000600}",
          "aud" },
        { "{\"iss\":\"https://a.example\",\"aud\":[1,\"loyalty\"],"
          "\"sub\":\"u\",\"tid\":\"ten_1\",\"iat\":1,\"exp\":1700000600}",
          "aud" },
        { "{\"iss\":\"https://a.example\",\"aud\":\"other\","
          "\"sub\":\"u\",\"tid\":\"ten_1\",\"iat\":1,\"exp\":1700000600}",
          "aud" },
        { "{\"iss\":\"https://a.example\","
          "\"sub\":\"u\",\"tid\":\"ten_1\",\"iat\":1,\"exp\":1700000600}",
          "aud" },
        { "{\"iss\":\"https://b.example\",\"aud\":\"loyalty\","
          "\"sub\":\"u\",\"tid\":\"ten_1\",\"iat\":1,\"exp\":1700000600}",
          "iss" },
        { "{\"aud\":\"loyalty\","
          "\"sub\":\"u\",\"tid\":\"ten_1\",\"iat\":1,\"exp\":1700000600}",
          "iss" },
        { "{\"iss\":\"https://a.example\",\"aud\":\"loyalty\","
          "\"sub\":\"u\",\"tid\":\"ten_2\",\"iat\":1,\"exp\":1700000600}",
          "tid" },
        { "{\"iss\":\"https://a.example\",\"aud\":\"loyalty\","
          "\"sub\":\"u\",\"iat\":1,\"exp\":1700000600}", "tid" },
        { "{\"iss\":\"https://a.example\",\"aud\":\"loyalty\","
          "\"tid\":\"ten_1\",\"iat\":1,\"exp\":1700000600}", "sub" },
        { "{\"iss\":\"https://a.example\",\"aud\":\"loyalty\","
          "\"sub\":\"\",\"tid\":\"ten_1\",\"iat\":1,\"exp\":1700000600}",
          "sub" },
        { "{\"iss\":\"https://a.example\",\"aud\":\"loyalty\","
          "\"sub\":\"u\",\"tid\":\"ten_1\",\"iat\":1,\"exp\":1699999971}",
          "" },
        { "{\"iss\":\"https://a.example\",\"aud\":\"loyalty\","
          "\"sub\":\"u\",\"tid\":\"ten_1\",\"iat\":1,\"exp\":1699999970}",
          "exp" },
        { "{\"iss\":\"https://a.example\",\"aud\":\"loyalty\","
          "\"sub\":\"u\",\"tid\":\"ten_1\",\"iat\":1}", "exp" },
        { "{\"iss\":\"https://a.example\",\"aud\":\"loyalty\",\"nbf\":"
          "1700000030,\"sub\":\"u\",\"tid\":\"ten_1\",\"iat\":1,"
          "\"exp\":1700000600}", "" },
        { "{\"iss\":\"https://a.example\",\"aud\":\"loyalty\",\"nbf\":"
          "1700000031,\"sub\":\"u\",\"tid\":\"ten_1\",\"iat\":1,"
          "\"exp\":1700000600}", "nbf" },
        { "{\"iss\":\"https://a.example\",\"aud\":\"loyalty\","
          "\"sub\":\"u\",\"tid\":\"ten_1\",\"iat\":1700000031,"
          "\"exp\":1700000600}", "iat" },
        { "{\"iss\":\"https://a.example\",\"aud\":\"loyalty\","
          "\"sub\":\"u\",\"tid\":\"ten_1\",\"exp\":1700000600}", "iat" },
        { "{\"exp\":\"1700000600\",\"sub\":\"u\",\"iat\":1}", "claim" },
        { "{\"exp\":1700000600.5,\"sub\":\"u\",\"iat\":1}", "claim" },
        { "{\"exp\":1e10,\"sub\":\"u\",\"iat\":1}", "claim" },
        { "{\"exp\":9223372036854775807,\"sub\":\"u\",\"iat\":1}", "claim" },
        { "{\"exp\":1700000600,\"sub\":\"u\",\"iat\":-1}", "claim" },
        { "{\"exp\":1700000600,\"sub\":1,\"iat\":1}", "claim" },
        { "{\"exp\":1700000600,\"sub\":\"u\",\"iss\":null}", "claim" },
        { "{\"exp\":1700000600,\"sub\":\"u\",\"tid\":[]}", "claim" },
        { "{\"exp\":1700000600,\"sub\":\"u\",\"sid\":{}}", "claim" },
        { "{\"exp\":1700000600,\"sub\":\"u\",\"scope\":[\"a\"]}", "claim" },
        { "{\"exp\":1700000600,\"sub\":\"u\",\"jti\":1}", "claim" },
        { "{\"exp\":1700000600,\"sub\":\"u\",\"nbf\":true}", "claim" },
        { "{\"exp\":1700000600,\"sub\":\"u\",\"pv\":\"1\"}", "claim" },
        { "{\"exp\":1,\"exp\":1700000600}", "payload" },
        { "[]", "payload" },
        { "foo", "payload" },
        { "", "payload" }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        why(ec_key, token(ec, ES, cases[i].payload), cases[i].why,
            cases[i].why[0] == '\0' ? "taken" : cases[i].payload);
    }
}


static void
typ(void)
{
    size_t    i;
    ly_jwt_t  jwt;

    static const struct {
        const char  *header;
        ly_err_t     rc;
    } cases[] = {
        { "{\"alg\":\"ES256\"}", LY_OK },
        { "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", LY_OK },
        { "{\"alg\":\"ES256\",\"typ\":\"jwt\"}", LY_OK },
        { "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", LY_DENIED },
        { "{\"alg\":\"ES256\",\"typ\":\"\"}", LY_DENIED },
        { "{\"alg\":\"ES256\",\"typ\":\"JWS\"}", LY_DENIED },
        { "{\"alg\":\"ES256\",\"typ\":null}", LY_DENIED }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        ly_arena_reset(arena);
        is_int(ly_jwt_split(arena, token(ec, cases[i].header, GOOD),
                            ly_str(""), &jwt), cases[i].rc,
               "an external issuer's type");
    }
}


/* a public key in PEM of what kind it be */
static ly_err_t
pem_of(EVP_PKEY *pkey)
{
    char           pem[4096];
    ly_err_t       rc;
    ly_jwt_key_t  *key;

    public_pem(pkey, pem, sizeof(pem));
    rc = ly_jwt_key_pem(ly_str_c(pem), &key);

    if (rc == LY_OK) {
        ly_jwt_key_destroy(key);
    }

    EVP_PKEY_free(pkey);

    return rc;
}


static void
keys(void)
{
    char           text[8192];
    size_t         n;
    ly_buf_t       b;
    ly_jwt_key_t  *key;
    EVP_PKEY_CTX  *ctx;
    EVP_PKEY      *pkey;
    BIO           *bio;
    int            len;

    is_int(ly_jwt_key_alg(ec_key), LY_JWT_ES256, "an EC key");
    is_int(ly_jwt_key_alg(rsa_key), LY_JWT_RS256, "an RSA key");
    is_str(ly_str_c(ly_jwt_alg_name(LY_JWT_RS256)), ly_str("RS256"),
           "its algorithm");

    is_int(pem_of(EVP_EC_gen("P-384")), LY_DENIED, "P-384");
    is_int(pem_of(EVP_EC_gen("secp256k1")), LY_DENIED, "secp256k1");
    is_int(pem_of(EVP_RSA_gen(1024)), LY_DENIED, "RSA of 1024 bits");
    is_int(pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")), LY_DENIED,
           "Ed25519");

    /* exponent 3 */
    ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    pkey = NULL;
    {
        BIGNUM  *e;

        e = BN_new();

        if (BN_set_word(e, 3) != 1 || EVP_PKEY_keygen_init(ctx) != 1
            || EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) != 1
            || EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) != 1
            || EVP_PKEY_generate(ctx, &pkey) != 1)
        {
            abort();
        }

        BN_free(e);
    }
    EVP_PKEY_CTX_free(ctx);
    is_int(pem_of(pkey), LY_DENIED, "exponent 3");

    bio = BIO_new(BIO_s_mem());

    if (PEM_write_bio_PrivateKey(bio, ec, NULL, NULL, 0, NULL, NULL) != 1) {
        abort();
    }

    len = BIO_read(bio, text, sizeof(text));
    BIO_free(bio);
    is_int(ly_jwt_key_pem(ly_str_of(text, (size_t) len), &key), LY_PARSE,
           "a private key");

    (void) snprintf(text, sizeof(text), "%s%s", ec_pem, ec_pem);
    is_int(ly_jwt_key_pem(ly_str_c(text), &key), LY_PARSE, "two keys");
    (void) snprintf(text, sizeof(text), " %s", ec_pem);
    is_int(ly_jwt_key_pem(ly_str_c(text), &key), LY_PARSE, "text before it");
    (void) snprintf(text, sizeof(text), "%s\r\n ", ec_pem);
    is_int(ly_jwt_key_pem(ly_str_c(text), &key), LY_OK, "blanks behind it");
    ly_jwt_key_destroy(key);
    is_int(ly_jwt_key_pem(ly_str("-----BEGIN PUBLIC KEY-----\nAAAA\n"
                                 "-----END PUBLIC KEY-----\n"), &key),
           LY_PARSE, "junk in it");
    is_int(ly_jwt_key_pem(ly_str("-----BEGIN PUBLIC KEY-----\n"), &key),
           LY_PARSE, "no end");
    is_int(ly_jwt_key_pem(ly_str(""), &key), LY_PARSE, "nothing");

    /* printed and read again, both kinds */
    ly_buf_init(&b, 4096, NULL);
    is_int(ly_jwt_key_print(ec_key, ly_str("k1"), &b), LY_OK, "a JWK");
    ly_arena_reset(arena);
    is_int(ly_jwt_key_jwk(arena, ly_buf_view(&b), &key), LY_OK, "read again");
    is_str(ly_jwt_key_kid(key), ly_str("k1"), "its kid");
    why(key, token(ec, ES, GOOD), "", "verifies");
    ly_jwt_key_destroy(key);

    ly_buf_reset(&b);
    is_int(ly_jwt_key_print(rsa_key, ly_str(""), &b), LY_OK, "of RSA");
    ly_arena_reset(arena);
    is_int(ly_jwt_key_jwk(arena, ly_buf_view(&b), &key), LY_OK, "read again");
    is_int(ly_jwt_key_kid(key).len, 0, "without a kid");
    why(key, token(rsa, RS, GOOD), "", "verifies");
    ly_jwt_key_destroy(key);
    ly_jwt_key_destroy(NULL);

    for (n = 0; n < 40; n += 5) {
        ly_buf_t  small;

        ly_buf_init_fixed(&small, text, n);
        ok(ly_jwt_key_print(ec_key, ly_str("k1"), &small) == LY_LIMIT,
           "no room for it");
    }

    ly_buf_free(&b);
}


#define X  "\"x\":\"04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY\""
#define Y  "\"y\":\"UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw\""
#define EC "\"kty\":\"EC\",\"crv\":\"P-256\"," X "," Y


static void
jwks(void)
{
    size_t         i;
    ly_jwt_key_t  *key;

    static const struct {
        const char  *text;
        ly_err_t     rc;
    } cases[] = {
        { "{" EC "}", LY_OK },
        { "{" EC ",\"alg\":\"ES256\",\"use\":\"sig\","
          "\"key_ops\":[\"x\",\"verify\"],\"kid\":\"k\",\"other\":1}",
          LY_OK },
        { "{" EC ",\"alg\":\"RS256\"}", LY_DENIED },
        { "{" EC ",\"alg\":1}", LY_DENIED },
        { "{" EC ",\"use\":\"enc\"}", LY_DENIED },
        { "{" EC ",\"key_ops\":[\"sign\"]}", LY_DENIED },
        { "{" EC ",\"key_ops\":[]}", LY_DENIED },
        { "{" EC ",\"kid\":\"\"}", LY_DENIED },
        { "{" EC ",\"kid\":\"a b\"}", LY_DENIED },
        { "{" EC ",\"d\":\"AA\"}", LY_DENIED },
        { "{" EC ",\"k\":\"AA\"}", LY_DENIED },
        { "{" EC ",\"kty\":\"EC\"}", LY_PARSE },
        { "{\"kty\":\"EC\"," X "," Y "}", LY_DENIED },
        { "{\"kty\":\"EC\",\"crv\":\"P-384\"," X "," Y "}", LY_DENIED },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\"," X "}", LY_PARSE },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\"," Y "}", LY_PARSE },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\"," X ",\"y\":\"AAAA\"}",
          LY_PARSE },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\"," X ",\"y\":"
          "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", LY_DENIED },
        { "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", LY_DENIED },
        { "{\"kty\":\"RSA\",\"n\":\"AQAB\"}", LY_PARSE },
        { "{\"kty\":\"RSA\",\"e\":\"AQAB\"}", LY_PARSE },
        { "{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}", LY_PARSE },
        { "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQABAQABAQABAQAB\"}",
          LY_PARSE },
        { "{\"kty\":\"oct\",\"k\":\"AAAA\"}", LY_DENIED },
        { "{\"kty\":\"OKP\"}", LY_DENIED },
        { "{}", LY_PARSE },
        { "[]", LY_PARSE },
        { "", LY_PARSE }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        ly_arena_reset(arena);
        key = NULL;
        is_int(ly_jwt_key_jwk(arena, ly_str_c(cases[i].text), &key),
               cases[i].rc, cases[i].text);
        ly_jwt_key_destroy(key);
    }
}


static void
sets(void)
{
    size_t         i, n;
    ly_jwt_key_t  *keys[2];

    static const struct {
        const char  *text;
        ly_err_t     rc;
        size_t       n;
    } cases[] = {
        { "{\"keys\":[]}", LY_OK, 0 },
        { "{\"keys\":[{" EC "}]}", LY_OK, 1 },
        { "{\"keys\":[{" EC ",\"kid\":\"a\"},{" EC ",\"kid\":\"b\"},"
          "{\"kty\":\"OKP\"},{" EC ",\"use\":\"enc\"}]}", LY_OK, 2 },
        { "{\"keys\":[{" EC ",\"kid\":\"a\"},{" EC ",\"kid\":\"a\"}]}",
          LY_DENIED, 0 },
        { "{\"keys\":[{" EC "},{" EC "},{" EC "}]}", LY_LIMIT, 0 },
        { "{\"keys\":[{" EC "},{\"kty\":\"oct\"}]}", LY_DENIED, 0 },
        { "{\"keys\":[{" EC ",\"d\":\"AA\"}]}", LY_DENIED, 0 },
        { "{\"keys\":[{\"kty\":\"x\",\"k\":\"AA\"}]}", LY_DENIED, 0 },
        { "{\"keys\":[{" EC "},{}]}", LY_PARSE, 0 },
        { "{\"keys\":{}}", LY_PARSE, 0 },
        { "{}", LY_PARSE, 0 },
        { "x", LY_PARSE, 0 }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        ly_arena_reset(arena);
        ok(ly_jwt_key_set(arena, ly_str_c(cases[i].text), keys, 2, &n)
           == cases[i].rc && n == cases[i].n, "key set %zu: %s", i,
           ly_err_name(cases[i].rc));

        while (n > 0) {
            ly_jwt_key_destroy(keys[--n]);
        }
    }
}


/* memory runs out at each step, never with another outcome */
static void
memory(void)
{
    size_t            cap, out;
    ly_str_t          t;
    ly_jwt_t          jwt;
    ly_err_t          rc;
    ly_arena_t       *a;
    ly_jwt_claims_t   c;
    ly_jwt_expect_t   e;

    t = token(ec, ES, GOOD);
    e = expected();
    out = 0;

    for (cap = LY_ARENA_MIN; cap < 24000; cap += 64) {
        a = ly_arena_create(cap, NULL);
        rc = ly_jwt_split(a, t, ly_str("at+jwt"), &jwt);

        if (rc == LY_OK) {
            rc = ly_jwt_verify(ec_key, &jwt);
        }

        if (rc == LY_OK) {
            rc = ly_jwt_claims(a, &jwt, &e, &c);
        }

        if (rc != LY_OK && rc != LY_NOMEM) {
            ok(false, "cap %zu: %s", cap, ly_err_name(rc));
        }

        out += rc == LY_NOMEM;
        ly_arena_destroy(a);
    }

    ok(out > 30 && out < 350, "%zu caps were too small", out);
}


int
main(void)
{
    arena = ly_arena_create(1 << 20, NULL);

    setup();
    good();
    attacks();
    claims();
    typ();
    keys();
    jwks();
    sets();
    memory();

    ly_jwt_key_destroy(ec_key);
    ly_jwt_key_destroy(rsa_key);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(rsa);
    ly_arena_destroy(arena);

    return tap_done();
}
