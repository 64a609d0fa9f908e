#include <string.h>
#include <syslog.h>

#include "base/suggestion.h"
#include "config/config.h"
#include "config_rig.h"

/* --- Defaults and values --- */

START_TEST(a_minimal_file_gets_all_defaults)
{
    struct config *c = load_good(MINIMAL);
    const struct config_global *g = &c->global;
    ck_assert_uint_eq(g->workers, 0);
    ck_assert_ptr_null(g->node);
    ck_assert(!g->fixed.cpu_affinity);
    ck_assert_uint_eq(g->max_connections, 0);
    ck_assert_ptr_null(g->user);
    ck_assert_ptr_null(g->group);
    ck_assert_ptr_null(g->chroot);
    ck_assert_ptr_null(g->fixed.pid_file);
    ck_assert_int_eq(g->fixed.log.kind, LOG_TARGET_STDERR);
    ck_assert_int_eq(g->log_level, LOG_LEVEL_INFO);
    ck_assert_int_eq(g->fixed.log_format, LOG_FORMAT_TEXT);
    ck_assert_int_eq(g->fixed.access_log.kind, LOG_TARGET_SAME);
    ck_assert_int_eq(g->fixed.relay, CONFIG_RELAY_SPLICE);
    ck_assert_uint_gt(g->fixed.pipe_size, 0);
    ck_assert_uint_eq(g->fixed.max_pipes, 0);
    ck_assert_uint_eq(g->fixed.busy_poll, 0);
    ck_assert_uint_eq(g->shutdown_delay, 0);
    ck_assert_uint_eq(g->shutdown_timeout, 30000);
    ck_assert_uint_eq(g->nameserver_count, 0);
    ck_assert_uint_eq(g->resolve_min, 1000);
    ck_assert_uint_eq(g->resolve_max, 300000);
    ck_assert_uint_eq(g->resolve_retry, 2000);
    ck_assert_uint_eq(g->resolve_hold, 30000);

    ck_assert_uint_eq(c->admin.socket.len, 0);
    ck_assert_uint_eq(c->admin.socket_mode, 0600);
    ck_assert_uint_eq(c->admin.http.len, 0);

    ck_assert_uint_eq(c->listen_count, 1);
    const struct config_listen *l = &c->listen[0];
    ck_assert_str_eq(l->name, "l");
    ck_assert_uint_eq(l->bind_count, 1);
    ck_assert_uint_eq(addr_port(l->bind[0].addr), 80);
    ck_assert_str_eq(l->pool_name, "p");
    ck_assert_ptr_eq(l->pool, &c->pool[0]);
    ck_assert_uint_eq(l->idle_timeout, 3600000);
    ck_assert_uint_eq(l->half_close_timeout, 300000);
    ck_assert_uint_eq(l->session_timeout, 0);
    ck_assert_uint_eq(l->max_connections, 0);
    ck_assert_uint_eq(l->backlog, 4096);
    ck_assert(l->nodelay);
    ck_assert(l->keepalive.on);
    ck_assert_uint_eq(l->keepalive.time, 0);
    ck_assert_uint_eq(l->tcp_user_timeout, 0);
    ck_assert_uint_eq(l->fastopen, 0);
    ck_assert_uint_eq(l->defer_accept, 0);
    ck_assert_uint_eq(l->receive_buffer, 0);
    ck_assert_uint_eq(l->send_buffer, 0);
    ck_assert_ptr_null(l->tcp.congestion);
    ck_assert(!l->tcp.dscp.is_set);
    ck_assert_uint_eq(l->tcp.notsent_lowat, 0);
    ck_assert(!l->accept_proxy);
    ck_assert_uint_eq(l->trusted_proxy_count, 0);
    ck_assert_uint_eq(l->route_count, 0);
    ck_assert_uint_eq(l->preread_timeout, 5000);
    ck_assert_uint_eq(l->access_count, 0);
    ck_assert_uint_eq(l->max_connections_per_ip, 0);
    ck_assert_uint_eq(l->rate_limit_per_ip.count, 0);
    ck_assert_uint_eq(l->per_ip6_prefix, 64);
    ck_assert_uint_eq(l->upload_rate, 0);
    ck_assert_uint_eq(l->download_rate, 0);
    ck_assert_uint_eq(l->bind[0].addr_count, 1);
    ck_assert_uint_eq(l->bind[0].mode, 0);
    ck_assert_ptr_null(l->bind[0].user);

    ck_assert_uint_eq(c->pool_count, 1);
    const struct config_pool *p = &c->pool[0];
    ck_assert_str_eq(p->name, "p");
    ck_assert_int_eq(p->balance, CONFIG_BALANCE_ROUND_ROBIN);
    ck_assert_uint_eq(p->connect_timeout, 5000);
    ck_assert_uint_eq(p->retries, 2);
    ck_assert_int_eq(p->hash_key, CONFIG_HASH_SOURCE);
    ck_assert_uint_eq(p->max_fails, 3);
    ck_assert_uint_eq(p->fail_timeout, 10000);
    ck_assert_uint_eq(p->max_queue, 0);
    ck_assert_uint_eq(p->queue_timeout, 5000);
    ck_assert_uint_eq(p->slow_start, 0);
    ck_assert_int_eq(p->check, CONFIG_CHECK_NONE);
    ck_assert_ptr_null(p->check_send.data);
    ck_assert_ptr_null(p->check_expect.data);
    ck_assert_str_eq(p->check_path, "/");
    ck_assert_ptr_null(p->check_host);
    ck_assert_uint_eq(p->check_status.low, 200);
    ck_assert_uint_eq(p->check_status.high, 399);
    ck_assert_uint_eq(p->check_interval, 2000);
    ck_assert_uint_eq(p->check_timeout, 1000);
    ck_assert_uint_eq(p->check_rise, 2);
    ck_assert_uint_eq(p->check_fall, 3);
    ck_assert_int_eq(p->on_down, CONFIG_ON_DOWN_KEEP);
    ck_assert_ptr_null(p->fallback_name);
    ck_assert_ptr_null(p->fallback);
    ck_assert_ptr_null(p->file);
    ck_assert_int_eq(p->send_proxy, CONFIG_SEND_PROXY_NO);
    ck_assert_int_eq(p->source.kind, CONFIG_SOURCE_KERNEL);
    ck_assert_uint_eq(p->server_count, 1);
    const struct config_server *s = &p->server[0];
    ck_assert_str_eq(s->name, "10.0.0.1:80");
    ck_assert_uint_eq(s->weight, 1);
    ck_assert(!s->backup);
    ck_assert_uint_eq(s->max_connections, 0);
    ck_assert_int_eq(s->state, CONFIG_STATE_READY);
    ck_assert_ptr_null(s->host);
    ck_assert(!s->same_port);
    ck_assert_uint_eq(s->check_address.len, 0);
    ck_assert(!p->empty);
    ck_assert_uint_eq(p->check_port, 0);
    ck_assert_int_eq(p->check_send_proxy, CONFIG_CHECK_SEND_PROXY_AUTO);
    config_free(c);
}
END_TEST

START_TEST(every_key_sets_its_field)
{
    struct config *c = load_good(full_config);
    const struct config_global *g = &c->global;
    ck_assert_uint_eq(g->workers, 3);
    ck_assert_str_eq(g->node, "edge-1.example");
    ck_assert(g->fixed.cpu_affinity);
    ck_assert_uint_eq(g->max_connections, 1000);
    ck_assert_str_eq(g->user, "www-data");
    ck_assert_str_eq(g->group, "33");
    ck_assert_str_eq(g->chroot, "/var/empty");
    ck_assert_str_eq(g->fixed.pid_file, "/run/z.pid");
    ck_assert_int_eq(g->fixed.log.kind, LOG_TARGET_SYSLOG);
    ck_assert_int_eq(g->fixed.log.facility, LOG_LOCAL3);
    ck_assert_int_eq(g->log_level, LOG_LEVEL_DEBUG);
    ck_assert_int_eq(g->fixed.log_format, LOG_FORMAT_JSON);
    ck_assert_int_eq(g->fixed.access_log.kind, LOG_TARGET_FILE);
    ck_assert_str_eq(g->fixed.access_log.path, "/var/log/my access.log");
    ck_assert_int_eq(g->fixed.relay, CONFIG_RELAY_COPY);
    ck_assert_uint_eq(g->fixed.pipe_size, 1 << 20);
    ck_assert_uint_eq(g->fixed.max_pipes, 99);
    ck_assert_uint_eq(g->fixed.busy_poll, 50);
    ck_assert_uint_eq(g->shutdown_delay, 5000);
    ck_assert_uint_eq(g->shutdown_timeout, 0);
    ck_assert_uint_eq(g->nameserver_count, 3);
    ck_assert_uint_eq(addr_port(&g->nameserver[0]), 53);
    ck_assert_uint_eq(addr_port(&g->nameserver[1]), 5353);
    ck_assert_uint_eq(addr_port(&g->nameserver[2]), 53);
    ck_assert_int_eq(g->nameserver[2].sa.sa_family, AF_INET6);
    ck_assert_uint_eq(g->resolve_min, 2000);
    ck_assert_uint_eq(g->resolve_max, 3600000);
    ck_assert_uint_eq(g->resolve_retry, 500);
    ck_assert_uint_eq(g->resolve_hold, 0);

    ck_assert_str_eq(c->admin.socket.un.sun_path, "/run/z.sock");
    ck_assert_uint_eq(c->admin.socket_mode, 0660);
    ck_assert_uint_eq(addr_port(&c->admin.http), 9273);

    ck_assert_ptr_null(c->listen[1].bind[0].fd);
    ck_assert_uint_eq(c->listen[1].bind[1].addr_count, 0);
    ck_assert_str_eq(c->listen[1].bind[1].fd, "web");
    ck_assert_str_eq(c->listen[1].bind[2].fd, "3");

    const struct config_listen *l = &c->listen[0];
    ck_assert_uint_eq(l->bind_count, 4);
    ck_assert(addr_is_unix(l->bind[2].addr));
    ck_assert_uint_eq(l->bind[2].mode, 0660);
    ck_assert_str_eq(l->bind[2].user, "www-data");
    ck_assert_str_eq(l->bind[2].group, "33");
    ck_assert_uint_eq(l->bind[3].addr_count, 100);
    ck_assert_uint_eq(addr_port(&l->bind[3].addr[0]), 8000);
    ck_assert(l->bind[3].freebind);
    ck_assert_str_eq(l->bind[3].device, "lo");
    ck_assert(!l->bind[2].freebind);
    ck_assert_uint_eq(addr_port(&l->bind[3].addr[99]), 8099);
    ck_assert_uint_eq(l->idle_timeout, 600000);
    ck_assert_uint_eq(l->half_close_timeout, 1500);
    ck_assert_uint_eq(l->session_timeout, 172800000);
    ck_assert_uint_eq(l->max_connections, 7);
    ck_assert_uint_eq(l->backlog, 128);
    ck_assert(!l->nodelay);
    ck_assert(l->keepalive.on);
    ck_assert_uint_eq(l->keepalive.time, 60000);
    ck_assert_uint_eq(l->keepalive.interval, 10000);
    ck_assert_uint_eq(l->keepalive.count, 6);
    ck_assert_uint_eq(l->tcp_user_timeout, 30000);
    ck_assert_uint_eq(l->fastopen, 256);
    ck_assert_uint_eq(l->defer_accept, 5000);
    ck_assert_uint_eq(l->receive_buffer, 65536);
    ck_assert_uint_eq(l->send_buffer, 131072);
    ck_assert_str_eq(l->tcp.congestion, "reno");
    ck_assert(l->tcp.dscp.is_set);
    ck_assert_uint_eq(l->tcp.dscp.value, 18);
    ck_assert_uint_eq(l->tcp.notsent_lowat, 131072);
    ck_assert(l->accept_proxy);
    ck_assert_uint_eq(l->trusted_proxy_count, 3);
    ck_assert_int_eq(l->trusted_proxy[2].family, AF_UNIX);
    ck_assert_uint_eq(l->route_count, 2);
    ck_assert_uint_eq(l->route[0].sni.count, 2);
    ck_assert_str_eq(l->route[0].sni.word[1], "*.b.example");
    ck_assert_uint_eq(l->route[0].alpn.count, 1);
    ck_assert_str_eq(l->route[0].alpn.word[0], "h2");
    ck_assert_ptr_eq(l->route[0].pool, &c->pool[1]);
    ck_assert_uint_eq(l->route[1].sni.count, 0);
    ck_assert_ptr_eq(l->route[1].pool, &c->pool[2]);
    ck_assert_uint_eq(l->preread_timeout, 2000);
    static const bool allows[] = { true, false, false, true, false };
    ck_assert_uint_eq(l->access_count, 5);
    for (size_t i = 0; i < 5; i++)
        ck_assert_int_eq(l->access[i].allow, allows[i]);
    ck_assert_uint_eq(l->access[1].network.prefix, 16);
    ck_assert_int_eq(l->access[4].network.family, AF_UNSPEC);
    ck_assert_uint_eq(l->max_connections_per_ip, 20);
    ck_assert_uint_eq(l->rate_limit_per_ip.count, 600);
    ck_assert_uint_eq(l->rate_limit_per_ip.period, 60000);
    ck_assert_uint_eq(l->per_ip6_prefix, 56);
    ck_assert_uint_eq(l->upload_rate, 250);
    ck_assert_uint_eq(l->download_rate, 10 << 20);

    const struct config_pool *p = &c->pool[0];
    ck_assert_uint_eq(p->connect_timeout, 0);
    ck_assert_uint_eq(p->retries, 0);
    ck_assert_int_eq(p->balance, CONFIG_BALANCE_HASH);
    ck_assert_int_eq(p->hash_key, CONFIG_HASH_SOURCE_PORT);
    ck_assert_uint_eq(p->max_fails, 0);
    ck_assert_uint_eq(p->fail_timeout, 60000);
    ck_assert_uint_eq(p->max_queue, 100);
    ck_assert_uint_eq(p->queue_timeout, 0);
    ck_assert_uint_eq(p->slow_start, 30000);
    ck_assert_int_eq(p->check, CONFIG_CHECK_SEND);
    ck_assert_uint_eq(p->check_send.len, 6);
    ck_assert_mem_eq(p->check_send.data, "PING\r\n", 6);
    ck_assert_uint_eq(p->check_expect.len, 7);
    ck_assert_mem_eq(p->check_expect.data, "+PONG\r\n", 7);
    ck_assert_uint_eq(p->check_interval, 1000);
    ck_assert_uint_eq(p->check_timeout, 500);
    ck_assert_uint_eq(p->check_rise, 1);
    ck_assert_uint_eq(p->check_fall, 5);
    ck_assert_int_eq(p->on_down, CONFIG_ON_DOWN_CLOSE);
    ck_assert_ptr_eq(p->fallback, &c->pool[1]);
    ck_assert_int_eq(p->send_proxy, CONFIG_SEND_PROXY_V2);
    ck_assert(p->empty);
    ck_assert_uint_eq(p->check_port, 81);
    ck_assert_int_eq(p->check_send_proxy, CONFIG_CHECK_SEND_PROXY_YES);
    ck_assert_int_eq(p->source.kind, CONFIG_SOURCE_ADDRESS);
    ck_assert_int_eq(p->source.addr.sa.sa_family, AF_INET);
    ck_assert_uint_eq(p->server_count, 4);
    ck_assert_str_eq(p->server[0].name, "a");
    ck_assert_uint_eq(p->server[0].weight, 256);
    ck_assert(p->server[0].backup);
    ck_assert_uint_eq(p->server[0].max_connections, 9);
    ck_assert_int_eq(p->server[0].state, CONFIG_STATE_DRAIN);
    ck_assert_str_eq(p->server[1].name, "unix:@b");
    ck_assert_int_eq(p->server[1].state, CONFIG_STATE_MAINT);
    ck_assert_uint_eq(addr_port(&p->server[1].check_address), 81);
    ck_assert_str_eq(p->server[2].name, "db1.example:5432");
    ck_assert_str_eq(p->server[2].host, "db1.example");
    ck_assert_uint_eq(p->server[2].port, 5432);
    ck_assert(!p->server[2].service);
    ck_assert_str_eq(p->server[3].host, "_redis._tcp.example.");
    ck_assert(p->server[3].service);

    ck_assert_int_eq(p[1].check, CONFIG_CHECK_HTTP);
    ck_assert_str_eq(p[1].check_path, "/health?x=1");
    ck_assert_str_eq(p[1].check_host, "www.example:8080");
    ck_assert_uint_eq(p[1].check_status.low, 204);
    ck_assert_uint_eq(p[1].check_status.high, 204);
    ck_assert_ptr_eq(p[1].fallback, &p[2]);
    ck_assert_uint_eq(p[4].check_step_count, 3);
    ck_assert_int_eq(p[4].check_step[0].bytes.len, strlen("AUTH secret\r\n"));
    ck_assert_int_eq(p[4].check_step[2].kind, CONFIG_STEP_EXPECT_REGEX);
    ck_assert_str_eq(p[2].file, "/var/www/sorry.http");
    ck_assert_uint_eq(p[2].server_count, 0);
    ck_assert_int_eq(p[1].source.kind, CONFIG_SOURCE_CLIENT);
    ck_assert_int_eq(p[3].hash_key, CONFIG_HASH_SNI);
    ck_assert_int_eq(p[3].send_proxy, CONFIG_SEND_PROXY_V1);
    ck_assert(p[3].server[0].same_port);
    ck_assert_str_eq(p[3].server[0].name, "10.0.0.9");
    ck_assert_uint_eq(addr_port(&p[3].server[0].addr), 0);
    ck_assert(p[3].server[1].same_port);
    config_free(c);
}
END_TEST

START_TEST(sections_keep_their_order)
{
    struct config *c =
        load_good("[pool b]\nserver = 1.1.1.1:1\n[listen z]\nbind = *:1\npool = a\n"
                  "[listen y]\nbind = *:2\npool = b\n[pool a]\nserver = 1.1.1.1:2\n");
    ck_assert_str_eq(c->listen[0].name, "z");
    ck_assert_str_eq(c->listen[1].name, "y");
    ck_assert_ptr_eq(c->listen[0].pool, &c->pool[1]);
    ck_assert_ptr_eq(c->listen[1].pool, &c->pool[0]);
    config_free(c);
}
END_TEST

START_TEST(a_pool_may_be_shared_or_unused)
{
    expect_good(MINIMAL "[listen m]\nbind = *:81\npool = p\n[pool q]\nserver = 10.0.0.1:80\n");
}
END_TEST

/* --- Sections and keys --- */

static const struct {
    const char *text;
    const char *expected;
} wrong_keys[] = {
    { "user = x\n" MINIMAL,
      "a.ini:1: user: before any section, expected [global], [admin], [defaults], "
      "[listen NAME] or [pool NAME] first\n" },
    { MINIMAL "[global]\nlog_levl = info\n",
      "a.ini:7: [global] log_levl: unknown key, did you mean \"log_level\"?\n" },
    { MINIMAL "[global]\nWorkers = 3\n",
      "a.ini:7: [global] Workers: unknown key, did you mean \"workers\"?\n" },
    { MINIMAL "retires = 3\n",
      "a.ini:6: [pool p] retires: unknown key, did you mean \"retries\"?\n" },
    { MINIMAL "zzz = 3\n", "a.ini:6: [pool p] zzz: unknown key, see zproxy.ini(5)\n" },
    { POOL LISTEN "zzz = 3\n", "a.ini:6: [listen l] zzz: unknown key, see zproxy.ini(5)\n" },
    { MINIMAL "idle_timeout = 5s\n", "a.ini:6: [pool p] idle_timeout: belongs in [listen NAME]\n" },
    { MINIMAL "log = stderr\n", "a.ini:6: [pool p] log: belongs in [global]\n" },
    { POOL LISTEN "retries = 1\n", "a.ini:6: [listen l] retries: belongs in [pool NAME]\n" },
    { POOL LISTEN "include = x\n", "a.ini:6: [listen l] include: belongs in [global]\n" },
    { MINIMAL "retries = 1\nretries = 1\n",
      "a.ini:7: [pool p] retries: given twice, first in line 6\n" },
    { MINIMAL "retries = x\nretries = 1\n",
      "a.ini:6: [pool p] retries: \"x\": not understood, expected a number from 0 to 1000\n"
      "a.ini:7: [pool p] retries: given twice, first in line 6\n" },
    { MINIMAL "balance =\n", "a.ini:6: [pool p] balance: \"\": unknown, expected round_robin, "
                             "least_conn, random, hash, first or least_time\n" },
    { MINIMAL "[admin]\nzzz = 3\n",
      "a.ini:7: [admin] zzz: unknown key, expected one of: socket socket_mode http\n" },
    { MINIMAL "[admin]\nsocket = /x\nhtp = *:81\n[admin x]\nuser = x\n",
      "a.ini:8: [admin] htp: unknown key, did you mean \"http\"?\n"
      "a.ini:9: [admin x]: takes no name, expected [admin]\n"
      "a.ini:9: [admin]: given twice, first in line 6\n"
      "a.ini:10: [admin] user: belongs in [global]\n" },
};

START_TEST(an_invalid_key_is_reported)
{
    expect_errors(wrong_keys[_i].text, wrong_keys[_i].expected);
}
END_TEST

static const struct {
    const char *text;
    const char *expected;
} wrong_sections[] = {
    { MINIMAL "[pol q]\nwhatever = 1\n",
      "a.ini:6: [pol q]: unknown section, did you mean [pool NAME]?\n" },
    { MINIMAL "[default]\nretries = 1\n",
      "a.ini:6: [default]: unknown section, did you mean [defaults]?\n" },
    { MINIMAL "[xyz]\n", "a.ini:6: [xyz]: unknown section, expected [global], [admin], [defaults], "
                         "[listen NAME] or [pool NAME]\n" },
    { MINIMAL "[]\n", "a.ini:6: []: unknown section, expected [global], [admin], [defaults], "
                      "[listen NAME] or [pool NAME]\n" },
    { MINIMAL "[pool]\nserver = 1.1.1.1:1\n", "a.ini:6: [pool]: no name, expected [pool NAME]\n" },
    { MINIMAL "[pool]\nserver = 1\n[pool]\nserver = 1.1.1.1:1\n",
      "a.ini:6: [pool]: no name, expected [pool NAME]\n"
      "a.ini:7: [pool ] server: \"1\": port missing, expected ADDRESS:PORT\n"
      "a.ini:8: [pool]: no name, expected [pool NAME]\n" },
    { MINIMAL "[pool a b]\nserver = 1.1.1.1:1\n",
      "a.ini:6: [pool a b]: not a name, expected 1 to 64 of letters, digits and . _ - :\n" },
    { MINIMAL "[global x]\n", "a.ini:6: [global x]: takes no name, expected [global]\n" },
    { MINIMAL "[defaults x]\n", "a.ini:6: [defaults x]: takes no name, expected [defaults]\n" },
    { MINIMAL "[global]\nuser = x\n[global]\ngroup = x\n",
      "a.ini:8: [global]: given twice, first in line 6\n" },
    { MINIMAL "[pool p]\nserver = 1.1.1.1:1\n",
      "a.ini:6: [pool p]: given twice, first in line 4\n" },
    { MINIMAL "[listen l]\nbind = *:81\npool = p\n",
      "a.ini:6: [listen l]: given twice, first in line 1\n" },
};

START_TEST(an_invalid_section_is_reported)
{
    expect_errors(wrong_sections[_i].text, wrong_sections[_i].expected);
}
END_TEST

START_TEST(the_nearest_word_is_suggested)
{
    static const struct {
        const char *wanted;
        const char *found; /* of these words: */
    } words[] = {
        { "workers", "workers" },
        { "worker", "workers" },
        { "wrokers", "workers" },
        { "Workers", "workers" },
        { "logs", "log" },
        { "lgo", "log" },
        { "x", NULL },
        { "max_connection", "max_connections" },
        { "maxconnections", "max_connections" },
        { "", NULL },
        { "zzzzzzz", NULL },
        { "timeout", NULL },
    };
    static const char *const known[] = { "log", "workers", "max_connections" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct suggestion hint;
        suggestion_init(&hint, words[i].wanted);
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            suggestion_offer(&hint, known[k]);
        if (words[i].found == NULL)
            ck_assert_msg(hint.word == NULL, "%s", words[i].wanted);
        else
            ck_assert_pstr_eq(hint.word, words[i].found);
    }
}
END_TEST

START_TEST(defaults_apply_to_the_sections_after_them)
{
    struct config *c =
        load_good("[listen a]\nbind = *:1\npool = p\n"
                  "[defaults]\nidle_timeout = 1m\nnodelay = no\nretries = 7\nkeepalive = 5s/5s/5\n"
                  "[listen b]\nbind = *:2\npool = p\n"
                  "[listen c]\nbind = *:3\npool = p\nidle_timeout = 2m\n"
                  "[defaults]\nidle_timeout = 3m\n"
                  "[listen d]\nbind = *:4\npool = p\n" POOL);
    ck_assert_uint_eq(c->listen[0].idle_timeout, 3600000);
    ck_assert(c->listen[0].nodelay);
    ck_assert_uint_eq(c->listen[1].idle_timeout, 60000);
    ck_assert(!c->listen[1].nodelay);
    ck_assert_uint_eq(c->listen[1].keepalive.count, 5);
    ck_assert_uint_eq(c->listen[2].idle_timeout, 120000);
    ck_assert_uint_eq(c->listen[3].idle_timeout, 180000);
    ck_assert(!c->listen[3].nodelay);
    ck_assert_uint_eq(c->pool[0].retries, 7);
    config_free(c);
}
END_TEST

START_TEST(a_section_replaces_a_list_of_defaults)
{
    struct config *c =
        load_good("[defaults]\nallow = 10.0.0.0/8\ndeny = all\nroute = sni=a pool=p\n"
                  "[listen a]\nbind = *:1\npool = p\n"
                  "[listen b]\nbind = *:2\npool = p\ndeny = 10.1.0.0/16\nallow = 10.2.0.0/16\n"
                  "[defaults]\nallow = unix:, all\n"
                  "[listen c]\nbind = *:3\npool = p\nroute = sni=b pool=p, alpn=c pool=p\n" POOL);
    ck_assert_uint_eq(c->listen[0].access_count, 2);
    ck_assert(c->listen[0].access[0].allow);
    ck_assert(!c->listen[0].access[1].allow);
    ck_assert_ptr_eq(c->listen[0].route[0].pool, &c->pool[0]);
    ck_assert_uint_eq(c->listen[1].access_count, 2);
    ck_assert(!c->listen[1].access[0].allow);
    ck_assert_uint_eq(c->listen[1].access[0].network.prefix, 16);
    ck_assert(c->listen[1].access[1].allow);
    ck_assert_uint_eq(c->listen[1].route_count, 1);
    ck_assert_uint_eq(c->listen[2].access_count, 2);
    ck_assert_int_eq(c->listen[2].access[0].network.family, AF_UNIX);
    ck_assert_uint_eq(c->listen[2].route_count, 2);
    ck_assert_str_eq(c->listen[2].route[0].sni.word[0], "b");
    config_free(c);
}
END_TEST

START_TEST(errors_in_defaults_have_their_own_place)
{
    expect_errors(MINIMAL
                  "[defaults]\nbind = *:81\npool = p\nserver = 1.1.1.1:1\nworkers = 1\n"
                  "retries = x\nretries = 3\nretris = 3\nnope = 1\n[defaults]\nretries = 4\n",
                  "a.ini:7: [defaults] bind: belongs in [listen NAME]\n"
                  "a.ini:8: [defaults] pool: belongs in [listen NAME]\n"
                  "a.ini:9: [defaults] server: belongs in [pool NAME]\n"
                  "a.ini:10: [defaults] workers: belongs in [global]\n"
                  "a.ini:11: [defaults] retries: \"x\": not understood, expected a number from 0 "
                  "to 1000\n"
                  "a.ini:12: [defaults] retries: given twice, first in line 11\n"
                  "a.ini:13: [defaults] retris: unknown key, did you mean \"retries\"?\n"
                  "a.ini:14: [defaults] nope: unknown key, see zproxy.ini(5)\n");
}
END_TEST

static void add_tests(TCase *t)
{
    tcase_add_test(t, a_minimal_file_gets_all_defaults);
    tcase_add_test(t, every_key_sets_its_field);
    tcase_add_test(t, sections_keep_their_order);
    tcase_add_test(t, a_pool_may_be_shared_or_unused);
    tcase_add_loop_test(t, an_invalid_key_is_reported, 0, COUNT(wrong_keys));
    tcase_add_loop_test(t, an_invalid_section_is_reported, 0, COUNT(wrong_sections));
    tcase_add_test(t, the_nearest_word_is_suggested);
    tcase_add_test(t, defaults_apply_to_the_sections_after_them);
    tcase_add_test(t, a_section_replaces_a_list_of_defaults);
    tcase_add_test(t, errors_in_defaults_have_their_own_place);
}

int main(void)
{
    return config_rig_main("config", add_tests);
}
