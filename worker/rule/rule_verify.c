/*
 * From a trace back to its inputs, and once more through the machine: what
 * the trace says must come out again, byte by byte.
 */

#include "rule_int.h"
#include "../../common/ly_banned.h"


static const ly_json_limits_t  rule_trace_limits = {
    .max_depth = 16,
    .max_nodes = 1048576,
    .max_members = 65536,
    .max_bytes = (size_t) 32 << 20,
        .max_string = RULE_INPUT_MAX,
        .refuse_nul = 0,
        .borrow = 0
};


static bool
rule_back_money(ly_str_t s, rule_val_t *out)
{
    ly_dec_t  d;
    uint32_t  currency;

    if (s.len < 5 || s.data[s.len - 4] != ' ') {
        return false;
    }

    currency = rule_currency(ly_str_of(s.data + s.len - 3, 3));

    if (currency == 0
        || rule_num_parse(ly_str_of(s.data, s.len - 4), false, &d) != LY_OK)
    {
        return false;
    }

    rule_set_num(out, d);
    out->kind = RULE_K_MONEY;
    out->n = currency;

    return true;
}


static bool rule_back_list(ly_arena_t *a, const rule_fact_t *f,
    const ly_json_node_t *node, rule_val_t *out);


/* a value of a trace; false if it is not one of the fact's type */
static bool
rule_back(ly_arena_t *a, const rule_fact_t *f, const ly_json_node_t *node,
    rule_val_t *out)
{
    ly_dec_t  d;

    switch (f->type) {

    case RULE_T_BOOL:
        rule_set_bool(out, node->type == LY_JSON_TRUE);
        return node->type == LY_JSON_TRUE || node->type == LY_JSON_FALSE;

    case RULE_T_MONEY:
        return node->type == LY_JSON_STRING
               && rule_back_money(node->text, out);

    case RULE_T_INT:
    case RULE_T_DEC:
        if ((node->type != LY_JSON_NUMBER && node->type != LY_JSON_STRING)
            || rule_num_parse(node->text, false, &d) != LY_OK)
        {
            return false;
        }

        rule_set_num(out, d);
        return true;

    case RULE_T_LIST:
    case RULE_T_SLIST:
        return rule_back_list(a, f, node, out);

    default:
        if (node->type != LY_JSON_STRING) {
            return false;
        }

        rule_scalar(f, node->text, true, out);
        return out->kind != RULE_K_INVALID;
    }
}


static bool
rule_back_fields(ly_arena_t *a, const rule_fact_t *f,
    const ly_json_node_t *node, rule_val_t *cells)
{
    int32_t                i;
    const ly_json_node_t  *n;

    if (node->type != LY_JSON_OBJECT) {
        return false;
    }

    for (n = node->first; n != NULL; n = n->next) {
        i = rule_field_find(f, n->key);

        if (i < 0) {
            return false;
        }

        if (n->type == LY_JSON_NULL) {
            cells[i].kind = RULE_K_INVALID;

        } else if (!rule_back(a, &f->fields[i], n, &cells[i])) {
            return false;
        }
    }

    return true;
}


static bool
rule_back_list(ly_arena_t *a, const rule_fact_t *f,
    const ly_json_node_t *node, rule_val_t *out)
{
    uint32_t               i, stride;
    rule_val_t            *cells;
    const ly_json_node_t  *n;

    if (node->type != LY_JSON_ARRAY || node->count > RULE_LINES_MAX) {
        return false;
    }

    stride = f->type == RULE_T_LIST ? f->n_fields : 1;
    cells = ly_arena_array(a, (size_t) node->count * stride + 1,
                           sizeof(*cells));
    if (cells == NULL) {
        return false;
    }

    for (i = 0, n = node->first; n != NULL; n = n->next, i++) {
        if (f->type == RULE_T_LIST) {
            if (!rule_back_fields(a, f, n, cells + (size_t) i * stride)) {
                return false;
            }

        } else if (n->type == LY_JSON_STRING) {
            rule_set_str(&cells[i], n->text);

        } else {
            return false;
        }
    }

    memset(out, 0, sizeof(*out));
    out->kind = RULE_K_LIST;
    out->stride = (uint16_t) stride;
    out->n = i;
    out->u.l.cells = cells;

    return true;
}


static bool
rule_back_facts(ly_arena_t *a, const ly_json_node_t *root, rule_input_t *in)
{
    int32_t                slot;
    const rule_fact_t     *f;
    const ly_json_node_t  *n;

    static const struct {
        const char  *key;
        uint32_t     slot;
    } members[] = {
        { "occurred_at", RULE_F_EVENT_OCCURRED_AT },
        { "source", RULE_F_EVENT_SOURCE },
        { "type", RULE_F_EVENT_TYPE }
    };

    n = ly_json_member_of(root, ly_str("facts"), LY_JSON_OBJECT);

    for (n = n == NULL ? NULL : n->first; n != NULL; n = n->next) {
        slot = rule_catalogue_find(in->catalogue, n->key);

        if (slot < 0) {
            return false;
        }

        f = &in->catalogue->facts[slot];

        if (!rule_back(a, f, n, &in->facts[slot])) {
            return false;
        }
    }

    n = ly_json_member_of(root, ly_str("invalid"), LY_JSON_ARRAY);

    for (n = n == NULL ? NULL : n->first; n != NULL; n = n->next) {
        slot = rule_catalogue_find(in->catalogue, n->text);

        if (slot < 0) {
            return false;
        }

        in->facts[slot].kind = RULE_K_INVALID;
    }

    for (slot = 0; slot < 3; slot++) {
        n = ly_json_member(ly_json_member(root, ly_str("event")),
                           ly_str_c(members[slot].key));
        f = &in->catalogue->facts[members[slot].slot];

        if (n != NULL && !rule_back(a, f, n, &in->facts[members[slot].slot])) {
            return false;
        }
    }

    return true;
}


static bool
rule_back_int(const ly_json_node_t *n, int64_t *out)
{
    if (n != NULL && n->type == LY_JSON_STRING) {
        return ly_int64_parse(n->text, out) == LY_OK;
    }

    return ly_json_int64(n, out) == LY_OK;
}


static bool
rule_back_counters(ly_arena_t *a, const ly_json_node_t *root,
    rule_input_t *in)
{
    rule_counter_t        *c;
    const ly_json_node_t  *n;

    n = ly_json_member_of(root, ly_str("counters"), LY_JSON_OBJECT);

    if (n == NULL) {
        return true;
    }

    c = ly_arena_array(a, (size_t) n->count + 1, sizeof(*c));

    if (c == NULL) {
        return false;
    }

    in->counters = c;

    for (n = n->first; n != NULL; n = n->next) {
        c->key = n->key;

        if (rule_num_parse(n->text, false, &c->value) != LY_OK) {
            return false;
        }

        c++;
        in->n_counters++;
    }

    return true;
}


typedef struct {
    rule_run_t    run;
    rule_cap_t    cap[RULE_CAPS_MAX];
    rule_cap_t   *caps[RULE_CAPS_MAX];
    rule_force_t  force;
    ly_int128_t   group[RULE_EFFECTS_MAX];
    int64_t       then[RULE_CAPS_MAX + 1];
} rule_back_t;


/* G is a sum of points of many rules: beyond 64 bits, never below 0 */
static bool
rule_back_group(const ly_json_node_t *root, ly_int128_t *out)
{
    size_t                 i;
    ly_dec_t               d;
    const ly_json_node_t  *n;

    n = ly_json_member_of(root, ly_str("group"), LY_JSON_ARRAY);
    n = n == NULL ? NULL : n->first;

    for (i = 0; n != NULL; n = n->next) {
        if (i == RULE_EFFECTS_MAX
            || rule_num_parse(n->text, false, &d) != LY_OK || d.scale != 0
            || d.coef < 0)
        {
            return false;
        }

        out[i++] = d.coef;
    }

    return true;
}


static bool
rule_back_then(const ly_json_node_t *root, int64_t *out)
{
    size_t                 i;
    const ly_json_node_t  *n;

    n = ly_json_member_of(root, ly_str("caps_then"), LY_JSON_ARRAY);
    n = n == NULL ? NULL : n->first;

    for (i = 0; n != NULL; n = n->next) {
        if (i == RULE_CAPS_MAX + 1 || !rule_back_int(n, &out[i++])) {
            return false;
        }
    }

    return true;
}


static bool
rule_back_run(const ly_json_node_t *root, rule_back_t *r)
{
    int64_t                left;
    const ly_json_node_t  *n, *name;

    r->run.caps = r->caps;
    r->force.group = r->group;
    r->force.then = r->then;
    n = ly_json_member(ly_json_member(root, ly_str("stacking")),
                       ly_str("kept"));
    r->force.kept = n != NULL && n->type == LY_JSON_TRUE;

    n = ly_json_member_of(root, ly_str("caps"), LY_JSON_ARRAY);
    n = n == NULL ? NULL : n->first;

    for (/* void */; n != NULL; n = n->next) {
        name = n->first;

        if (name == NULL || name->type != LY_JSON_STRING
            || !rule_back_int(name->next, &left))
        {
            return false;
        }

        if (rule_same_text(name->text, ly_str("per_event"))) {
            continue;
        }

        if (r->run.n_caps == RULE_CAPS_MAX) {
            return false;
        }

        r->cap[r->run.n_caps].name = name->text;
        r->cap[r->run.n_caps].remaining = left;
        r->caps[r->run.n_caps] = &r->cap[r->run.n_caps];
        r->run.n_caps++;
    }

    return rule_back_group(root, r->group) && rule_back_then(root, r->then);
}


static bool
rule_same_hex(const ly_json_node_t *n, const unsigned char *digest)
{
    size_t         i;
    unsigned char  text[2 * RULE_DIGEST_LEN];

    static const unsigned char  hex[] = "0123456789abcdef";

    for (i = 0; i < RULE_DIGEST_LEN; i++) {
        text[2 * i] = hex[digest[i] >> 4];
        text[2 * i + 1] = hex[digest[i] & 15];
    }

    return n != NULL && rule_same_text(n->text, ly_str_of(text, sizeof(text)));
}


ly_err_t
rule_trace_verify(ly_arena_t *a, ly_str_t trace, const rule_program_t *p,
    const rule_catalogue_t *c, const ly_zone_t *zone, rule_verify_t *out)
{
    ly_err_t               err;
    rule_back_t            r;
    rule_input_t          *in;
    rule_result_t          result;
    rule_options_t         options;
    ly_json_node_t        *root;
    const ly_json_node_t  *n;

    memset(out, 0, sizeof(*out));
    memset(&r, 0, sizeof(r));
    out->why = "trace.form";

    err = ly_json_parse(a, trace, &rule_trace_limits, &root, NULL);

    if (err != LY_OK) {
        return err == LY_NOMEM ? err : LY_OK;
    }

    if (!rule_same_hex(ly_json_member(root, ly_str("rule")), p->digest)) {
        out->why = "trace.rule";
        return LY_OK;
    }

    if (!rule_same_hex(ly_json_member(root, ly_str("catalogue")), c->digest)
        || memcmp(c->digest, p->catalogue, RULE_DIGEST_LEN) != 0)
    {
        out->why = "trace.catalogue";
        return LY_OK;
    }

    n = ly_json_member_of(root, ly_str("zone"), LY_JSON_STRING);
    err = rule_input_create(a, c, zone, n == NULL ? ly_str("") : n->text, &in);

    if (err != LY_OK) {
        return err;
    }

    r.run.program = p;

    if (!rule_back_facts(a, root, in) || !rule_back_counters(a, root, in)
        || !rule_back_run(root, &r))
    {
        return LY_OK;
    }

    memset(&options, 0, sizeof(options));
    options.trace = true;
    err = rule_evaluate_forced(a, in, &r.run, 1, &options, &r.force, &result);

    if (err != LY_OK) {
        return err;
    }

    out->trace = result.trace;
    out->points = result.points;
    out->same = rule_same_text(result.trace, trace);
    out->why = out->same ? NULL : "trace.result";

    return LY_OK;
}
