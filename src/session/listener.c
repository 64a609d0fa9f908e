#include "session/listener.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/syscall.h"

#define LISTENER_BATCH 16 /* clients a wake-up at most */

/* These are about one client, or come again; the others would come back at once. accept(2): Linux
 * hands network errors of the new connection through. */
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

/* Both return whether there may be another client. */
static bool listener_accept_failed(struct listener *l, int error)
{
    frontend_release_slot(l->frontend);
    if (error == EAGAIN)
        return false;
    if (is_transient(error))
        return true;
    listener_pause(l, accept_reason_of(error));
    l->exhausted(l, error);
    return false;
}

static bool listener_accept_one(struct listener *l)
{
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    if (!frontend_acquire_slot(l->frontend)) {
        listener_pause(l, frontend_pause_reason(l->frontend));
        return false;
    }
    int fd = sys_accept(l->fd, (struct sockaddr *)&from, &len);
    if (fd < 0)
        return listener_accept_failed(l, -fd);
    struct addr_peer client;
    addr_peer_set(&client, (const struct sockaddr *)&from, len);
    l->accepted(l, fd, &client);
    return !l->paused;
}

/* One client, so that the usual single one does not cost a second call that finds nobody; twice as
 * many with each wake-up in a row, so that a storm does not cost a wake-up a client. */
static unsigned listener_next_batch(struct listener *l)
{
    bool in_a_row = l->poller->wakeups == l->last_wakeup + 1;
    l->last_wakeup = l->poller->wakeups;
    l->batch = in_a_row ? 2 * l->batch : 1;
    if (l->batch > LISTENER_BATCH)
        l->batch = LISTENER_BATCH;
    return l->batch;
}

static void on_listener_event(struct watch *watch, uint32_t events)
{
    struct listener *l = (struct listener *)watch; /* its first member */
    (void)events;
    busy_poll_suspend(&l->poller->busy_poll);
    for (unsigned n = listener_next_batch(l); n > 0 && l->fd != -1 && !l->paused; n--)
        if (!listener_accept_one(l))
            return;
}

static void listener_note_paused(struct listener *l, enum accept_reason reason)
{
    l->paused = true;
    LIST_INSERT_HEAD(l->all_paused, l, in_paused);
    if (accept_state_pause(&l->frontend->listener_state->accept, reason))
        l->report(l);
}

/* epoll_ctl(2): ENOMEM, or ENOSPC beyond fs.epoll.max_user_watches. */
static int watch(struct listener *l)
{
    int rc = l->watched ? poller_change(l->poller, l->fd, EPOLLIN, &l->watch)
                        : poller_add(l->poller, l->fd, EPOLLIN, &l->watch);
    l->watched = l->watched || rc == 0;
    return rc;
}

void listener_open(struct listener *l, int fd, struct frontend *frontend, struct poller *poller)
{
    l->watch.on_event = on_listener_event;
    l->frontend = frontend;
    l->poller = poller;
    l->fd = fd;
    l->paused = l->watched = false;
    l->batch = 1;
    l->last_wakeup = 0;
    int rc = watch(l);
    if (rc < 0)
        listener_note_paused(l, accept_reason_of(-rc));
}

void listener_pause(struct listener *l, enum accept_reason reason)
{
    if (l->fd == -1 || l->paused)
        return;
    poller_change(l->poller, l->fd, 0, &l->watch);
    listener_note_paused(l, reason);
}

/* It is paused. */
static void unpause(struct listener *l)
{
    l->paused = false;
    LIST_REMOVE(l, in_paused);
    accept_state_resume(&l->frontend->listener_state->accept);
}

bool listener_resume(struct listener *l)
{
    if (l->fd == -1 || !l->paused)
        return true;
    if (watch(l) < 0)
        return false;
    unpause(l);
    return true;
}

void listener_set_frontend(struct listener *l, struct frontend *frontend)
{
    bool resumed = listener_resume(l); /* it is counted where it paused */
    if (!resumed)
        unpause(l);
    l->frontend = frontend;
    if (!resumed)
        listener_note_paused(l, ACCEPT_MEMORY);
}

int listener_detach(struct listener *l)
{
    int fd = l->fd;
    if (fd == -1)
        return -1;
    if (l->paused)
        unpause(l);
    poller_remove(l->poller, fd); /* another descriptor may keep the socket open, and in the set */
    l->fd = -1;
    return fd;
}

void listener_close(struct listener *l)
{
    if (l->fd == -1)
        return;
    while (!l->paused && listener_accept_one(l))
        ;
    close(listener_detach(l));
}
