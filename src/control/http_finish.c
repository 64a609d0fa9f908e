#include <string.h>

#include "control/http_inside.h"

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
static void begin(struct http_door *door)
{
    struct http_call *call;
    door->http->request = refuse;
    LIST_FOREACH(call, &door->calls, in_door)
        if (call->state == CALL_ASKED)
            refuse(NULL, call, NULL);
}

/* A client that has just connected is about to ask. */
static bool is_waited_for(const struct http_client *c)
{
    return !c->gone && (c->asked || uv_hrtime() / 1000000 - c->began < ASKS_MS);
}

/* Clients that have asked are there until their answers are sent. */
bool http_finish(struct http *h)
{
    const struct http_client *client;
    if (h == NULL || h->door == NULL || h->door->daemon == NULL)
        return false;
    if (h->request != refuse)
        begin(h->door);
    MHD_run(h->door->daemon);
    TAILQ_FOREACH(client, &h->door->clients.all, in_clients)
        if (is_waited_for(client))
            return true;
    return false;
}
