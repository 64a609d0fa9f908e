/* Reading files into a configuration, and remembering where everything was written. */
#ifndef ZPROXY_CONFIG_LOAD_H
#define ZPROXY_CONFIG_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/config.h"
#include "config/keys.h"
#include "config/report.h"

/* Where a section and what is in it was written; the arrays are parallel to the tables and to the
 * lists in the configuration. */
struct origin {
    struct location at;
    struct origin_key {
        struct location given; /* line 0: it was not, and has its default */
        struct location *item; /* of a list: where each item stands */
        size_t item_count;
    } * key;
};

/* A file that is being read. */
struct load_file {
    struct load_file *parent; /* that includes it */
    const char *path;
    dev_t dev;
    ino_t ino;
    unsigned seen[SECTION_KINDS]; /* lines of its sections without a name */
    unsigned depth;
};

struct load {
    struct config *config;
    struct report *report;
    const char *path;                     /* of the first file */
    struct origin *origin[SECTION_KINDS]; /* for each section of a kind, in the same order */
    size_t origin_count[SECTION_KINDS];
    bool incomplete; /* something that could not be read may hold what seems to be missing */
    bool exhausted;  /* memory ran out: there may be keys without a value that always have one */

    /* The rest is only of use while reading. */
    struct load_default {
        struct load_text {
            const struct key *key;
            struct location at;
            char *text;
        } * text; /* from [defaults], one for each item of a list; NULL: the key's own */
        size_t count;
        struct location given; /* in the [defaults] that is being read */
    } * default_value[SECTION_KINDS];
    char **name; /* of all files that were read: places point to them */
    size_t name_count;
    struct load_file *file; /* the one being read, included by others */
    enum load_into {
        LOAD_NOTHING, /* no section so far */
        LOAD_UNKNOWN, /* a section that was refused, and its keys with it */
        LOAD_DEFAULTS,
        LOAD_SECTION,
    } into;
    enum section_kind kind; /* of the section being read, the last of its kind */
    bool default_is_bad;    /* the value of [defaults] being read cannot be read */
    const char *raw_text;   /* the value being read, where it has variables; otherwise NULL */
};

/* Adds what the file at path says to an empty configuration; errors are reported. The result has
 * been checked key by key; what it means as a whole has not. */
void load_init(struct load *l, struct config *config, struct report *report);
void load_read(struct load *l, const char *path);
void load_fini(struct load *l);

/* Where a key of the i-th section of a kind was given; and where to say that it does not fit:
 * there, or at the section whose default is to blame. */
const struct origin_key *load_origin(const struct load *l, enum section_kind kind, size_t i,
                                     const char *key);
struct location load_location(const struct load *l, enum section_kind kind, size_t i,
                              const char *key);

/* --- Of use while reading: where it has got to, and how errors speak of it --- */

struct location load_here(const struct load *l, unsigned line);

/* The section being read: its kind, its structure, where all of it was written. */
const struct section *load_current_section(const struct load *l);
void *load_current_data(const struct load *l);
struct origin *load_current_origin(const struct load *l);
/* What stands between its brackets; NULL where there are none. */
const char *load_current_label(const struct load *l, char buf[KEYS_LABEL_MAX]);
/* Whether a key of section s may stand here. */
bool load_accepts_key(const struct load *l, const struct section *s, const struct key *k);

/* Errors of the section being read. key may be NULL. */
void load_report(const struct load *l, struct location at, const char *key, const char *what);
void load_report_duplicate(const struct load *l, struct location at, const char *key,
                           struct location first);
/* There is no memory: what has been read is not to be used. */
void load_report_no_memory(struct load *l);

/* Report one, with the place it belongs in, the nearest name that exists, or all of them. A
 * section's title is what stands between its brackets, its type the first word of that. */
void load_report_unknown_section(const struct load *l, struct location at, const char *title,
                                 const char *type);
void load_report_unknown_key(const struct load *l, struct location at, const char *key);

#endif
