#include "config/entry.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "config/array.h"
#include "config/reading.h"
#include "config/unknown.h"
#include "config/variable.h"
#include "config/written.h"

/* Calls item for each part of "a, b, c", or once where the key takes no commas. */
static void split(struct load *l, const struct key *k, struct place at, const char *text,
                  entry_item_fn *item)
{
    char *copy = NULL;
    char *rest = NULL;
    char *part = NULL;
    if ((k->flags & KEY_COMMAS) == 0) {
        item(l, k, at, text);
        return;
    }
    if ((rest = copy = strdup(text)) == NULL)
        reading_exhausted(l);
    while ((part = strsep(&rest, ",")) != NULL) {
        part += strspn(part, " \t");
        size_t n = strlen(part);
        while (n > 0 && strchr(" \t", part[n - 1]) != NULL)
            part[--n] = '\0';
        item(l, k, at, part);
    }
    free(copy);
}

/* --- Variables --- */

/* An error of the value, without the text that the variables in it have become. */
static void report_value(const struct load *l, struct place at, const struct key *k,
                         const struct value_error *error)
{
    char label[KEYS_LABEL_MAX];
    if (l->written == NULL || error->wrong == 0)
        reading_error(l, at, k->name, error->text);
    else
        report_error(l->report, at, reading_label(l, label), k->name, "\"%.80s\": %s", l->written,
                     error->text + error->wrong);
}

bool entry_each(struct load *l, const struct key *k, struct place at, const char *text,
                entry_item_fn *item)
{
    const char *outer = l->written;           /* that of a line which includes a file */
    static const char ere[] = "expect_regex"; /* its backslashes are its own */
    bool is_bytes = (k->flags & KEY_BYTES) != 0 && strncmp(text, ere, sizeof ere - 1) != 0;
    struct value_error error;
    char *expanded = NULL;
    l->written = NULL;
    if (!variable_is_in(text)) {
        split(l, k, at, text, item);
        l->written = outer;
        return true;
    }
    int rc = variable_expand(l->config, text, is_bytes ? VARIABLE_AS_BYTES : VARIABLE_AS_TEXT,
                             &expanded, &error);
    if (rc < 0) {
        reading_error(l, at, k->name, error.text);
        l->written = outer;
        return false;
    }
    l->written = text;
    split(l, k, at, expanded, item);
    l->written = outer;
    free(expanded);
    return true;
}

/* --- In a section --- */

static struct origin_key *origin_of(const struct load *l, const struct key *k)
{
    return &reading_origin(l)->key[keys_list(k) - reading_section(l)->keys];
}

static void add_item(struct load *l, const struct key *k, struct place at, const char *text)
{
    struct value_error error;
    struct origin_key *o = origin_of(l, k);
    void *section = reading_at(l);
    void *item = keys_item_add(k, section);
    struct place *place = array_add(&o->item, &o->item_count, sizeof *place);
    if (item == NULL || place == NULL) {
        reading_exhausted(l);
        if (item != NULL)
            keys_item_drop(k, section);
        if (place != NULL)
            o->item_count--;
        return;
    }
    *place = at;
    if (value_parse(&k->value, item, text, &error) < 0) {
        report_value(l, at, k, &error);
        keys_item_drop(k, section);
        o->item_count--;
    }
}

/* Whether text can be read; reported where it cannot. */
static bool try_value(const struct load *l, const struct key *k, struct place at, const char *text)
{
    _Alignas(max_align_t) char value[256] = { 0 }; /* of whatever type */
    struct value_error error;
    if (value_parse(&k->value, value, text, &error) < 0) {
        report_value(l, at, k, &error);
        return false;
    }
    value_free(&k->value, value);
    return true;
}

/* A value that cannot be read leaves the default in its place. */
static void set_value(struct load *l, const struct key *k, struct place at, const char *text)
{
    struct value_error ignored;
    void *item = keys_item(k, reading_at(l), 0);
    if (!try_value(l, k, at, text))
        return;
    value_free(&k->value, item);
    if (value_parse(&k->value, item, text, &ignored) < 0)
        reading_exhausted(l);
}

/* Sets a value, or adds to a list, and keeps what was written if there are variables in it. */
static void read_values(struct load *l, const struct key *k, struct place at, const char *text)
{
    bool is_list = k->list.size > 0;
    void *section = reading_at(l);
    size_t before = is_list ? keys_count(k, section) : 0;
    if (!is_list)
        written_drop(l->config, reading_section(l), section, k);
    if (!entry_each(l, k, at, text, is_list ? add_item : set_value) || !variable_is_in(text))
        return;
    size_t count = is_list ? keys_count(k, section) - before : 1;
    if (written_add(l->config, reading_section(l), section, k, count, text) < 0)
        reading_exhausted(l);
}

/* What a section says itself takes the place of what [defaults] said. */
static void drop_defaults(const struct load *l, const struct key *k, struct origin_key *o)
{
    keys_clear(k, reading_at(l));
    written_drop(l->config, reading_section(l), reading_at(l), k);
    o->item_count = 0;
}

void entry_read(struct load *l, struct place at, const struct key *k, const char *text)
{
    struct origin_key *o = origin_of(l, k);
    bool repeats = k->list.size > 0;
    if (o->given.line != 0 && !repeats) {
        reading_twice(l, at, k->name, o->given);
        return;
    }
    if (o->given.line == 0 && repeats)
        drop_defaults(l, k, o);
    if (o->given.line == 0)
        o->given = at;
    read_values(l, k, at, text);
}

/* --- Defaults --- */

/* The key's own default, where it has one. */
static void set_own_default(struct load *l, const struct key *k)
{
    struct value_error ignored;
    if (k->fallback != NULL &&
        value_parse(&k->value, keys_item(k, reading_at(l), 0), k->fallback, &ignored) < 0)
        reading_exhausted(l);
}

void entry_defaults(struct load *l)
{
    const struct section *s = reading_section(l);
    for (size_t i = 0; i < s->key_count; i++) {
        const struct load_default *d = &l->fallback[l->kind][i];
        if (d->count == 0)
            set_own_default(l, &s->keys[i]);
        for (size_t n = 0; n < d->count; n++) {
            const struct load_text *t = &d->text[n];
            read_values(l, t->key, t->at, t->text);
        }
    }
}

static struct load_default *default_of(const struct load *l, const struct key *k)
{
    for (size_t kind = 0; kind < SECTION_KINDS; kind++) {
        const struct section *s = &keys_sections[kind];
        if (k >= s->keys && k < s->keys + s->key_count)
            return &l->fallback[kind][keys_list(k) - s->keys];
    }
    return NULL;
}

static void forget_default(struct load_default *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->text[i].text);
    d->count = 0;
}

static void keep_default(struct load *l, const struct key *k, struct place at, const char *text)
{
    struct load_default *d = default_of(l, k);
    struct load_text *t = array_add(&d->text, &d->count, sizeof *t);
    if (t != NULL)
        *t = (struct load_text){ k, at, strdup(text) };
    if (t != NULL && t->text == NULL)
        d->count--;
    if (t == NULL || t->text == NULL)
        reading_exhausted(l);
}

static void check_default(struct load *l, const struct key *k, struct place at, const char *text)
{
    if (!try_value(l, k, at, text))
        l->default_is_bad = true;
}

/* A later [defaults] takes the place of an earlier one, key by key. */
static void read_default(struct load *l, struct place at, const struct key *k, const char *text)
{
    struct load_default *d = default_of(l, k);
    if (d->given.line != 0 && k->list.size == 0) {
        reading_twice(l, at, k->name, d->given);
        return;
    }
    if (d->given.line == 0)
        forget_default(d);
    d->given = at;
    l->default_is_bad = false;
    if (entry_each(l, k, at, text, check_default) && !l->default_is_bad)
        keep_default(l, k, at, text);
}

void entry_read_default(struct load *l, struct place at, const char *key, const char *text)
{
    bool found = false;
    for (size_t i = 0; i < SECTION_KINDS; i++) {
        const struct section *s = &keys_sections[i];
        const struct key *k = keys_find(s, key);
        if (k == NULL || !reading_takes(l, s, k))
            continue;
        read_default(l, at, k, text);
        found = true;
    }
    if (!found)
        unknown_key(l, at, key);
}
