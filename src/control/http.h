/* A small HTTP server on the control thread's loop, for metrics and the status page.
 *
 * A callback makes the pages: it gets each request and answers it at once or later. The use of
 * resources by clients is bounded: their number, the bytes of a request, and the time. Each
 * connection is for one request. libmicrohttpd does the work; a build without it has http_none.c.
 * For the control thread.
 */
#ifndef ZPROXY_CONTROL_HTTP_H
#define ZPROXY_CONTROL_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <uv.h>

#include "base/addr.h"
#include "base/safe_open.h"

#define HTTP_CLIENTS_MAX     64
#define HTTP_CLIENTS_CLOSING 16 /* more, which are shut down and not closed yet */

struct http;
struct http_call;
struct http_change;

/* Called for each GET or HEAD request. path and the results of http_query() are valid during the
 * call. The callback must call http_answer() once, during the call or later. */
typedef void http_request_fn(void *arg, struct http_call *call, const char *path);

/* Whether this build has libmicrohttpd; its version, or "no". */
bool http_is_built(void);
const char *http_version(void);

/* Returns NULL when out of memory. */
struct http *http_new(uv_loop_t *loop, http_request_fn *request, void *arg);
/* Must be called after the loop is closed and every call is answered. h may be NULL. */
void http_free(struct http *h);

/* The value of "?name=value" in the request, or NULL. */
const char *http_query(const struct http_call *call, const char *name);

/* Writes the next piece of a text. Returns false when that was the last one. */
typedef bool http_next_fn(void *arg, FILE *out);

/* The content is text; if next is not NULL, it is what next writes while the client reads. */
struct http_answer {
    unsigned status;    /* of RFC 9110 */
    const char *type;   /* Content-Type; static text */
    const char *policy; /* Content-Security-Policy; NULL: the strictest */
    char *text;         /* from malloc(3), owned by the answer; NULL without next: out of memory */
    size_t length;
    http_next_fn *next;
    void (*done)(void *arg); /* called when arg is not used any more, also if nothing was sent */
    void *arg;
};
void http_answer(struct http_call *call, const struct http_answer *a);

/* Change the socket in steps. Prepare binds the new socket, unless the present one has the same
 * address and its file exists; at->len 0: no socket. Listen lets clients connect. Commit closes the
 * old socket and serves the clients of the new one. Abort undoes prepare and listen; c may be NULL.
 * Prepare and listen return 0, or -1 after printing the reason to errors, as "[admin] http: ...".
 */
int http_prepare(struct http *h, const struct addr *at, FILE *errors, struct http_change **change);
int http_listen(struct http_change *c, FILE *errors);
void http_commit(struct http_change *c);
void http_abort(struct http_change *c);

/* For a handover. http_socket() returns the descriptor of the listening socket, which h still owns,
 * and sets *at and *file; -1: none. http_adopt() takes ownership of fd in the new process; an
 * http_prepare() with the same address will use it. */
int http_socket(const struct http *h, struct addr *at, struct file_id *file);
void http_adopt(struct http *h, const struct addr *at, const struct file_id *file, int fd);

/* After another process has taken over and the loop has stopped: sends the rest of answers that are
 * being sent and refuses all other requests with 503, without blocking. The caller repeats the call
 * until it returns false: nothing is left to send. */
bool http_finish(struct http *h);

/* Removes the file of a unix socket. h may be NULL. */
void http_unlink(const struct http *h);

#endif
