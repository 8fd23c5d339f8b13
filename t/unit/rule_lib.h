/* What the tests of the engine share: a zone, a rule, an event, one answer. */

#ifndef RULE_LIB_H_INCLUDED_
#define RULE_LIB_H_INCLUDED_

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "tap.h"
#include "vectors.h"
#include "ly_jw.h"
#include "worker/rule/rule.h"


/*
 * The same bytes before memory that nobody may read: who looks a byte too far
 * does not come back.  Good until the next call.
 */
static inline ly_str_t
rl_edge(ly_str_t s)
{
    static unsigned char  *room;

    const size_t  size = (size_t) 4 << 20;

    if (room == NULL) {
        room = mmap(NULL, size + 65536, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (room == MAP_FAILED || mprotect(room + size, 65536, PROT_NONE) != 0)
        {
            abort();
        }
    }

    if (s.len > size) {
        abort();
    }

    if (s.len > 0) {
        memcpy(room + size - s.len, s.data, s.len);
    }

    return ly_str_of(room + size - s.len, s.len);
}


/* the text of a parsed value, written again */
static inline ly_str_t
rl_text(ly_arena_t *a, const ly_json_node_t *node)
{
    ly_jw_t   w;
    ly_buf_t  b;

    ly_buf_init_arena(&b, a, (size_t) 8 << 20);
    ly_jw_init(&w, &b);

    if (node == NULL) {
        return ly_str("null");
    }

    ly_jw_node(&w, node);

    return ly_jw_done(&w) == LY_OK ? ly_buf_view(&b) : ly_str("");
}


static inline const ly_zone_t *
rl_zone(ly_arena_t *a, ly_str_t name)
{
    char        path[200];
    ly_str_t    text;
    ly_zone_t  *zone;

    if (name.len == 0 || name.len > 100) {
        return NULL;
    }

    (void) snprintf(path, sizeof(path), "/usr/share/zoneinfo/%.*s",
                    (int) name.len, (const char *) name.data);

    if (!vec_file(a, path, &text) || ly_zone_parse(a, text, &zone) != LY_OK) {
        return NULL;
    }

    return zone;
}


/* a case of t/vectors/rules: {"event", "state", "counters", "caps", "zone"} */
typedef struct {
    rule_input_t    *in;
    rule_run_t       run;
    rule_cap_t       cap[RULE_CAPS_MAX];
    rule_cap_t      *caps[RULE_CAPS_MAX];
    rule_counter_t   counters[64];
    const ly_zone_t *zone;
} rl_case_t;


static inline bool
rl_case(ly_arena_t *a, const rule_catalogue_t *cat,
    const ly_json_node_t *data, rl_case_t *k)
{
    size_t                 n_counters;
    ly_str_t               name;
    const ly_json_node_t  *n;

    memset(k, 0, sizeof(*k));
    k->run.caps = k->caps;
    n = ly_json_member(data, ly_str("zone"));
    name = n == NULL ? ly_str("") : n->text;
    k->zone = rl_zone(a, name);

    if (rule_input_create(a, cat, k->zone, name, &k->in) != LY_OK) {
        return false;
    }

    n = ly_json_member(data, ly_str("event"));

    if (n != NULL && rule_input_event(k->in, rl_text(a, n)) != LY_OK) {
        return false;
    }

    n = ly_json_member(data, ly_str("state"));

    if (n != NULL && rule_input_state(k->in, rl_text(a, n)) != LY_OK) {
        return false;
    }

    n = ly_json_member(data, ly_str("caps"));

    for (n = n == NULL ? NULL : n->first; n != NULL; n = n->next) {
        k->cap[k->run.n_caps].name = n->key;
        k->caps[k->run.n_caps] = &k->cap[k->run.n_caps];

        if (ly_json_int64(n, &k->cap[k->run.n_caps++].remaining) != LY_OK) {
            return false;
        }
    }

    n = ly_json_member(data, ly_str("counters"));
    n_counters = 0;

    for (n = n == NULL ? NULL : n->first; n != NULL; n = n->next) {
        k->counters[n_counters].key = n->key;

        if (ly_dec_parse(n->text, 18, &k->counters[n_counters++].value)
            != LY_OK)
        {
            return false;
        }
    }

    rule_input_counters(k->in, k->counters, n_counters);

    return true;
}


static inline rule_program_t *
rl_compile(ly_arena_t *a, const rule_catalogue_t *cat, ly_str_t json,
    unsigned flags)
{
    rule_faults_t    faults;
    rule_program_t  *p;

    if (rule_compile(a, json, cat, flags, &p, &faults) == LY_OK) {
        return p;
    }

    if (faults.n > 0) {
        printf("# %s at %.*s: %.*s\n", faults.fault[0].code,
               (int) faults.fault[0].pointer.len,
               (const char *) faults.fault[0].pointer.data,
               (int) faults.fault[0].expected.len,
               (const char *) faults.fault[0].expected.data);
    }

    return NULL;
}


/* a condition as a whole document */
static inline ly_str_t
rl_condition(ly_arena_t *a, ly_str_t condition)
{
    ly_buf_t  b;

    ly_buf_init_arena(&b, a, (size_t) 8 << 20);
    ly_buf_cstr(&b, "{\"trigger\":{\"event\":\"order.paid\"},\"effects\":[{"
                "\"type\":\"fixed\",\"wallet\":\"points\",\"points\":0}],"
                "\"condition\":");
    ly_buf_str(&b, condition);
    ly_buf_byte(&b, '}');

    return ly_buf_view(&b);
}


/* JSON written with ' for ", as C reads it better */
static inline ly_str_t
rl_quoted(ly_arena_t *a, const char *text)
{
    size_t          i, n;
    unsigned char  *p;

    n = strlen(text);
    p = ly_arena_bytes(a, n + 1);

    if (p == NULL) {
        return ly_str("");
    }

    for (i = 0; i < n; i++) {
        p[i] = text[i] == '\'' ? '"' : (unsigned char) text[i];
    }

    return ly_str_of(p, n);
}


static inline ly_err_t
rl_eval(ly_arena_t *a, rl_case_t *k, const rule_program_t *p, bool trace,
    rule_result_t *r)
{
    rule_options_t  options;

    memset(&options, 0, sizeof(options));
    options.trace = trace;
    k->run.program = p;

    return rule_evaluate(a, k->in, &k->run, 1, &options, r);
}


#endif /* RULE_LIB_H_INCLUDED_ */
