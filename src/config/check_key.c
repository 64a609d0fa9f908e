#include "config/check_key.h"

#include <stdlib.h>
#include <string.h>

#include "config/raw_text.h"

bool check_key_given(const struct load *l, enum section_kind kind, size_t i, const char *key)
{
    return load_origin(l, kind, i, key)->given.line > 0;
}

void check_key_report(const struct load *l, enum section_kind kind, size_t i, const char *key,
                      const char *what)
{
    const struct section *s = &keys_sections[kind];
    char label[KEYS_LABEL_MAX];
    report_error(l->report, load_location(l, kind, i, key),
                 keys_section_label(s, keys_section_at(s, l->config, i), label), key, "%s", what);
}

/* A list has none: any item is one too many. */
static bool is_at_default(const struct key *k, const void *at)
{
    if (keys_item_count(k, at) == 0)
        return true;
    if (k->default_value == NULL)
        return false;
    char *text = value_to_string(&k->value, keys_item(k, at, 0));
    bool same = text == NULL || strcmp(text, k->default_value) == 0;
    free(text);
    return same;
}

static void set_default(const struct load *l, const struct section *s, const struct key *k,
                        void *at)
{
    const struct location file = { l->path, 0 };
    struct value_error ignored;
    raw_text_remove(l->config, s, at, k);
    if (k->list.size > 0) {
        keys_items_clear(k, at);
        return;
    }
    void *item = keys_item(k, at, 0);
    value_free(&k->value, item);
    if (k->default_value != NULL && value_parse(&k->value, item, k->default_value, &ignored) < 0)
        report_error(l->report, file, NULL, NULL, "out of memory");
}

void check_key_unused(const struct load *l, enum section_kind kind, size_t i, const struct key *k,
                      const char *why)
{
    void *at = keys_section_at(&keys_sections[kind], l->config, i);
    if (is_at_default(k, at))
        return;
    if (check_key_given(l, kind, i, k->name))
        check_key_report(l, kind, i, k->name, why);
    else
        set_default(l, &keys_sections[kind], k, at);
}

void check_key_unused_named(const struct load *l, enum section_kind kind, size_t i, const char *key,
                            const char *why)
{
    check_key_unused(l, kind, i, keys_find(&keys_sections[kind], key), why);
}
