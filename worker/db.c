/*
 * The only file of the daemon that includes libpq.  Calls are sent without
 * blocking and waited for with poll(), so that a server that went silent costs
 * a deadline, not the process.
 *
 * A connection is in pipeline mode always.  What belongs to a call, the begin
 * before it and the commit behind it, goes out with it and ends with one Sync:
 * where one fails, the server skips the rest.
 */

#include "db.h"

#include "log.h"
#include "../common/ly_buf.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "../common/ly_banned.h"


#define DB_STATEMENTS_MAX  48
#define DB_TEXT_MAX        512
#define DB_STEPS_MAX       4


typedef enum {
    DB_STEP_BEGIN,
    DB_STEP_PREPARE,
    DB_STEP_CALL,
    DB_STEP_COMMIT,
    DB_STEP_COMMAND
} db_step_e;


/* what is sent up to one Sync, in order */
typedef struct {
    db_step_e  steps[DB_STEPS_MAX];
    size_t     n;
    PGresult  *rows;
    bool       failed;
} db_trip_t;


struct db_s {
    PGconn           *conn;
    char             *conninfo;
    char             *application;
    int64_t           timeout_ms;
    bool              begin;            /* due with the next call */
    bool              in_transaction;
    const db_call_t  *prepared[DB_STATEMENTS_MAX];
    size_t            n;
    db_fault_t        fault;
};


/* SQLSTATE classes that may pass: connection, resources, operator, and the
 * transaction's own bad luck */
static const char *const  db_passing[] = {
    "08", "53", "57", "58", "40001", "40P01", "55P03", "25P03", "25P04"
};


ly_err_t
db_create(db_t **out, const char *conninfo, const char *application,
    int64_t timeout_ms)
{
    db_t  *db;

    db = calloc(1, sizeof(db_t));
    if (db == NULL) {
        return LY_NOMEM;
    }

    db->conninfo = strdup(conninfo);
    db->application = strdup(application);
    db->timeout_ms = timeout_ms;

    if (db->conninfo == NULL || db->application == NULL) {
        db_destroy(db);
        return LY_NOMEM;
    }

    *out = db;

    return LY_OK;
}


void
db_disconnect(db_t *db)
{
    if (db->conn != NULL) {
        PQfinish(db->conn);
        db->conn = NULL;
    }

    db->n = 0;
    db->begin = false;
    db->in_transaction = false;
}


void
db_destroy(db_t *db)
{
    if (db == NULL) {
        return;
    }

    db_disconnect(db);
    free(db->conninfo);
    free(db->application);
    free(db);
}


bool
db_connected(const db_t *db)
{
    return db->conn != NULL;
}


void
db_timeout(db_t *db, int64_t timeout_ms)
{
    db->timeout_ms = timeout_ms;
}


int
db_socket(const db_t *db)
{
    return db->conn == NULL ? -1 : PQsocket(db->conn);
}


const db_fault_t *
db_fault(const db_t *db)
{
    return &db->fault;
}


static void
db_copy(char *into, size_t size, const char *text)
{
    (void) snprintf(into, size, "%s", text == NULL ? "" : text);
}


static void
db_fault_clear(db_t *db, const char *call)
{
    memset(&db->fault, 0, sizeof(db_fault_t));
    db->fault.call = call;
}


static bool
db_passes(const char *sqlstate)
{
    size_t  i;

    for (i = 0; i < ly_countof(db_passing); i++) {
        if (strncmp(sqlstate, db_passing[i], strlen(db_passing[i])) == 0) {
            return true;
        }
    }

    return false;
}


/* the fault of the connection itself: nothing on it can be trusted */
static ly_err_t
db_lost(db_t *db, const char *why)
{
    db_copy(db->fault.message, sizeof(db->fault.message), why);

    if (db->fault.sqlstate[0] == '\0') {
        db_copy(db->fault.sqlstate, sizeof(db->fault.sqlstate), "08006");
    }

    db_disconnect(db);

    return LY_TEMP;
}


/* the innermost line of a plpgsql context: "PL/pgSQL function x line n at" */
static void
db_where(db_t *db, const char *context)
{
    size_t  len;

    if (context == NULL) {
        return;
    }

    while (*context != '\0') {

        len = strcspn(context, "\n");

        if (strncmp(context, "PL/pgSQL function ", 18) == 0) {
            (void) snprintf(db->fault.where, sizeof(db->fault.where), "%.*s",
                            (int) (len - 18 > 150 ? 150 : len - 18),
                            context + 18);
            return;
        }

        context += len;
        context += (*context == '\n');
    }
}


/* the first fault of a trip is the one that counts */
static void
db_refused(db_t *db, const PGresult *res)
{
    db_copy(db->fault.sqlstate, sizeof(db->fault.sqlstate),
            PQresultErrorField(res, PG_DIAG_SQLSTATE));
    db_copy(db->fault.constraint, sizeof(db->fault.constraint),
            PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME));
    db_copy(db->fault.message, sizeof(db->fault.message),
            PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
    db_where(db, PQresultErrorField(res, PG_DIAG_CONTEXT));
}


/* waits until the socket is ready; LY_TEMP at the deadline */
static ly_err_t
db_poll(db_t *db, short events, int64_t deadline_us)
{
    int            n;
    int64_t        left;
    struct pollfd  p;

    for ( ;; ) {
        left = deadline_us - clock_mono_us();
        if (left <= 0) {
            return LY_TEMP;
        }

        p.fd = PQsocket(db->conn);
        p.events = events;
        p.revents = 0;

        n = poll(&p, 1, (int) (left / 1000 + 1));

        if (n > 0) {
            return LY_OK;
        }

        if (n == -1 && errno != EINTR) {
            return LY_TEMP;
        }
    }
}


static ly_err_t
db_flush(db_t *db, int64_t deadline_us)
{
    int  rc;

    while ((rc = PQflush(db->conn)) == 1) {
        if (db_poll(db, POLLIN | POLLOUT, deadline_us) != LY_OK) {
            return db_lost(db, "deadline passed while sending");
        }

        if (PQconsumeInput(db->conn) == 0) {
            return db_lost(db, "connection lost");
        }
    }

    return rc == 0 ? LY_OK : db_lost(db, "connection lost");
}


static ly_err_t
db_step(db_t *db, db_trip_t *trip, db_step_e step, int sent)
{
    if (sent == 0) {
        return db_lost(db, "connection lost");
    }

    trip->steps[trip->n++] = step;

    return LY_OK;
}


/* one result of a step; takes it */
static void
db_take(db_t *db, db_trip_t *trip, const db_call_t *call, db_step_e step,
    PGresult *res)
{
    switch (PQresultStatus(res)) {

    case PGRES_TUPLES_OK:
        PQclear(trip->rows);
        trip->rows = res;
        return;

    case PGRES_COMMAND_OK:

        if (step == DB_STEP_BEGIN) {
            db->begin = false;
            db->in_transaction = true;

        } else if (step == DB_STEP_PREPARE) {
            db->prepared[db->n++] = call;

        } else if (step == DB_STEP_COMMIT) {
            db->in_transaction = false;
        }

        break;

    case PGRES_PIPELINE_ABORTED:
        break;

    default:

        if (!trip->failed) {
            trip->failed = true;
            db_refused(db, res);
        }
    }

    PQclear(res);
}


/* the next result; NULL parts two steps */
static ly_err_t
db_next(db_t *db, int64_t deadline_us, PGresult **res)
{
    while (PQisBusy(db->conn)) {

        if (db_poll(db, POLLIN, deadline_us) != LY_OK) {
            return db_lost(db, "deadline passed");
        }

        if (PQconsumeInput(db->conn) == 0) {
            return db_lost(db, "connection lost");
        }
    }

    *res = PQgetResult(db->conn);

    return LY_OK;
}


/* sends the Sync and reads up to its echo; trip->rows is the caller's */
static ly_err_t
db_trip(db_t *db, db_trip_t *trip, const db_call_t *call)
{
    size_t     i;
    int64_t    deadline;
    ly_err_t   err;
    PGresult  *res;

    if (PQpipelineSync(db->conn) == 0) {
        return db_lost(db, "connection lost");
    }

    deadline = clock_mono_us() + db->timeout_ms * 1000;
    err = db_flush(db, deadline);
    res = NULL;
    i = 0;

    while (err == LY_OK) {

        err = db_next(db, deadline, &res);
        if (err != LY_OK) {
            break;
        }

        if (res != NULL && PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
            PQclear(res);
            break;
        }

        /* libpq and we no longer agree on what was sent */
        if (i >= trip->n) {
            PQclear(res);
            err = db_lost(db, "no echo of the Sync");
            break;
        }

        if (res == NULL) {
            i++;
            continue;
        }

        db_take(db, trip, call, trip->steps[i], res);

        if (PQstatus(db->conn) != CONNECTION_OK) {
            err = db_lost(db, "connection lost");
        }
    }

    if (err == LY_OK && trip->failed) {
        err = db_passes(db->fault.sqlstate) ? LY_TEMP : LY_DENIED;
    }

    if (err != LY_OK) {
        PQclear(trip->rows);
        trip->rows = NULL;
    }

    return err;
}


static ly_err_t
db_command(db_t *db, const char *text, db_step_e step)
{
    ly_err_t   err;
    db_trip_t  trip;

    db_fault_clear(db, text);
    memset(&trip, 0, sizeof(db_trip_t));

    if (db->conn == NULL) {
        return db_lost(db, "not connected");
    }

    err = db_step(db, &trip, step,
                  PQsendQueryParams(db->conn, text, 0, NULL, NULL, NULL, NULL,
                                    0));
    if (err == LY_OK) {
        err = db_trip(db, &trip, NULL);
    }

    return err;
}


static void
db_notice(void *arg, const PGresult *res)
{
    log_line(LY_LOG_DEBUG, "database notice",
             ly_log_cstr("code", PQresultErrorField(res, PG_DIAG_SQLSTATE)));
}


static ly_err_t
db_connect_wait(db_t *db)
{
    int64_t                    deadline;
    PostgresPollingStatusType  state;

    deadline = clock_mono_us() + db->timeout_ms * 1000;
    state = PGRES_POLLING_WRITING;

    while (state != PGRES_POLLING_OK) {

        if (state == PGRES_POLLING_FAILED) {
            return db_lost(db, PQerrorMessage(db->conn));
        }

        if (db_poll(db, state == PGRES_POLLING_READING ? POLLIN : POLLOUT,
                    deadline)
            != LY_OK)
        {
            return db_lost(db, "deadline passed while connecting");
        }

        state = PQconnectPoll(db->conn);
    }

    return LY_OK;
}


ly_err_t
db_connect(db_t *db)
{
    ly_err_t  err;

    const char *const  keys[] = { "dbname", "fallback_application_name",
                                  "client_encoding", "connect_timeout",
                                  "keepalives_idle", NULL };
    const char *const  values[] = { db->conninfo, db->application, "UTF8",
                                    "10", "10", NULL };

    db_disconnect(db);
    db_fault_clear(db, "connect");

    db->conn = PQconnectStartParams(keys, values, 1);

    if (db->conn == NULL) {
        return LY_NOMEM;
    }

    if (PQstatus(db->conn) == CONNECTION_BAD) {
        return db_lost(db, PQerrorMessage(db->conn));
    }

    err = db_connect_wait(db);
    if (err != LY_OK) {
        return err;
    }

    (void) PQsetNoticeReceiver(db->conn, db_notice, NULL);

    if (PQsetnonblocking(db->conn, 1) != 0
        || PQenterPipelineMode(db->conn) != 1)
    {
        return db_lost(db, "cannot be made non-blocking");
    }

    return LY_OK;
}


/* select * from name($1, ..., $n) */
static ly_err_t
db_prepare(db_t *db, db_trip_t *trip, const db_call_t *call)
{
    size_t    i;
    ly_buf_t  b;
    char      text[DB_TEXT_MAX];

    for (i = 0; i < db->n; i++) {
        if (db->prepared[i] == call) {
            return LY_OK;
        }
    }

    if (db->n == DB_STATEMENTS_MAX || call->n > DB_PARAMS_MAX) {
        return LY_FATAL;
    }

    ly_buf_init_fixed(&b, text, sizeof(text));
    ly_buf_cstr(&b, "select * from ");
    ly_buf_cstr(&b, call->name);
    ly_buf_byte(&b, '(');

    for (i = 0; i < call->n; i++) {
        if (i != 0) {
            ly_buf_byte(&b, ',');
        }

        ly_buf_byte(&b, '$');
        ly_buf_uint(&b, i + 1);
    }

    ly_buf_byte(&b, ')');
    ly_buf_byte(&b, '\0');

    if (ly_buf_err(&b) != LY_OK) {
        return LY_FATAL;
    }

    return db_step(db, trip, DB_STEP_PREPARE,
                   PQsendPrepare(db->conn, call->name, text, 0, NULL));
}


static void
db_clear(void *res)
{
    PQclear(res);
}


/* a statement that a schema change invalidated is prepared again once */
static bool
db_stale(const db_t *db)
{
    return strcmp(db->fault.sqlstate, "0A000") == 0
           || strcmp(db->fault.sqlstate, "26000") == 0;
}


static ly_err_t
db_send(db_t *db, ly_arena_t *a, const db_call_t *call,
    const ly_str_t *params, bool commit, db_trip_t *trip)
{
    int          lengths[DB_PARAMS_MAX];
    size_t       i;
    ly_str_t     copy;
    ly_err_t     err;
    const char  *values[DB_PARAMS_MAX];

    for (i = 0; i < call->n; i++) {
        lengths[i] = 0;
        values[i] = NULL;

        if (params[i].data == NULL) {
            continue;
        }

        /* libpq reads texts up to their NUL */
        err = ly_arena_str(a, params[i], &copy);
        if (err != LY_OK) {
            return err;
        }

        values[i] = (const char *) copy.data;
    }

    memset(trip, 0, sizeof(db_trip_t));
    err = LY_OK;

    if (db->begin) {
        err = db_step(db, trip, DB_STEP_BEGIN,
                      PQsendQueryParams(db->conn, "begin", 0, NULL, NULL, NULL,
                                        NULL, 0));
    }

    if (err == LY_OK) {
        err = db_prepare(db, trip, call);
    }

    if (err == LY_OK) {
        err = db_step(db, trip, DB_STEP_CALL,
                      PQsendQueryPrepared(db->conn, call->name, (int) call->n,
                                          values, lengths, NULL, 0));
    }

    if (err == LY_OK && commit) {
        err = db_step(db, trip, DB_STEP_COMMIT,
                      PQsendQueryParams(db->conn, "commit", 0, NULL, NULL,
                                        NULL, NULL, 0));
    }

    return err == LY_OK ? db_trip(db, trip, call) : err;
}


static ly_err_t
db_ask(db_t *db, ly_arena_t *a, const db_call_t *call, const ly_str_t *params,
    bool commit, db_rows_t *rows)
{
    ly_err_t   err;
    db_trip_t  trip;

    db_fault_clear(db, call->name);
    rows->res = NULL;
    rows->rows = 0;

    if (db->conn == NULL) {
        return db_lost(db, "not connected");
    }

    err = db_send(db, a, call, params, commit, &trip);

    if (err == LY_DENIED && db_stale(db) && !db->in_transaction) {
        err = db_command(db, "deallocate all", DB_STEP_COMMAND);

        if (err == LY_OK) {
            db->n = 0;
            db_fault_clear(db, call->name);
            err = db_send(db, a, call, params, commit, &trip);
        }
    }

    if (err != LY_OK) {
        return err;
    }

    /* a function gives rows, if none */
    if (trip.rows == NULL) {
        return db_lost(db, "no answer");
    }

    err = ly_arena_cleanup(a, db_clear, trip.rows);
    if (err != LY_OK) {
        PQclear(trip.rows);
        return err;
    }

    rows->res = trip.rows;
    rows->rows = (size_t) PQntuples(trip.rows);

    return LY_OK;
}


ly_err_t
db_call(db_t *db, ly_arena_t *a, const db_call_t *call,
    const ly_str_t *params, db_rows_t *rows)
{
    return db_ask(db, a, call, params, false, rows);
}


ly_err_t
db_call_commit(db_t *db, ly_arena_t *a, const db_call_t *call,
    const ly_str_t *params, db_rows_t *rows)
{
    return db_ask(db, a, call, params, true, rows);
}


void
db_begin(db_t *db)
{
    db->begin = true;
}


ly_err_t
db_commit(db_t *db)
{
    return db_command(db, "commit", DB_STEP_COMMIT);
}


void
db_rollback(db_t *db)
{
    db_fault_t  fault;

    if (db->conn == NULL) {
        return;
    }

    fault = db->fault;
    db->begin = false;
    db->in_transaction = false;

    if (db_command(db, "rollback", DB_STEP_COMMAND) != LY_OK) {
        db_disconnect(db);
    }

    /* stale statements are forgotten where no transaction is in the way */
    if (db->conn != NULL && (strcmp(fault.sqlstate, "0A000") == 0
                             || strcmp(fault.sqlstate, "26000") == 0))
    {
        if (db_command(db, "deallocate all", DB_STEP_COMMAND) == LY_OK) {
            db->n = 0;

        } else {
            db_disconnect(db);
        }
    }

    db->fault = fault;
}


ly_str_t
db_text(const db_rows_t *rows, size_t row, size_t column)
{
    if (PQgetisnull(rows->res, (int) row, (int) column)) {
        return (ly_str_t) { 0, NULL };
    }

    return ly_str_of(PQgetvalue(rows->res, (int) row, (int) column),
                     (size_t) PQgetlength(rows->res, (int) row,
                                          (int) column));
}


int64_t
db_int(const db_rows_t *rows, size_t row, size_t column)
{
    int64_t  v;

    if (ly_int64_parse(db_text(rows, row, column), &v) != LY_OK) {
        return 0;
    }

    return v;
}


bool
db_true(const db_rows_t *rows, size_t row, size_t column)
{
    return ly_str_eq(db_text(rows, row, column), ly_str("t"));
}
