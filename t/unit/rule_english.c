/* Rules in plain English: t/vectors/rules/english.json, word by word. */

#include "rule_lib.h"


int
main(void)
{
    ly_err_t               err;
    ly_buf_t               b;
    ly_str_t               text, json, want;
    ly_arena_t            *arena;
    rule_faults_t          f;
    ly_json_node_t        *root;
    rule_catalogue_t      *cat;
    const ly_json_node_t  *n;

    arena = ly_arena_create((size_t) 64 << 20, NULL);

    if (arena == NULL || rule_catalogue_default(arena, &cat) != LY_OK
        || !vec_file(arena, "t/vectors/rules/english.json", &text))
    {
        return 1;
    }

    root = vec_parse(arena, text);
    ok(root != NULL && root->count > 20, "the texts are there");

    for (n = root == NULL ? NULL : root->first; n != NULL; n = n->next) {
        json = rl_text(arena, ly_json_member(n, ly_str("rule")));
        want = ly_json_member(n, ly_str("text"))->text;
        ly_buf_init_arena(&b, arena, 1 << 18);

        if (rule_english(arena, json, cat, &b, &f) != LY_OK) {
            ok(false, "%.*s", (int) json.len, (const char *) json.data);
            continue;
        }

        is_str(ly_buf_view(&b), want, "in English");

        /* a buffer without room says so */
        ly_buf_init_arena(&b, arena, 64);
        err = rule_english(arena, json, cat, &b, &f);
        is_int(err, LY_LIMIT, "in too small a buffer");
    }

    ly_buf_init_arena(&b, arena, 1 << 18);
    is_int(rule_english(arena, ly_str("{}"), cat, &b, &f), LY_PARSE,
           "not of what is no rule");
    ly_arena_destroy(arena);

    return tap_done();
}
