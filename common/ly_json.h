/*
 * JSON from outside: yajl's stream parser under our own bounds, into a tree
 * that lives in an arena.  Refused, beside what RFC 8259 refuses: duplicate
 * keys (compared after unescaping), strings that are not strict UTF-8, lone
 * surrogates, anything behind the value, nothing at all, and whatever passes a
 * bound.  Numbers stay text: no double is ever made of them.
 */

#ifndef LY_JSON_H_INCLUDED_
#define LY_JSON_H_INCLUDED_

#include "ly_base.h"
#include "ly_arena.h"
#include "ly_buf.h"


typedef enum {
    LY_JSON_NULL = 0,
    LY_JSON_FALSE,
    LY_JSON_TRUE,
    LY_JSON_NUMBER,
    LY_JSON_STRING,
    LY_JSON_ARRAY,
    LY_JSON_OBJECT
} ly_json_type_e;


typedef struct ly_json_node_s  ly_json_node_t;

struct ly_json_node_s {
    unsigned         type : 8;      /* ly_json_type_e */
    unsigned         is_integer : 1; /* no fraction, no exponent */
    unsigned         in_object : 1; /* key is meaningful (may be empty) */
    uint32_t         offset;        /* in the source, just behind the value's
                                       first token: a scalar's last byte, a
                                       container's opening bracket */
    uint32_t         count;         /* children */
    uint32_t         index;         /* position among the siblings */
    ly_str_t         key;           /* unescaped UTF-8 */
    ly_str_t         text;          /* string: unescaped; number: as written;
                                       else empty */
    ly_json_node_t  *parent;
    ly_json_node_t  *first;         /* child, in the order of the source */
    ly_json_node_t  *next;          /* sibling */
};


typedef struct {
    uint32_t         max_depth;     /* of containers; [] is 1; at most 1000 */
    uint32_t         max_nodes;     /* values of all kinds */
    uint32_t         max_members;   /* of one object or array */
    size_t           max_bytes;     /* of the source; at most 1 GiB */
    size_t           max_string;    /* of one unescaped string, key, number */
    unsigned         refuse_nul : 1; /* \u0000 in a string or key */
    unsigned         borrow : 1;    /* the source outlives the tree: strings
                                       without escapes point into it */
} ly_json_limits_t;

/* depth 32, 1 MiB, 262144 nodes, 65536 members, strings 64 KiB, no NUL */
extern const ly_json_limits_t  ly_json_limits_default;


typedef enum {
    LY_JSON_FAULT_NONE = 0,
    LY_JSON_MALFORMED,              /* json.malformed */
    LY_JSON_EMPTY,                  /* json.empty */
    LY_JSON_DUPLICATE_KEY,          /* json.duplicate_key */
    LY_JSON_TOO_DEEP,               /* json.too_deep */
    LY_JSON_TOO_LARGE,              /* json.too_large: bytes */
    LY_JSON_TOO_MANY,               /* json.too_many: nodes or members */
    LY_JSON_STRING_TOO_LONG,        /* json.string_too_long */
    LY_JSON_INVALID_UTF8,           /* json.invalid_utf8 */
    LY_JSON_LONE_SURROGATE,         /* json.lone_surrogate */
    LY_JSON_NUL,                    /* json.nul */
    LY_JSON_NOMEM                   /* json.memory: ours, not the sender's */
} ly_json_fault_e;

/* "json.malformed", ...; static */
const char *ly_json_fault_code(ly_json_fault_e fault);

#define LY_JSON_FAULT_POINTER  128

typedef struct {
    ly_json_fault_e  code;
    size_t           offset;        /* in the source, about where */
    size_t           pointer_len;   /* JSON Pointer of the innermost value or
                                       container at fault, cut at a token */
    unsigned char    pointer[LY_JSON_FAULT_POINTER];
} ly_json_fault_t;


/*
 * One call for text that is all there.  limits NULL: the default.  On LY_OK
 * *root lives as long as the arena.  Otherwise LY_PARSE, LY_LIMIT or LY_NOMEM
 * and *fault (may be NULL) says what and where.
 */
ly_must_check ly_err_t ly_json_parse(ly_arena_t *a, ly_str_t text,
    const ly_json_limits_t *limits, ly_json_node_t **root,
    ly_json_fault_t *fault);


/*
 * The same in pieces, so that an event loop may turn between them.  size is
 * an upper bound of the whole source if it is known (Content-Length), else 0
 * for limits->max_bytes; feeding more than it is LY_LIMIT.  The parser's own
 * working memory (up to four times the size, address space only until used)
 * is taken from the arena's base allocator before the first byte, because
 * yajl cannot bear an allocation that fails; finish gives it back, and so
 * does the arena's reset if finish is never called.
 *
 * An error of feed is final: every later call repeats it.
 */
typedef struct ly_json_parser_s  ly_json_parser_t;

ly_must_check ly_err_t ly_json_parser_init(ly_json_parser_t **parser,
    ly_arena_t *a, const ly_json_limits_t *limits, size_t size);
ly_must_check ly_err_t ly_json_parser_feed(ly_json_parser_t *parser,
    const unsigned char *data, size_t len);
ly_must_check ly_err_t ly_json_parser_finish(ly_json_parser_t *parser,
    ly_json_node_t **root);

/* valid as long as the arena; code is LY_JSON_FAULT_NONE without an error */
const ly_json_fault_t *ly_json_parser_fault(const ly_json_parser_t *parser);


/*
 * Reading the tree.  All take NULL for the node and then find nothing, so
 * that look-ups can be chained.
 */

/* the member of an object, or NULL; O(members) */
const ly_json_node_t *ly_json_member(const ly_json_node_t *node, ly_str_t key);

/* member with that key and type, or NULL */
const ly_json_node_t *ly_json_member_of(const ly_json_node_t *node,
    ly_str_t key, ly_json_type_e type);

/* the i-th element or member, or NULL; O(i) */
const ly_json_node_t *ly_json_at(const ly_json_node_t *node, uint32_t i);

/* by JSON Pointer (RFC 6901), "" is the node itself; NULL if there is none */
const ly_json_node_t *ly_json_pointer(const ly_json_node_t *node,
    ly_str_t pointer);

/* writes the pointer from the root to the node, ~ and / escaped */
void ly_json_pointer_print(const ly_json_node_t *node, ly_buf_t *b);

/* appends one token to a pointer: '/' and the escaped bytes */
void ly_json_pointer_token(ly_buf_t *b, ly_str_t token);

/* LY_PARSE unless an integer number; -0 is LY_PARSE; LY_OVERFLOW */
ly_must_check ly_err_t ly_json_int64(const ly_json_node_t *node, int64_t *out);

/* LY_PARSE unless a string; *out points into the tree */
ly_must_check ly_err_t ly_json_string(const ly_json_node_t *node,
    ly_str_t *out);

/* the text of a string node; empty for NULL and every other type */
ly_str_t ly_json_text(const ly_json_node_t *node);

/* LY_PARSE unless true or false */
ly_must_check ly_err_t ly_json_bool(const ly_json_node_t *node, bool *out);


#endif /* LY_JSON_H_INCLUDED_ */
