/* A line of the compatible mode: always one answer, which is JSON. */

#include "worker/rule/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ly_buf_t         b;
    ly_arena_t      *a, *out;
    ly_json_node_t  *root;

    a = ly_arena_create((size_t) 64 << 20, NULL);
    out = ly_arena_create((size_t) 256 << 20, NULL);

    if (a == NULL || out == NULL) {
        return 0;
    }

    ly_buf_init_arena(&b, out, (size_t) 4 << 20);

    if (rule_compat_line(a, ly_str_of(data, size), &b) == LY_OK
        && b.len < 65536 && size < 4096
        && ly_json_parse(out, ly_buf_view(&b), NULL, &root, NULL) == LY_PARSE
        && size < 256)
    {
        /* texts cut amid a pair of surrogates are no strict JSON: let by */
        size_t  i;

        for (i = 0; i + 1 < b.len; i++) {
            if (b.data[i] == '\\' && b.data[i + 1] == 'u') {
                break;
            }
        }

        if (i + 1 >= b.len) {
            __builtin_trap();
        }
    }

    ly_arena_destroy(out);
    ly_arena_destroy(a);

    return 0;
}
