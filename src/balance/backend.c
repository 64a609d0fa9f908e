#include "balance/backend.h"

#include <stdlib.h>
#include <string.h>

#include "relay/self_connect.h"

#define SHARE_STEP   50   /* ms between two looks at a share that grows */
#define LOG_INTERVAL 1000 /* ms between two lines about failed connects */

/* Sequentially consistent: who changes a server then looks at the order, or at the queue, and who
 * waits there has looked at the server; one of the two sees the other. */
#define get(field)        atomic_load(&(field))
#define set(field, value) atomic_store(&(field), (value))

struct backend *backend_new(const struct config_server *conf, const struct addr *at)
{
    static _Atomic uint32_t serials;
    struct backend *b = calloc(1, sizeof *b); /* for atomics of zero that is their initial state */
    if (b == NULL)
        return NULL;
    struct backend_name *name = backend_name_new(conf->name);
    if (name == NULL) {
        free(b);
        return NULL;
    }
    atomic_store(&b->name, name);
    b->addr = at != NULL ? *at : conf->addr;
    b->same_port = conf->same_port;
    b->check_address = conf->check_address;
    set(b->may_self_connect, self_connect_is_possible(&b->addr));
    b->serial = atomic_fetch_add(&serials, 1) + 1;
    set(b->weight, conf->weight);
    set(b->max_connections, conf->max_connections);
    set(b->state, conf->state);
    set(b->up, true);
    return b;
}

void backend_free(struct backend *b)
{
    if (b == NULL)
        return;
    struct backend_name *name = atomic_load(&b->name);
    while (name != NULL) {
        struct backend_name *former = name->former;
        free(name);
        name = former;
    }
    free(b);
}

struct backend_name *backend_name_new(const char *name)
{
    size_t len = strlen(name) + 1;
    struct backend_name *n = malloc(sizeof *n + len);
    if (n == NULL)
        return NULL;
    n->former = NULL;
    memcpy(n->text, name, len);
    return n;
}

const char *backend_name(const struct backend *b)
{
    return atomic_load_explicit(&b->name, memory_order_acquire)->text;
}

bool backend_is_named(const struct backend *b, const char *name)
{
    return strcmp(backend_name(b), name) == 0;
}

void backend_rename(struct backend *b, struct backend_name *name)
{
    name->former = atomic_load(&b->name);
    atomic_store_explicit(&b->name, name, memory_order_release);
}

bool backend_is_willing(const struct backend *b)
{
    return get(b->state) == CONFIG_STATE_READY && get(b->up);
}

bool backend_is_usable(const struct backend *b, uint64_t now)
{
    if (!backend_is_willing(b))
        return false;
    uint64_t until = get(b->out_until);
    return until == 0 || (now >= until && get(b->on_trial) != until);
}

bool backend_is_full(const struct backend *b)
{
    uint64_t limit = get(b->max_connections);
    return limit != 0 && atomic_load(&b->active) >= limit;
}

bool backend_is_over(const struct backend *b)
{
    uint64_t limit = get(b->max_connections);
    return limit != 0 && atomic_load(&b->active) > limit;
}

uint64_t backend_active(const struct backend *b)
{
    return atomic_load(&b->active);
}

unsigned backend_weight(const struct backend *b)
{
    return get(b->weight);
}

unsigned backend_share(const struct backend *b, uint64_t now)
{
    uint64_t began = get(b->ramp_began);
    uint64_t length = get(b->ramp_length);
    if (began == 0 || now >= began + length)
        return BACKEND_FULL_SHARE;
    uint64_t share = now <= began ? 0 : (now - began) * BACKEND_FULL_SHARE / length;
    return share == 0 ? 1 : (unsigned)share;
}

uint64_t backend_changes_at(const struct backend *b, uint64_t now)
{
    uint64_t until = get(b->out_until);
    uint64_t at = until > now ? until : UINT64_MAX;
    if (until != 0 && until <= now && get(b->on_trial) != until)
        at = now + SHARE_STEP;
    if (backend_share(b, now) < BACKEND_FULL_SHARE && now + SHARE_STEP < at)
        at = now + SHARE_STEP;
    return at;
}

bool backend_takes_turn(struct backend *b, uint64_t now)
{
    unsigned share = backend_share(b, now);
    if (share == BACKEND_FULL_SHARE)
        return true;
    uint32_t before = atomic_fetch_add_explicit(&b->ramp_credit, share, memory_order_relaxed);
    return before % BACKEND_FULL_SHARE + share >= BACKEND_FULL_SHARE;
}

bool backend_would_take_turn(const struct backend *b, uint64_t now)
{
    return get(b->ramp_credit) % BACKEND_FULL_SHARE + backend_share(b, now) >= BACKEND_FULL_SHARE;
}

void backend_ramp(struct backend *b, uint64_t now, uint64_t length)
{
    set(b->ramp_length, length);
    set(b->ramp_began, length == 0 ? 0 : now);
}

enum backend_taken backend_take(struct backend *b, uint64_t expected)
{
    uint64_t limit = get(b->max_connections);
    uint64_t active = atomic_load(&b->active);
    do {
        if (limit != 0 && active >= limit)
            return BACKEND_REFUSED;
        if (expected != BACKEND_ANY && active != expected)
            return BACKEND_CHANGED;
    } while (!atomic_compare_exchange_weak(&b->active, &active, active + 1));
    return BACKEND_TAKEN;
}

void backend_release(struct backend *b)
{
    atomic_fetch_sub(&b->active, 1);
}

bool backend_may_log(struct backend *b, uint64_t now, uint64_t *suppressed)
{
    uint64_t last = get(b->failure_logged);
    bool due = last == 0 || now >= last + LOG_INTERVAL;
    if (!due || !atomic_compare_exchange_strong(&b->failure_logged, &last, now)) {
        atomic_fetch_add_explicit(&b->suppressed, 1, memory_order_relaxed);
        return false;
    }
    *suppressed = atomic_exchange_explicit(&b->suppressed, 0, memory_order_relaxed);
    return true;
}
