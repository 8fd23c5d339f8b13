/*
 * A load generator for the benches.  Open loop: with --rate, requests are due
 * at fixed instants and their latency counts from that instant, so that a slow
 * answer cannot hide the ones that waited behind it.  Without --rate every
 * connection sends as soon as it has its answer.
 *
 * Modes: get (one path), post (an order of three lines a request), batch (N
 * such orders a request), flow (post an order of a new member, then read that
 * member's balance until the points are there; the latency is the whole way).
 */

#include "../common/ly_base.h"
#include "../common/ly_buf.h"
#include "../common/ly_jw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define LOAD_CONNS_MAX    1024
#define LOAD_ANSWER_MAX   (1024 * 1024)
#define LOAD_REQUEST_MAX  (1024 * 1024)
#define LOAD_READ         65536
#define LOAD_SAMPLES_MAX  (8 * 1024 * 1024)
#define LOAD_DRAIN_US     5000000
#define LOAD_LINES        3

/*
 * flow: between two looks at a balance; a client that spins measures itself,
 * and one that looks every 2 ms asks for eight times what the orders ask for
 */
#define LOAD_LOOK_US      5000


typedef enum {
    LOAD_GET = 0,
    LOAD_POST,
    LOAD_BATCH,
    LOAD_FLOW
} load_mode_e;


typedef struct {
    load_mode_e    mode;
    int            port;
    const char    *host;
    const char    *path;
    const char    *prefix;
    char           key[128];
    int64_t        rate;
    int64_t        seconds;
    int64_t        conns;
    int64_t        batch;
    int64_t        members;
} load_options_t;


typedef struct {
    int            fd;
    bool           busy;
    bool           reading;         /* flow: the order is in, now read */
    int64_t        look;            /* flow: when to look again, 0: not due */
    int64_t        started;
    int64_t        number;          /* of the order, flow */
    ly_buf_t       out;
    size_t         sent;
    ly_buf_t       in;
    size_t         head;            /* bytes of the answer's head, 0: open */
    size_t         length;
    int            status;
} load_conn_t;


typedef struct {
    load_options_t  o;
    int             epoll;
    load_conn_t    *conns;
    int64_t         next;           /* number of the next order */
    int64_t         begun;
    int64_t         due;            /* of the next request, open loop */
    int64_t         end;
    uint64_t        ok;
    uint64_t        failed;
    uint64_t        bytes;
    uint64_t        busy;
    uint32_t       *samples;        /* us */
    size_t          nsamples;
} load_t;


static int load_options(load_options_t *o, int argc, char **argv);
static int load_key(load_options_t *o, const char *path);
static int load_connect(load_t *l, load_conn_t *c);
static void load_run(load_t *l);
static void load_look_due(load_t *l, int64_t now);
static void load_start_due(load_t *l);
static void load_start(load_t *l, load_conn_t *c, int64_t started);
static void load_request(load_t *l, load_conn_t *c);
static void load_head(load_t *l, load_conn_t *c, const char *method,
    ly_str_t path, size_t length);
static void load_order(load_t *l, ly_jw_t *w, int64_t number);
static void load_event(load_t *l, load_conn_t *c, uint32_t events);
static int load_write(load_t *l, load_conn_t *c);
static int load_read(load_t *l, load_conn_t *c);
static int load_answer(load_t *l, load_conn_t *c);
static void load_lost(load_t *l, load_conn_t *c);
static void load_print(load_t *l);
static int load_compare(const void *a, const void *b);
static int64_t load_now(void);


int
main(int argc, char **argv)
{
    int64_t  i;
    load_t   l;

    memset(&l, 0, sizeof(load_t));

    if (load_options(&l.o, argc, argv) != 0) {
        return 2;
    }

    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.conns = calloc((size_t) l.o.conns, sizeof(load_conn_t));
    l.samples = malloc(LOAD_SAMPLES_MAX * sizeof(uint32_t));

    if (l.epoll == -1 || l.conns == NULL || l.samples == NULL) {
        perror("load");
        return 1;
    }

    for (i = 0; i < l.o.conns; i++) {
        ly_buf_init(&l.conns[i].out, LOAD_REQUEST_MAX + 4096, NULL);
        ly_buf_init(&l.conns[i].in, LOAD_ANSWER_MAX, NULL);

        if (load_connect(&l, &l.conns[i]) != 0) {
            perror("load: connect");
            return 1;
        }
    }

    load_run(&l);
    load_print(&l);

    return l.ok == 0;
}


static int
load_options(load_options_t *o, int argc, char **argv)
{
    int                         c;
    int64_t                     v;
    static const char          *modes[] = { "get", "post", "batch", "flow" };
    static const struct option  table[] = {
        { "mode", required_argument, NULL, 'm' },
        { "port", required_argument, NULL, 'p' },
        { "host", required_argument, NULL, 'h' },
        { "path", required_argument, NULL, 'u' },
        { "prefix", required_argument, NULL, 'x' },
        { "key-file", required_argument, NULL, 'k' },
        { "rate", required_argument, NULL, 'r' },
        { "seconds", required_argument, NULL, 's' },
        { "conns", required_argument, NULL, 'c' },
        { "batch", required_argument, NULL, 'b' },
        { "members", required_argument, NULL, 'n' },
        { NULL, 0, NULL, 0 }
    };

    o->mode = LOAD_GET;
    o->host = "demo.localhost";
    o->path = "/";
    o->prefix = "load";
    o->port = 8080;
    o->seconds = 5;
    o->conns = 16;
    o->batch = 100;
    o->members = 5000;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {

        v = 0;

        if (optarg != NULL && strchr("prscbn", c) != NULL
            && (ly_int64_parse(ly_str_c(optarg), &v) != LY_OK || v < 0))
        {
            fprintf(stderr, "load: \"%s\" is no number\n", optarg);
            return -1;
        }

        switch (c) {

        case 'm':
            for (v = 0; v < (int64_t) ly_countof(modes); v++) {
                if (strcmp(optarg, modes[v]) == 0) {
                    o->mode = (load_mode_e) v;
                    break;
                }
            }

            if (v == (int64_t) ly_countof(modes)) {
                fprintf(stderr, "load: unknown mode \"%s\"\n", optarg);
                return -1;
            }

            break;

        case 'p':
            o->port = (int) v;
            break;

        case 'h':
            o->host = optarg;
            break;

        case 'u':
            o->path = optarg;
            break;

        case 'x':
            o->prefix = optarg;
            break;

        case 'k':
            if (load_key(o, optarg) != 0) {
                perror("load: key file");
                return -1;
            }

            break;

        case 'r':
            o->rate = v;
            break;

        case 's':
            o->seconds = v;
            break;

        case 'c':
            o->conns = v;
            break;

        case 'b':
            o->batch = v;
            break;

        case 'n':
            o->members = v;
            break;

        default:
            return -1;
        }
    }

    if (o->conns < 1 || o->conns > LOAD_CONNS_MAX || o->members < 1
        || o->batch < 1 || o->batch > 1000)
    {
        fprintf(stderr, "load: a number is out of range\n");
        return -1;
    }

    return 0;
}


static int
load_key(load_options_t *o, const char *path)
{
    int      fd;
    ssize_t  n;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1) {
        return -1;
    }

    n = read(fd, o->key, sizeof(o->key) - 1);
    close(fd);

    while (n > 0 && (o->key[n - 1] == '\n' || o->key[n - 1] == ' ')) {
        n--;
    }

    o->key[n > 0 ? n : 0] = '\0';

    return n > 0 ? 0 : -1;
}


static int
load_connect(load_t *l, load_conn_t *c)
{
    int                 one;
    struct epoll_event  ev;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((uint16_t) l->o.port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (c->fd == -1
        || connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || fcntl(c->fd, F_SETFL, O_NONBLOCK) == -1)
    {
        return -1;
    }

    one = 1;

    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == -1) {
        return -1;
    }

    memset(&ev, 0, sizeof(ev));
    ev.events = EPOLLIN | EPOLLOUT | EPOLLET;
    ev.data.ptr = c;

    c->busy = false;

    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev);
}


static void
load_run(load_t *l)
{
    int                  i, n, wait;
    int64_t              now;
    struct epoll_event   events[128];

    l->begun = load_now();
    l->due = l->begun;
    l->end = l->begun + l->o.seconds * 1000000;

    for ( ;; ) {
        now = load_now();

        load_look_due(l, now);

        if (now < l->end) {
            load_start_due(l);

        } else if (l->busy == 0 || now > l->end + LOAD_DRAIN_US) {
            return;
        }

        wait = l->o.mode == LOAD_FLOW ? 1 : 100;

        if (l->o.rate > 0 && now < l->end && l->due < now + wait * 1000) {
            wait = l->due > now ? (int) ((l->due - now) / 1000) : 0;
        }

        n = epoll_wait(l->epoll, events, (int) ly_countof(events), wait);

        for (i = 0; i < n; i++) {
            load_event(l, events[i].data.ptr, events[i].events);
        }
    }
}


static void
load_look_due(load_t *l, int64_t now)
{
    int64_t       i;
    load_conn_t  *c;

    for (i = 0; i < l->o.conns && l->o.mode == LOAD_FLOW; i++) {
        c = &l->conns[i];

        if (c->busy && c->look != 0 && c->look <= now) {
            c->look = 0;
            load_request(l, c);
        }
    }
}


/* whatever is due finds a free connection, or waits and is late */
static void
load_start_due(load_t *l)
{
    int64_t       i, now;
    load_conn_t  *c;

    for (i = 0; i < l->o.conns; i++) {
        c = &l->conns[i];
        now = load_now();

        if (l->o.rate > 0 && l->due > now) {
            return;
        }

        if (c->busy || now >= l->end) {
            continue;
        }

        if (l->o.rate > 0) {
            load_start(l, c, l->due);
            l->due += 1000000 / l->o.rate;

        } else {
            load_start(l, c, now);
        }
    }
}


static void
load_start(load_t *l, load_conn_t *c, int64_t started)
{
    c->busy = true;
    c->reading = false;
    c->look = 0;
    c->started = started;
    c->number = l->next;
    l->busy++;

    load_request(l, c);
}


static void
load_request(load_t *l, load_conn_t *c)
{
    int64_t        i;
    ly_jw_t        w;
    ly_buf_t       body, path;
    unsigned char  text[512];

    ly_buf_reset(&c->out);
    ly_buf_reset(&c->in);
    c->sent = 0;
    c->head = 0;

    ly_buf_init_fixed(&path, text, sizeof(text));

    if (l->o.mode == LOAD_GET || c->reading) {
        if (c->reading) {
            ly_buf_cstr(&path, "/v1/members/ext:");
            ly_buf_cstr(&path, l->o.prefix);
            ly_buf_byte(&path, '-');
            ly_buf_int(&path, c->number);
            ly_buf_cstr(&path, "/balances");

        } else {
            ly_buf_cstr(&path, l->o.path);
        }

        load_head(l, c, "GET", ly_buf_view(&path), 0);

    } else {
        ly_buf_init(&body, LOAD_REQUEST_MAX, NULL);
        ly_jw_init(&w, &body);

        if (l->o.mode == LOAD_BATCH) {
            ly_jw_object(&w);
            ly_jw_key(&w, ly_str("events"));
            ly_jw_array(&w);

            for (i = 0; i < l->o.batch; i++) {
                load_order(l, &w, l->next++);
            }

            ly_jw_array_end(&w);
            ly_jw_object_end(&w);

        } else {
            load_order(l, &w, l->next++);
        }

        ly_buf_cstr(&path, l->o.mode == LOAD_BATCH ? "/v1/events/batch"
                                                   : "/v1/events");

        load_head(l, c, "POST", ly_buf_view(&path), body.len);
        ly_buf_str(&c->out, ly_buf_view(&body));
        ly_buf_free(&body);
    }

    if (load_write(l, c) != 0) {
        load_lost(l, c);
    }
}


static void
load_head(load_t *l, load_conn_t *c, const char *method, ly_str_t path,
    size_t length)
{
    ly_buf_cstr(&c->out, method);
    ly_buf_byte(&c->out, ' ');
    ly_buf_str(&c->out, path);
    ly_buf_cstr(&c->out, " HTTP/1.1\r\nHost: ");
    ly_buf_cstr(&c->out, l->o.host);

    if (l->o.key[0] != '\0') {
        ly_buf_cstr(&c->out, "\r\nAuthorization: Bearer ");
        ly_buf_cstr(&c->out, l->o.key);
    }

    if (length != 0) {
        ly_buf_cstr(&c->out, "\r\nContent-Type: application/json"
                    "\r\nContent-Length: ");
        ly_buf_uint(&c->out, length);
    }

    ly_buf_cstr(&c->out, "\r\n\r\n");
}


static void
load_order(load_t *l, ly_jw_t *w, int64_t number)
{
    int64_t        i, member;
    ly_buf_t       b;
    unsigned char  text[256];

    static const char  *prices[LOAD_LINES] = { "2.55", "3.39", "12.95" };

    member = l->o.mode == LOAD_FLOW ? number : number % l->o.members;

    ly_jw_object(w);
    ly_jw_key(w, ly_str("type"));
    ly_jw_str(w, ly_str("order.paid"));
    ly_jw_key(w, ly_str("source"));
    ly_jw_str(w, ly_str("shop"));

    ly_buf_init_fixed(&b, text, sizeof(text));
    ly_buf_cstr(&b, l->o.prefix);
    ly_buf_byte(&b, '-');
    ly_buf_int(&b, number);
    ly_jw_key(w, ly_str("external_id"));
    ly_jw_str(w, ly_buf_view(&b));

    ly_buf_reset(&b);
    ly_buf_cstr(&b, "ext:");
    ly_buf_cstr(&b, l->o.prefix);
    ly_buf_byte(&b, '-');
    ly_buf_int(&b, member);
    ly_jw_key(w, ly_str("member"));
    ly_jw_str(w, ly_buf_view(&b));

    ly_jw_key(w, ly_str("occurred_at"));
    ly_jw_str(w, ly_str("2026-01-01T12:00:00Z"));
    ly_jw_key(w, ly_str("order"));
    ly_jw_object(w);
    ly_jw_key(w, ly_str("currency"));
    ly_jw_str(w, ly_str("GBP"));
    ly_jw_key(w, ly_str("lines"));
    ly_jw_array(w);

    for (i = 0; i < LOAD_LINES; i++) {
        ly_buf_reset(&b);
        ly_buf_int(&b, i + 1);

        ly_jw_object(w);
        ly_jw_key(w, ly_str("line_id"));
        ly_jw_str(w, ly_buf_view(&b));
        ly_jw_key(w, ly_str("sku"));
        ly_jw_str(w, ly_str("85123A"));
        ly_jw_key(w, ly_str("quantity"));
        ly_jw_int(w, i + 2);
        ly_jw_key(w, ly_str("unit_price"));
        ly_jw_str(w, ly_str_c(prices[i]));
        ly_jw_object_end(w);
    }

    ly_jw_array_end(w);
    ly_jw_object_end(w);
    ly_jw_object_end(w);
}


static void
load_event(load_t *l, load_conn_t *c, uint32_t events)
{
    if (!c->busy) {
        return;
    }

    if (load_write(l, c) != 0 || load_read(l, c) != 0
        || (events & (EPOLLERR | EPOLLHUP)))
    {
        load_lost(l, c);
    }
}


static int
load_write(load_t *l, load_conn_t *c)
{
    ssize_t  n;

    (void) l;

    while (c->sent < c->out.len) {
        n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent,
                 MSG_NOSIGNAL);

        if (n == -1) {
            return errno == EAGAIN ? 0 : -1;
        }

        c->sent += (size_t) n;
    }

    return 0;
}


static int
load_read(load_t *l, load_conn_t *c)
{
    ssize_t         n;
    unsigned char  *p;

    for ( ;; ) {
        /* one more for the NUL that load_answer() sets */
        p = ly_buf_reserve(&c->in, LOAD_READ + 1);
        if (p == NULL) {
            return -1;
        }

        n = recv(c->fd, p, LOAD_READ, 0);

        if (n == -1) {
            return errno == EAGAIN ? 0 : -1;
        }

        if (n == 0) {
            return -1;
        }

        ly_buf_commit(&c->in, (size_t) n);
        l->bytes += (uint64_t) n;

        if (load_answer(l, c) != 0) {
            return 0;
        }
    }
}


/* 1 when a whole answer was taken and the connection is free or goes on */
static int
load_answer(load_t *l, load_conn_t *c)
{
    char                 *end, *p;
    int64_t               length, us;
    ly_str_t              digits;

    p = (char *) c->in.data;
    p[c->in.len] = '\0';

    if (c->head == 0) {
        end = strstr(p, "\r\n\r\n");
        if (end == NULL) {
            return 0;
        }

        c->head = (size_t) (end - p) + 4;
        c->status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
        c->length = 0;

        end = strcasestr(p, "\r\ncontent-length: ");

        if (end != NULL) {
            end += 18;
            digits = ly_str_of(end, strspn(end, "0123456789"));

            if (ly_int64_parse(digits, &length) == LY_OK) {
                c->length = (size_t) length;
            }
        }
    }

    if (c->in.len < c->head + c->length) {
        return 0;
    }

    if (l->o.mode == LOAD_FLOW && c->status < 300
        && (!c->reading || strstr(p + c->head, "\"earned\":0,") != NULL))
    {
        c->look = load_now() + (c->reading ? LOAD_LOOK_US : 0);
        c->reading = true;
        return 1;
    }

    us = load_now() - c->started;

    if (c->status < 300) {
        l->ok++;

        if (l->nsamples < LOAD_SAMPLES_MAX) {
            l->samples[l->nsamples++] = (uint32_t) us;
        }

    } else {
        l->failed++;
    }

    c->busy = false;
    l->busy--;

    if (l->o.rate == 0 && load_now() < l->end) {
        load_start(l, c, load_now());
    }

    return 1;
}


static void
load_lost(load_t *l, load_conn_t *c)
{
    l->failed++;
    l->busy--;

    close(c->fd);

    if (load_connect(l, c) != 0) {
        perror("load: connect");
        exit(1);
    }
}


static void
load_print(load_t *l)
{
    size_t    n;
    double    seconds;
    uint64_t  units;

    n = l->nsamples;
    qsort(l->samples, n, sizeof(uint32_t), load_compare);

    seconds = (double) (load_now() - l->begun) / 1e6;
    units = l->ok * (uint64_t) (l->o.mode == LOAD_BATCH ? l->o.batch : 1);

    printf("ok %lu failed %lu seconds %.3f per_second %.0f events %lu "
           "p50_us %u p95_us %u p99_us %u bytes %lu\n",
           (unsigned long) l->ok, (unsigned long) l->failed, seconds,
           (double) units / seconds, (unsigned long) units,
           n ? l->samples[n / 2] : 0, n ? l->samples[n * 95 / 100] : 0,
           n ? l->samples[n * 99 / 100] : 0, (unsigned long) l->bytes);
}


static int
load_compare(const void *a, const void *b)
{
    uint32_t  x, y;

    x = *(const uint32_t *) a;
    y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}


static int64_t
load_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
