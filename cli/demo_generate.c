/*
 * demo generate: a shop's year of the character of a real one, the same bytes
 * for the same seed.  Most customers buy once or twice, a few buy often; there
 * are guests, returns of parts and of wholes, returns that name no purchase,
 * prices of zero and below a penny, stock written off by negative quantities,
 * invoices of a thousand lines, one very large order that is cancelled twelve
 * minutes later, and three adjustments of the shop's own books.
 */

#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "ly_time.h"
#include "ly_banned.h"


#define PRODUCTS       3000
#define LINES_LONG     1114
#define PIECES_LARGE   80995
#define OUT_BYTES      (1 << 20)

/* 2025-01-02 08:00:00 to 2025-12-23 20:00:00, in seconds of the epoch */
#define YEAR_BEGIN     1735804800LL
#define YEAR_END       1766520000LL

#define FIRST_NUMBER   536365

typedef struct {
    uint32_t  product;
    int32_t   quantity;
    uint32_t  price;            /* thousandths of a pound; UINT32_MAX: its
                                   product's own */
} line_t;

#define PRICE_OWN      UINT32_MAX

typedef struct {
    int64_t    time;            /* seconds */
    uint32_t   order;           /* in which it was made: parts equal times */
    uint32_t   customer;        /* 0: a guest */
    uint32_t   first;           /* into the lines */
    uint32_t   count;
    char       kind;            /* 'O' order, 'C' cancellation, 'A' */
} sale_t;

typedef struct {
    cli_t      *c;
    uint64_t    state;
    sale_t     *sale;
    uint32_t    sales;
    uint32_t    sales_room;
    line_t     *line;
    uint32_t    lines;
    uint32_t    lines_room;
    uint32_t    customers;
    uint32_t    price[PRODUCTS];
    bool        failed;
} shop_t;

static const char *const  things[] = {
    "HEART T-LIGHT HOLDER", "LUNCH BAG", "CAKE STAND, THREE TIERS", "MUG",
    "JUMBO BAG", "\"WELCOME\" DOORMAT", "BUNTING", "PARTY CANDLES", "CLOCK",
    "HOT WATER BOTTLE", "CUTLERY SET", "PHOTO FRAME", "WICKER BASKET",
    "PENCIL CASE", "HAND WARMER", "COAT RACK", "BATH SPONGE", "APRON"
};

static const char *const  colours[] = {
    "WHITE", "RED RETROSPOT", "PINK", "IVORY", "BLUE POLKADOT", "VINTAGE",
    "METAL", "WOODEN", "KNITTED", "GLASS", "SMALL", "LARGE"
};

static const char *const  countries[] = {
    "United Kingdom", "Germany", "France", "EIRE", "Spain", "Netherlands",
    "Channel Islands", "Switzerland"
};


static int make(shop_t *s, uint32_t orders);
static void order(shop_t *s, int64_t time, uint32_t n);
static void refund(shop_t *s, const sale_t *of);
static void oddities(shop_t *s, uint32_t orders);
static uint32_t customer(shop_t *s);
static sale_t *open_sale(shop_t *s, int64_t time, uint32_t who, char kind);
static void add_line(shop_t *s, sale_t *sale, uint32_t product,
    int32_t quantity, uint32_t price);
static int32_t quantity(shop_t *s);
static uint64_t next(shop_t *s);
static uint32_t below(shop_t *s, uint32_t n);
static int by_time(const void *a, const void *b);
static int write_csv(shop_t *s);
static void write_sale(shop_t *s, const sale_t *sale, int64_t number,
    ly_buf_t *b);
static void write_price(ly_buf_t *b, uint32_t thousandths);
static void write_name(ly_buf_t *b, uint32_t product);


int
demo_generate_cmd(cli_t *c)
{
    int       code;
    shop_t   *s;
    int64_t   seed, orders;

    seed = 1;
    orders = 20000;

    code = cli_opt_int(c, "seed", 0, INT64_MAX, &seed);

    if (code == CLI_OK) {
        code = cli_opt_int(c, "orders", 100, 1000000, &orders);
    }

    if (code != CLI_OK) {
        return code;
    }

    s = ly_arena_zalloc(c->arena, sizeof(shop_t));
    if (s == NULL) {
        return cli_nomem(c);
    }

    s->c = c;
    s->state = (uint64_t) seed;
    s->customers = (uint32_t) orders / 5;

    code = make(s, (uint32_t) orders);

    return (code == CLI_OK) ? write_csv(s) : code;
}


static int
make(shop_t *s, uint32_t orders)
{
    int64_t   step;
    uint32_t  i, k;

    for (i = 0; i < PRODUCTS; i++) {
        /* mostly a few pounds, in pennies; some dear */
        k = 29 + below(s, 500) + (below(s, 20) == 0 ? below(s, 4000) : 0);
        s->price[i] = k * 10;
    }

    step = (YEAR_END - YEAR_BEGIN) / orders;

    for (i = 0; i < orders && !s->failed; i++) {
        order(s, YEAR_BEGIN + i * step + below(s, (uint32_t) step), i);
    }

    oddities(s, orders);

    if (s->failed) {
        return cli_nomem(s->c);
    }

    qsort(s->sale, s->sales, sizeof(sale_t), by_time);

    return CLI_OK;
}


static void
order(shop_t *s, int64_t time, uint32_t n)
{
    sale_t     copy, *sale;
    uint32_t   lines, i, who;

    who = (below(s, 100) < 13) ? 0 : customer(s);

    lines = 1 + below(s, 4);

    while (lines < 120 && below(s, 100) < 78) {
        lines += 1 + below(s, 3);
    }

    /* a trade fair's list, three times in the year */
    if (n % 6500 == 3000) {
        lines = LINES_LONG;
    }

    sale = open_sale(s, time, who, 'O');

    for (i = 0; i < lines && sale != NULL; i++) {
        add_line(s, sale, below(s, PRODUCTS), quantity(s),
                 below(s, 200) == 0 ? 0
                 : below(s, 20000) == 0 ? 1 + below(s, 9) : PRICE_OWN);
    }

    /* one in seven comes back, in part or whole; guests' as well */
    if (sale != NULL && below(s, 7) == 0) {
        copy = *sale;
        refund(s, &copy);
    }
}


static void
refund(shop_t *s, const sale_t *of)
{
    line_t    *l;
    sale_t    *sale;
    int64_t    time;
    uint32_t   i, whole, keep;

    time = of->time + 600 + below(s, 40 * 86400);
    whole = below(s, 3) == 0;
    keep = below(s, of->count);

    sale = open_sale(s, time, of->customer, 'C');

    for (i = 0; i < of->count && sale != NULL; i++) {
        l = &s->line[of->first + i];

        if (whole || i == keep || below(s, 8) == 0) {
            add_line(s, sale, l->product,
                     whole ? -l->quantity
                           : -1 - (int32_t) below(s, (uint32_t) l->quantity),
                     l->price);
        }
    }
}


static void
oddities(shop_t *s, uint32_t orders)
{
    sale_t    *sale;
    int64_t    time;
    uint32_t   i, who;

    /* the large one, regretted */
    time = YEAR_BEGIN + 200 * 86400 + 3600;
    who = 1 + s->customers / 2;

    sale = open_sale(s, time, who, 'O');
    if (sale != NULL) {
        add_line(s, sale, 77, PIECES_LARGE, 2080);
    }

    sale = open_sale(s, time + 12 * 60, who, 'C');
    if (sale != NULL) {
        add_line(s, sale, 77, -PIECES_LARGE, 2080);
    }

    /* stock written off: no customer, no price, less than nothing */
    for (i = 0; i < orders / 40; i++) {
        sale = open_sale(s, YEAR_BEGIN + 3600
                         + below(s, (uint32_t) (YEAR_END - YEAR_BEGIN)), 0,
                         'O');
        if (sale != NULL) {
            add_line(s, sale, below(s, PRODUCTS), -1 - (int32_t) below(s, 300),
                     0);
        }
    }

    /* goods of another year come back: more than these ever bought */
    for (i = 0; i < orders / 200; i++) {
        sale = open_sale(s, YEAR_BEGIN + 7200
                         + below(s, (uint32_t) (YEAR_END - YEAR_BEGIN)),
                         customer(s), 'C');
        if (sale != NULL) {
            add_line(s, sale, below(s, PRODUCTS),
                     -20 - (int32_t) below(s, 200),
                     PRICE_OWN);
        }
    }

    for (i = 0; i < 3; i++) {
        sale = open_sale(s, YEAR_BEGIN + 100 * 86400 + i * 60, 0, 'A');
        if (sale != NULL) {
            add_line(s, sale, 0, 1, 11062060);
        }
    }
}


/* a few buy often: the square of a fraction, half of the time */

static uint32_t
customer(shop_t *s)
{
    uint64_t  r;

    r = below(s, 65536);

    if (below(s, 2) == 0) {
        r = r * r / 65536;
    }

    return 1 + (uint32_t) (r * s->customers / 65536);
}


static sale_t *
open_sale(shop_t *s, int64_t time, uint32_t who, char kind)
{
    sale_t    *sale;
    uint32_t   room;

    if (s->sales == s->sales_room) {
        room = (s->sales_room == 0) ? 32768 : s->sales_room * 2;

        sale = ly_arena_array(s->c->arena, room, sizeof(sale_t));
        if (sale == NULL) {
            s->failed = true;
            return NULL;
        }

        if (s->sales > 0) {
            memcpy(sale, s->sale, s->sales * sizeof(sale_t));
        }

        s->sale = sale;
        s->sales_room = room;
    }

    sale = &s->sale[s->sales];
    sale->time = time;
    sale->order = s->sales++;
    sale->customer = who;
    sale->first = s->lines;
    sale->count = 0;
    sale->kind = kind;

    return sale;
}


static void
add_line(shop_t *s, sale_t *sale, uint32_t product, int32_t n, uint32_t price)
{
    line_t    *line;
    uint32_t   room;

    if (s->lines == s->lines_room) {
        room = (s->lines_room == 0) ? 262144 : s->lines_room * 2;

        line = ly_arena_array(s->c->arena, room, sizeof(line_t));
        if (line == NULL) {
            s->failed = true;
            return;
        }

        if (s->lines > 0) {
            memcpy(line, s->line, s->lines * sizeof(line_t));
        }

        s->line = line;
        s->lines_room = room;
    }

    line = &s->line[s->lines++];
    line->product = product;
    line->quantity = n;
    line->price = price;
    sale->count++;
}


static int32_t
quantity(shop_t *s)
{
    uint32_t  r;

    r = below(s, 100);

    return (int32_t) (r < 40 ? 1 + below(s, 3)
                      : r < 75 ? 4 + below(s, 9)
                      : r < 97 ? 12 * (1 + below(s, 4))
                      : 100 + below(s, 900));
}


/* splitmix64 */

static uint64_t
next(shop_t *s)
{
    uint64_t  z;

    s->state += 0x9e3779b97f4a7c15ULL;
    z = s->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;

    return z ^ (z >> 31);
}


/* 0..n-1; n > 0 */

static uint32_t
below(shop_t *s, uint32_t n)
{
    return (uint32_t) (next(s) % n);
}


static int
by_time(const void *a, const void *b)
{
    const sale_t  *x = a, *y = b;

    if (x->time != y->time) {
        return (x->time < y->time) ? -1 : 1;
    }

    return (x->order < y->order) ? -1 : (x->order > y->order);
}


static int
write_csv(shop_t *s)
{
    int       code;
    ly_buf_t  b;
    uint32_t  i;

    ly_buf_init(&b, 8 * OUT_BYTES, NULL);
    ly_buf_cstr(&b, "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,"
                "UnitPrice,CustomerID,Country\n");
    code = CLI_OK;

    for (i = 0; i < s->sales && code == CLI_OK; i++) {
        write_sale(s, &s->sale[i], FIRST_NUMBER + i, &b);

        if (b.len > OUT_BYTES || i + 1 == s->sales) {
            code = cli_write_buf(s->c, &b);
            ly_buf_reset(&b);
        }
    }

    ly_buf_free(&b);

    return code;
}


static void
write_sale(shop_t *s, const sale_t *sale, int64_t number, ly_buf_t *b)
{
    line_t         *l;
    uint32_t        i;
    unsigned char   time[LY_TIME_TEXT];

    ly_time_print(sale->time * 1000000, time);
    time[10] = ' ';

    for (i = 0; i < sale->count; i++) {
        l = &s->line[sale->first + i];

        if (sale->kind != 'O') {
            ly_buf_byte(b, (unsigned char) sale->kind);
        }

        ly_buf_int(b, number);
        ly_buf_byte(b, ',');

        if (sale->kind == 'A') {
            ly_buf_cstr(b, "B,Adjust bad debt");

        } else {
            ly_buf_int(b, 20000 + l->product);
            ly_buf_cstr(b, l->product % 5 == 0 ? "B," : ",");
            write_name(b, l->product);
        }

        ly_buf_byte(b, ',');
        ly_buf_int(b, l->quantity);
        ly_buf_byte(b, ',');
        ly_buf_put(b, time, 19);
        ly_buf_byte(b, ',');

        /* the books' own corrections carry a minus */
        if (sale->kind == 'A' && number % 3 != 0) {
            ly_buf_byte(b, '-');
        }

        write_price(b, l->price == PRICE_OWN ? s->price[l->product]
                                             : l->price);
        ly_buf_byte(b, ',');

        if (sale->customer > 0) {
            ly_buf_int(b, 12345 + sale->customer);
        }

        ly_buf_byte(b, ',');
        ly_buf_cstr(b, countries[sale->customer % 31 < 24 ? 0
                       : sale->customer % ly_countof(countries)]);
        ly_buf_byte(b, '\n');
    }
}


/* as spreadsheets write it: at least one place, no zeros behind */

static void
write_price(ly_buf_t *b, uint32_t thousandths)
{
    uint32_t  rest, unit;

    ly_buf_uint(b, thousandths / 1000);
    ly_buf_byte(b, '.');
    rest = thousandths % 1000;
    unit = 100;

    do {
        ly_buf_byte(b, (unsigned char) ('0' + rest / unit));
        rest %= unit;
        unit /= 10;
    } while (rest > 0);
}


/* quoted as RFC 4180 wants it where it holds a comma or a quote */

static void
write_name(ly_buf_t *b, uint32_t product)
{
    bool         quote;
    const char  *p;

    p = things[product % ly_countof(things)];
    quote = strpbrk(p, ",\"") != NULL;

    ly_buf_cstr(b, quote ? "\"" : "");
    ly_buf_cstr(b, colours[product % ly_countof(colours)]);
    ly_buf_byte(b, ' ');

    for ( ; *p != '\0'; p++) {
        ly_buf_cstr(b, *p == '"' ? "\"" : "");
        ly_buf_byte(b, (unsigned char) *p);
    }

    ly_buf_cstr(b, quote ? "\"" : "");
}
