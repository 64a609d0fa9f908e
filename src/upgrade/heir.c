#include "upgrade/heir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "upgrade/estate.h"
#include "upgrade/inventory.h"

/* A session that has been taken over as far as its terms go. */
struct staged {
    uint64_t id;
    struct session *session; /* NULL: it has its moment */
};

struct heir {
    struct runtime *rt;
    struct courier courier;
    struct inventory inventory;
    struct staged *staged;
    size_t staged_count;
    size_t staged_room;
    struct session **late; /* those that were not settled */
    size_t late_count;
    size_t late_room;
};

static struct service *find_service(const struct runtime *rt, const struct session_terms *t)
{
    const struct generation *g = rt->current;
    if (g->number != t->generation)
        LIST_FOREACH(g, &rt->generations, in_all)
            if (g->number == t->generation)
                break;
    return g == NULL || t->listen >= g->conf->listen_count ? NULL : &g->service[t->listen];
}

static struct session *begin(struct heir *h, const struct session_terms *t,
                             const int fd[RECORD_TERMS_FDS])
{
    struct runtime *rt = h->rt;
    struct worker *w = rt->crew.worker[t->worker % rt->crew.at_work];
    struct service *service = find_service(rt, t);
    struct pool *pool =
        parcel_is_text(t->pool, sizeof t->pool) ? pools_find_any(&rt->pools, t->pool) : NULL;
    struct backend *b = NULL;
    if (service == NULL || pool == NULL || fd[RECORD_CLIENT] == -1 ||
        !parcel_is_text(t->server_name, sizeof t->server_name))
        return NULL;
    if (t->has_server && (b = pool_adopt(pool, &t->server, t->server_name)) == NULL)
        return NULL;
    service_force(service);
    return record_begin(worker_sessions(w), service, pool, b, t, fd);
}

static int stage(struct heir *h, struct session *s)
{
    if (h->staged_count == h->staged_room) {
        size_t room = h->staged_room == 0 ? 1024 : 2 * h->staged_room;
        struct staged *more = realloc(h->staged, room * sizeof *more);
        if (more == NULL)
            return courier_refuse(&h->courier, "out of memory");
        h->staged = more;
        h->staged_room = room;
    }
    h->staged[h->staged_count++] = (struct staged){ s->id, s };
    return 0;
}

static int take_settled(struct heir *h)
{
    struct parcel_place at = { 0, 0 };
    int rc = 0;
    for (uint32_t i = 0; i < h->courier.parcel->count && rc == 0; i++) {
        struct session_terms t;
        int fd[RECORD_TERMS_FDS];
        if (!parcel_take(h->courier.parcel, &at, &t, sizeof t, fd, RECORD_TERMS_FDS))
            return courier_refuse(&h->courier, "a session that makes no sense");
        struct session *s = begin(h, &t, fd);
        rc = s == NULL ? courier_refuse(&h->courier, "a session cannot be taken over: %s",
                                        strerror(errno))
                       : stage(h, s);
    }
    return rc;
}

static int compare_staged(const void *a, const void *b)
{
    const struct staged *sa = a;
    const struct staged *sb = b;
    return (sa->id > sb->id) - (sa->id < sb->id);
}

static struct staged *find_staged(const struct heir *h, uint64_t id)
{
    const struct staged key = { .id = id };
    if (h->staged_count == 0)
        return NULL;
    return bsearch(&key, h->staged, h->staged_count, sizeof key, compare_staged);
}

static int take_moments(struct heir *h)
{
    struct parcel_place at = { 0, 0 };
    for (uint32_t i = 0; i < h->courier.parcel->count; i++) {
        struct estate_moment e;
        int fd[RECORD_MOMENT_FDS];
        if (!parcel_take(h->courier.parcel, &at, &e, sizeof e, fd, RECORD_MOMENT_FDS))
            return courier_refuse(&h->courier, "a session's state that makes no sense");
        struct staged *st = find_staged(h, e.id);
        if (st == NULL || st->session == NULL || record_resume(st->session, &e.moment, fd) < 0)
            return courier_refuse(&h->courier, "a session's state that fits none");
        st->session = NULL;
    }
    return 0;
}

static int note_late(struct heir *h, struct session *s)
{
    if (h->late_count == h->late_room) {
        size_t room = h->late_room == 0 ? 64 : 2 * h->late_room;
        struct session **more = realloc(h->late, room * sizeof(struct session *));
        if (more == NULL)
            return courier_refuse(&h->courier, "out of memory");
        h->late = more;
        h->late_room = room;
    }
    h->late[h->late_count++] = s;
    return 0;
}

static int take_late(struct heir *h)
{
    struct parcel_place at = { 0, 0 };
    for (uint32_t i = 0; i < h->courier.parcel->count; i++) {
        struct estate_late e;
        int fd[RECORD_TERMS_FDS + RECORD_MOMENT_FDS];
        if (!parcel_take(h->courier.parcel, &at, &e, sizeof e, fd,
                         RECORD_TERMS_FDS + RECORD_MOMENT_FDS))
            return courier_refuse(&h->courier, "a session that makes no sense");
        struct session *s = begin(h, &e.terms, fd);
        if (s == NULL || record_resume(s, &e.moment, fd + RECORD_TERMS_FDS) < 0)
            return courier_refuse(&h->courier, "a session cannot be taken over: %s",
                                  strerror(errno));
        if (note_late(h, s) < 0)
            return -1;
    }
    return 0;
}

static int compare_late(const void *a, const void *b)
{
    const struct session *const *sa = a;
    const struct session *const *sb = b;
    return ((*sa)->id > (*sb)->id) - ((*sa)->id < (*sb)->id);
}

/* Whoever waits for a place does so in the order in which all came, before anybody new. */
static void queue_up(struct heir *h)
{
    if (h->late_count > 0)
        qsort(h->late, h->late_count, sizeof(struct session *), compare_late);
    for (size_t i = 0; i < h->late_count; i++)
        session_wait_on(h->late[i]);
}

/* They have ended since their terms were sent. */
static void drop_ended(struct heir *h)
{
    for (size_t i = 0; i < h->staged_count; i++)
        if (h->staged[i].session != NULL)
            record_drop(h->staged[i].session);
}

/* ---- the course of it ---- */

static int prepared(struct heir *h)
{
    if (inventory_settle(&h->inventory) < 0)
        return -1;
    int rc = crew_recruit(&h->rt->crew); /* what may fail does so while the old one goes on */
    if (rc < 0)
        return courier_refuse(&h->courier, "workers: %s", strerror(-rc));
    if (h->staged_count > 0)
        qsort(h->staged, h->staged_count, sizeof *h->staged, compare_staged);
    return courier_say(&h->courier, PARCEL_ACCEPT);
}

static int own(struct heir *h)
{
    if (courier_say(&h->courier, PARCEL_OWN) < 0)
        return -1;
    if (courier_hear(&h->courier) < 0 || h->courier.parcel->type != PARCEL_OWN)
        return courier_refuse(&h->courier, "the old program did not let go");
    drop_ended(h);
    queue_up(h);
    return 1;
}

/* Returns 1 when all is ours. */
static int take(struct heir *h)
{
    switch ((enum parcel_type)h->courier.parcel->type) {
    case PARCEL_SETTLED:
        return inventory_settle(&h->inventory) < 0 ? -1 : take_settled(h);
    case PARCEL_PREPARED:
        return prepared(h);
    case PARCEL_MOMENTS:
        return take_moments(h);
    case PARCEL_LATE:
        return take_late(h);
    case PARCEL_ALL:
        return own(h);
    default:
        return inventory_take(&h->inventory);
    }
}

/* Waits for as long as it takes: the old program ends this one when its own patience is over, or by
 * its own end. Whoever did not wait for its last word would leave the sessions to nobody. */
static int take_all(struct heir *h)
{
    int rc = courier_say(&h->courier, PARCEL_ACCEPT);
    while (rc == 0) {
        rc = courier_hear(&h->courier);
        if (rc == 0)
            rc = take(h);
    }
    return rc < 0 ? -1 : 0;
}

int heir_socket(void)
{
    const char *text = getenv(HEIR_ENVIRONMENT);
    int fd = text == NULL ? -1 : atoi(text);
    unsetenv(HEIR_ENVIRONMENT);
    if (fd > 2)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd > 2 ? fd : -1;
}

int heir_run(struct runtime *rt, int sock, struct config *own, FILE *errors)
{
    struct heir h = { .rt = rt };
    h.inventory =
        (struct inventory){ .rt = rt, .courier = &h.courier, .own = own, .errors = errors };
    int rc = courier_init(&h.courier, sock, "the old program");
    if (rc < 0)
        (void)courier_fail(&h.courier, "packing", rc);
    else
        rc = take_all(&h);
    if (rc < 0)
        fprintf(errors, "taking over: %s\n", h.courier.error);
    inventory_fini(&h.inventory);
    free(h.staged);
    free(h.late);
    courier_fini(&h.courier);
    return rc < 0 ? -1 : 0;
}
