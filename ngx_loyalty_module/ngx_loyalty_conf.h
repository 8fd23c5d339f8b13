/*
 * Setters of the directives: what ngx_command_t asks for.  conf is the main
 * configuration, for api and auth that of the location.  NGX_CONF_OK; a text
 * that nginx puts behind the directive's name; NGX_CONF_ERROR, logged.
 */

#ifndef NGX_LOYALTY_CONF_H_INCLUDED_
#define NGX_LOYALTY_CONF_H_INCLUDED_

#include "ngx_loyalty.h"


char *ngx_loyalty_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_loyalty_conf_domain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* reads the file and keeps its keys until the configuration goes away */
char *ngx_loyalty_conf_keyring(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* of the three pools: the ngx_loyalty_pool_conf_t at cmd->offset */
char *ngx_loyalty_conf_database(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

char *ngx_loyalty_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* a path as ngx_str_t at cmd->offset */
char *ngx_loyalty_conf_socket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

char *ngx_loyalty_conf_address_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_loyalty_conf_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_loyalty_conf_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


#endif /* NGX_LOYALTY_CONF_H_INCLUDED_ */
