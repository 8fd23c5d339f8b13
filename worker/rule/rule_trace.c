/* The trace: why an outcome is what it is, in canonical bytes. */

#include "rule_int.h"
#include "../../common/ly_banned.h"


/* bytes of a trace at most: an order of 2,000 lines of long texts */
#define RULE_TRACE_MAX    ((size_t) 32 << 20)
#define RULE_TRACE_USUAL  1536

/* of a node's record, but for its pointer and a text: its value and marks */
#define RULE_RECORD_TEXT  (RULE_VAL_TEXT + 64)


/*
 * Four bytes at a time: each nibble in a byte of its own, six added to tell
 * which are letters.
 */
void
rule_hex(const unsigned char *digest, unsigned char *out)
{
    size_t          i;
    uint32_t        four;
    uint64_t        w, letters;
    const uint64_t  ones = 0x0101010101010101ULL;

    for (i = 0; i < RULE_DIGEST_LEN; i += 4) {
        memcpy(&four, digest + i, 4);
        w = be32toh(four);
        w = (w | w << 16) & 0x0000ffff0000ffffULL;
        w = (w | w << 8) & 0x00ff00ff00ff00ffULL;
        w = (w | w << 4) & ones * 0x0f;
        letters = (w + ones * 6) >> 4 & ones;
        w = htobe64(w + ones * '0' + letters * ('a' - '0' - 10));
        memcpy(out + 2 * i, &w, 8);
    }
}


#define rule_put(b, lit)  rule_b_put(b, lit, sizeof(lit) - 1)


static void
rule_put_int(ly_buf_t *b, int64_t v)
{
    rule_val_t  n;

    rule_set_int(&n, v);
    rule_val_print(&n, NULL, b);
}


/* slots of the facts that were read, by name */
typedef struct {
    uint32_t  n;
    uint16_t  slot[RULE_FACTS_MAX];
} rule_read_t;


static void
rule_read_facts(const rule_catalogue_t *c, const rule_case_t *k,
    rule_read_t *out)
{
    size_t    word;
    uint32_t  i, slot;
    uint64_t  bits;

    out->n = 0;

    for (word = 0; word < ly_countof(k->vm.used); word++) {
        for (bits = k->vm.used[word]; bits != 0; bits &= bits - 1) {
            slot = (uint32_t) (word * 64 + (size_t) __builtin_ctzll(bits));

            for (i = out->n++;
                 i > 0 && c->rank[out->slot[i - 1]] > c->rank[slot]; i--)
            {
                out->slot[i] = out->slot[i - 1];
            }

            out->slot[i] = (uint16_t) slot;
        }
    }
}


/* a fact or field as a member's key */
static inline void
rule_put_key(ly_buf_t *b, bool first, const rule_fact_t *f)
{
    unsigned char  *p;

    p = rule_b_room(b, f->key.len + 1);

    if (p != NULL) {
        *p = ',';
        p += !first;
        memcpy(p, f->key.data, f->key.len);
        rule_b_commit(b, p + f->key.len);
    }
}


/* the byte that an element begins with */
static inline void
rule_put_part(ly_buf_t *b, bool first, unsigned char c)
{
    unsigned char  *p;

    p = rule_b_room(b, 2);

    if (p != NULL) {
        *p = ',';
        p += !first;
        *p = c;
        rule_b_commit(b, p + 1);
    }
}


static void
rule_trace_list(const rule_case_t *k, uint32_t slot, const rule_fact_t *f,
    const rule_val_t *list, ly_buf_t *b)
{
    bool                   first;
    uint8_t                wanted[RULE_FIELDS_MAX];
    uint32_t               i, n, n_wanted;
    uint64_t               fields;
    const rule_val_t      *v, *cells;
    const rule_program_t  *p;

    p = k->program;
    fields = 0;
    n_wanted = 0;

    for (i = 0; i < p->n_list; i++) {
        if (rule_at(p, p->off_list, rule_plist_t)[i].slot == slot) {
            fields = rule_at(p, p->off_list, rule_plist_t)[i].fields;
        }
    }

    for (n = 0; n < f->n_fields; n++) {
        if (fields >> f->by_name[n] & 1) {
            wanted[n_wanted++] = (uint8_t) f->by_name[n];
        }
    }

    rule_b_byte(b, '[');
    cells = list->u.l.cells;

    for (i = 0; i < list->n; i++, cells += list->stride) {
        rule_put_part(b, i == 0, '{');
        first = true;

        for (n = 0; n < n_wanted; n++) {
            v = &cells[wanted[n]];

            if (v->kind == RULE_K_MISSING) {
                continue;
            }

            rule_put_key(b, first, &f->fields[wanted[n]]);
            first = false;
            rule_val_print(v, &f->fields[wanted[n]], b);
        }

        rule_b_byte(b, '}');
    }

    rule_b_byte(b, ']');
}


static void
rule_trace_facts(const rule_input_t *in, const rule_case_t *k,
    const rule_read_t *facts, ly_buf_t *b)
{
    bool                first;
    uint32_t            i, slot;
    const rule_val_t   *v;
    const rule_fact_t  *f;

    first = true;
    rule_put(b, ",\"facts\":{");

    for (i = 0; i < facts->n; i++) {
        slot = facts->slot[i];
        v = &in->facts[slot];

        if (v->kind == RULE_K_MISSING || v->kind == RULE_K_INVALID) {
            continue;
        }

        f = &in->catalogue->facts[slot];
        rule_put_key(b, first, f);
        first = false;

        if (f->type == RULE_T_LIST) {
            rule_trace_list(k, slot, f, v, b);
        } else {
            rule_val_print(v, f, b);
        }
    }

    rule_b_byte(b, '}');
}


/* the program's counters that were read, by key; the n-th or NULL */
static const rule_pcounter_t *
rule_trace_counter(const rule_case_t *k, const rule_pcounter_t *after)
{
    uint32_t                i;
    const rule_pcounter_t  *c, *best;
    const rule_program_t   *p;

    p = k->program;
    best = NULL;

    for (i = 0; i < p->n_counter; i++) {
        c = &rule_at(p, p->off_counter, rule_pcounter_t)[i];

        if ((k->vm.counters >> i & 1) == 0
            || (after != NULL && ly_str_cmp(rule_ptext(p, c->key),
                                            rule_ptext(p, after->key)) <= 0))
        {
            continue;
        }

        if (best == NULL || ly_str_cmp(rule_ptext(p, c->key),
                                       rule_ptext(p, best->key)) < 0)
        {
            best = c;
        }
    }

    return best;
}


static const rule_counter_t *
rule_counter_find(const rule_input_t *in, ly_str_t key)
{
    size_t  i;

    for (i = 0; i < in->n_counters; i++) {
        if (rule_same_text(in->counters[i].key, key)) {
            return &in->counters[i];
        }
    }

    return NULL;
}


static void
rule_trace_counters(const rule_input_t *in, const rule_case_t *k, ly_buf_t *b)
{
    bool                    first;
    rule_val_t              v;
    const rule_counter_t   *c;
    const rule_pcounter_t  *n;

    first = true;

    for (n = rule_trace_counter(k, NULL); n != NULL;
         n = rule_trace_counter(k, n))
    {
        c = rule_counter_find(in, rule_ptext(k->program, n->key));

        if (c == NULL) {
            continue;
        }

        rule_b_cstr(b, first ? ",\"counters\":{" : ",");
        first = false;
        rule_buf_string(b, c->key);
        rule_b_byte(b, ':');
        rule_set_num(&v, rule_num_strip(c->value));
        rule_val_print(&v, NULL, b);
    }

    if (!first) {
        rule_b_byte(b, '}');
    }
}


/* names of what was read and is of that kind */
static void
rule_trace_names(const rule_input_t *in, const rule_case_t *k,
    const rule_read_t *facts, uint8_t kind, const char *key, ly_buf_t *b)
{
    bool                    first;
    uint32_t                i;
    const rule_pcounter_t  *n;

    first = true;

    for (i = 0; i < facts->n; i++) {
        if (in->facts[facts->slot[i]].kind == kind) {
            rule_b_cstr(b, first ? key : ",");
            first = false;
            rule_buf_string(b, in->catalogue->facts[facts->slot[i]].name);
        }
    }

    for (n = kind == RULE_K_MISSING ? rule_trace_counter(k, NULL) : NULL;
         n != NULL; n = rule_trace_counter(k, n))
    {
        if (rule_counter_find(in, rule_ptext(k->program, n->key)) == NULL) {
            rule_b_cstr(b, first ? key : ",");
            first = false;
            rule_buf_string(b, rule_ptext(k->program, n->key));
        }
    }

    if (!first) {
        rule_b_byte(b, ']');
    }
}


static void
rule_trace_nodes(const rule_case_t *k, ly_buf_t *b)
{
    ly_str_t              s;
    uint32_t              i;
    unsigned char        *p;
    const rule_record_t  *r;

    rule_put(b, ",\"nodes\":[");

    for (i = 0; i < k->vm.n_records; i++) {
        r = &k->vm.records[i];
        s = rule_ptext(k->program, rule_at(k->program, k->program->off_node,
                                           rule_text_t)[r->node]);
        p = rule_b_room(b, s.len + RULE_RECORD_TEXT);

        if (p == NULL) {
            return;
        }

        *p = ',';
        p += i > 0;
        *p++ = '[';
        memcpy(p, s.data, s.len);
        p += s.len;
        *p++ = ',';

        if (r->value.kind == RULE_K_STR) {
            rule_b_commit(b, p);
            rule_buf_string(b, rule_str(&r->value));
            p = rule_b_room(b, RULE_RECORD_TEXT);

            if (p == NULL) {
                return;
            }

        } else if (r->value.kind == RULE_K_LIST) {
            p += ly_uint64_print(r->value.n, p);

        } else {
            p = rule_val_text(&r->value, p);
        }

        if (r->missing) {
            memcpy(p, ",\"missing\"", 10);
            p += 10;
        }

        if (r->loop) {
            *p++ = ',';
            p += ly_uint64_print(r->n, p);
        }

        *p++ = ']';
        rule_b_commit(b, p);
    }

    rule_b_byte(b, ']');
}


static void
rule_trace_effect(const rule_case_t *k, uint32_t i, ly_buf_t *b)
{
    size_t                 n;
    const rule_effect_t   *e;
    const rule_peffect_t  *p;

    e = &k->effects[i];
    p = &rule_at(k->program, k->program->off_effect, rule_peffect_t)[i];

    if (e->clipped_by.len > 0) {
        rule_put(b, "{\"clipped_by\":");
        rule_buf_string(b, e->clipped_by);
    } else {
        rule_put(b, "{\"clipped_by\":null");
    }

    if (p->type != RULE_E_FIXED && p->type != RULE_E_MULTIPLIER) {
        rule_put(b, ",\"of\":");
        rule_val_print(&k->states[i].amount, NULL, b);
    }

    rule_put(b, ",\"points\":");
    rule_put_int(b, e->points);
    rule_put(b, ",\"raw\":\"");
    rule_buf_dec(b, e->raw);
    rule_put(b, "\",\"rounded\":");
    rule_put_int(b, e->rounded);
    rule_put(b, ",\"rounding\":\"");
    rule_b_cstr(b, ly_round_name((ly_round_e) p->rounding));
    rule_put(b, "\",\"shares\":[");

    for (n = 0; n < e->n_shares; n++) {
        if (n > 0) {
            rule_b_byte(b, ',');
        }

        rule_put_int(b, e->shares[n]);
    }

    rule_put(b, "],\"type\":\"");
    rule_b_cstr(b, e->type);
    rule_put(b, "\",\"wallet\":");
    rule_buf_string(b, e->wallet);
    rule_b_byte(b, '}');
}


static void
rule_trace_effects(const rule_case_t *k, ly_buf_t *b)
{
    uint32_t  i;

    rule_put(b, ",\"effects\":[");

    for (i = 0; i < k->program->n_effect; i++) {
        if (i > 0) {
            rule_b_byte(b, ',');
        }

        rule_trace_effect(k, i, b);
    }

    rule_b_byte(b, ']');
}


static bool
rule_multiplies(const rule_program_t *p)
{
    uint32_t  i;

    for (i = 0; i < p->n_effect; i++) {
        if (rule_at(p, p->off_effect, rule_peffect_t)[i].type
            == RULE_E_MULTIPLIER)
        {
            return true;
        }
    }

    return false;
}


/* caps before, and what they left for the multipliers */
static void
rule_trace_caps(const rule_case_t *k, ly_buf_t *b)
{
    uint32_t  i;

    if (!k->ranked || k->n_caps == 0) {
        return;
    }

    for (i = 0; i < k->n_caps; i++) {
        rule_b_cstr(b, i == 0 ? "\"caps\":[[" : ",[");
        rule_buf_string(b, k->caps[i]->name);
        rule_b_byte(b, ',');
        rule_put_int(b, k->first[i]);
        rule_b_byte(b, ']');
    }

    rule_put(b, "],");

    for (i = 0; i < k->n_caps && k->chosen && rule_multiplies(k->program);
         i++)
    {
        rule_b_cstr(b, i == 0 ? "\"caps_then\":[" : ",");
        rule_put_int(b, k->then[i]);
    }

    if (i > 0) {
        rule_put(b, "],");
    }
}


static void
rule_trace_event(const rule_input_t *in, ly_buf_t *b)
{
    size_t             i;
    bool               first;
    const rule_val_t  *v;

    static const struct {
        uint32_t     slot;
        const char  *key;
    } members[] = {
        { RULE_F_EVENT_OCCURRED_AT, "\"occurred_at\":" },
        { RULE_F_EVENT_SOURCE, "\"source\":" },
        { RULE_F_EVENT_TYPE, "\"type\":" }
    };

    first = true;
    rule_put(b, ",\"event\":{");

    for (i = 0; i < ly_countof(members); i++) {
        v = &in->facts[members[i].slot];

        if (v->kind == RULE_K_STR || v->kind == RULE_K_INSTANT) {
            if (!first) {
                rule_b_byte(b, ',');
            }

            first = false;
            rule_b_cstr(b, members[i].key);
            rule_val_print(v, NULL, b);
        }
    }

    rule_b_byte(b, '}');
}


static void
rule_trace_group(const rule_case_t *k, ly_buf_t *b)
{
    uint32_t    i;
    rule_val_t  group;

    if (!k->chosen || !rule_multiplies(k->program)) {
        return;
    }

    for (i = 0; i < k->program->n_effect; i++) {
        rule_b_cstr(b, i == 0 ? ",\"group\":[" : ",");
        rule_set_int(&group, 0);
        group.u.coef = k->states[i].group;
        rule_val_print(&group, NULL, b);
    }

    rule_b_byte(b, ']');
}


static void
rule_trace_result(const rule_case_t *k, ly_buf_t *b)
{
    const rule_result_t  *r;

    r = k->result;
    rule_put(b, ",\"outcome\":\"");
    rule_b_cstr(b, rule_outcome_name(r->outcome));
    rule_b_byte(b, '"');

    if (r->reason != NULL) {
        rule_put(b, ",\"reason\":\"");
        rule_b_cstr(b, r->reason);
        rule_b_byte(b, '"');
    }
}


ly_err_t
rule_trace_write(ly_arena_t *a, const rule_input_t *in, const rule_case_t *k,
    ly_str_t *out)
{
    ly_buf_t              b;
    rule_read_t           facts;
    unsigned char         hex[2 * RULE_DIGEST_LEN];
    const rule_result_t  *r;

    r = k->result;
    rule_read_facts(in->catalogue, k, &facts);
    ly_buf_init_arena(&b, a, RULE_TRACE_MAX);

    /* room for the usual trace at once; the error, if any, stays */
    if (ly_buf_reserve(&b, RULE_TRACE_USUAL) == NULL) {
        return ly_buf_err(&b);
    }

    rule_b_byte(&b, '{');
    rule_trace_caps(k, &b);
    rule_put(&b, "\"catalogue\":\"");
    rule_b_put(&b, in->catalogue->hex, sizeof(in->catalogue->hex));
    rule_b_byte(&b, '"');
    rule_trace_counters(in, k, &b);

    if (r->effects != NULL && r->outcome != RULE_ERROR) {
        rule_trace_effects(k, &b);
    }

    if (r->outcome == RULE_ERROR) {
        rule_put(&b, ",\"error\":{\"code\":\"");
        rule_b_cstr(&b, r->code);
        rule_put(&b, "\",\"pointer\":");
        rule_buf_string(&b, r->pointer);
        rule_b_byte(&b, '}');
    }

    rule_trace_event(in, &b);
    rule_trace_facts(in, k, &facts, &b);
    rule_trace_group(k, &b);
    rule_trace_names(in, k, &facts, RULE_K_INVALID, ",\"invalid\":[", &b);
    rule_trace_names(in, k, &facts, RULE_K_MISSING, ",\"missing\":[", &b);

    if (k->vm.more > 0) {
        rule_put(&b, ",\"more\":");
        ly_buf_uint(&b, k->vm.more);
    }

    rule_trace_nodes(k, &b);
    rule_trace_result(k, &b);
    rule_put(&b, ",\"rule\":\"");
    rule_hex(k->program->digest, hex);
    rule_b_put(&b, hex, sizeof(hex));
    rule_b_byte(&b, '"');

    if (k->ranked) {
        rule_put(&b, ",\"stacking\":{\"group\":");
        rule_buf_string(&b, rule_ptext(k->program, k->program->group));
        rule_b_cstr(&b, k->chosen ? ",\"kept\":true" : ",\"kept\":false");
        rule_put(&b, ",\"mode\":\"");
        rule_b_cstr(&b, rule_stack_names[k->program->mode]);
        rule_put(&b, "\"}");
    }

    rule_put(&b, ",\"v\":1");

    if (k->program->calendar) {
        rule_put(&b, ",\"zone\":");
        rule_buf_string(&b, in->zone_name);
    }

    rule_b_byte(&b, '}');
    *out = ly_buf_view(&b);

    return ly_buf_err(&b);
}
