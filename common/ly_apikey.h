/*
 * API keys: lsk_live_ lsk_test_ (secret) or lpk_live_ lpk_test_ (publishable),
 * 30 random base62 characters, and 6 base62 characters of the CRC-32 of all
 * that stands before, so that junk is refused without a look-up.  Only the
 * SHA-256 of the whole text is ever stored.
 */

#ifndef LY_APIKEY_H_INCLUDED_
#define LY_APIKEY_H_INCLUDED_

#include "ly_base.h"
#include "ly_crypto.h"


#define LY_APIKEY_PREFIX  9
#define LY_APIKEY_TEXT    (LY_APIKEY_PREFIX + 30 + 6)

/* what of a key may be shown: prefix and three more, and the last four */
#define LY_APIKEY_SHOWN   12
#define LY_APIKEY_LAST    4

typedef struct {
    bool  secret;               /* else publishable */
    bool  live;                 /* else test */
} ly_apikey_t;


/* 45 bytes into out, not NUL terminated; LY_TEMP without random bytes */
ly_must_check ly_err_t ly_apikey_make(ly_apikey_t kind,
    unsigned char *out);

/* form and checksum; LY_PARSE.  Says nothing about who may use it. */
ly_must_check ly_err_t ly_apikey_parse(ly_str_t text, ly_apikey_t *kind);

/* what the directory is asked for: LY_SHA256_LEN bytes of a parsed text */
ly_must_check ly_err_t ly_apikey_digest(ly_crypto_t *c, ly_str_t text,
    unsigned char *out);


#endif /* LY_APIKEY_H_INCLUDED_ */
