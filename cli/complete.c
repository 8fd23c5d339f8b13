/* All that is made from the command table: help, completion, docs/cli.md. */

#include <string.h>

#include "cli.h"
#include "ly_banned.h"


static void usage(ly_buf_t *b, const cli_cmd_t *cmd);
static void pad(ly_buf_t *b, size_t len, size_t to);
static void escaped(ly_buf_t *b, const char *text, char special);
static bool first_of_noun(const cli_cmd_t *cmd);
static void bash(ly_buf_t *b);
static void zsh(ly_buf_t *b);
static void fish(ly_buf_t *b);

static const char  help_tail[] =
    "\nloyalty COMMAND --help tells its options.\n"
    "\nSettings: LOYALTY_DATABASE, LOYALTY_KEYRING for commands of the"
    " database;\nLOYALTY_URL, LOYALTY_SECRET_KEY, LOYALTY_CA for commands"
    " of the API.\n"
    "\nExit codes: 0 done, 1 failed, 2 usage, 3 cancelled,"
    " 4 not allowed, 5 not found,\n6 conflict, 7 input refused,"
    " 8 still pending, 9 server or network away,\n10 a check found"
    " something, 130 and 143 stopped by a signal.\n";

static const char  bash_head[] =
    "_loyalty() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} words=\n"
    "    case $COMP_CWORD:${COMP_WORDS[1]}:${COMP_WORDS[2]} in\n"
    "    1:*) words=\"";

static const char  bash_tail[] =
    "    esac\n"
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
    "    [ ${#COMPREPLY[@]} -gt 0 ] ||"
    " COMPREPLY=($(compgen -f -- \"$cur\"))\n"
    "}\n"
    "complete -F _loyalty loyalty\n";


int
help_all(const cli_t *c)
{
    size_t            start;
    ly_buf_t          b;
    const cli_cmd_t  *cmd;

    ly_buf_init_arena(&b, c->arena, 65536);
    ly_buf_cstr(&b, "usage: loyalty [-o table|json] [-q] [-v] COMMAND ...\n");

    for (cmd = cli_commands; cmd->noun != NULL; cmd++) {

        if (first_of_noun(cmd)) {
            ly_buf_byte(&b, '\n');
        }

        start = b.len;
        ly_buf_cstr(&b, "  ");
        usage(&b, cmd);
        pad(&b, b.len - start, 32);
        ly_buf_cstr(&b, cmd->summary);
        ly_buf_byte(&b, '\n');
    }

    ly_buf_cstr(&b, help_tail);

    return cli_write_buf(c, &b);
}


int
help_one(const cli_t *c, const cli_cmd_t *cmd)
{
    size_t            start;
    ly_buf_t          b;
    const cli_opt_t  *opt;

    ly_buf_init_arena(&b, c->arena, 65536);
    ly_buf_cstr(&b, "usage: loyalty ");
    usage(&b, cmd);
    ly_buf_cstr(&b, "\n\n");
    ly_buf_cstr(&b, cmd->summary);
    ly_buf_cstr(&b, "\nspeaks to: ");
    ly_buf_cstr(&b, cmd->speaks);
    ly_buf_cstr(&b, "\n");

    for (opt = cmd->opts; opt != NULL && opt->name != NULL; opt++) {

        if (opt == cmd->opts) {
            ly_buf_byte(&b, '\n');
        }

        start = b.len;
        ly_buf_cstr(&b, "  --");
        ly_buf_cstr(&b, opt->name);

        if (opt->arg != NULL) {
            ly_buf_byte(&b, ' ');
            ly_buf_cstr(&b, opt->arg);
        }

        pad(&b, b.len - start, 32);
        ly_buf_cstr(&b, opt->help);
        ly_buf_byte(&b, '\n');
    }

    return cli_write_buf(c, &b);
}


/* the command reference of docs/cli.md, between its marks */

int
help_docs(const cli_t *c)
{
    ly_buf_t          b;
    const cli_cmd_t  *cmd;
    const cli_opt_t  *opt;

    ly_buf_init_arena(&b, c->arena, 65536);
    ly_buf_cstr(&b, "| command | speaks to | what it does |\n"
                "| --- | --- | --- |\n");

    for (cmd = cli_commands; cmd->noun != NULL; cmd++) {
        ly_buf_cstr(&b, "| `loyalty ");
        ly_buf_cstr(&b, cmd->noun);
        ly_buf_cstr(&b, cmd->verb[0] == '\0' ? "" : " ");
        ly_buf_cstr(&b, cmd->verb);
        ly_buf_cstr(&b, cmd->args[0] == '\0' ? "" : " ");
        escaped(&b, cmd->args, '|');
        ly_buf_cstr(&b, "` | ");
        ly_buf_cstr(&b, cmd->speaks);
        ly_buf_cstr(&b, " | ");
        ly_buf_cstr(&b, cmd->summary);

        for (opt = cmd->opts; opt != NULL && opt->name != NULL; opt++) {
            ly_buf_cstr(&b, "<br>`--");
            ly_buf_cstr(&b, opt->name);

            if (opt->arg != NULL) {
                ly_buf_byte(&b, ' ');
                escaped(&b, opt->arg, '|');
            }

            ly_buf_cstr(&b, "` ");
            ly_buf_cstr(&b, opt->help);
        }

        ly_buf_cstr(&b, " |\n");
    }

    return cli_write_buf(c, &b);
}


int
complete_cmd(cli_t *c)
{
    ly_buf_t     b;
    const char  *shell;

    shell = c->argv[0];
    ly_buf_init_arena(&b, c->arena, 65536);

    if (strcmp(shell, "bash") == 0) {
        bash(&b);

    } else if (strcmp(shell, "zsh") == 0) {
        zsh(&b);

    } else if (strcmp(shell, "fish") == 0) {
        fish(&b);

    } else {
        return cli_fail(c, CLI_USAGE, "no completion for %s: bash, zsh or"
                        " fish", shell);
    }

    return cli_write_buf(c, &b);
}


static void
bash(ly_buf_t *b)
{
    const cli_cmd_t  *cmd, *next;
    const cli_opt_t  *opt;

    ly_buf_cstr(b, bash_head);

    for (cmd = cli_commands; cmd->noun != NULL; cmd++) {
        if (first_of_noun(cmd)) {
            ly_buf_cstr(b, cmd->noun);
            ly_buf_byte(b, ' ');
        }
    }

    ly_buf_cstr(b, "--help\" ;;\n");

    for (cmd = cli_commands; cmd->noun != NULL; cmd++) {

        if (!first_of_noun(cmd) || cmd->verb[0] == '\0') {
            continue;
        }

        ly_buf_cstr(b, "    2:");
        ly_buf_cstr(b, cmd->noun);
        ly_buf_cstr(b, ":*) words=\"");

        for (next = cmd; next->noun != NULL; next++) {
            if (strcmp(next->noun, cmd->noun) == 0) {
                ly_buf_cstr(b, next->verb);
                ly_buf_byte(b, ' ');
            }
        }

        ly_buf_cstr(b, "\" ;;\n");
    }

    for (cmd = cli_commands; cmd->noun != NULL; cmd++) {
        ly_buf_cstr(b, "    *:");
        ly_buf_cstr(b, cmd->noun);
        ly_buf_byte(b, ':');
        ly_buf_cstr(b, cmd->verb[0] == '\0' ? "*" : cmd->verb);
        ly_buf_cstr(b, ") words=\"");

        for (opt = cmd->opts; opt != NULL && opt->name != NULL; opt++) {
            ly_buf_cstr(b, "--");
            ly_buf_cstr(b, opt->name);
            ly_buf_byte(b, ' ');
        }

        ly_buf_cstr(b, strcmp(cmd->noun, "completion") == 0
                       ? "bash zsh fish --help\" ;;\n" : "--help\" ;;\n");
    }

    ly_buf_cstr(b, bash_tail);
}


/* zsh reads bash's own through its compatibility layer */

static void
zsh(ly_buf_t *b)
{
    ly_buf_cstr(b, "#compdef loyalty\n");
    ly_buf_cstr(b, "autoload -U +X bashcompinit && bashcompinit\n");
    bash(b);
}


static void
fish(ly_buf_t *b)
{
    const cli_cmd_t  *cmd;
    const cli_opt_t  *opt;

    ly_buf_cstr(b, "complete -c loyalty -f -n __fish_use_subcommand"
                " -l help\n");

    for (cmd = cli_commands; cmd->noun != NULL; cmd++) {

        if (first_of_noun(cmd)) {
            ly_buf_cstr(b, "complete -c loyalty -f -n __fish_use_subcommand"
                        " -a ");
            ly_buf_cstr(b, cmd->noun);
            ly_buf_byte(b, '\n');
        }

        if (cmd->verb[0] != '\0') {
            ly_buf_cstr(b, "complete -c loyalty -f -n"
                        " '__fish_seen_subcommand_from ");
            ly_buf_cstr(b, cmd->noun);
            ly_buf_cstr(b, "' -a ");
            ly_buf_cstr(b, cmd->verb);
            ly_buf_cstr(b, " -d '");
            escaped(b, cmd->summary, '\'');
            ly_buf_cstr(b, "'\n");
        }

        for (opt = cmd->opts; opt != NULL && opt->name != NULL; opt++) {
            ly_buf_cstr(b, "complete -c loyalty -n"
                        " '__fish_seen_subcommand_from ");
            ly_buf_cstr(b, cmd->verb[0] == '\0' ? cmd->noun : cmd->verb);
            ly_buf_cstr(b, "' -l ");
            ly_buf_cstr(b, opt->name);
            ly_buf_cstr(b, opt->arg != NULL ? " -r\n" : "\n");
        }
    }
}


static void
usage(ly_buf_t *b, const cli_cmd_t *cmd)
{
    ly_buf_cstr(b, cmd->noun);

    if (cmd->verb[0] != '\0') {
        ly_buf_byte(b, ' ');
        ly_buf_cstr(b, cmd->verb);
    }

    if (cmd->args[0] != '\0') {
        ly_buf_byte(b, ' ');
        ly_buf_cstr(b, cmd->args);
    }
}


static void
pad(ly_buf_t *b, size_t len, size_t to)
{
    ly_buf_byte(b, ' ');

    for (len++; len < to; len++) {
        ly_buf_byte(b, ' ');
    }
}


/* a bar would end a table's cell, a quote a word of fish */

static void
escaped(ly_buf_t *b, const char *text, char special)
{
    for ( ; *text != '\0'; text++) {
        if (*text == special) {
            ly_buf_byte(b, '\\');
        }

        ly_buf_byte(b, (unsigned char) *text);
    }
}


static bool
first_of_noun(const cli_cmd_t *cmd)
{
    return cmd == cli_commands || strcmp(cmd[-1].noun, cmd->noun) != 0;
}
