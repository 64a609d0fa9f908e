#include "handover/handover_channel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

int handover_channel_init(struct handover_channel *c, int sock, const char *peer)
{
    const int blocking = 0;
    memset(c, 0, sizeof *c);
    c->sock = sock;
    c->peer = peer;
    (void)ioctl(sock, FIONBIO, &blocking); /* libuv has made it non-blocking */
    c->message = malloc(sizeof *c->message);
    return c->message == NULL ? -ENOMEM : 0;
}

static void close_untaken_fds(struct handover_channel *c)
{
    handover_message_close_rest(c->message, &c->at);
    c->message->fd_count = 0;
}

void handover_channel_fini(struct handover_channel *c)
{
    if (c->message != NULL && c->is_received)
        close_untaken_fds(c);
    if (c->message != NULL) /* it may have had secrets of TLS */
        explicit_bzero(c->message, sizeof *c->message);
    free(c->message);
}

uint64_t handover_channel_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int handover_channel_fail(struct handover_channel *c, const char *doing, int rc)
{
    if (c->error[0] == '\0')
        snprintf(c->error, sizeof c->error, "%s: %s", doing, strerror(-rc));
    return rc;
}

static int fail_with_peer(struct handover_channel *c, const char *doing, int rc, const char *why)
{
    if (c->error[0] == '\0')
        snprintf(c->error, sizeof c->error, "%s %s: %s", doing, c->peer, why);
    return rc;
}

/* At least 1 ms, since 0 means no timeout. */
static unsigned message_timeout_ms(const struct handover_channel *c)
{
    uint64_t now = handover_channel_now_us();
    if (c->deadline == 0)
        return HANDOVER_TIMEOUT_MS;
    return c->deadline > now + 1000 ? (unsigned)((c->deadline - now) / 1000) : 1;
}

void handover_channel_begin(struct handover_channel *c, enum handover_message_type type)
{
    if (c->is_received)
        close_untaken_fds(c);
    c->is_received = false;
    handover_message_init(c->message, type);
}

/* The received message is HANDOVER_REFUSE: its text becomes the error. */
static int fail_refused(struct handover_channel *c)
{
    const struct handover_message *m = c->message;
    bool has_text = m->size > 0 && m->data[0] != '\0';
    if (c->error[0] == '\0')
        snprintf(c->error, sizeof c->error, "%s refuses: %.*s", c->peer,
                 m->size < HANDOVER_REFUSAL_MAX && has_text ? (int)m->size : HANDOVER_REFUSAL_MAX,
                 has_text ? m->data : "no reason given");
    return -ECONNREFUSED;
}

/* The peer has closed its socket. A refusal that it sent before is still in the queue: recvmsg(2)
 * reports the error once and then returns the message. */
static int fail_peer_gone(struct handover_channel *c, const char *doing)
{
    for (int i = 0; i < 3; i++) {
        if (handover_message_receive(c->sock, c->message, 1) < 0)
            continue;
        c->at = (struct handover_message_cursor){ 0, 0 };
        close_untaken_fds(c);
        if (c->message->type == HANDOVER_REFUSE)
            return fail_refused(c);
    }
    return fail_with_peer(c, doing, -EPIPE, "it has ended, or has closed the connection");
}

int handover_channel_flush(struct handover_channel *c)
{
    int rc = handover_message_send(c->sock, c->message, message_timeout_ms(c));
    if (rc == -EPIPE)
        return fail_peer_gone(c, "sending to");
    return rc < 0 ? fail_with_peer(c, "sending to", rc, strerror(-rc)) : 0;
}

int handover_channel_add(struct handover_channel *c, const void *item, size_t size, const int *fd,
                         size_t fds)
{
    if (handover_message_add(c->message, item, size, fd, fds))
        return 0;
    if (c->message->count == 0)
        return handover_channel_fail(c, "packing", -EMSGSIZE);
    int rc = handover_channel_flush(c);
    if (rc < 0)
        return rc;
    handover_message_init(c->message, c->message->type);
    return handover_message_add(c->message, item, size, fd, fds)
               ? 0
               : handover_channel_fail(c, "packing", -EMSGSIZE);
}

int handover_channel_end(struct handover_channel *c)
{
    return c->message->count > 0 ? handover_channel_flush(c) : 0;
}

static void put_text(struct handover_message *m, const char *text)
{
    m->size = strnlen(text, HANDOVER_REFUSAL_MAX - 1) + 1;
    memcpy(m->data, text, m->size - 1);
    m->data[m->size - 1] = '\0';
}

int handover_channel_send(struct handover_channel *c, enum handover_message_type type)
{
    handover_channel_begin(c, type);
    return handover_channel_flush(c);
}

int handover_channel_send_text(struct handover_channel *c, enum handover_message_type type,
                               const char *text)
{
    handover_channel_begin(c, type);
    put_text(c->message, text);
    return handover_channel_flush(c);
}

static int receive_message(struct handover_channel *c, unsigned ms)
{
    if (c->is_received)
        close_untaken_fds(c);
    c->is_received = true;
    c->at = (struct handover_message_cursor){ 0, 0 };
    c->taken = 0;
    return handover_message_receive(c->sock, c->message, ms);
}

/* Whether all items are taken and nothing follows them. A text is no item. */
static bool is_at_end(const struct handover_channel *c)
{
    const struct handover_message *m = c->message;
    bool has_text = m->type == HANDOVER_ACCEPT || m->type == HANDOVER_REFUSE;
    return c->taken == m->count && c->at.fd == m->fd_count && (has_text || c->at.data == m->size);
}

static void describe_error(const struct handover_channel *c, int rc, char *text, size_t size)
{
    if (rc == -EPROTONOSUPPORT)
        snprintf(text, size, "%s: handover version %u, expected %u", strerror(-rc),
                 c->message->version, (unsigned)HANDOVER_VERSION);
    else if (rc == -EBADMSG)
        snprintf(text, size, "%s: %s", strerror(-rc), c->message->problem);
    else
        snprintf(text, size, "%s", strerror(-rc));
}

int handover_channel_receive(struct handover_channel *c)
{
    char why[150];
    int rc = receive_message(c, 0);
    if (rc == 0)
        return 0;
    describe_error(c, rc, why, sizeof why);
    if (rc == -EPROTONOSUPPORT || rc == -EBADMSG)
        return handover_channel_refuse(c, "%s", why);
    return fail_with_peer(c, "waiting for", rc, why);
}

int handover_channel_request(struct handover_channel *c, enum handover_message_type type,
                             enum handover_message_type wanted)
{
    char why[150];
    int rc = handover_channel_send(c, type);
    if (rc < 0)
        return rc;
    rc = receive_message(c, message_timeout_ms(c));
    if (rc == -EPIPE)
        return fail_peer_gone(c, "waiting for");
    if (rc == 0 && c->message->type == HANDOVER_REFUSE)
        return fail_refused(c);
    if (rc == 0 && (c->message->type != wanted || !is_at_end(c))) {
        c->message->problem = "it is not the answer that is expected here";
        rc = -EBADMSG;
    }
    if (rc == 0)
        return 0;
    describe_error(c, rc, why, sizeof why);
    return fail_with_peer(c, "waiting for", rc, why);
}

int handover_channel_take(struct handover_channel *c, const char *what, void *item, size_t size,
                          int *fd, size_t fds)
{
    struct handover_message *m = c->message;
    if (c->taken == m->count)
        return handover_channel_expect_end(c);
    if (!handover_message_take(m, &c->at, item, size, fd, fds))
        return handover_channel_refuse(
            c, "%s (item %u of %u in its message): truncated, or descriptors are missing", what,
            c->taken + 1, m->count);
    c->taken++;
    return 1;
}

int handover_channel_expect_end(struct handover_channel *c)
{
    if (is_at_end(c))
        return 0;
    return handover_channel_refuse(c, "message \"%s\": more data than its %u items",
                                   handover_message_type_name(c->message->type), c->message->count);
}

int handover_channel_refuse(struct handover_channel *c, const char *fmt, ...)
{
    va_list args;
    char text[HANDOVER_REFUSAL_MAX];
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    handover_channel_begin(c, HANDOVER_REFUSE);
    put_text(c->message, text);
    if (c->error[0] == '\0')
        snprintf(c->error, sizeof c->error, "%s", text);
    (void)handover_message_send(c->sock, c->message, HANDOVER_TIMEOUT_MS);
    return -EPROTO;
}
