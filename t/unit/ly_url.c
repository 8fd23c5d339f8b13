/* URLs, hosts, addresses, networks */

#include "tap.h"
#include "vectors.h"
#include "ly_addr.h"
#include "ly_url.h"


static void
urls(void)
{
    size_t         i;
    ly_url_t       u;
    ly_err_t       rc;
    unsigned char  big[LY_URL_MAX + 1];

    static const struct {
        const char  *text;
        const char  *host;          /* NULL: refused */
        uint16_t     port;
        const char  *target;
    } cases[] = {
        { "https://example.com", "example.com", 443, "" },
        { "http://example.com/", "example.com", 80, "/" },
        { "HTTPS://Example.COM:8443/a?b=c", "Example.COM", 8443, "/a?b=c" },
        { "https://example.com?x", "example.com", 443, "?x" },
        { "https://a-b.example/%41%2f@:x", "a-b.example", 443,
          "/%41%2f@:x" },
        { "https://localhost:1/", "localhost", 1, "/" },
        { "https://127.0.0.1/", "127.0.0.1", 443, "/" },
        { "https://[::1]:65535/", "::1", 65535, "/" },
        { "https://[2001:db8::1]/x", "2001:db8::1", 443, "/x" },
        { "https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443,
          "/" },
        { "https://1.2.3.4.example/", "1.2.3.4.example", 443, "/" },
        { "https://1a/", "1a", 443, "/" },
        { "", NULL, 0, NULL },
        { "https://", NULL, 0, NULL },
        { "https:///path", NULL, 0, NULL },
        { "https:example.com", NULL, 0, NULL },
        { "https:/example.com", NULL, 0, NULL },
        { "ftp://example.com/", NULL, 0, NULL },
        { "file:///etc/passwd", NULL, 0, NULL },
        { "gopher://example.com/", NULL, 0, NULL },
        { "javascript:alert(1)", NULL, 0, NULL },
        { "//example.com/", NULL, 0, NULL },
        { " https://example.com/", NULL, 0, NULL },
        { "https://example.com/ ", NULL, 0, NULL },
        { "https://example.com/\n", NULL, 0, NULL },
        { "https://exa\tmple.com/", NULL, 0, NULL },
        { "https://example.com/#f", NULL, 0, NULL },
        { "https://user@example.com/", NULL, 0, NULL },
        { "https://user:pw@example.com/", NULL, 0, NULL },
        { "https://@example.com/", NULL, 0, NULL },
        { "https://example.com@127.0.0.1/", NULL, 0, NULL },
        { "https://example.com\\@127.0.0.1/", NULL, 0, NULL },
        { "https:\\\\example.com", NULL, 0, NULL },
        { "https://example.com./", NULL, 0, NULL },
        { "https://.example.com/", NULL, 0, NULL },
        { "https://exa..mple/", NULL, 0, NULL },
        { "https://-a.example/", NULL, 0, NULL },
        { "https://a-.example/", NULL, 0, NULL },
        { "https://a_b.example/", NULL, 0, NULL },
        { "https://ex%61mple.com/", NULL, 0, NULL },
        { "https://b\xc3\xbc" "cher.example/", NULL, 0, NULL },
        { "https://example.com/\xc3\xbc", NULL, 0, NULL },
        { "https://example.com/%", NULL, 0, NULL },
        { "https://example.com/%4", NULL, 0, NULL },
        { "https://example.com/%4g", NULL, 0, NULL },
        { "https://example.com/%g4", NULL, 0, NULL },
        { "https://example.com:/", NULL, 0, NULL },
        { "https://example.com:0/", NULL, 0, NULL },
        { "https://example.com:65536/", NULL, 0, NULL },
        { "https://example.com:080/", NULL, 0, NULL },
        { "https://example.com:8a/", NULL, 0, NULL },
        { "https://example.com:-1/", NULL, 0, NULL },
        { "https://example.com:99999999999999999999/", NULL, 0, NULL },
        { "https://2130706433/", NULL, 0, NULL },
        { "https://0x7f000001/", NULL, 0, NULL },
        { "https://0X7F.1/", NULL, 0, NULL },
        { "https://0x/", NULL, 0, NULL },
        { "https://0177.0.0.1/", NULL, 0, NULL },
        { "https://127.1/", NULL, 0, NULL },
        { "https://127.0.0.01/", NULL, 0, NULL },
        { "https://127.0.0.0x1/", NULL, 0, NULL },
        { "https://0/", NULL, 0, NULL },
        { "https://256.0.0.1/", NULL, 0, NULL },
        { "https://1.2.3.4.5/", NULL, 0, NULL },
        { "https://127.0.0.1./", NULL, 0, NULL },
        { "https://[::1/", NULL, 0, NULL },
        { "https://[::1]x/", NULL, 0, NULL },
        { "https://[127.0.0.1]/", NULL, 0, NULL },
        { "https://[fe80::1%25eth0]/", NULL, 0, NULL },
        { "https://[fe80::1%1]/", NULL, 0, NULL },
        { "https://[]/", NULL, 0, NULL },
        { "https://::1/", NULL, 0, NULL }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        rc = ly_url_parse(ly_str_c(cases[i].text), &u);

        if (cases[i].host == NULL) {
            ok(rc == LY_PARSE, "refused: case %zu", i);
            continue;
        }

        if (ok(rc == LY_OK, "%s", cases[i].text)) {
            is_str(u.host, ly_str_c(cases[i].host), "its host");
            is_int(u.port, cases[i].port, "its port");
            is_str(u.target, ly_str_c(cases[i].target), "its target");
        }
    }

    if (ly_url_parse(ly_str("http://10.0.0.1"), &u) != LY_OK) {
        abort();
    }

    ok(u.is_addr && u.addr.family == 4 && !u.https, "an address literal");

    memset(big, 'a', sizeof(big));
    memcpy(big, "https://example.com/", 20);
    is_int(ly_url_parse(ly_str_of(big, LY_URL_MAX), &u), LY_OK,
           "2,048 bytes");
    is_int(ly_url_parse(ly_str_of(big, LY_URL_MAX + 1), &u), LY_LIMIT,
           "2,049");
    big[19] = 'a';
    is_int(ly_url_parse(ly_str_of(big, 8 + 80), &u), LY_PARSE,
           "a label too long");

    for (i = 8; i < 300; i++) {
        big[i] = i % 50 == 0 ? '.' : 'a';
    }

    is_int(ly_url_parse(ly_str_of(big, 8 + 253), &u), LY_OK,
           "the longest host");
    is_int(ly_url_parse(ly_str_of(big, 8 + 254), &u), LY_PARSE,
           "one too long");
}


static void
hosts(void)
{
    size_t         i, len;
    ly_err_t       rc;
    unsigned char  out[LY_HOST_MAX];

    static const struct {
        const char  *in;
        const char  *out;
    } cases[] = {
        { "Shop.Example", "shop.example" },
        { "a", "a" },
        { "", NULL },
        { "shop.example.", NULL },
        { "shop.example:80", NULL },
        { "127.0.0.1", NULL },
        { "1", NULL },
        { "0x1", NULL },
        { "a.0x1f", NULL },
        { "a b", NULL },
        { "*.example", NULL },
        { "[::1]", NULL }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        rc = ly_host_normalise(ly_str_c(cases[i].in), out, &len);

        if (cases[i].out == NULL) {
            ok(rc == LY_PARSE, "no host: '%s'", cases[i].in);

        } else {
            is_str(rc == LY_OK ? ly_str_of(out, len) : ly_str(""),
                   ly_str_c(cases[i].out), cases[i].in);
        }
    }
}


static void
addresses(void)
{
    size_t         i;
    ly_err_t       rc;
    ly_addr_t      a;
    unsigned char  text[LY_ADDR_TEXT];

    static const struct {
        const char  *in;
        const char  *out;           /* NULL: refused */
        const char  *why;           /* NULL: public */
    } cases[] = {
        { "8.8.8.8", "8.8.8.8", NULL },
        { "1.1.1.1", "1.1.1.1", NULL },
        { "0.0.0.0", "0.0.0.0", "unspecified" },
        { "0.255.255.255", "0.255.255.255", "unspecified" },
        { "1.0.0.0", "1.0.0.0", NULL },
        { "9.255.255.255", "9.255.255.255", NULL },
        { "10.0.0.0", "10.0.0.0", "private" },
        { "10.255.255.255", "10.255.255.255", "private" },
        { "11.0.0.0", "11.0.0.0", NULL },
        { "100.63.255.255", "100.63.255.255", NULL },
        { "100.64.0.0", "100.64.0.0", "shared" },
        { "100.127.255.255", "100.127.255.255", "shared" },
        { "100.128.0.0", "100.128.0.0", NULL },
        { "127.0.0.1", "127.0.0.1", "loopback" },
        { "127.255.255.255", "127.255.255.255", "loopback" },
        { "128.0.0.0", "128.0.0.0", NULL },
        { "169.253.255.255", "169.253.255.255", NULL },
        { "169.254.169.254", "169.254.169.254", "link_local" },
        { "169.255.0.0", "169.255.0.0", NULL },
        { "172.15.255.255", "172.15.255.255", NULL },
        { "172.16.0.0", "172.16.0.0", "private" },
        { "172.31.255.255", "172.31.255.255", "private" },
        { "172.32.0.0", "172.32.0.0", NULL },
        { "192.0.0.170", "192.0.0.170", "reserved" },
        { "192.0.1.0", "192.0.1.0", NULL },
        { "192.0.2.1", "192.0.2.1", "documentation" },
        { "192.88.99.1", "192.88.99.1", "tunnel" },
        { "192.167.255.255", "192.167.255.255", NULL },
        { "192.168.0.1", "192.168.0.1", "private" },
        { "192.169.0.0", "192.169.0.0", NULL },
        { "198.17.255.255", "198.17.255.255", NULL },
        { "198.18.0.0", "198.18.0.0", "benchmark" },
        { "198.19.255.255", "198.19.255.255", "benchmark" },
        { "198.20.0.0", "198.20.0.0", NULL },
        { "198.51.100.7", "198.51.100.7", "documentation" },
        { "203.0.113.7", "203.0.113.7", "documentation" },
        { "223.255.255.255", "223.255.255.255", NULL },
        { "224.0.0.1", "224.0.0.1", "multicast" },
        { "239.255.255.255", "239.255.255.255", "multicast" },
        { "240.0.0.1", "240.0.0.1", "reserved" },
        { "255.255.255.255", "255.255.255.255", "reserved" },

        { "::", "::", "unspecified" },
        { "::1", "::1", "loopback" },
        { "::2", "::2", "reserved" },
        { "::ffff:127.0.0.1", "::ffff:7f00:1", "loopback" },
        { "::ffff:8.8.8.8", "::ffff:808:808", NULL },
        { "::ffff:a00:1", "::ffff:a00:1", "private" },
        { "::127.0.0.1", "::7f00:1", "reserved" },
        { "64:ff9b::7f00:1", "64:ff9b::7f00:1", "tunnel" },
        { "64:ff9b:1::1", "64:ff9b:1::1", "tunnel" },
        { "100::1", "100::1", "reserved" },
        { "1fff:ffff::", "1fff:ffff::", "reserved" },
        { "2000::1", "2000::1", NULL },
        { "2001::1", "2001::1", "tunnel" },
        { "2001:2::1", "2001:2::1", "benchmark" },
        { "2001:2:1::1", "2001:2:1::1", "reserved" },
        { "2001:1ff:ffff::", "2001:1ff:ffff::", "reserved" },
        { "2001:200::1", "2001:200::1", NULL },
        { "2001:db8::1", "2001:db8::1", "documentation" },
        { "2001:4860:4860::8888", "2001:4860:4860::8888", NULL },
        { "2002:7f00:1::", "2002:7f00:1::", "tunnel" },
        { "2606:4700:4700::1111", "2606:4700:4700::1111", NULL },
        { "3ffe::1", "3ffe::1", NULL },
        { "3fff::1", "3fff::1", "documentation" },
        { "3fff:fff:ffff::", "3fff:fff:ffff::", "documentation" },
        { "3fff:1000::", "3fff:1000::", NULL },
        { "4000::1", "4000::1", "reserved" },
        { "5f00::1", "5f00::1", "reserved" },
        { "fc00::1", "fc00::1", "private" },
        { "fd00:ec2::254", "fd00:ec2::254", "private" },
        { "fe80::1", "fe80::1", "link_local" },
        { "febf::1", "febf::1", "link_local" },
        { "fec0::1", "fec0::1", "reserved" },
        { "ff02::1", "ff02::1", "multicast" },
        { "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", "reserved" },
        { "1:0:0:4:0:0:0:8", "1:0:0:4::8", "reserved" },
        { "1:0:0:4:5:0:0:8", "1::4:5:0:0:8", "reserved" },
        { "1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8", "reserved" },
        { "::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8", "reserved" },
        { "2001:DB8:0:0:0:0:0:ABCD", "2001:db8::abcd", "documentation" },
        { "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304", "reserved" },

        { "", NULL, NULL },
        { "1.2.3", NULL, NULL },
        { "1.2.3.4.5", NULL, NULL },
        { "1.2.3.256", NULL, NULL },
        { "1.2.3.04", NULL, NULL },
        { "1.2.3.0004", NULL, NULL },
        { "1.2.3.", NULL, NULL },
        { ".1.2.3", NULL, NULL },
        { "1.2.3.4 ", NULL, NULL },
        { "1.2.3.-4", NULL, NULL },
        { "0x7f.0.0.1", NULL, NULL },
        { ":", NULL, NULL },
        { ":::", NULL, NULL },
        { "1::2::3", NULL, NULL },
        { "1:2:3:4:5:6:7", NULL, NULL },
        { "1:2:3:4:5:6:7:8:9", NULL, NULL },
        { "1:2:3:4:5:6:7::8", NULL, NULL },
        { "::1:2:3:4:5:6:7:8", NULL, NULL },
        { "1:2:3:4:5:6:7:", NULL, NULL },
        { ":1:2:3:4:5:6:7", NULL, NULL },
        { "12345::", NULL, NULL },
        { "g::", NULL, NULL },
        { "1:2:3:4:5:6:7:1.2.3.4", NULL, NULL },
        { "1.2.3.4::", NULL, NULL },
        { "::1.2.3.4:5", NULL, NULL },
        { "::1.2.3", NULL, NULL },
        { "fe80::1%eth0", NULL, NULL },
        { "[::1]", NULL, NULL },
        { "1111:2222:3333:4444:5555:6666:7777:88888888888888888", NULL, NULL }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        rc = ly_addr_parse(ly_str_c(cases[i].in), &a);

        if (cases[i].out == NULL) {
            ok(rc == LY_PARSE, "no address: '%s'", cases[i].in);
            continue;
        }

        if (ok(rc == LY_OK, "%s", cases[i].in)) {
            is_str(ly_str_of(text, ly_addr_print(&a, text)),
                   ly_str_c(cases[i].out), "printed");
            is_str(ly_str_c(ly_addr_denied(&a)), ly_str_c(cases[i].why),
                   "public or not");
        }
    }

    is_int(ly_addr_bytes(4, "\x7f\0\0\1", &a), LY_OK, "from bytes");
    is_str(ly_str_c(ly_addr_denied(&a)), ly_str("loopback"), "loopback");
    is_int(ly_addr_bytes(6, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", &a), LY_OK,
           "of IPv6");
    is_str(ly_str_c(ly_addr_denied(&a)), ly_str("loopback"), "loopback");
    is_int(ly_addr_bytes(5, "", &a), LY_PARSE, "no family");
}


static void
networks(void)
{
    size_t     i;
    ly_addr_t  a;
    ly_cidr_t  c, list[2];

    static const struct {
        const char  *text;
        unsigned     bits;
        uint16_t     port;
        bool         good;
    } cases[] = {
        { "127.0.0.1", 32, 0, true },
        { "127.0.0.1/32", 32, 0, true },
        { "127.0.0.1/32:8443", 32, 8443, true },
        { "127.0.0.1:8443", 32, 8443, true },
        { "10.1.0.0/16", 16, 0, true },
        { "10.0.0.0/7", 7, 0, true },
        { "0.0.0.0/0", 0, 0, true },
        { "::1", 128, 0, true },
        { "fd00::/8", 8, 0, true },
        { "[::1]", 128, 0, true },
        { "[::1]:443", 128, 443, true },
        { "[::1]/128:8443", 128, 8443, true },
        { "::/0", 0, 0, true },
        { "::ffff:10.0.0.0/104", 104, 0, true },
        { "", 0, 0, false },
        { "10.0.0.1/8", 0, 0, false },
        { "10.1.0.0/15", 0, 0, false },
        { "10.0.0.0/33", 0, 0, false },
        { "10.0.0.0/", 0, 0, false },
        { "10.0.0.0/08", 0, 0, false },
        { "10.0.0.0/8:", 0, 0, false },
        { "10.0.0.0/8:0", 0, 0, false },
        { "10.0.0.0/8:65536", 0, 0, false },
        { "10.0.0.0/8x", 0, 0, false },
        { "10.0.0.0 /8", 0, 0, false },
        { "10.0.0", 0, 0, false },
        { "fd00::/129", 0, 0, false },
        { "[fd00::", 0, 0, false },
        { "[10.0.0.0]/8", 0, 0, false },
        { "[::1]x", 0, 0, false },
        { "[::1]8443", 0, 0, false }
    };

    for (i = 0; i < ly_countof(cases); i++) {
        if (!cases[i].good) {
            ok(ly_cidr_parse(ly_str_c(cases[i].text), &c) == LY_PARSE,
               "no network: '%s'", cases[i].text);
            continue;
        }

        ok(ly_cidr_parse(ly_str_c(cases[i].text), &c) == LY_OK
           && c.bits == cases[i].bits && c.port == cases[i].port,
           "%s", cases[i].text);
    }

    if (ly_cidr_parse(ly_str("127.0.0.0/9:8443"), &list[0]) != LY_OK
        || ly_cidr_parse(ly_str("[fd00::]/8"), &list[1]) != LY_OK
        || ly_addr_parse(ly_str("127.127.0.1"), &a) != LY_OK)
    {
        abort();
    }

    ok(ly_cidr_match(&list[0], &a, 8443), "in the network");
    ok(!ly_cidr_match(&list[0], &a, 443), "at another port");
    ok(!ly_cidr_match(&list[1], &a, 8443), "of another family");
    ok(ly_addr_allowed(&a, 8443, list, 2), "allowed by the list");
    ok(!ly_addr_allowed(&a, 8443, list, 0), "and not without it");

    (void) !ly_addr_parse(ly_str("127.128.0.1"), &a);
    ok(!ly_addr_allowed(&a, 8443, list, 2), "beside the network");
    (void) !ly_addr_parse(ly_str("::ffff:127.0.0.1"), &a);
    ok(ly_addr_allowed(&a, 8443, list, 2), "mapped is the same address");
    (void) !ly_addr_parse(ly_str("fdff::1"), &a);
    ok(ly_addr_allowed(&a, 1, list, 2), "any port");
    (void) !ly_addr_parse(ly_str("8.8.8.8"), &a);
    ok(ly_addr_allowed(&a, 443, NULL, 0), "public needs no list");
}


/* what we take, browsers read in the same way: the WHATWG's own cases */
static void
whatwg(void)
{
    size_t                 taken, n, len, wrong;
    ly_str_t               host, href;
    ly_url_t               u;
    ly_arena_t            *a;
    unsigned char          lower[LY_HOST_MAX];
    const ly_json_node_t  *root, *row, *failure;

    a = ly_arena_create(16 << 20, NULL);
    root = vec_public(a, "url_parsing/urltestdata.json");

    if (root == NULL) {
        tap_skip("url_parsing is not in LOYALTY_DATA");
        ly_arena_destroy(a);
        return;
    }

    taken = 0;
    n = 0;
    wrong = 0;

    for (row = root->first; row != NULL; row = row->next) {
        href = vec_text(row, "input");
        n++;

        if (row->type != LY_JSON_OBJECT || ly_url_parse(href, &u) != LY_OK) {
            continue;
        }

        taken++;
        host = vec_text(row, "hostname");
        failure = ly_json_member(row, ly_str("failure"));

        if (host.len > 1 && host.data[0] == '[') {
            host = ly_str_of(host.data + 1, host.len - 2);
            len = ly_addr_print(&u.addr, lower);

        } else if (u.is_addr) {
            len = ly_addr_print(&u.addr, lower);

        } else if (ly_host_normalise(u.host, lower, &len) != LY_OK) {
            len = 0;
        }

        if (failure != NULL || !ly_str_eq(host, ly_str_of(lower, len))) {
            wrong++;
            tap_show("taken", href);
        }
    }

    ok(n > 500 && taken > 20 && wrong == 0,
       "%zu of %zu cases taken, each with the host that browsers see", taken,
       n);

    ly_arena_destroy(a);
}


int
main(void)
{
    urls();
    hosts();
    addresses();
    networks();
    whatwg();

    return tap_done();
}
