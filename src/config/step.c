#include "config/step.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "config/bytes.h"
#include "config/config.h"

#define ERE_MAX 1024 /* bytes */

static const char *const words[] = {
    [CONFIG_STEP_SEND] = "send",
    [CONFIG_STEP_EXPECT] = "expect",
    [CONFIG_STEP_EXPECT_NOT] = "expect_not",
    [CONFIG_STEP_EXPECT_REGEX] = "expect_regex",
};
#define KINDS (sizeof words / sizeof *words)

static const struct value bytes_value = { .kind = &value_kind_bytes };

const char *step_word(enum config_step_kind kind)
{
    return words[kind];
}

/* --- Regular expressions --- */

/* Writes a byte so that it stands for itself. Returns how many were written. */
static size_t put_literal(char *out, char byte)
{
    size_t n = 0;
    if (strchr("\\^$.[]|()*+?{}", byte) != NULL)
        out[n++] = '\\';
    out[n++] = byte;
    return n;
}

/* Reads what stands behind a backslash, of which C and regex(7) may both have a meaning; writes it
 * as regcomp(3) takes it. Returns false where that is neither. */
static bool put_escape(const char **text, char *out, size_t *n)
{
    static const char letters[] = "r\rn\nt\tf\fv\v"; /* in pairs: the letter, the byte */
    const char *at = *text;
    for (size_t i = 0; i + 1 < sizeof letters; i += 2)
        if (*at == letters[i]) {
            out[(*n)++] = letters[i + 1];
            ++*text;
            return true;
        }
    if (*at == 'x') {
        const char digits[] = { at[1], at[1] == '\0' ? '\0' : at[2], '\0' };
        char byte = (char)strtol(digits, NULL, 16);
        if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]) || byte == 0)
            return false;
        *n += put_literal(out + *n, byte);
        *text += 3;
        return true;
    }
    if (*at == '\0' || isdigit((unsigned char)*at))
        return false;
    out[(*n)++] = '\\';
    out[(*n)++] = *at;
    ++*text;
    return true;
}

/* Returns the expression for regcomp(3), to be freed; or NULL, *error filled in. */
static char *translate(const char *text, int *rc, struct value_error *error)
{
    char *out = malloc(2 * strlen(text) + 1);
    size_t n = 0;
    const char *at = text;
    if (out == NULL) {
        *rc = value_no_memory(error);
        return NULL;
    }
    while (*at != '\0') {
        const char *begin = at;
        if (*at != '\\') {
            out[n++] = *at++;
            continue;
        }
        at++;
        if (!put_escape(&at, out, &n)) {
            *rc =
                value_invalid(error, begin,
                              "bad backslash, expected \\r \\n \\t, \\xHH with two hexadecimal "
                              "digits that are not 00, or one of regex(7) without back references");
            free(out);
            return NULL;
        }
    }
    out[n] = '\0';
    return out;
}

static int compile(struct config_step *s, const char *text, struct value_error *error)
{
    char why[160];
    int rc = 0;
    if (*text == '\0')
        return value_invalid(error, text,
                             "empty, expected an extended regular expression, as in "
                             "^role:(master|slave)");
    if (strlen(text) > ERE_MAX)
        return value_invalid(error, text, "too long, expected at most %d bytes", ERE_MAX);
    char *translated = translate(text, &rc, error);
    if (translated == NULL)
        return rc;
    s->regex = calloc(1, sizeof *s->regex);
    if (s->regex == NULL) {
        free(translated);
        return value_no_memory(error);
    }
    int failed = regcomp(s->regex, translated, REG_EXTENDED | REG_NOSUB | REG_NEWLINE);
    free(translated);
    if (failed == 0)
        return 0;
    regerror(failed, s->regex, why, sizeof why);
    free(s->regex);
    s->regex = NULL;
    return failed == REG_ESPACE ? value_no_memory(error)
                                : value_invalid(error, text,
                                                "%s, expected an extended regular expression, "
                                                "regex(7)",
                                                why);
}

/* --- Steps --- */

static void free_step(void *value)
{
    struct config_step *s = value;
    if (s->regex != NULL)
        regfree(s->regex);
    free(s->regex);
    s->regex = NULL;
    value_free(&bytes_value, &s->bytes);
}

static int parse_operand(struct config_step *s, const char *text, struct value_error *error)
{
    int rc = 0;
    if (s->kind != CONFIG_STEP_EXPECT_REGEX)
        return value_parse(&bytes_value, &s->bytes, text, error);
    if ((rc = compile(s, text, error)) == 0 &&
        (rc = value_strdup(&s->bytes.data, text, error)) == 0)
        s->bytes.len = strlen(text);
    return rc;
}

static int parse_step(const struct value *v, void *out, const char *text, struct value_error *error)
{
    struct config_step s = { .regex = NULL };
    size_t n = strcspn(text, " \t");
    size_t kind = 0;
    (void)v;
    while (kind < KINDS && (strlen(words[kind]) != n || strncmp(text, words[kind], n) != 0))
        kind++;
    if (kind == KINDS)
        return value_invalid(error, text,
                             "unknown step, expected send BYTES, expect BYTES, expect_not BYTES or "
                             "expect_regex ERE");
    s.kind = (enum config_step_kind)kind;
    int rc = parse_operand(&s, text + n + strspn(text + n, " \t"), error);
    if (rc == 0)
        *(struct config_step *)out = s;
    else
        free_step(&s);
    return rc;
}

static void print_step(const struct value *v, const void *in, FILE *out)
{
    const struct config_step *s = in;
    (void)v;
    fprintf(out, "%s ", words[s->kind]);
    if (s->regex != NULL)
        fwrite(s->bytes.data, 1, s->bytes.len, out);
    else
        value_print(&bytes_value, &s->bytes, out);
}

const struct value_kind value_kind_step = { parse_step, print_step, free_step };
