/*
 * loyalty: the one command-line tool.  Finds the command in the table, reads
 * its options, runs it.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "commands.h"
#include "rules_cmd.h"
#include "ly_banned.h"


static int version_cmd(cli_t *c);
static int find(cli_t *c, int argc, char **argv, int *used);
static int unknown(cli_t *c, const char *noun, const char *verb);
static int options(cli_t *c, int argc, char **argv);
static int option(cli_t *c, int argc, char **argv, int *i);
static int option_value(cli_t *c, const char *arg, int argc, char **argv,
    int *i);
static int global(cli_t *c, const char *arg, int argc, char **argv, int *i,
    bool *known);
static unsigned distance(const char *a, const char *b);


static const cli_opt_t  migrate_opts[] = {
    { "sql", "DIR", "the folder of migrations and functions" },
    { "to", "N", "down: the migration to go back to, 0 for none at all" },
    { "yes", NULL, "down: really drop what the migrations made" },
    { NULL, NULL, NULL }
};

static const cli_opt_t  tenant_opts[] = {
    { "name", "TEXT", "what people call it; the slug by default" },
    { "mode", "live|test", "test by default" },
    { "plan", "CODE", "request rates and caps; standard by default" },
    { "currency", "CODE", "ISO 4217; GBP by default" },
    { "timezone", "NAME", "UTC by default" },
    { "locale", "TAG", "en by default" },
    { "owner-email", "ADDRESS", "the first user, with the role owner" },
    { "owner-password-file", "FILE", "or LOYALTY_OWNER_PASSWORD; - is stdin" },
    { "if-missing", NULL, "no error when the slug is taken" },
    { NULL, NULL, NULL }
};

static const cli_opt_t  key_create_opts[] = {
    { "tenant", "SLUG", "required" },
    { "name", "TEXT", "what it is for" },
    { "kind", "secret|publishable", "secret by default" },
    { "scopes", "LIST", "words parted by commas, or all; all by default" },
    { "key-file", "FILE", "write the key there (0600), not to stdout" },
    { NULL, NULL, NULL }
};

static const cli_opt_t  key_revoke_opts[] = {
    { "tenant", "SLUG", "required" },
    { NULL, NULL, NULL }
};

static const cli_opt_t  token_opts[] = {
    { "tenant", "SLUG", "required" },
    { "subject", "ID", "usr_... or mem_...; required" },
    { "scopes", "LIST", "words parted by commas" },
    { "ttl", "SECONDS", "60 to 900; 600 by default" },
    { "alg", "ES256|RS256", "of a signing key that has to be made; ES256" },
    { "domain", "NAME", "of the issuer; LOYALTY_DOMAIN or localhost" },
    { NULL, NULL, NULL }
};

static const cli_opt_t  import_opts[] = {
    { "state", "FILE", "where it stopped; FILE.state by default" },
    { "rejects", "FILE", "refused items; FILE.rejects by default" },
    { "batch", "N", "items of one call, 1 to 1000; 500 by default" },
    { "in-flight", "N", "calls at a time, 1 to 16; 4 by default" },
    { "give-up", "SECONDS", "without any progress; 300 by default" },
    { "from-start", NULL, "send everything again, whatever the state says" },
    { "api-key-file", "FILE", "or LOYALTY_SECRET_KEY; - is stdin" },
    { NULL, NULL, NULL }
};

static const cli_opt_t  api_opts[] = {
    { "api-key-file", "FILE", "or LOYALTY_SECRET_KEY; - is stdin" },
    { NULL, NULL, NULL }
};

static const cli_opt_t  jobs_opts[] = {
    { "state", "NAME", "only jobs in this state" },
    { "queue", "NAME", "only jobs of this queue" },
    { "limit", "N", "1 to 1000; 50 by default" },
    { NULL, NULL, NULL }
};

static const cli_opt_t  doctor_opts[] = {
    { "sql", "DIR", "the folder of migrations and functions" },
    { "api-key-file", "FILE", "or LOYALTY_SECRET_KEY; - is stdin" },
    { NULL, NULL, NULL }
};

static const cli_opt_t  generate_opts[] = {
    { "seed", "N", "the same seed gives the same file; 1 by default" },
    { "orders", "N", "100 to 1000000; 20000 by default" },
    { NULL, NULL, NULL }
};

static const cli_opt_t  rules_opts[] = {
    { "catalogue", "FILE", "the facts that rules may read" },
    { "offline", NULL, "read everything from files, ask nobody" },
    { NULL, NULL, NULL }
};

static const cli_opt_t  eval_opts[] = {
    { "compatible", NULL, "classic JsonLogic with JavaScript's coercions" },
    { NULL, NULL, NULL }
};


const cli_cmd_t  cli_commands[] = {
    { "migrate", "up", "", "database",
      "bring the database to this version", 0, 0,
      migrate_up_cmd, migrate_opts },
    { "migrate", "down", "", "database",
      "take the last migration back", 0, 0,
      migrate_down_cmd, migrate_opts },
    { "migrate", "status", "", "database",
      "what is applied, pending, changed", 0, 0,
      migrate_status_cmd, migrate_opts },
    { "tenant", "create", "SLUG", "database",
      "a merchant's account with its keys of encryption", 1, 1,
      tenant_create_cmd, tenant_opts },
    { "key", "create", "", "database",
      "an API key, shown once", 0, 0, key_create_cmd, key_create_opts },
    { "key", "revoke", "ID", "database",
      "an API key stops working", 1, 1, key_revoke_cmd, key_revoke_opts },
    { "token", "mint", "", "database",
      "an access token for a user or a member", 0, 0,
      token_mint_cmd, token_opts },
    { "events", "import", "FILE", "API",
      "send JSON lines, one member's events in order", 1, 1,
      events_import_cmd, import_opts },
    { "members", "balance", "MEMBER", "API",
      "what a member has: mem_..., ext:ID, ext:SOURCE:ID", 1, 1,
      members_balance_cmd, api_opts },
    { "entries", "why", "ID", "API",
      "why a ledger entry is there, value by value", 1, 1,
      entries_why_cmd, api_opts },
    { "rules", "check", "FILE...", "files",
      "is a rule document in order; every fault is named", 1, CLI_ARGS - 1,
      rules_check_cmd, rules_opts },
    { "rules", "fmt", "FILE", "files",
      "a rule document in its normal form", 1, 1, rules_fmt_cmd, rules_opts },
    { "rules", "explain", "FILE", "files",
      "a rule in plain English", 1, 1, rules_explain_cmd, rules_opts },
    { "rules", "eval", "", "files",
      "JSON lines {\"rule\", \"data\"} from stdin, an answer each", 0, 0,
      rules_eval_cmd, eval_opts },
    { "rules", "verify-trace", "FILE...", "files",
      "recompute the points of a stored trace", 1, CLI_ARGS - 1,
      rules_verify_trace_cmd, rules_opts },
    { "jobs", "ls", "", "database",
      "jobs, the newest first", 0, 0, jobs_ls_cmd, jobs_opts },
    { "jobs", "retry", "ID", "database",
      "run a job again now", 1, 1, jobs_retry_cmd, NULL },
    { "jobs", "cancel", "ID", "database",
      "never run a job", 1, 1, jobs_cancel_cmd, NULL },
    { "audit", "", "", "database",
      "every invariant of the books; 10 when one does not hold", 0, 0,
      audit_cmd, NULL },
    { "doctor", "", "", "both",
      "is everything in its place; 10 when not", 0, 0,
      doctor_cmd, doctor_opts },
    { "demo", "generate", "", "files",
      "a shop's year of invoices as CSV, to stdout", 0, 0,
      demo_generate_cmd, generate_opts },
    { "demo", "events", "FILE", "files",
      "events of invoices in CSV (or CSV.zst), to stdout", 1, 1,
      demo_events_cmd, NULL },
    { "completion", "", "bash|zsh|fish", "nothing",
      "a script for the shell, to stdout", 1, 1, complete_cmd, NULL },
    { "version", "", "", "nothing",
      "the version of this tool", 0, 0, version_cmd, NULL },
    { NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL }
};


int
main(int argc, char **argv)
{
    int    code, used = 0;
    cli_t  c;

    memset(&c, 0, sizeof(c));

    c.arena = ly_arena_create(CLI_MEMORY, NULL);
    if (c.arena == NULL) {
        return cli_nomem(&c);
    }

    code = find(&c, argc, argv, &used);

    if (code == CLI_OK && c.cmd != NULL) {
        code = options(&c, argc - used, argv + used);

        if (code == CLI_OK) {
            code = c.cmd->run(&c);

        } else if (code == -1) {
            code = help_one(&c, c.cmd);
        }
    }

    ly_arena_destroy(c.arena);

    return code;
}


/* c->cmd stays NULL when a help was all that was asked for */

static int
find(cli_t *c, int argc, char **argv, int *used)
{
    int               i;
    bool              known;
    int               code;
    const char       *noun, *verb;
    const cli_cmd_t  *cmd;

    for (i = 1; i < argc && argv[i][0] == '-'; i++) {

        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return help_all(c);
        }

        if (strcmp(argv[i], "--help-docs") == 0) {
            return help_docs(c);
        }

        if (strcmp(argv[i], "--version") == 0) {
            return version_cmd(c);
        }

        code = global(c, argv[i], argc, argv, &i, &known);
        if (code != CLI_OK) {
            return code;
        }

        if (!known) {
            return cli_fail(c, CLI_USAGE, "unknown option %s", argv[i]);
        }
    }

    if (i == argc) {
        return help_all(c) == CLI_OK ? CLI_USAGE : CLI_FAILED;
    }

    noun = argv[i];
    verb = (i + 1 < argc) ? argv[i + 1] : "";

    if (strcmp(noun, "help") == 0) {
        return help_all(c);
    }

    for (cmd = cli_commands; cmd->noun != NULL; cmd++) {

        if (strcmp(cmd->noun, noun) == 0
            && (cmd->verb[0] == '\0' || strcmp(cmd->verb, verb) == 0))
        {
            c->cmd = cmd;
            *used = i + (cmd->verb[0] == '\0' ? 1 : 2);
            return CLI_OK;
        }
    }

    return unknown(c, noun, verb);
}


/* says the nearest commands, three at most */

static int
unknown(cli_t *c, const char *noun, const char *verb)
{
    bool              same;
    unsigned          said;
    const cli_cmd_t  *cmd;

    same = false;
    said = 0;

    for (cmd = cli_commands; cmd->noun != NULL; cmd++) {
        same = same || strcmp(cmd->noun, noun) == 0;
    }

    if (same && verb[0] == '-') {
        verb = "";
    }

    (void) cli_fail(c, CLI_USAGE, "unknown command %s%s%s", noun,
                    same && verb[0] != '\0' ? " " : "", same ? verb : "");

    for (cmd = cli_commands; cmd->noun != NULL && said < 3; cmd++) {

        if (same ? strcmp(cmd->noun, noun) == 0
                 : distance(cmd->noun, noun) <= 2)
        {
            cli_hint(c, "loyalty %s%s%s", cmd->noun,
                     cmd->verb[0] == '\0' ? "" : " ", cmd->verb);
            said++;
        }
    }

    if (said == 0) {
        cli_hint(c, "loyalty --help");
    }

    return CLI_USAGE;
}


/* CLI_OK, -1 when --help was among them, or CLI_USAGE */

static int
options(cli_t *c, int argc, char **argv)
{
    int   i, code;
    bool  rest;

    rest = false;

    for (i = 0; i < argc; i++) {

        if (!rest && argv[i][0] == '-' && argv[i][1] != '\0') {

            if (strcmp(argv[i], "--") == 0) {
                rest = true;
                continue;
            }

            if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
                return -1;
            }

            code = option(c, argc, argv, &i);
            if (code != CLI_OK) {
                return code;
            }

            continue;
        }

        if (c->argc == c->cmd->max) {
            return cli_fail(c, CLI_USAGE, "one argument too many: %s",
                            argv[i]);
        }

        c->argv[c->argc++] = argv[i];
    }

    if (c->argc < c->cmd->min) {
        (void) cli_fail(c, CLI_USAGE, "%s is missing", c->cmd->args);
        cli_hint(c, "loyalty %s %s --help", c->cmd->noun, c->cmd->verb);
        return CLI_USAGE;
    }

    return CLI_OK;
}


static int
option(cli_t *c, int argc, char **argv, int *i)
{
    int   code;
    bool  known;

    code = global(c, argv[*i], argc, argv, i, &known);

    if (code != CLI_OK || known) {
        return code;
    }

    if (strncmp(argv[*i], "--", 2) == 0) {
        return option_value(c, argv[*i] + 2, argc, argv, i);
    }

    return cli_fail(c, CLI_USAGE, "unknown option %s", argv[*i]);
}


static int
option_value(cli_t *c, const char *arg, int argc, char **argv, int *i)
{
    size_t            len;
    unsigned          n;
    const char       *eq;
    const cli_opt_t  *opt;

    eq = strchr(arg, '=');
    len = (eq != NULL) ? (size_t) (eq - arg) : strlen(arg);

    for (n = 0, opt = c->cmd->opts; opt != NULL && opt->name != NULL;
         opt++, n++)
    {
        if (strlen(opt->name) != len || strncmp(opt->name, arg, len) != 0) {
            continue;
        }

        if (opt->arg == NULL) {
            if (eq != NULL) {
                return cli_fail(c, CLI_USAGE, "--%s takes no value",
                                opt->name);
            }

            c->values[n] = "";
            return CLI_OK;
        }

        if (eq != NULL) {
            c->values[n] = eq + 1;
            return CLI_OK;
        }

        if (*i + 1 == argc) {
            return cli_fail(c, CLI_USAGE, "--%s needs %s", opt->name,
                            opt->arg);
        }

        c->values[n] = argv[++*i];
        return CLI_OK;
    }

    (void) cli_fail(c, CLI_USAGE, "unknown option --%s", arg);
    cli_hint(c, "loyalty %s %s --help", c->cmd->noun, c->cmd->verb);

    return CLI_USAGE;
}


/* options that every command takes */

static int
global(cli_t *c, const char *arg, int argc, char **argv, int *i, bool *known)
{
    const char  *v;

    *known = true;

    if (strcmp(arg, "-q") == 0 || strcmp(arg, "--quiet") == 0) {
        c->quiet = true;
        return CLI_OK;
    }

    if (strcmp(arg, "-v") == 0 || strcmp(arg, "--verbose") == 0) {
        c->verbose++;
        return CLI_OK;
    }

    if (strncmp(arg, "-o", 2) != 0 && strncmp(arg, "--output", 8) != 0) {
        *known = false;
        return CLI_OK;
    }

    if (strncmp(arg, "--output=", 9) == 0) {
        v = arg + 9;

    } else if (arg[1] == 'o' && arg[2] != '\0') {
        v = arg + 2;

    } else if (*i + 1 < argc) {
        v = argv[++*i];

    } else {
        v = "";
    }

    if (strcmp(v, "json") == 0) {
        c->json = true;
        return CLI_OK;
    }

    if (strcmp(v, "table") == 0) {
        c->json = false;
        return CLI_OK;
    }

    return cli_fail(c, CLI_USAGE, "-o is table or json");
}


static int
version_cmd(cli_t *c)
{
    if (c->json) {
        return cli_write(c, ly_str("{\"version\":\"" CLI_VERSION "\"}\n"));
    }

    return cli_write(c, ly_str("loyalty " CLI_VERSION "\n"));
}


/* edits between two words of up to 31 bytes */

static unsigned
distance(const char *a, const char *b)
{
    size_t    i, j, n, m;
    unsigned  row[32], diagonal, above, best;

    n = strlen(a);
    m = strlen(b);

    if (n > 31 || m > 31) {
        return 32;
    }

    for (j = 0; j <= m; j++) {
        row[j] = (unsigned) j;
    }

    for (i = 1; i <= n; i++) {
        diagonal = row[0];
        row[0] = (unsigned) i;

        for (j = 1; j <= m; j++) {
            above = row[j];
            best = diagonal + (a[i - 1] != b[j - 1]);
            best = (above + 1 < best) ? above + 1 : best;
            best = (row[j - 1] + 1 < best) ? row[j - 1] + 1 : best;
            diagonal = above;
            row[j] = best;
        }
    }

    return row[m];
}
