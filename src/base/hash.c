#include "base/hash.h"

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
