#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config_rig.h"

/* A chain of two listeners: the server of the first is an address of the second. */
#define TWO                                                                                \
    "[listen a]\nbind = *:80\npool = a\n[listen b]\nbind = 127.0.0.1:81, *:82\npool = b\n" \
    "[pool a]\nserver = 127.0.0.1:82\n"

static const struct {
    const char *text;
    const char *expected;
} unfitting[] = {
    { "[listen l]\npool = p\n" POOL, "a.ini:1: [listen l] bind: missing, expected at least one\n" },
    { "[listen l]\nbind = *:80\n" POOL, "a.ini:1: [listen l] pool: missing, expected a value\n" },
    { LISTEN "[pool p]\n",
      "a.ini:4: [pool p] server: missing, expected at least one, a file, or empty = yes\n" },
    { LISTEN "[pool pp]\nserver = 1.1.1.1:1\n",
      "a.ini:3: [listen l] pool: \"p\": no such pool, expected a section [pool p]\n" },
    { "[listen l]\nbind = *:80\npool = wbe\n[pool web]\nserver = 1.1.1.1:1\n",
      "a.ini:3: [listen l] pool: \"wbe\": no such pool, did you mean \"web\"?\n" },
    { LISTEN, "a.ini:3: [listen l] pool: \"p\": no such pool, expected a section [pool p]\n" },
    { MINIMAL "server = 10.0.0.1:80\n", "a.ini:6: [pool p] server: \"10.0.0.1:80\": name given "
                                        "twice in this pool, first in line 5\n" },
    { MINIMAL "server = 10.0.0.2:80 name=a\nserver = 10.0.0.3:80 name=b\n"
              "server = 10.0.0.4:80 name=a\nserver = 10.0.0.4:80 name=a\n",
      "a.ini:8: [pool p] server: \"a\": name given twice in this pool, first in line 6\n"
      "a.ini:9: [pool p] server: \"a\": name given twice in this pool, first in line 6\n" },
    { POOL LISTEN "bind = 10.0.0.1:81, 10.0.0.1:81\n",
      "a.ini:6: [listen l] bind: \"10.0.0.1:81\": already bound, as \"10.0.0.1:81\" by "
      "[listen l] in line 6\n" },
    { MINIMAL "[listen m]\nbind = unix:/a\nbind = *:80\npool = p\n",
      "a.ini:8: [listen m] bind: \"*:80\": already bound, as \"*:80\" by [listen l] in line 2\n" },
    { MINIMAL "[listen m]\nbind = 0.0.0.0:80\npool = p\n",
      "a.ini:7: [listen m] bind: \"0.0.0.0:80\": already bound, as \"*:80\" by [listen l] in line "
      "2\n" },
    { MINIMAL "[listen m]\nbind = [::]:81\nbind = *:81\npool = p\n",
      "a.ini:8: [listen m] bind: \"*:81\": already bound, as \"[::]:81\" by [listen m] in line "
      "7\n" },
    { MINIMAL "[listen m]\nbind = [::ffff:10.0.0.1]:81, 10.0.0.1:81\npool = p\n",
      "a.ini:7: [listen m] bind: \"10.0.0.1:81\": already bound, as \"10.0.0.1:81\" by [listen m] "
      "in line 7\n" },
    { MINIMAL "[listen m]\nbind = 0.0.0.0:80 device=a\npool = p\n",
      "a.ini:7: [listen m] bind: \"0.0.0.0:80\": already bound, as \"*:80\" by [listen l] in line 2, "
      "expected device= for both or for none\n" },
    { MINIMAL
      "[listen m]\nbind = *:81 device=a\nbind = *:81 device=b\nbind = *:81-82 device=a\npool "
      "= p\n",
      "a.ini:9: [listen m] bind: \"*:81\": already bound, as \"*:81\" by [listen m] in line 7\n" },
    { "[listen l]\nbind = *:80 device=lo\npool = p\n[pool p]\nserver = 127.0.0.1:80\n",
      "a.ini:5: [pool p] server: \"127.0.0.1:80\": a loop, it leads back to \"*:80\" of "
      "[listen l] in line 2\n" },
    { LISTEN "[pool p]\nserver = 127.0.0.1:80\n",
      "a.ini:5: [pool p] server: \"127.0.0.1:80\": a loop, it leads back to \"*:80\" of "
      "[listen l] in line 2\n" },
    { LISTEN "[pool p]\nserver = [::1]:80\n",
      "a.ini:5: [pool p] server: \"[::1]:80\": a loop, it leads back to \"*:80\" of [listen l] in "
      "line 2\n" },
    { "[pool p]\nserver = 127.0.0.1:1\nserver = unix:/a\nserver = 10.9.9.9:7\n"
      "[listen l]\nbind = 127.0.0.1:2, unix:/a, 10.9.9.9:7, 0.0.0.0:1\npool = p\n",
      "a.ini:2: [pool p] server: \"127.0.0.1:1\": a loop, it leads back to \"0.0.0.0:1\" of "
      "[listen l] in line 6\n"
      "a.ini:3: [pool p] server: \"unix:/a\": a loop, it leads back to \"unix:/a\" of [listen l] "
      "in line 6\n"
      "a.ini:4: [pool p] server: \"10.9.9.9:7\": a loop, it leads back to \"10.9.9.9:7\" of "
      "[listen l] in line 6\n" },
    { MINIMAL "[global]\nresolve_min = 1h\n",
      "a.ini:7: [global] resolve_min: resolve_min is longer than resolve_max, expected no longer\n" },
    { MINIMAL "[global]\nresolve_max = 500ms\n",
      "a.ini:7: [global] resolve_max: resolve_min is longer than resolve_max, expected no longer\n" },
    { MINIMAL "file = /a\n",
      "a.ini:6: [pool p] file: given with servers, expected one of the two\n" },
    { LISTEN "[pool p]\nfile = a\nfallback = q\ncheck = tcp\nretries = 2\n"
             "connect_timeout = 1s\n[pool q]\nfile = /b\n",
      "a.ini:5: [pool p] file: \"a\": not absolute, expected a path that begins with /\n"
      "a.ini:9: [pool p] connect_timeout: has no effect with file, which replaces servers\n"
      "a.ini:7: [pool p] check: has no effect with file, which replaces servers\n"
      "a.ini:6: [pool p] fallback: has no effect with file, which replaces servers\n" },
    { MINIMAL "check_send = a\n",
      "a.ini:6: [pool p] check_send: has no effect without check = send\n" },
    { MINIMAL "check = http\ncheck_send = a\ncheck_expect = b\n",
      "a.ini:7: [pool p] check_send: has no effect without check = send\n"
      "a.ini:8: [pool p] check_expect: has no effect without check = send\n" },
    { MINIMAL "check = tcp\ncheck_path = /x\ncheck_host = x\ncheck_status = 200\n",
      "a.ini:7: [pool p] check_path: has no effect without check = http\n"
      "a.ini:8: [pool p] check_host: has no effect without check = http\n"
      "a.ini:9: [pool p] check_status: has no effect without check = http\n" },
    { MINIMAL "hash_key = source_port\n",
      "a.ini:6: [pool p] hash_key: has no effect without balance = hash\n" },
    { MINIMAL "check = send\n", "a.ini:6: [pool p] check: \"send\": nothing to send, expected "
                                "check_send, check_expect or both, or check_step\n" },
    { "[defaults]\ncheck = send\n" MINIMAL,
      "a.ini:6: [pool p] check: \"send\": nothing to send, expected check_send, check_expect or "
      "both, or check_step\n" },
    { MINIMAL "check = send\ncheck_send = \\\n",
      "a.ini:7: [pool p] check_send: \"\\\": bad backslash, expected \\r \\n \\t \\\\ \\\" \\0, "
      "\\xHH with two hexadecimal digits, or another escape of C\n" },
    { MINIMAL "fallback = q\n",
      "a.ini:6: [pool p] fallback: \"q\": no such pool, expected a section [pool q]\n" },
    { "[defaults]\nfallback = qq\n" MINIMAL "[pool q]\nfile = /b\n",
      "a.ini:6: [pool p] fallback: \"qq\": no such pool, did you mean \"q\"?\n" },
    { MINIMAL "fallback = p\n", "a.ini:6: [pool p] fallback: a loop: p -> p\n" },
    { MINIMAL "fallback = b\n[pool a]\nserver = 10.0.0.1:80\nfallback = b\n"
              "[pool b]\nserver = 10.0.0.1:80\nfallback = c\n"
              "[pool c]\nserver = 10.0.0.1:80\nfallback = a\n"
              "[pool d]\nserver = 10.0.0.1:80\nfallback = d\n",
      "a.ini:9: [pool a] fallback: a loop: a -> b -> c -> a\n"
      "a.ini:18: [pool d] fallback: a loop: d -> d\n" },
    { "[defaults]\nfallback = b\n" MINIMAL "[pool b]\nserver = 10.0.0.1:80\nfallback = p\n",
      "a.ini:6: [pool p] fallback: a loop: p -> b -> p\n" },
    { MINIMAL "[listen m]\nbind = fd:web, fd:3\npool = p\n[listen n]\nbind = fd:3\npool = p\n",
      "a.ini:10: [listen n] bind: \"fd:3\": already taken by [listen m] in line 7\n" },
    { "[admin]\nsocket = /a\nhttp = 127.0.0.1:81\n" MINIMAL
      "bind = unix:/a\n[listen m]\nbind = unix:/a, 127.0.0.1:81\npool = p\n",
      "a.ini:9: [pool p] bind: belongs in [listen NAME]\n"
      "a.ini:2: [admin] socket: already bound, as \"unix:/a\" by [listen m] in line 11\n"
      "a.ini:3: [admin] http: already bound, as \"127.0.0.1:81\" by [listen m] in line 11\n" },
    { MINIMAL "[admin]\nhttp = 0.0.0.0:80\n",
      "a.ini:7: [admin] http: already bound, as \"*:80\" by [listen l] in line 2\n" },
    { MINIMAL "[admin]\nhttp = unix:/a\nsocket = /a\n",
      "a.ini:7: [admin] http: the same as socket, expected another address\n" },
    { POOL LISTEN "accept_proxy = yes\n",
      "a.ini:6: [listen l] accept_proxy: needs trusted_proxies, expected the networks whose headers are trusted, or all\n" },
    { "[defaults]\naccept_proxy = yes\n" POOL LISTEN,
      "a.ini:5: [listen l] accept_proxy: needs trusted_proxies, expected the networks whose headers are trusted, or all\n" },
    { POOL LISTEN "accept_proxy = yes\ntrusted_proxies = x\n",
      "a.ini:7: [listen l] trusted_proxies: \"x\": a name, expected a numeric network\n" },
    { POOL LISTEN "trusted_proxies = all\n",
      "a.ini:6: [listen l] trusted_proxies: has no effect without accept_proxy = yes\n" },
    { POOL LISTEN "route = sni=a pool=q\nroute = sni=b pool=p, sni=c pool=pp\n",
      "a.ini:6: [listen l] route: \"q\": no such pool, expected a section [pool q]\n"
      "a.ini:7: [listen l] route: \"pp\": no such pool, did you mean \"p\"?\n" },
    { POOL "[listen l]\nbind = 10.0.0.1:8000-8009, 10.0.0.1:8005-8020, *:8009, 10.0.0.1:8020\n"
           "pool = p\n",
      "a.ini:4: [listen l] bind: \"10.0.0.1:8005\": already bound, as \"10.0.0.1:8005\" by "
      "[listen l] in line 4\n"
      "a.ini:4: [listen l] bind: \"10.0.0.1:8020\": already bound, as \"10.0.0.1:8020\" by "
      "[listen l] in line 4\n" },
    { "[listen l]\nbind = *:8000-8009\npool = p\n[pool p]\nserver = 127.0.0.1:8005\n",
      "a.ini:5: [pool p] server: \"127.0.0.1:8005\": a loop, it leads back to \"*:8005\" of "
      "[listen l] in line 2\n" },
    { "[listen l]\nbind = *:8000-8009\npool = p\n[pool p]\nserver = 127.0.0.1\n",
      "a.ini:5: [pool p] server: \"127.0.0.1\": a loop, it leads back to \"*:8000\" of "
      "[listen l] in line 2\n" },
    { LISTEN "route = sni=a pool=q\n" POOL "fallback = r\n[pool q]\nserver = [::1]\n"
             "[pool r]\nserver = 127.0.0.1 name=x\n[pool s]\nserver = 127.0.0.1\n",
      "a.ini:9: [pool q] server: \"[::1]\": a loop, it leads back to \"*:80\" of [listen l] in "
      "line 2\n"
      "a.ini:11: [pool r] server: \"127.0.0.1\": a loop, it leads back to \"*:80\" of [listen l] "
      "in line 2: listen l -> pool p -> pool r\n" },
    { TWO "[pool b]\nserver = 127.0.0.1:81\nfallback = c\n[pool c]\nserver = 127.0.0.1:80\n",
      "a.ini:8: [pool a] server: \"127.0.0.1:82\": a loop, it leads back to \"*:82\" of [listen b] "
      "in line 5: listen b -> pool b -> pool c -> listen a -> pool a\n"
      "a.ini:10: [pool b] server: \"127.0.0.1:81\": a loop, it leads back to \"127.0.0.1:81\" of "
      "[listen b] in line 5\n"
      "a.ini:13: [pool c] server: \"127.0.0.1:80\": a loop, it leads back to \"*:80\" of [listen a] "
      "in line 2: listen a -> pool a -> listen b -> pool b -> pool c\n" },
    { TWO "[pool b]\nserver = [::ffff:127.0.0.1]:80\n",
      "a.ini:8: [pool a] server: \"127.0.0.1:82\": a loop, it leads back to \"*:82\" of [listen b] "
      "in line 5: listen b -> pool b -> listen a -> pool a\n"
      "a.ini:10: [pool b] server: \"127.0.0.1:80\": a loop, it leads back to \"*:80\" of [listen a] "
      "in line 2: listen a -> pool a -> listen b -> pool b\n" },
    { TWO "[pool b]\nserver = 127.0.0.1\nserver = unix:/c\n"
          "[listen c]\nbind = unix:/c\nroute = sni=x pool=b\npool = d\n"
          "[pool d]\nserver = 10.0.0.1:1\n",
      "a.ini:10: [pool b] server: \"127.0.0.1\": a loop, it leads back to \"127.0.0.1:81\" of "
      "[listen b] in line 5\n"
      "a.ini:11: [pool b] server: \"unix:/c\": a loop, it leads back to \"unix:/c\" of [listen c] "
      "in line 13\n" },
    { "[listen l]\nbind = unix:/a\npool = p\n[pool p]\nserver = 10.0.0.1\n",
      "a.ini:5: [pool p] server: \"10.0.0.1\": needs a port for clients of \"unix:/a\" of "
      "[listen l] in line 2\n" },
    { LISTEN "[pool p]\nserver = 10.0.0.1\nserver = 10.0.0.2 check_address=10.0.0.2:1\n"
             "check = tcp\n",
      "a.ini:5: [pool p] server: \"10.0.0.1\": has no port for checks, expected check_port or check_address=\n" },
    { MINIMAL "check = tcp\ncheck_step = send a\n",
      "a.ini:7: [pool p] check_step: has no effect without check = send\n" },
    { MINIMAL "check = send\ncheck_step = send a\ncheck_expect = b\n",
      "a.ini:8: [pool p] check_expect: given with check_step, expected one of the two\n" },
    { MINIMAL "check_port = 81\ncheck_send_proxy = yes\n",
      "a.ini:6: [pool p] check_port: has no effect without check\n"
      "a.ini:7: [pool p] check_send_proxy: has no effect without check\n" },
    { LISTEN "[pool p]\nfile = /a\nempty = yes\n",
      "a.ini:6: [pool p] empty: has no effect with file, which replaces servers\n" },
    { LISTEN "[pool p]\nempty = no\n",
      "a.ini:4: [pool p] server: missing, expected at least one, a file, or empty = yes\n" },
    { LISTEN "[pool p]\nserver = 10.0.0.1:80\nserver = [::2]:80\nserver = unix:/a\n"
             "server = a:80\nsource = 10.0.0.2\n",
      "a.ini:6: [pool p] server: \"[::2]:80\": cannot be reached from source, expected both to be "
      "IPv4 or both IPv6\n" },
};

START_TEST(keys_that_conflict_are_reported)
{
    expect_errors(unfitting[_i].text, unfitting[_i].expected);
}
END_TEST

/* --- Variables of the environment --- */

START_TEST(variables_come_from_the_environment)
{
    setenv("ZT_RETRIES", "7", 1);
    setenv("ZT_SERVERS", "10.0.0.1:80 weight=3", 1);
    setenv("ZT_NETS", "10.0.0.0/8, 192.0.2.1", 1);
    setenv("ZT_WORD", "a\\b \"#\xff\n", 1);
    setenv("ZT_ERE", "a\\.b", 1);
    setenv("ZT_EMPTY", "", 1);
    struct config *c =
        load_good("[defaults]\nretries = ${ZT_RETRIES}\nallow = unix:, ${ZT_NETS}\n" LISTEN
                  "deny = ${ZT_NETS}\n[listen m]\nbind = *:81\npool = p\n"
                  "[pool p]\nserver = ${ZT_SERVERS} backup\ncheck = send\n"
                  "check_step = send ${ZT_WORD}$${ZT_WORD}$\\r\ncheck_step = send x${ZT_EMPTY}\n"
                  "check_step = expect_regex ^${ZT_ERE}$\n");
    const struct config_pool *p = &c->pool[0];
    ck_assert_uint_eq(p->retries, 7);
    ck_assert_uint_eq(p->server[0].weight, 3);
    ck_assert(p->server[0].backup);
    ck_assert_uint_eq(c->listen[0].access_count, 2);
    ck_assert(!c->listen[0].access[0].allow);
    ck_assert_uint_eq(c->listen[1].access_count, 3);
    ck_assert_uint_eq(p->check_step[0].bytes.len, 20);
    ck_assert_mem_eq(p->check_step[0].bytes.data, "a\\b \"#\xff\n${ZT_WORD}$\r", 20);
    ck_assert_mem_eq(p->check_step[1].bytes.data, "x", 1);
    ck_assert_str_eq(p->check_step[2].bytes.data, "^a\\.b$");
    config_free(c);
}
END_TEST

START_TEST(variables_are_printed_as_they_were_written)
{
    size_t count = 0;
    setenv("ZT_SECRET", "hunter22", 1);
    setenv("ZT_NETS", "10.0.0.0/8, 192.0.2.1", 1);
    static const char text[] =
        "[defaults]\ncheck_interval = 9s\n" LISTEN "allow = ${ZT_NETS}, unix:\ndeny = all\n" POOL
        "check = send\ncheck_send = a\\${ZT_SECRET} $${b}\n";
    struct config *c = load_good("[global]\npid_file = /$${x\n" MINIMAL);
    ck_assert_str_eq(c->global.fixed.pid_file, "/${x");
    config_free(c);
    expect_round_trip("[global]\npid_file = /$${x\n" MINIMAL);
    expect_errors(text, "a.ini:11: [pool p] check_send: \"a\\${ZT_SECRET} $${b}\": bad backslash, "
                        "expected \\r \\n \\t \\\\ \\\" \\0, \\xHH with two hexadecimal digits, or "
                        "another escape of C\n");
    setenv("ZT_SECRET", "x41nter22", 1);
    expect_round_trip(text);
    c = load_good(text);
    char *printed = print(c);
    ck_assert_ptr_nonnull(strstr(printed, "\nallow = ${ZT_NETS}, unix:\ndeny = all\n"));
    ck_assert_ptr_nonnull(strstr(printed, "\ncheck_send = a\\${ZT_SECRET} $${b}\n"));
    ck_assert_ptr_null(strstr(printed, "nter22"));
    free(printed);
    struct config *other = load_good(LISTEN POOL "check = send\ncheck_send = b\n");
    char *found = compare(c, other, &count);
    ck_assert_ptr_nonnull(strstr(found, "${ZT_SECRET}"));
    ck_assert_ptr_null(strstr(found, "nter22"));
    free(found);
    config_free(other);
    config_free(c);
}
END_TEST

START_TEST(variables_with_errors_are_reported)
{
    unsetenv("ZT_UNSET");
    setenv("ZT_BAD", "sesame\nopen", 1);
    setenv("ZT_POOL", "sesame", 1);
    expect_errors(
        MINIMAL "retries = ${ZT_UNSET}\ncheck_send = ${}\ncheck_host = a${ZT_BAD\n"
                "check_path = /${ZT_BAD}\nfallback = ${ZT_POOL}\n"
                "connect_timeout = ${ZT_POOL}s\n",
        "a.ini:6: [pool p] retries: \"${ZT_UNSET}\": not set, expected a variable of "
        "zproxy's environment, or $${ for a literal ${\n"
        "a.ini:7: [pool p] check_send: \"${}\": not a variable, expected ${NAME} with "
        "letters, digits and _, or $${ for a literal ${\n"
        "a.ini:8: [pool p] check_host: \"${ZT_BAD\": not a variable, expected ${NAME} with "
        "letters, digits and _, or $${ for a literal ${\n"
        "a.ini:9: [pool p] check_path: \"${ZT_BAD}\": its value has a control character, "
        "or is not UTF-8, expected text\n"
        "a.ini:11: [pool p] connect_timeout: \"${ZT_POOL}s\": not understood, expected a "
        "time (500ms, 5s, 2m, 1h, 1d) from 1ms to 365d, or off\n"
        "a.ini:10: [pool p] fallback: \"${ZT_POOL}\": no such pool, expected a section "
        "[pool ${ZT_POOL}]\n");
}
END_TEST

START_TEST(similar_keys_and_addresses_are_no_conflict)
{
    expect_good(LISTEN "[pool p]\nserver = 10.0.0.1\nserver = unix:/a\nserver = a:80\n"
                       "check = tcp\ncheck_port = 81\n");
    expect_good(LISTEN "[pool p]\nempty = yes\n");
    expect_good("[defaults]\ncheck = send\ncheck_send = a\n" MINIMAL "check_step = send a\n");
    expect_good("[defaults]\ncheck = send\ncheck_step = send a\n" MINIMAL "check_expect = a\n");
    expect_good(LISTEN "[defaults]\nempty = yes\n[pool p]\n");
    expect_good(
        "[listen a]\nbind = *:80 device=a, 0.0.0.0:80 device=b, 10.0.0.1:80, *:80 device=c\n"
        "pool = p\n[pool p]\nserver = 127.0.0.1:80\n");
    expect_good("[listen a]\nbind = 0.0.0.0:80, [::]:80, 10.0.0.1:80, 127.0.0.1:80\n"
                "bind = *:81, unix:/a, unix:@/a, *:100-200, 10.0.0.1:150, *:201-300\npool = p\n"
                "[pool p]\nserver = 127.0.0.1:82\nserver = 10.0.0.1:81\nserver = [::1]:82\n"
                "[pool q]\nserver = 127.0.0.1:82 name=x\nserver = 127.0.0.1:82 name=y\n");
}
END_TEST

START_TEST(a_chain_of_listeners_is_no_loop)
{
    expect_good(TWO "[pool b]\nserver = 10.0.0.1:80\nserver = db.example:80\n");
    expect_good(TWO "[listen c]\nbind = unix:/c, 127.0.0.1:90-99\npool = c\n"
                    "[pool b]\nserver = unix:/c\nserver = [::ffff:127.0.0.1]:95\nfallback = c\n"
                    "[pool c]\nserver = 10.0.0.1:80\n");
    /* no client reaches that pool, or that port */
    expect_good(TWO "[pool b]\nserver = 10.0.0.1:80\n[pool c]\nserver = 127.0.0.1:80\n");
    expect_good("[listen a]\nbind = *:80, *:81\npool = a\n[pool a]\nserver = 10.0.0.1\n"
                "[listen b]\nbind = 127.0.0.1:82\npool = b\n[pool b]\nserver = 127.0.0.1:81\n");
}
END_TEST

START_TEST(several_pools_may_have_the_same_fallback)
{
    struct config *c = load_good("[defaults]\nfallback = sorry\n" MINIMAL "[pool q]\n"
                                 "server = 10.0.0.1:80\nfallback = p\n"
                                 "[pool sorry]\nserver = 10.0.0.1:80\n");
    ck_assert_ptr_eq(c->pool[0].fallback, &c->pool[2]);
    ck_assert_ptr_eq(c->pool[1].fallback, &c->pool[0]);
    ck_assert_ptr_null(c->pool[2].fallback); /* a pool is not its own fallback */
    config_free(c);
}
END_TEST

START_TEST(defaults_without_effect_on_a_pool_are_dropped)
{
    static const char text[] =
        "[defaults]\nbalance = hash\nhash_key = source_port\ncheck = http\ncheck_path = /health\n"
        "check_host = x\nfallback = sorry\nmax_queue = 9\n" MINIMAL
        "[pool q]\nserver = 10.0.0.1:80\ncheck = tcp\nbalance = first\n[pool sorry]\nfile = /a\n";
    struct config *c = load_good(text);
    ck_assert_str_eq(c->pool[0].check_path, "/health");
    ck_assert_int_eq(c->pool[0].hash_key, CONFIG_HASH_SOURCE_PORT);
    ck_assert_str_eq(c->pool[1].check_path, "/");
    ck_assert_ptr_null(c->pool[1].check_host);
    ck_assert_int_eq(c->pool[1].hash_key, CONFIG_HASH_SOURCE);
    ck_assert_int_eq(c->pool[2].check, CONFIG_CHECK_NONE);
    ck_assert_int_eq(c->pool[2].balance, CONFIG_BALANCE_ROUND_ROBIN);
    ck_assert_uint_eq(c->pool[2].max_queue, 0);
    ck_assert_ptr_null(c->pool[2].fallback);
    config_free(c);
    expect_round_trip(text);
}
END_TEST

START_TEST(a_key_without_effect_at_its_default_is_no_error)
{
    expect_good(MINIMAL "check_path = /\ncheck_status = 200-399\nhash_key = source\n"
                        "[pool q]\nfile = /a\nretries = 2\ncheck = none\ncheck_path = /\n");
}
END_TEST

START_TEST(sending_or_expecting_alone_is_a_check)
{
    expect_good(MINIMAL "check = send\ncheck_send = a\n");
    expect_good(MINIMAL "check = send\ncheck_expect = a\n");
    expect_good("[defaults]\ncheck_send = a\n" MINIMAL "check = send\n");
}
END_TEST

START_TEST(a_check_may_take_longer_than_its_interval)
{
    expect_good(MINIMAL "check = tcp\ncheck_interval = 1s\ncheck_timeout = 5s\n");
}
END_TEST

START_TEST(default_trusted_proxies_apply_with_accept_proxy_only)
{
    static const char text[] = "[defaults]\ntrusted_proxies = 10.0.0.0/8\n" POOL LISTEN
                               "[listen m]\nbind = *:81\npool = p\naccept_proxy = yes\n";
    struct config *c = load_good(text);
    ck_assert_uint_eq(c->listen[0].trusted_proxy_count, 0);
    ck_assert_uint_eq(c->listen[1].trusted_proxy_count, 1);
    config_free(c);
    expect_round_trip(text);
}
END_TEST

START_TEST(an_invalid_value_is_not_reported_missing)
{
    expect_errors("[listen l]\nbind = x\npool = a b\n[pool p]\nserver = y\n",
                  "a.ini:2: [listen l] bind: \"x\": port missing, expected ADDRESS:PORT\n"
                  "a.ini:3: [listen l] pool: \"a b\": not a name, expected 1 to 64 of letters, "
                  "digits and . _ - :\n"
                  "a.ini:5: [pool p] server: \"y\": port missing, expected ADDRESS:PORT\n");
}
END_TEST

/* So many that what takes the square of it does not end before the timeout. With sanitizers it
 * would not end either way, and memory is used in the same manner by fewer. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define MANY 6000
#else
#define MANY 60000
#endif

/* Writes listen.ini and pool.ini with MANY sections each, and server.ini with one pool of MANY
 * servers. */
static void write_many(void)
{
    FILE *listeners = fopen("listen.ini", "we");
    FILE *pools = fopen("pool.ini", "we");
    FILE *servers = fopen("server.ini", "we");
    fprintf(servers, "[pool p]\n");
    for (int i = 0; i < MANY; i++) {
        fprintf(listeners, "[listen l%d]\nbind = 10.0.%d.%d:80\npool = p%d\n", i, i / 250, i % 250,
                i);
        fprintf(pools, "[pool p%d]\nserver = 10.1.%d.%d:80\n", i, i / 250, i % 250);
        fprintf(servers, "server = 10.1.%d.%d:80 name=s%d\n", i / 250, i % 250, i);
    }
    fclose(listeners);
    fclose(pools);
    fclose(servers);
}

/* Loading takes about half a second. A comparison of all pairs of listeners, pools or servers would
 * take longer than the timeout. */
START_TEST(a_configuration_of_many_sections_loads_before_the_timeout)
{
    write_many();
    struct config *c = load("[global]\ninclude = listen.ini\ninclude = pool.ini\n"
                            "include = server.ini\n[listen l]\nbind = *:1\npool = p\n");
    ck_assert_msg(c != NULL, "%s", errors);
    ck_assert_uint_eq(c->listen_count, MANY + 1);
    ck_assert_uint_eq(c->pool_count, MANY + 1);
    ck_assert_uint_eq(c->pool[MANY].server_count, MANY);
    ck_assert_ptr_eq(c->listen[MANY - 1].pool, &c->pool[MANY - 1]);
    config_free(c);
}
END_TEST

/* Alternates two kinds of sections, with keys in another order than in the table. */
static void write_variables(int n)
{
    FILE *f = fopen("a.ini", "we");
    setenv("ZT_SERVERS", "10.0.0.1:80", 1);
    setenv("ZT_SECRET", "x41nter22", 1);
    for (int i = 0; i < n; i++)
        fprintf(f,
                "[pool p%d]\ncheck_send = ${ZT_SECRET}%d\nserver = 10.0.0.2:80\n"
                "server = ${ZT_SERVERS} name=a%d\ncheck = send\n"
                "[listen m%d]\npool = p%d\nbind = unix:/run/${ZT_SECRET}%d\n",
                i, i, i, i, i, i);
    fclose(f);
}

/* Fails the test unless each line with variables is printed once. */
static void expect_variables(char *printed, int n)
{
    char expected[64];
    int found = 0;
    char *rest = NULL;
    for (char *line = strtok_r(printed, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strstr(line, "${") == NULL)
            continue;
        int i = (found - n) / 2;
        if (found < n)
            snprintf(expected, sizeof expected, "bind = unix:/run/${ZT_SECRET}%d", found);
        else if ((found - n) % 2 == 0)
            snprintf(expected, sizeof expected, "server = ${ZT_SERVERS} name=a%d", i);
        else
            snprintf(expected, sizeof expected, "check_send = ${ZT_SECRET}%d", i);
        ck_assert_str_eq(line, expected);
        found++;
    }
    ck_assert_int_eq(found, 3 * n);
}

START_TEST(each_line_with_variables_is_printed_in_its_section)
{
    enum {
        PAIRS = 600
    };
    write_variables(PAIRS);
    struct config *c = load_file("a.ini");
    ck_assert_msg(c != NULL, "%s", errors);
    char *printed = print(c);
    ck_assert_ptr_null(strstr(printed, "nter22"));
    expect_variables(printed, PAIRS);
    free(printed);
    config_free(c);
}
END_TEST

/* Loading and printing takes less than a second. A look at all lines with variables for each key
 * would take longer than the timeout. */
START_TEST(variables_of_many_sections_are_printed_before_the_timeout)
{
    FILE *f = fopen("a.ini", "we");
    fprintf(f, "[listen l]\nbind = *:1\npool = p0\n");
    for (int i = 0; i < MANY; i++)
        fprintf(f, "[pool p%d]\nserver = ${ZT_NET}.%d:%d\n", i, i / 500, i % 500 + 1);
    fclose(f);
    setenv("ZT_NET", "10.1.1", 1);
    struct config *c = load_file("a.ini");
    ck_assert_msg(c != NULL, "%s", errors);
    char *printed = print(c);
    char last[64];
    snprintf(last, sizeof last, "server = ${ZT_NET}.%d:500", (MANY - 1) / 500);
    ck_assert_ptr_nonnull(strstr(printed, last));
    ck_assert_ptr_null(strstr(printed, "10.1.1"));
    free(printed);
    config_free(c);
}
END_TEST

static void add_tests(TCase *t)
{
    tcase_add_loop_test(t, keys_that_conflict_are_reported, 0, COUNT(unfitting));
    tcase_add_test(t, variables_come_from_the_environment);
    tcase_add_test(t, variables_are_printed_as_they_were_written);
    tcase_add_test(t, variables_with_errors_are_reported);
    tcase_add_test(t, similar_keys_and_addresses_are_no_conflict);
    tcase_add_test(t, a_chain_of_listeners_is_no_loop);
    tcase_add_test(t, several_pools_may_have_the_same_fallback);
    tcase_add_test(t, defaults_without_effect_on_a_pool_are_dropped);
    tcase_add_test(t, a_key_without_effect_at_its_default_is_no_error);
    tcase_add_test(t, sending_or_expecting_alone_is_a_check);
    tcase_add_test(t, a_check_may_take_longer_than_its_interval);
    tcase_add_test(t, default_trusted_proxies_apply_with_accept_proxy_only);
    tcase_add_test(t, an_invalid_value_is_not_reported_missing);
    tcase_add_test(t, a_configuration_of_many_sections_loads_before_the_timeout);
    tcase_add_test(t, each_line_with_variables_is_printed_in_its_section);
    tcase_add_test(t, variables_of_many_sections_are_printed_before_the_timeout);
}

int main(void)
{
    return config_rig_main("config_whole", add_tests);
}
