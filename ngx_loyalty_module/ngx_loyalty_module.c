/*
 * The module itself: its directives, main and location configuration, start
 * and end of a process.
 */

#include "ngx_loyalty.h"
#include "ngx_loyalty_conf.h"
#include "ngx_loyalty_feed.h"
#include "ngx_loyalty_local.h"
#include "ngx_loyalty_redis.h"
#include "ngx_loyalty_start.h"
#include "ngx_loyalty_zone.h"


static void *ngx_loyalty_create_main_conf(ngx_conf_t *cf);
static char *ngx_loyalty_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_loyalty_create_loc_conf(ngx_conf_t *cf);
static char *ngx_loyalty_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_loyalty_init_process(ngx_cycle_t *cycle);
static void ngx_loyalty_exit_process(ngx_cycle_t *cycle);


static ngx_conf_num_bounds_t  ngx_loyalty_queue_bounds = {
    ngx_conf_check_num_bounds, 0, 65536
};

static ngx_conf_num_bounds_t  ngx_loyalty_wait_bounds = {
    ngx_conf_check_num_bounds, 0, 65536
};


static ngx_command_t  ngx_loyalty_commands[] = {

    { ngx_string("loyalty_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_loyalty_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("loyalty_domain"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_loyalty_conf_domain,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("loyalty_keyring"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_loyalty_conf_keyring,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("loyalty_database_read"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_loyalty_conf_database,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, read),
      NULL },

    { ngx_string("loyalty_database_write"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_loyalty_conf_database,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, write),
      NULL },

    { ngx_string("loyalty_database_directory"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_loyalty_conf_database,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, directory),
      NULL },

    { ngx_string("loyalty_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_loyalty_conf_redis,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("loyalty_worker_socket"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_loyalty_conf_socket,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, worker_socket),
      NULL },

    { ngx_string("loyalty_hint_socket"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_loyalty_conf_socket,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, hint_socket),
      NULL },

    { ngx_string("loyalty_address_limit"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_loyalty_conf_address_limit,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("loyalty_limits"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, limits),
      NULL },

    { ngx_string("loyalty_body_budget"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, body_budget),
      NULL },

    { ngx_string("loyalty_write_queue"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, write_queue),
      &ngx_loyalty_queue_bounds },

    { ngx_string("loyalty_wait_max"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, wait_max),
      &ngx_loyalty_wait_bounds },

    { ngx_string("loyalty_start_wait"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, start_wait),
      NULL },

    { ngx_string("loyalty_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_loyalty_conf_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("loyalty_auth"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_loyalty_conf_auth,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    ngx_null_command
};


static ngx_http_module_t  ngx_loyalty_module_ctx = {
    ngx_loyalty_add_variables,             /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_loyalty_create_main_conf,          /* create main configuration */
    ngx_loyalty_init_main_conf,            /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_loyalty_create_loc_conf,           /* create location configuration */
    ngx_loyalty_merge_loc_conf             /* merge location configuration */
};


ngx_module_t  ngx_loyalty_module = {
    NGX_MODULE_V1,
    &ngx_loyalty_module_ctx,               /* module context */
    ngx_loyalty_commands,                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_loyalty_init_process,              /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_loyalty_exit_process,              /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_loyalty_main_conf_t *
ngx_loyalty_main_conf(void)
{
    if (ngx_cycle == NULL || ngx_cycle->conf_ctx == NULL) {
        return NULL;
    }

    return ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_loyalty_module);
}


static void *
ngx_loyalty_create_main_conf(ngx_conf_t *cf)
{
    ngx_loyalty_main_conf_t  *lmcf;

    lmcf = ngx_pcalloc(cf->pool, sizeof(ngx_loyalty_main_conf_t));
    if (lmcf == NULL) {
        return NULL;
    }

    lmcf->address_rate = NGX_CONF_UNSET_UINT;
    lmcf->limits = NGX_CONF_UNSET;
    lmcf->body_budget = NGX_CONF_UNSET_SIZE;
    lmcf->write_queue = NGX_CONF_UNSET_UINT;
    lmcf->wait_max = NGX_CONF_UNSET_UINT;
    lmcf->start_wait = NGX_CONF_UNSET_MSEC;

    return lmcf;
}


static char *
ngx_loyalty_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_loyalty_main_conf_t *lmcf = conf;

    ngx_conf_init_uint_value(lmcf->address_rate, 0);
    ngx_conf_init_value(lmcf->limits, 1);
    ngx_conf_init_size_value(lmcf->body_budget, 64 * 1024 * 1024);
    ngx_conf_init_uint_value(lmcf->write_queue, 256);
    ngx_conf_init_uint_value(lmcf->wait_max, 1024);
    ngx_conf_init_msec_value(lmcf->start_wait, 5000);

    return NGX_CONF_OK;
}


static void *
ngx_loyalty_create_loc_conf(ngx_conf_t *cf)
{
    ngx_loyalty_loc_conf_t  *llcf;

    llcf = ngx_pcalloc(cf->pool, sizeof(ngx_loyalty_loc_conf_t));
    if (llcf == NULL) {
        return NULL;
    }

    llcf->api = NGX_CONF_UNSET;
    llcf->auth = NGX_CONF_UNSET_UINT;

    return llcf;
}


static char *
ngx_loyalty_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_uint_t                 i;
    ngx_str_t                 *value;
    ngx_loyalty_loc_conf_t    *prev = parent;
    ngx_loyalty_loc_conf_t    *conf = child;
    ngx_loyalty_main_conf_t   *lmcf;
    ngx_http_core_loc_conf_t  *clcf;

    static const struct {
        const char  *name;
        size_t       offset;
        unsigned     auth : 1;        /* needed by loyalty_auth too */
    } needs[] = {
        { "loyalty_domain", offsetof(ngx_loyalty_main_conf_t, domain), 1 },
        { "loyalty_database_directory",
          offsetof(ngx_loyalty_main_conf_t, directory.conninfo), 1 },
        { "loyalty_database_read",
          offsetof(ngx_loyalty_main_conf_t, read.conninfo), 0 },
        { "loyalty_database_write",
          offsetof(ngx_loyalty_main_conf_t, write.conninfo), 0 },
        { "loyalty_keyring",
          offsetof(ngx_loyalty_main_conf_t, keyring_file), 0 }
    };

    if (conf->auth == NGX_CONF_UNSET_UINT) {
        conf->scope = prev->scope;

        if (conf->file.len == 0) {
            conf->file = prev->file;
            conf->line = prev->line;
        }
    }

    ngx_conf_merge_value(conf->api, prev->api, 0);
    ngx_conf_merge_uint_value(conf->auth, prev->auth, NGX_LOYALTY_AUTH_OFF);

    if (!conf->api && conf->auth == NGX_LOYALTY_AUTH_OFF) {
        return NGX_CONF_OK;
    }

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_loyalty_module);
    lmcf->used = 1;

    if (lmcf->zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" needs \"loyalty_zone\" in %V:%ui",
                      conf->api ? "loyalty_api" : "loyalty_auth",
                      &conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < ly_countof(needs); i++) {
        value = (ngx_str_t *) ((u_char *) lmcf + needs[i].offset);

        if (value->len == 0 && (conf->api || needs[i].auth)) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"%s\" needs \"%s\" in %V:%ui",
                          conf->api ? "loyalty_api" : "loyalty_auth",
                          needs[i].name, &conf->file, conf->line);
            return NGX_CONF_ERROR;
        }
    }

    if (conf->api) {
        clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

        if (clcf->satisfy == NGX_HTTP_SATISFY_ANY) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"satisfy any\" cannot be used with "
                          "\"loyalty_api\" in %V:%ui", &conf->file,
                          conf->line);
            return NGX_CONF_ERROR;
        }

        clcf->handler = ngx_loyalty_api_handler;

        /* the API has a limit of its own, and says so by a problem */
        clcf->client_max_body_size = 0;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_loyalty_init_process(ngx_cycle_t *cycle)
{
    ngx_loyalty_main_conf_t  *lmcf;

    lmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_loyalty_module);

    if (lmcf == NULL || lmcf->zone == NULL || !lmcf->used
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    if (ngx_loyalty_local_init(cycle, lmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_loyalty_feed_init_process(cycle, lmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_loyalty_start_init_process(cycle, lmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_loyalty_redis_init_process(cycle, lmcf);
}


static void
ngx_loyalty_exit_process(ngx_cycle_t *cycle)
{
    ngx_loyalty_main_conf_t  *lmcf;

    lmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_loyalty_module);

    if (lmcf == NULL || lmcf->local == NULL) {
        return;
    }

    ngx_loyalty_redis_exit_process(lmcf);
    ngx_loyalty_feed_exit_process(lmcf);
    ngx_loyalty_zone_leave(lmcf->zone->data);
}
