#include "control/file_owner.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int number_of(const char *text, long *number)
{
    char *end = NULL;
    *number = strtol(text, &end, 10);
    return end != text && *end == '\0' && *number >= 0 ? 0 : -ENOENT;
}

static int find_user(const char *name, long *uid)
{
    const struct passwd *pw = getpwnam(name);
    if (pw == NULL)
        return number_of(name, uid);
    *uid = (long)pw->pw_uid;
    return 0;
}

static int find_group(const char *name, long *gid)
{
    const struct group *gr = getgrnam(name);
    if (gr == NULL)
        return number_of(name, gid);
    *gid = (long)gr->gr_gid;
    return 0;
}

/* The mode last: a change of owner takes bits away. */
int file_owner_set(const char *path, unsigned mode, const char *user, const char *group)
{
    long uid = -1;
    long gid = -1;
    int rc = user == NULL ? 0 : find_user(user, &uid);
    if (rc == 0 && group != NULL)
        rc = find_group(group, &gid);
    if (rc == 0 && (uid != -1 || gid != -1) && chown(path, (uid_t)uid, (gid_t)gid) == -1)
        rc = -errno;
    if (rc == 0 && mode != 0 && chmod(path, (mode_t)mode) == -1)
        rc = -errno;
    return rc;
}
