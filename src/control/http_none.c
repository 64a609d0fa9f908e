/* http.h for a build without libmicrohttpd. */
#include <stdlib.h>
#include <unistd.h>

#include "control/http.h"

struct http {
    char nothing;
};

struct http_change {
    char nothing;
};

bool http_is_built(void)
{
    return false;
}

const char *http_version(void)
{
    return "no";
}

struct http *http_new(uv_loop_t *loop, http_request_fn *request, void *arg)
{
    (void)loop;
    (void)request;
    (void)arg;
    return calloc(1, sizeof(struct http));
}

void http_free(struct http *h)
{
    free(h);
}

const char *http_query(const struct http_call *call, const char *name)
{
    (void)call;
    (void)name;
    return NULL;
}

void http_answer(struct http_call *call, const struct http_answer *a)
{
    (void)call;
    free(a->text);
}

void http_adopt(struct http *h, const struct addr *at, const struct file_id *file, int fd)
{
    (void)h;
    (void)at;
    (void)file;
    close(fd);
}

int http_prepare(struct http *h, const struct addr *at, FILE *errors, struct http_change **change)
{
    (void)h;
    if (at->len != 0) {
        fprintf(errors, "[admin] http: this zproxy was built without libmicrohttpd\n");
        return -1;
    }
    *change = calloc(1, sizeof(struct http_change));
    if (*change == NULL)
        fprintf(errors, "out of memory\n");
    return *change == NULL ? -1 : 0;
}

void http_commit(struct http_change *c)
{
    free(c);
}

int http_listen(struct http_change *c, FILE *errors)
{
    (void)c;
    (void)errors;
    return 0;
}

void http_abort(struct http_change *c)
{
    free(c);
}

int http_socket(const struct http *h, struct addr *at, struct file_id *file)
{
    (void)h;
    (void)at;
    (void)file;
    return -1;
}

void http_unlink(const struct http *h)
{
    (void)h;
}

bool http_finish(struct http *h)
{
    (void)h;
    return false;
}
