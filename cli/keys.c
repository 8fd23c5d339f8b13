/*
 * Tenants, API keys, tokens: what needs the keyring.  Nothing secret is
 * written anywhere but to stdout or to a file of mode 0600, once.
 */

#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <argon2.h>

#include "commands.h"
#include "db.h"
#include "keys.h"
#include "ly_apikey.h"
#include "ly_base64.h"
#include "ly_hex.h"
#include "ly_jw.h"
#include "ly_banned.h"


/* argon2id, RFC 9106's second choice: 64 MiB, three passes, four lanes */
#define ARGON_PASSES   3
#define ARGON_KIB      65536
#define ARGON_LANES    4
#define ARGON_HASH     32
#define ARGON_SALT     16
#define ARGON_TEXT     256

extern char  **environ;


static int create(cli_t *c, keys_t *k, const char *slug);
static int owner(cli_t *c, keys_t *k, const ly_uuid_t *tenant,
    const ly_key_t *tenant_key, ly_jw_t *w, const char *email,
    ly_str_t password);
static int seal_owner(keys_t *k, const ly_uuid_t *tenant,
    const ly_uuid_t *user, const ly_key_t *tenant_key, ly_str_t email,
    ly_buf_t *wrapped, ly_buf_t *sealed, unsigned char blind[LY_SHA256_LEN]);
static int hash_password(cli_t *c, ly_str_t password, char *out);
static int hook(cli_t *c, const char *slug);
static int made(cli_t *c, const ly_json_node_t *tenant);
static int key_make(cli_t *c, keys_t *k, const ly_json_node_t *tenant,
    ly_apikey_t kind);
static int scopes(cli_t *c, ly_jw_t *w);
static int key_out(cli_t *c, const ly_json_node_t *key, const char *text);
static void jw_base64(ly_jw_t *w, cli_t *c, ly_str_t bytes);

/* every scope of the operations that stand; "all" means these */
static const char *const  all_scopes[] = {
    "keys:read", "keys:write", "users:read", "users:write", "roles:read",
    "roles:write", "programs:read", "programs:write", "members:read",
    "members:write", "members:merge", "members:erase", "ledger:read",
    "ledger:adjust", "ledger:transfer", "events:read", "events:write",
    "events:simulate", "redemptions:read", "redemptions:write",
    "rewards:read", "rewards:write", "rules:read", "rules:write",
    "rules:publish", "rules:simulate", "tiers:read", "tiers:write",
    "campaigns:read", "campaigns:write", "segments:read", "segments:write",
    "referrals:read", "referrals:write", "webhooks:read", "webhooks:write",
    "imports:read", "imports:write", "exports:read", "exports:write",
    "reports:read", "audit:read", "integrations:read", "integrations:write"
};


int
tenant_create_cmd(cli_t *c)
{
    int     code;
    keys_t  k;

    code = keys_open(c, &k);

    if (code == CLI_OK) {
        code = create(c, &k, c->argv[0]);
    }

    keys_close(&k);

    return code;
}


static int
create(cli_t *c, keys_t *k, const char *slug)
{
    int                    code;
    ly_jw_t                w;
    ly_key_t               key;
    ly_buf_t               args, wrapped;
    ly_str_t               password;
    ly_uuid_t              tenant;
    const char            *email, *mode, *currency, *params[2];
    const ly_json_node_t  *answer;

    code = cli_secret(c, "owner-password-file", "LOYALTY_OWNER_PASSWORD",
                      &password);
    if (code != CLI_OK) {
        return code;
    }

    mode = cli_setting(c, "mode", NULL, "test");

    if (strcmp(mode, "test") != 0 && strcmp(mode, "live") != 0) {
        return cli_fail(c, CLI_USAGE, "--mode is live or test");
    }

    currency = cli_setting(c, "currency", NULL, "GBP");

    if (strlen(currency) != 3
        || strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
    {
        return cli_fail(c, CLI_USAGE, "--currency is three capitals");
    }

    email = cli_opt(c, "owner-email");

    if (email != NULL && password.len == 0) {
        return cli_fail(c, CLI_USAGE, "the owner's password is missing: "
                        "--owner-password-file or LOYALTY_OWNER_PASSWORD");
    }

    ly_buf_init_arena(&args, c->arena, 65536);
    ly_buf_init_arena(&wrapped, c->arena, 1024);

    if (ly_uuid7_new((uint64_t) cli_now() / 1000, &tenant) != LY_OK
        || ly_key_make(&key) != LY_OK
        || ly_tenant_key_wrap(k->crypto, k->ring, &tenant, &key, &wrapped)
        != LY_OK)
    {
        return cli_fail(c, CLI_FAILED, "the tenant's key cannot be made");
    }

    ly_jw_init(&w, &args);
    ly_jw_object(&w);
    ly_jw_kcstr(&w, "slug", slug);
    ly_jw_kcstr(&w, "name", cli_setting(c, "name", NULL, slug));
    ly_jw_kcstr(&w, "mode", mode);
    ly_jw_kcstr(&w, "plan", cli_setting(c, "plan", NULL, "standard"));
    ly_jw_kcstr(&w, "currency", cli_setting(c, "currency", NULL, "GBP"));
    ly_jw_kcstr(&w, "timezone", cli_setting(c, "timezone", NULL, "UTC"));
    ly_jw_kcstr(&w, "locale", cli_setting(c, "locale", NULL, "en"));
    ly_jw_k(&w, "wrapped_key");
    jw_base64(&w, c, ly_buf_view(&wrapped));

    if (email != NULL) {
        code = owner(c, k, &tenant, &key, &w, email, password);
    }

    ly_key_wipe(&key);
    ly_jw_object_end(&w);

    if (code != CLI_OK) {
        return code;
    }

    params[0] = keys_uuid(c, &tenant);
    params[1] = (ly_jw_done(&w) == LY_OK) ? cli_text(c, ly_buf_view(&args))
                                          : NULL;

    if (params[0] == NULL || params[1] == NULL) {
        return cli_nomem(c);
    }

    code = keys_call(k, "select ops.tenant_create($1::uuid, $2::jsonb)", 2,
                     params, &answer);

    return (code == CLI_OK) ? made(c, answer) : code;
}


static int
made(cli_t *c, const ly_json_node_t *tenant)
{
    int          code;
    bool         created;
    ly_jw_t      w;
    ly_buf_t     b;
    const char  *slug;

    created = false;
    slug = keys_string(c, tenant, "slug");

    if (slug == NULL || ly_json_bool(ly_json_member(tenant, ly_str("created")),
                                     &created) != LY_OK)
    {
        return cli_fail(c, CLI_FAILED, "the database gave no tenant");
    }

    if (!created && cli_opt(c, "if-missing") == NULL) {
        return cli_fail(c, CLI_CONFLICT, "the slug %s is taken", slug);
    }

    /* also for one that stands: the hook may have failed the last time */
    code = hook(c, slug);
    if (code != CLI_OK) {
        return code;
    }

    ly_buf_init_arena(&b, c->arena, 65536);

    if (c->json) {
        ly_jw_init(&w, &b);
        ly_jw_node(&w, tenant);

        if (ly_jw_done(&w) != LY_OK) {
            return cli_nomem(c);
        }

    } else {
        ly_buf_cstr(&b, slug);
        ly_buf_byte(&b, ' ');
        ly_buf_cstr(&b, keys_string(c, tenant, "ten"));
    }

    ly_buf_byte(&b, '\n');

    return cli_write_buf(c, &b);
}


/* "owner": everything personal is sealed before it leaves this process */

static int
owner(cli_t *c, keys_t *k, const ly_uuid_t *tenant,
    const ly_key_t *tenant_key, ly_jw_t *w, const char *email,
    ly_str_t password)
{
    int            code;
    char           hash[ARGON_TEXT];
    size_t         len;
    ly_buf_t       wrapped, sealed;
    ly_uuid_t      user;
    unsigned char  normal[LY_EMAIL_MAX], blind[LY_SHA256_LEN];

    if (ly_email_normalise(ly_str_c(email), normal, &len) != LY_OK) {
        return cli_fail(c, CLI_USAGE, "--owner-email is no e-mail address");
    }

    code = hash_password(c, password, hash);
    if (code != CLI_OK) {
        return code;
    }

    ly_buf_init_arena(&wrapped, c->arena, 1024);
    ly_buf_init_arena(&sealed, c->arena, 4096);

    if (ly_uuid7_new((uint64_t) cli_now() / 1000, &user) != LY_OK
        || seal_owner(k, tenant, &user, tenant_key, ly_str_of(normal, len),
                      &wrapped, &sealed, blind) != 0)
    {
        return cli_fail(c, CLI_FAILED, "the owner cannot be sealed");
    }

    ly_jw_k(w, "owner");
    ly_jw_object(w);
    ly_jw_kcstr(w, "id", keys_uuid(c, &user));
    ly_jw_kcstr(w, "role", "owner");
    ly_jw_kcstr(w, "password_hash", hash);
    ly_jw_k(w, "email_blind");
    ly_jw_hex(w, ly_str_of(blind, sizeof(blind)));
    ly_jw_k(w, "wrapped_key");
    jw_base64(w, c, ly_buf_view(&wrapped));
    ly_jw_k(w, "sealed");
    ly_jw_object(w);
    ly_jw_k(w, "email");
    jw_base64(w, c, ly_buf_view(&sealed));
    ly_jw_object_end(w);
    ly_jw_object_end(w);

    return CLI_OK;
}


static int
seal_owner(keys_t *k, const ly_uuid_t *tenant, const ly_uuid_t *user,
    const ly_key_t *tenant_key, ly_str_t email, ly_buf_t *wrapped,
    ly_buf_t *sealed, unsigned char blind[LY_SHA256_LEN])
{
    ly_err_t          err;
    ly_key_t          key;
    ly_tenant_macs_t  macs;

    if (ly_key_make(&key) != LY_OK) {
        return -1;
    }

    err = ly_tenant_macs_create(k->crypto, tenant_key, tenant, &macs);

    if (err == LY_OK) {
        err = ly_blind_index(&macs, ly_str("email"), email, blind);
        ly_tenant_macs_destroy(&macs);
    }

    if (err == LY_OK) {
        err = ly_data_key_wrap(k->crypto, tenant_key, tenant, user, &key,
                               wrapped);
    }

    if (err == LY_OK) {
        err = ly_field_seal(k->crypto, &key, tenant, user, ly_str("email"),
                            email, sealed);
    }

    ly_key_wipe(&key);

    return (err == LY_OK) ? 0 : -1;
}


static int
hash_password(cli_t *c, ly_str_t password, char *out)
{
    unsigned char  salt[ARGON_SALT];

    if (password.len < 8) {
        return cli_fail(c, CLI_USAGE, "a password has 8 characters or more");
    }

    if (ly_random(salt, sizeof(salt)) != LY_OK
        || argon2id_hash_encoded(ARGON_PASSES, ARGON_KIB, ARGON_LANES,
                                 password.data, password.len, salt,
                                 sizeof(salt), ARGON_HASH, out, ARGON_TEXT)
        != ARGON2_OK)
    {
        return cli_fail(c, CLI_FAILED, "the password cannot be hashed");
    }

    return CLI_OK;
}


/*
 * What has to follow where the tool cannot know it: a development house makes
 * its certificate anew there.
 */

static int
hook(cli_t *c, const char *slug)
{
    int          status;
    char        *argv[3];
    pid_t        pid;
    const char  *program;

    program = cli_setting(c, NULL, "LOYALTY_TENANT_HOOK", NULL);
    if (program == NULL) {
        return CLI_OK;
    }

    argv[0] = cli_text(c, ly_str_c(program));
    argv[1] = cli_text(c, ly_str_c(slug));
    argv[2] = NULL;

    if (argv[0] == NULL || argv[1] == NULL) {
        return cli_nomem(c);
    }

    if (posix_spawn(&pid, program, NULL, NULL, argv, environ) != 0
        || waitpid(pid, &status, 0) != pid
        || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    {
        return cli_fail(c, CLI_FAILED, "the tenant stands, but %s failed",
                        program);
    }

    return CLI_OK;
}


int
key_create_cmd(cli_t *c)
{
    int                    code;
    keys_t                 k;
    ly_apikey_t            kind;
    const char            *slug, *word;
    const ly_json_node_t  *tenant;

    slug = cli_opt(c, "tenant");
    word = cli_setting(c, "kind", NULL, "secret");

    if (slug == NULL) {
        return cli_fail(c, CLI_USAGE, "--tenant is missing");
    }

    kind.secret = strcmp(word, "secret") == 0;

    if (!kind.secret && strcmp(word, "publishable") != 0) {
        return cli_fail(c, CLI_USAGE, "--kind is secret or publishable");
    }

    code = keys_open(c, &k);

    if (code == CLI_OK) {
        code = keys_tenant(&k, slug, &tenant);
    }

    if (code == CLI_OK) {
        word = keys_string(c, tenant, "mode");
        kind.live = word != NULL && strcmp(word, "live") == 0;
        code = key_make(c, &k, tenant, kind);
    }

    keys_close(&k);

    return code;
}


/* its text leaves by stdout or the file alone; the database gets the digest */

static int
key_make(cli_t *c, keys_t *k, const ly_json_node_t *tenant, ly_apikey_t kind)
{
    int                    code;
    ly_jw_t                w;
    ly_buf_t               b;
    ly_uuid_t              id;
    const char            *params[2];
    unsigned char          digest[LY_SHA256_LEN];
    unsigned char          text[LY_APIKEY_TEXT];
    const ly_json_node_t  *answer;

    if (ly_apikey_make(kind, text) != LY_OK
        || ly_apikey_digest(k->crypto, ly_str_of(text, sizeof(text)), digest)
        != LY_OK
        || ly_uuid7_new((uint64_t) cli_now() / 1000, &id) != LY_OK)
    {
        return cli_fail(c, CLI_FAILED, "the key cannot be made");
    }

    ly_buf_init_arena(&b, c->arena, 65536);
    ly_jw_init(&w, &b);
    ly_jw_object(&w);
    ly_jw_kcstr(&w, "id", keys_uuid(c, &id));
    ly_jw_k(&w, "digest");
    ly_jw_hex(&w, ly_str_of(digest, sizeof(digest)));
    ly_jw_kstr(&w, "prefix", ly_str_of(text, LY_APIKEY_SHOWN));
    ly_jw_kstr(&w, "last4", ly_str_of(text + sizeof(text) - LY_APIKEY_LAST,
                                      LY_APIKEY_LAST));
    ly_jw_kcstr(&w, "name", cli_setting(c, "name", NULL, ""));
    ly_jw_kcstr(&w, "kind", kind.secret ? "secret" : "publishable");
    ly_jw_kcstr(&w, "mode", kind.live ? "live" : "test");
    ly_jw_k(&w, "scopes");
    code = scopes(c, &w);
    ly_jw_object_end(&w);

    params[0] = keys_string(c, tenant, "id");
    params[1] = (ly_jw_done(&w) == LY_OK) ? cli_text(c, ly_buf_view(&b))
                                          : NULL;

    if (code == CLI_OK && (params[0] == NULL || params[1] == NULL)) {
        code = cli_nomem(c);
    }

    if (code == CLI_OK) {
        code = keys_call(k, "select ops.key_create($1::uuid, $2::jsonb)", 2,
                         params, &answer);
    }

    if (code == CLI_OK) {
        code = key_out(c, answer, cli_text(c, ly_str_of(text, sizeof(text))));
    }

    ly_secret_wipe(text, sizeof(text));

    return code;
}


/* a publishable key may do little, whatever is asked for (decision 32) */

static int
scopes(cli_t *c, ly_jw_t *w)
{
    size_t       i, n;
    const char  *list, *kind;

    kind = cli_setting(c, "kind", NULL, "secret");
    list = cli_setting(c, "scopes", NULL,
                       strcmp(kind, "secret") == 0 ? "all" : "programs:read");

    ly_jw_array(w);

    if (strcmp(list, "all") == 0) {
        for (i = 0; i < ly_countof(all_scopes); i++) {
            ly_jw_cstr(w, all_scopes[i]);
        }

        list = "";
    }

    for ( ; *list != '\0'; list += n + (list[n] == ',')) {
        n = strcspn(list, ",");

        if (n == 0 || memchr(list, ':', n) == NULL) {
            ly_jw_array_end(w);
            return cli_fail(c, CLI_USAGE, "--scopes are words like "
                            "members:read, parted by commas");
        }

        ly_jw_str(w, ly_str_of(list, n));
    }

    ly_jw_array_end(w);

    return CLI_OK;
}


static int
key_out(cli_t *c, const ly_json_node_t *key, const char *text)
{
    int          code;
    ly_jw_t      w;
    ly_buf_t     b;
    const char  *file, *id;

    id = keys_string(c, key, "key");

    if (text == NULL || id == NULL) {
        return cli_fail(c, CLI_FAILED, "the database gave no key");
    }

    ly_buf_init_arena(&b, c->arena, 4096);
    file = cli_opt(c, "key-file");

    if (file != NULL) {
        ly_buf_cstr(&b, text);
        ly_buf_byte(&b, '\n');
        code = cli_replace_file(c, file, 0600, ly_buf_view(&b));

        if (code != CLI_OK) {
            cli_hint(c, "nobody has the key that was made: loyalty key revoke"
                     " --tenant %s %s", cli_opt(c, "tenant"), id);
            return code;
        }

        ly_buf_reset(&b);
    }

    if (c->json) {
        ly_jw_init(&w, &b);
        ly_jw_object(&w);
        ly_jw_kcstr(&w, "id", id);

        if (file == NULL) {
            ly_jw_kcstr(&w, "key", text);
        }

        ly_jw_object_end(&w);

        if (ly_jw_done(&w) != LY_OK) {
            return cli_nomem(c);
        }

    } else {
        ly_buf_cstr(&b, id);

        if (file == NULL) {
            ly_buf_byte(&b, ' ');
            ly_buf_cstr(&b, text);
        }
    }

    ly_buf_byte(&b, '\n');

    return cli_write_buf(c, &b);
}


int
key_revoke_cmd(cli_t *c)
{
    int                    code;
    bool                   done;
    keys_t                 k;
    ly_uuid_t              id;
    const char            *slug, *params[2];
    const ly_json_node_t  *tenant, *answer;

    slug = cli_opt(c, "tenant");

    if (slug == NULL) {
        return cli_fail(c, CLI_USAGE, "--tenant is missing");
    }

    if (ly_id_parse(ly_str_c(c->argv[0]), ly_str("key"), &id) != LY_OK) {
        return cli_fail(c, CLI_USAGE, "%s is no id of a key (key_...)",
                        c->argv[0]);
    }

    code = keys_open_plain(c, &k);

    if (code == CLI_OK) {
        code = keys_tenant(&k, slug, &tenant);
    }

    if (code == CLI_OK) {
        params[0] = keys_string(c, tenant, "id");
        params[1] = keys_uuid(c, &id);
        code = keys_call(&k, "select to_jsonb(ops.key_revoke($1::uuid,"
                         " $2::uuid))", 2, params, &answer);
    }

    if (code == CLI_OK && (ly_json_bool(answer, &done) != LY_OK || !done)) {
        code = cli_fail(c, CLI_NOTFOUND, "%s has no such key that is not "
                        "revoked already", slug);
    }

    keys_close(&k);

    return code;
}


static void
jw_base64(ly_jw_t *w, cli_t *c, ly_str_t bytes)
{
    ly_buf_t  b;

    ly_buf_init_arena(&b, c->arena, ly_base64_len(bytes.len) + 16);
    ly_base64_put(&b, bytes);
    ly_jw_str(w, ly_buf_view(&b));
}
