#include "control/rebalances.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "balance/fair_share.h"
#include "base/log.h"
#include "control/rebalance_wave.h"

#define TICK_MS     100
#define WAVES       100   /* in the time of a rebalance, at most */
#define SESSIONS_MS 200   /* sessions of all pools for each ms between waves: scans stay cheap */
#define SETTLE_MS   10000 /* how long closed sessions may take to come back */
#define RETURN_MS   1000  /* with balance "hash" and limits: how long a wave waits for them */
#define FAIR_PART   20    /* 1 / 20 of the sessions may be on other servers at the end */
#define NO_LIMIT    UINT64_MAX

struct rebalance {
    LIST_ENTRY(rebalance) in_all;
    struct rebalances *owner;
    char *pool; /* its name: the pool may be freed before the rebalance ends */
    struct rebalance_progress progress;
    uint64_t table;     /* fingerprint of the servers that the plan was made for */
    uint64_t next_wave; /* ms */
    uint64_t found;     /* by the last wave, with balance "hash" */
    uint64_t strayed;   /* the same, with ids above since */
    uint64_t since;     /* the last session when the servers changed, with balance "hash" */
    bool busy;          /* a wave is under way */
    bool ended;         /* freed by the next tick without a wave */
    bool adopted;       /* from another process: the next tick sets table and keeps the plan */
    bool announced;     /* its start has been logged */
    rebalance_planned_fn *planned; /* NULL: has been called */
    void *arg;
};

/* The shares of the pool's servers at this moment. */
struct rebalance_shares {
    struct fair_share *share;
    size_t count;
    uint64_t coming;  /* sessions that were closed and have not come back */
    uint64_t to_move; /* sessions beyond shares */
    bool slow_start;  /* a server is in slow start */
};

static uint64_t rebalances_now(const struct rebalances *rs)
{
    return uv_now(rs->tick.loop);
}

static uint64_t last_session(const struct rebalance *b)
{
    return atomic_load_explicit(b->owner->last_session_id, memory_order_relaxed);
}

static struct pool *pool_of(const struct rebalance *b)
{
    return pools_find(b->owner->pools, b->pool);
}

static bool is_by_key(const struct pool *p)
{
    return pool_conf(p)->balance == CONFIG_BALANCE_HASH;
}

static bool is_in_order(const struct pool *p)
{
    return pool_conf(p)->balance == CONFIG_BALANCE_FIRST;
}

/* ---- the end ---- */

/* Sessions that begin now are chosen by the policy alone. */
static void forget_shares(struct pool *p)
{
    size_t count = 0;
    struct server *const *server = pool_servers(p, &count);
    pool_prefer_below_share(p, false);
    for (size_t i = 0; i < count; i++)
        server_set_fair(server[i], SERVER_NO_SHARE);
}

static void call_planned(struct rebalance *b, enum rebalance_started started, bool valid)
{
    rebalance_planned_fn *planned = b->planned;
    b->planned = NULL;
    if (planned != NULL)
        planned(b->arg, started, valid ? &b->progress : NULL);
}

static void rebalance_free(struct rebalance *b)
{
    LIST_REMOVE(b, in_all);
    free(b->pool);
    free(b);
}

static void log_ended(const struct rebalance *b, const char *result)
{
    struct log_line line;
    if (!log_is_enabled(LOG_LEVEL_NOTICE))
        return;
    log_begin(&line, LOG_LEVEL_NOTICE, "rebalance_ended");
    log_str(&line, "pool", b->pool);
    log_str(&line, "result", result);
    log_uint(&line, "closed", b->progress.closed);
    log_uint(&line, "left", b->progress.to_move);
    log_uint(&line, "duration_ms", rebalances_now(b->owner) - b->progress.first_began);
    log_end(&line);
}

/* Marks b as ended; a tick frees it. result: for the log. NULL: there was nothing to do; nothing is
 * logged, and the command is answered with REBALANCE_BALANCED. */
static void rebalance_end(struct rebalance *b, const char *result)
{
    struct pool *p = pool_of(b);
    if (p != NULL)
        forget_shares(p);
    if (result != NULL)
        log_ended(b, result);
    b->ended = true;
    call_planned(b, REBALANCE_BALANCED, result == NULL);
}

/* ---- shares ---- */

static uint64_t count_present(const struct pool *p)
{
    size_t count = 0;
    uint64_t sum = 0;
    struct server *const *server = pool_servers(p, &count);
    for (size_t i = 0; i < count; i++)
        sum += server_staying(server[i]);
    return sum;
}

/* Counts the sessions that have come back: as many as there are more sessions than at the last
 * call. Closed sessions that have not come back 5 to 10 seconds after the close are dropped. */
static void count_coming(struct rebalance *b, const struct pool *p, uint64_t now)
{
    struct rebalance_progress *c = &b->progress;
    uint64_t present = count_present(p);
    uint64_t back = present > c->present ? present - c->present : 0;
    uint64_t late = back < c->coming_late ? back : c->coming_late;
    back -= late;
    c->present = present;
    c->coming_late -= late;
    c->coming -= back < c->coming ? back : c->coming;
    if (now - c->aged < SETTLE_MS / 2)
        return;
    c->coming_late = c->coming;
    c->coming = 0;
    c->aged = now;
}

/* Counts sessions that a wave has closed: present, coming and closed change together. */
static void note_closed(struct rebalance_progress *c, uint64_t closed, uint64_t now)
{
    if (closed == 0)
        return;
    if (c->coming == 0 && c->coming_late == 0)
        c->aged = now;
    c->closed += closed;
    c->coming += closed;
    c->present -= closed < c->present ? closed : c->present;
    c->changed = now;
}

/* Divides the sessions. full: as if no server were in slow start. Returns -ENOMEM or 0. */
static int shares_compute(struct rebalance_shares *s, struct rebalance *b, const struct pool *p,
                          bool full)
{
    uint64_t now = rebalances_now(b->owner);
    uint64_t coming = s->coming = b->progress.coming + b->progress.coming_late;
    struct server *const *server = pool_servers(p, &s->count);
    s->slow_start = false;
    s->share = calloc(s->count + 1, sizeof *s->share);
    if (s->share == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < s->count; i++) {
        s->share[i] = fair_share_of(server[i], now, full);
        s->slow_start |= s->share[i].weight > 0 && server_share(server[i], now) < SERVER_FULL_SHARE;
    }
    fair_share_divide(s->share, s->count, fair_share_sessions(s->share, s->count) + coming,
                      is_in_order(p));
    s->to_move = fair_share_to_move(s->share, s->count, coming);
    return 0;
}

static void publish_shares(struct pool *p, const struct rebalance_shares *s)
{
    size_t count = 0;
    struct server *const *server = pool_servers(p, &count);
    for (size_t i = 0; i < count; i++)
        server_set_fair(server[i], s->share[i].fair);
    pool_prefer_below_share(p, !is_in_order(p));
}

/* ---- the plan ---- */

/* to_move: sessions to be closed from now on. limited: no more may be closed, even if more have to
 * move later. */
static void set_plan(struct rebalance_progress *c, uint64_t to_move, bool limited)
{
    c->planned = c->to_move = to_move;
    c->most = limited ? c->closed + to_move : NO_LIMIT;
    c->counted = 1;
}

static int plan_by_share(struct rebalance *b, const struct pool *p)
{
    struct rebalance_shares full;
    if (shares_compute(&full, b, p, true) < 0)
        return -ENOMEM;
    set_plan(&b->progress, full.to_move, true);
    free(full.share);
    return 0;
}

static uint64_t table_of_pool(const struct pool *p)
{
    const struct table table = pool_table(p);
    return table_now(&table);
}

/* The number of sessions that may still have to move at this time. */
static uint64_t rebalance_allowed(const struct rebalance_progress *c, uint64_t now)
{
    uint64_t elapsed = now - c->began;
    if (elapsed >= c->length)
        return 0;
    return c->planned - (uint64_t)((double)c->planned * (double)elapsed / (double)c->length);
}

static void log_started(const struct rebalance *b)
{
    struct log_line line;
    if (!log_is_enabled(LOG_LEVEL_NOTICE))
        return;
    log_begin(&line, LOG_LEVEL_NOTICE, "rebalance_started");
    log_str(&line, "pool", b->pool);
    log_uint(&line, "sessions", b->progress.planned);
    log_uint(&line, "over_ms", b->progress.length);
    log_end(&line);
}

/* A plan has been made. A rebalance that has nothing to do ends without a line in the log. */
static void note_planned(struct rebalance *b, const struct pool *p)
{
    bool has_work = b->progress.planned > 0 || pool_is_slow_starting(p, rebalances_now(b->owner));
    if (!has_work && !b->announced) {
        rebalance_end(b, NULL);
        return;
    }
    if (!b->announced)
        log_started(b);
    b->announced = true;
    call_planned(b, REBALANCE_STARTED, true);
}

/* ---- waves ---- */

static uint64_t count_sessions(const struct workers *ws)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < workers_running(ws); i++) {
        struct worker_stats now;
        worker_stats(workers_at(ws, i), &now);
        sum += now.sessions;
    }
    return sum;
}

static uint64_t wave_interval(const struct rebalance *b)
{
    uint64_t interval = b->progress.length / WAVES;
    uint64_t cheap = count_sessions(b->owner->workers) / SESSIONS_MS;
    interval = interval > cheap ? interval : cheap;
    return interval > TICK_MS ? interval : TICK_MS;
}

static void rebalance_on_wave(void *arg, const struct rebalance_wave_result *result);

static void start_wave(struct rebalance *b, struct pool *p, struct rebalance_excess *excess,
                       size_t count, uint64_t wanted)
{
    const struct rebalance_wave_request request = {
        .pool = p,
        .by_key = is_by_key(p),
        .excess = excess,
        .excess_count = count,
        .since = b->since,
        .wanted = wanted,
        .done = rebalance_on_wave,
        .arg = b,
    };
    b->next_wave = rebalances_now(b->owner) + wave_interval(b);
    b->busy = rebalance_wave_start(b->owner->scan_replies, b->owner->workers, &request) == 0;
}

/* The servers with sessions beyond their shares. Returns NULL when out of memory. */
static struct rebalance_excess *list_excess(const struct pool *p, const struct rebalance_shares *s,
                                            size_t *count)
{
    size_t servers = 0;
    struct server *const *server = pool_servers(p, &servers);
    struct rebalance_excess *excess = calloc(servers + 1, sizeof *excess);
    *count = 0;
    for (size_t i = 0; i < servers && excess != NULL; i++)
        if (fair_share_excess(&s->share[i]) > 0)
            excess[(*count)++] =
                (struct rebalance_excess){ server[i]->serial, fair_share_excess(&s->share[i]) };
    return excess;
}

/* ---- continuing ---- */

/* Whether the rebalance ends although sessions have to move or come back: SETTLE_MS after the end
 * of its time and the last close. */
static bool has_settled(const struct rebalance_progress *c, uint64_t now)
{
    uint64_t end = c->began + c->length;
    return now >= end && now - end >= SETTLE_MS && now >= c->changed + SETTLE_MS;
}

/* Sessions that were closed may have come back to where they were, if the other server does not
 * take them: they are not closed again. */
static void rebalance_settle(struct rebalance *b, const struct pool *p, uint64_t left)
{
    bool could_not_move = b->progress.to_move > 0 || left > count_present(p) / FAIR_PART + 1;
    b->progress.to_move = left;
    rebalance_end(b, could_not_move ? "incomplete" : "balanced");
}

static void continue_by_share(struct rebalance *b, struct pool *p, uint64_t now)
{
    struct rebalance_progress *c = &b->progress;
    struct rebalance_shares s;
    size_t count = 0;
    if (c->counted == 0) {
        if (plan_by_share(b, p) < 0)
            return; /* the next tick tries again */
        note_planned(b, p);
        if (b->ended)
            return;
    }
    if (shares_compute(&s, b, p, false) < 0)
        return; /* the next tick tries again */
    publish_shares(p, &s);
    uint64_t left = c->most - c->closed;
    c->to_move = s.to_move < left ? s.to_move : left;
    uint64_t allowed = rebalance_allowed(c, now);
    if (!s.slow_start && ((c->to_move == 0 && s.coming == 0) || has_settled(c, now))) {
        rebalance_settle(b, p, s.to_move);
    } else if (c->to_move > allowed && now >= b->next_wave) {
        struct rebalance_excess *excess = list_excess(p, &s, &count);
        if (excess != NULL)
            start_wave(b, p, excess, count, c->to_move - allowed);
    }
    free(s.share);
}

/* Each wave also counts the sessions whose keys belong to other servers: the next wave uses this
 * number. Where servers have limits, a wave waits until the clients of the last one have come back:
 * before, it is not known which server has room. */
static void continue_by_key(struct rebalance *b, struct pool *p, uint64_t now)
{
    struct rebalance_progress *c = &b->progress;
    bool slow_start = pool_is_slow_starting(p, now);
    bool done = c->counted != 0 && !slow_start;
    size_t count = 0;
    if (now < b->next_wave)
        return;
    if (done && (b->found == 0 || has_settled(c, now))) {
        rebalance_settle(b, p, b->found + b->strayed);
        return;
    }
    if (c->counted == 0 || slow_start)
        b->since = last_session(b);
    struct rebalance_excess *room = rebalance_wave_list_rooms(p, &count);
    if (room == NULL || (count > 0 && c->coming > 0 && now < c->changed + RETURN_MS)) {
        free(room);
        return;
    }
    uint64_t allowed = rebalance_allowed(c, now);
    uint64_t wanted = c->to_move > allowed ? c->to_move - allowed : 0;
    if (c->counted == 0)
        wanted = c->length == 0 ? NO_LIMIT : 0;
    start_wave(b, p, room, count, wanted);
}

/* Servers, weights or states have changed since the plan was made: the next one is made for the
 * remaining time. */
static void plan_again(struct rebalance *b, struct pool *p, uint64_t now)
{
    struct rebalance_progress *c = &b->progress;
    uint64_t elapsed = now - c->began;
    c->length = elapsed < c->length ? c->length - elapsed : 0;
    c->began = now;
    c->counted = 0;
    b->table = table_of_pool(p);
    if (is_by_key(p))
        forget_shares(p); /* another policy may have been in force */
}

static void rebalance_continue(struct rebalance *b)
{
    uint64_t now = rebalances_now(b->owner);
    struct pool *p = pool_of(b);
    if (p == NULL || pool_file(p) != NULL) {
        rebalance_end(b, "pool_removed");
        return;
    }
    if (pool_is_paused(p)) { /* clients of sessions that are closed would wait */
        call_planned(b, REBALANCE_STARTED, true);
        return;
    }
    if (b->adopted) {
        b->table = table_of_pool(p);
        b->since = last_session(b);
    }
    b->adopted = false;
    count_coming(b, p, now);
    if (b->table != table_of_pool(p))
        plan_again(b, p, now);
    if (is_by_key(p))
        continue_by_key(b, p, now);
    else
        continue_by_share(b, p, now);
}

static void rebalance_on_wave(void *arg, const struct rebalance_wave_result *result)
{
    struct rebalance *b = arg;
    uint64_t found = result->found;
    uint64_t closed = result->closed;
    struct rebalance_progress *c = &b->progress;
    const struct pool *p = pool_of(b);
    b->busy = false;
    note_closed(c, closed, rebalances_now(b->owner));
    b->found = found;
    b->strayed = result->strayed;
    c->to_move -= closed < c->to_move ? closed : c->to_move;
    if (b->ended || p == NULL || !is_by_key(p))
        return; /* the next tick decides */
    bool is_plan = c->counted == 0;
    if (is_plan)
        set_plan(c, found, false);
    c->to_move = found > closed ? found - closed : 0;
    if (is_plan)
        note_planned(b, p);
}

/* Rebalances are freed only here, not where they end: planned() answers a command, and the client's
 * next command may run within that call and start or end a rebalance. */
static void free_ended(struct rebalances *rs)
{
    struct rebalance *b = LIST_FIRST(&rs->all);
    while (b != NULL) {
        struct rebalance *next = LIST_NEXT(b, in_all);
        if (b->ended && !b->busy)
            rebalance_free(b);
        b = next;
    }
}

static void rebalances_on_tick(uv_timer_t *timer)
{
    struct rebalances *rs = timer->data;
    struct rebalance *b;
    LIST_FOREACH(b, &rs->all, in_all)
        if (!b->busy && !b->ended)
            rebalance_continue(b);
    free_ended(rs);
    if (LIST_EMPTY(&rs->all))
        uv_timer_stop(timer);
}

/* ---- start and end ---- */

void rebalances_init(struct rebalances *rs, uv_loop_t *loop, struct scan_replies *scan_replies,
                     struct workers *workers, const struct pools *pools,
                     const _Atomic uint64_t *last_session_id)
{
    LIST_INIT(&rs->all);
    rs->scan_replies = scan_replies;
    rs->workers = workers;
    rs->pools = pools;
    rs->last_session_id = last_session_id;
    uv_timer_init(loop, &rs->tick);
    rs->tick.data = rs;
}

void rebalances_fini(struct rebalances *rs)
{
    struct rebalance *b = LIST_FIRST(&rs->all);
    while (b != NULL) {
        struct rebalance *next = LIST_NEXT(b, in_all);
        call_planned(b, REBALANCE_STARTED, false);
        rebalance_free(b);
        b = next;
    }
}

static struct rebalance *rebalances_find(const struct rebalances *rs, const struct pool *p)
{
    struct rebalance *b;
    LIST_FOREACH(b, &rs->all, in_all)
        if (!b->ended && strcmp(b->pool, pool_name(p)) == 0)
            return b;
    return NULL;
}

static struct rebalance *rebalance_new(struct rebalances *rs, const struct pool *p)
{
    struct rebalance *b = calloc(1, sizeof *b);
    if (b == NULL || (b->pool = strdup(pool_name(p))) == NULL) {
        free(b);
        return NULL;
    }
    b->owner = rs;
    b->table = table_of_pool(p);
    LIST_INSERT_HEAD(&rs->all, b, in_all);
    uv_timer_start(&rs->tick, rebalances_on_tick, TICK_MS, TICK_MS);
    return b;
}

int rebalances_start(struct rebalances *rs, struct pool *p, uint64_t over,
                     rebalance_planned_fn *planned, void *arg)
{
    struct rebalance *b = rebalances_find(rs, p);
    if (b != NULL && b->progress.over == over) {
        planned(arg, REBALANCE_RUNNING, &b->progress);
        return 0;
    }
    bool is_new = b == NULL;
    if (is_new && (b = rebalance_new(rs, p)) == NULL)
        return -ENOMEM;
    call_planned(b, REBALANCE_STARTED, b->progress.counted != 0); /* of a former command */
    struct rebalance_progress *c = &b->progress;
    c->over = c->length = over;
    c->began = c->changed = b->next_wave = rebalances_now(rs);
    c->counted = 0;
    if (is_new) {
        c->first_began = c->aged = c->began;
        c->present = count_present(p);
    }
    b->planned = planned;
    b->arg = arg;
    if (!b->busy)
        rebalance_continue(b);
    return 0;
}

bool rebalances_stop(struct rebalances *rs, const struct pool *p,
                     struct rebalance_progress *progress)
{
    struct rebalance *b = rebalances_find(rs, p);
    if (b == NULL)
        return false;
    *progress = b->progress;
    rebalance_end(b, "stopped");
    return true;
}

void rebalances_stop_all(struct rebalances *rs)
{
    struct rebalance *b;
    LIST_FOREACH(b, &rs->all, in_all)
        if (!b->ended)
            rebalance_end(b, "shutdown");
}

int rebalances_resume(struct rebalances *rs, const struct pool *p,
                      const struct rebalance_progress *progress)
{
    struct rebalance *b = rebalance_new(rs, p);
    if (b == NULL)
        return -ENOMEM;
    b->progress = *progress;
    b->adopted = true;
    b->announced = true;
    b->found = progress->to_move + 1; /* not known: it is counted again */
    return 0;
}

bool rebalances_progress(const struct rebalances *rs, const struct pool *p,
                         struct rebalance_progress *progress, uint64_t *left)
{
    const struct rebalance *b = rebalances_find(rs, p);
    if (b == NULL)
        return false;
    uint64_t elapsed = rebalances_now(rs) - b->progress.began;
    *progress = b->progress;
    *left = elapsed < progress->length ? progress->length - elapsed : 0;
    return true;
}
