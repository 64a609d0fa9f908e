/* Ends sessions by order of the user, on all workers. For the control thread. */
#ifndef ZPROXY_CONTROL_SESSION_KILL_H
#define ZPROXY_CONTROL_SESSION_KILL_H

#include <stddef.h>
#include <stdint.h>

#include "control/session_scan.h"
#include "control/workers.h"

struct session_kill_request {
    const uint64_t *id; /* sessions, sorted; copied */
    size_t ids;
    const uint32_t *server; /* the serials of servers whose sessions all end; copied */
    size_t servers;
    void (*done)(void *arg, uint64_t closed); /* how many were found */
    void *arg;
};

/* Returns 0, or -ENOMEM and done will not be called. */
int session_kill_start(struct scan_replies *scan_replies, struct workers *workers,
                       const struct session_kill_request *request);

#endif
