/*
 * Types: every fault of a tree is named, and literals become what they stand
 * beside.  A node that is bad itself causes no further fault above it.
 */

#include "rule_int.h"
#include "../../common/ly_banned.h"


#define rule_none           ly_str_of(NULL, 0)
#define RULE_COUNTERS_MAX   64
#define RULE_WINDOW_MAX     (3660 * LY_TIME_DAY)

#define rule_is_literal(t)  ((t)->op == RULE_OP_LIT)
#define rule_is_num(type)   ((type) == RULE_T_INT || (type) == RULE_T_DEC)
#define rule_is_number(type)                                                  \
    (rule_is_num(type) || (type) == RULE_T_MONEY)
#define rule_is_open(type)                                                    \
    ((type) == RULE_T_LNUM || (type) == RULE_T_LSTR)


static const rule_fact_t  rule_strings = {
    .type = RULE_T_SLIST, .elem = RULE_T_STR
};


static void
rule_bad(rule_ctx_t *x, rule_ast_t *t, const char *code, const char *expected,
    ly_str_t found)
{
    t->bad = true;
    rule_fault_at(&x->report, t->json, code, expected, found);
}


static void
rule_mismatch(rule_ctx_t *x, rule_ast_t *t, const char *expected)
{
    if (!t->bad) {
        rule_bad(x, t, "type.mismatch", expected,
                 ly_str_c(rule_type_name(t->type)));
    }
}


/* a literal beside nothing typed */
static void
rule_settle(rule_ast_t *t)
{
    if (t->type == RULE_T_LNUM) {
        t->type = t->value.scale == 0 && t->value.u.coef >= INT64_MIN
                  && t->value.u.coef <= INT64_MAX ? RULE_T_INT : RULE_T_DEC;

    } else if (t->type == RULE_T_LSTR) {
        t->type = RULE_T_STR;
    }
}


static void
rule_literal_number(rule_ctx_t *x, rule_ast_t *t, unsigned type)
{
    ly_dec_t  d;

    if (t->type == RULE_T_LSTR) {
        if (rule_num_parse(rule_str(&t->value), false, &d) != LY_OK) {
            rule_bad(x, t, "literal.invalid", rule_type_name(type),
                     rule_str(&t->value));
            return;
        }

        rule_set_num(&t->value, d);
        t->type = RULE_T_LNUM;
    }

    if (type == RULE_T_MONEY) {
        t->type = RULE_T_MONEY;
        t->value.kind = RULE_K_MONEY;
        t->value.n = 0;
        return;
    }

    rule_settle(t);
}


static void
rule_literal_bool(rule_ctx_t *x, rule_ast_t *t)
{
    ly_str_t  s;

    s = t->type == RULE_T_LSTR ? rule_str(&t->value) : rule_none;

    if (!rule_same_text(s, ly_str("true"))
        && !rule_same_text(s, ly_str("false")))
    {
        rule_mismatch(x, t, "bool");
        return;
    }

    rule_set_bool(&t->value, s.len == 4);
    t->type = RULE_T_BOOL;
}


/* an open literal takes a single value's type; fact names an enum's values */
static void
rule_take(rule_ctx_t *x, rule_ast_t *t, unsigned type, const rule_fact_t *fact)
{
    ly_str_t     s;
    rule_val_t   v;
    rule_fact_t  f;

    if (!rule_is_open(t->type) || t->bad) {
        return;
    }

    switch (type) {

    case RULE_T_NONE:
        t->bad = true;
        return;

    case RULE_T_INT:
    case RULE_T_DEC:
    case RULE_T_MONEY:
        rule_literal_number(x, t, type);
        return;

    case RULE_T_BOOL:
        rule_literal_bool(x, t);
        return;

    case RULE_T_STR:
        rule_settle(t);
        return;

    default:
        break;
    }

    if (t->type != RULE_T_LSTR) {
        rule_mismatch(x, t, rule_type_name(type));
        return;
    }

    s = rule_str(&t->value);

    if (type == RULE_T_ENUM) {
        f = *fact;
    } else {
        memset(&f, 0, sizeof(f));
    }

    f.type = (uint8_t) type;
    memset(&v, 0, sizeof(v));
    rule_scalar(&f, s, true, &v);

    if (v.kind == RULE_K_INVALID) {
        rule_bad(x, t, type == RULE_T_ENUM ? "enum.unknown"
                                           : "literal.invalid",
                 rule_type_name(type), s);
        return;
    }

    t->value = v;
    t->type = (uint8_t) type;
    t->fact = type == RULE_T_ENUM ? fact : NULL;
}


/* two single values of one kind, so that they can be compared */
static bool
rule_alike(const rule_ast_t *a, const rule_ast_t *b)
{
    uint32_t  i;

    if (a->bad || b->bad) {
        return true;
    }

    if (rule_is_num(a->type) && rule_is_num(b->type)) {
        return true;
    }

    if (a->type != b->type) {
        return false;
    }

    if (a->type == RULE_T_ENUM && a->fact != b->fact) {
        if (a->fact->n_values != b->fact->n_values) {
            return false;
        }

        for (i = 0; i < a->fact->n_values; i++) {
            if (!rule_same_text(a->fact->values[i], b->fact->values[i])) {
                return false;
            }
        }
    }

    return true;
}


static bool
rule_bad_below(rule_ast_t *t)
{
    uint32_t  i;

    for (i = 0; i < t->n; i++) {
        t->bad |= t->arg[i]->bad;
        t->reads |= t->arg[i]->reads;
    }

    return t->bad;
}


/* what operands of one type may be */
typedef enum {
    RULE_ANY,               /* a single value */
    RULE_ORDERED,
    RULE_NUMBERS            /* int, decimal or money */
} rule_order_e;


static void
rule_check_kind(rule_ctx_t *x, rule_ast_t *t, rule_order_e kind)
{
    if (kind == RULE_NUMBERS && !rule_is_number(t->type)) {
        rule_mismatch(x, t, "int, decimal or money");
    }

    if (kind == RULE_ORDERED && t->type == RULE_T_BOOL) {
        rule_mismatch(x, t, "a type that has an order");
    }

    if (kind == RULE_ORDERED && t->type == RULE_T_ENUM && !t->fact->ordered) {
        rule_mismatch(x, t, "an ordered enum");
    }
}


/*
 * The operand that sets the type of the first n: the first that is no literal,
 * else the first literal of a type of its own, else the first.  Lists are
 * refused and set none.
 */
static rule_ast_t *
rule_anchor(rule_ctx_t *x, rule_ast_t *t, uint32_t n)
{
    bool         open, all;
    uint32_t     i;
    rule_ast_t  *a, *anchor;

    anchor = NULL;
    all = true;

    for (i = 0; i < n; i++) {
        a = t->arg[i];
        open = rule_is_literal(a) && rule_is_open(a->type);

        if (!a->bad && !open && a->type > RULE_T_ENUM) {
            rule_mismatch(x, a, "a single value");
            continue;
        }

        if (anchor == NULL
            || (rule_is_literal(anchor)
                && ((rule_is_open(anchor->type) && !open)
                    || !rule_is_literal(a))))
        {
            anchor = a;
        }

        all &= open;
    }

    /* a text beside nothing but literals stays a text */
    for (i = 0; i < n && all; i++) {
        rule_settle(t->arg[i]);
    }

    return anchor == NULL ? t->arg[0] : anchor;
}


/*
 * Brings the first n arguments to one type: literals to that of the anchor,
 * currencies together.  Gives the anchor; where that is at fault itself,
 * literals beside it are not judged.
 */
static rule_ast_t *
rule_unify(rule_ctx_t *x, rule_ast_t *t, uint32_t n, rule_order_e kind)
{
    uint32_t     i, currency;
    rule_ast_t  *a, *anchor;

    anchor = rule_anchor(x, t, n);
    rule_check_kind(x, anchor, kind);
    currency = 0;

    for (i = 0; i < n; i++) {
        a = t->arg[i];
        rule_take(x, a, anchor->bad ? RULE_T_NONE : anchor->type,
                  anchor->fact);

        if (!rule_alike(anchor, a)) {
            rule_mismatch(x, a, rule_type_name(anchor->type));
        }

        if (a->type != RULE_T_MONEY || a->currency == 0) {
            continue;
        }

        if (currency != 0 && currency != a->currency) {
            rule_bad(x, a, "currency.mismatch", "one currency", rule_none);
            continue;
        }

        currency = a->currency;
    }

    if (anchor->type == RULE_T_MONEY) {
        t->currency = currency;
    }

    return anchor;
}


static void
rule_check_args(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    uint32_t  i;

    for (i = 0; i < t->n; i++) {
        rule_check(x, t->arg[i], list);
    }
}


/* a text is none: "true" says so only beside a bool */
void
rule_check_bool(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    rule_check(x, t, list);

    if (t->type != RULE_T_BOOL) {
        rule_mismatch(x, t, "bool");
    }
}


void
rule_check_number(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    rule_check(x, t, list);
    rule_take(x, t, RULE_T_DEC, NULL);

    if (!rule_is_number(t->type)) {
        rule_mismatch(x, t, "int, decimal or money");
    }
}


static void
rule_check_num(rule_ctx_t *x, rule_ast_t *t)
{
    rule_take(x, t, RULE_T_DEC, NULL);

    if (!rule_is_num(t->type)) {
        rule_mismatch(x, t, "int or decimal");
    }
}


static void
rule_check_str(rule_ctx_t *x, rule_ast_t *t)
{
    rule_take(x, t, RULE_T_STR, NULL);

    if (t->type != RULE_T_STR) {
        rule_mismatch(x, t, "string");
    }
}


/* a literal in its place, else a fault */
static bool
rule_want(rule_ctx_t *x, rule_ast_t *t, unsigned open, const char *expected)
{
    if (!rule_is_literal(t) || t->type != open) {
        rule_mismatch(x, t, expected);
        return false;
    }

    rule_settle(t);

    return true;
}


/* finds what a name means here; false with a fault */
static bool
rule_resolve(rule_ctx_t *x, rule_ast_t *t, ly_str_t name,
    const rule_fact_t *list)
{
    int32_t             slot;
    const rule_fact_t  *f;

    if (list != NULL && name.len == 0) {
        t->local = 1;
        t->slot = -1;
        t->reads = RULE_READS_ELEMENT;
        t->type = list->type == RULE_T_LIST ? RULE_T_STRUCT : list->elem;
        t->fact = list;
        return true;
    }

    slot = list == NULL ? -1 : rule_field_find(list, name);

    if (slot >= 0) {
        f = &list->fields[slot];
        t->local = 1;
        t->reads = RULE_READS_ELEMENT;

    } else {
        slot = rule_catalogue_find(x->catalogue, name);

        if (slot < 0) {
            rule_bad(x, t, "fact.unknown", list == NULL
                     ? "a fact of the catalogue"
                     : "a field of the element or a fact of the catalogue",
                     name);
            return false;
        }

        f = &x->catalogue->facts[slot];
        t->local = 0;
        t->reads = RULE_READS_FACTS;
    }

    t->slot = slot;
    t->fact = f;
    t->type = f->type;
    t->currency = f->currency;

    return true;
}


static void
rule_check_var(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    rule_ast_t  *d;

    if (!rule_resolve(x, t, t->name, list) || t->n == 0) {
        return;
    }

    d = t->arg[0];

    if (t->type == RULE_T_LIST || t->type == RULE_T_SLIST
        || t->type == RULE_T_STRUCT)
    {
        rule_mismatch(x, d, "no default for a list");
        return;
    }

    rule_take(x, d, t->type, t->fact);

    if (!rule_alike(t, d)) {
        rule_mismatch(x, d, rule_type_name(t->type));
    }

    if (t->type == RULE_T_INT && d->type == RULE_T_DEC) {
        t->type = RULE_T_DEC;
    }
}


static void
rule_check_names(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    uint32_t     i;
    rule_ast_t  *a;

    t->type = RULE_T_BOOL;

    for (i = 0; i < t->n; i++) {
        a = t->arg[i];

        if (rule_want(x, a, RULE_T_LSTR, "a fact's name")) {
            a->name = rule_str(&a->value);
            (void) rule_resolve(x, a, a->name, list);
        }
    }
}


static void
rule_check_compare(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    rule_check_args(x, t, list);
    (void) rule_unify(x, t, t->n, t->op == RULE_OP_EQ || t->op == RULE_OP_NE
                                  ? RULE_ANY : RULE_ORDERED);
    t->type = RULE_T_BOOL;
    t->currency = 0;
}


/* what a list's elements are, for the body's names; NULL with a fault */
static const rule_fact_t *
rule_check_list(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list,
    bool literals)
{
    rule_fact_t  *f;

    rule_check(x, t, list);

    if (t->bad) {
        return NULL;
    }

    if (t->type == RULE_T_SLIST) {
        return &rule_strings;
    }

    if (t->type == RULE_T_LIST) {
        return t->fact;
    }

    if (t->type != RULE_T_CLIST || !literals) {
        rule_mismatch(x, t, literals ? "a list" : "a list of an event");
        return NULL;
    }

    if (t->n > 0) {
        (void) rule_unify(x, t, t->n, RULE_ANY);
    }

    if (rule_bad_below(t)) {
        return NULL;
    }

    f = ly_arena_zalloc(x->arena, sizeof(*f));
    if (f == NULL) {
        x->report.nomem = true;
        return NULL;
    }

    f->type = RULE_T_CLIST;
    f->elem = t->n > 0 ? t->arg[0]->type : (uint8_t) RULE_T_STR;

    return f;
}


/* list operators; the body sees the element */
static void
rule_check_each(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    uint8_t             below;
    uint32_t            i;
    const rule_fact_t  *elem;

    elem = rule_check_list(x, t->arg[0], list, t->op == RULE_OP_SOME
                           || t->op == RULE_OP_ALL || t->op == RULE_OP_NONE
                           || t->op == RULE_OP_COUNT);
    t->type = t->op == RULE_OP_COUNT || t->op == RULE_OP_DISTINCT
              ? RULE_T_INT : RULE_T_BOOL;

    if (t->op == RULE_OP_FILTER) {
        t->type = t->arg[0]->type;
        t->fact = t->arg[0]->fact;
    }

    if (elem == NULL) {
        t->bad = true;
        return;
    }

    below = t->arg[0]->reads;

    for (i = 1; i < t->n; i++) {
        if (t->op == RULE_OP_SUM) {
            rule_check_number(x, t->arg[i], elem);

        } else if (t->op == RULE_OP_MAX_BY || t->op == RULE_OP_MIN_BY
                   || t->op == RULE_OP_DISTINCT)
        {
            rule_check(x, t->arg[i], elem);
            rule_settle(t->arg[i]);

            if (t->arg[i]->type > RULE_T_ENUM) {
                rule_mismatch(x, t->arg[i], "a single value");

            } else if (i == 1 && t->op != RULE_OP_DISTINCT) {
                rule_check_kind(x, t->arg[i], RULE_ORDERED);
            }

        } else {
            rule_check_bool(x, t->arg[i], elem);
        }

        t->bad |= t->arg[i]->bad;
        below |= t->arg[i]->reads & RULE_READS_FACTS;
    }

    t->reads = below;

    if (t->op == RULE_OP_SUM || t->op == RULE_OP_MAX_BY
        || t->op == RULE_OP_MIN_BY)
    {
        t->type = t->arg[t->n - 1]->type;
        t->currency = t->arg[t->n - 1]->currency;
        t->fact = t->arg[t->n - 1]->fact;
    }
}


static void
rule_check_in(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    bool         open;
    uint32_t     i;
    rule_ast_t  *a, *b;

    rule_check_args(x, t, list);
    t->type = RULE_T_BOOL;
    a = t->arg[0];
    b = t->arg[1];

    if (a->bad || b->bad) {
        return;
    }

    if (b->type == RULE_T_STR || b->type == RULE_T_LSTR) {
        t->op = RULE_OP_CONTAINS;
        t->arg[0] = b;
        t->arg[1] = a;
        rule_check_str(x, a);
        rule_check_str(x, b);
        return;
    }

    if (b->type == RULE_T_SLIST) {
        rule_check_str(x, a);
        return;
    }

    if (b->type != RULE_T_CLIST) {
        rule_mismatch(x, b, "a list of literals or of strings, or a string");
        return;
    }

    open = rule_is_open(a->type);
    rule_settle(a);

    if (a->type > RULE_T_ENUM) {
        rule_mismatch(x, a, "a single value");
        return;
    }

    for (i = 0; i < b->n; i++) {
        if (open) {
            rule_settle(b->arg[i]);
        }

        rule_take(x, b->arg[i], a->type, a->fact);

        if (!rule_alike(a, b->arg[i])) {
            rule_mismatch(x, b->arg[i], rule_type_name(a->type));
        }
    }

    (void) rule_bad_below(b);
}


/* a scale and a rounding, as literals */
static void
rule_check_places(rule_ctx_t *x, rule_ast_t *t, uint32_t i)
{
    rule_ast_t  *a;
    ly_round_e   mode;

    a = t->arg[i];

    if (rule_want(x, a, RULE_T_LNUM, "a scale, 0 to 12")) {
        if (a->value.scale != 0 || a->value.u.coef < 0
            || a->value.u.coef > 12)
        {
            rule_bad(x, a, "value.range", "a scale, 0 to 12", a->json->text);
        } else {
            t->places = (uint8_t) a->value.u.coef;
        }
    }

    a = t->arg[i + 1];

    if (rule_want(x, a, RULE_T_LSTR, "a rounding")) {
        if (ly_round_parse(rule_str(&a->value), &mode) != LY_OK
            || mode == LY_ROUND_TRUNC)
        {
            rule_bad(x, a, "value.unknown",
                     "floor, ceil, half_up or half_even", a->json->text);
        } else {
            t->round = (uint8_t) mode;
        }
    }
}


static void
rule_check_arithmetic(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    bool         dec;
    uint32_t     i, n;
    rule_ast_t  *anchor;

    n = t->op == RULE_OP_ROUND ? 1 : t->n;

    for (i = 0; i < n; i++) {
        rule_check(x, t->arg[i], list);
    }

    anchor = rule_unify(x, t, n, RULE_NUMBERS);
    t->type = anchor->type;
    dec = t->op == RULE_OP_ROUND;

    for (i = 0; i < n; i++) {
        dec |= t->arg[i]->type == RULE_T_DEC;
    }

    if (t->type == RULE_T_INT && dec) {
        t->type = RULE_T_DEC;
    }

    if (t->op == RULE_OP_ROUND) {
        rule_check_places(x, t, 1);
    }
}


static void
rule_check_product(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    uint32_t     i;
    rule_ast_t  *a;

    a = t->arg[0];

    if (t->op == RULE_OP_DIV) {
        rule_check(x, a, list);
        rule_check(x, t->arg[1], list);
        rule_check_places(x, t, 2);

        if (t->arg[1]->type == RULE_T_MONEY) {
            (void) rule_unify(x, t, 2, RULE_NUMBERS);
            t->currency = 0;
            t->type = RULE_T_DEC;
            return;
        }

        rule_check_num(x, t->arg[1]);

    } else {
        rule_check_args(x, t, list);
    }

    if (t->op == RULE_OP_MOD) {
        rule_check_num(x, a);
    } else {
        rule_take(x, a, RULE_T_DEC, NULL);
    }

    if (!rule_is_number(a->type)) {
        rule_mismatch(x, a, "int, decimal or money");
    }

    t->type = t->op == RULE_OP_DIV && a->type == RULE_T_INT ? RULE_T_DEC
                                                             : a->type;
    t->currency = a->currency;

    for (i = 1; t->op != RULE_OP_DIV && i < t->n; i++) {
        rule_check_num(x, t->arg[i]);

        if (t->type == RULE_T_INT && t->arg[i]->type == RULE_T_DEC) {
            t->type = RULE_T_DEC;
        }
    }
}


/* {"money": ["50.00", "GBP"]} becomes a literal of its own */
static void
rule_check_money(rule_ctx_t *x, rule_ast_t *t)
{
    uint32_t     currency;
    rule_ast_t  *a, *b;

    a = t->arg[0];
    b = t->arg[1];
    t->type = RULE_T_MONEY;
    rule_take(x, a, RULE_T_MONEY, NULL);

    if (a->type != RULE_T_MONEY) {
        rule_mismatch(x, a, "an amount");
    }

    if (!rule_want(x, b, RULE_T_LSTR, "a currency")) {
        return;
    }

    currency = rule_currency(rule_str(&b->value));

    if (currency == 0) {
        rule_bad(x, b, "literal.invalid", "three capital letters",
                 rule_str(&b->value));
    }

    if (a->bad || b->bad) {
        t->bad = true;
        return;
    }

    t->op = RULE_OP_LIT;
    t->n = 0;
    t->value = a->value;
    t->value.n = currency;
    t->currency = currency;
}


/* instants need a zone, so that what reads one is no constant */
static void
rule_check_calendar(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    bool             instant, born;
    uint32_t         i, n;
    rule_ast_t      *a;
    rule_duration_t  d;

    n = t->op == RULE_OP_PLUS || t->op == RULE_OP_MINUS ? 1 : t->n;
    instant = t->op == RULE_OP_DATE || t->op == RULE_OP_HOUR
              || t->op == RULE_OP_MINUTE;
    t->type = RULE_T_INT;

    for (i = 0; i < n; i++) {
        a = t->arg[i];
        born = t->op == RULE_OP_BIRTHDAY && i == 0;
        rule_check(x, a, list);

        if (a->type == RULE_T_LSTR) {
            rule_take(x, a, !born && (a->value.n > LY_DATE_TEXT || instant)
                      ? RULE_T_INSTANT : RULE_T_DATE, NULL);
        }

        if (born
            ? a->type != RULE_T_DATE
            : a->type != RULE_T_INSTANT && (instant || a->type != RULE_T_DATE))
        {
            rule_mismatch(x, a, instant ? "instant" : "instant or date");
        }

        if (a->type == RULE_T_INSTANT) {
            t->reads |= RULE_READS_FACTS;
        }
    }

    if (t->op == RULE_OP_DATE) {
        t->type = RULE_T_DATE;

    } else if (t->op == RULE_OP_BIRTHDAY) {
        t->type = RULE_T_BOOL;

    } else if (n == 1 && t->n == 2) {
        t->type = t->arg[0]->type;
        a = t->arg[1];

        if (rule_want(x, a, RULE_T_LSTR, "a duration")
            && (!rule_duration_parse(rule_str(&a->value), &d)
                || (d.has_time && t->type == RULE_T_DATE && !t->arg[0]->bad)))
        {
            rule_bad(x, a, "literal.invalid", "a duration: P1Y2M3W4DT5H6M7S",
                     rule_str(&a->value));
        }
    }
}


static void
rule_check_member(rule_ctx_t *x, rule_ast_t *t)
{
    uint32_t            i, slot;
    const rule_fact_t  *f;

    slot = t->op == RULE_OP_TIER ? RULE_F_MEMBER_TIER
           : t->op == RULE_OP_SEGMENT ? RULE_F_MEMBER_SEGMENTS
                                      : RULE_F_MEMBER_ACHIEVEMENTS;
    f = &x->catalogue->facts[slot];
    t->type = RULE_T_BOOL;
    t->slot = (int32_t) slot;
    t->fact = f;
    t->reads = RULE_READS_FACTS;

    for (i = 0; i < t->n; i++) {
        if (t->arg[i]->type != RULE_T_LSTR) {
            rule_mismatch(x, t->arg[i], "a name");
        }

        rule_take(x, t->arg[i], f->type == RULE_T_ENUM ? RULE_T_ENUM
                                                       : RULE_T_STR, f);
    }
}


static void
rule_counter_add(rule_ctx_t *x, rule_ast_t *t, const rule_def_counter_t *c)
{
    ly_buf_t  b;
    uint32_t  i;

    rule_def_counter_t  *d;

    ly_buf_init_arena(&b, x->arena, RULE_TEXT_MAX * 4);
    ly_buf_cstr(&b, rule_ops[t->op].name);

    for (i = 0; i < t->n; i++) {
        ly_buf_byte(&b, ':');
        ly_buf_str(&b, rule_str(&t->arg[i]->value));
    }

    if (x->counters == NULL) {
        x->counters = ly_arena_array(x->arena, RULE_COUNTERS_MAX,
                                     sizeof(*x->counters));
    }

    if (x->counters == NULL || ly_buf_err(&b) != LY_OK) {
        x->report.nomem = true;
        return;
    }

    for (i = 0; i < x->n_counters; i++) {
        if (rule_same_text(x->counters[i].key, ly_buf_view(&b))) {
            t->slot = (int32_t) i;
            return;
        }
    }

    if (i == RULE_COUNTERS_MAX) {
        rule_bad(x, t, "bound.list", "at most 64 counters", rule_none);
        return;
    }

    d = &x->counters[x->n_counters++];
    *d = *c;
    d->key = ly_buf_view(&b);
    t->slot = (int32_t) i;
}


static void
rule_check_counter(rule_ctx_t *x, rule_ast_t *t)
{
    int32_t             slot;
    rule_ast_t         *a;
    rule_duration_t     d;
    rule_def_counter_t  c;

    memset(&c, 0, sizeof(c));
    t->type = t->op == RULE_OP_COUNT_WINDOW ? RULE_T_INT : RULE_T_DEC;
    t->reads = RULE_READS_FACTS;

    a = t->arg[0];

    if (rule_want(x, a, RULE_T_LSTR, "an event type")) {
        c.event = rule_str(&a->value);

        if (!rule_event_type(c.event)) {
            rule_bad(x, a, "literal.invalid", "an event type", c.event);
        }
    }

    a = t->arg[1];

    if (t->op == RULE_OP_SUM_WINDOW
        && rule_want(x, a, RULE_T_LSTR, "a fact's name"))
    {
        c.fact = rule_str(&a->value);
        slot = rule_catalogue_find(x->catalogue, c.fact);

        if (slot < 0 || x->catalogue->facts[slot].state) {
            rule_bad(x, a, "fact.unknown", "a fact of the event", c.fact);

        } else if (!rule_is_number(x->catalogue->facts[slot].type)) {
            rule_bad(x, a, "type.mismatch", "a number or money", c.fact);
        }
    }

    a = t->arg[t->n - 1];

    if (rule_want(x, a, RULE_T_LSTR, "a window")) {
        if (!rule_duration_parse(rule_str(&a->value), &d) || d.months != 0
            || d.days * LY_TIME_DAY + d.us <= 0
            || d.days * LY_TIME_DAY + d.us > RULE_WINDOW_MAX)
        {
            rule_bad(x, a, "literal.invalid", "a window without years and "
                     "months, above 0, at most 3660 days",
                     rule_str(&a->value));
        } else {
            c.window_us = d.days * LY_TIME_DAY + d.us;
        }
    }

    if (!rule_bad_below(t)) {
        rule_counter_add(x, t, &c);
    }
}


static void
rule_check_if(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    uint32_t     i;
    rule_ast_t  *anchor, values;

    memset(&values, 0, sizeof(values));
    values.arg = ly_arena_array(x->arena, t->n / 2 + 1, sizeof(*values.arg));

    if (values.arg == NULL) {
        x->report.nomem = true;
        t->bad = true;
        return;
    }

    for (i = 0; i < t->n; i++) {
        if (i % 2 == 0 && i + 1 < t->n) {
            rule_check_bool(x, t->arg[i], list);
            continue;
        }

        rule_check(x, t->arg[i], list);
        values.arg[values.n++] = t->arg[i];
    }

    anchor = rule_unify(x, &values, values.n, RULE_ANY);
    t->type = anchor->type;
    t->fact = anchor->fact;
    t->currency = values.currency;

    for (i = 0; i < values.n; i++) {
        if (t->type == RULE_T_INT && values.arg[i]->type == RULE_T_DEC) {
            t->type = RULE_T_DEC;
        }
    }
}


static void
rule_check_op(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    uint32_t  i;

    if (t->op >= RULE_OP_SOME && t->op <= RULE_OP_DISTINCT) {
        rule_check_each(x, t, list);

    } else if (t->op >= RULE_OP_DATE && t->op <= RULE_OP_MINUS) {
        rule_check_calendar(x, t, list);

    } else if (t->op >= RULE_OP_TIER && t->op <= RULE_OP_ACHIEVEMENT) {
        rule_check_member(x, t);

    } else if (t->op >= RULE_OP_COUNT_WINDOW) {
        rule_check_counter(x, t);

    } else if (t->op >= RULE_OP_EQ && t->op <= RULE_OP_BETWEEN) {
        rule_check_compare(x, t, list);

    } else if (t->op == RULE_OP_MUL || t->op == RULE_OP_DIV
               || t->op == RULE_OP_MOD)
    {
        rule_check_product(x, t, list);

    } else if (t->op >= RULE_OP_ADD && t->op <= RULE_OP_ROUND) {
        rule_check_arithmetic(x, t, list);

    } else if (t->op >= RULE_OP_CONTAINS && t->op <= RULE_OP_LENGTH) {
        rule_check_args(x, t, list);

        for (i = 0; i < t->n; i++) {
            rule_check_str(x, t->arg[i]);
        }

        t->type = t->op == RULE_OP_FOLD ? RULE_T_STR
                  : t->op == RULE_OP_LENGTH ? RULE_T_INT : RULE_T_BOOL;

    } else {
        t->type = RULE_T_BOOL;

        for (i = 0; i < t->n; i++) {
            rule_check_bool(x, t->arg[i], list);
        }
    }
}


void
rule_check(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list)
{
    switch (t->op) {

    case RULE_OP_LIT:
    case RULE_OP_LIST:
        return;

    case RULE_OP_VAR:
        rule_check_var(x, t, list);
        break;

    case RULE_OP_HAS:
    case RULE_OP_MISSING:
        rule_check_names(x, t, list);
        break;

    case RULE_OP_IN:
        rule_check_in(x, t, list);
        break;

    case RULE_OP_IF:
        rule_check_if(x, t, list);
        break;

    case RULE_OP_MONEY:
        rule_check_money(x, t);
        break;

    default:
        rule_check_op(x, t, list);
        break;
    }

    if (t->op < RULE_OP_SOME || t->op > RULE_OP_DISTINCT) {
        (void) rule_bad_below(t);
    }
}
