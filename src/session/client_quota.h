/* The limits on one client address (limits.h), shared by configurations that tell clients apart in
 * the same way: who is counted stays counted over reloads. */
#ifndef ZPROXY_SESSION_CLIENT_QUOTA_H
#define ZPROXY_SESSION_CLIENT_QUOTA_H

#include "config/config.h"
#include "session/client_limits.h"

struct client_quota {
    unsigned users;
    uint64_t ip6_prefix;
    struct client_limits *client_limits;
};

/* For what c asks for: the one that there is, used once more, if it can be that, or a new one.
 * Returns 0 with *q NULL when c sets no limit; or -ENOMEM. For the control thread. */
int client_quota_get(struct client_quota **q, struct client_quota *present,
                     const struct config_listen *c);
/* Puts c's limits in force. now: ms, as the workers have it. NULL is allowed. */
void client_quota_set(struct client_quota *q, const struct config_listen *c, uint64_t now);
/* One use more; and one less, with the last of which it is freed. NULL is allowed. */
struct client_quota *client_quota_ref(struct client_quota *q);
void client_quota_unref(struct client_quota *q);

#endif
