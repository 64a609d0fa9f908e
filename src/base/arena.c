#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK (32 * 1024)

struct arena_chunk {
    struct arena_chunk *before;
    size_t size;
    char bytes[];
};

static int grow(struct arena *a, size_t least)
{
    size_t size = least > CHUNK ? least : CHUNK;
    struct arena_chunk *c = malloc(sizeof *c + size);
    if (c == NULL)
        return -1;
    c->before = a->chunk;
    c->size = size;
    a->chunk = c;
    a->left = size;
    return 0;
}

char *arena_bytes(struct arena *a, const char *bytes, size_t length)
{
    size_t size = length + 1;
    if (size > a->left && grow(a, size) < 0)
        return NULL;
    char *copy = a->chunk->bytes + (a->chunk->size - a->left);
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    a->left -= size;
    return copy;
}

char *arena_text(struct arena *a, const char *text)
{
    return arena_bytes(a, text, strlen(text));
}

void arena_free(struct arena *a)
{
    struct arena_chunk *c = a->chunk;
    while (c != NULL) {
        struct arena_chunk *before = c->before;
        free(c);
        c = before;
    }
    *a = (struct arena){ .chunk = NULL };
}
