/* Sorted tables: what occurs twice is found without comparing each with each. */
#ifndef ZPROXY_CONFIG_SORTED_TABLE_H
#define ZPROXY_CONFIG_SORTED_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* Something with a name or address, and where it stands. */
struct sorted_table_entry {
    const void *key;
    size_t section; /* its section, and which item there it is */
    size_t item;
};

typedef int sorted_table_compare_fn(const void *a, const void *b);

struct sorted_table {
    struct sorted_table_entry *entry;
    size_t count;
    sorted_table_compare_fn *compare; /* what with what */
};

/* Makes room for up to count entries; false where there is no memory. What is added belongs to the
 * caller and outlives the table, which is searched once it has been sorted. */
bool sorted_table_init(struct sorted_table *t, size_t count, sorted_table_compare_fn *compare);
void sorted_table_add(struct sorted_table *t, const void *key, size_t section, size_t item);
void sorted_table_sort(struct sorted_table *t);
void sorted_table_fini(struct sorted_table *t);

/* Of equals, the one that stands first in the file; NULL where there is none. */
const struct sorted_table_entry *sorted_table_find(const struct sorted_table *t, const void *key);
/* The same, NULL where that is the one of this section and item itself. */
const struct sorted_table_entry *sorted_table_find_earlier(const struct sorted_table *t,
                                                           const void *key, size_t section,
                                                           size_t item);

/* By place: below 0 where a stands first. */
int sorted_table_compare_positions(const struct sorted_table_entry *a,
                                   const struct sorted_table_entry *b);

#endif
