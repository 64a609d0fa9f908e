#include "balance/passive_check.h"

/* out_until and probing are accessed in sequentially consistent order; server.h has the reason. */

/* Starts a new count when the window is over. Two threads may both do so, which loses at most one
 * failure. A thread that loads a new fails_began (acquire) also finds the count that was reset
 * before it (release). */
bool passive_check_count(struct server *srv, uint64_t now, uint64_t max_fails,
                         uint64_t fail_timeout)
{
    if (max_fails == 0)
        return false;
    uint64_t began = atomic_load_explicit(&srv->fails_began, memory_order_acquire);
    if (began == 0 || now >= began + fail_timeout) {
        atomic_store_explicit(&srv->fails, 0, memory_order_relaxed);
        atomic_store_explicit(&srv->fails_began, now, memory_order_release);
    }
    return atomic_fetch_add_explicit(&srv->fails, 1, memory_order_relaxed) + 1 >= max_fails;
}

/* Relaxed: a client that two threads store at the same time is lost, in any order. */
bool passive_check_refuses_all(struct server *srv, uint64_t client, uint64_t now,
                               uint64_t fail_timeout)
{
    uint64_t first = atomic_load_explicit(&srv->refused_client, memory_order_relaxed);
    uint64_t at = atomic_load_explicit(&srv->refused_at, memory_order_relaxed);
    if (first != 0 && now < at + fail_timeout)
        return first != client;
    atomic_store_explicit(&srv->refused_client, client, memory_order_relaxed);
    atomic_store_explicit(&srv->refused_at, now, memory_order_relaxed);
    return false;
}

void passive_check_take_out(struct server *srv, uint64_t until)
{
    atomic_store_explicit(&srv->fails_began, 0, memory_order_relaxed);
    atomic_store(&srv->out_until, until);
}

bool passive_check_is_out(const struct server *srv)
{
    return atomic_load(&srv->out_until) != 0;
}

bool passive_check_probe_begin(struct server *srv, uint64_t now)
{
    uint64_t until = atomic_load(&srv->out_until);
    uint64_t last = atomic_load(&srv->probing);
    return until == 0 || (now >= until && last != until &&
                          atomic_compare_exchange_strong(&srv->probing, &last, until));
}

/* A connect that began before the server was taken out is not a probe. */
static bool is_probe(const struct server *srv, uint64_t now)
{
    uint64_t until = atomic_load(&srv->out_until);
    return until != 0 && now >= until && atomic_load(&srv->probing) == until;
}

bool passive_check_probe_passed(struct server *srv, uint64_t now)
{
    if (!is_probe(srv, now))
        return false;
    passive_check_reset(srv);
    return true;
}

bool passive_check_probe_failed(struct server *srv, uint64_t now, uint64_t until)
{
    if (!is_probe(srv, now))
        return false;
    passive_check_take_out(srv, until);
    return true;
}

void passive_check_probe_cancel(struct server *srv)
{
    atomic_store(&srv->probing, 0);
}

void passive_check_reset(struct server *srv)
{
    atomic_store_explicit(&srv->fails_began, 0, memory_order_relaxed);
    atomic_store(&srv->out_until, 0);
}
