/* Files by path, also where another user may write to a directory on the way.
 *
 * zproxy may start as root, and its files may be in directories of the user it becomes. A path is
 * walked directory by directory, each opened relative to the one before, so that no step can be
 * replaced behind the one that was looked at. A directory is shared when a user other than root and
 * the effective one may change its entries: it belongs to that user, or all or a group may write to
 * it (root's group and the process's own do not count). Then:
 * - a symbolic link is followed only if root or the effective user has made it, in a directory that
 *   is not shared, or where the sticky bit keeps others from renaming it (/tmp), as
 *   fs.protected_symlinks does;
 * - a file in a shared directory is used only if it is a regular one with one name. */
#ifndef ZPROXY_BASE_SAFE_OPEN_H
#define ZPROXY_BASE_SAFE_OPEN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* A file, whatever names it has. Its numbers may be given to another file once it has no name and
 * no process has it open. */
struct file_id {
    dev_t dev;
    ino_t ino; /* 0: none */
};

/* Where a path leads: a name in a directory. There need not be such a file. */
struct safe_path {
    int dir;             /* O_PATH */
    struct stat dir_st;  /* of the directory */
    bool shared;         /* other users may change what is in it */
    bool movable;        /* other users may move the directory, or one above it */
    bool on_procfs;      /* it is procfs: links are the kernel's */
    bool has_link_owner; /* by a link of another user, which leader has made */
    uid_t link_owner;
    char name[NAME_MAX + 1];
};

enum safe_links {
    SAFE_LINKS_NONE,        /* the last name of the path is not followed */
    SAFE_LINKS_TRUSTED,     /* as said above */
    SAFE_LINKS_OWNER_MATCH, /* and those of another user, who must own what they lead to */
};

/* Returns 0 or -errno: -ELOOP: a link that is not followed, or too many. Close what was opened. */
int safe_path_open(struct safe_path *p, const char *path, enum safe_links links);
void safe_path_close(struct safe_path *p);

/* Opens a file to append to, or makes it with that mode, owner and group ((uid_t)-1, (gid_t)-1: as
 * it comes). It may be a FIFO: O_NONBLOCK is set. In a shared directory with the sticky bit it must
 * be root's, the effective user's, owner's or the directory's owner's, as fs.protected_regular has
 * it. Returns the descriptor or -errno. */
int safe_open_append(const char *path, mode_t mode, uid_t owner, gid_t group);

/* Opens a file that is there to read and write. Likewise. */
int safe_open_update(const char *path);

/* Opens a regular file to read, with O_NONBLOCK. -EMEDIUMTYPE: it is none. A link of another user
 * is followed where the file that it leads to is that user's too (in a file server:
 * SymLinksIfOwnerMatch). Likewise. */
int safe_open_read(const char *path);

/* Puts a new file with that text in place of what the path names, a link included. -EEXIST: it is
 * a special file (such as /dev/null) in a directory that is not shared, and was left alone.
 * Returns the descriptor, open to read and write, or -errno. */
int safe_replace(const char *path, mode_t mode, const char *text, size_t length);

/* What a descriptor (O_PATH will do) or a path is now, without following a link. Return 0 or
 * -errno. */
int file_id_of(int fd, struct file_id *id);
int safe_file_id(const char *path, struct file_id *id);
bool file_id_equal(const struct file_id *a, const struct file_id *b);

/* Removes the name if it is that file's: looked at directly before. While the file is open, or a
 * socket bound to it, no other file has its numbers. Returns 0 or -errno; -ESTALE: another file is
 * there. */
int safe_unlink(const char *path, const struct file_id *id);

/* What to tell the user of a failure of these functions. */
const char *safe_open_strerror(int rc);

#endif
