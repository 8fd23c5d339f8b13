/* Faults of documents, digests, and how values are written. */

#include "rule_int.h"
#include "../../common/ly_crypto.h"
#include "../../common/ly_banned.h"


#define RULE_FOUND_MAX  80      /* bytes of a value that a fault repeats */


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


void
rule_buf_string(ly_buf_t *b, ly_str_t s)
{
    const unsigned char  *p, *end, *stop;

    rule_b_byte(b, '"');

    for (p = s.data, end = p + s.len; p < end; p = stop + 1) {
        stop = rule_plain(p, end);
        rule_b_put(b, p, (size_t) (stop - p));

        if (stop == end) {
            break;
        }

        rule_buf_escape(b, *stop);
    }

    rule_b_byte(b, '"');
}


void
rule_buf_dec(ly_buf_t *b, ly_dec_t d)
{
    size_t         n;
    uint64_t       v;
    unsigned       scale;
    unsigned char  text[LY_DEC_TEXT], *p;

    if (d.coef <= -((ly_int128_t) 1 << 62)
        || d.coef >= (ly_int128_t) 1 << 62)
    {
        n = ly_dec_print(d, text);
        rule_b_put(b, text, n);
        return;
    }

    v = (uint64_t) (d.coef < 0 ? -d.coef : d.coef);
    p = text + sizeof(text);
    scale = d.scale;

    do {
        if (scale > 0 && scale == (unsigned) (text + sizeof(text) - p)) {
            *--p = '.';
            scale = 0;
        }

        *--p = (unsigned char) ('0' + v % 10);
        v /= 10;
    } while (v > 0 || scale > 0);

    if (d.coef < 0) {
        *--p = '-';
    }

    rule_b_put(b, p, (size_t) (text + sizeof(text) - p));
}


/* a list of structs is the trace's own business */
void
rule_val_print(const rule_val_t *v, const rule_fact_t *f, ly_buf_t *b)
{
    uint32_t       i;
    unsigned char  text[LY_TIME_TEXT];

    switch (v->kind) {

    case RULE_K_BOOL:
        rule_b_cstr(b, v->u.b ? "true" : "false");
        return;

    case RULE_K_NUM:
        if (v->scale == 0 && v->u.coef >= -9007199254740991LL
            && v->u.coef <= 9007199254740991LL)
        {
            rule_buf_dec(b, rule_dec(v));
            return;
        }

        rule_b_byte(b, '"');
        rule_buf_dec(b, rule_dec(v));
        rule_b_byte(b, '"');
        return;

    case RULE_K_MONEY:
        rule_b_byte(b, '"');
        rule_buf_dec(b, rule_dec(v));

        if (v->n != 0) {
            rule_b_byte(b, ' ');
            rule_currency_text(v->n, text);
            rule_b_put(b, text, 3);
        }

        rule_b_byte(b, '"');
        return;

    case RULE_K_STR:
        rule_buf_string(b, rule_str(v));
        return;

    case RULE_K_INSTANT:
        rule_b_byte(b, '"');
        ly_time_print(v->u.i, text);
        rule_b_put(b, text, LY_TIME_TEXT);
        rule_b_byte(b, '"');
        return;

    case RULE_K_DATE:
        rule_b_byte(b, '"');
        ly_date_print((int32_t) v->u.i, text);
        rule_b_put(b, text, LY_DATE_TEXT);
        rule_b_byte(b, '"');
        return;

    case RULE_K_ENUM:
        if (f != NULL && (uint64_t) v->u.i < f->n_values) {
            rule_buf_string(b, f->values[v->u.i]);
            return;
        }

        ly_buf_int(b, v->u.i);
        return;

    case RULE_K_LIST:
        rule_b_byte(b, '[');

        for (i = 0; i < v->n && v->stride == 1; i++) {
            if (i > 0) {
                rule_b_byte(b, ',');
            }

            rule_val_print(&v->u.l.cells[i], f, b);
        }

        rule_b_byte(b, ']');
        return;

    default:
        rule_b_cstr(b, "null");
        return;
    }
}
