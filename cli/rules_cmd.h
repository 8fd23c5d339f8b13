/* The commands of rules: all from files, no server is asked. */

#ifndef RULES_CMD_H_INCLUDED_
#define RULES_CMD_H_INCLUDED_

#include "cli.h"


int rules_check_cmd(cli_t *c);
int rules_fmt_cmd(cli_t *c);
int rules_explain_cmd(cli_t *c);
int rules_eval_cmd(cli_t *c);
int rules_verify_trace_cmd(cli_t *c);

/*
 * rules_eval.c: one line of `rules eval` into the buffer, without a newline;
 * false when the buffer or memory failed.
 */
ly_must_check bool rules_eval_line(ly_arena_t *a, ly_str_t line,
    bool compatible, ly_buf_t *out);

/* a zone of the machine's data by its name; NULL if there is none */
const struct ly_zone_s *rules_zone(ly_arena_t *a, ly_str_t name);

/* the text of a value within the text it was parsed from */
ly_str_t rules_slice(ly_str_t json, const ly_json_node_t *node);


#endif /* RULES_CMD_H_INCLUDED_ */
