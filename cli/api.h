/*
 * The public API, for the commands that speak to it: LOYALTY_URL,
 * LOYALTY_SECRET_KEY (or --api-key-file), LOYALTY_CA.
 */

#ifndef API_H_INCLUDED_
#define API_H_INCLUDED_

#include "cli.h"


typedef struct api_s  api_t;

#define API_ANSWER_MAX  (16 * 1024 * 1024)

typedef struct {
    long       status;          /* HTTP; 0: no answer, see error */
    int64_t    retry_after;     /* seconds, or -1 */
    char       request[64];     /* X-Request-Id of the answer */
    char       error[256];      /* libcurl's words */
    bool       hopeless;        /* no answer, and there will be none */
    ly_buf_t   body;
} api_answer_t;


/* NULL with *code and the error said; the key is taken as cli_secret() says */
api_t *api_open(cli_t *c, int *code);
void api_close(api_t *api);     /* NULL is fine */

/*
 * One call; path begins with "/v1/" and is encoded already; body may be empty
 * (no body).  The answer is the api's and valid until its next call.
 */
api_answer_t *api_call(api_t *api, const char *method, const char *path,
    ly_str_t body);

/*
 * The exit code of an answer: CLI_OK for 2xx.  Otherwise says title, code and
 * request of the problem document, on stderr; with -o json the document too.
 */
int api_verdict(cli_t *c, const api_answer_t *a);

/* percent-encodes one segment of a path onto the buffer */
void api_segment(ly_buf_t *b, ly_str_t s);


/*
 * Several calls in flight: POSTs of one path, each on a slot of its own.
 * start: the body must live until its answer; done(): waits up to ms and gives
 * the slot that is ready, or -1.
 */
typedef struct api_many_s  api_many_t;

api_many_t *api_many(api_t *api, unsigned slots, const char *path);
void api_many_close(api_many_t *m);
ly_must_check int api_many_start(api_many_t *m, unsigned slot, ly_str_t body);
int api_many_done(api_many_t *m, int ms);
api_answer_t *api_many_answer(api_many_t *m, unsigned slot);


#endif /* API_H_INCLUDED_ */
