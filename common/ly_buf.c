#include <string.h>

#include "ly_buf.h"
#include "ly_banned.h"


#define LY_BUF_FIRST  256


static void
ly_buf_zero(ly_buf_t *b)
{
    memset(b, 0, sizeof(ly_buf_t));
    b->err = LY_OK;
}


void
ly_buf_init(ly_buf_t *b, size_t max, const ly_alloc_t *alloc)
{
    ly_buf_zero(b);
    b->max = max;
    b->alloc = alloc == NULL ? ly_alloc_libc : *alloc;
}


void
ly_buf_init_arena(ly_buf_t *b, ly_arena_t *a, size_t max)
{
    ly_buf_zero(b);
    b->max = max;
    b->arena = a;
}


void
ly_buf_init_fixed(ly_buf_t *b, void *mem, size_t size)
{
    ly_buf_zero(b);
    b->data = mem;
    b->cap = size;
    b->max = size;
}


void
ly_buf_reset(ly_buf_t *b)
{
    b->len = 0;
    b->err = LY_OK;
}


void
ly_buf_free(ly_buf_t *b)
{
    if (b->alloc.alloc != NULL && b->data != NULL) {
        b->alloc.free(b->alloc.ctx, b->data, b->cap);
    }

    ly_buf_zero(b);
}


void
ly_buf_free_secret(ly_buf_t *b)
{
    /* after a truncate there may be more than len */
    if (b->data != NULL) {
        ly_secret_wipe(b->data, b->cap);
    }

    ly_buf_free(b);
}


ly_err_t
ly_buf_err(const ly_buf_t *b)
{
    return b->err;
}


void
ly_buf_fail(ly_buf_t *b, ly_err_t err)
{
    if (b->err == LY_OK) {
        b->err = err;
    }
}


ly_str_t
ly_buf_view(const ly_buf_t *b)
{
    return ly_str_of(b->data, b->len);
}


/* room for n more bytes; outgrown memory is wiped, it may hold a secret */
static bool
ly_buf_grow(ly_buf_t *b, size_t n)
{
    size_t          need, cap;
    unsigned char  *p;

    if (b->err != LY_OK) {
        return false;
    }

    /* memory of the caller's does not grow */
    if (n > b->max - b->len || (b->arena == NULL && b->alloc.alloc == NULL)) {
        b->err = LY_LIMIT;
        return false;
    }

    need = b->len + n;
    cap = b->cap < LY_BUF_FIRST ? LY_BUF_FIRST : b->cap;

    while (cap < need) {
        cap = cap > b->max / 2 ? b->max : cap * 2;
    }

    cap = cap > b->max ? b->max : cap;

    if (b->arena != NULL) {
        p = ly_arena_bytes(b->arena, cap);

    } else {
        p = b->alloc.alloc(b->alloc.ctx, cap);
    }

    if (p == NULL) {
        b->err = LY_NOMEM;
        return false;
    }

    if (b->len != 0) {
        memcpy(p, b->data, b->len);
    }

    if (b->data != NULL && b->arena == NULL) {
        ly_secret_wipe(b->data, b->len);
        b->alloc.free(b->alloc.ctx, b->data, b->cap);
    }

    b->data = p;
    b->cap = cap;

    return true;
}


unsigned char *
ly_buf_room(ly_buf_t *b, size_t n)
{
    if (b->err != LY_OK) {
        return NULL;
    }

    if ((n > b->cap - b->len || b->data == NULL) && !ly_buf_grow(b, n)) {
        return NULL;
    }

    return b->data + b->len;
}


void
ly_buf_put(ly_buf_t *b, const void *data, size_t len)
{
    unsigned char  *p;

    if (len == 0) {
        return;
    }

    p = ly_buf_reserve(b, len);

    if (p != NULL) {
        memcpy(p, data, len);
        b->len += len;
    }
}


void
ly_buf_str(ly_buf_t *b, ly_str_t s)
{
    ly_buf_put(b, s.data, s.len);
}


void
ly_buf_cstr(ly_buf_t *b, const char *text)
{
    ly_buf_str(b, ly_str_c(text));
}


void
ly_buf_byte(ly_buf_t *b, unsigned char c)
{
    unsigned char  *p;

    p = ly_buf_reserve(b, 1);

    if (p != NULL) {
        *p = c;
        b->len++;
    }
}


void
ly_buf_int(ly_buf_t *b, int64_t v)
{
    unsigned char  tmp[LY_INT64_TEXT];

    ly_buf_put(b, tmp, ly_int64_print(v, tmp));
}


void
ly_buf_uint(ly_buf_t *b, uint64_t v)
{
    unsigned char  tmp[LY_INT64_TEXT];

    ly_buf_put(b, tmp, ly_uint64_print(v, tmp));
}


void
ly_buf_be16(ly_buf_t *b, uint16_t v)
{
    unsigned char  tmp[2];

    ly_be16_put(tmp, v);
    ly_buf_put(b, tmp, sizeof(tmp));
}


void
ly_buf_be32(ly_buf_t *b, uint32_t v)
{
    unsigned char  tmp[4];

    ly_be32_put(tmp, v);
    ly_buf_put(b, tmp, sizeof(tmp));
}


void
ly_buf_be64(ly_buf_t *b, uint64_t v)
{
    unsigned char  tmp[8];

    ly_be64_put(tmp, v);
    ly_buf_put(b, tmp, sizeof(tmp));
}


void
ly_buf_truncate(ly_buf_t *b, size_t len)
{
    if (len < b->len) {
        b->len = len;
    }
}
