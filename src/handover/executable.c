#include "handover/executable.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROC_SELF_EXE "/proc/self/exe"

static int executable_join(const char *directory, const char *rest, char **path)
{
    *path = NULL;
    if (rest[0] == '/')
        *path = strdup(rest);
    else if (directory == NULL)
        return -ENOENT;
    else if (asprintf(path, "%s/%s", directory, rest) == -1)
        *path = NULL;
    return *path == NULL ? -ENOMEM : 0;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Like execvp(3): the first file that can be executed. An empty entry is the working directory. */
static int find_in_path(const struct executable *e, const char *entries, char **path)
{
    char entry[PATH_MAX];
    int rc = -ENOENT;
    for (const char *at = entries; at != NULL && rc == -ENOENT;) {
        size_t len = strcspn(at, ":");
        char *directory = NULL;
        if (snprintf(entry, sizeof entry, "%.*s", (int)len, len == 0 ? "" : at) <
                (int)sizeof entry &&
            (rc = executable_join(e->directory, len == 0 ? "." : entry, &directory)) == 0) {
            rc = executable_join(directory, e->name, path);
            if (rc == 0 && !is_program(*path)) {
                free(*path);
                *path = NULL;
                rc = -ENOENT;
            }
        }
        free(directory);
        at = at[len] == ':' ? at + len + 1 : NULL;
    }
    return rc;
}

int executable_find(const struct executable *e, char **path)
{
    static const char usual[] = "/usr/local/bin:/usr/bin:/bin"; /* if PATH is not set */
    const char *entries = getenv("PATH");
    if (e->path == NULL)
        return find_in_path(e, entries == NULL ? usual : entries, path);
    *path = strdup(e->path);
    return *path == NULL ? -ENOMEM : 0;
}

/* The path of the file that was executed; "" if /proc is not mounted. */
static void read_proc_self_exe(char path[PATH_MAX])
{
    ssize_t n = readlink(PROC_SELF_EXE, path, PATH_MAX - 1);
    path[n == -1 ? 0 : n] = '\0';
}

static bool executable_is_same(const char *a, const char *b)
{
    struct stat sa;
    struct stat sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

/* The parent process chooses argv[0] freely: "-sh" for a login shell, or "". */
static bool executable_leads_to(const struct executable *e, const char *executed)
{
    char *path = NULL;
    bool same = executable_find(e, &path) == 0 &&
                (executed[0] == '\0' ? is_program(path)
                                     : executable_is_same(path, PROC_SELF_EXE) ||
                                           executable_is_same(path, executed));
    free(path);
    return same;
}

static int executable_set_name(struct executable *e, const char *name)
{
    if (name == NULL || name[0] == '\0')
        return -ENOENT;
    if (strchr(name, '/') != NULL)
        return executable_join(e->directory, name, &e->path);
    e->name = strdup(name);
    return e->name == NULL ? -ENOMEM : 0;
}

int executable_init(struct executable *e, const char *name)
{
    char executed[PATH_MAX];
    memset(e, 0, sizeof *e);
    e->directory = getcwd(NULL, 0);
    read_proc_self_exe(executed);
    int rc = executable_set_name(e, name);
    if (rc == -ENOMEM || (rc == 0 && executable_leads_to(e, executed)))
        return rc;
    free(e->path);
    free(e->name);
    e->name = NULL;
    e->path = executed[0] == '\0' ? NULL : strdup(executed);
    if (e->path != NULL)
        return 0;
    return executed[0] == '\0' ? -ENOENT : -ENOMEM;
}

void executable_fini(struct executable *e)
{
    free(e->path);
    free(e->name);
    free(e->directory);
    memset(e, 0, sizeof *e);
}
