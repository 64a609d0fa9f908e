/* Hashes that are the same on every machine, whatever its byte order, and in every process: for
 * spreading, not against an adversary. */
#ifndef ZPROXY_BASE_HASH_H
#define ZPROXY_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* FNV-1a of 64 bits, stirred. */
uint64_t hash_bytes(const void *bytes, size_t len);

/* Stirs a number so that near ones differ in all bits (the finalizer of MurmurHash3); one to one.
 */
uint64_t hash_mix(uint64_t x);

/* The n-th number of the random sequence that the seed names: SplitMix64 (Steele, Lea and Flood,
 * "Fast splittable pseudorandom number generators", OOPSLA 2014). */
uint64_t hash_splitmix64(uint64_t seed, uint64_t n);

#endif
