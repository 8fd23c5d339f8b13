/*
 * The change feed: one process of the node reads it and applies it to the
 * zone; the others take over when it stops.
 */

#ifndef NGX_LOYALTY_FEED_H_INCLUDED_
#define NGX_LOYALTY_FEED_H_INCLUDED_

#include "ngx_loyalty.h"
#include "ngx_loyalty_pg.h"


/*
 * Statements of the pool of the directory: ids below this one are the edge's
 * own, the rest is free for the api half (outcomes).
 */
#define NGX_LOYALTY_FEED_STATEMENTS  16

/* the pool of this process; NULL where none is configured */
ngx_loyalty_pg_t *ngx_loyalty_directory_pool(void);

ngx_int_t ngx_loyalty_feed_init_process(ngx_cycle_t *cycle,
    ngx_loyalty_main_conf_t *lmcf);
void ngx_loyalty_feed_exit_process(ngx_loyalty_main_conf_t *lmcf);

/*
 * A hint that a change was committed: read now.  From the api half after a
 * write whose changes say {"k":"directory"}, or after any commit that other
 * hosts should see soon; published to them where Redis is configured.
 */
void ngx_loyalty_feed_hint(void);

/* a hint that came from another node: read, tell nobody */
void ngx_loyalty_feed_wake(void);

/* is this process the one that reads? */
ngx_uint_t ngx_loyalty_feed_owner(void);


#endif /* NGX_LOYALTY_FEED_H_INCLUDED_ */
