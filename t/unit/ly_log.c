/* log lines */

#include "tap.h"
#include "ly_json.h"
#include "ly_log.h"


static bool
has(const ly_json_node_t *node, const char *key)
{
    return ly_json_member(node, ly_str_c(key)) != NULL;
}


int
main(void)
{
    size_t                 size, len, bad, cut;
    ly_str_t               line;
    ly_arena_t            *a;
    ly_json_node_t        *root;
    ly_log_head_t          head;
    ly_log_level_e         level;
    unsigned char          out[8192], big[3000];
    ly_log_field_t         fields[12];

    head.level = LY_LOG_WARN;
    head.time_ms = 1700000000123LL;
    head.pid = 42;
    head.name = ly_str("loyalty-worker");
    head.msg = ly_str("a \"quoted\"\nline");

    fields[0] = ly_log_int("lane", -3);
    fields[1] = ly_log_uint("max", UINT64_MAX);
    fields[2] = ly_log_bool("again", true);
    fields[3] = ly_log_str("tenant", ly_str("demo"));
    fields[4] = ly_log_cstr("none", NULL);
    fields[5] = ly_log_json("detail", ly_str("{\"a\":[1]}"));
    fields[6] = ly_log_secret("token", ly_str("very secret"));
    fields[7] = ly_log_str("bytes", ly_str("\xff\x01"));

    len = ly_log_line(out, sizeof(out), &head, fields, 8);
    is_str(ly_str_of(out, len),
           ly_str("{\"level\":40,\"time\":1700000000123,\"pid\":42,"
                  "\"name\":\"loyalty-worker\","
                  "\"msg\":\"a \\\"quoted\\\"\\nline\",\"lane\":-3,"
                  "\"max\":18446744073709551615,\"again\":true,"
                  "\"tenant\":\"demo\",\"none\":\"\",\"detail\":{\"a\":[1]},"
                  "\"token\":11,\"bytes\":\"\xef\xbf\xbd\\u0001\"}\n"),
           "a line");

    memset(big, 'x', sizeof(big));
    fields[8] = ly_log_str("long", ly_str_of(big, sizeof(big)));
    fields[9] = ly_log_int("last", 9);

    len = ly_log_line(out, sizeof(out), &head, fields, 10);
    ok(len > LY_LOG_STR_MAX && len < LY_LOG_STR_MAX + 400,
       "a long text is cut");

    /* at every size one valid object that says whether it is whole */
    a = ly_arena_create(1 << 20, NULL);
    bad = 0;
    cut = 0;

    for (size = LY_LOG_MIN; size < 1600; size++) {
        memset(out, 'Z', sizeof(out));
        len = ly_log_line(out, size, &head, fields, 10);
        line = ly_str_of(out, len);
        ly_arena_reset(a);

        if (len == 0 || len > size || out[len - 1] != '\n'
            || out[size] != 'Z'
            || ly_json_parse(a, line, NULL, &root, NULL) != LY_OK
            || ly_json_member(root, ly_str("pid")) == NULL
            || has(root, "truncated") == has(root, "last"))
        {
            bad++;
        }

        cut += ly_json_member(root, ly_str("truncated")) != NULL;
    }

    is_int(bad, 0, "valid at every size");
    ok(cut > 900 && cut < 1344, "%zu of them were cut", cut);

    head.msg = ly_str_of(big, sizeof(big));
    len = ly_log_line(out, LY_LOG_MIN, &head, fields, 10);
    ly_arena_reset(a);
    ok(len != 0 && ly_json_parse(a, ly_str_of(out, len), NULL, &root, NULL)
       == LY_OK && ly_json_member(root, ly_str("truncated")) != NULL,
       "even the message may be left out");

    is_int(ly_log_line(out, LY_LOG_MIN - 1, &head, fields, 1), 0,
           "too small for a line");

    is_int(ly_log_level_parse(ly_str("fatal"), &level), LY_OK, "a level");
    is_int(level, LY_LOG_FATAL, "its number");
    is_int(ly_log_level_parse(ly_str("loud"), &level), LY_PARSE, "no level");

    ly_arena_destroy(a);

    return tap_done();
}
