/* The rule document around its condition: members, effects, defaults. */

#include "rule_int.h"
#include "../../common/ly_banned.h"


#define rule_none   ly_str_of(NULL, 0)
#define RULE_NAMES  100             /* sources, segments */
#define RULE_STEPS_MAX  100         /* of a table */


/* depth: two containers an operator, and what stands around */
static const ly_json_limits_t  rule_json_limits = {
    .max_depth = 2 * RULE_DEPTH_MAX + 16,
    .max_nodes = 65536,
    .max_members = 4096,
    .max_bytes = RULE_DOCUMENT_MAX,
    .max_string = RULE_DOCUMENT_MAX,
    .refuse_nul = 1,
    .borrow = 0
};


static bool
rule_is_null(const ly_json_node_t *n)
{
    return n == NULL || n->type == LY_JSON_NULL;
}


/* a fault for each member that is not one of names; false: no object */
static bool
rule_members(rule_ctx_t *x, const ly_json_node_t *node,
    const char *const *names, const char *expected)
{
    size_t                 i;
    const ly_json_node_t  *n;

    if (node->type != LY_JSON_OBJECT) {
        rule_fault_at(&x->report, node, "value.type", expected, node->text);
        return false;
    }

    for (n = node->first; n != NULL; n = n->next) {
        for (i = 0; names[i] != NULL; i++) {
            if (rule_same_text(n->key, ly_str_c(names[i]))) {
                break;
            }
        }

        if (names[i] == NULL) {
            rule_fault_at(&x->report, n, "member.unknown", expected, n->key);
        }
    }

    return true;
}


static int64_t
rule_int(rule_ctx_t *x, const ly_json_node_t *node, int64_t min, int64_t max,
    const char *expected, int64_t absent)
{
    int64_t  v;

    if (rule_is_null(node)) {
        return absent;
    }

    if (ly_json_int64(node, &v) != LY_OK) {
        rule_fault_at(&x->report, node, "value.type", expected, node->text);
        return absent;
    }

    if (v < min || v > max) {
        rule_fault_at(&x->report, node, "value.range", expected, node->text);
        return absent;
    }

    return v;
}


/* points that must be given: null is none */
static int64_t
rule_points(rule_ctx_t *x, const ly_json_node_t *node)
{
    static const char  expected[] = "a whole number of points";

    if (node->type == LY_JSON_NULL) {
        rule_fault_at(&x->report, node, "value.type", expected, node->text);
    }

    return rule_int(x, node, 0, INT64_MAX, expected, 0);
}


static ly_str_t
rule_name(rule_ctx_t *x, const ly_json_node_t *node, const char *expected)
{
    if (node->type != LY_JSON_STRING || node->text.len == 0
        || node->text.len > 64)
    {
        rule_fault_at(&x->report, node, "value.type", expected, node->text);
        return rule_none;
    }

    return node->text;
}


static unsigned
rule_choice(rule_ctx_t *x, const ly_json_node_t *node,
    const char *const *names, size_t n, const char *expected)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (node->type == LY_JSON_STRING && names[i][0] != '\0'
            && rule_same_text(node->text, ly_str_c(names[i])))
        {
            return (unsigned) i;
        }
    }

    rule_fault_at(&x->report, node, node->type == LY_JSON_STRING
                  ? "value.unknown" : "value.type", expected, node->text);

    return 0;
}


static ly_str_t *
rule_names(rule_ctx_t *x, const ly_json_node_t *node, uint32_t *n)
{
    ly_str_t              *names;
    const ly_json_node_t  *e;

    *n = 0;

    if (rule_is_null(node)) {
        return NULL;
    }

    if (node->type != LY_JSON_ARRAY || node->count == 0
        || node->count > RULE_NAMES)
    {
        rule_fault_at(&x->report, node, "value.type",
                      "a list of 1 to 100 names, or null", node->text);
        return NULL;
    }

    names = ly_arena_array(x->arena, node->count, sizeof(*names));
    if (names == NULL) {
        x->report.nomem = true;
        return NULL;
    }

    for (e = node->first; e != NULL; e = e->next) {
        names[(*n)++] = rule_name(x, e, "a name of 1 to 64 bytes");
    }

    return names;
}


static int64_t
rule_instant(rule_ctx_t *x, const ly_json_node_t *node, int64_t absent)
{
    int64_t  us;

    if (rule_is_null(node)) {
        return absent;
    }

    if (node->type != LY_JSON_STRING
        || ly_time_parse(node->text, &us) != LY_OK)
    {
        rule_fault_at(&x->report, node, "value.type", "an instant, or null",
                      node->text);
        return absent;
    }

    return us;
}


/* a number >= 0, as number or text, of six places at most; false: fault */
static bool
rule_decimal(rule_ctx_t *x, const ly_json_node_t *node, bool places,
    const char *expected, ly_dec_t *out)
{
    ly_dec_t  d;

    d = ly_dec_int(0);
    *out = d;

    if ((node->type != LY_JSON_NUMBER && node->type != LY_JSON_STRING)
        || rule_num_parse(node->text, node->type == LY_JSON_NUMBER, &d)
        != LY_OK)
    {
        rule_fault_at(&x->report, node, "value.type", expected, node->text);
        return false;
    }

    if (d.coef < 0 || (places && d.scale > 6)) {
        rule_fault_at(&x->report, node, "value.range", expected, node->text);
        return false;
    }

    *out = d;

    return true;
}


static const ly_json_node_t *
rule_required(rule_ctx_t *x, const ly_json_node_t *node, ly_str_t key)
{
    const ly_json_node_t  *n;

    n = ly_json_member(node, key);

    if (n == NULL) {
        rule_fault_at(&x->report, node, "member.required",
                      "a member that must be there", key);
    }

    return n;
}


bool
rule_event_type(ly_str_t s)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'
              || c == '.'))
        {
            return false;
        }
    }

    return s.len > 0 && s.len <= 64;
}


static void
rule_trigger(rule_ctx_t *x, const ly_json_node_t *root)
{
    rule_def_t            *d;
    const ly_json_node_t  *node, *n;

    static const char *const  names[] = { "event", "sources", NULL };

    d = &x->def;
    node = rule_required(x, root, ly_str("trigger"));

    if (node == NULL || !rule_members(x, node, names, "event, sources")) {
        return;
    }

    n = rule_required(x, node, ly_str("event"));

    if (n != NULL) {
        d->event = rule_name(x, n, "an event type");
    }

    if (d->event.len > 0 && !rule_event_type(d->event)) {
        rule_fault_at(&x->report, n, "value.type",
                      "an event type of a-z 0-9 _ and .", d->event);
    }

    d->refund = ly_str_starts(d->event, ly_str("order.refund"));
    d->sources = rule_names(x, ly_json_member(node, ly_str("sources")),
                            &d->n_sources);
}


static void
rule_limits(rule_ctx_t *x, const ly_json_node_t *node)
{
    rule_def_t            *d;
    const ly_json_node_t  *n, *points;

    static const char *const  names[] = {
        "per_event", "per_member", "per_period", NULL
    };
    static const char *const  parts[] = { "points", "period", NULL };

    d = &x->def;
    d->per_event = -1;
    d->per_member = -1;
    d->per_period = -1;

    if (rule_is_null(node)
        || !rule_members(x, node, names, "per_event, per_member, per_period"))
    {
        return;
    }

    d->per_event = rule_int(x, ly_json_member(node, ly_str("per_event")), 0,
                            INT64_MAX, "a whole number of points", -1);
    d->per_member = rule_int(x, ly_json_member(node, ly_str("per_member")), 0,
                             INT64_MAX, "a whole number of points", -1);

    n = ly_json_member(node, ly_str("per_period"));

    if (rule_is_null(n) || !rule_members(x, n, parts, "points, period")) {
        return;
    }

    points = rule_required(x, n, ly_str("points"));

    if (points != NULL) {
        d->per_period = rule_points(x, points);
    }

    n = rule_required(x, n, ly_str("period"));

    if (n != NULL) {
        d->period = (uint8_t) rule_choice(x, n, rule_period_names,
                                          ly_countof(rule_period_names),
                                          "day, week, month or year");
    }
}


static void
rule_head(rule_ctx_t *x, const ly_json_node_t *root)
{
    rule_def_t            *d;
    const ly_json_node_t  *node, *n;

    static const char *const  stack[] = { "group", "mode", NULL };
    static const char *const  times[] = { "starts_at", "ends_at", NULL };

    d = &x->def;
    d->priority = (int32_t) rule_int(x, ly_json_member(root,
                                                       ly_str("priority")),
                                     -1000000, 1000000,
                                     "a whole number within a million", 0);
    d->group = ly_str("default");
    node = ly_json_member(root, ly_str("stacking"));

    if (!rule_is_null(node) && rule_members(x, node, stack, "group, mode")) {
        n = ly_json_member(node, ly_str("group"));

        if (!rule_is_null(n)) {
            d->group = rule_name(x, n, "a name of 1 to 64 bytes");
        }

        n = ly_json_member(node, ly_str("mode"));

        if (!rule_is_null(n)) {
            d->mode = (uint8_t) rule_choice(x, n, rule_stack_names,
                                            ly_countof(rule_stack_names),
                                            "all, best, first or exclusive");
        }
    }

    d->starts_at = INT64_MIN;
    d->ends_at = INT64_MAX;
    node = ly_json_member(root, ly_str("schedule"));

    if (!rule_is_null(node)
        && rule_members(x, node, times, "starts_at, ends_at"))
    {
        d->has_schedule = true;
        d->starts_at = rule_instant(x, ly_json_member(node,
                                                      ly_str("starts_at")),
                                    INT64_MIN);
        d->ends_at = rule_instant(x, ly_json_member(node, ly_str("ends_at")),
                                  INT64_MAX);

        if (d->starts_at >= d->ends_at) {
            rule_fault_at(&x->report, node, "value.range",
                          "starts_at before ends_at", rule_none);
        }
    }

    d->segments = rule_names(x, ly_json_member(root, ly_str("segments")),
                             &d->n_segments);

    node = ly_json_member(root, ly_str("base"));

    if (!rule_is_null(node) && ly_json_bool(node, &d->base) != LY_OK) {
        rule_fault_at(&x->report, node, "value.type", "true or false",
                      node->text);
    }
}


/* --- effects --- */

static rule_ast_t *
rule_literal_true(rule_ctx_t *x, const ly_json_node_t *json)
{
    rule_ast_t  *t;

    t = ly_arena_zalloc(x->arena, sizeof(*t));

    if (t == NULL) {
        x->report.nomem = true;
        return NULL;
    }

    t->type = RULE_T_BOOL;
    t->json = json;
    rule_set_bool(&t->value, true);

    return t;
}


/* {"var": name} for a name */
static rule_ast_t *
rule_amount_var(rule_ctx_t *x, const ly_json_node_t *json, ly_str_t name)
{
    rule_ast_t  *t;

    t = ly_arena_zalloc(x->arena, sizeof(*t));

    if (t == NULL) {
        x->report.nomem = true;
        return NULL;
    }

    t->op = RULE_OP_VAR;
    t->json = json;
    t->name = name;

    return t;
}


static void
rule_effect_amount(rule_ctx_t *x, const ly_json_node_t *node,
    rule_def_effect_t *e)
{
    const ly_json_node_t  *n;

    n = ly_json_member(node, ly_str("of"));

    if (rule_is_null(n)) {
        e->of = rule_amount_var(x, node, x->def.refund
                                ? ly_str("refund.total")
                                : ly_str("order.total"));
    } else if (n->type == LY_JSON_STRING) {
        e->of = rule_amount_var(x, n, n->text);

    } else {
        e->of = rule_parse_node(x, n, RULE_DEPTH_MAX);
    }

    if (e->of != NULL) {
        rule_check_number(x, e->of, NULL);

        if (e->currency != 0 && e->of->type != RULE_T_MONEY && !e->of->bad) {
            rule_fault_at(&x->report, e->of->json, "type.mismatch",
                          "money, for per.currency is named",
                          ly_str_c(rule_type_name(e->of->type)));
        }

        if (e->currency != 0 && e->of->currency != 0
            && e->of->currency != e->currency)
        {
            rule_fault_at(&x->report, e->of->json, "currency.mismatch",
                          "one currency", rule_none);
        }
    }
}


static void
rule_effect_where(rule_ctx_t *x, const ly_json_node_t *n,
    rule_def_effect_t *e)
{
    const rule_fact_t  *list;

    list = &x->catalogue->facts[x->def.refund ? RULE_F_REFUND_LINES
                                              : RULE_F_ORDER_LINES];
    e->where = rule_parse_node(x, n, RULE_DEPTH_MAX);

    if (e->where != NULL) {
        rule_check_bool(x, e->where, list);
    }
}


static void
rule_effect_per(rule_ctx_t *x, const ly_json_node_t *node,
    rule_def_effect_t *e)
{
    const ly_json_node_t  *n, *c;

    static const char *const  names[] = { "amount", "currency", NULL };

    n = rule_required(x, node, ly_str("per"));

    if (n == NULL || !rule_members(x, n, names, "amount, currency")) {
        return;
    }

    c = rule_required(x, n, ly_str("amount"));

    if (c == NULL) {
        return;
    }

    if (rule_decimal(x, c, false, "an amount above 0", &e->per)
        && e->per.coef == 0)
    {
        rule_fault_at(&x->report, n, "value.range", "an amount above 0",
                      rule_none);
    }

    c = ly_json_member(n, ly_str("currency"));

    if (!rule_is_null(c)) {
        e->currency = rule_currency(c->text);

        if (e->currency == 0) {
            rule_fault_at(&x->report, c, "value.type",
                          "three capital letters", c->text);
        }
    }
}


static void
rule_effect_table(rule_ctx_t *x, const ly_json_node_t *node,
    rule_def_effect_t *e)
{
    rule_step_t           *s, *last;
    const ly_json_node_t  *list, *n, *from, *points;

    static const char *const  names[] = { "from", "points", NULL };

    list = rule_required(x, node, ly_str("steps"));

    if (list == NULL) {
        return;
    }

    if (list->type != LY_JSON_ARRAY || list->count == 0
        || list->count > RULE_STEPS_MAX)
    {
        rule_fault_at(&x->report, list, "value.type", "1 to 100 steps",
                      list->text);
        return;
    }

    e->steps = ly_arena_array(x->arena, list->count, sizeof(*e->steps));
    if (e->steps == NULL) {
        x->report.nomem = true;
        return;
    }

    last = NULL;

    for (n = list->first; n != NULL; n = n->next) {
        if (!rule_members(x, n, names, "from, points")) {
            continue;
        }

        s = &e->steps[e->n_steps++];
        from = rule_required(x, n, ly_str("from"));
        points = rule_required(x, n, ly_str("points"));

        if (points != NULL) {
            s->points = rule_points(x, points);
        }

        if (from == NULL
            || !rule_decimal(x, from, false, "from: a number", &s->from))
        {
            continue;
        }

        if (last != NULL && rule_num_cmp(last->from, s->from) >= 0) {
            rule_fault_at(&x->report, n, "value.range",
                          "from above that of the step before", rule_none);
        }

        last = s;
    }
}


static void
rule_effect_points(rule_ctx_t *x, const ly_json_node_t *node,
    rule_def_effect_t *e)
{
    const ly_json_node_t  *n;

    static const char  expected[] = "a number of six places at most, not "
                                    "below 0";

    if (e->type == RULE_E_MULTIPLIER) {
        n = rule_required(x, node, ly_str("factor"));

        if (n != NULL && rule_decimal(x, n, true, expected, &e->points)
            && rule_num_cmp(e->points, ly_dec_int(1)) < 0)
        {
            rule_fault_at(&x->report, n, "value.range", "at least 1",
                          n->text);
        }

        return;
    }

    n = e->type == RULE_E_TABLE ? NULL
                                : rule_required(x, node, ly_str("points"));

    if (n == NULL) {
        return;
    }

    if (e->type != RULE_E_FIXED) {
        (void) rule_decimal(x, n, true, expected, &e->points);
        return;
    }

    e->points = ly_dec_int(rule_points(x, n));
}


static const char *const  rule_effect_members[RULE_E_N][9] = {
    [RULE_E_FIXED] = { "type", "wallet", "points", "rounding", NULL },
    [RULE_E_RATE] = { "type", "wallet", "points", "rounding", "per", "of",
                      "where", NULL },
    [RULE_E_LINE_BONUS] = { "type", "wallet", "points", "rounding", "per",
                            "where", NULL },
    [RULE_E_TABLE] = { "type", "wallet", "of", "steps", "rounding", NULL },
    [RULE_E_MULTIPLIER] = { "type", "wallet", "factor", "rounding", NULL }
};


static void
rule_effect(rule_ctx_t *x, const ly_json_node_t *node, rule_def_effect_t *e)
{
    ly_round_e             mode;
    const ly_json_node_t  *n;

    static const char *const  units[] = { "line", "unit" };

    e->rounding = LY_ROUND_FLOOR;

    if (node->type != LY_JSON_OBJECT) {
        rule_fault_at(&x->report, node, "value.type", "an effect", node->text);
        return;
    }

    n = rule_required(x, node, ly_str("type"));

    if (n == NULL) {
        return;
    }

    if (n->type != LY_JSON_STRING) {
        rule_fault_at(&x->report, n, "value.type", "a type of effect",
                      n->text);
        return;
    }

    for (e->type = 0; e->type < RULE_E_N; e->type++) {
        if (rule_same_text(n->text, ly_str_c(rule_effect_names[e->type]))) {
            break;
        }
    }

    if (e->type == RULE_E_N) {
        e->type = RULE_E_FIXED;
        rule_fault_at(&x->report, n, "value.unknown", "fixed, rate, "
                      "line_bonus, table or multiplier", n->text);
        return;
    }

    (void) rule_members(x, node, rule_effect_members[e->type],
                        "a member of this type of effect");

    n = rule_required(x, node, ly_str("wallet"));

    if (n != NULL) {
        e->wallet = rule_name(x, n, "a wallet's code of 1 to 64 bytes");
    }

    n = ly_json_member(node, ly_str("rounding"));

    if (!rule_is_null(n)) {
        if (n->type != LY_JSON_STRING
            || ly_round_parse(n->text, &mode) != LY_OK
            || mode == LY_ROUND_TRUNC)
        {
            rule_fault_at(&x->report, n, n->type == LY_JSON_STRING
                          ? "value.unknown" : "value.type",
                          "floor, ceil, half_up or half_even", n->text);
        } else {
            e->rounding = (uint8_t) mode;
        }
    }

    rule_effect_points(x, node, e);

    n = ly_json_member(node, ly_str("where"));

    if (e->type == RULE_E_RATE) {
        rule_effect_per(x, node, e);

        if (!rule_is_null(n)
            && !rule_is_null(ly_json_member(node, ly_str("of"))))
        {
            rule_fault_at(&x->report, n, "member.unknown",
                          "of or where, not both", rule_none);
        }
    }

    if (e->type == RULE_E_LINE_BONUS) {
        const ly_json_node_t  *per;

        per = ly_json_member(node, ly_str("per"));

        if (!rule_is_null(per)) {
            e->unit = (uint8_t) rule_choice(x, per, units, ly_countof(units),
                                            "line or unit");
        }

        if (rule_is_null(n)) {
            e->where = rule_literal_true(x, node);
        }
    }

    if ((e->type == RULE_E_RATE || e->type == RULE_E_LINE_BONUS)
        && !rule_is_null(n))
    {
        rule_effect_where(x, n, e);

    } else if (e->type == RULE_E_RATE || e->type == RULE_E_TABLE) {
        rule_effect_amount(x, node, e);
    }

    if (e->type == RULE_E_TABLE) {
        rule_effect_table(x, node, e);
    }
}


static void
rule_effects(rule_ctx_t *x, const ly_json_node_t *root)
{
    bool                   rate;
    rule_def_t            *d;
    rule_def_effect_t     *e;
    const ly_json_node_t  *list, *n;

    d = &x->def;
    rate = false;
    list = rule_required(x, root, ly_str("effects"));

    if (list == NULL) {
        return;
    }

    if (list->type != LY_JSON_ARRAY || list->count == 0
        || list->count > RULE_EFFECTS_MAX)
    {
        rule_fault_at(&x->report, list, "value.type", "1 to 16 effects",
                      list->text);
        return;
    }

    d->effects = ly_arena_array(x->arena, list->count, sizeof(*d->effects));
    if (d->effects == NULL) {
        x->report.nomem = true;
        return;
    }

    for (n = list->first; n != NULL; n = n->next) {
        e = &d->effects[d->n_effects++];
        rule_effect(x, n, e);
        rate |= e->type == RULE_E_RATE
                && rule_is_null(ly_json_member(n, ly_str("where")));
    }

    if (d->base && !rate) {
        rule_fault_at(&x->report, list, "base.rate",
                      "a rate without where in a base rule", rule_none);
    }
}


ly_err_t
rule_parse(rule_ctx_t *x, ly_str_t json)
{
    ly_err_t               err;
    ly_json_node_t        *root;
    ly_json_fault_t        fault;
    const ly_json_node_t  *n;

    static const char *const  names[] = {
        "trigger", "condition", "effects", "limits", "priority", "stacking",
        "schedule", "segments", "base", NULL
    };

    err = ly_json_parse(x->arena, json, &rule_json_limits, &root, &fault);

    if (err != LY_OK) {
        if (err != LY_NOMEM) {
            rule_fault_json(&x->report, &fault);
        }

        return x->report.nomem ? LY_NOMEM : err;
    }

    if (root->type != LY_JSON_OBJECT) {
        rule_fault_at(&x->report, root, "value.type", "a rule document",
                      root->text);
        return LY_PARSE;
    }

    (void) rule_members(x, root, names, "a member of a rule document");
    rule_trigger(x, root);
    rule_head(x, root);
    rule_limits(x, ly_json_member(root, ly_str("limits")));

    n = ly_json_member(root, ly_str("condition"));
    x->def.condition = n == NULL ? rule_literal_true(x, root)
                                 : rule_parse_node(x, n, RULE_DEPTH_MAX);

    if (x->def.condition != NULL) {
        rule_check_bool(x, x->def.condition, NULL);
    }

    rule_effects(x, root);

    if (x->report.nomem) {
        return LY_NOMEM;
    }

    if (rule_faulty(&x->report)) {
        return x->report.limit ? LY_LIMIT : LY_PARSE;
    }

    return LY_OK;
}


ly_err_t
rule_front(rule_ctx_t *x, ly_str_t json, const rule_catalogue_t *c,
    ly_buf_t *normal, rule_faults_t *faults)
{
    ly_err_t            err;
    uint32_t            i;
    rule_def_effect_t  *e;

    memset(faults, 0, sizeof(*faults));
    x->catalogue = c;
    x->report.arena = x->arena;
    x->report.faults = faults;

    err = rule_parse(x, json);

    if (err != LY_OK) {
        return err;
    }

    /* the normal form keeps the constant parts as they were written */
    rule_normal_print(x, normal);

    if (ly_buf_err(normal) != LY_OK) {
        return ly_buf_err(normal);
    }

    rule_fold(x, &x->def.condition);

    for (i = 0; i < x->def.n_effects; i++) {
        e = &x->def.effects[i];

        if (e->of != NULL) {
            rule_fold(x, &e->of);
        }

        if (e->where != NULL) {
            rule_fold(x, &e->where);
        }
    }

    if (x->report.nomem) {
        return LY_NOMEM;
    }

    return rule_faulty(&x->report) ? LY_PARSE : LY_OK;
}
