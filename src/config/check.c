#include "config/check.h"

#include <grp.h>
#include <net/if.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/capability.h"
#include "base/congestion.h"
#include "base/safe_open.h"
#include "base/suggestion.h"
#include "config/sorted_table.h"

/* --- Shared by all checks --- */

struct check {
    const struct load *load;
    struct sorted_table names[SECTION_KINDS]; /* the names of sections */
};

/* --- Any section --- */

static void check_name(const struct check *c, enum section_kind kind, size_t i)
{
    const struct section *s = &keys_sections[kind];
    const char *name = keys_section_name(s, keys_section_at(s, c->load->config, i));
    const struct sorted_table_entry *first = sorted_table_find_earlier(&c->names[kind], name, i, 0);
    char label[KEYS_LABEL_MAX];
    char location[REPORT_LOCATION_MAX];
    if (first == NULL || *name == '\0') /* an empty name was reported before */
        return;
    struct location at = c->load->origin[kind][i].at;
    report_error(c->load->report, at, load_label(c->load, kind, i, label), NULL,
                 "given twice, first in %s",
                 report_location(c->load->origin[kind][first->section].at, at, location));
}

/* Reports keys that are missing. A key whose value could not be read is not. */
static void check_required(const struct check *c, enum section_kind kind, size_t i)
{
    const struct section *s = &keys_sections[kind];
    const struct origin *o = &c->load->origin[kind][i];
    char label[KEYS_LABEL_MAX];
    for (size_t k = 0; k < s->key_count; k++)
        if ((s->keys[k].flags & KEY_REQUIRED) != 0 && o->key[k].given.line == 0)
            report_error(c->load->report, o->at, load_label(c->load, kind, i, label),
                         s->keys[k].name, "missing, expected %s",
                         s->keys[k].list.size > 0 ? "at least one" : "a value");
}

/* --- Names of pools in keys --- */

static void report_unknown_pool(const struct check *c, enum section_kind kind, size_t i,
                                const char *key, struct location at, const char *wanted)
{
    const struct config *conf = c->load->config;
    struct suggestion hint;
    char label[KEYS_LABEL_MAX];
    suggestion_init(&hint, wanted);
    for (size_t p = 0; p < conf->pool_count; p++)
        suggestion_offer(&hint, conf->pool[p].name);
    load_label(c->load, kind, i, label);
    if (hint.word != NULL)
        report_error(c->load->report, at, label, key, "\"%s\": no such pool, did you mean \"%s\"?",
                     wanted, hint.word);
    else
        report_error(c->load->report, at, label, key,
                     "\"%s\": no such pool, expected a section [pool %s]", wanted, wanted);
}

/* Returns the pool that a key names, or NULL; an unknown pool is reported. */
static const struct config_pool *check_find_pool(const struct check *c, enum section_kind kind,
                                                 size_t i, const char *key, struct location at,
                                                 const char *name)
{
    if (name == NULL)
        return NULL; /* not given, or reported before */
    const struct sorted_table_entry *found = sorted_table_find(&c->names[SECTION_POOL], name);
    if (found != NULL)
        return &c->load->config->pool[found->section];
    if (!c->load->incomplete)
        report_unknown_pool(c, kind, i, key, at, name);
    return NULL;
}

static void resolve_listen_pools(const struct check *c, size_t i)
{
    struct config_listen *listen = &c->load->config->listen[i];
    const struct location *route = load_origin(c->load, SECTION_LISTEN, i, "route")->item;
    listen->pool =
        check_find_pool(c, SECTION_LISTEN, i, "pool",
                        load_location(c->load, SECTION_LISTEN, i, "pool"), listen->pool_name);
    for (size_t item = 0; item < listen->route_count; item++)
        listen->route[item].pool = check_find_pool(c, SECTION_LISTEN, i, "route", route[item],
                                                   listen->route[item].pool_name);
}

static void resolve_fallback(const struct check *c, size_t i)
{
    struct config_pool *pool = &c->load->config->pool[i];
    pool->fallback =
        check_find_pool(c, SECTION_POOL, i, "fallback",
                        load_location(c->load, SECTION_POOL, i, "fallback"), pool->fallback_name);
}

/* --- Servers --- */

static void check_server_name(const struct check *c, const struct sorted_table *names, size_t i,
                              size_t item)
{
    const char *name = c->load->config->pool[i].server[item].name;
    const struct location *location = load_origin(c->load, SECTION_POOL, i, "server")->item;
    const struct sorted_table_entry *first = sorted_table_find_earlier(names, name, i, item);
    char label[KEYS_LABEL_MAX];
    char other[REPORT_LOCATION_MAX];
    if (first != NULL)
        report_error(c->load->report, location[item], load_label(c->load, SECTION_POOL, i, label),
                     "server", "\"%s\": name given twice in this pool, first in %s", name,
                     report_location(location[first->item], location[item], other));
}

static bool check_servers(const struct check *c, size_t i)
{
    const struct config_pool *pool = &c->load->config->pool[i];
    struct sorted_table names;
    if (!sorted_table_init(&names, pool->server_count, sorted_table_compare_names))
        return false;
    for (size_t item = 0; item < pool->server_count; item++)
        sorted_table_add(&names, pool->server[item].name, i, item);
    sorted_table_sort(&names);
    for (size_t item = 0; item < pool->server_count; item++)
        check_server_name(c, &names, i, item);
    sorted_table_fini(&names);
    return true;
}

/* --- The configuration --- */

static bool names_init(struct check *c, enum section_kind kind)
{
    const struct section *s = &keys_sections[kind];
    size_t count = keys_section_count(s, c->load->config);
    if (!sorted_table_init(&c->names[kind], count, sorted_table_compare_names))
        return false;
    for (size_t i = 0; i < count && s->list.size > 0; i++)
        sorted_table_add(&c->names[kind],
                         keys_section_name(s, keys_section_at(s, c->load->config, i)), i, 0);
    sorted_table_sort(&c->names[kind]);
    return true;
}

static void check_fini(struct check *c)
{
    for (size_t kind = 0; kind < SECTION_KINDS; kind++)
        sorted_table_fini(&c->names[kind]);
}

/* Reports resolve_min > resolve_max, at the one of them that was given. */
static void check_resolve(const struct load *l)
{
    const struct config_global *g = &l->config->global;
    bool given = load_origin(l, SECTION_GLOBAL, 0, "resolve_min")->given.line > 0;
    const char *key = given ? "resolve_min" : "resolve_max";
    if (g->resolve_min > g->resolve_max)
        report_error(l->report, load_location(l, SECTION_GLOBAL, 0, key), "global", key,
                     "resolve_min is longer than resolve_max, expected no longer");
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
        resolve_listen_pools(c, i);
        check_listen(c->load, i);
    }
    for (size_t i = 0; i < conf->pool_count; i++) {
        check_name(c, SECTION_POOL, i);
        check_required(c, SECTION_POOL, i);
        c->load->config->pool[i].config = conf;
        check_pool(c->load, i);
        resolve_fallback(c, i);
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
    const struct location file = { l->path, 0 };
    if (l->config->listen_count == 0 && !l->incomplete)
        report_error(l->report, file, NULL, NULL,
                     "no [listen NAME] section, expected at least one");
    if (!check_all(&c))
        report_error(l->report, file, NULL, NULL, "out of memory");
    check_fini(&c);
}

/* --- The machine: users and groups --- */

static void check_user(const struct load *l, struct location at, const char *section,
                       const char *key, const char *user)
{
    if (user != NULL && getpwnam(user) == NULL)
        report_error(l->report, at, section, key,
                     "\"%s\": no such user, expected one of this machine", user);
}

static void check_group(const struct load *l, struct location at, const char *section,
                        const char *key, const char *group)
{
    if (group != NULL && getgrnam(group) == NULL)
        report_error(l->report, at, section, key,
                     "\"%s\": no such group, expected one of this machine", group);
}

static void check_global(const struct load *l)
{
    const struct config_global *g = &l->config->global;
    check_user(l, load_location(l, SECTION_GLOBAL, 0, "user"), "global", "user", g->user);
    check_group(l, load_location(l, SECTION_GLOBAL, 0, "group"), "global", "group", g->group);
}

static void check_device(const struct load *l, struct location at, const char *section,
                         const char *device)
{
    if (device != NULL && if_nametoindex(device) == 0)
        report_error(l->report, at, section, "bind",
                     "\"%s\": no such interface, expected one of this machine", device);
}

/* Checks the owners of unix sockets, and interfaces. */
static void check_owners(const struct load *l, size_t i)
{
    const struct config_listen *listen = &l->config->listen[i];
    const struct location *at = load_origin(l, SECTION_LISTEN, i, "bind")->item;
    char label[KEYS_LABEL_MAX];
    load_label(l, SECTION_LISTEN, i, label);
    for (size_t item = 0; item < listen->bind_count; item++) {
        check_user(l, at[item], label, "bind", listen->bind[item].user);
        check_group(l, at[item], label, "bind", listen->bind[item].group);
        check_device(l, at[item], label, listen->bind[item].device);
    }
}

/* --- The machine: congestion control --- */

/* Whether zproxy has CAP_NET_ADMIN when it serves clients: it drops it with `user`. */
static bool keeps_net_admin(const struct config_global *g)
{
    const struct passwd *pw = g->user == NULL ? NULL : getpwnam(g->user);
    return capability_has_net_admin() && (pw == NULL || pw->pw_uid == geteuid());
}

static void check_congestion(const struct load *l, enum section_kind kind, size_t i,
                             const struct config_tcp *tcp)
{
    char why[CONGESTION_WHY_MAX];
    char label[KEYS_LABEL_MAX];
    if (tcp->congestion == NULL ||
        congestion_check(tcp->congestion, keeps_net_admin(&l->config->global), false, why) == 0)
        return;
    report_error(l->report, load_location(l, kind, i, "congestion"), load_label(l, kind, i, label),
                 "congestion", "\"%s\": %s", tcp->congestion, why);
}

/* --- The machine: files --- */

static const char *why_not_readable(const char *path)
{
    int fd = safe_open_read(path);
    if (fd < 0)
        return safe_open_strerror(fd);
    close(fd);
    return NULL;
}

static void check_answer(const struct load *l, size_t i)
{
    const struct config_pool *pool = &l->config->pool[i];
    const char *why = pool->file == NULL ? NULL : why_not_readable(pool->file);
    char label[KEYS_LABEL_MAX];
    if (why != NULL)
        report_error(l->report, load_location(l, SECTION_POOL, i, "file"),
                     load_label(l, SECTION_POOL, i, label), "file",
                     "\"%s\": %s, expected a file that can be read", pool->file, why);
}

static void check_file(const struct load *l, enum section_kind kind, size_t i, const char *key,
                       size_t item, const char *path)
{
    const struct origin_key *o = load_origin(l, kind, i, key);
    const char *why = path == NULL ? NULL : why_not_readable(path);
    char label[KEYS_LABEL_MAX];
    if (why != NULL)
        report_error(l->report,
                     item < o->item_count ? o->item[item] : load_location(l, kind, i, key),
                     load_label(l, kind, i, label), key,
                     "\"%s\": %s, expected a file that can be read", path, why);
}

static void check_certificate(const struct load *l, enum section_kind kind, size_t i, size_t item,
                              const struct config_certificate *files)
{
    check_file(l, kind, i, "tls_certificate", item, files->file);
    check_file(l, kind, i, "tls_certificate", item, files->key);
}

static void check_listen_files(const struct load *l, size_t i)
{
    const struct config_listen *listen = &l->config->listen[i];
    for (size_t item = 0; item < listen->tls_certificate_count; item++)
        check_certificate(l, SECTION_LISTEN, i, item, &listen->tls_certificate[item]);
    for (size_t item = 0; item < listen->tls_ticket_key_count; item++)
        check_file(l, SECTION_LISTEN, i, "tls_ticket_key", item, listen->tls_ticket_key[item]);
    check_file(l, SECTION_LISTEN, i, "tls_client_ca", 0, listen->tls_client_ca);
}

/* [defaults] may have files for pools that do not use them. */
static void check_pool_files(const struct load *l, size_t i)
{
    const struct config_pool *pool = &l->config->pool[i];
    if (!config_pool_has_tls(pool))
        return;
    check_certificate(l, SECTION_POOL, i, 0, &pool->tls_certificate);
    if (pool->tls_verify)
        check_file(l, SECTION_POOL, i, "tls_ca", 0, pool->tls_ca);
}

/* --- The machine --- */

void check_machine(const struct load *l)
{
    if (l->exhausted)
        return;
    check_global(l);
    for (size_t i = 0; i < l->config->listen_count; i++) {
        check_owners(l, i);
        check_listen_files(l, i);
        check_congestion(l, SECTION_LISTEN, i, &l->config->listen[i].tcp);
    }
    for (size_t i = 0; i < l->config->pool_count; i++) {
        check_answer(l, i);
        check_pool_files(l, i);
        check_congestion(l, SECTION_POOL, i, &l->config->pool[i].tcp);
    }
}
