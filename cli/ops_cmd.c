/* Jobs and the audit of the books, through the functions of schema ops. */

#include <string.h>

#include "commands.h"
#include "db.h"
#include "keys.h"
#include "ly_jw.h"
#include "ly_banned.h"


static int decide(cli_t *c, const char *sql, const char *verb);
static void cell(cli_table_t *t, const ly_json_node_t *node);


int
jobs_ls_cmd(cli_t *c)
{
    int              code;
    db_t            *db;
    ly_jw_t          w;
    ly_buf_t         b;
    unsigned         i, k;
    db_res_t        *r;
    cli_table_t     *t;
    const char      *params[3];
    ly_json_node_t  *job;

    static const char *const  heads[] = {
        "id", "tenant", "queue", "kind", "state", "attempt", "max_attempts",
        "run_at", "last_error"
    };

    db = db_open(c, "loyalty_cli", &code);
    if (db == NULL) {
        return code;
    }

    params[0] = cli_opt(c, "queue");
    params[1] = cli_opt(c, "state");
    params[2] = cli_setting(c, "limit", NULL, "50");

    r = db_query(db, "select ops.jobs_list(null, $1, $2, $3::int)", 3, params);

    if (r == NULL) {
        code = db_say(db, "jobs");
        db_close(db);
        return code;
    }

    ly_buf_init_arena(&b, c->arena, CLI_MEMORY);
    ly_jw_init(&w, &b);
    ly_jw_array(&w);
    t = cli_table(c, ly_countof(heads), heads);

    for (i = 0; i < db_rows(r) && t != NULL; i++) {
        ly_jw_raw(&w, ly_str_c(db_get(r, i, 0)));

        if (ly_json_parse(c->arena, ly_str_c(db_get(r, i, 0)), NULL, &job,
                          NULL) != LY_OK)
        {
            continue;
        }

        for (k = 0; k < ly_countof(heads); k++) {
            cell(t, ly_json_member(job, ly_str_c(heads[k])));
        }
    }

    ly_jw_array_end(&w);
    ly_buf_byte(&b, '\n');

    if (t == NULL || ly_jw_done(&w) != LY_OK) {
        code = cli_nomem(c);

    } else {
        code = c->json ? cli_write_buf(c, &b) : cli_table_print(t);
    }

    db_free(r);
    db_close(db);

    return code;
}


static void
cell(cli_table_t *t, const ly_json_node_t *node)
{
    cli_cell(t, node != NULL ? node->text : ly_str(""));
}


int
jobs_retry_cmd(cli_t *c)
{
    return decide(c, "select ops.jobs_retry($1::bigint)", "tried again");
}


int
jobs_cancel_cmd(cli_t *c)
{
    return decide(c, "select ops.jobs_cancel($1::bigint)", "cancelled");
}


static int
decide(cli_t *c, const char *sql, const char *verb)
{
    int        code;
    db_t      *db;
    int64_t    id;
    db_res_t  *r;

    if (ly_int64_parse(ly_str_c(c->argv[0]), &id) != LY_OK || id < 1) {
        return cli_fail(c, CLI_USAGE, "%s is no id of a job", c->argv[0]);
    }

    db = db_open(c, "loyalty_cli", &code);
    if (db == NULL) {
        return code;
    }

    r = db_query(db, sql, 1, c->argv);

    if (r == NULL) {
        code = db_say(db, "jobs");

    } else if (db_rows(r) != 1 || db_get(r, 0, 0) == NULL
               || db_get(r, 0, 0)[0] != 't')
    {
        code = cli_fail(c, CLI_CONFLICT, "job %s is not in a state to be %s",
                        c->argv[0], verb);
    }

    db_free(r);
    db_close(db);

    return code;
}


/* each row is an invariant that does not hold */

int
audit_cmd(cli_t *c)
{
    int        code;
    db_t      *db;
    unsigned   n;
    db_res_t  *r;

    db = db_open(c, "loyalty_cli", &code);
    if (db == NULL) {
        return code;
    }

    r = db_query(db, "select * from ops.audit()", 0, NULL);

    if (r == NULL) {
        code = db_say(db, "audit");
        db_close(db);
        return code;
    }

    n = db_rows(r);

    if (n > 0 || c->json) {
        code = db_print(c, r);
    }

    db_free(r);
    db_close(db);

    if (code == CLI_OK && n > 0) {
        return cli_fail(c, CLI_CHECK, "%u invariants do not hold", n);
    }

    if (code == CLI_OK) {
        cli_note(c, "every invariant holds");
    }

    return code;
}
