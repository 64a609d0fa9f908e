#include "config/sorted_table.h"

#include <stdlib.h>
#include <string.h>

int sorted_table_compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

bool sorted_table_init(struct sorted_table *t, size_t count, sorted_table_compare_fn *compare)
{
    t->entry = calloc(count == 0 ? 1 : count, sizeof *t->entry);
    t->count = 0;
    t->compare = compare;
    return t->entry != NULL;
}

void sorted_table_add(struct sorted_table *t, const void *key, size_t section, size_t item)
{
    t->entry[t->count++] = (struct sorted_table_entry){ key, section, item };
}

int sorted_table_compare_positions(const struct sorted_table_entry *a,
                                   const struct sorted_table_entry *b)
{
    if (a->section != b->section)
        return a->section < b->section ? -1 : 1;
    return a->item == b->item ? 0 : a->item < b->item ? -1 : 1;
}

/* Orders by key, then by place. */
static int sorted_table_compare_entries(const void *a, const void *b, void *compare)
{
    const struct sorted_table_entry *ea = a;
    const struct sorted_table_entry *eb = b;
    sorted_table_compare_fn *const *by = compare;
    int order = (*by)(ea->key, eb->key);
    return order != 0 ? order : sorted_table_compare_positions(ea, eb);
}

void sorted_table_sort(struct sorted_table *t)
{
    qsort_r(t->entry, t->count, sizeof *t->entry, sorted_table_compare_entries, &t->compare);
}

void sorted_table_fini(struct sorted_table *t)
{
    free(t->entry);
}

const struct sorted_table_entry *sorted_table_find(const struct sorted_table *t, const void *key)
{
    size_t low = 0;
    size_t high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->compare(t->entry[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == t->count || t->compare(t->entry[low].key, key) != 0)
        return NULL;
    return &t->entry[low];
}

const struct sorted_table_entry *sorted_table_find_earlier(const struct sorted_table *t,
                                                           const void *key, size_t section,
                                                           size_t item)
{
    const struct sorted_table_entry *first = sorted_table_find(t, key);
    if (first == NULL || (first->section == section && first->item == item))
        return NULL;
    return first;
}
