#include "balance/health.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#include "balance/health_log.h"
#include "balance/probe.h"
#include "balance/script.h"
#include "base/log.h"
#include "base/wheel.h"

#define EVENTS        64    /* of sockets, a wake-up; the rest waits for the next one */
#define FIRST_WITHIN  1000  /* ms: servers that nothing is known of */
#define CLOSE_WITHIN  1000  /* ms for the server to end its side of a connection too */
#define LATE          100   /* ms after the time asked for: this process was stopped or held up */
#define LACK_INTERVAL 10000 /* ms between two lines about what is lacking here */

/* One server's checks. */
struct check {
    struct wheel_entry timer; /* first */
    TAILQ_ENTRY(check) in_list;
    struct watched *home;
    struct backend *backend;
    struct script script;
    struct probe probe;
    struct verdict verdict;
    uint64_t begun; /* ms, the last probe */
    uint64_t due;   /* ms: when the next probe begins, or the running one is over */
};

TAILQ_HEAD(checks, check);

/* A pool whose servers are checked. */
struct watched {
    struct health *health;
    struct pool *pool;
    const struct config_pool *conf; /* in force when the checks were made */
    struct checks checks;           /* in the order of the pool's servers */
    TAILQ_ENTRY(watched) in_health;
};

TAILQ_HEAD(watched_list, watched);

struct health {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_poll_t poll; /* of epoll */
    int epoll;      /* -1: closed */
    unsigned open;  /* handles whose close callback has not been called */
    struct wheel wheel;
    struct watched_list pools;
    struct checks
        gone; /* freed before the next events are asked for: those at hand may be theirs */
    uint64_t random;
    uint64_t said_lack; /* ms; 0: never */
    health_went_down_fn *went_down;
    void *arg;
};

static uint64_t now_of(const struct health *h)
{
    return uv_now(h->loop);
}

/* ---- when ---- */

/* 0 to below - 1, evenly enough for times. Marsaglia, "Xorshift RNGs" (2003). */
static uint64_t random_below(struct health *h, uint64_t below)
{
    h->random ^= h->random << 13;
    h->random ^= h->random >> 7;
    h->random ^= h->random << 17;
    return below == 0 ? 0 : h->random % below;
}

/* Ninety to a hundred and ten hundredths of it, so that checks of many servers drift apart. */
static uint64_t jitter(struct health *h, uint64_t interval)
{
    return interval - interval / 10 + random_below(h, interval / 5 + 1);
}

static void on_timer(uv_timer_t *timer);

static void turn_in_time(struct health *h)
{
    uint64_t now = now_of(h);
    uint64_t due = wheel_due(&h->wheel);
    if (due == WHEEL_NEVER)
        uv_timer_stop(&h->timer);
    else
        uv_timer_start(&h->timer, on_timer, due > now ? due - now : 0, 0);
}

static void set_timer(struct check *c, uint64_t due)
{
    c->due = due;
    wheel_set(&c->home->health->wheel, &c->timer, due);
}

/* The first probe comes soon; those that follow it are spread over one interval, so that servers
 * that were begun with together are not probed together for ever. */
static void await_first(struct check *c)
{
    struct health *h = c->home->health;
    uint64_t interval = c->home->conf->check_interval;
    uint64_t window = interval < FIRST_WITHIN ? interval : FIRST_WITHIN;
    set_timer(c, now_of(h) + random_below(h, window));
}

static void await_next(struct check *c)
{
    struct health *h = c->home->health;
    uint64_t interval = c->home->conf->check_interval;
    bool spread = c->verdict.streak == 0;
    set_timer(c, c->begun + (spread ? random_below(h, interval) : jitter(h, interval)));
}

/* A connection that is being ended in order is given some time for it. */
static void await_close(struct check *c)
{
    uint64_t end = now_of(c->home->health) + CLOSE_WITHIN;
    if (c->probe.fd != -1 && end < c->due)
        wheel_set(&c->home->health->wheel, &c->timer, end);
}

/* ---- verdicts ---- */

static void say_lack(struct health *h, const char *why)
{
    uint64_t now = now_of(h);
    if (h->said_lack != 0 && now - h->said_lack < LACK_INTERVAL)
        return;
    h->said_lack = now;
    log_msg(LOG_LEVEL_WARNING, "check_impossible",
            "%s: servers are not checked, and stay as they were, until this is over", why);
}

/* The callback may change everything: nothing is touched after it. */
static void announce(struct check *c)
{
    struct watched *w = c->home;
    struct health *h = w->health;
    bool up = c->verdict.up;
    if (!pool_set_up(w->pool, c->backend, up, now_of(h)))
        return;
    health_log_changed(w->pool, c->backend, &c->verdict);
    if (!up && w->conf->on_down == CONFIG_ON_DOWN_CLOSE)
        h->went_down(h->arg, w->pool, c->backend);
}

/* c may be gone afterwards. */
static void conclude(struct check *c, enum probe_outcome outcome)
{
    const struct config_pool *conf = c->home->conf;
    struct verdict *v = &c->verdict;
    uint64_t now = now_of(c->home->health);
    bool passed = outcome == PROBE_PASSED;
    await_next(c);
    await_close(c);
    if (outcome == PROBE_UNKNOWN) {
        say_lack(c->home->health, c->probe.why);
        return;
    }
    memcpy(v->why, c->probe.why, sizeof v->why);
    v->duration = now - c->begun;
    verdict_add(v, passed, conf->check_rise, conf->check_fall, now);
    if (!passed)
        health_log_failed(c->home->pool, c->backend, v);
    if (v->up != atomic_load(&c->backend->up)) /* also where somebody else has set it meanwhile */
        announce(c);
}

/* ---- probes ---- */

static enum probe_outcome start_probe(struct check *c)
{
    struct epoll_event ev = { .events = PROBE_EVENTS, .data.ptr = c };
    enum probe_outcome outcome = probe_start(&c->probe, &c->script);
    if (outcome != PROBE_RUNNING)
        return outcome;
    if (epoll_ctl(c->home->health->epoll, EPOLL_CTL_ADD, c->probe.fd, &ev) == 0)
        return PROBE_RUNNING;
    return probe_give_up(&c->probe, errno);
}

static void begin(struct check *c)
{
    c->begun = now_of(c->home->health);
    if (atomic_load(&c->backend->state) == CONFIG_STATE_MAINT) {
        verdict_unsettle(&c->verdict); /* what was known is of another time when it comes back */
        await_next(c);
        return;
    }
    enum probe_outcome outcome = start_probe(c);
    if (outcome == PROBE_RUNNING)
        set_timer(c, c->begun + c->home->conf->check_timeout);
    else
        conclude(c, outcome);
}

/* Where this process comes late, since it was stopped or held up, the steps that could have been
 * taken meanwhile are taken now, and the server has as much time again as was lost. */
static void expire(struct check *c)
{
    uint64_t timeout = c->home->conf->check_timeout;
    uint64_t now = now_of(c->home->health);
    uint64_t late = now - c->due;
    enum probe_outcome outcome = probe_look(&c->probe);
    if (outcome == PROBE_RUNNING && late > LATE)
        set_timer(c, now + (late < timeout ? late : timeout));
    else
        conclude(c, outcome == PROBE_RUNNING ? probe_expire(&c->probe, timeout) : outcome);
}

static void on_due(struct wheel_entry *e, void *arg)
{
    struct check *c = (struct check *)e; /* its first member */
    struct health *h = arg;
    if (c->probe.state == PROBE_CLOSE)
        probe_stop(&c->probe);
    if (now_of(h) < c->due) /* further away than the wheel reaches */
        wheel_set(&h->wheel, &c->timer, c->due);
    else if (c->probe.fd == -1)
        begin(c);
    else
        expire(c);
}

static void on_timer(uv_timer_t *timer)
{
    struct health *h = timer->data;
    uv_update_time(h->loop); /* timers that ran before this one may have taken long */
    wheel_turn(&h->wheel, now_of(h), on_due, h);
    turn_in_time(h);
}

static void free_gone(struct health *h)
{
    struct check *c;
    while ((c = TAILQ_FIRST(&h->gone)) != NULL) {
        TAILQ_REMOVE(&h->gone, c, in_list);
        free(c);
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct health *h = poll->data;
    struct epoll_event ready[EVENTS];
    (void)status;
    (void)events;
    free_gone(h);
    int n = epoll_wait(h->epoll, ready, EVENTS, 0);
    for (int i = 0; i < n; i++) {
        struct check *c = ready[i].data.ptr;
        if (c->probe.fd == -1) /* ended by an earlier event */
            continue;
        enum probe_outcome outcome = probe_step(&c->probe, ready[i].events);
        if (outcome != PROBE_RUNNING)
            conclude(c, outcome);
    }
    turn_in_time(h);
}

/* ---- pools and servers ---- */

static struct watched *find_pool(const struct health *h, const struct pool *p)
{
    struct watched *w;
    TAILQ_FOREACH(w, &h->pools, in_health)
        if (w->pool == p)
            return w;
    return NULL;
}

static struct watched *add_pool(struct health *h, struct pool *p)
{
    struct watched *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->health = h;
    w->pool = p;
    TAILQ_INIT(&w->checks);
    TAILQ_INSERT_TAIL(&h->pools, w, in_health);
    return w;
}

/* NULL: the server is not checked for this pool. */
static struct check *find_check(const struct watched *w, const struct backend *b)
{
    return b->check != NULL && b->check->home == w ? b->check : NULL;
}

static struct check *add_check(struct watched *w, struct backend *b)
{
    struct check *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->home = w;
    c->backend = b;
    b->check = c;
    wheel_entry_init(&c->timer);
    probe_init(&c->probe);
    verdict_init(&c->verdict, atomic_load(&b->up));
    TAILQ_INSERT_TAIL(&w->checks, c, in_list);
    return c;
}

static void stop_check(struct check *c)
{
    probe_stop(&c->probe);
    wheel_clear(&c->home->health->wheel, &c->timer);
    script_free(&c->script);
}

static void drop_checks(struct health *h, struct checks *list)
{
    struct check *c;
    while ((c = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, c, in_list);
        stop_check(c);
        c->backend->check = NULL;
        TAILQ_INSERT_TAIL(&h->gone, c, in_list);
    }
}

static int restart_check(struct check *c)
{
    const struct backend *b = c->backend;
    stop_check(c);
    int rc = script_make(&c->script, c->home->conf, &b->addr, &b->check_address);
    if (rc == 0)
        await_first(c);
    return rc;
}

/* The check of one server is there and runs by the settings of now; old has those that were. */
static int sync_server(struct watched *w, struct checks *old, struct backend *b, bool new_settings)
{
    struct check *c = find_check(w, b);
    if (c == NULL) {
        c = add_check(w, b);
        return c == NULL ? -ENOMEM : restart_check(c);
    }
    TAILQ_REMOVE(old, c, in_list);
    TAILQ_INSERT_TAIL(&w->checks, c, in_list);
    return new_settings ? restart_check(c) : 0;
}

static int sync_servers(struct watched *w, bool new_settings)
{
    struct checks old = TAILQ_HEAD_INITIALIZER(old);
    size_t count = 0;
    struct backend *const *servers = pool_servers(w->pool, &count);
    int rc = 0;
    TAILQ_CONCAT(&old, &w->checks, in_list);
    for (size_t i = 0; i < count; i++) {
        int one = sync_server(w, &old, servers[i], new_settings);
        rc = one < 0 ? one : rc;
    }
    drop_checks(w->health, &old);
    return rc;
}

/* Without checks a server is up. */
static void release_servers(struct watched *w)
{
    size_t count = 0;
    struct backend *const *servers = pool_servers(w->pool, &count);
    for (size_t i = 0; i < count; i++) {
        struct check *c = find_check(w, servers[i]);
        if (c == NULL || !pool_set_up(w->pool, servers[i], true, now_of(w->health)))
            continue;
        c->verdict.up = true;
        snprintf(c->verdict.why, sizeof c->verdict.why, "not checked any more");
        health_log_changed(w->pool, servers[i], &c->verdict);
    }
}

static void forget(struct health *h, struct watched *w)
{
    TAILQ_REMOVE(&h->pools, w, in_health);
    drop_checks(h, &w->checks);
    free(w);
}

int health_sync(struct health *h, struct pool *p)
{
    const struct config_pool *conf = pool_conf(p);
    struct watched *w = find_pool(h, p);
    if (conf->check == CONFIG_CHECK_NONE) {
        if (w != NULL) {
            release_servers(w);
            forget(h, w);
        }
        return 0;
    }
    if (w == NULL && (w = add_pool(h, p)) == NULL)
        return -ENOMEM;
    bool new_settings = w->conf != conf;
    w->conf = conf;
    int rc = sync_servers(w, new_settings);
    turn_in_time(h);
    return rc;
}

bool health_has(const struct health *h, const struct pool *p)
{
    return find_pool(h, p) != NULL;
}

void health_forget(struct health *h, const struct pool *p)
{
    struct watched *w = find_pool(h, p);
    if (w != NULL)
        forget(h, w);
}

static struct check *check_of(const struct health *h, const struct pool *p, const struct backend *b)
{
    struct check *c = b->check;
    return c != NULL && c->home->health == h && c->home->pool == p ? c : NULL;
}

const struct verdict *health_verdict(const struct health *h, const struct pool *p,
                                     const struct backend *b)
{
    const struct check *c = check_of(h, p, b);
    return c == NULL ? NULL : &c->verdict;
}

void health_restore(struct health *h, const struct pool *p, const struct backend *b,
                    const struct verdict *v)
{
    struct check *c = check_of(h, p, b);
    if (c != NULL)
        c->verdict = *v;
}

/* ---- begin and end ---- */

static int open_handles(struct health *h)
{
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (h->epoll == -1)
        return -errno;
    int rc = uv_poll_init(h->loop, &h->poll, h->epoll);
    if (rc < 0) {
        close(h->epoll);
        return rc;
    }
    uv_timer_init(h->loop, &h->timer); /* cannot fail */
    h->poll.data = h->timer.data = h;
    h->open = 2;
    return 0;
}

int health_new(struct health **out, uv_loop_t *loop, health_went_down_fn *went_down, void *arg)
{
    struct health *h = calloc(1, sizeof *h);
    if (h == NULL)
        return -ENOMEM;
    h->loop = loop;
    h->went_down = went_down;
    h->arg = arg;
    h->random = uv_hrtime() | 1; /* never zero */
    TAILQ_INIT(&h->pools);
    TAILQ_INIT(&h->gone);
    wheel_init(&h->wheel, uv_now(loop));
    int rc = open_handles(h);
    if (rc < 0) {
        free(h);
        return rc;
    }
    uv_poll_start(&h->poll, UV_READABLE, on_ready);
    *out = h;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct health *h = handle->data;
    if (--h->open > 0)
        return;
    free_gone(h);
    free(h);
}

void health_close(struct health *h)
{
    if (h == NULL || h->epoll == -1)
        return;
    struct watched *w = TAILQ_FIRST(&h->pools);
    while (w != NULL) {
        struct watched *next = TAILQ_NEXT(w, in_health);
        forget(h, w);
        w = next;
    }
    uv_close((uv_handle_t *)&h->timer, on_closed);
    uv_close((uv_handle_t *)&h->poll, on_closed);
    close(h->epoll);
    h->epoll = -1;
}
