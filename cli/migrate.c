/*
 * The database's state and functions, brought to what the files say.
 * Migrations run in order, each in a transaction of its own, and never again;
 * functions, policies and grants are applied anew when a file's checksum
 * changed, all in one transaction, so that a deployment is seen whole or not
 * at all.  One runner at a time: the others wait.
 */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "db.h"
#include "ly_crypto.h"
#include "ly_hex.h"
#include "ly_jw.h"
#include "ly_banned.h"


#define FILES_MAX     2000
#define FILE_MAX      (4 * 1024 * 1024)
#define DIGEST_TEXT   (2 * LY_SHA256_LEN)

/* of the advisory lock: "loyalty" in ASCII */
#define LOCK_KEY      "30520370339573881"

/* a migration that meets a long transaction gives way and comes again */
#define LOCK_TRIES    10

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

typedef struct {
    char      *path;            /* below the folder */
    ly_str_t   text;            /* NUL behind */
    char       digest[DIGEST_TEXT + 1];
    int64_t    number;          /* of a migration */
    char      *name;
    char      *down;            /* path of its way back */
    bool       applied;
    bool       changed;
} file_t;

typedef struct {
    file_t    *item;
    unsigned   n;
} files_t;

typedef struct {
    cli_t        *c;
    db_t         *db;
    ly_crypto_t  *crypto;
    const char   *root;
    bool          super;
    file_t        roles;
    files_t       migrations;
    files_t       functions;
    files_t       rights;       /* policies, then grants */
    unsigned      drift;        /* applied migrations whose file changed */
    unsigned      unknown;      /* applied ones that have no file */
    unsigned      pending;
    unsigned      stale;        /* functions and rights to apply */
} migrate_t;


static int migrate_open(migrate_t *m, cli_t *c, bool change);
static void migrate_close(migrate_t *m);
static const char *folder(cli_t *c);
static int collect(migrate_t *m, files_t *f, const char *dir,
    const char *suffix, bool deep);
static int collect_file(migrate_t *m, files_t *f, const char *path);
static int load(migrate_t *m, file_t *f);
static int compare_files(const void *a, const void *b);
static int number(migrate_t *m);
static int lock(migrate_t *m);
static int bootstrap(migrate_t *m);
static int compare(migrate_t *m);
static int compare_files_table(migrate_t *m);
static int has_meta(migrate_t *m, bool *has);
static int refuse_drift(migrate_t *m);
static int apply(migrate_t *m, file_t *f);
static int apply_once(migrate_t *m, file_t *f);
static int apply_files(migrate_t *m);
static int apply_set(migrate_t *m, files_t *f, bool all);
static int record_file(migrate_t *m, file_t *f);
static int forget_gone(migrate_t *m);
static int revert(migrate_t *m, file_t *f);
static int in_transaction(migrate_t *m, const char *path, const char *sql);
static int say(migrate_t *m, const char *path);
static char *join(cli_t *c, const char *a, const char *b, const char *end);
static char *int_text(cli_t *c, int64_t v);


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
            code = apply(&m, &m.migrations.item[i]);
        }
    }

    if (code == CLI_OK && (m.stale > 0 || m.pending > 0)) {
        code = apply_files(&m);
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
            code = revert(&m, &m.migrations.item[i - 1]);
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
    file_t       *f;
    migrate_t     m;
    cli_table_t  *t;
    const char   *what;

    static const char *const  heads[] = { "number", "name", "state" };

    code = migrate_open(&m, c, false);

    if (code != CLI_OK) {
        migrate_close(&m);
        return code;
    }

    ly_buf_init_arena(&b, c->arena, FILE_MAX);
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
    m->root = folder(c);
    m->crypto = ly_crypto_create();

    if (m->root == NULL || m->crypto == NULL) {
        return cli_nomem(c);
    }

    code = collect(m, &m->migrations, "migrations", ".up.sql", false);

    if (code == CLI_OK) {
        code = number(m);
    }

    if (code == CLI_OK) {
        code = collect(m, &m->functions, "functions", ".sql", true);
    }

    if (code == CLI_OK) {
        code = collect(m, &m->rights, "policies", ".sql", false);
    }

    if (code == CLI_OK) {
        code = collect(m, &m->rights, "grants", ".sql", false);
    }

    if (code == CLI_OK) {
        m->roles.path = join(c, "roles.sql", "", "");
        code = load(m, &m->roles);
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
        return say(m, NULL);
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


/* beside the program in a checkout, else where a package puts it */

static const char *
folder(cli_t *c)
{
    char         exe[PATH_MAX], *slash;
    ssize_t      n;
    const char  *given, *path;
    struct stat  st;

    given = cli_setting(c, "sql", "LOYALTY_SQL", NULL);
    if (given != NULL) {
        return given;
    }

    n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    if (n > 0) {
        exe[n] = '\0';
        slash = strrchr(exe, '/');

        if (slash != NULL) {
            *slash = '\0';
            path = join(c, exe, "/../", "sql");

            if (path != NULL && stat(path, &st) == 0) {
                return path;
            }
        }
    }

    return "/usr/share/loyalty/sql";
}


/* the files of a folder, or of its folders, in lexical order */

static int
collect(migrate_t *m, files_t *f, const char *dir, const char *suffix,
    bool deep)
{
    int             code;
    DIR            *d;
    char           *path, *full;
    size_t          len, tail;
    unsigned        first;
    struct stat     st;
    struct dirent  *e;

    if (f->item == NULL) {
        f->item = ly_arena_array(m->c->arena, FILES_MAX, sizeof(file_t));
        if (f->item == NULL) {
            return cli_nomem(m->c);
        }
    }

    full = join(m->c, m->root, "/", dir);
    d = (full != NULL) ? opendir(full) : NULL;

    if (d == NULL) {
        return cli_fail(m->c, CLI_USAGE, "%s/%s: %s", m->root, dir,
                        strerror(errno));
    }

    first = f->n;
    code = CLI_OK;
    tail = strlen(suffix);

    while (code == CLI_OK && (e = readdir(d)) != NULL) {

        if (e->d_name[0] == '.') {
            continue;
        }

        path = join(m->c, dir, "/", e->d_name);
        full = (path != NULL) ? join(m->c, m->root, "/", path) : NULL;

        if (full == NULL) {
            code = cli_nomem(m->c);
            break;
        }

        if (deep && stat(full, &st) == 0 && S_ISDIR(st.st_mode)) {
            code = collect(m, f, path, suffix, false);
            continue;
        }

        len = strlen(path);

        if (len > tail && strcmp(path + len - tail, suffix) == 0) {
            code = collect_file(m, f, path);
        }
    }

    (void) closedir(d);

    if (code == CLI_OK && f->n > first) {
        qsort(&f->item[first], f->n - first, sizeof(file_t), compare_files);
    }

    return code;
}


static int
collect_file(migrate_t *m, files_t *f, const char *path)
{
    if (f->n == FILES_MAX) {
        return cli_fail(m->c, CLI_FAILED, "more than %d files in %s",
                        FILES_MAX, m->root);
    }

    f->item[f->n].path = cli_text(m->c, ly_str_c(path));

    return load(m, &f->item[f->n++]);
}


static int
load(migrate_t *m, file_t *f)
{
    int             code;
    char           *full;
    size_t          n;
    ly_str_t        text;
    unsigned char   digest[LY_SHA256_LEN];

    full = (f->path != NULL) ? join(m->c, m->root, "/", f->path) : NULL;
    if (full == NULL) {
        return cli_nomem(m->c);
    }

    code = cli_read_file(m->c, full, FILE_MAX, &text);
    if (code != CLI_OK) {
        return code;
    }

    if (ly_arena_str(m->c->arena, text, &f->text) != LY_OK
        || ly_sha256(m->crypto, text, digest) != LY_OK)
    {
        return cli_nomem(m->c);
    }

    n = ly_hex_encode(ly_str_of(digest, sizeof(digest)),
                      (unsigned char *) f->digest);
    f->digest[n] = '\0';

    return CLI_OK;
}


static int
compare_files(const void *a, const void *b)
{
    const file_t  *x = a, *y = b;

    return strcmp(x->path, y->path);
}


/* "migrations/0001_name.up.sql" to number, name, way back */

static int
number(migrate_t *m)
{
    char      *base;
    file_t    *f;
    size_t     len, digits;
    unsigned   i;

    for (i = 0; i < m->migrations.n; i++) {
        f = &m->migrations.item[i];
        base = strrchr(f->path, '/') + 1;
        len = strlen(base) - strlen(".up.sql");
        digits = strspn(base, "0123456789");

        while (base[0] == '0' && digits > 1) {
            base++;
            digits--;
            len--;
        }

        if (digits == 0 || base[digits] != '_'
            || ly_int64_parse(ly_str_of(base, digits), &f->number) != LY_OK
            || f->number != (int64_t) i + 1)
        {
            return cli_fail(m->c, CLI_USAGE, "%s: migration %u was expected "
                            "here", f->path, i + 1);
        }

        f->name = cli_text(m->c, ly_str_of(base + digits + 1,
                                           len - digits - 1));
        f->down = cli_text(m->c, ly_str_of(f->path, strlen(f->path)
                                           - strlen(".up.sql")));
        f->down = (f->down != NULL) ? join(m->c, f->down, ".down.sql", "")
                                    : NULL;

        if (f->name == NULL || f->down == NULL) {
            return cli_nomem(m->c);
        }
    }

    return CLI_OK;
}


static int
lock(migrate_t *m)
{
    bool       got;
    db_res_t  *r;

    r = db_query(m->db, "select pg_try_advisory_lock(" LOCK_KEY ")", 0, NULL);
    if (r == NULL) {
        return say(m, NULL);
    }

    got = db_get(r, 0, 0)[0] == 't';
    db_free(r);

    if (!got) {
        cli_note(m->c, "waiting for another migration of this database");

        if (db_run(m->db, "set lock_timeout = 0; set statement_timeout = 0;"
                   "select pg_advisory_lock(" LOCK_KEY ")") != 0)
        {
            return say(m, NULL);
        }
    }

    if (db_run(m->db, "set lock_timeout = '5s';"
               "set statement_timeout = '30min';"
               "set client_min_messages = warning") != 0)
    {
        return say(m, NULL);
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
            return say(m, NULL);
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
        code = in_transaction(m, m->roles.path, (char *) m->roles.text.data);

        if (code == CLI_OK && db_run(m->db, meta_sql) != 0) {
            code = say(m, "loyalty_meta");
        }

        return (code == CLI_OK) ? record_file(m, &m->roles) : code;
    }

    if (has) {
        cli_note(m->c, "roles.sql changed: a superuser has to apply it");
        return CLI_OK;
    }

    /* the roles may stand already, made by hand */
    if (db_run(m->db, meta_sql) != 0) {
        code = say(m, "loyalty_meta");
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
        return say(m, NULL);
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
    file_t    *f;
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
        return say(m, NULL);
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
    file_t    *f;
    unsigned   i, k, set;
    db_res_t  *r;
    files_t   *sets[2];

    r = db_query(m->db, "select path, checksum from loyalty_meta.file", 0,
                 NULL);
    if (r == NULL) {
        return say(m, NULL);
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


static int
apply(migrate_t *m, file_t *f)
{
    int              code;
    unsigned         try;
    struct timespec  second = { 1, 0 };

    cli_note(m->c, "%s", f->path);

    for (try = 1; ; try++) {
        code = apply_once(m, f);

        /* lock_not_available: something long holds a table */
        if (code == CLI_OK || strcmp(db_state(m->db), "55P03") != 0
            || try == LOCK_TRIES)
        {
            return (code == CLI_OK) ? CLI_OK : say(m, f->path);
        }

        cli_note(m->c, "waiting for a lock");
        (void) nanosleep(&second, NULL);
    }
}


static int
apply_once(migrate_t *m, file_t *f)
{
    int64_t      start;
    db_res_t    *r;
    const char  *params[4];

    start = cli_clock();

    if (db_run(m->db, "begin") != 0) {
        return CLI_FAILED;
    }

    if (db_run(m->db, (char *) f->text.data) == 0
        && db_run(m->db, "set local role loyalty_owner") == 0)
    {
        params[0] = int_text(m->c, f->number);
        params[1] = f->name;
        params[2] = f->digest;
        params[3] = int_text(m->c, (cli_clock() - start) / 1000);

        r = db_query(m->db, "insert into loyalty_meta.migration"
                     " (number, name, checksum, ms)"
                     " values ($1::int, $2, $3, $4::bigint)", 4, params);

        if (r != NULL && db_run(m->db, "commit") == 0) {
            db_free(r);
            return CLI_OK;
        }
    }

    /* a rollback that succeeds keeps what is known of the failure */
    return db_run(m->db, "rollback") == 0 ? CLI_FAILED : CLI_AWAY;
}


static int
apply_files(migrate_t *m)
{
    int  code;

    cli_note(m->c, "functions, policies, grants: %u changed", m->stale);

    if (db_run(m->db, "begin") != 0) {
        return say(m, NULL);
    }

    code = forget_gone(m);

    if (code == CLI_OK) {
        code = apply_set(m, &m->functions, false);
    }

    /* all of them, for they cover what was just made */
    if (code == CLI_OK) {
        code = apply_set(m, &m->rights, true);
    }

    if (code == CLI_OK && db_run(m->db, "commit") != 0) {
        code = say(m, NULL);
    }

    return code;
}


static int
apply_set(migrate_t *m, files_t *f, bool all)
{
    int       code;
    unsigned  i;

    for (i = 0; i < f->n; i++) {

        if (!all && !f->item[i].changed) {
            continue;
        }

        /* a file's own "set local role" ends with the file */
        if (db_run(m->db, (char *) f->item[i].text.data) != 0
            || db_run(m->db, "reset role") != 0)
        {
            return say(m, f->item[i].path);
        }

        code = record_file(m, &f->item[i]);
        if (code != CLI_OK) {
            return code;
        }
    }

    return CLI_OK;
}


static int
record_file(migrate_t *m, file_t *f)
{
    db_res_t    *r;
    const char  *params[2];

    params[0] = f->path;
    params[1] = f->digest;

    r = db_query(m->db, "insert into loyalty_meta.file (path, checksum)"
                 " values ($1, $2) on conflict (path) do update"
                 " set checksum = excluded.checksum,"
                 " applied_at = clock_timestamp()", 2, params);
    if (r == NULL) {
        return say(m, f->path);
    }

    db_free(r);

    return CLI_OK;
}


/* a file that is gone leaves its functions to a migration, which drops them */

static int
forget_gone(migrate_t *m)
{
    bool         found;
    unsigned     i, k;
    db_res_t    *r, *gone;
    const char  *path;

    r = db_query(m->db, "select path from loyalty_meta.file"
                 " where path <> 'roles.sql'", 0, NULL);
    if (r == NULL) {
        return say(m, NULL);
    }

    for (i = 0; i < db_rows(r); i++) {
        path = db_get(r, i, 0);
        found = false;

        for (k = 0; k < m->functions.n; k++) {
            found = found || strcmp(path, m->functions.item[k].path) == 0;
        }

        for (k = 0; k < m->rights.n; k++) {
            found = found || strcmp(path, m->rights.item[k].path) == 0;
        }

        if (found) {
            continue;
        }

        cli_note(m->c, "%s is gone; what it made stays until a migration "
                 "drops it", path);

        gone = db_query(m->db, "delete from loyalty_meta.file"
                        " where path = $1", 1, &path);
        if (gone == NULL) {
            db_free(r);
            return say(m, path);
        }

        db_free(gone);
    }

    db_free(r);

    return CLI_OK;
}


/* afterwards every function counts as not applied: a drop may take them too */

static int
revert(migrate_t *m, file_t *f)
{
    int          code;
    file_t       down;
    db_res_t    *r;
    const char  *param;

    memset(&down, 0, sizeof(down));
    down.path = f->down;

    code = load(m, &down);
    if (code != CLI_OK) {
        return code;
    }

    cli_note(m->c, "%s", down.path);

    if (db_run(m->db, "begin") != 0
        || db_run(m->db, (char *) down.text.data) != 0
        || db_run(m->db, "set local role loyalty_owner") != 0)
    {
        return say(m, down.path);
    }

    param = int_text(m->c, f->number);
    r = db_query(m->db, "with gone as (delete from loyalty_meta.file"
                 " where path <> 'roles.sql')"
                 " delete from loyalty_meta.migration where number = $1::int",
                 1, &param);

    if (r == NULL || db_run(m->db, "commit") != 0) {
        return say(m, down.path);
    }

    db_free(r);

    return CLI_OK;
}


static int
in_transaction(migrate_t *m, const char *path, const char *sql)
{
    if (db_run(m->db, "begin") != 0 || db_run(m->db, sql) != 0
        || db_run(m->db, "commit") != 0)
    {
        return say(m, path);
    }

    return CLI_OK;
}


static int
say(migrate_t *m, const char *path)
{
    return db_say(m->db, path == NULL ? "database" : path);
}


static char *
join(cli_t *c, const char *a, const char *b, const char *end)
{
    ly_buf_t  buf;

    ly_buf_init_arena(&buf, c->arena, 4 * PATH_MAX);
    ly_buf_cstr(&buf, a);
    ly_buf_cstr(&buf, b);
    ly_buf_cstr(&buf, end);
    ly_buf_byte(&buf, '\0');

    return ly_buf_err(&buf) == LY_OK ? (char *) buf.data : NULL;
}


static char *
int_text(cli_t *c, int64_t v)
{
    unsigned char  text[LY_INT64_TEXT];

    return cli_text(c, ly_str_of(text, ly_int64_print(v, text)));
}
