#include <string.h>

#include <yajl/yajl_parse.h>

#include "ly_json.h"
#include "ly_sort.h"
#include "ly_banned.h"


/*
 * What yajl 2.1 does not do, and is done here: it takes vertical tab and form
 * feed for white space, overlong UTF-8 for UTF-8, and turns a lone surrogate
 * into '?'; it has no bound of depth, and does not look for duplicate keys.
 * It does not check its allocations either, so that its memory is laid out
 * before it starts: a small area for its structures, its state stack, and two
 * text buffers (a token split by a feed; a string with escapes) that double
 * from LY_JSON_YAJL_BUF and never need more than the first power of two above
 * the length of the source.
 */

#define LY_JSON_YAJL_SMALL  1024
#define LY_JSON_YAJL_BUF    2048
#define LY_JSON_YAJL_STACK  128         /* its stack grows by this */

#define LY_JSON_INLINE      (64 * 1024) /* more is not from the arena */
#define LY_JSON_PAIRWISE    16          /* members compared without sorting */

#define LY_JSON_DEPTH_MAX   1000
#define LY_JSON_BYTES_MAX   (1024 * 1024 * 1024)


typedef enum {
    LY_JSON_ESC_NONE = 0,
    LY_JSON_ESC_SLASH,                  /* behind a backslash */
    LY_JSON_ESC_HEX,                    /* in the four digits */
    LY_JSON_ESC_LOW                     /* behind a high surrogate */
} ly_json_esc_e;


typedef struct {
    ly_json_node_t        *node;
    ly_json_node_t        *last;        /* child */
} ly_json_frame_t;


struct ly_json_parser_s {
    ly_arena_t            *arena;
    ly_json_limits_t       limits;
    yajl_handle            yajl;
    yajl_alloc_funcs       funcs;
    ly_err_t               err;
    ly_json_fault_t        fault;

    ly_json_node_t        *root;
    ly_json_frame_t       *frames;
    uint32_t               depth;
    uint32_t               nodes;
    ly_str_t               key;
    bool                   keyed;
    bool                   begun;       /* anything but blanks was seen */

    size_t                 size;        /* bound of the source */
    size_t                 base;        /* bytes before the current feed */
    const unsigned char   *chunk;
    size_t                 chunk_len;

    ly_json_esc_e          esc;
    unsigned               esc_digits;
    unsigned               esc_value;
    bool                   esc_low;     /* a low surrogate is due */

    const void           **sorted;      /* scratch */
    size_t                 nsorted;

    unsigned char         *small;
    size_t                 small_used;
    unsigned char         *stack;
    size_t                 stack_size;
    unsigned char         *text[2];
    size_t                 text_size;
    unsigned               ntext;
    void                  *block;       /* if from the base allocator */
    size_t                 block_size;
};


const ly_json_limits_t  ly_json_limits_default = {
    .max_depth = 32,
    .max_nodes = 262144,
    .max_members = 65536,
    .max_bytes = 1024 * 1024,
    .max_string = 65536,
    .refuse_nul = 1,
    .borrow = 0
};


static const struct {
    const char  *code;
    ly_err_t     err;
} ly_json_faults[] = {
    { "", LY_OK },
    { "json.malformed", LY_PARSE },
    { "json.empty", LY_PARSE },
    { "json.duplicate_key", LY_PARSE },
    { "json.too_deep", LY_LIMIT },
    { "json.too_large", LY_LIMIT },
    { "json.too_many", LY_LIMIT },
    { "json.string_too_long", LY_LIMIT },
    { "json.invalid_utf8", LY_PARSE },
    { "json.lone_surrogate", LY_PARSE },
    { "json.nul", LY_PARSE },
    { "json.memory", LY_NOMEM }
};


const char *
ly_json_fault_code(ly_json_fault_e fault)
{
    if ((size_t) fault >= ly_countof(ly_json_faults)) {
        return "json.malformed";
    }

    return ly_json_faults[fault].code;
}


/* appends a token, or nothing when it does not fit as a whole */
static void
ly_json_fault_token(ly_buf_t *b, ly_str_t token)
{
    size_t  len;

    len = b->len;
    ly_json_pointer_token(b, token);

    if (b->err != LY_OK) {
        b->len = len;
    }
}


static void
ly_json_fault_index(ly_buf_t *b, uint32_t i)
{
    unsigned char  tmp[LY_INT64_TEXT];

    ly_json_fault_token(b, ly_str_of(tmp, ly_uint64_print(i, tmp)));
}


/* sets the fault; returns 0, which makes yajl stop */
static int
ly_json_fail(ly_json_parser_t *p, ly_json_fault_e code, size_t offset,
    const ly_str_t *key)
{
    uint32_t         i;
    ly_buf_t         b;
    ly_json_node_t  *node;

    if (p->err != LY_OK) {
        return 0;
    }

    p->err = ly_json_faults[code].err;
    p->fault.code = code;
    p->fault.offset = offset;

    ly_buf_init_fixed(&b, p->fault.pointer, LY_JSON_FAULT_POINTER);

    for (i = 1; i < p->depth; i++) {
        node = p->frames[i].node;

        if (node->in_object) {
            ly_json_fault_token(&b, node->key);

        } else {
            ly_json_fault_index(&b, node->index);
        }
    }

    if (key != NULL) {
        ly_json_fault_token(&b, *key);

    } else if (p->keyed) {
        ly_json_fault_token(&b, p->key);

    } else if (p->depth != 0
               && p->frames[p->depth - 1].node->type == LY_JSON_ARRAY)
    {
        ly_json_fault_index(&b, p->frames[p->depth - 1].node->count);
    }

    p->fault.pointer_len = b.len;

    return 0;
}


static size_t
ly_json_here(const ly_json_parser_t *p)
{
    return p->base + yajl_get_bytes_consumed(p->yajl);
}


static void *
ly_json_yajl_malloc(void *ctx, size_t size)
{
    void              *ptr;
    ly_json_parser_t  *p = ctx;

    if (size == LY_JSON_YAJL_BUF && p->ntext < ly_countof(p->text)) {
        return p->text[p->ntext++];
    }

    size = (size + 15) & ~(size_t) 15;

    if (size > LY_JSON_YAJL_SMALL - p->small_used) {
        /* yajl would write through NULL: stop here, at the broken promise */
        __builtin_trap();
    }

    ptr = p->small + p->small_used;
    p->small_used += size;

    return ptr;
}


static void *
ly_json_yajl_realloc(void *ctx, void *ptr, size_t size)
{
    ly_json_parser_t  *p = ctx;

    if ((ptr == NULL || ptr == p->stack) && size <= p->stack_size) {
        return p->stack;
    }

    if ((ptr == p->text[0] || ptr == p->text[1]) && size <= p->text_size) {
        return ptr;
    }

    __builtin_trap();
}


static void
ly_json_yajl_free(void *ctx, void *ptr)
{
    (void) ctx;
    (void) ptr;
}


/* the bytes of a token, kept for the life of the arena */
static bool
ly_json_keep(ly_json_parser_t *p, const unsigned char *data, size_t len,
    ly_str_t *out)
{
    unsigned char  *copy;
    static const unsigned char  none[1] = "";

    if (len == 0) {
        *out = ly_str_of(none, 0);
        return true;
    }

    /* not what stands in a buffer of yajl's */
    if (p->limits.borrow && p->chunk_len != 0 && data >= p->chunk
        && data < p->chunk + p->chunk_len)
    {
        *out = ly_str_of(data, len);
        return true;
    }

    copy = ly_arena_bytes(p->arena, len);
    if (copy == NULL) {
        ly_json_fail(p, LY_JSON_NOMEM, ly_json_here(p), NULL);
        return false;
    }

    memcpy(copy, data, len);
    *out = ly_str_of(copy, len);

    return true;
}


/* a new value where the source stands; NULL after a fault */
static ly_json_node_t *
ly_json_add(ly_json_parser_t *p, ly_json_type_e type)
{
    ly_json_node_t   *node;
    ly_json_frame_t  *frame;

    if (p->nodes >= p->limits.max_nodes) {
        ly_json_fail(p, LY_JSON_TOO_MANY, ly_json_here(p), NULL);
        return NULL;
    }

    node = ly_arena_alloc(p->arena, sizeof(ly_json_node_t));
    if (node == NULL) {
        ly_json_fail(p, LY_JSON_NOMEM, ly_json_here(p), NULL);
        return NULL;
    }

    memset(node, 0, sizeof(ly_json_node_t));
    node->type = type & 0xff;
    node->offset = (uint32_t) ly_json_here(p);
    p->nodes++;

    if (p->depth == 0) {
        p->root = node;
        return node;
    }

    frame = &p->frames[p->depth - 1];

    if (frame->node->count >= p->limits.max_members) {
        ly_json_fail(p, LY_JSON_TOO_MANY, ly_json_here(p), NULL);
        return NULL;
    }

    node->parent = frame->node;
    node->index = frame->node->count++;

    if (p->keyed) {
        node->in_object = 1;
        node->key = p->key;
        p->keyed = false;
    }

    if (frame->last == NULL) {
        frame->node->first = node;

    } else {
        frame->last->next = node;
    }

    frame->last = node;

    return node;
}


static int
ly_json_on_null(void *ctx)
{
    return ly_json_add(ctx, LY_JSON_NULL) != NULL;
}


static int
ly_json_on_bool(void *ctx, int v)
{
    return ly_json_add(ctx, v ? LY_JSON_TRUE : LY_JSON_FALSE) != NULL;
}


static int
ly_json_on_number(void *ctx, const char *data, size_t len)
{
    size_t             i;
    unsigned           integer;
    ly_str_t           text;
    ly_json_node_t    *node;
    ly_json_parser_t  *p = ctx;

    if (len > p->limits.max_string) {
        return ly_json_fail(p, LY_JSON_STRING_TOO_LONG, ly_json_here(p),
                            NULL);
    }

    integer = 1;

    for (i = 0; i < len; i++) {
        if (data[i] == '.' || data[i] == 'e' || data[i] == 'E') {
            integer = 0;
            break;
        }
    }

    if (!ly_json_keep(p, (const unsigned char *) data, len, &text)) {
        return 0;
    }

    node = ly_json_add(p, LY_JSON_NUMBER);
    if (node == NULL) {
        return 0;
    }

    node->text = text;
    node->is_integer = integer & 1;

    return 1;
}


/* bounds and form of an unescaped string, and a copy that lasts */
static bool
ly_json_checked(ly_json_parser_t *p, const unsigned char *data, size_t len,
    ly_str_t *out)
{
    if (len > p->limits.max_string) {
        ly_json_fail(p, LY_JSON_STRING_TOO_LONG, ly_json_here(p), NULL);
        return false;
    }

    if (!ly_utf8_valid(ly_str_of(data, len))) {
        ly_json_fail(p, LY_JSON_INVALID_UTF8, ly_json_here(p), NULL);
        return false;
    }

    return ly_json_keep(p, data, len, out);
}


static int
ly_json_on_string(void *ctx, const unsigned char *data, size_t len)
{
    ly_str_t           text;
    ly_json_node_t    *node;
    ly_json_parser_t  *p = ctx;

    if (!ly_json_checked(p, data, len, &text)) {
        return 0;
    }

    node = ly_json_add(p, LY_JSON_STRING);
    if (node == NULL) {
        return 0;
    }

    node->text = text;

    return 1;
}


static int
ly_json_on_key(void *ctx, const unsigned char *data, size_t len)
{
    ly_json_parser_t  *p = ctx;

    if (!ly_json_checked(p, data, len, &p->key)) {
        return 0;
    }

    p->keyed = true;

    return 1;
}


static int
ly_json_open(ly_json_parser_t *p, ly_json_type_e type)
{
    ly_json_node_t  *node;

    if (p->depth >= p->limits.max_depth) {
        return ly_json_fail(p, LY_JSON_TOO_DEEP, ly_json_here(p), NULL);
    }

    node = ly_json_add(p, type);
    if (node == NULL) {
        return 0;
    }

    p->frames[p->depth].node = node;
    p->frames[p->depth].last = NULL;
    p->depth++;

    return 1;
}


static int
ly_json_on_object(void *ctx)
{
    return ly_json_open(ctx, LY_JSON_OBJECT);
}


static int
ly_json_on_array(void *ctx)
{
    return ly_json_open(ctx, LY_JSON_ARRAY);
}


static int
ly_json_on_array_end(void *ctx)
{
    ly_json_parser_t  *p = ctx;

    p->depth--;

    return 1;
}


/* any total order will do; lengths first is the cheap one */
static int
ly_json_key_cmp(const void *a, const void *b)
{
    const ly_json_node_t  *x = a, *y = b;

    if (x->key.len != y->key.len) {
        return x->key.len < y->key.len ? -1 : 1;
    }

    return x->key.len == 0 ? 0 : memcmp(x->key.data, y->key.data, x->key.len);
}


static const ly_json_node_t *
ly_json_twin_pairwise(const ly_json_node_t *object)
{
    const ly_json_node_t  *a, *b;

    for (a = object->first; a != NULL; a = a->next) {
        for (b = a->next; b != NULL; b = b->next) {
            if (a->key.len == b->key.len && ly_json_key_cmp(a, b) == 0) {
                return b;
            }
        }
    }

    return NULL;
}


/*
 * A member whose key stands before.  Many members are sorted, not hashed:
 * there is no hash for an attacker to aim at.
 */
static int
ly_json_twin(ly_json_parser_t *p, const ly_json_node_t *object,
    const ly_json_node_t **twin)
{
    size_t                 i, n;
    const ly_json_node_t  *node;

    *twin = NULL;

    if (object->count <= LY_JSON_PAIRWISE) {
        *twin = ly_json_twin_pairwise(object);
        return 1;
    }

    if (object->count > p->nsorted) {
        n = (size_t) object->count * 2;
        p->sorted = ly_arena_alloc(p->arena, n * sizeof(void *));

        if (p->sorted == NULL) {
            p->nsorted = 0;
            return ly_json_fail(p, LY_JSON_NOMEM, ly_json_here(p), NULL);
        }

        p->nsorted = n;
    }

    n = 0;

    for (node = object->first; node != NULL; node = node->next) {
        p->sorted[n++] = node;
    }

    ly_sort(p->sorted, n, ly_json_key_cmp);

    for (i = 1; i < n; i++) {
        if (ly_json_key_cmp(p->sorted[i - 1], p->sorted[i]) == 0) {
            *twin = p->sorted[i];
            break;
        }
    }

    return 1;
}


static int
ly_json_on_object_end(void *ctx)
{
    ly_json_parser_t      *p = ctx;
    const ly_json_node_t  *twin;

    if (!ly_json_twin(p, p->frames[p->depth - 1].node, &twin)) {
        return 0;
    }

    if (twin != NULL) {
        return ly_json_fail(p, LY_JSON_DUPLICATE_KEY, twin->offset,
                            &twin->key);
    }

    p->depth--;

    return 1;
}


static const yajl_callbacks  ly_json_callbacks = {
    ly_json_on_null,
    ly_json_on_bool,
    NULL,
    NULL,
    ly_json_on_number,
    ly_json_on_string,
    ly_json_on_object,
    ly_json_on_key,
    ly_json_on_object_end,
    ly_json_on_array,
    ly_json_on_array_end
};


static void
ly_json_release(void *data)
{
    ly_json_parser_t  *p = data;
    const ly_alloc_t  *alloc;

    if (p->block != NULL) {
        alloc = ly_arena_base(p->arena);
        alloc->free(alloc->ctx, p->block, p->block_size);
        p->block = NULL;
        p->yajl = NULL;
    }
}


/* all the memory that yajl will ever ask for, for a source of p->size bytes */
static ly_err_t
ly_json_memory(ly_json_parser_t *p)
{
    ly_err_t           rc;
    unsigned char     *mem;
    const ly_alloc_t  *alloc;

    p->stack_size = (p->limits.max_depth / LY_JSON_YAJL_STACK + 2)
                    * LY_JSON_YAJL_STACK;

    /* finish feeds one blank more, yajl puts a NUL behind */
    p->text_size = LY_JSON_YAJL_BUF;

    while (p->text_size <= p->size + 2) {
        p->text_size *= 2;
    }

    p->block_size = LY_JSON_YAJL_SMALL + p->stack_size + 2 * p->text_size;

    if (p->block_size <= LY_JSON_INLINE) {
        mem = ly_arena_alloc(p->arena, p->block_size);
        if (mem == NULL) {
            return LY_NOMEM;
        }

    } else {
        rc = ly_arena_cleanup(p->arena, ly_json_release, p);
        if (rc != LY_OK) {
            return rc;
        }

        alloc = ly_arena_base(p->arena);
        mem = alloc->alloc(alloc->ctx, p->block_size);
        if (mem == NULL) {
            return LY_NOMEM;
        }

        p->block = mem;
    }

    p->small = mem;
    p->stack = mem + LY_JSON_YAJL_SMALL;
    p->text[0] = p->stack + p->stack_size;
    p->text[1] = p->text[0] + p->text_size;

    return LY_OK;
}


ly_err_t
ly_json_parser_init(ly_json_parser_t **parser, ly_arena_t *a,
    const ly_json_limits_t *limits, size_t size)
{
    ly_err_t           rc;
    ly_json_parser_t  *p;

    limits = limits == NULL ? &ly_json_limits_default : limits;

    p = ly_arena_zalloc(a, sizeof(ly_json_parser_t));
    if (p == NULL) {
        return LY_NOMEM;
    }

    p->arena = a;
    p->limits = *limits;

    if (p->limits.max_depth > LY_JSON_DEPTH_MAX) {
        p->limits.max_depth = LY_JSON_DEPTH_MAX;
    }

    if (p->limits.max_bytes > LY_JSON_BYTES_MAX) {
        p->limits.max_bytes = LY_JSON_BYTES_MAX;
    }

    p->size = p->limits.max_bytes;

    if (size != 0 && size < p->size) {
        p->size = size;
    }

    p->frames = ly_arena_alloc(a, (p->limits.max_depth + 1)
                               * sizeof(ly_json_frame_t));
    if (p->frames == NULL) {
        return LY_NOMEM;
    }

    rc = ly_json_memory(p);
    if (rc != LY_OK) {
        return rc;
    }

    p->funcs.malloc = ly_json_yajl_malloc;
    p->funcs.realloc = ly_json_yajl_realloc;
    p->funcs.free = ly_json_yajl_free;
    p->funcs.ctx = p;

    p->yajl = yajl_alloc(&ly_json_callbacks, &p->funcs, p);

    /* ly_utf8_valid() is the stricter one */
    yajl_config(p->yajl, yajl_dont_validate_strings, 1);

    *parser = p;

    return LY_OK;
}


static int
ly_json_hex(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


/* the four digits of an escape are read: surrogates come in pairs */
static ly_json_fault_e
ly_json_escape_value(ly_json_parser_t *p)
{
    bool      low_due;
    unsigned  v;

    v = p->esc_value;
    low_due = p->esc_low;
    p->esc_low = false;
    p->esc = LY_JSON_ESC_NONE;

    if (v >= 0xdc00 && v <= 0xdfff) {
        return low_due ? LY_JSON_FAULT_NONE : LY_JSON_LONE_SURROGATE;
    }

    if (low_due) {
        return LY_JSON_LONE_SURROGATE;
    }

    if (v >= 0xd800 && v <= 0xdbff) {
        p->esc_low = true;
        p->esc = LY_JSON_ESC_LOW;
        return LY_JSON_FAULT_NONE;
    }

    return v == 0 && p->limits.refuse_nul ? LY_JSON_NUL : LY_JSON_FAULT_NONE;
}


/* one byte within or behind an escape; bad digits are left to yajl */
static ly_json_fault_e
ly_json_escape_byte(ly_json_parser_t *p, unsigned char c)
{
    int  digit;

    switch (p->esc) {

    case LY_JSON_ESC_SLASH:
        if (c == 'u') {
            p->esc = LY_JSON_ESC_HEX;
            p->esc_digits = 0;
            p->esc_value = 0;
            return LY_JSON_FAULT_NONE;
        }

        p->esc = LY_JSON_ESC_NONE;
        return p->esc_low ? LY_JSON_LONE_SURROGATE : LY_JSON_FAULT_NONE;

    case LY_JSON_ESC_HEX:
        digit = ly_json_hex(c);

        if (digit < 0) {
            p->esc = LY_JSON_ESC_NONE;
            p->esc_low = false;
            return LY_JSON_FAULT_NONE;
        }

        p->esc_value = p->esc_value * 16 + (unsigned) digit;

        return ++p->esc_digits == 4 ? ly_json_escape_value(p)
                                    : LY_JSON_FAULT_NONE;

    default: /* LY_JSON_ESC_LOW */
        p->esc = LY_JSON_ESC_SLASH;
        return c == '\\' ? LY_JSON_FAULT_NONE : LY_JSON_LONE_SURROGATE;
    }
}


/*
 * What yajl would let through or spoil, looked for in the bytes.  White space
 * of C that is not of JSON may stand nowhere, in strings neither.
 */
static bool
ly_json_guard(ly_json_parser_t *p, const unsigned char *data, size_t len)
{
    size_t                i;
    ly_json_fault_e       fault;
    const unsigned char  *at;

    for (i = 0; !p->begun && i < len; i++) {
        p->begun = data[i] != ' ' && data[i] != '\n' && data[i] != '\r'
                   && data[i] != '\t';
    }

    at = memchr(data, '\v', len);
    at = at == NULL ? memchr(data, '\f', len) : at;

    if (at != NULL) {
        ly_json_fail(p, LY_JSON_MALFORMED, p->base + (size_t) (at - data),
                     NULL);
        return false;
    }

    for (i = 0; i < len; i++) {

        if (p->esc == LY_JSON_ESC_NONE) {
            at = memchr(data + i, '\\', len - i);

            if (at == NULL) {
                return true;
            }

            i = (size_t) (at - data);
            p->esc = LY_JSON_ESC_SLASH;
            continue;
        }

        fault = ly_json_escape_byte(p, data[i]);

        if (fault != LY_JSON_FAULT_NONE) {
            ly_json_fail(p, fault, p->base + i, NULL);
            return false;
        }
    }

    return true;
}


ly_err_t
ly_json_parser_feed(ly_json_parser_t *p, const unsigned char *data, size_t len)
{
    if (p->err != LY_OK || len == 0) {
        return p->err;
    }

    if (len > p->size - p->base) {
        ly_json_fail(p, LY_JSON_TOO_LARGE, p->size, NULL);
        return p->err;
    }

    if (!ly_json_guard(p, data, len)) {
        return p->err;
    }

    p->chunk = data;
    p->chunk_len = len;

    if (yajl_parse(p->yajl, data, len) != yajl_status_ok) {
        ly_json_fail(p, LY_JSON_MALFORMED, ly_json_here(p), NULL);
        return p->err;
    }

    p->base += len;

    return LY_OK;
}


ly_err_t
ly_json_parser_finish(ly_json_parser_t *p, ly_json_node_t **root)
{
    p->chunk = NULL;
    p->chunk_len = 0;

    if (p->err == LY_OK) {

        if (yajl_complete_parse(p->yajl) != yajl_status_ok) {
            ly_json_fail(p, p->begun ? LY_JSON_MALFORMED : LY_JSON_EMPTY,
                         p->base, NULL);

        } else {
            *root = p->root;
        }
    }

    ly_json_release(p);

    return p->err;
}


const ly_json_fault_t *
ly_json_parser_fault(const ly_json_parser_t *p)
{
    return &p->fault;
}


ly_err_t
ly_json_parse(ly_arena_t *a, ly_str_t text, const ly_json_limits_t *limits,
    ly_json_node_t **root, ly_json_fault_t *fault)
{
    ly_err_t           rc;
    ly_json_parser_t  *p;

    limits = limits == NULL ? &ly_json_limits_default : limits;

    rc = ly_json_parser_init(&p, a, limits, text.len == 0 ? 1 : text.len);

    if (rc != LY_OK) {
        if (fault != NULL) {
            memset(fault, 0, sizeof(ly_json_fault_t));
            fault->code = LY_JSON_NOMEM;
        }

        return rc;
    }

    rc = ly_json_parser_feed(p, text.data, text.len);

    if (rc == LY_OK) {
        rc = ly_json_parser_finish(p, root);

    } else {
        ly_json_release(p);
    }

    if (fault != NULL) {
        *fault = p->fault;
    }

    return rc;
}
