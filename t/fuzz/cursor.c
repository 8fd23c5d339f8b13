/* no bytes are a cursor; what is made opens, and nowhere else */

#include "fuzz.h"
#include "ly_cursor.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         len;
    ly_buf_t       b;
    ly_str_t       payload, context;
    unsigned char  out[LY_CURSOR_PAYLOAD], text[LY_CURSOR_TEXT];

    static ly_hmac_t    *mac;
    static ly_crypto_t  *crypto;

    if (crypto == NULL) {
        crypto = ly_crypto_create();
        mac = ly_hmac_create(crypto, ly_str("a key of this target"));
    }

    must(ly_cursor_open(mac, ly_str("context"), ly_str_of(data, size), out,
                        &len) != LY_OK);

    if (size < 1 || size > LY_CURSOR_PAYLOAD) {
        return 0;
    }

    len = data[0] % size;
    context = ly_str_of(data, len);
    payload = ly_str_of(data + len, size - len);

    ly_buf_init_fixed(&b, text, sizeof(text));
    must(ly_cursor_make(mac, context, payload, &b) == LY_OK);
    must(ly_cursor_open(mac, context, ly_buf_view(&b), out, &len) == LY_OK);
    must(ly_str_eq(ly_str_of(out, len), payload));
    must(ly_cursor_open(mac, payload, ly_buf_view(&b), out, &len)
         == (ly_str_eq(context, payload) ? LY_OK : LY_DENIED));

    return 0;
}
