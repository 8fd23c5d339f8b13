/*
 * What the files of the engine share: values, types, the catalogue, the tree
 * of a parsed rule, and the program's layout.
 */

#ifndef RULE_INT_H_INCLUDED_
#define RULE_INT_H_INCLUDED_

#include <endian.h>
#include <string.h>

#include "rule.h"


/* --- values ----------------------------------------------------------- */

typedef enum {
    RULE_K_MISSING = 0,
    RULE_K_INVALID,         /* present, but not of its type */
    RULE_K_BOOL,
    RULE_K_NUM,             /* int and decimal, in minimal form */
    RULE_K_MONEY,           /* n: the currency; 0: whatever stands beside */
    RULE_K_STR,
    RULE_K_INSTANT,         /* i: microseconds */
    RULE_K_DATE,            /* i: days since 1970-01-01 */
    RULE_K_ENUM,            /* i: ordinal */
    RULE_K_LIST             /* n elements of stride values each */
} rule_kind_e;

typedef struct rule_val_s  rule_val_t;

struct rule_val_s {
    uint8_t                   kind;
    uint8_t                   scale;    /* RULE_K_NUM, RULE_K_MONEY */
    uint16_t                  stride;   /* RULE_K_LIST */
    uint32_t                  n;        /* bytes, elements, or currency */
    union {
        bool                  b;
        int64_t               i;
        const unsigned char  *s;
        struct {
            const rule_val_t  *cells;
            const uint32_t    *index;   /* of elements; NULL: all in order */
        }                     l;
        ly_int128_t           coef;
    } u;
};


static inline ly_dec_t
rule_dec(const rule_val_t *v)
{
    ly_dec_t  d;

    d.coef = v->u.coef;
    d.scale = v->scale;

    return d;
}


static inline void
rule_set_num(rule_val_t *v, ly_dec_t d)
{
    v->kind = RULE_K_NUM;
    v->scale = (uint8_t) d.scale;
    v->stride = 0;
    v->n = 0;
    v->u.coef = d.coef;
}


static inline void
rule_set_int(rule_val_t *v, int64_t i)
{
    v->kind = RULE_K_NUM;
    v->scale = 0;
    v->stride = 0;
    v->n = 0;
    v->u.coef = i;
}


static inline void
rule_set_bool(rule_val_t *v, bool b)
{
    v->kind = RULE_K_BOOL;
    v->u.b = b;
}


static inline void
rule_set_str(rule_val_t *v, ly_str_t s)
{
    v->kind = RULE_K_STR;
    v->n = (uint32_t) s.len;
    v->u.s = s.data;
}


static inline ly_str_t
rule_str(const rule_val_t *v)
{
    ly_str_t  s;

    s.len = v->n;
    s.data = v->u.s;

    return s;
}


/*
 * Are n bytes the same.  Names are short: their first and their last bytes,
 * which overlap, are compared without a call.
 */
static inline bool
rule_same_bytes(const unsigned char *a, const unsigned char *b, size_t n)
{
    uint32_t  x4, y4, u4, v4;
    uint64_t  x8, y8, u8, v8;

    if (n > 16) {
        return memcmp(a, b, n) == 0;
    }

    if (n >= 8) {
        memcpy(&x8, a, 8);
        memcpy(&y8, b, 8);
        memcpy(&u8, a + n - 8, 8);
        memcpy(&v8, b + n - 8, 8);

        return ((x8 ^ y8) | (u8 ^ v8)) == 0;
    }

    if (n >= 4) {
        memcpy(&x4, a, 4);
        memcpy(&y4, b, 4);
        memcpy(&u4, a + n - 4, 4);
        memcpy(&v4, b + n - 4, 4);

        return ((x4 ^ y4) | (u4 ^ v4)) == 0;
    }

    return n == 0 || (a[0] == b[0] && a[n / 2] == b[n / 2]
                      && a[n - 1] == b[n - 1]);
}


static inline bool
rule_same_text(ly_str_t a, ly_str_t b)
{
    return a.len == b.len && rule_same_bytes(a.data, b.data, a.len);
}


/* kept apart, so that the usual way beside it has no registers to save */
#define rule_apart  __attribute__((noinline))


/*
 * The first byte in p..end that a JSON string cannot hold as it is: a quote, a
 * backslash, a control; end if there is none.  Eight bytes at a time, by the
 * borrow that a byte below the bound takes from its own high bit.
 */
static inline const unsigned char *
rule_plain(const unsigned char *p, const unsigned char *end)
{
    uint64_t        w, hit;
    const uint64_t  ones = 0x0101010101010101ULL;

    while (end - p >= 8) {
        memcpy(&w, p, 8);
        w = le64toh(w);
        hit = ((w - ones * 0x20) | ((w ^ ones * '"') - ones)
               | ((w ^ ones * '\\') - ones)) & ~w & ones * 0x80;

        if (hit != 0) {
            return p + __builtin_ctzll(hit) / 8;
        }

        p += 8;
    }

    while (p < end && *p >= 0x20 && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


/* three capital letters as one number, and back; 0: none */
uint32_t rule_currency(ly_str_t s);

static inline void
rule_currency_text(uint32_t currency, unsigned char out[3])
{
    out[0] = (unsigned char) (currency >> 16);
    out[1] = (unsigned char) (currency >> 8);
    out[2] = (unsigned char) currency;
}


/* decimal places of the currency's minor unit (ISO 4217) */
unsigned rule_currency_places(uint32_t currency);

/*
 * A number's text, minimal form out; exponent allowed when json.  LY_PARSE,
 * LY_OVERFLOW.
 */
ly_must_check ly_err_t rule_num_parse(ly_str_t s, bool json, ly_dec_t *out);

/*
 * Checked arithmetic on minimal forms; results are minimal; else overflow.  A
 * sum takes its numbers in parts, which come in registers.
 */
ly_must_check bool rule_num_sum(ly_int128_t a, unsigned a_scale,
    ly_int128_t b, unsigned b_scale, ly_dec_t *out);
ly_must_check bool rule_num_mul(ly_dec_t a, ly_dec_t b, ly_dec_t *out);
int rule_num_cmp(ly_dec_t a, ly_dec_t b);

/* the minimal form: without the zeros that end the places */
ly_dec_t rule_num_zeros(ly_dec_t a);

static inline ly_dec_t
rule_num_strip(ly_dec_t a)
{
    /* what is odd does not end in a zero */
    return a.scale == 0 || (a.coef & 1) != 0 ? a : rule_num_zeros(a);
}


static inline ly_must_check bool
rule_num_add(ly_dec_t a, ly_dec_t b, ly_dec_t *out)
{
    return rule_num_sum(a.coef, a.scale, b.coef, b.scale, out);
}


/* 10^n, as far as 64 bits hold it */
#define RULE_POW10_N  19
extern const int64_t  rule_pow10[RULE_POW10_N];


/* --- types and the catalogue ------------------------------------------ */

typedef enum {
    RULE_T_NONE = 0,        /* not known: a fault was reported */
    RULE_T_INT,
    RULE_T_DEC,
    RULE_T_MONEY,
    RULE_T_STR,
    RULE_T_BOOL,
    RULE_T_INSTANT,
    RULE_T_DATE,
    RULE_T_ENUM,
    RULE_T_LIST,            /* of structs */
    RULE_T_SLIST,           /* of strings */
    RULE_T_STRUCT,          /* an element of a list of structs */
    RULE_T_CLIST,           /* a list of literals */
    RULE_T_LNUM,            /* a number whose type is not settled yet */
    RULE_T_LSTR             /* a text likewise */
} rule_type_e;

const char *rule_type_name(unsigned type);


typedef struct rule_fact_s  rule_fact_t;

struct rule_fact_s {
    ly_str_t      name;
    ly_str_t      key;          /* the name as a member's: quoted, a colon */
    ly_str_t      path;
    ly_str_t      unit;
    uint8_t       type;         /* rule_type_e */
    uint8_t       state;        /* from the state, not from the event */
    uint8_t       nullable;
    uint8_t       ordered;
    uint8_t       computed;
    uint8_t       elem;         /* of a list of literals or strings */
    uint32_t      currency;     /* 0: the event's */
    int32_t       also;         /* another fact of the same path, or -1 */
    ly_str_t     *values;       /* enum */
    uint32_t      n_values;
    rule_fact_t  *fields;       /* list of structs */
    uint32_t      n_fields;
    uint32_t     *by_name;      /* the fields, sorted */
};


/* where a document's members go */
typedef struct rule_trie_s  rule_trie_t;

struct rule_trie_s {
    ly_str_t      key;
    int32_t       slot;         /* -1: only a way to others */
    uint32_t      at;           /* among the members of its object */
    rule_trie_t  *child;
    rule_trie_t  *next;
};

/* facts of the default catalogue stand first, in this order */
enum {
    RULE_F_EVENT_TYPE = 0,
    RULE_F_EVENT_SOURCE,
    RULE_F_EVENT_EXTERNAL_ID,
    RULE_F_EVENT_OCCURRED_AT,
    RULE_F_NOW,
    RULE_F_ORDER_CURRENCY,
    RULE_F_ORDER_TOTAL,
    RULE_F_ORDER_LINE_COUNT,
    RULE_F_ORDER_QUANTITY,
    RULE_F_ORDER_LINES,
    RULE_F_REFUND_ORDER,
    RULE_F_REFUND_CURRENCY,
    RULE_F_REFUND_TOTAL,
    RULE_F_REFUND_LINE_COUNT,
    RULE_F_REFUND_QUANTITY,
    RULE_F_REFUND_LINES,
    RULE_F_MEMBER_STATUS,
    RULE_F_MEMBER_TIER,
    RULE_F_MEMBER_SEGMENTS,
    RULE_F_MEMBER_ACHIEVEMENTS,
    RULE_F_MEMBER_ENROLLED_AT,
    RULE_F_MEMBER_BIRTHDAY,
    RULE_F_BALANCE_AVAILABLE,
    RULE_F_BALANCE_PENDING,
    RULE_F_BALANCE_HELD,
    RULE_F_BALANCE_DEBT,
    RULE_F_BALANCE_EARNED,
    RULE_F_BALANCE_SPENT,
    RULE_F_DEFAULT_N
};

/* fields of a line */
enum {
    RULE_L_LINE_ID = 0,
    RULE_L_SKU,
    RULE_L_QUANTITY,
    RULE_L_UNIT_PRICE,
    RULE_L_DISCOUNT,
    RULE_L_TOTAL,
    RULE_L_CATEGORIES,
    RULE_L_N
};


typedef struct {
    uint16_t  *slot;
    uint32_t   n;
} rule_slots_t;

struct rule_catalogue_s {
    rule_fact_t    *facts;
    uint32_t        n;
    uint32_t       *by_name;    /* the facts, sorted */
    uint16_t       *rank;       /* of a slot among them */
    rule_slots_t    all[2];     /* facts of the event, of the state */
    rule_slots_t    money[2];
    rule_slots_t    lists[2];   /* of structs that hold money */
    rule_trie_t     event;
    rule_trie_t     state;
    unsigned char   digest[RULE_DIGEST_LEN];
    unsigned char   hex[2 * RULE_DIGEST_LEN];
};

/* a digest in lower-case hex, 2 * RULE_DIGEST_LEN bytes */
void rule_hex(const unsigned char *digest, unsigned char *out);

/* slot of a fact, or -1 */
int32_t rule_catalogue_find(const rule_catalogue_t *c, ly_str_t name);
int32_t rule_field_find(const rule_fact_t *list, ly_str_t name);


struct rule_input_s {
    ly_arena_t              *arena;
    const rule_catalogue_t  *catalogue;
    const ly_zone_t         *zone;
    ly_str_t                 zone_name;
    const rule_counter_t    *counters;
    size_t                   n_counters;
    rule_val_t              *facts;         /* one a slot */
};

/* what follows from the lines; after a document was read */
void rule_input_compute(rule_input_t *in);

/* a scalar's text by its fact's type; INVALID if it is not of it */
void rule_scalar(const rule_fact_t *f, ly_str_t text, bool is_string,
    rule_val_t *out);


/* --- faults ------------------------------------------------------------ */

typedef struct {
    ly_arena_t     *arena;
    rule_faults_t  *faults;
    bool            nomem;
    bool            limit;      /* one of the faults is a bound */
} rule_report_t;

void rule_fault_at(rule_report_t *r, const ly_json_node_t *node,
    const char *code, const char *expected, ly_str_t found);
void rule_fault_json(rule_report_t *r, const ly_json_fault_t *fault);
bool rule_faulty(const rule_report_t *r);

/* SHA-256; LY_NOMEM or LY_FATAL when the library fails */
ly_must_check ly_err_t rule_digest(ly_str_t s,
                                   unsigned char out[RULE_DIGEST_LEN]);


/* --- operators --------------------------------------------------------- */

typedef enum {
    RULE_OP_LIT = 0,
    RULE_OP_LIST,           /* a list of literals */
    RULE_OP_VAR,
    RULE_OP_HAS,
    RULE_OP_MISSING,
    RULE_OP_AND,
    RULE_OP_OR,
    RULE_OP_NOT,
    RULE_OP_IF,
    RULE_OP_EQ,
    RULE_OP_NE,
    RULE_OP_LT,
    RULE_OP_LE,
    RULE_OP_GT,
    RULE_OP_GE,
    RULE_OP_BETWEEN,
    RULE_OP_IN,
    RULE_OP_ADD,
    RULE_OP_SUB,
    RULE_OP_MUL,
    RULE_OP_DIV,
    RULE_OP_MOD,
    RULE_OP_ABS,
    RULE_OP_MIN,
    RULE_OP_MAX,
    RULE_OP_ROUND,
    RULE_OP_MONEY,
    RULE_OP_CONTAINS,
    RULE_OP_STARTS,
    RULE_OP_ENDS,
    RULE_OP_EQUALS_FOLD,
    RULE_OP_CONTAINS_FOLD,
    RULE_OP_STARTS_FOLD,
    RULE_OP_ENDS_FOLD,
    RULE_OP_FOLD,
    RULE_OP_LENGTH,
    RULE_OP_SOME,
    RULE_OP_ALL,
    RULE_OP_NONE,
    RULE_OP_COUNT,
    RULE_OP_SUM,
    RULE_OP_FILTER,
    RULE_OP_MAX_BY,
    RULE_OP_MIN_BY,
    RULE_OP_DISTINCT,
    RULE_OP_DATE,
    RULE_OP_WEEKDAY,
    RULE_OP_HOUR,
    RULE_OP_MINUTE,
    RULE_OP_DAY,
    RULE_OP_MONTH,
    RULE_OP_YEAR,
    RULE_OP_DAYS_BETWEEN,
    RULE_OP_MONTHS_BETWEEN,
    RULE_OP_BIRTHDAY,
    RULE_OP_PLUS,
    RULE_OP_MINUS,
    RULE_OP_TIER,
    RULE_OP_SEGMENT,
    RULE_OP_ACHIEVEMENT,
    RULE_OP_COUNT_WINDOW,
    RULE_OP_SUM_WINDOW,
    RULE_OP_N,

    /* of the machine only */
    RULE_I_CONST = RULE_OP_N,
    RULE_I_FACT,
    RULE_I_FIELD,           /* of the innermost element */
    RULE_I_ELEMENT,         /* the innermost element itself */
    RULE_I_DEFAULT,         /* the constant, if the top is missing */
    RULE_I_PRESENT,         /* fact a is there */
    RULE_I_PRESENT_FIELD,
    RULE_I_ALL_TRUE,        /* of argc bools; flag 1: negated */
    RULE_I_JUMP,
    RULE_I_JUMP_FALSE,      /* pops */
    RULE_I_KEEP_FALSE,      /* jumps and keeps false, else pops */
    RULE_I_KEEP_TRUE,
    RULE_I_BOOL,            /* end of and, or, if: missing bool is false */
    RULE_I_IF_END,
    RULE_I_IN_LIST,
    RULE_I_MEETS,           /* do two lists share an element */
    RULE_I_EACH,
    RULE_I_NEXT,
    RULE_I_COUNTER,
    RULE_I_END,
    RULE_I_N
} rule_op_e;

typedef struct {
    const char  *name;
    uint16_t     min;
    uint16_t     max;       /* 0: no bound but that of nodes */
} rule_op_t;

extern const rule_op_t  rule_ops[RULE_OP_N];

/* by name, aliases too; RULE_OP_LIT if there is none */
unsigned rule_op_find(ly_str_t name);


/* --- the tree of a parsed rule ------------------------------------------ */

typedef struct rule_ast_s  rule_ast_t;

struct rule_ast_s {
    uint8_t                op;
    uint8_t                type;        /* rule_type_e */
    uint8_t                reads;       /* 1: facts, 2: the element */
    uint8_t                local;       /* var: of the element */
    bool                   bad;         /* a fault was reported below */
    uint8_t                round;       /* div, round: ly_round_e */
    uint8_t                places;
    uint32_t               currency;    /* money: 0 not known */
    int32_t                slot;        /* var: fact or field, -1 element;
                                           counters: index */
    uint32_t               n;
    rule_ast_t           **arg;
    ly_str_t               name;        /* var */
    rule_val_t             value;       /* literal, list: the cells */
    const rule_fact_t     *fact;        /* what it is: enum, list, struct */
    const ly_json_node_t  *json;
};

/* the normal form of a document of RULE_DOCUMENT_MAX bytes is below it */
#define RULE_NORMAL_MAX     ((size_t) 4 << 20)

#define RULE_READS_FACTS    1
#define RULE_READS_ELEMENT  2


typedef enum {
    RULE_E_FIXED = 0,
    RULE_E_RATE,
    RULE_E_LINE_BONUS,
    RULE_E_TABLE,
    RULE_E_MULTIPLIER,
    RULE_E_N
} rule_effect_e;

extern const char *const  rule_effect_names[RULE_E_N];

typedef struct {
    ly_dec_t  from;
    int64_t   points;
} rule_step_t;

typedef struct {
    uint8_t      type;
    uint8_t      rounding;
    uint8_t      unit;          /* line_bonus: per unit, not per line */
    uint32_t     currency;      /* rate: per.currency, or 0 */
    ly_str_t     wallet;
    ly_dec_t     points;        /* or factor */
    ly_dec_t     per;
    rule_ast_t  *of;
    rule_ast_t  *where;
    rule_step_t *steps;
    uint32_t     n_steps;
} rule_def_effect_t;

/* a rule document, checked */
typedef struct {
    ly_str_t            event;
    ly_str_t           *sources;
    uint32_t            n_sources;      /* 0: any */
    rule_ast_t         *condition;
    rule_def_effect_t  *effects;
    uint32_t            n_effects;
    int64_t             per_event;      /* -1: none */
    int64_t             per_member;
    int64_t             per_period;
    uint8_t             period;
    int32_t             priority;
    ly_str_t            group;
    uint8_t             mode;
    bool                has_schedule;
    int64_t             starts_at;      /* INT64_MIN: none */
    int64_t             ends_at;        /* INT64_MAX: none */
    ly_str_t           *segments;
    uint32_t            n_segments;     /* 0: any */
    bool                base;
    bool                refund;         /* the trigger's event is a refund */
} rule_def_t;


typedef struct {
    ly_str_t  key;
    ly_str_t  event;
    ly_str_t  fact;
    int64_t   window_us;
} rule_def_counter_t;

/* one document on its way to a program */
typedef struct {
    ly_arena_t              *arena;
    const rule_catalogue_t  *catalogue;
    rule_report_t            report;
    unsigned                 flags;
    uint32_t                 n_nodes;
    bool                     nodes_told;
    rule_def_t               def;
    rule_def_counter_t      *counters;
    uint32_t                 n_counters;
} rule_ctx_t;

extern const char *const  rule_stack_names[4];
extern const char *const  rule_period_names[5];

/* document to tree; faults in the report */
ly_must_check ly_err_t rule_parse(rule_ctx_t *x, ly_str_t json);

/* the tree of a condition or expression; NULL with a fault or nomem */
rule_ast_t *rule_parse_node(rule_ctx_t *x, const ly_json_node_t *json,
    unsigned depth);

/* types, literals, names; list is the element's fact inside a body */
void rule_check(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list);
void rule_check_bool(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list);
void rule_check_number(rule_ctx_t *x, rule_ast_t *t, const rule_fact_t *list);

/* 1 to 64 bytes of a-z 0-9 _ and . */
bool rule_event_type(ly_str_t s);

/* folds constants in place; const.error */
void rule_fold(rule_ctx_t *x, rule_ast_t **t);

/* parse, check, write the normal form, fold */
ly_must_check ly_err_t rule_front(rule_ctx_t *x, ly_str_t json,
    const rule_catalogue_t *c, ly_buf_t *normal, rule_faults_t *faults);

/* normal form of the checked document, canonical JSON */
void rule_normal_print(const rule_ctx_t *x, ly_buf_t *b);

/* a duration's parts; false if it is not of the form */
typedef struct {
    int32_t  months;
    int64_t  days;
    int64_t  us;
    bool     has_time;
} rule_duration_t;

bool rule_duration_parse(ly_str_t s, rule_duration_t *out);

/* simple case folding into out (3 bytes a byte of s at most); its length */
size_t rule_casefold(ly_str_t s, unsigned char *out);


/* --- programs ------------------------------------------------------------ */

#define RULE_NODE_NONE  0xffff

typedef struct {
    uint8_t   op;
    uint8_t   argc;
    uint8_t   flags;
    uint8_t   x;            /* scale, operator of a loop */
    uint16_t  node;         /* index of the traced node, RULE_NODE_NONE */
    uint16_t  a;            /* slot, constant, counter, rounding */
    uint32_t  b;            /* jump target */
} rule_ins_t;

#define RULE_IN_MONEY  1    /* operands are money */
#define RULE_IN_NEG    2
#define RULE_IN_DATE   4    /* the operand is a date */

typedef struct {
    uint32_t  off;
    uint32_t  len;
} rule_text_t;

typedef struct {
    uint8_t      type;
    uint8_t      rounding;
    uint8_t      unit;
    uint8_t      has_of;
    uint8_t      has_where;
    uint32_t     currency;
    uint32_t     of_pc;
    uint32_t     where_pc;
    uint32_t     step;          /* first constant; pairs from, points */
    uint32_t     n_steps;
    rule_text_t  wallet;
    rule_text_t  pointer;       /* of "of", for errors */
    uint32_t     points;        /* constants */
    uint32_t     per;
} rule_peffect_t;

typedef struct {
    rule_text_t  key;
    rule_text_t  event;
    rule_text_t  fact;
    int64_t      window_us;
} rule_pcounter_t;

/* a list fact that the program reads, and its fields */
typedef struct {
    uint32_t  slot;
    uint32_t  pad;
    uint64_t  fields;
} rule_plist_t;

/* all offsets are from the program's first byte */
struct rule_program_s {
    uint32_t         size;
    uint32_t         n_ins, off_ins;
    uint32_t         n_const, off_const;
    uint32_t         n_node, off_node;          /* rule_text_t, quoted JSON */
    uint32_t         n_effect, off_effect;
    uint32_t         n_counter, off_counter;
    uint32_t         n_list, off_list;
    uint32_t         n_source, off_source;      /* rule_text_t */
    uint32_t         n_segment, off_segment;
    uint32_t         n_text, off_text;
    uint32_t         stack;                     /* values needed */
    uint32_t         loops;                     /* frames needed */
    uint32_t         n_facts;                   /* of the catalogue */
    int32_t          priority;
    uint8_t          mode, period, base, refund;
    uint8_t          calendar, only_multiplies, trivial, pad;
    rule_text_t      event;
    rule_text_t      group;
    int64_t          per_event, per_member, per_period;
    int64_t          starts_at, ends_at;
    unsigned char    digest[RULE_DIGEST_LEN];
    unsigned char    catalogue[RULE_DIGEST_LEN];
};

#define rule_at(p, off, type)                                                 \
    ((const type *) (const void *) ((const unsigned char *) (p) + (off)))

static inline ly_str_t
rule_ptext(const rule_program_t *p, rule_text_t t)
{
    ly_str_t  s;

    s.len = t.len;
    s.data = (const unsigned char *) p + p->off_text + t.off;

    return s;
}


/* is the code safe to run: depth, jumps, operands; false for lack of memory */
bool rule_code_ok(ly_arena_t *a, const rule_program_t *p,
    const rule_catalogue_t *c);

/* code of one tree alone, ended by RULE_I_END, for folding */
ly_must_check ly_err_t rule_emit_tree(rule_ctx_t *x, rule_ast_t *t,
    rule_program_t **out);


/* --- the machine ------------------------------------------------------- */

typedef struct {
    uint16_t    node;
    uint8_t     missing;        /* a predicate false for a missing operand */
    uint8_t     loop;
    uint32_t    n;              /* elements looked at */
    rule_val_t  value;
} rule_record_t;

#define RULE_RECORDS_MAX  256

typedef struct {
    ly_arena_t            *arena;
    const rule_program_t  *program;
    const rule_input_t    *input;       /* NULL: constants only */
    uint32_t               steps;       /* left */
    rule_val_t            *stack;
    void                  *loops;
    uint64_t               used[(RULE_FACTS_MAX + 63) / 64 + 1];
    uint64_t               counters;    /* read, one bit each */
    rule_record_t         *records;     /* NULL: no trace */
    uint32_t               n_records;
    uint32_t               more;
    uint32_t               error_pc;
} rule_vm_t;

/* bytes of a program's stack and frames */
size_t rule_vm_room(const rule_program_t *p);

/* records when traced; stack has rule_vm_room() bytes, or NULL for own ones */
ly_must_check ly_err_t rule_vm_init(rule_vm_t *vm, ly_arena_t *a,
    const rule_program_t *p, const rule_input_t *in, uint32_t steps,
    bool trace, void *stack);

/*
 * Runs from pc to its end.  cells is the element for a body that stands alone
 * (an effect's where), else NULL.  NULL, or the error's code.
 */
const char *rule_vm_run(rule_vm_t *vm, uint32_t pc, const rule_val_t *cells,
    rule_val_t *out);

/*
 * One calendar instruction; b may be a.  consts hold a duration's months, days
 * and microseconds at the instruction's a.  NULL or the error's code.
 */
const char *rule_calendar(const rule_ins_t *ins, const ly_zone_t *zone,
    const rule_val_t *a, const rule_val_t *b, const rule_val_t *consts,
    rule_val_t *out);

static inline void
rule_vm_use(rule_vm_t *vm, uint32_t slot)
{
    vm->used[slot >> 6] |= (uint64_t) 1 << (slot & 63);
}


/* --- evaluation -------------------------------------------------------- */

/* an effect between its amount and its points */
typedef struct {
    rule_val_t       amount;        /* missing: nothing to count */
    const ly_dec_t  *weights;       /* by line, one scale; NULL: none */
    bool             weighty;       /* their sum is above 0 */
    ly_int128_t      group;         /* G of a multiplier */
} rule_estate_t;

/* one rule on its way through an evaluation */
typedef struct {
    rule_vm_t              vm;
    const rule_program_t  *program;
    const rule_run_t      *run;
    rule_cap_t             own;             /* per_event */
    rule_cap_t            *caps[RULE_CAPS_MAX + 1];
    int64_t                first[RULE_CAPS_MAX + 1];    /* left before */
    int64_t                then[RULE_CAPS_MAX + 1];     /* multipliers */
    uint32_t               n_caps;
    bool                   candidate;
    bool                   ranked;          /* stood to be kept */
    bool                   chosen;          /* was kept */
    bool                   kept;            /* and had no error since */
    rule_result_t         *result;
    rule_effect_t         *effects;
    rule_estate_t         *states;
    uint32_t               lines;           /* slot of the lines' fact */
    size_t                 n_lines;
    int64_t                points;          /* before caps */
} rule_case_t;

/* what a verification takes from the trace instead of from other rules */
typedef struct {
    bool                kept;
    const ly_int128_t  *group;  /* G by effect */
    const int64_t      *then;       /* caps left before multipliers */
} rule_force_t;

ly_must_check ly_err_t rule_evaluate_forced(ly_arena_t *a,
    const rule_input_t *in, const rule_run_t *runs, size_t n,
    const rule_options_t *options, const rule_force_t *force,
    rule_result_t *results);

/* the trace of a finished case */
ly_must_check ly_err_t rule_trace_write(ly_arena_t *a, const rule_input_t *in,
    const rule_case_t *k, ly_str_t *out);

/*
 * The buffer's writes, within what it holds already without a call.  Room for
 * n bytes, or NULL; rule_b_commit() takes the end of what was written there.
 */
static inline unsigned char *
rule_b_room(ly_buf_t *b, size_t n)
{
    return b->err == LY_OK && b->cap - b->len > n ? b->data + b->len
                                                  : ly_buf_reserve(b, n);
}


static inline void
rule_b_commit(ly_buf_t *b, const unsigned char *end)
{
    b->len = (size_t) (end - b->data);
}


static inline void
rule_b_put(ly_buf_t *b, const void *data, size_t n)
{
    unsigned char  *p;

    p = rule_b_room(b, n);

    if (p != NULL && n > 0) {
        memcpy(p, data, n);
        b->len += n;
    }
}


static inline void
rule_b_byte(ly_buf_t *b, unsigned char c)
{
    unsigned char  *p;

    p = rule_b_room(b, 1);

    if (p != NULL) {
        *p = c;
        b->len++;
    }
}


static inline void
rule_b_cstr(ly_buf_t *b, const char *text)
{
    rule_b_put(b, text, strlen(text));
}


/* the text of what is neither text nor list, RULE_VAL_TEXT at most; its end */
#define RULE_VAL_TEXT  (LY_DEC_TEXT + 6)
unsigned char *rule_val_text(const rule_val_t *v, unsigned char *p);

/* a value as traces and normal forms write it */
void rule_val_print(const rule_val_t *v, const rule_fact_t *f, ly_buf_t *b);
void rule_buf_string(ly_buf_t *b, ly_str_t s);
void rule_buf_dec(ly_buf_t *b, ly_dec_t d);


#endif /* RULE_INT_H_INCLUDED_ */
