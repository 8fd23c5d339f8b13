/*
 * Conditions and expressions: from JSON to the tree, brought to the normal
 * form on the way (what rule builders export is understood here).
 */

#include "rule_int.h"
#include "../../common/ly_banned.h"


#define rule_none  ly_str_of(NULL, 0)


static rule_ast_t *
rule_ast_new(rule_ctx_t *x, unsigned op, const ly_json_node_t *json,
    uint32_t room)
{
    rule_ast_t  *t;

    if (x->n_nodes == RULE_NODES_MAX) {
        if (!x->nodes_told) {
            x->nodes_told = true;
            rule_fault_at(&x->report, json, "bound.nodes",
                          "at most 512 nodes", rule_none);
        }

        return NULL;
    }

    x->n_nodes++;

    t = ly_arena_zalloc(x->arena, sizeof(*t));
    if (t == NULL) {
        x->report.nomem = true;
        return NULL;
    }

    if (room > 0) {
        t->arg = ly_arena_array(x->arena, room, sizeof(*t->arg));
        if (t->arg == NULL) {
            x->report.nomem = true;
            return NULL;
        }
    }

    t->op = (uint8_t) op;
    t->json = json;
    t->slot = -1;

    return t;
}


static rule_ast_t *
rule_ast_bool(rule_ctx_t *x, const ly_json_node_t *json, bool b)
{
    rule_ast_t  *t;

    t = rule_ast_new(x, RULE_OP_LIT, json, 0);

    if (t != NULL) {
        t->type = RULE_T_BOOL;
        rule_set_bool(&t->value, b);
    }

    return t;
}


static rule_ast_t *
rule_parse_scalar(rule_ctx_t *x, const ly_json_node_t *json)
{
    ly_dec_t     d;
    rule_ast_t  *t;

    switch (json->type) {

    case LY_JSON_TRUE:
    case LY_JSON_FALSE:
        return rule_ast_bool(x, json, json->type == LY_JSON_TRUE);

    case LY_JSON_NUMBER:
        if (rule_num_parse(json->text, true, &d) != LY_OK) {
            rule_fault_at(&x->report, json, "literal.invalid",
                          "a number of 38 digits and 18 places at most",
                          json->text);
            return NULL;
        }

        t = rule_ast_new(x, RULE_OP_LIT, json, 0);

        if (t != NULL) {
            t->type = RULE_T_LNUM;
            rule_set_num(&t->value, d);
        }

        return t;

    case LY_JSON_STRING:
        if (json->text.len > RULE_TEXT_MAX) {
            rule_fault_at(&x->report, json, "bound.text",
                          "at most 4096 bytes", json->text);
            return NULL;
        }

        t = rule_ast_new(x, RULE_OP_LIT, json, 0);

        if (t != NULL) {
            t->type = RULE_T_LSTR;
            rule_set_str(&t->value, json->text);
        }

        return t;

    default:
        rule_fault_at(&x->report, json, "null.refused",
                      "a literal or an operator; null only in {\"==\": "
                      "[{\"var\": ...}, null]}", rule_none);
        return NULL;
    }
}


/* a list of literals is one node, whatever its length */
static rule_ast_t *
rule_parse_list(rule_ctx_t *x, const ly_json_node_t *json)
{
    bool                   ok;
    uint32_t               nodes;
    rule_ast_t            *t, *e;
    const ly_json_node_t  *n;

    if (json->count > RULE_LIST_MAX) {
        rule_fault_at(&x->report, json, "bound.list",
                      "at most 1000 elements", rule_none);
        return NULL;
    }

    t = rule_ast_new(x, RULE_OP_LIST, json, json->count);
    if (t == NULL) {
        return NULL;
    }

    ok = true;
    t->type = RULE_T_CLIST;

    for (n = json->first; n != NULL; n = n->next) {
        if (n->type == LY_JSON_ARRAY || n->type == LY_JSON_OBJECT) {
            rule_fault_at(&x->report, n, "type.mismatch",
                          "a literal in a list of literals", rule_none);
            ok = false;
            continue;
        }

        nodes = x->n_nodes;
        x->n_nodes = 0;
        e = rule_parse_scalar(x, n);
        x->n_nodes = nodes;

        ok = ok && e != NULL;
        t->arg[t->n++] = e;
    }

    return ok ? t : NULL;
}


/* the arguments, one by one or alone */
static const ly_json_node_t *
rule_args(const ly_json_node_t *value, uint32_t *n)
{
    if (value->type == LY_JSON_ARRAY) {
        *n = value->count;
        return value->first;
    }

    *n = 1;

    return value;
}


static const ly_json_node_t *
rule_next(const ly_json_node_t *value, const ly_json_node_t *arg)
{
    return value->type == LY_JSON_ARRAY ? arg->next : NULL;
}


/* the name of {"var": name} without a default, or NULL */
static const ly_json_node_t *
rule_var_name(const ly_json_node_t *node)
{
    const ly_json_node_t  *v;

    if (node->type != LY_JSON_OBJECT || node->count != 1
        || !rule_same_text(node->first->key, ly_str("var")))
    {
        return NULL;
    }

    v = node->first;

    if (v->type == LY_JSON_ARRAY && v->count == 1) {
        v = v->first;
    }

    return v->type == LY_JSON_STRING ? v : NULL;
}


/* {"==": [{"var": x}, null]} and its kin; NULL if it is not that */
static rule_ast_t *
rule_parse_null(rule_ctx_t *x, const ly_json_node_t *json)
{
    bool                   eq;
    rule_ast_t            *t;
    const ly_json_node_t  *v, *var, *name;

    v = json->first;
    eq = rule_same_text(v->key, ly_str("=="));

    if ((!eq && !rule_same_text(v->key, ly_str("!=")))
        || v->type != LY_JSON_ARRAY || v->count != 2)
    {
        return NULL;
    }

    var = v->first;

    if (var->type == LY_JSON_NULL) {
        var = var->next;

    } else if (var->next->type != LY_JSON_NULL) {
        return NULL;
    }

    name = rule_var_name(var);

    if (name == NULL) {
        return NULL;
    }

    t = rule_ast_new(x, eq ? RULE_OP_MISSING : RULE_OP_HAS, json, 1);
    if (t == NULL) {
        return NULL;
    }

    t->arg[0] = rule_parse_scalar(x, name);

    if (t->arg[0] == NULL) {
        return NULL;
    }

    t->arg[0]->json = var;
    t->n = 1;

    return t;
}


/* the one argument of an object with the one operator op, or NULL */
static const ly_json_node_t *
rule_only(const ly_json_node_t *node, ly_str_t op, uint32_t n)
{
    if (node->type != LY_JSON_OBJECT || node->count != 1
        || !rule_same_text(node->first->key, op)
        || node->first->type != LY_JSON_ARRAY || node->first->count != n)
    {
        return NULL;
    }

    return node->first->first;
}


/*
 * {"reduce": [{"filter": [list, body]}, {"+": [1, {"var": "accumulator"}]},
 * 0]}: how react-querybuilder counts.  The object with list and body, or NULL.
 */
static const ly_json_node_t *
rule_reduce_count(const ly_json_node_t *json)
{
    const ly_json_node_t  *filter, *add, *one, *acc, *zero, *name;

    filter = rule_only(json, ly_str("reduce"), 3);

    if (filter == NULL || rule_only(filter, ly_str("filter"), 2) == NULL) {
        return NULL;
    }

    add = filter->next;
    zero = add->next;
    one = rule_only(add, ly_str("+"), 2);

    if (one == NULL || zero->type != LY_JSON_NUMBER
        || !rule_same_text(zero->text, ly_str("0")))
    {
        return NULL;
    }

    acc = one->next;

    if (one->type != LY_JSON_NUMBER) {
        acc = one;
        one = one->next;
    }

    if (one->type != LY_JSON_NUMBER
        || !rule_same_text(one->text, ly_str("1")))
    {
        return NULL;
    }

    name = rule_var_name(acc);

    if (name == NULL || !rule_same_text(name->text, ly_str("accumulator"))) {
        return NULL;
    }

    return filter->first;
}


/* operators whose arguments are names and texts, kept as literals */
static bool
rule_op_quotes(unsigned op)
{
    return op == RULE_OP_HAS || op == RULE_OP_MISSING || op == RULE_OP_MONEY
           || op == RULE_OP_TIER || op == RULE_OP_SEGMENT
           || op == RULE_OP_ACHIEVEMENT || op == RULE_OP_COUNT_WINDOW
           || op == RULE_OP_SUM_WINDOW;
}


static rule_ast_t *
rule_parse_var(rule_ctx_t *x, const ly_json_node_t *json)
{
    uint32_t               n;
    rule_ast_t            *t;
    const ly_json_node_t  *a, *v;

    v = json->first;
    a = rule_args(v, &n);

    if (n < 1 || n > 2 || a->type != LY_JSON_STRING) {
        rule_fault_at(&x->report, json, n < 1 || n > 2 ? "op.arity"
                      : a->type == LY_JSON_NULL ? "null.refused"
                                                : "type.mismatch",
                      "{\"var\": name} or {\"var\": [name, literal]}",
                      rule_none);
        return NULL;
    }

    t = rule_ast_new(x, RULE_OP_VAR, json, 1);
    if (t == NULL) {
        return NULL;
    }

    t->name = a->text;
    a = rule_next(v, a);

    if (a == NULL) {
        return t;
    }

    if (a->type == LY_JSON_OBJECT || a->type == LY_JSON_ARRAY) {
        rule_fault_at(&x->report, a, "type.mismatch", "a literal as default",
                      rule_none);
        return NULL;
    }

    t->arg[0] = rule_parse_scalar(x, a);
    t->n = t->arg[0] != NULL;

    return t->n == 1 ? t : NULL;
}


static rule_ast_t *
rule_parse_args(rule_ctx_t *x, const ly_json_node_t *json, unsigned op,
    const ly_json_node_t *value, unsigned depth)
{
    bool                   ok;
    uint32_t               n;
    rule_ast_t            *t, *arg;
    const ly_json_node_t  *a;

    a = rule_args(value, &n);

    if (n < rule_ops[op].min || (rule_ops[op].max > 0 && n > rule_ops[op].max)
        || (op == RULE_OP_IF && n % 2 == 0))
    {
        rule_fault_at(&x->report, json, "op.arity",
                      "another number of arguments", json->first->key);
        return NULL;
    }

    t = rule_ast_new(x, op, json, n);
    if (t == NULL) {
        return NULL;
    }

    ok = true;

    for (/* void */; a != NULL; a = rule_next(value, a)) {
        if (rule_op_quotes(op) && (a->type == LY_JSON_OBJECT
                                   || a->type == LY_JSON_ARRAY))
        {
            rule_fault_at(&x->report, a, "type.mismatch", "a literal",
                          rule_none);
            ok = false;
            continue;
        }

        arg = rule_parse_node(x, a, depth - 1);

        ok = ok && arg != NULL;
        t->arg[t->n++] = arg;
    }

    return ok ? t : NULL;
}


/*
 * {"in": [x, list]} with an operator in the list, as builders compare with
 * fields: {"or": [{"===": [x, element]}, ...]}.  The list's elements, or NULL.
 */
static const ly_json_node_t *
rule_in_fields(const ly_json_node_t *value, unsigned op)
{
    const ly_json_node_t  *list, *n;

    if (op != RULE_OP_IN || value->type != LY_JSON_ARRAY || value->count != 2
        || value->first->next->type != LY_JSON_ARRAY)
    {
        return NULL;
    }

    list = value->first->next;

    for (n = list->first; n != NULL; n = n->next) {
        if (n->type == LY_JSON_OBJECT) {
            return list;
        }
    }

    return NULL;
}


static rule_ast_t *
rule_parse_in_fields(rule_ctx_t *x, const ly_json_node_t *json,
    const ly_json_node_t *list, unsigned depth)
{
    bool                   ok;
    rule_ast_t            *t, *eq;
    const ly_json_node_t  *n;

    t = rule_ast_new(x, RULE_OP_OR, json, list->count);
    if (t == NULL) {
        return NULL;
    }

    ok = true;
    depth = depth > 2 ? depth - 2 : 0;      /* at 0 the operands say so */

    for (n = list->first; n != NULL; n = n->next) {
        eq = rule_ast_new(x, RULE_OP_EQ, n, 2);
        if (eq == NULL) {
            return NULL;
        }

        eq->arg[0] = rule_parse_node(x, json->first->first, depth);
        eq->arg[1] = rule_parse_node(x, n, depth);
        eq->n = 2;
        ok = ok && eq->arg[0] != NULL && eq->arg[1] != NULL;
        t->arg[t->n++] = eq;
    }

    return ok ? t : NULL;
}


static rule_ast_t *
rule_parse_op(rule_ctx_t *x, const ly_json_node_t *json, unsigned depth)
{
    unsigned               op;
    uint32_t               n;
    rule_ast_t            *t;
    const ly_json_node_t  *value;

    if (json->count != 1) {
        rule_fault_at(&x->report, json, "op.shape",
                      "an object with exactly one member, the operator",
                      rule_none);
        return NULL;
    }

    value = rule_reduce_count(json);

    if (value != NULL) {
        return rule_parse_args(x, json, RULE_OP_COUNT, value, depth);
    }

    value = json->first;
    op = rule_op_find(value->key);

    if (rule_same_text(value->key, ly_str("!!"))) {
        value = rule_args(value, &n);

        if (n == 1) {
            return rule_parse_node(x, value, depth - 1);
        }
    }

    if (op == RULE_OP_LIT) {
        rule_fault_at(&x->report, json, "op.unknown", "an operator",
                      json->first->key);
        return NULL;
    }

    if (op == RULE_OP_VAR) {
        return rule_parse_var(x, json);
    }

    if ((op == RULE_OP_AND || op == RULE_OP_OR)
        && value->type == LY_JSON_ARRAY && value->count == 0)
    {
        return rule_ast_bool(x, json, true);
    }

    if (rule_in_fields(value, op) != NULL) {
        return rule_parse_in_fields(x, json, rule_in_fields(value, op), depth);
    }

    t = rule_parse_null(x, json);

    return t != NULL ? t : rule_parse_args(x, json, op, value, depth);
}


rule_ast_t *
rule_parse_node(rule_ctx_t *x, const ly_json_node_t *json, unsigned depth)
{
    if (depth == 0) {
        rule_fault_at(&x->report, json, "bound.depth",
                      "at most 32 operators deep", rule_none);
        return NULL;
    }

    switch (json->type) {

    case LY_JSON_OBJECT:
        return rule_parse_op(x, json, depth);

    case LY_JSON_ARRAY:
        return rule_parse_list(x, json);

    default:
        return rule_parse_scalar(x, json);
    }
}
