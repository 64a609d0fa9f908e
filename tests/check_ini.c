/* The syntax must not depend on the version of inih or on how it was built: this test has its own
 * ini_parse_stream(), which imitates each of them. */
#include <ctype.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/ini.h"
#include "suite.h"

/* How inih reads lines. */
struct build {
    size_t room;     /* the initial size of its buffer */
    size_t room_max; /* the size to which it grows for a line that fills it */
    bool discards;   /* since version 57: drops the rest of a line that fills the buffer */
    bool multiline;  /* an indented line continues the previous one */
};

static const struct build builds[] = {
    { 200, 200, false, true },  { 200, 200, true, true },   { 200, 200, true, false },
    { 200, 4096, true, true },  { 200, 4096, false, true }, { 128, 128, true, true },
    { 1000, 1000, true, true },
};
#define BUILDS (sizeof builds / sizeof *builds)

static const struct build *inih;

/* ---- An imitation of inih ---- */

static char *trim(char *text)
{
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

/* Cuts a comment, " ;" and what follows. */
static void cut_comment(char *text)
{
    for (char *c = text + (*text != '\0'); *c != '\0'; c++)
        if (*c == ';' && isspace((unsigned char)c[-1])) {
            *c = '\0';
            return;
        }
    if (*text == ';')
        *text = '\0';
}

static bool parse_line(char *line, ini_handler handler, void *user, char *before)
{
    bool indented = inih->multiline && isspace((unsigned char)*line);
    char *begin = trim(line);
    if (*begin == '\0' || *begin == ';' || *begin == '#')
        return true;
    if (indented && *before != '\0')
        return handler(user, "", before, begin) != 0;
    char *equals = strpbrk(begin, "=:");
    if (equals == NULL)
        return false;
    *equals = '\0';
    char *name = trim(begin);
    snprintf(before, 50, "%s", name);
    if (isspace((unsigned char)equals[1]))
        cut_comment(equals + 1);
    return handler(user, "", name, trim(equals + 1)) != 0;
}

static bool is_full(const char *line, size_t room)
{
    size_t n = strlen(line);
    return n == room - 1 && line[n - 1] != '\n';
}

int ini_parse_stream(ini_reader reader, void *stream, ini_handler handler, void *user)
{
    size_t room = inih->room;
    char line[8192];
    char before[50] = "";
    char rest[16];
    int number = 0;
    int error = 0;
    while (reader(line, (int)room, stream) != NULL) {
        while (is_full(line, room) && room < inih->room_max) {
            size_t n = strlen(line);
            room *= 2;
            if (reader(line + n, (int)(room - n), stream) == NULL)
                break;
        }
        number++;
        while (inih->discards && is_full(line, room) && reader(rest, sizeof rest, stream) != NULL) {
            error = error != 0 ? error : number;
            if (strchr(rest, '\n') != NULL)
                break;
        }
        if (!parse_line(line, handler, user, before) && error == 0)
            error = number;
    }
    return error;
}

/* ---- The handler ---- */

static char seen[65536];

static void append(const char *what, unsigned line, const char *a, const char *b)
{
    size_t n = strlen(seen);
    snprintf(seen + n, sizeof seen - n, "%u %s %s|%s\n", line, what, a, b);
}

static void on_section(void *arg, unsigned line, const char *title)
{
    (void)arg;
    append("section", line, title, "");
}

static void on_entry(void *arg, unsigned line, const char *key, const char *value)
{
    (void)arg;
    append("entry", line, key, value);
}

static void on_error(void *arg, unsigned line, const char *what)
{
    (void)arg;
    append("error", line, what, "");
}

static bool starts_entry(void *arg, const char *key, const char *text)
{
    (void)arg;
    (void)key;
    (void)text;
    return false;
}

static void reads(const char *text, const char *expected)
{
    static const struct ini_handler handler = { on_section, on_entry, on_error, starts_entry };
    seen[0] = '\0';
    ini_read(text, strlen(text), &handler, NULL);
    ck_assert_str_eq(seen, expected);
}

/* Returns a value of n bytes, with text from byte at on. */
static const char *value_of(size_t n, size_t at, const char *text)
{
    static char value[INI_LINE_MAX + 1];
    memset(value, 'x', sizeof value);
    value[n] = '\0';
    if (at + strlen(text) < n)
        memcpy(value + at, text, strlen(text));
    return value;
}

START_TEST(a_line_of_the_maximum_length_is_read)
{
    static const char *const ends[] = { "\n", "", "\r\n", "   # a comment\n" };
    inih = &builds[_i];
    for (size_t n = 100; n <= INI_LINE_MAX; n++)
        for (size_t e = 0; e < sizeof ends / sizeof *ends; e++) {
            char text[1024];
            char expected[1024];
            const char *value = value_of(n - strlen("key = "), 0, "");
            snprintf(text, sizeof text, "[s]\nkey = %s%s", value, ends[e]);
            snprintf(expected, sizeof expected, "1 section s|\n2 entry key|%s\n", value);
            reads(text, expected);
        }
}
END_TEST

START_TEST(bytes_of_a_long_line_are_unchanged)
{
    static const char *const middles[] = { " ",   "   ", "\t \t", ";",     "=",  ":",
                                           "[a]", "#",   " x ",   "a = b", ";;", "= =" };
    inih = &builds[_i];
    for (size_t m = 0; m < sizeof middles / sizeof *middles; m++)
        for (size_t at = 1; at < 190; at++) {
            char text[1024];
            char expected[1024];
            const char *value = value_of(193, at, middles[m]);
            snprintf(text, sizeof text, "key = %s\nmore = 1\n", value);
            snprintf(expected, sizeof expected, "1 entry key|%s\n2 entry more|1\n", value);
            reads(text, expected);
        }
}
END_TEST

START_TEST(a_long_line_is_continued_by_one_space)
{
    char text[1024];
    char expected[1024];
    char value[INI_LINE_MAX + 1];
    inih = &builds[_i];
    snprintf(value, sizeof value, "%s", value_of(193, 50, " b "));
    snprintf(text, sizeof text, "key = %s\n  %s\n\n# comment\n\tc=d ; more\nnext=\n", value, value);
    snprintf(expected, sizeof expected, "1 entry key|%s %s c=d\n6 entry next|\n", value, value);
    reads(text, expected);
}
END_TEST

START_TEST(a_line_too_long_is_refused_and_the_next_one_read)
{
    inih = &builds[_i];
    for (size_t n = INI_LINE_MAX + 1; n < 1000; n += 13) {
        char text[1100];
        int head = snprintf(text, sizeof text, "key = ");
        memset(text + head, 'x', n - (size_t)head);
        snprintf(text + n, sizeof text - n, "\nmore = 1\n");
        reads(text, "1 error longer than 199 bytes, expected the rest on indented lines|\n"
                    "2 entry more|1\n");
    }
}
END_TEST

START_TEST(a_key_has_at_most_63_bytes)
{
    char text[INI_LINE_MAX + 1];
    char expected[2 * INI_LINE_MAX];
    inih = &builds[_i];
    for (size_t n = 1; n < INI_LINE_MAX - 2; n++) {
        memset(text, 'k', n);
        snprintf(text + n, sizeof text - n, "=v\n");
        if (n <= INI_KEY_MAX)
            snprintf(expected, sizeof expected, "1 entry %.*s|v\n", (int)n, text);
        else
            snprintf(expected, sizeof expected,
                     "1 error a key longer than %d bytes, expected "
                     "\"key = value\"|\n",
                     INI_KEY_MAX);
        reads(text, expected);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ini");
    TCase *t = tcase_create("inih of other versions");
    tcase_add_loop_test(t, a_line_of_the_maximum_length_is_read, 0, BUILDS);
    tcase_add_loop_test(t, bytes_of_a_long_line_are_unchanged, 0, BUILDS);
    tcase_add_loop_test(t, a_long_line_is_continued_by_one_space, 0, BUILDS);
    tcase_add_loop_test(t, a_line_too_long_is_refused_and_the_next_one_read, 0, BUILDS);
    tcase_add_loop_test(t, a_key_has_at_most_63_bytes, 0, BUILDS);
    suite_add_tcase(s, t);
    return suite_main(s);
}
