/* Resolves the names in server lines and sets their addresses in the pools. A name is looked up
 * when it is new, and again when its answers expire. For the control thread, on its loop.
 *
 * After a failure the last addresses stay in use. After an answer without records they stay for
 * resolve_hold, and are then dropped (event=resolve_expired). Either is logged once when it begins
 * (event=resolve_failed) and once when it ends (event=resolved). A change of the addresses is also
 * logged as event=resolved.
 */
#ifndef ZPROXY_BALANCE_RESOLVER_H
#define ZPROXY_BALANCE_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "balance/pool.h"
#include "base/addr.h"
#include "config/config.h"

struct resolver;

struct resolver_ops {
    /* Whether zproxy may connect to the address; it must not connect to its own listening sockets.
     */
    bool (*usable)(void *arg, const struct pool *p, const struct addr *a);
    /* Called each time resolver_ready() becomes true. */
    void (*ready)(void *arg);
};

/* The state of a name. Times are ms of the loop. */
struct resolver_state {
    const struct pool *pool;
    const char *server;  /* name of the server line */
    const char *host;    /* the name to resolve */
    bool service;        /* true: SRV records; false: A and AAAA */
    uint64_t answered;   /* the last round without error; 0: none */
    uint64_t next;       /* the next round; 0: a round is running */
    const char *error;   /* of the last round, valid until the loop runs again; NULL: none */
    size_t addresses;    /* number of addresses in use */
    uint64_t held_until; /* when held addresses are dropped; 0: none are held */
    bool all_held;       /* held_until applies to all addresses */
};

/* Whether this build can resolve names, and the version of c-ares. */
bool resolver_is_built(void);
const char *resolver_version(void);

/* Makes a resolver. Reads resolv.conf unless conf has name servers; copies what it needs of conf.
 * Returns 0 or -errno; -ENOSYS in a build without c-ares. */
int resolver_new(struct resolver **out, uv_loop_t *loop, const struct config_global *conf,
                 const struct resolver_ops *ops, void *arg);
/* Ends all lookups. Memory is freed in the close callbacks of the loop. */
void resolver_close(struct resolver *r);

/* Applies new settings. Reads resolv.conf again if it is there (chroot may hide it), and looks up
 * all names at once; questions in flight go on. Returns 0, or -errno and the name servers stay. */
int resolver_configure(struct resolver *r, const struct config_global *conf);

/* Adapts the names to the pool's current settings. Names that stay keep their addresses, which are
 * set in the pool again. Returns 0, or -ENOMEM and some names are missing. */
int resolver_sync(struct resolver *r, struct pool *pool);
/* Must be called before a pool is freed. */
void resolver_remove_pool(struct resolver *r, const struct pool *pool);

/* Whether every name has had its first answer or failure. */
bool resolver_ready(const struct resolver *r);

/* Whether a name of the pool has had neither an answer nor a failure yet. */
bool resolver_pool_waits(const struct resolver *r, const struct pool *pool);

/* Calls each() with the state of each name, in the order of their creation. */
typedef void resolver_each_fn(void *arg, const struct resolver_state *state);
void resolver_each(const struct resolver *r, resolver_each_fn *each, void *arg);

/* When the server of a pool at this address is dropped because its name has no records any more; 0:
 * it is not. */
uint64_t resolver_held_until(const struct resolver *r, const struct pool *pool,
                             const struct addr *at);

#endif
