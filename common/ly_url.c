#include <string.h>

#include "ly_url.h"
#include "ly_banned.h"


#define LY_URL_LABEL  63


static unsigned char
ly_url_lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}


static bool
ly_url_letter(unsigned char c)
{
    c = ly_url_lower(c);

    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}


static bool
ly_url_hex(unsigned char c)
{
    c = ly_url_lower(c);

    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}


/* one label: letters, digits, hyphens, none of those at an end */
static bool
ly_url_label(ly_str_t s)
{
    size_t  i;

    if (s.len == 0 || s.len > LY_URL_LABEL || s.data[0] == '-'
        || s.data[s.len - 1] == '-')
    {
        return false;
    }

    for (i = 0; i < s.len; i++) {
        if (s.data[i] != '-' && !ly_url_letter(s.data[i])) {
            return false;
        }
    }

    return true;
}


/* would a resolver read a host that ends in this label as a number? */
static bool
ly_url_numeric(ly_str_t s)
{
    bool    hex;
    size_t  i;

    hex = s.len >= 2 && s.data[0] == '0' && ly_url_lower(s.data[1]) == 'x';

    for (i = hex ? 2 : 0; i < s.len; i++) {
        if (hex ? !ly_url_hex(s.data[i])
                : s.data[i] < '0' || s.data[i] > '9')
        {
            return false;
        }
    }

    return true;
}


/* *last is the last label */
static ly_err_t
ly_url_name(ly_str_t host, ly_str_t *last)
{
    size_t  i, start;

    if (host.len == 0 || host.len > LY_HOST_MAX) {
        return LY_PARSE;
    }

    start = 0;

    for (i = 0; i <= host.len; i++) {

        if (i < host.len && host.data[i] != '.') {
            continue;
        }

        *last = ly_str_of(host.data + start, i - start);

        if (!ly_url_label(*last)) {
            return LY_PARSE;
        }

        start = i + 1;
    }

    return LY_OK;
}


/* every byte visible ASCII, no fragment, no backslash, whole escapes */
static ly_err_t
ly_url_bytes(ly_str_t s)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (c <= ' ' || c >= 0x7f || c == '\\' || c == '#') {
            return LY_PARSE;
        }

        if (c == '%' && (s.len - i < 3 || !ly_url_hex(s.data[i + 1])
                         || !ly_url_hex(s.data[i + 2])))
        {
            return LY_PARSE;
        }
    }

    return LY_OK;
}


/* [address], *rest is the port with its colon, or empty */
static ly_err_t
ly_url_literal(ly_str_t s, ly_url_t *out, ly_str_t *rest)
{
    const unsigned char  *end;

    end = memchr(s.data, ']', s.len);

    if (end == NULL) {
        return LY_PARSE;
    }

    out->host = ly_str_of(s.data + 1, (size_t) (end - s.data) - 1);
    out->is_addr = true;
    *rest = ly_str_of(end + 1, s.len - out->host.len - 2);

    if (ly_addr_parse(out->host, &out->addr) != LY_OK
        || out->addr.family != 6)
    {
        return LY_PARSE;
    }

    return LY_OK;
}


static ly_err_t
ly_url_host(ly_str_t s, ly_url_t *out, ly_str_t *rest)
{
    ly_str_t              last;
    const unsigned char  *colon;

    if (s.len != 0 && s.data[0] == '[') {
        return ly_url_literal(s, out, rest);
    }

    colon = s.len == 0 ? NULL : memchr(s.data, ':', s.len);
    out->host = ly_str_of(s.data, colon == NULL ? s.len
                                                : (size_t) (colon - s.data));
    *rest = ly_str_of(s.data + out->host.len, s.len - out->host.len);

    if (ly_url_name(out->host, &last) != LY_OK) {
        return LY_PARSE;
    }

    if (!ly_url_numeric(last)) {
        return LY_OK;
    }

    out->is_addr = true;

    if (ly_addr_parse(out->host, &out->addr) != LY_OK) {
        return LY_PARSE;
    }

    return LY_OK;
}


static ly_err_t
ly_url_port(ly_str_t s, ly_url_t *out)
{
    uint64_t  v;

    out->port = out->https ? 443 : 80;

    if (s.len == 0) {
        return LY_OK;
    }

    if (s.data[0] != ':'
        || ly_uint64_parse(ly_str_of(s.data + 1, s.len - 1), &v) != LY_OK
        || v == 0 || v > 65535)
    {
        return LY_PARSE;
    }

    out->port = (uint16_t) v;

    return LY_OK;
}


static bool
ly_url_scheme(ly_str_t s, ly_str_t scheme)
{
    size_t  i;

    if (s.len < scheme.len) {
        return false;
    }

    for (i = 0; i < scheme.len; i++) {
        if (ly_url_lower(s.data[i]) != scheme.data[i]) {
            return false;
        }
    }

    return true;
}


ly_err_t
ly_url_parse(ly_str_t s, ly_url_t *out)
{
    size_t    start, i;
    ly_str_t  authority, rest;

    memset(out, 0, sizeof(ly_url_t));

    if (s.len > LY_URL_MAX) {
        return LY_LIMIT;
    }

    if (ly_url_bytes(s) != LY_OK) {
        return LY_PARSE;
    }

    if (ly_url_scheme(s, ly_str("https://"))) {
        out->https = true;
        start = sizeof("https://") - 1;

    } else if (ly_url_scheme(s, ly_str("http://"))) {
        start = sizeof("http://") - 1;

    } else {
        return LY_PARSE;
    }

    for (i = start; i < s.len; i++) {
        if (s.data[i] == '/' || s.data[i] == '?') {
            break;
        }
    }

    authority = ly_str_of(s.data + start, i - start);
    out->target = ly_str_of(s.data + i, s.len - i);

    /* userinfo holds an '@', which no host or port may */
    if (ly_url_host(authority, out, &rest) != LY_OK) {
        return LY_PARSE;
    }

    return ly_url_port(rest, out);
}


ly_err_t
ly_host_normalise(ly_str_t s, unsigned char *out, size_t *len)
{
    size_t    i;
    ly_str_t  last;

    if (ly_url_name(s, &last) != LY_OK || ly_url_numeric(last)) {
        return LY_PARSE;
    }

    for (i = 0; i < s.len; i++) {
        out[i] = ly_url_lower(s.data[i]);
    }

    *len = s.len;

    return LY_OK;
}
