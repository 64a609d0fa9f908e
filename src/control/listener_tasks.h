/* What the workers have to do with listening sockets in a change of configuration: tasks, sent as
 * one message to each worker. All memory is allocated before the commit, which cannot fail. For the
 * control thread. */
#ifndef ZPROXY_CONTROL_LISTENER_TASKS_H
#define ZPROXY_CONTROL_LISTENER_TASKS_H

#include <stddef.h>
#include <stdint.h>

#include "control/workers.h"
#include "session/frontend.h"

#define SOCKET_SHARE_NO_OWNER SIZE_MAX

/* A descriptor of a listening socket and the worker that has it. */
struct socket_share {
    int fd;
    size_t owner; /* index of the worker among the active ones; SOCKET_SHARE_NO_OWNER: none */
    struct listener *listener; /* of the owner */
};

struct listener_tasks;

/* For so many workers, any of which may get a task about each of so many descriptors; `given` of
 * these move to another worker. Returns NULL when out of memory. */
struct listener_tasks *listener_tasks_new(size_t workers, size_t descriptors, size_t given);
/* o may be NULL. */
void listener_tasks_free(struct listener_tasks *o);

/* Gives the descriptor to a worker, for clients of the frontend. The owner that it has now keeps it
 * until listener_tasks_run(). */
void listener_tasks_listen(struct listener_tasks *o, size_t worker, struct socket_share *share,
                           struct frontend *frontend);

/* For the owner, if there is one. Set frontend: serve new clients by it. Release: give up the
 * descriptor, which stays open, for another worker. Close: accept the clients in the backlog, then
 * close the descriptor. */
void listener_tasks_set_frontend(struct listener_tasks *o, const struct socket_share *share,
                                 struct frontend *frontend);
void listener_tasks_release(struct listener_tasks *o, const struct socket_share *share);
void listener_tasks_close(struct listener_tasks *o, const struct socket_share *share);

/* Sends the tasks and returns when every worker has done them. There are two rounds, each a wake-up
 * of the workers: a descriptor is given to a worker after the one before has released it. So at any
 * time one thread at most uses a listening socket. */
void listener_tasks_run(struct listener_tasks *o, struct workers *workers);

#endif
