/*
 * One request of the API on its way: parameters, body, call, answer.  Each
 * step is a file; what they share is here.
 */

#ifndef NGX_LOYALTY_API_H_INCLUDED_
#define NGX_LOYALTY_API_H_INCLUDED_

#include "ngx_loyalty.h"
#include "ngx_loyalty_answer.h"
#include "ngx_loyalty_cache.h"
#include "ngx_loyalty_pg.h"
#include "ngx_loyalty_route.h"
#include "ngx_loyalty_schema.h"
#include "ly_arena.h"
#include "ly_crypto.h"
#include "ly_seal.h"


#define NGX_LOYALTY_BODY_MAX      1048576       /* bytes */
#define NGX_LOYALTY_BODY_SLICE    65536         /* worked on per loop turn */
#define NGX_LOYALTY_BATCH_MAX     1000          /* items */
#define NGX_LOYALTY_QUERY_MAX     8
#define NGX_LOYALTY_WAIT_MAX      30            /* seconds */
#define NGX_LOYALTY_NONCE         32            /* hex digits */
#define NGX_LOYALTY_ATTRIBUTES    16384         /* bytes of JSON */
#define NGX_LOYALTY_ARENA_SMALL   (16 * 1024 * 1024)
#define NGX_LOYALTY_ARENA_TREE    (96 * 1024 * 1024)
#define NGX_LOYALTY_PARAM_MAX     (16 * 1024 * 1024)


/* keys of one tenant in this process, see ngx_loyalty_seal.h */
typedef struct ngx_loyalty_keys_s  ngx_loyalty_keys_t;


/* what SQL said: columns of api.answer, copied */
typedef struct {
    ngx_uint_t                      status;
    ngx_str_t                       headers;
    ngx_str_t                       body;
    ngx_str_t                       changes;
} ngx_loyalty_reply_t;


typedef struct ngx_loyalty_api_s  ngx_loyalty_api_t;

typedef void (*ngx_loyalty_work_pt)(ngx_loyalty_api_t *api);

struct ngx_loyalty_api_s {
    ngx_http_request_t             *request;
    ngx_loyalty_ctx_t              *ctx;
    ngx_loyalty_tenant_t           *tenant;
    const ngx_loyalty_operation_t  *op;
    ngx_loyalty_keys_t             *keys;

    ly_arena_t                     *arena;  /* as long as the request */
    ly_arena_t                     *tree;   /* of the parsed body */

    /* why a step refused: see ngx_loyalty_api_refuse() */
    const char                     *problem;
    ngx_str_t                       detail;
    ngx_loyalty_faults_t            faults;

    /* headers and parameters */
    ngx_str_t                       key;            /* Idempotency-Key */
    ngx_str_t                       if_match;
    ngx_str_t                       if_none_match;
    ngx_str_t                       traceparent;
    ngx_uint_t                      wait;           /* seconds */
    ngx_str_t                       query[NGX_LOYALTY_QUERY_MAX];
    ngx_str_t                       cursor;         /* as it was sent */
    ly_str_t                        cursor_context;
    ly_str_t                        cursor_payload;

    /* body */
    u_char                         *body;
    size_t                          body_len;
    size_t                          body_size;
    size_t                          body_held;      /* of the budget */
    struct ly_json_parser_s        *parser;
    size_t                          parsed;
    ly_json_node_t                 *root;
    u_char                          body_mac[LY_SHA256_LEN];
    const ly_json_node_t           *item;           /* next of a batch */
    ly_buf_t                        param;          /* the jsonb parameter */
    ly_jw_t                         writer;

    /* work in slices, and its guard against leaving a process that exits */
    ngx_event_t                     work;
    ngx_event_t                     guard;
    ngx_loyalty_work_pt             work_handler;

    /* sealing */
    char                            nonce[NGX_LOYALTY_NONCE + 1];
    ly_uuid_t                       minted;
    ly_key_t                        data_key;
    ly_str_t                        wrapped_key;    /* base64 */
    ly_str_t                        secret_sealed;  /* base64 */
    ly_str_t                        secret;         /* shown once */
    ly_str_t                        blind;          /* hex, of the e-mail */

    /* the call */
    const char                     *values[NGX_LOYALTY_PG_PARAMS];
    ngx_loyalty_pg_call_t           call;
    ngx_loyalty_stamp_t             stamp;
    ngx_msec_t                      sent;
    ngx_uint_t                      reseals;
    ngx_loyalty_balance_t          *balances;       /* out of changes */
    ly_str_t                       *balance_codes;
    ngx_uint_t                      nbalances;
    ngx_loyalty_reply_t             first;          /* kept over a wait */
    void                           *waiter;

    unsigned                        async : 1;        /* finalize is ours */
    unsigned                        asked : 1;        /* the wait's result */
};


/* the arena of the request, made at need; NGX_ERROR without memory */
ngx_int_t ngx_loyalty_api_arena(ngx_loyalty_api_t *api);

/*
 * Ends the request with what the answer functions gave; nothing may be touched
 * after it.
 */
void ngx_loyalty_api_done(ngx_loyalty_api_t *api, ngx_int_t rc);

/* sends api->problem, api->detail and api->faults; gives finalize's rc */
ngx_int_t ngx_loyalty_api_refuse(ngx_loyalty_api_t *api);

/*
 * Ends the request that a step stopped by rc: NGX_DECLINED with the problem,
 * anything else with 500.  As after ngx_loyalty_api_done(), nothing may be
 * touched.
 */
void ngx_loyalty_api_failed(ngx_loyalty_api_t *api, ngx_int_t rc);

/* sets the problem and gives NGX_DECLINED; detail is a literal or NULL */
ngx_int_t ngx_loyalty_api_fault(ngx_loyalty_api_t *api, const char *code,
    const char *detail);

/* parameters are read and the body is there: on to the call */
void ngx_loyalty_api_run(ngx_loyalty_api_t *api);

/*
 * Goes on with the handler in the next turn of the event loop; until then the
 * request has a timer that keeps an exiting process.
 */
void ngx_loyalty_api_later(ngx_loyalty_api_t *api,
    ngx_loyalty_work_pt handler);

/* the crypto contexts of this process */
ly_crypto_t *ngx_loyalty_crypto(void);

ngx_loyalty_pg_t *ngx_loyalty_read_pool(void);
ngx_loyalty_pg_t *ngx_loyalty_write_pool(void);


/*
 * Steps.  NGX_OK; NGX_DECLINED with the problem set; NGX_ERROR without memory.
 */

/* headers, path, query, cursor */
ngx_int_t ngx_loyalty_params_read(ngx_loyalty_api_t *api);

/* api->cursor_context: what a cursor of this request is bound to */
ngx_int_t ngx_loyalty_params_context(ngx_loyalty_api_t *api);

/* the cached answer; NGX_DECLINED without a problem: ask the database */
ngx_int_t ngx_loyalty_balances_cached(ngx_loyalty_api_t *api, ngx_int_t *rc);

/* the answer of changes; NGX_DECLINED: they are not all there */
ngx_int_t ngx_loyalty_balances_answer(ngx_loyalty_api_t *api, ngx_int_t *rc);

/*
 * Reads the body, parses it, and goes on with ngx_loyalty_api_run(); gives
 * what a content handler returns.
 */
ngx_int_t ngx_loyalty_body_read(ngx_loyalty_api_t *api);

/* gives back what the body and its tree held */
void ngx_loyalty_body_release(ngx_loyalty_api_t *api);

/*
 * The jsonb parameter of a plain body, sealed; again after each reseal.
 */
ngx_int_t ngx_loyalty_param_body(ngx_loyalty_api_t *api);

/*
 * The items of events: each is checked, gets its digest and its id, and has
 * its attributes sealed.  NGX_AGAIN: ngx_loyalty_api_later() goes on.
 */
ngx_int_t ngx_loyalty_events_begin(ngx_loyalty_api_t *api);

/* builds and sends the call; it ends the request in the end */
void ngx_loyalty_call(ngx_loyalty_api_t *api);

/* sends the reply that came last, after changes and markers */
void ngx_loyalty_call_answer(ngx_loyalty_api_t *api,
    ngx_loyalty_reply_t *reply);

/* asks the wait function of the operation for what came of it */
void ngx_loyalty_call_result(ngx_loyalty_api_t *api, ly_str_t what);


#endif /* NGX_LOYALTY_API_H_INCLUDED_ */
