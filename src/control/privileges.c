#include "control/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/capability.h"
#include "base/congestion.h"
#include "base/log.h"

/* getpwnam(3): without such a name errno is unchanged or one of several. */
static int lookup_error(void)
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
            return lookup_error();
        p->uid = pw->pw_uid;
        p->gid = pw->pw_gid;
    }
    if (g->group != NULL) {
        errno = 0;
        const struct group *gr = getgrnam(g->group);
        *key = "group";
        if (gr == NULL)
            return lookup_error();
        p->gid = gr->gr_gid;
    }
    return 0;
}

bool privileges_will_be_limited(const struct privileges *p)
{
    return p->uid != (uid_t)-1 ? p->uid != 0 : geteuid() != 0;
}

/* Supplementary groups must be looked up before chroot(2) hides /etc. */
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

static bool wants_transparent(const struct config *c)
{
    for (size_t i = 0; i < c->pool_count; i++)
        if (c->pool[i].source.kind == CONFIG_SOURCE_CLIENT)
            return true;
    return false;
}

bool privileges_is_dumpable(void)
{
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1;
}

void privileges_set_dumpable(bool open)
{
    (void)prctl(PR_SET_DUMPABLE, open ? 1L : 0L, 0, 0, 0);
}

/* before: a name that was checked; NULL: none. Returns the name, or NULL. */
static const char *check_congestion(const struct privileges *p, const char *section,
                                    const char *name, const char *congestion, const char *before,
                                    FILE *errors)
{
    char why[CONGESTION_WHY_MAX];
    bool keeps = capability_has_net_admin() && (p->uid == (uid_t)-1 || p->uid == geteuid());
    if (congestion == NULL || (before != NULL && strcmp(congestion, before) == 0) ||
        congestion_check(congestion, keeps, true, why) == 0)
        return congestion == NULL ? before : congestion;
    fprintf(errors, "[%s %s] congestion: \"%s\": %s\n", section, name, congestion, why);
    return NULL;
}

int privileges_check_congestion(const struct privileges *p, const struct config *c, FILE *errors)
{
    const char *good = NULL;
    int rc = 0;
    for (size_t i = 0; i < c->listen_count; i++) {
        const char *name = c->listen[i].tcp.congestion;
        good = check_congestion(p, "listen", c->listen[i].name, name, good, errors);
        rc = name != NULL && good == NULL ? -1 : rc;
    }
    for (size_t i = 0; i < c->pool_count; i++) {
        const char *name = c->pool[i].tcp.congestion;
        good = check_congestion(p, "pool", c->pool[i].name, name, good, errors);
        rc = name != NULL && good == NULL ? -1 : rc;
    }
    return rc;
}

void privileges_warn(const struct config *c)
{
    if (wants_transparent(c) && !capability_has_transparent())
        log_msg(
            LOG_LEVEL_WARNING, "capability",
            "source = client needs CAP_NET_RAW, which zproxy does not have: connects will fail");
}

static int set_ids(const struct privileges *p, const struct config_global *g, const char **key)
{
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

int privileges_drop(const struct privileges *p, const struct config *c, const char **key)
{
    const struct config_global *g = &c->global;
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
    bool keep = p->uid != (uid_t)-1 && wants_transparent(c) && capability_has_transparent();
    int rc = keep ? capability_set_keepcaps() : 0;
    capability_drop_bounding_set(keep);
    if (rc == 0)
        rc = set_ids(p, g, key);
    if (rc == 0 && keep)
        rc = capability_keep_transparent();
    if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
        rc = -errno;
    privileges_set_dumpable(false); /* with fs.suid_dumpable = 2 the kernel would write a core */
    return rc;
}
