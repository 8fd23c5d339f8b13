/* Standard Webhooks */

#include "tap.h"
#include "vectors.h"
#include "ly_base64.h"
#include "ly_webhook.h"


#define SECRET  "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID      "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define BODY    "{\"test\": 2432232314}"
#define MAC     "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

/* RFC 8032, 7.1, test 1 */
#define PAIR    "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
#define PUBLIC  "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

#define WHEN    1614265330


static ly_crypto_t  *crypto;


static void
keys(void)
{
    size_t             i, len;
    ly_buf_t           secret, pub;
    ly_err_t           rc;
    unsigned char      text[LY_WEBHOOK_SECRET_TEXT], raw[64];
    ly_webhook_key_t  *key;

    static const struct {
        const char  *text;
        ly_err_t     rc;
    } cases[] = {
        { SECRET, LY_OK },
        { "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", LY_OK },
        { "whsec_", LY_PARSE },
        { "", LY_PARSE },
        { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", LY_PARSE },
        { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS=", LY_PARSE },
        { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La", LY_PARSE },
        { "whsec_-fKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", LY_PARSE },
        { "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", LY_PARSE },
        { "whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", LY_PARSE },
        { "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", LY_OK },
        { "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", LY_OK },
        { "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJ"
          "ZAc6DuFy89qmIyWvAhpo9wdRGg==", LY_OK },
        { "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJ"
          "ZAc6DuFy89qmIyWvAhpo9wdRGw==", LY_PARSE },
        { "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJ"
          "ZAc6", LY_PARSE }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        key = NULL;
        is_int(ly_webhook_key_parse(crypto, ly_str_c(cases[i].text), &key),
               cases[i].rc, "a key");
        ly_webhook_key_destroy(key);
    }

    is_int(ly_webhook_secret_make(text, &len), LY_OK, "a new secret");
    is_int(ly_base64_decode(ly_str_of(text + 6, len - 6), raw, sizeof(raw),
                            &i), LY_OK, "is base64");
    is_int(i, 32, "of 32 bytes");
    is_int(ly_webhook_key_parse(crypto, ly_str_of(text, len), &key), LY_OK,
           "and a key");
    ly_webhook_key_destroy(key);

    ly_buf_init(&secret, 200, NULL);
    ly_buf_init(&pub, 200, NULL);
    is_int(ly_webhook_pair_make(&secret, &pub), LY_OK, "a new pair");
    rc = ly_webhook_key_parse(crypto, ly_buf_view(&secret), &key);
    is_int(rc, LY_OK, "its secret half");
    ly_webhook_key_destroy(key);
    rc = ly_webhook_key_parse(crypto, ly_buf_view(&pub), &key);
    is_int(rc, LY_OK, "its public half");
    ly_webhook_key_destroy(key);
    ly_buf_free_secret(&secret);
    ly_buf_free(&pub);

    ly_buf_init_fixed(&secret, text, 3);
    ly_buf_init_fixed(&pub, text, 3);
    is_int(ly_webhook_pair_make(&secret, &pub), LY_LIMIT, "no room for it");
}


static void
hmac(void)
{
    size_t             i;
    ly_buf_t           b;
    unsigned char      small[10];
    ly_webhook_key_t  *key;

    static const struct {
        const char  *id;
        const char  *when;
        const char  *signatures;
        const char  *body;
        int64_t      now;
        ly_err_t     rc;
    } cases[] = {
        { ID, "1614265330", MAC, BODY, WHEN, LY_OK },
        { ID, "1614265330", MAC, BODY, WHEN + 300, LY_OK },
        { ID, "1614265330", MAC, BODY, WHEN - 300, LY_OK },
        { ID, "1614265330", MAC, BODY, WHEN + 301, LY_DENIED },
        { ID, "1614265330", MAC, BODY, WHEN - 301, LY_DENIED },
        { ID, "1614265331", MAC, BODY, WHEN, LY_DENIED },
        { ID, "01614265330", MAC, BODY, WHEN, LY_PARSE },
        { ID, "1614265330 ", MAC, BODY, WHEN, LY_PARSE },
        { ID, "1614265330.0", MAC, BODY, WHEN, LY_PARSE },
        { ID, "-1", MAC, BODY, WHEN, LY_PARSE },
        { ID, "hello", MAC, BODY, WHEN, LY_PARSE },
        { ID, "", MAC, BODY, WHEN, LY_PARSE },
        { ID, "9223372036854775807", MAC, BODY, WHEN, LY_DENIED },
        { "", "1614265330", MAC, BODY, WHEN, LY_PARSE },
        { "a.b", "1614265330", MAC, BODY, WHEN, LY_PARSE },
        { "a b", "1614265330", MAC, BODY, WHEN, LY_PARSE },
        { "msg_x", "1614265330", MAC, BODY, WHEN, LY_DENIED },
        { ID, "1614265330", MAC, BODY " ", WHEN, LY_DENIED },
        { ID, "1614265330", "", BODY, WHEN, LY_DENIED },
        { ID, "1614265330", "v1,", BODY, WHEN, LY_DENIED },
        { ID, "1614265330", "v1,dawfeoifkpqwoekfpqoekf", BODY, WHEN,
          LY_DENIED },
        { ID, "1614265330", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
          BODY, WHEN, LY_DENIED },
        { ID, "1614265330",
          "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", BODY, WHEN,
          LY_DENIED },
        { ID, "1614265330", "v1,AAAA v2,BBBB  " MAC " v1,CCCC", BODY, WHEN,
          LY_OK },
        { ID, "1614265330", MAC " ", BODY, WHEN, LY_OK },
        { ID, "1614265330", "x x x x x x x x x x x x x x x x " MAC, BODY,
          WHEN, LY_DENIED }
    };

    if (ly_webhook_key_parse(crypto, ly_str(SECRET), &key) != LY_OK) {
        abort();
    }

    ly_buf_init(&b, 1000, NULL);
    is_int(ly_webhook_sign(key, ly_str(ID), WHEN, ly_str(BODY), &b), LY_OK,
           "signed");
    is_str(ly_buf_view(&b), ly_str(MAC), "as the specification's libraries");
    is_int(ly_webhook_sign(key, ly_str(ID), WHEN, ly_str(BODY), &b), LY_OK,
           "once more");
    is_str(ly_buf_view(&b), ly_str(MAC " " MAC), "behind a blank");
    is_int(ly_webhook_sign(key, ly_str("a.b"), WHEN, ly_str(BODY), &b),
           LY_PARSE, "an id with a dot");
    is_int(ly_webhook_sign(key, ly_str("a"), -1, ly_str(BODY), &b), LY_PARSE,
           "a time before the epoch");
    ly_buf_free(&b);
    ly_buf_init_fixed(&b, small, sizeof(small));
    is_int(ly_webhook_sign(key, ly_str("a"), 1, ly_str(BODY), &b), LY_LIMIT,
           "no room");

    for (i = 0; i < ly_countof(cases); i++) {
        ok(ly_webhook_verify(key, ly_str_c(cases[i].id),
                             ly_str_c(cases[i].when),
                             ly_str_c(cases[i].signatures),
                             ly_str_c(cases[i].body), cases[i].now,
                             LY_WEBHOOK_TOLERANCE) == cases[i].rc,
           "case %zu: %s", i, ly_err_name(cases[i].rc));
    }

    ly_webhook_key_destroy(key);
}


static void
ed25519(void)
{
    ly_buf_t           b;
    ly_str_t           when;
    unsigned char      copy[256];
    ly_webhook_key_t  *key, *pub, *mac;

    if (ly_webhook_key_parse(crypto, ly_str(PAIR), &key) != LY_OK
        || ly_webhook_key_parse(crypto, ly_str(PUBLIC), &pub) != LY_OK
        || ly_webhook_key_parse(crypto, ly_str(SECRET), &mac) != LY_OK)
    {
        abort();
    }

    when = ly_str("1614265330");
    ly_buf_init(&b, 1000, NULL);
    is_int(ly_webhook_sign(key, ly_str(ID), WHEN, ly_str(BODY), &b), LY_OK,
           "signed by Ed25519");
    ok(ly_str_starts(ly_buf_view(&b), ly_str("v1a,")), "as v1a");
    is_int(ly_webhook_verify(pub, ly_str(ID), when, ly_buf_view(&b),
                             ly_str(BODY), WHEN, 300), LY_OK,
           "verified by the public key of RFC 8032");
    is_int(ly_webhook_verify(key, ly_str(ID), when, ly_buf_view(&b),
                             ly_str(BODY), WHEN, 300), LY_OK,
           "and by the pair");
    is_int(ly_webhook_verify(pub, ly_str(ID), when, ly_buf_view(&b),
                             ly_str("other"), WHEN, 300), LY_DENIED,
           "another body");

    memcpy(copy, b.data, b.len);
    copy[20] = copy[20] == 'A' ? 'B' : 'A';
    is_int(ly_webhook_verify(pub, ly_str(ID), when, ly_str_of(copy, b.len),
                             ly_str(BODY), WHEN, 300), LY_DENIED,
           "a changed signature");
    is_int(ly_webhook_verify(mac, ly_str(ID), when, ly_buf_view(&b),
                             ly_str(BODY), WHEN, 300), LY_DENIED,
           "by the other kind of key");
    is_int(ly_webhook_verify(pub, ly_str(ID), when, ly_str("v1a,AAAA"),
                             ly_str(BODY), WHEN, 300), LY_DENIED,
           "a short one");
    is_int(ly_webhook_sign(pub, ly_str(ID), WHEN, ly_str(BODY), &b),
           LY_DENIED, "a public key does not sign");

    is_int(ly_webhook_sign(mac, ly_str(ID), WHEN, ly_str(BODY), &b), LY_OK,
           "both in one header");
    is_int(ly_webhook_verify(mac, ly_str(ID), when, ly_buf_view(&b),
                             ly_str(BODY), WHEN, 300), LY_OK, "v1 fits");
    is_int(ly_webhook_verify(pub, ly_str(ID), when, ly_buf_view(&b),
                             ly_str(BODY), WHEN, 300), LY_OK, "v1a fits");

    ly_buf_free(&b);
    ly_webhook_key_destroy(key);
    ly_webhook_key_destroy(pub);
    ly_webhook_key_destroy(mac);
    ly_webhook_key_destroy(NULL);
}


/* the public vectors, their verify cases restated as data */
static void
vectors(void)
{
    bool                   good;
    char                   when[32];
    int64_t                stamp;
    ly_buf_t               sig, all;
    ly_err_t               rc;
    ly_str_t               id, text, secret, drop;
    ly_arena_t            *a;
    ly_webhook_key_t      *key;
    const ly_json_node_t  *root, *v, *c, *set, *node;

    a = ly_arena_create(1 << 20, NULL);
    root = vec_public(a, "standard_webhooks/vectors.json");

    if (root == NULL) {
        tap_skip("standard_webhooks is not in LOYALTY_DATA");
        ly_arena_destroy(a);
        return;
    }

    v = ly_json_member(root, ly_str("symmetric_sign"))->first;
    stamp = vec_int(v, "timestamp", 0);

    for (c = ly_json_member(root, ly_str("verify_cases"))->first; c != NULL;
         c = c->next)
    {
        secret = vec_text(c, "secret");
        secret = ly_json_member(c, ly_str("secret")) == NULL
                 ? vec_text(v, "secret") : secret;
        drop = vec_text(c, "drop");
        set = ly_json_member(c, ly_str("set"));
        good = ly_json_member_of(c, ly_str("ok"), LY_JSON_TRUE) != NULL;

        id = ly_str_eq(drop, ly_str("webhook-id")) ? ly_str("")
             : vec_text(v, "id");
        (void) snprintf(when, sizeof(when), "%lld", (long long) stamp
                        + vec_int(c, "timestamp_offset_s", 0));
        text = ly_str_c(when);

        if (ly_json_member(set, ly_str("webhook-timestamp")) != NULL) {
            text = vec_text(set, "webhook-timestamp");
        }

        if (ly_str_eq(drop, ly_str("webhook-timestamp"))) {
            text = ly_str("");
        }

        rc = ly_webhook_key_parse(crypto, secret, &key);

        if (rc == LY_OK) {
            ly_buf_init_arena(&sig, a, 1000);
            ly_buf_init_arena(&all, a, 4000);
            (void) !ly_webhook_sign(key, vec_text(v, "id"), stamp
                                    + vec_int(c, "timestamp_offset_s", 0),
                                    vec_text(v, "payload"), &sig);

            node = ly_json_member(c, ly_str("prepend"));

            for (node = node == NULL ? NULL : node->first; node != NULL;
                 node = node->next)
            {
                ly_buf_str(&all, node->text);
                ly_buf_byte(&all, ' ');
            }

            ly_buf_truncate(&sig, (size_t) vec_int(c, "truncate_signature",
                                                   (int64_t) sig.len));

            if (ly_json_member(c, ly_str("set_version")) != NULL) {
                ly_buf_str(&all, vec_text(c, "set_version"));
                ly_buf_put(&all, sig.data + 2, sig.len - 2);

            } else if (ly_json_member(set, ly_str("webhook-signature"))
                       != NULL)
            {
                ly_buf_str(&all, vec_text(set, "webhook-signature"));

            } else if (!ly_str_eq(drop, ly_str("webhook-signature"))) {
                ly_buf_str(&all, ly_buf_view(&sig));
            }

            rc = ly_webhook_verify(key, id, text, ly_buf_view(&all),
                                   vec_text(v, "payload"), stamp, 300);
            ly_webhook_key_destroy(key);
        }

        ok((rc == LY_OK) == good, "%.*s", (int) vec_text(c, "name").len,
           vec_text(c, "name").data);
    }

    ly_arena_destroy(a);
}


int
main(void)
{
    crypto = ly_crypto_create();

    keys();
    hmac();
    ed25519();
    vectors();

    ly_crypto_destroy(crypto);

    return tap_done();
}
