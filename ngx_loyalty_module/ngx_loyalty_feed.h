/*
 * The change feed: one process of the node reads it and applies it to the
 * zone; the others take over when it stops.
 */

#ifndef NGX_LOYALTY_FEED_H_INCLUDED_
#define NGX_LOYALTY_FEED_H_INCLUDED_

#include "ngx_loyalty.h"


ngx_int_t ngx_loyalty_feed_init_process(ngx_cycle_t *cycle);
void ngx_loyalty_feed_exit_process(ngx_cycle_t *cycle);

/*
 * A hint that a change was committed: read now.  From the api half after a
 * write whose changes say {"k":"directory"}, or after any commit that other
 * hosts should see soon; published to them where Redis is configured.
 */
void ngx_loyalty_feed_hint(void);


#endif /* NGX_LOYALTY_FEED_H_INCLUDED_ */
