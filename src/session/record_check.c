#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "session/record.h"

#define CLOCK_SLACK 1000 /* ms between two readings of a clock, one of them older */

/* ---- terms ---- */

static bool is_flag(uint8_t flag)
{
    return flag <= 1;
}

static bool has_end(const char *text, size_t size)
{
    return strnlen(text, size) < size;
}

static bool is_text(const char *text, size_t size)
{
    return text[0] != '\0' && has_end(text, size);
}

static bool is_option(int fd, int name, int wanted)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 && value == wanted;
}

static bool is_stream(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags != -1 && (flags & O_NONBLOCK) != 0 && is_option(fd, SO_TYPE, SOCK_STREAM) &&
           is_option(fd, SO_ACCEPTCONN, 0);
}

static bool is_file(int fd)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    return flags != -1 && (flags & O_ACCMODE) != O_WRONLY && fstat(fd, &st) == 0 &&
           S_ISREG(st.st_mode);
}

static const char *check_descriptors(const struct session_terms *t, const int fd[RECORD_TERMS_FDS])
{
    if (fd[RECORD_CLIENT] == -1 || !is_stream(fd[RECORD_CLIENT]))
        return "its client is no connection";
    if (fd[RECORD_SERVER] != -1 && (!t->has_server || !is_stream(fd[RECORD_SERVER])))
        return "its server is no connection";
    if ((fd[RECORD_FILE] != -1) != (t->has_file != 0))
        return "its file is not there";
    if (t->has_file && (!is_file(fd[RECORD_FILE]) || t->file_length < 0))
        return "its file is none";
    return NULL;
}

const char *record_check_terms(const struct session_terms *t, const int fd[RECORD_TERMS_FDS],
                               uint64_t now)
{
    if (!is_flag(t->has_server) || !is_flag(t->has_file) || !is_flag(t->has_learned) ||
        !is_flag(t->admitted))
        return "a flag is neither 0 nor 1";
    if (t->id == 0)
        return "it has no number";
    if (t->began > now + CLOCK_SLACK)
        return "it begins in the future";
    if (!addr_peer_is_valid(&t->client) ||
        (t->has_learned && (!addr_peer_is_valid(&t->peer) || !addr_peer_is_valid(&t->destination))))
        return "an address of its client is none";
    if (!is_text(t->pool, sizeof t->pool))
        return "the name of its pool has no end";
    if (t->has_server &&
        (!addr_is_valid(&t->server) || !is_text(t->server_name, sizeof t->server_name)))
        return "its server has no address or no name";
    if (!has_end(t->hello_name, sizeof t->hello_name) ||
        !has_end(t->hello_alpn, sizeof t->hello_alpn))
        return "what its hello said has no end";
    return check_descriptors(t, fd);
}

/* ---- the moment ---- */

static const char *check_flow(const struct flow_moment *m, const int fd[2])
{
    bool has_pipe = fd[0] != -1 && fd[1] != -1;
    if (!is_flag(m->copy) || !is_flag(m->mark_passed))
        return "a flag is neither 0 nor 1";
    if (m->state > FLOW_DONE)
        return "a direction is in no known state";
    if ((m->state == FLOW_DRAIN) != (m->held > 0) || has_pipe != (m->held > 0) ||
        (fd[0] == -1) != (fd[1] == -1))
        return "a pipe is there without bytes, or bytes without a pipe";
    return NULL;
}

/* What each state has: a server's socket, a place on a server, a file. */
static const char *check_state(const struct session *s, const struct session_moment *m)
{
    bool connects = s->server.fd != -1 && s->backend != NULL && s->file == NULL;
    bool alone = s->server.fd == -1 && s->backend == NULL && s->file == NULL;
    bool answers = s->server.fd == -1 && s->backend == NULL && s->file != NULL;
    bool fits = false;
    switch ((enum session_state)m->state) {
    case SESSION_CONNECTING:
    case SESSION_RELAYING:
        fits = connects;
        break;
    case SESSION_GREETING:
    case SESSION_PAUSING:
    case SESSION_WAITING:
        fits = alone;
        break;
    case SESSION_ANSWERING:
        fits = answers && m->down.bytes <= (uint64_t)s->file->length;
        break;
    case SESSION_ENDED:
        break;
    }
    return fits ? NULL : "it is in no known state, or in one that needs what it does not have";
}

static bool is_first_fin(uint8_t end)
{
    return end == SESSION_END_NONE || end == SESSION_END_CLIENT_FIN ||
           end == SESSION_END_SERVER_FIN;
}

const char *record_check_moment(const struct session *s, const struct session_moment *m,
                                const int fd[RECORD_MOMENT_FDS], uint64_t now)
{
    const char *why = check_state(s, m);
    if (why == NULL)
        why = check_flow(&m->up, &fd[RECORD_UP_OUT]);
    if (why == NULL)
        why = check_flow(&m->down, &fd[RECORD_DOWN_OUT]);
    if (why != NULL)
        return why;
    if (m->state != SESSION_RELAYING && m->up.held + m->down.held > 0)
        return "bytes are on their way before it relays";
    if (!is_flag(m->up_ended) || !is_flag(m->down_ended))
        return "a flag is neither 0 nor 1";
    if (!is_first_fin(m->first_fin) || m->failure >= SESSION_ENDS)
        return "its end is none that is known";
    if (m->connected > now + CLOCK_SLACK || m->active > now + CLOCK_SLACK)
        return "it was active in the future";
    return NULL;
}
