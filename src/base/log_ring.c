#include "base/log_ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Headers are aligned to their size, which divides the size of the ring: no header is split at the
 * end of the ring. */
#define HEADER_SIZE sizeof(struct log_ring_header)

static size_t round_up(size_t length)
{
    return (HEADER_SIZE + length + HEADER_SIZE - 1) / HEADER_SIZE * HEADER_SIZE;
}

int log_ring_init(struct log_ring *r, size_t size)
{
    assert(size >= HEADER_SIZE && (size & (size - 1)) == 0);
    r->bytes = calloc(1, size);
    r->size = size;
    atomic_init(&r->reserved, 0);
    atomic_init(&r->popped, 0);
    return r->bytes == NULL ? -ENOMEM : 0;
}

void log_ring_fini(struct log_ring *r)
{
    free(r->bytes);
    r->bytes = NULL;
}

static struct log_ring_header *header_at(const struct log_ring *r, uint64_t at)
{
    return (struct log_ring_header *)(void *)(r->bytes + (at & (r->size - 1)));
}

/* How many of `length` bytes at this position lie before the end of the ring. */
static size_t contiguous_length(const struct log_ring *r, uint64_t at, size_t length)
{
    size_t left = r->size - (at & (r->size - 1));
    return length < left ? length : left;
}

static void copy_in(struct log_ring *r, uint64_t at, const char *text, size_t length)
{
    size_t first = contiguous_length(r, at, length);
    memcpy(r->bytes + (at & (r->size - 1)), text, first);
    memcpy(r->bytes, text + first, length - first);
}

static void copy_out(const struct log_ring *r, uint64_t at, char *text, size_t length)
{
    size_t first = contiguous_length(r, at, length);
    memcpy(text, r->bytes + (at & (r->size - 1)), first);
    memcpy(text + first, r->bytes, length - first);
}

static void log_ring_clear(struct log_ring *r, uint64_t at, size_t length)
{
    size_t first = contiguous_length(r, at, length);
    memset(r->bytes + (at & (r->size - 1)), 0, first);
    memset(r->bytes, 0, length - first);
}

/* *at may be older than r->popped: then `waiting` is negative, and the exchange fails. */
static bool log_ring_reserve(struct log_ring *r, size_t size, uint64_t *at, size_t *used)
{
    *at = atomic_load_explicit(&r->reserved, memory_order_relaxed);
    int64_t waiting = 0;
    do {
        /* acquire: the room was cleared by log_ring_pop() before it is written again */
        uint64_t popped = atomic_load_explicit(&r->popped, memory_order_acquire);
        waiting = (int64_t)(*at + size - popped);
        if (waiting > (int64_t)r->size)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&r->reserved, at, *at + size,
                                                    memory_order_relaxed, memory_order_relaxed));
    *used = (size_t)waiting;
    return true;
}

bool log_ring_push(struct log_ring *r, const struct log_ring_entry *line, size_t *used)
{
    uint64_t at = 0;
    size_t size = round_up(line->length);
    if (!log_ring_reserve(r, size, &at, used))
        return false;
    struct log_ring_header *header = header_at(r, at);
    header->length = (uint16_t)line->length;
    header->kind = (uint8_t)line->kind;
    header->level = (uint8_t)line->level;
    header->value = line->value;
    if (line->length > 0)
        copy_in(r, at + HEADER_SIZE, line->text, line->length);
    /* seq_cst, with the load in log_ring_peek() and the accesses to the state of log_writer: either
     * the writer sees this entry, or the caller sees that the writer sleeps */
    atomic_store(&header->size, (uint32_t)size);
    return true;
}

bool log_ring_peek(struct log_ring *r, struct log_ring_entry *line)
{
    uint64_t at = atomic_load_explicit(&r->popped, memory_order_relaxed);
    struct log_ring_header *header = header_at(r, at);
    /* seq_cst: see log_ring_push() */
    if (atomic_load(&header->size) == 0)
        return false;
    *line = (struct log_ring_entry){
        .kind = (enum log_ring_kind)header->kind,
        .level = header->level,
        .value = header->value,
        .length = header->length,
    };
    return true;
}

void log_ring_pop(struct log_ring *r, char *text)
{
    uint64_t at = atomic_load_explicit(&r->popped, memory_order_relaxed);
    const struct log_ring_header *header = header_at(r, at);
    size_t size = atomic_load_explicit(&header->size, memory_order_relaxed);
    if (header->length > 0)
        copy_out(r, at + HEADER_SIZE, text, header->length);
    log_ring_clear(r, at, size);
    /* release: a thread that reserves this room finds it cleared */
    atomic_store_explicit(&r->popped, at + size, memory_order_release);
}
