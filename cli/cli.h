/*
 * What the commands of the tool share: the table they stand in, their
 * options, their output, their exit codes.  Data goes to stdout, everything
 * else to stderr.  No secret is ever taken from the command line.
 */

#ifndef CLI_H_INCLUDED_
#define CLI_H_INCLUDED_

#include <signal.h>
#include <stdio.h>

#include "ly_arena.h"
#include "ly_base.h"
#include "ly_buf.h"
#include "ly_json.h"


#define CLI_VERSION  "0.1.0"

/* exit codes, the same for every command; docs/cli.md */
#define CLI_OK         0
#define CLI_FAILED     1
#define CLI_USAGE      2
#define CLI_CANCELLED  3
#define CLI_AUTH       4
#define CLI_NOTFOUND   5
#define CLI_CONFLICT   6
#define CLI_REJECTED   7
#define CLI_PENDING    8
#define CLI_AWAY       9        /* server or network */
#define CLI_CHECK      10       /* a check found something */
#define CLI_SIGINT     130
#define CLI_SIGTERM    143

#define CLI_MEMORY     ((size_t) 2 << 30)   /* cap of a command's arena */
#define CLI_OPTS       12                   /* of one command */
#define CLI_ARGS       16


/* the arguments are checked against the format, as printf's are */
#define cli_printf(a, b)  __attribute__((format(printf, a, b)))

typedef struct cli_s      cli_t;
typedef struct cli_cmd_s  cli_cmd_t;

typedef struct {
    const char  *name;          /* long option, without "--" */
    const char  *arg;           /* what it takes, for the help, or NULL */
    const char  *help;
} cli_opt_t;


/* one command; the table gives --help, the completions, docs/cli.md */
struct cli_cmd_s {
    const char       *noun;
    const char       *verb;     /* "" for a command of one word */
    const char       *args;     /* "FILE", "[SLUG]"; "" for none */
    const char       *speaks;   /* "API", "database", "files", "both" */
    const char       *summary;
    unsigned          min;      /* number of arguments */
    unsigned          max;
    int             (*run)(cli_t *c);
    const cli_opt_t  *opts;     /* ends with a NULL name; NULL: none */
};


struct cli_s {
    const cli_cmd_t  *cmd;
    ly_arena_t       *arena;                /* as long as the command */
    bool              json;                 /* -o json */
    bool              quiet;
    unsigned          verbose;
    unsigned          argc;
    const char       *argv[CLI_ARGS];       /* ends with NULL */
    const char       *values[CLI_OPTS];     /* by the order of cmd->opts */
};


/* all commands, in the order of the help; ends with a NULL noun */
extern const cli_cmd_t  cli_commands[];

/* an option's value, "" for one without, NULL when it was not given */
const char *cli_opt(const cli_t *c, const char *name);

/* the same, or the environment's, or fallback (may be NULL) */
const char *cli_setting(const cli_t *c, const char *opt, const char *env,
    const char *fallback);

/*
 * A whole number from an option; *out keeps its value when it is not given.
 * Returns 0, or says what is wrong and returns CLI_USAGE.
 */
ly_must_check int cli_opt_int(const cli_t *c, const char *name, int64_t min,
    int64_t max, int64_t *out);

/*
 * One line to stderr, "error: ..."; returns code.  Texts are printf formats
 * for people; never data of a format of its own.
 */
cli_printf(3, 4)
int cli_fail(const cli_t *c, int code, const char *fmt, ...);

/* "hint: ..." behind an error */
cli_printf(2, 3)
void cli_hint(const cli_t *c, const char *fmt, ...);

/* for people, unless -q; to stderr */
cli_printf(2, 3)
void cli_note(const cli_t *c, const char *fmt, ...);

int cli_nomem(const cli_t *c);

/* all of it to stdout; CLI_FAILED, said already, when that cannot be */
ly_must_check int cli_write(const cli_t *c, ly_str_t s);

/* the same with the buffer's own error looked at first; frees nothing */
ly_must_check int cli_write_buf(const cli_t *c, const ly_buf_t *b);

/* a copy in the arena with a NUL behind; NULL: no memory */
char *cli_text(cli_t *c, ly_str_t s);

/*
 * A secret from, in this order, the file an option names ("-" is stdin) or the
 * environment; without the newline at its end.  A file others may read is
 * refused.  Returns 0 with *out (in the arena) or empty if there is none.
 */
ly_must_check int cli_secret(cli_t *c, const char *opt, const char *env,
    ly_str_t *out);

/* a whole file into the arena, at most max bytes; 0 or an exit code */
ly_must_check int cli_read_file(cli_t *c, const char *path, size_t max,
    ly_str_t *out);

/*
 * Replaces a file: written beside, synced, renamed.  mode as chmod.  0 or an
 * exit code.
 */
ly_must_check int cli_replace_file(const cli_t *c, const char *path,
    unsigned mode, ly_str_t data);

/* microseconds since the epoch; and of a clock that never goes back */
int64_t cli_now(void);
int64_t cli_clock(void);

/* set by SIGINT or SIGTERM after cli_catch_signals(): the signal's number */
extern volatile sig_atomic_t  cli_signal;
void cli_catch_signals(void);


/* table.c: rows of text, aligned; or the same as JSON by another way */
typedef struct cli_table_s  cli_table_t;

/* n columns named by heads, which live as long as the table; NULL: memory */
cli_table_t *cli_table(cli_t *c, unsigned n, const char *const *heads);

/* the next cell, row by row; a column of numbers only is set to the right */
void cli_cell(cli_table_t *t, ly_str_t s);
void cli_cell_c(cli_table_t *t, const char *s);
void cli_cell_int(cli_table_t *t, int64_t v);

/* to stdout */
ly_must_check int cli_table_print(cli_table_t *t);


/* complete.c */
int complete_cmd(cli_t *c);
ly_must_check int help_all(const cli_t *c);
ly_must_check int help_one(const cli_t *c, const cli_cmd_t *cmd);
ly_must_check int help_docs(const cli_t *c);


#endif /* CLI_H_INCLUDED_ */
