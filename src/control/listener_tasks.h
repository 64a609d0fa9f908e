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

/* Makes an empty list. Reserves memory for tasks about `descriptors` descriptors for each worker;
 * at most `moved` of them may move from one worker to another. Returns NULL when out of memory. */
struct listener_tasks *listener_tasks_new(size_t workers, size_t descriptors, size_t moved);
/* o may be NULL. */
void listener_tasks_free(struct listener_tasks *tasks);

/* Gives the descriptor to a worker, for clients of the frontend. Its present owner keeps it until
 * listener_tasks_run(). */
void listener_tasks_listen(struct listener_tasks *tasks, size_t worker, struct socket_share *share,
                           struct frontend *frontend);

/* Tasks for the owner; without an owner they do nothing. Set frontend: serve new clients by that
 * frontend. Release: stop using the descriptor, which stays open for another worker. Close: accept
 * the clients in the backlog, then close the descriptor. */
void listener_tasks_set_frontend(struct listener_tasks *tasks, const struct socket_share *share,
                                 struct frontend *frontend);
void listener_tasks_release(struct listener_tasks *tasks, const struct socket_share *share);
void listener_tasks_close(struct listener_tasks *tasks, const struct socket_share *share);

/* Sends the tasks and returns when every worker has done them. It takes two rounds, each a wake-up
 * of the workers: a descriptor is given to its new worker after its former worker has released it.
 * So at any time at most one thread uses a listening socket. */
void listener_tasks_run(struct listener_tasks *tasks, struct workers *workers);

#endif
