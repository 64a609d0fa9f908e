/* Everything that an old process leaves to the new one but its sessions: what stands still for as
 * long as control does. In order: counters, configurations, sockets, answers of name servers,
 * servers, counters of listeners. One side sends it, the other one takes it.
 */
#ifndef ZPROXY_UPGRADE_INVENTORY_H
#define ZPROXY_UPGRADE_INVENTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/log.h"
#include "control/runtime.h"
#include "upgrade/courier.h"

/* All return 0, or -1 with the courier's error filled in. */

/* Sends all of it; or again what goes on changing while sessions do. */
int inventory_send(struct courier *c, struct runtime *rt);
int inventory_send_process(struct courier *c, struct runtime *rt);

struct legacy;
struct pool_answer;

/* Of who takes it. */
struct inventory {
    struct runtime *rt;
    struct courier *courier;
    struct config *own; /* what the file says now: for keys that no reload may change */
    FILE *errors;       /* of configurations */
    struct legacy *legacy;
    size_t legacy_count;
    uint64_t log_dropped[LOG_NAMES]; /* that have been counted here */
    bool settled;                    /* the configurations are in force */
    struct pool_answer *answers; /* of one name, until all of them have come: in several parcels */
    size_t answer_count;
    size_t answer_room;
    char answer_pool[CONFIG_NAME_MAX + 1];
    uint32_t answer_line;
};

/* Takes the parcel that has come, one of the above. */
int inventory_take(struct inventory *v);

/* Puts the configurations in force, unless they are. Sessions need them. */
int inventory_settle(struct inventory *v);

/* All of it has come: what was set at run time is in force from the first client on. */
int inventory_finish(struct inventory *v);

void inventory_fini(struct inventory *v);

#endif
