/*
 * The daemon's configuration: one file of `name value` lines, read at start
 * and again on SIGHUP.  Every option is a row of one table.
 */

#ifndef CONFIG_H_INCLUDED_
#define CONFIG_H_INCLUDED_

#include "../common/ly_base.h"
#include "../common/ly_log.h"


#define CONFIG_FILE_MAX   65536         /* bytes of the file */
#define CONFIG_WHY_MAX    256
#define CONFIG_SLOTS_MAX  64            /* of one lane */


/* texts are NUL terminated and owned by the config; times are ms */
typedef struct {
    char            *database;
    char            *socket;
    char            *hint_socket;
    char            *log_file;
    char            *pid_file;
    char            *metrics_file;
    char            *keyring;
    char            *webhook_allow;
    char            *webhook_ca;
    char            *webhook_schedule;
    char            *zoneinfo;
    int64_t          log_level;         /* ly_log_level_e */

    int64_t          rules_slots;
    int64_t          commands_slots;
    int64_t          timers_slots;
    int64_t          jobs_slots;
    int64_t          webhooks_slots;

    int64_t          webhook_concurrency;

    int64_t          rules_batch;
    int64_t          rules_poll_ms;
    int64_t          rules_pace_ms;
    int64_t          poll_ms;
    int64_t          lease_ms;
    int64_t          beat_ms;
    int64_t          retry_first_ms;
    int64_t          retry_max_ms;
    int64_t          quarantine_ms;

    int64_t          timers_batch;
    int64_t          timers_every_ms;
    int64_t          maintain_every_ms;

    int64_t          jobs_batch;
    int64_t          job_lease_ms;

    int64_t          call_timeout_ms;
    int64_t          reconnect_max_ms;
    int64_t          restart_max_ms;
    int64_t          drain_ms;
} config_t;


/* all defaults; LY_NOMEM */
ly_must_check ly_err_t config_init(config_t *conf);

/*
 * Reads the file over the defaults.  LY_NOTFOUND, LY_PARSE, LY_LIMIT,
 * LY_NOMEM; why (CONFIG_WHY_MAX bytes) says what and in which line, and conf
 * then holds nothing.
 */
ly_must_check ly_err_t config_load(config_t *conf, const char *path,
    char *why);

/*
 * Takes over from next what may change while running and returns how many
 * changed options need a restart.  next is freed.
 */
size_t config_reload(config_t *conf, config_t *next);

void config_free(config_t *conf);

/*
 * Writes one line per option to fd: name, type, default, whether a reload
 * takes it, help; parted by tabs.
 */
ly_must_check ly_err_t config_help(int fd);


#endif /* CONFIG_H_INCLUDED_ */
