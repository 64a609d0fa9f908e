#include "balance/passive_check.h"

/* Begins to count anew when the window is over. Two threads may both do so, which loses no more
 * than one failure. */
bool passive_check_count(struct server *srv, uint64_t now, uint64_t max_fails,
                         uint64_t fail_timeout)
{
    if (max_fails == 0)
        return false;
    uint64_t began = atomic_load(&srv->fails_began);
    if (began == 0 || now >= began + fail_timeout) {
        atomic_store(&srv->fails, 0);
        atomic_store(&srv->fails_began, now);
    }
    return atomic_fetch_add(&srv->fails, 1) + 1 >= max_fails;
}

bool passive_check_refuses_all(struct server *srv, uint64_t client, uint64_t now,
                               uint64_t fail_timeout)
{
    uint64_t first = atomic_load(&srv->refused_client);
    if (first != 0 && now < atomic_load(&srv->refused_at) + fail_timeout)
        return first != client;
    atomic_store(&srv->refused_client, client);
    atomic_store(&srv->refused_at, now);
    return false;
}

void passive_check_take_out(struct server *srv, uint64_t until)
{
    atomic_store(&srv->fails_began, 0);
    atomic_store(&srv->out_until, until);
}

bool passive_check_is_out(const struct server *srv)
{
    return atomic_load(&srv->out_until) != 0;
}

bool passive_check_trial_begin(struct server *srv, uint64_t now)
{
    uint64_t until = atomic_load(&srv->out_until);
    uint64_t last = atomic_load(&srv->on_trial);
    return until == 0 || (now >= until && last != until &&
                          atomic_compare_exchange_strong(&srv->on_trial, &last, until));
}

/* A connect that began before the server was taken out is no trial, whatever comes of it. */
static bool is_trial(const struct server *srv, uint64_t now)
{
    uint64_t until = atomic_load(&srv->out_until);
    return until != 0 && now >= until && atomic_load(&srv->on_trial) == until;
}

bool passive_check_trial_passed(struct server *srv, uint64_t now)
{
    if (!is_trial(srv, now))
        return false;
    passive_check_reset(srv);
    return true;
}

bool passive_check_trial_failed(struct server *srv, uint64_t now, uint64_t until)
{
    if (!is_trial(srv, now))
        return false;
    passive_check_take_out(srv, until);
    return true;
}

void passive_check_trial_cancel(struct server *srv)
{
    atomic_store(&srv->on_trial, 0);
}

void passive_check_reset(struct server *srv)
{
    atomic_store(&srv->fails_began, 0);
    atomic_store(&srv->out_until, 0);
}
