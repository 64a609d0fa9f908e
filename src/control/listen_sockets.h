/* The listening sockets of the process: for each address a descriptor for each worker.
 *
 * A change of configuration is planned, which touches nothing; opened, which binds what is new;
 * listened on, the last step that can fail; and committed, which cannot: sockets that stay keep
 * their descriptors and what waits in their backlogs, also those of workers that are no longer
 * needed, and only their clients are another service's. For the control thread.
 */
#ifndef ZPROXY_CONTROL_LISTEN_SOCKETS_H
#define ZPROXY_CONTROL_LISTEN_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/queue.h>

#include "base/addr.h"
#include "control/generation.h"
#include "control/inherited.h"
#include "control/listener_tasks.h"
#include "control/workers.h"

#define LISTEN_SOCKETS_CHAINS 4096 /* a power of two; there are ranges of all 65,535 ports */

/* An address that is listened on. */
struct listen_socket {
    TAILQ_ENTRY(listen_socket) in_list;
    SLIST_ENTRY(listen_socket) in_chain; /* of those whose addresses have the same hash */
    struct addr at;
    struct file_id file;                      /* that of a unix socket which was opened here */
    const struct inherited_socket *inherited; /* all are duplicates of it; NULL: opened here */
    size_t count;
    struct socket_share *share;
    bool wanted; /* by the change that is committed */
};

TAILQ_HEAD(listen_socket_list, listen_socket);
SLIST_HEAD(listen_socket_chain, listen_socket);

struct listen_sockets {
    struct listen_socket_list all;
    struct listen_socket_chain chain[LISTEN_SOCKETS_CHAINS];
    struct inherited inherited;
};

struct listen_sockets_change;

void listen_sockets_init(struct listen_sockets *s); /* inherited is the caller's to fill */
/* Closes what no worker has; the rest is the workers'. */
void listen_sockets_fini(struct listen_sockets *s);

/* Descriptors that were opened elsewhere and belong to nobody yet. Takes them over, also on
 * failure. Returns 0 or -ENOMEM. */
int listen_sockets_adopt(struct listen_sockets *s, const struct addr *at,
                         const struct file_id *file, const int *fd, size_t count);

/* Finds out what conf asks for, for so many workers; conf outlives the change. Returns 0; or -1
 * after having told errors, as "[listen NAME] bind: ...", what is in the way. */
int listen_sockets_plan(struct listen_sockets *s, const struct config *conf, size_t workers,
                        FILE *errors, struct listen_sockets_change **change);
/* Binds what is not there, and anew a unix socket whose file has gone. Returns 0; or -1 after
 * having told errors, and the change is to be abandoned. No client can tell that by now. */
int listen_sockets_open(struct listen_sockets_change *change, FILE *errors);
/* Lets clients come to them; the last step that may fail. Same results: after a failure no socket
 * of an address that is in force has been listened on. */
int listen_sockets_listen(struct listen_sockets_change *change, FILE *errors);
void listen_sockets_abort(struct listen_sockets_change *change);

/* Spreads the descriptors over the first workers of the crew, as many as were prepared for, and has
 * the clients of each served by g's services; g has the configuration that was prepared. What is
 * superfluous is closed when those in its backlog have been accepted, and stays where its address
 * is part of one that is listened on. Returns when every worker has done its part, which takes a
 * wake-up: whoever connects later is served by g. */
void listen_sockets_commit(struct listen_sockets_change *change, const struct generation *g,
                           struct workers *workers);

/* Removes the files of unix sockets that were opened here. */
void listen_sockets_unlink(const struct listen_sockets *s);

/* Logs which of the sockets that were handed over have no listener. */
void listen_sockets_log_unused(const struct listen_sockets *s);

#endif
