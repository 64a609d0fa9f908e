/* Values that users write in files and commands: parsing and printing.
 *
 * struct value describes a value: its kind and its bounds. The kind parses, prints and frees it.
 * What a kind prints parses to the same value.
 */
#ifndef ZPROXY_BASE_VALUE_H
#define ZPROXY_BASE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The message for a text that is refused: what is wrong with it and what is expected. */
struct value_error {
    char text[320];
    size_t reason; /* where the reason begins, after the quoted text */
};

struct value;

struct value_kind {
    /* Parses text into *out; does not free a former value there. Returns 0, or -EINVAL or -ENOMEM
     * with *error filled in and *out unchanged. */
    int (*parse)(const struct value *v, void *out, const char *text, struct value_error *error);
    /* Writes *in in the form that parse() reads. */
    void (*print)(const struct value *v, const void *in, FILE *out);
    /* Frees what parse() allocated for *value; NULL: it allocates nothing. */
    void (*free)(void *value);
};

struct value {
    const struct value_kind *kind;
    uint64_t min, max;          /* bounds of a number, inclusive */
    const char *zero_word;      /* the word for the number 0, such as "off"; NULL: none */
    const char *const *choices; /* words by number, then NULL */
};

/* In memory a count, size, duration or byte rate is a uint64_t (bytes, milliseconds, bytes per
 * second); a mode is an unsigned; a choice is an enum; a word, name or path is a char * that
 * value_free() frees. */
extern const struct value_kind value_kind_count;     /* 12 */
extern const struct value_kind value_kind_size;      /* 4096 64k 1m 2g */
extern const struct value_kind value_kind_duration;  /* 500ms 5s 2m 1h 1d */
extern const struct value_kind value_kind_byte_rate; /* 250/s 64k/s 10m/s 1g/s */
extern const struct value_kind value_kind_mode;      /* of a file, 0660; 0: no mode */
extern const struct value_kind value_kind_bool;      /* yes no on off true false */
extern const struct value_kind value_kind_choice;
extern const struct value_kind value_kind_word; /* without white space */
extern const struct value_kind value_kind_name; /* of sections and servers, value_is_name() */
extern const struct value_kind value_kind_path; /* absolute */

/* Initializers of struct value for tables. */
/* clang-format off */
#define VALUE_COUNT(min, max, zero_word)    { &value_kind_count, min, max, zero_word, NULL }
#define VALUE_SIZE(min, max, zero_word)     { &value_kind_size, min, max, zero_word, NULL }
#define VALUE_DURATION(min, max, zero_word) { &value_kind_duration, min, max, zero_word, NULL }
#define VALUE_BYTE_RATE(min, max, zero_word) { &value_kind_byte_rate, min, max, zero_word, NULL }
#define VALUE_MODE(zero_word)               { &value_kind_mode, 0, 0, zero_word, NULL }
#define VALUE_BOOL                     { .kind = &value_kind_bool }
#define VALUE_CHOICE(words)            { .kind = &value_kind_choice, .choices = (words) }
#define VALUE_WORD                     { .kind = &value_kind_word }
#define VALUE_NAME                     { .kind = &value_kind_name }
#define VALUE_PATH                     { .kind = &value_kind_path }
/* clang-format on */

#define VALUE_SECOND 1000
#define VALUE_HOUR   (3600 * VALUE_SECOND)
#define VALUE_DAY    (24 * (uint64_t)VALUE_HOUR)

/* Call the functions of the kind; value_free() does nothing for a kind that allocates nothing. */
int value_parse(const struct value *v, void *out, const char *text, struct value_error *error);
void value_print(const struct value *v, const void *in, FILE *out);
void value_free(const struct value *v, void *value);
/* Returns what value_print() writes, to be freed by the caller; NULL when out of memory. */
char *value_to_string(const struct value *v, const void *in);

/* Whether the text is a name: 1 to 64 of letters, digits, "." "_" "-" ":". */
bool value_is_name(const char *text);
#define VALUE_NAME_EXPECTED "1 to 64 of letters, digits and . _ - :"

/* For kinds that other modules define: sets *error to `"TEXT": REASON`; a long text is cut. Returns
 * -EINVAL. */
int value_invalid(struct value_error *error, const char *text, const char *reason, ...)
    __attribute__((format(printf, 3, 4)));
/* Sets *error to "out of memory". Returns -ENOMEM. */
int value_no_memory(struct value_error *error);
/* Copies the text into *out. Returns as parse(). */
int value_strdup(char **out, const char *text, struct value_error *error);

#endif
