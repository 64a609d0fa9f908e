/* Numbers in the form that people read: short and rounded. */
#ifndef ZPROXY_BASE_HUMAN_H
#define ZPROXY_BASE_HUMAN_H

#include <stdint.h>

#define HUMAN_MAX       32
#define HUMAN_ERROR_MAX 64

/* All write to buf and return it. */
const char *human_bytes(uint64_t bytes, char buf[HUMAN_MAX]); /* 812 1.5k 34.2m 2.0g */
const char *human_rate(uint64_t bytes, char buf[HUMAN_MAX]);  /* of bytes a second: 1.5k/s */
const char *human_time(uint64_t ms, char buf[HUMAN_MAX]);     /* 12ms 5.2s 3m12s 2h05m 3d04h */
const char *human_micros(uint64_t us, char buf[HUMAN_MAX]);   /* 0.153ms */
/* noun: singular, with a plural in -s, of at most 10 letters. */
const char *human_count(uint64_t n, const char *noun, char buf[HUMAN_MAX]); /* 1 server 2 servers */
/* A positive errno, for use within a sentence: strerror(3) with a lower-case first letter. */
const char *human_error(int error, char buf[HUMAN_ERROR_MAX]); /* connection refused */
/* Likewise for a connection: EPIPE comes from a peer that has ended its stream, then reset it. */
const char *human_connection_error(int error, char buf[HUMAN_ERROR_MAX]);

#endif
