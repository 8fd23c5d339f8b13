/* loyalty rules check, fmt, explain, eval, verify-trace. */

#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ly_canon.h"
#include "ly_jw.h"
#include "ly_time.h"
#include "rules_cmd.h"
#include "worker/rule/rule.h"
#include "ly_banned.h"


#define RULES_FILE   ((size_t) 32 << 20)
#define RULES_LINE   1048576            /* bytes of a line of eval */
#define RULES_ARENA  ((size_t) 512 << 20)
#define RULES_OUT    ((size_t) 64 << 20)


/* the catalogue of --catalogue, or the default one; 0 or an exit code */
static int
rules_catalogue(cli_t *c, rule_catalogue_t **out)
{
    int            rc;
    ly_str_t       json;
    const char    *path;
    rule_faults_t  faults;

    path = cli_opt(c, "catalogue");

    if (path == NULL) {
        return rule_catalogue_default(c->arena, out) == LY_OK ? 0
                                                              : cli_nomem(c);
    }

    rc = cli_read_file(c, path, RULES_FILE, &json);

    if (rc != 0) {
        return rc;
    }

    switch (rule_catalogue_parse(c->arena, json, out, &faults)) {

    case LY_OK:
        return 0;

    case LY_NOMEM:
        return cli_nomem(c);

    default:
        return cli_fail(c, CLI_REJECTED, "%s: not a catalogue: %s at %.*s",
                        path, faults.n > 0 ? faults.fault[0].code : "",
                        faults.n > 0 ? (int) faults.fault[0].pointer.len : 0,
                        faults.n > 0
                        ? (const char *) faults.fault[0].pointer.data : "");
    }
}


static void
rules_faults_json(const char *path, const rule_faults_t *faults, ly_buf_t *b)
{
    size_t               i;
    ly_jw_t              w;
    const rule_fault_t  *f;

    ly_jw_init(&w, b);
    ly_jw_object(&w);
    ly_jw_k(&w, "file");
    ly_jw_text(&w, ly_str_c(path));
    ly_jw_kbool(&w, "ok", faults->n == 0);
    ly_jw_k(&w, "errors");
    ly_jw_array(&w);

    for (i = 0; i < faults->n; i++) {
        f = &faults->fault[i];
        ly_jw_object(&w);
        ly_jw_kstr(&w, "pointer", f->pointer);
        ly_jw_kcstr(&w, "code", f->code);
        ly_jw_kstr(&w, "expected", f->expected);
        ly_jw_kstr(&w, "found", f->found);
        ly_jw_object_end(&w);
    }

    ly_jw_array_end(&w);
    ly_jw_kint(&w, "more", (int64_t) faults->more);
    ly_jw_object_end(&w);
    ly_buf_byte(b, '\n');
}


static void
rules_faults_text(const char *path, const rule_faults_t *faults, ly_buf_t *b)
{
    size_t               i;
    const rule_fault_t  *f;

    if (faults->n == 0) {
        ly_buf_cstr(b, path);
        ly_buf_cstr(b, ": ok\n");
    }

    for (i = 0; i < faults->n; i++) {
        f = &faults->fault[i];
        ly_buf_cstr(b, path);
        ly_buf_cstr(b, ":");
        ly_buf_str(b, f->pointer);
        ly_buf_cstr(b, ": ");
        ly_buf_cstr(b, f->code);
        ly_buf_cstr(b, ": expected ");
        ly_buf_str(b, f->expected);

        if (f->found.len > 0) {
            ly_buf_cstr(b, ", found ");
            ly_buf_str(b, f->found);
        }

        ly_buf_byte(b, '\n');
    }

    if (faults->more > 0) {
        ly_buf_cstr(b, path);
        ly_buf_cstr(b, ": and ");
        ly_buf_uint(b, faults->more);
        ly_buf_cstr(b, " more\n");
    }
}


int
rules_check_cmd(cli_t *c)
{
    int                rc;
    bool               bad;
    ly_buf_t           b;
    ly_err_t           err;
    ly_str_t           json;
    unsigned           i;
    rule_faults_t      faults;
    rule_program_t    *p;
    rule_catalogue_t  *catalogue;

    rc = rules_catalogue(c, &catalogue);

    if (rc != 0) {
        return rc;
    }

    bad = false;
    ly_buf_init_arena(&b, c->arena, RULES_OUT);

    for (i = 0; i < c->argc; i++) {
        rc = cli_read_file(c, c->argv[i], RULES_FILE, &json);

        if (rc != 0) {
            return rc;
        }

        err = rule_compile(c->arena, json, catalogue, 0, &p, &faults);

        if (err == LY_NOMEM || (err != LY_OK && faults.n == 0)) {
            return cli_nomem(c);
        }

        bad |= err != LY_OK;

        if (c->json) {
            rules_faults_json(c->argv[i], &faults, &b);
        } else {
            rules_faults_text(c->argv[i], &faults, &b);
        }
    }

    rc = cli_write_buf(c, &b);

    return rc != 0 ? rc : bad ? CLI_CHECK : CLI_OK;
}


typedef ly_err_t (*rules_print_pt)(ly_arena_t *a, ly_str_t json,
    const rule_catalogue_t *c, ly_buf_t *b, rule_faults_t *faults);


/* fmt and explain: one document in, one text out */
static int
rules_print(cli_t *c, rules_print_pt print, bool newline)
{
    int                rc;
    ly_buf_t           b, told;
    ly_err_t           err;
    ly_str_t           json;
    rule_faults_t      faults;
    rule_catalogue_t  *catalogue;

    rc = rules_catalogue(c, &catalogue);

    if (rc == 0) {
        rc = cli_read_file(c, c->argv[0], RULES_FILE, &json);
    }

    if (rc != 0) {
        return rc;
    }

    ly_buf_init_arena(&b, c->arena, RULES_OUT);
    err = print(c->arena, json, catalogue, &b, &faults);

    if (err == LY_OK) {
        if (newline) {
            ly_buf_byte(&b, '\n');
        }

        return cli_write_buf(c, &b);
    }

    if (err == LY_NOMEM || faults.n == 0) {
        return cli_nomem(c);
    }

    ly_buf_init_arena(&told, c->arena, RULES_OUT);
    rules_faults_text(c->argv[0], &faults, &told);

    return cli_fail(c, CLI_REJECTED, "%.*s", (int) told.len - 1,
                    (const char *) told.data);
}


int
rules_fmt_cmd(cli_t *c)
{
    return rules_print(c, rule_normalise, true);
}


int
rules_explain_cmd(cli_t *c)
{
    return rules_print(c, rule_english, false);
}


/* --- eval --- */

/*
 * A line of stdin, at most RULES_LINE bytes, without its newline.  false at
 * the end; *longer: the line was cut, its rest is gone.
 */
static bool
rules_line(unsigned char *line, size_t *len, bool *longer)
{
    int  ch;

    *len = 0;
    *longer = false;

    while ((ch = getc_unlocked(stdin)) != EOF && ch != '\n') {
        if (*len == RULES_LINE) {
            *longer = true;
            continue;
        }

        line[(*len)++] = (unsigned char) ch;
    }

    return ch != EOF || *len > 0;
}


static bool
rules_blank(const unsigned char *line, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') {
            return false;
        }
    }

    return true;
}


int
rules_eval_cmd(cli_t *c)
{
    int             rc;
    bool            compatible, longer;
    size_t          len;
    ly_buf_t        out;
    ly_arena_t     *a;
    unsigned char  *line;

    compatible = cli_opt(c, "compatible") != NULL;
    line = ly_arena_bytes(c->arena, RULES_LINE);
    a = ly_arena_create(RULES_ARENA, NULL);

    if (line == NULL || a == NULL) {
        ly_arena_destroy(a);
        return cli_nomem(c);
    }

    rc = CLI_OK;
    ly_buf_init(&out, RULES_OUT, NULL);

    while (rc == CLI_OK && rules_line(line, &len, &longer)) {
        if (rules_blank(line, len)) {
            continue;
        }

        ly_buf_reset(&out);

        if (longer) {
            ly_buf_cstr(&out, "{\"error\":{\"code\":\"json.too_large\","
                        "\"detail\":\"a line of more than 1 MiB\"}}");

        } else if (!rules_eval_line(a, ly_str_of(line, len), compatible,
                                    &out))
        {
            ly_buf_reset(&out);
            ly_buf_cstr(&out, "{\"error\":{\"code\":\"memory.exhausted\","
                        "\"detail\":\"\"}}");
        }

        ly_buf_byte(&out, '\n');
        rc = cli_write_buf(c, &out);

        if (rc == CLI_OK && fflush(stdout) != 0) {
            rc = CLI_FAILED;
        }

        ly_arena_reset(a);
    }

    ly_buf_free(&out);
    ly_arena_destroy(a);

    return rc;
}


/* --- verify-trace --- */

static int
rules_verify_one(cli_t *c, const char *name, const ly_json_node_t *trace,
    const rule_program_t *p, const rule_catalogue_t *catalogue, ly_buf_t *b,
    bool *bad)
{
    ly_buf_t               text;
    ly_str_t               s;
    rule_verify_t          v;
    const ly_zone_t       *zone;
    const ly_json_node_t  *n;

    ly_buf_init_arena(&text, c->arena, RULES_FILE);

    if (ly_json_string(trace, &s) != LY_OK) {
        if (ly_canon_print(trace, c->arena, &text) != LY_OK) {
            return cli_nomem(c);
        }

        s = ly_buf_view(&text);
    }

    n = ly_json_member_of(trace, ly_str("zone"), LY_JSON_STRING);
    zone = n == NULL ? NULL : rules_zone(c->arena, n->text);

    if (rule_trace_verify(c->arena, s, p, catalogue, zone, &v) != LY_OK) {
        return cli_nomem(c);
    }

    ly_buf_cstr(b, name);

    if (v.same) {
        ly_buf_cstr(b, ": same, ");
        ly_buf_int(b, v.points);
        ly_buf_cstr(b, " points\n");

    } else {
        *bad = true;
        ly_buf_cstr(b, ": not the same: ");
        ly_buf_cstr(b, v.why);
        ly_buf_byte(b, '\n');
    }

    return 0;
}


static int
rules_verify_json(cli_t *c, const char *path, ly_str_t *json,
    ly_json_node_t **root)
{
    int       rc;
    ly_err_t  err;

    static const ly_json_limits_t  limits = {
        .max_depth = 200, .max_nodes = 1048576, .max_members = 65536,
        .max_bytes = RULES_FILE, .max_string = RULES_FILE
    };

    rc = cli_read_file(c, path, RULES_FILE, json);

    if (rc != 0) {
        return rc;
    }

    err = ly_json_parse(c->arena, *json, &limits, root, NULL);

    if (err == LY_NOMEM) {
        return cli_nomem(c);
    }

    return err == LY_OK ? 0 : cli_fail(c, CLI_REJECTED, "%s: not JSON", path);
}


/* the first file is the rule, or {"rule", "trace", "catalogue"} at once */
int
rules_verify_trace_cmd(cli_t *c)
{
    int                    rc;
    bool                   bad;
    ly_buf_t               b;
    ly_str_t               json, rule, text;
    unsigned               i;
    rule_faults_t          faults;
    rule_program_t        *p;
    ly_json_node_t        *root;
    rule_catalogue_t      *catalogue;
    const ly_json_node_t  *trace, *n;

    rc = rules_catalogue(c, &catalogue);

    if (rc == 0) {
        rc = rules_verify_json(c, c->argv[0], &json, &root);
    }

    if (rc != 0) {
        return rc;
    }

    rule = json;
    bad = false;
    trace = ly_json_member(root, ly_str("trace"));

    if (trace != NULL) {
        rule = rules_slice(json, ly_json_member(root, ly_str("rule")));
        n = ly_json_member_of(root, ly_str("catalogue"), LY_JSON_OBJECT);
        text = rules_slice(json, n);

        if (n != NULL
            && rule_catalogue_parse(c->arena, text, &catalogue, &faults)
            != LY_OK)
        {
            return cli_fail(c, CLI_REJECTED, "%s: not a catalogue",
                            c->argv[0]);
        }
    }

    if (rule_compile(c->arena, rule, catalogue, 0, &p, &faults) != LY_OK) {
        return cli_fail(c, CLI_REJECTED, "%s: not a rule of this catalogue",
                        c->argv[0]);
    }

    ly_buf_init_arena(&b, c->arena, RULES_OUT);

    if (trace != NULL) {
        rc = rules_verify_one(c, c->argv[0], trace, p, catalogue, &b, &bad);
    }

    for (i = 1; rc == 0 && i < c->argc; i++) {
        rc = rules_verify_json(c, c->argv[i], &json, &root);

        if (rc == 0) {
            trace = ly_json_member(root, ly_str("trace"));
            rc = rules_verify_one(c, c->argv[i], trace == NULL ? root : trace,
                                  p, catalogue, &b, &bad);
        }
    }

    if (rc == 0) {
        rc = cli_write_buf(c, &b);
    }

    if (rc == 0 && b.len == 0) {
        return cli_fail(c, CLI_USAGE, "a rule and at least one trace");
    }

    return rc != 0 ? rc : bad ? CLI_CHECK : CLI_OK;
}
