/* What the sessions of one worker move to and from each server.
 *
 * The bytes of a server are one number that all workers add to, and a session may last for days:
 * each worker adds up for itself what its sessions move, and hands it to the server when one of
 * them ends, and otherwise twice a second. So a message costs two additions, and a reader sees
 * what sessions are moving while they last. For the worker's thread.
 */
#ifndef ZPROXY_SESSION_TALLY_H
#define ZPROXY_SESSION_TALLY_H

#include <stdint.h>
#include <sys/queue.h>

#include "balance/backend.h"

#define TALLY_LISTS 256u /* a power of two */

/* Of one server. */
struct tally {
    struct backend *backend;
    uint64_t sent; /* to it, not handed over yet */
    uint64_t received;
    unsigned users; /* sessions */
    LIST_ENTRY(tally) in_list;
    LIST_ENTRY(tally) in_moved;
};

LIST_HEAD(tally_list, tally);

/* Of one worker. */
struct tallies {
    struct tally_list list[TALLY_LISTS]; /* by the server's serial */
    struct tally_list moved;             /* those with something to hand over */
    uint64_t due;                        /* ms; when that is to be done */
};

void tallies_init(struct tallies *ts);

/* That of b, for a session that has a place on it until tally_put(). NULL when out of memory:
 * nothing is counted. */
struct tally *tally_get(struct tallies *ts, struct backend *b);
/* Hands over, and frees it after its last user. NULL is allowed. */
void tally_put(struct tally *t);

/* A session has moved bytes; now in ms. t may be NULL. */
void tally_add(struct tallies *ts, struct tally *t, uint64_t sent, uint64_t received, uint64_t now);

/* When tallies_flush() is wanted, ms; UINT64_MAX: not before something moves. */
uint64_t tallies_due(const struct tallies *ts);
/* Hands over what is due. */
void tallies_flush(struct tallies *ts, uint64_t now);

#endif
