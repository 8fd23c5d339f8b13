/* The normal form: every member, canonical JSON, so that a digest names it. */

#include "rule_int.h"
#include "../../common/ly_banned.h"


static void
rule_normal_value(const rule_ast_t *t, ly_buf_t *b)
{
    unsigned char  cur[3];

    switch (t->value.kind) {

    case RULE_K_MONEY:
        if (t->value.n != 0) {
            rule_currency_text(t->value.n, cur);
            ly_buf_cstr(b, "{\"money\":[\"");
            rule_buf_dec(b, rule_dec(&t->value));
            ly_buf_cstr(b, "\",\"");
            ly_buf_put(b, cur, 3);
            ly_buf_cstr(b, "\"]}");
            return;
        }

        rule_val_print(&t->value, NULL, b);
        return;

    case RULE_K_NUM:
        /* a number, not a text: it must read as one beside nothing typed */
        rule_buf_dec(b, rule_dec(&t->value));
        return;

    default:
        rule_val_print(&t->value, t->fact, b);
        return;
    }
}


static void
rule_normal_tree(const rule_ast_t *t, ly_buf_t *b)
{
    uint32_t  i;

    if (t->op == RULE_OP_LIT) {
        rule_normal_value(t, b);
        return;
    }

    if (t->op == RULE_OP_VAR && t->n == 0) {
        ly_buf_cstr(b, "{\"var\":");
        rule_buf_string(b, t->name);
        ly_buf_byte(b, '}');
        return;
    }

    if (t->op != RULE_OP_LIST) {
        ly_buf_byte(b, '{');
        rule_buf_string(b, ly_str_c(rule_ops[t->op].name));
        ly_buf_byte(b, ':');
    }

    ly_buf_byte(b, '[');

    if (t->op == RULE_OP_VAR) {
        rule_buf_string(b, t->name);
        ly_buf_byte(b, ',');
    }

    for (i = 0; i < t->n; i++) {
        if (i > 0) {
            ly_buf_byte(b, ',');
        }

        if (t->op == RULE_OP_HAS || t->op == RULE_OP_MISSING) {
            rule_buf_string(b, t->arg[i]->name);
        } else {
            rule_normal_tree(t->arg[i], b);
        }
    }

    ly_buf_byte(b, ']');

    if (t->op != RULE_OP_LIST) {
        ly_buf_byte(b, '}');
    }
}


static void
rule_normal_key(ly_buf_t *b, bool first, const char *key)
{
    ly_buf_byte(b, first ? '{' : ',');
    ly_buf_byte(b, '"');
    ly_buf_cstr(b, key);
    ly_buf_cstr(b, "\":");
}


/* whole numbers beyond 2^53 - 1 too: they are read as int64 */
static void
rule_normal_int(ly_buf_t *b, int64_t v)
{
    if (v < 0) {
        ly_buf_cstr(b, "null");
        return;
    }

    ly_buf_int(b, v);
}


static void
rule_normal_dec(ly_buf_t *b, ly_dec_t d)
{
    ly_buf_byte(b, '"');
    rule_buf_dec(b, rule_num_strip(d));
    ly_buf_byte(b, '"');
}


static void
rule_normal_effect(const rule_def_effect_t *e, ly_buf_t *b)
{
    bool           first;
    uint32_t       i;
    unsigned char  cur[3];

    first = true;

#define key(k)  (rule_normal_key(b, first, k), first = false)

    if (e->type == RULE_E_MULTIPLIER) {
        key("factor");
        rule_normal_dec(b, e->points);
    }

    if (e->of != NULL) {
        key("of");
        rule_normal_tree(e->of, b);
    }

    if (e->type == RULE_E_RATE) {
        key("per");
        ly_buf_cstr(b, "{\"amount\":");
        rule_normal_dec(b, e->per);
        ly_buf_cstr(b, ",\"currency\":");

        if (e->currency != 0) {
            rule_currency_text(e->currency, cur);
            rule_buf_string(b, ly_str_of(cur, 3));
        } else {
            ly_buf_cstr(b, "null");
        }

        ly_buf_byte(b, '}');

    } else if (e->type == RULE_E_LINE_BONUS) {
        key("per");
        ly_buf_cstr(b, e->unit ? "\"unit\"" : "\"line\"");
    }

    if (e->type == RULE_E_FIXED) {
        key("points");
        ly_buf_int(b, (int64_t) e->points.coef);

    } else if (e->type == RULE_E_RATE || e->type == RULE_E_LINE_BONUS) {
        key("points");
        rule_normal_dec(b, e->points);
    }

    key("rounding");
    rule_buf_string(b, ly_str_c(ly_round_name((ly_round_e) e->rounding)));

    if (e->type == RULE_E_TABLE) {
        key("steps");
        ly_buf_byte(b, '[');

        for (i = 0; i < e->n_steps; i++) {
            ly_buf_cstr(b, i > 0 ? ",{\"from\":" : "{\"from\":");
            rule_normal_dec(b, e->steps[i].from);
            ly_buf_cstr(b, ",\"points\":");
            ly_buf_int(b, e->steps[i].points);
            ly_buf_byte(b, '}');
        }

        ly_buf_byte(b, ']');
    }

    key("type");
    rule_buf_string(b, ly_str_c(rule_effect_names[e->type]));
    key("wallet");
    rule_buf_string(b, e->wallet);

    if (e->where != NULL) {
        key("where");
        rule_normal_tree(e->where, b);
    }

#undef key

    ly_buf_byte(b, '}');
}


static void
rule_normal_names(ly_buf_t *b, const ly_str_t *names, uint32_t n)
{
    uint32_t  i;

    if (n == 0) {
        ly_buf_cstr(b, "null");
        return;
    }

    for (i = 0; i < n; i++) {
        ly_buf_byte(b, i == 0 ? '[' : ',');
        rule_buf_string(b, names[i]);
    }

    ly_buf_byte(b, ']');
}


static void
rule_normal_instant(ly_buf_t *b, int64_t us)
{
    rule_val_t  v;

    if (us == INT64_MIN || us == INT64_MAX) {
        ly_buf_cstr(b, "null");
        return;
    }

    memset(&v, 0, sizeof(v));
    v.kind = RULE_K_INSTANT;
    v.u.i = us;
    rule_val_print(&v, NULL, b);
}


void
rule_normal_print(const rule_ctx_t *x, ly_buf_t *b)
{
    uint32_t           i;
    const rule_def_t  *d;

    d = &x->def;
    ly_buf_cstr(b, "{\"base\":");
    ly_buf_cstr(b, d->base ? "true" : "false");
    ly_buf_cstr(b, ",\"condition\":");
    rule_normal_tree(d->condition, b);
    ly_buf_cstr(b, ",\"effects\":[");

    for (i = 0; i < d->n_effects; i++) {
        if (i > 0) {
            ly_buf_byte(b, ',');
        }

        rule_normal_effect(&d->effects[i], b);
    }

    ly_buf_cstr(b, "],\"limits\":{\"per_event\":");
    rule_normal_int(b, d->per_event);
    ly_buf_cstr(b, ",\"per_member\":");
    rule_normal_int(b, d->per_member);
    ly_buf_cstr(b, ",\"per_period\":");

    if (d->per_period >= 0) {
        ly_buf_cstr(b, "{\"period\":");
        rule_buf_string(b, ly_str_c(rule_period_names[d->period]));
        ly_buf_cstr(b, ",\"points\":");
        ly_buf_int(b, d->per_period);
        ly_buf_byte(b, '}');
    } else {
        ly_buf_cstr(b, "null");
    }

    ly_buf_cstr(b, "},\"priority\":");
    ly_buf_int(b, d->priority);
    ly_buf_cstr(b, ",\"schedule\":");

    if (d->has_schedule) {
        ly_buf_cstr(b, "{\"ends_at\":");
        rule_normal_instant(b, d->ends_at);
        ly_buf_cstr(b, ",\"starts_at\":");
        rule_normal_instant(b, d->starts_at);
        ly_buf_byte(b, '}');
    } else {
        ly_buf_cstr(b, "null");
    }

    ly_buf_cstr(b, ",\"segments\":");
    rule_normal_names(b, d->segments, d->n_segments);
    ly_buf_cstr(b, ",\"stacking\":{\"group\":");
    rule_buf_string(b, d->group);
    ly_buf_cstr(b, ",\"mode\":");
    rule_buf_string(b, ly_str_c(rule_stack_names[d->mode]));
    ly_buf_cstr(b, "},\"trigger\":{\"event\":");
    rule_buf_string(b, d->event);
    ly_buf_cstr(b, ",\"sources\":");
    rule_normal_names(b, d->sources, d->n_sources);
    ly_buf_cstr(b, "}}");
}


ly_err_t
rule_normalise(ly_arena_t *a, ly_str_t json, const rule_catalogue_t *c,
    ly_buf_t *b, rule_faults_t *faults)
{
    rule_ctx_t  x;

    memset(&x, 0, sizeof(x));
    x.arena = a;

    return rule_front(&x, json, c, b, faults);
}
