/* A command that is being executed: its arguments and the answer written so far. For the control
 * thread. */
#ifndef ZPROXY_COMMAND_REQUEST_H
#define ZPROXY_COMMAND_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/sheet.h"
#include "control/admin.h"
#include "control/runtime.h"

#define REQUEST_WORDS_MAX 64

/* What a failure is, for programs: "code" in JSON. */
enum request_error {
    REQUEST_REFUSED,   /* the present state does not allow it */
    REQUEST_USAGE,     /* the command or one of its values is wrong */
    REQUEST_NOT_FOUND, /* there is no such pool, server, listener or session */
    REQUEST_INVALID,   /* the configuration file has errors */
    REQUEST_MEMORY,
};

/* What the command has done; UNKNOWN: it has not said. */
enum request_change {
    REQUEST_CHANGE_UNKNOWN,
    REQUEST_UNCHANGED,
    REQUEST_CHANGED,
};

struct request {
    struct runtime *rt;
    char *word[REQUEST_WORDS_MAX]; /* the command's arguments; NULL after the last one */
    size_t count;

    struct admin_call *call;
    char *line; /* the memory of the words */
    bool json;
    bool failed;
    enum request_error error; /* if it failed */
    bool changes;             /* the command can change something */
    enum request_change change;
    bool is_sheet;
    FILE *out;
    char *text;
    size_t size;
};

enum request_result {
    REQUEST_DONE,  /* the answer is complete */
    REQUEST_LATER, /* the command will call request_finish() */
};

/* Splits line into words; a first word "json" selects JSON. Returns NULL when out of memory. */
struct request *request_new(struct runtime *rt, struct admin_call *call, const char *line);

/* Add lines to the answer; text may have several. In JSON they are an array "lines". */
void request_print(struct request *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void request_print_lines(struct request *r, const char *text);

/* Every command with COMMAND_CHANGES calls this, once for each thing that it may change. The answer
 * in JSON has "changed": whether any of these calls had true. For a command with COMMAND_READS, as
 * preview, the name is "would_change". */
void request_changed(struct request *r, bool changed);

/* Fail the command: the answer is "error: ..." for each line, in JSON an array "errors". What was
 * added to the answer before is dropped. request_fail() is a REQUEST_REFUSED. Return REQUEST_DONE.
 */
enum request_result request_fail(struct request *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
enum request_result request_fail_as(struct request *r, enum request_error error, const char *fmt,
                                    ...) __attribute__((format(printf, 3, 4)));
enum request_result request_fail_lines(struct request *r, enum request_error error,
                                       const char *text);
enum request_result request_fail_memory(struct request *r);

/* Make the sheet the whole answer, as a table, or its only row as a record. They free the sheet;
 * NULL means out of memory. Return REQUEST_DONE. */
enum request_result request_table(struct request *r, struct sheet *s);
enum request_result request_record(struct request *r, struct sheet *s);

/* Sends the answer and frees the request. */
void request_finish(struct request *r);

#endif
