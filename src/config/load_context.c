#include "config/load_context.h"

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
