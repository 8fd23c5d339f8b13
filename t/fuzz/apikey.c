/* a key that passes has its form; one bit away it does not pass */

#include "fuzz.h"
#include "ly_apikey.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ly_apikey_t    kind, other;
    unsigned char  copy[LY_APIKEY_TEXT];

    if (ly_apikey_parse(ly_str_of(data, size), &kind) == LY_OK) {
        must(size == LY_APIKEY_TEXT);
        must((data[1] == 's') == kind.secret);
        must((data[4] == 'l') == kind.live);

        memcpy(copy, data, size);
        copy[20] ^= 1;
        must(ly_apikey_parse(ly_str_of(copy, size), &other) == LY_PARSE);
    }

    return 0;
}
