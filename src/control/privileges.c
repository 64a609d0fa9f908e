#include "control/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <unistd.h>

/* getpwnam(3) leaves errno alone, or sets one of several, when there is no such name. */
static int look_up_failure(void)
{
    return errno == 0 || errno == ESRCH || errno == EBADF || errno == EPERM ? -ENOENT : -errno;
}

int privileges_find(struct privileges *p, const struct config_global *g, const char **key)
{
    p->uid = (uid_t)-1;
    p->gid = (gid_t)-1;
    if (g->user != NULL) {
        errno = 0;
        const struct passwd *pw = getpwnam(g->user);
        *key = "user";
        if (pw == NULL)
            return look_up_failure();
        p->uid = pw->pw_uid;
        p->gid = pw->pw_gid;
    }
    if (g->group != NULL) {
        errno = 0;
        const struct group *gr = getgrnam(g->group);
        *key = "group";
        if (gr == NULL)
            return look_up_failure();
        p->gid = gr->gr_gid;
    }
    return 0;
}

bool privileges_will_be_limited(const struct privileges *p)
{
    return p->uid != (uid_t)-1 ? p->uid != 0 : geteuid() != 0;
}

/* Supplementary groups are looked up while /etc is still in sight. */
static int set_groups(const struct privileges *p, const struct config_global *g)
{
    if (p->uid != (uid_t)-1)
        return initgroups(g->user, p->gid);
    return p->gid != (gid_t)-1 ? setgroups(0, NULL) : 0;
}

static bool is_already(const struct privileges *p)
{
    return (p->uid == (uid_t)-1 || (p->uid == geteuid() && p->uid == getuid())) &&
           (p->gid == (gid_t)-1 || (p->gid == getegid() && p->gid == getgid()));
}

int privileges_drop(const struct privileges *p, const struct config_global *g, const char **key)
{
    bool same = is_already(p); /* an unprivileged program may name the user it runs as */
    *key = g->user != NULL ? "user" : "group";
    if (!same && set_groups(p, g) == -1)
        return -errno;
    if (g->chroot != NULL && (chroot(g->chroot) == -1 || chdir("/") == -1)) {
        *key = "chroot";
        return -errno;
    }
    if (same)
        return 0;
    if (p->gid != (gid_t)-1 && setgid(p->gid) == -1) {
        *key = g->group != NULL ? "group" : "user";
        return -errno;
    }
    if (p->uid != (uid_t)-1 && setuid(p->uid) == -1) {
        *key = "user";
        return -errno;
    }
    return 0;
}
