#include "config/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/address.h"
#include "config/config.h"
#include "config/endpoint.h"
#include "config/options.h"

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

static const struct value_kind value_kind_weight = { parse_weight, print_weight, NULL };

const char *const config_state_words[] = {
    [CONFIG_STATE_READY] = "ready",
    [CONFIG_STATE_DRAIN] = "drain",
    [CONFIG_STATE_MAINT] = "maint",
    [CONFIG_STATE_MAINT + 1] = NULL,
};

static const struct option list[] = {
    { "name", VALUE_NAME, NULL, offsetof(struct config_server, name) },
    { "weight",
      { &value_kind_weight, 1, 256, NULL, NULL },
      "1",
      offsetof(struct config_server, weight) },
    { "backup", VALUE_BOOL, "no", offsetof(struct config_server, backup) },
    { "max_connections", VALUE_COUNT(1, 1000000000, "off"), "off",
      offsetof(struct config_server, max_connections) },
    { "state", VALUE_CHOICE(config_state_words), "ready", offsetof(struct config_server, state) },
    { "check_address",
      { .kind = &value_kind_connect_address },
      NULL,
      offsetof(struct config_server, check_address) },
};
#define LIST_COUNT (sizeof list / sizeof *list)
static const char expected[] = "name=, weight=, backup, max_connections=, state= or check_address=";
static const struct options options = { list, LIST_COUNT, expected };
static const struct options unnamed = { list + 1, LIST_COUNT - 1, expected };

/* --- The line --- */

static int server_parse_words(struct config_server *s, char *line, struct value_error *error)
{
    char *rest = NULL;
    int rc = 0;
    char *address = strtok_r(line, " \t", &rest);
    if (address == NULL)
        return value_invalid(error, "", "empty, expected ADDRESS:PORT and options");
    if ((rc = endpoint_parse(s, address, error)) < 0)
        return rc;
    rc = options_parse(&options, s, &rest, error);
    if (rc == 0 && s->name == NULL)
        rc = value_strdup(&s->name, address, error);
    return rc;
}

static void free_server(void *value)
{
    struct config_server *s = value;
    options_free(&options, s);
    free(s->host);
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
        return value_invalid(error, text,
                             "a comma, expected one server to a line, its options "
                             "separated by spaces");
    if ((rc = value_strdup(&line, text, error)) < 0)
        return rc;
    rc = server_parse_words(&s, line, error);
    free(line);
    if (rc == 0)
        *(struct config_server *)out = s;
    else
        free_server(&s);
    return rc;
}

/* A name that reads as the address is the address as written: it stands for both. */
static void print_server(const struct value *v, const void *in, FILE *out)
{
    const struct config_server *s = in;
    bool named = !endpoint_equals_text(s, s->name);
    (void)v;
    if (named)
        endpoint_print(s, out);
    else
        fputs(s->name, out);
    options_print(named ? &options : &unnamed, s, out);
}

const struct value_kind value_kind_server = { parse_server, print_server, free_server };
