#include "config/load.h"

#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "config/ini.h"
#include "config/load_key.h"

#define DEPTH_MAX 16    /* levels of includes */
#define FILES_MAX 10000 /* in all: files that include others twice double at each level */

static void load_read_file(struct load *l, const char *path, struct location from);

/* --- Sections --- */

static struct origin *origin_add(struct load *l, enum section_kind kind, struct location at)
{
    struct origin_key *key = calloc(keys_sections[kind].key_count, sizeof *key);
    struct origin *o = NULL;
    if (key != NULL)
        o = array_add(&l->origin[kind], &l->origin_count[kind], sizeof *o);
    if (o == NULL) {
        free(key);
        return NULL;
    }
    o->at = at;
    o->key = key;
    return o;
}

/* Begins a section: the keys that follow belong to it. */
static void section_begin(struct load *l, enum section_kind kind, const char *name,
                          struct location location)
{
    const struct section *s = &keys_sections[kind];
    l->into = LOAD_UNKNOWN;
    if (origin_add(l, kind, location) == NULL) {
        load_report_no_memory(l);
        return;
    }
    void *at = keys_section_add(s, l->config, name);
    if (at == NULL) {
        l->origin_count[kind]--;
        free(l->origin[kind][l->origin_count[kind]].key);
        load_report_no_memory(l);
        return;
    }
    l->kind = kind;
    l->into = LOAD_SECTION;
    load_key_defaults(l);
}

/* Continues a section without a name, which exists from the start. */
static void section_continue(struct load *l, enum section_kind kind)
{
    l->kind = kind;
    l->into = LOAD_SECTION;
}

static void on_single(struct load *l, enum section_kind kind, unsigned line)
{
    unsigned *seen = &l->file->seen[kind];
    section_continue(l, kind);
    if (*seen != 0)
        load_report_duplicate(l, load_here(l, line), NULL, load_here(l, *seen));
    else
        *seen = line;
}

static void on_defaults(struct load *l)
{
    l->into = LOAD_DEFAULTS;
    for (size_t kind = 0; kind < SECTION_KINDS; kind++)
        for (size_t i = 0; i < keys_sections[kind].key_count; i++)
            l->default_value[kind][i].given.line = 0;
}

/* Called for "[type name]". The section begins even if its name is wrong, so that its keys are
 * checked. */
static void on_section(void *arg, unsigned line, const char *title)
{
    struct load *l = arg;
    char type[INI_LINE_MAX + 1];
    size_t n = strcspn(title, " \t");
    snprintf(type, sizeof type, "%.*s", (int)n, title);
    const char *name = title + n + strspn(title + n, " \t");
    const struct section *s = keys_find_section(type);
    bool is_defaults = strcmp(type, "defaults") == 0;
    bool is_named = s != NULL && s->list.size > 0;

    if (s == NULL && !is_defaults) {
        load_report_unknown_section(l, load_here(l, line), title, type);
        l->into = LOAD_UNKNOWN;
        l->incomplete = true;
        return;
    }
    if (is_named && *name == '\0')
        report_error(l->report, load_here(l, line), title, NULL, "no name, expected %s", s->title);
    else if (is_named && !value_is_name(name))
        report_error(l->report, load_here(l, line), title, NULL,
                     "not a name, expected " VALUE_NAME_EXPECTED);
    else if (!is_named && *name != '\0')
        report_error(l->report, load_here(l, line), title, NULL, "takes no name, expected [%s]",
                     type);

    if (is_defaults)
        on_defaults(l);
    else if (is_named)
        section_begin(l, (enum section_kind)(s - keys_sections), name, load_here(l, line));
    else
        on_single(l, (enum section_kind)(s - keys_sections), line);
}

/* --- include --- */

typedef void include_file_fn(void *arg, const char *path);

/* Returns the pattern, a relative one with the directory of the file `from` in front. wild: escapes
 * wildcards in that directory. NULL when out of memory; the caller frees the result. */
static char *make_absolute(const char *from, const char *pattern, bool wild)
{
    const char *slash = strrchr(from, '/');
    size_t n = *pattern == '/' || slash == NULL ? 0 : (size_t)(slash - from) + 1;
    size_t pattern_size = strlen(pattern) + 1;
    char *path = malloc(2 * n + pattern_size);
    char *to = path;
    if (path == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (wild && strchr("*?[\\", from[i]) != NULL)
            *to++ = '\\';
        *to++ = from[i];
    }
    memcpy(to, pattern, pattern_size);
    return path;
}

/* A missing directory has no files; one that cannot be read is an error. */
static int on_glob_error(const char *path, int error)
{
    (void)path;
    return error != ENOENT && error != ENOTDIR;
}

static int each_match(const char *pattern, include_file_fn *found, void *arg)
{
    glob_t matches = { .gl_pathc = 0 };
    errno = 0;
    int rc = glob(pattern, 0, on_glob_error, &matches);
    int error = rc == GLOB_NOSPACE ? ENOMEM : errno != 0 ? errno : EIO;
    for (size_t i = 0; rc == 0 && i < matches.gl_pathc; i++)
        found(arg, matches.gl_pathv[i]);
    globfree(&matches);
    return rc == 0 || rc == GLOB_NOMATCH ? 0 : -error;
}

/* Calls found for each file that pattern matches, in alphabetical order. A relative pattern starts
 * at the directory of the file `from`. A pattern without wildcards is one file, which may not
 * exist. Returns 0, or -errno if the search fails. */
static int include_each(const char *from, const char *pattern, include_file_fn *found, void *arg)
{
    bool wild = strpbrk(pattern, "*?[") != NULL;
    char *path = make_absolute(from, pattern, wild);
    int rc = 0;
    if (path == NULL)
        return -ENOMEM;
    if (wild)
        rc = each_match(path, found, arg);
    else
        found(arg, path);
    free(path);
    return rc;
}

static void print_chain(const struct load_file *f, FILE *out)
{
    if (f == NULL)
        return;
    print_chain(f->parent, out);
    fprintf(out, "%s -> ", f->path);
}

static void report_loop(struct load *l, const char *path, struct location from)
{
    char *chain = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&chain, &size);
    if (out == NULL) {
        load_report_no_memory(l);
        return;
    }
    print_chain(l->file, out);
    fprintf(out, "%s", path);
    fclose(out);
    report_error(l->report, from, "global", "include", "a loop: %s", chain);
    free(chain);
}

struct inclusion {
    struct load *load;
    struct location from;
};

static void on_included(void *arg, const char *path)
{
    const struct inclusion *i = arg;
    load_read_file(i->load, path, i->from);
}

static void include(struct load *l, const struct key *k, struct location at, const char *pattern)
{
    struct inclusion inclusion = { l, at };
    if (*pattern == '\0') {
        load_report(l, at, k->name, "empty, expected a path or a pattern");
        return;
    }
    const char *place = l->file->parent == NULL && l->place != NULL ? l->place : l->file->path;
    int rc = include_each(place, pattern, on_included, &inclusion);
    if (rc < 0)
        report_error(l->report, at, "global", k->name, "%s: cannot be read: %s", pattern,
                     strerror(-rc));
    section_continue(l, SECTION_GLOBAL); /* the included files may have begun other sections */
}

/* --- Lines --- */

static void on_section_entry(struct load *l, struct location at, const char *key, const char *value)
{
    const struct key *k = keys_find(load_current_section(l), key);
    if (k == NULL)
        load_report_unknown_key(l, at, key);
    else if ((k->flags & KEY_INCLUDE) != 0)
        load_key_each_item(l, k, at, value, include);
    else
        load_key_value(l, at, k, value);
}

static void on_entry(void *arg, unsigned line, const char *key, const char *value)
{
    struct load *l = arg;
    struct location at = load_here(l, line);
    switch (l->into) {
    case LOAD_SECTION:
        on_section_entry(l, at, key, value);
        break;
    case LOAD_DEFAULTS:
        load_key_default(l, at, key, value);
        break;
    case LOAD_NOTHING:
        load_report(l, at, key,
                    "before any section, expected [global], [admin], [defaults], "
                    "[listen NAME] or [pool NAME] first");
        break;
    case LOAD_UNKNOWN:
        break;
    }
}

static void on_ini_error(void *arg, unsigned line, const char *what)
{
    struct load *l = arg;
    char label[KEYS_LABEL_MAX];
    report_error(l->report, load_here(l, line), load_current_label(l, label), NULL, "%s", what);
}

static bool is_section(const char *word)
{
    return keys_find_section(word) != NULL || strcmp(word, "defaults") == 0;
}

static bool is_key(const struct load *l, const char *word)
{
    for (size_t i = 0; i < SECTION_KINDS && l->into != LOAD_UNKNOWN; i++) {
        const struct key *k = keys_find(&keys_sections[i], word);
        if (k != NULL && load_accepts_key(l, &keys_sections[i], k))
            return true;
    }
    return false;
}

/* Whether the value of the key that would be continued has options, "word=...". */
static bool has_options(const struct load *l, const char *key)
{
    const struct key *k = NULL;
    if (key != NULL && l->into == LOAD_SECTION)
        k = keys_find(load_current_section(l), key);
    return k != NULL && (k->flags & KEY_OPTIONS) != 0;
}

/* Whether an indented line begins a known section, or is a known key of this section and "=". Any
 * other line may be the continuation of a value. */
static bool starts_entry(void *arg, const char *key, const char *text)
{
    const struct load *l = arg;
    char word[INI_LINE_MAX + 1];
    bool is_title = *text == '[';
    size_t n = strcspn(text + is_title, is_title ? " \t]" : " \t=");
    snprintf(word, sizeof word, "%.*s", (int)n, text + is_title);
    if (is_title)
        return is_section(word);
    if (text[n] == '=' && has_options(l, key))
        return false;
    return text[n + strspn(text + n, " \t")] == '=' && is_key(l, word);
}

/* --- Files --- */

static const struct load_file *file_on_stack(const struct load *l, const struct ini_file *s)
{
    for (const struct load_file *f = l->file; f != NULL; f = f->parent)
        if (f->dev == s->dev && f->ino == s->ino)
            return f;
    return NULL;
}

static const char *name_keep(struct load *l, const char *path)
{
    char *copy = strdup(path);
    char **name = copy == NULL ? NULL : array_add(&l->name, &l->name_count, sizeof *name);
    if (name == NULL) {
        free(copy);
        return NULL;
    }
    /* cppcheck-suppress memleak ; the array owns it */
    return *name = copy;
}

static void parse_file(struct load *l, const char *path, const struct ini_file *s)
{
    static const struct ini_handler handler = { on_section, on_entry, on_ini_error, starts_entry };
    struct load_file f = { .parent = l->file, .dev = s->dev, .ino = s->ino };
    f.depth = f.parent == NULL ? 1 : f.parent->depth + 1;
    f.path = name_keep(l, path);
    if (f.path == NULL) {
        load_report_no_memory(l);
        return;
    }
    l->file = &f;
    ini_read(s->text, s->size, &handler, l);
    l->file = f.parent;
}

/* Reads a file that is included at the place `from`; line 0: the first file. */
static void load_read_file(struct load *l, const char *path, struct location from)
{
    struct ini_file s;
    struct ini_file_error error;
    bool included = from.line != 0;
    if (included)
        section_continue(l, SECTION_GLOBAL);
    if (ini_file_read(&s, path, &error) < 0) {
        struct location at = { path, error.line };
        l->incomplete = true;
        if (included && error.line == 0)
            report_error(l->report, from, "global", "include", "%s: %s", path, error.text);
        else
            report_error(l->report, at, NULL, NULL, "%s", error.text);
        return;
    }
    if (file_on_stack(l, &s) != NULL)
        report_loop(l, path, from);
    else if (included && l->file->depth == DEPTH_MAX)
        report_error(l->report, from, "global", "include",
                     "%s: nested too deeply, expected at most %d levels", path, DEPTH_MAX);
    else if (l->name_count == FILES_MAX)
        report_error(l->report, from, "global", "include",
                     "%s: too many files, expected at most %d", path, FILES_MAX);
    else
        parse_file(l, path, &s);
    ini_file_free(&s);
}

void load_read(struct load *l, const char *path)
{
    struct location nowhere = { path, 0 };
    bool ready = true;
    l->path = path;
    for (size_t i = 0; i < SECTION_KINDS; i++) {
        l->default_value[i] = calloc(keys_sections[i].key_count, sizeof *l->default_value[i]);
        ready &= l->default_value[i] != NULL;
    }
    for (size_t i = 0; i < SECTION_KINDS && ready; i++)
        if (keys_sections[i].list.size == 0) {
            ready = origin_add(l, (enum section_kind)i, nowhere) != NULL;
            section_continue(l, (enum section_kind)i);
            if (ready)
                load_key_defaults(l);
        }
    l->into = LOAD_NOTHING;
    if (ready)
        load_read_file(l, path, nowhere);
    else
        load_report_no_memory(l);
}
