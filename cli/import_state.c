/* The import's memory of where it stopped, its rejects, its progress. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "import.h"
#include "ly_jw.h"
#include "ly_banned.h"


#define HEAD_BYTES  65536
#define DRAW_US     100000
#define LINE_US     10000000
#define BAR_WIDTH   30


static int identify(cli_t *c, import_state_t *s, const char *input);
static int parse(cli_t *c, import_state_t *s, ly_str_t text,
    const char *input);
static const char *beside(cli_t *c, const char *end);
static void draw(import_bar_t *b, int64_t done);


int
import_state_open(cli_t *c, import_state_t *s, const char *input)
{
    int          code;
    ly_str_t     text;
    struct stat  st;

    memset(s, 0, sizeof(*s));

    s->path = cli_opt(c, "state");

    if (strcmp(input, "-") == 0) {
        /* a stream cannot be taken up again */
        s->path = NULL;
        return CLI_OK;
    }

    if (s->path == NULL) {
        s->path = beside(c, ".state");
    }

    if (s->path == NULL) {
        return cli_nomem(c);
    }

    code = identify(c, s, input);
    if (code != CLI_OK) {
        return code;
    }

    if (stat(s->path, &st) != 0) {
        return CLI_OK;
    }

    code = cli_read_file(c, s->path, 65536, &text);

    return (code == CLI_OK) ? parse(c, s, text, input) : code;
}


static int
identify(cli_t *c, import_state_t *s, const char *input)
{
    FILE           *f;
    size_t          i, n;
    uint64_t        h;
    struct stat     st;
    unsigned char  *head;

    head = ly_arena_bytes(c->arena, HEAD_BYTES);
    f = fopen(input, "re");

    if (f == NULL || fstat(fileno(f), &st) != 0 || head == NULL) {
        if (f != NULL) {
            (void) fclose(f);
        }

        return cli_fail(c, CLI_FAILED, "%s: %s", input, strerror(errno));
    }

    s->size = (int64_t) st.st_size;
    n = fread(head, 1, HEAD_BYTES, f);
    (void) fclose(f);

    h = 14695981039346656037ULL;

    for (i = 0; i < n; i++) {
        h = (h ^ head[i]) * 1099511628211ULL;
    }

    s->head = (int64_t) (h >> 1);

    return CLI_OK;
}


static int
parse(cli_t *c, import_state_t *s, ly_str_t text, const char *input)
{
    size_t           i;
    int64_t          size, head;
    ly_json_node_t  *root;

    const struct {
        const char  *name;
        int64_t     *to;
    } field[] = {
        { "size", &size },
        { "head", &head },
        { "offset", &s->offset },
        { "line", &s->line },
        { "accepted", &s->accepted },
        { "duplicates", &s->duplicates },
        { "rejected", &s->rejected }
    };

    size = 0;
    head = 0;

    if (ly_json_parse(c->arena, text, NULL, &root, NULL) != LY_OK
        || ly_json_bool(ly_json_member(root, ly_str("complete")), &s->complete)
        != LY_OK)
    {
        goto broken;
    }

    for (i = 0; i < ly_countof(field); i++) {
        if (ly_json_int64(ly_json_member(root, ly_str_c(field[i].name)),
                          field[i].to) != LY_OK)
        {
            goto broken;
        }
    }

    if (head != s->head || s->size < s->offset
        || (s->complete && size != s->size))
    {
        (void) cli_fail(c, CLI_CONFLICT, "%s is not of this %s", s->path,
                        input);
        cli_hint(c, "remove it, or name another with --state");
        return CLI_CONFLICT;
    }

    s->read_line = s->line;

    return CLI_OK;

broken:

    return cli_fail(c, CLI_FAILED, "%s is no state of an import", s->path);
}


int
import_state_save(const cli_t *c, const import_state_t *s)
{
    ly_jw_t        w;
    ly_buf_t       b;
    unsigned char  mem[1024];

    if (s->path == NULL) {
        return CLI_OK;
    }

    ly_buf_init_fixed(&b, mem, sizeof(mem));
    ly_jw_init(&w, &b);
    ly_jw_object(&w);
    ly_jw_kint(&w, "size", s->size);
    ly_jw_kint(&w, "head", s->head);
    ly_jw_kint(&w, "offset", s->offset);
    ly_jw_kint(&w, "line", s->line);
    ly_jw_kint(&w, "accepted", s->accepted);
    ly_jw_kint(&w, "duplicates", s->duplicates);
    ly_jw_kint(&w, "rejected", s->rejected);
    ly_jw_kbool(&w, "complete", s->complete);
    ly_jw_object_end(&w);

    if (ly_jw_done(&w) != LY_OK) {
        return cli_nomem(c);
    }

    ly_buf_byte(&b, '\n');

    return cli_replace_file(c, s->path, 0644, ly_buf_view(&b));
}


void
import_state_reset(import_state_t *s)
{
    s->offset = 0;
    s->line = 0;
    s->read_line = 0;
    s->accepted = 0;
    s->duplicates = 0;
    s->rejected = 0;
    s->complete = false;
}


const char *
import_rejects_path(cli_t *c)
{
    const char  *path;

    path = cli_opt(c, "rejects");

    return (path != NULL) ? path : beside(c, ".rejects");
}


static const char *
beside(cli_t *c, const char *end)
{
    ly_buf_t     b;
    const char  *input;

    input = (strcmp(c->argv[0], "-") == 0) ? "stdin" : c->argv[0];

    ly_buf_init_arena(&b, c->arena, 8192);
    ly_buf_cstr(&b, input);
    ly_buf_cstr(&b, end);
    ly_buf_byte(&b, '\0');

    return ly_buf_err(&b) == LY_OK ? (char *) b.data : NULL;
}


int
import_rejects_cut(cli_t *c, const char *path, int64_t line)
{
    FILE            *f;
    char            *text;
    size_t           room;
    int64_t          n;
    ssize_t          len;
    ly_buf_t         keep;
    ly_arena_t      *a;
    ly_json_node_t  *root;

    f = fopen(path, "re");
    if (f == NULL) {
        return (errno == ENOENT) ? CLI_OK
               : cli_fail(c, CLI_FAILED, "%s: %s", path, strerror(errno));
    }

    a = ly_arena_create(64 * 1024 * 1024, NULL);
    ly_buf_init(&keep, CLI_MEMORY / 2, NULL);
    text = NULL;
    room = 0;

    while (a != NULL && (len = getline(&text, &room, f)) != -1) {
        ly_arena_reset(a);

        if (ly_json_parse(a, ly_str_of(text, (size_t) len), NULL, &root, NULL)
            == LY_OK
            && ly_json_int64(ly_json_member(root, ly_str("line")), &n) == LY_OK
            && n <= line)
        {
            ly_buf_put(&keep, text, (size_t) len);
        }
    }

    free(text);
    (void) fclose(f);
    ly_arena_destroy(a);

    if (a == NULL || ly_buf_err(&keep) != LY_OK) {
        ly_buf_free(&keep);
        return cli_nomem(c);
    }

    n = cli_replace_file(c, path, 0644, ly_buf_view(&keep));
    ly_buf_free(&keep);

    return (int) n;
}


void
import_rejects_drop_empty(cli_t *c)
{
    struct stat  st;
    const char  *path;

    path = import_rejects_path(c);

    if (path != NULL && stat(path, &st) == 0 && st.st_size == 0) {
        (void) unlink(path);
    }
}


void
import_bar_start(import_bar_t *b, cli_t *c, int64_t total, int64_t done)
{
    const char  *term;

    term = getenv("TERM");

    b->c = c;
    b->live = isatty(STDERR_FILENO) == 1
              && (term == NULL || strcmp(term, "dumb") != 0);
    b->total = total;
    b->begun = cli_clock();
    b->first = done;
    b->drawn = b->begun;
    b->before = -1;
}


void
import_bar_move(import_bar_t *b, int64_t done, int64_t events)
{
    int64_t  now;

    now = cli_clock();
    b->events = events;

    if (b->before < 0) {
        b->before = events;
    }

    if (!b->c->quiet && now - b->drawn >= (b->live ? DRAW_US : LINE_US)) {
        b->drawn = now;
        draw(b, done);
    }
}


static void
draw(import_bar_t *b, int64_t done)
{
    int64_t  us, rate, percent, eta, i;
    char     bar[BAR_WIDTH + 1];

    us = cli_clock() - b->begun;
    us = (us > 0) ? us : 1;
    rate = (b->events - b->before) * 1000000 / us;
    percent = (b->total > 0) ? done * 100 / b->total : 0;
    eta = (done > b->first) ? (b->total - done) * (us / 1000)
          / (done - b->first) / 1000 : 0;

    if (!b->live) {
        (void) fprintf(stderr, "%lld %%  %lld events  %lld/s  eta %lld s\n",
                       (long long) percent, (long long) b->events,
                       (long long) rate, (long long) eta);
        return;
    }

    for (i = 0; i < BAR_WIDTH; i++) {
        bar[i] = (i < percent * BAR_WIDTH / 100) ? '=' : ' ';
    }

    if (percent > 0 && percent < 100) {
        bar[percent * BAR_WIDTH / 100] = '>';
    }

    bar[BAR_WIDTH] = '\0';

    (void) fprintf(stderr, "\r[%s] %lld %%  %lld/s  eta %lld s   ", bar,
                   (long long) percent, (long long) rate, (long long) eta);
    b->shown = true;
}


void
import_bar_clear(import_bar_t *b)
{
    if (b->shown) {
        (void) fputs("\r\033[K", stderr);
        b->shown = false;
    }
}


void
import_bar_end(import_bar_t *b)
{
    import_bar_clear(b);
}
