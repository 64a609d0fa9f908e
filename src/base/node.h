/* The name of this zproxy, which tells its log lines and metrics from those of others: the key
 * "node", or the host's name.
 *
 * Read by any thread; set by the control thread. A name that was in use stays in memory, since
 * other threads may be reading it; names that come back are not stored again. */
#ifndef ZPROXY_BASE_NODE_H
#define ZPROXY_BASE_NODE_H

#include <stdbool.h>

#define NODE_NAME_MAX 64

struct node {
    char name[NODE_NAME_MAX + 1];
    bool is_host; /* it equals the host's name, which syslog adds to each line */
    const struct node *next;
};

/* Prepares a name, of at most NODE_NAME_MAX characters. NULL: the host's name as it is now; each
 * character that a node cannot have becomes "_", and without a host's name it is "unknown". Returns
 * NULL when out of memory. */
const struct node *node_prepare(const char *name);

/* Puts the name in force. */
void node_set(const struct node *node);

/* The name in force; NULL before the first node_set(). */
const struct node *node_get(void);

/* Its text; "unknown" before the first node_set(). */
const char *node_name(void);

#endif
