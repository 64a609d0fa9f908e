#include "balance/server_list_names.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hash.h"
#include "base/hostname.h"

void server_list_names_free(struct server_list_name *name, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(name[i].host);
        free(name[i].answer);
    }
    free(name);
}

static uint64_t hash_line(const struct config_server *line)
{
    char lower[HOSTNAME_DNS_MAX + 2];
    size_t n = 0;
    for (; n < sizeof lower && line->host[n] != '\0'; n++)
        lower[n] = (char)tolower((unsigned char)line->host[n]);
    return hash_bytes(lower, n) + line->port * UINT64_C(2) + line->service;
}

static bool is_name_of(const struct server_list_name *n, const struct config_server *line)
{
    return n->service == line->service && n->port == line->port &&
           strcasecmp(n->host, line->host) == 0;
}

static const struct server_list_name *find_hashed(const struct server_list_name *name, size_t count,
                                                  const struct config_server *line, uint64_t hash)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (name[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < count && name[low].hash == hash; low++)
        if (is_name_of(&name[low], line))
            return &name[low];
    return NULL;
}

const struct server_list_name *server_list_names_find(const struct server_list_name *name,
                                                      size_t count,
                                                      const struct config_server *line)
{
    return find_hashed(name, count, line, hash_line(line));
}

static int server_list_names_copy_answers(struct server_list_name *to,
                                          const struct pool_answer *answer, size_t count)
{
    to->answer = calloc(count + 1, sizeof *answer);
    if (to->answer == NULL)
        return -ENOMEM;
    if (count > 0)
        memcpy(to->answer, answer, count * sizeof *answer);
    to->count = count;
    return 0;
}

/* A line with a name, to be sorted by the name's hash. */
struct hashed_line {
    uint64_t hash;
    const struct config_server *line;
};

static int compare_lines(const void *left, const void *right)
{
    const struct hashed_line *a = left;
    const struct hashed_line *b = right;
    return (a->hash > b->hash) - (a->hash < b->hash);
}

/* Returns the number of lines with names, or -ENOMEM. The caller frees *out. */
static ssize_t sort_lines(const struct config_pool *conf, struct hashed_line **out)
{
    ssize_t count = 0;
    struct hashed_line *lines = calloc(conf->server_count + 1, sizeof *lines);
    if (lines == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < conf->server_count; i++)
        if (conf->server[i].host != NULL)
            lines[count++] = (struct hashed_line){ hash_line(&conf->server[i]), &conf->server[i] };
    qsort(lines, (size_t)count, sizeof *lines, compare_lines);
    *out = lines;
    return count;
}

static bool have_same_name(const struct config_server *a, const struct config_server *b)
{
    return strcasecmp(a->host, b->host) == 0 && a->service == b->service && a->port == b->port;
}

static int server_list_names_add(struct server_list_name *n, const struct hashed_line *at,
                                 const struct pool_answer *answer, size_t count)
{
    n->hash = at->hash;
    n->host = strdup(at->line->host);
    n->service = at->line->service;
    n->port = at->line->port;
    if (n->host == NULL || server_list_names_copy_answers(n, answer, count) < 0) {
        free(n->host);
        return -ENOMEM;
    }
    return 1;
}

/* Adds the name of a line if it has been resolved. Returns 1 if added, 0 if not, or -ENOMEM. */
static int plan_name(struct server_list_name *n, const struct hashed_line *at,
                     const struct server_list_name *known,
                     const struct server_list_new_answers *new_answers)
{
    if (new_answers->line != NULL && have_same_name(new_answers->line, at->line))
        return server_list_names_add(n, at, new_answers->answer, new_answers->count);
    return known != NULL ? server_list_names_add(n, at, known->answer, known->count) : 0;
}

ssize_t server_list_names_plan(const struct server_list_name *known, size_t known_count,
                               const struct config_pool *conf,
                               const struct server_list_new_answers *new_answers,
                               struct server_list_name **out)
{
    struct hashed_line *lines = NULL;
    struct server_list_name *name = calloc(conf->server_count + 1, sizeof *name);
    ssize_t line_count = name == NULL ? -ENOMEM : sort_lines(conf, &lines);
    size_t count = 0;
    int rc = line_count < 0 ? -ENOMEM : 0;
    for (ssize_t i = 0; rc >= 0 && i < line_count; i++) {
        const struct hashed_line *at = &lines[i];
        if (find_hashed(name, count, at->line, at->hash) != NULL)
            continue;
        rc = plan_name(&name[count], at, find_hashed(known, known_count, at->line, at->hash),
                       new_answers);
        count += rc > 0 ? 1 : 0;
    }
    free(lines);
    if (rc < 0) {
        server_list_names_free(name, count);
        return rc;
    }
    *out = name;
    return (ssize_t)count;
}
