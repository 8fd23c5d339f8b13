/* The contract as it is served, in the module itself: no file is read. */

#include "ngx_loyalty_route.h"

#include "ngx_loyalty_document.inc"


ly_str_t
ngx_loyalty_document(void)
{
    return ly_str_of(ngx_loyalty_document_text,
                     sizeof(ngx_loyalty_document_text) - 1);
}
