/* Options in a value: words "name=value" and flags in any order, each at most once. */
#ifndef ZPROXY_CONFIG_OPTIONS_H
#define ZPROXY_CONFIG_OPTIONS_H

#include <stddef.h>
#include <stdio.h>

#include "base/value.h"

struct option {
    const char *name;
    struct value value;        /* of kind value_kind_bool: a flag, the name alone */
    const char *default_value; /* NULL: unset, and the field begins with a pointer or length of 0 */
    size_t offset;             /* of the field in the structure */
};

struct options {
    const struct option *option;
    size_t count;
    const char *expected; /* lists the options, for "unknown option, expected ..." */
};

/* Sets every option of the zeroed structure `at` to its default, if it has one, then reads the rest
 * of the words from strtok_r(), whose state is *rest. Returns 0, or -EINVAL or -ENOMEM with *error
 * set; even then the caller calls options_free(). */
int options_parse(const struct options *o, void *at, char **rest, struct value_error *error);

/* Writes the options that differ from their defaults, each after a space. */
void options_print(const struct options *o, const void *at, FILE *out);

/* Frees the values of all options. */
void options_free(const struct options *o, void *at);

#endif
