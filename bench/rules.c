/*
 * Times the rules engine on the cases of bench/rules.mjs: lines that begin
 * with case, event, state or rule.  Prints "case <tab> figure <tab> least
 * <tab> median": times are ns a call, over batches of about a millisecond.
 */

#include "../common/ly_base.h"
#include "../worker/rule/rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


#define RULES_BATCHES  2000             /* at most; 5 at least */
#define RULES_BATCH_NS 1000000
#define RULES_CASES    12               /* about: they share the time */
#define RULES_FIGURES  4
#define RULES_MEMORY   ((size_t) 256 << 20)
#define RULES_LINE     (1 << 20)
#define RULES_BATCH    64               /* events of one member in a row */


typedef struct {
    ly_arena_t        *kept;        /* catalogue, programs, texts */
    ly_arena_t        *facts;       /* of one event */
    ly_arena_t        *work;        /* of one evaluation */
    rule_catalogue_t  *catalogue;
    char               name[128];
    ly_str_t           event;
    ly_str_t           state;
    rule_input_t      *in;
    unsigned           events;      /* since its facts began anew */
    rule_run_t         runs[RULE_RUNS_MAX];
    size_t             n;
    size_t             size;        /* of the last program */
    rule_result_t      results[RULE_RUNS_MAX];
    rule_options_t     options;
} rules_t;


static void
die(const char *what)
{
    (void) fprintf(stderr, "rules: %s\n", what);
    exit(1);
}


static int64_t
now_ns(void)
{
    struct timespec  t;

    (void) clock_gettime(CLOCK_MONOTONIC, &t);

    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}


static void
evaluate(rules_t *b)
{
    ly_arena_reset(b->work);

    if (rule_evaluate(b->work, b->in, b->runs, b->n, &b->options, b->results)
        != LY_OK)
    {
        die("not evaluated");
    }
}


static void
extract(rules_t *b)
{
    if (rule_input_event(b->in, b->event) != LY_OK) {
        die("event refused");
    }
}


/* a member of one state, an event after the other */
static void
begin(rules_t *b)
{
    ly_arena_reset(b->facts);
    b->events = 0;

    if (rule_input_create(b->facts, b->catalogue, NULL, ly_str(""), &b->in)
        != LY_OK
        || rule_input_state(b->in, b->state) != LY_OK)
    {
        die("state refused");
    }
}


static void
event(rules_t *b)
{
    if (++b->events > RULES_BATCH) {
        begin(b);
    }

    extract(b);
    evaluate(b);
}


static int
by_value(const void *a, const void *b)
{
    const double  *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}


/*
 * Batches until the time is over: the least is what the work takes on cores
 * that others leave alone, the median what it took now.
 */
static void
measure(rules_t *b, const char *what, double seconds,
    void (*call)(rules_t *b))
{
    size_t   n;
    int64_t  began, took, spent, calls, i;

    static double  each[RULES_BATCHES];

    calls = 1;
    spent = 0;
    n = 0;

    while (n < RULES_BATCHES && (n < 5 || (double) spent < seconds * 1e9)) {
        began = now_ns();

        for (i = 0; i < calls; i++) {
            call(b);
        }

        took = now_ns() - began;

        if (n == 0 && took < RULES_BATCH_NS) {
            calls *= took < RULES_BATCH_NS / 10 ? 10 : 2;
            continue;
        }

        each[n++] = (double) took / (double) calls;
        spent += took;
    }

    qsort(each, n, sizeof(each[0]), by_value);
    (void) printf("%s\t%s\t%.1f\t%.1f\n", b->name, what, each[0],
                  each[n / 2]);
}


static void
run(rules_t *b, double seconds)
{
    size_t  i;

    begin(b);
    extract(b);
    evaluate(b);

    for (i = 0; i < b->n; i++) {
        if (b->results[i].outcome != RULE_MATCHED) {
            die("a rule does not match");
        }
    }

    b->options.trace = false;
    measure(b, "evaluate", seconds, evaluate);
    measure(b, "event", seconds, event);

    b->options.trace = true;
    begin(b);
    extract(b);
    measure(b, "trace", seconds, evaluate);
    measure(b, "event_trace", seconds, event);

    b->options.trace = false;
    (void) printf("%s\tsize\t%zu\t%zu\n", b->name, b->size, b->size);
}


static ly_str_t
kept(rules_t *b, const char *text)
{
    ly_str_t  s;

    if (ly_arena_str(b->kept, ly_str_of(text, strlen(text)), &s) != LY_OK) {
        die("no memory");
    }

    return s;
}


static void
start(rules_t *b, const char *name)
{
    ly_arena_reset(b->kept);

    if (rule_catalogue_default(b->kept, &b->catalogue) != LY_OK) {
        die("no catalogue");
    }

    (void) snprintf(b->name, sizeof(b->name), "%s", name);
    b->n = 0;
}


static void
add(rules_t *b, const char *text)
{
    rule_faults_t    faults;
    rule_program_t  *p;

    if (b->n == RULE_RUNS_MAX
        || rule_compile(b->kept, kept(b, text), b->catalogue, 0, &p, &faults)
        != LY_OK)
    {
        die("rule refused");
    }

    memset(&b->runs[b->n], 0, sizeof(b->runs[0]));
    b->runs[b->n++].program = p;
    b->size = rule_program_size(p);
}


/* the rest of a line that begins with the word, or NULL */
static const char *
after(const char *line, const char *word)
{
    size_t  n;

    n = strlen(word);

    return strncmp(line, word, n) == 0 && line[n] == ' ' ? line + n + 1 : NULL;
}


static void
each(rules_t *b, FILE *in, double seconds)
{
    char        *line;
    const char  *rest;

    line = malloc(RULES_LINE);
    if (line == NULL) {
        die("no memory");
    }

    while (fgets(line, RULES_LINE, in) != NULL) {
        line[strcspn(line, "\n")] = '\0';

        if ((rest = after(line, "case")) != NULL) {
            if (b->n > 0) {
                run(b, seconds);
            }

            start(b, rest);

        } else if ((rest = after(line, "event")) != NULL) {
            b->event = kept(b, rest);

        } else if ((rest = after(line, "state")) != NULL) {
            b->state = kept(b, rest);

        } else if ((rest = after(line, "rule")) != NULL) {
            add(b, rest);
        }
    }

    if (b->n > 0) {
        run(b, seconds);
    }

    free(line);
}


int
main(int argc, char **argv)
{
    FILE     *in;
    double    seconds;
    rules_t  *b;

    seconds = argc == 3 ? strtod(argv[2], NULL) : 0;

    if (seconds <= 0) {
        (void) fprintf(stderr, "usage: rules FILE SECONDS\n");
        return 2;
    }

    b = calloc(1, sizeof(*b));
    in = fopen(argv[1], "r");

    if (b == NULL || in == NULL) {
        die("the cases cannot be read");
    }

    b->kept = ly_arena_create(RULES_MEMORY, NULL);
    b->facts = ly_arena_create(RULES_MEMORY, NULL);
    b->work = ly_arena_create(RULES_MEMORY, NULL);

    if (b->kept == NULL || b->facts == NULL || b->work == NULL) {
        die("no memory");
    }

    each(b, in, seconds / (RULES_CASES * RULES_FIGURES));

    ly_arena_destroy(b->work);
    ly_arena_destroy(b->facts);
    ly_arena_destroy(b->kept);
    (void) fclose(in);
    free(b);

    return 0;
}
