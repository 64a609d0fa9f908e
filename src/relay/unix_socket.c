#include "relay/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BY_DESCRIPTOR "/proc/self/fd/"

#define FRESH_MS 1000 /* a socket younger than this may not listen yet */
#define PAUSE_MS 10
#define TRIES    (2 * FRESH_MS / PAUSE_MS)

bool unix_socket_has_file(const struct addr *at)
{
    return addr_is_unix(at) && at->un.sun_path[0] != '\0';
}

bool unix_socket_is_by_descriptor(const struct addr *at)
{
    return addr_is_unix(at) &&
           strncmp(at->un.sun_path, BY_DESCRIPTOR, sizeof BY_DESCRIPTOR - 1) == 0;
}

static int place_open(struct safe_path *p, const struct addr *at)
{
    return safe_path_open(p, at->un.sun_path, SAFE_LINKS_NONE);
}

/* bind(2) and connect(2) take no directory descriptor, and ss(8) shows the path. If other users
 * could replace the directory meanwhile, the address names it by its descriptor instead
 * (/proc/self/fd). */
static int address_of(const struct safe_path *p, const struct addr *at, struct addr *out)
{
    *out = *at;
    if (!p->movable)
        return 0;
    int n =
        snprintf(out->un.sun_path, sizeof out->un.sun_path, BY_DESCRIPTOR "%d/%s", p->dir, p->name);
    if (n >= (int)sizeof out->un.sun_path)
        return -ENAMETOOLONG;
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n + 1);
    return 0;
}

/* Opens the file with O_PATH: while it is open, no other file has its inode number. */
static int unix_socket_open_file(const struct safe_path *p, struct stat *st)
{
    int fd = openat(p->dir, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1 || fstat(fd, st) == 0)
        return fd == -1 ? -errno : fd;
    int rc = -errno;
    close(fd);
    return rc;
}

/* ---- what another program has left ---- */

/* Returns 0: no process listens there; -EADDRINUSE; or -errno. */
static int unix_socket_try_connect(const struct safe_path *p, const struct addr *at)
{
    struct addr to;
    int rc = address_of(p, at, &to);
    if (rc < 0)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -errno;
    rc = connect(fd, &to.sa, to.len) == -1 ? -errno : 0;
    close(fd);
    if (rc == 0 || rc == -EAGAIN || rc == -EPROTOTYPE)
        return -EADDRINUSE;
    return rc == -ECONNREFUSED ? 0 : rc;
}

/* Whether the file may be removed: in a directory with the sticky bit, such as /tmp, not that of
 * another user. */
static bool unix_socket_is_ours(const struct safe_path *p, const struct stat *st,
                                const struct unix_owner *o)
{
    uid_t uid = st->st_uid;
    if (!p->shared || (p->dir_st.st_mode & S_ISVTX) == 0)
        return true;
    return uid == 0 || uid == geteuid() || uid == p->dir_st.st_uid || (o != NULL && uid == o->uid);
}

static bool is_fresh(const struct stat *st)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now); /* the clock of file times */
    int64_t ms = ((int64_t)now.tv_sec - st->st_ctim.tv_sec) * 1000 +
                 (now.tv_nsec - st->st_ctim.tv_nsec) / 1000000;
    return ms >= 0 && ms < FRESH_MS;
}

static int remove_if_same(const struct safe_path *p, const struct stat *st)
{
    struct stat now;
    if (fstatat(p->dir, p->name, &now, AT_SYMLINK_NOFOLLOW) == -1)
        return errno == ENOENT ? 0 : -errno;
    if (now.st_ino != st->st_ino || now.st_dev != st->st_dev)
        return -EAGAIN;
    return unlinkat(p->dir, p->name, 0) == -1 && errno != ENOENT ? -errno : 0;
}

/* Returns 0: the address is free; -EAGAIN: the caller must try again a little later; or -errno. */
static int unix_socket_clear(const struct safe_path *p, const struct addr *at,
                             const struct unix_owner *owner, bool remove)
{
    struct stat st = { .st_mode = 0 };
    int fd = unix_socket_open_file(p, &st);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    int rc = S_ISSOCK(st.st_mode) ? unix_socket_try_connect(p, at) : -EEXIST;
    if (rc == 0 && !unix_socket_is_ours(p, &st, owner))
        rc = -EADDRINUSE;
    if (rc == 0 && remove)
        rc = is_fresh(&st) ? -EAGAIN : remove_if_same(p, &st);
    close(fd);
    return rc;
}

int unix_socket_probe(const struct addr *at)
{
    struct safe_path p;
    if (!unix_socket_has_file(at))
        return 0; /* bind(2) reports the error */
    int rc = place_open(&p, at);
    if (rc < 0)
        return rc;
    rc = unix_socket_clear(&p, at, NULL, false);
    safe_path_close(&p);
    return rc;
}

/* ---- bound ---- */

static int bind_now(int fd, const struct addr *at, unsigned mode)
{
    mode_t before = 0;
    if (mode != 0 && fchmod(fd, mode) == -1) /* the file gets this mode, less the umask */
        return -errno;
    if (mode != 0)
        before = umask(0777 & ~(mode_t)mode);
    int rc = bind(fd, &at->sa, at->len) == -1 ? -errno : 0;
    if (mode != 0)
        (void)umask(before);
    return rc;
}

static int bind_at(int fd, const struct safe_path *p, const struct addr *at, unsigned mode,
                   const struct unix_owner *owner)
{
    const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
    struct addr to;
    int rc = address_of(p, at, &to);
    if (rc < 0)
        return rc;
    for (int tries = 0; tries < TRIES; tries++) {
        rc = bind_now(fd, &to, mode);
        if (rc != -EADDRINUSE)
            return rc;
        rc = unix_socket_clear(p, at, owner, true);
        if (rc < 0 && rc != -EAGAIN)
            return rc;
        if (rc == -EAGAIN)
            nanosleep(&pause, NULL);
    }
    return -EADDRINUSE;
}

/* Other users of the directory may have replaced the file meanwhile; another file must not get this
 * owner. */
static int unix_socket_chown(int fd, const struct stat *st, const struct unix_owner *owner)
{
    if (!S_ISSOCK(st->st_mode) || st->st_nlink != 1 || st->st_uid != geteuid())
        return -ESTALE;
    if (owner == NULL || ((owner->uid == (uid_t)-1 || owner->uid == st->st_uid) &&
                          (owner->gid == (gid_t)-1 || owner->gid == st->st_gid)))
        return 0;
    return fchownat(fd, "", owner->uid, owner->gid, AT_EMPTY_PATH) == -1 ? -errno : 0;
}

static int take_over(const struct safe_path *p, const struct unix_owner *owner,
                     struct file_id *file)
{
    struct stat st = { .st_mode = 0 };
    int fd = unix_socket_open_file(p, &st);
    if (fd < 0)
        return fd;
    int rc = unix_socket_chown(fd, &st, owner);
    if (rc == 0)
        *file = (struct file_id){ .dev = st.st_dev, .ino = st.st_ino };
    else if (rc != -ESTALE)
        (void)remove_if_same(p, &st);
    close(fd);
    return rc;
}

int unix_socket_bind(int fd, const struct addr *at, unsigned mode, const struct unix_owner *owner,
                     struct file_id *file)
{
    struct safe_path p;
    *file = (struct file_id){ .ino = 0 };
    if (!unix_socket_has_file(at))
        return bind(fd, &at->sa, at->len) == -1 ? -errno : 0;
    int rc = place_open(&p, at);
    if (rc < 0)
        return rc;
    rc = bind_at(fd, &p, at, mode, owner);
    if (rc == 0)
        rc = take_over(&p, owner, file);
    safe_path_close(&p);
    return rc;
}

/* ---- later ---- */

int unix_socket_check(const struct addr *at, const struct file_id *file)
{
    struct file_id now;
    if (!unix_socket_has_file(at))
        return 0;
    int rc = safe_file_id(at->un.sun_path, &now);
    return rc == 0 && !file_id_equal(&now, file) ? -ESTALE : rc;
}

/* fchmod(2) refuses an O_PATH descriptor. fchmodat2(2), since Linux 6.6, takes it; before, the path
 * in /proc does. */
static int change_mode(int fd, unsigned mode)
{
    char path[32];
#ifdef SYS_fchmodat2
    if (syscall(SYS_fchmodat2, fd, "", (mode_t)mode, AT_EMPTY_PATH) == 0)
        return 0;
#endif
    snprintf(path, sizeof path, BY_DESCRIPTOR "%d", fd);
    return chmod(path, mode) == -1 ? -errno : 0;
}

int unix_socket_set_mode(const struct addr *at, const struct file_id *file, unsigned mode)
{
    struct safe_path p;
    struct stat st = { .st_mode = 0 };
    if (!unix_socket_has_file(at))
        return 0;
    int rc = place_open(&p, at);
    if (rc < 0)
        return rc;
    int fd = unix_socket_open_file(&p, &st);
    rc = fd < 0 ? fd : 0;
    if (rc == 0 && (st.st_ino != file->ino || st.st_dev != file->dev))
        rc = -ESTALE;
    if (rc == 0 && (st.st_mode & 07777) != mode)
        rc = change_mode(fd, mode);
    if (fd >= 0)
        close(fd);
    safe_path_close(&p);
    return rc;
}

void unix_socket_unlink(const struct addr *at, const struct file_id *file)
{
    if (unix_socket_has_file(at))
        (void)safe_unlink(at->un.sun_path, file);
}
