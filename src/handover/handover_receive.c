#include "handover/handover_receive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
#include "handover/handover_messages.h"
#include "handover/handover_state.h"

/* A session that has been taken over as far as its terms go. */
struct staged {
    uint64_t id;
    struct session *session; /* NULL: it has its moment */
};

struct handover_receiver {
    struct runtime *rt;
    struct handover_channel channel;
    struct handover_state state;
    struct staged *staged;
    size_t staged_count;
    size_t staged_capacity;
    int reached;           /* in the order of messages */
    struct session **late; /* those that were not settled */
    size_t late_count;
    size_t late_capacity;
};

static struct frontend *handover_receive_find_frontend(const struct runtime *rt,
                                                       const struct session_setup *t)
{
    const struct generation *g = rt->current;
    if (g->number != t->generation)
        LIST_FOREACH(g, &rt->generations, in_all)
            if (g->number == t->generation)
                break;
    return g == NULL || t->listen >= g->conf->listen_count ? NULL : &g->frontend[t->listen];
}

static void handover_receive_close_fds(const int *fd, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fd[i] != -1)
            close(fd[i]);
}

static uint64_t handover_receive_now_ms(void)
{
    return handover_channel_now_us() / 1000;
}

static int refuse_session(struct handover_receiver *h, uint64_t id, const char *why)
{
    return handover_channel_refuse(&h->channel, "session %" PRIu64 ": %s", id, why);
}

/* Takes the descriptors over, also on failure. Returns NULL after a refusal. */
static struct session *handover_receive_begin(struct handover_receiver *h,
                                              const struct session_setup *t,
                                              const int fd[SESSION_RECORD_SETUP_FDS])
{
    struct runtime *rt = h->rt;
    struct worker *w = rt->workers.worker[t->worker % rt->workers.active];
    struct frontend *frontend = NULL;
    struct pool *pool = NULL;
    struct server *srv = NULL;
    struct session *s = NULL;
    const char *why = session_record_check_setup(t, fd, handover_receive_now_ms());
    if (why == NULL && (frontend = handover_receive_find_frontend(rt, t)) == NULL)
        why = "there is no such listener";
    if (why == NULL && (pool = pools_find_any(&rt->pools, t->pool)) == NULL)
        why = "there is no such pool";
    if (why == NULL && t->has_server &&
        (srv = pool_adopt(pool, &t->server, t->server_name)) == NULL)
        why = "out of memory";
    if (why != NULL) {
        handover_receive_close_fds(fd, SESSION_RECORD_SETUP_FDS);
        (void)refuse_session(h, t->id, why);
        return NULL;
    }
    frontend_force_slot(frontend);
    s = session_record_restore(worker_sessions(w), frontend, pool, srv, t, fd);
    if (s == NULL)
        (void)refuse_session(h, t->id, strerror(errno));
    return s;
}

/* Takes the descriptors over, also on failure. */
static int resume_session(struct handover_receiver *h, struct session *s,
                          const struct session_progress *m,
                          const int fd[SESSION_RECORD_PROGRESS_FDS])
{
    const char *why = session_record_check_progress(s, m, fd, handover_receive_now_ms());
    if (why != NULL) {
        handover_receive_close_fds(fd, SESSION_RECORD_PROGRESS_FDS);
        return refuse_session(h, s->id, why);
    }
    int rc = session_record_resume(s, m, fd);
    if (rc == -EBADMSG)
        return refuse_session(h, s->id, "a pipe of it does not hold what it should");
    return rc < 0 ? refuse_session(h, s->id, strerror(-rc)) : 0;
}

static int add_staged(struct handover_receiver *h, struct session *s)
{
    if (h->staged_count == h->staged_capacity) {
        size_t room = h->staged_capacity == 0 ? 1024 : 2 * h->staged_capacity;
        struct staged *more = realloc(h->staged, room * sizeof *more);
        if (more == NULL)
            return handover_channel_refuse(&h->channel, "out of memory");
        h->staged = more;
        h->staged_capacity = room;
    }
    h->staged[h->staged_count++] = (struct staged){ s->id, s };
    return 0;
}

static int receive_settled(struct handover_receiver *h)
{
    struct session_setup t;
    int fd[SESSION_RECORD_SETUP_FDS];
    int rc;
    while ((rc = handover_channel_take(&h->channel, "a session", &t, sizeof t, fd,
                                       SESSION_RECORD_SETUP_FDS)) > 0) {
        struct session *s = handover_receive_begin(h, &t, fd);
        if (s == NULL || add_staged(h, s) < 0)
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

static struct staged *find_staged(const struct handover_receiver *h, uint64_t id)
{
    const struct staged key = { .id = id };
    if (h->staged_count == 0)
        return NULL;
    return bsearch(&key, h->staged, h->staged_count, sizeof key, compare_staged);
}

static int receive_progress(struct handover_receiver *h)
{
    struct handover_progress e;
    int fd[SESSION_RECORD_PROGRESS_FDS];
    int rc;
    while ((rc = handover_channel_take(&h->channel, "the state of a session", &e, sizeof e, fd,
                                       SESSION_RECORD_PROGRESS_FDS)) > 0) {
        struct staged *st = find_staged(h, e.id);
        if (st == NULL || st->session == NULL) {
            handover_receive_close_fds(fd, SESSION_RECORD_PROGRESS_FDS);
            return refuse_session(h, e.id, "its state has come, but not the session, or twice");
        }
        if (resume_session(h, st->session, &e.moment, fd) < 0)
            return -1;
        st->session = NULL;
    }
    return rc;
}

static int add_late(struct handover_receiver *h, struct session *s)
{
    if (h->late_count == h->late_capacity) {
        size_t room = h->late_capacity == 0 ? 64 : 2 * h->late_capacity;
        struct session **more = realloc(h->late, room * sizeof(struct session *));
        if (more == NULL)
            return handover_channel_refuse(&h->channel, "out of memory");
        h->late = more;
        h->late_capacity = room;
    }
    h->late[h->late_count++] = s;
    return 0;
}

static int receive_late(struct handover_receiver *h)
{
    struct handover_late e;
    int fd[SESSION_RECORD_SETUP_FDS + SESSION_RECORD_PROGRESS_FDS];
    int rc;
    while ((rc = handover_channel_take(&h->channel, "a session", &e, sizeof e, fd,
                                       SESSION_RECORD_SETUP_FDS + SESSION_RECORD_PROGRESS_FDS)) >
           0) {
        struct session *s = handover_receive_begin(h, &e.terms, fd);
        if (s == NULL) {
            handover_receive_close_fds(fd + SESSION_RECORD_SETUP_FDS, SESSION_RECORD_PROGRESS_FDS);
            return -1;
        }
        if (add_late(h, s) < 0 ||
            resume_session(h, s, &e.moment, fd + SESSION_RECORD_SETUP_FDS) < 0)
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

static void sort_late(struct handover_receiver *h)
{
    if (h->late_count > 0)
        qsort(h->late, h->late_count, sizeof(struct session *), compare_late);
}

/* Those that wait for a place do so in the order in which all came, before any new one. */
static void queue_waiting(struct handover_receiver *h)
{
    for (size_t i = 0; i < h->late_count; i++)
        session_requeue(h->late[i]);
}

/* They have ended since their terms were sent. */
static void drop_ended(struct handover_receiver *h)
{
    for (size_t i = 0; i < h->staged_count; i++)
        if (h->staged[i].session != NULL)
            session_record_discard(h->staged[i].session);
}

/* ---- the course of it ---- */

static int receive_prepared(struct handover_receiver *h)
{
    if (handover_channel_expect_end(&h->channel) < 0 ||
        handover_state_apply_configs(&h->state) < 0 || handover_state_finish(&h->state) < 0)
        return -1;
    int rc = workers_spawn(&h->rt->workers); /* what may fail does so while the old one goes on */
    if (rc < 0)
        return handover_channel_refuse(&h->channel, "workers: %s", strerror(-rc));
    if (h->staged_count > 0)
        qsort(h->staged, h->staged_count, sizeof *h->staged, compare_staged);
    for (size_t i = 1; i < h->staged_count; i++)
        if (h->staged[i].id == h->staged[i - 1].id)
            return refuse_session(h, h->staged[i].id, "two have this number");
    return handover_channel_send(&h->channel, HANDOVER_ACCEPT);
}

/* Numbers of sessions go on behind all that have come. */
static int check_session_ids(struct handover_receiver *h)
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

static int take_ownership(struct handover_receiver *h)
{
    if (handover_channel_expect_end(&h->channel) < 0 || check_session_ids(h) < 0 ||
        handover_channel_send(&h->channel, HANDOVER_TAKEN_OVER) < 0)
        return -1;
    if (handover_channel_receive(&h->channel) < 0 ||
        h->channel.message->type != HANDOVER_TAKEN_OVER)
        return handover_channel_refuse(&h->channel, "the old program did not let go");
    drop_ended(h);
    queue_waiting(h);
    return 1;
}

/* Where each message stands in the order of all, from 1; those of some types come once. */
struct message_order {
    int at;
    bool once;
};

static struct message_order message_order_of(enum handover_message_type type, int reached)
{
    switch (type) {
    case HANDOVER_OFFER: /* the first of all, and again when nothing moves any more */
        return (struct message_order){ reached == 0 ? 1 : 13, true };
    case HANDOVER_CONFIG:
        return (struct message_order){ 2, false };
    case HANDOVER_INHERITED:
        return (struct message_order){ 3, false };
    case HANDOVER_SOCKET:
        return (struct message_order){ 4, false };
    case HANDOVER_ADMIN:
        return (struct message_order){ 5, true };
    case HANDOVER_ANSWERS:
        return (struct message_order){ 6, false };
    case HANDOVER_SERVERS:
        return (struct message_order){ 7, false };
    case HANDOVER_LISTENERS:
        return (struct message_order){ 8, false };
    case HANDOVER_SESSIONS:
        return (struct message_order){ 9, false };
    case HANDOVER_PREPARED:
        return (struct message_order){ 10, true };
    case HANDOVER_PROGRESS:
        return (struct message_order){ 11, false };
    case HANDOVER_LATE_SESSIONS:
        return (struct message_order){ 12, false };
    case HANDOVER_COMPLETE:
        return (struct message_order){ 14, true };
    case HANDOVER_ACCEPT:
    case HANDOVER_REFUSE:
    case HANDOVER_TAKEN_OVER:
    case PARCEL_LOG_LOSS:
        break;
    }
    return (struct message_order){ 0, true };
}

/* Nothing comes before what it needs: counters, a configuration, and that all was prepared. */
static bool is_in_order(struct handover_receiver *h)
{
    struct message_order t =
        message_order_of((enum handover_message_type)h->channel.message->type, h->reached);
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
static int handover_receive_one(struct handover_receiver *h)
{
    if (!is_in_order(h))
        return handover_channel_refuse(&h->channel, "message \"%s\", which does not belong here",
                                       handover_message_type_name(h->channel.message->type));
    switch ((enum handover_message_type)h->channel.message->type) {
    case HANDOVER_SESSIONS:
        return handover_state_apply_configs(&h->state) < 0 ? -1 : receive_settled(h);
    case HANDOVER_PREPARED:
        return receive_prepared(h);
    case HANDOVER_PROGRESS:
        return receive_progress(h);
    case HANDOVER_LATE_SESSIONS:
        return receive_late(h);
    case HANDOVER_COMPLETE:
        return take_ownership(h);
    default:
        return handover_state_receive(&h->state);
    }
}

/* Waits for as long as it takes: the old program ends this one when its own patience is over, or by
 * its own end. Whoever did not wait for its last word would leave the sessions to nobody. */
static int handover_receive_all(struct handover_receiver *h)
{
    int rc = handover_channel_send_text(&h->channel, HANDOVER_ACCEPT, PACKAGE_VERSION);
    while (rc == 0) {
        rc = handover_channel_receive(&h->channel);
        if (rc == 0)
            rc = handover_receive_one(h);
    }
    return rc < 0 ? -1 : 0;
}

int handover_receive_socket(void)
{
    const char *text = getenv(HANDOVER_ENVIRONMENT);
    int fd = text == NULL ? -1 : atoi(text);
    unsetenv(HANDOVER_ENVIRONMENT);
    if (fd > 2)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd > 2 ? fd : -1;
}

void handover_receive_refuse(int sock, const char *why)
{
    struct handover_channel c;
    if (handover_channel_init(&c, sock, "the old program") == 0)
        (void)handover_channel_refuse(&c, "%s", why);
    handover_channel_fini(&c);
}

int handover_receive(struct runtime *rt, int sock, struct config *file_config, FILE *errors)
{
    struct handover_receiver h = { .rt = rt };
    h.state = (struct handover_state){
        .rt = rt, .channel = &h.channel, .file_config = file_config, .errors = errors
    };
    int rc = handover_channel_init(&h.channel, sock, "the old program");
    if (rc < 0)
        (void)handover_channel_fail(&h.channel, "packing", rc);
    else
        rc = handover_receive_all(&h);
    if (rc < 0)
        fprintf(errors, "taking over: %s\n", h.channel.error);
    handover_state_fini(&h.state);
    free(h.staged);
    free(h.late);
    handover_channel_fini(&h.channel);
    return rc < 0 ? -1 : 0;
}
