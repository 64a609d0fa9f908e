/* Status messages to the service manager, sd_notify(3): datagrams, so no library is needed.
 *
 * While the manager's queue is full, messages are kept and sent later, in order; of several STATUS=
 * lines only the newest is kept. For the control thread.
 */
#ifndef ZPROXY_CONTROL_NOTIFY_H
#define ZPROXY_CONTROL_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define NOTIFY_MAX     1024 /* bytes of a message; the rest of a longer one is cut off */
#define NOTIFY_WAITING 8    /* more than the number of kinds of messages */

struct notify {
    int fd; /* -1: there is no service manager */
    uv_timer_t retry;
    size_t waiting; /* messages */
    char message[NOTIFY_WAITING][NOTIFY_MAX];
};

/* Opens the timer, which is closed with the loop's other handles. */
void notify_init(struct notify *n, uv_loop_t *loop);

/* Connects to $NOTIFY_SOCKET; must be called before chroot(2) hides it. Without that variable the
 * other calls do nothing. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);

/* Sends lines such as "READY=1\nSTATUS=...", formatted as by printf(3). Never blocks. */
void notify_send(struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sends READY=1. took_over: the process took over from another one, whose MAINPID= message may be
 * lost when that one ends, so MAINPID= is sent again. */
void notify_ready(struct notify *n, uint64_t workers, bool took_over);

/* For the end of the process: waits until all messages are sent, for `timeout` ms at most. */
void notify_flush(struct notify *n, uint64_t timeout);

/* Asks the manager to say when it has read all messages that were sent: BARRIER=1 of sd_notify(3).
 * Returns a descriptor for notify_barrier_is_over(), which the caller closes; -1: there is no
 * manager, its queue is full, or a descriptor is lacking. */
int notify_barrier(const struct notify *n);

/* Whether the manager has read them, or has ended. */
bool notify_barrier_is_over(int barrier);

#endif
