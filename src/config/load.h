/* Loading: reads files into a configuration, and records where each value was written.
 *
 * load_read() (load.c) reads files, sections and includes; load_key.h reads values; load_state.c
 * has what both need. check.h then uses the recorded places for its errors. A struct load belongs
 * to the caller and is used by one thread. */
#ifndef ZPROXY_CONFIG_LOAD_H
#define ZPROXY_CONFIG_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/config.h"
#include "config/keys.h"
#include "config/report.h"

/* Where a section and its keys were written. */
struct origin {
    struct location at;
    struct origin_key {
        struct location given; /* line 0: not given; the key has its default */
        struct location *item; /* of a list: the place of each value */
        size_t item_count;
    } * key; /* by the index of the key in its table */
};

/* A file that is being read. */
struct load_file {
    struct load_file *parent; /* the file that includes it */
    const char *path;
    dev_t dev;
    ino_t ino;
    unsigned seen[SECTION_KINDS]; /* the lines of its sections without a name */
    unsigned depth;
};

struct load {
    struct config *config;
    struct report *report;
    const char *path;                     /* of the first file */
    const char *place;                    /* where its relative includes start; NULL: its path */
    struct origin *origin[SECTION_KINDS]; /* of each section of a kind, in file order */
    size_t origin_count[SECTION_KINDS];
    bool incomplete; /* something could not be read, and may define what seems to be missing */
    bool exhausted;  /* out of memory: a key may lack its value or default */

    /* Only used while reading: */
    struct load_default {
        struct load_text {
            const struct key *key;
            struct location at;
            char *text;
        } * text; /* the values given in [defaults]; none: the default of the key */
        size_t count;
        struct location given;        /* in the [defaults] section that is being read */
    } * default_value[SECTION_KINDS]; /* by the index of the key in its table */
    char **name;                      /* the paths of all files, to which locations point */
    size_t name_count;
    struct load_file *file; /* the file that is being read */
    enum load_into {
        LOAD_NOTHING, /* no section so far */
        LOAD_UNKNOWN, /* in an unknown section, whose keys are skipped */
        LOAD_DEFAULTS,
        LOAD_SECTION,
    } into;
    enum section_kind kind; /* of the section that is being read, the last one of its kind */
    bool default_is_bad;    /* the value for [defaults] that is being read is wrong */
    const char *raw_text;   /* the value that is being read, if it has variables; else NULL */
};

/* load_read() adds the contents of the file at path to an empty configuration and reports errors.
 * It checks each value by itself; check_config() checks what values mean together. */
void load_init(struct load *l, struct config *config, struct report *report);
void load_read(struct load *l, const char *path);
void load_fini(struct load *l);

/* --- After reading --- */

/* Where a key of the i-th section of a kind was given. */
const struct origin_key *load_origin(const struct load *l, enum section_kind kind, size_t i,
                                     const char *key);
/* The place for an error about that key: where it was given, or its section. */
struct location load_location(const struct load *l, enum section_kind kind, size_t i,
                              const char *key);

/* Writes the label of the i-th section of a kind, "listen web", to buf. Returns buf. */
const char *load_label(const struct load *l, enum section_kind kind, size_t i,
                       char buf[KEYS_LABEL_MAX]);

/* --- While reading --- */

/* A line of the file that is being read. */
struct location load_here(const struct load *l, unsigned line);

/* The section that is being read: its kind, its structure, its origin, and its label, which is NULL
 * outside of a section. */
const struct section *load_current_section(const struct load *l);
void *load_current_data(const struct load *l);
struct origin *load_current_origin(const struct load *l);
const char *load_current_label(const struct load *l, char buf[KEYS_LABEL_MAX]);
/* Whether key k of sections of kind s is allowed here. */
bool load_accepts_key(const struct load *l, const struct section *s, const struct key *k);

/* Report errors of the section that is being read. key may be NULL. */
void load_report(const struct load *l, struct location at, const char *key, const char *what);
void load_report_duplicate(const struct load *l, struct location at, const char *key,
                           struct location first);
/* Out of memory: the configuration must not be used. */
void load_report_no_memory(struct load *l);
/* An unknown section, whose label begins with the word type. The message suggests the nearest name,
 * or lists all. */
void load_report_unknown_section(const struct load *l, struct location at, const char *title,
                                 const char *type);
/* A key that is unknown here. The message names the section that has such a key, suggests the
 * nearest name, or lists all. */
void load_report_unknown_key(const struct load *l, struct location at, const char *key);

#endif
