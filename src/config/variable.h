/* Variables of the environment in values: ${NAME}. */
#ifndef ZPROXY_CONFIG_VARIABLE_H
#define ZPROXY_CONFIG_VARIABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/value.h"
#include "config/config.h"
#include "config/keys.h"

/* How the text of a variable becomes a part of a value. */
enum variable_quoting {
    VARIABLE_AS_TEXT,  /* a part of the value like any other; must be text */
    VARIABLE_AS_BYTES, /* with the escapes of C, so that its bytes stand for themselves */
};

/* Whether text has to be expanded: it has a variable, or "$${", which stands for "${". */
bool variable_is_used(const char *text);

/* Expands text into *out, free() is the caller's, and notes in c which variables that took. Returns
 * 0, or -EINVAL or -ENOMEM with *error filled in. */
int variable_expand(struct config *c, const char *text, enum variable_quoting quoting, char **out,
                    struct value_error *error);

/* Writes text so that it expands to itself. */
void variable_print(const char *text, FILE *out);

/* Copies data to out, at most size bytes, with "${NAME}" for each value of a variable in it, those
 * of less than 4 bytes excepted: they are no secret, and may be in anything. Returns the length. */
size_t variable_mask(const struct config *c, const void *data, size_t len, char *out, size_t size);

void variable_free(struct config *c);

/* --- Values as they were written, where variables of the environment are in them: so they are
 * printed, and no secret is shown. --- */

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
