#include "config/options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggestion.h"

static bool option_is_flag(const struct option *o)
{
    return o->value.kind == &value_kind_bool;
}

static bool is_unset(const struct option *o, const void *at)
{
    char *begin = NULL;
    memcpy(&begin, (const char *)at + o->offset, sizeof begin);
    return o->default_value == NULL && begin == NULL;
}

/* --- Reading --- */

static const struct option *options_find(const struct options *o, const char *name)
{
    for (size_t i = 0; i < o->count; i++)
        if (strcmp(o->option[i].name, name) == 0)
            return &o->option[i];
    return NULL;
}

static int options_unknown(const struct options *o, const char *name, struct value_error *error)
{
    struct suggestion hint;
    suggestion_init(&hint, name);
    for (size_t i = 0; i < o->count; i++)
        suggestion_offer(&hint, o->option[i].name);
    if (hint.word != NULL)
        return value_invalid(error, name, "unknown option, did you mean \"%s\"?", hint.word);
    return value_invalid(error, name, "unknown option, expected %s", o->expected);
}

static int parse_value(const struct option *o, void *at, const char *text,
                       struct value_error *error)
{
    int rc = value_parse(&o->value, (char *)at + o->offset, text, error);
    if (rc == -EINVAL) { /* name the option in the message */
        struct value_error why = *error;
        snprintf(error->text, sizeof error->text, "%s=%.*s", o->name,
                 (int)(sizeof error->text - strlen(o->name) - 2), why.text);
        error->reason = why.reason + strlen(o->name) + 1;
    }
    return rc;
}

/* Reads "name=value" or "flag". *seen has a bit for each option that was given before. */
static int options_parse_word(const struct options *options, void *at, char *word, unsigned *seen,
                              struct value_error *error)
{
    char *equals = strchr(word, '=');
    const char *text = NULL;
    if (equals != NULL) {
        *equals = '\0';
        text = equals + 1;
    }
    const struct option *o = options_find(options, word);
    if (o == NULL)
        return options_unknown(options, word, error);
    const unsigned bit = 1U << (o - options->option);
    if ((*seen & bit) != 0)
        return value_invalid(error, word, "given twice");
    *seen |= bit;
    if (option_is_flag(o) && text != NULL)
        return value_invalid(error, word, "takes no value, expected the word alone");
    if (option_is_flag(o))
        text = "yes";
    if (text == NULL)
        return value_invalid(error, word, "no value, expected %s=...", word);
    return parse_value(o, at, text, error);
}

int options_parse(const struct options *o, void *at, char **rest, struct value_error *error)
{
    unsigned seen = 0;
    int rc = 0;
    for (size_t i = 0; i < o->count && rc == 0; i++)
        if (o->option[i].default_value != NULL)
            rc = parse_value(&o->option[i], at, o->option[i].default_value, error);
    for (char *word = NULL; rc == 0 && (word = strtok_r(NULL, " \t", rest)) != NULL;)
        rc = options_parse_word(o, at, word, &seen, error);
    return rc;
}

/* --- Writing --- */

static void print_option(const struct option *o, const void *at, FILE *out)
{
    char *text = is_unset(o, at) ? NULL : value_to_string(&o->value, (const char *)at + o->offset);
    if (text == NULL)
        return;
    if (o->default_value == NULL || strcmp(text, o->default_value) != 0)
        fprintf(out, option_is_flag(o) ? " %s" : " %s=%s", o->name, text);
    free(text);
}

void options_print(const struct options *o, const void *at, FILE *out)
{
    for (size_t i = 0; i < o->count; i++)
        print_option(&o->option[i], at, out);
}

void options_free(const struct options *o, void *at)
{
    for (size_t i = 0; i < o->count; i++)
        value_free(&o->option[i].value, (char *)at + o->option[i].offset);
}
