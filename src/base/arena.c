#include "base/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (32 * 1024)

struct arena_chunk {
    struct arena_chunk *prev;
    size_t size;
    char bytes[];
};

static int arena_grow(struct arena *a, size_t least)
{
    size_t size = least > CHUNK ? least : CHUNK;
    struct arena_chunk *c = malloc(sizeof *c + size);
    if (c == NULL)
        return -ENOMEM;
    c->prev = a->chunk;
    c->size = size;
    a->chunk = c;
    a->available = size;
    return 0;
}

char *arena_strdup(struct arena *a, const char *text)
{
    size_t size = strlen(text) + 1;
    if (size > a->available && arena_grow(a, size) < 0)
        return NULL;
    char *copy = a->chunk->bytes + (a->chunk->size - a->available);
    memcpy(copy, text, size);
    a->available -= size;
    return copy;
}

void arena_fini(struct arena *a)
{
    struct arena_chunk *c = a->chunk;
    while (c != NULL) {
        struct arena_chunk *prev = c->prev;
        free(c);
        c = prev;
    }
    *a = (struct arena){ .chunk = NULL };
}
