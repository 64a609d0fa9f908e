#include "config/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "config/check_pool.h"
#include "config/nearest.h"
#include "config/table.h"

/* --- What all checks share --- */

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

struct check {
    const struct load *load;
    struct table names[SECTION_KINDS]; /* of sections */
    struct table binds;                /* by address */
    struct table wildcards;            /* those of binds that stand for all addresses, by port */
};

static struct place bind_place(const struct check *c, const struct table_entry *e)
{
    return load_origin(c->load, SECTION_LISTEN, e->section, "bind")->item[e->item];
}

/* "listen web" */
static const char *label_of(const struct check *c, enum section_kind kind, size_t section,
                            char buf[KEYS_LABEL_MAX])
{
    const struct section *s = &keys_sections[kind];
    return keys_section_label(s, keys_section_at(s, c->load->config, section), buf);
}

/* --- Any section --- */

static void check_name(const struct check *c, enum section_kind kind, size_t i)
{
    const struct section *s = &keys_sections[kind];
    const char *name = keys_section_name(s, keys_section_at(s, c->load->config, i));
    const struct table_entry *first = table_find_earlier(&c->names[kind], name, i, 0);
    char label[KEYS_LABEL_MAX];
    char place[REPORT_PLACE_MAX];
    if (first == NULL || *name == '\0') /* no name: that was reported */
        return;
    struct place at = c->load->origin[kind][i].at;
    report_error(c->load->report, at, label_of(c, kind, i, label), NULL, "given twice, first in %s",
                 report_place(c->load->origin[kind][first->section].at, at, place));
}

/* A key that was given, but not understood, is not missing. */
static void check_required(const struct check *c, enum section_kind kind, size_t i)
{
    const struct section *s = &keys_sections[kind];
    const struct origin *o = &c->load->origin[kind][i];
    char label[KEYS_LABEL_MAX];
    for (size_t k = 0; k < s->key_count; k++)
        if ((s->keys[k].flags & KEY_REQUIRED) != 0 && o->key[k].given.line == 0)
            report_error(c->load->report, o->at, label_of(c, kind, i, label), s->keys[k].name,
                         "missing, expected %s",
                         s->keys[k].list.size > 0 ? "at least one" : "a value");
}

/* --- Pools that sections name --- */

static void report_no_pool(const struct check *c, enum section_kind kind, size_t i, const char *key,
                           const char *wanted)
{
    const struct config *conf = c->load->config;
    struct place at = load_place(c->load, kind, i, key);
    struct nearest near;
    char label[KEYS_LABEL_MAX];
    nearest_init(&near, wanted);
    for (size_t p = 0; p < conf->pool_count; p++)
        nearest_offer(&near, conf->pool[p].name);
    label_of(c, kind, i, label);
    if (near.word != NULL)
        report_error(c->load->report, at, label, key, "\"%s\": no such pool, did you mean \"%s\"?",
                     wanted, near.word);
    else
        report_error(c->load->report, at, label, key,
                     "\"%s\": no such pool, expected a section [pool %s]", wanted, wanted);
}

/* The pool of that name; NULL where there is none, which is reported. */
static const struct config_pool *find_pool(const struct check *c, enum section_kind kind, size_t i,
                                           const char *key, const char *name)
{
    if (name == NULL)
        return NULL; /* not given, or reported */
    const struct table_entry *found = table_find(&c->names[SECTION_POOL], name);
    if (found != NULL)
        return &c->load->config->pool[found->section];
    if (!c->load->incomplete)
        report_no_pool(c, kind, i, key, name);
    return NULL;
}

/* --- Listeners --- */

static void report_bind(const struct check *c, size_t i, size_t item,
                        const struct table_entry *other)
{
    const struct table_entry e = { NULL, i, item };
    const struct config_listen *listen = &c->load->config->listen[i];
    struct place at = bind_place(c, &e);
    char label[KEYS_LABEL_MAX];
    char other_label[KEYS_LABEL_MAX];
    char address[ADDR_TEXT_MAX];
    char other_address[ADDR_TEXT_MAX];
    char place[REPORT_PLACE_MAX];
    report_error(c->load->report, at, label_of(c, SECTION_LISTEN, i, label), "bind",
                 "\"%s\": bound already, as \"%s\" by [%s] in %s",
                 addr_print(&listen->bind[item], address), addr_print(other->what, other_address),
                 label_of(c, SECTION_LISTEN, other->section, other_label),
                 report_place(bind_place(c, other), at, place));
}

/* The kernel would let two sockets share an address, or an address that both stand for. */
static void check_bind(const struct check *c, size_t i, size_t item)
{
    const struct addr *a = &c->load->config->listen[i].bind[item];
    const struct table_entry *first = table_find_earlier(&c->binds, a, i, item);
    if (first == NULL && addr_is_wildcard(a)) {
        const struct table_entry self = { a, i, item };
        const struct table_entry *w = table_find(&c->wildcards, a);
        const struct table_entry *end = c->wildcards.entry + c->wildcards.count;
        for (; w != end && compare_ports(w->what, a) == 0; w++) {
            const struct addr *other = w->what;
            if ((a->dual || other->dual) && table_order(w, &self) < 0)
                first = w;
        }
    }
    if (first != NULL)
        report_bind(c, i, item, first);
}

/* --- Servers --- */

/* The listener that a connection to the server would arrive at; NULL where it leaves zproxy. */
static const struct table_entry *find_loop(const struct check *c, const struct addr *to)
{
    const struct table_entry *found = table_find(&c->binds, to);
    if (found != NULL || addr_is_unix(to))
        return found;
    const struct table_entry *end = c->wildcards.entry + c->wildcards.count;
    found = table_find(&c->wildcards, to);
    for (; found != NULL && found != end && compare_ports(found->what, to) == 0; found++)
        if (addr_reaches(to, found->what))
            return found;
    return NULL;
}

/* A name may lead anywhere. */
static void check_loop(const struct check *c, size_t i, size_t item)
{
    const struct config_server *server = &c->load->config->pool[i].server[item];
    const struct addr *to = &server->addr;
    const struct table_entry *found = server->host == NULL ? find_loop(c, to) : NULL;
    struct place at = load_origin(c->load, SECTION_POOL, i, "server")->item[item];
    char label[KEYS_LABEL_MAX];
    char listen[KEYS_LABEL_MAX];
    char address[ADDR_TEXT_MAX];
    char bind[ADDR_TEXT_MAX];
    char place[REPORT_PLACE_MAX];
    if (found == NULL)
        return;
    report_error(c->load->report, at, label_of(c, SECTION_POOL, i, label), "server",
                 "\"%s\": a loop, it leads back to \"%s\" of [%s] in %s", addr_print(to, address),
                 addr_print(found->what, bind), label_of(c, SECTION_LISTEN, found->section, listen),
                 report_place(bind_place(c, found), at, place));
}

static void check_server_name(const struct check *c, const struct table *names, size_t i,
                              size_t item)
{
    const char *name = c->load->config->pool[i].server[item].name;
    const struct place *place = load_origin(c->load, SECTION_POOL, i, "server")->item;
    const struct table_entry *first = table_find_earlier(names, name, i, item);
    char label[KEYS_LABEL_MAX];
    char other[REPORT_PLACE_MAX];
    if (first != NULL)
        report_error(c->load->report, place[item], label_of(c, SECTION_POOL, i, label), "server",
                     "\"%s\": name given twice in this pool, first in %s", name,
                     report_place(place[first->item], place[item], other));
}

static bool check_servers(const struct check *c, size_t i)
{
    const struct config_pool *pool = &c->load->config->pool[i];
    struct table names;
    if (!table_init(&names, pool->server_count, compare_names))
        return false;
    for (size_t item = 0; item < pool->server_count; item++)
        table_add(&names, pool->server[item].name, i, item);
    table_sort(&names);
    for (size_t item = 0; item < pool->server_count; item++) {
        check_server_name(c, &names, i, item);
        check_loop(c, i, item);
    }
    table_fini(&names);
    return true;
}

/* --- All together --- */

static bool names_init(struct check *c, enum section_kind kind)
{
    const struct section *s = &keys_sections[kind];
    size_t count = keys_section_count(s, c->load->config);
    if (!table_init(&c->names[kind], count, compare_names))
        return false;
    for (size_t i = 0; i < count && s->list.size > 0; i++)
        table_add(&c->names[kind], keys_section_name(s, keys_section_at(s, c->load->config, i)), i,
                  0);
    table_sort(&c->names[kind]);
    return true;
}

static bool binds_init(struct check *c)
{
    const struct config *conf = c->load->config;
    size_t count = 0;
    for (size_t i = 0; i < conf->listen_count; i++)
        count += conf->listen[i].bind_count;
    if (!table_init(&c->binds, count, compare_addresses) ||
        !table_init(&c->wildcards, count, compare_ports))
        return false;
    for (size_t i = 0; i < conf->listen_count; i++)
        for (size_t item = 0; item < conf->listen[i].bind_count; item++)
            table_add(&c->binds, &conf->listen[i].bind[item], i, item);
    table_sort(&c->binds);
    for (const struct table_entry *e = c->binds.entry; e < c->binds.entry + count; e++)
        if (addr_is_wildcard(e->what) && table_find(&c->binds, e->what) == e) /* not twice */
            table_add(&c->wildcards, e->what, e->section, e->item);
    table_sort(&c->wildcards);
    return true;
}

static void check_fini(struct check *c)
{
    for (size_t kind = 0; kind < SECTION_KINDS; kind++)
        table_fini(&c->names[kind]);
    table_fini(&c->binds);
    table_fini(&c->wildcards);
}

/* resolve_min, resolve_max: blames the one that is not at its default. */
static void check_resolve(const struct load *l)
{
    const struct config_global *g = &l->config->global;
    bool given = load_origin(l, SECTION_GLOBAL, 0, "resolve_min")->given.line > 0;
    const char *key = given ? "resolve_min" : "resolve_max";
    if (g->resolve_min > g->resolve_max)
        report_error(l->report, load_place(l, SECTION_GLOBAL, 0, key), "global", key,
                     "resolve_min is longer than resolve_max, expected at most as long");
}

static bool check_all(struct check *c)
{
    struct config *conf = c->load->config;
    for (size_t kind = 0; kind < SECTION_KINDS; kind++)
        if (!names_init(c, kind))
            return false;
    if (!binds_init(c))
        return false;
    check_resolve(c->load);
    for (size_t i = 0; i < conf->listen_count; i++) {
        check_name(c, SECTION_LISTEN, i);
        check_required(c, SECTION_LISTEN, i);
        conf->listen[i].pool = find_pool(c, SECTION_LISTEN, i, "pool", conf->listen[i].pool_name);
        for (size_t item = 0; item < conf->listen[i].bind_count; item++)
            check_bind(c, i, item);
    }
    for (size_t i = 0; i < conf->pool_count; i++) {
        check_name(c, SECTION_POOL, i);
        check_required(c, SECTION_POOL, i);
        check_pool(c->load, i);
        conf->pool[i].fallback =
            find_pool(c, SECTION_POOL, i, "fallback", conf->pool[i].fallback_name);
        if (!check_servers(c, i))
            return false;
    }
    return check_fallbacks(c->load);
}

void check_config(const struct load *l)
{
    struct check c = { .load = l };
    if (l->exhausted)
        return;
    const struct place file = { l->path, 0 };
    if (l->config->listen_count == 0 && !l->incomplete)
        report_error(l->report, file, NULL, NULL,
                     "no [listen NAME] section, expected at least one");
    if (!check_all(&c))
        report_error(l->report, file, NULL, NULL, "out of memory");
    check_fini(&c);
}
