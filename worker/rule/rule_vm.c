/*
 * The machine: a stack of values, a stack of loops, one pass.  The records of
 * a trace are taken in the same pass; without a trace that code is not there.
 */

#include "rule_int.h"
#include "../../common/ly_banned.h"


typedef struct {
    const rule_val_t  *cells;
    const uint32_t    *index;
    const rule_val_t  *elem;
    uint32_t           n;
    uint32_t           i;
    uint32_t           count;
    uint16_t           stride;
    uint8_t            op;
    bool               missing;
    uint32_t          *chosen;      /* filter */
    rule_val_t        *seen;        /* distinct_count */
    rule_val_t         key;         /* max_by, min_by */
    rule_val_t         value;       /* theirs, and the sum */
} rule_loop_t;


static const char  rule_overflow[] = "number.overflow";
static const char  rule_memory[] = "memory.exhausted";
static const char  rule_steps[] = "steps.exhausted";
static const char  rule_invalid[] = "fact.invalid";
static const char  rule_other_currency[] = "currency.mismatch";


size_t
rule_vm_room(const rule_program_t *p)
{
    return (p->stack + 1) * sizeof(rule_val_t)
           + p->loops * sizeof(rule_loop_t);
}


ly_err_t
rule_vm_init(rule_vm_t *vm, ly_arena_t *a, const rule_program_t *p,
    const rule_input_t *in, uint32_t steps, bool trace, void *stack)
{
    memset(vm, 0, sizeof(*vm));
    vm->arena = a;
    vm->program = p;
    vm->input = in;
    vm->steps = steps;

    if (stack == NULL) {
        stack = ly_arena_alloc(a, rule_vm_room(p));

        if (stack == NULL) {
            return LY_NOMEM;
        }
    }

    vm->stack = stack;
    vm->loops = vm->stack + p->stack + 1;

    if (trace && p->n_node > 0) {
        vm->records = ly_arena_array(a, p->n_node, sizeof(rule_record_t));
        if (vm->records == NULL) {
            return LY_NOMEM;
        }
    }

    return LY_OK;
}


static inline void
rule_missing(rule_val_t *v)
{
    v->kind = RULE_K_MISSING;
}


/* order of two values of one type; *code when currencies differ */
static int
rule_order(const rule_val_t *a, const rule_val_t *b, const char **code)
{
    int     rc;
    size_t  n;

    switch (a->kind) {

    case RULE_K_MONEY:
        if (a->n != b->n && a->n != 0 && b->n != 0) {
            *code = rule_other_currency;
            return 1;
        }
    /* fall through */

    case RULE_K_NUM:
        return rule_num_cmp(rule_dec(a), rule_dec(b));

    case RULE_K_STR:
        n = a->n < b->n ? a->n : b->n;
        rc = n == 0 ? 0 : memcmp(a->u.s, b->u.s, n);
        return rc != 0 ? rc : (a->n > b->n) - (a->n < b->n);

    case RULE_K_BOOL:
        return (int) a->u.b - (int) b->u.b;

    default:
        return (a->u.i > b->u.i) - (a->u.i < b->u.i);
    }
}


static bool
rule_equal(const rule_val_t *a, const rule_val_t *b, const char **code)
{
    if (a->kind == RULE_K_STR) {
        return a->n == b->n
               && (a->n == 0 || memcmp(a->u.s, b->u.s, a->n) == 0);
    }

    return rule_order(a, b, code) == 0;
}


static bool
rule_compare(const rule_ins_t *ins, const rule_val_t *v, const char **code)
{
    switch (ins->op) {

    case RULE_OP_EQ:
        return rule_equal(&v[0], &v[1], code);

    case RULE_OP_NE:
        return !rule_equal(&v[0], &v[1], code);

    case RULE_OP_LT:
        return rule_order(&v[0], &v[1], code) < 0
               && (ins->b == 2 || rule_order(&v[1], &v[2], code) < 0);

    case RULE_OP_LE:
        return rule_order(&v[0], &v[1], code) <= 0
               && (ins->b == 2 || rule_order(&v[1], &v[2], code) <= 0);

    case RULE_OP_GT:
        return rule_order(&v[0], &v[1], code) > 0;

    case RULE_OP_GE:
        return rule_order(&v[0], &v[1], code) >= 0;

    default:
        return rule_order(&v[1], &v[0], code) <= 0
               && rule_order(&v[0], &v[2], code) <= 0;
    }
}


/* the currency that two have together; false if they have two */
static bool
rule_common_currency(const rule_val_t *a, const rule_val_t *b, uint32_t *out)
{
    if (a->kind != RULE_K_MONEY || b->kind != RULE_K_MONEY) {
        *out = a->kind == RULE_K_MONEY ? a->n : 0;
        return true;
    }

    *out = a->n != 0 ? a->n : b->n;

    return a->n == 0 || b->n == 0 || a->n == b->n;
}


static void
rule_number(rule_val_t *v, uint8_t kind, uint32_t currency, ly_dec_t d)
{
    rule_set_num(v, d);
    v->kind = kind;
    v->n = currency;
}


/* +, min, max over n operands, the result in the first */
static const char *
rule_many(const rule_ins_t *ins, rule_val_t *v)
{
    int       rc;
    ly_dec_t  d;
    uint32_t  i, currency;

    for (i = 1; i < ins->b; i++) {
        if (ins->op == RULE_OP_MUL) {
            if (!rule_num_mul(rule_dec(&v[0]), rule_dec(&v[i]), &d)) {
                return rule_overflow;
            }

            rule_number(&v[0], v[0].kind, v[0].n, d);
            continue;
        }

        if (!rule_common_currency(&v[0], &v[i], &currency)) {
            return rule_other_currency;
        }

        if (ins->op == RULE_OP_ADD) {
            if (!rule_num_add(rule_dec(&v[0]), rule_dec(&v[i]), &d)) {
                return rule_overflow;
            }

        } else {
            rc = rule_num_cmp(rule_dec(&v[i]), rule_dec(&v[0]));
            d = rule_dec((ins->op == RULE_OP_MIN ? rc < 0 : rc > 0) ? &v[i]
                                                                    : &v[0]);
        }

        rule_number(&v[0], v[0].kind, currency, d);
    }

    return NULL;
}


static const char *
rule_divide(const rule_ins_t *ins, rule_val_t *v)
{
    ly_dec_t  d;
    ly_err_t  err;
    uint32_t  currency;

    if (!rule_common_currency(&v[0], &v[1], &currency)) {
        return rule_other_currency;
    }

    if (v[1].u.coef == 0) {
        return "number.division_by_zero";
    }

    err = ly_dec_div(rule_dec(&v[0]), rule_dec(&v[1]), ins->x,
                     (ly_round_e) ins->a, &d);
    if (err != LY_OK) {
        return rule_overflow;
    }

    rule_number(&v[0], v[1].kind == RULE_K_MONEY ? (uint8_t) RULE_K_NUM
                                                 : v[0].kind,
                v[1].kind == RULE_K_MONEY ? 0 : currency, rule_num_strip(d));

    return NULL;
}


static const char *
rule_arithmetic(const rule_ins_t *ins, rule_val_t *v)
{
    ly_dec_t  d;
    uint32_t  currency;

    switch (ins->op) {

    case RULE_OP_SUB:
        d = rule_dec(&v[0]);
        currency = v[0].n;

        if (ins->b == 1) {
            d = ly_dec_neg(d);

        } else if (!rule_common_currency(&v[0], &v[1], &currency)) {
            return rule_other_currency;

        } else if (!rule_num_add(d, ly_dec_neg(rule_dec(&v[1])), &d)) {
            return rule_overflow;
        }

        rule_number(&v[0], v[0].kind, currency, d);
        return NULL;

    case RULE_OP_DIV:
        return rule_divide(ins, v);

    case RULE_OP_MOD:
        if (v[0].scale != 0 || v[1].scale != 0) {
            return "number.not_whole";
        }

        if (v[1].u.coef == 0) {
            return "number.division_by_zero";
        }

        v[0].u.coef %= v[1].u.coef;
        return NULL;

    case RULE_OP_ABS:
        if (v[0].u.coef < 0) {
            v[0].u.coef = -v[0].u.coef;
        }
        return NULL;

    case RULE_OP_ROUND:
        if (v[0].scale > ins->x) {
            if (ly_dec_rescale(rule_dec(&v[0]), ins->x, (ly_round_e) ins->a,
                               &d)
                != LY_OK)
            {
                return rule_overflow;
            }

            rule_number(&v[0], v[0].kind, v[0].n, rule_num_strip(d));
        }
        return NULL;

    default:
        return rule_many(ins, v);
    }
}


static bool
rule_find(ly_str_t hay, ly_str_t needle)
{
    if (needle.len == 0) {
        return true;
    }

    return hay.len >= needle.len
           && memmem(hay.data, hay.len, needle.data, needle.len) != NULL;
}


static const char *
rule_fold_str(rule_vm_t *vm, ly_str_t *s)
{
    unsigned char  *out;

    out = ly_arena_bytes(vm->arena, s->len * 3 + 1);
    if (out == NULL) {
        return rule_memory;
    }

    s->len = rule_casefold(*s, out);
    s->data = out;

    return NULL;
}


static const char *
rule_strings(rule_vm_t *vm, const rule_ins_t *ins, rule_val_t *v)
{
    bool      is;
    ly_str_t  a, b;

    a = rule_str(&v[0]);
    b = ins->b > 1 ? rule_str(&v[1]) : ly_str("");

    if (ins->op >= RULE_OP_EQUALS_FOLD && ins->op <= RULE_OP_FOLD) {
        if (rule_fold_str(vm, &a) != NULL || rule_fold_str(vm, &b) != NULL) {
            return rule_memory;
        }
    }

    switch (ins->op) {

    case RULE_OP_FOLD:
        rule_set_str(&v[0], a);
        return NULL;

    case RULE_OP_LENGTH:
        rule_set_int(&v[0], (int64_t) ly_utf8_count(a));
        return NULL;

    case RULE_OP_CONTAINS:
    case RULE_OP_CONTAINS_FOLD:
        is = rule_find(a, b);
        break;

    case RULE_OP_STARTS:
    case RULE_OP_STARTS_FOLD:
        is = ly_str_starts(a, b);
        break;

    case RULE_OP_ENDS:
    case RULE_OP_ENDS_FOLD:
        is = a.len >= b.len
             && rule_same_text(ly_str_of(a.data + (a.len - b.len), b.len), b);
        break;

    default:
        is = rule_same_text(a, b);
        break;
    }

    rule_set_bool(&v[0], is);

    return NULL;
}


/* is x among n constants */
static bool
rule_among(const rule_val_t *x, const rule_val_t *list, uint32_t n,
    const char **code)
{
    uint32_t  i;

    for (i = 0; i < n; i++) {
        if (rule_equal(x, &list[i], code)) {
            return true;
        }
    }

    return false;
}


static const rule_val_t *
rule_element(const rule_val_t *cells, const uint32_t *index, uint16_t stride,
    uint32_t i)
{
    return &cells[(size_t) (index == NULL ? i : index[i]) * stride];
}


/* what a loop gives when there is nothing to loop over */
static void
rule_each_empty(const rule_ins_t *ins, bool missing, rule_val_t *v)
{
    switch (ins->x) {

    case RULE_OP_SOME:
    case RULE_OP_ALL:
    case RULE_OP_NONE:
        rule_set_bool(v, !missing && ins->x == RULE_OP_NONE);
        return;

    case RULE_OP_COUNT:
    case RULE_OP_DISTINCT:
    case RULE_OP_SUM:
        rule_set_int(v, 0);

        if (ins->flags & RULE_IN_MONEY) {
            v->kind = RULE_K_MONEY;
        }

        if (missing) {
            rule_missing(v);
        }
        return;

    case RULE_OP_FILTER:
        return;

    default:
        rule_missing(v);
        return;
    }
}


static const char *
rule_loop_begin(rule_vm_t *vm, const rule_ins_t *ins, const rule_val_t *list,
    rule_loop_t *l)
{
    memset(l, 0, offsetof(rule_loop_t, key));
    l->cells = list->u.l.cells;
    l->index = list->u.l.index;
    l->n = list->n;
    l->stride = list->stride;
    l->op = ins->x;
    l->elem = rule_element(l->cells, l->index, l->stride, 0);
    l->key.kind = RULE_K_MISSING;
    rule_missing(&l->value);

    if (l->op == RULE_OP_SUM) {
        rule_set_int(&l->value, 0);
        l->value.kind = ins->flags & RULE_IN_MONEY ? RULE_K_MONEY
                                                   : RULE_K_NUM;

    } else if (l->op == RULE_OP_FILTER) {
        l->chosen = ly_arena_alloc(vm->arena, l->n * sizeof(uint32_t));

        if (l->chosen == NULL) {
            return rule_memory;
        }

    } else if (l->op == RULE_OP_DISTINCT) {
        l->seen = ly_arena_alloc(vm->arena, l->n * sizeof(rule_val_t));

        if (l->seen == NULL) {
            return rule_memory;
        }
    }

    return NULL;
}


/* takes the body's values; true: the loop is at its end */
static bool
rule_loop_take(rule_vm_t *vm, rule_loop_t *l, const rule_val_t *v,
    uint32_t values, const char **code)
{
    int        rc;
    bool       is;
    ly_dec_t   d;
    uint32_t   currency;

    is = v->kind == RULE_K_BOOL && v->u.b;

    switch (l->op) {

    case RULE_OP_SOME:
    case RULE_OP_NONE:
        l->count += is;
        return is;

    case RULE_OP_ALL:
        l->count += is;
        return !is;

    case RULE_OP_COUNT:
        l->count += is;
        return false;

    case RULE_OP_FILTER:
        if (is) {
            l->chosen[l->count++] = l->index == NULL ? l->i : l->index[l->i];
        }
        return false;

    case RULE_OP_SUM:
        if (v->kind == RULE_K_MISSING || l->missing) {
            l->missing = true;
            return false;
        }

        if (!rule_common_currency(&l->value, v, &currency)) {
            *code = rule_other_currency;

        } else if (!rule_num_add(rule_dec(&l->value), rule_dec(v), &d)) {
            *code = rule_overflow;

        } else {
            rule_number(&l->value, l->value.kind, currency, d);
        }
        return false;

    case RULE_OP_DISTINCT:
        if (v->kind == RULE_K_MISSING) {
            return false;
        }

        is = rule_among(v, l->seen, l->count, code);

        /* a quadratic operator pays for it */
        vm->steps -= vm->steps > l->count / 8 ? l->count / 8 : vm->steps - 1;

        if (!is) {
            l->seen[l->count++] = *v;
        }
        return false;

    default:
        if (v->kind == RULE_K_MISSING) {
            return false;
        }

        if (l->key.kind != RULE_K_MISSING) {
            rc = rule_order(v, &l->key, code);

            if (l->op == RULE_OP_MAX_BY ? rc <= 0 : rc >= 0) {
                return false;
            }
        }

        l->key = v[0];
        l->value = v[values - 1];
        return false;
    }
}


static void
rule_loop_end(const rule_loop_t *l, rule_val_t *v)
{
    switch (l->op) {

    case RULE_OP_SOME:
        rule_set_bool(v, l->count > 0);
        return;

    case RULE_OP_NONE:
        rule_set_bool(v, l->count == 0);
        return;

    case RULE_OP_ALL:
        rule_set_bool(v, l->count == l->n);
        return;

    case RULE_OP_COUNT:
    case RULE_OP_DISTINCT:
        rule_set_int(v, l->count);
        return;

    case RULE_OP_FILTER:
        v->kind = RULE_K_LIST;
        v->stride = l->stride;
        v->n = l->count;
        v->u.l.cells = l->cells;
        v->u.l.index = l->chosen;
        return;

    default:
        *v = l->value;

        if (l->missing) {
            rule_missing(v);
        }
        return;
    }
}


static void
rule_counter(rule_vm_t *vm, uint32_t i, rule_val_t *v)
{
    size_t                  k;
    ly_str_t                key;
    const rule_program_t   *p;
    const rule_pcounter_t  *c;

    p = vm->program;
    c = &rule_at(p, p->off_counter, rule_pcounter_t)[i];
    key = rule_ptext(p, c->key);
    vm->counters |= (uint64_t) 1 << i;
    rule_missing(v);

    for (k = 0; vm->input != NULL && k < vm->input->n_counters; k++) {
        if (rule_same_text(vm->input->counters[k].key, key)) {
            rule_set_num(v, rule_num_strip(vm->input->counters[k].value));
            return;
        }
    }
}


static const char *
rule_meets(rule_vm_t *vm, const rule_ins_t *ins, const rule_val_t *consts,
    rule_val_t *v)
{
    bool         is;
    uint32_t     i;
    const char  *code;

    is = false;
    code = NULL;

    for (i = 0; i < v->n && !is; i++) {
        if (vm->steps <= ins->b / 8 + 1) {
            return rule_steps;
        }

        vm->steps -= ins->b / 8;
        is = rule_among(rule_element(v->u.l.cells, v->u.l.index, v->stride, i),
                        &consts[ins->a], ins->b, &code);
    }

    rule_set_bool(v, is);

    return code;
}


static const char *
rule_in_list(rule_vm_t *vm, const rule_val_t *list, rule_val_t *v)
{
    bool      is;
    uint32_t  i;

    is = false;

    if (vm->steps <= list->n / 8 + 1) {
        return rule_steps;
    }

    vm->steps -= list->n / 8;

    for (i = 0; i < list->n && !is; i++) {
        is = rule_same_text(rule_str(v),
                            rule_str(rule_element(list->u.l.cells,
                                                  list->u.l.index,
                                                  list->stride, i)));
    }

    rule_set_bool(v, is);

    return NULL;
}


static inline bool
rule_any_missing(const rule_val_t *v, uint32_t n)
{
    uint32_t  i;

    for (i = 0; i < n; i++) {
        if (v[i].kind == RULE_K_MISSING) {
            return true;
        }
    }

    return false;
}


/* longer texts and lists cost more than one step */
static inline bool
rule_charge(rule_vm_t *vm, uint32_t cost)
{
    if (vm->steps <= cost) {
        return false;
    }

    vm->steps -= cost;

    return true;
}


static const char *
rule_vm_string(rule_vm_t *vm, const rule_ins_t *ins, rule_val_t *v)
{
    uint32_t  cost;

    cost = v[0].n / 64 + (ins->b > 1 ? v[1].n / 64 : 0);

    return rule_charge(vm, cost) ? rule_strings(vm, ins, v) : rule_steps;
}


static void
rule_record(rule_vm_t *vm, const rule_ins_t *ins, const rule_val_t *v,
    bool missing, bool loop, uint32_t n)
{
    rule_record_t  *r;

    if (ins->node == RULE_NODE_NONE || vm->records == NULL) {
        return;
    }

    if (vm->n_records == RULE_RECORDS_MAX) {
        vm->more++;
        return;
    }

    r = &vm->records[vm->n_records++];
    r->node = ins->node;
    r->missing = missing;
    r->loop = loop;
    r->n = n;
    r->value = *v;
}


/* is an operator of type bool: false where an operand is missing */
static inline bool
rule_is_predicate(unsigned op)
{
    return (op >= RULE_OP_EQ && op <= RULE_OP_IN)
           || (op >= RULE_OP_CONTAINS && op <= RULE_OP_ENDS_FOLD)
           || op == RULE_OP_BIRTHDAY || op == RULE_I_MEETS
           || op == RULE_I_IN_LIST;
}


/* operators over values that are all there; the result in v[0] */
static const char *
rule_operate(rule_vm_t *vm, const rule_ins_t *ins, const rule_val_t *consts,
    rule_val_t *v)
{
    bool         is;
    const char  *code;

    code = NULL;

    if (ins->op <= RULE_OP_BETWEEN) {
        is = rule_compare(ins, v, &code);
        rule_set_bool(&v[0], is);
        return code;
    }

    if (ins->op == RULE_OP_IN) {
        if (!rule_charge(vm, ins->b / 8)) {
            return rule_steps;
        }

        is = rule_among(v, &consts[ins->a], ins->b, &code);
        rule_set_bool(&v[0], is);
        return code;
    }

    if (ins->op <= RULE_OP_ROUND) {
        return rule_arithmetic(ins, v);
    }

    if (ins->op <= RULE_OP_LENGTH) {
        return rule_vm_string(vm, ins, v);
    }

    if (ins->op == RULE_I_MEETS) {
        return rule_meets(vm, ins, consts, v);
    }

    if (ins->op == RULE_I_IN_LIST) {
        return rule_in_list(vm, &v[1], v);
    }

    if (ins->op == RULE_OP_COUNT) {
        rule_set_int(v, v->n);
        return NULL;
    }

    return rule_calendar(ins, vm->input == NULL ? NULL : vm->input->zone, v,
                         v + (ins->op == RULE_OP_PLUS
                              || ins->op == RULE_OP_MINUS ? 0 : ins->b - 1),
                         consts, v);
}


static inline __attribute__((always_inline)) const char *
rule_vm_loop(rule_vm_t *vm, uint32_t pc, const rule_val_t *cells,
    rule_val_t *out, const bool trace)
{
    bool               missing;
    uint32_t           n;
    rule_val_t        *top;
    const char        *code;
    rule_loop_t       *l;
    const rule_ins_t  *code_of, *ins;
    const rule_val_t  *consts, *facts;

    code_of = rule_at(vm->program, vm->program->off_ins, rule_ins_t);
    consts = rule_at(vm->program, vm->program->off_const, rule_val_t);
    facts = vm->input == NULL ? NULL : vm->input->facts;
    top = vm->stack;            /* the next free value */
    l = (rule_loop_t *) vm->loops - 1;
    code = NULL;

    if (cells != NULL) {
        l++;
        memset(l, 0, offsetof(rule_loop_t, key));
        l->elem = cells;
    }

    for ( ;; ) {
        ins = &code_of[pc++];

        if (vm->steps-- <= 1) {
            vm->steps = 1;
            code = rule_steps;
            break;
        }

        switch (ins->op) {

        case RULE_I_END:
            *out = top[-1];
            return NULL;

        case RULE_I_CONST:
            *top++ = consts[ins->a];
            continue;

        case RULE_I_FACT:
            rule_vm_use(vm, ins->a);
            *top++ = facts[ins->a];
            goto fact;

        case RULE_I_FIELD:
            *top++ = l->elem[ins->a];
            goto fact;

        case RULE_I_ELEMENT:
            *top++ = l->elem[0];
            goto fact;

        case RULE_I_DEFAULT:
            if (top[-1].kind == RULE_K_MISSING) {
                top[-1] = consts[ins->a];
            }
            break;

        case RULE_I_PRESENT:
            rule_vm_use(vm, ins->a);
            missing = facts[ins->a].kind == RULE_K_MISSING;
            rule_set_bool(top++, !missing);
            continue;

        case RULE_I_PRESENT_FIELD:
            missing = !ins->x && l->elem[ins->a].kind == RULE_K_MISSING;
            rule_set_bool(top++, !missing);
            continue;

        case RULE_I_ALL_TRUE:
            missing = false;
            top -= ins->b;

            for (n = 0; n < ins->b; n++) {
                missing |= !top[n].u.b;
            }

            rule_set_bool(top++, missing == ((ins->flags & RULE_IN_NEG) != 0));
            break;

        case RULE_I_JUMP:
            pc = ins->b;
            continue;

        case RULE_I_JUMP_FALSE:
            top--;

            if (top->kind != RULE_K_BOOL || !top->u.b) {
                pc = ins->b;
            }
            continue;

        case RULE_I_KEEP_FALSE:
        case RULE_I_KEEP_TRUE:
            if ((top[-1].kind == RULE_K_BOOL && top[-1].u.b)
                == (ins->op == RULE_I_KEEP_TRUE))
            {
                pc = ins->b;
            } else {
                top--;
            }
            continue;

        case RULE_I_BOOL:
            if (top[-1].kind != RULE_K_BOOL) {
                rule_set_bool(&top[-1], false);
            }
            break;

        case RULE_I_IF_END:
            break;

        case RULE_OP_NOT:
            missing = top[-1].kind == RULE_K_BOOL && top[-1].u.b;
            rule_set_bool(&top[-1], !missing);
            break;

        case RULE_I_COUNTER:
            rule_counter(vm, ins->a, top);
            top++;
            break;

        case RULE_I_EACH:
            missing = top[-1].kind == RULE_K_MISSING;

            if (missing || top[-1].n == 0) {
                rule_each_empty(ins, missing, &top[-1]);
                pc = ins->b;

                if (trace) {
                    rule_record(vm, ins, &top[-1],
                                missing && ins->x <= RULE_OP_NONE, true, 0);
                }
                continue;
            }

            top--;
            l++;
            code = rule_loop_begin(vm, ins, top, l);

            if (code != NULL) {
                goto failed;
            }
            continue;

        case RULE_I_NEXT:
            top -= ins->a;

            if (!rule_loop_take(vm, l, top, ins->a, &code)
                && ++l->i < l->n && code == NULL)
            {
                l->elem = rule_element(l->cells, l->index, l->stride, l->i);
                pc = ins->b;
                continue;
            }

            if (code != NULL) {
                goto failed;
            }

            n = l->i < l->n ? l->i + 1 : l->n;
            rule_loop_end(l, top++);
            l--;

            if (trace) {
                rule_record(vm, ins, &top[-1], false, true, n);
            }
            continue;

        default:
            n = ins->op == RULE_OP_IN || ins->op == RULE_I_MEETS
                || ins->op == RULE_OP_COUNT ? 1
                : ins->op == RULE_I_IN_LIST ? 2 : ins->b;
            top -= n;

            if (rule_any_missing(top, n)) {
                missing = rule_is_predicate(ins->op);

                if (missing) {
                    rule_set_bool(top, false);
                } else {
                    rule_missing(top);
                }

                top++;

                if (trace) {
                    rule_record(vm, ins, &top[-1], missing, false, 0);
                }
                continue;
            }

            code = rule_operate(vm, ins, consts, top);
            top++;

            if (code != NULL) {
                goto failed;
            }
            break;
        }

        if (trace) {
            rule_record(vm, ins, &top[-1], false, false, 0);
        }

        continue;

    fact:

        if (top[-1].kind == RULE_K_INVALID) {
            code = rule_invalid;
            break;
        }

        if (trace) {
            rule_record(vm, ins, &top[-1], false, false, 0);
        }
    }

failed:

    vm->error_pc = (uint32_t) (ins - code_of);

    return code;
}


const char *
rule_vm_run(rule_vm_t *vm, uint32_t pc, const rule_val_t *cells,
    rule_val_t *out)
{
    if (vm->records != NULL) {
        return rule_vm_loop(vm, pc, cells, out, true);
    }

    return rule_vm_loop(vm, pc, cells, out, false);
}
