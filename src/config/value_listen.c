#include "config/value_kinds.h"

#include <ctype.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/array.h"
#include "base/hostname.h"
#include "config/config.h"
#include "config/options.h"

static const struct option bind_option[] = {
    { "mode", VALUE_MODE("umask"), "umask", offsetof(struct config_bind, mode) },
    { "user", VALUE_WORD, NULL, offsetof(struct config_bind, user) },
    { "group", VALUE_WORD, NULL, offsetof(struct config_bind, group) },
    { "freebind", VALUE_BOOL, "no", offsetof(struct config_bind, freebind) },
    { "device", VALUE_WORD, NULL, offsetof(struct config_bind, device) },
};
static const struct options bind_options = {
    bind_option, sizeof bind_option / sizeof *bind_option,
    "mode=, user=, group=, freebind or device=, and a comma between two addresses"
};

/* --- bind: ranges of ports --- */

/* Returns the dash between two ports, or NULL. */
static char *find_dash(char *text)
{
    char *colon = strrchr(text, ':');
    bool is_unix = strncmp(text, "unix:", strlen("unix:")) == 0;
    return is_unix || colon == NULL ? NULL : strchr(colon, '-');
}

static int add_ports(struct config_bind *b, const struct addr *first, size_t count,
                     struct value_error *error)
{
    b->addr = calloc(count, sizeof *b->addr);
    if (b->addr == NULL)
        return value_no_memory(error);
    for (; b->addr_count < count; b->addr_count++) {
        b->addr[b->addr_count] = *first;
        if (count > 1)
            addr_set_port(&b->addr[b->addr_count], (uint16_t)(addr_port(first) + b->addr_count));
    }
    return 0;
}

/* Reads "*:8000-8099"; dash points into text. */
static int bind_parse_range(struct config_bind *b, char *text, char *dash,
                            struct value_error *error)
{
    static const struct value port = VALUE_COUNT(1, UINT16_MAX, NULL);
    struct addr first;
    uint64_t last = 0;
    const char *why = NULL;
    struct value_error ignored;
    *dash = '\0';
    int rc = addr_parse(&first, text, &why);
    *dash = '-';
    if (rc < 0)
        return value_invalid(error, text, "%s", why);
    if (value_parse(&port, &last, dash + 1, &ignored) < 0)
        return value_invalid(error, text,
                             "bad range of ports, expected two numbers from 1 to 65535");
    if (last < addr_port(&first))
        return value_invalid(error, text, "in the wrong order, expected the lower port first");
    return add_ports(b, &first, last - addr_port(&first) + 1, error);
}

/* --- bind: sockets from systemd --- */

#define FD_PREFIX "fd:"
#define FD_MAX    255 /* bytes: the limit of FileDescriptorName=, systemd.socket(5) */

/* Reads the NAME of fd:NAME. A number is that of a descriptor, 3 or above. */
static int parse_fd(struct config_bind *b, const char *name, const char *text,
                    struct value_error *error)
{
    static const struct value number = VALUE_COUNT(3, INT_MAX, NULL);
    uint64_t fd = 0;
    struct value_error ignored;
    size_t n = 0;
    while (name[n] > ' ' && name[n] < 0x7f && name[n] != ':')
        n++;
    if (n == 0 || n > FD_MAX || name[n] != '\0')
        return value_invalid(error, text, "not a socket from systemd, expected fd:NAME or fd:3");
    if (strspn(name, "0123456789") == n && value_parse(&number, &fd, name, &ignored) < 0)
        return value_invalid(error, text, "not a descriptor from systemd, expected fd:3 or above");
    return value_strdup(&b->fd, name, error);
}

/* --- bind --- */

static int bind_parse_address(struct config_bind *b, char *text, struct value_error *error)
{
    struct addr a;
    const char *why = NULL;
    char *dash = find_dash(text);
    if (strncmp(text, FD_PREFIX, strlen(FD_PREFIX)) == 0)
        return parse_fd(b, text + strlen(FD_PREFIX), text, error);
    if (dash != NULL)
        return bind_parse_range(b, text, dash, error);
    if (addr_parse(&a, text, &why) < 0)
        return value_invalid(error, text, "%s", why);
    return add_ports(b, &a, 1, error);
}

/* Whether the address is a file, which has an owner and a mode. */
static bool bind_is_file(const struct config_bind *b)
{
    return b->fd == NULL && addr_is_unix(&b->addr[0]) && b->addr[0].un.sun_path[0] != '\0';
}

/* The options that only sockets with an IP address have, made by zproxy. */
static int bind_check_network(const struct config_bind *b, const char *address,
                              struct value_error *error)
{
    if (!b->freebind && b->device == NULL)
        return 0;
    if (b->fd != NULL || addr_is_unix(&b->addr[0]))
        return value_invalid(error, address,
                             "has no IP address, expected freebind and device= only with one");
    if (b->device != NULL && (strlen(b->device) >= IFNAMSIZ || strchr(b->device, '/') != NULL))
        return value_invalid(error, b->device,
                             "not the name of an interface, expected at most 15 bytes");
    return 0;
}

static int bind_parse_words(struct config_bind *b, char *line, struct value_error *error)
{
    char *rest = NULL;
    char *address = strtok_r(line, " \t", &rest);
    int rc = bind_parse_address(b, address == NULL ? line : address, error);
    if (rc == 0)
        rc = options_parse(&bind_options, b, &rest, error);
    if (rc == 0)
        rc = bind_check_network(b, address, error);
    if (rc == 0 && !bind_is_file(b) && (b->mode != 0 || b->user != NULL || b->group != NULL))
        rc = value_invalid(error, address,
                           "has no file, expected mode=, user= and group= only for unix:/PATH");
    return rc;
}

static void free_bind(void *value)
{
    struct config_bind *b = value;
    options_free(&bind_options, b);
    free(b->addr);
    free(b->fd);
    *b = (struct config_bind){ .addr = NULL };
}

static int parse_bind(const struct value *v, void *out, const char *text, struct value_error *error)
{
    struct config_bind b = { .addr = NULL };
    char *line = NULL;
    int rc = value_strdup(&line, text, error);
    (void)v;
    if (rc < 0)
        return rc;
    rc = bind_parse_words(&b, line, error);
    free(line);
    if (rc == 0)
        *(struct config_bind *)out = b;
    else
        free_bind(&b);
    return rc;
}

static void print_bind(const struct value *v, const void *in, FILE *out)
{
    const struct config_bind *b = in;
    char text[ADDR_TEXT_MAX];
    (void)v;
    if (b->fd != NULL)
        fprintf(out, FD_PREFIX "%s", b->fd);
    else
        fputs(addr_print(&b->addr[0], text), out);
    if (b->addr_count > 1)
        fprintf(out, "-%u", (unsigned)addr_port(&b->addr[b->addr_count - 1]));
    options_print(&bind_options, b, out);
}

const struct value_kind value_kind_bind = { parse_bind, print_bind, free_bind };

/* --- route: words with "|" between them --- */

static void free_words(void *value)
{
    struct config_words *w = value;
    for (size_t i = 0; i < w->count; i++)
        free(w->word[i]);
    free(w->word);
    *w = (struct config_words){ .word = NULL };
}

static void print_words(const struct value *v, const void *in, FILE *out)
{
    const struct config_words *w = in;
    (void)v;
    for (size_t i = 0; i < w->count; i++)
        fprintf(out, "%s%s", i == 0 ? "" : "|", w->word[i]);
}

static int add_word(struct config_words *w, const char *text, struct value_error *error)
{
    char **word = array_add(&w->word, &w->count, sizeof *word);
    if (word == NULL)
        return value_no_memory(error);
    return value_strdup(word, text, error);
}

/* Splits text into words; parse_one() checks each and may change it. */
static int route_parse_words(struct config_words *out, const char *text, struct value_error *error,
                             int (*parse_one)(char *word, struct value_error *error))
{
    struct config_words w = { .word = NULL };
    char *copy = NULL;
    char *rest = NULL;
    char *word = NULL;
    int rc = value_strdup(&copy, text, error);
    if (rc < 0)
        return rc;
    for (rest = copy; rc == 0 && (word = strsep(&rest, "|")) != NULL;)
        if ((rc = parse_one(word, error)) == 0)
            rc = add_word(&w, word, error);
    free(copy);
    if (rc == 0)
        *out = w;
    else
        free_words(&w);
    return rc;
}

/* --- route: names in hellos (RFC 6066, 3): no addresses, no dot at the end --- */

static int route_read_name(char *name, struct value_error *error)
{
    const char *why = NULL;
    const char *host = strncmp(name, "*.", 2) == 0 ? name + 2 : name;
    size_t n = strlen(host);
    if (n > 0 && host[strspn(host, "0123456789.")] == '\0')
        return value_invalid(error, name, "an address, expected a name: hellos have no addresses");
    if (n > 0 && host[n - 1] == '.')
        return value_invalid(error, name, "a dot at the end, expected the name without it");
    if (strchr(host, '*') != NULL)
        return value_invalid(
            error, name, "\"*\" replaces whole labels at the start only, expected *.example.com");
    if (!hostname_is_host(host, &why))
        return value_invalid(error, name, "%s", why);
    for (char *c = name; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return 0;
}

static int parse_sni(const struct value *v, void *out, const char *text, struct value_error *error)
{
    (void)v;
    return route_parse_words(out, text, error, route_read_name);
}

static const struct value_kind value_kind_sni = { parse_sni, print_words, free_words };

/* --- route: protocols (RFC 7301, 3.1): 1 to 255 bytes --- */

static int read_protocol(char *name, struct value_error *error)
{
    size_t n = 0;
    while (name[n] > ' ' && name[n] < 0x7f)
        n++;
    if (n == 0 || n > 255 || name[n] != '\0')
        return value_invalid(error, name, "not a protocol, expected one as in h2 or http/1.1");
    return 0;
}

static int parse_alpn(const struct value *v, void *out, const char *text, struct value_error *error)
{
    (void)v;
    return route_parse_words(out, text, error, read_protocol);
}

static const struct value_kind value_kind_alpn = { parse_alpn, print_words, free_words };

/* --- route --- */

static const struct option route_option[] = {
    { "sni", { .kind = &value_kind_sni }, NULL, offsetof(struct config_route, sni) },
    { "alpn", { .kind = &value_kind_alpn }, NULL, offsetof(struct config_route, alpn) },
    { "pool", VALUE_NAME, NULL, offsetof(struct config_route, pool_name) },
};
static const struct options route_options = { route_option,
                                              sizeof route_option / sizeof *route_option,
                                              "sni=, alpn= or pool=" };

static void free_route(void *value)
{
    options_free(&route_options, value);
}

static int parse_route(const struct value *v, void *out, const char *text,
                       struct value_error *error)
{
    struct config_route r = { .pool_name = NULL };
    char *line = NULL;
    char *rest = NULL;
    int rc = value_strdup(&line, text, error);
    (void)v;
    if (rc < 0)
        return rc;
    rest = line;
    rc = options_parse(&route_options, &r, &rest, error);
    free(line);
    if (rc == 0 && r.pool_name == NULL)
        rc = value_invalid(error, text, "no pool, expected [sni=NAME] [alpn=PROTOCOL] pool=NAME");
    else if (rc == 0 && r.sni.count == 0 && r.alpn.count == 0)
        rc = value_invalid(error, text, "no condition, expected sni=, alpn= or both");
    if (rc == 0)
        *(struct config_route *)out = r;
    else
        free_route(&r);
    return rc;
}

/* options_print() writes a space in front of the first option, which is left out here. */
static void print_route(const struct value *v, const void *in, FILE *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    (void)v;
    if (memory == NULL)
        return;
    options_print(&route_options, in, memory);
    if (fclose(memory) == 0)
        fputs(text + 1, out);
    free(text);
}

const struct value_kind value_kind_route = { parse_route, print_route, free_route };
