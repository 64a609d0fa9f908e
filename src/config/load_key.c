#include "config/load_key.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "config/variable.h"

/* Calls item() for each part of "a, b, c", or once if the key allows no commas. */
static void load_key_split(struct load *l, const struct key *k, struct location at,
                           const char *text, load_key_item_fn *item)
{
    char *copy = NULL;
    char *rest = NULL;
    char *part = NULL;
    if ((k->flags & KEY_COMMAS) == 0) {
        item(l, k, at, text);
        return;
    }
    if ((rest = copy = strdup(text)) == NULL)
        load_report_no_memory(l);
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

/* Reports an error of a value. If it has variables, the message shows it as written, not expanded.
 */
static void report_value(const struct load *l, struct location at, const struct key *k,
                         const struct value_error *error)
{
    char label[KEYS_LABEL_MAX];
    if (l->raw_text == NULL || error->reason == 0)
        load_report(l, at, k->name, error->text);
    else
        report_error(l->report, at, load_current_label(l, label), k->name, "\"%.80s\": %s",
                     l->raw_text, error->text + error->reason);
}

bool load_key_each_item(struct load *l, const struct key *k, struct location at, const char *text,
                        load_key_item_fn *item)
{
    const char *outer = l->raw_text;          /* of the line that includes this file */
    static const char ere[] = "expect_regex"; /* an ERE has backslashes of its own */
    bool is_bytes = (k->flags & KEY_BYTES) != 0 && strncmp(text, ere, sizeof ere - 1) != 0;
    struct value_error error;
    char *expanded = NULL;
    l->raw_text = NULL;
    if (!variable_is_used(text)) {
        load_key_split(l, k, at, text, item);
        l->raw_text = outer;
        return true;
    }
    int rc = variable_expand(l->config, text, is_bytes ? VARIABLE_AS_BYTES : VARIABLE_AS_TEXT,
                             &expanded, &error);
    if (rc < 0) {
        load_report(l, at, k->name, error.text);
        l->raw_text = outer;
        return false;
    }
    l->raw_text = text;
    load_key_split(l, k, at, expanded, item);
    l->raw_text = outer;
    free(expanded);
    return true;
}

/* --- In a section --- */

static struct origin_key *origin_of(const struct load *l, const struct key *k)
{
    return &load_current_origin(l)->key[keys_list_row(k) - load_current_section(l)->keys];
}

static void add_item(struct load *l, const struct key *k, struct location at, const char *text)
{
    struct value_error error;
    struct origin_key *o = origin_of(l, k);
    void *section = load_current_data(l);
    void *item = keys_item_add(k, section);
    struct location *location = array_add(&o->item, &o->item_count, sizeof *location);
    if (item == NULL || location == NULL) {
        load_report_no_memory(l);
        if (item != NULL)
            keys_item_remove(k, section);
        if (location != NULL)
            o->item_count--;
        return;
    }
    *location = at;
    if (value_parse(&k->value, item, text, &error) < 0) {
        report_value(l, at, k, &error);
        keys_item_remove(k, section);
        o->item_count--;
    }
}

/* Returns whether text can be read, and reports an error if not. */
static bool check_value(const struct load *l, const struct key *k, struct location at,
                        const char *text)
{
    _Alignas(max_align_t) char value[256] = { 0 }; /* of any type */
    struct value_error error;
    assert(k->list.size <= sizeof value);
    if (value_parse(&k->value, value, text, &error) < 0) {
        report_value(l, at, k, &error);
        return false;
    }
    value_free(&k->value, value);
    return true;
}

/* Sets a value. If text cannot be read, the default stays. */
static void set_value(struct load *l, const struct key *k, struct location at, const char *text)
{
    struct value_error ignored;
    void *item = keys_item(k, load_current_data(l), 0);
    if (!check_value(l, k, at, text))
        return;
    value_free(&k->value, item);
    if (value_parse(&k->value, item, text, &ignored) < 0)
        load_report_no_memory(l);
}

/* Sets a value or adds to a list, and keeps the text if it has variables. */
static void read_values(struct load *l, const struct key *k, struct location at, const char *text)
{
    bool is_list = k->list.size > 0;
    void *section = load_current_data(l);
    size_t before = is_list ? keys_item_count(k, section) : 0;
    if (!is_list)
        raw_text_remove(l->config, load_current_section(l), section, k);
    if (!load_key_each_item(l, k, at, text, is_list ? add_item : set_value) ||
        !variable_is_used(text))
        return;
    size_t count = is_list ? keys_item_count(k, section) - before : 1;
    if (raw_text_add(l->config, load_current_section(l), section, k, count, text) < 0)
        load_report_no_memory(l);
}

/* The first value that a section gives itself replaces the list that [defaults] gives. */
static void clear_defaults(const struct load *l, const struct key *k, struct origin_key *o)
{
    keys_items_clear(k, load_current_data(l));
    raw_text_remove(l->config, load_current_section(l), load_current_data(l), k);
    o->item_count = 0;
}

void load_key_value(struct load *l, struct location at, const struct key *k, const char *text)
{
    struct origin_key *o = origin_of(l, k);
    bool repeats = k->list.size > 0;
    if (o->given.line != 0 && !repeats) {
        load_report_duplicate(l, at, k->name, o->given);
        return;
    }
    if (o->given.line == 0 && repeats)
        clear_defaults(l, k, o);
    if (o->given.line == 0)
        o->given = at;
    read_values(l, k, at, text);
}

/* --- Defaults --- */

/* Sets the default of the key itself, if it has one. */
static void set_own_default(struct load *l, const struct key *k)
{
    struct value_error ignored;
    if (k->default_value != NULL && value_parse(&k->value, keys_item(k, load_current_data(l), 0),
                                                k->default_value, &ignored) < 0)
        load_report_no_memory(l);
}

void load_key_defaults(struct load *l)
{
    const struct section *s = load_current_section(l);
    for (size_t i = 0; i < s->key_count; i++) {
        const struct load_default *d = &l->default_value[l->kind][i];
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
            return &l->default_value[kind][keys_list_row(k) - s->keys];
    }
    return NULL;
}

static void free_default(struct load_default *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->text[i].text);
    d->count = 0;
}

static void save_default(struct load *l, const struct key *k, struct location at, const char *text)
{
    struct load_default *d = default_of(l, k);
    struct load_text *t = array_add(&d->text, &d->count, sizeof *t);
    if (t != NULL)
        *t = (struct load_text){ k, at, strdup(text) };
    if (t != NULL && t->text == NULL)
        d->count--;
    if (t == NULL || t->text == NULL)
        load_report_no_memory(l);
}

static void check_default(struct load *l, const struct key *k, struct location at, const char *text)
{
    if (!check_value(l, k, at, text))
        l->default_is_bad = true;
}

/* A later [defaults] replaces an earlier one, key by key. */
static void read_default(struct load *l, struct location at, const struct key *k, const char *text)
{
    struct load_default *d = default_of(l, k);
    if (d->given.line != 0 && k->list.size == 0) {
        load_report_duplicate(l, at, k->name, d->given);
        return;
    }
    if (d->given.line == 0)
        free_default(d);
    d->given = at;
    l->default_is_bad = false;
    if (load_key_each_item(l, k, at, text, check_default) && !l->default_is_bad)
        save_default(l, k, at, text);
}

void load_key_default(struct load *l, struct location at, const char *key, const char *text)
{
    bool found = false;
    for (size_t i = 0; i < SECTION_KINDS; i++) {
        const struct section *s = &keys_sections[i];
        const struct key *k = keys_find(s, key);
        if (k == NULL || !load_accepts_key(l, s, k))
            continue;
        read_default(l, at, k, text);
        found = true;
    }
    if (!found)
        load_report_unknown_key(l, at, key);
}
