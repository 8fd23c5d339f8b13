/*
 * The lane that tells merchants' systems.  webhook.c does the work; this is
 * its place in the daemon: options, turns, drain.
 */

#include "lane.h"

#include "log.h"
#include "webhook.h"

#include <string.h>

#include "../common/ly_banned.h"


/* how long one turn stays with requests under way */
#define WEBHOOKS_TURN_MS  20


static ly_err_t
webhooks_open(lane_t *lane)
{
    ly_err_t           err;
    webhook_t         *webhook;
    const char        *why;
    webhook_options_t  options;

    memset(&options, 0, sizeof(webhook_options_t));

    options.keyring = lane->conf->keyring;
    options.allow = lane->conf->webhook_allow;
    options.ca_file = lane->conf->webhook_ca;
    options.schedule = lane->conf->webhook_schedule;
    options.concurrency = lane->conf->webhook_concurrency;

    err = webhook_create(&webhook, &options, &why);

    if (err != LY_OK) {
        log_line(LY_LOG_ERROR, "webhooks cannot start",
                 ly_log_cstr("option", why),
                 ly_log_cstr("error", ly_err_name(err)));
        return err;
    }

    lane->data = webhook;

    return LY_OK;
}


static ly_err_t
webhooks_turn(lane_t *lane, int64_t *wait_ms)
{
    int         ms;
    size_t      moved;
    ly_err_t    err;
    webhook_t  *webhook;

    webhook = lane->data;

    ms = webhook_pending(webhook) == 0 ? 0 : WEBHOOKS_TURN_MS;

    err = webhook_turn(webhook, lane->db, false, -1, ms, &moved);
    if (err != LY_OK) {
        return err;
    }

    if (moved != 0) {
        lane->stats->turns++;
        lane->stats->items += (int64_t) moved;
    }

    *wait_ms = 0;

    if (moved == 0 && webhook_pending(webhook) == 0) {
        *wait_ms = lane->conf->poll_ms;
    }

    return LY_OK;
}


/* what is under way is finished; what takes too long stays leased */
static void
webhooks_close(lane_t *lane)
{
    int64_t     until;
    size_t      moved;
    webhook_t  *webhook;

    webhook = lane->data;
    until = clock_mono_us() + lane->conf->drain_ms * 1000;

    while (webhook_pending(webhook) != 0 && clock_mono_us() < until) {

        if (webhook_turn(webhook, lane->db, true, -1, WEBHOOKS_TURN_MS, &moved)
            != LY_OK)
        {
            break;
        }
    }

    webhook_destroy(webhook);
}


const lane_kind_t  lane_webhooks = {
    .name = "webhooks",
    .slots = offsetof(config_t, webhooks_slots),
    .open = webhooks_open,
    .turn = webhooks_turn,
    .close = webhooks_close
};
