/* Active checks: probes the servers of the pools at their intervals, and tells the pools which
 * servers are up.
 *
 * For the control thread, on its loop. All checks share two handles of the loop: a timer for a
 * timer wheel, and a poll handle for an epoll set with the sockets of the probes. So a probe costs
 * one epoll_ctl(2) and no memory, and a check is freed with its server; a handle would have to be
 * closed first.
 */
#ifndef ZPROXY_BALANCE_HEALTH_H
#define ZPROXY_BALANCE_HEALTH_H

#include <stdbool.h>
#include <uv.h>

#include "balance/health_state.h"
#include "balance/pool.h"
#include "balance/server.h"

struct health;

/* Called when a server of a pool with on_down = close went down; must close its sessions. The call
 * is the last step of the check, so the callback may change the pool. */
typedef void health_went_down_fn(void *arg, struct pool *p, struct server *srv);

/* Returns 0 or -errno. */
int health_new(struct health **out, uv_loop_t *loop, health_went_down_fn *went_down, void *arg);

/* Adapts the checks to the pool's servers and settings. Must be called for a new pool, and after
 * each change before the next pool_tidy(). The settings outlive the checks. Servers that stay keep
 * their state. New servers, and all servers of a pool with new settings, are probed within a
 * second. Without checks every server is up. Returns 0, or -ENOMEM and some servers are not
 * checked. */
int health_sync(struct health *h, struct pool *p);

/* Whether the pool has checks, even if it has no servers. */
bool health_is_checked(const struct health *h, const struct pool *p);

/* Ends the checks of a pool. Must be called before the pool or its settings are freed. */
void health_remove_pool(struct health *h, const struct pool *p);

/* Returns the state of a server, valid until the next call; NULL: not checked. */
const struct health_state *health_find_state(const struct health *h, const struct pool *p,
                                             const struct server *srv);

/* Sets the state that another process has found. Does nothing if the server is not checked. */
void health_restore(struct health *h, const struct pool *p, const struct server *srv,
                    const struct health_state *state);

/* Ends all checks. Memory is freed in the close callbacks of the loop. h may be NULL. */
void health_close(struct health *h);

#endif
