/*
 * Is a loaded program's code safe to run, whatever its bytes are?  One pass
 * over the code with the kinds of the values on the stack: jumps go forward
 * (but for a loop's own), each instruction finds what it takes, nothing leaves
 * its table.
 */

#include "rule_int.h"
#include "../../common/ly_banned.h"


/* kinds beyond rule_kind_e: an element that is a struct */
#define RULE_K_STRUCT   32

typedef struct {
    uint8_t             kind;
    bool                strings;    /* a list: its elements are strings */
    const rule_fact_t  *list;       /* a list of structs */
} rule_slot_t;

typedef struct {
    bool                set;
    uint32_t            n;
    uint32_t            loops;
    rule_slot_t        *slots;
} rule_join_t;

typedef struct {
    uint32_t            each;
    uint32_t            n;          /* values below the body's */
    rule_slot_t         elem;
} rule_open_t;

typedef struct {
    ly_arena_t              *arena;
    const rule_program_t    *p;
    const rule_catalogue_t  *c;
    const rule_ins_t        *ins;
    const rule_val_t        *consts;
    rule_join_t             *joins;
    rule_slot_t             *stack;
    uint32_t                 n;
    rule_open_t              loops[RULE_DEPTH_MAX + 4];
    uint32_t                 n_loops;
    uint32_t                 base;      /* 1: the element of a where */
    bool                     dead;      /* behind a jump */
} rule_proof_t;


static rule_slot_t
rule_slot_of(const rule_fact_t *f)
{
    rule_slot_t  s;

    static const uint8_t  kinds[] = {
        [RULE_T_INT] = RULE_K_NUM, [RULE_T_DEC] = RULE_K_NUM,
        [RULE_T_MONEY] = RULE_K_MONEY, [RULE_T_STR] = RULE_K_STR,
        [RULE_T_BOOL] = RULE_K_BOOL, [RULE_T_INSTANT] = RULE_K_INSTANT,
        [RULE_T_DATE] = RULE_K_DATE, [RULE_T_ENUM] = RULE_K_ENUM,
        [RULE_T_LIST] = RULE_K_LIST, [RULE_T_SLIST] = RULE_K_LIST
    };

    s.kind = kinds[f->type];
    s.strings = f->type == RULE_T_SLIST;
    s.list = f->type == RULE_T_LIST ? f : NULL;

    return s;
}


static bool
rule_push(rule_proof_t *x, rule_slot_t s)
{
    if (x->n >= x->p->stack) {
        return false;
    }

    x->stack[x->n++] = s;

    return true;
}


static bool
rule_push_kind(rule_proof_t *x, uint8_t kind)
{
    rule_slot_t  s;

    s.kind = kind;
    s.strings = false;
    s.list = NULL;

    return rule_push(x, s);
}


/* the state at a jump's target: the first tells, the others must agree */
static bool
rule_join(rule_proof_t *x, uint32_t pc, uint32_t at)
{
    uint32_t      i;
    rule_join_t  *j;

    if (pc <= at || pc >= x->p->n_ins) {
        return false;
    }

    j = &x->joins[pc];

    if (j->set) {
        if (j->n != x->n || j->loops != x->n_loops) {
            return false;
        }

        for (i = 0; i < x->n; i++) {
            if (j->slots[i].kind != x->stack[i].kind
                || j->slots[i].strings != x->stack[i].strings
                || j->slots[i].list != x->stack[i].list)
            {
                return false;
            }
        }

        return true;
    }

    j->slots = ly_arena_array(x->arena, x->n, sizeof(*j->slots));

    if (j->slots == NULL) {
        return false;
    }

    memcpy(j->slots, x->stack, x->n * sizeof(*j->slots));
    j->n = x->n;
    j->loops = x->n_loops;
    j->set = true;

    return true;
}


static bool
rule_numeric(uint8_t kind)
{
    return kind == RULE_K_NUM || kind == RULE_K_MONEY;
}


/* n operands of one kind out of those; the first's kind */
static bool
rule_pop_alike(rule_proof_t *x, uint32_t n, bool numeric, uint8_t *kind)
{
    uint32_t  i;

    if (n == 0 || x->n < n) {
        return false;
    }

    x->n -= n;
    *kind = x->stack[x->n].kind;

    for (i = 0; i < n; i++) {
        if (x->stack[x->n + i].kind != *kind || *kind >= RULE_K_LIST
            || (numeric && !rule_numeric(*kind)))
        {
            return false;
        }
    }

    return true;
}


static bool
rule_consts_are(const rule_proof_t *x, uint32_t first, uint32_t n,
    uint8_t kind)
{
    uint32_t  i;

    if (first > x->p->n_const || n > x->p->n_const - first) {
        return false;
    }

    for (i = 0; i < n; i++) {
        if (x->consts[first + i].kind != kind) {
            return false;
        }
    }

    return true;
}


static bool
rule_prove_const(rule_proof_t *x, uint32_t i)
{
    rule_slot_t        s;
    rule_fact_t       *f;
    const rule_val_t  *v, *e;

    if (i >= x->p->n_const) {
        return false;
    }

    v = &x->consts[i];
    s.kind = v->kind;
    s.strings = false;
    s.list = NULL;

    if (v->kind == RULE_K_LIST) {
        /* elements of one kind, told by a fact of our own */
        e = x->consts + ((uintptr_t) v->u.l.cells - x->p->off_const)
            / sizeof(rule_val_t);
        f = ly_arena_zalloc(x->arena, sizeof(*f));

        if (f == NULL || (v->n > 0
                          && !rule_consts_are(x, (uint32_t) (e - x->consts),
                                              v->n, e->kind)))
        {
            return false;
        }

        f->type = RULE_T_CLIST;
        f->elem = v->n > 0 ? e->kind : (uint8_t) RULE_K_STR;
        s.list = f;
    }

    return rule_push(x, s);
}


static const rule_slot_t *
rule_elem(const rule_proof_t *x)
{
    return x->n_loops == 0 ? NULL : &x->loops[x->n_loops - 1].elem;
}


static bool
rule_prove_field(rule_proof_t *x, const rule_ins_t *i, bool push)
{
    const rule_slot_t  *e;

    e = rule_elem(x);

    if (e == NULL || e->kind != RULE_K_STRUCT || i->a >= e->list->n_fields) {
        return false;
    }

    return push ? rule_push(x, rule_slot_of(&e->list->fields[i->a]))
                : rule_push_kind(x, RULE_K_BOOL);
}


static bool
rule_prove_each(rule_proof_t *x, uint32_t at, const rule_ins_t *i)
{
    uint8_t       kind;
    rule_slot_t   list;
    rule_open_t  *o;

    if (x->n == 0 || x->stack[x->n - 1].kind != RULE_K_LIST
        || i->x < RULE_OP_SOME || i->x > RULE_OP_DISTINCT
        || x->n_loops >= x->p->loops || i->b == 0 || i->b > x->p->n_ins
        || x->ins[i->b - 1].op != RULE_I_NEXT
        || x->ins[i->b - 1].x != i->x
        || x->ins[i->b - 1].flags != i->flags)
    {
        return false;
    }

    list = x->stack[--x->n];
    kind = list.list != NULL && list.list->type == RULE_T_CLIST
           ? list.list->elem : list.strings ? (uint8_t) RULE_K_STR
                                            : (uint8_t) RULE_K_STRUCT;
    o = &x->loops[x->n_loops++];
    o->each = at;
    o->n = x->n;
    o->elem = list;
    o->elem.kind = kind;

    return true;
}


static bool
rule_prove_next(rule_proof_t *x, uint32_t at, const rule_ins_t *i)
{
    uint8_t       kind;
    uint32_t      k;
    rule_slot_t   list;
    rule_open_t  *o;

    if (x->n_loops <= x->base) {
        return false;
    }

    o = &x->loops[--x->n_loops];

    if (o->each + 1 != i->b || x->ins[o->each].b != at + 1 || i->a == 0
        || i->a > 2 || x->n != o->n + i->a)
    {
        return false;
    }

    x->n = o->n;
    kind = x->stack[x->n].kind;

    for (k = 0; k < i->a; k++) {
        if (x->stack[x->n + k].kind >= RULE_K_LIST) {
            return false;
        }
    }

    switch (i->x) {

    case RULE_OP_SOME:
    case RULE_OP_ALL:
    case RULE_OP_NONE:
        return i->a == 1 && kind == RULE_K_BOOL
               && rule_push_kind(x, RULE_K_BOOL);

    case RULE_OP_COUNT:
        return i->a == 1 && kind == RULE_K_BOOL
               && rule_push_kind(x, RULE_K_NUM);

    case RULE_OP_DISTINCT:
        return i->a == 1 && rule_push_kind(x, RULE_K_NUM);

    case RULE_OP_SUM:
        return i->a == 1 && rule_numeric(kind)
               && (kind == RULE_K_MONEY) == ((i->flags & RULE_IN_MONEY) != 0)
               && rule_push_kind(x, kind);

    case RULE_OP_FILTER:
        list = o->elem;
        list.kind = RULE_K_LIST;
        return i->a == 1 && kind == RULE_K_BOOL && rule_push(x, list);

    default:
        return rule_push_kind(x, x->stack[x->n + i->a - 1].kind);
    }
}


static bool
rule_prove_calendar(rule_proof_t *x, const rule_ins_t *i)
{
    uint8_t   kind;
    uint32_t  k;

    if (i->b == 0 || i->b > 2 || x->n < i->b) {
        return false;
    }

    for (k = 0; k < i->b; k++) {
        kind = x->stack[x->n - 1 - k].kind;

        if (kind != RULE_K_DATE && kind != RULE_K_INSTANT) {
            return false;
        }
    }

    x->n -= i->b;
    kind = x->stack[x->n].kind;

    switch (i->op) {

    case RULE_OP_DATE:
        return rule_push_kind(x, RULE_K_DATE);

    case RULE_OP_BIRTHDAY:
        return i->b == 2 && rule_push_kind(x, RULE_K_BOOL);

    case RULE_OP_PLUS:
    case RULE_OP_MINUS:
        return i->b == 1 && rule_consts_are(x, i->a, 3, RULE_K_NUM)
               && rule_push_kind(x, kind);

    case RULE_OP_DAYS_BETWEEN:
    case RULE_OP_MONTHS_BETWEEN:
        return i->b == 2 && rule_push_kind(x, RULE_K_NUM);

    default:
        return rule_push_kind(x, RULE_K_NUM);
    }
}


static bool
rule_prove_in(rule_proof_t *x, const rule_ins_t *i)
{
    rule_slot_t  a, b;

    if (x->n == 0) {
        return false;
    }

    b = x->stack[--x->n];

    if (i->op == RULE_I_MEETS) {
        return b.kind == RULE_K_LIST && b.strings
               && rule_consts_are(x, i->a, i->b, RULE_K_STR)
               && rule_push_kind(x, RULE_K_BOOL);
    }

    if (i->op == RULE_OP_IN) {
        return b.kind < RULE_K_LIST && rule_consts_are(x, i->a, i->b, b.kind)
               && rule_push_kind(x, RULE_K_BOOL);
    }

    if (x->n == 0) {
        return false;
    }

    a = x->stack[--x->n];

    return a.kind == RULE_K_STR && b.kind == RULE_K_LIST && b.strings
           && rule_push_kind(x, RULE_K_BOOL);
}


static bool
rule_prove_product(rule_proof_t *x, const rule_ins_t *i)
{
    uint8_t   kind;
    uint32_t  k;

    if (i->b < 2 || x->n < i->b) {
        return false;
    }

    x->n -= i->b;
    kind = x->stack[x->n].kind;

    for (k = 0; k < i->b; k++) {
        if (!rule_numeric(x->stack[x->n + k].kind)) {
            return false;
        }
    }

    if (i->op == RULE_OP_DIV) {
        if (i->b != 2 || i->x > 12 || i->a > LY_ROUND_HALF_EVEN) {
            return false;
        }

        if (x->stack[x->n + 1].kind == RULE_K_MONEY) {
            kind = RULE_K_NUM;
        }
    }

    if (i->op == RULE_OP_MOD && i->b != 2) {
        return false;
    }

    return rule_push_kind(x, kind);
}


static bool
rule_prove_op(rule_proof_t *x, const rule_ins_t *i)
{
    uint8_t  kind;

    if (i->op >= RULE_OP_DATE && i->op <= RULE_OP_MINUS) {
        return rule_prove_calendar(x, i);
    }

    if (i->op >= RULE_OP_EQ && i->op <= RULE_OP_BETWEEN) {
        return i->b >= (i->op == RULE_OP_BETWEEN ? 3u : 2u) && i->b <= 3
               && rule_pop_alike(x, i->b, false, &kind)
               && rule_push_kind(x, RULE_K_BOOL);
    }

    if (i->op == RULE_OP_MUL || i->op == RULE_OP_DIV
        || i->op == RULE_OP_MOD)
    {
        return rule_prove_product(x, i);
    }

    if (i->op >= RULE_OP_ADD && i->op <= RULE_OP_ROUND) {
        return i->x <= 12 && i->a <= LY_ROUND_HALF_EVEN
               && (i->op != RULE_OP_SUB || i->b <= 2)
               && rule_pop_alike(x, i->b, true, &kind)
               && rule_push_kind(x, kind);
    }

    if (i->op >= RULE_OP_CONTAINS && i->op <= RULE_OP_LENGTH) {
        return i->b == (i->op >= RULE_OP_FOLD ? 1u : 2u)
               && rule_pop_alike(x, i->b, false, &kind) && kind == RULE_K_STR
               && rule_push_kind(x, i->op == RULE_OP_FOLD ? RULE_K_STR
                                 : i->op == RULE_OP_LENGTH ? RULE_K_NUM
                                                           : RULE_K_BOOL);
    }

    return false;
}


static bool
rule_top_bool(const rule_proof_t *x)
{
    return x->n > 0 && x->stack[x->n - 1].kind == RULE_K_BOOL;
}


/* one instruction; false: refused */
static bool
rule_prove_ins(rule_proof_t *x, uint32_t at)
{
    uint32_t           k;
    const rule_ins_t  *i;
    const rule_slot_t *e;

    i = &x->ins[at];

    switch (i->op) {

    case RULE_I_CONST:
        return rule_prove_const(x, i->a);

    case RULE_I_FACT:
        return i->a < x->c->n
               && rule_push(x, rule_slot_of(&x->c->facts[i->a]));

    case RULE_I_FIELD:
        return rule_prove_field(x, i, true);

    case RULE_I_ELEMENT:
        e = rule_elem(x);
        return e != NULL && e->kind < RULE_K_LIST
               && rule_push_kind(x, e->kind);

    case RULE_I_DEFAULT:
        return x->n > 0 && x->stack[x->n - 1].kind < RULE_K_LIST
               && rule_consts_are(x, i->a, 1, x->stack[x->n - 1].kind);

    case RULE_I_PRESENT:
        return i->a < x->c->n && rule_push_kind(x, RULE_K_BOOL);

    case RULE_I_PRESENT_FIELD:
        return i->x ? rule_elem(x) != NULL && rule_push_kind(x, RULE_K_BOOL)
                    : rule_prove_field(x, i, false);

    case RULE_I_ALL_TRUE:
        for (k = 0; k < i->b; k++) {
            if (!rule_top_bool(x)) {
                return false;
            }

            x->n--;
        }

        return i->b > 0 && rule_push_kind(x, RULE_K_BOOL);

    case RULE_I_JUMP:
        x->dead = true;
        return rule_join(x, i->b, at);

    case RULE_I_JUMP_FALSE:
        if (!rule_top_bool(x)) {
            return false;
        }

        x->n--;
        return rule_join(x, i->b, at);

    case RULE_I_KEEP_FALSE:
    case RULE_I_KEEP_TRUE:
        if (!rule_top_bool(x) || !rule_join(x, i->b, at)) {
            return false;
        }

        x->n--;
        return true;

    case RULE_I_BOOL:
    case RULE_OP_NOT:
        return rule_top_bool(x);

    case RULE_I_IF_END:
        return x->n > 0;

    case RULE_I_COUNTER:
        return i->a < x->p->n_counter && rule_push_kind(x, RULE_K_NUM);

    case RULE_OP_COUNT:
        if (x->n == 0 || x->stack[x->n - 1].kind != RULE_K_LIST) {
            return false;
        }

        x->n--;
        return rule_push_kind(x, RULE_K_NUM);

    case RULE_I_EACH:
        return rule_prove_each(x, at, i);

    case RULE_I_NEXT:
        return rule_prove_next(x, at, i);

    case RULE_OP_IN:
    case RULE_I_IN_LIST:
    case RULE_I_MEETS:
        return rule_prove_in(x, i);

    default:
        return rule_prove_op(x, i);
    }
}


/* code from pc to its end gives one value of such a kind */
static bool
rule_prove(rule_proof_t *x, uint32_t pc, const rule_fact_t *list, bool number)
{
    uint8_t  kind;

    x->n = 0;
    x->n_loops = 0;
    x->base = 0;
    x->dead = false;

    if (list != NULL) {
        x->loops[0].elem = (rule_slot_t) {
            .kind = RULE_K_STRUCT, .list = list
        };
        x->n_loops = 1;
        x->base = 1;
    }

    for (/* void */; pc < x->p->n_ins; pc++) {
        if (x->joins[pc].set) {
            if (!x->dead && !rule_join(x, pc, pc - 1)) {
                return false;
            }

            x->n = x->joins[pc].n;
            x->n_loops = x->joins[pc].loops;
            memcpy(x->stack, x->joins[pc].slots, x->n * sizeof(*x->stack));
            x->dead = false;

        } else if (x->dead) {
            return false;
        }

        if (x->ins[pc].node != RULE_NODE_NONE
            && x->ins[pc].node >= x->p->n_node)
        {
            return false;
        }

        if (x->ins[pc].op == RULE_I_END) {
            if (x->n != 1 || x->n_loops != x->base) {
                return false;
            }

            kind = x->stack[0].kind;
            return number ? rule_numeric(kind) : kind == RULE_K_BOOL;
        }

        if (!rule_prove_ins(x, pc)) {
            return false;
        }
    }

    return false;
}


bool
rule_code_ok(ly_arena_t *a, const rule_program_t *p,
    const rule_catalogue_t *c)
{
    uint32_t               i;
    rule_proof_t           x;
    const rule_peffect_t  *e;

    x.arena = a;
    x.p = p;
    x.c = c;
    x.ins = rule_at(p, p->off_ins, rule_ins_t);
    x.consts = rule_at(p, p->off_const, rule_val_t);
    x.joins = ly_arena_array(a, p->n_ins, sizeof(*x.joins));
    x.stack = ly_arena_array(a, p->stack, sizeof(*x.stack));

    if (x.joins == NULL || x.stack == NULL
        || !rule_prove(&x, 0, NULL, false))
    {
        return false;
    }

    for (i = 0; i < p->n_effect; i++) {
        e = &rule_at(p, p->off_effect, rule_peffect_t)[i];

        if ((e->has_of && !rule_prove(&x, e->of_pc, NULL, true))
            || (e->has_where
                && !rule_prove(&x, e->where_pc,
                               &c->facts[p->refund ? RULE_F_REFUND_LINES
                                                   : RULE_F_ORDER_LINES],
                               false)))
        {
            return false;
        }
    }

    return true;
}
