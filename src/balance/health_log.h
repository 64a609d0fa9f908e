/* What is logged of checks. */
#ifndef ZPROXY_BALANCE_HEALTH_LOG_H
#define ZPROXY_BALANCE_HEALTH_LOG_H

#include "balance/check_result.h"
#include "balance/pool.h"
#include "balance/server.h"

/* The server went up or down: result->up and result->why. Says so also where it was the pool's last
 * one, or is its first. */
void health_log_changed(const struct pool *p, const struct server *srv,
                        const struct check_result *result);

/* A check has failed, whatever follows from it: for who debugs checks. */
void health_log_failed(const struct pool *p, const struct server *srv,
                       const struct check_result *result);

#endif
