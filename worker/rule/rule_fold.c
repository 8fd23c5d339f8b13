/*
 * Constants: what reads neither a fact nor an element is computed once, by
 * the machine that would compute it later, so that nothing changes.
 */

#include "rule_int.h"
#include "../../common/ly_banned.h"


static bool
rule_fold_run(rule_ctx_t *x, rule_ast_t *t, rule_val_t *out)
{
    ly_err_t         err;
    rule_vm_t        vm;
    const char      *code;
    rule_program_t  *p;

    err = rule_emit_tree(x, t, &p);

    if (err == LY_OK) {
        err = rule_vm_init(&vm, x->arena, p, NULL, RULE_STEPS, false, NULL);
    }

    if (err != LY_OK) {
        x->report.nomem = true;
        return false;
    }

    code = rule_vm_run(&vm, 0, NULL, out);

    if (code == NULL) {
        return out->kind != RULE_K_MISSING;
    }

    if (code[0] == 'm') {
        x->report.nomem = true;
        return false;
    }

    rule_fault_at(&x->report, t->json, "const.error",
                  "a constant part that has a value", ly_str_c(code));

    return false;
}


void
rule_fold(rule_ctx_t *x, rule_ast_t **at)
{
    uint32_t     i;
    rule_ast_t  *t, *lit;
    rule_val_t   v;

    t = *at;

    if (t->op == RULE_OP_LIT || t->op == RULE_OP_LIST || t->op == RULE_OP_VAR
        || x->report.nomem)
    {
        return;
    }

    if (t->reads != 0 || t->type == RULE_T_LIST || t->type == RULE_T_SLIST) {
        for (i = 0; i < t->n; i++) {
            rule_fold(x, &t->arg[i]);
        }

        return;
    }

    if (!rule_fold_run(x, t, &v) || (x->flags & RULE_NO_FOLD) != 0) {
        return;
    }

    lit = ly_arena_zalloc(x->arena, sizeof(*lit));
    if (lit == NULL) {
        x->report.nomem = true;
        return;
    }

    lit->type = t->type;
    lit->fact = t->fact;
    lit->json = t->json;
    lit->value = v;
    *at = lit;
}
