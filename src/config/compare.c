/* config_compare(): the differences of two configurations, section by section and key by key. */
#include "config/config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "config/keys.h"
#include "config/variable.h"

/* A member of a sorted set, which holds sections, or values of a key as text. Two sets are compared
 * by walking them side by side. */
struct member {
    const char *key; /* of a value; values of different keys are never the same */
    char *text;
    size_t identity; /* members with these first bytes of text in common are one, changed or not */
    const void *at;  /* the structure of a section */
    size_t position; /* in the configuration */
};

struct set {
    struct member *member;
    size_t count;
};

/* A member of both sets. */
struct pair {
    const struct member *from;
    const struct member *to;
};

struct compare {
    const struct config *from;
    const struct config *to;
    config_difference_fn *on_difference;
    void *arg;
    size_t count;
    const struct section *kind; /* what is compared at present */
    const char *section;
    const struct key *key;
    struct pair *pair; /* of the values of a key */
    size_t pair_count;
};

static int compare_identity(const struct member *a, const struct member *b)
{
    size_t n = a->identity < b->identity ? a->identity : b->identity;
    int order = strcmp(a->key, b->key);
    if (order == 0)
        order = memcmp(a->text, b->text, n);
    if (order != 0)
        return order;
    return (a->identity > b->identity) - (a->identity < b->identity);
}

static int compare_members(const void *a, const void *b)
{
    int order = compare_identity(a, b);
    return order != 0 ? order
                      : strcmp(((const struct member *)a)->text, ((const struct member *)b)->text);
}

/* Adds a member and takes ownership of its text. When out of memory it is left out. */
static void set_add(struct set *s, struct member new)
{
    struct member *m = new.text == NULL ? NULL : array_add(&s->member, &s->count, sizeof *m);
    if (m == NULL)
        free(new.text);
    else
        *m = new;
}

static void set_sort(struct set *s)
{
    if (s->count > 0)
        qsort(s->member, s->count, sizeof *s->member, compare_members);
}

static void set_fini(struct set *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->member[i].text);
    free(s->member);
}

/* Called for each member of two sets. from or to is NULL if it is in one set only. */
typedef void pair_fn(struct compare *c, const struct member *from, const struct member *to);

static void sets_walk(struct compare *c, const struct set *from, const struct set *to,
                      pair_fn *pair)
{
    size_t i = 0;
    size_t j = 0;
    while (i < from->count || j < to->count) {
        int order = i == from->count ? 1
                    : j == to->count ? -1
                                     : compare_identity(&from->member[i], &to->member[j]);
        const struct member *left = order <= 0 ? &from->member[i++] : NULL;
        const struct member *right = order >= 0 ? &to->member[j++] : NULL;
        pair(c, left, right);
    }
}

static void report_difference(struct compare *c, const char *key, const char *before,
                              const char *after)
{
    c->on_difference(c->arg, c->section, key, before, after);
    c->count++;
}

/* --- Values --- */

static void pair_values(struct compare *c, const struct member *from, const struct member *to)
{
    if (from == NULL) {
        report_difference(c, to->key, NULL, to->text);
        return;
    }
    if (to == NULL) {
        report_difference(c, from->key, from->text, NULL);
        return;
    }
    if (strcmp(from->text, to->text) != 0)
        report_difference(c, to->key, from->text, to->text);
    struct pair *p = array_add(&c->pair, &c->pair_count, sizeof *p);
    if (p != NULL)
        *p = (struct pair){ from, to };
}

/* Returns the values of a key as a set. A single value is one member, changed or not. Values of a
 * list are told apart by their first word, which is an address, or with KEY_WHOLE by all of their
 * text. */
static struct set set_of_values(const struct config *conf, const struct section *section,
                                const struct key *k, const void *at)
{
    struct set s = { .count = 0 };
    for (size_t i = 0; i < keys_item_count(k, at); i++) {
        const struct config_raw_text *w = raw_text_find(conf, section, at, k, i);
        if (w != NULL && i != w->first)
            continue; /* its line is in the set already */
        char *text = w != NULL ? strdup(w->text) : value_to_string(&k->value, keys_item(k, at, i));
        bool listed = text != NULL && k->list.size > 0;
        size_t identity = !listed                       ? 0
                          : (k->flags & KEY_WHOLE) != 0 ? strlen(text)
                                                        : strcspn(text, " ");
        set_add(&s, (struct member){ .key = keys_item_name(k, keys_item(k, at, i)),
                                     .text = text,
                                     .identity = identity,
                                     .position = i });
    }
    set_sort(&s);
    return s;
}

static int compare_positions(const void *a, const void *b)
{
    size_t pa = ((const struct pair *)a)->from->position;
    size_t pb = ((const struct pair *)b)->from->position;
    return (pa > pb) - (pa < pb);
}

/* Returns "A before B", or "deny A before allow B" if several keys add to the list. NULL when out
 * of memory. */
static char *order_text(const struct key *k, const struct member *first,
                        const struct member *second)
{
    char *text = NULL;
    int n = k->list.name == NULL ? asprintf(&text, "%s before %s", first->text, second->text)
                                 : asprintf(&text, "%s %s before %s %s", first->key, first->text,
                                            second->key, second->text);
    return n == -1 ? NULL : text;
}

/* Of the values in both configurations, reports the first two neighbours that changed places. */
static void compare_order(struct compare *c)
{
    if (c->pair_count > 0)
        qsort(c->pair, c->pair_count, sizeof *c->pair, compare_positions);
    for (size_t i = 1; i < c->pair_count; i++) {
        const struct pair *a = &c->pair[i - 1];
        const struct pair *b = &c->pair[i];
        if (a->to->position < b->to->position)
            continue;
        char *before = order_text(c->key, a->from, b->from);
        char *after = order_text(c->key, b->to, a->to);
        report_difference(c, c->key->name, before, after);
        free(before);
        free(after);
        return;
    }
}

static void compare_values(struct compare *c, const void *from, const void *to)
{
    if ((c->key->flags & KEY_SAME_LIST) != 0)
        return; /* its values are in the list of another key */
    c->pair_count = 0;
    struct set before = set_of_values(c->from, c->kind, c->key, from);
    struct set after = set_of_values(c->to, c->kind, c->key, to);
    sets_walk(c, &before, &after, pair_values);
    if ((c->key->flags & KEY_ORDERED) != 0)
        compare_order(c);
    set_fini(&before);
    set_fini(&after);
}

/* --- Sections --- */

static void pair_sections(struct compare *c, const struct member *from, const struct member *to)
{
    if (from == NULL || to == NULL) {
        c->section = from == NULL ? to->text : from->text;
        report_difference(c, NULL, from == NULL ? NULL : from->text, to == NULL ? NULL : to->text);
        return;
    }
    c->section = from->text;
    for (size_t i = 0; i < c->kind->key_count; i++) {
        c->key = &c->kind->keys[i];
        compare_values(c, from->at, to->at);
    }
}

static struct set set_of_sections(const struct section *kind, const struct config *c)
{
    struct set s = { .count = 0 };
    for (size_t i = 0; i < keys_section_count(kind, c); i++) {
        const void *at = keys_section_at(kind, c, i);
        char label[KEYS_LABEL_MAX];
        keys_section_label(kind, at, label);
        set_add(&s, (struct member){
                        .key = "", .text = strdup(label), .identity = strlen(label), .at = at });
    }
    set_sort(&s);
    return s;
}

size_t config_compare(const struct config *from, const struct config *to,
                      config_difference_fn *on_difference, void *arg)
{
    struct compare c = { .from = from, .to = to, .on_difference = on_difference, .arg = arg };
    for (size_t i = 0; i < SECTION_KINDS; i++) {
        c.kind = &keys_sections[i];
        struct set before = set_of_sections(c.kind, from);
        struct set after = set_of_sections(c.kind, to);
        sets_walk(&c, &before, &after, pair_sections);
        set_fini(&before);
        set_fini(&after);
    }
    free(c.pair);
    return c.count;
}
