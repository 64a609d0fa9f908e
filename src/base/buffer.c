#include "base/buffer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A large buffer grows by steps, because streams leave another number of bytes each time; a small
 * one may be one of many that wait for a peer. */
#define BUFFER_STEP 4096

static size_t capacity_for(size_t size)
{
    return size < BUFFER_STEP ? size : (size + BUFFER_STEP - 1) / BUFFER_STEP * BUFFER_STEP;
}

static int buffer_grow(struct buffer *b, size_t size)
{
    size_t capacity = capacity_for(size);
    unsigned char *memory = realloc(b->memory, capacity);
    if (memory == NULL)
        return -ENOMEM;
    b->memory = memory;
    b->capacity = (uint32_t)capacity;
    return 0;
}

int buffer_append(struct buffer *b, const void *bytes, size_t size)
{
    size_t held = buffer_size(b);
    assert(size <= 1 << 30);
    if (size == 0)
        return 0;
    if (b->at > 0) {
        memmove(b->memory, b->memory + b->at, held);
        b->at = 0;
        b->end = (uint32_t)held;
    }
    if (held + size > b->capacity && buffer_grow(b, held + size) < 0)
        return -ENOMEM;
    memcpy(b->memory + held, bytes, size);
    b->end += (uint32_t)size;
    return 0;
}

void buffer_consume(struct buffer *b, size_t n)
{
    assert(n <= buffer_size(b));
    b->at += (uint32_t)n;
    if (b->at == b->end)
        b->at = b->end = 0;
}

void buffer_trim(struct buffer *b)
{
    if (b->at == b->end)
        buffer_free(b);
}

void buffer_free(struct buffer *b)
{
    free(b->memory);
    memset(b, 0, sizeof *b);
}
