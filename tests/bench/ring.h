/* io_uring without its library, as much of it as the load needs. With fifty sessions at once one
 * system call serves them all, which leaves the load's core time for what it is there for. */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include <linux/io_uring.h>
#include <stdint.h>

struct ring {
    int fd;
    unsigned *sq_tail, *sq_head, *cq_head, *cq_tail;
    unsigned sq_size, sq_mask, cq_mask;
    unsigned queued; /* entries the kernel has not been told of */
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
};

/* Returns -errno where there is no io_uring, or one too old. */
int ring_init(struct ring *r);

/* An entry to fill in, zeroed. Submits the queue when it is full. */
struct io_uring_sqe *ring_next(struct ring *r);

/* Submits what is queued, waits until something has completed. */
void ring_wait(struct ring *r);

/* The next completed entry, to be given back by ring_seen(), or NULL. */
struct io_uring_cqe *ring_peek(struct ring *r);
void ring_seen(struct ring *r);

#endif
