/* Starts a program with a socket to this process and watches it by a pidfd (pidfd_open(2)). The
 * program becomes a child of this process, or a sibling, a child of this process's parent
 * (CLONE_PARENT in clone(2)). For the control thread.
 *
 * A sibling is for service managers: systemd is notified of the end of its main process only if
 * that is its child. A grandchild is not, even when it is reparented later.
 */
#ifndef ZPROXY_HANDOVER_SPAWN_H
#define ZPROXY_HANDOVER_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SPAWN_SOCKET 3 /* descriptor of the socket in the program */

/* Set by systemd to the number of the main process; spawn_start() sets it to the program's own. */
#define SPAWN_PID_VARIABLE "SYSTEMD_EXEC_PID"

struct spawn {
    pid_t pid; /* 0: none is running */
    int fd;    /* pidfd, readable when the program has ended; open until spawn_close() */
    bool sibling;
};

/* Whether the parent can have the program as its child: it is the service manager that started this
 * process, or process 1, which reaps every child. */
bool spawn_has_manager(void);

/* Returns 0 when the program has been executed, or -errno, also of execve(2). env ends with NULL.
 * Descriptors above SPAWN_SOCKET must be close-on-exec. */
int spawn_start(struct spawn *s, const char *path, char *const *argv, char *const *env, int sock,
                bool sibling);

void spawn_signal(const struct spawn *s, int number);

bool spawn_is_running(const struct spawn *s);

/* Call when the program has ended: reaps it and writes how it ended. */
void spawn_reap(struct spawn *s, char *how, size_t size);

/* Kills the program, if it runs, waits for its death and reaps it. fd stays open. */
void spawn_kill(struct spawn *s);

/* Closes fd; call it when no loop watches it. May be called twice. */
void spawn_close(struct spawn *s);

#endif
