/* What http.c and http_finish.c share: the HTTP server's clients and what they ask. */
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
    CALL_ASKED,    /* waits for the answer, suspended */
    CALL_ANSWERED, /* the answer can go */
};

/* Freed when it has been answered, and its client has been served or is gone. */
struct http_call {
    LIST_ENTRY(http_call) in_listener;
    struct http_listener *listener; /* NULL: the client is gone */
    struct MHD_Connection *connection;
    struct MHD_Response *response;
    unsigned status;
    enum call_state state;
    bool asking; /* within the callback */
};

LIST_HEAD(http_calls, http_call);

/* A socket that is listened on, and who came by it. */
struct http_listener {
    struct http *http;
    struct addr at;
    struct file_id file; /* that of a unix socket */
    int fd;
    struct MHD_Daemon *daemon; /* NULL: not open yet */
    uv_poll_t poll;            /* of the daemon's epoll set */
    uv_poll_t listen_poll;     /* of the listening socket */
    uv_timer_t timer;          /* the daemon wants to look at its clients */
    uv_timer_t retry;          /* accept(2) has failed: try again */
    struct deadline expiry;
    struct fd_reserve fd_reserve; /* who asks what is wrong is heard without descriptors as well */
    bool reserve_spent; /* and a client that has gone may have left its descriptor for it */
    unsigned handles;   /* open */
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
    int adopted; /* until it is used; -1: none */
};

#endif
