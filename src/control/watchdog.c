#include "control/watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

/* Without a service manager that wants to know. A worker counts as hanging after so many turns: not
 * by the clock, which goes on while the whole process is stopped. */
#define PERIOD_MS 2000
#define TURNS     2

/* A worker that is asked. Whose it is moves with the letter: to the worker and back to control, so
 * that the round is read and freed by control alone. */
struct question {
    struct letter letter; /* there and back again */
    struct watchdog *watchdog;
    unsigned worker;
    bool answered; /* it is back */
};

struct watchdog_round {
    size_t open; /* questions that have not been answered */
    size_t count;
    struct question question[];
};

/* ---- what systemd wants ---- */

static bool read_number(const char *variable, uint64_t *number)
{
    const char *text = getenv(variable);
    char *end = NULL;
    if (text == NULL || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

/* ms. */
static uint64_t read_interval(void)
{
    uint64_t us = 0;
    uint64_t pid = 0;
    bool wanted = read_number("WATCHDOG_USEC", &us);
    bool is_mine = getenv("WATCHDOG_PID") == NULL ||
                   (read_number("WATCHDOG_PID", &pid) && pid == (uint64_t)getpid());
    unsetenv("WATCHDOG_PID");
    if (wanted && is_mine)
        return us / 1000;
    unsetenv("WATCHDOG_USEC");
    return 0;
}

/* ---- a round of questions ---- */

static void on_back(struct letter *l, void *owner);

static void send_back(struct question *q)
{
    q->letter.run = on_back;
    mailbox_post(&q->watchdog->answers, &q->letter);
}

/* On the worker's thread. */
static void on_question(struct letter *l, void *owner)
{
    (void)owner;
    send_back((struct question *)l); /* its first member */
}

static void ask(struct watchdog *w)
{
    size_t count = crew_running(w->crew);
    struct watchdog_round *r = calloc(1, sizeof *r + count * sizeof r->question[0]);
    if (r == NULL)
        return; /* the next time */
    r->count = r->open = count;
    w->round = r;
    w->asked = uv_now(w->timer.loop);
    w->turns = 0;
    for (size_t i = 0; i < count; i++) {
        struct worker *worker = crew_worker(w->crew, i);
        struct question *q = &r->question[i];
        q->letter.run = on_question;
        q->watchdog = w;
        q->worker = worker_index(worker);
        if (!worker_post(worker, &q->letter)) /* it has finished */
            send_back(q);
    }
}

static void on_back(struct letter *l, void *owner)
{
    struct question *q = (struct question *)l;
    struct watchdog *w = owner;
    q->answered = true;
    if (--w->round->open > 0)
        return;
    free(w->round);
    w->round = NULL;
    if (w->interval != 0)
        notify_send(w->notify, "WATCHDOG=1");
    if (w->silent)
        log_msg(LOG_LEVEL_NOTICE, "watchdog", "all workers answer again");
    w->silent = false;
}

static void on_arrived(uv_async_t *async)
{
    struct watchdog *w = async->data;
    mailbox_run(&w->answers, w);
}

/* From a worker's thread. */
static void on_posted(void *arg)
{
    struct watchdog *w = arg;
    uv_async_send(&w->arrived);
}

static void say_silent(struct watchdog *w)
{
    const struct watchdog_round *r = w->round;
    for (size_t i = 0; i < r->count && !w->silent; i++)
        if (!r->question[i].answered)
            log_msg(LOG_LEVEL_ERROR, "watchdog", "worker %u has not answered for %" PRIu64 " ms%s",
                    r->question[i].worker, uv_now(w->timer.loop) - w->asked,
                    w->interval != 0 ? ": systemd is told nothing" : "");
    w->silent = true;
}

static void on_turn(uv_timer_t *timer)
{
    struct watchdog *w = timer->data;
    mailbox_run(&w->answers, w); /* the last answer may be newer than the wake-up */
    w->turns++;
    if (w->round == NULL)
        ask(w);
    else if (w->interval != 0 || w->turns >= TURNS)
        say_silent(w);
}

/* ---- its life ---- */

int watchdog_init(struct watchdog *w, uv_loop_t *loop, struct crew *crew, struct notify *notify)
{
    w->interval = read_interval();
    w->crew = crew;
    w->notify = notify;
    w->round = NULL;
    w->silent = false;
    uv_timer_init(loop, &w->timer); /* cannot fail */
    mailbox_init(&w->answers, on_posted, w);
    w->timer.data = w->arrived.data = w;
    return uv_async_init(loop, &w->arrived, on_arrived);
}

void watchdog_fini(struct watchdog *w)
{
    mailbox_close(&w->answers, w);
    mailbox_fini(&w->answers);
    free(w->round); /* a question that no worker has read comes back from none */
    w->round = NULL;
}

void watchdog_start(struct watchdog *w)
{
    if (w->notify->fd == -1)
        w->interval = 0;
    uint64_t half = w->interval / 2;
    uint64_t period = w->interval == 0 ? PERIOD_MS : half;
    uv_timer_start(&w->timer, on_turn, 0, period == 0 ? 1 : period);
}

bool watchdog_hangs(const struct watchdog *w, unsigned worker, uint64_t *ms)
{
    const struct watchdog_round *r = w->silent ? w->round : NULL;
    for (size_t i = 0; r != NULL && i < r->count; i++)
        if (r->question[i].worker == worker && !r->question[i].answered) {
            *ms = uv_now(w->timer.loop) - w->asked;
            return true;
        }
    return false;
}
