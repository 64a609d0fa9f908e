/* Options of a value: "name=value" and flags, in any order, each at most once. */
#ifndef ZPROXY_CONFIG_OPTIONS_H
#define ZPROXY_CONFIG_OPTIONS_H

#include <stddef.h>
#include <stdio.h>

#include "base/value.h"

struct option {
    const char *name;
    struct value value; /* a yes/no is a flag, the word alone */
    const char
        *default_value; /* NULL: unset, what is at offset begins with a NULL or a zero length */
    size_t offset;      /* in the structure that the options are of */
};

struct options {
    const struct option *option;
    size_t count;
    const char *expected; /* how to go on after "unknown option, expected " */
};

/* Sets what has a default to it, then reads all words that are left for strtok_r() in *rest. `at`
 * is zeroed before. Returns 0, or -EINVAL or -ENOMEM with *error filled in; what has been read by
 * then is the caller's. */
int options_parse(const struct options *o, void *at, char **rest, struct value_error *error);

/* Writes those that are not at their default, with a space in front of each. */
void options_print(const struct options *o, const void *at, FILE *out);

void options_free(const struct options *o, void *at);

#endif
