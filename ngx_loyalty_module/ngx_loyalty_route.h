/*
 * The operations of the contract, as dev/gen_api.pl writes them, and the tree
 * of paths that finds one.
 */

#ifndef NGX_LOYALTY_ROUTE_H_INCLUDED_
#define NGX_LOYALTY_ROUTE_H_INCLUDED_

#include "ngx_loyalty.h"
#include "ngx_loyalty_pg.h"
#include "ngx_loyalty_schema.h"


enum {
    NGX_LOYALTY_KEY_NONE = 0,           /* Idempotency-Key is not looked at */
    NGX_LOYALTY_KEY_OPTIONAL,
    NGX_LOYALTY_KEY_REQUIRED
};

enum {
    NGX_LOYALTY_MATCH_NONE = 0,
    NGX_LOYALTY_MATCH_REQUIRED,         /* If-Match, else 428 */
    NGX_LOYALTY_MATCH_EITHER            /* or If-None-Match: * */
};

enum {
    NGX_LOYALTY_SECRET_NONE = 0,
    NGX_LOYALTY_SECRET_WEBHOOK
};


typedef struct {
    const ngx_loyalty_schema_t  *schema;
    const char                  *missing;       /* problem, if it cannot be */
} ngx_loyalty_path_t;


typedef struct {
    ly_str_t                     name;
    const ngx_loyalty_schema_t  *schema;
    const char                  *preset;
    unsigned                     required : 1;
    unsigned                     sealed : 1;      /* by blind index */
} ngx_loyalty_query_t;


typedef struct {
    ngx_loyalty_route_t          route;
    ngx_uint_t                   method;
    ngx_loyalty_pg_statement_t   statement;
    ngx_loyalty_pg_statement_t   wait;          /* sql NULL: none */
    const ngx_loyalty_path_t    *path;
    ngx_uint_t                   npath;
    const ngx_loyalty_query_t   *query;         /* without cursor */
    ngx_uint_t                   nquery;
    const ngx_loyalty_schema_t  *body;          /* NULL: none */
    const char                  *mint;          /* prefix of the minted id */
    ngx_uint_t                   key;
    ngx_uint_t                   match;
    ngx_uint_t                   secret;
    unsigned                     cursor : 1;
    unsigned                     prefer : 1;
    unsigned                     etag : 1;
    unsigned                     seal : 1;
    unsigned                     balances : 1;
    unsigned                     worker : 1;
    unsigned                     member_path : 1;
    unsigned                     member_body : 1;
    unsigned                     events : 1;      /* items with own keys */
    unsigned                     document : 1;
} ngx_loyalty_operation_t;


typedef struct ngx_loyalty_node_s  ngx_loyalty_node_t;

/* one segment of a path; a literal goes before the capture, without a way
   back */
struct ngx_loyalty_node_s {
    ly_str_t                             literal;
    const ngx_loyalty_node_t     *const *children;
    ngx_uint_t                           nchildren;
    const ngx_loyalty_node_t            *capture;
    const ngx_loyalty_operation_t       *operations[5];
    uint32_t                             allow;
};


/* the operation of ctx->route; NULL without one */
const ngx_loyalty_operation_t *ngx_loyalty_operation(ngx_loyalty_ctx_t *ctx);

/* the served contract, static */
ly_str_t ngx_loyalty_document(void);


#endif /* NGX_LOYALTY_ROUTE_H_INCLUDED_ */
