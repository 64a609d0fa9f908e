#include "balance/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "relay/self_connect.h"

#define SHARE_STEP   50   /* ms between two updates of a growing share */
#define LOG_INTERVAL 1000 /* ms between two lines about failed connects */

/* Sequentially consistent; server.h has the reason. */
#define get(field)        atomic_load(&(field))
#define set(field, value) atomic_store(&(field), (value))

const char *server_handshake_name(enum server_counter counter)
{
    static const char *const names[SERVER_COUNTERS] = {
        [SERVER_TLS_FULL] = "full",           [SERVER_TLS_RESUMED] = "resumed",
        [SERVER_TLS_FAILED] = "failed",       [SERVER_TLS_TIMEOUT] = "timeout",
        [SERVER_TLS_CANCELLED] = "cancelled",
    };
    return names[counter];
}

static uint64_t hash_address(const struct addr *at)
{
    char text[ADDR_TEXT_MAX];
    addr_print(at, text);
    return hash_bytes(text, strlen(text));
}

uint64_t server_identity(const struct server *srv, const char *name)
{
    return hash_splitmix64(hash_bytes(name, strlen(name)), srv->address_hash);
}

struct server *server_new(const struct config_server *conf, const struct addr *at)
{
    static _Atomic uint32_t serials;
    struct server *srv = calloc(1, sizeof *srv); /* atomics are valid and 0 */
    if (srv == NULL)
        return NULL;
    struct server_name *name = server_name_new(conf->name);
    const char *at_host = server_line_host(conf);
    struct server_name *host = at_host == NULL ? NULL : server_name_new(at_host);
    if (name == NULL || (host == NULL && at_host != NULL)) {
        free(name);
        free(host);
        free(srv);
        return NULL;
    }
    atomic_init(&srv->name, name);
    atomic_init(&srv->host, host);
    srv->addr = at != NULL ? *at : conf->addr;
    srv->address_hash = hash_address(&srv->addr);
    srv->identity = server_identity(srv, conf->name);
    srv->same_port = conf->same_port;
    srv->check_address = conf->check_address;
    atomic_init(&srv->may_self_connect, self_connect_is_possible(&srv->addr));
    srv->serial = atomic_fetch_add_explicit(&serials, 1, memory_order_relaxed) + 1;
    atomic_init(&srv->weight, conf->weight);
    atomic_init(&srv->max_connections, conf->max_connections);
    atomic_init(&srv->state, (int)conf->state);
    atomic_init(&srv->up, true);
    atomic_init(&srv->fair, SERVER_NO_SHARE);
    pthread_mutex_init(&srv->failure_lock, NULL);
    return srv;
}

static void free_names(const _Atomic(struct server_name *) *last)
{
    struct server_name *name = atomic_load_explicit(last, memory_order_relaxed);
    while (name != NULL) {
        struct server_name *former = name->former;
        free(name);
        name = former;
    }
}

void server_free(struct server *srv)
{
    if (srv == NULL)
        return;
    free_names(&srv->name);
    free_names(&srv->host);
    pthread_mutex_destroy(&srv->failure_lock);
    free(srv);
}

struct server_name *server_name_new(const char *name)
{
    size_t len = strlen(name) + 1;
    struct server_name *n = malloc(sizeof *n + len);
    if (n == NULL)
        return NULL;
    n->former = NULL;
    memcpy(n->text, name, len);
    return n;
}

const char *server_name(const struct server *srv)
{
    /* acquire: pairs with the release in server_rename(), so that the text is there */
    return atomic_load_explicit(&srv->name, memory_order_acquire)->text;
}

const char *server_line_host(const struct config_server *line)
{
    return line->service ? NULL : line->host;
}

const char *server_host(const struct server *srv)
{
    /* acquire: pairs with the release in server_set_host(), so that the text is there */
    const struct server_name *host = atomic_load_explicit(&srv->host, memory_order_acquire);
    return host == NULL || host->text[0] == '\0' ? NULL : host->text;
}

bool server_is_named(const struct server *srv, const char *name)
{
    return strcmp(server_name(srv), name) == 0;
}

static void set_name(_Atomic(struct server_name *) *last, struct server_name *name)
{
    name->former = atomic_load_explicit(last, memory_order_relaxed);
    /* release: the text is written before a worker can see the name */
    atomic_store_explicit(last, name, memory_order_release);
}

void server_rename(struct server *srv, struct server_name *name)
{
    set_name(&srv->name, name);
}

void server_set_host(struct server *srv, struct server_name *host)
{
    set_name(&srv->host, host);
}

bool server_is_eligible(const struct server *srv)
{
    return get(srv->state) == CONFIG_STATE_READY && get(srv->up);
}

bool server_is_usable(const struct server *srv, uint64_t now)
{
    if (!server_is_eligible(srv))
        return false;
    uint64_t until = get(srv->out_until);
    return until == 0 || (now >= until && get(srv->probing) != until);
}

bool server_is_full(const struct server *srv)
{
    uint64_t limit = get(srv->max_connections);
    return limit != 0 && atomic_load(&srv->active) >= limit;
}

bool server_is_over_limit(const struct server *srv)
{
    uint64_t limit = get(srv->max_connections);
    return limit != 0 && atomic_load(&srv->active) > limit;
}

uint64_t server_active(const struct server *srv)
{
    return atomic_load(&srv->active);
}

unsigned server_weight(const struct server *srv)
{
    return get(srv->weight);
}

unsigned server_share(const struct server *srv, uint64_t now)
{
    uint64_t began = get(srv->slow_start_began);
    uint64_t length = get(srv->slow_start_length);
    if (began == 0 || now >= began + length)
        return SERVER_FULL_SHARE;
    uint64_t share = now <= began ? 0 : (now - began) * SERVER_FULL_SHARE / length;
    return share == 0 ? 1 : (unsigned)share;
}

bool server_holds_back(const struct server *srv, uint64_t waiting, uint64_t now)
{
    unsigned share = server_share(srv, now);
    if (share == SERVER_FULL_SHARE)
        return false;
    uint64_t limit = get(srv->max_connections);
    uint64_t active = server_active(srv);
    uint64_t all = active + waiting;
    uint64_t most = limit != 0 && limit < all ? limit : all;
    return active > 0 && active >= most * share / SERVER_FULL_SHARE;
}

uint64_t server_changes_at(const struct server *srv, uint64_t now)
{
    uint64_t until = get(srv->out_until);
    uint64_t at = until > now ? until : UINT64_MAX;
    if (until != 0 && until <= now && get(srv->probing) != until)
        at = now + SHARE_STEP;
    if (server_share(srv, now) < SERVER_FULL_SHARE && now + SHARE_STEP < at)
        at = now + SHARE_STEP;
    return at;
}

bool server_takes_turn(struct server *srv, uint64_t now)
{
    unsigned share = server_share(srv, now);
    if (share == SERVER_FULL_SHARE)
        return true;
    uint32_t before =
        atomic_fetch_add_explicit(&srv->slow_start_credit, share, memory_order_relaxed);
    return before % SERVER_FULL_SHARE + share >= SERVER_FULL_SHARE;
}

bool server_would_take_turn(const struct server *srv, uint64_t now)
{
    uint32_t before = atomic_load_explicit(&srv->slow_start_credit, memory_order_relaxed);
    return before % SERVER_FULL_SHARE + server_share(srv, now) >= SERVER_FULL_SHARE;
}

void server_start_slow_start(struct server *srv, uint64_t now, uint64_t length)
{
    set(srv->slow_start_length, length);
    set(srv->slow_start_began, length == 0 ? 0 : now);
}

enum server_acquired server_acquire(struct server *srv, uint64_t expected)
{
    uint64_t limit = get(srv->max_connections);
    uint64_t active = atomic_load(&srv->active);
    do {
        if (limit != 0 && active >= limit)
            return SERVER_REFUSED;
        if (expected != SERVER_ANY_COUNT && active != expected)
            return SERVER_CHANGED;
    } while (!atomic_compare_exchange_weak(&srv->active, &active, active + 1));
    return SERVER_ACQUIRED;
}

void server_release(struct server *srv)
{
    atomic_fetch_sub(&srv->active, 1);
}

void server_set_fair(struct server *srv, uint64_t sessions)
{
    set(srv->fair, sessions);
}

bool server_has_fair_share(const struct server *srv)
{
    return server_active(srv) >= get(srv->fair);
}

/* `leaving` comes first: a slot that is released in between counts twice as gone, not as there. */
uint64_t server_staying(const struct server *srv)
{
    uint64_t leaving = atomic_load(&srv->leaving);
    uint64_t active = server_active(srv);
    return active > leaving ? active - leaving : 0;
}

/* Two workers that close sessions at the same time each count what the other is about to close.
 * seq_cst: the slot is released before `leaving` is lowered, so no closed session is missed. */
bool server_leave_begin(struct server *srv, bool force)
{
    uint64_t leaving = atomic_fetch_add(&srv->leaving, 1);
    uint64_t fair = get(srv->fair);
    uint64_t active = server_active(srv);
    if (force || (active > leaving && active - leaving > fair))
        return true;
    atomic_fetch_sub(&srv->leaving, 1);
    return false;
}

void server_leave_end(struct server *srv)
{
    atomic_fetch_sub(&srv->leaving, 1);
}

void server_set_failure(struct server *srv, const char *why)
{
    pthread_mutex_lock(&srv->failure_lock);
    snprintf(srv->failure, sizeof srv->failure, "%s", why);
    pthread_mutex_unlock(&srv->failure_lock);
}

void server_failure(const struct server *srv, char why[SERVER_FAILURE_MAX])
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&srv->failure_lock;
    pthread_mutex_lock(lock);
    memcpy(why, srv->failure, sizeof srv->failure);
    pthread_mutex_unlock(lock);
}

bool server_may_log(struct server *srv, uint64_t now, uint64_t *suppressed)
{
    uint64_t last = atomic_load_explicit(&srv->failure_logged, memory_order_relaxed);
    bool due = last == 0 || now >= last + LOG_INTERVAL;
    if (!due ||
        !atomic_compare_exchange_strong_explicit(&srv->failure_logged, &last, now,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&srv->suppressed, 1, memory_order_relaxed);
        return false;
    }
    *suppressed = atomic_exchange_explicit(&srv->suppressed, 0, memory_order_relaxed);
    return true;
}
