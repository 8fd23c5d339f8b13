/* Faults of documents, digests, and how values are written. */

#include "rule_int.h"
#include "../../common/ly_crypto.h"
#include "../../common/ly_banned.h"


#define RULE_FOUND_MAX  80      /* bytes of a value that a fault repeats */

/* what a JSON number holds exactly everywhere: 2^53 - 1 */
#define RULE_JSON_INT   9007199254740991LL


bool
rule_faulty(const rule_report_t *r)
{
    return r->faults->n > 0;
}


static void
rule_fault_add(rule_report_t *r, const char *code, ly_str_t pointer,
    const char *expected, ly_str_t found)
{
    rule_fault_t   *f;
    rule_faults_t  *all;

    all = r->faults;

    if (strncmp(code, "bound.", 6) == 0) {
        r->limit = true;
    }

    if (all->n == RULE_FAULTS_MAX) {
        all->more++;
        return;
    }

    if (all->fault == NULL) {
        all->fault = ly_arena_array(r->arena, RULE_FAULTS_MAX,
                                    sizeof(rule_fault_t));
        if (all->fault == NULL) {
            r->nomem = true;
            return;
        }
    }

    if (found.len > RULE_FOUND_MAX) {
        found.len = RULE_FOUND_MAX;

        while (found.len > 0 && (found.data[found.len] & 0xc0) == 0x80) {
            found.len--;
        }
    }

    f = &all->fault[all->n++];
    f->code = code;
    f->pointer = pointer;
    f->expected = ly_str_c(expected);
    f->found = found;
}


void
rule_fault_at(rule_report_t *r, const ly_json_node_t *node, const char *code,
    const char *expected, ly_str_t found)
{
    ly_buf_t  b;

    ly_buf_init_arena(&b, r->arena, RULE_DOCUMENT_MAX * 8);

    if (node != NULL) {
        ly_json_pointer_print(node, &b);
    }

    if (ly_buf_err(&b) == LY_NOMEM) {
        r->nomem = true;
        return;
    }

    rule_fault_add(r, code, ly_buf_view(&b), expected, found);
}


void
rule_fault_json(rule_report_t *r, const ly_json_fault_t *fault)
{
    ly_str_t  pointer;

    if (fault->code == LY_JSON_NOMEM
        || ly_arena_str(r->arena, ly_str_of(fault->pointer,
                                            fault->pointer_len), &pointer)
        != LY_OK)
    {
        r->nomem = true;
        return;
    }

    rule_fault_add(r, ly_json_fault_code(fault->code), pointer,
                   "strict JSON within the bounds", ly_str_of(NULL, 0));
}


ly_err_t
rule_digest(ly_str_t s, unsigned char out[RULE_DIGEST_LEN])
{
    ly_err_t      err;
    ly_crypto_t  *c;

    c = ly_crypto_create();
    if (c == NULL) {
        return LY_NOMEM;
    }

    err = ly_sha256(c, s, out);
    ly_crypto_destroy(c);

    return err;
}


/* shortest escapes, as RFC 8785 wants them; one byte that needs one */
static void
rule_buf_escape(ly_buf_t *b, unsigned char c)
{
    unsigned char  esc[6];

    static const unsigned char  hex[] = "0123456789abcdef";

    esc[0] = '\\';

    switch (c) {
    case '\b': esc[1] = 'b'; break;
    case '\t': esc[1] = 't'; break;
    case '\n': esc[1] = 'n'; break;
    case '\f': esc[1] = 'f'; break;
    case '\r': esc[1] = 'r'; break;
    case '"': case '\\': esc[1] = c; break;
    default:
        esc[1] = 'u';
        esc[2] = '0';
        esc[3] = '0';
        esc[4] = hex[c >> 4];
        esc[5] = hex[c & 15];
        rule_b_put(b, esc, 6);
        return;
    }

    rule_b_put(b, esc, 2);
}


/* a string of which p..stop is known to need no escape */
static rule_apart void
rule_buf_escaped(ly_buf_t *b, const unsigned char *p,
    const unsigned char *stop, const unsigned char *end)
{
    rule_b_byte(b, '"');

    while (stop < end) {
        rule_b_put(b, p, (size_t) (stop - p));
        rule_buf_escape(b, *stop);
        p = stop + 1;
        stop = rule_plain(p, end);
    }

    rule_b_put(b, p, (size_t) (stop - p));
    rule_b_byte(b, '"');
}


void
rule_buf_string(ly_buf_t *b, ly_str_t s)
{
    unsigned char        *p;
    const unsigned char  *stop;

    stop = rule_plain(s.data, s.data + s.len);

    if (stop != s.data + s.len) {
        rule_buf_escaped(b, s.data, stop, s.data + s.len);
        return;
    }

    p = rule_b_room(b, s.len + 2);

    if (p != NULL) {
        *p++ = '"';

        if (s.len > 0) {
            memcpy(p, s.data, s.len);
            p += s.len;
        }

        *p++ = '"';
        rule_b_commit(b, p);
    }
}


/*
 * The text of a decimal, all places of its scale; returns its end.  Apart, the
 * two parts come in registers; as a structure they would go through memory.
 */
static unsigned char *
rule_dec_text(ly_int128_t wide, unsigned scale, unsigned char *p)
{
    int64_t         coef;
    ly_dec_t        d;
    uint64_t        v;
    unsigned        i, n;
    unsigned char  *end;

    coef = (int64_t) wide;

    if (coef != wide || coef == INT64_MIN) {
        d.coef = wide;
        d.scale = scale;
        return p + ly_dec_print(d, p);
    }

    if (coef < 0) {
        *p++ = '-';
        coef = -coef;
    }

    v = (uint64_t) coef;
    n = scale + 1;

    while (n < RULE_POW10_N && coef >= rule_pow10[n]) {
        n++;
    }

    p += n;

    if (scale == 0) {
        end = p;

    } else {
        end = p + 1;

        for (i = scale; i > 0; i--, v /= 10) {
            *p-- = (unsigned char) ('0' + v % 10);
        }

        *p = '.';
    }

    do {
        *--p = (unsigned char) ('0' + v % 10);
        v /= 10;
    } while (v > 0);

    return end;
}


void
rule_buf_dec(ly_buf_t *b, ly_dec_t d)
{
    unsigned char  *p;

    p = rule_b_room(b, LY_DEC_TEXT);

    if (p != NULL) {
        rule_b_commit(b, rule_dec_text(d.coef, d.scale, p));
    }
}


unsigned char *
rule_val_text(const rule_val_t *v, unsigned char *p)
{
    switch (v->kind) {

    case RULE_K_BOOL:
        memcpy(p, v->u.b ? "true" : "false", 5);
        return p + (v->u.b ? 4 : 5);

    case RULE_K_NUM:
        if (v->scale == 0 && v->u.coef >= -RULE_JSON_INT
            && v->u.coef <= RULE_JSON_INT)
        {
            return rule_dec_text(v->u.coef, v->scale, p);
        }

        *p++ = '"';
        p = rule_dec_text(v->u.coef, v->scale, p);
        break;

    case RULE_K_MONEY:
        *p++ = '"';
        p = rule_dec_text(v->u.coef, v->scale, p);

        if (v->n != 0) {
            *p++ = ' ';
            rule_currency_text(v->n, p);
            p += 3;
        }

        break;

    case RULE_K_INSTANT:
        *p++ = '"';
        ly_time_print(v->u.i, p);
        p += LY_TIME_TEXT;
        break;

    case RULE_K_DATE:
        *p++ = '"';
        ly_date_print((int32_t) v->u.i, p);
        p += LY_DATE_TEXT;
        break;

    case RULE_K_ENUM:
        return p + ly_int64_print(v->u.i, p);

    default:
        memcpy(p, "null", 4);
        return p + 4;
    }

    *p++ = '"';

    return p;
}


/* a list of structs is the trace's own business */
static rule_apart void
rule_list_print(const rule_val_t *v, const rule_fact_t *f, ly_buf_t *b)
{
    uint32_t  i;

    rule_b_byte(b, '[');

    for (i = 0; i < v->n && v->stride == 1; i++) {
        if (i > 0) {
            rule_b_byte(b, ',');
        }

        rule_val_print(&v->u.l.cells[i], f, b);
    }

    rule_b_byte(b, ']');
}


void
rule_val_print(const rule_val_t *v, const rule_fact_t *f, ly_buf_t *b)
{
    unsigned char  *p;

    if (v->kind == RULE_K_STR) {
        rule_buf_string(b, rule_str(v));
        return;
    }

    if (v->kind == RULE_K_ENUM && f != NULL && (uint64_t) v->u.i < f->n_values)
    {
        rule_buf_string(b, f->values[v->u.i]);
        return;
    }

    if (v->kind == RULE_K_LIST) {
        rule_list_print(v, f, b);
        return;
    }

    p = rule_b_room(b, RULE_VAL_TEXT);

    if (p != NULL) {
        rule_b_commit(b, rule_val_text(v, p));
    }
}
