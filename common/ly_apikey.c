#include <string.h>

#include "ly_apikey.h"
#include "ly_banned.h"


#define LY_APIKEY_RANDOM  30
#define LY_APIKEY_SUM     6

static const unsigned char  ly_apikey_alphabet[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#define LY_APIKEY_BASE  62


static const struct {
    char         text[LY_APIKEY_PREFIX + 1];
    ly_apikey_t  kind;
} ly_apikey_prefixes[] = {
    { "lsk_live_", { true, true } },
    { "lsk_test_", { true, false } },
    { "lpk_live_", { false, true } },
    { "lpk_test_", { false, false } }
};


/* CRC-32 of IEEE 802.3, by nibbles */
static uint32_t
ly_apikey_crc(const unsigned char *p, size_t len)
{
    size_t    i;
    uint32_t  crc;

    static const uint32_t  table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
        0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c
    };

    crc = 0xffffffff;

    for (i = 0; i < len; i++) {
        crc = table[(crc ^ p[i]) & 15] ^ crc >> 4;
        crc = table[(crc ^ (uint32_t) (p[i] >> 4)) & 15] ^ crc >> 4;
    }

    return crc ^ 0xffffffff;
}


static void
ly_apikey_sum(const unsigned char *text, unsigned char *sum)
{
    size_t    i;
    uint32_t  crc;

    crc = ly_apikey_crc(text, LY_APIKEY_PREFIX + LY_APIKEY_RANDOM);

    for (i = LY_APIKEY_SUM; i > 0; i--) {
        sum[i - 1] = ly_apikey_alphabet[crc % LY_APIKEY_BASE];
        crc /= LY_APIKEY_BASE;
    }
}


ly_err_t
ly_apikey_make(ly_apikey_t kind, unsigned char *out)
{
    size_t         i, n;
    ly_err_t       rc;
    unsigned char  noise[64];

    for (i = 0; i < ly_countof(ly_apikey_prefixes); i++) {
        if (ly_apikey_prefixes[i].kind.secret == kind.secret
            && ly_apikey_prefixes[i].kind.live == kind.live)
        {
            memcpy(out, ly_apikey_prefixes[i].text, LY_APIKEY_PREFIX);
        }
    }

    n = 0;

    while (n < LY_APIKEY_RANDOM) {
        rc = ly_random(noise, sizeof(noise));
        if (rc != LY_OK) {
            return rc;
        }

        /* 4 * 62 values of a byte, so that each character is as likely */
        for (i = 0; i < sizeof(noise) && n < LY_APIKEY_RANDOM; i++) {
            if (noise[i] < 4 * LY_APIKEY_BASE) {
                out[LY_APIKEY_PREFIX + n++] =
                    ly_apikey_alphabet[noise[i] % LY_APIKEY_BASE];
            }
        }
    }

    ly_secret_wipe(noise, sizeof(noise));
    ly_apikey_sum(out, out + LY_APIKEY_PREFIX + LY_APIKEY_RANDOM);

    return LY_OK;
}


static bool
ly_apikey_letters(const unsigned char *p, size_t len)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < len; i++) {
        c = p[i] | 0x20;

        if ((c < 'a' || c > 'z') && (p[i] < '0' || p[i] > '9')) {
            return false;
        }
    }

    return true;
}


ly_err_t
ly_apikey_parse(ly_str_t text, ly_apikey_t *kind)
{
    size_t                i;
    unsigned char         sum[LY_APIKEY_SUM];
    const unsigned char  *noise;

    if (text.len != LY_APIKEY_TEXT) {
        return LY_PARSE;
    }

    for (i = 0; i < ly_countof(ly_apikey_prefixes); i++) {
        if (memcmp(text.data, ly_apikey_prefixes[i].text, LY_APIKEY_PREFIX)
            == 0)
        {
            break;
        }
    }

    if (i == ly_countof(ly_apikey_prefixes)) {
        return LY_PARSE;
    }

    noise = text.data + LY_APIKEY_PREFIX;

    if (!ly_apikey_letters(noise, LY_APIKEY_RANDOM + LY_APIKEY_SUM)) {
        return LY_PARSE;
    }

    ly_apikey_sum(text.data, sum);

    if (memcmp(sum, noise + LY_APIKEY_RANDOM, LY_APIKEY_SUM) != 0) {
        return LY_PARSE;
    }

    *kind = ly_apikey_prefixes[i].kind;

    return LY_OK;
}


ly_err_t
ly_apikey_digest(ly_crypto_t *c, ly_str_t text,
    unsigned char *out)
{
    return ly_sha256(c, text, out);
}
