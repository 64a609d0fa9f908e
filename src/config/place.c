#include "config/place.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct config_place {
    enum section_kind kind;
    size_t section;
    const char *key; /* NULL: the section itself */
    size_t item;
    char *file;
    unsigned line;
};

static const char prefix[] = "tls"; /* and "tls_..." */

static bool place_add(struct config *c, struct config_place place, struct location at)
{
    place.file = strdup(at.file);
    place.line = at.line;
    struct config_place *added =
        place.file == NULL ? NULL : array_add(&c->place, &c->place_count, sizeof *added);
    if (added == NULL) {
        free(place.file);
        return false;
    }
    *added = place;
    return true;
}

static bool place_note_key(const struct load *l, struct config_place place)
{
    const struct origin_key *o = load_origin(l, place.kind, place.section, place.key);
    bool ok = true;
    if (o->item_count == 0)
        return o->given.line == 0 || place_add(l->config, place, o->given);
    for (place.item = 0; place.item < o->item_count && ok; place.item++)
        ok = place_add(l->config, place, o->item[place.item]);
    return ok;
}

static bool place_note_section(const struct load *l, struct config_place place)
{
    const struct section *s = &keys_sections[place.kind];
    bool ok = place_add(l->config, place, l->origin[place.kind][place.section].at);
    for (size_t k = 0; k < s->key_count && ok; k++) {
        place.key = s->keys[k].name;
        if (strncmp(place.key, prefix, strlen(prefix)) == 0)
            ok = place_note_key(l, place);
    }
    return ok;
}

bool place_note(const struct load *l)
{
    static const enum section_kind kinds[] = { SECTION_LISTEN, SECTION_POOL };
    bool ok = true;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t i = 0; i < l->origin_count[kinds[k]] && ok; i++)
            ok = place_note_section(l, (struct config_place){ .kind = kinds[k], .section = i });
    return ok;
}

/* The first place of a section: they are in the order of kinds and of sections. */
static const struct config_place *place_first(const struct config *c, enum section_kind kind,
                                              size_t i)
{
    size_t low = 0, high = c->place_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct config_place *p = &c->place[middle];
        if (p->kind < kind || (p->kind == kind && p->section < i))
            low = middle + 1;
        else
            high = middle;
    }
    return c->place + low;
}

static bool place_is_of(const struct config *c, const struct config_place *p,
                        enum section_kind kind, size_t i)
{
    return p < c->place + c->place_count && p->kind == kind && p->section == i;
}

/* The place of the key, or else of the section. */
static struct location place_find(const struct config *c, enum section_kind kind, size_t i,
                                  const char *key, size_t item)
{
    struct location found = { .file = NULL };
    for (const struct config_place *p = place_first(c, kind, i); place_is_of(c, p, kind, i); p++) {
        if (p->key == NULL)
            found = (struct location){ p->file, p->line };
        else if (key != NULL && p->item == item && strcmp(p->key, key) == 0)
            return (struct location){ p->file, p->line };
    }
    return found;
}

bool place_is_given(const struct config *c, enum section_kind kind, size_t i, const char *key)
{
    for (const struct config_place *p = place_first(c, kind, i); place_is_of(c, p, kind, i); p++)
        if (p->key != NULL && strcmp(p->key, key) == 0)
            return true;
    return false;
}

/* Returns the section of the same name in another configuration, or the number of its sections.
 * Looks at the one that was found last first, and behind it: most stand in the same order. */
static size_t place_same_section(const struct config *c, const struct config_place *p,
                                 const struct config *other, size_t last)
{
    const struct section *s = &keys_sections[p->kind];
    const char *name = keys_section_name(s, keys_section_at(s, c, p->section));
    size_t count = keys_section_count(s, other);
    for (size_t n = 0; n < count; n++) {
        size_t i = (last + n) % count;
        if (strcmp(keys_section_name(s, keys_section_at(s, other, i)), name) == 0)
            return i;
    }
    return count;
}

/* The place in section i of another configuration that stands for p of c; file NULL: none does. */
static struct location place_counterpart(const struct config *c, const struct config_place *p,
                                         const struct config *other, size_t i)
{
    const struct section *s = &keys_sections[p->kind];
    bool same = i < keys_section_count(s, other) &&
                (p->key == NULL || keys_equal(s, keys_section_at(s, c, p->section),
                                              keys_section_at(s, other, i), p->key));
    return same ? place_find(other, p->kind, i, p->key, p->item)
                : (struct location){ .file = NULL };
}

void place_adopt(struct config *c, const struct config *from)
{
    size_t i = 0;
    for (struct config_place *p = c->place; p < c->place + c->place_count; p++) {
        i = place_same_section(c, p, from, i);
        struct location at = place_counterpart(c, p, from, i);
        free(p->file);
        p->file = at.file == NULL ? NULL : strdup(at.file);
        p->line = at.line;
    }
}

int place_report(const struct config *c, enum section_kind kind, size_t i, const char *key,
                 size_t item, FILE *errors, const char *what, ...)
{
    const struct section *s = &keys_sections[kind];
    struct report r = { .out = errors, .config = c };
    char label[KEYS_LABEL_MAX];
    va_list args;
    va_start(args, what);
    report_error_va(&r, place_find(c, kind, i, key, item),
                    keys_section_label(s, keys_section_at(s, c, i), label), key, what, args);
    va_end(args);
    return -1;
}

void place_free(struct config *c)
{
    for (size_t i = 0; i < c->place_count; i++)
        free(c->place[i].file);
    free(c->place);
}
