#include "relay/busy_poll.h"

/* WON is added for each busy poll that found an event, LOST subtracted for each that did not:
 * credit lasts while four of five find one. */
#define WON        1
#define LOST       4
#define CREDIT_MAX 16

/* Sleeps between two tries. At the maximum, the cost of busy polls that find nothing cannot be
 * measured; with frequent events, this many sleeps still take only a moment. */
#define BACKOFF_MIN 16
#define BACKOFF_MAX 1024

/* A trial has 2 * WINDOWS windows. Its result holds for RESULT wake-ups; so those that sleep in
 * trials are fewer than one in 100. A window can cost too much for many reasons, but not too
 * little, so the cheapest one of each kind counts. Busy polls may cost a MARGIN more than sleeping,
 * because they lower the latency. */
#define WINDOW  64 /* wake-ups */
#define WINDOWS 8
#define RESULT  131072
#define MARGIN  16 /* 1 / 16 */

void busy_poll_init(struct busy_poll *b, enum busy_poll_mode mode, uint32_t spins,
                    uint64_t (*cpu_time)(void))
{
    *b = (struct busy_poll){
        .spins = spins,
        .mode = (uint8_t)mode,
        .backoff = BACKOFF_MIN,
        .trial.cpu_time = cpu_time,
    };
}

/* ---- what busy polls cost ---- */

static bool window_polls(const struct busy_poll_trial *t)
{
    return t->window % 2 == 0;
}

static void begin_window(struct busy_poll_trial *t, uint64_t now)
{
    t->window++;
    t->left = WINDOW;
    t->began = now;
    t->events = 0;
}

static void begin_trial(struct busy_poll_trial *t)
{
    t->least[false] = t->least[true] = UINT64_MAX;
    begin_window(t, t->cpu_time());
}

static void end_window(struct busy_poll_trial *t)
{
    uint64_t now = t->cpu_time();
    uint64_t *least = &t->least[window_polls(t)];
    uint64_t cost = t->events == 0 ? UINT64_MAX : (now - t->began) / t->events;
    if (cost < *least)
        *least = cost;
    if (t->window < 2 * WINDOWS) {
        begin_window(t, now);
        return;
    }
    t->dear = t->least[true] > t->least[false] + t->least[false] / MARGIN;
    t->window = 0;
    t->left = RESULT;
}

static bool has_result(const struct busy_poll_trial *t)
{
    return t->window == 0 && t->left > 0;
}

/* Whether to poll, while busy polls find events. Counts a wake-up. */
static bool is_worth_its_cost(struct busy_poll *b)
{
    struct busy_poll_trial *t = &b->trial;
    if (t->left > 0 && --t->left == 0 && t->window > 0)
        end_window(t);
    if (has_result(t))
        return !t->dear;
    if (t->window == 0 && b->credit > LOST)
        begin_trial(t);
    return t->window == 0 || window_polls(t);
}

/* A window in which busy polls did not find events, or long messages came, shows nothing. */
static void cancel_trial(struct busy_poll_trial *t)
{
    if (t->window == 0)
        return;
    t->window = 0;
    t->left = 0;
}

/* ---- whether they find events ---- */

uint32_t busy_poll_begin(struct busy_poll *b)
{
    if (b->mode == BUSY_POLL_NEVER)
        return 0;
    if (b->mode == BUSY_POLL_ALWAYS)
        return b->spins;
    if (b->credit > 0)
        return is_worth_its_cost(b) ? b->spins : 0;
    if (b->sleeps > 0) {
        b->sleeps--;
        return 0;
    }
    return b->spins;
}

static void backoff(struct busy_poll *b)
{
    b->credit = 0;
    b->sleeps = b->backoff;
    cancel_trial(&b->trial);
}

static void add_credit(struct busy_poll *b)
{
    if (b->credit < CREDIT_MAX)
        b->credit += WON;
    if (b->credit > LOST)
        b->backoff = BACKOFF_MIN;
}

static void take_credit(struct busy_poll *b)
{
    b->credit = b->credit > LOST ? b->credit - LOST : 0;
    if (b->credit > 0)
        return;
    backoff(b);
    b->backoff = b->backoff < BACKOFF_MAX ? 2 * b->backoff : BACKOFF_MAX;
}

void busy_poll_end(struct busy_poll *b, bool found)
{
    if (found)
        add_credit(b);
    else
        take_credit(b);
}

void busy_poll_suspend(struct busy_poll *b)
{
    backoff(b);
}
