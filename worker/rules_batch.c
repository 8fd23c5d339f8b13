/*
 * See rules_batch.h: rows in, JSON out.  The evaluation is rules_eval.c.
 */

#include "rules_batch.h"

#include <string.h>

#include "../common/ly_banned.h"


enum {
    ROW_KIND = 0,
    ROW_TENANT,
    ROW_EVENT,
    ROW_MEMBER,
    ROW_ORD,
    ROW_SHARD,
    ROW_XID,
    ROW_LOG_ID,
    ROW_PARKED,
    ROW_DATA,
    ROW_STATE
};


static ly_str_t
batch_string(const ly_json_node_t *node, ly_str_t key)
{
    const ly_json_node_t  *member;

    member = ly_json_member_of(node, key, LY_JSON_STRING);

    return member == NULL ? ly_str("") : member->text;
}


static ly_err_t
batch_head(batch_t *batch, ly_str_t data)
{
    ly_err_t               err;
    ly_json_node_t        *root;
    const ly_json_node_t  *drained;

    err = ly_json_parse(batch->arena, data, NULL, &root, NULL);
    if (err != LY_OK) {
        return err;
    }

    batch->mode = batch_string(root, ly_str("mode"));
    batch->now = batch_string(root, ly_str("now"));

    drained = ly_json_member(root, ly_str("drained"));

    return ly_json_bool(drained, &batch->drained);
}


static ly_err_t
batch_wallets(batch_t *batch, batch_tenant_t *tenant,
    const ly_json_node_t *list)
{
    batch_wallet_t        *wallet;
    const ly_json_node_t  *node, *flag;

    if (list == NULL) {
        return LY_FATAL;
    }

    tenant->wallets = ly_arena_array(batch->arena, list->count + 1,
                                     sizeof(batch_wallet_t));
    if (tenant->wallets == NULL) {
        return LY_NOMEM;
    }

    for (node = list->first; node != NULL; node = node->next) {

        wallet = &tenant->wallets[tenant->nwallets++];
        wallet->code = node->key;

        if (ly_json_string(ly_json_at(node, 0), &wallet->id) != LY_OK
            || ly_json_string(ly_json_at(node, 1), &wallet->program) != LY_OK)
        {
            return LY_FATAL;
        }

        flag = ly_json_at(node, 2);
        wallet->immediate = (flag != NULL && flag->type == LY_JSON_TRUE);

        /* null for the other policies */
        if (ly_json_string(ly_json_at(node, 3), &wallet->activates)
            != LY_OK)
        {
            wallet->activates = ly_str("");
        }
    }

    return LY_OK;
}


static ly_err_t
batch_program(batch_t *batch, batch_tenant_t *tenant, batch_program_t *program,
    const ly_json_node_t *node)
{
    size_t                 i, n;
    ly_err_t               err;
    ly_str_t              *ids;
    const ly_json_node_t  *list, *id;

    program->id = batch_string(node, ly_str("id"));
    program->zone_name = batch_string(node, ly_str("zone"));
    program->zone = rules_cache_zone(batch->cache, program->zone_name);

    for (i = 0; i < tenant->nwallets; i++) {
        if (ly_str_eq(tenant->wallets[i].program, program->id)) {
            program->wallet = i;
            program->has_wallet = true;
            break;
        }
    }

    list = ly_json_member_of(node, ly_str("rules"), LY_JSON_ARRAY);
    if (list == NULL) {
        return LY_FATAL;
    }

    n = list->count;
    ids = ly_arena_array(batch->arena, n + 1, sizeof(ly_str_t));
    program->versions = ly_arena_array(batch->arena, n + 1,
                                       sizeof(rules_version_t *));

    if (ids == NULL || program->versions == NULL) {
        return LY_NOMEM;
    }

    i = 0;

    for (id = list->first; id != NULL; id = id->next) {
        ids[i++] = id->text;
    }

    err = rules_cache_versions(batch->cache, batch->db, batch->arena,
                               tenant->id, ids, n, program->versions);
    if (err != LY_OK) {
        return err;
    }

    for (i = 0; i < n; i++) {

        /* has been logged; events wait, for points never given are lost */
        if (program->versions[i] == NULL) {
            program->lost = true;
            continue;
        }

        program->versions[program->n++] = program->versions[i];
        tenant->reads_balance |= program->versions[i]->reads_balance;
        tenant->reads_counters |= program->versions[i]->head.n_counters != 0;
    }

    return LY_OK;
}


static ly_err_t
batch_tenant(batch_t *batch, batch_tenant_t *tenant, ly_str_t id,
    ly_str_t data)
{
    ly_err_t               err;
    ly_json_node_t        *root;
    const ly_json_node_t  *list, *node;

    tenant->id = id;

    err = ly_json_parse(batch->arena, data, NULL, &root, NULL);
    if (err != LY_OK) {
        return err;
    }

    err = batch_wallets(batch, tenant,
                        ly_json_member_of(root, ly_str("wallets"),
                                          LY_JSON_OBJECT));
    if (err != LY_OK) {
        return err;
    }

    list = ly_json_member_of(root, ly_str("programs"), LY_JSON_ARRAY);
    if (list == NULL) {
        return LY_FATAL;
    }

    tenant->programs = ly_arena_array(batch->arena, list->count + 1,
                                      sizeof(batch_program_t));
    if (tenant->programs == NULL) {
        return LY_NOMEM;
    }

    for (node = list->first; node != NULL; node = node->next) {

        err = batch_program(batch, tenant,
                            &tenant->programs[tenant->nprograms++], node);
        if (err != LY_OK) {
            return err;
        }
    }

    ly_buf_init_arena(&tenant->b, batch->arena, BATCH_RESULT_MAX);
    ly_jw_init(&tenant->w, &tenant->b);
    ly_jw_array(&tenant->w);

    return LY_OK;
}


static ly_err_t
batch_event(batch_t *batch, batch_tenant_t *tenant, const db_rows_t *rows,
    size_t row)
{
    int64_t         ord;
    batch_event_t  *event;

    ord = db_int(rows, row, ROW_ORD);

    if (tenant == NULL || ord < 1 || (size_t) ord > rows->rows) {
        return LY_FATAL;
    }

    event = &batch->events[ord - 1];
    event->tenant = tenant;
    event->kind = db_text(rows, row, ROW_KIND);
    event->id = db_text(rows, row, ROW_EVENT);
    event->member = db_text(rows, row, ROW_MEMBER);
    event->ord = ord;
    event->shard = db_text(rows, row, ROW_SHARD);
    event->xid = db_text(rows, row, ROW_XID);
    event->log_id = db_text(rows, row, ROW_LOG_ID);
    event->parked = db_true(rows, row, ROW_PARKED);
    event->facts = db_text(rows, row, ROW_DATA);
    event->state = db_text(rows, row, ROW_STATE);

    if ((size_t) ord > batch->n) {
        batch->n = (size_t) ord;
    }

    return LY_OK;
}


ly_err_t
batch_read(batch_t *batch, const db_rows_t *rows)
{
    size_t           i;
    ly_str_t         kind;
    ly_err_t         err;
    batch_tenant_t  *tenant;

    batch->events = ly_arena_array(batch->arena, rows->rows + 1,
                                   sizeof(batch_event_t));
    batch->tenants = ly_arena_array(batch->arena, rows->rows + 1,
                                    sizeof(batch_tenant_t));

    if (batch->events == NULL || batch->tenants == NULL) {
        return LY_NOMEM;
    }

    tenant = NULL;

    for (i = 0; i < rows->rows; i++) {

        kind = db_text(rows, i, ROW_KIND);

        if (ly_str_eq(kind, ly_str("lost"))) {
            batch->lost = true;
            return LY_OK;
        }

        if (ly_str_eq(kind, ly_str("batch"))) {
            err = batch_head(batch, db_text(rows, i, ROW_DATA));

        } else if (ly_str_eq(kind, ly_str("tenant"))) {
            tenant = &batch->tenants[batch->ntenants++];
            err = batch_tenant(batch, tenant, db_text(rows, i, ROW_TENANT),
                               db_text(rows, i, ROW_DATA));

        } else {
            err = batch_event(batch, tenant, rows, i);
        }

        if (err != LY_OK) {
            return err;
        }
    }

    return LY_OK;
}


/* --- members ---------------------------------------------------------- */

static size_t
batch_bucket(ly_str_t id)
{
    size_t    i;
    uint32_t  h;

    h = 2166136261u;

    for (i = 0; i < id.len; i++) {
        h = (h ^ id.data[i]) * 16777619u;
    }

    return h % BATCH_MEMBERS;
}


static ly_err_t
batch_balances(batch_t *batch, batch_tenant_t *tenant, batch_member_t *member,
    const ly_json_node_t *list)
{
    size_t                 i;
    batch_balance_t       *b;
    const ly_json_node_t  *node;

    member->balances = ly_arena_array(batch->arena, tenant->nwallets + 1,
                                      sizeof(batch_balance_t));
    if (member->balances == NULL) {
        return LY_NOMEM;
    }

    for (i = 0; i < tenant->nwallets; i++) {

        node = ly_json_member_of(list, tenant->wallets[i].id, LY_JSON_ARRAY);
        if (node == NULL) {
            continue;
        }

        b = &member->balances[i];

        if (ly_json_int64(ly_json_at(node, 0), &b->available) != LY_OK
            || ly_json_int64(ly_json_at(node, 1), &b->pending) != LY_OK
            || ly_json_int64(ly_json_at(node, 2), &b->held) != LY_OK
            || ly_json_int64(ly_json_at(node, 3), &b->debt) != LY_OK
            || ly_json_int64(ly_json_at(node, 4), &b->earned) != LY_OK
            || ly_json_int64(ly_json_at(node, 5), &b->spent) != LY_OK)
        {
            return LY_FATAL;
        }
    }

    return LY_OK;
}


batch_member_t *
batch_member(batch_t *batch, const batch_event_t *event)
{
    ly_jw_t           w;
    ly_buf_t          b;
    batch_tenant_t   *tenant;
    batch_member_t  **place, *member;
    ly_json_node_t   *root;

    tenant = event->tenant;
    place = &tenant->members[batch_bucket(event->member)];

    for (member = *place; member != NULL; member = member->next) {
        if (ly_str_eq(member->id, event->member)) {
            return member;
        }
    }

    member = ly_arena_zalloc(batch->arena, sizeof(batch_member_t));

    if (member == NULL
        || ly_json_parse(batch->arena, event->state, NULL, &root, NULL)
        != LY_OK
        || batch_balances(batch, tenant, member,
                          ly_json_member_of(root, ly_str("balances"),
                                            LY_JSON_OBJECT))
        != LY_OK)
    {
        return NULL;
    }

    ly_buf_init_arena(&b, batch->arena, 4096);
    ly_jw_init(&w, &b);
    ly_jw_node(&w, ly_json_member(root, ly_str("member")));

    if (ly_jw_done(&w) != LY_OK) {
        return NULL;
    }

    member->id = event->member;
    member->member = ly_buf_view(&b);
    member->next = *place;
    *place = member;

    return member;
}


/* --- result ----------------------------------------------------------- */

batch_phase_t *
batch_phase(batch_t *batch, batch_tenant_t *tenant, size_t i)
{
    size_t          k;
    batch_phase_t  *phase;

    if (i >= BATCH_PHASES) {
        return NULL;
    }

    while (tenant->nphases <= i) {

        phase = ly_arena_zalloc(batch->arena, sizeof(batch_phase_t));
        if (phase == NULL) {
            return NULL;
        }

        for (k = 0; k < ly_countof(phase->b); k++) {
            ly_buf_init_arena(&phase->b[k], batch->arena, BATCH_RESULT_MAX);
            ly_jw_init(&phase->w[k], &phase->b[k]);
            ly_jw_array(&phase->w[k]);
        }

        tenant->phases[tenant->nphases++] = phase;
    }

    return tenant->phases[i];
}


void
batch_outcome(batch_event_t *event, const char *kind, ly_str_t detail,
    ly_str_t code)
{
    int64_t   shard;
    ly_jw_t  *w;

    w = &event->tenant->w;

    if (ly_int64_parse(event->shard, &shard) != LY_OK) {
        shard = 0;
    }

    ly_jw_object(w);
    ly_jw_kstr(w, "e", event->id);
    ly_jw_k(w, "m");

    if (event->member.data == NULL) {
        ly_jw_null(w);

    } else {
        ly_jw_str(w, event->member);
    }

    ly_jw_kint(w, "s", shard);
    ly_jw_kcstr(w, "k", kind);

    if (detail.len != 0) {
        ly_jw_k(w, "d");
        ly_jw_raw(w, detail);
    }

    if (code.len != 0) {
        ly_jw_kstr(w, "code", code);
    }

    ly_jw_object_end(w);

    event->tenant->nevents++;
    event->tenant->nparked += strcmp(kind, "park") == 0
                              || strcmp(kind, "follow") == 0;
}


static ly_err_t
batch_phases(batch_tenant_t *tenant, ly_jw_t *w)
{
    size_t          i, k;
    ly_err_t        err;
    batch_phase_t  *phase;

    static const ly_str_t  names[] = {
        ly_str_init("orders"), ly_str_init("earns"), ly_str_init("evals"),
        ly_str_init("refunds")
    };

    ly_jw_array(w);

    for (i = 0; i < tenant->nphases; i++) {

        phase = tenant->phases[i];
        ly_jw_object(w);

        for (k = 0; k < ly_countof(names); k++) {

            ly_jw_array_end(&phase->w[k]);

            err = ly_jw_done(&phase->w[k]);
            if (err != LY_OK) {
                return err;
            }

            ly_jw_key_plain(w, names[k]);
            ly_jw_raw(w, ly_buf_view(&phase->b[k]));
        }

        ly_jw_object_end(w);
    }

    ly_jw_array_end(w);

    return LY_OK;
}


ly_err_t
batch_result(batch_t *batch, int64_t park_ms, ly_str_t *out)
{
    size_t           i;
    ly_jw_t          w;
    ly_buf_t         b;
    ly_err_t         err;
    batch_tenant_t  *tenant;

    ly_buf_init_arena(&b, batch->arena, BATCH_RESULT_MAX);
    ly_jw_init(&w, &b);
    ly_jw_array(&w);

    for (i = 0; i < batch->ntenants; i++) {

        tenant = &batch->tenants[i];

        if (tenant->nevents == 0) {
            continue;
        }

        ly_jw_array_end(&tenant->w);

        err = ly_jw_done(&tenant->w);
        if (err != LY_OK) {
            return err;
        }

        ly_jw_object(&w);
        ly_jw_kstr(&w, "tenant", tenant->id);

        if (tenant->nparked != 0) {
            ly_jw_kint(&w, "park_ms", park_ms);
        }

        ly_jw_k(&w, "events");
        ly_jw_raw(&w, ly_buf_view(&tenant->b));
        ly_jw_k(&w, "phases");

        err = batch_phases(tenant, &w);
        if (err != LY_OK) {
            return err;
        }

        ly_jw_object_end(&w);
    }

    ly_jw_array_end(&w);
    *out = ly_buf_view(&b);

    return ly_jw_done(&w);
}
