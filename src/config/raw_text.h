/* Values as they were written, where variables of the environment are in them: so they are printed,
 * and no secret is shown. */
#ifndef ZPROXY_CONFIG_RAW_TEXT_H
#define ZPROXY_CONFIG_RAW_TEXT_H

#include <stddef.h>

#include "config/config.h"
#include "config/keys.h"

/* What is kept of one line of a file. */
struct config_raw_text {
    const char *name; /* of the key that was written */
    size_t first;     /* of the values that the line has become, and how many they are */
    size_t count;
    char *text;
};

/* Keeps text for the last count items of the key in the section at `at`: nothing where there are
 * none, since its variables were empty. Returns 0 or -ENOMEM. */
int raw_text_add(struct config *c, const struct section *s, const void *at, const struct key *k,
                 size_t count, const char *text);

/* What the item was written as, or NULL. An entry of several items is found by each of them.
 * The time grows with the logarithm of the number of lines. */
const struct config_raw_text *raw_text_find(const struct config *c, const struct section *s,
                                            const void *at, const struct key *k, size_t item);

/* The key has another value now, or none. */
void raw_text_remove(struct config *c, const struct section *s, const void *at,
                     const struct key *k);

void raw_text_free(struct config *c);

#endif
