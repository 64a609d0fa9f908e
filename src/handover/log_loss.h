/* What an old process has lost of its logs by its end, told to the new one: lines are given up only
 * after the sessions are the new one's, which counts them, and tells in its own logs of those that
 * the old one could not tell of. */
#ifndef ZPROXY_HANDOVER_LOG_LOSS_H
#define ZPROXY_HANDOVER_LOG_LOSS_H

#include <stdint.h>
#include <uv.h>

#include "base/log.h"

/* The old process, behind log_close(). sent: the lines that it has told the new one to be dropped
 * before. */
void log_loss_send(int sock, const uint64_t sent[LOG_NAME_COUNT]);

/* The new process. */
struct log_loss_watch {
    uv_poll_t poll;
    int sock; /* -1: none, or closed */
};

/* Waits for the old process's word, or its end. Takes sock over. */
void log_loss_watch(struct log_loss_watch *w, uv_loop_t *loop, int sock);
/* The loop is closed, or closing. */
void log_loss_fini(struct log_loss_watch *w);

#endif
