/*
 * Base64 (RFC 4648), strict: one text for one value.  Standard alphabet with
 * padding, or the URL alphabet without; no white space, no stray bits in the
 * last character, nothing behind it.
 */

#ifndef LY_BASE64_H_INCLUDED_
#define LY_BASE64_H_INCLUDED_

#include "ly_base.h"
#include "ly_buf.h"


/* bytes of text that n bytes become; an upper bound of the reverse */
#define ly_base64_len(n)          (((n) + 2) / 3 * 4)
#define ly_base64url_len(n)       (((n) * 4 + 2) / 3)
#define ly_base64_decoded_max(n)  (((n) / 4 + 1) * 3)

/* into out, which has room for the above; returns the bytes written */
size_t ly_base64_encode(ly_str_t data, unsigned char *out);
size_t ly_base64url_encode(ly_str_t data, unsigned char *out);

/*
 * into out (size bytes), *len bytes written.  LY_PARSE for any other text,
 * LY_LIMIT if it does not fit; out is then undefined.  data and out may be the
 * same memory.
 */
ly_must_check ly_err_t ly_base64_decode(ly_str_t data, unsigned char *out,
    size_t size, size_t *len);
ly_must_check ly_err_t ly_base64url_decode(ly_str_t data, unsigned char *out,
    size_t size, size_t *len);

/* onto a buffer; errors are the buffer's */
void ly_base64_put(ly_buf_t *b, ly_str_t data);
void ly_base64url_put(ly_buf_t *b, ly_str_t data);


#endif /* LY_BASE64_H_INCLUDED_ */
