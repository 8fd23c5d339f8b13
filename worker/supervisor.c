/*
 * See supervisor.h.  All signals come through one signalfd; nothing runs in a
 * handler.
 */

#include "supervisor.h"

#include "lane.h"
#include "log.h"
#include "../common/ly_buf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../common/ly_banned.h"


#define SLOTS_MAX         (5 * CONFIG_SLOTS_MAX)
#define RESTART_FIRST_MS  50

/* a slot that lived this long starts again without delay */
#define RESTART_CALM_MS   10000

#define METRICS_EVERY_MS  5000
#define METRICS_MAX       (256 * 1024)


typedef struct {
    const lane_kind_t  *kind;
    int64_t             slot;
    pid_t               pid;            /* 0: not running */
    int                 wake_fd;
    int64_t             started_us;
    int64_t             start_us;       /* not before; of the next start */
    int64_t             delay_ms;
    lane_stats_t       *stats;
} slot_t;


typedef struct {
    config_t      *conf;
    const char    *conf_path;
    int            signal_fd;
    int            socket_fd;
    int            pid_fd;
    slot_t         slots[SLOTS_MAX];
    size_t         n;
    lane_stats_t  *stats;
    bool           stopping;
    bool           aborted;
    int64_t        deadline_us;
    int64_t        metrics_us;
} supervisor_t;


/* systemd's notification datagram (sd_notify(3)); nothing without it */
static void
supervisor_notify(const char *state)
{
    int                  fd;
    size_t               len;
    const char          *path;
    struct sockaddr_un   addr;

    path = getenv("NOTIFY_SOCKET");
    if (path == NULL) {
        return;
    }

    len = strlen(path);

    if (len == 0 || len >= sizeof(addr.sun_path)) {
        return;
    }

    memset(&addr, 0, sizeof(addr));
    addr.sun_family = AF_UNIX;
    memcpy(addr.sun_path, path, len);

    if (path[0] == '@') {
        addr.sun_path[0] = '\0';
    }

    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return;
    }

    (void) sendto(fd, state, strlen(state), MSG_NOSIGNAL,
                  (struct sockaddr *) &addr,
                  (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len));
    (void) close(fd);
}


static ly_err_t
supervisor_pid_file(supervisor_t *sup)
{
    int   n;
    char  text[32];

    sup->pid_fd = -1;

    if (sup->conf->pid_file[0] == '\0') {
        return LY_OK;
    }

    sup->pid_fd = open(sup->conf->pid_file, O_RDWR | O_CREAT | O_CLOEXEC,
                       0644);
    if (sup->pid_fd == -1) {
        log_plain(LY_LOG_FATAL, "the pid file cannot be opened");
        return LY_FATAL;
    }

    if (flock(sup->pid_fd, LOCK_EX | LOCK_NB) != 0) {
        log_plain(LY_LOG_FATAL, "another worker holds the pid file");
        return LY_DENIED;
    }

    n = snprintf(text, sizeof(text), "%ld\n", (long) getpid());

    if (ftruncate(sup->pid_fd, 0) != 0
        || write(sup->pid_fd, text, (size_t) n) != n)
    {
        log_plain(LY_LOG_FATAL, "the pid file cannot be written");
        return LY_FATAL;
    }

    return LY_OK;
}


static ly_err_t
supervisor_socket(supervisor_t *sup)
{
    size_t              len;
    const char         *path;
    struct sockaddr_un  addr;

    sup->socket_fd = -1;
    path = sup->conf->socket;
    len = strlen(path);

    if (len == 0) {
        return LY_OK;
    }

    if (len >= sizeof(addr.sun_path)) {
        log_plain(LY_LOG_FATAL, "the path of the socket is too long");
        return LY_LIMIT;
    }

    memset(&addr, 0, sizeof(addr));
    addr.sun_family = AF_UNIX;
    memcpy(addr.sun_path, path, len);

    sup->socket_fd = socket(AF_UNIX,
                            SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void) unlink(path);

    if (sup->socket_fd == -1
        || bind(sup->socket_fd, (struct sockaddr *) &addr, sizeof(addr)) != 0)
    {
        log_plain(LY_LOG_FATAL, "the socket cannot be bound");
        return LY_FATAL;
    }

    return LY_OK;
}


static ly_err_t
supervisor_slots(supervisor_t *sup)
{
    slot_t         *slot;
    size_t          i;
    int64_t         j, n;
    unsigned char  *conf;

    sup->stats = mmap(NULL, SLOTS_MAX * sizeof(lane_stats_t),
                      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                      0);
    if (sup->stats == MAP_FAILED) {
        return LY_NOMEM;
    }

    conf = (unsigned char *) sup->conf;

    for (i = 0; lane_kinds[i] != NULL; i++) {

        memcpy(&n, conf + lane_kinds[i]->slots, sizeof(n));

        for (j = 0; j < n && sup->n < SLOTS_MAX; j++) {

            slot = &sup->slots[sup->n];
            slot->kind = lane_kinds[i];
            slot->slot = j;
            slot->stats = &sup->stats[sup->n];
            slot->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

            if (slot->wake_fd == -1) {
                return LY_FATAL;
            }

            sup->n++;
        }
    }

    return LY_OK;
}


static ly_err_t
supervisor_init(supervisor_t *sup)
{
    ly_err_t  err;
    sigset_t  mask;

    (void) sigfillset(&mask);

    if (sigprocmask(SIG_SETMASK, &mask, NULL) != 0) {
        return LY_FATAL;
    }

    sup->signal_fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    if (sup->signal_fd == -1) {
        return LY_FATAL;
    }

    err = supervisor_pid_file(sup);

    if (err == LY_OK) {
        err = supervisor_socket(sup);
    }

    if (err == LY_OK) {
        err = supervisor_slots(sup);
    }

    return err;
}


static void
supervisor_child(supervisor_t *sup, slot_t *slot, pid_t parent)
{
    lane_t  lane;

    /* a slot does not outlive its supervisor */
    (void) prctl(PR_SET_PDEATHSIG, SIGTERM);

    if (getppid() != parent) {
        _exit(EXIT_FAILURE);
    }

    (void) close(sup->signal_fd);

    if (sup->socket_fd != -1) {
        (void) close(sup->socket_fd);
    }

    if (sup->pid_fd != -1) {
        (void) close(sup->pid_fd);
    }

    memset(&lane, 0, sizeof(lane_t));
    lane.kind = slot->kind;
    lane.slot = slot->slot;
    lane.conf = sup->conf;
    lane.conf_path = sup->conf_path;
    lane.stats = slot->stats;
    lane.wake_fd = slot->wake_fd;

    exit(lane_run(&lane));
}


static void
supervisor_start(supervisor_t *sup, slot_t *slot)
{
    pid_t  pid, parent;

    parent = getpid();
    pid = fork();

    if (pid == 0) {
        supervisor_child(sup, slot, parent);
    }

    slot->started_us = clock_mono_us();

    if (pid == -1) {
        slot->start_us = slot->started_us + RESTART_FIRST_MS * 1000;
        log_plain(LY_LOG_ERROR, "fork failed");
        return;
    }

    slot->pid = pid;
    slot->stats->pid = pid;
}


static void
supervisor_ended(supervisor_t *sup, slot_t *slot, int status)
{
    int64_t  now;

    now = clock_mono_us();
    slot->pid = 0;
    slot->stats->pid = 0;

    if (sup->stopping) {
        return;
    }

    if (now - slot->started_us > RESTART_CALM_MS * 1000LL) {
        slot->delay_ms = 0;

    } else if (slot->delay_ms == 0) {
        slot->delay_ms = RESTART_FIRST_MS;

    } else {
        slot->delay_ms *= 2;
    }

    if (slot->delay_ms > sup->conf->restart_max_ms) {
        slot->delay_ms = sup->conf->restart_max_ms;
    }

    slot->start_us = now + slot->delay_ms * 1000;
    slot->stats->restarts++;

    log_line(LY_LOG_ERROR, "slot died",
             ly_log_cstr("of", slot->kind->name),
             ly_log_int("number", slot->slot),
             ly_log_int("exit", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
             ly_log_int("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
             ly_log_int("restart_ms", slot->delay_ms));
}


static void
supervisor_reap(supervisor_t *sup)
{
    int     status;
    pid_t   pid;
    size_t  i;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (i = 0; i < sup->n; i++) {
            if (sup->slots[i].pid == pid) {
                supervisor_ended(sup, &sup->slots[i], status);
            }
        }
    }
}


static void
supervisor_kill(supervisor_t *sup, int signo)
{
    size_t  i;

    for (i = 0; i < sup->n; i++) {
        if (sup->slots[i].pid != 0) {
            (void) kill(sup->slots[i].pid, signo);
        }
    }
}


static void
supervisor_reload(supervisor_t *sup)
{
    int       n;
    size_t    restart;
    config_t  next;
    char      why[CONFIG_WHY_MAX], state[64];

    n = snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
                 (long long) clock_mono_us());

    if (n > 0) {
        supervisor_notify(state);
    }

    if (config_load(&next, sup->conf_path, why) != LY_OK) {
        log_line(LY_LOG_ERROR, "configuration is refused, the old one holds",
                 ly_log_cstr("why", why));

    } else {
        restart = config_reload(sup->conf, &next);
        log_level((ly_log_level_e) sup->conf->log_level);
        supervisor_kill(sup, SIGHUP);

        log_line(LY_LOG_INFO, "configuration read again",
                 ly_log_uint("need_restart", restart));
    }

    supervisor_notify("READY=1");
}


static void
supervisor_stop(supervisor_t *sup)
{
    if (sup->stopping) {
        sup->aborted = true;
        supervisor_kill(sup, SIGKILL);
        return;
    }

    sup->stopping = true;
    sup->deadline_us = clock_mono_us() + sup->conf->drain_ms * 1000;

    log_plain(LY_LOG_INFO, "stopping");
    supervisor_notify("STOPPING=1");
    supervisor_kill(sup, SIGTERM);
}


static void
supervisor_signals(supervisor_t *sup)
{
    struct signalfd_siginfo  info;

    while (read(sup->signal_fd, &info, sizeof(info))
           == (ssize_t) sizeof(info))
    {
        switch (info.ssi_signo) {

        case SIGTERM:
        case SIGINT:
            supervisor_stop(sup);
            break;

        case SIGHUP:
            supervisor_reload(sup);
            break;

        case SIGUSR1:
            if (log_reopen() != LY_OK) {
                log_plain(LY_LOG_ERROR, "the log file cannot be opened again");
            }
            supervisor_kill(sup, SIGUSR1);
            break;

        default:
            break;
        }
    }

    supervisor_reap(sup);
}


/* any bytes wake every lane; the name of one wakes that one */
static void
supervisor_wake(supervisor_t *sup, ly_str_t name)
{
    size_t    i;
    bool      one;
    uint64_t  n;

    n = 1;
    one = false;

    for (i = 0; i < sup->n; i++) {
        if (ly_str_eq(name, ly_str_c(sup->slots[i].kind->name))) {
            (void) !write(sup->slots[i].wake_fd, &n, sizeof(n));
            one = true;
        }
    }

    for (i = 0; i < sup->n && !one; i++) {
        (void) !write(sup->slots[i].wake_fd, &n, sizeof(n));
    }
}


static void
supervisor_poked(supervisor_t *sup)
{
    int      n;
    bool     all;
    char     text[64];
    ssize_t  len;

    all = false;

    /* bounded, so that a flood of pokes does not keep the signals waiting */
    for (n = 0; n < 1024; n++) {

        len = recv(sup->socket_fd, text, sizeof(text), MSG_DONTWAIT);
        if (len == -1) {
            break;
        }

        if (len > 1) {
            supervisor_wake(sup, ly_str_of(text, (size_t) len));

        } else {
            all = true;
        }
    }

    if (all) {
        supervisor_wake(sup, ly_str(""));
    }
}


static void
supervisor_metric(supervisor_t *sup, ly_buf_t *b, const char *name,
    const char *help, const char *type, size_t offset)
{
    size_t   i;
    int64_t  value;

    ly_buf_cstr(b, "# HELP loyalty_worker_");
    ly_buf_cstr(b, name);
    ly_buf_byte(b, ' ');
    ly_buf_cstr(b, help);
    ly_buf_cstr(b, "\n# TYPE loyalty_worker_");
    ly_buf_cstr(b, name);
    ly_buf_byte(b, ' ');
    ly_buf_cstr(b, type);
    ly_buf_byte(b, '\n');

    for (i = 0; i < sup->n; i++) {

        memcpy(&value, (unsigned char *) sup->slots[i].stats + offset,
               sizeof(value));

        ly_buf_cstr(b, "loyalty_worker_");
        ly_buf_cstr(b, name);
        ly_buf_cstr(b, "{lane=\"");
        ly_buf_cstr(b, sup->slots[i].kind->name);
        ly_buf_cstr(b, "\",slot=\"");
        ly_buf_int(b, sup->slots[i].slot);
        ly_buf_cstr(b, "\"} ");
        ly_buf_int(b, value);
        ly_buf_byte(b, '\n');
    }
}


static ly_err_t
supervisor_metrics_write(const char *path, ly_str_t text)
{
    int       fd;
    char      temp[512];
    ssize_t   n;
    ly_err_t  err;

    n = snprintf(temp, sizeof(temp), "%s.new", path);
    if (n < 0 || (size_t) n >= sizeof(temp)) {
        return LY_LIMIT;
    }

    fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd == -1) {
        return LY_TEMP;
    }

    err = write(fd, text.data, text.len) == (ssize_t) text.len ? LY_OK
                                                               : LY_TEMP;
    (void) close(fd);

    if (err == LY_OK && rename(temp, path) != 0) {
        err = LY_TEMP;
    }

    return err;
}


static void
supervisor_metrics(supervisor_t *sup)
{
    size_t    i;
    int64_t   now;
    ly_buf_t  b;

    static const struct {
        const char  *name;
        const char  *type;
        const char  *help;
        size_t       offset;
    } metrics[] = {
        { "turns_total", "counter", "turns that found work",
          offsetof(lane_stats_t, turns) },
        { "items_total", "counter", "events, commands, jobs or balances done",
          offsetof(lane_stats_t, items) },
        { "failures_total", "counter", "turns that failed",
          offsetof(lane_stats_t, failures) },
        { "parked_total", "counter", "events parked",
          offsetof(lane_stats_t, parked) },
        { "quarantined_total", "counter", "events quarantined",
          offsetof(lane_stats_t, quarantined) },
        { "connections_total", "counter", "connections to the database made",
          offsetof(lane_stats_t, reconnects) },
        { "busy_microseconds_total", "counter", "time spent in turns",
          offsetof(lane_stats_t, busy_us) },
        { "restarts_total", "counter", "times the slot was started again",
          offsetof(lane_stats_t, restarts) },
        { "pid", "gauge", "process of the slot, 0 if there is none",
          offsetof(lane_stats_t, pid) },
    };

    now = clock_mono_us();

    if (sup->conf->metrics_file[0] == '\0'
        || (sup->metrics_us != 0
            && now - sup->metrics_us < METRICS_EVERY_MS * 1000LL))
    {
        return;
    }

    sup->metrics_us = now;
    ly_buf_init(&b, METRICS_MAX, NULL);

    for (i = 0; i < ly_countof(metrics); i++) {
        supervisor_metric(sup, &b, metrics[i].name, metrics[i].help,
                          metrics[i].type, metrics[i].offset);
    }

    if (ly_buf_err(&b) != LY_OK
        || supervisor_metrics_write(sup->conf->metrics_file, ly_buf_view(&b))
        != LY_OK)
    {
        log_plain(LY_LOG_WARN, "the metrics file cannot be written");
    }

    ly_buf_free(&b);
}


/* starts what is due; returns ms until the next start, at most a second */
static int
supervisor_tend(supervisor_t *sup)
{
    int       ms;
    size_t    i;
    slot_t   *slot;
    int64_t   now, left;

    ms = 1000;
    now = clock_mono_us();

    for (i = 0; i < sup->n && !sup->stopping; i++) {

        slot = &sup->slots[i];

        if (slot->pid != 0) {
            continue;
        }

        left = (slot->start_us - now) / 1000;

        if (left <= 0) {
            supervisor_start(sup, slot);

        } else if (left < ms) {
            ms = (int) left;
        }
    }

    supervisor_metrics(sup);

    return ms;
}


static bool
supervisor_empty(const supervisor_t *sup)
{
    size_t  i;

    for (i = 0; i < sup->n; i++) {
        if (sup->slots[i].pid != 0) {
            return false;
        }
    }

    return true;
}


static void
supervisor_loop(supervisor_t *sup)
{
    int            ms;
    struct pollfd  p[2];

    while (!sup->stopping || !supervisor_empty(sup)) {

        ms = supervisor_tend(sup);

        if (sup->stopping) {
            ms = 50;

            if (!sup->aborted && clock_mono_us() > sup->deadline_us) {
                log_plain(LY_LOG_WARN, "slots did not finish in time");
                sup->aborted = true;
                supervisor_kill(sup, SIGKILL);
            }
        }

        p[0] = (struct pollfd) { sup->signal_fd, POLLIN, 0 };
        p[1] = (struct pollfd) { sup->socket_fd, POLLIN, 0 };

        if (poll(p, sup->socket_fd == -1 ? 1 : 2, ms) > 0
            && (p[1].revents & POLLIN) != 0)
        {
            supervisor_poked(sup);
        }

        supervisor_signals(sup);
    }
}


int
supervisor_run(config_t *conf, const char *conf_path)
{
    static supervisor_t  sup;

    sup.conf = conf;
    sup.conf_path = conf_path;

    if (supervisor_init(&sup) != LY_OK) {
        log_plain(LY_LOG_FATAL, "the worker cannot start");
        return EXIT_FAILURE;
    }

    (void) supervisor_tend(&sup);

    log_line(LY_LOG_INFO, "worker started", ly_log_uint("slots", sup.n));
    supervisor_notify("READY=1");

    supervisor_loop(&sup);

    if (sup.socket_fd != -1) {
        (void) unlink(conf->socket);
    }

    if (sup.pid_fd != -1) {
        (void) unlink(conf->pid_file);
    }

    log_plain(LY_LOG_INFO, "worker ended");

    return sup.aborted ? EXIT_FAILURE : EXIT_SUCCESS;
}
