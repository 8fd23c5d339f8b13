#include <string.h>

#include "ly_base64.h"
#include "ly_cursor.h"
#include "ly_banned.h"


#define LY_CURSOR_VERSION  0x01
#define LY_CURSOR_MAC      16


/* version | length of the context | context | payload */
static ly_err_t
ly_cursor_mac(ly_hmac_t *mac, ly_str_t context, ly_str_t payload,
    unsigned char *out)
{
    ly_str_t       parts[3];
    unsigned char  head[9];

    head[0] = LY_CURSOR_VERSION;
    ly_be64_put(head + 1, context.len);

    parts[0] = ly_str_of(head, sizeof(head));
    parts[1] = context;
    parts[2] = payload;

    return ly_hmac_parts(mac, parts, ly_countof(parts), out);
}


ly_err_t
ly_cursor_make(ly_hmac_t *mac, ly_str_t context, ly_str_t payload,
    ly_buf_t *out)
{
    size_t         n;
    ly_err_t       rc;
    unsigned char  raw[1 + LY_CURSOR_PAYLOAD + LY_CURSOR_MAC];
    unsigned char  sum[LY_SHA256_LEN];

    if (payload.len > LY_CURSOR_PAYLOAD) {
        return LY_LIMIT;
    }

    rc = ly_cursor_mac(mac, context, payload, sum);
    if (rc != LY_OK) {
        return rc;
    }

    n = 0;
    raw[n++] = LY_CURSOR_VERSION;

    if (payload.len != 0) {
        memcpy(raw + n, payload.data, payload.len);
        n += payload.len;
    }

    memcpy(raw + n, sum, LY_CURSOR_MAC);
    n += LY_CURSOR_MAC;

    ly_base64url_put(out, ly_str_of(raw, n));

    return ly_buf_err(out);
}


ly_err_t
ly_cursor_open(ly_hmac_t *mac, ly_str_t context, ly_str_t text,
    unsigned char *out, size_t *len)
{
    size_t         n;
    ly_err_t       rc;
    ly_str_t       payload;
    unsigned char  raw[1 + LY_CURSOR_PAYLOAD + LY_CURSOR_MAC];
    unsigned char  sum[LY_SHA256_LEN];

    rc = ly_base64url_decode(text, raw, sizeof(raw), &n);

    if (rc != LY_OK || n < 1 + LY_CURSOR_MAC || raw[0] != LY_CURSOR_VERSION) {
        return LY_PARSE;
    }

    payload = ly_str_of(raw + 1, n - 1 - LY_CURSOR_MAC);

    rc = ly_cursor_mac(mac, context, payload, sum);
    if (rc != LY_OK) {
        return rc;
    }

    if (!ly_secret_eq(sum, LY_CURSOR_MAC, raw + n - LY_CURSOR_MAC,
                      LY_CURSOR_MAC))
    {
        return LY_DENIED;
    }

    memcpy(out, payload.data, payload.len);
    *len = payload.len;

    return LY_OK;
}
