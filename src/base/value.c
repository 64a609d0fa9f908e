#include "base/value.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

#define NAME_MAX_BYTES 64
#define WORD_MAX_BYTES 255
#define QUOTE_MAX      48 /* bytes of a refused text that a message quotes */

int value_parse(const struct value *v, void *out, const char *text, struct value_error *error)
{
    return v->kind->parse(v, out, text, error);
}

void value_print(const struct value *v, const void *in, FILE *out)
{
    v->kind->print(v, in, out);
}

void value_free(const struct value *v, void *value)
{
    if (v->kind->free != NULL)
        v->kind->free(value);
}

char *value_to_string(const struct value *v, const void *in)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (memory == NULL)
        return NULL;
    value_print(v, in, memory);
    if (fclose(memory) == 0)
        return text;
    free(text);
    return NULL;
}

/* How much of the text a message quotes; a long text is cut between two characters. */
static size_t quote_length(const char *text)
{
    size_t left = strlen(text);
    size_t n = 0;
    while (left > n) {
        size_t step = utf8_length(text + n, left - n);
        step = step == 0 ? 1 : step;
        if (n + step > QUOTE_MAX)
            break;
        n += step;
    }
    return n;
}

int value_invalid(struct value_error *error, const char *text, const char *reason, ...)
{
    va_list args;
    int n = (int)quote_length(text);
    int begin = snprintf(error->text, sizeof error->text, "\"%.*s%s\": ", n, text,
                         text[n] == '\0' ? "" : "...");
    error->reason = (size_t)begin;
    va_start(args, reason);
    vsnprintf(error->text + begin, sizeof error->text - (size_t)begin, reason, args);
    va_end(args);
    return -EINVAL;
}

int value_no_memory(struct value_error *error)
{
    error->reason = 0;
    snprintf(error->text, sizeof error->text, "out of memory");
    return -ENOMEM;
}

int value_strdup(char **out, const char *text, struct value_error *error)
{
    char *copy = strdup(text);
    if (copy == NULL)
        return value_no_memory(error);
    *out = copy;
    return 0;
}

/* --- Numbers, with and without a unit --- */

struct unit {
    const char *suffix;
    uint64_t factor;
};

/* Largest first. An empty suffix is the unit of a number without one. */
static const struct unit count_units[] = { { "", 1 }, { NULL, 0 } };
static const struct unit size_units[] = {
    { "g", 1 << 30 }, { "m", 1 << 20 }, { "k", 1 << 10 }, { "", 1 }, { NULL, 0 },
};
static const struct unit byte_rate_units[] = {
    { "g/s", 1 << 30 }, { "m/s", 1 << 20 }, { "k/s", 1 << 10 }, { "/s", 1 }, { NULL, 0 },
};
static const struct unit duration_units[] = {
    { "d", VALUE_DAY }, { "h", VALUE_HOUR }, { "m", 60000 },
    { "s", 1000 },      { "ms", 1 },         { NULL, 0 },
};

enum number_result {
    NUMBER_OK,
    NUMBER_BAD,     /* not digits, or an unknown unit */
    NUMBER_NO_UNIT, /* digits alone, and a unit is required */
    NUMBER_TOO_BIG, /* more than 64 bits */
};

static enum number_result value_parse_number(const struct unit *units, bool any_case,
                                             const char *text, uint64_t *number)
{
    uint64_t n = 0;
    const char *c = text;
    bool too_big = false;
    for (; *c >= '0' && *c <= '9'; c++)
        too_big |= __builtin_mul_overflow(n, 10, &n) ||
                   __builtin_add_overflow(n, (uint64_t)(*c - '0'), &n);
    if (c == text)
        return NUMBER_BAD;
    for (; units->suffix != NULL; units++)
        if (strcmp(c, units->suffix) == 0 || (any_case && strcasecmp(c, units->suffix) == 0))
            break;
    if (units->suffix == NULL)
        return *c == '\0' ? NUMBER_NO_UNIT : NUMBER_BAD;
    if (too_big || __builtin_mul_overflow(n, units->factor, number))
        return NUMBER_TOO_BIG;
    return NUMBER_OK;
}

/* Prints in the largest unit that divides the number. */
static void print_number(const struct unit *units, uint64_t number, FILE *out)
{
    while (units[1].suffix != NULL && (number == 0 || number % units->factor != 0))
        units++;
    fprintf(out, "%llu%s", (unsigned long long)(number / units->factor), units->suffix);
}

/* Writes what is expected: "a size (4096, 64k, 1m, 2g) from 4k to 1g, or kernel". */
static void expect_number(const struct value *v, const struct unit *units, const char *what,
                          char text[static 128])
{
    FILE *out = fmemopen(text, 128, "w");
    text[0] = '\0';
    if (out == NULL)
        return;
    fprintf(out, "%s from ", what);
    print_number(units, v->min, out);
    fputs(" to ", out);
    print_number(units, v->max, out);
    if (v->zero_word != NULL)
        fprintf(out, ", or %s", v->zero_word);
    fclose(out);
}

/* The differences between the kinds of numbers. */
struct number_rules {
    const struct unit *units;
    bool any_case; /* units may be upper case; not of durations: "M" does not mean minutes */
    const char *what;
};

static const struct number_rules count_rules = { count_units, false, "a number" };
static const struct number_rules size_rules = { size_units, true, "a size (4096, 64k, 1m, 2g)" };
static const struct number_rules duration_rules = { duration_units, false,
                                                    "a time (500ms, 5s, 2m, 1h, 1d)" };

static const struct number_rules byte_rate_rules = { byte_rate_units, true,
                                                     "bytes a second (250/s, 64k/s, 10m/s, 1g/s)" };

static int parse_ranged(const struct number_rules *rules, const struct value *v, uint64_t *out,
                        const char *text, struct value_error *error)
{
    char expected[128];
    uint64_t number = 0;
    const char *reason = NULL;
    if (v->zero_word != NULL && strcmp(text, v->zero_word) == 0) {
        *out = 0;
        return 0;
    }
    switch (value_parse_number(rules->units, rules->any_case, text, &number)) {
    case NUMBER_OK:
        if (number >= v->min && number <= v->max) {
            *out = number;
            return 0;
        }
        reason = number < v->min ? "too small" : "too large";
        break;
    case NUMBER_TOO_BIG:
        reason = "too large";
        break;
    case NUMBER_NO_UNIT:
        reason = "no unit";
        break;
    case NUMBER_BAD:
        reason = "not understood";
        break;
    }
    expect_number(v, rules->units, rules->what, expected);
    return value_invalid(error, text, "%s, expected %s", reason, expected);
}

static void print_ranged(const struct number_rules *rules, const struct value *v, uint64_t number,
                         FILE *out)
{
    if (number == 0 && v->zero_word != NULL)
        fputs(v->zero_word, out);
    else
        print_number(rules->units, number, out);
}

static int parse_count(const struct value *v, void *out, const char *text, struct value_error *e)
{
    return parse_ranged(&count_rules, v, out, text, e);
}

static void print_count(const struct value *v, const void *in, FILE *out)
{
    print_ranged(&count_rules, v, *(const uint64_t *)in, out);
}

static int parse_size(const struct value *v, void *out, const char *text, struct value_error *e)
{
    return parse_ranged(&size_rules, v, out, text, e);
}

static void print_size(const struct value *v, const void *in, FILE *out)
{
    print_ranged(&size_rules, v, *(const uint64_t *)in, out);
}

static int parse_duration(const struct value *v, void *out, const char *text, struct value_error *e)
{
    return parse_ranged(&duration_rules, v, out, text, e);
}

static void print_duration(const struct value *v, const void *in, FILE *out)
{
    print_ranged(&duration_rules, v, *(const uint64_t *)in, out);
}

static int parse_byte_rate(const struct value *v, void *out, const char *text,
                           struct value_error *e)
{
    return parse_ranged(&byte_rate_rules, v, out, text, e);
}

static void print_byte_rate(const struct value *v, const void *in, FILE *out)
{
    print_ranged(&byte_rate_rules, v, *(const uint64_t *)in, out);
}

const struct value_kind value_kind_count = { parse_count, print_count, NULL };
const struct value_kind value_kind_size = { parse_size, print_size, NULL };
const struct value_kind value_kind_duration = { parse_duration, print_duration, NULL };
const struct value_kind value_kind_byte_rate = { parse_byte_rate, print_byte_rate, NULL };

/* --- Modes of files --- */

static int parse_mode(const struct value *v, void *out, const char *text, struct value_error *error)
{
    size_t n = strlen(text);
    unsigned mode = 0;
    if (v->zero_word != NULL && strcmp(text, v->zero_word) == 0) {
        *(unsigned *)out = 0;
        return 0;
    }
    if (n >= 3 && n <= 4 && strspn(text, "01234567") == n)
        mode = (unsigned)strtoul(text, NULL, 8);
    if (mode == 0 || mode > 0777)
        return value_invalid(error, text, "not a mode, expected octal digits from 0001 to 0777%s%s",
                             v->zero_word == NULL ? "" : ", or ",
                             v->zero_word == NULL ? "" : v->zero_word);
    *(unsigned *)out = mode;
    return 0;
}

static void print_mode(const struct value *v, const void *in, FILE *out)
{
    const unsigned mode = *(const unsigned *)in;
    if (mode == 0 && v->zero_word != NULL)
        fputs(v->zero_word, out);
    else
        fprintf(out, "%04o", mode);
}

const struct value_kind value_kind_mode = { parse_mode, print_mode, NULL };

/* --- Yes and no, choices --- */

static int parse_bool(const struct value *v, void *out, const char *text, struct value_error *error)
{
    static const char *const words[] = { "no", "yes", "off", "on", "false", "true" };
    (void)v;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0) {
            *(bool *)out = i % 2 == 1;
            return 0;
        }
    return value_invalid(error, text, "not understood, expected yes or no");
}

static void print_bool(const struct value *v, const void *in, FILE *out)
{
    (void)v;
    fputs(*(const bool *)in ? "yes" : "no", out);
}

/* Writes "a", "a or b" or "a, b or c". */
static void list_choices(const char *const *choices, char *text, size_t size)
{
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; choices[i] != NULL && len < size; i++) {
        const char *before = choices[i + 1] == NULL ? " or " : ", ";
        len += (size_t)snprintf(text + len, size - len, "%s%s", i == 0 ? "" : before, choices[i]);
    }
}

static int parse_choice(const struct value *v, void *out, const char *text,
                        struct value_error *error)
{
    char expected[160];
    for (unsigned i = 0; v->choices[i] != NULL; i++)
        if (strcmp(text, v->choices[i]) == 0) {
            memcpy(out, &i, sizeof i); /* *out is an enum, of the size of unsigned int */
            return 0;
        }
    list_choices(v->choices, expected, sizeof expected);
    return value_invalid(error, text, "unknown, expected %s", expected);
}

static void print_choice(const struct value *v, const void *in, FILE *out)
{
    unsigned i = 0;
    memcpy(&i, in, sizeof i);
    fputs(v->choices[i], out);
}

const struct value_kind value_kind_bool = { parse_bool, print_bool, NULL };
const struct value_kind value_kind_choice = { parse_choice, print_choice, NULL };

/* --- Text --- */

bool value_is_name(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "._-:";
    size_t n = strlen(text);
    return n >= 1 && n <= NAME_MAX_BYTES && strspn(text, allowed) == n;
}

static int value_parse_word(const struct value *v, void *out, const char *text,
                            struct value_error *error)
{
    (void)v;
    if (*text == '\0' || strpbrk(text, " \t") != NULL || strlen(text) > WORD_MAX_BYTES)
        return value_invalid(error, text, "not a word, expected one of at most %d bytes",
                             WORD_MAX_BYTES);
    return value_strdup(out, text, error);
}

static int parse_name(const struct value *v, void *out, const char *text, struct value_error *error)
{
    (void)v;
    if (!value_is_name(text))
        return value_invalid(error, text, "not a name, expected " VALUE_NAME_EXPECTED);
    return value_strdup(out, text, error);
}

static int parse_path(const struct value *v, void *out, const char *text, struct value_error *error)
{
    (void)v;
    if (text[0] != '/')
        return value_invalid(error, text, "not absolute, expected a path that begins with /");
    if (strlen(text) >= PATH_MAX)
        return value_invalid(error, text, "too long, expected a path of at most %d bytes",
                             PATH_MAX - 1);
    return value_strdup(out, text, error);
}

static void value_print_text(const struct value *v, const void *in, FILE *out)
{
    (void)v;
    fputs(*(char *const *)in, out);
}

static void value_free_text(void *value)
{
    char **text = value;
    free(*text);
    *text = NULL;
}

const struct value_kind value_kind_word = { value_parse_word, value_print_text, value_free_text };
const struct value_kind value_kind_name = { parse_name, value_print_text, value_free_text };
const struct value_kind value_kind_path = { parse_path, value_print_text, value_free_text };
