/* Of the words that exist, the one that a misspelt word most likely stands for. */
#ifndef ZPROXY_CONFIG_NEAREST_H
#define ZPROXY_CONFIG_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *wanted;
    const char *word; /* the best so far; NULL while none is near enough */
    size_t distance;  /* a word this far away, or further, is not taken */
};

/* wanted and all words offered are the caller's, and outlive the search. */
void nearest_init(struct nearest *n, const char *wanted);
void nearest_offer(struct nearest *n, const char *word);

#endif
