/* Which certificates are for a name: of each type of key the first one that names it, else the
 * first one with "*" for its first label (RFC 6125, 6.4.3). Constant once it is made. */
#ifndef ZPROXY_TLS_CERTIFICATE_NAMES_H
#define ZPROXY_TLS_CERTIFICATE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "tls/certificate.h"

/* Certificates side by side: for each type of key an index; CERTIFICATE_NONE: none of that type. */
#define CERTIFICATE_NONE ((size_t)-1)
struct certificate_group {
    size_t certificate[CERTIFICATE_TYPES];
};

struct certificate_name {
    const char *name; /* belongs to a certificate */
    size_t group;
};

struct certificate_names {
    struct certificate_group *group; /* the first is for unknown names */
    size_t group_count;
    struct certificate_name *name; /* sorted */
    size_t name_count;
};

/* At least one certificate. The first is for unknown names, and those of other types that are for
 * one of its names. Returns 0 or -ENOMEM; the caller calls certificate_names_fini() in both cases.
 */
int certificate_names_init(struct certificate_names *n, const struct certificate *certificate,
                           size_t count);
void certificate_names_fini(struct certificate_names *n);

/* Whether a certificate is for a name, or for one that matches the pattern "*.NAME" of hostname.h.
 */
bool certificate_names_cover(const struct certificate_names *n, const char *pattern);

/* Returns the group for a name, in any case; CERTIFICATE_NONE: no certificate is for it. */
size_t certificate_names_find(const struct certificate_names *n, const char *name);

#endif
