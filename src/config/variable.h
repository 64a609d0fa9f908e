/* Environment variables in values: ${NAME}. A value with variables is printed as it was written, so
 * that no secret is shown. */
#ifndef ZPROXY_CONFIG_VARIABLE_H
#define ZPROXY_CONFIG_VARIABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/value.h"
#include "config/config.h"
#include "config/keys.h"

/* --- Expanding --- */

/* How the text of a variable becomes a part of a value. */
enum variable_quoting {
    VARIABLE_AS_TEXT,  /* unchanged; it must be UTF-8 without control characters */
    VARIABLE_AS_BYTES, /* with the escapes of C, so that all its bytes are literal */
};

/* Whether text contains a variable, or "$${", which stands for "${". */
bool variable_is_used(const char *text);

/* Expands text into *out, which the caller frees with free(), and adds the variables to those of c.
 * Returns 0, or -EINVAL or -ENOMEM with *error set. */
int variable_expand(struct config *c, const char *text, enum variable_quoting quoting, char **out,
                    struct value_error *error);

/* Writes text so that it expands to itself. */
void variable_print(const char *text, FILE *out);

/* Copies len bytes of data to out, at most size bytes, and replaces each value of a variable by
 * "${NAME}". Values below 4 bytes are left: they are no secret and may occur anywhere. Returns the
 * number of bytes written. c may be NULL. */
size_t variable_mask(const struct config *c, const void *data, size_t len, char *out, size_t size);

/* Frees the variables of c. */
void variable_free(struct config *c);

/* --- The text of values with variables --- */

/* The text of one line of a file. */
struct config_raw_text {
    const char *name; /* of the key, as the line has it */
    size_t first;     /* the values that the line was read as: the first, and their number */
    size_t count;
    char *text;
};

/* Stores the text that the last count values of a key in the section at `at` were read from. With
 * count 0 (all variables in the text are empty) nothing is stored. Returns 0 or -ENOMEM. */
int raw_text_add(struct config *c, const struct section *s, const void *at, const struct key *k,
                 size_t count, const char *text);

/* Returns the text that a value was read from, or NULL. All values of a line have the same text.
 * Takes time logarithmic in the number of lines. */
const struct config_raw_text *raw_text_find(const struct config *c, const struct section *s,
                                            const void *at, const struct key *k, size_t item);

/* Removes the texts of a key whose values were replaced or removed. */
void raw_text_remove(struct config *c, const struct section *s, const void *at,
                     const struct key *k);

/* Frees the texts of c. */
void raw_text_free(struct config *c);

#endif
