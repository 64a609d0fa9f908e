/* Memory for many small things that go all at once. */
#ifndef ZPROXY_BASE_ARENA_H
#define ZPROXY_BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

/* All zeros: empty. */
struct arena {
    struct arena_chunk *chunk; /* the newest one; each has the one before it */
    size_t available;          /* bytes in it */
};

/* A copy of the text, or of its first length bytes. NULL when out of memory. */
char *arena_strdup(struct arena *a, const char *text);
char *arena_strndup(struct arena *a, const char *bytes, size_t length);

void arena_fini(struct arena *a);

#endif
