#include "upgrade/courier.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define TEXT_MAX 500 /* bytes of a refusal, with its NUL */

int courier_init(struct courier *c, int sock, const char *other)
{
    const int blocking = 0;
    memset(c, 0, sizeof *c);
    c->sock = sock;
    c->other = other;
    (void)ioctl(sock, FIONBIO, &blocking); /* it may come from an event loop */
    c->parcel = malloc(sizeof *c->parcel);
    return c->parcel == NULL ? -ENOMEM : 0;
}

static void close_rest(struct courier *c)
{
    parcel_close_rest(c->parcel, &c->at);
    c->parcel->fd_count = 0;
}

void courier_fini(struct courier *c)
{
    if (c->parcel != NULL && c->has_come)
        close_rest(c);
    free(c->parcel);
}

uint64_t courier_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int courier_fail(struct courier *c, const char *doing, int rc)
{
    if (c->error[0] == '\0')
        snprintf(c->error, sizeof c->error, "%s: %s", doing, strerror(-rc));
    return -1;
}

static int fail_text(struct courier *c, const char *doing, const char *why)
{
    if (c->error[0] == '\0')
        snprintf(c->error, sizeof c->error, "%s %s: %s", doing, c->other, why);
    return -1;
}

static int fail_with_other(struct courier *c, const char *doing, int rc)
{
    return fail_text(c, doing, strerror(-rc));
}

/* At least a millisecond: 0 would be for ever. */
static unsigned patience(const struct courier *c)
{
    uint64_t now = courier_clock();
    if (c->deadline == 0)
        return PARCEL_PATIENCE;
    return c->deadline > now + 1000 ? (unsigned)((c->deadline - now) / 1000) : 1;
}

/* What is in it now is ours to send. */
static void begin_parcel(struct courier *c, enum parcel_type type)
{
    if (c->has_come)
        close_rest(c);
    c->has_come = false;
    parcel_init(c->parcel, type);
}

void courier_open(struct courier *c, enum parcel_type type)
{
    begin_parcel(c, type);
}

/* The words of the other one, in a parcel. */
static int refused(struct courier *c)
{
    const struct parcel *p = c->parcel;
    bool has_text = p->size > 0 && p->data[0] != '\0';
    if (c->error[0] == '\0')
        snprintf(c->error, sizeof c->error, "%s refuses: %.*s", c->other,
                 has_text ? (int)(p->size < 150 ? p->size : 150) : 150,
                 has_text ? p->data : "no reason given");
    return -1;
}

/* It has ended, but may have said why before: that is still there to be read, behind the error. */
static int find_last_words(struct courier *c, const char *doing)
{
    for (int i = 0; i < 3; i++) {
        if (parcel_receive(c->sock, c->parcel, 1) < 0)
            continue;
        c->at = (struct parcel_place){ 0, 0 };
        close_rest(c);
        if (c->parcel->type == PARCEL_REFUSE)
            return refused(c);
    }
    return fail_with_other(c, doing, -EPIPE);
}

int courier_flush(struct courier *c)
{
    int rc = parcel_send(c->sock, c->parcel, patience(c));
    if (rc == -EPIPE)
        return find_last_words(c, "sending to");
    return rc < 0 ? fail_with_other(c, "sending to", rc) : 0;
}

int courier_put(struct courier *c, const void *item, size_t size, const int *fd, size_t fds)
{
    if (parcel_add(c->parcel, item, size, fd, fds))
        return 0;
    if (c->parcel->count == 0)
        return courier_fail(c, "packing", -EMSGSIZE);
    if (courier_flush(c) < 0)
        return -1;
    parcel_init(c->parcel, c->parcel->type);
    return parcel_add(c->parcel, item, size, fd, fds) ? 0 : courier_fail(c, "packing", -EMSGSIZE);
}

int courier_close(struct courier *c)
{
    return c->parcel->count > 0 ? courier_flush(c) : 0;
}

static void put_text(struct parcel *p, const char *text)
{
    p->size = strnlen(text, TEXT_MAX - 1) + 1;
    memcpy(p->data, text, p->size - 1);
    p->data[p->size - 1] = '\0';
}

int courier_say(struct courier *c, enum parcel_type type)
{
    begin_parcel(c, type);
    return courier_flush(c);
}

int courier_say_text(struct courier *c, enum parcel_type type, const char *text)
{
    begin_parcel(c, type);
    put_text(c->parcel, text);
    return courier_flush(c);
}

static int receive(struct courier *c, unsigned ms)
{
    if (c->has_come)
        close_rest(c);
    c->has_come = true;
    c->at = (struct parcel_place){ 0, 0 };
    c->taken = 0;
    return parcel_receive(c->sock, c->parcel, ms);
}

/* None but those that have been taken; a text is none. */
static bool has_no_items(const struct courier *c)
{
    const struct parcel *p = c->parcel;
    bool has_text = p->type == PARCEL_ACCEPT || p->type == PARCEL_REFUSE;
    return c->taken == p->count && c->at.fd == p->fd_count && (has_text || c->at.data == p->size);
}

static void explain(const struct courier *c, int rc, char *text, size_t size)
{
    if (rc == -EPROTONOSUPPORT)
        snprintf(text, size, "%s: version %u of the handover, expected %u", strerror(-rc),
                 c->parcel->version, (unsigned)PARCEL_VERSION);
    else if (rc == -EBADMSG)
        snprintf(text, size, "%s: %s", strerror(-rc), c->parcel->wrong);
    else
        snprintf(text, size, "%s", strerror(-rc));
}

int courier_hear(struct courier *c)
{
    char why[150];
    int rc = receive(c, 0);
    if (rc == 0)
        return 0;
    explain(c, rc, why, sizeof why);
    if (rc == -EPROTONOSUPPORT || rc == -EBADMSG)
        return courier_refuse(c, "%s", why);
    return fail_text(c, "waiting for", why);
}

/* Nothing is refused here: the caller ends the other one. */
int courier_ask(struct courier *c, enum parcel_type type, enum parcel_type wanted)
{
    char why[150];
    if (courier_say(c, type) < 0)
        return -1;
    int rc = receive(c, patience(c));
    if (rc == -EPIPE)
        return find_last_words(c, "waiting for");
    if (rc == 0 && c->parcel->type == PARCEL_REFUSE)
        return refused(c);
    if (rc == 0 && (c->parcel->type != wanted || !has_no_items(c))) {
        c->parcel->wrong = "it does not belong here";
        rc = -EBADMSG;
    }
    if (rc == 0)
        return 0;
    explain(c, rc, why, sizeof why);
    return fail_text(c, "waiting for", why);
}

int courier_take(struct courier *c, const char *what, void *item, size_t size, int *fd, size_t fds)
{
    struct parcel *p = c->parcel;
    if (c->taken == p->count)
        return courier_take_none(c);
    if (!parcel_take(p, &c->at, item, size, fd, fds))
        return courier_refuse(c,
                              "%s (%u of %u in its message): cut short, or without its descriptors",
                              what, c->taken + 1, p->count);
    c->taken++;
    return 1;
}

int courier_take_none(struct courier *c)
{
    if (has_no_items(c))
        return 0;
    return courier_refuse(c, "message \"%s\": more in it than its %u items",
                          parcel_type_name(c->parcel->type), c->parcel->count);
}

int courier_refuse(struct courier *c, const char *fmt, ...)
{
    va_list args;
    char text[TEXT_MAX];
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    begin_parcel(c, PARCEL_REFUSE);
    put_text(c->parcel, text);
    if (c->error[0] == '\0')
        snprintf(c->error, sizeof c->error, "%.190s", text);
    (void)parcel_send(c->sock, c->parcel, PARCEL_PATIENCE);
    return -1;
}
