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

/* A session from a HANDOVER_SESSIONS message. */
struct staged {
    uint64_t id;
    struct session *session; /* NULL: its progress has been received too */
};

/* A session whose TLS is still to come. */
struct awaited_tls {
    struct session *session;
    uint8_t sides; /* as session_progress.tls_sides */
};

struct handover_receiver {
    struct runtime *rt;
    struct handover_channel channel;
    struct handover_state state;
    struct staged *staged;
    size_t staged_count;
    size_t staged_capacity;
    int reached;           /* position of the last message: message_order_of() */
    struct session **late; /* sessions from HANDOVER_LATE_SESSIONS messages */
    size_t late_count;
    size_t late_capacity;
    struct awaited_tls *tls; /* in the order of their progress */
    size_t tls_count;
    size_t tls_capacity;
    size_t tls_received; /* of these sessions */
};

/* ---- sessions ---- */

static struct frontend *find_frontend(const struct runtime *rt, const struct session_setup *t)
{
    const struct generation *g = rt->current;
    if (g->number != t->generation)
        LIST_FOREACH(g, &rt->generations, in_all)
            if (g->number == t->generation)
                break;
    return g == NULL || t->listen >= g->conf->listen_count ? NULL : &g->frontend[t->listen];
}

static void close_fds(const int *fd, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fd[i] != -1)
            close(fd[i]);
}

static uint64_t now_ms(void)
{
    return handover_channel_now_us() / 1000;
}

static int refuse_session(struct handover_receiver *h, uint64_t id, const char *why)
{
    return handover_channel_refuse(&h->channel, "session %" PRIu64 ": %s", id, why);
}

/* Owns the descriptors, also on failure. Returns NULL after a refusal. */
static struct session *restore_session(struct handover_receiver *h, const struct session_setup *t,
                                       const int fd[SESSION_RECORD_SETUP_FDS])
{
    struct runtime *rt = h->rt;
    struct worker *w = rt->workers.worker[t->worker % rt->workers.active];
    struct frontend *frontend = NULL;
    struct pool *pool = NULL;
    struct server *srv = NULL;
    struct session *s = NULL;
    const char *why = session_record_check_setup(t, fd, now_ms());
    if (why == NULL && (frontend = find_frontend(rt, t)) == NULL)
        why = "its listener is unknown";
    if (why == NULL && (pool = pools_find_any(&rt->pools, t->pool)) == NULL)
        why = "its pool is unknown";
    if (why == NULL && t->has_server &&
        (srv = pool_adopt(pool, &t->server, t->server_name)) == NULL)
        why = "out of memory";
    if (why != NULL) {
        close_fds(fd, SESSION_RECORD_SETUP_FDS);
        (void)refuse_session(h, t->id, why);
        return NULL;
    }
    frontend_force_slot(frontend);
    s = session_record_restore(worker_sessions(w), frontend, pool, srv, t, fd);
    if (s == NULL)
        (void)refuse_session(h, t->id, strerror(errno));
    return s;
}

static int await_tls(struct handover_receiver *h, struct session *s, uint8_t sides)
{
    if (sides == 0)
        return 0;
    if (h->tls_count == h->tls_capacity) {
        size_t room = h->tls_capacity == 0 ? 64 : 2 * h->tls_capacity;
        struct awaited_tls *more = realloc(h->tls, room * sizeof *more);
        if (more == NULL)
            return handover_channel_refuse(&h->channel, "out of memory");
        h->tls = more;
        h->tls_capacity = room;
    }
    h->tls[h->tls_count++] = (struct awaited_tls){ s, sides };
    return 0;
}

/* Owns the descriptors, also on failure. */
static int resume_session(struct handover_receiver *h, struct session *s,
                          const struct session_progress *m,
                          const int fd[SESSION_RECORD_PROGRESS_FDS])
{
    const char *why = session_record_check_progress(s, m, fd, now_ms());
    if (why != NULL) {
        close_fds(fd, SESSION_RECORD_PROGRESS_FDS);
        return refuse_session(h, s->id, why);
    }
    int rc = session_record_resume(s, m, fd);
    if (rc == -EBADMSG)
        return refuse_session(h, s->id, "one of its pipes does not hold the bytes that it should");
    return rc < 0 ? refuse_session(h, s->id, strerror(-rc)) : await_tls(h, s, m->tls_sides);
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

static int receive_sessions(struct handover_receiver *h)
{
    struct session_setup t;
    int fd[SESSION_RECORD_SETUP_FDS];
    int rc;
    while ((rc = handover_channel_take(&h->channel, "a session", &t, sizeof t, fd,
                                       SESSION_RECORD_SETUP_FDS)) > 0) {
        struct session *s = restore_session(h, &t, fd);
        rc = s == NULL ? -EPROTO : add_staged(h, s);
        if (rc < 0)
            break;
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
    while ((rc = handover_channel_take(&h->channel, "the progress of a session", &e, sizeof e, fd,
                                       SESSION_RECORD_PROGRESS_FDS)) > 0) {
        struct staged *st = find_staged(h, e.id);
        if (st == NULL || st->session == NULL) {
            close_fds(fd, SESSION_RECORD_PROGRESS_FDS);
            return refuse_session(h, e.id, "progress of an unknown session, or a second time");
        }
        if ((rc = resume_session(h, st->session, &e.progress, fd)) < 0)
            break;
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
        struct session *s = restore_session(h, &e.setup, fd);
        rc = s == NULL ? -EPROTO : add_late(h, s);
        if (rc < 0) {
            close_fds(fd + SESSION_RECORD_SETUP_FDS, SESSION_RECORD_PROGRESS_FDS);
            break;
        }
        if ((rc = resume_session(h, s, &e.progress, fd + SESSION_RECORD_SETUP_FDS)) < 0)
            break;
    }
    return rc;
}

static int restore_tls(struct handover_receiver *h, const struct session_tls *e)
{
    struct awaited_tls *a = &h->tls[h->tls_received];
    if (h->tls_received == h->tls_count || a->session->id != e->id || (a->sides & e->side) == 0)
        return refuse_session(h, e->id, "TLS that is not expected");
    const char *why = session_record_check_tls(a->session, e);
    if (why == NULL && session_record_set_tls(a->session, e) < 0)
        why = "out of memory";
    if (why != NULL)
        return refuse_session(h, e->id, why);
    a->sides &= (uint8_t)~e->side;
    h->tls_received += a->sides == 0;
    return 0;
}

static int receive_tls(struct handover_receiver *h)
{
    struct session_tls e;
    int rc;
    while ((rc = handover_channel_take(&h->channel, "TLS of a session", &e, sizeof e, NULL, 0)) > 0)
        if ((rc = restore_tls(h, &e)) < 0)
            break;
    explicit_bzero(&e, sizeof e);
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

/* Sessions that wait for a server are queued in the order of their ids, before new ones. */
static void queue_waiting(struct handover_receiver *h)
{
    for (size_t i = 0; i < h->late_count; i++)
        session_requeue(h->late[i]);
}

/* A staged session without progress has ended in the old process. */
static void discard_ended(struct handover_receiver *h)
{
    for (size_t i = 0; i < h->staged_count; i++)
        if (h->staged[i].session != NULL)
            session_record_discard(h->staged[i].session);
}

/* ---- the sequence ---- */

static int sort_staged(struct handover_receiver *h)
{
    if (h->staged_count > 0)
        qsort(h->staged, h->staged_count, sizeof *h->staged, compare_staged);
    for (size_t i = 1; i < h->staged_count; i++)
        if (h->staged[i].id == h->staged[i - 1].id)
            return refuse_session(h, h->staged[i].id, "its id is used twice");
    return 0;
}

/* Everything that can fail is done here, while the old process still relays: threads are made for
 * the workers too. */
static int receive_prepared(struct handover_receiver *h)
{
    int rc = handover_channel_expect_end(&h->channel);
    if (rc == 0)
        rc = handover_state_apply_configs(&h->state);
    if (rc == 0)
        rc = handover_state_finish(&h->state);
    if (rc < 0)
        return rc;
    rc = workers_spawn(&h->rt->workers);
    if (rc < 0)
        return handover_channel_refuse(&h->channel, "workers: %s", strerror(-rc));
    rc = sort_staged(h);
    return rc < 0 ? rc : handover_channel_send(&h->channel, HANDOVER_ACCEPT);
}

/* Ids must be unique and not above the last one given: new sessions continue from that. */
static int check_session_ids(struct handover_receiver *h)
{
    uint64_t last = atomic_load_explicit(&h->rt->last_session_id, memory_order_relaxed);
    uint64_t highest = h->staged_count == 0 ? 0 : h->staged[h->staged_count - 1].id;
    sort_late(h);
    for (size_t i = 0; i < h->late_count; i++)
        if (find_staged(h, h->late[i]->id) != NULL ||
            (i > 0 && h->late[i]->id == h->late[i - 1]->id))
            return refuse_session(h, h->late[i]->id, "its id is used twice");
    if (h->late_count > 0 && h->late[h->late_count - 1]->id > highest)
        highest = h->late[h->late_count - 1]->id;
    return highest > last ? refuse_session(h, highest, "its id has not been given yet") : 0;
}

/* The old process's TAKEN_OVER must be awaited: without it that process continues after its
 * timeout, and both would use the sessions. */
static int take_ownership(struct handover_receiver *h)
{
    int rc = handover_channel_expect_end(&h->channel);
    if (rc == 0 && h->tls_received < h->tls_count)
        rc = refuse_session(h, h->tls[h->tls_received].session->id, "its TLS is missing");
    if (rc == 0)
        rc = check_session_ids(h);
    if (rc == 0)
        rc = handover_channel_send(&h->channel, HANDOVER_TAKEN_OVER);
    if (rc < 0)
        return rc;
    if (handover_channel_receive(&h->channel) < 0 ||
        h->channel.message->type != HANDOVER_TAKEN_OVER)
        return handover_channel_refuse(&h->channel, "the old program did not give them up");
    discard_ended(h);
    queue_waiting(h);
    return 1;
}

/* The position of a type in the sequence, from 1, and whether there may be only one such message;
 * 0: the old process does not send it. */
struct message_order {
    int at;
    bool once;
};

static struct message_order message_order_of(enum handover_message_type type, int reached)
{
    switch (type) {
    case HANDOVER_OFFER: /* the first message, and again while the workers are paused */
        return (struct message_order){ reached == 0 ? 1 : 14, true };
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
    case HANDOVER_POOLS:
        return (struct message_order){ 8, false };
    case HANDOVER_SESSIONS:
        return (struct message_order){ 9, false };
    case HANDOVER_PREPARED:
        return (struct message_order){ 10, true };
    case HANDOVER_PROGRESS:
        return (struct message_order){ 11, false };
    case HANDOVER_LATE_SESSIONS:
        return (struct message_order){ 12, false };
    case HANDOVER_TLS:
        return (struct message_order){ 13, false };
    case HANDOVER_COMPLETE:
        return (struct message_order){ 15, true };
    case HANDOVER_ACCEPT:
    case HANDOVER_REFUSE:
    case HANDOVER_TAKEN_OVER:
    case HANDOVER_STAYING:
    case HANDOVER_LOG_LOSS:
        break;
    }
    return (struct message_order){ 0, true };
}

/* Positions never decrease. Required are, in this order: the counters, a configuration, PREPARED,
 * the counters again, COMPLETE. */
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
        fits = fits && (t.at != 15 || h->reached == 14);
    if (fits)
        h->reached = t.at;
    return fits;
}

/* Returns 1 when this process owns everything. */
static int receive_one(struct handover_receiver *h)
{
    int rc;
    if (!is_in_order(h))
        return handover_channel_refuse(&h->channel, "message \"%s\" out of order",
                                       handover_message_type_name(h->channel.message->type));
    switch ((enum handover_message_type)h->channel.message->type) {
    case HANDOVER_SESSIONS:
        rc = handover_state_apply_configs(&h->state);
        return rc < 0 ? rc : receive_sessions(h);
    case HANDOVER_PREPARED:
        return receive_prepared(h);
    case HANDOVER_PROGRESS:
        return receive_progress(h);
    case HANDOVER_LATE_SESSIONS:
        return receive_late(h);
    case HANDOVER_TLS:
        return receive_tls(h);
    case HANDOVER_COMPLETE:
        return take_ownership(h);
    default:
        return handover_state_receive(&h->state);
    }
}

/* Receives without a timeout: the old process has one and kills this process when it expires. If
 * this process gave up by itself, the old one might end at the same time, and the sessions with
 * both. */
static int receive_all(struct handover_receiver *h)
{
    int rc = handover_channel_send_text(&h->channel, HANDOVER_ACCEPT, PACKAGE_VERSION);
    while (rc == 0) {
        rc = handover_channel_receive(&h->channel);
        if (rc == 0)
            rc = receive_one(h);
    }
    return rc < 0 ? rc : 0;
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
        rc = receive_all(&h);
    if (rc < 0)
        fprintf(errors, "taking over: %s\n", h.channel.error);
    handover_state_fini(&h.state);
    free(h.staged);
    free(h.late);
    free(h.tls);
    handover_channel_fini(&h.channel);
    return rc;
}

/* ---- after the handover ---- */

static void add_log_loss(const struct handover_log_loss *e)
{
    for (int i = 0; i < LOG_NAME_COUNT; i++)
        log_add_dropped((enum log_name)i, &e->loss[i]);
}

static void take_report(struct old_process_watch *w, struct handover_message *m)
{
    struct handover_message_cursor at = { 0, 0 };
    struct handover_log_loss loss;
    struct handover_staying staying;
    if (m->type == HANDOVER_LOG_LOSS && handover_message_take(m, &at, &loss, sizeof loss, NULL, 0))
        add_log_loss(&loss);
    if (m->type == HANDOVER_STAYING &&
        handover_message_take(m, &at, &staying, sizeof staying, NULL, 0))
        *w->staying = (struct staying_sessions){ staying.pid, staying.sessions };
    handover_message_close_rest(m, &at);
}

/* A message, or the end of the old process. */
static void on_old_process(uv_poll_t *poll, int status, int events)
{
    struct old_process_watch *w = poll->data;
    struct handover_message *m = status < 0 ? NULL : malloc(sizeof *m);
    bool goes_on = m != NULL && handover_message_receive(w->sock, m, 1) == 0;
    (void)events;
    if (goes_on)
        take_report(w, m);
    free(m);
    if (goes_on)
        return;
    *w->staying = (struct staying_sessions){ 0 };
    uv_poll_stop(poll);
    uv_close((uv_handle_t *)poll, NULL);
    old_process_watch_fini(w);
}

void old_process_watch_start(struct old_process_watch *w, uv_loop_t *loop, int sock,
                             struct staying_sessions *staying)
{
    w->staying = staying;
    w->sock = sock;
    w->poll.data = w;
    if (uv_poll_init(loop, &w->poll, sock) < 0)
        old_process_watch_fini(w);
    else
        (void)uv_poll_start(&w->poll, UV_READABLE, on_old_process);
}

void old_process_watch_fini(struct old_process_watch *w)
{
    if (w->sock != -1)
        close(w->sock);
    w->sock = -1;
}
