/* The listening sockets of a worker accept clients, unless a limit is reached. For the worker's
 * thread.
 *
 * Each listener is a uv_poll_t of the worker's loop. It is level-triggered, since the number of
 * clients accepted in a wake-up is limited, so that many new connections do not delay relaying.
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
    struct listener_list paused; /* those of `all` that do not accept at present */
    uint64_t retry_at; /* ms, when paused listeners are tried again; UINT64_MAX: not by time */
    bool draining;     /* accepts no more clients */
    uint64_t wakeup;   /* number of the last wake-up that found clients */
    unsigned room;     /* clients that may still be accepted in that wake-up */
    bool skipped;      /* that wake-up had no room for one of the listeners */
    uint64_t round;    /* number of the round, in which each listener accepts in one wake-up */
    void (*report)(void *arg); /* called when a listener has paused and control must be notified */
    void *arg;
};

struct listener {
    uv_poll_t poll;
    struct listeners *listeners; /* the worker's, which include this one */
    struct frontend *frontend;
    int fd;         /* -1: closed */
    bool has_poll;  /* poll is a handle of the loop, until it has been closed */
    bool discarded; /* closed or detached; freed when libuv has closed poll */
    bool paused;
    LIST_ENTRY(listener) in_all;
    LIST_ENTRY(listener) in_paused;
    unsigned batch;       /* clients to accept in a wake-up */
    uint64_t last_wakeup; /* number of the last wake-up that found clients */
    uint64_t round;       /* the last round in which it accepted */
};

/* loop and sessions must outlive the listeners. report may be called in any function below. */
void listeners_init(struct listeners *all, uv_loop_t *loop, struct sessions *sessions,
                    void (*report)(void *arg), void *arg);

/* Closes all sockets. The loop must run once more afterwards: it closes the handles, which frees
 * the listeners. */
void listeners_fini(struct listeners *all);

/* The same while the loop runs, for sockets that another process has taken over: no client is
 * accepted any more, and the sockets stay open there. */
void listeners_abandon(struct listeners *all);

/* Makes all paused listeners accept again. Those that fail are tried again at retry_at. */
void listeners_resume(struct listeners *all);

/* Calls listeners_resume() if retry_at has passed. Must be called in each wake-up. */
void listeners_retry(struct listeners *all);

/* Call when a session has ended: listeners that wait for descriptors or memory are tried again in
 * this wake-up. */
void listeners_note_room(struct listeners *all);

/* Calls listener_close() for all listeners, and for each one that is opened later. */
void listeners_drain(struct listeners *all);

/* Makes a listener without a socket; NULL when out of memory. listener_free() is only for a
 * listener that was never opened. */
struct listener *listener_new(void);
void listener_free(struct listener *l);

/* Takes ownership of l and fd and starts to accept. Cannot fail: if the kernel refuses to watch fd
 * (ENOSPC, ENOMEM), the listener pauses and is tried again. */
void listener_open(struct listener *l, struct listeners *all, int fd, struct frontend *frontend);

/* Sets the frontend of new clients. A paused listener tries again, since the limits may differ. */
void listener_set_frontend(struct listener *l, struct frontend *frontend);

/* Both end the listener; its memory is freed when libuv has closed its handle. Close first accepts
 * the clients in the backlog, whose connections are established. Detach leaves the socket open; its
 * descriptor is the caller's again. */
void listener_close(struct listener *l);
void listener_detach(struct listener *l);

#endif
