/* Bytes that wait: for room in a socket, or for more bytes.
 *
 * The memory is kept when the bytes are gone, so that a stream that uses its buffer again and again
 * does not allocate; buffer_trim() frees it when the stream waits. Zeroed memory is an empty
 * buffer. It is not shared by threads.
 */
#ifndef ZPROXY_BASE_BUFFER_H
#define ZPROXY_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct buffer {
    unsigned char *memory;
    uint32_t at, end; /* of the bytes, in memory */
    uint32_t capacity;
};

static inline size_t buffer_size(const struct buffer *b)
{
    return b->end - b->at;
}

/* Valid until bytes are added, and until buffer_trim(). NULL if there was no memory yet. */
static inline const unsigned char *buffer_bytes(const struct buffer *b)
{
    return b->memory == NULL ? NULL : b->memory + b->at;
}

/* Adds a copy. Returns 0 or -ENOMEM: nothing was added. At most 1 GB in all. */
int buffer_append(struct buffer *b, const void *bytes, size_t size);

/* Takes n bytes away from the front; n is at most buffer_size(). */
void buffer_consume(struct buffer *b, size_t n);

/* Frees the memory if there are no bytes in it. */
void buffer_trim(struct buffer *b);

/* Frees the memory; the buffer is empty then. */
void buffer_free(struct buffer *b);

#endif
