#include "config/unknown.h"

#include <stdio.h>
#include <string.h>

#include "base/suggestion.h"
#include "config/load_context.h"

#define LIST_MAX 100 /* what exists is listed where it is shorter than this */

void unknown_section(const struct load *l, struct location at, const char *title, const char *type)
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
            if (load_accepts_key(l, &keys_sections[i], &keys_sections[i].keys[j]))
                len +=
                    (size_t)snprintf(text + len, size - len, " %s", keys_sections[i].keys[j].name);
    if (len >= size)
        snprintf(text, size, ", see zproxy.ini(5)");
}

void unknown_key(const struct load *l, struct location at, const char *key)
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
