/* The signals that zproxy obeys: TERM and INT, HUP, USR1, USR2. For the control thread.
 *
 * By default each of them kills the process. So those that ask for less than its end wait, blocked,
 * until they can be obeyed; and once they cannot be obeyed any more, all of them stay blocked: the
 * exit status is that of the orderly end.
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

/* HUP, USR1 and USR2 wait for signals_open(). */
void signals_hold(void);

/* Calls caught, on the loop, for each signal from now on, and ignores SIGPIPE, SIGXFSZ and SIGTTOU.
 * Returns 0 or -errno, after which signals_close() may be called as well. */
int signals_open(struct signals *s, uv_loop_t *loop, void (*caught)(void *arg, int number),
                 void *arg);
/* No signal is obeyed any more, until the end of the process. May be called twice. */
void signals_close(struct signals *s);

#endif
