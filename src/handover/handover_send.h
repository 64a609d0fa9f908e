/* The old process's side of an upgrade: hands everything over to the new program, which waits at
 * the other end of a socket. Blocks the control thread for some milliseconds, not the workers, but
 * for the moment in which the sessions change hands.
 *
 * Whatever goes wrong before the new program owns the sessions leaves everything as it was: what
 * travels are duplicates of descriptors, and nobody touches a socket meanwhile.
 */
#ifndef ZPROXY_HANDOVER_HANDOVER_SEND_H
#define ZPROXY_HANDOVER_HANDOVER_SEND_H

#include <stdint.h>

#include "control/runtime.h"

struct handover_send_result {
    uint64_t sessions;
    uint64_t paused_us; /* how long nothing moved, also if in vain */
    char error[200];    /* why not */
};

/* kill_receiver: has the other process dead when it returns; called before anything moves here
 * again. sock: a SOCK_SEQPACKET socket whose other end has said HANDOVER_ACCEPT. Returns 0: the new
 * program owns the sessions, and the caller ends the process without closing anything; or -1 and
 * everything goes on here. */
int handover_send(struct runtime *rt, int sock, void (*kill_receiver)(void *arg), void *arg,
                  struct handover_send_result *result);

#endif
