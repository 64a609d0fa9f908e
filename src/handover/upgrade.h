/* Replaces the running process by a new one that runs the program on disk, and gives it everything:
 * the handover. Runs on the control thread of the old process.
 *
 * The old and the new process talk over a SOCK_SEQPACKET pair (handover_message.h). In order, with
 * the messages in capitals:
 *
 *  1. old: SIGUSR2: upgrade_start() finds the program (executable_find()), starts it with the
 * socket as descriptor 3 (spawn_start()) and waits on the loop. Workers relay as before.
 *  2. new: proxy_prepare() reads the file, opens log and control structures, and calls
 *     handover_receive() where an ordinary start would open its sockets. It sends ACCEPT with its
 *     version; or REFUSE if it could not start (handover_receive_refuse()).
 *  3. old: on_readable() gets that. Signals that arrive from here on stay pending
 * (block_signals()), and handover_send() is called.
 *  4. old: handover_state_send(): OFFER (counters), CONFIG, INHERITED, SOCKET, ADMIN, ANSWERS,
 *     SERVERS, LISTENERS. new: handover_state_receive() restores each of them.
 *  5. old: send_final(): SESSIONS, the setup of sessions that relay, while they relay.
 *     new: receive_sessions() makes them; nothing reads from their sockets yet.
 *  6. old: PREPARED. new: receive_prepared() makes its threads and answers ACCEPT.
 *  7. old: pause_workers(): no session moves from here on.
 *  8. old: send_progress(): PROGRESS, the bytes in flight of the sessions of step 5; send_late():
 *     LATE_SESSIONS, all other sessions; OFFER, the counters again; COMPLETE.
 *     new: receive_progress(), receive_late().
 *  9. new: take_ownership(): TAKEN_OVER: it has everything and touches nothing yet.
 * 10. old: TAKEN_OVER: it will not touch a session again.
 * 11. old: upgrade_hand_over() sends pending signals on to the new process, tells the service
 * manager its number and calls handed_over: proxy_on_handed_over() sends the last answers, closes
 * the log, sends LOG_LOSS if lines were lost, and exits. Its workers stay paused.
 * 12. new: run_until_stopped() writes the pid file, starts to relay, reloads if the file on disk is
 *     another one than the configuration received, and counts LOG_LOSS (log_loss_watch_start()).
 *
 * A failure of either process before the old one has sent step 10 leaves the old one at work: it
 * kills the new process first, then its workers continue. Its timeouts are START_TIMEOUT_MS for
 * steps 1 and 2, HANDOVER_TIMEOUT_MS for each message, and for the pause as long as preparing took.
 * Processes of different HANDOVER_VERSION find out at step 3 and fail. After step 10 the old
 * process cannot continue, and nothing that the new one still has to do can fail.
 */
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
    bool is_possible; /* the program's path is known */
    bool busy;
    int sock;   /* to the new process; -1: none */
    char *path; /* of the program being started; NULL: none */
    struct spawn spawn;
    char version[32];     /* of the new program; "": not received yet */
    uv_poll_t poll;       /* messages of the new process */
    uv_poll_t child_exit; /* its end */
    struct deadline start_timeout;
    uv_idle_t idle; /* between the new process's ACCEPT and the handover */
    bool has_polled;
    bool signals_blocked;
    sigset_t old_signal_mask;
    uv_handle_t *handle[UPGRADE_HANDLES]; /* the open ones of those above */
    unsigned open;
    unsigned closing; /* handles being closed */
    /* The process pid owns everything: must end this process without closing a socket. */
    void (*handed_over)(void *arg, int pid);
    void *arg;
};

/* argv: as main() got it; it must outlive u, and argv[0] leads to the program. Returns 0 or -errno;
 * after a failure upgrade_start() only logs that no upgrade is possible. */
int upgrade_init(struct upgrade *u, struct runtime *rt, char *const *argv,
                 void (*handed_over)(void *arg, int pid), void *arg);
void upgrade_fini(struct upgrade *u);

/* Starts an upgrade, unless one is in progress. The result is logged (event=upgrade). */
void upgrade_start(struct upgrade *u);

/* Kills the new process, if there is one; why is logged. */
void upgrade_cancel(struct upgrade *u, const char *why);

#endif
