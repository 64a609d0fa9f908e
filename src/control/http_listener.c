#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "control/http_internal.h"
#include "relay/sock.h"

#define BACKLOG  511
#define ACCEPTS  16  /* clients accepted in one wake-up of the loop */
#define RETRY_MS 100 /* until the next try after accept(2) has failed */

/* ---- accepting ---- */

static void http_on_connection(uv_poll_t *poll, int status, int events);

static void on_accept_retry(uv_timer_t *timer)
{
    struct http_listener *listener = timer->data;
    uv_poll_start(&listener->listen_poll, UV_READABLE, http_on_connection);
}

/* Stops accepting for a while: the client stays in the backlog, and the poll handle would wake the
 * loop again at once. Answers that are ready are sent first, and if that has freed no descriptor, a
 * client that is silent is shut down. */
static void http_pause(struct http_listener *listener)
{
    http_run(listener);
    if (listener->fd_reserve.fd == -1 && http_clients_evict(&listener->clients))
        http_run(listener);
    uv_poll_stop(&listener->listen_poll);
    uv_timer_start(&listener->retry, on_accept_retry, RETRY_MS, 0);
}

/* Returns whether another client may be there. */
static bool http_accept(struct http_listener *listener)
{
    struct sockaddr_storage from;
    socklen_t len = 0;
    int fd = http_clients_accept(listener->fd, &listener->fd_reserve, &from, &len);
    if (fd == -ECONNABORTED || fd == -EINTR)
        return true;
    if (fd < 0) {
        if (fd != -EAGAIN) /* any other error may last, and would come back at once */
            http_pause(listener);
        return false;
    }
    if (listener->clients.count >= HTTP_CLIENTS_MAX)
        MHD_run(listener->daemon); /* some may have sent their requests meanwhile */
    if (listener->clients.count >= HTTP_CLIENTS_MAX && http_clients_evict(&listener->clients))
        MHD_run(listener->daemon); /* closes the evicted one */
    (void)MHD_add_connection(listener->daemon, fd, (struct sockaddr *)&from,
                             len); /* or closes fd */
    return listener->fd_reserve.fd != -1;
}

static void http_on_connection(uv_poll_t *poll, int status, int events)
{
    struct http_listener *listener = poll->data;
    (void)status;
    (void)events;
    for (int n = 0; n < ACCEPTS && http_accept(listener); n++) {
    }
    http_run(listener);
}

static void http_on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    http_run(poll->data);
}

/* ---- open and close ---- */

#define LISTENER_HANDLES 5

static void listener_free(struct http_listener *listener)
{
    (void)fd_reserve_release(&listener->fd_reserve);
    free(listener);
}

static void http_on_listener_closed(uv_handle_t *handle)
{
    struct http_listener *listener = handle->data;
    if (--listener->handles == 0)
        listener_free(listener);
}

/* Also removes the file of a unix socket. */
static void http_close_listener(struct http_listener *listener)
{
    if (listener == NULL)
        return;
    if (listener->handles > 0) {
        uv_poll_stop(&listener->poll);
        uv_close((uv_handle_t *)&listener->poll, http_on_listener_closed);
        if (listener->handles == LISTENER_HANDLES) {
            uv_poll_stop(&listener->listen_poll);
            uv_close((uv_handle_t *)&listener->listen_poll, http_on_listener_closed);
        }
        uv_close((uv_handle_t *)&listener->timer, http_on_listener_closed);
        uv_close((uv_handle_t *)&listener->retry, http_on_listener_closed);
        uv_close((uv_handle_t *)&listener->expiry, http_on_listener_closed);
    }
    unix_socket_unlink(&listener->at, &listener->file);
    http_stop_daemon(listener);
    if (listener->fd != -1)
        close(listener->fd);
    if (listener->handles == 0)
        listener_free(listener);
}

void http_free_listener(struct http_listener *listener)
{
    if (listener == NULL)
        return;
    http_stop_daemon(listener);
    close(listener->fd);
    listener_free(listener);
}

static int http_init_handles(struct http_listener *listener)
{
    uv_loop_t *loop = listener->http->loop;
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int rc = info == NULL ? -EINVAL : uv_poll_init(loop, &listener->poll, info->epoll_fd);
    if (rc < 0)
        return rc;
    rc = uv_poll_init(loop, &listener->listen_poll, listener->fd);
    uv_timer_init(loop, &listener->timer);
    uv_timer_init(loop, &listener->retry);
    deadline_init(&listener->expiry, loop);
    listener->poll.data = listener->listen_poll.data = listener->timer.data = listener->retry.data =
        listener->expiry.timer.data = listener;
    listener->handles = rc == 0 ? LISTENER_HANDLES : LISTENER_HANDLES - 1; /* no listen_poll */
    return rc;
}

static int http_open_socket(struct http *h, const struct addr *at, struct file_id *file)
{
    static const struct sock_options options = { .nodelay = true };
    if (h->adopted != -1 && addr_equal(&h->adopted_at, at)) {
        int fd = h->adopted;
        *file = h->adopted_file;
        h->adopted = -1;
        return fd;
    }
    bool ours = h->listener != NULL && addr_overlap(&h->listener->at, at);
    int rc = ours ? 0 : sock_probe(at, NULL);
    return rc < 0 ? rc : sock_bind(at, &options, file);
}

static int http_open_listener(struct http *h, const struct addr *at, struct http_listener **out)
{
    struct http_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL)
        return -ENOMEM;
    listener->http = h;
    listener->at = *at;
    http_clients_init(&listener->clients);
    listener->fd_reserve.fd = -1;
    (void)fd_reserve_fill(&listener->fd_reserve);
    listener->fd = http_open_socket(h, at, &listener->file);
    int rc = listener->fd < 0 ? listener->fd : http_start_daemon(listener);
    if (rc == 0)
        rc = http_init_handles(listener);
    if (rc == 0) {
        *out = listener;
        return 0;
    }
    if (listener->fd < 0)
        listener_free(listener);
    else
        http_close_listener(listener);
    return rc;
}

/* ---- a change of the socket ---- */

struct http_change {
    struct http *http;
    bool stays; /* the listener that http has */
    struct http_listener *listener;
};

static int http_print_error(FILE *errors, const struct addr *at, int rc)
{
    char text[ADDR_TEXT_MAX];
    fprintf(errors, "[admin] http: %s: %s\n", addr_print(at, text), sock_bind_strerror(rc));
    return -1;
}

/* If the file of a unix socket was removed by others, makes the socket again. If that fails, a
 * warning is logged and the change goes on. */
static int http_prepare_listener(struct http_change *c, const struct addr *at)
{
    const struct http_listener *now = c->http->listener;
    c->stays = now != NULL && addr_equal(&now->at, at);
    if (!c->stays)
        return http_open_listener(c->http, at, &c->listener);
    int rc = unix_socket_check(at, &now->file);
    if (rc == -ENOENT && (rc = http_open_listener(c->http, at, &c->listener)) == 0)
        c->stays = false;
    if (rc < 0)
        log_msg(LOG_LEVEL_WARNING, "socket_file", "%s: cannot be reached: %s", at->un.sun_path,
                safe_open_strerror(rc));
    return 0;
}

int http_prepare(struct http *h, const struct addr *at, FILE *errors, struct http_change **change)
{
    struct http_change *c = calloc(1, sizeof *c);
    if (c == NULL)
        return http_print_error(errors, at, -ENOMEM);
    c->http = h;
    int rc = at->len == 0 ? 0 : http_prepare_listener(c, at);
    if (rc < 0) {
        free(c);
        return http_print_error(errors, at, rc);
    }
    *change = c;
    return 0;
}

int http_listen(struct http_change *c, FILE *errors)
{
    if (c->listener == NULL || listen(c->listener->fd, BACKLOG) == 0)
        return 0;
    return http_print_error(errors, &c->listener->at, -errno);
}

void http_abort(struct http_change *c)
{
    if (c == NULL)
        return;
    http_close_listener(c->listener);
    free(c);
}

void http_commit(struct http_change *c)
{
    struct http *h = c->http;
    if (!c->stays) {
        http_close_listener(h->listener);
        h->listener = c->listener;
        if (h->listener != NULL) {
            uv_poll_start(&h->listener->poll, UV_READABLE, http_on_poll);
            uv_poll_start(&h->listener->listen_poll, UV_READABLE, http_on_connection);
        }
    }
    free(c);
}

/* ---- handover ---- */

void http_adopt(struct http *h, const struct addr *at, const struct file_id *file, int fd)
{
    if (h->adopted != -1)
        close(h->adopted);
    h->adopted = fd;
    h->adopted_at = *at;
    h->adopted_file = *file;
}

int http_socket(const struct http *h, struct addr *at, struct file_id *file)
{
    if (h->listener == NULL)
        return -1;
    *at = h->listener->at;
    *file = h->listener->file;
    return h->listener->fd;
}

void http_unlink(const struct http *h)
{
    if (h != NULL && h->listener != NULL)
        unix_socket_unlink(&h->listener->at, &h->listener->file);
}
