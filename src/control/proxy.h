/* The whole program at work: workers, signals, drain. */
#ifndef ZPROXY_CONTROL_PROXY_H
#define ZPROXY_CONTROL_PROXY_H

#include "config/config.h"

/* Exit status of the program. */
enum proxy_status {
    PROXY_ENDED = 0,
    PROXY_BAD_CONFIG = 1,
    PROXY_CANNOT_START = 2,
};

/* Starts everything, relays until it is told to stop, drains, and cleans up. conf: read from file,
 * which reloads read again; taken over. pid_file: from the command line, or NULL. What keeps it
 * from starting is one line on stderr. */
enum proxy_status proxy_run(const char *file, struct config *conf, const char *pid_file);

#endif
