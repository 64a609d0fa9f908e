#include <errno.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "suite.h"
#include "tls/tls_tickets.h"
#include "tls_rig.h"

/* The name is that of ld(1), --wrap: zproxy's clock, which is ahead of OpenSSL's.
 * NOLINTBEGIN(bugprone-reserved-identifier) */
time_t __real_time(time_t *t);
time_t __wrap_time(time_t *t);

static time_t ahead;

time_t __wrap_time(time_t *t)
{
    time_t now = __real_time(NULL) + ahead;
    if (t != NULL)
        *t = now;
    return now;
}
/* NOLINTEND(bugprone-reserved-identifier) */

static SSL_CTX *server_ctx, *client_ctx;
static SSL_SESSION *session; /* the client's newest one */
static uint64_t identity;

static uint64_t identity_of(const void *arg, const char *name)
{
    (void)arg, (void)name;
    return identity;
}

static int on_session(SSL *ssl, SSL_SESSION *newest)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = newest;
    return 1;
}

static void begin(int version)
{
    static const struct tls_tickets tickets = { .identity = identity_of };
    ahead = 0;
    identity = 1;
    server_ctx = tls_rig_context(true, version);
    client_ctx = tls_rig_context(false, version);
    tls_stream_note_names(server_ctx);
    ck_assert_int_eq(tls_tickets_use(server_ctx, &tickets), 0);
    SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(client_ctx, on_session);
}

static void end(void)
{
    SSL_SESSION_free(session);
    session = NULL;
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
}

/* Returns whether the session was resumed. Its tickets come with the first read. */
static bool connect_again(void)
{
    int fd[2];
    char byte;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    struct tls_stream *client = tls_stream_new(client_ctx, fd[0], false);
    struct tls_stream *server = tls_stream_new(server_ctx, fd[1], true);
    if (session != NULL)
        ck_assert_int_eq(SSL_set_session(tls_stream_ssl(client), session), 1);
    tls_rig_handshake(client, server);
    ck_assert_int_eq(tls_stream_read(client, &byte, 1), -EAGAIN);
    bool resumed = SSL_session_reused(tls_stream_ssl(client)) == 1;
    tls_stream_free(client);
    tls_stream_free(server);
    close(fd[0]);
    close(fd[1]);
    return resumed;
}

static unsigned long lifetime(void)
{
    return SSL_SESSION_get_ticket_lifetime_hint(session);
}

START_TEST(a_session_ends_an_hour_after_its_full_handshake_however_often_it_is_resumed)
{
    begin(TLS1_3_VERSION);
    ck_assert(!connect_again());
    ck_assert_uint_eq(lifetime(), TLS_TICKETS_LIFETIME);
    for (int i = 1; i < 4; i++) {
        ahead = i * TLS_TICKETS_LIFETIME / 4;
        ck_assert(connect_again());
        ck_assert_uint_le(lifetime(), (unsigned long)(4 - i) * TLS_TICKETS_LIFETIME / 4);
        ck_assert_uint_gt(lifetime(), 0);
    }
    ahead = TLS_TICKETS_LIFETIME;
    ck_assert(!connect_again());
    ck_assert_uint_eq(lifetime(), TLS_TICKETS_LIFETIME);
    ck_assert(connect_again());
    end();
}
END_TEST

START_TEST(a_clock_that_is_set_back_makes_no_lifetime_longer)
{
    begin(TLS1_3_VERSION);
    ck_assert(!connect_again());
    ahead = -10 * TLS_TICKETS_LIFETIME;
    ck_assert(connect_again());
    ck_assert_uint_le(lifetime(), TLS_TICKETS_LIFETIME);
    end();
}
END_TEST

START_TEST(a_session_is_resumed_while_what_stands_for_its_name_is_as_it_was)
{
    begin(_i == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
    ck_assert(!connect_again());
    ck_assert(connect_again());
    identity = 2;
    ck_assert(!connect_again());
    ck_assert(connect_again());
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls_tickets");
    TCase *t = tcase_create("tls_tickets");
    tcase_add_test(t, a_session_ends_an_hour_after_its_full_handshake_however_often_it_is_resumed);
    tcase_add_test(t, a_clock_that_is_set_back_makes_no_lifetime_longer);
    tcase_add_loop_test(t, a_session_is_resumed_while_what_stands_for_its_name_is_as_it_was, 0, 2);
    suite_add_tcase(s, t);
    return suite_main(s);
}
