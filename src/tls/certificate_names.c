#include "tls/certificate_names.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hostname.h"

/* A name, and a certificate that is for it. */
struct entry {
    const char *name;
    size_t certificate;
};

/* All of them, in the order of names, and those of a name in the order of the file. */
struct entries {
    struct entry *at;
    size_t count;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order
                      : (x->certificate > y->certificate) - (x->certificate < y->certificate);
}

static int collect(struct entries *all, const struct certificate *certificate, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += certificate[i].name_count;
    all->count = 0;
    all->at = calloc(n + 1, sizeof *all->at);
    if (all->at == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < certificate[i].name_count; j++)
            all->at[all->count++] = (struct entry){ certificate[i].name[j], i };
    qsort(all->at, n, sizeof *all->at, compare_entries);
    return 0;
}

/* The end of the entries with the same name as entry i. */
static size_t end_of_name(const struct entries *all, size_t i)
{
    size_t end = i + 1;
    while (end < all->count && strcmp(all->at[end].name, all->at[i].name) == 0)
        end++;
    return end;
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

/* The first certificate, and those of other types that are for one of its names. Returns 0 or
 * -ENOMEM. */
static int make_first_group(struct certificate_group *g, const struct entries *all,
                            const struct certificate *certificate, size_t count)
{
    bool *shares = calloc(count, sizeof *shares);
    if (shares == NULL)
        return -ENOMEM;
    shares[0] = true;
    for (size_t i = 0, end = 0; i < all->count; i = end) {
        end = end_of_name(all, i);
        for (size_t j = i; j < end && all->at[i].certificate == 0; j++)
            shares[all->at[j].certificate] = true;
    }
    *g = empty_group();
    for (size_t i = 0; i < count; i++)
        if (shares[i])
            take(g, certificate, i);
    free(shares);
    return 0;
}

/* Returns the index of an equal group, which is added if there is none; or -ENOMEM. *latest: that
 * of the last name with the same first certificate, which usually has the same group. */
static ssize_t note_group(struct certificate_names *n, const struct certificate_group *g,
                          size_t *latest)
{
    if (*latest < n->group_count && memcmp(&n->group[*latest], g, sizeof *g) == 0)
        return (ssize_t)*latest;
    struct certificate_group *added = array_add(&n->group, &n->group_count, sizeof *added);
    if (added == NULL)
        return -ENOMEM;
    *added = *g;
    *latest = n->group_count - 1;
    return (ssize_t)*latest;
}

/* The first entry of a name; all->count: there is none. */
static size_t find_entry(const struct entries *all, const char *name)
{
    size_t low = 0, high = all->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(all->at[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < all->count && strcmp(all->at[low].name, name) == 0 ? low : all->count;
}

/* For types of which no certificate is for the name itself: a client that only verifies those must
 * not be refused. */
static void take_wildcard(struct certificate_group *g, const struct entries *all, const char *name,
                          const struct certificate *certificate)
{
    char wildcard[HOSTNAME_MAX + 2];
    const char *dot = strchr(name, '.');
    if (dot == NULL || dot == name || strlen(name) > HOSTNAME_MAX)
        return;
    snprintf(wildcard, sizeof wildcard, "*%s", dot);
    size_t i = find_entry(all, wildcard);
    for (size_t end = i == all->count ? i : end_of_name(all, i); i < end; i++)
        take(g, certificate, all->at[i].certificate);
}

static int note_name(struct certificate_names *n, const struct entries *all, size_t i, size_t end,
                     const struct certificate *certificate, size_t *latest)
{
    struct certificate_group g = empty_group();
    for (size_t j = i; j < end; j++)
        take(&g, certificate, all->at[j].certificate);
    take_wildcard(&g, all, all->at[i].name, certificate);
    ssize_t group = note_group(n, &g, &latest[all->at[i].certificate]);
    struct certificate_name *added =
        group < 0 ? NULL : array_add(&n->name, &n->name_count, sizeof *added);
    if (added == NULL)
        return -ENOMEM;
    *added = (struct certificate_name){ all->at[i].name, (size_t)group };
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct certificate_name *)a)->name,
                  ((const struct certificate_name *)b)->name);
}

static int make_groups(struct certificate_names *n, const struct entries *all,
                       const struct certificate *certificate, size_t count)
{
    struct certificate_group first;
    size_t *latest = calloc(count, sizeof *latest); /* 0: the first group */
    int rc = latest == NULL ? -ENOMEM : make_first_group(&first, all, certificate, count);
    if (rc == 0)
        rc = note_group(n, &first, &latest[0]) < 0 ? -ENOMEM : 0;
    for (size_t i = 0, end = 0; i < all->count && rc == 0; i = end) {
        end = end_of_name(all, i);
        rc = note_name(n, all, i, end, certificate, latest);
    }
    free(latest);
    return rc;
}

int certificate_names_init(struct certificate_names *n, const struct certificate *certificate,
                           size_t count)
{
    struct entries all;
    *n = (struct certificate_names){ .group = NULL };
    int rc = collect(&all, certificate, count);
    if (rc == 0)
        rc = make_groups(n, &all, certificate, count);
    free(all.at);
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

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

bool certificate_names_cover(const struct certificate_names *n, const char *pattern)
{
    bool found = false;
    if (pattern[0] != '*')
        return certificate_names_find(n, pattern) != CERTIFICATE_NONE;
    for (size_t i = 0; i < n->name_count && !found; i++)
        found = ends_with(n->name[i].name, pattern + 1);
    return found;
}
