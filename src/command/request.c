#include "command/request.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static void request_split(struct request *r)
{
    char *rest = NULL;
    r->json = admin_wants_json(r->line, strlen(r->line));
    char *word = strtok_r(r->line, " \t", &rest);
    if (r->json)
        word = strtok_r(NULL, " \t", &rest);
    for (; word != NULL && r->count < REQUEST_WORDS_MAX - 1; word = strtok_r(NULL, " \t", &rest))
        r->word[r->count++] = word;
}

struct request *request_new(struct runtime *rt, struct admin_call *call, const char *line)
{
    struct request *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->rt = rt;
    r->call = call;
    r->line = strdup(line);
    r->out = open_memstream(&r->text, &r->size);
    if (r->line == NULL || r->out == NULL) {
        if (r->out != NULL)
            fclose(r->out);
        free(r->text);
        free(r->line);
        free(r);
        return NULL;
    }
    request_split(r);
    return r;
}

void request_print(struct request *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfprintf(r->out, fmt, args);
    va_end(args);
    fputc('\n', r->out);
}

void request_print_lines(struct request *r, const char *text)
{
    fputs(text, r->out);
}

void request_changed(struct request *r, bool changed)
{
    if (r->change != REQUEST_CHANGED)
        r->change = changed ? REQUEST_CHANGED : REQUEST_UNCHANGED;
}

static void begin_failure(struct request *r, enum request_error error)
{
    r->failed = true;
    r->error = error;
    r->is_sheet = false;
    (void)fseek(r->out, 0, SEEK_SET);
}

enum request_result request_fail(struct request *r, const char *fmt, ...)
{
    va_list args;
    begin_failure(r, REQUEST_REFUSED);
    va_start(args, fmt);
    vfprintf(r->out, fmt, args);
    va_end(args);
    fputc('\n', r->out);
    return REQUEST_DONE;
}

enum request_result request_fail_as(struct request *r, enum request_error error, const char *fmt,
                                    ...)
{
    va_list args;
    begin_failure(r, error);
    va_start(args, fmt);
    vfprintf(r->out, fmt, args);
    va_end(args);
    fputc('\n', r->out);
    return REQUEST_DONE;
}

enum request_result request_fail_lines(struct request *r, enum request_error error,
                                       const char *text)
{
    begin_failure(r, error);
    fputs(text, r->out);
    return REQUEST_DONE;
}

enum request_result request_fail_memory(struct request *r)
{
    return request_fail_as(r, REQUEST_MEMORY, "out of memory");
}

static enum request_result put_sheet(struct request *r, struct sheet *s,
                                     int (*print)(const struct sheet *, FILE *))
{
    r->is_sheet = true;
    int rc = s == NULL ? -1 : print(s, r->out);
    sheet_free(s);
    if (r->json && rc == 0)
        fputc('\n', r->out);
    return rc < 0 ? request_fail_memory(r) : REQUEST_DONE;
}

enum request_result request_table(struct request *r, struct sheet *s)
{
    return put_sheet(r, s, r->json ? sheet_print_json : sheet_print_table);
}

enum request_result request_record(struct request *r, struct sheet *s)
{
    return put_sheet(r, s, r->json ? sheet_print_json_record : sheet_print_record);
}

/* ---- the answer as it is sent ---- */

static const char *const error_words[] = {
    [REQUEST_REFUSED] = "refused", [REQUEST_USAGE] = "usage",   [REQUEST_NOT_FOUND] = "not_found",
    [REQUEST_INVALID] = "invalid", [REQUEST_MEMORY] = "memory",
};

/* Returns the next line of *text that is not empty, ended by a NUL, or NULL. */
static char *request_next_line(char **text)
{
    char *line = *text + strspn(*text, "\n");
    char *end = strchr(line, '\n');
    if (*line == '\0')
        return NULL;
    *text = end == NULL ? line + strlen(line) : end + 1;
    if (end != NULL)
        *end = '\0';
    return line;
}

static void write_text(const struct request *r, char *text, FILE *out)
{
    for (const char *line; (line = request_next_line(&text)) != NULL;)
        fprintf(out, "%s%s\n", r->failed ? "error: " : "", line);
}

static void write_json(const struct request *r, char *text, FILE *out)
{
    struct json_writer w = { .out = out };
    json_begin_object(&w, NULL);
    json_begin_array(&w, r->failed ? "errors" : "lines");
    for (const char *line; (line = request_next_line(&text)) != NULL;)
        json_add_string(&w, NULL, line);
    json_end_array(&w);
    if (r->failed)
        json_add_string(&w, "code", error_words[r->error]);
    if (r->change != REQUEST_CHANGE_UNKNOWN || (r->failed && r->changes))
        json_add_bool(&w, r->changes ? "changed" : "would_change", r->change == REQUEST_CHANGED);
    json_end_object(&w);
    fputc('\n', out);
}

/* An empty line ends the answer, so empty lines of the text are left out. */
static char *make_answer(const struct request *r, size_t *size)
{
    char *answer = NULL;
    FILE *out = open_memstream(&answer, size);
    if (out == NULL)
        return NULL;
    if (r->json)
        write_json(r, r->text, out);
    else
        write_text(r, r->text, out);
    if (fclose(out) == 0)
        return answer;
    free(answer);
    return NULL;
}

void request_finish(struct request *r)
{
    bool whole = fclose(r->out) == 0; /* sets text and size */
    if (whole && !r->is_sheet) {
        size_t size = 0;
        char *answer = make_answer(r, &size);
        free(r->text);
        r->text = answer;
        r->size = size;
    }
    admin_answer(r->call, r->text, r->size);
    free(r->line);
    free(r);
}
