#include "relay/pipe.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A burst may need many pipes for a moment; no more than this many are kept for the next one. */
#define PIPE_IDLE_MAX 64

static int pipe_quota_take(struct pipe_quota *quota)
{
    if (atomic_fetch_sub_explicit(&quota->left, 1, memory_order_relaxed) > 0)
        return 0;
    atomic_fetch_add_explicit(&quota->left, 1, memory_order_relaxed);
    return -EAGAIN;
}

static void pipe_quota_return(struct pipe_quota *quota)
{
    atomic_fetch_add_explicit(&quota->left, 1, memory_order_relaxed);
}

/* Beyond fs.pipe-user-pages-soft a new pipe has two pages and growing it fails with EPERM: what
 * the kernel granted is read back, never assumed. */
static void set_size(struct pipe *p, int wanted)
{
    int size = fcntl(p->in, F_SETPIPE_SZ, wanted);
    if (size <= 0)
        size = fcntl(p->in, F_GETPIPE_SZ);
    if (size <= 0)
        size = PIPE_PAGE;
    p->size = (uint32_t)size;
    p->slots = p->size / PIPE_PAGE;
}

static struct pipe *pipe_new(int size)
{
    int fds[2];
    struct pipe *p = malloc(sizeof *p);
    if (p == NULL)
        return NULL;
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) == -1) {
        free(p);
        return NULL;
    }
    p->out = fds[0];
    p->in = fds[1];
    p->held = 0;
    set_size(p, size);
    return p;
}

static void pipe_free(struct pipe_stock *stock, struct pipe *p)
{
    gauge_add(&stock->bytes, -(int64_t)p->size);
    close(p->in);
    close(p->out);
    free(p);
}

void pipe_stock_init(struct pipe_stock *stock, struct pipe_quota *quota, int size)
{
    SLIST_INIT(&stock->idle);
    stock->quota = quota;
    stock->size = size;
    atomic_init(&stock->idle_count.value, 0);
    atomic_init(&stock->used_count.value, 0);
    atomic_init(&stock->bytes.value, 0);
}

void pipe_stock_fini(struct pipe_stock *stock)
{
    assert(gauge_get(&stock->used_count) == 0);
    struct pipe *p;
    while ((p = SLIST_FIRST(&stock->idle)) != NULL) {
        SLIST_REMOVE_HEAD(&stock->idle, in_stock);
        gauge_add(&stock->idle_count, -1);
        pipe_free(stock, p);
        pipe_quota_return(stock->quota);
    }
}

struct pipe *pipe_get(struct pipe_stock *stock)
{
    struct pipe *p = SLIST_FIRST(&stock->idle);
    if (p != NULL) {
        SLIST_REMOVE_HEAD(&stock->idle, in_stock);
        gauge_add(&stock->idle_count, -1);
    } else {
        if (pipe_quota_take(stock->quota) < 0) {
            errno = EAGAIN;
            return NULL;
        }
        if ((p = pipe_new(stock->size)) == NULL) {
            pipe_quota_return(stock->quota);
            return NULL;
        }
        gauge_add(&stock->bytes, p->size);
    }
    gauge_add(&stock->used_count, 1);
    return p;
}

static bool pipe_is_end(int fd, int mode, struct stat *st)
{
    int flags = fcntl(fd, F_GETFL);
    return flags != -1 && (flags & O_ACCMODE) == mode && (flags & O_NONBLOCK) != 0 &&
           fstat(fd, st) == 0 && S_ISFIFO(st->st_mode);
}

/* Returns the size of the pipe with these ends, or -1 if they are not as pipe_adopt() requires. */
static int pipe_measure(const int fd[2], uint32_t held)
{
    struct stat out;
    struct stat in;
    int inside = 0;
    if (!pipe_is_end(fd[0], O_RDONLY, &out) || !pipe_is_end(fd[1], O_WRONLY, &in))
        return -1;
    if (out.st_dev != in.st_dev || out.st_ino != in.st_ino)
        return -1;
    int size = fcntl(fd[1], F_GETPIPE_SZ);
    if (ioctl(fd[0], FIONREAD, &inside) == -1 || inside <= 0 || (uint32_t)inside != held)
        return -1;
    return size >= inside ? size : -1;
}

struct pipe *pipe_adopt(struct pipe_stock *stock, const int fd[2], uint32_t held)
{
    int size = pipe_measure(fd, held);
    struct pipe *p = size == -1 ? NULL : malloc(sizeof *p);
    if (p == NULL) {
        errno = size == -1 ? EBADMSG : ENOMEM;
        return NULL;
    }
    *p = (struct pipe){ .out = fd[0],
                        .in = fd[1],
                        .size = (uint32_t)size,
                        .slots = (uint32_t)size / PIPE_PAGE,
                        .held = held };
    atomic_fetch_sub_explicit(&stock->quota->left, 1, memory_order_relaxed);
    gauge_add(&stock->bytes, size);
    gauge_add(&stock->used_count, 1);
    return p;
}

void pipe_put(struct pipe_stock *stock, struct pipe *p)
{
    assert(p->held == 0);
    if (gauge_get(&stock->idle_count) >= PIPE_IDLE_MAX) {
        pipe_discard(stock, p);
        return;
    }
    SLIST_INSERT_HEAD(&stock->idle, p, in_stock);
    gauge_add(&stock->idle_count, 1);
    gauge_add(&stock->used_count, -1);
}

void pipe_discard(struct pipe_stock *stock, struct pipe *p)
{
    pipe_free(stock, p);
    pipe_quota_return(stock->quota);
    gauge_add(&stock->used_count, -1);
}
