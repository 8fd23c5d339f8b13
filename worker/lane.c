/*
 * See lane.h.  A slot is straight-line, blocking code; a crash costs one turn,
 * which the database gives out again.
 */

#include "lane.h"

#include "log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/ly_banned.h"


#define LANE_RETRY_FIRST_MS  20

extern const lane_kind_t  lane_rules;
extern const lane_kind_t  lane_commands;
extern const lane_kind_t  lane_timers;
extern const lane_kind_t  lane_jobs;
extern const lane_kind_t  lane_webhooks;

/* a lane of its own is a row here and a number of slots in config.c */
const lane_kind_t *const  lane_kinds[] = {
    &lane_rules,
    &lane_commands,
    &lane_timers,
    &lane_jobs,
    &lane_webhooks,
    NULL
};


static const db_call_t  call_start = { "work.worker_start", 5 };
static const db_call_t  call_beat = { "work.worker_beat", 1 };
static const db_call_t  call_stop = { "work.worker_stop", 1 };


static void
lane_send(lane_t *lane, const char *path, const char *text)
{
    size_t              len;
    struct sockaddr_un  addr;

    len = strlen(path);

    if (lane->poke_fd == -1 || len == 0 || len >= sizeof(addr.sun_path)) {
        return;
    }

    memset(&addr, 0, sizeof(addr));
    addr.sun_family = AF_UNIX;
    memcpy(addr.sun_path, path, len);

    /* a hint that is lost is made good by the receiver's polling */
    (void) sendto(lane->poke_fd, text, strlen(text),
                  MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *) &addr,
                  sizeof(addr));
}


void
lane_hint(lane_t *lane)
{
    lane_send(lane, lane->conf->hint_socket, "1");
}


void
lane_poke(lane_t *lane, const char *name)
{
    lane_send(lane, lane->conf->socket, name);
}


void
lane_fault(lane_t *lane, const char *msg)
{
    const db_fault_t  *fault;

    fault = db_fault(lane->db);

    log_line(LY_LOG_WARN, msg,
             ly_log_cstr("call", fault->call == NULL ? "" : fault->call),
             ly_log_cstr("code", fault->sqlstate),
             ly_log_cstr("constraint", fault->constraint),
             ly_log_cstr("where", fault->where),
             ly_log_int("failed", lane->failed));

    log_line(LY_LOG_DEBUG, "the fault in words",
             ly_log_cstr("detail", fault->message));
}


static void
lane_reload(lane_t *lane)
{
    size_t    restart;
    config_t  next;
    char      why[CONFIG_WHY_MAX];

    /* the supervisor has said what is wrong with the file */
    if (config_load(&next, lane->conf_path, why) != LY_OK) {
        return;
    }

    restart = config_reload(lane->conf, &next);
    (void) restart;

    log_level((ly_log_level_e) lane->conf->log_level);
    db_timeout(lane->db, lane->conf->call_timeout_ms);
}


void
lane_signals(lane_t *lane)
{
    struct signalfd_siginfo  info;

    while (read(lane->signal_fd, &info, sizeof(info))
           == (ssize_t) sizeof(info))
    {
        switch (info.ssi_signo) {

        case SIGHUP:
            lane_reload(lane);
            break;

        case SIGUSR1:
            if (log_reopen() != LY_OK) {
                log_plain(LY_LOG_ERROR, "the log file cannot be opened again");
            }
            break;

        default:
            lane->stopping = true;
            break;
        }
    }
}


void
lane_wait(lane_t *lane, int64_t ms)
{
    uint64_t       pokes;
    nfds_t         n;
    struct pollfd  p[3];

    p[0] = (struct pollfd) { lane->wake_fd, POLLIN, 0 };
    p[1] = (struct pollfd) { lane->signal_fd, POLLIN, 0 };
    n = 2;

    /* a server that goes away is noticed at once */
    if (db_connected(lane->db)) {
        p[2] = (struct pollfd) { db_socket(lane->db), POLLIN, 0 };
        n = 3;
    }

    if (poll(p, n, (int) ms) > 0 && (p[0].revents & POLLIN) != 0) {
        (void) !read(lane->wake_fd, &pokes, sizeof(pokes));
    }
}


static ly_err_t
lane_connect(lane_t *lane)
{
    ly_err_t   err;
    ly_str_t   params[5];
    db_rows_t  rows;
    char       host[65], pid[24];

    err = db_connect(lane->db);
    if (err != LY_OK) {
        return err;
    }

    memset(host, 0, sizeof(host));
    (void) gethostname(host, sizeof(host) - 1);
    (void) snprintf(pid, sizeof(pid), "%ld", (long) getpid());

    params[0] = lane->id_text;
    params[1] = ly_str_c(lane->kind->name);
    params[2] = ly_str_c(host);
    params[3] = ly_str_c(pid);
    params[4] = ly_str("1");

    err = db_call(lane->db, lane->arena, &call_start, params, &rows);

    if (err == LY_OK && lane->kind->connected != NULL) {
        err = lane->kind->connected(lane);
    }

    lane->beat_us = 0;

    return err;
}


static ly_err_t
lane_beat(lane_t *lane)
{
    int64_t    now;
    ly_err_t   err;
    db_rows_t  rows;

    now = clock_mono_us();

    if (lane->beat_us != 0
        && now - lane->beat_us < lane->conf->beat_ms * 1000)
    {
        return LY_OK;
    }

    err = db_call(lane->db, lane->arena, &call_beat, &lane->id_text, &rows);

    /* taken for dead: what it held is another's, so it begins anew */
    if (err == LY_OK && !db_true(&rows, 0, 0)) {
        log_plain(LY_LOG_WARN, "worker row is gone");
        db_disconnect(lane->db);
        return LY_TEMP;
    }

    if (err == LY_OK && lane->kind->beat != NULL) {
        err = lane->kind->beat(lane);
    }

    if (err == LY_OK) {
        lane->beat_us = now;
    }

    return err;
}


/* doubles from LANE_RETRY_FIRST_MS to the configured most */
static int64_t
lane_backoff(const lane_t *lane)
{
    int64_t  i, ms;

    ms = LANE_RETRY_FIRST_MS;

    for (i = 1; i < lane->failed && ms < lane->conf->reconnect_max_ms; i++) {
        ms *= 2;
    }

    return ms < lane->conf->reconnect_max_ms ? ms
                                             : lane->conf->reconnect_max_ms;
}


/* connects if it must, beats if it is time, and does one turn */
static ly_err_t
lane_step(lane_t *lane, int64_t *wait_ms)
{
    int64_t   began;
    ly_err_t  err;

    if (!db_connected(lane->db)) {

        err = lane_connect(lane);

        /* a process that is not registered would get no work, for ever */
        if (err != LY_OK) {
            db_disconnect(lane->db);
            return err == LY_DENIED ? LY_TEMP : err;
        }

        lane->stats->reconnects++;
        log_plain(LY_LOG_INFO, "connected");
    }

    err = lane_beat(lane);

    if (err == LY_OK) {
        began = clock_mono_us();
        err = lane->kind->turn(lane, wait_ms);
        lane->stats->busy_us += clock_mono_us() - began;
    }

    /* no turn leaves a transaction behind */
    if (err != LY_OK) {
        db_rollback(lane->db);
    }

    return err == LY_DENIED ? LY_TEMP : err;
}


static int
lane_loop(lane_t *lane)
{
    int64_t   wait_ms;
    ly_err_t  err;

    for ( ;; ) {
        lane_signals(lane);

        if (lane->stopping) {
            return EXIT_SUCCESS;
        }

        wait_ms = 0;
        err = lane_step(lane, &wait_ms);
        ly_arena_reset(lane->arena);

        if (err == LY_OK) {
            lane->failed = 0;

        } else {
            lane->failed++;
            lane->stats->failures++;
            lane_fault(lane, "turn failed");
            wait_ms = lane_backoff(lane);
        }

        if (err != LY_OK && err != LY_TEMP) {
            log_line(LY_LOG_ERROR, "slot gives up",
                     ly_log_cstr("error", ly_err_name(err)));
            return EXIT_FAILURE;
        }

        if (wait_ms <= 0) {
            continue;
        }

        if (err == LY_OK && lane->kind->wait != NULL) {
            lane->kind->wait(lane, wait_ms);

        } else {
            lane_wait(lane, wait_ms);
        }
    }
}


static ly_err_t
lane_init(lane_t *lane)
{
    ly_err_t  err;
    sigset_t  mask;

    (void) sigemptyset(&mask);
    (void) sigaddset(&mask, SIGTERM);
    (void) sigaddset(&mask, SIGINT);
    (void) sigaddset(&mask, SIGHUP);
    (void) sigaddset(&mask, SIGUSR1);

    if (sigprocmask(SIG_SETMASK, &mask, NULL) != 0) {
        return LY_FATAL;
    }

    lane->signal_fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    lane->poke_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (lane->signal_fd == -1) {
        return LY_FATAL;
    }

    err = ly_uuid7_new((uint64_t) clock_ms(), &lane->id);
    if (err != LY_OK) {
        return err;
    }

    ly_uuid_print(&lane->id, lane->id_bytes);
    lane->id_text = ly_str_of(lane->id_bytes, sizeof(lane->id_bytes));

    lane->arena = ly_arena_create(LANE_ARENA_MAX, NULL);
    if (lane->arena == NULL) {
        return LY_NOMEM;
    }

    err = db_create(&lane->db, lane->conf->database, "loyalty-worker",
                    lane->conf->call_timeout_ms);

    if (err == LY_OK && lane->kind->open != NULL) {
        err = lane->kind->open(lane);
    }

    return err;
}


int
lane_run(lane_t *lane)
{
    int        rc;
    db_rows_t  rows;

    log_lane(lane->kind->name, lane->slot);

    if (lane_init(lane) != LY_OK) {
        log_plain(LY_LOG_FATAL, "slot cannot start");
        return EXIT_FAILURE;
    }

    log_line(LY_LOG_INFO, "slot started", ly_log_str("worker", lane->id_text));

    rc = lane_loop(lane);

    if (lane->kind->close != NULL) {
        lane->kind->close(lane);
    }

    if (db_connected(lane->db)
        && db_call(lane->db, lane->arena, &call_stop, &lane->id_text, &rows)
        != LY_OK)
    {
        lane_fault(lane, "worker row is left behind");
    }

    db_destroy(lane->db);
    ly_arena_destroy(lane->arena);

    log_line(LY_LOG_INFO, "slot ended", ly_log_int("items",
                                                   lane->stats->items));

    return rc;
}
