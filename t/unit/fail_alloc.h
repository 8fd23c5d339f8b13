/*
 * A base allocator that fails its n-th call, and counts what is not given
 * back.  A loop over n until nothing fails any more meets every failure.
 */

#ifndef LY_FAIL_ALLOC_H_INCLUDED_
#define LY_FAIL_ALLOC_H_INCLUDED_

#include <stdlib.h>

#include "ly_arena.h"


typedef struct {
    size_t  calls;
    size_t  fail_at;            /* 0: never */
    bool    failed;
    size_t  live;
    size_t  bytes;
} fail_alloc_t;


static void *
fail_alloc_alloc(void *ctx, size_t size)
{
    void          *p;
    fail_alloc_t  *f = ctx;

    f->calls++;

    if (f->calls == f->fail_at) {
        f->failed = true;
        return NULL;
    }

    p = malloc(size == 0 ? 1 : size);

    if (p != NULL) {
        f->live++;
        f->bytes += size;
    }

    return p;
}


static void
fail_alloc_free(void *ctx, void *p, size_t size)
{
    fail_alloc_t  *f = ctx;

    if (p != NULL) {
        f->live--;
        f->bytes -= size;
        free(p);
    }
}


static inline ly_alloc_t
fail_alloc(fail_alloc_t *f, size_t fail_at)
{
    ly_alloc_t  alloc;

    f->calls = 0;
    f->fail_at = fail_at;
    f->failed = false;
    f->live = 0;
    f->bytes = 0;

    alloc.alloc = fail_alloc_alloc;
    alloc.free = fail_alloc_free;
    alloc.ctx = f;

    return alloc;
}


#endif /* LY_FAIL_ALLOC_H_INCLUDED_ */
