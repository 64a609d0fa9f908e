/* Replaces the running program by the binary on disk: starts it, waits until it is up, and hands it
 * everything (bequest.h). If it does not come up, or says no, nothing has happened. */
#ifndef ZPROXY_UPGRADE_UPGRADE_H
#define ZPROXY_UPGRADE_UPGRADE_H

#include <signal.h>
#include <stdbool.h>
#include <uv.h>

#include "control/runtime.h"

struct upgrade {
    struct runtime *rt;
    char *const *argv;
    char *program; /* as it was found at the start: what is there now is what is started */
    bool busy;
    int sock;
    int pid;
    uv_process_t process;
    uv_poll_t poll;
    uv_timer_t patience;
    uv_idle_t idle; /* between the new program's being up and the handover */
    bool polled_since;
    bool holds_signals;
    sigset_t signals; /* those that were held before */
    unsigned closing; /* handles that are not closed yet */
    /* The sessions are the new program's, whose number this is: end, and touch nothing. */
    void (*gone)(void *arg, int pid);
    void *arg;
};

/* argv as main() got it. Returns 0, or -errno: there will be no upgrades. */
int upgrade_init(struct upgrade *u, struct runtime *rt, char *const *argv,
                 void (*gone)(void *arg, int pid), void *arg);
void upgrade_fini(struct upgrade *u);

/* Begins; the log tells what comes of it. */
void upgrade_start(struct upgrade *u);

/* The new program is not wanted any more, if one is coming up. */
void upgrade_cancel(struct upgrade *u, const char *why);

#endif
