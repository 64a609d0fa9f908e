/* A small HTTP server on the control thread's loop, for those who look after zproxy.
 *
 * Knows no page: requests are handed to a callback, which answers at once or later. All that a
 * client can do is bounded: how many there are, what they send, how long they take; each connection
 * is for one request. libmicrohttpd does the work (a build without it has http_none.c).
 */
#ifndef ZPROXY_CONTROL_HTTP_H
#define ZPROXY_CONTROL_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <uv.h>

#include "base/addr.h"
#include "base/safe_open.h"

#define HTTP_CLIENTS_MAX 64

struct http;
struct http_call;
struct http_change;

/* A GET or HEAD request has come. path and what http_query() tells are good during the call. It is
 * answered by http_answer(), once, now or later. */
typedef void http_request_fn(void *arg, struct http_call *call, const char *path);

/* Whether this build can, and the version of the library. */
bool http_is_built(void);
const char *http_version(void);

/* NULL when out of memory. */
struct http *http_new(uv_loop_t *loop, http_request_fn *request, void *arg);
/* The loop is closed, and every call has been answered. NULL is allowed. */
void http_free(struct http *h);

/* The value of "?name=value", or NULL. */
const char *http_query(const struct http_call *call, const char *name);

/* Writes the next piece of a text. Returns false when that was the last one. */
typedef bool http_next_fn(void *arg, FILE *out);

struct http_answer {
    unsigned status;    /* of RFC 9110 */
    const char *type;   /* of the content; static text */
    const char *policy; /* what the content may do, Content-Security-Policy; NULL: nothing */
    char *text;         /* taken over; NULL: out of memory, */
    size_t length;
    http_next_fn *next;      /* or, where this is not NULL, it is made while the client reads it */
    void (*done)(void *arg); /* arg is not needed any more; also when no client reads it */
    void *arg;
};
void http_answer(struct http_call *call, const struct http_answer *a);

/* The listening socket at that address, from another process; taken over. */
void http_adopt(struct http *h, const struct addr *at, const struct file_id *file, int fd);

/* Binds the socket, unless it is open there already; at->len 0: there is to be none. Nothing
 * changes yet. Returns 0; or -1 after having told errors, as "[admin] http: ...", why not. */
int http_prepare(struct http *h, const struct addr *at, FILE *errors, struct http_change **change);
/* Clients can connect to the new socket from here on. Same results. */
int http_listen(struct http_change *c, FILE *errors);
/* Clients are served. */
void http_commit(struct http_change *c);
/* NULL is allowed. */
void http_abort(struct http_change *c);

/* The listening socket, which stays ours, and its address; -1: there is none. */
int http_socket(const struct http *h, struct addr *at, struct file_id *file);

/* Another process has taken over, and the loop does not run any more: what is being answered is
 * sent to its end, other requests are refused with 503. To be called again until it returns false:
 * every client that has asked has its answer. */
bool http_finish(struct http *h);

/* Removes the file of a unix socket. */
void http_unlink(const struct http *h);

#endif
