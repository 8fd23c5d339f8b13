/*
 * What leaves: status, headers that every answer has, bodies in one buffer,
 * problems of RFC 9457.
 */

#ifndef NGX_LOYALTY_ANSWER_H_INCLUDED_
#define NGX_LOYALTY_ANSWER_H_INCLUDED_

#include "ngx_loyalty.h"
#include "ngx_loyalty_schema.h"


#define NGX_LOYALTY_PRECONDITION_REQUIRED  428
#define NGX_LOYALTY_UNPROCESSABLE          422


/* a row of docs/errors.yaml */
typedef struct {
    ly_str_t     code;
    ngx_uint_t   status;
    ly_str_t     title;
} ngx_loyalty_error_t;

/* NULL: no such code */
const ngx_loyalty_error_t *ngx_loyalty_error(const char *code, size_t len);


/*
 * Sends a JSON answer; body lives as long as the request, and may be NULL with
 * 204 and 304.  Gives what ngx_http_finalize_request() takes.
 */
ngx_int_t ngx_loyalty_answer_send(ngx_http_request_t *r, ngx_uint_t status,
    u_char *body, size_t len);

/* the same with application/problem+json; the code stands in the body */
ngx_int_t ngx_loyalty_answer_problem_body(ngx_http_request_t *r,
    ngx_uint_t status, u_char *body, size_t len);

/*
 * A problem with every fault named.  status 0: that of the code.  detail and
 * faults may be NULL; retry is the Retry-After in seconds, 0 without.
 */
ngx_int_t ngx_loyalty_answer_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, ngx_str_t *detail, const ngx_loyalty_faults_t *faults,
    ngx_uint_t retry);

/* writes a problem object, for an item of a batch */
void ngx_loyalty_problem_write(ly_jw_t *w, ngx_uint_t status,
    const char *code, ly_str_t detail, ly_str_t request_id,
    const ngx_loyalty_faults_t *faults);

/* 404, 405 with Allow, or the answer to OPTIONS: no operation was matched */
ngx_int_t ngx_loyalty_answer_no_route(ngx_http_request_t *r,
    ngx_loyalty_ctx_t *ctx);

/* does a list of entity tags (If-None-Match) hold this one, or "*"? */
ngx_uint_t ngx_loyalty_answer_match(ngx_str_t *list, ngx_str_t *etag);

/* the header with that lower-case name, NULL without */
ngx_table_elt_t *ngx_loyalty_answer_header_in(ngx_http_request_t *r,
    const char *name, size_t len);

/* "2026-11-01": the one version there is */
ngx_str_t *ngx_loyalty_answer_version(void);


#endif /* NGX_LOYALTY_ANSWER_H_INCLUDED_ */
