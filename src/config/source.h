/* A configuration file, read whole. */
#ifndef ZPROXY_CONFIG_SOURCE_H
#define ZPROXY_CONFIG_SOURCE_H

#include <stddef.h>
#include <sys/types.h>

#define SOURCE_SIZE_MAX (4 << 20)

struct source {
    char *text; /* has no NUL byte but the one at its end */
    size_t size;
    dev_t dev; /* which file it is, by whatever name */
    ino_t ino;
};

struct source_error {
    unsigned line; /* 0: the file as a whole */
    char text[128];
};

/* Reads a regular file; never waits for a FIFO or a device. A byte order mark is left out.
 * Returns 0, or -errno with *error filled in. */
int source_read(struct source *s, const char *path, struct source_error *error);
void source_free(struct source *s);

#endif
