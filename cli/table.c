/* Rows of text in aligned columns. */

#include <string.h>

#include "cli.h"
#include "ly_banned.h"


struct cli_table_s {
    cli_t              *c;
    unsigned            n;
    const char *const  *heads;
    ly_str_t           *cells;
    size_t              count;
    size_t              room;
    bool                failed;
};


static size_t width(ly_str_t s);
static bool numeric(ly_str_t s);
static void row(ly_buf_t *b, const cli_table_t *t, const ly_str_t *cells,
    const size_t *widths, const bool *right);


cli_table_t *
cli_table(cli_t *c, unsigned n, const char *const *heads)
{
    cli_table_t  *t;

    t = ly_arena_zalloc(c->arena, sizeof(cli_table_t));
    if (t == NULL) {
        return NULL;
    }

    t->c = c;
    t->n = n;
    t->heads = heads;

    return t;
}


void
cli_cell(cli_table_t *t, ly_str_t s)
{
    size_t     room;
    ly_str_t  *cells;

    if (t->count == t->room) {
        room = (t->room == 0) ? 64 : t->room * 2;

        cells = ly_arena_array(t->c->arena, room, sizeof(ly_str_t));
        if (cells == NULL) {
            t->failed = true;
            return;
        }

        if (t->count > 0) {
            memcpy(cells, t->cells, t->count * sizeof(ly_str_t));
        }

        t->cells = cells;
        t->room = room;
    }

    if (ly_arena_str(t->c->arena, s, &t->cells[t->count]) != LY_OK) {
        t->failed = true;
        return;
    }

    t->count++;
}


void
cli_cell_c(cli_table_t *t, const char *s)
{
    cli_cell(t, ly_str_c(s));
}


void
cli_cell_int(cli_table_t *t, int64_t v)
{
    unsigned char  text[LY_INT64_TEXT];

    cli_cell(t, ly_str_of(text, ly_int64_print(v, text)));
}


int
cli_table_print(cli_table_t *t)
{
    bool      *right;
    size_t     i, w, *widths;
    unsigned   k;
    ly_str_t  *heads;
    ly_buf_t   b;

    widths = ly_arena_array(t->c->arena, t->n, sizeof(size_t));
    right = ly_arena_array(t->c->arena, t->n, sizeof(bool));
    heads = ly_arena_array(t->c->arena, t->n, sizeof(ly_str_t));

    if (t->failed || widths == NULL || right == NULL || heads == NULL) {
        return cli_nomem(t->c);
    }

    for (k = 0; k < t->n; k++) {
        heads[k] = ly_str_c(t->heads[k]);
        widths[k] = width(heads[k]);
        right[k] = t->count > 0;
    }

    for (i = 0; i < t->count; i++) {
        k = (unsigned) (i % t->n);
        w = width(t->cells[i]);
        widths[k] = (w > widths[k]) ? w : widths[k];
        right[k] = right[k] && numeric(t->cells[i]);
    }

    ly_buf_init_arena(&b, t->c->arena, CLI_MEMORY);
    row(&b, t, heads, widths, right);

    for (i = 0; i + t->n <= t->count; i += t->n) {
        row(&b, t, &t->cells[i], widths, right);
    }

    return cli_write_buf(t->c, &b);
}


static void
row(ly_buf_t *b, const cli_table_t *t, const ly_str_t *cells,
    const size_t *widths, const bool *right)
{
    size_t    pad;
    unsigned  k;

    for (k = 0; k < t->n; k++) {
        pad = widths[k] - width(cells[k]);

        if (k > 0) {
            ly_buf_cstr(b, "  ");
        }

        if (!right[k]) {
            ly_buf_str(b, cells[k]);
        }

        /* nothing behind the last column */
        for ( ; pad > 0 && (right[k] || k + 1 < t->n); pad--) {
            ly_buf_byte(b, ' ');
        }

        if (right[k]) {
            ly_buf_str(b, cells[k]);
        }
    }

    ly_buf_byte(b, '\n');
}


/* columns of a terminal; wide characters are not looked for */

static size_t
width(ly_str_t s)
{
    return ly_utf8_valid(s) ? ly_utf8_count(s) : s.len;
}


static bool
numeric(ly_str_t s)
{
    int64_t  v;

    return s.len == 0 || ly_int64_parse(s, &v) == LY_OK;
}
