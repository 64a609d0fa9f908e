/* What is behind one name: all questions that it takes, asked in rounds.
 *
 * A host's questions are for its A and AAAA records, a service's for its SRV records and for the
 * addresses of every host that they name, if they do not come with them. Each is asked again when
 * its own answer runs out. What could not be learned is taken from an earlier answer, as long as
 * that takes; what an answer says there is not any more, for resolve_hold.
 */
#ifndef ZPROXY_BALANCE_LOOKUP_H
#define ZPROXY_BALANCE_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "balance/answers.h"
#include "balance/dns.h"
#include "balance/lookup_part.h"
#include "base/addr.h"

#define LOOKUP_ERROR_MAX (DNS_NAME_MAX + 160)

struct lookup;

struct lookup_result {
    const struct answers *answers; /* settled; NULL: nothing is known, or not enough */
    bool complete;                 /* no part of it is missing that was never answered */
    const char *error;             /* what went wrong with all or some of it, or NULL */
    uint64_t next;                 /* when something is to be asked again; ms of the loop */
    bool all_held;                 /* and that all of them go then */
    uint64_t held_until; /* when the first address goes that there is not any more; 0: none */
};

struct lookup_setup {
    const struct lookup_context *context;
    const char *host; /* copied */
    bool service;     /* host is the name of SRV records */
    uint16_t port;    /* of the host's addresses */
    /* Whether zproxy may connect there at all: it must not reach itself. */
    bool (*usable)(void *arg, const struct addr *a);
    /* A round is over. The result is good during the call. */
    void (*done)(void *arg, const struct lookup_result *result);
    void *arg;
};

/* NULL when out of memory. */
struct lookup *lookup_new(const struct lookup_setup *setup);
void lookup_free(struct lookup *l);

/* Begins a round, of what has run out; none may be running. done() may be called before this
 * returns: the hosts file answers at once. */
void lookup_start(struct lookup *l);
/* Ends a round without done(). */
void lookup_stop(struct lookup *l);
/* The next round is of all questions, however long their answers hold. */
void lookup_expire(struct lookup *l);

#endif
