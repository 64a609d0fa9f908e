/* The signals that zproxy handles: TERM and INT, HUP, USR1, USR2. For the control thread.
 *
 * The default action of each of them kills the process. HUP, USR1 and USR2 are therefore blocked
 * from the start until signals_open(), which delivers those that are pending. signals_close()
 * blocks all of them until the process ends, so that none changes its exit status.
 */
#ifndef ZPROXY_PROGRAM_SIGNALS_H
#define ZPROXY_PROGRAM_SIGNALS_H

#include <stddef.h>
#include <uv.h>

#define SIGNALS 5

struct signals {
    uv_signal_t handle[SIGNALS];
    size_t open;
    void (*caught)(void *arg, int number);
    void *arg;
};

/* Blocks HUP, USR1 and USR2 until signals_open(). Call it before any thread is started. */
void signals_hold(void);

/* Calls caught on the loop for each signal from now on, and ignores SIGPIPE, SIGXFSZ and SIGTTOU.
 * Returns 0 or -errno; signals_close() may be called in both cases. */
int signals_open(struct signals *s, uv_loop_t *loop, void (*caught)(void *arg, int number),
                 void *arg);
/* Blocks all of these signals until the end of the process. May be called twice. */
void signals_close(struct signals *s);

#endif
