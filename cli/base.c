/* What every command uses: settings, messages, files, clocks, signals. */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "ly_banned.h"


static int write_all(int fd, ly_str_t s);
static void caught(int sig);


volatile sig_atomic_t  cli_signal;


const char *
cli_opt(const cli_t *c, const char *name)
{
    unsigned          n;
    const cli_opt_t  *opt;

    for (n = 0, opt = c->cmd->opts; opt != NULL && opt->name != NULL;
         opt++, n++)
    {
        if (strcmp(opt->name, name) == 0) {
            return c->values[n];
        }
    }

    return NULL;
}


const char *
cli_setting(const cli_t *c, const char *opt, const char *env,
    const char *fallback)
{
    const char  *v;

    v = (opt != NULL) ? cli_opt(c, opt) : NULL;

    if (v == NULL && env != NULL) {
        v = getenv(env);
        v = (v != NULL && v[0] == '\0') ? NULL : v;
    }

    return (v != NULL) ? v : fallback;
}


int
cli_opt_int(const cli_t *c, const char *name, int64_t min, int64_t max,
    int64_t *out)
{
    int64_t      v;
    const char  *text;

    text = cli_opt(c, name);
    if (text == NULL) {
        return CLI_OK;
    }

    if (ly_int64_parse(ly_str_c(text), &v) != LY_OK || v < min || v > max) {
        return cli_fail(c, CLI_USAGE, "--%s is a number from %lld to %lld",
                        name, (long long) min, (long long) max);
    }

    *out = v;

    return CLI_OK;
}


int
cli_fail(const cli_t *c, int code, const char *fmt, ...)
{
    va_list  args;

    (void) fputs("error: ", stderr);
    va_start(args, fmt);
    (void) vfprintf(stderr, fmt, args);
    va_end(args);
    (void) fputc('\n', stderr);

    return code;
}


void
cli_hint(const cli_t *c, const char *fmt, ...)
{
    va_list  args;

    (void) fputs("hint: ", stderr);
    va_start(args, fmt);
    (void) vfprintf(stderr, fmt, args);
    va_end(args);
    (void) fputc('\n', stderr);
}


void
cli_note(const cli_t *c, const char *fmt, ...)
{
    va_list  args;

    if (c->quiet) {
        return;
    }

    va_start(args, fmt);
    (void) vfprintf(stderr, fmt, args);
    va_end(args);
    (void) fputc('\n', stderr);
}


int
cli_nomem(const cli_t *c)
{
    return cli_fail(c, CLI_FAILED, "out of memory");
}


int
cli_write(const cli_t *c, ly_str_t s)
{
    if (write_all(STDOUT_FILENO, s) != 0) {
        return cli_fail(c, CLI_FAILED, "output: %s", strerror(errno));
    }

    return CLI_OK;
}


int
cli_write_buf(const cli_t *c, const ly_buf_t *b)
{
    if (ly_buf_err(b) != LY_OK) {
        return cli_nomem(c);
    }

    return cli_write(c, ly_buf_view(b));
}


char *
cli_text(cli_t *c, ly_str_t s)
{
    char  *p;

    p = ly_arena_bytes(c->arena, s.len + 1);
    if (p == NULL) {
        return NULL;
    }

    if (s.len > 0) {
        memcpy(p, s.data, s.len);
    }

    p[s.len] = '\0';

    return p;
}


int
cli_secret(cli_t *c, const char *opt, const char *env, ly_str_t *out)
{
    int          code;
    const char  *path, *value;
    struct stat  st;

    *out = ly_str("");

    path = (opt != NULL) ? cli_opt(c, opt) : NULL;

    if (path == NULL) {
        value = getenv(env);
        return ly_arena_str(c->arena, ly_str_c(value), out) == LY_OK
               ? CLI_OK : cli_nomem(c);
    }

    if (strcmp(path, "-") != 0) {
        if (stat(path, &st) != 0) {
            return cli_fail(c, CLI_USAGE, "%s: %s", path, strerror(errno));
        }

        if (S_ISREG(st.st_mode) && (st.st_mode & 077) != 0) {
            return cli_fail(c, CLI_USAGE, "%s can be read by others: "
                            "chmod 600", path);
        }
    }

    code = cli_read_file(c, path, 65536, out);
    if (code != CLI_OK) {
        return code;
    }

    while (out->len > 0 && (out->data[out->len - 1] == '\n'
                            || out->data[out->len - 1] == '\r'))
    {
        out->len--;
    }

    return CLI_OK;
}


int
cli_read_file(cli_t *c, const char *path, size_t max, ly_str_t *out)
{
    int             fd;
    ssize_t         n;
    ly_buf_t        b;
    unsigned char  *p;

    fd = (strcmp(path, "-") == 0) ? STDIN_FILENO
                                  : open(path, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return cli_fail(c, CLI_FAILED, "%s: %s", path, strerror(errno));
    }

    ly_buf_init_arena(&b, c->arena, max);

    do {
        p = ly_buf_reserve(&b, 1);
        if (p == NULL) {
            break;
        }

        n = read(fd, p, (b.cap > b.len) ? b.cap - b.len : 1);

        if (n > 0) {
            ly_buf_commit(&b, (size_t) n);
        }

    } while (n > 0 || (n == -1 && errno == EINTR));

    n = (p == NULL) ? -2 : n;

    if (fd != STDIN_FILENO) {
        (void) close(fd);
    }

    if (n == -2) {
        return cli_fail(c, CLI_FAILED, "%s is larger than %zu bytes", path,
                        max);
    }

    if (n == -1) {
        return cli_fail(c, CLI_FAILED, "%s: %s", path, strerror(errno));
    }

    *out = ly_buf_view(&b);

    return CLI_OK;
}


int
cli_replace_file(const cli_t *c, const char *path, unsigned mode,
    ly_str_t data)
{
    int       fd, saved;
    bool      good;
    ly_buf_t  name;
    char      mem[4096];

    ly_buf_init_fixed(&name, mem, sizeof(mem));
    ly_buf_cstr(&name, path);
    ly_buf_cstr(&name, ".new");
    ly_buf_byte(&name, '\0');

    if (ly_buf_err(&name) != LY_OK) {
        return cli_fail(c, CLI_FAILED, "%s: the name is too long", path);
    }

    (void) unlink(mem);

    fd = open(mem, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, mode);
    if (fd == -1) {
        return cli_fail(c, CLI_FAILED, "%s: %s", mem, strerror(errno));
    }

    good = write_all(fd, data) == 0 && fsync(fd) == 0;
    saved = errno;
    good = close(fd) == 0 && good;

    if (good && rename(mem, path) == 0) {
        return CLI_OK;
    }

    saved = good ? errno : saved;
    (void) unlink(mem);

    return cli_fail(c, CLI_FAILED, "%s: %s", path, strerror(saved));
}


int64_t
cli_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


int64_t
cli_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


void
cli_catch_signals(void)
{
    struct sigaction  sa;

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = caught;

    /* the second one ends the program at once */
    sa.sa_flags = (int) SA_RESETHAND;

    (void) sigaction(SIGINT, &sa, NULL);
    (void) sigaction(SIGTERM, &sa, NULL);
}


static void
caught(int sig)
{
    cli_signal = sig;
}


static int
write_all(int fd, ly_str_t s)
{
    size_t   done;
    ssize_t  n;

    for (done = 0; done < s.len; done += (size_t) n) {
        n = write(fd, s.data + done, s.len - done);

        if (n == -1) {
            if (errno != EINTR) {
                return -1;
            }

            n = 0;
        }
    }

    return 0;
}
