#include "control/admin.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop_watch.h"
#include "control/admin_internal.h"
#include "relay/sock.h"

#define WAITING_MAX (64u << 20) /* bytes of answers that clients have not read, all together */
#define BACKLOG     511
#define RETRY_MS    100 /* while a client waits for a place, memory or a descriptor */
#define ACCEPTS     16  /* a wake-up */

struct admin *admin_new(uv_loop_t *loop, admin_command_fn *command, void *arg)
{
    struct admin *a = calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    a->loop = loop;
    a->command = command;
    a->arg = arg;
    LIST_INIT(&a->clients);
    LIST_INIT(&a->gone);
    return a;
}

static void admin_accept_waiting(struct admin *a);

/* ---- the end of a client ---- */

static void free_answer(struct admin_client *c)
{
    c->admin->waiting -= c->answer_length;
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
    if (--c->open > 0)
        return;
    struct admin *a = c->admin;
    LIST_REMOVE(c, in_list);
    client_free(c);
    if (a->listener != NULL && !a->listener->waits)
        (void)fd_reserve_fill(&a->listener->fd_reserve);
    admin_accept_waiting(a);
}

static void client_close(struct admin_client *c)
{
    if (uv_is_closing((const uv_handle_t *)&c->pipe))
        return;
    if (c->call != NULL)
        c->call->client = NULL;
    LIST_REMOVE(c, in_list);
    LIST_INSERT_HEAD(&c->admin->gone, c, in_list);
    c->admin->count--;
    uv_close((uv_handle_t *)&c->pipe, admin_on_client_closed);
    uv_close((uv_handle_t *)&c->read_deadline, admin_on_client_closed);
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
        deadline_start(&c->read_deadline, on_read_timeout, ADMIN_PATIENCE_MS);
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
    c->state = CLIENT_ANSWERING;
    c->answer = text;
    c->answer_length = length;
    c->admin->waiting += length;
    c->write.data = c;
    if (uv_write(&c->write, (uv_stream_t *)&c->pipe, parts, 2, on_written) < 0) {
        client_close(c);
        return;
    }
    c->unread = uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);
    c->behind = c->unread;
    c->progressed = c->answered = uv_now(c->admin->loop);
    if (c->unread > 0)
        deadline_start(&c->read_deadline, on_read_timeout, ADMIN_PATIENCE_MS);
}

static void admin_refuse(struct admin_client *c, const char *why)
{
    char *text = strdup(why);
    if (text == NULL)
        client_close(c);
    else
        admin_send_answer(c, text, strlen(text));
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
        admin_refuse(c, "error: out of memory\n");
    } else if (c->admin->waiting + length > WAITING_MAX && c->admin->waiting > 0) {
        free(text);
        admin_refuse(
            c, "error: other clients do not read their answers, and there is no room for this "
               "one\n");
    } else {
        admin_send_answer(c, text, length);
    }
}

/* ---- commands ---- */

static bool admin_is_text(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < 0x20 && line[i] != '\t')
            return false;
    return true;
}

static void ask(struct admin_client *c, char *line)
{
    struct admin *a = c->admin;
    c->state = CLIENT_ASKING;
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

/* The line's length without its break, and in *taken with it; false: it is not whole yet. The last
 * one needs no break. */
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
    if (admin_is_text(line, length)) {
        ask(c, line);
        return;
    }
    c->close_after_answer = true;
    admin_refuse(c, "error: control characters, expected a line of text\n");
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

/* Empty lines are passed over. */
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
        admin_refuse(c, "error: the line is too long, expected at most 4096 bytes\n");
    } else if (c->ended || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, admin_on_read) < 0) {
        client_close(c);
    } else {
        admin_accept_waiting(c->admin);
    }
}

/* ---- new clients ---- */

static bool has_file(const struct addr *at)
{
    return at->un.sun_path[0] != '\0'; /* else it is an abstract name */
}

/* A file's mode has said so already. An abstract name has none: then it is root's and ours. */
static bool is_authorized(const struct admin_listener *listener, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (has_file(&listener->at))
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
        return false;
    return peer.uid == 0 || peer.uid == geteuid();
}

static bool evict(struct admin *a)
{
    struct admin_client *c = admin_find_evictable(a);
    if (c != NULL)
        client_close(c);
    return c != NULL;
}

static void on_knock(uv_poll_t *poll, int status, int events);

static void admin_on_retry(uv_timer_t *timer)
{
    const struct admin_listener *listener = timer->data;
    admin_accept_waiting(listener->admin);
}

/* It stays where it is, and all others behind it. Its socket would wake the loop again and again.
 */
static void keep_waiting(struct admin_listener *listener)
{
    listener->waits = true;
    uv_poll_stop(&listener->knock);
    uv_timer_start(&listener->retry, admin_on_retry, RETRY_MS, 0);
}

static int accept_one(const struct admin_listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return fd == -1 ? -errno : fd;
}

/* accept4(2) looks for a descriptor before it looks for a client. */
static bool is_client_there(const struct admin_listener *listener)
{
    struct pollfd ask = { .fd = listener->fd, .events = POLLIN };
    return poll(&ask, 1, 0) == 1;
}

/* Without descriptors the one that is kept for that is taken, else that of another client. */
static int accept_client(struct admin_listener *listener)
{
    int fd = accept_one(listener);
    if (fd != -EMFILE && fd != -ENFILE)
        return fd;
    if (!is_client_there(listener))
        return -EAGAIN;
    return fd_reserve_release(&listener->fd_reserve) || evict(listener->admin)
               ? accept_one(listener)
               : fd;
}

/* Takes fd over. */
static void client_open(struct admin_client *c, struct admin_listener *listener, int fd)
{
    struct admin *a = listener->admin;
    c->admin = a;
    uv_pipe_init(a->loop, &c->pipe, 0);
    deadline_init(&c->read_deadline, a->loop);
    c->pipe.data = c->read_deadline.timer.data = c;
    c->open = 2;
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

/* Returns whether there may be another one. */
static bool admin_accept(struct admin_listener *listener)
{
    if (listener->admin->count >= ADMIN_CLIENTS_MAX && !evict(listener->admin)) {
        keep_waiting(listener);
        return false;
    }
    struct admin_client *c = calloc(1, sizeof *c);
    int fd = c == NULL ? -ENOMEM : accept_client(listener);
    if (fd >= 0) {
        client_open(c, listener, fd);
        return true;
    }
    free(c);
    if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS)
        keep_waiting(listener);
    return fd == -ECONNABORTED || fd == -EINTR;
}

static void on_knock(uv_poll_t *poll, int status, int events)
{
    struct admin_listener *listener = poll->data;
    (void)status;
    (void)events;
    for (int n = 0; n < ACCEPTS && admin_accept(listener); n++) {
    }
}

static void admin_accept_waiting(struct admin *a)
{
    struct admin_listener *listener = a->listener;
    if (listener == NULL || !listener->waits ||
        uv_is_closing((const uv_handle_t *)&listener->knock))
        return;
    listener->waits = false;
    uv_timer_stop(&listener->retry);
    uv_poll_start(&listener->knock, UV_READABLE, on_knock);
}

/* ---- the socket ---- */

struct admin_change {
    struct admin *admin;
    bool stays; /* as it is */
    struct admin_listener *listener;
    unsigned mode;
};

static int admin_open_socket(const struct admin_address *address, struct file_id *file)
{
    const struct unix_owner owner = { address->owner, address->group };
    const struct sock_options options = { .mode = address->mode, .owner = &owner };
    int rc = sock_probe(&address->at);
    return rc < 0 ? rc : sock_bind(&address->at, &options, file);
}

static int admin_print_error(FILE *errors, const struct addr *at, int rc)
{
    char text[ADDR_TEXT_MAX];
    fprintf(errors, "[admin] socket: %s: %s\n", addr_print(at, text), sock_bind_strerror(rc));
    return -1;
}

static void admin_on_listener_closed(uv_handle_t *handle)
{
    struct admin_listener *listener = handle->data;
    if (--listener->open == 0)
        free(listener);
}

static void admin_close_handles(struct admin_listener *listener)
{
    uv_close((uv_handle_t *)&listener->knock, admin_on_listener_closed);
    uv_close((uv_handle_t *)&listener->retry, admin_on_listener_closed);
    close(listener->fd);
    (void)fd_reserve_release(&listener->fd_reserve);
}

static int admin_open_listener(struct admin *a, int fd, const struct addr *at,
                               const struct file_id *file, struct admin_listener **out)
{
    struct admin_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL)
        return -ENOMEM;
    listener->admin = a;
    listener->at = *at;
    listener->file = *file;
    listener->fd = fd;
    listener->fd_reserve.fd = -1;
    int rc = uv_poll_init(a->loop, &listener->knock, fd);
    if (rc < 0) {
        free(listener);
        return rc;
    }
    uv_timer_init(a->loop, &listener->retry);
    listener->knock.data = listener->retry.data = listener;
    listener->open = 2;
    (void)fd_reserve_fill(&listener->fd_reserve);
    *out = listener;
    return 0;
}

/* Takes the file away as well. */
static void admin_close_listener(struct admin_listener *listener)
{
    if (listener == NULL)
        return;
    unix_socket_unlink(&listener->at, &listener->file);
    admin_close_handles(listener);
}

static int listen_at(struct admin_listener *listener)
{
    int rc = loop_watch_check(listener->admin->loop, listener->fd);
    if (rc == 0 && listen(listener->fd, BACKLOG) == -1)
        rc = -errno;
    return rc < 0 ? rc : uv_poll_start(&listener->knock, UV_READABLE, on_knock);
}

static int admin_make_listener(struct admin_change *ch, const struct admin_address *address)
{
    struct file_id file;
    int fd = admin_open_socket(address, &file);
    if (fd < 0)
        return fd;
    int rc = admin_open_listener(ch->admin, fd, &address->at, &file, &ch->listener);
    if (rc < 0) {
        unix_socket_unlink(&address->at, &file);
        close(fd);
    }
    return rc;
}

/* A file that others have removed comes back; where it may not be made again, that is no reason to
 * refuse the change. */
static int admin_prepare_listener(struct admin_change *ch, const struct admin_address *address)
{
    const struct admin_listener *now = ch->admin->listener;
    ch->stays = now != NULL && addr_equal(&now->at, &address->at);
    if (!ch->stays)
        return admin_make_listener(ch, address);
    int rc = unix_socket_check(&now->at, &now->file);
    if (rc == -ENOENT && (rc = admin_make_listener(ch, address)) == 0)
        ch->stays = false;
    if (rc < 0)
        log_msg(LOG_LEVEL_WARNING, "socket_file", "%s: cannot be reached: %s",
                address->at.un.sun_path, safe_open_strerror(rc));
    return 0;
}

int admin_prepare(struct admin *a, const struct admin_address *address, FILE *errors,
                  struct admin_change **change)
{
    struct admin_change *ch = calloc(1, sizeof *ch);
    if (ch == NULL)
        return admin_print_error(errors, &address->at, -ENOMEM);
    ch->admin = a;
    ch->mode = address->mode;
    int rc = address->at.len == 0 ? 0 : admin_prepare_listener(ch, address);
    if (rc < 0) {
        free(ch);
        return admin_print_error(errors, &address->at, rc);
    }
    *change = ch;
    return 0;
}

int admin_listen(struct admin_change *ch, FILE *errors)
{
    int rc = ch->listener == NULL ? 0 : listen_at(ch->listener);
    return rc < 0 ? admin_print_error(errors, &ch->listener->at, rc) : 0;
}

void admin_abort(struct admin_change *ch)
{
    if (ch == NULL)
        return;
    admin_close_listener(ch->listener);
    free(ch);
}

void admin_commit(struct admin_change *ch)
{
    struct admin *a = ch->admin;
    if (ch->stays) {
        (void)unix_socket_set_mode(&a->listener->at, &a->listener->file,
                                   ch->mode); /* where we may */
        free(ch);
        return;
    }
    admin_close_listener(a->listener);
    a->listener = ch->listener;
    free(ch);
}

int admin_socket(const struct admin *a, struct addr *at, struct file_id *file)
{
    if (a == NULL || a->listener == NULL)
        return -1;
    *at = a->listener->at;
    *file = a->listener->file;
    return a->listener->fd;
}

int admin_adopt(struct admin *a, const struct addr *at, const struct file_id *file, int fd)
{
    int rc = admin_open_listener(a, fd, at, file, &a->listener);
    if (rc < 0)
        close(fd);
    else
        rc = listen_at(a->listener);
    return rc;
}

void admin_unlink(const struct admin *a)
{
    if (a != NULL && a->listener != NULL)
        unix_socket_unlink(&a->listener->at, &a->listener->file);
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
    free_all(&a->gone);
    if (a->listener != NULL) {
        close(a->listener->fd);
        (void)fd_reserve_release(&a->listener->fd_reserve);
    }
    free(a->listener);
    free(a);
}
