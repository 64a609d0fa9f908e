/* Drops root's privileges once all sockets are bound. For the control thread. */
#ifndef ZPROXY_CONTROL_PRIVILEGES_H
#define ZPROXY_CONTROL_PRIVILEGES_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "config/config.h"

struct privileges {
    uid_t uid; /* (uid_t)-1: is not changed */
    gid_t gid; /* (gid_t)-1: is not changed */
};

/* Looks up user and group; without a group it is the user's own. Returns 0; or -errno (-ENOENT: no
 * such name), with *key naming the key that failed. */
int privileges_find(struct privileges *p, const struct config_global *g, const char **key);

/* Whether the limits on pipes for unprivileged users will apply (pipe(7)), once privileges are
 * dropped. */
bool privileges_will_be_limited(const struct privileges *p);

/* Calls chroot(2) and sets groups, group and user, in that order. Drops all capabilities, except
 * CAP_NET_RAW if a pool has `source = client`. Programs that are executed later get no others
 * (bounding set, no_new_privs), and the process dumps no core. Returns 0; or -errno, with *key
 * naming the key that failed. */
int privileges_drop(const struct privileges *p, const struct config *c, const char **key);

/* Whether other processes of this user may read this one's memory, prctl(2) PR_SET_DUMPABLE. They
 * may not after privileges are dropped. execve(2) resets it. */
bool privileges_is_dumpable(void);
void privileges_set_dumpable(bool open);

/* Checks that the algorithms of congestion control can be used once privileges are dropped, and has
 * the kernel load those that come as a module. Returns 0, or -1 after printing the errors. */
int privileges_check_congestion(const struct privileges *p, const struct config *c, FILE *errors);

/* Logs a warning if the configuration needs a capability that the process does not have. */
void privileges_warn(const struct config *c);

#endif
