#include "config/value_kinds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/hostname.h"
#include "config/config.h"
#include "config/options.h"

#define SERVICE_PREFIX "srv:"

/* --- Addresses, names and services --- */

/* Reads the name of a service, "_redis._tcp.example". text is the whole word, for errors. */
static int parse_service(struct config_server *s, const char *name, const char *text,
                         struct value_error *error)
{
    const char *why = NULL;
    if (strchr(name, ':') != NULL)
        return value_invalid(error, text, "a port, expected none: SRV records have it");
    if (!hostname_is_service(name, &why))
        return value_invalid(error, text, "%s", why);
    s->service = true;
    return value_strdup(&s->host, name, error);
}

/* Whether the n bytes in front of a port look like a name, valid or not. */
static bool is_name_like(const char *text, size_t n)
{
    return n > 0 && strcspn(text, "[]/*:") == n && strspn(text, "0123456789.") < n;
}

/* Reads "db1.example:5432"; colon is the one before the port. */
static int parse_host(struct config_server *s, const char *text, const char *colon,
                      struct value_error *error)
{
    static const struct value port = VALUE_COUNT(1, UINT16_MAX, NULL);
    uint64_t number = 0;
    struct value_error ignored;
    const char *why = NULL;
    char *host = NULL;
    int rc = value_strdup(&host, text, error);
    if (rc < 0)
        return rc;
    host[colon - text] = '\0';
    if (!hostname_is_host(host, &why))
        rc = value_invalid(error, text, "%s", why);
    else if (value_parse(&port, &number, colon + 1, &ignored) < 0)
        rc = value_invalid(error, text, "bad port, expected a number from 1 to 65535");
    if (rc < 0) {
        free(host);
        return rc;
    }
    s->host = host;
    s->port = (uint16_t)number;
    return 0;
}

/* Reads "10.0.0.1:80", "10.0.0.1", "unix:/run/app.sock", "db1.example:5432" or
 * "srv:_redis._tcp.example" into a zeroed structure: addr, or host with port or service. Returns 0,
 * or -EINVAL or -ENOMEM with *error set. The caller frees host. */
static int endpoint_parse(struct config_server *s, const char *text, struct value_error *error)
{
    static const struct value literal = { .kind = &value_kind_connect_address };
    const char *colon = strrchr(text, ':');
    bool is_unix = strncmp(text, "unix:", strlen("unix:")) == 0;
    if (strncmp(text, SERVICE_PREFIX, strlen(SERVICE_PREFIX)) == 0)
        return parse_service(s, text + strlen(SERVICE_PREFIX), text, error);
    if (!is_unix && colon != NULL && is_name_like(text, (size_t)(colon - text)))
        return parse_host(s, text, colon, error);
    if (value_is_ip(text)) {
        s->same_port = true;
        return value_parse_ip(&s->addr, text, 0, error);
    }
    return value_parse(&literal, &s->addr, text, error);
}

/* Writes what endpoint_parse() reads. */
static void endpoint_print(const struct config_server *s, FILE *out)
{
    char text[ADDR_TEXT_MAX];
    if (s->same_port)
        value_print_ip(&s->addr, out);
    else if (s->host == NULL)
        fputs(addr_print(&s->addr, text), out);
    else if (s->service)
        fprintf(out, SERVICE_PREFIX "%s", s->host);
    else
        fprintf(out, "%s:%u", s->host, (unsigned)s->port);
}

char *value_endpoint_to_string(const struct config_server *s)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (memory == NULL)
        return NULL;
    endpoint_print(s, memory);
    if (fclose(memory) == 0)
        return text;
    free(text);
    return NULL;
}

/* Whether endpoint_parse() would read text as the same address. */
static bool endpoint_equals_text(const struct config_server *s, const char *text)
{
    struct config_server other = { .host = NULL };
    struct value_error ignored;
    bool same = false;
    if (endpoint_parse(&other, text, &ignored) < 0)
        return false;
    if (s->host == NULL || other.host == NULL)
        same = s->host == other.host &&
               addr_equal(&s->addr, &other.addr); /* compares the ports, too */
    else
        same = strcmp(s->host, other.host) == 0 && s->service == other.service &&
               s->port == other.port;
    free(other.host);
    return same;
}

/* --- Options --- */

/* The field of a weight is an unsigned int, that of a count a uint64_t. */
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

static const struct option server_option[] = {
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
#define SERVER_OPTION_COUNT (sizeof server_option / sizeof *server_option)
static const char expected_option[] =
    "name=, weight=, backup, max_connections=, state= or check_address=";
static const struct options server_options = { server_option, SERVER_OPTION_COUNT,
                                               expected_option };
static const struct options unnamed_options = { server_option + 1, SERVER_OPTION_COUNT - 1,
                                                expected_option };

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
    rc = options_parse(&server_options, s, &rest, error);
    if (rc == 0 && s->name == NULL)
        rc = value_strdup(&s->name, address, error);
    return rc;
}

static void free_server(void *value)
{
    struct config_server *s = value;
    options_free(&server_options, s);
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
                             "a comma, expected one server per line, its options "
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

/* A name that reads as the address came without name=: it is the address as the user wrote it, and
 * is printed alone. */
static void print_server(const struct value *v, const void *in, FILE *out)
{
    const struct config_server *s = in;
    bool named = !endpoint_equals_text(s, s->name);
    (void)v;
    if (named)
        endpoint_print(s, out);
    else
        fputs(s->name, out);
    options_print(named ? &server_options : &unnamed_options, s, out);
}

const struct value_kind value_kind_server = { parse_server, print_server, free_server };
