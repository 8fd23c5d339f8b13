/* The public API over libcurl. */

#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "api.h"
#include "ly_hex.h"
#include "ly_url.h"
#include "ly_banned.h"


#define CONNECT_MS  5000L
#define CALL_MS     90000L      /* longer than the server's own limits */

typedef struct {
    CURL          *easy;
    api_answer_t   answer;
    bool           busy;
} slot_t;

struct api_s {
    cli_t              *c;
    const char         *url;
    const char         *ca;
    bool                local;
    struct curl_slist  *headers;
    slot_t              one;
};

struct api_many_s {
    api_t     *api;
    CURLM     *multi;
    slot_t    *slot;
    unsigned   n;
};


static CURL *easy(api_t *api, slot_t *s);
static int target(api_t *api, slot_t *s, const char *path);
static size_t on_body(char *data, size_t size, size_t n, void *arg);
static size_t on_header(char *data, size_t size, size_t n, void *arg);
static void begin(slot_t *s);
static void finish(slot_t *s, CURLcode rc);
static bool is_local(const char *url);
static void say_field(const ly_json_node_t *problem, const char *name,
    const char *lead);


api_t *
api_open(cli_t *c, int *code)
{
    api_t     *api;
    ly_buf_t   b;
    ly_str_t   key;

    *code = CLI_USAGE;

    api = ly_arena_zalloc(c->arena, sizeof(api_t));
    if (api == NULL) {
        *code = cli_nomem(c);
        return NULL;
    }

    api->c = c;
    api->url = cli_setting(c, NULL, "LOYALTY_URL", NULL);
    api->ca = cli_setting(c, NULL, "LOYALTY_CA", NULL);

    if (api->url == NULL) {
        (void) cli_fail(c, CLI_USAGE, "LOYALTY_URL is not set");
        cli_hint(c, "https://TENANT.DOMAIN");
        return NULL;
    }

    *code = cli_secret(c, "api-key-file", "LOYALTY_SECRET_KEY", &key);
    if (*code != CLI_OK) {
        return NULL;
    }

    if (key.len == 0) {
        *code = cli_fail(c, CLI_AUTH, "no API key: LOYALTY_SECRET_KEY or "
                         "--api-key-file");
        return NULL;
    }

    ly_buf_init_arena(&b, c->arena, 8192);
    ly_buf_cstr(&b, "Authorization: Bearer ");
    ly_buf_str(&b, key);
    ly_buf_byte(&b, '\0');

    *code = CLI_FAILED;

    if (ly_buf_err(&b) != LY_OK
        || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
    {
        (void) cli_nomem(c);
        return NULL;
    }

    api->local = is_local(api->url);
    api->headers = curl_slist_append(NULL, (char *) b.data);
    api->headers = curl_slist_append(api->headers,
                                     "Content-Type: application/json");
    api->headers = curl_slist_append(api->headers, "Expect:");

    if (api->headers == NULL || easy(api, &api->one) == NULL) {
        (void) cli_nomem(c);
        return NULL;
    }

    *code = CLI_OK;

    return api;
}


void
api_close(api_t *api)
{
    if (api == NULL) {
        return;
    }

    curl_easy_cleanup(api->one.easy);
    curl_slist_free_all(api->headers);
    ly_buf_free(&api->one.answer.body);
    curl_global_cleanup();
}


api_answer_t *
api_call(api_t *api, const char *method, const char *path, ly_str_t body)
{
    CURL  *h;

    h = api->one.easy;
    begin(&api->one);

    if (target(api, &api->one, path) != 0) {
        return &api->one.answer;
    }

    (void) curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);

    if (body.len > 0) {
        (void) curl_easy_setopt(h, CURLOPT_POSTFIELDS, body.data);
        (void) curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE,
                                (curl_off_t) body.len);
    } else {
        (void) curl_easy_setopt(h, CURLOPT_HTTPGET, 1L);
        (void) curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
    }

    finish(&api->one, curl_easy_perform(h));

    return &api->one.answer;
}


int
api_verdict(cli_t *c, const api_answer_t *a)
{
    ly_str_t         title;
    ly_json_node_t  *problem;

    if (a->status >= 200 && a->status < 300) {
        return CLI_OK;
    }

    if (a->status == 0) {
        return cli_fail(c, CLI_AWAY, "%s", a->error);
    }

    problem = NULL;

    if (ly_json_parse(c->arena, ly_buf_view(&a->body), NULL, &problem, NULL)
        != LY_OK
        || ly_json_string(ly_json_member(problem, ly_str("title")), &title)
        != LY_OK)
    {
        title = ly_str("");
    }

    (void) cli_fail(c, CLI_FAILED, "HTTP %ld %.*s", a->status,
                    (int) title.len, title.data == NULL
                                     ? "" : (const char *) title.data);

    say_field(problem, "code", "code");
    say_field(problem, "detail", "detail");

    if (a->request[0] != '\0') {
        (void) fprintf(stderr, "request: %s\n", a->request);
    }

    if (c->json && problem != NULL) {
        (void) fwrite(a->body.data, 1, a->body.len, stderr);
        (void) fputc('\n', stderr);
    }

    switch (a->status) {
    case 401:
    case 403:
        return CLI_AUTH;
    case 404:
        return CLI_NOTFOUND;
    case 409:
    case 412:
    case 428:
        return CLI_CONFLICT;
    case 429:
    case 503:
        return CLI_AWAY;
    default:
        return (a->status < 500) ? CLI_REJECTED : CLI_AWAY;
    }
}


void
api_segment(ly_buf_t *b, ly_str_t s)
{
    size_t         i;
    unsigned char  ch;

    for (i = 0; i < s.len; i++) {
        ch = s.data[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
            || (ch >= '0' && ch <= '9')
            || ch == '-' || ch == '_' || ch == '.' || ch == '~' || ch == ':')
        {
            ly_buf_byte(b, ch);

        } else {
            ly_buf_byte(b, '%');
            ly_hex_put(b, ly_str_of(&s.data[i], 1));
        }
    }
}


api_many_t *
api_many(api_t *api, unsigned slots, const char *path)
{
    unsigned     i;
    api_many_t  *m;

    m = ly_arena_zalloc(api->c->arena, sizeof(api_many_t));
    if (m == NULL) {
        return NULL;
    }

    m->api = api;
    m->n = slots;
    m->multi = curl_multi_init();
    m->slot = ly_arena_array(api->c->arena, slots, sizeof(slot_t));

    if (m->multi == NULL || m->slot == NULL) {
        return NULL;
    }

    for (i = 0; i < slots; i++) {
        if (easy(api, &m->slot[i]) == NULL
            || target(api, &m->slot[i], path) != 0)
        {
            return NULL;
        }

        (void) curl_easy_setopt(m->slot[i].easy, CURLOPT_POST, 1L);
        (void) curl_easy_setopt(m->slot[i].easy, CURLOPT_PRIVATE,
                                &m->slot[i]);
    }

    return m;
}


void
api_many_close(api_many_t *m)
{
    unsigned  i;

    if (m == NULL) {
        return;
    }

    for (i = 0; i < m->n; i++) {
        if (m->slot[i].busy) {
            (void) curl_multi_remove_handle(m->multi, m->slot[i].easy);
        }

        curl_easy_cleanup(m->slot[i].easy);
        ly_buf_free(&m->slot[i].answer.body);
    }

    (void) curl_multi_cleanup(m->multi);
}


int
api_many_start(api_many_t *m, unsigned slot, ly_str_t body)
{
    slot_t  *s;

    s = &m->slot[slot];
    begin(s);

    (void) curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, body.data);
    (void) curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                            (curl_off_t) body.len);

    if (curl_multi_add_handle(m->multi, s->easy) != CURLM_OK) {
        return -1;
    }

    s->busy = true;

    return 0;
}


int
api_many_done(api_many_t *m, int ms)
{
    int       running, left;
    void     *p;
    slot_t   *s;
    CURLMsg  *msg;

    (void) curl_multi_perform(m->multi, &running);
    msg = curl_multi_info_read(m->multi, &left);

    if (msg == NULL && ms > 0) {
        (void) curl_multi_poll(m->multi, NULL, 0, ms, NULL);
        (void) curl_multi_perform(m->multi, &running);
        msg = curl_multi_info_read(m->multi, &left);
    }

    if (msg == NULL || msg->msg != CURLMSG_DONE) {
        return -1;
    }

    (void) curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &p);
    s = p;
    finish(s, msg->data.result);
    (void) curl_multi_remove_handle(m->multi, s->easy);
    s->busy = false;

    return (int) (s - m->slot);
}


api_answer_t *
api_many_answer(api_many_t *m, unsigned slot)
{
    return &m->slot[slot].answer;
}


static CURL *
easy(api_t *api, slot_t *s)
{
    CURL  *h;

    h = curl_easy_init();
    if (h == NULL) {
        return NULL;
    }

    s->easy = h;
    ly_buf_init(&s->answer.body, API_ANSWER_MAX, NULL);

    (void) curl_easy_setopt(h, CURLOPT_HTTPHEADER, api->headers);
    (void) curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    (void) curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    (void) curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    (void) curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    (void) curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, CALL_MS);
    (void) curl_easy_setopt(h, CURLOPT_USERAGENT, "loyalty/" CLI_VERSION);
    (void) curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    (void) curl_easy_setopt(h, CURLOPT_WRITEDATA, s);
    (void) curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    (void) curl_easy_setopt(h, CURLOPT_HEADERDATA, s);
    (void) curl_easy_setopt(h, CURLOPT_ERRORBUFFER, s->answer.error);

    if (api->ca != NULL) {
        (void) curl_easy_setopt(h, CURLOPT_CAINFO, api->ca);
    }

    if (api->local) {
        /* no proxy knows this machine's own names */
        (void) curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
        (void) curl_easy_setopt(h, CURLOPT_IPRESOLVE, CURL_IPRESOLVE_V4);
    }

    if (api->c->verbose > 1) {
        (void) curl_easy_setopt(h, CURLOPT_VERBOSE, 1L);
    }

    return h;
}


static int
target(api_t *api, slot_t *s, const char *path)
{
    size_t    len;
    ly_buf_t  b;

    len = strlen(api->url);

    while (len > 0 && api->url[len - 1] == '/') {
        len--;
    }

    ly_buf_init(&b, 16384, NULL);
    ly_buf_put(&b, api->url, len);
    ly_buf_cstr(&b, path);
    ly_buf_byte(&b, '\0');

    if (ly_buf_err(&b) != LY_OK
        || curl_easy_setopt(s->easy, CURLOPT_URL, (char *) b.data) != CURLE_OK)
    {
        (void) snprintf(s->answer.error, sizeof(s->answer.error),
                        "the address is too long");
        ly_buf_free(&b);
        return -1;
    }

    ly_buf_free(&b);

    return 0;
}


static void
begin(slot_t *s)
{
    s->answer.status = 0;
    s->answer.retry_after = -1;
    s->answer.request[0] = '\0';
    s->answer.error[0] = '\0';
    s->answer.hopeless = false;
    ly_buf_reset(&s->answer.body);
}


static void
finish(slot_t *s, CURLcode rc)
{
    if (rc != CURLE_OK) {
        s->answer.status = 0;
        s->answer.hopeless = rc == CURLE_PEER_FAILED_VERIFICATION
                             || rc == CURLE_SSL_CACERT_BADFILE
                             || rc == CURLE_URL_MALFORMAT
                             || rc == CURLE_UNSUPPORTED_PROTOCOL;

        if (s->answer.error[0] == '\0') {
            (void) snprintf(s->answer.error, sizeof(s->answer.error), "%s",
                            curl_easy_strerror(rc));
        }

        return;
    }

    (void) curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE,
                             &s->answer.status);
}


static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
    slot_t  *s = arg;

    ly_buf_put(&s->answer.body, data, size * n);

    return ly_buf_err(&s->answer.body) == LY_OK ? size * n : 0;
}


static size_t
on_header(char *data, size_t size, size_t n, void *arg)
{
    size_t    len;
    slot_t   *s = arg;
    ly_str_t  v;

    static const char  retry[] = "retry-after:", id[] = "x-request-id:";

    len = size * n;

    while (len > 0 && (data[len - 1] == '\r' || data[len - 1] == '\n'
                       || data[len - 1] == ' '))
    {
        len--;
    }

    if (len > sizeof(retry)
        && strncasecmp(data, retry, sizeof(retry) - 1) == 0)
    {
        v = ly_str_of(data + sizeof(retry) - 1, len - sizeof(retry) + 1);

        while (v.len > 0 && v.data[0] == ' ') {
            v.data++;
            v.len--;
        }

        if (ly_int64_parse(v, &s->answer.retry_after) != LY_OK) {
            s->answer.retry_after = -1;
        }

    } else if (len > sizeof(id) && strncasecmp(data, id, sizeof(id) - 1) == 0
               && len - sizeof(id) < sizeof(s->answer.request))
    {
        (void) snprintf(s->answer.request, sizeof(s->answer.request), "%.*s",
                        (int) (len - sizeof(id)), data + sizeof(id));
    }

    return size * n;
}


static bool
is_local(const char *url)
{
    size_t    len;
    ly_url_t  u;

    if (ly_url_parse(ly_str_c(url), &u) != LY_OK) {
        return false;
    }

    len = sizeof("localhost") - 1;

    return ly_str_eq(u.host, ly_str("127.0.0.1"))
           || (u.host.len >= len
               && strncasecmp((const char *) u.host.data + u.host.len - len,
                              "localhost", len) == 0);
}


static void
say_field(const ly_json_node_t *problem, const char *name, const char *lead)
{
    ly_str_t  s;

    if (ly_json_string(ly_json_member(problem, ly_str_c(name)), &s) == LY_OK
        && s.len > 0)
    {
        (void) fprintf(stderr, "%s: %.*s\n", lead, (int) s.len,
                       (const char *) s.data);
    }
}
