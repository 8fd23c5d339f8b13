/* Hexadecimal text of bytes: lower case out, either case in. */

#ifndef LY_HEX_H_INCLUDED_
#define LY_HEX_H_INCLUDED_

#include "ly_base.h"
#include "ly_buf.h"


/* 2 * data.len bytes into out; returns that number */
size_t ly_hex_encode(ly_str_t data, unsigned char *out);

/* exactly n bytes from 2 * n digits, else LY_PARSE */
ly_must_check ly_err_t ly_hex_decode(ly_str_t data, unsigned char *out,
    size_t n);

void ly_hex_put(ly_buf_t *b, ly_str_t data);


#endif /* LY_HEX_H_INCLUDED_ */
