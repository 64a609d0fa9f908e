/* The whole program at work: workers, signals, drain. */
#ifndef ZPROXY_PROGRAM_PROXY_H
#define ZPROXY_PROGRAM_PROXY_H

#include "config/config.h"

/* Exit status of the program. */
enum proxy_status {
    PROXY_ENDED = 0,
    PROXY_BAD_CONFIG = 1,
    PROXY_CANNOT_START = 2,
};

struct proxy_setup {
    const char *file;     /* the configuration's, read again by reloads */
    struct config *conf;  /* read from it; taken over */
    const char *pid_file; /* from the command line, or NULL */
    char *const *argv;    /* as main() got it, for upgrades */
};

/* Starts everything, relays until it is told to stop, drains, and cleans up; or takes over from an
 * older process. What keeps it from starting is one line on stderr. */
enum proxy_status proxy_run(const struct proxy_setup *setup);

#endif
