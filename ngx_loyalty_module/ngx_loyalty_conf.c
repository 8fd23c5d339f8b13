/*
 * What the directives say: each is read, checked and put into its place.
 */

#include "ngx_loyalty_conf.h"
#include "ngx_loyalty_pg.h"
#include "ngx_loyalty_zone.h"
#include "ly_seal.h"


static char *ngx_loyalty_conf_keyring_read(ngx_conf_t *cf, ngx_str_t *name,
    ly_keyring_t **ring);
static void ngx_loyalty_conf_keyring_cleanup(void *data);


static ngx_str_t  ngx_loyalty_zone_name = ngx_string("loyalty");


char *
ngx_loyalty_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_loyalty_conf_domain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_loyalty_conf_keyring(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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

    rv = ngx_loyalty_conf_keyring_read(cf, &lmcf->keyring_file, &ring);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (cln == NULL) {
        ly_keyring_destroy(ring);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_loyalty_conf_keyring_cleanup;
    cln->data = ring;

    lmcf->keyring = ring;

    return NGX_CONF_OK;
}


static char *
ngx_loyalty_conf_keyring_read(ngx_conf_t *cf, ngx_str_t *name,
    ly_keyring_t **ring)
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


static void
ngx_loyalty_conf_keyring_cleanup(void *data)
{
    ly_keyring_destroy(data);
}


char *
ngx_loyalty_conf_database(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_loyalty_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_loyalty_conf_socket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_loyalty_conf_address_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_loyalty_conf_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_loyalty_conf_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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
