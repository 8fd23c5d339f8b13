/*
 * The start of a process whose zone is new: until the directory stands in it
 * there is nothing to answer from.
 */

#ifndef NGX_LOYALTY_START_H_INCLUDED_
#define NGX_LOYALTY_START_H_INCLUDED_

#include "ngx_loyalty.h"


/*
 * After the feed of this process.  Where the zone holds no directory, the
 * process accepts no connection until it does, or until loyalty_start_wait is
 * over: after a binary upgrade the old processes go on accepting, and what
 * nobody accepts waits in the queue of the listening socket.
 */
ngx_int_t ngx_loyalty_start_init_process(ngx_cycle_t *cycle,
    ngx_loyalty_main_conf_t *lmcf);


#endif /* NGX_LOYALTY_START_H_INCLUDED_ */
