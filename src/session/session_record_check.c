#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "session/session_record.h"

#define CLOCK_SLACK 1000 /* ms between two readings of a clock, one of them older */

/* ---- terms ---- */

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

/* ---- the moment ---- */

static const char *check_flow(const struct flow_progress *progress, const int fd[2])
{
    bool has_pipe = fd[0] != -1 && fd[1] != -1;
    if (!session_record_is_flag(progress->copy) || !session_record_is_flag(progress->mark_passed))
        return "a flag is neither 0 nor 1";
    if (progress->state > FLOW_DONE)
        return "a direction is in no known state";
    if ((progress->state == FLOW_DRAIN) != (progress->held > 0) ||
        has_pipe != (progress->held > 0) || (fd[0] == -1) != (fd[1] == -1))
        return "a pipe is there without bytes, or bytes without a pipe";
    return NULL;
}

/* What each state has: a server's socket, a place on a server, a file. */
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
    case SESSION_PAUSING:
    case SESSION_WAITING:
        fits = alone;
        break;
    case SESSION_ANSWERING:
        fits = answers && progress->down.bytes <= (uint64_t)s->file->length;
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

const char *session_record_check_progress(const struct session *s,
                                          const struct session_progress *progress,
                                          const int fd[SESSION_RECORD_PROGRESS_FDS], uint64_t now)
{
    const char *why = check_state(s, progress);
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
    return NULL;
}
