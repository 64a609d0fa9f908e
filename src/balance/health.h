/* Active checks: the servers of the pools are probed again and again, and the verdicts go to the
 * pools.
 *
 * For the control thread, on its loop. All servers together have two handles of the loop: a timer
 * that turns a wheel, and a poll handle for an epoll set with the probes' sockets. So a probe costs
 * one epoll_ctl(2) and no memory, and what is known of a server goes at once when the server goes,
 * where a handle of its own would have to be closed first.
 */
#ifndef ZPROXY_BALANCE_HEALTH_H
#define ZPROXY_BALANCE_HEALTH_H

#include <stdbool.h>
#include <uv.h>

#include "balance/health_state.h"
#include "balance/pool.h"
#include "balance/server.h"

struct health;

/* A server of a pool with on_down = close went down: close its sessions. The last that is done
 * about the server, so that it may change the pool. */
typedef void health_went_down_fn(void *arg, struct pool *p, struct server *srv);

/* Returns 0 or -errno. */
int health_new(struct health **out, uv_loop_t *loop, health_went_down_fn *went_down, void *arg);

/* Makes the checks fit the pool's servers and settings: to be called when the pool is new, and each
 * time that they have changed, before the next pool_tidy(). The settings outlive that. What is
 * known of servers that stay is kept. New ones, and all of a pool whose settings are new, are
 * probed within a second. Without checks every server is up. Returns 0, or -ENOMEM with some
 * servers not checked. */
int health_sync(struct health *h, struct pool *p);

/* Whether the pool's servers are checked, also where it has none now. */
bool health_is_checked(const struct health *h, const struct pool *p);

/* Ends the checks of a pool that will be freed, or whose settings will. */
void health_remove_pool(struct health *h, const struct pool *p);

/* What is known of a server of the pool; NULL: it is not checked. Good until the next call. */
const struct health_state *health_find_state(const struct health *h, const struct pool *p,
                                             const struct server *srv);

/* What another process has found out about a server. Without checks of it nothing happens. */
void health_restore(struct health *h, const struct pool *p, const struct server *srv,
                    const struct health_state *state);

/* Ends all checks. The memory is freed when the loop has run its close callbacks. h may be NULL. */
void health_close(struct health *h);

#endif
