#include "config/ini.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

__attribute__((format(printf, 4, 5))) static int ini_file_fail(struct ini_file_error *error, int rc,
                                                               unsigned line, const char *text, ...)
{
    va_list args;
    error->line = line;
    va_start(args, text);
    vsnprintf(error->text, sizeof error->text, text, args);
    va_end(args);
    return rc;
}

static int fail_errno(struct ini_file_error *error)
{
    int rc = -errno;
    if (rc == -EACCES)
        return ini_file_fail(error, rc, 0, "cannot be read: %s for user ID %lu", strerror(-rc),
                             (unsigned long)geteuid());
    return ini_file_fail(error, rc, 0, "cannot be read: %s", strerror(-rc));
}

static int fail_size(struct ini_file_error *error)
{
    return ini_file_fail(error, -EFBIG, 0, "too large, expected at most %d MiB",
                         INI_FILE_SIZE_MAX >> 20);
}

/* --- Files --- */

/* Opens path, if it is a regular file. Without O_NONBLOCK opening a FIFO would wait for a writer.
 */
static int ini_file_open(struct ini_file *s, const char *path, struct ini_file_error *error)
{
    struct stat st;
    int rc = 0;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd == -1)
        return fail_errno(error);
    if (fstat(fd, &st) == -1)
        rc = fail_errno(error);
    else if (S_ISDIR(st.st_mode))
        rc = ini_file_fail(error, -EISDIR, 0, "a directory, expected a file");
    else if (!S_ISREG(st.st_mode))
        rc = ini_file_fail(error, -EINVAL, 0, "not a regular file");
    else if (st.st_size > INI_FILE_SIZE_MAX)
        rc = fail_size(error);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    s->size = (size_t)st.st_size;
    return fd;
}

/* Reads to the end of the file. It may have grown since s->size was set. */
static int ini_file_read_all(struct ini_file *s, int fd, struct ini_file_error *error)
{
    size_t room = s->size + 1; /* one byte more than expected, to reach the end of the file */
    s->size = 0;
    s->text = NULL;
    for (;;) {
        char *text = realloc(s->text, room + 1);
        if (text == NULL)
            return ini_file_fail(error, -ENOMEM, 0, "out of memory");
        s->text = text;
        while (s->size < room) {
            ssize_t n = read(fd, s->text + s->size, room - s->size);
            if (n == -1 && errno == EINTR)
                continue;
            if (n == -1)
                return fail_errno(error);
            if (n == 0) {
                s->text[s->size] = '\0';
                return 0;
            }
            s->size += (size_t)n;
        }
        if (s->size > INI_FILE_SIZE_MAX)
            return fail_size(error);
        room *= 2;
    }
}

static void drop_byte_order_mark(struct ini_file *s)
{
    const size_t n = strlen(BYTE_ORDER_MARK);
    if (s->size < n || memcmp(s->text, BYTE_ORDER_MARK, n) != 0)
        return;
    s->size -= n;
    memmove(s->text, s->text + n, s->size + 1);
}

/* Refuses NUL bytes. ini_read() reports other bytes that are no text, line by line. */
static int ini_file_check_text(const struct ini_file *s, struct ini_file_error *error)
{
    unsigned line = 1;
    for (size_t i = 0; i < s->size; i++) {
        if (s->text[i] == '\0')
            return ini_file_fail(error, -EINVAL, line, "a NUL byte, expected text");
        line += s->text[i] == '\n';
    }
    return 0;
}

int ini_file_read(struct ini_file *s, const char *path, struct ini_file_error *error)
{
    int rc = ini_file_open(s, path, error);
    if (rc < 0)
        return rc;
    int fd = rc;
    rc = ini_file_read_all(s, fd, error);
    close(fd);
    if (rc == 0) {
        drop_byte_order_mark(s);
        rc = ini_file_check_text(s, error);
    }
    if (rc < 0)
        ini_file_free(s);
    return rc;
}

void ini_file_free(struct ini_file *s)
{
    free(s->text);
    s->text = NULL;
}

#define READ_MIN (INI_KEY_MAX + 32) /* the least buffer of inih that a key and a piece fit into */

/* --- Lines --- */

/* What an indented line would continue. */
enum continuation {
    CONTINUES_NOTHING, /* at the start of the file, or after a section */
    CONTINUES_ENTRY,
    CONTINUES_ERROR, /* after a line with an error: its continuation is skipped */
};

struct reader {
    const struct ini_handler *handler;
    void *arg;
    const char *at; /* the next line */
    const char *end;
    unsigned line; /* the number of the last line read */
    enum continuation continuation;

    /* This line's part of an entry, which inih gets in pieces. */
    char text[INI_LINE_MAX + 1];
    const char *rest;      /* what inih has not got yet; NULL: nothing is left of the line */
    const char *piece_end; /* the end of the previous piece, or NULL */
    const char *separator; /* the white space between the previous piece and the one inih has */
    size_t separator_len;

    /* The entry so far. It is complete when a line does not continue it. */
    unsigned entry_line;
    char key[INI_KEY_MAX + 1];
    char *value;
    size_t value_len;
    size_t value_room;
};

static bool ini_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

static void ini_error(struct reader *r, const char *what)
{
    r->continuation = CONTINUES_ERROR;
    r->handler->error(r->arg, r->line, what);
}

/* --- The entry being read --- */

static void entry_end(struct reader *r)
{
    if (r->continuation == CONTINUES_ENTRY)
        r->handler->entry(r->arg, r->entry_line, r->key, r->value);
    r->continuation = CONTINUES_NOTHING;
}

/* Appends the separator and the text to the value. */
static bool value_append(struct reader *r, const char *text)
{
    size_t n = strlen(text);
    size_t need = r->value_len + r->separator_len + n + 1;
    if (need > r->value_room) {
        size_t room = need * 2;
        char *value = realloc(r->value, room);
        if (value == NULL)
            return false;
        r->value = value;
        r->value_room = room;
    }
    if (r->separator_len > 0)
        memcpy(r->value + r->value_len, r->separator, r->separator_len);
    r->value_len += r->separator_len;
    memcpy(r->value + r->value_len, text, n + 1);
    r->value_len += n;
    return true;
}

/* Called by inih with a piece that it has split. inih may have cut the key: r->key is complete. */
static int on_pair(void *arg, const char *section, const char *key, const char *value)
{
    struct reader *r = arg;
    (void)section;
    (void)key;
    if (!value_append(r, value))
        ini_error(r, "out of memory");
    return 1;
}

/* --- Lines, before inih gets them --- */

/* Reads "[title]". The section begins even if the line has an error, so that its keys are checked.
 */
static void read_section(struct reader *r, const char *text)
{
    char title[INI_LINE_MAX + 1];
    size_t n = strcspn(text + 1, "]");
    const char *after = text + 1 + n;
    if (after[0] != ']' || after[1] != '\0')
        ini_error(r, after[0] == ']' ? "text after the bracket, expected \"[section]\" alone"
                                     : "no closing bracket, expected \"[section]\"");
    const char *begin = skip_blanks(text + 1);
    if (begin > after)
        begin = after;
    n = (size_t)(after - begin);
    while (n > 0 && ini_is_blank(begin[n - 1]))
        n--;
    snprintf(title, sizeof title, "%.*s", (int)n, begin);
    r->continuation = CONTINUES_NOTHING;
    r->handler->section(r->arg, r->line, title);
}

/* Whether text is "key = value". inih would accept "key: value", too. */
static bool is_entry(const char *text)
{
    return *text != '=' && text[strcspn(text, "=:")] == '=';
}

/* Reads the key of "key = value"; the value is left for inih. */
static void read_entry(struct reader *r, const char *text)
{
    const char *equals = strchr(text, '=');
    size_t n = (size_t)(equals - text);
    while (n > 0 && ini_is_blank(text[n - 1]))
        n--;
    if (n > INI_KEY_MAX) {
        char what[80];
        snprintf(what, sizeof what, "a key longer than %d bytes, expected \"key = value\"",
                 INI_KEY_MAX);
        ini_error(r, what);
        return;
    }
    memcpy(r->key, text, n);
    r->key[n] = '\0';
    r->entry_line = r->line;
    r->value_len = 0;
    r->separator_len = 0;
    r->rest = skip_blanks(equals + 1);
    r->continuation = CONTINUES_ENTRY;
}

/* Reads a line that is not indented. */
static void ini_read_line(struct reader *r, const char *text)
{
    entry_end(r);
    if (*text == '[')
        read_section(r, text);
    else if (is_entry(text))
        read_entry(r, text);
    else
        ini_error(r, strchr(text, ':') != NULL && *text != '='
                         ? "no \"=\" after the key, expected \"key = value\" or \"[section]\""
                         : "expected \"key = value\" or \"[section]\"");
}

/* Reads an indented line. */
static void read_indented(struct reader *r, const char *text)
{
    const char *key = r->continuation == CONTINUES_ENTRY ? r->key : NULL;
    if (r->handler->starts_entry(r->arg, key, text)) {
        entry_end(r);
        ini_error(r,
                  "indented, so it would continue the previous line, expected no space before it");
        ini_read_line(r, text);
        return;
    }
    switch (r->continuation) {
    case CONTINUES_ENTRY:
        r->separator = " ";
        r->separator_len = r->value_len > 0 ? 1 : 0;
        r->rest = text;
        break;
    case CONTINUES_NOTHING:
        ini_error(r, "indented, but no line to continue, expected no space before it");
        break;
    case CONTINUES_ERROR:
        break;
    }
}

/* The length of a line without its comment and trailing white space. */
static size_t ini_line_length(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((text[i] == '#' || text[i] == ';') && (i == 0 || ini_is_blank(text[i - 1])))
            n = i;
    while (n > 0 && (ini_is_blank(text[n - 1]) || text[n - 1] == '\r'))
        n--;
    return n;
}

/* --- Bytes that are no text --- */

/* The length of the character at text, of at most n > 0 bytes; 0: no valid character. */
static size_t character_length(const char *text, size_t n)
{
    const unsigned char c = (unsigned char)*text;
    bool is_control = c == 0x7f || (c < ' ' && c != '\t');
    return is_control ? 0 : utf8_length(text, n);
}

/* Reports the first one. The line is read nevertheless, to find other errors. */
static void ini_check_text(const struct reader *r, const char *text, size_t n)
{
    char what[80];
    size_t i = 0;
    size_t length = 0;
    if (n > 0 && text[n - 1] == '\r')
        n--;
    while (i < n && (length = character_length(text + i, n - i)) > 0)
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

/* Replaces them, so that no error message contains them. */
static void mask_text(char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        size_t length = character_length(text + i, n - i);
        if (length == 0)
            text[i] = '?';
        i += length == 0 ? 1 : length;
    }
}

/* Reads the next line, and sets r->rest if it has a part for inih. */
static void ini_next_line(struct reader *r)
{
    const char *text = r->at;
    const char *newline = memchr(text, '\n', (size_t)(r->end - text));
    const char *end = newline != NULL ? newline : r->end;
    size_t n = ini_line_length(text, (size_t)(end - text));

    r->at = newline != NULL ? newline + 1 : r->end;
    r->line++;
    r->piece_end = NULL;
    ini_check_text(r, text, (size_t)(end - text));
    if (n > INI_LINE_MAX) {
        char what[80];
        snprintf(what, sizeof what, "longer than %d bytes, expected the rest on indented lines",
                 INI_LINE_MAX);
        entry_end(r);
        ini_error(r, what);
        return;
    }
    memcpy(r->text, text, n);
    r->text[n] = '\0';
    mask_text(r->text);
    const char *begin = skip_blanks(r->text);
    if (*begin == '\0')
        return;
    if (begin > r->text)
        read_indented(r, begin);
    else
        ini_read_line(r, begin);
}

/* --- Pieces --- */

/* Cuts a piece of at most max bytes from r->rest and writes it to out as a line. White space at the
 * end of a piece would be dropped by inih: it becomes the separator to the next piece. */
static void cut_piece(struct reader *r, char *out, size_t max)
{
    const char *piece = r->rest;
    size_t n = strlen(piece);
    if (r->piece_end != NULL) {
        r->separator = r->piece_end;
        r->separator_len = (size_t)(piece - r->piece_end);
    }
    r->rest = n > max ? skip_blanks(piece + max) : NULL;
    if (n > max)
        n = max;
    while (n > 0 && ini_is_blank(piece[n - 1]))
        n--;
    r->piece_end = piece + n;
    memcpy(out, piece, n);
    out[n] = '\n';
    out[n + 1] = '\0';
}

/* Called by inih for its next line: gives it "key=PIECE". The line never fills the buffer of inih:
 * what inih does then depends on its version (59 drops what it reads next) and on how it was built.
 * No space follows "=": after one, inih would read ";" as the start of a comment. */
static char *on_ini_read(char *buffer, int size, void *arg)
{
    struct reader *r = arg;
    while (r->rest == NULL && r->at < r->end)
        ini_next_line(r);
    if (r->rest == NULL)
        return NULL;
    if (size < READ_MIN) {
        ini_error(r, "inih was built for shorter lines");
        r->at = r->end;
        return NULL;
    }
    size_t used = (size_t)snprintf(buffer, (size_t)size, "%s=", r->key);
    cut_piece(r, buffer + used, (size_t)size - used - sizeof "\n" - 1);
    return buffer;
}

void ini_read(const char *text, size_t size, const struct ini_handler *handler, void *arg)
{
    struct reader r = { .handler = handler, .arg = arg, .at = text, .end = text + size };
    if (ini_parse_stream(on_ini_read, &r, on_pair, &r) != 0) {
        entry_end(&r);
        ini_error(&r, "inih does not understand the file");
    }
    entry_end(&r);
    free(r.value);
}
