#include "config/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "config/cycle.h"
#include "config/sorted_table.h"
#include "config/value_kinds.h"

/* All addresses that listeners bind. */
struct bound_addresses {
    const struct load *load;
    struct sorted_table all;           /* by address */
    struct sorted_table wildcards;     /* the wildcard addresses among them, by port */
    struct sorted_table inherited_fds; /* sockets from systemd, by name */
};

static int compare_addresses(const void *a, const void *b)
{
    return addr_compare(a, b);
}

static int compare_ports(const void *a, const void *b)
{
    return (int)addr_port(a) - (int)addr_port(b);
}

static void bound_addresses_add(struct bound_addresses *b, const struct config_bind *bind, size_t i,
                                size_t item)
{
    for (size_t n = 0; n < bind->addr_count; n++)
        sorted_table_add(&b->all, &bind->addr[n], i, item);
    if (bind->fd != NULL)
        sorted_table_add(&b->inherited_fds, bind->fd, i, item);
}

/* The interface that an address is bound on; NULL: any. Those of [admin] have the section SIZE_MAX.
 */
static const char *device_of(const struct bound_addresses *b, const struct sorted_table_entry *e)
{
    const struct config *conf = b->load->config;
    return e->section == SIZE_MAX ? NULL : conf->listen[e->section].bind[e->item].device;
}

/* Whether clients of one interface may belong to both. Of listening sockets with SO_REUSEPORT that
 * a client may belong to, the kernel takes the one that was opened first, not the one with the
 * device.
 */
static bool shares_device(const struct bound_addresses *b, const struct sorted_table_entry *x,
                          const struct sorted_table_entry *y)
{
    const char *one = device_of(b, x);
    const char *other = device_of(b, y);
    return one == NULL || other == NULL || strcmp(one, other) == 0;
}

/* Returns an earlier entry of the same address that shares its device, or NULL. Equal addresses
 * stand in the order of the file. */
static const struct sorted_table_entry *find_twin(const struct bound_addresses *b,
                                                  const struct sorted_table_entry *self)
{
    const struct sorted_table_entry *end = b->all.entry + b->all.count;
    const struct sorted_table_entry *e = sorted_table_find(&b->all, self->key);
    for (; e != NULL && e != end && compare_addresses(e->key, self->key) == 0; e++)
        if (sorted_table_compare_positions(e, self) < 0 && shares_device(b, e, self))
            return e;
    return NULL;
}

static bool bound_addresses_init(struct bound_addresses *b)
{
    const struct config *conf = b->load->config;
    size_t count = 0;
    size_t items = 0;
    for (size_t i = 0; i < conf->listen_count; i++)
        for (size_t item = 0; item < conf->listen[i].bind_count; item++, items++)
            count += conf->listen[i].bind[item].addr_count;
    if (!sorted_table_init(&b->all, count, compare_addresses) ||
        !sorted_table_init(&b->wildcards, count, compare_ports) ||
        !sorted_table_init(&b->inherited_fds, items, sorted_table_compare_names))
        return false;
    for (size_t i = 0; i < conf->listen_count; i++)
        for (size_t item = 0; item < conf->listen[i].bind_count; item++)
            bound_addresses_add(b, &conf->listen[i].bind[item], i, item);
    sorted_table_sort(&b->all);
    sorted_table_sort(&b->inherited_fds);
    for (const struct sorted_table_entry *e = b->all.entry; e < b->all.entry + count; e++)
        if (addr_is_wildcard(e->key) && find_twin(b, e) == NULL)
            sorted_table_add(&b->wildcards, e->key, e->section, e->item);
    sorted_table_sort(&b->wildcards);
    return true;
}

static void bound_addresses_fini(struct bound_addresses *b)
{
    sorted_table_fini(&b->all);
    sorted_table_fini(&b->wildcards);
    sorted_table_fini(&b->inherited_fds);
}

static struct location check_bind_location(const struct bound_addresses *b,
                                           const struct sorted_table_entry *e)
{
    return load_origin(b->load, SECTION_LISTEN, e->section, "bind")->item[e->item];
}

/* --- Addresses bound twice --- */

static void report_bind(const struct bound_addresses *b, const struct sorted_table_entry *self,
                        const struct sorted_table_entry *other)
{
    struct location at = check_bind_location(b, self);
    char label[KEYS_LABEL_MAX];
    char other_label[KEYS_LABEL_MAX];
    char address[ADDR_TEXT_MAX];
    char other_address[ADDR_TEXT_MAX];
    char location[REPORT_LOCATION_MAX];
    const char *one = device_of(b, self);
    const char *two = device_of(b, other);
    report_error(b->load->report, at, load_label(b->load, SECTION_LISTEN, self->section, label),
                 "bind", "\"%s\": already bound, as \"%s\" by [%s] in %s%s",
                 addr_print(self->key, address), addr_print(other->key, other_address),
                 load_label(b->load, SECTION_LISTEN, other->section, other_label),
                 report_location(check_bind_location(b, other), at, location),
                 (one == NULL) == (two == NULL) ? "" : ", expected device= for both or for none");
}

/* Returns an earlier entry that conflicts with this one: the same address, or a wildcard of the
 * same port that covers it, unless they have different devices. With SO_REUSEPORT the kernel would
 * accept both. */
static const struct sorted_table_entry *find_earlier(const struct bound_addresses *b,
                                                     const struct sorted_table_entry *self)
{
    const struct addr *a = self->key;
    const struct sorted_table_entry *first = find_twin(b, self);
    if (first != NULL || !addr_is_wildcard(a))
        return first;
    const struct sorted_table_entry *w = sorted_table_find(&b->wildcards, a);
    const struct sorted_table_entry *end = b->wildcards.entry + b->wildcards.count;
    for (; w != NULL && w != end && compare_ports(w->key, a) == 0; w++) {
        const struct addr *other = w->key;
        if ((a->dual_stack || other->dual_stack) && shares_device(b, w, self) &&
            sorted_table_compare_positions(w, self) < 0)
            first = w;
    }
    return first;
}

static void check_inherited_fd(const struct bound_addresses *b, const char *fd, size_t i,
                               size_t item)
{
    const struct sorted_table_entry self = { fd, i, item };
    const struct sorted_table_entry *other =
        sorted_table_find_earlier(&b->inherited_fds, fd, i, item);
    char label[KEYS_LABEL_MAX];
    char other_label[KEYS_LABEL_MAX];
    char location[REPORT_LOCATION_MAX];
    if (other != NULL)
        report_error(b->load->report, check_bind_location(b, &self),
                     load_label(b->load, SECTION_LISTEN, i, label), "bind",
                     "\"fd:%s\": already taken by [%s] in %s", fd,
                     load_label(b->load, SECTION_LISTEN, other->section, other_label),
                     report_location(check_bind_location(b, other), check_bind_location(b, &self),
                                     location));
}

/* Of a range of ports, only the first conflict is reported. */
static void check_bind(const struct bound_addresses *b, size_t i, size_t item)
{
    const struct config_bind *bind = &b->load->config->listen[i].bind[item];
    const struct sorted_table_entry *other = NULL;
    if (bind->fd != NULL)
        check_inherited_fd(b, bind->fd, i, item);
    for (size_t n = 0; n < bind->addr_count && other == NULL; n++) {
        const struct sorted_table_entry self = { &bind->addr[n], i, item };
        if ((other = find_earlier(b, &self)) != NULL)
            report_bind(b, &self, other);
    }
}

/* Checks an address of [admin], after those of all listeners. */
static void check_admin_address(const struct bound_addresses *b, const char *key,
                                const struct addr *a)
{
    const struct sorted_table_entry self = { a, SIZE_MAX, 0 };
    const struct sorted_table_entry *other = a->len == 0 ? NULL : find_earlier(b, &self);
    struct location at = load_location(b->load, SECTION_ADMIN, 0, key);
    char label[KEYS_LABEL_MAX];
    char address[ADDR_TEXT_MAX];
    char location[REPORT_LOCATION_MAX];
    if (other != NULL)
        report_error(b->load->report, at, "admin", key, "already bound, as \"%s\" by [%s] in %s",
                     addr_print(other->key, address),
                     load_label(b->load, SECTION_LISTEN, other->section, label),
                     report_location(check_bind_location(b, other), at, location));
}

static void check_admin(const struct bound_addresses *b)
{
    const struct config_admin *a = &b->load->config->admin;
    check_admin_address(b, "socket", &a->socket);
    check_admin_address(b, "http", &a->http);
    if (a->socket.len > 0 && addr_equal(&a->socket, &a->http))
        report_error(b->load->report, load_location(b->load, SECTION_ADMIN, 0, "http"), "admin",
                     "http", "the same as socket, expected another address");
}

/* --- Servers that lead back --- */

/* Among entries of the same address, or of the same port, returns the one that accepts connections
 * to an address. NULL: none. */
static const struct sorted_table_entry *
find_reached(const struct bound_addresses *b, const struct sorted_table *t, const struct addr *to)
{
    const struct sorted_table_entry *e = sorted_table_find(t, to);
    for (; e != NULL && e != t->entry + t->count && t->compare(e->key, to) == 0; e++)
        if (addr_reaches(to, e->key, device_of(b, e)))
            return e;
    return NULL;
}

/* Returns the bound address that accepts connections to an address, or NULL. */
static const struct sorted_table_entry *find_bound_by(const struct bound_addresses *b,
                                                      const struct addr *to)
{
    const struct sorted_table_entry *found = find_reached(b, &b->all, to);
    return found != NULL || addr_is_unix(to) ? found : find_reached(b, &b->wildcards, to);
}

/* Reports a server. why: the message up to the bound address; how: the chain of the loop, or
 * NULL. */
static void check_bind_report_server(const struct bound_addresses *b, size_t i, size_t item,
                                     const char *why,
                                     const struct sorted_table_entry *bound_addresses,
                                     const char *how)
{
    const struct config_server *server = &b->load->config->pool[i].server[item];
    struct location at = load_origin(b->load, SECTION_POOL, i, "server")->item[item];
    char label[KEYS_LABEL_MAX];
    char listen[KEYS_LABEL_MAX];
    char address[ADDR_TEXT_MAX];
    char location[REPORT_LOCATION_MAX];
    char *to = value_endpoint_to_string(server);
    report_error(b->load->report, at, load_label(b->load, SECTION_POOL, i, label), "server",
                 "\"%s\": %s \"%s\" of [%s] in %s%s%s", to == NULL ? server->name : to, why,
                 addr_print(bound_addresses->key, address),
                 load_label(b->load, SECTION_LISTEN, bound_addresses->section, listen),
                 report_location(check_bind_location(b, bound_addresses), at, location),
                 how == NULL ? "" : ": ", how == NULL ? "" : how);
    free(to);
}

#define LEADS_BACK "a loop, it leads back to"

static size_t check_bind_find_listener(void *arg, const struct addr *to)
{
    const struct sorted_table_entry *found = find_bound_by(arg, to);
    return found == NULL ? CYCLE_NONE : found->section;
}

/* The addresses of a name are unknown here: len = 0. */
static bool check_bind_next_server(void *arg, size_t pool, size_t n, struct addr *at,
                                   bool *same_port)
{
    const struct bound_addresses *b = arg;
    const struct config_pool *p = &b->load->config->pool[pool];
    if (n >= p->server_count)
        return false;
    *at = p->server[n].addr;
    if (p->server[n].host != NULL)
        at->len = 0;
    *same_port = p->server[n].same_port;
    return true;
}

/* Reports a server of pool i whose address `to` is bound by `found`, if that leads back to the
 * pool. Returns whether it does. port: that of the clients, for a server without a port; otherwise
 * 0. */
static bool check_cycle(const struct bound_addresses *b, size_t i, size_t item,
                        const struct addr *to, uint16_t port,
                        const struct sorted_table_entry *found)
{
    const struct cycle c = { b->load->config, check_bind_find_listener, check_bind_next_server,
                             (void *)b };
    char *steps = NULL;
    int rc = cycle_find(&c, i, port, to, &steps);
    if (rc != 0)
        check_bind_report_server(b, i, item,
                                 rc < 0 ? "out of memory, may be " LEADS_BACK : LEADS_BACK, found,
                                 steps);
    free(steps);
    return rc != 0;
}

/* Whether the pool `from` is `to` or falls back to it. */
static bool check_bind_pool_leads_to(const struct config *c, const struct config_pool *from,
                                     const struct config_pool *to)
{
    /* the limit: fallbacks may form a loop */
    for (size_t i = 0; i < c->pool_count && from != NULL && from != to; i++)
        from = from->fallback;
    return from == to;
}

static bool listen_leads_to(const struct config *c, const struct config_listen *listen,
                            const struct config_pool *to)
{
    bool leads = check_bind_pool_leads_to(c, listen->pool, to);
    for (size_t i = 0; i < listen->route_count && !leads; i++)
        leads = check_bind_pool_leads_to(c, listen->route[i].pool, to);
    return leads;
}

/* Checks a server without a port for clients of the bound address `self`. Returns whether it
 * reported an error. */
static bool check_port(const struct bound_addresses *b, size_t i, size_t item,
                       const struct sorted_table_entry *self)
{
    struct addr to = b->load->config->pool[i].server[item].addr;
    addr_set_port(&to, addr_port(self->key));
    if (addr_is_unix(self->key)) {
        check_bind_report_server(b, i, item, "needs a port for clients of", self, NULL);
        return true;
    }
    const struct sorted_table_entry *found = find_bound_by(b, &to);
    return found != NULL && check_cycle(b, i, item, &to, addr_port(&to), found);
}

/* Checks a server without a port for all ports whose clients can reach its pool. */
static void check_same_port(const struct bound_addresses *b, size_t i, size_t item)
{
    const struct config *conf = b->load->config;
    for (size_t k = 0; k < conf->listen_count; k++) {
        const struct config_listen *listen = &conf->listen[k];
        if (!listen_leads_to(conf, listen, &conf->pool[i]))
            continue;
        for (size_t j = 0; j < listen->bind_count; j++)
            for (size_t n = 0; n < listen->bind[j].addr_count; n++) {
                const struct sorted_table_entry self = { &listen->bind[j].addr[n], k, j };
                if (check_port(b, i, item, &self))
                    return;
            }
    }
}

static void check_server(const struct bound_addresses *b, size_t i, size_t item)
{
    const struct config_server *server = &b->load->config->pool[i].server[item];
    const struct sorted_table_entry *found = NULL;
    if (server->same_port)
        check_same_port(b, i, item);
    else if (server->host == NULL && (found = find_bound_by(b, &server->addr)) != NULL)
        (void)check_cycle(b, i, item, &server->addr, 0, found);
}

/* --- All together --- */

bool check_binds(const struct load *l)
{
    const struct config *conf = l->config;
    struct bound_addresses b = { .load = l };
    bool ready = bound_addresses_init(&b);
    for (size_t i = 0; i < conf->listen_count && ready; i++)
        for (size_t item = 0; item < conf->listen[i].bind_count; item++)
            check_bind(&b, i, item);
    if (ready)
        check_admin(&b);
    for (size_t i = 0; i < conf->pool_count && ready; i++)
        for (size_t item = 0; item < conf->pool[i].server_count; item++)
            check_server(&b, i, item);
    bound_addresses_fini(&b);
    return ready;
}
