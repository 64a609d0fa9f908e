/* Writes JSON (RFC 8259) piece by piece. The writer adds the commas; bytes that are not UTF-8
 * become U+FFFD. No function has a name of jansson's, which zproxyctl links as well. */
#ifndef ZPROXY_BASE_JSON_H
#define ZPROXY_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json_writer {
    FILE *out;
    bool comma; /* before the next value */
};

/* name: NULL in an array and for the outermost value. The caller ends objects and arrays in reverse
 * order. */
void json_begin_object(struct json_writer *w, const char *name);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w, const char *name);
void json_end_array(struct json_writer *w);

void json_add_string(struct json_writer *w, const char *name, const char *text); /* NULL: null */
void json_add_uint(struct json_writer *w, const char *name, uint64_t number);
/* limit: 0 (no limit) becomes null. */
void json_add_limit(struct json_writer *w, const char *name, uint64_t limit);
void json_add_double(struct json_writer *w, const char *name, double number); /* as %.6g */
void json_add_bool(struct json_writer *w, const char *name, bool flag);

#endif
