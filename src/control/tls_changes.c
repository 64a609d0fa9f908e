#include "control/tls_changes.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "tls/tls_client_context.h"
#include "tls/tls_server_context.h"

/* A file of a section. */
struct entry {
    const char *kind;
    const char *name;
    struct tls_file file;
};

struct entries {
    struct entry *at;
    size_t count;
    const char *kind; /* of the section that adds its files */
    const char *name;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->kind, y->kind);
    if (order == 0)
        order = strcmp(x->name, y->name);
    if (order == 0)
        order = strcmp(x->file.key, y->file.key);
    return order != 0 ? order : strcmp(x->file.path, y->file.path);
}

/* When out of memory, a file is left out. */
static void add_entry(void *arg, const struct tls_file *file)
{
    struct entries *all = arg;
    struct entry *e = array_add(&all->at, &all->count, sizeof *e);
    if (e != NULL)
        *e = (struct entry){ all->kind, all->name, *file };
}

static struct entries collect(const struct config *conf)
{
    struct entries all = { .kind = "listen" };
    for (size_t i = 0; i < conf->listen_count; i++) {
        all.name = conf->listen[i].name;
        tls_server_context_files(conf->listen[i].tls_context, add_entry, &all);
    }
    all.kind = "pool";
    for (size_t i = 0; i < conf->pool_count; i++) {
        all.name = conf->pool[i].name;
        tls_client_context_files(conf->pool[i].tls_context, add_entry, &all);
    }
    if (all.count > 0)
        qsort(all.at, all.count, sizeof *all.at, compare_entries);
    return all;
}

static void print_entry(const struct entry *e, FILE *out)
{
    char until[32];
    struct tm tm;
    fprintf(out, "[%s %s] %s: %s: new content", e->kind, e->name, e->file.key, e->file.path);
    if (e->file.until != 0 && gmtime_r(&e->file.until, &tm) != NULL) {
        strftime(until, sizeof until, "%Y-%m-%dT%H:%M:%SZ", &tm);
        fprintf(out, ", valid until %s", until);
    }
    fputc('\n', out);
}

size_t tls_changes_print(const struct config *from, const struct config *to, FILE *out)
{
    struct entries before = collect(from);
    struct entries after = collect(to);
    size_t changes = 0;
    for (size_t i = 0; i < after.count; i++) {
        const struct entry *e = &after.at[i];
        const struct entry *old = before.count == 0 ? NULL
                                                    : bsearch(e, before.at, before.count,
                                                              sizeof *before.at, compare_entries);
        bool is_first = i == 0 || compare_entries(e, &after.at[i - 1]) != 0;
        if (old == NULL || old->file.digest == e->file.digest || !is_first)
            continue; /* a file that is named twice is one */
        print_entry(e, out);
        changes++;
    }
    free(before.at);
    free(after.at);
    return changes;
}
