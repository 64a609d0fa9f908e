#include "balance/fair_share.h"

#include "balance/passive_check.h"

struct fair_share fair_share_of(const struct server *srv, uint64_t now, bool full)
{
    bool gets_sessions = server_is_eligible(srv) && !passive_check_is_out(srv);
    unsigned share = full ? SERVER_FULL_SHARE : server_share(srv, now);
    return (struct fair_share){
        .weight = gets_sessions ? (uint64_t)server_weight(srv) * share : 0,
        .limit = atomic_load(&srv->max_connections),
        .active = server_staying(srv),
        .backup = srv->backup,
        .fair = SERVER_NO_SHARE,
    };
}

static uint64_t sum_weights(const struct fair_share *share, size_t count, bool backup)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        if (share[i].backup == backup && !share[i].fixed)
            sum += share[i].weight;
    return sum;
}

/* sessions * weight / weights, rounded down. */
static uint64_t quota(uint64_t sessions, uint64_t weight, uint64_t weights)
{
    return (uint64_t)((unsigned __int128)sessions * weight / weights);
}

/* Fixes the servers whose part of the sessions reaches their limit. Returns the sum of their
 * limits; 0: there are none. */
static uint64_t fix_limited(struct fair_share *share, size_t count, bool backup, uint64_t sessions,
                            uint64_t weights)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        struct fair_share *s = &share[i];
        if (s->backup != backup || s->fixed || s->weight == 0 || s->limit == 0 ||
            quota(sessions, s->weight, weights) < s->limit)
            continue;
        s->fixed = true;
        s->fair = s->limit;
        sum += s->limit;
    }
    return sum;
}

/* Gives one more session each to servers of the rank: only to those that have more sessions, or to
 * the others. Returns the number of sessions that are left. */
static uint64_t round_up(struct fair_share *share, size_t count, bool backup, bool has_more,
                         uint64_t left)
{
    for (size_t i = 0; i < count && left > 0; i++) {
        struct fair_share *s = &share[i];
        if (s->backup != backup || s->fixed || s->weight == 0 || (s->active > s->fair) != has_more)
            continue;
        s->fair++;
        s->fixed = true;
        left--;
    }
    return left;
}

/* Returns the sessions for which the servers of the rank have no room. */
static uint64_t divide_by_weight(struct fair_share *share, size_t count, bool backup,
                                 uint64_t sessions)
{
    uint64_t weights = 0;
    uint64_t fixed = 0;
    do {
        sessions -= fixed;
        weights = sum_weights(share, count, backup);
    } while (weights > 0 && (fixed = fix_limited(share, count, backup, sessions, weights)) > 0);
    uint64_t left = sessions;
    if (weights == 0)
        return left;
    for (size_t i = 0; i < count; i++) {
        struct fair_share *s = &share[i];
        if (s->backup != backup || s->fixed || s->weight == 0)
            continue;
        s->fair = quota(sessions, s->weight, weights);
        left -= s->fair;
    }
    left = round_up(share, count, backup, true, left);
    return round_up(share, count, backup, false, left);
}

static uint64_t divide_in_order(struct fair_share *share, size_t count, bool backup,
                                uint64_t sessions)
{
    for (size_t i = 0; i < count; i++) {
        struct fair_share *s = &share[i];
        if (s->backup != backup || s->weight == 0)
            continue;
        s->fair = s->limit != 0 && s->limit < sessions ? s->limit : sessions;
        sessions -= s->fair;
    }
    return sessions;
}

void fair_share_divide(struct fair_share *share, size_t count, uint64_t sessions, bool in_order)
{
    for (size_t i = 0; i < count; i++) {
        share[i].fixed = false;
        share[i].fair = share[i].weight == 0 ? SERVER_NO_SHARE : 0;
    }
    for (int backup = 0; backup <= 1; backup++)
        sessions = in_order ? divide_in_order(share, count, backup, sessions)
                            : divide_by_weight(share, count, backup, sessions);
}

uint64_t fair_share_sessions(const struct fair_share *share, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += share[i].weight == 0 ? 0 : share[i].active;
    return sum;
}

uint64_t fair_share_excess(const struct fair_share *share)
{
    return share->active > share->fair ? share->active - share->fair : 0;
}

uint64_t fair_share_to_move(const struct fair_share *share, size_t count, uint64_t coming)
{
    uint64_t excess = 0;
    uint64_t lack = 0;
    for (size_t i = 0; i < count; i++) {
        excess += fair_share_excess(&share[i]);
        if (share[i].weight > 0 && share[i].active < share[i].fair)
            lack += share[i].fair - share[i].active;
    }
    lack = lack > coming ? lack - coming : 0;
    return excess < lack ? excess : lack;
}
