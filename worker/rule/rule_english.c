/* A rule in plain English, for those who do not read JsonLogic. */

#include "rule_int.h"
#include "../../common/ly_banned.h"


static void rule_say(const rule_ast_t *t, ly_buf_t *b);


static void
rule_say_name(ly_str_t name, ly_buf_t *b)
{
    size_t  i;

    if (name.len == 0) {
        ly_buf_cstr(b, "it");
        return;
    }

    for (i = 0; i < name.len; i++) {
        ly_buf_byte(b, name.data[i] == '_' || name.data[i] == '.'
                    ? ' ' : name.data[i]);
    }
}


static void
rule_say_value(const rule_val_t *v, const rule_fact_t *f, ly_buf_t *b)
{
    unsigned char  cur[3];

    switch (v->kind) {

    case RULE_K_NUM:
        rule_buf_dec(b, rule_dec(v));
        return;

    case RULE_K_MONEY:
        rule_buf_dec(b, rule_dec(v));

        if (v->n != 0) {
            rule_currency_text(v->n, cur);
            ly_buf_byte(b, ' ');
            ly_buf_put(b, cur, 3);
        }
        return;

    case RULE_K_BOOL:
        ly_buf_cstr(b, v->u.b ? "yes" : "no");
        return;

    default:
        rule_val_print(v, f, b);
        return;
    }
}


/* arguments from first on, joined as people do */
static void
rule_say_list(const rule_ast_t *t, uint32_t first, uint32_t end,
    const char *last, ly_buf_t *b)
{
    uint32_t  i;

    for (i = first; i < end; i++) {
        if (i > first) {
            ly_buf_cstr(b, i + 1 == end ? last : ", ");
        }

        rule_say(t->arg[i], b);
    }
}


/* and, or: inner groups stand in brackets */
static void
rule_say_group(const rule_ast_t *t, ly_buf_t *b)
{
    bool      inner;
    uint32_t  i;

    for (i = 0; i < t->n; i++) {
        if (i > 0) {
            ly_buf_cstr(b, t->op == RULE_OP_AND ? " and " : " or ");
        }

        inner = t->n > 1 && t->arg[i]->n > 1
                && (t->arg[i]->op == RULE_OP_AND
                    || t->arg[i]->op == RULE_OP_OR);

        if (inner) {
            ly_buf_byte(b, '(');
        }

        rule_say(t->arg[i], b);

        if (inner) {
            ly_buf_byte(b, ')');
        }
    }
}


static void
rule_say_if(const rule_ast_t *t, ly_buf_t *b)
{
    uint32_t  i;

    for (i = 0; i + 1 < t->n; i += 2) {
        ly_buf_cstr(b, i == 0 ? "(if " : ", if ");
        rule_say(t->arg[i], b);
        ly_buf_cstr(b, " then ");
        rule_say(t->arg[i + 1], b);
    }

    ly_buf_cstr(b, ", otherwise ");
    rule_say(t->arg[i], b);
    ly_buf_byte(b, ')');
}


/*
 * How each operator is said: %1, %2 ... are its arguments, %* all of them.
 * What is not here is said by a function of its own.
 */
static const char *const  rule_phrases[RULE_OP_N] = {
    [RULE_OP_HAS] = "%* is known",
    [RULE_OP_MISSING] = "%* is not known",
    [RULE_OP_NOT] = "not (%1)",
    [RULE_OP_EQ] = "%1 is %2",
    [RULE_OP_NE] = "%1 is not %2",
    [RULE_OP_GT] = "%1 is more than %2",
    [RULE_OP_GE] = "%1 is at least %2",
    [RULE_OP_BETWEEN] = "%1 is from %2 to %3",
    [RULE_OP_SUB] = "(%1 minus %2)",
    [RULE_OP_DIV] = "(%1 divided by %2)",
    [RULE_OP_MOD] = "the remainder of %1 by %2",
    [RULE_OP_ABS] = "%1 without its sign",
    [RULE_OP_ROUND] = "%1 rounded to %2 places (%3)",
    [RULE_OP_CONTAINS] = "%1 contains %2",
    [RULE_OP_STARTS] = "%1 starts with %2",
    [RULE_OP_ENDS] = "%1 ends with %2",
    [RULE_OP_EQUALS_FOLD] = "%1 is %2 in any case",
    [RULE_OP_CONTAINS_FOLD] = "%1 contains %2 in any case",
    [RULE_OP_STARTS_FOLD] = "%1 starts with %2 in any case",
    [RULE_OP_ENDS_FOLD] = "%1 ends with %2 in any case",
    [RULE_OP_FOLD] = "%1 in small letters",
    [RULE_OP_LENGTH] = "the length of %1",
    [RULE_OP_SOME] = "at least one of %1 has: %2",
    [RULE_OP_ALL] = "each of %1 has: %2",
    [RULE_OP_NONE] = "none of %1 has: %2",
    [RULE_OP_SUM] = "the sum of %2 over %1",
    [RULE_OP_FILTER] = "those of %1 with: %2",
    [RULE_OP_DISTINCT] = "the number of different %2 in %1",
    [RULE_OP_DATE] = "the day of %1",
    [RULE_OP_WEEKDAY] = "the weekday of %1 (1 is Monday)",
    [RULE_OP_HOUR] = "the hour of %1",
    [RULE_OP_MINUTE] = "the minute of %1",
    [RULE_OP_DAY] = "the day of the month of %1",
    [RULE_OP_MONTH] = "the month of %1",
    [RULE_OP_YEAR] = "the year of %1",
    [RULE_OP_DAYS_BETWEEN] = "the days from %1 to %2",
    [RULE_OP_MONTHS_BETWEEN] = "the whole months from %1 to %2",
    [RULE_OP_BIRTHDAY] = "%2 is the birthday of who was born on %1",
    [RULE_OP_PLUS] = "%2 after %1",
    [RULE_OP_MINUS] = "%2 before %1",
    [RULE_OP_TIER] = "the member's tier is one of %*",
    [RULE_OP_SEGMENT] = "the member is in one of the segments %*",
    [RULE_OP_ACHIEVEMENT] = "the member has one of the achievements %*",
    [RULE_OP_COUNT_WINDOW] = "the number of %1 events in the %2 before",
    [RULE_OP_SUM_WINDOW] = "the sum of %2 over the %1 events in the %3 before",
    [RULE_OP_MIN] = "the least of %*",
    [RULE_OP_MAX] = "the greatest of %*"
};


static void
rule_say_phrase(const rule_ast_t *t, const char *p, ly_buf_t *b)
{
    uint32_t  i;

    for (/* void */; *p != '\0'; p++) {
        if (*p != '%') {
            ly_buf_byte(b, (unsigned char) *p);
            continue;
        }

        p++;

        if (*p == '*') {
            rule_say_list(t, 0, t->n, t->op == RULE_OP_TIER
                          || t->op == RULE_OP_SEGMENT
                          || t->op == RULE_OP_ACHIEVEMENT
                          || t->op == RULE_OP_MISSING ? " or " : " and ", b);

        } else {
            i = (uint32_t) (*p - '1');

            if (i < t->n) {
                rule_say(t->arg[i], b);
            }
        }
    }
}


static void
rule_say_op(const rule_ast_t *t, ly_buf_t *b)
{
    switch (t->op) {

    case RULE_OP_LT:
    case RULE_OP_LE:
        rule_say_phrase(t, t->op == RULE_OP_LT
                        ? (t->n == 2 ? "%1 is less than %2"
                                     : "%2 is more than %1 and less than %3")
                        : (t->n == 2 ? "%1 is at most %2"
                                     : "%2 is from %1 to %3"), b);
        return;

    case RULE_OP_IN:
        rule_say(t->arg[0], b);
        ly_buf_cstr(b, " is one of ");
        rule_say(t->arg[1], b);
        return;

    case RULE_OP_ADD:
    case RULE_OP_MUL:
        ly_buf_byte(b, '(');
        rule_say_list(t, 0, t->n, t->op == RULE_OP_ADD ? " plus " : " times ",
                      b);
        ly_buf_byte(b, ')');
        return;

    case RULE_OP_COUNT:
        rule_say_phrase(t, t->n == 1 ? "the number of %1"
                                     : "the number of %1 with: %2", b);
        return;

    case RULE_OP_MAX_BY:
    case RULE_OP_MIN_BY:
        rule_say_phrase(t, t->op == RULE_OP_MAX_BY
                        ? (t->n == 2 ? "the greatest %2 of %1"
                                     : "%3 of the one of %1 with the "
                           "greatest %2")
                        : (t->n == 2 ? "the least %2 of %1"
                                     : "%3 of the one of %1 with the "
                           "least %2"), b);
        return;

    default:
        rule_say_phrase(t, t->op == RULE_OP_SUB && t->n == 1 ? "minus %1"
                        : rule_phrases[t->op], b);
        return;
    }
}


static void
rule_say(const rule_ast_t *t, ly_buf_t *b)
{
    switch (t->op) {

    case RULE_OP_LIT:
        rule_say_value(&t->value, t->fact, b);
        return;

    case RULE_OP_LIST:
        rule_say_list(t, 0, t->n, " or ", b);
        return;

    case RULE_OP_VAR:
        rule_say_name(t->name, b);

        if (t->n == 1) {
            ly_buf_cstr(b, " (or ");
            rule_say(t->arg[0], b);
            ly_buf_cstr(b, " if it is not known)");
        }
        return;

    case RULE_OP_AND:
    case RULE_OP_OR:
        rule_say_group(t, b);
        return;

    case RULE_OP_IF:
        rule_say_if(t, b);
        return;

    default:
        rule_say_op(t, b);
        return;
    }
}


static void
rule_say_points(const rule_def_effect_t *e, ly_buf_t *b)
{
    rule_buf_dec(b, rule_num_strip(e->points));
    ly_buf_cstr(b, " in ");
    ly_buf_str(b, e->wallet);
}


static void
rule_say_effect(const rule_def_effect_t *e, ly_buf_t *b)
{
    uint32_t       i;
    unsigned char  cur[3];

    ly_buf_cstr(b, "- ");

    switch (e->type) {

    case RULE_E_FIXED:
        rule_say_points(e, b);
        break;

    case RULE_E_RATE:
        rule_say_points(e, b);
        ly_buf_cstr(b, " for each ");
        rule_buf_dec(b, rule_num_strip(e->per));

        if (e->currency != 0) {
            rule_currency_text(e->currency, cur);
            ly_buf_byte(b, ' ');
            ly_buf_put(b, cur, 3);
        }

        ly_buf_cstr(b, " of ");

        if (e->where != NULL) {
            ly_buf_cstr(b, "the lines with: ");
            rule_say(e->where, b);
        } else {
            rule_say(e->of, b);
        }
        break;

    case RULE_E_LINE_BONUS:
        rule_say_points(e, b);
        ly_buf_cstr(b, e->unit ? " for each unit of the lines with: "
                               : " for each line with: ");
        rule_say(e->where, b);
        break;

    case RULE_E_TABLE:
        ly_buf_cstr(b, "in ");
        ly_buf_str(b, e->wallet);
        ly_buf_cstr(b, " by ");
        rule_say(e->of, b);
        ly_buf_byte(b, ':');

        for (i = 0; i < e->n_steps; i++) {
            ly_buf_cstr(b, i == 0 ? " " : ", ");
            ly_buf_int(b, e->steps[i].points);
            ly_buf_cstr(b, " from ");
            rule_buf_dec(b, rule_num_strip(e->steps[i].from));
        }
        break;

    default:
        ly_buf_cstr(b, "all points of its group in ");
        ly_buf_str(b, e->wallet);
        ly_buf_cstr(b, " times ");
        rule_buf_dec(b, rule_num_strip(e->points));
        break;
    }

    if (e->type != RULE_E_FIXED && e->type != RULE_E_TABLE) {
        ly_buf_cstr(b, ", rounded: ");
        ly_buf_cstr(b, ly_round_name((ly_round_e) e->rounding));
    }

    ly_buf_byte(b, '\n');
}


static void
rule_say_names(const char *lead, const ly_str_t *names, uint32_t n,
    ly_buf_t *b)
{
    uint32_t  i;

    for (i = 0; i < n; i++) {
        ly_buf_cstr(b, i == 0 ? lead : i + 1 == n ? " or " : ", ");
        ly_buf_str(b, names[i]);
    }
}


static void
rule_say_instant(const char *lead, int64_t us, ly_buf_t *b)
{
    unsigned char  text[LY_TIME_TEXT];

    if (us != INT64_MIN && us != INT64_MAX) {
        ly_time_print(us, text);
        ly_buf_cstr(b, lead);
        ly_buf_put(b, text, LY_TIME_TEXT);
    }
}


static void
rule_say_limit(const char *what, int64_t points, ly_buf_t *b)
{
    if (points >= 0) {
        ly_buf_cstr(b, "At most ");
        ly_buf_int(b, points);
        ly_buf_cstr(b, " points per ");
        ly_buf_cstr(b, what);
        ly_buf_cstr(b, ".\n");
    }
}


static void
rule_say_rule(const rule_def_t *d, ly_buf_t *b)
{
    uint32_t  i;

    ly_buf_cstr(b, "On ");
    ly_buf_str(b, d->event);
    rule_say_names(" from ", d->sources, d->n_sources, b);
    rule_say_instant(" since ", d->starts_at, b);
    rule_say_instant(" until ", d->ends_at, b);
    rule_say_names(", for members of ", d->segments, d->n_segments, b);

    if (d->condition->op == RULE_OP_LIT) {
        ly_buf_cstr(b, d->condition->value.u.b ? ", always" : ", never");

    } else {
        ly_buf_cstr(b, ", when ");
        rule_say(d->condition, b);
    }

    ly_buf_cstr(b, ", give:\n");

    for (i = 0; i < d->n_effects; i++) {
        rule_say_effect(&d->effects[i], b);
    }

    rule_say_limit("event", d->per_event, b);
    rule_say_limit("member", d->per_member, b);

    if (d->period != RULE_PERIOD_NONE) {
        rule_say_limit(rule_period_names[d->period], d->per_period, b);
    }

    ly_buf_cstr(b, "Priority ");
    ly_buf_int(b, d->priority);
    ly_buf_cstr(b, ", group ");
    ly_buf_str(b, d->group);
    ly_buf_cstr(b, ": ");
    ly_buf_cstr(b, rule_stack_names[d->mode]);
    ly_buf_cstr(b, ".\n");

    if (d->base) {
        ly_buf_cstr(b, "Refunds without an order take back by this rate.\n");
    }
}


ly_err_t
rule_english(ly_arena_t *a, ly_str_t json, const rule_catalogue_t *c,
    ly_buf_t *b, rule_faults_t *faults)
{
    ly_err_t    err;
    ly_buf_t    normal;
    rule_ctx_t  x;

    memset(&x, 0, sizeof(x));
    x.arena = a;
    x.flags = RULE_NO_FOLD;
    ly_buf_init_arena(&normal, a, RULE_NORMAL_MAX);

    err = rule_front(&x, json, c, &normal, faults);

    if (err != LY_OK) {
        return err;
    }

    rule_say_rule(&x.def, b);

    return ly_buf_err(b);
}
