#include "tls/tls_stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tls/tls_error.h"
#include "tls/tls_names.h"

struct tls_stream {
    SSL *ssl;
    int fd;
    int error; /* errno of the socket; 0: none */
    bool has_ended;
    bool close_sent;
    unsigned char *rest; /* what the socket has not taken */
    size_t rest_size;
    size_t rest_sent;
    char *why;
};

/* ---- the socket, as OpenSSL sees it ---- */

static int keep_rest(struct tls_stream *s, const char *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned char *rest = realloc(s->rest, s->rest_size + size);
    if (rest == NULL)
        return -ENOMEM;
    memcpy(rest + s->rest_size, data, size);
    s->rest = rest;
    s->rest_size += size;
    return 0;
}

static void drop_rest(struct tls_stream *s)
{
    free(s->rest);
    s->rest = NULL;
    s->rest_size = s->rest_sent = 0;
}

static int bio_write(BIO *bio, const char *data, int size)
{
    struct tls_stream *s = BIO_get_data(bio);
    ssize_t n = 0;
    BIO_clear_retry_flags(bio);
    if (s->rest == NULL)
        n = send(s->fd, data, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n == -1 && errno != EAGAIN && errno != EINTR)
        s->error = errno;
    else if (keep_rest(s, data + (n > 0 ? n : 0), (size_t)size - (size_t)(n > 0 ? n : 0)) < 0)
        s->error = ENOMEM;
    return s->error != 0 ? -1 : size;
}

static int bio_read(BIO *bio, char *data, int size)
{
    struct tls_stream *s = BIO_get_data(bio);
    ssize_t n = recv(s->fd, data, (size_t)size, MSG_DONTWAIT);
    BIO_clear_retry_flags(bio);
    if (n == 0)
        s->has_ended = true;
    else if (n == -1 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    else if (n == -1)
        s->error = errno;
    return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const struct tls_stream *s = BIO_get_data(bio);
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_FLUSH)
        return 1;
    return command == BIO_CTRL_EOF && s->has_ended;
}

static BIO_METHOD *bio_method;
static int stream_index; /* of SSL's data: the stream */

static void stream_setup(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "zproxy");
    stream_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    if (m == NULL || stream_index == -1 || !BIO_meth_set_write(m, bio_write) ||
        !BIO_meth_set_read(m, bio_read) || !BIO_meth_set_ctrl(m, bio_ctrl))
        BIO_meth_free(m);
    else
        bio_method = m;
}

/* ---- verification ---- */

static void set_why(struct tls_stream *s, const char *text)
{
    if (s->why == NULL)
        s->why = strdup(text);
}

/* OpenSSL forgets the certificate that it refuses, so the reason is noted here. */
static int on_verified(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_stream *s = SSL_get_ex_data(ssl, stream_index);
    char text[TLS_ERROR_MAX];
    if (!ok)
        set_why(s, tls_names_why_refused(store, text));
    return ok;
}

/* ---- begin and end ---- */

static int stream_attach(struct tls_stream *s, SSL_CTX *ctx, bool server)
{
    BIO *bio = BIO_new(bio_method);
    s->ssl = bio == NULL ? NULL : SSL_new(ctx);
    if (s->ssl == NULL || SSL_set_ex_data(s->ssl, stream_index, s) != 1) {
        BIO_free(bio);
        return -ENOMEM;
    }
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    if (server)
        SSL_set_accept_state(s->ssl);
    else
        SSL_set_connect_state(s->ssl);
    SSL_set_verify(s->ssl, SSL_get_verify_mode(s->ssl), on_verified);
    return 0;
}

struct tls_stream *tls_stream_new(struct ssl_ctx_st *ctx, int fd, bool server)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, stream_setup);
    struct tls_stream *s = bio_method == NULL ? NULL : calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->fd = fd;
    if (stream_attach(s, ctx, server) == 0)
        return s;
    ERR_clear_error();
    tls_stream_free(s);
    return NULL;
}

void tls_stream_free(struct tls_stream *s)
{
    if (s == NULL)
        return;
    /* Otherwise OpenSSL takes a connection without close_notify for one that was attacked, and does
     * not continue its session (SSL_set_shutdown(3)). */
    if (s->ssl != NULL && SSL_is_init_finished(s->ssl) && s->why == NULL)
        SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(s->ssl);
    drop_rest(s);
    free(s->why);
    free(s);
}

/* ---- results ---- */

/* Turns the result of a call of OpenSSL into one of this module. */
static int stream_failed(struct tls_stream *s, int rc)
{
    char text[TLS_ERROR_MAX];
    int error = SSL_get_error(s->ssl, rc);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    bool cut =
        s->has_ended && (error == SSL_ERROR_SYSCALL ||
                         ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
    if (s->error == 0 && !cut)
        set_why(s, tls_error_take(text));
    ERR_clear_error();
    return s->error != 0 ? -s->error : cut ? -ECONNABORTED : -EPROTO;
}

int tls_stream_handshake(struct tls_stream *s)
{
    int rc = tls_stream_flush(s);
    if (rc < 0 && rc != -EAGAIN)
        return rc;
    ERR_clear_error();
    rc = SSL_do_handshake(s->ssl);
    return rc == 1 ? 0 : stream_failed(s, rc);
}

ssize_t tls_stream_read(struct tls_stream *s, void *data, size_t size)
{
    size_t n = 0;
    ERR_clear_error();
    int rc = SSL_read_ex(s->ssl, data, size, &n);
    return rc == 1 ? (ssize_t)n : stream_failed(s, rc);
}

/* The BIO takes all bytes, so OpenSSL never has to be called again with the same ones. */
int tls_stream_write(struct tls_stream *s, const void *data, size_t size)
{
    size_t n = 0;
    ERR_clear_error();
    if (size == 0)
        return 0;
    int rc = SSL_write_ex(s->ssl, data, size, &n);
    return rc == 1 ? 0 : stream_failed(s, rc);
}

int tls_stream_flush(struct tls_stream *s)
{
    while (s->rest_sent < s->rest_size) {
        ssize_t n = send(s->fd, s->rest + s->rest_sent, s->rest_size - s->rest_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return -errno;
        s->rest_sent += (size_t)n;
    }
    drop_rest(s);
    return 0;
}

bool tls_stream_has_rest(const struct tls_stream *s)
{
    return s->rest != NULL;
}

bool tls_stream_has_pending(const struct tls_stream *s)
{
    return SSL_has_pending(s->ssl) == 1;
}

int tls_stream_close(struct tls_stream *s)
{
    if (s->close_sent)
        return 0;
    ERR_clear_error();
    s->close_sent = true;
    int rc = SSL_shutdown(s->ssl);
    return rc >= 0 ? 0 : stream_failed(s, rc);
}

const char *tls_stream_why(const struct tls_stream *s)
{
    return s->why == NULL ? "" : s->why;
}

const char *tls_stream_version(const struct tls_stream *s)
{
    return SSL_version(s->ssl) == TLS1_3_VERSION ? "1.3" : "1.2";
}

const char *tls_stream_cipher(const struct tls_stream *s)
{
    return SSL_get_cipher_name(s->ssl);
}

bool tls_stream_is_resumed(const struct tls_stream *s)
{
    return SSL_session_reused(s->ssl) == 1;
}

struct ssl_st *tls_stream_ssl(struct tls_stream *s)
{
    return s->ssl;
}
