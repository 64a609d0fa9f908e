#include "balance/resolver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "balance/dns.h"
#include "balance/lookup.h"
#include "base/log.h"

#define LOGGED_ADDRESSES 8 /* at most in one log line */

#define HOSTS_FILE "/etc/hosts"
#define WATCH_MS   5000 /* between looks at the files */
#define CHECK_MS   1000 /* the same after failures, at least */

/* A name in a server line. */
struct name {
    TAILQ_ENTRY(name) by_resolver;
    struct resolver *resolver;
    struct pool *pool;
    size_t server;     /* index of the line in the pool */
    char *server_name; /* name of the line */
    char *host;
    bool service;
    uint16_t port;
    struct lookup *lookup;
    uv_timer_t timer;       /* of the next round */
    struct answers current; /* in use */
    struct resolver_state state;
    char error[LOOKUP_ERROR_MAX]; /* of the last round; "": none */
    bool asking;                  /* a round is running */
    bool had_answer;              /* an answer or a failure */
    bool adopted;                 /* current has the addresses that the pool had before */
    bool inherited;               /* from the former process; not completely resolved since */
    bool listed;                  /* in resolver_sync(): still in the settings */
};

TAILQ_HEAD(names, name);

struct resolver {
    uv_loop_t *loop;
    struct lookup_context context;
    uv_timer_t watch; /* looks at the files */
    bool watches_servers;
    uint64_t checked; /* ms of the loop, the last look at the files */
    const struct resolver_ops *ops;
    void *arg;
    struct names names;
    size_t held;       /* names with state.all_held */
    size_t unanswered; /* names without an answer or a failure so far */
    size_t handles;    /* timers that are not closed */
    bool closed;
};

bool resolver_is_built(void)
{
    return dns_is_built();
}

const char *resolver_version(void)
{
    return dns_version();
}

static void free_if_unused(struct resolver *r)
{
    if (r->closed && r->handles == 0)
        free(r);
}

/* ---- log ---- */

static void resolver_begin_line(struct log_line *line, enum log_level level, const char *event,
                                const struct name *n)
{
    log_begin(line, level, event);
    log_str(line, "pool", pool_name(n->pool));
    log_str(line, "server", n->server_name);
    log_str(line, "name", n->host);
}

static void log_failed(const struct name *n)
{
    struct log_line line;
    resolver_begin_line(&line, LOG_LEVEL_WARNING, "resolve_failed", n);
    log_str(&line, "error", n->error);
    log_uint(&line, "addresses", n->current.count);
    if (n->state.held_until != 0)
        log_uint(&line, "held_s", (n->state.held_until - uv_now(n->resolver->loop) + 999) / 1000);
    log_end(&line);
}

/* After resolve_hold: the addresses were dropped. */
static void log_expired(const struct name *n)
{
    struct log_line line;
    resolver_begin_line(&line, LOG_LEVEL_WARNING, "resolve_expired", n);
    log_str(&line, "error", n->error);
    log_uint(&line, "addresses", 0);
    log_end(&line);
}

static void log_resolved(const struct name *n)
{
    char list[LOGGED_ADDRESSES * (INET6_ADDRSTRLEN + 10)] = "";
    char text[ADDR_TEXT_MAX];
    size_t used = 0;
    struct log_line line;
    for (size_t i = 0; i < n->current.count && i < LOGGED_ADDRESSES; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ",",
                                 addr_print(&n->current.list[i].addr, text));
    resolver_begin_line(&line, LOG_LEVEL_NOTICE, "resolved", n);
    log_uint(&line, "addresses", n->current.count);
    log_fmt(&line, "are", "%s%s", list, n->current.count > LOGGED_ADDRESSES ? ",..." : "");
    log_end(&line);
}

/* ---- rounds ---- */

static void resolver_on_due(uv_timer_t *timer)
{
    struct name *n = timer->data;
    n->state.next = 0;
    n->asking =
        hosts_ready(n->resolver->context.hosts); /* otherwise on_hosts_changed() starts it */
    if (n->asking)
        lookup_start(n->lookup);
}

static void ask_in(struct name *n, uint64_t ms)
{
    n->state.next = uv_now(n->resolver->loop) + ms;
    uv_timer_start(&n->timer, resolver_on_due, ms, 0);
}

/* Makes all questions of a name due now; a running round goes on. */
static void ask_now(struct name *n)
{
    lookup_expire(n->lookup);
    if (!n->asking)
        ask_in(n, 0);
}

/* ---- files ---- */

/* Checks whether resolv.conf or the hosts file has changed. */
static void resolver_check_files(struct resolver *r)
{
    struct name *n = NULL;
    r->checked = uv_now(r->loop);
    hosts_check(r->context.hosts);
    if (!r->watches_servers || dns_check_servers(r->context.dns) <= 0)
        return;
    log_msg(LOG_LEVEL_NOTICE, "nameservers", "resolv.conf has other name servers");
    TAILQ_FOREACH(n, &r->names, by_resolver) {
        ask_now(n);
    }
}

static void on_watch(uv_timer_t *timer)
{
    resolver_check_files(timer->data);
}

/* Called for each failed lookup. */
static void check_files_in_time(struct resolver *r)
{
    if (uv_now(r->loop) - r->checked >= CHECK_MS)
        resolver_check_files(r);
}

static void on_hosts_changed(void *arg)
{
    struct resolver *r = arg;
    struct name *n = NULL;
    TAILQ_FOREACH(n, &r->names, by_resolver) {
        lookup_expire(n->lookup);
        if (!n->asking)
            ask_in(n, 0);
    }
}

/* ---- answers ---- */

/* Sets the addresses in the pool. Returns the result of pool_resolved(). */
static int resolver_apply(struct name *n, const struct answers *answers)
{
    return pool_resolved(n->pool, n->server, answers->list, answers->count);
}

static int resolver_copy_answers(struct answers *to, const struct answers *from)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < from->count; i++)
        rc = answers_add(to, &from->list[i]);
    if (rc < 0)
        answers_fini(to);
    return rc;
}

/* Returns 1 if the addresses changed, 0 if they are the same, or -errno. */
static int resolver_replace(struct name *n, const struct answers *answers)
{
    struct answers copy = { .count = 0 };
    if (answers_equal(answers, &n->current))
        return 0;
    int rc = resolver_copy_answers(&copy, answers);
    if (rc < 0)
        return rc;
    if ((rc = resolver_apply(n, &copy)) < 0) {
        answers_fini(&copy);
        return rc;
    }
    answers_fini(&n->current);
    n->current = copy;
    n->state.addresses = copy.count;
    return rc;
}

/* Takes the addresses that the pool has from the former process. */
static void adopt(struct name *n)
{
    struct answers answers = { .count = 0 };
    if (n->adopted)
        return;
    n->adopted = true;
    const struct pool_answer *list = pool_answers(n->pool, n->server, &answers.count);
    answers.list = (struct pool_answer *)list; /* read only */
    if (answers.count == 0 || resolver_copy_answers(&n->current, &answers) < 0)
        return;
    n->inherited = true;
    n->state.addresses = n->current.count;
}

static void note_first(struct name *n)
{
    struct resolver *r = n->resolver;
    if (n->had_answer)
        return;
    n->had_answer = true;
    if (--r->unanswered == 0 && !r->closed)
        r->ops->ready(r->arg);
}

/* Whether the addresses replace the current ones: an incomplete result does not replace those from
 * the former process. */
static bool is_news(const struct name *n, const struct lookup_result *result)
{
    return result->answers != NULL && (result->complete || !n->inherited);
}

static void resolver_log(const struct name *n, bool changed, bool failed_before)
{
    bool failed = n->error[0] != '\0';
    if (changed && n->current.count == 0)
        log_expired(n);
    else if (changed || (failed_before && !failed))
        log_resolved(n);
    if (!failed_before && failed)
        log_failed(n);
}

static void set_held(struct name *n, uint64_t until, bool all)
{
    n->resolver->held -= n->state.all_held;
    n->state.held_until = until;
    n->state.all_held = until != 0 && all;
    n->resolver->held += n->state.all_held;
}

static void resolver_on_done(void *arg, const struct lookup_result *result)
{
    struct name *n = arg;
    uint64_t now = uv_now(n->resolver->loop);
    bool failed_before = n->error[0] != '\0';
    const char *error = result->error;
    n->asking = false;
    adopt(n);
    int changed = is_news(n, result) ? resolver_replace(n, result->answers) : 0;
    if (changed < 0)
        error = "out of memory";
    if (result->complete)
        n->inherited = false;
    snprintf(n->error, sizeof n->error, "%s", error != NULL ? error : "");
    n->state.error = error != NULL ? n->error : NULL;
    set_held(n, n->current.count > 0 ? result->held_until : 0, result->all_held);
    if (error == NULL)
        n->state.answered = now;
    resolver_log(n, changed > 0, failed_before);
    ask_in(n, result->next > now ? result->next - now : 1);
    note_first(n);
    if (error != NULL)
        check_files_in_time(n->resolver);
}

static bool resolver_is_usable(void *arg, const struct addr *a)
{
    const struct name *n = arg;
    return n->resolver->ops->usable(n->resolver->arg, n->pool, a);
}

/* ---- names ---- */

static void free_name(struct name *n)
{
    lookup_free(n->lookup);
    answers_fini(&n->current);
    free(n->server_name);
    free(n->host);
    free(n);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct name *n = handle->data;
    struct resolver *r = n->resolver;
    free_name(n);
    r->handles--;
    free_if_unused(r);
}

static void remove_name(struct name *n)
{
    lookup_stop(n->lookup);
    set_held(n, 0, false);
    TAILQ_REMOVE(&n->resolver->names, n, by_resolver);
    uv_close((uv_handle_t *)&n->timer, on_timer_closed);
    note_first(n);
}

static struct name *new_name(struct resolver *r, struct pool *pool, const struct config_server *s)
{
    struct name *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    const struct lookup_setup setup = { .context = &r->context,
                                        .host = s->host,
                                        .service = s->service,
                                        .port = s->port,
                                        .usable = resolver_is_usable,
                                        .done = resolver_on_done,
                                        .arg = n };
    n->resolver = r;
    n->state.pool = n->pool = pool;
    n->state.service = n->service = s->service;
    n->port = s->port;
    n->state.server = n->server_name = strdup(s->name);
    n->state.host = n->host = strdup(s->host);
    n->lookup = lookup_new(&setup);
    if (n->server_name != NULL && n->host != NULL && n->lookup != NULL)
        return n;
    free_name(n);
    return NULL;
}

static int resolver_add_name(struct resolver *r, struct pool *pool, size_t server)
{
    struct name *n = new_name(r, pool, &pool_conf(pool)->server[server]);
    if (n == NULL)
        return -ENOMEM;
    n->server = server;
    n->listed = true;
    TAILQ_INSERT_TAIL(&r->names, n, by_resolver);
    r->unanswered++;
    r->handles++;
    uv_timer_init(r->loop, &n->timer);
    n->timer.data = n;
    ask_in(n, 0);
    return 0;
}

static bool resolver_is_same(const struct name *n, const struct config_server *s)
{
    return strcmp(n->host, s->host) == 0 && n->service == s->service && n->port == s->port;
}

/* Finds the name of a server line, preferably with the same name of the line, which may have
 * changed. */
static struct name *find_same(struct resolver *r, const struct pool *pool,
                              const struct config_server *s)
{
    struct name *n = NULL;
    struct name *other = NULL;
    TAILQ_FOREACH(n, &r->names, by_resolver) {
        if (n->pool != pool || n->listed || !resolver_is_same(n, s))
            continue;
        if (strcmp(n->server_name, s->name) == 0)
            return n;
        other = other == NULL ? n : other;
    }
    return other;
}

/* Keeps the name and its addresses in the pool's new settings. */
static int keep_name(struct name *n, const struct config_server *s, size_t server)
{
    n->listed = true;
    n->server = server;
    if (strcmp(n->server_name, s->name) != 0) {
        char *copy = strdup(s->name);
        if (copy == NULL)
            return -ENOMEM;
        free(n->server_name);
        n->state.server = n->server_name = copy;
    }
    int rc = n->current.count > 0 ? resolver_apply(n, &n->current) : 0;
    return rc < 0 ? rc : 0;
}

static void unlist_names(struct resolver *r, const struct pool *pool)
{
    struct name *n = NULL;
    TAILQ_FOREACH(n, &r->names, by_resolver) {
        if (n->pool == pool)
            n->listed = false;
    }
}

static void remove_unlisted(struct resolver *r, const struct pool *pool)
{
    struct name *n = TAILQ_FIRST(&r->names);
    while (n != NULL) {
        struct name *next = TAILQ_NEXT(n, by_resolver);
        if (n->pool == pool && !n->listed)
            remove_name(n);
        n = next;
    }
}

int resolver_sync(struct resolver *r, struct pool *pool)
{
    const struct config_pool *conf = pool_conf(pool);
    int rc = 0;
    unlist_names(r, pool);
    for (size_t i = 0; rc == 0 && i < conf->server_count; i++) {
        if (conf->server[i].host == NULL)
            continue;
        struct name *n = find_same(r, pool, &conf->server[i]);
        rc = n != NULL ? keep_name(n, &conf->server[i], i) : resolver_add_name(r, pool, i);
    }
    remove_unlisted(r, pool);
    return rc;
}

void resolver_remove_pool(struct resolver *r, const struct pool *pool)
{
    unlist_names(r, pool);
    remove_unlisted(r, pool);
}

/* ---- resolver ---- */

static void set_bounds(struct resolver *r, const struct config_global *conf)
{
    r->context.refresh = (struct lookup_refresh){ .min = conf->resolve_min,
                                                  .max = conf->resolve_max,
                                                  .retry = conf->resolve_retry,
                                                  .hold = conf->resolve_hold };
    /* under chroot there is another resolv.conf, or none */
    r->watches_servers = conf->nameserver_count == 0 && conf->chroot == NULL;
}

int resolver_new(struct resolver **out, uv_loop_t *loop, const struct config_global *conf,
                 const struct resolver_ops *ops, void *arg)
{
    struct resolver *r = calloc(1, sizeof *r);
    if (r == NULL)
        return -ENOMEM;
    r->loop = r->context.loop = loop;
    r->ops = ops;
    r->arg = arg;
    TAILQ_INIT(&r->names);
    set_bounds(r, conf);
    int rc = hosts_open(&r->context.hosts, loop, HOSTS_FILE, on_hosts_changed, r);
    if (rc == 0)
        rc = dns_open(&r->context.dns, loop, conf->nameserver, conf->nameserver_count);
    if (rc < 0) {
        hosts_close(r->context.hosts);
        free(r);
        return rc;
    }
    uv_timer_init(loop, &r->watch);
    uv_timer_start(&r->watch, on_watch, 0, WATCH_MS); /* at once when the loop runs */
    r->watch.data = r;
    r->handles = 1;
    *out = r;
    return 0;
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct resolver *r = handle->data;
    r->handles--;
    free_if_unused(r);
}

void resolver_close(struct resolver *r)
{
    if (r->closed)
        return;
    r->closed = true;
    while (!TAILQ_EMPTY(&r->names))
        remove_name(TAILQ_FIRST(&r->names));
    dns_close(r->context.dns);
    hosts_close(r->context.hosts);
    uv_close((uv_handle_t *)&r->watch, on_watch_closed);
}

/* All names are asked again, since other name servers may give other answers. Questions in flight
 * go on; otherwise reloads faster than the answers would prevent any answer. */
int resolver_configure(struct resolver *r, const struct config_global *conf)
{
    struct name *n = NULL;
    int rc = 0;
    set_bounds(r, conf);
    if (conf->nameserver_count > 0 || conf->chroot == NULL)
        rc = dns_set_servers(r->context.dns, conf->nameserver, conf->nameserver_count);
    TAILQ_FOREACH(n, &r->names, by_resolver) {
        ask_now(n);
    }
    hosts_check(r->context.hosts);
    return rc < 0 ? rc : 0;
}

bool resolver_ready(const struct resolver *r)
{
    return r->unanswered == 0;
}

bool resolver_pool_waits(const struct resolver *r, const struct pool *pool)
{
    const struct name *n = NULL;
    if (resolver_ready(r))
        return false;
    TAILQ_FOREACH(n, &r->names, by_resolver)
        if (n->pool == pool && !n->had_answer)
            return true;
    return false;
}

void resolver_each(const struct resolver *r, resolver_each_fn *each, void *arg)
{
    const struct name *n = NULL;
    TAILQ_FOREACH(n, &r->names, by_resolver) {
        each(arg, &n->state);
    }
}

static bool has_address(const struct name *n, const struct addr *at)
{
    for (size_t i = 0; i < n->current.count; i++)
        if (addr_equal(&n->current.list[i].addr, at))
            return true;
    return false;
}

uint64_t resolver_held_until(const struct resolver *r, const struct pool *pool,
                             const struct addr *at)
{
    const struct name *n = NULL;
    if (r->held == 0) /* the common case, without a search */
        return 0;
    TAILQ_FOREACH(n, &r->names, by_resolver) {
        if (n->state.all_held && n->pool == pool && has_address(n, at))
            return n->state.held_until;
    }
    return 0;
}
