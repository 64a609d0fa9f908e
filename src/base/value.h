/* Text to values and back, as users write them in files and commands.
 *
 * A value is described by what kind it is and what it may be; the kind reads it, writes it and
 * gives it back. Whatever is written reads as the same value again.
 */
#ifndef ZPROXY_BASE_VALUE_H
#define ZPROXY_BASE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Why a text was refused: what is wrong with it, what was expected. */
struct value_error {
    char text[320];
    size_t reason; /* where in it, behind what shows the text that was read */
};

struct value;

struct value_kind {
    /* Reads text into *out. Returns 0, or -EINVAL or -ENOMEM with *error filled in and *out as it
     * was. An earlier value is not freed. */
    int (*parse)(const struct value *v, void *out, const char *text, struct value_error *error);
    /* Writes *in as parse() reads it. */
    void (*print)(const struct value *v, const void *in, FILE *out);
    /* Gives back what parse() allocated for *value; NULL where it allocates nothing. */
    void (*free)(void *value);
};

struct value {
    const struct value_kind *kind;
    uint64_t min, max;          /* numbers: the least and the most that is accepted */
    const char *zero_word;      /* numbers: the word for 0, as "off"; NULL where there is none */
    const char *const *choices; /* words by number, the last followed by NULL */
};

/* In memory a count, size, duration or byte rate is a uint64_t (bytes, milliseconds, bytes a
 * second); a mode is an unsigned; a choice is an enum; a word, name or path is a char * that the
 * value owns. */
extern const struct value_kind value_kind_count;     /* 12 */
extern const struct value_kind value_kind_size;      /* 4096 64k 1m 2g */
extern const struct value_kind value_kind_duration;  /* 500ms 5s 2m 1h 1d */
extern const struct value_kind value_kind_byte_rate; /* 250/s 64k/s 10m/s 1g/s */
extern const struct value_kind value_kind_mode; /* of a file, 0660; its zero is no mode at all */
extern const struct value_kind value_kind_bool; /* yes no on off true false */
extern const struct value_kind value_kind_choice;
extern const struct value_kind value_kind_word; /* no white space in it */
extern const struct value_kind value_kind_name; /* for sections and servers, value_is_name() */
extern const struct value_kind value_kind_path; /* absolute */

/* Shorthands for tables. */
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

/* The kind's functions, with nothing to give back taken care of. */
int value_parse(const struct value *v, void *out, const char *text, struct value_error *error);
void value_print(const struct value *v, const void *in, FILE *out);
void value_free(const struct value *v, void *value);
/* What value_print() writes, in memory; free() is the caller's. NULL where there is no memory. */
char *value_to_string(const struct value *v, const void *in);

/* 1 to 64 of letters, digits, "." "_" "-" ":". */
bool value_is_name(const char *text);
#define VALUE_NAME_EXPECTED "1 to 64 of letters, digits and . _ - :"

/* For kinds defined elsewhere: fills in *error, `"TEXT": WRONG`; a long text is cut short. Returns
 * -EINVAL. */
int value_invalid(struct value_error *error, const char *text, const char *reason, ...)
    __attribute__((format(printf, 3, 4)));
/* The same where there is no memory; returns -ENOMEM. */
int value_no_memory(struct value_error *error);
/* strdup() into *out with parse()'s results. */
int value_strdup(char **out, const char *text, struct value_error *error);

#endif
