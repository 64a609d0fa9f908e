/* Starts another program that has a socket of ours, and follows its end by a descriptor (pidfd): as
 * a child of this process, or as a sibling, a child of this one's parent.
 *
 * A service manager takes a new main process for its own only if that is its child: one that was
 * its grandchild until the old process had gone is a stranger, whose end it would not hear of.
 */
#ifndef ZPROXY_HANDOVER_SPAWN_H
#define ZPROXY_HANDOVER_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SPAWN_SOCKET 3 /* its number in the program */

/* A variable of systemd's, the process of the unit: it names the program's own number there. */
#define SPAWN_PID_VARIABLE "SYSTEMD_EXEC_PID"

struct spawn {
    pid_t pid; /* 0: none is running */
    int fd;    /* readable when the program has ended; open until spawn_close() */
    bool sibling;
};

/* Whether the parent is one that takes a further child for what it is: the service manager that
 * started this process, or process 1, which takes all. */
bool spawn_has_manager(void);

/* Returns 0 when the program runs, or -errno: also when it cannot be executed. env ends with NULL.
 * What is above SPAWN_SOCKET stays here if it is close-on-exec. */
int spawn_start(struct spawn *s, const char *path, char *const *argv, char *const *env, int sock,
                bool sibling);

void spawn_signal(const struct spawn *s, int number);

/* It has ended: writes how, and gives its remains back. */
void spawn_reap(struct spawn *s, char *how, size_t size);

/* Kills it, if it runs: dead when this returns, with nothing of it left but the descriptor. */
void spawn_kill(struct spawn *s);

/* When nothing polls the descriptor any more. May be called twice. */
void spawn_close(struct spawn *s);

#endif
