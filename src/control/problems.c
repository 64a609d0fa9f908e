#include "control/problems.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/human.h"
#include "base/log.h"
#include "control/healthz.h"
#include "control/watchdog.h"
#include "tls/tls_client_context.h"
#include "tls/tls_server_context.h"

const char *severity_name(enum severity severity)
{
    switch (severity) {
    case SEVERITY_WARNING:
        return "warning";
    case SEVERITY_CRITICAL:
        return "critical";
    case SEVERITY_NONE:
        break;
    }
    return NULL;
}

static enum severity __attribute__((format(printf, 3, 4)))
problem_set(struct problem *problem, enum severity severity, const char *fmt, ...)
{
    va_list args;
    if (problem == NULL)
        return severity;
    problem->severity = severity;
    va_start(args, fmt);
    vsnprintf(problem->text, sizeof problem->text, fmt, args);
    va_end(args);
    return severity;
}

/* ---- pools ---- */

struct servers {
    size_t all;
    size_t usable;
    size_t closed; /* by the user: in maintenance or drained */
};

static struct servers count_servers(const struct pool *p, uint64_t now)
{
    struct servers n = { .all = 0 };
    struct server *const *server = pool_servers(p, &n.all);
    for (size_t i = 0; i < n.all; i++) {
        n.usable += server_is_usable(server[i], now);
        n.closed +=
            atomic_load_explicit(&server[i]->state, memory_order_relaxed) != CONFIG_STATE_READY;
    }
    return n;
}

/* The fallback that serves the clients of p, which has no usable server; NULL: none. */
static const struct pool *find_fallback(const struct pool *p, uint64_t now)
{
    while ((p = pool_fallback(p)) != NULL)
        if (pool_file(p) != NULL || count_servers(p, now).usable > 0)
            return p;
    return NULL;
}

static enum severity no_usable_server(const struct pool *p, const struct servers *n, uint64_t now,
                                      struct problem *problem)
{
    const struct pool *fallback = pool_waits_when_down(p) ? NULL : find_fallback(p, now);
    char text[HUMAN_MAX];
    const char *why = n->all == 0           ? "has no server"
                      : n->closed == n->all ? "all servers are in maintenance or drained"
                                            : "no server is usable";
    if (fallback != NULL)
        return problem_set(problem, SEVERITY_WARNING, "%s: pool %s serves its clients", why,
                           pool_name(fallback));
    enum severity severity =
        n->all > 0 && n->closed == n->all ? SEVERITY_WARNING : SEVERITY_CRITICAL;
    if (pool_waits_when_down(p))
        return problem_set(problem, severity, "%s: %s waiting for one", why,
                           human_count(pool_waiting(p), "session", text));
    return problem_set(problem, severity, "%s", why);
}

enum severity problems_of_pool(const struct pool *p, uint64_t now, struct problem *problem)
{
    if (problem != NULL)
        snprintf(problem->subject, sizeof problem->subject, "pool %s", pool_name(p));
    if (pool_file(p) != NULL)
        return SEVERITY_NONE;
    char text[HUMAN_MAX];
    struct servers n = count_servers(p, now);
    if (pool_is_closed(p))
        return problem_set(problem, SEVERITY_CRITICAL,
                           "paused by zproxyctl with max_queue = 0: no new session can wait");
    if (pool_is_paused(p))
        return problem_set(problem, SEVERITY_WARNING, "paused by zproxyctl: %s waiting",
                           human_count(pool_waiting(p), "session", text));
    if (n.usable == 0)
        return no_usable_server(p, &n, now, problem);
    size_t down = n.all - n.closed - n.usable;
    if (down == 0)
        return SEVERITY_NONE;
    return problem_set(problem, SEVERITY_WARNING, "%zu of %zu servers %s down", down, n.all,
                       down == 1 ? "is" : "are");
}

/* ---- listeners ---- */

static const char *paused_text(enum accept_reason reason)
{
    switch (reason) {
    case ACCEPT_MAX_CONNECTIONS:
        return "max_connections of [global] is reached";
    case ACCEPT_LISTENER_MAX_CONNECTIONS:
        return "its max_connections is reached";
    case ACCEPT_DESCRIPTORS:
        return "no descriptors are left";
    case ACCEPT_MEMORY:
        return "memory of the kernel is short";
    case ACCEPT_OPEN:
    case ACCEPT_REASONS:
        break;
    }
    return NULL;
}

/* Describes a health that zproxyctl has set. path and name: the URL that answers with it. */
static enum severity set_health_problem(struct problem *problem, enum health_override set,
                                        const char *path, const char *name)
{
    return problem_set(problem, SEVERITY_WARNING, "health is set to %s: %s%s answers %s",
                       health_override_words[set], path, name,
                       set == HEALTH_SET_FAIL ? "503" : "200 even if no server is usable");
}

/* ---- the list ---- */

static struct problem *problems_add(struct problem_list *list)
{
    struct problem *more = realloc(list->problem, (list->count + 1) * sizeof *more);
    if (more == NULL)
        return NULL;
    list->problem = more;
    more[list->count] = (struct problem){ .severity = SEVERITY_NONE };
    return &more[list->count++];
}

static int add_listeners(const struct runtime *rt, struct problem_list *list)
{
    const struct generation *g = rt->current;
    for (size_t i = 0; i < g->conf->listen_count; i++) {
        const char *why = paused_text(accept_watch_reason(g->frontend[i].listener_state));
        if (why == NULL)
            continue;
        struct problem *problem = problems_add(list);
        if (problem == NULL)
            return -ENOMEM;
        snprintf(problem->subject, sizeof problem->subject, "listener %s", g->conf->listen[i].name);
        (void)problem_set(problem, SEVERITY_CRITICAL, "new clients wait: %s", why);
    }
    return 0;
}

static int add_process_health(const struct runtime *rt, struct problem_list *list)
{
    if (rt->health_override == HEALTH_AUTO)
        return 0;
    struct problem *problem = problems_add(list);
    if (problem == NULL)
        return -ENOMEM;
    snprintf(problem->subject, sizeof problem->subject, "health");
    (void)set_health_problem(problem, rt->health_override, "/healthz", "");
    return 0;
}

#define DAY          86400      /* s */
#define EXPIRES_SOON (21 * DAY) /* as the alert of contrib/prometheus */

static enum severity certificate_problem(const struct certificate_info *c, time_t now,
                                         struct problem *problem)
{
    char days[HUMAN_MAX];
    if (now >= c->not_after)
        return problem_set(problem, SEVERITY_WARNING, "certificate of %.120s has expired: %.80s",
                           c->names, c->file);
    if (now < c->not_before)
        return problem_set(problem, SEVERITY_WARNING,
                           "certificate of %.120s is not valid yet: %.80s", c->names, c->file);
    if (c->not_after - now < EXPIRES_SOON)
        return problem_set(problem, SEVERITY_WARNING, "certificate of %.120s expires in %s",
                           c->names,
                           human_count((uint64_t)(c->not_after - now) / DAY, "day", days));
    return SEVERITY_NONE;
}

static int add_certificate(const char *kind, const char *name, const struct certificate_info *c,
                           struct problem_list *list)
{
    struct problem found = { .severity = SEVERITY_NONE };
    if (certificate_problem(c, time(NULL), &found) == SEVERITY_NONE)
        return 0;
    struct problem *problem = problems_add(list);
    if (problem == NULL)
        return -ENOMEM;
    snprintf(found.subject, sizeof found.subject, "%s %s", kind, name);
    *problem = found;
    return 0;
}

static int add_certificates(const struct runtime *rt, struct problem_list *list)
{
    const struct config *conf = runtime_conf(rt);
    struct certificate_info c;
    int rc = 0;
    for (size_t i = 0; i < conf->listen_count; i++)
        for (size_t j = 0; j < tls_server_context_count(conf->listen[i].tls_context); j++) {
            tls_server_context_certificate(conf->listen[i].tls_context, j, &c);
            rc |= add_certificate("listener", conf->listen[i].name, &c, list);
        }
    for (size_t i = 0; i < conf->pool_count; i++)
        if (tls_client_context_certificate(conf->pool[i].tls_context, &c))
            rc |= add_certificate("pool", conf->pool[i].name, &c, list);
    return rc;
}

static int add_listener_health(const struct runtime *rt, struct problem_list *list)
{
    const struct generation *g = rt->current;
    for (size_t i = 0; i < g->conf->listen_count; i++) {
        const char *name = g->conf->listen[i].name;
        enum health_override set = g->frontend[i].listener_state->health_override;
        if (set == HEALTH_AUTO)
            continue;
        struct problem *problem = problems_add(list);
        if (problem == NULL)
            return -ENOMEM;
        snprintf(problem->subject, sizeof problem->subject, "listener %s", name);
        (void)set_health_problem(problem, set, "/healthz/", name);
    }
    return 0;
}

static int add_pools(const struct runtime *rt, enum severity severity, struct problem_list *list)
{
    const struct config *conf = runtime_conf(rt);
    uint64_t now = uv_now(rt->loop);
    for (size_t i = 0; i < conf->pool_count; i++) {
        const struct pool *p = pools_find(&rt->pools, conf->pool[i].name);
        if (problems_of_pool(p, now, NULL) != severity)
            continue;
        struct problem *problem = problems_add(list);
        if (problem == NULL)
            return -ENOMEM;
        (void)problems_of_pool(p, now, problem);
    }
    return 0;
}

/* Formats the wall-clock time `ago` ms before now, in UTC. */
static const char *print_time(uint64_t ago, char buf[32])
{
    struct tm tm;
    time_t at = time(NULL) - (time_t)(ago / 1000);
    gmtime_r(&at, &tm);
    strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return buf;
}

static int add_reload(const struct runtime *rt, struct problem_list *list)
{
    const struct reload_failure *f = &rt->reload_failure;
    if (f->reason == NULL)
        return 0;
    struct problem *problem = problems_add(list);
    if (problem == NULL)
        return -ENOMEM;
    char at[32];
    char age[HUMAN_MAX];
    uint64_t now = uv_now(rt->loop);
    uint64_t ago = now > f->time ? now - f->time : 0;
    snprintf(problem->subject, sizeof problem->subject, "reload");
    (void)problem_set(problem, SEVERITY_WARNING, "failed at %s, %s ago: %s", print_time(ago, at),
                      human_time(ago, age), f->reason);
    return 0;
}

static int add_workers(const struct runtime *rt, struct problem_list *list)
{
    for (size_t i = 0; rt->watchdog != NULL && i < workers_running(&rt->workers); i++) {
        uint64_t ms = 0;
        char age[HUMAN_MAX];
        unsigned worker = worker_index(workers_at(&rt->workers, i));
        if (!watchdog_hangs(rt->watchdog, worker, &ms))
            continue;
        struct problem *problem = problems_add(list);
        if (problem == NULL)
            return -ENOMEM;
        snprintf(problem->subject, sizeof problem->subject, "worker %u", worker);
        (void)problem_set(problem, SEVERITY_CRITICAL,
                          "has not answered for %s: its sessions are stalled", human_time(ms, age));
    }
    return 0;
}

static int add_staying(const struct runtime *rt, struct problem_list *list)
{
    char sessions[HUMAN_MAX];
    if (rt->staying.count == 0)
        return 0;
    struct problem *problem = problems_add(list);
    if (problem == NULL)
        return -ENOMEM;
    snprintf(problem->subject, sizeof problem->subject, "process %" PRIu64, rt->staying.pid);
    (void)problem_set(problem, SEVERITY_WARNING,
                      "was replaced by an upgrade and still has %s, which are not counted here",
                      human_count(rt->staying.count, "session", sessions));
    return 0;
}

static int add_logs(struct problem_list *list)
{
    char why[HUMAN_ERROR_MAX];
    for (int i = 0; i < LOG_NAME_COUNT; i++) {
        struct log_state state;
        log_state((enum log_name)i, &state);
        if (state.error == 0 && !state.is_behind)
            continue;
        struct problem *problem = problems_add(list);
        if (problem == NULL)
            return -ENOMEM;
        snprintf(problem->subject, sizeof problem->subject, "%s", log_name((enum log_name)i));
        (void)problem_set(problem, SEVERITY_WARNING, "lines are lost, %" PRIu64 " so far: %s",
                          state.dropped,
                          state.error == 0 ? "the target does not take them in time"
                                           : human_error(state.error, why));
    }
    return 0;
}

/* ---- names ---- */

#define NAMES_MAX 16 /* names in the list; a further row counts the rest */

struct name_problems {
    struct problem_list *list;
    uint64_t now;
    size_t count;
    int rc;
};

static void problem_set_name(struct problem *problem, const struct resolver_state *s, uint64_t now)
{
    char left[HUMAN_MAX];
    snprintf(problem->subject, sizeof problem->subject, "name %s", s->host);
    if (s->held_until != 0)
        (void)problem_set(problem, SEVERITY_WARNING, "addresses are held, to be removed in %s: %s",
                          human_time(s->held_until > now ? s->held_until - now : 0, left),
                          s->error);
    else
        (void)problem_set(problem, SEVERITY_WARNING, "%zu addresses in use: %s", s->addresses,
                          s->error);
}

static void problems_add_name(void *arg, const struct resolver_state *s)
{
    struct name_problems *p = arg;
    if (s->error == NULL || p->rc < 0 || ++p->count > NAMES_MAX)
        return;
    struct problem *problem = problems_add(p->list);
    if (problem == NULL)
        p->rc = -ENOMEM;
    else
        problem_set_name(problem, s, p->now);
}

static int add_names(const struct runtime *rt, struct problem_list *list)
{
    struct name_problems p = { .list = list, .now = uv_now(rt->loop) };
    names_each(&rt->names, problems_add_name, &p);
    if (p.rc < 0 || p.count <= NAMES_MAX)
        return p.rc;
    struct problem *problem = problems_add(list);
    if (problem == NULL)
        return -ENOMEM;
    snprintf(problem->subject, sizeof problem->subject, "names");
    (void)problem_set(problem, SEVERITY_WARNING, "%zu more cannot be resolved",
                      p.count - NAMES_MAX);
    return 0;
}

int problems_list(const struct runtime *rt, struct problem_list *list)
{
    *list = (struct problem_list){ .count = 0 };
    int rc = add_workers(rt, list);
    if (rc == 0)
        rc = add_listeners(rt, list);
    if (rc == 0)
        rc = add_pools(rt, SEVERITY_CRITICAL, list);
    if (rc == 0)
        rc = add_process_health(rt, list);
    if (rc == 0)
        rc = add_listener_health(rt, list);
    if (rc == 0)
        rc = add_reload(rt, list);
    if (rc == 0)
        rc = add_certificates(rt, list);
    if (rc == 0)
        rc = add_logs(list);
    if (rc == 0)
        rc = add_staying(rt, list);
    if (rc == 0)
        rc = add_pools(rt, SEVERITY_WARNING, list);
    if (rc == 0)
        rc = add_names(rt, list);
    return rc;
}

void problems_free(struct problem_list *list)
{
    free(list->problem);
    *list = (struct problem_list){ .count = 0 };
}
