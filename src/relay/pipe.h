/* A worker's stock of pipes for splice(2).
 *
 * A flow borrows a pipe while bytes are in flight and puts it back empty. A pipe that still has
 * bytes is never put back, but discarded. The stock is last in, first out: the pipe used last is
 * still in the cache. For the worker's thread.
 */
#ifndef ZPROXY_RELAY_PIPE_H
#define ZPROXY_RELAY_PIPE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/stats.h"

#define PIPE_PAGE 4096

struct pipe {
    SLIST_ENTRY(pipe) in_stock;
    int out;        /* read end */
    int in;         /* write end */
    uint32_t size;  /* bytes granted by the kernel */
    uint32_t slots; /* fragments that fit, of any length: pipe(7) */
    uint32_t held;  /* bytes in the pipe */
};

/* The number of pipes that all workers together may still make. */
struct pipe_quota {
    _Atomic int64_t left;
};

SLIST_HEAD(pipe_list, pipe);

struct pipe_stock {
    struct pipe_list idle;
    struct pipe_quota *quota;
    int size; /* bytes to set for each pipe (F_SETPIPE_SZ) */
    struct gauge idle_count;
    struct gauge used_count;
    struct gauge bytes; /* sum of the sizes of all pipes */
};

/* quota must outlive the stock. Pipes are made when they are first needed. */
void pipe_stock_init(struct pipe_stock *stock, struct pipe_quota *quota, int size);
/* Closes the idle pipes. All borrowed pipes must have been put back or discarded. */
void pipe_stock_fini(struct pipe_stock *stock);

/* Borrows an empty pipe. Returns NULL with errno: EAGAIN if the quota is used up, or the error of
 * pipe2(2). */
struct pipe *pipe_get(struct pipe_stock *stock);
/* Adopts a pipe with `held` bytes that came by a handover, and lends it as pipe_get() does, also
 * above the quota. fd[0] is the read end, fd[1] the write end. Returns NULL with errno, and the
 * caller keeps the descriptors: EBADMSG if they are not the two ends of one non-blocking pipe with
 * `held` bytes in it; ENOMEM. */
struct pipe *pipe_adopt(struct pipe_stock *stock, const int fd[2], uint32_t held);
/* Takes back an empty pipe. */
void pipe_put(struct pipe_stock *stock, struct pipe *p);
/* Closes a borrowed pipe; bytes in it are dropped. */
void pipe_discard(struct pipe_stock *stock, struct pipe *p);

#endif
