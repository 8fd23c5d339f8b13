#include "http_guard.h"

#include "../common/ly_url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>


static curl_socket_t http_guard_open(void *data, curlsocktype purpose,
    struct curl_sockaddr *address);
static int http_guard_reuse(void *data, char *peer, char *local, int peer_port,
    int local_port);
static bool http_guard_allows(http_guard_watch_t *watch, const ly_addr_t *addr,
    uint16_t port);


/* below are protocols that answer to lines of an HTTP client */
#define HTTP_GUARD_PORT_FREE  1024


ly_err_t
http_guard_init(http_guard_t *guard, ly_str_t allow, ly_str_t *bad)
{
    size_t    start, end;
    ly_err_t  err;
    ly_str_t  word;

    guard->nallow = 0;

    for (start = 0; start < allow.len; start = end + 1) {

        end = start;

        while (end < allow.len && allow.data[end] != ' ') {
            end++;
        }

        if (end == start) {
            continue;
        }

        word = ly_str_of(allow.data + start, end - start);
        err = LY_LIMIT;

        if (guard->nallow < HTTP_GUARD_ALLOW_MAX) {
            err = ly_cidr_parse(word, &guard->allow[guard->nallow]);
        }

        if (err != LY_OK) {
            if (bad != NULL) {
                *bad = word;
            }

            return err;
        }

        guard->nallow++;
    }

    return LY_OK;
}


ly_err_t
http_guard_url(const http_guard_t *guard, ly_str_t url)
{
    bool      listed;
    ly_url_t  u;

    if (ly_url_parse(url, &u) != LY_OK) {
        return LY_DENIED;
    }

    listed = false;

    if (u.is_addr) {
        if (!ly_addr_allowed(&u.addr, u.port, guard->allow, guard->nallow)) {
            return LY_DENIED;
        }

        listed = (ly_addr_denied(&u.addr) != NULL);
    }

    if (listed) {
        return LY_OK;
    }

    if (!u.https) {
        return LY_DENIED;
    }

    if (u.port < HTTP_GUARD_PORT_FREE && u.port != 443) {
        return LY_DENIED;
    }

    return LY_OK;
}


ly_err_t
http_guard_watch(http_guard_watch_t *watch, const http_guard_t *guard,
    CURL *curl)
{
    watch->guard = guard;
    watch->refused = NULL;

    if (curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, http_guard_open)
        != CURLE_OK
        || curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, watch) != CURLE_OK
        || curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, http_guard_reuse)
        != CURLE_OK
        || curl_easy_setopt(curl, CURLOPT_PREREQDATA, watch) != CURLE_OK
        || curl_easy_setopt(curl, CURLOPT_PROXY, "") != CURLE_OK
        || curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https")
        != CURLE_OK
        || curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) != CURLE_OK)
    {
        return LY_FATAL;
    }

    return LY_OK;
}


static curl_socket_t
http_guard_open(void *data, curlsocktype purpose,
    struct curl_sockaddr *address)
{
    uint16_t                    port;
    ly_err_t                    err;
    ly_addr_t                   addr;
    const struct sockaddr_in   *sin;
    const struct sockaddr_in6  *sin6;

    (void) purpose;     /* libcurl opens no other kind for http */

    switch (address->family) {

    case AF_INET:
        sin = (const void *) &address->addr;
        port = ntohs(sin->sin_port);
        err = ly_addr_bytes(4, &sin->sin_addr, &addr);
        break;

    case AF_INET6:
        sin6 = (const void *) &address->addr;
        port = ntohs(sin6->sin6_port);
        err = ly_addr_bytes(6, &sin6->sin6_addr, &addr);
        break;

    default:
        return CURL_SOCKET_BAD;
    }

    if (err != LY_OK || !http_guard_allows(data, &addr, port)) {
        return CURL_SOCKET_BAD;
    }

    return socket(address->family, address->socktype | SOCK_CLOEXEC,
                  address->protocol);
}


static int
http_guard_reuse(void *data, char *peer, char *local, int peer_port,
    int local_port)
{
    ly_addr_t  addr;

    (void) local;
    (void) local_port;

    if (ly_addr_parse(ly_str_c(peer), &addr) != LY_OK
        || peer_port < 1 || peer_port > 65535
        || !http_guard_allows(data, &addr, (uint16_t) peer_port))
    {
        return CURL_PREREQFUNC_ABORT;
    }

    return CURL_PREREQFUNC_OK;
}


static bool
http_guard_allows(http_guard_watch_t *watch, const ly_addr_t *addr,
    uint16_t port)
{
    const http_guard_t  *guard;

    guard = watch->guard;

    if (ly_addr_allowed(addr, port, guard->allow, guard->nallow)) {
        return true;
    }

    watch->refused = ly_addr_denied(addr);

    return false;
}
