/* The operators: names, aliases, numbers of arguments. */

#include "rule_int.h"
#include "../../common/ly_banned.h"


const rule_op_t  rule_ops[RULE_OP_N] = {
    [RULE_OP_LIT] = { "", 0, 0 },
    [RULE_OP_LIST] = { "", 0, 0 },
    [RULE_OP_VAR] = { "var", 1, 2 },
    [RULE_OP_HAS] = { "has", 1, 0 },
    [RULE_OP_MISSING] = { "missing", 1, 0 },
    [RULE_OP_AND] = { "and", 1, 0 },
    [RULE_OP_OR] = { "or", 1, 0 },
    [RULE_OP_NOT] = { "!", 1, 1 },
    [RULE_OP_IF] = { "if", 3, 0 },
    [RULE_OP_EQ] = { "===", 2, 2 },
    [RULE_OP_NE] = { "!==", 2, 2 },
    [RULE_OP_LT] = { "<", 2, 3 },
    [RULE_OP_LE] = { "<=", 2, 3 },
    [RULE_OP_GT] = { ">", 2, 2 },
    [RULE_OP_GE] = { ">=", 2, 2 },
    [RULE_OP_BETWEEN] = { "between", 3, 3 },
    [RULE_OP_IN] = { "in", 2, 2 },
    [RULE_OP_ADD] = { "+", 2, 0 },
    [RULE_OP_SUB] = { "-", 1, 2 },
    [RULE_OP_MUL] = { "*", 2, 0 },
    [RULE_OP_DIV] = { "/", 4, 4 },
    [RULE_OP_MOD] = { "%", 2, 2 },
    [RULE_OP_ABS] = { "abs", 1, 1 },
    [RULE_OP_MIN] = { "min", 2, 0 },
    [RULE_OP_MAX] = { "max", 2, 0 },
    [RULE_OP_ROUND] = { "round", 3, 3 },
    [RULE_OP_MONEY] = { "money", 2, 2 },
    [RULE_OP_CONTAINS] = { "contains", 2, 2 },
    [RULE_OP_STARTS] = { "starts", 2, 2 },
    [RULE_OP_ENDS] = { "ends", 2, 2 },
    [RULE_OP_EQUALS_FOLD] = { "equals_fold", 2, 2 },
    [RULE_OP_CONTAINS_FOLD] = { "contains_fold", 2, 2 },
    [RULE_OP_STARTS_FOLD] = { "starts_fold", 2, 2 },
    [RULE_OP_ENDS_FOLD] = { "ends_fold", 2, 2 },
    [RULE_OP_FOLD] = { "fold", 1, 1 },
    [RULE_OP_LENGTH] = { "length", 1, 1 },
    [RULE_OP_SOME] = { "some", 2, 2 },
    [RULE_OP_ALL] = { "all", 2, 2 },
    [RULE_OP_NONE] = { "none", 2, 2 },
    [RULE_OP_COUNT] = { "count", 1, 2 },
    [RULE_OP_SUM] = { "sum", 2, 2 },
    [RULE_OP_FILTER] = { "filter", 2, 2 },
    [RULE_OP_MAX_BY] = { "max_by", 2, 3 },
    [RULE_OP_MIN_BY] = { "min_by", 2, 3 },
    [RULE_OP_DISTINCT] = { "distinct_count", 2, 2 },
    [RULE_OP_DATE] = { "date", 1, 1 },
    [RULE_OP_WEEKDAY] = { "weekday", 1, 1 },
    [RULE_OP_HOUR] = { "hour", 1, 1 },
    [RULE_OP_MINUTE] = { "minute", 1, 1 },
    [RULE_OP_DAY] = { "day", 1, 1 },
    [RULE_OP_MONTH] = { "month", 1, 1 },
    [RULE_OP_YEAR] = { "year", 1, 1 },
    [RULE_OP_DAYS_BETWEEN] = { "days_between", 2, 2 },
    [RULE_OP_MONTHS_BETWEEN] = { "months_between", 2, 2 },
    [RULE_OP_BIRTHDAY] = { "birthday", 2, 2 },
    [RULE_OP_PLUS] = { "plus", 2, 2 },
    [RULE_OP_MINUS] = { "minus", 2, 2 },
    [RULE_OP_TIER] = { "tier", 1, 0 },
    [RULE_OP_SEGMENT] = { "segment", 1, 0 },
    [RULE_OP_ACHIEVEMENT] = { "achievement", 1, 0 },
    [RULE_OP_COUNT_WINDOW] = { "count_in_window", 2, 2 },
    [RULE_OP_SUM_WINDOW] = { "sum_in_window", 3, 3 }
};

/* what rule builders write */
static const struct {
    const char  *name;
    unsigned     op;
} rule_aliases[] = {
    { "==", RULE_OP_EQ },
    { "!=", RULE_OP_NE },
    { "not", RULE_OP_NOT },
    { "startsWith", RULE_OP_STARTS },
    { "endsWith", RULE_OP_ENDS }
};

const char *const  rule_effect_names[RULE_E_N] = {
    "fixed", "rate", "line_bonus", "table", "multiplier"
};

const char *const  rule_stack_names[4] = {
    "all", "best", "first", "exclusive"
};

const char *const  rule_period_names[5] = {
    "", "day", "week", "month", "year"
};


unsigned
rule_op_find(ly_str_t name)
{
    size_t    i;
    unsigned  op;

    for (op = RULE_OP_VAR; op < RULE_OP_N; op++) {
        if (rule_same_text(name, ly_str_c(rule_ops[op].name))) {
            return op;
        }
    }

    for (i = 0; i < ly_countof(rule_aliases); i++) {
        if (rule_same_text(name, ly_str_c(rule_aliases[i].name))) {
            return rule_aliases[i].op;
        }
    }

    return RULE_OP_LIT;
}
