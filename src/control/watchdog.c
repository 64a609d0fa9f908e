#include "control/watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

#define PERIOD_MS 2000 /* between pings, without a service manager's interval */
#define HANG_TICKS \
    2 /* ticks of the timer, not ms: the clock goes on while the process is stopped */

/* A ping to a worker. Its memory belongs to the worker until the reply has arrived, so only the
 * control thread reads and frees the round. */
struct watchdog_ping {
    struct worker_message worker_message; /* to the worker, and back as the reply */
    struct watchdog *watchdog;
    unsigned worker;
    bool answered;
};

struct watchdog_round {
    size_t open; /* pings that have not been answered */
    size_t count;
    struct watchdog_ping watchdog_ping[];
};

/* ---- the service manager's interval ---- */

static bool watchdog_read_number(const char *variable, uint64_t *number)
{
    const char *text = getenv(variable);
    char *end = NULL;
    if (text == NULL || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

/* In ms; 0: the service manager has no watchdog for this process. */
static uint64_t read_interval(void)
{
    uint64_t us = 0;
    uint64_t pid = 0;
    bool wanted = watchdog_read_number("WATCHDOG_USEC", &us);
    bool is_mine = getenv("WATCHDOG_PID") == NULL ||
                   (watchdog_read_number("WATCHDOG_PID", &pid) && pid == (uint64_t)getpid());
    unsetenv("WATCHDOG_PID");
    if (wanted && is_mine)
        return us / 1000;
    unsetenv("WATCHDOG_USEC");
    return 0;
}

/* ---- a round of pings ---- */

static void watchdog_on_reply(struct worker_message *l, void *owner);

static void watchdog_reply(struct watchdog_ping *q)
{
    q->worker_message.run = watchdog_on_reply;
    mailbox_post(&q->watchdog->answers, &q->worker_message);
}

/* On the worker's thread. */
static void watchdog_on_ping(struct worker_message *l, void *owner)
{
    (void)owner;
    watchdog_reply((struct watchdog_ping *)l); /* its first member */
}

static void watchdog_ping_workers(struct watchdog *w)
{
    size_t count = workers_running(w->workers);
    struct watchdog_round *r = calloc(1, sizeof *r + count * sizeof r->watchdog_ping[0]);
    if (r == NULL)
        return; /* the next tick tries again */
    r->count = r->open = count;
    w->round = r;
    w->pinged_at = uv_now(w->timer.loop);
    w->ticks = 0;
    for (size_t i = 0; i < count; i++) {
        struct worker *worker = workers_at(w->workers, i);
        struct watchdog_ping *q = &r->watchdog_ping[i];
        q->worker_message.run = watchdog_on_ping;
        q->watchdog = w;
        q->worker = worker_index(worker);
        if (!worker_post(worker, &q->worker_message)) /* it has finished */
            watchdog_reply(q);
    }
}

static void watchdog_on_reply(struct worker_message *l, void *owner)
{
    struct watchdog_ping *q = (struct watchdog_ping *)l;
    struct watchdog *w = owner;
    q->answered = true;
    if (--w->round->open > 0)
        return;
    free(w->round);
    w->round = NULL;
    if (w->interval != 0)
        notify_send(w->notify, "WATCHDOG=1");
    if (w->hanging)
        log_msg(LOG_LEVEL_NOTICE, "watchdog", "all workers answer again");
    w->hanging = false;
}

static void watchdog_on_wakeup(uv_async_t *async)
{
    struct watchdog *w = async->data;
    mailbox_run(&w->answers, w);
}

/* Called from a worker's thread. */
static void watchdog_on_posted(void *arg)
{
    struct watchdog *w = arg;
    uv_async_send(&w->wakeup);
}

static void log_hanging(struct watchdog *w)
{
    const struct watchdog_round *r = w->round;
    for (size_t i = 0; i < r->count && !w->hanging; i++)
        if (!r->watchdog_ping[i].answered)
            log_msg(LOG_LEVEL_ERROR, "watchdog", "worker %u has not answered for %" PRIu64 " ms%s",
                    r->watchdog_ping[i].worker, uv_now(w->timer.loop) - w->pinged_at,
                    w->interval != 0 ? ": the watchdog of systemd is not reset" : "");
    w->hanging = true;
}

static void on_watchdog_timer(uv_timer_t *timer)
{
    struct watchdog *w = timer->data;
    mailbox_run(&w->answers, w); /* answers whose wake-up has not been handled yet */
    w->ticks++;
    if (w->round == NULL)
        watchdog_ping_workers(w);
    else if (w->interval != 0 || w->ticks >= HANG_TICKS)
        log_hanging(w);
}

/* ---- start and end ---- */

int watchdog_init(struct watchdog *w, uv_loop_t *loop, struct workers *workers,
                  struct notify *notify)
{
    w->interval = read_interval();
    w->workers = workers;
    w->notify = notify;
    w->round = NULL;
    w->hanging = false;
    uv_timer_init(loop, &w->timer); /* cannot fail */
    mailbox_init(&w->answers, watchdog_on_posted, w);
    w->timer.data = w->wakeup.data = w;
    return uv_async_init(loop, &w->wakeup, watchdog_on_wakeup);
}

void watchdog_fini(struct watchdog *w)
{
    mailbox_close(&w->answers, w);
    mailbox_fini(&w->answers);
    free(w->round); /* its pings that workers have not read will not come back */
    w->round = NULL;
}

void watchdog_start(struct watchdog *w)
{
    if (w->notify->fd == -1)
        w->interval = 0;
    /* A ping without an answer is logged one period later, before the interval has ended. */
    uint64_t third = w->interval / 3;
    uint64_t period = w->interval == 0 ? PERIOD_MS : third;
    uv_timer_start(&w->timer, on_watchdog_timer, 0, period == 0 ? 1 : period);
}

bool watchdog_hangs(const struct watchdog *w, unsigned worker, uint64_t *ms)
{
    const struct watchdog_round *r = w->hanging ? w->round : NULL;
    for (size_t i = 0; r != NULL && i < r->count; i++)
        if (r->watchdog_ping[i].worker == worker && !r->watchdog_ping[i].answered) {
            *ms = uv_now(w->timer.loop) - w->pinged_at;
            return true;
        }
    return false;
}
