#include "config/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/variable.h"

/* Writes the message with names in place of values of variables, which may be secrets. */
static void __attribute__((format(printf, 2, 0)))
put_masked(const struct report *r, const char *what, va_list args)
{
    char *text = NULL;
    int n = vasprintf(&text, what, args);
    char *masked = n < 0 ? NULL : malloc((size_t)n * 2 + REPORT_LOCATION_MAX);
    if (masked != NULL)
        fwrite(masked, 1,
               variable_mask(r->config, text, (size_t)n, masked,
                             (size_t)n * 2 + REPORT_LOCATION_MAX),
               r->out);
    else
        fputs("out of memory", r->out);
    free(masked);
    if (n >= 0)
        free(text);
}

void report_error_va(struct report *r, struct location at, const char *section, const char *key,
                     const char *what, va_list args)
{
    if (at.file != NULL)
        fprintf(r->out, "%s:", at.file);
    if (at.file != NULL && at.line > 0)
        fprintf(r->out, "%u:", at.line);
    if (section != NULL)
        fprintf(r->out, "%s[%s]%s", at.file == NULL ? "" : " ", section, key == NULL ? ":" : "");
    if (key != NULL)
        fprintf(r->out, " %s:", key);
    fputc(' ', r->out);
    put_masked(r, what, args);
    fputc('\n', r->out);
    r->count++;
}

void report_error(struct report *r, struct location at, const char *section, const char *key,
                  const char *what, ...)
{
    va_list args;
    va_start(args, what);
    report_error_va(r, at, section, key, what, args);
    va_end(args);
}

const char *report_location(struct location other, struct location at,
                            char buf[REPORT_LOCATION_MAX])
{
    if (strcmp(other.file, at.file) == 0)
        snprintf(buf, REPORT_LOCATION_MAX, "line %u", other.line);
    else
        snprintf(buf, REPORT_LOCATION_MAX, "%s:%u", other.file, other.line);
    return buf;
}
