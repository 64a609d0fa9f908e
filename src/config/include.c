#include "config/include.h"

#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The pattern behind the directory of `from`, in which nothing is a wildcard. */
static char *make_absolute(const char *from, const char *pattern, bool wild)
{
    const char *slash = strrchr(from, '/');
    size_t n = *pattern == '/' || slash == NULL ? 0 : (size_t)(slash - from) + 1;
    size_t pattern_size = strlen(pattern) + 1;
    char *path = malloc(2 * n + pattern_size);
    char *to = path;
    if (path == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (wild && strchr("*?[\\", from[i]) != NULL)
            *to++ = '\\';
        *to++ = from[i];
    }
    memcpy(to, pattern, pattern_size);
    return path;
}

/* A directory that is not there holds no files; one that cannot be read may. */
static int on_glob_error(const char *path, int error)
{
    (void)path;
    return error != ENOENT && error != ENOTDIR;
}

static int each_match(const char *pattern, include_file_fn *found, void *arg)
{
    glob_t matches = { .gl_pathc = 0 };
    errno = 0;
    int rc = glob(pattern, 0, on_glob_error, &matches);
    int error = rc == GLOB_NOSPACE ? ENOMEM : errno != 0 ? errno : EIO;
    for (size_t i = 0; rc == 0 && i < matches.gl_pathc; i++)
        found(arg, matches.gl_pathv[i]);
    globfree(&matches);
    return rc == 0 || rc == GLOB_NOMATCH ? 0 : -error;
}

int include_each(const char *from, const char *pattern, include_file_fn *found, void *arg)
{
    bool wild = strpbrk(pattern, "*?[") != NULL;
    char *path = make_absolute(from, pattern, wild);
    int rc = 0;
    if (path == NULL)
        return -ENOMEM;
    if (wild)
        rc = each_match(path, found, arg);
    else
        found(arg, path);
    free(path);
    return rc;
}
