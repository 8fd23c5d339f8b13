#include "http_client.h"

#include "../common/ly_buf.h"
#include "../common/ly_url.h"

#include <stdlib.h>
#include <string.h>


/* a header line; the signatures of a rotation are the longest */
#define HTTP_LINE_MAX  4096


typedef struct {
    CURL                *curl;
    http_client_t       *client;
    http_guard_watch_t   watch;
    struct curl_slist   *headers;
    ly_buf_t             url;
    ly_buf_t             body;
    ly_buf_t             response;
    size_t               received;
    bool                 cut;
    http_done_pt         done;
    void                *data;
    bool                 used;
} http_transfer_t;


struct http_client_s {
    CURLM               *multi;
    const http_guard_t  *guard;
    const char          *ca_file;
    size_t               max;
    size_t               running;
    http_transfer_t     *transfers;
};


static http_transfer_t *http_transfer_get(http_client_t *client);
static ly_err_t http_transfer_fill(http_transfer_t *t, ly_str_t url,
    const http_header_t *headers, size_t nheaders, ly_str_t body);
static ly_err_t http_transfer_header(http_transfer_t *t, ly_str_t name,
    ly_str_t value);
static ly_err_t http_transfer_options(http_transfer_t *t);
static size_t http_transfer_write(char *data, size_t size, size_t n,
    void *transfer);
static void http_transfer_end(http_transfer_t *t, CURLcode code);
static void http_transfer_free(http_transfer_t *t);
static const char *http_error_text(const http_transfer_t *t, CURLcode code);


http_client_t *
http_client_create(const http_guard_t *guard, const char *ca_file, size_t max)
{
    http_client_t  *client;

    client = calloc(1, sizeof(http_client_t));
    if (client == NULL) {
        return NULL;
    }

    client->guard = guard;
    client->ca_file = ca_file;
    client->max = max;
    client->transfers = calloc(max, sizeof(http_transfer_t));
    client->multi = curl_multi_init();

    if (client->transfers == NULL || client->multi == NULL) {
        http_client_destroy(client);
        return NULL;
    }

    return client;
}


void
http_client_destroy(http_client_t *client)
{
    size_t  i;

    if (client == NULL) {
        return;
    }

    for (i = 0; client->transfers != NULL && i < client->max; i++) {
        http_transfer_free(&client->transfers[i]);
    }

    if (client->multi != NULL) {
        curl_multi_cleanup(client->multi);
    }

    free(client->transfers);
    free(client);
}


size_t
http_client_running(const http_client_t *client)
{
    return client->running;
}


size_t
http_client_room(const http_client_t *client)
{
    return client->max - client->running;
}


ly_err_t
http_client_post(http_client_t *client, ly_str_t url,
    const http_header_t *headers, size_t nheaders, ly_str_t body,
    http_done_pt done, void *data)
{
    ly_err_t          err;
    http_transfer_t  *t;

    if (nheaders > HTTP_HEADERS_MAX) {
        return LY_LIMIT;
    }

    err = http_guard_url(client->guard, url);
    if (err != LY_OK) {
        return err;
    }

    t = http_transfer_get(client);
    if (t == NULL) {
        return LY_LIMIT;
    }

    t->done = done;
    t->data = data;

    err = http_transfer_fill(t, url, headers, nheaders, body);

    if (err == LY_OK
        && curl_multi_add_handle(client->multi, t->curl) != CURLM_OK)
    {
        err = LY_FATAL;
    }

    if (err != LY_OK) {
        http_transfer_free(t);
        return err;
    }

    return LY_OK;
}


ly_err_t
http_client_run(http_client_t *client, int wake_fd, int timeout_ms)
{
    int                  left, active;
    CURLMsg             *msg;
    CURLcode             code;
    http_transfer_t     *t;
    struct curl_waitfd   wake;

    if (curl_multi_perform(client->multi, &active) != CURLM_OK) {
        return LY_FATAL;
    }

    wake.fd = wake_fd;
    wake.events = CURL_WAIT_POLLIN;
    wake.revents = 0;

    if (curl_multi_poll(client->multi, &wake, wake_fd == -1 ? 0 : 1,
                        timeout_ms, NULL)
        != CURLM_OK
        || curl_multi_perform(client->multi, &active) != CURLM_OK)
    {
        return LY_FATAL;
    }

    for ( ;; ) {
        msg = curl_multi_info_read(client->multi, &left);

        if (msg == NULL) {
            return LY_OK;
        }

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }

        code = msg->data.result;

        if (curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &t)
            != CURLE_OK)
        {
            return LY_FATAL;
        }

        http_transfer_end(t, code);
    }
}


static http_transfer_t *
http_transfer_get(http_client_t *client)
{
    size_t            i;
    http_transfer_t  *t;

    for (i = 0; i < client->max; i++) {
        t = &client->transfers[i];

        if (t->used) {
            continue;
        }

        memset(t, 0, sizeof(http_transfer_t));

        t->curl = curl_easy_init();
        if (t->curl == NULL) {
            return NULL;
        }

        t->used = true;
        t->client = client;
        client->running++;

        ly_buf_init(&t->url, LY_URL_MAX + 1, NULL);
        ly_buf_init(&t->body, (size_t) 1 << 20, NULL);
        ly_buf_init(&t->response, HTTP_RESPONSE_KEEP, NULL);

        return t;
    }

    return NULL;
}


static ly_err_t
http_transfer_fill(http_transfer_t *t, ly_str_t url,
    const http_header_t *headers, size_t nheaders, ly_str_t body)
{
    size_t    i;
    ly_err_t  err;

    ly_buf_str(&t->url, url);
    ly_buf_byte(&t->url, '\0');
    ly_buf_str(&t->body, body);

    if (ly_buf_err(&t->url) != LY_OK || ly_buf_err(&t->body) != LY_OK) {
        return LY_LIMIT;
    }

    err = http_transfer_header(t, ly_str("content-type"),
                               ly_str("application/json"));

    /* libcurl would wait for a 100 that many receivers never send */
    if (err == LY_OK) {
        err = http_transfer_header(t, ly_str("expect"), ly_str(""));
    }

    for (i = 0; err == LY_OK && i < nheaders; i++) {
        err = http_transfer_header(t, headers[i].name, headers[i].value);
    }

    if (err != LY_OK) {
        return err;
    }

    return http_transfer_options(t);
}


static ly_err_t
http_transfer_header(http_transfer_t *t, ly_str_t name, ly_str_t value)
{
    size_t              i;
    char                line[HTTP_LINE_MAX];
    ly_buf_t            b;
    struct curl_slist  *list;

    for (i = 0; i < value.len; i++) {
        if (value.data[i] < 0x20 || value.data[i] == 0x7f) {
            return LY_DENIED;
        }
    }

    ly_buf_init_fixed(&b, line, sizeof(line));
    ly_buf_str(&b, name);
    ly_buf_cstr(&b, value.len == 0 ? ":" : ": ");
    ly_buf_str(&b, value);
    ly_buf_byte(&b, '\0');

    if (ly_buf_err(&b) != LY_OK) {
        return LY_LIMIT;
    }

    list = curl_slist_append(t->headers, line);
    if (list == NULL) {
        return LY_NOMEM;
    }

    t->headers = list;

    return LY_OK;
}


static ly_err_t
http_transfer_options(http_transfer_t *t)
{
    CURL  *c;

    c = t->curl;

    if (curl_easy_setopt(c, CURLOPT_URL, t->url.data) != CURLE_OK
        || curl_easy_setopt(c, CURLOPT_PRIVATE, t) != CURLE_OK
        || curl_easy_setopt(c, CURLOPT_POST, 1L) != CURLE_OK
        || curl_easy_setopt(c, CURLOPT_POSTFIELDS, t->body.data) != CURLE_OK
        || curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE,
                            (curl_off_t) t->body.len) != CURLE_OK
        || curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers) != CURLE_OK
        || curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                            (long) HTTP_CONNECT_MS) != CURLE_OK
        || curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long) HTTP_TOTAL_MS)
        != CURLE_OK
        || curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, http_transfer_write)
        != CURLE_OK
        || curl_easy_setopt(c, CURLOPT_WRITEDATA, t) != CURLE_OK
        || curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) != CURLE_OK
        || curl_easy_setopt(c, CURLOPT_USERAGENT, "loyalty-webhooks/1")
        != CURLE_OK
        || curl_easy_setopt(c, CURLOPT_SSLVERSION,
                            (long) CURL_SSLVERSION_TLSv1_2) != CURLE_OK)
    {
        return LY_FATAL;
    }

    if (t->client->ca_file != NULL
        && curl_easy_setopt(c, CURLOPT_CAINFO, t->client->ca_file) != CURLE_OK)
    {
        return LY_FATAL;
    }

    return http_guard_watch(&t->watch, t->client->guard, c);
}


/*
 * MAXFILESIZE does not see chunked bodies, so the bound is here: past it the
 * transfer is broken off and the status that came counts.
 */
static size_t
http_transfer_write(char *data, size_t size, size_t n, void *transfer)
{
    size_t            bytes, room;
    http_transfer_t  *t;

    t = transfer;
    bytes = size * n;

    room = HTTP_RESPONSE_KEEP - t->response.len;
    ly_buf_put(&t->response, data, bytes < room ? bytes : room);

    t->received += bytes;

    if (t->received > HTTP_BODY_MAX) {
        t->cut = true;
        return 0;
    }

    return bytes;
}


static void
http_transfer_end(http_transfer_t *t, CURLcode code)
{
    void           *data;
    long            status;
    curl_off_t      us, wait;
    http_done_pt    done;
    http_result_t   result;

    status = 0;
    us = 0;
    wait = 0;

    /* each of the three leaves its zero where curl knows nothing */
    (void) curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    (void) curl_easy_getinfo(t->curl, CURLINFO_TOTAL_TIME_T, &us);
    (void) curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &wait);

    memset(&result, 0, sizeof(http_result_t));

    result.ms = us / 1000;
    result.retry_after = wait;
    result.body = ly_buf_view(&t->response);

    if (code == CURLE_OK || (t->cut && code == CURLE_WRITE_ERROR)) {
        result.status = (int) status;

    } else {
        result.error = http_error_text(t, code);
    }

    done = t->done;
    data = t->data;

    done(data, &result);

    http_transfer_free(t);
}


static void
http_transfer_free(http_transfer_t *t)
{
    if (!t->used) {
        return;
    }

    /* a handle that was never added is refused, which is fine */
    (void) curl_multi_remove_handle(t->client->multi, t->curl);

    curl_easy_cleanup(t->curl);
    curl_slist_free_all(t->headers);

    ly_buf_free(&t->url);
    ly_buf_free(&t->body);
    ly_buf_free(&t->response);

    t->used = false;
    t->client->running--;
}


/*
 * Constant texts: what an internal port answered must not show.  A refused
 * address and a refused connection read alike to the tenant.
 */
static const char *
http_error_text(const http_transfer_t *t, CURLcode code)
{
    if (t->watch.refused != NULL) {
        return "address_refused";
    }

    switch (code) {

    case CURLE_COULDNT_RESOLVE_HOST:
        return "host_not_found";

    case CURLE_OPERATION_TIMEDOUT:
        return "timeout";

    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return "tls_failed";

    case CURLE_COULDNT_CONNECT:
        return "connection_failed";

    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return "connection_lost";

    default:
        return "request_failed";
    }
}
