#include "config/ini.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* What an indented line would continue. */
enum before {
    BEFORE_NOTHING, /* the begin of the file, or a section */
    BEFORE_ENTRY,
    BEFORE_ERROR, /* a line that was refused: what continues it was refused with it */
};

struct reader {
    const struct ini_handler *handler;
    void *arg;
    const char *at; /* the next line */
    const char *end;
    unsigned line; /* the number of the last one */
    enum before before;
    bool continues; /* the line that inih has now continues the entry */

    /* The entry that is complete when a line comes that does not continue it. */
    unsigned entry_line;
    char key[INI_LINE_MAX + 1];
    char *value;
    size_t value_len;
    size_t value_room;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

static void refuse(struct reader *r, const char *what)
{
    r->before = BEFORE_ERROR;
    r->handler->error(r->arg, r->line, what);
}

/* --- The entry being read --- */

static void entry_end(struct reader *r)
{
    if (r->before == BEFORE_ENTRY)
        r->handler->entry(r->arg, r->entry_line, r->key, r->value);
    r->before = BEFORE_NOTHING;
}

/* Appends to the value, with a space between two lines. */
static bool value_append(struct reader *r, const char *text)
{
    size_t n = strlen(text);
    size_t need = r->value_len + n + 2;
    if (need > r->value_room) {
        size_t room = need * 2;
        char *value = realloc(r->value, room);
        if (value == NULL)
            return false;
        r->value = value;
        r->value_room = room;
    }
    if (r->value_len > 0)
        r->value[r->value_len++] = ' ';
    memcpy(r->value + r->value_len, text, n + 1);
    r->value_len += n;
    return true;
}

/* inih has split a line. Of a continued one it repeats the key, which may be cut. */
static int on_pair(void *arg, const char *section, const char *key, const char *value)
{
    struct reader *r = arg;
    (void)section;
    if (!r->continues) {
        snprintf(r->key, sizeof r->key, "%s", key);
        r->entry_line = r->line;
        r->value_len = 0;
        r->before = BEFORE_ENTRY;
    }
    if (!value_append(r, value))
        refuse(r, "out of memory");
    return 1;
}

/* --- Lines, before inih sees them --- */

/* "[title]"; the title is also read where the rest is wrong, for the sake of the keys after it. */
static void read_section(struct reader *r, const char *text)
{
    char title[INI_LINE_MAX + 1];
    size_t n = strcspn(text + 1, "]");
    const char *after = text + 1 + n;
    if (after[0] != ']' || after[1] != '\0')
        refuse(r, after[0] == ']' ? "text after the bracket, expected \"[section]\" alone"
                                  : "no closing bracket, expected \"[section]\"");
    const char *begin = skip_blanks(text + 1);
    if (begin > after)
        begin = after;
    n = (size_t)(after - begin);
    while (n > 0 && is_blank(begin[n - 1]))
        n--;
    snprintf(title, sizeof title, "%.*s", (int)n, begin);
    r->before = BEFORE_NOTHING;
    r->handler->section(r->arg, r->line, title);
}

/* Whether inih will find "key = value" there. It takes "key: value" as well; we do not. */
static bool is_entry(const char *text)
{
    return *text != '=' && text[strcspn(text, "=:")] == '=';
}

/* A line that stands for itself. Returns whether inih is to split it. */
static bool read_line(struct reader *r, const char *text)
{
    entry_end(r);
    r->continues = false;
    if (*text == '[') {
        read_section(r, text);
        return false;
    }
    if (!is_entry(text)) {
        refuse(r, strchr(text, ':') != NULL && *text != '='
                      ? "no \"=\" behind the key, expected \"key = value\" or \"[section]\""
                      : "expected \"key = value\" or \"[section]\"");
        return false;
    }
    return true;
}

/* A line that begins with white space. Returns whether inih is to have it. */
static bool read_indented(struct reader *r, const char *text)
{
    const char *key = r->before == BEFORE_ENTRY ? r->key : NULL;
    if (r->handler->stands_alone(r->arg, key, text)) {
        entry_end(r);
        refuse(r, "indented, and so it would continue the line before, expected no space in front");
        return read_line(r, text);
    }
    switch (r->before) {
    case BEFORE_ENTRY:
        r->continues = true;
        return true;
    case BEFORE_NOTHING:
        refuse(r, "indented, but no line to continue, expected no space in front");
        return false;
    case BEFORE_ERROR:
        return false;
    }
    return false;
}

/* The length of a line without its comment and the white space behind it. */
static size_t line_length(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((text[i] == '#' || text[i] == ';') && (i == 0 || is_blank(text[i - 1])))
            n = i;
    while (n > 0 && (is_blank(text[n - 1]) || text[n - 1] == '\r'))
        n--;
    return n;
}

/* --- Bytes that do not belong into text --- */

/* The length of the character at text, of which n > 0 bytes are left; 0 where there is none. */
static size_t character(const char *text, size_t n)
{
    const unsigned char c = (unsigned char)*text;
    bool is_control = c == 0x7f || (c < ' ' && c != '\t');
    return is_control ? 0 : utf8_length(text, n);
}

/* Tells the first of them; the line is read all the same, for the sake of what follows. */
static void check_text(const struct reader *r, const char *text, size_t n)
{
    char what[80];
    size_t i = 0;
    size_t length = 0;
    if (n > 0 && text[n - 1] == '\r')
        n--;
    while (i < n && (length = character(text + i, n - i)) > 0)
        i += length;
    if (i == n)
        return;
    const unsigned c = (unsigned char)text[i];
    snprintf(what, sizeof what,
             c < 0x80 ? "control character 0x%02x, expected text"
                      : "byte 0x%02x is not UTF-8, expected text",
             c);
    r->handler->error(r->arg, r->line, what);
}

/* So that no other error shows them. */
static void mask_text(char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        size_t length = character(text + i, n - i);
        if (length == 0)
            text[i] = '?';
        i += length == 0 ? 1 : length;
    }
}

/* Gives inih the next line, or an empty one in place of what it need not see: it counts lines,
 * stops at none, and must keep in step. */
static char *on_read(char *buffer, int size, void *arg)
{
    struct reader *r = arg;
    if (r->at == r->end)
        return NULL;
    const char *text = r->at;
    const char *newline = memchr(text, '\n', (size_t)(r->end - text));
    const char *end = newline != NULL ? newline : r->end;
    size_t n = line_length(text, (size_t)(end - text));
    size_t max = size - 1 < INI_LINE_MAX ? (size_t)size - 1 : INI_LINE_MAX;

    r->at = newline != NULL ? newline + 1 : r->end;
    r->line++;
    buffer[0] = '\0';
    check_text(r, text, (size_t)(end - text));
    if (n > max) {
        char what[80];
        snprintf(what, sizeof what, "longer than %zu bytes, expected the rest on indented lines",
                 max);
        entry_end(r);
        refuse(r, what);
        return buffer;
    }
    memcpy(buffer, text, n);
    buffer[n] = '\0';
    mask_text(buffer);
    const char *begin = skip_blanks(buffer);
    if (*begin == '\0')
        return buffer;
    bool keep = begin > buffer ? read_indented(r, begin) : read_line(r, begin);
    if (!keep)
        buffer[0] = '\0';
    else if (!r->continues) /* one that was indented by mistake is no continued line for inih */
        memmove(buffer, begin, strlen(begin) + 1);
    return buffer;
}

void ini_read(const char *text, size_t size, const struct ini_handler *handler, void *arg)
{
    struct reader r = { .handler = handler, .arg = arg, .at = text, .end = text + size };
    if (ini_parse_stream(on_read, &r, on_pair, &r) != 0) {
        entry_end(&r);
        refuse(&r, "inih does not understand the file");
    }
    entry_end(&r);
    free(r.value);
}
