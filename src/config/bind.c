#include "config/bind.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "config/config.h"
#include "config/options.h"

static const struct option list[] = {
    { "mode", VALUE_MODE("umask"), "umask", offsetof(struct config_bind, mode) },
    { "user", VALUE_WORD, NULL, offsetof(struct config_bind, user) },
    { "group", VALUE_WORD, NULL, offsetof(struct config_bind, group) },
};
static const struct options options = {
    list, sizeof list / sizeof *list, "mode=, user= or group=, and a comma between two addresses"
};

/* --- Ranges of ports --- */

/* The dash between two ports; NULL where there is one port, or none. */
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

/* "*:8000-8099"; dash is in text. */
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
        return value_invalid(error, text, "the wrong way round, expected the lower port first");
    return add_ports(b, &first, last - addr_port(&first) + 1, error);
}

/* --- Sockets that systemd hands over --- */

#define FD_PREFIX "fd:"
#define FD_MAX    255 /* bytes of a name, as in FileDescriptorName= of systemd.socket(5) */

/* A number is that of a descriptor, behind those that every process has. */
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
        return value_invalid(error, text, "not a socket of systemd, expected fd:NAME or fd:3");
    if (strspn(name, "0123456789") == n && value_parse(&number, &fd, name, &ignored) < 0)
        return value_invalid(error, text, "not a descriptor of systemd, expected fd:3 or above");
    return value_strdup(&b->fd, name, error);
}

/* --- All of it --- */

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

/* A file of the file system, which has an owner and a mode. */
static bool bind_is_file(const struct config_bind *b)
{
    return b->fd == NULL && addr_is_unix(&b->addr[0]) && b->addr[0].un.sun_path[0] != '\0';
}

static int bind_parse_words(struct config_bind *b, char *line, struct value_error *error)
{
    char *rest = NULL;
    char *address = strtok_r(line, " \t", &rest);
    int rc = bind_parse_address(b, address == NULL ? line : address, error);
    if (rc == 0)
        rc = options_parse(&options, b, &rest, error);
    if (rc == 0 && !bind_is_file(b) && (b->mode != 0 || b->user != NULL || b->group != NULL))
        rc = value_invalid(error, address,
                           "has no file, expected mode=, user= and group= only for unix:/PATH");
    return rc;
}

static void free_bind(void *value)
{
    struct config_bind *b = value;
    options_free(&options, b);
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
    options_print(&options, b, out);
}

const struct value_kind value_kind_bind = { parse_bind, print_bind, free_bind };
