/*
 * See log.h.  A line is made in one buffer and written by one write(), so that
 * lines of several processes on one file do not mix.
 */

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/ly_banned.h"


#define LOG_KEYS  64


/* one message's allowance */
typedef struct {
    const char  *msg;
    int64_t      at_ms;
    int64_t      tokens;            /* thousandths of a line */
    int64_t      suppressed;
} log_key_t;


static struct {
    int              fd;
    const char      *path;
    ly_log_level_e   level;
    const char      *lane;
    int64_t          slot;
    log_key_t        keys[LOG_KEYS];
} log_state = { .fd = STDERR_FILENO, .level = LY_LOG_INFO, .slot = -1 };


int64_t
clock_ms(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


int64_t
clock_mono_us(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static int
log_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}


ly_err_t
log_open(const char *path, ly_log_level_e level)
{
    int  fd;

    log_state.level = level;

    if (strcmp(path, "stderr") == 0) {
        log_state.fd = STDERR_FILENO;
        log_state.path = NULL;
        return LY_OK;
    }

    fd = log_file(path);
    if (fd == -1) {
        return LY_TEMP;
    }

    log_state.fd = fd;
    log_state.path = path;

    return LY_OK;
}


ly_err_t
log_reopen(void)
{
    int  fd;

    if (log_state.path == NULL) {
        return LY_OK;
    }

    fd = log_file(log_state.path);
    if (fd == -1) {
        return LY_TEMP;
    }

    (void) close(log_state.fd);
    log_state.fd = fd;

    return LY_OK;
}


void
log_level(ly_log_level_e level)
{
    log_state.level = level;
}


void
log_lane(const char *name, int64_t slot)
{
    log_state.lane = name;
    log_state.slot = slot;
}


/* whether the message may be written now; a message without a place may */
static log_key_t *
log_take(const char *msg, bool *allowed)
{
    size_t      i;
    int64_t     now;
    log_key_t  *key;

    *allowed = true;
    now = clock_mono_us() / 1000;

    for (i = 0; i < LOG_KEYS; i++) {
        key = &log_state.keys[i];

        if (key->msg == NULL) {
            key->msg = msg;
            key->at_ms = now;
            key->tokens = (int64_t) LOG_BURST * 1000;
        }

        if (key->msg == msg) {
            break;
        }
    }

    if (i == LOG_KEYS) {
        return NULL;
    }

    key->tokens += (now - key->at_ms) * LOG_RATE;
    key->at_ms = now;

    if (key->tokens > (int64_t) LOG_BURST * 1000) {
        key->tokens = (int64_t) LOG_BURST * 1000;
    }

    if (key->tokens < 1000) {
        key->suppressed++;
        *allowed = false;
        return key;
    }

    key->tokens -= 1000;

    return key;
}


void
log_write(ly_log_level_e level, const char *msg, const ly_log_field_t *fields,
    size_t n)
{
    bool             allowed;
    size_t           i, len, m;
    ssize_t          sent;
    log_key_t       *key;
    ly_log_head_t    head;
    ly_log_field_t   all[LOG_FIELDS_MAX + 3];
    unsigned char    line[LOG_LINE_MAX];

    if (level < log_state.level) {
        return;
    }

    key = log_take(msg, &allowed);
    if (!allowed) {
        return;
    }

    m = 0;

    if (log_state.lane != NULL) {
        all[m++] = ly_log_cstr("lane", log_state.lane);
        all[m++] = ly_log_int("slot", log_state.slot);
    }

    for (i = 0; i < n && i < LOG_FIELDS_MAX; i++) {
        all[m++] = fields[i];
    }

    if (key != NULL && key->suppressed != 0) {
        all[m++] = ly_log_int("suppressed", key->suppressed);
        key->suppressed = 0;
    }

    head.level = level;
    head.time_ms = clock_ms();
    head.pid = getpid();
    head.name = ly_str("loyalty-worker");
    head.msg = ly_str_c(msg);

    len = ly_log_line(line, sizeof(line), &head, all, m);

    do {
        sent = write(log_state.fd, line, len);
    } while (sent == -1 && errno == EINTR);
}
