/* A file that is a pool's whole answer: opened once, its descriptor shared by all sessions.
 *
 * What is sent is the file as it was opened: its name may be given to another file or to none
 * meanwhile. Only its length can shrink under a session, which the session notices.
 */
#ifndef ZPROXY_BALANCE_ANSWER_FILE_H
#define ZPROXY_BALANCE_ANSWER_FILE_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

struct answer_file {
    _Atomic uint32_t refs;
    int fd;
    off_t length; /* when it was opened */
    char path[];
};

/* Opens a regular file with one reference. NULL with errno; EINVAL: it is not a regular file. */
struct answer_file *answer_file_open(const char *path);

/* One that another process has opened. Takes fd over. NULL when out of memory: fd is the caller's.
 */
struct answer_file *answer_file_adopt(int fd, off_t length);

/* From any thread. */
void answer_file_ref(struct answer_file *f);
void answer_file_unref(struct answer_file *f);

#endif
