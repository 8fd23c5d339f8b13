/*
 * Many rules on one event: who is a candidate, what each would give, which
 * are kept, what caps leave of it, and how it falls on the lines.
 */

#include "rule_int.h"
#include "../../common/ly_share.h"
#include "../../common/ly_banned.h"


typedef struct {
    ly_arena_t           *arena;
    const rule_input_t   *in;
    const rule_force_t   *force;
    rule_case_t          *cases;
    size_t                n;
    uint32_t             *order;        /* candidates by priority */
    size_t                n_order;
    void                 *stack;
    uint32_t              steps;
    bool                  trace;
    bool                  any_event;
    const ly_dec_t       *weights[2];   /* by the lines' totals; refunds */
    bool                  weighty[2];
    const char           *faulty[2];    /* why there are none */
} rule_eval_t;


static const char *const  rule_outcomes[] = {
    "not_matched", "matched", "capped", "error"
};


const char *
rule_outcome_name(rule_outcome_e outcome)
{
    return rule_outcomes[outcome];
}


static void
rule_case_error(rule_case_t *k, const char *code, ly_str_t pointer)
{
    k->candidate = false;
    k->result->outcome = RULE_ERROR;
    k->result->reason = NULL;
    k->result->code = code;
    k->result->pointer = pointer;
}


/* the node at fault: the first that stands in the trace from pc on */
static void
rule_case_fault(rule_case_t *k, const char *code, ly_str_t otherwise)
{
    uint32_t               pc;
    ly_str_t               s;
    const rule_ins_t      *ins;
    const rule_program_t  *p;

    p = k->program;
    ins = rule_at(p, p->off_ins, rule_ins_t);
    s = otherwise;

    for (pc = k->vm.error_pc; pc < p->n_ins && ins[pc].op != RULE_I_END; pc++)
    {
        if (ins[pc].node != RULE_NODE_NONE) {
            s = rule_ptext(p, rule_at(p, p->off_node,
                                      rule_text_t)[ins[pc].node]);
            s = ly_str_of(s.data + 1, s.len - 2);
            break;
        }
    }

    rule_case_error(k, code, s);
}


static bool
rule_not(rule_case_t *k, const char *reason)
{
    k->result->outcome = RULE_NOT_MATCHED;
    k->result->reason = reason;

    return false;
}


/* is a string value one of the program's texts */
static bool
rule_named(const rule_program_t *p, uint32_t off, uint32_t n,
    const rule_val_t *v)
{
    uint32_t  i;

    for (i = 0; i < n; i++) {
        if (rule_same_text(rule_ptext(p, rule_at(p, off, rule_text_t)[i]),
                           rule_str(v)))
        {
            return true;
        }
    }

    return false;
}


static bool
rule_in_segments(rule_case_t *k, const rule_val_t *list)
{
    uint32_t               i;
    const rule_program_t  *p;

    p = k->program;
    rule_vm_use(&k->vm, RULE_F_MEMBER_SEGMENTS);

    if (list->kind == RULE_K_INVALID) {
        rule_case_error(k, "fact.invalid", ly_str("/segments"));
        return false;
    }

    for (i = 0; list->kind == RULE_K_LIST && i < list->n; i++) {
        if (rule_named(p, p->off_segment, p->n_segment, &list->u.l.cells[i])) {
            return true;
        }
    }

    return rule_not(k, "segments");
}


/* trigger, schedule, segments, condition */
static bool
rule_candidate(rule_case_t *k, const rule_input_t *in, bool any_event)
{
    rule_val_t             v;
    const char            *code;
    const rule_val_t      *f;
    const rule_program_t  *p;

    p = k->program;
    f = &in->facts[RULE_F_EVENT_TYPE];

    if (!any_event
        && (f->kind != RULE_K_STR
            || !rule_same_text(rule_str(f), rule_ptext(p, p->event))))
    {
        return rule_not(k, "trigger");
    }

    f = &in->facts[RULE_F_EVENT_SOURCE];

    if (p->n_source > 0
        && (f->kind != RULE_K_STR
            || !rule_named(p, p->off_source, p->n_source, f)))
    {
        return rule_not(k, "trigger");
    }

    f = &in->facts[RULE_F_EVENT_OCCURRED_AT];

    if ((p->starts_at != INT64_MIN || p->ends_at != INT64_MAX)
        && (f->kind != RULE_K_INSTANT || f->u.i < p->starts_at
            || f->u.i >= p->ends_at))
    {
        return rule_not(k, "schedule");
    }

    if (p->n_segment > 0
        && !rule_in_segments(k, &in->facts[RULE_F_MEMBER_SEGMENTS]))
    {
        return false;
    }

    code = rule_vm_run(&k->vm, 0, NULL, &v);

    if (code != NULL) {
        rule_case_fault(k, code, ly_str("/condition"));
        return false;
    }

    if (v.kind != RULE_K_BOOL || !v.u.b) {
        return rule_not(k, "condition");
    }

    return true;
}


/* --- amounts and weights --- */

/*
 * Brings the weights to one scale, that of the finest, so that shares need
 * whole numbers alone; false if their sum is not a number of the language.
 */
static bool
rule_weigh(ly_dec_t *w, size_t n, bool *weighty)
{
    size_t       i;
    unsigned     scale;
    ly_int128_t  sum, limit;

    limit = (ly_int128_t) 10000000000000000000ULL
            * (ly_int128_t) 10000000000000000000ULL;

    for (i = 0, scale = 0; i < n; i++) {
        scale = w[i].scale > scale ? w[i].scale : scale;
    }

    for (i = 0, sum = 0; i < n; i++) {
        if (w[i].scale != scale
            && __builtin_mul_overflow(w[i].coef,
                                      rule_pow10[scale - w[i].scale],
                                      &w[i].coef))
        {
            return false;
        }

        w[i].scale = scale;

        if (w[i].coef >= limit - sum) {
            return false;
        }

        sum += w[i].coef;
    }

    *weighty = sum > 0;

    return true;
}


static const char *
rule_weights_total(rule_eval_t *x, unsigned refund, const rule_val_t *list,
    const ly_dec_t **out, bool *weighty)
{
    ly_dec_t          *w;
    uint32_t           i;
    const rule_val_t  *v;

    if (x->weights[refund] != NULL || x->faulty[refund] != NULL) {
        *out = x->weights[refund];
        *weighty = x->weighty[refund];
        return x->faulty[refund];
    }

    w = ly_arena_array(x->arena, (size_t) list->n + 1, sizeof(*w));

    if (w == NULL) {
        return "memory.exhausted";
    }

    v = list->u.l.cells + RULE_L_TOTAL;

    for (i = 0; i < list->n; i++, v += list->stride) {
        if (v->kind != RULE_K_MONEY) {
            x->faulty[refund] = "fact.invalid";
            return x->faulty[refund];
        }

        if (v->u.coef > 0) {
            w[i] = rule_dec(v);
        }
    }

    if (!rule_weigh(w, list->n, &x->weighty[refund])) {
        x->faulty[refund] = "number.overflow";
        return x->faulty[refund];
    }

    x->weights[refund] = w;
    *out = w;
    *weighty = x->weighty[refund];

    return NULL;
}


static const rule_val_t *
rule_lines(rule_case_t *k, const rule_input_t *in)
{
    rule_vm_use(&k->vm, k->lines);

    return &in->facts[k->lines];
}


/* where chooses lines: their totals summed, or points for each */
static const char *
rule_where(rule_eval_t *x, rule_case_t *k, const rule_peffect_t *e,
    const rule_val_t *list, bool bonus, rule_estate_t *s)
{
    bool               is;
    ly_dec_t          *w, d, sum;
    int64_t            points;
    uint32_t           i;
    rule_val_t         v;
    const char        *code;
    const rule_val_t  *line, *consts;

    consts = rule_at(k->program, k->program->off_const, rule_val_t);
    w = ly_arena_array(x->arena, (size_t) list->n + 1, sizeof(*w));

    if (w == NULL) {
        return "memory.exhausted";
    }

    s->weights = w;
    s->amount.kind = bonus ? RULE_K_NUM : RULE_K_MONEY;
    sum = ly_dec_int(0);

    for (i = 0; i < list->n; i++) {
        line = &list->u.l.cells[(size_t) i * list->stride];
        code = rule_vm_run(&k->vm, e->where_pc, line, &v);

        if (code != NULL) {
            return code;
        }

        is = v.kind == RULE_K_BOOL && v.u.b;
        line += bonus ? RULE_L_QUANTITY : RULE_L_TOTAL;

        if (!is || line->kind == RULE_K_MISSING) {
            continue;
        }

        if (line->kind == RULE_K_INVALID) {
            return "fact.invalid";
        }

        d = rule_dec(line);

        if (!bonus) {
            s->amount.n = line->n;

            if (!rule_num_add(sum, d, &sum)) {
                return "number.overflow";
            }

            if (d.coef > 0) {
                w[i] = d;
            }

            continue;
        }

        if (d.coef <= 0) {
            continue;
        }

        if (!rule_num_mul(e->unit ? d : ly_dec_int(1),
                          rule_dec(&consts[e->points]), &d)
            || ly_dec_int64(d, (ly_round_e) e->rounding, &points) != LY_OK
            || !rule_num_add(sum, ly_dec_int(points), &sum))
        {
            return "number.overflow";
        }

        w[i] = ly_dec_int(points);
    }

    if (!rule_weigh(w, list->n, &s->weighty)) {
        return "number.overflow";
    }

    s->amount.scale = (uint8_t) sum.scale;
    s->amount.u.coef = sum.coef;

    if (!bonus && s->amount.n == 0) {
        s->amount.n = e->currency;
    }

    return NULL;
}


/* n / d and the rest; a narrow division takes half the time of a wide one */
static inline uint64_t
rule_divide(uint64_t n, uint64_t d, uint64_t *rest)
{
    if (((n | d) >> 32) == 0) {
        *rest = (uint32_t) n % (uint32_t) d;
        return (uint32_t) n / (uint32_t) d;
    }

    *rest = n % d;

    return n / d;
}


/*
 * product / per, both above 0: cut to six places, and rounded.  The usual
 * amounts take this way; false: take the long one.
 */
static bool
rule_quotient(ly_dec_t product, ly_dec_t per, ly_round_e mode,
    rule_effect_t *out)
{
    uint64_t  n, d, q, r, micro, rest;

    if (product.coef > INT64_MAX || per.coef > INT64_MAX
        || product.scale > 6 || per.scale > 6)
    {
        return false;
    }

    if (__builtin_mul_overflow((uint64_t) product.coef,
                               (uint64_t) rule_pow10[per.scale], &n)
        || __builtin_mul_overflow((uint64_t) per.coef,
                                  (uint64_t) rule_pow10[product.scale], &d)
        || d > UINT64_MAX / 1000000)
    {
        return false;
    }

    q = rule_divide(n, d, &r);

    if (q > (uint64_t) INT64_MAX / 1000000 - 1) {
        return false;
    }

    micro = q * 1000000 + rule_divide(r * 1000000, d, &rest);
    out->raw.coef = (int64_t) micro;
    out->raw.scale = 6;

    switch (mode) {

    case LY_ROUND_CEIL:
        q += r > 0;
        break;

    case LY_ROUND_HALF_UP:
        q += r >= d - r;
        break;

    case LY_ROUND_HALF_EVEN:
        q += r > d - r || (r == d - r && (q & 1));
        break;

    default:
        break;
    }

    out->rounded = (int64_t) q;

    return true;
}


static const char *
rule_rate(const rule_program_t *p, const rule_peffect_t *e,
    const rule_val_t *amount, rule_effect_t *out)
{
    ly_dec_t           product, d;
    const rule_val_t  *c;

    c = rule_at(p, p->off_const, rule_val_t);

    if (e->currency != 0 && amount->kind == RULE_K_MONEY && amount->n != 0
        && amount->n != e->currency)
    {
        return "currency.mismatch";
    }

    if (amount->u.coef <= 0) {
        return NULL;
    }

    if (!rule_num_mul(rule_dec(amount), rule_dec(&c[e->points]), &product)) {
        return "number.overflow";
    }

    if (product.coef > 0
        && rule_quotient(product, rule_dec(&c[e->per]),
                         (ly_round_e) e->rounding, out))
    {
        out->raw = rule_num_strip(out->raw);
        return NULL;
    }

    if (ly_dec_div(product, rule_dec(&c[e->per]), 6, LY_ROUND_TRUNC,
                   &out->raw) != LY_OK
        || ly_dec_div(product, rule_dec(&c[e->per]), 0,
                      (ly_round_e) e->rounding, &d) != LY_OK
        || ly_dec_int64(d, LY_ROUND_FLOOR, &out->rounded) != LY_OK)
    {
        return "number.overflow";
    }

    out->raw = rule_num_strip(out->raw);

    return NULL;
}


static void
rule_table(const rule_program_t *p, const rule_peffect_t *e,
    const rule_val_t *amount, rule_effect_t *out)
{
    uint32_t           i;
    const rule_val_t  *c;

    c = rule_at(p, p->off_const, rule_val_t) + e->step;

    for (i = 0; i < e->n_steps; i++) {
        if (rule_num_cmp(rule_dec(&c[2 * i]), rule_dec(amount)) > 0) {
            break;
        }

        out->rounded = (int64_t) c[2 * i + 1].u.coef;
    }

    out->raw = ly_dec_int(out->rounded);
}


/* the amount of an effect and its points before caps; NULL or the code */
static const char *
rule_effect_give(rule_eval_t *x, rule_case_t *k, const rule_peffect_t *e,
    rule_estate_t *s, rule_effect_t *out)
{
    const char        *code;
    const rule_val_t  *c, *list;

    c = rule_at(k->program, k->program->off_const, rule_val_t);

    if (e->type == RULE_E_FIXED) {
        out->raw = rule_dec(&c[e->points]);
        out->rounded = (int64_t) out->raw.coef;

        /* nothing to share: the lines are not even read */
        if (out->rounded == 0) {
            return NULL;
        }
    }

    list = rule_lines(k, x->in);

    if (list->kind == RULE_K_INVALID) {
        return "fact.invalid";
    }

    if (list->kind == RULE_K_LIST && !e->has_where) {
        code = rule_weights_total(x, k->program->refund, list, &s->weights,
                                  &s->weighty);
        if (code != NULL) {
            return code;
        }
    }

    if (e->type == RULE_E_MULTIPLIER || e->type == RULE_E_FIXED) {
        return NULL;
    }

    if (e->has_where) {
        if (list->kind == RULE_K_MISSING) {
            return NULL;
        }

        code = rule_where(x, k, e, list, e->type == RULE_E_LINE_BONUS, s);

    } else {
        code = rule_vm_run(&k->vm, e->of_pc, NULL, &s->amount);
    }

    if (code != NULL || s->amount.kind == RULE_K_MISSING) {
        return code;
    }

    if (e->type == RULE_E_TABLE) {
        rule_table(k->program, e, &s->amount, out);
        return NULL;
    }

    if (e->type == RULE_E_RATE) {
        return rule_rate(k->program, e, &s->amount, out);
    }

    out->raw = rule_dec(&s->amount);

    return ly_dec_int64(out->raw, LY_ROUND_FLOOR, &out->rounded) == LY_OK
           ? NULL : "number.overflow";
}


/* --- caps --- */

static bool
rule_cap_own(rule_case_t *k, ly_str_t name, int64_t limit)
{
    size_t  i;

    if (limit < 0) {
        return true;
    }

    for (i = 0; i < k->run->n_caps; i++) {
        if (rule_same_text(k->run->caps[i]->name, name)) {
            k->caps[k->n_caps++] = k->run->caps[i];
            return true;
        }
    }

    rule_case_error(k, "cap.missing", ly_str("/limits"));

    return false;
}


static bool
rule_caps(rule_case_t *k)
{
    size_t                 i;
    ly_str_t               name;
    const rule_program_t  *p;

    p = k->program;

    if (p->per_event >= 0) {
        k->own.name = ly_str("per_event");
        k->own.remaining = p->per_event;
        k->caps[k->n_caps++] = &k->own;
    }

    if (!rule_cap_own(k, ly_str("per_member"), p->per_member)
        || !rule_cap_own(k, ly_str("per_period"), p->per_period))
    {
        return false;
    }

    for (i = 0; i < k->run->n_caps; i++) {
        name = k->run->caps[i]->name;

        if (!rule_same_text(name, ly_str("per_event"))
            && !rule_same_text(name, ly_str("per_member"))
            && !rule_same_text(name, ly_str("per_period")))
        {
            k->caps[k->n_caps++] = k->run->caps[i];
        }
    }

    return true;
}


static void
rule_clip(rule_case_t *k, rule_effect_t *out)
{
    int64_t   left;
    uint32_t  i;

    out->points = out->rounded;

    for (i = 0; i < k->n_caps; i++) {
        left = k->caps[i]->remaining < 0 ? 0 : k->caps[i]->remaining;

        if (left < out->points) {
            out->points = left;
            out->clipped_by = k->caps[i]->name;
            k->result->outcome = RULE_CAPPED;
        }
    }

    for (i = 0; i < k->n_caps; i++) {
        k->caps[i]->remaining -= out->points;
    }
}


static void
rule_caps_note(rule_case_t *k, int64_t *left)
{
    uint32_t  i;

    for (i = 0; i < k->n_caps; i++) {
        left[i] = k->caps[i]->remaining;
    }
}


/* --- the phases --- */

static const rule_peffect_t *
rule_effect_of(const rule_case_t *k, uint32_t i)
{
    return &rule_at(k->program, k->program->off_effect, rule_peffect_t)[i];
}


/* what a candidate would give; an error takes it out */
static ly_err_t
rule_case_effects(rule_eval_t *x, rule_case_t *k)
{
    uint32_t               i;
    const char            *code;
    const rule_peffect_t  *e;

    k->effects = ly_arena_array(x->arena, k->program->n_effect,
                                sizeof(*k->effects));
    k->states = ly_arena_array(x->arena, k->program->n_effect,
                               sizeof(*k->states));

    if (k->effects == NULL || k->states == NULL) {
        return LY_NOMEM;
    }

    for (i = 0; i < k->program->n_effect; i++) {
        e = rule_effect_of(k, i);
        k->effects[i].type = rule_effect_names[e->type];
        k->effects[i].wallet = rule_ptext(k->program, e->wallet);
        code = rule_effect_give(x, k, e, &k->states[i], &k->effects[i]);

        if (code == NULL
            && __builtin_add_overflow(k->points, k->effects[i].rounded,
                                      &k->points))
        {
            code = "number.overflow";
        }

        if (code != NULL) {
            if (e->has_of && k->vm.error_pc >= e->of_pc
                && k->vm.error_pc > 0)
            {
                rule_case_fault(k, code, rule_ptext(k->program, e->pointer));
            } else {
                rule_case_error(k, code, rule_ptext(k->program, e->pointer));
            }

            return LY_OK;
        }
    }

    (void) rule_caps(k);

    return LY_OK;
}


/* candidates by falling priority, else as given */
static void
rule_sort(rule_eval_t *x)
{
    size_t    i, k;
    int32_t   priority;

    for (i = 0; i < x->n; i++) {
        if (!x->cases[i].candidate) {
            continue;
        }

        priority = x->cases[i].program->priority;

        for (k = x->n_order;
             k > 0 && x->cases[x->order[k - 1]].program->priority < priority;
             k--)
        {
            x->order[k] = x->order[k - 1];
        }

        x->order[k] = (uint32_t) i;
        x->n_order++;
        x->cases[i].ranked = true;
    }
}


static bool
rule_same_group(const rule_case_t *a, const rule_case_t *b)
{
    return rule_same_text(rule_ptext(a->program, a->program->group),
                          rule_ptext(b->program, b->program->group));
}


/* all, best, first of one group, led by its first candidate */
static void
rule_keep_group(rule_eval_t *x, size_t from)
{
    size_t        i;
    rule_case_t  *first, *k, *winner;

    first = &x->cases[x->order[from]];
    winner = NULL;

    for (i = from; i < x->n_order; i++) {
        k = &x->cases[x->order[i]];

        if (!rule_same_group(first, k)) {
            continue;
        }

        if (first->program->mode == RULE_STACK_ALL
            || k->program->only_multiplies)
        {
            k->kept = true;
            continue;
        }

        if (winner == NULL
            || (first->program->mode == RULE_STACK_BEST
                && k->points > winner->points))
        {
            winner = k;
        }
    }

    if (winner != NULL) {
        winner->kept = true;
    }
}


static void
rule_keep(rule_eval_t *x)
{
    bool          led;
    size_t        i, n;
    rule_case_t  *k;

    if (x->force != NULL) {
        for (i = 0; i < x->n_order; i++) {
            x->cases[x->order[i]].kept = x->force->kept;
        }

        return;
    }

    for (i = 0; i < x->n_order; i++) {
        k = &x->cases[x->order[i]];

        if (k->program->mode == RULE_STACK_EXCLUSIVE) {
            k->kept = true;
            return;
        }
    }

    for (i = 0; i < x->n_order; i++) {
        led = true;

        for (n = 0; n < i && led; n++) {
            led = !rule_same_group(&x->cases[x->order[n]],
                                   &x->cases[x->order[i]]);
        }

        if (led) {
            rule_keep_group(x, i);
        }
    }
}


/* G: what the kept rules of k's group gave into the wallet */
static ly_int128_t
rule_group_points(const rule_eval_t *x, const rule_case_t *k, ly_str_t wallet)
{
    size_t              i;
    uint32_t            n;
    ly_int128_t         sum;
    const rule_case_t  *c;

    sum = 0;

    for (i = 0; i < x->n_order; i++) {
        c = &x->cases[x->order[i]];

        if (!c->kept || !rule_same_group(c, k)) {
            continue;
        }

        for (n = 0; n < c->program->n_effect; n++) {
            if (rule_effect_of(c, n)->type != RULE_E_MULTIPLIER
                && rule_same_text(c->effects[n].wallet, wallet))
            {
                sum += c->effects[n].points;
            }
        }
    }

    return sum;
}


static const char *
rule_multiply(const rule_eval_t *x, rule_case_t *k, uint32_t i)
{
    ly_dec_t        factor, group;
    rule_estate_t  *s;
    rule_effect_t  *out;

    s = &k->states[i];
    out = &k->effects[i];
    s->group = x->force != NULL ? x->force->group[i]
                                : rule_group_points(x, k, out->wallet);
    group.coef = s->group;
    group.scale = 0;
    factor = rule_dec(&rule_at(k->program, k->program->off_const, rule_val_t)
                      [rule_effect_of(k, i)->points]);

    if (!rule_num_add(factor, ly_dec_int(-1), &factor)
        || !rule_num_mul(factor, group, &out->raw)
        || ly_dec_int64(out->raw,
                        (ly_round_e) rule_effect_of(k, i)->rounding,
                        &out->rounded) != LY_OK)
    {
        return "number.overflow";
    }

    return NULL;
}


/* a kept rule's effects of one kind: multipliers, or the others */
static void
rule_case_give(rule_eval_t *x, rule_case_t *k, bool multipliers)
{
    int64_t      sum;
    uint32_t     i, n;
    const char  *code;

    if (multipliers && x->force != NULL) {
        for (i = 0; i < k->n_caps; i++) {
            k->caps[i]->remaining = x->force->then[i];
        }
    }

    rule_caps_note(k, multipliers ? k->then : k->first);

    for (i = 0; i < k->program->n_effect; i++) {
        if ((rule_effect_of(k, i)->type == RULE_E_MULTIPLIER)
            != multipliers)
        {
            continue;
        }

        code = multipliers ? rule_multiply(x, k, i) : NULL;

        if (code == NULL) {
            rule_clip(k, &k->effects[i]);

            /* cannot be where a cap took it: the sum is then within the cap */
            if (__builtin_add_overflow(k->result->points,
                                       k->effects[i].points, &sum))
            {
                code = "number.overflow";
            }
        }

        if (code != NULL) {
            rule_case_error(k, code, rule_ptext(k->program,
                                                rule_effect_of(k,
                                                               i)->pointer));

            /* what it took from caps before goes back */
            for (n = 0; n < k->n_caps; n++) {
                k->caps[n]->remaining += k->result->points;
            }

            k->kept = false;
            return;
        }

        k->result->points = sum;
    }
}


#define RULE_SHARE_FAST  64     /* lines that the short way takes */


/*
 * The largest remainder for few lines and usual amounts, as ly_share_split()
 * does it, over weights of one scale; false: take the long way.
 */
static bool
rule_share(int64_t points, const ly_dec_t *w, size_t n, int64_t *out)
{
    size_t         i, best;
    int64_t        left;
    uint64_t       sum, rest[RULE_SHARE_FAST];
    ly_uint128_t   product;

    if (n > RULE_SHARE_FAST) {
        return false;
    }

    for (i = 0, sum = 0; i < n; i++) {
        if (w[i].coef > INT64_MAX
            || __builtin_add_overflow(sum, (uint64_t) w[i].coef, &sum))
        {
            return false;
        }
    }

    for (i = 0, left = points; i < n; i++) {
        product = (ly_uint128_t) (uint64_t) points * (uint64_t) w[i].coef;

        if (product <= UINT64_MAX) {
            out[i] = (int64_t) rule_divide((uint64_t) product, sum, &rest[i]);

        } else {
            out[i] = (int64_t) (product / sum);
            rest[i] = (uint64_t) (product % sum);
        }

        left -= out[i];
    }

    for (/* void */; left > 0; left--) {
        for (i = 1, best = 0; i < n; i++) {
            if (rest[i] > rest[best]) {
                best = i;
            }
        }

        out[best]++;
        rest[best] = 0;
    }

    return true;
}


static ly_err_t
rule_case_shares(rule_eval_t *x, rule_case_t *k)
{
    int64_t   *shares;
    ly_err_t   err;
    uint32_t   i;

    for (i = 0; i < k->program->n_effect; i++) {
        if (k->states[i].weights == NULL || !k->states[i].weighty
            || k->n_lines == 0)
        {
            continue;
        }

        shares = ly_arena_array(x->arena, k->n_lines, sizeof(*shares));

        if (shares == NULL) {
            return LY_NOMEM;
        }

        if (k->effects[i].points > 0
            && !rule_share(k->effects[i].points, k->states[i].weights,
                           k->n_lines, shares))
        {
            err = ly_share_split(k->effects[i].points, k->states[i].weights,
                                 k->n_lines, shares, x->arena);
            if (err != LY_OK) {
                return err;
            }
        }

        k->effects[i].shares = shares;
        k->effects[i].n_shares = k->n_lines;
    }

    k->result->effects = k->effects;
    k->result->n_effects = k->program->n_effect;

    return LY_OK;
}


static ly_err_t
rule_finish(rule_eval_t *x)
{
    size_t        i;
    ly_err_t      err;
    rule_case_t  *k;

    for (i = 0; i < x->n_order; i++) {
        k = &x->cases[x->order[i]];

        if (k->kept) {
            err = rule_case_shares(x, k);

            if (err != LY_OK) {
                return err;
            }

        } else if (k->result->outcome != RULE_ERROR) {
            (void) rule_not(k, "stacking");
        }
    }

    for (i = 0; i < x->n; i++) {
        k = &x->cases[i];
        k->result->steps = x->steps - k->vm.steps;

        if (k->result->outcome == RULE_ERROR) {
            k->result->points = 0;
        }

        if (x->trace) {
            err = rule_trace_write(x->arena, x->in, k, &k->result->trace);

            if (err != LY_OK) {
                return err;
            }
        }
    }

    return LY_OK;
}


/* caps of a call that fails as a whole are as they were */
static ly_err_t
rule_caps_save(ly_arena_t *a, const rule_run_t *runs, size_t n,
    int64_t **saved, bool restore)
{
    size_t   i, k, at;

    for (i = 0, at = 0; i < n; i++) {
        at += runs[i].n_caps;
    }

    if (at == 0) {
        return LY_OK;
    }

    if (!restore) {
        *saved = ly_arena_array(a, at, sizeof(**saved));

        if (*saved == NULL) {
            return LY_NOMEM;
        }
    }

    for (i = 0, at = 0; i < n; i++) {
        for (k = 0; k < runs[i].n_caps; k++, at++) {
            if (restore) {
                runs[i].caps[k]->remaining = (*saved)[at];
            } else {
                (*saved)[at] = runs[i].caps[k]->remaining;
            }
        }
    }

    return LY_OK;
}


static ly_err_t
rule_eval_cases(rule_eval_t *x, const rule_run_t *runs,
    rule_result_t *results)
{
    size_t        i, room;
    ly_err_t      err;
    rule_case_t  *k;

    room = 0;

    for (i = 0; i < x->n; i++) {
        if (rule_vm_room(runs[i].program) > room) {
            room = rule_vm_room(runs[i].program);
        }
    }

    x->cases = ly_arena_array(x->arena, x->n, sizeof(*x->cases));
    x->order = ly_arena_array(x->arena, x->n, sizeof(*x->order));
    x->stack = ly_arena_alloc(x->arena, room);

    if (x->cases == NULL || x->order == NULL || x->stack == NULL) {
        return LY_NOMEM;
    }

    memset(results, 0, x->n * sizeof(*results));

    for (i = 0; i < x->n; i++) {
        k = &x->cases[i];
        k->program = runs[i].program;
        k->run = &runs[i];
        k->result = &results[i];
        k->lines = k->program->refund ? RULE_F_REFUND_LINES
                                      : RULE_F_ORDER_LINES;
        k->n_lines = x->in->facts[k->lines].kind == RULE_K_LIST
                     ? x->in->facts[k->lines].n : 0;

        err = rule_vm_init(&k->vm, x->arena, k->program, x->in, x->steps,
                           x->trace, x->stack);
        if (err != LY_OK) {
            return err;
        }

        k->candidate = rule_candidate(k, x->in, x->any_event);

        if (k->candidate) {
            results[i].outcome = RULE_MATCHED;
            err = rule_case_effects(x, k);

            if (err != LY_OK) {
                return err;
            }
        }
    }

    return LY_OK;
}


static ly_err_t
rule_eval(rule_eval_t *x, const rule_run_t *runs, rule_result_t *results)
{
    size_t        i;
    ly_err_t      err;
    rule_case_t  *k;

    err = rule_eval_cases(x, runs, results);

    if (err != LY_OK) {
        return err;
    }

    rule_sort(x);
    rule_keep(x);

    for (i = 0; i < x->n_order; i++) {
        k = &x->cases[x->order[i]];
        k->chosen = k->kept;

        if (k->kept) {
            rule_case_give(x, k, false);

        } else {
            rule_caps_note(k, k->first);
        }
    }

    for (i = 0; i < x->n_order; i++) {
        k = &x->cases[x->order[i]];

        if (k->kept) {
            rule_case_give(x, k, true);
        }
    }

    return rule_finish(x);
}


ly_err_t
rule_evaluate_forced(ly_arena_t *a, const rule_input_t *in,
    const rule_run_t *runs, size_t n, const rule_options_t *options,
    const rule_force_t *force, rule_result_t *results)
{
    size_t        i;
    int64_t      *saved;
    ly_err_t      err;
    rule_eval_t   x;

    if (n == 0) {
        return LY_OK;
    }

    if (n > RULE_RUNS_MAX) {
        return LY_LIMIT;
    }

    for (i = 0; i < n; i++) {
        if (runs[i].n_caps > RULE_CAPS_MAX) {
            return LY_LIMIT;
        }

        if (memcmp(runs[i].program->catalogue, in->catalogue->digest,
                   RULE_DIGEST_LEN) != 0)
        {
            return LY_DENIED;
        }
    }

    memset(&x, 0, sizeof(x));
    x.arena = a;
    x.in = in;
    x.force = force;
    x.n = n;
    x.trace = options != NULL && options->trace;
    x.any_event = options != NULL && options->any_event;
    x.steps = options != NULL && options->steps != 0 ? options->steps
                                                     : RULE_STEPS;

    saved = NULL;
    err = rule_caps_save(a, runs, n, &saved, false);

    if (err != LY_OK) {
        return err;
    }

    err = rule_eval(&x, runs, results);

    if (err != LY_OK) {
        (void) rule_caps_save(a, runs, n, &saved, true);
    }

    return err;
}


ly_err_t
rule_evaluate(ly_arena_t *a, const rule_input_t *in, const rule_run_t *runs,
    size_t n, const rule_options_t *options, rule_result_t *results)
{
    return rule_evaluate_forced(a, in, runs, n, options, NULL, results);
}
