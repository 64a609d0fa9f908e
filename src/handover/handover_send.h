/* The old process's part of a handover (upgrade.h has the sequence). For the control thread, which
 * it blocks for some milliseconds; workers are paused only while sessions change hands.
 *
 * The handover changes nothing in this process before its last message: only duplicates of
 * descriptors are sent, and the new process does not read or write them before this process has
 * given them up.
 */
#ifndef ZPROXY_HANDOVER_HANDOVER_SEND_H
#define ZPROXY_HANDOVER_HANDOVER_SEND_H

#include <stdint.h>

#include "base/log.h"
#include "control/runtime.h"
#include "handover/handover_channel.h"

struct handover_send_result {
    uint64_t sessions;
    uint64_t staying;               /* sessions that cannot be handed over */
    uint64_t paused_us;             /* how long the workers were paused, also after a failure */
    char error[HANDOVER_ERROR_MAX]; /* why the handover failed */
};

/* sock: a SOCK_SEQPACKET socket; the new process has sent its first HANDOVER_ACCEPT. kill_receiver
 * must kill the new process and wait for its death; it is called on failure, before the workers
 * continue.
 *
 * Returns 0 when the new process owns everything: the workers stay paused, and the caller must end
 * the process without closing or shutting down a socket. Returns -errno, with result->error set,
 * when this process continues. */
int handover_send(struct runtime *rt, int sock, void (*kill_receiver)(void *arg), void *arg,
                  struct handover_send_result *result);

/* After a handover with sessions that stay: lets the workers continue with these, and without
 * everything that was handed over. The caller must end the process when they have finished. */
void handover_send_keep_rest(void);

/* Tells the new process how many sessions this one still has. Returns false if the message could
 * not be sent now. */
bool handover_send_staying(int sock, uint64_t sessions);

/* After a handover and log_close(): tells the new process how many log lines were lost since the
 * counters were sent. sent: dropped lines in these counters. */
void handover_send_log_loss(int sock, const uint64_t sent[LOG_NAME_COUNT]);

#endif
