#include "ctl/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define LOCK_STEP_MS 50

static int set_error(struct config_file *f, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int set_error(struct config_file *f, int error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(f->error, sizeof f->error, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof f->error)
        snprintf(f->error + n, sizeof f->error - (size_t)n, ": %s%s", strerror(error),
                 error == EACCES || error == EPERM
                     ? "; run zproxyctl as root, or as a user that may write there"
                     : "");
    return -error;
}

static const char *name_of(const char *path)
{
    return strrchr(path, '/') + 1; /* realpath(3) gives absolute paths */
}

/* ---- open and lock ---- */

/* The names begin with a dot, so that no pattern of an include matches them. */
static void set_names(struct config_file *f)
{
    const char *name = name_of(f->path);
    int dir = (int)(name - f->path);
    snprintf(f->candidate, sizeof f->candidate, "%.*s.%s.apply-new", dir, f->path, name);
    snprintf(f->former, sizeof f->former, "%.*s.%s.apply-old", dir, f->path, name);
}

static int open_directory(struct config_file *f, const char *path)
{
    char dir[PATH_MAX];
    if (realpath(path, f->path) == NULL) {
        f->path[0] = '\0'; /* a part of it otherwise */
        return set_error(f, errno, "%s", path);
    }
    set_names(f);
    snprintf(dir, sizeof dir, "%.*s", (int)(name_of(f->path) - f->path), f->path);
    f->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return f->dir == -1 ? set_error(f, errno, "%s", dir) : 0;
}

/* flock(2) has no timeout. */
static int lock_directory(struct config_file *f, unsigned long long timeout)
{
    static const struct timespec step = { .tv_nsec = LOCK_STEP_MS * 1000000L };
    for (unsigned long long waited = 0; flock(f->dir, LOCK_EX | LOCK_NB) == -1;
         waited += LOCK_STEP_MS) {
        if (errno != EWOULDBLOCK)
            return set_error(f, errno, "%s: its directory cannot be locked", f->path);
        if (waited >= timeout)
            return set_error(f, ETIMEDOUT, "%s: another apply is running", f->path);
        nanosleep(&step, NULL);
    }
    return 0;
}

static int read_status(struct config_file *f)
{
    if (fstatat(f->dir, name_of(f->path), &f->st, AT_SYMLINK_NOFOLLOW) == -1)
        return set_error(f, errno, "%s", f->path);
    return S_ISREG(f->st.st_mode) ? 0 : set_error(f, EINVAL, "%s: not a regular file", f->path);
}

int config_file_open(struct config_file *f, const char *path, unsigned long long timeout)
{
    char now[PATH_MAX];
    memset(f, 0, sizeof *f);
    for (;;) {
        int rc = open_directory(f, path);
        if (rc == 0 && (rc = lock_directory(f, timeout)) < 0)
            config_file_close(f);
        if (rc < 0)
            return rc;
        /* another apply may have had the lock, and a link may point elsewhere now */
        if (realpath(path, now) != NULL && strcmp(now, f->path) == 0)
            break;
        config_file_close(f);
    }
    int rc = read_status(f);
    if (rc < 0)
        config_file_close(f);
    return rc;
}

void config_file_close(struct config_file *f)
{
    if (f->dir != -1)
        close(f->dir); /* also unlocks it */
    f->dir = -1;
}

/* ---- leftovers ---- */

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

bool config_file_leftovers(const struct config_file *f, char text[CONFIG_FILE_ERROR_MAX])
{
    bool has_candidate = exists(f->candidate);
    bool has_former = exists(f->former);
    text[0] = '\0';
    if (has_candidate || has_former)
        snprintf(text, CONFIG_FILE_ERROR_MAX, "%s%s%s: left by an apply that was interrupted",
                 has_candidate ? f->candidate : "", has_candidate && has_former ? ", " : "",
                 has_former ? f->former : "");
    return text[0] != '\0';
}

static void drop_former(const struct config_file *f)
{
    (void)unlinkat(f->dir, name_of(f->former), 0);
}

void config_file_remove_leftovers(const struct config_file *f)
{
    config_file_drop_candidate(f);
    drop_former(f);
}

void config_file_drop_candidate(const struct config_file *f)
{
    (void)unlinkat(f->dir, name_of(f->candidate), 0);
}

/* ---- content ---- */

static int open_file(struct config_file *f)
{
    int fd = openat(f->dir, name_of(f->path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd == -1 ? set_error(f, errno, "%s", f->path) : fd;
}

int config_file_has(struct config_file *f, const char *text, size_t size)
{
    char part[4096];
    size_t at = 0;
    ssize_t n = 0;
    int fd = open_file(f);
    if (fd < 0)
        return fd;
    bool same = true;
    while (same && (n = read(fd, part, sizeof part)) > 0) {
        same = (size_t)n <= size - at && memcmp(part, text + at, (size_t)n) == 0;
        at += same ? (size_t)n : 0;
    }
    int rc = n == -1 ? set_error(f, errno, "%s", f->path) : same && at == size;
    close(fd);
    return rc;
}

/* Hashes and signatures of the content, and capabilities of programs. */
static bool is_of_content(const char *name)
{
    return strcmp(name, "security.ima") == 0 || strcmp(name, "security.evm") == 0 ||
           strcmp(name, "security.capability") == 0;
}

/* The label that SELinux gives to a new file is already the right one in most cases. */
static int copy_attribute(int from, int to, const char *name)
{
    char value[4096];
    char present[4096];
    ssize_t n = fgetxattr(from, name, value, sizeof value);
    if (n == -1)
        return errno == ENODATA ? 0 : -errno;
    if (fgetxattr(to, name, present, sizeof present) == n && memcmp(value, present, (size_t)n) == 0)
        return 0;
    return fsetxattr(to, name, value, (size_t)n, 0) == -1 && errno != ENOTSUP ? -errno : 0;
}

static int copy_attributes(struct config_file *f, int from, int to)
{
    char names[4096];
    ssize_t size = flistxattr(from, names, sizeof names);
    if (size == -1)
        return errno == ENOTSUP ? 0 : set_error(f, errno, "%s: its attributes", f->path);
    for (const char *name = names; name < names + size; name += strlen(name) + 1) {
        int rc = is_of_content(name) ? 0 : copy_attribute(from, to, name);
        if (rc < 0)
            return set_error(f, -rc, "%s: its attribute %s cannot be kept", f->path, name);
    }
    return 0;
}

static int copy_owner(struct config_file *f, int to)
{
    struct stat st;
    if (fstat(to, &st) == -1)
        return set_error(f, errno, "%s", f->candidate);
    if ((st.st_uid != f->st.st_uid || st.st_gid != f->st.st_gid) &&
        fchown(to, f->st.st_uid, f->st.st_gid) == -1)
        return set_error(f, errno, "%s: its owner %u and group %u cannot be kept", f->path,
                         f->st.st_uid, f->st.st_gid);
    if (fchmod(to, f->st.st_mode & 07777) == -1) /* fchown(2) clears bits of it */
        return set_error(f, errno, "%s", f->candidate);
    return 0;
}

static int write_all(struct config_file *f, int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return set_error(f, errno, "%s", f->candidate);
        text += n;
        size -= (size_t)n;
    }
    return fsync(fd) == -1 ? set_error(f, errno, "%s", f->candidate) : 0;
}

static int fill(struct config_file *f, int to, const char *text, size_t size)
{
    int from = open_file(f);
    if (from < 0)
        return from;
    int rc = copy_owner(f, to);
    if (rc == 0)
        rc = copy_attributes(f, from, to);
    close(from);
    return rc == 0 ? write_all(f, to, text, size) : rc;
}

int config_file_write(struct config_file *f, const char *text, size_t size)
{
    config_file_drop_candidate(f);
    int fd = openat(f->dir, name_of(f->candidate),
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd == -1)
        return set_error(f, errno, "%s", f->candidate);
    int rc = fill(f, fd, text, size);
    if (close(fd) == -1 && rc == 0) /* NFS reports a full disk here */
        rc = set_error(f, errno, "%s", f->candidate);
    if (rc < 0)
        config_file_drop_candidate(f);
    return rc;
}

/* ---- names ---- */

static int sync_directory(struct config_file *f)
{
    return fsync(f->dir) == -1 ? set_error(f, errno, "%s: its directory", f->path) : 0;
}

/* A file that is mounted alone, as by Docker or with subPath of Kubernetes, has a name that cannot
 * change. */
static int set_exchange_error(struct config_file *f)
{
    if (errno != EBUSY)
        return set_error(f, errno, "%s", f->path);
    return set_error(f, EBUSY, "%s: a mount of its own; mount its directory instead", f->path);
}

/* Where names cannot be exchanged, the former file gets a second name first. */
static int replace_by_link(struct config_file *f)
{
    drop_former(f);
    if (linkat(f->dir, name_of(f->path), f->dir, name_of(f->former), 0) == -1)
        return set_error(f, errno, "%s: cannot be kept as %s", f->path, f->former);
    if (renameat(f->dir, name_of(f->candidate), f->dir, name_of(f->path)) == 0)
        return 0;
    int rc = set_error(f, errno, "%s", f->path);
    drop_former(f);
    return rc;
}

static int exchange(struct config_file *f)
{
    if (renameat2(f->dir, name_of(f->candidate), f->dir, name_of(f->path), RENAME_EXCHANGE) == -1)
        return errno == EINVAL || errno == ENOSYS || errno == ENOTSUP ? replace_by_link(f)
                                                                      : set_exchange_error(f);
    if (renameat(f->dir, name_of(f->candidate), f->dir, name_of(f->former)) == 0)
        return 0;
    int rc = set_error(f, errno, "%s", f->former);
    (void)renameat(f->dir, name_of(f->candidate), f->dir, name_of(f->path));
    return rc;
}

int config_file_replace(struct config_file *f)
{
    struct stat now;
    if (fstatat(f->dir, name_of(f->path), &now, AT_SYMLINK_NOFOLLOW) == -1)
        return set_error(f, errno, "%s", f->path);
    if (now.st_ino != f->st.st_ino || now.st_mtim.tv_sec != f->st.st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != f->st.st_mtim.tv_nsec)
        return set_error(f, EBUSY, "%s: another program has changed it meanwhile", f->path);
    int rc = exchange(f);
    if (rc < 0 || (rc = sync_directory(f)) == 0)
        return rc;
    char why[CONFIG_FILE_ERROR_MAX];
    memcpy(why, f->error, sizeof why);
    (void)config_file_restore(f);
    memcpy(f->error, why, sizeof why);
    return rc;
}

int config_file_restore(struct config_file *f)
{
    if (renameat(f->dir, name_of(f->former), f->dir, name_of(f->path)) == -1)
        return set_error(f, errno, "%s: cannot be put back as %s", f->former, f->path);
    return sync_directory(f);
}
