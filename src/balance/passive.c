#include "balance/passive.h"

/* Begins to count anew when the window is over. Two threads may both do so, which loses no more
 * than one failure. */
bool passive_count(struct backend *b, uint64_t now, uint64_t max_fails, uint64_t fail_timeout)
{
    if (max_fails == 0)
        return false;
    uint64_t began = atomic_load(&b->fails_began);
    if (began == 0 || now >= began + fail_timeout) {
        atomic_store(&b->fails, 0);
        atomic_store(&b->fails_began, now);
    }
    return atomic_fetch_add(&b->fails, 1) + 1 >= max_fails;
}

bool passive_refuses_all(struct backend *b, uint64_t client, uint64_t now, uint64_t fail_timeout)
{
    uint64_t first = atomic_load(&b->refused_client);
    if (first != 0 && now < atomic_load(&b->refused_at) + fail_timeout)
        return first != client;
    atomic_store(&b->refused_client, client);
    atomic_store(&b->refused_at, now);
    return false;
}

void passive_take_out(struct backend *b, uint64_t until)
{
    atomic_store(&b->fails_began, 0);
    atomic_store(&b->out_until, until);
}

bool passive_is_out(const struct backend *b)
{
    return atomic_load(&b->out_until) != 0;
}

bool passive_begin_trial(struct backend *b, uint64_t now)
{
    uint64_t until = atomic_load(&b->out_until);
    uint64_t last = atomic_load(&b->on_trial);
    return until == 0 || (now >= until && last != until &&
                          atomic_compare_exchange_strong(&b->on_trial, &last, until));
}

/* A connect that began before the server was taken out is no trial, whatever comes of it. */
static bool is_trial(const struct backend *b, uint64_t now)
{
    uint64_t until = atomic_load(&b->out_until);
    return until != 0 && now >= until && atomic_load(&b->on_trial) == until;
}

bool passive_trial_passed(struct backend *b, uint64_t now)
{
    if (!is_trial(b, now))
        return false;
    passive_forgive(b);
    return true;
}

bool passive_trial_failed(struct backend *b, uint64_t now, uint64_t until)
{
    if (!is_trial(b, now))
        return false;
    passive_take_out(b, until);
    return true;
}

void passive_trial_left(struct backend *b)
{
    atomic_store(&b->on_trial, 0);
}

void passive_forgive(struct backend *b)
{
    atomic_store(&b->fails_began, 0);
    atomic_store(&b->out_until, 0);
}
