/* The zproxy process: its start, its signals, its end. Runs on the main thread, which becomes the
 * control thread. */
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
    const char *file;     /* path of the configuration file; reloads read it again */
    struct config *conf;  /* loaded from that file; proxy_run() frees it */
    const char *pid_file; /* from the command line, or NULL */
    char *const *argv;    /* as main() got it; upgrades run it again */
};

/* Starts the process, or takes over from an older one (handover/upgrade.h), relays until it is told
 * to stop, drains and frees everything. Returns the exit status; does not return after an upgrade.
 * A failure to start is one line on stderr. */
enum proxy_status proxy_run(const struct proxy_setup *setup);

#endif
