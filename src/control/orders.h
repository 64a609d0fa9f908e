/* What workers are told to do with listening sockets, a letter to each.
 *
 * Written while a change is committed, which cannot fail any more: so all memory is had before.
 */
#ifndef ZPROXY_CONTROL_ORDERS_H
#define ZPROXY_CONTROL_ORDERS_H

#include <stddef.h>
#include <stdint.h>

#include "control/crew.h"
#include "session/service.h"

#define ORDERS_NOBODY SIZE_MAX

/* A descriptor and the worker at work that has it, by its number; or ORDERS_NOBODY. */
struct socket_share {
    int fd;
    size_t owner;
    struct worker_listener *listener; /* what the owner knows it by */
};

struct orders;

/* For so many workers, with room for each to be told about every one of so many descriptors, and
 * for so many of these to be given to a worker. NULL when out of memory. */
struct orders *orders_new(size_t workers, size_t descriptors, size_t given);
/* It may be NULL. */
void orders_free(struct orders *o);

/* The worker has the descriptor from now on, for clients of the service. It stays where it is until
 * the orders have been given. */
void orders_listen(struct orders *o, size_t worker, struct socket_share *share,
                   struct service *service);

/* For the owner, where there is one: serves its clients by another service; gives the descriptor
 * up, for somebody else to have; closes it when those in its backlog have been accepted. */
void orders_serve(struct orders *o, const struct socket_share *share, struct service *service);
void orders_release(struct orders *o, const struct socket_share *share);
void orders_close(struct orders *o, const struct socket_share *share);

/* Sends the letters, and returns when every worker has obeyed, which takes a wake-up; and another
 * one of those that are given a descriptor, which the worker before has let go by then. So a
 * listening socket is touched by one thread at a time. */
void orders_give(struct orders *o, struct crew *crew);

#endif
