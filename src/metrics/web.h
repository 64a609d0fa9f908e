/* What is told by HTTP: /metrics, /healthz, /stats.json and the status page. For the control
 * thread. */
#ifndef ZPROXY_METRICS_WEB_H
#define ZPROXY_METRICS_WEB_H

#include "control/runtime.h"

/* Makes it; the socket comes and goes with configurations. Before chroot. Returns 0 or -errno. */
int web_open(struct runtime *rt);

/* The loop is closed, all workers have been joined, and the survey desk is gone. May be called
 * without web_open(). */
void web_fini(struct runtime *rt);

#endif
