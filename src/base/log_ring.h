/* A bounded buffer of log lines: many threads put, one takes. No locks: a thread reserves room by
 * one compare-and-swap, copies its line, and marks it complete. Lines of one thread keep their
 * order.
 *
 * A full buffer refuses a line and never waits.
 */
#ifndef ZPROXY_BASE_LOG_RING_H
#define ZPROXY_BASE_LOG_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_ring_kind {
    LOG_RING_LINE,
    LOG_RING_DROPPED, /* value lines were refused before this */
    LOG_RING_REOPEN,
};

/* Stands before each line. */
struct log_ring_header {
    _Atomic uint32_t size; /* with the line, rounded up; 0: not complete yet */
    uint16_t length;       /* of the line */
    uint8_t kind;          /* enum log_ring_kind */
    uint8_t level;         /* enum log_level */
    uint64_t value;        /* LOG_RING_LINE: seconds since the epoch, where they are asked for */
};

struct log_ring {
    _Alignas(64) _Atomic uint64_t reserved; /* bytes, since the beginning */
    char *bytes;
    size_t size;
    _Alignas(64) _Atomic uint64_t popped; /* likewise; what is taken is zero again */
};

/* What is put; the text's memory stays the caller's. */
struct log_ring_entry {
    enum log_ring_kind kind;
    int level;
    uint64_t value;
    const char *text;
    size_t length;
};

/* size: a power of two. Memory that no line has used takes no room. Returns 0 or -ENOMEM. */
int log_ring_init(struct log_ring *r, size_t size);
void log_ring_fini(struct log_ring *r);

/* From any thread. Returns false when there is no room. *used: bytes that wait, this line's as
 * well. */
bool log_ring_push(struct log_ring *r, const struct log_ring_entry *line, size_t *used);

/* For the thread that takes. Peek: whether a complete line is next; its text is not copied
 * (line->text is NULL). Take: as peek, copies the text to a buffer of line->length bytes or more,
 * and the room is free again. */
bool log_ring_peek(struct log_ring *r, struct log_ring_entry *line);
void log_ring_pop(struct log_ring *r, char *text);

#endif
