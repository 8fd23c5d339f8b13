/*
 * The rules engine.  Pure: no I/O, no clock, no globals that change; all
 * memory is from the arena handed in.  The language is docs/rules.md.
 *
 * Compile a rule once (or load its saved form), extract an event's facts once,
 * evaluate many rules over them.  A catalogue must outlive the programs bound
 * to it and the inputs made with it; a program is never written after it is
 * made and may be shared by processes.
 */

#ifndef RULE_H_INCLUDED_
#define RULE_H_INCLUDED_

#include "../../common/ly_base.h"
#include "../../common/ly_arena.h"
#include "../../common/ly_buf.h"
#include "../../common/ly_decimal.h"
#include "../../common/ly_json.h"
#include "../../common/ly_time.h"


/* bounds of docs/rules.md, section 11 */
#define RULE_NODES_MAX      512
#define RULE_DEPTH_MAX      32
#define RULE_LIST_MAX       1000        /* elements in a rule's list */
#define RULE_LINES_MAX      2000        /* elements in an event's list */
#define RULE_DOCUMENT_MAX   65536       /* bytes */
#define RULE_TEXT_MAX       4096        /* bytes of one text in a rule */
#define RULE_EFFECTS_MAX    16
#define RULE_INPUT_MAX      1048576     /* bytes of an event, of a state */
#define RULE_STEPS          200000      /* a rule and event */
#define RULE_FACTS_MAX      200         /* in a catalogue */
#define RULE_FIELDS_MAX     64          /* in a list of structs */
#define RULE_FAULTS_MAX     100         /* reported; the rest is counted */
#define RULE_CAPS_MAX       16          /* of one run */
#define RULE_RUNS_MAX       1000        /* rules on one event */

#define RULE_DIGEST_LEN     32


typedef struct rule_catalogue_s  rule_catalogue_t;
typedef struct rule_program_s    rule_program_t;
typedef struct rule_input_s      rule_input_t;


/* a fault of a document; texts live in the arena of the call */
typedef struct {
    const char  *code;          /* "type.mismatch", ...; static */
    ly_str_t     pointer;       /* JSON Pointer into the document as sent */
    ly_str_t     expected;
    ly_str_t     found;
} rule_fault_t;

/* zeroed by the call that takes it */
typedef struct {
    rule_fault_t  *fault;
    size_t         n;
    size_t         more;        /* faults beyond RULE_FAULTS_MAX */
} rule_faults_t;


/* --- catalogue ------------------------------------------------------- */

/* the facts of docs/rules.md, section 2; LY_NOMEM */
ly_must_check ly_err_t rule_catalogue_default(ly_arena_t *a,
    rule_catalogue_t **out);

/* from a catalogue document; LY_PARSE or LY_LIMIT with faults, LY_NOMEM */
ly_must_check ly_err_t rule_catalogue_parse(ly_arena_t *a, ly_str_t json,
    rule_catalogue_t **out, rule_faults_t *faults);

/* RULE_DIGEST_LEN bytes */
const unsigned char *rule_catalogue_digest(const rule_catalogue_t *c);


/* --- program --------------------------------------------------------- */

/* do not fold constants: for the tests that show folding changes nothing */
#define RULE_NO_FOLD  1

/*
 * Parses, normalises, checks and compiles a rule document.  LY_PARSE (or
 * LY_LIMIT, a bound) with every fault named, LY_NOMEM.
 */
ly_must_check ly_err_t rule_compile(ly_arena_t *a, ly_str_t json,
    const rule_catalogue_t *c, unsigned flags, rule_program_t **out,
    rule_faults_t *faults);

/* appends the program's own form, led by a checksum; the buffer's error */
ly_must_check ly_err_t rule_program_save(const rule_program_t *p,
    ly_buf_t *b);

/*
 * LY_DENIED if the bytes were altered, are of another layout version or
 * machine, or the catalogue is not the one it was compiled with (compile the
 * document again then); LY_NOMEM.
 */
ly_must_check ly_err_t rule_program_load(ly_arena_t *a, ly_str_t bytes,
    const rule_catalogue_t *c, rule_program_t **out);

/* SHA-256 of the normal form: RULE_DIGEST_LEN bytes */
const unsigned char *rule_program_digest(const rule_program_t *p);

/* the catalogue's digest that the program is bound to */
const unsigned char *rule_program_catalogue(const rule_program_t *p);

/* bytes that the program takes */
size_t rule_program_size(const rule_program_t *p);


typedef enum {
    RULE_STACK_ALL = 0,
    RULE_STACK_BEST,
    RULE_STACK_FIRST,
    RULE_STACK_EXCLUSIVE
} rule_stack_e;

typedef enum {
    RULE_PERIOD_NONE = 0,
    RULE_PERIOD_DAY,
    RULE_PERIOD_WEEK,
    RULE_PERIOD_MONTH,
    RULE_PERIOD_YEAR
} rule_period_e;

/* what the caller needs of a rule's head; -1: no such limit */
typedef struct {
    ly_str_t       event;           /* the trigger's event type */
    int32_t        priority;
    ly_str_t       group;
    rule_stack_e   mode;
    int64_t        per_event;
    int64_t        per_member;
    int64_t        per_period;
    rule_period_e  period;
    bool           base;
    uint32_t       n_effects;
    uint32_t       n_counters;
} rule_head_t;

void rule_program_head(const rule_program_t *p, rule_head_t *out);

/* the wallet code of an effect, i < n_effects */
ly_str_t rule_program_wallet(const rule_program_t *p, uint32_t i);

/*
 * A counter that the rule reads; the caller computes it over the member's
 * earlier events with from <= occurred_at < now, from = now - window_us.
 */
typedef struct {
    ly_str_t  key;          /* "count_in_window:order.paid:P30D",
                               "sum_in_window:order.paid:order.total:P30D" */
    ly_str_t  event;
    ly_str_t  fact;         /* empty: count */
    int64_t   window_us;
} rule_counter_need_t;

/* i < n_counters */
void rule_program_counter(const rule_program_t *p, uint32_t i,
    rule_counter_need_t *out);

/*
 * floor(amount * points / per) by the base rate, 0 for an amount below 0.
 * LY_DENIED if the program is not marked base, LY_OVERFLOW.
 */
ly_must_check ly_err_t rule_refund_points(const rule_program_t *p,
    ly_dec_t amount, int64_t *points);


/* --- input ----------------------------------------------------------- */

/* a counter's value, in the caller's hands */
typedef struct {
    ly_str_t  key;
    ly_dec_t  value;
} rule_counter_t;

/*
 * Facts of one event and one member's state.  zone may be NULL (calendar
 * operators on instants then fail); zone_name goes into the trace.
 */
ly_must_check ly_err_t rule_input_create(ly_arena_t *a,
    const rule_catalogue_t *c, const ly_zone_t *zone, ly_str_t zone_name,
    rule_input_t **out);

/*
 * Extracts the facts of an event, {"type", "source", "occurred_at",
 * ...}; the bytes must outlive the input.  May be called again for the next
 * event.  LY_PARSE, LY_LIMIT (RULE_INPUT_MAX), LY_NOMEM.  A fact that is not
 * of its type fails the rules that read it, not this call.
 */
ly_must_check ly_err_t rule_input_event(rule_input_t *in, ly_str_t json);

/* the same for the state, {"member": {}, "balance": {}, ...} */
ly_must_check ly_err_t rule_input_state(rule_input_t *in, ly_str_t json);

/*
 * Overwrites one int fact of the state, so that the next event of the member
 * in a batch sees what this one gave; LY_NOTFOUND if there is no such fact.
 */
ly_must_check ly_err_t rule_input_int(rule_input_t *in, ly_str_t name,
                                      int64_t value);

/* the array is kept by reference and read by rule_evaluate */
void rule_input_counters(rule_input_t *in, const rule_counter_t *counters,
                         size_t n);

/*
 * Adds the input's event to those counters whose need it meets: the next
 * state.  need[i] belongs to counters[i]; LY_OVERFLOW leaves the rest as is.
 */
ly_must_check ly_err_t rule_counters_advance(const rule_input_t *in,
    const rule_counter_need_t *need, rule_counter_t *counters, size_t n);

/* total of the order's (or refund's) lines; LY_NOTFOUND, LY_PARSE (invalid) */
ly_must_check ly_err_t rule_input_total(const rule_input_t *in,
    ly_dec_t *total);

/* lines of the order (or refund) that shares refer to; 0 if there are none */
size_t rule_input_lines(const rule_input_t *in);


/* --- evaluation ------------------------------------------------------ */

/*
 * How many points may still be given; lowered by what is given, so that the
 * same cap may stand in several runs and be handed to the next event.  The
 * names "per_member" and "per_period" answer the document's limits; every
 * other name is a further cap.
 */
typedef struct {
    ly_str_t  name;
    int64_t   remaining;
} rule_cap_t;

typedef struct {
    const rule_program_t  *program;
    rule_cap_t           **caps;
    size_t                 n_caps;
} rule_run_t;


typedef enum {
    RULE_NOT_MATCHED = 0,
    RULE_MATCHED,
    RULE_CAPPED,
    RULE_ERROR
} rule_outcome_e;

/* "not_matched", "matched", "capped", "error" */
const char *rule_outcome_name(rule_outcome_e outcome);

typedef struct {
    const char     *type;           /* "fixed", "rate", ... */
    ly_str_t        wallet;
    ly_dec_t        raw;            /* exact value cut to six places */
    int64_t         rounded;
    int64_t         points;         /* after caps */
    ly_str_t        clipped_by;     /* the cap's name; empty: none */
    const int64_t  *shares;         /* points by line; their sum is points */
    size_t          n_shares;       /* 0, or rule_input_lines() */
} rule_effect_t;

typedef struct {
    rule_outcome_e        outcome;
    const char           *reason;   /* of not_matched: "trigger", "schedule",
                                       "segments", "condition", "stacking" */
    const char           *code;     /* of error: "number.overflow", ... */
    ly_str_t              pointer;  /* of error: in the normal form */
    const rule_effect_t  *effects;  /* all of the document's, in its order;
                                       NULL unless matched or capped */
    size_t                n_effects;
    int64_t               points;   /* sum over the effects */
    ly_str_t              trace;    /* canonical JSON, if asked for */
    uint32_t              steps;
} rule_result_t;

typedef struct {
    bool      trace;
    bool      any_event;    /* triggers hold whatever the event is */
    uint32_t  steps;        /* budget of a rule; 0: RULE_STEPS */
} rule_options_t;

/*
 * results[i] answers runs[i].  options NULL: no trace.  Programs, input and
 * catalogue must be of one catalogue (LY_DENIED).  Results live in the arena.
 * LY_NOMEM only when nothing at all can be said; caps are then untouched.
 */
ly_must_check ly_err_t rule_evaluate(ly_arena_t *a, const rule_input_t *in,
    const rule_run_t *runs, size_t n, const rule_options_t *options,
    rule_result_t *results);


/* --- explanation ----------------------------------------------------- */

typedef struct {
    bool         same;          /* the trace recomputes to itself */
    int64_t      points;        /* as recomputed */
    const char  *why;           /* not same: "trace.form", "trace.rule",
                                   "trace.catalogue", "trace.result" */
    ly_str_t     trace;         /* as recomputed */
} rule_verify_t;

/*
 * Recomputes a trace from itself, the rule and the catalogue.  zone as for
 * rule_input_create.  LY_OK with out->same, or LY_NOMEM.
 */
ly_must_check ly_err_t rule_trace_verify(ly_arena_t *a, ly_str_t trace,
    const rule_program_t *p, const rule_catalogue_t *c, const ly_zone_t *zone,
    rule_verify_t *out);

/* the normal form, canonical JSON; errors as of rule_compile */
ly_must_check ly_err_t rule_normalise(ly_arena_t *a, ly_str_t json,
    const rule_catalogue_t *c, ly_buf_t *b, rule_faults_t *faults);

/* the rule in plain English, several lines; errors as of rule_compile */
ly_must_check ly_err_t rule_english(ly_arena_t *a, ly_str_t json,
    const rule_catalogue_t *c, ly_buf_t *b, rule_faults_t *faults);


/* --- compatible mode -------------------------------------------------- */

/*
 * One line {"rule", "data"} gives {"result"} or {"error": {"code",
 * "detail"}}, appended without a newline.  LY_OK for both, else the
 * buffer's error.
 */
ly_must_check ly_err_t rule_compat_line(ly_arena_t *a, ly_str_t line,
    ly_buf_t *b);


#endif /* RULE_H_INCLUDED_ */
