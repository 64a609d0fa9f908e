/* Every section and key that a configuration may have, as tables: a key is one row. */
#ifndef ZPROXY_CONFIG_KEYS_H
#define ZPROXY_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/value.h"
#include "config/config.h"

enum key_flag {
    KEY_REQUIRED = 1 << 0,
    KEY_COMMAS = 1 << 1,      /* a list that may be written on one line */
    KEY_NO_DEFAULTS = 1 << 2, /* not to be given in [defaults] */
    KEY_INCLUDE = 1 << 3,     /* reads files; has no value in the configuration */
    KEY_OPTIONS = 1 << 4,     /* "word=" in its value is an option, also where a key is called so */
    KEY_ORDERED = 1 << 5,     /* a list whose order has a meaning */
    KEY_SAME_LIST = 1 << 6,   /* adds to the list of the row above, by another name */
    KEY_BYTES = 1 << 8,       /* its value is bytes, with the escapes of C */
    KEY_COMPARE_WHOLE = 1 << 7, /* a list of whose values the first word does not say which it is */
};

struct key {
    const char *name;
    struct value value;
    const char *default_value; /* the default as the user would write it; NULL: unset, or a list */
    size_t offset; /* of the value; of the pointer to the first one where it is a list */
    unsigned flags;
    struct key_list {
        size_t size;  /* of an item; 0 where the key has one value and may stand once */
        size_t count; /* offset of the number of items */
        const char *(*name)(const void *item); /* of the key that added it; NULL: this one */
    } list;
};

enum section_kind {
    SECTION_GLOBAL,
    SECTION_ADMIN,
    SECTION_LISTEN,
    SECTION_POOL,
    SECTION_KINDS,
};

struct section {
    const char *type;  /* the first word between the brackets */
    const char *title; /* what to write: "[listen NAME]" */
    const struct key *keys;
    size_t key_count;
    size_t offset; /* in struct config: of the structure, or of the pointer to the first */
    struct section_list {
        size_t size;  /* of a section's structure; 0 where there is one, without a name */
        size_t count; /* offset of the number of sections */
        size_t name;  /* offset of the name in a section's structure */
    } list;
};

extern const struct section keys_sections[SECTION_KINDS];

/* Both return NULL where there is none. */
const struct section *keys_find_section(const char *type);
const struct key *keys_find(const struct section *s, const char *name);

/* The structures of a kind of section in a configuration: how many, the i-th, its name (NULL for
 * [global] and [admin]). */
size_t keys_section_count(const struct section *s, const struct config *c);
void *keys_section_at(const struct section *s, const struct config *c, size_t i);
const char *keys_section_name(const struct section *s, const void *at);
/* "listen web", what stands between the brackets. Returns buf. */
#define KEYS_LABEL_MAX 256
const char *keys_section_label(const struct section *s, const void *at, char buf[KEYS_LABEL_MAX]);
/* Adds one, of which all keys are unset. Returns NULL where there is no memory. The others move. */
void *keys_section_add(const struct section *s, struct config *c, const char *name);

/* The values of a key in a section's structure: how many (0 or 1 where it is no list), the i-th.
 * Adding one to a list works as above; removing the last one undoes that. */
size_t keys_item_count(const struct key *k, const void *at);
void *keys_item(const struct key *k, const void *at, size_t i);
void *keys_item_add(const struct key *k, void *at);
void keys_item_remove(const struct key *k, void *at);

/* Gives back the items of a list and leaves it empty. */
void keys_items_clear(const struct key *k, void *at);
/* The row that a list belongs to, of the rows that add to it; and the one that added the item. */
const struct key *keys_list_row(const struct key *k);
const char *keys_item_name(const struct key *k, const void *item);

/* A key's value, or all of them, as the configuration would say it. NULL when out of memory; free()
 * is the caller's. */
char *keys_to_string(const struct section *s, const void *at, const char *name);

/* Gives back all values and the name of a section. */
void keys_section_free(const struct section *s, void *at);

#endif
