/* A conversation with a running zproxy: commands go in, answers come out. */
#ifndef ZPROXY_CTL_TALK_H
#define ZPROXY_CTL_TALK_H

#include <stdbool.h>
#include <stdio.h>

#define TALK_SOCKET "/run/zproxy/zproxy.sock"

struct talk {
    const char *path;
    FILE *stream; /* NULL: not connected */
};

/* path outlives it; "unix:@name" is an abstract socket. Returns 0 or -errno. */
int talk_open(struct talk *t, const char *path);
void talk_close(struct talk *t);

/* Sends a command and waits for its answer, free() is the caller's: whole lines, without the empty
 * one at the end. Connects anew where the other side has hung up meanwhile. Returns 0 or -errno. */
int talk_ask(struct talk *t, bool json, const char *command, char **answer);

/* Whether the answer says that the command has failed. */
bool talk_has_failed(const char *answer, bool json);

/* Writes it: an answer to standard output, what went wrong to standard error. */
void talk_print(const char *answer, bool json);

#endif
