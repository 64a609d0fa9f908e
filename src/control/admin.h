/* The control socket: a unix socket on which clients send commands, one on a line, and read
 * answers, each followed by an empty line.
 *
 * A callback executes the commands: it gets each line and answers it at once or later. The use of
 * resources by clients is bounded: the number of clients, the length of a line, the bytes of
 * answers that wait to be read, and how long they wait. The next line of a client is read after the
 * client has read its last answer. For the control thread.
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

/* Called for each command. line, a string without control characters, is valid during the call and
 * may be changed. The callback must call admin_answer() once, during the call or later. */
typedef void admin_command_fn(void *arg, struct admin_call *call, char *line);

/* Returns NULL when out of memory. */
struct admin *admin_new(uv_loop_t *loop, admin_command_fn *command, void *arg);
/* Must be called after the loop is closed and every call is answered. a may be NULL. */
void admin_free(struct admin *a);

/* Sends the answer to a command and frees call. Takes ownership of text, from malloc(3): lines,
 * none of them empty. text NULL: the client gets an error, out of memory. */
void admin_answer(struct admin_call *call, char *text, size_t length);

/* Whether a command's answer, also a refusal, is to be JSON: its first word is "json". */
bool admin_wants_json(const char *line, size_t length);

struct admin_address {
    struct addr at; /* len 0: no control socket */
    unsigned mode;  /* of its file */
    uid_t owner;    /* of its file; (uid_t)-1: the user of this process; likewise group */
    gid_t group;
};

/* Change the socket in steps. Prepare binds the new socket, unless the present one has the same
 * address and its file exists. Listen lets clients connect; they are accepted when the loop next
 * runs. Commit closes the old socket; connected clients stay connected. Abort undoes prepare and
 * listen; ch may be NULL. Prepare and listen return 0, or -1 after printing the reason to errors,
 * as "[admin] socket: ...". */
int admin_prepare(struct admin *a, const struct admin_address *address, FILE *errors,
                  struct admin_change **change);
int admin_listen(struct admin_change *ch, FILE *errors);
void admin_commit(struct admin_change *ch);
void admin_abort(struct admin_change *ch);

/* For a handover. admin_socket() returns the descriptor of the listening socket, which the admin
 * still owns, and sets *at and *file; -1: none. admin_adopt() opens the socket in the new process,
 * before its first admin_prepare(). It takes ownership of fd, also on failure, and returns 0 or
 * -errno. */
int admin_socket(const struct admin *a, struct addr *at, struct file_id *file);
int admin_adopt(struct admin *a, const struct addr *at, const struct file_id *file, int fd);

/* After another process has taken over and the loop has stopped: sends the rest of answers that are
 * being sent and refuses all other commands, without blocking. The caller repeats the call until it
 * returns false: nothing is left to send. */
bool admin_finish(struct admin *a);

/* Removes the socket's file. a may be NULL. */
void admin_unlink(const struct admin *a);

#endif
