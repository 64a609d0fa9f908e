#include "config/written.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "config/array.h"

static size_t index_of(const struct config *c, const struct section *s, const void *at)
{
    if (s->list.size == 0)
        return 0;
    return (size_t)((const char *)at - (const char *)keys_section_at(s, c, 0)) / s->list.size;
}

static bool is_of(const struct config_written *w, const struct section *s, size_t index,
                  const struct key *k)
{
    return w->section == s && w->index == index && w->key == keys_list(k);
}

int written_add(struct config *c, const struct section *s, const void *at, const struct key *k,
                size_t count, const char *text)
{
    char *copy = strdup(text);
    struct config_written *w =
        copy == NULL ? NULL : array_add(&c->written, &c->written_count, sizeof *w);
    if (w == NULL) {
        free(copy);
        return -ENOMEM;
    }
    *w = (struct config_written){
        .section = s,
        .index = index_of(c, s, at),
        .key = keys_list(k),
        .name = k->name,
        .first = k->list.size > 0 ? keys_count(k, at) - count : 0,
        .count = count,
        .text = copy,
    };
    return 0;
}

const struct config_written *written_find(const struct config *c, const struct section *s,
                                          const void *at, const struct key *k, size_t item)
{
    if (c->written_count == 0)
        return NULL;
    size_t index = index_of(c, s, at);
    for (size_t i = 0; i < c->written_count; i++) {
        const struct config_written *w = &c->written[i];
        if (is_of(w, s, index, k) && item >= w->first && item < w->first + w->count)
            return w;
    }
    return NULL;
}

void written_drop(struct config *c, const struct section *s, const void *at, const struct key *k)
{
    size_t kept = 0;
    if (c->written_count == 0)
        return;
    size_t index = index_of(c, s, at);
    for (size_t i = 0; i < c->written_count; i++) {
        if (is_of(&c->written[i], s, index, k))
            free(c->written[i].text);
        else
            c->written[kept++] = c->written[i];
    }
    c->written_count = kept;
}

void written_free(struct config *c)
{
    for (size_t i = 0; i < c->written_count; i++)
        free(c->written[i].text);
    free(c->written);
}
