/*
 * What react-querybuilder exports: each query of t/vectors/rules/builder.json
 * is accepted and becomes what docs/rules.md, section 5 says.
 */

#include "rule_lib.h"
#include "ly_canon.h"


int
main(void)
{
    bool                   good;
    ly_buf_t               b, again, got, want;
    ly_str_t               text, json;
    ly_arena_t            *arena;
    rule_faults_t          f;
    ly_json_node_t        *exports, *normals, *root;
    rule_catalogue_t      *cat;
    const ly_json_node_t  *e, *n, *name;

    arena = ly_arena_create((size_t) 256 << 20, NULL);

    if (arena == NULL || rule_catalogue_default(arena, &cat) != LY_OK
        || !vec_file(arena, "t/vectors/rules/builder.json", &text))
    {
        return 1;
    }

    exports = vec_parse(arena, text);

    if (!vec_file(arena, "t/vectors/rules/builder_normal.json", &text)) {
        return 1;
    }

    normals = vec_parse(arena, text);

    if (exports == NULL || normals == NULL) {
        return 1;
    }

    is_int(exports->count, normals->count, "a normal form for each export");

    for (e = exports->first, n = normals->first; e != NULL && n != NULL;
         e = e->next, n = n->next)
    {
        name = ly_json_member(e, ly_str("name"));
        json = rl_condition(arena, rl_text(arena, ly_json_member(
                                               e, ly_str("rule"))));
        ly_buf_init_arena(&b, arena, 1 << 16);
        ly_buf_init_arena(&again, arena, 1 << 16);
        ly_buf_init_arena(&got, arena, 1 << 16);
        ly_buf_init_arena(&want, arena, 1 << 16);
        good = rule_normalise(arena, json, cat, &b, &f) == LY_OK
               && ly_json_parse(arena, ly_buf_view(&b), NULL, &root, NULL)
               == LY_OK
               && ly_canon_print(ly_json_member(root, ly_str("condition")),
                                 arena, &got) == LY_OK
               && ly_canon_print(ly_json_member(n, ly_str("normal")), arena,
                                 &want) == LY_OK;
        ok(good && ly_str_eq(name->text,
                             ly_json_member(n, ly_str("name"))->text),
           "%.*s: accepted", (int) name->text.len,
           (const char *) name->text.data);
        is_str(ly_buf_view(&got), ly_buf_view(&want), "and normal");
        ok(good && rule_normalise(arena, ly_buf_view(&b), cat, &again, &f)
           == LY_OK && ly_str_eq(ly_buf_view(&b), ly_buf_view(&again)),
           "and normal once more");
    }

    ly_arena_destroy(arena);

    return tap_done();
}
