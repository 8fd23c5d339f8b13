/* an instant that is read is printed, and read again as the same */

#include "fuzz.h"
#include "ly_time.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int32_t        days;
    int64_t        us, again;
    ly_civil_t     c;
    unsigned char  text[LY_TIME_TEXT];

    if (ly_time_parse(ly_str_of(data, size), &us) == LY_OK) {
        must(us >= LY_TIME_MIN && us <= LY_TIME_MAX);
        ly_time_print(us, text);
        must(ly_time_parse(ly_str_of(text, sizeof(text)), &again) == LY_OK);
        must(again == us);
        ly_civil_utc(us, &c);
        must(ly_civil_instant(&c, &again) == LY_OK && again == us);
    }

    if (ly_date_parse(ly_str_of(data, size), &days) == LY_OK) {
        ly_date_print(days, text);
        must(memcmp(text, data, LY_DATE_TEXT) == 0);
    }

    return 0;
}
