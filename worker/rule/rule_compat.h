/*
 * Values of the compatible mode: JavaScript's, as far as JSON and JsonLogic
 * reach.  A value is never changed once made; the same address is the same
 * object, as === wants it.
 */

#ifndef RULE_COMPAT_H_INCLUDED_
#define RULE_COMPAT_H_INCLUDED_

#include "rule_int.h"


/* a text's units, a list's elements: what is computed in 32 bits */
#define RULE_JS_UNITS  ((uint64_t) INT32_MAX)

#define rule_none      ly_str_of(NULL, 0)


typedef enum {
    RULE_JS_UNDEFINED = 0,
    RULE_JS_NULL,
    RULE_JS_BOOL,
    RULE_JS_NUMBER,
    RULE_JS_STRING,
    RULE_JS_ARRAY,
    RULE_JS_OBJECT
} rule_js_kind_e;

typedef struct rule_js_s  rule_js_t;

struct rule_js_s {
    uint8_t                  kind;
    bool                     b;
    uint32_t                 n;         /* units, elements, members */
    double                   d;
    const uint16_t          *s;         /* UTF-16, as JavaScript counts */
    const rule_js_t        **e;         /* elements, members' values */
    const rule_js_t        **k;         /* members' names */
};

typedef struct {
    ly_arena_t  *arena;
    const char  *code;          /* the first error; NULL: none */
    ly_str_t     detail;
    uint32_t     steps;         /* left */
} rule_js_ctx_t;

/* each gives NULL after an error, and then sets code */
extern const rule_js_t  rule_js_undefined;
extern const rule_js_t  rule_js_null;
extern const rule_js_t  rule_js_true;
extern const rule_js_t  rule_js_false;
extern const rule_js_t  rule_js_empty;      /* "" */

const rule_js_t *rule_js_fail(rule_js_ctx_t *x, const char *code,
    ly_str_t detail);
const rule_js_t *rule_js_from(rule_js_ctx_t *x, const ly_json_node_t *node);
const rule_js_t *rule_js_number(rule_js_ctx_t *x, double d);
const rule_js_t *rule_js_units(rule_js_ctx_t *x, const uint16_t *s,
    uint32_t n);

/* an array whose n elements are filled in by the caller */
rule_js_t *rule_js_array(rule_js_ctx_t *x, uint32_t n);

static inline const rule_js_t *
rule_js_bool(bool b)
{
    return b ? &rule_js_true : &rule_js_false;
}


/* String(v), Number(v), parseFloat(v) */
const rule_js_t *rule_js_string(rule_js_ctx_t *x, const rule_js_t *v);
double rule_js_to_number(rule_js_ctx_t *x, const rule_js_t *v);
double rule_js_parse_float(rule_js_ctx_t *x, const rule_js_t *v);

/* what `if` of JsonLogic takes for true */
bool rule_js_truthy(const rule_js_t *v);

bool rule_js_same(const rule_js_t *a, const rule_js_t *b);          /* === */
bool rule_js_equal(rule_js_ctx_t *x, const rule_js_t *a,
    const rule_js_t *b);                                            /* == */

/* -1 less, 0 equal, 1 greater, 2 none of these */
int rule_js_relation(rule_js_ctx_t *x, const rule_js_t *a,
    const rule_js_t *b);

/* data[name]; undefined if there is none */
const rule_js_t *rule_js_get(rule_js_ctx_t *x, const rule_js_t *data,
    const uint16_t *name, uint32_t n);

/* JSON.stringify, with null for what JSON has no word for */
void rule_js_print(const rule_js_t *v, ly_buf_t *b);


#endif /* RULE_COMPAT_H_INCLUDED_ */
