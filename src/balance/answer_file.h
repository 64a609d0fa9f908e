/* The file that a pool with "file" sends to each client. It is opened once; all sessions share the
 * descriptor.
 *
 * Sessions send the file that was opened, even if its name is unlinked or given to another file. If
 * the file is truncated, a session gets less than length and ends with an error.
 */
#ifndef ZPROXY_BALANCE_ANSWER_FILE_H
#define ZPROXY_BALANCE_ANSWER_FILE_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

struct answer_file {
    _Atomic uint32_t refs;
    int fd;
    off_t length; /* at open */
    char path[];
};

/* Opens a regular file with one reference. Returns NULL with errno set; EINVAL: not a regular file.
 */
struct answer_file *answer_file_open(const char *path);

/* Makes an answer file of a descriptor that was received from another process, and owns fd from
 * then on. Returns NULL when out of memory; then the caller still owns fd. */
struct answer_file *answer_file_adopt(int fd, off_t length);

/* From any thread. */
void answer_file_ref(struct answer_file *f);
void answer_file_unref(struct answer_file *f);

#endif
