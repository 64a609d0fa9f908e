/* Opens, replaces and removes files by path, also where other users may write to a directory of the
 * path. From any thread.
 *
 * zproxy may start as root, and its files may lie in directories of the user it becomes. These
 * functions walk a path directory by directory and open each one relative to the one before, so
 * that no other user can exchange a component between its check and its use. A directory is shared
 * if a user other than root and the effective user may change its entries: that user owns it, or
 * its mode lets others or a group write (root's group and the effective group do not count). Then:
 * - A symbolic link is followed only if root or the effective user owns it and the directory is not
 *   shared or has the sticky bit (/tmp), which keeps others from renaming the link. This is the
 *   rule of fs.protected_symlinks.
 * - A file in a shared directory is used only if it is a regular file with one name. */
#ifndef ZPROXY_BASE_SAFE_OPEN_H
#define ZPROXY_BASE_SAFE_OPEN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Identifies a file under any name. The kernel may give the numbers to another file once the file
 * has no name and no process has it open. */
struct file_id {
    dev_t dev;
    ino_t ino; /* 0: none */
};

/* Where a path leads: a name in a directory. A file of that name need not exist. */
struct safe_path {
    int dir;             /* O_PATH */
    struct stat dir_st;  /* of the directory */
    bool shared;         /* other users may change the entries of the directory */
    bool movable;        /* other users may rename the directory, or one above it */
    bool on_procfs;      /* the directory is on procfs, whose links the kernel makes */
    bool has_link_owner; /* the path led over links of another user, link_owner */
    uid_t link_owner;
    char name[NAME_MAX + 1];
};

enum safe_links {
    SAFE_LINKS_NONE,        /* a link in the last component is not followed */
    SAFE_LINKS_TRUSTED,     /* by the rule above */
    SAFE_LINKS_OWNER_MATCH, /* also links of another user, if that user owns the target */
};

/* Walks the path up to its last component. Returns 0 or -errno; -ELOOP: a link that must not be
 * followed, or too many links. After success the caller closes *p. */
int safe_path_open(struct safe_path *p, const char *path, enum safe_links links);
void safe_path_close(struct safe_path *p);

/* Opens /dev/null for each of the descriptors 0, 1 and 2 that is closed; call it before anything
 * else is opened. Otherwise the next file opened would become standard output and receive what is
 * printed. Descriptor 0 is opened for writing, 1 and 2 for reading, so that using them still fails.
 * Returns 0 or -errno. */
int safe_open_stdio(void);

/* Opens a file for appending, or creates it with that mode, owner and group ((uid_t)-1, (gid_t)-1:
 * unchanged). O_NONBLOCK is set, since it may be a FIFO. In a shared directory with the sticky bit
 * the file must belong to root, the effective user, `owner` or the directory's owner, as with
 * fs.protected_regular. Returns the descriptor or -errno. */
int safe_open_append(const char *path, mode_t mode, uid_t owner, gid_t group);

/* Opens an existing file for reading and writing. Returns the descriptor or -errno. */
int safe_open_update(const char *path);

/* Opens a regular file for reading, with O_NONBLOCK. A link of another user is followed if that
 * user owns its target (SymLinksIfOwnerMatch of Apache httpd). Returns the descriptor or -errno;
 * -EMEDIUMTYPE: not a regular file. */
int safe_open_read(const char *path);

/* Replaces what the path names, also a link, by a new file with that text. Returns the descriptor,
 * open for reading and writing, or -errno; -EEXIST: the path names a special file (such as
 * /dev/null) in a directory that is not shared, and was left alone. */
int safe_replace(const char *path, mode_t mode, const char *text, size_t length);

/* The identity of an open file (O_PATH will do), and of the file that a path names; a link is not
 * followed. Return 0 or -errno. */
int file_id_of(int fd, struct file_id *id);
int safe_file_id(const char *path, struct file_id *id);
bool file_id_equal(const struct file_id *a, const struct file_id *b);

/* Removes the name if the file under it is *id, which is checked directly before. The caller keeps
 * the file open, or a socket bound to it: then no other file has its numbers. Returns 0 or -errno;
 * -ESTALE: another file has that name. */
int safe_unlink(const char *path, const struct file_id *id);

/* The message for the user about an error of these functions; rc: -errno. */
const char *safe_open_strerror(int rc);

#endif
