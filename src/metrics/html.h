/* Pieces of HTML: escaped text, figures for people, cells of a table. From any thread. */
#ifndef ZPROXY_METRICS_HTML_H
#define ZPROXY_METRICS_HTML_H

#include <stdint.h>
#include <stdio.h>

/* Escapes & < > " and '; bytes that are not UTF-8 become U+FFFD. */
void html_text(FILE *out, const char *text);

void html_count(FILE *out, uint64_t n);                    /* 1,234,567 */
void html_count_of(FILE *out, uint64_t n, uint64_t limit); /* "n of limit"; limit 0: n alone */
void html_bytes(FILE *out, uint64_t n);                    /* 812 B, 1.5 KiB */
void html_time(FILE *out, uint64_t ms);                    /* as human_time() */

/* A cell of a row, with the class of style.css. What is written between begin and end is its
 * content. */
void html_begin_cell(FILE *out, const char *class);
void html_end_cell(FILE *out);

/* Cells with a text and a smaller one under it (NULL or "": none), and with figures. */
void html_cell_text(FILE *out, const char *class, const char *s, const char *under);
void html_cell_count(FILE *out, const char *class, uint64_t n);
void html_cell_bytes(FILE *out, const char *class, uint64_t n);
void html_cell_time(FILE *out, const char *class, uint64_t ms);

/* The only row of an empty table: `what` says that it has no entries. */
void html_empty_row(FILE *out, const char *what);

#endif
