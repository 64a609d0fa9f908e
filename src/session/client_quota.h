/* The client_limits of a listener, with a reference count. Frontends of a listener with the same
 * per_ip6_prefix share it, so that sessions stay counted over reloads. */
#ifndef ZPROXY_SESSION_CLIENT_QUOTA_H
#define ZPROXY_SESSION_CLIENT_QUOTA_H

#include "config/config.h"
#include "session/client_limits.h"

struct client_quota {
    unsigned users;
    uint64_t ip6_prefix;
    struct client_limits *client_limits;
};

/* Sets *q to a reference to `present` if its ip6_prefix is that of c, otherwise to a new quota; or
 * to NULL if c sets no limit. Returns 0 or -ENOMEM. For the control thread. */
int client_quota_get(struct client_quota **q, struct client_quota *present,
                     const struct config_listen *c);
/* Puts the limits of c in force. now: ms, by the clock of the workers. q may be NULL. */
void client_quota_set(struct client_quota *q, const struct config_listen *c, uint64_t now);
/* Add and drop a reference; the last one frees the quota. q may be NULL. */
struct client_quota *client_quota_ref(struct client_quota *q);
void client_quota_unref(struct client_quota *q);

#endif
