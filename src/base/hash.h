/* Hashes and checksums that are the same on every machine, whatever its byte order. */
#ifndef ZPROXY_BASE_HASH_H
#define ZPROXY_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* FNV-1a of 64 bits, followed by hash_mix(). For spreading keys evenly; an attacker can find
 * collisions. */
uint64_t hash_bytes(const void *bytes, size_t len);

/* Mixes a number so that each bit of it changes about half of the result's bits (the finalizer of
 * MurmurHash3). Different numbers give different results. */
uint64_t hash_mix(uint64_t x);

/* Number n of the pseudo-random sequence of this seed: SplitMix64 (Steele, Lea and Flood, "Fast
 * splittable pseudorandom number generators", OOPSLA 2014). */
uint64_t hash_splitmix64(uint64_t seed, uint64_t n);

struct hash_key {
    uint64_t word[2]; /* random */
};

/* SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012). An attacker who
 * does not know the key cannot find collisions: for tables whose keys clients choose. */
uint64_t hash_siphash(const struct hash_key *key, const void *bytes, size_t n);

#define HASH_CRC32C_EMPTY 0u /* the checksum of no bytes */

/* CRC-32C (Castagnoli; RFC 9260, appendix A). Continues a checksum: crc is that of the preceding
 * bytes; returns that of these bytes followed by the n bytes. */
uint32_t hash_crc32c(uint32_t crc, const void *bytes, size_t n);

#endif
