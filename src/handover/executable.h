/* The program that an upgrade starts: what is found now by the path that the running one was
 * started by. A symbolic link that points elsewhere meanwhile is followed, and a bare name is
 * looked for in PATH. Where the path tells nothing, it is the file that was executed,
 * /proc/self/exe.
 */
#ifndef ZPROXY_HANDOVER_EXECUTABLE_H
#define ZPROXY_HANDOVER_EXECUTABLE_H

struct executable {
    char *path;      /* absolute; NULL: look for the name */
    char *name;      /* without a slash */
    char *directory; /* where it was started, for relative entries of PATH; NULL: unknown */
};

/* name: argv[0]. It may be anything: what it leads to is compared with what was executed. Returns
 * 0, -ENOENT when nothing tells where the program is, or -ENOMEM. */
int executable_init(struct executable *e, const char *name);
void executable_fini(struct executable *e);

/* Sets *path to where it is now; free() it. Returns 0, -ENOENT when it is nowhere, or -ENOMEM. */
int executable_find(const struct executable *e, char **path);

#endif
