#include "session/session_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "session/connect.h"
#include "session/preread_info.h"
#include "session/session_addr.h"
#include "session/session_close.h"
#include "session/session_record_tls.h"
#include "session/session_timers.h"
#include "tls/tls_side.h"

#define CLOCK_SLACK 1000 /* ms between two readings of a clock, one of them older */

/* ---- sent ---- */

bool session_record_stays(const struct session *s)
{
    bool client = s->client.tls != NULL && !side_is(&s->client, SIDE_KTLS);
    bool server = s->server.tls != NULL && s->server.tls->stream != NULL;
    return client || server;
}

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
    progress->cut = f->cut;
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
    progress->queue_since = s->queue_since;
    progress->attempts = s->attempts;
    progress->pool_attempts = s->pool_attempts;
    progress->state = s->state;
    progress->first_fin = s->first_fin;
    progress->failure = s->failure;
    progress->up_ended = s->up_ended;
    progress->down_ended = s->down_ended;
    progress->tls_sides = session_record_tls_sides(s);
    flow_progress(&s->up, &progress->up, &fd[SESSION_RECORD_UP_OUT]);
    flow_progress(&s->down, &progress->down, &fd[SESSION_RECORD_DOWN_OUT]);
}

/* ---- checked ---- */

static bool session_record_is_flag(uint8_t flag)
{
    return flag <= 1;
}

static bool has_end(const char *text, size_t size)
{
    return strnlen(text, size) < size;
}

static bool session_record_is_text(const char *text, size_t size)
{
    return text[0] != '\0' && has_end(text, size);
}

static bool session_record_is_option(int fd, int name, int wanted)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 && value == wanted;
}

static bool session_record_is_stream(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags != -1 && (flags & O_NONBLOCK) != 0 &&
           session_record_is_option(fd, SO_TYPE, SOCK_STREAM) &&
           session_record_is_option(fd, SO_ACCEPTCONN, 0);
}

static bool session_record_is_file(int fd)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    return flags != -1 && (flags & O_ACCMODE) != O_WRONLY && fstat(fd, &st) == 0 &&
           S_ISREG(st.st_mode);
}

static const char *check_descriptors(const struct session_setup *setup,
                                     const int fd[SESSION_RECORD_SETUP_FDS])
{
    if (fd[SESSION_RECORD_CLIENT] == -1 || !session_record_is_stream(fd[SESSION_RECORD_CLIENT]))
        return "its client is no connection";
    if (fd[SESSION_RECORD_SERVER] != -1 &&
        (!setup->has_server || !session_record_is_stream(fd[SESSION_RECORD_SERVER])))
        return "its server is no connection";
    if ((fd[SESSION_RECORD_FILE] != -1) != (setup->has_file != 0))
        return "its file is not there";
    if (setup->has_file &&
        (!session_record_is_file(fd[SESSION_RECORD_FILE]) || setup->file_length < 0))
        return "its file is none";
    return NULL;
}

const char *session_record_check_setup(const struct session_setup *setup,
                                       const int fd[SESSION_RECORD_SETUP_FDS], uint64_t now)
{
    if (!session_record_is_flag(setup->has_server) || !session_record_is_flag(setup->has_file) ||
        !session_record_is_flag(setup->has_proxy_info) || !session_record_is_flag(setup->admitted))
        return "a flag is neither 0 nor 1";
    if (setup->id == 0)
        return "it has no number";
    if (setup->began > now + CLOCK_SLACK)
        return "it begins in the future";
    if (!addr_peer_is_valid(&setup->client) ||
        (setup->has_proxy_info &&
         (!addr_peer_is_valid(&setup->peer) || !addr_peer_is_valid(&setup->destination))))
        return "an address of its client is none";
    if (!session_record_is_text(setup->pool, sizeof setup->pool))
        return "the name of its pool has no end";
    if (setup->has_server &&
        (!addr_is_valid(&setup->server) ||
         !session_record_is_text(setup->server_name, sizeof setup->server_name)))
        return "its server has no address or no name";
    if (!has_end(setup->hello_name, sizeof setup->hello_name) ||
        !has_end(setup->hello_alpn, sizeof setup->hello_alpn))
        return "what its hello said has no end";
    return check_descriptors(setup, fd);
}

static const char *check_flow(const struct flow_progress *progress, const int fd[2])
{
    bool has_pipe = fd[0] != -1 && fd[1] != -1;
    if (!session_record_is_flag(progress->copy) || !session_record_is_flag(progress->mark_passed) ||
        !session_record_is_flag(progress->cut))
        return "a flag is neither 0 nor 1";
    if (progress->state > FLOW_CLOSE)
        return "a direction is in no known state";
    if ((progress->state == FLOW_DRAIN) != (progress->held > 0) ||
        has_pipe != (progress->held > 0) || (fd[0] == -1) != (fd[1] == -1))
        return "a pipe is there without bytes, or bytes without a pipe";
    return NULL;
}

/* What a session has in each state: a server's socket, a slot on a server, a file. */
static const char *check_state(const struct session *s, const struct session_progress *progress)
{
    bool connects = s->server.fd != -1 && s->target != NULL && s->file == NULL;
    bool alone = s->server.fd == -1 && s->target == NULL && s->file == NULL;
    bool answers = s->server.fd == -1 && s->target == NULL && s->file != NULL;
    bool fits = false;
    switch ((enum session_state)progress->state) {
    case SESSION_CONNECTING:
    case SESSION_RELAYING:
        fits = connects;
        break;
    case SESSION_PREREADING:
    case SESSION_HANDSHAKING: /* the hello is still in the socket */
    case SESSION_PAUSING:
    case SESSION_WAITING:
        fits = alone;
        break;
    case SESSION_ANSWERING:
        fits = answers && progress->down.bytes <= (uint64_t)s->file->length;
        break;
    case SESSION_SERVER_HANDSHAKING: /* is finished where it began */
    case SESSION_ENDED:
        break;
    }
    return fits ? NULL : "it is in no known state, or in one that needs what it does not have";
}

/* source, sink: whether they have TLS. A flow waits for the end of its sink's TLS, or until it can
 * reset the sink because the source's TLS was cut. */
static bool may_close(const struct flow_progress *progress, bool source, bool sink)
{
    return progress->state != FLOW_CLOSE || sink || (source && progress->cut != 0);
}

/* A client whose TLS ends here has it after the handshake. */
static const char *check_tls(const struct session *s, const struct session_progress *progress)
{
    bool client = (progress->tls_sides & SESSION_RECORD_TLS_CLIENT) != 0;
    bool server = (progress->tls_sides & SESSION_RECORD_TLS_SERVER) != 0;
    bool before = progress->state == SESSION_PREREADING || progress->state == SESSION_HANDSHAKING;
    if (progress->tls_sides > (SESSION_RECORD_TLS_CLIENT | SESSION_RECORD_TLS_SERVER))
        return "TLS is on no known side";
    if (client != (s->frontend->conf->tls && !before) ||
        (server && progress->state != SESSION_RELAYING))
        return "TLS is on another side than it may be";
    if (!may_close(&progress->up, client, server) || !may_close(&progress->down, server, client))
        return "a direction waits for the end of TLS without TLS";
    return NULL;
}

static bool is_first_fin(uint8_t end)
{
    return end == SESSION_END_NONE || end == SESSION_END_CLIENT_FIN ||
           end == SESSION_END_SERVER_FIN;
}

const char *session_record_check_progress(const struct session *s,
                                          const struct session_progress *progress,
                                          const int fd[SESSION_RECORD_PROGRESS_FDS], uint64_t now)
{
    const char *why = check_state(s, progress);
    if (why == NULL)
        why = check_tls(s, progress);
    if (why == NULL)
        why = check_flow(&progress->up, &fd[SESSION_RECORD_UP_OUT]);
    if (why == NULL)
        why = check_flow(&progress->down, &fd[SESSION_RECORD_DOWN_OUT]);
    if (why != NULL)
        return why;
    if (progress->state != SESSION_RELAYING && progress->up.held + progress->down.held > 0)
        return "bytes are on their way before it relays";
    if (!session_record_is_flag(progress->up_ended) ||
        !session_record_is_flag(progress->down_ended))
        return "a flag is neither 0 nor 1";
    if (!is_first_fin(progress->first_fin) || progress->failure >= SESSION_ENDS)
        return "its end is none that is known";
    if (progress->connected > now + CLOCK_SLACK || progress->active > now + CLOCK_SLACK)
        return "it was active in the future";
    if (progress->queue_since > now + CLOCK_SLACK)
        return "it began to wait in the future";
    return NULL;
}

/* ---- restored ---- */

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

/* The client was admitted: the limits are not checked again. */
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
    s->state = SESSION_PAUSING; /* until session_record_resume() */
    s->wait_until = TIMER_WHEEL_NEVER;
    session_set_pool(s, pool);
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
    f->cut = progress->cut != 0;
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
    s->queue_since = progress->queue_since;
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
