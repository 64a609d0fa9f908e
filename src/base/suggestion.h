/* Suggestions for error messages: the known word that is nearest to a misspelt one. */
#ifndef ZPROXY_BASE_SUGGESTION_H
#define ZPROXY_BASE_SUGGESTION_H

#include <stddef.h>

struct suggestion {
    const char *wanted;
    const char *word; /* the nearest so far; NULL: none is near enough */
    size_t distance;  /* only a word with a smaller distance takes its place */
};

/* Starts a search for the word nearest to `wanted`; suggestion_offer() compares one known word.
 * Both keep the pointer: the texts belong to the caller and outlive the search. */
void suggestion_init(struct suggestion *n, const char *wanted);
void suggestion_offer(struct suggestion *n, const char *word);

#endif
