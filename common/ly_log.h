/*
 * One JSON log line, as Pino names things: level, time (ms), pid, name, msg,
 * then the fields.  Made in the caller's buffer, written by the caller.
 */

#ifndef LY_LOG_H_INCLUDED_
#define LY_LOG_H_INCLUDED_

#include "ly_base.h"


typedef enum {
    LY_LOG_TRACE = 10,
    LY_LOG_DEBUG = 20,
    LY_LOG_INFO = 30,
    LY_LOG_WARN = 40,
    LY_LOG_ERROR = 50,
    LY_LOG_FATAL = 60
} ly_log_level_e;

typedef enum {
    LY_LOG_INT = 0,
    LY_LOG_UINT,
    LY_LOG_BOOL,
    LY_LOG_STR,                     /* cut at LY_LOG_STR_MAX bytes */
    LY_LOG_JSON                     /* a whole JSON value, taken as it is */
} ly_log_type_e;

#define LY_LOG_STR_MAX  1024

typedef struct {
    ly_log_type_e  type;
    const char    *key;             /* plain ASCII literal */
    union {
        int64_t    i;
        uint64_t   u;
        bool       b;
        ly_str_t   s;
    } v;
} ly_log_field_t;

#define ly_log_int(k, x)   ((ly_log_field_t) { LY_LOG_INT, k, { .i = (x) } })
#define ly_log_uint(k, x)  ((ly_log_field_t) { LY_LOG_UINT, k, { .u = (x) } })
#define ly_log_bool(k, x)  ((ly_log_field_t) { LY_LOG_BOOL, k, { .b = (x) } })
#define ly_log_str(k, x)   ((ly_log_field_t) { LY_LOG_STR, k, { .s = (x) } })
#define ly_log_cstr(k, x)                                                     \
    ((ly_log_field_t) { LY_LOG_STR, k, { .s = ly_str_c(x) } })
#define ly_log_json(k, x)  ((ly_log_field_t) { LY_LOG_JSON, k, { .s = (x) } })

/* a secret leaves its length only */
#define ly_log_secret(k, x)                                                   \
    ((ly_log_field_t) { LY_LOG_UINT, k, { .u = (uint64_t) (x).len } })

typedef struct {
    ly_log_level_e  level;
    int64_t         time_ms;
    int64_t         pid;
    ly_str_t        name;           /* of the program */
    ly_str_t        msg;
} ly_log_head_t;


/*
 * Writes one line with its "\n" into out and returns its length, at most size.
 * What does not fit is left out from the back, and "truncated":true says so:
 * the line is always one valid JSON object.  Bytes that are not UTF-8 become
 * U+FFFD.  size must be LY_LOG_MIN or more, else 0 is returned.
 */
#define LY_LOG_MIN  256
size_t ly_log_line(unsigned char *out, size_t size, const ly_log_head_t *head,
    const ly_log_field_t *fields, size_t n);

/* "trace".."fatal"; LY_PARSE for another word */
ly_must_check ly_err_t ly_log_level_parse(ly_str_t s, ly_log_level_e *level);


#endif /* LY_LOG_H_INCLUDED_ */
