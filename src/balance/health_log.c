#include "balance/health_log.h"

#include <stdbool.h>

#include "balance/script.h"
#include "base/addr.h"
#include "base/log.h"

struct tally {
    size_t up; /* servers that new sessions may be sent to */
    size_t all;
};

static struct tally tally_of(const struct pool *p)
{
    struct tally t = { 0 };
    struct backend *const *servers = pool_servers(p, &t.all);
    for (size_t i = 0; i < t.all; i++)
        t.up += backend_is_willing(servers[i]);
    return t;
}

static void begin(struct log_line *line, enum log_level level, const char *event,
                  const struct pool *p, const struct backend *b, const struct verdict *v)
{
    char text[ADDR_TEXT_MAX];
    log_begin(line, level, event);
    log_str(line, "pool", pool_name(p));
    log_str(line, "server", backend_name(b));
    log_str(line, "server_addr", addr_print(&b->addr, text));
    const struct addr checked = script_target(pool_conf(p), &b->addr, &b->check_address);
    if (!addr_equal(&checked, &b->addr))
        log_str(line, "check_addr", addr_print(&checked, text));
    log_str(line, "reason", v->why);
    log_uint(line, "duration_ms", v->duration);
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

void health_log_changed(const struct pool *p, const struct backend *b, const struct verdict *v)
{
    const struct tally t = tally_of(p);
    struct log_line line;
    begin(&line, v->up ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING, v->up ? "server_up" : "server_down",
          p, b, v);
    log_uint(&line, "servers_up", t.up);
    log_uint(&line, "servers", t.all);
    log_end(&line);
    if (atomic_load(&b->state) != CONFIG_STATE_READY)
        return; /* no new sessions went there anyway */
    if (!v->up && t.up == 0)
        log_pool(LOG_LEVEL_ERROR, "pool_down", p, "no server is left that is up");
    if (v->up && t.up == 1)
        log_pool(LOG_LEVEL_NOTICE, "pool_up", p, "there is a server again that is up");
}

void health_log_failed(const struct pool *p, const struct backend *b, const struct verdict *v)
{
    struct log_line line;
    if (!log_wanted(LOG_LEVEL_DEBUG))
        return;
    begin(&line, LOG_LEVEL_DEBUG, "check_failed", p, b, v);
    log_uint(&line, "in_a_row", v->streak);
    log_end(&line);
}
