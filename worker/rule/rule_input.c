/*
 * From an event's or a state's JSON to facts: one strict pass over the bytes,
 * led by the catalogue's trie; what no fact asks for is checked and skipped.
 * No tree is built: an event of three lines is read within a microsecond.
 */

#include "rule_int.h"
#include "../../common/ly_banned.h"


#define RULE_SCAN_DEPTH  32


typedef struct {
    const unsigned char  *p;
    const unsigned char  *end;
    rule_input_t         *in;
    ly_err_t              err;
    bool                  stranger; /* a struct has a member of no field */
} rule_scan_t;

/* one scalar as it stands */
typedef struct {
    ly_str_t  text;
    uint8_t   kind;     /* '"' string, '0' number, 't', 'f', 'n' */
} rule_token_t;


static rule_apart bool
rule_scan_fail(rule_scan_t *s, ly_err_t err)
{
    if (s->err == LY_OK) {
        s->err = err;
    }

    return false;
}


/* every token begins above the blanks: most are seen at once */
static inline void
rule_scan_space(rule_scan_t *s)
{
    while (s->p < s->end && *s->p <= ' '
           && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t'
               || *s->p == '\r'))
    {
        s->p++;
    }
}


/* the next byte behind blanks, taken; 0 at the end, which is no token */
static inline unsigned char
rule_scan_next(rule_scan_t *s)
{
    rule_scan_space(s);

    return s->p < s->end ? *s->p++ : 0;
}


/* blanks are seldom: the byte itself is looked for first */
static inline bool
rule_scan_byte(rule_scan_t *s, unsigned char c)
{
    if (s->p < s->end && *s->p == c) {
        s->p++;
        return true;
    }

    return rule_scan_next(s) == c || rule_scan_fail(s, LY_PARSE);
}


/* is c next; if so, it is taken */
static inline bool
rule_scan_is(rule_scan_t *s, unsigned char c)
{
    rule_scan_space(s);

    if (s->p == s->end || *s->p != c) {
        return false;
    }

    s->p++;

    return true;
}


/* behind an element: true when the container goes on, else it is at its end */
static inline bool
rule_scan_more(rule_scan_t *s, unsigned char close)
{
    unsigned char  c;

    if (s->p < s->end && *s->p == ',') {
        s->p++;
        return true;
    }

    c = rule_scan_next(s);

    if (c != ',' && c != close) {
        (void) rule_scan_fail(s, LY_PARSE);
    }

    return c == ',';
}


static bool
rule_scan_hex(rule_scan_t *s, uint32_t *out)
{
    int            i;
    unsigned char  c;

    *out = 0;

    if (s->end - s->p < 4) {
        return rule_scan_fail(s, LY_PARSE);
    }

    for (i = 0; i < 4; i++) {
        c = *s->p++;

        if (c >= '0' && c <= '9') {
            c = (unsigned char) (c - '0');

        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            c = (unsigned char) ((c | 0x20) - 'a' + 10);

        } else {
            return rule_scan_fail(s, LY_PARSE);
        }

        *out = *out << 4 | c;
    }

    return true;
}


/* behind \u; writes UTF-8 at *d */
static bool
rule_scan_unicode(rule_scan_t *s, unsigned char **d)
{
    uint32_t        c, low;
    unsigned char  *o;

    if (!rule_scan_hex(s, &c)) {
        return false;
    }

    if (c >= 0xd800 && c < 0xe000) {
        if (c >= 0xdc00 || s->end - s->p < 6 || s->p[0] != '\\'
            || s->p[1] != 'u')
        {
            return rule_scan_fail(s, LY_PARSE);
        }

        s->p += 2;

        if (!rule_scan_hex(s, &low) || low < 0xdc00 || low > 0xdfff) {
            return rule_scan_fail(s, LY_PARSE);
        }

        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }

    o = *d;

    if (c == 0) {
        return rule_scan_fail(s, LY_PARSE);
    }

    if (c < 0x80) {
        *o++ = (unsigned char) c;

    } else if (c < 0x800) {
        *o++ = (unsigned char) (0xc0 | c >> 6);
        *o++ = (unsigned char) (0x80 | (c & 63));

    } else if (c < 0x10000) {
        *o++ = (unsigned char) (0xe0 | c >> 12);
        *o++ = (unsigned char) (0x80 | (c >> 6 & 63));
        *o++ = (unsigned char) (0x80 | (c & 63));

    } else {
        *o++ = (unsigned char) (0xf0 | c >> 18);
        *o++ = (unsigned char) (0x80 | (c >> 12 & 63));
        *o++ = (unsigned char) (0x80 | (c >> 6 & 63));
        *o++ = (unsigned char) (0x80 | (c & 63));
    }

    *d = o;

    return true;
}


/* from the first escape on, into the arena; the text never grows */
static rule_apart bool
rule_scan_escaped(rule_scan_t *s, const unsigned char *start, ly_str_t *out)
{
    unsigned char         c, *d, *text;
    const unsigned char  *q;

    for (q = s->p; q < s->end && *q != '"'; q++) {
        if (*q == '\\') {
            q++;
        }
    }

    if (q >= s->end) {
        return rule_scan_fail(s, LY_PARSE);
    }

    text = ly_arena_bytes(s->in->arena, (size_t) (q - start) + 1);
    if (text == NULL) {
        return rule_scan_fail(s, LY_NOMEM);
    }

    d = text + (s->p - start);
    memcpy(text, start, (size_t) (s->p - start));

    while (s->p < s->end && *s->p != '"') {
        c = *s->p++;

        if (c < 0x20) {
            return rule_scan_fail(s, LY_PARSE);
        }

        if (c != '\\') {
            *d++ = c;
            continue;
        }

        c = s->p < s->end ? *s->p++ : 0;

        switch (c) {
        case '"': case '\\': case '/': *d++ = c; break;
        case 'b': *d++ = '\b'; break;
        case 'f': *d++ = '\f'; break;
        case 'n': *d++ = '\n'; break;
        case 'r': *d++ = '\r'; break;
        case 't': *d++ = '\t'; break;
        case 'u':
            if (!rule_scan_unicode(s, &d)) {
                return false;
            }
            break;
        default:
            return rule_scan_fail(s, LY_PARSE);
        }
    }

    if (s->p == s->end) {
        return rule_scan_fail(s, LY_PARSE);
    }

    s->p++;
    *out = ly_str_of(text, (size_t) (d - text));

    return true;
}


/* at the byte behind the opening quote */
static inline bool
rule_scan_string(rule_scan_t *s, ly_str_t *out)
{
    const unsigned char  *start;

    start = s->p;
    s->p = rule_plain(start, s->end);

    if (s->p == s->end || *s->p < 0x20) {
        return rule_scan_fail(s, LY_PARSE);
    }

    if (*s->p == '\\') {
        return rule_scan_escaped(s, start, out);
    }

    *out = ly_str_of(start, (size_t) (s->p - start));
    s->p++;

    return true;
}


static bool
rule_scan_word(rule_scan_t *s, const char *word, size_t len)
{
    if ((size_t) (s->end - s->p) < len || memcmp(s->p, word, len) != 0) {
        return rule_scan_fail(s, LY_PARSE);
    }

    s->p += len;

    return true;
}


/* the whole grammar of a number */
static bool
rule_scan_number(rule_scan_t *s, ly_str_t *out)
{
    const unsigned char  *start, *p;

    start = s->p;
    p = start + (*start == '-');

#define digit(q)  ((q) < s->end && *(q) >= '0' && *(q) <= '9')

    if (!digit(p)) {
        return rule_scan_fail(s, LY_PARSE);
    }

    if (*p == '0') {
        p++;

    } else {
        while (digit(p)) { p++; }
    }

    if (p < s->end && *p == '.') {
        p++;

        if (!digit(p)) {
            return rule_scan_fail(s, LY_PARSE);
        }

        while (digit(p)) { p++; }
    }

    if (p < s->end && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < s->end && (*p == '+' || *p == '-')) {
            p++;
        }

        if (!digit(p)) {
            return rule_scan_fail(s, LY_PARSE);
        }

        while (digit(p)) { p++; }
    }

#undef digit

    s->p = p;
    *out = ly_str_of(start, (size_t) (p - start));

    return true;
}


/* at the value's first byte, which is neither { nor [ */
static bool
rule_scan_scalar(rule_scan_t *s, rule_token_t *t)
{
    t->kind = *s->p;
    t->text.len = 0;

    switch (*s->p) {

    case '"':
        s->p++;
        return rule_scan_string(s, &t->text);

    case 't':
        return rule_scan_word(s, "true", 4);

    case 'f':
        return rule_scan_word(s, "false", 5);

    case 'n':
        return rule_scan_word(s, "null", 4);

    default:
        t->kind = '0';
        return rule_scan_number(s, &t->text);
    }
}


void
rule_scalar(const rule_fact_t *f, ly_str_t text, bool is_string,
    rule_val_t *out)
{
    int32_t   days;
    ly_dec_t  d;
    uint32_t  i;

    out->kind = RULE_K_INVALID;

    switch (f->type) {

    case RULE_T_STR:
        if (is_string) {
            rule_set_str(out, text);
        }
        return;

    case RULE_T_INT:
        /* 1.0 is a decimal, whatever its value */
        if (!is_string && rule_num_parse(text, false, &d) == LY_OK
            && memchr(text.data, '.', text.len) == NULL
            && d.coef >= INT64_MIN && d.coef <= INT64_MAX)
        {
            rule_set_num(out, d);
        }
        return;

    case RULE_T_DEC:
    case RULE_T_MONEY:
        if (rule_num_parse(text, !is_string, &d) == LY_OK) {
            rule_set_num(out, d);

            if (f->type == RULE_T_MONEY) {
                out->kind = RULE_K_MONEY;
                out->n = f->currency;
            }
        }
        return;

    case RULE_T_INSTANT:
        if (is_string && ly_time_parse(text, &out->u.i) == LY_OK) {
            out->kind = RULE_K_INSTANT;
        }
        return;

    case RULE_T_DATE:
        if (is_string && ly_date_parse(text, &days) == LY_OK) {
            out->kind = RULE_K_DATE;
            out->u.i = days;
        }
        return;

    case RULE_T_ENUM:
        for (i = 0; is_string && i < f->n_values; i++) {
            if (rule_same_text(text, f->values[i])) {
                out->kind = RULE_K_ENUM;
                out->u.i = i;
                return;
            }
        }
        return;

    default:
        return;
    }
}


static void
rule_token_value(const rule_fact_t *f, const rule_token_t *t, rule_val_t *out)
{
    switch (t->kind) {

    case 'n':
        out->kind = RULE_K_MISSING;
        return;

    case 't':
    case 'f':
        if (f->type == RULE_T_BOOL) {
            rule_set_bool(out, t->kind == 't');
            return;
        }

        out->kind = RULE_K_INVALID;
        return;

    default:
        rule_scalar(f, t->text, t->kind == '"', out);
        return;
    }
}


static bool rule_scan_value(rule_scan_t *s, const rule_trie_t *t,
    unsigned depth);
static bool rule_scan_fact(rule_scan_t *s, const rule_fact_t *f,
    unsigned depth, rule_val_t *out);


/* is the name next, as documents have it, with the quote behind */
static inline bool
rule_scan_named(rule_scan_t *s, ly_str_t name)
{
    if ((size_t) (s->end - s->p) <= name.len || s->p[name.len] != '"'
        || !rule_same_bytes(s->p, name.data, name.len))
    {
        return false;
    }

    s->p += name.len + 1;

    return true;
}


/*
 * The field that is named next, taken, or -1.  Looked for behind the one
 * before: documents keep an order, and most names are found at once.
 */
static inline int32_t
rule_scan_field(rule_scan_t *s, const rule_fact_t *f, uint32_t *next)
{
    uint32_t  i, n;

    for (n = 0, i = *next; n < f->n_fields; n++, i++) {
        i = i >= f->n_fields ? 0 : i;

        if (rule_scan_named(s, f->fields[i].name)) {
            *next = i + 1;
            return (int32_t) i;
        }
    }

    return -1;
}


/* the same for a member that facts lead through, or NULL */
static inline const rule_trie_t *
rule_scan_child(rule_scan_t *s, const rule_trie_t *t,
    const rule_trie_t **after)
{
    const rule_trie_t  *c, *from;

    from = *after == NULL ? t->child : *after;

    for (c = from; c != NULL; c = c->next) {
        if (rule_scan_named(s, c->key)) {
            *after = c->next;
            return c;
        }
    }

    for (c = t->child; c != from; c = c->next) {
        if (rule_scan_named(s, c->key)) {
            *after = c->next;
            return c;
        }
    }

    return NULL;
}


/*
 * A member's name behind its quote: a field or a child, whichever is asked
 * for.  A name with an escape is looked for again as what it says.
 */
static rule_apart bool
rule_scan_other(rule_scan_t *s, const rule_trie_t *t, const rule_fact_t *f,
    int32_t *field, const rule_trie_t **child)
{
    ly_str_t              key;
    const unsigned char  *start;

    start = s->p;

    if (!rule_scan_string(s, &key)) {
        return false;
    }

    if (key.data == start) {
        return true;
    }

    *field = f == NULL ? -1 : rule_field_find(f, key);
    *child = t == NULL ? NULL : t->child;

    while (*child != NULL && !rule_same_text((*child)->key, key)) {
        *child = (*child)->next;
    }

    return true;
}


/* at { : the members, each handed on; keys of the object in f are fields */
static bool
rule_scan_members(rule_scan_t *s, const rule_trie_t *t, const rule_fact_t *f,
    unsigned depth, rule_val_t *cells)
{
    int32_t             i, known;
    uint32_t            next;
    uint64_t            seen[RULE_FACTS_MAX / 64 + 1];
    const rule_trie_t  *child, *after;

    if (depth == 0) {
        return rule_scan_fail(s, LY_LIMIT);
    }

    s->p++;

    if (rule_scan_is(s, '}')) {
        return true;
    }

    memset(seen, 0, sizeof(seen));
    next = 0;
    after = NULL;

    for ( ;; ) {
        if (!rule_scan_byte(s, '"')) {
            return false;
        }

        i = f == NULL ? -1 : rule_scan_field(s, f, &next);
        child = t == NULL ? NULL : rule_scan_child(s, t, &after);

        if ((i < 0 && child == NULL && !rule_scan_other(s, t, f, &i, &child))
            || !rule_scan_byte(s, ':'))
        {
            return false;
        }

        known = child == NULL ? i : (int32_t) child->at;

        if (known >= 0) {
            if (seen[known >> 6] >> (known & 63) & 1) {
                return rule_scan_fail(s, LY_PARSE);
            }

            seen[known >> 6] |= (uint64_t) 1 << (known & 63);

        } else {
            s->stranger = true;
        }

        if (i >= 0 && !f->fields[i].computed) {
            if (!rule_scan_fact(s, &f->fields[i], depth - 1, &cells[i])) {
                return false;
            }

        } else if (!rule_scan_value(s, child, depth - 1)) {
            return false;
        }

        if (!rule_scan_more(s, '}')) {
            return s->err == LY_OK;
        }
    }
}


/* room for one more element of stride values, zeroed: missing */
static rule_val_t *
rule_list_grow(rule_scan_t *s, rule_val_t *list, rule_val_t **cells,
    uint32_t *room)
{
    uint32_t     n;
    rule_val_t  *bigger;

    if (list->n == *room) {
        n = *room == 0 ? 4 : *room * 4;
        bigger = ly_arena_alloc(s->in->arena, (size_t) n * list->stride
                                * sizeof(rule_val_t));
        if (bigger == NULL) {
            (void) rule_scan_fail(s, LY_NOMEM);
            return NULL;
        }

        if (list->n > 0) {
            memcpy(bigger, *cells,
                   (size_t) list->n * list->stride * sizeof(rule_val_t));
        }

        *cells = bigger;
        *room = n;
        list->u.l.cells = bigger;
    }

    bigger = *cells + (size_t) list->n * list->stride;
    list->n++;
    memset(bigger, 0, list->stride * sizeof(rule_val_t));

    return bigger;
}


static inline bool
rule_is_lines(const rule_fact_t *f)
{
    return f->n_fields == RULE_L_N && f->fields[RULE_L_TOTAL].computed;
}


static void
rule_line_defaults(const rule_fact_t *f, rule_val_t *c)
{
    ly_dec_t  d;

    if (!rule_is_lines(f)) {
        return;
    }

    if (c[RULE_L_DISCOUNT].kind == RULE_K_MISSING) {
        rule_set_int(&c[RULE_L_DISCOUNT], 0);
        c[RULE_L_DISCOUNT].kind = RULE_K_MONEY;
    }

    if (c[RULE_L_CATEGORIES].kind == RULE_K_MISSING) {
        c[RULE_L_CATEGORIES].kind = RULE_K_LIST;
        c[RULE_L_CATEGORIES].stride = 1;
    }

    c[RULE_L_TOTAL].kind = RULE_K_INVALID;

    if (c[RULE_L_QUANTITY].kind != RULE_K_NUM
        || c[RULE_L_UNIT_PRICE].kind != RULE_K_MONEY
        || c[RULE_L_DISCOUNT].kind != RULE_K_MONEY
        || !rule_num_mul(rule_dec(&c[RULE_L_QUANTITY]),
                         rule_dec(&c[RULE_L_UNIT_PRICE]), &d)
        || !rule_num_add(d, ly_dec_neg(rule_dec(&c[RULE_L_DISCOUNT])), &d))
    {
        return;
    }

    rule_set_num(&c[RULE_L_TOTAL], d);
    c[RULE_L_TOTAL].kind = RULE_K_MONEY;
}


/* at [ : strings, or objects with the fact's fields */
static rule_apart bool
rule_scan_list(rule_scan_t *s, const rule_fact_t *f, unsigned depth,
    rule_val_t *out)
{
    bool         invalid;
    uint32_t     room;
    rule_val_t  *cell, *cells;

    if (depth == 0) {
        return rule_scan_fail(s, LY_LIMIT);
    }

    memset(out, 0, sizeof(*out));
    out->kind = RULE_K_LIST;
    out->stride = f->type == RULE_T_LIST ? (uint16_t) f->n_fields : 1;
    room = 0;
    cells = NULL;
    invalid = false;

    s->p++;

    if (rule_scan_is(s, ']')) {
        return true;
    }

    for ( ;; ) {
        rule_scan_space(s);

        if (s->p == s->end) {
            return rule_scan_fail(s, LY_PARSE);
        }

        invalid |= out->n == RULE_LINES_MAX
                   || *s->p != (f->type == RULE_T_LIST ? '{' : '"');

        if (invalid) {
            if (!rule_scan_value(s, NULL, depth - 1)) {
                return false;
            }

        } else {
            cell = rule_list_grow(s, out, &cells, &room);
            if (cell == NULL) {
                return false;
            }

            if (f->type == RULE_T_LIST) {
                if (!rule_scan_members(s, NULL, f, depth - 1, cell)) {
                    return false;
                }

                rule_line_defaults(f, cell);

            } else {
                ly_str_t  text;

                s->p++;

                if (!rule_scan_string(s, &text)) {
                    return false;
                }

                rule_set_str(cell, text);
            }
        }

        if (!rule_scan_more(s, ']')) {
            break;
        }
    }

    if (invalid) {
        out->kind = RULE_K_INVALID;
    }

    return s->err == LY_OK;
}


/* {"amount": minor units, "currency": "GBP"} */
static rule_apart bool
rule_scan_money(rule_scan_t *s, const rule_fact_t *f, unsigned depth,
    rule_val_t *out)
{
    ly_dec_t    d;
    uint32_t    currency;
    rule_val_t  cells[2];

    static rule_fact_t  fields[2] = {
        { .name = ly_str_init("amount"), .type = RULE_T_INT },
        { .name = ly_str_init("currency"), .type = RULE_T_STR }
    };
    static const rule_fact_t  shape = {
        .type = RULE_T_LIST, .fields = fields, .n_fields = 2
    };

    memset(cells, 0, sizeof(cells));
    s->stranger = false;

    if (!rule_scan_members(s, NULL, &shape, depth, cells)) {
        return false;
    }

    out->kind = RULE_K_INVALID;

    if (cells[0].kind != RULE_K_NUM || cells[1].kind != RULE_K_STR
        || s->stranger)
    {
        return true;
    }

    currency = rule_currency(rule_str(&cells[1]));

    if (currency == 0 || (f->currency != 0 && f->currency != currency)) {
        return true;
    }

    d = rule_dec(&cells[0]);
    d.scale = rule_currency_places(currency);
    rule_set_num(out, rule_num_strip(d));
    out->kind = RULE_K_MONEY;
    out->n = currency;

    return true;
}


/* the usual number, a few digits and no more; false: not one, not taken */
static inline bool
rule_scan_whole(rule_scan_t *s, const rule_fact_t *f, rule_val_t *out)
{
    int64_t               v;
    const unsigned char  *p;

    v = 0;

    for (p = s->p; p < s->end && *p >= '0' && *p <= '9'; p++) {
        if (p - s->p == 18) {
            return false;
        }

        v = v * 10 + (*p - '0');
    }

    if (p == s->p || *s->p == '0' || p == s->end || *p == '.'
        || (*p | 0x20) == 'e' || f->type < RULE_T_INT
        || f->type > RULE_T_MONEY)
    {
        return false;
    }

    s->p = p;
    rule_set_int(out, v);

    if (f->type == RULE_T_MONEY) {
        out->kind = RULE_K_MONEY;
        out->n = f->currency;
    }

    return true;
}


static bool
rule_scan_fact(rule_scan_t *s, const rule_fact_t *f, unsigned depth,
    rule_val_t *out)
{
    ly_str_t      text;
    rule_token_t  t;

    rule_scan_space(s);

    if (s->p == s->end) {
        return rule_scan_fail(s, LY_PARSE);
    }

    switch (*s->p) {

    case '"':
        s->p++;

        if (!rule_scan_string(s, &text)) {
            return false;
        }

        if (f->type == RULE_T_STR) {
            rule_set_str(out, text);
        } else {
            rule_scalar(f, text, true, out);
        }

        return true;

    case '[':
        if (f->type == RULE_T_LIST || f->type == RULE_T_SLIST) {
            return rule_scan_list(s, f, depth, out);
        }

        out->kind = RULE_K_INVALID;
        return rule_scan_value(s, NULL, depth);

    case '{':
        if (f->type == RULE_T_MONEY) {
            return rule_scan_money(s, f, depth, out);
        }

        out->kind = RULE_K_INVALID;
        return rule_scan_value(s, NULL, depth);

    default:
        if (rule_scan_whole(s, f, out)) {
            return true;
        }

        break;
    }

    if (!rule_scan_scalar(s, &t)) {
        return false;
    }

    rule_token_value(f, &t, out);

    return true;
}


static bool
rule_scan_skip_array(rule_scan_t *s, unsigned depth)
{
    if (depth == 0) {
        return rule_scan_fail(s, LY_LIMIT);
    }

    s->p++;

    if (rule_scan_is(s, ']')) {
        return true;
    }

    for ( ;; ) {
        if (!rule_scan_value(s, NULL, depth - 1)) {
            return false;
        }

        if (!rule_scan_more(s, ']')) {
            return s->err == LY_OK;
        }
    }
}


static bool
rule_scan_value(rule_scan_t *s, const rule_trie_t *t, unsigned depth)
{
    int32_t                slot;
    rule_token_t           token;
    const rule_fact_t     *f;
    const unsigned char   *start;

    rule_scan_space(s);

    if (s->p == s->end) {
        return rule_scan_fail(s, LY_PARSE);
    }

    if (t != NULL && t->slot >= 0) {
        start = s->p;

        for (slot = t->slot; slot >= 0; slot = f->also) {
            f = &s->in->catalogue->facts[slot];
            s->p = start;

            if (!rule_scan_fact(s, f, depth, &s->in->facts[slot])) {
                return false;
            }
        }

        if (*start != '{' || t->child == NULL) {
            return true;
        }

        s->p = start;
    }

    switch (*s->p) {

    case '{':
        return rule_scan_members(s, t, NULL, depth, NULL);

    case '[':
        return rule_scan_skip_array(s, depth);

    default:
        return rule_scan_scalar(s, &token);
    }
}


static bool
rule_ascii(ly_str_t s)
{
    size_t    i;
    uint64_t  w[4], all;

    all = 0;

    for (i = 0; i + 32 <= s.len; i += 32) {
        memcpy(w, s.data + i, 32);
        all |= w[0] | w[1] | w[2] | w[3];
    }

    for (/* void */; i < s.len; i++) {
        all |= s.data[i];
    }

    return (all & 0x8080808080808080ULL) == 0;
}


static ly_err_t
rule_input_read(rule_input_t *in, ly_str_t json, uint8_t state)
{
    uint32_t             i;
    rule_scan_t          s;
    const rule_slots_t  *all;

    all = &in->catalogue->all[state];

    for (i = 0; i < all->n; i++) {
        in->facts[all->slot[i]].kind = RULE_K_MISSING;
    }

    if (json.len > RULE_INPUT_MAX) {
        return LY_LIMIT;
    }

    if (!rule_ascii(json) && !ly_utf8_valid(json)) {
        return LY_PARSE;
    }

    s.p = json.data;
    s.end = json.data + json.len;
    s.in = in;
    s.err = LY_OK;
    s.stranger = false;

    rule_scan_space(&s);

    if (s.p == s.end || *s.p != '{') {
        return LY_PARSE;
    }

    if (!rule_scan_value(&s, state ? &in->catalogue->state
                                   : &in->catalogue->event, RULE_SCAN_DEPTH))
    {
        return s.err;
    }

    rule_scan_space(&s);

    return s.p == s.end ? LY_OK : LY_PARSE;
}


static void
rule_input_money(rule_val_t *v, uint32_t currency)
{
    if (v->kind == RULE_K_MONEY && v->n == 0) {
        if (currency == 0) {
            v->kind = RULE_K_INVALID;
        }

        v->n = currency;
    }
}


/* facts that follow from the lines at slot; first is the total's slot */
static void
rule_input_lines_of(rule_input_t *in, uint32_t lines, uint32_t first)
{
    bool         ok_total, ok_quantity;
    ly_dec_t     total, quantity;
    uint32_t     i;
    rule_val_t  *list, *f;

    const rule_val_t  *c;

    f = in->facts;
    list = &f[lines];

    for (i = first; i < first + 3; i++) {
        f[i].kind = list->kind == RULE_K_LIST ? RULE_K_INVALID : list->kind;
    }

    if (list->kind != RULE_K_LIST) {
        return;
    }

    total = ly_dec_int(0);
    quantity = total;
    ok_total = true;
    ok_quantity = true;

    for (i = 0; i < list->n; i++) {
        c = &list->u.l.cells[(size_t) i * list->stride];

        ok_total = ok_total && c[RULE_L_TOTAL].kind == RULE_K_MONEY
                   && rule_num_add(total, rule_dec(&c[RULE_L_TOTAL]), &total);
        ok_quantity = ok_quantity && c[RULE_L_QUANTITY].kind == RULE_K_NUM
                      && rule_num_add(quantity, rule_dec(&c[RULE_L_QUANTITY]),
                                      &quantity);
    }

    if (ok_total) {
        rule_set_num(&f[first], total);
        f[first].kind = RULE_K_MONEY;
    }

    rule_set_int(&f[first + 1], list->n);

    if (ok_quantity) {
        rule_set_num(&f[first + 2], quantity);
    }
}


/* amounts of a line, and a total of one currency or none */
static void
rule_input_line_money(rule_val_t *c, uint32_t currency)
{
    rule_input_money(&c[RULE_L_UNIT_PRICE], currency);
    rule_input_money(&c[RULE_L_DISCOUNT], currency);
    rule_input_money(&c[RULE_L_TOTAL], currency);

    if (c[RULE_L_UNIT_PRICE].n != currency
        || c[RULE_L_DISCOUNT].n != currency)
    {
        c[RULE_L_TOTAL].kind = RULE_K_INVALID;
    }
}


static void
rule_input_list_money(const rule_fact_t *f, rule_val_t *list,
    uint32_t currency)
{
    bool         lines;
    uint32_t     i, k;
    rule_val_t  *cells;

    if (list->kind != RULE_K_LIST) {
        return;
    }

    /* the cells are the input's own, made by the scan */
    cells = (rule_val_t *) (uintptr_t) list->u.l.cells;
    lines = rule_is_lines(f);

    for (i = 0; i < list->n; i++, cells += list->stride) {
        if (lines) {
            rule_input_line_money(cells, currency);
            continue;
        }

        for (k = 0; k < f->n_fields; k++) {
            if (f->fields[k].type == RULE_T_MONEY) {
                rule_input_money(&cells[k], currency);
            }
        }
    }
}


void
rule_input_compute(rule_input_t *in)
{
    uint32_t                 i, slot, currency;
    rule_val_t              *v;
    const rule_catalogue_t  *c;

    in->facts[RULE_F_NOW] = in->facts[RULE_F_EVENT_OCCURRED_AT];

    v = &in->facts[RULE_F_ORDER_CURRENCY];

    if (v->kind != RULE_K_STR) {
        v = &in->facts[RULE_F_REFUND_CURRENCY];
    }

    currency = v->kind == RULE_K_STR ? rule_currency(rule_str(v)) : 0;

    c = in->catalogue;

    for (i = 0; i < c->lists[0].n; i++) {
        slot = c->lists[0].slot[i];
        rule_input_list_money(&c->facts[slot], &in->facts[slot], currency);
    }

    rule_input_lines_of(in, RULE_F_ORDER_LINES, RULE_F_ORDER_TOTAL);
    rule_input_lines_of(in, RULE_F_REFUND_LINES, RULE_F_REFUND_TOTAL);

    for (i = 0; i < c->money[0].n; i++) {
        rule_input_money(&in->facts[c->money[0].slot[i]], currency);
    }
}


ly_err_t
rule_input_create(ly_arena_t *a, const rule_catalogue_t *c,
    const ly_zone_t *zone, ly_str_t zone_name, rule_input_t **out)
{
    rule_input_t  *in;

    in = ly_arena_zalloc(a, sizeof(*in));
    if (in == NULL) {
        return LY_NOMEM;
    }

    in->facts = ly_arena_array(a, c->n, sizeof(*in->facts));
    if (in->facts == NULL) {
        return LY_NOMEM;
    }

    in->arena = a;
    in->catalogue = c;
    in->zone = zone;
    in->zone_name = zone == NULL ? ly_str("") : zone_name;
    *out = in;

    return LY_OK;
}


ly_err_t
rule_input_event(rule_input_t *in, ly_str_t json)
{
    ly_err_t  err;

    err = rule_input_read(in, json, 0);

    if (err == LY_OK) {
        rule_input_compute(in);
    }

    return err;
}


ly_err_t
rule_input_state(rule_input_t *in, ly_str_t json)
{
    uint32_t                 i, slot;
    ly_err_t                 err;
    const rule_catalogue_t  *c;

    err = rule_input_read(in, json, 1);

    if (err != LY_OK) {
        return err;
    }

    /* a state has no currency of its own: the fact's, or one in the value */
    c = in->catalogue;

    for (i = 0; i < c->money[1].n; i++) {
        rule_input_money(&in->facts[c->money[1].slot[i]], 0);
    }

    for (i = 0; i < c->lists[1].n; i++) {
        slot = c->lists[1].slot[i];
        rule_input_list_money(&c->facts[slot], &in->facts[slot], 0);
    }

    return LY_OK;
}


ly_err_t
rule_input_int(rule_input_t *in, ly_str_t name, int64_t value)
{
    int32_t  slot;

    slot = rule_catalogue_find(in->catalogue, name);

    if (slot < 0 || !in->catalogue->facts[slot].state
        || in->catalogue->facts[slot].type != RULE_T_INT)
    {
        return LY_NOTFOUND;
    }

    rule_set_int(&in->facts[slot], value);

    return LY_OK;
}


void
rule_input_counters(rule_input_t *in, const rule_counter_t *counters,
    size_t n)
{
    in->counters = counters;
    in->n_counters = n;
}


ly_err_t
rule_counters_advance(const rule_input_t *in, const rule_counter_need_t *need,
    rule_counter_t *counters, size_t n)
{
    size_t             i;
    int32_t            slot;
    ly_dec_t           sum;
    const rule_val_t  *v;

    v = &in->facts[RULE_F_EVENT_TYPE];

    for (i = 0; i < n; i++) {
        if (v->kind != RULE_K_STR
            || !rule_same_text(rule_str(v), need[i].event))
        {
            continue;
        }

        sum = ly_dec_int(1);

        if (need[i].fact.len > 0) {
            slot = rule_catalogue_find(in->catalogue, need[i].fact);

            if (slot < 0 || (in->facts[slot].kind != RULE_K_NUM
                             && in->facts[slot].kind != RULE_K_MONEY))
            {
                continue;
            }

            sum = rule_dec(&in->facts[slot]);
        }

        if (!rule_num_add(counters[i].value, sum, &sum)) {
            return LY_OVERFLOW;
        }

        counters[i].value = sum;
    }

    return LY_OK;
}


/* the total's slot of whatever lines the event has */
static const rule_val_t *
rule_input_list(const rule_input_t *in, uint32_t *total)
{
    *total = RULE_F_ORDER_TOTAL;

    if (in->facts[RULE_F_ORDER_LINES].kind == RULE_K_MISSING
        && in->facts[RULE_F_REFUND_LINES].kind != RULE_K_MISSING)
    {
        *total = RULE_F_REFUND_TOTAL;
        return &in->facts[RULE_F_REFUND_LINES];
    }

    return &in->facts[RULE_F_ORDER_LINES];
}


ly_err_t
rule_input_total(const rule_input_t *in, ly_dec_t *total)
{
    uint32_t  slot;

    (void) rule_input_list(in, &slot);

    if (in->facts[slot].kind == RULE_K_MISSING) {
        return LY_NOTFOUND;
    }

    if (in->facts[slot].kind != RULE_K_MONEY) {
        return LY_PARSE;
    }

    *total = rule_dec(&in->facts[slot]);

    return LY_OK;
}


size_t
rule_input_lines(const rule_input_t *in)
{
    uint32_t           slot;
    const rule_val_t  *list;

    list = rule_input_list(in, &slot);

    return list->kind == RULE_K_LIST ? list->n : 0;
}
