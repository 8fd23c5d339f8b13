/* four lines: id, timestamp, signatures, and the rest is the body */

#include "fuzz.h"
#include "ly_webhook.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             i;
    int64_t            when;
    ly_buf_t           b;
    ly_str_t           part[4];
    const uint8_t     *end;
    ly_webhook_key_t  *any;

    static const char  secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    static const char  pair[] =
        "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

    static ly_crypto_t       *crypto;
    static ly_webhook_key_t  *mac, *ed;

    if (crypto == NULL) {
        crypto = ly_crypto_create();
        must(ly_webhook_key_parse(crypto, ly_str_c(secret), &mac) == LY_OK);
        must(ly_webhook_key_parse(crypto, ly_str_c(pair), &ed) == LY_OK);
    }

    if (ly_webhook_key_parse(crypto, ly_str_of(data, size), &any) == LY_OK) {
        ly_webhook_key_destroy(any);
    }

    for (i = 0; i < 3; i++) {
        end = size == 0 ? NULL : memchr(data, '\n', size);

        if (end == NULL) {
            return 0;
        }

        part[i] = ly_str_of(data, (size_t) (end - data));
        size -= part[i].len + 1;
        data = end + 1;
    }

    part[3] = ly_str_of(data, size);

    /* only a seed of ours that holds the true signature may pass */
    (void) !ly_webhook_verify(mac, part[0], part[1], part[2], part[3],
                              1614265330, 300);
    (void) !ly_webhook_verify(ed, part[0], part[1], part[2], part[3],
                              1614265330, 300);

    ly_buf_init(&b, 1024, NULL);

    if (ly_int64_parse(part[1], &when) == LY_OK
        && ly_webhook_sign(mac, part[0], when, part[3], &b) == LY_OK)
    {
        must(ly_webhook_sign(ed, part[0], when, part[3], &b) == LY_OK);
        must(ly_webhook_verify(mac, part[0], part[1], ly_buf_view(&b),
                               part[3], when, 0) == LY_OK);
        must(ly_webhook_verify(ed, part[0], part[1], ly_buf_view(&b),
                               part[3], when, 0) == LY_OK);
    }

    ly_buf_free(&b);

    return 0;
}
