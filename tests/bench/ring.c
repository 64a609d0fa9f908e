#include "ring.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRIES 4096

static void *map(int fd, size_t size, off_t offset)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);

    return p == MAP_FAILED ? NULL : p;
}

int ring_init(struct ring *r)
{
    struct io_uring_params p = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        .cq_entries = 8 * ENTRIES,
    };
    char *sq, *cq;
    int rc;

    if ((r->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &p)) == -1)
        return -errno;
    sq = map(r->fd, p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
    cq = map(r->fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
    r->sqes = map(r->fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    if (sq == NULL || cq == NULL || r->sqes == NULL) {
        rc = -errno;
        close(r->fd);
        return rc;
    }
    r->sq_head = (unsigned *)(void *)(sq + p.sq_off.head);
    r->sq_tail = (unsigned *)(void *)(sq + p.sq_off.tail);
    r->cq_head = (unsigned *)(void *)(cq + p.cq_off.head);
    r->cq_tail = (unsigned *)(void *)(cq + p.cq_off.tail);
    r->cqes = (struct io_uring_cqe *)(void *)(cq + p.cq_off.cqes);
    r->sq_size = p.sq_entries;
    r->sq_mask = p.sq_entries - 1;
    r->cq_mask = p.cq_entries - 1;
    r->queued = 0;
    unsigned *order = (unsigned *)(void *)(sq + p.sq_off.array);
    for (unsigned i = 0; i < p.sq_entries; i++)
        order[i] = i;
    return 0;
}

static void enter(struct ring *r, unsigned wait)
{
    long n = syscall(SYS_io_uring_enter, r->fd, r->queued, wait, IORING_ENTER_GETEVENTS, NULL, 0);

    if (n > 0)
        r->queued -= (unsigned)n;
}

struct io_uring_sqe *ring_next(struct ring *r)
{
    struct io_uring_sqe *sqe;

    while (r->queued == r->sq_size)
        enter(r, 0);
    sqe = &r->sqes[*r->sq_tail & r->sq_mask];
    memset(sqe, 0, sizeof(*sqe));
    __atomic_store_n(r->sq_tail, *r->sq_tail + 1, __ATOMIC_RELEASE);
    r->queued++;
    return sqe;
}

void ring_wait(struct ring *r)
{
    enter(r, ring_peek(r) == NULL);
}

struct io_uring_cqe *ring_peek(struct ring *r)
{
    unsigned head = *r->cq_head;

    if (head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE))
        return NULL;
    return &r->cqes[head & r->cq_mask];
}

void ring_seen(struct ring *r)
{
    __atomic_store_n(r->cq_head, *r->cq_head + 1, __ATOMIC_RELEASE);
}
