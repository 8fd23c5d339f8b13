/* doctor: is everything in its place?  Each finding names what to do. */

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "db.h"
#include "keys.h"
#include "ly_jw.h"
#include "ly_banned.h"


#define CHECKS_MAX  24
#define CLOCK_US    1000000     /* apart at most: tokens live minutes */

typedef enum {
    GOOD = 0,
    SKIPPED,
    BAD
} verdict_e;

typedef struct {
    const char  *name;
    verdict_e    verdict;
    const char  *detail;
} check_t;

typedef struct {
    cli_t     *c;
    check_t    check[CHECKS_MAX];
    unsigned   n;
    bool       bad;
} doctor_t;


static void note(doctor_t *d, const char *name, verdict_e verdict,
    const char *detail);
static void database(doctor_t *d);
static void ask(doctor_t *d, db_t *db, const char *name, const char *sql,
    const char *wrong);
static void server_clock(doctor_t *d, db_t *db);
static void keyring(doctor_t *d);
static void edge(doctor_t *d);
static int print(doctor_t *d);


int
doctor_cmd(cli_t *c)
{
    int        code;
    doctor_t   d;

    memset(&d, 0, sizeof(d));
    d.c = c;

    if (getenv("LOYALTY_DATABASE") != NULL) {
        database(&d);
    } else {
        note(&d, "database", SKIPPED, "LOYALTY_DATABASE is not set");
    }

    if (getenv("LOYALTY_KEYRING") != NULL) {
        keyring(&d);
    } else {
        note(&d, "keyring", SKIPPED, "LOYALTY_KEYRING is not set");
    }

    if (getenv("LOYALTY_URL") != NULL) {
        edge(&d);
    } else {
        note(&d, "API", SKIPPED, "LOYALTY_URL is not set");
    }

    code = print(&d);

    return (code == CLI_OK && d.bad) ? CLI_CHECK : code;
}


static void
database(doctor_t *d)
{
    int    code;
    db_t  *db;

    db = db_open(d->c, "loyalty_cli", &code);

    if (db == NULL) {
        note(d, "database", BAD, "no connection: see the error above");
        return;
    }

    note(d, "database", GOOD, "connected");

    note(d, "server version", db_server_version(db) >= 150000 ? GOOD : BAD,
         db_server_version(db) >= 150000 ? "15 or newer"
                                         : "PostgreSQL 15 is needed");

    server_clock(d, db);

    ask(d, db, "migrations", "select exists (select from"
        " loyalty_meta.migration)", "run: loyalty migrate up");
    ask(d, db, "durable commits", "select current_setting('fsync') = 'on'"
        " and current_setting('full_page_writes') = 'on'",
        "fsync and full_page_writes have to be on");
    ask(d, db, "encoding", "select current_setting('server_encoding')"
        " = 'UTF8'", "the database has to be UTF8");
    ask(d, db, "row security", "select not exists (select from"
        " pg_catalog.pg_class t join pg_catalog.pg_namespace n"
        " on n.oid = t.relnamespace where n.nspname = 'loyalty'"
        " and t.relkind in ('r', 'p') and not t.relispartition"
        " and not (t.relrowsecurity and t.relforcerowsecurity))",
        "a table of schema loyalty has no forced row security");
    ask(d, db, "connections", "select (select count(*) from"
        " pg_catalog.pg_stat_activity) <"
        " current_setting('max_connections')::int * 9 / 10",
        "nine tenths of max_connections are taken");
    ask(d, db, "workers", "select ops.worker_alive()",
        "no worker has been seen for ten seconds");

    db_close(db);
}


static void
ask(doctor_t *d, db_t *db, const char *name, const char *sql,
    const char *wrong)
{
    db_res_t  *r;

    r = db_query(db, sql, 0, NULL);

    if (r == NULL) {
        /* what it asks for may not stand, or not be allowed to this role */
        note(d, name, BAD, wrong);
        return;
    }

    if (db_rows(r) == 1 && db_get(r, 0, 0) != NULL
        && db_get(r, 0, 0)[0] == 't')
    {
        note(d, name, GOOD, "");

    } else {
        note(d, name, BAD, wrong);
    }

    db_free(r);
}


static void
server_clock(doctor_t *d, db_t *db)
{
    int64_t    theirs, before, after;
    db_res_t  *r;

    before = cli_now();
    r = db_query(db, "select (extract(epoch from clock_timestamp())"
                 " * 1000000)::bigint", 0, NULL);
    after = cli_now();

    if (r == NULL || ly_int64_parse(ly_str_c(db_get(r, 0, 0)), &theirs)
        != LY_OK)
    {
        note(d, "clock", BAD, "the database's clock cannot be read");

    } else if (theirs < before - CLOCK_US || theirs > after + CLOCK_US) {
        note(d, "clock", BAD, "more than a second apart from the database's");

    } else {
        note(d, "clock", GOOD, "");
    }

    db_free(r);
}


static void
keyring(doctor_t *d)
{
    keys_t  k;

    memset(&k, 0, sizeof(k));

    if (keys_ring(d->c, &k) == CLI_OK) {
        note(d, "keyring", GOOD, "");

    } else {
        note(d, "keyring", BAD, "see the error above");
    }

    ly_keyring_destroy(k.ring);
}


static void
edge(doctor_t *d)
{
    int            code;
    api_t         *api;
    api_answer_t  *a;

    api = api_open(d->c, &code);

    if (api == NULL) {
        note(d, "API", BAD, "see the error above");
        return;
    }

    a = api_call(api, "GET", "/readyz", ly_str(""));

    note(d, "API ready", a->status == 200 ? GOOD : BAD,
         a->status == 0 ? cli_text(d->c, ly_str_c(a->error))
         : a->status == 200 ? "" : "/readyz is not 200: it says why");

    if (a->status != 0) {
        a = api_call(api, "GET", "/v1/me", ly_str(""));
        note(d, "API key", a->status == 200 ? GOOD : BAD,
             a->status == 200 ? "" : "the key is not taken for this tenant");
    }

    api_close(api);
}


static void
note(doctor_t *d, const char *name, verdict_e verdict, const char *detail)
{
    if (d->n < CHECKS_MAX) {
        d->check[d->n].name = name;
        d->check[d->n].verdict = verdict;
        d->check[d->n].detail = (detail != NULL) ? detail : "";
        d->n++;
    }

    d->bad = d->bad || verdict == BAD;
}


static int
print(doctor_t *d)
{
    ly_jw_t       w;
    ly_buf_t      b;
    unsigned      i;
    cli_table_t  *t;

    static const char *const  heads[] = { "check", "result", "detail" };
    static const char *const  words[] = { "ok", "skipped", "bad" };

    ly_buf_init_arena(&b, d->c->arena, 65536);
    ly_jw_init(&w, &b);
    ly_jw_array(&w);
    t = cli_table(d->c, 3, heads);

    for (i = 0; i < d->n && t != NULL; i++) {
        cli_cell_c(t, d->check[i].name);
        cli_cell_c(t, words[d->check[i].verdict]);
        cli_cell_c(t, d->check[i].detail);

        ly_jw_object(&w);
        ly_jw_kcstr(&w, "check", d->check[i].name);
        ly_jw_kcstr(&w, "result", words[d->check[i].verdict]);
        ly_jw_k(&w, "detail");
        ly_jw_text(&w, ly_str_c(d->check[i].detail));
        ly_jw_object_end(&w);
    }

    ly_jw_array_end(&w);
    ly_buf_byte(&b, '\n');

    if (t == NULL || ly_jw_done(&w) != LY_OK) {
        return cli_nomem(d->c);
    }

    return d->c->json ? cli_write_buf(d->c, &b) : cli_table_print(t);
}
