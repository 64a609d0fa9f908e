/* Sorted tables: what occurs twice is found without comparing each with each. */
#ifndef ZPROXY_CONFIG_TABLE_H
#define ZPROXY_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* Something with a name or address, and where it stands. */
struct table_entry {
    const void *what;
    size_t section; /* its section, and which item there it is */
    size_t item;
};

typedef int table_compare_fn(const void *a, const void *b);

struct table {
    struct table_entry *entry;
    size_t count;
    table_compare_fn *compare; /* what with what */
};

/* Makes room for up to count entries; false where there is no memory. What is added belongs to the
 * caller and outlives the table, which is searched once it has been sorted. */
bool table_init(struct table *t, size_t count, table_compare_fn *compare);
void table_add(struct table *t, const void *what, size_t section, size_t item);
void table_sort(struct table *t);
void table_fini(struct table *t);

/* Of equals, the one that stands first in the file; NULL where there is none. */
const struct table_entry *table_find(const struct table *t, const void *what);
/* The same, NULL where that is the one of this section and item itself. */
const struct table_entry *table_find_earlier(const struct table *t, const void *what,
                                             size_t section, size_t item);

/* By place: below 0 where a stands first. */
int table_order(const struct table_entry *a, const struct table_entry *b);

#endif
