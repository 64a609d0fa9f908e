#include "base/hostname.h"

#include <string.h>
#include <strings.h>

#define LABEL_MAX      63
#define WILDCARD_SIZE  2 /* "*." */
#define SERVICE_LABELS 3

static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* What is wrong with a label, or NULL. */
static const char *label_error(const char *label, size_t n, bool dash_at_ends)
{
    if (n == 0)
        return "an empty label, expected a name such as db1.example";
    if (n > LABEL_MAX)
        return "a label is too long, expected at most 63 bytes between two dots";
    for (size_t i = 0; i < n; i++)
        if (!is_label_byte(label[i]))
            return "not a name, expected letters, digits, \"-\" and \"_\" between dots";
    if (!dash_at_ends && (label[0] == '-' || label[n - 1] == '-'))
        return "a label begins or ends with \"-\", expected a letter or a digit";
    return NULL;
}

/* What is wrong with the labels of a name, or NULL; *count is their number. */
static const char *labels_error(const char *name, size_t n, bool dash_at_ends, size_t *count)
{
    const char *end = name + n;
    for (*count = 1;; ++*count) {
        const char *dot = memchr(name, '.', (size_t)(end - name));
        const char *label_end = dot == NULL ? end : dot;
        const char *why = label_error(name, (size_t)(label_end - name), dash_at_ends);
        if (why != NULL || dot == NULL)
            return why;
        name = dot + 1;
    }
}

bool hostname_is_valid(const char *name, size_t n)
{
    size_t count = 0;
    return n <= HOSTNAME_MAX && labels_error(name, n, true, &count) == NULL;
}

/* What is wrong with a name that is to be looked up, or NULL. */
static const char *dns_name_error(const char *name, size_t *count)
{
    size_t n = strlen(name);
    if (n > 0 && name[n - 1] == '.')
        n--;
    if (n > HOSTNAME_DNS_MAX)
        return "too long, expected a name of at most 253 bytes";
    return labels_error(name, n, false, count);
}

bool hostname_is_host(const char *name, const char **why)
{
    size_t count = 0;
    const char *error = dns_name_error(name, &count);
    if (error == NULL && hostname_ends_in_number(name))
        error = "not an IPv4 address, expected four numbers from 0 to 255";
    if (error != NULL)
        *why = error;
    return error == NULL;
}

/* Whether the first two labels of "_redis._tcp.example" have a name behind the underscore. */
static bool is_underscored(const char *name)
{
    const char *protocol = strchr(name, '.');
    return name[1] != '.' && protocol != NULL && protocol[1] == '_' && protocol[2] != '.';
}

bool hostname_is_service(const char *name, const char **why)
{
    size_t count = 0;
    const char *error = dns_name_error(name, &count);
    if (error == NULL && (count < SERVICE_LABELS || (name[0] == '_' && !is_underscored(name))))
        error = "not a service, expected srv:_SERVICE._tcp.DOMAIN, or a name of SRV records such "
                "as srv:redis.service.consul";
    else if (error == NULL && hostname_ends_in_number(name))
        error = "an address, expected the name of a service";
    if (error != NULL)
        *why = error;
    return error == NULL;
}

bool hostname_ends_in_number(const char *name)
{
    size_t n = strlen(name);
    if (n > 0 && name[n - 1] == '.')
        n--;
    size_t begin = n;
    while (begin > 0 && name[begin - 1] != '.')
        begin--;
    const char *label = name + begin;
    n -= begin;
    if (n >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
        return strspn(label + 2, "0123456789abcdefABCDEF") >= n - 2;
    return n > 0 && strspn(label, "0123456789") >= n;
}

static bool is_wildcard(const char *pattern, size_t n)
{
    return n >= WILDCARD_SIZE && memcmp(pattern, "*.", WILDCARD_SIZE) == 0;
}

bool hostname_matches(const char *name, const char *pattern, size_t n)
{
    size_t length = strlen(name);
    if (!is_wildcard(pattern, n))
        return length == n && strncasecmp(name, pattern, n) == 0;
    const size_t tail = n - 1; /* with its dot; a label must stand in front of it */
    return length > tail && strncasecmp(name + length - tail, pattern + 1, tail) == 0;
}
