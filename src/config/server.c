#include "config/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/endpoint.h"
#include "config/nearest.h"

/* --- Options --- */

/* A number that is kept as an unsigned int. */
static int parse_weight(const struct value *v, void *out, const char *text,
                        struct value_error *error)
{
    uint64_t number = 0;
    int rc = value_kind_count.parse(v, &number, text, error);
    if (rc == 0)
        *(unsigned *)out = (unsigned)number;
    return rc;
}

static void print_weight(const struct value *v, const void *in, FILE *out)
{
    const uint64_t number = *(const unsigned *)in;
    value_kind_count.print(v, &number, out);
}

static const struct value_kind kind_weight = { parse_weight, print_weight, NULL };

static int parse_check_address(const struct value *v, void *out, const char *text,
                               struct value_error *error)
{
    (void)v;
    return endpoint_parse_literal(out, text, error);
}

/* Nothing where the option was not given. */
static void print_check_address(const struct value *v, const void *in, FILE *out)
{
    const struct addr *a = in;
    char text[ADDR_TEXT_MAX];
    (void)v;
    if (a->len > 0)
        fputs(addr_print(a, text), out);
}

static const struct value_kind kind_check_address = { parse_check_address, print_check_address,
                                                      NULL };

static const char *const state_words[] = {
    [CONFIG_STATE_READY] = "ready",
    [CONFIG_STATE_DRAIN] = "drain",
    [CONFIG_STATE_MAINT] = "maint",
    [CONFIG_STATE_MAINT + 1] = NULL,
};

static const struct option {
    const char *name;
    struct value value;
    const char *fallback; /* NULL: none */
    size_t offset;
} options[] = {
    { "name", VALUE_NAME, NULL, offsetof(struct config_server, name) },
    { "weight", { &kind_weight, 1, 256, NULL, NULL }, "1", offsetof(struct config_server, weight) },
    { "backup", VALUE_BOOL, "no", offsetof(struct config_server, backup) },
    { "max_connections", VALUE_COUNT(1, 1000000000, "off"), "off",
      offsetof(struct config_server, max_connections) },
    { "state", VALUE_CHOICE(state_words), "ready", offsetof(struct config_server, state) },
    { "check_address",
      { .kind = &kind_check_address },
      NULL,
      offsetof(struct config_server, check_address) },
};
#define OPTION_COUNT (sizeof options / sizeof *options)

static bool is_flag(const struct option *o)
{
    return o->value.kind == &value_kind_bool;
}

static void *option_at(const struct option *o, struct config_server *s)
{
    return (char *)s + o->offset;
}

static const struct option *option_find(const char *name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

static int refuse_option(const char *name, struct value_error *error)
{
    struct nearest near;
    nearest_init(&near, name);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        nearest_offer(&near, options[i].name);
    if (near.word != NULL)
        return value_refuse(error, name, "unknown option, did you mean \"%s\"?", near.word);
    return value_refuse(error, name,
                        "unknown option, expected name=, weight=, backup, "
                        "max_connections=, state= or check_address=");
}

/* Reads "name=value" or "flag". *seen has a bit for each option that the line had already. */
static int parse_option(struct config_server *s, char *word, unsigned *seen,
                        struct value_error *error)
{
    char *equals = strchr(word, '=');
    const char *text = NULL;
    if (equals != NULL) {
        *equals = '\0';
        text = equals + 1;
    }
    const struct option *o = option_find(word);
    if (o == NULL)
        return refuse_option(word, error);
    const unsigned bit = 1U << (o - options);
    if ((*seen & bit) != 0)
        return value_refuse(error, word, "given twice");
    *seen |= bit;
    if (is_flag(o) && text != NULL)
        return value_refuse(error, word, "takes no value, expected the word alone");
    if (is_flag(o))
        text = "yes";
    if (text == NULL)
        return value_refuse(error, word, "no value, expected %s=...", word);
    int rc = value_parse(&o->value, option_at(o, s), text, error);
    if (rc == -EINVAL) { /* say which option */
        struct value_error why = *error;
        snprintf(error->text, sizeof error->text, "%s=%.*s", word,
                 (int)(sizeof error->text - strlen(word) - 2), why.text);
    }
    return rc;
}

/* --- The line --- */

static int parse_words(struct config_server *s, char *line, struct value_error *error)
{
    unsigned seen = 0;
    char *rest = NULL;
    int rc = 0;
    char *address = strtok_r(line, " \t", &rest);
    if (address == NULL)
        return value_refuse(error, "", "empty, expected ADDRESS:PORT and options");
    if ((rc = endpoint_parse(s, address, error)) < 0)
        return rc;
    for (size_t i = 0; i < OPTION_COUNT && rc == 0; i++)
        if (options[i].fallback != NULL)
            rc = value_parse(&options[i].value, option_at(&options[i], s), options[i].fallback,
                             error);
    for (char *word = NULL; rc == 0 && (word = strtok_r(NULL, " \t", &rest)) != NULL;)
        rc = parse_option(s, word, &seen, error);
    if (rc == 0 && s->name == NULL)
        rc = value_copy(&s->name, address, error);
    return rc;
}

static void free_server(void *value)
{
    struct config_server *s = value;
    free(s->name);
    free(s->host);
    s->name = NULL;
    s->host = NULL;
}

static int parse_server(const struct value *v, void *out, const char *text,
                        struct value_error *error)
{
    struct config_server s = { .name = NULL };
    char *line = NULL;
    int rc = 0;
    (void)v;
    if (strchr(text, ',') != NULL)
        return value_refuse(error, text,
                            "a comma, expected one server to a line, its options "
                            "separated by spaces");
    if ((rc = value_copy(&line, text, error)) < 0)
        return rc;
    rc = parse_words(&s, line, error);
    free(line);
    if (rc == 0)
        *(struct config_server *)out = s;
    else
        free_server(&s);
    return rc;
}

/* Writes an option that is not at its default. */
static void print_option(const struct option *o, const struct config_server *s, FILE *out)
{
    char *text = value_text(&o->value, (const char *)s + o->offset);
    if (text == NULL)
        return;
    if (strcmp(text, o->fallback == NULL ? "" : o->fallback) != 0)
        fprintf(out, is_flag(o) ? " %s" : " %s=%s", o->name, text);
    free(text);
}

/* A name that reads as the address is the address as written: it stands for both. */
static void print_server(const struct value *v, const void *in, FILE *out)
{
    const struct config_server *s = in;
    bool named = !endpoint_reads_as(s, s->name);
    (void)v;
    if (named)
        endpoint_print(s, out);
    else
        fputs(s->name, out);
    for (size_t i = named ? 0 : 1; i < OPTION_COUNT; i++) /* the name is the first */
        print_option(&options[i], s, out);
}

const struct value_kind server_kind = { parse_server, print_server, free_server };
