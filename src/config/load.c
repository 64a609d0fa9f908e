#include "config/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/array.h"
#include "config/include.h"
#include "config/ini.h"
#include "config/nearest.h"
#include "config/source.h"

#define DEPTH_MAX 16    /* files that include each other */
#define FILES_MAX 10000 /* in all: a few files that include each other twice can be very many */
#define LIST_MAX  100   /* what exists is listed where it is shorter than this */

/* A file that is being read. */
struct load_file {
    struct load_file *parent; /* that includes it */
    const char *path;
    dev_t dev;
    ino_t ino;
    unsigned global_line; /* of its [global] */
    unsigned depth;
};

static void read_file(struct load *l, const char *path, struct place from);

/* --- Reporting --- */

static struct place here(const struct load *l, unsigned line)
{
    return (struct place){ l->file->path, line };
}

static const struct section *current_section(const struct load *l)
{
    return &keys_sections[l->kind];
}

static void *current_at(const struct load *l)
{
    const struct section *s = current_section(l);
    return keys_section_at(s, l->config, keys_section_count(s, l->config) - 1);
}

/* What stands between the brackets above the line being read; NULL where there are none. */
static const char *current_label(const struct load *l, char buf[KEYS_LABEL_MAX])
{
    switch (l->into) {
    case LOAD_SECTION:
        return keys_section_label(current_section(l), current_at(l), buf);
    case LOAD_DEFAULTS:
        return "defaults";
    case LOAD_NOTHING:
    case LOAD_UNKNOWN:
        return NULL;
    }
    return NULL;
}

static void report_key(const struct load *l, struct place at, const char *key, const char *what)
{
    char label[KEYS_LABEL_MAX];
    report_error(l->report, at, current_label(l, label), key, "%s", what);
}

static void report_twice(const struct load *l, struct place at, const char *key, struct place first)
{
    char label[KEYS_LABEL_MAX];
    char place[REPORT_PLACE_MAX];
    report_error(l->report, at, current_label(l, label), key, "given twice, first in %s",
                 report_place(first, at, place));
}

static void report_memory(struct load *l)
{
    struct place at = { l->path, 0 };
    l->incomplete = true;
    l->exhausted = true;
    report_error(l->report, at, NULL, NULL, "out of memory");
}

/* --- Sections --- */

static struct origin *current_origin(const struct load *l)
{
    return &l->origin[l->kind][l->origin_count[l->kind] - 1];
}

static struct origin *origin_add(struct load *l, enum section_kind kind, struct place at)
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

/* Gives every key of a new section its default, as if it stood there. */
static int set_defaults(const struct load *l, enum section_kind kind, void *at)
{
    const struct section *s = &keys_sections[kind];
    for (size_t i = 0; i < s->key_count; i++) {
        const struct key *k = &s->keys[i];
        const char *text = l->fallback[kind][i].text;
        struct value_error ignored; /* it was read before, or is ours */
        if (text == NULL)
            text = k->fallback;
        if (text != NULL && value_parse(&k->value, keys_item(k, at, 0), text, &ignored) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* From here on, keys belong to a new section. */
static void section_begin(struct load *l, enum section_kind kind, const char *name,
                          struct place place)
{
    const struct section *s = &keys_sections[kind];
    l->into = LOAD_UNKNOWN;
    if (origin_add(l, kind, place) == NULL) {
        report_memory(l);
        return;
    }
    void *at = keys_section_add(s, l->config, name);
    if (at == NULL) {
        l->origin_count[kind]--;
        free(l->origin[kind][l->origin_count[kind]].key);
        report_memory(l);
        return;
    }
    if (set_defaults(l, kind, at) < 0)
        report_memory(l);
    l->kind = kind;
    l->into = LOAD_SECTION;
}

static void global_begin(struct load *l)
{
    l->kind = SECTION_GLOBAL;
    l->into = LOAD_SECTION;
}

static void on_global(struct load *l, unsigned line)
{
    global_begin(l);
    if (l->file->global_line != 0)
        report_twice(l, here(l, line), NULL, here(l, l->file->global_line));
    else
        l->file->global_line = line;
}

static void on_defaults(struct load *l)
{
    l->into = LOAD_DEFAULTS;
    for (size_t kind = 0; kind < SECTION_KINDS; kind++)
        for (size_t i = 0; i < keys_sections[kind].key_count; i++)
            l->fallback[kind][i].given.line = 0;
}

static void on_unknown_section(struct load *l, unsigned line, const char *title, const char *type)
{
    struct nearest near;
    l->into = LOAD_UNKNOWN;
    l->incomplete = true;
    nearest_init(&near, type);
    nearest_offer(&near, "defaults");
    for (size_t i = 0; i < SECTION_KINDS; i++)
        nearest_offer(&near, keys_sections[i].type);
    const struct section *s = near.word == NULL ? NULL : keys_find_section(near.word);
    if (near.word != NULL)
        report_error(l->report, here(l, line), title, NULL, "unknown section, did you mean %s?",
                     s == NULL ? "[defaults]" : s->title);
    else
        report_error(l->report, here(l, line), title, NULL,
                     "unknown section, expected [global], [defaults], [listen NAME] or "
                     "[pool NAME]");
}

/* "type name": a section is begun also where the name is wrong, to check its keys. */
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
        on_unknown_section(l, line, title, type);
        return;
    }
    if (is_named && *name == '\0')
        report_error(l->report, here(l, line), title, NULL, "no name, expected %s", s->title);
    else if (is_named && !value_is_name(name))
        report_error(l->report, here(l, line), title, NULL,
                     "not a name, expected " VALUE_NAME_EXPECTED);
    else if (!is_named && *name != '\0')
        report_error(l->report, here(l, line), title, NULL, "takes no name, expected [%s]", type);

    if (is_named)
        section_begin(l, (enum section_kind)(s - keys_sections), name, here(l, line));
    else if (is_defaults)
        on_defaults(l);
    else
        on_global(l, line);
}

/* --- Keys that are not there --- */

static bool is_key_here(const struct load *l, const struct section *s, const struct key *k)
{
    if (l->into == LOAD_DEFAULTS)
        return s->list.size > 0 && (k->flags & KEY_OWN) == 0;
    return s == current_section(l);
}

/* The section, if any, that a key which is not known here belongs in. */
static const struct section *section_of(const char *key)
{
    for (size_t i = 0; i < SECTION_KINDS; i++)
        if (keys_find(&keys_sections[i], key) != NULL)
            return &keys_sections[i];
    return NULL;
}

/* The keys that may stand here, if that does not take too long to say. */
static void list_keys(const struct load *l, char *text, size_t size)
{
    size_t len = (size_t)snprintf(text, size, ", expected one of:");
    for (size_t i = 0; i < SECTION_KINDS; i++)
        for (size_t j = 0; j < keys_sections[i].key_count && len < size; j++)
            if (is_key_here(l, &keys_sections[i], &keys_sections[i].keys[j]))
                len +=
                    (size_t)snprintf(text + len, size - len, " %s", keys_sections[i].keys[j].name);
    if (len >= size)
        snprintf(text, size, ", see zproxy.ini(5)");
}

static void on_unknown_key(struct load *l, unsigned line, const char *key)
{
    const struct section *other = section_of(key);
    struct nearest near;
    char label[KEYS_LABEL_MAX];
    char list[LIST_MAX] = "";
    const char *here_label = current_label(l, label);
    if (other != NULL) {
        report_error(l->report, here(l, line), here_label, key, "belongs in %s", other->title);
        return;
    }
    nearest_init(&near, key);
    for (size_t i = 0; i < SECTION_KINDS; i++)
        for (size_t j = 0; j < keys_sections[i].key_count; j++)
            if (is_key_here(l, &keys_sections[i], &keys_sections[i].keys[j]))
                nearest_offer(&near, keys_sections[i].keys[j].name);
    if (near.word != NULL) {
        report_error(l->report, here(l, line), here_label, key, "unknown key, did you mean \"%s\"?",
                     near.word);
        return;
    }
    list_keys(l, list, sizeof list);
    report_error(l->report, here(l, line), here_label, key, "unknown key%s", list);
}

/* --- include --- */

static void print_chain(const struct load_file *f, FILE *out)
{
    if (f == NULL)
        return;
    print_chain(f->parent, out);
    fprintf(out, "%s -> ", f->path);
}

static void report_loop(struct load *l, const char *path, struct place from)
{
    char *chain = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&chain, &size);
    if (out == NULL) {
        report_memory(l);
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
    struct place from;
};

static void on_included(void *arg, const char *path)
{
    const struct inclusion *i = arg;
    read_file(i->load, path, i->from);
}

static void include(struct load *l, unsigned line, const char *pattern)
{
    struct inclusion inclusion = { l, here(l, line) };
    if (*pattern == '\0') {
        report_key(l, inclusion.from, "include", "empty, expected a path or a pattern");
        return;
    }
    int rc = include_each(l->file->path, pattern, on_included, &inclusion);
    if (rc < 0)
        report_error(l->report, inclusion.from, "global", "include", "%s: cannot be read: %s",
                     pattern, strerror(-rc));
    global_begin(l); /* wherever the included files ended */
}

/* --- Keys --- */

static void item_parse(struct load *l, const struct key *k, struct origin_key *o, unsigned line,
                       const char *text)
{
    struct value_error error;
    void *at = current_at(l);
    void *item = keys_item_add(k, at);
    struct place *place = array_add(&o->item, &o->item_count, sizeof *place);
    if (item == NULL || place == NULL) {
        report_memory(l);
        if (item != NULL)
            keys_item_drop(k, at);
        if (place != NULL)
            o->item_count--;
        return;
    }
    *place = here(l, line);
    if (value_parse(&k->value, item, text, &error) < 0) {
        report_key(l, *place, k->name, error.text);
        keys_item_drop(k, at);
        o->item_count--;
    }
}

/* Whether text can be read; reported where it cannot. */
static bool value_try(const struct load *l, const struct key *k, unsigned line, const char *text)
{
    _Alignas(max_align_t) char value[256] = { 0 }; /* of whatever type */
    struct value_error error;
    if (value_parse(&k->value, value, text, &error) < 0) {
        report_key(l, here(l, line), k->name, error.text);
        return false;
    }
    value_free(&k->value, value);
    return true;
}

/* A value that cannot be read leaves the default in its place. */
static void value_set(struct load *l, const struct key *k, unsigned line, const char *text)
{
    struct value_error ignored;
    void *item = keys_item(k, current_at(l), 0);
    if (!value_try(l, k, line, text))
        return;
    value_free(&k->value, item);
    if (value_parse(&k->value, item, text, &ignored) < 0)
        report_memory(l);
}

static void one_value(struct load *l, const struct key *k, struct origin_key *o, unsigned line,
                      const char *text)
{
    if ((k->flags & KEY_INCLUDE) != 0)
        include(l, line, text);
    else if (k->list.size > 0)
        item_parse(l, k, o, line, text);
    else
        value_set(l, k, line, text);
}

/* "a, b, c" */
static void each_value(struct load *l, const struct key *k, struct origin_key *o, unsigned line,
                       const char *text)
{
    char *copy = strdup(text);
    char *rest = copy;
    char *item = NULL;
    if (copy == NULL)
        report_memory(l);
    while ((item = strsep(&rest, ",")) != NULL) {
        item += strspn(item, " \t");
        size_t n = strlen(item);
        while (n > 0 && strchr(" \t", item[n - 1]) != NULL)
            item[--n] = '\0';
        one_value(l, k, o, line, item);
    }
    free(copy);
}

static bool may_repeat(const struct key *k)
{
    return k->list.size > 0 || (k->flags & KEY_INCLUDE) != 0;
}

static void section_entry(struct load *l, unsigned line, const char *key, const char *text)
{
    const struct section *s = current_section(l);
    const struct key *k = keys_find(s, key);
    if (k == NULL) {
        on_unknown_key(l, line, key);
        return;
    }
    struct origin_key *o = &current_origin(l)->key[k - s->keys];
    if (o->given.line != 0 && !may_repeat(k)) {
        report_twice(l, here(l, line), key, o->given);
        return;
    }
    if (o->given.line == 0)
        o->given = here(l, line);
    if ((k->flags & KEY_COMMAS) != 0)
        each_value(l, k, o, line, text);
    else
        one_value(l, k, o, line, text);
}

/* Keeps the text of a default, once it has proved to be readable. */
static void default_set(struct load *l, const struct key *k, struct load_default *d, unsigned line,
                        const char *text)
{
    if (d->given.line != 0) {
        report_twice(l, here(l, line), k->name, d->given);
        return;
    }
    d->given = here(l, line);
    if (!value_try(l, k, line, text))
        return;
    free(d->text);
    if ((d->text = strdup(text)) == NULL)
        report_memory(l);
}

static void defaults_entry(struct load *l, unsigned line, const char *key, const char *text)
{
    bool found = false;
    for (size_t i = 0; i < SECTION_KINDS; i++) {
        const struct section *s = &keys_sections[i];
        const struct key *k = keys_find(s, key);
        if (k == NULL || !is_key_here(l, s, k))
            continue;
        default_set(l, k, &l->fallback[i][k - s->keys], line, text);
        found = true;
    }
    if (!found)
        on_unknown_key(l, line, key);
}

static void on_entry(void *arg, unsigned line, const char *key, const char *value)
{
    struct load *l = arg;
    switch (l->into) {
    case LOAD_SECTION:
        section_entry(l, line, key, value);
        break;
    case LOAD_DEFAULTS:
        defaults_entry(l, line, key, value);
        break;
    case LOAD_NOTHING:
        report_key(l, here(l, line), key,
                   "before any section, expected [global], [defaults], "
                   "[listen NAME] or [pool NAME] first");
        break;
    case LOAD_UNKNOWN:
        break;
    }
}

static void on_error(void *arg, unsigned line, const char *what)
{
    struct load *l = arg;
    char label[KEYS_LABEL_MAX];
    report_error(l->report, here(l, line), current_label(l, label), NULL, "%s", what);
}

/* A section, or a key of this section with its "=". What merely looks like one may be a value. */
static bool stands_alone(void *arg, const char *text)
{
    const struct load *l = arg;
    char word[INI_LINE_MAX + 1];
    bool is_title = *text == '[';
    size_t n = strcspn(text + is_title, is_title ? " \t]" : " \t=");
    snprintf(word, sizeof word, "%.*s", (int)n, text + is_title);
    if (is_title)
        return keys_find_section(word) != NULL || strcmp(word, "defaults") == 0;
    if (text[n + strspn(text + n, " \t")] != '=')
        return false;
    for (size_t i = 0; i < SECTION_KINDS; i++) {
        const struct key *k = keys_find(&keys_sections[i], word);
        if (k != NULL && l->into != LOAD_UNKNOWN && is_key_here(l, &keys_sections[i], k))
            return true;
    }
    return false;
}

/* --- Files --- */

static const struct load_file *file_on_stack(const struct load *l, const struct source *s)
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

static void parse_file(struct load *l, const char *path, const struct source *s)
{
    static const struct ini_handler handler = { on_section, on_entry, on_error, stands_alone };
    struct load_file f = { .parent = l->file, .dev = s->dev, .ino = s->ino };
    f.depth = f.parent == NULL ? 1 : f.parent->depth + 1;
    f.path = name_keep(l, path);
    if (f.path == NULL) {
        report_memory(l);
        return;
    }
    l->file = &f;
    ini_read(s->text, s->size, &handler, l);
    l->file = f.parent;
}

/* Reads a file that the place `from` includes (line 0: the first one). */
static void read_file(struct load *l, const char *path, struct place from)
{
    struct source s;
    struct source_error error;
    bool included = from.line != 0;
    if (included)
        global_begin(l);
    if (source_read(&s, path, &error) < 0) {
        struct place at = { path, error.line };
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
                     "%s: included too deeply, expected at most %d files within each other", path,
                     DEPTH_MAX);
    else if (l->name_count == FILES_MAX)
        report_error(l->report, from, "global", "include",
                     "%s: too many files, expected at most %d", path, FILES_MAX);
    else
        parse_file(l, path, &s);
    source_free(&s);
}

void load_init(struct load *l, struct config *config, struct report *report)
{
    *l = (struct load){ .config = config, .report = report, .into = LOAD_NOTHING };
}

void load_read(struct load *l, const char *path)
{
    struct place nowhere = { path, 0 };
    bool ready = true;
    l->path = path;
    for (size_t i = 0; i < SECTION_KINDS; i++) {
        l->fallback[i] = calloc(keys_sections[i].key_count, sizeof *l->fallback[i]);
        ready &= l->fallback[i] != NULL;
    }
    if (ready && origin_add(l, SECTION_GLOBAL, nowhere) != NULL &&
        set_defaults(l, SECTION_GLOBAL, &l->config->global) == 0)
        read_file(l, path, nowhere);
    else
        report_memory(l);
}

void load_fini(struct load *l)
{
    for (size_t kind = 0; kind < SECTION_KINDS; kind++) {
        const size_t keys = keys_sections[kind].key_count;
        for (size_t i = 0; i < l->origin_count[kind]; i++) {
            for (size_t k = 0; k < keys; k++)
                free(l->origin[kind][i].key[k].item);
            free(l->origin[kind][i].key);
        }
        free(l->origin[kind]);
        for (size_t k = 0; l->fallback[kind] != NULL && k < keys; k++)
            free(l->fallback[kind][k].text);
        free(l->fallback[kind]);
    }
    for (size_t i = 0; i < l->name_count; i++)
        free(l->name[i]);
    free(l->name);
}

/* --- What was read --- */

const struct origin_key *load_origin(const struct load *l, enum section_kind kind, size_t i,
                                     const char *key)
{
    const struct section *s = &keys_sections[kind];
    return &l->origin[kind][i].key[keys_find(s, key) - s->keys];
}

struct place load_place(const struct load *l, enum section_kind kind, size_t i, const char *key)
{
    struct place given = load_origin(l, kind, i, key)->given;
    return given.line > 0 ? given : l->origin[kind][i].at;
}
