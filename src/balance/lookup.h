/* A lookup of one name: all questions that it needs, asked in rounds. For the control thread.
 *
 * For a host these are its A and AAAA records; for a service its SRV records and the addresses of
 * each target, unless the answer has them as additional records. A question is asked again when its
 * own answer expires. If it fails, its former records stay in use without limit; if the answer has
 * no records, for resolve_hold.
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
    const struct answers *answers; /* sorted, without duplicates; NULL: not known */
    bool complete;                 /* every host and service was resolved at least once */
    const char *error;             /* of one of the questions; NULL: none */
    uint64_t next;                 /* ms of the loop, when the next round is due */
    bool all_held;                 /* held_until applies to all addresses */
    uint64_t held_until; /* ms of the loop, when the first held address is dropped; 0: none */
};

struct lookup_setup {
    const struct lookup_context *context;
    const char *host; /* copied */
    bool service;     /* host has SRV records */
    uint16_t port;    /* of the addresses, unless service */
    /* Whether zproxy may connect to the address; it must not connect to itself. */
    bool (*usable)(void *arg, const struct addr *a);
    /* Called at the end of a round. The result is valid during the call. */
    void (*done)(void *arg, const struct lookup_result *result);
    void *arg;
};

/* Returns NULL when out of memory. */
struct lookup *lookup_new(const struct lookup_setup *setup);
void lookup_free(struct lookup *l);

/* Starts a round, which asks the questions that are due. No round may be running. done() may be
 * called before lookup_start() returns, since the hosts file answers at once. */
void lookup_start(struct lookup *l);
/* Cancels the round; done() is not called. */
void lookup_stop(struct lookup *l);
/* Makes all questions due, so that the next round asks them. */
void lookup_expire(struct lookup *l);

#endif
