/* The average time to connect to a server, for balance = least_time.
 *
 * An average and the time of its last sample are one atomic word, so that workers update them
 * without a lock. A sample counts for an eighth, or for more if the one before it is old: for half
 * after CONNECT_TIME_HALF.
 *
 * Servers are compared by connect_time_rank(), where an average halves with each CONNECT_TIME_HALF
 * since its last sample. So a server that was slow is tried again, although no session goes to it
 * meanwhile. The order of two servers does not change while neither gets a sample.
 *
 * All functions may be called from any thread.
 */
#ifndef ZPROXY_BALANCE_CONNECT_TIME_H
#define ZPROXY_BALANCE_CONNECT_TIME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CONNECT_TIME_HALF   8192    /* ms */
#define CONNECT_TIME_FAILED 1000000 /* µs; a failed connect counts for this at least */

/* In all functions *t is the word of a server, 0 while its average is unknown. */

/* Adds a sample, in µs. now in ms. */
void connect_time_add(_Atomic uint64_t *t, uint64_t us, uint64_t now);

/* Assumes an average until the first sample, if there was none yet. Returns whether it did. */
bool connect_time_assume(_Atomic uint64_t *t, uint64_t us, uint64_t now);
/* Makes the average unknown. */
void connect_time_forget(_Atomic uint64_t *t);

/* µs; 0: unknown, or only assumed. */
uint64_t connect_time_average(const _Atomic uint64_t *t);

/* The base 2 logarithm of x, x > 0, and the rank: the logarithm of the average, in units of
 * 1 / CONNECT_TIME_UNIT. A lower rank is better; the rank of an unknown average is 0. */
#define CONNECT_TIME_UNIT 4096
uint64_t connect_time_log2(uint64_t x);
uint64_t connect_time_rank(const _Atomic uint64_t *t);

#endif
