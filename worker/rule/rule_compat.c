/*
 * The compatible mode: classic JsonLogic with JavaScript's coercions, as the
 * reference implementation does it.  It never makes points.
 */

#include <math.h>

#include "rule_compat.h"
#include "../../common/ly_banned.h"


#define RULE_JS_STEPS   5000000
#define RULE_JS_DEPTH   1000            /* of containers in a line */
#define RULE_JS_RESULT  ((size_t) 16 << 20)


typedef const rule_js_t *(*rule_js_op_pt)(rule_js_ctx_t *x,
    const rule_js_t *args, const rule_js_t *data);

static const rule_js_t *rule_js_apply(rule_js_ctx_t *x,
    const rule_js_t *logic, const rule_js_t *data);


static const ly_json_limits_t  rule_js_limits = {
    .max_depth = RULE_JS_DEPTH,
    .max_nodes = 1048576,
    .max_members = 1048576,
    .max_bytes = 1048576,
    .max_string = 1048576,
    .refuse_nul = 0,
    .borrow = 0
};


static const rule_js_t *
rule_js_arg(const rule_js_t *args, uint32_t i)
{
    return i < args->n ? args->e[i] : &rule_js_undefined;
}


/* --- var and missing --- */

static const rule_js_t *
rule_js_var(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    uint32_t          i, start;
    const rule_js_t  *a, *otherwise;

    a = rule_js_arg(args, 0);
    otherwise = rule_js_arg(args, 1);

    if (otherwise->kind == RULE_JS_UNDEFINED) {
        otherwise = &rule_js_null;
    }

    if (a->kind <= RULE_JS_NULL || (a->kind == RULE_JS_STRING && a->n == 0)) {
        return data;
    }

    a = rule_js_string(x, a);

    if (a == NULL) {
        return NULL;
    }

    for (i = 0, start = 0; i <= a->n; i++) {
        if (i < a->n && a->s[i] != '.') {
            continue;
        }

        data = rule_js_get(x, data, a->s + start, i - start);
        start = i + 1;

        if (data == NULL) {
            return NULL;
        }

        if (data->kind == RULE_JS_UNDEFINED) {
            return otherwise;
        }
    }

    return data;
}


/* {"name": v} as a rule of its own */
static const rule_js_t *
rule_js_call(rule_js_ctx_t *x, rule_js_op_pt op, const rule_js_t *v,
    const rule_js_t *data)
{
    rule_js_t        *args;
    const rule_js_t  *evaluated;

    if (v->kind != RULE_JS_ARRAY) {
        args = rule_js_array(x, 1);

        if (args == NULL) {
            return NULL;
        }

        args->e[0] = v;
        v = args;
    }

    evaluated = rule_js_apply(x, v, data);

    return evaluated == NULL ? NULL : op(x, evaluated, data);
}


static const rule_js_t *
rule_js_missing(rule_js_ctx_t *x, const rule_js_t *args,
    const rule_js_t *data)
{
    uint32_t          i, n;
    rule_js_t        *out;
    const rule_js_t  *keys, *v;

    keys = args->n > 0 && args->e[0]->kind == RULE_JS_ARRAY ? args->e[0]
                                                            : args;
    out = rule_js_array(x, keys->n);

    if (out == NULL) {
        return NULL;
    }

    for (i = 0, n = 0; i < keys->n; i++) {
        v = rule_js_call(x, rule_js_var, keys->e[i], data);

        if (v == NULL) {
            return NULL;
        }

        if (v->kind == RULE_JS_NULL
            || (v->kind == RULE_JS_STRING && v->n == 0))
        {
            out->e[n++] = keys->e[i];
        }
    }

    out->n = n;

    return out;
}


static const rule_js_t *
rule_js_missing_some(rule_js_ctx_t *x, const rule_js_t *args,
    const rule_js_t *data)
{
    double            have;
    rule_js_t        *none;
    const rule_js_t  *need, *options, *missing;

    static const uint16_t  length[] = { 'l', 'e', 'n', 'g', 't', 'h' };

    need = rule_js_arg(args, 0);
    options = rule_js_arg(args, 1);
    missing = rule_js_call(x, rule_js_missing, options, data);

    if (missing == NULL) {
        return NULL;
    }

    if (options->kind <= RULE_JS_NULL) {
        return rule_js_fail(x, "type.error",
                            ly_str("missing_some needs a list of names"));
    }

    options = rule_js_get(x, options, length, 6);

    if (options == NULL) {
        return NULL;
    }

    have = rule_js_to_number(x, options) - missing->n;

    if (!(have >= rule_js_to_number(x, need))) {
        return x->code == NULL ? missing : NULL;
    }

    none = rule_js_array(x, 0);

    return none;
}


/* --- operators on evaluated arguments --- */

#define rule_js_binary(name, expression)                                      \
    static const rule_js_t *                                                  \
    name(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)      \
    {                                                                         \
        const rule_js_t  *a, *b;                                              \
                                                                              \
        a = rule_js_arg(args, 0);                                             \
        b = rule_js_arg(args, 1);                                             \
                                                                              \
        return rule_js_bool(expression);                                      \
    }


rule_js_binary(rule_js_eq, rule_js_equal(x, a, b))
rule_js_binary(rule_js_ne, !rule_js_equal(x, a, b))
rule_js_binary(rule_js_seq, rule_js_same(a, b))
rule_js_binary(rule_js_sne, !rule_js_same(a, b))
rule_js_binary(rule_js_gt, rule_js_relation(x, a, b) == 1)
rule_js_binary(rule_js_not, ((void) b, !rule_js_truthy(a)))
rule_js_binary(rule_js_yes, ((void) b, rule_js_truthy(a)))


static bool
rule_js_at_most(rule_js_ctx_t *x, const rule_js_t *a, const rule_js_t *b)
{
    int  r;

    r = rule_js_relation(x, a, b);

    return r == -1 || r == 0;
}


rule_js_binary(rule_js_ge, rule_js_at_most(x, b, a))


static const rule_js_t *
rule_js_lt(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    bool              is;
    const rule_js_t  *a, *b, *c;

    a = rule_js_arg(args, 0);
    b = rule_js_arg(args, 1);
    c = rule_js_arg(args, 2);
    is = rule_js_relation(x, a, b) == -1;

    if (c->kind != RULE_JS_UNDEFINED) {
        is = is && rule_js_relation(x, b, c) == -1;
    }

    return rule_js_bool(is);
}


static const rule_js_t *
rule_js_le(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    bool              is;
    const rule_js_t  *a, *b, *c;

    a = rule_js_arg(args, 0);
    b = rule_js_arg(args, 1);
    c = rule_js_arg(args, 2);
    is = rule_js_at_most(x, a, b);

    if (c->kind != RULE_JS_UNDEFINED) {
        is = is && rule_js_at_most(x, b, c);
    }

    return rule_js_bool(is);
}


static const rule_js_t *
rule_js_add(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    double    sum;
    uint32_t  i;

    for (i = 0, sum = 0; i < args->n; i++) {
        sum += rule_js_parse_float(x, args->e[i]);
    }

    return rule_js_number(x, sum);
}


static const rule_js_t *
rule_js_mul(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    double    product;
    uint32_t  i;

    if (args->n == 0) {
        return rule_js_fail(x, "type.error", ly_str("a product of nothing"));
    }

    if (args->n == 1) {
        return args->e[0];
    }

    product = rule_js_parse_float(x, args->e[0]);

    for (i = 1; i < args->n; i++) {
        product = rule_js_parse_float(x, args->e[i])
                  * (product == 0 ? 0 : product);
    }

    return rule_js_number(x, product);
}


static const rule_js_t *
rule_js_sub(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    double            a;
    const rule_js_t  *b;

    b = rule_js_arg(args, 1);
    a = rule_js_to_number(x, rule_js_arg(args, 0));

    if (b->kind == RULE_JS_UNDEFINED) {
        return rule_js_number(x, -a);
    }

    return rule_js_number(x, a - rule_js_to_number(x, b));
}


static const rule_js_t *
rule_js_div(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    double  a, b;

    a = rule_js_to_number(x, rule_js_arg(args, 0));
    b = rule_js_to_number(x, rule_js_arg(args, 1));

    if (b == 0) {
        /* IEEE says so, the sanitizer of divisions does not */
        return rule_js_number(x, a == 0 || isnan(a) ? NAN
                              : (a > 0) == (signbit(b) == 0) ? HUGE_VAL
                                                             : -HUGE_VAL);
    }

    return rule_js_number(x, a / b);
}


static const rule_js_t *
rule_js_mod(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    return rule_js_number(x, fmod(rule_js_to_number(x, rule_js_arg(args, 0)),
                                  rule_js_to_number(x, rule_js_arg(args, 1))));
}


static const rule_js_t *
rule_js_extreme(rule_js_ctx_t *x, const rule_js_t *args, bool max)
{
    bool      none;
    double    d, best;
    uint32_t  i;

    none = false;
    best = max ? -HUGE_VAL : HUGE_VAL;

    for (i = 0; i < args->n; i++) {
        d = rule_js_to_number(x, args->e[i]);
        none |= isnan(d);

        /* -0 lies below 0 */
        if ((max ? d > best : d < best)
            || (d == best && (signbit(best) != 0) == max))
        {
            best = d;
        }
    }

    return rule_js_number(x, none ? NAN : best);
}


static const rule_js_t *
rule_js_min(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    return rule_js_extreme(x, args, false);
}


static const rule_js_t *
rule_js_max(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    return rule_js_extreme(x, args, true);
}


static const rule_js_t *
rule_js_merge(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    uint32_t    i, k, n;
    uint64_t    total;
    rule_js_t  *out;

    for (i = 0, total = 0; i < args->n; i++) {
        total += args->e[i]->kind == RULE_JS_ARRAY ? args->e[i]->n : 1;
    }

    if (total > RULE_JS_UNITS) {
        return rule_js_fail(x, "memory.exhausted", rule_none);
    }

    out = rule_js_array(x, (uint32_t) total);

    if (out == NULL) {
        return NULL;
    }

    for (i = 0, n = 0; i < args->n; i++) {
        if (args->e[i]->kind != RULE_JS_ARRAY) {
            out->e[n++] = args->e[i];
            continue;
        }

        for (k = 0; k < args->e[i]->n; k++) {
            out->e[n++] = args->e[i]->e[k];
        }
    }

    return out;
}


static bool
rule_js_text_in(const rule_js_t *hay, const rule_js_t *needle)
{
    const unsigned char  *p, *end;

    p = (const unsigned char *) hay->s;
    end = (const unsigned char *) (hay->s + hay->n);

    for ( ;; ) {
        p = memmem(p, (size_t) (end - p), needle->s,
                   needle->n * sizeof(*needle->s));

        if (p == NULL) {
            return false;
        }

        /* at the bounds of units only */
        if ((p - (const unsigned char *) hay->s) % 2 == 0) {
            return true;
        }

        p++;
    }
}


static const rule_js_t *
rule_js_in(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    uint32_t          i;
    const rule_js_t  *a, *b;

    a = rule_js_arg(args, 0);
    b = rule_js_arg(args, 1);

    if (b->kind == RULE_JS_STRING && b->n > 0) {
        a = rule_js_string(x, a);

        return a == NULL ? NULL : rule_js_bool(rule_js_text_in(b, a));
    }

    for (i = 0; b->kind == RULE_JS_ARRAY && i < b->n; i++) {
        if (rule_js_same(b->e[i], a)) {
            return &rule_js_true;
        }
    }

    return &rule_js_false;
}


static const rule_js_t *
rule_js_cat(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    uint16_t         *u;
    uint32_t          i;
    uint64_t          n;
    rule_js_t        *parts;

    parts = rule_js_array(x, args->n);
    if (parts == NULL) {
        return NULL;
    }

    n = 0;

    for (i = 0; i < args->n; i++) {
        parts->e[i] = args->e[i]->kind <= RULE_JS_NULL
                      ? &rule_js_empty : rule_js_string(x, args->e[i]);
        if (parts->e[i] == NULL) {
            return NULL;
        }

        n += parts->e[i]->n;
    }

    u = n > RULE_JS_UNITS ? NULL : ly_arena_alloc(x->arena, n * sizeof(*u));
    if (u == NULL) {
        return rule_js_fail(x, "memory.exhausted", rule_none);
    }

    for (i = 0, n = 0; i < args->n; i++) {
        memcpy(u + n, parts->e[i]->s, parts->e[i]->n * sizeof(*u));
        n += parts->e[i]->n;
    }

    return rule_js_units(x, u, (uint32_t) n);
}


/* ToIntegerOrInfinity */
static double
rule_js_integer(rule_js_ctx_t *x, const rule_js_t *v)
{
    double  d;

    d = rule_js_to_number(x, v);

    return isnan(d) ? 0 : trunc(d);
}


static void
rule_js_cut(const rule_js_t *s, double start, double length, uint32_t *from,
    uint32_t *n)
{
    double  size;

    size = s->n;

    if (start < 0) {
        start = fmax(start + size, 0);
    }

    start = fmin(start, size);
    *from = (uint32_t) start;
    *n = (uint32_t) fmax(fmin(length, size - start), 0);
}


static const rule_js_t *
rule_js_substr(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    double            start, end;
    uint32_t          from, n;
    const rule_js_t  *s, *last;

    s = rule_js_string(x, rule_js_arg(args, 0));

    if (s == NULL) {
        return NULL;
    }

    start = rule_js_integer(x, rule_js_arg(args, 1));
    last = rule_js_arg(args, 2);

    if (last->kind == RULE_JS_UNDEFINED) {
        rule_js_cut(s, start, HUGE_VAL, &from, &n);
        return rule_js_units(x, s->s + from, n);
    }

    end = rule_js_to_number(x, last);

    if (end < 0) {
        rule_js_cut(s, start, HUGE_VAL, &from, &n);

        /* the reference adds: a text makes "8-1" of it, which is no number */
        end = last->kind == RULE_JS_NUMBER ? trunc(n + end) : 0;
        n = (uint32_t) fmax(end, 0);

    } else {
        rule_js_cut(s, start, isnan(end) ? 0 : trunc(end), &from, &n);
    }

    return rule_js_units(x, s->s + from, n);
}


static const rule_js_t *
rule_js_log(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    return rule_js_arg(args, 0);
}


/* --- operators that see their arguments unevaluated --- */

static const rule_js_t *
rule_js_if(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    uint32_t          i;
    const rule_js_t  *v;

    for (i = 0; i + 1 < args->n; i += 2) {
        v = rule_js_apply(x, args->e[i], data);

        if (v == NULL) {
            return NULL;
        }

        if (rule_js_truthy(v)) {
            return rule_js_apply(x, args->e[i + 1], data);
        }
    }

    return i < args->n ? rule_js_apply(x, args->e[i], data) : &rule_js_null;
}


static const rule_js_t *
rule_js_until(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data,
    bool stop)
{
    uint32_t          i;
    const rule_js_t  *v;

    v = &rule_js_undefined;

    for (i = 0; i < args->n; i++) {
        v = rule_js_apply(x, args->e[i], data);

        if (v == NULL || rule_js_truthy(v) == stop) {
            return v;
        }
    }

    return v;
}


static const rule_js_t *
rule_js_and(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    return rule_js_until(x, args, data, false);
}


static const rule_js_t *
rule_js_or(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    return rule_js_until(x, args, data, true);
}


/* the list of a loop, evaluated; not an array: empty and *is false */
static const rule_js_t *
rule_js_list(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data,
    bool *is)
{
    const rule_js_t  *list;

    list = rule_js_apply(x, rule_js_arg(args, 0), data);
    *is = list != NULL && list->kind == RULE_JS_ARRAY;

    return list;
}


static const rule_js_t *
rule_js_map(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    bool              is;
    uint32_t          i;
    rule_js_t        *out;
    const rule_js_t  *list;

    list = rule_js_list(x, args, data, &is);

    if (list == NULL) {
        return NULL;
    }

    out = rule_js_array(x, is ? list->n : 0);

    for (i = 0; out != NULL && i < out->n; i++) {
        out->e[i] = rule_js_apply(x, rule_js_arg(args, 1), list->e[i]);

        if (out->e[i] == NULL) {
            return NULL;
        }
    }

    return out;
}


static const rule_js_t *
rule_js_filter(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    bool              is;
    uint32_t          i, n;
    rule_js_t        *out;
    const rule_js_t  *list, *v;

    list = rule_js_list(x, args, data, &is);

    if (list == NULL) {
        return NULL;
    }

    out = rule_js_array(x, is ? list->n : 0);

    if (out == NULL) {
        return NULL;
    }

    for (i = 0, n = 0; i < out->n; i++) {
        v = rule_js_apply(x, rule_js_arg(args, 1), list->e[i]);

        if (v == NULL) {
            return NULL;
        }

        if (rule_js_truthy(v)) {
            out->e[n++] = list->e[i];
        }
    }

    out->n = n;

    return out;
}


static const rule_js_t *
rule_js_scope(rule_js_ctx_t *x, const rule_js_t *current,
    const rule_js_t *accumulator)
{
    rule_js_t  *scope;

    static const uint16_t   names[] = {
        'c', 'u', 'r', 'r', 'e', 'n', 't',
        'a', 'c', 'c', 'u', 'm', 'u', 'l', 'a', 't', 'o', 'r'
    };
    static const rule_js_t  keys[2] = {
        { .kind = RULE_JS_STRING, .s = names, .n = 7 },
        { .kind = RULE_JS_STRING, .s = names + 7, .n = 11 }
    };
    static const rule_js_t  *order[2] = { &keys[0], &keys[1] };

    scope = rule_js_array(x, 2);

    if (scope != NULL) {
        scope->kind = RULE_JS_OBJECT;
        scope->k = order;
        scope->e[0] = current;
        scope->e[1] = accumulator;
    }

    return scope;
}


static const rule_js_t *
rule_js_reduce(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    bool              is;
    uint32_t          i;
    const rule_js_t  *list, *v, *scope;

    list = rule_js_list(x, args, data, &is);

    if (list == NULL) {
        return NULL;
    }

    v = args->n > 2 ? rule_js_apply(x, args->e[2], data) : &rule_js_null;

    for (i = 0; v != NULL && is && i < list->n; i++) {
        scope = rule_js_scope(x, list->e[i], v);

        if (scope == NULL) {
            return NULL;
        }

        v = rule_js_apply(x, rule_js_arg(args, 1), scope);
    }

    return v;
}


/* stops at an element for which the body is `stop` */
static const rule_js_t *
rule_js_quantify(rule_js_ctx_t *x, const rule_js_t *args,
    const rule_js_t *data, bool stop, bool empty, bool found)
{
    bool              is;
    uint32_t          i;
    const rule_js_t  *list, *v;

    list = rule_js_list(x, args, data, &is);

    if (list == NULL) {
        return NULL;
    }

    if (!is || list->n == 0) {
        return rule_js_bool(empty);
    }

    for (i = 0; i < list->n; i++) {
        v = rule_js_apply(x, rule_js_arg(args, 1), list->e[i]);

        if (v == NULL) {
            return NULL;
        }

        if (rule_js_truthy(v) == stop) {
            return rule_js_bool(found);
        }
    }

    return rule_js_bool(!found);
}


static const rule_js_t *
rule_js_all(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    return rule_js_quantify(x, args, data, false, false, false);
}


static const rule_js_t *
rule_js_none(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    return rule_js_quantify(x, args, data, true, true, false);
}


static const rule_js_t *
rule_js_some(rule_js_ctx_t *x, const rule_js_t *args, const rule_js_t *data)
{
    return rule_js_quantify(x, args, data, true, false, true);
}


static const struct {
    const char     *name;
    rule_js_op_pt   run;
    bool            raw;        /* sees its arguments unevaluated */
} rule_js_ops[] = {
    { "if", rule_js_if, true },
    { "?:", rule_js_if, true },
    { "and", rule_js_and, true },
    { "or", rule_js_or, true },
    { "filter", rule_js_filter, true },
    { "map", rule_js_map, true },
    { "reduce", rule_js_reduce, true },
    { "all", rule_js_all, true },
    { "none", rule_js_none, true },
    { "some", rule_js_some, true },
    { "var", rule_js_var, false },
    { "missing", rule_js_missing, false },
    { "missing_some", rule_js_missing_some, false },
    { "==", rule_js_eq, false },
    { "===", rule_js_seq, false },
    { "!=", rule_js_ne, false },
    { "!==", rule_js_sne, false },
    { ">", rule_js_gt, false },
    { ">=", rule_js_ge, false },
    { "<", rule_js_lt, false },
    { "<=", rule_js_le, false },
    { "!!", rule_js_yes, false },
    { "!", rule_js_not, false },
    { "%", rule_js_mod, false },
    { "log", rule_js_log, false },
    { "in", rule_js_in, false },
    { "cat", rule_js_cat, false },
    { "substr", rule_js_substr, false },
    { "+", rule_js_add, false },
    { "*", rule_js_mul, false },
    { "-", rule_js_sub, false },
    { "/", rule_js_div, false },
    { "min", rule_js_min, false },
    { "max", rule_js_max, false },
    { "merge", rule_js_merge, false }
};


static size_t
rule_js_find(const rule_js_t *name)
{
    size_t    i;
    uint32_t  k;

    for (i = 0; i < ly_countof(rule_js_ops); i++) {
        for (k = 0; k < name->n && rule_js_ops[i].name[k] != '\0'
             && name->s[k] == (unsigned char) rule_js_ops[i].name[k]; k++)
        {
            /* void */
        }

        if (k == name->n && rule_js_ops[i].name[k] == '\0') {
            break;
        }
    }

    return i;
}


static const rule_js_t *
rule_js_operation(rule_js_ctx_t *x, const rule_js_t *logic,
    const rule_js_t *data)
{
    size_t            i;
    ly_buf_t          b;
    rule_js_t        *one;
    const rule_js_t  *args;

    i = rule_js_find(logic->k[0]);

    if (i == ly_countof(rule_js_ops)) {
        ly_buf_init_arena(&b, x->arena, RULE_JS_RESULT);
        rule_js_print(logic->k[0], &b);
        return rule_js_fail(x, "op.unknown", ly_buf_view(&b));
    }

    args = logic->e[0];

    if (args->kind != RULE_JS_ARRAY) {
        one = rule_js_array(x, 1);

        if (one == NULL) {
            return NULL;
        }

        one->e[0] = args;
        args = one;
    }

    if (!rule_js_ops[i].raw) {
        args = rule_js_apply(x, args, data);

        if (args == NULL) {
            return NULL;
        }
    }

    args = rule_js_ops[i].run(x, args, data);

    return x->code == NULL ? args : NULL;
}


static const rule_js_t *
rule_js_apply(rule_js_ctx_t *x, const rule_js_t *logic, const rule_js_t *data)
{
    uint32_t    i;
    rule_js_t  *out;

    if (x->steps == 0) {
        return rule_js_fail(x, "steps.exhausted", rule_none);
    }

    x->steps--;

    if (logic->kind == RULE_JS_ARRAY) {
        out = rule_js_array(x, logic->n);

        for (i = 0; out != NULL && i < logic->n; i++) {
            out->e[i] = rule_js_apply(x, logic->e[i], data);

            if (out->e[i] == NULL) {
                return NULL;
            }
        }

        return out;
    }

    if (logic->kind != RULE_JS_OBJECT || logic->n != 1) {
        return logic;
    }

    return rule_js_operation(x, logic, data);
}


static void
rule_compat_error(const char *code, ly_str_t detail, ly_buf_t *b)
{
    ly_buf_cstr(b, "{\"error\":{\"code\":");
    rule_buf_string(b, ly_str_c(code));
    ly_buf_cstr(b, ",\"detail\":");
    rule_buf_string(b, detail);
    ly_buf_cstr(b, "}}");
}


ly_err_t
rule_compat_line(ly_arena_t *a, ly_str_t line, ly_buf_t *b)
{
    size_t                 start;
    ly_err_t               err;
    rule_js_ctx_t          x;
    ly_json_node_t        *root;
    ly_json_fault_t        fault;
    const rule_js_t       *rule, *data, *result;
    const ly_json_node_t  *n;

    memset(&x, 0, sizeof(x));
    x.arena = a;
    x.steps = RULE_JS_STEPS;
    start = b->len;

    err = ly_json_parse(a, line, &rule_js_limits, &root, &fault);

    if (err != LY_OK) {
        rule_compat_error(err == LY_NOMEM ? "memory.exhausted"
                                          : ly_json_fault_code(fault.code),
                          ly_str_of(fault.pointer, fault.pointer_len), b);
        return ly_buf_err(b);
    }

    n = ly_json_member(root, ly_str("rule"));

    if (n == NULL) {
        rule_compat_error("member.required", ly_str("rule"), b);
        return ly_buf_err(b);
    }

    rule = rule_js_from(&x, n);
    n = ly_json_member(root, ly_str("data"));
    data = n == NULL ? &rule_js_null : rule_js_from(&x, n);
    result = x.code == NULL ? rule_js_apply(&x, rule, data) : NULL;

    if (result != NULL) {
        ly_buf_cstr(b, "{\"result\":");
        rule_js_print(result, b);
        ly_buf_byte(b, '}');

        if (ly_buf_err(b) != LY_LIMIT) {
            return ly_buf_err(b);
        }

        /* a result beyond the buffer's bound is an error of its own */
        b->err = LY_OK;
        ly_buf_truncate(b, start);
        x.code = "result.too_large";
    }

    rule_compat_error(x.code, x.detail, b);

    return ly_buf_err(b);
}
