/*
 * Requests to the outside, many at a time in one process: libcurl's multi
 * interface with every bound set.  No redirect, no proxy, no decompression;
 * the guard judges each address.
 */

#ifndef HTTP_CLIENT_H_INCLUDED_
#define HTTP_CLIENT_H_INCLUDED_

#include "http_guard.h"

#include "../common/ly_base.h"


#define HTTP_CONNECT_MS     3000
#define HTTP_TOTAL_MS       15000
#define HTTP_BODY_MAX       65536       /* read at the most; then cut off */
#define HTTP_RESPONSE_KEEP  4096        /* bytes of the body handed on */
#define HTTP_HEADERS_MAX    8

typedef struct http_client_s  http_client_t;

typedef struct {
    ly_str_t     name;
    ly_str_t     value;
} http_header_t;

typedef struct {
    int          status;        /* 0 when no answer came */
    int64_t      ms;
    int64_t      retry_after;   /* seconds; 0 when absent or not a number */
    const char  *error;         /* NULL with a status; else a constant text */
    ly_str_t     body;          /* the first HTTP_RESPONSE_KEEP bytes */
} http_result_t;

/* called from http_client_run(); result is valid during the call only */
typedef void (*http_done_pt)(void *data, const http_result_t *result);


/*
 * At most max transfers at a time.  ca_file (may be NULL: the system's) is a
 * bundle of authorities.  guard and ca_file outlive the client.  NULL when
 * libcurl cannot start.
 */
ly_must_check http_client_t *http_client_create(const http_guard_t *guard,
    const char *ca_file, size_t max);

/* aborts what runs, without calling done; NULL is fine */
void http_client_destroy(http_client_t *client);

/* transfers that run, and how many more fit */
size_t http_client_running(const http_client_t *client);
size_t http_client_room(const http_client_t *client);

/*
 * Starts a POST of body (copied) as application/json.  done is called once,
 * later.  LY_LIMIT when no room is left or a bound is passed, LY_DENIED for a
 * URL that the guard refuses; then done is not called.
 */
ly_must_check ly_err_t http_client_post(http_client_t *client, ly_str_t url,
    const http_header_t *headers, size_t nheaders, ly_str_t body,
    http_done_pt done, void *data);

/*
 * Moves the transfers on, calls done for those at their end, and waits up to
 * timeout_ms for one of them or for wake_fd (-1: none) to become readable.
 */
ly_must_check ly_err_t http_client_run(http_client_t *client, int wake_fd,
    int timeout_ms);


#endif /* HTTP_CLIENT_H_INCLUDED_ */
