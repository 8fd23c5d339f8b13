/* Programs: what callers ask of them, saved and loaded. */

#include "rule_int.h"
#include "../../common/ly_banned.h"


/*
 * The saved form: magic, layout, SHA-256 of what follows, the block with
 * offsets in place of addresses.  The layout number changes with the
 * structures, the language's operators, or the machine's byte order and sizes.
 */
#define RULE_MAGIC   "LYR1"
#define RULE_LAYOUT  1
#define RULE_LEAD    (4 + 4 + RULE_DIGEST_LEN + 8)      /* 48, aligned to 16 */


const unsigned char *
rule_program_digest(const rule_program_t *p)
{
    return p->digest;
}


const unsigned char *
rule_program_catalogue(const rule_program_t *p)
{
    return p->catalogue;
}


size_t
rule_program_size(const rule_program_t *p)
{
    return p->size;
}


void
rule_program_head(const rule_program_t *p, rule_head_t *out)
{
    out->event = rule_ptext(p, p->event);
    out->priority = p->priority;
    out->group = rule_ptext(p, p->group);
    out->mode = (rule_stack_e) p->mode;
    out->per_event = p->per_event;
    out->per_member = p->per_member;
    out->per_period = p->per_period;
    out->period = (rule_period_e) p->period;
    out->base = p->base;
    out->n_effects = p->n_effect;
    out->n_counters = p->n_counter;
}


ly_str_t
rule_program_wallet(const rule_program_t *p, uint32_t i)
{
    return rule_ptext(p, rule_at(p, p->off_effect, rule_peffect_t)[i].wallet);
}


void
rule_program_counter(const rule_program_t *p, uint32_t i,
    rule_counter_need_t *out)
{
    const rule_pcounter_t  *c;

    c = &rule_at(p, p->off_counter, rule_pcounter_t)[i];
    out->key = rule_ptext(p, c->key);
    out->event = rule_ptext(p, c->event);
    out->fact = rule_ptext(p, c->fact);
    out->window_us = c->window_us;
}


ly_err_t
rule_refund_points(const rule_program_t *p, ly_dec_t amount, int64_t *points)
{
    ly_dec_t               product, d;
    uint32_t               i;
    const rule_val_t      *consts;
    const rule_peffect_t  *e;

    if (!p->base) {
        return LY_DENIED;
    }

    *points = 0;
    consts = rule_at(p, p->off_const, rule_val_t);
    amount = rule_num_strip(amount);

    if (amount.coef <= 0) {
        return LY_OK;
    }

    for (i = 0; i < p->n_effect; i++) {
        e = &rule_at(p, p->off_effect, rule_peffect_t)[i];

        if (e->type != RULE_E_RATE || e->has_where) {
            continue;
        }

        if (!rule_num_mul(amount, rule_dec(&consts[e->points]), &product)
            || ly_dec_div(product, rule_dec(&consts[e->per]), 0,
                          LY_ROUND_FLOOR, &d) != LY_OK)
        {
            return LY_OVERFLOW;
        }

        return ly_dec_int64(d, LY_ROUND_FLOOR, points);
    }

    return LY_DENIED;
}


/* addresses to offsets (save) or back (load), in a block of our own */
static void
rule_relocate(rule_program_t *p, const unsigned char *from,
    const unsigned char *to)
{
    uint32_t     i;
    rule_val_t  *v;

    v = (rule_val_t *) (void *) ((unsigned char *) p + p->off_const);

    for (i = 0; i < p->n_const; i++) {
        if (v[i].kind == RULE_K_STR) {
            v[i].u.s = (const unsigned char *)
                       ((uintptr_t) v[i].u.s - (uintptr_t) from
                        + (uintptr_t) to);

        } else if (v[i].kind == RULE_K_LIST) {
            v[i].u.l.cells = (const rule_val_t *)
                             ((uintptr_t) v[i].u.l.cells - (uintptr_t) from
                              + (uintptr_t) to);
        }
    }
}


ly_err_t
rule_program_save(const rule_program_t *p, ly_buf_t *b)
{
    ly_err_t         err;
    unsigned char   *out, sum[RULE_DIGEST_LEN];
    rule_program_t  *copy;

    out = ly_buf_reserve(b, RULE_LEAD + p->size);

    if (out == NULL) {
        return ly_buf_err(b);
    }

    /* the reserve may stand anywhere: work on an aligned copy behind it */
    copy = NULL;
    memcpy(out + RULE_LEAD, p, p->size);

    if (((uintptr_t) (out + RULE_LEAD) & 15) == 0) {
        copy = (rule_program_t *) (void *) (out + RULE_LEAD);
        rule_relocate(copy, (const unsigned char *) p, NULL);

    } else {
        uint32_t    i;
        size_t      at;
        uintptr_t   address;
        rule_val_t  v;

        for (i = 0; i < p->n_const; i++) {
            at = RULE_LEAD + p->off_const + i * sizeof(rule_val_t);
            memcpy(&v, out + at, sizeof(v));

            if (v.kind != RULE_K_STR && v.kind != RULE_K_LIST) {
                continue;
            }

            address = v.kind == RULE_K_STR ? (uintptr_t) v.u.s
                                           : (uintptr_t) v.u.l.cells;
            address -= (uintptr_t) p;
            at += offsetof(rule_val_t, u);
            memcpy(out + at, &address, sizeof(address));
        }
    }

    memcpy(out, RULE_MAGIC, 4);
    ly_be32_put(out + 4, RULE_LAYOUT);
    memset(out + 8 + RULE_DIGEST_LEN, 0, 8);

    err = rule_digest(ly_str_of(out + RULE_LEAD, p->size), sum);

    if (err != LY_OK) {
        return err;
    }

    memcpy(out + 8, sum, RULE_DIGEST_LEN);
    ly_buf_commit(b, RULE_LEAD + p->size);

    return ly_buf_err(b);
}


/* --- what a loaded block must be, whatever its bytes are --- */

static bool
rule_section(const rule_program_t *p, uint32_t off, uint32_t n, size_t each)
{
    return off >= sizeof(*p) && off <= p->size && (off & 15) == 0
           && n <= (p->size - off) / each;
}


static bool
rule_text_ok(const rule_program_t *p, rule_text_t t)
{
    return t.off <= p->n_text && t.len <= p->n_text - t.off;
}


static bool
rule_texts_ok(const rule_program_t *p, uint32_t off, uint32_t n)
{
    uint32_t  i;

    for (i = 0; i < n; i++) {
        if (!rule_text_ok(p, rule_at(p, off, rule_text_t)[i])) {
            return false;
        }
    }

    return true;
}


static bool
rule_dec_ok(const rule_val_t *v)
{
    ly_int128_t  limit;

    limit = (ly_int128_t) 10000000000000000000ULL
            * (ly_int128_t) 10000000000000000000ULL;

    return v->scale <= LY_DEC_SCALE_MAX && v->u.coef < limit
           && v->u.coef > -limit;
}


static bool
rule_const_ok(const rule_program_t *p, const rule_val_t *v)
{
    uint64_t  at;

    switch (v->kind) {

    case RULE_K_BOOL:
        return *(const uint8_t *) (const void *) &v->u <= 1;

    case RULE_K_NUM:
    case RULE_K_MONEY:
        return rule_dec_ok(v);

    case RULE_K_INSTANT:
        return v->u.i >= LY_TIME_MIN && v->u.i <= LY_TIME_MAX;

    case RULE_K_DATE:
        return v->u.i >= -719162 && v->u.i <= 2932896;

    case RULE_K_ENUM:
        return v->u.i >= 0 && v->u.i < RULE_LIST_MAX;

    case RULE_K_STR:
        at = (uintptr_t) v->u.s;
        return at >= p->off_text
               && at - p->off_text <= p->n_text
               && v->n <= p->n_text - (at - p->off_text);

    case RULE_K_LIST:
        at = (uintptr_t) v->u.l.cells;
        return v->stride == 1 && v->u.l.index == NULL && at >= p->off_const
               && (at - p->off_const) % sizeof(rule_val_t) == 0
               && (at - p->off_const) / sizeof(rule_val_t) <= p->n_const
               && v->n <= p->n_const
               - (at - p->off_const) / sizeof(rule_val_t);

    default:
        return false;
    }
}


static bool
rule_effect_ok(const rule_program_t *p, const rule_peffect_t *e)
{
    uint32_t           i;
    const rule_val_t  *c;

    c = rule_at(p, p->off_const, rule_val_t);

    if (e->type >= RULE_E_N || e->rounding > LY_ROUND_HALF_EVEN
        || !rule_text_ok(p, e->wallet) || !rule_text_ok(p, e->pointer)
        || e->points >= p->n_const || e->per >= p->n_const
        || c[e->points].kind != RULE_K_NUM || c[e->per].kind != RULE_K_NUM
        || (e->type == RULE_E_RATE && c[e->per].u.coef <= 0)
        || (e->has_of && e->of_pc >= p->n_ins)
        || (e->has_where && e->where_pc >= p->n_ins)
        || (!e->has_of && !e->has_where
            && (e->type == RULE_E_RATE || e->type == RULE_E_TABLE))
        || (e->type == RULE_E_LINE_BONUS && !e->has_where)
        || e->step > p->n_const || e->n_steps > (p->n_const - e->step) / 2)
    {
        return false;
    }

    for (i = 0; i < e->n_steps * 2; i++) {
        if (c[e->step + i].kind != RULE_K_NUM) {
            return false;
        }
    }

    return true;
}


static bool
rule_tables_ok(const rule_program_t *p, const rule_catalogue_t *c)
{
    uint32_t                i;
    const rule_plist_t     *l;
    const rule_pcounter_t  *n;

    if (!rule_section(p, p->off_ins, p->n_ins, sizeof(rule_ins_t))
        || !rule_section(p, p->off_const, p->n_const, sizeof(rule_val_t))
        || !rule_section(p, p->off_node, p->n_node, sizeof(rule_text_t))
        || !rule_section(p, p->off_effect, p->n_effect,
                         sizeof(rule_peffect_t))
        || !rule_section(p, p->off_counter, p->n_counter,
                         sizeof(rule_pcounter_t))
        || !rule_section(p, p->off_list, p->n_list, sizeof(rule_plist_t))
        || !rule_section(p, p->off_source, p->n_source, sizeof(rule_text_t))
        || !rule_section(p, p->off_segment, p->n_segment, sizeof(rule_text_t))
        || !rule_section(p, p->off_text, p->n_text, 1)
        || p->n_facts != c->n || p->n_ins == 0 || p->n_effect == 0
        || p->n_effect > RULE_EFFECTS_MAX || p->n_counter > 64
        || p->stack > 4 * RULE_NODES_MAX || p->loops > RULE_DEPTH_MAX + 2
        || p->mode > RULE_STACK_EXCLUSIVE || p->period > RULE_PERIOD_YEAR
        || !rule_text_ok(p, p->event) || !rule_text_ok(p, p->group)
        || !rule_texts_ok(p, p->off_node, p->n_node)
        || !rule_texts_ok(p, p->off_source, p->n_source)
        || !rule_texts_ok(p, p->off_segment, p->n_segment))
    {
        return false;
    }

    for (i = 0; i < p->n_const; i++) {
        if (!rule_const_ok(p, &rule_at(p, p->off_const, rule_val_t)[i])) {
            return false;
        }
    }

    for (i = 0; i < p->n_effect; i++) {
        if (!rule_effect_ok(p, &rule_at(p, p->off_effect,
                                        rule_peffect_t)[i]))
        {
            return false;
        }
    }

    for (i = 0; i < p->n_counter; i++) {
        n = &rule_at(p, p->off_counter, rule_pcounter_t)[i];

        if (!rule_text_ok(p, n->key) || !rule_text_ok(p, n->event)
            || !rule_text_ok(p, n->fact))
        {
            return false;
        }
    }

    for (i = 0; i < p->n_list; i++) {
        l = &rule_at(p, p->off_list, rule_plist_t)[i];

        if (l->slot >= c->n || c->facts[l->slot].type != RULE_T_LIST
            || (c->facts[l->slot].n_fields < 64
                && l->fields >> c->facts[l->slot].n_fields != 0))
        {
            return false;
        }
    }

    return true;
}


ly_err_t
rule_program_load(ly_arena_t *a, ly_str_t bytes, const rule_catalogue_t *c,
    rule_program_t **out)
{
    ly_err_t         err;
    ly_str_t         block;
    unsigned char    sum[RULE_DIGEST_LEN];
    rule_program_t  *p;

    if (bytes.len < RULE_LEAD + sizeof(rule_program_t)
        || memcmp(bytes.data, RULE_MAGIC, 4) != 0
        || ly_be32_get(bytes.data + 4) != RULE_LAYOUT)
    {
        return LY_DENIED;
    }

    block = ly_str_of(bytes.data + RULE_LEAD, bytes.len - RULE_LEAD);
    err = rule_digest(block, sum);

    if (err != LY_OK) {
        return err;
    }

    if (memcmp(bytes.data + 8, sum, RULE_DIGEST_LEN) != 0) {
        return LY_DENIED;
    }

    p = ly_arena_alloc(a, block.len);
    if (p == NULL) {
        return LY_NOMEM;
    }

    memcpy(p, block.data, block.len);

    if (p->size != block.len
        || memcmp(p->catalogue, c->digest, RULE_DIGEST_LEN) != 0
        || !rule_tables_ok(p, c) || !rule_code_ok(a, p, c))
    {
        return LY_DENIED;
    }

    rule_relocate(p, NULL, (const unsigned char *) p);
    *out = p;

    return LY_OK;
}
