/*
 * The webhooks lane: outbox rows become deliveries, deliveries become signed
 * requests, answers become settled attempts.  One process, many requests at a
 * time; no transaction is open while one is on its way.
 */

#ifndef WEBHOOK_H_INCLUDED_
#define WEBHOOK_H_INCLUDED_

#include "db.h"

#include "../common/ly_base.h"


#define WEBHOOK_RETRIES_MAX  16

typedef struct webhook_s  webhook_t;

typedef struct {
    const char  *keyring;           /* file */
    const char  *allow;             /* CIDR blocks, http_guard_init() */
    const char  *ca_file;           /* "" : the system's authorities */
    const char  *schedule;          /* seconds before each retry, by blanks */
    int64_t      concurrency;       /* requests at a time */
} webhook_options_t;


/*
 * Reads keyring and settings.  On failure nothing is left, and *why is a
 * constant text that names the setting.
 */
ly_must_check ly_err_t webhook_create(webhook_t **webhook,
    const webhook_options_t *options, const char **why);

/* breaks off what is under way: its leases end by themselves; NULL is fine */
void webhook_destroy(webhook_t *webhook);

/*
 * One turn: fan out, claim what there is room for (not when drain), move the
 * requests on for up to wait_ms or until wake_fd (-1: none) is readable, and
 * settle those at their end.  *moved is the number of rows it took.
 * LY_TEMP: the database; what was answered meanwhile is settled next time.
 */
ly_must_check ly_err_t webhook_turn(webhook_t *webhook, db_t *db, bool drain,
    int wake_fd, int wait_ms, size_t *moved);

/* requests under way or not settled yet */
size_t webhook_pending(const webhook_t *webhook);


#endif /* WEBHOOK_H_INCLUDED_ */
