/* The connections of the HTTP server: none keeps another one out.
 *
 * When there is no room the client that has been silent longest makes it, and one that does not
 * send its request, or reads its answer too slowly, is sent away after a while. It is shut down
 * here; the library notices that and closes it.
 */
#ifndef ZPROXY_CONTROL_HTTP_CLIENTS_H
#define ZPROXY_CONTROL_HTTP_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "session/fd_reserve.h"

#define HTTP_HEAD_MS  5000        /* to send a request's head */
#define HTTP_READ_MS  30000       /* of a connection, unless it has read so much of its answer */
#define HTTP_READ_MIN (64 * 1024) /* in that time; then it has the same time again */

struct http_client {
    TAILQ_ENTRY(http_client) in_clients;
    int fd;
    bool requested;    /* its request is here */
    bool pending;      /* for an answer of ours: it is not its silence */
    bool shut_down;    /* it has been shut down */
    uint64_t began;    /* ms */
    uint64_t measured; /* ms: since when it has read this: */
    uint64_t read;     /* bytes */
};

TAILQ_HEAD(http_client_list, http_client);

/* Those that were silent longest are first. */
struct http_clients {
    struct http_client_list all;
    size_t count; /* that have not been shut down */
};

/* Accepts one, non-blocking: with the descriptor that was kept for it where there is no other.
 * Returns its descriptor or -errno. */
int http_clients_accept(int fd, struct fd_reserve *fd_reserve, struct sockaddr_storage *from,
                        socklen_t *len);

void http_clients_init(struct http_clients *cs);
void http_clients_add(struct http_clients *cs, struct http_client *c, int fd, uint64_t now);
/* It has been closed. */
void http_clients_remove(struct http_clients *cs, struct http_client *c);

/* It has sent a request, or read so many bytes of the answer. */
void http_clients_touch(struct http_clients *cs, struct http_client *c, size_t bytes);

/* Shuts down the one that has been silent longest. Returns false when all wait for answers. */
bool http_clients_evict(struct http_clients *cs);
/* Shuts down those whose time is over. */
void http_clients_expire(struct http_clients *cs, uint64_t now);

#endif
