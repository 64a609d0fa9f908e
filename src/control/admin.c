#include "control/admin.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop_watch.h"
#include "control/admin_internal.h"

#define UNREAD_MAX (64u << 20) /* bytes of answers that clients have not read, all together */
#define STALLED_MS 1000        /* a client that reads nothing for so long may be evicted */

struct admin *admin_new(uv_loop_t *loop, admin_command_fn *command, void *arg)
{
    struct admin *a = calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    a->loop = loop;
    a->command = command;
    a->arg = arg;
    LIST_INIT(&a->clients);
    LIST_INIT(&a->closing);
    return a;
}

/* ---- the end of a client ---- */

static void free_answer(struct admin_client *c)
{
    c->admin->unread -= c->answer_length;
    free(c->answer);
    c->answer = NULL;
    c->answer_length = 0;
}

static void client_free(struct admin_client *c)
{
    free_answer(c);
    free(c);
}

static void admin_on_client_closed(uv_handle_t *handle)
{
    struct admin_client *c = handle->data;
    if (--c->handles > 0)
        return;
    struct admin *a = c->admin;
    LIST_REMOVE(c, in_list);
    client_free(c);
    if (a->listener != NULL && !a->listener->paused)
        (void)fd_reserve_fill(&a->listener->fd_reserve);
    admin_resume(a);
}

static void client_close(struct admin_client *c)
{
    if (uv_is_closing((const uv_handle_t *)&c->pipe))
        return;
    if (c->call != NULL)
        c->call->client = NULL;
    LIST_REMOVE(c, in_list);
    LIST_INSERT_HEAD(&c->admin->closing, c, in_list);
    c->admin->count--;
    uv_close((uv_handle_t *)&c->pipe, admin_on_client_closed);
    uv_close((uv_handle_t *)&c->read_deadline, admin_on_client_closed);
}

/* ---- eviction ---- */

static bool admin_is_ready(const struct admin_client *c, short events)
{
    struct pollfd query = { .fd = -1, .events = events };
    return uv_fileno((const uv_handle_t *)&c->pipe, &query.fd) == 0 && poll(&query, 1, 0) == 1;
}

/* Whether the client does not read its answer, or takes too long to read all of it. */
static bool is_stalled(struct admin_client *c, uint64_t now)
{
    size_t unread = uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);
    if (unread < c->evict_unread || admin_is_ready(c, POLLOUT)) {
        c->evict_unread = unread;
        c->progressed = now;
    }
    return now - c->progressed >= STALLED_MS || now - c->answered >= ADMIN_READ_MS;
}

bool admin_evict(struct admin *a)
{
    uint64_t now = uv_now(a->loop);
    struct admin_client *c;
    struct admin_client *idle = NULL;
    struct admin_client *stalled = NULL;
    LIST_FOREACH(c, &a->clients, in_list) {
        if (c->state == CLIENT_READING && !admin_is_ready(c, POLLIN))
            idle = c;
        else if (c->state == CLIENT_WRITING && is_stalled(c, now) &&
                 (stalled == NULL || c->progressed <= stalled->progressed))
            stalled = c;
    }
    if (idle == NULL && stalled == NULL)
        return false;
    client_close(idle != NULL ? idle : stalled);
    return true;
}

/* ---- answers ---- */

static void admin_next_line(struct admin_client *c);

static void on_read_timeout(uv_timer_t *timer)
{
    struct admin_client *c = timer->data;
    size_t unread = uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);
    if (unread >= c->unread)
        client_close(c);
    else
        deadline_start(&c->read_deadline, on_read_timeout, ADMIN_READ_MS);
    c->unread = unread;
}

static void on_written(uv_write_t *write, int status)
{
    struct admin_client *c = write->data;
    deadline_stop(&c->read_deadline);
    free_answer(c);
    if (uv_is_closing((const uv_handle_t *)&c->pipe))
        return;
    if (status < 0 || c->close_after_answer)
        client_close(c);
    else
        admin_next_line(c);
}

static void admin_send_answer(struct admin_client *c, char *text, size_t length)
{
    const uv_buf_t parts[] = { uv_buf_init(text, (unsigned)length), uv_buf_init((char *)"\n", 1) };
    c->state = CLIENT_WRITING;
    c->answer = text;
    c->answer_length = length;
    c->admin->unread += length;
    c->write.data = c;
    if (uv_write(&c->write, (uv_stream_t *)&c->pipe, parts, 2, on_written) < 0) {
        client_close(c);
        return;
    }
    c->unread = uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);
    c->evict_unread = c->unread;
    c->progressed = c->answered = uv_now(c->admin->loop);
    if (c->unread > 0)
        deadline_start(&c->read_deadline, on_read_timeout, ADMIN_READ_MS);
}

/* code and why need no escapes in JSON. */
static void admin_refuse(struct admin_client *c, const char *code, const char *why)
{
    char *text = NULL;
    int length = c->json ? asprintf(&text, "{\"errors\":[\"%s\"],\"code\":\"%s\"}\n", why, code)
                         : asprintf(&text, "error: %s\n", why);
    if (length < 0)
        client_close(c);
    else
        admin_send_answer(c, text, (size_t)length);
}

void admin_answer(struct admin_call *call, char *text, size_t length)
{
    struct admin_client *c = call->client;
    free(call);
    if (c != NULL)
        c->call = NULL;
    if (c == NULL || uv_is_closing((const uv_handle_t *)&c->pipe)) {
        free(text);
    } else if (text == NULL || length > UINT32_MAX) {
        free(text);
        admin_refuse(c, "memory", "out of memory");
    } else if (c->admin->unread + length > UNREAD_MAX && c->admin->unread > 0) {
        free(text);
        admin_refuse(c, "memory", "other clients do not read their answers: no room for this one");
    } else {
        admin_send_answer(c, text, length);
    }
}

/* ---- commands ---- */

static bool admin_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool admin_wants_json(const char *line, size_t length)
{
    while (length > 0 && admin_is_blank(*line)) {
        line++;
        length--;
    }
    return length >= 4 && memcmp(line, "json", 4) == 0 && (length == 4 || admin_is_blank(line[4]));
}

static bool admin_is_text(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < 0x20 && line[i] != '\t')
            return false;
    return true;
}

static void admin_run_command(struct admin_client *c, char *line)
{
    struct admin *a = c->admin;
    c->state = CLIENT_EXECUTING;
    LIST_REMOVE(c, in_list);
    LIST_INSERT_HEAD(&a->clients, c, in_list);
    c->call = calloc(1, sizeof *c->call);
    if (c->call == NULL) {
        client_close(c);
        return;
    }
    c->call->client = c;
    a->command(a->arg, c->call, line);
}

/* Returns whether a whole line has come; the last one needs no line break. *length is without its
 * break, *taken with it. */
static bool admin_find_line(const struct admin_client *c, size_t *length, size_t *taken)
{
    const char *end = memchr(c->line, '\n', c->length);
    *length = end != NULL ? (size_t)(end - c->line) : c->length;
    *taken = end != NULL ? *length + 1 : *length;
    if (*length > 0 && c->line[*length - 1] == '\r')
        --*length;
    return end != NULL || (c->ended && c->length > 0);
}

static void admin_take_line(struct admin_client *c, size_t length, size_t taken)
{
    char line[ADMIN_LINE_MAX + 1];
    memcpy(line, c->line, length);
    line[length] = '\0';
    c->length -= taken;
    memmove(c->line, c->line + taken, c->length);
    c->json = admin_wants_json(line, length);
    if (admin_is_text(line, length)) {
        admin_run_command(c, line);
        return;
    }
    c->close_after_answer = true;
    admin_refuse(c, "usage", "control characters, expected a line of text");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct admin_client *c = handle->data;
    (void)suggested;
    *buf = uv_buf_init(c->line + c->length, (unsigned)(sizeof c->line - c->length));
}

static void admin_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct admin_client *c = stream->data;
    (void)buf;
    if (n == 0)
        return;
    uv_read_stop(stream);
    if (n > 0)
        c->length += (size_t)n;
    else if (n == UV_EOF)
        c->ended = true;
    else {
        client_close(c);
        return;
    }
    admin_next_line(c);
}

/* Empty lines are skipped. */
static void admin_next_line(struct admin_client *c)
{
    size_t length = 0;
    size_t taken = 0;
    bool whole = false;
    c->state = CLIENT_READING;
    while ((whole = admin_find_line(c, &length, &taken)) && length == 0) {
        c->length -= taken;
        memmove(c->line, c->line + taken, c->length);
    }
    if (whole) {
        admin_take_line(c, length, taken);
    } else if (c->length > ADMIN_LINE_MAX) {
        c->close_after_answer = true;
        c->json = admin_wants_json(c->line, c->length);
        admin_refuse(c, "usage", "the line is too long, expected at most 4096 bytes");
    } else if (c->ended || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, admin_on_read) < 0) {
        client_close(c);
    } else {
        admin_resume(c->admin);
    }
}

/* The mode of the socket's file has been checked by the kernel. An abstract name has no mode: only
 * root and the user of this process may connect to it. */
static bool is_authorized(const struct admin_listener *listener, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (listener->at.un.sun_path[0] != '\0')
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
        return false;
    return peer.uid == 0 || peer.uid == geteuid();
}

void admin_open_client(struct admin_client *c, const struct admin_listener *listener, int fd)
{
    struct admin *a = listener->admin;
    c->admin = a;
    uv_pipe_init(a->loop, &c->pipe, 0);
    deadline_init(&c->read_deadline, a->loop);
    c->pipe.data = c->read_deadline.timer.data = c;
    c->handles = 2;
    LIST_INSERT_HEAD(&a->clients, c, in_list);
    a->count++;
    bool is_open = uv_pipe_open(&c->pipe, fd) == 0;
    if (!is_open)
        close(fd);
    if (!is_open || !is_authorized(listener, fd) || loop_watch_check(a->loop, fd) < 0)
        client_close(c);
    else
        admin_next_line(c);
}

static void free_all(struct admin_clients *list)
{
    struct admin_client *c = LIST_FIRST(list);
    while (c != NULL) {
        struct admin_client *next = LIST_NEXT(c, in_list);
        client_free(c);
        c = next;
    }
}

/* Handles that were not closed here have been closed with the loop. */
void admin_free(struct admin *a)
{
    if (a == NULL)
        return;
    free_all(&a->clients);
    free_all(&a->closing);
    admin_free_listener(a->listener);
    free(a);
}
