#include "control/waits.h"

#include <errno.h>
#include <stdlib.h>

#define TICK_MS 100

struct wait {
    LIST_ENTRY(wait) in_all;
    wait_fn *ask;
    void *arg;
    uint64_t until; /* ms of the loop */
};

/* Returns whether it has ended. */
static bool wait_ask(struct waits *ws, struct wait *w, bool last)
{
    if (!w->ask(w->arg, last) && !last)
        return false;
    LIST_REMOVE(w, in_all);
    ws->count--;
    free(w);
    return true;
}

static void on_tick(uv_timer_t *timer)
{
    struct waits *ws = timer->data;
    uint64_t now = uv_now(timer->loop);
    struct wait *w = LIST_FIRST(&ws->all);
    while (w != NULL) {
        struct wait *next = LIST_NEXT(w, in_all);
        (void)wait_ask(ws, w, now >= w->until);
        w = next;
    }
    if (ws->count == 0)
        uv_timer_stop(timer);
}

void waits_init(struct waits *ws, uv_loop_t *loop)
{
    LIST_INIT(&ws->all);
    ws->count = 0;
    uv_timer_init(loop, &ws->tick);
    ws->tick.data = ws;
}

void waits_end(struct waits *ws)
{
    struct wait *w = LIST_FIRST(&ws->all);
    while (w != NULL) {
        struct wait *next = LIST_NEXT(w, in_all);
        (void)wait_ask(ws, w, true);
        w = next;
    }
}

int waits_add(struct waits *ws, uint64_t ms, wait_fn *ask, void *arg)
{
    if (ws->count == WAITS_MAX)
        return -EAGAIN;
    struct wait *w = calloc(1, sizeof *w);
    if (w == NULL)
        return -ENOMEM;
    w->ask = ask;
    w->arg = arg;
    w->until = uv_now(ws->tick.loop) + ms;
    LIST_INSERT_HEAD(&ws->all, w, in_all);
    if (ws->count++ == 0)
        uv_timer_start(&ws->tick, on_tick, TICK_MS, TICK_MS);
    return 0;
}
