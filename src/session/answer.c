#include "session/answer.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "session/session_close.h"
#include "session/session_log.h"
#include "session/session_timers.h"

/* Bytes of one sendfile(2), and calls in one wake-up, before other sessions are processed. */
#define ANSWER_CHUNK ((size_t)512 * 1024)
#define ANSWER_TURNS 8

static bool is_failure(int error)
{
    return error != EAGAIN && error != EINTR;
}

/* The client has reset the connection, or the file cannot be sent. */
static enum answer_result answer_fail(struct session *s, int error)
{
    if (error == ECONNRESET || error == EPIPE || error == ETIMEDOUT || error == EHOSTUNREACH) {
        session_close(s, SESSION_END_CLIENT_RESET);
    } else {
        session_log_file_failed(s, error);
        session_close(s, SESSION_END_FILE_FAILED);
    }
    return ANSWER_WAIT;
}

static void end_input(struct session *s)
{
    s->up_ended = true;
    s->active = session_now(s);
    session_timers_arm(s);
}

/* MSG_TRUNC drops the bytes of a TCP socket without a copy (tcp(7)). */
static enum answer_result drop_input(struct session *s)
{
    const struct relay_stock *stock = &s->sessions->relay_stock;
    for (int turn = 0; turn < ANSWER_TURNS; turn++) {
        if (!side_is(&s->client, SIDE_READABLE) || s->up_ended)
            return ANSWER_WAIT;
        ssize_t n = recv(s->client.fd, stock->buffer, stock->buffer_size, MSG_TRUNC | MSG_DONTWAIT);
        if (n == 0)
            end_input(s);
        if (n == -1 && is_failure(errno))
            return answer_fail(s, errno);
        if (n == -1 && errno == EAGAIN)
            side_clear(&s->client, SIDE_READABLE);
    }
    return ANSWER_AGAIN;
}

/* Sends FIN: the file is complete. */
static void answer_finish(struct session *s)
{
    s->down_ended = true;
    (void)shutdown(s->client.fd, SHUT_WR); /* fails on a dead socket alone: an event tells */
    session_timers_arm(s);
}

static enum answer_result send_file(struct session *s)
{
    for (int turn = 0; turn < ANSWER_TURNS; turn++) {
        off_t at = (off_t)s->down.bytes;
        size_t rest = (size_t)(s->file->length - at);
        if (rest == 0) {
            answer_finish(s);
            return ANSWER_WAIT;
        }
        if (!side_is(&s->client, SIDE_WRITABLE))
            return ANSWER_WAIT;
        ssize_t n =
            sendfile(s->client.fd, s->file->fd, &at, rest < ANSWER_CHUNK ? rest : ANSWER_CHUNK);
        if (n == 0)
            return answer_fail(s, ENODATA); /* it has become shorter */
        if (n == -1 && is_failure(errno))
            return answer_fail(s, errno);
        if (n == -1 && errno == EAGAIN)
            side_clear(&s->client, SIDE_WRITABLE);
        if (n > 0) {
            s->down.bytes += (uint64_t)n;
            s->active = session_now(s);
            counter_add(&s->sessions->relay_stock.bytes[RELAY_FILE][RELAY_DOWN], (uint64_t)n);
        }
    }
    return ANSWER_AGAIN;
}

enum answer_result answer_process(struct session *s)
{
    enum answer_result input = drop_input(s);
    enum answer_result output = ANSWER_WAIT;
    if (s->state != SESSION_ENDED && !s->down_ended)
        output = send_file(s);
    if (s->state == SESSION_ENDED)
        return ANSWER_WAIT;
    if (s->up_ended && s->down_ended)
        session_close(s, SESSION_END_FILE_SENT);
    return input == ANSWER_AGAIN ? input : output;
}

enum answer_result answer_begin(struct session *s)
{
    s->state = SESSION_ANSWERING;
    s->active = session_now(s);
    session_timers_arm(s);
    return answer_process(s);
}
