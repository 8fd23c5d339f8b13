/*
 * demo events: a shop's invoices in CSV become events in JSON lines, in order
 * of time, then invoice number as text.  A number alone is an order, C before
 * it a refund (without a reference to its order, which the file does not
 * give), A an adjustment of the shop's own books, which is skipped and
 * counted.
 */

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "ly_decimal.h"
#include "ly_jw.h"
#include "ly_time.h"
#include "ly_banned.h"


#define CSV_MAX      ((size_t) 1 << 30)
#define COLUMNS      6
#define FIELDS_MAX   32
#define OUT_BYTES    (1 << 20)

extern char  **environ;

typedef struct row_s  row_t;

struct row_s {
    row_t     *next;            /* of the same invoice, in the file's order */
    ly_str_t   sku;
    ly_str_t   price;
    int64_t    quantity;
};

typedef struct invoice_s  invoice_t;

struct invoice_s {
    invoice_t  *chain;          /* same hash */
    ly_str_t    number;
    ly_str_t    customer;       /* empty: a guest */
    int64_t     time;           /* of its earliest line, us */
    row_t      *first;
    row_t      *last;
    unsigned    rows;
};

typedef struct {
    cli_t       *c;
    ly_str_t     text;
    size_t       pos;
    int64_t      line;          /* of the record, from 1 */
    ly_str_t     field[FIELDS_MAX];
    unsigned     fields;
    unsigned     column[COLUMNS];
    invoice_t  **bucket;
    size_t       buckets;
    invoice_t  **all;
    size_t       n;
    size_t       room;
    int64_t      rows;
} csv_t;

enum { INVOICE, STOCK, QUANTITY, DATE, PRICE, CUSTOMER };

static const char *const  names[COLUMNS] = {
    "InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice",
    "CustomerID"
};


static int read_input(cli_t *c, const char *path, ly_str_t *out);
static int unpack(cli_t *c, const char *path, ly_str_t *out);
static int header(csv_t *v);
static int rows(csv_t *v);
static int record(csv_t *v);
static int quoted(csv_t *v, ly_str_t *out);
static int row(csv_t *v);
static int fields(csv_t *v, row_t *r, int64_t *time);
static int when(ly_str_t s, int64_t *us);
static invoice_t *find(csv_t *v, ly_str_t number);
static invoice_t *add(csv_t *v, ly_str_t number, uint64_t h);
static int grow(csv_t *v);
static uint64_t hash(ly_str_t s);
static int bad(csv_t *v, const char *why);
static int by_time(const void *a, const void *b);
static int write_events(csv_t *v);
static void event(const invoice_t *in, ly_jw_t *w);
static void time_text(ly_jw_t *w, int64_t us);


int
demo_events_cmd(cli_t *c)
{
    int     code;
    csv_t   v;

    memset(&v, 0, sizeof(v));
    v.c = c;

    code = read_input(c, c->argv[0], &v.text);

    if (code == CLI_OK) {
        code = grow(&v);
    }

    if (code == CLI_OK) {
        code = header(&v);
    }

    if (code == CLI_OK) {
        code = rows(&v);
    }

    if (code == CLI_OK && v.n > 0) {
        qsort(v.all, v.n, sizeof(invoice_t *), by_time);
    }

    return (code == CLI_OK) ? write_events(&v) : code;
}


static int
read_input(cli_t *c, const char *path, ly_str_t *out)
{
    size_t  len;

    len = strlen(path);

    if (len > 4 && strcmp(path + len - 4, ".zst") == 0) {
        return unpack(c, path, out);
    }

    return cli_read_file(c, path, CSV_MAX, out);
}


static int
unpack(cli_t *c, const char *path, ly_str_t *out)
{
    int                          fd[2], code, status;
    char                        *argv[6];
    pid_t                        pid;
    ssize_t                      n;
    ly_buf_t                     b;
    unsigned char               *p;
    posix_spawn_file_actions_t   actions;

    if (access(path, R_OK) != 0) {
        return cli_fail(c, CLI_FAILED, "%s: %s", path, strerror(errno));
    }

    argv[0] = cli_text(c, ly_str("zstd"));
    argv[1] = cli_text(c, ly_str("-dcq"));
    argv[2] = cli_text(c, ly_str("--"));
    argv[3] = cli_text(c, ly_str_c(path));
    argv[4] = NULL;

    if (argv[3] == NULL || pipe(fd) != 0
        || posix_spawn_file_actions_init(&actions) != 0)
    {
        return cli_nomem(c);
    }

    code = (posix_spawn_file_actions_adddup2(&actions, fd[1], STDOUT_FILENO)
            == 0
            && posix_spawn_file_actions_addclose(&actions, fd[0]) == 0
            && posix_spawn_file_actions_addclose(&actions, fd[1]) == 0)
           ? posix_spawnp(&pid, "zstd", &actions, NULL, argv, environ)
           : ENOMEM;

    (void) posix_spawn_file_actions_destroy(&actions);
    (void) close(fd[1]);

    if (code != 0) {
        (void) close(fd[0]);
        return cli_fail(c, CLI_FAILED, "zstd: %s", strerror(code));
    }

    ly_buf_init_arena(&b, c->arena, CSV_MAX);

    do {
        p = ly_buf_reserve(&b, 65536);
        n = (p != NULL) ? read(fd[0], p, 65536) : 0;

        if (n > 0) {
            ly_buf_commit(&b, (size_t) n);
        }

    } while (n > 0 || (n == -1 && errno == EINTR));

    (void) close(fd[0]);

    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status)
        || WEXITSTATUS(status) != 0 || ly_buf_err(&b) != LY_OK)
    {
        return cli_fail(c, CLI_REJECTED, "%s cannot be unpacked", path);
    }

    *out = ly_buf_view(&b);

    return CLI_OK;
}


static int
header(csv_t *v)
{
    unsigned  i, k;

    if (record(v) != CLI_OK || v->fields == 0) {
        return cli_fail(v->c, CLI_REJECTED, "no header in %s",
                        v->c->argv[0]);
    }

    for (i = 0; i < COLUMNS; i++) {
        for (k = 0; k < v->fields; k++) {
            if (ly_str_eq(v->field[k], ly_str_c(names[i]))) {
                break;
            }
        }

        if (k == v->fields) {
            return cli_fail(v->c, CLI_REJECTED, "%s has no column %s",
                            v->c->argv[0], names[i]);
        }

        v->column[i] = k;
    }

    return CLI_OK;
}


static int
rows(csv_t *v)
{
    int       code;
    unsigned  n;

    n = v->fields;

    while (v->pos < v->text.len) {

        code = record(v);
        if (code != CLI_OK) {
            return code;
        }

        /* an empty line at the end */
        if (v->fields == 1 && v->field[0].len == 0) {
            continue;
        }

        if (v->fields != n) {
            return bad(v, "another number of fields than the header");
        }

        code = row(v);
        if (code != CLI_OK) {
            return code;
        }
    }

    return CLI_OK;
}


/* one record of RFC 4180 into v->field */

static int
record(csv_t *v)
{
    size_t                start;
    const unsigned char  *d;

    d = v->text.data;
    v->fields = 0;
    v->line++;

    for ( ;; ) {

        if (v->fields == FIELDS_MAX) {
            return bad(v, "too many fields");
        }

        if (v->pos < v->text.len && d[v->pos] == '"') {
            if (quoted(v, &v->field[v->fields]) != CLI_OK) {
                return bad(v, "a quoted field does not end");
            }

        } else {
            start = v->pos;

            while (v->pos < v->text.len && d[v->pos] != ','
                   && d[v->pos] != '\n' && d[v->pos] != '\r')
            {
                v->pos++;
            }

            v->field[v->fields] = ly_str_of(d + start, v->pos - start);
        }

        v->fields++;

        if (v->pos < v->text.len && d[v->pos] == ',') {
            v->pos++;
            continue;
        }

        break;
    }

    if (v->pos < v->text.len && d[v->pos] == '\r') {
        v->pos++;
    }

    if (v->pos < v->text.len) {
        if (d[v->pos] != '\n') {
            return bad(v, "something behind a quoted field");
        }

        v->pos++;
    }

    return CLI_OK;
}


static int
quoted(csv_t *v, ly_str_t *out)
{
    bool                  doubled;
    size_t                start;
    ly_buf_t              b;
    const unsigned char  *d;

    d = v->text.data;
    start = ++v->pos;
    doubled = false;

    for ( ; v->pos < v->text.len; v->pos++) {

        if (d[v->pos] == '\n') {
            v->line++;
        }

        if (d[v->pos] != '"') {
            continue;
        }

        if (v->pos + 1 < v->text.len && d[v->pos + 1] == '"') {
            doubled = true;
            v->pos++;
            continue;
        }

        *out = ly_str_of(d + start, v->pos - start);
        v->pos++;
        break;
    }

    if (v->pos > v->text.len || d[v->pos - 1] != '"') {
        return CLI_REJECTED;
    }

    if (!doubled) {
        return CLI_OK;
    }

    ly_buf_init_arena(&b, v->c->arena, CSV_MAX);

    for (start = 0; start < out->len; start++) {
        ly_buf_byte(&b, out->data[start]);
        start += (out->data[start] == '"');
    }

    *out = ly_buf_view(&b);

    return ly_buf_err(&b) == LY_OK ? CLI_OK : CLI_FAILED;
}


static int
row(csv_t *v)
{
    int         code;
    row_t      *r;
    int64_t     time;
    invoice_t  *in;

    r = ly_arena_zalloc(v->c->arena, sizeof(row_t));
    in = (r != NULL) ? find(v, v->field[v->column[INVOICE]]) : NULL;

    if (in == NULL) {
        return cli_nomem(v->c);
    }

    code = fields(v, r, &time);
    if (code != CLI_OK) {
        return code;
    }

    if (in->first == NULL) {
        in->first = r;
        in->time = time;

    } else {
        in->last->next = r;
        in->time = (time < in->time) ? time : in->time;
    }

    in->last = r;
    in->rows++;
    v->rows++;

    if (in->customer.len == 0) {
        in->customer = v->field[v->column[CUSTOMER]];
    }

    return CLI_OK;
}


static int
fields(csv_t *v, row_t *r, int64_t *time)
{
    ly_str_t  number, price;
    ly_dec_t  ignored;

    number = v->field[v->column[INVOICE]];

    if (number.len == 0
        || (number.data[0] != 'A' && number.data[0] != 'C'
            && (number.data[0] < '0' || number.data[0] > '9')))
    {
        return bad(v, "InvoiceNo is no number, with C or A before it");
    }

    r->sku = v->field[v->column[STOCK]];
    r->price = v->field[v->column[PRICE]];
    price = r->price;

    /* negative prices stand in A-invoices only */
    if (price.len > 0 && price.data[0] == '-' && number.data[0] == 'A') {
        price = ly_str_of(price.data + 1, price.len - 1);
    }

    if (ly_dec_parse(price, LY_DEC_MONEY_SCALE, &ignored) != LY_OK
        || price.data[0] == '-')
    {
        return bad(v, "UnitPrice is no decimal of up to six places");
    }

    if (ly_int64_parse(v->field[v->column[QUANTITY]], &r->quantity) != LY_OK
        || r->quantity > 1000000000 || r->quantity < -1000000000)
    {
        return bad(v, "Quantity is no whole number up to a billion");
    }

    if (when(v->field[v->column[DATE]], time) != 0) {
        return bad(v, "InvoiceDate is no YYYY-MM-DD hh:mm:ss");
    }

    return CLI_OK;
}


/* local time without a zone, read as UTC */

static int
when(ly_str_t s, int64_t *us)
{
    unsigned char  text[20];

    if (s.len != 19 || s.data[10] != ' ') {
        return -1;
    }

    memcpy(text, s.data, 19);
    text[10] = 'T';
    text[19] = 'Z';

    return ly_time_parse(ly_str_of(text, sizeof(text)), us) == LY_OK ? 0 : -1;
}


static invoice_t *
find(csv_t *v, ly_str_t number)
{
    uint64_t    h;
    invoice_t  *in;

    h = hash(number);

    for (in = v->bucket[h % v->buckets]; in != NULL; in = in->chain) {
        if (ly_str_eq(in->number, number)) {
            return in;
        }
    }

    return add(v, number, h);
}


static invoice_t *
add(csv_t *v, ly_str_t number, uint64_t h)
{
    invoice_t  *in;

    if (v->n == v->room && grow(v) != CLI_OK) {
        return NULL;
    }

    in = ly_arena_zalloc(v->c->arena, sizeof(invoice_t));
    if (in == NULL) {
        return NULL;
    }

    in->number = number;
    in->chain = v->bucket[h % v->buckets];
    v->bucket[h % v->buckets] = in;
    v->all[v->n++] = in;

    return in;
}


/* twice the invoices and buckets; what they outgrow stays in the arena */

static int
grow(csv_t *v)
{
    size_t       i, room;
    uint64_t     h;
    invoice_t  **all, **bucket;

    room = (v->room == 0) ? 16384 : v->room * 2;
    all = ly_arena_array(v->c->arena, room, sizeof(invoice_t *));
    bucket = ly_arena_array(v->c->arena, 2 * room, sizeof(invoice_t *));

    if (all == NULL || bucket == NULL) {
        return cli_nomem(v->c);
    }

    for (i = 0; i < v->n; i++) {
        all[i] = v->all[i];
        h = hash(all[i]->number) % (2 * room);
        all[i]->chain = bucket[h];
        bucket[h] = all[i];
    }

    v->all = all;
    v->room = room;
    v->bucket = bucket;
    v->buckets = 2 * room;

    return CLI_OK;
}


static uint64_t
hash(ly_str_t s)
{
    size_t    i;
    uint64_t  h;

    h = 14695981039346656037ULL;

    for (i = 0; i < s.len; i++) {
        h = (h ^ s.data[i]) * 1099511628211ULL;
    }

    return h;
}


static int
bad(csv_t *v, const char *why)
{
    return cli_fail(v->c, CLI_REJECTED, "%s, line %lld: %s", v->c->argv[0],
                    (long long) v->line, why);
}


static int
by_time(const void *a, const void *b)
{
    const invoice_t  *x = *(const invoice_t *const *) a;
    const invoice_t  *y = *(const invoice_t *const *) b;

    if (x->time != y->time) {
        return (x->time < y->time) ? -1 : 1;
    }

    return ly_str_cmp(x->number, y->number);
}


static int
write_events(csv_t *v)
{
    int        code;
    size_t     i;
    int64_t    orders, refunds, guests, skipped;
    ly_jw_t    w;
    ly_buf_t   b;

    ly_buf_init(&b, 64 * OUT_BYTES, NULL);
    orders = refunds = guests = skipped = 0;
    code = CLI_OK;

    for (i = 0; i < v->n && code == CLI_OK; i++) {

        if (v->all[i]->number.data[0] == 'A') {
            skipped++;
            continue;
        }

        orders += v->all[i]->number.data[0] != 'C';
        refunds += v->all[i]->number.data[0] == 'C';
        guests += v->all[i]->customer.len == 0;

        ly_jw_init(&w, &b);
        event(v->all[i], &w);

        if (ly_jw_done(&w) != LY_OK) {
            code = cli_fail(v->c, CLI_REJECTED, "%s: invoice %.*s is no "
                            "UTF-8", v->c->argv[0],
                            (int) v->all[i]->number.len,
                            (const char *) v->all[i]->number.data);
            break;
        }

        ly_buf_byte(&b, '\n');

        if (b.len > OUT_BYTES) {
            code = cli_write_buf(v->c, &b);
            ly_buf_reset(&b);
        }
    }

    if (code == CLI_OK) {
        code = cli_write_buf(v->c, &b);
    }

    ly_buf_free(&b);

    if (code == CLI_OK) {
        cli_note(v->c, "%lld lines: %lld orders, %lld refunds, of them %lld "
                 "of guests; %lld A-invoices skipped", (long long) v->rows,
                 (long long) orders, (long long) refunds, (long long) guests,
                 (long long) skipped);
    }

    return code;
}


static void
event(const invoice_t *in, ly_jw_t *w)
{
    bool            refund;
    row_t          *r;
    ly_buf_t        b;
    unsigned        n;
    unsigned char   mem[512], digits[LY_INT64_TEXT];

    refund = in->number.data[0] == 'C';

    ly_jw_object(w);
    ly_jw_kcstr(w, "type", refund ? "order.refunded" : "order.paid");
    ly_jw_kcstr(w, "source", "shop");
    ly_jw_kstr(w, "external_id", in->number);

    if (in->customer.len > 0) {
        ly_buf_init_fixed(&b, mem, sizeof(mem));
        ly_buf_cstr(&b, "ext:");
        ly_buf_str(&b, in->customer);
        ly_jw_kstr(w, "member", ly_buf_view(&b));
    }

    ly_jw_k(w, "occurred_at");
    time_text(w, in->time);
    ly_jw_key_plain(w, refund ? ly_str("refund") : ly_str("order"));
    ly_jw_object(w);
    ly_jw_kcstr(w, "currency", "GBP");
    ly_jw_k(w, "lines");
    ly_jw_array(w);

    for (r = in->first, n = 1; r != NULL; r = r->next, n++) {
        ly_jw_object(w);
        ly_jw_kstr(w, "line_id", ly_str_of(digits, ly_int64_print(n, digits)));
        ly_jw_kstr(w, "sku", r->sku);
        ly_jw_kint(w, "quantity", refund ? -r->quantity : r->quantity);
        ly_jw_kstr(w, "unit_price", r->price);
        ly_jw_object_end(w);
    }

    ly_jw_array_end(w);
    ly_jw_object_end(w);
    ly_jw_object_end(w);
}


/* whole seconds, as the file gives them */

static void
time_text(ly_jw_t *w, int64_t us)
{
    unsigned char  text[LY_TIME_TEXT];

    ly_time_print(us, text);
    text[19] = 'Z';
    ly_jw_str(w, ly_str_of(text, 20));
}
