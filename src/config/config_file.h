/* A configuration file, read whole. */
#ifndef ZPROXY_CONFIG_CONFIG_FILE_H
#define ZPROXY_CONFIG_CONFIG_FILE_H

#include <stddef.h>
#include <sys/types.h>

#define CONFIG_FILE_SIZE_MAX (4 << 20)

struct config_file {
    char *text; /* has no NUL byte but the one at its end */
    size_t size;
    dev_t dev; /* which file it is, by whatever name */
    ino_t ino;
};

struct config_file_error {
    unsigned line; /* 0: the file as a whole */
    char text[128];
};

/* Reads a regular file; never waits for a FIFO or a device. A byte order mark is left out.
 * Returns 0, or -errno with *error filled in. */
int config_file_read(struct config_file *s, const char *path, struct config_file_error *error);
void config_file_free(struct config_file *s);

#endif
