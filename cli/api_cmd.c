/* Commands that ask the public API one or two things. */

#include <string.h>

#include "api.h"
#include "commands.h"
#include "ly_jw.h"
#include "ly_banned.h"


static int get(cli_t *c, api_t *api, const char *lead, const char *id,
    const char *tail, ly_json_node_t **root);
static int balances(cli_t *c, const ly_json_node_t *root);
static void cell(cli_table_t *t, const ly_json_node_t *node);
static int why(cli_t *c, const ly_json_node_t *entry,
    const ly_json_node_t *trace);
static void leaves(ly_buf_t *b, const ly_json_node_t *node);
static int out(cli_t *c, const ly_json_node_t *node);


int
members_balance_cmd(cli_t *c)
{
    int              code;
    api_t           *api;
    ly_json_node_t  *root;

    api = api_open(c, &code);
    if (api == NULL) {
        return code;
    }

    code = get(c, api, "/v1/members/", c->argv[0], "/balances", &root);

    if (code == CLI_OK) {
        code = c->json ? out(c, root) : balances(c, root);
    }

    api_close(api);

    return code;
}


static int
balances(cli_t *c, const ly_json_node_t *root)
{
    unsigned               i;
    cli_table_t           *t;
    const ly_json_node_t  *data, *b;

    static const char *const  heads[] = {
        "wallet", "available", "pending", "held", "debt", "earned", "spent",
        "expired", "reversed", "version"
    };

    t = cli_table(c, ly_countof(heads), heads);
    if (t == NULL) {
        return cli_nomem(c);
    }

    data = ly_json_member(root, ly_str("data"));

    for (b = (data != NULL) ? data->first : NULL; b != NULL; b = b->next) {
        for (i = 0; i < ly_countof(heads); i++) {
            cell(t, ly_json_member(i >= 5 && i <= 8
                                   ? ly_json_member(b, ly_str("lifetime")) : b,
                                   ly_str_c(heads[i])));
        }
    }

    return cli_table_print(t);
}


static void
cell(cli_table_t *t, const ly_json_node_t *node)
{
    cli_cell(t, node != NULL ? node->text : ly_str(""));
}


int
entries_why_cmd(cli_t *c)
{
    int              code;
    api_t           *api;
    ly_json_node_t  *entry, *trace;

    api = api_open(c, &code);
    if (api == NULL) {
        return code;
    }

    code = get(c, api, "/v1/entries/", c->argv[0], "", &entry);

    if (code == CLI_OK) {
        code = get(c, api, "/v1/entries/", c->argv[0], "/trace", &trace);
    }

    if (code == CLI_OK) {
        code = why(c, entry, trace);
    }

    api_close(api);

    return code;
}


static int
why(cli_t *c, const ly_json_node_t *entry, const ly_json_node_t *trace)
{
    ly_jw_t   w;
    ly_buf_t  b;

    ly_buf_init_arena(&b, c->arena, CLI_MEMORY);

    if (c->json) {
        ly_jw_init(&w, &b);
        ly_jw_object(&w);
        ly_jw_k(&w, "entry");
        ly_jw_node(&w, entry);
        ly_jw_k(&w, "trace");
        ly_jw_node(&w, trace);
        ly_jw_object_end(&w);
        ly_buf_byte(&b, '\n');

        return (ly_jw_done(&w) == LY_OK) ? cli_write_buf(c, &b) : cli_nomem(c);
    }

    leaves(&b, entry);
    ly_buf_cstr(&b, "\ntrace\n");
    leaves(&b, trace);

    return cli_write_buf(c, &b);
}


/* one line a value: where it stands, and what it is */

static void
leaves(ly_buf_t *b, const ly_json_node_t *node)
{
    const ly_json_node_t  *child;

    if (node->type == LY_JSON_ARRAY || node->type == LY_JSON_OBJECT) {

        /* depth is bounded by the parser's limit */
        for (child = node->first; child != NULL; child = child->next) {
            leaves(b, child);
        }

        return;
    }

    ly_json_pointer_print(node, b);
    ly_buf_byte(b, ' ');

    switch ((ly_json_type_e) node->type) {

    case LY_JSON_NULL:
        ly_buf_cstr(b, "null");
        break;

    case LY_JSON_TRUE:
        ly_buf_cstr(b, "true");
        break;

    case LY_JSON_FALSE:
        ly_buf_cstr(b, "false");
        break;

    case LY_JSON_NUMBER:
    case LY_JSON_STRING:
        ly_buf_str(b, node->text);
        break;

    case LY_JSON_ARRAY:
    case LY_JSON_OBJECT:
        break;
    }

    ly_buf_byte(b, '\n');
}


static int
get(cli_t *c, api_t *api, const char *lead, const char *id, const char *tail,
    ly_json_node_t **root)
{
    int                code;
    ly_buf_t           path;
    ly_str_t           text;
    api_answer_t      *a;
    ly_json_limits_t   limits;

    ly_buf_init_arena(&path, c->arena, 8192);
    ly_buf_cstr(&path, lead);
    api_segment(&path, ly_str_c(id));
    ly_buf_cstr(&path, tail);
    ly_buf_byte(&path, '\0');

    if (ly_buf_err(&path) != LY_OK) {
        return cli_fail(c, CLI_USAGE, "%s is too long for an id", id);
    }

    a = api_call(api, "GET", (char *) path.data, ly_str(""));

    code = api_verdict(c, a);
    if (code != CLI_OK) {
        return code;
    }

    limits = ly_json_limits_default;
    limits.max_bytes = API_ANSWER_MAX;
    limits.max_depth = 100;

    if (ly_arena_str(c->arena, ly_buf_view(&a->body), &text) != LY_OK
        || ly_json_parse(c->arena, text, &limits, root, NULL) != LY_OK)
    {
        return cli_fail(c, CLI_FAILED, "the answer cannot be read");
    }

    return CLI_OK;
}


static int
out(cli_t *c, const ly_json_node_t *node)
{
    ly_jw_t   w;
    ly_buf_t  b;

    ly_buf_init_arena(&b, c->arena, CLI_MEMORY);
    ly_jw_init(&w, &b);
    ly_jw_node(&w, node);
    ly_buf_byte(&b, '\n');

    return (ly_jw_done(&w) == LY_OK) ? cli_write_buf(c, &b) : cli_nomem(c);
}
