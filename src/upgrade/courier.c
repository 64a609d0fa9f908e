#include "upgrade/courier.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

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

void courier_fini(struct courier *c)
{
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

static int fail_with_other(struct courier *c, const char *doing, int rc)
{
    char text[80];
    snprintf(text, sizeof text, "%s %s", doing, c->other);
    return courier_fail(c, text, rc);
}

/* At least a millisecond: 0 would be for ever. */
static unsigned patience(const struct courier *c)
{
    uint64_t now = courier_clock();
    if (c->deadline == 0)
        return PARCEL_PATIENCE;
    return c->deadline > now + 1000 ? (unsigned)((c->deadline - now) / 1000) : 1;
}

void courier_open(struct courier *c, enum parcel_type type)
{
    parcel_init(c->parcel, type);
}

int courier_flush(struct courier *c)
{
    int rc = parcel_send(c->sock, c->parcel, patience(c));
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

int courier_say(struct courier *c, enum parcel_type type)
{
    parcel_init(c->parcel, type);
    return courier_flush(c);
}

static int receive(struct courier *c, unsigned ms)
{
    int rc = parcel_receive(c->sock, c->parcel, ms);
    return rc < 0 ? fail_with_other(c, "waiting for", rc) : 0;
}

int courier_hear(struct courier *c)
{
    return receive(c, 0);
}

int courier_ask(struct courier *c, enum parcel_type type, enum parcel_type wanted)
{
    if (courier_say(c, type) < 0 || receive(c, patience(c)) < 0)
        return -1;
    if (c->parcel->type == PARCEL_REFUSE)
        snprintf(c->error, sizeof c->error, "%s refuses: %.150s", c->other,
                 c->parcel->size > 0 ? c->parcel->data : "no reason given");
    return c->parcel->type == wanted ? 0 : fail_with_other(c, "waiting for", -EBADMSG);
}

int courier_refuse(struct courier *c, const char *fmt, ...)
{
    va_list args;
    struct parcel *p = c->parcel;
    parcel_init(p, PARCEL_REFUSE);
    va_start(args, fmt);
    int n = vsnprintf(p->data, 500, fmt, args);
    va_end(args);
    p->size = n < 0 ? 0 : strlen(p->data) + 1;
    if (c->error[0] == '\0')
        snprintf(c->error, sizeof c->error, "%.190s", n < 0 ? "" : p->data);
    (void)parcel_send(c->sock, p, PARCEL_PATIENCE);
    return -1;
}
