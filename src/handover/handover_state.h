/* What a handover transfers apart from sessions. It does not change while the control thread is
 * busy with the handover, except for the counters. In the order of messages: the process's
 * counters, configurations, sockets, resolved addresses, servers, listeners' counters, pools.
 *
 * handover_state_send.c runs in the old process, handover_state_receive.c in the new one; both on
 * the control thread.
 */
#ifndef ZPROXY_HANDOVER_HANDOVER_STATE_H
#define ZPROXY_HANDOVER_HANDOVER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/log.h"
#include "control/runtime.h"
#include "handover/handover_channel.h"

/* All functions return 0, or -errno with the channel's error set. */

/* Sends everything. */
int handover_state_send(struct handover_channel *c, struct runtime *rt);
/* Sends the process's counters only: again when the workers are paused. */
int handover_state_send_process(struct handover_channel *c, struct runtime *rt);

struct old_config;
struct pool_answer;

/* The receiver's. */
struct handover_state {
    struct runtime *rt;
    struct handover_channel *channel;
    struct config *file_config; /* the file's: for keys that a reload cannot change */
    FILE *errors;               /* for errors in configurations */
    struct old_config *old_config;
    size_t old_config_count;
    uint64_t log_dropped[LOG_NAME_COUNT]; /* dropped lines of the old process counted so far */
    bool configs_applied;
    struct pool_answer *answers; /* of one name, which may come in several messages */
    size_t answer_count;
    size_t answer_capacity;
    char answer_pool[CONFIG_NAME_MAX + 1];
    uint32_t answer_line;
};

/* Handles the received message, which is of one of the types above. */
int handover_state_receive(struct handover_state *state);

/* Applies the received configurations; a second call does nothing. Must be called before a session
 * is restored.
 */
int handover_state_apply_configs(struct handover_state *state);

/* Everything has been received: makes the restored weights and states effective in the pools. */
int handover_state_finish(struct handover_state *state);

void handover_state_fini(struct handover_state *state);

#endif
