/* arena and buffer */

#include "tap.h"
#include "fail_alloc.h"
#include "ly_arena.h"
#include "ly_buf.h"


static char    order[16];
static size_t  norder;


static void
note(void *data)
{
    order[norder++] = *(char *) data;
}


static void
count(void *data)
{
    (*(size_t *) data)++;
}


static void
basics(void)
{
    int            i;
    bool           good;
    ly_str_t       s;
    ly_arena_t    *a;
    unsigned char *p, *q;

    ok(ly_arena_create(LY_ARENA_MIN - 1, NULL) == NULL, "cap too small");

    a = ly_arena_create(1 << 20, NULL);
    ok(a != NULL, "created");
    is_int(ly_arena_cap(a), 1 << 20, "cap");
    is_int(ly_arena_used(a), LY_ARENA_BLOCK, "one block at first");

    good = true;

    for (i = 0; i < 2000; i++) {
        p = ly_arena_alloc(a, (size_t) i % 97);
        good = good && p != NULL && (uintptr_t) p % 16 == 0;

        if (p != NULL && i % 97 != 0) {
            memset(p, i & 0xff, (size_t) i % 97);
        }
    }

    ok(good, "two thousand aligned pieces");

    p = ly_arena_bytes(a, 3);
    q = ly_arena_bytes(a, 3);
    ok(p != NULL && q != NULL && q > p && q - p < 32, "text lies close");

    p = ly_arena_zalloc(a, 100);
    good = p != NULL;

    for (i = 0; good && i < 100; i++) {
        good = p[i] == 0;
    }

    ok(good, "zeroed");
    ok(ly_arena_array(a, SIZE_MAX / 2, 4) == NULL, "product overflows");
    ok(ly_arena_array(a, 10, 4) != NULL, "array");
    ok(ly_arena_alloc(a, SIZE_MAX) == NULL, "more than there is");
    ok(ly_arena_alloc(a, SIZE_MAX - 8) == NULL, "sums do not wrap");

    is_int(ly_arena_str(a, ly_str("text"), &s), LY_OK, "copied");
    ok(s.len == 4 && memcmp(s.data, "text", 5) == 0, "with a NUL behind");
    is_int(ly_arena_str(a, ly_str_of(NULL, 0), &s), LY_OK, "copied nothing");
    ok(s.len == 0 && s.data[0] == '\0', "and a NUL stands there");
    is_int(ly_arena_str(a, ly_str_of(p, 2 << 20), &s), LY_NOMEM,
           "a text past the cap");

    ly_arena_destroy(a);
    ly_arena_destroy(NULL);
}


static void
cap(void)
{
    size_t         n, cap;
    fail_alloc_t   f;
    ly_alloc_t     alloc;
    ly_arena_t    *a;

    alloc = fail_alloc(&f, 0);

    for (cap = LY_ARENA_MIN; cap < 300000; cap = cap * 3 + 1) {
        a = ly_arena_create(cap, &alloc);

        for (n = 0; ly_arena_alloc(a, 100) != NULL; n++) {
            /* void */
        }

        ok(f.bytes <= cap && ly_arena_used(a) == f.bytes
           && n * 100 <= cap && n * 160 + 1024 > cap - cap / 4,
           "cap %zu: %zu pieces in %zu bytes", cap, n, f.bytes);

        ok(ly_arena_alloc(a, 1 << 20) == NULL, "still refuses");

        ly_arena_reset(a);
        ok(f.bytes <= cap && ly_arena_used(a) <= LY_ARENA_BLOCK
           && ly_arena_alloc(a, 100) != NULL, "as new after a reset");

        n--;

        while (ly_arena_alloc(a, 100) != NULL) {
            n--;
        }

        ok(n == 0 && f.bytes <= cap && ly_arena_used(a) == f.bytes,
           "as many pieces in as many bytes");

        ly_arena_destroy(a);
        is_int(f.live, 0, "all given back");
    }
}


/* rounds of one kind take nothing more from the base */
static void
rounds(void)
{
    size_t         i, n, calls, bytes;
    fail_alloc_t   f;
    ly_alloc_t     alloc;
    ly_arena_t    *a;

    alloc = fail_alloc(&f, 0);
    a = ly_arena_create((size_t) 64 << 20, &alloc);
    calls = bytes = 0;

    for (i = 0; i < 4; i++) {
        for (n = 0; n < 3000; n++) {
            memset(ly_arena_alloc(a, 1000), 1, 1000);
        }

        if (i == 0) {
            calls = f.calls;
            bytes = f.bytes;
        }

        ly_arena_reset(a);
    }

    ok(calls > 5 && f.calls == calls && f.bytes == bytes,
       "%zu blocks serve each round", calls);

    /* a piece of a size of its own is not kept, nor is what is much */
    memset(ly_arena_alloc(a, 300000), 1, 300000);
    memset(ly_arena_alloc(a, 3000000), 1, 3000000);
    ly_arena_reset(a);
    ok(f.calls == calls + 2 && f.bytes == bytes, "large pieces go back");

    for (n = 0; n < 20000; n++) {
        memset(ly_arena_alloc(a, 1000), 1, 1000);
    }

    ok(f.bytes > (size_t) 19 << 20 && ly_arena_used(a) == f.bytes,
        "what was kept is of use to more");
    ly_arena_reset(a);
    is_int(f.bytes, ((size_t) 4 << 20) + LY_ARENA_BLOCK,
           "no more than 4 MiB are kept");

    ly_arena_destroy(a);
    is_int(f.live, 0, "and all given back in the end");

    /* the cap counts what is kept */
    alloc = fail_alloc(&f, 0);
    a = ly_arena_create(100000, &alloc);

    for (n = 0; n < 300; n++) {
        memset(ly_arena_alloc(a, 100), 1, 100);
    }

    ly_arena_reset(a);
    ok(f.live > 1, "blocks are kept");
    memset(ly_arena_alloc(a, 90000), 1, 90000);
    ok(f.live == 2 && f.bytes <= 100000, "and given back for a large piece");
    ly_arena_destroy(a);
    is_int(f.live, 0, "which goes as well");
}


static void
large(void)
{
    void          *p, *q;
    fail_alloc_t   f;
    ly_alloc_t     alloc;
    ly_arena_t    *a;

    alloc = fail_alloc(&f, 0);
    a = ly_arena_create(1 << 20, &alloc);

    p = ly_arena_bytes(a, 16);
    memset(ly_arena_alloc(a, 100000), 1, 100000);
    q = ly_arena_bytes(a, 16);

    ok((unsigned char *) q - (unsigned char *) p < 64,
       "a large piece leaves the current block in use");
    ok(ly_arena_base(a)->ctx == &f, "base allocator");
    ly_arena_destroy(a);
}


static void
register_one(void *data)
{
    static char  c = 'z';

    note(data);

    if (ly_arena_cleanup(*(ly_arena_t **) ((char **) data + 1), note, &c)
        != LY_OK)
    {
        abort();
    }
}


static void
cleanups(void)
{
    char           c[] = "abc";
    size_t         i, n, called;
    ly_arena_t    *a;
    fail_alloc_t   f;
    ly_alloc_t     alloc;
    struct {
        char         letter;
        ly_arena_t  *a;
    } late;

    a = ly_arena_create(4096, NULL);

    for (i = 0; i < 3; i++) {
        if (ly_arena_cleanup(a, note, &c[i]) != LY_OK) {
            abort();
        }
    }

    ly_arena_reset(a);
    is_str(ly_str_of(order, norder), ly_str("cba"), "reverse order on reset");

    ly_arena_reset(a);
    is_int(norder, 3, "once");

    late.letter = 'x';
    late.a = a;

    if (ly_arena_cleanup(a, register_one, &late) != LY_OK) {
        abort();
    }

    norder = 0;
    ly_arena_destroy(a);
    is_str(ly_str_of(order, norder), ly_str("xz"),
           "one registered by a cleanup runs too");

    /* the record itself does not fit */
    alloc = fail_alloc(&f, 2);
    a = ly_arena_create(1 << 20, &alloc);
    called = 0;

    for (n = 0; ly_arena_cleanup(a, count, &called) == LY_OK; n++) {
        /* void */
    }

    ok(f.failed, "a cleanup that cannot be registered says so");
    ly_arena_destroy(a);
    ok(n > 1 && called == n, "all %zu that could be have run", n);
}


static void
failures(void)
{
    size_t         n, i;
    ly_str_t       s;
    fail_alloc_t   f;
    ly_alloc_t     alloc;
    ly_arena_t    *a;

    for (n = 1; ; n++) {
        alloc = fail_alloc(&f, n);
        a = ly_arena_create(1 << 20, &alloc);

        if (a != NULL) {
            for (i = 0; i < 400; i++) {
                if (ly_arena_str(a, ly_str("some text of a request"), &s)
                    != LY_OK || ly_arena_alloc(a, i * 7) == NULL)
                {
                    break;
                }
            }
        }

        ly_arena_destroy(a);

        if (f.live != 0) {
            ok(false, "failure %zu leaks", n);
            return;
        }

        if (!f.failed) {
            break;
        }
    }

    ok(n > 3, "every one of %zu allocations failed once", n - 1);
}


static void
buffer(void)
{
    int            i;
    ly_buf_t       b;
    ly_str_t       s;
    unsigned char  fixed[8];

    ly_buf_init(&b, 1000, NULL);
    ly_buf_cstr(&b, "a");
    ly_buf_byte(&b, '-');
    ly_buf_int(&b, -12);
    ly_buf_uint(&b, 34);
    ly_buf_str(&b, ly_str(""));
    ly_buf_be16(&b, 0x4142);
    ly_buf_be32(&b, 0x43444546);
    ly_buf_be64(&b, 0x4748494a4b4c4d4eULL);
    is_str(ly_buf_view(&b), ly_str("a--1234ABCDEFGHIJKLMN"), "written");

    ok(ly_buf_room(&b, 0) == b.data + b.len, "room for nothing is there");
    ly_buf_truncate(&b, 2);
    ly_buf_truncate(&b, 99);
    is_str(ly_buf_view(&b), ly_str("a-"), "cut back");

    for (i = 0; i < 200; i++) {
        ly_buf_cstr(&b, "12345");
    }

    is_int(ly_buf_err(&b), LY_LIMIT, "the maximum holds");
    is_int(ly_buf_view(&b).len, 997, "nothing is written in part");
    ly_buf_byte(&b, 'x');
    is_int(ly_buf_view(&b).len, 997, "the error is sticky");
    ok(ly_buf_reserve(&b, 0) == NULL, "no room after an error");
    ly_buf_fail(&b, LY_FATAL);
    is_int(ly_buf_err(&b), LY_LIMIT, "the first error stays");

    ly_buf_reset(&b);
    is_int(ly_buf_err(&b), LY_OK, "as new");
    ly_buf_fail(&b, LY_PARSE);
    is_int(ly_buf_err(&b), LY_PARSE, "an error of the user's");
    ly_buf_free_secret(&b);
    s = ly_buf_view(&b);
    ok(s.data == NULL && s.len == 0, "freed");
    ly_buf_free_secret(&b);

    ly_buf_init_fixed(&b, fixed, sizeof(fixed));
    ly_buf_cstr(&b, "12345678");
    is_int(ly_buf_err(&b), LY_OK, "full to the last byte");
    ly_buf_byte(&b, '9');
    is_int(ly_buf_err(&b), LY_LIMIT, "and not over it");
    ly_buf_free(&b);

    ly_buf_init_fixed(&b, NULL, 0);
    ly_buf_byte(&b, 'x');
    is_int(ly_buf_err(&b), LY_LIMIT, "no memory at all");
    ly_buf_init_fixed(&b, NULL, 0);
    ok(ly_buf_reserve(&b, 0) == NULL, "not even for nothing");
}


static void
buffer_in_arena(void)
{
    int          i;
    ly_buf_t     b;
    ly_arena_t  *a;

    a = ly_arena_create(8192, NULL);
    ly_buf_init_arena(&b, a, 100000);

    for (i = 0; i < 4000; i++) {
        ly_buf_cstr(&b, "0123456789");
    }

    ok(ly_buf_err(&b) == LY_NOMEM && b.len >= 1000 && b.len % 10 == 0
       && memcmp(b.data + b.len - 10, "0123456789", 10) == 0,
       "grows in an arena until that is full");

    ly_buf_free(&b);
    ly_arena_destroy(a);
}


static void
buffer_failures(void)
{
    int           i;
    size_t        n;
    ly_buf_t      b;
    ly_alloc_t    alloc;
    fail_alloc_t  f;

    for (n = 1; ; n++) {
        alloc = fail_alloc(&f, n);
        ly_buf_init(&b, 1 << 20, &alloc);

        for (i = 0; i < 1000; i++) {
            ly_buf_cstr(&b, "0123456789");
        }

        if (f.failed != (ly_buf_err(&b) == LY_NOMEM)) {
            ok(false, "failure %zu is not seen", n);
        }

        ly_buf_free(&b);

        if (f.live != 0) {
            ok(false, "failure %zu leaks", n);
        }

        if (!f.failed) {
            break;
        }
    }

    ok(n > 3, "every one of %zu growths failed once", n - 1);
}


int
main(void)
{
    basics();
    cap();
    rounds();
    large();
    cleanups();
    failures();
    buffer();
    buffer_in_arena();
    buffer_failures();

    return tap_done();
}
