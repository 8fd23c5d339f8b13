/*
 * One batch of the rules lane in memory: what the context call gave, and what
 * the engine made of it, as the settle call reads it.  No I/O but the loading
 * of rule versions and of what caps and counters need.
 */

#ifndef RULES_BATCH_H_INCLUDED_
#define RULES_BATCH_H_INCLUDED_

#include "db.h"
#include "rules_cache.h"
#include "rule/rule.h"
#include "../common/ly_arena.h"
#include "../common/ly_base.h"
#include "../common/ly_buf.h"
#include "../common/ly_json.h"
#include "../common/ly_jw.h"


#define BATCH_RESULT_MAX  (128 * 1024 * 1024)


/* a wallet of the tenant */
typedef struct {
    ly_str_t  code;
    ly_str_t  id;
    ly_str_t  program;
    bool      immediate;        /* what is earned is available at once */
    ly_str_t  activates;        /* type of the event that pending points wait
                                   for; empty: none */
} batch_wallet_t;

typedef struct {
    ly_str_t           id;
    ly_str_t           zone_name;
    const ly_zone_t   *zone;
    size_t             wallet;          /* the first of the program's */
    bool               has_wallet;
    bool               lost;            /* a rule in force does not load */
    rules_version_t  **versions;        /* in force; none is NULL */
    size_t             n;
    rule_input_t      *input;           /* made when first needed */
} batch_program_t;

/* what a member has in a wallet, as the events of the batch change it */
typedef struct {
    int64_t  available;
    int64_t  pending;
    int64_t  held;
    int64_t  debt;
    int64_t  earned;
    int64_t  spent;
} batch_balance_t;

typedef struct batch_member_s  batch_member_t;

/* points that a member may still get from a rule; shared by his events */
typedef struct batch_cap_s  batch_cap_t;

struct batch_cap_s {
    const rules_version_t  *version;
    bool                    period;     /* else for the member's whole life */
    int64_t                 start_us;   /* of the period */
    rule_cap_t              cap;
    batch_cap_t            *next;
};

struct batch_member_s {
    ly_str_t          id;
    ly_str_t          member;           /* "member" of the state, JSON */
    batch_balance_t  *balances;         /* by wallet of the tenant */
    batch_cap_t      *caps;
    bool              seen;             /* an event of his is in the batch */
    bool              parked;           /* one failed: the others follow it */
    size_t            phase;
    bool              refunded;         /* or matured, in this phase */
    bool              unsure;           /* a refund changed balances unseen */
    batch_member_t   *next;             /* in the bucket */
};

/* one phase's parts, written as the events come */
typedef struct {
    ly_buf_t  b[4];
    ly_jw_t   w[4];
    int64_t   earns;
} batch_phase_t;

enum {
    BATCH_ORDERS = 0,
    BATCH_EARNS,
    BATCH_EVALS,
    BATCH_REFUNDS
};

#define BATCH_MEMBERS  256              /* hash buckets of a tenant */
#define BATCH_PHASES   64

typedef struct {
    ly_str_t          id;
    batch_program_t  *programs;
    size_t            nprograms;
    batch_wallet_t   *wallets;
    size_t            nwallets;
    bool              reads_balance;
    bool              reads_counters;
    batch_member_t   *members[BATCH_MEMBERS];
    ly_buf_t          b;                /* events */
    ly_jw_t           w;
    batch_phase_t    *phases[BATCH_PHASES];
    size_t            nphases;
    size_t            nevents;
    size_t            nparked;          /* of them put aside */
} batch_tenant_t;

typedef struct {
    batch_tenant_t  *tenant;
    ly_str_t         kind;              /* event, waiting, retry, late */
    ly_str_t         id;
    ly_str_t         member;            /* data NULL: a guest */
    int64_t          ord;
    ly_str_t         shard;
    ly_str_t         xid;
    ly_str_t         log_id;
    bool             parked;
    ly_str_t         facts;
    ly_str_t         state;
} batch_event_t;

typedef struct {
    ly_arena_t      *arena;
    db_t            *db;
    rules_cache_t   *cache;
    bool             lost;
    bool             broken;            /* a call failed: the transaction is
                                           of no use any more */
    ly_str_t         mode;
    ly_str_t         now;               /* snapshot of the context */
    int64_t          now_ms;            /* for new ids */
    bool             drained;
    batch_tenant_t  *tenants;
    size_t           ntenants;
    batch_event_t   *events;            /* by ord */
    size_t           n;
    size_t           done;              /* how many of them are in the result:
                                           all, but for a cut */
    size_t           failed;            /* events that the engine could not
                                           take; they are parked */
    ly_str_t         poison;            /* an event to park; empty: none */
    ly_str_t         poison_code;
} batch_t;


/*
 * Reads the rows of work.rules_context() or work.rules_retry(), and loads the
 * rule versions they name.  All texts point into the rows.
 */
ly_must_check ly_err_t batch_read(batch_t *batch, const db_rows_t *rows);

/* evaluates; batch->done events from the first */
ly_must_check ly_err_t batch_evaluate(batch_t *batch);

/* p_results of work.rules_settle() */
ly_must_check ly_err_t batch_result(batch_t *batch, int64_t park_ms,
    ly_str_t *out);


/* --- between the parts of a batch ------------------------------------- */

/* the parts of a phase, made when first asked for; NULL: no memory */
batch_phase_t *batch_phase(batch_t *batch, batch_tenant_t *tenant, size_t i);

/* a line of the tenant's events; detail is JSON or empty */
void batch_outcome(batch_event_t *event, const char *kind, ly_str_t detail,
    ly_str_t code);

/* the member's row of the batch; NULL: no memory, or its state is malformed */
batch_member_t *batch_member(batch_t *batch, const batch_event_t *event);

/*
 * Caps and counters of the runs, from the database; caps are shared by the
 * member's events of the batch.  runs[i] belongs to versions[i].
 */
ly_must_check ly_err_t batch_limits(batch_t *batch, const batch_event_t *event,
    batch_member_t *member, const batch_program_t *program,
    rules_version_t **versions, rule_run_t *runs, size_t n, int64_t at_us,
    rule_input_t *input);


#endif /* RULES_BATCH_H_INCLUDED_ */
