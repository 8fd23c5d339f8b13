#include <string.h>

#include "ly_jw.h"
#include "ly_log.h"
#include "ly_banned.h"


/* kept free for: ,"truncated":true}\n */
#define LY_LOG_TAIL  20


static const struct {
    const char      *name;
    ly_log_level_e   level;
} ly_log_levels[] = {
    { "trace", LY_LOG_TRACE },
    { "debug", LY_LOG_DEBUG },
    { "info", LY_LOG_INFO },
    { "warn", LY_LOG_WARN },
    { "error", LY_LOG_ERROR },
    { "fatal", LY_LOG_FATAL }
};


ly_err_t
ly_log_level_parse(ly_str_t s, ly_log_level_e *level)
{
    size_t  i;

    for (i = 0; i < ly_countof(ly_log_levels); i++) {
        if (ly_str_eq(s, ly_str_c(ly_log_levels[i].name))) {
            *level = ly_log_levels[i].level;
            return LY_OK;
        }
    }

    return LY_PARSE;
}


static void
ly_log_text(ly_jw_t *w, ly_str_t s)
{
    s.len = s.len > LY_LOG_STR_MAX ? LY_LOG_STR_MAX : s.len;
    ly_jw_text(w, s);
}


static void
ly_log_field(ly_jw_t *w, const ly_log_field_t *f)
{
    ly_jw_key_plain(w, ly_str_c(f->key));

    switch (f->type) {

    case LY_LOG_INT:
        ly_jw_int(w, f->v.i);
        break;

    case LY_LOG_UINT:
        ly_jw_uint(w, f->v.u);
        break;

    case LY_LOG_BOOL:
        ly_jw_bool(w, f->v.b);
        break;

    case LY_LOG_JSON:
        ly_jw_raw(w, f->v.s);
        break;

    default: /* LY_LOG_STR */
        ly_log_text(w, f->v.s);
    }
}


/* takes a field back that did not fit, as a whole */
static bool
ly_log_keep(ly_jw_t *w, const ly_jw_t *before, size_t len)
{
    if (w->buf->err == LY_OK) {
        return true;
    }

    *w = *before;
    w->buf->len = len;
    w->buf->err = LY_OK;

    return false;
}


size_t
ly_log_line(unsigned char *out, size_t size, const ly_log_head_t *head,
    const ly_log_field_t *fields, size_t n)
{
    bool      whole;
    size_t    i, len;
    ly_jw_t   w, before;
    ly_buf_t  b;

    if (size < LY_LOG_MIN) {
        return 0;
    }

    ly_buf_init_fixed(&b, out, size - LY_LOG_TAIL);
    ly_jw_init(&w, &b);
    ly_jw_object(&w);
    ly_jw_kint(&w, "level", head->level);
    ly_jw_kint(&w, "time", head->time_ms);
    ly_jw_kint(&w, "pid", head->pid);

    whole = true;

    for (i = 0; i < n + 2 && whole; i++) {
        before = w;
        len = b.len;

        if (i == 0) {
            ly_jw_k(&w, "name");
            ly_log_text(&w, head->name);

        } else if (i == 1) {
            ly_jw_k(&w, "msg");
            ly_log_text(&w, head->msg);

        } else {
            ly_log_field(&w, &fields[i - 2]);
        }

        whole = ly_log_keep(&w, &before, len);
    }

    /* the tail was kept free for this */
    b.max = size;
    b.cap = size;

    if (!whole) {
        ly_jw_kbool(&w, "truncated", true);
    }

    ly_jw_object_end(&w);
    ly_buf_byte(&b, '\n');

    return b.len;
}
