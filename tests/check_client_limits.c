#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The source itself: no function of it returns how many addresses it remembers. */
#include "session/client_limits.c" /* NOLINT(bugprone-suspicious-include) */
#include "suite.h"

#define START UINT64_C(1000000)
#define HOUR  UINT64_C(3600000)

static struct client_limits *client_limits;

/* How many addresses are remembered. */
static size_t addresses(void)
{
    size_t count = 0;
    for (unsigned n = 0; n < CLIENT_LIMITS_CHAINS; n++) {
        const struct client *c;
        SLIST_FOREACH(c, &client_limits->chain[n], in_chain)
            count++;
    }
    return count;
}

static struct addr_peer peer(const char *text)
{
    struct addr_peer p = { .sa.sa_family = AF_UNIX };
    if (inet_pton(AF_INET, text, &p.in.sin_addr) == 1)
        p.sa.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &p.in6.sin6_addr) == 1)
        p.sa.sa_family = AF_INET6;
    p.in.sin_port = (in_port_t)random(); /* does not matter */
    return p;
}

static void start(uint64_t max_connections, uint64_t rate_count, uint64_t rate_period)
{
    client_limits = client_limits_new(max_connections, rate_count, rate_period, 64);
    ck_assert_ptr_nonnull(client_limits);
}

static enum client_limits_result acquire(const char *client, uint64_t now)
{
    const struct addr_peer p = peer(client);
    return client_limits_acquire(client_limits, &p, now);
}

static void release(const char *client, uint64_t now)
{
    const struct addr_peer p = peer(client);
    client_limits_release(client_limits, &p, now);
}

/* How many sessions can begin at once. */
static unsigned begin_all(const char *client, uint64_t now)
{
    unsigned n = 0;
    while (acquire(client, now) == CLIENT_LIMITS_OK)
        n++;
    return n;
}

START_TEST(an_address_has_so_many_sessions_and_no_more)
{
    start(2, 0, 0);
    ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_OK);
    ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_OK);
    ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_CONNECTIONS);
    ck_assert_int_eq(acquire("10.0.0.1", START + HOUR), CLIENT_LIMITS_CONNECTIONS);
    ck_assert_int_eq(acquire("10.0.0.2", START), CLIENT_LIMITS_OK);
    release("10.0.0.1", START);
    ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_OK);
    ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_CONNECTIONS);
    client_limits_free(client_limits);
}
END_TEST

START_TEST(without_a_rate_no_idle_address_is_kept)
{
    start(1, 0, 0);
    ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_OK);
    ck_assert_int_eq(acquire("::1", START), CLIENT_LIMITS_OK);
    ck_assert_uint_eq(addresses(), 2);
    release("10.0.0.1", START);
    release("::1", START);
    ck_assert_uint_eq(addresses(), 0);
    client_limits_free(client_limits);
}
END_TEST

START_TEST(a_rate_starts_full_and_fills_evenly)
{
    start(0, 100, 1000);
    ck_assert_uint_eq(begin_all("10.0.0.1", START), 100);
    ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_RATE);
    ck_assert_uint_eq(begin_all("10.0.0.1", START + 9), 0);
    ck_assert_uint_eq(begin_all("10.0.0.1", START + 10), 1);
    ck_assert_uint_eq(begin_all("10.0.0.1", START + 19), 0);
    ck_assert_uint_eq(begin_all("10.0.0.1", START + 510), 50);
    ck_assert_uint_eq(begin_all("10.0.0.1", START + 1509), 99);
    ck_assert_uint_eq(begin_all("10.0.0.1", START + HOUR), 100);
    ck_assert_uint_eq(begin_all("10.0.0.2", START), 100);
    client_limits_free(client_limits);
}
END_TEST

START_TEST(another_limit_holds_for_the_sessions_there_are)
{
    start(3, 0, 0);
    ck_assert_uint_eq(begin_all("10.0.0.1", START), 3);
    client_limits_change(client_limits, 2, 0, 0, START);
    ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_CONNECTIONS);
    release("10.0.0.1", START);
    ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_CONNECTIONS);
    release("10.0.0.1", START);
    ck_assert_uint_eq(begin_all("10.0.0.1", START), 1);
    client_limits_change(client_limits, 5, 0, 0, START);
    ck_assert_uint_eq(begin_all("10.0.0.1", START), 3);
    client_limits_free(client_limits);
}
END_TEST

START_TEST(another_rate_knows_what_was_used_up)
{
    start(0, 10, 1000);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_OK);
    client_limits_change(client_limits, 0, 20, HOUR, START + 100); /* one has been earned back */
    ck_assert_uint_eq(begin_all("10.0.0.1", START + 100), 17);
    ck_assert_uint_eq(begin_all("10.0.0.2", START + 100), 20);
    client_limits_change(client_limits, 0, 5, 1000, START + 100);
    ck_assert_uint_eq(begin_all("10.0.0.1", START + 100), 0);
    ck_assert_uint_eq(begin_all("10.0.0.1", START + 300), 1); /* no more than all can be used up */
    client_limits_change(client_limits, 1000, 0, 0, START + 300);
    client_limits_change(client_limits, 1000, 5, 1000, START + 300);
    ck_assert_uint_eq(begin_all("10.0.0.1", START + 300), 5);
    client_limits_free(client_limits);
}
END_TEST

START_TEST(a_rate_is_exact_over_time)
{
    static const struct {
        uint64_t count, period, each; /* comes so often, ms */
    } rates[] = { { 1, 1000, 1 },    { 7, 1000, 1 },    { 3, 1000, 10 }, { 600, 60000, 7 },
                  { 13, 60000, 50 }, { 1, 60000, 100 }, { 900, 1000, 1 } };
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        uint64_t begun = 0;
        const uint64_t end = 100 * rates[i].period;
        start(0, rates[i].count, rates[i].period);
        for (uint64_t t = 0; t < end; t += rates[i].each)
            begun += acquire("10.0.0.1", START + t) == CLIENT_LIMITS_OK;
        ck_assert_uint_le(begun, 101 * rates[i].count);
        ck_assert_uint_ge(begun, 101 * rates[i].count - 1);
        client_limits_free(client_limits);
    }
}
END_TEST

START_TEST(a_refusal_costs_nothing)
{
    start(1, 2, 1000);
    ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_OK);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_CONNECTIONS);
    release("10.0.0.1", START);
    ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_OK);
    release("10.0.0.1", START);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(acquire("10.0.0.1", START + 499), CLIENT_LIMITS_RATE);
    ck_assert_int_eq(acquire("10.0.0.1", START + 500), CLIENT_LIMITS_OK);
    client_limits_free(client_limits);
}
END_TEST

START_TEST(an_address_is_remembered_until_its_rate_is_full)
{
    start(0, 10, 1000);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_OK);
    for (int i = 0; i < 3; i++)
        release("10.0.0.1", START + 100);
    ck_assert_uint_eq(addresses(), 1);
    ck_assert_int_eq(acquire("10.0.0.1", START + 300), CLIENT_LIMITS_OK);
    release("10.0.0.1", START + 399);
    ck_assert_uint_eq(addresses(), 1);
    ck_assert_int_eq(acquire("10.0.0.1", START + 399), CLIENT_LIMITS_OK);
    release("10.0.0.1", START + 500);
    ck_assert_uint_eq(addresses(), 0);
    client_limits_free(client_limits);
}
END_TEST

START_TEST(ipv6_clients_are_distinguished_by_their_prefix)
{
    static const struct {
        unsigned prefix;
        const char *same, *other; /* as, and than, 2001:db8:0:1::1 */
    } cases[] = {
        { 64, "2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:2::1" },
        { 128, "2001:db8:0:1::1", "2001:db8:0:1::2" },
        { 48, "2001:db8:0:2::1", "2001:db8:1:1::1" },
        { 60, "2001:db8:0:f::1", "2001:db8:0:10::1" },
        { 127, "2001:db8:0:1::", "2001:db8:0:1::2" },
        { 1, "::1", "8000::" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        client_limits = client_limits_new(1, 0, 0, cases[i].prefix);
        ck_assert_int_eq(acquire("2001:db8:0:1::1", START), CLIENT_LIMITS_OK);
        ck_assert_int_eq(acquire(cases[i].same, START), CLIENT_LIMITS_CONNECTIONS);
        ck_assert_int_eq(acquire(cases[i].other, START), CLIENT_LIMITS_OK);
        ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_OK);
        ck_assert_int_eq(acquire("10.0.0.2", START), CLIENT_LIMITS_OK);
        release(cases[i].same, START);
        ck_assert_int_eq(acquire("2001:db8:0:1::1", START), CLIENT_LIMITS_OK);
        client_limits_free(client_limits);
    }
}
END_TEST

START_TEST(clients_without_an_ip_address_are_not_limited)
{
    start(1, 1, 60000);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(acquire("unix:", START), CLIENT_LIMITS_OK);
    release("unix:", START);
    ck_assert_uint_eq(addresses(), 0);
    client_limits_free(client_limits);
}
END_TEST

START_TEST(clocks_may_differ_a_little)
{
    start(0, 2, 1000);
    ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_OK);
    ck_assert_int_eq(acquire("10.0.0.1", START - 8), CLIENT_LIMITS_OK);
    ck_assert_int_eq(acquire("10.0.0.1", START - 8), CLIENT_LIMITS_RATE);
    ck_assert_int_eq(acquire("10.0.0.1", START + 499), CLIENT_LIMITS_RATE);
    ck_assert_int_eq(acquire("10.0.0.1", START + 500), CLIENT_LIMITS_OK);
    client_limits_free(client_limits);
}
END_TEST

START_TEST(the_largest_rate_does_not_overflow)
{
    const uint64_t most = (UINT64_C(1) << 31) - 1;
    start(0, most, most);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(acquire("10.0.0.1", START), CLIENT_LIMITS_OK);
    release("10.0.0.1", UINT64_MAX);
    ck_assert_int_eq(acquire("10.0.0.1", UINT64_MAX), CLIENT_LIMITS_OK);
    client_limits_free(client_limits);
}
END_TEST

/* --- Attacks --- */

#define ATTACKERS 300000

static struct addr_peer attacker(uint32_t number)
{
    struct addr_peer p = { .in6 = { .sin6_family = AF_INET6 } };
    uint32_t word = htonl(number);
    memcpy(&p.in6.sin6_addr.s6_addr[0], "\x20\x01\x0d\xb8", 4);
    memcpy(&p.in6.sin6_addr.s6_addr[4], &word, 4);
    return p;
}

START_TEST(millions_of_addresses_cost_bounded_memory_and_refuse_no_client)
{
    uint64_t now = START;
    start(1, 10, HOUR);
    /* has had a session for an hour, and could begin all the ten it may again */
    ck_assert_int_eq(acquire("10.0.0.1", now - HOUR), CLIENT_LIMITS_OK);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(acquire("10.0.0.2", now), CLIENT_LIMITS_OK); /* has done all it may */
        release("10.0.0.2", now);
    }
    for (uint32_t i = 0; i < ATTACKERS; i++, now += i % 100 == 0) {
        const struct addr_peer p = attacker(i);
        assert_quietly(client_limits_acquire(client_limits, &p, now) == CLIENT_LIMITS_OK);
        client_limits_release(client_limits, &p, now);
    }
    ck_assert_uint_le(addresses(), CLIENT_LIMITS_CHAINS * CLIENT_LIMITS_CHAIN_KEEPS + 1);
    ck_assert_uint_ge(addresses(), CLIENT_LIMITS_CHAINS * CLIENT_LIMITS_CHAIN_KEEPS / 2);
    ck_assert_int_eq(acquire("10.0.0.1", now), CLIENT_LIMITS_CONNECTIONS);
    ck_assert_int_eq(acquire("10.0.0.2", now), CLIENT_LIMITS_RATE);
    ck_assert_int_eq(acquire("10.0.0.3", now), CLIENT_LIMITS_OK);
    release("10.0.0.1", now);
    ck_assert_int_eq(acquire("10.0.0.1", now), CLIENT_LIMITS_OK);
    client_limits_free(client_limits);
}
END_TEST

START_TEST(addresses_with_sessions_are_kept)
{
    const uint32_t many = CLIENT_LIMITS_CHAINS * 9; /* more than are kept without one */
    start(1, 1, 1000);
    for (uint32_t i = 0; i < many; i++) {
        const struct addr_peer p = attacker(i);
        assert_quietly(client_limits_acquire(client_limits, &p, START) == CLIENT_LIMITS_OK);
    }
    ck_assert_uint_eq(addresses(), many);
    for (uint32_t i = 0; i < many;
         i++) { /* releasing an address that was forgotten would fail an assertion */
        const struct addr_peer p = attacker(i);
        client_limits_release(client_limits, &p, START);
    }
    ck_assert_uint_le(addresses(), CLIENT_LIMITS_CHAINS * CLIENT_LIMITS_CHAIN_KEEPS);
    client_limits_free(client_limits);
}
END_TEST

START_TEST(unused_addresses_make_room)
{
    start(0, 1, 1000);
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t i = 0; i < CLIENT_LIMITS_CHAINS; i++) {
            const struct addr_peer p = attacker(round * CLIENT_LIMITS_CHAINS + i);
            assert_quietly(client_limits_acquire(client_limits, &p, START + 1000 * round) ==
                           CLIENT_LIMITS_OK);
            client_limits_release(client_limits, &p, START + 1000 * round);
        }
    /* A chain without a lookup since then has kept some. */
    ck_assert_uint_le(addresses(), CLIENT_LIMITS_CHAINS * 2);
    client_limits_free(client_limits);
}
END_TEST

/* --- Threads --- */

#define THREADS 4
#define ROUNDS  30000
#define HOSTS   50
#define MOST    2

static _Atomic int in_use[HOSTS];
static _Atomic bool exceeded;
static _Atomic unsigned begun;
static pthread_barrier_t together;

static void *acquire_and_release(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    pthread_barrier_wait(&together);
    for (int i = 0; i < ROUNDS; i++) {
        unsigned host = (unsigned)rand_r(&seed) % HOSTS;
        const struct addr_peer p = attacker(host);
        if (client_limits_acquire(client_limits, &p, START + (uint64_t)i) != CLIENT_LIMITS_OK)
            continue;
        if (atomic_fetch_add(&in_use[host], 1) >= MOST)
            exceeded = true;
        atomic_fetch_sub(&in_use[host], 1);
        client_limits_release(client_limits, &p, START + (uint64_t)i);
    }
    return NULL;
}

static void *begin_many(void *arg)
{
    (void)arg;
    const struct addr_peer p = attacker(0);
    pthread_barrier_wait(&together);
    for (int i = 0; i < ROUNDS; i++)
        if (client_limits_acquire(client_limits, &p, START) == CLIENT_LIMITS_OK)
            atomic_fetch_add(&begun, 1);
    return NULL;
}

static void run_threads(void *(*run)(void *))
{
    pthread_t threads[THREADS];
    unsigned seeds[THREADS];
    pthread_barrier_init(&together, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run, &seeds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&together);
}

START_TEST(threads_never_exceed_the_limit)
{
    start(MOST, 0, 0);
    run_threads(acquire_and_release);
    ck_assert(!exceeded);
    ck_assert_uint_eq(addresses(), 0);
    client_limits_free(client_limits);
}
END_TEST

START_TEST(threads_share_one_rate)
{
    start(0, 34567, 1000);
    begun = 0;
    run_threads(begin_many);
    ck_assert_uint_eq(begun, 34567);
    client_limits_free(client_limits);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client_limits");
    TCase *t = tcase_create("client_limits");
    tcase_set_timeout(t, 240);
    tcase_add_test(t, an_address_has_so_many_sessions_and_no_more);
    tcase_add_test(t, without_a_rate_no_idle_address_is_kept);
    tcase_add_test(t, a_rate_starts_full_and_fills_evenly);
    tcase_add_test(t, another_limit_holds_for_the_sessions_there_are);
    tcase_add_test(t, another_rate_knows_what_was_used_up);
    tcase_add_test(t, a_rate_is_exact_over_time);
    tcase_add_test(t, a_refusal_costs_nothing);
    tcase_add_test(t, an_address_is_remembered_until_its_rate_is_full);
    tcase_add_test(t, ipv6_clients_are_distinguished_by_their_prefix);
    tcase_add_test(t, clients_without_an_ip_address_are_not_limited);
    tcase_add_test(t, clocks_may_differ_a_little);
    tcase_add_test(t, the_largest_rate_does_not_overflow);
    tcase_add_test(t, millions_of_addresses_cost_bounded_memory_and_refuse_no_client);
    tcase_add_test(t, addresses_with_sessions_are_kept);
    tcase_add_test(t, unused_addresses_make_room);
    tcase_add_test(t, threads_never_exceed_the_limit);
    tcase_add_test(t, threads_share_one_rate);
    suite_add_tcase(s, t);
    return suite_main(s);
}
