/* Counts how the sessions of a listener have ended, for each pool that its clients can reach, by
 * routes and fallbacks too. The listener_state keeps the counts over reloads; those of a pool that
 * no configuration reaches from the listener any more are freed. */
#ifndef ZPROXY_SESSION_END_COUNTS_H
#define ZPROXY_SESSION_END_COUNTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "balance/pool.h"
#include "session/session_end.h"

struct end_counts {
    LIST_ENTRY(end_counts) in_listener_state;
    unsigned users; /* frontends */
    char *pool;     /* its name */
    struct counter ended[SESSION_ENDS];
};

LIST_HEAD(end_counts_list, end_counts);

/* An entry of the table of a frontend, which is sorted by the pointers to the pools. */
struct end_counts_entry {
    const struct pool *pool;
    struct end_counts *counts;
};

/* Gives each entry of the table a reference to the counts of its pool, which are made if the list
 * does not have them. A pool may be in the table several times: the table is sorted and duplicates
 * are removed. Returns the number of entries that are left, or -ENOMEM. Get and put are for the
 * control thread. */
int end_counts_get(struct end_counts_list *all, struct end_counts_entry *table, size_t count);
void end_counts_put(struct end_counts_entry *table, size_t count);

/* Counts an end. From any thread. A pool that is not in the table, because a later configuration
 * made it a fallback, counts as default_pool. */
void end_counts_add(const struct end_counts_entry *table, size_t count, const struct pool *p,
                    const struct pool *default_pool, enum session_end why);

/* NULL: there are no counts of a pool of this name. */
struct end_counts *end_counts_find(const struct end_counts_list *all, const char *pool);

#endif
