/* the canonical form is a fixed point */

#include "fuzz.h"
#include "ly_canon.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ly_buf_t           b, again;
    ly_arena_t        *a;
    ly_json_node_t    *root;
    ly_json_limits_t   limits;

    a = ly_arena_create(16 << 20, NULL);
    limits = ly_json_limits_default;
    limits.refuse_nul = 0;

    if (ly_json_parse(a, ly_str_of(data, size), &limits, &root, NULL)
        == LY_OK)
    {
        ly_buf_init_arena(&b, a, 8 << 20);
        ly_buf_init_arena(&again, a, 8 << 20);

        if (ly_canon_print(root, a, &b) == LY_OK) {
            limits.max_bytes = 8 << 20;
            must(ly_json_parse(a, ly_buf_view(&b), &limits, &root, NULL)
                 == LY_OK);
            must(ly_canon_print(root, a, &again) == LY_OK);
            must(ly_str_eq(ly_buf_view(&b), ly_buf_view(&again)));
        }
    }

    ly_arena_destroy(a);

    return 0;
}
