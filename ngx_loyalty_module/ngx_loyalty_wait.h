/*
 * Requests that wait for what the worker does.  One query of the process asks
 * for the outcomes of all of them.
 */

#ifndef NGX_LOYALTY_WAIT_H_INCLUDED_
#define NGX_LOYALTY_WAIT_H_INCLUDED_

#include "ngx_loyalty_api.h"


/*
 * Waits until every id has its outcome, or for that many ms, or until the
 * process must end; then ngx_loyalty_wait_done() below is called, never from
 * within.  NGX_OK; NGX_BUSY: as many as there may be wait already; NGX_ERROR.
 * The ids live as long as the request.
 */
ngx_int_t ngx_loyalty_wait(ngx_loyalty_api_t *api, ly_uuid_t *ids,
    ngx_uint_t n, ngx_msec_t ms);

/* the request goes away */
void ngx_loyalty_wait_cancel(ngx_loyalty_api_t *api);

/* of the call: left is how many ids have no outcome */
void ngx_loyalty_wait_done(ngx_loyalty_api_t *api, ngx_uint_t left);


#endif /* NGX_LOYALTY_WAIT_H_INCLUDED_ */
