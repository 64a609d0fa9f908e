#include "config/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggestion.h"

struct location load_here(const struct load *l, unsigned line)
{
    return (struct location){ l->file->path, line };
}

const struct section *load_current_section(const struct load *l)
{
    return &keys_sections[l->kind];
}

void *load_current_data(const struct load *l)
{
    const struct section *s = load_current_section(l);
    return keys_section_at(s, l->config, keys_section_count(s, l->config) - 1);
}

struct origin *load_current_origin(const struct load *l)
{
    return &l->origin[l->kind][l->origin_count[l->kind] - 1];
}

const char *load_current_label(const struct load *l, char buf[KEYS_LABEL_MAX])
{
    switch (l->into) {
    case LOAD_SECTION:
        return keys_section_label(load_current_section(l), load_current_data(l), buf);
    case LOAD_DEFAULTS:
        return "defaults";
    case LOAD_NOTHING:
    case LOAD_UNKNOWN:
        return NULL;
    }
    return NULL;
}

bool load_accepts_key(const struct load *l, const struct section *s, const struct key *k)
{
    if (l->into == LOAD_DEFAULTS)
        return s->list.size > 0 && (k->flags & KEY_NO_DEFAULTS) == 0;
    return s == load_current_section(l);
}

void load_report(const struct load *l, struct location at, const char *key, const char *what)
{
    char label[KEYS_LABEL_MAX];
    report_error(l->report, at, load_current_label(l, label), key, "%s", what);
}

void load_report_duplicate(const struct load *l, struct location at, const char *key,
                           struct location first)
{
    char label[KEYS_LABEL_MAX];
    char location[REPORT_LOCATION_MAX];
    report_error(l->report, at, load_current_label(l, label), key, "given twice, first in %s",
                 report_location(first, at, location));
}

void load_report_no_memory(struct load *l)
{
    struct location at = { l->path, 0 };
    l->incomplete = true;
    l->exhausted = true;
    report_error(l->report, at, NULL, NULL, "out of memory");
}

#define LIST_MAX 100 /* bytes: a longer list of keys is not shown */

void load_report_unknown_section(const struct load *l, struct location at, const char *title,
                                 const char *type)
{
    struct suggestion hint;
    suggestion_init(&hint, type);
    suggestion_offer(&hint, "defaults");
    for (size_t i = 0; i < SECTION_KINDS; i++)
        suggestion_offer(&hint, keys_sections[i].type);
    const struct section *s = hint.word == NULL ? NULL : keys_find_section(hint.word);
    if (hint.word != NULL)
        report_error(l->report, at, title, NULL, "unknown section, did you mean %s?",
                     s == NULL ? "[defaults]" : s->title);
    else
        report_error(l->report, at, title, NULL,
                     "unknown section, expected [global], [admin], [defaults], [listen NAME] or "
                     "[pool NAME]");
}

/* Returns the kind of section that has such a key, or NULL. */
static const struct section *section_of(const char *key)
{
    for (size_t i = 0; i < SECTION_KINDS; i++)
        if (keys_find(&keys_sections[i], key) != NULL)
            return &keys_sections[i];
    return NULL;
}

/* Writes the keys that are allowed here, or a pointer to the manual if the list is too long. */
static void list_keys(const struct load *l, char *text, size_t size)
{
    size_t len = (size_t)snprintf(text, size, ", expected one of:");
    for (size_t i = 0; i < SECTION_KINDS; i++)
        for (size_t j = 0; j < keys_sections[i].key_count && len < size; j++)
            if (load_accepts_key(l, &keys_sections[i], &keys_sections[i].keys[j]))
                len +=
                    (size_t)snprintf(text + len, size - len, " %s", keys_sections[i].keys[j].name);
    if (len >= size)
        snprintf(text, size, ", see zproxy.ini(5)");
}

void load_report_unknown_key(const struct load *l, struct location at, const char *key)
{
    const struct section *other = section_of(key);
    struct suggestion hint;
    char label[KEYS_LABEL_MAX];
    char list[LIST_MAX] = "";
    const char *here_label = load_current_label(l, label);
    if (other != NULL) {
        report_error(l->report, at, here_label, key, "belongs in %s", other->title);
        return;
    }
    suggestion_init(&hint, key);
    for (size_t i = 0; i < SECTION_KINDS; i++)
        for (size_t j = 0; j < keys_sections[i].key_count; j++)
            if (load_accepts_key(l, &keys_sections[i], &keys_sections[i].keys[j]))
                suggestion_offer(&hint, keys_sections[i].keys[j].name);
    if (hint.word != NULL) {
        report_error(l->report, at, here_label, key, "unknown key, did you mean \"%s\"?",
                     hint.word);
        return;
    }
    list_keys(l, list, sizeof list);
    report_error(l->report, at, here_label, key, "unknown key%s", list);
}

/* --- Start and end --- */

void load_init(struct load *l, struct config *config, struct report *report)
{
    *l = (struct load){ .config = config, .report = report, .into = LOAD_NOTHING };
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
        for (size_t k = 0; l->default_value[kind] != NULL && k < keys; k++) {
            for (size_t i = 0; i < l->default_value[kind][k].count; i++)
                free(l->default_value[kind][k].text[i].text);
            free(l->default_value[kind][k].text);
        }
        free(l->default_value[kind]);
    }
    for (size_t i = 0; i < l->name_count; i++)
        free(l->name[i]);
    free(l->name);
}

/* --- After reading --- */

const struct origin_key *load_origin(const struct load *l, enum section_kind kind, size_t i,
                                     const char *key)
{
    const struct section *s = &keys_sections[kind];
    return &l->origin[kind][i].key[keys_find(s, key) - s->keys];
}

struct location load_location(const struct load *l, enum section_kind kind, size_t i,
                              const char *key)
{
    struct location given = load_origin(l, kind, i, key)->given;
    return given.line > 0 ? given : l->origin[kind][i].at;
}

const char *load_label(const struct load *l, enum section_kind kind, size_t i,
                       char buf[KEYS_LABEL_MAX])
{
    const struct section *s = &keys_sections[kind];
    return keys_section_label(s, keys_section_at(s, l->config, i), buf);
}
