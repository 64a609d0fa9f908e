#include "config/config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/ini.h"
#include "config/keys.h"
#include "config/load.h"
#include "config/place.h"
#include "config/report.h"
#include "config/variable.h"

static struct config *load_checked(const char *path, const char *place, FILE *errors,
                                   bool on_this_machine)
{
    struct report report = { .out = errors };
    struct config *c = calloc(1, sizeof *c);
    struct load load;
    if (c == NULL) {
        fprintf(errors, "%s: out of memory\n", path);
        return NULL;
    }
    report.config = c;
    load_init(&load, c, &report);
    load.place = place;
    load_read(&load, path);
    check_config(&load);
    if (on_this_machine)
        check_machine(&load);
    if (report.count == 0 && !place_note(&load))
        load_report_no_memory(&load);
    load_fini(&load);
    if (report.count > 0) {
        config_free(c);
        return NULL;
    }
    return c;
}

struct config *config_load(const char *path, FILE *errors)
{
    return load_checked(path, NULL, errors, false);
}

struct config *config_load_as(const char *path, const char *place, FILE *errors)
{
    return load_checked(path, place, errors, false);
}

struct config *config_load_on_machine(const char *path, FILE *errors)
{
    return load_checked(path, NULL, errors, true);
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    for (size_t kind = 0; kind < SECTION_KINDS; kind++) {
        const struct section *s = &keys_sections[kind];
        for (size_t i = 0; i < keys_section_count(s, c); i++)
            keys_section_free(s, keys_section_at(s, c, i));
    }
    free(c->listen);
    free(c->pool);
    raw_text_free(c);
    place_free(c);
    variable_free(c);
    free(c);
}

bool config_pool_checks_tls(const struct config_pool *p)
{
    return p->check != CONFIG_CHECK_NONE && (p->check_tls == CONFIG_CHECK_TLS_YES ||
                                             (p->tls && p->check_tls != CONFIG_CHECK_TLS_NO));
}

bool config_pool_has_tls(const struct config_pool *p)
{
    return p->tls || config_pool_checks_tls(p);
}

/* --- Printing --- */

/* Returns how many bytes of text to write on a line of `room` bytes: all, or up to a single space,
 * as reading joins continued lines with one space. */
static size_t piece_length(const char *text, size_t room)
{
    size_t n = strlen(text);
    size_t best = 0;
    if (n <= room)
        return n;
    for (size_t i = 1; i <= room; i++)
        if (text[i] == ' ' && strchr(" \t", text[i - 1]) == NULL &&
            strchr(" \t", text[i + 1]) == NULL)
            best = i;
    return best;
}

/* Writes "key = text", on several lines if necessary. Any value that was read fits, as each of its
 * lines did. */
static void print_entry(const char *key, const char *text, FILE *out)
{
    size_t used = strlen(key) + 3;
    size_t n = piece_length(text, INI_LINE_MAX - used);
    bool spaced =
        n > 0 && text[0] != '#' && text[0] != ';'; /* after a space it would be a comment */
    fprintf(out, "%s =%s%.*s\n", key, spaced ? " " : "", (int)n, text);
    text += n;
    while (*text != '\0') {
        text += *text == ' ';
        n = piece_length(text, INI_LINE_MAX - 1);
        n = n > 0 ? n : strlen(text);
        fprintf(out, " %.*s\n", (int)n, text);
        text += n;
    }
}

static void print_value(const struct key *k, const void *item, FILE *out)
{
    char *value = value_to_string(&k->value, item);
    char *text = NULL;
    size_t size = 0;
    FILE *memory = value == NULL ? NULL : open_memstream(&text, &size);
    if (memory != NULL) {
        variable_print(value, memory);
        if (fclose(memory) == 0)
            print_entry(keys_item_name(k, item), text, out);
    }
    free(text);
    free(value);
}

/* Writes a value; one with variables as it was written, once for all values of its line. */
static void print_item(const struct config *c, const struct section *s, const void *at,
                       const struct key *k, size_t item, FILE *out)
{
    const struct config_raw_text *w = raw_text_find(c, s, at, k, item);
    if (w == NULL)
        print_value(k, keys_item(k, at, item), out);
    else if (item == w->first)
        print_entry(w->name, w->text, out);
}

/* Writes the values of a key. A key without a value becomes a comment. A list to which several keys
 * add is written in its order, at the first key. */
static void print_key(const struct config *c, const struct section *s, const struct key *k,
                      const void *at, FILE *out)
{
    size_t count = keys_item_count(k, at);
    if ((k->flags & KEY_INCLUDE) != 0)
        return;
    if (count == 0)
        fprintf(out, "#%s =\n", k->name);
    for (size_t item = 0; item < count && (k->flags & KEY_SAME_LIST) == 0; item++)
        print_item(c, s, at, k, item, out);
}

static void print_section(const struct config *c, const struct section *s, const void *at,
                          FILE *out)
{
    const char *name = keys_section_name(s, at);
    fprintf(out, "[%s%s%s]\n", s->type, name == NULL ? "" : " ", name == NULL ? "" : name);
    for (size_t i = 0; i < s->key_count; i++)
        print_key(c, s, &s->keys[i], at, out);
}

void config_print(const struct config *c, FILE *out)
{
    for (size_t kind = 0; kind < SECTION_KINDS; kind++) {
        const struct section *s = &keys_sections[kind];
        for (size_t i = 0; i < keys_section_count(s, c); i++) {
            if (kind != SECTION_GLOBAL)
                fputc('\n', out);
            print_section(c, s, keys_section_at(s, c, i), out);
        }
    }
}
