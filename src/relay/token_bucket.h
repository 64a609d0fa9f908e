/* A token bucket: how many bytes of one direction may be moved now.
 *
 * It starts empty and holds what its rate gives in 100 ms (at least a byte), which bounds a burst.
 * When it is empty, the session waits until it is half full: so a session wakes at most 20 times a
 * second at any rate, and loses nothing if it wakes up to 50 ms late. The bucket counts thousandths
 * of a byte in integers, so that rounding loses nothing.
 */
#ifndef ZPROXY_RELAY_TOKEN_BUCKET_H
#define ZPROXY_RELAY_TOKEN_BUCKET_H

#include <stdint.h>

#define TOKEN_BUCKET_RATE_MAX (UINT64_C(1) << 50)

struct token_bucket {
    uint64_t rate;   /* bytes a second */
    uint64_t filled; /* thousandths of a byte */
    uint64_t at;     /* ms, time of the last refill */
};

/* All times: ms of one monotonic clock. rate: 1 to TOKEN_BUCKET_RATE_MAX. */
void token_bucket_init(struct token_bucket *b, uint64_t rate, uint64_t now);

/* Adds the tokens up to now. Returns the bytes that may be moved; 0: none before
 * token_bucket_due(). */
uint64_t token_bucket_refill(struct token_bucket *b, uint64_t now);

/* Takes bytes that were moved: at most what token_bucket_refill() returned. */
void token_bucket_take(struct token_bucket *b, uint64_t bytes);

/* When it will be half full, ms; the time of the last token_bucket_refill() if it is half full now.
 */
uint64_t token_bucket_due(const struct token_bucket *b);

#endif
