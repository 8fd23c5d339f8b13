/*
 * A body of any operation passes or has faults, which are JSON.  What passes,
 * written with its defaults, passes again and is written the same.
 *
 * Input: a byte for the operation, then the body.
 */

#include "fuzz.h"
#include "lib/nginx.h"

#include "ngx_loyalty_route.c"


static ngx_int_t
sealed(void *data, ly_str_t name, const ly_json_node_t *node, ly_jw_t *w)
{
    /* the value itself, so that it passes again */
    must(name.len > 0);
    ly_jw_node(w, node);

    return NGX_OK;
}


static ly_str_t
written(ly_arena_t *a, ly_buf_t *b, const ngx_loyalty_schema_t *schema,
    const ly_json_node_t *root, ngx_loyalty_sealer_pt sealer)
{
    ly_jw_t  w;

    ly_buf_init_arena(b, a, 16 << 20);
    ly_jw_init(&w, b);
    must(ngx_loyalty_schema_write(schema, root, &w, sealer, NULL) == NGX_OK);
    must(ly_jw_done(&w) == LY_OK);

    return ly_buf_view(b);
}


static void
faulty(ly_arena_t *a, ngx_loyalty_faults_t *faults)
{
    ly_jw_t          w;
    ly_buf_t         b;
    ly_json_node_t  *root;

    must(faults->n > 0 && !faults->nomem);
    must(ngx_loyalty_faults_code(faults)[0] != '\0');

    ly_buf_init_arena(&b, a, 16 << 20);
    ly_jw_init(&w, &b);
    ngx_loyalty_faults_write(faults, &w);
    must(ly_jw_done(&w) == LY_OK);
    must(ly_json_parse(a, ly_buf_view(&b), &ly_json_limits_default, &root,
                       NULL) == LY_OK);
    must(root->type == LY_JSON_ARRAY);
    must(root->count == (faults->n < NGX_LOYALTY_FAULTS_MAX
                         ? faults->n : NGX_LOYALTY_FAULTS_MAX));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ly_buf_t                     b, again;
    ly_str_t                     text;
    ly_arena_t                  *a;
    ly_json_node_t              *root, *twin;
    ly_json_limits_t             limits;
    ngx_uint_t                   n;
    ngx_loyalty_faults_t         faults;
    const ngx_loyalty_schema_t  *schema;

    if (size < 1) {
        return 0;
    }

    n = data[0] % ly_countof(ngx_loyalty_operations);
    schema = ngx_loyalty_operations[n]->body;

    if (schema == NULL) {
        return 0;
    }

    a = ly_arena_create(64 << 20, NULL);
    limits = ly_json_limits_default;
    limits.max_bytes = 16 << 20;

    if (ly_json_parse(a, ly_str_of(data + 1, size - 1), &limits, &root, NULL)
        != LY_OK)
    {
        ly_arena_destroy(a);
        return 0;
    }

    memset(&faults, 0, sizeof(faults));
    faults.arena = a;
    faults.base = root;

    if (ngx_loyalty_schema_check(schema, root, &faults) == NGX_OK) {
        must(faults.n == 0);

        text = written(a, &b, schema, root, sealed);
        must(ly_json_parse(a, text, &limits, &twin, NULL) == LY_OK);

        faults.base = twin;
        must(ngx_loyalty_schema_check(schema, twin, &faults) == NGX_OK);
        must(ly_str_eq(text, written(a, &again, schema, twin, sealed)));

        text = written(a, &b, schema, root, NULL);
        must(ly_json_parse(a, text, &limits, &twin, NULL) == LY_OK);

    } else {
        faulty(a, &faults);
    }

    ly_arena_destroy(a);

    return 0;
}
