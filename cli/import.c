/*
 * events import: JSON lines through the public API.
 *
 * Members are spread over lanes by a hash of how the event names them; a lane
 * has one call in flight, so one member's events are accepted in the file's
 * order whatever the number of lanes.  The state file says up to which byte
 * everything is settled; what lies behind may be sent twice and is answered as
 * a duplicate, for the natural key of an event holds for ever.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"
#include "commands.h"
#include "import.h"
#include "ly_jw.h"
#include "ly_banned.h"


#define LANES_MAX      16
#define BODY_MAX       (960 * 1024)         /* the API takes 1 MiB */
#define LINE_MAX       (BODY_MAX - 64)
#define QUEUE_BYTES    (4 * BODY_MAX)       /* of one lane */
#define SAVE_US        1000000
#define POLL_MS        200
#define RETRY_US       200000               /* first pause; doubles */
#define RETRY_MAX_US   10000000

/* one line of the file on its way */
typedef struct item_s  item_t;

struct item_s {
    item_t         *next;
    int64_t         line;           /* from 1 */
    int64_t         offset;         /* of its first byte */
    size_t          len;
    unsigned char   data[];
};

typedef struct {
    item_t    *first;               /* sent ones lead */
    item_t    *last;
    size_t     bytes;
    unsigned   count;
    unsigned   sent;                /* items of the call in flight, or 0 */
    unsigned   limit;               /* items of the next call */
    int64_t    due;                 /* cli_clock() before which it rests */
    int64_t    pause;               /* the next rest */
    ly_buf_t   body;
} lane_t;

typedef struct {
    cli_t            *c;
    api_t            *api;
    api_many_t       *many;
    FILE             *in;
    char             *line;         /* getline's */
    size_t            room;
    bool              eof;
    import_state_t    state;
    import_bar_t      bar;
    FILE             *rejects;
    lane_t            lane[LANES_MAX];
    unsigned          lanes;
    unsigned          batch;
    int64_t           read;         /* bytes */
    int64_t           give_up;      /* us without progress */
    int64_t           moved;        /* cli_clock() of the last progress */
    int64_t           saved;
    int               code;         /* why it stops early, or CLI_OK */
    ly_arena_t       *scratch;
} import_t;


static int import_open(import_t *im);
static int import_options(import_t *im);
static int import_resume(import_t *im);
static void import_close(import_t *im);
static int run(import_t *im);
static bool refill(import_t *im);
static int take_line(import_t *im, size_t len);
static int check_line(import_t *im, ly_str_t s, unsigned *lane);
static uint64_t hash_member(ly_str_t s);
static int start(import_t *im, unsigned n);
static void answered(import_t *im, unsigned n);
static void again(import_t *im, lane_t *l, const api_answer_t *a);
static void settle(import_t *im, lane_t *l, const api_answer_t *a);
static void settle_item(import_t *im, const item_t *it,
    const ly_json_node_t *outcome);
static void pop(import_t *im, lane_t *l, unsigned n);
static void reject(import_t *im, int64_t line, ly_str_t event, int64_t status,
    const ly_json_node_t *problem, const char *why);
static int64_t settled(import_t *im);
static int save(import_t *im, bool complete);
static int finish(import_t *im, int code);


int
events_import_cmd(cli_t *c)
{
    int        code;
    import_t  *im;

    im = ly_arena_zalloc(c->arena, sizeof(import_t));
    if (im == NULL) {
        return cli_nomem(c);
    }

    im->c = c;
    code = import_open(im);

    if (code == CLI_OK && im->state.complete) {
        cli_note(c, "%s is imported already: %lld events", c->argv[0],
                 (long long) (im->state.accepted + im->state.duplicates));

    } else if (code == CLI_OK) {
        cli_catch_signals();
        code = finish(im, run(im));
    }

    import_close(im);

    return code;
}


static int
import_open(import_t *im)
{
    int          code;
    const char  *path;

    code = import_options(im);
    if (code != CLI_OK) {
        return code;
    }

    path = im->c->argv[0];
    im->in = (strcmp(path, "-") == 0) ? stdin : fopen(path, "re");

    if (im->in == NULL) {
        return cli_fail(im->c, CLI_FAILED, "%s: %s", path, strerror(errno));
    }

    code = import_resume(im);
    if (code != CLI_OK || im->state.complete) {
        return code;
    }

    im->scratch = ly_arena_create(64 * 1024 * 1024, NULL);
    im->api = api_open(im->c, &code);

    if (im->api == NULL) {
        return code;
    }

    im->many = api_many(im->api, im->lanes, "/v1/events/batch");

    return (im->many == NULL || im->scratch == NULL) ? cli_nomem(im->c)
                                                     : CLI_OK;
}


static int
import_options(import_t *im)
{
    int       code;
    int64_t   batch, lanes, seconds;
    unsigned  i;

    batch = 500;
    lanes = 4;
    seconds = 300;

    code = cli_opt_int(im->c, "batch", 1, 1000, &batch);

    if (code == CLI_OK) {
        code = cli_opt_int(im->c, "in-flight", 1, LANES_MAX, &lanes);
    }

    if (code == CLI_OK) {
        code = cli_opt_int(im->c, "give-up", 1, 86400, &seconds);
    }

    im->batch = (unsigned) batch;
    im->lanes = (unsigned) lanes;
    im->give_up = seconds * 1000000;

    for (i = 0; i < im->lanes; i++) {
        im->lane[i].limit = im->batch;
        im->lane[i].pause = RETRY_US;
        ly_buf_init(&im->lane[i].body, BODY_MAX + 64, NULL);
    }

    return code;
}


/* where the last run stopped, and the file of rejects cut back to there */

static int
import_resume(import_t *im)
{
    int          code;
    bool         from_start;
    const char  *rejects;

    code = import_state_open(im->c, &im->state, im->c->argv[0]);
    from_start = cli_opt(im->c, "from-start") != NULL;

    if (code != CLI_OK) {
        return code;
    }

    if (from_start) {
        import_state_reset(&im->state);
    }

    if (im->state.complete) {
        return CLI_OK;
    }

    if (im->state.offset > 0) {
        if (fseeko(im->in, (off_t) im->state.offset, SEEK_SET) != 0) {
            return cli_fail(im->c, CLI_FAILED, "%s: %s", im->c->argv[0],
                            strerror(errno));
        }

        cli_note(im->c, "resuming behind line %lld",
                 (long long) im->state.line);
    }

    im->read = im->state.offset;
    rejects = import_rejects_path(im->c);

    if (rejects == NULL) {
        return cli_nomem(im->c);
    }

    code = import_rejects_cut(im->c, rejects, im->state.line);
    if (code != CLI_OK) {
        return code;
    }

    im->rejects = fopen(rejects, "ae");

    if (im->rejects == NULL) {
        return cli_fail(im->c, CLI_FAILED, "%s: %s", rejects,
                        strerror(errno));
    }

    return CLI_OK;
}


static void
import_close(import_t *im)
{
    unsigned  i;
    item_t   *it;

    for (i = 0; i < im->lanes; i++) {
        while ((it = im->lane[i].first) != NULL) {
            im->lane[i].first = it->next;
            free(it);
        }

        ly_buf_free(&im->lane[i].body);
    }

    api_many_close(im->many);
    api_close(im->api);
    free(im->line);
    ly_arena_destroy(im->scratch);

    if (im->in != NULL && im->in != stdin) {
        (void) fclose(im->in);
    }

    if (im->rejects != NULL) {
        (void) fclose(im->rejects);
        import_rejects_drop_empty(im->c);
    }
}


static int
run(import_t *im)
{
    int       n, code;
    bool      busy, more;
    unsigned  i;

    im->moved = cli_clock();
    import_bar_start(&im->bar, im->c, im->state.size, im->read);

    for ( ;; ) {
        more = cli_signal == 0 && im->code == CLI_OK && refill(im);
        busy = false;

        for (i = 0; i < im->lanes; i++) {

            if (im->lane[i].sent == 0 && im->lane[i].count > 0
                && cli_signal == 0 && im->code == CLI_OK)
            {
                code = start(im, i);
                im->code = (im->code == CLI_OK) ? code : im->code;
            }

            busy = busy || im->lane[i].sent > 0
                   || (im->lane[i].count > 0 && cli_signal == 0
                       && im->code == CLI_OK);
        }

        if (!busy && !more) {
            return im->code;
        }

        /* one that waits, then all that are there */
        for (n = api_many_done(im->many, POLL_MS); n >= 0;
             n = api_many_done(im->many, 0))
        {
            answered(im, (unsigned) n);
        }

        import_bar_move(&im->bar, settled(im), im->state.accepted
                        + im->state.duplicates + im->state.rejected);

        if (cli_clock() - im->saved > SAVE_US && save(im, false) != CLI_OK) {
            return CLI_FAILED;
        }

        if (cli_clock() - im->moved > im->give_up && im->code == CLI_OK) {
            im->code = cli_fail(im->c, CLI_AWAY, "no progress for %lld s",
                                (long long) (im->give_up / 1000000));
        }
    }
}


/* reads until some lane has what it may hold; false at the end of the file */

static bool
refill(import_t *im)
{
    ssize_t   n;
    unsigned  i;

    for ( ;; ) {

        if (im->eof) {
            return false;
        }

        for (i = 0; i < im->lanes; i++) {
            if (im->lane[i].bytes >= QUEUE_BYTES
                || im->lane[i].count >= 4 * im->batch)
            {
                return true;
            }
        }

        n = getline(&im->line, &im->room, im->in);

        if (n == -1) {
            im->eof = true;

            if (ferror(im->in)) {
                im->code = cli_fail(im->c, CLI_FAILED, "%s: %s",
                                    im->c->argv[0], strerror(errno));
            }

            return false;
        }

        if (take_line(im, (size_t) n) != CLI_OK) {
            im->code = cli_nomem(im->c);
            return false;
        }
    }
}


static int
take_line(import_t *im, size_t len)
{
    lane_t    *l;
    item_t    *it;
    int64_t    offset;
    unsigned   lane;
    ly_str_t   s;

    offset = im->read;
    im->read += (int64_t) len;
    im->state.read_line++;

    s = ly_str_of(im->line, len);

    while (s.len > 0 && (s.data[s.len - 1] == '\n'
                         || s.data[s.len - 1] == '\r'
                         || s.data[s.len - 1] == ' '))
    {
        s.len--;
    }

    if (s.len == 0 || check_line(im, s, &lane) != 0) {
        return CLI_OK;
    }

    it = malloc(sizeof(item_t) + s.len);
    if (it == NULL) {
        return CLI_FAILED;
    }

    it->next = NULL;
    it->line = im->state.read_line;
    it->offset = offset;
    it->len = s.len;
    memcpy(it->data, s.data, s.len);

    l = &im->lane[lane];

    if (l->first == NULL) {
        l->first = it;

    } else {
        l->last->next = it;
    }

    l->last = it;
    l->bytes += s.len;
    l->count++;

    return CLI_OK;
}


/* what would spoil a whole batch is refused here, as the API would alone */

static int
check_line(import_t *im, ly_str_t s, unsigned *lane)
{
    ly_str_t          key;
    ly_json_node_t   *root;
    ly_json_fault_t   fault;

    ly_arena_reset(im->scratch);

    if (s.len > LINE_MAX) {
        reject(im, im->state.read_line, ly_str(""), 413, NULL,
               "the line is too long");
        return -1;
    }

    if (ly_json_parse(im->scratch, s, NULL, &root, &fault) != LY_OK) {
        reject(im, im->state.read_line, s, 400, NULL,
               ly_json_fault_code(fault.code));
        return -1;
    }

    /* a guest's events have no order among each other */
    if (ly_json_string(ly_json_member(root, ly_str("member")), &key) != LY_OK
        && ly_json_string(ly_json_member(root, ly_str("external_id")), &key)
        != LY_OK)
    {
        key = s;
    }

    *lane = (unsigned) (hash_member(key) % im->lanes);

    return 0;
}


/* "ext:17850" and "ext:shop:17850" name the same member (FNV-1a) */

static uint64_t
hash_member(ly_str_t s)
{
    size_t                i;
    uint64_t              h;
    const unsigned char  *colon;

    if (ly_str_starts(s, ly_str("ext:"))) {
        s = ly_str_of(s.data + 4, s.len - 4);
        colon = (s.len > 0) ? memchr(s.data, ':', s.len) : NULL;

        if (colon != NULL) {
            s = ly_str_of(colon + 1, s.len - (size_t) (colon + 1 - s.data));
        }
    }

    h = 14695981039346656037ULL;

    for (i = 0; i < s.len; i++) {
        h = (h ^ s.data[i]) * 1099511628211ULL;
    }

    return h;
}


static int
start(import_t *im, unsigned n)
{
    lane_t    *l;
    item_t    *it;
    unsigned   sent;

    l = &im->lane[n];

    if (cli_clock() < l->due) {
        return CLI_OK;
    }

    ly_buf_reset(&l->body);
    ly_buf_cstr(&l->body, "{\"events\":[");
    sent = 0;

    for (it = l->first; it != NULL && sent < l->limit; it = it->next) {

        if (l->body.len + it->len + 4 > BODY_MAX) {
            break;
        }

        if (sent > 0) {
            ly_buf_byte(&l->body, ',');
        }

        ly_buf_put(&l->body, it->data, it->len);
        sent++;
    }

    ly_buf_cstr(&l->body, "]}");

    if (ly_buf_err(&l->body) != LY_OK
        || api_many_start(im->many, n, ly_buf_view(&l->body)) != 0)
    {
        return cli_nomem(im->c);
    }

    l->sent = sent;

    return CLI_OK;
}


static void
answered(import_t *im, unsigned n)
{
    lane_t        *l;
    api_answer_t  *a;

    l = &im->lane[n];
    a = api_many_answer(im->many, n);

    if (a->status == 200) {
        l->pause = RETRY_US;
        settle(im, l, a);
        return;
    }

    if ((a->status == 0 && !a->hopeless) || a->status == 429
        || a->status >= 500)
    {
        again(im, l, a);
        return;
    }

    /* one item spoils the others: halve until it stands alone */
    if ((a->status == 400 || a->status == 413 || a->status == 422)
        && l->sent > 1)
    {
        l->limit = l->sent / 2;
        l->sent = 0;
        return;
    }

    if (a->status == 400 || a->status == 413 || a->status == 422) {
        reject(im, l->first->line, ly_str_of(l->first->data, l->first->len),
               a->status, NULL, "refused");
        l->sent = 0;
        l->limit = im->batch;
        pop(im, l, 1);
        return;
    }

    l->sent = 0;

    if (im->code == CLI_OK) {
        import_bar_clear(&im->bar);
        im->code = api_verdict(im->c, a);
    }
}


/* the same again after a rest: its natural keys make that harmless */

static void
again(import_t *im, lane_t *l, const api_answer_t *a)
{
    int64_t  rest;

    rest = l->pause;
    l->pause = (l->pause * 2 < RETRY_MAX_US) ? l->pause * 2 : RETRY_MAX_US;

    if (a->retry_after >= 0 && a->retry_after < 3600) {
        rest = a->retry_after * 1000000;
    }

    if (im->c->verbose > 0) {
        import_bar_clear(&im->bar);
        cli_note(im->c, "HTTP %ld %s: again in %lld ms", a->status, a->error,
                 (long long) (rest / 1000));
    }

    l->due = cli_clock() + rest;
    l->sent = 0;
}


static void
settle(import_t *im, lane_t *l, const api_answer_t *a)
{
    item_t                *it;
    int64_t                status;
    unsigned               i, done;
    ly_json_node_t        *root;
    ly_json_limits_t       limits;
    const ly_json_node_t  *data, *outcome;

    limits = ly_json_limits_default;
    limits.max_bytes = API_ANSWER_MAX;

    ly_arena_reset(im->scratch);

    if (ly_json_parse(im->scratch, ly_buf_view(&a->body), &limits, &root, NULL)
        != LY_OK
        || (data = ly_json_member(root, ly_str("data"))) == NULL
        || data->count != l->sent)
    {
        im->code = cli_fail(im->c, CLI_FAILED, "the answer to a batch cannot "
                            "be read");
        l->sent = 0;
        return;
    }

    outcome = data->first;
    it = l->first;
    done = 0;

    for (i = 0; i < l->sent; i++, outcome = outcome->next, it = it->next) {

        if (ly_json_int64(ly_json_member(outcome, ly_str("status")), &status)
            != LY_OK || status == 429 || status >= 500)
        {
            /* this one and those behind it come again, in order */
            l->due = cli_clock() + l->pause;
            break;
        }

        settle_item(im, it, outcome);
        done++;
    }

    l->sent = 0;
    l->limit = im->batch;
    pop(im, l, done);

    if (done > 0) {
        im->moved = cli_clock();
    }
}


static void
settle_item(import_t *im, const item_t *it, const ly_json_node_t *outcome)
{
    bool     duplicate;
    int64_t  status;

    duplicate = false;
    status = 0;

    if (ly_json_int64(ly_json_member(outcome, ly_str("status")), &status)
        != LY_OK || status < 200 || status > 299)
    {
        reject(im, it->line, ly_str_of(it->data, it->len), status,
               ly_json_member(outcome, ly_str("problem")), NULL);
        return;
    }

    if (ly_json_bool(ly_json_member(outcome, ly_str("duplicate")), &duplicate)
        == LY_OK && duplicate)
    {
        im->state.duplicates++;

    } else {
        im->state.accepted++;
    }
}


static void
pop(import_t *im, lane_t *l, unsigned n)
{
    item_t  *it;

    for ( ; n > 0; n--) {
        it = l->first;
        l->first = it->next;
        l->bytes -= it->len;
        l->count--;
        free(it);
    }

    im->moved = cli_clock();
}


static void
reject(import_t *im, int64_t line, ly_str_t event, int64_t status,
    const ly_json_node_t *problem, const char *why)
{
    ly_jw_t   w;
    ly_buf_t  b;

    im->state.rejected++;

    ly_buf_init(&b, 2 * API_ANSWER_MAX, NULL);
    ly_jw_init(&w, &b);
    ly_jw_object(&w);
    ly_jw_kint(&w, "line", line);
    ly_jw_kint(&w, "status", status);
    ly_jw_k(&w, "problem");

    if (problem != NULL) {
        ly_jw_node(&w, problem);

    } else {
        ly_jw_cstr(&w, why);
    }

    /* as text: it may be no JSON at all */
    ly_jw_k(&w, "event");
    ly_jw_text(&w, event);
    ly_jw_object_end(&w);

    if (ly_jw_done(&w) == LY_OK) {
        ly_buf_byte(&b, '\n');
        (void) fwrite(b.data, 1, b.len, im->rejects);
    }

    ly_buf_free(&b);
}


/* all bytes before are settled: the oldest line any lane still holds */

static int64_t
settled(import_t *im)
{
    int64_t   low;
    unsigned  i;

    low = im->read;
    im->state.line = im->state.read_line;

    for (i = 0; i < im->lanes; i++) {
        if (im->lane[i].first != NULL && im->lane[i].first->offset < low) {
            low = im->lane[i].first->offset;
            im->state.line = im->lane[i].first->line - 1;
        }
    }

    return low;
}


static int
save(import_t *im, bool complete)
{
    im->saved = cli_clock();
    im->state.offset = settled(im);
    im->state.complete = complete;

    if (fflush(im->rejects) != 0) {
        return cli_fail(im->c, CLI_FAILED, "rejects: %s", strerror(errno));
    }

    return import_state_save(im->c, &im->state);
}


static int
finish(import_t *im, int code)
{
    bool             complete;
    int64_t          n;
    import_state_t  *s;

    s = &im->state;
    complete = code == CLI_OK && cli_signal == 0 && im->eof;
    n = s->accepted + s->duplicates;

    if (code != CLI_FAILED && save(im, complete) != CLI_OK) {
        code = CLI_FAILED;
    }

    import_bar_end(&im->bar);
    cli_note(im->c, "%lld events: %lld new, %lld known already, %lld refused",
             (long long) (n + s->rejected), (long long) s->accepted,
             (long long) s->duplicates, (long long) s->rejected);

    if (!complete && s->path != NULL) {
        cli_hint(im->c, "the same command goes on behind line %lld",
                 (long long) s->line);
    }

    if (cli_signal != 0) {
        return (cli_signal == SIGTERM) ? CLI_SIGTERM : CLI_SIGINT;
    }

    if (code == CLI_OK && s->rejected > 0) {
        cli_note(im->c, "refused: %s", import_rejects_path(im->c));
        return CLI_REJECTED;
    }

    return code;
}
