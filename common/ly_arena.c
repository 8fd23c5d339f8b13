#include <stdlib.h>
#include <string.h>

#include "ly_arena.h"
#include "ly_banned.h"


#if defined(__SANITIZE_ADDRESS__)
#define LY_ARENA_ASAN  1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LY_ARENA_ASAN  1
#endif
#endif

/*
 * Under ASan the free tail is poisoned and every allocation has a poisoned gap
 * behind it, so that running over one is seen as with malloc.
 */
#ifdef LY_ARENA_ASAN

#include <sanitizer/asan_interface.h>

#define LY_ARENA_GAP  8
#define ly_arena_poison(p, n)    __asan_poison_memory_region(p, n)
#define ly_arena_unpoison(p, n)  __asan_unpoison_memory_region(p, n)

#else

#define LY_ARENA_GAP  0
#define ly_arena_poison(p, n)    (void) 0
#define ly_arena_unpoison(p, n)  (void) 0

#endif


#define LY_ARENA_ALIGN      16
#define LY_ARENA_BLOCK_MAX  (1024 * 1024)   /* by growth; larger on request */

/*
 * What a reset keeps: given back, blocks of this size are the system's again,
 * and each page of the next round is a fault.
 */
#define LY_ARENA_KEEP       (4 * LY_ARENA_BLOCK_MAX)

typedef struct ly_arena_block_s    ly_arena_block_t;
typedef struct ly_arena_cleanup_s  ly_arena_cleanup_t;

struct ly_arena_block_s {
    ly_arena_block_t    *next;
    size_t               size;      /* with this header */
};

struct ly_arena_cleanup_s {
    void                (*fn)(void *data);
    void                 *data;
    ly_arena_cleanup_t   *next;
};

struct ly_arena_s {
    ly_alloc_t           alloc;
    size_t               cap;
    size_t               taken;
    unsigned char       *pos;       /* free part of the current block */
    unsigned char       *end;
    ly_arena_block_t    *first;     /* holds the arena itself */
    ly_arena_block_t    *more;      /* all the others, newest first */
    ly_arena_block_t    *kept;      /* by a reset; of sizes of growth */
    size_t               held;      /* bytes of those that are kept */
    ly_arena_cleanup_t  *cleanups;
};


#define ly_arena_align(n)                                                     \
    (((n) + (LY_ARENA_ALIGN - 1)) & ~(size_t) (LY_ARENA_ALIGN - 1))

#define LY_ARENA_HEADER  ly_arena_align(sizeof(ly_arena_block_t))


static void *
ly_alloc_libc_alloc(void *ctx, size_t size)
{
    (void) ctx;

    return malloc(size);
}


static void
ly_alloc_libc_free(void *ctx, void *p, size_t size)
{
    (void) ctx;
    (void) size;

    free(p);
}


const ly_alloc_t  ly_alloc_libc = {
    ly_alloc_libc_alloc,
    ly_alloc_libc_free,
    NULL
};


/* the first block is free but for its header and the arena */
static void
ly_arena_rewind(ly_arena_t *a)
{
    a->pos = (unsigned char *) a->first + LY_ARENA_HEADER
             + ly_arena_align(sizeof(ly_arena_t));
    a->end = (unsigned char *) a->first + a->first->size;
    a->taken = a->first->size;
    a->more = NULL;
    a->cleanups = NULL;

    ly_arena_poison(a->pos, (size_t) (a->end - a->pos));
}


ly_arena_t *
ly_arena_create(size_t cap, const ly_alloc_t *alloc)
{
    size_t             size;
    ly_arena_t        *a;
    ly_arena_block_t  *block;

    if (cap < LY_ARENA_MIN) {
        return NULL;
    }

    if (alloc == NULL) {
        alloc = &ly_alloc_libc;
    }

    size = cap < LY_ARENA_BLOCK ? cap : LY_ARENA_BLOCK;

    block = alloc->alloc(alloc->ctx, size);
    if (block == NULL) {
        return NULL;
    }

    block->next = NULL;
    block->size = size;

    a = (ly_arena_t *) (void *) ((unsigned char *) block + LY_ARENA_HEADER);
    a->alloc = *alloc;
    a->cap = cap;
    a->first = block;
    a->kept = NULL;
    a->held = 0;
    ly_arena_rewind(a);

    return a;
}


static void
ly_arena_free(ly_arena_t *a, ly_arena_block_t *block)
{
    ly_alloc_t         alloc;
    ly_arena_block_t  *next;

    alloc = a->alloc;

    for (/* void */; block != NULL; block = next) {
        next = block->next;
        ly_arena_unpoison(block, block->size);
        alloc.free(alloc.ctx, block, block->size);
    }
}


static void
ly_arena_cleanups(ly_arena_t *a)
{
    ly_arena_cleanup_t  *c;

    /* a cleanup that registers another one is served too */
    while (a->cleanups != NULL) {
        c = a->cleanups;
        a->cleanups = c->next;
        c->fn(c->data);
    }
}


static void
ly_arena_unkeep(ly_arena_t *a)
{
    ly_arena_free(a, a->kept);
    a->kept = NULL;
    a->held = 0;
}


void
ly_arena_destroy(ly_arena_t *a)
{
    if (a == NULL) {
        return;
    }

    ly_arena_cleanups(a);
    ly_arena_free(a, a->more);
    ly_arena_unkeep(a);
    ly_arena_free(a, a->first);
}


static bool
ly_arena_is_growth(size_t size)
{
    return size >= LY_ARENA_BLOCK && size <= LY_ARENA_BLOCK_MAX
           && (size & (size - 1)) == 0;
}


void
ly_arena_reset(ly_arena_t *a)
{
    ly_arena_block_t  *block, *next;

    ly_arena_cleanups(a);

    for (block = a->more; block != NULL; block = next) {
        next = block->next;
        block->next = NULL;

        if (!ly_arena_is_growth(block->size)
            || block->size > LY_ARENA_KEEP - a->held)
        {
            ly_arena_free(a, block);
            continue;
        }

        ly_arena_poison((unsigned char *) block + LY_ARENA_HEADER,
                        block->size - LY_ARENA_HEADER);
        block->next = a->kept;
        a->kept = block;
        a->held += block->size;
    }

    ly_arena_rewind(a);
}


/* of the very size, so that an arena after a reset grows as a new one does */
static ly_arena_block_t *
ly_arena_again(ly_arena_t *a, size_t size)
{
    ly_arena_block_t  *block, **at;

    for (at = &a->kept; *at != NULL; at = &(*at)->next) {
        block = *at;

        if (block->size == size) {
            *at = block->next;
            a->held -= size;

            return block;
        }
    }

    return NULL;
}


/* a block with room for need bytes; the wanted size if the cap allows it */
static ly_arena_block_t *
ly_arena_block(ly_arena_t *a, size_t need, size_t want)
{
    size_t             left;
    ly_arena_block_t  *block;

    left = a->cap - a->taken;

    if (left < LY_ARENA_HEADER || need > left - LY_ARENA_HEADER) {
        return NULL;
    }

    want = want < need + LY_ARENA_HEADER ? need + LY_ARENA_HEADER : want;
    want = want > left ? left : want;

    block = ly_arena_again(a, want);

    if (block == NULL) {
        if (want > left - a->held) {
            ly_arena_unkeep(a);
        }

        block = a->alloc.alloc(a->alloc.ctx, want);
    }

    if (block == NULL) {
        return NULL;
    }

    block->size = want;
    block->next = a->more;
    a->more = block;
    a->taken += want;

    ly_arena_poison((unsigned char *) block + LY_ARENA_HEADER,
                    want - LY_ARENA_HEADER);

    return block;
}


static void *
ly_arena_slow(ly_arena_t *a, size_t size)
{
    size_t             need, want;
    unsigned char     *p;
    ly_arena_block_t  *block;

    need = size + LY_ARENA_GAP;

    /* as much again as there is, in few sizes */
    want = LY_ARENA_BLOCK;

    while (want < LY_ARENA_BLOCK_MAX && want * 2 <= a->taken) {
        want *= 2;
    }

    /* a large one does not make the rest of the current block useless */
    if (need > want / 4) {
        block = ly_arena_block(a, need, 0);
        if (block == NULL) {
            return NULL;
        }

        p = (unsigned char *) block + LY_ARENA_HEADER;
        ly_arena_unpoison(p, size);

        return p;
    }

    block = ly_arena_block(a, need, want);
    if (block == NULL) {
        return NULL;
    }

    p = (unsigned char *) block + LY_ARENA_HEADER;
    a->pos = p + need;
    a->end = (unsigned char *) block + block->size;
    ly_arena_unpoison(p, size);

    return p;
}


static void *
ly_arena_take(ly_arena_t *a, size_t size, size_t align)
{
    size_t          pad, room;
    unsigned char  *p;

    /* keeps every sum below from wrapping */
    if (size > a->cap) {
        return NULL;
    }

    pad = (size_t) (0 - (uintptr_t) a->pos) & (align - 1);
    room = (size_t) (a->end - a->pos);

    if (size + pad + LY_ARENA_GAP > room) {
        return ly_arena_slow(a, size);
    }

    p = a->pos + pad;
    a->pos = p + size + LY_ARENA_GAP;
    ly_arena_unpoison(p, size);

    return p;
}


void *
ly_arena_alloc(ly_arena_t *a, size_t size)
{
    return ly_arena_take(a, size, LY_ARENA_ALIGN);
}


void *
ly_arena_bytes(ly_arena_t *a, size_t size)
{
    return ly_arena_take(a, size, 1);
}


void *
ly_arena_zalloc(ly_arena_t *a, size_t size)
{
    void  *p;

    p = ly_arena_alloc(a, size);

    if (p != NULL) {
        memset(p, 0, size);
    }

    return p;
}


void *
ly_arena_array(ly_arena_t *a, size_t n, size_t size)
{
    size_t  bytes;

    if (__builtin_mul_overflow(n, size, &bytes)) {
        return NULL;
    }

    return ly_arena_zalloc(a, bytes);
}


ly_err_t
ly_arena_str(ly_arena_t *a, ly_str_t s, ly_str_t *out)
{
    unsigned char  *p;

    if (s.len >= a->cap) {
        return LY_NOMEM;
    }

    p = ly_arena_bytes(a, s.len + 1);
    if (p == NULL) {
        return LY_NOMEM;
    }

    if (s.len != 0) {
        memcpy(p, s.data, s.len);
    }

    p[s.len] = '\0';
    *out = ly_str_of(p, s.len);

    return LY_OK;
}


ly_err_t
ly_arena_cleanup(ly_arena_t *a, void (*fn)(void *data), void *data)
{
    ly_arena_cleanup_t  *c;

    c = ly_arena_alloc(a, sizeof(ly_arena_cleanup_t));
    if (c == NULL) {
        return LY_NOMEM;
    }

    c->fn = fn;
    c->data = data;
    c->next = a->cleanups;
    a->cleanups = c;

    return LY_OK;
}


size_t
ly_arena_used(const ly_arena_t *a)
{
    return a->taken;
}


size_t
ly_arena_cap(const ly_arena_t *a)
{
    return a->cap;
}


const ly_alloc_t *
ly_arena_base(const ly_arena_t *a)
{
    return &a->alloc;
}
