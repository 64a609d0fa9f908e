/* Sessions that wait for a place on a server: first come, first served, over all workers.
 *
 * A place that comes free is handed to the one at the head without becoming free in between, and
 * that one's worker is woken. The queue has a lock: it is taken when a session begins or ends to
 * wait, and when a place comes free while somebody waits; never on the way of a byte.
 */
#ifndef ZPROXY_BALANCE_QUEUE_H
#define ZPROXY_BALANCE_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "balance/server.h"

/* The servers that a session has tried without success, by their serials. */
struct pool_tried {
    uint16_t count;
    uint32_t serial[]; /* room for as many as there may be attempts */
};

bool pool_was_tried(const struct pool_tried *tried, const struct server *srv);

struct waiter;
TAILQ_HEAD(waiter_list, waiter);

/* Where a worker finds which of its sessions have been granted a place, or wait in vain. */
struct inbox {
    pthread_mutex_t lock;
    struct waiter_list granted;
    /* From any thread, with the lock held: there is something inside. A worker that has none of its
     * sessions in a queue or here can be freed: no other thread is within wake, or will be. */
    void (*wake)(struct inbox *in);
};

/* A session that waits; embedded in it. */
struct waiter {
    TAILQ_ENTRY(waiter) in_list; /* of the queue, then of the inbox */
    const struct pool_tried *tried;
    struct inbox *inbox;
    struct server *granted; /* the place, once it is in the inbox; NULL: it waits in vain */
    uint8_t state;          /* enum waiter_state, under the queue's lock */
};

enum waiter_state {
    WAITER_OUT,
    WAITER_QUEUED,
    WAITER_GRANTED,
};

struct queue {
    pthread_mutex_t lock;
    struct waiter_list waiting;
    _Atomic uint64_t length;
};

void inbox_init(struct inbox *in, void (*wake)(struct inbox *in));
void inbox_fini(struct inbox *in);
/* The next one that is in it, or NULL. For the inbox's thread. */
struct waiter *inbox_pop(struct inbox *in);

void queue_init(struct queue *q);
void queue_fini(struct queue *q);

uint64_t queue_length(const struct queue *q);

/* Puts w at the end, unless max wait already. */
bool queue_enqueue(struct queue *q, struct waiter *w, uint64_t max);

/* Takes w out, wherever it is. Returns the place that it had been granted meanwhile and that is
 * the caller's now, or NULL. For w's thread. */
struct server *queue_cancel(struct queue *q, struct waiter *w);

/* Hands a place on srv, which is the caller's, to the first that has not tried srv. Returns false
 * when nobody wants it: it is still the caller's. */
bool queue_grant(struct queue *q, struct server *srv);

/* The same with a place that is free: it is taken only when somebody wants it, since a session that
 * found srv full by that would wait beside a free place. */
bool queue_offer(struct queue *q, struct server *srv);

/* Sends those back who wait in vain, without a place. is_hopeless: by the servers that they have
 * tried, NULL: none. */
void queue_reject(struct queue *q, bool (*is_hopeless)(void *arg, const struct pool_tried *tried),
                  void *arg);

#endif
