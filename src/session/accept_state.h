/* Whether the sockets of a listener accept, and if not, why: written by workers, read by control.
 *
 * A socket that pauses may go on a moment later, when a session ends, and pause again with the next
 * client. So control does not go by one moment: it looks at these counters once a second
 * (control/accept_watch.h).
 */
#ifndef ZPROXY_SESSION_ACCEPT_STATE_H
#define ZPROXY_SESSION_ACCEPT_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum accept_reason {
    ACCEPT_OPEN,                     /* it accepts */
    ACCEPT_MAX_CONNECTIONS,          /* of the process */
    ACCEPT_LISTENER_MAX_CONNECTIONS, /* of the listener */
    ACCEPT_DESCRIPTORS,
    ACCEPT_MEMORY,
    ACCEPT_REASONS,
};

struct accept_state {
    _Atomic uint64_t paused; /* sockets, just now */
    _Atomic uint64_t pauses; /* that there have been */
    _Atomic int reason;      /* of the last one, enum accept_reason */
    _Atomic bool reported;   /* control looks at it already */
};

/* "open", and the words of the log and the metrics: "max_connections", "descriptors", ... */
const char *accept_reason_name(enum accept_reason reason);
/* Why accept(2) or socket(2) failed; error: positive. */
enum accept_reason accept_reason_of(int error);

/* A socket pauses, or goes on. From any thread. accept_state_pause() returns whether control has to
 * be told. */
bool accept_state_pause(struct accept_state *s, enum accept_reason reason);
void accept_state_resume(struct accept_state *s);

#endif
