/*
 * The database, for the commands that speak to it.  The only file of the tool
 * that includes libpq's header is db.c.
 */

#ifndef DB_H_INCLUDED_
#define DB_H_INCLUDED_

#include "cli.h"


typedef struct db_s      db_t;
typedef struct db_res_s  db_res_t;

typedef enum {
    DB_TEXT = 0,
    DB_INT,
    DB_BOOL,
    DB_JSON
} db_type_e;


/*
 * Connects by LOYALTY_DATABASE (or --database), a conninfo.  NULL with *code
 * and the error said.  role may name the user where the conninfo has none.
 */
db_t *db_open(cli_t *c, const char *role, int *code);
void db_close(db_t *db);        /* NULL is fine */

/*
 * One statement with text parameters (NULL: null).  NULL when it failed: see
 * db_state() and db_say().  Free the result.
 */
ly_must_check db_res_t *db_query(db_t *db, const char *sql, unsigned n,
    const char *const *params);

/* statements without parameters, as one simple query; 0, or -1 on failure */
ly_must_check int db_run(db_t *db, const char *sql);

/* SQLSTATE of the last failure, "" when there was none; five characters */
const char *db_state(const db_t *db);

/* the last failure for people; "what" leads it; returns an exit code */
int db_say(db_t *db, const char *what);

void db_free(db_res_t *r);      /* NULL is fine */
unsigned db_rows(const db_res_t *r);
unsigned db_cols(const db_res_t *r);
const char *db_name(const db_res_t *r, unsigned col);
db_type_e db_type(const db_res_t *r, unsigned col);

/* NULL for null; lives as long as the result */
const char *db_get(const db_res_t *r, unsigned row, unsigned col);

/* rows as a table or as a JSON array of objects, as -o says */
ly_must_check int db_print(cli_t *c, const db_res_t *r);

/* the server's version, 150018 */
int db_server_version(const db_t *db);


#endif /* DB_H_INCLUDED_ */
