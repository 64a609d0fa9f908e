/* A table that is filled once and written for people or as JSON.
 *
 * A table for people has rounded values. JSON has exact values, and names with units: "age" of
 * 1500 ms is 1.5s in a table and "age_ms": 1500 in JSON. A renamed column keeps its former name as
 * an alias in JSON, since programs read it.
 */
#ifndef ZPROXY_BASE_SHEET_H
#define ZPROXY_BASE_SHEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum sheet_kind {
    SHEET_TEXT,
    SHEET_BOOL, /* "yes" or "no"; true or false in JSON */
    SHEET_COUNT,
    SHEET_BYTES,
    SHEET_RATE,   /* bytes a second; "_per_second" in JSON */
    SHEET_TIME,   /* ms; "_ms" in JSON */
    SHEET_MICROS, /* µs; "_us" in JSON */

    /* In JSON only: a text, a number, ms; and a further name of the column to the left, which has
     * its value. */
    SHEET_JSON_TEXT,
    SHEET_JSON_COUNT,
    SHEET_JSON_TIME,
    SHEET_ALIAS,
};

struct sheet_column {
    const char *name;
    enum sheet_kind kind;
};

struct sheet;

/* columns must outlive the sheet. Returns NULL when out of memory. */
struct sheet *sheet_new(const struct sheet_column *columns, size_t count);
void sheet_free(struct sheet *s);

/* Add the next value, row by row from left to right, none for an alias. Text is copied; NULL is no
 * value. Without memory the sheet cannot be written: the functions below return -ENOMEM. */
void sheet_text(struct sheet *s, const char *text);
void sheet_number(struct sheet *s, uint64_t number);
void sheet_bool(struct sheet *s, bool set);
void sheet_null(struct sheet *s);

size_t sheet_rows(const struct sheet *s);

/* Write the sheet. print_table: headings, then one line per row; print_json: an array with one
 * object per row. The other two are for a sheet with one row: print_record writes one line per
 * column, print_json_record one object. JSON has no line breaks. Return 0 or -ENOMEM. */
int sheet_print_table(const struct sheet *s, FILE *out);
int sheet_print_record(const struct sheet *s, FILE *out);
int sheet_print_json(const struct sheet *s, FILE *out);
int sheet_print_json_record(const struct sheet *s, FILE *out);

#endif
