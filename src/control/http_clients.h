/* The connections of the HTTP server: a list by idle time, with deadlines, so that no client keeps
 * others out.
 *
 * When there is no room, the client that has been idle longest is evicted. A client that does not
 * send its request in time, or reads its answer too slowly, is closed. Closing is shutdown(2) here;
 * the library notices it and closes the descriptor. For the control thread.
 */
#ifndef ZPROXY_CONTROL_HTTP_CLIENTS_H
#define ZPROXY_CONTROL_HTTP_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "session/fd_reserve.h"

#define HTTP_HEAD_MS  5000  /* for sending the head of a request */
#define HTTP_READ_MS  30000 /* for reading HTTP_READ_MIN bytes of the answer, or the rest of it */
#define HTTP_READ_MIN (64 * 1024) /* bytes */

struct http_client {
    TAILQ_ENTRY(http_client) in_clients;
    int fd;
    bool requested;    /* its request has been read */
    bool pending;      /* the answer is being made: the deadlines do not apply to the client */
    bool shut_down;    /* by http_clients_evict() or http_clients_expire() */
    uint64_t began;    /* ms */
    uint64_t measured; /* ms; the start of the present HTTP_READ_MS */
    uint64_t read;     /* bytes that it has read since `measured` */
};

TAILQ_HEAD(http_client_list, http_client);

struct http_clients {
    struct http_client_list all; /* the one that has been idle longest is first */
    size_t count;                /* of those that have not been shut down */
};

/* Accepts a client, non-blocking; if no descriptor is left, uses the reserved one. Returns its
 * descriptor or -errno. */
int http_clients_accept(int fd, struct fd_reserve *fd_reserve, struct sockaddr_storage *from,
                        socklen_t *len);

void http_clients_init(struct http_clients *cs);
/* Initializes c, which is the caller's. now in ms. */
void http_clients_add(struct http_clients *cs, struct http_client *c, int fd, uint64_t now);
/* Must be called when the client has been closed. */
void http_clients_remove(struct http_clients *cs, struct http_client *c);

/* Notes that the client has sent a request (bytes 0), or has read this many bytes of its answer. */
void http_clients_touch(struct http_clients *cs, struct http_client *c, size_t bytes);

/* Shuts down the client that has been idle longest. Returns false when all wait for answers. */
bool http_clients_evict(struct http_clients *cs);
/* Shuts down the clients whose deadline has passed. */
void http_clients_expire(struct http_clients *cs, uint64_t now);

#endif
