/* The old process's side of an upgrade: hands everything over to the new program, which waits at
 * the other end of a socket. Blocks the control thread for some milliseconds, not the workers, but
 * for the moment in which the sessions change hands.
 *
 * Whatever goes wrong before the new program owns the sessions leaves everything as it was: what
 * travels are duplicates of descriptors, and nobody touches a socket meanwhile.
 */
#ifndef ZPROXY_UPGRADE_BEQUEST_H
#define ZPROXY_UPGRADE_BEQUEST_H

#include <stdint.h>

#include "control/runtime.h"

struct bequest_result {
    uint64_t sessions;
    uint64_t paused_us; /* how long nothing moved, also if in vain */
    char error[200];    /* why not */
};

/* kill_heir: has the other process dead when it returns; called before anything moves here again.
 * sock: a SOCK_SEQPACKET socket whose other end has said PARCEL_ACCEPT. Returns 0: the new program
 * owns the sessions, and the caller ends the process without closing anything; or -1 and everything
 * goes on here. */
int bequest_run(struct runtime *rt, int sock, void (*kill_heir)(void *arg), void *arg,
                struct bequest_result *result);

#endif
