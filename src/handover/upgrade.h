/* Replaces the running program by the one that its path leads to now: starts it, waits until it is
 * up, and hands it everything (bequest.h). If it does not come up, or says no, nothing has
 * happened. */
#ifndef ZPROXY_HANDOVER_UPGRADE_H
#define ZPROXY_HANDOVER_UPGRADE_H

#include <signal.h>
#include <stdbool.h>
#include <uv.h>

#include "base/deadline.h"
#include "control/runtime.h"
#include "handover/executable.h"
#include "handover/spawn.h"

#define UPGRADE_HANDLES 4

struct upgrade {
    struct runtime *rt;
    char *const *argv;
    struct executable executable;
    bool is_possible; /* it is known where the program is */
    bool busy;
    int sock;
    char *path; /* of the program that is started; NULL: none is */
    struct spawn spawn;
    char version[32];     /* of the new program; "": it has not said */
    uv_poll_t poll;       /* what the new program says */
    uv_poll_t child_exit; /* its end */
    struct deadline start_timeout;
    uv_idle_t idle; /* between the new program's being up and the handover */
    bool has_polled;
    bool signals_blocked;
    sigset_t old_signal_mask;             /* those that were held before */
    uv_handle_t *handle[UPGRADE_HANDLES]; /* those above that are open */
    unsigned open;
    unsigned closing; /* handles that are not closed yet */
    /* The sessions are the new program's, whose number this is: end, and touch nothing. */
    void (*handed_over)(void *arg, int pid);
    void *arg;
};

/* argv as main() got it, whose first word tells which program it is. Returns 0, or -errno: there
 * will be no upgrades. */
int upgrade_init(struct upgrade *u, struct runtime *rt, char *const *argv,
                 void (*handed_over)(void *arg, int pid), void *arg);
void upgrade_fini(struct upgrade *u);

/* Begins; the log tells what comes of it. */
void upgrade_start(struct upgrade *u);

/* The new program is not wanted any more, if one is coming up. */
void upgrade_cancel(struct upgrade *u, const char *why);

#endif
