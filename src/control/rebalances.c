#include "control/rebalances.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "balance/passive_check.h"
#include "base/hash.h"
#include "base/log.h"
#include "control/rebalance_shares.h"
#include "control/rebalance_wave.h"

#define TICK_MS     100
#define WAVES       100  /* in the time of a rebalance, at most */
#define SESSIONS_MS 200  /* sessions of all pools for each ms between waves: scans stay cheap */
#define RETURN_MS   1000 /* with balance "hash" and limits: how long a wave waits for them */
#define FAIR_PART   20   /* 1 / 20 of the sessions may be on other servers at the end */

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
    uint64_t later;     /* sessions that have to move when absent servers are back */
    bool busy;          /* a wave is under way */
    bool ended;         /* freed by the next tick without a wave */
    bool adopted;       /* from another process: the next tick sets table and keeps the plan */
    bool announced;     /* its start has been logged */
    rebalance_planned_fn *planned; /* NULL: has been called */
    void *arg;
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

/* ---- the end ---- */

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
    if (p != NULL) {
        rebalance_shares_forget(p);
        rebalance_shares_unmark(p);
    }
    if (result != NULL)
        log_ended(b, result);
    b->ended = true;
    call_planned(b, REBALANCE_BALANCED, result == NULL);
}

/* ---- the plan ---- */

static int plan_by_share(struct rebalance *b, const struct pool *p, uint64_t now)
{
    struct rebalance_shares full;
    uint64_t coming = rebalance_progress_coming(&b->progress);
    if (rebalance_shares_compute(&full, p, REBALANCE_SHARES_FULL, coming, now) < 0)
        return -ENOMEM;
    rebalance_progress_set_plan(&b->progress, full.to_move, true);
    free(full.share);
    return 0;
}

/* A fingerprint of the servers and of those that get sessions. */
static uint64_t table_of_pool(const struct pool *p)
{
    size_t count = 0;
    struct server *const *server = pool_servers(p, &count);
    const struct table table = pool_table(p);
    uint64_t sum = table_now(&table); /* without failed connects */
    for (size_t i = 0; i < count; i++)
        if (passive_check_is_out(server[i]))
            sum += hash_splitmix64(server[i]->serial, 1);
    return sum;
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

static void start_wave(struct rebalance *b, struct pool *p, struct rebalance_quota *quota,
                       size_t count, uint64_t wanted)
{
    const struct rebalance_wave_request request = {
        .pool = p,
        .by_key = is_by_key(p),
        .quota = quota,
        .quotas = count,
        .since = b->since,
        .wanted = wanted,
        .done = rebalance_on_wave,
        .arg = b,
    };
    b->next_wave = rebalances_now(b->owner) + wave_interval(b);
    b->busy = rebalance_wave_start(b->owner->scan_replies, b->owner->workers, &request) == 0;
}

/* ---- continuing ---- */

/* Sessions that were closed may have come back to where they were, if the other server does not
 * take them: they are not closed again. */
static void rebalance_settle(struct rebalance *b, const struct pool *p, uint64_t left)
{
    uint64_t few = rebalance_shares_present(p) / FAIR_PART + 1;
    bool could_not_move = b->progress.to_move > 0 || b->later > 0 || left > few;
    b->progress.to_move = left > b->later ? left : b->later;
    rebalance_end(b, could_not_move ? "incomplete" : "balanced");
}

/* Sets `later` and progress.absent. Returns -ENOMEM or 0. */
static int look_for_absent(struct rebalance *b, const struct pool *p, uint64_t now)
{
    struct rebalance_progress *c = &b->progress;
    struct rebalance_shares s;
    c->absent = rebalance_shares_absent(p);
    b->later = 0;
    if (c->absent == 0)
        return 0;
    if (rebalance_shares_compute(&s, p, REBALANCE_SHARES_RETURN, rebalance_progress_coming(c),
                                 now) < 0)
        return -ENOMEM;
    b->later = s.to_move;
    free(s.share);
    if (b->later == 0)
        c->absent = 0;
    return 0;
}

static void continue_by_share(struct rebalance *b, struct pool *p, uint64_t now)
{
    struct rebalance_progress *c = &b->progress;
    uint64_t coming = rebalance_progress_coming(c);
    struct rebalance_shares s;
    size_t count = 0;
    if (c->counted == 0) {
        if (plan_by_share(b, p, now) < 0)
            return; /* the next tick tries again */
        note_planned(b, p);
        if (b->ended)
            return;
    }
    if (look_for_absent(b, p, now) < 0 ||
        rebalance_shares_compute(&s, p, REBALANCE_SHARES_NOW, coming, now) < 0)
        return; /* the next tick tries again */
    rebalance_shares_publish(p, &s);
    uint64_t left = c->most - c->closed;
    c->to_move = s.to_move < left ? s.to_move : left;
    uint64_t allowed = rebalance_progress_allowed(c, now);
    bool is_done = c->to_move == 0 && coming == 0 && b->later == 0;
    if (!s.slow_start && (is_done || rebalance_progress_has_settled(c, now))) {
        rebalance_settle(b, p, s.to_move);
    } else if (c->to_move > allowed && now >= b->next_wave) {
        struct rebalance_quota *excess = rebalance_shares_list_excess(p, &s, &count);
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
    if (done && (b->found + b->later == 0 || rebalance_progress_has_settled(c, now))) {
        rebalance_settle(b, p, b->found + b->strayed);
        return;
    }
    if (c->counted == 0 || slow_start)
        b->since = last_session(b);
    struct rebalance_quota *room = rebalance_wave_list_rooms(p, &count);
    if (room == NULL || (count > 0 && c->coming > 0 && now < c->changed + RETURN_MS)) {
        free(room);
        return;
    }
    uint64_t allowed = rebalance_progress_allowed(c, now);
    uint64_t wanted = c->to_move > allowed ? c->to_move - allowed : 0;
    if (c->counted == 0)
        wanted = c->length == 0 ? REBALANCE_NO_LIMIT : 0;
    start_wave(b, p, room, count, wanted);
}

/* How many sessions belong to a server that has gone out is not known any more with balance "hash":
 * as many as had to move before, or had not come back. */
static void note_absent_by_key(struct rebalance *b, const struct pool *p)
{
    struct rebalance_progress *c = &b->progress;
    c->absent = rebalance_shares_absent(p);
    if (c->absent == 0)
        b->later = 0;
    else if (b->later == 0)
        b->later = c->to_move + rebalance_progress_coming(c);
    if (b->later == 0)
        c->absent = 0;
}

/* Servers, weights or states have changed since the plan was made: the next one is made for the
 * remaining time. */
static void plan_again(struct rebalance *b, struct pool *p, uint64_t now)
{
    if (is_by_key(p)) {
        note_absent_by_key(b, p);
        rebalance_shares_forget(p); /* another policy may have been in force */
    }
    rebalance_progress_plan_again(&b->progress, now);
    rebalance_shares_mark(p, false);
    b->table = table_of_pool(p);
}

/* Servers that the other process waited for are not known here: all that are out may be those. */
static void adopt(struct rebalance *b, const struct pool *p)
{
    b->table = table_of_pool(p);
    b->since = last_session(b);
    b->later = b->progress.absent > 0 ? b->progress.to_move : 0;
    rebalance_shares_mark(p, b->later > 0);
    b->adopted = false;
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
    if (b->adopted)
        adopt(b, p);
    rebalance_progress_count_coming(&b->progress, rebalance_shares_present(p), now);
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
    rebalance_progress_add_closed(c, closed, rebalances_now(b->owner));
    b->found = found;
    b->strayed = result->strayed;
    c->to_move -= closed < c->to_move ? closed : c->to_move;
    if (b->ended || p == NULL || !is_by_key(p))
        return; /* the next tick decides */
    bool is_plan = c->counted == 0;
    if (is_plan)
        rebalance_progress_set_plan(c, found, false);
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
    b->next_wave = rebalances_now(rs);
    rebalance_progress_begin(c, over, b->next_wave);
    if (is_new) {
        c->first_began = c->aged = c->began;
        c->present = rebalance_shares_present(p);
        rebalance_shares_unmark(p); /* of one that ended while the pool was removed */
        rebalance_shares_mark(p, false);
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
    *progress = b->progress;
    *left = rebalance_progress_left(progress, rebalances_now(rs));
    if (progress->absent > 0 && progress->to_move < b->later)
        progress->to_move = b->later;
    return true;
}
