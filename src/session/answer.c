#include "session/answer.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session/session_close.h"
#include "session/session_log.h"
#include "session/session_timers.h"
#include "tls/tls_side.h"
#include "tls/tls_stream.h"

/* Bytes of one sendfile(2), and calls in one wake-up, before other sessions are processed. */
#define ANSWER_CHUNK ((size_t)512 * 1024)
#define ANSWER_TURNS 8

/* Bytes that are encrypted at once. */
#define ANSWER_RECORDS ((size_t)64 * 1024)

/* sendfile(2) sends a fragment for each page. */
#define FILE_PAGE 4096

static bool is_failure(int error)
{
    return error != EAGAIN && error != EINTR;
}

static bool has_ktls(const struct session *s)
{
    return side_is(&s->client, SIDE_KTLS);
}

/* The client has reset the connection, TLS has failed, or the file cannot be sent. */
static enum answer_result answer_fail(struct session *s, int error, bool sends)
{
    tls_side_note_error(s->client.tls, error, sends);
    relay_stock_count_error(&s->sessions->relay_stock, error);
    if (error == EKEYEXPIRED) {
        session_close(s, SESSION_END_TLS_REKEY);
    } else if (error == EPROTO || error == EBADMSG || error == ECONNABORTED ||
               error == ECONNRESET || error == EPIPE || error == ETIMEDOUT ||
               error == EHOSTUNREACH) {
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

static ssize_t fail_read(int error)
{
    errno = error;
    return -1;
}

/* As recv(2), of a socket whose TLS is in the kernel: 0 is close_notify. EINTR: another record. */
static ssize_t read_ktls(const struct session *s)
{
    struct tls_kernel *k = &s->client.tls->kernel;
    const struct relay_stock *stock = &s->sessions->relay_stock;
    ssize_t n = recv(s->client.fd, stock->buffer, stock->buffer_size, MSG_DONTWAIT);
    if (n > 0)
        return tls_kernel_received(k, s->client.fd) == 0 ? n : fail_read(EPROTO);
    if (n == 0)
        return fail_read(ECONNABORTED);
    if (errno != EIO)
        return n;
    int rc = tls_kernel_control(k, s->client.fd);
    if (rc == 1)
        return 0;
    return fail_read(rc == 0 ? EINTR : -rc);
}

/* As recv(2). MSG_TRUNC drops the bytes of a TCP socket without a copy (tcp(7)). */
static ssize_t read_dropped(const struct session *s)
{
    const struct relay_stock *stock = &s->sessions->relay_stock;
    if (has_ktls(s))
        return read_ktls(s);
    if (!side_is(&s->client, SIDE_TLS))
        return recv(s->client.fd, stock->buffer, stock->buffer_size, MSG_TRUNC | MSG_DONTWAIT);
    ssize_t n = tls_stream_read(s->client.tls->stream, stock->buffer, stock->buffer_size);
    errno = n < 0 ? (int)-n : 0;
    return n < 0 ? -1 : n;
}

static enum answer_result drop_input(struct session *s)
{
    for (int turn = 0; turn < ANSWER_TURNS; turn++) {
        if (!side_is(&s->client, SIDE_READABLE) || s->up_ended)
            return ANSWER_WAIT;
        ssize_t n = read_dropped(s);
        bool is_cut = n == -1 && errno == ECONNABORTED; /* no close_notify */
        if (n == 0 || (is_cut && s->down_ended))
            end_input(s);
        else if (n == -1 && is_failure(errno))
            return answer_fail(s, errno, false);
        else if (n == -1 && errno == EAGAIN)
            side_clear(&s->client, SIDE_READABLE);
    }
    return ANSWER_AGAIN;
}

/* Sends the records that the stream has kept. A client that takes it is not idle, though
 * these bytes were counted before. */
static int flush_encrypted(struct session *s)
{
    bool progress = false;
    int rc = tls_side_flush(s->client.tls, &progress);
    if (progress)
        s->active = session_now(s);
    return rc;
}

/* Sends close_notify. Returns 0; -EAGAIN: when there is room; -EBUSY: after a while; or another
 * -errno. */
static int close_tls(struct session *s)
{
    struct tls_side *t = s->client.tls;
    int rc = 0;
    if (side_is(&s->client, SIDE_TLS)) {
        rc = tls_stream_close(t->stream);
        return rc < 0 ? rc : flush_encrypted(s);
    }
    if (!has_ktls(s))
        return 0;
    rc = tls_kernel_close(&t->kernel, s->client.fd);
    if (rc == 0)
        rc = tls_kernel_is_flushed(&t->kernel, s->client.fd, s->down.bytes);
    return rc < 0 ? rc : rc == 0 ? -EBUSY : 0;
}

/* Sends FIN: the file is complete. */
static void answer_finish(struct session *s)
{
    int rc = close_tls(s);
    s->down.state = rc == -EBUSY ? FLOW_CLOSE : FLOW_FILL; /* session_timers_arm() looks at it */
    if (rc == -EAGAIN)                                     /* called again when there is room */
        side_clear(&s->client, SIDE_WRITABLE);
    else if (rc == -EBUSY)
        session_timers_arm(s);
    else if (rc < 0)
        answer_fail(s, -rc, true);
    if (rc < 0)
        return;
    s->down_ended = true;
    (void)shutdown(s->client.fd,
                   SHUT_WR); /* fails only on a dead socket, for which there is an event */
    session_timers_arm(s);
}

/* As sendfile(2). OpenSSL's records that the socket does not take stay in the stream: while there
 * are some, nothing is read. */
static ssize_t send_encrypted(struct session *s, off_t at, size_t size)
{
    struct tls_stream *stream = s->client.tls->stream;
    const struct relay_stock *stock = &s->sessions->relay_stock;
    int rc = flush_encrypted(s);
    ssize_t n = rc < 0 ? 0 : pread(s->file->fd, stock->buffer, size, at);
    if (n > 0)
        rc = tls_stream_write(stream, stock->buffer, (size_t)n);
    if (rc < 0)
        errno = -rc;
    return rc < 0 ? -1 : n;
}

/* As sendfile(2), to a socket whose TLS is in the kernel. */
static ssize_t send_ktls(struct session *s, off_t at, size_t size)
{
    struct tls_kernel *k = &s->client.tls->kernel;
    int fd = s->client.fd;
    int rc = k->update_due ? tls_kernel_update(k, fd) : 0;
    ssize_t n = rc < 0 ? 0 : sendfile(fd, s->file->fd, &at, size);
    if (n == -1 && errno == EAGAIN)
        ktls_push(fd);
    if (n > 0)
        rc = tls_kernel_count(k, fd, (size_t)n, (uint32_t)(n / FILE_PAGE) + 2);
    if (rc == 0)
        return n;
    if (n > 0) /* sent, and the last that may be */
        s->down.bytes += (uint64_t)n;
    errno = -rc;
    return -1;
}

static ssize_t send_piece(struct session *s, off_t at, size_t rest)
{
    if (side_is(&s->client, SIDE_TLS))
        return send_encrypted(s, at, rest < ANSWER_RECORDS ? rest : ANSWER_RECORDS);
    rest = rest < ANSWER_CHUNK ? rest : ANSWER_CHUNK;
    return has_ktls(s) ? send_ktls(s, at, rest) : sendfile(s->client.fd, s->file->fd, &at, rest);
}

static enum answer_result send_file(struct session *s)
{
    enum relay_path path = side_is(&s->client, SIDE_TLS) ? RELAY_TLS : RELAY_FILE;
    for (int turn = 0; turn < ANSWER_TURNS; turn++) {
        off_t at = (off_t)s->down.bytes;
        size_t rest = (size_t)(s->file->length - at);
        if (!side_is(&s->client, SIDE_WRITABLE))
            return ANSWER_WAIT;
        if (rest == 0) {
            answer_finish(s);
            return ANSWER_WAIT;
        }
        ssize_t n = send_piece(s, at, rest);
        if (n == 0)
            return answer_fail(s, ENODATA, true); /* it has become shorter */
        if (n == -1 && is_failure(errno))
            return answer_fail(s, errno, true);
        if (n == -1 && errno == EAGAIN)
            side_clear(&s->client, SIDE_WRITABLE);
        if (n > 0) {
            s->down.bytes += (uint64_t)n;
            s->active = session_now(s);
            counter_add(&s->sessions->relay_stock.bytes[path][RELAY_DOWN], (uint64_t)n);
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
    if (input == ANSWER_AGAIN || output == ANSWER_AGAIN)
        return ANSWER_AGAIN;
    if (s->client.tls != NULL) /* a session that waits keeps no memory for bytes */
        tls_side_trim(s->client.tls);
    return ANSWER_WAIT;
}

enum answer_result answer_begin(struct session *s)
{
    s->state = SESSION_ANSWERING;
    s->active = session_now(s);
    session_timers_arm(s);
    return answer_process(s);
}
