#include "session/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session/connect.h"
#include "session/ends.h"
#include "session/life.h"
#include "session/preread_info.h"

/* ---- leaving ---- */

bool record_is_settled(const struct session *s)
{
    return s->state == SESSION_RELAYING || s->state == SESSION_ANSWERING;
}

static void copy_name(char *to, size_t size, const char *name)
{
    size_t len = strnlen(name, size - 1);
    memcpy(to, name, len);
    to[len] = '\0';
}

void record_terms(const struct session *s, struct session_terms *t, int fd[RECORD_TERMS_FDS])
{
    memset(t, 0, sizeof *t);
    t->id = s->id;
    t->began = s->began;
    t->client = s->client_addr;
    copy_name(t->pool, sizeof t->pool, pool_name(s->pool));
    fd[RECORD_CLIENT] = s->client.fd;
    fd[RECORD_SERVER] = s->server.fd;
    fd[RECORD_FILE] = -1;
    if (s->backend != NULL) {
        t->has_server = 1;
        t->server = s->backend->addr;
        copy_name(t->server_name, sizeof t->server_name, backend_name(s->backend));
    }
    t->admitted = s->admitted;
    t->name_hash = s->name_hash;
    if (s->learned != NULL) {
        t->has_learned = 1;
        t->peer = s->learned->peer;
        t->destination = s->learned->destination;
    }
    t->queued_ms = s->queued_ms;
    if (s->wait != NULL)
        t->queued_ms += (uint32_t)(life_now(s) - s->wait->began);
    if (s->preread != NULL) {
        t->preread_ms = s->preread->ms;
        copy_name(t->hello_name, sizeof t->hello_name, s->preread->text);
        copy_name(t->hello_alpn, sizeof t->hello_alpn, s->preread->alpn);
    }
    if (s->file != NULL) {
        t->has_file = 1;
        t->file_length = s->file->length;
        fd[RECORD_FILE] = s->file->fd;
    }
}

static void flow_moment(const struct flow *f, struct flow_moment *m, int fd[2])
{
    m->bytes = f->bytes;
    m->state = f->state;
    m->copy = f->copy;
    m->mark_passed = f->mark_passed;
    fd[0] = fd[1] = -1;
    if (f->pipe == NULL)
        return;
    m->held = f->pipe->held;
    fd[0] = f->pipe->out;
    fd[1] = f->pipe->in;
}

void record_moment(const struct session *s, struct session_moment *m, int fd[RECORD_MOMENT_FDS])
{
    memset(m, 0, sizeof *m);
    m->connected = s->connected;
    m->active = s->active;
    m->wait_until = s->wait_until;
    m->attempts = s->attempts;
    m->pool_attempts = s->pool_attempts;
    m->state = s->state;
    m->first_fin = s->first_fin;
    m->failure = s->failure;
    m->up_ended = s->up_ended;
    m->down_ended = s->down_ended;
    flow_moment(&s->up, &m->up, &fd[RECORD_UP_OUT]);
    flow_moment(&s->down, &m->down, &fd[RECORD_DOWN_OUT]);
}

/* ---- arriving ---- */

static void close_all(const int *fd, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fd[i] != -1)
            close(fd[i]);
}

static int open_sides(struct session *s, const int fd[RECORD_TERMS_FDS])
{
    struct sessions *all = s->home;
    const struct addr_peer *peer = s->learned != NULL ? &s->learned->peer : &s->client_addr;
    bool client_tcp = peer->sa.sa_family != AF_UNIX;
    int rc =
        side_open(&s->client, fd[RECORD_CLIENT], client_tcp, all->poller, all->on_client_event);
    if (rc == 0 && fd[RECORD_SERVER] != -1)
        rc = connect_watch(s, fd[RECORD_SERVER]);
    return rc;
}

static int take_file(struct session *s, const struct session_terms *t,
                     const int fd[RECORD_TERMS_FDS])
{
    if (!t->has_file)
        return 0;
    s->file = answer_file_adopt(fd[RECORD_FILE], t->file_length);
    return s->file == NULL ? -ENOMEM : 0;
}

static int take_learned(struct session *s, const struct session_terms *t)
{
    if (!t->has_learned)
        return 0;
    s->learned = malloc(sizeof *s->learned);
    if (s->learned == NULL)
        return -ENOMEM;
    *s->learned = (struct learned){ t->peer, t->destination };
    return 0;
}

/* It was let in: that is not asked again. */
static int count_client(struct session *s, const struct session_terms *t)
{
    const struct quota *q = s->service->quota;
    if (t->admitted && q != NULL && !limits_adopt(q->limits, &s->client_addr, life_now(s)))
        return -ENOMEM;
    s->admitted = t->admitted != 0;
    return 0;
}

struct session *record_begin(struct sessions *all, struct service *service, struct pool *pool,
                             struct backend *backend, const struct session_terms *t,
                             const int fd[RECORD_TERMS_FDS])
{
    struct session *s = session_new(all, service);
    if (s == NULL) {
        close_all(fd, RECORD_TERMS_FDS);
        return NULL;
    }
    s->id = t->id;
    s->began = t->began;
    s->client_addr = t->client;
    s->backend = backend;
    s->inherited = true;
    s->state = SESSION_PAUSING; /* until it has its moment */
    s->wait_until = WHEEL_NEVER;
    connect_enter(s, pool);
    s->name_hash = t->name_hash;
    s->queued_ms = t->queued_ms;
    s->preread = preread_info_copy(t->preread_ms, t->hello_name, t->hello_alpn);
    int rc = take_learned(s, t);
    if (rc == 0)
        rc = count_client(s, t);
    if (rc == 0)
        rc = open_sides(s, fd);
    if (rc == 0)
        rc = take_file(s, t, fd);
    if (rc == 0)
        return s;
    s->client.fd = s->server.fd = -1;
    close_all(fd, RECORD_TERMS_FDS);
    record_drop(s);
    return NULL;
}

static int resume_flow(struct flow *f, const struct flow_moment *m, const int fd[2],
                       struct mover *mover)
{
    if (m->held > 0 && (f->pipe = mover_adopt(mover, fd, m->held)) == NULL)
        return -errno;
    f->bytes = m->bytes;
    f->state = m->state;
    f->copy = m->copy != 0;
    f->mark_passed = m->mark_passed != 0;
    return 0;
}

int record_resume(struct session *s, const struct session_moment *m,
                  const int fd[RECORD_MOMENT_FDS])
{
    struct mover *mover = &s->home->mover;
    int rc = resume_flow(&s->up, &m->up, &fd[RECORD_UP_OUT], mover);
    if (rc < 0)
        close_all(&fd[RECORD_DOWN_OUT], 2);
    else
        rc = resume_flow(&s->down, &m->down, &fd[RECORD_DOWN_OUT], mover);
    if (rc < 0)
        return rc;
    s->connected = m->connected;
    s->active = m->active;
    s->wait_until = m->wait_until;
    s->attempts = m->attempts;
    s->pool_attempts = m->pool_attempts;
    s->state = m->state;
    s->first_fin = m->first_fin;
    s->failure = m->failure;
    s->up_ended = m->up_ended != 0;
    s->down_ended = m->down_ended != 0;
    return session_take_up(s);
}

void record_drop(struct session *s)
{
    if (s->backend != NULL)
        backend_release(s->backend);
    s->backend = NULL;
    session_forget(s);
}
