#include "balance/probe_tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/probe.h"
#include "tls/tls_client_context.h"
#include "tls/tls_stream.h"

struct probe_tls {
    struct tls_stream *stream;
    size_t len;
    char data[PROBE_RECEIVE_MAX];
};

struct probe_tls *probe_tls_new(const struct script *script, int fd)
{
    struct probe_tls *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    const struct tls_client_peer peer = { .host = script->tls_host };
    t->stream = tls_client_context_connect(script->tls, fd, &peer);
    if (t->stream != NULL)
        return t;
    free(t);
    return NULL;
}

void probe_tls_free(struct probe_tls *t)
{
    if (t != NULL)
        tls_stream_free(t->stream);
    free(t);
}

int probe_tls_handshake(struct probe_tls *t)
{
    return tls_stream_handshake(t->stream);
}

/* Reads until the buffer is full or nothing is left. A server may end without close_notify: what is
 * expected of it has come before. */
ssize_t probe_tls_peek(struct probe_tls *t, char *data, size_t size)
{
    ssize_t n = 1;
    while (t->len < sizeof t->data && n > 0) {
        n = tls_stream_read(t->stream, t->data + t->len, sizeof t->data - t->len);
        t->len += n > 0 ? (size_t)n : 0;
    }
    size = size < t->len ? size : t->len;
    memcpy(data, t->data, size);
    if (size > 0 || n == 0 || n == -ECONNABORTED)
        return (ssize_t)size;
    errno = (int)-n;
    return -1;
}

void probe_tls_discard(struct probe_tls *t, size_t len)
{
    t->len -= len;
    memmove(t->data, t->data + len, t->len);
}

ssize_t probe_tls_send(struct probe_tls *t, const char *data, size_t len)
{
    int rc = tls_stream_flush(t->stream);
    if (rc == 0)
        rc = tls_stream_write(t->stream, data, len);
    errno = -rc;
    return rc == 0 ? (ssize_t)len : -1;
}

void probe_tls_flush(struct probe_tls *t)
{
    (void)tls_stream_flush(t->stream); /* an error is found by the next step */
}

void probe_tls_close(struct probe_tls *t)
{
    (void)tls_stream_close(t->stream);
}

const char *probe_tls_why(const struct probe_tls *t)
{
    return tls_stream_why(t->stream);
}
