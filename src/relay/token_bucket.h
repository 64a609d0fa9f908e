/* A token bucket: how many bytes of one direction may be moved now.
 *
 * It starts empty and holds at most 100 ms' worth of its rate (a byte at least), so there is no
 * burst longer than that. Whoever finds it empty waits until it is half full: a session wakes up 20
 * times a second and no more, however fast it is, and may come 50 ms late without losing anything.
 * Counted in thousandths of a byte, in whole numbers: nothing is lost by rounding.
 */
#ifndef ZPROXY_RELAY_TOKEN_BUCKET_H
#define ZPROXY_RELAY_TOKEN_BUCKET_H

#include <stdint.h>

#define TOKEN_BUCKET_RATE_MAX (UINT64_C(1) << 50)

struct token_bucket {
    uint64_t rate;   /* bytes a second */
    uint64_t filled; /* thousandths of a byte */
    uint64_t at;     /* ms, when that was so */
};

/* All times: ms of one monotonic clock. rate: 1 to TOKEN_BUCKET_RATE_MAX. */
void token_bucket_init(struct token_bucket *b, uint64_t rate, uint64_t now);

/* Fills it up to now. Returns the bytes that may be moved; 0: none before token_bucket_due(). */
uint64_t token_bucket_refill(struct token_bucket *b, uint64_t now);

/* Takes bytes that have been moved, no more than token_bucket_refill() has said. */
void token_bucket_take(struct token_bucket *b, uint64_t bytes);

/* When it will be half full, in ms; the time of the last token_bucket_refill() if it is already. */
uint64_t token_bucket_due(const struct token_bucket *b);

#endif
