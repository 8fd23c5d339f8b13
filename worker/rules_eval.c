/*
 * One event after the other through the rules engine: the events of a member
 * see what his earlier ones in the batch gave.
 */

#include "rules_batch.h"

#include "../common/ly_time.h"

#include <string.h>

#include "../common/ly_banned.h"


/* what is read of an event beside the engine's facts */
typedef struct {
    ly_str_t  type;
    ly_str_t  source;
    ly_str_t  external_id;
    ly_str_t  occurred_at;
    ly_str_t  currency;
    int64_t   at_us;
    int64_t   lines;
    bool      order;            /* order.paid with an order */
    bool      refund;           /* order.refunded with a refund */
} eval_facts_t;

/* a program's rules on the event */
typedef struct {
    batch_program_t   *program;
    rules_version_t  **versions;
    rule_run_t        *runs;
    rule_result_t     *results;
    size_t             n;
} eval_program_t;

typedef struct {
    batch_t         *batch;
    batch_event_t   *event;
    batch_member_t  *member;            /* NULL: a guest */
    batch_phase_t   *phase;
    eval_facts_t     facts;
    eval_program_t  *programs;
    bool             taken;             /* an input holds the event */
    rule_input_t    *input;             /* that one */
    ly_uuid_t        order;
    unsigned char    order_text[LY_UUID_TEXT];
    bool             has_total;
    ly_dec_t         total;
} eval_t;

/* points into one wallet by one rule, with or without shares by line */
typedef struct {
    int64_t   points;
    int64_t  *shares;
    size_t    n;
} eval_earn_t;


static ly_str_t
eval_string(const ly_json_node_t *node, ly_str_t key)
{
    const ly_json_node_t  *member;

    member = ly_json_member_of(node, key, LY_JSON_STRING);

    return member == NULL ? ly_str("") : member->text;
}


static ly_err_t
eval_facts(eval_t *ev)
{
    ly_err_t               err;
    eval_facts_t          *facts;
    ly_json_node_t        *root;
    const ly_json_node_t  *order, *lines;

    facts = &ev->facts;

    err = ly_json_parse(ev->batch->arena, ev->event->facts, NULL, &root, NULL);
    if (err != LY_OK) {
        return err;
    }

    facts->type = eval_string(root, ly_str("type"));
    facts->source = eval_string(root, ly_str("source"));
    facts->external_id = eval_string(root, ly_str("external_id"));
    facts->occurred_at = eval_string(root, ly_str("occurred_at"));

    order = ly_json_member_of(root, ly_str("order"), LY_JSON_OBJECT);
    lines = ly_json_member_of(order, ly_str("lines"), LY_JSON_ARRAY);

    facts->order = order != NULL
                   && ly_str_eq(facts->type, ly_str("order.paid"));
    facts->currency = eval_string(order, ly_str("currency"));
    facts->lines = lines == NULL ? 0 : (int64_t) lines->count;

    facts->refund = ly_str_eq(facts->type, ly_str("order.refunded"))
                    && ly_json_member_of(root, ly_str("refund"),
                                         LY_JSON_OBJECT) != NULL;

    return ly_time_parse(facts->occurred_at, &facts->at_us);
}


/* the state as the engine reads it: the member, and his first balance */
static ly_err_t
eval_state(eval_t *ev, batch_program_t *program, ly_str_t *out)
{
    ly_jw_t           w;
    ly_buf_t          b;
    batch_balance_t  *balance;

    ly_buf_init_arena(&b, ev->batch->arena, RULE_INPUT_MAX);
    ly_jw_init(&w, &b);
    ly_jw_object(&w);
    ly_jw_k(&w, "member");
    ly_jw_raw(&w, ev->member->member);

    if (program->has_wallet) {
        balance = &ev->member->balances[program->wallet];

        ly_jw_k(&w, "balance");
        ly_jw_object(&w);
        ly_jw_kint(&w, "available", balance->available);
        ly_jw_kint(&w, "pending", balance->pending);
        ly_jw_kint(&w, "held", balance->held);
        ly_jw_kint(&w, "debt", balance->debt);
        ly_jw_kint(&w, "earned", balance->earned);
        ly_jw_kint(&w, "spent", balance->spent);
        ly_jw_object_end(&w);
    }

    ly_jw_object_end(&w);
    *out = ly_buf_view(&b);

    return ly_jw_done(&w);
}


static ly_err_t
eval_input(eval_t *ev, batch_program_t *program)
{
    ly_err_t  err;
    ly_str_t  state;

    if (program->input == NULL) {
        err = rule_input_create(ev->batch->arena,
                                rules_cache_catalogue(ev->batch->cache),
                                program->zone, program->zone_name,
                                &program->input);
        if (err != LY_OK) {
            return err;
        }
    }

    err = rule_input_event(program->input, ev->event->facts);

    if (err == LY_OK && ev->member != NULL) {
        err = eval_state(ev, program, &state);

        if (err == LY_OK) {
            err = rule_input_state(program->input, state);
        }
    }

    if (err == LY_OK) {
        ev->taken = true;
        ev->input = program->input;
    }

    return err;
}


static bool
eval_triggers(const eval_t *ev, const rules_version_t *version)
{
    return ly_str_eq(version->head.event, ev->facts.type);
}


/* the rules of a program that the event's type triggers */
static ly_err_t
eval_program(eval_t *ev, batch_program_t *program, eval_program_t *out)
{
    bool             base;
    size_t           i;
    ly_err_t         err;
    ly_arena_t      *a;
    rule_options_t   options;

    a = ev->batch->arena;
    out->program = program;
    out->versions = ly_arena_array(a, program->n + 1,
                                   sizeof(rules_version_t *));
    out->runs = ly_arena_array(a, program->n + 1, sizeof(rule_run_t));
    out->results = ly_arena_array(a, program->n + 1, sizeof(rule_result_t));

    if (out->versions == NULL || out->runs == NULL || out->results == NULL) {
        return LY_NOMEM;
    }

    base = false;

    for (i = 0; i < program->n; i++) {

        base |= program->versions[i]->head.base;

        if (eval_triggers(ev, program->versions[i])) {
            out->versions[out->n] = program->versions[i];
            out->runs[out->n].program = program->versions[i]->program;
            out->n++;
        }
    }

    if (out->n == 0 && !(base && ev->facts.refund)) {
        return LY_OK;
    }

    err = eval_input(ev, program);
    if (err != LY_OK || out->n == 0) {
        return err;
    }

    err = batch_limits(ev->batch, ev->event, ev->member, program,
                       out->versions, out->runs, out->n, ev->facts.at_us,
                       program->input);
    if (err != LY_OK) {
        return err;
    }

    memset(&options, 0, sizeof(rule_options_t));
    options.trace = true;

    return rule_evaluate(a, program->input, out->runs, out->n, &options,
                         out->results);
}


/* total of the order or refund; without one it is 0 */
static ly_err_t
eval_total(eval_t *ev)
{
    ly_err_t          err;
    rule_input_t     *input;
    batch_tenant_t   *tenant;
    batch_program_t  *program, none;

    tenant = ev->event->tenant;

    if (!ev->facts.order && !ev->facts.refund) {
        return LY_OK;
    }

    if (!ev->taken) {
        memset(&none, 0, sizeof(batch_program_t));
        program = tenant->nprograms == 0 ? &none : &tenant->programs[0];

        err = eval_input(ev, program);
        if (err != LY_OK) {
            return err;
        }
    }

    input = ev->input;

    err = rule_input_total(input, &ev->total);

    ev->has_total = (err == LY_OK);

    /* what the edge let in has a total; anything else is no order */
    return err == LY_NOTFOUND ? LY_OK : err;
}


/* --- writing ---------------------------------------------------------- */

static void
eval_order(eval_t *ev)
{
    ly_jw_t        *w;
    unsigned char   text[LY_DEC_TEXT];

    w = &ev->phase->w[BATCH_ORDERS];

    ly_jw_object(w);
    ly_jw_kstr(w, "id", ly_str_of(ev->order_text, LY_UUID_TEXT));
    ly_jw_kstr(w, "source", ev->facts.source);
    ly_jw_kstr(w, "external_id", ev->facts.external_id);
    ly_jw_kstr(w, "event", ev->event->id);
    ly_jw_k(w, "member");

    if (ev->member == NULL) {
        ly_jw_null(w);

    } else {
        ly_jw_str(w, ev->member->id);
    }

    ly_jw_kstr(w, "currency", ev->facts.currency);
    ly_jw_kstr(w, "at", ev->facts.occurred_at);
    ly_jw_kstr(w, "total", ly_str_of(text, ly_dec_print(ev->total, text)));
    ly_jw_kint(w, "lines", ev->facts.lines);
    ly_jw_object_end(w);
}


/* the wallet of the tenant with this code; nwallets: there is none */
static size_t
eval_wallet(const batch_tenant_t *tenant, ly_str_t code)
{
    size_t  i;

    for (i = 0; i < tenant->nwallets; i++) {
        if (ly_str_eq(tenant->wallets[i].code, code)) {
            break;
        }
    }

    return i;
}


static ly_err_t
eval_add(eval_t *ev, eval_earn_t *earn, const rule_effect_t *effect)
{
    size_t  i;

    if (__builtin_add_overflow(earn->points, effect->points, &earn->points)) {
        return LY_OVERFLOW;
    }

    if (effect->n_shares == 0) {
        return LY_OK;
    }

    if (earn->shares == NULL) {
        earn->n = effect->n_shares;
        earn->shares = ly_arena_array(ev->batch->arena, earn->n,
                                      sizeof(int64_t));
        if (earn->shares == NULL) {
            return LY_NOMEM;
        }
    }

    for (i = 0; i < earn->n && i < effect->n_shares; i++) {
        earn->shares[i] += effect->shares[i];
    }

    return LY_OK;
}


static void
eval_earn(eval_t *ev, const batch_wallet_t *wallet,
    const rules_version_t *version, const eval_earn_t *earn)
{
    size_t    i;
    ly_jw_t  *w;

    w = &ev->phase->w[BATCH_EARNS];

    ly_jw_object(w);
    ly_jw_kstr(w, "event", ev->event->id);
    ly_jw_kstr(w, "member", ev->member->id);
    ly_jw_kstr(w, "wallet", wallet->id);
    ly_jw_kint(w, "points", earn->points);
    ly_jw_kstr(w, "at", ev->facts.occurred_at);
    ly_jw_kstr(w, "rule", ly_str_of(version->rule_text, LY_UUID_TEXT));
    ly_jw_kstr(w, "rule_version", ly_str_of(version->id_text, LY_UUID_TEXT));

    /* a refund of the order takes shares back; without shares it cannot */
    if (ev->facts.order && earn->n != 0) {
        ly_jw_kstr(w, "order", ly_str_of(ev->order_text, LY_UUID_TEXT));
        ly_jw_k(w, "shares");
        ly_jw_array(w);

        for (i = 0; i < earn->n; i++) {
            ly_jw_int(w, earn->shares[i]);
        }

        ly_jw_array_end(w);
    }

    ly_jw_object_end(w);
    ev->phase->earns++;
}


/* the balance as the books will have it: debt is paid back first */
static void
eval_credit(batch_balance_t *balance, const batch_wallet_t *wallet,
    int64_t points)
{
    int64_t  repaid;

    balance->earned += points;

    if (!wallet->immediate) {
        balance->pending += points;
        return;
    }

    repaid = points < balance->debt ? points : balance->debt;
    balance->debt -= repaid;
    balance->available += points - repaid;
}


/* books what a rule gave into one wallet; *first is the first earn's number */
static ly_err_t
eval_wallet_earns(eval_t *ev, const rules_version_t *version,
    const rule_result_t *result, size_t wallet, int64_t *first)
{
    size_t           i;
    ly_err_t         err;
    eval_earn_t      with, without, *earn;
    batch_tenant_t  *tenant;

    tenant = ev->event->tenant;
    memset(&with, 0, sizeof(eval_earn_t));
    memset(&without, 0, sizeof(eval_earn_t));

    for (i = 0; i < result->n_effects; i++) {

        if (result->effects[i].points <= 0
            || eval_wallet(tenant, result->effects[i].wallet) != wallet)
        {
            continue;
        }

        earn = result->effects[i].n_shares == 0 ? &without : &with;

        err = eval_add(ev, earn, &result->effects[i]);
        if (err != LY_OK) {
            return err;
        }
    }

    for (i = 0; i < 2; i++) {
        earn = i == 0 ? &with : &without;

        if (earn->points == 0) {
            continue;
        }

        eval_earn(ev, &tenant->wallets[wallet], version, earn);
        eval_credit(&ev->member->balances[wallet], &tenant->wallets[wallet],
                    earn->points);

        if (*first == 0) {
            *first = ev->phase->earns;
        }
    }

    return LY_OK;
}


static ly_err_t
eval_evaluation(eval_t *ev, const rules_version_t *version,
    const rule_result_t *result, int64_t first)
{
    size_t         i;
    ly_dec_t       raw;
    ly_jw_t       *w;
    ly_str_t       clipped;
    ly_err_t       err;
    unsigned char  text[LY_DEC_TEXT];

    w = &ev->phase->w[BATCH_EVALS];
    raw = ly_dec_int(0);
    clipped = ly_str("");

    for (i = 0; i < result->n_effects; i++) {

        err = ly_dec_add(raw, result->effects[i].raw, &raw);
        if (err != LY_OK) {
            return err;
        }

        if (clipped.len == 0) {
            clipped = result->effects[i].clipped_by;
        }
    }

    ly_jw_object(w);
    ly_jw_kstr(w, "e", ev->event->id);
    ly_jw_kstr(w, "v", ly_str_of(version->id_text, LY_UUID_TEXT));
    ly_jw_kcstr(w, "o", rule_outcome_name(result->outcome));

    if (result->n_effects != 0) {
        raw = ly_dec_strip(raw);
        ly_jw_kstr(w, "raw", ly_str_of(text, ly_dec_print(raw, text)));
    }

    ly_jw_kint(w, "p", result->points);

    if (clipped.len != 0) {
        ly_jw_kstr(w, "c", clipped);
    }

    ly_jw_kstr(w, "t", result->trace);

    if (first != 0) {
        ly_jw_kint(w, "g", first);
    }

    ly_jw_object_end(w);

    return LY_OK;
}


static ly_err_t
eval_results(eval_t *ev, const eval_program_t *p)
{
    size_t    i, k;
    int64_t   first;
    ly_err_t  err;

    for (i = 0; i < p->n; i++) {

        /* a rule for another source says nothing about this event */
        if (p->results[i].outcome == RULE_NOT_MATCHED
            && p->results[i].reason != NULL
            && strcmp(p->results[i].reason, "trigger") == 0)
        {
            continue;
        }

        first = 0;

        for (k = 0; k < ev->event->tenant->nwallets; k++) {
            err = eval_wallet_earns(ev, p->versions[i], &p->results[i], k,
                                    &first);
            if (err != LY_OK) {
                return err;
            }
        }

        err = eval_evaluation(ev, p->versions[i], &p->results[i], first);
        if (err != LY_OK) {
            return err;
        }
    }

    return LY_OK;
}


/* what the base rate of each program takes back, if no order answers */
static ly_err_t
eval_base(eval_t *ev, ly_jw_t *w, batch_program_t *program)
{
    size_t                  i, wallet;
    int64_t                 points;
    ly_err_t                err;
    const rules_version_t  *version;

    for (i = 0; i < program->n; i++) {

        version = program->versions[i];

        if (!version->head.base) {
            continue;
        }

        err = rule_refund_points(version->program, ev->total, &points);
        if (err != LY_OK) {
            return err;
        }

        wallet = eval_wallet(ev->event->tenant,
                             rule_program_wallet(version->program, 0));

        if (points <= 0 || wallet == ev->event->tenant->nwallets) {
            continue;
        }

        ly_jw_object(w);
        ly_jw_kstr(w, "event", ev->event->id);
        ly_jw_kstr(w, "member", ev->member->id);
        ly_jw_kstr(w, "at", ev->facts.occurred_at);
        ly_jw_kstr(w, "wallet", ev->event->tenant->wallets[wallet].id);
        ly_jw_kint(w, "points", points);
        ly_jw_kstr(w, "rule", ly_str_of(version->rule_text, LY_UUID_TEXT));
        ly_jw_kstr(w, "rule_version",
                   ly_str_of(version->id_text, LY_UUID_TEXT));
        ly_jw_object_end(w);
    }

    return LY_OK;
}


static ly_err_t
eval_refund(eval_t *ev)
{
    size_t           i;
    ly_jw_t         *w;
    ly_err_t         err;
    batch_tenant_t  *tenant;

    tenant = ev->event->tenant;
    w = &ev->phase->w[BATCH_REFUNDS];

    ly_jw_object(w);
    ly_jw_kstr(w, "e", ev->event->id);
    ly_jw_kbool(w, "late", ly_str_eq(ev->event->kind, ly_str("late")));
    ly_jw_k(w, "base");
    ly_jw_array(w);

    for (i = 0; i < tenant->nprograms && ev->member != NULL; i++) {
        err = eval_base(ev, w, &tenant->programs[i]);
        if (err != LY_OK) {
            return err;
        }
    }

    ly_jw_array_end(w);
    ly_jw_object_end(w);

    return LY_OK;
}


static bool
eval_activates(const eval_t *ev)
{
    size_t  i;

    for (i = 0; ev->member != NULL && i < ev->event->tenant->nwallets; i++) {
        if (ly_str_eq(ev->event->tenant->wallets[i].activates,
                      ev->facts.type))
        {
            return true;
        }
    }

    return false;
}


/* pending points that waited for an event of this type */
static void
eval_activate(eval_t *ev)
{
    size_t                 i;
    ly_jw_t               *w;
    const batch_wallet_t  *wallet;

    w = &ev->phase->w[BATCH_REFUNDS];

    for (i = 0; i < ev->event->tenant->nwallets; i++) {

        wallet = &ev->event->tenant->wallets[i];

        if (!ly_str_eq(wallet->activates, ev->facts.type)) {
            continue;
        }

        ly_jw_object(w);
        ly_jw_kstr(w, "activate", wallet->id);
        ly_jw_kstr(w, "m", ev->member->id);
        ly_jw_kstr(w, "source", ev->facts.source);
        ly_jw_kstr(w, "external_id", ev->facts.external_id);
        ly_jw_kstr(w, "at", ev->facts.occurred_at);
        ly_jw_object_end(w);
    }

    ev->member->refunded = true;
    ev->member->unsure = true;
}


/* --- events ----------------------------------------------------------- */

/* all that can fail for this event alone, before anything is written */
static ly_err_t
eval_prepare(eval_t *ev)
{
    size_t           i;
    ly_err_t         err;
    batch_tenant_t  *tenant;

    tenant = ev->event->tenant;

    err = eval_facts(ev);
    if (err != LY_OK) {
        return err;
    }

    ev->programs = ly_arena_array(ev->batch->arena, tenant->nprograms + 1,
                                  sizeof(eval_program_t));
    if (ev->programs == NULL) {
        return LY_NOMEM;
    }

    /* a guest earns nothing; a refund that waited was evaluated before */
    if (ev->member != NULL
        && !ly_str_eq(ev->event->kind, ly_str("late")))
    {
        for (i = 0; i < tenant->nprograms; i++) {
            if (tenant->programs[i].lost) {
                return LY_NOTFOUND;
            }

            err = eval_program(ev, &tenant->programs[i], &ev->programs[i]);
            if (err != LY_OK) {
                return err;
            }
        }
    }

    err = eval_total(ev);
    if (err != LY_OK) {
        return err;
    }

    if (ev->facts.order) {
        err = ly_uuid7_new((uint64_t) (ev->batch->now_ms), &ev->order);
        if (err != LY_OK) {
            return err;
        }

        ly_uuid_print(&ev->order, ev->order_text);
    }

    return LY_OK;
}


static ly_err_t
eval_write(eval_t *ev)
{
    size_t           i;
    ly_err_t         err;
    batch_member_t  *member;
    batch_tenant_t  *tenant;

    tenant = ev->event->tenant;
    member = ev->member;

    /* what a member earns behind a refund of his is booked behind it */
    if (member != NULL && member->refunded && !ev->facts.refund) {
        member->phase++;
        member->refunded = false;
    }

    ev->phase = batch_phase(ev->batch, tenant,
                            member == NULL ? 0 : member->phase);
    if (ev->phase == NULL) {
        return LY_NOMEM;
    }

    if (ev->facts.order && ev->has_total) {
        eval_order(ev);
    }

    for (i = 0; i < tenant->nprograms; i++) {
        err = eval_results(ev, &ev->programs[i]);
        if (err != LY_OK) {
            return err;
        }
    }

    if (eval_activates(ev)) {
        eval_activate(ev);
    }

    if (ev->facts.refund) {
        err = eval_refund(ev);
        if (err != LY_OK) {
            return err;
        }

        if (member != NULL) {
            member->refunded = true;
            member->unsure = true;
        }
    }

    if (member != NULL) {
        member->seen = true;
    }

    batch_outcome(ev->event, ev->facts.refund ? "refund" : "done",
                  member == NULL ? ly_str("{\"guest\":true}") : ly_str(""),
                  ly_str(""));

    return LY_OK;
}


/* whether the batch must end before this event */
static bool
eval_cuts(const batch_event_t *event, const batch_member_t *member)
{
    if (member == NULL) {
        return false;
    }

    return (member->unsure && event->tenant->reads_balance)
           || (member->seen && event->tenant->reads_counters)
           || member->phase + 1 >= BATCH_PHASES;
}


static void
eval_park(eval_t *ev, ly_str_t code)
{
    if (ev->member != NULL) {
        ev->member->parked = true;
    }

    batch_outcome(ev->event, "park", ly_str(""), code);
}


static ly_err_t
eval_event(batch_t *batch, batch_event_t *event, bool *cut)
{
    eval_t    ev;
    ly_err_t  err;

    if (ly_str_eq(event->kind, ly_str("waiting"))) {
        batch_outcome(event, "pass", ly_str(""), ly_str(""));
        return LY_OK;
    }

    memset(&ev, 0, sizeof(eval_t));
    ev.batch = batch;
    ev.event = event;

    if (event->member.data != NULL) {
        ev.member = batch_member(batch, event);
        if (ev.member == NULL) {
            return LY_NOMEM;
        }
    }

    if (event->parked || (ev.member != NULL && ev.member->parked)) {
        batch_outcome(event, "follow", ly_str(""), ly_str(""));
        return LY_OK;
    }

    if (batch->poison.len != 0 && ly_str_eq(event->id, batch->poison)) {
        eval_park(&ev, batch->poison_code);
        return LY_OK;
    }

    if (eval_cuts(event, ev.member)) {
        *cut = true;
        return LY_OK;
    }

    err = eval_prepare(&ev);

    if (err == LY_OK) {
        return eval_write(&ev);
    }

    if (err == LY_NOMEM || err == LY_TEMP || batch->broken) {
        return err;
    }

    /* the event's own fault: the rest goes on */
    batch->failed++;
    eval_park(&ev, ly_str_c(ly_err_name(err)));

    return LY_OK;
}


ly_err_t
batch_evaluate(batch_t *batch)
{
    bool      cut;
    size_t    i;
    ly_err_t  err;

    cut = false;

    for (i = 0; i < batch->n; i++) {

        if (batch->events[i].tenant == NULL) {
            return LY_FATAL;
        }

        err = eval_event(batch, &batch->events[i], &cut);
        if (err != LY_OK) {
            return err;
        }

        if (cut) {
            batch->drained = false;
            break;
        }
    }

    batch->done = i;

    return LY_OK;
}
