#include "config/needs.h"

#include <stdlib.h>
#include <string.h>

#include "config/written.h"

bool needs_given(const struct load *l, enum section_kind kind, size_t i, const char *key)
{
    return load_origin(l, kind, i, key)->given.line > 0;
}

void needs_report(const struct load *l, enum section_kind kind, size_t i, const char *key,
                  const char *what)
{
    const struct section *s = &keys_sections[kind];
    char label[KEYS_LABEL_MAX];
    report_error(l->report, load_place(l, kind, i, key),
                 keys_section_label(s, keys_section_at(s, l->config, i), label), key, "%s", what);
}

/* A list has none: any item is one too many. */
static bool is_at_default(const struct key *k, const void *at)
{
    if (keys_count(k, at) == 0)
        return true;
    if (k->fallback == NULL)
        return false;
    char *text = value_text(&k->value, keys_item(k, at, 0));
    bool same = text == NULL || strcmp(text, k->fallback) == 0;
    free(text);
    return same;
}

static void set_default(const struct load *l, const struct section *s, const struct key *k,
                        void *at)
{
    const struct place file = { l->path, 0 };
    struct value_error ignored;
    written_drop(l->config, s, at, k);
    if (k->list.size > 0) {
        keys_clear(k, at);
        return;
    }
    void *item = keys_item(k, at, 0);
    value_free(&k->value, item);
    if (k->fallback != NULL && value_parse(&k->value, item, k->fallback, &ignored) < 0)
        report_error(l->report, file, NULL, NULL, "out of memory");
}

void needs_drop(const struct load *l, enum section_kind kind, size_t i, const struct key *k,
                const char *why)
{
    void *at = keys_section_at(&keys_sections[kind], l->config, i);
    if (is_at_default(k, at))
        return;
    if (needs_given(l, kind, i, k->name))
        needs_report(l, kind, i, k->name, why);
    else
        set_default(l, &keys_sections[kind], k, at);
}

void needs_drop_named(const struct load *l, enum section_kind kind, size_t i, const char *key,
                      const char *why)
{
    needs_drop(l, kind, i, keys_find(&keys_sections[kind], key), why);
}
