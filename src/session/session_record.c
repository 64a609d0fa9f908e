#include "session/session_record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "session/connect.h"
#include "session/preread_info.h"
#include "session/session_addr.h"
#include "session/session_timers.h"

/* ---- leaving ---- */

bool session_record_is_final(const struct session *s)
{
    return s->state == SESSION_RELAYING || s->state == SESSION_ANSWERING;
}

void session_record_setup(const struct session *s, struct session_setup *setup,
                          int fd[SESSION_RECORD_SETUP_FDS])
{
    memset(setup, 0, sizeof *setup);
    setup->id = s->id;
    setup->began = s->began;
    setup->client = s->client_addr;
    text_copy(setup->pool, sizeof setup->pool, pool_name(s->pool));
    fd[SESSION_RECORD_CLIENT] = s->client.fd;
    fd[SESSION_RECORD_SERVER] = s->server.fd;
    fd[SESSION_RECORD_FILE] = -1;
    if (s->target != NULL) {
        setup->has_server = 1;
        setup->server = s->target->addr;
        text_copy(setup->server_name, sizeof setup->server_name, server_name(s->target));
    }
    setup->admitted = s->admitted;
    setup->name_hash = s->name_hash;
    if (s->proxy_info != NULL) {
        setup->has_proxy_info = 1;
        setup->peer = s->proxy_info->peer;
        setup->destination = s->proxy_info->destination;
    }
    setup->queued_ms = s->queued_ms;
    if (s->wait != NULL)
        setup->queued_ms += (uint32_t)(session_now(s) - s->wait->began);
    if (s->preread != NULL) {
        setup->preread_ms = s->preread->ms;
        text_copy(setup->hello_name, sizeof setup->hello_name, s->preread->text);
        text_copy(setup->hello_alpn, sizeof setup->hello_alpn, s->preread->alpn);
    }
    if (s->file != NULL) {
        setup->has_file = 1;
        setup->file_length = s->file->length;
        fd[SESSION_RECORD_FILE] = s->file->fd;
    }
}

static void flow_progress(const struct flow *f, struct flow_progress *progress, int fd[2])
{
    progress->bytes = f->bytes;
    progress->state = f->state;
    progress->copy = f->copy;
    progress->mark_passed = f->mark_passed;
    fd[0] = fd[1] = -1;
    if (f->pipe == NULL)
        return;
    progress->held = f->pipe->held;
    fd[0] = f->pipe->out;
    fd[1] = f->pipe->in;
}

void session_record_progress(const struct session *s, struct session_progress *progress,
                             int fd[SESSION_RECORD_PROGRESS_FDS])
{
    memset(progress, 0, sizeof *progress);
    progress->connected = s->connected;
    progress->active = s->active;
    progress->wait_until = s->wait_until;
    progress->attempts = s->attempts;
    progress->pool_attempts = s->pool_attempts;
    progress->state = s->state;
    progress->first_fin = s->first_fin;
    progress->failure = s->failure;
    progress->up_ended = s->up_ended;
    progress->down_ended = s->down_ended;
    flow_progress(&s->up, &progress->up, &fd[SESSION_RECORD_UP_OUT]);
    flow_progress(&s->down, &progress->down, &fd[SESSION_RECORD_DOWN_OUT]);
}

/* ---- arriving ---- */

static void session_record_close_fds(const int *fd, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fd[i] != -1)
            close(fd[i]);
}

static int open_sides(struct session *s, const int fd[SESSION_RECORD_SETUP_FDS])
{
    struct sessions *all = s->sessions;
    const struct addr_peer *peer = s->proxy_info != NULL ? &s->proxy_info->peer : &s->client_addr;
    bool client_tcp = peer->sa.sa_family != AF_UNIX;
    int rc = side_open(&s->client, fd[SESSION_RECORD_CLIENT], client_tcp, all->set,
                       all->on_client_event);
    if (rc == 0 && fd[SESSION_RECORD_SERVER] != -1)
        rc = connect_watch(s, fd[SESSION_RECORD_SERVER]);
    return rc;
}

static int take_file(struct session *s, const struct session_setup *setup,
                     const int fd[SESSION_RECORD_SETUP_FDS])
{
    if (!setup->has_file)
        return 0;
    s->file = answer_file_adopt(fd[SESSION_RECORD_FILE], setup->file_length);
    return s->file == NULL ? -ENOMEM : 0;
}

static int take_proxy_info(struct session *s, const struct session_setup *setup)
{
    if (!setup->has_proxy_info)
        return 0;
    s->proxy_info = malloc(sizeof *s->proxy_info);
    if (s->proxy_info == NULL)
        return -ENOMEM;
    *s->proxy_info = (struct proxy_info){ setup->peer, setup->destination };
    return 0;
}

/* It was let in: that is not asked again. */
static int count_client(struct session *s, const struct session_setup *setup)
{
    const struct client_quota *q = s->frontend->client_quota;
    if (setup->admitted && q != NULL &&
        !client_limits_adopt(q->client_limits, &s->client_addr, session_now(s)))
        return -ENOMEM;
    s->admitted = setup->admitted != 0;
    return 0;
}

struct session *session_record_restore(struct sessions *all, struct frontend *frontend,
                                       struct pool *pool, struct server *target,
                                       const struct session_setup *setup,
                                       const int fd[SESSION_RECORD_SETUP_FDS])
{
    struct session *s = session_new(all, frontend);
    if (s == NULL) {
        session_record_close_fds(fd, SESSION_RECORD_SETUP_FDS);
        return NULL;
    }
    s->id = setup->id;
    s->began = setup->began;
    s->client_addr = setup->client;
    s->target = target;
    s->inherited = true;
    s->state = SESSION_PAUSING; /* until it has its moment */
    s->wait_until = TIMER_WHEEL_NEVER;
    connect_set_pool(s, pool);
    s->name_hash = setup->name_hash;
    s->queued_ms = setup->queued_ms;
    s->preread = preread_info_copy(setup->preread_ms, setup->hello_name, setup->hello_alpn);
    int rc = take_proxy_info(s, setup);
    if (rc == 0)
        rc = count_client(s, setup);
    if (rc == 0)
        rc = open_sides(s, fd);
    if (rc == 0)
        rc = take_file(s, setup, fd);
    if (rc == 0)
        return s;
    s->client.fd = s->server.fd = -1;
    session_record_close_fds(fd, SESSION_RECORD_SETUP_FDS);
    session_record_discard(s);
    return NULL;
}

static int resume_flow(struct flow *f, const struct flow_progress *progress, const int fd[2],
                       struct relay_stock *relay_stock)
{
    if (progress->held > 0 &&
        (f->pipe = relay_stock_adopt_pipe(relay_stock, fd, progress->held)) == NULL)
        return -errno;
    f->bytes = progress->bytes;
    f->state = progress->state;
    f->copy = progress->copy != 0;
    f->mark_passed = progress->mark_passed != 0;
    return 0;
}

int session_record_resume(struct session *s, const struct session_progress *progress,
                          const int fd[SESSION_RECORD_PROGRESS_FDS])
{
    struct relay_stock *relay_stock = &s->sessions->relay_stock;
    int rc = resume_flow(&s->up, &progress->up, &fd[SESSION_RECORD_UP_OUT], relay_stock);
    if (rc < 0)
        session_record_close_fds(&fd[SESSION_RECORD_DOWN_OUT], 2);
    else
        rc = resume_flow(&s->down, &progress->down, &fd[SESSION_RECORD_DOWN_OUT], relay_stock);
    if (rc < 0)
        return rc;
    s->connected = progress->connected;
    s->active = progress->active;
    s->wait_until = progress->wait_until;
    s->attempts = progress->attempts;
    s->pool_attempts = progress->pool_attempts;
    s->state = progress->state;
    s->first_fin = progress->first_fin;
    s->failure = progress->failure;
    s->up_ended = progress->up_ended != 0;
    s->down_ended = progress->down_ended != 0;
    return session_resume(s);
}

void session_record_discard(struct session *s)
{
    if (s->target != NULL)
        server_release(s->target);
    s->target = NULL;
    session_discard(s);
}
