#include "config/reading.h"

struct place reading_here(const struct load *l, unsigned line)
{
    return (struct place){ l->file->path, line };
}

const struct section *reading_section(const struct load *l)
{
    return &keys_sections[l->kind];
}

void *reading_at(const struct load *l)
{
    const struct section *s = reading_section(l);
    return keys_section_at(s, l->config, keys_section_count(s, l->config) - 1);
}

struct origin *reading_origin(const struct load *l)
{
    return &l->origin[l->kind][l->origin_count[l->kind] - 1];
}

const char *reading_label(const struct load *l, char buf[KEYS_LABEL_MAX])
{
    switch (l->into) {
    case LOAD_SECTION:
        return keys_section_label(reading_section(l), reading_at(l), buf);
    case LOAD_DEFAULTS:
        return "defaults";
    case LOAD_NOTHING:
    case LOAD_UNKNOWN:
        return NULL;
    }
    return NULL;
}

bool reading_takes(const struct load *l, const struct section *s, const struct key *k)
{
    if (l->into == LOAD_DEFAULTS)
        return s->list.size > 0 && (k->flags & KEY_OWN) == 0;
    return s == reading_section(l);
}

void reading_error(const struct load *l, struct place at, const char *key, const char *what)
{
    char label[KEYS_LABEL_MAX];
    report_error(l->report, at, reading_label(l, label), key, "%s", what);
}

void reading_twice(const struct load *l, struct place at, const char *key, struct place first)
{
    char label[KEYS_LABEL_MAX];
    char place[REPORT_PLACE_MAX];
    report_error(l->report, at, reading_label(l, label), key, "given twice, first in %s",
                 report_place(first, at, place));
}

void reading_exhausted(struct load *l)
{
    struct place at = { l->path, 0 };
    l->incomplete = true;
    l->exhausted = true;
    report_error(l->report, at, NULL, NULL, "out of memory");
}
