#include "relay/mover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "build.h"

/* No smaller than what any pipe holds: a refused one is emptied into it at once. Past the cache
 * larger is slower, so only that much of it is used for copying (FLOW_COPY). */
#define MOVER_BUFFER_MIN (64 * 1024)

int mover_init(struct mover *m, bool splice, struct pipe_quota *quota, int pipe_size)
{
    memset(m, 0, sizeof *m);
    m->splice = splice && mover_can_splice();
    m->buffer_size = pipe_size > MOVER_BUFFER_MIN ? (size_t)pipe_size : MOVER_BUFFER_MIN;
    m->buffer = malloc(m->buffer_size);
    if (m->buffer == NULL)
        return -ENOMEM;
    pipe_stock_init(&m->pipes, quota, pipe_size);
    return 0;
}

void mover_fini(struct mover *m)
{
    pipe_stock_fini(&m->pipes);
    free(m->buffer);
}

/* The buffer is empty between two calls of a flow, so nothing in it is kept. */
static int grow(struct mover *m, size_t size)
{
    if (size <= m->buffer_size)
        return 0;
    char *buffer = malloc(size);
    if (buffer == NULL)
        return -ENOMEM;
    free(m->buffer);
    m->buffer = buffer;
    m->buffer_size = size;
    return 0;
}

struct pipe *mover_adopt(struct mover *m, const int fd[2], uint32_t held)
{
    struct pipe *p = pipe_adopt(&m->pipes, fd, held);
    if (p == NULL) {
        int error = errno;
        close(fd[0]);
        close(fd[1]);
        errno = error;
        return NULL;
    }
    if (grow(m, held) == 0)
        return p;
    pipe_discard(&m->pipes, p);
    errno = ENOMEM;
    return NULL;
}

bool mover_can_splice(void)
{
#ifdef ZPROXY_SPLICE
    int ends[2];
    bool can = false;
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) == -1)
        return true; /* nothing known against it */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd != -1) {
        /* an unconnected socket: ENOTCONN from a kernel that would, EINVAL or ENOSYS if not */
        can = splice(fd, NULL, ends[1], NULL, 1, SPLICE_F_NONBLOCK) != -1 ||
              (errno != EINVAL && errno != ENOSYS && errno != EPERM);
        close(fd);
    }
    close(ends[0]);
    close(ends[1]);
    return can;
#else
    return false;
#endif
}

void mover_fell_back(struct mover *m, enum mover_fallback why, int error)
{
    static atomic_flag said[MOVER_FALLBACKS] = { ATOMIC_FLAG_INIT, ATOMIC_FLAG_INIT };
    counter_add(&m->fallbacks[why], 1);
    if (!atomic_flag_test_and_set(&said[why]))
        mover_say_fallback(why, strerror(error));
}

void mover_say_fallback(enum mover_fallback why, const char *error)
{
    struct log_line line;
    if (!log_wanted(LOG_LEVEL_WARNING))
        return;
    log_begin(&line, LOG_LEVEL_WARNING, "relay_fallback");
    log_str(&line, "reason", mover_fallback_name(why));
    log_str(&line, "error", error);
    log_str(&line, "msg", "bytes are copied instead of spliced; said once, counted always");
    log_end(&line);
}

const char *mover_fallback_name(enum mover_fallback why)
{
    switch (why) {
    case MOVER_REFUSED:
        return "refused";
    case MOVER_NO_PIPE:
        return "no_pipe";
    case MOVER_FALLBACKS:
        break;
    }
    return "unknown";
}
