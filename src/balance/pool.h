/* The servers of a pool and the policy that chooses among them. Shared by all workers. */
#ifndef ZPROXY_BALANCE_POOL_H
#define ZPROXY_BALANCE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/backend.h"
#include "config/config.h"

struct pool;

/* The servers that a session has tried without success: they are not picked again. */
struct pool_tried {
    uint16_t count;
    uint16_t index[]; /* of the pool's servers; room for as many as there may be attempts */
};

/* conf must outlive the pool. NULL when out of memory. */
struct pool *pool_new(const struct config_pool *conf);
void pool_free(struct pool *p);

const struct config_pool *pool_conf(const struct pool *p);

/* The next server with a place for a session, by the pool's policy; backups only when no other can
 * be had. The place is taken: give it back with backend_release(). tried may be NULL. NULL when
 * there is none. */
struct backend *pool_pick(struct pool *p, const struct pool_tried *tried);

/* Remembers that b has been tried; *tried is NULL at first and freed by the caller. Returns 0 or
 * -ENOMEM. */
int pool_mark_tried(const struct pool *p, struct pool_tried **tried, const struct backend *b);

/* Whether the pool has one server alone that new sessions may be sent to. */
bool pool_has_one(const struct pool *p);

#endif
