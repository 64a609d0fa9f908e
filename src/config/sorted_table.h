/* Sorted tables of names or addresses of a configuration, to find those given twice in O(n log n).
 */
#ifndef ZPROXY_CONFIG_SORTED_TABLE_H
#define ZPROXY_CONFIG_SORTED_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* A name or address, and its place: the index of its section, and of its item there. */
struct sorted_table_entry {
    const void *key;
    size_t section;
    size_t item;
};

/* Compares two keys: below, equal to or above 0. */
typedef int sorted_table_compare_fn(const void *a, const void *b);

/* For keys that are strings. */
int sorted_table_compare_names(const void *a, const void *b);

struct sorted_table {
    struct sorted_table_entry *entry;
    size_t count;
    sorted_table_compare_fn *compare;
};

/* Use: init, add up to count entries, sort, find, fini. Keys belong to the caller and outlive the
 * table. sorted_table_init() returns false when out of memory. */
bool sorted_table_init(struct sorted_table *t, size_t count, sorted_table_compare_fn *compare);
void sorted_table_add(struct sorted_table *t, const void *key, size_t section, size_t item);
void sorted_table_sort(struct sorted_table *t);
void sorted_table_fini(struct sorted_table *t);

/* The first entry, by place, with an equal key; or NULL. */
const struct sorted_table_entry *sorted_table_find(const struct sorted_table *t, const void *key);
/* The same, but NULL if that entry has this place itself. */
const struct sorted_table_entry *sorted_table_find_earlier(const struct sorted_table *t,
                                                           const void *key, size_t section,
                                                           size_t item);

/* Compares places: below 0 if a comes first. */
int sorted_table_compare_positions(const struct sorted_table_entry *a,
                                   const struct sorted_table_entry *b);

#endif
