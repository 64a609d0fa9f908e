/* What workers are told to do with listening sockets, a letter to each.
 *
 * Written while a change is committed, which cannot fail any more: so all memory is had before.
 */
#ifndef ZPROXY_CONTROL_LISTENER_TASKS_H
#define ZPROXY_CONTROL_LISTENER_TASKS_H

#include <stddef.h>
#include <stdint.h>

#include "control/workers.h"
#include "session/frontend.h"

#define SOCKET_SHARE_NO_OWNER SIZE_MAX

/* A descriptor and the worker at work that has it, by its number; or SOCKET_SHARE_NO_OWNER. */
struct socket_share {
    int fd;
    size_t owner;
    struct listener *listener; /* what the owner knows it by */
};

struct listener_tasks;

/* For so many workers, with room for each to be told about every one of so many descriptors, and
 * for so many of these to be given to a worker. NULL when out of memory. */
struct listener_tasks *listener_tasks_new(size_t workers, size_t descriptors, size_t given);
/* It may be NULL. */
void listener_tasks_free(struct listener_tasks *o);

/* The worker has the descriptor from now on, for clients of the service. It stays where it is until
 * the orders have been given. */
void listener_tasks_listen(struct listener_tasks *o, size_t worker, struct socket_share *share,
                           struct frontend *frontend);

/* For the owner, where there is one: serves its clients by another service; gives the descriptor
 * up, for somebody else to have; closes it when those in its backlog have been accepted. */
void listener_tasks_set_frontend(struct listener_tasks *o, const struct socket_share *share,
                                 struct frontend *frontend);
void listener_tasks_release(struct listener_tasks *o, const struct socket_share *share);
void listener_tasks_close(struct listener_tasks *o, const struct socket_share *share);

/* Sends the letters, and returns when every worker has obeyed, which takes a wake-up; and another
 * one of those that are given a descriptor, which the worker before has let go by then. So a
 * listening socket is touched by one thread at a time. */
void listener_tasks_run(struct listener_tasks *o, struct workers *workers);

#endif
