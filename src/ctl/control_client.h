/* A conversation with a running zproxy: commands go in, answers come out. */
#ifndef ZPROXY_CTL_CONTROL_CLIENT_H
#define ZPROXY_CTL_CONTROL_CLIENT_H

#include <stdbool.h>
#include <stdio.h>

#define CONTROL_CLIENT_SOCKET "/run/zproxy/zproxy.sock"

struct control_client {
    const char *path;
    FILE *stream; /* NULL: not connected */
};

/* path outlives it; "unix:@name" is an abstract socket. Returns 0 or -errno. */
int control_client_open(struct control_client *t, const char *path);
void control_client_close(struct control_client *t);

/* Sends a command and waits for its answer, free() is the caller's: whole lines, without the empty
 * one at the end. Connects anew where the other side has hung up meanwhile. Returns 0 or -errno. */
int control_client_request(struct control_client *t, bool json, const char *command, char **answer);

/* Whether the answer says that the command has failed. */
bool control_client_has_failed(const char *answer, bool json);

/* Writes it: an answer to standard output, what went wrong to standard error. */
void control_client_print(const char *answer, bool json);

#endif
