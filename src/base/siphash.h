/* A hash that nobody can steer who does not know the key: for tables whose keys strangers choose.
 *
 * SipHash-2-4: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012).
 */
#ifndef ZPROXY_BASE_SIPHASH_H
#define ZPROXY_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
    uint64_t word[2]; /* random */
};

/* The same on every machine. */
uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t n);

#endif
