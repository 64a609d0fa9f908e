#include "control/orders.h"

#include <semaphore.h>
#include <stdlib.h>

enum order_kind {
    ORDER_LISTEN,
    ORDER_SERVE,
    ORDER_RELEASE,
    ORDER_CLOSE,
};

struct order {
    enum order_kind kind;
    int fd; /* LISTEN */
    struct worker_listener *listener;
    struct service *service;
};

/* What one worker is told at once. */
struct order_letter {
    struct letter letter;
    sem_t *obeyed;
    size_t count;
    struct order order[];
};

enum order_round {
    ROUND_TAKE, /* and serve */
    ROUND_GIVE,
    ROUNDS,
};

struct worker_orders {
    struct order_letter *in[ROUNDS];
};

struct orders {
    struct worker_listener **spare; /* for descriptors that are given */
    size_t spares;
    size_t workers;
    struct worker_orders to[];
};

static int make_letters(struct worker_orders *to, size_t descriptors, size_t given)
{
    const size_t room[ROUNDS] = { [ROUND_TAKE] = descriptors, [ROUND_GIVE] = given };
    int rc = 0;
    for (int i = 0; i < ROUNDS; i++) {
        to->in[i] = calloc(1, sizeof(struct order_letter) + room[i] * sizeof(struct order));
        rc = to->in[i] == NULL ? -1 : rc;
    }
    return rc;
}

static int make_listeners(struct orders *o, size_t count)
{
    o->spare = calloc(count + 1, sizeof(struct worker_listener *));
    if (o->spare == NULL)
        return -1;
    for (; o->spares < count; o->spares++)
        if ((o->spare[o->spares] = worker_listener_new()) == NULL)
            return -1;
    return 0;
}

/* A descriptor is at most once given to, and once taken from, a worker. */
struct orders *orders_new(size_t workers, size_t descriptors, size_t given)
{
    struct orders *o = calloc(1, sizeof *o + workers * sizeof(struct worker_orders));
    if (o == NULL)
        return NULL;
    int rc = make_listeners(o, given);
    for (o->workers = 0; rc == 0 && o->workers < workers; o->workers++)
        rc = make_letters(&o->to[o->workers], descriptors, given);
    if (rc == 0)
        return o;
    orders_free(o);
    return NULL;
}

void orders_free(struct orders *o)
{
    if (o == NULL)
        return;
    for (size_t i = 0; i < o->workers; i++)
        for (int round = 0; round < ROUNDS; round++)
            free(o->to[i].in[round]);
    while (o->spares > 0)
        worker_listener_free(o->spare[--o->spares]);
    free(o->spare);
    free(o);
}

static void add(struct orders *o, size_t worker, struct order what)
{
    struct order_letter *l = o->to[worker].in[what.kind == ORDER_LISTEN ? ROUND_GIVE : ROUND_TAKE];
    l->order[l->count++] = what;
}

/* About the listener that the owner has now. */
static void tell_owner(struct orders *o, const struct socket_share *share, enum order_kind kind,
                       struct service *service)
{
    if (share->owner != ORDERS_NOBODY)
        add(o, share->owner,
            (struct order){ .kind = kind, .listener = share->listener, .service = service });
}

void orders_listen(struct orders *o, size_t worker, struct socket_share *share,
                   struct service *service)
{
    share->listener = o->spare[--o->spares];
    share->owner = worker;
    add(o, worker,
        (struct order){ .kind = ORDER_LISTEN,
                        .fd = share->fd,
                        .listener = share->listener,
                        .service = service });
}

void orders_serve(struct orders *o, const struct socket_share *share, struct service *service)
{
    tell_owner(o, share, ORDER_SERVE, service);
}

void orders_release(struct orders *o, const struct socket_share *share)
{
    tell_owner(o, share, ORDER_RELEASE, NULL);
}

void orders_close(struct orders *o, const struct socket_share *share)
{
    tell_owner(o, share, ORDER_CLOSE, NULL);
}

static void obey(struct worker *w, const struct order *o)
{
    switch (o->kind) {
    case ORDER_LISTEN:
        worker_listen(w, o->listener, o->fd, o->service);
        break;
    case ORDER_SERVE:
        worker_serve(o->listener, o->service);
        break;
    case ORDER_RELEASE:
        worker_release(w, o->listener);
        break;
    case ORDER_CLOSE:
        worker_close(w, o->listener);
        break;
    }
}

static void on_letter(struct letter *letter, void *owner)
{
    struct order_letter *l = (struct order_letter *)letter; /* its first member */
    sem_t *obeyed = l->obeyed;
    for (size_t i = 0; i < l->count; i++)
        obey(owner, &l->order[i]);
    free(l);
    sem_post(obeyed);
}

/* A worker that does not run yet is told directly. */
static void send_letter(struct orders *o, size_t worker, enum order_round round, struct crew *crew,
                        sem_t *obeyed)
{
    struct order_letter *l = o->to[worker].in[round];
    o->to[worker].in[round] = NULL;
    l->letter.run = on_letter;
    l->obeyed = obeyed;
    if (worker >= crew->started || !worker_post(crew->worker[worker], &l->letter))
        on_letter(&l->letter, crew->worker[worker]);
}

/* Every worker has a letter in the first round: from then on no client is served by what was in
 * force before. */
static void give_round(struct orders *o, struct crew *crew, enum order_round round)
{
    sem_t obeyed;
    size_t sent = 0;
    sem_init(&obeyed, 0, 0);
    for (size_t i = 0; i < o->workers; i++) {
        if (round == ROUND_GIVE && o->to[i].in[round]->count == 0)
            continue;
        send_letter(o, i, round, crew, &obeyed);
        sent++;
    }
    for (size_t i = 0; i < sent; i++)
        while (sem_wait(&obeyed) == -1) /* EINTR */
            ;
    sem_destroy(&obeyed);
}

void orders_give(struct orders *o, struct crew *crew)
{
    give_round(o, crew, ROUND_TAKE);
    give_round(o, crew, ROUND_GIVE);
}
