#include "base/hash.h"

#include <endian.h>
#include <string.h>

#define FNV_BASIS 0xcbf29ce484222325
#define FNV_PRIME 0x100000001b3
#define GOLDEN    0x9e3779b97f4a7c15 /* 2^64 divided by the golden ratio, odd */

uint64_t hash_bytes(const void *bytes, size_t len)
{
    const unsigned char *byte = bytes;
    uint64_t h = FNV_BASIS;
    for (size_t i = 0; i < len; i++)
        h = (h ^ byte[i]) * FNV_PRIME;
    return hash_mix(h);
}

uint64_t hash_mix(uint64_t x)
{
    x = (x ^ x >> 33) * 0xff51afd7ed558ccd;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53;
    return x ^ x >> 33;
}

uint64_t hash_splitmix64(uint64_t seed, uint64_t n)
{
    return hash_mix(seed + (n + 1) * GOLDEN);
}

/* ---- SipHash ---- */

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

uint64_t hash_siphash(const struct hash_key *key, const void *bytes, size_t n)
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

/* ---- CRC-32C ---- */

/* The checksums of all values of four bits, for the reversed polynomial 0x82f63b78. A table for all
 * bytes would be faster, but use 1 KiB of the cache for a few headers. */
static const uint32_t crc_table[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t hash_crc32c(uint32_t crc, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= at[i];
        crc = crc >> 4 ^ crc_table[crc & 15];
        crc = crc >> 4 ^ crc_table[crc & 15];
    }
    return ~crc;
}
