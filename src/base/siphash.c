#include "base/siphash.h"

#include <endian.h>
#include <string.h>

struct siphash_state {
    uint64_t v[4];
};

static uint64_t rotl64(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_rounds(struct siphash_state *s, int rounds)
{
    uint64_t *v = s->v;
    for (int i = 0; i < rounds; i++) {
        v[0] += v[1];
        v[1] = rotl64(v[1], 13) ^ v[0];
        v[0] = rotl64(v[0], 32);
        v[2] += v[3];
        v[3] = rotl64(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotl64(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotl64(v[1], 17) ^ v[2];
        v[2] = rotl64(v[2], 32);
    }
}

static void sip_compress(struct siphash_state *s, uint64_t word)
{
    s->v[3] ^= word;
    sip_rounds(s, 2);
    s->v[0] ^= word;
}

uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t n)
{
    struct siphash_state s = { {
        key->word[0] ^ 0x736f6d6570736575,
        key->word[1] ^ 0x646f72616e646f6d,
        key->word[0] ^ 0x6c7967656e657261,
        key->word[1] ^ 0x7465646279746573,
    } };
    const unsigned char *at = bytes;
    size_t left = n;
    uint64_t word = 0;
    for (; left >= sizeof word; left -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        sip_compress(&s, le64toh(word));
    }
    word = (uint64_t)n << 56;
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)at[i] << 8 * i;
    sip_compress(&s, word);
    s.v[2] ^= 0xff;
    sip_rounds(&s, 4);
    return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}
