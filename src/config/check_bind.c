#include "config/check_bind.h"

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "config/circle.h"
#include "config/endpoint.h"
#include "config/table.h"

/* All addresses that are bound. */
struct bound {
    const struct load *load;
    struct table all;       /* by address */
    struct table wildcards; /* those that stand for all addresses, by port */
    struct table handed;    /* sockets that are handed over, by name */
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int compare_addresses(const void *a, const void *b)
{
    return addr_compare(a, b);
}

static int compare_ports(const void *a, const void *b)
{
    return (int)addr_port(a) - (int)addr_port(b);
}

static void bound_add(struct bound *b, const struct config_bind *bind, size_t i, size_t item)
{
    for (size_t n = 0; n < bind->addr_count; n++)
        table_add(&b->all, &bind->addr[n], i, item);
    if (bind->fd != NULL)
        table_add(&b->handed, bind->fd, i, item);
}

static bool bound_init(struct bound *b)
{
    const struct config *conf = b->load->config;
    size_t count = 0;
    size_t items = 0;
    for (size_t i = 0; i < conf->listen_count; i++)
        for (size_t item = 0; item < conf->listen[i].bind_count; item++, items++)
            count += conf->listen[i].bind[item].addr_count;
    if (!table_init(&b->all, count, compare_addresses) ||
        !table_init(&b->wildcards, count, compare_ports) ||
        !table_init(&b->handed, items, compare_names))
        return false;
    for (size_t i = 0; i < conf->listen_count; i++)
        for (size_t item = 0; item < conf->listen[i].bind_count; item++)
            bound_add(b, &conf->listen[i].bind[item], i, item);
    table_sort(&b->all);
    table_sort(&b->handed);
    for (const struct table_entry *e = b->all.entry; e < b->all.entry + count; e++)
        if (addr_is_wildcard(e->what) && table_find(&b->all, e->what) == e) /* not twice */
            table_add(&b->wildcards, e->what, e->section, e->item);
    table_sort(&b->wildcards);
    return true;
}

static void bound_fini(struct bound *b)
{
    table_fini(&b->all);
    table_fini(&b->wildcards);
    table_fini(&b->handed);
}

static struct place place_of(const struct bound *b, const struct table_entry *e)
{
    return load_origin(b->load, SECTION_LISTEN, e->section, "bind")->item[e->item];
}

/* "listen web" */
static const char *label_of(const struct bound *b, enum section_kind kind, size_t section,
                            char buf[KEYS_LABEL_MAX])
{
    const struct section *s = &keys_sections[kind];
    return keys_section_label(s, keys_section_at(s, b->load->config, section), buf);
}

/* --- Addresses bound twice --- */

static void report_bind(const struct bound *b, const struct table_entry *self,
                        const struct table_entry *other)
{
    struct place at = place_of(b, self);
    char label[KEYS_LABEL_MAX];
    char other_label[KEYS_LABEL_MAX];
    char address[ADDR_TEXT_MAX];
    char other_address[ADDR_TEXT_MAX];
    char place[REPORT_PLACE_MAX];
    report_error(b->load->report, at, label_of(b, SECTION_LISTEN, self->section, label), "bind",
                 "\"%s\": bound already, as \"%s\" by [%s] in %s", addr_print(self->what, address),
                 addr_print(other->what, other_address),
                 label_of(b, SECTION_LISTEN, other->section, other_label),
                 report_place(place_of(b, other), at, place));
}

/* What stands earlier and has the address as well: the kernel would let two sockets share one, or
 * one that both stand for. */
static const struct table_entry *find_earlier(const struct bound *b, const struct table_entry *self)
{
    const struct addr *a = self->what;
    const struct table_entry *first = table_find_earlier(&b->all, a, self->section, self->item);
    if (first != NULL || !addr_is_wildcard(a))
        return first;
    const struct table_entry *w = table_find(&b->wildcards, a);
    const struct table_entry *end = b->wildcards.entry + b->wildcards.count;
    for (; w != NULL && w != end && compare_ports(w->what, a) == 0; w++) {
        const struct addr *other = w->what;
        if ((a->dual || other->dual) && table_order(w, self) < 0)
            first = w;
    }
    return first;
}

static void check_handed(const struct bound *b, const char *fd, size_t i, size_t item)
{
    const struct table_entry self = { fd, i, item };
    const struct table_entry *other = table_find_earlier(&b->handed, fd, i, item);
    char label[KEYS_LABEL_MAX];
    char other_label[KEYS_LABEL_MAX];
    char place[REPORT_PLACE_MAX];
    if (other != NULL)
        report_error(b->load->report, place_of(b, &self), label_of(b, SECTION_LISTEN, i, label),
                     "bind", "\"fd:%s\": taken already by [%s] in %s", fd,
                     label_of(b, SECTION_LISTEN, other->section, other_label),
                     report_place(place_of(b, other), place_of(b, &self), place));
}

/* Of a range, the first port says it for all. */
static void check_bind(const struct bound *b, size_t i, size_t item)
{
    const struct config_bind *bind = &b->load->config->listen[i].bind[item];
    const struct table_entry *other = NULL;
    if (bind->fd != NULL)
        check_handed(b, bind->fd, i, item);
    for (size_t n = 0; n < bind->addr_count && other == NULL; n++) {
        const struct table_entry self = { &bind->addr[n], i, item };
        if ((other = find_earlier(b, &self)) != NULL)
            report_bind(b, &self, other);
    }
}

/* What [admin] binds comes after all others. */
static void check_admin_address(const struct bound *b, const char *key, const struct addr *a)
{
    const struct table_entry self = { a, SIZE_MAX, 0 };
    const struct table_entry *other = a->len == 0 ? NULL : find_earlier(b, &self);
    struct place at = load_place(b->load, SECTION_ADMIN, 0, key);
    char label[KEYS_LABEL_MAX];
    char address[ADDR_TEXT_MAX];
    char place[REPORT_PLACE_MAX];
    if (other != NULL)
        report_error(b->load->report, at, "admin", key, "bound already, as \"%s\" by [%s] in %s",
                     addr_print(other->what, address),
                     label_of(b, SECTION_LISTEN, other->section, label),
                     report_place(place_of(b, other), at, place));
}

static void check_admin(const struct bound *b)
{
    const struct config_admin *a = &b->load->config->admin;
    check_admin_address(b, "socket", &a->socket);
    check_admin_address(b, "http", &a->http);
    if (a->socket.len > 0 && addr_equal(&a->socket, &a->http))
        report_error(b->load->report, load_place(b->load, SECTION_ADMIN, 0, "http"), "admin",
                     "http", "the same as socket, expected another address");
}

/* --- Servers that lead back --- */

/* The listener that a connection to the server would arrive at; NULL where it leaves zproxy. */
static const struct table_entry *find_loop(const struct bound *b, const struct addr *to)
{
    const struct table_entry *found = table_find(&b->all, to);
    if (found != NULL || addr_is_unix(to))
        return found;
    const struct table_entry *end = b->wildcards.entry + b->wildcards.count;
    found = table_find(&b->wildcards, to);
    for (; found != NULL && found != end && compare_ports(found->what, to) == 0; found++)
        if (addr_reaches(to, found->what))
            return found;
    return NULL;
}

/* `why` goes on with the address that is bound; how: the steps back, or NULL. */
static void report_server(const struct bound *b, size_t i, size_t item, const char *why,
                          const struct table_entry *bound, const char *how)
{
    const struct config_server *server = &b->load->config->pool[i].server[item];
    struct place at = load_origin(b->load, SECTION_POOL, i, "server")->item[item];
    char label[KEYS_LABEL_MAX];
    char listen[KEYS_LABEL_MAX];
    char address[ADDR_TEXT_MAX];
    char place[REPORT_PLACE_MAX];
    char *to = endpoint_text(server);
    report_error(b->load->report, at, label_of(b, SECTION_POOL, i, label), "server",
                 "\"%s\": %s \"%s\" of [%s] in %s%s%s", to == NULL ? server->name : to, why,
                 addr_print(bound->what, address),
                 label_of(b, SECTION_LISTEN, bound->section, listen),
                 report_place(place_of(b, bound), at, place), how == NULL ? "" : ": ",
                 how == NULL ? "" : how);
    free(to);
}

#define LEADS_BACK "a loop, it leads back to"

static size_t arrives(void *arg, const struct addr *to)
{
    const struct table_entry *found = find_loop(arg, to);
    return found == NULL ? CIRCLE_NONE : found->section;
}

/* A name may lead anywhere. */
static bool next_server(void *arg, size_t pool, size_t n, struct addr *at, bool *same_port)
{
    const struct bound *b = arg;
    const struct config_pool *p = &b->load->config->pool[pool];
    if (n >= p->server_count)
        return false;
    *at = p->server[n].addr;
    if (p->server[n].host != NULL)
        at->len = 0;
    *same_port = p->server[n].same_port;
    return true;
}

/* A server of pool i that leads to the listener `found`: reports it where that closes a circle, and
 * returns whether it does. port: of clients, where the server has none. */
static bool check_circle(const struct bound *b, size_t i, size_t item, const struct addr *to,
                         uint16_t port, const struct table_entry *found)
{
    const struct circle c = { b->load->config, arrives, next_server, (void *)b };
    char *steps = NULL;
    int rc = circle_find(&c, i, port, to, &steps);
    if (rc != 0)
        report_server(b, i, item, rc < 0 ? "out of memory, may be " LEADS_BACK : LEADS_BACK, found,
                      steps);
    free(steps);
    return rc != 0;
}

/* Whether sessions come from one pool to the other, itself or by fallback. */
static bool leads_to(const struct config *c, const struct config_pool *from,
                     const struct config_pool *to)
{
    for (size_t i = 0; i < c->pool_count && from != NULL && from != to; i++) /* there are circles */
        from = from->fallback;
    return from == to;
}

static bool listen_leads_to(const struct config *c, const struct config_listen *listen,
                            const struct config_pool *to)
{
    bool leads = leads_to(c, listen->pool, to);
    for (size_t i = 0; i < listen->route_count && !leads; i++)
        leads = leads_to(c, listen->route[i].pool, to);
    return leads;
}

/* A server with the port of `self`, which clients come by. Returns whether that is wrong. */
static bool check_port(const struct bound *b, size_t i, size_t item, const struct table_entry *self)
{
    struct addr to = b->load->config->pool[i].server[item].addr;
    addr_set_port(&to, addr_port(self->what));
    if (addr_is_unix(self->what)) {
        report_server(b, i, item, "has no port for clients of", self, NULL);
        return true;
    }
    const struct table_entry *found = find_loop(b, &to);
    return found != NULL && check_circle(b, i, item, &to, addr_port(&to), found);
}

/* A server without a port: all ports that clients come by are looked at. */
static void check_same_port(const struct bound *b, size_t i, size_t item)
{
    const struct config *conf = b->load->config;
    for (size_t k = 0; k < conf->listen_count; k++) {
        const struct config_listen *listen = &conf->listen[k];
        if (!listen_leads_to(conf, listen, &conf->pool[i]))
            continue;
        for (size_t j = 0; j < listen->bind_count; j++)
            for (size_t n = 0; n < listen->bind[j].addr_count; n++) {
                const struct table_entry self = { &listen->bind[j].addr[n], k, j };
                if (check_port(b, i, item, &self))
                    return;
            }
    }
}

static void check_server(const struct bound *b, size_t i, size_t item)
{
    const struct config_server *server = &b->load->config->pool[i].server[item];
    const struct table_entry *found = NULL;
    if (server->same_port)
        check_same_port(b, i, item);
    else if (server->host == NULL && (found = find_loop(b, &server->addr)) != NULL)
        (void)check_circle(b, i, item, &server->addr, 0, found);
}

/* --- All together --- */

bool check_binds(const struct load *l)
{
    const struct config *conf = l->config;
    struct bound b = { .load = l };
    bool ready = bound_init(&b);
    for (size_t i = 0; i < conf->listen_count && ready; i++)
        for (size_t item = 0; item < conf->listen[i].bind_count; item++)
            check_bind(&b, i, item);
    if (ready)
        check_admin(&b);
    for (size_t i = 0; i < conf->pool_count && ready; i++)
        for (size_t item = 0; item < conf->pool[i].server_count; item++)
            check_server(&b, i, item);
    bound_fini(&b);
    return ready;
}
