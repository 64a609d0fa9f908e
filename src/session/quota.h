/* The limits on one client address (limits.h), shared by configurations that set the same ones: who
 * is counted stays counted over reloads. */
#ifndef ZPROXY_SESSION_QUOTA_H
#define ZPROXY_SESSION_QUOTA_H

#include "config/config.h"
#include "session/limits.h"

struct quota {
    unsigned users;
    uint64_t max_connections;
    struct config_rate rate;
    uint64_t ip6_prefix;
    struct limits *limits;
};

/* What c asks for: the one that there is, used once more, if it is the same, or a new one. Returns
 * 0 with *q NULL when c sets no limit; or -ENOMEM. For the control thread. */
int quota_get(struct quota **q, struct quota *present, const struct config_listen *c);
/* One use more; and one less, with the last of which it is freed. NULL is allowed. */
struct quota *quota_ref(struct quota *q);
void quota_put(struct quota *q);

#endif
