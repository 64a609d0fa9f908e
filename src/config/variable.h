/* Variables of the environment in values: ${NAME}. */
#ifndef ZPROXY_CONFIG_VARIABLE_H
#define ZPROXY_CONFIG_VARIABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/value.h"
#include "config/config.h"

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

#endif
