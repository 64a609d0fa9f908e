#include "session/accept_state.h"

#include <errno.h>

const char *accept_reason_name(enum accept_reason reason)
{
    switch (reason) {
    case ACCEPT_OPEN:
    case ACCEPT_REASONS:
        break;
    case ACCEPT_MAX_CONNECTIONS:
        return "max_connections";
    case ACCEPT_LISTENER_MAX_CONNECTIONS:
        return "listener_max_connections";
    case ACCEPT_DESCRIPTORS:
        return "descriptors";
    case ACCEPT_MEMORY:
        return "memory";
    }
    return "open";
}

enum accept_reason accept_reason_of(int error)
{
    return error == EMFILE || error == ENFILE ? ACCEPT_DESCRIPTORS : ACCEPT_MEMORY;
}

bool accept_state_pause(struct accept_state *s, enum accept_reason reason)
{
    atomic_store_explicit(&s->reason, (int)reason, memory_order_relaxed);
    /* seq_cst, and so is the exchange: control clears `reported` and then reads `pauses`. Either it
     * sees this pause, with its reason, or the exchange sees the cleared flag. */
    atomic_fetch_add(&s->pauses, 1);
    atomic_fetch_add_explicit(&s->paused, 1, memory_order_relaxed);
    return !atomic_exchange(&s->reported, true);
}

void accept_state_resume(struct accept_state *s)
{
    atomic_fetch_sub_explicit(&s->paused, 1, memory_order_relaxed);
}
