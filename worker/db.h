/*
 * The database connection of one lane slot: one call at a time, waited for
 * with a deadline.  A call is `select * from schema.function($1, ...)`, one
 * prepared statement named like the function; parameters are texts and the
 * server infers their types.
 */

#ifndef DB_H_INCLUDED_
#define DB_H_INCLUDED_

#include "../common/ly_base.h"
#include "../common/ly_arena.h"


#define DB_PARAMS_MAX  16


typedef struct db_s  db_t;

/* rows of one call; they live as long as the arena of the call */
typedef struct {
    void    *res;
    size_t   rows;
} db_rows_t;

/* what went wrong last; texts are valid until the next call */
typedef struct {
    char         sqlstate[6];       /* "" if no server said it */
    char         constraint[64];
    char         where[160];        /* innermost function and line */
    const char  *call;              /* the function's name */
    char         message[256];      /* may name ids; for the debug level */
} db_fault_t;


/* a literal row per function: name and number of parameters */
typedef struct {
    const char  *name;
    size_t       n;
} db_call_t;


/* makes a handle without connecting; LY_NOMEM */
ly_must_check ly_err_t db_create(db_t **db, const char *conninfo,
    const char *application, int64_t timeout_ms);

/* closes; NULL is fine */
void db_destroy(db_t *db);

/* LY_TEMP: db_fault() says why.  An open connection is closed first. */
ly_must_check ly_err_t db_connect(db_t *db);

/* false after the connection was lost, or a call ran into its deadline */
bool db_connected(const db_t *db);

void db_timeout(db_t *db, int64_t timeout_ms);

/* the socket, for a poll that wants to see the connection's end; -1: none */
int db_socket(const db_t *db);

/*
 * params[i].data NULL is SQL null; an empty text must point at something.
 * LY_TEMP: try again, perhaps after db_connect(); LY_DENIED: the statement
 * fails for this input; LY_NOMEM.  After a failure within a transaction roll
 * back.
 */
ly_must_check ly_err_t db_call(db_t *db, ly_arena_t *a, const db_call_t *call,
    const ly_str_t *params, db_rows_t *rows);

/*
 * A transaction over several calls: opened with the next one, closed behind
 * the last one, so that neither costs a trip of its own.  A commit whose
 * connection is lost is unknown.
 */
void db_begin(db_t *db);
ly_must_check ly_err_t db_call_commit(db_t *db, ly_arena_t *a,
    const db_call_t *call, const ly_str_t *params, db_rows_t *rows);

/* closes it without a call */
ly_must_check ly_err_t db_commit(db_t *db);

/* also when the connection is gone; never fails: it closes if it must */
void db_rollback(db_t *db);

/* closes the connection, if there is one; the last fault stays to be read */
void db_disconnect(db_t *db);

/* points into the result; data is NULL for null */
ly_str_t db_text(const db_rows_t *rows, size_t row, size_t column);

/* null and what is no number are 0 */
int64_t db_int(const db_rows_t *rows, size_t row, size_t column);

bool db_true(const db_rows_t *rows, size_t row, size_t column);

const db_fault_t *db_fault(const db_t *db);


#endif /* DB_H_INCLUDED_ */
