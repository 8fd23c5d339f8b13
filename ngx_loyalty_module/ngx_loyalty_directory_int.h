/* Inside the directory: one row on its way into the zone. */

#ifndef NGX_LOYALTY_DIRECTORY_INT_H_INCLUDED_
#define NGX_LOYALTY_DIRECTORY_INT_H_INCLUDED_

#include "ngx_loyalty_directory.h"


typedef struct {
    ngx_loyalty_zone_t    *zone;
    ly_arena_t            *scratch;
    ngx_str_t             *ref;
    ngx_str_t             *tenant;      /* text of a uuid, or empty */
    ngx_str_t             *data;        /* NULL: gone */
    const ly_json_node_t  *json;
} ngx_loyalty_change_t;


/*
 * Rows of one kind each, under the lock of the zone.  NGX_ERROR: not
 * understood, or no room.
 */
ngx_int_t ngx_loyalty_apply_key(ngx_loyalty_change_t *ch);
ngx_int_t ngx_loyalty_apply_revocation(ngx_loyalty_change_t *ch);


#endif /* NGX_LOYALTY_DIRECTORY_INT_H_INCLUDED_ */
