/*
 * A key of 1 to 255 printable characters or a refusal; what was read, quoted
 * again, is the same key; a second one is always refused.
 */

#include "fuzz.h"
#include "lib/nginx.h"

#include "ngx_loyalty_params.c"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t              i;
    u_char             *p;
    ngx_int_t           rc;
    ngx_str_t           value;
    ngx_loyalty_api_t   api, again;

    memset(&api, 0, sizeof(api));
    memset(&again, 0, sizeof(again));
    api.request = fuzz_request();
    again.request = api.request;

    value.data = (u_char *) data;
    value.len = size;
    rc = ngx_loyalty_params_key(&api, &value);

    if (rc == NGX_OK) {
        must(api.key.len > 0 && api.key.len <= 255);

        value.data = ngx_pnalloc(api.request->pool, 2 * api.key.len + 2);
        p = value.data;
        *p++ = '"';

        for (i = 0; i < api.key.len; i++) {
            must(api.key.data[i] >= 0x20 && api.key.data[i] <= 0x7e);

            if (api.key.data[i] == '"' || api.key.data[i] == '\\') {
                *p++ = '\\';
            }

            *p++ = api.key.data[i];
        }

        *p++ = '"';
        value.len = (size_t) (p - value.data);

        must(ngx_loyalty_params_key(&again, &value) == NGX_OK);
        must(ly_str_eq(ly_str_of(api.key.data, api.key.len),
                       ly_str_of(again.key.data, again.key.len)));

        must(ngx_loyalty_params_key(&api, &value) == NGX_DECLINED);
    }

    must(rc == NGX_OK || rc == NGX_DECLINED);
    must(rc == NGX_OK
         || strcmp(api.problem, "idempotency.invalid") == 0);

    fuzz_request_end(api.request);

    return 0;
}
