/* The connection of zproxyctl to the control socket of zproxy: sends commands, reads answers. */
#ifndef ZPROXY_CTL_CONTROL_CLIENT_H
#define ZPROXY_CTL_CONTROL_CLIENT_H

#include <stdbool.h>
#include <stdio.h>

#define CONTROL_CLIENT_SOCKET "/run/zproxy/zproxy.sock"

struct control_client {
    const char *path;
    FILE *stream; /* NULL: not connected */
};

/* path must outlive the connection; "unix:@name" is an abstract socket. Returns 0 or -errno. */
int control_client_open(struct control_client *t, const char *path);
void control_client_close(struct control_client *t);

/* Sends a command and waits for its answer: whole lines, without the empty line that ends it. The
 * caller frees *answer. Connects again if zproxy has closed the connection. Returns 0 or -errno. */
int control_client_request(struct control_client *t, bool json, const char *command, char **answer);

/* Whether the answer reports that the command failed. */
bool control_client_has_failed(const char *answer, bool json);

/* Prints the answer to standard output, errors to standard error. */
void control_client_print(const char *answer, bool json);

#endif
