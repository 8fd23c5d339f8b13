/*
 * Main configuration, the shared zone, start and end of a process, variables.
 */

#include "ngx_loyalty.h"
#include "ngx_loyalty_feed.h"
#include "ngx_loyalty_local.h"
#include "ngx_loyalty_pg.h"
#include "ngx_loyalty_redis.h"
#include "ngx_loyalty_start.h"
#include "ngx_loyalty_zone.h"
#include "ly_seal.h"


static void *ngx_loyalty_create_main_conf(ngx_conf_t *cf);
static char *ngx_loyalty_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_loyalty_create_loc_conf(ngx_conf_t *cf);
static char *ngx_loyalty_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_loyalty_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_loyalty_domain(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_loyalty_keyring(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_loyalty_keyring_read(ngx_conf_t *cf, ngx_str_t *name,
    ly_keyring_t **ring);
static void ngx_loyalty_keyring_cleanup(void *data);
static char *ngx_loyalty_database(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_loyalty_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_loyalty_socket(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_loyalty_address_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_loyalty_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_loyalty_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_loyalty_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_loyalty_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_loyalty_variable_text(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, ngx_str_t *s);
static ngx_int_t ngx_loyalty_variable_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, const char *prefix, ly_uuid_t *id);
static ngx_int_t ngx_loyalty_init_process(ngx_cycle_t *cycle);
static void ngx_loyalty_exit_process(ngx_cycle_t *cycle);


static ngx_str_t  ngx_loyalty_zone_name = ngx_string("loyalty");


static ngx_conf_num_bounds_t  ngx_loyalty_queue_bounds = {
    ngx_conf_check_num_bounds, 0, 65536
};

static ngx_conf_num_bounds_t  ngx_loyalty_wait_bounds = {
    ngx_conf_check_num_bounds, 0, 65536
};


static ngx_command_t  ngx_loyalty_commands[] = {

    { ngx_string("loyalty_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_loyalty_zone_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("loyalty_domain"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_loyalty_domain,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("loyalty_keyring"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_loyalty_keyring,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("loyalty_database_read"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_loyalty_database,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, read),
      NULL },

    { ngx_string("loyalty_database_write"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_loyalty_database,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, write),
      NULL },

    { ngx_string("loyalty_database_directory"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_loyalty_database,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, directory),
      NULL },

    { ngx_string("loyalty_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_loyalty_redis,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("loyalty_worker_socket"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_loyalty_socket,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, worker_socket),
      NULL },

    { ngx_string("loyalty_hint_socket"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_loyalty_socket,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_loyalty_main_conf_t, hint_socket),
      NULL },

    { ngx_string("loyalty_address_limit"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_loyalty_address_limit,
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
      ngx_loyalty_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("loyalty_auth"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_loyalty_auth,
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


enum {
    NGX_LOYALTY_V_TENANT = 0,
    NGX_LOYALTY_V_PRINCIPAL,
    NGX_LOYALTY_V_ROUTE,
    NGX_LOYALTY_V_CACHE,
    NGX_LOYALTY_V_REQUEST_ID,
    NGX_LOYALTY_V_CODE,
    NGX_LOYALTY_V_LIMIT,
    NGX_LOYALTY_V_DB_MS
};

static ngx_http_variable_t  ngx_loyalty_variables[] = {

    { ngx_string("loyalty_tenant"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_TENANT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_principal"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_PRINCIPAL, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_route"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_ROUTE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_cache"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_CACHE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_request_id"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_REQUEST_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_code"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_CODE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_limit"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_LIMIT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_db_ms"), NULL, ngx_loyalty_variable,
      NGX_LOYALTY_V_DB_MS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("loyalty_log"), NULL, ngx_loyalty_log_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    ngx_http_null_variable
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


static char *
ngx_loyalty_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_loyalty_main_conf_t *lmcf = conf;

    ssize_t     size;
    ngx_str_t  *value;

    if (lmcf->zone) {
        return "is duplicate";
    }

    value = cf->args->elts;
    size = ngx_parse_size(&value[1]);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" of \"loyalty_zone\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (size < NGX_LOYALTY_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"loyalty_zone\" \"%V\" is too small, at least "
                           "%dm is needed", &value[1],
                           NGX_LOYALTY_ZONE_MIN / 1024 / 1024);
        return NGX_CONF_ERROR;
    }

    lmcf->zone = ngx_shared_memory_add(cf, &ngx_loyalty_zone_name, size,
                                       &ngx_loyalty_module);
    if (lmcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    lmcf->zone->init = ngx_loyalty_zone_init;

    return NGX_CONF_OK;
}


static char *
ngx_loyalty_domain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_loyalty_main_conf_t *lmcf = conf;

    u_char      ch;
    ngx_str_t  *value;
    ngx_uint_t  i;

    if (lmcf->domain.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        ch = ngx_tolower(value[1].data[i]);
        value[1].data[i] = ch;

        if ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9') && ch != '-'
            && (ch != '.' || i == 0 || i == value[1].len - 1))
        {
            break;
        }
    }

    if (i < value[1].len || value[1].len == 0 || value[1].len > 200) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid domain \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    lmcf->domain = value[1];

    lmcf->issuer.len = sizeof("https://") - 1 + value[1].len;
    lmcf->issuer.data = ngx_pnalloc(cf->pool, lmcf->issuer.len);
    if (lmcf->issuer.data == NULL) {
        return NGX_CONF_ERROR;
    }

    (void) ngx_sprintf(lmcf->issuer.data, "https://%V", &value[1]);

    return NGX_CONF_OK;
}


static char *
ngx_loyalty_keyring(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_loyalty_main_conf_t *lmcf = conf;

    char                *rv;
    ngx_str_t           *value;
    ly_keyring_t        *ring;
    ngx_pool_cleanup_t  *cln;

    if (lmcf->keyring_file.len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    lmcf->keyring_file = value[1];

    if (ngx_conf_full_name(cf->cycle, &lmcf->keyring_file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_loyalty_keyring_read(cf, &lmcf->keyring_file, &ring);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (cln == NULL) {
        ly_keyring_destroy(ring);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_loyalty_keyring_cleanup;
    cln->data = ring;

    lmcf->keyring = ring;

    return NGX_CONF_OK;
}


static void
ngx_loyalty_keyring_cleanup(void *data)
{
    ly_keyring_destroy(data);
}


static char *
ngx_loyalty_keyring_read(ngx_conf_t *cf, ngx_str_t *name, ly_keyring_t **ring)
{
    char             *rv;
    u_char            buf[LY_KEYRING_MAX + 1];
    ssize_t           n;
    unsigned          line;
    ngx_fd_t          fd;
    ngx_file_info_t   fi;

    rv = NGX_CONF_ERROR;

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " keyring \"%V\" failed", name);
        return NGX_CONF_ERROR;
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " keyring \"%V\" failed", name);
        goto done;
    }

    if (ngx_file_access(&fi) & 0077) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "keyring \"%V\" may be read by others than its "
                           "owner: its mode must be 0400 or 0600", name);
        goto done;
    }

    n = ngx_read_fd(fd, buf, sizeof(buf));

    if (n < 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_fd_n " keyring \"%V\" failed", name);
        goto done;
    }

    line = 0;

    if (n > LY_KEYRING_MAX
        || ly_keyring_parse(ly_str_of(buf, n), ring, &line) != LY_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "keyring \"%V\" is not valid in line %ui",
                           name, (ngx_uint_t) line);
        goto done;
    }

    rv = NGX_CONF_OK;

done:

    ngx_explicit_memzero(buf, sizeof(buf));

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " keyring \"%V\" failed", name);
    }

    return rv;
}


static char *
ngx_loyalty_database(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_int_t                 n;
    ngx_str_t                *value;
    ngx_loyalty_pool_conf_t  *pool;

    pool = (ngx_loyalty_pool_conf_t *) (p + cmd->offset);

    if (pool->conninfo.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    /* of writes one is in flight on each, reads are pipelined */

    pool->connections = cmd->offset == offsetof(ngx_loyalty_main_conf_t, write)
                        ? 8 : 2;

    if (cf->args->nelts == 3) {

        n = NGX_ERROR;

        if (ngx_strncmp(value[2].data, "connections=", 12) == 0) {
            n = ngx_atoi(value[2].data + 12, value[2].len - 12);
        }

        if (n < 1 || n > NGX_LOYALTY_PG_CONNECTIONS) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        pool->connections = n;
    }

    pool->conninfo = value[1];

    return ngx_loyalty_pg_conninfo(cf, &pool->conninfo);
}


static char *
ngx_loyalty_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_loyalty_main_conf_t *lmcf = conf;

    ngx_url_t   u;
    ngx_str_t  *value;

    if (lmcf->redis) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = value[1];
    u.default_port = 6379;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"%V\" of \"%V\"",
                           u.err ? u.err : "invalid address", &u.url,
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    lmcf->redis = &u.addrs[0];

    return NGX_CONF_OK;
}


static char *
ngx_loyalty_socket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t  *value, *path;

    path = (ngx_str_t *) (p + cmd->offset);

    if (path->len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    *path = value[1];

    if (ngx_conf_full_name(cf->cycle, path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    /* a process adds "." and its pid */

    if (path->len > sizeof(((struct sockaddr_un *) 0)->sun_path) - 13) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too long path \"%V\" of a socket", path);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_loyalty_address_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_loyalty_main_conf_t *lmcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;
    ngx_uint_t  i;

    if (lmcf->address_rate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        lmcf->address_rate = 0;
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        n = NGX_ERROR;

        if (ngx_strncmp(value[i].data, "rate=", 5) == 0
            && value[i].len > 7
            && ngx_strncmp(value[i].data + value[i].len - 2, "/s", 2) == 0)
        {
            n = ngx_atoi(value[i].data + 5, value[i].len - 7);
            lmcf->address_rate = n;

        } else if (ngx_strncmp(value[i].data, "burst=", 6) == 0) {
            n = ngx_atoi(value[i].data + 6, value[i].len - 6);
            lmcf->address_burst = n;
        }

        if (n <= 0 || n > 1000000) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    if (lmcf->address_rate == NGX_CONF_UNSET_UINT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must have \"rate\" parameter", &cmd->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_loyalty_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_loyalty_loc_conf_t *llcf = conf;

    ngx_str_t  *value;

    if (llcf->api != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcasecmp(value[1].data, (u_char *) "on") == 0) {
        llcf->api = 1;

    } else if (ngx_strcasecmp(value[1].data, (u_char *) "off") == 0) {
        llcf->api = 0;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be \"on\" or \"off\"", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    llcf->file = cf->conf_file->file.name;
    llcf->line = cf->conf_file->line;

    return NGX_CONF_OK;
}


static char *
ngx_loyalty_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_loyalty_loc_conf_t *llcf = conf;

    ngx_str_t  *value;

    if (llcf->auth != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        llcf->auth = NGX_LOYALTY_AUTH_ON;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        llcf->auth = NGX_LOYALTY_AUTH_OFF;

    } else if (ngx_strcmp(value[1].data, "optional") == 0) {
        llcf->auth = NGX_LOYALTY_AUTH_OPTIONAL;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be \"on\", \"off\" or \"optional\"", &value[1],
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "scope=", 6) != 0
            || llcf->auth == NGX_LOYALTY_AUTH_OFF)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        if (ngx_strlchr(value[2].data, value[2].data + value[2].len, '*')
            || ngx_loyalty_scope_parse(value[2].data + 6, value[2].len - 6,
                                       &llcf->scope)
            != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown scope in \"%V\"", &value[2]);
            return NGX_CONF_ERROR;
        }
    }

    llcf->file = cf->conf_file->file.name;
    llcf->line = cf->conf_file->line;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_loyalty_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_loyalty_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char             *p;
    ngx_loyalty_ctx_t  *ctx;

    static const char  *prefixes[] = { "", "key", "usr", "mem" };

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 1;

    ctx = ngx_loyalty_ctx_find(r);

    if (ctx == NULL) {
        return NGX_OK;
    }

    switch (data) {

    case NGX_LOYALTY_V_TENANT:
        return ctx->tenant
               ? ngx_loyalty_variable_text(r, v, &ctx->tenant->slug) : NGX_OK;

    case NGX_LOYALTY_V_PRINCIPAL:
        if (ctx->principal.kind == NGX_LOYALTY_PRINCIPAL_NONE) {
            return NGX_OK;
        }

        return ngx_loyalty_variable_id(r, v, prefixes[ctx->principal.kind],
                                       &ctx->principal.id);

    case NGX_LOYALTY_V_ROUTE:
        return ctx->route
               ? ngx_loyalty_variable_text(r, v,
                                           (ngx_str_t *) &ctx->route->name)
               : NGX_OK;

    case NGX_LOYALTY_V_CACHE:
        return ngx_loyalty_variable_text(r, v, &ctx->cache);

    case NGX_LOYALTY_V_REQUEST_ID:
        return ngx_loyalty_variable_text(r, v, &ctx->request_id);

    case NGX_LOYALTY_V_CODE:
        return ngx_loyalty_variable_text(r, v, &ctx->code);

    case NGX_LOYALTY_V_LIMIT:
        return ngx_loyalty_variable_text(r, v, &ctx->violated);

    default: /* NGX_LOYALTY_V_DB_MS */

        if (!ctx->db) {
            return NGX_OK;
        }

        p = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        v->data = p;
        v->len = ngx_sprintf(p, "%M", ctx->db_ms) - p;
        v->not_found = 0;

        return NGX_OK;
    }
}


/* the value is copied: the tenant may be freed before a log line is written */

static ngx_int_t
ngx_loyalty_variable_text(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    ngx_str_t *s)
{
    if (s->len == 0) {
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, s->len);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(v->data, s->data, s->len);
    v->len = s->len;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_loyalty_variable_id(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    const char *prefix, ly_uuid_t *id)
{
    v->data = ngx_pnalloc(r->pool, LY_ID_TEXT);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = ly_id_print(ly_str_c(prefix), id, v->data);
    v->not_found = 0;

    return NGX_OK;
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
