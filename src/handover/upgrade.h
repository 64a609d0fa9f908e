/* Replaces the running process by a new one that runs the program on disk, and gives it everything:
 * the handover. Runs on the control thread of the old process.
 *
 * The old and the new process talk over a SOCK_SEQPACKET pair (handover_message.h). The sequence,
 * with messages in capitals:
 *
 *  1. old: SIGUSR2. upgrade_start() finds the program (executable_find()), starts it with the
 *     socket as descriptor 3 (spawn_start()) and waits on the loop. Workers relay as before.
 *  2. new: starts as usual: main() reads the file, proxy_prepare() opens the log. Then
 *     handover_receive() sends ACCEPT with the version of the program. If something failed
 *     before, handover_receive_refuse() sends REFUSE with the reason.
 *  3. old: on_upgrade_message() receives that answer. From here on signals stay pending
 *     (block_signals()). upgrade_hand_over() calls handover_send().
 *  4. old: handover_state_send() sends OFFER (the counters), CONFIG, INHERITED, SOCKET, ADMIN,
 *     ANSWERS, SERVERS, LISTENERS, POOLS.
 *     new: handover_state_receive() restores each of them.
 *  5. old: send_final() sends SESSIONS: the setup of sessions that relay. They go on relaying.
 *     new: receive_sessions() restores them. Nothing reads from their sockets yet.
 *  6. old: sends PREPARED.
 *     new: receive_prepared() makes the threads of the workers and answers ACCEPT.
 *  7. old: pause_workers(). No byte is relayed from here on.
 *  8. old: sends PROGRESS, the bytes and pipes of the sessions of step 5 (send_progress());
 *     LATE_SESSIONS, all other sessions (send_late()); TLS of those that have it in the kernel
 *     (send_tls()); OFFER, the counters again; COMPLETE.
 *     new: receive_progress(), receive_late(), receive_tls().
 *  9. new: take_ownership() sends TAKEN_OVER: it has everything, and has touched nothing.
 * 10. old: sends TAKEN_OVER: it will not touch a session again.
 * 11. old: upgrade_hand_over() sends the process ID of the new process to the service manager, and
 *     calls handed_over. That is proxy_on_handed_over(): it sends the last answers, closes the log,
 *     sends LOG_LOSS if lines were lost, waits until the manager knows the new process, sends it
 *     the signals that came meanwhile, and exits. Sessions whose TLS is in user space were not
 *     handed over: if there are some, it waits for their end first, and sends STAYING when their
 *     number has changed. If it was told to end, it exits after the new process.
 * 12. new: proxy_start_workers() starts to relay. run_until_stopped() writes the pid file,
 *     reloads if the file on disk differs from the received configuration, and waits for STAYING
 *     and LOG_LOSS (old_process_watch_start()).
 *
 * If either process fails before the old one has sent TAKEN_OVER (step 10), the old one continues:
 * it kills the new process and then lets its workers run again; upgrade_abort() logs the reason.
 * After that message the old process cannot continue, and nothing is left to do in the new one
 * that can fail.
 *
 * Timeouts of the old process: START_TIMEOUT_MS for steps 1 and 2; HANDOVER_TIMEOUT_MS for each
 * message; for the pause, the time that steps 4 to 6 took. Two processes whose HANDOVER_VERSION
 * differs fail at step 3.
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
    /* Called when the process pid owns everything, with the control signals blocked; must end this
     * process without shutting down a socket. staying: sessions that this process still has. */
    void (*handed_over)(void *arg, int pid, uint64_t staying);
    void *arg;
};

/* argv: as main() got it; it must outlive u, and argv[0] leads to the program. Returns 0 or -errno;
 * after a failure upgrade_start() only logs that no upgrade is possible. */
int upgrade_init(struct upgrade *u, struct runtime *rt, char *const *argv,
                 void (*handed_over)(void *arg, int pid, uint64_t staying), void *arg);
void upgrade_fini(struct upgrade *u);

/* Starts an upgrade, unless one is in progress. The result is logged (event=upgrade). */
void upgrade_start(struct upgrade *u);

/* Kills the new process, if there is one; why is logged. */
void upgrade_cancel(struct upgrade *u, const char *why);

#endif
