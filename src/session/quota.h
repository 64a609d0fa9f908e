/* The limits on one client address (limits.h), shared by configurations that tell clients apart in
 * the same way: who is counted stays counted over reloads. */
#ifndef ZPROXY_SESSION_QUOTA_H
#define ZPROXY_SESSION_QUOTA_H

#include "config/config.h"
#include "session/limits.h"

struct quota {
    unsigned users;
    uint64_t ip6_prefix;
    struct limits *limits;
};

/* For what c asks for: the one that there is, used once more, if it can be that, or a new one.
 * Returns 0 with *q NULL when c sets no limit; or -ENOMEM. For the control thread. */
int quota_get(struct quota **q, struct quota *present, const struct config_listen *c);
/* Puts c's limits in force. now: ms, as the workers have it. NULL is allowed. */
void quota_set(struct quota *q, const struct config_listen *c, uint64_t now);
/* One use more; and one less, with the last of which it is freed. NULL is allowed. */
struct quota *quota_ref(struct quota *q);
void quota_put(struct quota *q);

#endif
