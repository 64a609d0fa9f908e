#include "tls/tls_stream.h"

#include <assert.h>
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
#include "tls/tls_keys.h"
#include "tls/tls_names.h"
#include "tls/tls_session_cache.h"
#include "tls/tls_stream_internal.h"

/* Bytes that the socket does not take. More come only from a peer that asks for answers (KeyUpdate)
 * and does not read them. */
#define REST_MAX (256 * 1024)

#define READ_AHEAD           (64 * 1024)
#define HANDSHAKE_READ_AHEAD (4 * 1024)

/* Records of the call that is in progress on this thread. */
static _Thread_local struct {
    size_t size;
    unsigned char bytes[OUT_MAX];
} out;

void tls_stream_set_why(struct tls_stream *s, const char *text)
{
    if (s->why == NULL)
        s->why = strdup(text);
}

/* ---- the socket, as OpenSSL sees it ---- */

static int keep_rest(struct tls_stream *s, const void *data, size_t size)
{
    if (size == 0)
        return 0;
    if (buffer_size(&s->rest) + size > REST_MAX) {
        tls_stream_set_why(s, "the peer wants answers and does not read them");
        return -EPROTO;
    }
    return buffer_append(&s->rest, data, size);
}

void tls_stream_send(struct tls_stream *s, const unsigned char *data, size_t size)
{
    ssize_t n = 0;
    if (!tls_stream_has_rest(s))
        n = send(s->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n == -1 && errno != EAGAIN && errno != EINTR) {
        s->error = errno;
        return;
    }
    size_t sent = n > 0 ? (size_t)n : 0;
    int rc = keep_rest(s, data + sent, size - sent);
    if (rc < 0)
        s->error = -rc;
}

unsigned char *tls_stream_collect(struct tls_stream *s, size_t size)
{
    if (size > OUT_MAX - out.size)
        tls_stream_send_collected(s);
    return out.bytes + out.size;
}

void tls_stream_collected(size_t size)
{
    out.size += size;
}

void tls_stream_send_collected(struct tls_stream *s)
{
    if (out.size > 0 && s->error == 0)
        tls_stream_send(s, out.bytes, out.size);
    out.size = 0;
}

static int bio_write(BIO *bio, const char *data, int size)
{
    struct tls_stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (s->collects) {
        assert(size <= OUT_MAX); /* OpenSSL writes a record at most */
        memcpy(tls_stream_collect(s, (size_t)size), data, (size_t)size);
        tls_stream_collected((size_t)size);
    } else if (s->error == 0) {
        tls_stream_send(s, (const unsigned char *)data, (size_t)size);
    }
    return s->error != 0 ? -1 : size;
}

static size_t take_input(struct tls_stream *s, char *data, size_t size)
{
    size_t n = buffer_size(&s->input) < size ? buffer_size(&s->input) : size;
    memcpy(data, buffer_bytes(&s->input), n);
    buffer_consume(&s->input, n);
    return n;
}

/* OpenSSL asks for the header of a record, then for the rest of it. Returns as recv(2). */
static ssize_t receive(struct tls_stream *s, char *data, size_t size)
{
    char bytes[HANDSHAKE_READ_AHEAD];
    if (buffer_size(&s->input) > 0)
        return (ssize_t)take_input(s, data, size);
    if (!s->reads_ahead || size > sizeof bytes)
        return recv(s->fd, data, size, MSG_DONTWAIT);
    ssize_t n = recv(s->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    size_t got = n > 0 ? (size_t)n : 0, taken = got < size ? got : size;
    if (n <= 0)
        return n;
    memcpy(data, bytes, taken);
    if (buffer_append(&s->input, bytes + taken, got - taken) == 0)
        return (ssize_t)taken;
    errno = ENOMEM;
    return -1;
}

/* OpenSSL is not told of FIN: it would send an alert, after which the peer could not send the rest
 * of its own direction. */
static int bio_read(BIO *bio, char *data, int size)
{
    struct tls_stream *s = BIO_get_data(bio);
    if (s->control > TLS_CONTROL_MAX) {
        tls_stream_set_why(s, "too many messages without data");
        s->error = EPROTO;
        return -1;
    }
    ssize_t n;
    do {
        n = receive(s, data, (size_t)size);
    } while (n == -1 && errno == EINTR);
    BIO_clear_retry_flags(bio);
    s->received |= n > 0;
    s->has_ended |= n == 0;
    if (n == 0 || (n == -1 && errno == EAGAIN))
        BIO_set_retry_read(bio);
    else if (n == -1)
        s->error = errno;
    return n > 0 ? (int)n : -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
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

/* OpenSSL forgets the certificate that it refuses, so the reason is noted here. */
static int on_verified(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_stream *s = SSL_get_ex_data(ssl, stream_index);
    char text[TLS_ERROR_MAX];
    if (!ok)
        tls_stream_set_why(s, tls_names_why_refused(store, text));
    return ok;
}

/* ---- the name in the hello ---- */

/* The extension (RFC 6066, 3): the length of the list, then type, length and name. A list that is
 * not as it should be is refused by OpenSSL later. */
static int note_name(struct tls_stream *s, const unsigned char *list, size_t size)
{
    const size_t head = 5;
    if (size <= head || list[2] != TLSEXT_NAMETYPE_host_name)
        return 0;
    size_t length = (size_t)list[3] << 8 | list[4];
    if (length > size - head)
        return 0;
    s->server_name = strndup((const char *)list + head, length);
    return s->server_name == NULL ? -ENOMEM : 0;
}

/* Called again for the second hello after a HelloRetryRequest. */
static int on_hello(SSL *ssl, int *alert, void *arg)
{
    struct tls_stream *s = tls_stream_of(ssl);
    const unsigned char *list = NULL;
    size_t size = 0;
    (void)arg;
    free(s->server_name);
    s->server_name = NULL;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &list, &size) != 1 ||
        note_name(s, list, size) == 0)
        return SSL_CLIENT_HELLO_SUCCESS;
    s->error = ENOMEM;
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
}

void tls_stream_note_names(struct ssl_ctx_st *ctx)
{
    SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
}

/* ---- sessions ---- */

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_stream *s = SSL_get_ex_data(ssl, stream_index);
    if (s->entry == NULL)
        return 0;
    tls_session_entry_keep(s->entry, session);
    return 1;
}

void tls_stream_prepare_sessions(struct ssl_ctx_st *ctx)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL |
                                            SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
}

void tls_stream_resume(struct tls_stream *s, struct tls_session_entry *entry)
{
    SSL_SESSION *session = tls_session_entry_session(entry);
    s->entry = entry;
    if (session != NULL)
        SSL_set_session(s->ssl, session); /* without it the handshake is a full one */
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
    s->is_server = server;
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

/* Otherwise OpenSSL takes a connection without close_notify for one that was attacked, and does not
 * resume its session (SSL_set_shutdown(3)): it would look for it in the context, with a lock. */
void tls_stream_free_ssl(struct tls_stream *s)
{
    if (s->ssl != NULL && SSL_is_init_finished(s->ssl) && s->why == NULL)
        SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(s->ssl);
    s->ssl = NULL;
}

void tls_stream_free(struct tls_stream *s)
{
    if (s == NULL)
        return;
    tls_stream_free_ssl(s);
    tls_session_entry_put(s->entry);
    tls_stream_records_fini(s);
    buffer_free(&s->rest);
    free(s->why);
    free(s->server_name);
    free(s);
}

/* ---- results ---- */

/* Turns the result of a call of OpenSSL into one of this module. */
static int stream_failed(struct tls_stream *s, int rc)
{
    char text[TLS_ERROR_MAX];
    int error = SSL_get_error(s->ssl, rc);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return s->has_ended ? -ECONNABORTED : -EAGAIN;
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    int number = s->error;
    if (number == 0) {
        number = tls_error_take_number(text);
        tls_stream_set_why(s, text);
    }
    ERR_clear_error();
    return -number;
}

void tls_stream_refuse(struct tls_stream *s, const char *why)
{
    tls_stream_set_why(s, why);
    s->error = EPROTO;
}

int tls_stream_handshake(struct tls_stream *s)
{
    int rc = s->error != 0 ? -s->error : tls_stream_flush(s);
    if (rc < 0 && rc != -EAGAIN)
        return rc;
    ERR_clear_error();
    s->collects = true;
    rc = tls_keys_handshake(s->ssl);
    tls_stream_send_collected(s);
    s->collects = false;
    if (rc == 1) {
        free(s->why); /* of a certificate that does not matter: tls_verify = no */
        s->why = NULL;
        return 0;
    }
    rc = stream_failed(s, rc);
    if (rc == 0) { /* close_notify instead of the next message */
        tls_stream_set_why(s, "the peer ended the handshake");
        return -EPROTO;
    }
    return rc;
}

/* OpenSSL reports an error once; later calls return the same. */
ssize_t tls_stream_read(struct tls_stream *s, void *data, size_t size)
{
    size_t n = 0;
    if (s->is_final)
        return s->final;
    if (s->records != NULL)
        return tls_stream_records_read(s, data, size);
    ERR_clear_error();
    int rc = SSL_read_ex(s->ssl, data, size, &n);
    if (rc == 1) {
        s->control = 0;
        return (ssize_t)n;
    }
    s->final = stream_failed(s, rc);
    s->is_final = s->final != -EAGAIN;
    return s->final;
}

/* The BIO takes all bytes, so OpenSSL never has to be called again with the same ones. */
int tls_stream_write(struct tls_stream *s, const void *data, size_t size)
{
    size_t n = 0;
    if (size == 0)
        return 0;
    s->control = 0; /* a peer that gets data may change its keys by its amount */
    if (s->records != NULL)
        return tls_stream_records_write(s, data, size);
    ERR_clear_error();
    s->collects = true;
    int rc = SSL_write_ex(s->ssl, data, size, &n);
    tls_stream_send_collected(s);
    s->collects = false;
    if (s->error != 0)
        return -s->error;
    return rc == 1 ? 0 : stream_failed(s, rc);
}

int tls_stream_flush(struct tls_stream *s)
{
    while (tls_stream_has_rest(s)) {
        ssize_t n =
            send(s->fd, buffer_bytes(&s->rest), buffer_size(&s->rest), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return -errno;
        buffer_consume(&s->rest, (size_t)n);
    }
    return 0;
}

bool tls_stream_has_rest(const struct tls_stream *s)
{
    return buffer_size(&s->rest) > 0;
}

size_t tls_stream_rest(const struct tls_stream *s)
{
    return buffer_size(&s->rest);
}

void tls_stream_trim(struct tls_stream *s)
{
    buffer_trim(&s->rest);
    tls_stream_records_trim(s);
}

bool tls_stream_has_pending(const struct tls_stream *s)
{
    return tls_stream_records_pending(s) || (s->records == NULL && SSL_has_pending(s->ssl) == 1);
}

static void look_for_end(struct tls_stream *s)
{
    char byte;
    size_t n = 0;
    ERR_clear_error();
    int rc = SSL_peek_ex(s->ssl, &byte, 1, &n);
    if (rc == 1)
        return;
    s->final = stream_failed(s, rc);
    s->is_final = s->final != -EAGAIN;
}

int tls_stream_has_ended(struct tls_stream *s)
{
    if (!s->is_final && s->records != NULL)
        tls_stream_records_look_for_end(s);
    else if (!s->is_final)
        look_for_end(s);
    if (!s->is_final)
        return 0;
    return s->final == 0 ? 1 : s->final;
}

int tls_stream_close(struct tls_stream *s)
{
    if (s->close_sent)
        return 0;
    s->close_sent = true;
    if (s->records != NULL)
        return tls_stream_records_close(s);
    ERR_clear_error();
    int rc = SSL_shutdown(s->ssl);
    return rc >= 0 ? 0 : stream_failed(s, rc);
}

const char *tls_stream_why(const struct tls_stream *s)
{
    return s->why == NULL ? "" : s->why;
}

uint16_t tls_stream_version(const struct tls_stream *s)
{
    assert(s->ssl != NULL);
    return (uint16_t)SSL_version(s->ssl);
}

const char *tls_stream_cipher(const struct tls_stream *s)
{
    assert(s->ssl != NULL);
    return SSL_get_cipher_name(s->ssl);
}

bool tls_stream_has_received(const struct tls_stream *s)
{
    return s->ssl != NULL && tls_keys_received(s->ssl) > 0;
}

bool tls_stream_is_resumed(const struct tls_stream *s)
{
    assert(s->ssl != NULL);
    return SSL_session_reused(s->ssl) == 1;
}

const char *tls_stream_server_name(const struct tls_stream *s)
{
    return s->server_name == NULL ? "" : s->server_name;
}

const unsigned char *tls_stream_alpn(const struct tls_stream *s, size_t *size)
{
    const unsigned char *name = NULL;
    unsigned length = 0;
    assert(s->ssl != NULL);
    SSL_get0_alpn_selected(s->ssl, &name, &length);
    *size = length;
    return name;
}

/* A name with a byte 0, or one that is too long, is not copied: it must not become another one. */
static void copy_common_name(const X509_NAME *subject, char name[TLS_STREAM_NAME_MAX])
{
    unsigned char *text = NULL;
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return;
    int size =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (size > 0 && size < TLS_STREAM_NAME_MAX && memchr(text, '\0', (size_t)size) == NULL) {
        memcpy(name, text, (size_t)size);
        name[size] = '\0';
    }
    OPENSSL_free(text);
}

bool tls_stream_peer_name(const struct tls_stream *s, char name[TLS_STREAM_NAME_MAX])
{
    assert(s->ssl != NULL);
    const X509 *peer = SSL_get0_peer_certificate(s->ssl);
    name[0] = '\0';
    if (peer != NULL)
        copy_common_name(X509_get_subject_name(peer), name);
    return peer != NULL;
}

static void on_control(int written, int version, int type, const void *bytes, size_t length,
                       SSL *ssl, void *arg)
{
    struct tls_stream *s = arg;
    (void)version, (void)bytes, (void)length, (void)ssl;
    if (!written && type == SSL3_RT_HANDSHAKE && s->control <= TLS_CONTROL_MAX)
        s->control++;
}

bool tls_stream_is_drained(const struct tls_stream *s)
{
    return s->drained && !s->is_final && !tls_stream_has_pending(s);
}

bool tls_stream_has_received_bytes(struct tls_stream *s)
{
    bool received = s->received;
    s->received = false;
    return received;
}

void tls_stream_read_ahead(struct tls_stream *s)
{
    s->reads_ahead = true;
}

void tls_stream_stay(struct tls_stream *s)
{
    s->reads_ahead = false;
    if (tls_stream_records_take(s) == 0)
        return;
    tls_keys_unwatch(s->ssl);
    SSL_set_msg_callback(s->ssl, on_control);
    SSL_set_msg_callback_arg(s->ssl, s);
    SSL_set_default_read_buffer_len(s->ssl, READ_AHEAD);
    SSL_set_read_ahead(s->ssl, 1);
}

struct ssl_st *tls_stream_ssl(struct tls_stream *s)
{
    return s->ssl;
}

struct tls_stream *tls_stream_of(const struct ssl_st *ssl)
{
    return SSL_get_ex_data(ssl, stream_index);
}
