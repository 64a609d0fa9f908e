#include "config/unknown.h"

#include <stdio.h>
#include <string.h>

#include "config/nearest.h"
#include "config/reading.h"

#define LIST_MAX 100 /* what exists is listed where it is shorter than this */

void unknown_section(const struct load *l, struct place at, const char *title, const char *type)
{
    struct nearest near;
    nearest_init(&near, type);
    nearest_offer(&near, "defaults");
    for (size_t i = 0; i < SECTION_KINDS; i++)
        nearest_offer(&near, keys_sections[i].type);
    const struct section *s = near.word == NULL ? NULL : keys_find_section(near.word);
    if (near.word != NULL)
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
            if (reading_takes(l, &keys_sections[i], &keys_sections[i].keys[j]))
                len +=
                    (size_t)snprintf(text + len, size - len, " %s", keys_sections[i].keys[j].name);
    if (len >= size)
        snprintf(text, size, ", see zproxy.ini(5)");
}

void unknown_key(const struct load *l, struct place at, const char *key)
{
    const struct section *other = section_of(key);
    struct nearest near;
    char label[KEYS_LABEL_MAX];
    char list[LIST_MAX] = "";
    const char *here_label = reading_label(l, label);
    if (other != NULL) {
        report_error(l->report, at, here_label, key, "belongs in %s", other->title);
        return;
    }
    nearest_init(&near, key);
    for (size_t i = 0; i < SECTION_KINDS; i++)
        for (size_t j = 0; j < keys_sections[i].key_count; j++)
            if (reading_takes(l, &keys_sections[i], &keys_sections[i].keys[j]))
                nearest_offer(&near, keys_sections[i].keys[j].name);
    if (near.word != NULL) {
        report_error(l->report, at, here_label, key, "unknown key, did you mean \"%s\"?",
                     near.word);
        return;
    }
    list_keys(l, list, sizeof list);
    report_error(l->report, at, here_label, key, "unknown key%s", list);
}
