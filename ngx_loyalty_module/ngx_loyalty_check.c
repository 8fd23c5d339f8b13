/*
 * Checks of a credential in the database.  One call per credential is under
 * way at a time, whoever needs its answer waits for it, and the answer is
 * remembered for a moment by this process.
 */

#include "ngx_loyalty_auth.h"
#include "ngx_loyalty_local.h"
#include "ly_hex.h"


#define NGX_LOYALTY_CHECK_GOOD     1000     /* ms that an answer holds */
#define NGX_LOYALTY_CHECK_BAD      5000
#define NGX_LOYALTY_CHECK_RECORD   16384    /* bytes of a key's record */
#define NGX_LOYALTY_CHECK_MAX      1024     /* credentials under way */


enum {
    NGX_LOYALTY_CHECK_KEY = 2,              /* the feed has 0 and 1 */
    NGX_LOYALTY_CHECK_TOKEN
};

static const ngx_loyalty_pg_statement_t  ngx_loyalty_check_key = {
    NGX_LOYALTY_CHECK_KEY, "dir_credential",
    "select dir.credential($1::bytea)", 1
};

/* each gives {"revoked":true|false,"not_before":us|null,…} */
static const ngx_loyalty_pg_statement_t  ngx_loyalty_check_token = {
    NGX_LOYALTY_CHECK_TOKEN, "dir_session_check",
    "select dir.session_check($1::uuid, 'session', $2),"
    " dir.session_check($1::uuid, $3, $4),"
    " dir.session_check($1::uuid, 'tenant', $1::text),"
    " dir.session_check($1::uuid, 'kid', $5)", 5
};


typedef struct {
    ngx_queue_t              queue;         /* of auth->checks */
    ngx_queue_t              waiters;
    ngx_loyalty_pg_call_t    call;
    const char              *values[5];
    ngx_loyalty_auth_want_t  want;
    char                     tenant[LY_UUID_TEXT + 1];
    char                     text[2 + 64 + 1];
    char                     session[129];
    char                     subject[LY_UUID_TEXT + 1];
    char                     kid[65];
} ngx_loyalty_check_t;

typedef struct {
    u_char                   digest[32];
    ngx_msec_t               until;
    ngx_int_t                rc;
    uint16_t                 len;           /* of the record's JSON */
    u_char                   json[2048];
} ngx_loyalty_recent_t;

typedef struct ngx_loyalty_auth_s {
    ngx_queue_t              checks;
    ngx_uint_t               nchecks;
    ngx_loyalty_recent_t     recent[NGX_LOYALTY_CHECKS];
} ngx_loyalty_auth_t;

/* ctx->wait: of one request, from its pool */
typedef struct {
    ngx_queue_t              queue;         /* of check->waiters */
    ngx_http_request_t      *request;
    ngx_int_t                rc;            /* NGX_AGAIN: no answer yet */
    ngx_str_t                json;
    unsigned                 queued : 1;
} ngx_loyalty_wait_t;


static ngx_loyalty_auth_t *ngx_loyalty_check_state(void);
static ngx_loyalty_recent_t *ngx_loyalty_check_recent(
    ngx_loyalty_auth_t *auth, const u_char digest[32]);
static ngx_int_t ngx_loyalty_check(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx, ngx_loyalty_auth_want_t *want, ngx_uint_t token,
    ngx_str_t *json);
static ngx_loyalty_check_t *ngx_loyalty_check_start(ngx_loyalty_auth_t *auth,
    ngx_loyalty_ctx_t *ctx, ngx_loyalty_auth_want_t *want, ngx_uint_t token);
static ngx_int_t ngx_loyalty_check_wait(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx, ngx_loyalty_check_t *check);
static void ngx_loyalty_check_gone(void *data);
static void ngx_loyalty_check_handler(ngx_loyalty_pg_call_t *call,
    ngx_loyalty_pg_result_t *res);
static ngx_int_t ngx_loyalty_check_revoked(ngx_loyalty_check_t *check,
    ngx_loyalty_pg_result_t *res);
static void ngx_loyalty_check_remember(ngx_loyalty_check_t *check,
    ngx_int_t rc, ngx_str_t *json);
static void ngx_loyalty_check_resume(ngx_loyalty_wait_t *wait, ngx_int_t rc,
    ngx_str_t *json);


ngx_int_t
ngx_loyalty_auth_check_key(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx,
    ngx_loyalty_auth_want_t *want, ngx_loyalty_key_rec_t *rec,
    ngx_uint_t *addressed)
{
    ngx_int_t  rc;
    ngx_str_t  json;

    rc = ngx_loyalty_check(r, ctx, want, 0, &json);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_loyalty_directory_key_json(ngx_loyalty_local()->scratch, &json,
                                          r->connection->sockaddr, rec,
                                          addressed);
}


ngx_int_t
ngx_loyalty_auth_check_token(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx,
    ngx_loyalty_auth_want_t *want)
{
    ngx_str_t  json;

    return ngx_loyalty_check(r, ctx, want, 1, &json);
}


static ngx_loyalty_auth_t *
ngx_loyalty_check_state(void)
{
    ngx_loyalty_local_t  *local;

    local = ngx_loyalty_local();

    if (local->auth == NULL) {
        local->auth = ngx_pcalloc(local->cycle->pool,
                                  sizeof(ngx_loyalty_auth_t));
        if (local->auth) {
            ngx_queue_init(&local->auth->checks);
        }
    }

    return local->auth;
}


static ngx_loyalty_recent_t *
ngx_loyalty_check_recent(ngx_loyalty_auth_t *auth, const u_char digest[32])
{
    /* a digest is as good as random */

    return &auth->recent[digest[31] % NGX_LOYALTY_CHECKS];
}


static ngx_int_t
ngx_loyalty_check(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx,
    ngx_loyalty_auth_want_t *want, ngx_uint_t token, ngx_str_t *json)
{
    ngx_queue_t           *q;
    ngx_loyalty_auth_t    *auth;
    ngx_loyalty_wait_t    *wait;
    ngx_loyalty_check_t   *check;
    ngx_loyalty_recent_t  *recent;

    wait = ctx->wait;

    if (wait) {
        /* NGX_AGAIN: the phase ran again while it waits */
        *json = wait->json;
        return wait->rc;
    }

    auth = ngx_loyalty_check_state();
    if (auth == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    recent = ngx_loyalty_check_recent(auth, want->digest);

    if (ngx_memcmp(recent->digest, want->digest, 32) == 0
        && (ngx_msec_int_t) (recent->until - ngx_current_msec) > 0)
    {
        json->data = recent->json;
        json->len = recent->len;
        return recent->rc;
    }

    for (q = ngx_queue_head(&auth->checks);
         q != ngx_queue_sentinel(&auth->checks);
         q = ngx_queue_next(q))
    {
        check = ngx_queue_data(q, ngx_loyalty_check_t, queue);

        if (ngx_memcmp(check->want.digest, want->digest, 32) == 0) {
            return ngx_loyalty_check_wait(r, ctx, check);
        }
    }

    check = ngx_loyalty_check_start(auth, ctx, want, token);

    return check ? ngx_loyalty_check_wait(r, ctx, check) : NGX_BUSY;
}


static ngx_loyalty_check_t *
ngx_loyalty_check_start(ngx_loyalty_auth_t *auth, ngx_loyalty_ctx_t *ctx,
    ngx_loyalty_auth_want_t *want, ngx_uint_t token)
{
    ngx_loyalty_check_t  *check;
    ngx_loyalty_local_t  *local;

    local = ngx_loyalty_local();

    if (local->directory == NULL || auth->nchecks >= NGX_LOYALTY_CHECK_MAX) {
        return NULL;
    }

    check = ngx_calloc(sizeof(ngx_loyalty_check_t), local->cycle->log);
    if (check == NULL) {
        return NULL;
    }

    check->want = *want;
    ngx_queue_init(&check->waiters);

    if (token) {
        ly_uuid_print(&ctx->tenant->id, (u_char *) check->tenant);
        ngx_memcpy(check->session, want->session, want->session_len);
        ngx_memcpy(check->subject, want->subject, LY_UUID_TEXT);
        ngx_memcpy(check->kid, want->kid, want->kid_len);

        check->values[0] = check->tenant;
        check->values[1] = check->session;
        check->values[2] = want->user ? "user" : "member";
        check->values[3] = check->subject;
        check->values[4] = check->kid;
        check->call.statement = &ngx_loyalty_check_token;

    } else {
        check->text[0] = '\\';
        check->text[1] = 'x';
        (void) ly_hex_encode(ly_str_of(want->digest, 32),
                             (unsigned char *) check->text + 2);

        check->values[0] = check->text;
        check->call.statement = &ngx_loyalty_check_key;
    }

    check->call.values = check->values;
    check->call.handler = ngx_loyalty_check_handler;
    check->call.data = check;
    check->call.log = local->cycle->log;

    if (ngx_loyalty_pg_call(local->directory, &check->call) != NGX_OK) {
        ngx_free(check);
        return NULL;
    }

    ngx_loyalty_metric(AUTH_CHECKED);

    ngx_queue_insert_tail(&auth->checks, &check->queue);
    auth->nchecks++;

    return check;
}


static ngx_int_t
ngx_loyalty_check_wait(ngx_http_request_t *r, ngx_loyalty_ctx_t *ctx,
    ngx_loyalty_check_t *check)
{
    ngx_pool_cleanup_t  *cln;
    ngx_loyalty_wait_t  *wait;

    wait = ngx_pcalloc(r->pool, sizeof(ngx_loyalty_wait_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (wait == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    wait->request = r;
    wait->rc = NGX_AGAIN;
    wait->queued = 1;
    ngx_queue_insert_tail(&check->waiters, &wait->queue);

    cln->handler = ngx_loyalty_check_gone;
    cln->data = wait;

    ctx->wait = wait;

    /* a client that goes away ends the request, and with it the wait */

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_AGAIN;
}


static void
ngx_loyalty_check_gone(void *data)
{
    ngx_loyalty_wait_t *wait = data;

    if (wait->queued) {
        ngx_queue_remove(&wait->queue);
        wait->queued = 0;
    }
}


static void
ngx_loyalty_check_handler(ngx_loyalty_pg_call_t *call,
    ngx_loyalty_pg_result_t *res)
{
    ngx_int_t             rc;
    ngx_str_t             json;
    ngx_queue_t          *q;
    ngx_loyalty_check_t  *check;
    ngx_loyalty_wait_t   *wait;

    check = call->data;
    ngx_str_null(&json);

    if (res->outcome != NGX_LOYALTY_PG_OK || res->rows != 1) {
        rc = NGX_BUSY;

    } else if (call->statement == &ngx_loyalty_check_token) {
        rc = ngx_loyalty_check_revoked(check, res);

    } else {
        json = ngx_loyalty_pg_value(res, 0, 0);
        rc = json.data && json.len <= NGX_LOYALTY_CHECK_RECORD
             ? NGX_OK : NGX_DECLINED;
    }

    ngx_queue_remove(&check->queue);
    ngx_loyalty_local()->auth->nchecks--;

    ngx_loyalty_check_remember(check, rc, &json);

    while (!ngx_queue_empty(&check->waiters)) {
        q = ngx_queue_head(&check->waiters);
        wait = ngx_queue_data(q, ngx_loyalty_wait_t, queue);

        ngx_queue_remove(q);
        wait->queued = 0;

        ngx_loyalty_check_resume(wait, rc, &json);
    }

    ngx_free(check);
}


static ngx_int_t
ngx_loyalty_check_revoked(ngx_loyalty_check_t *check,
    ngx_loyalty_pg_result_t *res)
{
    int64_t                not_before;
    ngx_str_t              json;
    ngx_uint_t             i;
    ly_json_node_t        *root;
    ngx_loyalty_local_t   *local;
    const ly_json_node_t  *revoked;

    local = ngx_loyalty_local();

    for (i = 0; i < res->columns; i++) {
        json = ngx_loyalty_pg_value(res, 0, i);

        ly_arena_reset(local->scratch);

        if (json.data == NULL
            || ly_json_parse(local->scratch, ly_str_of(json.data, json.len),
                             &ngx_loyalty_directory_limits, &root, NULL)
            != LY_OK)
        {
            return NGX_BUSY;
        }

        revoked = ly_json_member(root, ly_str("revoked"));

        if (revoked == NULL) {
            return NGX_BUSY;
        }

        if (revoked->type == LY_JSON_FALSE) {
            continue;
        }

        not_before = ngx_loyalty_json_int(root, "not_before");

        if (not_before == 0 || check->want.iat < not_before) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static void
ngx_loyalty_check_remember(ngx_loyalty_check_t *check, ngx_int_t rc,
    ngx_str_t *json)
{
    ngx_loyalty_recent_t  *recent;

    if (rc == NGX_BUSY) {
        return;
    }

    recent = ngx_loyalty_check_recent(ngx_loyalty_local()->auth,
                                      check->want.digest);

    if (json->len > sizeof(recent->json)) {
        return;
    }

    ngx_memcpy(recent->digest, check->want.digest, 32);
    recent->rc = rc;
    recent->until = ngx_current_msec + (rc == NGX_OK ? NGX_LOYALTY_CHECK_GOOD
                                                     : NGX_LOYALTY_CHECK_BAD);
    recent->len = (uint16_t) json->len;

    if (json->len) {
        ngx_memcpy(recent->json, json->data, json->len);
    }
}


static void
ngx_loyalty_check_resume(ngx_loyalty_wait_t *wait, ngx_int_t rc,
    ngx_str_t *json)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = wait->request;
    c = r->connection;

    wait->rc = rc;

    if (json->len) {
        wait->json.data = ngx_pnalloc(r->pool, json->len);

        if (wait->json.data == NULL) {
            wait->rc = NGX_BUSY;

        } else {
            ngx_memcpy(wait->json.data, json->data, json->len);
            wait->json.len = json->len;
        }
    }

    ngx_http_set_log_request(c->log, r);

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}
