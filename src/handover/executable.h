/* The program that an upgrade starts: the file that is found at that time by the path of argv[0].
 * Symbolic links are followed again, and a name without a slash is searched in PATH again. If
 * argv[0] did not lead to the running program at its start, the file that was executed is used
 * (/proc/self/exe). For the control thread.
 */
#ifndef ZPROXY_HANDOVER_EXECUTABLE_H
#define ZPROXY_HANDOVER_EXECUTABLE_H

struct executable {
    char *path;      /* absolute; NULL: search name in PATH */
    char *name;      /* without a slash */
    char *directory; /* working directory at the start, for relative paths; NULL: unknown */
};

/* name: argv[0], which may be any text or NULL: the file that it leads to is compared with the
 * running one. Returns 0; -ENOENT when the program's path is unknown; or -ENOMEM. */
int executable_init(struct executable *e, const char *name);
void executable_fini(struct executable *e);

/* Sets *path, which the caller must free(). Returns 0, -ENOENT when PATH has no such program, or
 * -ENOMEM. */
int executable_find(const struct executable *e, char **path);

#endif
