#include "base/sheet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/json.h"

#define NONE UINT64_MAX

/* A cell of text holds the offset of the text in `text`. */
struct sheet {
    const struct sheet_column *column;
    size_t columns;
    uint64_t *cell;
    size_t cells;
    size_t cell_room;
    char *text;
    size_t text_size;
    size_t text_room;
    bool out_of_memory;
};

struct sheet *sheet_new(const struct sheet_column *columns, size_t count)
{
    struct sheet *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->column = columns;
    s->columns = count;
    return s;
}

void sheet_free(struct sheet *s)
{
    if (s == NULL)
        return;
    free(s->cell);
    free(s->text);
    free(s);
}

/* Makes room for `more` items after `used`. */
static bool sheet_grow(void **items, size_t *room, size_t used, size_t more, size_t size)
{
    if (used + more <= *room)
        return true;
    size_t wanted = 2 * (used + more) + 64;
    void *bigger = realloc(*items, wanted * size);
    if (bigger == NULL)
        return false;
    *items = bigger;
    *room = wanted;
    return true;
}

static void add_one_cell(struct sheet *s, uint64_t value)
{
    void *cells = s->cell;
    if (s->out_of_memory || !sheet_grow(&cells, &s->cell_room, s->cells, 1, sizeof *s->cell)) {
        s->out_of_memory = true;
        return;
    }
    s->cell = cells;
    s->cell[s->cells++] = value;
}

/* Also fills the aliases of the column. */
static void add_cell(struct sheet *s, uint64_t value)
{
    do {
        add_one_cell(s, value);
    } while (!s->out_of_memory && s->column[s->cells % s->columns].kind == SHEET_ALIAS);
}

void sheet_null(struct sheet *s)
{
    add_cell(s, NONE);
}

void sheet_number(struct sheet *s, uint64_t number)
{
    add_cell(s, number == NONE ? NONE - 1 : number);
}

void sheet_bool(struct sheet *s, bool set)
{
    add_cell(s, set);
}

void sheet_text(struct sheet *s, const char *text)
{
    if (text == NULL) {
        sheet_null(s);
        return;
    }
    size_t size = strlen(text) + 1;
    void *all = s->text;
    if (!sheet_grow(&all, &s->text_room, s->text_size, size, 1)) {
        s->out_of_memory = true;
        return;
    }
    s->text = all;
    memcpy(s->text + s->text_size, text, size);
    add_cell(s, s->text_size);
    s->text_size += size;
}

size_t sheet_rows(const struct sheet *s)
{
    return s->cells / s->columns;
}

static uint64_t value_at(const struct sheet *s, size_t row, size_t column)
{
    return s->cell[row * s->columns + column];
}

static enum sheet_kind sheet_kind_of(const struct sheet *s, size_t column)
{
    while (s->column[column].kind == SHEET_ALIAS)
        column--;
    return s->column[column].kind;
}

/* ---- for people ---- */

/* This column or the next one that tables show; s->columns: there is none. */
static size_t next_shown_column(const struct sheet *s, size_t column)
{
    while (column < s->columns && s->column[column].kind >= SHEET_JSON_TEXT)
        column++;
    return column;
}

/* Returns the text of a cell; numbers are written to buf. */
static const char *format_cell(const struct sheet *s, size_t row, size_t column,
                               char buf[HUMAN_MAX])
{
    uint64_t value = value_at(s, row, column);
    if (value == NONE)
        return "-";
    switch (s->column[column].kind) {
    case SHEET_TEXT:
        return s->text[value] == '\0' ? "-" : s->text + value;
    case SHEET_BOOL:
        return value != 0 ? "yes" : "no";
    case SHEET_COUNT:
        snprintf(buf, HUMAN_MAX, "%" PRIu64, value);
        return buf;
    case SHEET_BYTES:
        return human_bytes(value, buf);
    case SHEET_RATE:
        return human_rate(value, buf);
    case SHEET_TIME:
        return human_time(value, buf);
    case SHEET_MICROS:
        return human_micros(value, buf);
    case SHEET_JSON_TEXT:
    case SHEET_JSON_COUNT:
    case SHEET_JSON_TIME:
    case SHEET_ALIAS:
        break;
    }
    return "";
}

static size_t width_of(const struct sheet *s, size_t column)
{
    char buf[HUMAN_MAX];
    size_t width = strlen(s->column[column].name);
    for (size_t row = 0; row < sheet_rows(s); row++) {
        size_t len = strlen(format_cell(s, row, column, buf));
        if (len > width)
            width = len;
    }
    return width;
}

/* Words are aligned left, numbers right; no spaces end a line. */
static void print_cell(const struct sheet *s, size_t column, size_t width, const char *text,
                       FILE *out)
{
    bool last = next_shown_column(s, column + 1) == s->columns;
    if (s->column[column].kind > SHEET_BOOL)
        fprintf(out, "%*s%s", (int)width, text, last ? "" : "  ");
    else if (last)
        fputs(text, out);
    else
        fprintf(out, "%-*s  ", (int)width, text);
}

static void print_rows(const struct sheet *s, const size_t *width, FILE *out)
{
    char buf[HUMAN_MAX];
    for (size_t c = next_shown_column(s, 0); c < s->columns; c = next_shown_column(s, c + 1))
        print_cell(s, c, width[c], s->column[c].name, out);
    fputc('\n', out);
    for (size_t row = 0; row < sheet_rows(s); row++) {
        for (size_t c = next_shown_column(s, 0); c < s->columns; c = next_shown_column(s, c + 1))
            print_cell(s, c, width[c], format_cell(s, row, c, buf), out);
        fputc('\n', out);
    }
}

int sheet_print_table(const struct sheet *s, FILE *out)
{
    size_t *width = s->out_of_memory ? NULL : calloc(s->columns, sizeof *width);
    if (width == NULL)
        return -ENOMEM;
    for (size_t c = next_shown_column(s, 0); c < s->columns; c = next_shown_column(s, c + 1))
        width[c] = width_of(s, c);
    print_rows(s, width, out);
    free(width);
    return 0;
}

int sheet_print_record(const struct sheet *s, FILE *out)
{
    char buf[HUMAN_MAX];
    size_t width = 0;
    if (s->out_of_memory || sheet_rows(s) != 1)
        return -ENOMEM;
    for (size_t c = next_shown_column(s, 0); c < s->columns; c = next_shown_column(s, c + 1))
        width = strlen(s->column[c].name) > width ? strlen(s->column[c].name) : width;
    for (size_t c = next_shown_column(s, 0); c < s->columns; c = next_shown_column(s, c + 1))
        fprintf(out, "%-*s  %s\n", (int)width, s->column[c].name, format_cell(s, 0, c, buf));
    return 0;
}

/* ---- for programs ---- */

static const char *unit_of(enum sheet_kind kind)
{
    switch (kind) {
    case SHEET_TEXT:
    case SHEET_BOOL:
    case SHEET_COUNT:
    case SHEET_BYTES:
    case SHEET_JSON_TEXT:
    case SHEET_JSON_COUNT:
    case SHEET_ALIAS:
        return "";
    case SHEET_RATE:
        return "_per_second";
    case SHEET_TIME:
    case SHEET_JSON_TIME:
        return "_ms";
    case SHEET_MICROS:
        return "_us";
    }
    return "";
}

static void put_cell(const struct sheet *s, size_t row, size_t column, struct json_writer *w)
{
    char name[64];
    uint64_t value = value_at(s, row, column);
    enum sheet_kind kind = sheet_kind_of(s, column);
    snprintf(name, sizeof name, "%s%s", s->column[column].name, unit_of(kind));
    if (value == NONE)
        json_add_string(w, name, NULL);
    else if (kind == SHEET_TEXT || kind == SHEET_JSON_TEXT)
        json_add_string(w, name, s->text + value);
    else if (kind == SHEET_BOOL)
        json_add_bool(w, name, value != 0);
    else
        json_add_uint(w, name, value);
}

static void put_row(const struct sheet *s, size_t row, struct json_writer *w)
{
    json_begin_object(w, NULL);
    for (size_t c = 0; c < s->columns; c++)
        put_cell(s, row, c, w);
    json_end_object(w);
}

int sheet_print_json(const struct sheet *s, FILE *out)
{
    struct json_writer w = { .out = out };
    if (s->out_of_memory)
        return -ENOMEM;
    json_begin_array(&w, NULL);
    for (size_t row = 0; row < sheet_rows(s); row++)
        put_row(s, row, &w);
    json_end_array(&w);
    return 0;
}

int sheet_print_json_record(const struct sheet *s, FILE *out)
{
    struct json_writer w = { .out = out };
    if (s->out_of_memory || sheet_rows(s) != 1)
        return -ENOMEM;
    put_row(s, 0, &w);
    return 0;
}
