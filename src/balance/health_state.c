#include "balance/health_state.h"

#include "balance/script.h"
#include "base/addr.h"
#include "base/log.h"

void health_state_init(struct health_state *state, bool up)
{
    *state = (struct health_state){ .up = up };
}

void health_state_unsettle(struct health_state *state)
{
    state->settled = false;
}

static void health_state_count(struct health_state *state, bool passed)
{
    state->streak = state->streak > 0 && state->passed == passed ? state->streak + 1 : 1;
    state->passed = passed;
    if (passed)
        state->successes++;
    else
        state->failures++;
}

bool health_state_add(struct health_state *state, bool passed, uint64_t rise, uint64_t fall,
                      uint64_t now)
{
    uint64_t needed = passed ? rise : fall;
    health_state_count(state, passed);
    state->checked = now;
    bool enough = !state->settled || state->streak >= needed;
    state->settled = true;
    if (state->up == passed || !enough)
        return false;
    state->up = passed;
    state->changed = now;
    return true;
}

/* ---- log ---- */

struct server_counts {
    size_t up; /* eligible servers */
    size_t all;
};

static struct server_counts count_servers_up(const struct pool *p)
{
    struct server_counts t = { 0 };
    struct server *const *servers = pool_servers(p, &t.all);
    for (size_t i = 0; i < t.all; i++)
        t.up += server_is_eligible(servers[i]);
    return t;
}

static void health_state_log_begin(struct log_line *line, enum log_level level, const char *event,
                                   const struct pool *p, const struct server *srv,
                                   const struct health_state *state)
{
    char text[ADDR_TEXT_MAX];
    log_begin(line, level, event);
    log_str(line, "pool", pool_name(p));
    log_str(line, "server", server_name(srv));
    log_str(line, "server_addr", addr_print(&srv->addr, text));
    const struct addr checked = script_target(pool_conf(p), &srv->addr, &srv->check_address);
    if (!addr_equal(&checked, &srv->addr))
        log_str(line, "check_addr", addr_print(&checked, text));
    log_str(line, "reason", state->why);
    log_uint(line, "duration_ms", state->duration);
}

static void log_pool(enum log_level level, const char *event, const struct pool *p,
                     const char *what)
{
    struct log_line line;
    log_begin(&line, level, event);
    log_str(&line, "pool", pool_name(p));
    log_str(&line, "msg", what);
    log_end(&line);
}

void health_state_log_changed(const struct pool *p, const struct server *srv,
                              const struct health_state *state)
{
    const struct server_counts t = count_servers_up(p);
    struct log_line line;
    health_state_log_begin(&line, state->up ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING,
                           state->up ? "server_up" : "server_down", p, srv, state);
    log_uint(&line, "servers_up", t.up);
    log_uint(&line, "servers", t.all);
    log_end(&line);
    if (atomic_load(&srv->state) != CONFIG_STATE_READY)
        return; /* it got no new sessions before either */
    if (!state->up && t.up == 0)
        log_pool(LOG_LEVEL_ERROR, "pool_down", p, "no server is up");
    if (state->up && t.up == 1)
        log_pool(LOG_LEVEL_NOTICE, "pool_up", p, "a server is up again");
}

void health_state_log_failed(const struct pool *p, const struct server *srv,
                             const struct health_state *state)
{
    struct log_line line;
    if (!log_is_enabled(LOG_LEVEL_DEBUG))
        return;
    health_state_log_begin(&line, LOG_LEVEL_DEBUG, "check_failed", p, srv, state);
    log_uint(&line, "in_a_row", state->streak);
    log_end(&line);
}
