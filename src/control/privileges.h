/* From root to nobody in particular, once everything is bound. */
#ifndef ZPROXY_CONTROL_PRIVILEGES_H
#define ZPROXY_CONTROL_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "config/config.h"

struct privileges {
    uid_t uid; /* (uid_t)-1: stays who it is */
    gid_t gid; /* (gid_t)-1: likewise */
};

/* Looks user and group up; a group left out is the user's own. Returns 0, or -errno (-ENOENT: no
 * such name) with *key naming the one that failed. */
int privileges_find(struct privileges *p, const struct config_global *g, const char **key);

/* Whether the program, once it has dropped them, may not have more pipes than other users. */
bool privileges_will_be_limited(const struct privileges *p);

/* chroot(2), groups, group, user, in that order. Of root's capabilities one is kept, and that only
 * where a pool has source = client; no program that is run later gets others (bounding set,
 * no_new_privs), and it leaves no core. Same results. */
int privileges_drop(const struct privileges *p, const struct config *c, const char **key);

/* Whether others of this user may look into the process: not, once it has dropped privileges.
 * execve(2) forgets that. */
bool privileges_is_dumpable(void);
void privileges_set_dumpable(bool open);

/* Says in the log what the configuration needs and zproxy may not do. */
void privileges_warn(const struct config *c);

#endif
