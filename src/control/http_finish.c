#include <string.h>

#include "control/http_internal.h"

#define ASKS_MS 200

static void refuse(void *arg, struct http_call *call, const char *path)
{
    static const char text[] = "zproxy is being upgraded, ask again\n";
    const struct http_answer a = { .status = MHD_HTTP_SERVICE_UNAVAILABLE,
                                   .type = "text/plain; charset=utf-8",
                                   .text = strdup(text),
                                   .length = sizeof text - 1 };
    (void)arg;
    (void)path;
    http_answer(call, &a);
}

/* What they wait for does not come any more. */
static void begin(struct http_listener *listener)
{
    struct http_call *call;
    listener->http->request = refuse;
    LIST_FOREACH(call, &listener->calls, in_listener)
        if (call->state == CALL_ASKED)
            refuse(NULL, call, NULL);
}

/* A client that has just connected is about to ask. */
static bool is_waited_for(const struct http_client *c)
{
    return !c->shut_down && (c->requested || uv_hrtime() / 1000000 - c->began < ASKS_MS);
}

/* Clients that have asked are there until their answers are sent. */
bool http_finish(struct http *h)
{
    const struct http_client *client;
    if (h == NULL || h->listener == NULL || h->listener->daemon == NULL)
        return false;
    if (h->request != refuse)
        begin(h->listener);
    MHD_run(h->listener->daemon);
    TAILQ_FOREACH(client, &h->listener->clients.all, in_clients)
        if (is_waited_for(client))
            return true;
    return false;
}
