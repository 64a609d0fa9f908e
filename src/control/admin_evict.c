#include <poll.h>

#include "control/admin_internal.h"

#define STALLED_MS 1000 /* an answer that is not read so long gives its place up to others */

/* What the kernel says of its socket now. */
static bool is_ready(const struct admin_client *c, short events)
{
    struct pollfd ask = { .fd = -1, .events = events };
    return uv_fileno((const uv_handle_t *)&c->pipe, &ask.fd) == 0 && poll(&ask, 1, 0) == 1;
}

/* Whether it does not read its answer, or takes longer for all of it than others should wait. */
static bool is_stalled(struct admin_client *c, uint64_t now)
{
    size_t behind = uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);
    if (behind < c->behind || is_ready(c, POLLOUT)) {
        c->behind = behind;
        c->progressed = now;
    }
    return now - c->progressed >= STALLED_MS || now - c->answered >= ADMIN_PATIENCE_MS;
}

struct admin_client *admin_find_evictable(struct admin *a)
{
    uint64_t now = uv_now(a->loop);
    struct admin_client *c;
    struct admin_client *idle = NULL;
    struct admin_client *stalled = NULL;
    LIST_FOREACH(c, &a->clients, in_list) {
        if (c->state == CLIENT_READING && !is_ready(c, POLLIN))
            idle = c;
        else if (c->state == CLIENT_ANSWERING && is_stalled(c, now) &&
                 (stalled == NULL || c->progressed <= stalled->progressed))
            stalled = c;
    }
    return idle != NULL ? idle : stalled;
}
