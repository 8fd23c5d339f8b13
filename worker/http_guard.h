/*
 * Which addresses the worker may talk to for a tenant.  A merchant names the
 * targets of webhooks, so the dialled address is judged, not the name: that
 * closes DNS rebinding and every spelling of a private address.
 */

#ifndef HTTP_GUARD_H_INCLUDED_
#define HTTP_GUARD_H_INCLUDED_

#include "../common/ly_addr.h"
#include "../common/ly_base.h"

#include <curl/curl.h>


#define HTTP_GUARD_ALLOW_MAX  32

/* the operator's exceptions; everything else must be public */
typedef struct {
    ly_cidr_t            allow[HTTP_GUARD_ALLOW_MAX];
    size_t               nallow;
} http_guard_t;

/* what one transfer learnt; lives as long as its handle */
typedef struct {
    const http_guard_t  *guard;
    const char          *refused;   /* NULL, or why: ly_addr_denied() */
} http_guard_watch_t;


/*
 * allow: CIDR blocks with an optional port, parted by blanks; from the
 * configuration only.  LY_PARSE for a word that is no block, LY_LIMIT for more
 * than HTTP_GUARD_ALLOW_MAX; *bad (may be NULL) is that word.
 */
ly_must_check ly_err_t http_guard_init(http_guard_t *guard, ly_str_t allow,
    ly_str_t *bad);

/*
 * LY_DENIED for a URL that is never sent to, whatever its address: malformed,
 * plain http where the host is not an address on the list, or a port below
 * 1024 other than 80 and 443.
 */
ly_must_check ly_err_t http_guard_url(const http_guard_t *guard, ly_str_t url);

/*
 * Watches both places where libcurl meets an address: a new socket and the
 * reuse of an open connection (it does not ask again for those), and shuts out
 * proxies from the environment, which would hide the address.
 */
ly_must_check ly_err_t http_guard_watch(http_guard_watch_t *watch,
    const http_guard_t *guard, CURL *curl);


#endif /* HTTP_GUARD_H_INCLUDED_ */
