/* How the sessions of a listener have ended, for each pool that its clients can reach: routes and
 * fallbacks included. Outlives configurations, as the listener's entrance does; a pool that no
 * configuration reaches from the listener any more is forgotten. */
#ifndef ZPROXY_SESSION_END_COUNTS_H
#define ZPROXY_SESSION_END_COUNTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "balance/pool.h"
#include "session/session_end.h"

struct end_counts {
    LIST_ENTRY(end_counts) in_listener_state;
    unsigned users; /* services */
    char *pool;     /* its name */
    struct counter ended[SESSION_ENDS];
};

LIST_HEAD(end_counts_list, end_counts);

/* Of the pools of one service, sorted by their addresses. */
struct end_counts_entry {
    const struct pool *pool;
    struct end_counts *counts;
};

/* Those for these pools, of which any may be named several times: the counts that are in the list,
 * used once more, or new ones. Sorts the table and returns how many are left of it; or -ENOMEM. For
 * the control thread, likewise end_counts_put(). */
int end_counts_get(struct end_counts_list *all, struct end_counts_entry *table, size_t count);
void end_counts_put(struct end_counts_entry *table, size_t count);

/* From any thread. A pool that is not in the table, which a later configuration has made a
 * fallback, counts as `otherwise`. */
void end_counts_add(const struct end_counts_entry *table, size_t count, const struct pool *p,
                    const struct pool *default_pool, enum session_end why);

/* NULL: there are none for a pool of this name. */
struct end_counts *end_counts_find(const struct end_counts_list *all, const char *pool);

#endif
