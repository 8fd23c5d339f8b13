#include <string.h>

#include "ly_base64.h"
#include "ly_hex.h"
#include "ly_jw.h"
#include "ly_time.h"
#include "ly_banned.h"


/*
 * How a byte of a string is written: 0 as it is, 'u' as \u00xx, 'x' is part of
 * a longer UTF-8 sequence, else the letter behind the backslash.
 */
static const unsigned char  ly_jw_class[256] = {
    [0x00 ... 0x07] = 'u',
    ['\b'] = 'b',
    ['\t'] = 't',
    ['\n'] = 'n',
    [0x0b] = 'u',
    ['\f'] = 'f',
    ['\r'] = 'r',
    [0x0e ... 0x1f] = 'u',
    ['"'] = '"',
    ['\\'] = '\\',
    [0x80 ... 0xff] = 'x'
};


void
ly_jw_init(ly_jw_t *w, ly_buf_t *b)
{
    memset(w, 0, sizeof(ly_jw_t));
    w->buf = b;
}


ly_err_t
ly_jw_done(const ly_jw_t *w)
{
    if (w->buf->err != LY_OK) {
        return w->buf->err;
    }

    return w->complete && w->depth == 0 ? LY_OK : LY_FATAL;
}


static uint64_t
ly_jw_bit(const ly_jw_t *w)
{
    return (uint64_t) 1 << (w->depth - 1);
}


/* memcpy() of what is short, without the call */
static inline void
ly_jw_copy(unsigned char *to, const unsigned char *from, size_t n)
{
    if (n > 32) {
        memcpy(to, from, n);

    } else if (n >= 16) {
        memcpy(to, from, 16);
        memcpy(to + n - 16, from + n - 16, 16);

    } else if (n >= 8) {
        memcpy(to, from, 8);
        memcpy(to + n - 8, from + n - 8, 8);

    } else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);

    } else if (n != 0) {
        to[0] = from[0];
        to[n / 2] = from[n / 2];
        to[n - 1] = from[n - 1];
    }
}


/*
 * A value may stand here, with n bytes of text: the memory for it, *start
 * where the comma is, if one is due.  NULL after an error.
 */
static inline unsigned char *
ly_jw_room(ly_jw_t *w, size_t n, unsigned char **start)
{
    uint64_t        bit;
    unsigned char  *p;

    p = ly_buf_reserve(w->buf, n + 1);
    *start = p;

    if (p == NULL) {
        return NULL;
    }

    if (w->depth == 0) {
        if (w->complete) {
            ly_buf_fail(w->buf, LY_FATAL);
            return NULL;
        }

        w->complete = 1;

        return p;
    }

    bit = ly_jw_bit(w);

    if (w->object & bit) {
        if (!w->keyed) {
            ly_buf_fail(w->buf, LY_FATAL);
            return NULL;
        }

        w->keyed = 0;

        return p;
    }

    if (w->filled & bit) {
        *p++ = ',';
    }

    w->filled |= bit;

    return p;
}


/* what stands before a value that is written piece by piece */
static bool
ly_jw_value(ly_jw_t *w)
{
    unsigned char  *p, *start;

    p = ly_jw_room(w, 0, &start);

    if (p == NULL) {
        return false;
    }

    ly_buf_commit(w->buf, (size_t) (p - start));

    return true;
}


/* a value that is all there and needs no escape */
static void
ly_jw_plain(ly_jw_t *w, ly_str_t text)
{
    unsigned char  *p, *start;

    p = ly_jw_room(w, text.len, &start);

    if (p != NULL) {
        memcpy(p, text.data, text.len);
        ly_buf_commit(w->buf, (size_t) (p - start) + text.len);
    }
}


static void
ly_jw_begin(ly_jw_t *w, bool object)
{
    uint64_t  bit;

    if (!ly_jw_value(w)) {
        return;
    }

    if (w->depth == LY_JW_DEPTH) {
        ly_buf_fail(w->buf, LY_LIMIT);
        return;
    }

    w->depth++;
    bit = ly_jw_bit(w);
    w->filled &= ~bit;
    w->object = object ? w->object | bit : w->object & ~bit;

    ly_buf_byte(w->buf, object ? '{' : '[');
}


static void
ly_jw_end(ly_jw_t *w, bool object)
{
    if (w->depth == 0 || w->keyed
        || ((w->object & ly_jw_bit(w)) != 0) != object)
    {
        ly_buf_fail(w->buf, LY_FATAL);
        return;
    }

    w->depth--;
    ly_buf_byte(w->buf, object ? '}' : ']');
}


void
ly_jw_object(ly_jw_t *w)
{
    ly_jw_begin(w, true);
}


void
ly_jw_object_end(ly_jw_t *w)
{
    ly_jw_end(w, true);
}


void
ly_jw_array(ly_jw_t *w)
{
    ly_jw_begin(w, false);
}


void
ly_jw_array_end(ly_jw_t *w)
{
    ly_jw_end(w, false);
}


void
ly_jw_escape(ly_buf_t *b, ly_str_t s)
{
    bool           wide;
    size_t         i, start;
    unsigned char  class, esc[6];

    static const unsigned char  digits[] = "0123456789abcdef";

    wide = false;
    start = 0;

    for (i = 0; i < s.len; i++) {
        class = ly_jw_class[s.data[i]];

        if (class == 0) {
            continue;
        }

        if (class == 'x') {
            wide = true;
            continue;
        }

        ly_buf_put(b, s.data + start, i - start);
        start = i + 1;

        if (class == 'u') {
            memcpy(esc, "\\u00", 4);
            esc[4] = digits[s.data[i] >> 4];
            esc[5] = digits[s.data[i] & 15];
            ly_buf_put(b, esc, 6);
            continue;
        }

        esc[0] = '\\';
        esc[1] = class;
        ly_buf_put(b, esc, 2);
    }

    if (wide && !ly_utf8_valid(s)) {
        ly_buf_fail(b, LY_PARSE);
        return;
    }

    if (s.len != start) {
        ly_buf_put(b, s.data + start, s.len - start);
    }
}


void
ly_jw_quote(ly_buf_t *b, ly_str_t s)
{
    ly_buf_byte(b, '"');
    ly_jw_escape(b, s);
    ly_buf_byte(b, '"');
}


/* a key of n bytes may stand here: the memory for it, as ly_jw_room() */
static inline unsigned char *
ly_jw_key_room(ly_jw_t *w, size_t n, unsigned char **start)
{
    uint64_t        bit;
    unsigned char  *p;

    p = ly_buf_reserve(w->buf, n + 1);
    *start = p;

    if (p == NULL) {
        return NULL;
    }

    bit = w->depth == 0 ? 0 : ly_jw_bit(w);

    if ((w->object & bit) == 0 || w->keyed) {
        ly_buf_fail(w->buf, LY_FATAL);
        return NULL;
    }

    if (w->filled & bit) {
        *p++ = ',';
    }

    w->filled |= bit;
    w->keyed = 1;

    return p;
}


void
ly_jw_key(ly_jw_t *w, ly_str_t key)
{
    unsigned char  *p, *start;

    p = ly_jw_key_room(w, 0, &start);

    if (p != NULL) {
        ly_buf_commit(w->buf, (size_t) (p - start));
        ly_jw_quote(w->buf, key);
        ly_buf_byte(w->buf, ':');
    }
}


void
ly_jw_key_plain(ly_jw_t *w, ly_str_t key)
{
    unsigned char  *p, *start;

    p = ly_jw_key_room(w, key.len + 3, &start);

    if (p != NULL) {
        *p++ = '"';
        ly_jw_copy(p, key.data, key.len);
        p += key.len;
        *p++ = '"';
        *p++ = ':';
        ly_buf_commit(w->buf, (size_t) (p - start));
    }
}


/* the same byte eight times */
#define LY_JW_EIGHT(c)  ((uint64_t) (c) * 0x0101010101010101ULL)

/* a byte of v is zero: the lowest of them has its high bit set in this */
#define ly_jw_zero(v)                                                         \
    (((v) - LY_JW_EIGHT(0x01)) & ~(v) & LY_JW_EIGHT(0x80))


/* bits of v are set where a byte cannot stand in a string as it is */
static inline uint64_t
ly_jw_unclean(const unsigned char *p)
{
    uint64_t  v;

    memcpy(&v, p, sizeof(v));

    return (v & LY_JW_EIGHT(0x80))
           | ((v - LY_JW_EIGHT(0x20)) & ~v & LY_JW_EIGHT(0x80))
           | ly_jw_zero(v ^ LY_JW_EIGHT('"'))
           | ly_jw_zero(v ^ LY_JW_EIGHT('\\'));
}


/* printable ASCII without quote and backslash? */
static bool
ly_jw_clean(ly_str_t s)
{
    size_t    i;
    uint64_t  bad;

    bad = 0;

    if (s.len < 8) {
        for (i = 0; i < s.len; i++) {
            bad |= ly_jw_class[s.data[i]];
        }

        return bad == 0;
    }

    for (i = 0; i + 8 <= s.len; i += 8) {
        bad |= ly_jw_unclean(s.data + i);
    }

    /* the last eight, some of them once more */

    return (bad | ly_jw_unclean(s.data + s.len - 8)) == 0;
}


/* a string that needs no escape */
static void
ly_jw_str_clean(ly_jw_t *w, ly_str_t s)
{
    unsigned char  *p, *start;

    p = ly_jw_room(w, s.len + 2, &start);

    if (p != NULL) {
        *p++ = '"';

        ly_jw_copy(p, s.data, s.len);
        p += s.len;

        *p++ = '"';
        ly_buf_commit(w->buf, (size_t) (p - start));
    }
}


void
ly_jw_str(ly_jw_t *w, ly_str_t s)
{
    if (ly_jw_clean(s)) {
        ly_jw_str_clean(w, s);
        return;
    }

    if (ly_jw_value(w)) {
        ly_jw_quote(w->buf, s);
    }
}


void
ly_jw_pair_plain(ly_jw_t *w, ly_str_t key, ly_str_t s)
{
    unsigned char  *p, *start;

    p = ly_jw_key_room(w, key.len + s.len + 5, &start);

    if (p == NULL) {
        return;
    }

    *p++ = '"';
    ly_jw_copy(p, key.data, key.len);
    p += key.len;
    memcpy(p, "\":\"", 3);
    p += 3;

    ly_jw_copy(p, s.data, s.len);
    p += s.len;

    *p++ = '"';

    w->keyed = 0;
    ly_buf_commit(w->buf, (size_t) (p - start));
}


void
ly_jw_pair(ly_jw_t *w, ly_str_t key, ly_str_t s)
{
    if (ly_jw_clean(s)) {
        ly_jw_pair_plain(w, key, s);
        return;
    }

    ly_jw_key_plain(w, key);
    ly_jw_str(w, s);
}


void
ly_jw_pair_text(ly_jw_t *w, ly_str_t key, ly_str_t s)
{
    if (ly_jw_clean(s)) {
        ly_jw_pair_plain(w, key, s);
        return;
    }

    ly_jw_key_plain(w, key);
    ly_jw_text(w, s);
}


void
ly_jw_members_plain(ly_jw_t *w, ly_str_t json)
{
    unsigned char  *p, *start;

    p = ly_jw_key_room(w, json.len, &start);

    if (p != NULL) {
        ly_jw_copy(p, json.data, json.len);
        w->keyed = 0;
        ly_buf_commit(w->buf, (size_t) (p - start) + json.len);
    }
}


/* bytes of the valid sequence at i, 0 if none begins there */
static size_t
ly_jw_sequence(ly_str_t s, size_t i)
{
    size_t  n;

    for (n = 1; n <= 4 && n <= s.len - i; n++) {
        if (ly_utf8_valid(ly_str_of(s.data + i, n))) {
            return n;
        }
    }

    return 0;
}


void
ly_jw_text(ly_jw_t *w, ly_str_t s)
{
    size_t  i, n, start;

    if (ly_jw_clean(s)) {
        ly_jw_str_clean(w, s);
        return;
    }

    if (!ly_jw_value(w)) {
        return;
    }

    if (ly_utf8_valid(s)) {
        ly_jw_quote(w->buf, s);
        return;
    }

    start = 0;
    ly_buf_byte(w->buf, '"');

    for (i = 0; i < s.len; i += n) {
        n = ly_jw_sequence(s, i);

        if (n == 0) {
            ly_jw_escape(w->buf, ly_str_of(s.data + start, i - start));
            ly_buf_put(w->buf, "\xef\xbf\xbd", 3);
            n = 1;
            start = i + 1;
        }
    }

    ly_jw_escape(w->buf, ly_str_of(s.data + start, s.len - start));
    ly_buf_byte(w->buf, '"');
}


void
ly_jw_cstr(ly_jw_t *w, const char *text)
{
    if (text == NULL) {
        ly_jw_null(w);
        return;
    }

    ly_jw_str(w, ly_str_c(text));
}


void
ly_jw_int(ly_jw_t *w, int64_t v)
{
    unsigned char  *p, *start;

    p = ly_jw_room(w, LY_INT64_TEXT, &start);

    if (p != NULL) {
        p += ly_int64_print(v, p);
        ly_buf_commit(w->buf, (size_t) (p - start));
    }
}


void
ly_jw_ints(ly_jw_t *w, const ly_str_t *keys, const int64_t *values, size_t n)
{
    size_t          i, size;
    unsigned char  *p, *start;

    size = 0;

    for (i = 0; i < n; i++) {
        size += keys[i].len + 4 + LY_INT64_TEXT;
    }

    p = n == 0 ? NULL : ly_jw_key_room(w, size, &start);

    if (p == NULL) {
        return;
    }

    for (i = 0; i < n; i++) {
        if (i != 0) {
            *p++ = ',';
        }

        *p++ = '"';
        ly_jw_copy(p, keys[i].data, keys[i].len);
        p += keys[i].len;
        *p++ = '"';
        *p++ = ':';
        p += ly_int64_print(values[i], p);
    }

    w->keyed = 0;
    ly_buf_commit(w->buf, (size_t) (p - start));
}


void
ly_jw_uint(ly_jw_t *w, uint64_t v)
{
    unsigned char  *p, *start;

    p = ly_jw_room(w, LY_INT64_TEXT, &start);

    if (p != NULL) {
        p += ly_uint64_print(v, p);
        ly_buf_commit(w->buf, (size_t) (p - start));
    }
}


void
ly_jw_bool(ly_jw_t *w, bool v)
{
    ly_jw_plain(w, v ? ly_str("true") : ly_str("false"));
}


void
ly_jw_null(ly_jw_t *w)
{
    ly_jw_plain(w, ly_str("null"));
}


static size_t
ly_jw_digits(ly_str_t s, size_t i)
{
    size_t  start;

    for (start = i; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            break;
        }
    }

    return i - start;
}


bool
ly_jw_is_number(ly_str_t s)
{
    size_t  i, n;

    i = s.len != 0 && s.data[0] == '-';
    n = ly_jw_digits(s, i);

    if (n == 0 || (n > 1 && s.data[i] == '0')) {
        return false;
    }

    i += n;

    if (i < s.len && s.data[i] == '.') {
        n = ly_jw_digits(s, ++i);
        i += n;

        if (n == 0) {
            return false;
        }
    }

    if (i < s.len && (s.data[i] | 0x20) == 'e') {
        i++;

        if (i < s.len && (s.data[i] == '+' || s.data[i] == '-')) {
            i++;
        }

        n = ly_jw_digits(s, i);
        i += n;

        if (n == 0) {
            return false;
        }
    }

    return i == s.len;
}


void
ly_jw_number(ly_jw_t *w, ly_str_t text)
{
    if (!ly_jw_is_number(text)) {
        ly_buf_fail(w->buf, LY_PARSE);
        return;
    }

    ly_jw_plain(w, text);
}


void
ly_jw_raw(ly_jw_t *w, ly_str_t json)
{
    if (json.len == 0) {
        ly_buf_fail(w->buf, LY_PARSE);
        return;
    }

    ly_jw_plain(w, json);
}


void
ly_jw_time(ly_jw_t *w, int64_t us)
{
    unsigned char  *p, *start;

    p = ly_jw_room(w, LY_TIME_TEXT + 2, &start);

    if (p != NULL) {
        *p++ = '"';
        ly_time_print(us, p);
        p += LY_TIME_TEXT;
        *p++ = '"';
        ly_buf_commit(w->buf, (size_t) (p - start));
    }
}


void
ly_jw_hex(ly_jw_t *w, ly_str_t bytes)
{
    if (ly_jw_value(w)) {
        ly_buf_byte(w->buf, '"');
        ly_hex_put(w->buf, bytes);
        ly_buf_byte(w->buf, '"');
    }
}


void
ly_jw_base64url(ly_jw_t *w, ly_str_t bytes)
{
    if (ly_jw_value(w)) {
        ly_buf_byte(w->buf, '"');
        ly_base64url_put(w->buf, bytes);
        ly_buf_byte(w->buf, '"');
    }
}


/* a scalar, or the opening of a container */
static void
ly_jw_node_open(ly_jw_t *w, const ly_json_node_t *node)
{
    switch (node->type) {

    case LY_JSON_NULL:
        ly_jw_null(w);
        break;

    case LY_JSON_FALSE:
    case LY_JSON_TRUE:
        ly_jw_bool(w, node->type == LY_JSON_TRUE);
        break;

    case LY_JSON_NUMBER:
        ly_jw_number(w, node->text);
        break;

    case LY_JSON_STRING:
        ly_jw_str(w, node->text);
        break;

    default:
        ly_jw_begin(w, node->type == LY_JSON_OBJECT);
    }
}


void
ly_jw_node(ly_jw_t *w, const ly_json_node_t *node)
{
    const ly_json_node_t  *at;

    at = node;

    for ( ;; ) {

        if (at != node && at->in_object) {
            ly_jw_key(w, at->key);
        }

        ly_jw_node_open(w, at);

        if (at->first != NULL) {
            at = at->first;
            continue;
        }

        if (at->type >= LY_JSON_ARRAY) {
            ly_jw_end(w, at->type == LY_JSON_OBJECT);
        }

        while (at != node && at->next == NULL) {
            at = at->parent;
            ly_jw_end(w, at->type == LY_JSON_OBJECT);
        }

        if (at == node || w->buf->err != LY_OK) {
            return;
        }

        at = at->next;
    }
}
