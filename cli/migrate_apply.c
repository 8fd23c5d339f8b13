/* SQL of a run: what it does to the database, each in its transaction. */

#include <string.h>
#include <time.h>

#include "migrate.h"
#include "ly_banned.h"


/* a migration that meets a long transaction gives way and comes again */
#define LOCK_TRIES  10


static int apply_once(migrate_t *m, migrate_file_t *f);
static int apply_set(migrate_t *m, migrate_files_t *f, bool all);
static int forget_gone(migrate_t *m);
static char *int_text(cli_t *c, int64_t v);


int
migrate_apply(migrate_t *m, migrate_file_t *f)
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
            return (code == CLI_OK) ? CLI_OK : migrate_say(m, f->path);
        }

        cli_note(m->c, "waiting for a lock");
        (void) nanosleep(&second, NULL);
    }
}


static int
apply_once(migrate_t *m, migrate_file_t *f)
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


int
migrate_apply_files(migrate_t *m)
{
    int  code;

    cli_note(m->c, "functions, policies, grants: %u changed", m->stale);

    if (db_run(m->db, "begin") != 0) {
        return migrate_say(m, NULL);
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
        code = migrate_say(m, NULL);
    }

    return code;
}


static int
apply_set(migrate_t *m, migrate_files_t *f, bool all)
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
            return migrate_say(m, f->item[i].path);
        }

        code = migrate_record(m, &f->item[i]);
        if (code != CLI_OK) {
            return code;
        }
    }

    return CLI_OK;
}


int
migrate_record(migrate_t *m, migrate_file_t *f)
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
        return migrate_say(m, f->path);
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
        return migrate_say(m, NULL);
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
            return migrate_say(m, path);
        }

        db_free(gone);
    }

    db_free(r);

    return CLI_OK;
}


int
migrate_revert(migrate_t *m, migrate_file_t *f)
{
    int          code;
    migrate_file_t       down;
    db_res_t    *r;
    const char  *param;

    memset(&down, 0, sizeof(down));
    down.path = f->down;

    code = migrate_load(m, &down);
    if (code != CLI_OK) {
        return code;
    }

    cli_note(m->c, "%s", down.path);

    if (db_run(m->db, "begin") != 0
        || db_run(m->db, (char *) down.text.data) != 0
        || db_run(m->db, "set local role loyalty_owner") != 0)
    {
        return migrate_say(m, down.path);
    }

    param = int_text(m->c, f->number);
    r = db_query(m->db, "with gone as (delete from loyalty_meta.file"
                 " where path <> 'roles.sql')"
                 " delete from loyalty_meta.migration where number = $1::int",
                 1, &param);

    if (r == NULL || db_run(m->db, "commit") != 0) {
        return migrate_say(m, down.path);
    }

    db_free(r);

    return CLI_OK;
}


int
migrate_in_transaction(migrate_t *m, const char *path, const char *sql)
{
    if (db_run(m->db, "begin") != 0 || db_run(m->db, sql) != 0
        || db_run(m->db, "commit") != 0)
    {
        return migrate_say(m, path);
    }

    return CLI_OK;
}


int
migrate_say(migrate_t *m, const char *path)
{
    return db_say(m->db, path == NULL ? "database" : path);
}


static char *
int_text(cli_t *c, int64_t v)
{
    unsigned char  text[LY_INT64_TEXT];

    return cli_text(c, ly_str_of(text, ly_int64_print(v, text)));
}
