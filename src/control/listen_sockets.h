/* The listening sockets of the process: for each address one descriptor for each worker.
 *
 * A change of configuration has four steps: plan, which touches nothing; open, which binds new
 * sockets; listen, the last step that can fail; commit, which cannot. A socket whose address stays
 * keeps its descriptors, also those of workers that are no longer needed, and the clients in its
 * backlogs; only the frontend of its clients changes. For the control thread.
 */
#ifndef ZPROXY_CONTROL_LISTEN_SOCKETS_H
#define ZPROXY_CONTROL_LISTEN_SOCKETS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/queue.h>

#include "base/addr.h"
#include "control/generation.h"
#include "control/inherited.h"
#include "control/listener_tasks.h"
#include "control/workers.h"

#define LISTEN_SOCKETS_CHAINS 4096 /* a power of two; a range may have all 65,535 ports */

/* An address that is listened on. */
struct listen_socket {
    TAILQ_ENTRY(listen_socket) in_list;
    SLIST_ENTRY(listen_socket) in_chain; /* of addresses with the same hash */
    struct addr at;
    char device[IFNAMSIZ];                    /* interface it is bound to; "": none */
    struct file_id file;                      /* of a unix socket that was opened here */
    const struct inherited_socket *inherited; /* all descriptors are duplicates of it; NULL: none */
    size_t count;
    struct socket_share *share;
    bool wanted; /* by the change that is being committed */
};

TAILQ_HEAD(listen_socket_list, listen_socket);
SLIST_HEAD(listen_socket_chain, listen_socket);

struct listen_sockets {
    struct listen_socket_list all;
    struct listen_socket_chain chain[LISTEN_SOCKETS_CHAINS];
    struct inherited inherited;
};

struct listen_sockets_change;

void listen_sockets_init(struct listen_sockets *s); /* the caller fills s->inherited */
/* Closes the descriptors that no worker has. */
void listen_sockets_fini(struct listen_sockets *s);

/* For a handover: adds descriptors that the old process has opened. Takes ownership of them, also
 * on failure. Returns 0 or -ENOMEM. */
int listen_sockets_adopt(struct listen_sockets *s, const struct addr *at,
                         const struct file_id *file, const int *fd, size_t count);

/* Determines which sockets conf needs for this number of workers; conf must outlive the change.
 * Returns 0, or -1 after printing the errors, as "[listen NAME] bind: ...". */
int listen_sockets_plan(struct listen_sockets *s, const struct config *conf, size_t workers,
                        FILE *errors, struct listen_sockets_change **change);
/* Binds the sockets that are missing, and again a unix socket whose file was removed. Clients
 * cannot connect yet. Returns 0; or -1 after printing the errors: the caller must abort. */
int listen_sockets_open(struct listen_sockets_change *change, FILE *errors);
/* Lets clients connect. Returns 0; or -1 after printing the errors: the caller must abort, and no
 * new socket listens on an address that is in force. */
int listen_sockets_listen(struct listen_sockets_change *change, FILE *errors);
/* Undoes the steps before. change may be NULL. */
void listen_sockets_abort(struct listen_sockets_change *change);

/* Spreads the descriptors over the first `workers` workers of the plan, and sets the frontends of
 * g, whose configuration is the planned one. A socket that is not needed any more is closed after
 * the clients in its backlog are accepted; if another listening address covers its address
 * (0.0.0.0:80 covers 10.0.0.1:80), it stays open. Returns when every worker has done its part,
 * which takes one wake-up: all later clients are served by g. */
void listen_sockets_commit(struct listen_sockets_change *change, const struct generation *g,
                           struct workers *workers);

/* Removes the files of unix sockets that were opened here. */
void listen_sockets_unlink(const struct listen_sockets *s);

/* Logs the sockets of the service manager that no listener uses. */
void listen_sockets_log_unused(const struct listen_sockets *s);

#endif
