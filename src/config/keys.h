/* The tables of all sections and keys: one row for each key.
 *
 * A row says where the value is in the structures of config.h and how it is read and written.
 * Loading, printing and comparing work on rows and need no change for a new key; CONTRIBUTING.md
 * lists what a new key needs. The tables are constant; any thread may use them. */
#ifndef ZPROXY_CONFIG_KEYS_H
#define ZPROXY_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/value.h"
#include "config/config.h"

enum key_flag {
    KEY_REQUIRED = 1 << 0,
    KEY_COMMAS = 1 << 1,      /* a list whose values may be written on one line, with commas */
    KEY_NO_DEFAULTS = 1 << 2, /* not allowed in [defaults] */
    KEY_INCLUDE = 1 << 3,     /* reads other files; has no value */
    KEY_OPTIONS = 1 << 4,     /* its value has options: "word=" never starts another key */
    KEY_ORDERED = 1 << 5,     /* a list whose order matters */
    KEY_SAME_LIST = 1 << 6,   /* another name for the list of the row above */
    KEY_WHOLE = 1 << 7,       /* a list: config_compare() identifies a value by all of its words,
                               * not by the first */
    KEY_FIXED = 1 << 8,       /* a reload cannot change it */
    KEY_BYTES = 1 << 9,       /* its value is bytes, written with the escapes of C */
};

struct key {
    const char *name;
    struct value value;
    /* As the user would write it. NULL: a list, or unset: then the value begins with a pointer or a
     * length, which is 0 while it is unset. */
    const char *default_value;
    size_t offset; /* of the value in the structure; of a list: of the pointer to its items */
    unsigned flags;
    struct key_list {
        size_t size;  /* of an item; 0: no list: the key has one value and is given once */
        size_t count; /* offset of the number of items */
        /* If several keys add to the list: returns the name of the key that an item was given with.
         * Otherwise NULL. */
        const char *(*name)(const void *item);
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
    const char *title; /* as error messages show it: "[listen NAME]" */
    const struct key *keys;
    size_t key_count;
    size_t offset; /* in struct config: of the structure, or of the pointer to the structures */
    struct section_list {
        size_t size;  /* of a structure; 0: there is one section of the kind, without a name */
        size_t count; /* offset of the number of sections */
        size_t name;  /* offset of the name in a structure */
    } list;
};

extern const struct section keys_sections[SECTION_KINDS];

/* Both return NULL if there is no such section or key. */
const struct section *keys_find_section(const char *type);
const struct key *keys_find(const struct section *s, const char *name);

/* The sections of a kind in a configuration: their number, the structure of the i-th, and its name
 * (NULL for [global] and [admin]). */
size_t keys_section_count(const struct section *s, const struct config *c);
void *keys_section_at(const struct section *s, const struct config *c, size_t i);
const char *keys_section_name(const struct section *s, const void *at);
/* Writes the label of a section, "listen web", to buf. Returns buf. */
#define KEYS_LABEL_MAX 256
const char *keys_section_label(const struct section *s, const void *at, char buf[KEYS_LABEL_MAX]);
/* Adds a section with all keys unset. Returns its structure, or NULL when out of memory. The other
 * structures of the kind may move. */
void *keys_section_add(const struct section *s, struct config *c, const char *name);

/* The values of a key in the structure of a section: their number (0 or 1 if it is no list) and the
 * i-th. keys_item_add() appends a zeroed one to a list; it returns NULL when out of memory, and the
 * other values may move. keys_item_remove() removes the last one without freeing what it owns. */
size_t keys_item_count(const struct key *k, const void *at);
void *keys_item(const struct key *k, const void *at, size_t i);
void *keys_item_add(const struct key *k, void *at);
void keys_item_remove(const struct key *k, void *at);

/* Frees the values of a list and leaves it empty. */
void keys_items_clear(const struct key *k, void *at);
/* For lists that several keys add to: the row that owns the list, and the name of the key that an
 * item was given with. */
const struct key *keys_list_row(const struct key *k);
const char *keys_item_name(const struct key *k, const void *item);

/* The value of a key as text, or its values with commas. The caller frees it with free(). NULL when
 * out of memory. */
char *keys_to_string(const struct section *s, const void *at, const char *name);

/* Whether two structures of a section have the same values of a key. False when out of memory. */
bool keys_equal(const struct section *s, const void *a, const void *b, const char *name);

/* Frees all values and the name of a section. */
void keys_section_free(const struct section *s, void *at);

#endif
