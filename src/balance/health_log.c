#include "balance/health_log.h"

#include <stdbool.h>

#include "balance/script.h"
#include "base/addr.h"
#include "base/log.h"

struct server_counts {
    size_t up; /* servers that new sessions may be sent to */
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

static void health_log_begin(struct log_line *line, enum log_level level, const char *event,
                             const struct pool *p, const struct server *srv,
                             const struct check_result *result)
{
    char text[ADDR_TEXT_MAX];
    log_begin(line, level, event);
    log_str(line, "pool", pool_name(p));
    log_str(line, "server", server_name(srv));
    log_str(line, "server_addr", addr_print(&srv->addr, text));
    const struct addr checked = script_target(pool_conf(p), &srv->addr, &srv->check_address);
    if (!addr_equal(&checked, &srv->addr))
        log_str(line, "check_addr", addr_print(&checked, text));
    log_str(line, "reason", result->why);
    log_uint(line, "duration_ms", result->duration);
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

void health_log_changed(const struct pool *p, const struct server *srv,
                        const struct check_result *result)
{
    const struct server_counts t = count_servers_up(p);
    struct log_line line;
    health_log_begin(&line, result->up ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING,
                     result->up ? "server_up" : "server_down", p, srv, result);
    log_uint(&line, "servers_up", t.up);
    log_uint(&line, "servers", t.all);
    log_end(&line);
    if (atomic_load(&srv->state) != CONFIG_STATE_READY)
        return; /* no new sessions went there anyway */
    if (!result->up && t.up == 0)
        log_pool(LOG_LEVEL_ERROR, "pool_down", p, "no server is left that is up");
    if (result->up && t.up == 1)
        log_pool(LOG_LEVEL_NOTICE, "pool_up", p, "there is a server again that is up");
}

void health_log_failed(const struct pool *p, const struct server *srv,
                       const struct check_result *result)
{
    struct log_line line;
    if (!log_is_enabled(LOG_LEVEL_DEBUG))
        return;
    health_log_begin(&line, LOG_LEVEL_DEBUG, "check_failed", p, srv, result);
    log_uint(&line, "in_a_row", result->streak);
    log_end(&line);
}
