/* The keyring and the directory of tenants, as several commands need them. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "keys.h"
#include "ly_banned.h"


int
keys_ring(cli_t *c, keys_t *k)
{
    int           code;
    ly_err_t      err;
    ly_str_t      text;
    unsigned      line;
    const char   *path;
    struct stat   st;

    path = cli_setting(c, NULL, "LOYALTY_KEYRING", NULL);

    if (path == NULL) {
        return cli_fail(c, CLI_USAGE, "LOYALTY_KEYRING is not set");
    }

    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0) {
        return cli_fail(c, CLI_USAGE, "%s can be read by others: chmod 400",
                        path);
    }

    code = cli_read_file(c, path, LY_KEYRING_MAX, &text);
    if (code != CLI_OK) {
        return code;
    }

    err = ly_keyring_parse(text, &k->ring, &line);
    ly_secret_wipe((void *) (uintptr_t) text.data, text.len);

    if (err != LY_OK) {
        return cli_fail(c, CLI_USAGE, "%s: line %u is no line of a keyring",
                        path, line);
    }

    return CLI_OK;
}


int
keys_open(cli_t *c, keys_t *k)
{
    int  code;

    code = keys_open_plain(c, k);

    return (code == CLI_OK) ? keys_ring(c, k) : code;
}


int
keys_open_plain(cli_t *c, keys_t *k)
{
    int  code;

    memset(k, 0, sizeof(*k));
    k->c = c;

    k->crypto = ly_crypto_create();
    if (k->crypto == NULL) {
        return cli_fail(c, CLI_FAILED, "OpenSSL lacks what is needed");
    }

    k->db = db_open(c, "loyalty_cli", &code);

    return (k->db == NULL) ? code : CLI_OK;
}


void
keys_close(keys_t *k)
{
    db_close(k->db);
    ly_keyring_destroy(k->ring);
    ly_crypto_destroy(k->crypto);
}


int
keys_call(keys_t *k, const char *sql, unsigned n, const char *const *params,
    const ly_json_node_t **answer)
{
    ly_err_t         err;
    ly_str_t         text;
    db_res_t        *r;
    ly_json_node_t  *root;

    *answer = NULL;

    r = db_query(k->db, sql, n, params);
    if (r == NULL) {
        return db_say(k->db, "database");
    }

    if (db_rows(r) != 1 || db_get(r, 0, 0) == NULL) {
        db_free(r);
        return CLI_OK;
    }

    err = ly_arena_str(k->c->arena, ly_str_c(db_get(r, 0, 0)), &text);
    db_free(r);

    if (err == LY_OK) {
        err = ly_json_parse(k->c->arena, text, NULL, &root, NULL);
    }

    if (err != LY_OK) {
        return cli_fail(k->c, CLI_FAILED, "the database's answer cannot be "
                        "read: %s", ly_err_name(err));
    }

    *answer = root;

    return CLI_OK;
}


int
keys_tenant(keys_t *k, const char *slug, const ly_json_node_t **tenant)
{
    int  code;

    code = keys_call(k, "select ops.tenant_find($1)", 1, &slug, tenant);

    if (code == CLI_OK && *tenant == NULL) {
        return cli_fail(k->c, CLI_NOTFOUND, "no tenant %s", slug);
    }

    return code;
}


const char *
keys_string(cli_t *c, const ly_json_node_t *node, const char *name)
{
    ly_str_t  s;

    if (ly_json_string(ly_json_member(node, ly_str_c(name)), &s) != LY_OK) {
        return NULL;
    }

    return cli_text(c, s);
}


const char *
keys_uuid(cli_t *c, const ly_uuid_t *id)
{
    unsigned char  text[LY_UUID_TEXT];

    ly_uuid_print(id, text);

    return cli_text(c, ly_str_of(text, sizeof(text)));
}
