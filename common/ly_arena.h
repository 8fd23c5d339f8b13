/*
 * Memory with one lifetime: allocate many, free all at once.  A hard cap
 * bounds what one request or job may take; past it every call gives NULL and
 * the arena stays usable.  Not for use by two threads at once.
 */

#ifndef LY_ARENA_H_INCLUDED_
#define LY_ARENA_H_INCLUDED_

#include "ly_base.h"


/*
 * Where blocks come from.  alloc gives size bytes aligned to 16, or NULL; free
 * gets the same size back and may do nothing.  A test hands in one that fails
 * the n-th call, the module may back it by a pool.
 */
typedef struct {
    void  *(*alloc)(void *ctx, size_t size);
    void   (*free)(void *ctx, void *p, size_t size);
    void    *ctx;
} ly_alloc_t;

/* malloc and free */
extern const ly_alloc_t  ly_alloc_libc;

typedef struct ly_arena_s  ly_arena_t;


/*
 * cap bounds all that is taken from the base allocator, overhead included.
 * alloc NULL means ly_alloc_libc; it is copied.  The first block is taken at
 * once, so that small users allocate once; blocks grow with use.  NULL if that
 * fails or cap is below LY_ARENA_MIN.
 */
#define LY_ARENA_MIN    1024
#define LY_ARENA_BLOCK  8192
ly_must_check ly_arena_t *ly_arena_create(size_t cap, const ly_alloc_t *alloc);

/* runs the cleanups in reverse order, then frees every block; NULL is fine */
void ly_arena_destroy(ly_arena_t *a);

/*
 * As destroy, but the arena is as new, and keeps up to 4 MiB of its blocks for
 * what comes next; where the cap needs them, they are freed.
 */
void ly_arena_reset(ly_arena_t *a);

/*
 * Aligned to 16, not zeroed, NULL past the cap or when the base allocator
 * fails.  size 0 gives a valid address that holds nothing.
 */
ly_must_check void *ly_arena_alloc(ly_arena_t *a, size_t size);
ly_must_check void *ly_arena_zalloc(ly_arena_t *a, size_t size);

/* n * size zeroed bytes; NULL too when the product overflows */
ly_must_check void *ly_arena_array(ly_arena_t *a, size_t n, size_t size);

/* without alignment, for bytes of text */
ly_must_check void *ly_arena_bytes(ly_arena_t *a, size_t size);

/* copies into the arena, with a NUL behind that is not counted */
ly_must_check ly_err_t ly_arena_str(ly_arena_t *a, ly_str_t s, ly_str_t *out);

/*
 * fn(data) is called on reset and destroy, last registered first.  On
 * LY_NOMEM nothing is registered and the caller still owns data.
 */
ly_must_check ly_err_t ly_arena_cleanup(ly_arena_t *a, void (*fn)(void *data),
    void *data);

/* bytes of the blocks in use, without those that a reset kept, and the cap */
size_t ly_arena_used(const ly_arena_t *a);
size_t ly_arena_cap(const ly_arena_t *a);

/* the base allocator, for one large block outside of the cap */
const ly_alloc_t *ly_arena_base(const ly_arena_t *a);


#endif /* LY_ARENA_H_INCLUDED_ */
