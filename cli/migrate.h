/*
 * One run of `loyalty migrate`: what the folder holds, what the database has,
 * and how the second is brought to the first.  Functions return an exit code
 * of the tool and have said why where it is not CLI_OK.
 */

#ifndef MIGRATE_H_INCLUDED_
#define MIGRATE_H_INCLUDED_

#include "cli.h"
#include "db.h"
#include "ly_crypto.h"


#define MIGRATE_DIGEST_TEXT  (2 * LY_SHA256_LEN)


typedef struct {
    char      *path;            /* below the folder */
    ly_str_t   text;            /* NUL behind */
    char       digest[MIGRATE_DIGEST_TEXT + 1];
    int64_t    number;          /* of a migration */
    char      *name;
    char      *down;            /* path of its way back */
    bool       applied;
    bool       changed;
} migrate_file_t;


typedef struct {
    migrate_file_t    *item;
    unsigned   n;
} migrate_files_t;


typedef struct {
    cli_t        *c;
    db_t         *db;
    ly_crypto_t  *crypto;
    const char   *root;
    bool          super;
    migrate_file_t        roles;
    migrate_files_t       migrations;
    migrate_files_t       functions;
    migrate_files_t       rights;       /* policies, then grants */
    unsigned      drift;        /* applied migrations whose file changed */
    unsigned      unknown;      /* applied ones that have no file */
    unsigned      pending;
    unsigned      stale;        /* functions and rights to apply */
} migrate_t;


/* as asked for; beside the program in a checkout; where a package puts it */
const char *migrate_folder(cli_t *c);

/*
 * Adds the files of a folder below m->root, or of its folders where deep, with
 * that suffix, in lexical order; texts and digests too, as long as the arena.
 */
int migrate_collect(migrate_t *m, migrate_files_t *f, const char *dir,
    const char *suffix, bool deep);

/* text and digest of the file at f->path */
int migrate_load(migrate_t *m, migrate_file_t *f);

/* number, name and way back of each migration; refuses a gap */
int migrate_number(migrate_t *m);


/* one migration in a transaction; waits for locks that others hold */
int migrate_apply(migrate_t *m, migrate_file_t *f);

/* what changed of the functions, and all rights, in one transaction */
int migrate_apply_files(migrate_t *m);

/*
 * Takes a migration back.  Every function counts as not applied afterwards: a
 * drop may take them too.
 */
int migrate_revert(migrate_t *m, migrate_file_t *f);

/* that a file is applied as it is */
int migrate_record(migrate_t *m, migrate_file_t *f);

/* path is what a refusal is said of, NULL for the database */
int migrate_in_transaction(migrate_t *m, const char *path, const char *sql);

/* says what the database refused; gives the exit code for it */
int migrate_say(migrate_t *m, const char *path);


#endif /* MIGRATE_H_INCLUDED_ */
