#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "balance/probe.h"
#include "balance/probe_quote.h"
#include "config/value_kinds.h"
#include "relay/self_connect.h"
#include "relay/sock.h"
#include "suite.h"

#define SECOND 1000
#define WAIT   (10 * SECOND) /* for expected events */

/* A probe, and its server, which the test plays. */
static struct {
    int listener;
    int epoll;
    int server; /* its end of the probe's connection; -1: none */
    struct addr at;
    struct config_pool conf;
    struct script script;
    struct probe probe;
    enum probe_outcome outcome;
} r;

static void listen_at(const char *text, int backlog)
{
    ck_assert_int_eq(addr_parse(&r.at, text, &(const char *){ NULL }), 0);
    if (!addr_is_unix(&r.at))
        r.at.in.sin_port = 0; /* any port; at the same offset in IPv6 */
    close(r.listener);
    r.listener = sock_bind(&r.at, &(struct sock_options){ 0 }, &(struct file_id){ .ino = 0 });
    ck_assert_int_eq(listen(r.listener, backlog), 0);
    r.at.len = sizeof r.at.un;
    ck_assert_int_eq(getsockname(r.listener, &r.at.sa, &r.at.len), 0);
}

static void open_rig(void)
{
    memset(&r, 0, sizeof r);
    r.listener = r.server = -1;
    r.conf.check_path = (char *)"/";
    r.conf.check_status = (struct config_range){ 200, 399 };
    r.epoll = epoll_create1(EPOLL_CLOEXEC);
    probe_init(&r.probe);
    listen_at("127.0.0.1:1", 16);
}

static void free_steps(void);

static void close_rig(void)
{
    probe_stop(&r.probe);
    script_fini(&r.script);
    free_steps();
    close(r.listener);
    close(r.server);
    close(r.epoll);
}

static void start(enum config_check check)
{
    static const struct addr no_address; /* it has no check_address */
    r.conf.check = check;
    script_fini(&r.script);
    ck_assert_int_eq(script_init(&r.script, &r.conf, &r.at, &no_address, NULL), 0);
    r.outcome = probe_start(&r.probe, &r.script);
    struct epoll_event ev = { .events = PROBE_EVENTS };
    if (r.outcome == PROBE_RUNNING)
        ck_assert_int_eq(epoll_ctl(r.epoll, EPOLL_CTL_ADD, r.probe.fd, &ev), 0);
}

static void start_exchange(const char *send, const char *expect)
{
    r.conf.check_send = (struct config_bytes){ (char *)send, send == NULL ? 0 : strlen(send) };
    r.conf.check_expect =
        (struct config_bytes){ (char *)expect, expect == NULL ? 0 : strlen(expect) };
    start(CONFIG_CHECK_SEND);
}

/* Waits for events and passes them to the probe. */
static void step(void)
{
    struct epoll_event ev;
    ck_assert_int_eq(epoll_wait(r.epoll, &ev, 1, WAIT), 1);
    r.outcome = probe_step(&r.probe, ev.events);
}

static void run(void)
{
    while (r.outcome == PROBE_RUNNING)
        step();
}

static void run_until(enum probe_state state)
{
    while (r.probe.state != state) {
        step();
        ck_assert_int_eq(r.outcome, PROBE_RUNNING);
    }
}

static void expect(enum probe_outcome outcome, const char *why)
{
    ck_assert_str_eq(r.probe.why, why);
    ck_assert_int_eq(r.outcome, outcome);
    if (r.probe.fd != -1) /* it is being closed in order */
        ck_assert_int_eq(r.probe.state, PROBE_CLOSE);
}

/* The server accepts when the probe has nothing left to send. */
static void serve(void)
{
    run_until(PROBE_RECEIVE);
    struct epoll_event ev = { .events = EPOLLIN };
    int waits = epoll_create1(EPOLL_CLOEXEC);
    ck_assert_int_eq(epoll_ctl(waits, EPOLL_CTL_ADD, r.listener, &ev), 0);
    ck_assert_int_eq(epoll_wait(waits, &ev, 1, WAIT), 1);
    close(waits);
    r.server = accept(r.listener, NULL, NULL);
    ck_assert_int_ge(r.server, 0);
}

static void answer(const char *data, size_t len)
{
    ck_assert_int_eq(send(r.server, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void read_request(const char *expected)
{
    char got[1024] = "";
    size_t len = 0;
    while (len < strlen(expected)) {
        ssize_t n = recv(r.server, got + len, sizeof got - 1 - len, 0);
        ck_assert_int_gt(n, 0);
        len += (size_t)n;
    }
    ck_assert_str_eq(got, expected);
}

/* ---- connecting ---- */

START_TEST(a_tcp_probe_is_never_seen_by_the_server)
{
    start(CONFIG_CHECK_TCP);
    run();
    expect(PROBE_PASSED, "connected");
    ck_assert_int_eq(accept(r.listener, NULL, NULL), -1);
    ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

START_TEST(a_probe_connects_by_ipv6)
{
    listen_at("[::1]:1", 16);
    start(CONFIG_CHECK_TCP);
    run();
    expect(PROBE_PASSED, "connected");
}
END_TEST

START_TEST(a_probe_connects_to_unix_sockets)
{
    listen_at("unix:@zproxy-check-probe", 16);
    start(CONFIG_CHECK_TCP);
    run();
    expect(PROBE_PASSED, "connected");
    close(r.listener);
    r.listener = -1;
    start(CONFIG_CHECK_TCP);
    run();
    expect(PROBE_FAILED, "connection refused");
}
END_TEST

START_TEST(a_full_backlog_of_a_unix_socket_is_a_failure)
{
    listen_at("unix:@zproxy-check-probe-full", 0);
    int fd = sock_connect(&r.at, &(struct sock_options){ 0 }, NULL);
    ck_assert_int_ge(fd, 0);
    start(CONFIG_CHECK_TCP);
    expect(PROBE_FAILED, "too many connections wait to be accepted");
    close(fd);
}
END_TEST

START_TEST(a_refused_connection_is_a_failure)
{
    close(r.listener);
    r.listener = -1;
    start(CONFIG_CHECK_TCP);
    run();
    expect(PROBE_FAILED, "connection refused");
}
END_TEST

/* The source is the server's address, so the kernel has no other choice. */
START_TEST(a_connection_to_itself_is_refused)
{
    static const char *const at[] = { "127.88.7.3:1", "[::1]:1", "[::ffff:127.88.7.3]:1" };
    listen_at(at[_i], 16);
    close(r.listener);
    r.listener = -1;
    r.conf.source.kind = CONFIG_SOURCE_ADDRESS;
    r.conf.source.addr = r.at;
    start(CONFIG_CHECK_TCP);
    run();
    expect(PROBE_FAILED, "connection refused");
    ck_assert(self_connect_is_possible(&r.at));
    r.listener = socket(r.at.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(r.listener, &r.at.sa, r.at.len),
                     0); /* the server may listen there later */
}
END_TEST

START_TEST(only_local_addresses_with_client_ports_may_self_connect)
{
    struct addr a;
    ck_assert_int_eq(addr_parse(&a, "127.0.0.1:80", &(const char *){ NULL }), 0);
    ck_assert(!self_connect_is_possible(&a)); /* not a client port */
    ck_assert_int_eq(addr_parse(&a, "192.0.2.1:40000", &(const char *){ NULL }), 0);
    ck_assert(!self_connect_is_possible(&a)); /* not a local address */
    ck_assert_int_eq(addr_parse(&a, "unix:/run/app.sock", &(const char *){ NULL }), 0);
    ck_assert(!self_connect_is_possible(&a));
}
END_TEST

START_TEST(no_answer_is_a_timeout_while_connecting)
{
    listen_at("127.0.0.1:1", 0);
    int fill[2];
    for (int i = 0; i < 2; i++)
        fill[i] = sock_connect(&r.at, &(struct sock_options){ 0 }, NULL);
    start(CONFIG_CHECK_TCP);
    r.outcome = probe_expire(&r.probe, 1500);
    expect(PROBE_FAILED, "timeout after 1500 ms while connecting");
    for (int i = 0; i < 2; i++)
        close(fill[i]);
}
END_TEST

START_TEST(a_local_error_is_no_result)
{
    struct rlimit before;
    getrlimit(RLIMIT_NOFILE, &before);
    int next = dup(r.epoll);
    close(next);
    struct rlimit none = { (rlim_t)next, before.rlim_max };
    setrlimit(RLIMIT_NOFILE, &none);
    start(CONFIG_CHECK_TCP);
    setrlimit(RLIMIT_NOFILE, &before);
    expect(PROBE_UNKNOWN, "too many open files");
}
END_TEST

/* ---- http ---- */

START_TEST(the_request_names_path_and_host)
{
    char text[ADDR_TEXT_MAX];
    char request[ADDR_TEXT_MAX + 200];
    bool named = _i == 1;
    r.conf.check_path = (char *)(named ? "/alive?really=1" : "/");
    r.conf.check_host = (char *)(named ? "www.example" : NULL);
    start(CONFIG_CHECK_HTTP);
    serve();
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: zproxy\r\nConnection: close\r\n\r\n",
             r.conf.check_path, named ? "www.example" : addr_print(&r.at, text));
    read_request(request);
}
END_TEST

static void make_script(const char *server, const char *check_address)
{
    struct addr at[2] = { { .len = 0 }, { .len = 0 } };
    ck_assert_int_eq(addr_parse(&at[0], server, &(const char *){ NULL }), 0);
    if (check_address != NULL)
        ck_assert_int_eq(addr_parse(&at[1], check_address, &(const char *){ NULL }), 0);
    script_fini(&r.script);
    ck_assert_int_eq(script_init(&r.script, &r.conf, &at[0], &at[1], NULL), 0);
}

START_TEST(the_host_has_no_zone)
{
    r.conf.check = CONFIG_CHECK_HTTP;
    make_script("[fe80::1%lo]:8080", NULL);
    ck_assert_ptr_nonnull(strstr(r.script.request, "\r\nHost: [fe80::1]:8080\r\n"));
    ck_assert_uint_ne(r.script.to.in6.sin6_scope_id, 0);
}
END_TEST

START_TEST(the_checked_address_and_its_header)
{
    enum config_send_proxy no = CONFIG_SEND_PROXY_NO;
    enum config_send_proxy v1 = CONFIG_SEND_PROXY_V1;
    enum config_send_proxy v2 = CONFIG_SEND_PROXY_V2;
    const struct {
        const char *server;
        const char *check_address;
        const char *to;
        uint64_t port;
        enum config_send_proxy send_proxy;
        enum config_check_send_proxy check;
        enum config_send_proxy header;
    } cases[] = {
        { "10.0.0.1:80", NULL, "10.0.0.1:80", 0, no, CONFIG_CHECK_SEND_PROXY_AUTO, no },
        { "10.0.0.1:80", NULL, "10.0.0.1:80", 0, v1, CONFIG_CHECK_SEND_PROXY_AUTO, v1 },
        { "10.0.0.1:80", NULL, "10.0.0.1:80", 0, v2, CONFIG_CHECK_SEND_PROXY_AUTO, v2 },
        { "10.0.0.1:80", NULL, "10.0.0.1:80", 0, v2, CONFIG_CHECK_SEND_PROXY_NO, no },
        { "10.0.0.1:80", NULL, "10.0.0.1:81", 81, v2, CONFIG_CHECK_SEND_PROXY_AUTO, no },
        { "10.0.0.1:80", NULL, "10.0.0.1:81", 81, v2, CONFIG_CHECK_SEND_PROXY_YES, v2 },
        { "10.0.0.1:80", NULL, "10.0.0.1:80", 80, v2, CONFIG_CHECK_SEND_PROXY_AUTO, v2 },
        { "[::1]:80", NULL, "[::1]:81", 81, no, CONFIG_CHECK_SEND_PROXY_YES, v1 },
        { "10.0.0.1:80", "10.0.0.2:82", "10.0.0.2:82", 0, v1, CONFIG_CHECK_SEND_PROXY_AUTO, no },
        { "10.0.0.1:80", "10.0.0.2:82", "10.0.0.2:82", 81, v1, CONFIG_CHECK_SEND_PROXY_YES, v1 },
        { "10.0.0.1:80", "10.0.0.1:80", "10.0.0.1:80", 81, v1, CONFIG_CHECK_SEND_PROXY_AUTO, v1 },
        { "unix:/a", NULL, "unix:/a", 81, v1, CONFIG_CHECK_SEND_PROXY_AUTO, v1 },
    };
    char text[ADDR_TEXT_MAX];
    r.conf.check = CONFIG_CHECK_TCP;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        r.conf.check_port = cases[i].port;
        r.conf.send_proxy = cases[i].send_proxy;
        r.conf.check_send_proxy = cases[i].check;
        make_script(cases[i].server, cases[i].check_address);
        ck_assert_str_eq(addr_print(&r.script.to, text), cases[i].to);
        ck_assert_int_eq(r.script.header, cases[i].header);
    }
}
END_TEST

START_TEST(the_status_decides_in_any_pieces)
{
    static const struct {
        const char *answer;
        enum probe_outcome outcome;
        const char *why;
    } cases[] = {
        { "HTTP/1.1 200 OK\r\n\r\n", PROBE_PASSED, "HTTP 200" },
        { "HTTP/1.0 399 Odd\r\n\r\n", PROBE_PASSED, "HTTP 399" },
        { "HTTP/1.1 400 Bad Request\r\n\r\n", PROBE_FAILED, "HTTP 400" },
        { "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 204 None\r\n\r\n", PROBE_PASSED, "HTTP 204" },
        { "HTTP/1.1 503 Busy\r\n\r\n", PROBE_FAILED, "HTTP 503" },
    };
    const char *line = cases[_i].answer;
    start(CONFIG_CHECK_HTTP);
    serve();
    for (size_t i = 0; r.outcome == PROBE_RUNNING; i++) {
        ck_assert_uint_lt(i, strlen(line));
        answer(line + i, 1);
        step();
    }
    expect(cases[_i].outcome, cases[_i].why);
}
END_TEST

START_TEST(the_reason_quotes_what_is_not_http)
{
    start(CONFIG_CHECK_HTTP);
    serve();
    answer("220 mail.example\t\"ESMTP\"\x01\r\n", 27);
    run();
    expect(PROBE_FAILED, "not HTTP: \"220 mail.example\\t\\\"ESMTP\\\"\\x01\"");
}
END_TEST

START_TEST(the_reason_quotes_an_answer_that_ends_too_early)
{
    start(CONFIG_CHECK_HTTP);
    serve();
    answer("HTTP/1", 6);
    close(r.server);
    r.server = -1;
    run();
    expect(PROBE_FAILED, "expected an HTTP status, got \"HTTP/1\"");
}
END_TEST

START_TEST(a_server_may_close_or_reset_after_its_answer)
{
    start(CONFIG_CHECK_HTTP);
    serve();
    answer("HTTP/1.1 200 OK\r\n\r\n", 19);
    if (_i == 0)
        close(r.server);
    else
        sock_reset(r.server);
    r.server = -1;
    run();
    expect(PROBE_PASSED, "HTTP 200");
}
END_TEST

/* ---- send and expect ---- */

START_TEST(expected_bytes_may_come_in_any_pieces)
{
    static const char reply[] = "noise +PO+PONG\r\n";
    const size_t end = strlen("noise +PO+PONG");
    start_exchange("PING\r\n", "+PONG");
    serve();
    read_request("PING\r\n");
    for (size_t at = 0; r.outcome == PROBE_RUNNING;) {
        size_t piece = at + (size_t)_i < end ? (size_t)_i : end - at;
        answer(reply + at, piece);
        at += piece;
        step();
        ck_assert_int_eq(r.outcome == PROBE_PASSED, at == end);
    }
    expect(PROBE_PASSED, "got \"+PONG\"");
}
END_TEST

START_TEST(bytes_may_be_nul)
{
    r.conf.check_expect = (struct config_bytes){ (char *)"\0\1", 2 };
    start(CONFIG_CHECK_SEND);
    serve();
    answer("ab\0\1", 4);
    run();
    expect(PROBE_PASSED, "got \"\\x00\\x01\"");
}
END_TEST

START_TEST(a_banner_is_expected_without_a_send)
{
    start_exchange(NULL, "ESMTP");
    serve();
    answer("220 mail.example ESMTP\r\n", 24);
    run();
    expect(PROBE_PASSED, "got \"ESMTP\"");
}
END_TEST

START_TEST(a_script_that_only_sends_needs_no_answer)
{
    start_exchange("hello\n", NULL);
    run();
    expect(PROBE_PASSED, "sent");
}
END_TEST

START_TEST(after_a_close_the_reason_quotes_the_other_answer)
{
    start_exchange("PING\r\n", "+PONG");
    serve();
    answer("-NOAUTH Authentication required.\r\n", 34);
    close(r.server);
    r.server = -1;
    run();
    expect(PROBE_FAILED, "expected \"+PONG\", got \"-NOAUTH Authentication required.\"");
}
END_TEST

START_TEST(after_a_timeout_the_reason_quotes_the_other_answer)
{
    start_exchange("PING\r\n", "+PONG");
    serve();
    answer("-LOADING\r\n", 10);
    step();
    ck_assert_int_eq(r.outcome, PROBE_RUNNING);
    r.outcome = probe_expire(&r.probe, SECOND);
    expect(PROBE_FAILED, "timeout after 1 s while waiting for \"+PONG\", got \"-LOADING\"");
}
END_TEST

START_TEST(no_answer_is_a_timeout)
{
    start_exchange("PING\r\n", "+PONG");
    serve();
    r.outcome = probe_expire(&r.probe, SECOND);
    expect(PROBE_FAILED, "timeout after 1 s while waiting for \"+PONG\"");
}
END_TEST

START_TEST(a_server_that_reads_nothing_is_a_timeout)
{
    const size_t large = 64 << 20;
    r.conf.check_send = (struct config_bytes){ calloc(1, large), large };
    r.conf.check_expect = (struct config_bytes){ (char *)"x", 1 };
    start(CONFIG_CHECK_SEND);
    run_until(PROBE_SEND);
    r.outcome = probe_expire(&r.probe, SECOND);
    expect(PROBE_FAILED, "timeout after 1 s while sending");
    free(r.conf.check_send.data);
}
END_TEST

START_TEST(a_close_without_an_answer_is_a_failure)
{
    start_exchange("PING\r\n", "+PONG");
    serve();
    if (_i == 0) {
        read_request("PING\r\n");
        close(r.server);
    } else {
        sock_reset(r.server);
    }
    r.server = -1;
    run();
    expect(PROBE_FAILED, _i == 0 ? "expected \"+PONG\", got the end of the connection"
                                 : "connection reset by peer");
}
END_TEST

START_TEST(only_the_first_bytes_of_an_answer_count)
{
    static char noise[PROBE_RECEIVE_MAX];
    memset(noise, 'n', sizeof noise);
    start_exchange("PING\r\n", "+PONG");
    serve();
    answer(noise, sizeof noise);
    run();
    ck_assert_int_eq(r.outcome, PROBE_FAILED);
    ck_assert_ptr_nonnull(strstr(r.probe.why, "expected \"+PONG\", got \"nnnn"));
    ck_assert_ptr_nonnull(strstr(r.probe.why, "nnnn...\""));
}
END_TEST

START_TEST(a_received_answer_counts_even_after_the_timeout)
{
    start_exchange("PING\r\n", "+PONG");
    serve();
    answer("+PONG\r\n", 7);
    r.outcome = probe_expire(&r.probe, 1);
    expect(PROBE_PASSED, "got \"+PONG\"");
}
END_TEST

START_TEST(answers_of_unix_sockets_are_received)
{
    listen_at("unix:@zproxy-check-probe-heard", 16);
    start_exchange("PING\r\n", "+PONG");
    serve();
    for (const char *c = "+PONG"; *c != '\0'; c++) {
        answer(c, 1);
        step();
    }
    expect(PROBE_PASSED, "got \"+PONG\"");
}
END_TEST

/* ---- steps ---- */

#define STEPS_MAX 8
static const struct value step_value = { .kind = &value_kind_step };
static struct config_step steps[STEPS_MAX];

/* The steps as lines of the configuration, up to NULL. */
static void start_steps(const char *const *text)
{
    struct value_error error;
    r.conf.check_step = steps;
    for (r.conf.check_step_count = 0; *text != NULL; text++)
        ck_assert_msg(value_parse(&step_value, &steps[r.conf.check_step_count++], *text, &error) ==
                          0,
                      "%s", error.text);
    start(CONFIG_CHECK_SEND);
}

static void free_steps(void)
{
    for (size_t i = 0; i < STEPS_MAX; i++)
        value_free(&step_value, &steps[i]);
}

static const char *const role_steps[] = {
    "send AUTH secret\\r\\n",
    "expect_not -",
    "expect +OK\\r\\n",
    "send INFO replication\\r\\n",
    "expect_regex ^role:(master|none)\\r$",
    "send QUIT\\r\\n",
    "expect +OK",
    NULL,
};

START_TEST(steps_are_taken_in_order_each_with_its_own_answer)
{
    start_steps(role_steps);
    serve();
    read_request("AUTH secret\r\n");
    answer("+OK\r\n", 5);
    step();
    read_request("INFO replication\r\n");
    answer("$20\r\n# Replication\r\nro", 22);
    step();
    ck_assert_int_eq(r.outcome, PROBE_RUNNING);
    answer("le:master\r\nrole2:x\r\n\r\n", 22);
    step();
    read_request("QUIT\r\n");
    ck_assert_int_eq(r.outcome, PROBE_RUNNING); /* the +OK of step 3 is not the one of step 7 */
    answer("+OK\r\n", 5);
    run();
    expect(PROBE_PASSED, "got \"+OK\"");
}
END_TEST

START_TEST(a_reason_names_the_step_and_the_relevant_line)
{
    static const struct {
        const char *answers[2];
        const char *why;
        bool closes;
    } cases[] = {
        { { "-WRONGPASS no\r\n", NULL }, "step 2: unwanted \"-\", got \"-WRONGPASS no\"", false },
        { { "+OK\r\n", "$9\r\n# Replication\r\nrole:slave\r\nx:1\r\n" },
          "step 5: expected a match of \"^role:(master|none)\\\\r$\", got \"...role:slave...\"",
          true },
        { { "+OK\r\n", "-LOADING\r\n" },
          "step 5: expected a match of \"^role:(master|none)\\\\r$\", got \"-LOADING\"",
          true },
        { { "+OK\r\n", "" },
          "step 5: expected a match of \"^role:(master|none)\\\\r$\", got the end of the connection",
          true },
        { { "", NULL }, "step 2: expected an answer, got the end of the connection", true },
        { { "+O", NULL }, "step 3: expected \"+OK\", got \"+O\"", true },
    };
    start_steps(role_steps);
    serve();
    read_request("AUTH secret\r\n");
    for (int i = 0; i < 2 && cases[_i].answers[i] != NULL; i++) {
        answer(cases[_i].answers[i], strlen(cases[_i].answers[i]));
        if (i == 0 && cases[_i].answers[1] != NULL) {
            step();
            read_request("INFO replication\r\n");
        }
    }
    if (cases[_i].closes) {
        close(r.server);
        r.server = -1;
    }
    run();
    expect(PROBE_FAILED, cases[_i].why);
}
END_TEST

START_TEST(a_timeout_names_the_step)
{
    start_steps(role_steps);
    serve();
    read_request("AUTH secret\r\n");
    answer("+OK\r\n", 5);
    step();
    answer("$5\r\nhello\r\n", 11);
    r.outcome = probe_expire(&r.probe, SECOND);
    expect(PROBE_FAILED, "step 5: timeout after 1 s while waiting for a match of "
                         "\"^role:(master|none)\\\\r$\", got \"$5...\"");
    ck_assert_int_eq(r.probe.fd, -1);
}
END_TEST

START_TEST(expressions_match_bytes_and_lines)
{
    static const struct {
        const char *steps[2];
        const char *bytes;
        size_t len;
        enum probe_outcome outcome;
    } cases[] = {
        { { "expect_regex ^b", NULL }, "a\nb", 3, PROBE_PASSED },
        { { "expect_regex a.b", NULL }, "a\nb", 3, PROBE_FAILED },
        { { "expect_regex b$", NULL }, "a\0b", 3, PROBE_PASSED },
        { { "expect_regex ^\\x2b\\.$", NULL }, "+.", 2, PROBE_PASSED },
        { { "expect_regex ^\\x2e$", NULL }, "x", 1, PROBE_FAILED },
        { { "expect_regex [[:digit:]]{3}\\t", NULL }, "12\t123\t", 7, PROBE_PASSED },
        { { "expect_not \\0", NULL }, "ab", 2, PROBE_PASSED },
        { { "expect_not \\0", NULL }, "a\0b", 3, PROBE_FAILED },
    };
    start_steps(cases[_i].steps);
    serve();
    answer(cases[_i].bytes, cases[_i].len);
    close(r.server);
    r.server = -1;
    run();
    ck_assert_int_eq(r.outcome, cases[_i].outcome);
}
END_TEST

/* ---- close ---- */

/* What the server reads at the end of the probe: 0 for a FIN, or an errno value. */
static int end_seen(void)
{
    char rest[64];
    ssize_t n = 0;
    ck_assert_int_eq(fcntl(r.server, F_SETFL, 0), 0);
    while ((n = recv(r.server, rest, sizeof rest, 0)) > 0)
        continue;
    return n == 0 ? 0 : errno;
}

START_TEST(after_a_send_the_connection_is_closed_in_order)
{
    start_exchange("PING\r\n", "+PONG");
    serve();
    answer(_i == 0 ? "+PONG\r\nand more\r\n" : "-ERR\r\n+PONG\r\n", _i == 0 ? 17 : 13);
    run();
    ck_assert_int_eq(r.outcome, PROBE_PASSED);
    ck_assert_int_eq(end_seen(), 0);
    answer("goodbye\r\n", 9); /* read, not answered with a reset */
    ck_assert_int_eq(shutdown(r.server, SHUT_WR), 0);
    while (r.probe.fd != -1)
        step();
    ck_assert_int_eq(r.outcome, PROBE_RUNNING);
    ck_assert_int_eq(end_seen(), 0);
}
END_TEST

START_TEST(after_a_header_alone_the_connection_is_closed_in_order)
{
    r.conf.send_proxy = CONFIG_SEND_PROXY_V2;
    start(CONFIG_CHECK_TCP);
    run();
    expect(PROBE_PASSED, "connected");
    r.server = accept(r.listener, NULL, NULL);
    ck_assert_int_ge(r.server, 0);
    ck_assert_int_eq(end_seen(), 0);
}
END_TEST

START_TEST(an_http_server_closes_first)
{
    char request[1024];
    start(CONFIG_CHECK_HTTP);
    serve();
    ck_assert_int_gt(recv(r.server, request, sizeof request, 0), 0);
    answer("HTTP/1.1 200 OK\r\n\r\n", 19);
    run();
    ck_assert_int_eq(recv(r.server, request, sizeof request, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EAGAIN); /* no FIN yet: the body may follow */
    answer("body", 4);
    ck_assert_int_eq(shutdown(r.server, SHUT_WR), 0);
    while (r.probe.fd != -1)
        step();
    ck_assert_int_eq(end_seen(), 0);
}
END_TEST

START_TEST(a_server_that_never_closes_is_reset)
{
    static char noise[65536];
    start_exchange("PING\r\n", "+PONG");
    serve();
    answer("+PONG\r\n", 7);
    run();
    for (int i = 0; i < 64 && r.probe.fd != -1; i++) {
        (void)send(r.server, noise, sizeof noise, MSG_NOSIGNAL | MSG_DONTWAIT);
        step();
    }
    ck_assert_int_eq(r.probe.fd, -1);
}
END_TEST

START_TEST(interim_answers_may_be_long)
{
    static char head[20000];
    size_t n = (size_t)sprintf(head, "HTTP/1.1 103 Early Hints\r\n");
    while (n < sizeof head - 100)
        n += (size_t)sprintf(head + n, "Link: </%zu>%s", n, _i == 0 ? "\r\n" : ",");
    n += (size_t)sprintf(head + n, _i == 0 ? "\r\n" : "\r\n\r\n");
    start(CONFIG_CHECK_HTTP);
    serve();
    for (size_t at = 0; at < n; at += 1000) {
        answer(head + at, n - at < 1000 ? n - at : 1000);
        step();
        ck_assert_msg(r.outcome == PROBE_RUNNING, "%zu: %s", at, r.probe.why);
    }
    answer("HTTP/1.1 200 OK\r\n\r\n", 19);
    run();
    expect(PROBE_PASSED, "HTTP 200");
}
END_TEST

START_TEST(endless_interim_answers_are_a_failure)
{
    static const char head[] = "HTTP/1.1 100 Continue\r\n\r\n";
    start(CONFIG_CHECK_HTTP);
    serve();
    for (int i = 0; i < 5000 && r.outcome == PROBE_RUNNING; i++) {
        answer(head, sizeof head - 1);
        step();
    }
    expect(PROBE_FAILED, "more than 65536 bytes of interim answers of HTTP");
}
END_TEST

START_TEST(no_reason_shows_the_value_of_a_variable)
{
    struct config_variable secret = { (char *)"WORD", (char *)"se\"same" };
    struct config whole = { .variable = &secret, .variable_count = 1 };
    r.conf.config = &whole;
    start_exchange("PING\r\n", "se\"same+PONG");
    serve();
    answer("-ERR 'se\"same', 'se\"same'\r\n", 27);
    if (_i == 0) {
        close(r.server);
        r.server = -1;
        run();
        expect(PROBE_FAILED, "expected \"${WORD}+PONG\", got \"-ERR '${WORD}', '${WORD}'\"");
    } else {
        answer("se\"same+PONG", 13);
        run();
        expect(PROBE_PASSED, "got \"${WORD}+PONG\"");
    }
}
END_TEST

/* ---- quotes ---- */

START_TEST(quotes_are_bounded)
{
    char out[PROBE_QUOTE_MAX];
    char data[300];
    for (int c = 0; c < 256; c++) {
        for (size_t len = 0; len <= sizeof data; len++) {
            memset(data, c, len);
            size_t n = strlen(probe_quote(out, data, len));
            ck_assert_uint_lt(n, sizeof out);
            ck_assert_int_eq(out[0], '"');
            ck_assert_int_eq(out[n - 1], '"');
        }
    }
}
END_TEST

START_TEST(quotes_show_the_first_line)
{
    static const struct {
        const char *data;
        const char *quoted;
    } cases[] = {
        { "", "\"\"" },
        { "\n", "\"\\n\"" },
        { "+PONG", "\"+PONG\"" },
        { "+PONG\n", "\"+PONG\"" },
        { "+PONG\r\n", "\"+PONG\"" },
        { "220 a\r\n220 b\r\n", "\"220 a...\"" },
        { "\nhello\n", "\"\\nhello\"" },
        { "a\"b\\c\t", "\"a\\\"b\\\\c\\t\"" },
    };
    char out[PROBE_QUOTE_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_str_eq(probe_quote(out, cases[i].data, strlen(cases[i].data)), cases[i].quoted);
}
END_TEST

START_TEST(of_several_lines_the_relevant_one_is_quoted)
{
    static const struct {
        const char *data;
        const char *wanted;
        const char *quoted;
    } cases[] = {
        { "+OK\r\n-LOADING Redis\r\n", "+PONG", "\"...-LOADING Redis\"" },
        { "# Replication\r\nrole:slave\r\nx:y\r\n", "role:master", "\"...role:slave...\"" },
        { "220-mail\r\n554 no\r\n", "250 ", "\"...554 no\"" },
        { "220-mail\r\n220 ready\r\n", "250 ", "\"220-mail...\"" },
        { "HTTP/1.0 503 x\r\nA: b\r\n\r\nerror\r\n", "HTTP/1.0 200", "\"HTTP/1.0 503 x...\"" },
        { "one\ntwo", "", "\"one...\"" },
        { "one", "two", "\"one\"" },
        { "", "two", "\"\"" },
        { "\n\n", "two", "\"\\n\"" },
    };
    char out[PROBE_QUOTE_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_str_eq(probe_quote_line(out, cases[i].data, strlen(cases[i].data),
                                          cases[i].wanted, strlen(cases[i].wanted)),
                         cases[i].quoted);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("probe");
    TCase *t = tcase_create("probe");
    tcase_add_checked_fixture(t, open_rig, close_rig);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_tcp_probe_is_never_seen_by_the_server);
    tcase_add_test(t, a_probe_connects_by_ipv6);
    tcase_add_test(t, a_probe_connects_to_unix_sockets);
    tcase_add_test(t, a_full_backlog_of_a_unix_socket_is_a_failure);
    tcase_add_test(t, a_refused_connection_is_a_failure);
    tcase_add_test(t, no_answer_is_a_timeout_while_connecting);
    tcase_add_loop_test(t, a_connection_to_itself_is_refused, 0, 3);
    tcase_add_test(t, only_local_addresses_with_client_ports_may_self_connect);
    tcase_add_test(t, a_local_error_is_no_result);
    tcase_add_loop_test(t, the_request_names_path_and_host, 0, 2);
    tcase_add_test(t, the_host_has_no_zone);
    tcase_add_test(t, the_checked_address_and_its_header);
    tcase_add_loop_test(t, the_status_decides_in_any_pieces, 0, 5);
    tcase_add_test(t, the_reason_quotes_what_is_not_http);
    tcase_add_test(t, the_reason_quotes_an_answer_that_ends_too_early);
    tcase_add_loop_test(t, a_server_may_close_or_reset_after_its_answer, 0, 2);
    tcase_add_loop_test(t, expected_bytes_may_come_in_any_pieces, 1, 15);
    tcase_add_test(t, bytes_may_be_nul);
    tcase_add_test(t, a_banner_is_expected_without_a_send);
    tcase_add_test(t, a_script_that_only_sends_needs_no_answer);
    tcase_add_test(t, after_a_close_the_reason_quotes_the_other_answer);
    tcase_add_test(t, after_a_timeout_the_reason_quotes_the_other_answer);
    tcase_add_test(t, no_answer_is_a_timeout);
    tcase_add_test(t, a_server_that_reads_nothing_is_a_timeout);
    tcase_add_loop_test(t, a_close_without_an_answer_is_a_failure, 0, 2);
    tcase_add_test(t, only_the_first_bytes_of_an_answer_count);
    tcase_add_test(t, a_received_answer_counts_even_after_the_timeout);
    tcase_add_test(t, answers_of_unix_sockets_are_received);
    tcase_add_test(t, steps_are_taken_in_order_each_with_its_own_answer);
    tcase_add_loop_test(t, a_reason_names_the_step_and_the_relevant_line, 0, 6);
    tcase_add_test(t, a_timeout_names_the_step);
    tcase_add_loop_test(t, expressions_match_bytes_and_lines, 0, 8);
    tcase_add_loop_test(t, after_a_send_the_connection_is_closed_in_order, 0, 2);
    tcase_add_test(t, after_a_header_alone_the_connection_is_closed_in_order);
    tcase_add_test(t, an_http_server_closes_first);
    tcase_add_test(t, a_server_that_never_closes_is_reset);
    tcase_add_loop_test(t, interim_answers_may_be_long, 0, 2);
    tcase_add_test(t, endless_interim_answers_are_a_failure);
    tcase_add_test(t, of_several_lines_the_relevant_one_is_quoted);
    tcase_add_loop_test(t, no_reason_shows_the_value_of_a_variable, 0, 2);
    tcase_add_test(t, quotes_are_bounded);
    tcase_add_test(t, quotes_show_the_first_line);
    suite_add_tcase(s, t);
    return suite_main(s);
}
