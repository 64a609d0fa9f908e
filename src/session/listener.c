#include "session/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop_watch.h"
#include "relay/sock.h"

/* The most clients that are accepted in a wake-up, by one listener and by all. Each client causes
 * about five events of sockets, and a look at the event set must be able to fetch them all
 * (EVENT_SET_BATCH). */
#define LISTENER_BATCH  16
#define LISTENERS_BATCH 32

/* A worker without descriptors tries again after this time, also if none of its sessions ends. */
#define RETRY_MS 100

/* Whether the error concerns one client only, so that the next accept(2) may succeed; after other
 * errors it would fail again at once. accept(2) on Linux returns network errors of the new
 * connection. */
static bool is_transient(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

static void listener_on_event(uv_poll_t *poll, int status, int events);

/* ---- paused and resumed ---- */

static void listeners_retry_later(struct listeners *all)
{
    all->retry_at = all->sessions->set->now + RETRY_MS;
}

static void listener_note_paused(struct listener *l, enum accept_reason reason)
{
    l->paused = true;
    LIST_INSERT_HEAD(&l->listeners->paused, l, in_paused);
    if (accept_state_pause(&l->frontend->listener_state->accept, reason))
        l->listeners->report(l->listeners->arg);
}

/* l must be paused. */
static void listener_unpause(struct listener *l)
{
    l->paused = false;
    LIST_REMOVE(l, in_paused);
    accept_state_resume(&l->frontend->listener_state->accept);
}

/* Returns 0 or -errno. */
static int listener_watch(struct listener *l)
{
    int rc = l->has_poll ? 0 : uv_poll_init(l->listeners->loop, &l->poll, l->fd);
    l->has_poll = rc == 0;
    return rc < 0 ? rc : loop_watch_start(&l->poll, listener_on_event);
}

/* Stops accepting; the kernel's backlog holds the clients. */
static void listener_pause(struct listener *l, enum accept_reason reason)
{
    if (l->fd == -1 || l->paused)
        return;
    uv_poll_stop(&l->poll);
    listener_note_paused(l, reason);
}

static void listener_pause_all(struct listeners *all, int error)
{
    struct listener *l;
    LIST_FOREACH(l, &all->all, in_all)
        listener_pause(l, accept_reason_of(error));
    listeners_retry_later(all);
}

static bool listener_resume(struct listener *l)
{
    if (listener_watch(l) < 0)
        return false;
    listener_unpause(l);
    return true;
}

/* Returns whether all have resumed. */
static bool listener_resume_all(struct listeners *all)
{
    bool done = true;
    if (all->draining)
        return true;
    if (!fd_reserve_fill(&all->sessions->fd_reserve))
        return false;
    struct listener *l = LIST_FIRST(&all->paused);
    while (l != NULL) {
        struct listener *next = LIST_NEXT(l, in_paused);
        done &= listener_resume(l);
        l = next;
    }
    return done;
}

/* Those that fail must be retried by time: the wake of their limit has been used. */
void listeners_resume(struct listeners *all)
{
    if (listener_resume_all(all))
        all->retry_at = UINT64_MAX;
    else
        listeners_retry_later(all);
}

void listeners_retry(struct listeners *all)
{
    if (all->retry_at <= all->sessions->set->now)
        listeners_resume(all);
}

void listeners_note_room(struct listeners *all)
{
    if (all->retry_at != UINT64_MAX)
        all->retry_at = 0;
}

/* ---- clients ---- */

/* Both return whether to try to accept another client. */
static bool listener_accept_failed(struct listener *l, int error)
{
    frontend_release_slot(l->frontend);
    if (error == EAGAIN)
        return false;
    if (is_transient(error))
        return true;
    listener_pause_all(l->listeners, error);
    return false;
}

static bool listener_accept_one(struct listener *l)
{
    struct listeners *all = l->listeners;
    struct addr_peer client;
    if (!frontend_acquire_slot(l->frontend)) {
        listener_pause(l, frontend_pause_reason(l->frontend));
        return false;
    }
    int fd = sock_accept(l->fd, &client);
    if (fd < 0)
        return listener_accept_failed(l, -fd);
    session_begin(all->sessions, l->frontend, fd, &client);
    if (all->sessions->fd_reserve.fd == -1 && !all->draining)
        listener_pause_all(all, EMFILE);
    return !l->paused;
}

static unsigned listener_at_most(unsigned n, unsigned max)
{
    return n < max ? n : max;
}

static void listeners_begin_wakeup(struct listeners *all, uint64_t wakeup)
{
    if (wakeup == all->wakeup)
        return;
    all->wakeup = wakeup;
    all->room = LISTENERS_BATCH;
    if (!all->skipped)
        all->round++;
    all->skipped = false;
}

/* Returns how many of n clients the listener may accept. The loop calls listeners in the same order
 * in each wake-up: if no room is left for the last ones, the first ones accept again only after all
 * have had their turn. */
static unsigned listener_take_turn(struct listener *l, unsigned n)
{
    struct listeners *all = l->listeners;
    if (l->round == all->round)
        return 0;
    unsigned turn = listener_at_most(n, all->room);
    all->room -= turn;
    if (turn > 0)
        l->round = all->round;
    else
        all->skipped = true;
    return turn;
}

/* The first wake-up accepts one client, so that a single client costs no second call that finds
 * none. Each following wake-up in a row accepts twice as many, so that many clients need few
 * wake-ups. */
static unsigned listener_next_batch(struct listener *l)
{
    uint64_t wakeup = l->listeners->sessions->set->wakeups;
    listeners_begin_wakeup(l->listeners, wakeup);
    if (wakeup != l->last_wakeup)
        l->batch =
            wakeup == l->last_wakeup + 1 ? listener_at_most(2 * l->batch, LISTENER_BATCH) : 1;
    l->last_wakeup = wakeup;
    return listener_take_turn(l, l->batch);
}

/* status < 0: libuv has stopped the handle because of EPOLLERR; accept(2) returns the error. */
static void listener_on_event(uv_poll_t *poll, int status, int events)
{
    struct listener *l = (struct listener *)poll; /* its first member */
    struct listeners *all = l->listeners;
    (void)events;
    event_set_wake(all->sessions->set);
    if (status < 0 && listener_watch(l) < 0) {
        listener_note_paused(l, ACCEPT_MEMORY);
        listeners_retry_later(all);
    }
    busy_poll_suspend(&all->sessions->set->busy_poll);
    for (unsigned n = listener_next_batch(l); n > 0 && l->fd != -1 && !l->paused; n--)
        if (!listener_accept_one(l))
            return;
}

/* ---- one listener ---- */

struct listener *listener_new(void)
{
    return calloc(1, sizeof(struct listener));
}

void listener_free(struct listener *l)
{
    free(l);
}

static void listener_on_closed(uv_handle_t *poll)
{
    struct listener *l = (struct listener *)poll; /* its first member */
    l->has_poll = false;
    if (l->discarded)
        free(l);
}

/* Returns the descriptor, which now belongs to the caller; -1 if it was closed. */
static int listener_take_fd(struct listener *l)
{
    int fd = l->fd;
    if (fd == -1)
        return -1;
    if (l->paused)
        listener_unpause(l);
    l->fd = -1;
    if (l->has_poll)
        uv_close((uv_handle_t *)&l->poll, listener_on_closed);
    return fd;
}

/* Accepts as many clients as the queue holds, one more than the backlog: with many new clients the
 * queue would never become empty. */
static void listener_accept_queue(struct listener *l)
{
    int left = l->frontend->options.backlog;
    while (!l->paused && listener_accept_one(l) && left > 0)
        left--;
}

static void listener_close_fd(struct listener *l)
{
    if (l->fd == -1)
        return;
    listener_accept_queue(l);
    close(listener_take_fd(l));
}

static void listener_discard(struct listener *l)
{
    LIST_REMOVE(l, in_all);
    l->discarded = true;
    if (!l->has_poll)
        free(l);
}

void listener_open(struct listener *l, struct listeners *all, int fd, struct frontend *frontend)
{
    l->listeners = all;
    l->frontend = frontend;
    l->fd = fd;
    l->batch = 1;
    LIST_INSERT_HEAD(&all->all, l, in_all);
    int rc = listener_watch(l);
    if (rc < 0)
        listener_note_paused(l, accept_reason_of(-rc));
    if (all->draining)
        listener_close_fd(l);
    else if (l->paused)
        listeners_retry_later(all);
}

void listener_set_frontend(struct listener *l, struct frontend *frontend)
{
    bool resumed = l->fd == -1 || !l->paused ||
                   listener_resume(l); /* the pause is counted in the old frontend */
    if (!resumed)
        listener_unpause(l);
    l->frontend = frontend;
    if (!resumed) {
        listener_note_paused(l, ACCEPT_MEMORY);
        listeners_retry_later(l->listeners);
    }
}

void listener_close(struct listener *l)
{
    listener_close_fd(l);
    listener_discard(l);
}

void listener_detach(struct listener *l)
{
    (void)listener_take_fd(l);
    listener_discard(l);
}

/* ---- all of a worker ---- */

void listeners_init(struct listeners *all, uv_loop_t *loop, struct sessions *sessions,
                    void (*report)(void *arg), void *arg)
{
    all->loop = loop;
    all->sessions = sessions;
    LIST_INIT(&all->all);
    LIST_INIT(&all->paused);
    all->retry_at = UINT64_MAX;
    all->draining = false;
    all->wakeup = all->round = 0;
    all->skipped = false;
    all->report = report;
    all->arg = arg;
}

void listeners_fini(struct listeners *all)
{
    struct listener *l = LIST_FIRST(&all->all);
    while (l != NULL) {
        struct listener *next = LIST_NEXT(l, in_all);
        int fd = listener_take_fd(l);
        if (fd != -1)
            close(fd);
        listener_discard(l);
        l = next;
    }
}

void listeners_abandon(struct listeners *all)
{
    listeners_fini(all);
    all->draining = true;
}

void listeners_drain(struct listeners *all)
{
    struct listener *l;
    if (all->draining)
        return;
    all->draining = true;
    LIST_FOREACH(l, &all->all, in_all)
        listener_close_fd(l);
}
