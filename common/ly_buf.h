/*
 * The only growing buffer.  It has a mandatory maximum and a sticky error:
 * write as much as you like, look at the error once at the end.  After the
 * first error all writes do nothing.
 */

#ifndef LY_BUF_H_INCLUDED_
#define LY_BUF_H_INCLUDED_

#include "ly_base.h"
#include "ly_arena.h"


typedef struct {
    unsigned char     *data;
    size_t             len;
    size_t             cap;
    size_t             max;
    ly_err_t           err;
    ly_alloc_t         alloc;       /* .alloc NULL: fixed or arena memory */
    ly_arena_t        *arena;
} ly_buf_t;


/* grows by doubling up to max bytes; alloc NULL: libc.  Free it. */
void ly_buf_init(ly_buf_t *b, size_t max, const ly_alloc_t *alloc);

/* grows within the arena (what it outgrows stays there); no free needed */
void ly_buf_init_arena(ly_buf_t *b, ly_arena_t *a, size_t max);

/* writes into mem and never allocates: LY_LIMIT when size bytes are full */
void ly_buf_init_fixed(ly_buf_t *b, void *mem, size_t size);

/* empties, clears the error, keeps the memory */
void ly_buf_reset(ly_buf_t *b);

/* gives the memory back; the buffer may be initialised again */
void ly_buf_free(ly_buf_t *b);

/* as free, and overwrites what was written */
void ly_buf_free_secret(ly_buf_t *b);

/* LY_OK, LY_LIMIT or LY_NOMEM; whatever came first */
ly_err_t ly_buf_err(const ly_buf_t *b);

/* sets the sticky error, if none is set; for writers built on a buffer */
void ly_buf_fail(ly_buf_t *b, ly_err_t err);

/* what was written so far; valid until the next write */
ly_str_t ly_buf_view(const ly_buf_t *b);

void ly_buf_put(ly_buf_t *b, const void *data, size_t len);
void ly_buf_str(ly_buf_t *b, ly_str_t s);
void ly_buf_cstr(ly_buf_t *b, const char *text);
void ly_buf_byte(ly_buf_t *b, unsigned char c);
void ly_buf_int(ly_buf_t *b, int64_t v);
void ly_buf_uint(ly_buf_t *b, uint64_t v);
void ly_buf_be16(ly_buf_t *b, uint16_t v);
void ly_buf_be32(ly_buf_t *b, uint32_t v);
void ly_buf_be64(ly_buf_t *b, uint64_t v);

/* of ly_buf_reserve(), where there is no room yet */
ly_must_check unsigned char *ly_buf_room(ly_buf_t *b, size_t n);

/*
 * Room for n bytes behind what is written, or NULL (the error is set).  Write
 * at most n there, then commit what was written.
 */
ly_must_check static inline unsigned char *
ly_buf_reserve(ly_buf_t *b, size_t n)
{
    if (b->err == LY_OK && n <= b->cap - b->len && b->data != NULL) {
        return b->data + b->len;
    }

    return ly_buf_room(b, n);
}


static inline void
ly_buf_commit(ly_buf_t *b, size_t n)
{
    b->len += n;
}


/* cuts back to len bytes (no more than written) */
void ly_buf_truncate(ly_buf_t *b, size_t len);


#endif /* LY_BUF_H_INCLUDED_ */
