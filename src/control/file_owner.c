#include "control/file_owner.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

static int file_owner_number(const char *text, long *number)
{
    char *end = NULL;
    *number = strtol(text, &end, 10);
    return end != text && *end == '\0' && *number >= 0 ? 0 : -ENOENT;
}

static int find_user(const char *name, long *uid)
{
    const struct passwd *pw = getpwnam(name);
    if (pw == NULL)
        return file_owner_number(name, uid);
    *uid = (long)pw->pw_uid;
    return 0;
}

static int find_group(const char *name, long *gid)
{
    const struct group *gr = getgrnam(name);
    if (gr == NULL)
        return file_owner_number(name, gid);
    *gid = (long)gr->gr_gid;
    return 0;
}

int file_owner_find(const char *user, const char *group, struct unix_owner *owner)
{
    long uid = -1;
    long gid = -1;
    int rc = user == NULL ? 0 : find_user(user, &uid);
    if (rc == 0 && group != NULL)
        rc = find_group(group, &gid);
    *owner = (struct unix_owner){ .uid = (uid_t)uid, .gid = (gid_t)gid };
    return rc;
}
