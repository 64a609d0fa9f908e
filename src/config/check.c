#include "config/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "config/nearest.h"

/* --- Sorted tables: what occurs twice is found without comparing each with each --- */

/* Something with a name or address, and where it stands. */
struct entry {
    const void *what;
    size_t section; /* its section, and which item there it is */
    size_t item;
};

typedef int compare_fn(const void *a, const void *b);

struct table {
    struct entry *entry;
    size_t count;
    compare_fn *compare; /* what with what */
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

static int compare_places(const struct entry *a, const struct entry *b)
{
    if (a->section != b->section)
        return a->section < b->section ? -1 : 1;
    return a->item == b->item ? 0 : a->item < b->item ? -1 : 1;
}

/* Of equals, the one that stands first in the file comes first. */
static int compare_entries(const void *a, const void *b, void *compare)
{
    const struct entry *ea = a;
    const struct entry *eb = b;
    compare_fn *const *by = compare;
    int order = (*by)(ea->what, eb->what);
    return order != 0 ? order : compare_places(ea, eb);
}

/* Makes room for up to count entries; false where there is no memory. */
static bool table_init(struct table *t, size_t count, compare_fn *compare)
{
    t->entry = calloc(count == 0 ? 1 : count, sizeof *t->entry);
    t->count = 0;
    t->compare = compare;
    return t->entry != NULL;
}

static void table_add(struct table *t, const void *what, size_t section, size_t item)
{
    t->entry[t->count++] = (struct entry){ what, section, item };
}

static void table_sort(struct table *t)
{
    qsort_r(t->entry, t->count, sizeof *t->entry, compare_entries, &t->compare);
}

/* The first entry that is equal; NULL where there is none. */
static const struct entry *table_find(const struct table *t, const void *what)
{
    size_t low = 0;
    size_t high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->compare(t->entry[middle].what, what) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == t->count || t->compare(t->entry[low].what, what) != 0)
        return NULL;
    return &t->entry[low];
}

/* The first entry that is equal, if it is another one than this. */
static const struct entry *table_find_earlier(const struct table *t, const void *what,
                                              size_t section, size_t item)
{
    const struct entry *first = table_find(t, what);
    if (first == NULL || (first->section == section && first->item == item))
        return NULL;
    return first;
}

static void table_fini(struct table *t)
{
    free(t->entry);
}

/* --- What all checks share --- */

struct check {
    const struct load *load;
    struct table names[SECTION_KINDS]; /* of sections */
    struct table binds;                /* by address */
    struct table wildcards;            /* those of binds that stand for all addresses, by port */
};

static const struct origin_key *origin_of(const struct check *c, enum section_kind kind,
                                          size_t section, const char *key)
{
    const struct section *s = &keys_sections[kind];
    return &c->load->origin[kind][section].key[keys_find(s, key) - s->keys];
}

static struct place bind_place(const struct check *c, const struct entry *e)
{
    return origin_of(c, SECTION_LISTEN, e->section, "bind")->item[e->item];
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
    const struct entry *first = table_find_earlier(&c->names[kind], name, i, 0);
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

/* --- Listeners --- */

static void report_no_pool(const struct check *c, size_t i)
{
    const struct config *conf = c->load->config;
    const char *wanted = conf->listen[i].pool_name;
    struct place at = origin_of(c, SECTION_LISTEN, i, "pool")->given;
    struct nearest near;
    char label[KEYS_LABEL_MAX];
    nearest_init(&near, wanted);
    for (size_t p = 0; p < conf->pool_count; p++)
        nearest_offer(&near, conf->pool[p].name);
    label_of(c, SECTION_LISTEN, i, label);
    if (near.word != NULL)
        report_error(c->load->report, at, label, "pool",
                     "\"%s\": no such pool, did you mean \"%s\"?", wanted, near.word);
    else
        report_error(c->load->report, at, label, "pool",
                     "\"%s\": no such pool, expected a section [pool %s]", wanted, wanted);
}

static void join_pool(const struct check *c, size_t i)
{
    struct config_listen *listen = &c->load->config->listen[i];
    if (listen->pool_name == NULL)
        return; /* reported */
    const struct entry *found = table_find(&c->names[SECTION_POOL], listen->pool_name);
    if (found != NULL)
        listen->pool = &c->load->config->pool[found->section];
    else if (!c->load->incomplete)
        report_no_pool(c, i);
}

static void report_bind(const struct check *c, size_t i, size_t item, const struct entry *other)
{
    const struct entry e = { NULL, i, item };
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
    const struct entry *first = table_find_earlier(&c->binds, a, i, item);
    if (first == NULL && addr_is_wildcard(a)) {
        const struct entry self = { a, i, item };
        const struct entry *w = table_find(&c->wildcards, a);
        const struct entry *end = c->wildcards.entry + c->wildcards.count;
        for (; w != end && compare_ports(w->what, a) == 0; w++) {
            const struct addr *other = w->what;
            if ((a->dual || other->dual) && compare_places(w, &self) < 0)
                first = w;
        }
    }
    if (first != NULL)
        report_bind(c, i, item, first);
}

/* --- Servers --- */

/* The listener that a connection to the server would arrive at; NULL where it leaves zproxy. */
static const struct entry *find_loop(const struct check *c, const struct addr *to)
{
    const struct entry *found = table_find(&c->binds, to);
    if (found != NULL || addr_is_unix(to))
        return found;
    const struct entry *end = c->wildcards.entry + c->wildcards.count;
    found = table_find(&c->wildcards, to);
    for (; found != NULL && found != end && compare_ports(found->what, to) == 0; found++)
        if (addr_reaches(to, found->what))
            return found;
    return NULL;
}

static void check_loop(const struct check *c, size_t i, size_t item)
{
    const struct addr *to = &c->load->config->pool[i].server[item].addr;
    const struct entry *found = find_loop(c, to);
    struct place at = origin_of(c, SECTION_POOL, i, "server")->item[item];
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
    const struct place *place = origin_of(c, SECTION_POOL, i, "server")->item;
    const struct entry *first = table_find_earlier(names, name, i, item);
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
    for (const struct entry *e = c->binds.entry; e < c->binds.entry + count; e++)
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

static bool check_all(struct check *c)
{
    const struct config *conf = c->load->config;
    for (size_t kind = 0; kind < SECTION_KINDS; kind++)
        if (!names_init(c, kind))
            return false;
    if (!binds_init(c))
        return false;
    for (size_t i = 0; i < conf->listen_count; i++) {
        check_name(c, SECTION_LISTEN, i);
        check_required(c, SECTION_LISTEN, i);
        join_pool(c, i);
        for (size_t item = 0; item < conf->listen[i].bind_count; item++)
            check_bind(c, i, item);
    }
    for (size_t i = 0; i < conf->pool_count; i++) {
        check_name(c, SECTION_POOL, i);
        check_required(c, SECTION_POOL, i);
        if (!check_servers(c, i))
            return false;
    }
    return true;
}

void check_config(const struct load *l)
{
    struct check c = { .load = l };
    const struct place file = { l->path, 0 };
    if (l->config->listen_count == 0 && !l->incomplete)
        report_error(l->report, file, NULL, NULL,
                     "no [listen NAME] section, expected at least one");
    if (!check_all(&c))
        report_error(l->report, file, NULL, NULL, "out of memory");
    check_fini(&c);
}
