/* Answers HTTP requests for /metrics, /healthz, /stats.json and the status page. For the control
 * thread. */
#ifndef ZPROXY_METRICS_WEB_H
#define ZPROXY_METRICS_WEB_H

#include "control/runtime.h"

/* Sets rt->web and rt->http. Configurations open and close the listening socket. Call before
 * chroot(2). Returns 0 or -errno. */
int web_open(struct runtime *rt);

/* Call after the loop is closed, when no scan of sessions can call back. May be called without
 * web_open(). */
void web_fini(struct runtime *rt);

#endif
