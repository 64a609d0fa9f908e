/* Policy "round_robin": smooth weighted round robin, exact over all workers.
 *
 * The order that nginx's smooth weighted round robin produces repeats after a number of turns: the
 * sum of the weights, divided by their greatest common divisor. It is computed once; then a pick
 * draws a ticket from an atomic counter and looks up a table, whatever the number of servers. If
 * the server cannot be acquired, the next ticket is drawn, so the other servers share its turns in
 * proportion to their weights.
 *
 * Second attempts have their own counter. With a common one they would alternate with the first
 * attempts: if one of two servers is dead, every session would try the dead one first.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "balance/policy.h"
#include "base/gcd.h"

#define TURNS_MAX 4096 /* tickets of one pick: without a usable server it ends soon */

struct round_robin {
    struct server *const *servers;
    _Atomic uint64_t tickets;       /* drawn by first attempts */
    _Atomic uint64_t retry_tickets; /* drawn after a failed attempt */
    size_t count;                   /* servers */
    size_t length;                  /* of the order */
    uint16_t order[];
};

/* Servers of one weight. */
struct weight_class {
    unsigned weight; /* divided by the greatest common divisor */
    size_t first;
    size_t last;
    size_t next;    /* the next server to be picked */
    int64_t gained; /* the balance of next */
};

struct weight_classes {
    size_t count;
    struct weight_class *classes;
    size_t *following; /* the next server of the same weight; of the last one, itself */
};

static void add_to_class(struct weight_classes *w, size_t server, unsigned weight)
{
    size_t k = 0;
    while (k < w->count && w->classes[k].weight != weight)
        k++;
    struct weight_class *c = &w->classes[k];
    if (k == w->count) {
        *c = (struct weight_class){ .weight = weight, .first = server, .next = server };
        w->count++;
    } else {
        w->following[c->last] = server;
    }
    c->last = server;
    w->following[server] = server;
}

/* The class with the highest balance; of several, the one with the first server. */
static struct weight_class *next_turn(struct weight_classes *w)
{
    struct weight_class *best = w->classes;
    for (struct weight_class *c = best; c < w->classes + w->count; c++) {
        c->gained += c->weight;
        if (c->gained > best->gained || (c->gained == best->gained && c->next < best->next))
            best = c;
    }
    return best;
}

/* In each turn every server gains its weight; the server with the highest balance is picked and
 * pays the sum of all weights. Servers of one weight are picked one after the other, so only one of
 * each weight is compared: the cost grows with the turns and not with turns times servers. */
static void fill_order(struct round_robin *rr, struct weight_classes *w)
{
    for (size_t turn = 0; turn < rr->length; turn++) {
        struct weight_class *c = next_turn(w);
        rr->order[turn] = (uint16_t)c->next;
        if (c->next == c->last) {
            c->next = c->first;
            c->gained -= (int64_t)rr->length;
        } else {
            c->next = w->following[c->next];
        }
    }
}

static struct round_robin *create_order(struct server *const *servers, size_t count,
                                        struct weight_classes *w)
{
    unsigned divisor = 0;
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        divisor = gcd(divisor, server_weight(servers[i]));
        sum += server_weight(servers[i]);
    }
    size_t length = divisor == 0 ? 0 : sum / divisor;
    struct round_robin *rr = malloc(sizeof *rr + length * sizeof rr->order[0]);
    if (rr == NULL)
        return NULL;
    rr->servers = servers;
    rr->count = count;
    rr->length = length;
    for (size_t i = 0; i < count && divisor != 0; i++)
        add_to_class(w, i, server_weight(servers[i]) / divisor);
    fill_order(rr, w);
    return rr;
}

static uint64_t tickets_of(const _Atomic uint64_t *tickets)
{
    return tickets == NULL ? 0 : atomic_load_explicit(tickets, memory_order_relaxed);
}

static void *policy_round_robin_create(struct server *const *servers, size_t count,
                                       const void *previous)
{
    const struct round_robin *before = previous;
    struct round_robin *rr = NULL;
    struct weight_classes w = { .classes = calloc(count + 1, sizeof *w.classes),
                                .following = calloc(count + 1, sizeof *w.following) };
    if (w.classes != NULL && w.following != NULL)
        rr = create_order(servers, count, &w);
    if (rr != NULL) {
        atomic_init(&rr->tickets, tickets_of(before == NULL ? NULL : &before->tickets));
        atomic_init(&rr->retry_tickets, tickets_of(before == NULL ? NULL : &before->retry_tickets));
    }
    free(w.classes);
    free(w.following);
    return rr;
}

/* Tries every server once. A pick may miss servers, since other workers draw tickets at the same
 * time; or all servers forgo their turns, since they recovered at the same time. */
static long policy_round_robin_pick_any(const struct round_robin *rr, size_t begin,
                                        const struct pick_request *r, policy_acquire_fn *acquire)
{
    for (size_t n = 0; n < rr->count; n++) {
        size_t i = (begin + n) % rr->count;
        if (acquire(r, rr->servers[i], SERVER_ANY_COUNT) == SERVER_ACQUIRED)
            return (long)i;
    }
    return -1;
}

static size_t max_turns(const struct round_robin *rr)
{
    return rr->length < TURNS_MAX ? rr->length : TURNS_MAX;
}

static size_t policy_round_robin_draw(struct round_robin *rr, _Atomic uint64_t *tickets)
{
    return rr->order[atomic_fetch_add_explicit(tickets, 1, memory_order_relaxed) % rr->length];
}

static long policy_round_robin_pick(void *state, const struct pick_request *r,
                                    policy_acquire_fn *acquire)
{
    struct round_robin *rr = state;
    _Atomic uint64_t *tickets = r->tried != NULL ? &rr->retry_tickets : &rr->tickets;
    if (rr->length == 0)
        return -1;
    for (size_t turn = max_turns(rr); turn > 0; turn--) {
        size_t i = policy_round_robin_draw(rr, tickets);
        if (server_takes_turn(rr->servers[i], r->now) &&
            acquire(r, rr->servers[i], SERVER_ANY_COUNT) == SERVER_ACQUIRED)
            return (long)i;
    }
    return policy_round_robin_pick_any(rr, policy_round_robin_draw(rr, tickets), r, acquire);
}

static long policy_round_robin_peek(const void *state, const struct pick_request *r,
                                    policy_acquire_fn *could_acquire)
{
    const struct round_robin *rr = state;
    uint64_t ticket = atomic_load_explicit(r->tried != NULL ? &rr->retry_tickets : &rr->tickets,
                                           memory_order_relaxed);
    if (rr->length == 0)
        return -1;
    for (size_t turn = max_turns(rr); turn > 0; turn--, ticket++) {
        size_t i = rr->order[ticket % rr->length];
        if (server_would_take_turn(rr->servers[i], r->now) &&
            could_acquire(r, rr->servers[i], SERVER_ANY_COUNT) == SERVER_ACQUIRED)
            return (long)i;
    }
    return policy_round_robin_pick_any(rr, rr->order[ticket % rr->length], r, could_acquire);
}

const struct policy_ops policy_round_robin = {
    .not_picked = "not its turn",
    .create = policy_round_robin_create,
    .destroy = free,
    .pick = policy_round_robin_pick,
    .peek = policy_round_robin_peek,
};
