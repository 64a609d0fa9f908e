#include "config/report.h"

#include <stdarg.h>
#include <string.h>

void report_error(struct report *r, struct place at, const char *section, const char *key,
                  const char *what, ...)
{
    va_list args;
    fprintf(r->out, "%s:", at.file);
    if (at.line > 0)
        fprintf(r->out, "%u:", at.line);
    if (section != NULL)
        fprintf(r->out, " [%s]%s", section, key == NULL ? ":" : "");
    if (key != NULL)
        fprintf(r->out, " %s:", key);
    fputc(' ', r->out);
    va_start(args, what);
    vfprintf(r->out, what, args);
    va_end(args);
    fputc('\n', r->out);
    r->count++;
}

const char *report_place(struct place other, struct place at, char buf[REPORT_PLACE_MAX])
{
    if (strcmp(other.file, at.file) == 0)
        snprintf(buf, REPORT_PLACE_MAX, "line %u", other.line);
    else
        snprintf(buf, REPORT_PLACE_MAX, "%s:%u", other.file, other.line);
    return buf;
}
