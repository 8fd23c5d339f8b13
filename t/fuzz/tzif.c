/* any bytes as a zone: local time and back, at its own transitions too */

#include "fuzz.h"
#include "ly_time.h"


static void
probe(const ly_zone_t *zone, int64_t us)
{
    int64_t     back;
    ly_civil_t  c, again;

    us = us < LY_TIME_MIN + LY_TIME_DAY * 3 ? LY_TIME_MIN + LY_TIME_DAY * 3
                                            : us;
    us = us > LY_TIME_MAX - LY_TIME_DAY * 3 ? LY_TIME_MAX - LY_TIME_DAY * 3
                                            : us;

    ly_zone_civil(zone, us, &c);
    must(ly_civil_check(&c) == LY_OK);
    must(ly_zone_instant(zone, &c, &back) == LY_OK);

    /* the first instant of these fields, so never a later one */
    must(back <= us);
    ly_zone_civil(zone, back, &again);
    must(again.year == c.year && again.yday == c.yday && again.hour == c.hour
         && again.minute == c.minute && again.second == c.second
         && again.usec == c.usec);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t       i;
    int64_t      at;
    ly_arena_t  *a;
    ly_zone_t   *zone;

    a = ly_arena_create(4 << 20, NULL);

    if (ly_zone_parse(a, ly_str_of(data, size), &zone) == LY_OK) {

        for (i = 0; i + 8 <= size && i < 400; i += 4) {
            at = (int64_t) (ly_be64_get(data + i) % 400000000000ULL)
                 - 70000000000LL;
            probe(zone, at * 1000000);
            probe(zone, (int64_t) (int32_t) ly_be32_get(data + i) * 1000000);
        }

        for (i = 0; i < 400; i++) {
            probe(zone, (int64_t) i * 86400 * 45 * 1000000);
        }
    }

    ly_arena_destroy(a);

    return 0;
}
