#include "base/hostname.h"

#include <string.h>
#include <strings.h>

#define LABEL_MAX     63
#define WILDCARD_SIZE 2 /* "*." */

static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool hostname_is_valid(const char *name, size_t n)
{
    size_t label = 0;
    if (n > HOSTNAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (name[i] == '.' ? label == 0 : !is_label_byte(name[i]))
            return false;
        label = name[i] == '.' ? 0 : label + 1;
        if (label > LABEL_MAX)
            return false;
    }
    return label > 0;
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

bool hostname_is_pattern(const char *pattern, size_t n)
{
    size_t skip = is_wildcard(pattern, n) ? WILDCARD_SIZE : 0;
    return hostname_is_valid(pattern + skip, n - skip);
}

bool hostname_matches(const char *name, const char *pattern, size_t n)
{
    size_t length = strlen(name);
    if (!is_wildcard(pattern, n))
        return length == n && strncasecmp(name, pattern, n) == 0;
    const size_t tail = n - 1; /* with its dot, in front of which a label must stand */
    return length > tail && strncasecmp(name + length - tail, pattern + 1, tail) == 0;
}
