/*
 * TAP from C.  A test calls tap_plan(n), or ends with tap_done(); a program
 * that ends early has no plan and fails under prove.
 */

#ifndef LY_TAP_H_INCLUDED_
#define LY_TAP_H_INCLUDED_

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ly_base.h"


static unsigned  tap_count;
static unsigned  tap_failed;
static unsigned  tap_planned;


static inline void
tap_plan(unsigned n)
{
    tap_planned = n;
    printf("1..%u\n", n);
}


__attribute__((format(printf, 4, 5)))
static inline bool
tap_ok(const char *file, int line, bool good, const char *fmt, ...)
{
    va_list  args;

    tap_count++;

#ifdef TAP_STOP
    if (good) {
        return true;
    }
#endif

    printf("%sok %u - ", good ? "" : "not ", tap_count);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    printf("\n");

    if (!good) {
        tap_failed++;
        printf("#   failed at %s line %d\n", file, line);

#ifdef TAP_STOP
        exit(1);
#endif
    }

    fflush(stdout);

    return good;
}


static inline bool
tap_int(const char *file, int line, long long got, long long want,
    const char *name)
{
    bool  good;

    good = tap_ok(file, line, got == want, "%s", name);

    if (!good) {
        printf("#   got %lld, want %lld\n", got, want);
    }

    return good;
}


static inline void
tap_show(const char *label, ly_str_t s)
{
    size_t  i;

    printf("#   %s (%zu) ", label, s.len);

    for (i = 0; i < s.len && i < 400; i++) {
        if (s.data[i] >= ' ' && s.data[i] < 0x7f) {
            putchar(s.data[i]);

        } else {
            printf("\\x%02x", s.data[i]);
        }
    }

    printf("\n");
}


static inline bool
tap_str(const char *file, int line, ly_str_t got, ly_str_t want,
    const char *name)
{
    bool  good;

    good = tap_ok(file, line, ly_str_eq(got, want), "%s", name);

    if (!good) {
        tap_show("got ", got);
        tap_show("want", want);
    }

    return good;
}


#define ok(good, ...)         tap_ok(__FILE__, __LINE__, (good), __VA_ARGS__)
#define is_int(got, want, name)                                               \
    tap_int(__FILE__, __LINE__, (long long) (got), (long long) (want), (name))
#define is_str(got, want, name)                                               \
    tap_str(__FILE__, __LINE__, (got), (want), (name))


static inline void
tap_skip(const char *why)
{
    tap_count++;
    printf("ok %u # SKIP %s\n", tap_count, why);
}


/* a whole file that cannot run here says so */
static inline int
tap_skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);

    return 0;
}


static inline int
tap_done(void)
{
    if (tap_planned == 0) {
        printf("1..%u\n", tap_count);

    } else if (tap_planned != tap_count) {
        printf("# planned %u, ran %u\n", tap_planned, tap_count);
        return 1;
    }

    return tap_failed != 0;
}


#endif /* LY_TAP_H_INCLUDED_ */
