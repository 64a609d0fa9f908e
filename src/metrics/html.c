#include "metrics/html.h"

#include <inttypes.h>

#include "base/human.h"
#include "base/utf8.h"

static void html_put_escaped(char c, FILE *out)
{
    switch (c) {
    case '&':
        fputs("&amp;", out);
        break;
    case '<':
        fputs("&lt;", out);
        break;
    case '>':
        fputs("&gt;", out);
        break;
    case '"':
        fputs("&quot;", out);
        break;
    case '\'':
        fputs("&#39;", out);
        break;
    default:
        fputc(c, out);
    }
}

void html_text(FILE *out, const char *text)
{
    utf8_print(text, html_put_escaped, out);
}

void html_count(FILE *out, uint64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            fputc(',', out);
        fputc(digits[i], out);
    }
}

void html_count_of(FILE *out, uint64_t n, uint64_t limit)
{
    html_count(out, n);
    if (limit == 0)
        return;
    fputs("<small>of ", out);
    html_count(out, limit);
    fputs("</small>", out);
}

void html_bytes(FILE *out, uint64_t n)
{
    static const char units[] = "KMGTPE";
    double value = (double)n;
    int unit = -1;
    while (value >= 1023.95) { /* below 1024.0 when rounded */
        value /= 1024;
        unit++;
    }
    if (unit < 0)
        fprintf(out, "%" PRIu64 " B", n);
    else
        fprintf(out, "%.1f %ciB", value, units[unit]);
}

void html_time(FILE *out, uint64_t ms)
{
    char buf[HUMAN_MAX];
    fputs(human_time(ms, buf), out);
}

void html_begin_cell(FILE *out, const char *class)
{
    fprintf(out, "<td class=\"%s\">", class);
}

void html_end_cell(FILE *out)
{
    fputs("</td>", out);
}

void html_cell_text(FILE *out, const char *class, const char *s, const char *under)
{
    html_begin_cell(out, class);
    html_text(out, s);
    if (under != NULL && under[0] != '\0') {
        fputs("<small>", out);
        html_text(out, under);
        fputs("</small>", out);
    }
    html_end_cell(out);
}

void html_cell_count(FILE *out, const char *class, uint64_t n)
{
    html_begin_cell(out, class);
    html_count(out, n);
    html_end_cell(out);
}

void html_cell_bytes(FILE *out, const char *class, uint64_t n)
{
    html_begin_cell(out, class);
    html_bytes(out, n);
    html_end_cell(out);
}

void html_cell_time(FILE *out, const char *class, uint64_t ms)
{
    html_begin_cell(out, class);
    html_time(out, ms);
    html_end_cell(out);
}

void html_empty_row(FILE *out, const char *what)
{
    fprintf(out, "<tr><td class=\"none\" colspan=\"20\">%s</td></tr>", what);
}
