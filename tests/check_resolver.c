#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/answers.h"
#include "balance/dns_answer.h"
#include "balance/lookup_part.h"
#include "suite.h"

/* ---- messages ---- */

/* A message under construction. The name in the question is at byte 12. */
struct message {
    uint8_t bytes[65536];
    size_t len;
};

#define POINTER_TO_QUESTION "\xc0\x0c"
#define RESPONSE            0x8180

static void put(struct message *m, const void *bytes, size_t n)
{
    assert_quietly(n <= sizeof m->bytes - m->len);
    memcpy(m->bytes + m->len, bytes, n);
    m->len += n;
}

static void put_u16(struct message *m, unsigned value)
{
    const uint8_t bytes[] = { (uint8_t)(value >> 8), (uint8_t)value };
    put(m, bytes, sizeof bytes);
}

/* "a.example" as labels, with the root. */
static void put_name(struct message *m, const char *name)
{
    while (*name != '\0') {
        size_t n = strcspn(name, ".");
        const uint8_t length = (uint8_t)n;
        put(m, &length, 1);
        put(m, name, n);
        name += n + (name[n] == '.');
    }
    put(m, "", 1);
}

static struct message *question(const char *name, unsigned type, unsigned answers)
{
    static struct message m;
    m.len = 0;
    put_u16(&m, 4711);
    put_u16(&m, RESPONSE);
    put_u16(&m, 1);
    put_u16(&m, answers);
    put_u16(&m, 0);
    put_u16(&m, 0);
    put_name(&m, name);
    put_u16(&m, type);
    put_u16(&m, DNS_CLASS_IN);
    return &m;
}

/* The fields of a record between its name and its data. */
static void put_head(struct message *m, unsigned type, uint32_t ttl, size_t len)
{
    put_u16(m, type);
    put_u16(m, DNS_CLASS_IN);
    put_u16(m, ttl >> 16);
    put_u16(m, ttl & 0xffff);
    put_u16(m, (unsigned)len);
}

static void put_a(struct message *m, uint32_t ttl, const char *address)
{
    struct in_addr ip;
    ck_assert_int_eq(inet_pton(AF_INET, address, &ip), 1);
    put(m, POINTER_TO_QUESTION, 2);
    put_head(m, DNS_A, ttl, sizeof ip);
    put(m, &ip, sizeof ip);
}

static void put_srv(struct message *m, unsigned priority, unsigned weight, unsigned port,
                    const char *target)
{
    put(m, POINTER_TO_QUESTION, 2);
    put_head(m, DNS_SRV, 60, 6 + strlen(target) + 1 + (*target != '\0'));
    put_u16(m, priority);
    put_u16(m, weight);
    put_u16(m, port);
    put_name(m, target);
}

/* Parses a copy in an allocation of its size, so that valgrind and sanitizers find reads beyond it.
 */
static int parse(struct dns_answer *a, const struct message *m, size_t len, enum dns_type type)
{
    uint8_t *exact = malloc(len + (len == 0));
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, m->bytes, len);
    int rc = dns_answer_parse(a, exact, len, type);
    free(exact);
    return rc;
}

static struct dns_answer parsed(const struct message *m, enum dns_type type)
{
    struct dns_answer a;
    ck_assert_int_eq(parse(&a, m, m->len, type), 0);
    return a;
}

static void is_refused(const struct message *m, enum dns_type type, int rc)
{
    struct dns_answer a;
    ck_assert_int_eq(parse(&a, m, m->len, type), rc);
    ck_assert_ptr_null(a.record);
}

static void is_address(const struct dns_answer *a, size_t i, const char *text)
{
    char printed[ADDR_TEXT_MAX];
    struct addr address = answers_address(a, i, 80);
    ck_assert_uint_lt(i, a->count);
    ck_assert_str_eq(addr_print(&address, printed), text);
}

START_TEST(addresses_are_read_with_their_lowest_ttl)
{
    struct message *m = question("web.example", DNS_A, 3);
    put_a(m, 300, "10.0.0.1");
    put_a(m, 20, "10.0.0.2");
    put_a(m, 3000, "10.0.0.3");
    struct dns_answer a = parsed(m, DNS_A);
    ck_assert_uint_eq(a.count, 3);
    ck_assert_uint_eq(a.ttl, 20);
    is_address(&a, 0, "10.0.0.1:80");
    is_address(&a, 2, "10.0.0.3:80");
    dns_answer_free(&a);
}
END_TEST

START_TEST(ipv6_addresses_are_read)
{
    struct in6_addr ip = IN6ADDR_LOOPBACK_INIT;
    struct message *m = question("web.example", DNS_AAAA, 2);
    put(m, POINTER_TO_QUESTION, 2);
    put_head(m, DNS_AAAA, 5, sizeof ip);
    put(m, &ip, sizeof ip);
    ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:10.1.2.3", &ip), 1);
    put(m, POINTER_TO_QUESTION, 2);
    put_head(m, DNS_AAAA, 5, sizeof ip);
    put(m, &ip, sizeof ip);
    struct dns_answer a = parsed(m, DNS_AAAA);
    is_address(&a, 0, "[::1]:80");
    is_address(&a, 1, "10.1.2.3:80");
    dns_answer_free(&a);
}
END_TEST

START_TEST(services_are_read)
{
    struct message *m = question("_redis._tcp.example", DNS_SRV, 2);
    put_srv(m, 10, 65535, 6379, "One.Example");
    put_srv(m, 20, 0, 1, "");
    struct dns_answer a = parsed(m, DNS_SRV);
    ck_assert_uint_eq(a.count, 2);
    ck_assert_uint_eq(a.record[0].srv.priority, 10);
    ck_assert_uint_eq(a.record[0].srv.weight, 65535);
    ck_assert_uint_eq(a.record[0].srv.port, 6379);
    ck_assert_str_eq(a.record[0].srv.target, "one.example");
    ck_assert_str_eq(a.record[1].srv.target, "");
    dns_answer_free(&a);
}
END_TEST

/* web.example -> b.example -> c.example, the last alias first, letters in any case. */
static struct message *aliased(void)
{
    struct message *m = question("web.example", DNS_A, 4);
    put_name(m, "B.example");
    put_head(m, DNS_CNAME, 7, 11);
    put_name(m, "c.example");
    put(m, POINTER_TO_QUESTION, 2);
    put_head(m, DNS_CNAME, 300, 4);
    put(m, "\1b\xc0\x10", 4); /* "b", and what follows "web" in the question */
    put_name(m, "other.example");
    put_head(m, DNS_A, 1, 4);
    put(m, "\x0a\x00\x00\x09", 4);
    put_name(m, "C.EXAMPLE");
    put_head(m, DNS_A, 60, 4);
    put(m, "\x0a\x00\x00\x01", 4);
    return m;
}

START_TEST(aliases_are_followed_and_other_names_ignored)
{
    struct dns_answer a = parsed(aliased(), DNS_A);
    ck_assert_uint_eq(a.count, 1);
    ck_assert_uint_eq(a.ttl, 7); /* that of the alias */
    is_address(&a, 0, "10.0.0.1:80");
    dns_answer_free(&a);
}
END_TEST

START_TEST(a_loop_of_aliases_gives_no_records)
{
    struct message *m = question("web.example", DNS_A, 2);
    put(m, POINTER_TO_QUESTION, 2);
    put_head(m, DNS_CNAME, 7, 11);
    put_name(m, "b.example");
    put_name(m, "b.example");
    put_head(m, DNS_CNAME, 7, 2);
    put(m, POINTER_TO_QUESTION, 2);
    struct dns_answer a = parsed(m, DNS_A);
    ck_assert_uint_eq(a.count, 0);
    dns_answer_free(&a);
}
END_TEST

START_TEST(a_ttl_beyond_its_range_is_0)
{
    struct message *m = question("web.example", DNS_A, 1);
    put_a(m, 0x80000000, "10.0.0.1");
    struct dns_answer a = parsed(m, DNS_A);
    ck_assert_uint_eq(a.ttl, 0);
    dns_answer_free(&a);
}
END_TEST

START_TEST(a_message_that_is_no_answer_is_rejected)
{
    struct message *m = question("web.example", DNS_A, 1);
    put_a(m, 1, "10.0.0.1");
    is_refused(m, DNS_AAAA, -EBADMSG); /* another question */
    is_refused(m, DNS_SRV, -EBADMSG);
    m->bytes[2] = 0; /* a question */
    is_refused(m, DNS_A, -EBADMSG);
    m->bytes[2] = 0x83; /* truncated */
    is_refused(m, DNS_A, -EMSGSIZE);
    m->bytes[2] = 0x81;
    m->bytes[5] = 2; /* two questions */
    is_refused(m, DNS_A, -EBADMSG);
    m->bytes[5] = 1;
    m->bytes[7] = 2; /* two answers */
    is_refused(m, DNS_A, -EBADMSG);
    m->bytes[7] = 1;
    struct dns_answer a = parsed(m, DNS_A); /* the message is unchanged */
    dns_answer_free(&a);
}
END_TEST

START_TEST(an_address_of_another_size_is_rejected)
{
    for (unsigned len = 0; len < 20; len++) {
        struct message *m = question("web.example", DNS_A, 1);
        put(m, POINTER_TO_QUESTION, 2);
        put_head(m, DNS_A, 1, len);
        put(m, "0123456789abcdefghijk", len);
        if (len != 4)
            is_refused(m, DNS_A, -EBADMSG);
    }
}
END_TEST

START_TEST(a_service_beyond_its_record_is_rejected)
{
    struct message *m = question("_a._tcp.b", DNS_SRV, 1);
    size_t head = m->len + 2 + 8;
    put_srv(m, 1, 1, 1, "target.example");
    unsigned len = m->bytes[head + 1];
    for (unsigned wrong = 0; wrong < 256; wrong++) {
        m->bytes[head + 1] = (uint8_t)wrong;
        if (wrong != len)
            is_refused(m, DNS_SRV, -EBADMSG);
    }
}
END_TEST

START_TEST(a_target_that_is_no_host_name_is_omitted)
{
    static const char *const targets[][2] = {
        { "a b", "a?b" },     { "a\\b", "a\\b" }, { "\xff", "?" },      { "a\nb.c", "a?b.c" },
        { "a/b", "a/b" },     { "*.b", "*.b" },   { "h~2.b", "h~2.b" }, { "0x7f000001", NULL },
        { "10.0.0.1", NULL }, { "a.0x1f", NULL },
    };
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        const char *bad_target = targets[i][targets[i][1] != NULL];
        struct message *m = question("_a._tcp.b", DNS_SRV, 3);
        put_srv(m, 1, 1, 1, "one.b");
        put_srv(m, 1, 1, 1, targets[i][0]);
        put_srv(m, 1, 1, 1, "two.b");
        struct dns_answer a = parsed(m, DNS_SRV);
        ck_assert_uint_eq(a.count, 2);
        ck_assert_str_eq(a.record[1].srv.target, "two.b");
        ck_assert_uint_eq(a.bad_target_count, 1);
        ck_assert_str_eq(a.bad_target, bad_target);
        dns_answer_free(&a);
    }
}
END_TEST

static void put_host(struct message *m, const char *name, uint32_t ttl, const char *address)
{
    struct in_addr ip;
    ck_assert_int_eq(inet_pton(AF_INET, address, &ip), 1);
    put_name(m, name);
    put_head(m, DNS_A, ttl, sizeof ip);
    put(m, &ip, sizeof ip);
}

static void set_count(struct message *m, size_t section, unsigned count)
{
    m->bytes[6 + 2 * section] = (uint8_t)(count >> 8);
    m->bytes[7 + 2 * section] = (uint8_t)count;
}

static void is_extra(const struct dns_answer *a, const char *host, uint32_t ttl, size_t count)
{
    struct dns_answer found;
    ck_assert_int_eq(dns_answer_extra(a, host, DNS_A, &found), count);
    ck_assert_uint_eq(found.count, count);
    if (count > 0)
        ck_assert_uint_eq(found.ttl, ttl);
    dns_answer_free(&found);
}

START_TEST(additional_addresses_of_services_are_found)
{
    struct message *m = question("_a._tcp.b", DNS_SRV, 2);
    put_srv(m, 1, 1, 1, "one.b");
    put_srv(m, 1, 1, 1, "two.b");
    put(m, "", 1); /* an OPT record, of the root */
    put_head(m, 41, 0, 0);
    put_host(m, "TWO.b", 60, "10.0.0.2");
    put_host(m, "one.b", 30, "10.0.0.1");
    put_host(m, "two.b", 20, "10.0.0.3");
    set_count(m, 2, 4);
    struct dns_answer a = parsed(m, DNS_SRV);
    ck_assert_uint_eq(a.extra_count, 3);
    is_extra(&a, "one.b", 30, 1);
    is_extra(&a, "two.b", 20, 2);
    is_extra(&a, "three.b", 0, 0);
    struct dns_answer found;
    ck_assert_int_eq(dns_answer_extra(&a, "one.b", DNS_AAAA, &found), 0);
    dns_answer_free(&a);
    for (size_t len = m->len - 1; len > 0x40;
         len--) /* at worst the additional records are missing */
        if (parse(&a, m, len, DNS_SRV) == 0)
            dns_answer_free(&a);
}
END_TEST

START_TEST(the_negative_ttl_comes_from_the_soa_record)
{
    static const struct {
        uint32_t ttl, minimum, is;
    } samples[] = { { 900, 60, 60 }, { 30, 60, 30 }, { 0x80000000, 60, 0 } };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct message *m = question("web.example", DNS_A, 0);
        struct dns_answer none = parsed(m, DNS_A);
        ck_assert_uint_eq(none.negative_ttl, DNS_TTL_NONE);
        dns_answer_free(&none);
        put_name(m, "example");
        put_head(m, DNS_SOA, samples[i].ttl, 1 + 2 + 16 + 4);
        put(m, "\0\xc0\x0c", 3);
        put(m, "0123456789abcdef", 16);
        put_u16(m, samples[i].minimum >> 16);
        put_u16(m, samples[i].minimum & 0xffff);
        set_count(m, 1, 1);
        struct dns_answer a = parsed(m, DNS_A);
        ck_assert_uint_eq(a.negative_ttl, samples[i].is);
        dns_answer_free(&a);
    }
}
END_TEST

/* A target of labels of 63 letters and one of `last`. */
static void long_target(char text[300], unsigned last)
{
    char *end = text;
    for (int i = 0; i < 3; i++) {
        memset(end, 'x', 63);
        end[63] = '.';
        end += 64;
    }
    memset(end, 'x', last);
    end[last] = '\0';
}

START_TEST(the_longest_name_has_253_characters)
{
    char text[300];
    struct message *m = question("_a._tcp.b", DNS_SRV, 1);
    long_target(text, 61);
    put_srv(m, 1, 1, 1, text);
    struct dns_answer a = parsed(m, DNS_SRV);
    ck_assert_uint_eq(strlen(a.record[0].srv.target), 253);
    ck_assert_str_eq(a.record[0].srv.target, text);
    dns_answer_free(&a);
    m = question("_a._tcp.b", DNS_SRV, 1);
    long_target(text, 62);
    put_srv(m, 1, 1, 1, text);
    is_refused(m, DNS_SRV, -EBADMSG);
}
END_TEST

START_TEST(names_without_end_are_rejected)
{
    static const char *const pointers[] = { "\xc0\x1d", "\xc0\x1e", "\xc0\x00", "\xff\xff",
                                            "\x80\x0c", "\x40\x0c", "\xc0\x0b" };
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++) {
        struct message *m = question("web.example", DNS_A, 1);
        ck_assert_uint_eq(m->len, 0x1d);
        put(m, pointers[i], 2); /* the first one points to itself */
        put_head(m, DNS_A, 1, 4);
        put(m, "\x0a\x00\x00\x01", 4);
        is_refused(m, DNS_A, -EBADMSG);
    }
}
END_TEST

START_TEST(too_many_records_are_rejected)
{
    for (unsigned count = DNS_RECORDS_MAX; count <= DNS_RECORDS_MAX + 1; count++) {
        struct message *m = question("web.example", DNS_A, count);
        for (unsigned i = 0; i < count; i++)
            put_a(m, 1, "10.0.0.1");
        if (count > DNS_RECORDS_MAX) {
            is_refused(m, DNS_A, -E2BIG);
            continue;
        }
        struct dns_answer a = parsed(m, DNS_A);
        ck_assert_uint_eq(a.count, count);
        dns_answer_free(&a);
    }
}
END_TEST

/* ---- hostile messages ---- */

static struct message *sample(int i)
{
    struct message *m = aliased();
    if (i == 0)
        return m;
    m = question("_redis._tcp.example", DNS_SRV, 3);
    put_srv(m, 1, 2, 3, "a.example");
    put_srv(m, 1, 2, 3, "b.c.d.e.f.example");
    put_srv(m, 0, 0, 0, "");
    return m;
}

static const enum dns_type sample_type[] = { DNS_A, DNS_SRV };

/* An accepted message must be within bounds. */
static void try_it(const struct message *m, size_t len, enum dns_type type)
{
    struct dns_answer a;
    int rc = parse(&a, m, len, type);
    assert_quietly(rc == 0 || rc == -EBADMSG || rc == -EMSGSIZE || rc == -E2BIG);
    if (rc < 0) {
        assert_quietly(a.record == NULL);
        return;
    }
    assert_quietly(a.count <= DNS_RECORDS_MAX);
    assert_quietly(a.ttl <= INT32_MAX);
    for (size_t i = 0; type == DNS_SRV && i < a.count; i++)
        assert_quietly(strlen(a.record[i].srv.target) < DNS_NAME_MAX);
    dns_answer_free(&a);
}

START_TEST(every_truncation_is_rejected)
{
    struct message *m = sample(_i);
    for (size_t len = 0; len < m->len; len++) {
        struct dns_answer a;
        ck_assert_int_eq(parse(&a, m, len, sample_type[_i]), -EBADMSG);
        ck_assert_ptr_null(a.record);
    }
}
END_TEST

START_TEST(every_byte_may_be_anything)
{
    struct message *m = sample(_i);
    for (size_t at = 0; at < m->len; at++) {
        const uint8_t before = m->bytes[at];
        for (unsigned value = 0; value < 256; value++) {
            m->bytes[at] = (uint8_t)value;
            try_it(m, m->len, sample_type[_i]);
        }
        m->bytes[at] = before;
    }
}
END_TEST

static uint64_t next_random(uint64_t *state) /* xorshift64 */
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

START_TEST(many_bytes_may_be_anything)
{
    uint64_t state = 0x9e3779b97f4a7c15;
    for (int round = 0; round < 20000; round++) {
        struct message *m = sample(_i);
        size_t changes = 1 + next_random(&state) % 8;
        for (size_t i = 0; i < changes; i++) {
            size_t at = next_random(&state) % m->len;
            /* pointers are the most dangerous */
            m->bytes[at] = next_random(&state) % 4 == 0 ? 0xc0 : (uint8_t)next_random(&state);
        }
        try_it(m, 1 + next_random(&state) % m->len, sample_type[_i]);
        try_it(m, m->len, sample_type[_i]);
    }
}
END_TEST

/* ---- addresses ---- */

static struct addr address(const char *text)
{
    struct addr a;
    const char *why = "";
    ck_assert_msg(addr_parse(&a, text, &why) == 0, "%s: %s", text, why);
    return a;
}

START_TEST(unusable_addresses_are_recognized)
{
    static const char *const bad[] = { "0.0.0.0:80",         "0.1.2.3:80",     "224.0.0.1:80",
                                       "239.255.255.255:80", "[::]:80",        "255.255.255.255:80",
                                       "[ff02::1]:80",       "[fe80::1%lo]:80" };
    static const char *const good[] = { "10.0.0.1:80", "127.0.0.1:80", "223.255.255.255:1",
                                        "[::1]:80", "[2001:db8::1]:65535" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct addr a = address(bad[i]);
        ck_assert_msg(answers_why_unusable(&a) != NULL, "%s", bad[i]);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct addr a = address(good[i]);
        ck_assert_msg(answers_why_unusable(&a) == NULL, "%s", good[i]);
        a.in.sin_port = 0; /* at the same offset in both families */
        ck_assert_str_eq(answers_why_unusable(&a), "port 0");
    }
}
END_TEST

static void add(struct answers *s, const char *text, unsigned weight, bool backup)
{
    const struct pool_answer one = { .addr = address(text), .weight = weight, .backup = backup };
    ck_assert_int_eq(answers_add(s, &one), 0);
}

START_TEST(a_set_does_not_depend_on_the_order_of_the_answer)
{
    struct answers a = { .count = 0 };
    struct answers b = { .count = 0 };
    add(&a, "10.0.0.2:80", 0, false);
    add(&a, "[::1]:80", 0, false);
    add(&a, "10.0.0.1:80", 0, false);
    add(&b, "10.0.0.1:80", 0, false);
    add(&b, "10.0.0.2:80", 0, false);
    add(&b, "[::1]:80", 0, false);
    add(&b, "10.0.0.2:80", 0, false);
    answers_sort_unique(&a);
    answers_sort_unique(&b);
    ck_assert_uint_eq(b.count, 3);
    ck_assert(answers_equal(&a, &b));
    b.list[1].weight = 5;
    ck_assert(!answers_equal(&a, &b));
    b.list[1].weight = 0;
    b.list[1].backup = true;
    ck_assert(!answers_equal(&a, &b));
    answers_fini(&a);
    ck_assert(!answers_equal(&a, &b));
    answers_fini(&b);
    answers_sort_unique(&a); /* of an empty set */
    ck_assert(answers_equal(&a, &b));
}
END_TEST

START_TEST(duplicates_are_removed)
{
    struct answers s = { .count = 0 };
    add(&s, "10.0.0.1:80", 200, true);
    add(&s, "10.0.0.1:80", 10, false);
    add(&s, "10.0.0.1:80", 20, false);
    add(&s, "10.0.0.1:81", 1, true);
    answers_sort_unique(&s);
    ck_assert_uint_eq(s.count, 2);
    ck_assert_uint_eq(s.list[0].weight, 20);
    ck_assert(!s.list[0].backup);
    ck_assert(s.list[1].backup);
    answers_fini(&s);
}
END_TEST

START_TEST(a_set_is_bounded)
{
    const struct pool_answer one = { .addr = address("10.0.0.1:80") };
    struct answers s = { .count = 0 };
    for (int i = 0; i < ANSWERS_MAX; i++)
        ck_assert_int_eq(answers_add(&s, &one), 0);
    ck_assert_int_eq(answers_add(&s, &one), -E2BIG);
    answers_fini(&s);
}
END_TEST

/* ---- services ---- */

#define SERVICES 4

static const struct scaling {
    struct {
        uint16_t priority, weight;
        unsigned is;
        bool backup;
    } of[SERVICES];
} scalings[] = {
    /* unchanged if none is above 256 */
    { { { 1, 10, 10, false }, { 1, 20, 20, false }, { 1, 256, 256, false }, { 1, 0, 1, false } } },
    /* otherwise in proportion, at least 1 */
    { { { 1, 65535, 256, false },
        { 1, 32768, 128, false },
        { 1, 256, 1, false },
        { 1, 1, 1, false } } },
    { { { 1, 300, 256, false },
        { 1, 150, 128, false },
        { 1, 100, 85, false },
        { 1, 0, 1, false } } },
    /* 0, the server line's weight, if all are 0 */
    { { { 5, 0, 0, false }, { 5, 0, 0, false }, { 5, 0, 0, false }, { 5, 0, 0, false } } },
    /* all but the lowest priority are backups, scaled by themselves */
    { { { 20, 1000, 256, true },
        { 10, 7, 7, false },
        { 30, 500, 128, true },
        { 10, 3, 3, false } } },
    { { { 65535, 0, 0, true }, { 0, 1, 1, false }, { 0, 1, 1, false }, { 1, 0, 0, true } } },
};

START_TEST(priority_and_weight_become_backup_and_weight)
{
    union dns_record records[SERVICES] = { 0 };
    const struct dns_answer answer = { .type = DNS_SRV, .count = SERVICES, .record = records };
    struct answers_scale scale;
    for (int i = 0; i < SERVICES; i++) {
        records[i].srv.priority = scalings[_i].of[i].priority;
        records[i].srv.weight = scalings[_i].of[i].weight;
    }
    answers_scale_init(&scale, &answer);
    for (int i = 0; i < SERVICES; i++) {
        struct pool_answer out = { 0 };
        answers_scale(&scale, &records[i].srv, &out);
        ck_assert_uint_eq(out.weight, scalings[_i].of[i].is);
        ck_assert_int_eq(out.backup, scalings[_i].of[i].backup);
    }
}
END_TEST

/* ---- when a name is asked again ---- */

START_TEST(an_answer_is_valid_for_its_ttl_within_bounds)
{
    struct lookup_refresh r = { .min = 1000, .max = 300000 };
    ck_assert_uint_eq(lookup_refresh_answered(&r, 60), 60000);
    ck_assert_uint_eq(lookup_refresh_answered(&r, 0), 1000);
    ck_assert_uint_eq(lookup_refresh_answered(&r, 1), 1000);
    ck_assert_uint_eq(lookup_refresh_answered(&r, 300), 300000);
    ck_assert_uint_eq(lookup_refresh_answered(&r, 301), 300000);
    ck_assert_uint_eq(lookup_refresh_answered(&r, INT32_MAX), 300000);
}
END_TEST

START_TEST(after_failures_the_wait_doubles_up_to_five_times)
{
    struct lookup_refresh r = { .min = 1, .max = 10, .retry = 1000 };
    static const uint64_t waits[] = { 1000, 2000, 4000, 5000, 5000 };
    uint64_t last = 0;
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
        ck_assert_uint_eq(lookup_refresh_failed(&r, &last), waits[i]);
}
END_TEST

START_TEST(an_empty_answer_is_valid_for_its_ttl_within_bounds)
{
    struct lookup_refresh r = { .min = 1000, .max = 300000, .retry = 4000 };
    ck_assert_uint_eq(lookup_refresh_empty(&r, 0), 1000);
    ck_assert_uint_eq(lookup_refresh_empty(&r, 3), 3000);
    ck_assert_uint_eq(lookup_refresh_empty(&r, 60), 4000);
    r.retry = 100; /* below resolve_min: retry is the upper bound */
    ck_assert_uint_eq(lookup_refresh_empty(&r, 60), 100);
}
END_TEST

static TCase *answer_case(void)
{
    const int samples = sizeof sample_type / sizeof *sample_type;
    TCase *c = tcase_create("answers");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, addresses_are_read_with_their_lowest_ttl);
    tcase_add_test(c, ipv6_addresses_are_read);
    tcase_add_test(c, services_are_read);
    tcase_add_test(c, aliases_are_followed_and_other_names_ignored);
    tcase_add_test(c, a_loop_of_aliases_gives_no_records);
    tcase_add_test(c, a_ttl_beyond_its_range_is_0);
    tcase_add_test(c, a_message_that_is_no_answer_is_rejected);
    tcase_add_test(c, an_address_of_another_size_is_rejected);
    tcase_add_test(c, a_service_beyond_its_record_is_rejected);
    tcase_add_test(c, a_target_that_is_no_host_name_is_omitted);
    tcase_add_test(c, additional_addresses_of_services_are_found);
    tcase_add_test(c, the_negative_ttl_comes_from_the_soa_record);
    tcase_add_test(c, the_longest_name_has_253_characters);
    tcase_add_test(c, names_without_end_are_rejected);
    tcase_add_test(c, too_many_records_are_rejected);
    tcase_add_loop_test(c, every_truncation_is_rejected, 0, samples);
    tcase_add_loop_test(c, every_byte_may_be_anything, 0, samples);
    tcase_add_loop_test(c, many_bytes_may_be_anything, 0, samples);
    return c;
}

static TCase *set_case(void)
{
    TCase *c = tcase_create("sets");
    tcase_add_test(c, unusable_addresses_are_recognized);
    tcase_add_test(c, a_set_does_not_depend_on_the_order_of_the_answer);
    tcase_add_test(c, duplicates_are_removed);
    tcase_add_test(c, a_set_is_bounded);
    tcase_add_loop_test(c, priority_and_weight_become_backup_and_weight, 0,
                        sizeof scalings / sizeof *scalings);
    tcase_add_test(c, an_answer_is_valid_for_its_ttl_within_bounds);
    tcase_add_test(c, after_failures_the_wait_doubles_up_to_five_times);
    tcase_add_test(c, an_empty_answer_is_valid_for_its_ttl_within_bounds);
    return c;
}

int main(void)
{
    Suite *s = suite_create("resolver");
    suite_add_tcase(s, answer_case());
    suite_add_tcase(s, set_case());
    return suite_main(s);
}
