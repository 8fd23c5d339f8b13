/*
 * The database's state and functions, brought to what the files say.
 * Migrations run in order, each in a transaction of its own, and never again;
 * functions, policies and grants are applied anew when a file's checksum
 * changed, all in one transaction, so that a deployment is seen whole or not
 * at all.  One runner at a time: the others wait.
 */

#include <limits.h>
#include <string.h>

#include "commands.h"
#include "migrate.h"
#include "ly_jw.h"
#include "ly_banned.h"


/* of the advisory lock: "loyalty" in ASCII */
#define LOCK_KEY    "30520370339573881"

#define STATUS_MAX  (4 * 1024 * 1024)   /* bytes of JSON */


static const char  meta_sql[] =
    "set role loyalty_owner;"
    "create schema if not exists loyalty_meta;"
    "create table if not exists loyalty_meta.migration ("
    "    number int not null constraint migration_pk primary key,"
    "    name text not null, checksum text not null,"
    "    applied_at timestamptz not null default clock_timestamp(),"
    "    ms bigint not null);"
    "create table if not exists loyalty_meta.file ("
    "    path text not null constraint file_pk primary key,"
    "    checksum text not null,"
    "    applied_at timestamptz not null default clock_timestamp());"
    "comment on schema loyalty_meta is 'what the migrations have done';"
    "comment on table loyalty_meta.migration is 'migrations applied';"
    "comment on table loyalty_meta.file is"
    "    'functions, policies and grants as applied last';"
    "grant usage on schema loyalty_meta"
    "    to loyalty_cli, loyalty_reader;"
    "grant select on loyalty_meta.migration, loyalty_meta.file"
    "    to loyalty_cli, loyalty_reader;"
    "reset role";


static int migrate_open(migrate_t *m, cli_t *c, bool change);
static void migrate_close(migrate_t *m);
static int lock(migrate_t *m);
static int bootstrap(migrate_t *m);
static int compare(migrate_t *m);
static int compare_files_table(migrate_t *m);
static int has_meta(migrate_t *m, bool *has);
static int refuse_drift(migrate_t *m);


int
migrate_up_cmd(cli_t *c)
{
    int        code;
    unsigned   i;
    migrate_t  m;

    code = migrate_open(&m, c, true);

    if (code == CLI_OK) {
        code = refuse_drift(&m);
    }

    for (i = 0; code == CLI_OK && i < m.migrations.n; i++) {
        if (!m.migrations.item[i].applied) {
            code = migrate_apply(&m, &m.migrations.item[i]);
        }
    }

    if (code == CLI_OK && (m.stale > 0 || m.pending > 0)) {
        code = migrate_apply_files(&m);
    }

    if (code == CLI_OK && m.stale == 0 && m.pending == 0) {
        cli_note(c, "nothing to do");
    }

    migrate_close(&m);

    return code;
}


int
migrate_down_cmd(cli_t *c)
{
    int        code;
    int64_t    to, last;
    unsigned   i;
    migrate_t  m;

    code = migrate_open(&m, c, true);
    last = 0;

    for (i = 0; code == CLI_OK && i < m.migrations.n; i++) {
        if (m.migrations.item[i].applied) {
            last = m.migrations.item[i].number;
        }
    }

    to = last - 1;

    if (code == CLI_OK) {
        code = cli_opt_int(c, "to", 0, INT_MAX, &to);
    }

    if (code == CLI_OK && m.unknown > 0) {
        code = cli_fail(c, CLI_CHECK, "%u applied migrations have no file "
                        "here", m.unknown);
    }

    if (code == CLI_OK && last > to && last > 0 && cli_opt(c, "yes") == NULL) {
        code = cli_fail(c, CLI_CANCELLED, "this drops what migrations %lld "
                        "to %lld made", (long long) to + 1, (long long) last);
        cli_hint(c, "say --yes");
    }

    for (i = m.migrations.n; code == CLI_OK && i > 0; i--) {
        if (m.migrations.item[i - 1].applied
            && m.migrations.item[i - 1].number > to)
        {
            code = migrate_revert(&m, &m.migrations.item[i - 1]);
        }
    }

    migrate_close(&m);

    return code;
}


int
migrate_status_cmd(cli_t *c)
{
    int           code;
    unsigned      i;
    ly_jw_t       w;
    ly_buf_t      b;
    migrate_file_t       *f;
    migrate_t     m;
    cli_table_t  *t;
    const char   *what;

    static const char *const  heads[] = { "number", "name", "state" };

    code = migrate_open(&m, c, false);

    if (code != CLI_OK) {
        migrate_close(&m);
        return code;
    }

    ly_buf_init_arena(&b, c->arena, STATUS_MAX);
    ly_jw_init(&w, &b);
    ly_jw_object(&w);
    ly_jw_k(&w, "migrations");
    ly_jw_array(&w);
    t = cli_table(c, 3, heads);

    for (i = 0; t != NULL && i < m.migrations.n; i++) {
        f = &m.migrations.item[i];
        what = f->changed ? "changed" : f->applied ? "applied" : "pending";

        cli_cell_int(t, f->number);
        cli_cell_c(t, f->name);
        cli_cell_c(t, what);

        ly_jw_object(&w);
        ly_jw_kint(&w, "number", f->number);
        ly_jw_kcstr(&w, "name", f->name);
        ly_jw_kcstr(&w, "state", what);
        ly_jw_object_end(&w);
    }

    ly_jw_array_end(&w);
    ly_jw_kint(&w, "pending", m.pending);
    ly_jw_kint(&w, "changed", m.drift);
    ly_jw_kint(&w, "unknown", m.unknown);
    ly_jw_kint(&w, "files_to_apply", m.stale);
    ly_jw_object_end(&w);
    ly_buf_byte(&b, '\n');

    if (t == NULL || ly_jw_done(&w) != LY_OK) {
        code = cli_nomem(c);

    } else if (c->json) {
        code = cli_write_buf(c, &b);

    } else {
        code = cli_table_print(t);
        cli_note(c, "%u functions, policies and grants to apply", m.stale);
    }

    if (code == CLI_OK && m.drift + m.unknown > 0) {
        code = refuse_drift(&m);
    }

    migrate_close(&m);

    return code;
}


static int
migrate_open(migrate_t *m, cli_t *c, bool change)
{
    int        code;
    db_res_t  *r;

    memset(m, 0, sizeof(*m));

    m->c = c;
    m->root = migrate_folder(c);
    m->crypto = ly_crypto_create();

    if (m->root == NULL || m->crypto == NULL) {
        return cli_nomem(c);
    }

    code = migrate_collect(m, &m->migrations, "migrations", ".up.sql", false);

    if (code == CLI_OK) {
        code = migrate_number(m);
    }

    if (code == CLI_OK) {
        code = migrate_collect(m, &m->functions, "functions", ".sql", true);
    }

    if (code == CLI_OK) {
        code = migrate_collect(m, &m->rights, "policies", ".sql", false);
    }

    if (code == CLI_OK) {
        code = migrate_collect(m, &m->rights, "grants", ".sql", false);
    }

    if (code == CLI_OK) {
        m->roles.path = cli_text(c, ly_str("roles.sql"));
        code = migrate_load(m, &m->roles);
    }

    if (code != CLI_OK) {
        return code;
    }

    m->db = db_open(c, "loyalty_migrator", &code);
    if (m->db == NULL) {
        return code;
    }

    r = db_query(m->db, "select rolsuper from pg_catalog.pg_roles"
                 " where rolname = current_user", 0, NULL);
    if (r == NULL) {
        return migrate_say(m, NULL);
    }

    m->super = db_rows(r) == 1 && db_get(r, 0, 0)[0] == 't';
    db_free(r);

    if (change) {
        code = lock(m);

        if (code == CLI_OK) {
            code = bootstrap(m);
        }
    }

    return (code == CLI_OK) ? compare(m) : code;
}


static void
migrate_close(migrate_t *m)
{
    db_close(m->db);
    ly_crypto_destroy(m->crypto);
}


static int
lock(migrate_t *m)
{
    bool       got;
    db_res_t  *r;

    r = db_query(m->db, "select pg_try_advisory_lock(" LOCK_KEY ")", 0, NULL);
    if (r == NULL) {
        return migrate_say(m, NULL);
    }

    got = db_get(r, 0, 0)[0] == 't';
    db_free(r);

    if (!got) {
        cli_note(m->c, "waiting for another migration of this database");

        if (db_run(m->db, "set lock_timeout = 0; set statement_timeout = 0;"
                   "select pg_advisory_lock(" LOCK_KEY ")") != 0)
        {
            return migrate_say(m, NULL);
        }
    }

    if (db_run(m->db, "set lock_timeout = '5s';"
               "set statement_timeout = '30min';"
               "set client_min_messages = warning") != 0)
    {
        return migrate_say(m, NULL);
    }

    return CLI_OK;
}


/* roles are the cluster's: only a superuser makes them */

static int
bootstrap(migrate_t *m)
{
    int        code;
    bool       has;
    db_res_t  *r;
    const char *known;

    code = has_meta(m, &has);
    if (code != CLI_OK) {
        return code;
    }

    r = NULL;
    known = NULL;

    if (has) {
        r = db_query(m->db, "select checksum from loyalty_meta.file"
                     " where path = 'roles.sql'", 0, NULL);
        if (r == NULL) {
            return migrate_say(m, NULL);
        }

        known = (db_rows(r) == 1) ? db_get(r, 0, 0) : NULL;
    }

    if (known != NULL && strcmp(known, m->roles.digest) == 0) {
        db_free(r);
        return CLI_OK;
    }

    db_free(r);

    if (m->super) {
        cli_note(m->c, "roles");
        code = migrate_in_transaction(m, m->roles.path,
                                      (char *) m->roles.text.data);

        if (code == CLI_OK && db_run(m->db, meta_sql) != 0) {
            code = migrate_say(m, "loyalty_meta");
        }

        return (code == CLI_OK) ? migrate_record(m, &m->roles) : code;
    }

    if (has) {
        cli_note(m->c, "roles.sql changed: a superuser has to apply it");
        return CLI_OK;
    }

    /* the roles may stand already, made by hand */
    if (db_run(m->db, meta_sql) != 0) {
        code = migrate_say(m, "loyalty_meta");
        cli_hint(m->c, "the first migration of a database needs a superuser,"
                 " or roles.sql applied by one");
    }

    return code;
}


static int
has_meta(migrate_t *m, bool *has)
{
    db_res_t  *r;

    r = db_query(m->db, "select to_regclass('loyalty_meta.migration')"
                 " is not null", 0, NULL);
    if (r == NULL) {
        return migrate_say(m, NULL);
    }

    *has = db_get(r, 0, 0)[0] == 't';
    db_free(r);

    return CLI_OK;
}


/* what the database says was applied against what the files are */

static int
compare(migrate_t *m)
{
    int        code;
    bool       has;
    migrate_file_t    *f;
    int64_t    n;
    unsigned   i;
    db_res_t  *r;

    m->pending = m->migrations.n;
    m->stale = m->functions.n + m->rights.n;

    code = has_meta(m, &has);
    if (code != CLI_OK || !has) {
        return code;
    }

    r = db_query(m->db, "select number, checksum from loyalty_meta.migration"
                 " order by number", 0, NULL);
    if (r == NULL) {
        return migrate_say(m, NULL);
    }

    for (i = 0; i < db_rows(r); i++) {

        if (ly_int64_parse(ly_str_c(db_get(r, i, 0)), &n) != LY_OK
            || n < 1 || n > (int64_t) m->migrations.n)
        {
            m->unknown++;
            continue;
        }

        f = &m->migrations.item[n - 1];
        f->applied = true;
        f->changed = strcmp(db_get(r, i, 1), f->digest) != 0;
        m->drift += f->changed;
        m->pending--;
    }

    db_free(r);

    return compare_files_table(m);
}


static int
compare_files_table(migrate_t *m)
{
    migrate_file_t    *f;
    unsigned   i, k, set;
    db_res_t  *r;
    migrate_files_t   *sets[2];

    r = db_query(m->db, "select path, checksum from loyalty_meta.file", 0,
                 NULL);
    if (r == NULL) {
        return migrate_say(m, NULL);
    }

    sets[0] = &m->functions;
    sets[1] = &m->rights;
    m->stale = 0;

    for (set = 0; set < 2; set++) {
        for (k = 0; k < sets[set]->n; k++) {
            f = &sets[set]->item[k];
            f->changed = true;

            for (i = 0; i < db_rows(r); i++) {
                if (strcmp(db_get(r, i, 0), f->path) == 0) {
                    f->changed = strcmp(db_get(r, i, 1), f->digest) != 0;
                    break;
                }
            }

            m->stale += f->changed;
        }
    }

    db_free(r);

    return CLI_OK;
}


static int
refuse_drift(migrate_t *m)
{
    unsigned  i;

    for (i = 0; i < m->migrations.n; i++) {
        if (m->migrations.item[i].changed) {
            (void) cli_fail(m->c, CLI_CHECK, "%s was changed after it was "
                            "applied", m->migrations.item[i].path);
        }
    }

    if (m->unknown > 0) {
        (void) cli_fail(m->c, CLI_CHECK, "the database is %u migrations "
                        "ahead of these files", m->unknown);
    }

    if (m->drift > 0) {
        cli_hint(m->c, "a change of state is a new migration");
    }

    return (m->drift + m->unknown > 0) ? CLI_CHECK : CLI_OK;
}
