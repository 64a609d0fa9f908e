#include "config/endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/hostname.h"
#include "config/address.h"

#define SERVICE_PREFIX "srv:"

/* "_redis._tcp.example"; `text` is what the user wrote. */
static int parse_service(struct config_server *s, const char *name, const char *text,
                         struct value_error *error)
{
    const char *why = NULL;
    if (strchr(name, ':') != NULL)
        return value_invalid(error, text, "a port, expected none: the name server says which");
    if (!hostname_is_service(name, &why))
        return value_invalid(error, text, "%s", why);
    s->service = true;
    return value_strdup(&s->host, name, error);
}

/* Whether the n bytes in front of a port were meant as a name, right or wrong. */
static bool is_name_like(const char *text, size_t n)
{
    return n > 0 && strcspn(text, "[]/*:") == n && strspn(text, "0123456789.") < n;
}

/* "db1.example:5432"; colon is the one in front of the port. */
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

int endpoint_parse(struct config_server *s, const char *text, struct value_error *error)
{
    static const struct value literal = { .kind = &value_kind_connect_address };
    const char *colon = strrchr(text, ':');
    bool is_unix = strncmp(text, "unix:", strlen("unix:")) == 0;
    if (strncmp(text, SERVICE_PREFIX, strlen(SERVICE_PREFIX)) == 0)
        return parse_service(s, text + strlen(SERVICE_PREFIX), text, error);
    if (!is_unix && colon != NULL && is_name_like(text, (size_t)(colon - text)))
        return parse_host(s, text, colon, error);
    if (address_is_ip(text)) {
        s->same_port = true;
        return address_parse_ip(&s->addr, text, 0, error);
    }
    return value_parse(&literal, &s->addr, text, error);
}

void endpoint_print(const struct config_server *s, FILE *out)
{
    char text[ADDR_TEXT_MAX];
    if (s->same_port)
        address_print_ip(&s->addr, out);
    else if (s->host == NULL)
        fputs(addr_print(&s->addr, text), out);
    else if (s->service)
        fprintf(out, SERVICE_PREFIX "%s", s->host);
    else
        fprintf(out, "%s:%u", s->host, (unsigned)s->port);
}

char *endpoint_to_string(const struct config_server *s)
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

bool endpoint_equals_text(const struct config_server *s, const char *text)
{
    struct config_server other = { .host = NULL };
    struct value_error ignored;
    bool same = false;
    if (endpoint_parse(&other, text, &ignored) < 0)
        return false;
    if (s->host == NULL || other.host == NULL)
        same = s->host == other.host && addr_equal(&s->addr, &other.addr); /* ports included */
    else
        same = strcmp(s->host, other.host) == 0 && s->service == other.service &&
               s->port == other.port;
    free(other.host);
    return same;
}
