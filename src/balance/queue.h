/* Sessions that wait for a slot on a server of the pool: first come, first served, over all
 * workers.
 *
 * A slot that is released goes straight to the first waiting session, and the worker of that
 * session is woken. The queue has a lock. It is taken when a session starts or stops waiting, and
 * when a slot is released while sessions wait; relaying takes no lock.
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

/* The servers that a session could not connect to. */
struct pool_tried {
    uint16_t count;
    uint32_t serial[]; /* of the servers; room for one for each attempt */
};

bool pool_was_tried(const struct pool_tried *tried, const struct server *srv);

struct waiter;
TAILQ_HEAD(waiter_list, waiter);

/* The sessions of one worker whose wait is over, with a slot or without. */
struct inbox {
    pthread_mutex_t lock;
    struct waiter_list granted;
    /* A waiter was added. Called from any thread with the lock held, so that no thread is in wake()
     * once the worker has taken all of its waiters out of the queues and the inbox. */
    void (*wake)(struct inbox *in);
};

/* A waiting session; embedded in the session. */
struct waiter {
    TAILQ_ENTRY(waiter) in_list; /* of the queue, then of the inbox */
    const struct pool_tried
        *tried; /* set to NULL by queue_forget_tried(), under the queue's lock */
    struct inbox *inbox;
    uint64_t since;         /* ms, the beginning of the first wait; the queue is in this order */
    uint64_t key;           /* of the pick */
    bool again;             /* has been in the queue before: it joins even if the queue is full */
    struct server *granted; /* in the inbox: the server with the slot; NULL: no slot */
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
/* Takes the first waiter out, or returns NULL. For the worker that owns the inbox. */
struct waiter *inbox_pop(struct inbox *in);

void queue_init(struct queue *q);
void queue_fini(struct queue *q);

uint64_t queue_length(const struct queue *q);

/* Puts w behind the sessions that have waited as long or longer: at the end, unless w has been in
 * the queue before. Returns false if max sessions wait already, and w->again is false. */
bool queue_enqueue(struct queue *q, struct waiter *w, uint64_t max);

/* Takes w out of the queue or the inbox. Returns the server if a slot had been granted; the caller
 * owns the slot then. For w's thread. */
struct server *queue_cancel(struct queue *q, struct waiter *w);

/* Passes the caller's slot on srv to the first session that has not tried srv. Returns false if
 * there is none; the caller still owns the slot. */
bool queue_grant(struct queue *q, struct server *srv);

/* Acquires a free slot on srv for the first session that has not tried srv. Acquires none without
 * such a session: another session could find srv full meanwhile and wait. */
bool queue_offer(struct queue *q, struct server *srv);

/* Visits the sessions in their order and calls pick() for each, with the queue's lock held. pick()
 * acquires a slot and returns its server, which the session gets; or returns NULL. The visit ends
 * - at the first session without a slot that has tried no server: no later one can get a slot;
 * - after 64 sessions without a slot that have tried servers: the lock must not be held for long;
 * - after 256 slots, for the same reason. Then it returns true, and the caller must call again. */
bool queue_dispatch(struct queue *q, struct server *(*pick)(void *arg, const struct waiter *w),
                    void *arg);

/* Lets the sessions that have tried srv, or any server if srv is NULL, try all servers again. */
void queue_forget_tried(struct queue *q, const struct server *srv);

/* Ends the wait of each session for which is_hopeless() returns true, without a slot. tried: the
 * servers that the session has tried; NULL: none. */
void queue_reject(struct queue *q, bool (*is_hopeless)(void *arg, const struct pool_tried *tried),
                  void *arg);

#endif
