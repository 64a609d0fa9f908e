#include "config/raw_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

/* One line of a file: the values of a key that it has become. */
struct line {
    size_t index;          /* of the section among those of its kind */
    const struct key *key; /* the row of the list, where several add to it */
    struct config_raw_text raw_text;
};

/* The lines of one kind of section, sorted by the fields above and the first item. A file adds to
 * the section that it is in, so that a new line is at the end or near it. */
struct section_lines {
    struct line *line;
    size_t count;
};

struct raw_text {
    struct section_lines section_lines[SECTION_KINDS];
};

static struct section_lines *raw_text_lines_of(const struct config *c, const struct section *s)
{
    return &c->raw_text->section_lines[s - keys_sections];
}

static size_t raw_text_section_index(const struct config *c, const struct section *s,
                                     const void *at)
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
    return l->raw_text.first <= item;
}

/* How many lines are up to that item. */
static size_t count_up_to(const struct section_lines *section_lines, size_t index,
                          const struct key *k, size_t item)
{
    size_t low = 0;
    size_t high = section_lines->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_up_to(&section_lines->line[middle], index, k, item))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int raw_text_insert(struct section_lines *section_lines, const struct line *l)
{
    size_t location = count_up_to(section_lines, l->index, l->key, l->raw_text.first);
    size_t after = section_lines->count - location;
    if (array_add(&section_lines->line, &section_lines->count, sizeof *l) == NULL)
        return -ENOMEM;
    memmove(&section_lines->line[location + 1], &section_lines->line[location], after * sizeof *l);
    section_lines->line[location] = *l;
    return 0;
}

int raw_text_add(struct config *c, const struct section *s, const void *at, const struct key *k,
                 size_t count, const char *text)
{
    if (count == 0)
        return 0;
    if (c->raw_text == NULL && (c->raw_text = calloc(1, sizeof *c->raw_text)) == NULL)
        return -ENOMEM;
    const struct line l = {
        .index = raw_text_section_index(c, s, at),
        .key = keys_list_row(k),
        .raw_text = {
            .name = k->name,
            .first = k->list.size > 0 ? keys_item_count(k, at) - count : 0,
            .count = count,
            .text = strdup(text),
        },
    };
    if (l.raw_text.text != NULL && raw_text_insert(raw_text_lines_of(c, s), &l) == 0)
        return 0;
    free(l.raw_text.text);
    return -ENOMEM;
}

const struct config_raw_text *raw_text_find(const struct config *c, const struct section *s,
                                            const void *at, const struct key *k, size_t item)
{
    if (c->raw_text == NULL)
        return NULL;
    const struct section_lines *section_lines = raw_text_lines_of(c, s);
    size_t index = raw_text_section_index(c, s, at);
    size_t before = count_up_to(section_lines, index, keys_list_row(k), item);
    const struct line *l = before == 0 ? NULL : &section_lines->line[before - 1];
    if (l == NULL || l->index != index || l->key != keys_list_row(k) ||
        item >= l->raw_text.first + l->raw_text.count)
        return NULL;
    return &l->raw_text;
}

void raw_text_remove(struct config *c, const struct section *s, const void *at, const struct key *k)
{
    if (c->raw_text == NULL)
        return;
    struct section_lines *section_lines = raw_text_lines_of(c, s);
    size_t index = raw_text_section_index(c, s, at);
    size_t end = count_up_to(section_lines, index, keys_list_row(k), SIZE_MAX);
    size_t first = end;
    while (first > 0 && section_lines->line[first - 1].index == index &&
           section_lines->line[first - 1].key == keys_list_row(k))
        free(section_lines->line[--first].raw_text.text);
    if (first < end)
        memmove(&section_lines->line[first], &section_lines->line[end],
                (section_lines->count - end) * sizeof *section_lines->line);
    section_lines->count -= end - first;
}

void raw_text_free(struct config *c)
{
    for (size_t k = 0; c->raw_text != NULL && k < SECTION_KINDS; k++) {
        for (size_t i = 0; i < c->raw_text->section_lines[k].count; i++)
            free(c->raw_text->section_lines[k].line[i].raw_text.text);
        free(c->raw_text->section_lines[k].line);
    }
    free(c->raw_text);
}
