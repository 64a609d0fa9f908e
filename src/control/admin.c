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
#include "control/admin_inside.h"
#include "relay/poller.h"
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

static void let_in_waiting(struct admin *a);

/* ---- the end of a client ---- */

static void forget_answer(struct admin_client *c)
{
    c->admin->waiting -= c->answer_length;
    free(c->answer);
    c->answer = NULL;
    c->answer_length = 0;
}

static void client_free(struct admin_client *c)
{
    forget_answer(c);
    free(c);
}

static void on_closed(uv_handle_t *handle)
{
    struct admin_client *c = handle->data;
    if (--c->open > 0)
        return;
    struct admin *a = c->admin;
    LIST_REMOVE(c, in_list);
    client_free(c);
    if (a->door != NULL && !a->door->waits)
        (void)reserve_fill(&a->door->reserve);
    let_in_waiting(a);
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
    uv_close((uv_handle_t *)&c->pipe, on_closed);
    uv_close((uv_handle_t *)&c->patience, on_closed);
}

/* ---- answers ---- */

static void next_line(struct admin_client *c);

static void on_impatient(uv_timer_t *timer)
{
    struct admin_client *c = timer->data;
    size_t unread = uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);
    if (unread >= c->unread)
        client_close(c);
    else
        deadline_start(&c->patience, on_impatient, ADMIN_PATIENCE_MS);
    c->unread = unread;
}

static void on_written(uv_write_t *write, int status)
{
    struct admin_client *c = write->data;
    deadline_stop(&c->patience);
    forget_answer(c);
    if (uv_is_closing((const uv_handle_t *)&c->pipe))
        return;
    if (status < 0 || c->hopeless)
        client_close(c);
    else
        next_line(c);
}

static void send_answer(struct admin_client *c, char *text, size_t length)
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
        deadline_start(&c->patience, on_impatient, ADMIN_PATIENCE_MS);
}

static void refuse(struct admin_client *c, const char *why)
{
    char *text = strdup(why);
    if (text == NULL)
        client_close(c);
    else
        send_answer(c, text, strlen(text));
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
        refuse(c, "error: out of memory\n");
    } else if (c->admin->waiting + length > WAITING_MAX && c->admin->waiting > 0) {
        free(text);
        refuse(c, "error: other clients do not read their answers, and there is no room for this "
                  "one\n");
    } else {
        send_answer(c, text, length);
    }
}

/* ---- commands ---- */

static bool is_text(const char *line, size_t length)
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
static bool find_line(const struct admin_client *c, size_t *length, size_t *taken)
{
    const char *end = memchr(c->line, '\n', c->length);
    *length = end != NULL ? (size_t)(end - c->line) : c->length;
    *taken = end != NULL ? *length + 1 : *length;
    if (*length > 0 && c->line[*length - 1] == '\r')
        --*length;
    return end != NULL || (c->ended && c->length > 0);
}

static void take_line(struct admin_client *c, size_t length, size_t taken)
{
    char line[ADMIN_LINE_MAX + 1];
    memcpy(line, c->line, length);
    line[length] = '\0';
    c->length -= taken;
    memmove(c->line, c->line + taken, c->length);
    if (is_text(line, length)) {
        ask(c, line);
        return;
    }
    c->hopeless = true;
    refuse(c, "error: control characters, expected a line of text\n");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct admin_client *c = handle->data;
    (void)suggested;
    *buf = uv_buf_init(c->line + c->length, (unsigned)(sizeof c->line - c->length));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
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
    next_line(c);
}

/* Empty lines are passed over. */
static void next_line(struct admin_client *c)
{
    size_t length = 0;
    size_t taken = 0;
    bool whole = false;
    c->state = CLIENT_READING;
    while ((whole = find_line(c, &length, &taken)) && length == 0) {
        c->length -= taken;
        memmove(c->line, c->line + taken, c->length);
    }
    if (whole) {
        take_line(c, length, taken);
    } else if (c->length > ADMIN_LINE_MAX) {
        c->hopeless = true;
        refuse(c, "error: the line is too long, expected at most 4096 bytes\n");
    } else if (c->ended || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) < 0) {
        client_close(c);
    } else {
        let_in_waiting(c->admin);
    }
}

/* ---- new clients ---- */

static bool has_file(const struct addr *at)
{
    return at->un.sun_path[0] != '\0'; /* else it is an abstract name */
}

/* A file's mode has said so already. An abstract name has none: then it is root's and ours. */
static bool is_welcome(const struct admin_door *door, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (has_file(&door->at))
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

static void on_retry(uv_timer_t *timer)
{
    const struct admin_door *door = timer->data;
    let_in_waiting(door->admin);
}

/* It stays where it is, and all others behind it. Its socket would wake the loop again and again.
 */
static void keep_waiting(struct admin_door *door)
{
    door->waits = true;
    uv_poll_stop(&door->knock);
    uv_timer_start(&door->retry, on_retry, RETRY_MS, 0);
}

static int accept_one(const struct admin_door *door)
{
    int fd = accept4(door->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return fd == -1 ? -errno : fd;
}

/* accept4(2) looks for a descriptor before it looks for a client. */
static bool is_client_there(const struct admin_door *door)
{
    struct pollfd ask = { .fd = door->fd, .events = POLLIN };
    return poll(&ask, 1, 0) == 1;
}

/* Without descriptors the one that is kept for that is taken, else that of another client. */
static int accept_client(struct admin_door *door)
{
    int fd = accept_one(door);
    if (fd != -EMFILE && fd != -ENFILE)
        return fd;
    if (!is_client_there(door))
        return -EAGAIN;
    return reserve_spend(&door->reserve) || evict(door->admin) ? accept_one(door) : fd;
}

/* Takes fd over. */
static void client_open(struct admin_client *c, struct admin_door *door, int fd)
{
    struct admin *a = door->admin;
    c->admin = a;
    uv_pipe_init(a->loop, &c->pipe, 0);
    deadline_init(&c->patience, a->loop);
    c->pipe.data = c->patience.timer.data = c;
    c->open = 2;
    LIST_INSERT_HEAD(&a->clients, c, in_list);
    a->count++;
    bool is_open = uv_pipe_open(&c->pipe, fd) == 0;
    if (!is_open)
        close(fd);
    if (!is_open || !is_welcome(door, fd) || poller_check_loop(a->loop, fd) < 0)
        client_close(c);
    else
        next_line(c);
}

/* Returns whether there may be another one. */
static bool let_in(struct admin_door *door)
{
    if (door->admin->count >= ADMIN_CLIENTS_MAX && !evict(door->admin)) {
        keep_waiting(door);
        return false;
    }
    struct admin_client *c = calloc(1, sizeof *c);
    int fd = c == NULL ? -ENOMEM : accept_client(door);
    if (fd >= 0) {
        client_open(c, door, fd);
        return true;
    }
    free(c);
    if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS)
        keep_waiting(door);
    return fd == -ECONNABORTED || fd == -EINTR;
}

static void on_knock(uv_poll_t *poll, int status, int events)
{
    struct admin_door *door = poll->data;
    (void)status;
    (void)events;
    for (int n = 0; n < ACCEPTS && let_in(door); n++) {
    }
}

static void let_in_waiting(struct admin *a)
{
    struct admin_door *door = a->door;
    if (door == NULL || !door->waits || uv_is_closing((const uv_handle_t *)&door->knock))
        return;
    door->waits = false;
    uv_timer_stop(&door->retry);
    uv_poll_start(&door->knock, UV_READABLE, on_knock);
}

/* ---- the socket ---- */

struct admin_change {
    struct admin *admin;
    bool stays; /* as it is */
    struct admin_door *door;
    unsigned mode;
};

static int open_socket(const struct admin_place *place, struct file_id *file)
{
    const struct unix_owner owner = { place->owner, place->group };
    const struct sock_options options = { .mode = place->mode, .owner = &owner };
    int rc = sock_probe(&place->at);
    return rc < 0 ? rc : sock_bind(&place->at, &options, file);
}

static int tell(FILE *errors, const struct addr *at, int rc)
{
    char text[ADDR_TEXT_MAX];
    fprintf(errors, "[admin] socket: %s: %s\n", addr_print(at, text), sock_bind_strerror(rc));
    return -1;
}

static void on_door_closed(uv_handle_t *handle)
{
    struct admin_door *door = handle->data;
    if (--door->open == 0)
        free(door);
}

static void close_handles(struct admin_door *door)
{
    uv_close((uv_handle_t *)&door->knock, on_door_closed);
    uv_close((uv_handle_t *)&door->retry, on_door_closed);
    close(door->fd);
    (void)reserve_spend(&door->reserve);
}

static int open_door(struct admin *a, int fd, const struct addr *at, const struct file_id *file,
                     struct admin_door **out)
{
    struct admin_door *door = calloc(1, sizeof *door);
    if (door == NULL)
        return -ENOMEM;
    door->admin = a;
    door->at = *at;
    door->file = *file;
    door->fd = fd;
    door->reserve.fd = -1;
    int rc = uv_poll_init(a->loop, &door->knock, fd);
    if (rc < 0) {
        free(door);
        return rc;
    }
    uv_timer_init(a->loop, &door->retry);
    door->knock.data = door->retry.data = door;
    door->open = 2;
    (void)reserve_fill(&door->reserve);
    *out = door;
    return 0;
}

/* Takes the file away as well. */
static void close_door(struct admin_door *door)
{
    if (door == NULL)
        return;
    unix_socket_unlink(&door->at, &door->file);
    close_handles(door);
}

static int listen_at(struct admin_door *door)
{
    int rc = poller_check_loop(door->admin->loop, door->fd);
    if (rc == 0 && listen(door->fd, BACKLOG) == -1)
        rc = -errno;
    return rc < 0 ? rc : uv_poll_start(&door->knock, UV_READABLE, on_knock);
}

static int make_door(struct admin_change *ch, const struct admin_place *place)
{
    struct file_id file;
    int fd = open_socket(place, &file);
    if (fd < 0)
        return fd;
    int rc = open_door(ch->admin, fd, &place->at, &file, &ch->door);
    if (rc < 0) {
        unix_socket_unlink(&place->at, &file);
        close(fd);
    }
    return rc;
}

/* A file that others have removed comes back; where it may not be made again, that is no reason to
 * refuse the change. */
static int prepare_door(struct admin_change *ch, const struct admin_place *place)
{
    const struct admin_door *now = ch->admin->door;
    ch->stays = now != NULL && addr_equal(&now->at, &place->at);
    if (!ch->stays)
        return make_door(ch, place);
    int rc = unix_socket_check(&now->at, &now->file);
    if (rc == -ENOENT && (rc = make_door(ch, place)) == 0)
        ch->stays = false;
    if (rc < 0)
        log_msg(LOG_LEVEL_WARNING, "socket_file", "%s: cannot be reached: %s",
                place->at.un.sun_path, safe_open_strerror(rc));
    return 0;
}

int admin_prepare(struct admin *a, const struct admin_place *place, FILE *errors,
                  struct admin_change **change)
{
    struct admin_change *ch = calloc(1, sizeof *ch);
    if (ch == NULL)
        return tell(errors, &place->at, -ENOMEM);
    ch->admin = a;
    ch->mode = place->mode;
    int rc = place->at.len == 0 ? 0 : prepare_door(ch, place);
    if (rc < 0) {
        free(ch);
        return tell(errors, &place->at, rc);
    }
    *change = ch;
    return 0;
}

int admin_listen(struct admin_change *ch, FILE *errors)
{
    int rc = ch->door == NULL ? 0 : listen_at(ch->door);
    return rc < 0 ? tell(errors, &ch->door->at, rc) : 0;
}

void admin_abandon(struct admin_change *ch)
{
    if (ch == NULL)
        return;
    close_door(ch->door);
    free(ch);
}

void admin_commit(struct admin_change *ch)
{
    struct admin *a = ch->admin;
    if (ch->stays) {
        (void)unix_socket_set_mode(&a->door->at, &a->door->file, ch->mode); /* where we may */
        free(ch);
        return;
    }
    close_door(a->door);
    a->door = ch->door;
    free(ch);
}

int admin_socket(const struct admin *a, struct addr *at, struct file_id *file)
{
    if (a == NULL || a->door == NULL)
        return -1;
    *at = a->door->at;
    *file = a->door->file;
    return a->door->fd;
}

int admin_adopt(struct admin *a, const struct addr *at, const struct file_id *file, int fd)
{
    int rc = open_door(a, fd, at, file, &a->door);
    if (rc < 0)
        close(fd);
    else
        rc = listen_at(a->door);
    return rc;
}

void admin_unlink(const struct admin *a)
{
    if (a != NULL && a->door != NULL)
        unix_socket_unlink(&a->door->at, &a->door->file);
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
    if (a->door != NULL) {
        close(a->door->fd);
        (void)reserve_spend(&a->door->reserve);
    }
    free(a->door);
    free(a);
}
