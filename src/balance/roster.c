#include "balance/roster.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>

#include "balance/roster_names.h"

/* What the configuration, or an answer, says of a server. */
struct wish {
    const struct config_server *line;
    const struct addr *addr;
    unsigned weight;
    uint64_t max_connections;
    int state;
    bool backup;
    bool added;
};

struct roster_entry {
    struct backend *backend;
    struct wish wish; /* the last one; its pointers are only good while it is planned */
    bool stays;       /* while a plan is applied */
};

/* What a server had before a plan was tried. */
struct settings {
    unsigned weight;
    uint64_t max_connections;
    int state;
};

struct roster_plan {
    struct wish *wish;
    struct roster_entry
        *entry; /* what will be of each wish: with a server that stays, or a new one */
    const struct roster_entry **was; /* NULL: new */
    struct backend_name **renamed;   /* the name that one that stays will have; NULL: the same */
    struct settings *before;
    struct server_place *place;
    size_t count;
    struct roster_name *name; /* the answers, as they will be, sorted */
    size_t name_count;
    struct config_server **added; /* likewise; those of the roster, and perhaps the newest */
    size_t added_count;
    struct config_server *newest;
    bool applied;
};

void roster_init(struct roster *r)
{
    memset(r, 0, sizeof *r);
}

static void line_free(struct config_server *line)
{
    if (line != NULL)
        free(line->name);
    free(line);
}

void roster_fini(struct roster *r)
{
    for (size_t i = 0; i < r->count; i++)
        backend_free(r->entry[i].backend);
    for (size_t i = 0; i < r->added_count; i++)
        line_free(r->added[i]);
    free(r->added);
    free(r->entry);
    roster_names_free(r->name, r->name_count);
}

/* ---- answers ---- */

static bool same_answers(const struct roster_name *n, const struct pool_answer *answer,
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

/* The answers in force, but for one line that has new ones. */
static int plan_names(const struct roster *r, const struct config_pool *conf,
                      const struct config_server *newly, const struct pool_answer *answer,
                      size_t count, struct roster_plan *plan)
{
    const struct roster_news news = { newly, answer, count };
    struct roster_name *name = NULL;
    ssize_t names = roster_names_plan(r->name, r->name_count, conf, &news, &name);
    if (names < 0)
        return (int)names;
    plan->name = name;
    plan->name_count = (size_t)names;
    return 0;
}

/* ---- servers that were added ---- */

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

static bool is_same(const struct config_server *a, const struct config_server *b)
{
    return strcmp(a->name, b->name) == 0 || (a->host == NULL && addr_equal(&a->addr, &b->addr));
}

/* The configuration is the truth for what it has. */
static bool conf_has(const struct config_pool *conf, const struct config_server *line)
{
    for (size_t i = 0; i < conf->server_count; i++)
        if (is_same(&conf->server[i], line))
            return true;
    return false;
}

/* Those that there are, but for one that is removed, and a further one. */
struct addition {
    const struct config_server *more;
    const struct config_server *less;
};

static int plan_added(const struct roster *r, const struct config_pool *conf,
                      const struct addition *change, struct roster_plan *plan)
{
    plan->added = calloc(r->added_count + 1, sizeof(struct config_server *));
    if (plan->added == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < r->added_count && conf->file == NULL; i++)
        if (r->added[i] != change->less && !conf_has(conf, r->added[i]))
            plan->added[plan->added_count++] = r->added[i];
    if (change->more == NULL)
        return 0;
    plan->newest = copy_line(change->more);
    if (plan->newest == NULL)
        return -ENOMEM;
    plan->added[plan->added_count++] = plan->newest;
    return 0;
}

/* ---- wishes ---- */

static struct wish wish_of(const struct config_server *line)
{
    return (struct wish){
        .line = line,
        .addr = &line->addr,
        .weight = line->weight,
        .max_connections = line->max_connections,
        .state = (int)line->state,
        .backup = line->backup,
    };
}

static size_t count_wishes(const struct config_pool *conf, const struct roster_plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < conf->server_count; i++) {
        const struct config_server *line = &conf->server[i];
        const struct roster_name *n =
            line->host == NULL ? NULL : roster_names_find(plan->name, plan->name_count, line);
        count += line->host == NULL ? 1 : n == NULL ? 0 : n->count;
    }
    return count;
}

static void add_answers(struct roster_plan *plan, const struct config_server *line)
{
    const struct roster_name *n = roster_names_find(plan->name, plan->name_count, line);
    for (size_t i = 0; n != NULL && i < n->count; i++) {
        struct wish w = wish_of(line);
        w.addr = &n->answer[i].addr;
        w.backup = line->backup || n->answer[i].backup;
        if (n->answer[i].weight != 0)
            w.weight = n->answer[i].weight;
        plan->wish[plan->count++] = w;
    }
}

static int plan_wishes(const struct config_pool *conf, struct roster_plan *plan)
{
    size_t count = count_wishes(conf, plan) + plan->added_count;
    plan->wish = calloc(count + 1, sizeof *plan->wish);
    plan->entry = calloc(count + 1, sizeof *plan->entry);
    plan->was = calloc(count + 1, sizeof(struct roster_entry *));
    plan->renamed = calloc(count + 1, sizeof(struct backend_name *));
    plan->before = calloc(count + 1, sizeof *plan->before);
    plan->place = calloc(count + 1, sizeof *plan->place);
    if (plan->wish == NULL || plan->entry == NULL || plan->was == NULL || plan->renamed == NULL ||
        plan->before == NULL || plan->place == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < conf->server_count; i++) {
        const struct config_server *line = &conf->server[i];
        if (line->host == NULL)
            plan->wish[plan->count++] = wish_of(line);
        else
            add_answers(plan, line);
    }
    for (size_t i = 0; i < plan->added_count; i++) {
        plan->wish[plan->count] = wish_of(plan->added[i]);
        plan->wish[plan->count++].added = true;
    }
    return 0;
}

/* ---- who stays ---- */

/* The servers sorted by address, so that each wish finds its own without looking at all. */
struct standing {
    const struct roster_entry *entry;
    bool taken;
};

static const struct addr *addr_of(const struct standing *s)
{
    return &s->entry->backend->addr;
}

static int compare_standing(const void *a, const void *b)
{
    return addr_compare(addr_of(a), addr_of(b));
}

static struct standing *first_at(struct standing *s, size_t count, const struct addr *addr)
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

/* One address may stand in a pool twice, by two names: then each keeps its own. */
static void match(struct roster_plan *plan, struct standing *s, size_t count, bool by_name)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct wish *w = &plan->wish[i];
        struct standing *at = first_at(s, count, w->addr);
        while (plan->was[i] == NULL && at < s + count && addr_equal(addr_of(at), w->addr)) {
            if (!at->taken && (!by_name || backend_is_named(at->entry->backend, w->line->name))) {
                at->taken = true;
                plan->was[i] = at->entry;
            }
            at++;
        }
    }
}

static int match_all(const struct roster *r, struct roster_plan *plan)
{
    struct standing *s = calloc(r->count + 1, sizeof *s);
    if (s == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < r->count; i++)
        s[i].entry = &r->entry[i];
    qsort(s, r->count, sizeof *s, compare_standing);
    match(plan, s, r->count, true);
    match(plan, s, r->count, false);
    free(s);
    return 0;
}

static int plan_servers(const struct roster *r, struct roster_plan *plan)
{
    if (match_all(r, plan) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < plan->count; i++) {
        const struct wish *w = &plan->wish[i];
        struct backend *b =
            plan->was[i] != NULL ? plan->was[i]->backend : backend_new(w->line, w->addr);
        plan->entry[i].backend = plan->place[i].backend = b;
        plan->entry[i].wish = *w;
        plan->place[i].backup = w->backup;
        if (b == NULL)
            return -ENOMEM;
        if (!backend_is_named(b, w->line->name) &&
            (plan->renamed[i] = backend_name_new(w->line->name)) == NULL)
            return -ENOMEM;
    }
    return 0;
}

static int make_plan(const struct roster *r, const struct config_pool *conf,
                     const struct config_server *newly, const struct pool_answer *answer,
                     size_t count, const struct addition *change, struct roster_plan **out)
{
    struct roster_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return -ENOMEM;
    if (plan_names(r, conf, newly, answer, count, plan) < 0 ||
        plan_added(r, conf, change, plan) < 0 || plan_wishes(conf, plan) < 0 ||
        plan_servers(r, plan) < 0) {
        roster_plan_free(plan);
        return -ENOMEM;
    }
    *out = plan;
    return 0;
}

static const struct addition no_addition;

int roster_plan_config(const struct roster *r, const struct config_pool *conf,
                       struct roster_plan **plan)
{
    return make_plan(r, conf, NULL, NULL, 0, &no_addition, plan);
}

int roster_plan_answers(const struct roster *r, const struct config_pool *conf, size_t line,
                        const struct pool_answer *answers, size_t count, struct roster_plan **plan)
{
    const struct config_server *at = &conf->server[line];
    assert(at->host != NULL);
    if (same_answers(roster_names_find(r->name, r->name_count, at), answers, count))
        return 0;
    int rc = make_plan(r, conf, at, answers, count, &no_addition, plan);
    return rc < 0 ? rc : 1;
}

int roster_plan_added(const struct roster *r, const struct config_pool *conf,
                      const struct config_server *line, struct roster_plan **plan)
{
    const struct addition change = { .more = line };
    assert(line->host == NULL);
    if (conf_has(conf, line))
        return -EEXIST;
    for (size_t i = 0; i < r->count; i++)
        if (backend_is_named(r->entry[i].backend, line->name) ||
            addr_equal(&r->entry[i].backend->addr, &line->addr))
            return -EEXIST;
    return make_plan(r, conf, NULL, NULL, 0, &change, plan);
}

static struct config_server *added_line(const struct roster *r, const struct backend *b)
{
    for (size_t i = 0; i < r->added_count; i++)
        if (addr_equal(&r->added[i]->addr, &b->addr) && backend_is_named(b, r->added[i]->name))
            return r->added[i];
    return NULL;
}

int roster_plan_deleted(const struct roster *r, const struct config_pool *conf,
                        const struct backend *b, struct roster_plan **plan)
{
    const struct addition change = { .less = added_line(r, b) };
    if (change.less == NULL)
        return -ENOENT;
    return make_plan(r, conf, NULL, NULL, 0, &change, plan);
}

void roster_plan_free(struct roster_plan *plan)
{
    if (plan == NULL)
        return;
    for (size_t i = 0; i < plan->count && !plan->applied; i++) {
        if (plan->was[i] == NULL)
            backend_free(plan->entry[i].backend);
        free(plan->renamed[i]);
    }
    if (!plan->applied) {
        roster_names_free(plan->name, plan->name_count);
        line_free(plan->newest);
        free(plan->added);
        free(plan->entry);
    }
    free(plan->wish);
    free(plan->was);
    free(plan->renamed);
    free(plan->before);
    free(plan->place);
    free(plan);
}

const struct server_place *roster_plan_places(const struct roster_plan *plan, size_t *count)
{
    *count = plan->count;
    return plan->place;
}

/* ---- in force ---- */

/* Set at run time is what differs from the last wish; a new wish that is the old one leaves it. */
static void apply_wish(struct backend *b, const struct wish *w, const struct wish *before)
{
    if (before == NULL || before->weight != w->weight)
        atomic_store(&b->weight, w->weight);
    if (before == NULL || before->max_connections != w->max_connections)
        atomic_store(&b->max_connections, w->max_connections);
    if (before == NULL || before->state != w->state)
        atomic_store(&b->state, w->state);
}

void roster_try(struct roster_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct backend *b = plan->entry[i].backend;
        const struct roster_entry *was = plan->was[i];
        plan->before[i] = (struct settings){
            .weight = atomic_load(&b->weight),
            .max_connections = atomic_load(&b->max_connections),
            .state = atomic_load(&b->state),
        };
        apply_wish(b, &plan->wish[i], was == NULL ? NULL : &was->wish);
    }
}

void roster_revert(struct roster_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct backend *b = plan->entry[i].backend;
        atomic_store(&b->weight, plan->before[i].weight);
        atomic_store(&b->max_connections, plan->before[i].max_connections);
        atomic_store(&b->state, plan->before[i].state);
    }
}

static void leave(struct backend *b, struct backend_list *leavers)
{
    b->backup = b->added = false;
    SLIST_INSERT_HEAD(leavers, b, in_leavers);
}

static void part(struct roster *r, const struct roster_plan *plan, struct backend_list *leavers)
{
    SLIST_INIT(leavers);
    for (size_t i = 0; i < plan->count; i++)
        if (plan->was[i] != NULL)
            r->entry[plan->was[i] - r->entry].stays = true;
    for (size_t i = 0; i < r->count; i++)
        if (!r->entry[i].stays)
            leave(r->entry[i].backend, leavers);
}

/* The plan keeps the order, so one step through both finds those that are not in it. */
static void drop_added(struct roster *r, const struct roster_plan *plan)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->added_count; i++) {
        if (kept < plan->added_count && plan->added[kept] == r->added[i])
            kept++;
        else
            line_free(r->added[i]);
    }
    free(r->added);
}

void roster_apply(struct roster *r, struct roster_plan *plan, struct backend_list *leavers)
{
    part(r, plan, leavers);
    for (size_t i = 0; i < plan->count; i++) {
        plan->entry[i].backend->backup = plan->wish[i].backup;
        plan->entry[i].backend->added = plan->wish[i].added;
        plan->entry[i].backend->check_address = plan->wish[i].line->check_address;
        if (plan->renamed[i] != NULL)
            backend_rename(plan->entry[i].backend, plan->renamed[i]);
    }
    drop_added(r, plan);
    free(r->entry);
    roster_names_free(r->name, r->name_count);
    r->added = plan->added;
    r->added_count = plan->added_count;
    r->entry = plan->entry;
    r->count = plan->count;
    r->name = plan->name;
    r->name_count = plan->name_count;
    plan->applied = true;
}

const struct pool_answer *roster_answers(const struct roster *r, const struct config_server *line,
                                         size_t *count)
{
    const struct roster_name *n = roster_names_find(r->name, r->name_count, line);
    *count = n == NULL ? 0 : n->count;
    return n == NULL ? NULL : n->answer;
}

void roster_places(const struct roster *r, struct server_place *places)
{
    for (size_t i = 0; i < r->count; i++)
        places[i] = (struct server_place){ r->entry[i].backend, r->entry[i].wish.backup };
}
