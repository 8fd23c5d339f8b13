/* what is taken holds nothing that another reader could take otherwise */

#include "fuzz.h"
#include "ly_url.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         i, len;
    ly_str_t       s;
    ly_url_t       u;
    unsigned char  out[LY_HOST_MAX];

    s = ly_str_of(data, size);

    if (ly_url_parse(s, &u) == LY_OK) {
        must(size <= LY_URL_MAX && u.port != 0 && u.host.len != 0);
        must(u.target.data + u.target.len == data + size);
        must(u.host.data > data && u.host.data + u.host.len <= data + size);
        must(memchr(u.host.data, '@', u.host.len) == NULL);
        must(memchr(data, '#', size) == NULL);
        must(memchr(data, '\\', size) == NULL);

        for (i = 0; i < size; i++) {
            must(data[i] > ' ' && data[i] < 0x7f);
        }

        must(u.is_addr
             || ly_host_normalise(u.host, out, &len) == LY_OK);
    }

    if (ly_host_normalise(s, out, &len) == LY_OK) {
        must(len == size && len <= LY_HOST_MAX);
    }

    return 0;
}
