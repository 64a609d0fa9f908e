#include "balance/health.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#include "balance/probe.h"
#include "balance/script.h"
#include "base/log.h"
#include "base/timer_wheel.h"

#define EVENTS               64    /* at most in one wake-up */
#define FIRST_WITHIN         1000  /* ms, of the first probe */
#define CLOSE_WITHIN         1000  /* ms for the server to close too */
#define LATE                 100   /* ms: this process was stopped or blocked */
#define LOCAL_ERROR_INTERVAL 10000 /* ms between two log lines about local errors */

/* One server's checks. */
struct check {
    struct timer_wheel_entry timer; /* first */
    TAILQ_ENTRY(check) in_list;
    struct checked_pool *checked_pool;
    struct server *server;
    struct script script;
    const char *host; /* of the server, when the script was made; each host is kept */
    struct probe probe;
    struct health_state state;
    uint64_t begun; /* ms, the start of the last probe */
    uint64_t due;   /* ms, start of the next probe or end of the running one */
};

TAILQ_HEAD(checks, check);

/* A pool whose servers are checked. */
struct checked_pool {
    struct health *health;
    struct pool *pool;
    const struct config_pool *conf; /* the settings of the checks */
    struct checks checks;           /* in the order of the pool's servers */
    TAILQ_ENTRY(checked_pool) in_health;
};

TAILQ_HEAD(checked_pools, checked_pool);

struct health {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_poll_t poll; /* of epoll */
    int epoll;      /* -1: closed */
    unsigned open;  /* handles not closed yet */
    struct timer_wheel timer_wheel;
    struct checked_pools pools;
    struct checks stopped; /* freed before the next epoll_wait(2): present events may be theirs */
    uint64_t random;
    uint64_t error_logged; /* ms, the last local error in the log; 0: none */
    health_went_down_fn *went_down;
    void *arg;
};

static uint64_t health_now(const struct health *h)
{
    return uv_now(h->loop);
}

/* ---- when ---- */

/* A random number from 0 to below - 1; the modulo bias does not matter for times. Marsaglia,
 * "Xorshift RNGs" (2003). */
static uint64_t random_below(struct health *h, uint64_t below)
{
    h->random ^= h->random << 13;
    h->random ^= h->random >> 7;
    h->random ^= h->random << 17;
    return below == 0 ? 0 : h->random % below;
}

/* 90 % to 110 % of the interval, so that checks of many servers do not stay together. */
static uint64_t jitter(struct health *h, uint64_t interval)
{
    return interval - interval / 10 + random_below(h, interval / 5 + 1);
}

static void health_on_timer(uv_timer_t *timer);

static void health_arm_timer(struct health *h)
{
    uint64_t now = health_now(h);
    uint64_t due = timer_wheel_next_due(&h->timer_wheel);
    if (due == TIMER_WHEEL_NEVER)
        uv_timer_stop(&h->timer);
    else
        uv_timer_start(&h->timer, health_on_timer, due > now ? due - now : 0, 0);
}

static void health_set_timer(struct check *c, uint64_t due)
{
    c->due = due;
    timer_wheel_schedule(&c->checked_pool->health->timer_wheel, &c->timer, due);
}

/* The first probe comes soon. The second is spread over one interval, so that servers that were
 * added together are not probed together for ever. */
static void schedule_first(struct check *c)
{
    struct health *h = c->checked_pool->health;
    uint64_t interval = c->checked_pool->conf->check_interval;
    uint64_t window = interval < FIRST_WITHIN ? interval : FIRST_WITHIN;
    health_set_timer(c, health_now(h) + random_below(h, window));
}

static void schedule_next(struct check *c)
{
    struct health *h = c->checked_pool->health;
    uint64_t interval = c->checked_pool->conf->check_interval;
    bool spread = c->state.streak == 0;
    health_set_timer(c, c->begun + (spread ? random_below(h, interval) : jitter(h, interval)));
}

/* Limits the time of a connection that is being closed in order. */
static void schedule_close(struct check *c)
{
    uint64_t end = health_now(c->checked_pool->health) + CLOSE_WITHIN;
    if (c->probe.fd != -1 && end < c->due)
        timer_wheel_schedule(&c->checked_pool->health->timer_wheel, &c->timer, end);
}

/* ---- results ---- */

static void log_local_error(struct health *h, const char *why)
{
    uint64_t now = health_now(h);
    if (h->error_logged != 0 && now - h->error_logged < LOCAL_ERROR_INTERVAL)
        return;
    h->error_logged = now;
    log_msg(LOG_LEVEL_WARNING, "check_impossible",
            "%s: servers are not checked and keep their state until this is over", why);
}

/* The callback may free c: nothing is touched after it. */
static void health_apply_result(struct check *c)
{
    struct checked_pool *w = c->checked_pool;
    struct health *h = w->health;
    bool up = c->state.up;
    if (!pool_set_up(w->pool, c->server, up, health_now(h)))
        return;
    health_state_log_changed(w->pool, c->server, &c->state);
    if (!up && w->conf->on_down == CONFIG_ON_DOWN_CLOSE)
        h->went_down(h->arg, w->pool, c->server);
}

/* May free c. */
static void health_finish_check(struct check *c, enum probe_outcome outcome)
{
    const struct config_pool *conf = c->checked_pool->conf;
    struct health_state *state = &c->state;
    uint64_t now = health_now(c->checked_pool->health);
    bool passed = outcome == PROBE_PASSED;
    schedule_next(c);
    schedule_close(c);
    if (outcome == PROBE_UNKNOWN) {
        log_local_error(c->checked_pool->health, c->probe.why);
        return;
    }
    memcpy(state->why, c->probe.why, sizeof state->why);
    state->duration = now - c->begun;
    health_state_add(state, passed, conf->check_rise, conf->check_fall, now);
    if (!passed)
        health_state_log_failed(c->checked_pool->pool, c->server, state);
    if (state->up !=
        atomic_load(&c->server->up)) /* also if it was set meanwhile, as by a handover */
        health_apply_result(c);
}

/* ---- probes ---- */

static enum probe_outcome start_probe(struct check *c)
{
    struct epoll_event ev = { .events = PROBE_EVENTS, .data.ptr = c };
    enum probe_outcome outcome = probe_start(&c->probe, &c->script);
    if (outcome != PROBE_RUNNING)
        return outcome;
    if (epoll_ctl(c->checked_pool->health->epoll, EPOLL_CTL_ADD, c->probe.fd, &ev) == 0)
        return PROBE_RUNNING;
    return probe_give_up(&c->probe, errno);
}

static void health_begin_check(struct check *c)
{
    c->begun = health_now(c->checked_pool->health);
    if (atomic_load(&c->server->state) == CONFIG_STATE_MAINT) {
        health_state_unsettle(&c->state); /* after maintenance the first check decides */
        schedule_next(c);
        return;
    }
    enum probe_outcome outcome = start_probe(c);
    if (outcome == PROBE_RUNNING)
        health_set_timer(c, c->begun + c->checked_pool->conf->check_timeout);
    else
        health_finish_check(c, outcome);
}

/* If this process is late, since it was stopped or blocked, the probe first takes the steps it
 * could have taken, and the server gets the lost time again. */
static void health_expire_check(struct check *c)
{
    uint64_t timeout = c->checked_pool->conf->check_timeout;
    uint64_t now = health_now(c->checked_pool->health);
    uint64_t late = now - c->due;
    enum probe_outcome outcome = probe_poll(&c->probe);
    if (outcome == PROBE_RUNNING && late > LATE)
        health_set_timer(c, now + (late < timeout ? late : timeout));
    else
        health_finish_check(c,
                            outcome == PROBE_RUNNING ? probe_expire(&c->probe, timeout) : outcome);
}

static void health_on_due(struct timer_wheel_entry *e, void *arg)
{
    struct check *c = (struct check *)e; /* its first member */
    struct health *h = arg;
    if (c->probe.state == PROBE_CLOSE)
        probe_stop(&c->probe);
    if (health_now(h) < c->due) /* beyond the range of the wheel */
        timer_wheel_schedule(&h->timer_wheel, &c->timer, c->due);
    else if (c->probe.fd == -1)
        health_begin_check(c);
    else
        health_expire_check(c);
}

static void health_on_timer(uv_timer_t *timer)
{
    struct health *h = timer->data;
    uv_update_time(h->loop); /* timers before this one may have taken long */
    timer_wheel_advance(&h->timer_wheel, health_now(h), health_on_due, h);
    health_arm_timer(h);
}

static void free_stopped(struct health *h)
{
    struct check *c;
    while ((c = TAILQ_FIRST(&h->stopped)) != NULL) {
        TAILQ_REMOVE(&h->stopped, c, in_list);
        free(c);
    }
}

static void health_on_ready(uv_poll_t *poll, int status, int events)
{
    struct health *h = poll->data;
    struct epoll_event ready[EVENTS];
    (void)status;
    (void)events;
    free_stopped(h);
    int n = epoll_wait(h->epoll, ready, EVENTS, 0);
    for (int i = 0; i < n; i++) {
        struct check *c = ready[i].data.ptr;
        if (c->probe.fd == -1) /* ended by an earlier event */
            continue;
        enum probe_outcome outcome = probe_step(&c->probe, ready[i].events);
        if (outcome != PROBE_RUNNING)
            health_finish_check(c, outcome);
    }
    health_arm_timer(h);
}

/* ---- pools and servers ---- */

static struct checked_pool *health_find_pool(const struct health *h, const struct pool *p)
{
    struct checked_pool *w;
    TAILQ_FOREACH(w, &h->pools, in_health)
        if (w->pool == p)
            return w;
    return NULL;
}

static struct checked_pool *add_pool(struct health *h, struct pool *p)
{
    struct checked_pool *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->health = h;
    w->pool = p;
    TAILQ_INIT(&w->checks);
    TAILQ_INSERT_TAIL(&h->pools, w, in_health);
    return w;
}

/* Returns NULL if the server is not checked for this pool. */
static struct check *find_check(const struct checked_pool *w, const struct server *srv)
{
    return srv->check != NULL && srv->check->checked_pool == w ? srv->check : NULL;
}

static struct check *add_check(struct checked_pool *w, struct server *srv)
{
    struct check *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->checked_pool = w;
    c->server = srv;
    srv->check = c;
    timer_wheel_entry_init(&c->timer);
    probe_init(&c->probe);
    health_state_init(&c->state, atomic_load(&srv->up));
    TAILQ_INSERT_TAIL(&w->checks, c, in_list);
    return c;
}

static void stop_check(struct check *c)
{
    probe_stop(&c->probe);
    timer_wheel_cancel(&c->checked_pool->health->timer_wheel, &c->timer);
    script_fini(&c->script);
}

static void drop_checks(struct health *h, struct checks *list)
{
    struct check *c;
    while ((c = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, c, in_list);
        stop_check(c);
        c->server->check = NULL;
        TAILQ_INSERT_TAIL(&h->stopped, c, in_list);
    }
}

static int restart_check(struct check *c)
{
    const struct server *srv = c->server;
    stop_check(c);
    int rc = script_init(&c->script, c->checked_pool->conf, &srv->addr, &srv->check_address,
                         server_host(srv));
    c->host = server_host(srv);
    if (rc == 0)
        schedule_first(c);
    return rc;
}

/* Makes or keeps the check of one server. old: the former checks; kept ones are moved out. */
static int sync_server(struct checked_pool *w, struct checks *old, struct server *srv,
                       bool new_settings)
{
    struct check *c = find_check(w, srv);
    if (c == NULL) {
        c = add_check(w, srv);
        return c == NULL ? -ENOMEM : restart_check(c);
    }
    TAILQ_REMOVE(old, c, in_list);
    TAILQ_INSERT_TAIL(&w->checks, c, in_list);
    return new_settings || c->host != server_host(srv) ? restart_check(c) : 0;
}

static int sync_servers(struct checked_pool *w, bool new_settings)
{
    struct checks old = TAILQ_HEAD_INITIALIZER(old);
    size_t count = 0;
    struct server *const *servers = pool_servers(w->pool, &count);
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
static void mark_servers_up(struct checked_pool *w)
{
    size_t count = 0;
    struct server *const *servers = pool_servers(w->pool, &count);
    for (size_t i = 0; i < count; i++) {
        struct check *c = find_check(w, servers[i]);
        if (c == NULL || !pool_set_up(w->pool, servers[i], true, health_now(w->health)))
            continue;
        c->state.up = true;
        snprintf(c->state.why, sizeof c->state.why, "not checked any more");
        health_state_log_changed(w->pool, servers[i], &c->state);
    }
}

static void health_remove_checked(struct health *h, struct checked_pool *w)
{
    TAILQ_REMOVE(&h->pools, w, in_health);
    drop_checks(h, &w->checks);
    free(w);
}

int health_sync(struct health *h, struct pool *p)
{
    const struct config_pool *conf = pool_conf(p);
    struct checked_pool *w = health_find_pool(h, p);
    if (conf->check == CONFIG_CHECK_NONE) {
        if (w != NULL) {
            mark_servers_up(w);
            health_remove_checked(h, w);
        }
        return 0;
    }
    if (w == NULL && (w = add_pool(h, p)) == NULL)
        return -ENOMEM;
    bool new_settings = w->conf != conf;
    w->conf = conf;
    int rc = sync_servers(w, new_settings);
    health_arm_timer(h);
    return rc;
}

bool health_is_checked(const struct health *h, const struct pool *p)
{
    return health_find_pool(h, p) != NULL;
}

void health_remove_pool(struct health *h, const struct pool *p)
{
    struct checked_pool *w = health_find_pool(h, p);
    if (w != NULL)
        health_remove_checked(h, w);
}

static struct check *health_check_of(const struct health *h, const struct pool *p,
                                     const struct server *srv)
{
    struct check *c = srv->check;
    return c != NULL && c->checked_pool->health == h && c->checked_pool->pool == p ? c : NULL;
}

const struct health_state *health_find_state(const struct health *h, const struct pool *p,
                                             const struct server *srv)
{
    const struct check *c = health_check_of(h, p, srv);
    return c == NULL ? NULL : &c->state;
}

void health_restore(struct health *h, const struct pool *p, const struct server *srv,
                    const struct health_state *state)
{
    struct check *c = health_check_of(h, p, srv);
    if (c != NULL)
        c->state = *state;
}

/* ---- begin and end ---- */

static int health_open_handles(struct health *h)
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
    TAILQ_INIT(&h->stopped);
    timer_wheel_init(&h->timer_wheel, uv_now(loop));
    int rc = health_open_handles(h);
    if (rc < 0) {
        free(h);
        return rc;
    }
    uv_poll_start(&h->poll, UV_READABLE, health_on_ready);
    *out = h;
    return 0;
}

static void health_on_closed(uv_handle_t *handle)
{
    struct health *h = handle->data;
    if (--h->open > 0)
        return;
    free_stopped(h);
    free(h);
}

void health_close(struct health *h)
{
    if (h == NULL || h->epoll == -1)
        return;
    struct checked_pool *w = TAILQ_FIRST(&h->pools);
    while (w != NULL) {
        struct checked_pool *next = TAILQ_NEXT(w, in_health);
        health_remove_checked(h, w);
        w = next;
    }
    uv_close((uv_handle_t *)&h->timer, health_on_closed);
    uv_close((uv_handle_t *)&h->poll, health_on_closed);
    close(h->epoll);
    h->epoll = -1;
}
