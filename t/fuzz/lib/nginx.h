/* what the targets of the module need beside fuzz.h */

#ifndef LY_FUZZ_NGINX_H_INCLUDED_
#define LY_FUZZ_NGINX_H_INCLUDED_

#include "ngx_loyalty.h"


/* a request with a pool of its own, good until fuzz_request_end() */
ngx_http_request_t *fuzz_request(void);
void fuzz_request_end(ngx_http_request_t *r);

/* the cycle with an empty configuration of the module, made once */
ngx_loyalty_main_conf_t *fuzz_cycle(void);


#endif /* LY_FUZZ_NGINX_H_INCLUDED_ */
