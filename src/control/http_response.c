#include "control/http_response.h"

#include <errno.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

#define PIECE      (32 * 1024)  /* bytes of a long text that are made at a time */
#define SHORT_TEXT (128 * 1024) /* up to this a text is made at once and has a Content-Length */

/* A text that is made while it is sent. Owned by the response. */
struct http_text {
    struct http_clients *clients;
    struct http_client *client; /* the reader */
    http_next_fn *next;         /* NULL: the end has been made */
    void (*done)(void *arg);
    void *arg;
    char *text; /* made; not sent yet from `at` on */
    size_t length;
    size_t at;
};

static void http_response_add(struct MHD_Response *r, const char *name, const char *value)
{
    (void)MHD_add_response_header(r, name, value); /* without memory the header is left out */
}

static void text_free(void *arg)
{
    struct http_text *t = arg;
    if (t->done != NULL)
        t->done(t->arg);
    free(t->text);
    free(t);
}

/* Replaces the text, all of which has been sent, by the next piece: at least this number of bytes,
 * or the rest. Returns 0 or -ENOMEM. */
static int text_make(struct http_text *t, size_t enough)
{
    char *more = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&more, &length);
    if (out == NULL)
        return -ENOMEM;
    (void)__fsetlocking(out, FSETLOCKING_BYCALLER);
    while (t->next != NULL && ftello(out) < (off_t)enough)
        if (!t->next(t->arg, out))
            t->next = NULL;
    bool failed = ferror(out) != 0;
    failed |= fclose(out) != 0;
    free(t->text);
    t->text = more;
    t->length = failed ? 0 : length;
    t->at = 0;
    return failed ? -ENOMEM : 0;
}

/* Called by the library when the client has read what was sent. */
static ssize_t on_read_text(void *arg, uint64_t position, char *buffer, size_t room)
{
    struct http_text *t = arg;
    (void)position;
    if (t->at == t->length && t->next != NULL && text_make(t, PIECE) < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = t->length - t->at < room ? t->length - t->at : room;
    memcpy(buffer, t->text + t->at, n);
    t->at += n;
    http_clients_touch(t->clients, t->client, n);
    return n == 0 ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)n;
}

static struct MHD_Response *response_of(struct http_text *t)
{
    struct MHD_Response *r = NULL;
    if (t->next == NULL && t->length < SHORT_TEXT) {
        r = MHD_create_response_from_buffer(t->length, t->text, MHD_RESPMEM_MUST_FREE);
        if (r != NULL) {
            t->text = NULL;
            text_free(t);
        }
        return r;
    }
    uint64_t size = t->next == NULL ? t->length : MHD_SIZE_UNKNOWN;
    return MHD_create_response_from_callback(size, PIECE, on_read_text, t, text_free);
}

void http_response_drop(const struct http_answer *a)
{
    free(a->text);
    if (a->done != NULL)
        a->done(a->arg);
}

/* Takes ownership of the text and arg of the answer, also on failure. */
static struct http_text *text_new(const struct http_answer *a, struct http_clients *clients,
                                  struct http_client *client)
{
    struct http_text *t = a->text == NULL && a->next == NULL ? NULL : calloc(1, sizeof *t);
    if (t == NULL) {
        http_response_drop(a);
        return NULL;
    }
    *t = (struct http_text){ .clients = clients,
                             .client = client,
                             .next = a->next,
                             .done = a->done,
                             .arg = a->arg,
                             .text = a->text,
                             .length = a->length };
    return t;
}

static void add_headers(struct MHD_Response *r, const struct http_answer *a)
{
    http_response_add(r, "Content-Type", a->type);
    http_response_add(r, "Content-Security-Policy",
                      a->policy != NULL ? a->policy : "default-src 'none'; frame-ancestors 'none'");
    http_response_add(r, "X-Content-Type-Options", "nosniff");
    http_response_add(r, "X-Frame-Options", "DENY");
    http_response_add(r, "Referrer-Policy", "no-referrer");
    http_response_add(r, "Cache-Control", "no-store");
    http_response_add(r, "Connection", "close");
}

struct MHD_Response *http_response_new(const struct http_answer *a, struct http_clients *clients,
                                       struct http_client *client)
{
    struct http_text *t = text_new(a, clients, client);
    if (t == NULL)
        return NULL;
    struct MHD_Response *r =
        t->next != NULL && text_make(t, SHORT_TEXT) < 0 ? NULL : response_of(t);
    if (r == NULL)
        text_free(t);
    else
        add_headers(r, a);
    return r;
}
