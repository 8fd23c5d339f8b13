/* The one file of the tool that knows libpq. */

#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "db.h"
#include "ly_jw.h"
#include "ly_banned.h"


/* OIDs of pg_type.h that say how a value stands in JSON */
#define OID_BOOL   16
#define OID_INT8   20
#define OID_INT2   21
#define OID_INT4   23
#define OID_JSON   114
#define OID_JSONB  3802

struct db_s {
    cli_t   *c;
    PGconn  *conn;
    char     state[6];
    char     message[1024];
};

struct db_res_s {
    PGresult  *res;
};


static void failed(db_t *db, const PGresult *res);
static void copy(char *to, size_t size, const char *from);
static void quiet(void *arg, const PGresult *res);
static void value(ly_jw_t *w, const db_res_t *r, unsigned row, unsigned col);


db_t *
db_open(cli_t *c, const char *role, int *code)
{
    db_t        *db;
    const char  *info;
    const char  *keys[4], *vals[4];

    info = cli_setting(c, NULL, "LOYALTY_DATABASE", NULL);

    if (info == NULL) {
        *code = cli_fail(c, CLI_USAGE, "LOYALTY_DATABASE is not set");
        cli_hint(c, "a conninfo, \"host=/run/postgresql dbname=loyalty\"");
        return NULL;
    }

    db = ly_arena_zalloc(c->arena, sizeof(db_t));
    if (db == NULL) {
        *code = cli_nomem(c);
        return NULL;
    }

    db->c = c;

    /* what stands behind wins, so the conninfo may name another role */
    keys[0] = "user";
    vals[0] = role;
    keys[1] = "dbname";
    vals[1] = info;
    keys[2] = "fallback_application_name";
    vals[2] = "loyalty";
    keys[3] = NULL;
    vals[3] = NULL;

    db->conn = PQconnectdbParams(keys, vals, 1);

    if (db->conn == NULL || PQstatus(db->conn) != CONNECTION_OK) {
        copy(db->message, sizeof(db->message),
             db->conn == NULL ? "out of memory" : PQerrorMessage(db->conn));
        *code = cli_fail(c, CLI_AWAY, "database: %s", db->message);
        db_close(db);
        return NULL;
    }

    (void) PQsetNoticeReceiver(db->conn, quiet, c);
    *code = CLI_OK;

    return db;
}


void
db_close(db_t *db)
{
    if (db != NULL && db->conn != NULL) {
        PQfinish(db->conn);
        db->conn = NULL;
    }
}


db_res_t *
db_query(db_t *db, const char *sql, unsigned n, const char *const *params)
{
    db_res_t        *r;
    PGresult        *res;
    ExecStatusType   status;

    res = PQexecParams(db->conn, sql, (int) n, NULL, params, NULL, NULL, 0);
    status = PQresultStatus(res);

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        failed(db, res);
        PQclear(res);
        return NULL;
    }

    r = ly_arena_zalloc(db->c->arena, sizeof(db_res_t));

    if (r == NULL) {
        PQclear(res);
        copy(db->message, sizeof(db->message), "out of memory");
        return NULL;
    }

    r->res = res;

    return r;
}


int
db_run(db_t *db, const char *sql)
{
    bool       good;
    PGresult  *res;

    /* of several statements the result is the last one's, or the failed */
    res = PQexec(db->conn, sql);
    good = PQresultStatus(res) == PGRES_COMMAND_OK
           || PQresultStatus(res) == PGRES_TUPLES_OK
           || PQresultStatus(res) == PGRES_EMPTY_QUERY;

    if (!good) {
        failed(db, res);
    }

    PQclear(res);

    return good ? 0 : -1;
}


const char *
db_state(const db_t *db)
{
    return db->state;
}


int
db_say(db_t *db, const char *what)
{
    const char  *s;

    s = db->state;

    (void) cli_fail(db->c, CLI_FAILED, "%s: %s", what, db->message);

    if (s[0] == '\0' || strncmp(s, "08", 2) == 0 || strncmp(s, "57P", 3) == 0
        || strncmp(s, "53", 2) == 0)
    {
        return CLI_AWAY;
    }

    if (strcmp(s, "42501") == 0) {
        return CLI_AUTH;
    }

    if (strcmp(s, "22023") == 0) {
        return CLI_REJECTED;
    }

    return strncmp(s, "23", 2) == 0 ? CLI_CONFLICT : CLI_FAILED;
}


void
db_free(db_res_t *r)
{
    if (r != NULL) {
        PQclear(r->res);
        r->res = NULL;
    }
}


unsigned
db_rows(const db_res_t *r)
{
    return (unsigned) PQntuples(r->res);
}


unsigned
db_cols(const db_res_t *r)
{
    return (unsigned) PQnfields(r->res);
}


const char *
db_name(const db_res_t *r, unsigned col)
{
    return PQfname(r->res, (int) col);
}


db_type_e
db_type(const db_res_t *r, unsigned col)
{
    switch (PQftype(r->res, (int) col)) {

    case OID_BOOL:
        return DB_BOOL;

    case OID_INT8:
    case OID_INT4:
    case OID_INT2:
        return DB_INT;

    case OID_JSON:
    case OID_JSONB:
        return DB_JSON;

    default:
        return DB_TEXT;
    }
}


const char *
db_get(const db_res_t *r, unsigned row, unsigned col)
{
    if (PQgetisnull(r->res, (int) row, (int) col)) {
        return NULL;
    }

    return PQgetvalue(r->res, (int) row, (int) col);
}


int
db_print(cli_t *c, const db_res_t *r)
{
    ly_jw_t       w;
    ly_buf_t      b;
    unsigned      i, k;
    cli_table_t  *t;
    const char  **heads;

    if (!c->json) {
        heads = ly_arena_array(c->arena, db_cols(r), sizeof(char *));
        t = (heads != NULL) ? cli_table(c, db_cols(r), heads) : NULL;

        if (t == NULL) {
            return cli_nomem(c);
        }

        for (k = 0; k < db_cols(r); k++) {
            heads[k] = db_name(r, k);
        }

        for (i = 0; i < db_rows(r); i++) {
            for (k = 0; k < db_cols(r); k++) {
                cli_cell_c(t, db_get(r, i, k));
            }
        }

        return cli_table_print(t);
    }

    ly_buf_init_arena(&b, c->arena, CLI_MEMORY);
    ly_jw_init(&w, &b);
    ly_jw_array(&w);

    for (i = 0; i < db_rows(r); i++) {
        ly_jw_object(&w);

        for (k = 0; k < db_cols(r); k++) {
            ly_jw_key(&w, ly_str_c(db_name(r, k)));
            value(&w, r, i, k);
        }

        ly_jw_object_end(&w);
    }

    ly_jw_array_end(&w);

    if (ly_jw_done(&w) != LY_OK) {
        return cli_nomem(c);
    }

    ly_buf_byte(&b, '\n');

    return cli_write_buf(c, &b);
}


int
db_server_version(const db_t *db)
{
    return PQserverVersion(db->conn);
}


static void
value(ly_jw_t *w, const db_res_t *r, unsigned row, unsigned col)
{
    ly_str_t     s;
    const char  *text;

    text = db_get(r, row, col);

    if (text == NULL) {
        ly_jw_null(w);
        return;
    }

    s = ly_str_c(text);

    switch (db_type(r, col)) {

    case DB_BOOL:
        ly_jw_bool(w, text[0] == 't');
        break;

    case DB_INT:
        ly_jw_number(w, s);
        break;

    case DB_JSON:
        ly_jw_raw(w, s);
        break;

    case DB_TEXT:
        ly_jw_text(w, s);
        break;
    }
}


static void
failed(db_t *db, const PGresult *res)
{
    const char  *state, *text;

    state = (res != NULL) ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    text = (res != NULL) ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY)
                         : NULL;

    if (text == NULL) {
        text = PQerrorMessage(db->conn);
    }

    copy(db->state, sizeof(db->state), state == NULL ? "" : state);
    copy(db->message, sizeof(db->message), text);
}


/* one line, cut where it does not fit */

static void
copy(char *to, size_t size, const char *from)
{
    size_t  n;

    for (n = 0; n + 1 < size && from[n] != '\0'; n++) {
        to[n] = (from[n] == '\n') ? ' ' : from[n];
    }

    while (n > 0 && to[n - 1] == ' ') {
        n--;
    }

    to[n] = '\0';
}


static void
quiet(void *arg, const PGresult *res)
{
    const cli_t  *c = arg;

    if (c->verbose > 0) {
        (void) fputs(PQresultErrorMessage(res), stderr);
    }
}
