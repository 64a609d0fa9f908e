#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "session/access.h"
#include "suite.h"

static struct addr_peer peer(const char *text)
{
    struct addr_peer p = { .sa.sa_family = AF_UNSPEC };
    if (strcmp(text, "unix:") == 0)
        p.sa.sa_family = AF_UNIX;
    else if (inet_pton(AF_INET, text, &p.in.sin_addr) == 1)
        p.sa.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &p.in6.sin6_addr) == 1)
        p.sa.sa_family = AF_INET6;
    return p;
}

/* "+NETWORK" allows, "-NETWORK" denies; the last is followed by NULL. */
static struct access *listed(const char *const *texts)
{
    struct access_rule rules[16];
    char why[NETWORK_WHY_MAX];
    size_t n = 0;
    for (; texts[n] != NULL; n++) {
        rules[n].allow = texts[n][0] == '+';
        ck_assert_int_eq(network_parse(&rules[n].network, texts[n] + 1, why), 0);
    }
    struct access *a = access_new(rules, n);
    ck_assert_ptr_nonnull(a);
    return a;
}

static bool allows(const struct access *a, const char *client)
{
    const struct addr_peer p = peer(client);
    return access_allows(a, &p);
}

START_TEST(without_rules_everybody_comes_in)
{
    struct access *a = access_new(NULL, 0);
    ck_assert(allows(a, "10.0.0.1"));
    ck_assert(allows(a, "::1"));
    ck_assert(allows(a, "unix:"));
    ck_assert(allows(a, "?"));
    access_free(a);
}
END_TEST

START_TEST(the_first_network_that_has_the_client_decides)
{
    static const char *const rules[] = {
        "+10.1.0.0/16", "-10.1.2.0/24",   "-10.2.3.0/24",     "+10.2.0.0/16", "-10.0.0.0/8",
        "+10.9.9.9",    "-2001:db8::/32", "+2001:db8:1::/48", "-192.168.0.1", NULL,
    };
    struct access *a = listed(rules);
    ck_assert(allows(a, "10.1.1.1"));
    ck_assert(allows(a, "10.1.2.1")); /* the wider network stands first */
    ck_assert(!allows(a, "10.2.3.1"));
    ck_assert(allows(a, "10.2.4.1")); /* the narrower one does */
    ck_assert(!allows(a, "10.3.0.1"));
    ck_assert(!allows(a, "10.9.9.9")); /* too late */
    ck_assert(!allows(a, "2001:db8::1"));
    ck_assert(!allows(a, "2001:db8:1::1"));
    ck_assert(allows(a, "2001:db9::1"));
    ck_assert(!allows(a, "192.168.0.1"));
    ck_assert(allows(a, "192.168.0.2"));
    ck_assert(allows(a, "192.168.0.0"));
    ck_assert(allows(a, "unix:"));
    access_free(a);
}
END_TEST

START_TEST(all_is_every_client_and_unix_those_of_unix_sockets)
{
    static const char *const some[] = { "+127.0.0.0/8", "+::1", "+unix:", "-all", NULL };
    static const char *const locals[] = { "-unix:", "+all", "-10.0.0.1", NULL };
    struct access *a = listed(some);
    ck_assert(allows(a, "127.0.0.1"));
    ck_assert(allows(a, "::1"));
    ck_assert(allows(a, "unix:"));
    ck_assert(!allows(a, "10.0.0.1"));
    ck_assert(!allows(a, "::2"));
    ck_assert(!allows(a, "?"));
    access_free(a);
    a = listed(locals);
    ck_assert(!allows(a, "unix:"));
    ck_assert(allows(a, "10.0.0.1"));
    ck_assert(allows(a, "?"));
    access_free(a);
}
END_TEST

START_TEST(a_family_is_not_another)
{
    static const char *const rules[] = { "-0.0.0.0/0", "+::/0", NULL };
    struct access *a = listed(rules);
    ck_assert(!allows(a, "0.0.0.0"));
    ck_assert(!allows(a, "255.255.255.255"));
    ck_assert(allows(a, "::"));
    ck_assert(allows(a, "ffff::"));
    access_free(a);
}
END_TEST

START_TEST(a_network_has_the_clients_whose_first_bits_agree)
{
    static const struct {
        const char *network, *client;
        bool has;
    } pairs[] = {
        { "all", "10.0.0.1", true },
        { "all", "2001:db8::1", true },
        { "all", "unix:", true },
        { "unix:", "unix:", true },
        { "unix:", "10.0.0.1", false },
        { "0.0.0.0/0", "10.0.0.1", true },
        { "0.0.0.0/0", "::1", false },
        { "::/0", "::1", true },
        { "::/0", "10.0.0.1", false },
        { "::/0", "unix:", false },
        { "10.0.0.0/8", "10.255.255.255", true },
        { "10.0.0.0/8", "11.0.0.0", false },
        { "192.168.254.0/23", "192.168.255.255", true },
        { "192.168.254.0/23", "192.168.253.255", false },
        { "10.0.0.1", "10.0.0.1", true },
        { "10.0.0.1", "10.0.0.0", false },
        { "2001:db8::/33", "2001:db8:7fff::1", true },
        { "2001:db8::/33", "2001:db8:8000::1", false },
        { "2001:db8::1", "2001:db8::1", true },
        { "2001:db8::1", "2001:db8::2", false },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char rule[NETWORK_TEXT_MAX + 1] = "-";
        const char *const rules[] = { strcat(rule, pairs[i].network), NULL };
        struct access *a = listed(rules);
        ck_assert_msg(allows(a, pairs[i].client) == !pairs[i].has, "%s %s", pairs[i].network,
                      pairs[i].client);
        access_free(a);
    }
}
END_TEST

/* --- Against a search from the first rule to the last --- */

/* Whether the network has the client, bit by bit. */
static bool has(const struct network *n, const struct addr_peer *p)
{
    const uint8_t *network = n->family == AF_INET ? (const uint8_t *)&n->in : n->in6.s6_addr;
    const uint8_t *client =
        n->family == AF_INET ? (const uint8_t *)&p->in.sin_addr : p->in6.sin6_addr.s6_addr;
    bool same = n->family == AF_UNSPEC || n->family == p->sa.sa_family;
    for (unsigned bit = 0; bit < n->prefix && same; bit++)
        same = ((network[bit / 8] ^ client[bit / 8]) & (0x80 >> bit % 8)) == 0;
    return same;
}

static bool searched(const struct access_rule *rules, size_t count, const struct addr_peer *p)
{
    for (size_t i = 0; i < count; i++)
        if (has(&rules[i].network, p))
            return rules[i].allow;
    return true;
}

/* Addresses of few different bits, so that networks overlap and clients are met. */
static void random_bytes(uint8_t *bytes, size_t n, bool dense)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(dense ? random() % 3 * 127 : random());
}

static struct addr_peer random_peer(bool dense)
{
    struct addr_peer p = { .sa.sa_family = AF_UNIX };
    long kind = random() % 20;
    if (kind == 0)
        return p;
    p.sa.sa_family = kind < 10 ? AF_INET : AF_INET6;
    random_bytes(p.in6.sin6_addr.s6_addr, 16, dense);
    if (kind < 10)
        random_bytes((uint8_t *)&p.in.sin_addr, 4, dense);
    return p;
}

static struct network random_network(bool dense)
{
    struct addr_peer p = random_peer(dense);
    struct network n = { .family = p.sa.sa_family };
    if (random() % 200 == 0)
        return (struct network){ .family = AF_UNSPEC };
    if (n.family == AF_INET) {
        n.prefix = (uint8_t)(dense ? random() % 33 : 12 + random() % 21);
        n.in.s_addr = p.in.sin_addr.s_addr;
        n.in.s_addr &= htonl(n.prefix == 0 ? 0 : UINT32_MAX << (32 - n.prefix));
    } else if (n.family == AF_INET6) {
        n.prefix = (uint8_t)(dense ? random() % 129 : 12 + random() % 117);
        n.in6 = p.in6.sin6_addr;
        for (unsigned bit = n.prefix; bit < 128; bit++)
            n.in6.s6_addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    }
    return n;
}

/* Somewhere in the network or next to it. */
static struct addr_peer random_neighbour(const struct network *n)
{
    struct addr_peer p = random_peer(false);
    unsigned bit = n->prefix == 0 ? 0 : n->prefix - (unsigned)(random() % 2);
    if (n->family == AF_INET) {
        p.sa.sa_family = AF_INET;
        p.in.sin_addr = n->in;
        p.in.sin_addr.s_addr ^= bit < 32 ? htonl(UINT32_C(1) << (31 - bit)) : 0;
    } else if (n->family == AF_INET6) {
        p.sa.sa_family = AF_INET6;
        p.in6.sin6_addr = n->in6;
        if (bit < 128)
            p.in6.sin6_addr.s6_addr[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
    }
    return p;
}

static void compare(struct access_rule *rules, size_t count, int look_ups, bool dense)
{
    for (size_t i = 0; i < count; i++) {
        rules[i].network = random_network(dense);
        rules[i].allow = random() % 2 == 0;
    }
    struct access *a = access_new(rules, count);
    ck_assert_ptr_nonnull(a);
    for (int i = 0; i < look_ups; i++) {
        struct addr_peer p = count > 0 && i % 2 == 0
                                 ? random_neighbour(&rules[(size_t)random() % count].network)
                                 : random_peer(dense);
        ck_assert_int_eq(access_allows(a, &p), searched(rules, count, &p));
    }
    access_free(a);
}

#define RULES 10000
static struct access_rule rules[RULES];

START_TEST(few_rules_decide_as_a_search_does)
{
    srandom(4711);
    for (int round = 0; round < 20000; round++)
        compare(rules, (size_t)random() % 12, 20, true);
}
END_TEST

START_TEST(ten_thousand_rules_decide_as_a_search_does)
{
    srandom(1147);
    for (int round = 0; round < 3; round++)
        compare(rules, RULES, 3000, false);
    compare(rules, RULES, 3000, true);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("access");
    TCase *t = tcase_create("access");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, without_rules_everybody_comes_in);
    tcase_add_test(t, the_first_network_that_has_the_client_decides);
    tcase_add_test(t, all_is_every_client_and_unix_those_of_unix_sockets);
    tcase_add_test(t, a_family_is_not_another);
    tcase_add_test(t, a_network_has_the_clients_whose_first_bits_agree);
    tcase_add_test(t, few_rules_decide_as_a_search_does);
    tcase_add_test(t, ten_thousand_rules_decide_as_a_search_does);
    suite_add_tcase(s, t);
    return suite_main(s);
}
