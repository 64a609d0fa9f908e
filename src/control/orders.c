#include "control/orders.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum order_kind {
    ORDER_LISTEN,
    ORDER_SERVE,
    ORDER_RELEASE,
    ORDER_CLOSE,
};

struct order {
    enum order_kind kind;
    struct socket_share *share;       /* LISTEN: the descriptor, and where the listener goes */
    struct worker_listener *listener; /* the others */
    struct service *service;
};

/* What one worker is told. */
struct order_letter {
    struct letter letter;
    sem_t *obeyed;
    size_t count;
    struct order order[];
};

struct orders {
    size_t workers;
    struct order_letter *to[];
};

/* A descriptor is at most once given to, and once taken from, a worker. */
struct orders *orders_new(size_t workers, size_t descriptors)
{
    struct orders *o = calloc(1, sizeof *o + workers * sizeof(struct order_letter *));
    if (o == NULL)
        return NULL;
    o->workers = workers;
    for (size_t i = 0; i < workers; i++) {
        o->to[i] = calloc(1, sizeof(struct order_letter) + descriptors * sizeof(struct order));
        if (o->to[i] == NULL) {
            orders_free(o);
            return NULL;
        }
    }
    return o;
}

void orders_free(struct orders *o)
{
    for (size_t i = 0; o != NULL && i < o->workers; i++)
        free(o->to[i]);
    free(o);
}

static void add(struct orders *o, size_t worker, struct order what)
{
    struct order_letter *l = o->to[worker];
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
    add(o, worker, (struct order){ .kind = ORDER_LISTEN, .share = share, .service = service });
    share->owner = worker;
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
    case ORDER_LISTEN: {
        int rc = worker_listen(w, o->share->fd, o->service, &o->share->listener);
        if (rc < 0)
            log_msg(LOG_LEVEL_ERROR, "listen", "[listen %s]: %s: clients of one socket are lost",
                    o->service->conf->name, strerror(-rc));
        break;
    }
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

/* A worker that does not run yet is told directly. The others are waited for: from then on nobody
 * is served by what was in force before, and no worker has a descriptor left that another one may
 * close. */
void orders_give(struct orders *o, struct crew *crew)
{
    sem_t obeyed;
    sem_init(&obeyed, 0, 0);
    for (size_t i = 0; i < o->workers; i++) {
        struct order_letter *l = o->to[i];
        o->to[i] = NULL;
        l->letter.run = on_letter;
        l->obeyed = &obeyed;
        if (i >= crew->started || !worker_post(crew->worker[i], &l->letter))
            on_letter(&l->letter, crew->worker[i]);
    }
    for (size_t i = 0; i < o->workers; i++)
        while (sem_wait(&obeyed) == -1) /* EINTR */
            ;
    sem_destroy(&obeyed);
}
