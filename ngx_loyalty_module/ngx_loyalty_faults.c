/* What is wrong with a request: each fault by its place. */

#include "ngx_loyalty_schema.h"


static void ngx_loyalty_fault_add(ngx_loyalty_faults_t *faults,
    ly_str_t place, const char *code, ly_str_t detail, ngx_uint_t parameter);


void
ngx_loyalty_fault_node(ngx_loyalty_faults_t *faults,
    const ly_json_node_t *node, ly_str_t name, const char *code,
    ly_str_t detail)
{
    size_t    skip;
    ly_buf_t  b;
    ly_str_t  place;

    if (faults->n >= NGX_LOYALTY_FAULTS_MAX) {
        faults->n++;
        return;
    }

    ly_buf_init_arena(&b, faults->arena, 65536);

    skip = 0;

    if (faults->base) {
        ly_json_pointer_print(faults->base, &b);
        skip = ly_buf_view(&b).len;
        ly_buf_reset(&b);
    }

    ly_json_pointer_print(node ? node : faults->base, &b);

    if (name.len) {
        ly_json_pointer_token(&b, name);
    }

    place = ly_buf_view(&b);

    if (ly_buf_err(&b) != LY_OK || place.len < skip) {
        faults->nomem = 1;
        return;
    }

    place.data += skip;
    place.len -= skip;

    ngx_loyalty_fault_add(faults, place, code, detail, 0);
}


void
ngx_loyalty_fault_parameter(ngx_loyalty_faults_t *faults, ly_str_t name,
    const char *code, ly_str_t detail)
{
    ly_str_t  place;

    if (ly_arena_str(faults->arena, name, &place) != LY_OK) {
        faults->nomem = 1;
        return;
    }

    ngx_loyalty_fault_add(faults, place, code, detail, 1);
}


static void
ngx_loyalty_fault_add(ngx_loyalty_faults_t *faults, ly_str_t place,
    const char *code, ly_str_t detail, ngx_uint_t parameter)
{
    ngx_loyalty_fault_t  *fault;

    if (faults->n >= NGX_LOYALTY_FAULTS_MAX) {
        faults->n++;
        return;
    }

    if (faults->elts == NULL) {
        faults->elts = ly_arena_array(faults->arena, NGX_LOYALTY_FAULTS_MAX,
                                      sizeof(ngx_loyalty_fault_t));
        if (faults->elts == NULL) {
            faults->nomem = 1;
            return;
        }
    }

    fault = &faults->elts[faults->n];

    fault->place = place;
    fault->code = code;
    fault->parameter = parameter ? 1 : 0;

    if (ly_arena_str(faults->arena, detail, &fault->detail) != LY_OK) {
        faults->nomem = 1;
        return;
    }

    faults->n++;
}


void
ngx_loyalty_fault_bound(ngx_loyalty_faults_t *faults,
    const ly_json_node_t *node, const char *code, const char *text,
    int64_t bound)
{
    u_char    mem[128];
    ly_buf_t  b;

    ly_buf_init_fixed(&b, mem, sizeof(mem));
    ly_buf_cstr(&b, text);
    ly_buf_int(&b, bound);
    ly_buf_byte(&b, '.');

    ngx_loyalty_fault_node(faults, node, ly_str(""), code, ly_buf_view(&b));
}


const char *
ngx_loyalty_faults_code(const ngx_loyalty_faults_t *faults)
{
    ngx_uint_t  i;

    if (faults->n == 0 || faults->elts == NULL) {
        return "value.invalid";
    }

    for (i = 1; i < ngx_min(faults->n, NGX_LOYALTY_FAULTS_MAX); i++) {
        if (ngx_strcmp(faults->elts[i].code, faults->elts[0].code) != 0) {
            return "value.invalid";
        }
    }

    return faults->elts[0].code;
}


void
ngx_loyalty_faults_write(const ngx_loyalty_faults_t *faults, ly_jw_t *w)
{
    ngx_uint_t                  i;
    const ngx_loyalty_fault_t  *fault;

    ly_jw_array(w);

    for (i = 0; i < ngx_min(faults->n, NGX_LOYALTY_FAULTS_MAX); i++) {
        fault = &faults->elts[i];

        ly_jw_object(w);

        if (fault->parameter) {
            ly_jw_k(w, "parameter");
            ly_jw_text(w, fault->place);

        } else {
            ly_jw_k(w, "pointer");
            ly_jw_text(w, fault->place);
        }

        ly_jw_kcstr(w, "code", fault->code);
        ly_jw_k(w, "detail");
        ly_jw_text(w, fault->detail);
        ly_jw_object_end(w);
    }

    ly_jw_array_end(w);
}
