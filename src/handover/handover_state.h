/* Everything that an old process leaves to the new one but its sessions: what stands still for as
 * long as control does. In order: counters, configurations, sockets, answers of name servers,
 * servers, counters of listeners. One side sends it, the other one takes it.
 */
#ifndef ZPROXY_HANDOVER_HANDOVER_STATE_H
#define ZPROXY_HANDOVER_HANDOVER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/log.h"
#include "control/runtime.h"
#include "handover/handover_channel.h"

/* All return 0, or -1 with the courier's error filled in. */

/* Sends all of it; or again what goes on changing while sessions do. */
int handover_state_send(struct handover_channel *c, struct runtime *rt);
int handover_state_send_process(struct handover_channel *c, struct runtime *rt);

struct old_config;
struct pool_answer;

/* Of who takes it. */
struct handover_state {
    struct runtime *rt;
    struct handover_channel *channel;
    struct config *file_config; /* what the file says now: for keys that no reload may change */
    FILE *errors;               /* of configurations */
    struct old_config *old_config;
    size_t old_config_count;
    uint64_t log_dropped[LOG_NAME_COUNT]; /* that have been counted here */
    bool configs_applied;                 /* the configurations are in force */
    struct pool_answer *answers; /* of one name, until all of them have come: in several parcels */
    size_t answer_count;
    size_t answer_capacity;
    char answer_pool[CONFIG_NAME_MAX + 1];
    uint32_t answer_line;
};

/* Takes the parcel that has come, one of the above. */
int handover_state_receive(struct handover_state *v);

/* Puts the configurations in force, unless they are. Sessions need them. */
int handover_state_apply_configs(struct handover_state *v);

/* All of it has come: what was set at run time is in force from the first client on. */
int handover_state_finish(struct handover_state *v);

void handover_state_fini(struct handover_state *v);

#endif
