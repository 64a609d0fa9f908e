/* An allocator for many small texts that are freed together. Used by one thread at a time. */
#ifndef ZPROXY_BASE_ARENA_H
#define ZPROXY_BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

/* Zeroed memory is an empty arena. */
struct arena {
    struct arena_chunk *chunk; /* the newest chunk; each points to the one before */
    size_t available;          /* bytes left in it */
};

/* Copies the text. Returns NULL when out of memory. */
char *arena_strdup(struct arena *a, const char *text);

/* Frees all copies. */
void arena_fini(struct arena *a);

#endif
