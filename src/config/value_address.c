#include "config/value_kinds.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/network.h"
#include "config/config.h"

#define DNS_PORT    53
#define UNIX_PREFIX "unix:"

/* --- Addresses --- */

static int parse_plain(const struct value *v, void *out, const char *text,
                       struct value_error *error)
{
    struct addr a;
    const char *why = NULL;
    (void)v;
    if (addr_parse(&a, text, &why) < 0)
        return value_invalid(error, text, "%s", why);
    *(struct addr *)out = a;
    return 0;
}

static int parse_connect_address(const struct value *v, void *out, const char *text,
                                 struct value_error *error)
{
    struct addr a;
    int rc = parse_plain(v, &a, text, error);
    if (rc < 0)
        return rc;
    if (addr_is_wildcard(&a))
        return value_invalid(error, text, "a wildcard, expected an address to connect to");
    *(struct addr *)out = a;
    return 0;
}

static void print_plain(const struct value *v, const void *in, FILE *out)
{
    char text[ADDR_TEXT_MAX];
    (void)v;
    fputs(addr_print(in, text), out);
}

const struct value_kind value_kind_address = { parse_plain, print_plain, NULL };
const struct value_kind value_kind_connect_address = { parse_connect_address, print_plain, NULL };

/* Reads "/run/app.sock", "unix:/run/app.sock" or "unix:@abstract". */
static int parse_socket(const struct value *v, void *out, const char *text,
                        struct value_error *error)
{
    struct addr a;
    char whole[ADDR_TEXT_MAX];
    snprintf(whole, sizeof whole, "%s%s", text[0] == '/' ? UNIX_PREFIX : "", text);
    if (strncmp(whole, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0)
        return value_invalid(error, text, "not a unix socket, expected a path that begins with /");
    int rc = parse_plain(v, &a, whole, error);
    if (rc < 0)
        return rc;
    *(struct addr *)out = a;
    return 0;
}

static void print_socket(const struct value *v, const void *in, FILE *out)
{
    const struct addr *a = in;
    char text[ADDR_TEXT_MAX];
    bool abstract = a->un.sun_path[0] == '\0';
    (void)v;
    fputs(addr_print(a, text) + (abstract ? 0 : strlen(UNIX_PREFIX)), out);
}

const struct value_kind value_kind_unix_socket = { parse_socket, print_socket, NULL };

/* --- Addresses without a port --- */

bool value_is_ip(const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || n >= ADDR_TEXT_MAX - sizeof ":1")
        return false;
    if (text[0] == '[')
        return text[n - 1] == ']';
    return strspn(text, "0123456789.") == n && strchr(text, '.') != NULL;
}

int value_parse_ip(struct addr *a, const char *text, uint16_t port, struct value_error *error)
{
    char whole[ADDR_TEXT_MAX];
    struct addr parsed;
    const char *why = NULL;
    snprintf(whole, sizeof whole, "%s:1", text);
    if (addr_parse(&parsed, whole, &why) < 0)
        return value_invalid(error, text, "%s", why);
    if (addr_is_wildcard(&parsed))
        return value_invalid(error, text, "a wildcard, expected a single address");
    addr_set_port(&parsed, port);
    *a = parsed;
    return 0;
}

void value_print_ip(const struct addr *a, FILE *out)
{
    char text[ADDR_TEXT_MAX];
    addr_print(a, text);
    fprintf(out, "%.*s", (int)(strrchr(text, ':') - text), text);
}

static int parse_nameserver(const struct value *v, void *out, const char *text,
                            struct value_error *error)
{
    struct addr a;
    bool has_port = *text == '\0' || (strchr(text, ':') != NULL && !value_is_ip(text));
    int rc = has_port ? parse_connect_address(v, &a, text, error)
                      : value_parse_ip(&a, text, DNS_PORT, error);
    if (rc < 0)
        return rc;
    if (addr_is_unix(&a))
        return value_invalid(error, text, "not a name server, expected its IP address");
    *(struct addr *)out = a;
    return 0;
}

const struct value_kind value_kind_nameserver = { parse_nameserver, print_plain, NULL };

/* --- The source of connections to servers --- */

static const char *const source_words[] = {
    [CONFIG_SOURCE_KERNEL] = "kernel",
    [CONFIG_SOURCE_CLIENT] = "client",
};

/* IPv6 is allowed without brackets, too: no port follows. */
static int parse_source_address(struct addr *a, const char *text, struct value_error *error)
{
    char bracketed[INET6_ADDRSTRLEN + 2];
    struct in6_addr ip;
    if (inet_pton(AF_INET6, text, &ip) == 1) {
        snprintf(bracketed, sizeof bracketed, "[%s]", text);
        return value_parse_ip(a, bracketed, 0, error);
    }
    if (!value_is_ip(text))
        return value_invalid(error, text,
                             "unknown, expected kernel, client, or an IP address without a port");
    return value_parse_ip(a, text, 0, error);
}

static int parse_source(const struct value *v, void *out, const char *text,
                        struct value_error *error)
{
    struct config_source s = { .kind = CONFIG_SOURCE_KERNEL };
    int rc = 0;
    (void)v;
    while (s.kind < CONFIG_SOURCE_ADDRESS && strcmp(text, source_words[s.kind]) != 0)
        s.kind++;
    if (s.kind == CONFIG_SOURCE_ADDRESS)
        rc = parse_source_address(&s.addr, text, error);
    if (rc == 0)
        *(struct config_source *)out = s;
    return rc;
}

static void print_source(const struct value *v, const void *in, FILE *out)
{
    const struct config_source *s = in;
    (void)v;
    if (s->kind == CONFIG_SOURCE_ADDRESS)
        value_print_ip(&s->addr, out);
    else
        fputs(source_words[s->kind], out);
}

const struct value_kind value_kind_source = { parse_source, print_source, NULL };

/* --- Networks --- */

static int parse_network(const struct value *v, void *out, const char *text,
                         struct value_error *error)
{
    struct network n;
    char why[NETWORK_WHY_MAX];
    (void)v;
    if (network_parse(&n, text, why) < 0)
        return value_invalid(error, text, "%s", why);
    *(struct network *)out = n;
    return 0;
}

static void print_network(const struct value *v, const void *in, FILE *out)
{
    char text[NETWORK_TEXT_MAX];
    (void)v;
    fputs(network_print(in, text), out);
}

static int parse_access(const struct value *v, void *out, const char *text,
                        struct value_error *error)
{
    struct config_access *access = out;
    int rc = parse_network(v, &access->network, text, error);
    if (rc == 0)
        access->allow = v->min == 1;
    return rc;
}

static void print_access(const struct value *v, const void *in, FILE *out)
{
    const struct config_access *access = in;
    print_network(v, &access->network, out);
}

const char *value_access_key(const void *access)
{
    const struct config_access *a = access;
    return a->allow ? "allow" : "deny";
}

const struct value_kind value_kind_network = { parse_network, print_network, NULL };
const struct value_kind value_kind_access = { parse_access, print_access, NULL };
