#include "config/written.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/array.h"

/* One line of a file: the values of a key that it has become. */
struct line {
    size_t index;          /* of the section among those of its kind */
    const struct key *key; /* the row of the list, where several add to it */
    struct config_written written;
};

/* The lines of one kind of section, sorted by the fields above and the first item. A file adds to
 * the section that it is in, so that a new line is at the end or near it. */
struct kind {
    struct line *line;
    size_t count;
};

struct written {
    struct kind kind[SECTION_KINDS];
};

static struct kind *kind_of(const struct config *c, const struct section *s)
{
    return &c->written->kind[s - keys_sections];
}

static size_t index_of(const struct config *c, const struct section *s, const void *at)
{
    if (s->list.size == 0)
        return 0;
    return (size_t)((const char *)at - (const char *)keys_section_at(s, c, 0)) / s->list.size;
}

/* Whether l is of an earlier section or key, or of the same and no later item. */
static bool is_up_to(const struct line *l, size_t index, const struct key *k, size_t item)
{
    if (l->index != index)
        return l->index < index;
    if (l->key != k)
        return l->key < k;
    return l->written.first <= item;
}

/* How many lines are up to that item. */
static size_t count_up_to(const struct kind *kind, size_t index, const struct key *k, size_t item)
{
    size_t low = 0;
    size_t high = kind->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_up_to(&kind->line[middle], index, k, item))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int insert(struct kind *kind, const struct line *l)
{
    size_t place = count_up_to(kind, l->index, l->key, l->written.first);
    size_t after = kind->count - place;
    if (array_add(&kind->line, &kind->count, sizeof *l) == NULL)
        return -ENOMEM;
    memmove(&kind->line[place + 1], &kind->line[place], after * sizeof *l);
    kind->line[place] = *l;
    return 0;
}

int written_add(struct config *c, const struct section *s, const void *at, const struct key *k,
                size_t count, const char *text)
{
    if (count == 0)
        return 0;
    if (c->written == NULL && (c->written = calloc(1, sizeof *c->written)) == NULL)
        return -ENOMEM;
    const struct line l = {
        .index = index_of(c, s, at),
        .key = keys_list(k),
        .written = {
            .name = k->name,
            .first = k->list.size > 0 ? keys_count(k, at) - count : 0,
            .count = count,
            .text = strdup(text),
        },
    };
    if (l.written.text != NULL && insert(kind_of(c, s), &l) == 0)
        return 0;
    free(l.written.text);
    return -ENOMEM;
}

const struct config_written *written_find(const struct config *c, const struct section *s,
                                          const void *at, const struct key *k, size_t item)
{
    if (c->written == NULL)
        return NULL;
    const struct kind *kind = kind_of(c, s);
    size_t index = index_of(c, s, at);
    size_t before = count_up_to(kind, index, keys_list(k), item);
    const struct line *l = before == 0 ? NULL : &kind->line[before - 1];
    if (l == NULL || l->index != index || l->key != keys_list(k) ||
        item >= l->written.first + l->written.count)
        return NULL;
    return &l->written;
}

void written_drop(struct config *c, const struct section *s, const void *at, const struct key *k)
{
    if (c->written == NULL)
        return;
    struct kind *kind = kind_of(c, s);
    size_t index = index_of(c, s, at);
    size_t end = count_up_to(kind, index, keys_list(k), SIZE_MAX);
    size_t first = end;
    while (first > 0 && kind->line[first - 1].index == index &&
           kind->line[first - 1].key == keys_list(k))
        free(kind->line[--first].written.text);
    if (first < end)
        memmove(&kind->line[first], &kind->line[end], (kind->count - end) * sizeof *kind->line);
    kind->count -= end - first;
}

void written_free(struct config *c)
{
    for (size_t k = 0; c->written != NULL && k < SECTION_KINDS; k++) {
        for (size_t i = 0; i < c->written->kind[k].count; i++)
            free(c->written->kind[k].line[i].written.text);
        free(c->written->kind[k].line);
    }
    free(c->written);
}
