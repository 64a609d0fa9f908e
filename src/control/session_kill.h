/* Closes sessions at the user's command, on all workers. For the control thread. */
#ifndef ZPROXY_CONTROL_SESSION_KILL_H
#define ZPROXY_CONTROL_SESSION_KILL_H

#include <stddef.h>
#include <stdint.h>

#include "control/session_scan.h"
#include "control/workers.h"

struct session_kill_request {
    const uint64_t *id; /* sessions to close, sorted; copied */
    size_t ids;
    const uint32_t *server; /* serials of servers, all of whose sessions are closed; copied */
    size_t servers;
    void (*done)(void *arg, uint64_t closed); /* closed: sessions that were found */
    void *arg;
};

/* Returns 0, or -ENOMEM: then done is not called. */
int session_kill_start(struct scan_replies *scan_replies, struct workers *workers,
                       const struct session_kill_request *request);

#endif
