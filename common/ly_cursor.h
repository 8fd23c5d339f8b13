/*
 * List cursors: base64url(version 0x01 | payload | 16 bytes of HMAC).  The MAC
 * also covers the context (operation, filters, principal: whatever the caller
 * puts in), which is not sent: a cursor used anywhere else does not open.
 */

#ifndef LY_CURSOR_H_INCLUDED_
#define LY_CURSOR_H_INCLUDED_

#include "ly_base.h"
#include "ly_buf.h"
#include "ly_crypto.h"


#define LY_CURSOR_PAYLOAD  512
#define LY_CURSOR_TEXT     708      /* longest text */


/* appends the text; mac is the tenant's cursor key.  LY_LIMIT: payload. */
ly_must_check ly_err_t ly_cursor_make(ly_hmac_t *mac, ly_str_t context,
    ly_str_t payload, ly_buf_t *out);

/*
 * The payload into out (LY_CURSOR_PAYLOAD bytes).  LY_PARSE for no cursor,
 * LY_DENIED for a changed or foreign one; answer both alike.
 */
ly_must_check ly_err_t ly_cursor_open(ly_hmac_t *mac, ly_str_t context,
    ly_str_t text, unsigned char *out, size_t *len);


#endif /* LY_CURSOR_H_INCLUDED_ */
