/*
 * Redis as a messenger between nodes: a hint that the change feed has news.
 * No data goes there, and nothing depends on it.
 */

#ifndef NGX_LOYALTY_REDIS_H_INCLUDED_
#define NGX_LOYALTY_REDIS_H_INCLUDED_

#include "ngx_loyalty.h"


ngx_int_t ngx_loyalty_redis_init_process(ngx_cycle_t *cycle,
    ngx_loyalty_main_conf_t *lmcf);
void ngx_loyalty_redis_exit_process(ngx_loyalty_main_conf_t *lmcf);

/* tells the other nodes; does nothing where Redis is off or down */
void ngx_loyalty_redis_publish(void);


#endif /* NGX_LOYALTY_REDIS_H_INCLUDED_ */
