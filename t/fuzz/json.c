/* whole and in pieces give the same; what is read is written and read again */

#include "fuzz.h"
#include "ly_json.h"
#include "ly_jw.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             piece, at, n;
    ly_jw_t            w;
    ly_buf_t           b, again;
    ly_err_t           rc, other;
    ly_arena_t        *a;
    ly_json_node_t    *root, *twin;
    ly_json_fault_t    fault;
    ly_json_limits_t   limits;
    ly_json_parser_t  *p;

    if (size < 1) {
        return 0;
    }

    piece = (size_t) (data[0] & 31) + 1;
    limits = ly_json_limits_default;
    limits.borrow = data[0] >> 7;
    limits.refuse_nul = (data[0] >> 6) & 1;
    limits.max_string = (data[0] >> 5) & 1 ? 16 : 65536;
    data++;
    size--;

    a = ly_arena_create(8 << 20, NULL);
    rc = ly_json_parse(a, ly_str_of(data, size), &limits, &root, &fault);
    must((rc == LY_OK) == (fault.code == LY_JSON_FAULT_NONE));
    must(fault.pointer_len <= LY_JSON_FAULT_POINTER);

    must(ly_json_parser_init(&p, a, &limits, size) == LY_OK);
    limits.borrow = 0;
    other = LY_OK;

    for (at = 0; at < size && other == LY_OK; at += n) {
        n = size - at < piece ? size - at : piece;
        other = ly_json_parser_feed(p, data + at, n);
    }

    other = ly_json_parser_finish(p, &twin);

    /* which of two faults is met first may depend on the pieces */
    must((other == LY_OK) == (rc == LY_OK));

    if (rc == LY_OK) {
        ly_buf_init_arena(&b, a, 4 << 20);
        ly_jw_init(&w, &b);
        ly_jw_node(&w, root);
        must(ly_jw_done(&w) == LY_OK);

        ly_buf_init_arena(&again, a, 4 << 20);
        ly_jw_init(&w, &again);
        ly_jw_node(&w, twin);
        must(ly_str_eq(ly_buf_view(&b), ly_buf_view(&again)));

        limits.max_bytes = 4 << 20;
        must(ly_json_parse(a, ly_buf_view(&b), &limits, &twin, NULL)
             == LY_OK);
        ly_buf_reset(&again);
        ly_jw_init(&w, &again);
        ly_jw_node(&w, twin);
        must(ly_str_eq(ly_buf_view(&b), ly_buf_view(&again)));
    }

    ly_arena_destroy(a);

    return 0;
}
