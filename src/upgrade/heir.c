#include "upgrade/heir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
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
    int reached;           /* in the order of messages */
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

static void close_all(const int *fd, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fd[i] != -1)
            close(fd[i]);
}

static uint64_t now_of(void)
{
    return courier_clock() / 1000;
}

static int refuse_session(struct heir *h, uint64_t id, const char *why)
{
    return courier_refuse(&h->courier, "session %" PRIu64 ": %s", id, why);
}

/* Takes the descriptors over, also on failure. Returns NULL after a refusal. */
static struct session *begin(struct heir *h, const struct session_terms *t,
                             const int fd[RECORD_TERMS_FDS])
{
    struct runtime *rt = h->rt;
    struct worker *w = rt->crew.worker[t->worker % rt->crew.at_work];
    struct service *service = NULL;
    struct pool *pool = NULL;
    struct backend *b = NULL;
    struct session *s = NULL;
    const char *why = record_check_terms(t, fd, now_of());
    if (why == NULL && (service = find_service(rt, t)) == NULL)
        why = "there is no such listener";
    if (why == NULL && (pool = pools_find_any(&rt->pools, t->pool)) == NULL)
        why = "there is no such pool";
    if (why == NULL && t->has_server && (b = pool_adopt(pool, &t->server, t->server_name)) == NULL)
        why = "out of memory";
    if (why != NULL) {
        close_all(fd, RECORD_TERMS_FDS);
        (void)refuse_session(h, t->id, why);
        return NULL;
    }
    service_force(service);
    s = record_begin(worker_sessions(w), service, pool, b, t, fd);
    if (s == NULL)
        (void)refuse_session(h, t->id, strerror(errno));
    return s;
}

/* Takes the descriptors over, also on failure. */
static int resume(struct heir *h, struct session *s, const struct session_moment *m,
                  const int fd[RECORD_MOMENT_FDS])
{
    const char *why = record_check_moment(s, m, fd, now_of());
    if (why != NULL) {
        close_all(fd, RECORD_MOMENT_FDS);
        return refuse_session(h, s->id, why);
    }
    int rc = record_resume(s, m, fd);
    if (rc == -EBADMSG)
        return refuse_session(h, s->id, "a pipe of it does not hold what it should");
    return rc < 0 ? refuse_session(h, s->id, strerror(-rc)) : 0;
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
    struct session_terms t;
    int fd[RECORD_TERMS_FDS];
    int rc;
    while ((rc = courier_take(&h->courier, "a session", &t, sizeof t, fd, RECORD_TERMS_FDS)) > 0) {
        struct session *s = begin(h, &t, fd);
        if (s == NULL || stage(h, s) < 0)
            return -1;
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
    struct estate_moment e;
    int fd[RECORD_MOMENT_FDS];
    int rc;
    while ((rc = courier_take(&h->courier, "the state of a session", &e, sizeof e, fd,
                              RECORD_MOMENT_FDS)) > 0) {
        struct staged *st = find_staged(h, e.id);
        if (st == NULL || st->session == NULL) {
            close_all(fd, RECORD_MOMENT_FDS);
            return refuse_session(h, e.id, "its state has come, but not the session, or twice");
        }
        if (resume(h, st->session, &e.moment, fd) < 0)
            return -1;
        st->session = NULL;
    }
    return rc;
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
    struct estate_late e;
    int fd[RECORD_TERMS_FDS + RECORD_MOMENT_FDS];
    int rc;
    while ((rc = courier_take(&h->courier, "a session", &e, sizeof e, fd,
                              RECORD_TERMS_FDS + RECORD_MOMENT_FDS)) > 0) {
        struct session *s = begin(h, &e.terms, fd);
        if (s == NULL) {
            close_all(fd + RECORD_TERMS_FDS, RECORD_MOMENT_FDS);
            return -1;
        }
        if (note_late(h, s) < 0 || resume(h, s, &e.moment, fd + RECORD_TERMS_FDS) < 0)
            return -1;
    }
    return rc;
}

static int compare_late(const void *a, const void *b)
{
    const struct session *const *sa = a;
    const struct session *const *sb = b;
    return ((*sa)->id > (*sb)->id) - ((*sa)->id < (*sb)->id);
}

static void sort_late(struct heir *h)
{
    if (h->late_count > 0)
        qsort(h->late, h->late_count, sizeof(struct session *), compare_late);
}

/* Those that wait for a place do so in the order in which all came, before any new one. */
static void queue_up(struct heir *h)
{
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
    if (courier_take_none(&h->courier) < 0 || inventory_settle(&h->inventory) < 0 ||
        inventory_finish(&h->inventory) < 0)
        return -1;
    int rc = crew_recruit(&h->rt->crew); /* what may fail does so while the old one goes on */
    if (rc < 0)
        return courier_refuse(&h->courier, "workers: %s", strerror(-rc));
    if (h->staged_count > 0)
        qsort(h->staged, h->staged_count, sizeof *h->staged, compare_staged);
    for (size_t i = 1; i < h->staged_count; i++)
        if (h->staged[i].id == h->staged[i - 1].id)
            return refuse_session(h, h->staged[i].id, "two have this number");
    return courier_say(&h->courier, PARCEL_ACCEPT);
}

/* Numbers of sessions go on behind all that have come. */
static int check_numbers(struct heir *h)
{
    uint64_t last = atomic_load(&h->rt->last_session_id);
    uint64_t highest = h->staged_count == 0 ? 0 : h->staged[h->staged_count - 1].id;
    sort_late(h);
    for (size_t i = 0; i < h->late_count; i++)
        if (find_staged(h, h->late[i]->id) != NULL ||
            (i > 0 && h->late[i]->id == h->late[i - 1]->id))
            return refuse_session(h, h->late[i]->id, "two have this number");
    if (h->late_count > 0 && h->late[h->late_count - 1]->id > highest)
        highest = h->late[h->late_count - 1]->id;
    return highest > last ? refuse_session(h, highest, "its number has not been given yet") : 0;
}

static int own(struct heir *h)
{
    if (courier_take_none(&h->courier) < 0 || check_numbers(h) < 0 ||
        courier_say(&h->courier, PARCEL_OWN) < 0)
        return -1;
    if (courier_hear(&h->courier) < 0 || h->courier.parcel->type != PARCEL_OWN)
        return courier_refuse(&h->courier, "the old program did not let go");
    drop_ended(h);
    queue_up(h);
    return 1;
}

/* Where each message stands in the order of all, from 1; those of some types come once. */
struct turn {
    int at;
    bool once;
};

static struct turn turn_of(enum parcel_type type, int reached)
{
    switch (type) {
    case PARCEL_OFFER: /* the first of all, and again when nothing moves any more */
        return (struct turn){ reached == 0 ? 1 : 13, true };
    case PARCEL_CONFIG:
        return (struct turn){ 2, false };
    case PARCEL_HANDED:
        return (struct turn){ 3, false };
    case PARCEL_SOCKET:
        return (struct turn){ 4, false };
    case PARCEL_ADMIN:
        return (struct turn){ 5, true };
    case PARCEL_ANSWERS:
        return (struct turn){ 6, false };
    case PARCEL_SERVERS:
        return (struct turn){ 7, false };
    case PARCEL_ENTRANCE:
        return (struct turn){ 8, false };
    case PARCEL_SETTLED:
        return (struct turn){ 9, false };
    case PARCEL_PREPARED:
        return (struct turn){ 10, true };
    case PARCEL_MOMENTS:
        return (struct turn){ 11, false };
    case PARCEL_LATE:
        return (struct turn){ 12, false };
    case PARCEL_ALL:
        return (struct turn){ 14, true };
    case PARCEL_ACCEPT:
    case PARCEL_REFUSE:
    case PARCEL_OWN:
    case PARCEL_LOG_LOSS:
        break;
    }
    return (struct turn){ 0, true };
}

/* Nothing comes before what it needs: counters, a configuration, and that all was prepared. */
static bool is_its_turn(struct heir *h)
{
    struct turn t = turn_of((enum parcel_type)h->courier.parcel->type, h->reached);
    bool fits = t.at > h->reached || (t.at == h->reached && !t.once);
    if (h->reached == 0)
        fits = t.at == 1;
    else if (h->reached == 1)
        fits = t.at == 2;
    else if (h->reached < 10)
        fits = fits && t.at <= 10;
    else
        fits = fits && (t.at != 14 || h->reached == 13);
    if (fits)
        h->reached = t.at;
    return fits;
}

/* Returns 1 when all is ours. */
static int take(struct heir *h)
{
    if (!is_its_turn(h))
        return courier_refuse(&h->courier, "message \"%s\", which does not belong here",
                              parcel_type_name(h->courier.parcel->type));
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
    int rc = courier_say_text(&h->courier, PARCEL_ACCEPT, PACKAGE_VERSION);
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

void heir_refuse(int sock, const char *why)
{
    struct courier c;
    if (courier_init(&c, sock, "the old program") == 0)
        (void)courier_refuse(&c, "%s", why);
    courier_fini(&c);
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
