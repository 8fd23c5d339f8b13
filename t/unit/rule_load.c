/*
 * Saved programs that are hostile: bytes altered with their checksum made
 * right again, tables that point elsewhere, code that takes what is not there.
 * What is refused is named case by case; what is taken must be safe to run.
 */

#include "rule_lib.h"
#include "worker/rule/rule_int.h"


static ly_arena_t        *arena;
static rule_catalogue_t  *cat;

#define LEAD  48                /* magic, layout, checksum, padding */


/* --- a program by hand --- */

#define I_(o, av, bv)                                                         \
    { .op = (o), .node = RULE_NODE_NONE, .a = (av), .b = (bv) }
#define CONST(n)      I_(RULE_I_CONST, n, 0)
#define FACT(n)       I_(RULE_I_FACT, RULE_F_##n, 0)
#define OP(o, n)      I_(RULE_OP_##o, 0, n)
#define MACHINE(o, n) I_(RULE_I_##o, 0, n)
#define LOOP(o, k, av, bv, fl)                                                \
    { .op = RULE_I_##o, .node = RULE_NODE_NONE, .x = RULE_OP_##k,             \
      .a = (av), .b = (bv), .flags = (fl) }
#define EACH(k, to)       LOOP(EACH, k, 0, to, 0)
#define NEXT(k, n, back)  LOOP(NEXT, k, n, back, 0)
#define FIELD(n)          I_(RULE_I_FIELD, RULE_L_##n, 0)
#define END               MACHINE(END, 0)

/* constants of every program here */
enum {
    K_NUM = 0, K_TRUE, K_STR, K_MONEY, K_DATE, K_INSTANT, K_ENUM, K_LIST,
    K_A, K_B, K_ONE, K_TWO, K_THREE, K_MIXED, K_EMPTY, K_N
};

#define CODE_MAX  14

typedef struct {
    const char  *name;
    bool         good;
    rule_ins_t   ins[CODE_MAX];
} code_t;


#define SECTION_OF  __attribute__((aligned(16)))

typedef struct {
    rule_program_t   p;
    rule_ins_t       ins[CODE_MAX] SECTION_OF;
    rule_val_t       consts[K_N] SECTION_OF;
    rule_text_t      nodes[2] SECTION_OF;
    rule_peffect_t   effects[2] SECTION_OF;
    rule_pcounter_t  counters[2] SECTION_OF;
    rule_plist_t     lists[2] SECTION_OF;
    rule_text_t      names[2] SECTION_OF;
    unsigned char    text[64] SECTION_OF;
    unsigned char    rest[80 * sizeof(rule_peffect_t)] SECTION_OF;
} hand_t;


static void
hand(hand_t *h)
{
    size_t  i;

    static const unsigned char  kinds[K_N] = {
        RULE_K_NUM, RULE_K_BOOL, RULE_K_STR, RULE_K_MONEY, RULE_K_DATE,
        RULE_K_INSTANT, RULE_K_ENUM, RULE_K_LIST, RULE_K_STR, RULE_K_STR,
        RULE_K_NUM, RULE_K_NUM, RULE_K_NUM, RULE_K_LIST, RULE_K_LIST
    };

    memset(h, 0, sizeof(*h));
    h->p.size = sizeof(*h);

#define PUT(m, f, count)                                                      \
    h->p.off_##m = (uint32_t) offsetof(hand_t, f);                            \
    h->p.n_##m = (count)

    PUT(ins, ins, CODE_MAX);
    PUT(const, consts, K_N);
    PUT(node, nodes, 1);
    PUT(effect, effects, 1);
    PUT(counter, counters, 1);
    PUT(list, lists, 1);
    PUT(source, names, 1);
    PUT(segment, names, 1);
    PUT(text, text, sizeof(h->text));

    h->p.stack = 8;
    h->p.loops = 2;
    h->p.n_facts = cat->n;
    h->p.per_event = -1;
    h->p.per_member = -1;
    h->p.per_period = -1;
    h->p.starts_at = INT64_MIN;
    h->p.ends_at = INT64_MAX;
    memcpy(h->p.catalogue, cat->digest, RULE_DIGEST_LEN);
    memcpy(h->text, "order.paidorder.totalab", 23);
    h->p.event.len = 10;
    h->p.group.len = 5;
    h->effects[0].wallet.len = 5;
    h->lists[0].slot = RULE_F_ORDER_LINES;
    h->lists[0].fields = 1u << RULE_L_TOTAL;

    for (i = 0; i < K_N; i++) {
        h->consts[i].kind = kinds[i];
    }

    for (i = K_ONE; i <= K_THREE; i++) {
        h->consts[i].u.coef = 1;
    }

    h->consts[K_TRUE].u.b = true;

    for (i = K_STR; i <= K_B; i++) {
        if (kinds[i] == RULE_K_STR) {
            h->consts[i].u.s = (const unsigned char *) (uintptr_t)
                               (h->p.off_text + 21);
            h->consts[i].n = 1;
        }
    }

#define CELLS(at, first, count)                                               \
    h->consts[at].stride = 1;                                                 \
    h->consts[at].n = (count);                                                \
    h->consts[at].u.l.cells = (const rule_val_t *) (uintptr_t)                \
                              (h->p.off_const + (first) * sizeof(rule_val_t))

    CELLS(K_LIST, K_A, 2);
    CELLS(K_MIXED, K_B, 2);
    CELLS(K_EMPTY, K_N, 0);

    /* true; then an amount, then a where, for effects that ask */
    h->ins[0] = (rule_ins_t) CONST(K_TRUE);
    h->ins[1] = (rule_ins_t) END;
    h->ins[2] = (rule_ins_t) FACT(ORDER_TOTAL);
    h->ins[3] = (rule_ins_t) END;
    h->ins[4] = (rule_ins_t) FIELD(QUANTITY);
    h->ins[5] = (rule_ins_t) CONST(K_NUM);
    h->ins[6] = (rule_ins_t) OP(GT, 2);
    h->ins[7] = (rule_ins_t) END;
}


static ly_err_t
load(const hand_t *h, size_t len)
{
    ly_err_t         err;
    ly_arena_t      *a;
    rule_program_t  *p;
    unsigned char    bytes[LEAD + sizeof(hand_t)];

    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, "LYR1\0\0\0\1", 8);
    memcpy(bytes + LEAD, h, len);

    if (rule_digest(ly_str_of(bytes + LEAD, len), bytes + 8) != LY_OK) {
        return LY_FATAL;
    }

    a = ly_arena_create((size_t) 1 << 20, NULL);
    err = rule_program_load(a, ly_str_of(bytes, LEAD + len), cat, &p);
    ly_arena_destroy(a);

    return err;
}


/* --- code --- */

static const code_t  codes[] = {
    { "true", true, { CONST(K_TRUE), END } },
    { "a number is no condition", false, { CONST(K_NUM), END } },
    { "no such constant", false, { CONST(K_N), END } },
    { "the last constant", false, { CONST(K_EMPTY), END } },
    { "two values at the end", false,
      { CONST(K_TRUE), CONST(K_TRUE), END } },
    { "no value at the end", false, { END } },
    { "no end", false, { CONST(K_TRUE) } },
    { "no such instruction", false, { CONST(K_TRUE), I_(250, 0, 0), END } },
    { "a list of two kinds", false,
      { CONST(K_MIXED), OP(COUNT, 0), CONST(K_NUM), OP(GT, 2), END } },
    { "an empty list", true,
      { CONST(K_EMPTY), OP(COUNT, 0), CONST(K_NUM), OP(GT, 2), END } },

    { "a fact", true, { FACT(ORDER_TOTAL), CONST(K_MONEY), OP(GT, 2), END } },
    { "no such fact", false,
      { I_(RULE_I_FACT, RULE_F_DEFAULT_N, 0), CONST(K_TRUE), END } },
    { "a field outside", false, { FIELD(SKU), CONST(K_STR), OP(EQ, 2), END } },
    { "the element outside", false, { MACHINE(ELEMENT, 0), END } },
    { "is it there", true, { MACHINE(PRESENT, 0), END } },
    { "is what there", false, { I_(RULE_I_PRESENT, 28, 0), END } },
    { "is the field there, outside", false,
      { MACHINE(PRESENT_FIELD, 0), END } },
    { "is the element there, outside", false,
      { { .op = RULE_I_PRESENT_FIELD, .node = 0xffff, .x = 1 }, END } },

    { "a default", true,
      { FACT(MEMBER_TIER), I_(RULE_I_DEFAULT, K_STR, 0), CONST(K_STR),
        OP(EQ, 2), END } },
    { "a default of another kind", false,
      { FACT(MEMBER_TIER), I_(RULE_I_DEFAULT, K_NUM, 0), CONST(K_STR),
        OP(EQ, 2), END } },
    { "a default of nothing", false,
      { I_(RULE_I_DEFAULT, K_TRUE, 0), END } },
    { "a default of a list", false,
      { FACT(ORDER_LINES), I_(RULE_I_DEFAULT, K_LIST, 0), OP(COUNT, 0),
        CONST(K_NUM), OP(GT, 2), END } },
    { "a default beyond the constants", false,
      { FACT(MEMBER_TIER), I_(RULE_I_DEFAULT, K_N, 0), CONST(K_STR),
        OP(EQ, 2), END } },

    { "both", true,
      { CONST(K_TRUE), CONST(K_TRUE), MACHINE(ALL_TRUE, 2), END } },
    { "all of nothing", false, { MACHINE(ALL_TRUE, 0), END } },
    { "three of two", false,
      { CONST(K_TRUE), CONST(K_TRUE), MACHINE(ALL_TRUE, 3), END } },
    { "all of numbers", false,
      { CONST(K_TRUE), CONST(K_NUM), MACHINE(ALL_TRUE, 2), END } },
    { "not", true, { CONST(K_TRUE), OP(NOT, 1), END } },
    { "not of a number", false,
      { CONST(K_NUM), OP(NOT, 1), CONST(K_TRUE), MACHINE(ALL_TRUE, 1),
        END } },
    { "not of nothing", false, { OP(NOT, 1), CONST(K_TRUE), END } },
    { "a bool of a number", false,
      { CONST(K_NUM), MACHINE(BOOL, 0), END } },

    { "a jump", true,
      { CONST(K_TRUE), MACHINE(JUMP, 2), END } },
    { "a jump to itself", false, { CONST(K_TRUE), MACHINE(JUMP, 1), END } },
    { "a jump back", false, { CONST(K_TRUE), MACHINE(JUMP, 0), END } },
    { "a jump far out", false,
      { CONST(K_TRUE), MACHINE(JUMP, CODE_MAX), END } },
    { "what no jump reaches", false,
      { CONST(K_TRUE), MACHINE(JUMP, 3), CONST(K_TRUE), END } },
    { "keep false", true,
      { CONST(K_TRUE), MACHINE(KEEP_FALSE, 3), CONST(K_TRUE), END } },
    { "keep true", true,
      { CONST(K_TRUE), MACHINE(KEEP_TRUE, 3), CONST(K_TRUE), END } },
    { "keep a number", false,
      { CONST(K_NUM), MACHINE(KEEP_TRUE, 3), CONST(K_NUM), END } },
    { "keep and jump back", false,
      { CONST(K_TRUE), MACHINE(KEEP_TRUE, 1), CONST(K_TRUE), END } },
    { "paths of two depths", false,
      { CONST(K_TRUE), MACHINE(KEEP_TRUE, 4), CONST(K_TRUE), CONST(K_TRUE),
        END } },
    { "paths of two kinds", false,
      { CONST(K_TRUE), MACHINE(KEEP_TRUE, 3), CONST(K_NUM), MACHINE(BOOL, 0),
        END } },
    { "if", true,
      { CONST(K_TRUE), MACHINE(JUMP_FALSE, 4), CONST(K_TRUE),
        MACHINE(JUMP, 5), CONST(K_TRUE), MACHINE(IF_END, 0), END } },
    { "if of two kinds", false,
      { CONST(K_TRUE), MACHINE(JUMP_FALSE, 4), CONST(K_NUM),
        MACHINE(JUMP, 5), CONST(K_TRUE), MACHINE(IF_END, 0), END } },
    { "if of two sorts of list", false,
      { CONST(K_TRUE), MACHINE(JUMP_FALSE, 4), FACT(MEMBER_SEGMENTS),
        MACHINE(JUMP, 5), FACT(ORDER_LINES), OP(COUNT, 0), CONST(K_NUM),
        OP(GT, 2), END } },
    { "if of two lists of structs", false,
      { CONST(K_TRUE), MACHINE(JUMP_FALSE, 4), FACT(REFUND_LINES),
        MACHINE(JUMP, 5), FACT(ORDER_LINES), OP(COUNT, 0), CONST(K_NUM),
        OP(GT, 2), END } },
    { "if of a number", false,
      { CONST(K_NUM), MACHINE(JUMP_FALSE, 4), CONST(K_TRUE),
        MACHINE(JUMP, 5), CONST(K_TRUE), MACHINE(IF_END, 0), END } },
    { "the end of an if without a value", false, { MACHINE(IF_END, 0), END } },

    { "between", true,
      { CONST(K_NUM), CONST(K_NUM), CONST(K_NUM), OP(BETWEEN, 3), END } },
    { "between two", false,
      { CONST(K_NUM), CONST(K_NUM), OP(BETWEEN, 2), END } },
    { "less of three", true,
      { CONST(K_NUM), CONST(K_NUM), CONST(K_NUM), OP(LT, 3), END } },
    { "less of four", false,
      { CONST(K_NUM), CONST(K_NUM), CONST(K_NUM), CONST(K_NUM), OP(LT, 4),
        END } },
    { "less of one", false, { CONST(K_NUM), OP(LT, 1), END } },
    { "less of more than there is", false, { CONST(K_NUM), OP(LT, 2), END } },
    { "two kinds compared", false,
      { CONST(K_NUM), CONST(K_STR), OP(EQ, 2), END } },
    { "two lists compared", false,
      { CONST(K_LIST), CONST(K_LIST), OP(EQ, 2), END } },

    { "a sum", true,
      { CONST(K_NUM), CONST(K_NUM), OP(ADD, 2), CONST(K_NUM), OP(GT, 2),
        END } },
    { "a sum of texts", false,
      { CONST(K_STR), CONST(K_STR), OP(ADD, 2), CONST(K_STR), OP(GT, 2),
        END } },
    { "a sum of nothing", false,
      { OP(ADD, 0), CONST(K_NUM), OP(GT, 2), END } },
    { "a difference of three", false,
      { CONST(K_NUM), CONST(K_NUM), CONST(K_NUM), OP(SUB, 3), CONST(K_NUM),
        OP(GT, 2), END } },
    { "rounded to 12 places", true,
      { CONST(K_NUM), { .op = RULE_OP_ROUND, .node = 0xffff, .x = 12,
                        .b = 1 }, CONST(K_NUM), OP(GT, 2), END } },
    { "rounded to 13 places", false,
      { CONST(K_NUM), { .op = RULE_OP_ROUND, .node = 0xffff, .x = 13,
                        .b = 1 }, CONST(K_NUM), OP(GT, 2), END } },
    { "an unknown rounding", false,
      { CONST(K_NUM), { .op = RULE_OP_ROUND, .node = 0xffff, .a = 5,
                        .b = 1 }, CONST(K_NUM), OP(GT, 2), END } },

    { "a product", true,
      { CONST(K_MONEY), CONST(K_NUM), OP(MUL, 2), CONST(K_MONEY), OP(GT, 2),
        END } },
    { "a product of one", false,
      { CONST(K_NUM), OP(MUL, 1), CONST(K_NUM), OP(GT, 2), END } },
    { "a product of more than there is", false,
      { CONST(K_NUM), OP(MUL, 2), CONST(K_NUM), OP(GT, 2), END } },
    { "a product with a text", false,
      { CONST(K_NUM), CONST(K_STR), OP(MUL, 2), CONST(K_NUM), OP(GT, 2),
        END } },
    { "a quotient of money", true,
      { CONST(K_MONEY), CONST(K_MONEY), OP(DIV, 2), CONST(K_NUM), OP(GT, 2),
        END } },
    { "a quotient of money is a number", false,
      { CONST(K_MONEY), CONST(K_MONEY), OP(DIV, 2), CONST(K_MONEY), OP(GT, 2),
        END } },
    { "a quotient of three", false,
      { CONST(K_NUM), CONST(K_NUM), CONST(K_NUM), OP(DIV, 3), CONST(K_NUM),
        OP(GT, 2), END } },
    { "a quotient of 13 places", false,
      { CONST(K_NUM), CONST(K_NUM), { .op = RULE_OP_DIV, .node = 0xffff,
                                      .x = 13, .b = 2 }, CONST(K_NUM),
        OP(GT, 2), END } },
    { "a quotient of an unknown rounding", false,
      { CONST(K_NUM), CONST(K_NUM), { .op = RULE_OP_DIV, .node = 0xffff,
                                      .a = 5, .b = 2 }, CONST(K_NUM),
        OP(GT, 2), END } },
    { "a rest", true,
      { CONST(K_NUM), CONST(K_NUM), OP(MOD, 2), CONST(K_NUM), OP(GT, 2),
        END } },
    { "a rest of three", false,
      { CONST(K_NUM), CONST(K_NUM), CONST(K_NUM), OP(MOD, 3), CONST(K_NUM),
        OP(GT, 2), END } },

    { "contains", true, { CONST(K_STR), CONST(K_STR), OP(CONTAINS, 2), END } },
    { "contains one", false, { CONST(K_STR), OP(CONTAINS, 1), END } },
    { "contains numbers", false,
      { CONST(K_NUM), CONST(K_NUM), OP(CONTAINS, 2), END } },
    { "fold", true,
      { CONST(K_STR), OP(FOLD, 1), CONST(K_STR), OP(EQ, 2), END } },
    { "fold two", false,
      { CONST(K_STR), CONST(K_STR), OP(FOLD, 2), CONST(K_STR), OP(EQ, 2),
        END } },
    { "length is a number", true,
      { CONST(K_STR), OP(LENGTH, 1), CONST(K_NUM), OP(EQ, 2), END } },
    { "length is no text", false,
      { CONST(K_STR), OP(LENGTH, 1), CONST(K_STR), OP(EQ, 2), END } },

    { "a date of an instant", true,
      { CONST(K_INSTANT), OP(DATE, 1), CONST(K_DATE), OP(EQ, 2), END } },
    { "a date of a number", false,
      { CONST(K_NUM), OP(DATE, 1), CONST(K_DATE), OP(EQ, 2), END } },
    { "a date of nothing", false,
      { OP(DATE, 0), CONST(K_DATE), CONST(K_DATE), OP(EQ, 2), END } },
    { "a date of more than there is", false,
      { CONST(K_DATE), OP(DATE, 2), CONST(K_DATE), OP(EQ, 2), END } },
    { "a date of three", false,
      { CONST(K_DATE), CONST(K_DATE), CONST(K_DATE), OP(DATE, 3),
        CONST(K_DATE), OP(EQ, 2), END } },
    { "a weekday is a number", true,
      { CONST(K_DATE), OP(WEEKDAY, 1), CONST(K_NUM), OP(EQ, 2), END } },
    { "days between", true,
      { CONST(K_DATE), CONST(K_DATE), OP(DAYS_BETWEEN, 2), CONST(K_NUM),
        OP(EQ, 2), END } },
    { "days between one", false,
      { CONST(K_DATE), OP(DAYS_BETWEEN, 1), CONST(K_NUM), OP(EQ, 2), END } },
    { "a birthday", true,
      { CONST(K_DATE), CONST(K_DATE), OP(BIRTHDAY, 2), END } },
    { "a birthday alone", false, { CONST(K_DATE), OP(BIRTHDAY, 1), END } },
    { "plus", true,
      { CONST(K_DATE), I_(RULE_OP_PLUS, K_ONE, 1), CONST(K_DATE), OP(EQ, 2),
        END } },
    { "plus keeps the kind", false,
      { CONST(K_DATE), I_(RULE_OP_PLUS, K_ONE, 1), CONST(K_INSTANT),
        OP(EQ, 2), END } },
    { "plus without a duration", false,
      { CONST(K_DATE), I_(RULE_OP_PLUS, K_TWO, 1), CONST(K_DATE), OP(EQ, 2),
        END } },
    { "plus of two", false,
      { CONST(K_DATE), CONST(K_DATE), I_(RULE_OP_PLUS, K_ONE, 2),
        CONST(K_DATE), OP(EQ, 2), END } },

    { "in literals", true, { CONST(K_STR), I_(RULE_OP_IN, K_A, 2), END } },
    { "in literals of another kind", false,
      { CONST(K_NUM), I_(RULE_OP_IN, K_A, 2), END } },
    { "in literals that end", false,
      { CONST(K_STR), I_(RULE_OP_IN, K_A, K_N), END } },
    { "nothing in", false, { I_(RULE_OP_IN, K_A, 2), END } },
    { "a list in", false, { CONST(K_LIST), I_(RULE_OP_IN, K_A, 2), END } },
    { "in a list", true,
      { CONST(K_STR), FACT(MEMBER_SEGMENTS), MACHINE(IN_LIST, 0), END } },
    { "a number in a list of texts", false,
      { CONST(K_NUM), FACT(MEMBER_SEGMENTS), MACHINE(IN_LIST, 0), END } },
    { "in a list of lines", false,
      { CONST(K_STR), FACT(ORDER_LINES), MACHINE(IN_LIST, 0), END } },
    { "in a text", false,
      { CONST(K_STR), CONST(K_STR), MACHINE(IN_LIST, 0), END } },
    { "nothing in a list", false,
      { FACT(MEMBER_SEGMENTS), MACHINE(IN_LIST, 0), END } },
    { "lists that meet", true,
      { FACT(MEMBER_SEGMENTS), I_(RULE_I_MEETS, K_A, 2), END } },
    { "lists that meet numbers", false,
      { FACT(MEMBER_SEGMENTS), I_(RULE_I_MEETS, K_ONE, 2), END } },
    { "lines that meet", false,
      { FACT(ORDER_LINES), I_(RULE_I_MEETS, K_A, 2), END } },
    { "a text that meets", false,
      { CONST(K_STR), I_(RULE_I_MEETS, K_A, 2), END } },

    { "a counter", true,
      { MACHINE(COUNTER, 0), CONST(K_NUM), OP(EQ, 2), END } },
    { "no such counter", false,
      { I_(RULE_I_COUNTER, 1, 0), CONST(K_NUM), OP(EQ, 2), END } },
    { "count of a number", false,
      { CONST(K_NUM), OP(COUNT, 0), CONST(K_NUM), OP(EQ, 2), END } },
    { "count of nothing", false,
      { OP(COUNT, 0), CONST(K_NUM), OP(EQ, 2), END } },

    { "some", true,
      { FACT(ORDER_LINES), EACH(SOME, 4), CONST(K_TRUE), NEXT(SOME, 1, 2),
        END } },
    { "some of a text", false,
      { CONST(K_STR), EACH(SOME, 4), CONST(K_TRUE), NEXT(SOME, 1, 2), END } },
    { "some of nothing", false,
      { EACH(SOME, 3), CONST(K_TRUE), NEXT(SOME, 1, 1), END } },
    { "a loop of no kind", false,
      { FACT(ORDER_LINES), EACH(LENGTH, 4), CONST(K_TRUE),
        NEXT(LENGTH, 1, 2), END } },
    { "a loop of a calendar", false,
      { FACT(ORDER_LINES), EACH(DATE, 4), CONST(K_TRUE), NEXT(DATE, 1, 2),
        END } },
    { "a loop without a body", false,
      { FACT(ORDER_LINES), EACH(SOME, 2), NEXT(SOME, 1, 2), END } },
    { "a loop out of the code", false,
      { FACT(ORDER_LINES), EACH(SOME, 99), CONST(K_TRUE), NEXT(SOME, 1, 2),
        END } },
    { "a loop that ends elsewhere", false,
      { FACT(ORDER_LINES), EACH(SOME, 3), CONST(K_TRUE), NEXT(SOME, 1, 2),
        END } },
    { "a loop back to elsewhere", false,
      { FACT(ORDER_LINES), EACH(SOME, 4), CONST(K_TRUE), NEXT(SOME, 1, 1),
        END } },
    { "a loop of two kinds", false,
      { FACT(ORDER_LINES), EACH(SOME, 4), CONST(K_TRUE), NEXT(ALL, 1, 2),
        END } },
    { "a loop of two flags", false,
      { FACT(ORDER_LINES), EACH(SOME, 4), CONST(K_TRUE),
        LOOP(NEXT, SOME, 1, 2, 1), END } },
    { "the end of no loop", false,
      { CONST(K_TRUE), NEXT(SOME, 1, 1), END } },
    { "a loop that gives two", false,
      { FACT(ORDER_LINES), EACH(SOME, 5), CONST(K_TRUE), CONST(K_TRUE),
        NEXT(SOME, 2, 2), END } },
    { "a loop that gives none", false,
      { FACT(ORDER_LINES), EACH(SOME, 4), MACHINE(IF_END, 0),
        NEXT(SOME, 0, 2), END } },
    { "a loop with one too many", false,
      { FACT(ORDER_LINES), EACH(SOME, 5), CONST(K_TRUE), CONST(K_TRUE),
        NEXT(SOME, 1, 2), END } },
    { "some numbers", false,
      { FACT(ORDER_LINES), EACH(SOME, 4), CONST(K_NUM), NEXT(SOME, 1, 2),
        END } },
    { "a body that gives a list", false,
      { FACT(ORDER_LINES), EACH(DISTINCT, 4), FIELD(CATEGORIES),
        NEXT(DISTINCT, 1, 2), CONST(K_NUM), OP(GT, 2), END } },
    { "all", true,
      { FACT(ORDER_LINES), EACH(ALL, 4), CONST(K_TRUE), NEXT(ALL, 1, 2),
        END } },
    { "none", true,
      { FACT(ORDER_LINES), EACH(NONE, 4), CONST(K_TRUE), NEXT(NONE, 1, 2),
        END } },
    { "count with a body", true,
      { FACT(ORDER_LINES), EACH(COUNT, 4), CONST(K_TRUE), NEXT(COUNT, 1, 2),
        CONST(K_NUM), OP(GT, 2), END } },
    { "count of numbers", false,
      { FACT(ORDER_LINES), EACH(COUNT, 4), CONST(K_NUM), NEXT(COUNT, 1, 2),
        CONST(K_NUM), OP(GT, 2), END } },
    { "count of two values", false,
      { FACT(ORDER_LINES), EACH(COUNT, 5), CONST(K_TRUE), CONST(K_TRUE),
        NEXT(COUNT, 2, 2), CONST(K_NUM), OP(GT, 2), END } },
    { "distinct", true,
      { FACT(ORDER_LINES), EACH(DISTINCT, 4), FIELD(SKU),
        NEXT(DISTINCT, 1, 2), CONST(K_NUM), OP(GT, 2), END } },
    { "distinct of two values", false,
      { FACT(ORDER_LINES), EACH(DISTINCT, 5), FIELD(SKU), FIELD(SKU),
        NEXT(DISTINCT, 2, 2), CONST(K_NUM), OP(GT, 2), END } },
    { "sum of quantities", true,
      { FACT(ORDER_LINES), EACH(SUM, 4), FIELD(QUANTITY), NEXT(SUM, 1, 2),
        CONST(K_NUM), OP(GT, 2), END } },
    { "sum of two values", false,
      { FACT(ORDER_LINES), EACH(SUM, 5), FIELD(QUANTITY), FIELD(QUANTITY),
        NEXT(SUM, 2, 2), CONST(K_NUM), OP(GT, 2), END } },
    { "sum of texts", false,
      { FACT(ORDER_LINES), EACH(SUM, 4), FIELD(SKU), NEXT(SUM, 1, 2),
        CONST(K_STR), OP(EQ, 2), END } },
    { "sum of money without its mark", false,
      { FACT(ORDER_LINES), EACH(SUM, 4), FIELD(TOTAL), NEXT(SUM, 1, 2),
        CONST(K_MONEY), OP(GT, 2), END } },
    { "sum of money", true,
      { FACT(ORDER_LINES), LOOP(EACH, SUM, 0, 4, RULE_IN_MONEY),
        FIELD(TOTAL), LOOP(NEXT, SUM, 1, 2, RULE_IN_MONEY), CONST(K_MONEY),
        OP(GT, 2), END } },
    { "filter, then count", true,
      { FACT(ORDER_LINES), EACH(FILTER, 4), CONST(K_TRUE),
        NEXT(FILTER, 1, 2), OP(COUNT, 0), CONST(K_NUM), OP(GT, 2), END } },
    { "filter by numbers", false,
      { FACT(ORDER_LINES), EACH(FILTER, 4), CONST(K_NUM),
        NEXT(FILTER, 1, 2), OP(COUNT, 0), CONST(K_NUM), OP(GT, 2), END } },
    { "filter keeps its lines", true,
      { FACT(ORDER_LINES), EACH(FILTER, 4), CONST(K_TRUE),
        NEXT(FILTER, 1, 2), EACH(SOME, 9), FIELD(SKU), CONST(K_STR),
        OP(EQ, 2), NEXT(SOME, 1, 5), END } },
    { "the greatest by", true,
      { FACT(ORDER_LINES), EACH(MAX_BY, 5), FIELD(QUANTITY), FIELD(SKU),
        NEXT(MAX_BY, 2, 2), CONST(K_STR), OP(EQ, 2), END } },
    { "the greatest by itself", true,
      { FACT(ORDER_LINES), EACH(MAX_BY, 4), FIELD(SKU), NEXT(MAX_BY, 1, 2),
        CONST(K_STR), OP(EQ, 2), END } },
    { "the greatest by three", false,
      { FACT(ORDER_LINES), EACH(MAX_BY, 6), FIELD(SKU), FIELD(SKU),
        FIELD(SKU), NEXT(MAX_BY, 3, 2), CONST(K_STR), OP(EQ, 2), END } },
    { "a field that is none", false,
      { FACT(ORDER_LINES), EACH(SOME, 6), I_(RULE_I_FIELD, RULE_L_N, 0),
        CONST(K_STR), OP(EQ, 2), NEXT(SOME, 1, 2), END } },
    { "is the field there", true,
      { FACT(ORDER_LINES), EACH(SOME, 4), MACHINE(PRESENT_FIELD, 0),
        NEXT(SOME, 1, 2), END } },
    { "is what field there", false,
      { FACT(ORDER_LINES), EACH(SOME, 4),
        I_(RULE_I_PRESENT_FIELD, RULE_L_N, 0), NEXT(SOME, 1, 2), END } },
    { "is the element there", true,
      { FACT(MEMBER_SEGMENTS), EACH(SOME, 4),
        { .op = RULE_I_PRESENT_FIELD, .node = 0xffff, .x = 1 },
        NEXT(SOME, 1, 2), END } },
    { "the element", true,
      { FACT(MEMBER_SEGMENTS), EACH(SOME, 6), MACHINE(ELEMENT, 0),
        CONST(K_STR), OP(EQ, 2), NEXT(SOME, 1, 2), END } },
    { "the element that is a struct", false,
      { FACT(ORDER_LINES), EACH(SOME, 6), MACHINE(ELEMENT, 0),
        CONST(K_STR), OP(EQ, 2), NEXT(SOME, 1, 2), END } },
    { "a field of a text", false,
      { FACT(MEMBER_SEGMENTS), EACH(SOME, 6), FIELD(SKU),
        CONST(K_STR), OP(EQ, 2), NEXT(SOME, 1, 2), END } },
    { "an element of a list of literals", true,
      { CONST(K_LIST), EACH(SOME, 6), MACHINE(ELEMENT, 0), CONST(K_STR),
        OP(EQ, 2), NEXT(SOME, 1, 2), END } },
    { "three loops where two fit", false,
      { FACT(ORDER_LINES), EACH(SOME, 10), FACT(ORDER_LINES), EACH(SOME, 9),
        FACT(ORDER_LINES), EACH(SOME, 8), CONST(K_TRUE), NEXT(SOME, 1, 6),
        NEXT(SOME, 1, 4), NEXT(SOME, 1, 2), END } },
    { "two loops", true,
      { FACT(ORDER_LINES), EACH(SOME, 7), FACT(ORDER_LINES), EACH(SOME, 6),
        CONST(K_TRUE), NEXT(SOME, 1, 4), NEXT(SOME, 1, 2), END } },
    { "loops that cross", false,
      { FACT(ORDER_LINES), EACH(SOME, 6), FACT(ORDER_LINES), EACH(SOME, 7),
        CONST(K_TRUE), NEXT(SOME, 1, 2), NEXT(SOME, 1, 4), END } },
    { "an end within a loop", false,
      { FACT(ORDER_LINES), EACH(SOME, 5), CONST(K_TRUE), END,
        NEXT(SOME, 1, 2), END } },
    { "a jump out of a loop", false,
      { FACT(ORDER_LINES), EACH(SOME, 6), CONST(K_TRUE),
        MACHINE(KEEP_TRUE, 6), CONST(K_TRUE), NEXT(SOME, 1, 2), END } },
    { "an operator of the tree", false,
      { CONST(K_TRUE), OP(TIER, 1), END } },
    { "min is alike", false,
      { CONST(K_NUM), CONST(K_MONEY), OP(MIN, 2), CONST(K_NUM), OP(GT, 2),
        END } },
    { "another node", false,
      { { .op = RULE_I_CONST, .node = 1, .a = K_TRUE }, END } },
    { "a node", true,
      { { .op = RULE_I_CONST, .node = 0, .a = K_TRUE }, END } },

    { "a jump right behind the code", false,
      { CONST(K_TRUE), MACHINE(KEEP_TRUE, CODE_MAX), CONST(K_TRUE), END } },
    { "two depths, alike as far as they go", false,
      { CONST(K_TRUE), CONST(K_TRUE), MACHINE(KEEP_TRUE, 3),
        MACHINE(ALL_TRUE, 2), END } },
    { "paths that differ in the second value", false,
      { CONST(K_TRUE), CONST(K_TRUE), MACHINE(JUMP_FALSE, 5), CONST(K_TRUE),
        MACHINE(JUMP, 6), CONST(K_NUM), MACHINE(IF_END, 0),
        MACHINE(ALL_TRUE, 2), END } },
    { "paths of three values", true,
      { CONST(K_TRUE), CONST(K_TRUE), CONST(K_TRUE), MACHINE(JUMP_FALSE, 6),
        CONST(K_TRUE), MACHINE(JUMP, 7), CONST(K_TRUE), MACHINE(IF_END, 0),
        MACHINE(ALL_TRUE, 3), END } },
    { "a path that leaves other values on the stack", true,
      { CONST(K_TRUE), CONST(K_TRUE), CONST(K_TRUE), CONST(K_TRUE),
        MACHINE(JUMP_FALSE, 11), MACHINE(ALL_TRUE, 3), CONST(K_NUM),
        CONST(K_NUM), OP(GT, 2), MACHINE(ALL_TRUE, 2), MACHINE(JUMP, 12),
        MACHINE(ALL_TRUE, 3), END } },
    { "the end of an if before any value", false,
      { MACHINE(IF_END, 0), CONST(K_TRUE), END } },
    { "a text without its sign", false,
      { CONST(K_STR), OP(ABS, 1), CONST(K_STR), OP(EQ, 2), END } },
    { "a product of a text", false,
      { CONST(K_STR), CONST(K_NUM), OP(MUL, 2), CONST(K_STR), OP(EQ, 2),
        END } },
    { "a quotient of 12 places", true,
      { CONST(K_NUM), CONST(K_NUM), { .op = RULE_OP_DIV, .node = 0xffff,
                                      .x = 12, .b = 2 }, CONST(K_NUM),
        OP(GT, 2), END } },
    { "days from a number", false,
      { CONST(K_NUM), CONST(K_DATE), OP(DAYS_BETWEEN, 2), CONST(K_NUM),
        OP(EQ, 2), END } },
    { "no such instruction, on a text", false,
      { CONST(K_STR), I_(250, 0, 1), END } },
    { "the fact behind the last", false,
      { I_(RULE_I_FACT, RULE_F_DEFAULT_N, 0), CONST(K_STR), OP(EQ, 2),
        END } },
    { "in no literals", true, { CONST(K_STR), I_(RULE_OP_IN, K_N, 0), END } },
    { "a list in lists", false,
      { CONST(K_LIST), I_(RULE_OP_IN, K_MIXED, 1), END } },
    { "an element of an empty list", true,
      { CONST(K_EMPTY), EACH(SOME, 6), MACHINE(ELEMENT, 0), CONST(K_STR),
        OP(EQ, 2), NEXT(SOME, 1, 2), END } },
    { "a loop to nowhere", false,
      { FACT(ORDER_LINES), EACH(SOME, 0), CONST(K_TRUE), NEXT(SOME, 1, 2),
        END } },
    { "an inner loop that ends with the outer", false,
      { FACT(ORDER_LINES), EACH(SOME, 8), FACT(ORDER_LINES), EACH(SOME, 8),
        CONST(K_TRUE), NEXT(SOME, 1, 4), OP(NOT, 1), NEXT(SOME, 1, 2),
        END } },
    { "the greatest by, of lists", false,
      { FACT(ORDER_LINES), EACH(MAX_BY, 5), FIELD(QUANTITY),
        FIELD(CATEGORIES), NEXT(MAX_BY, 2, 2), OP(COUNT, 0), CONST(K_NUM),
        OP(GT, 2), END } },
};


static void
code(void)
{
    size_t  i;
    hand_t  h;

    static const rule_ins_t  ninth[] = {
        CONST(K_TRUE), FACT(ORDER_TOTAL), MACHINE(PRESENT, 0),
        MACHINE(COUNTER, 0)
    };

    for (i = 0; i < ly_countof(codes); i++) {
        hand(&h);
        memcpy(h.ins, codes[i].ins, sizeof(h.ins));
        is_int(load(&h, sizeof(h)), codes[i].good ? LY_OK : LY_DENIED,
               codes[i].name);
    }

    /* a ninth value of each sort */
    for (i = 0; i < ly_countof(ninth); i++) {
        hand(&h);

        for (size_t k = 0; k < 8; k++) {
            h.ins[k] = (rule_ins_t) CONST(K_TRUE);
        }

        h.ins[8] = ninth[i];
        h.ins[9] = (rule_ins_t) END;
        is_int(load(&h, sizeof(h)), LY_DENIED, "a ninth value");
    }

    /* nine values where eight have room */
    for (i = 8; i <= 9; i++) {
        hand(&h);
        h.p.stack = 8;

        for (size_t k = 0; k < i; k++) {
            h.ins[k] = (rule_ins_t) CONST(K_TRUE);
        }

        h.ins[i] = (rule_ins_t) MACHINE(ALL_TRUE, (uint32_t) i);
        h.ins[i + 1] = (rule_ins_t) END;
        is_int(load(&h, sizeof(h)), i == 8 ? LY_OK : LY_DENIED,
               "values as many as have room");
    }
}


/* --- tables --- */

#define DENIED(what, change)                                                  \
    do {                                                                      \
        hand(&h);                                                             \
        change;                                                               \
        is_int(load(&h, sizeof(h)), LY_DENIED, what);                         \
    } while (0)

#define TAKEN(what, change)                                                   \
    do {                                                                      \
        hand(&h);                                                             \
        change;                                                               \
        is_int(load(&h, sizeof(h)), LY_OK, what);                             \
    } while (0)


/* what stands behind the constants would be of the right kind */
static void
behind(void)
{
    hand_t  h;

#define CODE(...)                                                             \
    memcpy(h.ins, (rule_ins_t[CODE_MAX]) { __VA_ARGS__ }, sizeof(h.ins))
#define ELEMENTS(first, count)                                                \
    h.consts[K_LIST].n = (count);                                             \
    h.consts[K_LIST].u.l.cells = (const rule_val_t *) (uintptr_t)             \
                                 (h.p.off_const                               \
                                  + (first) * sizeof(rule_val_t))

    DENIED("a constant behind the last", h.nodes[0].off = RULE_K_BOOL;
           CODE(CONST(K_N), END));
    TAKEN("the last literal", h.consts[K_EMPTY] = h.consts[K_STR];
          h.nodes[0].off = RULE_K_STR;
          CODE(CONST(K_STR), I_(RULE_OP_IN, K_EMPTY, 1), END));
    DENIED("a literal behind the last", h.consts[K_EMPTY] = h.consts[K_STR];
           h.nodes[0].off = RULE_K_STR;
           CODE(CONST(K_STR), I_(RULE_OP_IN, K_EMPTY, 2), END));
    TAKEN("the element of a list of one", ELEMENTS(K_ONE, 1);
          CODE(CONST(K_LIST), EACH(SOME, 6), MACHINE(ELEMENT, 0),
               CONST(K_NUM), OP(EQ, 2), NEXT(SOME, 1, 2), END));
    DENIED("an element that is a list", ELEMENTS(K_MIXED, 2);
           CODE(CONST(K_LIST), EACH(SOME, 7), MACHINE(ELEMENT, 0),
                OP(COUNT, 0), CONST(K_NUM), OP(GT, 2), NEXT(SOME, 1, 2),
                END));
}


static void
tables(void)
{
    hand_t  h;

    TAKEN("a program made by hand", (void) 0);
    DENIED("another size", h.p.size--);
    DENIED("another catalogue", h.p.catalogue[31] ^= 1);
    DENIED("other facts", h.p.n_facts++);

#define SECTION(m)                                                            \
    DENIED(#m " over the head", h.p.off_##m = sizeof(h.p) - 16);              \
    DENIED(#m " behind the end", h.p.off_##m = (uint32_t) sizeof(h) + 16);    \
    DENIED(#m " beside a boundary", h.p.off_##m += 8);                        \
    DENIED(#m " longer than the block", h.p.n_##m = (uint32_t) sizeof(h))

    SECTION(ins);
    SECTION(const);
    SECTION(node);
    SECTION(effect);
    SECTION(counter);
    SECTION(list);
    SECTION(source);
    SECTION(segment);
    SECTION(text);
    DENIED("a section at the very end", h.p.off_list = (uint32_t) sizeof(h));
    TAKEN("an empty one there", h.p.off_list = (uint32_t) sizeof(h);
          h.p.n_list = 0);

    DENIED("no instruction", h.p.n_ins = 0);
    DENIED("no effect", h.p.n_effect = 0);
    TAKEN("16 effects", h.p.n_effect = 16;
          h.p.off_effect = offsetof(hand_t, rest));
    DENIED("17 effects", h.p.n_effect = 17;
           h.p.off_effect = offsetof(hand_t, rest));
    TAKEN("64 counters", h.p.n_counter = 64;
          h.p.off_counter = offsetof(hand_t, rest));
    DENIED("65 counters", h.p.n_counter = 65;
           h.p.off_counter = offsetof(hand_t, rest));
    DENIED("a stack without end", h.p.stack = 4 * RULE_NODES_MAX + 1);
    TAKEN("the deepest stack", h.p.stack = 4 * RULE_NODES_MAX);
    DENIED("loops without end", h.p.loops = RULE_DEPTH_MAX + 3);
    TAKEN("the deepest loops", h.p.loops = RULE_DEPTH_MAX + 2);
    DENIED("an unknown mode", h.p.mode = RULE_STACK_EXCLUSIVE + 1);
    TAKEN("exclusive", h.p.mode = RULE_STACK_EXCLUSIVE);
    DENIED("an unknown period", h.p.period = RULE_PERIOD_YEAR + 1);
    TAKEN("a year", h.p.period = RULE_PERIOD_YEAR);

    DENIED("an event outside", h.p.event.off = 65; h.p.event.len = 0);
    DENIED("an event over the end", h.p.event.off = 60);
    TAKEN("an event at the end", h.p.event.off = 54);
    DENIED("a group over the end", h.p.group.off = 60);
    DENIED("a node over the end", h.nodes[0].len = 65);
    DENIED("a source over the end", h.p.n_segment = 0; h.names[0].len = 65);
    DENIED("a segment over the end", h.p.n_source = 0; h.names[0].len = 65);
    DENIED("a counter's key over the end", h.counters[0].key.len = 65);
    DENIED("a counter's event over the end", h.counters[0].event.len = 65);
    DENIED("a counter's fact over the end", h.counters[0].fact.len = 65);
    DENIED("a second counter's key over the end", h.p.n_counter = 2;
           h.counters[1].key.len = 65);
    DENIED("no such list", h.lists[0].slot = cat->n);
    DENIED("no such list, the second", h.p.n_list = 2;
           h.lists[1].slot = cat->n);
    DENIED("a list that is none", h.lists[0].slot = RULE_F_ORDER_TOTAL);
    DENIED("a field that is none", h.lists[0].fields = 1u << RULE_L_N);
    TAKEN("all fields", h.lists[0].fields = (1u << RULE_L_N) - 1);
}


static void
constants(void)
{
    hand_t       h;
    ly_int128_t  limit;

    limit = (ly_int128_t) 10000000000000000000ULL
            * (ly_int128_t) 10000000000000000000ULL;

    DENIED("a bool of 2", memset(&h.consts[K_TRUE].u, 2, 1));
    DENIED("a kind that is none", h.consts[K_NUM].kind = RULE_K_LIST + 1);
    DENIED("missing is no constant", h.consts[K_NUM].kind = RULE_K_MISSING);
    DENIED("nor is invalid", h.consts[K_NUM].kind = RULE_K_INVALID);
    DENIED("19 places", h.consts[K_TWO].scale = 19);
    TAKEN("18 places", h.consts[K_TWO].scale = 18);
    DENIED("10^38", h.consts[K_TWO].u.coef = limit);
    TAKEN("10^38 - 1", h.consts[K_TWO].u.coef = limit - 1);
    DENIED("-10^38", h.consts[K_MONEY].u.coef = -limit);
    TAKEN("1 - 10^38", h.consts[K_MONEY].u.coef = 1 - limit);
    DENIED("before year 1", h.consts[K_INSTANT].u.i = LY_TIME_MIN - 1);
    DENIED("after year 9999", h.consts[K_INSTANT].u.i = LY_TIME_MAX + 1);
    TAKEN("the first instant", h.consts[K_INSTANT].u.i = LY_TIME_MIN);
    TAKEN("the last instant", h.consts[K_INSTANT].u.i = LY_TIME_MAX);
    DENIED("a date before year 1", h.consts[K_DATE].u.i = -719163);
    DENIED("a date after year 9999", h.consts[K_DATE].u.i = 2932897);
    TAKEN("the first date", h.consts[K_DATE].u.i = -719162);
    TAKEN("the last date", h.consts[K_DATE].u.i = 2932896);
    DENIED("a place below 0", h.consts[K_ENUM].u.i = -1);
    DENIED("a place of 1000", h.consts[K_ENUM].u.i = RULE_LIST_MAX);
    TAKEN("a place of 999", h.consts[K_ENUM].u.i = RULE_LIST_MAX - 1);

#define TEXT(at)                                                              \
    h.consts[K_STR].u.s = (const unsigned char *) (uintptr_t) (at)

    DENIED("a text before the texts", TEXT(h.p.off_text - 1));
    DENIED("a text behind them", TEXT(h.p.off_text + 65));
    DENIED("a text over their end", TEXT(h.p.off_text + 64));
    TAKEN("a text at their beginning", TEXT(h.p.off_text));
    TAKEN("an empty text at their end", TEXT(h.p.off_text + 64);
          h.consts[K_STR].n = 0);

#undef CELLS
#define CELLS(at)                                                             \
    h.consts[K_LIST].u.l.cells = (const rule_val_t *) (uintptr_t) (at)

    DENIED("a list of pairs", h.consts[K_LIST].stride = 2);
    DENIED("a list with an index",
           h.consts[K_LIST].u.l.index = (const uint32_t *) (uintptr_t) 16);
    DENIED("a list before the constants",
           CELLS(h.p.off_const - sizeof(rule_val_t)));
    DENIED("a list between constants", CELLS(h.p.off_const + 16));
    DENIED("a list behind the constants",
           CELLS(h.p.off_const + (K_N + 1) * sizeof(rule_val_t));
           h.consts[K_LIST].n = 0);
    DENIED("a list over their end",
           CELLS(h.p.off_const + (K_N - 1) * sizeof(rule_val_t)));
}


static void
effects(void)
{
    hand_t           h;
    rule_peffect_t  *e = &h.effects[0];

    DENIED("an unknown effect", e->type = RULE_E_N);
    DENIED("an unknown rounding", e->rounding = LY_ROUND_HALF_EVEN + 1);
    TAKEN("the last rounding", e->rounding = LY_ROUND_HALF_EVEN);
    DENIED("a wallet over the end", e->wallet.len = 65);
    DENIED("a pointer over the end", e->pointer.len = 65);
    DENIED("points that are none", e->points = K_N);
    DENIED("points that are a text", e->points = K_STR);
    DENIED("a divisor that is none", e->per = K_N);
    DENIED("a divisor that is a text", e->per = K_STR);

#define RATE                                                                  \
    e->type = RULE_E_RATE; e->per = K_ONE; e->has_of = 1; e->of_pc = 2

    TAKEN("a rate", RATE);
    DENIED("a rate for each 0", RATE; e->per = K_NUM);
    DENIED("a rate of nothing", RATE; e->has_of = 0);
    DENIED("an amount outside", RATE; e->of_pc = CODE_MAX);
    DENIED("an amount that is a bool", RATE; e->of_pc = 0);
    TAKEN("a rate where", RATE; e->has_of = 0; e->has_where = 1;
          e->where_pc = 4);
    DENIED("where outside", e->has_where = 1; e->where_pc = CODE_MAX);
    DENIED("where that is a number", e->has_where = 1; e->where_pc = 2);
    TAKEN("where in a refund", h.p.refund = 1; e->has_where = 1;
          e->where_pc = 4);
    DENIED("an amount of a line", RATE; e->of_pc = 4);
    DENIED("a bonus without where", e->type = RULE_E_LINE_BONUS);
    TAKEN("a bonus", e->type = RULE_E_LINE_BONUS; e->has_where = 1;
          e->where_pc = 4);
    TAKEN("a multiplier", e->type = RULE_E_MULTIPLIER);

#define TABLE  e->type = RULE_E_TABLE; e->has_of = 1; e->of_pc = 2

    DENIED("a table of nothing", TABLE; e->has_of = 0);
    TAKEN("a table", TABLE; e->step = K_ONE; e->n_steps = 1);
    DENIED("steps outside", TABLE; e->step = K_N + 1);
    DENIED("steps over the end", TABLE; e->step = K_EMPTY; e->n_steps = 1);
    DENIED("steps of texts", TABLE; e->step = K_A; e->n_steps = 1);
    DENIED("half a step", TABLE; e->step = K_THREE; e->n_steps = 1);
    DENIED("a first step that is a text", TABLE; e->step = K_B;
           e->n_steps = 1);

    /* what stands behind the constants would be a number */
#define BEHIND                                                                \
    h.consts[K_EMPTY] = h.consts[K_ONE]; h.nodes[0].off = RULE_K_NUM

    DENIED("points behind the last constant", BEHIND; e->points = K_N);
    DENIED("a divisor behind it", BEHIND; e->per = K_N);
    DENIED("half a step at the end", BEHIND; TABLE; e->step = K_EMPTY;
           e->n_steps = 1);
}


static void
lead(void)
{
    size_t           n, denied;
    hand_t           h;
    ly_err_t         err;
    ly_arena_t      *a;
    rule_program_t  *p;
    unsigned char    bytes[LEAD + sizeof(hand_t)];

    hand(&h);
    is_int(load(&h, sizeof(h.p) - 1), LY_DENIED, "shorter than a head");
    is_int(load(&h, sizeof(h.p)), LY_DENIED, "nothing but a head");
    is_int(load(&h, sizeof(h) - 16), LY_DENIED, "shorter than it says");

    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, "LYR1\0\0\0\1", 8);
    memcpy(bytes + LEAD, &h, sizeof(h));
    is_int(rule_program_load(arena, ly_str_of(bytes, sizeof(bytes)), cat, &p),
           LY_DENIED, "no checksum");
    ok(rule_digest(ly_str_of(bytes + LEAD, sizeof(h)), bytes + 8) == LY_OK,
       "a checksum");
    is_int(rule_program_load(arena, ly_str_of(bytes, sizeof(bytes)), cat, &p),
           LY_OK, "the right one");
    bytes[7] = 2;
    is_int(rule_program_load(arena, ly_str_of(bytes, sizeof(bytes)), cat, &p),
           LY_DENIED, "another layout");
    bytes[7] = 1;
    bytes[3] = '2';
    is_int(rule_program_load(arena, ly_str_of(bytes, sizeof(bytes)), cat, &p),
           LY_DENIED, "another magic");
    bytes[3] = '1';

    a = ly_arena_create(LY_ARENA_MIN, NULL);
    is_int(rule_program_load(a, ly_str_of(bytes, sizeof(bytes)), cat, &p),
           LY_NOMEM, "no room for it");
    ly_arena_destroy(a);

    /* wherever the room for its proof ends */
    err = LY_NOMEM;
    denied = 0;

    for (n = LY_ARENA_MIN; err != LY_OK && n < 65536; n += 16) {
        a = ly_arena_create(n, NULL);
        err = rule_program_load(a, ly_str_of(bytes, sizeof(bytes)), cat, &p);
        denied += err == LY_DENIED;
        ly_arena_destroy(a);
    }

    ok(err == LY_OK && denied > 0, "%zu times no room for its proof", denied);
}


/*
 * What a loaded program says: a base without a rate answers nothing, though a
 * rate stands behind its effects, and what is relocated ends with the
 * constants.
 */
static void
answers(void)
{
    hand_t           h;
    int64_t          points;
    ly_buf_t         at, beside;
    rule_program_t  *p;
    unsigned char    bytes[LEAD + sizeof(hand_t)];

    hand(&h);
    h.p.base = 1;
    h.effects[1].type = RULE_E_RATE;
    h.effects[1].points = K_ONE;
    h.effects[1].per = K_ONE;
    h.effects[1].has_of = 1;
    h.effects[1].of_pc = 2;
    h.nodes[0].off = RULE_K_STR;
    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, "LYR1\0\0\0\1", 8);
    memcpy(bytes + LEAD, &h, sizeof(h));

    if (rule_digest(ly_str_of(bytes + LEAD, sizeof(h)), bytes + 8) != LY_OK
        || rule_program_load(arena, ly_str_of(bytes, sizeof(bytes)), cat, &p)
        != LY_OK)
    {
        ok(false, "a base without a rate is loaded");
        return;
    }

    is_int(rule_refund_points(p, ly_dec_int(5), &points), LY_DENIED,
           "a base without a rate");
    is_str(rule_program_wallet(p, 0), ly_str("order"),
           "behind the constants nothing is moved");

    ly_buf_init_arena(&at, arena, 1 << 20);
    ly_buf_init_arena(&beside, arena, 1 << 20);
    ly_buf_byte(&beside, 'x');
    ok(rule_program_save(p, &at) == LY_OK
       && rule_program_save(p, &beside) == LY_OK
       && ly_str_eq(ly_buf_view(&at), ly_str_of(beside.data + 1,
                                                beside.len - 1))
       && at.len == sizeof(bytes) && memcmp(at.data, bytes, at.len) == 0,
       "saved as it was, a byte beside as well");
}


/* --- every byte, with a checksum that is right again --- */

static const char *const  rules[] = {
    "{'and':[{'some':[{'filter':[{'var':'order.lines'},{'>':[{'var':'quantity'"
    "},{'var':'order.line_count'}]}]},{'in':['home',{'var':'categories'}]}]},"
    "{'>':[{'sum':[{'var':'order.lines'},{'var':'total'}]},10]}]}",
    "{'if':[{'segment':['vip','new']},{'<':[{'count_in_window':['order.paid',"
    "'P1D']},3,9]},{'===':[{'var':['member.tier','none']},'gold']}]}",
    "{'or':[{'contains_fold':[{'var':'event.external_id'},'Ab']},{'in':[{'var'"
    ":'member.status'},['a','b','c']]},{'>=':[{'max_by':[{'var':'order.lines'}"
    ",{'var':'total'},{'var':'quantity'}]},{'/':[{'var':'order.quantity'},3,2,"
    "'half_even']}]},{'birthday':[{'var':'member.birthday'},{'plus':['2026-01-"
    "31','P1M']}]}]}"
};


static void
altered(const char *rule)
{
    size_t           i, k, taken, refused, wrong;
    ly_buf_t         b, doc;
    ly_arena_t      *a;
    rule_run_t       run;
    rule_input_t    *in;
    rule_result_t    r;
    rule_options_t   options;
    unsigned char    was, *bytes;
    rule_program_t  *p;

    static const unsigned char  masks[] = { 0x01, 0x80, 0x10, 0xff };
    static const char  event[] = "{'type':'order.paid','source':'shop','extern"
                                 "al_id':'xAB','occurred_at':'2026-03-10T12:0"
                                 "0:00Z','order':{'currency':'GBP','lines':[{"
                                 "'line_id':'1','sku':'A','quantity':3,'unit_"
                                 "price':'10','categories':['home']}]}}";

    ly_buf_init_arena(&doc, arena, 1 << 16);
    ly_buf_cstr(&doc, "{\"trigger\":{\"event\":\"order.paid\",\"sources\":[\"s"
                "hop\"]},\"effects\":[{\"type\":\"rate\",\"wallet\":\"p\",\"po"
                "ints\":1,\"per\":{\"amount\":\"1\"}},{\"type\":\"line_bonus\""
                ",\"wallet\":\"p\",\"points\":2,\"where\":{\">\":[{\"var\":\"t"
                "otal\"},1]}},{\"type\":\"table\",\"wallet\":\"p\",\"of\":\"or"
                "der.quantity\",\"steps\":[{\"from\":1,\"points\":5}]}],\"cond"
                "ition\":");
    ly_buf_str(&doc, rl_quoted(arena, rule));
    ly_buf_byte(&doc, '}');
    p = rl_compile(arena, cat, ly_buf_view(&doc), 0);
    ly_buf_init_arena(&b, arena, 1 << 20);

    if (p == NULL || rule_program_save(p, &b) != LY_OK) {
        ok(false, "%s", rule);
        return;
    }

    a = ly_arena_create((size_t) 4 << 20, NULL);
    bytes = ly_arena_alloc(arena, b.len);
    memcpy(bytes, b.data, b.len);
    taken = refused = wrong = 0;

    for (i = LEAD; i < b.len; i++) {
        for (k = 0; k < ly_countof(masks); k++) {
            ly_arena_reset(a);
            was = bytes[i];
            bytes[i] ^= masks[k];

            if (rule_digest(ly_str_of(bytes + LEAD, b.len - LEAD), bytes + 8)
                == LY_OK
                && rule_program_load(a, ly_str_of(bytes, b.len), cat, &p)
                == LY_OK)
            {
                taken++;
                memset(&run, 0, sizeof(run));
                memset(&options, 0, sizeof(options));
                options.trace = true;
                run.program = p;
                wrong += rule_input_create(a, cat, NULL, ly_str(""), &in)
                         != LY_OK
                         || rule_input_event(in, rl_quoted(arena, event))
                         != LY_OK
                         || rule_evaluate(a, in, &run, 1, &options, &r)
                         != LY_OK
                         || (r.outcome == RULE_ERROR && r.points != 0);

            } else {
                refused++;
            }

            bytes[i] = was;
        }
    }

    ok(wrong == 0 && taken > 0 && refused > taken / 4,
       "%zu altered programs refused, %zu run and end", refused, taken);
    ly_arena_destroy(a);
}


/* a save at any place of a buffer is the same */
static void
placed(void)
{
    static unsigned char  room[1 << 16];
    static const char     rule[] =
        "{'or':[{'some':[['a','b'],{'===':[{'var':''},{'var':'member.tier'}]}]"
        "},{'segment':['vip','new']},{'<':[{'var':'order.line_count'},3]}]}";

    size_t           i;
    ly_buf_t         b, c;
    rule_program_t  *p;

    p = rl_compile(arena, cat,
                   rl_condition(arena, rl_quoted(arena, rule)), 0);
    ly_buf_init_arena(&b, arena, 1 << 20);

    if (p == NULL || rule_program_save(p, &b) != LY_OK) {
        ok(false, "saved");
        return;
    }

    for (i = 1; i < 4; i++) {
        ly_buf_init_arena(&c, arena, 1 << 20);
        ly_buf_put(&c, "abc", i);
        ok(rule_program_save(p, &c) == LY_OK
           && ly_str_eq(ly_str_of(c.data + i, c.len - i), ly_buf_view(&b)),
           "saved %zu bytes further on", i);
    }

    /* nothing of what the room held before is in it */
    ly_buf_init_fixed(&c, room, sizeof(room));
    memset(room, 0xff, sizeof(room));
    ok(rule_program_save(p, &c) == LY_OK
       && ly_str_eq(ly_buf_view(&c), ly_buf_view(&b))
       && memcmp(c.data + LEAD - 8, "\0\0\0\0\0\0\0\0", 8) == 0,
       "each byte is written");

    ly_buf_init_arena(&c, arena, 64);
    is_int(rule_program_save(p, &c), LY_LIMIT, "a buffer that is too small");
}


int
main(void)
{
    size_t  i;

    arena = ly_arena_create((size_t) 512 << 20, NULL);

    if (arena == NULL || rule_catalogue_default(arena, &cat) != LY_OK) {
        return 1;
    }

    lead();
    behind();
    tables();
    constants();
    effects();
    code();
    answers();
    placed();

    for (i = 0; i < ly_countof(rules); i++) {
        altered(rules[i]);
    }

    ly_arena_destroy(arena);

    return tap_done();
}
