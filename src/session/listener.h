/* The listening sockets of a worker: accept clients, as long as there is room.
 *
 * Each is a uv_poll_t of the worker's loop. Level-triggered, since how many are accepted a wake-up
 * is bounded: relaying must not starve in a storm of connections.
 */
#ifndef ZPROXY_SESSION_LISTENER_H
#define ZPROXY_SESSION_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "session/frontend.h"
#include "session/session.h"

LIST_HEAD(listener_list, listener);

/* All of one worker. */
struct listeners {
    uv_loop_t *loop;
    struct sessions *sessions;
    struct listener_list all;
    struct listener_list paused; /* those of `all` that do not accept for the moment */
    uint64_t retry_at;           /* ms, for want of descriptors or memory; UINT64_MAX: none does */
    bool draining;               /* accepts no more clients */
    uint64_t wakeup;             /* number of the last wake-up that found clients */
    unsigned room;               /* for so many more in it */
    bool skipped;                /* it had no room for a listener */
    uint64_t round;              /* in which each listener accepts in one wake-up */
    void (*report)(void *arg);   /* called when one has paused and control has to be told */
    void *arg;
};

struct listener {
    uv_poll_t poll;
    struct listeners *listeners; /* of which it is one */
    struct frontend *frontend;
    int fd;         /* -1: closed */
    bool has_poll;  /* poll is a handle of the loop, until it has been closed */
    bool discarded; /* closed or detached: freed when libuv has closed poll */
    bool paused;
    LIST_ENTRY(listener) in_all;
    LIST_ENTRY(listener) in_paused;
    unsigned batch;       /* clients to accept in this wake-up */
    uint64_t last_wakeup; /* number of the last wake-up that found clients */
    uint64_t round;       /* the last one in which it accepted */
};

/* loop and sessions must outlive the listeners. report may be called in any function below. */
void listeners_init(struct listeners *all, uv_loop_t *loop, struct sessions *sessions,
                    void (*report)(void *arg), void *arg);

/* Closes all sockets. The loop must run once more afterwards: it closes the handles, which frees
 * the listeners. */
void listeners_fini(struct listeners *all);

/* Has all paused listeners accept again; those for which that fails are tried again at retry_at. */
void listeners_resume(struct listeners *all);

/* listeners_resume(), if retry_at has come. To be called in each wake-up. */
void listeners_retry(struct listeners *all);

/* A session has ended: listeners that wait for descriptors are tried again in this wake-up. */
void listeners_note_room(struct listeners *all);

/* listener_close() for the socket of each, and at once for each that is opened later. */
void listeners_drain(struct listeners *all);

/* A listener without a socket; NULL when out of memory. listener_free() is only for one that
 * listener_open() has not been called for. */
struct listener *listener_new(void);
void listener_free(struct listener *l);

/* Takes l and fd over and starts to accept. Cannot fail: when the kernel refuses to watch fd
 * (ENOSPC, ENOMEM), the listener pauses and is tried again. */
void listener_open(struct listener *l, struct listeners *all, int fd, struct frontend *frontend);

/* New clients belong to this frontend, whose limits may differ: a paused listener tries again. */
void listener_set_frontend(struct listener *l, struct frontend *frontend);

/* Both end the listener; its memory is freed when libuv has closed its handle. Close first accepts
 * the clients that are in the backlog: for them the connection is established. Detach leaves the
 * socket open. */
void listener_close(struct listener *l);
void listener_detach(struct listener *l);

#endif
