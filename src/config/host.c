#include "config/host.h"

#include <stddef.h>
#include <string.h>

#include "base/hostname.h"

#define LABEL_MAX      63
#define SERVICE_LABELS 3

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static bool host_invalid(const char **why, const char *text)
{
    *why = text;
    return false;
}

static bool is_label(const char *label, size_t n, const char **why)
{
    if (n == 0)
        return host_invalid(why, "an empty label, expected a name such as db1.example");
    if (n > LABEL_MAX)
        return host_invalid(why, "a label is too long, expected at most 63 bytes between two dots");
    if (strspn(label, letters) < n)
        return host_invalid(why,
                            "not a name, expected letters, digits, \"-\" and \"_\" between dots");
    if (label[0] == '-' || label[n - 1] == '-')
        return host_invalid(why, "a label begins or ends with \"-\", expected a letter or a digit");
    return true;
}

/* Labels with dots between, and perhaps a dot at the end. *count is how many. */
static bool are_labels(const char *name, size_t *count, const char **why)
{
    size_t n = strlen(name);
    if (n > 0 && name[n - 1] == '.')
        n--;
    if (n > HOST_MAX)
        return host_invalid(why, "too long, expected a name of at most 253 bytes");
    const char *end = name + n;
    *count = 1;
    for (const char *label = name;; label += n + 1, ++*count) {
        n = strcspn(label, ".");
        if (!is_label(label, n, why))
            return false;
        if (label + n == end)
            return true;
    }
}

bool host_is_name(const char *name, const char **why)
{
    size_t count = 0;
    if (!are_labels(name, &count, why))
        return false;
    if (hostname_ends_in_number(name))
        return host_invalid(why, "not an IPv4 address, expected four numbers from 0 to 255");
    return true;
}

/* "_redis._tcp.": whether a name that begins with an underscore goes on as it has to. */
static bool is_underscored(const char *name)
{
    const char *protocol = strchr(name, '.');
    return name[1] != '.' && protocol != NULL && protocol[1] == '_' && protocol[2] != '.';
}

bool host_is_service(const char *name, const char **why)
{
    size_t count = 0;
    if (!are_labels(name, &count, why))
        return false;
    if (count < SERVICE_LABELS || (name[0] == '_' && !is_underscored(name)))
        return host_invalid(why,
                            "not a service, expected srv:_SERVICE._tcp.DOMAIN, or a name of SRV "
                            "records such as srv:redis.service.consul");
    if (hostname_ends_in_number(name))
        return host_invalid(why, "an address, expected the name of a service");
    return true;
}
