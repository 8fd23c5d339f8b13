/* one text for one value: what decodes encodes to the same text */

#include "fuzz.h"
#include "ly_base64.h"
#include "ly_hex.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          len, max;
    ly_str_t        s;
    unsigned char  *out, *text;

    s = ly_str_of(data, size);
    max = ly_base64_decoded_max(size);
    out = malloc(max);
    text = malloc(2 * size + 8);

    if (ly_base64_decode(s, out, max, &len) == LY_OK) {
        must(ly_str_eq(ly_str_of(text, ly_base64_encode(ly_str_of(out, len),
                                                        text)), s));
    }

    if (ly_base64url_decode(s, out, max, &len) == LY_OK) {
        must(ly_str_eq(ly_str_of(text,
                                 ly_base64url_encode(ly_str_of(out, len),
                                                     text)), s));
    }

    if (ly_hex_decode(s, out, size / 2) == LY_OK) {
        must(ly_hex_encode(ly_str_of(out, size / 2), text) == size);
    }

    free(text);
    free(out);

    return 0;
}
