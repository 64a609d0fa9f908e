/* A listening socket on a worker's poller: accepts, as long as there is room.
 *
 * Names no session: each client is handed to a callback. Level-triggered, since how many are
 * accepted a wake-up is bounded: relaying must not starve in a storm of connections.
 */
#ifndef ZPROXY_SESSION_LISTENER_H
#define ZPROXY_SESSION_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/addr.h"
#include "relay/poller.h"
#include "session/frontend.h"

LIST_HEAD(listener_list, listener);

struct listener {
    struct watch watch;
    struct poller *poller;
    struct frontend *frontend;
    int fd; /* -1: closed */
    bool paused;
    bool watched; /* in the poller's set; else it is paused until it can be added */
    LIST_ENTRY(listener) in_paused;
    unsigned batch;       /* clients to accept in this wake-up */
    uint64_t last_wakeup; /* the poller's, that found clients */
    /* Takes over fd and the places in the service's gates. */
    void (*accepted)(struct listener *l, int fd, const struct addr_peer *client);
    /* No descriptors or memory for another client: the listener has paused. error: positive. */
    void (*exhausted)(struct listener *l, int error);
    /* It has paused, and control has to be told. */
    void (*report)(struct listener *l);
    void *arg;
    struct listener_list *all_paused; /* of many listeners few pause: these are found at once */
};

/* Takes fd over and watches it; accepted and what follows is set by the caller before. Where the
 * kernel has no room for it in the poller's set, it is paused, and resuming tries that again. */
void listener_open(struct listener *l, int fd, struct frontend *frontend, struct poller *poller);

/* Stops and starts accepting; may be repeated. The kernel's backlog holds the clients. Resume
 * returns false when it cannot be watched yet. */
void listener_pause(struct listener *l, enum accept_reason reason);
bool listener_resume(struct listener *l);

/* New clients are this service's, whose limits may be others: one that has paused tries again. */
void listener_set_frontend(struct listener *l, struct frontend *frontend);

/* Accepts whoever is in the backlog already, then closes: those clients have been told that they
 * are connected. */
void listener_close(struct listener *l);

/* Stops watching and gives the descriptor back; -1 where it was closed. */
int listener_detach(struct listener *l);

#endif
