/* The new process's side of an upgrade: takes everything over from the old program, at the other
 * end of a socket. Nothing is touched before the old one has given its word that it will not go on;
 * until then this process may end at any moment without harm. */
#ifndef ZPROXY_HANDOVER_HANDOVER_RECEIVE_H
#define ZPROXY_HANDOVER_HANDOVER_RECEIVE_H

#include "control/runtime.h"

/* The environment variable that names the socket: then there is something to take over. */
#define HANDOVER_ENVIRONMENT "ZPROXY_HANDOVER"

/* The socket's descriptor, or -1: an ordinary start. Takes the variable out of the environment. */
int handover_receive_socket(void);

/* Tells the old program why nothing is taken over. */
void handover_receive_refuse(int sock, const char *why);

/* Puts the old program's configuration in force here, with its sockets and sessions, for workers
 * that do not run yet; own is what the file says now. Returns 0, or -1 after having told the other
 * one, and errors, why not. */
int handover_receive(struct runtime *rt, int sock, struct config *file_config, FILE *errors);

#endif
