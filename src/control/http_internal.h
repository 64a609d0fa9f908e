/* What http.c and http_listener.c share: the listening socket, the library's daemon, the calls. */
#ifndef ZPROXY_CONTROL_HTTP_INTERNAL_H
#define ZPROXY_CONTROL_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "base/deadline.h"
#include "control/http.h"
#include "control/http_clients.h"

enum call_state {
    CALL_NEW,      /* its head has been read */
    CALL_ASKED,    /* its connection is suspended until the answer comes */
    CALL_ANSWERED, /* response is there */
};

/* Freed when it has been answered and its client has been served or has gone. */
struct http_call {
    LIST_ENTRY(http_call) in_listener;
    struct http_listener *listener; /* NULL: the client has gone */
    struct MHD_Connection *connection;
    struct MHD_Response *response;
    unsigned status;
    enum call_state state;
    bool asking; /* the request callback is running */
};

LIST_HEAD(http_calls, http_call);

/* A listening socket and the clients that it accepted. */
struct http_listener {
    struct http *http;
    struct addr at;
    struct file_id file; /* of a unix socket */
    int fd;
    struct MHD_Daemon *daemon;    /* NULL: not started */
    uv_poll_t poll;               /* of the daemon's epoll set */
    uv_poll_t listen_poll;        /* of fd */
    uv_timer_t timer;             /* the daemon's next deadline */
    uv_timer_t retry;             /* accept again after a failure */
    struct deadline expiry;       /* the next check of the clients' deadlines */
    struct fd_reserve fd_reserve; /* for a client that connects when no descriptor is left */
    bool refill_reserve;          /* a client has closed its descriptor, and the reserve is empty */
    unsigned handles;             /* open */
    struct http_calls calls;
    struct http_clients clients;
};

struct http {
    uv_loop_t *loop;
    http_request_fn *request;
    void *arg;
    struct http_listener *listener; /* NULL: there is none */
    struct addr adopted_at;
    struct file_id adopted_file;
    int adopted; /* until http_prepare() uses it; -1: none */
};

/* Starts the library for the listener. Returns 0 or -ENOMEM. */
int http_start_daemon(struct http_listener *listener);
/* Calls that are not answered yet lose their clients. */
void http_stop_daemon(struct http_listener *listener);
/* Lets the library handle what is ready, and sets the timer of its next deadline. */
void http_run(struct http_listener *listener);

/* Frees the listener after the loop, with its handles, is closed. It may be NULL. */
void http_free_listener(struct http_listener *listener);

#endif
