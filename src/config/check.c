#include "config/check.h"

#include <stdlib.h>
#include <string.h>

#include "config/check_bind.h"
#include "config/check_listen.h"
#include "config/check_pool.h"
#include "config/nearest.h"
#include "config/table.h"

/* --- What all checks share --- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

struct check {
    const struct load *load;
    struct table names[SECTION_KINDS]; /* of sections */
};

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
                           struct place at, const char *wanted)
{
    const struct config *conf = c->load->config;
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

/* The pool that a key names at a place; NULL where there is none, which is reported. */
static const struct config_pool *find_pool(const struct check *c, enum section_kind kind, size_t i,
                                           const char *key, struct place at, const char *name)
{
    if (name == NULL)
        return NULL; /* not given, or reported */
    const struct table_entry *found = table_find(&c->names[SECTION_POOL], name);
    if (found != NULL)
        return &c->load->config->pool[found->section];
    if (!c->load->incomplete)
        report_no_pool(c, kind, i, key, at, name);
    return NULL;
}

static void join_listen(const struct check *c, size_t i)
{
    struct config_listen *listen = &c->load->config->listen[i];
    const struct place *route = load_origin(c->load, SECTION_LISTEN, i, "route")->item;
    listen->pool = find_pool(c, SECTION_LISTEN, i, "pool",
                             load_place(c->load, SECTION_LISTEN, i, "pool"), listen->pool_name);
    for (size_t item = 0; item < listen->route_count; item++)
        listen->route[item].pool =
            find_pool(c, SECTION_LISTEN, i, "route", route[item], listen->route[item].pool_name);
}

static void join_fallback(const struct check *c, size_t i)
{
    struct config_pool *pool = &c->load->config->pool[i];
    pool->fallback =
        find_pool(c, SECTION_POOL, i, "fallback", load_place(c->load, SECTION_POOL, i, "fallback"),
                  pool->fallback_name);
}

/* --- Servers --- */

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
    for (size_t item = 0; item < pool->server_count; item++)
        check_server_name(c, &names, i, item);
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

static void check_fini(struct check *c)
{
    for (size_t kind = 0; kind < SECTION_KINDS; kind++)
        table_fini(&c->names[kind]);
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
    const struct config *conf = c->load->config;
    for (size_t kind = 0; kind < SECTION_KINDS; kind++)
        if (!names_init(c, kind))
            return false;
    check_resolve(c->load);
    for (size_t i = 0; i < conf->listen_count; i++) {
        check_name(c, SECTION_LISTEN, i);
        check_required(c, SECTION_LISTEN, i);
        join_listen(c, i);
        check_listen(c->load, i);
    }
    for (size_t i = 0; i < conf->pool_count; i++) {
        check_name(c, SECTION_POOL, i);
        check_required(c, SECTION_POOL, i);
        c->load->config->pool[i].config = conf;
        check_pool(c->load, i);
        join_fallback(c, i);
        if (!check_servers(c, i))
            return false;
    }
    return check_fallbacks(c->load) && check_binds(c->load);
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
