/* A bounded buffer of log lines: any thread pushes, one thread pops. There are no locks: a thread
 * reserves room by one compare-and-swap, copies its line, and marks it complete. Lines of one
 * thread keep their order. A line that does not fit is refused; no thread waits.
 */
#ifndef ZPROXY_BASE_LOG_RING_H
#define ZPROXY_BASE_LOG_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_ring_kind {
    LOG_RING_LINE,
    LOG_RING_DROPPED, /* `value` lines were refused before this entry */
    LOG_RING_REOPEN,
};

/* Precedes the text of each entry. */
struct log_ring_header {
    _Atomic uint32_t size; /* of header and text, rounded up; 0: the entry is not complete */
    uint16_t length;       /* of the text */
    uint8_t kind;          /* enum log_ring_kind */
    uint8_t level;         /* enum log_level */
    uint64_t value;        /* LOG_RING_LINE: seconds since the epoch, for syslog; else 0 */
};

/* Positions count all bytes since log_ring_init(); the place in the buffer is the position modulo
 * `size`. */
struct log_ring {
    _Alignas(64) _Atomic uint64_t reserved;
    char *bytes;
    size_t size;
    _Alignas(64) _Atomic uint64_t popped; /* popped bytes are cleared to zero */
};

/* Pushing copies the text; its memory stays the caller's. */
struct log_ring_entry {
    enum log_ring_kind kind;
    int level;
    uint64_t value;
    const char *text;
    size_t length;
};

/* size: bytes, a power of two. The kernel backs only the pages that lines have used. Returns 0 or
 * -ENOMEM. */
int log_ring_init(struct log_ring *r, size_t size);
void log_ring_fini(struct log_ring *r);

/* From any thread. Returns false if there is no room. *used: the bytes that wait, including this
 * entry's. */
bool log_ring_push(struct log_ring *r, const struct log_ring_entry *line, size_t *used);

/* For the thread that pops. Peek returns whether a complete entry is next and describes it, with
 * text == NULL. Pop requires that peek returned true; it copies the text to a buffer of at least
 * line->length bytes and frees the room. */
bool log_ring_peek(struct log_ring *r, struct log_ring_entry *line);
void log_ring_pop(struct log_ring *r, char *text);

#endif
