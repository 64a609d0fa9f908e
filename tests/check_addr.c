#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "suite.h"

static struct addr parsed(const char *text)
{
    struct addr a;
    const char *why = "";
    ck_assert_msg(addr_parse(&a, text, &why) == 0, "%s: %s", text, why);
    return a;
}

static const char *printed(const struct addr *a)
{
    static char text[ADDR_TEXT_MAX];
    return addr_print(a, text);
}

static const struct {
    const char *text;
    const char *canonical;
} good[] = {
    { "10.0.0.1:80", "10.0.0.1:80" },
    { "0.0.0.0:65535", "0.0.0.0:65535" },
    { "127.0.0.1:1", "127.0.0.1:1" },
    { "1.2.3.4:00080", "1.2.3.4:80" },
    { "*:80", "*:80" },
    { "[::]:80", "[::]:80" },
    { "[2001:db8::1]:443", "[2001:db8::1]:443" },
    { "[2001:DB8:0:0::1]:443", "[2001:db8::1]:443" },
    { "[::ffff:10.1.2.3]:80", "10.1.2.3:80" },
    { "[fe80::1%lo]:80", "[fe80::1%lo]:80" },
    { "unix:/run/app.sock", "unix:/run/app.sock" },
    { "unix://run/.//./app.sock/.", "unix:/run/app.sock/." },
    { "unix:/run/..//.a/./b.", "unix:/run/../.a/b." },
    { "unix:@abstract", "unix:@abstract" },
    { "unix:/a#b;c=\"d\"", "unix:/a#b;c=\"d\"" },
    { "unix:/gr\xc3\xbc\xc3\x9f", "unix:/gr\xc3\xbc\xc3\x9f" },
    { "unix:/a\\x20b\\x2cc\\x5cd\\x41", "unix:/a\\x20b\\x2cc\\x5cdA" },
    { "unix:/\\xff\\xC3", "unix:/\\xff\\xc3" },
    { "unix:@\\x00a\\x0a", "unix:@\\x00a\\x0a" },
};

START_TEST(addresses_parse_and_print)
{
    struct addr a = parsed(good[_i].text);
    ck_assert_str_eq(printed(&a), good[_i].canonical);
    ck_assert_uint_le(strlen(printed(&a)), strlen(good[_i].text)); /* see print_path() */
}
END_TEST

START_TEST(a_printed_address_parses_to_the_same_address)
{
    struct addr a = parsed(good[_i].text);
    struct addr b = parsed(printed(&a));
    ck_assert(addr_equal(&a, &b));
    ck_assert_int_eq(addr_compare(&a, &b), 0);
    ck_assert_uint_eq(addr_hash(&a), addr_hash(&b));
    ck_assert_uint_eq(a.len, b.len);
}
END_TEST

static const struct {
    const char *text;
    const char *why;
} bad[] = {
    { "", "empty, expected ADDRESS:PORT or unix:/PATH" },
    { "10.0.0.1", "port missing, expected ADDRESS:PORT" },
    { "10.0.0.1:", "port missing, expected ADDRESS:PORT" },
    { "10.0.0.1:0", "bad port, expected a number from 1 to 65535" },
    { "10.0.0.1:65536", "bad port, expected a number from 1 to 65535" },
    { "10.0.0.1:4294967376", "bad port, expected a number from 1 to 65535" },
    { "10.0.0.1:http", "bad port, expected a number from 1 to 65535" },
    { "10.0.0.1:-1", "bad port, expected a number from 1 to 65535" },
    { "10.0.0.1: 80", "bad port, expected a number from 1 to 65535" },
    { "*:8000-8099", "bad port, expected a number from 1 to 65535" },
    { "80", "port missing, expected ADDRESS:PORT" },
    { ":80", "address missing, expected ADDRESS:PORT, or *:PORT for all addresses" },
    { "10.0.0:80", "not an IPv4 address, expected four numbers from 0 to 255" },
    { "10.0.0.256:80", "not an IPv4 address, expected four numbers from 0 to 255" },
    { "0x7f000001:80", "not an IPv4 address, expected four numbers from 0 to 255" },
    { "10.0.0.0x1:80", "not an IPv4 address, expected four numbers from 0 to 255" },
    { "localhost:80", "a name, expected a numeric address" },
    { "srv:_redis._tcp.example", "a name, expected a numeric address" },
    { "::1", "no brackets, expected [IPv6]:PORT" },
    { "::1:80", "no brackets, expected [IPv6]:PORT" },
    { "2001:db8::1:80", "no brackets, expected [IPv6]:PORT" },
    { "[::1", "no closing bracket, expected [IPv6]:PORT" },
    { "[::1]", "port missing, expected [IPv6]:PORT" },
    { "[::1]80", "port missing, expected [IPv6]:PORT" },
    { "[::1]:", "port missing, expected ADDRESS:PORT" },
    { "[::1]:0", "bad port, expected a number from 1 to 65535" },
    { "[10.0.0.1]:80", "not an IPv6 address, expected one as in [2001:db8::1]:80" },
    { "[]:80", "not an IPv6 address, expected one as in [2001:db8::1]:80" },
    { "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd]:80",
      "not an IPv6 address, expected one as in [2001:db8::1]:80" },
    { "[fe80::1]:80", "scope missing, expected [fe80::1%eth0]:80" },
    { "[fe80::1%]:80", "scope missing, expected [fe80::1%eth0]:80" },
    { "[fe80::1%nosuchif]:80", "no such interface, expected one of this machine" },
    { "[fe80::1%0]:80", "no such interface, expected one of this machine" },
    { "[fe80::1%averyveryverylongname]:80", "no such interface, expected one of this machine" },
    { "[::1%lo]:80", "a scope, expected one of fe80:: addresses only" },
    { "/run/app.sock", "a path alone, expected unix:/PATH" },
    { "unix:", "not an absolute path, expected unix:/PATH or unix:@NAME" },
    { "unix:run/app.sock", "not an absolute path, expected unix:/PATH or unix:@NAME" },
    { "unix:@", "name missing, expected unix:/PATH or unix:@NAME" },
    { "unix:/a\\", "bad backslash, expected \\xNN, two hexadecimal digits" },
    { "unix:/a\\n", "bad backslash, expected \\xNN, two hexadecimal digits" },
    { "unix:/a\\x4", "bad backslash, expected \\xNN, two hexadecimal digits" },
    { "unix:/a\\x00", "\\x00, expected a path without it" },
};

START_TEST(a_bad_address_gets_a_reason)
{
    struct addr a;
    const char *why = "";
    ck_assert_int_eq(addr_parse(&a, bad[_i].text, &why), -EINVAL);
    ck_assert_str_eq(why, bad[_i].why);
}
END_TEST

START_TEST(a_unix_name_may_have_107_bytes)
{
    char text[160];
    struct addr a;
    const char *why = "";
    for (int abstract = 0; abstract < 2; abstract++) {
        const char *prefix = abstract ? "unix:@" : "unix:/";
        size_t begin = abstract ? 6 : 5; /* the slash is one of the 107 bytes */
        memset(text, 'x', sizeof text);
        memcpy(text, prefix, 6);
        text[begin + 107] = '\0';
        a = parsed(text);
        ck_assert_str_eq(printed(&a), text);
        ck_assert_uint_eq(a.len, offsetof(struct sockaddr_un, sun_path) + 108);
        text[begin + 107] = 'x';
        text[begin + 108] = '\0';
        ck_assert_int_eq(addr_parse(&a, text, &why), -EINVAL);
        ck_assert_ptr_nonnull(strstr(why, "107 bytes"));
    }
}
END_TEST

START_TEST(the_longest_unix_name_fits_the_buffer)
{
    struct addr a = { .un = { .sun_family = AF_UNIX }, .len = sizeof a.un };
    memset(a.un.sun_path, 0, sizeof a.un.sun_path);
    ck_assert_uint_lt(strlen(printed(&a)), ADDR_TEXT_MAX);
    ck_assert_uint_eq(strlen(printed(&a)), 6 + 107 * 4);
    memset(a.un.sun_path, '/',
           sizeof a.un.sun_path); /* without NUL, as getsockname(2) may return it */
    a.len = sizeof a.un + 1;
    ck_assert_uint_eq(strlen(printed(&a)), 5 + 108);
}
END_TEST

START_TEST(an_unbound_unix_socket_prints)
{
    struct addr a = { .un = { .sun_family = AF_UNIX }, .len = sizeof(sa_family_t) };
    ck_assert_str_eq(printed(&a), "unix:");
}
END_TEST

START_TEST(different_addresses_are_not_equal)
{
    static const char *const all[] = {
        "10.0.0.1:80", "10.0.0.1:81", "10.0.0.2:80",    "[::1]:80",
        "[::1]:81",    "*:80",        "[::]:80",        "0.0.0.0:80",
        "unix:/a",     "unix:/ab",    "unix:@a",        "unix:@a\\x00",
        "unix:@\\x00", "unix:/b",     "[fe80::1%1]:80", "[fe80::1%2]:80",
    };
    const size_t n = sizeof all / sizeof *all;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            struct addr a = parsed(all[i]);
            struct addr b = parsed(all[j]);
            ck_assert_msg(addr_equal(&a, &b) == (i == j), "%s %s", all[i], all[j]);
            ck_assert_int_eq(addr_hash(&a) == addr_hash(&b), i == j);
            ck_assert_int_eq(addr_compare(&a, &b) < 0, addr_compare(&b, &a) > 0);
        }
}
END_TEST

START_TEST(a_hash_is_the_same_on_every_machine)
{
    struct addr a = parsed("10.0.0.1:80");
    struct addr b = parsed("[2001:db8::1]:443");
    ck_assert_uint_eq(addr_hash(&a), 0x47af84dfcda0a765);
    ck_assert_uint_eq(addr_hash(&b), 0x24d70bb0cc312989);
}
END_TEST

START_TEST(unix_wildcard_and_loopback_are_recognised)
{
    static const struct {
        const char *text;
        bool is_unix, wildcard, loopback;
        unsigned port;
    } kinds[] = {
        { "10.0.0.1:80", false, false, false, 80 },
        { "127.9.9.9:80", false, false, true, 80 },
        { "128.0.0.1:80", false, false, false, 80 },
        { "0.0.0.0:81", false, true, false, 81 },
        { "*:82", false, true, false, 82 },
        { "[::]:83", false, true, false, 83 },
        { "[::1]:84", false, false, true, 84 },
        { "[::ffff:127.0.0.1]:84", false, false, true, 84 },
        { "unix:/a", true, false, false, 0 },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct addr a = parsed(kinds[i].text);
        ck_assert_int_eq(addr_is_unix(&a), kinds[i].is_unix);
        ck_assert_int_eq(addr_is_wildcard(&a), kinds[i].wildcard);
        ck_assert_int_eq(addr_is_loopback(&a), kinds[i].loopback);
        ck_assert_uint_eq(addr_port(&a), kinds[i].port);
    }
}
END_TEST

START_TEST(a_wildcard_covers_addresses_of_its_families)
{
    static const struct {
        const char *at, *a;
        bool covers;
    } pairs[] = {
        { "10.0.0.1:80", "10.0.0.1:80", true },
        { "10.0.0.1:80", "10.0.0.2:80", false },
        { "0.0.0.0:80", "10.0.0.1:80", true },
        { "0.0.0.0:80", "10.0.0.1:81", false },
        { "0.0.0.0:80", "[2001:db8::1]:80", false },
        { "0.0.0.0:80", "*:80", false },
        { "0.0.0.0:80", "[::]:80", false },
        { "[::]:80", "[2001:db8::1]:80", true },
        { "[::]:80", "10.0.0.1:80", false },
        { "[::]:80", "*:80", false },
        { "*:80", "[::]:80", true },
        { "*:80", "0.0.0.0:80", true },
        { "*:80", "10.0.0.1:80", true },
        { "*:80", "[2001:db8::1]:80", true },
        { "*:80", "*:81", false },
        { "*:80", "unix:/a", false },
        { "unix:/a", "unix:/a", true },
        { "10.0.0.1:80", "*:80", false },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct addr at = parsed(pairs[i].at);
        struct addr a = parsed(pairs[i].a);
        ck_assert_msg(addr_covers(&at, &a) == pairs[i].covers, "%s %s", pairs[i].at, pairs[i].a);
        ck_assert_msg(addr_overlap(&at, &a) == (pairs[i].covers || addr_covers(&a, &at)), "%s %s",
                      pairs[i].at, pairs[i].a);
    }
}
END_TEST

START_TEST(a_connection_that_reaches_a_listener_is_recognised)
{
    static const struct {
        const char *to, *at;
        bool reaches;
    } pairs[] = {
        { "10.0.0.1:80", "10.0.0.1:80", true },
        { "10.0.0.1:80", "10.0.0.1:81", false },
        { "127.0.0.1:80", "0.0.0.0:80", true },
        { "127.0.0.1:80", "*:80", true },
        { "127.0.0.1:80", "[::]:80", false },
        { "127.0.0.1:81", "*:80", false },
        { "[::1]:80", "*:80", true },
        { "[::1]:80", "[::]:80", true },
        { "[::1]:80", "0.0.0.0:80", false },
        { "10.0.0.1:80", "*:80", false },
        { "127.0.0.1:80", "127.0.0.2:80", false },
        { "unix:/a", "unix:/a", true },
        { "unix:/a", "unix:@/a", false },
        { "unix:/a", "*:80", false },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct addr to = parsed(pairs[i].to);
        struct addr at = parsed(pairs[i].at);
        ck_assert_msg(addr_reaches(&to, &at, NULL) == pairs[i].reaches, "%s %s", pairs[i].to,
                      pairs[i].at);
    }
}
END_TEST

/* An address of this machine with the port of `at`; "" if it has no network. */
static const char *own_address(int family, char buf[ADDR_TEXT_MAX])
{
    struct ifaddrs *all = NULL;
    struct addr a;
    buf[0] = '\0';
    ck_assert_int_eq(getifaddrs(&all), 0);
    for (const struct ifaddrs *i = all; i != NULL && buf[0] == '\0'; i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != family)
            continue;
        memset(&a, 0, sizeof a);
        a.len = family == AF_INET ? sizeof a.in : sizeof a.in6;
        memcpy(&a.sa, i->ifa_addr, a.len);
        addr_set_port(&a, 80);
        if (!addr_is_loopback(&a))
            addr_print(&a, buf);
    }
    freeifaddrs(all);
    return buf;
}

START_TEST(an_address_of_this_machine_reaches_a_wildcard)
{
    static const int families[] = { AF_INET, AF_INET6 };
    const struct addr all = parsed("*:80");
    const struct addr other = parsed("*:81");
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < 2; i++) {
        if (own_address(families[i], text)[0] == '\0')
            continue;
        const struct addr own = parsed(text);
        ck_assert_msg(addr_reaches(&own, &all, NULL), "%s", text);
        ck_assert_msg(!addr_reaches(&own, &other, NULL), "%s", text);
    }
}
END_TEST

static const char *peer(const char *text)
{
    static char out[ADDR_TEXT_MAX];
    struct addr a = parsed(text);
    struct addr_peer p;
    addr_peer_set(&p, &a.sa, a.len);
    return addr_peer_print(&p, out);
}

START_TEST(a_peer_prints_as_its_address)
{
    ck_assert_str_eq(peer("10.0.0.1:80"), "10.0.0.1:80");
    ck_assert_str_eq(peer("[2001:db8::1]:80"), "[2001:db8::1]:80");
    ck_assert_str_eq(peer("unix:/run/x"), "unix:");
    ck_assert_uint_eq(sizeof(struct addr_peer), 28);
}
END_TEST

START_TEST(a_peer_of_a_dual_socket_prints_as_ipv4)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(80) };
    struct addr_peer p;
    char out[ADDR_TEXT_MAX];
    in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
    in6.sin6_addr.s6_addr[12] = 10;
    in6.sin6_addr.s6_addr[15] = 7;
    addr_peer_set(&p, (struct sockaddr *)&in6, sizeof in6);
    ck_assert_int_eq(p.sa.sa_family, AF_INET);
    ck_assert_str_eq(addr_peer_print(&p, out), "10.0.0.7:80");
}
END_TEST

START_TEST(a_peer_of_any_family_and_length_prints)
{
    struct sockaddr sa = { .sa_family = AF_UNSPEC };
    struct addr_peer p;
    char out[ADDR_TEXT_MAX];
    addr_peer_set(&p, &sa, 0);
    ck_assert_str_eq(addr_peer_print(&p, out), "-");
    addr_peer_set(&p, &sa, sizeof sa);
    ck_assert_str_eq(addr_peer_print(&p, out), "-");
    sa.sa_family = AF_INET6; /* len is too short for it */
    addr_peer_set(&p, &sa, sizeof sa);
    ck_assert_str_eq(addr_peer_print(&p, out), "[::]:0");
}
END_TEST

START_TEST(random_texts_do_not_crash_the_parser)
{
    static const char letters[] = "0123456789.:[]*%@/\\xunix:af \xff";
    srand(4711);
    for (int round = 0; round < 100000; round++) {
        char text[32];
        size_t n = (size_t)rand() % (sizeof text - 1);
        struct addr a;
        const char *why = NULL;
        for (size_t i = 0; i < n; i++)
            text[i] = letters[(size_t)rand() % (sizeof letters - 1)];
        text[n] = '\0';
        if (round % 4 == 0)
            memcpy(text, "unix:/", n < 6 ? n : 6);
        if (addr_parse(&a, text, &why) < 0) {
            ck_assert_ptr_nonnull(why);
            continue;
        }
        struct addr b = parsed(printed(&a));
        ck_assert(addr_equal(&a, &b));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("addr");
    TCase *t = tcase_create("addr");
    const int goods = sizeof good / sizeof *good;
    const int bads = sizeof bad / sizeof *bad;
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, addresses_parse_and_print, 0, goods);
    tcase_add_loop_test(t, a_printed_address_parses_to_the_same_address, 0, goods);
    tcase_add_loop_test(t, a_bad_address_gets_a_reason, 0, bads);
    tcase_add_test(t, a_unix_name_may_have_107_bytes);
    tcase_add_test(t, the_longest_unix_name_fits_the_buffer);
    tcase_add_test(t, an_unbound_unix_socket_prints);
    tcase_add_test(t, different_addresses_are_not_equal);
    tcase_add_test(t, a_hash_is_the_same_on_every_machine);
    tcase_add_test(t, unix_wildcard_and_loopback_are_recognised);
    tcase_add_test(t, a_wildcard_covers_addresses_of_its_families);
    tcase_add_test(t, a_connection_that_reaches_a_listener_is_recognised);
    tcase_add_test(t, an_address_of_this_machine_reaches_a_wildcard);
    tcase_add_test(t, a_peer_prints_as_its_address);
    tcase_add_test(t, a_peer_of_a_dual_socket_prints_as_ipv4);
    tcase_add_test(t, a_peer_of_any_family_and_length_prints);
    tcase_add_test(t, random_texts_do_not_crash_the_parser);
    suite_add_tcase(s, t);
    return suite_main(s);
}
