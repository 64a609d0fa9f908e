/* What is behind one name: all questions that it takes, asked in rounds.
 *
 * A host's round are its A and AAAA records, a service's are its SRV records and the addresses of
 * every host that they name. What could not be learned in this round is taken from an earlier one:
 * the part of an answer that failed takes no server away.
 */
#ifndef ZPROXY_BALANCE_LOOKUP_H
#define ZPROXY_BALANCE_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "balance/answers.h"
#include "balance/dns.h"
#include "base/addr.h"

#define LOOKUP_TTL_NONE UINT32_MAX

struct lookup;

struct lookup_result {
    const struct answers *answers; /* settled; empty when the round has failed as a whole */
    uint32_t ttl;                  /* seconds; LOOKUP_TTL_NONE when nothing was answered */
    const char *error;             /* what went wrong with all or some of it, or NULL */
};

struct lookup_setup {
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

/* Begins a round; none may be running. done() may be called before this returns: the hosts file
 * answers at once. */
void lookup_start(struct lookup *l, struct dns *dns);
/* Ends a round without done(). */
void lookup_stop(struct lookup *l);

#endif
