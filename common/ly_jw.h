/*
 * JSON to outside.  Commas, nesting and escaping are the writer's; the error
 * is sticky and looked at once, by ly_jw_done().  A misuse (value without a
 * key in an object, an end without a begin) is LY_FATAL.
 */

#ifndef LY_JW_H_INCLUDED_
#define LY_JW_H_INCLUDED_

#include "ly_base.h"
#include "ly_buf.h"
#include "ly_json.h"


#define LY_JW_DEPTH  64

typedef struct {
    ly_buf_t  *buf;
    uint64_t   filled;          /* bit d: the container at depth d has one */
    uint64_t   object;          /* bit d: it is an object */
    unsigned   depth;
    unsigned   keyed : 1;       /* a key was written, its value is due */
    unsigned   complete : 1;    /* the one top-level value is written */
} ly_jw_t;


/* appends one JSON value to the buffer; both must live until done */
void ly_jw_init(ly_jw_t *w, ly_buf_t *b);

/* the sticky error; LY_FATAL if the value is not complete */
ly_must_check ly_err_t ly_jw_done(const ly_jw_t *w);

void ly_jw_object(ly_jw_t *w);
void ly_jw_object_end(ly_jw_t *w);
void ly_jw_array(ly_jw_t *w);
void ly_jw_array_end(ly_jw_t *w);

/* LY_PARSE if key is not UTF-8; duplicates are not looked for */
void ly_jw_key(ly_jw_t *w, ly_str_t key);

/* a literal of printable ASCII without quote and backslash: copied as it is */
#define ly_jw_k(w, lit)  ly_jw_key_plain(w, ly_str(lit))
void ly_jw_key_plain(ly_jw_t *w, ly_str_t key);

/* LY_PARSE if s is not UTF-8 */
void ly_jw_str(ly_jw_t *w, ly_str_t s);

/* key and string at once; the key is as for ly_jw_k() */
void ly_jw_pair(ly_jw_t *w, ly_str_t key, ly_str_t s);

/* the same; the string too is printable ASCII without quote and backslash */
void ly_jw_pair_plain(ly_jw_t *w, ly_str_t key, ly_str_t s);

/* the same for any bytes, as ly_jw_text() */
void ly_jw_pair_text(ly_jw_t *w, ly_str_t key, ly_str_t s);

/* members of an object as they shall stand there, a literal of this program */
#define ly_jw_members(w, lit)  ly_jw_members_plain(w, ly_str(lit))
void ly_jw_members_plain(ly_jw_t *w, ly_str_t json);

/* any bytes: what is not UTF-8 becomes U+FFFD; for logs and traces */
void ly_jw_text(ly_jw_t *w, ly_str_t s);

/* NULL writes null */
void ly_jw_cstr(ly_jw_t *w, const char *text);

void ly_jw_int(ly_jw_t *w, int64_t v);

/* n members of an object at once; keys as for ly_jw_k() */
void ly_jw_ints(ly_jw_t *w, const ly_str_t *keys, const int64_t *values,
    size_t n);
void ly_jw_uint(ly_jw_t *w, uint64_t v);
void ly_jw_bool(ly_jw_t *w, bool v);
void ly_jw_null(ly_jw_t *w);

/* text of a JSON number, as a parsed node or ly_dec_print() gives; checked */
void ly_jw_number(ly_jw_t *w, ly_str_t text);

/* one whole JSON value made before by this writer or by the database */
void ly_jw_raw(ly_jw_t *w, ly_str_t json);

/* RFC 3339 text of microseconds since the epoch, in quotes */
void ly_jw_time(ly_jw_t *w, int64_t us);

/* lower-case hex, or base64url without padding, in quotes */
void ly_jw_hex(ly_jw_t *w, ly_str_t bytes);
void ly_jw_base64url(ly_jw_t *w, ly_str_t bytes);

/* a parsed tree again, in its order, numbers as they were written */
void ly_jw_node(ly_jw_t *w, const ly_json_node_t *node);


/*
 * Below the writer: a string with its quotes, or only its escaped bytes, onto
 * a buffer.  The shortest escapes, as RFC 8785 has them; LY_PARSE if s is not
 * UTF-8.
 */
void ly_jw_quote(ly_buf_t *b, ly_str_t s);
void ly_jw_escape(ly_buf_t *b, ly_str_t s);

/* is it a number by RFC 8259, section 6 */
bool ly_jw_is_number(ly_str_t s);


/* key and value at once; the key is a literal as for ly_jw_k */
#define ly_jw_kstr(w, lit, v)   ly_jw_pair(w, ly_str(lit), v)
#define ly_jw_kcstr(w, lit, v)  (ly_jw_k(w, lit), ly_jw_cstr(w, v))
#define ly_jw_kint(w, lit, v)   (ly_jw_k(w, lit), ly_jw_int(w, v))
#define ly_jw_kbool(w, lit, v)  (ly_jw_k(w, lit), ly_jw_bool(w, v))
#define ly_jw_knull(w, lit)     (ly_jw_k(w, lit), ly_jw_null(w))
#define ly_jw_ktime(w, lit, v)  (ly_jw_k(w, lit), ly_jw_time(w, v))


#endif /* LY_JW_H_INCLUDED_ */
