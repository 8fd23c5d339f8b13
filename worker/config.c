/*
 * One table of options: name, type, place, bounds, default, help.  The parser,
 * the help, the reload and the check of the documentation all read it.
 */

#include "config.h"

#include "../common/ly_buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/ly_banned.h"


typedef enum {
    CONFIG_TEXT = 0,
    CONFIG_NUMBER,
    CONFIG_TIME,                /* ms, s, m, h, d behind the number */
    CONFIG_LEVEL
} config_type_e;

typedef struct {
    const char     *name;
    config_type_e   type;
    size_t          offset;
    int64_t         min;
    int64_t         max;
    const char     *value;      /* the default, as it would be written */
    bool            reload;
    const char     *help;
} config_option_t;


#define at(field)  offsetof(config_t, field)

#define MS     1
#define SEC    1000
#define MIN    (60 * SEC)
#define HOUR   (60 * MIN)
#define DAY    (24LL * HOUR)


static const config_option_t  config_options[] = {

    { "database", CONFIG_TEXT, at(database), 0, 0, "", false,
      "conninfo of the database; role loyalty_worker" },

    { "socket", CONFIG_TEXT, at(socket), 0, 0, "", false,
      "path of the datagram socket on which the edge wakes the worker" },

    { "hint_socket", CONFIG_TEXT, at(hint_socket), 0, 0, "", false,
      "path of the edge's datagram socket, told after each settle" },

    { "log_file", CONFIG_TEXT, at(log_file), 0, 0, "stderr", false,
      "stderr, or a file that SIGUSR1 opens again" },

    { "log_level", CONFIG_LEVEL, at(log_level), 0, 0, "info", true,
      "trace, debug, info, warn, error or fatal" },

    { "pid_file", CONFIG_TEXT, at(pid_file), 0, 0, "", false,
      "path of the supervisor's pid, locked while it runs" },

    { "metrics_file", CONFIG_TEXT, at(metrics_file), 0, 0, "", false,
      "path of a Prometheus text file, replaced every few seconds" },

    { "keyring", CONFIG_TEXT, at(keyring), 0, 0, "", false,
      "path of the keyring that unseals what leaves by webhook" },

    { "webhook_allow", CONFIG_TEXT, at(webhook_allow), 0, 0, "", false,
      "private CIDR blocks that webhooks may reach, parted by blanks" },

    { "webhook_ca", CONFIG_TEXT, at(webhook_ca), 0, 0, "", false,
      "path of the authorities that endpoints' certificates are checked by" },

    { "webhook_schedule", CONFIG_TEXT, at(webhook_schedule), 0, 0,
      "5 300 1800 7200 18000 36000 50400 72000 86400", false,
      "seconds before each retry of a delivery, parted by blanks" },

    { "webhook_concurrency", CONFIG_NUMBER, at(webhook_concurrency), 1, 1024,
      "64", false, "requests of webhooks under way at a time" },

    { "zoneinfo", CONFIG_TEXT, at(zoneinfo), 0, 0, "/usr/share/zoneinfo",
      false, "folder of the time zone database" },

    { "rules_slots", CONFIG_NUMBER, at(rules_slots), 0, CONFIG_SLOTS_MAX, "2",
      false, "processes that evaluate events" },

    { "commands_slots", CONFIG_NUMBER, at(commands_slots), 0,
      CONFIG_SLOTS_MAX, "1", false, "processes that answer commands" },

    { "timers_slots", CONFIG_NUMBER, at(timers_slots), 0, CONFIG_SLOTS_MAX,
      "1", false, "processes that settle due balances and maintain tables" },

    { "jobs_slots", CONFIG_NUMBER, at(jobs_slots), 0, CONFIG_SLOTS_MAX, "1",
      false, "processes that run jobs" },

    { "webhooks_slots", CONFIG_NUMBER, at(webhooks_slots), 0,
      CONFIG_SLOTS_MAX, "1", false, "processes that deliver webhooks" },

    { "rules_batch", CONFIG_NUMBER, at(rules_batch), 1, 5000, "500", true,
      "most events of one transaction" },

    { "rules_poll", CONFIG_TIME, at(rules_poll_ms), 1 * MS, 1 * MIN, "200ms",
      true, "how often the rules lane looks without being woken" },

    { "rules_pace", CONFIG_TIME, at(rules_pace_ms), 0, 1 * SEC, "10ms", true,
      "least time from one small batch to the next: orders meet in one" },

    { "poll", CONFIG_TIME, at(poll_ms), 1 * MS, 10 * MIN, "1s", true,
      "how often the other lanes look without being woken" },

    { "lease", CONFIG_TIME, at(lease_ms), 1 * SEC, 10 * MIN, "10s", true,
      "how long shards stay with a slot that does not answer" },

    { "beat", CONFIG_TIME, at(beat_ms), 100 * MS, 1 * MIN, "1s", true,
      "how often a slot says that it lives and shares out the shards" },

    { "retry_first", CONFIG_TIME, at(retry_first_ms), 10 * MS, 1 * HOUR,
      "1s", true, "wait before a failed event is tried again; doubles" },

    { "retry_max", CONFIG_TIME, at(retry_max_ms), 10 * MS, 1 * DAY, "60s",
      true, "longest wait between two tries of an event" },

    { "quarantine_after", CONFIG_TIME, at(quarantine_ms), 10 * MS, 30 * DAY,
      "10m", true, "time after which a failing event is quarantined" },

    { "timers_batch", CONFIG_NUMBER, at(timers_batch), 1, 10000, "500", true,
      "most due balances of one transaction" },

    { "timers_every", CONFIG_TIME, at(timers_every_ms), 10 * MS, 1 * HOUR,
      "1s", true, "how often due balances are looked for" },

    { "maintain_every", CONFIG_TIME, at(maintain_every_ms), 100 * MS, 1 * DAY,
      "60s", true, "how often tables are maintained" },

    { "jobs_batch", CONFIG_NUMBER, at(jobs_batch), 1, 1000, "10", true,
      "most jobs claimed at once" },

    { "job_lease", CONFIG_TIME, at(job_lease_ms), 1 * SEC, 1 * DAY, "5m",
      true, "how long a job stays with a slot that does not answer" },

    { "call_timeout", CONFIG_TIME, at(call_timeout_ms), 100 * MS, 1 * HOUR,
      "30s", true, "longest wait for an answer of the database" },

    { "reconnect_max", CONFIG_TIME, at(reconnect_max_ms), 10 * MS, 10 * MIN,
      "2s", true, "longest wait between two connection attempts" },

    { "restart_max", CONFIG_TIME, at(restart_max_ms), 10 * MS, 10 * MIN,
      "10s", true, "longest wait before a slot that died is started again" },

    { "drain_timeout", CONFIG_TIME, at(drain_ms), 100 * MS, 1 * HOUR, "15s",
      true, "how long slots may finish after SIGTERM" },
};


static void *
config_place(config_t *conf, const config_option_t *option)
{
    return (unsigned char *) conf + option->offset;
}


static ly_err_t
config_text(char **place, ly_str_t value)
{
    char  *copy;

    copy = malloc(value.len + 1);
    if (copy == NULL) {
        return LY_NOMEM;
    }

    if (value.len != 0) {
        memcpy(copy, value.data, value.len);
    }

    copy[value.len] = '\0';

    free(*place);
    *place = copy;

    return LY_OK;
}


/* a whole number with its unit, to milliseconds */
static ly_err_t
config_time(ly_str_t value, int64_t *ms)
{
    size_t    i, n;
    int64_t   count;
    ly_str_t  unit, number;

    static const struct {
        ly_str_t  name;
        int64_t   ms;
    } units[] = {
        { ly_str_init("ms"), MS },
        { ly_str_init("s"), SEC },
        { ly_str_init("m"), MIN },
        { ly_str_init("h"), HOUR },
        { ly_str_init("d"), DAY },
    };

    for (n = 0; n < value.len; n++) {
        if (value.data[n] < '0' || value.data[n] > '9') {
            break;
        }
    }

    number = ly_str_of(value.data, n);
    unit = ly_str_of(value.data + n, value.len - n);

    if (ly_int64_parse(number, &count) != LY_OK || count > 1000000000) {
        return LY_PARSE;
    }

    for (i = 0; i < ly_countof(units); i++) {
        if (ly_str_eq(unit, units[i].name)) {
            *ms = count * units[i].ms;
            return LY_OK;
        }
    }

    return LY_PARSE;
}


static ly_err_t
config_set(config_t *conf, const config_option_t *option, ly_str_t value)
{
    int64_t         number;
    ly_err_t        err;
    ly_log_level_e  level;

    number = 0;

    switch (option->type) {

    case CONFIG_TEXT:
        return config_text(config_place(conf, option), value);

    case CONFIG_LEVEL:
        err = ly_log_level_parse(value, &level);
        if (err == LY_OK) {
            *(int64_t *) config_place(conf, option) = (int64_t) level;
        }
        return err;

    case CONFIG_TIME:
        err = config_time(value, &number);
        break;

    case CONFIG_NUMBER:
    default:
        err = ly_int64_parse(value, &number);
        break;
    }

    if (err != LY_OK) {
        return LY_PARSE;
    }

    if (number < option->min || number > option->max) {
        return LY_LIMIT;
    }

    *(int64_t *) config_place(conf, option) = number;

    return LY_OK;
}


ly_err_t
config_init(config_t *conf)
{
    size_t    i;
    ly_err_t  err;

    memset(conf, 0, sizeof(config_t));

    for (i = 0; i < ly_countof(config_options); i++) {
        err = config_set(conf, &config_options[i],
                         ly_str_c(config_options[i].value));
        if (err != LY_OK) {
            config_free(conf);
            return err == LY_NOMEM ? LY_NOMEM : LY_FATAL;
        }
    }

    return LY_OK;
}


void
config_free(config_t *conf)
{
    size_t   i;
    char   **text;

    for (i = 0; i < ly_countof(config_options); i++) {
        if (config_options[i].type == CONFIG_TEXT) {
            text = config_place(conf, &config_options[i]);
            free(*text);
            *text = NULL;
        }
    }
}


static void
config_why(char *why, int line, const char *what, ly_str_t name)
{
    int  width;

    width = name.len > 64 ? 64 : (int) name.len;

    if (line == 0) {
        (void) snprintf(why, CONFIG_WHY_MAX, "%s", what);
        return;
    }

    (void) snprintf(why, CONFIG_WHY_MAX, "line %d: %s \"%.*s\"", line, what,
                    width, (const char *) name.data);
}


static bool
config_blank(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}


static ly_str_t
config_trim(ly_str_t s)
{
    while (s.len != 0 && config_blank(s.data[0])) {
        s.data++;
        s.len--;
    }

    while (s.len != 0 && config_blank(s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}


static ly_err_t
config_line(config_t *conf, ly_str_t text, int line, bool *seen, char *why)
{
    size_t    i, n;
    ly_str_t  name, value;
    ly_err_t  err;

    text = config_trim(text);

    if (text.len == 0 || text.data[0] == '#') {
        return LY_OK;
    }

    for (n = 0; n < text.len && !config_blank(text.data[n]); n++) {
        /* void */
    }

    name = ly_str_of(text.data, n);
    value = config_trim(ly_str_of(text.data + n, text.len - n));

    for (i = 0; i < ly_countof(config_options); i++) {

        if (!ly_str_eq(name, ly_str_c(config_options[i].name))) {
            continue;
        }

        if (seen[i]) {
            config_why(why, line, "option is given twice:", name);
            return LY_PARSE;
        }

        seen[i] = true;

        err = config_set(conf, &config_options[i], value);

        if (err == LY_LIMIT) {
            config_why(why, line, "value is out of range:", name);

        } else if (err != LY_OK) {
            config_why(why, line, "value does not read as one of", name);
        }

        return err;
    }

    config_why(why, line, "option is unknown:", name);

    return LY_PARSE;
}


static ly_err_t
config_read(const char *path, ly_buf_t *b, char *why)
{
    int             fd;
    ssize_t         n;
    unsigned char  *p;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1) {
        (void) snprintf(why, CONFIG_WHY_MAX, "cannot open: %s",
                        strerror(errno));
        return LY_NOTFOUND;
    }

    for ( ;; ) {
        p = ly_buf_reserve(b, 4096);
        if (p == NULL) {
            config_why(why, 0, "file is too large", ly_str(""));
            break;
        }

        n = read(fd, p, 4096);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            config_why(why, 0, "cannot read", ly_str(""));
            ly_buf_fail(b, LY_TEMP);
        }

        if (n <= 0) {
            break;
        }

        ly_buf_commit(b, (size_t) n);
    }

    (void) close(fd);

    return ly_buf_err(b);
}


static ly_err_t
config_parse(config_t *conf, ly_str_t text, char *why)
{
    int                   line;
    bool                  seen[ly_countof(config_options)];
    size_t                len;
    ly_err_t              err;
    const unsigned char  *end;

    memset(seen, 0, sizeof(seen));

    for (line = 1; text.len != 0; line++) {

        end = memchr(text.data, '\n', text.len);
        len = end == NULL ? text.len : (size_t) (end - text.data);

        err = config_line(conf, ly_str_of(text.data, len), line, seen, why);
        if (err != LY_OK) {
            return err;
        }

        if (end != NULL) {
            len++;
        }

        text = ly_str_of(text.data + len, text.len - len);
    }

    if (conf->database[0] == '\0') {
        config_why(why, 0, "option \"database\" is required", ly_str(""));
        return LY_PARSE;
    }

    return LY_OK;
}


ly_err_t
config_load(config_t *conf, const char *path, char *why)
{
    ly_buf_t  b;
    ly_err_t  err;

    why[0] = '\0';

    err = config_init(conf);
    if (err != LY_OK) {
        config_why(why, 0, "out of memory", ly_str(""));
        return err;
    }

    ly_buf_init(&b, CONFIG_FILE_MAX, NULL);

    err = config_read(path, &b, why);

    if (err == LY_OK) {
        err = config_parse(conf, ly_buf_view(&b), why);
    }

    ly_buf_free(&b);

    if (err != LY_OK) {
        config_free(conf);
    }

    return err;
}


size_t
config_reload(config_t *conf, config_t *next)
{
    size_t                  i, restart;
    char                  **from, **into;
    int64_t                *number;
    const int64_t          *other;
    const config_option_t  *option;

    restart = 0;

    for (i = 0; i < ly_countof(config_options); i++) {

        option = &config_options[i];

        if (option->type == CONFIG_TEXT) {
            into = config_place(conf, option);
            from = config_place(next, option);

            if (strcmp(*into, *from) != 0) {
                restart++;
            }

            continue;
        }

        number = config_place(conf, option);
        other = config_place(next, option);

        if (*number == *other) {
            continue;
        }

        if (option->reload) {
            *number = *other;

        } else {
            restart++;
        }
    }

    config_free(next);

    return restart;
}


ly_err_t
config_help(int fd)
{
    int                     n;
    size_t                  i;
    const config_option_t  *option;

    static const char  *types[] = { "text", "number", "time", "level" };

    for (i = 0; i < ly_countof(config_options); i++) {

        option = &config_options[i];

        n = dprintf(fd, "%s\t%s\t%s\t%s\t%s\n", option->name,
                    types[option->type],
                    option->value[0] == '\0' ? "-" : option->value,
                    option->reload ? "reload" : "restart", option->help);
        if (n < 0) {
            return LY_TEMP;
        }
    }

    return LY_OK;
}
