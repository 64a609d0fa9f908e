#include "config/table.h"

#include <stdlib.h>

bool table_init(struct table *t, size_t count, table_compare_fn *compare)
{
    t->entry = calloc(count == 0 ? 1 : count, sizeof *t->entry);
    t->count = 0;
    t->compare = compare;
    return t->entry != NULL;
}

void table_add(struct table *t, const void *what, size_t section, size_t item)
{
    t->entry[t->count++] = (struct table_entry){ what, section, item };
}

int table_order(const struct table_entry *a, const struct table_entry *b)
{
    if (a->section != b->section)
        return a->section < b->section ? -1 : 1;
    return a->item == b->item ? 0 : a->item < b->item ? -1 : 1;
}

/* Of equals, the one that stands first in the file comes first. */
static int compare_entries(const void *a, const void *b, void *compare)
{
    const struct table_entry *ea = a;
    const struct table_entry *eb = b;
    table_compare_fn *const *by = compare;
    int order = (*by)(ea->what, eb->what);
    return order != 0 ? order : table_order(ea, eb);
}

void table_sort(struct table *t)
{
    qsort_r(t->entry, t->count, sizeof *t->entry, compare_entries, &t->compare);
}

void table_fini(struct table *t)
{
    free(t->entry);
}

const struct table_entry *table_find(const struct table *t, const void *what)
{
    size_t low = 0;
    size_t high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->compare(t->entry[middle].what, what) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == t->count || t->compare(t->entry[low].what, what) != 0)
        return NULL;
    return &t->entry[low];
}

const struct table_entry *table_find_earlier(const struct table *t, const void *what,
                                             size_t section, size_t item)
{
    const struct table_entry *first = table_find(t, what);
    if (first == NULL || (first->section == section && first->item == item))
        return NULL;
    return first;
}
