/*
 * The daemon's log: one JSON object per line, to stderr or a file.  Messages
 * are constant texts, variables are fields.  No personal data and no payload
 * is ever a field: ids, codes, counts and times only.
 */

#ifndef LOG_H_INCLUDED_
#define LOG_H_INCLUDED_

#include "../common/ly_base.h"
#include "../common/ly_log.h"


#define LOG_LINE_MAX  4096
#define LOG_FIELDS_MAX  24

/* lines of one message a second, and how many may come at once */
#define LOG_RATE   50
#define LOG_BURST  100


/* path "stderr" or a file; LY_TEMP if it cannot be opened */
ly_must_check ly_err_t log_open(const char *path, ly_log_level_e level);

/* opens the file again, after it was moved away; keeps the old on failure */
ly_must_check ly_err_t log_reopen(void);

void log_level(ly_log_level_e level);

/* stands in every further line of this process; name is a static text */
void log_lane(const char *name, int64_t slot);

/*
 * msg is a literal.  Beyond LOG_RATE the same message is counted instead, and
 * its next line says how many were left out.
 */
void log_write(ly_log_level_e level, const char *msg,
    const ly_log_field_t *fields, size_t n);

#define log_line(level, msg, ...)                                             \
    log_write(level, msg, (const ly_log_field_t[]) { __VA_ARGS__ },           \
              ly_countof(((const ly_log_field_t[]) { __VA_ARGS__ })))

#define log_plain(level, msg)  log_write(level, msg, NULL, 0)


/* wall clock in ms since the epoch, and a clock that never jumps */
int64_t clock_ms(void);
int64_t clock_mono_us(void);


#endif /* LOG_H_INCLUDED_ */
