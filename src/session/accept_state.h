/* Whether the sockets of a listener accept, and if not, why. Workers write it, control reads it.
 *
 * A socket that pauses may resume a moment later, when a session ends, and pause again with the
 * next client. So control does not judge by one moment, but reads these counters once a second
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
    _Atomic uint64_t paused; /* sockets that are paused now */
    _Atomic uint64_t pauses; /* all pauses so far */
    _Atomic int reason;      /* of the last pause, enum accept_reason */
    _Atomic bool reported;   /* control watches the listener already */
};

/* "open", and the words of the log and the metrics: "max_connections", "descriptors", ... */
const char *accept_reason_name(enum accept_reason reason);
/* Why accept(2) or socket(2) failed; error: positive. */
enum accept_reason accept_reason_of(int error);

/* Count a socket that pauses or resumes. From any thread. accept_state_pause() returns whether the
 * caller must notify control. */
bool accept_state_pause(struct accept_state *s, enum accept_reason reason);
void accept_state_resume(struct accept_state *s);

#endif
