/*
 * One line of `loyalty rules eval`: a rule and what it is asked about, with
 * the engine that the worker runs.
 */

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "ly_jw.h"
#include "ly_time.h"
#include "rules_cmd.h"
#include "worker/rule/rule.h"
#include "ly_banned.h"


static const char  rules_zones[] = "/usr/share/zoneinfo/";


const ly_zone_t *
rules_zone(ly_arena_t *a, ly_str_t name)
{
    int             fd;
    char            path[256];
    size_t          i, n;
    ssize_t         got;
    ly_zone_t      *zone;
    unsigned char  *data;

    if (ly_str_eq(name, ly_str("UTC"))) {
        return ly_zone_utc();
    }

    n = sizeof(rules_zones) - 1;

    if (name.len == 0 || name.len > 128 || name.data[0] == '/') {
        return NULL;
    }

    for (i = 0; i < name.len; i++) {
        if (!((name.data[i] >= 'a' && name.data[i] <= 'z')
              || (name.data[i] >= 'A' && name.data[i] <= 'Z')
              || (name.data[i] >= '0' && name.data[i] <= '9')
              || memchr("/_+-", name.data[i], 4) != NULL))
        {
            return NULL;
        }
    }

    memcpy(path, rules_zones, n);
    memcpy(path + n, name.data, name.len);
    path[n + name.len] = '\0';

    data = ly_arena_bytes(a, LY_ZONE_MAX);
    fd = data == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return NULL;
    }

    for (n = 0; n < LY_ZONE_MAX; n += (size_t) got) {
        got = read(fd, data + n, LY_ZONE_MAX - n);

        if (got <= 0) {
            break;
        }
    }

    (void) close(fd);

    return ly_zone_parse(a, ly_str_of(data, n), &zone) == LY_OK ? zone : NULL;
}


ly_str_t
rules_slice(ly_str_t json, const ly_json_node_t *node)
{
    bool    quoted;
    size_t  i, start, depth;

    if (node == NULL || (node->type != LY_JSON_OBJECT
                         && node->type != LY_JSON_ARRAY))
    {
        return node == NULL ? ly_str("null") : node->text;
    }

    start = node->offset - 1;
    quoted = false;
    depth = 0;

    for (i = start; i < json.len; i++) {
        if (quoted) {
            if (json.data[i] == '\\') {
                i++;

            } else if (json.data[i] == '"') {
                quoted = false;
            }

            continue;
        }

        switch (json.data[i]) {

        case '"':
            quoted = true;
            break;

        case '{':
        case '[':
            depth++;
            break;

        case '}':
        case ']':
            if (--depth == 0) {
                return ly_str_of(json.data + start, i + 1 - start);
            }
            break;

        default:
            break;
        }
    }

    return ly_str_of(json.data + start, json.len - start);
}


static bool
rules_error(ly_buf_t *out, const char *code, ly_str_t detail)
{
    ly_jw_t  w;

    ly_jw_init(&w, out);
    ly_jw_object(&w);
    ly_jw_k(&w, "error");
    ly_jw_object(&w);
    ly_jw_kcstr(&w, "code", code);
    ly_jw_kstr(&w, "detail", detail);
    ly_jw_object_end(&w);
    ly_jw_object_end(&w);

    return ly_jw_done(&w) == LY_OK;
}


/*
 * The document of a rule: a document is what has a trigger, any other is a
 * condition, which gets one round it; what is in a list is taken as it is.
 */
static ly_str_t
rules_document(ly_arena_t *a, ly_str_t line, const ly_json_node_t *rule,
    bool listed)
{
    bool      alone;
    ly_jw_t   w;
    ly_buf_t  b;

    alone = !listed && ly_json_member(rule, ly_str("trigger")) == NULL;

    if (!alone && rule->type == LY_JSON_OBJECT) {
        return rules_slice(line, rule);
    }

    ly_buf_init_arena(&b, a, (size_t) 4 << 20);
    ly_buf_cstr(&b, alone ? "{\"effects\":[{\"points\":0,\"type\":\"fixed\","
                "\"wallet\":\"points\"}],\"trigger\":{\"event\":\"custom\"},"
                "\"condition\":" : "");

    if (rule->type == LY_JSON_OBJECT || rule->type == LY_JSON_ARRAY) {
        ly_buf_str(&b, rules_slice(line, rule));

    } else {
        ly_jw_init(&w, &b);
        ly_jw_node(&w, rule);
    }

    ly_buf_cstr(&b, alone ? "}" : "");

    return ly_buf_view(&b);
}


typedef struct {
    rule_run_t      *runs;
    rule_result_t   *results;
    size_t           n;
    rule_cap_t       cap[RULE_CAPS_MAX];
    rule_cap_t      *caps[RULE_CAPS_MAX];
    size_t           n_caps;
    rule_counter_t  *counters;
    size_t           n_counters;
} rules_given_t;


static bool
rules_number(const ly_json_node_t *n, ly_dec_t *out)
{
    return (n->type == LY_JSON_NUMBER || n->type == LY_JSON_STRING)
           && ly_dec_parse(n->text, LY_DEC_SCALE_MAX, out) == LY_OK;
}


static bool
rules_given(ly_arena_t *a, const ly_json_node_t *data, rules_given_t *g)
{
    size_t                 i;
    const ly_json_node_t  *n;

    n = ly_json_member_of(data, ly_str("caps"), LY_JSON_OBJECT);

    for (n = n == NULL ? NULL : n->first; n != NULL; n = n->next) {
        if (g->n_caps == RULE_CAPS_MAX || n->key.len == 0
            || ly_json_int64(n, &g->cap[g->n_caps].remaining) != LY_OK)
        {
            return false;
        }

        g->cap[g->n_caps].name = n->key;
        g->caps[g->n_caps] = &g->cap[g->n_caps];
        g->n_caps++;
    }

    for (i = 0; i < g->n; i++) {
        g->runs[i].caps = g->caps;
        g->runs[i].n_caps = g->n_caps;
    }

    n = ly_json_member_of(data, ly_str("counters"), LY_JSON_OBJECT);

    if (n == NULL) {
        return true;
    }

    g->counters = ly_arena_array(a, (size_t) n->count + 1,
                                 sizeof(*g->counters));
    if (g->counters == NULL) {
        return false;
    }

    for (n = n->first; n != NULL; n = n->next) {
        g->counters[g->n_counters].key = n->key;

        if (!rules_number(n, &g->counters[g->n_counters++].value)) {
            return false;
        }
    }

    return true;
}


static bool
rules_input(ly_arena_t *a, ly_str_t line, const ly_json_node_t *data,
    const rule_catalogue_t *catalogue, const rules_given_t *g,
    rule_input_t **in)
{
    ly_str_t               name;
    const ly_zone_t       *zone;
    const ly_json_node_t  *n;

    n = ly_json_member_of(data, ly_str("zone"), LY_JSON_STRING);
    name = n == NULL ? ly_str("") : n->text;
    zone = n == NULL ? NULL : rules_zone(a, name);

    if (rule_input_create(a, catalogue, zone, name, in) != LY_OK) {
        return false;
    }

    n = ly_json_member_of(data, ly_str("event"), LY_JSON_OBJECT);

    if (n != NULL && rule_input_event(*in, rules_slice(line, n)) != LY_OK) {
        return false;
    }

    n = ly_json_member_of(data, ly_str("state"), LY_JSON_OBJECT);

    if (n != NULL && rule_input_state(*in, rules_slice(line, n)) != LY_OK) {
        return false;
    }

    rule_input_counters(*in, g->counters, g->n_counters);

    return true;
}


static void
rules_outcome(ly_jw_t *w, const rule_result_t *r)
{
    ly_jw_object(w);
    ly_jw_kcstr(w, "outcome", rule_outcome_name(r->outcome));
    ly_jw_kint(w, "points", r->points);
    ly_jw_kcstr(w, "reason", r->reason);
    ly_jw_k(w, "trace");
    ly_jw_raw(w, r->trace);
    ly_jw_object_end(w);
}


/* of one rule, or of several in a list */
static bool
rules_result(const rules_given_t *g, bool alone, bool listed, ly_buf_t *out)
{
    size_t                i;
    ly_jw_t               w;
    const rule_result_t  *r;

    r = g->results;

    if (!listed && r->outcome == RULE_ERROR) {
        return rules_error(out, r->code, r->pointer);
    }

    ly_jw_init(&w, out);
    ly_jw_object(&w);
    ly_jw_k(&w, "result");

    if (alone) {
        ly_jw_bool(&w, r->outcome != RULE_NOT_MATCHED);

    } else if (!listed) {
        rules_outcome(&w, r);

    } else {
        ly_jw_array(&w);

        for (i = 0; i < g->n; i++) {
            rules_outcome(&w, &g->results[i]);
        }

        ly_jw_array_end(&w);
    }

    ly_jw_object_end(&w);

    return ly_jw_done(&w) == LY_OK;
}


/* the rules compiled; false: the error is written, or cannot be */
static bool
rules_compiled(ly_arena_t *a, ly_str_t line, const rule_catalogue_t *c,
    const ly_json_node_t *rule, bool listed, rules_given_t *g, ly_buf_t *out,
    bool *good)
{
    ly_buf_t         pointer;
    rule_faults_t    faults;
    rule_program_t  *program;

    g->n = listed ? rule->count : 1;
    g->runs = ly_arena_array(a, g->n + 1, sizeof(*g->runs));
    g->results = ly_arena_array(a, g->n + 1, sizeof(*g->results));
    *good = g->runs != NULL && g->results != NULL;

    if (*good && (g->n > RULE_RUNS_MAX
                  || (listed && rule->type != LY_JSON_ARRAY)))
    {
        *good = rules_error(out, "value.type", ly_str("rules"));
        return false;
    }

    rule = listed ? rule->first : rule;

    for (g->n = 0; *good && rule != NULL; g->n++) {
        memset(&faults, 0, sizeof(faults));

        if (rule_compile(a, rules_document(a, line, rule, listed), c, 0,
                         &program, &faults) != LY_OK)
        {
            ly_buf_init_arena(&pointer, a, (size_t) 1 << 20);

            if (listed) {
                ly_buf_byte(&pointer, '/');
                ly_buf_uint(&pointer, g->n);
            }

            ly_buf_str(&pointer, faults.n > 0 ? faults.fault[0].pointer
                                              : ly_str(""));
            *good = rules_error(out, faults.n > 0 ? faults.fault[0].code
                                                  : "memory.exhausted",
                                ly_buf_view(&pointer));
            return false;
        }

        g->runs[g->n].program = program;
        rule = listed ? rule->next : NULL;
    }

    return *good;
}


static bool
rules_strict_line(ly_arena_t *a, ly_str_t line, ly_buf_t *out)
{
    bool                   good, listed, alone;
    rules_given_t          g;
    rule_faults_t          faults;
    rule_input_t          *in;
    ly_json_node_t        *root;
    rule_options_t         options;
    ly_json_fault_t        fault;
    rule_catalogue_t      *catalogue;
    const ly_json_node_t  *rule, *data, *n;

    static const ly_json_limits_t  limits = {
        .max_depth = 200, .max_nodes = 262144, .max_members = 65536,
        .max_bytes = 1048576, .max_string = 1048576, .refuse_nul = 1
    };

    if (ly_json_parse(a, line, &limits, &root, &fault) != LY_OK) {
        return rules_error(out, ly_json_fault_code(fault.code),
                           ly_str_of(fault.pointer, fault.pointer_len));
    }

    rule = ly_json_member(root, ly_str("rule"));
    listed = rule == NULL;
    rule = listed ? ly_json_member(root, ly_str("rules")) : rule;
    data = ly_json_member(root, ly_str("data"));
    n = ly_json_member_of(root, ly_str("catalogue"), LY_JSON_OBJECT);
    memset(&faults, 0, sizeof(faults));

    if (rule == NULL) {
        return rules_error(out, "member.required", ly_str("rule"));
    }

    if (n == NULL ? rule_catalogue_default(a, &catalogue) != LY_OK
        : rule_catalogue_parse(a, rules_slice(line, n), &catalogue, &faults)
        != LY_OK)
    {
        return rules_error(out, faults.n > 0 ? faults.fault[0].code
                                             : "memory.exhausted",
                           ly_str("catalogue"));
    }

    memset(&g, 0, sizeof(g));

    if (!rules_compiled(a, line, catalogue, rule, listed, &g, out, &good)) {
        return good;
    }

    if (!rules_given(a, data, &g)
        || !rules_input(a, line, data, catalogue, &g, &in))
    {
        return rules_error(out, "data.invalid", ly_str("data"));
    }

    alone = !listed && ly_json_member(rule, ly_str("trigger")) == NULL;
    memset(&options, 0, sizeof(options));
    options.trace = true;
    options.any_event = alone;

    if (rule_evaluate(a, in, g.runs, g.n, &options, g.results) != LY_OK) {
        return false;
    }

    return rules_result(&g, alone, listed, out);
}


bool
rules_eval_line(ly_arena_t *a, ly_str_t line, bool compatible, ly_buf_t *out)
{
    if (compatible) {
        return rule_compat_line(a, line, out) == LY_OK;
    }

    return rules_strict_line(a, line, out);
}
