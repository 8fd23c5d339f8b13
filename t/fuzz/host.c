/*
 * A host names the tenant that its own record or the slug before the base
 * domain names, and no other one; also the second time, from the process's own
 * table.
 */

#include "fuzz.h"
#include "lib/nginx.h"

#include "ngx_loyalty_directory.h"
#include "ngx_loyalty_local.h"
#include "ngx_loyalty_zone.h"


typedef struct {
    const char  *kind;
    const char  *ref;
    const char  *json;
} row_t;


static const row_t  rows[] = {
    { "plan", "free", "{\"code\":\"free\",\"request_rate\":9,"
      "\"request_burst\":9,\"key_rate\":9,\"key_burst\":9,"
      "\"inflight_writes\":9,\"inflight_batches\":9}" },
    { "tenant", "018f0000-0000-7000-8000-000000000001",
      "{\"id\":\"018f0000-0000-7000-8000-000000000001\",\"slug\":\"shop\","
      "\"status\":\"active\",\"mode\":\"test\",\"plan\":\"free\","
      "\"generation\":1,\"wrapped_key\":\"\",\"origins\":[],\"wallets\":[],"
      "\"timezone\":\"UTC\"}" },
    { "tenant", "018f0000-0000-7000-8000-000000000002",
      "{\"id\":\"018f0000-0000-7000-8000-000000000002\",\"slug\":\"a\","
      "\"status\":\"suspended\",\"mode\":\"live\",\"plan\":\"free\","
      "\"generation\":1,\"wrapped_key\":\"\",\"origins\":[],\"wallets\":[],"
      "\"timezone\":\"UTC\"}" },
    { "host", "loyalty.shop.example",
      "{\"tenant\":\"018f0000-0000-7000-8000-000000000001\"}" },
    /* a host of its own under the base domain goes before the slug */
    { "host", "shop2.example.com",
      "{\"tenant\":\"018f0000-0000-7000-8000-000000000002\"}" },
    /* of a tenant that is not there */
    { "host", "lost.example",
      "{\"tenant\":\"018f0000-0000-7000-8000-000000000009\"}" }
};

static const struct {
    const char  *host;
    uint8_t      tenant;
} known[] = {
    { "shop.example.com", 1 }, { "a.example.com", 2 },
    { "loyalty.shop.example", 1 }, { "shop2.example.com", 2 }
};


static ngx_str_t
str(const char *s)
{
    return (ngx_str_t) { strlen(s), (u_char *) s };
}


static ngx_loyalty_main_conf_t *
house(void)
{
    size_t                    i;
    ngx_str_t                 kind, ref, none, json;
    ngx_loyalty_zone_t       *zone;
    ngx_loyalty_main_conf_t  *lmcf;

    static ngx_shm_zone_t   shm;
    static ngx_slab_pool_t  pool;

    lmcf = fuzz_cycle();

    if (lmcf->zone != NULL) {
        return lmcf;
    }

    shm.shm.addr = (u_char *) &pool;
    shm.shm.size = NGX_LOYALTY_ZONE_MIN;
    must(ngx_loyalty_zone_init(&shm, NULL) == NGX_OK);

    lmcf->zone = &shm;
    lmcf->domain = str("example.com");
    lmcf->issuer = str("https://example.com");
    must(ngx_loyalty_local_init((ngx_cycle_t *) ngx_cycle, lmcf) == NGX_OK);

    zone = shm.data;
    ngx_loyalty_directory_begin(zone);
    ngx_str_null(&none);

    for (i = 0; i < ly_countof(rows); i++) {
        kind = str(rows[i].kind);
        ref = str(rows[i].ref);
        json = str(rows[i].json);
        must(ngx_loyalty_directory_apply(zone, lmcf->local->scratch, &kind,
                                         &ref, &none, &json, ngx_cycle->log)
             == NGX_OK);
    }

    ngx_loyalty_directory_end(zone, 0);

    return lmcf;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                    i;
    uint8_t                   want;
    ngx_int_t                 rc;
    ngx_str_t                 host;
    ngx_uint_t                times;
    ngx_loyalty_tenant_t     *tenant;
    ngx_loyalty_main_conf_t  *lmcf;

    lmcf = house();
    want = 0;

    for (i = 0; i < ly_countof(known); i++) {
        if (size == strlen(known[i].host)
            && memcmp(data, known[i].host, size) == 0)
        {
            want = known[i].tenant;
        }
    }

    host.data = (u_char *) data;
    host.len = size;

    for (times = 0; times < 2; times++) {
        tenant = NULL;
        rc = ngx_loyalty_tenant_by_host(lmcf, &host, &tenant);

        must(rc == (want ? NGX_OK : NGX_DECLINED));

        if (rc == NGX_OK) {
            must(tenant->id.b[15] == want);
            ngx_loyalty_tenant_release(tenant);
        }
    }

    return 0;
}
