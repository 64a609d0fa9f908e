#include "tls/tls_trial.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls/tls_server_context.h"
#include "tls/tls_stream.h"

#define TURNS_MAX 16 /* a handshake needs four */

/* Both ends in turn. Returns what the server's end has come to. */
static int shake_hands(struct tls_stream *client, struct tls_stream *server)
{
    int of_client = -EAGAIN, of_server = -EAGAIN;
    for (int i = 0; i < TURNS_MAX && of_server == -EAGAIN; i++) {
        if (of_client == -EAGAIN)
            of_client = tls_stream_handshake(client);
        of_server = tls_stream_handshake(server);
    }
    return of_server;
}

static bool try_streams(struct tls_stream *client, struct tls_stream *server, const char *name,
                        char why[TLS_TRIAL_MAX])
{
    if (client == NULL || server == NULL ||
        SSL_set_tlsext_host_name(tls_stream_ssl(client), name) != 1)
        return true;
    SSL_set_verify(tls_stream_ssl(server), SSL_VERIFY_NONE, NULL);
    if (shake_hands(client, server) != -EPROTO)
        return true;
    snprintf(why, TLS_TRIAL_MAX, "%s", tls_stream_why(server));
    return false;
}

bool tls_trial_succeeds(const struct tls_server_context *c, const char *name,
                        char why[TLS_TRIAL_MAX])
{
    int fd[2];
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == -1) {
        SSL_CTX_free(ctx);
        return true;
    }
    struct tls_stream *client = tls_stream_new(ctx, fd[0], false);
    struct tls_stream *server = tls_server_context_accept(c, fd[1]);
    bool ok = try_streams(client, server, name, why);
    tls_stream_free(client);
    tls_stream_free(server);
    close(fd[0]);
    close(fd[1]);
    SSL_CTX_free(ctx);
    return ok;
}
