/* JavaScript's values: made from JSON, coerced, compared, printed. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "rule_compat.h"
#include "../../common/ly_canon.h"
#include "../../common/ly_banned.h"


static const uint16_t  rule_js_nothing[1];

const rule_js_t  rule_js_undefined = { .kind = RULE_JS_UNDEFINED };
const rule_js_t  rule_js_null = { .kind = RULE_JS_NULL };
const rule_js_t  rule_js_true = { .kind = RULE_JS_BOOL, .b = true };
const rule_js_t  rule_js_false = { .kind = RULE_JS_BOOL, .b = false };
const rule_js_t  rule_js_empty = {
    .kind = RULE_JS_STRING, .s = rule_js_nothing
};


const rule_js_t *
rule_js_fail(rule_js_ctx_t *x, const char *code, ly_str_t detail)
{
    if (x->code == NULL) {
        x->code = code;
        x->detail = detail;
    }

    return NULL;
}


/* counts have 32 bits, so that no size wraps */
static void *
rule_js_alloc(rule_js_ctx_t *x, size_t size)
{
    void  *p;

    p = ly_arena_alloc(x->arena, size);

    if (p == NULL) {
        (void) rule_js_fail(x, "memory.exhausted", rule_none);
    }

    return p;
}


static rule_js_t *
rule_js_new(rule_js_ctx_t *x, uint8_t kind)
{
    rule_js_t  *v;

    v = rule_js_alloc(x, sizeof(*v));

    if (v != NULL) {
        *v = (rule_js_t) { .kind = kind };
    }

    return v;
}


const rule_js_t *
rule_js_number(rule_js_ctx_t *x, double d)
{
    rule_js_t  *v;

    v = rule_js_new(x, RULE_JS_NUMBER);

    if (v != NULL) {
        v->d = d;
    }

    return v;
}


const rule_js_t *
rule_js_units(rule_js_ctx_t *x, const uint16_t *s, uint32_t n)
{
    rule_js_t  *v;

    v = rule_js_new(x, RULE_JS_STRING);

    if (v != NULL) {
        v->s = s;
        v->n = n;
    }

    return v;
}


rule_js_t *
rule_js_array(rule_js_ctx_t *x, uint32_t n)
{
    rule_js_t  *v;

    v = rule_js_new(x, RULE_JS_ARRAY);

    if (v == NULL) {
        return NULL;
    }

    v->n = n;
    v->e = rule_js_alloc(x, n * sizeof(*v->e));

    return v->e == NULL ? NULL : v;
}


static const rule_js_t *
rule_js_utf8(rule_js_ctx_t *x, ly_str_t s)
{
    size_t     i, n, k;
    uint32_t   c, len;
    uint16_t  *u;

    static const unsigned char  lead[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };

    u = rule_js_alloc(x, s.len * sizeof(*u));
    if (u == NULL) {
        return NULL;
    }

    for (i = 0, len = 0; i < s.len; i += n) {
        c = s.data[i];
        n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        c &= lead[n];

        for (k = 1; k < n; k++) {
            c = c << 6 | (s.data[i + k] & 63);
        }

        if (c >= 0x10000) {
            u[len++] = (uint16_t) (0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + (c & 0x3ff);
        }

        u[len++] = (uint16_t) c;
    }

    return rule_js_units(x, u, len);
}


/* a member's name that is an array index, as JavaScript orders them first */
static bool
rule_js_index(const uint16_t *s, uint32_t n, uint32_t *out)
{
    uint64_t  v;
    uint32_t  i;

    if (n == 0 || (n > 1 && s[0] == '0')) {
        return false;
    }

    for (i = 0, v = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') {
            return false;
        }

        v = v * 10 + (s[i] - '0');

        if (v >= UINT32_MAX) {
            return false;
        }
    }

    *out = (uint32_t) v;

    return true;
}


/* indexes rise to the front; the rest stays as it came */
static void
rule_js_member(rule_js_t *v, const rule_js_t *key, const rule_js_t *value)
{
    uint32_t  i, at, other;

    i = v->n++;

    if (rule_js_index(key->s, key->n, &at)) {
        for (/* void */; i > 0; i--) {
            if (rule_js_index(v->k[i - 1]->s, v->k[i - 1]->n, &other)
                && other < at)
            {
                break;
            }

            v->k[i] = v->k[i - 1];
            v->e[i] = v->e[i - 1];
        }
    }

    v->k[i] = key;
    v->e[i] = value;
}


static const rule_js_t *
rule_js_container(rule_js_ctx_t *x, const ly_json_node_t *node)
{
    uint32_t               i;
    rule_js_t             *v;
    const rule_js_t       *key, *value;
    const ly_json_node_t  *n;

    v = rule_js_array(x, node->count);
    if (v == NULL) {
        return NULL;
    }

    if (node->type == LY_JSON_OBJECT) {
        v->kind = RULE_JS_OBJECT;
        v->n = 0;
        v->k = rule_js_alloc(x, node->count * sizeof(*v->k));

        if (v->k == NULL) {
            return NULL;
        }
    }

    for (i = 0, n = node->first; n != NULL; n = n->next, i++) {
        value = rule_js_from(x, n);

        if (value == NULL) {
            return NULL;
        }

        if (v->kind == RULE_JS_ARRAY) {
            v->e[i] = value;
            continue;
        }

        key = rule_js_utf8(x, n->key);

        if (key == NULL) {
            return NULL;
        }

        rule_js_member(v, key, value);
    }

    return v;
}


const rule_js_t *
rule_js_from(rule_js_ctx_t *x, const ly_json_node_t *node)
{
    ly_str_t  text;

    switch (node->type) {

    case LY_JSON_NULL:
        return &rule_js_null;

    case LY_JSON_TRUE:
        return &rule_js_true;

    case LY_JSON_FALSE:
        return &rule_js_false;

    case LY_JSON_NUMBER:
        if (ly_arena_str(x->arena, node->text, &text) != LY_OK) {
            return rule_js_fail(x, "memory.exhausted", rule_none);
        }

        return rule_js_number(x, strtod((const char *) text.data, NULL));

    case LY_JSON_STRING:
        return rule_js_utf8(x, node->text);

    default:
        return rule_js_container(x, node);
    }
}


/* --- to text and to numbers --- */

static bool
rule_js_space(uint16_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0xa0 || c == 0x1680
           || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029
           || c == 0x202f || c == 0x205f || c == 0x3000 || c == 0xfeff;
}


/* a finite number as JavaScript writes it; its length */
static size_t
rule_js_number_text(double d, char *out, size_t size)
{
    char      text[40];
    ly_buf_t  b;

    /* whole digits past 2^53 would be kept as they are: an exponent has the
       number rounded as a double's text is */
    (void) snprintf(text, sizeof(text),
                    fabs(d) < 9007199254740992.0 ? "%.17g" : "%.16e", d);

    ly_buf_init_fixed(&b, out, size);

    /* a finite number always has a text, of 25 bytes at most */
    return ly_canon_number(ly_str_c(text), &b) == LY_OK ? b.len : 0;
}


/* joined by commas; null and undefined leave nothing */
static const rule_js_t *
rule_js_join(rule_js_ctx_t *x, const rule_js_t *v)
{
    uint16_t          *u;
    uint32_t           i;
    uint64_t           n;
    const rule_js_t  **part;

    part = rule_js_alloc(x, v->n * sizeof(*part));
    if (part == NULL) {
        return NULL;
    }

    for (i = 0, n = v->n; i < v->n; i++) {
        part[i] = v->e[i]->kind <= RULE_JS_NULL ? &rule_js_empty
                                                : rule_js_string(x, v->e[i]);
        if (part[i] == NULL) {
            return NULL;
        }

        n += part[i]->n;
    }

    u = n > RULE_JS_UNITS ? NULL : rule_js_alloc(x, n * sizeof(*u));
    if (u == NULL) {
        return rule_js_fail(x, "memory.exhausted", rule_none);
    }

    for (i = 0, n = 0; i < v->n; i++) {
        if (i > 0) {
            u[n++] = ',';
        }

        memcpy(u + n, part[i]->s, part[i]->n * sizeof(*u));
        n += part[i]->n;
    }

    return rule_js_units(x, u, (uint32_t) n);
}


static const rule_js_t *
rule_js_object_text(rule_js_ctx_t *x, const rule_js_t *v)
{
    static const uint16_t  name[] = {
        't', 'o', 'S', 't', 'r', 'i', 'n', 'g'
    };

    if (rule_js_get(x, v, name, 8)->kind != RULE_JS_UNDEFINED) {
        return rule_js_fail(x, "type.error",
                            ly_str("an object that has no text"));
    }

    return rule_js_utf8(x, ly_str("[object Object]"));
}


const rule_js_t *
rule_js_string(rule_js_ctx_t *x, const rule_js_t *v)
{
    char    text[64];
    size_t  n;

    switch (v->kind) {

    case RULE_JS_UNDEFINED:
        return rule_js_utf8(x, ly_str("undefined"));

    case RULE_JS_NULL:
        return rule_js_utf8(x, ly_str("null"));

    case RULE_JS_BOOL:
        return rule_js_utf8(x, v->b ? ly_str("true") : ly_str("false"));

    case RULE_JS_NUMBER:
        if (isnan(v->d)) {
            return rule_js_utf8(x, ly_str("NaN"));
        }

        if (isinf(v->d)) {
            return rule_js_utf8(x, signbit(v->d) ? ly_str("-Infinity")
                                                 : ly_str("Infinity"));
        }

        n = rule_js_number_text(v->d, text, sizeof(text));
        return rule_js_utf8(x, ly_str_of(text, n));

    case RULE_JS_STRING:
        return v;

    case RULE_JS_ARRAY:
        return rule_js_join(x, v);

    default:
        return rule_js_object_text(x, v);
    }
}


/* a decimal literal's longest prefix; its length, 0 if there is none */
static uint32_t
rule_js_decimal(const uint16_t *s, uint32_t n)
{
    uint32_t  i, digits, exp;

    i = n > 0 && (s[0] == '+' || s[0] == '-');

    if (n - i >= 8) {
        static const char  word[] = "Infinity";

        for (digits = 0; digits < 8 && s[i + digits] == word[digits]; digits++)
        {
            /* void */
        }

        if (digits == 8) {
            return i + 8;
        }
    }

    for (digits = 0; i < n && s[i] >= '0' && s[i] <= '9'; i++) {
        digits++;
    }

    if (i < n && s[i] == '.') {
        for (i++; i < n && s[i] >= '0' && s[i] <= '9'; i++) {
            digits++;
        }

        /* "5." counts, "." does not */
    }

    if (digits == 0) {
        return 0;
    }

    if (i < n && (s[i] == 'e' || s[i] == 'E')) {
        exp = i + 1;

        if (exp < n && (s[exp] == '+' || s[exp] == '-')) {
            exp++;
        }

        if (exp < n && s[exp] >= '0' && s[exp] <= '9') {
            while (exp < n && s[exp] >= '0' && s[exp] <= '9') {
                exp++;
            }

            i = exp;
        }
    }

    return i;
}


static double
rule_js_decimal_value(rule_js_ctx_t *x, const uint16_t *s, uint32_t n)
{
    ly_buf_t  b;
    uint32_t  i;

    ly_buf_init_arena(&b, x->arena, RULE_JS_UNITS);

    for (i = 0; i < n; i++) {
        ly_buf_byte(&b, (unsigned char) s[i]);
    }

    ly_buf_byte(&b, '\0');

    if (ly_buf_err(&b) != LY_OK) {
        (void) rule_js_fail(x, "memory.exhausted", rule_none);
        return NAN;
    }

    return strtod((const char *) b.data, NULL);
}


/* 0x, 0o, 0b */
static bool
rule_js_radix(const uint16_t *s, uint32_t n, double *out)
{
    uint32_t  i, digit, radix;

    if (n < 3 || s[0] != '0') {
        return false;
    }

    radix = (s[1] | 32) == 'x' ? 16 : (s[1] | 32) == 'o' ? 8
            : (s[1] | 32) == 'b' ? 2 : 0;

    if (radix == 0) {
        return false;
    }

    *out = 0;

    for (i = 2; i < n; i++) {
        digit = s[i] >= '0' && s[i] <= '9' ? (uint32_t) (s[i] - '0')
                : (s[i] | 32) >= 'a' && (s[i] | 32) <= 'f'
                  ? (uint32_t) ((s[i] | 32) - 'a' + 10) : UINT32_MAX;

        if (digit >= radix) {
            *out = NAN;
            return true;
        }

        *out = *out * radix + digit;
    }

    return true;
}


double
rule_js_to_number(rule_js_ctx_t *x, const rule_js_t *v)
{
    double           d;
    uint32_t         n;
    const uint16_t  *s;

    switch (v->kind) {

    case RULE_JS_UNDEFINED:
        return NAN;

    case RULE_JS_NULL:
        return 0;

    case RULE_JS_BOOL:
        return v->b;

    case RULE_JS_NUMBER:
        return v->d;

    default:
        v = rule_js_string(x, v);

        if (v == NULL) {
            return NAN;
        }
        break;
    }

    s = v->s;
    n = v->n;

    while (n > 0 && rule_js_space(s[0])) {
        s++;
        n--;
    }

    while (n > 0 && rule_js_space(s[n - 1])) {
        n--;
    }

    if (n == 0) {
        return 0;
    }

    if (rule_js_radix(s, n, &d)) {
        return d;
    }

    return rule_js_decimal(s, n) == n ? rule_js_decimal_value(x, s, n) : NAN;
}


double
rule_js_parse_float(rule_js_ctx_t *x, const rule_js_t *v)
{
    uint32_t         n;
    const uint16_t  *s;

    if (v->kind == RULE_JS_NUMBER) {
        return v->d == 0 ? 0 : v->d;
    }

    v = rule_js_string(x, v);

    if (v == NULL) {
        return NAN;
    }

    s = v->s;
    n = v->n;

    while (n > 0 && rule_js_space(s[0])) {
        s++;
        n--;
    }

    n = rule_js_decimal(s, n);

    return n == 0 ? NAN : rule_js_decimal_value(x, s, n);
}


bool
rule_js_truthy(const rule_js_t *v)
{
    switch (v->kind) {

    case RULE_JS_UNDEFINED:
    case RULE_JS_NULL:
        return false;

    case RULE_JS_BOOL:
        return v->b;

    case RULE_JS_NUMBER:
        return v->d != 0 && !isnan(v->d);

    case RULE_JS_STRING:
    case RULE_JS_ARRAY:
        return v->n > 0;

    default:
        return true;
    }
}


/* --- comparison --- */

static int
rule_js_text_order(const rule_js_t *a, const rule_js_t *b)
{
    uint32_t  i;

    for (i = 0; i < a->n && i < b->n; i++) {
        if (a->s[i] != b->s[i]) {
            return a->s[i] < b->s[i] ? -1 : 1;
        }
    }

    return a->n < b->n ? -1 : a->n > b->n;
}


bool
rule_js_same(const rule_js_t *a, const rule_js_t *b)
{
    if (a->kind != b->kind) {
        return false;
    }

    switch (a->kind) {

    case RULE_JS_UNDEFINED:
    case RULE_JS_NULL:
        return true;

    case RULE_JS_BOOL:
        return a->b == b->b;

    case RULE_JS_NUMBER:
        return a->d == b->d;

    case RULE_JS_STRING:
        return a->n == b->n && rule_js_text_order(a, b) == 0;

    default:
        return a == b;
    }
}


bool
rule_js_equal(rule_js_ctx_t *x, const rule_js_t *a, const rule_js_t *b)
{
    if (a->kind == b->kind || (a->kind <= RULE_JS_NULL
                               && b->kind <= RULE_JS_NULL))
    {
        return a->kind != b->kind || rule_js_same(a, b);
    }

    if (a->kind <= RULE_JS_NULL || b->kind <= RULE_JS_NULL) {
        return false;
    }

    if (a->kind >= RULE_JS_ARRAY && b->kind >= RULE_JS_ARRAY) {
        return false;
    }

    /* an object beside a text is compared as text, else as number */
    if ((a->kind >= RULE_JS_ARRAY && b->kind == RULE_JS_STRING)
        || (b->kind >= RULE_JS_ARRAY && a->kind == RULE_JS_STRING))
    {
        a = rule_js_string(x, a);
        b = a == NULL ? NULL : rule_js_string(x, b);

        return b != NULL && rule_js_same(a, b);
    }

    return rule_js_to_number(x, a) == rule_js_to_number(x, b);
}


int
rule_js_relation(rule_js_ctx_t *x, const rule_js_t *a, const rule_js_t *b)
{
    double  da, db;

    if (a->kind >= RULE_JS_STRING && b->kind >= RULE_JS_STRING) {
        a = rule_js_string(x, a);
        b = a == NULL ? NULL : rule_js_string(x, b);

        return b == NULL ? 2 : rule_js_text_order(a, b);
    }

    da = rule_js_to_number(x, a);
    db = rule_js_to_number(x, b);

    if (isnan(da) || isnan(db)) {
        return 2;
    }

    return da < db ? -1 : da > db;
}


const rule_js_t *
rule_js_get(rule_js_ctx_t *x, const rule_js_t *data, const uint16_t *name,
    uint32_t n)
{
    uint32_t         i;
    const rule_js_t  key = { .kind = RULE_JS_STRING, .s = name, .n = n };

    static const uint16_t  length[] = { 'l', 'e', 'n', 'g', 't', 'h' };

    switch (data->kind) {

    case RULE_JS_STRING:
    case RULE_JS_ARRAY:
        if (n == 6 && memcmp(name, length, sizeof(length)) == 0) {
            return rule_js_number(x, data->n);
        }

        if (!rule_js_index(name, n, &i) || i >= data->n) {
            return &rule_js_undefined;
        }

        return data->kind == RULE_JS_ARRAY ? data->e[i]
                                           : rule_js_units(x, data->s + i, 1);

    case RULE_JS_OBJECT:
        for (i = 0; i < data->n; i++) {
            if (rule_js_same(data->k[i], &key)) {
                return data->e[i];
            }
        }

        return &rule_js_undefined;

    default:
        return &rule_js_undefined;
    }
}


/* --- out --- */

static void
rule_js_print_text(const rule_js_t *v, ly_buf_t *b)
{
    uint32_t       i, c;
    unsigned char  o[6];

    static const unsigned char  hex[] = "0123456789abcdef";

    ly_buf_byte(b, '"');

    for (i = 0; i < v->n; i++) {
        c = v->s[i];

        if (c >= 0xd800 && c < 0xdc00 && i + 1 < v->n
            && v->s[i + 1] >= 0xdc00 && v->s[i + 1] < 0xe000)
        {
            /* (0xd800 << 10) + 0xdc00 - 0x10000 */
            c = (c << 10) + v->s[++i] - 0x35fdc00;
            o[0] = (unsigned char) (0xf0 | c >> 18);
            o[1] = (unsigned char) (0x80 | (c >> 12 & 63));
            o[2] = (unsigned char) (0x80 | (c >> 6 & 63));
            o[3] = (unsigned char) (0x80 | (c & 63));
            ly_buf_put(b, o, 4);

        } else if (c == '"' || c == '\\') {
            ly_buf_byte(b, '\\');
            ly_buf_byte(b, (unsigned char) c);

        } else if (c >= 8 && c <= 13 && c != 11) {
            ly_buf_byte(b, '\\');
            ly_buf_byte(b, (unsigned char) "btn?fr"[c - 8]);

        } else if (c < 0x20 || (c >= 0xd800 && c < 0xe000)) {
            o[0] = '\\';
            o[1] = 'u';
            o[2] = hex[c >> 12];
            o[3] = hex[c >> 8 & 15];
            o[4] = hex[c >> 4 & 15];
            o[5] = hex[c & 15];
            ly_buf_put(b, o, 6);

        } else if (c < 0x80) {
            ly_buf_byte(b, (unsigned char) c);

        } else if (c < 0x800) {
            ly_buf_byte(b, (unsigned char) (0xc0 | c >> 6));
            ly_buf_byte(b, (unsigned char) (0x80 | (c & 63)));

        } else {
            ly_buf_byte(b, (unsigned char) (0xe0 | c >> 12));
            ly_buf_byte(b, (unsigned char) (0x80 | (c >> 6 & 63)));
            ly_buf_byte(b, (unsigned char) (0x80 | (c & 63)));
        }
    }

    ly_buf_byte(b, '"');
}


static void
rule_js_print_members(const rule_js_t *v, ly_buf_t *b)
{
    bool      first;
    uint32_t  i;

    first = true;

    for (i = 0; i < v->n; i++) {
        if (v->kind == RULE_JS_OBJECT
            && v->e[i]->kind == RULE_JS_UNDEFINED)
        {
            continue;
        }

        if (!first) {
            ly_buf_byte(b, ',');
        }

        first = false;

        if (v->kind == RULE_JS_OBJECT) {
            rule_js_print_text(v->k[i], b);
            ly_buf_byte(b, ':');
        }

        rule_js_print(v->e[i], b);

        if (ly_buf_err(b) != LY_OK) {
            return;
        }
    }
}


void
rule_js_print(const rule_js_t *v, ly_buf_t *b)
{
    char    text[64];
    size_t  n;

    switch (v->kind) {

    case RULE_JS_BOOL:
        ly_buf_cstr(b, v->b ? "true" : "false");
        return;

    case RULE_JS_NUMBER:
        n = isfinite(v->d) ? rule_js_number_text(v->d, text, sizeof(text))
                           : 0;

        if (n > 0) {
            ly_buf_put(b, text, n);
            return;
        }

        ly_buf_cstr(b, "null");
        return;

    case RULE_JS_STRING:
        rule_js_print_text(v, b);
        return;

    case RULE_JS_ARRAY:
        ly_buf_byte(b, '[');
        rule_js_print_members(v, b);
        ly_buf_byte(b, ']');
        return;

    case RULE_JS_OBJECT:
        ly_buf_byte(b, '{');
        rule_js_print_members(v, b);
        ly_buf_byte(b, '}');
        return;

    default:
        ly_buf_cstr(b, "null");
        return;
    }
}
