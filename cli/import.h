/* The import's memory of where it stopped, its rejects, its progress. */

#ifndef IMPORT_H_INCLUDED_
#define IMPORT_H_INCLUDED_

#include "cli.h"


typedef struct {
    const char  *path;              /* of the state file; NULL: none (stdin) */
    int64_t      size;              /* of the input; 0: unknown */
    int64_t      head;              /* digest of its first bytes */
    int64_t      offset;            /* all before is settled */
    int64_t      line;              /* lines before offset */
    int64_t      read_line;         /* lines read; not kept */
    int64_t      accepted;
    int64_t      duplicates;
    int64_t      rejected;
    bool         complete;
} import_state_t;

/*
 * What stands in the state file.  A file of another input, or of an input that
 * changed at its beginning or got shorter, is refused (CLI_CONFLICT).
 */
ly_must_check int import_state_open(cli_t *c, import_state_t *s,
    const char *input);
ly_must_check int import_state_save(const cli_t *c, const import_state_t *s);
void import_state_reset(import_state_t *s);

/* the option's, or the input's name with ".rejects"; NULL: no memory */
const char *import_rejects_path(cli_t *c);

/* keeps the rejects of lines up to this one */
ly_must_check int import_rejects_cut(cli_t *c, const char *path, int64_t line);
void import_rejects_drop_empty(cli_t *c);


typedef struct {
    cli_t    *c;
    bool      live;                 /* a bar on a terminal */
    int64_t   total;                /* bytes; 0: unknown */
    int64_t   begun;                /* cli_clock() */
    int64_t   first;                /* bytes settled before this run */
    int64_t   drawn;
    int64_t   events;
    int64_t   before;               /* events of runs before, -1: not set */
    bool      shown;
} import_bar_t;

void import_bar_start(import_bar_t *b, cli_t *c, int64_t total, int64_t done);

/* redraws a few times a second; without a terminal one line in ten seconds */
void import_bar_move(import_bar_t *b, int64_t done, int64_t events);
void import_bar_clear(import_bar_t *b);
void import_bar_end(import_bar_t *b);


#endif /* IMPORT_H_INCLUDED_ */
