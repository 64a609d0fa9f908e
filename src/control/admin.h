/* The control socket: commands come in, a line each, answers go out, each followed by an empty
 * line.
 *
 * Knows no command: lines are handed to a callback, which answers at once or later. Everything that
 * a client can do is bounded: how many there are, how long a line is, how much waits to be read by
 * them and for how long. A client's next line is taken when it has read the last answer. For the
 * control thread.
 */
#ifndef ZPROXY_CONTROL_ADMIN_H
#define ZPROXY_CONTROL_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <uv.h>

#include "base/addr.h"
#include "base/safe_open.h"

#define ADMIN_LINE_MAX    4096 /* bytes of a command, without its line break */
#define ADMIN_CLIENTS_MAX 32

struct admin;
struct admin_call;
struct admin_change;

/* A command has come. line, a string without control characters, is good during the call and may
 * be changed. It is answered by admin_answer(), once, now or later. */
typedef void admin_command_fn(void *arg, struct admin_call *call, char *line);

/* NULL when out of memory. */
struct admin *admin_new(uv_loop_t *loop, admin_command_fn *command, void *arg);
/* The loop is closed, and every call has been answered. NULL is allowed. */
void admin_free(struct admin *a);

/* Takes text over: whole lines, none of them empty; NULL: out of memory. */
void admin_answer(struct admin_call *call, char *text, size_t length);

/* Where the socket is, and who may come. */
struct admin_address {
    struct addr at; /* len 0: there is to be none */
    unsigned mode;  /* of its file */
    uid_t owner;    /* (uid_t)-1: whoever we are; likewise group */
    gid_t group;
};

/* Opens the socket, unless it is open there already and has its file. Nothing changes yet. Returns
 * 0, or -1 after having told errors, as "[admin] socket: ...", why not. */
int admin_prepare(struct admin *a, const struct admin_address *address, FILE *errors,
                  struct admin_change **change);
/* Clients come to the new socket from here on; those who are there stay. */
void admin_commit(struct admin_change *c);
/* NULL is allowed. */
/* Clients can connect from here on, and are heard when the loop next runs. Same results. */
int admin_listen(struct admin_change *c, FILE *errors);
void admin_abort(struct admin_change *c);

/* Its descriptor, for another process; -1: there is none. There that process opens it with what it
 * was given, before it has another one. Takes fd over, also on failure. Returns 0 or -errno. */
int admin_socket(const struct admin *a, struct addr *at, struct file_id *file);
int admin_adopt(struct admin *a, const struct addr *at, const struct file_id *file, int fd);

/* Another process has taken over, and the loop does not run any more: what is being answered is
 * sent to its end, other questions are refused in words. To be called again until it returns false:
 * every client that has asked has its answer. */
bool admin_finish(struct admin *a);

/* Removes the socket's file. */
void admin_unlink(const struct admin *a);

#endif
