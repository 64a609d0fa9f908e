#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/network.h"
#include "suite.h"

static struct network parsed(const char *text)
{
    struct network n;
    char why[NETWORK_WHY_MAX] = "";
    ck_assert_msg(network_parse(&n, text, why) == 0, "%s: %s", text, why);
    return n;
}

static const char *printed(const struct network *n)
{
    static char text[NETWORK_TEXT_MAX];
    return network_print(n, text);
}

static const struct {
    const char *text;
    const char *canonical;
} good[] = {
    { "all", "all" },
    { "unix:", "unix:" },
    { "10.0.0.0/8", "10.0.0.0/8" },
    { "10.1.2.3", "10.1.2.3" },
    { "10.1.2.3/32", "10.1.2.3" },
    { "0.0.0.0/0", "0.0.0.0/0" },
    { "128.0.0.0/1", "128.0.0.0/1" },
    { "192.168.254.0/23", "192.168.254.0/23" },
    { "::/0", "::/0" },
    { "2001:db8::/32", "2001:db8::/32" },
    { "2001:DB8:0:0::/32", "2001:db8::/32" },
    { "2001:db8::1/128", "2001:db8::1" },
    { "8000::/1", "8000::/1" },
    { "fe80::/10", "fe80::/10" },
    { "::ffff:10.0.0.0/104", "10.0.0.0/8" },
    { "::ffff:0:0/96", "0.0.0.0/0" },
    { "::ffff:10.1.2.3", "10.1.2.3" },
    { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127",
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127" },
};

START_TEST(networks_parse_and_print)
{
    struct network n = parsed(good[_i].text);
    ck_assert_str_eq(printed(&n), good[_i].canonical);
    struct network again = parsed(good[_i].canonical);
    ck_assert(network_equal(&n, &again));
}
END_TEST

static const struct {
    const char *text;
    const char *why;
} bad[] = {
    { "", "address missing, expected ADDRESS/BITS, an address, unix: or all" },
    { "/8", "address missing, expected ADDRESS/BITS, an address, unix: or all" },
    { "*", "a wildcard, expected all" },
    { "All", "a name, expected a numeric network" },
    { "localhost", "a name, expected a numeric network" },
    { "example.com/8", "a name, expected a numeric network" },
    { "10.0.0.0/", "bad prefix, expected a number from 0 to 32" },
    { "10.0.0.0/33", "bad prefix, expected a number from 0 to 32" },
    { "10.0.0.0/-1", "bad prefix, expected a number from 0 to 32" },
    { "10.0.0.0/8 ", "bad prefix, expected a number from 0 to 32" },
    { "10.0.0.0/8/8", "bad prefix, expected a number from 0 to 32" },
    { "10.0.0.0/0008", "bad prefix, expected a number from 0 to 32" },
    { "10.0.0.0/4294967304", "bad prefix, expected a number from 0 to 32" },
    { "10.0.0.0/255.0.0.0", "bad prefix, expected a number from 0 to 32" },
    { "2001:db8::/129", "bad prefix, expected a number from 0 to 128" },
    { "10/8", "not an IPv4 address, expected four numbers from 0 to 255" },
    { "10.0.0.256", "not an IPv4 address, expected four numbers from 0 to 255" },
    { "10.0.0.0.0/8", "not an IPv4 address, expected four numbers from 0 to 255" },
    { "10.0.0.1:80", "a network has no port, expected ADDRESS/BITS" },
    { "2001:db8/32", "not an IPv6 address, expected one as in 2001:db8::/32" },
    { "1:2:3:4:5:6:7:8:9", "not an IPv6 address, expected one as in 2001:db8::/32" },
    { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/8",
      "not an IPv6 address, expected one as in 2001:db8::/32" },
    { "[2001:db8::]/32", "a network has no brackets and no port, expected IPv6/BITS" },
    { "[2001:db8::1]:80", "a network has no brackets and no port, expected IPv6/BITS" },
    { "fe80::1%eth0", "a scope, expected a network without it" },
    { "unix:/run/app.sock",
      "clients of unix sockets have no names, expected unix: for all of them" },
    { "10.0.0.1/8", "bits are set beyond the prefix, expected 10.0.0.0/8" },
    { "10.0.0.1/31", "bits are set beyond the prefix, expected 10.0.0.0/31" },
    { "10.0.0.0/0", "bits are set beyond the prefix, expected 0.0.0.0/0" },
    { "192.168.255.0/23", "bits are set beyond the prefix, expected 192.168.254.0/23" },
    { "2001:db8::1/32", "bits are set beyond the prefix, expected 2001:db8::/32" },
    { "::ffff:10.1.2.3/104", "bits are set beyond the prefix, expected 10.0.0.0/8" },
    { "::ffff:10.0.0.0/90", "bits are set beyond the prefix, expected ::ffc0:0:0/90" },
    { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127",
      "bits are set beyond the prefix, expected ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127" },
};

START_TEST(a_bad_network_gets_a_reason)
{
    struct network n;
    char why[NETWORK_WHY_MAX] = "";
    ck_assert_int_eq(network_parse(&n, bad[_i].text, why), -EINVAL);
    ck_assert_str_eq(why, bad[_i].why);
}
END_TEST

START_TEST(random_texts_do_not_crash_the_parser)
{
    static const char letters[] = "0123456789.:/[]*%abcdefunix ";
    srandom(4711);
    for (int round = 0; round < 100000; round++) {
        char text[64];
        size_t n = (size_t)random() % (sizeof text - 1);
        struct network network;
        char why[NETWORK_WHY_MAX] = "";
        for (size_t i = 0; i < n; i++)
            text[i] = letters[(size_t)random() % (sizeof letters - 1)];
        text[n] = '\0';
        if (network_parse(&network, text, why) < 0) {
            ck_assert_str_ne(why, "");
            continue;
        }
        struct network again = parsed(printed(&network));
        ck_assert(network_equal(&network, &again));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("network");
    TCase *t = tcase_create("network");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, networks_parse_and_print, 0, sizeof good / sizeof *good);
    tcase_add_loop_test(t, a_bad_network_gets_a_reason, 0, sizeof bad / sizeof *bad);
    tcase_add_test(t, random_texts_do_not_crash_the_parser);
    suite_add_tcase(s, t);
    return suite_main(s);
}
