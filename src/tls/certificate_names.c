#include "tls/certificate_names.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hostname.h"

static bool is_for(const struct certificate *c, const char *name)
{
    for (size_t i = 0; i < c->name_count; i++)
        if (strcmp(c->name[i], name) == 0)
            return true;
    return false;
}

static bool shares_name(const struct certificate *a, const struct certificate *b)
{
    for (size_t i = 0; i < a->name_count; i++)
        if (is_for(b, a->name[i]))
            return true;
    return false;
}

static void take(struct certificate_group *g, const struct certificate *certificate, size_t i)
{
    size_t *slot = &g->certificate[certificate[i].type];
    if (*slot == CERTIFICATE_NONE)
        *slot = i;
}

static struct certificate_group empty_group(void)
{
    struct certificate_group g;
    for (size_t type = 0; type < CERTIFICATE_TYPES; type++)
        g.certificate[type] = CERTIFICATE_NONE;
    return g;
}

static struct certificate_group group_of_name(const struct certificate *certificate, size_t count,
                                              const char *name)
{
    struct certificate_group g = empty_group();
    for (size_t i = 0; i < count; i++)
        if (is_for(&certificate[i], name))
            take(&g, certificate, i);
    return g;
}

static struct certificate_group first_group(const struct certificate *certificate, size_t count)
{
    struct certificate_group g = empty_group();
    for (size_t i = 0; i < count; i++)
        if (i == 0 || shares_name(&certificate[0], &certificate[i]))
            take(&g, certificate, i);
    return g;
}

/* Returns the index of an equal group, which is added if there is none; or -ENOMEM. */
static ssize_t note_group(struct certificate_names *n, const struct certificate_group *g)
{
    for (size_t i = 0; i < n->group_count; i++)
        if (memcmp(&n->group[i], g, sizeof *g) == 0)
            return (ssize_t)i;
    struct certificate_group *added = array_add(&n->group, &n->group_count, sizeof *added);
    if (added == NULL)
        return -ENOMEM;
    *added = *g;
    return (ssize_t)n->group_count - 1;
}

static int note_name(struct certificate_names *n, const struct certificate *certificate,
                     size_t count, const char *name)
{
    const struct certificate_group g = group_of_name(certificate, count, name);
    ssize_t group = note_group(n, &g);
    struct certificate_name *added =
        group < 0 ? NULL : array_add(&n->name, &n->name_count, sizeof *added);
    if (added == NULL)
        return -ENOMEM;
    *added = (struct certificate_name){ name, (size_t)group };
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct certificate_name *)a)->name,
                  ((const struct certificate_name *)b)->name);
}

int certificate_names_init(struct certificate_names *n, const struct certificate *certificate,
                           size_t count)
{
    *n = (struct certificate_names){ .group = NULL };
    const struct certificate_group first = first_group(certificate, count);
    int rc = note_group(n, &first) < 0 ? -ENOMEM : 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < certificate[i].name_count && rc == 0; j++)
            rc = note_name(n, certificate, count, certificate[i].name[j]);
    if (rc == 0 && n->name_count > 0)
        qsort(n->name, n->name_count, sizeof *n->name, compare_names);
    return rc;
}

void certificate_names_fini(struct certificate_names *n)
{
    free(n->group);
    free(n->name);
}

static size_t find_exactly(const struct certificate_names *n, const char *name)
{
    const struct certificate_name key = { name, 0 };
    const struct certificate_name *found =
        n->name_count == 0 ? NULL
                           : bsearch(&key, n->name, n->name_count, sizeof *n->name, compare_names);
    return found == NULL ? CERTIFICATE_NONE : found->group;
}

size_t certificate_names_find(const struct certificate_names *n, const char *name)
{
    char lower[HOSTNAME_MAX + 2];
    size_t length = strlen(name);
    if (length > 0 && name[length - 1] == '.')
        length--;
    if (length == 0 || length > HOSTNAME_MAX)
        return CERTIFICATE_NONE;
    for (size_t i = 0; i < length; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    lower[length] = '\0';
    size_t group = find_exactly(n, lower);
    char *dot = strchr(lower, '.');
    if (group != CERTIFICATE_NONE || dot == NULL || dot == lower)
        return group;
    dot[-1] = '*';
    return find_exactly(n, dot - 1);
}
