#include "balance/queue.h"

#define GRANTS_MAX 256 /* slots in one visit of the queue */
#define SKIPS_MAX  64  /* sessions that have tried the servers with free slots, in one visit */

bool pool_was_tried(const struct pool_tried *tried, const struct server *srv)
{
    if (tried == NULL)
        return false;
    for (unsigned i = 0; i < tried->count; i++)
        if (tried->serial[i] == srv->serial)
            return true;
    return false;
}

/* ---- inbox ---- */

void inbox_init(struct inbox *in, void (*wake)(struct inbox *in))
{
    pthread_mutex_init(&in->lock, NULL);
    TAILQ_INIT(&in->granted);
    in->wake = wake;
}

void inbox_fini(struct inbox *in)
{
    pthread_mutex_destroy(&in->lock);
}

static void inbox_push(struct inbox *in, struct waiter *w)
{
    pthread_mutex_lock(&in->lock);
    TAILQ_INSERT_TAIL(&in->granted, w, in_list);
    in->wake(in); /* under the lock: the worker may be freed once it has taken w out */
    pthread_mutex_unlock(&in->lock);
}

struct waiter *inbox_pop(struct inbox *in)
{
    pthread_mutex_lock(&in->lock);
    struct waiter *w = TAILQ_FIRST(&in->granted);
    if (w != NULL) {
        TAILQ_REMOVE(&in->granted, w, in_list);
        w->state = WAITER_OUT;
    }
    pthread_mutex_unlock(&in->lock);
    return w;
}

/* ---- queue ---- */

void queue_init(struct queue *q)
{
    pthread_mutex_init(&q->lock, NULL);
    TAILQ_INIT(&q->waiting);
    atomic_init(&q->length, 0);
}

void queue_fini(struct queue *q)
{
    pthread_mutex_destroy(&q->lock);
}

/* seq_cst: one thread joins the queue and then looks for a slot, another frees a slot and then
 * looks at the queue; one of them sees what the other did. */
uint64_t queue_length(const struct queue *q)
{
    return atomic_load(&q->length);
}

/* A session that comes back has its place near the beginning, any other one near the end. */
static struct waiter *queue_place(const struct queue *q, const struct waiter *w)
{
    struct waiter *before = TAILQ_LAST(&q->waiting, waiter_list);
    if (before == NULL || before->since <= w->since)
        return before;
    if (!w->again) {
        while (before != NULL && before->since > w->since)
            before = TAILQ_PREV(before, waiter_list, in_list);
        return before;
    }
    struct waiter *next = TAILQ_FIRST(&q->waiting);
    while (next->since <= w->since) /* the last one is later */
        next = TAILQ_NEXT(next, in_list);
    return TAILQ_PREV(next, waiter_list, in_list);
}

static void queue_insert(struct queue *q, struct waiter *w)
{
    struct waiter *before = queue_place(q, w);
    if (before == NULL)
        TAILQ_INSERT_HEAD(&q->waiting, w, in_list);
    else
        TAILQ_INSERT_AFTER(&q->waiting, before, w, in_list);
}

bool queue_enqueue(struct queue *q, struct waiter *w, uint64_t max)
{
    pthread_mutex_lock(&q->lock);
    bool room = w->again || atomic_load_explicit(&q->length, memory_order_relaxed) < max;
    if (room) {
        w->granted = NULL;
        w->state = WAITER_QUEUED;
        queue_insert(q, w);
        atomic_fetch_add(&q->length, 1); /* seq_cst: see queue_length() */
    }
    pthread_mutex_unlock(&q->lock);
    return room;
}

static void queue_remove(struct queue *q, struct waiter *w)
{
    TAILQ_REMOVE(&q->waiting, w, in_list);
    atomic_fetch_sub_explicit(&q->length, 1, memory_order_relaxed);
}

struct server *queue_cancel(struct queue *q, struct waiter *w)
{
    struct server *granted = NULL;
    pthread_mutex_lock(&q->lock);
    if (w->state == WAITER_QUEUED) {
        queue_remove(q, w);
        w->state = WAITER_OUT;
    }
    pthread_mutex_unlock(&q->lock);
    /* only this thread takes w out of the inbox, so w is still in it */
    if (w->state == WAITER_GRANTED) {
        pthread_mutex_lock(&w->inbox->lock);
        TAILQ_REMOVE(&w->inbox->granted, w, in_list);
        w->state = WAITER_OUT;
        granted = w->granted;
        pthread_mutex_unlock(&w->inbox->lock);
    }
    return granted;
}

static struct waiter *first_for(struct queue *q, const struct server *srv)
{
    struct waiter *w;
    TAILQ_FOREACH(w, &q->waiting, in_list)
        if (!pool_was_tried(w->tried, srv))
            break;
    return w;
}

/* Lock order: the queue's lock, then the inbox's. So a waiter is always in one of the lists until
 * it is out. */
static void queue_answer(struct queue *q, struct waiter *w, struct server *granted)
{
    queue_remove(q, w);
    w->granted = granted;
    w->state = WAITER_GRANTED;
    inbox_push(w->inbox, w);
}

static bool queue_hand_over(struct queue *q, struct server *srv, bool is_free)
{
    if (queue_length(q) == 0)
        return false;
    pthread_mutex_lock(&q->lock);
    struct waiter *w = first_for(q, srv);
    bool done = w != NULL && (!is_free || server_acquire(srv, SERVER_ANY_COUNT) == SERVER_ACQUIRED);
    if (done)
        queue_answer(q, w, srv);
    pthread_mutex_unlock(&q->lock);
    return done;
}

bool queue_grant(struct queue *q, struct server *srv)
{
    return queue_hand_over(q, srv, false);
}

bool queue_offer(struct queue *q, struct server *srv)
{
    return queue_hand_over(q, srv, true);
}

bool queue_dispatch(struct queue *q, struct server *(*pick)(void *arg, const struct waiter *w),
                    void *arg)
{
    unsigned granted = 0;
    unsigned skipped = 0;
    if (queue_length(q) == 0)
        return false;
    pthread_mutex_lock(&q->lock);
    struct waiter *w = TAILQ_FIRST(&q->waiting);
    while (w != NULL && granted < GRANTS_MAX && skipped < SKIPS_MAX) {
        struct waiter *next = TAILQ_NEXT(w, in_list);
        struct server *srv = pick(arg, w);
        if (srv == NULL && w->tried == NULL)
            break;
        if (srv == NULL) {
            skipped++;
        } else {
            granted++;
            queue_answer(q, w, srv);
        }
        w = next;
    }
    pthread_mutex_unlock(&q->lock);
    return granted == GRANTS_MAX;
}

void queue_forget_tried(struct queue *q, const struct server *srv)
{
    struct waiter *w;
    if (queue_length(q) == 0)
        return;
    pthread_mutex_lock(&q->lock);
    TAILQ_FOREACH(w, &q->waiting, in_list)
        if (srv == NULL || pool_was_tried(w->tried, srv))
            w->tried = NULL;
    pthread_mutex_unlock(&q->lock);
}

void queue_reject(struct queue *q, bool (*is_hopeless)(void *arg, const struct pool_tried *tried),
                  void *arg)
{
    if (queue_length(q) == 0)
        return;
    pthread_mutex_lock(&q->lock);
    struct waiter *w = TAILQ_FIRST(&q->waiting);
    while (w != NULL) {
        struct waiter *next = TAILQ_NEXT(w, in_list);
        if (is_hopeless(arg, w->tried))
            queue_answer(q, w, NULL);
        w = next;
    }
    pthread_mutex_unlock(&q->lock);
}
