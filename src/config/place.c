#include "config/place.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct config_place {
    enum section_kind kind;
    size_t section;
    const char *key;
    size_t item;
    char *text;
};

static const char prefix[] = "tls"; /* and "tls_..." */

static bool place_add(struct config *c, struct config_place place, struct location at)
{
    if (asprintf(&place.text, "%s:%u: ", at.file, at.line) == -1)
        return false;
    struct config_place *added = array_add(&c->place, &c->place_count, sizeof *added);
    if (added == NULL) {
        free(place.text);
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

bool place_note(const struct load *l)
{
    bool ok = true;
    for (enum section_kind kind = 0; kind < SECTION_KINDS; kind++)
        for (size_t i = 0; i < l->origin_count[kind]; i++)
            for (size_t k = 0; k < keys_sections[kind].key_count && ok; k++) {
                const char *key = keys_sections[kind].keys[k].name;
                if (strncmp(key, prefix, strlen(prefix)) == 0)
                    ok = place_note_key(l, (struct config_place){
                                               .kind = kind, .section = i, .key = key });
            }
    return ok;
}

const char *place_find(const struct config *c, enum section_kind kind, size_t i, const char *key,
                       size_t item)
{
    for (const struct config_place *p = c->place; p < c->place + c->place_count; p++)
        if (p->kind == kind && p->section == i && p->item == item && strcmp(p->key, key) == 0)
            return p->text;
    return "";
}

void place_free(struct config *c)
{
    for (size_t i = 0; i < c->place_count; i++)
        free(c->place[i].text);
    free(c->place);
}
