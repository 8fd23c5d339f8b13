
#include "ngx_loyalty_poke.h"


static int                 ngx_loyalty_poke_fd = -1;
static struct sockaddr_un  ngx_loyalty_poke_address;
static ngx_log_t          *ngx_loyalty_poke_log;


ngx_int_t
ngx_loyalty_poke_init(ngx_cycle_t *cycle, ngx_loyalty_main_conf_t *lmcf)
{
    ngx_str_t  *path;

    path = &lmcf->worker_socket;
    ngx_loyalty_poke_log = cycle->log;

    if (path->len == 0) {
        return NGX_OK;
    }

    if (path->len >= sizeof(ngx_loyalty_poke_address.sun_path)) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "the path \"%V\" of the worker's socket is too long",
                      path);
        return NGX_ERROR;
    }

    ngx_memzero(&ngx_loyalty_poke_address, sizeof(ngx_loyalty_poke_address));
    ngx_loyalty_poke_address.sun_family = AF_UNIX;
    ngx_memcpy(ngx_loyalty_poke_address.sun_path, path->data, path->len);

    ngx_loyalty_poke_fd = ngx_socket(AF_UNIX, SOCK_DGRAM, 0);

    if (ngx_loyalty_poke_fd == -1
        || ngx_nonblocking(ngx_loyalty_poke_fd) == -1)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_socket_errno,
                      ngx_socket_n " for the worker failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_loyalty_poke_exit(void)
{
    if (ngx_loyalty_poke_fd != -1) {
        (void) ngx_close_socket(ngx_loyalty_poke_fd);
        ngx_loyalty_poke_fd = -1;
    }
}


void
ngx_loyalty_poke(ly_str_t lane)
{
    static time_t  said;

    if (ngx_loyalty_poke_fd == -1) {
        return;
    }

    /* one byte is no lane's name */

    if (lane.len == 0) {
        lane = ly_str("-");
    }

    if (sendto(ngx_loyalty_poke_fd, lane.data, lane.len,
               MSG_DONTWAIT|MSG_NOSIGNAL,
               (struct sockaddr *) &ngx_loyalty_poke_address,
               sizeof(ngx_loyalty_poke_address)) != -1)
    {
        return;
    }

    /* a full socket means that the worker knows already */

    if (ngx_socket_errno != NGX_EAGAIN && said != ngx_time()) {
        said = ngx_time();
        ngx_log_error(NGX_LOG_WARN, ngx_loyalty_poke_log, ngx_socket_errno,
                      "the worker cannot be woken: sendto() failed");
    }
}
