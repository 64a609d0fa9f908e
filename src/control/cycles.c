#include "control/cycles.h"

#include <stdlib.h>
#include <string.h>

#include "config/cycle.h"

struct cycles {
    const struct config *conf;
    const struct pools *pools;
};

/* Of a range, only the port of the address is compared. */
static bool is_bound(const struct config_bind *b, const struct addr *a)
{
    size_t at = b->addr_count > 1 ? (size_t)addr_port(a) - addr_port(&b->addr[0]) : 0;
    return at < b->addr_count && addr_reaches(a, &b->addr[at], b->device);
}

/* A socket of the exact address is found before one of a wildcard address, as in the kernel. */
static size_t cycles_listener_at(void *arg, const struct addr *to)
{
    const struct cycles *c = arg;
    size_t found = CYCLE_NONE;
    for (size_t i = 0; i < c->conf->listen_count; i++) {
        const struct config_listen *l = &c->conf->listen[i];
        for (size_t j = 0; j < l->bind_count; j++) {
            if (l->bind[j].addr_count == 0 || !is_bound(&l->bind[j], to))
                continue;
            if (!addr_is_wildcard(&l->bind[j].addr[0]))
                return i;
            found = i;
        }
    }
    return found;
}

static bool cycles_next_server(void *arg, size_t pool, size_t n, struct addr *at, bool *same_port)
{
    const struct cycles *c = arg;
    const struct pool *p = pools_find(c->pools, c->conf->pool[pool].name);
    size_t count = 0;
    struct server *const *servers = p == NULL ? NULL : pool_servers(p, &count);
    if (n >= count)
        return false;
    *at = servers[n]->addr;
    *same_port = servers[n]->same_port;
    return true;
}

static size_t cycles_find_pool(const struct config *conf, const struct pool *p)
{
    size_t i = 0;
    while (i < conf->pool_count && strcmp(conf->pool[i].name, pool_name(p)) != 0)
        i++;
    return i;
}

static bool cycles_forms_with(struct cycles *c, const struct pool *p, const struct addr *to,
                              uint16_t port)
{
    const struct cycle find = { c->conf, cycles_listener_at, cycles_next_server, c };
    char *steps = NULL;
    if (cycles_listener_at(c, to) == CYCLE_NONE)
        return false;
    int rc = cycle_find(&find, cycles_find_pool(c->conf, p), port, to, &steps);
    free(steps);
    return rc != 0;
}

bool cycles_would_form(const struct config *conf, const struct pools *pools, const struct pool *p,
                       const struct addr *to, bool same_port)
{
    struct cycles c = { conf, pools };
    struct addr at = *to;
    if (!same_port)
        return cycles_forms_with(&c, p, to, 0);
    for (size_t i = 0; i < conf->listen_count; i++)
        for (size_t j = 0; j < conf->listen[i].bind_count; j++)
            for (size_t n = 0; n < conf->listen[i].bind[j].addr_count; n++) {
                addr_set_port(&at, addr_port(&conf->listen[i].bind[j].addr[n]));
                if (addr_port(&at) != 0 && cycles_forms_with(&c, p, &at, addr_port(&at)))
                    return true;
            }
    return false;
}
