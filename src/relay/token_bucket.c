#include "relay/token_bucket.h"

#include <assert.h>

#define BYTE     1000 /* thousandths: what a millisecond adds is then the rate itself */
#define BURST_MS 100
#define WORTH_MS (BURST_MS / 2)

/* The capacity. Only whole bytes are taken, so less than one byte may be left, which is added to
 * it. */
static uint64_t capacity(const struct token_bucket *b)
{
    return b->rate * BURST_MS + BYTE - 1;
}

/* The level at which a waiting session is woken. */
static uint64_t wakeup_level(const struct token_bucket *b)
{
    return b->rate * WORTH_MS + BYTE - 1;
}

void token_bucket_init(struct token_bucket *b, uint64_t rate, uint64_t now)
{
    assert(rate >= 1 && rate <= TOKEN_BUCKET_RATE_MAX);
    *b = (struct token_bucket){ .rate = rate, .at = now };
}

uint64_t token_bucket_refill(struct token_bucket *b, uint64_t now)
{
    const uint64_t elapsed = now > b->at ? now - b->at : 0;
    const uint64_t room = capacity(b) - b->filled;
    b->filled += elapsed > room / b->rate ? room : elapsed * b->rate;
    b->at += elapsed;
    return b->filled / BYTE;
}

void token_bucket_take(struct token_bucket *b, uint64_t bytes)
{
    assert(bytes <= b->filled / BYTE);
    b->filled -= bytes * BYTE;
}

uint64_t token_bucket_due(const struct token_bucket *b)
{
    const uint64_t enough = wakeup_level(b);
    if (b->filled >= enough)
        return b->at;
    return b->at + (enough - b->filled + b->rate - 1) / b->rate;
}
