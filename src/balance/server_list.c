#include "balance/server_list.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>

#include "balance/server_list_names.h"

/* The settings of a server, by a server line and perhaps an address of its name. */
struct server_spec {
    const struct config_server *line;
    const struct addr *addr;
    unsigned weight;
    uint64_t max_connections;
    int state;
    bool backup;
    bool added;
};

struct server_list_entry {
    struct server *server;
    struct server_spec server_spec; /* last applied; its pointers are valid in the plan only */
    bool stays;                     /* while a plan is applied */
};

/* A server's settings before server_list_try(). */
struct settings {
    uint64_t identity;
    unsigned weight;
    uint64_t max_connections;
    int state;
};

struct server_list_plan {
    struct server_spec *server_spec;
    struct server_list_entry *entry; /* for each spec: a server that stays, or a new one */
    const struct server_list_entry **previous; /* NULL: a new server */
    struct server_name **renamed; /* the new name of a server that stays; NULL: the same */
    struct server_name **moved;   /* its new host, likewise */
    struct settings *before;
    struct server_member *member;
    size_t count;
    struct server_list_name *name; /* the addresses of names, sorted */
    size_t name_count;
    struct config_server **added; /* the lines of the list, and newest if not NULL */
    size_t added_count;
    struct config_server *newest;
    bool applied;
};

void server_list_init(struct server_list *list)
{
    memset(list, 0, sizeof *list);
}

static void line_free(struct config_server *line)
{
    if (line != NULL)
        free(line->name);
    free(line);
}

void server_list_fini(struct server_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        server_free(list->entry[i].server);
    for (size_t i = 0; i < list->added_count; i++)
        line_free(list->added[i]);
    free(list->added);
    free(list->entry);
    server_list_names_free(list->name, list->name_count);
}

/* ---- answers ---- */

static bool same_answers(const struct server_list_name *n, const struct pool_answer *answer,
                         size_t count)
{
    if (n == NULL || n->count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!addr_equal(&n->answer[i].addr, &answer[i].addr) ||
            n->answer[i].weight != answer[i].weight || n->answer[i].backup != answer[i].backup)
            return false;
    return true;
}

/* The current addresses, and new ones for one line. */
static int plan_names(const struct server_list *list, const struct config_pool *conf,
                      const struct config_server *changed_line, const struct pool_answer *answer,
                      size_t count, struct server_list_plan *plan)
{
    const struct server_list_new_answers new_answers = { changed_line, answer, count };
    struct server_list_name *name = NULL;
    ssize_t names = server_list_names_plan(list->name, list->name_count, conf, &new_answers, &name);
    if (names < 0)
        return (int)names;
    plan->name = name;
    plan->name_count = (size_t)names;
    return 0;
}

/* ---- added servers ---- */

static struct config_server *copy_line(const struct config_server *line)
{
    struct config_server *copy = malloc(sizeof *copy);
    if (copy == NULL)
        return NULL;
    *copy = *line;
    copy->host = NULL;
    copy->name = strdup(line->name);
    if (copy->name != NULL)
        return copy;
    free(copy);
    return NULL;
}

static bool server_list_is_same(const struct config_server *a, const struct config_server *b)
{
    return strcmp(a->name, b->name) == 0 || (a->host == NULL && addr_equal(&a->addr, &b->addr));
}

/* An added server goes when the configuration has one with its name or address. */
static bool conf_has(const struct config_pool *conf, const struct config_server *line)
{
    for (size_t i = 0; i < conf->server_count; i++)
        if (server_list_is_same(&conf->server[i], line))
            return true;
    return false;
}

/* A change of the added lines; NULL: none. */
struct server_list_change {
    const struct config_server *add;
    const struct config_server *remove;
};

static int server_list_plan_added(const struct server_list *list, const struct config_pool *conf,
                                  const struct server_list_change *change,
                                  struct server_list_plan *plan)
{
    plan->added = calloc(list->added_count + 1, sizeof(struct config_server *));
    if (plan->added == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < list->added_count && conf->file == NULL; i++)
        if (list->added[i] != change->remove && !conf_has(conf, list->added[i]))
            plan->added[plan->added_count++] = list->added[i];
    if (change->add == NULL)
        return 0;
    plan->newest = copy_line(change->add);
    if (plan->newest == NULL)
        return -ENOMEM;
    plan->added[plan->added_count++] = plan->newest;
    return 0;
}

/* ---- specs ---- */

static struct server_spec spec_of_line(const struct config_server *line)
{
    return (struct server_spec){
        .line = line,
        .addr = &line->addr,
        .weight = line->weight,
        .max_connections = line->max_connections,
        .state = (int)line->state,
        .backup = line->backup,
    };
}

static size_t count_specs(const struct config_pool *conf, const struct server_list_plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < conf->server_count; i++) {
        const struct config_server *line = &conf->server[i];
        const struct server_list_name *n =
            line->host == NULL ? NULL : server_list_names_find(plan->name, plan->name_count, line);
        count += line->host == NULL ? 1 : n == NULL ? 0 : n->count;
    }
    return count;
}

static void add_answers(struct server_list_plan *plan, const struct config_server *line)
{
    const struct server_list_name *n = server_list_names_find(plan->name, plan->name_count, line);
    for (size_t i = 0; n != NULL && i < n->count; i++) {
        struct server_spec spec = spec_of_line(line);
        spec.addr = &n->answer[i].addr;
        spec.backup = line->backup || n->answer[i].backup;
        if (n->answer[i].weight != 0)
            spec.weight = n->answer[i].weight;
        plan->server_spec[plan->count++] = spec;
    }
}

static int plan_specs(const struct config_pool *conf, struct server_list_plan *plan)
{
    size_t count = count_specs(conf, plan) + plan->added_count;
    plan->server_spec = calloc(count + 1, sizeof *plan->server_spec);
    plan->entry = calloc(count + 1, sizeof *plan->entry);
    plan->previous = calloc(count + 1, sizeof(struct server_list_entry *));
    plan->renamed = calloc(count + 1, sizeof(struct server_name *));
    plan->moved = calloc(count + 1, sizeof(struct server_name *));
    plan->before = calloc(count + 1, sizeof *plan->before);
    plan->member = calloc(count + 1, sizeof *plan->member);
    if (plan->server_spec == NULL || plan->entry == NULL || plan->previous == NULL ||
        plan->renamed == NULL || plan->moved == NULL || plan->before == NULL ||
        plan->member == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < conf->server_count; i++) {
        const struct config_server *line = &conf->server[i];
        if (line->host == NULL)
            plan->server_spec[plan->count++] = spec_of_line(line);
        else
            add_answers(plan, line);
    }
    for (size_t i = 0; i < plan->added_count; i++) {
        plan->server_spec[plan->count] = spec_of_line(plan->added[i]);
        plan->server_spec[plan->count++].added = true;
    }
    return 0;
}

/* ---- servers that stay ---- */

/* A present server. The candidates are sorted by address, for binary search. */
struct candidate {
    const struct server_list_entry *entry;
    bool taken;
};

static const struct addr *addr_of(const struct candidate *s)
{
    return &s->entry->server->addr;
}

static int compare_candidates(const void *a, const void *b)
{
    return addr_compare(addr_of(a), addr_of(b));
}

static struct candidate *first_at(struct candidate *s, size_t count, const struct addr *addr)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (addr_compare(addr_of(&s[middle]), addr) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return s + low;
}

/* A pool may have an address twice, with two names: by_name matches these first. */
static void server_list_match(struct server_list_plan *plan, struct candidate *s, size_t count,
                              bool by_name)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct server_spec *spec = &plan->server_spec[i];
        struct candidate *at = first_at(s, count, spec->addr);
        while (plan->previous[i] == NULL && at < s + count && addr_equal(addr_of(at), spec->addr)) {
            if (!at->taken && (!by_name || server_is_named(at->entry->server, spec->line->name))) {
                at->taken = true;
                plan->previous[i] = at->entry;
            }
            at++;
        }
    }
}

static int server_list_match_all(const struct server_list *list, struct server_list_plan *plan)
{
    struct candidate *s = calloc(list->count + 1, sizeof *s);
    if (s == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < list->count; i++)
        s[i].entry = &list->entry[i];
    qsort(s, list->count, sizeof *s, compare_candidates);
    server_list_match(plan, s, list->count, true);
    server_list_match(plan, s, list->count, false);
    free(s);
    return 0;
}

static bool has_host(const struct server *srv, const char *host)
{
    const char *now = server_host(srv);
    return now == NULL || host == NULL ? now == host : strcmp(now, host) == 0;
}

/* A server that stays may be known by another name and host from now on. */
static int plan_names_of(struct server_list_plan *plan, size_t i)
{
    const struct server *srv = plan->entry[i].server;
    const struct config_server *line = plan->server_spec[i].line;
    const char *host = server_line_host(line);
    if (!server_is_named(srv, line->name) &&
        (plan->renamed[i] = server_name_new(line->name)) == NULL)
        return -ENOMEM;
    if (!has_host(srv, host) &&
        (plan->moved[i] = server_name_new(host == NULL ? "" : host)) == NULL)
        return -ENOMEM;
    return 0;
}

static int plan_servers(const struct server_list *list, struct server_list_plan *plan)
{
    if (server_list_match_all(list, plan) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < plan->count; i++) {
        const struct server_spec *spec = &plan->server_spec[i];
        struct server *srv = plan->previous[i] != NULL ? plan->previous[i]->server
                                                       : server_new(spec->line, spec->addr);
        plan->entry[i].server = plan->member[i].server = srv;
        plan->entry[i].server_spec = *spec;
        plan->member[i].backup = spec->backup;
        if (srv == NULL || plan_names_of(plan, i) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int server_list_make_plan(const struct server_list *list, const struct config_pool *conf,
                                 const struct config_server *changed_line,
                                 const struct pool_answer *answer, size_t count,
                                 const struct server_list_change *change,
                                 struct server_list_plan **out)
{
    struct server_list_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return -ENOMEM;
    if (plan_names(list, conf, changed_line, answer, count, plan) < 0 ||
        server_list_plan_added(list, conf, change, plan) < 0 || plan_specs(conf, plan) < 0 ||
        plan_servers(list, plan) < 0) {
        server_list_plan_free(plan);
        return -ENOMEM;
    }
    *out = plan;
    return 0;
}

static const struct server_list_change no_addition;

int server_list_plan_config(const struct server_list *list, const struct config_pool *conf,
                            struct server_list_plan **plan)
{
    return server_list_make_plan(list, conf, NULL, NULL, 0, &no_addition, plan);
}

int server_list_plan_answers(const struct server_list *list, const struct config_pool *conf,
                             size_t line, const struct pool_answer *answers, size_t count,
                             struct server_list_plan **plan)
{
    const struct config_server *at = &conf->server[line];
    assert(at->host != NULL);
    if (same_answers(server_list_names_find(list->name, list->name_count, at), answers, count))
        return 0;
    int rc = server_list_make_plan(list, conf, at, answers, count, &no_addition, plan);
    return rc < 0 ? rc : 1;
}

int server_list_plan_add(const struct server_list *list, const struct config_pool *conf,
                         const struct config_server *line, struct server_list_plan **plan)
{
    const struct server_list_change change = { .add = line };
    assert(line->host == NULL);
    if (conf_has(conf, line))
        return -EEXIST;
    for (size_t i = 0; i < list->count; i++)
        if (server_is_named(list->entry[i].server, line->name) ||
            addr_equal(&list->entry[i].server->addr, &line->addr))
            return -EEXIST;
    return server_list_make_plan(list, conf, NULL, NULL, 0, &change, plan);
}

static bool is_line(const struct config_server *line, const char *name, const struct addr *at)
{
    return line->host == NULL && strcmp(line->name, name) == 0 && addr_equal(&line->addr, at);
}

const struct config_server *server_list_find_line(const struct server_list *list,
                                                  const struct config_pool *conf, const char *name,
                                                  const struct addr *at)
{
    for (size_t i = 0; i < conf->server_count; i++)
        if (is_line(&conf->server[i], name, at))
            return &conf->server[i];
    for (size_t i = 0; i < list->added_count; i++)
        if (is_line(list->added[i], name, at))
            return list->added[i];
    return NULL;
}

static struct config_server *added_line(const struct server_list *list, const struct server *srv)
{
    for (size_t i = 0; i < list->added_count; i++)
        if (addr_equal(&list->added[i]->addr, &srv->addr) &&
            server_is_named(srv, list->added[i]->name))
            return list->added[i];
    return NULL;
}

int server_list_plan_remove(const struct server_list *list, const struct config_pool *conf,
                            const struct server *srv, struct server_list_plan **plan)
{
    const struct server_list_change change = { .remove = added_line(list, srv) };
    if (change.remove == NULL)
        return -ENOENT;
    return server_list_make_plan(list, conf, NULL, NULL, 0, &change, plan);
}

void server_list_plan_free(struct server_list_plan *plan)
{
    if (plan == NULL)
        return;
    for (size_t i = 0; i < plan->count && !plan->applied; i++) {
        if (plan->previous[i] == NULL)
            server_free(plan->entry[i].server);
        free(plan->renamed[i]);
        free(plan->moved[i]);
    }
    if (!plan->applied) {
        server_list_names_free(plan->name, plan->name_count);
        line_free(plan->newest);
        free(plan->added);
        free(plan->entry);
    }
    free(plan->server_spec);
    free(plan->previous);
    free(plan->renamed);
    free(plan->moved);
    free(plan->before);
    free(plan->member);
    free(plan);
}

const struct server_member *server_list_plan_members(const struct server_list_plan *plan,
                                                     size_t *count)
{
    *count = plan->count;
    return plan->member;
}

/* ---- apply ---- */

/* A setting that the spec has not changed is left as it is: it may have been set at run time. */
static void apply_spec(struct server *srv, const struct server_spec *spec,
                       const struct server_spec *before)
{
    if (before == NULL || before->weight != spec->weight)
        atomic_store(&srv->weight, spec->weight);
    if (before == NULL || before->max_connections != spec->max_connections)
        atomic_store(&srv->max_connections, spec->max_connections);
    if (before == NULL || before->state != spec->state)
        atomic_store(&srv->state, spec->state);
}

void server_list_try(struct server_list_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct server *srv = plan->entry[i].server;
        const struct server_list_entry *previous = plan->previous[i];
        plan->before[i] = (struct settings){
            .identity = srv->identity,
            /* relaxed: only this thread stores them */
            .weight = atomic_load_explicit(&srv->weight, memory_order_relaxed),
            .max_connections = atomic_load_explicit(&srv->max_connections, memory_order_relaxed),
            .state = atomic_load_explicit(&srv->state, memory_order_relaxed),
        };
        apply_spec(srv, &plan->server_spec[i], previous == NULL ? NULL : &previous->server_spec);
        if (plan->renamed[i] != NULL)
            srv->identity = server_identity(srv, plan->renamed[i]->text);
    }
}

void server_list_revert(struct server_list_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct server *srv = plan->entry[i].server;
        srv->identity = plan->before[i].identity;
        atomic_store(&srv->weight, plan->before[i].weight);
        atomic_store(&srv->max_connections, plan->before[i].max_connections);
        atomic_store(&srv->state, plan->before[i].state);
    }
}

static void remove_server(struct server *srv, struct removed_servers *removed_servers)
{
    srv->backup = srv->added = false;
    SLIST_INSERT_HEAD(removed_servers, srv, in_removed);
}

static void remove_unplanned(struct server_list *list, const struct server_list_plan *plan,
                             struct removed_servers *removed_servers)
{
    SLIST_INIT(removed_servers);
    for (size_t i = 0; i < plan->count; i++)
        if (plan->previous[i] != NULL)
            list->entry[plan->previous[i] - list->entry].stays = true;
    for (size_t i = 0; i < list->count; i++)
        if (!list->entry[i].stays)
            remove_server(list->entry[i].server, removed_servers);
}

/* Frees the lines that the plan does not have. The plan keeps their order. */
static void drop_added(struct server_list *list, const struct server_list_plan *plan)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->added_count; i++) {
        if (kept < plan->added_count && plan->added[kept] == list->added[i])
            kept++;
        else
            line_free(list->added[i]);
    }
    free(list->added);
}

void server_list_apply(struct server_list *list, struct server_list_plan *plan,
                       struct removed_servers *removed_servers)
{
    remove_unplanned(list, plan, removed_servers);
    for (size_t i = 0; i < plan->count; i++) {
        plan->entry[i].server->backup = plan->server_spec[i].backup;
        plan->entry[i].server->added = plan->server_spec[i].added;
        plan->entry[i].server->check_address = plan->server_spec[i].line->check_address;
        if (plan->renamed[i] != NULL)
            server_rename(plan->entry[i].server, plan->renamed[i]);
        if (plan->moved[i] != NULL)
            server_set_host(plan->entry[i].server, plan->moved[i]);
    }
    drop_added(list, plan);
    free(list->entry);
    server_list_names_free(list->name, list->name_count);
    list->added = plan->added;
    list->added_count = plan->added_count;
    list->entry = plan->entry;
    list->count = plan->count;
    list->name = plan->name;
    list->name_count = plan->name_count;
    plan->applied = true;
}

const struct pool_answer *server_list_answers(const struct server_list *list,
                                              const struct config_server *line, size_t *count)
{
    const struct server_list_name *n = server_list_names_find(list->name, list->name_count, line);
    *count = n == NULL ? 0 : n->count;
    return n == NULL ? NULL : n->answer;
}

void server_list_members(const struct server_list *list, struct server_member *members)
{
    for (size_t i = 0; i < list->count; i++)
        members[i] =
            (struct server_member){ list->entry[i].server, list->entry[i].server_spec.backup };
}
