#include "control/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "control/http_internal.h"
#include "control/http_response.h"

#define SILENCE_S        10          /* without a byte in either direction */
#define EXPIRY_MS        1000        /* from one check of the clients' deadlines to the next */
#define MEMORY           (16 * 1024) /* of each client; a request's head must fit */
#define FINISH_CLIENT_MS 200         /* a new client is expected to send its request by then */

static const char text_plain[] = "text/plain; charset=utf-8";

bool http_is_built(void)
{
    return true;
}

const char *http_version(void)
{
    return MHD_get_version();
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

void http_free(struct http *h)
{
    if (h == NULL)
        return;
    if (h->adopted != -1)
        close(h->adopted);
    http_free_listener(h->listener);
    free(h);
}

/* ---- calls ---- */

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

/* NULL: memory was short when the client connected. */
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
    bool suspended = call->state == CALL_ASKED && !call->asking;
    call->state = CALL_ANSWERED;
    if (suspended) {
        MHD_resume_connection(call->connection);
        http_run_soon(call->listener);
    }
}

/* ---- callbacks of the library ---- */

static enum MHD_Result queue_text(struct MHD_Connection *c, unsigned status, const char *text)
{
    const struct http_answer a = {
        .status = status, .type = text_plain, .text = strdup(text), .length = strlen(text)
    };
    struct MHD_Response *r = http_response_new(&a, NULL, NULL); /* too short to need a reader */
    if (r == NULL)
        return MHD_NO;                         /* closes the connection */
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) /* without memory it is sent without the header */
        (void)MHD_add_response_header(r, "Allow", "GET, HEAD");
    enum MHD_Result rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static bool is_method_known(const char *method)
{
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

/* RFC 9112, 3.2.2: a server must accept the form that clients send to a proxy,
 * "http://host/path". */
static const char *path_of(const char *target)
{
    static const char scheme[] = "http://";
    if (strncasecmp(target, scheme, sizeof scheme - 1) != 0)
        return target;
    const char *path = strchr(target + sizeof scheme - 1, '/');
    return path == NULL ? "/" : path;
}

static void http_run_request(struct http_call *call, const char *path)
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

/* Called when the head of a request has been read, for each piece of its body, at its end, and when
 * a suspended connection is resumed. */
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
    if (*upload_size > 0) { /* a body is read and dropped */
        *upload_size = 0;
        return MHD_YES;
    }
    if (call->state == CALL_NEW)
        http_run_request(call, path);
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
        return; /* it gets no answer; the library closes it after SILENCE_S */
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
        listener->refill_reserve |= listener->fd_reserve.fd == -1;
    }
}

/* ---- the library on the loop ---- */

static void http_on_timer(uv_timer_t *timer)
{
    http_run(timer->data);
}

static void http_run_soon(struct http_listener *listener)
{
    if (!uv_is_closing((const uv_handle_t *)&listener->timer))
        uv_timer_start(&listener->timer, http_on_timer, 0, 0);
}

void http_run(struct http_listener *listener)
{
    MHD_UNSIGNED_LONG_LONG due = 0;
    MHD_run(listener->daemon);
    if (listener->refill_reserve)
        listener->refill_reserve = !fd_reserve_fill(&listener->fd_reserve);
    if (uv_is_closing((const uv_handle_t *)&listener->timer))
        return;
    if (MHD_get_timeout(listener->daemon, &due) == MHD_YES)
        uv_timer_start(&listener->timer, http_on_timer, due, 0);
    else
        uv_timer_stop(&listener->timer);
}

/* The library finds that a client has been shut down when it next runs. */
static void on_expire(uv_timer_t *timer)
{
    struct http_listener *listener = timer->data;
    http_clients_expire(&listener->clients, uv_now(timer->loop));
    if (!TAILQ_EMPTY(&listener->clients.all))
        deadline_start(&listener->expiry, on_expire, EXPIRY_MS);
}

int http_start_daemon(struct http_listener *listener)
{
    listener->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0,
                         NULL, NULL, http_on_request, listener, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)(HTTP_CLIENTS_MAX + HTTP_CLIENTS_CLOSING),
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
                         MHD_OPTION_NOTIFY_COMPLETED, on_completed, listener,
                         MHD_OPTION_NOTIFY_CONNECTION, on_client, listener,
                         MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    return listener->daemon == NULL ? -ENOMEM : 0;
}

void http_stop_daemon(struct http_listener *listener)
{
    struct http_call *call;
    if (listener->daemon == NULL)
        return;
    LIST_FOREACH(call, &listener->calls, in_listener)
        if (call->state == CALL_ASKED)
            MHD_resume_connection(call->connection); /* MHD_stop_daemon(3) demands it */
    MHD_stop_daemon(listener->daemon);
    listener->daemon = NULL;
}

/* ---- after a handover ---- */

static void http_refuse(void *arg, struct http_call *call, const char *path)
{
    static const char text[] = "zproxy is being upgraded, ask again\n";
    const struct http_answer a = { .status = MHD_HTTP_SERVICE_UNAVAILABLE,
                                   .type = text_plain,
                                   .text = strdup(text),
                                   .length = sizeof text - 1 };
    (void)arg;
    (void)path;
    http_answer(call, &a);
}

/* Refuses the calls that wait for an answer, which will not come, and all that are still to come.
 */
static void http_begin_refusing(struct http_listener *listener)
{
    struct http_call *call;
    listener->http->request = http_refuse;
    LIST_FOREACH(call, &listener->calls, in_listener)
        if (call->state == CALL_ASKED)
            http_refuse(NULL, call, NULL);
}

static bool is_unfinished(const struct http_client *c)
{
    return !c->shut_down && (c->requested || uv_hrtime() / 1000000 - c->began < FINISH_CLIENT_MS);
}

/* The library removes a client when its answer is sent: each connection is for one request. */
bool http_finish(struct http *h)
{
    const struct http_client *client;
    if (h == NULL || h->listener == NULL || h->listener->daemon == NULL)
        return false;
    if (h->request != http_refuse)
        http_begin_refusing(h->listener);
    MHD_run(h->listener->daemon);
    TAILQ_FOREACH(client, &h->listener->clients.all, in_clients)
        if (is_unfinished(client))
            return true;
    return false;
}
