#include "tls/tls_side.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tls_stream.h"

struct tls_side *tls_side_new(struct tls_stream *stream)
{
    struct tls_side *t = stream == NULL ? NULL : calloc(1, sizeof *t);
    if (t == NULL) {
        tls_stream_free(stream);
        return NULL;
    }
    t->stream = stream;
    t->version = t->cipher = "";
    return t;
}

void tls_side_free(struct tls_side *t)
{
    if (t == NULL)
        return;
    tls_stream_free(t->stream);
    free(t->held_bytes);
    free(t->peer);
    free(t->error);
    explicit_bzero(t, sizeof *t); /* it may have secrets */
    free(t);
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

void tls_side_failed(struct tls_side *t, const char *why)
{
    if (t->error == NULL)
        t->error = strdup(why);
}

int tls_side_hold(struct tls_side *t, const void *bytes, size_t size)
{
    t->held_bytes = malloc(size);
    if (t->held_bytes == NULL)
        return -ENOMEM;
    memcpy(t->held_bytes, bytes, size);
    t->held = (uint32_t)size;
    t->held_sent = 0;
    return 0;
}

void tls_side_drop_held(struct tls_side *t)
{
    free(t->held_bytes);
    t->held_bytes = NULL;
    t->held = t->held_sent = 0;
}
