#include <string.h>

#include "ly_addr.h"
#include "ly_banned.h"


typedef struct {
    unsigned char   net[16];
    unsigned        bits;
    const char     *why;
} ly_addr_block_t;


/* the registry of special-purpose addresses, RFC 6890 and its successors */
static const ly_addr_block_t  ly_addr_v4[] = {
    { { 0 }, 8, "unspecified" },
    { { 10 }, 8, "private" },
    { { 100, 64 }, 10, "shared" },
    { { 127 }, 8, "loopback" },
    { { 169, 254 }, 16, "link_local" },
    { { 172, 16 }, 12, "private" },
    { { 192, 0, 0 }, 24, "reserved" },
    { { 192, 0, 2 }, 24, "documentation" },
    { { 192, 88, 99 }, 24, "tunnel" },
    { { 192, 168 }, 16, "private" },
    { { 198, 18 }, 15, "benchmark" },
    { { 198, 51, 100 }, 24, "documentation" },
    { { 203, 0, 113 }, 24, "documentation" },
    { { 224 }, 4, "multicast" },
    { { 240 }, 4, "reserved" }
};

/* the first match counts; what matches none is public only in 2000::/3 */
static const ly_addr_block_t  ly_addr_v6[] = {
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32, "documentation" },
    { { 0x20, 0x01, 0x00, 0x00 }, 32, "tunnel" },
    { { 0x20, 0x01, 0x00, 0x02, 0x00, 0x00 }, 48, "benchmark" },
    { { 0x20, 0x01, 0x00, 0x00 }, 23, "reserved" },
    { { 0x20, 0x02 }, 16, "tunnel" },
    { { 0x3f, 0xff, 0x00 }, 20, "documentation" },
    { { 0 }, 128, "unspecified" },
    { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 128, "loopback" },
    { { 0x00, 0x64, 0xff, 0x9b }, 32, "tunnel" },
    { { 0xfc }, 7, "private" },
    { { 0xfe, 0x80 }, 10, "link_local" },
    { { 0xff }, 8, "multicast" }
};

static const unsigned char  ly_addr_mapped[12] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
};


static bool
ly_addr_prefix(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned  whole, rest;

    whole = bits / 8;
    rest = bits % 8;

    if (memcmp(a, b, whole) != 0) {
        return false;
    }

    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}


/* IPv4 in IPv6's mapped form is the same address */
static ly_addr_t
ly_addr_plain(const ly_addr_t *a)
{
    ly_addr_t  plain;

    plain = *a;

    if (a->family == 6
        && memcmp(a->b, ly_addr_mapped, sizeof(ly_addr_mapped)) == 0)
    {
        memset(&plain, 0, sizeof(ly_addr_t));
        plain.family = 4;
        memcpy(plain.b, a->b + 12, 4);
    }

    return plain;
}


static ly_err_t
ly_addr_parse_v4(ly_str_t s, unsigned char *out)
{
    size_t    i, start, n;
    uint64_t  v;
    ly_str_t  part;

    n = 0;
    start = 0;

    for (i = 0; i <= s.len; i++) {

        if (i < s.len && s.data[i] != '.') {
            continue;
        }

        part = ly_str_of(s.data + start, i - start);

        if (n == 4 || part.len > 3 || ly_uint64_parse(part, &v) != LY_OK
            || v > 255)
        {
            return LY_PARSE;
        }

        out[n++] = (unsigned char) v;
        start = i + 1;
    }

    return n == 4 ? LY_OK : LY_PARSE;
}


/* up to four hex digits */
static ly_err_t
ly_addr_group(ly_str_t s, unsigned char *out)
{
    size_t         i;
    unsigned       v;
    unsigned char  c;

    if (s.len == 0 || s.len > 4) {
        return LY_PARSE;
    }

    v = 0;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (c >= '0' && c <= '9') {
            v = v * 16 + (unsigned) (c - '0');
            continue;
        }

        c |= 0x20;

        if (c < 'a' || c > 'f') {
            return LY_PARSE;
        }

        v = v * 16 + (unsigned) (c - 'a') + 10;
    }

    ly_be16_put(out, (uint16_t) v);

    return LY_OK;
}


/* groups parted by ':', an IPv4 address may be the last; *n bytes of them */
static ly_err_t
ly_addr_groups(ly_str_t s, unsigned char *out, size_t *n)
{
    size_t    i, start;
    ly_str_t  part;

    *n = 0;
    start = 0;

    for (i = 0; s.len != 0 && i <= s.len; i++) {

        if (i < s.len && s.data[i] != ':') {
            continue;
        }

        part = ly_str_of(s.data + start, i - start);
        start = i + 1;

        if (i == s.len && *n <= 12 && part.len > 4) {
            *n += 4;
            return ly_addr_parse_v4(part, out + *n - 4);
        }

        if (*n == 16 || ly_addr_group(part, out + *n) != LY_OK) {
            return LY_PARSE;
        }

        *n += 2;
    }

    return LY_OK;
}


static ly_err_t
ly_addr_parse_v6(ly_str_t s, unsigned char *out)
{
    size_t         i, head, tail;
    ly_str_t       left, right;
    unsigned char  a[16], b[16];

    memset(out, 0, 16);

    for (i = 0; i + 1 < s.len; i++) {
        if (s.data[i] == ':' && s.data[i + 1] == ':') {
            break;
        }
    }

    if (i + 1 >= s.len) {
        if (ly_addr_groups(s, out, &head) != LY_OK || head != 16) {
            return LY_PARSE;
        }

        return LY_OK;
    }

    left = ly_str_of(s.data, i);
    right = ly_str_of(s.data + i + 2, s.len - i - 2);

    /* "::" stands for at least one group, and no IPv4 before it */
    if (ly_addr_groups(left, a, &head) != LY_OK
        || ly_addr_groups(right, b, &tail) != LY_OK || head + tail > 14
        || (left.len != 0 && memchr(left.data, '.', left.len) != NULL))
    {
        return LY_PARSE;
    }

    memcpy(out, a, head);
    memcpy(out + 16 - tail, b, tail);

    return LY_OK;
}


ly_err_t
ly_addr_parse(ly_str_t s, ly_addr_t *out)
{
    memset(out, 0, sizeof(ly_addr_t));

    if (s.len == 0 || s.len > 45) {
        return LY_PARSE;
    }

    if (memchr(s.data, ':', s.len) == NULL) {
        out->family = 4;
        return ly_addr_parse_v4(s, out->b);
    }

    out->family = 6;

    return ly_addr_parse_v6(s, out->b);
}


ly_err_t
ly_addr_bytes(unsigned family, const void *bytes, ly_addr_t *out)
{
    if (family != 4 && family != 6) {
        return LY_PARSE;
    }

    memset(out, 0, sizeof(ly_addr_t));
    out->family = family;
    memcpy(out->b, bytes, family == 4 ? 4 : 16);

    return LY_OK;
}


static size_t
ly_addr_print_v4(const unsigned char *b, unsigned char *out)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < 4; i++) {
        if (i != 0) {
            out[n++] = '.';
        }

        n += ly_uint64_print(b[i], out + n);
    }

    return n;
}


static size_t
ly_addr_print_group(const unsigned char *b, unsigned char *out)
{
    size_t    n;
    unsigned  v, shift;

    static const unsigned char  digits[] = "0123456789abcdef";

    v = ly_be16_get(b);
    n = 0;

    for (shift = 12; shift > 0; shift -= 4) {
        if (v >> shift != 0) {
            out[n++] = digits[v >> shift & 15];
        }
    }

    out[n++] = digits[v & 15];

    return n;
}


size_t
ly_addr_print(const ly_addr_t *a, unsigned char *out)
{
    size_t  i, n, run, best, len;

    if (a->family == 4) {
        return ly_addr_print_v4(a->b, out);
    }

    /* the first longest run of two or more zero groups, RFC 5952 */
    best = 8;
    len = 1;

    for (i = 0; i < 8; i++) {
        for (run = 0; i + run < 8; run++) {
            if (ly_be16_get(a->b + (i + run) * 2) != 0) {
                break;
            }
        }

        if (run > len) {
            best = i;
            len = run;
        }
    }

    n = 0;

    for (i = 0; i < 8; i++) {

        if (i == best) {
            out[n++] = ':';
            out[n++] = ':';
            i += len - 1;
            continue;
        }

        if (i != 0 && out[n - 1] != ':') {
            out[n++] = ':';
        }

        n += ly_addr_print_group(a->b + i * 2, out + n);
    }

    return n;
}


const char *
ly_addr_denied(const ly_addr_t *a)
{
    size_t                  i, n;
    ly_addr_t               plain;
    const ly_addr_block_t  *blocks;

    plain = ly_addr_plain(a);
    blocks = plain.family == 4 ? ly_addr_v4 : ly_addr_v6;
    n = plain.family == 4 ? ly_countof(ly_addr_v4) : ly_countof(ly_addr_v6);

    for (i = 0; i < n; i++) {
        if (ly_addr_prefix(plain.b, blocks[i].net, blocks[i].bits)) {
            return blocks[i].why;
        }
    }

    /* 2000::/3 is all that is assigned to the public internet */
    if (plain.family == 6 && plain.b[0] >> 5 != 1) {
        return "reserved";
    }

    return NULL;
}


/* digits of a whole number up to max */
static ly_err_t
ly_cidr_number(ly_str_t s, uint64_t max, uint64_t *out)
{
    return ly_uint64_parse(s, out) == LY_OK && *out <= max ? LY_OK : LY_PARSE;
}


static size_t
ly_cidr_until(ly_str_t s, unsigned char c)
{
    const unsigned char  *at;

    at = s.len == 0 ? NULL : memchr(s.data, c, s.len);

    return at == NULL ? s.len : (size_t) (at - s.data);
}


/* the address, and what stands behind it */
static ly_err_t
ly_cidr_addr(ly_str_t s, ly_addr_t *addr, ly_str_t *rest)
{
    size_t  n;

    if (s.len != 0 && s.data[0] == '[') {
        n = ly_cidr_until(s, ']');

        if (n == s.len) {
            return LY_PARSE;
        }

        *rest = ly_str_of(s.data + n + 1, s.len - n - 1);

        if (ly_addr_parse(ly_str_of(s.data + 1, n - 1), addr) != LY_OK
            || addr->family != 6)
        {
            return LY_PARSE;
        }

        return LY_OK;
    }

    n = ly_cidr_until(s, '/');

    /* a port without bits: only where a colon is no part of the address */
    if (ly_cidr_until(s, '.') < ly_cidr_until(s, ':')) {
        n = n < ly_cidr_until(s, ':') ? n : ly_cidr_until(s, ':');
    }

    *rest = ly_str_of(s.data + n, s.len - n);

    return ly_addr_parse(ly_str_of(s.data, n), addr);
}


ly_err_t
ly_cidr_parse(ly_str_t s, ly_cidr_t *out)
{
    size_t    n, i;
    uint64_t  v;
    ly_str_t  rest;
    unsigned  max;

    memset(out, 0, sizeof(ly_cidr_t));

    if (ly_cidr_addr(s, &out->addr, &rest) != LY_OK) {
        return LY_PARSE;
    }

    max = out->addr.family == 4 ? 32 : 128;
    out->bits = max;

    if (rest.len != 0 && rest.data[0] == '/') {
        n = ly_cidr_until(rest, ':');

        if (ly_cidr_number(ly_str_of(rest.data + 1, n - 1), max, &v) != LY_OK)
        {
            return LY_PARSE;
        }

        out->bits = (unsigned) v;
        rest = ly_str_of(rest.data + n, rest.len - n);
    }

    if (rest.len != 0) {
        if (rest.data[0] != ':'
            || ly_cidr_number(ly_str_of(rest.data + 1, rest.len - 1), 65535,
                              &v) != LY_OK
            || v == 0)
        {
            return LY_PARSE;
        }

        out->port = (uint16_t) v;
    }

    for (i = out->bits; i < max; i++) {
        if (out->addr.b[i / 8] & (0x80 >> i % 8)) {
            return LY_PARSE;
        }
    }

    return LY_OK;
}


bool
ly_cidr_match(const ly_cidr_t *cidr, const ly_addr_t *a, uint16_t port)
{
    ly_addr_t  plain;

    plain = ly_addr_plain(a);

    return plain.family == cidr->addr.family
           && (cidr->port == 0 || cidr->port == port)
           && ly_addr_prefix(plain.b, cidr->addr.b, cidr->bits);
}


bool
ly_addr_allowed(const ly_addr_t *a, uint16_t port, const ly_cidr_t *list,
    size_t n)
{
    size_t  i;

    if (ly_addr_denied(a) == NULL) {
        return true;
    }

    for (i = 0; i < n; i++) {
        if (ly_cidr_match(&list[i], a, port)) {
            return true;
        }
    }

    return false;
}
