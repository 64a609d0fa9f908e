#include "config/host.h"

#include <stddef.h>
#include <string.h>

#define LABEL_MAX 63

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static bool refuse(const char **why, const char *text)
{
    *why = text;
    return false;
}

static bool is_label(const char *label, size_t n, const char **why)
{
    if (n == 0)
        return refuse(why, "an empty label, expected a name such as db1.example");
    if (n > LABEL_MAX)
        return refuse(why, "a label is too long, expected at most 63 bytes between two dots");
    if (strspn(label, letters) < n)
        return refuse(why, "not a name, expected letters, digits, \"-\" and \"_\" between dots");
    if (label[0] == '-' || label[n - 1] == '-')
        return refuse(why, "a label begins or ends with \"-\", expected a letter or a digit");
    return true;
}

/* Labels with dots between, and perhaps a dot at the end. *last is the last label. */
static bool are_labels(const char *name, const char **last, const char **why)
{
    size_t n = strlen(name);
    if (n > 0 && name[n - 1] == '.')
        n--;
    if (n > HOST_MAX)
        return refuse(why, "too long, expected a name of at most 253 bytes");
    const char *end = name + n;
    for (*last = name;; *last += n + 1) {
        n = strcspn(*last, ".");
        if (!is_label(*last, n, why))
            return false;
        if (*last + n == end)
            return true;
    }
}

bool host_is_name(const char *name, const char **why)
{
    const char *last = NULL;
    if (!are_labels(name, &last, why))
        return false;
    if (strspn(last, "0123456789.") == strlen(last))
        return refuse(why, "not an IPv4 address, expected four numbers from 0 to 255");
    return true;
}

bool host_is_service(const char *name, const char **why)
{
    const char *last = NULL;
    const char *protocol = strchr(name, '.');
    const char *domain = protocol == NULL ? NULL : strchr(++protocol, '.');
    if (domain == NULL || domain[1] == '\0' || name[0] != '_' || name[1] == '.' ||
        protocol[0] != '_' || protocol[1] == '.')
        return refuse(why, "not a service, expected srv:_SERVICE._tcp.DOMAIN");
    return are_labels(name, &last, why);
}
