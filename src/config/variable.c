#include "config/variable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/utf8.h"

#define OPEN         "${"
#define ESCAPED_OPEN "$${"
#define SECRET_MIN   4 /* bytes */

/* Returns the length of the NAME at text, or 0. */
static size_t name_length(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char more[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    return strspn(text, letters) == 0 ? 0 : strspn(text, more);
}

bool variable_is_used(const char *text)
{
    return strstr(text, OPEN) != NULL;
}

static bool variable_is_text(const char *value)
{
    size_t left = strlen(value);
    while (left > 0) {
        const unsigned char c = (unsigned char)*value;
        size_t n = c < ' ' || c == 0x7f ? 0 : utf8_length(value, left);
        if (n == 0)
            return false;
        value += n;
        left -= n;
    }
    return true;
}

static void put_bytes(const char *value, FILE *out)
{
    for (; *value != '\0'; value++) {
        const unsigned char c = (unsigned char)*value;
        fprintf(out, c < ' ' || c >= 0x7f || c == '\\' ? "\\x%02x" : "%c", c);
    }
}

static int variable_record(struct config *c, const char *name, const char *value)
{
    for (size_t i = 0; i < c->variable_count; i++)
        if (strcmp(c->variable[i].name, name) == 0)
            return 0;
    struct config_variable *v = array_add(&c->variable, &c->variable_count, sizeof *v);
    if (v == NULL)
        return -ENOMEM;
    v->name = strdup(name);
    v->value = strdup(value);
    return v->name == NULL || v->value == NULL ? -ENOMEM : 0;
}

/* Returns the value of a variable, or NULL with *error set. reference: "${NAME}", for errors. */
static const char *value_of(const char *reference, const char *name, enum variable_quoting quoting,
                            struct value_error *error)
{
    const char *value = getenv(name);
    if (value == NULL)
        value_invalid(
            error, reference,
            "not set, expected a variable of zproxy's environment, or $${ for a literal ${");
    else if (quoting == VARIABLE_AS_TEXT && !variable_is_text(value))
        value_invalid(error, reference,
                      "its value has a control character, or is not UTF-8, expected text");
    else
        return value;
    return NULL;
}

/* Writes the value of the variable "${NAME}" to out. */
static int put_variable(struct config *c, const char *reference, enum variable_quoting quoting,
                        FILE *out, struct value_error *error)
{
    char *name = strndup(reference + strlen(OPEN), strlen(reference) - strlen(OPEN "}"));
    if (name == NULL)
        return value_no_memory(error);
    const char *value = value_of(reference, name, quoting, error);
    int rc = value == NULL ? -EINVAL : variable_record(c, name, value);
    free(name);
    if (rc == -ENOMEM)
        return value_no_memory(error);
    if (rc == 0 && quoting == VARIABLE_AS_BYTES)
        put_bytes(value, out);
    else if (rc == 0)
        fputs(value, out);
    return rc;
}

/* The same for the reference at *text, and advances *text past it. */
static int read_variable(struct config *c, const char **text, enum variable_quoting quoting,
                         FILE *out, struct value_error *error)
{
    size_t n = name_length(*text + strlen(OPEN));
    size_t length = strlen(OPEN) + n + strlen("}");
    if (n == 0 || (*text)[length - 1] != '}')
        return value_invalid(
            error, *text,
            "not a variable, expected ${NAME} with letters, digits and _, or $${ for a literal ${");
    char *reference = strndup(*text, length);
    int rc = reference == NULL ? value_no_memory(error)
                               : put_variable(c, reference, quoting, out, error);
    free(reference);
    *text += length;
    return rc;
}

int variable_expand(struct config *c, const char *text, enum variable_quoting quoting, char **out,
                    struct value_error *error)
{
    size_t size = 0;
    int rc = 0;
    FILE *memory = open_memstream(out, &size);
    if (memory == NULL)
        return value_no_memory(error);
    while (*text != '\0' && rc == 0) {
        if (strncmp(text, ESCAPED_OPEN, strlen(ESCAPED_OPEN)) == 0) {
            fputs(OPEN, memory);
            text += strlen(ESCAPED_OPEN);
        } else if (strncmp(text, OPEN, strlen(OPEN)) == 0) {
            rc = read_variable(c, &text, quoting, memory, error);
        } else {
            fputc(*text++, memory);
        }
    }
    if (fclose(memory) != 0 && rc == 0)
        rc = value_no_memory(error);
    if (rc < 0) {
        free(*out);
        *out = NULL;
    }
    return rc;
}

void variable_print(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (strncmp(text, OPEN, strlen(OPEN)) == 0)
            fputc('$', out);
        fputc(*text, out);
    }
}

/* Returns the variable whose value is the longest that data begins with, or NULL. */
static const struct config_variable *variable_find_at(const struct config *c, const char *data,
                                                      size_t len, size_t *length)
{
    const struct config_variable *best = NULL;
    *length = 0;
    for (size_t i = 0; i < c->variable_count; i++) {
        const struct config_variable *v = &c->variable[i];
        size_t n = v->value == NULL ? 0 : strlen(v->value);
        if (v->name == NULL || n < SECRET_MIN || n > len || n <= *length ||
            memcmp(data, v->value, n) != 0)
            continue;
        best = v;
        *length = n;
    }
    return best;
}

size_t variable_mask(const struct config *c, const void *data, size_t len, char *out, size_t size)
{
    const char *text = data;
    size_t at = 0;
    for (size_t i = 0; i < len && at < size;) {
        size_t n = 0;
        const struct config_variable *v =
            c == NULL ? NULL : variable_find_at(c, text + i, len - i, &n);
        if (v == NULL) {
            out[at++] = text[i++];
            continue;
        }
        if (size - at < strlen(v->name) + strlen("${}") + 1)
            break;
        at += (size_t)sprintf(out + at, "${%s}", v->name);
        i += n;
    }
    return at;
}

void variable_free(struct config *c)
{
    for (size_t i = 0; i < c->variable_count; i++) {
        free(c->variable[i].name);
        free(c->variable[i].value);
    }
    free(c->variable);
}

/* --- The text of values with variables --- */

/* One line of a file, which was read as values of a key. */
struct line {
    size_t index;          /* of the section among those of its kind */
    const struct key *key; /* the row of the list, if several keys add to it */
    struct config_raw_text raw_text;
};

/* The lines of one kind of section, sorted by section, key and first value. Files add to the last
 * section of a kind, so that new lines come at the end or near it. */
struct section_lines {
    struct line *line;
    size_t count;
};

struct raw_text {
    struct section_lines section_lines[SECTION_KINDS];
};

static struct section_lines *raw_text_lines_of(const struct config *c, const struct section *s)
{
    return &c->raw_text->section_lines[s - keys_sections];
}

static size_t raw_text_section_index(const struct config *c, const struct section *s,
                                     const void *at)
{
    if (s->list.size == 0)
        return 0;
    return (size_t)((const char *)at - (const char *)keys_section_at(s, c, 0)) / s->list.size;
}

/* Whether l comes at or before an item, in the order of section, key and item. */
static bool is_up_to(const struct line *l, size_t index, const struct key *k, size_t item)
{
    if (l->index != index)
        return l->index < index;
    if (l->key != k)
        return l->key < k;
    return l->raw_text.first <= item;
}

/* Returns the number of lines at or before an item. */
static size_t count_up_to(const struct section_lines *section_lines, size_t index,
                          const struct key *k, size_t item)
{
    size_t low = 0;
    size_t high = section_lines->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_up_to(&section_lines->line[middle], index, k, item))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int raw_text_insert(struct section_lines *section_lines, const struct line *l)
{
    size_t location = count_up_to(section_lines, l->index, l->key, l->raw_text.first);
    size_t after = section_lines->count - location;
    if (array_add(&section_lines->line, &section_lines->count, sizeof *l) == NULL)
        return -ENOMEM;
    memmove(&section_lines->line[location + 1], &section_lines->line[location], after * sizeof *l);
    section_lines->line[location] = *l;
    return 0;
}

int raw_text_add(struct config *c, const struct section *s, const void *at, const struct key *k,
                 size_t count, const char *text)
{
    if (count == 0)
        return 0;
    if (c->raw_text == NULL && (c->raw_text = calloc(1, sizeof *c->raw_text)) == NULL)
        return -ENOMEM;
    const struct line l = {
        .index = raw_text_section_index(c, s, at),
        .key = keys_list_row(k),
        .raw_text = {
            .name = k->name,
            .first = k->list.size > 0 ? keys_item_count(k, at) - count : 0,
            .count = count,
            .text = strdup(text),
        },
    };
    if (l.raw_text.text != NULL && raw_text_insert(raw_text_lines_of(c, s), &l) == 0)
        return 0;
    free(l.raw_text.text);
    return -ENOMEM;
}

const struct config_raw_text *raw_text_find(const struct config *c, const struct section *s,
                                            const void *at, const struct key *k, size_t item)
{
    if (c->raw_text == NULL)
        return NULL;
    const struct section_lines *section_lines = raw_text_lines_of(c, s);
    size_t index = raw_text_section_index(c, s, at);
    size_t before = count_up_to(section_lines, index, keys_list_row(k), item);
    const struct line *l = before == 0 ? NULL : &section_lines->line[before - 1];
    if (l == NULL || l->index != index || l->key != keys_list_row(k) ||
        item >= l->raw_text.first + l->raw_text.count)
        return NULL;
    return &l->raw_text;
}

void raw_text_remove(struct config *c, const struct section *s, const void *at, const struct key *k)
{
    if (c->raw_text == NULL)
        return;
    struct section_lines *section_lines = raw_text_lines_of(c, s);
    size_t index = raw_text_section_index(c, s, at);
    size_t end = count_up_to(section_lines, index, keys_list_row(k), SIZE_MAX);
    size_t first = end;
    while (first > 0 && section_lines->line[first - 1].index == index &&
           section_lines->line[first - 1].key == keys_list_row(k))
        free(section_lines->line[--first].raw_text.text);
    if (first < end)
        memmove(&section_lines->line[first], &section_lines->line[end],
                (section_lines->count - end) * sizeof *section_lines->line);
    section_lines->count -= end - first;
}

void raw_text_free(struct config *c)
{
    for (size_t k = 0; c->raw_text != NULL && k < SECTION_KINDS; k++) {
        for (size_t i = 0; i < c->raw_text->section_lines[k].count; i++)
            free(c->raw_text->section_lines[k].line[i].raw_text.text);
        free(c->raw_text->section_lines[k].line);
    }
    free(c->raw_text);
}
