#include "control/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "control/http_inside.h"
#include "control/http_response.h"
#include "relay/sock.h"

#define SILENCE_S  10          /* without a byte in either direction */
#define SWEEP_MS   1000        /* between two looks for those whose time is over */
#define MEMORY     (16 * 1024) /* for each client: its request's head must fit */
#define BACKLOG    511         /* who is in it is let in at once */
#define ACCEPTS    16          /* a wake-up */
#define NO_ROOM_MS 100         /* until the next try after accept(2) has failed */
#define SPARE      16          /* clients that are gone, and not closed yet */

bool http_is_built(void)
{
    return true;
}

const char *http_version(void)
{
    return MHD_get_version();
}

static void drop_adopted(struct http *h)
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

static void run_soon(struct http_door *door);

void http_answer(struct http_call *call, const struct http_answer *a)
{
    call->status = a->status;
    if (call->door == NULL) {
        http_response_drop(a);
        call_free(call);
        return;
    }
    struct http_client *client = client_of(call->connection);
    client->waits = false;
    call->response = http_response_new(a, &call->door->clients, client);
    bool waits = call->state == CALL_ASKED && !call->asking;
    call->state = CALL_ANSWERED;
    if (waits) {
        MHD_resume_connection(call->connection);
        run_soon(call->door);
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

static enum MHD_Result ask(struct http_call *call, const char *path)
{
    struct http *h = call->door->http;
    struct http_client *client = client_of(call->connection);
    client->asked = client->waits = true;
    http_clients_heard(&call->door->clients, client, 0);
    call->state = CALL_ASKED;
    call->asking = true;
    h->request(h->arg, call, path_of(path));
    call->asking = false;
    if (call->state == CALL_ASKED)
        MHD_suspend_connection(call->connection);
    return MHD_YES;
}

static enum MHD_Result send_answer(struct http_call *call)
{
    if (call->response == NULL)
        return MHD_NO;
    return MHD_queue_response(call->connection, call->status, call->response);
}

static struct http_call *call_new(struct http_door *door, struct MHD_Connection *c)
{
    struct http_call *call = client_of(c) == NULL ? NULL : calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    call->door = door;
    call->connection = c;
    LIST_INSERT_HEAD(&door->calls, call, in_door);
    return call;
}

/* Called when the head has been read, when the rest has, and when a suspended one goes on. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *path,
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
        (void)ask(call, path);
    return call->state == CALL_ANSWERED ? send_answer(call) : MHD_YES;
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
    LIST_REMOVE(call, in_door);
    call->door = NULL;
    if (call->state != CALL_ASKED)
        call_free(call);
}

static void on_sweep(uv_timer_t *timer);

static void client_begin(struct http_door *door, struct MHD_Connection *c, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct http_client *client = info == NULL ? NULL : calloc(1, sizeof *client);
    *context = client;
    if (client == NULL)
        return; /* its silence is still bounded, and it is not answered */
    http_clients_add(&door->clients, client, info->connect_fd, uv_now(door->http->loop));
    if (!uv_is_active((const uv_handle_t *)&door->sweep) &&
        !uv_is_closing((const uv_handle_t *)&door->sweep))
        deadline_start(&door->sweep, on_sweep, SWEEP_MS);
}

static void on_client(void *arg, struct MHD_Connection *c, void **context,
                      enum MHD_ConnectionNotificationCode code)
{
    struct http_door *door = arg;
    struct http_client *client = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        client_begin(door, c, context);
    } else if (client != NULL) {
        http_clients_remove(&door->clients, client);
        free(client);
        *context = NULL;
        door->spent |= door->reserve.fd == -1;
    }
}

/* ---- the loop ---- */

static void run(struct http_door *door);

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(poll->data);
}

static void run_soon(struct http_door *door)
{
    if (!uv_is_closing((const uv_handle_t *)&door->timer))
        uv_timer_start(&door->timer, on_timer, 0, 0);
}

static void run(struct http_door *door)
{
    MHD_UNSIGNED_LONG_LONG due = 0;
    MHD_run(door->daemon);
    if (door->spent)
        door->spent = !reserve_fill(&door->reserve);
    if (uv_is_closing((const uv_handle_t *)&door->timer))
        return;
    if (MHD_get_timeout(door->daemon, &due) == MHD_YES)
        uv_timer_start(&door->timer, on_timer, due, 0);
    else
        uv_timer_stop(&door->timer);
}

/* The library notices that a socket has been shut when it next looks. */
static void on_sweep(uv_timer_t *timer)
{
    struct http_door *door = timer->data;
    http_clients_sweep(&door->clients, uv_now(timer->loop));
    if (!TAILQ_EMPTY(&door->clients.all))
        deadline_start(&door->sweep, on_sweep, SWEEP_MS);
}

/* ---- new clients ---- */

static void on_knock(uv_poll_t *poll, int status, int events);

static void on_again(uv_timer_t *timer)
{
    struct http_door *door = timer->data;
    uv_poll_start(&door->knock, UV_READABLE, on_knock);
}

/* For want of descriptors, or memory: who has asked is answered first, else a silent one goes.
 * Until then the socket, on which a client waits, would wake the loop again and again. */
static void accept_failed(struct http_door *door)
{
    run(door);
    if (door->reserve.fd == -1 && http_clients_evict(&door->clients))
        run(door);
    uv_poll_stop(&door->knock);
    uv_timer_start(&door->again, on_again, NO_ROOM_MS, 0);
}

/* Returns whether there may be another one. */
static bool let_in(struct http_door *door)
{
    struct sockaddr_storage from;
    socklen_t len = 0;
    int fd = http_clients_accept(door->fd, &door->reserve, &from, &len);
    if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS)
        accept_failed(door);
    if (fd < 0)
        return fd == -ECONNABORTED;
    if (door->clients.count >= HTTP_CLIENTS_MAX)
        MHD_run(door->daemon); /* what they have sent is looked at first */
    if (door->clients.count >= HTTP_CLIENTS_MAX && http_clients_evict(&door->clients))
        MHD_run(door->daemon);                                                 /* closes it */
    (void)MHD_add_connection(door->daemon, fd, (struct sockaddr *)&from, len); /* or closes fd */
    return door->reserve.fd != -1;
}

static void on_knock(uv_poll_t *poll, int status, int events)
{
    struct http_door *door = poll->data;
    (void)status;
    (void)events;
    for (int n = 0; n < ACCEPTS && let_in(door); n++) {
    }
    run(door);
}

/* ---- the socket ---- */

struct http_change {
    struct http *http;
    bool stays; /* as it is */
    struct http_door *door;
};

#define DOOR_HANDLES 5

static void door_free(struct http_door *door)
{
    (void)reserve_spend(&door->reserve);
    free(door);
}

static void on_door_closed(uv_handle_t *handle)
{
    struct http_door *door = handle->data;
    if (--door->handles == 0)
        door_free(door);
}

/* Calls that are not answered yet lose their clients. */
static void stop_daemon(struct http_door *door)
{
    struct http_call *call;
    if (door->daemon == NULL)
        return;
    LIST_FOREACH(call, &door->calls, in_door)
        if (call->state == CALL_ASKED)
            MHD_resume_connection(call->connection);
    MHD_stop_daemon(door->daemon);
    door->daemon = NULL;
}

static void close_door(struct http_door *door)
{
    if (door == NULL)
        return;
    if (door->handles > 0) {
        uv_poll_stop(&door->poll);
        uv_close((uv_handle_t *)&door->poll, on_door_closed);
        if (door->handles == DOOR_HANDLES) {
            uv_poll_stop(&door->knock);
            uv_close((uv_handle_t *)&door->knock, on_door_closed);
        }
        uv_close((uv_handle_t *)&door->timer, on_door_closed);
        uv_close((uv_handle_t *)&door->again, on_door_closed);
        uv_close((uv_handle_t *)&door->sweep, on_door_closed);
    }
    unix_socket_unlink(&door->at, &door->file);
    stop_daemon(door);
    if (door->fd != -1)
        close(door->fd);
    if (door->handles == 0)
        door_free(door);
}

static int start_daemon(struct http_door *door)
{
    door->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0,
                         NULL, NULL, on_request, door, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)(HTTP_CLIENTS_MAX + SPARE), MHD_OPTION_CONNECTION_TIMEOUT,
                         (unsigned)SILENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
                         MHD_OPTION_NOTIFY_COMPLETED, on_completed, door,
                         MHD_OPTION_NOTIFY_CONNECTION, on_client, door,
                         MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    return door->daemon == NULL ? -ENOMEM : 0;
}

static int watch_daemon(struct http_door *door)
{
    uv_loop_t *loop = door->http->loop;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(door->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int rc = info == NULL ? -EINVAL : uv_poll_init(loop, &door->poll, info->epoll_fd);
    if (rc < 0)
        return rc;
    rc = uv_poll_init(loop, &door->knock, door->fd);
    uv_timer_init(loop, &door->timer);
    uv_timer_init(loop, &door->again);
    deadline_init(&door->sweep, loop);
    door->poll.data = door->knock.data = door->timer.data = door->again.data =
        door->sweep.timer.data = door;
    door->handles = rc == 0 ? DOOR_HANDLES : DOOR_HANDLES - 1; /* without knock */
    return rc;
}

void http_adopt(struct http *h, const struct addr *at, const struct file_id *file, int fd)
{
    drop_adopted(h);
    h->adopted = fd;
    h->adopted_at = *at;
    h->adopted_file = *file;
}

static int open_socket(struct http *h, const struct addr *at, struct file_id *file)
{
    static const struct sock_options options = { .nodelay = true };
    if (h->adopted != -1 && addr_equal(&h->adopted_at, at)) {
        int fd = h->adopted;
        *file = h->adopted_file;
        h->adopted = -1;
        return fd;
    }
    bool ours = h->door != NULL && addr_overlap(&h->door->at, at);
    int rc = ours ? 0 : sock_probe(at);
    return rc < 0 ? rc : sock_bind(at, &options, file);
}

static int open_door(struct http *h, const struct addr *at, struct http_door **out)
{
    struct http_door *door = calloc(1, sizeof *door);
    if (door == NULL)
        return -ENOMEM;
    door->http = h;
    door->at = *at;
    http_clients_init(&door->clients);
    door->reserve.fd = -1;
    (void)reserve_fill(&door->reserve);
    door->fd = open_socket(h, at, &door->file);
    int rc = door->fd < 0 ? door->fd : start_daemon(door);
    if (rc == 0)
        rc = watch_daemon(door);
    if (rc == 0) {
        *out = door;
        return 0;
    }
    if (door->fd < 0)
        door_free(door);
    else
        close_door(door);
    return rc;
}

static int tell(FILE *errors, const struct addr *at, int rc)
{
    char text[ADDR_TEXT_MAX];
    fprintf(errors, "[admin] http: %s: %s\n", addr_print(at, text), sock_bind_strerror(rc));
    return -1;
}

/* The file of a unix socket that others have removed comes back; where it may not be made again,
 * that is no reason to refuse the change. */
static int prepare_door(struct http_change *c, const struct addr *at)
{
    const struct http_door *now = c->http->door;
    c->stays = now != NULL && addr_equal(&now->at, at);
    if (!c->stays)
        return open_door(c->http, at, &c->door);
    int rc = unix_socket_check(at, &now->file);
    if (rc == -ENOENT && (rc = open_door(c->http, at, &c->door)) == 0)
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
        return tell(errors, at, -ENOMEM);
    c->http = h;
    int rc = at->len == 0 ? 0 : prepare_door(c, at);
    if (rc < 0) {
        free(c);
        return tell(errors, at, rc);
    }
    *change = c;
    return 0;
}

int http_listen(struct http_change *c, FILE *errors)
{
    if (c->door == NULL || listen(c->door->fd, BACKLOG) == 0)
        return 0;
    return tell(errors, &c->door->at, -errno);
}

void http_abandon(struct http_change *c)
{
    if (c == NULL)
        return;
    close_door(c->door);
    free(c);
}

void http_commit(struct http_change *c)
{
    struct http *h = c->http;
    if (!c->stays) {
        close_door(h->door);
        h->door = c->door;
        if (h->door != NULL) {
            uv_poll_start(&h->door->poll, UV_READABLE, on_poll);
            uv_poll_start(&h->door->knock, UV_READABLE, on_knock);
        }
    }
    free(c);
}

int http_socket(const struct http *h, struct addr *at, struct file_id *file)
{
    if (h->door == NULL)
        return -1;
    *at = h->door->at;
    *file = h->door->file;
    return h->door->fd;
}

void http_unlink(const struct http *h)
{
    if (h != NULL && h->door != NULL)
        unix_socket_unlink(&h->door->at, &h->door->file);
}

/* Its handles have been closed with the loop. */
void http_free(struct http *h)
{
    if (h == NULL)
        return;
    drop_adopted(h);
    if (h->door != NULL) {
        stop_daemon(h->door);
        close(h->door->fd);
        door_free(h->door);
    }
    free(h);
}
