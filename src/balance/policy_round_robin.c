/* Smooth weighted round robin, exact over all workers.
 *
 * The order that nginx's smooth weighted round robin would produce repeats after as many turns as
 * the weights add up to, divided by their greatest common divisor. So it is computed once, and a
 * pick is one atomic ticket and one table look-up, whatever the number of servers. Who cannot be
 * had forfeits the turn and the next ticket is drawn: the others share its turns in proportion.
 *
 * Second attempts draw from a counter of their own. From the same one they would step in time with
 * the first ones: with one of two servers dead every session would be sent to the dead one first.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "balance/policy.h"

#define TURNS_MAX 4096 /* of one pick: when nobody can be had that is found out soon enough */

struct round_robin {
    struct backend *const *servers;
    _Atomic uint64_t first; /* tickets drawn */
    _Atomic uint64_t again; /* by those whose first attempt has failed */
    size_t count;           /* servers */
    size_t length;          /* of the order */
    uint16_t order[];
};

static unsigned gcd(unsigned a, unsigned b)
{
    while (b != 0) {
        unsigned rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Each turn every server gains its weight; the richest is picked and pays the sum of all. */
static void fill_order(struct round_robin *rr, const unsigned *weights, unsigned divisor,
                       int64_t *gained)
{
    for (size_t turn = 0; turn < rr->length; turn++) {
        size_t best = 0;
        for (size_t i = 0; i < rr->count; i++) {
            gained[i] += weights[i] / divisor;
            if (gained[i] > gained[best])
                best = i;
        }
        gained[best] -= (int64_t)rr->length;
        rr->order[turn] = (uint16_t)best;
    }
}

static void *create(struct backend *const *servers, size_t count, const void *previous)
{
    const struct round_robin *before = previous;
    unsigned divisor = 0;
    size_t sum = 0;
    unsigned *weights = calloc(count + 1, sizeof *weights);
    int64_t *gained = calloc(count + 1, sizeof *gained);
    for (size_t i = 0; i < count && weights != NULL; i++) {
        weights[i] = backend_weight(servers[i]);
        divisor = gcd(divisor, weights[i]);
        sum += weights[i];
    }
    size_t length = divisor == 0 ? 0 : sum / divisor;
    struct round_robin *rr = malloc(sizeof *rr + length * sizeof rr->order[0]);
    if (rr != NULL && gained != NULL && weights != NULL) {
        atomic_init(&rr->first, before == NULL ? 0 : atomic_load(&before->first));
        atomic_init(&rr->again, before == NULL ? 0 : atomic_load(&before->again));
        rr->servers = servers;
        rr->count = count;
        rr->length = length;
        fill_order(rr, weights, divisor, gained);
    } else {
        free(rr);
        rr = NULL;
    }
    free(weights);
    free(gained);
    return rr;
}

/* Whose turn it is; there is a server at least. Who only asks draws no ticket: turn says how many
 * such there were. */
static size_t draw(struct round_robin *rr, const struct policy_request *r, size_t turn)
{
    _Atomic uint64_t *ticket = r->again ? &rr->again : &rr->first;
    uint64_t n = r->dry ? atomic_load(ticket) + turn
                        : atomic_fetch_add_explicit(ticket, 1, memory_order_relaxed);
    return rr->order[n % rr->length];
}

static bool takes_turn(struct backend *b, const struct policy_request *r)
{
    return r->dry ? backend_would_take_turn(b, r->now) : backend_takes_turn(b, r->now);
}

/* Other workers draw from the same tickets, so some server may not have been asked; or all forgo
 * their turns, since they have recovered at the same time. */
static long pick_any(struct round_robin *rr, size_t begin, const struct policy_request *r)
{
    for (size_t n = 0; n < rr->count; n++) {
        size_t i = (begin + n) % rr->count;
        if (r->take(r->arg, i, BACKEND_ANY) == BACKEND_TAKEN)
            return (long)i;
    }
    return -1;
}

static long pick(void *state, const struct policy_request *r)
{
    struct round_robin *rr = state;
    if (rr->length == 0)
        return -1;
    size_t turns = rr->length < TURNS_MAX ? rr->length : TURNS_MAX;
    for (size_t turn = 0; turn < turns; turn++) {
        size_t i = draw(rr, r, turn);
        if (takes_turn(rr->servers[i], r) && r->take(r->arg, i, BACKEND_ANY) == BACKEND_TAKEN)
            return (long)i;
    }
    return pick_any(rr, draw(rr, r, turns), r);
}

const struct policy_ops policy_round_robin = {
    .create = create,
    .destroy = free,
    .pick = pick,
};
