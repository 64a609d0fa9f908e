#include "handover/handover_channel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define TEXT_MAX 500 /* bytes of a refusal, with its NUL */

int handover_channel_init(struct handover_channel *c, int sock, const char *peer)
{
    const int blocking = 0;
    memset(c, 0, sizeof *c);
    c->sock = sock;
    c->peer = peer;
    (void)ioctl(sock, FIONBIO, &blocking); /* it may come from an event loop */
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
    return -1;
}

static int fail_text(struct handover_channel *c, const char *doing, const char *why)
{
    if (c->error[0] == '\0')
        snprintf(c->error, sizeof c->error, "%s %s: %s", doing, c->peer, why);
    return -1;
}

static int fail_with_peer(struct handover_channel *c, const char *doing, int rc)
{
    return fail_text(c, doing, strerror(-rc));
}

/* At least a millisecond: 0 would be for ever. */
static unsigned handover_channel_timeout_ms(const struct handover_channel *c)
{
    uint64_t now = handover_channel_now_us();
    if (c->deadline == 0)
        return HANDOVER_TIMEOUT_MS;
    return c->deadline > now + 1000 ? (unsigned)((c->deadline - now) / 1000) : 1;
}

/* What is in it now is ours to send. */
static void begin_message(struct handover_channel *c, enum handover_message_type type)
{
    if (c->is_received)
        close_untaken_fds(c);
    c->is_received = false;
    handover_message_init(c->message, type);
}

void handover_channel_begin(struct handover_channel *c, enum handover_message_type type)
{
    begin_message(c, type);
}

/* The words of the other one, in a parcel. */
static int handover_channel_refused(struct handover_channel *c)
{
    const struct handover_message *p = c->message;
    bool has_text = p->size > 0 && p->data[0] != '\0';
    if (c->error[0] == '\0')
        snprintf(c->error, sizeof c->error, "%s refuses: %.*s", c->peer,
                 has_text ? (int)(p->size < 150 ? p->size : 150) : 150,
                 has_text ? p->data : "no reason given");
    return -1;
}

/* It has ended, but may have said why before: that is still there to be read, behind the error. */
static int read_final_refusal(struct handover_channel *c, const char *doing)
{
    for (int i = 0; i < 3; i++) {
        if (handover_message_receive(c->sock, c->message, 1) < 0)
            continue;
        c->at = (struct handover_message_cursor){ 0, 0 };
        close_untaken_fds(c);
        if (c->message->type == HANDOVER_REFUSE)
            return handover_channel_refused(c);
    }
    return fail_with_peer(c, doing, -EPIPE);
}

int handover_channel_flush(struct handover_channel *c)
{
    int rc = handover_message_send(c->sock, c->message, handover_channel_timeout_ms(c));
    if (rc == -EPIPE)
        return read_final_refusal(c, "sending to");
    return rc < 0 ? fail_with_peer(c, "sending to", rc) : 0;
}

int handover_channel_add(struct handover_channel *c, const void *item, size_t size, const int *fd,
                         size_t fds)
{
    if (handover_message_add(c->message, item, size, fd, fds))
        return 0;
    if (c->message->count == 0)
        return handover_channel_fail(c, "packing", -EMSGSIZE);
    if (handover_channel_flush(c) < 0)
        return -1;
    handover_message_init(c->message, c->message->type);
    return handover_message_add(c->message, item, size, fd, fds)
               ? 0
               : handover_channel_fail(c, "packing", -EMSGSIZE);
}

int handover_channel_end(struct handover_channel *c)
{
    return c->message->count > 0 ? handover_channel_flush(c) : 0;
}

static void put_text(struct handover_message *p, const char *text)
{
    p->size = strnlen(text, TEXT_MAX - 1) + 1;
    memcpy(p->data, text, p->size - 1);
    p->data[p->size - 1] = '\0';
}

int handover_channel_send(struct handover_channel *c, enum handover_message_type type)
{
    begin_message(c, type);
    return handover_channel_flush(c);
}

int handover_channel_send_text(struct handover_channel *c, enum handover_message_type type,
                               const char *text)
{
    begin_message(c, type);
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

/* None but those that have been taken; a text is none. */
static bool has_no_items(const struct handover_channel *c)
{
    const struct handover_message *p = c->message;
    bool has_text = p->type == HANDOVER_ACCEPT || p->type == HANDOVER_REFUSE;
    return c->taken == p->count && c->at.fd == p->fd_count && (has_text || c->at.data == p->size);
}

static void handover_channel_explain(const struct handover_channel *c, int rc, char *text,
                                     size_t size)
{
    if (rc == -EPROTONOSUPPORT)
        snprintf(text, size, "%s: version %u of the handover, expected %u", strerror(-rc),
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
    handover_channel_explain(c, rc, why, sizeof why);
    if (rc == -EPROTONOSUPPORT || rc == -EBADMSG)
        return handover_channel_refuse(c, "%s", why);
    return fail_text(c, "waiting for", why);
}

/* Nothing is refused here: the caller ends the other one. */
int handover_channel_request(struct handover_channel *c, enum handover_message_type type,
                             enum handover_message_type wanted)
{
    char why[150];
    if (handover_channel_send(c, type) < 0)
        return -1;
    int rc = receive_message(c, handover_channel_timeout_ms(c));
    if (rc == -EPIPE)
        return read_final_refusal(c, "waiting for");
    if (rc == 0 && c->message->type == HANDOVER_REFUSE)
        return handover_channel_refused(c);
    if (rc == 0 && (c->message->type != wanted || !has_no_items(c))) {
        c->message->problem = "it does not belong here";
        rc = -EBADMSG;
    }
    if (rc == 0)
        return 0;
    handover_channel_explain(c, rc, why, sizeof why);
    return fail_text(c, "waiting for", why);
}

int handover_channel_take(struct handover_channel *c, const char *what, void *item, size_t size,
                          int *fd, size_t fds)
{
    struct handover_message *p = c->message;
    if (c->taken == p->count)
        return handover_channel_expect_end(c);
    if (!handover_message_take(p, &c->at, item, size, fd, fds))
        return handover_channel_refuse(
            c, "%s (%u of %u in its message): cut short, or without its descriptors", what,
            c->taken + 1, p->count);
    c->taken++;
    return 1;
}

int handover_channel_expect_end(struct handover_channel *c)
{
    if (has_no_items(c))
        return 0;
    return handover_channel_refuse(c, "message \"%s\": more in it than its %u items",
                                   handover_message_type_name(c->message->type), c->message->count);
}

int handover_channel_refuse(struct handover_channel *c, const char *fmt, ...)
{
    va_list args;
    char text[TEXT_MAX];
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    begin_message(c, HANDOVER_REFUSE);
    put_text(c->message, text);
    if (c->error[0] == '\0')
        snprintf(c->error, sizeof c->error, "%.190s", text);
    (void)handover_message_send(c->sock, c->message, HANDOVER_TIMEOUT_MS);
    return -1;
}
