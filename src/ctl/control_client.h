/* The connection of zproxyctl to the control socket of zproxy: sends commands, reads answers. */
#ifndef ZPROXY_CTL_CONTROL_CLIENT_H
#define ZPROXY_CTL_CONTROL_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define CONTROL_CLIENT_SOCKET "/run/zproxy/zproxy.sock"

struct control_client {
    const char *path;
    FILE *stream;     /* NULL: not connected */
    uint64_t timeout; /* ms for an answer; 0: none */
};

/* path must outlive the connection; "unix:@name" is an abstract socket. Returns 0 or -errno. */
int control_client_open(struct control_client *t, const char *path);
void control_client_close(struct control_client *t);

/* Limits the time for an answer; a request that takes longer returns -ETIMEDOUT. */
void control_client_set_timeout(struct control_client *t, uint64_t ms);

/* Returns the process that answers, as it is numbered here; 0: unknown. */
pid_t control_client_peer(const struct control_client *t);

/* Waits for `ms` until zproxy closes the connection. Returns whether it has. */
bool control_client_await_end(const struct control_client *t, uint64_t ms);

/* Sends a command and waits for its answer: whole lines, without the empty line that ends it. The
 * caller frees *answer. Connects again if zproxy has closed the connection. Returns 0 or -errno. */
int control_client_request(struct control_client *t, bool json, const char *command, char **answer);

/* Whether the answer reports that the command failed. */
bool control_client_has_failed(const char *answer, bool json);

/* Prints the answer to standard output, errors to standard error. */
void control_client_print(const char *answer, bool json);

#endif
