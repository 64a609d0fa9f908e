#include "relay/relay_stock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "build.h"

/* At least the size of a pipe, whose bytes are read into it if the sink cannot be spliced to.
 * Copying uses only FLOW_COPY bytes of it, which fit in the cache. */
#define RELAY_STOCK_BUFFER_MIN (64 * 1024)

int relay_stock_init(struct relay_stock *stock, bool splice, struct pipe_quota *quota,
                     int pipe_size)
{
    memset(stock, 0, sizeof *stock);
    stock->splice = splice && relay_stock_can_splice();
    stock->buffer_size =
        pipe_size > RELAY_STOCK_BUFFER_MIN ? (size_t)pipe_size : RELAY_STOCK_BUFFER_MIN;
    stock->buffer = malloc(stock->buffer_size);
    if (stock->buffer == NULL)
        return -ENOMEM;
    pipe_stock_init(&stock->pipes, quota, pipe_size);
    return 0;
}

void relay_stock_fini(struct relay_stock *stock)
{
    pipe_stock_fini(&stock->pipes);
    free(stock->buffer);
}

/* The buffer is empty between two calls of a flow, so nothing in it is kept. */
static int relay_stock_grow(struct relay_stock *stock, size_t size)
{
    if (size <= stock->buffer_size)
        return 0;
    char *buffer = malloc(size);
    if (buffer == NULL)
        return -ENOMEM;
    free(stock->buffer);
    stock->buffer = buffer;
    stock->buffer_size = size;
    return 0;
}

struct pipe *relay_stock_adopt_pipe(struct relay_stock *stock, const int fd[2], uint32_t held)
{
    struct pipe *p = pipe_adopt(&stock->pipes, fd, held);
    if (p == NULL) {
        int error = errno;
        close(fd[0]);
        close(fd[1]);
        errno = error;
        return NULL;
    }
    if (relay_stock_grow(stock, held) == 0)
        return p;
    pipe_discard(&stock->pipes, p);
    errno = ENOMEM;
    return NULL;
}

bool relay_stock_can_splice(void)
{
#ifdef ZPROXY_SPLICE
    int ends[2];
    bool can = false;
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) == -1)
        return true; /* unknown: assume that it can */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd != -1) {
        /* the socket is not connected: ENOTCONN means that the kernel can splice, EINVAL or ENOSYS
         * that it cannot */
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

void relay_stock_count_fallback(struct relay_stock *stock, enum relay_fallback why, int error)
{
    static atomic_flag said[RELAY_FALLBACKS] = { ATOMIC_FLAG_INIT, ATOMIC_FLAG_INIT };
    counter_add(&stock->fallbacks[why], 1);
    if (!atomic_flag_test_and_set_explicit(&said[why], memory_order_relaxed))
        relay_stock_log_fallback(why, strerror(error));
}

void relay_stock_log_fallback(enum relay_fallback why, const char *error)
{
    struct log_line line;
    if (!log_is_enabled(LOG_LEVEL_WARNING))
        return;
    log_begin(&line, LOG_LEVEL_WARNING, "relay_fallback");
    log_str(&line, "reason", relay_fallback_name(why));
    log_str(&line, "error", error);
    log_str(&line, "msg", "bytes are copied instead of spliced; said once, counted always");
    log_end(&line);
}

void relay_stock_count_error(struct relay_stock *stock, int error)
{
    if (error == EBADMSG)
        counter_add(&stock->bad_records, 1);
}

const char *relay_fallback_name(enum relay_fallback why)
{
    switch (why) {
    case RELAY_REFUSED:
        return "refused";
    case RELAY_NO_PIPE:
        return "no_pipe";
    case RELAY_FALLBACKS:
        break;
    }
    return "unknown";
}
