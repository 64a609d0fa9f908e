/* Of the words that exist, the one that a misspelt word most likely stands for. */
#ifndef ZPROXY_CONFIG_SUGGESTION_H
#define ZPROXY_CONFIG_SUGGESTION_H

#include <stddef.h>

struct suggestion {
    const char *wanted;
    const char *word; /* the best so far; NULL while none is near enough */
    size_t distance;  /* a word this far away, or further, is not taken */
};

/* wanted and all words offered are the caller's, and outlive the search. */
void suggestion_init(struct suggestion *n, const char *wanted);
void suggestion_offer(struct suggestion *n, const char *word);

#endif
