#include "base/safe_open.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LINKS_MAX 40 /* the limit of the kernel, path_resolution(7) */
#define TRIES_MAX 8  /* while other processes create and remove the file */
#define DIR_FLAGS (O_PATH | O_DIRECTORY | O_CLOEXEC)

/* A walk over a path. The target of a link is put in front of the rest. */
struct walk {
    struct safe_path *result;
    enum safe_links links;
    unsigned followed;
    const char *rest;
    char text[PATH_MAX];
};

/* ---- trusted users ---- */

static bool is_trusted(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

static bool is_trusted_group(gid_t gid)
{
    return gid == 0 || gid == getegid();
}

static bool is_shared(const struct stat *dir)
{
    return !is_trusted(dir->st_uid) || (dir->st_mode & S_IWOTH) != 0 ||
           ((dir->st_mode & S_IWGRP) != 0 && !is_trusted_group(dir->st_gid));
}

/* Whether other users can neither rename nor remove an entry of that owner. */
static bool is_protected(const struct safe_path *p, uid_t owner)
{
    bool sticky = (p->dir_st.st_mode & S_ISVTX) != 0 && is_trusted(p->dir_st.st_uid);
    return !p->shared || (sticky && is_trusted(owner));
}

/* ---- the walk ---- */

static bool is_procfs(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* Makes fd the current directory of the walk, which owns it from then on. */
static int walk_into(struct safe_path *p, int fd)
{
    if (p->dir != -1)
        close(p->dir);
    p->dir = fd;
    if (fstat(fd, &p->dir_st) == -1)
        return -errno;
    p->on_procfs = is_procfs(fd);
    p->shared = !p->on_procfs && is_shared(&p->dir_st);
    return 0;
}

static int walk_start(struct safe_path *p, const char *path)
{
    int fd = open(path[0] == '/' ? "/" : ".", DIR_FLAGS);
    return fd == -1 ? -errno : walk_into(p, fd);
}

/* Follows a link of another user: that user must own its target. */
static int follow_foreign_link(struct walk *w, const struct stat *link)
{
    struct safe_path *p = w->result;
    uid_t link_owner = is_trusted(link->st_uid) ? p->dir_st.st_uid : link->st_uid;
    if (w->links != SAFE_LINKS_OWNER_MATCH || is_trusted(link_owner) ||
        (p->has_link_owner && p->link_owner != link_owner))
        return -ELOOP;
    p->has_link_owner = true;
    p->link_owner = link_owner;
    return 0;
}

/* fd: the link itself, opened with O_PATH. */
static int follow_link(struct walk *w, int fd, const struct stat *link)
{
    char target[PATH_MAX];
    char text[PATH_MAX];
    int rc = 0;
    if (++w->followed > LINKS_MAX)
        return -ELOOP;
    if (!is_protected(w->result, link->st_uid) || !is_trusted(link->st_uid))
        rc = follow_foreign_link(w, link);
    ssize_t n = rc < 0 ? 0 : readlinkat(fd, "", target, sizeof target - 1);
    if (n <= 0)
        return rc < 0 ? rc : n == 0 ? -ENOENT : -errno;
    target[n] = '\0';
    if (snprintf(text, sizeof text, "%s%s%s", target, *w->rest == '\0' ? "" : "/", w->rest) >=
        (int)sizeof text)
        return -ENAMETOOLONG;
    memcpy(w->text, text, sizeof text);
    w->rest = w->text;
    return target[0] == '/' ? walk_start(w->result, target) : 0;
}

static int walk_enter_dir(struct walk *w, int fd, const struct stat *st)
{
    if (!S_ISDIR(st->st_mode)) {
        close(fd);
        return -ENOTDIR;
    }
    if (!is_protected(w->result, st->st_uid))
        w->result->movable = true;
    return walk_into(w->result, fd);
}

/* Takes the next component off the path. Returns 1 if it was the last, 0 or -errno. */
static int next_name(struct walk *w, char name[NAME_MAX + 1])
{
    w->rest += strspn(w->rest, "/");
    size_t length = strcspn(w->rest, "/");
    if (length > NAME_MAX)
        return -ENAMETOOLONG;
    if (length == 0)
        return -EISDIR;
    memcpy(name, w->rest, length);
    name[length] = '\0';
    w->rest += length;
    return *w->rest == '\0';
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Takes one step. Returns 1: the last component is reached; 0: there are more; or -errno. */
static int walk_next(struct walk *w)
{
    struct safe_path *p = w->result;
    struct stat st;
    int last = next_name(w, p->name);
    if (last < 0)
        return last;
    if (last == 1 && is_dots(p->name))
        return -EISDIR;
    if (last == 1 && (p->on_procfs || w->links == SAFE_LINKS_NONE))
        return 1;
    int fd = openat(p->dir, p->name, O_PATH | O_CLOEXEC | (p->on_procfs ? 0 : O_NOFOLLOW));
    if (fd == -1)
        return last == 1 && errno == ENOENT ? 1 : -errno;
    int rc = fstat(fd, &st) == -1 ? -errno : 0;
    if (rc == 0 && last == 0 && !S_ISLNK(st.st_mode))
        return walk_enter_dir(w, fd, &st);
    if (rc == 0)
        rc = S_ISLNK(st.st_mode) ? follow_link(w, fd, &st) : 1;
    close(fd);
    return rc;
}

int safe_path_open(struct safe_path *p, const char *path, enum safe_links links)
{
    struct walk w = { .result = p, .links = links };
    size_t length = strlen(path);
    *p = (struct safe_path){ .dir = -1 };
    if (length == 0 || length >= sizeof w.text)
        return length == 0 ? -ENOENT : -ENAMETOOLONG;
    memcpy(w.text, path, length + 1);
    w.rest = w.text;
    int rc = walk_start(p, path);
    while (rc == 0)
        rc = walk_next(&w);
    if (rc < 0)
        safe_path_close(p);
    return rc < 0 ? rc : 0;
}

void safe_path_close(struct safe_path *p)
{
    if (p->dir != -1)
        close(p->dir);
    p->dir = -1;
}

/* ---- files ---- */

int safe_open_stdio(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) != -1)
            continue;
        /* open(2) takes the lowest free number: fd, since all below it are open by now */
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) == -1)
            return -errno;
    }
    return 0;
}

/* Whether the file may be used. owner: a further trusted owner of it. Returns 0 or -errno. */
static int check_file(const struct safe_path *p, const struct stat *st, uid_t owner)
{
    if (p->has_link_owner && st->st_uid != p->link_owner)
        return -ELOOP;
    if (!p->shared)
        return 0;
    if (S_ISLNK(st->st_mode))
        return -ELOOP;
    if (!S_ISREG(st->st_mode))
        return S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL;
    if (st->st_nlink > 1)
        return -EMLINK;
    bool known = is_trusted(st->st_uid) || st->st_uid == owner || st->st_uid == p->dir_st.st_uid;
    return (p->dir_st.st_mode & S_ISVTX) != 0 && !known ? -EACCES : 0;
}

/* Checks the file before opening it, since opening a device or a FIFO may have side effects, and
 * after, since it may have been exchanged. */
static int open_file(const struct safe_path *p, int flags, uid_t owner)
{
    struct stat st;
    flags |= O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (p->on_procfs ? 0 : O_NOFOLLOW);
    if (!p->on_procfs && fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
        return -errno;
    int rc = p->on_procfs ? 0 : check_file(p, &st, owner);
    if (rc < 0)
        return rc;
    int fd = openat(p->dir, p->name, flags);
    if (fd == -1)
        return -errno;
    rc = fstat(fd, &st) == -1 ? -errno : check_file(p, &st, owner);
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

/* Calls fchown(2) only for a change: a sandbox may forbid the call. */
static int safe_chown(int fd, uid_t owner, gid_t group)
{
    struct stat st;
    if (fstat(fd, &st) == -1)
        return -errno;
    if ((owner == (uid_t)-1 || owner == st.st_uid) && (group == (gid_t)-1 || group == st.st_gid))
        return 0;
    return fchown(fd, owner, group) == -1 ? -errno : 0;
}

static int create_file(const struct safe_path *p, int flags, mode_t mode, uid_t owner, gid_t group)
{
    const int make = O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = openat(p->dir, p->name, flags | make, mode);
    int rc = fd == -1 ? -errno : safe_chown(fd, owner, group);
    if (rc == 0)
        return fd;
    if (fd != -1)
        close(fd);
    return rc;
}

static int append_once(const char *path, mode_t mode, uid_t owner, gid_t group)
{
    struct safe_path p;
    int rc = safe_path_open(&p, path, SAFE_LINKS_TRUSTED);
    if (rc < 0)
        return rc;
    rc = open_file(&p, O_WRONLY | O_APPEND, owner);
    if (rc == -ENOENT && !p.on_procfs)
        rc = create_file(&p, O_WRONLY | O_APPEND, mode, owner, group);
    safe_path_close(&p);
    return rc;
}

/* -EEXIST: another process has created it meanwhile, or it is a dangling link. */
int safe_open_append(const char *path, mode_t mode, uid_t owner, gid_t group)
{
    int rc = -EEXIST;
    for (int tries = 0; rc == -EEXIST && tries < TRIES_MAX; tries++)
        rc = append_once(path, mode, owner, group);
    return rc;
}

static int open_existing(const char *path, int flags, enum safe_links links)
{
    struct safe_path p;
    int rc = safe_path_open(&p, path, links);
    if (rc < 0)
        return rc;
    rc = open_file(&p, flags, (uid_t)-1);
    safe_path_close(&p);
    return rc;
}

int safe_open_update(const char *path)
{
    return open_existing(path, O_RDWR, SAFE_LINKS_TRUSTED);
}

/* check_file() and openat(2) return EINVAL, EISDIR and ENXIO (a unix socket) for special files. */
int safe_open_read(const char *path)
{
    struct stat st;
    int fd = open_existing(path, O_RDONLY, SAFE_LINKS_OWNER_MATCH);
    if (fd < 0)
        return fd == -EINVAL || fd == -EISDIR || fd == -ENXIO ? -EMEDIUMTYPE : fd;
    int rc = fstat(fd, &st) == -1 ? -errno : S_ISREG(st.st_mode) ? 0 : -EMEDIUMTYPE;
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

/* ---- replacing ---- */

static int write_all(int fd, const char *text, size_t length)
{
    ssize_t n = pwrite(fd, text, length, 0);
    return n == (ssize_t)length ? 0 : n == -1 ? -errno : -ENOSPC;
}

/* Whether the path names a special file, or a link to one, in a directory that is not shared. */
static bool safe_is_special(const struct safe_path *p)
{
    struct stat st;
    return !p->shared && fstatat(p->dir, p->name, &st, 0) == 0 && !S_ISREG(st.st_mode);
}

/* A former process with the same process ID may have left a file of that name: it is removed. */
static int create_temp(const struct safe_path *p, const char *temp, mode_t mode)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(p->dir, temp, flags, mode);
    if (fd == -1 && errno == EEXIST && unlinkat(p->dir, temp, 0) == 0)
        fd = openat(p->dir, temp, flags, mode);
    return fd == -1 ? -errno : fd;
}

static int safe_replace_file(const struct safe_path *p, mode_t mode, const char *text,
                             size_t length)
{
    char temp[NAME_MAX + 1];
    if (snprintf(temp, sizeof temp, "%s.%ld", p->name, (long)getpid()) >= (int)sizeof temp)
        return -ENAMETOOLONG;
    int fd = create_temp(p, temp, mode);
    if (fd < 0)
        return fd;
    int rc = write_all(fd, text, length);
    if (rc == 0 && renameat(p->dir, temp, p->dir, p->name) == -1)
        rc = -errno;
    if (rc == 0)
        return fd;
    (void)unlinkat(p->dir, temp, 0);
    close(fd);
    return rc;
}

int safe_replace(const char *path, mode_t mode, const char *text, size_t length)
{
    struct safe_path p;
    int rc = safe_path_open(&p, path, SAFE_LINKS_NONE);
    if (rc < 0)
        return rc;
    rc = safe_is_special(&p) ? -EEXIST : safe_replace_file(&p, mode, text, length);
    safe_path_close(&p);
    return rc;
}

/* ---- identity ---- */

int file_id_of(int fd, struct file_id *id)
{
    struct stat st;
    *id = (struct file_id){ .ino = 0 };
    if (fstat(fd, &st) == -1)
        return -errno;
    *id = (struct file_id){ .dev = st.st_dev, .ino = st.st_ino };
    return 0;
}

bool file_id_equal(const struct file_id *a, const struct file_id *b)
{
    return a->ino != 0 && a->ino == b->ino && a->dev == b->dev;
}

static int safe_file_id_at(const struct safe_path *p, struct file_id *id)
{
    struct stat st;
    if (fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
        return -errno;
    *id = (struct file_id){ .dev = st.st_dev, .ino = st.st_ino };
    return 0;
}

int safe_file_id(const char *path, struct file_id *id)
{
    struct safe_path p;
    *id = (struct file_id){ .ino = 0 };
    int rc = safe_path_open(&p, path, SAFE_LINKS_NONE);
    if (rc < 0)
        return rc;
    rc = safe_file_id_at(&p, id);
    safe_path_close(&p);
    return rc;
}

int safe_unlink(const char *path, const struct file_id *id)
{
    struct safe_path p;
    struct file_id now = { .ino = 0 };
    int rc = safe_path_open(&p, path, SAFE_LINKS_NONE);
    if (rc < 0)
        return rc;
    rc = safe_file_id_at(&p, &now);
    if (rc == 0 && !file_id_equal(&now, id))
        rc = -ESTALE;
    if (rc == 0 && unlinkat(p.dir, p.name, 0) == -1)
        rc = -errno;
    safe_path_close(&p);
    return rc;
}

const char *safe_open_strerror(int rc)
{
    switch (-rc) {
    case ELOOP:
        return "a symbolic link that is not followed: it leads back to itself, or another user made "
               "it or may replace it";
    case EMLINK:
        return "a hard link (the file has a second name), in a directory that other users may "
               "write to";
    case ESTALE:
        return "another file has been put in its place";
    case EMEDIUMTYPE:
        return "not a regular file";
    case EINVAL:
        return "not a regular file, in a directory that other users may write to";
    default:
        return strerror(-rc);
    }
}
