/* An answer in rows and columns: filled in once, read by people as a table and by programs as JSON.
 *
 * Columns are named once. For people values are rounded; in JSON they are exact, and the name tells
 * the unit: "age" of 1500 ms is 1.5s in a table and "age_ms": 1500 in JSON. A column that is
 * renamed keeps its former name as an alias, since programs read it.
 */
#ifndef ZPROXY_BASE_SHEET_H
#define ZPROXY_BASE_SHEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum sheet_kind {
    SHEET_TEXT,
    SHEET_BOOL, /* "yes" or "no", true or false */
    SHEET_COUNT,
    SHEET_BYTES,
    SHEET_RATE,   /* bytes a second; "_per_second" in JSON */
    SHEET_TIME,   /* ms; "_ms" */
    SHEET_MICROS, /* µs; "_us" */

    /* In JSON only: text; and a further name for the column to the left, which takes no value. */
    SHEET_JSON_TEXT,
    SHEET_ALIAS,
};

struct sheet_column {
    const char *name;
    enum sheet_kind kind;
};

struct sheet;

/* The columns outlive the sheet. NULL when out of memory. */
struct sheet *sheet_new(const struct sheet_column *columns, size_t count);
void sheet_free(struct sheet *s);

/* The next value, from left to right, then on in the next row. Text is copied; NULL is none. A
 * lack of memory shows when the sheet is written. */
void sheet_text(struct sheet *s, const char *text);
void sheet_number(struct sheet *s, uint64_t number);
void sheet_bool(struct sheet *s, bool set);
void sheet_null(struct sheet *s);

size_t sheet_rows(const struct sheet *s);

/* Write it as a table with headings and a row to a line; its one row with a name and value to a
 * line; as an array of objects; its one row as an object. Return 0, or -ENOMEM when something could
 * not be kept. JSON has no line break. */
int sheet_print_table(const struct sheet *s, FILE *out);
int sheet_print_record(const struct sheet *s, FILE *out);
int sheet_print_json(const struct sheet *s, FILE *out);
int sheet_print_json_record(const struct sheet *s, FILE *out);

#endif
