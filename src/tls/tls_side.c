#include "tls/tls_side.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/human.h"
#include "tls/tls_error.h"
#include "tls/tls_stream.h"

struct tls_side *tls_side_new(struct tls_stream *stream)
{
    struct tls_side *t = stream == NULL ? NULL : calloc(1, sizeof *t);
    if (t == NULL) {
        tls_stream_free(stream);
        return NULL;
    }
    t->stream = stream;
    t->cipher = "";
    return t;
}

/* Names of ciphers as OpenSSL has them, which are few: other threads use them after the session has
 * ended, so they are kept. */
static const char *keep_name(const char *text)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct kept {
        struct kept *next;
        char text[];
    } * first;
    size_t size = strlen(text) + 1;
    pthread_mutex_lock(&lock);
    struct kept *k = first;
    while (k != NULL && strcmp(k->text, text) != 0)
        k = k->next;
    if (k == NULL && (k = malloc(sizeof *k + size)) != NULL) {
        memcpy(k->text, text, size);
        k->next = first;
        first = k;
    }
    pthread_mutex_unlock(&lock);
    return k == NULL ? NULL : k->text;
}

struct tls_side *tls_side_restore(const struct tls_kernel *k, const char *cipher, const char *peer)
{
    struct tls_side *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->kernel = *k;
    t->version = k->version;
    t->cipher = keep_name(cipher);
    t->peer = peer == NULL ? NULL : strdup(peer);
    if (t->cipher != NULL && (peer == NULL || t->peer != NULL))
        return t;
    tls_side_free(t);
    return NULL;
}

void tls_side_free(struct tls_side *t)
{
    if (t == NULL)
        return;
    tls_stream_free(t->stream);
    buffer_free(&t->held);
    free(t->peer);
    free(t->error);
    explicit_bzero(t, sizeof *t); /* it may have secrets */
    free(t);
}

void tls_side_stop(struct tls_side *t)
{
    tls_stream_free(t->stream);
    t->stream = NULL;
}

void tls_side_agreed(struct tls_side *t)
{
    char name[TLS_STREAM_NAME_MAX];
    t->version = tls_stream_version(t->stream);
    t->cipher = tls_stream_cipher(t->stream);
    t->resumed = tls_stream_is_resumed(t->stream);
    if (tls_stream_peer_name(t->stream, name))
        t->peer = strdup(name);
}

static void note_lost(struct tls_side *t, int error)
{
    char text[HUMAN_ERROR_MAX];
    char why[HUMAN_ERROR_MAX + 64];
    snprintf(why, sizeof why, "the kernel has taken one direction of TLS only: %s",
             human_error(error, text));
    tls_side_failed(t, why);
}

int tls_side_enter_kernel(struct tls_side *t, int fd, uint64_t data)
{
    bool lost = false;
    int rc = tls_kernel_take(&t->kernel, tls_stream_ssl(t->stream), fd, data, &lost);
    if (lost)
        note_lost(t, -rc);
    if (rc < 0)
        return lost ? -EIO : rc;
    tls_stream_free(t->stream);
    t->stream = NULL;
    return 0;
}

int tls_side_flush(struct tls_side *t, bool *progress)
{
    size_t before = tls_stream_rest(t->stream);
    int rc = tls_stream_flush(t->stream);
    *progress = *progress || tls_stream_rest(t->stream) < before;
    return rc;
}

/* A record that is not data is EIO, as there is no room for its type. */
static int kernel_has_ended(struct tls_kernel *k, int fd)
{
    char byte;
    int rc = 0;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    while (n == -1 && errno == EIO && (rc = tls_kernel_control(k, fd)) == 0)
        n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || k->close_received)
        return 1;
    if (n == -1 && errno == EBADMSG)
        return -EBADMSG;
    return rc < 0 && rc != -EAGAIN ? rc : 0;
}

int tls_side_has_ended(struct tls_side *t, int fd)
{
    if (t->stream == NULL)
        return kernel_has_ended(&t->kernel, fd);
    int rc = tls_stream_has_ended(t->stream);
    return rc == -ECONNABORTED ? 1 : rc;
}

const char *tls_user_reason_name(enum tls_user_reason why)
{
    static const char *const names[TLS_USER_REASONS] = {
        [TLS_USER_NONE] = "none",           [TLS_USER_CONFIG] = "config",
        [TLS_USER_RELAY] = "relay",         [TLS_USER_PIPE_SIZE] = "pipe_size",
        [TLS_USER_NO_KERNEL] = "no_kernel", [TLS_USER_NO_TCP] = "no_tcp",
        [TLS_USER_CIPHER] = "cipher",       [TLS_USER_RECORD_SIZE] = "record_size",
        [TLS_USER_ENDED] = "ended",         [TLS_USER_PENDING] = "pending",
        [TLS_USER_ERROR] = "error",
    };
    return names[why];
}

void tls_side_failed(struct tls_side *t, const char *why)
{
    if (t->error == NULL)
        t->error = strdup(why);
}

static const char *kernel_failure(const struct tls_kernel *k, int error, bool sends,
                                  char text[TLS_ERROR_MAX])
{
    if (tls_control_is_failure(k->reader.event))
        return tls_error_control(&k->reader, text);
    switch (error) {
    case EKEYEXPIRED:
        return sends ? "a key has encrypted as many records as it may"
                     : "the peer has changed its keys";
    case EBADMSG:
        return "a record that does not decrypt";
    }
    return "";
}

void tls_side_note_error(struct tls_side *t, int error, bool sends)
{
    char text[TLS_ERROR_MAX];
    if (t == NULL)
        return;
    const char *why = t->stream != NULL ? tls_stream_why(t->stream)
                                        : kernel_failure(&t->kernel, error, sends, text);
    if (error == ECONNABORTED && !sends)
        why = "the stream has ended without close_notify";
    if (why[0] != '\0')
        tls_side_failed(t, why);
}

void tls_side_trim(struct tls_side *t)
{
    buffer_trim(&t->held);
    if (t->stream != NULL)
        tls_stream_trim(t->stream);
}
