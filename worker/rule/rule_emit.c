/*
 * From the checked tree to a program: flat code, constants, facts as slots.
 * A program is one block of memory with offsets, so that it can be saved.
 */

#include "rule_int.h"
#include "../../common/ly_banned.h"


#define RULE_PATH_MAX  8192


typedef struct {
    rule_ctx_t    *x;
    rule_ins_t    *ins;
    uint32_t       n_ins, cap_ins;
    rule_val_t    *consts;
    uint32_t       n_const, cap_const;
    ly_buf_t       text;
    rule_text_t   *nodes;
    uint32_t       n_node;
    rule_plist_t  *lists;
    uint32_t       n_list;
    ly_buf_t       path;
    uint32_t       stack, stack_max;
    uint32_t       loops, loops_max;
    int32_t        list;            /* slot of the innermost list of facts */
    bool           body;            /* nodes are not traced here */
    bool           calendar;
    ly_err_t       err;
} rule_emit_t;


static void rule_emit(rule_emit_t *e, const rule_ast_t *t);


static void
rule_emit_fail(rule_emit_t *e, ly_err_t err)
{
    if (e->err == LY_OK) {
        e->err = err;
    }
}


/* doubles a table in the arena */
static void *
rule_emit_grow(rule_emit_t *e, void *old, uint32_t n, uint32_t *cap,
    size_t size)
{
    void      *p;
    uint32_t   more;

    if (n < *cap) {
        return old;
    }

    more = *cap == 0 ? 32 : *cap * 2;
    p = ly_arena_array(e->x->arena, more, size);

    if (p == NULL) {
        rule_emit_fail(e, LY_NOMEM);
        return NULL;
    }

    if (n > 0) {
        memcpy(p, old, n * size);
    }

    *cap = more;

    return p;
}


static rule_ins_t *
rule_ins(rule_emit_t *e, unsigned op, int32_t effect)
{
    void        *p;
    rule_ins_t  *i;

    static rule_ins_t  nowhere;

    p = rule_emit_grow(e, e->ins, e->n_ins, &e->cap_ins, sizeof(rule_ins_t));

    if (p == NULL) {
        return &nowhere;
    }

    e->ins = p;
    i = &e->ins[e->n_ins++];
    i->op = (uint8_t) op;
    i->node = RULE_NODE_NONE;
    e->stack = (uint32_t) ((int32_t) e->stack + effect);

    if (e->stack > e->stack_max) {
        e->stack_max = e->stack;
    }

    return i;
}


static uint32_t
rule_const(rule_emit_t *e, const rule_val_t *v)
{
    void  *p;

    p = rule_emit_grow(e, e->consts, e->n_const, &e->cap_const,
                       sizeof(rule_val_t));

    if (p == NULL || e->n_const == UINT16_MAX) {
        rule_emit_fail(e, LY_LIMIT);
        return 0;
    }

    e->consts = p;
    e->consts[e->n_const] = *v;

    return e->n_const++;
}


static uint32_t
rule_const_num(rule_emit_t *e, ly_dec_t d)
{
    rule_val_t  v;

    memset(&v, 0, sizeof(v));
    rule_set_num(&v, rule_num_strip(d));

    return rule_const(e, &v);
}


static rule_text_t
rule_text(rule_emit_t *e, ly_str_t s)
{
    rule_text_t  t;

    t.off = (uint32_t) e->text.len;
    t.len = (uint32_t) s.len;
    ly_buf_str(&e->text, s);

    return t;
}


/* the traced node of t, at the present path */
static uint16_t
rule_node(rule_emit_t *e, const rule_ast_t *t)
{
    rule_text_t  text;

    if (e->body || t->reads == 0 || e->nodes == NULL
        || e->n_node == RULE_NODES_MAX)
    {
        return RULE_NODE_NONE;
    }

    text.off = (uint32_t) e->text.len;
    ly_buf_byte(&e->text, '"');
    ly_buf_str(&e->text, ly_buf_view(&e->path));
    ly_buf_byte(&e->text, '"');
    text.len = (uint32_t) e->text.len - text.off;
    e->nodes[e->n_node] = text;

    return (uint16_t) e->n_node++;
}


static void
rule_list_field(rule_emit_t *e, int32_t slot, int32_t field)
{
    uint32_t  i;

    if (slot < 0) {
        return;
    }

    for (i = 0; i < e->n_list; i++) {
        if (e->lists[i].slot == (uint32_t) slot) {
            break;
        }
    }

    if (i == e->n_list) {
        e->lists[i].slot = (uint32_t) slot;
        e->n_list++;
    }

    if (field >= 0) {
        e->lists[i].fields |= (uint64_t) 1 << field;
    }
}


/* the i-th argument, its step in the path */
static void
rule_emit_arg(rule_emit_t *e, const rule_ast_t *t, uint32_t i)
{
    size_t         n, len;
    unsigned char  text[LY_INT64_TEXT];

    len = e->path.len;
    ly_json_pointer_token(&e->path, ly_str_c(rule_ops[t->op].name));
    n = ly_uint64_print(i, text);
    ly_json_pointer_token(&e->path, ly_str_of(text, n));
    rule_emit(e, t->arg[i]);
    ly_buf_truncate(&e->path, len);
}


static void
rule_emit_args(rule_emit_t *e, const rule_ast_t *t, uint32_t n)
{
    uint32_t  i;

    for (i = 0; i < n; i++) {
        rule_emit_arg(e, t, i);
    }
}


static uint32_t
rule_emit_literals(rule_emit_t *e, const rule_ast_t *t)
{
    uint32_t  i, first;

    first = e->n_const;

    for (i = 0; i < t->n; i++) {
        (void) rule_const(e, &t->arg[i]->value);
    }

    return first;
}


static void
rule_emit_const(rule_emit_t *e, const rule_val_t *v)
{
    uint32_t  c;

    c = rule_const(e, v);
    rule_ins(e, RULE_I_CONST, 1)->a = (uint16_t) c;
}


static void
rule_emit_var(rule_emit_t *e, const rule_ast_t *t)
{
    uint16_t     node;
    uint32_t     c;
    rule_ins_t  *i;

    node = rule_node(e, t);
    i = rule_ins(e, !t->local ? RULE_I_FACT
                 : t->slot >= 0 ? RULE_I_FIELD : RULE_I_ELEMENT, 1);
    i->a = (uint16_t) (t->slot < 0 ? 0 : t->slot);

    if (t->local) {
        rule_list_field(e, e->list, t->slot);

    } else if (t->type == RULE_T_LIST) {
        rule_list_field(e, t->slot, -1);
    }

    if (t->n == 1) {
        c = rule_const(e, &t->arg[0]->value);
        i = rule_ins(e, RULE_I_DEFAULT, 0);
        i->a = (uint16_t) c;
    }

    i->node = node;
}


static void
rule_emit_names(rule_emit_t *e, const rule_ast_t *t)
{
    uint32_t           k;
    rule_ins_t        *i;
    const rule_ast_t  *a;

    for (k = 0; k < t->n; k++) {
        a = t->arg[k];
        i = rule_ins(e, a->local ? RULE_I_PRESENT_FIELD : RULE_I_PRESENT, 1);
        i->a = (uint16_t) (a->slot < 0 ? 0 : a->slot);
        i->x = a->slot < 0;

        if (a->local) {
            rule_list_field(e, e->list, a->slot);

        } else if (a->type == RULE_T_LIST) {
            rule_list_field(e, a->slot, -1);
        }
    }

    i = rule_ins(e, RULE_I_ALL_TRUE, 1 - (int32_t) t->n);
    i->b = t->n;
    i->flags = t->op == RULE_OP_MISSING ? RULE_IN_NEG : 0;
    i->node = rule_node(e, t);
}


static void
rule_emit_bool(rule_emit_t *e, const rule_ast_t *t)
{
    uint32_t     k, first, *jumps;
    rule_ins_t  *i;

    jumps = ly_arena_array(e->x->arena, t->n, sizeof(*jumps));
    if (jumps == NULL) {
        rule_emit_fail(e, LY_NOMEM);
        return;
    }

    first = 0;

    for (k = 0; k < t->n; k++) {
        rule_emit_arg(e, t, k);

        if (k + 1 < t->n) {
            jumps[first++] = e->n_ins;
            (void) rule_ins(e, t->op == RULE_OP_AND ? RULE_I_KEEP_FALSE
                                                    : RULE_I_KEEP_TRUE, -1);
        }
    }

    if (e->err != LY_OK) {
        return;
    }

    for (k = 0; k < first; k++) {
        e->ins[jumps[k]].b = e->n_ins;
    }

    i = rule_ins(e, RULE_I_BOOL, 0);
    i->node = rule_node(e, t);
}


static void
rule_emit_if(rule_emit_t *e, const rule_ast_t *t)
{
    uint32_t     k, n, next, *jumps;
    rule_ins_t  *i;

    jumps = ly_arena_array(e->x->arena, t->n, sizeof(*jumps));
    if (jumps == NULL) {
        rule_emit_fail(e, LY_NOMEM);
        return;
    }

    n = 0;

    for (k = 0; k + 1 < t->n; k += 2) {
        rule_emit_arg(e, t, k);
        next = e->n_ins;
        (void) rule_ins(e, RULE_I_JUMP_FALSE, -1);
        rule_emit_arg(e, t, k + 1);
        jumps[n++] = e->n_ins;
        (void) rule_ins(e, RULE_I_JUMP, -1);

        if (e->err != LY_OK) {
            return;
        }

        e->ins[next].b = e->n_ins;
    }

    rule_emit_arg(e, t, k);

    if (e->err != LY_OK) {
        return;
    }

    for (k = 0; k < n; k++) {
        e->ins[jumps[k]].b = e->n_ins;
    }

    i = rule_ins(e, RULE_I_IF_END, 0);
    i->node = rule_node(e, t);
}


static int32_t
rule_list_slot(const rule_emit_t *e, const rule_ast_t *t)
{
    while (t->op == RULE_OP_FILTER) {
        t = t->arg[0];
    }

    return t->op == RULE_OP_VAR && t->type == RULE_T_LIST && !t->local
           ? t->slot : -1;
}


static void
rule_emit_each(rule_emit_t *e, const rule_ast_t *t)
{
    bool         body;
    int32_t      list;
    uint16_t     node;
    uint32_t     k, each, values;
    rule_ins_t  *i;

    rule_emit_arg(e, t, 0);

    if (t->n == 1) {
        i = rule_ins(e, RULE_OP_COUNT, 0);
        i->node = rule_node(e, t);
        return;
    }

    node = rule_node(e, t);
    body = e->body;
    list = e->list;
    e->body = true;
    e->list = rule_list_slot(e, t->arg[0]);
    e->loops++;

    if (e->loops > e->loops_max) {
        e->loops_max = e->loops;
    }

    each = e->n_ins;
    i = rule_ins(e, RULE_I_EACH, -1);
    i->x = t->op;
    i->node = node;
    i->flags = t->type == RULE_T_MONEY ? RULE_IN_MONEY : 0;
    values = t->n - 1;

    for (k = 0; k < values; k++) {
        rule_emit_arg(e, t, k + 1);
    }

    i = rule_ins(e, RULE_I_NEXT, 1 - (int32_t) values);
    i->x = t->op;
    i->node = node;
    i->a = (uint16_t) values;
    i->b = each + 1;
    i->flags = t->type == RULE_T_MONEY ? RULE_IN_MONEY : 0;

    e->loops--;
    e->body = body;
    e->list = list;

    if (e->err == LY_OK) {
        e->ins[each].b = e->n_ins;
    }
}


static void
rule_emit_in(rule_emit_t *e, const rule_ast_t *t)
{
    uint32_t           first;
    rule_ins_t        *i;
    const rule_ast_t  *list;

    rule_emit_arg(e, t, 0);
    list = t->arg[1];

    if (list->op == RULE_OP_LIST) {
        first = rule_emit_literals(e, list);
        i = rule_ins(e, RULE_OP_IN, 0);
        i->a = (uint16_t) first;
        i->b = list->n;

    } else {
        rule_emit_arg(e, t, 1);
        i = rule_ins(e, RULE_I_IN_LIST, -1);
    }

    i->node = rule_node(e, t);
}


static void
rule_emit_member(rule_emit_t *e, const rule_ast_t *t)
{
    uint32_t     first;
    rule_ins_t  *i;

    rule_ins(e, RULE_I_FACT, 1)->a = (uint16_t) t->slot;
    first = rule_emit_literals(e, t);
    i = rule_ins(e, t->op == RULE_OP_TIER ? RULE_OP_IN : RULE_I_MEETS, 0);
    i->a = (uint16_t) first;
    i->b = t->n;
    i->node = rule_node(e, t);
}


static void
rule_emit_calendar(rule_emit_t *e, const rule_ast_t *t)
{
    uint32_t         k, n, c;
    rule_ins_t      *i;
    rule_duration_t  d;

    n = t->op == RULE_OP_PLUS || t->op == RULE_OP_MINUS ? 1 : t->n;
    c = 0;

    for (k = 0; k < n; k++) {
        e->calendar |= t->arg[k]->type == RULE_T_INSTANT;
    }

    rule_emit_args(e, t, n);

    if (n < t->n && rule_duration_parse(rule_str(&t->arg[1]->value), &d)) {
        c = rule_const_num(e, ly_dec_int(d.months));
        (void) rule_const_num(e, ly_dec_int(d.days));
        (void) rule_const_num(e, ly_dec_int(d.us));
    }

    i = rule_ins(e, t->op, 1 - (int32_t) n);
    i->a = (uint16_t) c;
    i->b = n;
    i->node = rule_node(e, t);
}


static void
rule_emit_plain(rule_emit_t *e, const rule_ast_t *t)
{
    uint32_t     n;
    rule_ins_t  *i;

    n = t->op == RULE_OP_DIV ? 2 : t->op == RULE_OP_ROUND ? 1 : t->n;
    rule_emit_args(e, t, n);
    i = rule_ins(e, t->op, 1 - (int32_t) n);
    i->b = n;
    i->x = t->places;
    i->a = t->round;
    i->node = rule_node(e, t);
}


static void
rule_emit(rule_emit_t *e, const rule_ast_t *t)
{
    rule_val_t   v;
    rule_ins_t  *i;

    if (e->err != LY_OK) {
        return;
    }

    if (t->op >= RULE_OP_SOME && t->op <= RULE_OP_DISTINCT) {
        rule_emit_each(e, t);
        return;
    }

    if (t->op >= RULE_OP_DATE && t->op <= RULE_OP_MINUS) {
        rule_emit_calendar(e, t);
        return;
    }

    switch (t->op) {

    case RULE_OP_LIT:
        rule_emit_const(e, &t->value);
        return;

    case RULE_OP_LIST:
        memset(&v, 0, sizeof(v));
        v.kind = RULE_K_LIST;
        v.stride = 1;
        v.n = t->n;
        v.u.i = rule_emit_literals(e, t);
        rule_emit_const(e, &v);
        return;

    case RULE_OP_VAR:
        rule_emit_var(e, t);
        return;

    case RULE_OP_HAS:
    case RULE_OP_MISSING:
        rule_emit_names(e, t);
        return;

    case RULE_OP_AND:
    case RULE_OP_OR:
        rule_emit_bool(e, t);
        return;

    case RULE_OP_IF:
        rule_emit_if(e, t);
        return;

    case RULE_OP_IN:
        rule_emit_in(e, t);
        return;

    case RULE_OP_TIER:
    case RULE_OP_SEGMENT:
    case RULE_OP_ACHIEVEMENT:
        rule_emit_member(e, t);
        return;

    case RULE_OP_COUNT_WINDOW:
    case RULE_OP_SUM_WINDOW:
        i = rule_ins(e, RULE_I_COUNTER, 1);
        i->a = (uint16_t) t->slot;
        i->node = rule_node(e, t);
        return;

    default:
        rule_emit_plain(e, t);
        return;
    }
}


/* one tree with its end; gives where it begins */
static uint32_t
rule_emit_root(rule_emit_t *e, const rule_ast_t *t, const char *path)
{
    uint32_t  pc;

    pc = e->n_ins;
    e->stack = 0;
    ly_buf_truncate(&e->path, 0);
    ly_buf_cstr(&e->path, path);
    rule_emit(e, t);
    (void) rule_ins(e, RULE_I_END, -1);

    return pc;
}


static ly_err_t
rule_emit_begin(rule_emit_t *e, rule_ctx_t *x)
{
    memset(e, 0, sizeof(*e));
    e->x = x;
    e->list = -1;
    ly_buf_init_arena(&e->text, x->arena, (size_t) 16 << 20);
    ly_buf_init_arena(&e->path, x->arena, RULE_PATH_MAX);
    e->lists = ly_arena_array(x->arena, RULE_FACTS_MAX, sizeof(*e->lists));

    return e->lists == NULL ? LY_NOMEM : LY_OK;
}


static uint32_t
rule_room(uint32_t *size, size_t n, size_t each)
{
    uint32_t  off;

    off = (*size + 15) & ~(uint32_t) 15;
    *size = off + (uint32_t) (n * each);

    return off;
}


/* the block, with code, constants and texts in it */
static rule_program_t *
rule_emit_block(rule_emit_t *e, uint32_t n_effect, uint32_t n_counter,
    uint32_t n_source, uint32_t n_segment)
{
    uint32_t         i, n, k, size, extra;
    rule_val_t      *v;
    rule_program_t   h, *p;
    unsigned char   *base;

    memset(&h, 0, sizeof(h));
    size = sizeof(h);

    /* texts of constants stand behind the others */
    extra = (uint32_t) e->text.len;

    for (i = 0; i < e->n_const; i++) {
        if (e->consts[i].kind == RULE_K_STR) {
            extra += e->consts[i].n;
        }
    }

    h.n_ins = e->n_ins;
    h.off_ins = rule_room(&size, e->n_ins, sizeof(rule_ins_t));
    h.n_const = e->n_const;
    h.off_const = rule_room(&size, e->n_const, sizeof(rule_val_t));
    h.n_node = e->n_node;
    h.off_node = rule_room(&size, e->n_node, sizeof(rule_text_t));
    h.n_effect = n_effect;
    h.off_effect = rule_room(&size, n_effect, sizeof(rule_peffect_t));
    h.n_counter = n_counter;
    h.off_counter = rule_room(&size, n_counter, sizeof(rule_pcounter_t));
    h.n_list = e->n_list;
    h.off_list = rule_room(&size, e->n_list, sizeof(rule_plist_t));
    h.n_source = n_source;
    h.off_source = rule_room(&size, n_source, sizeof(rule_text_t));
    h.n_segment = n_segment;
    h.off_segment = rule_room(&size, n_segment, sizeof(rule_text_t));
    h.n_text = extra;
    h.off_text = rule_room(&size, extra, 1);
    h.size = (size + 15) & ~(uint32_t) 15;
    h.stack = e->stack_max + 1;
    h.loops = e->loops_max + 1;
    h.n_facts = e->x->catalogue->n;
    h.calendar = e->calendar;

    base = ly_arena_zalloc(e->x->arena, h.size);
    if (base == NULL) {
        return NULL;
    }

    p = (rule_program_t *) (void *) base;
    *p = h;
    if (e->text.len > 0) {
        memcpy(base + h.off_text, e->text.data, e->text.len);
    }

    n = (uint32_t) e->text.len;

    if (e->n_ins > 0) {
        memcpy(base + h.off_ins, e->ins, e->n_ins * sizeof(rule_ins_t));
    }

    if (e->n_node > 0) {
        memcpy(base + h.off_node, e->nodes, e->n_node * sizeof(rule_text_t));
    }

    if (e->n_list > 0) {
        memcpy(base + h.off_list, e->lists, e->n_list * sizeof(rule_plist_t));
    }

    for (i = 0; i < e->n_const; i++) {
        v = (rule_val_t *) (void *) (base + h.off_const) + i;
        k = e->consts[i].n;

        /* member by member: the block's unused bytes stay zero */
        v->kind = e->consts[i].kind;
        v->scale = e->consts[i].scale;
        v->stride = e->consts[i].stride;
        v->n = k;

        switch (v->kind) {
        case RULE_K_STR:
            if (k > 0) {
                memcpy(base + h.off_text + n, e->consts[i].u.s, k);
            }
            v->u.s = base + h.off_text + n;
            n += k;
            break;
        case RULE_K_LIST:
            v->u.l.cells = (const rule_val_t *) (void *) (base + h.off_const)
                           + e->consts[i].u.i;
            break;
        case RULE_K_BOOL:
            v->u.b = e->consts[i].u.b;
            break;
        case RULE_K_NUM:
        case RULE_K_MONEY:
            v->u.coef = e->consts[i].u.coef;
            break;
        default:
            v->u.i = e->consts[i].u.i;
            break;
        }
    }

    return p;
}


static ly_err_t
rule_emit_err(const rule_emit_t *e)
{
    if (e->err != LY_OK) {
        return e->err;
    }

    if (ly_buf_err(&e->text) != LY_OK) {
        return ly_buf_err(&e->text);
    }

    return ly_buf_err(&e->path) == LY_NOMEM ? LY_NOMEM : LY_OK;
}


ly_err_t
rule_emit_tree(rule_ctx_t *x, rule_ast_t *t, rule_program_t **out)
{
    rule_emit_t  e;

    if (rule_emit_begin(&e, x) != LY_OK) {
        return LY_NOMEM;
    }

    (void) rule_emit_root(&e, t, "");

    if (rule_emit_err(&e) != LY_OK) {
        return rule_emit_err(&e);
    }

    *out = rule_emit_block(&e, 0, 0, 0, 0);

    return *out == NULL ? LY_NOMEM : LY_OK;
}


static void
rule_emit_effect(rule_emit_t *e, uint32_t i, const rule_def_effect_t *d,
    rule_peffect_t *p)
{
    uint32_t     k;
    ly_buf_t     path;
    ly_str_t     s;
    unsigned char  mem[64];

    memset(p, 0, sizeof(*p));
    p->type = d->type;
    p->rounding = d->rounding;
    p->unit = d->unit;
    p->currency = d->currency;
    p->wallet = rule_text(e, d->wallet);
    p->points = rule_const_num(e, d->points);
    p->per = rule_const_num(e, d->per);

    ly_buf_init_fixed(&path, mem, sizeof(mem) - 1);
    ly_buf_cstr(&path, "/effects/");
    ly_buf_uint(&path, i);
    p->pointer = rule_text(e, ly_buf_view(&path));
    ly_buf_cstr(&path, d->where != NULL ? "/where" : "/of");
    ly_buf_byte(&path, '\0');
    s = ly_buf_view(&path);

    if (d->where != NULL) {
        p->has_where = 1;
        e->body = true;
        e->list = e->x->def.refund ? RULE_F_REFUND_LINES : RULE_F_ORDER_LINES;
        e->loops++;

        if (e->loops > e->loops_max) {
            e->loops_max = e->loops;
        }

        p->where_pc = rule_emit_root(e, d->where, (const char *) s.data);
        e->loops--;
        e->body = false;
        e->list = -1;

    } else if (d->of != NULL) {
        p->has_of = 1;
        p->of_pc = rule_emit_root(e, d->of, (const char *) s.data);
    }

    p->n_steps = d->n_steps;
    p->step = e->n_const;

    for (k = 0; k < d->n_steps; k++) {
        (void) rule_const_num(e, d->steps[k].from);
        (void) rule_const_num(e, ly_dec_int(d->steps[k].points));
    }

    rule_list_field(e, e->x->def.refund ? RULE_F_REFUND_LINES
                                        : RULE_F_ORDER_LINES,
                    d->type == RULE_E_LINE_BONUS ? RULE_L_QUANTITY
                                                 : RULE_L_TOTAL);
}


static void
rule_emit_head(const rule_ctx_t *x, rule_program_t *p)
{
    uint32_t           i;
    const rule_def_t  *d;

    d = &x->def;
    p->priority = d->priority;
    p->mode = d->mode;
    p->period = d->period;
    p->base = d->base;
    p->refund = d->refund;
    p->per_event = d->per_event;
    p->per_member = d->per_member;
    p->per_period = d->per_period;
    p->starts_at = d->starts_at;
    p->ends_at = d->ends_at;
    p->only_multiplies = 1;

    for (i = 0; i < d->n_effects; i++) {
        p->only_multiplies &= d->effects[i].type == RULE_E_MULTIPLIER;
    }

    memcpy(p->catalogue, x->catalogue->digest, RULE_DIGEST_LEN);
}


typedef struct {
    rule_text_t      event, group;
    rule_text_t     *sources, *segments;
    rule_peffect_t  *effects;
    rule_pcounter_t *counters;
} rule_parts_t;


static ly_err_t
rule_emit_parts(rule_emit_t *e, rule_parts_t *r)
{
    uint32_t           i;
    rule_ctx_t        *x;
    const rule_def_t  *d;

    x = e->x;
    d = &x->def;
    e->nodes = ly_arena_array(x->arena, RULE_NODES_MAX, sizeof(*e->nodes));
    r->sources = ly_arena_array(x->arena, d->n_sources + 1,
                                sizeof(*r->sources));
    r->segments = ly_arena_array(x->arena, d->n_segments + 1,
                                 sizeof(*r->segments));
    r->effects = ly_arena_array(x->arena, d->n_effects, sizeof(*r->effects));
    r->counters = ly_arena_array(x->arena, x->n_counters + 1,
                                 sizeof(*r->counters));

    if (e->nodes == NULL || r->sources == NULL || r->segments == NULL
        || r->effects == NULL || r->counters == NULL)
    {
        return LY_NOMEM;
    }

    (void) rule_emit_root(e, d->condition, "/condition");

    for (i = 0; i < d->n_effects; i++) {
        rule_emit_effect(e, i, &d->effects[i], &r->effects[i]);
    }

    r->event = rule_text(e, d->event);
    r->group = rule_text(e, d->group);

    for (i = 0; i < d->n_sources; i++) {
        r->sources[i] = rule_text(e, d->sources[i]);
    }

    for (i = 0; i < d->n_segments; i++) {
        r->segments[i] = rule_text(e, d->segments[i]);
    }

    for (i = 0; i < x->n_counters; i++) {
        r->counters[i].key = rule_text(e, x->counters[i].key);
        r->counters[i].event = rule_text(e, x->counters[i].event);
        r->counters[i].fact = rule_text(e, x->counters[i].fact);
        r->counters[i].window_us = x->counters[i].window_us;
    }

    return rule_emit_err(e);
}


ly_err_t
rule_compile(ly_arena_t *a, ly_str_t json, const rule_catalogue_t *c,
    unsigned flags, rule_program_t **out, rule_faults_t *faults)
{
    ly_err_t         err;
    ly_buf_t         normal;
    rule_ctx_t       x;
    rule_emit_t      e;
    rule_parts_t     r;
    unsigned char   *base;
    rule_program_t  *p;

    memset(&x, 0, sizeof(x));
    x.arena = a;
    x.flags = flags;

    ly_buf_init_arena(&normal, a, RULE_NORMAL_MAX);
    err = rule_front(&x, json, c, &normal, faults);

    if (err != LY_OK) {
        return err;
    }

    if (rule_emit_begin(&e, &x) != LY_OK) {
        return LY_NOMEM;
    }

    err = rule_emit_parts(&e, &r);

    if (err != LY_OK) {
        return err;
    }

    p = rule_emit_block(&e, x.def.n_effects, x.n_counters, x.def.n_sources,
                        x.def.n_segments);
    if (p == NULL) {
        return LY_NOMEM;
    }

    base = (unsigned char *) p;
    memcpy(base + p->off_effect, r.effects,
           p->n_effect * sizeof(*r.effects));
    memcpy(base + p->off_counter, r.counters,
           p->n_counter * sizeof(*r.counters));
    memcpy(base + p->off_source, r.sources, p->n_source * sizeof(*r.sources));
    memcpy(base + p->off_segment, r.segments,
           p->n_segment * sizeof(*r.segments));
    p->event = r.event;
    p->group = r.group;
    rule_emit_head(&x, p);

    *out = p;

    return rule_digest(ly_buf_view(&normal), p->digest);
}
