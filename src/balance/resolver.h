/* Names in server lines: looked up when they are new and again when their answers run out, their
 * addresses put into the pools. All on the control thread and its loop.
 *
 * A failure changes nothing: the last good addresses stay in use. So they do for resolve_hold after
 * an answer that says that there is nothing; then they go (event=resolve_expired). Either is logged
 * once when it begins (event=resolve_failed) and once when it is over (event=resolved), which is
 * also logged when the addresses have changed.
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
    /* Whether zproxy may connect there: it must not reach a socket that it listens on itself. */
    bool (*usable)(void *arg, const struct pool *p, const struct addr *a);
    /* Every name has had its first answer or failure; each time that this has become true. */
    void (*ready)(void *arg);
};

/* What is known of a name. Times in ms of the loop's clock. */
struct resolver_state {
    const struct pool *pool;
    const char *server; /* how the server line calls itself */
    const char *host;   /* what is asked for */
    bool service;       /* its SRV records, otherwise A and AAAA */
    uint64_t answered;  /* when there was an answer without fault; 0: never */
    uint64_t next;      /* when it is asked again; 0: it is being asked */
    const char *error;  /* of the last answer, NULL: none. Good until the loop runs again */
    size_t addresses;   /* in use */
    uint64_t
        held_until; /* when addresses go that, as an answer says, there are not any more; 0: none */
    bool all_held;  /* and that these are all that it has */
};

/* Whether this build can resolve names, and the version of the library that does it. */
bool resolver_is_built(void);
const char *resolver_version(void);

/* Reads resolv.conf, unless conf has name servers. conf is copied. Returns 0 or -errno; -ENOSYS in
 * a build that cannot resolve. */
int resolver_new(struct resolver **out, uv_loop_t *loop, const struct config_global *conf,
                 const struct resolver_ops *ops, void *arg);
/* Ends all look-ups; memory goes when the loop runs on. */
void resolver_close(struct resolver *r);

/* New settings; resolv.conf is read again where it can be (chroot may hide it), and all names are
 * asked for at once; questions on their way go on. Returns 0, or -errno: then the name servers are
 * those of before. */
int resolver_configure(struct resolver *r, const struct config_global *conf);

/* Takes over the names in the pool's current settings; what is known of those that stay is kept,
 * and put in force. Returns 0, or -ENOMEM with some of them missing. */
int resolver_sync(struct resolver *r, struct pool *pool);
/* Before a pool is freed. */
void resolver_remove_pool(struct resolver *r, const struct pool *pool);

/* Whether every name has had its first answer or failure. */
bool resolver_ready(const struct resolver *r);

/* What is known of each name, in the order in which they came to be. */
typedef void resolver_each_fn(void *arg, const struct resolver_state *state);
void resolver_each(const struct resolver *r, resolver_each_fn *each, void *arg);

/* When a server of a pool goes whose name has no address any more, as an answer says; 0: it does
 * not. */
uint64_t resolver_held_until(const struct resolver *r, const struct pool *pool,
                             const struct addr *at);

#endif
