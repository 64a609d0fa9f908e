/* A worker's stock of pipes, the vessels of splice(2).
 *
 * A flow borrows a pipe while bytes are in flight and puts it back empty; a pipe that still holds
 * bytes is discarded, never put back. Last in, first out: the pipe used last is still in cache.
 */
#ifndef ZPROXY_RELAY_PIPE_H
#define ZPROXY_RELAY_PIPE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/stats.h"

struct pipe {
    SLIST_ENTRY(pipe) in_stock;
    int out;        /* read end */
    int in;         /* write end */
    uint32_t size;  /* bytes granted by the kernel */
    uint32_t slots; /* fragments it takes, however short: pipe(7) */
    uint32_t held;  /* bytes inside */
};

/* Pipes that all workers together may still make. */
struct pipe_quota {
    _Atomic int64_t left;
};

SLIST_HEAD(pipe_list, pipe);

struct pipe_stock {
    struct pipe_list idle;
    struct pipe_quota *quota;
    int size; /* bytes asked of each pipe */
    struct gauge idle_count;
    struct gauge used_count;
    struct gauge bytes; /* that all pipes together may hold */
};

/* quota must outlive the stock. Makes no pipe yet. */
void pipe_stock_init(struct pipe_stock *stock, struct pipe_quota *quota, int size);
/* Closes the idle pipes; all borrowed ones must be back. */
void pipe_stock_fini(struct pipe_stock *stock);

/* An empty pipe. NULL with errno: EAGAIN when the quota is used up, else what pipe2(2) said. */
struct pipe *pipe_get(struct pipe_stock *stock);
/* A pipe that holds so many bytes, from another process: fd[0] is its read end, fd[1] its write
 * end. The kernel is asked for its size and its content. It is borrowed, as by pipe_get(), whatever
 * the quota says. NULL with errno: EBADMSG when these are not the two ends of one non-blocking pipe
 * with so many bytes in it, ENOMEM; the descriptors are the caller's then. */
struct pipe *pipe_adopt(struct pipe_stock *stock, const int fd[2], uint32_t held);
/* Takes back an empty pipe. */
void pipe_put(struct pipe_stock *stock, struct pipe *p);
/* Closes a pipe, bytes inside are dropped. */
void pipe_discard(struct pipe_stock *stock, struct pipe *p);

#endif
