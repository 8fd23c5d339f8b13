#include "webhook.h"

#include "http_client.h"
#include "log.h"

#include "../common/ly_base64.h"
#include "../common/ly_crypto.h"
#include "../common/ly_id.h"
#include "../common/ly_json.h"
#include "../common/ly_jw.h"
#include "../common/ly_seal.h"
#include "../common/ly_url.h"
#include "../common/ly_webhook.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>


#define WEBHOOK_FANOUT      500
#define WEBHOOK_ARENA       (16 * 1024 * 1024)
#define WEBHOOK_SIGNATURES  1024
#define WEBHOOK_SECRET_MAX  256

/* beyond the client's own time-out, so that a live attempt is never doubled */
#define WEBHOOK_LEASE       "60 seconds"


/* a delivery from its claim until its attempt is written down */
typedef struct {
    webhook_t       *webhook;
    unsigned char    tenant[LY_UUID_TEXT];
    unsigned char    delivery[LY_UUID_TEXT];
    unsigned char    token[LY_INT64_TEXT];
    size_t           token_len;
    int64_t          attempt;
    bool             used;
    bool             ended;

    int              status;
    int64_t          ms;
    int64_t          retry_after;
    const char      *error;
    size_t           body_len;
    unsigned char    body[HTTP_RESPONSE_KEEP];
} webhook_attempt_t;


struct webhook_s {
    http_guard_t        guard;
    http_client_t      *client;
    ly_crypto_t        *crypto;
    ly_keyring_t       *ring;
    ly_arena_t         *arena;
    unsigned char       schedule[256];      /* a PostgreSQL array */
    size_t              schedule_len;
    size_t              max;
    webhook_attempt_t  *attempts;
    size_t              pending;
};


/* one row of work.delivery_claim() */
typedef struct {
    ly_str_t            tenant;
    ly_str_t            delivery;
    ly_str_t            endpoint;
    ly_str_t            message;
    int64_t             attempt;
    ly_str_t            token;
    ly_str_t            url;
    ly_str_t            body;
    ly_str_t            tenant_key;
    ly_str_t            secrets;
} webhook_row_t;


/* the tenant's key, and whose secrets it opens */
typedef struct {
    ly_uuid_t           tenant;
    ly_uuid_t           endpoint;
    ly_key_t            key;
} webhook_keys_t;


static ly_err_t webhook_keyring(webhook_t *w, const char *path);
static ly_err_t webhook_schedule(webhook_t *w, const char *text);
static ly_err_t webhook_claim(webhook_t *w, db_t *db, size_t *moved);
static void webhook_start(webhook_t *w, const webhook_row_t *row);
static ly_err_t webhook_sign(webhook_t *w, const webhook_row_t *row,
    int64_t now, ly_buf_t *signatures);
static ly_err_t webhook_tenant_key(webhook_t *w, const webhook_row_t *row,
    webhook_keys_t *keys);
static ly_err_t webhook_sign_one(webhook_t *w, const webhook_row_t *row,
    const webhook_keys_t *keys, const ly_json_node_t *pair, int64_t now,
    ly_buf_t *signatures);
static void webhook_done(void *data, const http_result_t *result);
static ly_err_t webhook_settle(webhook_t *w, db_t *db);
static ly_err_t webhook_settle_one(webhook_t *w, db_t *db,
    webhook_attempt_t *attempt);
static webhook_attempt_t *webhook_attempt(webhook_t *w);


static const db_call_t  webhook_call_fanout = { "work.fanout", 1 };
static const db_call_t  webhook_call_claim = { "work.delivery_claim", 2 };
static const db_call_t  webhook_call_settle = { "work.delivery_settle", 9 };


ly_err_t
webhook_create(webhook_t **webhook, const webhook_options_t *options,
    const char **why)
{
    webhook_t  *w;

    *why = "memory";

    w = calloc(1, sizeof(webhook_t));
    if (w == NULL) {
        return LY_NOMEM;
    }

    w->max = (size_t) options->concurrency;
    w->attempts = calloc(w->max, sizeof(webhook_attempt_t));
    w->arena = ly_arena_create(WEBHOOK_ARENA, NULL);
    w->crypto = ly_crypto_create();

    if (w->attempts == NULL || w->arena == NULL || w->crypto == NULL) {
        webhook_destroy(w);
        return LY_NOMEM;
    }

    if (http_guard_init(&w->guard, ly_str_c(options->allow), NULL) != LY_OK) {
        *why = "webhook_allow";
        webhook_destroy(w);
        return LY_PARSE;
    }

    if (webhook_schedule(w, options->schedule) != LY_OK) {
        *why = "webhook_schedule";
        webhook_destroy(w);
        return LY_PARSE;
    }

    if (webhook_keyring(w, options->keyring) != LY_OK) {
        *why = "keyring";
        webhook_destroy(w);
        return LY_PARSE;
    }

    w->client = http_client_create(&w->guard,
                                   options->ca_file[0] == '\0'
                                   ? NULL : options->ca_file, w->max);
    if (w->client == NULL) {
        webhook_destroy(w);
        return LY_NOMEM;
    }

    *webhook = w;

    return LY_OK;
}


void
webhook_destroy(webhook_t *w)
{
    if (w == NULL) {
        return;
    }

    http_client_destroy(w->client);
    ly_keyring_destroy(w->ring);
    ly_crypto_destroy(w->crypto);
    ly_arena_destroy(w->arena);
    free(w->attempts);
    free(w);
}


size_t
webhook_pending(const webhook_t *w)
{
    return w->pending;
}


ly_err_t
webhook_turn(webhook_t *w, db_t *db, bool drain, int wake_fd, int wait_ms,
    size_t *moved)
{
    ly_err_t  err;

    *moved = 0;

    if (!drain) {
        err = webhook_claim(w, db, moved);

        if (err != LY_OK) {
            return err;
        }
    }

    if (*moved != 0) {
        wait_ms = 0;
    }

    if (http_client_run(w->client, wake_fd, wait_ms) != LY_OK) {
        return LY_FATAL;
    }

    return webhook_settle(w, db);
}


static ly_err_t
webhook_claim(webhook_t *w, db_t *db, size_t *moved)
{
    size_t         i, n;
    ly_err_t       err;
    ly_str_t       params[2];
    db_rows_t      rows;
    webhook_row_t  row;
    unsigned char  limit[LY_INT64_TEXT];

    ly_arena_reset(w->arena);

    n = ly_int64_print(WEBHOOK_FANOUT, limit);
    params[0] = ly_str_of(limit, n);

    err = db_call(db, w->arena, &webhook_call_fanout, params, &rows);
    if (err != LY_OK) {
        return err;
    }

    *moved = (size_t) db_int(&rows, 0, 0);

    if (w->pending == w->max) {
        return LY_OK;
    }

    n = ly_int64_print((int64_t) (w->max - w->pending), limit);
    params[0] = ly_str_of(limit, n);
    params[1] = ly_str(WEBHOOK_LEASE);

    err = db_call(db, w->arena, &webhook_call_claim, params, &rows);
    if (err != LY_OK) {
        return err;
    }

    for (i = 0; i < rows.rows; i++) {
        row.tenant = db_text(&rows, i, 0);
        row.delivery = db_text(&rows, i, 1);
        row.endpoint = db_text(&rows, i, 2);
        row.message = db_text(&rows, i, 3);
        row.attempt = db_int(&rows, i, 4);
        row.token = db_text(&rows, i, 5);
        row.url = db_text(&rows, i, 6);
        row.body = db_text(&rows, i, 7);
        row.tenant_key = db_text(&rows, i, 8);
        row.secrets = db_text(&rows, i, 9);

        webhook_start(w, &row);
    }

    *moved += rows.rows;

    return LY_OK;
}


/*
 * An attempt that cannot even start is settled like one that failed: it is
 * written down, and the schedule decides.
 */
static void
webhook_start(webhook_t *w, const webhook_row_t *row)
{
    size_t              n;
    int64_t             now;
    ly_buf_t            signatures;
    ly_err_t            err;
    http_header_t       headers[3];
    unsigned char       text[LY_INT64_TEXT], memory[WEBHOOK_SIGNATURES];
    webhook_attempt_t  *attempt;

    attempt = webhook_attempt(w);
    if (attempt == NULL
        || row->tenant.len != LY_UUID_TEXT
        || row->delivery.len != LY_UUID_TEXT
        || row->token.len > LY_INT64_TEXT)
    {
        return;     /* the lease ends and it is claimed again */
    }

    memset(attempt, 0, sizeof(webhook_attempt_t));

    attempt->webhook = w;
    attempt->used = true;
    attempt->attempt = row->attempt;
    attempt->token_len = row->token.len;

    memcpy(attempt->tenant, row->tenant.data, LY_UUID_TEXT);
    memcpy(attempt->delivery, row->delivery.data, LY_UUID_TEXT);
    memcpy(attempt->token, row->token.data, row->token.len);

    w->pending++;

    now = clock_ms() / 1000;
    n = ly_int64_print(now, text);

    ly_buf_init_fixed(&signatures, memory, sizeof(memory));

    err = webhook_sign(w, row, now, &signatures);

    if (err != LY_OK) {
        attempt->ended = true;
        attempt->error = "secret_unavailable";

        log_line(LY_LOG_ERROR, "webhook secret cannot be opened",
                 ly_log_str("tenant", row->tenant),
                 ly_log_str("endpoint", row->endpoint),
                 ly_log_cstr("err", ly_err_name(err)));
        return;
    }

    headers[0].name = ly_str("webhook-id");
    headers[0].value = row->message;
    headers[1].name = ly_str("webhook-timestamp");
    headers[1].value = ly_str_of(text, n);
    headers[2].name = ly_str("webhook-signature");
    headers[2].value = ly_buf_view(&signatures);

    err = http_client_post(w->client, row->url, headers, ly_countof(headers),
                           row->body, webhook_done, attempt);

    if (err != LY_OK) {
        attempt->ended = true;
        attempt->error = (err == LY_DENIED) ? "address_refused"
                                            : "request_failed";
    }
}


static ly_err_t
webhook_sign(webhook_t *w, const webhook_row_t *row, int64_t now,
    ly_buf_t *signatures)
{
    ly_err_t               err;
    webhook_keys_t         keys;
    ly_json_node_t        *list;
    const ly_json_node_t  *node;

    err = ly_json_parse(w->arena, row->secrets, NULL, &list, NULL);
    if (err != LY_OK) {
        return err;
    }

    err = webhook_tenant_key(w, row, &keys);
    if (err != LY_OK) {
        return err;
    }

    err = (list->first == NULL) ? LY_NOTFOUND : LY_OK;

    for (node = list->first; err == LY_OK && node != NULL; node = node->next) {
        err = webhook_sign_one(w, row, &keys, node, now, signatures);
    }

    ly_key_wipe(&keys.key);

    return err;
}


static ly_err_t
webhook_tenant_key(webhook_t *w, const webhook_row_t *row,
    webhook_keys_t *keys)
{
    size_t         len;
    ly_err_t       err;
    unsigned char  wrapped[2 * LY_WRAPPED_LEN];

    if (ly_uuid_parse(row->tenant, &keys->tenant) != LY_OK
        || ly_uuid_parse(row->endpoint, &keys->endpoint) != LY_OK)
    {
        return LY_PARSE;
    }

    err = ly_base64_decode(row->tenant_key, wrapped, sizeof(wrapped), &len);
    if (err != LY_OK) {
        return err;
    }

    return ly_tenant_key_unwrap(w->crypto, w->ring, &keys->tenant,
                                ly_str_of(wrapped, len), &keys->key);
}


/* pair: [wrapped key of the secret, sealed secret], base64 */
static ly_err_t
webhook_sign_one(webhook_t *w, const webhook_row_t *row,
    const webhook_keys_t *keys, const ly_json_node_t *pair, int64_t now,
    ly_buf_t *signatures)
{
    size_t             len;
    ly_key_t           key;
    ly_buf_t           secret;
    ly_err_t           err;
    ly_str_t           wrapped, sealed;
    unsigned char      bytes[WEBHOOK_SECRET_MAX], plain[WEBHOOK_SECRET_MAX];
    ly_webhook_key_t  *signer;

    if (ly_json_string(ly_json_at(pair, 0), &wrapped) != LY_OK
        || ly_json_string(ly_json_at(pair, 1), &sealed) != LY_OK
        || ly_base64_decode(wrapped, bytes, sizeof(bytes), &len) != LY_OK)
    {
        return LY_PARSE;
    }

    err = ly_data_key_unwrap(w->crypto, &keys->key, &keys->tenant,
                             &keys->endpoint, ly_str_of(bytes, len), &key);
    if (err != LY_OK) {
        return err;
    }

    ly_buf_init_fixed(&secret, plain, sizeof(plain));

    err = ly_base64_decode(sealed, bytes, sizeof(bytes), &len);

    if (err == LY_OK) {
        err = ly_field_open(w->crypto, &key, &keys->tenant, &keys->endpoint,
                            ly_str("secret"), ly_str_of(bytes, len), &secret);
    }

    ly_key_wipe(&key);

    if (err == LY_OK) {
        err = ly_webhook_key_parse(w->crypto, ly_buf_view(&secret), &signer);
    }

    ly_secret_wipe(plain, sizeof(plain));

    if (err != LY_OK) {
        return err;
    }

    err = ly_webhook_sign(signer, row->message, now, row->body, signatures);

    ly_webhook_key_destroy(signer);

    return err;
}


static void
webhook_done(void *data, const http_result_t *result)
{
    webhook_attempt_t  *attempt;

    attempt = data;

    attempt->ended = true;
    attempt->status = result->status;
    attempt->ms = result->ms;
    attempt->retry_after = result->retry_after;
    attempt->error = result->error;
    attempt->body_len = 0;

    /* kept as text: what a receiver sends need not be one */
    if (result->body.len != 0 && ly_utf8_valid(result->body)
        && memchr(result->body.data, '\0', result->body.len) == NULL)
    {
        attempt->body_len = result->body.len;
        memcpy(attempt->body, result->body.data, result->body.len);
    }
}


static ly_err_t
webhook_settle(webhook_t *w, db_t *db)
{
    size_t              i;
    ly_err_t            err;
    webhook_attempt_t  *attempt;

    for (i = 0; i < w->max; i++) {
        attempt = &w->attempts[i];

        if (!attempt->used || !attempt->ended) {
            continue;
        }

        err = webhook_settle_one(w, db, attempt);

        if (err == LY_TEMP || err == LY_NOMEM) {
            return err;
        }

        attempt->used = false;
        w->pending--;
    }

    return LY_OK;
}


static ly_err_t
webhook_settle_one(webhook_t *w, db_t *db, webhook_attempt_t *attempt)
{
    size_t         n, p;
    ly_err_t       err;
    ly_str_t       params[9], state;
    db_rows_t      rows;
    unsigned char  status[LY_INT64_TEXT], ms[LY_INT64_TEXT],
                   wait[LY_INT64_TEXT];

    p = 0;

    params[p++] = ly_str_of(attempt->tenant, LY_UUID_TEXT);
    params[p++] = ly_str_of(attempt->delivery, LY_UUID_TEXT);
    params[p++] = ly_str_of(attempt->token, attempt->token_len);

    n = ly_int64_print(attempt->status, status);
    params[p++] = ly_str_of(status, n);

    n = ly_int64_print(attempt->ms, ms);
    params[p++] = ly_str_of(ms, n);

    params[p++] = (attempt->error == NULL) ? (ly_str_t) { 0, NULL }
                                           : ly_str_c(attempt->error);
    params[p++] = ly_str_of(attempt->body, attempt->body_len);

    n = ly_int64_print(attempt->retry_after, wait);
    params[p++] = ly_str_of(wait, n);

    params[p] = ly_str_of(w->schedule, w->schedule_len);

    ly_arena_reset(w->arena);

    err = db_call(db, w->arena, &webhook_call_settle, params, &rows);
    if (err != LY_OK) {
        return err;
    }

    state = db_text(&rows, 0, 0);

    log_line(attempt->error == NULL ? LY_LOG_INFO : LY_LOG_WARN,
             "delivery attempted",
             ly_log_str("tenant", ly_str_of(attempt->tenant, LY_UUID_TEXT)),
             ly_log_str("delivery",
                        ly_str_of(attempt->delivery, LY_UUID_TEXT)),
             ly_log_int("attempt", attempt->attempt),
             ly_log_int("status", attempt->status),
             ly_log_int("ms", attempt->ms),
             ly_log_cstr("err", attempt->error),
             ly_log_str("state", state.data == NULL ? ly_str("stale")
                                                    : state));

    return LY_OK;
}


static webhook_attempt_t *
webhook_attempt(webhook_t *w)
{
    size_t  i;

    for (i = 0; i < w->max; i++) {
        if (!w->attempts[i].used) {
            return &w->attempts[i];
        }
    }

    return NULL;
}


static ly_err_t
webhook_keyring(webhook_t *w, const char *path)
{
    int            fd;
    ssize_t        n;
    ly_err_t       err;
    unsigned char  text[LY_KEYRING_MAX];

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1) {
        return LY_NOTFOUND;
    }

    n = read(fd, text, sizeof(text));

    if (close(fd) == -1 || n <= 0) {
        return LY_TEMP;
    }

    err = ly_keyring_parse(ly_str_of(text, (size_t) n), &w->ring, NULL);

    ly_secret_wipe(text, sizeof(text));

    return err;
}


/* "5 300 1800" becomes the array text {5,300,1800} */
static ly_err_t
webhook_schedule(webhook_t *w, const char *text)
{
    size_t       n;
    int64_t      seconds;
    ly_buf_t     b;
    ly_str_t     word;
    const char  *p, *end;

    ly_buf_init_fixed(&b, w->schedule, sizeof(w->schedule));
    ly_buf_byte(&b, '{');

    n = 0;

    for (p = text; *p != '\0'; p = end) {

        while (*p == ' ') {
            p++;
        }

        for (end = p; *end != '\0' && *end != ' '; end++) { /* void */ }

        if (end == p) {
            break;
        }

        word = ly_str_of(p, (size_t) (end - p));

        if (n == WEBHOOK_RETRIES_MAX
            || ly_int64_parse(word, &seconds) != LY_OK
            || seconds < 0 || seconds > 604800)
        {
            return LY_PARSE;
        }

        if (n != 0) {
            ly_buf_byte(&b, ',');
        }

        ly_buf_int(&b, seconds);
        n++;
    }

    ly_buf_byte(&b, '}');
    w->schedule_len = b.len;

    return ly_buf_err(&b);
}
