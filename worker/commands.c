/*
 * The commands lane: what an operation of the API cannot do in SQL, because it
 * needs the rules engine.  Claim, compute and settle are one transaction.
 */

#include "lane.h"

#include "log.h"
#include "rule/rule.h"
#include "../common/ly_buf.h"
#include "../common/ly_hex.h"
#include "../common/ly_jw.h"

#include <string.h>

#include "../common/ly_banned.h"


#define COMMANDS_ANSWER_MAX  (8 * 1024 * 1024)


static const db_call_t  call_claim = { "work.command_claim", 1 };
static const db_call_t  call_settle = { "work.command_settle", 3 };


static void
commands_problem(ly_jw_t *w, int64_t status, const char *code)
{
    ly_jw_kint(w, "status", status);
    ly_jw_kcstr(w, "code", code);
}


/* every fault with its place, what was expected and what was found */
static void
commands_faults(ly_arena_t *a, ly_jw_t *w, const rule_faults_t *faults)
{
    size_t     i;
    ly_buf_t   b;

    commands_problem(w, 422, "rule.invalid");
    ly_jw_k(w, "errors");
    ly_jw_array(w);

    for (i = 0; i < faults->n; i++) {

        ly_buf_init_arena(&b, a, RULE_DOCUMENT_MAX);

        if (faults->fault[i].expected.len != 0) {
            ly_buf_cstr(&b, "expected ");
            ly_buf_str(&b, faults->fault[i].expected);
        }

        if (faults->fault[i].found.len != 0) {
            ly_buf_cstr(&b, b.len == 0 ? "found " : ", found ");
            ly_buf_str(&b, faults->fault[i].found);
        }

        ly_jw_object(w);
        ly_jw_kstr(w, "pointer", faults->fault[i].pointer);
        ly_jw_kcstr(w, "code", faults->fault[i].code);
        ly_jw_k(w, "detail");
        ly_jw_text(w, ly_buf_view(&b));
        ly_jw_object_end(w);
    }

    ly_jw_array_end(w);
}


static ly_err_t
commands_compiled(ly_arena_t *a, ly_jw_t *w, const rule_program_t *program,
    ly_str_t document, const rule_catalogue_t *catalogue)
{
    uint32_t        i;
    ly_buf_t        saved, hex, normal;
    ly_err_t        err;
    rule_head_t     head;
    rule_faults_t   faults;

    rule_program_head(program, &head);

    ly_buf_init_arena(&saved, a, COMMANDS_ANSWER_MAX);
    ly_buf_init_arena(&hex, a, COMMANDS_ANSWER_MAX);
    ly_buf_init_arena(&normal, a, COMMANDS_ANSWER_MAX);

    err = rule_program_save(program, &saved);
    if (err != LY_OK) {
        return err;
    }

    ly_hex_put(&hex, ly_buf_view(&saved));

    err = rule_normalise(a, document, catalogue, &normal, &faults);
    if (err != LY_OK) {
        return err;
    }

    ly_jw_kint(w, "status", 200);
    ly_jw_kstr(w, "document", ly_buf_view(&normal));
    ly_jw_kstr(w, "program", ly_buf_view(&hex));
    ly_jw_k(w, "checksum");
    ly_jw_hex(w, ly_str_of(rule_program_digest(program), RULE_DIGEST_LEN));
    ly_jw_k(w, "catalogue");
    ly_jw_hex(w, ly_str_of(rule_catalogue_digest(catalogue),
                           RULE_DIGEST_LEN));
    ly_jw_kbool(w, "base", head.base);
    ly_jw_k(w, "wallets");
    ly_jw_array(w);

    for (i = 0; i < head.n_effects; i++) {
        ly_jw_str(w, rule_program_wallet(program, i));
    }

    ly_jw_array_end(w);

    return ly_buf_err(&hex);
}


static ly_err_t
commands_rule(ly_arena_t *a, ly_jw_t *w, ly_str_t document)
{
    ly_err_t           err;
    rule_faults_t      faults;
    rule_program_t    *program;
    rule_catalogue_t  *catalogue;

    if (document.data == NULL) {
        commands_problem(w, 422, "rule.no_draft");
        return LY_OK;
    }

    err = rule_catalogue_default(a, &catalogue);
    if (err != LY_OK) {
        return err;
    }

    err = rule_compile(a, document, catalogue, 0, &program, &faults);

    if (err == LY_OK) {
        return commands_compiled(a, w, program, document, catalogue);
    }

    if (err == LY_NOMEM) {
        return err;
    }

    commands_faults(a, w, &faults);

    return LY_OK;
}


static ly_err_t
commands_answer(lane_t *lane, ly_str_t kind, ly_str_t document,
    ly_str_t *answer)
{
    ly_jw_t    w;
    ly_buf_t   b;
    ly_err_t   err;

    ly_buf_init_arena(&b, lane->arena, COMMANDS_ANSWER_MAX);
    ly_jw_init(&w, &b);
    ly_jw_object(&w);

    if (ly_str_eq(kind, ly_str("rule.publish"))) {
        err = commands_rule(lane->arena, &w, document);

    } else {
        /* asked by a newer edge: the caller hears that, and may ask again */
        commands_problem(&w, 503, "overloaded");
        err = LY_OK;
    }

    ly_jw_object_end(&w);
    *answer = ly_buf_view(&b);

    return err == LY_OK ? ly_jw_done(&w) : err;
}


/* a command that the database cannot take must not keep the others waiting */
static ly_err_t
commands_refused(lane_t *lane, ly_str_t *params, db_rows_t *done)
{
    lane->stats->failures++;
    lane_fault(lane, "command cannot be settled");
    db_rollback(lane->db);
    db_begin(lane->db);

    params[2] = ly_str("{\"status\":500,\"code\":\"internal\"}");

    return db_call_commit(lane->db, lane->arena, &call_settle, params, done);
}


static ly_err_t
commands_turn(lane_t *lane, int64_t *wait_ms)
{
    int64_t     began;
    ly_err_t    err;
    ly_str_t    params[3];
    db_rows_t   rows, done;

    began = clock_mono_us();
    *wait_ms = lane->conf->poll_ms;

    db_begin(lane->db);

    err = db_call(lane->db, lane->arena, &call_claim, &lane->id_text, &rows);

    if (err == LY_OK && rows.rows == 0) {
        return db_commit(lane->db);
    }

    if (err == LY_OK) {
        params[0] = db_text(&rows, 0, 0);
        params[1] = db_text(&rows, 0, 1);

        err = commands_answer(lane, db_text(&rows, 0, 2),
                              db_text(&rows, 0, 3), &params[2]);
    }

    if (err == LY_OK) {
        err = db_call_commit(lane->db, lane->arena, &call_settle, params,
                             &done);

        if (err == LY_DENIED) {
            err = commands_refused(lane, params, &done);
        }
    }

    if (err != LY_OK) {
        return err;
    }

    lane->stats->turns++;
    lane->stats->items++;
    lane_hint(lane);
    *wait_ms = 0;

    log_line(LY_LOG_INFO, "command settled",
             ly_log_str("tenant", params[0]),
             ly_log_str("command", params[1]),
             ly_log_str("kind", db_text(&rows, 0, 2)),
             ly_log_int("status", db_int(&done, 0, 0)),
             ly_log_int("us", clock_mono_us() - began));

    return LY_OK;
}


const lane_kind_t  lane_commands = {
    .name = "commands",
    .slots = offsetof(config_t, commands_slots),
    .turn = commands_turn
};
