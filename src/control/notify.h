/* Tells the service manager how it stands: sd_notify(3), which is a datagram and needs no library.
 *
 * What the manager's queue has no room for is kept and sent later, in its order; of several STATUS=
 * only the newest. For the control thread.
 */
#ifndef ZPROXY_CONTROL_NOTIFY_H
#define ZPROXY_CONTROL_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define NOTIFY_MAX     1024 /* bytes of a message; the rest of a longer one is cut off */
#define NOTIFY_WAITING 8    /* more than there are kinds of messages */

struct notify {
    int fd; /* -1: there is no manager to be told */
    uv_timer_t retry;
    size_t waiting; /* messages */
    char message[NOTIFY_WAITING][NOTIFY_MAX];
};

/* Opens the timer, which is closed with the loop's other handles. */
void notify_init(struct notify *n, uv_loop_t *loop);

/* Connects to $NOTIFY_SOCKET, before chroot(2) hides it. Without one the other calls do nothing. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);

/* Sends lines such as "READY=1\nSTATUS=...", as for printf(3). Never blocks. */
void notify_send(struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* READY=1. took_over: from another process, whose MAINPID= may be lost, since it ends. */
void notify_ready(struct notify *n, uint64_t workers, bool took_over);

/* Before the process ends: waits until the manager has all of it, for `timeout` ms at most. */
void notify_flush(struct notify *n, uint64_t timeout);

#endif
