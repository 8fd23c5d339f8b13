/* A datagram to the worker: there is something to do. */

#ifndef NGX_LOYALTY_POKE_H_INCLUDED_
#define NGX_LOYALTY_POKE_H_INCLUDED_

#include "ngx_loyalty.h"


ngx_int_t ngx_loyalty_poke_init(ngx_cycle_t *cycle,
    ngx_loyalty_main_conf_t *lmcf);
void ngx_loyalty_poke_exit(void);

/*
 * Wakes one lane, or all by an empty name.  Never waits; a datagram that is
 * lost costs the worker one poll.
 */
void ngx_loyalty_poke(ly_str_t lane);


#endif /* NGX_LOYALTY_POKE_H_INCLUDED_ */
