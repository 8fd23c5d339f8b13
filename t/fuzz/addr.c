/* an address is printed and read again as the same; networks match it */

#include "fuzz.h"
#include "ly_addr.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ly_str_t       s;
    ly_addr_t      a, again;
    ly_cidr_t      c;
    unsigned char  text[LY_ADDR_TEXT];

    s = ly_str_of(data, size);

    if (ly_addr_parse(s, &a) == LY_OK) {
        must(ly_addr_parse(ly_str_of(text, ly_addr_print(&a, text)), &again)
             == LY_OK);
        must(memcmp(&a, &again, sizeof(a)) == 0);
        must(ly_addr_allowed(&a, 1, NULL, 0) == (ly_addr_denied(&a) == NULL));
    }

    if (ly_cidr_parse(s, &c) == LY_OK) {
        must(c.bits <= (c.addr.family == 4 ? 32 : 128));

        if (c.addr.family == 4) {
            must(ly_cidr_match(&c, &c.addr, c.port));
            must(ly_addr_allowed(&c.addr, c.port, &c, 1));
        }
    }

    if (size == 16) {
        must(ly_addr_bytes(6, data, &a) == LY_OK);
        must(ly_addr_parse(ly_str_of(text, ly_addr_print(&a, text)), &again)
             == LY_OK);
        must(memcmp(&a, &again, sizeof(a)) == 0);
    }

    return 0;
}
