#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/keys.h"
#include "config_rig.h"

/* --- Printing and comparing --- */

START_TEST(a_printed_configuration_loads_as_the_same)
{
    expect_round_trip(MINIMAL);
    expect_round_trip(full_config);
    expect_round_trip("[defaults]\nretries = 9\nkeepalive = no\n" MINIMAL);
    expect_round_trip(LISTEN "[pool p]\nserver = [2001:DB8:0:0::1]:080 weight=2\n"
                             "server = unix:/run/a\\x20\\x2c\\xff name=b\nserver = unix:@\\x00\n"
                             "server = 10.0.0.1:80 name=10.0.0.2:80\n"
                             "server = Db.example.:0080\nserver = db.example:80 name=x:80\n"
                             "server = srv:_a._tcp.example check_address=unix:@x\n"
                             "server = srv:_b._tcp.example name=srv\n");
    expect_round_trip("[pool p]\nserver = 10.0.0.1\nserver = 10.0.0.2 name=x\n"
                      "server = [2001:DB8::0] name=10.0.0.3 weight=2\n"
                      "[listen l]\nbind = 10.0.0.9:1-65535, *:1-80\npool = p\n");
    expect_round_trip(POOL "[listen l]\nbind = unix:/a\\x20b mode=0600 user=x, unix:/c group=1\n"
                           "pool = p\n");
    expect_round_trip(POOL LISTEN "deny = 10.0.0.1\nallow = 10.0.0.0/8\ndeny = all\nallow = all\n");
    expect_round_trip(MINIMAL
                      "check = send\ncheck_step = send  \\x20AUTH \\x23x\\r\\n\n"
                      "check_step = expect +OK\ncheck_step = expect +OK\n"
                      "check_step = expect_not \\0\ncheck_step = expect_regex ^a b\\.#\\r?$\n");
    expect_round_trip(MINIMAL "[global]\nuser =#x\ngroup =;y\n");
    expect_round_trip(MINIMAL "[global]\nbusy_poll = off\n");
    expect_round_trip(MINIMAL "[global]\nbusy_poll = auto\n");
    expect_round_trip(MINIMAL "[global]\nlog = syslog\naccess_log = syslog:local7\n");
    expect_round_trip(MINIMAL "[global]\nlog = /a  b\t c#d;e\naccess_log = off\n");
}
END_TEST

START_TEST(long_values_are_printed_on_several_lines)
{
    char tail[1200] = "\n ";
    char server[400];
    memset(tail + 2, 'y', 198);
    expect_round_trip(long_line(199, ""));
    expect_round_trip(long_line(199, tail));
    for (int i = 0, n = 0; i < 100; i++)
        n += snprintf(tail + n, sizeof tail - (size_t)n, i % 10 == 0 ? "\n a b  c" : "  a b  c");
    expect_round_trip(long_line(150, tail));
    int begin = snprintf(server, sizeof server, LISTEN "[pool p]\nserver = unix:/");
    for (int i = 0; i < 40; i++)
        begin += snprintf(server + begin, sizeof server - (size_t)begin, "\\x20");
    expect_round_trip(server);
}
END_TEST

START_TEST(a_list_of_ciphers_may_be_longer_than_a_line)
{
    static const char start[] = POOL LISTEN "tls = yes\ntls_certificate = /a\ntls_ciphers = ";
    static const char line[] = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256";
    char list[1000] = "", text[2000];
    int size = snprintf(text, sizeof text, "%s", start);
    for (int i = 0, n = 0; i < 8; i++) {
        n += snprintf(list + n, sizeof list - (size_t)n, "%s%s", i == 0 ? "" : ":", line);
        size += snprintf(text + size, sizeof text - (size_t)size, "%s%s",
                         i == 0       ? ""
                         : i % 2 == 0 ? ":\n "
                                      : "\n :",
                         line);
    }
    struct config *c = load_good(text);
    ck_assert_str_eq(c->listen[0].tls_limits.ciphers, list);
    config_free(c);
    expect_round_trip(text);
}
END_TEST

/* Returns the end of a section in the printed text. */
static char *section_end(char *begin)
{
    char *end = strstr(begin, "\n\n");
    return end == NULL ? begin + strlen(begin) : end + 1;
}

START_TEST(every_key_is_printed_once)
{
    struct config *c = load_good(MINIMAL);
    char *text = print(c);
    char *begin = text;
    for (size_t i = 0; i < SECTION_KINDS; i++) {
        const struct section *s = &keys_sections[i];
        char *end = section_end(begin);
        const char after = *end;
        *end = '\0';
        for (size_t k = 0; k < s->key_count; k++) {
            const struct key *key = &s->keys[k];
            char line[80];
            if ((key->flags & KEY_INCLUDE) != 0)
                continue;
            size_t count = keys_item_count(key, keys_section_at(s, c, 0));
            snprintf(line, sizeof line, "\n%s%s =", count == 0 ? "#" : "", key->name);
            const char *found = strstr(begin, line);
            ck_assert_msg(found != NULL, "%s", line);
            ck_assert_ptr_null(strstr(found + 1, line));
            if (key->default_value != NULL) {
                snprintf(line, sizeof line, "\n%s = %s\n", key->name, key->default_value);
                ck_assert_msg(strstr(begin, line) != NULL, "%s", line);
            }
        }
        *end = after;
        begin = end + 1;
    }
    free(text);
    config_free(c);
}
END_TEST

START_TEST(every_change_is_found)
{
    struct config *a = load_good("[global]\nuser = x\nlog_level = info\n" LISTEN
                                 "bind = *:81, *:82\n[listen old]\nbind = *:90\npool = p\n"
                                 "[pool p]\nserver = 10.0.0.1:80 name=a\nserver = 10.0.0.2:80\n"
                                 "retries = 1\n");
    struct config *b =
        load_good("[global]\ngroup = y\nlog_level = debug\n"
                  "[pool p]\nserver = 10.0.0.3:80\nserver = 10.0.0.1:80 name=a "
                  "state=drain\nretries = 3\n"
                  "[listen new]\nbind = *:91\npool = p\n" LISTEN "bind = *:82, *:83\n");
    size_t count = 0;
    char *text = compare(a, b, &count);
    ck_assert_str_eq(text, "[global] user: x > -\n"
                           "[global] group: - > y\n"
                           "[global] log_level: info > debug\n"
                           "[listen l] bind: *:81 > -\n"
                           "[listen l] bind: - > *:83\n"
                           "[listen new] -: - > listen new\n"
                           "[listen old] -: listen old > -\n"
                           "[pool p] server: 10.0.0.1:80 name=a > 10.0.0.1:80 name=a state=drain\n"
                           "[pool p] server: 10.0.0.2:80 > -\n"
                           "[pool p] server: - > 10.0.0.3:80\n"
                           "[pool p] retries: 1 > 3\n");
    ck_assert_uint_eq(count, 11);
    free(text);
    config_free(a);
    config_free(b);
}
END_TEST

START_TEST(a_list_of_two_keys_is_printed_in_its_order)
{
    struct config *c =
        load_good(POOL LISTEN "deny = 10.0.0.1, 10.0.0.2\nallow = unix:\ndeny = all\n");
    char *text = print(c);
    ck_assert_ptr_nonnull(strstr(text, "\ndeny = 10.0.0.1\ndeny = 10.0.0.2\nallow = unix:\n"
                                       "deny = all\nmax_connections_per_ip = "));
    ck_assert_ptr_null(strstr(text, "#deny"));
    free(text);
    config_free(c);
}
END_TEST

START_TEST(the_control_socket_is_printed_as_a_path)
{
    struct config *c = load_good(MINIMAL "[admin]\nsocket = unix:/run/a\\x20b\n");
    char *text = print(c);
    ck_assert_ptr_nonnull(strstr(text, "\nsocket = /run/a\\x20b\n"));
    free(text);
    config_free(c);
    expect_round_trip(MINIMAL "[admin]\nsocket = unix:@z\nhttp = [::1]:81\n");
}
END_TEST

static const struct {
    const char *from;
    const char *to;
    const char *expected;
} orders[] = {
    { "allow = 10.0.0.0/8\ndeny = all\n", "deny = all\nallow = 10.0.0.0/8\n",
      "[listen l] allow: allow 10.0.0.0/8 before deny all > deny all before allow 10.0.0.0/8\n" },
    { "allow = 10.0.0.1, 10.0.0.2, 10.0.0.3\n", "allow = 10.0.0.4, 10.0.0.1, 10.0.0.3, 10.0.0.2\n",
      "[listen l] allow: - > 10.0.0.4\n"
      "[listen l] allow: allow 10.0.0.2 before allow 10.0.0.3 > allow 10.0.0.3 before allow "
      "10.0.0.2\n" },
    { "allow = 10.0.0.1\ndeny = all\n", "deny = 10.0.0.1, all\n",
      "[listen l] allow: 10.0.0.1 > -\n[listen l] deny: - > 10.0.0.1\n" },
    { "allow = 10.0.0.1, 10.0.0.2\n", "allow = 10.0.0.2\n", "[listen l] allow: 10.0.0.1 > -\n" },
    { "route = sni=a pool=p, sni=b pool=p\n", "route = sni=b pool=p, sni=a pool=p\n",
      "[listen l] route: sni=a pool=p before sni=b pool=p > sni=b pool=p before sni=a pool=p\n" },
    { "route = sni=a pool=p\n", "route = sni=a alpn=h2 pool=p\n",
      "[listen l] route: sni=a pool=p > sni=a alpn=h2 pool=p\n" },
    { "accept_proxy = yes\ntrusted_proxies = 10.0.0.1, 10.0.0.2\n",
      "accept_proxy = yes\ntrusted_proxies = 10.0.0.2, 10.0.0.1\n", "" },
    { "bind = *:81, *:82\n", "bind = *:82, *:81\n", "" },
};

START_TEST(the_order_of_a_list_is_compared_if_it_matters)
{
    char text[500];
    size_t count = 0;
    snprintf(text, sizeof text, POOL LISTEN "%s", orders[_i].from);
    struct config *from = load_good(text);
    snprintf(text, sizeof text, POOL LISTEN "%s", orders[_i].to);
    struct config *to = load_good(text);
    char *found = compare(from, to, &count);
    ck_assert_str_eq(found, orders[_i].expected);
    free(found);
    config_free(from);
    config_free(to);
}
END_TEST

START_TEST(the_order_of_servers_is_compared)
{
    size_t count = 0;
    struct config *a = load_good(LISTEN "[pool p]\nserver = 10.0.0.1:80\nserver = 10.0.0.2:80\n");
    struct config *b = load_good(LISTEN "[pool p]\nserver = 10.0.0.2:80\nserver = 10.0.0.1:80\n");
    char *text = compare(a, b, &count);
    ck_assert_str_eq(text, "[pool p] server: 10.0.0.1:80 before 10.0.0.2:80 > 10.0.0.2:80 before "
                           "10.0.0.1:80\n");
    free(text);
    config_free(a);
    config_free(b);
}
END_TEST

/* --- The manual and the example file --- */

/* Reads a file of the source tree; NULL if the tests run elsewhere. */
static char *shipped(const char *path)
{
    const char *srcdir = getenv("srcdir");
    char name[512];
    char *text = NULL;
    size_t size = 0;
    snprintf(name, sizeof name, "%s/../%s", srcdir == NULL ? "." : srcdir, path);
    int fd = openat(old_dir, name, O_RDONLY | O_CLOEXEC);
    FILE *in = fd == -1 ? NULL : fdopen(fd, "r");
    if (in == NULL || getdelim(&text, &size, '\0', in) == -1) {
        free(text);
        text = NULL;
    }
    if (in != NULL)
        fclose(in);
    return text;
}

START_TEST(every_key_is_in_the_manual_and_in_the_example)
{
    char *manual = shipped("src/zproxy.ini.5");
    char *example = shipped("etc/zproxy.ini");
    for (size_t s = 0; s < SECTION_KINDS && manual != NULL && example != NULL; s++)
        for (size_t k = 0; k < keys_sections[s].key_count; k++) {
            const struct key *key = &keys_sections[s].keys[k];
            char line[80];
            snprintf(line, sizeof line, "Ic %s ", key->name);
            ck_assert_msg(strstr(manual, line) != NULL, "%s", line);
            snprintf(line, sizeof line, "\n#%s = %s\n", key->name, key->default_value);
            if (key->default_value == NULL)
                snprintf(line, sizeof line, "%s = ", key->name);
            ck_assert_msg(strstr(example, line) != NULL, "%s", line);
        }
    free(manual);
    free(example);
}
END_TEST

/* Whether a section of this type in the full file has the line. */
static bool full_file_has(const char *type, const char *line)
{
    char head[32];
    snprintf(head, sizeof head, "[%s", type);
    for (const char *at = strstr(full_config, head); at != NULL; at = strstr(at + 1, head)) {
        const char *next = strstr(at, "\n[");
        const char *found = strstr(at, line);
        if (found != NULL && (next == NULL || found < next))
            return true;
    }
    return false;
}

START_TEST(every_key_is_in_the_full_file)
{
    for (size_t s = 0; s < SECTION_KINDS; s++)
        for (size_t k = 0; k < keys_sections[s].key_count; k++) {
            const struct key *key = &keys_sections[s].keys[k];
            char line[80];
            snprintf(line, sizeof line, "\n%s = ", key->name);
            ck_assert_msg((key->flags & KEY_INCLUDE) != 0 ||
                              full_file_has(keys_sections[s].type, line),
                          "[%s]%s", keys_sections[s].type, line);
        }
}
END_TEST

/* Whether all errors are about keys that do not go together. */
static bool only_unfit(void)
{
    for (const char *line = errors; *line != '\0'; line = strchr(line, '\n') + 1) {
        size_t n = strcspn(line, "\n");
        if (memmem(line, n, "no effect", 9) == NULL &&
            memmem(line, n, "expected one of the two", 23) == NULL &&
            memmem(line, n, "no such pool", 12) == NULL)
            return false;
    }
    return true;
}

START_TEST(the_example_is_valid)
{
    char *text = shipped("etc/zproxy.ini");
    int mentioned = 0;
    if (text == NULL)
        return;
    expect_round_trip(text);
    for (char *c = text; (c = strchr(c, '#')) != NULL; c++) { /* the keys that are commented */
        if (c == text || c[-1] != '\n' || c[1] < 'a' || c[1] > 'z')
            continue;
        *c = '\n';
        struct config *conf = load(text);
        ck_assert_msg(conf != NULL || only_unfit(), "%s", errors);
        config_free(conf);
        *c = '#';
        mentioned++;
    }
    ck_assert_int_gt(mentioned, 40);
    free(text);
}
END_TEST

/* --- Corrupted files --- */

/* Changes, removes, duplicates or overwrites a few bytes. */
static size_t mangle(char *text, size_t n, size_t room)
{
    static const char letters[] = "\n\n [];#=:,\t\r\"\\/.*019azAZ_\x01\xff\xc3\xbc";
    for (int changes = rand() % 4; changes >= 0 && n > 64; changes--) {
        size_t len = (size_t)rand() % 16 + 1;
        size_t at = (size_t)rand() % (n - len);
        switch (rand() % 4) {
        case 0:
            text[at] = letters[(size_t)rand() % sizeof letters];
            break;
        case 1:
            memmove(text + at, text + at + len, n - at - len);
            n -= len;
            break;
        case 2:
            if (n + len > room)
                break;
            memmove(text + at + len, text + at, n - at);
            n += len;
            break;
        default:
            memmove(text + at, text + (size_t)rand() % (n - len), len);
            break;
        }
    }
    return n;
}

START_TEST(a_corrupted_file_loads_or_reports_errors)
{
    static const char *const seeds[] = { full_config, MINIMAL,
                                         "[defaults]\nretries = 3\n" MINIMAL };
    int valid = 0;
    srand((unsigned)_i);
    for (int round = 0; round < 250; round++) {
        char text[4096];
        const char *seed = seeds[round % 3];
        size_t n = strlen(seed);
        memcpy(text, seed, n + 1);
        n = mangle(text, n, sizeof text);
        write_bytes("a.ini", text, n);
        struct config *c = load_file("a.ini");
        if (c == NULL) {
            ck_assert_uint_gt(errors_size, 0);
            ck_assert_int_eq(strncmp(errors, "a.ini:", 6), 0);
            ck_assert_int_eq(errors[errors_size - 1], '\n');
            continue;
        }
        char *printed = print(c);
        struct config *again = load(printed);
        ck_assert_msg(again != NULL, "%s%s", errors, printed);
        size_t count = 0;
        free(compare(c, again, &count));
        ck_assert_uint_eq(count, 0);
        free(printed);
        config_free(again);
        config_free(c);
        valid++;
    }
    ck_assert_int_gt(valid, 10); /* otherwise too few bytes survive for the test to find errors */
}
END_TEST

static void add_tests(TCase *t)
{
    tcase_add_test(t, a_printed_configuration_loads_as_the_same);
    tcase_add_test(t, long_values_are_printed_on_several_lines);
    tcase_add_test(t, a_list_of_ciphers_may_be_longer_than_a_line);
    tcase_add_test(t, every_key_is_printed_once);
    tcase_add_test(t, every_change_is_found);
    tcase_add_test(t, a_list_of_two_keys_is_printed_in_its_order);
    tcase_add_test(t, the_control_socket_is_printed_as_a_path);
    tcase_add_loop_test(t, the_order_of_a_list_is_compared_if_it_matters, 0, COUNT(orders));
    tcase_add_test(t, the_order_of_servers_is_compared);
    tcase_add_test(t, every_key_is_in_the_manual_and_in_the_example);
    tcase_add_test(t, every_key_is_in_the_full_file);
    tcase_add_test(t, the_example_is_valid);
    tcase_add_loop_test(t, a_corrupted_file_loads_or_reports_errors, 0, 4);
}

int main(void)
{
    return config_rig_main("config_print", add_tests);
}
