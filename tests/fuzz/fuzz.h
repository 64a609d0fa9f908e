/* What a fuzz target is: one function on any bytes, called by libFuzzer, or by replay.c with the
 * seeds. */
#ifndef ZPROXY_TESTS_FUZZ_H
#define ZPROXY_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The seeds are in corpus/NAME. */
extern const char fuzz_name[];

/* Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Ends the program when a promise is broken: that is what libFuzzer looks for. */
#define FUZZ_REQUIRE(promise)                                                     \
    do {                                                                          \
        if (!(promise)) {                                                         \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #promise); \
            abort();                                                              \
        }                                                                         \
    } while (0)

#endif
