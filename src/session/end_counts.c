#include "session/end_counts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int end_counts_compare(const void *a, const void *b)
{
    const struct pool *left = ((const struct end_counts_entry *)a)->pool;
    const struct pool *right = ((const struct end_counts_entry *)b)->pool;
    return left < right ? -1 : left > right;
}

static size_t remove_duplicates(struct end_counts_entry *table, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || table[kept - 1].pool != table[i].pool)
            table[kept++] = table[i];
    return kept;
}

struct end_counts *end_counts_find(const struct end_counts_list *all, const char *pool)
{
    struct end_counts *c;
    LIST_FOREACH(c, all, in_listener_state)
        if (strcmp(c->pool, pool) == 0)
            return c;
    return NULL;
}

static struct end_counts *end_counts_new(struct end_counts_list *all, const char *pool)
{
    struct end_counts *c = calloc(1, sizeof *c);
    if (c == NULL || (c->pool = strdup(pool)) == NULL) {
        free(c);
        return NULL;
    }
    LIST_INSERT_HEAD(all, c, in_listener_state);
    return c;
}

static void end_counts_unref(struct end_counts *c)
{
    if (c == NULL || --c->users > 0)
        return;
    LIST_REMOVE(c, in_listener_state);
    free(c->pool);
    free(c);
}

void end_counts_put(struct end_counts_entry *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        end_counts_unref(table[i].counts);
}

int end_counts_get(struct end_counts_list *all, struct end_counts_entry *table, size_t count)
{
    qsort(table, count, sizeof *table, end_counts_compare);
    count = remove_duplicates(table, count);
    for (size_t i = 0; i < count; i++) {
        const char *name = pool_name(table[i].pool);
        struct end_counts *c = end_counts_find(all, name);
        table[i].counts = c != NULL ? c : end_counts_new(all, name);
        if (table[i].counts == NULL) {
            end_counts_put(table, i);
            return -ENOMEM;
        }
        table[i].counts->users++;
    }
    return (int)count;
}

static const struct end_counts_entry *end_counts_find_pool(const struct end_counts_entry *table,
                                                           size_t count, const struct pool *p)
{
    const struct end_counts_entry key = { .pool = p };
    return bsearch(&key, table, count, sizeof *table, end_counts_compare);
}

void end_counts_add(const struct end_counts_entry *table, size_t count, const struct pool *p,
                    const struct pool *default_pool, enum session_end why)
{
    const struct end_counts_entry *found = end_counts_find_pool(table, count, p);
    if (found == NULL)
        found = end_counts_find_pool(table, count, default_pool);
    if (found != NULL)
        counter_add_shared(&found->counts->ended[why], 1);
}
