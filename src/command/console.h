/* The control socket of the process, and what its commands need. */
#ifndef ZPROXY_COMMAND_CONSOLE_H
#define ZPROXY_COMMAND_CONSOLE_H

#include "control/runtime.h"

/* Makes it; the socket itself comes and goes with configurations. Returns 0 or -errno. */
int console_open(struct runtime *rt);

/* The loop is closed, all workers have been joined. May be called without console_open(). */
void console_fini(struct runtime *rt);

#endif
