#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ly_canon.h"
#include "ly_jw.h"
#include "ly_sort.h"
#include "ly_banned.h"


/*
 * Longer numbers are refused: more digits than this cannot change a double
 * but by the exact tie, which takes 767.
 */
#define LY_CANON_NUMBER  800

#define LY_CANON_EXPONENT  100000

#define LY_CANON_DIGITS  17         /* always enough for a double */


/* one container being printed: its children, sorted if it is an object */
typedef struct ly_canon_frame_s  ly_canon_frame_t;

struct ly_canon_frame_s {
    const ly_json_node_t   *node;
    const ly_json_node_t   *next;   /* child of an array */
    const void            **sorted; /* children of an object */
    uint32_t                i;
    ly_canon_frame_t       *outer;
};


int
ly_canon_key_cmp(ly_str_t a, ly_str_t b)
{
    size_t         i, n;
    unsigned char  x, y;

    n = a.len < b.len ? a.len : b.len;

    for (i = 0; i < n; i++) {
        x = a.data[i];
        y = b.data[i];

        if (x == y) {
            continue;
        }

        /*
         * UTF-16 puts U+10000 and above, surrogates from 0xd800, before
         * U+E000..U+FFFF, which begin with 0xee and 0xef in UTF-8.
         */
        if (x >= 0xee && y >= 0xee && (x >= 0xf0) != (y >= 0xf0)) {
            return x >= 0xf0 ? -1 : 1;
        }

        return x < y ? -1 : 1;
    }

    return (a.len > b.len) - (a.len < b.len);
}


static int
ly_canon_node_cmp(const void *a, const void *b)
{
    const ly_json_node_t  *x = a, *y = b;

    return ly_canon_key_cmp(x->key, y->key);
}


/*
 * strtod() and printf() know one thing of the locale, the radix character.  So
 * none is given, and what is printed is read by its digits.
 *
 * digits * 10^exponent as a double
 */
static double
ly_canon_double(const unsigned char *digits, size_t n, int64_t exponent)
{
    size_t         len;
    unsigned char  text[LY_CANON_NUMBER + LY_INT64_TEXT + 2];

    memcpy(text, digits, n);
    len = n;
    text[len++] = 'e';
    len += ly_int64_print(exponent, text + len);
    text[len] = '\0';

    return strtod((char *) text, NULL);
}


/* n significant digits of a positive double, and the exponent of the last */
static int64_t
ly_canon_digits(double v, unsigned n, unsigned char *digits)
{
    char      text[64], *p;
    bool      negative;
    size_t    i;
    int64_t   e;

    (void) snprintf(text, sizeof(text), "%.*e", (int) n - 1, v);

    i = 0;

    for (p = text; *p != 'e'; p++) {
        if (*p >= '0' && *p <= '9') {
            digits[i++] = (unsigned char) *p;
        }
    }

    negative = p[1] == '-';
    e = 0;

    for (p += 2; *p != '\0'; p++) {
        e = e * 10 + (*p - '0');
    }

    return (negative ? -e : e) - ((int64_t) n - 1);
}


/* moves the last digit by one, away from a carry past the first */
static bool
ly_canon_neighbour(unsigned char *digits, unsigned n, int step)
{
    unsigned  i;

    for (i = n; i > 0; i--) {

        if (step > 0) {
            if (digits[i - 1] != '9') {
                digits[i - 1]++;
                return true;
            }

            digits[i - 1] = '0';

        } else {
            if (digits[i - 1] != '0') {
                digits[i - 1]--;
                return digits[0] != '0';
            }

            digits[i - 1] = '9';
        }
    }

    return false;
}


/*
 * Do n digits name the double?  The nearest ones do, or one beside them: at a
 * power of two the interval below is the narrower.
 */
static bool
ly_canon_try(double v, unsigned n, unsigned char *digits, int64_t *exponent)
{
    int            step;
    unsigned char  tmp[LY_CANON_DIGITS];

    *exponent = ly_canon_digits(v, n, digits);

    if (ly_canon_double(digits, n, *exponent) == v) {
        return true;
    }

    for (step = -1; step <= 1; step += 2) {
        memcpy(tmp, digits, n);

        if (ly_canon_neighbour(tmp, n, step)
            && ly_canon_double(tmp, n, *exponent) == v)
        {
            memcpy(digits, tmp, n);
            return true;
        }
    }

    return false;
}


/* the fewest digits that name the double, without zeros at the end */
static unsigned
ly_canon_shortest(double v, unsigned char *digits, int64_t *exponent)
{
    unsigned  n;

    /* every decimal of 15 digits survives a normal double and comes back */
    n = v > 1e-300 ? 15 : 1;

    while (n < LY_CANON_DIGITS && !ly_canon_try(v, n, digits, exponent)) {
        n++;
    }

    if (n == LY_CANON_DIGITS) {
        *exponent = ly_canon_digits(v, n, digits);
    }

    while (n > 1 && digits[n - 1] == '0') {
        n--;
        (*exponent)++;
    }

    return n;
}


static void
ly_canon_zeros(ly_buf_t *b, int64_t n)
{
    while (n-- > 0) {
        ly_buf_byte(b, '0');
    }
}


/* ECMAScript, Number::toString, steps 6 to 10; the names are its own */
static void
ly_canon_print_digits(ly_buf_t *b, const unsigned char *digits, unsigned k,
    int64_t exponent)
{
    int64_t  n;

    n = exponent + k;

    if (k <= n && n <= 21) {
        ly_buf_put(b, digits, k);
        ly_canon_zeros(b, n - k);

    } else if (0 < n && n <= 21) {
        ly_buf_put(b, digits, (size_t) n);
        ly_buf_byte(b, '.');
        ly_buf_put(b, digits + n, (size_t) (k - n));

    } else if (-6 < n && n <= 0) {
        ly_buf_put(b, "0.", 2);
        ly_canon_zeros(b, -n);
        ly_buf_put(b, digits, k);

    } else {
        ly_buf_byte(b, digits[0]);

        if (k > 1) {
            ly_buf_byte(b, '.');
            ly_buf_put(b, digits + 1, k - 1);
        }

        ly_buf_byte(b, 'e');
        ly_buf_byte(b, n > 0 ? '+' : '-');
        ly_buf_int(b, n > 0 ? n - 1 : 1 - n);
    }
}


/* the digits of a JSON number without point, and the exponent of the last */
static ly_err_t
ly_canon_split(ly_str_t text, unsigned char *digits, size_t *n,
    int64_t *exponent)
{
    size_t    i;
    bool      negative;
    int64_t   e, places;
    ly_err_t  rc;
    ly_str_t  tail;

    places = 0;
    e = 0;
    *n = 0;

    for (i = 0; i < text.len && (text.data[i] | 0x20) != 'e'; i++) {

        if (text.data[i] == '.') {
            places = 1;
            continue;
        }

        digits[(*n)++] = text.data[i];
        *exponent = places == 0 ? 0 : *exponent - 1;
    }

    if (i == text.len) {
        return LY_OK;
    }

    tail = ly_str_of(text.data + i + 1, text.len - i - 1);

    negative = tail.len != 0 && tail.data[0] == '-';

    if (negative || (tail.len != 0 && tail.data[0] == '+')) {
        tail = ly_str_of(tail.data + 1, tail.len - 1);
    }

    /* leading zeros are allowed in an exponent */
    while (tail.len > 1 && tail.data[0] == '0') {
        tail = ly_str_of(tail.data + 1, tail.len - 1);
    }

    rc = ly_int64_parse(tail, &e);
    if (rc != LY_OK) {
        return rc;
    }

    e = negative ? -e : e;

    /* far outside of any double already, and the sum cannot wrap */
    e = e > LY_CANON_EXPONENT ? LY_CANON_EXPONENT : e;
    e = e < -LY_CANON_EXPONENT ? -LY_CANON_EXPONENT : e;

    *exponent += e;

    return LY_OK;
}


ly_err_t
ly_canon_number(ly_str_t text, ly_buf_t *b)
{
    bool           negative;
    size_t         n;
    double         v;
    int64_t        exponent, integer;
    ly_err_t       rc;
    unsigned       k;
    unsigned char  digits[LY_CANON_NUMBER];

    if (!ly_jw_is_number(text)) {
        return LY_PARSE;
    }

    if (ly_int64_parse(text, &integer) == LY_OK) {
        ly_buf_int(b, integer);
        return ly_buf_err(b);
    }

    if (text.len > LY_CANON_NUMBER) {
        return LY_OVERFLOW;
    }

    negative = text.data[0] == '-';

    if (negative) {
        text = ly_str_of(text.data + 1, text.len - 1);
    }

    exponent = 0;

    rc = ly_canon_split(text, digits, &n, &exponent);
    if (rc != LY_OK) {
        return LY_OVERFLOW;
    }

    v = ly_canon_double(digits, n, exponent);

    if (v > 1.7976931348623157e308) {
        return LY_OVERFLOW;
    }

    if (v == 0) {
        ly_buf_byte(b, '0');
        return ly_buf_err(b);
    }

    if (negative) {
        ly_buf_byte(b, '-');
    }

    k = ly_canon_shortest(v, digits, &exponent);
    ly_canon_print_digits(b, digits, k, exponent);

    return ly_buf_err(b);
}


static ly_err_t
ly_canon_open(const ly_json_node_t *node, ly_arena_t *scratch, ly_buf_t *b,
    ly_canon_frame_t **top)
{
    uint32_t               i;
    ly_canon_frame_t      *frame;
    const ly_json_node_t  *child;

    frame = ly_arena_alloc(scratch, sizeof(ly_canon_frame_t));
    if (frame == NULL) {
        return LY_NOMEM;
    }

    frame->node = node;
    frame->next = node->first;
    frame->sorted = NULL;
    frame->i = 0;
    frame->outer = *top;

    if (node->type == LY_JSON_OBJECT && node->count != 0) {
        frame->sorted = ly_arena_alloc(scratch, node->count * sizeof(void *));
        if (frame->sorted == NULL) {
            return LY_NOMEM;
        }

        i = 0;

        for (child = node->first; child != NULL; child = child->next) {
            frame->sorted[i++] = child;
        }

        ly_sort(frame->sorted, node->count, ly_canon_node_cmp);
    }

    ly_buf_byte(b, node->type == LY_JSON_OBJECT ? '{' : '[');
    *top = frame;

    return LY_OK;
}


static ly_err_t
ly_canon_value(const ly_json_node_t *node, ly_arena_t *scratch, ly_buf_t *b,
    ly_canon_frame_t **top)
{
    switch (node->type) {

    case LY_JSON_NULL:
        ly_buf_str(b, ly_str("null"));
        break;

    case LY_JSON_FALSE:
        ly_buf_str(b, ly_str("false"));
        break;

    case LY_JSON_TRUE:
        ly_buf_str(b, ly_str("true"));
        break;

    case LY_JSON_STRING:
        ly_jw_quote(b, node->text);
        break;

    case LY_JSON_NUMBER:
        return ly_canon_number(node->text, b);

    default:
        return ly_canon_open(node, scratch, b, top);
    }

    return ly_buf_err(b);
}


/* the next child of a container, NULL at its end */
static const ly_json_node_t *
ly_canon_next(ly_canon_frame_t *frame)
{
    const ly_json_node_t  *child;

    if (frame->i == frame->node->count) {
        return NULL;
    }

    if (frame->sorted != NULL) {
        return frame->sorted[frame->i++];
    }

    child = frame->next;
    frame->next = child->next;
    frame->i++;

    return child;
}


ly_err_t
ly_canon_print(const ly_json_node_t *node, ly_arena_t *scratch, ly_buf_t *b)
{
    ly_err_t               rc;
    ly_canon_frame_t      *top;
    const ly_json_node_t  *child;

    top = NULL;
    rc = ly_canon_value(node, scratch, b, &top);

    while (rc == LY_OK && top != NULL) {
        child = ly_canon_next(top);

        if (child == NULL) {
            ly_buf_byte(b, top->node->type == LY_JSON_OBJECT ? '}' : ']');
            top = top->outer;
            rc = ly_buf_err(b);
            continue;
        }

        if (top->i > 1) {
            ly_buf_byte(b, ',');
        }

        if (top->sorted != NULL) {
            ly_jw_quote(b, child->key);
            ly_buf_byte(b, ':');
        }

        rc = ly_canon_value(child, scratch, b, &top);
    }

    return rc;
}
