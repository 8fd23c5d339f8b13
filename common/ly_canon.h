/*
 * Canonical JSON, RFC 8785: members sorted by UTF-16 code units, the shortest
 * escapes, numbers as ECMAScript prints them.  The same document in any
 * spelling gives the same bytes, so that a digest of them stands for it.
 */

#ifndef LY_CANON_H_INCLUDED_
#define LY_CANON_H_INCLUDED_

#include "ly_base.h"
#include "ly_arena.h"
#include "ly_buf.h"
#include "ly_json.h"


/*
 * Appends the canonical form of the node to b.  scratch holds the sorting
 * only; it may be the tree's own arena.  An integer that a double cannot hold
 * exactly but int64 can is printed as it is (RFC 8785 would round it: two
 * different point amounts would give one digest).  LY_OVERFLOW for a number
 * past the range of a double; LY_NOMEM; or the buffer's error.
 */
ly_must_check ly_err_t ly_canon_print(const ly_json_node_t *node,
    ly_arena_t *scratch, ly_buf_t *b);

/* one number's text into b; the same errors, LY_PARSE if it is no number */
ly_must_check ly_err_t ly_canon_number(ly_str_t text, ly_buf_t *b);

/* order of two UTF-8 strings by their UTF-16 code units: < 0, 0, > 0 */
int ly_canon_key_cmp(ly_str_t a, ly_str_t b);


#endif /* LY_CANON_H_INCLUDED_ */
