#include "metrics/prometheus.h"

#include <inttypes.h>
#include <stdbool.h>

#include "base/utf8.h"

static void prometheus_put_escaped(char c, FILE *out)
{
    if (c == '\n')
        fputs("\\n", out);
    else if (c == '"' || c == '\\')
        fprintf(out, "\\%c", c);
    else
        fputc(c, out);
}

/* Nearly all names are plain: no byte of them needs an escape. */
static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
            return false;
    return true;
}

void prometheus_label_value(const char *text, FILE *out)
{
    if (is_plain(text))
        fputs(text, out);
    else
        utf8_print(text, prometheus_put_escaped, out);
}

void prometheus_labels(FILE *out, const char *metric, const struct prometheus_label *labels)
{
    fputs(metric, out);
    if (labels == NULL)
        return;
    for (const struct prometheus_label *l = labels; l->name != NULL; l++) {
        fputc(l == labels ? '{' : ',', out);
        fputs(l->name, out);
        fputs("=\"", out);
        prometheus_label_value(l->value, out);
        fputc('"', out);
    }
    fputc('}', out);
}

void prometheus_value(FILE *out, uint64_t value)
{
    fprintf(out, " %" PRIu64 "\n", value);
}

void prometheus_limit(FILE *out, uint64_t limit)
{
    if (limit == 0)
        fputs(" +Inf\n", out);
    else
        prometheus_value(out, limit);
}

void prometheus_histogram(const char *name, const struct histogram_totals *h,
                          const struct histogram_scale *scale, double per, FILE *out)
{
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        count += h->bucket[i];
        fprintf(out, "%s_bucket{le=\"%.15g\"} %" PRIu64 "\n", name,
                (double)histogram_bound(scale, i) / per, count);
    }
    count += h->bucket[HISTOGRAM_BOUNDS];
    fprintf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.15g\n%s_count %" PRIu64 "\n", name,
            count, name, (double)h->sum / per, name, count);
}
