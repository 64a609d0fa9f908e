/* The new process's part of a handover (upgrade.h has the sequence). For the control thread, before
 * the workers run.
 *
 * Until the old process has given up its sockets, this process does not read, write or shut down
 * what it has received. Until then it may fail or be killed at any time without an effect on a
 * session.
 */
#ifndef ZPROXY_HANDOVER_HANDOVER_RECEIVE_H
#define ZPROXY_HANDOVER_HANDOVER_RECEIVE_H

#include <uv.h>

#include "control/runtime.h"

/* Environment variable with the number of the socket to the old process. */
#define HANDOVER_ENVIRONMENT "ZPROXY_HANDOVER"

/* Returns the socket's descriptor and removes the variable, or -1: an ordinary start. */
int handover_receive_socket(void);

/* Tells the old process why this one cannot start. */
void handover_receive_refuse(int sock, const char *why);

/* Receives the configuration, sockets, counters and sessions of the old process, restores them in
 * rt, and makes the workers, which are not started. file_config: what the file says now; it stays
 * the caller's. Returns 0 when this process owns everything, or -errno after a refusal and a line
 * in errors. */
int handover_receive(struct runtime *rt, int sock, struct config *file_config, FILE *errors);

/* After a handover: waits on the loop for what the old process reports until it has ended: the
 * sessions that it has kept, and the log lines that it lost at its end, which are counted. */
struct old_process_watch {
    uv_poll_t poll;
    int sock; /* -1: none */
    struct staying_sessions *staying;
};

/* Owns the socket from now on and closes it when the old process has ended. */
void old_process_watch_start(struct old_process_watch *w, uv_loop_t *loop, int sock,
                             struct staying_sessions *staying);
/* Closes the socket. The loop must have been closed. */
void old_process_watch_fini(struct old_process_watch *w);

#endif
