#include "control/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "control/http_internal.h"
#include "control/http_response.h"
#include "relay/sock.h"

#define SILENCE_S       10          /* without a byte in either direction */
#define EXPIRY_MS       1000        /* between two looks for those whose time is over */
#define MEMORY          (16 * 1024) /* for each client: its request's head must fit */
#define BACKLOG         511         /* who is in it is let in at once */
#define ACCEPTS         16          /* a wake-up */
#define NO_ROOM_MS      100         /* until the next try after accept(2) has failed */
#define CLOSING_CLIENTS 16          /* clients that are gone, and not closed yet */

bool http_is_built(void)
{
    return true;
}

const char *http_version(void)
{
    return MHD_get_version();
}

static void close_adopted(struct http *h)
{
    if (h->adopted != -1)
        close(h->adopted);
    h->adopted = -1;
}

struct http *http_new(uv_loop_t *loop, http_request_fn *request, void *arg)
{
    struct http *h = calloc(1, sizeof *h);
    if (h == NULL)
        return NULL;
    h->loop = loop;
    h->request = request;
    h->arg = arg;
    h->adopted = -1;
    return h;
}

/* ---- a call ---- */

static void call_free(struct http_call *call)
{
    if (call->response != NULL)
        MHD_destroy_response(call->response);
    free(call);
}

const char *http_query(const struct http_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* NULL: it could not be remembered. */
static struct http_client *client_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

static void http_run_soon(struct http_listener *listener);

void http_answer(struct http_call *call, const struct http_answer *a)
{
    call->status = a->status;
    if (call->listener == NULL) {
        http_response_drop(a);
        call_free(call);
        return;
    }
    struct http_client *client = client_of(call->connection);
    client->pending = false;
    call->response = http_response_new(a, &call->listener->clients, client);
    bool pending = call->state == CALL_ASKED && !call->asking;
    call->state = CALL_ANSWERED;
    if (pending) {
        MHD_resume_connection(call->connection);
        http_run_soon(call->listener);
    }
}

/* ---- what the library asks for ---- */

static enum MHD_Result queue_text(struct MHD_Connection *c, unsigned status, const char *text)
{
    const struct http_answer a = { .status = status,
                                   .type = "text/plain; charset=utf-8",
                                   .text = strdup(text),
                                   .length = strlen(text) };
    struct MHD_Response *r =
        http_response_new(&a, NULL, NULL); /* it is short: no one reads for it */
    if (r == NULL)
        return MHD_NO;                         /* closes it */
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) /* for lack of memory it goes without */
        (void)MHD_add_response_header(r, "Allow", "GET, HEAD");
    enum MHD_Result rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static bool is_method_known(const char *method)
{
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

/* RFC 9112, 3.2.2: what a client sends to a proxy, "http://host/path", every server takes. */
static const char *path_of(const char *target)
{
    static const char scheme[] = "http://";
    if (strncasecmp(target, scheme, sizeof scheme - 1) != 0)
        return target;
    const char *path = strchr(target + sizeof scheme - 1, '/');
    return path == NULL ? "/" : path;
}

static enum MHD_Result http_run_request(struct http_call *call, const char *path)
{
    struct http *h = call->listener->http;
    struct http_client *client = client_of(call->connection);
    client->requested = client->pending = true;
    http_clients_touch(&call->listener->clients, client, 0);
    call->state = CALL_ASKED;
    call->asking = true;
    h->request(h->arg, call, path_of(path));
    call->asking = false;
    if (call->state == CALL_ASKED)
        MHD_suspend_connection(call->connection);
    return MHD_YES;
}

static enum MHD_Result http_send_answer(struct http_call *call)
{
    if (call->response == NULL)
        return MHD_NO;
    return MHD_queue_response(call->connection, call->status, call->response);
}

static struct http_call *call_new(struct http_listener *listener, struct MHD_Connection *c)
{
    struct http_call *call = client_of(c) == NULL ? NULL : calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    call->listener = listener;
    call->connection = c;
    LIST_INSERT_HEAD(&listener->calls, call, in_listener);
    return call;
}

/* Called when the head has been read, when the rest has, and when a suspended one goes on. */
static enum MHD_Result http_on_request(void *arg, struct MHD_Connection *c, const char *path,
                                       const char *method, const char *version, const char *upload,
                                       size_t *upload_size, void **context)
{
    struct http_call *call = *context;
    (void)version;
    (void)upload;
    if (!is_method_known(method))
        return queue_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    if (call == NULL)
        return (*context = call_new(arg, c)) == NULL ? MHD_NO : MHD_YES;
    if (*upload_size > 0) { /* a body that nobody wants */
        *upload_size = 0;
        return MHD_YES;
    }
    if (call->state == CALL_NEW)
        (void)http_run_request(call, path);
    return call->state == CALL_ANSWERED ? http_send_answer(call) : MHD_YES;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **context,
                         enum MHD_RequestTerminationCode why)
{
    struct http_call *call = *context;
    (void)arg;
    (void)c;
    (void)why;
    *context = NULL;
    if (call == NULL)
        return;
    LIST_REMOVE(call, in_listener);
    call->listener = NULL;
    if (call->state != CALL_ASKED)
        call_free(call);
}

static void on_expire(uv_timer_t *timer);

static void client_start(struct http_listener *listener, struct MHD_Connection *c, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct http_client *client = info == NULL ? NULL : calloc(1, sizeof *client);
    *context = client;
    if (client == NULL)
        return; /* its silence is still bounded, and it is not answered */
    http_clients_add(&listener->clients, client, info->connect_fd, uv_now(listener->http->loop));
    if (!uv_is_active((const uv_handle_t *)&listener->expiry) &&
        !uv_is_closing((const uv_handle_t *)&listener->expiry))
        deadline_start(&listener->expiry, on_expire, EXPIRY_MS);
}

static void on_client(void *arg, struct MHD_Connection *c, void **context,
                      enum MHD_ConnectionNotificationCode code)
{
    struct http_listener *listener = arg;
    struct http_client *client = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        client_start(listener, c, context);
    } else if (client != NULL) {
        http_clients_remove(&listener->clients, client);
        free(client);
        *context = NULL;
        listener->reserve_spent |= listener->fd_reserve.fd == -1;
    }
}

/* ---- the loop ---- */

static void http_run(struct http_listener *listener);

static void http_on_timer(uv_timer_t *timer)
{
    http_run(timer->data);
}

static void http_on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    http_run(poll->data);
}

static void http_run_soon(struct http_listener *listener)
{
    if (!uv_is_closing((const uv_handle_t *)&listener->timer))
        uv_timer_start(&listener->timer, http_on_timer, 0, 0);
}

static void http_run(struct http_listener *listener)
{
    MHD_UNSIGNED_LONG_LONG due = 0;
    MHD_run(listener->daemon);
    if (listener->reserve_spent)
        listener->reserve_spent = !fd_reserve_fill(&listener->fd_reserve);
    if (uv_is_closing((const uv_handle_t *)&listener->timer))
        return;
    if (MHD_get_timeout(listener->daemon, &due) == MHD_YES)
        uv_timer_start(&listener->timer, http_on_timer, due, 0);
    else
        uv_timer_stop(&listener->timer);
}

/* The library notices that a socket has been shut when it next looks. */
static void on_expire(uv_timer_t *timer)
{
    struct http_listener *listener = timer->data;
    http_clients_expire(&listener->clients, uv_now(timer->loop));
    if (!TAILQ_EMPTY(&listener->clients.all))
        deadline_start(&listener->expiry, on_expire, EXPIRY_MS);
}

/* ---- new clients ---- */

static void on_listen_poll(uv_poll_t *poll, int status, int events);

static void on_accept_retry(uv_timer_t *timer)
{
    struct http_listener *listener = timer->data;
    uv_poll_start(&listener->listen_poll, UV_READABLE, on_listen_poll);
}

/* For want of descriptors, or memory: who has asked is answered first, else a silent one goes.
 * Until then the socket, on which a client waits, would wake the loop again and again. */
static void http_accept_failed(struct http_listener *listener)
{
    http_run(listener);
    if (listener->fd_reserve.fd == -1 && http_clients_evict(&listener->clients))
        http_run(listener);
    uv_poll_stop(&listener->listen_poll);
    uv_timer_start(&listener->retry, on_accept_retry, NO_ROOM_MS, 0);
}

/* Returns whether there may be another one. */
static bool http_accept(struct http_listener *listener)
{
    struct sockaddr_storage from;
    socklen_t len = 0;
    int fd = http_clients_accept(listener->fd, &listener->fd_reserve, &from, &len);
    if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS)
        http_accept_failed(listener);
    if (fd < 0)
        return fd == -ECONNABORTED;
    if (listener->clients.count >= HTTP_CLIENTS_MAX)
        MHD_run(listener->daemon); /* what they have sent is looked at first */
    if (listener->clients.count >= HTTP_CLIENTS_MAX && http_clients_evict(&listener->clients))
        MHD_run(listener->daemon); /* closes it */
    (void)MHD_add_connection(listener->daemon, fd, (struct sockaddr *)&from,
                             len); /* or closes fd */
    return listener->fd_reserve.fd != -1;
}

static void on_listen_poll(uv_poll_t *poll, int status, int events)
{
    struct http_listener *listener = poll->data;
    (void)status;
    (void)events;
    for (int n = 0; n < ACCEPTS && http_accept(listener); n++) {
    }
    http_run(listener);
}

/* ---- the socket ---- */

struct http_change {
    struct http *http;
    bool stays; /* as it is */
    struct http_listener *listener;
};

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

/* Calls that are not answered yet lose their clients. */
static void stop_daemon(struct http_listener *listener)
{
    struct http_call *call;
    if (listener->daemon == NULL)
        return;
    LIST_FOREACH(call, &listener->calls, in_listener)
        if (call->state == CALL_ASKED)
            MHD_resume_connection(call->connection);
    MHD_stop_daemon(listener->daemon);
    listener->daemon = NULL;
}

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
    stop_daemon(listener);
    if (listener->fd != -1)
        close(listener->fd);
    if (listener->handles == 0)
        listener_free(listener);
}

static int start_daemon(struct http_listener *listener)
{
    listener->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0,
                         NULL, NULL, http_on_request, listener, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)(HTTP_CLIENTS_MAX + CLOSING_CLIENTS),
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
                         MHD_OPTION_NOTIFY_COMPLETED, on_completed, listener,
                         MHD_OPTION_NOTIFY_CONNECTION, on_client, listener,
                         MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    return listener->daemon == NULL ? -ENOMEM : 0;
}

static int watch_daemon(struct http_listener *listener)
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
    listener->handles = rc == 0 ? LISTENER_HANDLES : LISTENER_HANDLES - 1; /* without knock */
    return rc;
}

void http_adopt(struct http *h, const struct addr *at, const struct file_id *file, int fd)
{
    close_adopted(h);
    h->adopted = fd;
    h->adopted_at = *at;
    h->adopted_file = *file;
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
    int rc = ours ? 0 : sock_probe(at);
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
    int rc = listener->fd < 0 ? listener->fd : start_daemon(listener);
    if (rc == 0)
        rc = watch_daemon(listener);
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

static int http_print_error(FILE *errors, const struct addr *at, int rc)
{
    char text[ADDR_TEXT_MAX];
    fprintf(errors, "[admin] http: %s: %s\n", addr_print(at, text), sock_bind_strerror(rc));
    return -1;
}

/* The file of a unix socket that others have removed comes back; where it may not be made again,
 * that is no reason to refuse the change. */
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
            uv_poll_start(&h->listener->listen_poll, UV_READABLE, on_listen_poll);
        }
    }
    free(c);
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

/* Its handles have been closed with the loop. */
void http_free(struct http *h)
{
    if (h == NULL)
        return;
    close_adopted(h);
    if (h->listener != NULL) {
        stop_daemon(h->listener);
        close(h->listener->fd);
        listener_free(h->listener);
    }
    free(h);
}
